"""Least squares pays sqrt(d) eps here, and sparsity does not: one decoy, and errors that favour it.

Features are +1 or -1. theta has the entries (.5, .3, w), w = c eps sqrt(dim) / 2, on three columns.
In the first of these every arm has -1 but two: the best arm (+, +, +) and the decoy (+, +, -) on
the three columns, with a gap of 2 w between them. All arms but these two have errors, eps each,
with the signs that raise the least-squares prediction of the decoy most
(:func:`banditlab.parts.misspecified.mislead`). Who looks at all arms equally often and fits all of
theta overrates the decoy by eps times the mean of abs(u), about eps sqrt(2 dim / pi), and so names
it if c < sqrt(2 / pi) = .80 or so: that costs c eps sqrt(dim). The arms are in random order, and
all is drawn anew for every replication.

Our construction, for the question of Dong & Yang 2023, "Does sparsity help in learning misspecified
linear bandits?"; that least squares may lose sqrt(dim) eps is from Lattimore, Szepesvari & Weisz
2020, "Learning with good feature representations in bandits and in RL with a generative model".

>>> import banditlab
>>> banditlab.make_problem("ls_decoy", dim=32).shape
(256, 1, 32)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.misspecified import mislead, misspecified, some_coordinates, world_of
from banditlab.protocols.online import Problem
from banditlab.random import uniform
from banditlab.validate import integer, nonnegative, positive

FIRST, SECOND = 0.5, 0.3  # the larger entries of theta; w may not exceed the second

example = {"dim": 8, "eps": 0.05}


class LsDecoy(NamedTuple):
    """Parameters."""

    dim: int  # >= 8
    n_arms: int
    eps: float  # > 0
    c: float  # > 0: the gap is c eps sqrt(dim)
    noise: float  # >= 0: standard deviation of rewards


@kernel
def init(params, rng):
    n_arms, dim = params.n_arms, params.dim
    support = some_coordinates(dim, 3, rng)
    two = some_coordinates(n_arms, 2, rng)
    best, decoy = two[0], two[1]
    x = np.empty((n_arms, dim))
    for k in range(n_arms):
        for j in range(dim):
            x[k, j] = 1.0 if uniform(rng) < 0.5 else -1.0
        x[k, support[0]] = -1.0
    for i in range(3):
        x[best, support[i]] = 1.0
        x[decoy, support[i]] = 1.0 if i < 2 else -1.0
    theta = np.zeros(dim)
    theta[support[0]] = FIRST
    theta[support[1]] = SECOND
    theta[support[2]] = 0.5 * params.c * params.eps * math.sqrt(dim * 1.0)
    nu = np.empty(n_arms)
    mislead(x, decoy, params.eps, nu)
    nu[best] = 0.0
    nu[decoy] = 0.0
    return world_of(x, theta, nu, params.eps)


def ls_decoy(
    dim: int, n_arms: int = 0, eps: float = 0.02, c: float = 0.5, noise: float = 0.0
) -> Problem:
    """``dim`` >= 8 features of ``n_arms`` arms, 8 dim of them if 0; ``eps``, ``c`` > 0.

    ``n_arms`` is at least 4 dim, so that the arms span; c eps sqrt(dim) / 2, the third entry of
    theta, at most .3, the second. ``noise`` >= 0. Raises ValueError for an argument out of range.
    """
    dim = integer("dim", dim, 8)
    n_arms = integer("n_arms", n_arms, 0)
    n_arms = n_arms if n_arms > 0 else 8 * dim
    if n_arms < 4 * dim:
        raise ValueError(f"n_arms must be at least 4 dim, {4 * dim}, or 0, got {n_arms}")
    params = LsDecoy(
        dim, n_arms, positive("eps", eps), positive("c", c), nonnegative("noise", noise)
    )
    largest = 2.0 * SECOND / (params.c * math.sqrt(dim))
    if params.eps > largest * (1.0 + 1e-12):
        raise ValueError(
            f"eps must be at most {largest:.6g} for dim {dim} and c {c:g}, got {eps!r}"
        )
    return misspecified(params, init, n_arms, dim)
