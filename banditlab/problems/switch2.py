"""One change: a steady policy that earns 1/2, and one that earns nothing at first and then 1.

Whoever gives up the second policy for good while it earns nothing loses 1/2 in every later
episode. This is what tells learners with a guarantee from those that lock in.
"""

from __future__ import annotations

from banditlab.parts.policy_set import LONGEST, policy_set, sequence
from banditlab.protocols.policies import PolicySet
from banditlab.validate import integer

example = {"change": 50}


def switch2(change: int = 1000) -> PolicySet:
    """Policy 0 earns 1/2; policy 1 earns 0 in the first ``change`` >= 1 episodes, then 1.

    The attacker of the first episodes is column 0, that of the others column 1. Raises ValueError
    when ``change`` is no such number.
    """
    change = integer("change", change, 1, LONGEST)
    return policy_set([[0.5, 0.5], [0.0, 1.0]], sequence([0, 1], change), 0.0, 1.0)
