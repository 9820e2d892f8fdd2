"""Jobs: a panel's agent and problem, made and matched, ready to be compiled and run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from banditlab import random, registry
from banditlab.arena.spec import AgentEntry, Arena, Panel
from banditlab.compile import Pair, pair
from banditlab.core import Task
from banditlab.parts.many_arms import many_armed
from banditlab.protocols import identify, observe, offline, offline_mdp, online
from banditlab.protocols.loops import exact, lanes

SPEAKERS: dict[str, tuple[type, ...]] = {
    "online": (online.Online, offline.Offline),  # an offline rule is deployed after the log
    "offline": (offline.Offline,),
    "offline_mdp": (offline_mdp.OfflineMDP, offline.Offline),  # a rule answers state by state
    "observe": (observe.Observe, online.Online),  # who only plays looks at what it plays
    "identify": (identify.Identify,),
}
PROBLEMS: dict[str, type[Any]] = {
    "online": online.Problem,
    "offline": online.Problem,
    "offline_mdp": offline_mdp.LoggedMDP,
    "observe": observe.Losses,
    "identify": online.Problem,
}


class Job(NamedTuple):
    """One curve: an agent in a panel."""

    panel: Panel
    agent: AgentEntry
    pair: Pair
    task: Task
    log_rounds: int
    checkpoints: np.ndarray  # as the kernel wants them
    measures: tuple[str, ...]  # what the kernel records
    key: np.ndarray


def speaks(agent: Mapping[str, Any], panel: Mapping[str, Any]) -> bool:
    """Whether the algorithm of a (raw) agent entry speaks the protocol of a (raw) panel."""
    hyper = {k: v for k, v in agent.items() if k not in ("name", "label", "warm")}
    algorithm = registry.make(agent["name"], **hyper)
    known = SPEAKERS[panel.get("protocol", "online")]
    rule_without_log = isinstance(algorithm, offline.Offline) and not panel.get("log")
    if panel.get("protocol", "online") == "online" and rule_without_log:
        return False
    return isinstance(algorithm, known)


def matched(panel: Panel, entry: AgentEntry, algorithm: Any, problem: Any) -> None:
    """Refuse, in one line, an agent that cannot play the panel's problem."""
    who = f"agent {entry.label!r} in panel {panel.name!r}"
    accepted = algorithm.rewards
    if not isinstance(algorithm, SPEAKERS[panel.protocol]):
        spoken = {kind: name for name, kinds in SPEAKERS.items() for kind in kinds[:1]}
        raise ValueError(
            f"{who} speaks {spoken[type(algorithm)]}, the panel's protocol is {panel.protocol}"
        )
    if not isinstance(problem, PROBLEMS[panel.protocol]):
        raise ValueError(
            f"panel {panel.name!r}: {panel.problem.name} is no problem of protocol {panel.protocol}"
        )
    learns_from_log = isinstance(algorithm, offline.Offline) or entry.warm
    if panel.protocol == "online" and learns_from_log and panel.log < 1:
        raise ValueError(f"{who} learns from a log: give the panel log = ROUNDS, at least 1")
    if panel.exact and not exact.summable(problem):
        raise ValueError(f"panel {panel.name!r}: exact is for two_arm, not {panel.problem.name}")
    supply, wanted = getattr(problem, "supply", 0), panel.horizon + panel.log
    if supply and wanted > supply:
        name = panel.problem.name
        held = f"the rewards that each arm of {name} has"  # one arm may be pulled throughout
        if panel.protocol == "observe":
            held = f"the rounds that {name} has losses for"
        raise ValueError(
            f"panel {panel.name!r}: horizon must be at most {supply - panel.log}, {held}, "
            f"got {panel.horizon}"
        )
    if panel.protocol == "observe":
        _affordable(panel, who, algorithm, problem)
    if panel.protocol == "identify":
        _identifiable(panel, who, algorithm, problem)
    low, high = problem.rewards
    if low < accepted[0] or high > accepted[1]:
        raise ValueError(
            f"{who} needs rewards in [{accepted[0]:g}, {accepted[1]:g}], but "
            f"{panel.problem.name} pays rewards in [{low:g}, {high:g}]"
        )
    if getattr(algorithm, "features", False) and problem.shape[2] == 0:
        raise ValueError(f"{who} needs features, but {panel.problem.name} shows none")
    if isinstance(algorithm, offline.Offline) and problem.shape[2] > 0:
        raise ValueError(f"{who} learns per context, but {panel.problem.name} shows features")


