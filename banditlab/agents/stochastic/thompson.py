"""Thompson sampling (Thompson 1933): draw a mean for each arm from its posterior, pull the largest.

``sigma = 0``: rewards in [0, 1] and prior Beta(1, 1). A reward strictly between 0 and 1 is first
replaced by a coin flip with that probability (Agrawal & Goyal 2012, Algorithm 2), so that the
posterior is Beta(1 + successes, 1 + failures). ``sigma > 0``: Gaussian rewards of that standard
deviation and a flat prior, so that the posterior is N(mean, sigma^2 / pulls); arms never pulled
come first.

The probability that arm k is pulled next is the integral of ``f_k(x) prod_{j != k} F_j(x)``, with
densities f and distribution functions F of the posteriors. ``propensities`` computes it by
quadrature with an error below 1e-8; for ten arms that takes some milliseconds.

>>> import banditlab
>>> banditlab.make("thompson", sigma=0.5).params
Thompson(sigma=0.5)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import context, kernel, kernel_in_loop, kernel_inline
from banditlab.parts.index import (
    add_reward,
    new_moments,
    recommend_best_mean,
    update_moments,
)
from banditlab.protocols.online import ANY_REWARD, UNIT_REWARD, Online
from banditlab.random import beta, normal, uniform
from banditlab.validate import nonnegative

label = "Thompson sampling"

# Posterior quantiles of every arm at these levels cut the line into panels on which all densities
# and distribution functions are smooth; each panel gets a Gauss-Legendre rule of 8 points.
LEVELS = (1e-11, 1e-6, 1e-3, 0.03, 0.2, 0.5, 0.8, 0.97, 0.999, 1.0 - 1e-6, 1.0 - 1e-11)
NODES = (0.18343464249564980, 0.52553240991632899, 0.79666647741362674, 0.96028985649753623)
WEIGHTS = (0.36268378337836198, 0.31370664587788729, 0.22238103445337447, 0.10122853629037626)


class Thompson(NamedTuple):
    """Hyper-parameters."""

    sigma: float = 0.0  # >= 0; 0 stands for rewards in [0, 1]


@kernel
def update_coin(params, state, t, x, arm, reward, rng):
    s = context(state.pulls.shape[0], x)
    add_reward(params, state, s, arm, 1.0 if uniform(rng) < reward else 0.0)


@kernel_in_loop
def act_beta(params, state, t, x, rng):
    s = context(state.pulls.shape[0], x)
    best = -np.inf
    arm = 0
    for k in range(state.pulls.shape[1]):
        wins = state.sums[s, k]
        value = beta(rng, 1.0 + wins, 1.0 + state.pulls[s, k] - wins)
        larger = value > best
        best = value if larger else best
        arm = k if larger else arm
    return arm


@kernel
def act_normal(params, state, t, x, rng):
    s = context(state.pulls.shape[0], x)
    best = -np.inf
    arm = 0
    for k in range(state.pulls.shape[1]):
        inv = state.inv[s, k]
        value = state.sums[s, k] * inv + params.sigma * math.sqrt(inv) * normal(rng)
        value = value if state.pulls[s, k] > 0.0 else np.inf
        larger = value > best
        best = value if larger else best
        arm = k if larger else arm
    return arm


@kernel_inline
def beta_quantile(params, pulls, wins, level):
    return numeric.beta_quantile(level, 1.0 + wins, 1.0 + pulls - wins)


@kernel_inline
def beta_cdf(params, pulls, wins, value):
    return numeric.beta_cdf(value, 1.0 + wins, 1.0 + pulls - wins)


@kernel_inline
def beta_density(params, pulls, wins, value):
    a = 1.0 + wins
    b = 1.0 + pulls - wins
    scale = numeric.lgamma(a + b) - numeric.lgamma(a) - numeric.lgamma(b)
    return numeric.exp(scale + wins * numeric.log(value) + (b - 1.0) * numeric.log(1.0 - value))


@kernel_inline
def normal_quantile(params, pulls, total, level):
    return total / pulls + params.sigma / math.sqrt(pulls) * numeric.normal_quantile(level)


@kernel_inline
def normal_cdf(params, pulls, total, value):
    return numeric.normal_cdf((value - total / pulls) * math.sqrt(pulls) / params.sigma)


@kernel_inline
def normal_density(params, pulls, total, value):
    precision = math.sqrt(pulls) / params.sigma
    z = (value - total / pulls) * precision
    return numeric.exp(-0.5 * z * z) * precision / numeric.SQRT_2PI


@cache
def _probability_of_largest(
    quantile: Callable[..., float], cdf: Callable[..., float], density: Callable[..., float]
) -> Callable[..., None]:
    @kernel
    def fill(params, pulls, sums, out):
        n_arms = pulls.size
        n_levels = len(LEVELS)
        cuts = np.empty(n_arms * n_levels)
        low = -np.inf
        high = -np.inf
        for k in range(n_arms):
            out[k] = 0.0
            for i in range(n_levels):
                cuts[k * n_levels + i] = quantile(params, pulls[k], sums[k], LEVELS[i])
            low = max(low, cuts[k * n_levels])
            high = max(high, cuts[k * n_levels + n_levels - 1])
        cuts = np.sort(cuts)
        values = np.empty(n_arms)
        after = np.ones(n_arms + 1)  # after[k]: product of the distribution functions k, k + 1, ...
        for i in range(cuts.size - 1):
            # The largest mean lies below `low` with probability 1e-11, and so above `high`.
            half = 0.5 * (cuts[i + 1] - cuts[i])
            if cuts[i] < low or cuts[i + 1] > high or half <= 0.0:
                continue
            middle = 0.5 * (cuts[i + 1] + cuts[i])
            for j in range(8):
                x = middle + half * (NODES[j // 2] if j % 2 == 0 else -NODES[j // 2])
                for k in range(n_arms - 1, -1, -1):
                    values[k] = cdf(params, pulls[k], sums[k], x)
                    after[k] = after[k + 1] * values[k]
                before = half * WEIGHTS[j // 2]
                for k in range(n_arms):
                    out[k] += before * after[k + 1] * density(params, pulls[k], sums[k], x)
                    before *= values[k]

    return fill


largest_beta = _probability_of_largest(beta_quantile, beta_cdf, beta_density)
largest_normal = _probability_of_largest(normal_quantile, normal_cdf, normal_density)


@kernel
def propensities_beta(params, state, t, x, out):
    s = context(state.pulls.shape[0], x)
    largest_beta(params, state.pulls[s], state.sums[s], out)


@kernel
def propensities_normal(params, state, t, x, out):
    s = context(state.pulls.shape[0], x)
    for k in range(out.size):
        if state.pulls[s, k] == 0.0:
            for j in range(out.size):
                out[j] = 1.0 if j == k else 0.0
            return
    largest_normal(params, state.pulls[s], state.sums[s], out)


def thompson(sigma: float = 0.0) -> Online:
    """Thompson sampling for Gaussian rewards of standard deviation ``sigma``, or [0, 1] when 0.

    Raises ValueError when ``sigma`` is negative.
    """
    params = Thompson(nonnegative("sigma", sigma))
    if params.sigma > 0.0:
        return Online(
            params,
            new_moments,
            act_normal,
            update_moments,
            recommend_best_mean,
            propensities_normal,
            rewards=ANY_REWARD,
        )
    return Online(
        params,
        new_moments,
        act_beta,
        update_coin,
        recommend_best_mean,
        propensities_beta,
        rewards=UNIT_REWARD,
    )
