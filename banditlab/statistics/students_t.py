"""Student's distribution, by itself: ``scipy.special``, which has it, takes .2 s to import.

That is a tenth of a short run, which needs nothing else of it. Both functions are exact to about
1e-13 of their value, however small that is.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

MOST_STEPS = 10_000
TINY = 1e-300  # in the place of a 0 that would be divided by


def student_tail(df: int, t: float) -> float:
    """The probability of more than ``t`` with ``df`` >= 1 degrees of freedom; nan for nan.

    Half the regularised incomplete beta function I_x(df / 2, 1 / 2) at x = df / (df + t^2).
    """
    if t < 0.0:
        return 1.0 - student_tail(df, -t)
    if not math.isfinite(t):
        return t if math.isnan(t) else 0.0
    a, b, square = df / 2.0, 0.5, t * t
    x, y = df / (df + square), square / (df + square)
    front = _one_by_beta(a) * math.exp(-a * math.log1p(square / df)) * math.sqrt(y)
    if x < (a + 1.0) / (a + b + 2.0):  # where the fraction converges
        return 0.5 * front * _fraction(a, b, x) / a
    return 0.5 - 0.5 * front * _fraction(b, a, y) / b


@lru_cache(maxsize=256)
def student(df: int, level: float) -> float:
    """The quantile with ``df`` >= 1 degrees of freedom at ``level``, in (0, 1)."""
    if level < 0.5:
        return -student(df, 1.0 - level)
    beyond = 1.0 - level
    if beyond == 0.0:  # a level that only rounding has made 1
        return math.inf
    # Newton from below: the tail is convex, so that no step leads beyond the quantile.
    t = NormalDist().inv_cdf(level)
    scale = _one_by_beta(df / 2.0) / math.sqrt(df)
    for _ in range(100):
        density = scale * math.exp(-(df + 1) / 2.0 * math.log1p(t * t / df))
        step = (student_tail(df, t) - beyond) / density
        t += step
        if abs(step) <= 1e-14 * t:
            break
    return t


def _one_by_beta(a: float) -> float:
    """1 / B(a, 1 / 2) = Gamma(a + 1 / 2) / Gamma(a) / sqrt(pi)."""
    if a < 50.0:
        return math.gamma(a + 0.5) / math.gamma(a) / math.sqrt(math.pi)
    # Large gammas overflow, and of their logarithms little is left: DLMF 5.11.13, to 1e-15.
    series = (1.0, -1 / 8, 1 / 128, 5 / 1024, -21 / 32768, -399 / 262144, 869 / 4194304)
    return math.sqrt(a / math.pi) * sum(c * a**-k for k, c in enumerate(series))


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of I_x(a, b), DLMF 8.17.22, by Lentz's method."""
    value = down = 1.0 / ((1.0 - (a + b) * x / (a + 1.0)) or TINY)
    up = 1.0
    for m in range(1, MOST_STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0)),
        ):
            down = 1.0 / ((1.0 + term * down) or TINY)
            up = (1.0 + term / up) or TINY
            value *= up * down
        if abs(up * down - 1.0) < 1e-15:
            break
    return value
