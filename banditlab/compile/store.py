"""The folder of compiled code: one file per entry, sealed, bounded, and nobody else's to write.

An entry is written aside and renamed, so no process ever reads half of one, and carries a checksum
of its content; one that is damaged, or deleted while it is wanted, is made anew. The entries used
least recently are deleted when there are more than MOST_ENTRIES or they take more than MOST_MB.

Entries hold machine code, which is run. A folder that somebody else could write to, directly or by
renaming one of its parents, is not used, and a line on stderr says so.

``BANDITLAB_CACHE`` names the folder; ``BANDITLAB_CACHE=off`` switches the cache off;
``BANDITLAB_CACHE_SIZE`` is its largest size in MB.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MOST_ENTRIES = 10_000
MOST_MB = 1000
HOUR = 3600.0  # after which a file aside was left by a process that was killed
WRITERS = 100  # so many processes at once may write between two looks at how full the folder is
MOST_LINKS = 40  # on the way to the folder
SEAL = 64  # bytes of checksum before an entry's content
PREFIXES = ("pair-", "kernel-", "call-")  # of loops, of kernels for kernels, and for Python

ME: int | None = os.getuid() if hasattr(os, "getuid") else None  # there are no owners on Windows
OTHERS = stat.S_IWGRP | stat.S_IWOTH


# --- the folder ---------------------------------------------------------------------------------

_told: set[Path] = set()  # folders of which it was said that they are not used


def cache_folder() -> Path | None:
    """Where compiled code is kept; None when there is no place for it or the cache is off."""
    setting = os.environ.get("BANDITLAB_CACHE", "")
    if setting.lower() in ("off", "0"):
        return None
    home = os.environ.get("XDG_CACHE_HOME", "") or os.path.expanduser("~/.cache")
    return _usable(Path(setting or Path(home) / "banditlab")) or _usable(_temporary())


def _temporary() -> Path:
    """The folder that takes the place of one that cannot be written, as in a read-only home."""
    return Path(tempfile.gettempdir()) / f"banditlab{'' if ME is None else f'-{ME}'}"


def _usable(folder: Path) -> Path | None:
    """``folder``, made if it is not there, if we can write to it and nobody else can."""
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)
        whose = _open_to_others(folder)
        if whose is None:
            return folder if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) else None
    except OSError:
        return None
    if folder not in _told:
        _told.add(folder)
        print(
            f"banditlab: compiled code is not kept in {folder}: others can write to {whose}",
            file=sys.stderr,
        )
    return None


def _open_to_others(folder: Path) -> Path | None:
    """The first place on the way to ``folder`` that somebody else, but root, could change.

    In a folder like /tmp (sticky) others can add files, but not replace ours: it may be passed.
    """
    if ME is None:
        return None
    way = list(_way(folder))
    for path in way:
        info = path.lstat()
        if info.st_uid not in (0, ME):
            return path
        if stat.S_ISLNK(info.st_mode):
            continue
        if info.st_mode & OTHERS and (path == way[-1] or not info.st_mode & stat.S_ISVTX):
            return path
    return None


def _way(folder: Path) -> Iterator[Path]:
    """Every folder and link that is passed on the way to ``folder``, and where it ends."""
    todo, here, links = [*reversed((Path.cwd() / folder).parts[1:])], Path(folder.anchor or "/"), 0
    yield here
    while todo:
        part = todo.pop()
        if part == "..":
            here = here.parent
            continue
        yield here / part
        if not (here / part).is_symlink():
            here = here / part
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(f"{folder}: links without end")
        target = Path(os.readlink(here / part))
        todo += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        here = Path(target.anchor) if target.is_absolute() else here


# --- entries ------------------------------------------------------------------------------------


def _entries(folder: Path, *prefixes: str) -> list[os.DirEntry[str]]:
    """Files of names that begin so; by ``os.scandir``, a tenth of the time that globs take."""
    with suppress(OSError), os.scandir(folder) as found:  # deleted meanwhile
        return [entry for entry in found if entry.name.startswith(prefixes)]
    return []


def cache_info() -> dict[str, Any]:
    """Folder, numbers of compiled pairs and of kernels by themselves, and their size in bytes."""
    folder = cache_folder()
    entries = _entries(folder, *PREFIXES) if folder else []
    pairs = sum(entry.name.startswith("pair-") for entry in entries)
    size = sum(_size(Path(entry)) for entry in entries)
    return {"folder": folder, "pairs": pairs, "kernels": len(entries) - pairs, "bytes": size}


def clear_cache() -> None:
    """Delete all compiled code that is kept."""
    folder = cache_folder()
    for entry in _entries(folder, *PREFIXES) if folder else ():
        discard(Path(entry))


def read(name: str) -> bytes | None:
    """The content of an entry, which counts as used now; None if it is not there as written."""
    folder = cache_folder()
    if folder is None:
        return None
    path = folder / name
    try:
        with open(path, "rb") as file:
            info = os.fstat(file.fileno())
            if ME is not None and (info.st_uid not in (0, ME) or info.st_mode & OTHERS):
                return None  # put there while the folder was open to others
            seal, content = file.read(SEAL), file.read()
        if seal != _seal(name, content):
            discard(path)
            return None
        os.utime(path)
    except OSError:
        return None
    return content


def write(name: str, content: bytes) -> None:
    """Keep ``content`` under ``name``, if there is a place for it."""
    folder = cache_folder()
    if folder is None:
        return
    if folder in _fill:
        _fill[folder].written += 1
        _fill[folder].bytes_written += SEAL + len(content)
    with suppress(OSError), _aside(folder, name) as path:  # the disk is full, the folder vanishes
        path.write_bytes(_seal(name, content) + content)
        os.replace(path, folder / name)


def _seal(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + content).hexdigest().encode()


@contextmanager
def _aside(folder: Path, name: str) -> Iterator[Path]:
    """A new empty file beside the entry ``name``; gone afterwards, unless it was renamed."""
    handle, file = tempfile.mkstemp(prefix=f"aside-{name}-", dir=folder)
    os.close(handle)
    try:
        yield Path(file)
    finally:
        with suppress(OSError):
            os.unlink(file)


@contextmanager
def claimed(name: str) -> Iterator[None]:
    """Let other processes see that this one is making the entry ``name``; see `under_way`."""
    with ExitStack() as stack:
        with suppress(OSError):
            folder = cache_folder()
            if folder is not None and not (folder / name).exists():
                stack.enter_context(_aside(folder, name))
        yield


def under_way(name: str) -> bool:
    """Whether a process is making the entry ``name``, or was when it was killed."""
    folder = cache_folder()
    return folder is not None and any(folder.glob(f"aside-{name}-*"))


def discard(entry: Path) -> None:
    """Delete an entry; older versions kept folders."""
    with suppress(OSError):
        if entry.is_dir():
            aside = entry.with_name(f"aside-{uuid.uuid4().hex}")
            entry.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            entry.unlink()


def _size(entry: Path) -> int:
    size = 0
    for file in entry.rglob("*") if entry.is_dir() else (entry,):
        with suppress(OSError):  # deleted meanwhile
            size += file.stat().st_size
    return size


def _most_bytes() -> float:
    setting = os.environ.get("BANDITLAB_CACHE_SIZE", "") or MOST_MB
    try:
        return float(setting) * 1e6
    except ValueError:
        raise ValueError(f"BANDITLAB_CACHE_SIZE must be a number of MB, got {setting!r}") from None


@dataclass
class _Fill:
    """How full a folder was, and what this process has written since."""

    entries: int = 0
    bytes: int = 0
    written: int = 0
    bytes_written: int = 0

    def is_safe(self, most: float) -> bool:
        """Whether the bounds hold even if many processes have written as much as this one."""
        return (
            self.entries + WRITERS * self.written <= MOST_ENTRIES
            and self.bytes + WRITERS * self.bytes_written <= most
        )


_fill: dict[Path, _Fill] = {}


def tidy() -> None:
    """Keep the cache within its bounds, by deleting the entries used least recently.

    To look at thousands of files takes as long as to compile a kernel, so it is not done each time.
    """
    folder, most = cache_folder(), _most_bytes()
    if folder is None or (folder in _fill and _fill[folder].is_safe(most)):
        return
    used: list[tuple[os.stat_result, os.DirEntry[str]]] = []
    for entry in _entries(folder, *PREFIXES, "aside-"):
        with suppress(OSError):
            used.append((entry.stat(), entry))
    now, kept = time.time(), _Fill()
    entries, size = 0, 0
    for info, entry in sorted(used, key=lambda x: (x[0].st_mtime, x[1].name), reverse=True):
        if entry.name.startswith("aside-"):
            if now - info.st_mtime > HOUR:
                discard(Path(entry))
            continue
        whole = _size(Path(entry)) if stat.S_ISDIR(info.st_mode) else info.st_size
        entries, size = entries + 1, size + whole
        if entries > MOST_ENTRIES or size > most:
            discard(Path(entry))
        else:
            kept = _Fill(entries, size)
    _fill[folder] = kept
