"""Offline learning of tabular bandits: a log comes in, a rule for every context comes out.

All learners of a panel read one log, drawn as counts per (context, arm) and nested over the
checkpoints: the log of 300 rounds continues that of 100. The rule is scored exactly from the
problem's true means, never by playing it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import context, kernel, kernel_inline
from banditlab.protocols import online
from banditlab.protocols.base import (
    Contract,
    Draw,
    Guest,
    Loop,
    Measure,
    Protocol,
    Terms,
    as_rewards,
    bandit_task,
)
from banditlab.protocols.loops import exact
from banditlab.protocols.online import UNIT_REWARD, Online, OnlineAgent
from banditlab.random import AGENT, NATURE, OBSERVATION, below, categorical, stream


class Offline(NamedTuple):
    """An algorithm that speaks ``offline``: it learns from blocks of a log, it never acts."""

    params: Any  # NamedTuple of hyper-parameters; the factory's arguments carry the same names
    init: Callable[..., Any]  # (params, task, rng) -> State
    update: Callable[..., None]  # (params, state, counts, sums): (n_contexts, n_arms) to add
    recommend: Callable[..., None]  # (params, state, x, rng, out): probabilities over arms
    rewards: tuple[float, float] = UNIT_REWARD  # the range of rewards it accepts

    @property
    def per_context(self) -> bool:
        """It learns a table, and cannot use features."""
        return True


class Logs(NamedTuple):
    """The logs of some replications, and all that a learner's score depends on."""

    # (replications, checkpoints, n_contexts, n_arms) float64: what the log of each checkpoint adds
    # to that of the one before, and what each arm loses in the world as it then is
    counts: np.ndarray
    sums: np.ndarray
    losses: np.ndarray
    weights: np.ndarray  # (replications, n_contexts) float64: probability of each context


@kernel_inline
def draw_block(problem, key, first, checkpoints, progress, logs):
    """Logs of replications ``first, first + 1, ...``, as many as ``logs`` has rows.

    For ``progress`` see online.run_block.
    """
    n_arms, n_contexts, _ = problem.shape
    x = np.zeros((1, 1))
    for i in range(logs.weights.shape[0]):
        nature = stream(key, first + i, NATURE)
        logger = stream(key, first + i, OBSERVATION)
        world = problem.init(problem.params, nature)
        problem.weights(problem.params, world, logs.weights[i])
        done = 0
        for c in range(checkpoints.size):
            counts = logs.counts[i, c]
            sums = logs.sums[i, c]
            rounds = checkpoints[c] - done
            if not problem.log(problem.params, world, rounds, logger, counts, sums):
                for t in range(done, checkpoints[c]):
                    shown = problem.observe(problem.params, world, t, logger)
                    arm = problem.behave(problem.params, world, shown, logger)
                    arm = arm if arm >= 0 else below(logger, n_arms)
                    s = context(n_contexts, shown)
                    counts[s, arm] += 1.0
                    sums[s, arm] += problem.pull(problem.params, world, shown, arm, logger)
            progress[0] += rounds
            done = checkpoints[c]
            if progress[1] != 0:
                return
            for s in range(n_contexts):
                x[0, 0] = s
                for k in range(n_arms):
                    logs.losses[i, c, s, k] = problem.regret(problem.params, world, x, k)


@kernel_inline
def run_block(algorithm, task, key, first, log_rounds, checkpoints, progress, logs, record):
    """What is learned from ``logs``, of replications ``first, first + 1, ...``.

    A checkpoint is a size of the log. ``log_rounds`` belongs to the common shape of a block and
    is not used: the whole run is the log. For ``record`` and ``progress`` see online.run_block.
    """
    _, _, n_contexts, n_arms = logs.counts.shape
    rule = np.empty(n_arms)
    x = np.zeros((1, 1))
    for i in range(record.shape[0]):
        agent = stream(key, first + i, AGENT)
        state = algorithm.init(algorithm.params, task, agent)
        for c in range(checkpoints.size):
            if progress[1] != 0:
                return
            algorithm.update(algorithm.params, state, logs.counts[i, c], logs.sums[i, c])
            gap = 0.0
            for s in range(n_contexts):
                x[0, 0] = s
                algorithm.recommend(algorithm.params, state, x, agent, rule)
                for k in range(n_arms):
                    if rule[k] > 0.0:
                        gap += logs.weights[i, s] * rule[k] * logs.losses[i, c, s, k]
            record[i, c, 0] = gap


class Deployed(NamedTuple):
    """An offline rule at work online: what it learned, and the rule once a context has asked."""

    learner: Any
    rule: np.ndarray  # (n_contexts, n_arms) float64: probabilities over arms
    known: np.ndarray  # (n_contexts,) bool: whether the row of rule is filled
    counts: np.ndarray  # (n_contexts, n_arms) float64: one logged round; zero between rounds
    sums: np.ndarray  # (n_contexts, n_arms) float64: its reward; zero between rounds


