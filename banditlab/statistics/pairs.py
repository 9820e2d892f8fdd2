"""Every agent against every other, paired: replication r has the same luck for all of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from banditlab.statistics.means import clopper_pearson, holm, paired_p, t_interval
from banditlab.validate import inside


class Pair(NamedTuple):
    """What the replications say of two agents ``a`` and ``b``."""

    a: int  # column
    b: int
    difference: float  # mean of a - b
    lo: float  # interval of the difference, Student's
    hi: float
    p: float  # two-sided paired t-test; nan with one replication
    holm: float  # adjusted for all pairs
    chance: float  # that a lies below b in a replication; a tie counts half
    chance_lo: float
    chance_hi: float


def chance_interval(
    a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray, level: float = 0.95
) -> tuple[float, float, float]:
    """How probable it is that ``a`` lies below ``b`` in one replication, and its interval.

    A tie counts as half a win. The interval is Clopper's and Pearson's, exact without ties and
    wider than need be with them. All are nan where a value is. Raises ValueError for lists of
    several lengths.
    """
    level = inside("level", level, 0.0, 1.0)
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or a.size == 0:
        raise ValueError(f"a and b must be equally long lists, got shapes {a.shape} and {b.shape}")
    if np.isnan(a).any() or np.isnan(b).any():
        return math.nan, math.nan, math.nan
    wins = float((a < b).sum() + 0.5 * (a == b).sum())
    lo, hi = clopper_pearson(np.array(wins), a.size, level)
    return wins / a.size, float(lo), float(hi)


def compare_all(values: np.ndarray, level: float = 0.95) -> list[Pair]:
    """All pairs of the columns of ``values`` (replications, agents), in order.

    Raises ValueError without replications or for a ``level`` outside (0, 1).
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or len(values) == 0:
        raise ValueError(f"values must be (replications, agents), got shape {values.shape}")
    pairs = list(itertools.combinations(range(values.shape[1]), 2))
    p = np.array([paired_p(values[:, a], values[:, b]) for a, b in pairs])
    found = []
    for (a, b), plain, adjusted in zip(pairs, p, holm(p), strict=True):
        mean, _, lo, hi = t_interval((values[:, a] - values[:, b])[:, None], level)
        chance = chance_interval(values[:, a], values[:, b], level)
        ends = (float(mean[0]), float(lo[0]), float(hi[0]))
        found.append(Pair(a, b, *ends, float(plain), float(adjusted), *chance))
    return found
