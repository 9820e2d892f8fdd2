"""Rewards that are no linear function of the features: the three of Zhou, Li & Gu 2020 (NeuralUCB).

Every round shows new features of every arm, uniform on the unit sphere, and with a fixed unit
vector ``a`` and a fixed matrix ``A`` of standard normal entries, drawn anew for every replication,
the mean reward of an arm is one of::

    quadratic   10 (x . a)^2
    gram        |A x|^2
    cosine      cos(3 x . a)

plus normal ``noise``. With ``bernoulli`` rewards are 0 or 1 and their means lie in [0, 1]:
(x . a)^2, ``|A x|^2 / |A|_F^2`` and (1 + cos(3 x . a)) / 2.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.modes import place
from banditlab.problems.linear import rows_on_sphere
from banditlab.protocols.online import ANY_REWARD, UNIT_REWARD, Problem
from banditlab.random import normal, uniform
from banditlab.validate import flag, integer, nonnegative

KINDS = ("quadratic", "gram", "cosine")

example = {"kind": "cosine", "dim": 3, "n_arms": 3}


class SyntheticContextual(NamedTuple):
    """Parameters."""

    kind: int  # place in KINDS
    dim: int  # >= 1
    n_arms: int  # >= 2
    noise: float  # >= 0: standard deviation of rewards, unless bernoulli
    bernoulli: bool  # whether rewards are 0 or 1


class World(NamedTuple):
    """One replication."""

    a: np.ndarray  # (dim,) float64: of length 1
    matrix: np.ndarray  # (dim, dim) float64: A
    norm: np.ndarray  # (1,) float64: |A|_F^2


@kernel
def init(params, rng):
    a = rows_on_sphere(1, params.dim, rng)[0]
    matrix = np.empty((params.dim, params.dim))
    norm = np.zeros(1)
    for i in range(params.dim):
        for j in range(params.dim):
            matrix[i, j] = normal(rng)
            norm[0] += matrix[i, j] * matrix[i, j]
    return World(a, matrix, norm)


@kernel
def observe(params, world, t, rng):
    return rows_on_sphere(params.n_arms, params.dim, rng)


@kernel
def mean(params, world, x, arm):
    """The mean reward of an arm."""
    dim = world.a.size
    if params.kind == 1:
        square = 0.0
        for i in range(dim):
            along = 0.0
            for j in range(dim):
                along += world.matrix[i, j] * x[arm, j]
            square += along * along
        return square / world.norm[0] if params.bernoulli else square
    along = 0.0
    for j in range(dim):
        along += world.a[j] * x[arm, j]
    if params.kind == 0:
        return along * along if params.bernoulli else 10.0 * along * along
    wave = math.cos(3.0 * along)
    return 0.5 + 0.5 * wave if params.bernoulli else wave


@kernel
def pull(params, world, x, arm, rng):
    found = mean(params, world, x, arm)
    if params.bernoulli:
        return 1.0 if uniform(rng) < found else 0.0
    return found + params.noise * normal(rng)


@kernel
def regret(params, world, x, arm):
    best = mean(params, world, x, 0)
    for k in range(1, x.shape[0]):
        best = max(best, mean(params, world, x, k))
    return best - mean(params, world, x, arm)


def synthetic_contextual(
    kind: str | int = "cosine",
    dim: int = 20,
    n_arms: int = 4,
    noise: float = 1.0,
    bernoulli: bool = False,
) -> Problem:
    """``kind`` quadratic, gram or cosine, with ``dim`` >= 1 features of ``n_arms`` >= 2 arms.

    ``noise`` >= 0 is the standard deviation of rewards, unless they are ``bernoulli``.
    Raises ValueError for a number out of range and an unknown kind.
    """
    params = SyntheticContextual(
        place("kind", kind, KINDS),
        integer("dim", dim, 1),
        integer("n_arms", n_arms, 2),
        nonnegative("noise", noise),
        flag("bernoulli", bernoulli),
    )
    rewards = UNIT_REWARD if params.bernoulli else ANY_REWARD
    return Problem(params, init, observe, pull, regret, (params.n_arms, 1, params.dim), rewards)
