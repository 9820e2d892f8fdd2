"""A corridor with a door: four cells, sixteen policies, thirty-six attackers, all of them listed.

Cells 0 to 3, start in 0, gamma = 0.95. Action 1, "open and advance", costs 0.3; action 0,
"advance", costs 0.1, but in the door cell 2 it fails and costs 0.5. Leaving cell 3 adds 1 and ends
the episode. A cell may be shown as itself or a neighbour. The best policy without attacks opens in
cell 2 only, and stands before the door for ever when the attacker shows it another cell; opening
everywhere is safe and dear. Policy i is the number whose binary digits, from the left, are the
actions for cells 0 to 3 shown. Attackers are in lexicographic order of what cells 0 to 3 are shown
as, but for no attack, which is first.

>>> import banditlab
>>> problem = banditlab.make_problem("door_corridor")
>>> problem.params.payoffs.shape
(16, 36)
>>> round(float(problem.params.payoffs[0b0010, 0]), 7)
0.3058875
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from banditlab.parts.policy_set import policy_set, scheduled
from banditlab.protocols.policies import PolicySet
from banditlab.robust.sa_mdp import SAMDP, all_attackers, all_policies, payoff_matrix, sa_mdp
from banditlab.validate import inside

example = {"schedule": "adaptive"}


def corridor(gamma: float = 0.95) -> SAMDP:
    """The corridor; state 4 is the end."""
    prob, reward = np.zeros((5, 2, 5)), np.zeros((5, 2))
    for x in range(4):
        for a in range(2):
            stuck = x == 2 and a == 0
            prob[x, a, x if stuck else x + 1] = 1.0
            reward[x, a] = -0.5 if stuck else (-0.3 if a else -0.1) + (1.0 if x == 3 else 0.0)
    prob[4, :, 4] = 1.0
    near = np.abs(np.subtract.outer(np.arange(5), np.arange(5))) <= 1
    near[4], near[:, 4] = False, False
    near[4, 4] = True
    return sa_mdp(prob, reward, 0, gamma, near)


@cache
def corridor_payoffs(gamma: float) -> np.ndarray:
    """J of the 16 policies against the 36 attackers."""
    mdp = corridor(gamma)
    policies = all_policies(mdp)[::2]  # what is done at the end does not matter
    return payoff_matrix(mdp, policies, all_attackers(mdp))


def door_corridor(
    gamma: float = 0.95,
    schedule: str = "adaptive",
    attacker: int = 1,
    block: int = 0,
    p: float = 0.5,
    columns: Sequence[int] | None = None,
    rate: float = 0.01,
) -> PolicySet:
    """The sixteen policies of the corridor with discount ``gamma`` in (0, 1).

    ``schedule``, ``attacker``, ``block``, ``p``, ``columns`` and ``rate`` say who attacks when: see
    :mod:`banditlab.parts.policy_set`. Raises ValueError naming what is wrong.
    """
    payoffs = corridor_payoffs(inside("gamma", gamma, 0.0, 1.0))
    made, supply = scheduled(payoffs.shape[1], schedule, attacker, block, p, columns, rate)
    return policy_set(payoffs, made, payoffs.min(), payoffs.max(), supply=supply)
