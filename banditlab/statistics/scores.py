"""Aggregates over runs and tasks, as defined by Agarwal et al., "Deep Reinforcement Learning at the
Edge of the Statistical Precipice" (2021), and computed by their package `rliable`.

``scores`` has shape (runs, tasks) float64, larger is better, on one scale for all tasks. Intervals
are percentiles of the stratified bootstrap: the runs of each task are drawn again by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from banditlab.validate import inside, integer, number

Statistic = Callable[[np.ndarray], np.ndarray]  # (..., runs, tasks) -> (..., anything)


class Aggregate(NamedTuple):
    """Four summaries of one agent, each a value and the ends of its interval."""

    iqm: tuple[float, float, float]
    mean: tuple[float, float, float]
    median: tuple[float, float, float]  # of the tasks' means
    optimality_gap: tuple[float, float, float]


def _scores(scores: np.ndarray, name: str = "scores") -> np.ndarray:
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim < 2 or 0 in scores.shape[-2:]:
        raise ValueError(f"{name} must be (runs, tasks), got shape {scores.shape}")
    if not np.isfinite(scores).all():
        raise ValueError(f"{name} must be finite")
    return scores


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean: of the middle half of all runs of all tasks."""
    scores = _scores(scores)
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = flat.shape[-1] // 4
    return flat[..., cut : flat.shape[-1] - cut].mean(axis=-1)


def mean_of_means(scores: np.ndarray) -> np.ndarray:
    """Mean over tasks of the mean over runs."""
    return _scores(scores).mean(axis=(-2, -1))


def median_of_means(scores: np.ndarray) -> np.ndarray:
    """Median over tasks of the mean over runs."""
    return np.median(_scores(scores).mean(axis=-2), axis=-1)


def optimality_gap(scores: np.ndarray, target: float = 1.0) -> np.ndarray:
    """By how much the runs fall short of ``target``, on average; beyond it nothing is gained."""
    return target - np.minimum(_scores(scores), number("target", target)).mean(axis=(-2, -1))


def performance_profile(scores: np.ndarray, taus: np.ndarray) -> np.ndarray:
    """Share of all runs of all tasks with a score above each of ``taus`` (n,): (..., n).

    Raises ValueError for ``taus`` that are no list of numbers.
    """
    scores, taus = _scores(scores), np.asarray(taus, dtype=np.float64)
    if taus.ndim != 1 or taus.size == 0 or np.isnan(taus).any():
        raise ValueError(f"taus must be a list of numbers, got {taus.tolist()!r}")
    above = [(scores > tau).mean(axis=(-2, -1)) for tau in taus]
    return np.stack(above, axis=-1)


def probability_of_improvement(x: np.ndarray, y: np.ndarray) -> float:
    """How probable it is that a run of ``x`` scores above one of ``y``, averaged over tasks.

    Both are (runs, tasks) and may have different numbers of runs; every run of the one meets every
    run of the other (the Mann-Whitney statistic), and a tie counts half.
    """
    x, y = _scores(x, "x"), _scores(y, "y")
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"x and y must have the same tasks, got shapes {x.shape} and {y.shape}")
    found = []
    for one, other in zip(x.T, np.sort(y.T, axis=1), strict=True):
        below = np.searchsorted(other, one, side="left")
        up_to = np.searchsorted(other, one, side="right")
        found.append((below + up_to).mean() / (2 * other.size))
    return float(np.mean(found))


def _draws(
    scores: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:  # (draws, runs, tasks)
    runs, tasks = scores.shape
    return scores[rng.integers(0, runs, (draws, runs, tasks)), np.arange(tasks)]


def stratified_interval(
    statistic: Callable[..., np.ndarray | float],
    *scores: np.ndarray,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval of ``statistic(*scores)`` under the stratified bootstrap.

    Each of ``scores`` is (runs, tasks), drawn again by itself; the statistic may give an array.
    Raises ValueError for a ``level`` outside (0, 1) or less than one draw.
    """
    level, draws = inside("level", level, 0.0, 1.0), integer("draws", draws, 1)
    given = [_scores(one) for one in scores]
    rng = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    block = max(1, 4_000_000 // sum(one.size for one in given))  # 32 MB of samples at a time
    for start in range(0, draws, block):
        size = min(block, draws - start)
        samples = [_draws(one, size, rng) for one in given]
        found += [np.asarray(statistic(*(one[i] for one in samples))) for i in range(size)]
    lo, hi = np.quantile(np.stack(found), [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return lo, hi


def aggregate(
    scores: np.ndarray, target: float = 1.0, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> Aggregate:
    """All four summaries with their intervals."""

    def all_four(one: np.ndarray) -> np.ndarray:
        gap = optimality_gap(one, target)
        return np.array([iqm(one), mean_of_means(one), median_of_means(one), gap])

    scores = _scores(scores)
    values = all_four(scores)
    lo, hi = stratified_interval(all_four, scores, level=level, draws=draws, seed=seed)
    found = zip(values.tolist(), lo.tolist(), hi.tolist(), strict=True)
    return Aggregate(*found)
