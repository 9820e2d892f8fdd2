"""The gambler of Li, Shi, Chen, Chi & Wei (2022, section 4): bet until you own the goal.

States are the capitals 0, ..., goal; a bet of a in 1, ..., min(s, goal - s) is won with
probability ``p``. Reaching the goal pays 1, and the episode ends there and at 0. It lasts ``H``
steps at most and begins with any capital alike. The log has N rows of every bet in every capital
and step (a generative model), so C* plays no part; with ``C`` it is the mixture of
:func:`banditlab.mdp.mixture` instead.

``quirks`` repeats three things that the authors' notebook does and the paper does not say: a
second log is drawn from which the policy is read off with the values of the first; betting
nothing is allowed, and ends the episode with nothing; and (in ``vi_lcb(mode="notebook")``) the
penalty has no logarithm and ties go to the smallest bet.

>>> problem = gambler()
>>> round(problem.params.optimum, 6)
0.43142
"""

from __future__ import annotations

import numpy as np

from banditlab.mdp import MDP, mixture, new_mdp, solve
from banditlab.protocols.offline_mdp import LoggedMDP, draw_everywhere, logged
from banditlab.validate import inside, integer

example = {"goal": 10, "H": 10}
# Mean gap over the authors' 10 seeds at N = floor(e^3), floor(e^3.5), ..., floor(e^10), read from
# the result file of their notebook (github.com/Laixishi/Model-based-VI-LCB).
SIZES = (20, 33, 54, 90, 148, 244, 403, 665, 1096, 1808, 2980, 4914, 8103, 13359, 22026)
AUTHORS_VI_LCB = (
    0.1146, 0.0479, 0.0290, 0.0188, 0.0143, 0.0120, 0.0086, 0.0083,
    0.0070, 0.0062, 0.0051, 0.0032, 0.0020, 0.0013, 0.00085,
)  # fmt: skip
AUTHORS_VI = (
    0.1512, 0.1444, 0.1399, 0.1299, 0.1148, 0.0901, 0.0649, 0.0413,
    0.0234, 0.0164, 0.0096, 0.0056, 0.0037, 0.0017, 0.0010,
)  # fmt: skip


def gambler(
    p: float = 0.45,
    goal: int = 50,
    H: int = 100,
    C: float | None = None,
    quirks: bool = False,
    known_rewards: bool = False,
) -> LoggedMDP:
    """The gambler's problem.

    Parameters
    ----------
    p
        Probability of winning a bet, in (0, 1).
    goal
        Capital to reach, at least 2.
    H
        Number of steps, at least 1.
    C
        None for a generative model; else a bound of at least 1 on the concentrability of a
        mixture of the optimal and the worst policy.
    quirks
        Whether to repeat the authors' notebook, see the module.
    known_rewards
        Whether learners are told the mean rewards. The mean reward of a bet for the goal is ``p``
        itself, so this would give the game away.

    Raises ValueError, in one line, for whatever is out of range.
    """
    mdp = model(inside("p", p, 0.0, 1.0), integer("goal", goal, 2), integer("H", H, 1), quirks)
    solution = solve(mdp)
    if C is not None:
        mu = mixture(mdp, C, solution=solution)
        return logged(mdp, mu, solution.J, known=known_rewards, second=quirks)
    even = np.where(mdp.legal & ~mdp.terminal[:, None], 1.0, 0.0)
    mu = np.broadcast_to(even / even.sum(), (H, *even.shape))
    return logged(mdp, mu, solution.J, log=draw_everywhere, known=known_rewards, second=quirks)


def model(p: float, goal: int, H: int, quirks: bool = False) -> MDP:
    """The exact MDP; action a is the bet a + 1, or with ``quirks`` the bet a."""
    S, least = goal + 1, 0 if quirks else 1
    A = goal // 2 + 1 - least
    succ = np.zeros((S, A, 2), np.int64)
    prob, reward = np.zeros((2, S, A, 2))
    for s in range(S):
        if s in (0, goal):
            succ[s], prob[s, :, 0] = s, 1.0
        for a in range(A) if 0 < s < goal else ():
            bet = a + least
            if bet == 0:
                prob[s, a, 0] = 1.0  # to capital 0, where the episode is over
            elif bet <= min(s, goal - s):
                succ[s, a], prob[s, a] = (s + bet, s - bet), (p, 1.0 - p)
                reward[s, a, 0] = 1.0 if s + bet == goal else 0.0
    ends = (np.arange(S) == 0) | (np.arange(S) == goal)
    # Rewards lie in [0, 1] and that is all an algorithm is told: values lie in [0, H].
    return new_mdp(
        succ, prob, reward, np.full(S, 1.0 / S), horizon=H, terminal=ends, v_min=0.0, v_max=float(H)
    )
