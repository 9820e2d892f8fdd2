"""Sparring with Exp3: two adversarial bandits, one for each side (Ailon, Karnin & Joachims 2014).

The left bandit loses where the right arm is preferred, and the other way round, so each plays
against an adversary who learns: together they play a zero-sum game. With S_k minus the estimated
losses of a side, for K arms and T duels (Auer, Cesa-Bianchi, Freund & Schapire 2002)::

    p ~ exp(eta S),   S_left -= (1 - win) / p_left,   S_right -= win / q_right
    eta = sqrt(2 ln K / (T K))

It recommends the mean of both sides' probabilities over all rounds, whose exploitability falls as
1 / sqrt(T), also where no arm beats all others.

>>> import banditlab
>>> agent = banditlab.Agent("sparring_exp3", n_arms=3, horizon=100)
>>> agent.update((0, 1), win=1)
>>> agent.recommend().round(4)
array([0.3333, 0.3333, 0.3333])
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.duels import counted_inverse, needs_horizon, recommend_average, softmax
from banditlab.protocols.duel import Duel
from banditlab.random import categorical
from banditlab.validate import nonnegative

label = "sparring Exp3"


class SparringExp3(NamedTuple):
    """Hyper-parameters."""

    eta: float = 0.0  # >= 0; 0: sqrt(2 ln K / (T K))


class Sides(NamedTuple):
    """What both sides remember."""

    scores: np.ndarray  # (2, n_arms) float64 <= 0: minus the estimated losses of left and right
    probs: np.ndarray  # (2, n_arms) float64: of the next duel
    played: np.ndarray  # (n_arms,) float64: sums of both sides' probabilities so far
    eta: np.ndarray  # (1,) float64: learning rate
    capped: np.ndarray  # (1,) float64: probabilities below 1e-12 that were met


@kernel
def init(params, task, rng):
    K = task.n_arms
    eta = params.eta
    if not eta > 0.0:
        eta = math.sqrt(2.0 * numeric.log(K * 1.0) / (max(task.horizon, 1) * K))
    probs = np.full((2, K), 1.0 / K)
    return Sides(np.zeros((2, K)), probs, np.zeros(K), np.full(1, eta), np.zeros(1))


@kernel
def act(params, state, t, rng):
    return categorical(rng, state.probs[0]), categorical(rng, state.probs[1])


@kernel
def update(params, state, t, left, right, win, rng):
    for k in range(state.played.size):
        state.played[k] += state.probs[0, k] + state.probs[1, k]
    state.scores[0, left] -= (1.0 - win) * counted_inverse(state.probs[0, left], state.capped)
    state.scores[1, right] -= win * counted_inverse(state.probs[1, right], state.capped)
    for side in range(2):
        softmax(state.eta[0], state.scores[side], state.probs[side])


def sparring_exp3(eta: float = 0.0) -> Duel:
    """Sparring Exp3 with the learning rate ``eta`` >= 0; 0: tuned for the number of duels.

    Raises ValueError when ``eta`` is negative; with ``eta`` = 0 the horizon must be known.
    """
    params = SparringExp3(nonnegative("eta", eta))
    tuned = None if params.eta > 0.0 else needs_horizon
    return Duel(params, init, act, update, recommend_average, check=tuned)
