"""Ridge regression of rewards on features, one round at a time: what linear agents remember.

With the precision ``A = ridge I + sum x x.T`` and ``b = sum reward x`` the estimate is
``A^-1 b``. Kept are the Cholesky factor ``u`` of ``A = u.T u`` and ``z`` with ``u.T z = b``; a
round rotates ``[x, reward]`` into ``[u, z]`` (:func:`banditlab.linalg.update_cholesky`). In the
whitened features ``w = u.T^-1 x`` of an arm the estimate and its width are plain sums::

    x A^-1 b = w . z          x A^-1 x = w . w

Nothing is ever subtracted from the information, so nothing drifts and nothing needs a refresh.

One coefficient vector serves all arms, or, with ``disjoint``, every arm has its own
("hybrid" models are not offered).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import linalg
from banditlab.core import features, kernel, kernel_inline


class Ridge(NamedTuple):
    """What the family remembers; ``n_models`` is ``n_arms`` if disjoint, else 1."""

    factor: np.ndarray  # (n_models, dim, dim + 1) float64: u, upper triangular, and z beside it
    row: np.ndarray  # (dim + 1,) float64: scratch
    white: np.ndarray  # (dim, n_arms) float64: scratch, the whitened features
    mean: np.ndarray  # (n_arms,) float64: scratch, estimated mean rewards
    form: np.ndarray  # (n_arms,) float64: scratch, x A^-1 x


@kernel
def init(params, task, rng):
    """``init`` of the family; ``params`` has the fields ``ridge`` and ``disjoint``."""
    n_models = task.n_arms if params.disjoint else 1
    factor = np.zeros((n_models, task.dim, task.dim + 1))
    root = math.sqrt(params.ridge)
    for m in range(n_models):
        for i in range(task.dim):
            factor[m, i, i] = root
    return Ridge(
        factor,
        np.zeros(task.dim + 1),
        np.zeros((task.dim, task.n_arms)),
        np.zeros(task.n_arms),
        np.zeros(task.n_arms),
    )


@kernel_inline
def model(state, arm):
    """The number of the regression that ``arm`` belongs to."""
    return arm if state.factor.shape[0] > 1 else 0


@kernel
def update(params, state, t, x, arm, reward, rng):
    """``update`` of the family."""
    row = state.row
    shown = features(x, arm)
    for i in range(shown.size):
        row[i] = shown[i]
    row[shown.size] = reward
    linalg.update_cholesky(state.factor[model(state, arm)], row)


@kernel
def whiten(state, x):
    """Write the whitened features of every arm to the columns of ``state.white``."""
    dim, n_arms = state.white.shape
    if state.factor.shape[0] == 1:
        for k in range(n_arms):
            shown = features(x, k)
            for i in range(dim):
                state.white[i, k] = shown[i]
        linalg.solve_lower_columns(state.factor[0], state.white)
    else:
        row = state.row[:dim]
        for k in range(n_arms):
            shown = features(x, k)
            for i in range(dim):
                row[i] = shown[i]
            linalg.solve_lower(state.factor[k], row)
            for i in range(dim):
                state.white[i, k] = row[i]


@kernel
def predict(state, x):
    """Write to ``state.mean`` the estimated mean of every arm and to ``state.form`` x A^-1 x."""
    whiten(state, x)
    dim, n_arms = state.white.shape
    for k in range(n_arms):
        state.mean[k] = 0.0
        state.form[k] = 0.0
    for i in range(dim):
        for k in range(n_arms):
            w = state.white[i, k]
            state.mean[k] += w * state.factor[model(state, k), i, dim]
            state.form[k] += w * w


@kernel
def recommend(params, state, x, rng, out):
    """Even odds over the arms of the largest estimated mean."""
    predict(state, x)
    best = -np.inf
    ties = 0.0
    for k in range(out.size):
        if state.mean[k] > best:
            best = state.mean[k]
            ties = 0.0
        ties += 1.0 if state.mean[k] == best else 0.0
    for k in range(out.size):
        out[k] = 1.0 / ties if state.mean[k] == best else 0.0
