"""VI-LCB with sample splitting (Rashidinejad et al. 2021, Algorithm 3): the paper's own.

The log of N rows is cut at random into T + 1 parts of m = floor(N / (T + 1)), with
T = ceil(log N / (1 - gamma)). The first part gives the most played action to start from; the t-th
gives the counts m_t of sweep t::

    Q(s,a) = r + gamma P_t V - b,    b = span sqrt(L / max(m_t(s,a), 1)),
    L = c log(2 (T + 1) S A / delta)

and V(s) and the action of s change together, only where max_a Q(s, a) exceeds V(s). In ``paper``
mode c = 2000 and a pair without data leads to a random law of states; every Q is then below v_min
for any log of realistic size, and the answer is behaviour cloning on N / (T + 1) rows. In
``practical`` mode c = 0.05 and a pair without data is worth r + gamma v_min - b. Below that the
running maximum over T noisy sweeps overshoots. Meant for gamma <= 0.9, where T is near 100.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric, random
from banditlab.core import kernel
from banditlab.parts.modes import BY_MODE, MODES, PAPER, or_by_mode, place
from banditlab.parts.planners import (
    count_pairs,
    count_rows,
    fill_hoeffding,
    shuffled_rows,
    start_monotone,
    step_monotone,
)
from banditlab.protocols.offline_mdp import OfflineMDP
from banditlab.validate import number

label = "VI-LCB, split"


class VILCBSplit(NamedTuple):
    """Hyper-parameters."""

    mode: int = 0  # place in MODES
    c: float = BY_MODE  # >= 0: constant of the penalty; -1 leaves it to the mode
    delta: float = 0.1  # in [0, 1): failure probability; 0 for 1 / N, as in the theory


@kernel
def imagine(model, n, V, L, rng, weights, q):
    """Give every pair without data a law of next states that is uniform on the simplex."""
    S, A = n.shape
    span = model.v_max - model.v_min
    for s in range(S):
        for a in range(A):
            if n[s, a] == 0.0 and model.legal[s, a]:
                total = 0.0
                mean = 0.0
                for i in range(S):
                    weights[i] = random.exponential(rng)
                    total += weights[i]
                for i in range(S):
                    mean += weights[i] / total * V[i]
                r = model.r[0, s, a] if model.known else model.r_min
                q[s, a] = r + model.gamma * mean - span * math.sqrt(L)


@kernel
def plan(params, model, rng, policy):
    if model.horizon > 0:
        raise ValueError("vi_lcb_split needs a discounted problem; use vi_lcb_hoeffding")
    S, A, K = model.succ.shape
    rows = shuffled_rows(model.counts[0], rng)
    sweeps = int(math.ceil(numeric.log(1.0 * max(rows.size, 2)) / (1.0 - model.gamma)))
    m = rows.size // (sweeps + 1)
    if m == 0:
        raise ValueError("vi_lcb_split needs a log of at least T + 1 = log(N) / (1 - gamma) + 1")
    c = params.c
    if c < 0.0:
        c = 2000.0 if params.mode == PAPER else 0.05
    inverse_delta = 1.0 / params.delta if params.delta > 0.0 else 1.0 * rows.size
    L = c * numeric.log(2.0 * (sweeps + 1) * S * A * inverse_delta)
    V = np.empty(S)
    q = np.empty((S, A))
    n = np.empty((S, A))
    weights = np.empty(S)
    counts = np.empty((S, A, K))
    count_rows(rows, 0, m, counts)
    count_pairs(counts, n)
    start_monotone(model, n, V, policy[0])
    for t in range(1, sweeps + 1):
        count_rows(rows, t * m, (t + 1) * m, counts)
        count_pairs(counts, n)
        fill_hoeffding(model, counts, n, 0, model.v_min, V, L, q)
        if params.mode == PAPER:
            imagine(model, n, V, L, rng, weights, q)
        step_monotone(model, n, q, V, policy[0])


def vi_lcb_split(
    mode: str | int = "practical", c: float = BY_MODE, delta: float = 0.1
) -> OfflineMDP:
    """The paper's VI-LCB, discounted problems only.

    ``mode`` is ``practical`` or ``paper`` (or its place in ``MODES``), ``c`` >= 0 the constant of
    the penalty (-1: by mode), ``delta`` in [0, 1) the failure probability (0: 1 / N, as in the
    theory). Raises ValueError for anything else; planning raises it when the log has fewer rows
    than sweeps.
    """
    if not 0.0 <= number("delta", delta) < 1.0:
        raise ValueError(f"delta must lie in (0, 1), or be 0 for 1 / N, got {delta!r}")
    params = VILCBSplit(place("mode", mode, MODES), or_by_mode("c", c), float(delta))
    return OfflineMDP(params, plan)
