"""Epsilon-greedy: with probability epsilon_t an arm at random, else the best empirical mean.

With t = n + 1 and n the number of rewards seen::

    epsilon_t = min(1, epsilon * (n_arms / t)^decay)

* ``decay = 0``: the constant rate of the textbooks (Sutton & Barto 2018, Section 2.2).
* ``decay = 1``: epsilon_n-greedy of Auer, Cesa-Bianchi & Fischer 2002, Figure 3, which has
  logarithmic regret; their c / d^2 is ``epsilon``, where d is at most the smallest gap.
* ``decay = 1/3``: regret T^(2/3) without any knowledge of gaps (Slivkins 2019, Theorem 1.6).

Arms never pulled come first in the greedy choice.

>>> import banditlab
>>> banditlab.Agent("epsilon_greedy", n_arms=4, epsilon=0.2).propensities()
array([0.85, 0.05, 0.05, 0.05])
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.agents.stochastic.greedy import greedy
from banditlab.core import context, kernel, kernel_in_loop, kernel_inline
from banditlab.parts.index import (
    new_moments,
    recommend_best_mean,
    task_of,
    update_moments,
    update_moments_lanes,
)
from banditlab.protocols.loops.lanes import Lanes
from banditlab.protocols.online import Online
from banditlab.random import below, uniform, uniforms
from banditlab.validate import between, nonnegative

label = r"$\varepsilon$-greedy"

exploit = greedy().act
exploit_lanes = greedy().lanes.act


class EpsilonGreedy(NamedTuple):
    """Hyper-parameters."""

    epsilon: float = 0.1  # >= 0, at most 1 when decay is 0
    decay: float = 0.0  # in [0, 1]


@kernel_inline
def rate(params, task, n):
    """Probability of exploring in the next round."""
    return min(1.0, params.epsilon * math.pow(task.n_arms / (n + 1.0), params.decay))


@kernel
def act(params, state, t, x, rng):
    s = context(state.pulls.shape[0], x)
    if uniform(rng) < rate(params, task_of(state), state.seen[s]):
        return below(rng, state.pulls.shape[1])
    return exploit(params, state, t, x, rng)


@kernel_in_loop
def act_lanes(params, state, t, rngs, arms, spare):
    exploit_lanes(params, state, t, rngs, arms, spare)
    explore = rate(params, task_of(state), state.seen[0])
    chances = spare[0]
    uniforms(rngs, chances)
    for lane in range(arms.size):
        if chances[lane] < explore:
            arms[lane] = below(rngs[:, lane], state.pulls.shape[1])


@kernel
def propensities(params, state, t, x, out):
    s = context(state.pulls.shape[0], x)
    explore = rate(params, task_of(state), state.seen[s])
    for k in range(out.size):
        out[k] = explore / out.size
    # The greedy choice draws nothing, so the stream handed on is never read.
    out[exploit(params, state, t, x, np.zeros(4, np.uint64))] += 1.0 - explore


def epsilon_greedy(epsilon: float = 0.1, decay: float = 0.0) -> Online:
    """Epsilon-greedy that explores at the rate ``min(1, epsilon * (n_arms / t)^decay)``.

    ``epsilon`` is at least 0, and at most 1 when ``decay`` is 0; ``decay`` lies in [0, 1].
    Raises ValueError otherwise.
    """
    decay = between("decay", decay, 0.0, 1.0)
    if decay == 0.0:
        epsilon = between("epsilon", epsilon, 0.0, 1.0)
    params = EpsilonGreedy(nonnegative("epsilon", epsilon), decay)
    lanes = Lanes(params, new_moments, act_lanes, update_moments_lanes)
    return Online(
        params, new_moments, act, update_moments, recommend_best_mean, propensities, lanes=lanes
    )
