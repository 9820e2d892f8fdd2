"""MOSS, minimax optimal strategy in the stochastic case (Audibert & Bubeck 2009, Section 2).

Index of an arm when T rounds will be played::

    mean + sqrt(alpha * max(0, ln(T / (n_arms * pulls))) / pulls)

``alpha = 1`` is the paper's constant for rewards in [0, 1]; for sigma-subgaussian rewards use
``alpha = 4 sigma^2`` (Lattimore & Szepesvari 2020, Algorithm 7). With several contexts T is the
horizon's share of one. When the horizon is unknown, T is the number of the current round:
MOSS-anytime (Degenne & Perchet 2016), which wants ``alpha = 1.175`` for rewards in [0, 1].

Compared decision by decision with a public implementation: they agree.

>>> import banditlab
>>> banditlab.make("moss").params
MOSS(alpha=1.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab import numeric
from banditlab.core import kernel_inline
from banditlab.parts.index import rounds_per_context
from banditlab.parts.index_lanes import steady_lanes
from banditlab.parts.many_arms import bounded_index_policy
from banditlab.protocols.online import Online
from banditlab.validate import positive

label = "MOSS"


class MOSS(NamedTuple):
    """Hyper-parameters."""

    alpha: float = 1.0  # > 0, in squared units of reward


@kernel_inline
def clock(params, task, n):
    horizon = rounds_per_context(task) if task.horizon > 0 else n + 1.0
    return horizon / task.n_arms


@kernel_inline
def bonus(params, clock, inv):
    excess = numeric.log(clock * inv)
    excess = excess if excess > 0.0 else 0.0
    return math.sqrt(params.alpha * excess * inv)


@kernel_inline
def index(params, clock, mean, inv):
    return mean + bonus(params, clock, inv)


@kernel_inline
def bound(params, clock, mean, inv):
    # The logarithm rises with the clock but for its error, which is below 5e-16 of it.
    return mean + (1.0 + 1e-14) * bonus(params, clock, inv)


def moss(alpha: float = 1.0) -> Online:
    """MOSS with exploration constant ``alpha`` > 0 (1 in the paper).

    Raises ValueError when ``alpha`` is not positive and finite.
    """
    params = MOSS(positive("alpha", alpha))
    policy = bounded_index_policy(params, clock, index, bound, many=256)
    return policy._replace(lanes=steady_lanes(params, clock, index))
