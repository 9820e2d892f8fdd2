"""SA-Lasso, the sparsity-agnostic Lasso bandit (Oh, Iyengar & Zeevi 2021, ICML, Algorithm 1).

Every round pulls the arm of the largest ``x . theta``, theta being the Lasso of all rows so far
(:mod:`banditlab.parts.lasso`), after round t with the level::

    lam_t = lam0 sqrt((4 ln t + 2 ln d) / t),   lam0 = 2 sigma x_max

It knows nothing of how many features matter, and explores only because features change. ``x_max``
is the largest absolute value of a feature: with the largest norm of a row, sqrt(d) times that, the
level is so high that theta stays 0. While theta is 0 arm 0 is pulled.

The formulas are from memory. The authors' program fits from round 6 on and with an intercept; here,
as in the algorithm, every round fits and there is none.

>>> import banditlab
>>> banditlab.make("sa_lasso", sigma=0.5).params
SALasso(sigma=0.5, x_max=1.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts import lasso
from banditlab.protocols.online import Online
from banditlab.validate import positive

label = "SA-Lasso"

TOLERANCE = 1e-6  # of the Lasso's conditions
SWEEPS = 1000

example = {"name": "sparse_contexts", "dim": 6, "n_arms": 4, "s": 2}


class SALasso(NamedTuple):
    """Hyper-parameters."""

    sigma: float = 1.0  # > 0: standard deviation of rewards
    x_max: float = 1.0  # > 0: largest absolute value of a feature


class State(NamedTuple):
    """Sums over the rows, and the Lasso."""

    rows: np.ndarray  # (1,) float64: rewards seen
    gram: np.ndarray  # (dim, dim) float64: sum x x.T
    moment: np.ndarray  # (dim,) float64: sum reward x
    theta: np.ndarray  # (dim,) float64: the last Lasso
    grad: np.ndarray  # (dim,) float64: scratch
    rule: np.ndarray  # (n_arms,) float64: scratch


@kernel
def init(params, task, rng):
    return State(
        np.zeros(1),
        np.zeros((task.dim, task.dim)),
        np.zeros(task.dim),
        np.zeros(task.dim),
        np.zeros(task.dim),
        np.zeros(task.n_arms),
    )


@kernel
def recommend(params, state, x, rng, out):
    lasso.greedy(x, state.theta, out)


@kernel
def act(params, state, t, x, rng):
    lasso.greedy(x, state.theta, state.rule)
    arm = 0
    for k in range(state.rule.size):
        arm = k if state.rule[k] > 0.0 else arm
    return arm


@kernel
def update(params, state, t, x, arm, reward, rng):
    lasso.add_row(state.gram, state.moment, x[arm if x.shape[0] > 1 else 0], reward)
    state.rows[0] += 1.0
    n = state.rows[0]
    logs = 4.0 * numeric.log(n) + 2.0 * numeric.log(float(state.theta.size))
    lam = 2.0 * params.sigma * params.x_max * math.sqrt(max(logs, 0.0) / n)
    lasso.minimise(
        state.gram, state.moment, n * lam, state.theta, state.grad, n * TOLERANCE, SWEEPS
    )


def sa_lasso(sigma: float = 1.0, x_max: float = 1.0) -> Online:
    """SA-Lasso for rewards of standard deviation ``sigma`` > 0 and features up to ``x_max`` > 0.

    Features are needed. Ties go to the lowest arm. Raises ValueError for a number out of range.
    """
    params = SALasso(positive("sigma", sigma), positive("x_max", x_max))
    return Online(params, init, act, update, recommend, features=True)
