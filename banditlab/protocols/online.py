"""Online play: see a context or features, choose an arm, see its reward.

The file holds, top to bottom, what an algorithm brings (:class:`Online`), what a problem brings
(:class:`Problem`), the fused loop, and what it records (:data:`MEASURES`).

One round ``t`` (counted from 0)::

    x = observe(t)            # (n_arms, dim), (1, dim), [[context]], or [[0]] when nothing is shown
    arm = act(t, x)
    regret += regret(x, arm)  # expected loss against the best arm of this round, from true means
    reward = pull(x, arm)
    deliver: update(t, x, arm, reward), now or, with delays, later
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import kernel, kernel_inline
from banditlab.random import AGENT, NATURE, OBSERVATION, below, stream

MEASURES = ("regret", "reward", "switches")

ANY_REWARD = (-np.inf, np.inf)
UNIT_REWARD = (0.0, 1.0)

# Rounds between two looks at the stop flag: under a second even at 2,000 rounds a second.
SLICE = 1024


@kernel
def deterministic(params, state, t, x, out):  # type: ignore[no-untyped-def]
    """Mark of an algorithm whose next arm is no random draw: its propensities are nan."""
    for k in range(out.size):
        out[k] = np.nan


@kernel
def as_played(params, state, t, x, arm, reward, rng):  # type: ignore[no-untyped-def]
    """A logged round teaches what a played round would: False leaves it to ``update``."""
    return False


class Online(NamedTuple):
    """An algorithm that speaks ``online``: hyper-parameters and kernels, no data.

    ``out`` arrays have one entry per arm and are preallocated by the caller.
    """

    params: Any  # NamedTuple of hyper-parameters; the factory's arguments carry the same names
    init: Callable[..., Any]  # (params, task, rng) -> State
    act: Callable[..., int]  # (params, state, t, x, rng) -> arm
    update: Callable[..., None]  # (params, state, t, x, arm, reward, rng), in place
    recommend: Callable[..., None]  # (params, state, x, rng, out): probabilities over arms
    propensities: Callable[..., None] = deterministic  # (params, state, t, x, out): of the next act
    fit: Callable[..., bool] = as_played  # like update, for a logged round; False: call update
    rewards: tuple[float, float] = ANY_REWARD  # the range of rewards it accepts
    features: bool = False  # whether it cannot do without features
    lanes: Any = None  # protocols.lanes.Lanes, if many replications can be played in lock-step


@kernel
def uniformly(params, world, x, rng):  # type: ignore[no-untyped-def]
    """The log was collected by choosing every arm with the same probability: -1 says so."""
    return -1


@kernel
def row_by_row(params, world, rounds, rng, counts, sums):  # type: ignore[no-untyped-def]
    """The log has no shortcut: False asks the loop to play ``behave`` round by round."""
    return False


@kernel
def evenly(params, world, out):  # type: ignore[no-untyped-def]
    """Every context is equally likely."""
    for s in range(out.size):
        out[s] = 1.0 / out.size


@kernel
def at_once(params, world, t, x, arm, reward):  # type: ignore[no-untyped-def]
    """Every reward reaches the algorithm in the round in which it was earned: -1 says so."""
    return -1


@kernel
def no_arrival(params, world, i):  # type: ignore[no-untyped-def]
    """Gives ``arrival`` its type where nothing ever waits."""
    return i, np.empty((0, 0)), i, 0.0  # not 0: for a constant, update would be compiled anew


@kernel
def pull_by_pull(params, world, x, arm, n, rng):  # type: ignore[no-untyped-def]
    """The sum of many rewards has no shortcut: nan asks the loop to pull one by one."""
    return np.nan


class Problem(NamedTuple):
    """What nature does: parameters and kernels that show features, pay rewards, know the regret.

    What ``pull`` takes from the stream must not depend on the arm, so that two algorithms with
    one seed face the same luck; a sampler whose draws depend on the arm runs on
    ``banditlab.random.fork(rng)``.
    """

    params: Any
    init: Callable[..., Any]  # (params, rng) -> World
    observe: Callable[..., Any]  # (params, world, t, rng) -> x
    pull: Callable[..., float]  # (params, world, x, arm, rng) -> reward
    regret: Callable[..., float]  # (params, world, x, arm) -> expected loss against the best arm
    shape: tuple[int, int, int]  # n_arms, n_contexts (1 when there are none), dim
    rewards: tuple[float, float] = UNIT_REWARD  # the range of rewards it pays
    # The logging policy and its log, for offline learning and warm starts:
    behave: Callable[..., int] = uniformly  # (params, world, x, rng) -> arm, or -1 for any arm
    log: Callable[..., bool] = row_by_row  # (params, world, rounds, rng, counts, sums): adds
    weights: Callable[..., None] = evenly  # (params, world, out): probability of each context
    # Delayed rewards: how many arrive in round t, and the i-th of them as (t, x, arm, reward).
    arrivals: Callable[..., int] = at_once  # (params, world, t, x, arm, reward) -> number, or -1
    arrival: Callable[..., tuple] = no_arrival  # (params, world, i)
    lanes: Any = None  # protocols.lanes.Arms, if many replications can be played in lock-step
    # For pure exploration: the sum of n rewards at once, of the law that n pulls have.
    batch: Callable[..., float] = pull_by_pull  # (params, world, x, arm, n, rng) -> sum
    supply: int = 0  # rewards that each arm can pay at most; 0: any number


class Run(NamedTuple):
    """One replication under way."""

    state: Any
    world: Any
    totals: np.ndarray  # (len(MEASURES),) float64
    last: np.ndarray  # (1,) int64: the arm of the round before, -1 at the start
    nature: np.ndarray  # (4,) uint64
    agent: np.ndarray  # (4,) uint64


@kernel_inline
def begin(algorithm, problem, task, key, replication, log_rounds):  # type: ignore[no-untyped-def]
    """A fresh replication; with ``log_rounds`` the algorithm first learns from a log of that size.

    The log comes from a stream of its own, so all algorithms with one seed read the same log.
    """
    nature = stream(key, replication, NATURE)
    agent = stream(key, replication, AGENT)
    world = problem.init(problem.params, nature)
    state = algorithm.init(algorithm.params, task, agent)
    if log_rounds > 0:
        logger = stream(key, replication, OBSERVATION)
        for t in range(log_rounds):
            x = problem.observe(problem.params, world, t, logger)
            arm = problem.behave(problem.params, world, x, logger)
            arm = arm if arm >= 0 else below(logger, task.n_arms)
            reward = problem.pull(problem.params, world, x, arm, logger)
            if not algorithm.fit(algorithm.params, state, t, x, arm, reward, agent):
                algorithm.update(algorithm.params, state, t, x, arm, reward, agent)
    return Run(state, world, np.zeros(3), np.full(1, -1), nature, agent)


@kernel_inline
def advance(algorithm, problem, run, t0, t1):  # type: ignore[no-untyped-def]
    """Play the rounds ``t0 <= t < t1`` of one replication."""
    regret = run.totals[0]
    income = run.totals[1]
    switches = run.totals[2]
    last = run.last[0]
    for t in range(t0, t1):
        x = problem.observe(problem.params, run.world, t, run.nature)
        arm = algorithm.act(algorithm.params, run.state, t, x, run.agent)
        # Before pull: regret is charged on the world as the algorithm found it.
        regret += problem.regret(problem.params, run.world, x, arm)
        reward = problem.pull(problem.params, run.world, x, arm, run.nature)
        income += reward
        switches += 1.0 if arm != last and t > 0 else 0.0
        last = arm
        waiting = problem.arrivals(problem.params, run.world, t, x, arm, reward)
        if waiting < 0:
            algorithm.update(algorithm.params, run.state, t, x, arm, reward, run.agent)
        for i in range(waiting):
            then, seen, pulled, paid = problem.arrival(problem.params, run.world, i)
            algorithm.update(algorithm.params, run.state, then, seen, pulled, paid, run.agent)
    run.totals[0] = regret
    run.totals[1] = income
    run.totals[2] = switches
    run.last[0] = last


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):  # type: ignore[no-untyped-def]
    """Replications ``first, first + 1, ...``, as many as ``record`` has rows.

    ``record`` (replications, checkpoints, measures) float64 receives the totals;
    ``progress`` (2,) int64 counts finished rounds in [0] and is asked to stop by [1] != 0.
    """
    for i in range(record.shape[0]):
        run = begin(algorithm, problem, task, key, first + i, log_rounds)
        t = 0
        for c in range(checkpoints.size):
            while t < checkpoints[c]:
                t1 = min(t + SLICE, checkpoints[c])
                advance(algorithm, problem, run, t, t1)
                progress[0] += t1 - t
                t = t1
                if progress[1] != 0:
                    return
            for m in range(3):
                record[i, c, m] = run.totals[m]
