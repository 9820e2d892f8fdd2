"""Double Thompson sampling (D-TS; Wu & Liu 2016, Algorithm 1).

With W_ij the wins of i over j, N_ij = W_ij + W_ji and the bounds
``u, l = W_ij / N_ij +- sqrt(alpha ln t / N_ij)`` (1 and 0 where N_ij = 0):

* C holds the arms of the largest upper Copeland count #{j != i: u_ij > 1/2}. Of each pair a sample
  theta_ij ~ Beta(W_ij + 1, W_ji + 1) is drawn; left is an arm of C that beats most others in the
  samples.
* right is the arm of the largest fresh sample theta_i ~ Beta(W_i,left + 1, W_left,i + 1), with 1/2
  for left itself, among those with l_i,left <= 1/2.

Ties are broken at random, ties between arms in duels by a coin: Beta wants whole numbers.

The first stage needs no more of a sample than whether it exceeds 1/2, of which the probability is
``P(Bin(w + l + 1, 1/2) <= w)`` after w wins and l losses. With n = w + l + 1 before a duel, a win
adds half of ``P(Bin(n, 1/2) = w + 1)`` to it and a loss takes half of ``P(Bin(n, 1/2) = w)``
away, so that each pair keeps its probability and nothing is drawn where C holds a single arm. The
law of the choices is that of the samples, at a quarter of their price.

>>> import banditlab
>>> agent = banditlab.Agent("dts", n_arms=2, seed=1)
>>> for _ in range(50):
...     agent.update((0, 1), win=1)
>>> agent.act()
(0, 0)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.duels import any_largest, count, loss_to, recommend_copeland
from banditlab.protocols.duel import Duel
from banditlab.random import beta, uniform
from banditlab.validate import positive

label = "D-TS"

LOG_HALF = -0.6931471805599453


class DTS(NamedTuple):
    """Hyper-parameters."""

    alpha: float = 0.51  # > 0; the paper's theorem wants more than 1/2


class Samples(NamedTuple):
    """What D-TS remembers of every pair."""

    wins: np.ndarray  # (n_arms, n_arms) float64: of row over column, whole numbers
    lost: np.ndarray  # (n_arms, n_arms) float64 >= 0: how surely row loses to column
    above: np.ndarray  # (n_arms, n_arms) float64: probability that a sample exceeds 1/2
    log_mass: np.ndarray  # (n_arms, n_arms) float64: log P(Bin(w + l + 1, 1/2) = w)
    beats: np.ndarray  # (n_arms, n_arms) bool: scratch, whether this round's sample exceeds 1/2
    inside: np.ndarray  # (n_arms,) bool: scratch, the set C
    counts: np.ndarray  # (n_arms,) float64: scratch


@kernel
def init(params, task, rng):
    K = task.n_arms
    pairs = (K, K)
    return Samples(
        np.zeros(pairs),
        np.zeros(pairs),
        np.full(pairs, 0.5),
        np.full(pairs, LOG_HALF),
        np.zeros(pairs, np.bool_),
        np.zeros(K, np.bool_),
        np.zeros(K),
    )


@kernel
def candidates(lost, width, inside, counts):
    """Fill ``inside`` with C; how many there are."""
    most = -1.0
    for i in range(inside.size):
        n = 0
        for j in range(inside.size):
            n += lost[i, j] < width
        counts[i] = n - (1.0 if lost[i, i] < width else 0.0)
        most = max(most, counts[i])
    found = 0
    for i in range(inside.size):
        inside[i] = counts[i] == most
        found += inside[i]
    return found


@kernel
def sampled_wins(state, rng):
    """Fill ``counts`` of C with how many others each beats in the samples; -1 outside of C.

    Returns the largest of them.
    """
    K = state.counts.size
    most = -1.0
    for i in range(K):
        n = -1.0
        if state.inside[i]:
            n = 0.0
            for j in range(K):
                if j != i:
                    if j > i or not state.inside[j]:  # else it was drawn with row j
                        state.beats[i, j] = uniform(rng) < state.above[i, j]
                        state.beats[j, i] = not state.beats[i, j]
                    n += 1.0 if state.beats[i, j] else 0.0
        state.counts[i] = n
        most = max(most, n)
    return most


@kernel
def first_arm(state, width, rng):
    """The left arm."""
    if candidates(state.lost, width, state.inside, state.counts) > 1:
        sampled_wins(state, rng)
    return any_largest(state.counts, rng)


@kernel
def second_arm(state, width, left, rng):
    """The right arm."""
    best, most = left, 0.5
    for i in range(state.counts.size):
        if i != left and state.lost[left, i] <= width:
            theta = beta(rng, state.wins[i, left] + 1.0, state.wins[left, i] + 1.0)
            if theta > most:
                best, most = i, theta
    return best


@kernel
def act(params, state, t, rng):
    width = params.alpha * numeric.log(t + 1.0)
    left = first_arm(state, width, rng)
    return left, second_arm(state, width, left, rng)


@kernel
def learn(state, i, j, won):
    """What a duel tells of the row ``i`` against the column ``j``, before it is counted."""
    w = state.wins[i, j]
    n = w + state.wins[j, i] + 1.0
    mass = numeric.exp(state.log_mass[i, j])
    if won:
        state.above[i, j] += 0.5 * mass * (n - w) / (w + 1.0)  # P(Bin = w + 1), halved
        state.log_mass[i, j] += numeric.log(0.5 * (n + 1.0) / (w + 1.0))
    else:
        state.above[i, j] -= 0.5 * mass
        state.log_mass[i, j] += numeric.log(0.5 * (n + 1.0) / (n + 1.0 - w))


@kernel
def update(params, state, t, left, right, win, rng):
    if left == right:
        return
    won = win > 0.5 or (win == 0.5 and uniform(rng) < 0.5)
    learn(state, left, right, won)
    learn(state, right, left, not won)
    count(state.wins, left, right, 1.0 if won else 0.0)
    state.lost[left, right] = loss_to(state.wins, left, right)
    state.lost[right, left] = loss_to(state.wins, right, left)


def dts(alpha: float = 0.51) -> Duel:
    """D-TS with confidence ``alpha`` > 0. Raises ValueError when it is not positive."""
    return Duel(DTS(positive("alpha", alpha)), init, act, update, recommend_copeland)
