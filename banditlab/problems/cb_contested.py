"""Contested arms: the hard family of Rashidinejad et al. 2021 (arXiv 2103.12021), Theorem 5.

In each of S contexts arm 0 pays 1 with probability 1/2 and arm 1 with probability
1/2 + v(s) delta, where v(s) = +1 or -1 is a fair coin tossed anew for every context and
replication. No rule that reads N rows of concentrability C does better than
sqrt(S (C - 1) / N) here, because delta is as small as such a log can just not resolve::

    C >= 2:      rho(s) = 1/S,  mu(s, 0) = 1/S - 1/(S C),  mu(s, 1) = 1/(S C)
                 delta = min(sqrt(S C / (200 N)), 1/3)
    1 <= C < 2:  rho(s) = (C - 1)/S,  mu(s, 0) = mu(s, 1) = (C - 1)/(S C)
                 and a further context with nothing to decide and no reward:
                 rho = 2 - C,  mu = (2 - C)/C
                 delta = min(sqrt(S C / (200 (C - 1) N)), 1/3)

At C = 1 only the further context is left, and no rule loses anything.

>>> problem = cb_contested(C=4, N=1000, S=50)
>>> problem.shape, round(problem.params.delta, 4)
((2, 50, 0), 0.0316)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.problems.cb_tables import contextual, world_of
from banditlab.protocols.online import Problem
from banditlab.random import uniform
from banditlab.validate import integer, number

example = {"C": 1.5, "N": 1000}


class CBContested(NamedTuple):
    """Parameters."""

    rho: np.ndarray  # (S,) float64, or (S + 1,) with the further context last
    mu: np.ndarray  # (like rho, 2) float64
    S: int  # number of contested contexts
    delta: float  # arm 1 pays 1/2 + delta or 1/2 - delta


@kernel
def init(params, rng):
    means = np.zeros(params.mu.shape)
    for s in range(params.S):
        means[s, 0] = 0.5
        means[s, 1] = 0.5 + (params.delta if uniform(rng) < 0.5 else -params.delta)
    return world_of(params.rho, params.mu, means)


def cb_contested(C: float, N: int, S: int = 50) -> Problem:
    """The family's instance against logs of ``N`` rows and concentrability ``C``.

    ``C`` is at least 1, ``N`` and ``S``, the number of contested contexts, at least 1.
    Raises ValueError for a value out of range.
    """
    N, S = integer("N", N, 1), integer("S", S, 1)
    C = number("C", C)
    if C < 1.0:
        raise ValueError(f"C must be at least 1, got {C!r}")
    if C >= 2.0:
        rho = np.full(S, 1.0 / S)
        mu = np.full((S, 2), 1.0 / (S * C))
        mu[:, 0] = 1.0 / S - 1.0 / (S * C)
        delta = min(math.sqrt(S * C / (200 * N)), 1 / 3)
    else:
        rho = np.append(np.full(S, (C - 1.0) / S), 2.0 - C)
        mu = np.full((S + 1, 2), (C - 1.0) / (S * C))
        mu[S] = (2.0 - C) / C, 0.0
        delta = min(math.sqrt(S * C / (200 * (C - 1.0) * N)), 1 / 3) if C > 1.0 else 1 / 3
    return contextual(CBContested(rho, mu, S, delta), init, rho.size, 2)
