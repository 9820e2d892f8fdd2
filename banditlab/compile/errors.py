"""A kernel that does not compile, in one line: which file, which line, and why."""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from numba.core.errors import NumbaError

# Lines of Numba's report that say where it was, not what is wrong.
CHATTER = ("Failed in", "- Resolution failure", "During:")


class KernelError(ValueError):
    """A kernel does not compile: file, line and reason in one line."""


def explained(error: NumbaError, space: Mapping[str, Any]) -> KernelError:
    """Numba's report, thirty lines and more, as the one line that its reader looks for.

    ``space`` holds the kernels of the pair under the names that its text gives them.
    """
    lines = [x for x in map(str.strip, str(error).splitlines()) if x and not x.startswith(CHATTER)]
    reason = lines[0] if lines else type(error).__name__
    if reason.endswith(":") and len(lines) > 1:  # what was called stands on the next line
        reason = f"{reason} {lines[1].removeprefix('>>> ')}"
    reason = re.sub(r"Function\(<function (\w+) at \w+>\)", r"\1", reason)
    place = re.search(r'File "([^"]+)", line (\d+)', str(error))
    if place is None:
        return KernelError(reason)
    file, line = place[1], int(place[2])
    called = re.search(r"\b(?:algorithm|problem)\.(\w+)\(", linecache.getline(file, line))
    if "protocols" in file and called:  # the loop calls a kernel that could not be made
        for kernel in (space.get(f"{called[1]}{i}") for i in range(2)):
            function = getattr(kernel, "py_func", None)
            if function is not None:
                file, line = function.__code__.co_filename, _line_of(function, reason)
                break
        if "Cannot bind" in reason:
            given = inspect.signature(function) if function else "?"
            reason = f"{called[1]}{given} does not take the arguments that the protocol gives it"
    return KernelError(f"{Path(file).name}, line {line}: {reason}")


def _line_of(function: FunctionType, reason: str) -> int:
    """The line of ``function`` that uses the name that ``reason`` complains of, else its first."""
    first = function.__code__.co_firstlineno
    name = re.search(r"name '(\w+)'", reason)
    source = inspect.getsource(function).splitlines()
    for i, text in enumerate(source):
        if name and re.search(rf"\b{name[1]}\b", text):
            return first + i
    return first
