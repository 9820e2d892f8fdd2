"""EE-Net (Ban, Yan, Banerjee & He 2022, ICLR): a second network learns how wrong the first is.

Three networks decide together:

f1
    predicts the reward of an arm (banditlab.parts.networks, one hidden layer, a block for every
    arm) and learns it on the calendar ee_net (banditlab.parts.calendars).
f2
    predicts ``reward - f1 + 1`` from the gradient of f1 at the arm: the means of ``pool``
    consecutive entries of it, behind a convolution of ``width`` entries with ``stride``, a layer of
    ``inner`` units (banditlab.parts.adam_nets).
f3
    decides from f1 and f2, if ``decider`` is "neural", from round 501 on: a layer of 20 units that
    learns the reward. Else, and before, the arm of the largest ``f1 + w (f2 - 1)`` is pulled, where
    w is ``early`` up to round 1000 and ``late`` from then on.

f2 and f3 learn by Adam after the same rounds as f1, at most 2000 and 1000 samples each time. As
long as it is before round 1000 and the reward is 0, f2 also hears of every arm that was not pulled
that it is worth 0.2 more than f1 says: the target is 1.2.

Constants are those of the authors' program, ``lr`` among them (in an earlier version of it
``early`` is 1). Gradients are in the order of that program: weights of the first layer, unit by
unit and for all arms, its biases, weights of the second, its bias. They are not stored, but made
anew from features, arm and what the hidden units put out: with 10 arms, 64 features and 100 units
that is a sixth of the numbers. If p, the number of weights of f1, is too small for a convolution of
that width, it is as wide as the means are many.

>>> import banditlab
>>> agent = banditlab.Agent("ee_net", n_arms=2, dim=1, units=20, seed=1)
>>> for t in range(200):
...     x = [[1.0 if t % 3 else -1.0]]
...     arm = agent.act(x)
...     agent.update(x, arm, reward=float(arm == (t % 3 > 0)))
>>> agent.act([[1.0]]), agent.act([[-1.0]])
(1, 0)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts import adam_nets, calendars, network_training, networks
from banditlab.parts.adam_nets import Net
from banditlab.parts.largest import even_odds, first_largest
from banditlab.parts.modes import place
from banditlab.parts.network_training import Learner
from banditlab.protocols.online import Online
from banditlab.random import shuffle
from banditlab.validate import flag, integer, nonnegative, positive

label = "EE-Net"
report = "contextual"  # what --log makes of a file
trial = {"units": 12, "inner": 5, "pool": 2, "width": 6, "stride": 3, "steps": 60}  # contract
example = {
    "name": "classification",
    "data": {
        "x": [[1, 0.5], [1, 1.5], [1, -0.5], [-1, 0.5], [-1, 1.5], [-1, -0.5]],
        "label": [0, 0, 0, 1, 1, 1],
    },
}

DECIDERS = ("linear", "neural")
NEURAL = 1
DECIDES_FROM = 500  # f3 decides in rounds after this one, counted from 0
EARLY_UNTIL = 1000  # last round in which f2 has the weight ``early``
EXTRA_UNTIL = 1000  # before this round arms not pulled are taught, too
EXTRA_TARGET = 1.2
INNER_3 = 20  # units of f3
STEPS_2, STEPS_3 = 2000, 1000  # of a training
TOLERANCE_2, TOLERANCE_3 = 2e-3, 1e-3
DECAY_2 = 1e-4  # of weights of f2


class EENet(NamedTuple):
    """Hyper-parameters."""

    decider: int = 0  # place in DECIDERS
    early: float = 0.1  # >= 0: weight of f2 up to round 1000
    late: float = 0.01  # >= 0: and from then on
    units: int = 100  # >= 1: hidden units of f1
    inner: int = 100  # >= 1: hidden units of f2
    pool: int = 50  # >= 1: entries of the gradient to a mean
    width: int = 100  # >= 1: of the convolution
    stride: int = 50  # >= 1: of the convolution
    lr: float = 0.01  # > 0: step size of f1
    lr_2: float = 0.001  # > 0: of f2
    lr_3: float = 0.001  # > 0: of f3
    steps: int = 0  # >= 0: samples of a training; 0: 2000, f3's 1000
    tolerance: float = 0.001  # >= 0: mean squared error at which a training of f1 ends
    disjoint: bool = True  # whether every arm has a block of the first layer of its own
    memory: int = 0  # >= 0: rows remembered, the last; 0: the horizon's, at least 10,000


class Lessons(NamedTuple):
    """What f2 learns from: gradients of f1, as what they are made of. ``n`` is the most kept."""

    x: np.ndarray  # (n, dim) float64: features
    block: np.ndarray  # (n,) int64: of the first layer
    value: np.ndarray  # (n, units) float64: what the hidden units put out
    slope: np.ndarray  # (n, units) float64: derivatives of f1 by what they take in
    target: np.ndarray  # (n,) float64
    seen: np.ndarray  # (1,) int64: lessons so far; number i lies in place i % n


class State(NamedTuple):
    """Three networks, and what they learn from; ``rows`` as in the learner's history."""

    learner: Learner  # f1
    explorer: Net  # f2
    decision: Net  # f3
    lessons: Lessons  # of f2
    opinions: np.ndarray  # (rows, 2) float64: f1 and f2 of arms pulled; (0, 2) if not needed
    rewards: np.ndarray  # (rows,) float64: what they paid
    deck: np.ndarray  # (n,) float64: scratch, an order of the lessons
    means: np.ndarray  # (p // pool + 1,) float64: scratch, the pooled gradient
    sums: np.ndarray  # (dim + 1,) float64: scratch, sums of the first features
    both: np.ndarray  # (2,) float64: scratch, f1 and f2 of an arm
    score: np.ndarray  # (n_arms,) float64: scratch


