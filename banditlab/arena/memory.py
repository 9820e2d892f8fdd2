"""What an arena needs in memory, said before it starts; and how more replications fit in less.

An arena keeps every replication's totals: 8 bytes for each replication, checkpoint and measure of
each curve. Where that is too much and the user names a bound, a curve keeps the means of batches of
successive replications instead. Batches are independent and alike, as replications are, and two
agents' batches are paired as their replications are, so every mean, interval, band, paired
difference and bootstrapped slope is what it was, to rounding and to the degrees of freedom of ROWS
units. What single replications were, their quantiles for instance, is then not kept: a run of the
first ten thousand replications has exactly those.
"""

from __future__ import annotations

import re
from contextlib import suppress

from banditlab import machine

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
SHARE = 0.5  # of what is available that an arena may take by default
ROWS = 10_000  # batches of a curve: fewer widen intervals, more narrow them by nothing
FEWEST = 100  # batches of a curve below which its intervals would suffer
PROGRAM = 300 * 10**6  # Python, NumPy, Numba, pandas, Matplotlib and Arrow

Shape = tuple[int, int, int]  # replications, checkpoints, measures


def size(text: str) -> int:
    """Bytes in words such as "800MB", "1.5 GB" or "2e9"; ValueError for anything else."""
    match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([KMGT]?)(?:i?B)?\s*", text, re.IGNORECASE)
    with suppress(ValueError, OverflowError):
        if match and (found := int(float(match[1]) * UNITS[match[2].upper()])) > 0:
            return found
    raise ValueError(f"memory must be a size such as 800MB or 4GB, got {text!r}")


def words(count: float) -> str:
    """Bytes for a reader."""
    for unit, value in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= value:
            return f"{count / value:.3g} {unit}"
    return f"{count / 1000:.3g} kB"


def need(shapes: list[Shape], copies: int = 1, programs: int = 1) -> int:
    """Bytes that curves of these shapes take: their totals, and what statistics make of one.

    ``programs`` is how many processes there are beside them, this one included.
    """
    totals = copies * sum(8 * r * c * m for r, c, m in shapes)
    work = max(32 * r * c + 16_000 * min(r, ROWS) for r, c, _ in shapes)
    return programs * PROGRAM + totals + work


def batches(
    shapes: list[Shape], memory: int | None, copies: int = 1, programs: int = 1
) -> list[int]:
    """How many replications each curve takes the mean of, so that all fit in ``memory`` bytes.

    1 for all where every replication fits. Without ``memory`` that must be so within SHARE of what
    is available. ``copies`` of all totals are held at a time. ValueError, in one line, where it
    cannot be done.
    """
    wanted = need(shapes, copies, programs)
    most, whose = memory, "memory, "
    if memory is None:
        free = machine.available()
        most, whose = (None if free is None else int(SHARE * free)), "half of what is available, "
    if most is None or wanted <= most:
        return [1] * len(shapes)
    line = (
        f"{max(r for r, _, _ in shapes):,} replications of {len(shapes)} curves at up to "
        f"{max(c for _, c, _ in shapes):,} checkpoints need about {words(wanted)} of memory, more "
        f"than {whose}{words(most)}: "
    )
    if memory is None:
        raise ValueError(
            f"{line}take fewer --replications or fewer checkpoints, or say --memory SIZE: what "
            "does not fit is then kept as means of batches of replications"
        )
    found = [_batch(r) for r, _, _ in shapes]
    awkward = [r for (r, _, _), batch in zip(shapes, found, strict=True) if batch == 0]
    if awkward:
        step = 10 ** (len(str(awkward[0])) - 2)
        raise ValueError(
            f"{line}and {awkward[0]:,} replications cannot be cut into equal batches: take "
            f"--replications {awkward[0] // step * step}"
        )
    left = [(r // batch, c, m) for (r, c, m), batch in zip(shapes, found, strict=True)]
    if (still := need(left, copies, programs)) > most:
        fewer = "curves or checkpoints" if programs == 1 else "workers, curves or checkpoints"
        raise ValueError(
            f"{line}batches of them still need {words(still)}: take fewer {fewer}, or more --memory"
        )
    return found


def _batch(replications: int) -> int:
    """The smallest batch that leaves at most ROWS of them, all of one size; 0 if there is none."""
    least = -(-replications // ROWS)
    for batch in range(least, max(least, replications // FEWEST) + 1):
        if replications % batch == 0:
            return batch
        if batch > 100 * least:
            break
    return 0
