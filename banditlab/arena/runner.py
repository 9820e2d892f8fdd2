"""Hands out the blocks of jobs, keeps what is finished, and stops when asked to.

The unit of work is a block of replications of one job. A thread for each worker takes blocks and
has its *hand* play them: by default itself, with one call of a compiled pair, which releases
Python's lock; other hands are in :mod:`banditlab.arena.backends`. The block of a hand that is lost
is played again. Replication r draws from streams that depend on the seed and on r alone, so neither
the number of workers nor the size of a block can change a bit of the result. Blocks are therefore
cut by the clock: the first is one replication, and a later one as many as would end within SECONDS
if they took as long as those before, at most BLOCK. Lanes, of which 64 cost hardly more than one,
start as a whole block where that is surely short enough. Where there is a store and already the
first replication promises to take longer than TOO_LONG, it is stopped soon, and that curve is
played in pieces (:mod:`banditlab.arena.pieces`).
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np

from banditlab import registry, track
from banditlab.arena import pieces
from banditlab.arena.jobs import Job
from banditlab.arena.rows import BLOCK, SECONDS, Part, play_part
from banditlab.arena.store import Store

SAFE = 6 * 10**7  # rounds that lanes of few arms play within SECONDS on any machine of today
FEW = 10  # arms
TOO_LONG = 60.0  # seconds of one replication, from which on it is played in pieces
LOOKS = (2.0, 4.0, 8.0)  # seconds after which that is asked: what is lost then is played again
STOP, IN_PIECES = 1, 2  # what a running block is asked by its flag
PATIENCE = 1.0  # seconds that blocks have to end in; kernels look at their flag more often
MOST_THREADS = max(64, os.cpu_count() or 1)  # more find nothing to do, and take memory
LONG = 1.0  # seconds of a block that is written at once: it has no neighbours to wait for
TRIES = 3  # of a block whose workers are lost

Progress = Callable[[str, int, int], None]  # what is under way, rounds done, rounds in all


class Interrupted(Exception):
    """Ctrl-C: what was finished is kept."""


class Lost(Exception):
    """A worker is gone, and what it was playing with it; the reason in a few words."""


class _Curve:
    """A job under way. Each row of its values is one replication, or the mean of a batch."""

    def __init__(self, job: Job, owner: dict[str, Any], batch: int = 1):
        self.job, self.owner, self.batch = job, owner, batch
        shape = (job.panel.replications // batch, job.loop.checkpoints.size, len(job.loop.measures))
        self.values = np.zeros(shape)
        self.finished = np.zeros(shape[0], bool)  # rows
        self.gaps: list[tuple[int, int]] = []  # rows to play: first, end
        rounds = BLOCK * job.panel.horizon * max(1, getattr(job.loop.task, "n_arms", 1) // FEW)
        whole = job.loop.lockstep and rounds <= SAFE
        self.most = max(1, BLOCK // batch) if whole else 1  # rows of the next block
        self.width = BLOCK if whole else 1  # replications of a first call for a batch
        self.alone = bool(registry.protocol(job.panel.protocol).isolated)
        # Whether rows are played in pieces; None while nothing has asked for it.
        self.in_pieces = None if batch == 1 and job.loop.pieces is not None else False
        self.seconds = 0.0  # CPU time
        self.lost: dict[int, int] = {}  # workers lost in a block, by its first row

    def fill(self, kept: dict[int, np.ndarray]) -> int:
        """Take what an earlier run has kept; returns the number of its rows."""
        end = 0
        for first in sorted(kept):
            count = len(kept[first])
            self.values[first : first + count] = kept[first]
            self.finished[first : first + count] = True
            if first > end:
                self.gaps.append((end, first))
            end = first + count
        if end < len(self.values):
            self.gaps.append((end, len(self.values)))
        return sum(map(len, kept.values()))

    def cut(self) -> tuple[int, int]:
        """The next block: first row and number."""
        first, end = self.gaps.pop(0)
        single = self.in_pieces or self.job.loop.alone is not None
        count = 1 if single else min(self.most, end - first)
        if first + count < end:
            self.gaps.insert(0, (first + count, end))
        return first, count

    def took(self, count: int, seconds: float) -> None:
        """Learn from a block of ``count`` rows how many the next may have."""
        most = int(count * min(SECONDS / max(seconds, 1e-9), BLOCK))
        if seconds < 0.8 * SECONDS:  # lanes side by side may cost hardly more than one: try it
            most = max(most, count + 1)
        self.most = 1 if self.alone else max(1, min(most, BLOCK // self.batch))

    def part(self, first: int, count: int, store: Store | None, near: bool = True) -> Part:
        """A block of rows, as it is to be played now; ``near``: on this machine."""
        pieces = bool(self.in_pieces) and count == 1
        part = Part(self.owner, first, count, self.batch, self.width, pieces)
        if self.job.loop.alone is None or self.batch > 1 or not near:
            return part
        keep = str(store.state(self.owner, first)) if store is not None else ""
        return part._replace(keep=keep, tracker=track.packed(track.active()))

    def play(self, first: int, count: int, progress: np.ndarray, store: Store | None) -> float:
        """Fill a block of rows; returns the CPU time in seconds."""
        rows = self.values[first : first + count]
        return play_part(self.job, self.part(first, count, store), rows, progress, store)

    def named(self, error: BaseException) -> BaseException:
        """What a block has raised; for want of memory, in a line that says whose."""
        if not isinstance(error, MemoryError):
            return error
        sizes = ", ".join(
            f"{key}={value}"
            for key, value in getattr(self.job.loop.task, "_asdict", dict)().items()
        )
        return ValueError(f"{self.who}: there is no memory for {sizes}")

    @property
    def who(self) -> str:
        """Whose curve it is, for messages."""
        return f"agent {self.job.agent.label!r} in panel {self.job.panel.name!r}"

    def go_over(self) -> None:
        """Play in pieces from now on, if that can be."""
        if self.in_pieces is None:
            self.in_pieces = pieces.possible(self.job.play)


class Hand:
    """What a thread of the runner plays with: itself. Back ends put others in its place."""

    def ready(self, ended: Callable[[], bool]) -> None:
        """Wait until it can play, or until ``ended()``."""

    def play(
        self, curve: _Curve, first: int, count: int, progress: np.ndarray, store: Store | None
    ) -> float:
        """Fill a block of rows; returns the CPU time in seconds. `Lost` if it cannot any more."""
        return curve.play(first, count, progress, store)

    def close(self) -> None:
        """Give back what it has."""


class _Block:
    """Rows of a curve that a thread plays now."""

    def __init__(self, curve: _Curve, first: int, count: int):
        self.curve, self.first, self.count = curve, first, count
        self.flag = np.zeros(2, np.int64)  # rounds, and what is asked of it
        self.settled = bool(curve.in_pieces) or count > 1  # no question whether to go over
        self.began = time.monotonic()
        self._looks = list(LOOKS)
        self._before = (0.0, 0)  # seconds and rounds at the last look

    def look(self, now: float) -> None:
        """Ask for pieces if the replication promises to take too long.

        It may get slower, so what counts is how far it has come since the last look. One that has
        not come anywhere has until the last of them: it may begin with a log, say.
        """
        curve, seconds, rounds = self.curve, now - self.began, int(self.flag[0])
        if self.settled or curve.in_pieces is False:
            return
        if not self._looks or seconds < self._looks[0]:
            return
        del self._looks[0]
        came, took = rounds - self._before[1], seconds - self._before[0]
        self._before = (seconds, rounds)
        left = (curve.job.panel.horizon - rounds) * took / came if came else math.inf
        if seconds + left > TOO_LONG and (came or not self._looks) and self.flag[1] == 0:
            self.flag[1] = IN_PIECES
            self.settled = True


class Runner:
    """Blocks on workers; values by job; a stop flag that every running block reads.

    ``hand`` is called once in the thread of each worker.
    """

    def __init__(
        self,
        workers: int,
        store: Store | None,
        progress: Progress | None,
        total: int,
        hand: Callable[[], Hand] = Hand,
        most: int = MOST_THREADS,
    ):
        self.store, self.progress, self.total, self._hand = store, progress, total, hand
        self.curves: list[_Curve] = []
        self.what = ""
        self._turn = threading.Condition()  # guards all that follows, and `gaps` and `most`
        self._blocks: list[_Block] = []  # that run now
        self._left = 0  # rows that are not finished
        self._done = 0  # rounds of finished blocks
        self._stopping = False
        self._broken: BaseException | None = None
        self._threads = [
            # Daemons, so that a kernel that does not look at its flag cannot hold the program.
            threading.Thread(target=self._work, daemon=True, name=f"arena-{i}")
            for i in range(min(workers, most))
        ]
        if store is not None:
            watch = threading.Thread(target=self._watch, daemon=True, name="arena-watch")
            self._threads.append(watch)
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job, owner: dict[str, Any], batch: int = 1) -> None:
        """Start the blocks of one curve; those kept from an earlier run are read instead.

        The curve's values are the means of ``batch`` replications each.
        """
        curve = _Curve(job, owner, batch)
        kept = self.store.blocks(owner, curve.values.shape) if self.store else {}
        found = curve.fill(kept)
        if self.store is not None and batch == 1 and self.store.under_way(owner):
            curve.go_over()
        self.what = f"{job.panel.name}: {job.agent.label}"
        with self._turn:
            self.curves.append(curve)
            self._left += len(curve.values) - found
            self._done += found * batch * job.panel.horizon
            self._turn.notify_all()
        self.collect(timeout=0.0)

    def values(self, i: int) -> np.ndarray:
        """Totals (rows, checkpoints, measures) of the i-th job that was submitted."""
        return self.curves[i].values

    def collect(self, timeout: float) -> None:
        """Wait until all is finished, ``timeout`` seconds at most; tell how far it is."""
        with self._turn:
            self._turn.wait_for(lambda: self._broken or self._left == 0, timeout)
            if self._broken is not None:
                raise self._broken
            done = self._done + sum(int(block.flag[0]) for block in self._blocks)
            if self._blocks:
                job = self._blocks[0].curve.job
                self.what = f"{job.panel.name}: {job.agent.label}"
        if self.progress is not None:
            self.progress(self.what, min(done, self.total), self.total)

    def drain(self) -> None:
        """Wait for everything."""
        while self._left:
            self.collect(timeout=0.2)

    def stop(self) -> None:
        """End what runs within PATIENCE and keep what is finished. For any thread."""
        with self._turn:
            self._stopping = True
            for block in self._blocks:
                block.flag[1] = STOP
            self._turn.notify_all()
        deadline = time.monotonic() + PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        """What every thread does."""
        curve = None
        try:
            with closing(self._hand()) as hand:
                while True:
                    hand.ready(self._over)
                    if (block := self._next()) is None:
                        return
                    curve = block.curve
                    try:
                        seconds = self._play(hand, block)
                    except Lost as why:
                        self._give_back(block, why)
                        continue
                    if not self._took(block, seconds):
                        return
        except BaseException as error:  # the main thread raises it
            with self._turn:
                self._broken = self._broken or (curve.named(error) if curve else error)
                self._turn.notify_all()

    def _over(self) -> bool:
        """Whether nothing more is to be played."""
        return self._stopping or self._broken is not None

    def _play(self, hand: Hand, block: _Block) -> float:
        curve, first, count = block.curve, block.first, block.count
        seconds = hand.play(curve, first, count, block.flag, self.store)
        if self._goes_over(block):
            curve.go_over()
            seconds = hand.play(curve, first, count, block.flag, self.store)
        return seconds

    def _took(self, block: _Block, seconds: float) -> bool:
        """Keep a block that was played; False where it was stopped, perhaps before its end."""
        curve, first, count = block.curve, block.first, block.count
        took = time.monotonic() - block.began
        with self._turn:
            self._blocks.remove(block)
            if self._stopping:
                return False
            curve.took(count, took)
            curve.seconds += seconds
            self._done += count * curve.batch * curve.job.panel.horizon
        if self.store is not None:
            self.store.add(curve.owner, first, curve.values[first : first + count])
            if took >= LONG:
                self.store.settle()
        with self._turn:
            curve.finished[first : first + count] = True
            self._left -= count
            if self._left == 0:
                self._turn.notify_all()
        return True

    def _give_back(self, block: _Block, why: Lost) -> None:
        """Have a block played again by whoever comes first; ValueError once too often."""
        curve, first = block.curve, block.first
        replications = f"{first * curve.batch} to {(first + block.count) * curve.batch - 1}"
        with self._turn:
            self._blocks.remove(block)
            if self._over():
                return
            curve.lost[first] = tries = curve.lost.get(first, 0) + 1
            curve.gaps.insert(0, (first, first + block.count))
            curve.most = max(1, block.count // 2)  # what was too much for it may fit in halves
            self._turn.notify_all()
        line = f"{curve.who}, replications {replications}: {why}"
        if tries >= TRIES:
            raise ValueError(f"{line}; so it went {tries} times, on one worker after the other")
        print(f"{line}; played again by another", file=sys.stderr)

    def _goes_over(self, block: _Block) -> bool:
        """Whether a block was stopped only to be played in pieces."""
        with self._turn:
            if block.flag[1] != IN_PIECES or self._stopping:
                return False
            block.flag[:] = 0
            return True

    def _watch(self) -> None:
        """Look now and then whether what is played is long."""
        with self._turn:
            while not self._stopping and self._broken is None:
                for block in self._blocks:
                    block.look(time.monotonic())
                self._turn.wait(LOOKS[0] / 4)

    def _next(self) -> _Block | None:
        """The next block of the first curve that has one; waits for one; None to stop."""
        with self._turn:
            while not self._stopping and self._broken is None:
                for curve in self.curves:
                    if curve.gaps:
                        block = _Block(curve, *curve.cut())
                        self._blocks.append(block)
                        return block
                self._turn.wait()
            return None
