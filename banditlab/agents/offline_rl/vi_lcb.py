"""VI-LCB with Bernstein penalties (Li, Shi, Chen, Chi & Wei 2022, Algorithms 1-3).

Value iteration on the empirical model that subtracts from every Q what the log leaves uncertain.
Discounted (Algorithm 1), with N rows, l = log(N / ((1 - gamma) delta)), Var the variance of V
under the logged outcomes of (s, a), and span = v_max - v_min in place of 1 / (1 - gamma)::

    Q(s,a) = max{ r + gamma P V - b, v_min },  V = max_a Q
    b = min{ max[ sqrt(c_b l Var / N(s,a)), 2 c_b l span / N(s,a) ], span }

With a finite horizon H (Algorithm 2), backward from V_{H+1} = 0, with l = log(N H / delta)::

    b_h = min{ sqrt(c_b l Var / N_h(s,a)) + c_b l span / N_h(s,a), span }

and, for v_min, the least that the steps left can be worth: at least their number times r_min. (The
paper has rewards in [0, 1], and 0 for both.)

=============  ======  =============================================================
mode           c_b     pair without data
=============  ======  =============================================================
``practical``    0.05  worth v_min, as above
``paper``         144  leads anywhere alike; 5 / N is added to every b (discounted)
``notebook``     0.05  as practical. No l, for span the steps left, a variance below
                       1e-6 is 0, ties go to the first action, and the policy is read
                       off a second log where the problem gives one: the finite-horizon
                       code behind the paper's Figure 2
=============  ======  =============================================================

At the paper's constants every b is span for any log of realistic size, and the answer is the most
played action. Where rewards are not known, sqrt(c_b l Var_r / n) + 2 c_b l (r_max - r_min) / n is
added. ``subsample`` (Algorithm 3, finite horizon): half of each step's rows only tells how many of
the other half to use in each state, so that steps become independent. Ties go to the action with
more data and then to chance; this makes behaviour cloning the answer where all Q are clipped.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.modes import BY_MODE, or_by_mode, place
from banditlab.parts.planners import (
    average,
    count_rows,
    deploy,
    fill_values,
    range_ahead,
    shuffled_rows,
)
from banditlab.protocols.offline_mdp import OfflineMDP
from banditlab.validate import flag, inside

label = "VI-LCB"

MODES = ("practical", "paper", "notebook")  # a mode's code is its place here
PAPER, NOTEBOOK = 1, 2


class VILCB(NamedTuple):
    """Hyper-parameters."""

    mode: int = 0  # place in MODES
    c_b: float = BY_MODE  # >= 0: constant of the penalty; -1 leaves it to the mode
    delta: float = 0.1  # in (0, 1): failure probability
    subsample: bool = False  # Algorithm 3 instead of 2, with a finite horizon


@kernel
def constant(params):
    """c_b."""
    if params.c_b >= 0.0:
        return params.c_b
    return 144.0 if params.mode == PAPER else 0.05


@kernel
def penalty(params, model, left, n, variance, reward_variance, log_term):
    """b for a pair seen n > 0 times, with ``left`` steps to go."""
    span = model.v_max - model.v_min
    c = constant(params)
    if params.mode == NOTEBOOK:
        variance = variance if variance >= 1e-6 else 0.0
        return min(c * model.horizon / n + math.sqrt(c * variance / n), left)
    c = c * log_term
    wide = math.sqrt(c * variance / n)
    if model.horizon > 0:
        b = min(wide + c * span / n, span)
    else:
        b = min(max(wide, 2.0 * c * span / n), span)
        b += 5.0 / model.rows if params.mode == PAPER else 0.0
    if not model.known:
        b += math.sqrt(c * reward_variance / n) + 2.0 * c * (model.r_max - model.r_min) / n
    return b


@kernel
def fill_q(params, model, counts, rewards, left, low, V, log_term, q):
    """Penalised Q (S, A), at least ``low``, from ``counts`` (S, A, K) and next values V."""
    S, A, K = counts.shape
    anywhere = average(V)
    for s in range(S):
        for a in range(A):
            n = 0.0
            mean = 0.0
            income = 0.0
            for k in range(K):
                n += counts[s, a, k]
                mean += counts[s, a, k] * V[model.succ[s, a, k]]
                income += counts[s, a, k] * model.reward[s, a, k]
            r = rewards[s, a]
            if not model.legal[s, a]:
                q[s, a] = -np.inf
            elif n > 0.0:
                mean /= n
                income /= n
                variance = 0.0
                reward_variance = 0.0
                for k in range(K):
                    # The notebook's variable is the reward and the value together.
                    off = V[model.succ[s, a, k]] - mean
                    other = model.reward[s, a, k] - income
                    off += other if params.mode == NOTEBOOK else 0.0
                    variance += counts[s, a, k] * off * off
                    reward_variance += counts[s, a, k] * other * other
                b = penalty(params, model, left, n, variance / n, reward_variance / n, log_term)
                r = r if model.known else income
                q[s, a] = max(r + model.gamma * mean - b, low)
            elif params.mode == PAPER:
                b = model.v_max - model.v_min
                b += 5.0 / model.rows if model.horizon == 0 else 0.0
                q[s, a] = max(r + model.gamma * anywhere - b, low)
            else:
                q[s, a] = low


@kernel
def trim(params, model, h, rng, counts):
    """Overwrite ``counts`` (S, A, K) with the subsample of step h (Algorithm 3)."""
    S, A, K = counts.shape
    rows = shuffled_rows(model.counts[h], rng)
    half = rows.size // 2
    met = np.zeros((2, S))  # rows of the main and of the other half in each state
    for i in range(rows.size):
        met[0 if i < half else 1, rows[i] // (A * K)] += 1.0
    log_term = numeric.log(1.0 * model.horizon * S / params.delta)
    left = np.empty(S)
    for s in range(S):
        sure = met[1, s] - 10.0 * math.sqrt(met[1, s] * log_term)
        left[s] = min(math.floor(max(sure, 0.0)), met[0, s])
    kept = 0
    for i in range(half):
        s = rows[i] // (A * K)
        if left[s] > 0.0:
            left[s] -= 1.0
            rows[kept] = rows[i]
            kept += 1
    count_rows(rows, 0, kept, counts)


@kernel
def plan_discounted(params, model, policy):
    """Algorithm 1."""
    if params.mode == NOTEBOOK:
        raise ValueError("vi_lcb needs a finite horizon for mode notebook")
    S, A, K = model.succ.shape
    rows = max(model.rows, 1.0)
    log_term = numeric.log(rows / ((1.0 - model.gamma) * params.delta))
    V = np.empty(S)
    for s in range(S):
        V[s] = 0.0 if model.terminal[s] else model.v_min
    q = np.empty((S, A))
    sweeps = int(math.ceil(numeric.log(rows / (1.0 - model.gamma)) / (1.0 - model.gamma))) + 1
    for _ in range(sweeps):
        fill_q(params, model, model.counts[0], model.r[0], 0, model.v_min, V, log_term, q)
        if fill_values(model, q, V) <= 1e-9 * (model.v_max - model.v_min):
            break
    for s in range(S):
        deploy(q[s], model.n[0, s], model.legal[s], False, policy[0, s])


@kernel
def plan_episodic(params, model, rng, policy):
    """Algorithms 2 and 3."""
    S, A, K = model.succ.shape
    first = params.mode == NOTEBOOK
    log_term = numeric.log(max(model.rows, 1.0) * model.horizon / params.delta)
    V = np.zeros(S)
    last = np.zeros(S)
    q = np.empty((S, A))
    trimmed = np.empty((S, A, K))
    for h in range(model.horizon - 1, -1, -1):
        for s in range(S):
            last[s] = V[s]
        counts = model.counts[h]
        if params.subsample:
            trim(params, model, h, rng, trimmed)
            counts = trimmed
        left = model.horizon - h
        low, _ = range_ahead(model, left * 1.0)
        fill_q(params, model, counts, model.r[h], left, low, last, log_term, q)
        fill_values(model, q, V)
        if first and model.held_out.shape[0] > 0:
            fill_q(params, model, model.held_out[h], model.r[h], left, low, last, log_term, q)
        for s in range(S):
            deploy(q[s], model.n[h, s], model.legal[s], first, policy[h, s])


@kernel
def plan(params, model, rng, policy):
    if model.horizon > 0:
        plan_episodic(params, model, rng, policy)
    else:
        plan_discounted(params, model, policy)


def vi_lcb(
    mode: str | int = "practical",
    c_b: float = BY_MODE,
    delta: float = 0.1,
    subsample: bool = False,
) -> OfflineMDP:
    """VI-LCB: the default planner; discounted or episodic as the problem is.

    Parameters
    ----------
    mode
        ``practical``, ``paper`` or ``notebook``, see the module. Its place in ``MODES`` will do.
    c_b
        Constant of the penalty, at least 0; -1, the default, leaves it to the mode. Towards 0 the
        planner becomes ``vi_ce(unseen="floor")``, towards infinity ``bc``.
    delta
        Failure probability in (0, 1).
    subsample
        Whether to make the steps of a finite horizon independent (Algorithm 3). It discards every
        state met less than about 100 log(10 H S) times in a step.

    Raises ValueError for an unknown mode or a value out of range; planning raises it for mode
    ``notebook`` where the problem is discounted.
    """
    params = VILCB(
        place("mode", mode, MODES),
        or_by_mode("c_b", c_b),
        inside("delta", delta, 0.0, 1.0),
        flag("subsample", subsample),
    )
    return OfflineMDP(params, plan)