@cache
def _deployed_kernels(init, update, recommend):
    @kernel
    def begin(params, task, rng):
        shape = (task.n_contexts, task.n_arms)
        return Deployed(
            init(params, task, rng),
            np.zeros(shape),
            np.zeros(task.n_contexts, np.bool_),
            np.zeros(shape),
            np.zeros(shape),
        )

    @kernel
    def propose(params, state, x, rng, out):
        s = context(state.known.size, x)
        if not state.known[s]:
            recommend(params, state.learner, x, rng, state.rule[s])
            state.known[s] = True
        for k in range(out.size):
            out[k] = state.rule[s, k]

    @kernel
    def propensities(params, state, t, x, out):
        # No rule draws while it recommends, so the stream handed on is never read.
        propose(params, state, x, np.zeros(4, np.uint64), out)

    @kernel
    def act(params, state, t, x, rng):
        s = context(state.known.size, x)
        if not state.known[s]:
            recommend(params, state.learner, x, rng, state.rule[s])
            state.known[s] = True
        return categorical(rng, state.rule[s])

    @kernel
    def ignore(params, state, t, x, arm, reward, rng):
        pass

    @kernel
    def absorb(params, state, t, x, arm, reward, rng):
        s = context(state.known.size, x)
        state.counts[s, arm] = 1.0
        state.sums[s, arm] = reward
        update(params, state.learner, state.counts, state.sums)
        state.counts[s, arm] = 0.0
        state.sums[s, arm] = 0.0
        state.known[:] = False
        return True

    return begin, act, ignore, propose, propensities, absorb


def deployed(rule: Offline) -> Online:
    """The offline algorithm as one that plays: it learns from the log and is frozen from then on.

    Rewards earned while it plays are ignored, so its regret grows linearly unless the rule is
    optimal: that is the point of comparing it with algorithms that go on learning.
    """
    begin, act, ignore, propose, propensities, absorb = _deployed_kernels(
        rule.init, rule.update, rule.recommend
    )
    return Online(
        rule.params, begin, act, ignore, propose, propensities, fit=absorb, rewards=rule.rewards
    )


class DeployedAgent(OnlineAgent):
    """An offline rule at work: it learns from :meth:`fit` alone, and is frozen in between.

    For the arguments see :class:`banditlab.protocols.online.OnlineAgent`.
    """

    def _played(self, algorithm: Any) -> Online:
        return deployed(algorithm)

    @property
    def _tables(self) -> tuple[int, int]:
        return (0, 0)  # what is kept beside the rule is the round that is being absorbed


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """A log of each size, drawn for all who learn from it, or all logs summed over."""
    task = bandit_task(terms)
    given = (terms.algorithm, terms.problem, task, checkpoints, PROTOCOL.names)
    if terms.exact:
        return Loop(exact.run_block, *given)
    sizes = (checkpoints.size, task.n_contexts, task.n_arms)

    def empty(rows: int) -> Logs:
        counts, sums, losses = np.zeros((3, rows, *sizes))
        return Logs(counts, sums, losses, np.zeros((rows, task.n_contexts)))

    return Loop(run_block, *given, draw=Draw(draw_block, empty))


def refuse(terms: Terms) -> None:
    """Exact sums are known for some problems only."""
    if terms.exact and not exact.summable(terms.problem):
        raise ValueError(f"{terms.where}: exact is for two_arm, not {terms.what}")


def deployment(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """Online, a frozen rule loses its gap in every round: exact, where playing adds noise."""

    def regret(record: np.ndarray, points: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
        return ("regret",), record[:, :1] * points[None, :, None]

    learned = loop(terms._replace(horizon=terms.log), np.array([terms.log], np.int64))
    return learned._replace(finish=regret)


def by_hand(*given: Any) -> tuple[list[Any], dict[str, float]]:
    """A deployed rule is played as any agent is; the arena scores it without playing it."""
    played, _ = online.by_hand(*given)
    return played, {}


PROTOCOL = Protocol(
    name="offline",
    algorithm=Offline,
    problem=online.Problem,
    measures=(Measure("gap", "sub-optimality", unit="reward", span=as_rewards),),
    xlabel="logged rounds",
    exact=True,
    loop=loop,
    refuse=refuse,
    face=DeployedAgent,
    report="rules",
    contract=Contract(
        example=lambda algorithm: ("cb_composition", {"C": 3.0, "S": 4, "A": 3}),
        by_hand=by_hand,
        show=online.shown,
        probe="bc",
        rival="bc",
    ),
)
online.PROTOCOL.guests[Offline] = Guest(deployment, reads=True)
