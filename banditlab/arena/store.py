"""The run store: a folder of finished blocks, from which an interrupted run goes on.

A block is the totals of some replications of one curve, each its own row, or a row for each batch
of them (:mod:`banditlab.arena.memory`). It is a file of its own, written aside and renamed, that
says what it belongs to and carries a checksum::

    banditlab block 1                         what the file is, and its layout
    <sha-256 of all that follows>
    {"arena": ..., "curve": ..., ...}         one line of JSON: its owner (see `owner`), then
                                              first row, shape
    float64, little-endian, in C order        (rows, checkpoints, measures)

Nothing is believed but a whole block whose owner is the one that asks, to the letter: a block that
is damaged, or of other data, another seed or other code, is named in one line, taken away, and
computed anew. Blocks of other arenas are never touched. Where blocks begin and end decides nothing,
for replication r draws from streams of the seed and of r alone.

One process at a time works in a store. Its lock is the operating system's, so it ends with the
process, however that ends. Threads may share the store: `add` collects what is finished and writes
it in few files, none of it later than SECONDS after it was finished and something else was.
"""

from __future__ import annotations

import hashlib
import itertools
import json
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
from banditlab.data import atomic

if TYPE_CHECKING:
    from banditlab.arena.jobs import Job

TITLE = b"banditlab block 1\n"
DIGITS = 64  # of a SHA-256
SECONDS = 2.0  # for which a finished block may wait for others to be written with
LARGEST_OWNER = 1 << 20  # bytes; no owner is that long

BLOCK = re.compile(r"([0-9a-f]{12})-([0-9]{5,9})-([0-9]{1,18})-([0-9]{1,18})\.block")
LOCK = "lock"


class Damaged(Exception):
    """Why a block is not believed."""


def owner(
    job: Job, arena: str, seed: int, curve: int, cell: str = "", batch: int = 1
) -> dict[str, Any]:
    """What the blocks of a job belong to: plain data, equal only if all that decides numbers is.

    ``curve`` counts the jobs of the arena whose hash is ``arena``, ``cell`` says which values of
    its sweep the job has, a row is the mean of ``batch`` replications.
    """
    loop = job.loop
    given = tuple(made.data for made in job.play.pairs)
    facts = (given, loop.task, loop.log_rounds, loop.checkpoints, job.play.key)
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
        "data": digest(facts),
        "versions": {
            "python": platform.python_version(),
            **{package.__name__: package.__version__ for package in (banditlab, np, numba)},
        },
    }


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