def _affordable(panel: Panel, who: str, algorithm: Any, problem: observe.Losses) -> None:
    """Refuse a budget that cannot be spent, and an agent that the terms of play do not suit."""
    pairs = problem.shape[0] * panel.horizon
    if problem.budget > pairs:
        raise ValueError(
            f"panel {panel.name!r}: budget must be at most arms x horizon, {pairs}, "
            f"got {problem.budget}"
        )
    _suits(who, algorithm, _task(panel, problem), problem)


def _identifiable(panel: Panel, who: str, algorithm: Any, problem: online.Problem) -> None:
    """Refuse a budget in which an agent cannot decide."""
    if getattr(algorithm, "check", None) is not None:
        with np.errstate(all="ignore"):
            nature = random.stream(random.key(0), 0, random.NATURE)
            world = problem.init(problem.params, nature)
            shown = problem.observe(problem.params, world, 0, nature)
        _suits(who, algorithm, _task(panel, problem), shown)


def _suits(who: str, algorithm: Any, *facts: Any) -> None:
    """Let an agent refuse a task that it cannot meet."""
    check = getattr(algorithm, "check", None)
    if check is not None:
        try:
            check(*facts)
        except ValueError as error:
            raise ValueError(f"{who}: {error}") from None


def _task(panel: Panel, problem: Any) -> Task:
    """What an agent of the panel may know."""
    n_arms, n_contexts, dim = problem.shape
    task = Task(n_arms, n_contexts, dim, panel.horizon)
    if isinstance(problem, observe.Losses):
        task = task._replace(budget=problem.budget, price=problem.price)
    return task


def can_play(panel: Panel, entry: AgentEntry) -> bool:
    """Whether an agent can play the panel's problem."""
    problem = registry.make_problem(panel.problem.name, **panel.problem.parameters)
    try:
        matched(panel, entry, registry.make(entry.name, **entry.hyper), problem)
    except ValueError:
        return False
    return True


def make_job(arena: Arena, panel: Panel, entry: AgentEntry) -> Job:
    problem = registry.make_problem(panel.problem.name, **panel.problem.parameters)
    algorithm = registry.make(entry.name, **entry.hyper)
    matched(panel, entry, algorithm, problem)
    task = _task(panel, problem)
    points = np.array(panel.checkpoints, dtype=np.int64)
    loop, log_rounds = online.run_block, 0
    measures: tuple[str, ...] = online.MEASURES
    if panel.protocol == "offline_mdp":
        loop, measures = offline_mdp.run_block, offline_mdp.MEASURES
        if isinstance(algorithm, offline.Offline):
            algorithm = offline_mdp.as_planner(algorithm)
    elif panel.protocol == "observe":
        loop, measures = observe.run_block, observe.MEASURES
        if isinstance(algorithm, online.Online):
            algorithm = observe.observing(algorithm)
    elif panel.protocol == "identify":
        loop, measures = identify.run_block, identify.MEASURES
    elif isinstance(algorithm, offline.Offline):
        loop = exact.run_block if panel.exact else offline.run_block
        measures = offline.MEASURES
        if panel.protocol == "online":  # deployed: its regret follows from the gap it has now
            points, task = np.array([panel.log], dtype=np.int64), task._replace(horizon=panel.log)
    else:
        algorithm = many_armed(algorithm, task.n_arms)
        if entry.warm:
            log_rounds = panel.log
        elif algorithm.lanes is not None and problem.lanes is not None:
            loop, algorithm, problem = lanes.run_block, algorithm.lanes, problem.lanes
    key = random.key(arena.seed)
    example = (task, key, 0, 0, points, np.zeros(2, np.int64), np.zeros((1, 1, len(measures))))
    made = pair(loop, (algorithm, problem), example)
    return Job(panel, entry, made, task, log_rounds, points, measures, key)
