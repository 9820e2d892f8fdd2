"""Contextual bandits that are linear in a few of many features, but for eps.

Every round shows new features x of every arm. With theta of ``s`` entries that are not 0, and a
direction g, both drawn anew for every replication::

    mean = x[arm] . theta + eps sign(x[arm] . g)        reward = mean + noise * normal

The second term is the misspecification: a fixed function of the features, of size eps everywhere,
that no linear model can follow (g ~ N(0, I)). It is no noise: it does not average out, and regret
counts it. ``law`` says how features are made; the first is for a desk, the others are those of the
experiments of Ariu, Abe & Proutiere 2022 ("Thresholded Lasso bandit", ICML):

``signs``
    Every feature is -1 or 1, and theta is 1 / s on its support.
``gaussian``
    Of every feature the values of the arms are N(0, (1 - rho) I + rho 1 1^T), with rho = .7. Rows
    that are longer than ``x_max`` are scaled to that length.
``uniform``
    Every feature is uniform on [-1, 1].
``elliptical``
    A row is R B u, with B uniform on [-1, 1]^(dim x 200), fixed, u uniform on the unit sphere, and
    R standard normal.
``hard``
    Three arms, theta = (1, .1, 1, 0, ...), for arms that the features tell apart badly. The first
    three features of the arms are (1, 0, 0), (0, 1, 0), (.9, .5, 0) with probability .3, otherwise
    (0, 1, 0), (0, 0, 1), (0, .5, .9). The others are those of ``gaussian``, before it scales.

Except in ``signs`` and ``hard`` theta is uniform on [1, 2] on a random support.

>>> import banditlab
>>> banditlab.make_problem("sparse_contexts", dim=100, eps=0.1).shape
(10, 1, 100)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.protocols.online import ANY_REWARD, Problem
from banditlab.random import normal, uniform
from banditlab.validate import choice, integer, nonnegative, positive

LAWS = ("signs", "gaussian", "uniform", "elliptical", "hard")
RHO = 0.7  # correlation of the arms in each feature
INNER = 200  # columns of B
HARD_ARMS = 3
HARD_SHARE = 0.3  # probability of the first block
HARD_THETA = (1.0, 0.1, 1.0)
BLOCKS = np.array(
    [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.9, 0.5, 0.0]],
     [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.5, 0.9]]]
)  # fmt: skip

example = {"dim": 8, "n_arms": 3}


class SparseContexts(NamedTuple):
    """Parameters."""

    dim: int
    n_arms: int = 10
    s: int = 3  # entries of theta that are not 0
    eps: float = 0.0  # size of the misspecification
    noise: float = 0.5  # standard deviation of rewards
    law: str = "signs"  # of the features, one of LAWS
    x_max: float = 10.0  # largest norm of a row, in law "gaussian"


class World(NamedTuple):
    """One replication. ``rows`` is ``dim`` in law "elliptical", else 0."""

    theta: np.ndarray  # (dim,) float64
    direction: np.ndarray  # (dim,) float64: g
    basis: np.ndarray  # (rows, INNER) float64: B
    mean: np.ndarray  # (n_arms,) float64: scratch


@kernel
def signs(params, world, x, rng):
    for k in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[k, j] = 1.0 if uniform(rng) < 0.5 else -1.0


@kernel
def gaussian_from(x, first, rng):
    """Correlated normals, in the columns from ``first`` on."""
    shared, own = math.sqrt(RHO), math.sqrt(1.0 - RHO)
    for j in range(first, x.shape[1]):
        common = shared * normal(rng)
        for k in range(x.shape[0]):
            x[k, j] = common + own * normal(rng)


@kernel
def gaussian(params, world, x, rng):
    gaussian_from(x, 0, rng)
    for k in range(x.shape[0]):
        square = 0.0
        for j in range(x.shape[1]):
            square += x[k, j] * x[k, j]
        scale = params.x_max / max(math.sqrt(square), params.x_max)
        for j in range(x.shape[1]):
            x[k, j] *= scale


@kernel
def uniforms(params, world, x, rng):
    for k in range(x.shape[0]):
        for j in range(x.shape[1]):
            x[k, j] = 2.0 * uniform(rng) - 1.0


@kernel
def elliptical(params, world, x, rng):
    u = np.empty(INNER)
    for k in range(x.shape[0]):
        square = 0.0
        for i in range(INNER):
            u[i] = normal(rng)
            square += u[i] * u[i]
        scale = normal(rng) / math.sqrt(square)
        for j in range(x.shape[1]):
            total = 0.0
            for i in range(INNER):
                total += world.basis[j, i] * u[i]
            x[k, j] = scale * total


@kernel
def hard(params, world, x, rng):
    b = 0 if uniform(rng) < HARD_SHARE else 1
    for k in range(3):
        for j in range(3):
            x[k, j] = BLOCKS[b, k, j]
    gaussian_from(x, 3, rng)


@kernel
def draw_world(params, rows, rng):
    """A support, theta in [1, 2] on it, and g."""
    dim = params.dim
    world = World(np.zeros(dim), np.empty(dim), np.empty((rows, INNER)), np.empty(params.n_arms))
    places = np.arange(dim)
    for i in range(params.s):  # the first s of a random order
        j = i + int(uniform(rng) * (dim - i))
        places[i], places[j] = places[j], places[i]
        world.theta[places[i]] = 1.0 + uniform(rng)
    for j in range(dim):
        world.direction[j] = normal(rng)
    for j in range(rows):
        for i in range(INNER):
            world.basis[j, i] = 2.0 * uniform(rng) - 1.0
    return world


@kernel
def init(params, rng):
    return draw_world(params, 0, rng)


@kernel
def init_elliptical(params, rng):
    return draw_world(params, params.dim, rng)


@kernel
def init_signs(params, rng):
    world = draw_world(params, 0, rng)
    for j in range(params.dim):
        world.theta[j] = 1.0 / params.s if world.theta[j] > 0.0 else 0.0
    return world


@kernel
def init_hard(params, rng):
    world = draw_world(params, 0, rng)
    for j in range(params.dim):
        world.theta[j] = HARD_THETA[j] if j < 3 else 0.0
    return world


@kernel
def fill_means(params, world, x):
    """Write the mean rewards of the arms, misspecification included, to ``world.mean``."""
    for k in range(x.shape[0]):
        linear = 0.0
        side = 0.0
        for j in range(x.shape[1]):
            linear += x[k, j] * world.theta[j]
            side += x[k, j] * world.direction[j]
        world.mean[k] = linear + (params.eps if side >= 0.0 else -params.eps)


def _observing(draw):
    @kernel
    def observe(params, world, t, rng):
        x = np.empty((params.n_arms, params.dim))  # fresh: whoever keeps it may
        draw(params, world, x, rng)
        return x

    return observe


# Made once each, so that every problem of one law is the same code.
OBSERVE = {
    "signs": _observing(signs),
    "gaussian": _observing(gaussian),
    "uniform": _observing(uniforms),
    "elliptical": _observing(elliptical),
    "hard": _observing(hard),
}
INIT = {"signs": init_signs, "elliptical": init_elliptical, "hard": init_hard}


@kernel
def pull(params, world, x, arm, rng):
    fill_means(params, world, x)
    return world.mean[arm] + params.noise * normal(rng)


@kernel
def regret(params, world, x, arm):
    fill_means(params, world, x)
    best = world.mean[0]
    for k in range(1, world.mean.size):
        best = max(best, world.mean[k])
    return best - world.mean[arm]


def sparse_contexts(
    dim: int,
    n_arms: int = 10,
    s: int = 3,
    eps: float = 0.0,
    noise: float = 0.5,
    law: str = "signs",
    x_max: float = 10.0,
) -> Problem:
    """A linear model of ``s`` out of ``dim`` features, wrong by ``eps`` >= 0 everywhere.

    ``n_arms`` >= 2, ``noise`` >= 0 is the standard deviation of rewards, ``law`` one of `LAWS`. Law
    "hard" has 3 arms and s = 3 whatever is said, so that ``dim`` is at least 3. ``x_max`` > 0
    belongs to law "gaussian".

    Raises ValueError for a number out of range, for ``s`` above ``dim`` and an unknown law.
    """
    law = choice("law", law, LAWS)
    if law == "hard":
        n_arms, s = HARD_ARMS, len(HARD_THETA)
    dim = integer("dim", dim, 3 if law == "hard" else 1)
    params = SparseContexts(
        dim,
        integer("n_arms", n_arms, 2),
        integer("s", s, 1, dim),
        nonnegative("eps", eps),
        nonnegative("noise", noise),
        law,
        positive("x_max", x_max),
    )
    shape = (params.n_arms, 1, dim)
    return Problem(params, INIT.get(law, init), OBSERVE[law], pull, regret, shape, ANY_REWARD)
