"""A table of rewards that is to be kept private, and what may be said about it to whom.

Two shapes: a column per arm (cells below an arm's last reward are blank), or a row per reward with
the columns ``action`` and ``reward``. Either may have a further column that says whose reward it
is. Then the person is protected, not the single reward: of each person at most so many rewards are
kept, and the noise is that many times as large.

Whether a table is refused is an answer, too, and one without noise. So refusals, and their words,
depend on what is public alone: names, which rewards there are of whom and of which arm, that all of
them are numbers, and the caller's bounds. Values beyond the bounds are clamped, infinite ones
included. How many were is no refusal: `Ratings.notes` says it, for the table's owner.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab import registry
from banditlab.data.columns import every_column
from banditlab.data.table import PARQUET, column_names, is_path, named, read_table, where_of
from banditlab.data.values import blank, ids, parsed
from banditlab.parts.noise import check_bounds
from banditlab.privacy.ledger import fingerprint
from banditlab.validate import integer

KIND = "table of rewards"
LONG = ("action", "reward")
MOST_NAMED = 5  # arms in a note


class Rows(NamedTuple):
    """A row per reward."""

    arms: tuple[Any, ...]  # names
    arm: np.ndarray  # (n,) int64: which of ``arms``
    reward: np.ndarray  # (n,) float64, infinite ones included
    unit: np.ndarray | None  # (n,) int64: whose reward it is

    def kept(self, rows: np.ndarray) -> Rows:
        """Those of these numbers."""
        unit = None if self.unit is None else self.unit[rows]
        return Rows(self.arms, self.arm[rows], self.reward[rows], unit)

    def by_arm(self) -> list[tuple[Any, np.ndarray]]:
        """Names and rewards of the arms that have any, in their natural order."""
        if not self.arms:
            return []
        order = np.argsort(self.arm, kind="stable")
        cuts = np.cumsum(np.bincount(self.arm, minlength=len(self.arms)))[:-1]
        pairs = zip(self.arms, np.split(self.reward[order], cuts), strict=True)
        return sorted((pair for pair in pairs if pair[1].size), key=lambda pair: _natural(pair[0]))


class Ratings:
    """Rewards by arm, scaled to [0, 1], with what was done to get them there.

    ``source`` is whatever :mod:`banditlab.data.table` reads, ``columns`` their names of ``action``
    and ``reward``. ``low`` and ``high`` are public bounds of a reward in its own unit. ``unit`` is
    the column that tells persons apart, ``most`` the rewards kept of each, drawn by ``seed``.
    Raises ValueError, in one line without any value, for a table that cannot be used.
    """

    def __init__(
        self,
        source: Any,
        low: Any,
        high: Any,
        unit: str | None = None,
        most: int = 1,
        seed: int = 0,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self.low, self.high = check_bounds("--low", low, "--high", high)
        self.unit, self.most = unit, integer("--max-per-unit", most, 1)
        self._said: list[str] = []
        with named(where_of(source)):
            rows = _read(source, unit, columns or {}, self._said)
            self.table = fingerprint((str(arm), rewards) for arm, rewards in rows.by_arm())
            total = rows.reward.size
            rows = _capped(rows, self.most, seed)
            self.left_out = total - rows.reward.size
            arms = rows.by_arm()
            if len(arms) < 2:
                raise ValueError("rewards of at least 2 arms are needed")
        self.arms = [str(arm) for arm, _ in arms]
        outside = [(values < self.low) | (values > self.high) for _, values in arms]
        self.clamped = sum(int(beyond.sum()) for beyond in outside)
        self.all_clamped = [
            arm for arm, beyond in zip(self.arms, outside, strict=True) if beyond.all()
        ]
        self.rewards = [
            (np.clip(values, self.low, self.high) - self.low) / (self.high - self.low)
            for _, values in arms
        ]
        self.units = rows.reward.size if rows.unit is None else int(np.unique(rows.unit).size)

    @property
    def lengths(self) -> np.ndarray:
        """Rewards of each arm, (n_arms,) int64."""
        return np.array([rewards.size for rewards in self.rewards])

    @property
    def protects(self) -> str:
        """What privacy is promised to."""
        if self.unit is None:
            return "the value of a single reward (not a person: name their column with --unit)"
        many = "the reward" if self.most == 1 else f"the values of all {self.most} rewards"
        return f"{many} kept of a {self.unit}"

    @property
    def notes(self) -> list[str]:
        """How values were read and what the bounds did to them: for the table's owner alone."""
        found = list(self._said)
        rewards = int(self.lengths.sum())
        bounds = f"[{self.low:g}, {self.high:g}]"
        if self.clamped:
            found.append(
                f"{self.clamped:,} of {rewards:,} rewards ({self.clamped / rewards:.0%}) are "
                f"outside {bounds} and were clamped"
            )
        if self.all_clamped:
            more = len(self.all_clamped) - MOST_NAMED
            arms = ", ".join(map(repr, self.all_clamped[:MOST_NAMED]))
            arms += f" and {more} more" if more > 0 else ""
            found.append(
                f"no reward of {arms} is inside {bounds}: check --low and --high, "
                "or is it the --unit?"
            )
        return found


