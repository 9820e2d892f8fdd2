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
from banditlab.parts.duels import any_largest, any_of, count, lost_to_all, recommend_copeland
from banditlab.protocols.duel import Duel
from banditlab.random import uniform
from banditlab.validate import positive

BELOW_HALF = 0.5 - 2.0**-54  # the next float: U_ii where another arm of the same U goes first


class RUCB(NamedTuple):
    """Hyper-parameters."""

    alpha: float = 0.51  # > 0; the paper's theorem wants more than 1/2


class Relative(NamedTuple):
    """What RUCB remembers."""

    wins: np.ndarray  # (n_arms, n_arms) float64: of row over column, ties half
    lost: np.ndarray  # (n_arms,) float64 >= 0: how surely the arm loses to somebody
    champion: np.ndarray  # (1,) int64: the arm remembered, -1: none
    inside: np.ndarray  # (n_arms,) bool: scratch
    bounds: np.ndarray  # (n_arms,) float64: scratch


@kernel
def init(params, task, rng):
    K = task.n_arms
    return Relative(
        np.zeros((K, K)), np.zeros(K), np.full(1, -1), np.zeros(K, np.bool_), np.zeros(K)
    )


@kernel
def candidates(params, state, t, inside):
    """Fill ``inside`` with C; how many there are."""
    width = params.alpha * numeric.log(t + 1.0)
    n = 0
    for i in range(inside.size):
        inside[i] = state.lost[i] <= width
        n += inside[i]
    return n


@kernel
def rival(params, state, t, left, rng):
    """An arm of largest U against ``left``."""
    width = params.alpha * numeric.log(t + 1.0)
    for j in range(state.bounds.size):
        won, n = state.wins[j, left], state.wins[j, left] + state.wins[left, j]
        state.bounds[j] = won / n + math.sqrt(width / n) if n > 0.0 else 1.0
    state.bounds[left] = BELOW_HALF
    return any_largest(state.bounds, rng)


@kernel
def act(params, state, t, rng):
    n = candidates(params, state, t, state.inside)
    coin = uniform(rng)
    champion = state.champion[0]
    left = champion if champion >= 0 else 0
    known = champion >= 0 and state.inside[left]
    if n == 0:
        for i in range(state.inside.size):
            state.inside[i] = True
    if n > 1 and known:
        state.inside[left] = False
    if n < 2 or not known or coin >= 0.5:
        left = any_of(state.inside, rng)
    return left, rival(params, state, t, left, rng)


@kernel
def update(params, state, t, left, right, win, rng):
    n = candidates(params, state, t, state.inside)  # as act found them
    if n == 1:
        for i in range(state.inside.size):
            state.champion[0] = i if state.inside[i] else state.champion[0]
    elif state.champion[0] >= 0 and not state.inside[state.champion[0]]:
        state.champion[0] = -1
    count(state.wins, left, right, win)
    state.lost[left] = lost_to_all(state.wins, left)
    state.lost[right] = lost_to_all(state.wins, right)


def rucb(alpha: float = 0.51) -> Duel:
    """RUCB with confidence ``alpha`` > 0. Raises ValueError when it is not positive."""
    return Duel(RUCB(positive("alpha", alpha)), init, act, update, recommend_copeland)
