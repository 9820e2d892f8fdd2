"""Hedge in self-play: SPO where the preferences themselves are shown.

Swamy, Dann, Kidambi, Wu & Agarwal 2024, "A minimaximalist approach to reinforcement learning from
human feedback": a preference is a symmetric game, so one learner that plays against itself finds
its von Neumann winner. With A = 2 P - 1, which is revealed after every duel, and Hedge (Freund &
Schapire 1997) as the learner::

    p_t = softmax(eta S_t),   S_t+1 = S_t + A p_t

As p_t A p_t = 0, the mean of p_1, ..., p_T has exploitability max_k sum_t (A p_t)_k / T, which for
K arms is at most ln K / (eta T) + eta / 2; with eta = sqrt(2 ln K / T) that is sqrt(2 ln K / T).
Where one arm beats every other by at least D in A, eta = D / 4 makes it at most 8 ln K / (D T). The
last p_T+1 need not converge: where preferences are cyclic it turns in circles. The ``optimistic``
one plays softmax(eta (S_t + A p_t-1)), as if the last answer came again (Rakhlin & Sridharan 2013),
and its last strategy converges too.

>>> import banditlab
>>> agent = banditlab.Agent("hedge_selfplay", n_arms=3, eta=0.5)
>>> agent.update(agent.act(), win=1)
>>> agent.reveal([[0.5, 0.6, 0.2], [0.4, 0.5, 0.7], [0.8, 0.3, 0.5]])
>>> agent.recommend()
array([0.33333333, 0.33333333, 0.33333333])
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.duels import OUTPUTS, recommend_average_or_last, softmax
from banditlab.parts.modes import place
from banditlab.protocols.duel import Duel
from banditlab.random import categorical, exponential
from banditlab.validate import flag, nonnegative

label = "Hedge self-play"

STARTS = ("even", "random")


class HedgeSelfplay(NamedTuple):
    """Hyper-parameters."""

    eta: float = 0.0  # >= 0; 0: sqrt(2 ln K / T), or sqrt(ln K / t) where T is unknown
    output: int = 0  # 0 average, 1 last: what is recommended
    optimistic: bool = False  # whether the last gradient counts twice
    start: int = 0  # 0 even, 1 random: p_1, where the even one may be a fixed point


class SelfPlay(NamedTuple):
    """What it remembers."""

    scores: np.ndarray  # (n_arms,) float64: S, sums of A p
    probs: np.ndarray  # (n_arms,) float64: p of the next duel
    played: np.ndarray  # (n_arms,) float64: sum of all p so far
    gain: np.ndarray  # (n_arms,) float64: A p of the last duel
    bias: np.ndarray  # (n_arms,) float64: log p_1, but for a constant
    eta: np.ndarray  # (1,) float64: learning rate; 0: that of the round
    spare: np.ndarray  # (n_arms,) float64: scratch


@kernel
def init(params, task, rng):
    K = task.n_arms
    eta = params.eta
    if not eta > 0.0 and task.horizon > 0:
        eta = math.sqrt(2.0 * numeric.log(K * 1.0) / task.horizon)
    bias = np.zeros(K)
    probs = np.full(K, 1.0 / K)
    if params.start == 1:  # Dirichlet(1, ..., 1)
        for k in range(K):
            bias[k] = numeric.log(exponential(rng))
        softmax(1.0, bias, probs)
    return SelfPlay(
        np.zeros(K), probs, np.zeros(K), np.zeros(K), bias, np.full(1, eta), np.zeros(K)
    )


@kernel
def act(params, state, t, rng):
    return categorical(rng, state.probs), categorical(rng, state.probs)


@kernel
def update(params, state, t, left, right, win, rng):
    """Who won is of no use to who knows the chances."""


@kernel
def reveal(params, state, t, matrix):
    K = state.probs.size
    eta = state.eta[0]
    if not eta > 0.0:
        eta = math.sqrt(numeric.log(K * 1.0) / (t + 2.0))  # of the next round, from 1
    for k in range(K):
        state.played[k] += state.probs[k]
        gain = 0.0
        for j in range(K):
            gain += (2.0 * matrix[k, j] - 1.0) * state.probs[j]
        state.gain[k] = gain
    for k in range(K):
        state.scores[k] += state.gain[k]
        ahead = state.gain[k] if params.optimistic else 0.0
        state.spare[k] = eta * (state.scores[k] + ahead) + state.bias[k]
    softmax(1.0, state.spare, state.probs)


def hedge_selfplay(
    eta: float = 0.0,
    output: str | int = "average",
    optimistic: bool = False,
    start: str | int = "even",
) -> Duel:
    """Hedge against itself; it needs to be shown the preferences.

    ``eta`` >= 0 is the learning rate, 0 the tuned one. ``output``: "average" or "last", the
    strategy recommended. ``start``: "even", or "random" for a p_1 drawn evenly from the simplex.

    Raises ValueError for an ``eta`` below 0 and for other words.
    """
    params = HedgeSelfplay(
        nonnegative("eta", eta), place("output", output, OUTPUTS), flag("optimistic", optimistic),
        place("start", start, STARTS),
    )  # fmt: skip
    return Duel(params, init, act, update, recommend_average_or_last, reveal)
