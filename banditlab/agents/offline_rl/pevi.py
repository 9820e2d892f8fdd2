"""PEVI: pessimistic value iteration for linear MDPs (Jin, Yang & Wang 2021, Algorithm 2).

In a linear MDP with features phi(s, a) of d numbers, mean rewards and transition probabilities are
linear in phi, hence so is r + V(s') on average, whatever V is. Backwards from the last step, with
``A_h = ridge I + sum phi phi.T`` over the rows of step h and the values of step h + 1::

    w = A_h^-1 sum phi(s, a) (r + gamma V(s') - low_h)
    Q(s, a) = low_h + clip(phi . w - radius span_h sqrt(phi A_h^-1 phi), 0, span_h)
    V(s) = max_a Q(s, a),    0 in terminal states

All values of step h lie in [low_h, low_h + span_h]; for rewards in [0, 1] this is the paper's
[0, H - h + 1]. Elsewhere, targets are counted from low_h, so that what is not known is worth the
least and not 0 (in a linear MDP constants are linear in phi too). The radius is ``beta`` or, with
``delta`` above 0, the paper's, for K rows a step and L steps (it leaves c open)::

    c d sqrt(ln(2 d L K / delta))

Without ``phi`` every pair has a feature of its own, d = S A, and nothing is inverted: then
phi . w is the mean over the pair's rows, shrunk by n / (n + ridge), and the width
1 / sqrt(n + ridge). A discounted model has one step only, repeated with the same rows until the
values rest: this goes beyond the paper. Ties go to the action with more rows and then to chance.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from banditlab import linalg, numeric
from banditlab.core import kernel
from banditlab.parts.planners import deploy, range_ahead
from banditlab.protocols.offline_mdp import OfflineMDP
from banditlab.validate import below_one, nonnegative, positive

label = "PEVI"


class PEVI(NamedTuple):
    """Hyper-parameters."""

    beta: float = 0.5  # >= 0: radius, in spans of the values, when delta is 0
    ridge: float = 1.0  # > 0: prior precision
    delta: float = 0.0  # in [0, 1): failure probability, 0 for the radius beta
    c: float = 1.0  # > 0: constant of the radius, read if delta > 0
    phi: np.ndarray = np.zeros((0, 0, 0))  # (S, A, d) float64; empty: a feature per pair


@kernel
def whiten(params, model, h, white):
    """Write u.T^-1 phi(s, a), for ``A_h = u.T u``, to the rows of ``white`` (S A, d)."""
    S, A = model.legal.shape
    known, _, d = params.phi.shape
    u = np.zeros((d, d))
    for i in range(d):
        u[i, i] = params.ridge
    for s in range(min(S, known)):
        for a in range(A):
            phi = params.phi[s, a]
            n = model.n[h, s, a]
            if n > 0.0:
                for i in range(d):
                    for j in range(i, d):
                        u[i, j] += n * phi[i] * phi[j]
    linalg.cholesky(u, u)
    for s in range(min(S, known)):
        for a in range(A):
            row = white[s * A + a]
            for i in range(d):
                row[i] = params.phi[s, a, i]
            linalg.solve_lower(u, row)


@kernel
def backup(params, model, h, low, span, radius, white, V, Q):
    """Fill ``Q`` (S, A) for step ``h`` from the values ``V`` (S,) of the next one."""
    S, A, K = model.succ.shape
    d = white.shape[1]
    z = np.zeros(d)
    for s in range(S):
        for a in range(A):
            n = model.n[h, s, a]
            target = n * (model.r[h, s, a] - low)
            for k in range(K):
                target += model.gamma * model.counts[h, s, a, k] * V[model.succ[s, a, k]]
            Q[s, a] = target
            if n > 0.0 and d > 0:
                row = white[s * A + a]
                for i in range(d):
                    z[i] += row[i] * target
    for s in range(S):
        for a in range(A):
            if d > 0:
                row = white[s * A + a]
                mean = linalg.dot(row, z)
                form = linalg.dot(row, row)
            else:
                form = 1.0 / (model.n[h, s, a] + params.ridge)
                mean = Q[s, a] * form
            bound = mean - radius * span * math.sqrt(form)
            Q[s, a] = low + min(max(bound, 0.0), span)


@kernel
def plan(params, model, rng, policy):
    L, S, A = model.n.shape
    known, arms, d = params.phi.shape
    if d > 0:  # rather here than memory read from beyond the array
        if arms != A or known > S:
            raise ValueError("phi must have the shape (states, actions, features) of the model")
        for s in range(known, S):
            if not model.terminal[s]:
                raise ValueError("phi must have a row for every state that is not terminal")
    white = np.zeros((S * A if d > 0 else 0, d))
    radius = params.beta
    if params.delta > 0.0:
        size = float(d) if d > 0 else float(S * A)
        inside = numeric.log(max(2.0 * size * model.rows / params.delta, 1.0))
        radius = params.c * size * math.sqrt(inside)
    V = np.zeros(S)
    Q = np.zeros((S, A))
    sweeps = L
    low = model.v_min
    high = model.v_max
    if model.horizon == 0:
        sweeps = int(math.ceil(numeric.log(1e9) / (1.0 - model.gamma)))
        if d > 0:
            whiten(params, model, 0, white)
        for s in range(S):
            V[s] = 0.0 if model.terminal[s] else low
    for i in range(sweeps):
        h = max(L - 1 - i, 0)
        if model.horizon > 0:
            left = float(model.horizon - h)
            low, high = range_ahead(model, left)
            if d > 0:
                whiten(params, model, h, white)
        backup(params, model, h, low, high - low, radius, white, V, Q)
        change = 0.0
        for s in range(S):
            best = -np.inf
            for a in range(A):
                if model.legal[s, a] and Q[s, a] > best:
                    best = Q[s, a]
            best = 0.0 if model.terminal[s] else best
            change = max(change, abs(best - V[s]))
            V[s] = best
        if model.horizon > 0 or i == sweeps - 1 or change <= 1e-9 * (high - low):
            for s in range(S):
                deploy(Q[s], model.n[h, s], model.legal[s], False, policy[h, s])
        if model.horizon == 0 and change <= 1e-9 * (high - low):
            break


def pevi(
    beta: float = 0.5,
    ridge: float = 1.0,
    delta: float = 0.0,
    c: float = 1.0,
    phi: Any = None,
) -> OfflineMDP:
    """Pessimistic value iteration with linear features.

    Parameters
    ----------
    beta
        Radius of the confidence set in spans of the values, at least 0; not used when ``delta``
        is above 0.
    ridge
        Prior precision, above 0.
    delta
        Failure probability of the paper's radius, in [0, 1); 0 for the radius ``beta``.
    c
        Constant of the paper's radius, above 0.
    phi
        Features (S, A, d) of the pairs; terminal states at the end may be left out. By default
        every pair has a feature of its own.

    Raises ValueError for a value out of range; planning raises one when the shape of ``phi`` is
    not that of the model.
    """
    table = np.zeros((0, 0, 0)) if phi is None else np.array(phi, dtype=np.float64)
    if table.ndim != 3 or (table.size == 0 and table.shape != (0, 0, 0)):
        raise ValueError(f"phi must have shape (states, actions, features), got {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("phi must be finite")
    params = PEVI(
        nonnegative("beta", beta),
        positive("ridge", ridge),
        below_one("delta", delta),
        positive("c", c),
        table,
    )
    return OfflineMDP(params, plan)
