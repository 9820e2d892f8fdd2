"""Plays the blocks of jobs on threads, keeps what is finished, and stops when asked to.

The unit of work is a block of replications of one job: one call of a compiled pair, which releases
Python's lock. Replication r draws from streams that depend on the seed and on r alone, so neither
the number of workers nor the size of a block can change a bit of the result.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from banditlab.arena.jobs import Job

BLOCK = 64

Progress = Callable[[str, int, int], None]  # what is under way, rounds done, rounds in all


class Interrupted(Exception):
    """Ctrl-C: what was finished is kept."""


def run_block(job: Job, first: int, count: int, progress: np.ndarray) -> tuple[np.ndarray, float]:
    record = np.zeros((count, job.loop.checkpoints.size, len(job.loop.measures)))
    began = time.thread_time()
    with np.errstate(all="ignore"):  # plain Python wraps uint64 aloud; the streams mean it
        loop = job.loop
        job.pair(loop.task, job.key, first, loop.log_rounds, loop.checkpoints, progress, record)
    return record, time.thread_time() - began


def block_file(folder: Path, job: Job, first: int, count: int) -> Path:
    loop = job.loop
    facts = (job.pair.name, job.pair.data, loop.task, loop.log_rounds, loop.checkpoints, job.key)
    digest = hashlib.sha256(repr(facts).encode() + loop.checkpoints.tobytes())
    for value in _arrays(job.pair.data):
        digest.update(value.tobytes())
    return folder / f"{digest.hexdigest()[:24]}-{first}-{count}.npy"


def _arrays(value: Any) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, tuple | list):
        return [array for item in value for array in _arrays(item)]
    return []


def keep_block(path: Path, record: np.ndarray) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        np.save(file, record)
    os.replace(file.name, path)


class Runner:
    """Blocks on threads; results by job; a stop flag that every running block reads."""

    def __init__(self, workers: int, keep: Path | None, progress: Progress | None, total: int):
        self.pool = ThreadPoolExecutor(workers, thread_name_prefix="arena")
        self.keep, self.progress, self.total = keep, progress, total
        self.blocks: list[dict[int, np.ndarray]] = []
        self.seconds: list[float] = []
        self.waiting: dict[Future, tuple[int, int, int, np.ndarray, Path | None]] = {}
        self.done = 0  # rounds of finished blocks
        self.kept = 0  # blocks
        self.what = ""

    def submit(self, job: Job) -> None:
        """Start the blocks of one curve; those kept from an earlier run are read instead."""
        self.blocks.append({})
        self.seconds.append(0.0)
        i = len(self.blocks) - 1
        self.what = f"{job.panel.name}: {job.agent.label}"
        for first in range(0, job.panel.replications, BLOCK):
            count = min(BLOCK, job.panel.replications - first)
            rounds = count * job.panel.horizon
            path = block_file(self.keep, job, first, count) if self.keep else None
            if path is not None and path.exists():
                self.blocks[i][first] = np.load(path)
                self.done += rounds
                continue
            flag = np.zeros(2, np.int64)
            future = self.pool.submit(run_block, job, first, count, flag)
            self.waiting[future] = (i, first, rounds, flag, path)
        self.collect(timeout=0)

    def collect(self, timeout: float | None) -> None:
        """Take in what has finished within ``timeout`` seconds."""
        finished, _ = wait(self.waiting, timeout, return_when=FIRST_COMPLETED)
        for future in finished:
            i, first, rounds, _, path = self.waiting.pop(future)
            record, seconds = future.result()
            self.blocks[i][first] = record
            self.seconds[i] += seconds
            self.done += rounds
            if path is not None:
                keep_block(path, record)
                self.kept += 1
        if self.progress is not None:
            under_way = sum(int(entry[3][0]) for entry in self.waiting.values())
            self.progress(self.what, min(self.done + under_way, self.total), self.total)

    def drain(self) -> None:
        """Wait for everything."""
        while self.waiting:
            self.collect(timeout=0.2)

    def stop(self) -> str:
        """End what runs, keep what is finished, and say so."""
        total = self.kept + len(self.waiting)
        for future, (_, _, _, flag, _) in self.waiting.items():
            future.cancel()
            flag[1] = 1
        self.pool.shutdown(wait=True, cancel_futures=True)
        if self.keep is None:
            return "interrupted; nothing was written"
        return f"interrupted; {self.kept} of {total} blocks kept"

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()
