"""SPO on a tree of decisions: soft policy iteration at every history.

Self-play preference optimisation (Swamy, Dann, Kidambi, Wu & Agarwal 2024) where a trajectory is a
sequence of ``depth`` actions out of ``actions``, and arms are trajectories, numbered like numbers
with one digit for each action, the first action first. Preferences P of trajectories may be any, so
they need not be sums of rewards. With A = 2 P - 1, which is revealed after every duel, logits L_h
at every history h and the strategy pi_h = softmax(eta L_h)::

    q = distribution of trajectories,   g = A q          what each wins against q
    Q_h(a) = mean of g below h a under pi,   L_h(a) += Q_h(a)    at every h

The mean of q over T rounds is recommended (that of trajectories, not of logits). With eta =
sqrt(2 ln(actions) / T) its exploitability is at most depth sqrt(2 ln(actions) / T): regret is the
sum of that at the histories on the way to the best trajectory (performance difference lemma; Kakade
& Langford 2002), each of them Hedge's.

>>> import banditlab
>>> agent = banditlab.Agent("spo_tree", n_arms=4, eta=1.0, output="last")
>>> agent.update(agent.act(), win=1)
>>> P = [[0.5, 0.8, 0.4, 0.65], [0.2, 0.5, 0.7, 0.45], [0.6, 0.3, 0.5, 0.75]]
>>> agent.reveal([*P, [0.35, 0.55, 0.25, 0.5]])
>>> agent.recommend().round(4)
array([0.2951, 0.2298, 0.267 , 0.208 ])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.agent import LARGEST
from banditlab.core import Task, kernel
from banditlab.parts.duels import OUTPUTS, recommend_average_or_last, softmax
from banditlab.parts.modes import place
from banditlab.protocols.duel import Duel
from banditlab.random import categorical
from banditlab.validate import integer, nonnegative

label = "SPO on a tree"

example = {"name": "duel_random", "n_arms": 8, "seed": 1}  # what the contract plays it on


class SPOTree(NamedTuple):
    """Hyper-parameters."""

    actions: int = 2  # >= 2: at every history; a power of it is the number of arms
    eta: float = 0.0  # >= 0; 0: sqrt(2 ln(actions) / T), or sqrt(ln(actions) / t) without T
    output: int = 0  # 0 average, 1 last: what is recommended


class Tree(NamedTuple):
    """What it remembers; the children of node i are i * actions + 1, ..., (i + 1) * actions."""

    logits: np.ndarray  # (n_inner, actions) float64: L at every history, the empty one first
    rule: np.ndarray  # (n_inner, actions) float64: pi
    reach: np.ndarray  # (n_inner + n_arms,) float64: scratch, how likely each node is
    worth: np.ndarray  # (n_inner + n_arms,) float64: scratch, mean of g below each node
    probs: np.ndarray  # (n_arms,) float64: q of the next duel
    played: np.ndarray  # (n_arms,) float64: sum of all q so far
    eta: np.ndarray  # (1,) float64: learning rate; 0: that of the round


@kernel
def init(params, task, rng):
    n = params.actions
    inner = (task.n_arms - 1) // (n - 1)
    eta = params.eta
    if not eta > 0.0 and task.horizon > 0:
        eta = math.sqrt(2.0 * numeric.log(n * 1.0) / task.horizon)
    nodes = inner + task.n_arms
    return Tree(
        np.zeros((inner, n)),
        np.full((inner, n), 1.0 / n),
        np.zeros(nodes),
        np.zeros(nodes),
        np.full(task.n_arms, 1.0 / task.n_arms),
        np.zeros(task.n_arms),
        np.full(1, eta),
    )


@kernel
def act(params, state, t, rng):
    return categorical(rng, state.probs), categorical(rng, state.probs)


@kernel
def update(params, state, t, left, right, win, rng):
    """Who won is of no use to who knows the chances."""


@kernel
def reveal(params, state, t, matrix):
    n, inner = params.actions, state.logits.shape[0]
    eta = state.eta[0]
    if not eta > 0.0:
        eta = math.sqrt(numeric.log(n * 1.0) / (t + 2.0))  # of the next round, from 1
    for k in range(state.probs.size):
        state.played[k] += state.probs[k]
        gain = 0.0
        for j in range(state.probs.size):
            gain += (2.0 * matrix[k, j] - 1.0) * state.probs[j]
        state.worth[inner + k] = gain
    for back in range(inner):  # children have larger numbers
        h = inner - 1 - back
        mean = 0.0
        for a in range(n):
            gain = state.worth[h * n + 1 + a]
            mean += state.rule[h, a] * gain
            state.logits[h, a] += gain
        state.worth[h] = mean
    state.reach[0] = 1.0
    for h in range(inner):
        softmax(eta, state.logits[h], state.rule[h])
        for a in range(n):
            state.reach[h * n + 1 + a] = state.reach[h] * state.rule[h, a]
    for k in range(state.probs.size):
        state.probs[k] = state.reach[inner + k]


def spo_tree(actions: int = 2, eta: float = 0.0, output: str | int = "average") -> Duel:
    """SPO on a tree with ``actions`` >= 2 at every history; it needs to be shown the preferences.

    ``eta`` >= 0 is the learning rate, 0 the tuned one. ``output``: "average" or "last", the
    distribution of trajectories recommended.

    Raises ValueError for fewer actions, an ``eta`` below 0 and other words; and, once there is a
    task, unless its number of arms is a power of ``actions``.
    """
    params = SPOTree(
        integer("actions", actions, 2, LARGEST),
        nonnegative("eta", eta),
        place("output", output, OUTPUTS),
    )
    return Duel(
        params, init, act, update, recommend_average_or_last, reveal, _is_a_tree(params.actions)
    )


@cache
def _is_a_tree(actions: int) -> Callable[[Task], None]:
    """The ``check`` of a tree with so many actions; one function for each number of them."""

    def check(task: Task) -> None:
        leaves = 1
        while leaves < task.n_arms:
            leaves *= actions
        if leaves != task.n_arms:
            raise ValueError(
                f"the number of arms must be a power of actions = {actions}, got {task.n_arms}"
            )

    return check
