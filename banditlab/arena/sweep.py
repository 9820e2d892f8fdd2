"""Sweeps: a panel that is run over and over with other values."""

from __future__ import annotations

import inspect
import itertools
from typing import Any, NamedTuple, TypeAlias

from banditlab.registry import factory

# Those of banditlab.arena.spec, which builds on this file.
Panel: TypeAlias = Any
ProblemEntry: TypeAlias = Any


class Cell(NamedTuple):
    """A panel with every swept key set to one of its values."""

    name: str  # the values that tell its curves from others: "C = 1.5"; empty when there are none
    x: float | None  # where on the x axis; None when the axis is not swept
    panels: list[Panel]  # one, or one per problem where the worst of several counts


def places(key: str) -> list[str]:
    return [place.strip() for place in key.split(",")]


def takers(panel: Panel, argument: str) -> list[ProblemEntry]:
    """The panel's problems that have such an argument."""

    def takes(problem: ProblemEntry) -> bool:
        return argument in inspect.signature(factory("problem", problem.name)).parameters

    return [problem for problem in (panel.problem, *panel.worst) if takes(problem)]


def cells(panel: Panel) -> list[Cell]:
    """What there is to run for a panel: itself, or one cell per combination of swept values."""
    found = []
    for values in itertools.product(*panel.sweep.values()):
        cell = panel.model_copy(deep=True)
        words, x = [], None
        for key, value in zip(panel.sweep, values, strict=True):
            for place in places(key):
                _set(cell, place, value)
            if key == panel.x:
                x = value
            elif len(panel.sweep[key]) > 1:
                words.append(f"{places(key)[0].rpartition('.')[2]} = {value}")
        if panel.x:  # a point of its curves, not a curve
            cell.checkpoints = [cell.horizon]
        problems, cell.sweep, cell.worst, cell.x = [cell.problem, *cell.worst], {}, [], ""
        panels = [type(panel).model_validate({**cell.model_dump(), "problem": p}) for p in problems]
        found.append(Cell(", ".join(words), x, panels))
    return found


def _set(cell: Panel, place: str, value: Any) -> None:
    owner, _, name = place.rpartition(".")
    entries: list[Any] = [agent for agent in cell.agents if agent.label == owner]
    if owner == "problem":
        entries = takers(cell, name)
    if owner:
        for entry in entries:
            entry.__pydantic_extra__[name] = value
    else:
        setattr(cell, name, value)


def kept_sweep(sweep: dict[str, list[Any]], key: str, value: Any) -> dict[str, list[Any]]:
    """What is left to sweep under an override: no longer horizons, nothing of another problem."""
    kept: dict[str, list[Any]] = {}
    if not isinstance(sweep, dict):
        return sweep
    for swept, values in sweep.items():
        where = places(swept)
        if key == "problem" and any(place.startswith("problem.") for place in where):
            continue
        if key in where and "." in key:
            continue
        if key == "horizon" and "horizon" in where:
            values = [v for v in values if v <= value] or [value]
        kept[swept] = values
    return kept


def swept_of(sweep: dict[str, list[Any]], labels: set[str]) -> dict[str, list[Any]]:
    """What is left to sweep where only the agents called ``labels`` play."""
    kept: dict[str, list[Any]] = {}
    if not isinstance(sweep, dict):
        return sweep
    for key, values in sweep.items():
        there = [
            place
            for place in places(key)
            if "." not in place or place.rpartition(".")[0] in {"problem", *labels}
        ]
        if there:
            kept[", ".join(there)] = values
    return kept
