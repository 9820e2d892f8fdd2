"""IMED, indexed minimum empirical divergence (Honda & Takemura 2015, Algorithm 1).

Pull the arm of the smallest::

    pulls * d(mean, best) + ln(pulls)

where best is the largest empirical mean and d the divergence between two reward distributions of
the given means. ``sigma = 0``: rewards in [0, 1] and the Bernoulli divergence. ``sigma > 0``:
Gaussian rewards of that standard deviation, d(p, q) = (p - q)^2 / (2 sigma^2). It needs neither a
clock nor an optimisation, and meets the Lai-Robbins bound.

>>> import banditlab
>>> banditlab.make("imed").params
IMED(sigma=0.0)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.agents.moments import new_moments, recommend_best_mean, update_moments
from banditlab.check import nonnegative
from banditlab.core import context, kernel, kernel_inline
from banditlab.protocols.online import ANY_REWARD, UNIT_REWARD, Online


class IMED(NamedTuple):
    """Hyper-parameters."""

    sigma: float = 0.0  # >= 0; 0 stands for rewards in [0, 1]


@kernel_inline
def bernoulli_index(params, best, mean, inv):  # type: ignore[no-untyped-def]
    """The negative of the paper's index, so that the largest wins as in any index policy."""
    p = min(max(mean, 0.0), 1.0)  # rounding may leave [0, 1]
    return numeric.log(inv) - numeric.bernoulli_kl(p, best) / inv


@kernel_inline
def gaussian_index(params, best, mean, inv):  # type: ignore[no-untyped-def]
    z = (best - mean) / params.sigma
    return numeric.log(inv) - 0.5 * z * z / inv


@cache
def _act(index: Callable[..., float]) -> Callable[..., int]:
    @kernel
    def act(params, state, t, x, rng):  # type: ignore[no-untyped-def]
        s = context(state.pulls.shape[0], x)
        leader = -np.inf
        for k in range(state.pulls.shape[1]):
            mean = state.sums[s, k] * state.inv[s, k]
            leader = mean if state.pulls[s, k] > 0.0 and mean > leader else leader
        best = -np.inf
        arm = 0
        for k in range(state.pulls.shape[1]):
            inv = state.inv[s, k]
            value = index(params, leader, state.sums[s, k] * inv, inv)
            value = value if state.pulls[s, k] > 0.0 else np.inf
            larger = value > best
            best = value if larger else best
            arm = k if larger else arm
        return arm

    return act


def imed(sigma: float = 0.0) -> Online:
    """IMED for Gaussian rewards of standard deviation ``sigma``, or rewards in [0, 1] when 0.

    Raises ValueError when ``sigma`` is negative.
    """
    params = IMED(nonnegative("sigma", sigma))
    act = _act(gaussian_index if params.sigma > 0.0 else bernoulli_index)
    rewards = ANY_REWARD if params.sigma > 0.0 else UNIT_REWARD
    return Online(params, new_moments, act, update_moments, recommend_best_mean, rewards=rewards)
