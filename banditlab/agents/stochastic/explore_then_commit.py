"""Explore-then-commit: every arm m times, then for ever the one with the best mean.

Lattimore & Szepesvari 2020, Algorithm 1. Without a given m the horizon T chooses it::

    m = ceil((T / n_arms)^(2/3) * (ln T)^(1/3))

which gives regret of order T^(2/3) (n_arms ln T)^(1/3) (Slivkins 2019, Theorem 1.5). After the
commitment no reward is looked at. While it explores it pulls an arm with the fewest rewards seen.

>>> import banditlab
>>> banditlab.make("explore_then_commit", pulls=20).params
ExploreThenCommit(pulls=20)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import context, kernel, kernel_inline
from banditlab.parts.index import (
    add_reward,
    learning,
    mean,
    new_moments,
    recommend_best_mean,
    rounds_per_context,
)
from banditlab.protocols.loops.lanes import Lanes
from banditlab.protocols.online import Online
from banditlab.validate import integer

label = "explore, then commit"

PULLS_WITHOUT_HORIZON = 30.0


class ExploreThenCommit(NamedTuple):
    """Hyper-parameters."""

    pulls: int = 0  # >= 0, per arm; 0: chosen from the horizon, or 30 when there is none


class Commitment(NamedTuple):
    """Moments up to the commitment, and the arm committed to."""

    pulls: np.ndarray  # (n_contexts, n_arms) float64
    sums: np.ndarray  # (n_contexts, n_arms) float64
    inv: np.ndarray  # (n_contexts, n_arms) float64: 1 / pulls, and 1 where there are no pulls
    seen: np.ndarray  # (n_contexts,) float64: rewards seen in each context
    task: np.ndarray  # (4,) int64: the fields of Task
    arm: np.ndarray  # (n_contexts,) int64: committed to; -1 while exploring
    budget: np.ndarray  # (1,) float64: pulls of each arm before the commitment


@kernel_inline
def budget(params, task):
    """Pulls of each arm before the commitment."""
    if params.pulls > 0:
        return params.pulls * 1.0
    horizon = rounds_per_context(task)
    if horizon <= 1.0:
        return PULLS_WITHOUT_HORIZON if task.horizon == 0 else 1.0
    share = math.pow(horizon / task.n_arms, 2.0 / 3.0)
    return -math.floor(-share * math.pow(numeric.log(horizon), 1.0 / 3.0)) * 1.0


@kernel
def init(params, task, rng):
    pulls, sums, inv, seen, facts = new_moments(params, task, rng)
    arm = np.full(task.n_contexts, -1)
    return Commitment(pulls, sums, inv, seen, facts, arm, np.full(1, budget(params, task)))


@kernel_inline
def least_pulled(state, s):
    arm = 0
    for k in range(state.pulls.shape[1]):
        arm = k if state.pulls[s, k] < state.pulls[s, arm] else arm
    return arm


@kernel_inline
def choose(state, s):
    return state.arm[s] if state.arm[s] >= 0 else least_pulled(state, s)


@kernel
def act(params, state, t, x, rng):
    return choose(state, context(state.pulls.shape[0], x))


@kernel
def act_lanes(params, state, t, rngs, arms, spare):
    for lane in range(arms.size):
        arms[lane] = choose(state, lane)


@kernel_inline
def learn(params, state, s, arm, reward):
    if state.arm[s] < 0:
        add_reward(params, state, s, arm, reward)
        if state.pulls[s, least_pulled(state, s)] >= state.budget[0]:
            best = 0
            for k in range(state.pulls.shape[1]):
                best = k if mean(state, s, k) > mean(state, s, best) else best
            state.arm[s] = best


update, update_lanes = learning(learn)


def explore_then_commit(pulls: int = 0) -> Online:
    """Explore-then-commit with ``pulls`` >= 0 of each arm before the commitment.

    0 takes the number from the horizon of each context, or 30 when the horizon is unknown.
    Raises ValueError when ``pulls`` is not an integer of at least 0.
    """
    params = ExploreThenCommit(integer("pulls", pulls, 0))
    lanes = Lanes(params, init, act_lanes, update_lanes)
    return Online(params, init, act, update, recommend_best_mean, lanes=lanes)
