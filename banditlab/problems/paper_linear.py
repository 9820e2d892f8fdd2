"""The linear instance of fixed-budget private identification: 30 arms, 2 features, one decoy.

Chen, Karthik, Chee & Tan 2024, "Fixed-Budget Differentially Private Best Arm Identification",
section on experiments. With theta = (.045, .5) the arms are ::

    a_1 = (0, 1)    a_2 = (0, .9)    a_3 = (10, 0)    a_i = (1, omega_i), i = 4, ..., 30

with means .5, .45, .45 and .045 + .5 omega_i. The omegas fill [0, .8]: evenly, .8 (i - 4) / 27
(``omega = "grid"``, ours, the same for everyone), or drawn anew for every replication ("random",
the paper's). A reward is uniform on [0, 2 mean]. Arm 3 shows the first coordinate of theta ten
times better than any other arm; arms 2 and 3 are the hard ones. On the grid the hardness is max_i i
/ gap_i^2 = 1200, and max_i i / (epsilon gap_i) = 60 / epsilon for privacy, with i up to d^2 = 4.
Features and theta give means in [0, 1] and this hardness; the text was not at hand to compare them
with.

>>> import banditlab
>>> banditlab.make_problem("paper_linear").shape
(30, 1, 2)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.problems.lin_sphere import observe, regret, world_of
from banditlab.protocols.online import Problem
from banditlab.random import fork, uniform
from banditlab.validate import choice

N_ARMS, DIM = 30, 2
THETA = (0.045, 0.5)

example = {"omega": "grid"}


class PaperLinear(NamedTuple):
    """Parameters."""

    omega: str = "grid"  # or "random"


@kernel
def linear_world(x):
    mean = np.empty(N_ARMS)
    for k in range(N_ARMS):
        mean[k] = THETA[0] * x[k, 0] + THETA[1] * x[k, 1]
    return world_of(x, mean)


@kernel
def fixed_arms():
    """The features; those of the arms 4, 5, ... on the grid."""
    x = np.zeros((N_ARMS, DIM))
    x[0, 1] = 1.0
    x[1, 1] = 0.9
    x[2, 0] = 10.0
    for k in range(3, N_ARMS):
        x[k, 0] = 1.0
        x[k, 1] = 0.8 * (k - 3) / 27.0
    return x


@kernel
def init_grid(params, rng):
    return linear_world(fixed_arms())


@kernel
def init_random(params, rng):
    x = fixed_arms()
    local = fork(rng)
    for k in range(3, N_ARMS):
        x[k, 1] = 0.8 * uniform(local)
    return linear_world(x)


@kernel
def pull(params, world, x, arm, rng):
    return 2.0 * world.mean[arm] * uniform(rng)


def paper_linear(omega: str = "grid") -> Problem:
    """The instance with 30 arms and 2 features; ``omega`` is "grid" or "random".

    Raises ValueError for another ``omega``.
    """
    params = PaperLinear(choice("omega", omega, ("grid", "random")))
    init = init_grid if params.omega == "grid" else init_random
    return Problem(params, init, observe, pull, regret, (N_ARMS, 1, DIM))
