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
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.data.table import is_path, named, read_table
from banditlab.data.values import cell, parsed
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
def init(params, rng):
    return 0


@kernel
def draw(params, world, t, rng, out):
    width = params.high - params.low
    for k in range(out.size):
        out[k] = (params.losses[t, k] - params.low) / width
    return 0


@on_terms
def loss_table(losses: Any, low: float = 0.0, high: float = 1.0) -> Losses:
    """The rows of ``losses`` in order, one per round; there are no more rounds than rows.

    ``losses``: an array or list of shape (rounds, n_arms), or a frame, a dict or the path of a
    file with a named column per arm (see :mod:`banditlab.data.table`); at least one row and two
    columns, all numbers in [``low``, ``high``]; ``low`` < ``high``. Raises ValueError that names
    file, column and row, counted from 0; nothing is clipped.
    """
    low, high = number("low", low), number("high", high)
    if not low < high < math.inf or high - low == math.inf:
        raise ValueError(f"low must be below high, got {low!r} and {high!r}")
    names, columns, where = named_columns(losses, "table of losses")
    where = where or "losses"
    if "action" in names:
        raise ValueError(f"{where}: a column per arm is needed, but one is called 'action'")
    if len(columns) < 2 or len(columns[0]) < 1:
        rows = len(columns[0]) if columns else 0
        raise ValueError(
            f"{where}: at least 2 columns, one per arm, and 1 row, one per round, are needed, "
            f"got {len(columns)} and {rows}"
        )
    table = np.empty((len(columns[0]), len(columns)))
    for k, (name, column) in enumerate(zip(names, columns, strict=True)):
        with named(where):
            found = table[:, k] = parsed(f"column {name!r}", column)
        for row in np.flatnonzero(~((found >= low) & (found <= high)))[:1]:
            raise ValueError(
                f"{where}: column {name!r}, row {row} has {cell(column, row)}; "
                f"allowed are numbers in [{low:g}, {high:g}] (--low and --high)"
            )
    return Losses(LossTable(table, low, high), init, draw, (len(names), 1, 0), supply=len(table))


def named_columns(source: Any, kind: str) -> tuple[Sequence[Any], list[Any], str]:
    """The names and columns of a table with a column per arm, and the name of its file, if any.

    Beside what :mod:`banditlab.data.table` reads, an array or list (rows, columns) will do.
    """
    if isinstance(source, np.ndarray | Sequence | int | float) and not (
        is_path(source) or getattr(getattr(source, "dtype", None), "names", None)
    ):
        try:
            table = np.asarray(source)
        except ValueError:  # rows of different lengths
            table = np.empty(0)
        if table.ndim != 2:
            raise ValueError(
                "losses must have a row per round and a column per arm, all of one length"
            )
        return range(table.shape[1]), list(table.T), ""
    found = read_table(source, kind, every=True)
    return found.names, [found[name] for name in found.names], found.where
