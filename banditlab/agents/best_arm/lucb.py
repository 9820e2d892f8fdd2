"""LUCB1 (Kalyanakrishnan, Tewari, Auer & Stone 2012): pull the leader and its strongest rival.

The first round pulls every arm once. After t rounds, for an arm with n pulls (their equation 6)::

    bonus = sqrt( ln(1.25 K t^4 / delta) / (2 n) )
    h = argmax mean,  l = argmax_{i != h} mean + bonus
    stop when (mean_l + bonus_l) - (mean_h - bonus_h) < tolerance, else pull both

With probability 1 - delta the arm named is less than ``tolerance`` below the best one; with
``tolerance`` = 0 it is the best one. A positive ``tolerance`` above the gap makes no promise to
find the best arm.

Checked pull by pull against a plain implementation on tables of rewards. Ties go to the first arm.

>>> import banditlab
>>> banditlab.make("lucb").params
LUCB(delta=0.05, tolerance=0.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel, kernel_inline
from banditlab.parts.best_arm import add_batch, leader, recommend_best
from banditlab.protocols.identify import Identify
from banditlab.protocols.online import UNIT_REWARD
from banditlab.validate import inside, nonnegative

label = "LUCB"

# Close enough for errors.
example = {"name": "bernoulli", "means": [0.4, 0.5, 0.6]}


class LUCB(NamedTuple):
    """Hyper-parameters."""

    delta: float = 0.05  # in (0, 1): probability of naming a wrong arm
    tolerance: float = 0.0  # >= 0: how much worse than the best arm the one named may be


class Duel(NamedTuple):
    """Pulls and rewards so far."""

    pulls: np.ndarray  # (n_arms,) float64
    sums: np.ndarray  # (n_arms,) float64
    means: np.ndarray  # (n_arms,) float64: 0 before the first pull
    rounds: np.ndarray  # (1,) int64


@kernel
def init(params, task, rng):
    n_arms = task.n_arms
    return Duel(np.zeros(n_arms), np.zeros(n_arms), np.zeros(n_arms), np.zeros(1, np.int64))


@kernel_inline
def duel(params, state):
    """The leader, its rival, and by how much the rival may be better; from the first round on."""
    n_arms = state.pulls.size
    level = numeric.log(1.25 * n_arms / params.delta) + 4.0 * numeric.log(state.rounds[0] * 1.0)
    first = leader(state.pulls, state.means)
    second = 0
    highest = -np.inf
    for k in range(n_arms):
        upper = state.means[k] + math.sqrt(level / (2.0 * state.pulls[k]))
        larger = k != first and upper > highest
        second = k if larger else second
        highest = upper if larger else highest
    lower = state.means[first] - math.sqrt(level / (2.0 * state.pulls[first]))
    return first, second, highest - lower


@kernel
def act(params, state, t, x, rng, out):
    if state.rounds[0] == 0:
        for k in range(out.size):
            out[k] = 1
        return
    first, second, _ = duel(params, state)
    out[first] = 1
    out[second] = 1


@kernel
def update(params, state, t, x, pulls, sums, rng):
    add_batch(state, pulls, sums)
    state.rounds[0] += 1


@kernel
def stop(params, state, t):
    if state.rounds[0] == 0:
        return False
    _, _, doubt = duel(params, state)
    return doubt < params.tolerance


def lucb(delta: float = 0.05, tolerance: float = 0.0) -> Identify:
    """LUCB1 for rewards in [0, 1]; the task's horizon is where a run is cut off.

    Parameters
    ----------
    delta
        Probability in (0, 1) of naming an arm that is ``tolerance`` or more below the best.
    tolerance
        At least 0; 0 asks for the best arm itself.

    Raises ValueError for whatever is out of range.
    """
    params = LUCB(inside("delta", delta, 0.0, 1.0), nonnegative("tolerance", tolerance))
    return Identify(params, init, act, update, recommend_best, stop, rewards=UNIT_REWARD)
