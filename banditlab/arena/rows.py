"""Plays some rows of a curve, each a replication or the mean of a batch: what every worker does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from banditlab.arena import pieces
from banditlab.arena.pieces import Keeper
from banditlab.arena.store import digest_of
from banditlab.protocols.base import Aside

if TYPE_CHECKING:
    from banditlab.arena.jobs import Job
    from banditlab.arena.store import Store

BLOCK = 64  # rows that are played together, at most
SECONDS = 5.0  # of a block: what a run loses when it is killed


class Part(NamedTuple):
    """Rows of a curve that are played together, and how."""

    owner: dict[str, Any]
    first: int  # row
    rows: int
    batch: int  # replications of which a row is the mean
    width: int  # of a first call for a batch
    in_pieces: bool
    keep: str = ""  # where a process of its own keeps its state
    tracker: str = ""  # whom it tells of itself


def run_block(job: Job, first: int, record: np.ndarray, progress: np.ndarray) -> float:
    """Fill ``record`` (replications, checkpoints, measures); returns the CPU time in seconds.

    ``progress`` (2,) int64 counts rounds and takes the wish to stop, see online.run_block.
    """
    began = time.thread_time()
    job.play(first, record, progress)
    return time.thread_time() - began


def play_part(
    job: Job, part: Part, rows: np.ndarray, progress: np.ndarray, store: Store | None
) -> float:
    """Fill ``rows`` (rows, checkpoints, measures); returns the CPU time in seconds.

    Of one row that takes long, what is finished is kept in the store meanwhile.
    """
    keeper = Keeper(store if part.rows == 1 else None, part.owner, part.first)
    if part.batch > 1:
        return _means(job, part, rows, progress, keeper)
    if job.loop.alone is not None:
        owner = part.owner
        who = ", ".join(word for word in (owner["agent"], owner["cell"]) if word)
        run = f"{owner['panel']}/{who.replace('/', '_')}/replication {part.first}"
        aside = Aside(part.keep, digest_of(owner), part.tracker, run if part.tracker else "")
        return job.play.alone(part.first, rows[0], progress, aside)
    if part.in_pieces:
        return pieces.play(job.play, part.first, rows[0], progress, keeper)
    return run_block(job, part.first, rows, progress)


def _means(job: Job, part: Part, rows: np.ndarray, progress: np.ndarray, keeper: Keeper) -> float:
    """Fill rows with means of batches of replications."""
    batch, width, seconds = part.batch, part.width, 0.0
    first = part.first * batch  # replication
    done, totals = np.zeros(1, np.int64), np.zeros(rows.shape)
    keeper.fill([done, totals])
    while (start := int(done[0])) < len(rows) * batch:
        progress[0] = start * job.panel.horizon
        record = np.zeros((min(width, len(rows) * batch - start), *rows.shape[1:]))
        took = run_block(job, first + start, record, progress)
        if stopped := bool(progress[1] != 0):
            record = record[:0]
        for i, replication in enumerate(record, start):  # one by one: no cut changes a bit
            totals[i // batch] += replication
        done[0] = start + len(record)
        keeper.keep([done, totals], now=stopped)
        if stopped:
            break
        seconds += took
        width = min(2 * width, BLOCK) if took < SECONDS / 8 else width
    rows[:] = totals / batch
    return seconds
