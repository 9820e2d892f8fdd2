"""Bernoulli bandit of linear means: many arms that few features describe.

Arm 1 has the features u = (1, ..., 1) / sqrt(dim), and theta = .9 u, so its mean is .9. The others
are directions with non-negative coordinates, abs(N(0, I)) made unit length, drawn until their mean
.9 <v, u> is at most .9 - gap. They stay the same over the replications: ``seed`` names the
instance. Ours, for the setting of Chen, Karthik, Chee & Tan 2024.

The kernels serve every problem whose arms have fixed features and Bernoulli rewards.

>>> import banditlab
>>> banditlab.make_problem("lin_sphere", n_arms=200, dim=3).shape
(200, 1, 3)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.protocols.online import Problem
from banditlab.random import binomial, fill_splitmix, fork, normal, uniform
from banditlab.validate import integer, positive

TOP = 0.9  # the largest mean
RAREST = 0.01  # the smallest share of directions that may pass: else drawing takes for ever

example = {"n_arms": 6, "dim": 3}


class LinSphere(NamedTuple):
    """Parameters."""

    n_arms: int
    dim: int
    gap: float = 0.1  # at least, between the best mean and every other
    seed: int = 0  # of the features


class World(NamedTuple):
    """Arms with fixed features and means."""

    x: np.ndarray  # (n_arms, dim) float64: features
    mean: np.ndarray  # (n_arms,) float64
    best: np.ndarray  # (1,) float64: the largest mean


@kernel
def world_of(x, mean):
    """The world with these features and means."""
    best = np.full(1, mean[0])
    for k in range(mean.size):
        best[0] = max(best[0], mean[k])
    return World(x, mean, best)


@kernel
def observe(params, world, t, rng):
    return world.x


@kernel
def pull(params, world, x, arm, rng):
    return 1.0 if uniform(rng) < world.mean[arm] else 0.0


@kernel
def batch(params, world, x, arm, n, rng):
    # A fork: the words that binomial takes depend on the arm.
    return binomial(fork(rng), n, world.mean[arm]) * 1.0


@kernel
def regret(params, world, x, arm):
    return world.best[0] - world.mean[arm]


@kernel
def draw_direction(rng, row):
    """Fill ``row`` with a random direction of non-negative coordinates; returns <row, u>."""
    square = 0.0
    for i in range(row.size):
        row[i] = abs(normal(rng))
        square += row[i] * row[i]
    norm = math.sqrt(square)
    total = 0.0
    for i in range(row.size):
        row[i] /= norm
        total += row[i]
    return total / math.sqrt(row.size * 1.0)


@kernel
def init(params, rng):
    local = np.empty(4, np.uint64)
    fill_splitmix(np.uint64(params.seed), local)
    x = np.empty((params.n_arms, params.dim))
    mean = np.empty(params.n_arms)
    for i in range(params.dim):
        x[0, i] = 1.0 / math.sqrt(params.dim * 1.0)
    mean[0] = TOP
    for k in range(1, params.n_arms):
        mean[k] = TOP
        while mean[k] > TOP - params.gap:
            mean[k] = TOP * draw_direction(local, x[k])
    return world_of(x, mean)


def lin_sphere(n_arms: int, dim: int, gap: float = 0.1, seed: int = 0) -> Problem:
    """``n_arms`` >= ``dim`` arms with ``dim`` >= 2 features; arm 1 is better by ``gap`` > 0.

    Raises ValueError for a number out of range, and for a ``gap`` so large that fewer than one
    direction in 100 has it.
    """
    params = LinSphere(
        integer("n_arms", n_arms, 2),
        integer("dim", dim, 2),
        positive("gap", gap),
        integer("seed", seed, 0),
    )
    if params.n_arms < params.dim:
        raise ValueError(f"n_arms must be at least dim, {params.dim}, got {n_arms!r}")
    if params.seed >= 2**63:
        raise ValueError(f"seed must be below 2**63, got {seed!r}")
    directions = np.abs(np.random.default_rng(0).standard_normal((10_000, params.dim)))
    cosines = directions.mean(axis=1) / np.sqrt((directions**2).mean(axis=1))
    largest = TOP * (1.0 - float(np.quantile(cosines, RAREST)))
    if params.gap > largest:
        raise ValueError(f"gap must be at most {largest:.3f} for dim {params.dim}, got {gap!r}")
    shape = (params.n_arms, 1, params.dim)
    return Problem(params, init, observe, pull, regret, shape, batch=batch)
