"""A user's own losses: a table with a row per round and a column per arm, played in order.

The losses may come in any unit: ``low`` and ``high`` are the least and the largest that there can
be, and become 0 and 1; the terms' prices and all regrets are then in units of ``high - low``. Every
replication sees the same losses: only the algorithms' own draws differ.

>>> problem = loss_table([[3.0, 5.0], [4.0, 0.0]], high=5.0)
>>> problem.shape, problem.supply
((2, 1, 0), 2)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.terms import on_terms
from banditlab.protocols.observe import Losses
from banditlab.validate import number

example = {"losses": [[t * k % 7 / 6.0 for k in (1, 2, 3)] for t in range(300)]}


class LossTable(NamedTuple):
    """Parameters."""

    losses: np.ndarray  # (rounds, n_arms) float64 in [low, high]
    low: float
    high: float


@kernel
def init(params, rng):  # type: ignore[no-untyped-def]
    return 0


@kernel
def draw(params, world, t, rng, out):  # type: ignore[no-untyped-def]
    width = params.high - params.low
    for k in range(out.size):
        out[k] = (params.losses[t, k] - params.low) / width
    return 0


@on_terms
def loss_table(losses: Any, low: float = 0.0, high: float = 1.0) -> Losses:
    """The rows of ``losses`` in order, one per round; there are no more rounds than rows.

    ``losses``: an array or list of shape (rounds, n_arms), a pandas frame with a column per arm,
    or the path of such a ``.csv`` or ``.parquet`` file, whose first line names the columns; at
    least one row and two columns, all numbers in [``low``, ``high``]; ``low`` < ``high``. Raises
    ValueError that names file, column and row, counted from 0; nothing is clipped.
    """
    low, high = number("low", low), number("high", high)
    if not low < high < math.inf or high - low == math.inf:
        raise ValueError(f"low must be below high, got {low!r} and {high!r}")
    if isinstance(losses, str | Path):
        path = Path(losses)
        names, columns = _read(path)
        where = path.name
    else:
        names, columns = _given(losses)
        where = "losses"
    if "action" in names:
        raise ValueError(f"{where}: a column per arm is needed, but one is called 'action'")
    if len(columns) < 2 or columns[0].size < 1:
        rows = columns[0].size if columns else 0
        raise ValueError(
            f"{where}: at least 2 columns, one per arm, and 1 row, one per round, are needed, "
            f"got {len(columns)} and {rows}"
        )
    table = np.empty((columns[0].size, len(columns)))
    for k, (name, column) in enumerate(zip(names, columns, strict=True)):
        numbers = table[:, k] = _numbers(column)
        for row in np.flatnonzero(~((numbers >= low) & (numbers <= high)))[:1]:
            raise ValueError(
                f"{where}: column {name!r}, row {row} has {column[row]!s}; "
                f"allowed are numbers in [{low:g}, {high:g}]"
            )
    return Losses(LossTable(table, low, high), init, draw, (len(names), 1, 0), supply=len(table))


def _given(losses: Any) -> tuple[Sequence[Any], list[np.ndarray]]:
    """Names and columns of a table in memory."""
    if hasattr(losses, "columns"):
        names = list(losses.columns)
        return names, [losses.iloc[:, k].to_numpy() for k in range(len(names))]
    try:
        table = np.asarray(losses)
    except ValueError:  # rows of different lengths
        table = np.empty(0)
    if table.ndim != 2:
        raise ValueError("losses must have a row per round and a column per arm, all of one length")
    return range(table.shape[1]), list(table.T)


def _read(path: Path) -> tuple[Sequence[Any], list[np.ndarray]]:
    """Names and columns of a file."""
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path.name}: a table of losses ends in .csv or .parquet")
    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    import pandas

    try:
        if path.suffix == ".parquet":
            return _given(pandas.read_parquet(path))
        frame = pandas.read_csv(path, skipinitialspace=True)
    except pandas.errors.EmptyDataError:
        raise ValueError(f"{path.name}: the table is empty") from None
    except Exception as error:  # parsers fail in many ways; all mean the same to the reader
        line = str(error).strip().split("\n")[0]
        raise ValueError(f"{path.name}: not readable as {path.suffix[1:]}: {line}") from error
    if not isinstance(frame.index, pandas.RangeIndex):
        raise ValueError(f"{path.name}: the rows are longer than the first line")
    names = [str(name) for name in frame.columns]
    for k, name in enumerate(names):
        if name == f"Unnamed: {k}":
            raise ValueError(f"{path.name}: column {k} has no name: is it a row number?")
    # Without names the first round would be taken for them. A frame's own names are 0, 1, ...
    if all(map(_is_number, names)) and names != [str(k) for k in range(len(names))]:
        raise ValueError(
            f"{path.name}: the first line must name the columns, got {', '.join(names)}"
        )
    return names, _given(frame)[1]


def _is_number(value: Any) -> bool:
    return not math.isnan(_number(value))


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _numbers(column: np.ndarray) -> np.ndarray:
    """``column`` as float64: nan where there is no number."""
    if column.dtype.kind in "fiub":
        return column.astype(np.float64)
    if column.dtype.kind in "OUST":
        return np.array([_number(value) for value in column])
    return np.full(column.size, np.nan)  # dates and complex numbers
