"""LinUCB (Chu, Li, Reyzin & Schapire 2011, Algorithm 1) and OFUL (Abbasi-Yadkori et al. 2011).

Rewards are linear in the features ``x`` of an arm. With ``A = ridge I + sum x x.T`` and
``theta = A^-1 sum reward x``, pull the arm of the largest::

    x . theta + radius * sqrt(x A^-1 x)

By default all arms share one ``theta``, as in those papers; with ``disjoint`` every arm has its
own, as in Algorithm 1 of Li, Chu, Langford & Schapire 2010, from where LinUCB has its name.

With ``bonus="official"`` the bonus is not under a root, ``alpha * (x A^-1 x)``: so it stands in the
programs that the papers on neural bandits compare with (NeuralTS, Zhang et al. 2021; EE-Net, Ban et
al. 2022), whose lambda is ``ridge`` and whose nu is ``alpha^2 / ridge``.

LinUCB's ``radius`` is the constant ``alpha``. OFUL's is the radius of a confidence ellipsoid that
holds the true ``theta`` in all rounds at once with probability ``1 - delta``, for noise that is
``noise``-sub-Gaussian and ``|theta| <= bound`` (Theorem 2 there)::

    noise * sqrt(2 ln(1 / delta) + ln det(A / ridge)) + sqrt(ridge) * bound

Features that come again, round after round, cost O(n_arms dim) a round instead of O(n_arms dim^2):
their whitened form ``w`` (banditlab.parts.ridge) is rotated with the factor, and what is left over
of every ``w . w`` and ``w . z`` is subtracted from the last predictions. Which features these are
is decided where rewards are learned; ``act`` uses what it finds if it is shown the same, else it
computes from scratch, and remembers nothing.

LinUCB's choices were compared one by one with those of a public implementation: they agree.

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
from banditlab.core import kernel, kernel_in_loop, kernel_inline
from banditlab.parts import ridge as regression
from banditlab.protocols.online import Online
from banditlab.validate import below_one, choice, flag, nonnegative, positive

label = "LinUCB"


class LinUCB(NamedTuple):
    """Hyper-parameters."""

    alpha: float = 1.0  # >= 0: radius when delta is 0
    ridge: float = 1.0  # > 0: prior precision
    disjoint: bool = False  # whether every arm has coefficients of its own
    delta: float = 0.0  # in [0, 1); above 0 the radius is OFUL's
    noise: float = 1.0  # > 0: sub-Gaussian scale of the rewards, read if delta > 0
    bound: float = 1.0  # > 0: of the norm of the coefficients, read if delta > 0


class Official(NamedTuple):
    """Hyper-parameters where ``bonus`` is not the default."""

    alpha: float  # >= 0
    ridge: float  # > 0
    disjoint: bool  # as above
    delta: float  # 0
    noise: float  # not read
    bound: float  # not read
    bonus: str  # "official"


class State(NamedTuple):
    """A ridge regression (banditlab.parts.ridge), and predictions for features that come again.

    ``n_kept`` is ``n_arms``, or 0 if disjoint.
    """

    factor: np.ndarray  # (n_models, dim, dim + 1 + n_kept) float64: u, z, and ``kept`` whitened
    row: np.ndarray  # (dim + 1 + n_kept,) float64: scratch
    white: np.ndarray  # (dim, n_arms) float64: scratch, the whitened features
    mean: np.ndarray  # (n_arms,) float64: scratch, estimated mean rewards
    form: np.ndarray  # (n_arms,) float64: scratch, x A^-1 x
    kept: np.ndarray  # (n_kept, dim) float64: the features of an earlier reward
    kept_mean: np.ndarray  # (n_arms,) float64: their estimated mean rewards, if current
    kept_form: np.ndarray  # (n_arms,) float64: their x A^-1 x, if current
    growth: np.ndarray  # (1,) float64: current up to LIMIT; det A over that of the last refresh


# Differences lose digits, so predictions are made from scratch when det A has grown this much since
# the last time: no form falls by a larger factor, hence at most four digits are lost.
LIMIT = 1e4


@kernel
def init(params, task, rng):
    r = regression.init(params, task, rng)
    n_models = r.factor.shape[0]
    n_kept = 0 if n_models > 1 else task.n_arms
    factor = np.zeros((n_models, task.dim, task.dim + 1 + n_kept))
    for m in range(n_models):
        for i in range(task.dim):
            factor[m, i, i] = r.factor[m, i, i]
    return State(
        factor,
        np.zeros(task.dim + 1 + n_kept),
        r.white,
        r.mean,
        r.form,
        np.zeros((n_kept, task.dim)),
        np.zeros(task.n_arms),
        np.zeros(task.n_arms),
        np.full(1, np.inf),
    )


@kernel_inline
def radius(params, factor, m):
    """How many widths above the estimate the index lies, in regression ``m``."""
    dim = factor.shape[1]
    half_log_det = -0.5 * dim * numeric.log(params.ridge)
    for i in range(dim if params.delta > 0.0 else 0):
        half_log_det += numeric.log(factor[m, i, i])
    inside = 2.0 * (half_log_det - numeric.log(params.delta if params.delta > 0.0 else 1.0))
    oful = params.noise * math.sqrt(max(inside, 0.0)) + math.sqrt(params.ridge) * params.bound
    return oful if params.delta > 0.0 else params.alpha


@kernel_in_loop
def act(params, state, t, x, rng):
    n_arms = state.mean.size
    known = state.growth[0] <= LIMIT and x.size == state.kept.size
    now, then = x.flat, state.kept.flat
    differ = 0
    for i in range(x.size if known else 0):
        differ += 1 if now[i] != then[i] else 0
    known = known and differ == 0
    regression.predict_first(state, x, 0 if known else n_arms)
    best = -np.inf
    arm = 0
    scale = 0.0
    for k in range(n_arms):
        for m in range(k, min(k + 1, state.factor.shape[0])):
            scale = radius(params, state.factor, m)
        mean, form = state.mean[k], state.form[k]
        kept_mean, kept_form = state.kept_mean[k], state.kept_form[k]
        mean = kept_mean if known else mean
        form = kept_form if known else form
        value = mean + scale * math.sqrt(max(form, 0.0))
        arm = k if value > best else arm
        best = value if value > best else best
    return arm


@kernel
def act_official(params, state, t, x, rng):
    regression.predict(state, x)
    best = -np.inf
    arm = 0
    for k in range(state.mean.size):
        value = state.mean[k] + params.alpha * state.form[k]
        arm = k if value > best else arm
        best = value if value > best else best
    return arm


@kernel_in_loop
def update(params, state, t, x, arm, reward, rng):
    dim = x.shape[1]
    comparable = x.size == state.kept.size
    differ = 0
    for i in range(dim if comparable else 0):
        differ += 1 if x[arm, i] != state.kept[arm, i] else 0
    # If the features of one arm came again, all may: worth keeping up. ``act`` compares them all.
    again = comparable and differ == 0
    current = again and state.growth[0] <= LIMIT
    regression.rotate(state, x, arm, reward, state.row.size if current else dim + 1)
    growth = state.growth[0] * (1.01 + state.kept_form[arm])  # the 1.01: at most 926 times
    state.growth[0] = growth if current else np.inf
    residual = state.row[dim]
    for k in range(state.kept.shape[0] if current else 0):
        lost = state.row[dim + 1 + k]
        state.kept_mean[k] -= lost * residual
        state.kept_form[k] -= lost * lost
    for k in range(x.shape[0] if comparable and not current else 0):
        for i in range(dim):
            state.kept[k, i] = x[k, i]
    n = x.shape[0] if again and not current else 0
    regression.predict_first(state, x, n)
    for i in range(dim):
        for k in range(n):
            state.factor[0, i, dim + 1 + k] = state.white[i, k]
    for k in range(n):
        state.kept_mean[k] = state.mean[k]
        state.kept_form[k] = state.form[k]
        state.growth[0] = 1.0


def linucb(
    alpha: float = 1.0,
    ridge: float = 1.0,
    disjoint: bool = False,
    delta: float = 0.0,
    noise: float = 1.0,
    bound: float = 1.0,
    bonus: str = "sqrt",
) -> Online:
    """LinUCB of radius ``alpha`` >= 0, or OFUL when 0 < ``delta`` < 1, and ``ridge`` > 0.

    ``noise`` > 0 and ``bound`` > 0 belong to OFUL. The task must have ``dim`` >= 1. Features may
    differ between arms, or be one row that all arms share; the latter tells arms apart only with
    ``disjoint``, which gives every arm its own coefficients (and OFUL's ellipsoid, for which
    ``delta`` then holds per arm). Ties go to the lowest arm. ``bonus`` is "sqrt" or "official".

    Raises ValueError for a number out of range, and for OFUL with the official bonus.
    """
    params = LinUCB(
        nonnegative("alpha", alpha),
        positive("ridge", ridge),
        flag("disjoint", disjoint),
        below_one("delta", delta),
        positive("noise", noise),
        positive("bound", bound),
    )
    if choice("bonus", bonus, ("sqrt", "official")) == "official":
        if params.delta > 0.0:
            raise ValueError(f"delta must be 0 with bonus 'official', got {params.delta:g}")
        official = Official(*params, "official")
        return Online(official, init, act_official, update, regression.recommend, features=True)
    return Online(params, init, act, update, regression.recommend, features=True)
