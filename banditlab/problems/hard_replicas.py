"""Lower-bound MDP (Rashidinejad et al. 2021, Figure 5 and Theorem 7): n choices that look alike.

Each of n replicas has four states. From s0 one stays with probability p = 1 / (2 - gamma), else
goes to s1; there action 0 leads to plus or minus evenly, action 1 to plus with probability
1/2 + v delta, v = 1 or -1; plus and minus last with probability q = 2 - 1/gamma, else lead back to
s0. Only plus pays, 1 a step; only s1 has a choice. Behind the replicas lies an absorbing state of
reward 0, in which the MDP begins with probability 2 - C when C < 2. The signs v are drawn anew in
every replication, and the log has concentrability C at most::

    J* = w mean_j gamma^2 plus_j / ((1 - gamma) (4 - gamma^2)),   w = min(1, C - 1),

with plus_j the larger probability of plus, and a wrong choice in one replica costs
(w / n) gamma^2 delta / ((1 - gamma) (4 - gamma^2)). Give ``N`` instead of ``delta`` for the
gap of the proof, which shrinks like 1 / sqrt(N).

The printed weights mu(plus) and mu(minus) lack a division by C for C < 2; here they have it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.mdp import MDP, discount, new_mdp
from banditlab.protocols.offline_mdp import Case, LoggedMDP
from banditlab.random import uniform
from banditlab.validate import between, integer, number

example = {"N": 1000, "n": 3}


class HardReplicas(NamedTuple):
    """Parameters."""

    base: Case  # with delta = 0; its optimum is that of no advantage anywhere
    v: np.ndarray  # (n,) float64, 1 or -1; empty: drawn anew in every replication
    delta: float  # in [0, 1/4]
    w: float  # weight of the replicas in the start law


@kernel
def init(params, rng):
    mdp = params.base.mdp
    prob = mdp.prob.copy()
    gamma = mdp.gamma
    n = mdp.start.size // 4
    total = 0.0
    for j in range(n):
        sign = 1.0 if uniform(rng) < 0.5 else -1.0
        if params.v.size > 0:
            sign = params.v[j]
        plus = 0.5 + sign * params.delta
        prob[4 * j + 1, 1, 0] = plus
        prob[4 * j + 1, 1, 1] = 1.0 - plus
        total += max(plus, 0.5)
    dealt = MDP(
        mdp.succ,
        prob,
        mdp.reward,
        mdp.start,
        mdp.legal,
        mdp.terminal,
        gamma,
        mdp.horizon,
        mdp.v_min,
        mdp.v_max,
    )
    optimum = params.w * total / n * gamma * gamma / ((1.0 - gamma) * (4.0 - gamma * gamma))
    return Case(dealt, params.base.mu, optimum)


def hard_replicas(
    gamma: float = 0.9,
    n: int = 10,
    C: float = 4.0,
    delta: float | None = None,
    N: int | None = None,
    v: Sequence[float] | None = None,
) -> LoggedMDP:
    """The instance of n >= 1 replicas.

    Parameters
    ----------
    gamma
        Discount in [1/2, 1).
    C
        Concentrability, above 1.
    delta
        Advantage in [0, 1/4] ...
    N
        ... or the size of the log that it shall suit: min(1/4, sqrt(4 n C / (10 (1 - gamma) N))),
        with another factor C - 1 below for C < 2.
    v
        The n signs, each 1 or -1; drawn anew in every replication by default.

    Raises ValueError, in one line, for whatever is out of range.
    """
    gamma, n = discount(gamma), integer("n", n, 1)
    if gamma < 0.5:
        raise ValueError(f"gamma must be at least 1/2, got {gamma!r}")
    if number("C", C) <= 1.0:
        raise ValueError(f"C must be above 1, got {C!r}")
    C = float(C)
    w = min(1.0, C - 1.0)
    if (delta is None) == (N is None):
        raise ValueError("give either delta or N")
    if N is not None:
        size = integer("N", N, 1)
        delta = min(0.25, math.sqrt(4.0 * n * C / (10.0 * (1.0 - gamma) * w * size)))
    delta = between("delta", delta, 0.0, 0.25)
    signs = np.array([] if v is None else v, dtype=np.float64)
    if v is not None and (signs.shape != (n,) or not np.isin(signs, (-1.0, 1.0)).all()):
        raise ValueError(f"v must hold {n} signs, each 1 or -1, got {v!r}")
    params = HardReplicas(_base(gamma, n, C, w), signs, delta, w)
    return LoggedMDP(params, init, (2, 4 * n + 1, 0), (0.0, 1.0))


def _base(gamma: float, n: int, C: float, w: float) -> Case:
    S, end = 4 * n + 1, 4 * n
    stay, last = 1.0 / (2.0 - gamma), 2.0 - 1.0 / gamma
    succ = np.full((S, 2, 2), end)
    prob, reward = np.zeros((2, S, 2, 2))
    start, mu = np.zeros(S), np.zeros((1, S, 2))
    prob[end, 0, 0] = 1.0
    start[end] = 1.0 - w
    d0 = 2.0 * w / ((2.0 + gamma) * n)
    d1 = 2.0 * gamma * (1.0 - gamma) * w / ((2.0 - gamma) * (2.0 + gamma) * n)
    g = gamma / (2.0 * (1.0 - gamma))
    for j in range(n):
        s0, s1, plus, minus = range(4 * j, 4 * j + 4)
        start[s0] = w / n
        succ[s0, 0], prob[s0, 0] = (s0, s1), (stay, 1.0 - stay)
        succ[s1], prob[s1] = (plus, minus), 0.5
        for s in (plus, minus):
            succ[s, 0], prob[s, 0] = (s, s0), (last, 1.0 - last)
        reward[plus, 0] = 1.0
        mu[0, s0, 0] = d0 / C
        mu[0, s1] = (d1 * (1.0 - 1.0 / C) if C >= 2.0 else d1 / C, d1 / C)
        mu[0, plus, 0], mu[0, minus, 0] = 0.75 * g * d1 / C, 0.5 * g * d1 / C
    mu[0, end, 0] = 1.0 - mu.sum()
    ends = np.arange(S) == end
    high = 1.0 / (1.0 - gamma)
    mdp = new_mdp(succ, prob, reward, start, gamma=gamma, terminal=ends, v_min=0.0, v_max=high)
    optimum = w * 0.5 * gamma**2 / ((1.0 - gamma) * (4.0 - gamma**2))
    return Case(mdp, mu, optimum)
