"""Missing mass: what even an expert's log (C* = 1) does not show.

The instance behind the S/N of Rashidinejad et al. 2021 (arXiv 2103.12021), Theorems 4 and 5, and
their Lemma 6 on imitation. Each of S contexts is met, and logged, with probability
z = 1/(N + 1). One arm of A, drawn anew for every context and replication, pays 1 and the others
0; the log shows nothing but that arm. The rest of the probability lies on one further context,
the last, in which all arms pay 1. Whatever copies logged arms and guesses elsewhere (``lcb``,
``bc``, ``greedy_offline``) loses in expectation exactly::

    S z (1 - z)^N (1 - 1/A)

which :func:`banditlab.protocols.loops.exact.missing_mass` gives.

>>> cb_missing_mass(N=1000, S=50).shape
(2, 51, 0)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.problems.cb_tables import contextual, world_of
from banditlab.protocols.online import Problem
from banditlab.random import below
from banditlab.validate import integer

example = {"N": 100, "S": 10}


class CBMissingMass(NamedTuple):
    """Parameters."""

    rho: np.ndarray  # (S + 1,) float64
    A: int  # number of arms


@kernel
def init(params, rng):
    S = params.rho.size - 1
    mu = np.zeros((S + 1, params.A))
    means = np.zeros((S + 1, params.A))
    for s in range(S):
        expert = below(rng, params.A)
        mu[s, expert] = params.rho[s]
        means[s, expert] = 1.0
    mu[S, 0] = params.rho[S]
    for k in range(params.A):
        means[S, k] = 1.0
    return world_of(params.rho, mu, means)


def cb_missing_mass(N: int, S: int = 50, A: int = 2) -> Problem:
    """The instance against logs of ``N`` rows, with ``S`` rare contexts and ``A`` arms.

    ``N`` and ``S`` are at least 1 with ``S <= N + 1``, and ``A`` at least 2.
    Raises ValueError for a value out of range.
    """
    N, S, A = integer("N", N, 1), integer("S", S, 1), integer("A", A, 2)
    if S > N + 1:
        raise ValueError(f"S must be at most N + 1 = {N + 1}, got {S}")
    rho = np.full(S + 1, 1.0 / (N + 1))
    rho[S] = 1.0 - S / (N + 1)
    return contextual(CBMissingMass(rho, A), init, S + 1, A)
