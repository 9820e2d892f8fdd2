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
from banditlab.core import kernel, kernel_in_loop, kernel_inline


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


@kernel_inline
def rotate(state, x, arm, reward, columns):
    """Learn from a reward; the first ``columns`` columns of the factor follow."""
    dim = x.shape[1]
    shown = arm if x.shape[0] > 1 else 0
    row = state.row[:columns]
    for j in range(columns):
        row[j] = 0.0
    for i in range(dim):
        row[i] = x[shown, i]
    row[dim] = reward
    linalg.update_cholesky(state.factor[model(state, arm)], row)


@kernel_in_loop
def update(params, state, t, x, arm, reward, rng):
    """``update`` of the family."""
    rotate(state, x, arm, reward, x.shape[1] + 1)


@kernel_inline
def predict_first(state, x, n):
    """`predict` for the first ``n`` arms."""
    dim = state.white.shape[0]
    joint = state.factor.shape[0] == 1
    row = state.row[:dim]
    for k in range(n):
        shown = k if x.shape[0] > 1 else 0
        for i in range(dim):
            row[i] = x[shown, i]
        for _ in range(0 if joint else 1):
            linalg.solve_lower(state.factor[model(state, k)], row)
        for i in range(dim):
            state.white[i, k] = row[i]
        state.mean[k] = 0.0
        state.form[k] = 0.0
    linalg.solve_lower_columns(state.factor[0], state.white, n if joint else 0)
    for i in range(dim):
        for k in range(n):
            w = state.white[i, k]
            state.mean[k] += w * state.factor[model(state, k), i, dim]
            state.form[k] += w * w


@kernel
def predict(state, x):
    """Write to ``state.mean`` the estimated mean of every arm, to ``state.form`` x A^-1 x.

    The columns of ``state.white`` become the whitened features.
    """
    predict_first(state, x, state.mean.size)


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
