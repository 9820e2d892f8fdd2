"""Pick a policy for each episode, while an attacker changes: online agents on a set of policies.

Arms are the policies of a finite set; a round is an episode, of which the agent sees the return.
What is scored is regret to the best *fixed* policy in hindsight, given the attackers that came:
no agent can be as good as the best policy of each episode, and one that is as good as the best
fixed one pays for no attack that does not come. This is the test-time adaptation of Liu, Deng, Sun,
Liang & Huang (2024), "Beyond worst-case attacks: robust RL with adaptive defense via non-dominated
policies", ICLR, Definition 4.2.

The file holds, top to bottom, what a problem brings (:class:`PolicySet`), the fused loop, and what
all of it is called (``PROTOCOL``). One episode ``t`` (counted from 0)::

    j = attack(t)                  # which attacker comes; before the agent acts
    arm = act(t)
    income = play(j, arm)          # the episode's return, clipped to [low, high]
    answer(arm)                    # an adaptive attacker learns what was played
    update(t, arm, (income - low) / (high - low))

Regret is pseudo-regret in units of ``high - low``: means are compared, of the attackers that came::

    regret = max over k of sum_t (M[k, j_t] - M[arm_t, j_t]) / (high - low)

It may fall, and be negative, for the best fixed policy changes its name. An adaptive attacker would
have come differently to another agent; the comparison is with the attacks that this one provoked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab import random
from banditlab.core import kernel, kernel_inline
from banditlab.protocols.base import (
    SLICE,
    Contract,
    Loop,
    Measure,
    Pieces,
    Protocol,
    Terms,
    bandit_task,
    changes,
    share,
)
from banditlab.protocols.online import Online, OnlineAgent
from banditlab.random import AGENT, NATURE, stream


@kernel
def deaf(params, world, arm):
    """``answer`` of attackers that do not ask what was played."""
    return 0


class PolicySet(NamedTuple):
    """Policies and attackers. What ``play`` takes from the stream must not depend on the arm."""

    params: Any
    # (params, rng) -> World, which has a field payoffs: the mean returns (n_policies, n_attackers),
    # after clipping. Column 0 is no attack.
    init: Callable[..., Any]
    attack: Callable[..., int]  # (params, world, t, rng) -> attacker of episode t
    play: Callable[..., float]  # (params, world, j, arm, rng) -> return, before it is clipped
    shape: tuple[int, int, int]  # n_policies, 1, 0
    answer: Callable[..., int] = deaf  # (params, world, arm), after the episode; writes to world
    low: float = 0.0  # least return, which counts as 0 ...
    high: float = 1.0  # ... and largest, which counts as 1
    rewards: tuple[float, float] = (0.0, 1.0)  # the range of what the agent is told
    supply: tuple[int, ...] = ()  # episodes that there are attackers for; (): any number


class Run(NamedTuple):
    """One replication under way."""

    state: Any
    world: Any
    totals: np.ndarray  # (5,) float64: mean return, return, switches, attacks, clipped
    counts: np.ndarray  # (n_attackers,) float64: episodes of each
    plays: np.ndarray  # (n_policies,) float64: episodes of each
    last: np.ndarray  # (1,) int64: the arm of the episode before, -1 at the start
    x: np.ndarray  # (1, 1) float64, 0: there is nothing to show
    nature: np.ndarray  # (4,) uint64
    agent: np.ndarray  # (4,) uint64


@kernel_inline
def begin(algorithm, problem, task, key, replication, log_rounds):
    """A fresh replication. ``log_rounds`` belongs to the common shape and is not used."""
    nature = stream(key, replication, NATURE)
    agent = stream(key, replication, AGENT)
    world = problem.init(problem.params, nature)
    state = algorithm.init(algorithm.params, task, agent)
    counts, plays = np.zeros(world.payoffs.shape[1]), np.zeros(task.n_arms)
    return Run(
        state, world, np.zeros(5), counts, plays, np.full(1, -1), np.zeros((1, 1)), nature, agent
    )  # fmt: skip


@kernel_inline
def advance(algorithm, problem, run, t0, t1):
    """Play the episodes ``t0 <= t < t1`` of one replication."""
    # Read once: taking an array out of a tuple counts references, and does so in every round.
    known, given = algorithm.params, problem.params
    state, world, x, totals, counts = run.state, run.world, run.x, run.totals, run.counts
    nature, agent, payoffs = run.nature, run.agent, run.world.payoffs
    plays, low, high = run.plays, problem.low, problem.high
    last = run.last[0]
    for t in range(t0, t1):
        j = problem.attack(given, world, t, nature)
        arm = algorithm.act(known, state, t, x, agent)
        found = problem.play(given, world, j, arm, nature)
        income = min(max(found, low), high)
        problem.answer(given, world, arm)
        counts[j] += 1.0
        plays[arm] += 1.0
        totals[0] += payoffs[arm, j]
        totals[1] += income
        totals[2] += 1.0 if arm != last and t > 0 else 0.0
        totals[3] += 1.0 if j != 0 else 0.0
        totals[4] += 1.0 if income != found else 0.0
        last = arm
        # Clipped once more: rounding must not carry the agent's reward out of [0, 1].
        told = min(max((income - low) / (high - low), 0.0), 1.0)
        algorithm.update(known, state, t, x, arm, told, agent)
    run.last[0] = last


@kernel
def best_fixed(payoffs, counts):
    """What the best fixed policy earns in as many episodes of each attacker, and which it is."""
    best, who = -np.inf, 0
    for k in range(payoffs.shape[0]):
        total = 0.0
        for j in range(counts.size):
            total += counts[j] * payoffs[k, j]
        who = k if total > best else who
        best = max(best, total)
    return best, who


@kernel_inline
def score(problem, run, t, row):
    """What is recorded after ``t`` episodes, into ``row`` (measures,)."""
    best, who = best_fixed(run.world.payoffs, run.counts)
    row[0] = (best - run.totals[0]) / (problem.high - problem.low)
    row[1] = run.totals[1] / t
    row[2] = run.totals[2]
    row[3] = run.totals[3] / t
    row[4] = run.totals[4] / t
    row[5] = run.plays[who] / t


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):
    """Replications ``first, first + 1, ...``, as many as ``record`` has rows.

    ``log_rounds`` belongs to the common shape of a block and is not used. For ``record`` and
    ``progress`` see online.run_block.
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
            score(problem, run, t, record[i, c])


