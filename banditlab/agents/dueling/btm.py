"""Beat the mean (BTM; Yue & Joachims 2011).

Of the active arms, one that was compared least challenges an active arm drawn at random, itself
included. p_b is the share of b's challenges of arms still active that b won, n_b their number. With
n the least of these, ``delta = 1 / (2 T K)`` and ``c = width gamma^2 sqrt(ln(1/delta) / n)``, the
arm of least p is dropped, with all challenges of it, as soon as ``p_min + c < p_max - c``. gamma
says how far the arms are from an order: 1 in one of strength, 1.5 in all that have a winner and
some transitivity. The paper's width is 3, with which no arm is dropped within 20,000 duels; 1 is
that of the program of Komiyama et al. (2015), whose arms do not challenge themselves.

Who challenges is drawn among those compared least, as in the paper; of several arms of least p the
lowest is dropped, as in that program.

>>> import banditlab
>>> agent = banditlab.Agent("btm", n_arms=2, horizon=1000, seed=1)
>>> for _ in range(900):
...     left, right = agent.act()
...     agent.update((left, right), win=1 if left < right else 0.5 if left == right else 0)
>>> agent.act()
(0, 0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.duels import any_of, needs_horizon, share_among
from banditlab.protocols.duel import Duel
from banditlab.validate import number, positive

label = "BTM"


class BTM(NamedTuple):
    """Hyper-parameters."""

    gamma: float = 1.2  # >= 1
    width: float = 1.0  # > 0


class Challenges(NamedTuple):
    """What BTM remembers."""

    wins: np.ndarray  # (n_arms, n_arms) float64: challenges of column that row won
    met: np.ndarray  # (n_arms, n_arms) float64: challenges of column by row
    sums: np.ndarray  # (2, n_arms) float64: wins and challenges by row, of active columns
    active: np.ndarray  # (n_arms,) bool
    least: np.ndarray  # (n_arms,) bool: scratch
    log_delta: np.ndarray  # (1,) float64: ln(1/delta)


@kernel
def init(params, task, rng):
    K = task.n_arms
    flags = np.ones(K, np.bool_)
    log_delta = numeric.log(2.0 * max(task.horizon, 1) * K)
    return Challenges(
        np.zeros((K, K)),
        np.zeros((K, K)),
        np.zeros((2, K)),
        flags,
        flags.copy(),
        np.full(1, log_delta),
    )


@kernel
def fewest(state):
    """The least number of challenges of an active arm."""
    n = np.inf
    for k in range(state.active.size):
        if state.active[k] and state.sums[1, k] < n:
            n = state.sums[1, k]
    return n


@kernel
def act(params, state, t, rng):
    n = fewest(state)
    for k in range(state.active.size):
        state.least[k] = state.active[k] and state.sums[1, k] == n
    left = any_of(state.least, rng)
    return left, any_of(state.active, rng)


@kernel
def drop(state, worst):
    """Take ``worst`` out, and all challenges of it."""
    state.active[worst] = False
    for k in range(state.active.size):
        state.sums[0, k] -= state.wins[k, worst]
        state.sums[1, k] -= state.met[k, worst]


@kernel
def update(params, state, t, left, right, win, rng):
    if not (state.active[left] and state.active[right]):
        return
    state.wins[left, right] += win
    state.met[left, right] += 1.0
    state.sums[0, left] += win
    state.sums[1, left] += 1.0
    n = fewest(state)
    if n == 0.0:
        return
    low, high, worst = np.inf, -np.inf, -1
    for k in range(state.active.size):
        if state.active[k]:
            p = state.sums[0, k] / state.sums[1, k]
            if p < low:
                low, worst = p, k
            high = max(high, p)
    c = params.width * params.gamma * params.gamma * math.sqrt(state.log_delta[0] / n)
    if low + c < high - c:
        drop(state, worst)


@kernel
def recommend(params, state, rng, out):
    """Even odds over the active arms of largest p; those without a challenge count as 1/2."""
    most = -1.0
    for k in range(out.size):
        out[k] = -2.0
        if state.active[k]:
            out[k] = state.sums[0, k] / state.sums[1, k] if state.sums[1, k] > 0.0 else 0.5
            most = max(most, out[k])
    share_among(out, most)


def btm(gamma: float = 1.2, width: float = 1.0) -> Duel:
    """BTM for arms as far from an order as ``gamma`` >= 1 says, with bounds of ``width`` > 0.

    Raises ValueError for another ``gamma`` or ``width``; the horizon must be known.
    """
    relaxed = number("gamma", gamma)
    if relaxed < 1.0:
        raise ValueError(f"gamma must be at least 1, got {gamma!r}")
    params = BTM(relaxed, positive("width", width))
    return Duel(params, init, act, update, recommend, check=needs_horizon)
