"""Certainty equivalence: value iteration that takes the log's empirical model for the truth.

The baseline without pessimism. A pair without data leads anywhere alike (``unseen="uniform"``,
the estimate of Li et al. 2022), is worth its reward and nothing after (``"zero"``), or is worth the
least possible value (``"floor"``; with a finite horizon, the least of the steps left). Ties go to
the action with more data and then to chance: ``ties="even"`` deploys even odds, ``"random"`` one
action drawn for good, ``"first"`` the first action, whatever the data. That matters here, as pairs
without data are often equally promising: a rule that draws anew leaves a loop sooner or later, one
that drew for good never. Where the problem gives a second log, the policy is read off that one with
the values of the first, as the notebook behind the paper's Figure 2 does.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.modes import place
from banditlab.parts.planners import average, deploy, fill_values, range_ahead
from banditlab.protocols.offline_mdp import OfflineMDP
from banditlab.random import categorical

label = "VI, no penalty"

is_baseline = True

UNSEEN = ("uniform", "zero", "floor")
ZERO, FLOOR = 1, 2
TIES = ("even", "random", "first")
RANDOM, FIRST = 1, 2


class VICE(NamedTuple):
    """Hyper-parameters."""

    unseen: int = 0  # place in UNSEEN
    ties: int = 0  # place in TIES


@kernel
def fill_q(params, model, counts, h, low, V, q):
    """Q (S, A) of step h in the empirical model ``counts`` (S, A, K), with next values V.

    ``low`` is the least value that a state may have now.
    """
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
            if not model.legal[s, a]:
                q[s, a] = -np.inf
            elif n > 0.0:
                r = model.r[h, s, a] if model.known else income / n
                q[s, a] = r + model.gamma * (mean / n)
            elif params.unseen == FLOOR:
                q[s, a] = low
            else:
                q[s, a] = model.r[h, s, a]
                q[s, a] += 0.0 if params.unseen == ZERO else model.gamma * anywhere


@kernel
def settle(params, q, n, legal, rng, out):
    """The rule (A,) of one state."""
    deploy(q, n, legal, params.ties == FIRST, out)
    if params.ties == RANDOM:
        drawn = categorical(rng, out)
        for a in range(out.size):
            out[a] = 1.0 if a == drawn else 0.0


@kernel
def plan(params, model, rng, policy):
    S, A, K = model.succ.shape
    V = np.zeros(S)
    last = np.zeros(S)
    q = np.empty((S, A))
    if model.horizon > 0:
        for h in range(model.horizon - 1, -1, -1):
            for s in range(S):
                last[s] = V[s]
            low, _ = range_ahead(model, model.horizon - h * 1.0)
            fill_q(params, model, model.counts[h], h, low, last, q)
            fill_values(model, q, V)
            if model.held_out.shape[0] > 0:
                fill_q(params, model, model.held_out[h], h, low, last, q)
            for s in range(S):
                settle(params, q[s], model.n[h, s], model.legal[s], rng, policy[h, s])
        return
    span = model.v_max - model.v_min
    sweeps = int(math.ceil(numeric.log(1e-10) / numeric.log(max(model.gamma, 1e-3)))) + 2
    for _ in range(sweeps):
        fill_q(params, model, model.counts[0], 0, model.v_min, V, q)
        if fill_values(model, q, V) <= 1e-10 * (1.0 - model.gamma) * span:
            break
    for s in range(S):
        settle(params, q[s], model.n[0, s], model.legal[s], rng, policy[0, s])


def vi_ce(unseen: str | int = "uniform", ties: str | int = "even") -> OfflineMDP:
    """Certainty equivalence.

    ``unseen`` is one of ``UNSEEN`` and ``ties`` one of ``TIES``, see the module; their places
    there will do. Raises ValueError for anything else.
    """
    params = VICE(place("unseen", unseen, UNSEEN), place("ties", ties, TIES))
    return OfflineMDP(params, plan)
