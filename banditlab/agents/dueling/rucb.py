"""Relative upper confidence bound (RUCB; Zoghi, Whiteson, Munos & de Rijke 2014).

With W_ij the wins of i over j and N_ij = W_ij + W_ji::

    U_ij = W_ij / N_ij + sqrt(alpha ln t / N_ij),   1 where N_ij = 0,   U_ii = 1/2
    C = {i: U_ij >= 1/2 for all j}

The left arm comes from C: the only one there is, who is then remembered; the one remembered, as
long as it is in C, with probability 1/2; else any other of C; any arm at all where C is empty. The
right arm is the one of largest U against the left, itself included, another one where they tie.

What C needs is the largest (1/2 - W_ij/N_ij)^2 N_ij of a row, over the j against whom i lost more
often than not: i is in C while that is at most alpha ln t. Only the rows of the pair played change,
so a round costs O(K) for K arms.

>>> import banditlab
>>> agent = banditlab.Agent("rucb", n_arms=2)
>>> for _ in range(50):
...     agent.update((0, 1), win=1)
>>> agent.act()
(0, 0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.duels import any_largest, any_of, count, loss_to, recommend_copeland
from banditlab.protocols.duel import Duel
from banditlab.random import uniform
from banditlab.validate import positive

label = "RUCB"

BELOW_HALF = 0.5 - 2.0**-54  # the next float: U_ii where another arm of the same U goes first


class RUCB(NamedTuple):
    """Hyper-parameters."""

    alpha: float = 0.51  # > 0; the paper's theorem wants more than 1/2


class Relative(NamedTuple):
    """What RUCB remembers; C, its champion and its bounds are those of the next duel."""

    wins: np.ndarray  # (n_arms, n_arms) float64: of row over column, ties half
    lost: np.ndarray  # (n_arms, n_arms) float64 >= 0: how surely row loses to column
    most: np.ndarray  # (n_arms,) float64: the largest of each row
    inside: np.ndarray  # (n_arms,) bool: the set C
    champion: np.ndarray  # (1,) int64: the arm remembered, -1: none
    held: np.ndarray  # (1,) int64: how many C holds
    width: np.ndarray  # (1,) float64: alpha ln t
    bounds: np.ndarray  # (n_arms,) float64: scratch
    chosen: np.ndarray  # (n_arms,) bool: scratch


@kernel
def init(params, task, rng):
    K = task.n_arms
    state = Relative(
        np.zeros((K, K)),
        np.zeros((K, K)),
        np.zeros(K),
        np.ones(K, np.bool_),
        np.full(1, -1),
        np.full(1, K),
        np.zeros(1),
        np.zeros(K),
        np.ones(K, np.bool_),
    )
    prepare(state)
    return state


@kernel
def prepare(state):
    """Find C and the champion of the next duel."""
    n, last = 0, -1
    for i in range(state.inside.size):
        state.inside[i] = state.most[i] <= state.width[0]
        n += state.inside[i]
        last = i if state.inside[i] else last
    if n == 1:
        state.champion[0] = last
    elif state.champion[0] >= 0 and not state.inside[state.champion[0]]:
        state.champion[0] = -1
    state.held[0] = n


@kernel
def rival(state, left, rng):
    """An arm of largest U against ``left``."""
    for j in range(state.bounds.size):
        won, n = state.wins[j, left], state.wins[j, left] + state.wins[left, j]
        state.bounds[j] = won / n + math.sqrt(state.width[0] / n) if n > 0.0 else 1.0
    state.bounds[left] = BELOW_HALF
    return any_largest(state.bounds, rng)


@kernel
def act(params, state, t, rng):
    champion, n = state.champion[0], state.held[0]
    coin = uniform(rng)
    if champion >= 0 and (n == 1 or coin < 0.5):
        return champion, rival(state, champion, rng)
    for i in range(state.chosen.size):
        state.chosen[i] = (state.inside[i] and i != champion) or n == 0
    left = any_of(state.chosen, rng)
    return left, rival(state, left, rng)


@kernel
def update(params, state, t, left, right, win, rng):
    if left != right:
        count(state.wins, left, right, win)
        for i, j in ((left, right), (right, left)):
            state.lost[i, j] = loss_to(state.wins, i, j)
            state.most[i] = 0.0
            for k in range(state.most.size):
                state.most[i] = max(state.most[i], state.lost[i, k])
    state.width[0] = params.alpha * numeric.log(t + 2.0)
    prepare(state)


def rucb(alpha: float = 0.51) -> Duel:
    """RUCB with confidence ``alpha`` > 0. Raises ValueError when it is not positive."""
    return Duel(RUCB(positive("alpha", alpha)), init, act, update, recommend_copeland)
