"""D-UCB (Kocsis & Szepesvari 2006; Garivier & Moulines 2011, Section 3.1): UCB1 that forgets.

For rewards whose means drift or jump. Every reward multiplies what was known of its context by
``gamma`` before it is added, so pulls and mean are discounted. Index of an arm::

    mean + sqrt(alpha * ln(n) / pulls),  n = discounted number of all pulls, at most 1/(1 - gamma)

``alpha`` is 4 B^2 xi of the paper for rewards in [0, B], and xi = 0.6 in its experiments, where a
horizon T is met with gamma = 1 - 1 / (4 sqrt(T)).

Compared decision by decision with a public implementation: they agree.

>>> import banditlab
>>> banditlab.make("discounted_ucb", gamma=0.99).params
DiscountedUCB(gamma=0.99, alpha=2.4)
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab import numeric
from banditlab.core import kernel_inline
from banditlab.parts.index import index_policy
from banditlab.protocols.online import Online
from banditlab.validate import inside, positive

label = "discounted UCB"

FORGOTTEN = 1e-100  # discounted pulls below this count as none, long before 1 / pulls overflows


class DiscountedUCB(NamedTuple):
    """Hyper-parameters."""

    gamma: float = 0.999  # in (0, 1): what a round leaves of the past
    alpha: float = 2.4  # > 0, in squared units of reward


@kernel_inline
def learn(params, state, s, arm, reward):
    for k in range(state.pulls.shape[1]):
        played = 1.0 if k == arm else 0.0
        pulls = params.gamma * state.pulls[s, k] + played
        known = pulls > FORGOTTEN
        state.pulls[s, k] = pulls if known else 0.0
        state.inv[s, k] = 1.0 / pulls if known else 1.0
        state.sums[s, k] = params.gamma * state.sums[s, k] + played * reward if known else 0.0
    state.seen[s] = params.gamma * state.seen[s] + 1.0


@kernel_inline
def clock(params, task, n):
    return numeric.log(max(n, 1.0))


@kernel_inline
def index(params, clock, mean, inv):
    return mean + math.sqrt(params.alpha * clock * inv)


def discounted_ucb(gamma: float = 0.999, alpha: float = 2.4) -> Online:
    """D-UCB with discount ``gamma`` in (0, 1) and exploration constant ``alpha`` > 0.

    Raises ValueError when an argument is out of range.
    """
    params = DiscountedUCB(inside("gamma", gamma, 0.0, 1.0), positive("alpha", alpha))
    return index_policy(params, clock, index, learn=learn)
