"""Linear Thompson sampling (Agrawal & Goyal 2013, Algorithm 1).

Rewards are linear in the features ``x`` of an arm. With ``A = ridge I + sum x x.T`` and
``theta = A^-1 sum reward x``, draw::

    theta~ = Normal(theta, scale^2 A^-1)

and pull the arm of the largest ``x . theta~``. For Gaussian noise of standard deviation ``scale``
and the prior ``Normal(0, scale^2 / ridge)`` this is sampling from the posterior; the paper proves
its regret bound for the larger ``scale = noise * sqrt(9 dim ln(rounds / delta))``.

>>> import banditlab
>>> agent = banditlab.Agent("lin_ts", n_arms=2, dim=1)
>>> agent.propensities([[1.0], [-1.0]])
array([0.5, 0.5])
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import linalg, numeric
from banditlab.core import kernel, kernel_in_loop
from banditlab.parts import ridge as regression
from banditlab.protocols.online import Online
from banditlab.random import AGENT, normal, stream
from banditlab.validate import flag, positive

label = "LinTS"

# What draws the estimate of propensities for more than two arms.
KEY = np.array([0x6C696E5F74732121, 0x70726F70656E7321], dtype=np.uint64)
DRAWS = 4000
propensity_error = 0.04  # five standard errors, sqrt(1/4 / DRAWS), of that estimate


class LinTS(NamedTuple):
    """Hyper-parameters."""

    scale: float = 1.0  # > 0: standard deviations of the posterior, in units of reward
    ridge: float = 1.0  # > 0: prior precision
    disjoint: bool = False  # whether every arm has coefficients of its own


@kernel_in_loop
def act(params, state, t, x, rng):
    dim, n_arms = state.white.shape
    n_rows = x.shape[0]
    disjoint = state.factor.shape[0] > 1
    theta = state.row[:dim]
    value = state.mean  # scratch
    for m in range(state.factor.shape[0]):
        for i in range(dim):
            theta[i] = state.factor[m, i, dim] + params.scale * normal(rng)
        linalg.solve_upper(state.factor[m], theta)
        first = m if disjoint and n_rows > 1 else 0
        count = 1 if disjoint else n_rows
        linalg.matvec(x[first : first + count], theta, value[m : m + count])
    best = -np.inf
    arm = 0
    for k in range(n_arms if disjoint else n_rows):  # one row for all arms: the lowest
        arm = k if value[k] > best else arm
        best = value[k] if value[k] > best else best
    return arm


@kernel
def propensities(params, state, t, x, out):
    """Exact for two arms; else frequencies of 4000 draws that are the same in every call.

    In the whitened features ``w`` of an arm its sampled value is ``w . (z + scale * normal)``.
    """
    regression.predict(state, x)
    dim, n_arms = state.white.shape
    disjoint = state.factor.shape[0] > 1
    if n_arms == 2:
        variance = state.form[0] + state.form[1]
        if not disjoint:
            variance = 0.0
            for i in range(dim):
                gap = state.white[i, 0] - state.white[i, 1]
                variance += gap * gap
        lead = state.mean[0] - state.mean[1]
        if variance > 0.0:
            out[0] = numeric.normal_cdf(lead / (params.scale * math.sqrt(variance)))
        else:
            out[0] = 1.0 if lead >= 0.0 else 0.0
        out[1] = 1.0 - out[0]
        return
    for k in range(n_arms):
        out[k] = 0.0
    rng = stream(KEY, 0, AGENT)
    noise = state.row[:dim]
    for _ in range(DRAWS):
        best = -np.inf
        arm = 0
        for k in range(n_arms):
            if k == 0 or disjoint:
                for i in range(dim):
                    noise[i] = normal(rng)
            value = 0.0
            for i in range(dim):
                value += state.white[i, k] * noise[i]
            value = state.mean[k] + params.scale * value
            if value > best:
                best = value
                arm = k
        out[arm] += 1.0 / DRAWS


def lin_ts(scale: float = 1.0, ridge: float = 1.0, disjoint: bool = False) -> Online:
    """Linear Thompson sampling with ``scale`` > 0 and ``ridge`` > 0.

    The task must have ``dim`` >= 1. Features may differ between arms, or be one row that all arms
    share; the latter tells arms apart only with ``disjoint``, which gives every arm its own
    coefficients. Propensities are exact for two arms; for more they are an estimate of standard
    error at most 0.008.

    Raises ValueError when ``scale`` or ``ridge`` is not positive and finite.
    """
    params = LinTS(positive("scale", scale), positive("ridge", ridge), flag("disjoint", disjoint))
    return Online(
        params,
        regression.init,
        act,
        regression.update,
        regression.recommend,
        propensities,
        features=True,
    )