@kernel
def init(params, task, rng):
    blocks = task.n_arms if params.disjoint else 1
    net = networks.new(blocks, task.dim, params.units, 1, rng)
    learner = network_training.new_learner(net, params.memory, task.horizon, 0, rng)
    rows = learner.history.arms.size
    n = rows + (task.n_arms - 1) * min(rows, EXTRA_UNTIL)
    pooled = net.theta.size // params.pool + 1
    return State(
        learner,
        adam_nets.init(pooled, params.inner, params.width, params.stride, rng),
        adam_nets.init(2, INNER_3, 0, 0, rng),
        Lessons(
            np.zeros((n, task.dim)),
            np.zeros(n, np.int64),
            np.zeros((n, params.units)),
            np.zeros((n, params.units)),
            np.zeros(n),
            np.zeros(1, np.int64),
        ),
        np.zeros((rows if params.decider == NEURAL else 0, 2)),
        np.zeros(rows if params.decider == NEURAL else 0),
        np.zeros(n),
        np.zeros(pooled),
        np.zeros(task.dim + 1),
        np.zeros(2),
        np.zeros(task.n_arms),
    )


@kernel
def pool_gradient(params, state, x, block, value, slope):
    """Write the gradient of f1 by its weights, means of ``pool`` entries, to ``means``."""
    means, sums, pool = state.means, state.sums, params.pool
    dim, units = x.size, value.size
    p = state.learner.net.theta.size
    whole = (p - 2 * units - 1) // units  # features of all blocks: a unit's weights in the order
    for i in range(means.size):
        means[i] = 0.0
    for k in range(dim):
        sums[k + 1] = sums[k] + x[k]
    for j in range(units):
        start = j * whole + block * dim
        k = 0
        while k < dim:  # features k .. end - 1 fall into one mean
            at = (start + k) // pool
            end = min(dim, (at + 1) * pool - start)
            means[at] += slope[j] * (sums[end] - sums[k])
            k = end
        means[(units * whole + j) // pool] += slope[j]
        means[(units * whole + units + j) // pool] += value[j]
    means[(p - 1) // pool] += 1.0
    for i in range(means.size):
        means[i] /= pool


@kernel
def look(params, state, x, arm):
    """Write f1 and f2 of ``arm`` to ``both``; the network keeps values and slopes of f1."""
    net = state.learner.net
    row, block = networks.show(net, x, arm), networks.block_of(net, arm)
    state.both[0] = networks.predict(net, block, row)
    networks.backward(networks.layers(net, net.theta), 1.0, net.values, net.slopes)
    pool_gradient(params, state, row, block, net.values[0], net.slopes[0])
    state.both[1] = adam_nets.value(state.explorer, state.means)


@kernel
def act(params, state, t, x, rng):
    sound = state.learner.trouble[0] == 0
    weight = params.early if t <= EARLY_UNTIL else params.late
    decides = params.decider == NEURAL and t > DECIDES_FROM
    for k in range(state.score.size):
        look(params, state, x, k)
        f1, f2 = state.both[0], state.both[1]
        linear = f1 + weight * (f2 - 1.0)
        state.score[k] = adam_nets.value(state.decision, state.both) if decides else linear
        sound = sound and abs(f1) <= network_training.LARGEST and abs(state.score[k]) < np.inf
    return first_largest(state.score) if sound else -1


@kernel
def note(state, arm, target):
    """Remember a lesson, right after :func:`look` at ``arm``."""
    lessons, net = state.lessons, state.learner.net
    i = lessons.seen[0] % lessons.target.size
    for k in range(net.row.size):
        lessons.x[i, k] = net.row[k]
    lessons.block[i] = networks.block_of(net, arm)
    for j in range(net.values.shape[1]):
        lessons.value[i, j] = net.values[0, j]
        lessons.slope[i, j] = net.slopes[0, j]
    lessons.target[i] = target
    lessons.seen[0] += 1


@kernel
def shuffled(state, n, rng):
    """Write a random order of n places to ``deck``."""
    for i in range(n):
        state.deck[i] = i
    shuffle(rng, state.deck[:n])


@kernel
def train_explorer(params, state, rng):
    """A training of f2, in one random order again and again."""
    lessons, explorer = state.lessons, state.explorer
    n = min(lessons.seen[0], lessons.target.size)
    left = params.steps if params.steps > 0 else STEPS_2
    shuffled(state, n, rng)
    adam_nets.restart(explorer)
    while left > 0:
        errors, length = 0.0, min(n, left)
        for i in range(length):
            at = int(state.deck[i])
            value, slope = lessons.value[at], lessons.slope[at]
            pool_gradient(params, state, lessons.x[at], lessons.block[at], value, slope)
            target = lessons.target[at]
            errors += adam_nets.step(explorer, state.means, target, params.lr_2, DECAY_2)
        left -= length
        if length == n and errors <= TOLERANCE_2 * n:
            return


@kernel
def train_decision(params, state, n, rng):
    """A training of f3 on n rounds, in one random order again and again."""
    left = params.steps if params.steps > 0 else STEPS_3
    shuffled(state, n, rng)
    adam_nets.restart(state.decision)
    while left > 0:
        errors, length = 0.0, min(n, left)
        for i in range(length):
            at = int(state.deck[i])
            row, reward = state.opinions[at], state.rewards[at]
            errors += adam_nets.step(state.decision, row, reward, params.lr_3, 0.0)
        left -= length
        if length == n and errors <= TOLERANCE_3 * n:
            return


@kernel
def update(params, state, t, x, arm, reward, rng):
    learner, history = state.learner, state.learner.history
    if learner.trouble[0] != 0:
        return
    n = history.seen[0]
    look(params, state, x, arm)
    note(state, arm, reward - state.both[0] + 1.0)
    rows = state.rewards.size
    if rows > 0:
        state.opinions[n % rows, 0] = state.both[0]
        state.opinions[n % rows, 1] = state.both[1]
        state.rewards[n % rows] = reward
    for k in range(state.score.size if t < EXTRA_UNTIL and reward == 0.0 else 0):
        if k != arm:
            look(params, state, x, k)
            note(state, k, EXTRA_TARGET)
    calendars.learn_ee_net(params, learner, t, x, arm, reward, 0.0, rng)
    if network_training.is_due(n):
        train_explorer(params, state, rng)
        if rows > 0:
            train_decision(params, state, min(n + 1, rows), rng)


@kernel
def recommend(params, state, x, rng, out):
    network_training.estimate(state.learner, x, state.score)
    even_odds(state.score, out)


def ee_net(
    decider: str | int = "linear",
    early: float = 0.1,
    late: float = 0.01,
    units: int = 100,
    inner: int = 100,
    pool: int = 50,
    width: int = 100,
    stride: int = 50,
    lr: float = 0.01,
    lr_2: float = 0.001,
    lr_3: float = 0.001,
    steps: int = 0,
    tolerance: float = 0.001,
    disjoint: bool = True,
    memory: int = 0,
) -> Online:
    """EE-Net; ranges of the arguments stand at :class:`EENet`.

    ``decider`` is "linear" or "neural". The task must have ``dim`` >= 1; features may differ
    between arms, or be one row that all arms share. It takes 16 ``units`` bytes for every round,
    and as much for every other arm of the first 1000. Recommended is the arm of the largest f1.
    Ties go to the lowest arm. Raises ValueError for a number out of range.
    """
    params = EENet(
        place("decider", decider, DECIDERS),
        nonnegative("early", early),
        nonnegative("late", late),
        integer("units", units, 1, 100_000),
        integer("inner", inner, 1, 100_000),
        integer("pool", pool, 1),
        integer("width", width, 1),
        integer("stride", stride, 1),
        positive("lr", lr),
        positive("lr_2", lr_2),
        positive("lr_3", lr_3),
        integer("steps", steps, 0),
        nonnegative("tolerance", tolerance),
        flag("disjoint", disjoint),
        integer("memory", memory, 0),
    )
    return Online(params, init, act, update, recommend, features=True)
