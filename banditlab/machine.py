"""What the machine has, and what does not fit into it."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

SMALL = 10**6  # entries, for which there is always room
# Arguments of problems and agents that tables have as their shapes.
HAVE = (
    ("n_arms", "n_contexts"), ("n_arms", "dim"), ("dim", "dim"), ("S", "A"),
    ("n",), ("window",), ("max_delay",), ("H", "S", "A"), ("steps", "n_states", "n_actions"),
)  # fmt: skip
TABLES = 16  # of all entries: what a few replications at a time take, about


def available() -> int | None:
    """Bytes that this process may still take; None where the system does not say."""
    found = []
    with suppress(OSError, ValueError, IndexError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(1024 * int(next(x for x in lines if x.startswith("MemAvailable")).split()[1]))
    group = Path("/sys/fs/cgroup")
    for most, now in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # "max" is no number: there is no limit
            found.append(int((group / most).read_text()) - int((group / now).read_text()))
    with suppress(ImportError, OSError, ValueError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            found.append(limit)
    if not found:
        with suppress(AttributeError, OSError, ValueError):
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return max(0, min(found)) if found else None


def peak_memory() -> int | None:
    """Most bytes that this process had in memory so far; None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most  # bytes there, kilobytes elsewhere


def check_room(who: str, sizes: Mapping[str, Any]) -> None:
    """Refuse, in one line, sizes of which the tables would not fit in memory.

    ``sizes``: arguments by name; those that are no size, or no whole number, are not looked at. To
    try it would not do: a system may hand out more than it has, and then end the program.
    """
    known = {key: value for key, value in sizes.items() if type(value) is int and value > 1}
    entries = max(math.prod(known.get(key, 1) for key in table) for table in HAVE)
    shape = {key for table in HAVE for key in table}
    line = ", ".join(f"{key}={value}" for key, value in known.items() if key in shape)
    check_entries(f"{who}: there is no memory for {line}", entries)


def check_entries(line: str, entries: int) -> None:
    """Refuse, with that ``line``, tables of so many entries that they would not fit in memory."""
    free = available() if entries > SMALL else None
    if free is not None and 8 * TABLES * entries > free:
        raise ValueError(line)
