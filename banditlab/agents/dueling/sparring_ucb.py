"""Sparring with UCB: a stochastic bandit for each side (Ailon, Karnin & Joachims 2014, section 4).

The left bandit is paid 1 where the left arm is preferred, the right one where the right arm is: the
rewards of a duel sum to 1. Each side plays an arm of largest ::

    mean + sqrt(confidence ln n / n_k)

after n plays, n_k of arm k, and every arm once first. What an arm is paid depends on what the other
side plays, so UCB's theorem does not hold here; that it works is an observation.

>>> import banditlab
>>> agent = banditlab.Agent("sparring_ucb", n_arms=2)
>>> for _ in range(100):
...     left, right = agent.act()
...     agent.update((left, right), win=left < right)
>>> agent.act()
(0, 0)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.duels import recommend_average, ucb_arm
from banditlab.protocols.duel import Duel
from banditlab.validate import positive

label = "sparring UCB"


class SparringUCB(NamedTuple):
    """Hyper-parameters."""

    confidence: float = 2.5  # > 0


class Sides(NamedTuple):
    """What both sides remember."""

    pulls: np.ndarray  # (2, n_arms) float64: plays of left and right
    sums: np.ndarray  # (2, n_arms) float64: what they were paid
    played: np.ndarray  # (n_arms,) float64: plays on either side


@kernel
def init(params, task, rng):
    K = task.n_arms
    return Sides(np.zeros((2, K)), np.zeros((2, K)), np.zeros(K))


@kernel
def act(params, state, t, rng):
    left = ucb_arm(state.pulls[0], state.sums[0], t, params.confidence, rng)
    return left, ucb_arm(state.pulls[1], state.sums[1], t, params.confidence, rng)


@kernel
def update(params, state, t, left, right, win, rng):
    state.pulls[0, left] += 1.0
    state.pulls[1, right] += 1.0
    state.sums[0, left] += win
    state.sums[1, right] += 1.0 - win
    state.played[left] += 1.0
    state.played[right] += 1.0


def sparring_ucb(confidence: float = 2.5) -> Duel:
    """Sparring UCB with ``confidence`` > 0. Raises ValueError when it is not positive."""
    params = SparringUCB(positive("confidence", confidence))
    return Duel(params, init, act, update, recommend_average)
