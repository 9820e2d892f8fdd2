"""SquareCB (Foster & Rakhlin 2020, ICML): regression of costs, and inverse gap weighting.

Predict the cost of each arm, and pull arm a with probability::

    p_a = 1 / (K + gamma_t (cost_a - cost_b)),   b the arm of the least predicted cost

With ``gamma_schedule = "theory_square"`` the regret is at most 4 sqrt(K T R) + 8 sqrt(K T ln(2 /
delta)), where R is the regret of the regression for losses (cost - prediction)^2. The default,
10 sqrt(t), is that of Vowpal Wabbit; 30 sqrt(t) is better on many easy problems. See
banditlab.parts.inverse_gap and, for the oracles, banditlab.parts.cost_oracles. With a network in
their place it is ``neu_square_cb``.

>>> import banditlab
>>> agent = banditlab.Agent("square_cb", n_arms=3, oracle="tabular")
>>> agent.update(None, 0, reward=0.0)  # predicted costs 3/4, 1/2, 1/2; gamma = 10 sqrt(2)
>>> agent.propensities().round(4)
array([0.153 , 0.5137, 0.3333])
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.parts.cost_oracles import checked, oracle_policy
from banditlab.protocols.online import Online

label = "SquareCB"
report = "contextual"  # what --log makes of a file
example = {
    "name": "classification",
    "data": {
        "x": [[1, 0.5], [1, 1.5], [1, -0.5], [-1, 0.5], [-1, 1.5], [-1, -0.5]],
        "label": [0, 0, 0, 1, 1, 1],
    },
}


class SquareCB(NamedTuple):
    """Hyper-parameters; words are given by their place."""

    low: float  # of rewards
    high: float  # of rewards
    allocation: int  # place in inverse_gap.ALLOCATIONS
    gamma: float  # >= 0
    gamma_schedule: int  # place in inverse_gap.GAMMAS
    regression_regret: float  # >= 0: R of the theory's gamma; 0: K ln T
    best_loss: float  # >= 0: L of the theory's gamma
    delta: float  # in (0, 1): of the theory's gamma
    oracle: int  # place in cost_oracles.ORACLES
    disjoint: bool  # whether every arm has coefficients of its own
    ridge: float  # > 0: prior precision of the linear oracle
    lr: float  # > 0: step size of the logistic oracle


def square_cb(
    low: float = 0.0,
    high: float = 1.0,
    allocation: str | int = "igw",
    gamma: float = 10.0,
    gamma_schedule: str | int = "sqrt",
    regression_regret: float = 0.0,
    best_loss: float = 0.0,
    delta: float = 0.05,
    oracle: str | int = "linear",
    disjoint: bool = True,
    ridge: float = 1.0,
    lr: float = 0.1,
) -> Online:
    """SquareCB for rewards in [``low``, ``high``], with ``oracle`` tabular, linear or logistic.

    ``ridge`` > 0 belongs to the linear one, the step size ``lr`` > 0 to the logistic one; both need
    features. ``disjoint`` gives every arm coefficients of its own; without it the features must
    tell the arms apart. ``allocation``, ``gamma``, ``gamma_schedule``, ``regression_regret``,
    ``best_loss``, ``delta``: see banditlab.parts.inverse_gap.

    Raises ValueError for a number out of range and an unknown word.
    """
    return oracle_policy(SquareCB(**checked(locals())))
