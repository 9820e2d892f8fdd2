"""A needle among nearly orthogonal arms: what no algorithm finds but by looking at every arm.

Features are random unit vectors; with ``coherence`` the largest abs(x_i . x_j) of two of them,
theta = gap x_* makes one hidden arm * look like ``gap`` and every other within coherence * gap of
0. The reward of every other arm is exactly 0: a linear model that is wrong by eps = coherence *
gap. Random vectors come near the median that solves ::

    1 - (1 - q)^(k (k - 1) / 2) = 1 / 2,   q = I_{1 - t^2}((dim - 1) / 2, 1 / 2)

for k arms: .68, .53, .42, .43 for (dim, k) = (32, 256), (64, 512), (128, 1024), (128, 2048). That
there are such vectors, and that therefore O(eps) may take as many looks as there are arms, is from
Du, Kakade, Wang & Yang 2020, "Is a good representation sufficient for sample efficient
reinforcement learning?", and Lattimore, Szepesvari & Weisz 2020.

Whatever an algorithm does, within q looks it has found the arm with probability at most q / k.
``seed`` names the features; which arm is hidden is drawn anew for every replication.

>>> import banditlab
>>> banditlab.make_problem("jl_needle", dim=32, n_arms=256).shape
(256, 1, 32)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab import linalg
from banditlab.core import kernel
from banditlab.parts.misspecified import misspecified, world_of
from banditlab.problems.linear import rows_on_sphere
from banditlab.protocols.online import Problem
from banditlab.random import below, fill_splitmix
from banditlab.validate import integer, nonnegative, positive

example = {"dim": 4, "n_arms": 8}


class JlNeedle(NamedTuple):
    """Parameters."""

    dim: int  # >= 2
    n_arms: int  # >= 2
    gap: float  # > 0
    noise: float  # >= 0: standard deviation of rewards
    seed: int  # of the features
    hidden: int  # the arm that pays, -1: drawn anew for every replication


@kernel
def init(params, rng):
    local = np.empty(4, np.uint64)
    fill_splitmix(np.uint64(params.seed), local)
    x = rows_on_sphere(params.n_arms, params.dim, local)
    drawn = below(rng, params.n_arms)
    hidden = params.hidden if params.hidden >= 0 else drawn
    theta = np.empty(params.dim)
    for j in range(params.dim):
        theta[j] = params.gap * x[hidden, j]
    nu = np.empty(params.n_arms)
    linalg.matvec(x, theta, nu)
    eps = 0.0
    for k in range(params.n_arms):
        nu[k] = (params.gap if k == hidden else 0.0) - nu[k]
        eps = max(eps, abs(nu[k]))
    world = world_of(x, theta, nu, eps)
    for k in range(params.n_arms):
        world.mean[k] = params.gap if k == hidden else 0.0  # to the last bit
    world.best[0] = params.gap
    return world


def jl_needle(
    dim: int, n_arms: int, gap: float = 1.0, noise: float = 0.0, seed: int = 0, hidden: int = -1
) -> Problem:
    """``n_arms`` >= 2 unit vectors in ``dim`` >= 2, one of which pays ``gap`` > 0, others 0.

    ``noise`` >= 0; arm ``hidden`` pays, or one drawn at random if it is -1. Raises ValueError for
    an argument out of range.
    """
    params = JlNeedle(
        integer("dim", dim, 2),
        integer("n_arms", n_arms, 2),
        positive("gap", gap),
        nonnegative("noise", noise),
        integer("seed", seed, 0, 2**63 - 1),
        integer("hidden", hidden, -1),
    )
    if params.hidden >= params.n_arms:
        raise ValueError(f"hidden must be an arm, 0 to {params.n_arms - 1}, or -1, got {hidden!r}")
    return misspecified(params, init, params.n_arms, params.dim)
