"""Policies that rules learn from a log."""

from __future__ import annotations

from typing import Any

import numpy as np

from banditlab.compile import compiled
from banditlab.core import Task, kernel_inline
from banditlab.data.log import Log
from banditlab.protocols.offline import Offline
from banditlab.protocols.online import Online


@kernel_inline
def _learn(algorithm, task, rng, counts, sums, out):
    state = algorithm.init(algorithm.params, task, rng)
    algorithm.update(algorithm.params, state, counts, sums)
    x = np.zeros((1, 1))
    for s in range(out.shape[0]):
        x[0, 0] = s
        algorithm.recommend(algorithm.params, state, x, rng, out[s])


def learned(rule: Offline, log: Log, shape: tuple[int, int] | None = None) -> np.ndarray:
    """The policy (n_contexts, n_arms) that an offline rule learns from a log.

    ``shape`` is by default what the log shows. Raises ValueError, naming the row, for a reward
    that the rule cannot use.
    """
    _usable(rule, log)
    counts, sums = log.counts(shape), log.sums(shape)
    policy = np.empty(counts.shape)
    args = (Task(counts.shape[1], counts.shape[0]), _rng(), counts, sums, policy)
    compiled(_learn, (rule,), args)(*args)
    return policy


@kernel_inline
def _learn_by_row(algorithm, task, rng, x, arm, reward, shown, out):
    state = algorithm.init(algorithm.params, task, rng)
    for i in range(arm.size):
        row = x[i : i + 1]
        if not algorithm.fit(algorithm.params, state, i, row, arm[i], reward[i], rng):
            algorithm.update(algorithm.params, state, i, row, arm[i], reward[i], rng)
    for i in range(out.shape[0]):
        algorithm.recommend(algorithm.params, state, shown[i : i + 1], rng, out[i])


def learned_by_row(rule: Online, log: Log, shown: Any, n_arms: int | None = None) -> np.ndarray:
    """The policy (rows, n_arms) for the features ``shown`` (rows, dim) that a log teaches.

    ``rule`` learns from the features of the log and then recommends for each row of ``shown``.
    ``n_arms`` is by default what the log shows. Raises ValueError, in one line, for a log without
    those features, and for a reward that the rule cannot use.
    """
    shown = np.array(shown, dtype=np.float64, ndmin=2)
    task = Task(n_arms or log.n_arms, 1, shown.shape[1])
    log = log.fitted(task)
    _usable(rule, log)
    policy = np.empty((len(shown), task.n_arms))
    args = (task, _rng(), log.x, log.action, log.reward, shown, policy)
    compiled(_learn_by_row, (rule,), args)(*args)
    return policy


def _usable(rule: Offline | Online, log: Log) -> None:
    low, high = rule.rewards
    wrong = np.flatnonzero((log.reward < low) | (log.reward > high))
    if wrong.size:
        name = type(rule.params).__name__
        raise ValueError(
            f"reward: row {wrong[0]} has {log.reward[wrong[0]]:g}; {name} was set to rewards "
            f"from {low:g} to {high:g}"
        )


def _rng() -> np.ndarray:
    # Any seed will do, the rules draw nothing; random.stream would have to be compiled.
    return np.random.SeedSequence(0).generate_state(4, np.uint64)
