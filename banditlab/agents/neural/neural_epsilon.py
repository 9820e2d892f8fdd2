"""NeuralEpsilon: a network that predicts rewards, played greedily but for a share of the rounds.

With probability ``epsilon`` any arm, else the arm of the largest prediction f(x). With 0 it is the
"NeuralNoExplore" of the programs of EE-Net (Ban, Yan, Banerjee & He 2022), whose NeuralEpsilon has
0.01; that of NeuralTS (Zhang et al. 2021) has 0.05. The network (banditlab.parts.networks) has a
block of its first layer for every arm if ``disjoint``, else one for all; ``calendar`` says when it
learns (banditlab.parts.calendars), here without any decay of weights.

>>> import banditlab
>>> agent = banditlab.Agent("neural_epsilon", n_arms=2, dim=1, units=20, epsilon=0.2, seed=1)
>>> agent.update([[1.0]], arm=1, reward=1.0)
>>> agent.propensities([[1.0]])
array([0.1, 0.9])
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts import calendars, network_training, networks
from banditlab.parts.calendars import CALENDARS, EE_NET
from banditlab.parts.largest import even_odds, first_largest
from banditlab.parts.modes import place
from banditlab.parts.network_training import Learner
from banditlab.protocols.online import Online
from banditlab.random import below, uniform
from banditlab.validate import between, flag, integer, nonnegative, positive

label = "NeuralEpsilon"
report = "contextual"  # what --log makes of a file
trial = {"units": 12, "steps": 60}  # what the contract plays, on what
example = {
    "name": "classification",
    "data": {
        "x": [[1, 0.5], [1, 1.5], [1, -0.5], [-1, 0.5], [-1, 1.5], [-1, -0.5]],
        "label": [0, 0, 0, 1, 1, 1],
    },
}


class NeuralEpsilon(NamedTuple):
    """Hyper-parameters."""

    epsilon: float = 0.05  # in [0, 1]: probability of any arm
    units: int = 100  # >= 1: of a hidden layer
    depth: int = 1  # 1 or 2 hidden layers
    lr: float = 0.05  # > 0: step size
    calendar: int = EE_NET  # place in CALENDARS: when to train
    steps: int = 0  # >= 0: of a training; 0: as many as the calendar has
    tolerance: float = 0.001  # >= 0: mean squared error at which a training ends
    disjoint: bool = True  # whether every arm has a block of the first layer of its own
    memory: int = 0  # >= 0: rows remembered, the last; 0: the horizon's, at least 10,000


class State(NamedTuple):
    """What is learned."""

    learner: Learner  # the network, and the rounds that it learns from
    mean: np.ndarray  # (n_arms,) float64: scratch, predictions


@kernel
def init(params, task, rng):
    blocks = task.n_arms if params.disjoint else 1
    net = networks.new(blocks, task.dim, params.units, params.depth, rng)
    learner = network_training.new_learner(net, params.memory, task.horizon, 0, rng)
    return State(learner, np.zeros(task.n_arms))


@kernel
def act(params, state, t, x, rng):
    sound = network_training.estimate(state.learner, x, state.mean)
    explores, any_arm = uniform(rng) < params.epsilon, below(rng, state.mean.size)
    arm = any_arm if explores else first_largest(state.mean)
    return arm if sound else -1


@kernel
def propensities(params, state, t, x, out):
    sound = network_training.estimate(state.learner, x, state.mean)
    for k in range(out.size):
        out[k] = params.epsilon / out.size if sound else np.nan
    out[first_largest(state.mean)] += 1.0 - params.epsilon


@kernel
def update_ee_net(params, state, t, x, arm, reward, rng):
    calendars.learn_ee_net(params, state.learner, t, x, arm, reward, 0.0, rng)


@kernel
def update_neural_ucb(params, state, t, x, arm, reward, rng):
    calendars.learn_neural_ucb(params, state.learner, t, x, arm, reward, 0.0, rng)


@kernel
def update_neural_ts(params, state, t, x, arm, reward, rng):
    calendars.learn_neural_ts(params, state.learner, t, x, arm, reward, 0.0, rng)


@kernel
def recommend(params, state, x, rng, out):
    network_training.estimate(state.learner, x, state.mean)
    even_odds(state.mean, out)


UPDATE = (update_ee_net, update_neural_ucb, update_neural_ts)  # as in CALENDARS


def neural_epsilon(
    epsilon: float = 0.05,
    units: int = 100,
    depth: int = 1,
    lr: float = 0.05,
    calendar: str | int = "ee_net",
    steps: int = 0,
    tolerance: float = 0.001,
    disjoint: bool = True,
    memory: int = 0,
) -> Online:
    """NeuralEpsilon; ranges of the arguments stand at :class:`NeuralEpsilon`.

    ``calendar`` is "ee_net", "neural_ucb" or "neural_ts". The task must have ``dim`` >= 1; features
    may differ between arms, or be one row that all arms share. Ties go to the lowest arm. Raises
    ValueError for a number out of range.
    """
    params = NeuralEpsilon(
        between("epsilon", epsilon, 0.0, 1.0),
        integer("units", units, 1, 100_000),
        integer("depth", depth, 1, 2),
        positive("lr", lr),
        place("calendar", calendar, CALENDARS),
        integer("steps", steps, 0),
        nonnegative("tolerance", tolerance),
        flag("disjoint", disjoint),
        integer("memory", memory, 0),
    )
    update = UPDATE[params.calendar]
    return Online(params, init, act, update, recommend, propensities, features=True)
