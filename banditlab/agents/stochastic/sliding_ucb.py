"""SW-UCB (Garivier & Moulines 2011, Section 3.2): UCB1 on the last ``window`` rewards.

For rewards whose means jump from time to time. Index of an arm in round t, where pulls and mean
count the window only::

    mean + sqrt(alpha * ln(min(t, window)) / pulls)

``alpha`` is B^2 xi of the paper for rewards in [0, B], and xi = 0.6 in its experiments, where a
horizon T is met with window = 4 sqrt(T ln T). An arm that has left the window is pulled at once.
With several contexts they share the window, and t is one more than a context's share of it.

>>> import banditlab
>>> banditlab.make("sliding_ucb", window=500).params
SlidingUCB(window=500, alpha=0.6)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.agents.moments import add_reward, index_policy, new_moments
from banditlab.check import integer, positive
from banditlab.core import context, kernel, kernel_inline
from banditlab.protocols.online import Online


class SlidingUCB(NamedTuple):
    """Hyper-parameters."""

    window: int = 1000  # >= 2
    alpha: float = 0.6  # > 0, in squared units of reward


class Window(NamedTuple):
    """Moments of the last rewards, and a ring of these rewards to know which one leaves next."""

    pulls: np.ndarray  # (n_contexts, n_arms) float64
    sums: np.ndarray  # (n_contexts, n_arms) float64
    inv: np.ndarray  # (n_contexts, n_arms) float64: 1 / pulls, and 1 where there are no pulls
    seen: np.ndarray  # (n_contexts,) float64: rewards of each context within the window
    task: np.ndarray  # (4,) int64: the fields of Task
    contexts: np.ndarray  # (window,) int64, the ring: -1 where it is still empty
    arms: np.ndarray  # (window,) int64, the ring
    rewards: np.ndarray  # (window,) float64, the ring
    head: np.ndarray  # (1,) int64: place of the oldest reward, where the next one goes


@kernel
def init(params, task, rng):  # type: ignore[no-untyped-def]
    pulls, sums, inv, seen, facts = new_moments(params, task, rng)
    contexts = np.full(params.window, -1)
    arms = np.full(params.window, -1)
    rewards = np.zeros(params.window)
    head = np.full(1, 0)
    return Window(pulls, sums, inv, seen, facts, contexts, arms, rewards, head)


@kernel
def update(params, state, t, x, arm, reward, rng):  # type: ignore[no-untyped-def]
    i = state.head[0]
    s = state.contexts[i]
    if s >= 0:
        k = state.arms[i]
        left = state.pulls[s, k] - 1.0
        state.pulls[s, k] = left
        # An empty arm starts afresh: no rounding error outlives its rewards.
        state.inv[s, k] = 1.0 / left if left > 0.0 else 1.0
        state.sums[s, k] = state.sums[s, k] - state.rewards[i] if left > 0.0 else 0.0
        state.seen[s] -= 1.0
    add_reward(state, x, arm, reward)
    state.contexts[i] = context(state.pulls.shape[0], x)
    state.arms[i] = arm
    state.rewards[i] = reward
    state.head[0] = i + 1 if i + 1 < params.window else 0


@kernel_inline
def clock(params, task, n):  # type: ignore[no-untyped-def]
    return numeric.log(min(n + 1.0, params.window * 1.0))


@kernel_inline
def index(params, clock, mean, inv):  # type: ignore[no-untyped-def]
    return mean + math.sqrt(params.alpha * clock * inv)


def sliding_ucb(window: int = 1000, alpha: float = 0.6) -> Online:
    """SW-UCB on the last ``window`` >= 2 rewards with exploration constant ``alpha`` > 0.

    A window that is not above the number of arms never finishes trying them. Raises ValueError
    when an argument is out of range.
    """
    params = SlidingUCB(integer("window", window, 2), positive("alpha", alpha))
    return index_policy(params, clock, index, init=init, update=update)
