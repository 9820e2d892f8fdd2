"""Maximize to explore, model-based, on finite decision processes (Liu et al. 2023, 2305.18258).

The hypothesis is a model P of the dynamics, its loss minus the log-likelihood of what was seen:
before every episode MEX takes the model that maximises (arXiv 2305.18258; see `mex_mf`)::

    V_1(x_1; P) + eta sum_{h,s,a,s'} n_h(s,a,s') ln P_h(s'|s,a)

and plays its optimal policy. The paper has no experiment on tables; our reduction plans backwards,
letting every pair promise as much as its data allow::

    Q_h(s,a) = r + max_p { p.V_{h+1} - eta n KL(phat || p) },

with the closed form of :mod:`banditlab.parts.kl_block`. It is an upper bound of the objective: it
takes every occupancy for 1. A pair without data is worth its cap or, where its reward is told, that
and the largest value of any next state, the end among them where there may be one. That is
``solver="surrogate"``; ``"block"`` goes on from there by block coordinate ascent: with d_h(s) as
often as the plan meets a state in its own model, backwards over the steps, every state takes the
action and the law of::

    max_a max_p { d_h(s) (r + p.V_{h+1}) - eta n KL(phat || p) },

other actions keep phat, and the objective rises with every sweep until it stands still. Never start
that from the greedy estimate: what its policy does not reach would not be hoped for.

Where rewards are unknown their likelihood belongs to the objective, too, or else there is no
optimism about them and the agent locks in: ``reward_term`` adds sigma^2 / (2 eta n) to the mean
reward, with sigma^2 = 1/4 as for rewards 0 and 1. ``eta = inf`` is greedy.

>>> import banditlab
>>> banditlab.make("mex_mb", eta=1.0).params
MexMB(eta=1.0, reward_term=True, solver=0)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel, kernel_inline
from banditlab.parts import tabular
from banditlab.parts.kl_block import LARGE, gain, level
from banditlab.parts.mex import eta_of
from banditlab.parts.modes import place
from banditlab.protocols.episodic import Episodic
from banditlab.validate import flag

label = "model-based MEX"

VARIANCE = 0.25  # of a reward in [0, 1], at most
SOLVERS = ("surrogate", "block")
BLOCK = 1
SWEEPS, RISE = 50, 1e-9  # of the ascent, at most; a rise that does not count


class MexMB(NamedTuple):
    """Hyper-parameters."""

    eta: float = 0.3  # > 0, weight of the likelihood; inf is greedy
    reward_term: bool = True  # whether there is optimism about rewards that are not told
    solver: int = 0  # place in SOLVERS


@kernel
def reward_hope(params, told):
    """sigma^2 / (2 eta): what optimism about a reward is worth, times n, at occupancy 1."""
    return VARIANCE / (2.0 * params.eta) if params.reward_term and not told[0] else 0.0


@kernel
def best_next(m, h):
    """The next state of the largest value after step h; S, the end, where there may be one."""
    top = 0
    for s in range(1, m.facts[0]):
        top = s if m.V[h + 1, s] > m.V[h + 1, top] else top
    return top


@kernel_inline
def unseen(told, r, cap, i, h, s, a, top):
    """What a pair without data is worth, ``top`` being the largest value of any next state."""
    return min(cap[h], r[i, s, a] + top) if told[0] else cap[h]


@kernel
def plan(params, m, k, rng):
    told, r, n, kinds, succ, times = m.told, m.r, m.n, m.kinds, m.succ, m.times
    cap, Q, V, policy = m.cap, m.Q, m.V, m.policy
    H, S, A = Q.shape
    hope = reward_hope(params, told)
    phat = np.empty(succ.shape[3])
    values = np.empty(succ.shape[3])
    for h in range(H - 1, -1, -1):
        i = h if n.shape[0] > 1 else 0
        top = V[h + 1, best_next(m, h)]
        for s in range(S):
            for a in range(A):
                visits = n[i, s, a]
                if visits == 0.0:
                    Q[h, s, a] = unseen(told, r, cap, i, h, s, a, top)
                    continue
                K = kinds[i, s, a]
                mean = 0.0
                for j in range(K):
                    phat[j] = times[i, s, a, j] / visits
                    values[j] = V[h + 1, succ[i, s, a, j]]
                    mean += phat[j] * values[j]
                weight = params.eta * visits
                if weight < np.inf:
                    mean = gain(weight, phat[:K], values[:K], top)
                Q[h, s, a] = min(cap[h], r[i, s, a] + hope / visits + mean)
        tabular.settle(Q, V, policy, h, rng)


@kernel
def law_of(m, i, h, s, a, w, d, top, law):
    """The best law of a pair with data, into ``law`` (S + 1,), at occupancy d; returns KL * w."""
    K, n = m.kinds[i, s, a], m.n[i, s, a]
    law[:] = 0.0
    phat, values = np.empty(K), np.empty(K)
    for j in range(K):
        phat[j] = m.times[i, s, a, j] / n
        values[j] = d * m.V[h + 1, m.succ[i, s, a, j]]
        law[m.succ[i, s, a, j]] = phat[j]
    if d == 0.0 or w > LARGE * max(1.0, m.cap[0]):
        return 0.0  # beside such a weight values do not count
    nu = level(w, phat, values, d * m.V[h + 1, top])
    paid, left = 0.0, 1.0
    for j in range(K):
        y, room = m.succ[i, s, a, j], nu - values[j]
        law[y] = w * phat[j] / room if room > 0.0 else 0.0  # the weight was rounded off
        left -= law[y]
        if law[y] > 0.0:
            paid -= w * phat[j] * numeric.log(law[y] / phat[j])
    if left > 0.0:
        law[top] += left
    return paid


@kernel
def sweep(params, m, d, laws, paid, rng):
    """One sweep back over the steps at occupancies ``d`` (H, S), which are of the plan before it.

    Fills the plan, its values, its ``laws`` (H, S, S + 1), and ``paid`` (H, S), what these cost in
    likelihood. A pair without data is worth its cap and goes nowhere; where its reward is told it
    goes to the best next state.
    """
    H, S, A = m.Q.shape
    hope = reward_hope(params, m.told)
    law = np.empty(S + 1)
    for h in range(H - 1, -1, -1):
        i = h if m.n.shape[0] > 1 else 0
        top = best_next(m, h)
        best = m.V[h + 1, top]
        for s in range(S):
            met = d[h, s]
            for a in range(A):
                n = m.n[i, s, a]
                if n == 0.0:
                    worth = unseen(m.told, m.r, m.cap, i, h, s, a, best)
                    m.Q[h, s, a] = met * worth if met > 0.0 else worth
                    continue
                cost = law_of(m, i, h, s, a, params.eta * n, met, top, law)
                mean = 0.0
                for y in range(S + 1):
                    mean += law[y] * m.V[h + 1, y]
                gained = m.r[i, s, a] + mean  # unmet, the greedy action of the estimate
                m.Q[h, s, a] = met * (gained + met * hope / n) - cost if met > 0.0 else gained
        tabular.choose(m.Q, h, m.policy, rng)
        for s in range(S):
            a = m.policy[h, s]
            n, met = m.n[i, s, a], d[h, s]
            paid[h, s] = 0.0
            laws[h, s, :] = 0.0
            if n == 0.0:
                m.V[h, s] = unseen(m.told, m.r, m.cap, i, h, s, a, best)
                laws[h, s, top] = 1.0 if m.told[0] else 0.0
                continue
            paid[h, s] = law_of(m, i, h, s, a, params.eta * n, met, top, laws[h, s])
            mean = 0.0
            for y in range(S + 1):
                mean += laws[h, s, y] * m.V[h + 1, y]
            extra = 2.0 * met * hope / n  # of the reward; half of it is paid for
            paid[h, s] += 0.5 * met * extra
            m.V[h, s] = min(m.cap[h], m.r[i, s, a] + extra + mean)


@kernel
def promised(m, k, laws, paid, d):
    """The objective of a plan with its laws; fills ``d`` (H, S), how often it meets each state."""
    H, S = m.policy.shape
    found = 0.0
    for s in range(S):
        d[0, s] = m.first[s] / k
        found += d[0, s] * m.V[0, s]
    for h in range(H):
        for s in range(S):
            found -= paid[h, s]
        for s in range(S if h + 1 < H else 0):
            d[h + 1, s] = 0.0
        for s in range(S):
            for y in range(S if h + 1 < H else 0):
                d[h + 1, y] += d[h, s] * laws[h, s, y]
    return found


@kernel
def plan_block(params, m, k, rng):
    plan(params, m, k, rng)
    if k == 0:
        return
    H, S = m.policy.shape
    d = np.ones((H, S))
    paid, laws = np.zeros((H, S)), np.zeros((H, S, S + 1))
    kept = m.policy.copy()
    sweep(params, m, d, laws, paid, rng)
    most = promised(m, k, laws, paid, d)
    for _ in range(SWEEPS):
        sweep(params, m, d, laws, paid, rng)
        now = promised(m, k, laws, paid, d)
        if now < most + RISE:
            break
        most = now
        kept[:] = m.policy
    m.policy[:] = kept


def mex_mb(eta: float = 0.3, reward_term: bool = True, solver: str | int = "surrogate") -> Episodic:
    """Model-based MEX.

    ``eta > 0`` weighs the likelihood; ``inf`` is greedy. ``reward_term``: see the module; it is
    of no effect where mean rewards are told. ``solver`` is one of ``SOLVERS``; its place there will
    do. Raises ValueError otherwise.
    """
    which = place("solver", solver, SOLVERS)
    params = MexMB(float(eta_of(eta)), flag("reward_term", reward_term), which)
    planner = plan_block if which == BLOCK else plan
    return Episodic(params, tabular.new_model, planner, tabular.act, tabular.see, tabular.rule)
