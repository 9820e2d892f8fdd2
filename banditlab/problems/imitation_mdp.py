"""Pure imitation (Rashidinejad et al. 2021, Figure 6): an expert's log, C* = 1.

States 0, ..., S - 2 and an absorbing state b of reward 0. In every other state one action, the
expert's, pays 1 and restarts from rho = (z, ..., z, 1 - (S - 2) z, 0) with z = 1 / (N + 1); any
other leads to b. The expert's actions are drawn anew in every replication, J* = 1 / (1 - gamma),
and the log shows nothing but the expert. A state that the log of N rows misses can only be
guessed, whatever the algorithm: the expected loss is about
(1 - 1/A) (S - 2) / (e N (1 - gamma)^2).

>>> round(imitation_mdp(N=1000).params.optimum, 9)
10.0
"""

from __future__ import annotations

import numpy as np

from banditlab.core import kernel
from banditlab.mdp import MDP, discount, new_mdp
from banditlab.protocols.offline_mdp import Case, LoggedMDP
from banditlab.random import below
from banditlab.validate import integer

example = {"N": 100}


@kernel
def init(params, rng):
    """Params are the Case in which action 0 is the expert's: deal the actions anew."""
    mdp = params.mdp
    succ = mdp.succ.copy()
    prob = mdp.prob.copy()
    reward = mdp.reward.copy()
    mu = params.mu.copy()
    S, A, K = succ.shape
    for s in range(S - 1):
        expert = below(rng, A)
        mu[0, s, 0], mu[0, s, expert] = mu[0, s, expert], mu[0, s, 0]
        for k in range(K):
            succ[s, 0, k], succ[s, expert, k] = succ[s, expert, k], succ[s, 0, k]
            prob[s, 0, k], prob[s, expert, k] = prob[s, expert, k], prob[s, 0, k]
            reward[s, 0, k], reward[s, expert, k] = reward[s, expert, k], reward[s, 0, k]
    dealt = MDP(
        succ,
        prob,
        reward,
        mdp.start,
        mdp.legal,
        mdp.terminal,
        mdp.gamma,
        mdp.horizon,
        mdp.v_min,
        mdp.v_max,
    )
    return Case(dealt, mu, params.optimum)


def imitation_mdp(N: int, S: int = 12, A: int = 4, gamma: float = 0.9) -> LoggedMDP:
    """The instance for logs of N >= 1 rows, with S >= 3 states and A >= 2 actions.

    Raises ValueError, in one line, for whatever is out of range.
    """
    N, S, A = integer("N", N, 1), integer("S", S, 3), integer("A", A, 2)
    gamma = discount(gamma)
    z = 1.0 / (N + 1.0)
    if (S - 2) * z > 1.0:
        raise ValueError(f"N must be at least S - 3 = {S - 3}, got {N}")
    good = np.arange(S - 1)
    rho = np.full(S, z)
    rho[S - 2], rho[S - 1] = 1.0 - (S - 2) * z, 0.0
    succ = np.full((S, A, S - 1), S - 1)
    prob, reward = np.zeros((2, S, A, S - 1))
    prob[:, :, 0] = 1.0
    succ[good, 0], prob[good, 0], reward[good, 0] = good, rho[:-1], 1.0
    ends = np.arange(S) == S - 1
    optimum = 1.0 / (1.0 - gamma)
    mdp = new_mdp(succ, prob, reward, rho, gamma=gamma, terminal=ends, v_min=0.0, v_max=optimum)
    mu = np.zeros((1, S, A))
    mu[0, :, 0] = rho  # d* = rho: every good step restarts
    # Told the rewards, a learner would know the expert's actions without having seen them.
    return LoggedMDP(Case(mdp, mu, optimum), init, (A, S, 0), (0.0, 1.0), known=False)
