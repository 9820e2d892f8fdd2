"""Random payoffs: a matrix of policies and attackers, uniform on [0, 1), new in every replication.

Most rows of a wide matrix are dominated by mixtures of the others, few by a single one: that is
where dominance by mixtures has to be told from dominance by rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from banditlab.parts.policy_set import init_evenly, policy_set, scheduled
from banditlab.protocols.policies import PolicySet
from banditlab.validate import integer

MOST = 10_000_000  # payoffs

example = {"n_policies": 12, "n_attackers": 4}


def random_payoffs(
    n_policies: int,
    n_attackers: int,
    schedule: str = "periodic",
    attacker: int = 1,
    block: int = 0,
    p: float = 0.5,
    columns: Sequence[int] | None = None,
    rate: float = 0.01,
) -> PolicySet:
    """``n_policies`` >= 2 rows and ``n_attackers`` >= 2 columns; returns have no noise.

    ``schedule``, ``attacker``, ``block``, ``p``, ``columns`` and ``rate`` say who attacks when: see
    :mod:`banditlab.parts.policy_set`. Raises ValueError naming what is wrong.
    """
    n = integer("n_policies", n_policies, 2, 10_000)
    m = integer("n_attackers", n_attackers, 2, 10_000)
    if n * m > MOST:
        raise ValueError(
            f"n_policies times n_attackers must be at most {MOST:,}, got {n:,} times {m:,}"
        )
    made, supply = scheduled(m, schedule, attacker, block, p, columns, rate)
    return policy_set(np.zeros((n, m)), made, 0.0, 1.0, supply=supply, start=init_evenly)
