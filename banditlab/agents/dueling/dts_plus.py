"""D-TS+ (Wu & Liu 2016, section 4.3): double Thompson sampling with a better way to break ties.

It differs from `dts` where several candidates beat equally many others in the samples: of these
the left arm is the one of the smallest ::

    sum over j != a of (2 max c - c_a - c_j) / kl(theta_aj, 1/2)

with theta the samples, c how many others an arm beats in them, and kl the Kullback-Leibler
divergence of Bernoulli distributions: what it would cost to find out that a is not the best. As kl
rounds to 0 close to 1/2, it is taken to be at least 2 (theta - 1/2)^2, Pinsker's bound.

The sides of the samples are drawn first, as in `dts`; only those of tied arms are drawn whole,
given their side.

>>> import banditlab
>>> agent = banditlab.Agent("dts_plus", n_arms=2, seed=1)
>>> for _ in range(50):
...     agent.update((0, 1), win=1)
>>> agent.act()
(0, 0)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.agents.dueling.dts import candidates, init, sampled_wins, second_arm, update
from banditlab.core import kernel
from banditlab.parts.duels import any_largest, recommend_copeland
from banditlab.protocols.duel import Duel
from banditlab.random import beta, uniform, uniform_open
from banditlab.validate import positive

label = "D-TS+"

COMMON = 0.125  # a side of at least this probability is met by drawing until it comes


class DTSPlus(NamedTuple):
    """Hyper-parameters."""

    alpha: float = 0.51  # > 0; the paper's theorem wants more than 1/2


@kernel
def whole_sample(state, i, j, rng):
    """A sample of (i, j) on the side of 1/2 on which it was seen to lie."""
    side = state.beats[i, j]
    a, b = state.wins[i, j] + 1.0, state.wins[j, i] + 1.0
    chance = state.above[i, j] if side else state.above[j, i]
    if chance < COMMON:  # by the quantile of the smaller tail
        below = chance * uniform_open(rng)
        theta = numeric.beta_quantile(below, b if side else a, a if side else b)
        return 1.0 - theta if side else theta
    theta = beta(rng, a, b)
    while (theta > 0.5) != side:
        theta = beta(rng, a, b)
    return theta


@kernel
def price(theta):
    """kl(theta, 1/2), kept above 0."""
    off = theta - 0.5
    return max(max(numeric.bernoulli_kl(theta, 0.5), 2.0 * off * off), 1e-300)


@kernel
def costs(state, most, rng):
    """Minus the sums above of the tied arms, by arm; minus infinity for all others."""
    K = state.counts.size
    cost, wins, theta = np.full(K, -np.inf), np.zeros(K), np.zeros((K, K))
    for i in range(K):
        for j in range(i):
            if not state.inside[i] and not state.inside[j]:  # not drawn yet
                state.beats[i, j] = uniform(rng) < state.above[i, j]
                state.beats[j, i] = not state.beats[i, j]
            wins[i] += 1.0 if state.beats[i, j] else 0.0
            wins[j] += 1.0 if state.beats[j, i] else 0.0
    for a in range(K):
        if state.counts[a] == most:
            cost[a] = 0.0
            for j in range(K):
                if j != a:
                    if j > a or state.counts[j] != most:  # else it was drawn with row j
                        theta[a, j] = whole_sample(state, a, j, rng)
                        theta[j, a] = 1.0 - theta[a, j]
                    cost[a] -= (2.0 * most - wins[a] - wins[j]) / price(theta[a, j])
    return cost


@kernel
def act(params, state, t, rng):
    width = params.alpha * numeric.log(t + 1.0)
    left = 0
    if candidates(state.lost, width, state.inside, state.counts) == 1:
        left = any_largest(state.counts, rng)
    else:
        most, ties = sampled_wins(state, rng), 0
        for i in range(state.counts.size):
            ties += state.counts[i] == most
            left = i if state.counts[i] == most else left
        if ties > 1:
            left = any_largest(costs(state, most, rng), rng)
    return left, second_arm(state, width, left, rng)


def dts_plus(alpha: float = 0.51) -> Duel:
    """D-TS+ with confidence ``alpha`` > 0. Raises ValueError when it is not positive."""
    return Duel(DTSPlus(positive("alpha", alpha)), init, act, update, recommend_copeland)
