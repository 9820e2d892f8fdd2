"""Any payoff matrix: a row per policy, a column per attacker, returns with or without noise.

Column 0 is no attack. See :mod:`banditlab.parts.policy_set` for the schedules of attackers.

>>> import banditlab
>>> problem = banditlab.make_problem("matrix_attack", payoffs=[[9, 1], [5, 5]], high=10, sd=1)
>>> problem.shape
(2, 1, 0)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from banditlab.parts.policy_set import policy_set, scheduled
from banditlab.protocols.policies import PolicySet
from banditlab.robust.dominance import as_payoffs

example = {"payoffs": [[0.9, 0.1], [0.5, 0.6], [0.3, 0.2]], "sd": 0.2, "block": 50}


def matrix_attack(
    payoffs: Any,
    low: float = 0.0,
    high: float = 1.0,
    sd: float = 0.0,
    schedule: str = "periodic",
    attacker: int = 1,
    block: int = 0,
    p: float = 0.5,
    columns: Sequence[int] | None = None,
    rate: float = 0.01,
) -> PolicySet:
    """Returns N(payoffs[i][j], sd^2), clipped to [``low``, ``high``], ``low`` < ``high``.

    ``payoffs``: at least two rows, finite numbers. Regret compares the means as clipped.
    ``schedule``, ``attacker``, ``block``, ``p``, ``columns`` and ``rate`` say who attacks when, see
    the top of the file. Raises ValueError naming what is wrong.
    """
    M = as_payoffs(payoffs)
    made, supply = scheduled(M.shape[1], schedule, attacker, block, p, columns, rate)
    return policy_set(M, made, low, high, sd=sd, supply=supply)