def _natural(arm: Any) -> tuple[bool, float, str]:
    """Numbers in their order, then words in theirs."""
    try:
        value = float(arm)
    except ValueError:
        value = math.nan
    return (False, value, "") if math.isfinite(value) else (True, 0.0, str(arm))


def _read(source: Any, unit: str | None, columns: Mapping[str, str], notes: list[str]) -> Rows:
    with _without_values():
        names = column_names(source, KIND)
        if unit is not None and unit not in names:
            raise ValueError(f"--unit: {registry.unknown('column', unit, names)}")
        if set(LONG) & {*names, *columns}:
            return _read_long(source, unit, columns, notes)
        return _read_wide(source, unit, names, notes)


@contextmanager
def _without_values() -> Iterator[None]:
    """Keep a parser's words back: they may quote the file."""
    try:
        yield
    except ValueError as error:
        if "not readable as" in str(error):
            raise ValueError(f"not readable as a {KIND}") from None
        raise


def _read_long(source: Any, unit: str | None, columns: Mapping[str, str], notes: list[str]) -> Rows:
    if unit in LONG:
        raise ValueError(f"--unit must tell persons apart, got {unit!r}")
    known = LONG if unit is None else (*LONG, unit)
    table = read_table(source, KIND, columns=columns, known=known, required=known)
    notes += table.notes
    arm, arms = ids("action", table["action"], notes)
    reward = _numbers("reward", table["reward"], notes)
    for row in np.flatnonzero(np.isnan(reward))[:1]:
        raise ValueError(f"row {row} has no reward")
    return Rows(arms, arm, reward, None if unit is None else ids(unit, table[unit], notes)[0])


def _read_wide(source: Any, unit: str | None, names: tuple[str, ...], notes: list[str]) -> Rows:
    is_text = is_path(source) and Path(source).suffix.lower() != PARQUET
    try:
        every_column(list(names), [], is_text)
    except ValueError:  # whose words show the names, which are values here
        raise ValueError("the first line reads as data, not as the names of columns") from None
    table = read_table(source, KIND, every=True)
    arms = tuple(name for name in table.names if name != unit)
    rewards = [_numbers(name, table[name], notes) for name in arms]
    filled = [np.flatnonzero(~np.isnan(column)) for column in rewards]
    for name, rows in zip(arms, filled, strict=True):
        if not rows.size:
            raise ValueError(f"arm {name!r} has no reward")
    if not arms:
        return Rows((), np.zeros(0, np.int64), np.zeros(0), None)
    rows = np.concatenate(filled)
    arm = np.repeat(np.arange(len(arms)), [part.size for part in filled])
    reward = np.concatenate([column[part] for column, part in zip(rewards, filled, strict=True)])
    if unit is None:
        return Rows(arms, arm, reward, None)
    empty = np.ones(table.rows, np.bool_)
    empty[rows] = False
    return Rows(arms, arm, reward, ids(unit, table[unit], notes, may_lack=empty)[0][rows])


def _numbers(name: str, column: Any, notes: list[str]) -> np.ndarray:
    """The column's numbers, nan where a cell is blank."""
    try:
        found = parsed(name, column, notes)
    except ValueError:
        raise ValueError(f"column {name!r} holds no numbers") from None
    for row in np.flatnonzero(np.isnan(found) & ~blank(column))[:1]:
        raise ValueError(f"column {name!r}, row {row} holds no number")
    return found


def _capped(rows: Rows, most: int, seed: int) -> Rows:
    """At most ``most`` rewards of each unit, any of them as likely as the others.

    Which are kept may depend on who rewarded what, which is public, and on no value: hence not on
    the order of the rows, for they may be sorted by it.
    """
    if rows.unit is None:
        return rows
    draw = np.empty(rows.unit.size)
    draw[np.lexsort((rows.arm, rows.unit))] = np.random.default_rng(seed).random(draw.size)
    order = np.lexsort((draw, rows.unit))
    units = rows.unit[order]
    first = np.flatnonzero(np.append(True, units[1:] != units[:-1]))
    rank = np.arange(units.size) - np.repeat(first, np.diff(np.append(first, units.size)))
    return rows.kept(np.sort(order[rank < most]))
