"""The thresholded Lasso bandit (Ariu, Abe & Proutiere 2022, "Thresholded Lasso bandit", ICML).

After round t (from 1) the Lasso of all rows (:mod:`banditlab.parts.lasso`) has the level::

    lam_t = lam0 sqrt(2 ln t ln d / t)

Two thresholds find the support S1, on which least squares estimates theta, and greed plays it::

    S0 = {j: |theta_j| > 4 lam_t}       S1 = {j in S0: |theta_j| > 4 lam_t sqrt(|S0|)}

There is no other exploration, and no knowledge of how many features matter: that they change from
round to round explores. While S1 is empty every arm is equally likely. In the first round theta is
0 and arm 0 is pulled, as in the authors' program.

The Lasso is refitted every round, from the last fit on, until its conditions hold up to 1e-6. Ours:
lam_t is at least 1e-6 (at t = 1 it would be 0, and the minimum not unique), and a feature of S1
that depends linearly on earlier ones gets the coefficient 0.

>>> import banditlab
>>> agent = banditlab.Agent("th_lasso", n_arms=2, dim=3)
>>> for t in range(20):
...     agent.update([[t % 2, 1, t % 3], [1, t % 2, 0]], arm=0, reward=2.0 * (t % 2))
>>> agent.act([[0, 1, 2], [1, 0, 0]])
1
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
from banditlab.validate import positive

label = "thresholded Lasso"

TOLERANCE = 1e-6  # of the Lasso's conditions
FLOOR = 1e-6  # of its level
SWEEPS = 1000

example = {"name": "sparse_contexts", "dim": 6, "n_arms": 4, "s": 2}


class ThLasso(NamedTuple):
    """Hyper-parameters."""

    lam0: float = 0.02  # > 0: scale of the Lasso's level


class State(NamedTuple):
    """Sums over the rows, and the two estimates."""

    rows: np.ndarray  # (1,) float64: rewards seen
    gram: np.ndarray  # (dim, dim) float64: sum x x.T
    moment: np.ndarray  # (dim,) float64: sum reward x
    lasso: np.ndarray  # (dim,) float64: the last Lasso
    grad: np.ndarray  # (dim,) float64: scratch
    theta: np.ndarray  # (dim,) float64: least squares on the support
    empty: np.ndarray  # (1,) bool: whether the support is
    odds: np.ndarray  # (n_arms,) float64: scratch


@kernel
def init(params, task, rng):
    return State(
        np.zeros(1),
        np.zeros((task.dim, task.dim)),
        np.zeros(task.dim),
        np.zeros(task.dim),
        np.zeros(task.dim),
        np.zeros(task.dim),
        np.zeros(1, np.bool_),
        np.zeros(task.n_arms),
    )


@kernel
def propensities(params, state, t, x, out):
    lasso.greedy(x, state.theta, out)
    for k in range(out.size if state.empty[0] else 0):
        out[k] = 1.0 / out.size


@kernel
def act(params, state, t, x, rng):
    propensities(params, state, t, x, state.odds)
    return categorical(rng, state.odds)


@kernel
def recommend(params, state, x, rng, out):
    propensities(params, state, 0, x, out)


@kernel
def level(params, n, dim):
    """lam_t after ``n`` rounds."""
    logs = 2.0 * numeric.log(n) * numeric.log(float(dim))
    return max(params.lam0 * math.sqrt(max(logs, 0.0) / n), FLOOR)


@kernel
def support(estimate, lam, out):
    """Write the places of S1 to ``out``; returns how many they are."""
    first = 0
    for j in range(estimate.size):
        first += 1 if abs(estimate[j]) > 4.0 * lam else 0
    cut = 4.0 * lam * math.sqrt(max(first, 1))
    n = 0
    for j in range(estimate.size):
        if abs(estimate[j]) > cut:
            out[n] = j
            n += 1
    return n


@kernel
def update(params, state, t, x, arm, reward, rng):
    lasso.add_row(state.gram, state.moment, x[arm if x.shape[0] > 1 else 0], reward)
    state.rows[0] += 1.0
    n = state.rows[0]
    lam = level(params, n, state.theta.size)
    lasso.minimise(
        state.gram, state.moment, n * lam, state.lasso, state.grad, n * TOLERANCE, SWEEPS
    )
    places = np.empty(state.theta.size, np.int64)
    found = support(state.lasso, lam, places)
    state.empty[0] = found == 0
    lasso.least_squares(state.gram, state.moment, places[:found], state.theta)


def th_lasso(lam0: float = 0.02) -> Online:
    """The thresholded Lasso bandit, with the level's scale ``lam0`` > 0; features are needed.

    Ties go to the lowest arm. Raises ValueError for ``lam0`` out of range.
    """
    return Online(
        ThLasso(positive("lam0", lam0)), init, act, update, recommend, propensities, features=True
    )
