"""Bayes-UCB (Kaufmann, Cappe & Garivier 2012, Algorithm 1): pull the largest posterior quantile.

Index of an arm in round t when T rounds will be played::

    quantile of the posterior of its mean at level 1 - 1 / (t * ln(T)^c)

``sigma = 0``: rewards in [0, 1], prior Beta(1, 1), posterior Beta(1 + sum, 1 + pulls - sum).
``sigma > 0``: Gaussian rewards of that standard deviation, flat prior, posterior
N(mean, sigma^2 / pulls). The theorem has ``c = 5``; the paper recommends ``c = 0`` in practice.
With several contexts T is the horizon's share of one; when it is unknown, t stands for T.

>>> import banditlab
>>> banditlab.make("bayes_ucb").params
BayesUCB(c=0.0, sigma=0.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.agents.moments import (
    index_policy,
    new_moments,
    recommend_best_mean,
    rounds_per_context,
    task_of,
    update_moments,
)
from banditlab.check import nonnegative
from banditlab.core import context, kernel, kernel_inline
from banditlab.protocols.online import ANY_REWARD, UNIT_REWARD, Online


class BayesUCB(NamedTuple):
    """Hyper-parameters."""

    c: float = 0.0  # >= 0
    sigma: float = 0.0  # >= 0; 0 stands for rewards in [0, 1]


@kernel_inline
def tail(params, task, n):  # type: ignore[no-untyped-def]
    """The posterior probability that is left above the index."""
    horizon = rounds_per_context(task) if task.horizon > 0 else n + 1.0
    log_horizon = numeric.log(max(horizon, 3.0))  # at least 1, so that c > 0 never adds optimism
    return 1.0 / ((n + 1.0) * math.pow(log_horizon, params.c))


@kernel_inline
def beta_index(tail, a, b):  # type: ignore[no-untyped-def]
    return 1.0 - numeric.beta_quantile(tail, b, a)  # by symmetry, because 1 - tail would round


@kernel
def act_beta(params, state, t, x, rng):  # type: ignore[no-untyped-def]
    """Pull the largest index, without computing those that a bound shows to be smaller.

    P(X >= q) <= exp(-(a + b) KL(mean, q)) for X ~ Beta(a, b) with a mean below q: Chernoff's bound
    for X = G / (G + H) with gamma G and H. It settles most arms and costs a tenth of a quantile.
    """
    s = context(state.pulls.shape[0], x)
    left = tail(params, task_of(state), state.seen[s])
    most = -numeric.log(left)
    arm = 0
    for k in range(state.pulls.shape[1]):
        if state.pulls[s, k] == 0.0:
            return k
        larger = state.sums[s, k] * state.inv[s, k] > state.sums[s, arm] * state.inv[s, arm]
        arm = k if larger else arm
    leader = arm  # its index comes first, for it rules out the most
    wins = state.sums[s, leader]
    best = beta_index(left, 1.0 + wins, 1.0 + state.pulls[s, leader] - wins)
    for k in range(state.pulls.shape[1]):
        a = 1.0 + state.sums[s, k]
        b = 1.0 + state.pulls[s, k] - state.sums[s, k]
        mean = a / (a + b)
        beaten = mean < best and (a + b) * numeric.bernoulli_kl(mean, best) > most
        if k != leader and not beaten:
            value = beta_index(left, a, b)
            arm = k if value > best else arm
            best = value if value > best else best
    return arm


@kernel_inline
def normal_level(params, task, n):  # type: ignore[no-untyped-def]
    return -numeric.normal_quantile(tail(params, task, n))


@kernel_inline
def normal_index(params, level, mean, inv):  # type: ignore[no-untyped-def]
    return mean + params.sigma * math.sqrt(inv) * level


def bayes_ucb(c: float = 0.0, sigma: float = 0.0) -> Online:
    """Bayes-UCB at the quantile 1 - 1 / (t ln(T)^``c``), ``c`` >= 0.

    ``sigma`` >= 0 is the standard deviation of Gaussian rewards; 0 stands for rewards in [0, 1].
    Raises ValueError when either is negative.
    """
    params = BayesUCB(nonnegative("c", c), nonnegative("sigma", sigma))
    if params.sigma > 0.0:
        return index_policy(params, normal_level, normal_index, ANY_REWARD)
    return Online(
        params, new_moments, act_beta, update_moments, recommend_best_mean, rewards=UNIT_REWARD
    )
