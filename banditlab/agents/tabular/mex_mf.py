"""Maximize to explore, model-free, on finite decision processes (Liu et al. 2023, 2305.18258).

MEX has no confidence set. Before every episode it takes the hypothesis ``f`` that maximises one
objective, the value that it promises minus its loss on the data so far::

    V_1(x_1; f) - eta sum_h L_h(f)

and plays greedily for it. The paper's hypotheses are Q-functions with 0 <= Q_h <= H - h + 1 and its
loss is the squared Bellman error less its infimum, which on tables is

    L_h(f) = sum_{s,a} n_h(s,a) (Q_h(s,a) - rhat_h(s,a) - (Phat_h V_{h+1})(s,a))^2

That much is the paper's; it has no experiment on tables, and what follows is our own reduction.
Let e_h(s,a) be the optimism in the bracket and d_h^pi the occupancy of pi in the empirical model.
For a fixed pi the best optimism is e_h = d_h^pi / (2 eta n_h), hence the supremum is, without caps,

    max_pi { Vhat^pi_1 + 1/(4 eta) sum_{h,s,a} d_h^pi(s,a)^2 / n_h(s,a) }

a convex function of the occupancy. ``solver="surrogate"`` replaces d^2 by d, which is at least as
much: value iteration with the bonus 1/(4 eta n), capped; a pair without data is worth its cap.
``solver="ccp"``, the convex-concave procedure, climbs to the supremum from there: bonus
d_h(s,a) / (2 eta n_h(s,a)) for the occupancy of the policy before, as long as the objective rises.
Never start it from the greedy estimate: what its policy does not reach would get no bonus at all.

``eta = inf`` is greedy: only pairs without data are hoped for. The paper's eta for its regret bound
is about 1e-4 for RiverSwim, far too optimistic to be of use.

>>> import banditlab
>>> agent = banditlab.Agent("mex_mf", n_states=1, n_actions=2, steps=1, low=0, high=9, eta=1.0)
>>> for reward in (5.0, 4.0):  # once each arm
...     agent.update(0, agent.act(0), reward, 0, truncated=True)
>>> sorted((agent.state.Q[0, 0] * 9).tolist())  # 1 / (4 eta n) is for rewards scaled to [0, 1]
[6.25, 7.25]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts import tabular
from banditlab.parts.mex import eta_of
from banditlab.parts.modes import place
from banditlab.protocols.episodic import Episodic

label = "MEX"

SOLVERS = ("surrogate", "ccp")
CCP = 1
ROUNDS = 8  # of the convex-concave procedure, at most


class MexMF(NamedTuple):
    """Hyper-parameters."""

    eta: float = 0.3  # > 0, weight of the loss; inf is greedy
    solver: int = 0  # place in SOLVERS


@kernel
def promise(params, m, d, rng):
    """Value iteration with a bonus: of the surrogate, or with the occupancy ``d`` (H, S, A)."""
    told, r, n, kinds, succ, times = m.told, m.r, m.n, m.kinds, m.succ, m.times
    cap, Q, V, policy = m.cap, m.Q, m.V, m.policy
    H, S, A = Q.shape
    width = 1.0 / (4.0 * params.eta)
    tangent = d.size > 0
    for h in range(H - 1, -1, -1):
        i = h if n.shape[0] > 1 else 0
        then = V[h + 1]
        for s in range(S):
            for a in range(A):
                if n[i, s, a] > 0.0:
                    # The tangent of d^2 at the occupancy before is 2 d.
                    bonus = 2.0 * d[h, s, a] * width if tangent else width
                    total = tabular.ahead(succ, times, kinds, i, s, a, then)
                    q = r[i, s, a] + (total + bonus) / n[i, s, a]
                    Q[h, s, a] = min(cap[h], q)
                else:
                    Q[h, s, a] = tabular.untried(told, r, cap, i, h, s, a)
        tabular.settle(Q, V, policy, h, rng)


@kernel
def plan_surrogate(params, m, k, rng):
    promise(params, m, np.zeros((0, 0, 0)), rng)


@kernel
def objective(params, m, k, d):
    """The objective of the plan, and in ``d`` (H, S, A) how often it meets each pair with data."""
    H, S, A = m.Q.shape
    here = np.empty(S + 1)
    then = np.zeros(S + 1)
    for s in range(S):
        here[s] = m.first[s] / k
    width = 1.0 / (4.0 * params.eta)
    found = 0.0
    for h in range(H):
        i = h if m.n.shape[0] > 1 else 0
        for s in range(S):
            for a in range(A):
                d[h, s, a] = 0.0
            met, a = here[s], m.policy[h, s]
            n = m.n[i, s, a]
            if met > 0.0 and n > 0.0:
                d[h, s, a] = met
                found += met * m.r[i, s, a] + met * met * (width / n)
                for j in range(m.kinds[i, s, a]):
                    then[m.succ[i, s, a, j]] += met * m.times[i, s, a, j] / n
            elif met > 0.0:
                found += met * tabular.untried(m.told, m.r, m.cap, i, h, s, a)
        found += then[S] * m.V[h + 1, S]
        for s in range(S + 1):
            here[s] = then[s]
            then[s] = 0.0
    return found


@kernel
def plan_ccp(params, m, k, rng):
    promise(params, m, np.zeros((0, 0, 0)), rng)
    if k == 0:
        return
    d = np.zeros(m.Q.shape)
    kept, Q, V = m.policy.copy(), m.Q.copy(), m.V.copy()
    most = objective(params, m, k, d)
    for _ in range(ROUNDS):
        promise(params, m, d, rng)
        now = objective(params, m, k, d)
        if now <= most * (1.0 + 1e-12):
            break
        most = now
        kept[:], Q[:], V[:] = m.policy, m.Q, m.V
    m.policy[:], m.Q[:], m.V[:] = kept, Q, V


def mex_mf(eta: float = 0.3, solver: str | int = "surrogate") -> Episodic:
    """Model-free MEX.

    ``eta > 0`` weighs the loss, in 1 / (scaled reward)^2 a visit; ``inf`` is greedy. ``solver`` is
    one of ``SOLVERS``, see the module; its place there will do. Raises ValueError otherwise.
    """
    params = MexMF(float(eta_of(eta)), place("solver", solver, SOLVERS))
    plan = plan_ccp if params.solver == CCP else plan_surrogate
    return Episodic(params, tabular.new_model, plan, tabular.act, tabular.see, tabular.rule)
