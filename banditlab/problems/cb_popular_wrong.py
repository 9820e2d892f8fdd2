"""The popular arm is wrong: Rashidinejad et al. 2021 (arXiv 2103.12021), Proposition 3.

Two contexts and two arms; only arm 0 in context 0 pays, always 1. For 1 < C < 2::

    rho(0) = C - 1 - e,      mu(0, 0) = (C - 1 - e)/C,   mu(0, 1) = (C - 1)/C
    rho(1) = 2 - C + e,      mu(1, 0) = (2 - C + e)/C,   mu(1, 1) = 0

The concentrability is C, so the log is nearly an expert's when C is near 1, and yet the arm played
most in context 0 is the wrong one: as the log grows, imitation (``bc``) loses C - 1 - e for ever.
With a single context this cannot happen below C = 2 (Proposition 2).

>>> cb_popular_wrong(C=1.5, e=0.1).params.mu.round(4)
array([[0.2667, 0.3333],
       [0.4   , 0.    ]])
"""

from __future__ import annotations

from banditlab.problems.cb_tables import cb_tables
from banditlab.protocols.online import Problem
from banditlab.validate import inside

example = {"C": 1.5, "e": 0.1}


def cb_popular_wrong(C: float, e: float | None = None) -> Problem:
    """The instance with concentrability ``C``, in (1, 2), and margin ``e``, in (0, C - 1).

    Without ``e`` it is a quarter of C - 1. Raises ValueError for a value out of range.
    """
    C = inside("C", C, 1.0, 2.0)
    e = inside("e", (C - 1.0) / 4.0 if e is None else e, 0.0, C - 1.0)
    return cb_tables(
        rho=[C - 1.0 - e, 2.0 - C + e],
        mu=[[(C - 1.0 - e) / C, (C - 1.0) / C], [(2.0 - C + e) / C, 0.0]],
        means=[[1.0, 0.0], [0.0, 0.0]],
    )
