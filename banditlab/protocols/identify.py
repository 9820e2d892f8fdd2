"""Pure exploration: pull until the budget is spent or a rule says stop, then name an arm.

The file holds, top to bottom, what an algorithm brings (:class:`Identify`), the fused loop, and
what it records (:data:`MEASURES`). Problems are those of :mod:`banditlab.protocols.online`.

A choice is a batch, so that a private algorithm sees sums and never a single reward::

    while pulls are left and not stop(t):       # t pulls were made
        act(t, x): how often to pull each arm now
        update(t, x, pulls, sums)               # of this batch
    recommend(x): the arm

The horizon is the budget (fixed budget), or where a run is cut off (fixed confidence). What is
pulled and paid never depends on how the rewards are drawn: one by one, or a batch as one sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import kernel, kernel_inline
from banditlab.protocols.online import ANY_REWARD
from banditlab.random import AGENT, NATURE, stream

MEASURES = ("error", "simple_regret", "pulls", "epsilon")


@kernel
def never(params, state, t):  # type: ignore[no-untyped-def]
    """``stop`` of an algorithm that has a budget."""
    return False


@kernel
def unprotected(params, state):  # type: ignore[no-untyped-def]
    """``spent`` of an algorithm that is not private."""
    return np.nan


class Identify(NamedTuple):
    """An algorithm that speaks ``identify``: hyper-parameters and kernels, no data.

    A private algorithm keeps what it releases in a field ``released`` of its state, (n_phases,
    n_arms) float64 with nan where nothing was released: that is what an audit may look at.
    """

    params: Any  # NamedTuple of hyper-parameters; the factory's arguments carry the same names
    init: Callable[..., Any]  # (params, task, rng) -> State; task.horizon is the budget
    # (params, state, t, x, rng, out): out (n_arms,) int64, zeros before: pulls to make now. The
    # loop cuts them to the budget, in the order of the arms; none at all ends the run.
    act: Callable[..., None]
    update: Callable[..., None]  # (params, state, t, x, pulls, sums, rng): t before this batch
    recommend: Callable[..., None]  # (params, state, x, rng, out): probabilities over arms
    stop: Callable[..., bool] = never  # (params, state, t)
    spent: Callable[..., float] = unprotected  # (params, state) -> epsilon spent on any one reward
    rewards: tuple[float, float] = ANY_REWARD  # the range of rewards it accepts
    features: bool = False  # whether it cannot do without features
    # Each reward is rounded to a multiple of this before it is summed, so that a sum is an integer
    # that exact discrete noise can be added to; 0.0: as it is. A batch drawn as one sum is not
    # rounded: those are whole numbers.
    grid: float = 0.0
    # (task, x) -> None, in Python: raises ValueError where the algorithm cannot meet the task,
    # such as a budget that is too small
    check: Callable[..., None] | None = None


class Run(NamedTuple):
    """One replication."""

    state: Any
    world: Any
    x: np.ndarray  # what the problem shows
    used: np.ndarray  # (1,) int64: pulls made
    pulls: np.ndarray  # (n_arms,) int64: of the batch
    sums: np.ndarray  # (n_arms,) float64: of the batch
    nature: np.ndarray  # (4,) uint64
    agent: np.ndarray  # (4,) uint64


@kernel_inline
def begin(algorithm, problem, task, key, replication):  # type: ignore[no-untyped-def]
    """A fresh replication."""
    nature = stream(key, replication, NATURE)
    agent = stream(key, replication, AGENT)
    world = problem.init(problem.params, nature)
    x = problem.observe(problem.params, world, 0, nature)
    state = algorithm.init(algorithm.params, task, agent)
    used = np.zeros(1, np.int64)
    pulls = np.zeros(task.n_arms, np.int64)
    return Run(state, world, x, used, pulls, np.zeros(task.n_arms), nature, agent)


@kernel_inline
def advance(algorithm, problem, task, run):  # type: ignore[no-untyped-def]
    """One batch; returns the number of its pulls, 0 when the run is over."""
    t = run.used[0]
    left = task.horizon - t
    if left <= 0 or algorithm.stop(algorithm.params, run.state, t):
        return 0
    for k in range(task.n_arms):
        run.pulls[k] = 0
    algorithm.act(algorithm.params, run.state, t, run.x, run.agent, run.pulls)
    for k in range(task.n_arms):
        n = min(run.pulls[k], left)
        left -= n
        run.pulls[k] = n
        run.sums[k] = 0.0
        if n > 0:
            total = problem.batch(problem.params, run.world, run.x, k, n, run.nature)
            if total != total:  # nan: the problem has no shortcut
                total = 0.0
                for _ in range(n):
                    reward = problem.pull(problem.params, run.world, run.x, k, run.nature)
                    if algorithm.grid > 0.0:
                        reward = algorithm.grid * math.floor(reward / algorithm.grid + 0.5)
                    total += reward
            run.sums[k] = total
    made = task.horizon - left - t
    if made > 0:
        algorithm.update(algorithm.params, run.state, t, run.x, run.pulls, run.sums, run.agent)
        run.used[0] = t + made
    return made


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):  # type: ignore[no-untyped-def]
    """Replications ``first, first + 1, ...``, as many as ``record`` has rows.

    ``checkpoints`` has one entry, the horizon: a run is scored when it is over. ``log_rounds``
    belongs to the common shape of a block and is not used. For ``record`` and ``progress`` see
    online.run_block; a run that stops early counts as finished.
    """
    rule = np.zeros(task.n_arms)
    for i in range(record.shape[0]):
        run = begin(algorithm, problem, task, key, first + i)
        while advance(algorithm, problem, task, run) > 0:
            if progress[1] != 0:
                return
        progress[0] += task.horizon
        algorithm.recommend(algorithm.params, run.state, run.x, run.agent, rule)
        wrong = 0.0
        lost = 0.0
        for k in range(task.n_arms):
            if rule[k] > 0.0:
                gap = problem.regret(problem.params, run.world, run.x, k)
                wrong += rule[k] if gap > 0.0 else 0.0
                lost += rule[k] * gap
        record[i, 0, 0] = wrong
        record[i, 0, 1] = lost
        record[i, 0, 2] = run.used[0]
        record[i, 0, 3] = algorithm.spent(algorithm.params, run.state)
