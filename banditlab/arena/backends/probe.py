"""How many workers this machine has room for: asked, or found out within a second."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import time

SECOND = 1.0  # of the whole probe
ENOUGH = 0.05  # of a core: a further worker that adds less is not worth its memory
PIECE = bytes(1 << 18)  # hashing it releases Python's lock, for about a tenth of a millisecond


def chosen(workers: int | str | None) -> int:
    """The number asked for; for None that of the cores; for "auto" what a probe finds, and says."""
    if workers == "auto":
        return _probed(os.cpu_count() or 1)
    return int(workers) if workers is not None else os.cpu_count() or 1


def _probed(cores: int) -> int:
    """The fewest of 1, 2, 4, ... workers beyond which nothing is gained; says what it found."""
    counts = sorted({cores} | {2**i for i in range(cores.bit_length()) if 2**i < cores})
    each = SECOND / len(counts)
    speeds = [speed(count, each) for count in counts]
    best = counts[0]
    for (count, now), (before, then) in zip(
        list(zip(counts, speeds, strict=True))[1:],
        zip(counts, speeds, strict=True),
        strict=False,
    ):
        if now - then < ENOUGH * (count - before) * speeds[0]:
            break
        best = count
    found = ", ".join(
        f"{count}: {speed / speeds[0]:.2f}" for count, speed in zip(counts, speeds, strict=True)
    )
    print(f"workers: {best} of {cores} cores (speed by workers: {found})", file=sys.stderr)
    return best


def speed(workers: int, seconds: float) -> float:
    """Pieces a second that so many threads hash together."""
    end = time.perf_counter() + seconds
    counts = [0] * workers

    def work(i: int) -> None:
        while time.perf_counter() < end:
            hashlib.sha256(PIECE).digest()
            counts[i] += 1

    threads = [threading.Thread(target=work, args=(i,)) for i in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds
