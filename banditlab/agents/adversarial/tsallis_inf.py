"""Tsallis-INF (Zimmert & Seldin 2021, Algorithms 1 and 2): best of the stochastic and adversarial.

Mirror descent with the 1/2-Tsallis entropy; in round t, with x such that the weights sum to 1::

    p_k = 4 / (eta * (L_k - x))^2

* ``reduced_variance = 0``: eta = 2 / sqrt(t) and L_arm += (1 - reward) / p_arm. Regret at most
  4 sqrt(K T) + 1 for K arms against any adversary (Theorem 1), and logarithmic on a stochastic
  bandit.
* ``reduced_variance = 1``: eta = 4 / sqrt(t) and L_k += b_k + 1{k = arm} (1 - reward - b_k) / p_k
  with b_k = 1/2 where p_k >= eta^2, else 0. Its leading term is half as large.

>>> import banditlab
>>> agent = banditlab.Agent("tsallis_inf", n_arms=2)
>>> agent.update(None, 0, reward=0.0)
>>> agent.propensities().round(4)
array([0.1594, 0.8406])
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab.agents.weights import smallest, weight_policy
from banditlab.check import integer
from banditlab.core import kernel, kernel_inline
from banditlab.protocols.online import Online


class TsallisINF(NamedTuple):
    """Hyper-parameters."""

    reduced_variance: int = 0  # 0 or 1


@kernel_inline
def rate(params, task, n):  # type: ignore[no-untyped-def]
    return 2.0 * (1.0 + params.reduced_variance) / math.sqrt(n + 1.0)


@kernel
def weights(rate, losses, out):  # type: ignore[no-untyped-def]
    """Newton's method for x, applied to total^(-1/2) = 1, where total is the sum of weights.

    As a function of the distance y from x to the smallest loss, total^(-1/2) is increasing and
    concave (a power mean), and linear when all losses are equal. So from the left, where the best
    arm has weight 1 by itself, the iteration climbs to the root and never oversteps it.
    """
    least = smallest(losses)
    y = 2.0 / rate
    total = 1.0
    for _ in range(50):
        total = 0.0
        slope = 0.0
        for k in range(out.size):
            root = 2.0 / (rate * (losses[k] - least + y))
            out[k] = root * root
            total += out[k]
            slope += out[k] * root
        step = 2.0 * total * (math.sqrt(total) - 1.0) / (rate * slope)
        y += step
        if step < 1e-9 * y:
            break
    for k in range(out.size):
        out[k] /= total


@kernel_inline
def weighted(rate, p, loss, played):  # type: ignore[no-untyped-def]
    return loss / p if played else 0.0


@kernel_inline
def weighted_around_half(rate, p, loss, played):  # type: ignore[no-untyped-def]
    base = 0.5 if p >= rate * rate else 0.0
    return base + (loss - base) / p if played else base


def tsallis_inf(reduced_variance: int = 0) -> Online:
    """Tsallis-INF for rewards in [0, 1], with ``reduced_variance`` 1 or plain estimates 0.

    Raises ValueError when ``reduced_variance`` is neither 0 nor 1.
    """
    reduced_variance = integer("reduced_variance", reduced_variance, 0)
    if reduced_variance > 1:
        raise ValueError(f"reduced_variance must be 0 or 1, got {reduced_variance!r}")
    estimate = weighted_around_half if reduced_variance else weighted
    return weight_policy(TsallisINF(reduced_variance), rate, weights, estimate)
