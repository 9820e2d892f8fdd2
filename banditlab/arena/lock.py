"""The exclusive right of one process to a folder."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path

LOCK = "lock"  # the name of the file


class Lock:
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
