"""What the replications say: means, intervals, bands over a whole curve, and paired tests.

``raw`` holds a row per replication, (replications, ...) float64, and everything is along axis 0.
SciPy's distribution functions come from ``scipy.special``, imported where they are used, for it
takes a fifth of a second in which a run can simulate; ``scipy.stats``, of which only the bootstrap
makes use, takes a second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from banditlab.validate import choice, inside, integer

BOOTSTRAPS = ("bca", "percentile")
# Multiplications that the library of linear algebra is handed at once. Of more it makes a job for
# many threads, which wait for each other longer than one of them takes for all.
AT_ONCE = 250_000


class Interval(NamedTuple):
    """A mean and the ends of its confidence interval, each shaped like one replication."""

    mean: np.ndarray
    sem: np.ndarray  # standard error of the mean; nan for one replication
    lo: np.ndarray
    hi: np.ndarray


def mean_sem(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error of the mean.

    The error is nan for one replication, and exactly 0 where all replications agree.
    Raises ValueError without replications.
    """
    raw = np.asarray(raw, dtype=np.float64)
    if raw.ndim == 0 or len(raw) == 0:
        raise ValueError(f"raw must have a row per replication, got shape {raw.shape}")
    n = len(raw)
    mean = raw.mean(axis=0)
    if n == 1:
        return mean, np.full_like(mean, np.nan)
    same = (raw == raw[0]).all(axis=0)  # there the rounding of the mean would leave a residue
    mean = np.where(same, raw[0], mean)
    return mean, np.where(same, 0.0, raw.std(axis=0, ddof=1) / math.sqrt(n))


def student(df: int, level: float) -> float:
    """Student's quantile with ``df`` >= 1 degrees of freedom, at ``level`` in (0, 1)."""
    from scipy.special import stdtrit

    return float(stdtrit(df, level))


def t_interval(raw: np.ndarray, level: float = 0.95) -> Interval:
    """Student's interval for every mean by itself; of no width for one replication.

    Raises ValueError without replications, or for a ``level`` outside (0, 1).
    """
    level = inside("level", level, 0.0, 1.0)
    mean, sem = mean_sem(raw)
    n = len(raw)
    half = student(n - 1, 0.5 + level / 2) * sem if n > 1 else np.zeros_like(mean)
    return Interval(mean, sem, mean - half, mean + half)


