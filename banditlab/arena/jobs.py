"""Jobs: a panel's agent and problem, made and matched, ready to be compiled and run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab import random, registry
from banditlab.arena.play import Play, Sources, ready
from banditlab.arena.spec import AgentEntry, Arena, Panel
from banditlab.arena.sweep import Cell, cells
from banditlab.curves import Record
from banditlab.protocols.base import Loop, Terms


class Job(NamedTuple):
    """One curve: an agent in a panel."""

    panel: Panel
    agent: AgentEntry
    play: Play

    @property
    def loop(self) -> Loop:
        """What is played."""
        return self.play.loop


class Resolver:
    """Makes the problems and algorithms of one run, each different one once.

    A file that a problem reads is so read once, whatever happens to it meanwhile.
    """

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}
        self._sources = Sources()

    def _once(self, kind: str, name: str, given: dict[str, Any], make: Callable[..., Any]) -> Any:
        try:
            words = json.dumps([kind, name, given])
        except (TypeError, ValueError):  # it holds a frame, or a log: not to be known by its words
            return make(name, **given)
        if words not in self._made:
            self._made[words] = make(name, **given)
        return self._made[words]

    def problem(self, panel: Panel) -> Any:
        """The problem of a panel."""
        entry = panel.problem
        return self._once("problem", entry.name, entry.parameters, registry.make_problem)

    def algorithm(self, entry: AgentEntry) -> Any:
        """The algorithm of an agent."""
        return self._once("agent", entry.name, entry.hyper, registry.make)

    def terms(self, panel: Panel, entry: AgentEntry) -> Terms:
        """The terms on which the agent meets the problem, if it can; ValueError if it cannot."""
        terms = Terms(
            self.algorithm(entry),
            self.problem(panel),
            panel.horizon,
            panel.log,
            entry.warm,
            panel.exact,
            panel.measure,
            who=f"agent {entry.label!r} in panel {panel.name!r}",
            what=panel.problem.name,
            where=f"panel {panel.name!r}",
        )
        registry.protocol(panel.protocol).check(terms)
        return terms

    def can_play(self, panel: Panel, entry: AgentEntry) -> bool:
        """Whether an agent can play the panel's problem."""
        self.problem(panel)  # a problem that cannot be made is nobody's fault
        try:
            self.terms(panel, entry)
        except ValueError:
            return False
        return True

    def job(self, arena: Arena, panel: Panel, entry: AgentEntry) -> Job:
        """The curve of an agent, ready to be compiled."""
        points = np.array(panel.checkpoints, dtype=np.int64)
        loop = registry.protocol(panel.protocol).loop_of(self.terms(panel, entry), points)
        return Job(panel, entry, ready(loop, random.key(arena.seed), self._sources))


def swept(arena: Arena) -> list[tuple[Panel, Cell]]:
    """The panels of an arena, and what there is to run for each."""
    return [(shown, cell) for shown in arena.panels for cell in cells(shown)]


def wanted(arena: Arena) -> list[tuple[Panel, AgentEntry]]:
    """What there is to run: the panel and the agent of each job, in order."""
    return [(p, entry) for _, cell in swept(arena) for p in cell.panels for entry in p.agents]


def finished(job: Job, values: np.ndarray, batch: int = 1) -> Record:
    """The record of a job from what its loop recorded, or from means of batches of that."""
    points = np.array(job.panel.checkpoints, dtype=np.int64)
    measures = job.loop.measures
    if job.loop.finish is not None:
        measures, values = job.loop.finish(values, points)
    return Record(points, measures, values, batch=batch)
