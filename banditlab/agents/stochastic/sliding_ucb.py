"""SW-UCB (Garivier & Moulines 2011, Section 3.2): UCB1 on the last ``window`` rewards.

For rewards whose means jump from time to time. Index of an arm in round t, where pulls and mean
count the window only::

    mean + sqrt(alpha * ln(min(t, window)) / pulls)

``alpha`` is B^2 xi of the paper for rewards in [0, B], and xi = 0.6 in its experiments, where a
horizon T is met with window = 4 sqrt(T ln T). An arm that has left the window is pulled at once.
With several contexts each has a window of its own, and t counts its own rewards.

Compared decision by decision with a public implementation: they agree.

>>> import banditlab
>>> banditlab.make("sliding_ucb", window=500).params
SlidingUCB(window=500, alpha=0.6)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel, kernel_inline
from banditlab.parts.index import add_reward, index_policy, new_moments
from banditlab.protocols.online import Online
from banditlab.validate import integer, positive

label = "sliding-window UCB"


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
    arms: np.ndarray  # (n_contexts, window) int64, the rings: -1 where still empty
    rewards: np.ndarray  # (n_contexts, window) float64, the rings
    head: np.ndarray  # (n_contexts,) int64: place of the oldest reward, where the next one goes


@kernel
def init(params, task, rng):
    pulls, sums, inv, seen, facts = new_moments(params, task, rng)
    arms = np.full((params.window, task.n_contexts), -1).T
    rewards = np.zeros((params.window, task.n_contexts)).T
    head = np.zeros(task.n_contexts, np.int64)
    return Window(pulls, sums, inv, seen, facts, arms, rewards, head)


@kernel_inline
def learn(params, state, s, arm, reward):
    i = state.head[s]
    k = state.arms[s, i]
    if k >= 0:
        left = state.pulls[s, k] - 1.0
        state.pulls[s, k] = left
        # An empty arm starts afresh: no rounding error outlives its rewards.
        state.inv[s, k] = 1.0 / left if left > 0.0 else 1.0
        state.sums[s, k] = state.sums[s, k] - state.rewards[s, i] if left > 0.0 else 0.0
        state.seen[s] -= 1.0
    add_reward(params, state, s, arm, reward)
    state.arms[s, i] = arm
    state.rewards[s, i] = reward
    state.head[s] = i + 1 if i + 1 < params.window else 0


@kernel_inline
def clock(params, task, n):
    return numeric.log(min(n + 1.0, params.window * 1.0))


@kernel_inline
def index(params, clock, mean, inv):
    return mean + math.sqrt(params.alpha * clock * inv)


def sliding_ucb(window: int = 1000, alpha: float = 0.6) -> Online:
    """SW-UCB on the last ``window`` >= 2 rewards with exploration constant ``alpha`` > 0.

    A window that is not above the number of arms never finishes trying them. Raises ValueError
    when an argument is out of range.
    """
    params = SlidingUCB(integer("window", window, 2), positive("alpha", alpha))
    return index_policy(params, clock, index, init=init, learn=learn)
