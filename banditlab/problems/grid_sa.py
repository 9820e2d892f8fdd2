"""A slippery grid whose cells may be shown as their neighbours, and the policies worth having.

The grid is :mod:`banditlab.robust.grid`. Its policies are too many to list, so the rows are found:
the best policy without attacks, the four that always move the same way, which no attack touches,
and then those of :mod:`banditlab.robust.oracle` until there are ``found``. The attackers are no
attack, the worst attack of each policy, which is exact, and those that the search turned up; so
the least entry of a row is the policy's worst case. **The gap of the set to all policies is not
known**: the search gives a lower bound, and that does not fall within minutes.

>>> from banditlab.robust.grid import grid
>>> from banditlab.robust.sa_mdp import natural_optimum, value, worst_attack
>>> mdp = grid()
>>> best = natural_optimum(mdp)
>>> round(value(mdp, best), 6), round(value(mdp, best, worst_attack(mdp, best)), 6)
(0.477124, -0.916132)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from banditlab.parts.policy_set import policy_set, scheduled
from banditlab.protocols.policies import PolicySet
from banditlab.robust.grid import grid
from banditlab.robust.oracle import Discovered, discover_tabular
from banditlab.robust.sa_mdp import natural_optimum
from banditlab.validate import integer

example = {"found": 5}


@cache
def discovered(found: int) -> Discovered:
    """The policies, attackers and returns of the problem."""
    mdp = grid()
    S, A = mdp.reward.shape
    constant = [np.full(S, a) for a in range(A)]
    return discover_tabular(mdp, found, [natural_optimum(mdp), *constant])


def grid_sa(
    found: int = 9,
    schedule: str = "adaptive",
    attacker: int = 1,
    block: int = 0,
    p: float = 0.5,
    columns: Sequence[int] | None = None,
    rate: float = 0.01,
) -> PolicySet:
    """``found`` policies of the grid, 5 to 50; each beyond the fifth takes about a second.

    ``schedule``, ``attacker``, ``block``, ``p``, ``columns`` and ``rate`` say who attacks when: see
    :mod:`banditlab.parts.policy_set`. Raises ValueError naming what is wrong.
    """
    payoffs = discovered(integer("found", found, 5, 50)).payoffs
    made, supply = scheduled(payoffs.shape[1], schedule, attacker, block, p, columns, rate)
    return policy_set(payoffs, made, -1.0, 1.0, supply=supply)