def bootstrap_interval(
    raw: np.ndarray, level: float = 0.95, method: str = "bca", draws: int = 2000, seed: int = 0
) -> Interval:
    """Bootstrap interval of every mean by itself; replications are drawn again, whole.

    ``method`` is ``bca``, bias-corrected and accelerated, which follows a skewed law (Efron 1987),
    or ``percentile``. Computed by :func:`scipy.stats.bootstrap`. Of no width where all replications
    agree, and for one replication. With fewer than about 20 replications no bootstrap covers as
    often as it says; Student's interval then errs less.

    Raises ValueError without replications, for a ``level`` outside (0, 1), another method, or
    less than one draw.
    """
    level = inside("level", level, 0.0, 1.0)
    method, draws = choice("method", method, BOOTSTRAPS), integer("draws", draws, 1)
    raw = np.asarray(raw, dtype=np.float64)
    mean, sem = mean_sem(raw)
    lo, hi = mean.copy(), mean.copy()
    moves = np.asarray(sem > 0.0)
    if len(raw) > 1 and moves.any():
        from scipy.stats import bootstrap

        columns = raw[:, moves] if mean.ndim else raw[:, None]
        found = bootstrap(
            (columns,), np.mean, axis=0, confidence_level=level, n_resamples=draws,
            method="BCa" if method == "bca" else method, vectorized=True,
            batch=max(1, 4_000_000 // columns.size),  # 32 MB of samples at a time
            random_state=np.random.default_rng(seed),
        ).confidence_interval  # fmt: skip
        ends = (found.low, found.high) if mean.ndim else (found.low[0], found.high[0])
        lo[moves], hi[moves] = ends
    return Interval(mean, sem, lo, hi)


def clopper_pearson(
    successes: np.ndarray | int, n: int, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of the exact interval for a probability, after ``successes`` of ``n`` (1934).

    Raises ValueError for a ``level`` outside (0, 1) or more successes than trials.
    """
    tail = (1.0 - inside("level", level, 0.0, 1.0)) / 2.0
    n = integer("n", n, 1)
    k = np.asarray(successes, dtype=np.float64)
    if not ((k >= 0) & (k <= n)).all():  # nan is neither
        raise ValueError(f"successes must lie in [0, {n}], got {successes!r}")
    from scipy.special import betaincinv

    # At the ends the beta distribution has a parameter 0; the interval reaches the end.
    lo = np.where(k > 0, betaincinv(np.maximum(k, 1.0), n - k + 1.0, tail), 0.0)
    hi = np.where(k < n, betaincinv(k + 1.0, np.maximum(n - k, 1.0), 1.0 - tail), 1.0)
    return lo, hi


def resampled_slopes(
    x: np.ndarray, raw: np.ndarray, draws: int = 1000, seed: int = 0
) -> np.ndarray:
    """Least-squares d log(mean) / d log(x) of ``draws`` bootstrap samples of the replications.

    ``raw`` has shape (replications, points). Replications are drawn whole, for replication r has
    the same luck at every point. nan where a mean is not positive, or with fewer than two points.
    """
    raw = np.asarray(raw, dtype=np.float64)
    n, points = raw.shape
    if n < 2 or points < 2:
        return np.full(draws, np.nan)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, np.full(n, 1.0 / n), size=draws)
    with np.errstate(divide="ignore", invalid="ignore"):
        heights = np.log(counts @ raw / n)
    lever = np.log(np.asarray(x, dtype=np.float64))
    lever -= lever.mean()
    slopes = heights @ lever / (lever @ lever)
    return np.where(np.isfinite(slopes), slopes, np.nan)


def flips(rng: np.random.Generator, size: int, n: int) -> np.ndarray:
    """Even signs, (size, n) float64."""
    return rng.integers(0, 2, (size, n)) * 2.0 - 1.0


@lru_cache(maxsize=1)
def _signs(n: int, draws: int, seed: int) -> np.ndarray:
    """The signs that every curve of as many replications is flipped by."""
    return flips(np.random.default_rng(seed), draws, n)


def simultaneous_critical(
    raw: np.ndarray, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> float:
    """The ``c`` for which ``mean +/- c * sem`` covers the whole curve with probability ``level``.

    The sup-t band of Montiel Olea & Plagborg-Moller (2019): ``c`` is the ``level``-quantile of
    ``max over columns of |mean - truth| / sem``, found by flipping the sign of every
    replication's residual (Rademacher multipliers, studentised anew in each draw; Mammen 1993,
    Chernozhukov, Chetverikov & Kato 2013). Kept between Student's quantile for one column and
    Bonferroni's for all; below five replications, too few for sign flips, it is Bonferroni's.

    ``raw`` has shape (replications, columns). Columns in which all replications agree do not
    count. The result is nan for one replication.
    """
    level = inside("level", level, 0.0, 1.0)
    draws = integer("draws", draws, 1)
    raw = np.asarray(raw, dtype=np.float64)
    n = len(raw)
    mean, sem = mean_sem(raw)
    if n == 1:
        return math.nan
    counted = sem > 0.0
    columns = max(1, int(counted.sum()))
    lowest = student(n - 1, 0.5 + level / 2)
    highest = student(n - 1, 1.0 - (1.0 - level) / (2 * columns))
    if n < 5 or columns == 1:
        return highest
    residuals = (raw[:, counted] - mean[counted]) / (sem[counted] * math.sqrt(n * (n - 1)))
    rng = np.random.default_rng(seed)
    block = max(1, 4_000_000 // n)  # 32 MB of signs at a time
    few = max(1, AT_ONCE // residuals.size)
    sums = []
    for start in range(0, draws, block):
        size = min(block, draws - start)
        signs = _signs(n, draws, seed) if size == draws else flips(rng, size, n)
        for i in range(0, size, few):
            sums.append(np.abs(signs[i : i + few] @ residuals).max(axis=1))
    # A column of residuals has square sum 1, whatever the signs; so a flipped column with sum m
    # has t^2 = m^2 (n - 1) / (n - m^2), which increases with |m|.
    largest = np.concatenate(sums) ** 2
    with np.errstate(divide="ignore"):
        suprema = np.sqrt(largest * (n - 1) / np.maximum(n - largest, 0.0))
    return float(np.clip(np.quantile(suprema, level, method="higher"), lowest, highest))


def paired_p(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    """Two-sided p-value of the paired t-test that ``a`` and ``b`` have the same mean.

    1 when all differences are 0, 0 when they are all the same and not 0, nan when there is just
    one and it is not 0. Raises ValueError when the lengths differ.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"a and b must be equally long lists, got shapes {a.shape} and {b.shape}")
    difference, sem = mean_sem(a - b)
    if sem == 0.0 or (difference == 0.0 and len(a) == 1):
        return 1.0 if difference == 0.0 else 0.0
    if len(a) == 1:
        return math.nan
    from scipy.special import stdtr

    return float(2.0 * stdtr(len(a) - 1, -np.abs(difference / sem)))


def holm(pvalues: Sequence[float] | np.ndarray) -> np.ndarray:
    """P-values adjusted for making all these tests at once (Holm 1979), in the order given.

    Rejecting where the result is below ``alpha`` errs at all with probability at most ``alpha``.
    A nan stays nan and does not count as a test.
    """
    pvalues = np.asarray(pvalues, dtype=np.float64)
    adjusted = np.full_like(pvalues, np.nan)
    order = np.argsort(pvalues, kind="stable")  # nan last
    m = int(np.isfinite(pvalues).sum())
    largest = 0.0
    for rank, i in enumerate(order[:m]):
        largest = max(largest, min(1.0, (m - rank) * pvalues[i]))
        adjusted[i] = largest
    return adjusted
