"""Plays the blocks of jobs on threads, keeps what is finished, and stops when asked to.

The unit of work is a block of replications of one job: one call of a compiled pair, which releases
Python's lock. Replication r draws from streams that depend on the seed and on r alone, so neither
the number of workers nor the size of a block can change a bit of the result. Blocks are therefore
cut by the clock: the first is one replication, and a later one as many as would end within SECONDS
if they took as long as those before, at most BLOCK. Lanes, of which 64 cost hardly more than one,
start as a whole block where that is surely short enough.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from banditlab.arena.jobs import Job
from banditlab.arena.store import Store

BLOCK = 64
SECONDS = 5.0  # of a block: what a run loses when it is killed
SAFE = 6 * 10**7  # rounds that lanes play within SECONDS on any machine of today
PATIENCE = 1.0  # seconds that blocks have to end in; kernels look at their flag more often
MOST_THREADS = max(64, os.cpu_count() or 1)  # more find nothing to do, and take memory

Progress = Callable[[str, int, int], None]  # what is under way, rounds done, rounds in all


class Interrupted(Exception):
    """Ctrl-C: what was finished is kept."""


def run_block(job: Job, first: int, record: np.ndarray, progress: np.ndarray) -> float:
    """Fill ``record`` (replications, checkpoints, measures); returns the CPU time in seconds.

    ``progress`` (2,) int64 counts rounds and takes the wish to stop, see online.run_block.
    """
    began = time.thread_time()
    job.play(first, record, progress)
    return time.thread_time() - began


class _Curve:
    """A job under way. Each row of its values is one replication, or the mean of a batch."""

    def __init__(self, job: Job, owner: dict[str, Any], batch: int = 1):
        self.job, self.owner, self.batch = job, owner, batch
        shape = (job.panel.replications // batch, job.loop.checkpoints.size, len(job.loop.measures))
        self.values = np.zeros(shape)
        self.gaps: list[tuple[int, int]] = []  # rows to play: first, end
        rounds = BLOCK * job.panel.horizon
        whole = job.loop.lockstep and rounds <= SAFE
        self.most = max(1, BLOCK // batch) if whole else 1  # rows of the next block
        self.seconds = 0.0  # CPU time

    def fill(self, kept: dict[int, np.ndarray]) -> int:
        """Take what an earlier run has kept; returns the number of its rows."""
        end = 0
        for first in sorted(kept):
            count = len(kept[first])
            self.values[first : first + count] = kept[first]
            if first > end:
                self.gaps.append((end, first))
            end = first + count
        if end < len(self.values):
            self.gaps.append((end, len(self.values)))
        return sum(map(len, kept.values()))

    def cut(self) -> tuple[int, int]:
        """The next block: first row and number."""
        first, end = self.gaps.pop(0)
        count = min(self.most, end - first)
        if first + count < end:
            self.gaps.insert(0, (first + count, end))
        return first, count

    def took(self, count: int, seconds: float) -> None:
        """Learn from a block of ``count`` rows how many the next may have."""
        most = int(count * min(SECONDS / max(seconds, 1e-9), BLOCK))
        if seconds < 0.8 * SECONDS:  # lanes side by side may cost hardly more than one: try it
            most = max(most, count + 1)
        self.most = max(1, min(most, BLOCK // self.batch))

    def play(self, first: int, count: int, progress: np.ndarray) -> float:
        """Fill a block of rows; returns the CPU time in seconds."""
        rows, batch = self.values[first : first + count], self.batch
        if batch == 1:
            return run_block(self.job, first, rows, progress)
        seconds = 0.0
        totals = np.zeros((count, *rows.shape[1:]))
        for start in range(0, count * batch, BLOCK):
            record = np.zeros((min(BLOCK, count * batch - start), *rows.shape[1:]))
            seconds += run_block(self.job, first * batch + start, record, progress)
            if progress[1] != 0:
                break
            for i, replication in enumerate(record, start):  # one by one: no cut changes a bit
                totals[i // batch] += replication
        rows[:] = totals / batch
        return seconds


class Runner:
    """Blocks on threads; values by job; a stop flag that every running block reads."""

    def __init__(self, workers: int, store: Store | None, progress: Progress | None, total: int):
        self.store, self.progress, self.total = store, progress, total
        self.curves: list[_Curve] = []
        self.what = ""
        self._turn = threading.Condition()  # guards all that follows, and `gaps` and `most`
        self._flags: list[np.ndarray] = []  # of the blocks that run now
        self._left = 0  # rows that are not finished
        self._done = 0  # rounds of finished blocks
        self._stopping = False
        self._broken: BaseException | None = None
        self._threads = [
            # Daemons, so that a kernel that does not look at its flag cannot hold the program.
            threading.Thread(target=self._work, daemon=True, name=f"arena-{i}")
            for i in range(min(workers, MOST_THREADS))
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job, owner: dict[str, Any], batch: int = 1) -> None:
        """Start the blocks of one curve; those kept from an earlier run are read instead.

        The curve's values are the means of ``batch`` replications each.
        """
        curve = _Curve(job, owner, batch)
        kept = self.store.blocks(owner, curve.values.shape) if self.store else {}
        found = curve.fill(kept)
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
            done = self._done + sum(int(flag[0]) for flag in self._flags)
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
            for flag in self._flags:
                flag[1] = 1
            self._turn.notify_all()
        deadline = time.monotonic() + PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        """What every thread does."""
        while (block := self._next()) is not None:
            curve, first, count, flag = block
            began = time.monotonic()
            try:
                seconds = curve.play(first, count, flag)
                with self._turn:
                    self._flags = [other for other in self._flags if other is not flag]
                    if self._stopping:  # the block may have ended before its last round
                        return
                    curve.took(count, time.monotonic() - began)
                    curve.seconds += seconds
                    self._done += count * curve.batch * curve.job.panel.horizon
                if self.store is not None:
                    self.store.add(curve.owner, first, curve.values[first : first + count])
                with self._turn:
                    self._left -= count
                    if self._left == 0:
                        self._turn.notify_all()
            except BaseException as error:  # the main thread raises it
                with self._turn:
                    self._broken = self._broken or error
                    self._turn.notify_all()
                return

    def _next(self) -> tuple[_Curve, int, int, np.ndarray] | None:
        """The next block of the first curve that has one; waits for one; None to stop."""
        with self._turn:
            while not self._stopping and self._broken is None:
                for curve in self.curves:
                    if curve.gaps:
                        flag = np.zeros(2, np.int64)
                        self._flags.append(flag)
                        return (curve, *curve.cut(), flag)
                self._turn.wait()
            return None
