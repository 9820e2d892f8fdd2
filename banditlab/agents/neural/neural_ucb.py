"""NeuralUCB (Zhou, Li & Gu 2020, ICML), as its authors' program computes it.

A network f predicts the reward; the gradients g of its predictions say how sure they are. Pull the
arm of the largest::

    f(x) + sqrt(ridge nu g.T U^-1 g)

and add the gradient of the arm pulled, at the weights of that moment, to ``U``, which starts at
``ridge``; what U is, ``cov`` says (banditlab.parts.gradient_widths). The network
(banditlab.parts.networks) has a block of its first layer for every arm, or, if ``shared``, one for
all. It learns by squared loss, on the calendar of Ban et al. 2022 as all neural agents here do.

The defaults of ``ridge`` and ``nu`` are those that did well on all sets of the arena ``neural``;
the authors have 0.001 and 1, the program of EE-Net 0.1 and 0.001. Rewards that are much larger than
1 ask for a smaller ``lr``: where predictions diverge the agent gives up.

>>> import banditlab
>>> agent = banditlab.Agent("neural_ucb", n_arms=2, dim=1, units=20, seed=1)
>>> for t in range(100):
...     x = [[1.0 if t % 3 else -1.0]]
...     arm = agent.act(x)
...     agent.update(x, arm, reward=float(arm == t % 3 > 0))
>>> agent.act([[1.0]]), agent.act([[-1.0]])
(1, 0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import Task, kernel
from banditlab.parts import gradient_widths, network_training, networks
from banditlab.parts.gradient_widths import COVARIANCES, DIAGONAL, FULL, LAST_LAYER, Widths
from banditlab.parts.network_training import Learner
from banditlab.protocols.online import Online
from banditlab.validate import choice, flag, integer, nonnegative, positive

label = "NeuralUCB"
trial = {"units": 6, "steps": 40}  # what the contract plays


class NeuralUCB(NamedTuple):
    """Hyper-parameters."""

    ridge: float = 0.1  # > 0: lambda
    nu: float = 0.01  # >= 0: of the bonus
    cov: str = "diagonal"  # one of COVARIANCES
    units: int = 100  # >= 1: of a hidden layer
    depth: int = 1  # 1 or 2 hidden layers
    lr: float = 0.05  # > 0: step size
    steps: int = 2000  # >= 1: samples of one training
    tolerance: float = 0.001  # >= 0: mean squared error at which training ends
    shared: bool = False  # whether arms share the first layer, and features tell them apart
    memory: int = 0  # >= 0: rows remembered; 0: as many as the horizon


class State(NamedTuple):
    """What is learned."""

    learner: Learner  # the network, and the rows that it learns from
    widths: Widths
    mean: np.ndarray  # (n_arms,) float64: scratch, predictions
    form: np.ndarray  # (n_arms,) float64: scratch, g.T U^-1 g


@kernel
def begin(params, task, rng, kind):
    """The state before round 0, for a kind of covariance."""
    blocks = 1 if params.shared else task.n_arms
    net = networks.new(blocks, task.dim, params.units, params.depth, rng)
    return State(
        network_training.new_learner(net, params.memory, task.horizon, 0, rng),
        gradient_widths.new_widths(kind, params.ridge, net),
        np.zeros(task.n_arms),
        np.zeros(task.n_arms),
    )


@kernel
def init_diagonal(params, task, rng):
    return begin(params, task, rng, DIAGONAL)


@kernel
def init_last_layer(params, task, rng):
    return begin(params, task, rng, LAST_LAYER)


@kernel
def init_full(params, task, rng):
    return begin(params, task, rng, FULL)


@kernel
def act(params, state, t, x, rng):
    learner = state.learner
    sound = gradient_widths.score(learner.net, state.widths, x, state.mean, state.form)
    if learner.trouble[0] != 0 or not sound:
        return -1
    best, arm = -np.inf, 0
    for k in range(state.mean.size):
        index = state.mean[k] + math.sqrt(params.ridge * params.nu * state.form[k])
        arm = k if index > best else arm
        best = index if index > best else best
    return arm


@kernel
def update(params, state, t, x, arm, reward, rng):
    net = state.learner.net
    row, block = networks.show(net, x, arm), networks.block_of(net, arm)
    gradient_widths.remember(net, state.widths, block, row)
    training = network_training.Training(
        0, 0, 0, params.lr, 0.0, params.steps, params.tolerance, 0.0, np.inf
    )
    network_training.learn(training, state.learner, x, arm, reward, rng)


@kernel
def recommend(params, state, x, rng, out):
    network_training.estimate(state.learner, x, state.mean)
    best, ties = -np.inf, 0.0
    for k in range(out.size):
        ties = 0.0 if state.mean[k] > best else ties
        best = max(best, state.mean[k])
        ties += 1.0 if state.mean[k] == best else 0.0
    for k in range(out.size):
        out[k] = 1.0 / ties if state.mean[k] == best else 0.0


INIT = dict(zip(COVARIANCES, (init_diagonal, init_last_layer, init_full), strict=True))


def neural_ucb(
    ridge: float = 0.1,
    nu: float = 0.01,
    cov: str = "diagonal",
    units: int = 100,
    depth: int = 1,
    lr: float = 0.05,
    steps: int = 2000,
    tolerance: float = 0.001,
    shared: bool = False,
    memory: int = 0,
) -> Online:
    """NeuralUCB; ranges of the arguments stand at :class:`NeuralUCB`.

    ``cov`` is "diagonal", "last_layer" or "full"; the last is refused where the network of a task
    has more than 4,000 weights. The task must have ``dim`` >= 1; features may differ between arms,
    or be one row that all arms share. Ties go to the lowest arm. Raises ValueError for a number out
    of range.
    """
    params = NeuralUCB(
        positive("ridge", ridge),
        nonnegative("nu", nu),
        choice("cov", cov, COVARIANCES),
        integer("units", units, 1),
        integer("depth", depth, 1, 2),
        positive("lr", lr),
        integer("steps", steps, 1),
        nonnegative("tolerance", tolerance),
        flag("shared", shared),
        integer("memory", memory, 0),
    )

    def check(task: Task) -> None:
        blocks = 1 if params.shared else task.n_arms
        weights = networks.size(blocks, task.dim, params.units, params.depth)
        gradient_widths.refuse_large(weights)

    return Online(
        params, INIT[params.cov], act, update, recommend, features=True,
        check=check if params.cov == COVARIANCES[FULL] else None,
    )  # fmt: skip
