"""Plays what takes long in pieces and keeps where it is, so that whoever is killed loses little.

A row of a curve is one replication, or the mean of a batch of them. Where a row takes longer than a
minute, a finished row is too seldom: then what has been played so far, the arrays of a replication
under way (state, world, streams, totals) or the sum of those of a batch that are finished, is kept
every SECONDS. Whoever goes on begins that replication again, fills its arrays and plays on, with
the same bits.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from banditlab.agent import quiet
from banditlab.arena.store import Store, digest
from banditlab.compile import Pair, compiled

if TYPE_CHECKING:
    from banditlab.arena.play import Play

SECONDS = 5.0  # between two looks that are kept
SHORT = 0.1  # seconds: a piece that takes less is followed by one twice as long
LONG = 0.4  # and one that takes more by one of half the length; a wish to stop waits for its end


class Keeper:
    """What is kept of one row while it is under way. Without a store: nothing."""

    def __init__(self, store: Store | None, owner: dict[str, Any], row: int):
        self.store, self.owner, self.row = store, owner, row
        self._last = time.monotonic()

    def belongs_to(self, **more: Any) -> None:
        """Add to what decides the row's numbers."""
        self.owner = {**self.owner, **more}

    def fill(self, arrays: list[np.ndarray]) -> bool:
        """Fill the arrays with what an earlier run has kept; whether there was anything."""
        return self.store is not None and self.store.fill(self.owner, self.row, arrays)

    def keep(self, arrays: list[np.ndarray], now: bool = False) -> None:
        """Keep the arrays as they are, if it is time for that, or ``now``."""
        if self.store is not None and (now or time.monotonic() - self._last >= SECONDS):
            self.store.keep(self.owner, self.row, arrays)
            self._last = time.monotonic()


def play(
    made: Play, replication: int, record: np.ndarray, progress: np.ndarray, keeper: Keeper
) -> float:
    """Play one replication in pieces into ``record`` (checkpoints, measures); the CPU time.

    ``progress`` is that of online.run_block. Where that says stop, what was played is kept.
    """
    began = time.thread_time()
    loop = made.loop
    assert loop.pieces is not None
    with quiet():
        begin = _begin(made)
        run = begin(loop.task, made.key, replication, loop.log_rounds)
        row = np.zeros(len(loop.measures))
        piece = compiled(loop.pieces.play, _nouns(made), (loop.task, run, 0, 0, 0, row))
        keeper.belongs_to(pieces=[begin.name, piece.name], params=digest(piece.data))
        at = np.zeros(1, np.int64)
        arrays = [at, record, *_changing(run, piece.data)]
        keeper.fill(arrays)
        t, most = int(at[0]), 1
        progress[0] = t
        for c, end in enumerate(loop.checkpoints.tolist()):
            while t < end:
                before = time.monotonic()
                t = int(piece(loop.task, run, t, end, most, row))
                took = time.monotonic() - before
                if took > LONG:
                    most = max(1, most // 2)
                elif took < SHORT and t < end:  # it was not the checkpoint that made it short
                    most *= 2
                at[0] = progress[0] = t
                if t == end:
                    record[c] = row
                stopped = progress[1] != 0
                keeper.keep(arrays, now=bool(stopped))
                if stopped:
                    return time.thread_time() - began
    return time.thread_time() - began


def possible(made: Play) -> bool:
    """Whether the loop's replications can be played in pieces.

    Numbers beside the arrays of a run pass through Python on their way from piece to piece, so
    they must be of the kinds that Python's own numbers become.
    """
    if made.loop.pieces is None:
        return False
    signatures = getattr(_begin(made).function(), "nopython_signatures", None)
    return signatures is None or _passes(signatures[0].return_type)


def _nouns(made: Play) -> tuple[Any, Any]:
    assert made.loop.pieces is not None
    return made.loop.pieces.algorithm, made.loop.pieces.problem


def _begin(made: Play) -> Pair:
    assert made.loop.pieces is not None
    given = (made.loop.task, made.key, 0, made.loop.log_rounds)
    return compiled(made.loop.pieces.begin, _nouns(made), given)


def _passes(kind: Any) -> bool:
    if hasattr(kind, "types"):  # a tuple
        return all(_passes(part) for part in kind.types)
    return isinstance(kind, types.Array) or kind in (types.int64, types.float64, types.boolean)


def _changing(run: Any, data: tuple[Any, ...]) -> list[np.ndarray]:
    """The arrays of a run but those that are the pair's data, which nothing changes."""
    fixed = _arrays(data)
    return [x for x in _arrays(run) if not any(np.may_share_memory(x, other) for other in fixed)]


def _arrays(value: Any) -> list[np.ndarray]:
    """The arrays in nested tuples, in order."""
    if isinstance(value, np.ndarray):
        return [value]
    return [leaf for item in value for leaf in _arrays(item)] if isinstance(value, tuple) else []
