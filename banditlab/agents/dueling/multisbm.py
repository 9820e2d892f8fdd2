"""MultiSBM: a stochastic bandit for every opponent (Ailon, Karnin & Joachims 2014, Algorithm 2).

Left is the arm that was right in the duel before. Which bandit chooses right depends on left alone,
so each of the K bandits meets one opponent whose strength stays the same, and is paid 1 where right
is preferred. Each plays an arm of largest ``mean + sqrt(confidence ln n / n_k)`` after n plays of
its own, n_k of arm k, and every arm once first. Its theorem wants the winner to be the best against
everybody; where somebody else does better against a loser, as in ``cyclic``, its regret is linear
for long.

>>> import banditlab
>>> agent = banditlab.Agent("multisbm", n_arms=2)
>>> for _ in range(200):
...     left, right = agent.act()
...     agent.update((left, right), win=left < right)
>>> agent.recommend().round(1)
array([0.9, 0.1])
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.duels import recommend_average, ucb_arm
from banditlab.protocols.duel import Duel
from banditlab.random import below
from banditlab.validate import positive

label = "MultiSBM"


class MultiSBM(NamedTuple):
    """Hyper-parameters."""

    confidence: float = 2.5  # > 0


class Opponents(NamedTuple):
    """What the bandits remember: a row for each opponent."""

    pulls: np.ndarray  # (n_arms, n_arms) float64: plays of column against row
    sums: np.ndarray  # (n_arms, n_arms) float64: how often column was preferred
    plays: np.ndarray  # (n_arms,) float64: of each bandit
    played: np.ndarray  # (n_arms,) float64: plays on the right side
    last: np.ndarray  # (1,) int64: the right arm of the duel before


@kernel
def init(params, task, rng):
    K = task.n_arms
    last = np.full(1, below(rng, K))
    return Opponents(np.zeros((K, K)), np.zeros((K, K)), np.zeros(K), np.zeros(K), last)


@kernel
def act(params, state, t, rng):
    left = state.last[0]
    pulls, sums, n = state.pulls[left], state.sums[left], state.plays[left]
    return left, ucb_arm(pulls, sums, n, params.confidence, rng)


@kernel
def update(params, state, t, left, right, win, rng):
    state.pulls[left, right] += 1.0
    state.sums[left, right] += 1.0 - win
    state.plays[left] += 1.0
    state.played[right] += 1.0
    state.last[0] = right


def multisbm(confidence: float = 2.5) -> Duel:
    """MultiSBM with ``confidence`` > 0. Raises ValueError when it is not positive."""
    params = MultiSBM(positive("confidence", confidence))
    return Duel(params, init, act, update, recommend_average)
