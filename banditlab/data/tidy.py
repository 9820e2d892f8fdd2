"""Results from elsewhere: a table with a row for each agent, seed and round, as runs on one grid.

Columns: ``agent``, ``seed``, ``t`` and ``value``; optionally ``panel``. Runs may be of unequal
length and be recorded at unequal rounds. Whatever is then cut, left out or interpolated to have
curves that can be compared is said in ``notes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from banditlab.data.table import named, read_table
from banditlab.data.values import ids, numbers

COLUMNS = ("agent", "seed", "t", "value")
MOST_POINTS = 1000  # of a curve: more are thinned
LARGER = ("return", "reward", "score", "accuracy", "income")  # of which more is better


@dataclass
class Tidy:
    """Curves by panel and agent on common rounds: values (runs, points) float64."""

    points: dict[
        str, np.ndarray
    ]  # by panel: (points,) int64, or float64 where rounds are fractions
    values: dict[tuple[str, str], np.ndarray]
    measure: str  # what the column of values was called
    where: str = ""  # name of the file
    notes: list[str] = field(default_factory=list)

    @property
    def larger(self) -> bool:
        """Whether the name of what was measured says that more of it is better."""
        return any(word in self.measure.lower() for word in LARGER)


def read_tidy(source: Any, columns: Mapping[str, str] | None = None) -> Tidy:
    """The table ``source``, see :mod:`banditlab.data.table`; ``columns`` are its names by ours.

    Raises ValueError, in one line, for a column that is missing, a value or round that is no finite
    number, two rows of one agent, seed and round, and runs that have no round in common.
    """
    table = read_table(
        source, "table of results", columns=columns, known=(*COLUMNS, "panel"), required=COLUMNS
    )
    with named(table.where):
        if table.rows == 0:
            raise ValueError("the table of results has no rows")
        notes = list(table.notes)
        if table.passed_over:
            notes.append(f"columns that are not read: {', '.join(table.passed_over[:5])}")
        agent, agents = ids("agent", table["agent"], notes)
        seed, seeds = ids("seed", table["seed"], notes)
        t = numbers("t", table["t"], notes=notes)
        value = numbers("value", table["value"], notes=notes)
        if "panel" in table:
            panel, panels = ids("panel", table["panel"], notes)
        else:
            panel, panels = np.zeros(table.rows, np.int64), ("main",)
        _refuse_twice((panel, agent, seed, t), (panels, agents, seeds))
        found = Tidy({}, {}, table.renamed.get("value", "value"), table.where, notes)
        for p, name in enumerate(panels):
            runs: dict[str, dict[Any, tuple[np.ndarray, np.ndarray]]] = {}
            for a, label in enumerate(agents):
                here = (panel == p) & (agent == a)
                for s in np.unique(seed[here]):
                    rows = np.flatnonzero(here & (seed == s))
                    rows = rows[np.argsort(t[rows])]
                    runs.setdefault(str(label), {})[seeds[s]] = (t[rows], value[rows])
            _together(found, str(name), runs, f"panel {name}: " if len(panels) > 1 else "")
        return found


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - 5} more" if len(words) > 5 else ""
    return ", ".join(words[:5]) + more


def _refuse_twice(keys: tuple[np.ndarray, ...], names: tuple[tuple[Any, ...], ...]) -> None:
    order = np.lexsort(keys[::-1])
    same = np.ones(len(order) - 1, bool)
    for key in keys:
        same &= key[order][1:] == key[order][:-1]
    for i in np.flatnonzero(same)[:1]:
        first, second = sorted((int(order[i]), int(order[i + 1])))
        agent, seed = names[1][keys[1][first]], names[2][keys[2][first]]
        raise ValueError(
            f"rows {first} and {second} are both of agent {agent}, seed {seed} at t = "
            f"{keys[3][first]:g}: there must be one"
        )


def _together(
    found: Tidy,
    panel: str,
    runs: dict[str, dict[Any, tuple[np.ndarray, np.ndarray]]],
    where: str,
) -> None:
    """Put the runs of a panel on common rounds and seeds, and say what that took."""
    notes = found.notes
    kept = _paired(runs, where, notes)
    every = [run for of_agent in kept.values() for run in of_agent]
    low, high = max(t[0] for t, _ in every), min(t[-1] for t, _ in every)
    if low > high:
        raise ValueError(f"{where}no round lies within all runs: one ends at {high:g}, another "
                         f"begins at {low:g}")  # fmt: skip
    last = max(t[-1] for t, _ in every)
    if high < last:
        short = [a for a, of_agent in kept.items() if any(t[-1] < last for t, _ in of_agent)]
        notes.append(
            f"{where}curves end at t = {high:g}, where the shortest run does, though others go on "
            f"to {last:g}; shorter than that: {_listed(short)}"
        )
    first = min(t[0] for t, _ in every)
    if low > first:
        notes.append(f"{where}curves begin at t = {low:g}, where all runs have begun")
    points = np.unique(np.concatenate([t[(low <= t) & (t <= high)] for t, _ in every]))
    if points.size > MOST_POINTS:
        kept_of = points.size
        points = points[np.unique(np.linspace(0, points.size - 1, MOST_POINTS).round().astype(int))]
        notes.append(f"{where}{kept_of:,} rounds are thinned to {points.size:,}")
    made = sum(int((~np.isin(points, t)).sum()) for t, _ in every)
    if made:
        share = made / (points.size * len(every))
        notes.append(
            f"{where}runs are recorded at different rounds: {made:,} values ({share:.0%}) are "
            "interpolated, on straight lines between their neighbours"
        )
    whole = bool((points == np.floor(points)).all())
    found.points[panel] = points.astype(np.int64) if whole else points
    for agent, of_agent in kept.items():
        rows = [np.interp(points, t, value) for t, value in of_agent]
        found.values[panel, agent] = np.stack(rows)


def _paired(
    runs: dict[str, dict[Any, tuple[np.ndarray, np.ndarray]]], where: str, notes: list[str]
) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """As many runs of each agent, those of one seed beside each other as far as that can be."""
    common = set.intersection(*(set(of_agent) for of_agent in runs.values()))
    counts = {agent: len(of_agent) for agent, of_agent in runs.items()}
    if all(len(common) == count for count in counts.values()):
        return {a: [of_agent[s] for s in of_agent] for a, of_agent in runs.items()}
    if common:
        dropped = [f"{n - len(common)} of {a}" for a, n in counts.items() if n > len(common)]
        notes.append(
            f"{where}runs of {len(common)} seeds that all agents have; left out are those of "
            f"others: {_listed(dropped)}"
        )
        return {a: [of_agent[s] for s in of_agent if s in common] for a, of_agent in runs.items()}
    least = min(counts.values())
    notes.append(
        f"{where}agents have no seed in common: their runs are paired as they come, {least} of "
        "each, which is sound where they are independent"
    )
    return {a: list(of_agent.values())[:least] for a, of_agent in runs.items()}
