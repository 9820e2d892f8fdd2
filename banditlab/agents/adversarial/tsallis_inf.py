"""Tsallis-INF (Zimmert & Seldin 2021, Algorithms 1 and 2): best of the stochastic and adversarial.

Mirror descent with the 1/2-Tsallis entropy; in round t, with x such that the weights sum to 1::

    p_k = 4 / (eta * (L_k - x))^2

* ``reduced_variance = 0``: eta = 2 / sqrt(t) and L_arm += (1 - reward) / p_arm. Regret at most
  4 sqrt(K T) + 1 for K arms against any adversary (Theorem 1), and logarithmic on a stochastic
  bandit.
* ``reduced_variance = 1``: eta = 4 / sqrt(t) and L_k += b_k + 1{k = arm} (1 - reward - b_k) / p_k
  with b_k = 1/2 where p_k >= eta^2, else 0. Its leading term is half as large.

Compared decision by decision with a public implementation: they agree.

>>> import banditlab
>>> agent = banditlab.Agent("tsallis_inf", n_arms=2)
>>> agent.update(None, 0, reward=0.0)
>>> agent.propensities().round(4)
array([0.1594, 0.8406])
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab.core import kernel_inline
from banditlab.parts.weights import weighing, weight_policy
from banditlab.protocols.online import Online
from banditlab.validate import integer

label = "Tsallis-INF"


class TsallisINF(NamedTuple):
    """Hyper-parameters."""

    reduced_variance: int = 0  # 0 or 1


@kernel_inline
def rate(params, task, n):
    return 2.0 * (1.0 + params.reduced_variance) / math.sqrt(n + 1.0)


# Newton's method for the distance y from x to the smallest loss, applied to total^(-1/2) = 1, where
# total is the sum of weights. As a function of y, total^(-1/2) is increasing and concave (a power
# mean), and linear when all losses are equal. So from the left, where the best arm has weight 1 by
# itself, the iteration climbs to the root and never oversteps it.


@kernel_inline
def weight(rate, z):
    root = 2.0 / (rate * z)
    return root * root


@kernel_inline
def first(rate):
    return 2.0 / rate


@kernel_inline
def slope(rate, z, weight):
    return weight * (2.0 / (rate * z))


@kernel_inline
def step(rate, total, slope):
    return 2.0 * total * (math.sqrt(total) - 1.0) / (rate * slope)


weigh, _ = weighing(weight, first, slope, step)


@kernel_inline
def weighted(rate, p, loss, played):
    return loss / p if played else 0.0


@kernel_inline
def weighted_around_half(rate, p, loss, played):
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
    params = TsallisINF(reduced_variance)
    return weight_policy(params, rate, estimate, weight, first, slope, step)
