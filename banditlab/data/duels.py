"""Judgements of pairs that a user brings: which of two things won, or lists that rank several.

Duels are a table with a row per duel and the columns

============= ==================================================================================
``left``      one of the two: its name, a text or any integer
``right``     the other
``winner``    the name of either, or ``left``, ``right`` or ``tie``
``annotator`` who judged, by name; left out when unknown
============= ==================================================================================

or a table with a row per list, best first: a column ``ranking`` such as ``a > b = c > d``, or the
columns ``rank_1``, ``rank_2``, ... with a name each, of which the last may be empty; optionally
``annotator``. A list is as many duels as it has pairs. Other columns are passed over.

What is in a name wins over what is in a word: where something is called "left", a winner "left" is
that thing. "draw", "equal", "both" and "neither" are ties too, with or without a remark in
brackets, and so is a column's own name for its side ("model_a").

>>> duels = Duels.of({"left": ["tea", "milk"], "right": ["milk", "tea"], "winner": ["tea", "tie"]})
>>> duels
Duels(2 duels, 1 tie, 2 items (milk, tea))
>>> duels.wins()
array([[0. , 0.5],
       [1.5, 0. ]])
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from banditlab.data.names import listed, merged
from banditlab.data.table import Table, column_names, named, read_table, where_of
from banditlab.data.values import INTEGER, MISSING, blank, cell, ids

DUEL = ("left", "right", "winner", "annotator")
LIST = ("ranking", "annotator")
PLACE = "rank_"
TIES = re.compile(r"(tie|tied|draw|equal|both|neither)( *\(.*\))?", re.IGNORECASE)
LARGEST = 20_000_000  # duels
MOST = 2000  # things in a matrix


@dataclass(frozen=True, eq=False, repr=False)
class Duels:
    """Duels, in order; :meth:`of` reads them. Rows are counted from 0, as in a frame."""

    left: np.ndarray  # (n,) int64: place in names
    right: np.ndarray  # (n,) int64: place in names
    score: np.ndarray  # (n,) float64: 1 where left won, 0 where right won, 0.5 for a tie
    names: tuple[Any, ...]  # of what was judged, sorted, all int or all str
    group: np.ndarray  # (n,) int64 from 0: duels of one annotator, or of one list, depend
    annotators: tuple[Any, ...] | None = None  # names, in order of their groups; None when unknown
    lists: int = 0  # how many lists the duels are from; 0 when they were judged pair by pair
    notes: tuple[str, ...] = ()  # what to know of how it was read

    def __len__(self) -> int:
        return self.left.size

    def __repr__(self) -> str:
        ties = int((self.score == 0.5).sum())
        facts = [f"{len(self):,} duels" if len(self) != 1 else "1 duel"]
        if self.lists:
            facts.append(f"of {self.lists:,} {'list' if self.lists == 1 else 'lists'}")
        facts.append(f"{ties:,} {'tie' if ties == 1 else 'ties'}")
        facts.append(f"{len(self.names):,} items ({listed(self.names)})")
        if self.annotators is not None:
            people = len(self.annotators)
            facts.append(f"{people:,} {'annotator' if people == 1 else 'annotators'}")
        return f"Duels({', '.join(facts)})"

    @property
    def n_groups(self) -> int:
        """How many groups of duels there are that do not depend on each other."""
        return int(self.group.max()) + 1

    def wins(self) -> np.ndarray:
        """How often each has beaten each, ties half for both: float64 (K, K).

        Raises ValueError for more than 2,000 names.
        """
        return self._table(self.score, 1.0 - self.score)

    def ties(self) -> np.ndarray:
        """How often each has tied with each: float64 (K, K), symmetric."""
        tied = (self.score == 0.5).astype(np.float64)
        return self._table(tied, tied)

    def _table(self, forth: np.ndarray, back: np.ndarray) -> np.ndarray:
        K = len(self.names)
        if K > MOST:
            raise ValueError(f"{K:,} names are more than the {MOST:,} that are compared")
        table = np.bincount(self.left * K + self.right, forth, minlength=K * K)
        table += np.bincount(self.right * K + self.left, back, minlength=K * K)
        return table.reshape(K, K)

    @classmethod
    def of(cls, source: Any, columns: Mapping[str, str] | None = None) -> Duels:
        """The duels that ``source`` is or holds: Duels, or whatever `data.table` reads.

        ``columns`` gives the source's names of columns by ours: ``{"left": "first"}``.

        Raises ValueError in one line, with the first row that cannot be: an empty name, a winner
        who did not take part, a list that names somebody twice.
        """
        if isinstance(source, Duels):
            if columns:
                raise ValueError("columns: Duels have their columns already")
            return source
        given = {name for name in column_names(source, "table of duels")} | {*(columns or {})}
        places = [name for name in given if re.fullmatch(rf"{PLACE}\d+", name)]
        if "ranking" in given or places:
            if {"left", "right", "winner"} <= given or ("ranking" in given and places):
                with named(where_of(source)):
                    raise ValueError(
                        "duels (left, right, winner), lists (ranking) or places (rank_1, ...): "
                        "give one of them"
                    )
            table = read_table(
                source, "table of lists", columns=columns, known=LIST,
                required=() if places else ("ranking",), prefix=PLACE if places else "",
            )  # fmt: skip
            read = _of_lists
        else:
            table = read_table(
                source, "table of duels", columns=columns, known=DUEL,
                required=("left", "right", "winner"),
            )  # fmt: skip
            read = _of_duels
        with named(where_of(source)):
            if table.rows == 0:
                raise ValueError("there is no duel")
            notes = list(table.notes)
            left, right, score, names, row = read(table, notes)
            if left.size == 0:
                raise ValueError("there is no duel between two different things")
            group, annotators = _groups(table, row, notes)
            _doubts(names, left, right, group, annotators, row, notes)
            lists = int(np.unique(row).size) if read is _of_lists else 0
            return cls(left, right, score, names, group, annotators, lists, tuple(notes))

    @classmethod
    def read(cls, path: str | Path, columns: Mapping[str, str] | None = None) -> Duels:
        """The duels in a file; every ValueError begins with its name. See `data.table`."""
        return cls.of(Path(path), columns)


Read = tuple[np.ndarray, np.ndarray, np.ndarray, tuple[Any, ...], np.ndarray]


# --- pair by pair -------------------------------------------------------------------------------


def _of_duels(table: Table, notes: list[str]) -> Read:
    """Left, right, score, names, and the row of each duel."""
    left, ours = ids("left", table["left"], notes)
    right, theirs = ids("right", table["right"], notes)
    left, right, names = merged(left, ours, right, theirs)
    score, told = _scores(table, left, right, names)
    selves = left == right
    for row in np.flatnonzero(np.isnan(score) & ~selves)[:1]:
        both = f"{str(names[left[row]])[:40]}, {str(names[right[row]])[:40]}"
        raise ValueError(
            f"winner: row {row} has {cell(table['winner'], row)}; allowed there are {both}, "
            "left, right and tie"
        )
    if selves.any():
        row = int(np.flatnonzero(selves)[0])
        notes.append(
            f"{selves.sum():,} of {left.size:,} rows set something against itself (row {row}: "
            f"{str(names[left[row]])[:40]}); they say nothing and are left out"
        )
    notes += told
    kept = np.flatnonzero(~selves)
    return left[kept], right[kept], score[kept], names, kept


def _scores(
    table: Table, left: np.ndarray, right: np.ndarray, names: tuple[Any, ...]
) -> tuple[np.ndarray, list[str]]:
    """The score of each row, nan where the winner is neither, and what to say of it."""
    column = table["winner"]
    lacking = blank(column, MISSING)
    codes, labels = ids("winner", column, None, lacking)
    place = {str(name): k for k, name in enumerate(names)}
    whole = {text: str(int(text.split(".")[0])) for text in map(str, labels)
             if INTEGER.fullmatch(text)}  # fmt: skip
    sides = {"left": 1.0, "right": 0.0}
    sides |= {table.renamed[side]: value for side, value in sides.items() if side in table.renamed}
    sides |= {"model_a": 1.0, "model_b": 0.0} if "model_a" in sides else {}
    who, word, told = [], [], []
    for label in map(str, labels):
        known = place.get(label, place.get(whole.get(label, ""), -1))
        said = sides.get(label, sides.get(label.lower(), 0.5 if TIES.fullmatch(label) else np.nan))
        if known >= 0 and said == said:
            told.append(f"winner {label!r} is what is called so, and no side and no tie")
        who.append(known)
        word.append(said)
    # The last entry is for rows without a winner, whose code is -1.
    by_name = np.array([*who, -1], dtype=np.int64)[codes]
    by_word = np.array([*word, np.nan])[codes]
    score = np.where(by_name == left, 1.0, np.where(by_name == right, 0.0, np.nan))
    return np.where(by_name >= 0, score, by_word), told


# --- lists --------------------------------------------------------------------------------------


def _of_lists(table: Table, notes: list[str]) -> Read:
    """As :func:`_of_duels`: every pair of a list is a duel."""
    if "ranking" in table:
        lists = [_parsed(row, table["ranking"]) for row in range(table.rows)]
        what = "ranking"
        if table.where and table.names == ("ranking",) and not table.passed_over:
            _refuse_parted(lists, table)
    else:
        lists, what = _placed(table), f"{PLACE}..."
    texts = sorted({name for ranks in lists for name, _ in ranks})
    whole = all(INTEGER.fullmatch(text) for text in texts)
    label = {text: int(text.split(".")[0]) if whole else text for text in texts}
    names = tuple(sorted({*label.values()}))
    place = {name: k for k, name in enumerate(names)}
    if sum(len(ranks) * (len(ranks) - 1) // 2 for ranks in lists) > LARGEST:
        raise ValueError(f"{what}: the lists hold more than {LARGEST:,} pairs")
    left, right, score, rows, single = [], [], [], [], []
    for row, ranks in enumerate(lists):
        codes = np.array([place[label[name]] for name, _ in ranks], dtype=np.int64)
        for twice in np.flatnonzero(np.bincount(codes, minlength=1) > 1)[:1]:
            raise ValueError(f"{what}: row {row} names {str(names[twice])[:40]} twice")
        level = np.array([rank for _, rank in ranks])
        i, j = np.triu_indices(codes.size, 1)
        left.append(codes[i])
        right.append(codes[j])
        score.append(np.where(level[i] == level[j], 0.5, 1.0))
        rows.append(np.full(i.size, row))
        if codes.size < 2:
            single.append(row)
    if single:
        notes.append(
            f"{len(single):,} of {len(lists):,} lists name one thing only (row {single[0]}); "
            "they say nothing and are left out"
        )
    return (
        np.concatenate(left), np.concatenate(right), np.concatenate(score), names,
        np.concatenate(rows).astype(np.int64),
    )  # fmt: skip


def _text(what: str, column: Any, row: int) -> str:
    value = column[row]
    value = value.as_py() if hasattr(value, "as_py") else value
    if np.ndim(value) > 0:
        hint = "; allowed are lists such as a > b = c" if what == "ranking" else ""
        raise ValueError(f"{what}: row {row} has {str(value)[:40]}, which is no text{hint}")
    if value is None or value != value or str(value).strip().lower() in MISSING:
        return ""
    if isinstance(value, float | np.floating) and value == int(value):
        return str(int(value))
    return str(value).strip()


def _parsed(row: int, column: Any) -> list[tuple[str, int]]:
    """The names of a list such as ``a > b = c`` with their places, from 0."""
    text = _text("ranking", column, row)
    if not text:
        raise ValueError(f"ranking: row {row} has nothing; allowed are lists such as a > b = c")
    found = []
    for rank, level in enumerate(text.split(">")):
        for name in level.split("="):
            if not name.strip() or "\n" in name or "\r" in name:
                raise ValueError(
                    f"ranking: row {row} has {cell(column, row)}; allowed are lists such as "
                    "a > b = c"
                )
            found.append((name.strip(), rank))
    return found


def _refuse_parted(lists: list[list[tuple[str, int]]], table: Table) -> None:
    """In a file of one column, refuse names that rather are cells of columns without a name."""
    for row, ranks in enumerate(lists):
        if any(mark in name for name, _ in ranks for mark in ";|\t"):
            raise ValueError(
                f"ranking: row {row} has {cell(table['ranking'], row)}; does the first line name "
                "all columns?"
            )


def _placed(table: Table) -> list[list[tuple[str, int]]]:
    """The names of ``rank_1``, ``rank_2``, ... of every row with their places, from 0."""
    places = [name for name in table.names if re.fullmatch(rf"{PLACE}\d+", name)]
    places.sort(key=lambda name: int(name.removeprefix(PLACE)))
    for one, other in pairwise(places):
        if int(one.removeprefix(PLACE)) == int(other.removeprefix(PLACE)):
            raise ValueError(f"{one} and {other} are one place")
    lists = []
    for row in range(table.rows):
        cells = [_text(name, table[name], row) for name in places]
        full = [k for k, text in enumerate(cells) if text]
        if full != list(range(len(full))) or not full:
            empty = cells.index("")
            raise ValueError(f"{places[empty]}: row {row} has nothing before the list ends")
        lists.append([(cells[k], k) for k in full])
    return lists


# --- who judged ---------------------------------------------------------------------------------


def _groups(
    table: Table, row: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, tuple[Any, ...] | None]:
    """The group of each duel, counted from 0, and the names of the annotators."""
    if "annotator" not in table:
        return np.unique(row, return_inverse=True)[1].reshape(-1), None
    column = table["annotator"]
    codes, labels = ids("annotator", column, notes, np.ones(table.rows, np.bool_))
    missing = np.flatnonzero(codes < 0)
    if missing.size:
        notes.append(
            f"{missing.size:,} of {table.rows:,} rows have no annotator (row {missing[0]}); each "
            "is taken for somebody else"
        )
        codes[missing] = len(labels) + np.arange(missing.size)
    used, group = np.unique(codes[row], return_inverse=True)
    return group.reshape(-1), tuple(labels[k] for k in used if k < len(labels))


def _doubts(
    names: Sequence[Any], left: np.ndarray, right: np.ndarray, group: np.ndarray,
    annotators: Any, row: np.ndarray, notes: list[str],
) -> None:  # fmt: skip
    """Say what is possible, but hardly meant."""
    if annotators is not None:
        low, high = np.minimum(left, right), np.maximum(left, right)
        keys = (group * len(names) + low) * len(names) + high
        _, first = np.unique(keys, return_index=True)
        again = np.setdiff1d(np.arange(left.size), first)
        if again.size:
            notes.append(
                f"{again.size:,} of {left.size:,} duels repeat a pair that the same annotator has "
                f"judged before (row {row[again[0]]}); every one counts"
            )
    seen: dict[str, Any] = {}
    for name in names:
        twin = seen.setdefault(" ".join(str(name).casefold().split()), name)
        if twin != name:
            notes.append(f"{str(twin)[:40]} and {str(name)[:40]} are two things, or one misspelt?")
            break
