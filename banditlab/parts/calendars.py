"""When a network that predicts rewards is trained, and how much: the three published calendars.

All of them descend ``(f(x) - reward)^2`` over what is remembered, and differ by a factor of a
hundred in what they cost.

``ee_net``
    Ban, Yan, Banerjee & He 2022: after rewards 0, 10, ... 1000, 1100, ..., at most 2000 steps of
    one sample each, until a pass has a mean squared error of at most ``tolerance``; no decay of
    weights. It is ``replay`` of banditlab.parts.network_training.
``neural_ucb``
    Zhou, Li & Gu 2020: after every round before round 2000, then after every hundredth, at most
    1000 steps of one sample, with a decay of weights ``ridge``. As in their program, a round after
    which there is no training is not remembered either.
``neural_ts``
    Zhang, Zhou, Li & Gu 2021: after every round, 100 steps along the gradient of the mean over all
    samples, with a decay of weights ``ridge`` / rounds. Its cost grows with the square of the
    horizon: 10^4 rounds take 5 * 10^9 gradients.

A step with decay c is ``theta <- (1 - lr c) theta - lr gradient``.
"""

from __future__ import annotations

import numpy as np

from banditlab.core import kernel
from banditlab.parts import network_training, networks
from banditlab.parts.network_training import EXPECTED, LARGEST, RECENT, WRONG, Training

CALENDARS = ("ee_net", "neural_ucb", "neural_ts")
EE_NET, NEURAL_UCB = 0, 1
STEPS = (2000, 1000, 100)  # of a training
EARLY, LATER = 2000, 100  # neural_ucb: every round before EARLY, then each LATER


@kernel
def learn_ee_net(params, learner, t, x, arm, reward, decay, rng):
    """Calendar ee_net. ``params`` has lr, steps (0: the calendar's) and tolerance."""
    steps = params.steps if params.steps > 0 else STEPS[0]
    training = Training(0, 0, 0, params.lr, 0.0, steps, params.tolerance, 0.0, np.inf)
    network_training.learn(training, learner, x, arm, reward, rng)


@kernel
def learn_neural_ucb(params, learner, t, x, arm, reward, decay, rng):
    """Calendar neural_ucb, of round ``t``."""
    if learner.trouble[0] != 0 or not (t < EARLY or t % LATER == 0):
        return
    for i in range(learner.net.start.size):
        learner.net.start[i] = 0.0  # a decay of weights is a pull towards 0
    network_training.remember(learner, x, arm, reward)
    steps = params.steps if params.steps > 0 else STEPS[1]
    training = Training(
        0, 0, EXPECTED, params.lr, 0.5 * decay, steps, params.tolerance, 0.0, np.inf
    )
    n = network_training.shuffled(learner.history, rng)
    network_training.descend_on(training, learner, n, steps, params.lr)
    look(learner, t)


@kernel
def learn_neural_ts(params, learner, t, x, arm, reward, decay, rng):
    """Calendar neural_ts."""
    if learner.trouble[0] != 0:
        return
    network_training.remember(learner, x, arm, reward)
    net, history = learner.net, learner.history
    n = min(history.seen[0], history.arms.size)
    w = networks.layers(net, net.theta)
    total = np.zeros(net.theta.size)
    into = networks.layers(net, total)
    for _ in range(params.steps if params.steps > 0 else STEPS[2]):
        for i in range(total.size):
            total[i] = decay / history.seen[0] * net.theta[i]
        for place in range(n):
            row, block = history.x[place], history.arms[place]
            f = networks.forward(w, block, row, net.values)
            if not abs(f) <= LARGEST:
                learner.trouble[0] = WRONG
                return
            scale = -2.0 * (f - history.target[place]) / n  # descend subtracts
            networks.backward(w, scale, net.values, net.slopes)
            networks.descend(into, block, row, scale, net.values, net.slopes)
        for i in range(total.size):
            net.theta[i] -= params.lr * total[i]
    look(learner, t)


@kernel
def look(learner, t):
    """See now and then, as the first calendar does, that the network is alive."""
    if t >= RECENT and t % LATER == 0 and learner.trouble[0] == 0:
        network_training.check_alive(learner)


def check_decay(calendar: int, ridge: float, lr: float) -> None:
    """Refuse, by ValueError, a decay of weights that would throw them beyond 0 in every step."""
    if calendar == NEURAL_UCB and not lr * ridge < 1.0:
        raise ValueError(
            f"ridge must be below 1 / lr, {1.0 / lr:g}, with calendar 'neural_ucb', got {ridge:g}"
        )
