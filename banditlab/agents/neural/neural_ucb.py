"""NeuralUCB (Zhou, Li & Gu 2020, ICML), as its authors' program computes it.

A network f predicts the reward; the gradients g of its predictions say how sure they are. Pull the
arm of the largest::

    f(x) + sqrt(ridge nu g.T U^-1 g)

and add the gradient of the arm pulled, at the weights of that moment, to ``U``, which starts at
``ridge``. What U is, ``cov`` says (banditlab.parts.gradient_widths), and ``calendar`` when the
network learns (banditlab.parts.calendars): by default as all neural agents here do, not as the
authors' does. It (banditlab.parts.networks) has a block of its first layer for every arm if
``disjoint``, else one for all.

Defaults of ``ridge`` and ``nu`` do well on all sets of the arenas; the authors have 0.001 and 1,
the program of EE-Net 0.1 and 0.001. Rewards far beyond 1 ask for a smaller ``lr``: where
predictions diverge the agent gives up.

>>> import banditlab
>>> agent = banditlab.Agent("neural_ucb", n_arms=2, dim=1, units=20, seed=1)
>>> for t in range(100):
...     x = [[1.0 if t % 3 else -1.0]]
...     arm = agent.act(x)
...     agent.update(x, arm, reward=float(arm == (t % 3 > 0)))
>>> agent.act([[1.0]]), agent.act([[-1.0]])
(1, 0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab.core import kernel
from banditlab.parts.calendars import CALENDARS, EE_NET, check_decay
from banditlab.parts.gradient_widths import (
    COVARIANCES,
    DIAGONAL,
    UPDATE,
    check_of,
    init,
    predict,
    recommend,
)
from banditlab.parts.largest import first_largest
from banditlab.parts.modes import place
from banditlab.protocols.online import Online
from banditlab.validate import flag, integer, nonnegative, positive

label = "NeuralUCB"
report = "contextual"  # what --log makes of a file
trial = {"units": 12, "steps": 60}  # what the contract plays, on what
example = {
    "name": "classification",
    "data": {
        "x": [[1, 0.5], [1, 1.5], [1, -0.5], [-1, 0.5], [-1, 1.5], [-1, -0.5]],
        "label": [0, 0, 0, 1, 1, 1],
    },
}


class NeuralUCB(NamedTuple):
    """Hyper-parameters."""

    ridge: float = 0.1  # > 0: lambda
    nu: float = 0.01  # >= 0: of the bonus
    cov: int = DIAGONAL  # place in COVARIANCES
    units: int = 100  # >= 1: of a hidden layer
    depth: int = 1  # 1 or 2 hidden layers
    lr: float = 0.05  # > 0: step size
    calendar: int = EE_NET  # place in CALENDARS: when to train
    steps: int = 0  # >= 0: of a training; 0: as many as the calendar has
    tolerance: float = 0.001  # >= 0: mean squared error at which a training ends
    disjoint: bool = True  # whether every arm has a block of the first layer of its own
    memory: int = 0  # >= 0: rows remembered, the last; 0: the horizon's, at least 10,000


@kernel
def act(params, state, t, x, rng):
    if not predict(state, x):
        return -1
    for k in range(state.mean.size):
        state.mean[k] += math.sqrt(params.ridge * params.nu * state.form[k])
    return first_largest(state.mean)


def neural_ucb(
    ridge: float = 0.1,
    nu: float = 0.01,
    cov: str | int = "diagonal",
    units: int = 100,
    depth: int = 1,
    lr: float = 0.05,
    calendar: str | int = "ee_net",
    steps: int = 0,
    tolerance: float = 0.001,
    disjoint: bool = True,
    memory: int = 0,
) -> Online:
    """NeuralUCB; ranges of the arguments stand at :class:`NeuralUCB`.

    ``cov`` is "diagonal", "last_layer" or "full"; the last is refused where the network of a task
    has more than 4,000 weights. ``calendar`` is "ee_net", "neural_ucb" or "neural_ts". The task
    must have ``dim`` >= 1; features may differ between arms, or be one row that all arms share.
    Ties go to the lowest arm. Raises ValueError for a number out of range.
    """
    params = NeuralUCB(
        positive("ridge", ridge),
        nonnegative("nu", nu),
        place("cov", cov, COVARIANCES),
        integer("units", units, 1, 100_000),
        integer("depth", depth, 1, 2),
        positive("lr", lr),
        place("calendar", calendar, CALENDARS),
        integer("steps", steps, 0),
        nonnegative("tolerance", tolerance),
        flag("disjoint", disjoint),
        integer("memory", memory, 0),
    )
    check_decay(params.calendar, params.ridge, params.lr)
    update = UPDATE[params.calendar]
    return Online(params, init, act, update, recommend, features=True, check=check_of(params))
