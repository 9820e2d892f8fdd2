"""Maximize to explore, model-based, on finite decision processes (Liu et al. 2023, 2305.18258).

The hypothesis is a model P of the dynamics, its loss minus the log-likelihood of what was seen:
before every episode MEX takes the model that maximises (arXiv 2305.18258; see `mex_mf`)

    V_1(x_1; P) + eta sum_{h,s,a,s'} n_h(s,a,s') ln P_h(s'|s,a)

and plays its optimal policy. The paper has no experiment on tables; our reduction plans backwards,
letting every pair promise as much as its data allow,

    Q_h(s,a) = r + max_p { p.V_{h+1} - eta n KL(phat || p) },

with the closed form of :mod:`banditlab.parts.kl_block`. It is an upper bound of the objective: it
takes every occupancy for 1. A pair without data is worth the largest value of any next state.

Where rewards are unknown their likelihood belongs to the objective, too, or else there is no
optimism about them and the agent locks in: ``reward_term`` adds sigma^2 / (2 eta n) to the mean
reward, with sigma^2 = 1/4 as for rewards 0 and 1. ``eta = inf`` is greedy.

>>> import banditlab
>>> banditlab.make("mex_mb", eta=1.0).params
MexMB(eta=1.0, reward_term=True)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts import tabular
from banditlab.parts.kl_block import gain
from banditlab.protocols.episodic import Episodic
from banditlab.validate import flag

VARIANCE = 0.25  # of a reward in [0, 1], at most


class MexMB(NamedTuple):
    """Hyper-parameters."""

    eta: float = 0.3  # > 0, weight of the likelihood; inf is greedy
    reward_term: bool = True  # whether there is optimism about rewards that are not told


@kernel
def plan(params, m, k, rng):
    told, r, n, kinds, succ, times = m.told, m.r, m.n, m.kinds, m.succ, m.times
    cap, Q, V, policy = m.cap, m.Q, m.V, m.policy
    H, S, A = Q.shape
    hope = 0.0
    if params.reward_term and not told[0]:
        hope = VARIANCE / (2.0 * params.eta)
    phat = np.empty(succ.shape[3])
    values = np.empty(succ.shape[3])
    for h in range(H - 1, -1, -1):
        i = h if n.shape[0] > 1 else 0
        top = V[h + 1, 0]
        for s in range(1, S):
            top = max(top, V[h + 1, s])
        for s in range(S):
            for a in range(A):
                visits = n[i, s, a]
                if visits == 0.0:
                    Q[h, s, a] = tabular.untried(told, r, cap, i, h, s, a)
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


def mex_mb(eta: float = 0.3, reward_term: bool = True) -> Episodic:
    """Model-based MEX.

    ``eta > 0`` weighs the likelihood; ``inf`` is greedy. ``reward_term``: see the module; it is
    of no effect where mean rewards are told. Raises ValueError otherwise.
    """
    params = MexMB(tabular.loss_weight(eta), flag("reward_term", reward_term))
    return Episodic(params, tabular.new_model, plan, tabular.act, tabular.see, tabular.rule)
