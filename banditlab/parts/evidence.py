"""How sure one is which arm is best: laws of rewards, evidence, and the rule that stops on it.

The evidence that arm b is worse than the empirical best is the generalised likelihood ratio of
Garivier & Kaufmann 2016 (section 3.2), with d the divergence of the law and m the pooled mean::

    N_best d(mean_best, m) + N_b d(mean_b, m)

A run stops when it exceeds, for every b, ln((1 + ln t) / delta) ("practical", what their
experiments use) or ln(2 t (K - 1) / delta) ("proved", their theorem 10, for Bernoulli rewards).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from banditlab import numeric
from banditlab.core import kernel, kernel_inline
from banditlab.parts.best_arm import leader
from banditlab.protocols.online import ANY_REWARD, UNIT_REWARD
from banditlab.validate import choice, inside, positive

EDGE = 1e-15


# --- laws: divergence and variance by mean --------------------------------------------------------


@kernel
def bernoulli_divergence(sigma, p, q):
    """KL(Bernoulli(p) || Bernoulli(q)), with `q` clamped to [1e-15, 1 - 1e-15].

    Relative error about 1e-16 / |q - p|, where numeric.bernoulli_kl has an absolute one of 1e-15:
    weights are made of quotients of divergences between means that may lie close.
    """
    q = EDGE if q < EDGE else q
    q = 1.0 - EDGE if q > 1.0 - EDGE else q
    shift = q - p
    ones = p * numeric.log1p(shift / p) if p > 0.0 else 0.0
    zeros = (1.0 - p) * numeric.log1p(-shift / (1.0 - p)) if p < 1.0 else 0.0
    return -ones - zeros


@kernel_inline
def bernoulli_variance(sigma, mean):
    return mean * (1.0 - mean)


@kernel_inline
def gaussian_divergence(sigma, p, q):
    return (p - q) * (p - q) / (2.0 * sigma * sigma)


@kernel_inline
def gaussian_variance(sigma, mean):
    return sigma * sigma


LAWS: dict[str, tuple[Callable[..., float], Callable[..., float]]] = {
    "bernoulli": (bernoulli_divergence, bernoulli_variance),
    "gaussian": (gaussian_divergence, gaussian_variance),
}


REWARDS = {"bernoulli": UNIT_REWARD, "gaussian": ANY_REWARD}


# --- stopping -------------------------------------------------------------------------------------


@kernel_inline
def practical(params, n_arms, t):
    return numeric.log((1.0 + numeric.log(t * 1.0)) / params.delta)


@kernel_inline
def proved(params, n_arms, t):
    return numeric.log(2.0 * t * (n_arms - 1.0) / params.delta)


THRESHOLDS: dict[str, Callable[..., float]] = {"practical": practical, "proved": proved}


@cache
def evidence(law: str) -> Callable[..., float]:
    """The kernel ``against(sigma, state, best, k)``: evidence that ``best`` beats arm ``k``."""
    divergence, _ = LAWS[law]

    @kernel
    def against(sigma, state, best, k):
        n, n_best = state.pulls[k], state.pulls[best]
        if n == 0.0 or n_best == 0.0 or state.means[k] >= state.means[best]:
            return 0.0
        m = (state.sums[best] + state.sums[k]) / (n_best + n)
        near = n_best * divergence(sigma, state.means[best], m)
        return near + n * divergence(sigma, state.means[k], m)

    return against


@cache
def stopping(law: str, threshold: str) -> Callable[..., bool]:
    """``stop`` of the family."""
    against, limit = evidence(law), THRESHOLDS[threshold]

    @kernel
    def stop(params, state, t):
        n_arms = state.pulls.size
        if t < n_arms:
            return False
        best = leader(state.pulls, state.means)
        least = np.inf
        for k in range(n_arms):
            if k != best:
                least = min(least, against(params.sigma, state, best, k))
        return least > limit(params, n_arms, t)

    return stop


def check_law(delta: Any, law: Any, sigma: Any, threshold: Any) -> tuple[float, str, float, str]:
    """The arguments that the family has in common, checked and cast."""
    law = choice("law", law, tuple(LAWS))
    threshold = choice("threshold", threshold, tuple(THRESHOLDS))
    if law == "gaussian" and threshold == "proved":
        raise ValueError("threshold 'proved' is for law bernoulli; gaussian has 'practical'")
    return inside("delta", delta, 0.0, 1.0), law, positive("sigma", sigma), threshold
