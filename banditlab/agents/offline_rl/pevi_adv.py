"""PEVI-Adv (Xie, Jiang, Wang, Xiong & Bai 2021): pessimism with a reference and its advantage.

Finite horizon H only. The log of each step is cut at random: a third gives a reference value V_ref
by VI-LCB with penalty c span sqrt(i / N_h); a third estimates P V_ref, where a fixed V_ref allows
a variance; an H-th of the last third estimates P (V - V_ref), small once V_ref is close::

    Q_h = r + P_0 V_ref - b_0 + P_1 (V - V_ref) - b_1,    V_h = max(max_a Q_h, V_ref, low_h)
    b_0 = c (sqrt(i Var_0(V_ref) / N_0) + span i / N_0),   b_1 likewise with V - V_ref on D_1

with i = log(H S A / delta), V and V_ref those of step h + 1, span = v_max - v_min in place of H,
and max(N, 1) for N. The action is that of whichever gave the maximum. Constants after the paper's
form; the theory has large ones, ``c = 0.05`` is practical. The paper cuts whole episodes; here
the rows of each step are cut for themselves, which only makes the parts less dependent. low_h is
the least that the steps left can be worth, 0 in the paper, whose rewards lie in [0, 1]; reading the
policy, a pair without data in either part counts as worth that.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.planners import count_pairs, count_rows, deploy, range_ahead, shuffled_rows
from banditlab.protocols.offline_mdp import OfflineMDP
from banditlab.validate import inside, nonnegative

label = "PEVI-Adv"

example = {"name": "gambler", "goal": 8, "H": 8, "C": 3.0}


class PEVIAdv(NamedTuple):
    """Hyper-parameters."""

    c: float = 0.05  # >= 0: constant of the penalties
    delta: float = 0.1  # in (0, 1): failure probability


@kernel
def mean_and_variance(model, counts, n, s, a, V):
    """Of V at the next state of a pair seen n > 0 times."""
    mean = 0.0
    for k in range(counts.shape[2]):
        mean += counts[s, a, k] * V[model.succ[s, a, k]]
    mean /= n
    variance = 0.0
    for k in range(counts.shape[2]):
        off = V[model.succ[s, a, k]] - mean
        variance += counts[s, a, k] * off * off
    return mean, variance / n


@kernel
def improve(model, s, q, n, V, rule):
    """Where the best q of state s exceeds V[s], take its value and its action."""
    best = -np.inf
    for a in range(q.size):
        if model.legal[s, a]:
            best = max(best, q[a])
    if model.terminal[s]:
        V[s] = 0.0
    elif best > V[s]:
        V[s] = best
        deploy(q, n, model.legal[s], False, rule)


@kernel
def plan(params, model, rng, policy):
    if model.horizon == 0:
        raise ValueError("pevi_adv needs a finite horizon")
    H = model.horizon
    S, A, K = model.succ.shape
    span = model.v_max - model.v_min
    iota = numeric.log(1.0 * H * S * A / params.delta)
    reference = np.zeros((H + 1, S))
    counts = np.empty((2, S, A, K))  # of D_0 and D_1; the first serves D_ref too
    n = np.empty((2, S, A))
    q = np.empty(A)
    equal = np.zeros(A)
    V = np.zeros(S)
    above = np.zeros(S)  # V - V_ref at the next step
    last = np.zeros(S)
    for h in range(H - 1, -1, -1):
        rows = shuffled_rows(model.counts[h], rng)
        third = rows.size // 3
        low, _ = range_ahead(model, model.horizon - h * 1.0)
        part = max(third // H, 1)
        count_rows(rows, 0, third, counts[0])
        count_pairs(counts[0], n[0])
        for s in range(S):
            reference[h, s] = 0.0 if model.terminal[s] else low
            deploy(equal, model.n[h, s], model.legal[s], False, policy[h, s])
            for a in range(A):
                q[a] = low
                if n[0, s, a] > 0.0:
                    mean, _ = mean_and_variance(
                        model, counts[0], n[0, s, a], s, a, reference[h + 1]
                    )
                    b = params.c * span * math.sqrt(iota / n[0, s, a])
                    q[a] = max(model.r[h, s, a] + mean - b, low)
            improve(model, s, q, n[0, s], reference[h], policy[h, s])
        count_rows(rows, third, 2 * third, counts[0])
        count_rows(rows, 2 * third, min(2 * third + part, rows.size), counts[1])
        count_pairs(counts[0], n[0])
        count_pairs(counts[1], n[1])
        for s in range(S):
            last[s] = V[s]
            above[s] = V[s] - reference[h + 1, s]
        for s in range(S):
            V[s] = reference[h, s]
            for a in range(A):
                q[a] = low
                if n[0, s, a] > 0.0:
                    n0 = n[0, s, a]
                    mean, variance = mean_and_variance(model, counts[0], n0, s, a, reference[h + 1])
                    q[a] = model.r[h, s, a] + mean
                    q[a] -= params.c * (math.sqrt(iota * variance / n0) + span * iota / n0)
                    n1 = max(n[1, s, a], 1.0)
                    mean, variance = mean_and_variance(model, counts[1], n1, s, a, above)
                    q[a] += mean
                    q[a] -= params.c * (math.sqrt(iota * variance / n1) + span * iota / n1)
            improve(model, s, q, n[0, s], V, policy[h, s])


def pevi_adv(c: float = 0.05, delta: float = 0.1) -> OfflineMDP:
    """PEVI-Adv for problems with a finite horizon.

    ``c`` >= 0 is the constant of the penalties and ``delta`` in (0, 1) the failure probability;
    ValueError otherwise, and when the problem to plan for is discounted.
    """
    params = PEVIAdv(nonnegative("c", c), inside("delta", delta, 0.0, 1.0))
    return OfflineMDP(params, plan)
