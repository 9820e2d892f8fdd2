"""A ring whose states can be shown one off: three policies that trust, and one that does not.

One step. The state s is uniform on a ring of n; the action a = s earns 1, a neighbour of s costs
``c``, other states earn 0, and the action "safe" earns ``b`` wherever one is. What is shown is s or
a neighbour of it. Policies: ``nat`` does what is shown, ``left`` and ``right`` assume that it is
one off, ``safe`` is safe. Attackers: none, one up, one down. With the defaults ``safe`` is the
maximin policy, and each of the others is the best against one attacker.

>>> import banditlab
>>> banditlab.make_problem("ring_sa").params.payoffs
array([[ 1. , -1. , -1. ],
       [-1. ,  1. ,  0. ],
       [-1. ,  0. ,  1. ],
       [ 0.2,  0.2,  0.2]])
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from banditlab.parts.policy_set import policy_set, scheduled
from banditlab.protocols.policies import PolicySet
from banditlab.validate import integer, nonnegative, number

example = {"schedule": "cycle"}


def ring_payoffs(n: int, c: float, b: float) -> np.ndarray:
    """Mean returns (4, 3): policies nat, left, right, safe; attackers none, +1, -1."""
    payoffs = np.full((4, 3), b)
    for i, belief in enumerate((0, -1, 1)):
        for j, shift in enumerate((0, 1, -1)):
            earned = 0.0
            for s in range(n):
                off = (s + shift + belief - s) % n
                earned += 1.0 if off == 0 else -c if off in (1, n - 1) else 0.0
            payoffs[i, j] = earned / n
    return payoffs


def ring_sa(
    n: int = 5,
    c: float = 1.0,
    b: float = 0.2,
    schedule: str = "cycle",
    attacker: int = 1,
    block: int = 0,
    p: float = 0.5,
    columns: Sequence[int] | None = None,
    rate: float = 0.01,
) -> PolicySet:
    """A ring of ``n`` >= 4 states, a miss costs ``c`` >= 0, safety earns ``b`` in [-c, 1].

    ``schedule``, ``attacker``, ``block``, ``p``, ``columns`` and ``rate`` say who attacks when: see
    :mod:`banditlab.parts.policy_set`. Raises ValueError naming what is wrong.
    """
    n, c = integer("n", n, 4, 10_000), nonnegative("c", c)
    if not -c <= number("b", b) <= 1.0:
        raise ValueError(f"b must lie in [-c, 1], here [{-c:g}, 1], got {b!r}")
    made, supply = scheduled(3, schedule, attacker, block, p, columns, rate)
    return policy_set(ring_payoffs(n, c, b), made, -c, 1.0, supply=supply)
