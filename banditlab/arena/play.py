"""A loop made ready to play, and the logs that it reads: drawn once for all who read the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np

from banditlab.compile import Pair, pair
from banditlab.protocols.base import Aside, Loop

ROOM = 2**26  # bytes of logs that are kept for the next reader


class Kept:
    """What has been drawn, as far as there is room: what was read longest ago goes first."""

    def __init__(self) -> None:
        self._rows: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._bytes = 0
        self._turn = threading.Lock()

    def __reduce__(self) -> Any:
        return Kept, ()  # the process that compiles ahead draws nothing

    def get(self, source: int, replication: int) -> Any:
        """A row of ``source``, or None."""
        with self._turn:
            row = self._rows.get((source, replication))
            if row is not None:
                self._rows.move_to_end((source, replication))
            return row

    def put(self, source: int, replication: int, row: Any) -> None:
        """Keep a row, unless only rows of the same source could make room for it.

        They would push each other out in the order in which the next reader wants them.
        """
        size = _size(row)
        with self._turn:
            while self._bytes + size > ROOM and self._rows and next(iter(self._rows))[0] != source:
                self._bytes -= _size(self._rows.popitem(last=False)[1])
            if self._bytes + size <= ROOM and (source, replication) not in self._rows:
                self._rows[source, replication] = row
                self._bytes += size


def _size(row: Any) -> int:
    return sum(table.nbytes for table in row)


class Source:
    """The logs of a problem, with one seed and at one list of checkpoints."""

    def __init__(self, loop: Loop, key: np.ndarray, kept: Kept):
        assert loop.draw is not None
        self.loop, self.key, self.kept, self.empty = loop, key, kept, loop.draw.empty
        example = (key, 0, loop.checkpoints, np.zeros(2, np.int64), self.empty(1))
        self.pair: Pair = pair(loop.draw.run_block, (loop.problem,), example)
        self.most = max(1, ROOM // 8 // _size(self.empty(1)))  # replications at a time

    def rows(self, first: int, count: int, progress: np.ndarray) -> Any:
        """The logs of ``count`` replications from ``first`` on; ``progress`` as for a block."""
        found = [self.kept.get(id(self), first + i) for i in range(count)]
        if any(row is None for row in found):
            drawn = self.empty(count)
            self.pair(self.key, first, self.loop.checkpoints, progress, drawn)
            if progress[1] == 0:
                for i in range(count):
                    row = type(drawn)(*(table[i].copy() for table in drawn))
                    self.kept.put(id(self), first + i, row)
            return drawn
        progress[0] += count * self.loop.checkpoints[-1]
        return type(found[0])(*map(np.stack, zip(*found, strict=True)))


class Sources:
    """The sources of one run, one for all loops that read the same logs."""

    def __init__(self) -> None:
        self._found: dict[Any, Source] = {}
        self._kept = Kept()

    def of(self, loop: Loop, key: np.ndarray) -> Source | None:
        """Where a loop's logs come from; None where it draws what it needs."""
        if loop.draw is None:
            return None
        same = (id(loop.problem), key.tobytes(), loop.checkpoints.tobytes())
        if same not in self._found:  # a source holds its problem: nothing else gets that id
            self._found[same] = Source(loop, key, self._kept)
        return self._found[same]


class Play(NamedTuple):
    """A loop, compiled when first needed with its nouns, and where its logs come from."""

    pair: Pair
    loop: Loop
    key: np.ndarray  # (2,) uint64
    source: Source | None

    @property
    def pairs(self) -> list[Pair]:
        """All that is to be compiled, in the order of need."""
        return [self.pair] if self.source is None else [self.source.pair, self.pair]

    def __call__(self, first: int, record: np.ndarray, progress: np.ndarray) -> None:
        """Fill ``record`` (replications, checkpoints, measures) from replication ``first`` on.

        For ``progress`` see online.run_block.
        """
        loop, source = self.loop, self.source
        given = (loop.log_rounds, loop.checkpoints, progress)
        with np.errstate(all="ignore"):  # plain Python wraps uint64 aloud; the streams mean it
            if source is None:
                self.pair(loop.task, self.key, first, *given, record)
                return
            for start in range(0, len(record), source.most):
                rows = record[start : start + source.most]
                logs = source.rows(first + start, len(rows), progress)
                self.pair(loop.task, self.key, first + start, *given, logs, rows)

    def alone(self, replication: int, row: np.ndarray, progress: np.ndarray, aside: Aside) -> float:
        """One replication in a process of its own; see Loop.alone."""
        loop = self.loop
        assert loop.alone is not None
        nouns = (loop.algorithm, loop.problem, loop.task)
        return loop.alone(*nouns, self.key, replication, loop.checkpoints, progress, row, aside)


def ready(loop: Loop, key: np.ndarray, sources: Sources | None = None) -> Play:
    """The loop, ready to play with the seed's ``key``."""
    source = (sources or Sources()).of(loop, key)
    # An example of the call: its types are compiled for.
    example: list[Any] = [
        loop.task, key, 0, loop.log_rounds, loop.checkpoints, np.zeros(2, np.int64)
    ]  # fmt: skip
    nouns: tuple[Any, ...] = (loop.algorithm, loop.problem)
    if source is not None:
        nouns = (loop.algorithm,)
        example.append(source.empty(1))
    example.append(np.zeros((1, 1, len(loop.measures))))
    made = pair(loop.run_block, nouns, tuple(example), plain=loop.python, code=loop.code)
    return Play(made, loop, key, source)
