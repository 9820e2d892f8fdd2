"""A ledger: what was released of which table, for how much epsilon, and no more than a total.

Epsilons add up over releases, so somebody must count them. A ledger is a text file, one JSON object
a line, to which a release is appended *before* its noise is drawn: a run that breaks at any moment
may have paid for an answer that nobody saw, but nobody sees an answer that was not paid for. No
reward, mean or name of a released arm is ever in it. A lock lets one process at a time read and
append, so that two releases at once cannot both take what was left for one.

A table is known by a digest of its rewards: their number by arm, and values, in any order, file
format and choice of ``--unit``. A plain digest would be an exact answer about the values: whoever
guesses all of them but one could test the last. So it is keyed (HMAC-SHA-256), with a key that is
drawn when a ledger begins and kept beside it in ``LEDGER.key``, or that the environment variable
``BANDITLAB_LEDGER_KEY`` gives. Keep the key as secret as the table. Without it a ledger tells how
much was spent when, under which public bounds, and which releases were of the same table; no more.

The same key seals each line together with all lines before it: a line that was changed, or removed
from among others, is noticed; lines cut from the end are not. A ledger is the honest curator's
memory, no protection from a curator who wants to forget. A table in which anything has changed is
another table: who is in both is spent on by both.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab.validate import positive

KEY_VARIABLE = "BANDITLAB_LEDGER_KEY"
LEAST_KEY = 32  # characters of a key from the environment
SEAL = ', "seal": "{}"}}\n'  # ends a line, after the rest of its object
SEAL_LENGTH = len(SEAL.format("")) + 64


def fingerprint(arms: Iterable[tuple[str, np.ndarray]]) -> bytes:
    """What a table is known by before the key comes in: to be kept in memory alone.

    ``arms`` are the names and rewards of each arm; neither their order nor that of the rewards
    counts.
    """
    found = hashlib.sha256()
    for name, rewards in sorted(arms, key=lambda arm: arm[0]):
        # + 0.0 makes -0.0 a 0.0.
        values = np.sort(np.asarray(rewards, dtype="<f8") + 0.0)
        found.update(json.dumps([name, values.size]).encode() + values.tobytes())
    return found.digest()


class Entry(NamedTuple):
    """What one release will have spent. Public facts alone."""

    table: bytes  # its `fingerprint`
    epsilon: float
    unit: str | None  # whom epsilon is promised to; None: the single reward
    released: dict[str, Any]  # what for; ready for JSON


class Ledger:
    """The file ``path`` of earlier releases, of which each table may spend ``total``.

    ``total`` is an epsilon above 0, or None for any. Nothing is opened yet. Raises ValueError, in
    one line, here for another ``total``, later for a file that is no ledger, is damaged, belongs to
    another key or cannot be written.
    """

    def __init__(self, path: str | Path, total: float | None = None):
        self.path = Path(path)
        self.total = None if total is None else positive("epsilon_total", total)

    def check(self, entry: Entry) -> float:
        """The epsilon spent on the table once ``entry`` is; ValueError if it may not be.

        Changes nothing: for refusing early, before `charge`, which checks again.
        """
        if not os.path.lexists(self.path):
            if not os.path.isdir(self.path.absolute().parent):
                raise ValueError(f"--ledger: {self.path}: there is no such folder")
            return self._after(entry, [], b"")
        with self._opened(os.O_RDWR) as file:
            lines = self._lines(file)
            return self._after(entry, lines, self._key(fresh=False) if lines else b"")

    def charge(self, entry: Entry) -> float:
        """Append ``entry``, on the disk when this returns; else as `check`."""
        with self._opened(os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
            lines = self._lines(file)
            key = self._key(fresh=not lines)
            spent = self._after(entry, lines, key)
            facts = {
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "table": _digest(key, entry.table),
                "epsilon": entry.epsilon,
                "unit": entry.unit,
                "released": entry.released,
            }
            line = _sealed(key, lines[-1] if lines else b"", json.dumps(facts).encode())
            size = os.fstat(file).st_size
            try:
                if os.write(file, line) != len(line):
                    raise OSError(0, "the disk is full")
                os.fsync(file)
                _sync_folder(self.path)
            except BaseException:  # Ctrl-C, too
                with suppress(OSError):
                    os.ftruncate(file, size)  # else the next release finds half a line
                raise
        return spent

    # --- the file --------------------------------------------------------------------------------

    @contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        """The open file, locked."""
        import fcntl  # not every system has it

        try:
            file = os.open(self.path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise OSError(0, "not a regular file")
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file
            finally:
                os.close(file)
        except OSError as error:
            raise ValueError(f"--ledger: {self.path}: {error.strerror or error}") from error

    def _lines(self, file: int) -> list[bytes]:
        size = os.fstat(file).st_size
        text = os.pread(file, size, 0)
        if len(text) != size or (text and not text.endswith(b"\n")):
            raise self._damaged(text.count(b"\n") + 1)
        return text.splitlines(keepends=True)

    def _damaged(self, line: int) -> ValueError:
        return ValueError(
            f"--ledger: {self.path}: line {line} is damaged, or belongs to another key"
        )

    def _after(self, entry: Entry, lines: list[bytes], key: bytes) -> float:
        """The epsilon spent on a table after ``lines`` and ``entry``, if that is allowed."""
        before = b""
        spent = _decimal(entry.epsilon)
        for number, line in enumerate(lines, start=1):
            body = line[:-SEAL_LENGTH] + b"}"
            if not hmac.compare_digest(line, _sealed(key, before, body)):
                raise self._damaged(number)
            before = line
            facts = json.loads(body)
            if facts["table"] != _digest(key, entry.table):
                continue
            spent += _decimal(facts["epsilon"])
            if facts["unit"] != entry.unit:
                raise ValueError(
                    f"--ledger: {self.path}: line {number} released this table for "
                    f"{_whose(facts['unit'])}, this run would for {_whose(entry.unit)}: such "
                    "epsilons do not add up"
                )
        if self.total is not None and spent > _decimal(self.total):
            rest = spent - _decimal(entry.epsilon)
            raise ValueError(
                f"--epsilon-total: {rest} of {self.total:g} is spent on this table, and "
                f"{entry.epsilon:g} more is asked for"
            )
        return float(spent)

    # --- the key ---------------------------------------------------------------------------------

    def _key(self, fresh: bool) -> bytes:
        """The key; drawn if it is nowhere, and ``fresh`` says that no line needs another."""
        given = os.environ.get(KEY_VARIABLE)
        if given is not None:
            if len(given) < LEAST_KEY:
                raise ValueError(f"{KEY_VARIABLE} must have at least {LEAST_KEY} characters")
            return os.fsencode(given)
        path = self.path.with_name(self.path.name + ".key")
        if fresh and not path.exists():
            _write_aside(path, secrets.token_hex(32) + "\n")
        try:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise ValueError(f"--ledger: others may read or change the key: chmod 600 {path}")
            key = path.read_bytes().strip()
        except FileNotFoundError:
            raise ValueError(f"--ledger: {path}, the key of {self.path}, is missing") from None
        if len(key) < LEAST_KEY:
            raise ValueError(f"--ledger: {path}: a key has at least {LEAST_KEY} characters")
        return key


def _decimal(epsilon: float) -> Decimal:
    """As it was written: 0.1 three times is 0.3 to whoever wrote so, and not to binary floats."""
    return Decimal(repr(float(epsilon)))


def _whose(unit: str | None) -> str:
    return "single rewards" if unit is None else f"units of column {unit!r}"


def _digest(key: bytes, table: bytes) -> str:
    return hmac.new(key, b"table" + table, hashlib.sha256).hexdigest()


def _sealed(key: bytes, before: bytes, body: bytes) -> bytes:
    """The line of the JSON object ``body``, sealed with the line ``before`` it."""
    seal = hmac.new(key, b"line" + before + body, hashlib.sha256).hexdigest()
    return body[:-1] + SEAL.format(seal).encode()


def _write_aside(path: Path, text: str) -> None:
    """A file that is there whole or not at all, for its owner alone."""
    aside = path.with_name(path.name + ".new")
    file = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        os.write(file, text.encode())
        os.fsync(file)
    finally:
        os.close(file)
    os.replace(aside, path)


def _sync_folder(path: Path) -> None:
    """What a new file is called must be on the disk, too."""
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
