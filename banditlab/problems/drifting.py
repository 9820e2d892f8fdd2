"""Drifting Bernoulli bandit: the means do a Gaussian random walk, reflected into [low, high].

The Brownian restless bandit of Slivkins & Upfal (2008), "Adapting to a changing environment".
Before every round but the first each mean moves by ``step`` times a standard normal of its own,
whatever was pulled. A mean that leaves [low, high] is mirrored at the end that it crossed, so in
the long run it is uniform there. Regret is against the best arm of the round.

>>> import banditlab
>>> banditlab.make_problem("drifting", means=[0.4, 0.6], step=0.01).shape
(2, 1, 0)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel, kernel_inline
from banditlab.protocols.online import Problem
from banditlab.random import normal, uniform
from banditlab.validate import between, nonnegative, vector

example = {"means": [0.3, 0.5, 0.7]}


class Drifting(NamedTuple):
    """Parameters."""

    means: np.ndarray  # (n_arms,) float64 in [low, high]: of round 0
    step: float  # 0 <= step <= high - low
    low: float  # 0 <= low < high
    high: float  # <= 1


class World(NamedTuple):
    """One replication."""

    means: np.ndarray  # (n_arms,) float64: of the current round
    x: np.ndarray  # (1, 1) float64, 0: there is nothing to show


@kernel
def init(params, rng):
    return World(params.means.copy(), np.zeros((1, 1)))


@kernel_inline
def reflect(value, low, high):
    """``value`` mirrored at ``low`` and ``high`` until it lies between them."""
    while value < low or value > high:
        value = 2.0 * low - value if value < low else 2.0 * high - value
    return value


@kernel
def observe(params, world, t, rng):
    if t > 0:
        for k in range(world.means.size):
            moved = world.means[k] + params.step * normal(rng)
            world.means[k] = reflect(moved, params.low, params.high)
    return world.x


@kernel
def pull(params, world, x, arm, rng):
    return 1.0 if uniform(rng) < world.means[arm] else 0.0


@kernel
def regret(params, world, x, arm):
    best = world.means[0]
    for mean in world.means:
        best = mean if mean > best else best
    return best - world.means[arm]


def drifting(
    means: Sequence[float], step: float = 0.01, low: float = 0.0, high: float = 1.0
) -> Problem:
    """A Bernoulli bandit that starts at ``means`` and drifts within [low, high].

    ``means``: at least two, each in [low, high]; 0 <= ``low`` < ``high`` <= 1; ``step``, the
    standard deviation of one round's move, lies between 0 and ``high - low``. Raises ValueError
    naming the argument that is out of range.
    """
    low = between("low", low, 0.0, 1.0)
    high = between("high", high, 0.0, 1.0)
    if not low < high:
        raise ValueError(f"high must be above low = {low:g}, got {high:g}")
    params = Drifting(
        vector("means", means, low, high, at_least=2), nonnegative("step", step), low, high
    )
    if params.step > high - low:
        raise ValueError(f"step must be at most high - low = {high - low:g}, got {step!r}")
    return Problem(params, init, observe, pull, regret, (params.means.size, 1, 0))
