"""How uncertain a network's prediction is, by its gradient: what NeuralUCB and NeuralTS share.

They play with the same state, learn in the same way and differ in ``act`` alone.

With the gradients ``g`` of the predictions of all rounds so far, taken when they were made, the
width of a prediction with gradient ``g`` is ``sqrt(ridge nu g.T U^-1 g)``, where ``U`` is

``diagonal``
    ``ridge + sum g^2``, entry by entry: what all published programs compute. The inverse of each
    entry is kept, so that a width costs a multiplication per weight and no division.
``last_layer``
    ``ridge I + sum z z.T`` for the values z of the last hidden layer and a 1, instead of g: the
    gradient by the last layer's weights alone.
``full``
    ``ridge I + sum g g.T``, as in the papers' analysis, for networks of at most MOST weights. The
    papers divide ``g g.T`` by the number of units and scale the network by its root, which comes to
    the same.

Of the two matrices the Cholesky factor is kept (banditlab.linalg): nothing is ever subtracted from
the information, so nothing drifts and nothing needs a refresh.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab import linalg
from banditlab.core import Task, kernel
from banditlab.parts import calendars, largest, network_training, networks
from banditlab.parts.network_training import LARGEST, Learner

COVARIANCES = ("diagonal", "last_layer", "full")
DIAGONAL, LAST_LAYER, FULL = 0, 1, 2
MOST = 4000  # weights of a network whose covariance is full


class Widths(NamedTuple):
    """What is known of past gradients; ``p`` is the number of weights."""

    kind: np.ndarray  # (1,) int64: place in COVARIANCES
    inverse: np.ndarray  # (p,) float64 if diagonal, else (0,): 1 / U, like the network's theta
    factor: np.ndarray  # (n, n) float64 unless diagonal: u.T @ u = U, n = units + 1 or p
    vector: np.ndarray  # (units,) or (n,) float64: scratch


@kernel
def new_widths(kind, ridge, net):
    """Before any round."""
    p, units = net.theta.size, net.values.shape[1]
    n = 0 if kind == DIAGONAL else units + 1 if kind == LAST_LAYER else p
    factor = np.zeros((n, n))
    for i in range(n):
        factor[i, i] = math.sqrt(ridge)
    return Widths(
        np.full(1, kind),
        np.full(p if kind == DIAGONAL else 0, 1.0 / ridge),
        factor,
        np.zeros(max(n, units)),
    )


@kernel
def weigh(net, inverse, block, x, scratch):
    """``sum g^2 inverse`` for the gradient that ``net.values`` and ``net.slopes`` stand for."""
    w = networks.layers(net, inverse)
    top = net.values.shape[0] - 1
    units = net.values.shape[1]
    total = w.last_bias[0]
    for j in range(units):
        total += net.values[top, j] * net.values[top, j] * w.last[j]
    for layer in range(top + 1):
        # The inputs of the layer come one by one, for all units at once: a sum for each, side by
        # side, is SIMD code.
        deepest = layer == 0
        for j in range(units):
            scratch[j] = w.bias[j] if deepest else w.hidden_bias[j]
        n_in = x.size if deepest else units
        for k in range(n_in):
            c = x[k] if deepest else net.values[0, k]
            square = c * c
            if square != 0.0:
                row = w.first[block, k] if deepest else w.hidden[k]
                for j in range(units):
                    scratch[j] += square * row[j]
        for j in range(units):
            total += net.slopes[layer, j] * net.slopes[layer, j] * scratch[j]
    return total


@kernel
def add(inverse, g):
    """The inverse of an entry to which ``g^2`` is added."""
    return inverse / (1.0 + g * g * inverse)


@kernel
def absorb(net, inverse, block, x):
    """Add the gradient that ``net.values`` and ``net.slopes`` stand for to the diagonal."""
    w = networks.layers(net, inverse)
    top = net.values.shape[0] - 1
    units = net.values.shape[1]
    w.last_bias[0] = add(w.last_bias[0], 1.0)
    for j in range(units):
        w.last[j] = add(w.last[j], net.values[top, j])
        w.bias[j] = add(w.bias[j], net.slopes[0, j])
    for k in range(x.size):
        row = w.first[block, k]
        for j in range(units):
            row[j] = add(row[j], x[k] * net.slopes[0, j])
    for i in range(w.hidden.shape[0]):
        row = w.hidden[i]
        w.hidden_bias[i] = add(w.hidden_bias[i], net.slopes[1, i])
        for j in range(units):
            row[j] = add(row[j], net.values[0, i] * net.slopes[1, j])


@kernel
def fill(net, widths, block, x):
    """Write to ``vector`` the direction that the factor knows: z and a 1, or all of g."""
    if widths.kind[0] == FULL:
        networks.gradient(net, block, x, widths.vector)
        return
    top = net.values.shape[0] - 1
    units = net.values.shape[1]
    for j in range(units):
        widths.vector[j] = net.values[top, j]
    widths.vector[units] = 1.0


@kernel
def measure(net, widths, block, x):
    """``g.T U^-1 g``, right after a prediction for ``block`` and ``x``."""
    if widths.kind[0] == DIAGONAL:
        networks.backward(networks.layers(net, net.theta), 1.0, net.values, net.slopes)
        return weigh(net, widths.inverse, block, x, widths.vector)
    fill(net, widths, block, x)
    linalg.solve_lower(widths.factor, widths.vector)
    return linalg.dot(widths.vector, widths.vector)


@kernel
def remember(net, widths, block, x):
    """Add a round in which ``block`` was shown ``x``."""
    networks.predict(net, block, x)
    if widths.kind[0] == DIAGONAL:
        networks.backward(networks.layers(net, net.theta), 1.0, net.values, net.slopes)
        absorb(net, widths.inverse, block, x)
        return
    fill(net, widths, block, x)
    linalg.update_cholesky(widths.factor, widths.vector)


@kernel
def score(net, widths, x, mean, form):
    """Write the prediction and ``g.T U^-1 g`` of every arm; False if predictions diverged."""
    sound = True
    for k in range(mean.size):
        row, block = networks.show(net, x, k), networks.block_of(net, k)
        mean[k] = networks.predict(net, block, row)
        form[k] = max(measure(net, widths, block, row), 0.0)
        sound = sound and abs(mean[k]) <= LARGEST
    return sound


# --- the family -----------------------------------------------------------------------------------


class State(NamedTuple):
    """What NeuralUCB and NeuralTS remember."""

    learner: Learner  # the network, and the rows that it learns from
    widths: Widths
    mean: np.ndarray  # (n_arms,) float64: scratch, predictions
    form: np.ndarray  # (n_arms,) float64: scratch, g.T U^-1 g


@kernel
def init(params, task, rng):
    """The state before round 0."""
    blocks = task.n_arms if params.disjoint else 1
    net = networks.new(blocks, task.dim, params.units, params.depth, rng)
    return State(
        network_training.new_learner(net, params.memory, task.horizon, 0, rng),
        new_widths(params.cov, params.ridge, net),
        np.zeros(task.n_arms),
        np.zeros(task.n_arms),
    )


@kernel
def predict(state, x):
    """Write mean and form of every arm; False when the network gave up, or must now."""
    sound = score(state.learner.net, state.widths, x, state.mean, state.form)
    return sound and state.learner.trouble[0] == 0


@kernel
def absorb_arm(state, x, arm):
    """Add the gradient of the arm pulled."""
    net = state.learner.net
    remember(net, state.widths, networks.block_of(net, arm), networks.show(net, x, arm))


@kernel
def update_ee_net(params, state, t, x, arm, reward, rng):
    absorb_arm(state, x, arm)
    calendars.learn_ee_net(params, state.learner, t, x, arm, reward, 0.0, rng)


@kernel
def update_neural_ucb(params, state, t, x, arm, reward, rng):
    absorb_arm(state, x, arm)
    calendars.learn_neural_ucb(params, state.learner, t, x, arm, reward, params.ridge, rng)


@kernel
def update_neural_ts(params, state, t, x, arm, reward, rng):
    absorb_arm(state, x, arm)
    calendars.learn_neural_ts(params, state.learner, t, x, arm, reward, params.ridge, rng)


@kernel
def recommend(params, state, x, rng, out):
    network_training.estimate(state.learner, x, state.mean)
    largest.even_odds(state.mean, out)


UPDATE = (update_ee_net, update_neural_ucb, update_neural_ts)  # as in CALENDARS


def check_of(params: Any) -> Callable[[Task], None] | None:
    """What refuses, by ValueError, a full covariance of more than MOST weights."""

    def check(task: Task) -> None:
        blocks = task.n_arms if params.disjoint else 1
        weights = networks.size(blocks, task.dim, params.units, params.depth)
        if weights > MOST:
            gigabytes = 8.0 * weights * weights / 1e9
            raise ValueError(
                f"cov 'full' is for networks of at most {MOST:,} weights, this one has "
                f"{weights:,}: its matrix would take {gigabytes:,.1f} GB; use 'diagonal' or "
                "'last_layer'"
            )

    return check if params.cov == FULL else None
