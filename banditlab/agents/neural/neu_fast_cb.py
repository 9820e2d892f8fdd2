"""NeuFastCB (Deb, Ban, Zuo, He & Banerjee 2024, ICLR): FastCB with a network that predicts costs.

A network with a sigmoid at its end learns the cost of each arm online by the kl loss, and
reweighted inverse gap weighting turns its predictions into probabilities
(banditlab.parts.inverse_gap)::

    p_a = cost_b / (K cost_b + gamma_t (cost_a - cost_b)),   b the arm of the least predicted cost

The regret grows with sqrt(K L) + K, where L is what the best policy loses, instead of sqrt(K T):
it explores little where there is little to lose. Where even the best arm costs much, NeuSquareCB
may do better. All else is as in ``neu_square_cb``.

>>> import banditlab
>>> agent = banditlab.Agent("neu_fast_cb", n_arms=3, dim=2, units=20)
>>> for t in range(300):
...     x = [1.0, 0.0] if t % 2 else [0.0, 1.0]
...     arm = agent.act(x)
...     agent.update(x, arm, reward=float(arm == t % 2))
>>> agent.recommend([1.0, 0.0]), agent.recommend([0.0, 1.0])
(array([0., 1., 0.]), array([1., 0., 0.]))
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab.parts.neural_cb import checked, neural_policy
from banditlab.protocols.online import Online

label = "NeuFastCB"
report = "contextual"  # what --log makes of a file
trial = {"units": 8, "steps": 60}  # what the contract plays, on what
example = {
    "name": "classification",
    "data": {
        "x": [[1, 0.5], [1, 1.5], [1, -0.5], [-1, 0.5], [-1, 1.5], [-1, -0.5]],
        "label": [0, 0, 0, 1, 1, 1],
    },
}


class NeuFastCB(NamedTuple):
    """Hyper-parameters; words are given by their place."""

    low: float  # of rewards
    high: float  # of rewards
    allocation: int  # place in inverse_gap.ALLOCATIONS
    gamma: float  # >= 0
    gamma_schedule: int  # place in inverse_gap.GAMMAS
    regression_regret: float  # >= 0: R of the theory's gamma; 0: K ln T
    best_loss: float  # >= 0: L of the theory's gamma
    delta: float  # in (0, 1): of the theory's gamma
    loss: int  # place in network_training.LOSSES
    clip: bool  # whether predictions are brought into [0, 1]
    units: int  # >= 1: of each hidden layer
    depth: int  # 1 or 2 hidden layers
    disjoint: bool  # whether every arm has a block of the first layer of its own
    lr: float  # > 0: step size
    perturb: int  # place in network_training.PERTURBATIONS
    c_p: float  # >= 0: size of the perturbation
    n_networks: int  # >= 1: S, of perturbation "ensemble"
    schedule: int  # place in network_training.SCHEDULES
    steps: int  # >= 1: samples of one training
    tolerance: float  # >= 0: mean squared error at which a training ends
    t0: float  # >= 0: in "ogd" the step is lr t0 / (t0 + t); 0: lr
    radius: float  # > 0: in "ogd", how far each layer may go from its start
    memory: int  # rows remembered, the last ones; 0: the horizon's, at least 10,000


def neu_fast_cb(
    low: float = 0.0,
    high: float = 1.0,
    allocation: str | int = "rigw",
    gamma: float = 10.0,
    gamma_schedule: str | int = "sqrt",
    regression_regret: float = 0.0,
    best_loss: float = 0.0,
    delta: float = 0.05,
    loss: str | int = "kl",
    clip: bool = False,
    units: int = 100,
    depth: int = 1,
    disjoint: bool = True,
    lr: float = 0.05,
    perturb: str | int = "expected",
    c_p: float = 0.01,
    n_networks: int = 10,
    schedule: str | int = "replay",
    steps: int = 2000,
    tolerance: float = 1e-3,
    t0: float = 0.0,
    radius: float = math.inf,
    memory: int = 0,
) -> Online:
    """NeuFastCB for rewards in [``low``, ``high``]; the task must have ``dim`` >= 1.

    ``allocation``, ``gamma``, ``gamma_schedule``, ``regression_regret``, ``best_loss``, ``delta``:
    see banditlab.parts.inverse_gap. ``loss``, ``perturb``, ``c_p``, ``n_networks``, ``schedule``,
    ``lr``, ``steps``, ``tolerance``, ``t0``, ``radius``: see banditlab.parts.network_training. The
    network has ``depth`` 1 or 2 layers of ``units``. Of the rows it has seen it learns from the
    last ``memory`` alone: fewer, where the world drifts. Rows of features should have length 1 or
    so: where they make the network diverge, the agent gives up.

    Raises ValueError for a number out of range and an unknown word.
    """
    return neural_policy(NeuFastCB(**checked(locals())))
