"""Interleaved filter 2 (IF2; Yue, Broder, Kleinberg & Joachims 2012).

An incumbent, drawn at random, meets all active arms in turn. With mu_j the share of its duels with
j that the incumbent won, and ``c = sqrt(4 ln(1/delta) / n)`` after n sweeps, ``delta = 1/(T K^2)``,
at the end of a sweep

* every arm with ``mu_j - c > 1/2`` is dropped;
* if some arm has ``mu_j + c < 1/2`` it is the incumbent from now on: the old one leaves, and so
  does, without further duels, every arm with ``mu_j > 1/2``. Counting begins anew.

When no arm is left but the incumbent, it plays itself. The paper wants arms in an order; with a
circle among the losers the incumbent of the end may be any of them.

>>> import banditlab
>>> agent = banditlab.Agent("if2", n_arms=2, horizon=1000)
>>> for _ in range(200):
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
from banditlab.parts.duels import needs_horizon
from banditlab.protocols.duel import Duel
from banditlab.random import below
from banditlab.validate import positive

label = "IF2"


class IF2(NamedTuple):
    """Hyper-parameters."""

    width: float = 4.0  # > 0: c = sqrt(width ln(1/delta) / n)


class Filter(NamedTuple):
    """What IF2 remembers."""

    active: np.ndarray  # (n_arms,) bool: those who still challenge the incumbent
    won: np.ndarray  # (n_arms,) float64: duels that the incumbent won against each
    leader: np.ndarray  # (1,) int64: the incumbent
    turn: np.ndarray  # (1,) int64: who challenges next; the incumbent when nobody is left
    sweeps: np.ndarray  # (1,) int64: finished under this incumbent
    log_delta: np.ndarray  # (1,) float64: ln(1/delta)


@kernel
def init(params, task, rng):
    K = task.n_arms
    active, won = np.ones(K, np.bool_), np.zeros(K)
    b = below(rng, K)
    active[b] = False
    log_delta = np.full(1, numeric.log(1.0 * max(task.horizon, 1) * K * K))
    state = Filter(active, won, np.full(1, b), np.full(1, b), np.zeros(1, np.int64), log_delta)
    pass_on(state, 0)
    return state


@kernel
def pass_on(state, first):
    """The turn goes to the first active arm from ``first`` on; False if there is none."""
    for k in range(first, state.active.size):
        if state.active[k]:
            state.turn[0] = k
            return True
    state.turn[0] = state.leader[0]
    return False


@kernel
def act(params, state, t, rng):
    return state.leader[0], state.turn[0]


@kernel
def crown(state, heir, rest):
    """The ``heir`` takes over; of the challengers those go of whom ``rest`` (n_arms,) holds."""
    for j in range(rest.size):
        state.active[j] = state.active[j] and not rest[j]
        state.won[j] = 0.0
    state.active[heir] = False
    state.leader[0] = heir
    state.sweeps[0] = 0


@kernel
def end_sweep(params, state):
    """Drop whom the incumbent beats; find out whether somebody beats it."""
    K = state.active.size
    n = 1.0 * state.sweeps[0]
    c = math.sqrt(params.width * state.log_delta[0] / n)
    heir, best = -1, 1.0
    ahead = np.zeros(K, np.bool_)  # of whom the incumbent won more than half
    for j in range(K):
        mean = state.won[j] / n
        ahead[j] = mean > 0.5
        if state.active[j] and mean - c > 0.5:
            state.active[j] = False
        if state.active[j] and mean + c < 0.5 and mean < best:
            heir, best = j, mean
    if heir >= 0:
        crown(state, heir, ahead)


@kernel
def update(params, state, t, left, right, win, rng):
    b, k = state.leader[0], state.turn[0]
    if left == right:
        return
    # Others than asked for, as a log may hold them, count as far as they are the pair that meets.
    if left == b and right == k:
        state.won[k] += win
    elif left == k and right == b:
        state.won[k] += 1.0 - win
    else:
        return
    if not pass_on(state, k + 1):
        state.sweeps[0] += 1
        end_sweep(params, state)
        pass_on(state, 0)


@kernel
def recommend(params, state, rng, out):
    for k in range(out.size):
        out[k] = 0.0
    out[state.leader[0]] = 1.0


def if2(width: float = 4.0) -> Duel:
    """IF2 with ``width`` > 0 of its confidence bounds. Raises ValueError when it is not positive.

    The horizon must be known.
    """
    return Duel(IF2(positive("width", width)), init, act, update, recommend, check=needs_horizon)
