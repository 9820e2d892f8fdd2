"""Where a program's words go, and what to do when they cannot go there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper

from banditlab import console


def ready() -> None:
    """Let letters that standard output cannot encode be replaced, not end the run."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout.reconfigure(errors="replace")


def flush() -> None:
    """Put out what was printed; OSError where that cannot be, and then nothing more is tried."""
    if sys.stdout is None:  # closed by whoever started the program
        return
    try:
        sys.stdout.flush()
    except OSError:
        silence()
        raise


def silence() -> None:
    """Give up standard output: else Python tries again when it ends, and complains on its own."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout is sys.__stdout__:
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def unforeseen(error: Exception) -> str:
    """An error that nobody thought of, and where it came up, in one line: what a report needs."""
    where = " < ".join(console.places(error))
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]} ({where})"


def cause(error: OSError) -> str:
    """What the system said, and about which file, in one line."""
    words = error.strerror or str(error) or type(error).__name__
    file = f"{error.filename}: " if error.filename is not None else ""
    return " ".join(f"{file}{words}".split())


def answered(do: Callable[[], int], interrupted: Callable[[], str]) -> int:
    """The exit code of a program: what ``do`` returns, 2 for bad input, 1 for what broke.

    Every error is one line on standard error; ``interrupted`` says what Ctrl-C leaves.
    """
    try:
        code = do()
        flush()
        return code
    except ValueError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(interrupted(), file=sys.stderr)
        return 1
    except BrokenPipeError:
        silence()
        return 1
    except OSError as error:
        silence()
        print(f"error: {cause(error)}", file=sys.stderr)
        return 1
    except MemoryError:
        print("error: out of memory", file=sys.stderr)
        return 1
    except Exception as error:
        print(f"error: {unforeseen(error)}", file=sys.stderr)
        return 1
