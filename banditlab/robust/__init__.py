"""Robust policies, exactly: matrix games, dominance by mixtures, state-adversarial MDPs.

>>> from banditlab.robust import natural_optimum, value, worst_attack
>>> from banditlab.robust.grid import grid
>>> mdp = grid()
>>> best = natural_optimum(mdp)
>>> round(value(mdp, best), 3), round(value(mdp, best, worst_attack(mdp, best)), 3)
(0.477, -0.916)
"""

from banditlab.robust.dominance import maximin, mix_gap, nondominated, pure_gap, set_gap
from banditlab.robust.oracle import discover_tabular
from banditlab.robust.sa_mdp import (
    SAMDP,
    all_attackers,
    all_policies,
    intermittent,
    mad_attacker,
    min_q_attacker,
    natural_optimum,
    no_attack,
    payoff_matrix,
    random_attacker,
    sa_mdp,
    value,
    values,
    worst_attack,
)

__all__ = [
    "SAMDP",
    "all_attackers",
    "all_policies",
    "discover_tabular",
    "intermittent",
    "mad_attacker",
    "maximin",
    "min_q_attacker",
    "mix_gap",
    "natural_optimum",
    "no_attack",
    "nondominated",
    "payoff_matrix",
    "pure_gap",
    "random_attacker",
    "sa_mdp",
    "set_gap",
    "value",
    "values",
    "worst_attack",
]
