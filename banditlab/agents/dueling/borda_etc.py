"""Explore, then commit to the Borda winner (Saha, Koren & Mansour 2021; Jamieson et al. 2015).

For ``ceil(T^(2/3) (K ln K)^(1/3))`` of T duels the K arms are left in turn, against another one
drawn at random; from then on the arm that won most of its own duels plays itself. It finds who does
best against all on average, not who beats all others.

>>> import banditlab
>>> agent = banditlab.Agent("borda_etc", n_arms=2, horizon=100)
>>> for _ in range(50):
...     left, right = agent.act()
...     agent.update((left, right), win=left < right)
>>> agent.act()
(0, 0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.duels import needs_horizon, share_among
from banditlab.protocols.duel import Duel
from banditlab.random import below
from banditlab.validate import positive

label = "Borda ETC"

NEVER = 2.0**62  # rounds: more are not counted


class BordaETC(NamedTuple):
    """Hyper-parameters."""

    factor: float = 1.0  # > 0: of the number of duels before it commits


class Tallies(NamedTuple):
    """What it remembers."""

    won: np.ndarray  # (n_arms,) float64: duels won as left
    met: np.ndarray  # (n_arms,) float64: duels as left
    chosen: np.ndarray  # (1,) int64: the arm committed to, -1 before
    until: np.ndarray  # (1,) int64: the duel from which on it commits


@kernel
def init(params, task, rng):
    K = task.n_arms
    root = numeric.exp((numeric.log(K * numeric.log(K * 1.0))) / 3.0) if K > 1 else 0.0
    pace = numeric.exp(2.0 / 3.0 * numeric.log(max(task.horizon, 1) * 1.0))
    until = int(math.ceil(min(params.factor * pace * root, NEVER)))
    return Tallies(np.zeros(K), np.zeros(K), np.full(1, -1), np.full(1, until))


@kernel
def act(params, state, t, rng):
    K = state.won.size
    other = below(rng, max(K - 1, 1))
    if state.chosen[0] >= 0 or K == 1:
        return max(state.chosen[0], 0), max(state.chosen[0], 0)
    left = t % K
    return left, other + (1 if other >= left else 0)


@kernel
def update(params, state, t, left, right, win, rng):
    if state.chosen[0] >= 0:
        return
    if left != right:
        state.won[left] += win
        state.met[left] += 1.0
    if t + 1 >= state.until[0]:
        means = np.empty(state.won.size)
        recommend(params, state, rng, means)
        best, ties = 0, 0
        for k in range(means.size):
            ties += means[k] > 0.0
        rank = below(rng, ties)
        for k in range(means.size):
            if means[k] > 0.0:
                best = k if rank == 0 else best
                rank -= 1
        state.chosen[0] = best


@kernel
def recommend(params, state, rng, out):
    """Who it is committed to; before that, even odds over those with the best record."""
    most = -1.0
    for k in range(out.size):
        out[k] = state.won[k] / state.met[k] if state.met[k] > 0.0 else 0.5
        if state.chosen[0] >= 0:
            out[k] = 1.0 if k == state.chosen[0] else 0.0
        most = max(most, out[k])
    share_among(out, most)


def borda_etc(factor: float = 1.0) -> Duel:
    """Explore for ``factor`` > 0 times as long as derived. ValueError when it is not positive.

    The horizon must be known.
    """
    params = BordaETC(positive("factor", factor))
    return Duel(params, init, act, update, recommend, check=needs_horizon)
