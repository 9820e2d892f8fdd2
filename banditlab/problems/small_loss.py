"""A bandit whose best arm hardly ever loses: rewards 0 or 1, the best arm's cost has mean ``rate``.

All other arms cost ``rate + gap``. Over T rounds the best policy loses L = rate T: the quantity in
which regret bounds of the first order are stated, sqrt(K L) instead of sqrt(K T) (Foster &
Krishnamurthy 2021). The best arm is drawn anew for every replication. One luck serves all arms of a
round, so that algorithms are paired.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.protocols.online import UNIT_REWARD, Problem
from banditlab.random import below, uniform
from banditlab.validate import between, integer, positive

example = {"n_arms": 4, "rate": 0.05}


class SmallLoss(NamedTuple):
    """Parameters."""

    n_arms: int  # >= 2
    rate: float  # in [0, 1 - gap]: mean cost of the best arm
    gap: float  # > 0: how much more the others cost


class World(NamedTuple):
    """One replication."""

    best: np.ndarray  # (1,) int64
    x: np.ndarray  # (1, 1) float64: nothing is shown


@kernel
def init(params, rng):
    return World(np.full(1, below(rng, params.n_arms)), np.zeros((1, 1)))


@kernel
def observe(params, world, t, rng):
    return world.x


@kernel
def regret(params, world, x, arm):
    return 0.0 if arm == world.best[0] else params.gap


@kernel
def pull(params, world, x, arm, rng):
    cost = params.rate + regret(params, world, x, arm)
    return 0.0 if uniform(rng) < cost else 1.0


def small_loss(n_arms: int = 10, rate: float = 0.0, gap: float = 0.3) -> Problem:
    """``n_arms`` >= 2 arms that cost ``rate + gap`` on average, but one that costs ``rate`` >= 0.

    Raises ValueError for a number out of range, also for ``rate + gap`` above 1.
    """
    gap = between("gap", positive("gap", gap), 0.0, 1.0)
    params = SmallLoss(
        integer("n_arms", n_arms, 2),
        between("rate", rate, 0.0, 1.0 - gap),
        gap,
    )
    return Problem(params, init, observe, pull, regret, (params.n_arms, 1, 0), UNIT_REWARD)
