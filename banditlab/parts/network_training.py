"""How neural agents train: what they remember, when they learn from it, and when they give up.

A *learner* is a network (banditlab.parts.networks), the rows that it has seen, and what the
perturbation needs. Per sample, `step` descends the loss of the prediction f against the target y::

    square   (f - y)^2                                   derivative 2 (f - y)
    kl       y ln(y / s) + (1 - y) ln((1 - y) / (1 - s)) for s = sigmoid(f): derivative s - y

There is no 1/2 in the square loss, as in the code of Zhou, Li & Gu 2020, Zhang et al. 2021 and Ban
et al. 2022. Schedules:

``replay``
    The calendar of Ban et al. 2022: after the rewards number 0, 10, 20, ... (from 0) up to 1000,
    then 1000, 1100, 1200, ..., train by plain stochastic gradient descent over all that is
    remembered, in one random order, again and again; stop after ``steps`` samples, or at the end of
    a pass whose mean squared error is at most ``tolerance``.
``ogd``
    One step on every reward as it comes, of size lr, or lr t0 / (t0 + t) where ``t0`` > 0. With a
    finite ``radius`` each layer is then brought back to that distance from its start.

Perturbations (Deb et al. 2024): S networks share the weights theta, and add to f the number
``o_s = c_p m^(-1/4) <theta - start, sign_s>`` of fixed random signs. All features see the same o_s,
so that it shows in what is learned only:

``none``
    f alone.
``ensemble``
    The mean loss of the S networks, with all signs. Every step touches all weights, S times.
``expected``
    What remains for S to infinity: a pull towards the start, of strength
    ``pull = c_p^2 / sqrt(m)``. The square loss grows by pull |theta - start|^2 exactly; the kl loss
    by half of this times s (1 - s) to second order, where s (1 - s) counts as a constant. Rows of
    weights that no sample reads are pulled when they are next read, by the product of what they
    missed: exact, and a step costs what it touches.

A learner gives up, for good, when a prediction leaves [-1000, 1000] or is no number, or when no
hidden unit is active on any of the last 1000 rows: what happens where features are too large for
the step size. Without the second rule a network can die silently, with finite constant predictions.

One file, though long: a step, and what decides when which steps are made, are read together.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts import networks
from banditlab.parts.networks import Network
from banditlab.random import shuffle, uniform

LOSSES = ("square", "kl")  # what a kernel reads of such a word is its place
SCHEDULES = ("replay", "ogd")
PERTURBATIONS = ("none", "expected", "ensemble")
KL = 1
OGD = 1
EXPECTED, ENSEMBLE = 1, 2

LARGEST = 1000.0  # predictions beyond are divergence
RECENT = 1000  # rows on which some unit must be active
EVERY, OFTEN, SELDOM = 1000, 10, 100  # the calendar
UNKNOWN = 10_000  # rows remembered, at least, where nothing is said
TINY = 1e-150  # of a product of shares: smaller ones come to 0, and 0 / 0 is no number
AGAIN = 1000  # steps after which the perturbations are computed from scratch
WRONG, DEAD = 1, 2  # why a learner gave up


class Training(NamedTuple):
    """How to train; all fields are numbers, so that one compiled `learn` serves every agent."""

    loss: int  # place in LOSSES
    schedule: int  # place in SCHEDULES
    perturb: int  # place in PERTURBATIONS
    lr: float  # > 0: step size
    pull: float  # >= 0: strength of the pull towards the start, c_p^2 / sqrt(units)
    steps: int  # >= 1: samples of one training, in schedule replay
    tolerance: float  # >= 0: mean squared error at which training ends, in schedule replay
    t0: float  # >= 0: rounds after which steps have half their size, in ogd; 0: never
    radius: float  # > 0: of the ball that each layer stays in, in ogd


class History(NamedTuple):
    """The last rows seen; ``rows`` is their largest number."""

    x: np.ndarray  # (rows, dim) float64
    arms: np.ndarray  # (rows,) int64: whose block of the first layer
    target: np.ndarray  # (rows,) float64
    seen: np.ndarray  # (1,) int64: rows so far; row number n lies in place n % rows
    deck: np.ndarray  # (rows,) float64: scratch, an order of the places


class Learner(NamedTuple):
    """A network that learns. ``n_signs`` is S in an ensemble, else 0."""

    net: Network
    history: History
    stamps: np.ndarray  # (blocks * dim,) float64: scratch, the share left when last pulled
    signs: np.ndarray  # (n_signs, p) int8: -1 or 1
    gram: np.ndarray  # (n_signs, n_signs) float64: their inner products
    offsets: np.ndarray  # (n_signs,) float64: o_s
    residuals: np.ndarray  # (n_signs,) float64: scratch
    steps: np.ndarray  # (1,) int64: so far
    trouble: np.ndarray  # (1,) int64: 0, or why it gave up: WRONG or DEAD


@kernel
def new_learner(net, memory, horizon, n_signs, rng):
    """A learner that remembers ``memory`` rows; 0: as many as the horizon, at least UNKNOWN."""
    rows = memory if memory > 0 else max(horizon, UNKNOWN)
    dim = net.row.size
    history = History(
        np.zeros((rows, dim)),
        np.zeros(rows, np.int64),
        np.zeros(rows),
        np.zeros(1, np.int64),
        np.zeros(rows),
    )
    signs = np.empty((n_signs, net.theta.size), np.int8)
    gram = np.zeros((n_signs, n_signs))
    for s in range(n_signs):
        for i in range(net.theta.size):
            signs[s, i] = np.int8(1) if uniform(rng) < 0.5 else np.int8(-1)
        for r in range(s + 1):
            same = 0
            for i in range(net.theta.size):
                same += 1 if signs[s, i] == signs[r, i] else 0
            gram[s, r] = 2.0 * same - net.theta.size
            gram[r, s] = gram[s, r]
    first = networks.layers(net, net.theta).first
    return Learner(
        net,
        history,
        np.ones(first.shape[0] * dim),
        signs,
        gram,
        np.zeros(n_signs),
        np.zeros(n_signs),
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
    )


@kernel
def residual(loss, f, target):
    """The derivative of the loss by the prediction f."""
    return networks.sigmoid(f) - target if loss == KL else 2.0 * (f - target)


@kernel
def deviation(loss, f, target):
    """What is predicted minus the target."""
    return (networks.sigmoid(f) if loss == KL else f) - target


@kernel
def pull_row(row, start, share):
    """Leave of the distance of ``row`` from its ``start`` the given share."""
    for j in range(row.size):
        row[j] = start[j] + (row[j] - start[j]) * share


@kernel
def pull_rows(learner, w, begun, block, x, share, left):
    """Pull the weights that ``x`` reads by what they missed and by ``share`` more.

    ``begun`` are the layers of the start, ``left`` is the product of all shares.
    """
    stamps = learner.stamps[block * x.size : (block + 1) * x.size]
    for k in range(x.size):
        if x[k] != 0.0:
            missed = left * share / stamps[k]
            if missed != 1.0:
                pull_row(w.first[block, k], begun.first[block, k], missed)
            stamps[k] = left * share


@kernel
def pull_shared(net, w, share):
    """Pull the weights that every sample reads."""
    shared = w.first.size
    pull_row(net.theta[shared:], net.start[shared:], share)


@kernel
def settle(learner, w, begun, left):
    """Pull every row by what it missed, and count anew."""
    dim = learner.net.row.size
    for b in range(w.first.shape[0]):
        for k in range(dim):
            missed = left / learner.stamps[b * dim + k]
            if missed != 1.0:
                pull_row(w.first[b, k], begun.first[b, k], missed)
            learner.stamps[b * dim + k] = 1.0


@kernel
def signed_gradient(net, signs, block, x, scale):
    """The inner product of ``scale`` times the gradient of f with signs in `layers`.

    ``net.slopes`` are those of ``backward`` with that scale.
    """
    top = net.values.shape[0] - 1
    total = scale * signs.last_bias[0]
    for j in range(signs.last.size):
        total += scale * net.values[top, j] * signs.last[j] + net.slopes[0, j] * signs.bias[j]
    for i in range(signs.hidden.shape[0]):
        total += net.slopes[1, i] * signs.hidden_bias[i]
        for j in range(signs.hidden.shape[1]):
            total += net.values[0, i] * net.slopes[1, j] * signs.hidden[i, j]
    for k in range(x.size):
        inner = 0.0
        for j in range(signs.bias.size):
            inner += net.slopes[0, j] * signs.first[block, k, j]
        total += x[k] * inner
    return total


@kernel
def mean_residual(loss, learner, f, target):
    """The mean of the residuals of the perturbed predictions, which it leaves in ``residuals``."""
    mean = 0.0
    for s in range(learner.offsets.size):
        learner.residuals[s] = residual(loss, f + learner.offsets[s], target)
        mean += learner.residuals[s] / learner.offsets.size
    return mean


@kernel
def perturb(learner, block, x, size, lr, scale):
    """What perturbation "ensemble" adds to a step of ``scale`` along the gradient of f.

    ``size`` is c_p m^(-1/4). Follows what the whole step does to the offsets.
    """
    net, n_signs = learner.net, learner.offsets.size
    share = lr * size / n_signs
    for s in range(n_signs):
        along = 0.0
        for r in range(n_signs):
            along += learner.residuals[r] * learner.gram[s, r]
        own = signed_gradient(net, networks.layers(net, learner.signs[s]), block, x, scale)
        learner.offsets[s] -= size * (own + share * along)
    for s in range(n_signs):
        c = share * learner.residuals[s]
        signs = learner.signs[s]
        for i in range(net.theta.size):
            net.theta[i] -= c * signs[i]


@kernel
def measure_offsets(training, learner):
    """Compute the perturbations from scratch: what steps add up drifts by rounding."""
    size = math.sqrt(training.pull)
    net = learner.net
    for s in range(learner.offsets.size):
        total = 0.0
        for i in range(net.theta.size):
            total += (net.theta[i] - net.start[i]) * learner.signs[s, i]
        learner.offsets[s] = size * total


@kernel
def step(training, learner, w, begun, block, x, target, lr, left):
    """One step on one sample; returns f before it, and ``left`` times the share of this step.

    ``begun`` are the layers of the start. In perturbation "expected" ``left`` is the product of the
    shares of earlier steps, else it stays 1.
    """
    net, loss = learner.net, training.loss
    pulled = training.perturb == EXPECTED and training.pull > 0.0
    ensemble = training.perturb == ENSEMBLE
    if pulled:
        pull_rows(learner, w, begun, block, x, 1.0, left)
    f = networks.forward(w, block, x, net.values)
    off = mean_residual(loss, learner, f, target) if ensemble else residual(loss, f, target)
    scale = lr * off
    networks.backward(w, scale, net.values, net.slopes)
    if pulled:
        s = networks.sigmoid(f)
        share = 1.0 - lr * training.pull * (s * (1.0 - s) if loss == KL else 2.0)
        pull_rows(learner, w, begun, block, x, share, left)
        pull_shared(net, w, share)
        left *= share
    if ensemble:
        perturb(learner, block, x, math.sqrt(training.pull), lr, scale)
    networks.descend(w, block, x, scale, net.values, net.slopes)
    return f, left


@kernel
def descend_on(training, learner, n, steps, lr):
    """Steps on remembered rows, pass by pass over the first ``n`` places of ``deck``.

    At most ``steps``; fewer when a pass is good enough.
    """
    net, history = learner.net, learner.history
    w, begun = networks.layers(net, net.theta), networks.layers(net, net.start)
    left = 1.0
    done = 0
    while done < steps:
        errors = 0.0
        length = min(n, steps - done)
        for i in range(length):
            place = int(history.deck[i])
            x, target, block = history.x[place], history.target[place], history.arms[place]
            f, left = step(training, learner, w, begun, block, x, target, lr, left)
            if not abs(f) <= LARGEST:
                learner.trouble[0] = WRONG
                return
            if left < TINY:
                settle(learner, w, begun, left)
                left = 1.0
            off = deviation(training.loss, f, target)
            errors += off * off
            learner.steps[0] += 1
            if learner.steps[0] % AGAIN == 0:
                measure_offsets(training, learner)
        done += length
        if errors <= training.tolerance * n:
            break
    settle(learner, w, begun, left)


@kernel
def shuffled(history, rng):
    """Write a fresh random order of all places in use to ``deck``; returns their number."""
    n = min(history.seen[0], history.arms.size)
    for i in range(n):
        history.deck[i] = i
    shuffle(rng, history.deck[:n])
    return n


@kernel
def project(values, start, radius):
    """Bring ``values`` back to within ``radius`` of their ``start``."""
    square = 0.0
    for i in range(values.size):
        off = values[i] - start[i]
        square += off * off
    if square > radius * radius:
        pull_row(values, start, radius / math.sqrt(square))


@kernel
def project_layers(training, net):
    """Bring each layer, with its bias, back to within the radius of its start."""
    w = networks.layers(net, net.theta)
    a = w.first.size + w.bias.size
    b = a + w.hidden.size + w.hidden_bias.size
    project(net.theta[:a], net.start[:a], training.radius)
    project(net.theta[a:b], net.start[a:b], training.radius)
    project(net.theta[b:], net.start[b:], training.radius)


@kernel
def check_alive(learner):
    """Give up when no hidden unit is active on any of the last rows."""
    net, history = learner.net, learner.history
    rows = history.arms.size
    for i in range(min(rows, RECENT)):
        place = (history.seen[0] - 1 - i) % rows
        networks.predict(net, history.arms[place], history.x[place])
        if not networks.is_off(net):
            return
    learner.trouble[0] = DEAD


@kernel
def is_due(n):
    """Whether the calendar says to train after the reward number ``n``, counted from 0."""
    return n % (OFTEN if n < EVERY else SELDOM) == 0


@kernel
def remember(learner, x, arm, target):
    """Write a row to the history; returns its place."""
    net, history = learner.net, learner.history
    n = history.seen[0]
    place = n % history.arms.size
    row = networks.show(net, x, arm)
    for k in range(row.size):
        history.x[place, k] = row[k]
    history.arms[place] = networks.block_of(net, arm)
    history.target[place] = target
    history.seen[0] = n + 1
    return place


@kernel
def learn(training, learner, x, arm, target, rng):
    """Remember a row, and train as the schedule says. A learner that gave up does nothing."""
    net, history = learner.net, learner.history
    if learner.trouble[0] != 0:
        return
    n = history.seen[0]
    due = is_due(n)
    rows, steps, lr = 1, 1, training.lr
    history.deck[0] = remember(learner, x, arm, target)
    if training.schedule == OGD:
        lr *= training.t0 / (training.t0 + n + 1.0) if training.t0 > 0.0 else 1.0
    else:
        steps = training.steps if due else 0
        rows = shuffled(history, rng) if due else 0
    descend_on(training, learner, rows, steps, lr)
    if training.schedule == OGD and training.radius < np.inf:
        project_layers(training, net)
        measure_offsets(training, learner)
    if due and learner.trouble[0] == 0 and n >= RECENT:
        check_alive(learner)


@kernel
def estimate(learner, x, out):
    """Write f of every arm to ``out`` (n_arms,); False when the learner gave up, or must now."""
    net = learner.net
    w = networks.layers(net, net.theta)
    sound = learner.trouble[0] == 0
    for k in range(out.size):
        row = networks.show(net, x, k)
        out[k] = networks.forward(w, networks.block_of(net, k), row, net.values)
        sound = sound and abs(out[k]) <= LARGEST
    return sound
