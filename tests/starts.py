"""Programs in new processes: forks of one that has imported what they need, and compiled nothing.

To import Numba takes longer than most of these programs. What depends on how a process is started
(the environment that is read on import, rights, the seed of Python's hashes) needs a start of its
own: all forks are of one seed.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

from numba.core.registry import cpu_target

from banditlab.compile import pairs  # noqa: F401

# What Numba reads of its own the first time that it compiles anything.
cpu_target.typing_context.refresh()
cpu_target.target_context.refresh()

FORKS = "forkserver" in multiprocessing.get_all_start_methods()
_context = multiprocessing.get_context("forkserver" if FORKS else "spawn")
_context.set_forkserver_preload([__name__])


def _play(code: str, arguments: list[str], env: dict[str, str], files: list[Path]) -> None:
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["-c", *arguments]
    sys.path[:0] = env["PYTHONPATH"].split(os.pathsep)
    sys.dont_write_bytecode = "PYTHONDONTWRITEBYTECODE" in env
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})


class Start:
    """``python -c code``, under way; what it says is in files in ``folder``."""

    def __init__(self, code: str, arguments: list[str], env: dict[str, str], folder: Path):
        self._files = [folder / "stdout", folder / "stderr"]
        for file in self._files:
            file.write_text("")
        given = (code, arguments, env, self._files)
        self._process = _context.Process(target=_play, args=given)
        self._process.start()

    @property
    def said(self) -> str:
        """What it has written so far."""
        return self._files[0].read_text()

    @property
    def complaint(self) -> str:
        """What it has written to stderr."""
        return self._files[1].read_text()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_alive()

    def wait(self, seconds: float) -> int | None:
        """Its exit status; None if it still runs after so long."""
        self._process.join(seconds)
        return self._process.exitcode

    def kill(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.join()
