"""VI-LCB with Hoeffding penalties, all data in every sweep (Rashidinejad et al. 2021, section 5).

The paper's Algorithm 3 without its sample splitting, which the authors call unnecessary in
practice. Discounted: start from V = v_min and the most played action, and repeat::

    Q(s,a) = r + gamma P V - b,    b = span sqrt(L / max(N(s,a), 1)),    L = c log(2 S A / delta)

keeping V(s) and the action of s until max_a Q(s, a) exceeds V(s). So the most played action stays
until a certified improvement appears, and the value never falls. A pair without data is worth
r + gamma v_min - b. With a finite horizon: the backward recursion of Algorithm 4, with
b = span sqrt(L / N) and span sqrt(L) without data, where v_min is the least that the steps left can
be worth; in practical mode no Q is less.

Modes: ``practical`` has c = 0.05, ``paper`` 2000. span = v_max - v_min.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.modes import BY_MODE, MODES, PAPER, or_by_mode, place
from banditlab.parts.planners import (
    deploy,
    fill_hoeffding,
    range_ahead,
    start_monotone,
    step_monotone,
)
from banditlab.protocols.offline_mdp import OfflineMDP
from banditlab.validate import inside

label = "VI-LCB, Hoeffding"


class VILCBHoeffding(NamedTuple):
    """Hyper-parameters."""

    mode: int = 0  # place in MODES
    c: float = BY_MODE  # >= 0: constant of the penalty; -1 leaves it to the mode
    delta: float = 0.1  # in (0, 1): failure probability


@kernel
def plan(params, model, rng, policy):
    S, A, K = model.succ.shape
    c = params.c
    if c < 0.0:
        c = 2000.0 if params.mode == PAPER else 0.05
    L = c * numeric.log(2.0 * S * A / params.delta)
    V = np.zeros(S)
    q = np.empty((S, A))
    if model.horizon > 0:
        for h in range(model.horizon - 1, -1, -1):
            next_low, _ = range_ahead(model, model.horizon - h - 1.0)
            low, _ = range_ahead(model, model.horizon - h * 1.0)
            fill_hoeffding(model, model.counts[h], model.n[h], h, next_low, V, L, q)
            for s in range(S):
                best = -np.inf
                for a in range(A):
                    if params.mode != PAPER and model.legal[s, a]:
                        q[s, a] = max(q[s, a], low)
                    best = max(best, q[s, a])
                V[s] = 0.0 if model.terminal[s] else best
                deploy(q[s], model.n[h, s], model.legal[s], False, policy[h, s])
        return
    start_monotone(model, model.n[0], V, policy[0])
    rows = max(model.rows, 2.0)
    for _ in range(int(math.ceil(numeric.log(rows) / (1.0 - model.gamma)))):
        fill_hoeffding(model, model.counts[0], model.n[0], 0, model.v_min, V, L, q)
        if step_monotone(model, model.n[0], q, V, policy[0]) < 1e-9 * (model.v_max - model.v_min):
            break


def vi_lcb_hoeffding(
    mode: str | int = "practical", c: float = BY_MODE, delta: float = 0.1
) -> OfflineMDP:
    """VI-LCB with Hoeffding penalties on all data.

    ``mode`` is ``practical`` or ``paper`` (or its place in ``MODES``), ``c`` >= 0 the constant of
    the penalty (-1: by mode), ``delta`` in (0, 1) the failure probability. Raises ValueError for
    anything else.
    """
    params = VILCBHoeffding(
        place("mode", mode, MODES),
        or_by_mode("c", c),
        inside("delta", delta, 0.0, 1.0),
    )
    return OfflineMDP(params, plan)
