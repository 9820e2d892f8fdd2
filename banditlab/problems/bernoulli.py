"""Bernoulli bandit: arm k pays 1 with probability ``means[k]``, else 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel, kernel_inline
from banditlab.protocols.loops.lanes import Arms
from banditlab.protocols.online import Problem
from banditlab.random import binomial, fork, uniform, uniforms
from banditlab.validate import vector

example = {"means": [0.2, 0.5, 0.8]}


class Bernoulli(NamedTuple):
    """Parameters."""

    means: np.ndarray  # (n_arms,) float64 in [0, 1]


class World(NamedTuple):
    """One replication."""

    best: np.ndarray  # (1,) float64: the largest mean
    x: np.ndarray  # (1, 1) float64, 0: there is nothing to show


@kernel
def init(params, rng):
    best = np.full(1, params.means[0])
    for mean in params.means:
        if mean > best[0]:
            best[0] = mean
    return World(best, np.zeros((1, 1)))


@kernel
def observe(params, world, t, rng):
    return world.x


@kernel_inline
def reward(params, mean, variate):
    return 1.0 if variate < mean else 0.0


@kernel
def pull(params, world, x, arm, rng):
    return reward(params, params.means[arm], uniform(rng))


@kernel
def regret(params, world, x, arm):
    return world.best[0] - params.means[arm]


@kernel
def batch(params, world, x, arm, n, rng):
    # On a stream of its own: how much a binomial draws depends on the arm.
    return binomial(fork(rng), n, params.means[arm]) * 1.0


def bernoulli(means: Sequence[float]) -> Problem:
    """A Bernoulli bandit with success probabilities ``means``, at least two, each in [0, 1].

    Raises ValueError naming the first mean that is out of range.
    """
    params = Bernoulli(vector("means", means, 0.0, 1.0, at_least=2))
    lanes = Arms(params, params.means[None], np.zeros(0, np.int64), uniforms, reward)
    shape = (params.means.size, 1, 0)
    return Problem(params, init, observe, pull, regret, shape, lanes=lanes, batch=batch)
