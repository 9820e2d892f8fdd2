"""ESTC, explore the sparsity then commit (Hao, Lattimore & Wang 2020, NeurIPS).

"High-dimensional sparse linear bandits". For ``explore`` rounds every arm is equally likely; then a
Lasso of these rounds (:mod:`banditlab.parts.lasso`) is the estimate for ever, and greed plays it.
The paper's loss has 1/n in place of 1/(2 n) and the level 4 sigma sqrt(ln d / n), hence here::

    lam = 2 sigma sqrt(ln d / explore)

With ``explore = 0`` the paper's theorem chooses it from the horizon T, the sparsity s, the largest
mean reward r_max and c_min, the smallest eigenvalue of the second moments of what is explored::

    explore = (2 (s sigma T / (r_max c_min))^2 ln(2 d))^(1/3)

The algorithm and its constants are from memory. The paper explores by the law over fixed arms that
makes c_min largest; here it is the even one, which serves features that change every round as well.

>>> import banditlab
>>> banditlab.make("estc", explore=100).params.explore
100
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts import lasso
from banditlab.protocols.online import Online
from banditlab.random import categorical
from banditlab.validate import integer, positive

label = "ESTC"

TOLERANCE = 1e-8  # of the Lasso's conditions
UNKNOWN_HORIZON = 200.0  # rounds of exploration where the theorem has no horizon

example = {"name": "sparse_contexts", "dim": 6, "n_arms": 4, "s": 2}


class ESTC(NamedTuple):
    """Hyper-parameters; the last three are read if ``explore`` is 0."""

    explore: int = 200  # >= 0: rounds of exploration; 0: by the theorem
    sigma: float = 1.0  # > 0: standard deviation of rewards
    s: int = 3  # >= 1: features that matter
    r_max: float = 1.0  # > 0: largest mean reward
    c_min: float = 1.0  # > 0: smallest eigenvalue of the explored second moments


class State(NamedTuple):
    """Sums over the explored rows, and the estimate."""

    left: np.ndarray  # (1,) float64: rounds of exploration to come
    rows: np.ndarray  # (1,) float64: rows explored
    gram: np.ndarray  # (dim, dim) float64: sum x x.T
    moment: np.ndarray  # (dim,) float64: sum reward x
    theta: np.ndarray  # (dim,) float64: the Lasso once exploration is over, 0 before
    grad: np.ndarray  # (dim,) float64: scratch
    odds: np.ndarray  # (n_arms,) float64: scratch


@kernel
def rounds(params, task):
    """How many rounds explore."""
    if params.explore > 0:
        return params.explore * 1.0
    if task.horizon == 0:
        return UNKNOWN_HORIZON
    scale = params.s * params.sigma * task.horizon / (params.r_max * params.c_min)
    cube = 2.0 * scale * scale * numeric.log(2.0 * task.dim)
    return min(math.floor(math.pow(cube, 1.0 / 3.0)) + 1.0, task.horizon * 1.0)


@kernel
def init(params, task, rng):
    return State(
        np.full(1, rounds(params, task)),
        np.zeros(1),
        np.zeros((task.dim, task.dim)),
        np.zeros(task.dim),
        np.zeros(task.dim),
        np.zeros(task.dim),
        np.zeros(task.n_arms),
    )


@kernel
def propensities(params, state, t, x, out):
    lasso.greedy(x, state.theta, out)
    for k in range(out.size if state.left[0] > 0.0 else 0):
        out[k] = 1.0 / out.size


@kernel
def act(params, state, t, x, rng):
    propensities(params, state, t, x, state.odds)
    return categorical(rng, state.odds)


@kernel
def recommend(params, state, x, rng, out):
    propensities(params, state, 0, x, out)


@kernel
def update(params, state, t, x, arm, reward, rng):
    if state.left[0] > 0.0:
        lasso.add_row(state.gram, state.moment, x[arm if x.shape[0] > 1 else 0], reward)
        state.left[0] -= 1.0
        state.rows[0] += 1.0
        if state.left[0] <= 0.0:
            n = state.rows[0]
            lam = 2.0 * params.sigma * math.sqrt(numeric.log(float(state.theta.size)) / n)
            lasso.minimise(
                state.gram,
                state.moment,
                n * lam,
                state.theta,
                state.grad,
                n * TOLERANCE,
                lasso.SWEEPS,
            )


def estc(
    explore: int = 200, sigma: float = 1.0, s: int = 3, r_max: float = 1.0, c_min: float = 1.0
) -> Online:
    """ESTC that explores for ``explore`` rounds, or for as many as the theorem says (0).

    ``sigma`` > 0 is the standard deviation of rewards. ``s`` >= 1, ``r_max`` > 0 and ``c_min`` > 0
    belong to the theorem, as does the horizon: without one it explores for 200 rounds. Features are
    needed. Raises ValueError for a number out of range.
    """
    params = ESTC(
        integer("explore", explore, 0),
        positive("sigma", sigma),
        integer("s", s, 1),
        positive("r_max", r_max),
        positive("c_min", c_min),
    )
    return Online(params, init, act, update, recommend, propensities, features=True)
