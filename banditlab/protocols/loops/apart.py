"""One replication in a process of its own: told when to stop, asked how far it is.

Who plays it is a function that the process imports; what it is told is plain data. Words go back
and forth as lines of JSON, on standard input and output. The process ends when its parent does, for
then its input is closed.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np

from banditlab.console import places

BEAT = 0.2  # seconds between two words about how far a replication is
# Before anything is imported: threads that wait for each other burn what other replications need.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


class Stop(Exception):
    """The replication is to end now; its state is kept."""


class Order(NamedTuple):
    """What a process is told to play."""

    player: str  # "module:function": (words, told) -> what it answers, plain data
    words: dict[str, Any]  # plain data
    rounds: int  # of the replication
    who: str  # for messages: "replication 3 of td3"


def play(order: Order, progress: np.ndarray) -> tuple[Any, float]:
    """What the process answers, and its CPU time in seconds; None and 0 if it was stopped.

    For ``progress`` see online.run_block. ValueError for what the process has refused, and
    RuntimeError for what broke there, in one line.
    """
    begun = progress[0]
    words: queue.Queue[str | None] = queue.Queue()
    with _process(order) as process:
        threading.Thread(target=_hear, args=(process.stdout, words), daemon=True).start()
        asked = False
        found: dict[str, Any] = {}
        while True:
            with suppress(queue.Empty):
                line = words.get(timeout=BEAT)
                if line is None:
                    break
                found = json.loads(line)
                if "rounds" in found:
                    progress[0] = begun + min(found["rounds"], order.rounds)
            if progress[1] != 0 and not asked:
                asked = True
                with suppress(OSError):
                    process.stdin.write(b"stop\n")
                    process.stdin.flush()
        code = process.wait()
    if "error" in found:
        if found["expected"]:
            raise ValueError(found["error"])
        raise RuntimeError(f"{order.who}: {found['error']}")
    if "answer" in found:
        progress[0] = begun + order.rounds
        return found["answer"], float(found["seconds"])
    if not asked:
        raise RuntimeError(f"the process of {order.who} ended with code {code}")
    return None, 0.0


@contextmanager
def _process(order: Order) -> Iterator[Any]:
    """The process; whoever leaves in a hurry takes it along."""
    # Ctrl-C is meant for the parent, while the process imports, too.
    deaf = "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    code = f"{deaf}; sys.path[:] = {sys.path!r}\nfrom {__name__} import serve; serve()"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **ONE_THREAD},
    )
    assert process.stdin is not None
    try:
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        with suppress(OSError):
            process.stdin.close()
        process.wait()


def _hear(pipe: Any, words: queue.Queue[str | None]) -> None:
    with pipe:
        for line in pipe:
            words.put(line.decode())
    words.put(None)


# --- there --------------------------------------------------------------------------------------


def serve() -> None:
    """What the process does: reads an order, plays, and says how it went.

    What others print on standard output would be taken for words of ours, so it goes to standard
    error.
    """
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    order = Order(*json.loads(sys.stdin.readline()))
    stop = threading.Event()

    def listen() -> None:
        if sys.stdin.readline():
            stop.set()
            sys.stdin.readline()
        os._exit(1)  # nobody listens any more

    threading.Thread(target=listen, daemon=True).start()
    said = [0.0]

    def told(rounds: int) -> bool:
        now = time.monotonic()
        if now - said[0] >= BEAT:
            said[0] = now
            out.write(json.dumps({"rounds": rounds}) + "\n")
        return stop.is_set()

    out.write(json.dumps(_answer(order, told)) + "\n")
    out.flush()
    os._exit(0)  # not the long way: libraries may hold threads


def _answer(order: Order, told: Callable[[int], bool]) -> dict[str, Any]:
    """What is said at the end."""
    module, _, name = order.player.partition(":")
    try:
        player = getattr(importlib.import_module(module), name)
        return {"answer": player(order.words, told), "seconds": time.process_time()}
    except Stop:
        return {"stopped": True}
    except ValueError as error:
        return {"error": " ".join(str(error).split()), "expected": True}
    except Exception as error:
        said, where = " ".join(str(error).split())[:500], " < ".join(places(error))
        return {"error": f"{type(error).__name__}: {said} ({where})", "expected": False}
