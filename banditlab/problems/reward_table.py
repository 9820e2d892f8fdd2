"""A user's own rewards: a table with a column per arm, each row of which is paid at most once.

The rewards may come in any unit: ``low`` and ``high``, which are public, are the least and the
largest that there can be, and become 0 and 1; regrets are then in units of ``high - low``. The mean
of an arm is that of its column. Every replication deals each column in a random order of its own,
without replacement; with ``shuffle=False`` all deal it from the top, as an audit of privacy needs.

>>> problem = reward_table([[1, 2, 3, 4, 5], [5, 4, 4]], low=1, high=5)
>>> problem.params.means, problem.supply
(array([0.5       , 0.83333333]), (5, 3))
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.data.table import Table, is_path, named, read_table
from banditlab.data.values import blank, cell, parsed
from banditlab.problems.bernoulli import init as shown
from banditlab.problems.bernoulli import observe, regret
from banditlab.protocols.online import Problem
from banditlab.random import below
from banditlab.validate import flag, integer, number

example = {"rewards": [[0.0, 0.5, 1.0] * 40, [0.25, 0.75, 0.5, 1.0] * 50]}


class RewardTable(NamedTuple):
    """Parameters."""

    rewards: np.ndarray  # (n_rows,) float64 in [0, 1]: the arms one after another
    offsets: np.ndarray  # (n_arms + 1,) int64: arm k has the rows offsets[k]:offsets[k + 1]
    means: np.ndarray  # (n_arms,) float64: of the rows of each arm
    shuffle: bool
    clamped: int  # rewards that were outside of [low, high]


class World(NamedTuple):
    """One replication."""

    best: np.ndarray  # (1,) float64: the largest mean
    x: np.ndarray  # (1, 1) float64, 0: there is nothing to show
    rewards: np.ndarray  # (n_rows,) float64: what is left of arm k lies in its last rows
    used: np.ndarray  # (n_arms,) int64: rows paid


@kernel
def init(params, rng):
    best, x = shown(params, rng)
    return World(best, x, params.rewards.copy(), np.zeros(params.means.size, np.int64))


@kernel
def pull(params, world, x, arm, rng):
    first = params.offsets[arm] + world.used[arm]
    left = params.offsets[arm + 1] - first
    # One word whatever the arm, so that two agents with one seed face the same luck.
    i = first + (below(rng, max(left, 1)) if params.shuffle else 0)
    if left <= 0:
        return np.nan  # supply says when: never a row twice
    reward = world.rewards[i]
    world.rewards[i] = world.rewards[first]
    world.used[arm] += 1
    return reward


def neighbour(
    table: Sequence[Sequence[float]] | np.ndarray,
    arm: int,
    i: int,
    value: float,
    low: float = 0.0,
    high: float = 1.0,
) -> list[np.ndarray]:
    """A copy of ``table``, a column per arm, in which reward ``i`` of ``arm`` is ``value``.

    Two such tables are what differential privacy must not tell apart. Raises ValueError when there
    is no such reward, or ``value`` is outside of [``low``, ``high``].
    """
    columns = [np.array(column, dtype=np.float64) for column in table]
    arm, i, value = integer("arm", arm, 0), integer("i", i, 0), number("value", value)
    if arm >= len(columns):
        raise ValueError(f"arm must be an arm, 0 to {len(columns) - 1}, got {arm}")
    if i >= columns[arm].size:
        raise ValueError(f"i must be a row of arm {arm}, 0 to {columns[arm].size - 1}, got {i}")
    if not low <= value <= high:
        raise ValueError(f"value must lie in [{low:g}, {high:g}], got {value!r}")
    columns[arm][i] = value
    return columns


def reward_table(
    rewards: Any,
    low: float = 0.0,
    high: float = 1.0,
    clamp: bool = False,
    shuffle: bool = True,
) -> Problem:
    """The rows of ``rewards``, each paid at most once.

    ``rewards``: the rewards of each arm, as an array (n_arms, n) or lists that may differ in
    length; or a dict of such lists, a frame or the path of a file with a column per arm (see
    :mod:`banditlab.data.table`), where the cells below an arm's last reward are blank. At least
    two arms, each with a reward; all numbers in [``low``, ``high``], ``low`` < ``high``. With
    ``clamp`` numbers outside become the nearest bound, and ``params.clamped`` says how many did.
    ``shuffle``: whether a replication pays an arm's rows in a random order, or in their own.
    ``supply`` is the number of rows of each arm; one that has paid them all pays nan.

    Raises ValueError that names arm and row, counted from 0.
    """
    low, high = number("low", low), number("high", high)
    if not low < high or high - low == math.inf:
        raise ValueError(f"low must be below high, got {low!r} and {high!r}")
    clamp = flag("clamp", clamp)
    columns, clamped = [], 0
    for name, column in _columns(rewards):
        outside = np.flatnonzero(~((column >= low) & (column <= high)))
        if outside.size and not clamp:
            raise ValueError(
                f"arm {name}, row {outside[0]} has {column[outside[0]]:g}; allowed are numbers in "
                f"[{low:g}, {high:g}], or clamp = true"
            )
        clamped += outside.size
        columns.append((np.clip(column, low, high) - low) / (high - low))
    lengths = [column.size for column in columns]
    params = RewardTable(
        np.concatenate(columns),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        # fsum: arms with the same rewards in another order are equally good.
        np.array([math.fsum(column) / column.size for column in columns]),
        flag("shuffle", shuffle),
        int(clamped),
    )
    shape = (len(columns), 1, 0)
    return Problem(params, init, observe, pull, regret, shape, supply=tuple(lengths))


def _columns(rewards: Any) -> list[tuple[Any, np.ndarray]]:
    """The name and the finite rewards of each arm."""
    if isinstance(rewards, Mapping):  # of lists that may differ in length
        named_lists = list(rewards.items())
    elif isinstance(rewards, Sequence | np.ndarray) and not is_path(rewards):
        named_lists = list(enumerate(rewards))
    elif is_path(rewards) or hasattr(rewards, "columns") or isinstance(rewards, Table):
        table = read_table(rewards, "table of rewards", every=True)
        with named(table.where):
            return _enough([(name, _column(name, table[name], True)) for name in table.names])
    else:
        named_lists = []
    return [(name, _column(name, column, False)) for name, column in _enough(named_lists, rewards)]


def _enough(found: list[tuple[Any, Any]], rewards: Any = None) -> list[tuple[Any, Any]]:
    if len(found) < 2:
        got = f"{len(found)}" if rewards is None else f"{rewards!r}"
        raise ValueError(f"rewards must have a column for each of at least 2 arms, got {got}")
    return found


def _column(name: Any, column: Any, has_blanks: bool) -> np.ndarray:
    column = column if has_blanks else np.asarray(column)
    if has_blanks:
        filled = np.flatnonzero(~blank(column))
        column = column[: filled[-1] + 1 if filled.size else 0]
    elif column.ndim != 1:
        raise ValueError(f"arm {name} must have a list of numbers, got {column.tolist()!r}")
    if len(column) == 0:
        raise ValueError(f"arm {name} has no rewards")
    found = parsed(f"arm {name}", column)
    for row in np.flatnonzero(~np.isfinite(found))[:1]:
        where = "; only cells below the last reward may be blank" if has_blanks else ""
        raise ValueError(
            f"arm {name}, row {row} has {cell(column, row)}, which is no number{where}"
        )
    return found