@kernel_inline
def play(algorithm, problem, task, run, t, end, most, row):
    """A piece of one replication, see base.Pieces."""
    t1 = min(t + most, end)
    advance(algorithm, problem, run, t, t1)
    score(problem, run, t1, row)
    return t1


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """One episode after the other; lanes are for problems with means that agents cannot change."""
    nouns = (terms.algorithm._replace(lanes=None, many=None), terms.problem)
    pieces = Pieces(begin, play, *nouns)
    return Loop(
        run_block, *nouns, bandit_task(terms), checkpoints, PROTOCOL.names, pieces=pieces
    )  # fmt: skip


# --- the contract -------------------------------------------------------------------------------


def by_hand(
    agent: OnlineAgent, problem: PolicySet, rounds: int, world: Any, nature: np.ndarray
) -> tuple[list[Any], dict[str, float]]:
    """Episodes of a hand-written loop: (arm, return) each, and what they came to."""
    played, earned, counts = [], 0.0, np.zeros(world.payoffs.shape[1])
    for t in range(rounds):
        j = problem.attack(problem.params, world, t, nature)
        arm = agent.act()
        found = problem.play(problem.params, world, j, arm, nature)
        income = min(max(found, problem.low), problem.high)
        problem.answer(problem.params, world, arm)
        counts[j] += 1.0
        earned += world.payoffs[arm, j]
        agent.update(None, arm, (income - problem.low) / (problem.high - problem.low))
        played.append((arm, income))
    best, _ = best_fixed(world.payoffs, counts)
    return played, {"regret": float((best - earned) / (problem.high - problem.low))}


def luck_does_not_depend_on_the_arm(name: str, problem: PolicySet) -> None:
    """Whatever is played, nature's stream ends in the same state, unless attackers answer it."""
    ends = []
    for shift in (0, 1):
        nature = stream(random.key(1), 0, NATURE)
        world = problem.init(problem.params, nature)
        for t in range(200):
            j = problem.attack(problem.params, world, t, nature)
            problem.play(problem.params, world, j, (shift * t) % problem.shape[0], nature)
        ends.append(nature.tolist())
    assert ends[0] == ends[1], f"{name}: what play draws depends on the arm"


def means_are_those_of_play(name: str, problem: PolicySet) -> None:
    """``payoffs`` are the means of what is paid, within 5 standard errors."""
    nature = stream(random.key(1), 0, NATURE)
    world = problem.init(problem.params, nature)
    assert world.payoffs.shape[0] == problem.shape[0] and np.isfinite(world.payoffs).all()
    draws = 400
    j = problem.attack(problem.params, world, 0, nature)
    for arm in range(min(problem.shape[0], 3)):
        drawn = np.array(
            [problem.play(problem.params, world, j, arm, nature) for _ in range(draws)]
        )
        paid = np.clip(drawn, problem.low, problem.high)
        off = abs(paid.mean() - world.payoffs[arm, j])
        allowed = 5.0 * paid.std() / np.sqrt(draws) + 1e-12 * max(1.0, abs(problem.high))
        assert off <= allowed, f"{name}: policy {arm} earns {paid.mean()}, stated otherwise"


def regrets(terms: Terms) -> tuple[float, float]:
    """The range of the regret.

    The best of n fixed policies earns what their mean does at least, and that is less than the best
    policy of each episode by no more than (n - 1) / n of the range of a return.
    """
    n = terms.problem.shape[0]
    return -terms.horizon * (n - 1.0) / n, float(terms.horizon)


def returns(terms: Terms) -> tuple[float, float]:
    """The range of a return."""
    return float(terms.problem.low), float(terms.problem.high)


PROTOCOL = Protocol(
    name="policies",
    algorithm=Online,
    problem=PolicySet,
    measures=(
        Measure("regret", "regret to the best fixed policy", unit="return", span=regrets),
        Measure("return", "mean return so far", span=returns),
        Measure("switches", span=changes),
        Measure("attacked", "share of episodes attacked", span=share),
        Measure("clipped", "share of returns clipped", span=share),
        Measure("on_best", "share on the best policy", span=share),
    ),
    xlabel="episode",
    rounds=True,
    loop=loop,
    face=OnlineAgent,
    supply="the episodes in the schedule of {}",
    contract=Contract(
        example=lambda algorithm: ("ring_sa", {}),
        by_hand=by_hand,
        probe="exp3",
        rival="uniform",
        luck=(60,),
        sound=(luck_does_not_depend_on_the_arm, means_are_those_of_play),
    ),
)
