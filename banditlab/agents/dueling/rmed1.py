"""Relative minimum empirical divergence (RMED1; Komiyama, Honda, Kashima & Nakagawa 2015).

After each pair met once, arms are compared by the evidence that they are not the winner, ::

    I_i = sum over j with mu_ij <= 1/2 of N_ij kl(mu_ij, 1/2)

with mu_ij the share of the N_ij duels with j that i won. The arms of a list are taken in turn. Arm
l meets the arm i* of least I if that has won at least half of their duels, or if nobody else has
against l; else the one against whom l did worst. An arm that is not waiting for its turn joins the
next list as soon as ``I_j - I_i* <= ln t + f(K)``, with ``f(K) = factor K^1.01``. The regret of
RMED1 over ln T tends to a constant that no consistent algorithm beats, if the best opponent of each
arm is the winner himself.

Only the pair played changes, so a round costs O(K) for K arms.

>>> import banditlab
>>> agent = banditlab.Agent("rmed1", n_arms=3)
>>> for _ in range(3):
...     pair = agent.act()
...     agent.update(pair, win=1)
...     print(pair)
(0, 1)
(0, 2)
(1, 2)
>>> agent.act()
(0, 0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.duels import any_largest, count, recommend_copeland
from banditlab.protocols.duel import Duel
from banditlab.validate import nonnegative

label = "RMED1"


class RMED1(NamedTuple):
    """Hyper-parameters."""

    factor: float = 0.3  # >= 0: f(K) = factor * K^1.01


class Divergence(NamedTuple):
    """What RMED1 remembers."""

    wins: np.ndarray  # (n_arms, n_arms) float64: of row over column, ties half
    terms: np.ndarray  # (n_arms, n_arms) float64 >= 0: of the sum I
    doubt: np.ndarray  # (n_arms,) float64 <= 0: -I
    waiting: np.ndarray  # (n_arms,) bool: those of the list whose turn is to come
    following: np.ndarray  # (n_arms,) bool: the next list
    turn: np.ndarray  # (1,) int64: the arm whose turn it is
    met: np.ndarray  # (1,) int64: pairs that met in the beginning


@kernel
def init(params, task, rng):
    K = task.n_arms
    return Divergence(
        np.zeros((K, K)),
        np.zeros((K, K)),
        np.zeros(K),
        np.ones(K, np.bool_),
        np.zeros(K, np.bool_),
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
    )


@kernel
def worst_for(wins, arm):
    """Against whom ``arm`` won the smallest share; ``arm`` itself where that is more than half."""
    worst, least = arm, 0.5
    for j in range(wins.shape[0]):
        n = wins[arm, j] + wins[j, arm]
        if j != arm and n > 0.0:
            mean = wins[arm, j] / n
            if mean < least or (mean == least and worst == arm):
                worst, least = j, mean
    return worst


@kernel
def beginning(state):
    """Whether some pair has not met yet."""
    K = state.doubt.size
    return 2 * state.met[0] < K * (K - 1)


@kernel
def pair_of(number, n_arms):
    """The pair i < j of that number, from 0, in the order (0, 1), (0, 2), ..., (1, 2), ..."""
    rest = number
    for i in range(n_arms - 2):
        if rest < n_arms - 1 - i:
            return i, i + 1 + rest
        rest -= n_arms - 1 - i
    return n_arms - 2, n_arms - 1


@kernel
def act(params, state, t, rng):
    if beginning(state):
        return pair_of(state.met[0], state.doubt.size)
    left = state.turn[0]
    best = any_largest(state.doubt, rng)
    worst = worst_for(state.wins, left)
    if worst == left or (best != left and state.wins[left, best] <= state.wins[best, left]):
        return left, best
    return left, worst


@kernel
def weigh(state, i, j):
    """Recompute the evidence that ``i`` loses to ``j``."""
    n = state.wins[i, j] + state.wins[j, i]
    mean = state.wins[i, j] / n
    state.terms[i, j] = n * numeric.bernoulli_kl(mean, 0.5) if mean <= 0.5 else 0.0
    total = 0.0
    for k in range(state.doubt.size):
        total += state.terms[i, k]
    state.doubt[i] = -total


@kernel
def move_on(state, allowed):
    """The turn goes to the next who waits; the list is the next one when nobody does."""
    K = state.doubt.size
    state.waiting[state.turn[0]] = False
    most = state.doubt[0]
    for j in range(1, K):
        most = max(most, state.doubt[j])
    for j in range(K):
        if not state.waiting[j] and most - state.doubt[j] <= allowed:
            state.following[j] = True
    arm = next_waiting(state.waiting, state.turn[0] + 1)
    if arm == K:
        for j in range(K):
            state.waiting[j] = state.following[j]
            state.following[j] = False
        arm = next_waiting(state.waiting, 0)
    state.turn[0] = arm if arm < K else 0


@kernel
def next_waiting(waiting, first):
    """The first arm from ``first`` on that waits, n_arms if there is none."""
    arm = first
    while arm < waiting.size and not waiting[arm]:
        arm += 1
    return arm


@kernel
def update(params, state, t, left, right, win, rng):
    new = beginning(state)
    if left != right:
        count(state.wins, left, right, win)
        weigh(state, left, right)
        weigh(state, right, left)
    if new:
        state.met[0] += 1
    else:
        K = state.doubt.size
        move_on(state, numeric.log(t + 1.0) + params.factor * math.pow(K, 1.01))


def rmed1(factor: float = 0.3) -> Duel:
    """RMED1 with ``f(K) = factor K^1.01``. Raises ValueError when ``factor`` is negative."""
    return Duel(RMED1(nonnegative("factor", factor)), init, act, update, recommend_copeland)
