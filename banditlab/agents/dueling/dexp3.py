"""D-Exp3: adversarial Borda regret (Saha, Koren & Mansour 2021, Algorithm 1).

Both arms are drawn from ``q = (1 - g) softmax(eta S) + g / K``, independently; with K arms and T
duels, S_k estimates the sum of the Borda scores of k, itself included::

    S_left += win / (K q_left q_right),   eta = (ln K / (T sqrt K))^(2/3),   g = sqrt(eta K)

Regret is of order (K ln K)^(1/3) T^(2/3) against any sequence of preferences. The estimates are
large, so it plays almost evenly for a long time.

>>> import banditlab
>>> agent = banditlab.Agent("dexp3", n_arms=2, horizon=100)
>>> agent.update((0, 1), win=1)
>>> agent.recommend().round(4)  # both sides were even in the only duel so far
array([0.5, 0.5])
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

label = "D-Exp3"


class DExp3(NamedTuple):
    """Hyper-parameters."""

    eta: float = 0.0  # >= 0; 0: (ln K / (T sqrt K))^(2/3)


class Scores(NamedTuple):
    """What it remembers."""

    scores: np.ndarray  # (n_arms,) float64 >= 0: estimated sums of Borda scores
    probs: np.ndarray  # (n_arms,) float64: of the next duel
    played: np.ndarray  # (n_arms,) float64: sums of the probabilities so far
    rates: np.ndarray  # (2,) float64: eta and g
    capped: np.ndarray  # (1,) float64: probabilities below 1e-12 that were met


@kernel
def init(params, task, rng):
    K = task.n_arms
    eta = params.eta
    if not eta > 0.0 and K > 1:
        pace = numeric.log(K * 1.0) / (max(task.horizon, 1) * math.sqrt(K))
        eta = numeric.exp(2.0 / 3.0 * numeric.log(pace))
    rates = np.array([eta, min(math.sqrt(eta * K), 1.0)])
    return Scores(np.zeros(K), np.full(K, 1.0 / K), np.zeros(K), rates, np.zeros(1))


@kernel
def act(params, state, t, rng):
    return categorical(rng, state.probs), categorical(rng, state.probs)


@kernel
def update(params, state, t, left, right, win, rng):
    K = state.probs.size
    for k in range(K):
        state.played[k] += state.probs[k]
    p, q = state.probs[left], state.probs[right]
    state.scores[left] += (
        win / K * counted_inverse(p, state.capped) * counted_inverse(q, state.capped)
    )
    softmax(state.rates[0], state.scores, state.probs)
    for k in range(K):
        state.probs[k] = (1.0 - state.rates[1]) * state.probs[k] + state.rates[1] / K


def dexp3(eta: float = 0.0) -> Duel:
    """D-Exp3 with the learning rate ``eta`` >= 0; 0: tuned for the number of duels.

    Raises ValueError when ``eta`` is negative; with ``eta`` = 0 the horizon must be known.
    """
    params = DExp3(nonnegative("eta", eta))
    tuned = None if params.eta > 0.0 else needs_horizon
    return Duel(params, init, act, update, recommend_average, check=tuned)