def pack(owner: Mapping[str, Any], first: int, values: np.ndarray) -> bytes:
    """A block as the bytes of its file."""
    header = {**owner, "first": first, "shape": list(values.shape)}
    body = json.dumps(header).encode() + b"\n" + values.astype("<f8", order="C").tobytes()
    return TITLE + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def unpack(data: bytes, owner: Mapping[str, Any], first: int, shape: tuple[int, ...]) -> np.ndarray:
    """The values of a block; `Damaged` unless it is whole and what was asked for."""
    if not data.startswith(TITLE):
        raise Damaged("it is no block")
    start = len(TITLE) + DIGITS + 1
    body = data[start:]
    if data[len(TITLE) : start] != hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise Damaged("its checksum is wrong")
    line, _, payload = body.partition(b"\n")
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):  # not JSON, or not UTF-8
        header = None
    if not isinstance(header, dict):
        raise Damaged("its header cannot be read")
    asked = json.loads(json.dumps({**owner, "first": first, "shape": shape}))
    for key in (*asked, *header):
        if key not in asked or header.get(key) != asked[key]:
            raise Damaged(f"it is of another {key}")
    if len(payload) != 8 * int(np.prod(shape)):
        raise Damaged("its values do not fit its shape")
    return np.frombuffer(payload, "<f8").astype(np.float64).reshape(shape)


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
        self.batches: Sequence[int] = ()  # of how many replications each curve's rows are means
        self.files: dict[int, list[tuple[int, int, Path]]] = {}  # curve -> first, count, path
        self._waiting: dict[int, _Waiting] = {}  # curve -> what is finished and not yet written
        self._guard = threading.RLock()
        self._begun = False
        self._lock = _Lock(self.folder)
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def _look(self) -> None:
        atomic.sweep(self.folder)  # the lock is ours, so whoever wrote there is gone
        for entry in sorted(os.scandir(self.folder), key=lambda entry: entry.name):
            match = BLOCK.fullmatch(entry.name)
            plain = entry.is_file(follow_symlinks=False)
            if not plain or not (match or entry.name == LOCK):
                what = "no file of its own" if match else "no block of a run"
                raise ValueError(
                    f"the store {self.folder} holds {entry.name!r}, which is {what}: move it away"
                )
            if match and match[1] == self.arena:
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
            try:
                if first + count > shape[0] or count == 0:
                    raise Damaged("it is of replications that the run does not have")
                values = unpack(_read(path, count * shape[1] * shape[2] * 8), owner, first,
                                (count, *shape[1:]))  # fmt: skip
            except Damaged as why:
                self.say(f"{path.name} in {path.parent} is not used, for {why}: computed anew")
                with suppress(OSError):
                    path.unlink()
                continue
            if first >= end:
                found[first] = values
                end = first + count
        return found

    def add(self, owner: Mapping[str, Any], first: int, values: np.ndarray) -> None:
        """Take a finished block; it is written with its neighbours before long. For any thread.

        ``values`` (rows, checkpoints, measures) must not change hereafter.
        OSError where it cannot be written.
        """
        with self._guard:
            waiting = self._waiting.setdefault(owner["curve"], _Waiting(dict(owner)))
            waiting.blocks[first] = values
            if any(time.monotonic() - x.since >= SECONDS for x in self._waiting.values()):
                self.flush()

    def flush(self) -> None:
        """Write what waits, neighbouring blocks in one file; OSError, once, where that fails."""
        with self._guard:
            waiting, self._waiting = self._waiting, {}
            for curve, finished in waiting.items():
                for first, values in _merged(finished.blocks):
                    name = f"{self.arena}-{curve:05d}-{first}-{len(values)}.block"
                    atomic.write_bytes(self.folder / name, pack(finished.owner, first, values))

    def summary(self) -> str:
        """What the run has kept so far, in words; empty if nothing."""
        blocks = replications = 0
        for match in map(BLOCK.fullmatch, os.listdir(self.folder)):
            if match and match[1] == self.arena:
                blocks += 1
                curve = int(match[2])
                batch = self.batches[curve] if curve < len(self.batches) else 1
                replications += batch * int(match[4])
        if not blocks:
            return ""
        share = f" of {self.replications:,}" if self.replications else ""
        return f"blocks kept: {blocks}, with {replications:,}{share} replications, in {self.folder}"

    def discard(self) -> None:
        """Delete what the run has left: its curves are saved, or not wanted."""
        with self._guard:
            self._waiting = {}
            self._delete()

    def _delete(self) -> None:
        for path in self.folder.glob(f"{self.arena}-*.block"):
            path.unlink(missing_ok=True)
        self.files = {}

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


class _Lock:
    """The exclusive right to a folder, which the operating system takes back from the dead."""

    def __init__(self, folder: Path):
        self.path = folder / LOCK
        for tries in itertools.count():
            if tries == 1000:  # of a race that somebody loses each time, there is none
                raise ValueError(f"the store {folder} cannot be made: something is in its place")
            if folder.is_symlink():
                raise ValueError(f"the store {folder} is a symbolic link: remove it")
            if folder.exists() and not folder.is_dir():
                raise ValueError(f"the store {folder} is no folder: move it away")
            # Whoever leaves the folder may remove it meanwhile: then it is made once more.
            with suppress(FileExistsError, FileNotFoundError):
                folder.mkdir(parents=True, exist_ok=True)
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
                self.handle = os.open(self.path, flags, 0o666)
                if self._taken():
                    break
        with suppress(OSError):  # a full disk; whoever is refused is then not told by whom
            os.ftruncate(self.handle, 0)
            os.write(self.handle, f"{os.getpid()}\n".encode())

    def _taken(self) -> bool:
        """Whether the lock is ours, and still that of the folder; ValueError if another's."""
        try:
            _lock_file(self.handle)
        except OSError:
            os.lseek(self.handle, 0, os.SEEK_SET)
            holder = os.read(self.handle, 32).decode("ascii", "replace").strip()
            os.close(self.handle)
            raise ValueError(
                f"the store {self.path.parent} is in use by process {holder or 'unknown'}: wait "
                "until it has ended, or choose another folder"
            ) from None
        with suppress(OSError):
            if os.path.samestat(os.fstat(self.handle), os.stat(self.path)):
                return True
        os.close(self.handle)
        return False

    def release(self) -> None:
        """Unlock, and remove the folder if it holds nothing but the lock."""
        if self.handle < 0:
            return
        if os.name != "posix":  # where an open file cannot be deleted
            os.close(self.handle)
        with suppress(OSError):
            if os.listdir(self.path.parent) == [LOCK]:
                self.path.unlink()
                self.path.parent.rmdir()
        if os.name == "posix":
            os.close(self.handle)
        self.handle = -1


if os.name == "posix":
    import fcntl

    def _lock_file(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

else:
    import msvcrt

    def _lock_file(handle: int) -> None:
        os.lseek(handle, 1 << 30, os.SEEK_SET)  # beyond what is read: the lock would forbid it
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        os.lseek(handle, 0, os.SEEK_SET)
