"""Enough replications: which of the two agents that look best is surely the better one.

Means of regret are hard to tell apart, for regrets are skewed: an agent may do well in all but one
replication of a thousand, in which it never finds the best arm (Fan & Glynn 2021). No rule that
knows nothing of the law but the replications so far can be valid for all laws (Bahadur & Savage
1956): what has not happened yet may outweigh all that has. So there are two rules.

- Where one replication's value is known to lie in a range, as pseudo-regret does: **betting**
  (Waudby-Smith & Ramdas 2024). Let D be the difference of the values of an agent j and of i in one
  replication, |D| <= B. If i is not better than j, that is, E[D] <= 0, then for every c in [0, 1]
  the wealth ``prod (1 + c D / B)`` of who bets that i is better is a nonnegative supermartingale.
  So it ever reaches 1/a with probability at most a (Ville 1939), whatever the law in the range,
  however often one looks, and whenever one stops. The same holds of an average of such wealths over
  c, which finds the right c by itself. With K agents there are K (K - 1) claims "i is better than
  j", of which each may fail with probability alpha / (K (K - 1)): the two may so be chosen by
  looking at the same replications.
- Elsewhere: **spending** (Lan & DeMets 1983), a paired t-test at each of a few looks fixed
  beforehand, of levels that add up to alpha and grow as O'Brien's and Fleming's do, so that next to
  nothing is decided while few replications have been seen. Levels that add up need no joint law of
  the looks. It is valid as far as the mean of so many differences is normal. As a guard against
  what has not happened yet, the test counts GUARD more replications, which speak against the leader
  by the largest difference seen: what happens in one replication of n / 3 is missed by n of them
  with probability exp(-3). Where all differences agree it decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from banditlab.statistics.means import paired_p
from banditlab.validate import inside, integer

# Fractions c of the largest bet that cannot lose more than there is, and what is staked on each:
# most on large ones, for differences are small against the range as a rule.
BETS = 0.98 * 0.5 ** np.arange(14)
STAKES = 1.0 / (np.arange(1, 15) * np.arange(2, 16))
GUARD = 3


class Verdict(NamedTuple):
    """What a look at the replications finds."""

    leader: int  # column with the smallest mean
    runner_up: int
    decided: bool
    rule: str  # "betting" or "spending"
    evidence: float  # betting: log10 of the e-value; spending: the p-value
    needed: float  # the least such logarithm, or the largest p-value, that decides


def log_e_value(differences: np.ndarray, most: float) -> float:
    """Natural logarithm of the evidence that the mean of ``differences`` is above 0.

    ``most`` > 0 is the largest size that a difference can have. Where the mean is at most 0, this
    exceeds log(1 / a) for any number of replications with probability at most a, see the module.
    Raises ValueError for a difference beyond ``most``, or for a ``most`` that is not positive.
    """
    if not 0.0 < most < math.inf:
        raise ValueError(f"most must be a positive number, got {most!r}")
    d = np.asarray(differences, dtype=np.float64) / most
    if d.size and not np.abs(d).max() <= 1.0 + 1e-9:
        raise ValueError(f"differences must lie within {most:g}, got {np.abs(d).max() * most:g}")
    d = np.clip(d, -1.0, 1.0)
    wealth = np.log1p(BETS[:, None] * d).sum(axis=1)
    stakes = np.log(STAKES / STAKES.sum())
    return float(np.logaddexp.reduce(stakes + wealth))


def spent(alpha: float, share: float) -> float:
    """Of the level ``alpha``, what O'Brien's and Fleming's rule has spent at a share of the looks.

    ``share`` in [0, 1] is that of the replications: 2 - 2 Phi(z / sqrt(share)).
    """
    from scipy.special import ndtr, ndtri

    if share <= 0.0:
        return 0.0
    return float(2.0 * ndtr(ndtri(alpha / 2.0) / math.sqrt(min(share, 1.0))))


def top_two(
    values: np.ndarray,
    alpha: float = 0.05,
    *,
    span: tuple[float, float] | None = None,
    looks: Sequence[float] = (),
    most: int | None = None,
) -> Verdict:
    """Whether it is decided which of the two columns with the smallest means is the smaller.

    Parameters
    ----------
    values
        (replications, agents), smaller is better; at least two agents.
    alpha
        Over all looks, the probability of ever deciding for an agent whose expectation is not
        smaller is at most this.
    span
        The range in which each value is known to lie: then betting decides, and the looks are free.
    looks
        Numbers of replications at the earlier looks, which spending needs; increasing. Fractions
        where a row is the mean of several replications.
    most
        Number of replications of the last look that there can be, which spending needs; by
        default this one.

    Raises
    ------
    ValueError
        For values outside ``span`` or not finite, fewer than two agents, no replication, or looks
        that do not increase.
    """
    alpha = inside("alpha", alpha, 0.0, 1.0)
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or len(values) == 0 or values.shape[1] < 2:
        raise ValueError(
            f"values must be (replications, agents), two at least, got shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise ValueError("values must be finite: leave out agents that have nan or inf")
    n, agents = values.shape
    order = np.argsort(values.mean(axis=0), kind="stable")
    leader, runner_up = int(order[0]), int(order[1])
    differences = values[:, runner_up] - values[:, leader]
    claims = agents * (agents - 1)
    if span is not None:
        low, high = span
        slack = 1e-9 * (high - low)  # sums of rounded numbers may end a little outside
        outside = values[(values < low - slack) | (values > high + slack)]
        if not low < high or outside.size:
            got = f"got a value of {outside.flat[0]:g}" if outside.size else "and LOW below HIGH"
            raise ValueError(f"span must hold every value, {low:g} to {high:g}, {got}")
        evidence = log_e_value(differences, high - low) / math.log(10.0)
        needed = math.log10(claims / alpha)
        return Verdict(leader, runner_up, evidence >= needed, "betting", evidence, needed)
    most = integer("most", n if most is None else most, n)
    before = [0, *looks]
    if any(b >= a for b, a in zip(before, [*looks, n], strict=True)):
        raise ValueError(f"looks must increase, got {[*looks, n]}")
    level = 2.0 * alpha / claims  # two-sided, of each of the pairs
    needed = spent(level, n / most) - spent(level, before[-1] / most)
    if n < 2 or (differences == differences[0]).all():
        return Verdict(leader, runner_up, False, "spending", 1.0, needed)
    guarded = np.append(differences, np.full(GUARD, -np.abs(differences).max()))
    p = paired_p(guarded, np.zeros_like(guarded)) if guarded.mean() > 0.0 else 1.0
    return Verdict(leader, runner_up, p <= needed, "spending", p, needed)
