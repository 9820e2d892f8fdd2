"""NeuralTS (Zhang, Zhou, Li & Gu 2021, ICLR), as its authors' program computes it.

A network f predicts the reward of an arm; the gradient g of the prediction says how sure it is.
Draw a reward for every arm and pull the arm of the largest::

    Normal(f(x), ridge nu g.T U^-1 g)

The gradient of the arm pulled, at the weights of that moment, is added to ``U``, which starts at
``ridge``. What U is, ``cov`` says (banditlab.parts.gradient_widths), and ``calendar`` when the
network learns (banditlab.parts.calendars): by default as all neural agents here do, not as the
authors' does, which takes a hundred times as long.

Defaults of ``ridge`` and ``nu`` are those of the program of EE-Net (Ban et al. 2022); the authors'
scripts have 0.01 and 0.000001. In EE-Net's copy of NeuralTS all entries of U grow by one and the
same number, for there the product of a vector with itself is a number, and lambda is not read.
Neither is done here.

>>> import banditlab
>>> agent = banditlab.Agent("neural_ts", n_arms=2, dim=1, units=20, nu=0.1, seed=1)
>>> for t in range(30):
...     agent.update([[1.0]], arm=t % 2, reward=float(t % 2))
>>> agent.propensities([[1.0]]).round(1)
array([0., 1.])
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
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
from banditlab.random import normal
from banditlab.validate import flag, integer, nonnegative, positive

label = "NeuralTS"
report = "contextual"  # what --log makes of a file
trial = {"units": 12, "steps": 60}  # what the contract plays, on what
example = {
    "name": "classification",
    "data": {
        "x": [[1, 0.5], [1, 1.5], [1, -0.5], [-1, 0.5], [-1, 1.5], [-1, -0.5]],
        "label": [0, 0, 0, 1, 1, 1],
    },
}
POINTS = 500  # of an arm's reward, at which propensities look
propensity_error = 0.01  # more than a sum over these points is off by


class NeuralTS(NamedTuple):
    """Hyper-parameters."""

    ridge: float = 0.1  # > 0: lambda
    nu: float = 0.001  # >= 0: of the variance
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
def spread(params, form):
    """Standard deviation of a reward that is drawn."""
    return math.sqrt(params.ridge * params.nu * form)


@kernel
def act(params, state, t, x, rng):
    if not predict(state, x):
        return -1
    for k in range(state.mean.size):
        state.mean[k] += spread(params, state.form[k]) * normal(rng)
    return first_largest(state.mean)


@kernel
def propensities(params, state, t, x, out):
    """The chance that an arm's reward is the largest, a sum over POINTS quantiles of it."""
    sound = predict(state, x)
    total = 0.0
    for k in range(out.size):
        out[k] = 0.0
        for i in range(POINTS):
            z = numeric.normal_quantile((i + 0.5) / POINTS)
            value = state.mean[k] + spread(params, state.form[k]) * z
            chance = 1.0
            for j in range(out.size):
                if j != k:
                    gap, wide = value - state.mean[j], spread(params, state.form[j])
                    tie = 1.0 if gap > 0.0 or (gap == 0.0 and k < j) else 0.0
                    chance *= numeric.normal_cdf(gap / wide) if wide > 0.0 else tie
            out[k] += chance
        total += out[k]
    for k in range(out.size):
        out[k] = out[k] / total if sound and total > 0.0 else np.nan


def neural_ts(
    ridge: float = 0.1,
    nu: float = 0.001,
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
    """NeuralTS; ranges of the arguments stand at :class:`NeuralTS`.

    ``cov`` is "diagonal", "last_layer" or "full"; the last is refused where the network of a task
    has more than 4,000 weights. ``calendar`` is "ee_net", "neural_ucb" or "neural_ts". The task
    must have ``dim`` >= 1; features may differ between arms, or be one row that all arms share.
    Raises ValueError for a number out of range.
    """
    params = NeuralTS(
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
    return Online(
        params, init, act, update, recommend, propensities, features=True, check=check_of(params)
    )
