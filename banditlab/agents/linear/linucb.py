"""LinUCB (Li, Chu, Langford & Schapire 2010, Algorithm 1) and OFUL (Abbasi-Yadkori et al. 2011).

Rewards are linear in the features ``x`` of an arm. With ``A = ridge I + sum x x.T`` and
``theta = A^-1 sum reward x``, pull the arm of the largest::

    x . theta + radius * sqrt(x A^-1 x)

LinUCB's ``radius`` is the constant ``alpha``. OFUL's is the radius of a confidence ellipsoid that
holds the true ``theta`` in all rounds at once with probability ``1 - delta``, for noise that is
``noise``-sub-Gaussian and ``|theta| <= bound`` (Theorem 2 there)::

    noise * sqrt(2 ln(1 / delta) + ln det(A / ridge)) + sqrt(ridge) * bound

>>> import banditlab
>>> agent = banditlab.Agent("linucb", n_arms=2, dim=2)
>>> agent.update([[1, 0], [0, 1]], arm=1, reward=1.0)
>>> agent.recommend([[1, 0], [0.1, 1]])
array([0., 1.])
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.agents import ridge as regression
from banditlab.check import between, nonnegative, positive
from banditlab.core import kernel
from banditlab.protocols.online import Online


class LinUCB(NamedTuple):
    """Hyper-parameters."""

    alpha: float = 1.0  # >= 0: radius when delta is 0
    ridge: float = 1.0  # > 0: prior precision
    disjoint: bool = False  # whether every arm has coefficients of its own
    delta: float = 0.0  # in [0, 1); above 0 the radius is OFUL's
    noise: float = 1.0  # > 0: sub-Gaussian scale of the rewards, read if delta > 0
    bound: float = 1.0  # > 0: of the norm of the coefficients, read if delta > 0


class State(NamedTuple):
    """A ridge regression (banditlab.agents.ridge), and predictions for features that stand still.

    ``columns`` is ``dim + 1 + n_arms``, or ``dim + 1`` if disjoint.
    """

    factor: np.ndarray  # (n_models, dim, columns) float64: u, z, and whitened ``shown`` if current
    row: np.ndarray  # (columns,) float64: scratch
    white: np.ndarray  # (dim, n_arms) float64: scratch, the whitened features
    mean: np.ndarray  # (n_arms,) float64: scratch, estimated mean rewards
    form: np.ndarray  # (n_arms,) float64: scratch, x A^-1 x
    shown: np.ndarray  # (n_arms, dim) float64: the features of the latest reward
    shown_mean: np.ndarray  # (n_arms,) float64: their estimated mean rewards, if current
    shown_form: np.ndarray  # (n_arms,) float64: their x A^-1 x, if current
    growth: np.ndarray  # (1,) float64: current if at most LIMIT; det A now over det A then


# Differences lose digits: at most this factor before predictions are made from scratch.
LIMIT = 1e4


@kernel
def init(params, task, rng):
    r = regression.init(params, task, rng)
    n_models, dim = r.factor.shape[:2]
    columns = dim + 1 if n_models > 1 else dim + 1 + task.n_arms
    factor = np.zeros((n_models, dim, columns))
    factor[:, :, : dim + 1] = r.factor
    shown = np.full((task.n_arms, dim), np.nan)
    mean = np.zeros(task.n_arms)
    growth = np.full(1, np.inf)
    return State(
        factor, np.zeros(columns), r.white, r.mean, r.form, shown, mean, mean.copy(), growth
    )


@kernel
def radius(params, factor):
    """How many widths above the estimate the index lies."""
    if params.delta == 0.0:
        return params.alpha
    dim = factor.shape[0]
    half_log_det = -0.5 * dim * numeric.log(params.ridge)
    for i in range(dim):
        half_log_det += numeric.log(factor[i, i])
    inside = 2.0 * (half_log_det - numeric.log(params.delta))
    return params.noise * math.sqrt(max(inside, 0.0)) + math.sqrt(params.ridge) * params.bound


@kernel
def largest(params, factor, mean, form):
    """The arm of the largest index."""
    scale = radius(params, factor[0])
    best = -np.inf
    arm = 0
    for k in range(mean.size):
        if k > 0 and factor.shape[0] > 1:
            scale = radius(params, factor[k])
        value = mean[k] + scale * math.sqrt(form[k])
        if value > best:
            best = value
            arm = k
    return arm


@kernel
def keep(state, x, current):
    """Note the features and, if asked for, their predictions."""
    n_arms, dim = x.shape
    for k in range(n_arms):
        for i in range(dim):
            state.shown[k, i] = x[k, i]
    if current:
        regression.predict(state, x)
        state.growth[0] = 1.0
        for k in range(n_arms):
            state.shown_mean[k] = state.mean[k]
            state.shown_form[k] = state.form[k]
        for i in range(dim):
            for k in range(state.factor.shape[2] - dim - 1):
                state.factor[0, i, dim + 1 + k] = state.white[i, k]


@kernel
def differences(x, y):
    """In how many places two matrices of one shape differ."""
    now, then = x.flat, y.flat
    count = 0
    for i in range(x.size):
        count += 1 if now[i] != then[i] else 0
    return count


@kernel
def act(params, state, t, x, rng):
    known = state.growth[0] <= LIMIT and x.size == state.shown.size
    if known and differences(x, state.shown) == 0:
        return largest(params, state.factor, state.shown_mean, state.shown_form)
    regression.predict(state, x)
    return largest(params, state.factor, state.mean, state.form)


@kernel
def update(params, state, t, x, arm, reward, rng):
    n_arms, dim = state.shown.shape
    disjoint = state.factor.shape[0] > 1
    row = arm if x.shape[0] > 1 else 0
    differ = 0 if x.shape[0] == n_arms else 1
    for i in range(dim):
        differ += 1 if x[row, i] != state.shown[arm, i] else 0
    # Whoever shows a row again is likely to show all again: worth keeping up. ``act`` makes sure.
    current = differ == 0 and state.growth[0] <= LIMIT
    columns = state.factor.shape[2] if current else dim + 1
    regression.rotate(state, x, arm, reward, columns)
    if not current:
        state.growth[0] = np.inf
        if x.shape[0] == n_arms:
            keep(state, x, differ == 0)
    elif disjoint:
        regression.predict_arm(state, x, arm)
        state.shown_mean[arm] = state.mean[arm]
        state.shown_form[arm] = state.form[arm]
    else:
        state.growth[0] *= 1.01 + state.shown_form[arm]  # the 1.01: at most 926 times
        residual = state.row[dim]
        for k in range(n_arms):
            lost = state.row[dim + 1 + k]
            state.shown_mean[k] -= lost * residual
            state.shown_form[k] -= lost * lost


def linucb(
    alpha: float = 1.0,
    ridge: float = 1.0,
    disjoint: bool = False,
    delta: float = 0.0,
    noise: float = 1.0,
    bound: float = 1.0,
) -> Online:
    """LinUCB of radius ``alpha`` >= 0, or OFUL when 0 < ``delta`` < 1, and ``ridge`` > 0.

    ``noise`` > 0 and ``bound`` > 0 belong to OFUL. The task must have ``dim`` >= 1. Features may
    differ between arms, or be one row that all arms share; the latter tells arms apart only with
    ``disjoint``, which gives every arm its own coefficients (and OFUL's ellipsoid, for which
    ``delta`` then holds per arm). Ties go to the lowest arm.

    Raises ValueError for a number out of range.
    """
    params = LinUCB(
        nonnegative("alpha", alpha),
        positive("ridge", ridge),
        bool(disjoint),
        between("delta", delta, 0.0, np.nextafter(1.0, 0.0)),
        positive("noise", noise),
        positive("bound", bound),
    )
    return Online(params, init, act, update, regression.recommend, features=True)
