"""Linear bandits that are wrong by eps: what their problems share, and who checks that they are.

The mean reward of an arm with features x is ``x . theta + nu``, ``abs(nu) <= eps``, where nu is the
arm's own: the same in every round, it never averages out. Only few entries of theta, its *support*,
are not 0. Regret is against the true means, nu included.

:data:`MODES` are ways to choose nu; :func:`assert_misspecified` is the check that they keep to eps.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from banditlab import linalg
from banditlab.core import kernel
from banditlab.parts.designs import information
from banditlab.protocols.online import ANY_REWARD, Problem
from banditlab.random import normal, shuffle, uniform

# none: nu = 0. sign: +eps or -eps, evenly. uniform: U[-eps, eps]. hide: rewards of arms whose
# linear value is at most eps are 0, all others exact. decoy: nu is what misleads least squares most
# about the second best arm (`mislead`), and 0 for the two best.
MODES = ("none", "sign", "uniform", "hide", "decoy")


class World(NamedTuple):
    """One replication: arms with fixed features."""

    x: np.ndarray  # (n_arms, dim) float64: features
    theta: np.ndarray  # (dim,) float64
    linear: np.ndarray  # (n_arms,) float64: x . theta
    mean: np.ndarray  # (n_arms,) float64: true mean rewards
    best: np.ndarray  # (1,) float64: the largest of them
    eps: np.ndarray  # (1,) float64: bound on abs(mean - linear)


@kernel
def world_of(x, theta, nu, eps):
    """The world of these features and coefficients; ``nu`` (n_arms,) becomes its means."""
    linear = np.empty(nu.size)
    linalg.matvec(x, theta, linear)
    best = np.full(1, -np.inf)
    for k in range(nu.size):
        nu[k] += linear[k]
        best[0] = max(best[0], nu[k])
    return World(x, theta, linear, nu, best, np.full(1, eps))


@kernel
def some_coordinates(dim, size, rng):
    """``size`` of the coordinates 0, ..., dim - 1, in random order."""
    order = np.arange(dim)
    shuffle(rng, order)
    return order[:size].copy()


@kernel
def fill_nu(mode, linear, eps, rng, nu):
    """Fill ``nu`` as mode number ``mode`` of the first four of `MODES` says."""
    for k in range(nu.size):
        u = 2.0 * uniform(rng) - 1.0
        nu[k] = 0.0
        if mode == 1:
            nu[k] = eps if u >= 0.0 else -eps
        elif mode == 2:
            nu[k] = eps * u
        elif mode == 3 and abs(linear[k]) <= eps:
            nu[k] = -linear[k]


@kernel
def mislead(x, decoy, eps, nu):
    """Fill ``nu`` with what raises the least-squares prediction of arm ``decoy`` most.

    With all arms looked at equally often that prediction moves by the mean of u nu, where
    u = x G^-1 x[decoy] and G is the mean of x x.T, which must be invertible: nu = eps sign(u).
    """
    n_arms, dim = x.shape
    factor = np.empty((dim, dim))
    information(x, np.full(n_arms, 1.0 / n_arms), factor)
    linalg.cholesky(factor, factor)
    towards = x[decoy].copy()
    linalg.solve_lower(factor, towards)
    linalg.solve_upper(factor, towards)
    linalg.matvec(x, towards, nu)
    for k in range(n_arms):
        nu[k] = eps if nu[k] >= 0.0 else -eps


@kernel
def observe(params, world, t, rng):
    return world.x


@kernel
def pull(params, world, x, arm, rng):
    return world.mean[arm] + params.noise * normal(rng)


@kernel
def batch(params, world, x, arm, n, rng):
    return n * world.mean[arm] + math.sqrt(n * 1.0) * params.noise * normal(rng)


@kernel
def regret(params, world, x, arm):
    return world.best[0] - world.mean[arm]


def misspecified(params: Any, init: Any, n_arms: int, dim: int) -> Problem:
    """The problem of these kernels whose worlds ``init`` makes; ``params`` has a ``noise``."""
    shape = (n_arms, 1, dim)
    return Problem(params, init, observe, pull, regret, shape, ANY_REWARD, batch=batch)


def assert_misspecified(x: Any, theta: Any, mean: Any, eps: float) -> float:
    """AssertionError unless every ``mean`` (n_arms,) is within ``eps`` of ``x @ theta``.

    Returns the largest distance. ``x`` is (n_arms, dim), ``theta`` (dim,); rounding is allowed for.
    """
    x, theta, mean = (np.asarray(a, np.float64) for a in (x, theta, mean))
    off = np.abs(mean - x @ theta)
    rounding = 4.0 * np.finfo(float).eps * (np.abs(x) @ np.abs(theta) + np.abs(mean))
    worst = int(np.argmax(off - rounding))
    assert off[worst] <= eps * (1.0 + 1e-12) + rounding[worst], (
        f"arm {worst} is off by {float(off[worst])!r}, more than eps = {eps!r}"
    )
    return float(off.max())


def coherence(x: Any) -> float:
    """The largest abs(x_i . x_j) of two different rows of ``x`` (n_arms, dim)."""
    gram = np.abs(np.asarray(x, np.float64) @ np.asarray(x, np.float64).T)
    np.fill_diagonal(gram, 0.0)
    return float(gram.max())
