"""Recorded returns of policies under conditions, as a user's table holds them.

A row is an episode: ``policy``, ``condition``, ``return``. Names may be anything. The condition
without an attack is the one called none, clean, natural or no attack; where there is no such name,
the one on which the returns are best, which is said.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from banditlab.data.table import Table, named, read_table
from banditlab.data.values import ids, numbers

COLUMNS = ("policy", "condition", "return")
CLEAN = ("none", "clean", "natural", "no attack", "no_attack", "nominal", "unattacked")
MOST = 2_000  # policies or conditions: more are numbers that were taken for names


@dataclass
class Returns:
    """Episodes by cell, policy i under condition j; condition 0 is the one without an attack."""

    policies: tuple[Any, ...]
    conditions: tuple[Any, ...]
    pool: np.ndarray  # (episodes,) float64, sorted by cell i * len(conditions) + j
    offsets: np.ndarray  # (cells + 1,) int64: a cell's are pool[offsets[cell]:offsets[cell + 1]]
    where: str = ""  # name of the file
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self) -> np.ndarray:
        """Episodes of each cell, (policies, conditions)."""
        shape = (len(self.policies), len(self.conditions))
        return np.asarray(np.diff(self.offsets).reshape(shape))

    @property
    def means(self) -> np.ndarray:
        """Mean return of each cell, (policies, conditions)."""
        sums = np.add.reduceat(self.pool, self.offsets[:-1]).reshape(self.counts.shape)
        return np.asarray(sums / self.counts)


def read_returns(
    source: Any,
    columns: Mapping[str, str] | None = None,
    rows: Mapping[str, Any] | None = None,
) -> Returns:
    """The table ``source``, see :mod:`banditlab.data.table`; ``columns`` are its names by ours.

    ``rows`` says which of its rows count: those that hold, in each column named, the value given,
    or one of several. Raises ValueError, in one line, for what is no such table, for fewer than two
    policies, and for a policy that has no episode under some condition.
    """
    wanted = (*COLUMNS, *(name for name in rows or {} if name not in COLUMNS))
    table = read_table(source, "table of returns", columns=columns, known=wanted, required=wanted)
    with named(table.where):
        table = _only(table, rows or {})
        notes = list(table.notes)
        if table.passed_over:  # it may tell apart what must not be taken together
            first = ", ".join(table.passed_over[:5])
            more = len(table.passed_over) - 5
            first += f" and {more:,} more" if more > 0 else ""
            notes.append(f"rows count as episodes whatever their {first}: not read")
        if table.rows == 0:
            raise ValueError("the table of returns has no rows")
        policy, policies = ids("policy", table["policy"], notes)
        condition, conditions = ids("condition", table["condition"], notes)
        for name, labels in (("policy", policies), ("condition", conditions)):
            if len(labels) > MOST:
                raise ValueError(f"{name}: {len(labels):,} different ones; at most {MOST:,} do")
        found = numbers("return", table["return"], notes=notes)
        if len(policies) < 2:
            raise ValueError(f"policy: at least 2 are needed, got one: {policies[0]}")
        n, m = len(policies), len(conditions)
        counts = np.bincount(policy * m + condition, minlength=n * m).reshape(n, m)
        for i, j in np.argwhere(counts == 0)[:1]:
            raise ValueError(
                f"policy {policies[i]} has no episode under condition {conditions[j]}; "
                "every policy must have been tried under every condition"
            )
        clean = _clean(policy, condition, found, conditions, n, notes)
        order = [clean, *(j for j in range(m) if j != clean)]
        condition = np.argsort(order)[condition]
        cell = policy * m + condition
        sorted_rows = np.argsort(cell, kind="stable")
        offsets = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=n * m))])
        return Returns(
            policies, tuple(conditions[j] for j in order), found[sorted_rows],
            offsets.astype(np.int64), table.where, notes,
        )  # fmt: skip


def _only(table: Table, rows: Mapping[str, Any]) -> Table:
    """The rows of a table that hold the values wanted; values are compared as they are written."""
    keep = np.ones(table.rows, dtype=bool)
    for name, wanted in rows.items():
        several = wanted if isinstance(wanted, list | tuple) else [wanted]
        keep &= np.isin([str(x) for x in table[name]], [str(x) for x in several])
        if not keep.any():
            said = " or ".join(str(x) for x in several)
            raise ValueError(f"rows: no row that is left has {name} {said}")
    if not rows:
        return table
    columns = {name: np.asarray(column)[keep] for name, column in table.columns.items()}
    return dataclasses.replace(table, columns=columns, rows=int(keep.sum()))


def _clean(
    policy: np.ndarray,
    condition: np.ndarray,
    found: np.ndarray,
    conditions: tuple[Any, ...],
    n: int,
    notes: list[str],
) -> int:
    """The condition without an attack."""
    called = [j for j, name in enumerate(conditions) if str(name).strip().lower() in CLEAN]
    if len(called) == 1:
        return called[0]
    open_ones = called or range(len(conditions))
    means = [_mean(policy[condition == j], found[condition == j], n) for j in open_ones]
    best = open_ones[int(np.argmax(means))]
    if len(conditions) > 1:
        why = (
            f"conditions {', '.join(str(conditions[j]) for j in called)} are all called as if none"
            if called
            else "no condition is called none, clean or natural"
        )
        notes.append(
            f"{why}: {conditions[best]}, on which returns are best, is taken for the one without "
            "an attack"
        )
    return best


def _mean(policy: np.ndarray, found: np.ndarray, n: int) -> float:
    """The mean over policies, each counting as one however often it was tried."""
    return float((np.bincount(policy, found, n) / np.bincount(policy, minlength=n)).mean())
