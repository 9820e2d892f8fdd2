"""Linear bandit: the mean reward of an arm is the inner product of its features and ``theta``.

``theta`` and the features are uniform on the unit sphere, drawn anew for every replication
(``theta``, and with ``fixed`` the features) or every round (the features otherwise)::

    reward = x[arm] . theta + noise * normal

The logging policy (offline learning, warm starts) draws an arm with probability proportional to
exp(skew * mean reward): evenly for 0; the larger ``skew``, the more good arms and the fewer bad
ones; with a negative one, the reverse. Such a log is what pessimism is made for: what it hardly
shows is likely to be bad.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import linalg, numeric
from banditlab.core import kernel
from banditlab.protocols.online import ANY_REWARD, Problem
from banditlab.random import categorical, normal
from banditlab.validate import flag, integer, nonnegative, number

example = {"dim": 3, "n_arms": 5}


class Linear(NamedTuple):
    """Parameters."""

    dim: int  # >= 1
    n_arms: int  # >= 2
    noise: float = 0.1  # >= 0: standard deviation of rewards
    fixed: bool = True  # whether the features stay the same over the rounds
    skew: float = 0.0  # how much the logging policy prefers good arms; 0: not at all


class World(NamedTuple):
    """One replication."""

    theta: np.ndarray  # (dim,) float64
    x: np.ndarray  # (n_arms, dim) float64: the features if they are fixed
    mean: np.ndarray  # (n_arms,) float64: their mean rewards; scratch if they are not


@kernel
def rows_on_sphere(n_rows, dim, rng):
    """Points that are uniform on the unit sphere."""
    x = np.empty((n_rows, dim))
    for k in range(n_rows):
        square = 0.0
        for i in range(dim):
            value = normal(rng)
            x[k, i] = value
            square += value * value
        norm = math.sqrt(square)
        for i in range(dim):
            x[k, i] /= norm
    return x


@kernel
def init(params, rng):
    theta = rows_on_sphere(1, params.dim, rng)[0]
    x = rows_on_sphere(params.n_arms, params.dim, rng)
    mean = np.empty(params.n_arms)
    linalg.matvec(x, theta, mean)
    return World(theta, x, mean)


@kernel
def observe(params, world, t, rng):
    # A fresh matrix, not a buffer: a delayed reward still needs the features of its own round.
    return world.x if params.fixed else rows_on_sphere(params.n_arms, params.dim, rng)


@kernel
def pull(params, world, x, arm, rng):
    mean = 0.0
    for i in range(world.theta.size):
        mean += x[arm, i] * world.theta[i]
    return mean + params.noise * normal(rng)


@kernel
def regret(params, world, x, arm):
    # Loops that may have no rounds, not a branch: see core.context.
    for k in range(0 if params.fixed else params.n_arms):
        mean = 0.0
        for i in range(params.dim):
            mean += x[k, i] * world.theta[i]
        world.mean[k] = mean
    best = world.mean[0]
    for k in range(1, params.n_arms):
        best = max(best, world.mean[k])
    return best - world.mean[arm]


@kernel
def behave(params, world, x, rng):
    odds = np.empty(x.shape[0])
    largest = -np.inf
    for k in range(odds.size):
        odds[k] = params.skew * linalg.dot(x[k], world.theta)
        largest = max(largest, odds[k])
    for k in range(odds.size):
        odds[k] = numeric.exp(odds[k] - largest)
    return categorical(rng, odds)


def linear(
    dim: int, n_arms: int, noise: float = 0.1, fixed: bool = True, skew: float = 0.0
) -> Problem:
    """A linear bandit with ``dim`` >= 1 features, ``n_arms`` >= 2, Gaussian ``noise`` >= 0.

    With ``fixed`` the features of a replication stay as they are, else every round has new ones.
    ``skew``, any finite number, says how much the logging policy prefers good arms.

    Raises ValueError for a number out of range.
    """
    params = Linear(
        integer("dim", dim, 1),
        integer("n_arms", n_arms, 2),
        nonnegative("noise", noise),
        flag("fixed", fixed),
        number("skew", skew),
    )
    shape = (params.n_arms, 1, params.dim)
    return Problem(params, init, observe, pull, regret, shape, ANY_REWARD, behave)
