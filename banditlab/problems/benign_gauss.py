"""Sparse, misspecified, harmless: random unit features, a sparse theta, and errors of size eps.

Rows are N(0, I) made unit length; theta has ``s`` entries that are not 0, its direction on
them is uniform and its length U[1/2, 1]. To x . theta every arm adds its own error nu, chosen by
``mode`` (:mod:`banditlab.parts.misspecified`); rewards add ``noise`` times a standard normal. All
is drawn anew for every replication.

Ours, for the setting of Dong & Yang 2023, "Does sparsity help in learning misspecified linear
bandits?".

>>> import banditlab
>>> banditlab.make_problem("benign_gauss", dim=16, n_arms=500, s=2).shape
(500, 1, 16)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab import linalg
from banditlab.core import kernel
from banditlab.parts.misspecified import (
    MODES,
    fill_nu,
    mislead,
    misspecified,
    some_coordinates,
    world_of,
)
from banditlab.problems.linear import rows_on_sphere
from banditlab.protocols.online import Problem
from banditlab.random import uniform
from banditlab.validate import choice, integer, nonnegative

example = {"dim": 6, "n_arms": 20, "s": 2, "noise": 0.05}


class BenignGauss(NamedTuple):
    """Parameters."""

    dim: int
    n_arms: int
    s: int  # 1 .. dim
    eps: float  # >= 0: bound on the error of every arm
    noise: float  # >= 0: standard deviation of rewards
    mode: int  # its number in MODES


@kernel
def init(params, rng):
    x = rows_on_sphere(params.n_arms, params.dim, rng)
    support = some_coordinates(params.dim, params.s, rng)
    direction = rows_on_sphere(1, params.s, rng)[0]
    length = 0.5 + 0.5 * uniform(rng)
    theta = np.zeros(params.dim)
    for i in range(params.s):
        theta[support[i]] = length * direction[i]
    linear = np.empty(params.n_arms)
    linalg.matvec(x, theta, linear)
    nu = np.empty(params.n_arms)
    if params.mode < 4:
        fill_nu(params.mode, linear, params.eps, rng, nu)
    else:
        best, second = 0, -1
        for k in range(1, nu.size):
            best = k if linear[k] > linear[best] else best
        for k in range(nu.size):
            if k != best and (second < 0 or linear[k] > linear[second]):
                second = k
        mislead(x, second, params.eps, nu)
        nu[best] = 0.0
        nu[second] = 0.0
    return world_of(x, theta, nu, params.eps)


def benign_gauss(
    dim: int,
    n_arms: int,
    s: int,
    eps: float = 0.05,
    noise: float = 0.0,
    mode: str = "sign",
) -> Problem:
    """``n_arms`` >= 2 unit vectors in ``dim`` >= 1, 1 <= ``s`` <= ``dim``, ``eps`` >= 0.

    ``noise`` >= 0; ``mode`` is none, sign, uniform, hide or decoy (which needs as many arms as
    dimensions). Raises ValueError for an argument out of range.
    """
    dim, n_arms = integer("dim", dim, 1), integer("n_arms", n_arms, 2)
    mode = choice("mode", mode, MODES)
    if mode == "decoy" and n_arms < dim:
        raise ValueError(f"n_arms must be at least dim, {dim}, for mode decoy, got {n_arms}")
    params = BenignGauss(
        dim,
        n_arms,
        integer("s", s, 1, dim),
        nonnegative("eps", eps),
        nonnegative("noise", noise),
        MODES.index(mode),
    )
    return misspecified(params, init, n_arms, dim)
