"""Percentile bootstrap intervals (Efron 1979) of any function of a log's multiplicities.

A log is a bag of units, its rows or its episodes, that were drawn independently. An estimator is
written as a function of how often each unit is taken; the log itself takes each as often as it
was logged, a bootstrap draw takes as many units at random, with replacement.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

CHUNK = 4_000_000  # numbers held at once: 32 MB


class Estimate(NamedTuple):
    """Value of a policy, a confidence interval, and how many units speak for it.

    ``ess``, the effective sample size (sum w)^2 / sum w^2 of the importance weights (Kong 1992),
    is the number of on-policy rows (or episodes) worth as much; all of them for estimates without
    weights. An ``ess`` of 0 says that the log never does what the target does: no value is then
    to be had.
    """

    value: float
    lo: float
    hi: float
    ess: float


def bootstrap(
    estimator: Callable[[np.ndarray], np.ndarray],
    copies: np.ndarray,
    level: float,
    draws: int,
    rng: np.random.Generator,
    width: int,
) -> tuple[float, float, float]:
    """The value of ``estimator`` and a percentile interval of ``level`` from ``draws`` draws.

    ``estimator`` maps multiplicities (draws, units) float64 to values (draws,); ``copies`` (units,)
    int64 are those of the log, and ``width`` how many numbers it holds for one draw.
    """
    value = float(estimator(copies[None].astype(np.float64))[0])
    n = int(copies.sum())
    replicates = np.empty(draws)
    chunk = max(1, CHUNK // width)
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        taken = _taken(rng, n, copies, size)
        replicates[start : start + size] = estimator(taken)
    replicates = replicates[np.isfinite(replicates)]  # self-normalised: a draw without any weight
    lo, hi = np.nan, np.nan
    if replicates.size and math.isfinite(value):
        lo, hi = np.quantile(replicates, (0.5 - level / 2, 0.5 + level / 2))
    return value, float(lo), float(hi)


# The last few draws, and the state of the generator after them. Whoever values several policies on
# one log with one seed takes the same rows for all of them, and to draw them takes a quarter of it.
_drawn: dict[Any, tuple[np.ndarray, Any]] = {}
KEPT = 2


def _taken(rng: np.random.Generator, n: int, copies: np.ndarray, size: int) -> np.ndarray:
    """How often each unit is taken in ``size`` draws of ``n``: (size, units) float64, read-only."""
    key = (repr(rng.bit_generator.state), n, size, copies.tobytes())
    if key not in _drawn:
        taken = rng.multinomial(n, copies / n, size=size).astype(np.float64)
        taken.flags.writeable = False
        while len(_drawn) >= KEPT:
            _drawn.pop(next(iter(_drawn)), None)
        _drawn[key] = taken, rng.bit_generator.state
    taken, rng.bit_generator.state = _drawn[key]
    return taken


def effective(copies: np.ndarray, weight: np.ndarray) -> float:
    """Kong's effective sample size."""
    squares = float(copies @ (weight * weight))
    total = float(copies @ weight)
    return total * total / squares if squares > 0 else 0.0
