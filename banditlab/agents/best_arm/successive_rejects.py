"""Successive Rejects (Audibert, Bubeck & Munos 2010, Figure 2).

For K arms and T pulls, with b = 1/2 + 1/2 + 1/3 + ... + 1/K and n_0 = 0,

    n_k = ceil((T - K) / (b (K + 1 - k))),   k = 1, ..., K - 1:

phase k raises every arm that is left from n_{k-1} to n_k pulls and drops the one with the lowest
mean of all its rewards; ties are broken at random. The pulls never add up to more than T. Rewards
are used again in later phases, so noise on the means would not make it private as cheaply as
Sequential Halving.

The rule was compared with the code of banditpylib; the pulls are those of the formula in exact
fractions, and the errors those of a second implementation. That ties are broken at random is ours.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import Task, kernel, kernel_inline
from banditlab.parts.best_arm import check_spare, shuffled
from banditlab.protocols.identify import Identify

label = "successive rejects"


class SuccessiveRejects(NamedTuple):
    """Hyper-parameters: none."""


class Phases(NamedTuple):
    """Which arms are left, and their rewards."""

    active: np.ndarray  # (n_arms,) int64: 1 while the arm is in play, else 0
    order: np.ndarray  # (n_arms,) int64: the arms, those first that win ties
    sums: np.ndarray  # (n_arms,) float64: of all rewards
    dropped: np.ndarray  # (1,) int64: phases finished
    targets: np.ndarray  # (n_arms,) int64: n_0 = 0, n_1, ..., n_{K-1}


@kernel
def fill_targets(horizon, out):
    """The pulls n_k that every arm has after phase k, for k from 0."""
    n_arms = out.size
    b = 0.5
    for i in range(2, n_arms + 1):
        b += 1.0 / i
    out[0] = 0
    for k in range(1, n_arms):
        # Less the rounding error of b, which would turn an integer into the next one.
        quotient = (horizon - n_arms) / (b * (n_arms + 1 - k)) - 1e-9
        out[k] = -math.floor(-quotient)


@kernel
def init(params, task, rng):
    targets = np.empty(task.n_arms, np.int64)
    fill_targets(task.horizon, targets)
    return Phases(
        np.full(task.n_arms, 1),
        shuffled(task.n_arms, rng),
        np.zeros(task.n_arms),
        np.zeros(1, np.int64),
        targets,
    )


@kernel_inline
def increment(state):
    """Pulls of every arm in the phase to come."""
    phase = state.dropped[0] + 1
    return state.targets[phase] - state.targets[phase - 1] if phase < state.targets.size else 0


@kernel
def act(params, state, t, x, rng, out):
    n = increment(state)
    for k in range(out.size):
        out[k] = n * state.active[k]


@kernel
def update(params, state, t, x, pulls, sums, rng):
    n_arms = pulls.size
    for k in range(n_arms):
        state.sums[k] += sums[k]
    while True:
        worst = -1
        for k in state.order:
            # The arms in play have the same number of pulls, so their sums do for their means.
            if state.active[k] == 1 and (worst < 0 or state.sums[k] <= state.sums[worst]):
                worst = k
        state.active[worst] = 0
        state.dropped[0] += 1
        # A phase without pulls drops its arm at once; an empty batch would end the run.
        if increment(state) > 0 or state.dropped[0] >= n_arms - 1:
            break


@kernel
def recommend(params, state, x, rng, out):
    """The arm that is left; before the last phase even odds over those in play."""
    for k in range(out.size):
        out[k] = state.active[k] / (out.size - state.dropped[0])


def most(task: Task) -> int:
    """Pulls of the arm that is named."""
    targets = np.empty(task.n_arms, np.int64)
    fill_targets(task.horizon, targets)
    return int(targets[-1])


def successive_rejects() -> Identify:
    """Successive Rejects; takes no arguments. Its horizon exceeds the number of arms."""
    return Identify(SuccessiveRejects(), init, act, update, recommend, check=check_spare, most=most)
