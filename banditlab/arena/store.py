"""The run store: a folder of finished blocks, from which an interrupted run goes on.

A block is the totals of some replications of one curve, each its own row, or a row for each batch
of them (:mod:`banditlab.arena.memory`). It is a file of its own, written aside and renamed, that
says what it belongs to and carries a checksum, see :mod:`banditlab.arena.sealed`.

Nothing is believed but a whole block whose owner is the one that asks, to the letter: a block that
is damaged, or of other data, another seed or other code, is named in one line, taken away, and
computed anew. Blocks of other arenas are never touched. Where blocks begin and end decides nothing,
for replication r draws from streams of the seed and of r alone.

A row that takes long is kept while it is under way, too (:mod:`banditlab.arena.pieces`), in a file
that is replaced every few seconds and goes when the row is finished. So is one that has a process
of its own, which writes that file itself.

One file, though long: who writes, believes and deletes the files of a run is decided in one place.

One process at a time works in a store. Its lock is the operating system's, so it ends with the
process, however that ends. Threads may share the store: `add` collects what is finished and writes
it in few files, none of it later than SECONDS after it was finished and something else was.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

import banditlab
from banditlab.arena.lock import LOCK, Lock
from banditlab.arena.sealed import Damaged, pack, pack_row, unpack, unpack_row
from banditlab.data import atomic

if TYPE_CHECKING:
    from banditlab.arena.jobs import Job

SECONDS = 2.0  # for which a finished block may wait for others to be written with
SHARE = 0.1  # of the time that may go into writing; of many workers, blocks then wait longer
LARGEST_OWNER = 1 << 20  # bytes; no owner is that long
LARGEST_ROW = 1 << 32  # bytes of a row under way that is handed to a worker elsewhere

BLOCK = re.compile(r"([0-9a-f]{12})-([0-9]{5,9})-([0-9]{1,18})-([0-9]{1,18})\.block")
ROW = re.compile(r"([0-9a-f]{12})-([0-9]{5,9})-([0-9]{1,18})\.row")
STATE = re.compile(r"([0-9a-f]{12})-([0-9]{5,9})-([0-9]{1,18})\.state")


def owner(
    job: Job, arena: str, seed: int, curve: int, cell: str = "", batch: int = 1
) -> dict[str, Any]:
    """What the blocks of a job belong to: plain data, equal only if all that decides numbers is.

    ``curve`` counts the jobs of the arena whose hash is ``arena``, ``cell`` says which values of
    its sweep the job has, a row is the mean of ``batch`` replications.
    """
    loop = job.loop
    return {
        "arena": arena,
        "curve": curve,
        "panel": job.panel.name,
        "cell": cell,
        "problem": job.panel.problem.name,
        "agent": job.agent.label,
        "seed": seed,
        "batch": batch,
        "measures": list(loop.measures),
        "code": [made.name for made in job.play.pairs],
        "data": digest(facts(job)),
        "versions": {
            "python": platform.python_version(),
            **{package.__name__: package.__version__ for package in (banditlab, np, numba)},
        },
    }


def facts(job: Job) -> tuple[Any, ...]:
    """The data that decide the numbers of a job, beside its code."""
    given, loop = tuple(made.data for made in job.play.pairs), job.loop
    return given, loop.task, loop.log_rounds, loop.checkpoints, job.play.key


def digest(value: Any) -> str:
    """SHA-256 of nested tuples of arrays and numbers: types, shapes and every byte."""
    found = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, np.ndarray):
            found.update(f"{value.dtype.str}{value.shape}".encode() + value.tobytes())
        elif isinstance(value, tuple | list):
            found.update(f"{type(value).__name__}[{len(value)}".encode())
            for item in value:
                add(item)
        else:
            found.update(f"{type(value).__name__} {value!r};".encode())

    add(value)
    return found.hexdigest()


def digest_of(owner: Mapping[str, Any]) -> str:
    """An owner in few letters, for files that are not ours to seal."""
    return digest([[key, owner[key]] for key in sorted(owner)])


class Store:
    """The blocks of one run of an arena, in a folder that is locked while the store is open.

    Parameters
    ----------
    folder
        Made if it does not exist. Nothing else may be kept there.
    arena
        The hash of the arena that runs.
    resume
        Whether blocks that the same arena has left are used; else `begin` deletes them.
    say
        Called with one line for each block that is not believed.

    Raises
    ------
    ValueError
        In one line, where the folder is a symbolic link, holds what is no block, cannot be
        written, or is in use by another process.
    """

    def __init__(
        self,
        folder: str | Path,
        arena: str,
        resume: bool = True,
        say: Callable[[str], None] | None = None,
    ):
        self.folder, self.arena, self.resume = Path(folder), arena, resume
        self.say = say or (lambda line: print(line, file=sys.stderr))
        self.replications = 0  # in all curves, once that is known
        self.grows = False  # whether replications may be added, so that more may be kept than asked
        self.batches: Sequence[int] = ()  # of how many replications each curve's rows are means
        self.files: dict[int, list[tuple[int, int, Path]]] = {}  # curve -> first, count, path
        self.rows: dict[int, dict[int, Path]] = {}  # curve -> row under way -> path
        self._states: dict[tuple[int, int], Path] = {}  # curve and row -> what a process keeps
        self._waiting: dict[int, _Waiting] = {}  # curve -> what is finished and not yet written
        self._guard = threading.RLock()
        self._writing = threading.Lock()  # taken before the guard
        self._wrote = (-float("inf"), 0.0)  # when that ended last, and the seconds that it took
        self._begun = False
        self._lock = Lock(self.folder)
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def _look(self) -> None:
        atomic.sweep(self.folder)  # the lock is ours, so whoever wrote there is gone
        for entry in sorted(os.scandir(self.folder), key=lambda entry: entry.name):
            match = _match(entry.name)
            plain = entry.is_file(follow_symlinks=False)
            if not plain or not (match or entry.name == LOCK):
                what = "no file of its own" if match else "no block of a run"
                raise ValueError(
                    f"the store {self.folder} holds {entry.name!r}, which is {what}: move it away"
                )
            if not match or match[1] != self.arena or match.re is STATE:
                continue
            if match.re is ROW:
                self.rows.setdefault(int(match[2]), {})[int(match[3])] = Path(entry.path)
            else:
                first, count = int(match[3]), int(match[4])
                self.files.setdefault(int(match[2]), []).append((first, count, Path(entry.path)))

    def begin(self, replications: int = 0, batches: Sequence[int] = ()) -> None:
        """Called when the arena is sure to run: without ``resume``, delete what it has left.

        How many ``replications`` all curves will have, and of how many each row of a curve is the
        mean (of one by default), are what `summary` then says.
        """
        self.replications, self.batches = replications, batches
        if not self.resume:
            self._delete()
        self._begun = True

    def again(self) -> None:
        """Called when the same curves are about to be run with more replications."""
        with self._guard:
            self.flush()
            self.resume, self.files, self.rows = True, {}, {}
            self._look()

    def blocks(
        self, owner: Mapping[str, Any], shape: tuple[int, int, int]
    ) -> dict[int, np.ndarray]:
        """What is kept of a curve of ``shape`` (rows, checkpoints, measures).

        By first row; no two blocks overlap. Whatever is not believed is named and deleted.
        """
        kept = self.files.pop(owner["curve"], [])
        found: dict[int, np.ndarray] = {}
        end = 0  # of the rows found so far
        for first, count, path in sorted(kept, key=lambda block: (block[0], -block[1])):
            if self.grows and first >= shape[0]:
                continue
            try:
                if first + count > shape[0] or count == 0:
                    raise Damaged("it is of replications that the run does not have")
                values = unpack(_read(path, count * shape[1] * shape[2] * 8), owner, first,
                                (count, *shape[1:]))  # fmt: skip
            except Damaged as why:
                self._drop(path, why)
                continue
            if first >= end:
                found[first] = values
                end = first + count
        for row, path in list(self.rows.get(owner["curve"], {}).items()):
            if self.grows and row >= shape[0]:
                continue
            if row >= shape[0]:
                self._drop(path, Damaged("it is of a row that the run does not have"))
            if row >= shape[0] or any(first <= row < first + len(found[first]) for first in found):
                self._forget(owner["curve"], row)
        return found

    def _drop(self, path: Path, why: Damaged) -> None:
        self.say(f"{path.name} in {path.parent} is not used, for {why}: computed anew")
        with suppress(OSError):
            path.unlink()

    def under_way(self, owner: Mapping[str, Any]) -> bool:
        """Whether a row of the curve is kept that is not finished."""
        return bool(self.rows.get(owner["curve"]))

    def fill(self, owner: Mapping[str, Any], row: int, arrays: Sequence[np.ndarray]) -> bool:
        """Fill the arrays as `keep` left them; whether there was something to believe.

        What is not believed is named and deleted. For any thread.
        """
        with self._guard:
            path = self.rows.get(owner["curve"], {}).get(row)
            if path is None:
                return False
            try:
                size = sum(array.nbytes for array in arrays)
                unpack_row(_read(path, size), owner, row, arrays)
            except Damaged as why:
                self.refuse(owner, row, why)
                return False
            return True

    def keep(self, owner: Mapping[str, Any], row: int, arrays: Sequence[np.ndarray]) -> None:
        """Write how far a row under way is, in place of what was kept of it. For any thread.

        OSError where it cannot be written.
        """
        self.keep_packed(owner, row, pack_row(owner, row, arrays))

    def keep_packed(self, owner: Mapping[str, Any], row: int, data: bytes) -> None:
        """`keep`, for what a worker elsewhere has packed already."""
        path = self.folder / f"{self.arena}-{owner['curve']:05d}-{row}.row"
        atomic.write_bytes(path, data)
        with self._guard:
            self.rows.setdefault(owner["curve"], {})[row] = path

    def packed(self, owner: Mapping[str, Any], row: int) -> bytes | None:
        """What is kept of a row under way, as it stands on the disk, for a worker elsewhere."""
        with self._guard:
            path = self.rows.get(owner["curve"], {}).get(row)
            if path is None:
                return None
            try:
                return _read(path, LARGEST_ROW)
            except Damaged as why:
                self.refuse(owner, row, why)
                return None

    def refuse(self, owner: Mapping[str, Any], row: int, why: Damaged) -> None:
        """Name and delete what is kept of a row under way and not believed. For any thread."""
        with self._guard:
            path = self.rows.get(owner["curve"], {}).get(row)
            if path is not None:
                self._drop(path, why)
                self._forget(owner["curve"], row)

    def state(self, owner: Mapping[str, Any], row: int) -> Path:
        """The file in which a process keeps the row that it plays; gone when that is finished."""
        path = self.folder.resolve() / f"{self.arena}-{owner['curve']:05d}-{row}.state"
        with self._guard:
            self._states[owner["curve"], row] = path
        return path

    def _forget(self, curve: int, row: int) -> None:
        self.rows[curve].pop(row).unlink(missing_ok=True)

    def add(self, owner: Mapping[str, Any], first: int, values: np.ndarray) -> None:
        """Take a finished block; it is written with its neighbours before long. For any thread.

        ``values`` (rows, checkpoints, measures) must not change hereafter.
        OSError where it cannot be written.
        """
        with self._guard:
            waiting = self._waiting.setdefault(owner["curve"], _Waiting(dict(owner)))
            waiting.blocks[first] = values
            state = self._states.pop((owner["curve"], first), None)
            long = self.rows.get(owner["curve"], {}).keys() & range(first, first + len(values))
            now, since = time.monotonic(), min(x.since for x in self._waiting.values())
        late = now - since >= SECONDS and self._may_write()
        if long or state is not None or late:
            self.flush()
        with self._guard:
            for row in long:  # now that it is written as finished
                self._forget(owner["curve"], row)
            if state is not None:
                state.unlink(missing_ok=True)

    def settle(self) -> None:
        """Write what waits, unless writing takes too much of the time. For any thread."""
        if self._may_write():
            self.flush()

    def _may_write(self) -> bool:
        ended, took = self._wrote
        return not self._writing.locked() and time.monotonic() - ended >= took / SHARE

    def flush(self) -> None:
        """Write what waits, neighbouring blocks in one file; OSError, once, where that fails."""
        with self._writing:
            with self._guard:
                waiting, self._waiting = self._waiting, {}
            began = time.monotonic()
            for curve, finished in waiting.items():
                for first, values in _merged(finished.blocks):
                    name = f"{self.arena}-{curve:05d}-{first}-{len(values)}.block"
                    atomic.write_bytes(self.folder / name, pack(finished.owner, first, values))
            if waiting:
                self._wrote = time.monotonic(), time.monotonic() - began

    def summary(self) -> str:
        """What the run has kept so far, in words; empty if nothing."""
        blocks = replications = rows = 0
        for name in os.listdir(self.folder):
            match = _match(name)
            if match and match[1] == self.arena:
                if match.re is not BLOCK:
                    rows += 1
                    continue
                blocks += 1
                curve = int(match[2])
                batch = self.batches[curve] if curve < len(self.batches) else 1
                replications += batch * int(match[4])
        if not blocks and not rows:
            return ""
        share = f" of {self.replications:,}" if self.replications else ""
        more = f" and {rows} under way" if rows else ""
        said = f"blocks kept: {blocks}, with {replications:,}{share} replications{more}"
        return f"{said}, in {self.folder}"

    def discard(self) -> None:
        """Delete what the run has left: its curves are saved, or not wanted."""
        with self._writing, self._guard:
            self._waiting = {}
            self._delete()

    def _delete(self) -> None:
        for kind in ("block", "row", "state"):
            for path in self.folder.glob(f"{self.arena}-*.{kind}"):
                path.unlink(missing_ok=True)
        self.files, self.rows = {}, {}

    def close(self) -> None:
        """Write what waits, unlock, and remove the folder if nothing is kept there."""
        try:
            self.flush()
        finally:
            self._lock.release()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        with suppress(OSError):  # what went wrong first is what is told
            self.close()


def _match(name: str) -> re.Match[str] | None:
    """What a file of a run says by its name; None for one that is none."""
    return BLOCK.fullmatch(name) or ROW.fullmatch(name) or STATE.fullmatch(name)


class _Waiting:
    """Finished blocks of one curve."""

    def __init__(self, owner: dict[str, Any]):
        self.owner, self.since = owner, time.monotonic()
        self.blocks: dict[int, np.ndarray] = {}


def _merged(blocks: Mapping[int, np.ndarray]) -> list[tuple[int, np.ndarray]]:
    """Blocks by first replication, with neighbours joined."""
    runs: list[list[int]] = []
    for first in sorted(blocks):
        if runs and runs[-1][-1] + len(blocks[runs[-1][-1]]) == first:
            runs[-1].append(first)
        else:
            runs.append([first])
    return [(run[0], np.concatenate([blocks[first] for first in run])) for run in runs]


def _read(path: Path, payload: int) -> bytes:
    """A file's bytes; `Damaged` if it cannot be read, or is too long to be worth it."""
    try:
        if path.stat().st_size > payload + LARGEST_OWNER:
            raise Damaged("it is too long")
        return path.read_bytes()
    except OSError as error:
        raise Damaged(f"it cannot be read ({error.strerror})") from None
