"""Versatile-DB: sparring with Tsallis-INF (Saha & Gaillard 2022, "Versatile dueling bandits").

The left arm loses ``1 - win`` and the right one ``win``; weights are those of Tsallis-INF (see
`tsallis_inf`), ``4 / (eta (L_k - x))^2`` with x such that they sum to 1 and ``eta = 2 / sqrt(t)``.

* ``two = 0``: one distribution p for both sides; of each loss, half goes to the common L as
  ``loss / (2 p)``.
* ``two = 1``: two copies, one for each side.

Regret is logarithmic where an arm beats all others, and of order sqrt(K T) against any adversary.
With ``reduced_variance = 1`` eta is twice that, and a side adds ``1{k played} (loss - b_k) / p_k +
b_k`` for every k, b_k = 1/2 where p_k >= eta^2, else 0, which halves the regret.

>>> import banditlab
>>> agent = banditlab.Agent("versatile_db", n_arms=2, seed=1)
>>> for _ in range(200):
...     left, right = agent.act()
...     agent.update((left, right), win=left < right)
>>> bool(agent.recommend()[0] > 0.8)
True
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.agents.adversarial.tsallis_inf import weigh
from banditlab.core import kernel
from banditlab.parts.duels import counted_inverse, recommend_average
from banditlab.protocols.duel import Duel
from banditlab.random import categorical
from banditlab.validate import integer

label = "Versatile-DB"


class VersatileDB(NamedTuple):
    """Hyper-parameters."""

    two: int = 0  # 0 or 1: whether each side has a distribution of its own
    reduced_variance: int = 0  # 0 or 1


class Sides(NamedTuple):
    """What is remembered; where one distribution serves both sides, it is that of left."""

    losses: np.ndarray  # (2, n_arms) float64: estimated, of left and right
    probs: np.ndarray  # (2, n_arms) float64: of the next duel
    played: np.ndarray  # (n_arms,) float64: sums of both sides' probabilities so far
    capped: np.ndarray  # (1,) float64: probabilities below 1e-12 that were met


@kernel
def init(params, task, rng):
    K = task.n_arms
    return Sides(np.zeros((2, K)), np.full((2, K), 1.0 / K), np.zeros(K), np.zeros(1))


@kernel
def rate(params, t):
    """The learning rate of round ``t``, from 0."""
    return 2.0 * (1.0 + params.reduced_variance) / math.sqrt(t + 1.0)


@kernel
def act(params, state, t, rng):
    return categorical(rng, state.probs[0]), categorical(rng, state.probs[params.two])


@kernel
def estimate(params, state, eta, side, arm, loss, share):
    """Add ``share`` of the estimated losses of a side that played ``arm``."""
    probs, losses = state.probs[side], state.losses[side]
    if params.reduced_variance == 0:
        losses[arm] += share * loss * counted_inverse(probs[arm], state.capped)
        return
    for k in range(losses.size):
        base = 0.5 if probs[k] >= eta * eta else 0.0
        losses[k] += share * base
        if k == arm:
            losses[k] += share * (loss - base) * counted_inverse(probs[k], state.capped)


@kernel
def update(params, state, t, left, right, win, rng):
    for k in range(state.played.size):
        state.played[k] += state.probs[0, k] + state.probs[params.two, k]
    eta, side = rate(params, t), params.two
    share = 1.0 if side == 1 else 0.5
    estimate(params, state, eta, 0, left, 1.0 - win, share)
    estimate(params, state, eta, side, right, win, share)
    for s in range(side + 1):
        weigh(rate(params, t + 1), state.losses, s, state.probs)


def versatile_db(two: int = 0, reduced_variance: int = 0) -> Duel:
    """Versatile-DB; both arguments are 0 or 1. Raises ValueError when they are not."""
    params = VersatileDB(
        integer("two", two, 0, 1), integer("reduced_variance", reduced_variance, 0, 1)
    )
    return Duel(params, init, act, update, recommend_average)
