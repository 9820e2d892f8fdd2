"""A process for each worker: a Python of its own, told what to play through a pipe.

Messages are pickles, down the process's standard input and back up its standard output. A process
whose parent is gone reads the end of its input, and ends. What a block keeps while it is under way
comes up as it is kept, so a process may be killed at any moment: what it had not told is played
again by another.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab import registry
from banditlab.arena.backends.base import Backend
from banditlab.arena.backends.probe import chosen
from banditlab.arena.backends.site import Order, Site, sendable
from banditlab.arena.runner import Hand, Lost
from banditlab.arena.sealed import Damaged

if TYPE_CHECKING:
    from banditlab.arena.runner import _Curve as Curve
    from banditlab.arena.spec import Arena
    from banditlab.arena.store import Store

TICK = 0.1  # seconds between two looks at what is asked of a block, and at how far it is
STARTS = 3  # processes that end before they have begun, after which no more are tried
# What libraries of linear algebra ask for their number of threads.
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB_MAXIMUM")
CODE = (  # Ctrl-C is meant for who runs the arena, while a worker imports, too
    "import pickle, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "sys.path[:] = pickle.load(sys.stdin.buffer)\n"
    f"from {__name__} import serve; serve()"
)


class Processes(Backend):
    """Processes of this machine."""

    def __init__(self, arena: Arena, workers: int):
        super().__init__(workers)
        self.processes += min(workers, self.most)
        self.arena = pickle.dumps(arena)
        self.alone = any(registry.protocol(panel.protocol).isolated for panel in arena.panels)
        self.hands: list[Process] = []

    def hand(self) -> Process:
        """A worker whose process is started when it is asked to be ready."""
        made = Process(self.arena, self.alone)
        self.hands.append(made)
        return made

    def close(self) -> None:
        """End all processes at once."""
        for hand in self.hands:
            hand.close()


def make(arena: Arena, workers: int | str | None, address: str | None) -> Processes:
    """Processes; as many as there are cores by default."""
    return Processes(arena, chosen(workers))


# --- here ---------------------------------------------------------------------------------------


class Process(Hand):
    """A worker process, seen from the process that runs the arena."""

    def __init__(self, arena: bytes, alone: bool):
        self.arena, self.alone = arena, alone
        self.process: subprocess.Popen[bytes] | None = None
        self.told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._closed = False

    def ready(self, ended: Callable[[], bool]) -> None:
        """Start a process, unless there is one, and wait until it has begun."""
        said: Lost | None = None
        for _ in range(STARTS):
            if self.process is not None or ended():
                return
            self._start()
            try:
                while not ended():
                    with suppress(queue.Empty):
                        self._next(TICK)
                        return
                return
            except Lost as why:
                said = why
        raise ValueError(f"no worker process can be started: {said}")

    def play(
        self, curve: Curve, first: int, count: int, progress: np.ndarray, store: Store | None
    ) -> float:
        """As `Hand.play`, there."""
        if self.process is None:
            self.ready(lambda: self._closed)
        part = curve.part(first, count, store)
        kept = store.packed(part.owner, first) if store is not None and count == 1 else None
        self._send(Order(part, tuple(made.code for made in curve.job.play.pairs), kept))
        wish = 0
        while True:
            if progress[1] != wish:
                wish = int(progress[1])
                self._send(wish)
            try:
                what, *more = self._next(TICK)
            except queue.Empty:
                continue
            if what == "rounds":
                progress[0] = more[0]
            elif what == "error":
                raise more[0]
            elif what == "done":
                curve.values[first : first + count], seconds = more
                if curve.alone:  # the next replication has a process of its own
                    self._end()
                return float(seconds)
            elif store is not None and what == "keep":
                store.keep_packed(part.owner, *more)
            elif store is not None:
                row, why = more
                store.refuse(part.owner, row, Damaged(why))

    def close(self) -> None:
        """End the process, whatever it does."""
        self._closed = True
        self._end()

    def _start(self) -> None:
        one = dict.fromkeys((f"{name}_NUM_THREADS" for name in THREADS), "1") if self.alone else {}
        with _deaf():
            self.process = process = subprocess.Popen(
                [sys.executable, "-c", CODE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **one},
            )
        if self._closed:  # meanwhile
            self._end()
        told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.told = told

        def listen() -> None:
            with suppress(Exception):  # the end of the pipe, perhaps in the middle of a message
                while True:
                    told.put(pickle.load(process.stdout))  # type: ignore[arg-type]
            told.put(None)

        threading.Thread(target=listen, daemon=True, name="arena-listen").start()
        with suppress(OSError):
            assert process.stdin is not None
            process.stdin.write(pickle.dumps(sys.path) + self.arena)
            process.stdin.flush()

    def _next(self, seconds: float) -> Any:
        """What the process tells next; queue.Empty if nothing; `Lost` if it has ended."""
        found = self.told.get(timeout=seconds)
        if found is None:
            process, self.process = self.process, None
            raise Lost(_reason(process))
        return found

    def _send(self, message: Any) -> None:
        """Tell the process; that it has ended is found out by who listens."""
        process = self.process  # None once it is closed, by another thread
        if process is not None and process.stdin is not None:
            with suppress(OSError, ValueError):
                pickle.dump(message, process.stdin)
                process.stdin.flush()

    def _end(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()


@contextmanager
def _deaf() -> Iterator[None]:
    """A process that is started here does not hear Ctrl-C before it can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _reason(process: subprocess.Popen[bytes] | None) -> str:
    """How a process has ended, in words."""
    if process is None:
        return "its worker process was ended"
    code = process.wait()
    if code >= 0:
        return f"its worker process {process.pid} ended with exit code {code}"
    with suppress(ValueError):
        name = signal.Signals(-code).name
        more = ", as by a system that is out of memory" if name == "SIGKILL" else ""
        return f"its worker process {process.pid} was killed by {name}{more}"
    return f"its worker process {process.pid} was killed by signal {-code}"


# --- there --------------------------------------------------------------------------------------


def serve() -> None:
    """What a worker process does until its input ends."""
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a program prints must not come between the messages
    guard = threading.Lock()
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
    progress = np.zeros(2, np.int64)

    def tell(message: Any) -> None:
        with guard:
            pickle.dump(message, pipe)
            pipe.flush()

    def listen() -> None:
        with suppress(Exception):
            while True:
                message = pickle.load(sys.stdin.buffer)
                if isinstance(message, int):
                    progress[1] = message
                else:
                    progress[:] = 0
                    orders.put(message)
        os._exit(0)  # whoever runs the arena is gone

    def count() -> None:
        before = 0
        while True:
            time.sleep(2 * TICK)
            if progress[0] != before:
                before = int(progress[0])
                tell(("rounds", before))

    site = Site(pickle.load(sys.stdin.buffer))
    threading.Thread(target=listen, daemon=True).start()
    tell(("ready",))
    threading.Thread(target=count, daemon=True).start()
    while True:
        order = orders.get()
        try:
            rows, seconds = site.play(order, progress, tell)
        except BaseException as error:
            tell(("error", sendable(error)))
        else:
            tell(("done", rows, seconds))
