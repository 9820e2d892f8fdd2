"""NeuSquareCB (Deb, Ban, Zuo, He & Banerjee 2024, ICLR): SquareCB, with a network for the costs.

A network learns the cost of each arm online by the square loss, and inverse gap weighting turns its
predictions into probabilities (banditlab.parts.inverse_gap)::

    p_a = 1 / (K + gamma_t (cost_a - cost_b)),   b the arm of the least predicted cost

Rewards in [``low``, ``high``] become costs from 1 to 0. What makes the paper's regret sqrt(K T) is
a small random perturbation of the network's output, see banditlab.parts.network_training, where
also the schedules of training are: ``replay`` is what all released code of this literature does,
``ogd`` is what the theory is about; on a few thousand rounds it learns far less. We knew the
paper's abstract and its reviews; constants are our choice: S = 10, c_p = .01 at 100 units.

``loss`` and ``allocation`` may be changed for comparison; (kl, rigw) is NeuFastCB. Predictions of
the square loss are not clipped unless ``clip``, for only their gaps count, but rigw always clips.
``disjoint``: every arm has a block of the first layer of its own; without it the features must
tell the arms apart, and arms may come and go.

>>> import banditlab
>>> agent = banditlab.Agent("neu_square_cb", n_arms=3, dim=2, units=20)
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

label = "NeuSquareCB"
report = "contextual"  # what --log makes of a file
trial = {"units": 8, "steps": 60}  # what the contract plays, on what
example = {
    "name": "classification",
    "data": {
        "x": [[1, 0.5], [1, 1.5], [1, -0.5], [-1, 0.5], [-1, 1.5], [-1, -0.5]],
        "label": [0, 0, 0, 1, 1, 1],
    },
}


class NeuSquareCB(NamedTuple):
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


def neu_square_cb(
    low: float = 0.0,
    high: float = 1.0,
    allocation: str | int = "igw",
    gamma: float = 10.0,
    gamma_schedule: str | int = "sqrt",
    regression_regret: float = 0.0,
    best_loss: float = 0.0,
    delta: float = 0.05,
    loss: str | int = "square",
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
    """NeuSquareCB for rewards in [``low``, ``high``]; the task must have ``dim`` >= 1.

    ``allocation``, ``gamma``, ``gamma_schedule``, ``regression_regret``, ``best_loss``, ``delta``:
    see banditlab.parts.inverse_gap. ``loss``, ``perturb``, ``c_p``, ``n_networks``, ``schedule``,
    ``lr``, ``steps``, ``tolerance``, ``t0``, ``radius``: see banditlab.parts.network_training. The
    network has ``depth`` 1 or 2 layers of ``units``. Of the rows it has seen it learns from the
    last ``memory`` alone: fewer, where the world drifts. Rows of features should have length 1 or
    so: where they make the network diverge, the agent gives up.

    Raises ValueError for a number out of range and an unknown word.
    """
    return neural_policy(NeuSquareCB(**checked(locals())))
