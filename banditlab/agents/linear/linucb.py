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
def act(params, state, t, x, rng):
    regression.predict(state, x)
    scale = radius(params, state.factor[0])
    best = -np.inf
    arm = 0
    for k in range(state.mean.size):
        if k > 0 and state.factor.shape[0] > 1:
            scale = radius(params, state.factor[k])
        value = state.mean[k] + scale * math.sqrt(state.form[k])
        if value > best:
            best = value
            arm = k
    return arm


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
    return Online(
        params, regression.init, act, regression.update, regression.recommend, features=True
    )
