"""UCB1 (Auer, Cesa-Bianchi & Fischer 2002, Figure 1): pull the largest upper confidence bound.

Index in round t, counted from 1, of an arm with ``pulls`` rewards of its own::

    mean + sqrt(alpha * ln(t) / pulls)

The paper has ln(n) with n = t - 1, the rewards seen so far. With ln(t), as many programs have it,
the index is that of ``kl_ucb`` for Gaussian rewards where ``alpha = 2 sigma^2``; the square of the
root is larger by less than alpha / (n pulls). ``alpha = 2`` is the paper's constant for rewards in
[0, 1]; for Gaussian rewards of standard deviation sigma use ``alpha = 2 sigma^2`` or more.

Compared decision by decision with a public implementation: they agree.

>>> import banditlab
>>> agent = banditlab.Agent("ucb", n_arms=3, seed=1)
>>> agent.act()
0
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab import numeric
from banditlab.core import kernel_inline
from banditlab.parts.index_lanes import rooted_lanes
from banditlab.parts.many_arms import bounded_index_policy
from banditlab.protocols.online import Online
from banditlab.validate import positive

label = "UCB"


class UCB(NamedTuple):
    """Hyper-parameters."""

    alpha: float = 2.0  # > 0, in squared units of reward


@kernel_inline
def clock(params, task, n):
    return numeric.log(n + 1.0)  # t = n + 1


@kernel_inline
def index(params, clock, mean, inv):
    return mean + math.sqrt(params.alpha * clock * inv)


@kernel_inline
def root(params, clock):
    return math.sqrt(params.alpha * clock)


def ucb(alpha: float = 2.0) -> Online:
    """UCB1 with exploration constant ``alpha`` > 0 (2 in the paper).

    Raises ValueError when ``alpha`` is not positive and finite.
    """
    params = UCB(positive("alpha", alpha))
    policy = bounded_index_policy(params, clock, index, bound=index)
    return policy._replace(lanes=rooted_lanes(params, clock, index, root))
