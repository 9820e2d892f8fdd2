"""Ctrl-C and SIGTERM end the program within two seconds, at any moment, in one line.

Python raises KeyboardInterrupt between two lines of the main thread, wherever that is: inside an
import, with the import's lock held by another thread, or after seconds in compiled code. So the
program, and it alone (a library leaves signals to whoever uses it), asks for none. A thread waits
for the signal; it calls the hooks of whatever is under way, says what they found, and ends the
process without asking the other threads.

Standard library only: it is imported first, and imports are what it protects.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise

PATIENCE = 1.5  # seconds for the hooks
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
ENDED = 1  # the exit code
PROGRAMS = ("banditlab", "banditlab.arena", "banditlab.plot", "banditlab.report")

Hook = Callable[[], str | None]

NOTHING = "interrupted; nothing was written"

_hooks: list[Hook] = []
_last: list[Hook] = []
_armed = False
_otherwise = [NOTHING]


@contextmanager
def hook(call: Hook) -> Iterator[None]:
    """Have ``call`` called, in another thread, if the program is interrupted meanwhile.

    The hook that came last is called first. What they return is said; if none says anything,
    `otherwise`.
    """
    _hooks.append(call)
    try:
        yield
    finally:
        _hooks.remove(call)


def say_otherwise(line: str = NOTHING) -> None:
    """What is said of an interruption from now on, where no hook has anything to say."""
    _otherwise[0] = line


def otherwise() -> str:
    """What is said where no hook has anything to say: at first, that nothing was written."""
    return _otherwise[0]


def finally_call(call: Hook) -> None:
    """Have ``call`` called after all hooks, whether these have ended or not."""
    _last.append(call)


def is_program() -> bool:
    """Whether this process is ``python -m`` one of PROGRAMS, or the command ``banditlab``."""
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    asked = (word for flag, word in pairwise(sys.orig_argv) if flag == "-m")
    return (name == "-m" and next(asked, "") in PROGRAMS) or (
        name.removesuffix(".exe") == "banditlab"
    )


def arm() -> None:
    """From now on signals end the process as said above. Signals that are ignored stay ignored."""
    global _armed
    if _armed or threading.current_thread() is not threading.main_thread():
        return
    _armed = True
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    # The descriptor must outlive this function, and the socket would close it.
    signal.set_wakeup_fd(theirs.detach(), warn_on_full_buffer=False)
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _nothing)
    threading.Thread(target=_wait, args=(ours,), daemon=True, name="interrupt").start()


def _nothing(number: int, frame: object) -> None:
    """A handler, for without one the signal would not reach `_wait`."""


def _wait(ours: socket.socket) -> None:
    ours.recv(1)
    end()


def end() -> None:
    """End the process as a signal would."""
    said: list[str] = []
    _patiently(_hooks, said)
    _patiently(_last, said)
    line = " ".join("".join(said).split()) or otherwise()
    with suppress(OSError):
        os.write(2, f"{line}\n".encode(errors="replace"))
    os._exit(ENDED)


def _patiently(hooks: list[Hook], said: list[str]) -> None:
    """Call hooks, for PATIENCE seconds and no longer."""

    def call() -> None:
        for one in reversed(hooks.copy()):
            with suppress(BaseException):  # a hook that fails must not keep the others from it
                said.append(one() or "")

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE if hooks is _hooks else PATIENCE / 5)
