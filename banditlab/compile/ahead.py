"""Compiling ahead: pairs on a second core while the first one works.

Numba compiles one function at a time, so a second core takes a second process. The two meet in
the cache: who comes to a pair that the other has finished reads it.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from banditlab.compile import store
from banditlab.compile.pairs import Pair, known
from banditlab.core import jit_disabled

Maker = Callable[[], Pair]  # it pickles: a partial of a function of some module


def missing(pairs: Sequence[Pair]) -> set[str]:
    """Names of the pairs that are still to be compiled for the cache; none if there is no cache."""
    folder = None if jit_disabled() else store.cache_folder()
    if folder is None:
        return set()
    unknown = [p.name for p in pairs if p.name != f"plain-{p.code}" and not known(p)]
    return {name for name in unknown if not (folder / name).exists()}


@contextmanager
def second_compiler(
    pairs: Sequence[Pair], makers: Sequence[Maker], workers: int
) -> Iterator[Callable[[], None]]:
    """Meanwhile another process compiles the same pairs from the last to the first.

    Gives a function that ends it, at once and as often as one likes.

    ``makers[i]()`` is ``pairs[i]``, there. Nothing happens if less than two pairs are missing, or
    if ``workers`` or the machine leave no core idle.
    """
    absent = missing(pairs)
    todo = {p.name: make for p, make in zip(pairs, makers, strict=True) if p.name in absent}
    idle = min(workers, os.cpu_count() or 1) - _others_at_work()
    process = _started([*todo.values()][::-1]) if len(todo) > 1 and idle > 1.0 else None
    if process is None:
        yield lambda: None
        return
    try:
        yield process.terminate
    finally:
        process.terminate()
        process.wait()


def _others_at_work() -> float:
    """How many other threads of this machine want a core now; the last minute's mean if unknown."""
    try:
        running = Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
        return int(running) - 1.0  # this one asks
    except (OSError, IndexError, ValueError):
        return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # Windows counts nothing


def _started(makers: list[Maker]) -> subprocess.Popen | None:
    """A process that runs `_compile`; its errors are not its to report. None if there can be none.

    It is told where Python looks for modules before it unpacks what needs them.
    """
    code = (
        "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer)\n"
        f"from {__name__} import _compile; _compile(pickle.load(sys.stdin.buffer))"
    )
    nowhere = subprocess.DEVNULL
    with suppress(OSError):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(pickle.dumps(sys.path) + pickle.dumps(makers))
        return process
    return None


def _compile(makers: list[Maker]) -> None:
    """What the second compiler does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # it leaves, but no file behind
    for make in makers:
        made = make()
        if not store.under_way(made.name):  # here the two meet
            made.function()
