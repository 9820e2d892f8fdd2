"""SPO with bandit feedback: one distribution plays both sides and learns from who won.

Self-play preference optimisation (Swamy, Dann, Kidambi, Wu & Agarwal 2024) where the learner is
Exp3 (Auer, Cesa-Bianchi, Freund & Schapire 2002) and a comparison is all that is seen::

    left, right drawn from p = softmax(eta S)
    S_left -= (1 - win) / (2 p_left),   S_right -= win / (2 p_right)
    eta = sqrt(2 ln K / (T K))          for K arms and T duels

An arm that meets itself loses on one side in any case. The mean of p over all duels is recommended;
its exploitability falls as 1 / sqrt(T), also where no arm beats all others.

>>> import banditlab
>>> agent = banditlab.Agent("spo_exp3", n_arms=2, eta=0.5, output="last")
>>> agent.update((0, 1), win=1)  # S = [0, -1]: the loss of the right arm, of probability 1/2
>>> agent.recommend().round(4)
array([0.6225, 0.3775])
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.duels import (
    OUTPUTS,
    counted_inverse,
    needs_horizon,
    recommend_average_or_last,
    softmax,
)
from banditlab.parts.modes import place
from banditlab.protocols.duel import Duel
from banditlab.random import categorical
from banditlab.validate import nonnegative

label = "SPO-Exp3"


class SPOExp3(NamedTuple):
    """Hyper-parameters."""

    eta: float = 0.0  # >= 0; 0: sqrt(2 ln K / (T K))
    output: int = 0  # 0 average, 1 last: what is recommended


class Player(NamedTuple):
    """What it remembers."""

    scores: np.ndarray  # (n_arms,) float64 <= 0: minus the estimated losses
    probs: np.ndarray  # (n_arms,) float64: of the next duel
    played: np.ndarray  # (n_arms,) float64: sum of the probabilities of all duels so far
    eta: np.ndarray  # (1,) float64: learning rate
    capped: np.ndarray  # (1,) float64: probabilities below 1e-12 that were met


@kernel
def init(params, task, rng):
    K = task.n_arms
    eta = params.eta
    if not eta > 0.0:
        eta = math.sqrt(2.0 * numeric.log(K * 1.0) / (max(task.horizon, 1) * K))
    return Player(np.zeros(K), np.full(K, 1.0 / K), np.zeros(K), np.full(1, eta), np.zeros(1))


@kernel
def act(params, state, t, rng):
    return categorical(rng, state.probs), categorical(rng, state.probs)


@kernel
def update(params, state, t, left, right, win, rng):
    for k in range(state.played.size):
        state.played[k] += state.probs[k]
    state.scores[left] -= 0.5 * (1.0 - win) * counted_inverse(state.probs[left], state.capped)
    state.scores[right] -= 0.5 * win * counted_inverse(state.probs[right], state.capped)
    softmax(state.eta[0], state.scores, state.probs)


def spo_exp3(eta: float = 0.0, output: str | int = "average") -> Duel:
    """SPO by Exp3 with the learning rate ``eta`` >= 0; 0: tuned for the number of duels.

    ``output``: "average" or "last", the strategy recommended. Raises ValueError when ``eta`` is
    negative, and for other words; with ``eta`` = 0 the horizon must be known.
    """
    params = SPOExp3(nonnegative("eta", eta), place("output", output, OUTPUTS))
    tuned = None if params.eta > 0.0 else needs_horizon
    return Duel(params, init, act, update, recommend_average_or_last, check=tuned)
