"""Inverse gap weighting: from predicted costs to probabilities of arms, and how greedy to be.

Costs are losses: the best arm b is the one of the least predicted cost (the lowest of several).

``igw``
    p_a = 1 / (K + gamma (cost_a - cost_b)) for a != b, and b has the rest (Abe & Long 1999; Foster
    & Rakhlin 2020, SquareCB). Whatever the true costs f are, the regret of a round
    is at most ``gamma / 4 sum_a p_a (cost_a - f_a)^2 + 2 (K - 1) / gamma``, and no smaller constant
    will do.
``rigw``
    p_a = cost_b / (K cost_b + gamma (cost_a - cost_b)) (Foster & Krishnamurthy 2021, FastCB): the
    less there is to lose with b, the less of the others. Predictions are first brought into
    [1e-6, 1 - 1e-6].

Schedules of gamma, with n - 1 the number of rewards learned from and ``gamma`` the number given::

    sqrt            gamma sqrt(n), the default; Vowpal Wabbit's, with 10
    sqrt_loss       gamma sqrt(1 + the costs so far), that of Vowpal Wabbit's fork with --fast
    fixed           gamma
    theory_square   sqrt(K T / (R + ln(2 / delta)))
    theory_fast     max(sqrt(K L / (3 R)), 10 K)

T is the horizon, or n where there is none; ``regression_regret`` R is the bound on the regret of
what predicts, for losses (cost - prediction)^2 and kl; 0 stands for K ln T, which is that of a mean
per arm. ``best_loss`` L is the sum of the costs of the best policy.

>>> import numpy as np
>>> from banditlab.parts.inverse_gap import igw, rigw
>>> costs, rule = np.array([0.2, 0.5, 0.9]), np.empty(3)
>>> igw(costs, 10.0, rule)
>>> rule.round(4)
array([0.7333, 0.1667, 0.1   ])
>>> rigw(costs, 10.0, rule)
>>> rule.round(4)
array([0.9181, 0.0556, 0.0263])
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.modes import place
from banditlab.validate import inside, nonnegative, number

ALLOCATIONS = ("igw", "rigw")
RIGW = 1
GAMMAS = ("sqrt", "sqrt_loss", "fixed", "theory_square", "theory_fast")
LEAST = 1e-6  # of a cost that is predicted, for rigw and kl
MOST = 1e100  # of gamma: an infinite one times no gap is no number


class Greed(NamedTuple):
    """How predictions become probabilities: numbers, so that one compiled kernel serves all."""

    allocation: int  # place in ALLOCATIONS
    gamma: float  # >= 0
    gamma_schedule: int  # place in GAMMAS
    regression_regret: float  # >= 0: R of the theory's gamma; 0: K ln T
    best_loss: float  # >= 0: L of the theory's gamma
    delta: float  # in (0, 1): of the theory's gamma


def greed(
    allocation: str | int,
    gamma: float,
    gamma_schedule: str | int,
    regression_regret: float,
    best_loss: float,
    delta: float,
) -> Greed:
    """The arguments checked and cast; ValueError, in one line, for what is out of range."""
    return Greed(
        place("allocation", allocation, ALLOCATIONS),
        nonnegative("gamma", gamma),
        place("gamma_schedule", gamma_schedule, GAMMAS),
        nonnegative("regression_regret", regression_regret),
        nonnegative("best_loss", best_loss),
        inside("delta", delta, 0.0, 1.0),
    )


def cost_range(low: Any, high: Any) -> tuple[float, float]:
    """The range of rewards, checked and cast: the reward ``high`` costs 0, and ``low`` costs 1."""
    low, high = number("low", low), number("high", high)
    if not low < high:
        raise ValueError(f"high must be above low, {low:g}, got {high:g}")
    return low, high


@kernel
def cheapest(costs):
    """The arm of the least cost, the lowest of several."""
    b = 0
    for k in range(1, costs.size):
        b = k if costs[k] < costs[b] else b
    return b


@kernel
def igw(costs, gamma, out):
    """Fill ``out`` with the probabilities that inverse gap weighting gives to ``costs``."""
    b = cheapest(costs)
    n_arms = costs.size
    rest = 1.0
    for k in range(n_arms):
        if k != b:
            out[k] = 1.0 / (n_arms + gamma * (costs[k] - costs[b]))
            rest -= out[k]
    out[b] = rest


@kernel
def rigw(costs, gamma, out):
    """Fill ``out`` with those of reweighted inverse gap weighting; costs are clipped for it."""
    b = cheapest(costs)
    n_arms = costs.size
    least = clipped(costs[b], LEAST)
    rest = 1.0
    for k in range(n_arms):
        if k != b:
            gap = clipped(costs[k], LEAST) - least
            out[k] = least / (n_arms * least + gamma * gap)
            rest -= out[k]
    out[b] = rest


@kernel
def clipped(cost, least):
    """``cost`` brought into [least, 1 - least]."""
    return min(max(cost, least), 1.0 - least)


@kernel
def gamma_of(greed, n_arms, horizon, n, paid):
    """Gamma before reward number ``n``, from 1, when rewards so far have cost ``paid``."""
    return min(scheduled(greed, n_arms, horizon, n, paid), MOST)


@kernel
def scheduled(greed, n_arms, horizon, n, paid):
    """Gamma as its schedule says, however large."""
    rounds = 1.0 * (horizon if horizon > 0 else n)
    bound = greed.regression_regret
    if bound == 0.0:
        bound = n_arms * numeric.log(max(rounds, 2.0))
    if greed.gamma_schedule == 0:
        return greed.gamma * math.sqrt(1.0 * n)
    if greed.gamma_schedule == 1:
        return greed.gamma * math.sqrt(1.0 + paid)
    if greed.gamma_schedule == 2:
        return greed.gamma
    if greed.gamma_schedule == 3:
        return math.sqrt(n_arms * rounds / (bound + numeric.log(2.0 / greed.delta)))
    return max(math.sqrt(n_arms * greed.best_loss / (3.0 * bound)), 10.0 * n_arms)


@kernel
def fill_rule(greed, costs, gamma, out):
    """Fill ``out`` with the probabilities of the arms, from predicted costs."""
    if greed.allocation == RIGW:
        rigw(costs, gamma, out)
    else:
        igw(costs, gamma, out)


@kernel
def fill_best(costs, out):
    """Even odds over the arms of the least predicted cost; over all if that is no number."""
    best = costs[cheapest(costs)]
    ties = 0.0
    for k in range(out.size):
        ties += 1.0 if costs[k] == best else 0.0
    for k in range(out.size):
        even = 1.0 / ties if costs[k] == best else 0.0
        out[k] = even if ties > 0.0 else 1.0 / out.size
