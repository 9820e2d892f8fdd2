"""Names of arms, contexts and states against numbers from 0: which is which, and how they read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from banditlab.data.values import ids

Labels = tuple[Any, ...]  # sorted names, all int or all str


def places(name: str, column: Any, labels: Sequence[Any]) -> tuple[np.ndarray, Labels]:
    """``column`` as numbers of ``labels``, int64, and these; ValueError for one that is none."""
    codes = np.array(column)
    if codes.ndim != 1 or codes.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integers where names are given, one per row")
    for row in np.flatnonzero((codes < 0) | (codes >= len(labels)))[:1]:
        raise ValueError(f"{name}: row {row} has {codes[row]}, but {len(labels)} names are given")
    return codes.astype(np.int64), tuple(labels)


def are_numbers(labels: Labels, size: int) -> bool:
    """Whether all names are integers from 0 to ``size`` - 1."""
    return all(isinstance(v, int) for v in (*labels[:1], *labels[-1:])) and (
        not labels or (labels[0] >= 0 and labels[-1] < size)
    )


def align(name: str, codes: np.ndarray, labels: Labels, size: int) -> tuple[np.ndarray, Labels]:
    """``codes`` and ``labels`` by the numbers, 0 to ``size`` - 1, of whoever is to read them.

    Names that are such numbers mean themselves. As many other names as there are numbers are
    counted in order. Raises ValueError in any other case: which is which would be a guess. The
    labels come back as the same object if nothing is to be changed.
    """
    if are_numbers(labels, size):
        if len(labels) == size:
            return codes, labels
        return np.array(labels, dtype=np.int64)[codes], tuple(range(size))
    if len(labels) == size:
        return codes, labels
    if isinstance(labels[0], int):
        for row in np.flatnonzero(np.isin(codes, _outside(labels, size)))[:1]:
            raise ValueError(
                f"{name}: row {row} has {labels[codes[row]]}; "
                f"allowed are 0 to {size - 1} in this task"
            )
    raise ValueError(
        f"{name}: the log names {len(labels)} ({listed(labels)}), the task has {size}; "
        f"which is which? number them from 0 to {size - 1}"
    )


def _outside(labels: Labels, size: int) -> np.ndarray:
    return np.flatnonzero([not 0 <= label < size for label in labels])


def as_array(labels: Labels) -> np.ndarray:
    """The labels as an array: of int64 if they are integers of that size, else of objects."""
    if labels and all(isinstance(v, int) and -(2**63) <= v < 2**63 for v in labels):
        return np.array(labels, dtype=np.int64)
    return np.array(labels, dtype=object)


def listed(labels: Sequence[Any], most: int = 3) -> str:
    """A few of the names, for a person."""
    shown = ", ".join(str(v)[:20] for v in labels[:most])
    return f"{shown}, ..." if len(labels) > most else shown


def episode_numbers(column: Any) -> np.ndarray:
    """Episodes as int64: themselves if they are such integers, else numbered."""
    codes, names = ids("episode", column)
    values = as_array(names)
    return values[codes] if values.dtype == np.int64 else codes


def as_numbers(name: str, codes: np.ndarray, names: tuple, told: str) -> np.ndarray:
    """Names that must be numbers from 0, as these; -1 stays."""
    good = np.array([isinstance(v, int) and 0 <= v < 2**53 for v in names], dtype=np.bool_)
    for row in np.flatnonzero((codes >= 0) & ~np.append(good, True)[codes])[:1]:
        raise ValueError(
            f"{name}: row {row} has {names[codes[row]]}; allowed are integers from 0 "
            f"where {told} is given"
        )
    return np.append(as_array(names).astype(np.int64), -1)[codes]


def merged(
    state: np.ndarray, names: tuple, after: np.ndarray, seen: tuple
) -> tuple[np.ndarray, np.ndarray, tuple]:
    """Two columns of numbers of names as numbers of the names of both; -1 stays."""
    if names == seen:
        return state, after, names
    if {type(v) for v in names} != {type(v) for v in seen}:  # one column is text for one name
        names, seen = tuple(map(str, names)), tuple(map(str, seen))
    both = tuple(sorted({*names, *seen}))
    place = {name: k for k, name in enumerate(both)}
    old = np.array([place[name] for name in names], dtype=np.int64)
    new = np.array([*(place[name] for name in seen), -1], dtype=np.int64)
    return old[state], new[after], both
