"""Files that appear whole or not at all: written aside, in the same folder, and renamed.

Every file of a run is written here. A file aside is hidden and ends in ``.part``; an error takes
it away again, so do `abandon` when a program is ended from outside and, for a program that was
killed, `sweep` in the next one. A file gets the modes that the umask leaves to its neighbours.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from types import TracebackType

from banditlab import interrupt

PART = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")

_aside: set[Path] = set()  # what this process is writing now
_gate = RLock()  # held while a file aside comes or goes


def _open_aside(path: Path) -> Path:
    """A new empty file beside ``path``; not mkstemp's, whose modes are 600 whatever the umask."""
    with _gate:
        aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        _aside.add(aside)
    return aside


def _drop(aside: Path) -> None:
    with _gate:
        _aside.discard(aside)
        with suppress(OSError):
            aside.unlink()


def _sync(path: Path) -> None:
    """Put on the disk what was written to a file or, where the system can, to a folder."""
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Together:
    """Several files of one folder: all of them appear, or none.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Together(folder) as files:
    ...         files.text("curves.csv", "t,mean")
    ...         _ = files.path("raw.bin").write_bytes(b"1")
    ...     sorted(os.listdir(folder))
    ['curves.csv', 'raw.bin']
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.files: dict[Path, Path] = {}  # aside -> name

    def path(self, name: str) -> Path:
        """Where to write what will be called ``name``."""
        aside = _open_aside(self.folder / name)
        self.files[aside] = self.folder / name
        return aside

    def data(self, name: str, data: bytes) -> None:
        """A file of bytes."""
        self.path(name).write_bytes(data)

    def text(self, name: str, text: str) -> None:
        """A file of UTF-8 text, whose lines end as ``text`` says."""
        self.data(name, text.encode())

    def __enter__(self) -> Together:
        return self

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._appear()
        except OSError as reason:
            error = reason
            raise
        finally:
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(self.folder)  # writing knows no names; the reader wants one
            for aside in self.files:
                _drop(aside)

    def _appear(self) -> None:
        for path in self.files.values():  # before any of them has its name
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "a folder has that name", str(path))
        for aside in self.files:
            _sync(aside)
        with _gate:  # whoever abandons waits until all have their names
            for aside, path in self.files.items():
                os.replace(aside, path)
                _aside.discard(aside)
            self.files = {}
        if os.name == "posix":  # elsewhere a folder cannot be opened
            _sync(self.folder)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Where to write what will be called ``path`` once it is whole."""
    path = Path(path)
    with Together(path.parent) as files:
        yield files.path(path.name)


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``path`` whole or not at all."""
    with replacing(path) as aside:
        aside.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Write ``path`` as UTF-8 whole or not at all."""
    write_bytes(path, text.encode())


def abandon() -> None:
    """Take away what is half written, for good: this process can write no file hereafter."""
    _gate.acquire()
    for aside in list(_aside):
        _drop(aside)


interrupt.finally_call(abandon)


def sweep(folder: str | Path) -> None:
    """Take away what a process that was killed left half written in ``folder``.

    Only for who knows that nobody else is writing there.
    """
    for path in Path(folder).glob(".*.part"):
        if PART.fullmatch(path.name) and path not in _aside and not path.is_dir():
            path.unlink(missing_ok=True)
