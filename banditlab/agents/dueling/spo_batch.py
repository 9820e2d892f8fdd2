"""SPO as it is used: a batch of samples, judged against a queue of recent ones.

Self-play preference optimisation (Swamy, Dann, Kidambi, Wu & Agarwal 2024) on arms. A round draws
n arms a_1, ..., a_n from p = softmax(eta S) and finds the win rate w_i of each, one duel per pair:
against the B arms played last (``opponents`` "queue", B = ``queue``; at the start arms drawn
evenly), or against the other n - 1 of the batch (``opponents`` "batch"). Then::

    S_a_i -= (1 - w_i) / (n p_a_i)     for every i, with the p that drew them

and the batch replaces the oldest of the queue. With T rounds for K arms, eta = sqrt(n ln K / (T K))
unless it is given; a round takes n B duels, or n (n - 1) / 2, and nothing is learned before the
first has ended. The queue stands for a moving average
of recent strategies: less noise, somewhat stale. The mean of p over all rounds is recommended; the
last p is what circles around the von Neumann winner where preferences are cyclic.

>>> import banditlab
>>> agent = banditlab.Agent("spo_batch", n_arms=3, horizon=9000, opponents="batch", seed=1)
>>> for _ in range(9000):
...     left, right = agent.act()
...     agent.update((left, right), win=0.5 if left == right else left < right)
>>> int(agent.recommend().argmax())
0
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.duels import (
    OUTPUTS,
    counted_inverse,
    needs_horizon,
    recommend_average_or_last,
    softmax,
)
from banditlab.parts.modes import place
from banditlab.protocols.duel import Duel
from banditlab.random import below, categorical
from banditlab.validate import integer, nonnegative

label = "SPO, batches"

OPPONENTS = ("queue", "batch")
LARGEST = 10**6  # samples and places in the queue


class SPOBatch(NamedTuple):
    """Hyper-parameters."""

    samples: int = 10  # n >= 1: arms drawn in a round; at least 2 in a batch
    queue: int = 100  # B >= 1: opponents of each sample, where they come from the queue
    opponents: int = 0  # 0 queue, 1 batch: whom samples meet
    eta: float = 0.0  # >= 0; 0: sqrt(n ln K / (T K)) for T rounds
    output: int = 0  # 0 average, 1 last: what is recommended


class Batches(NamedTuple):
    """What it remembers."""

    scores: np.ndarray  # (n_arms,) float64 <= 0: minus the estimated losses
    probs: np.ndarray  # (n_arms,) float64: of the round
    played: np.ndarray  # (n_arms,) float64: sum of the probabilities of all rounds so far
    drawn: np.ndarray  # (samples,) int64: the arms of the round
    wins: np.ndarray  # (samples,) float64: their wins in the round
    queue: np.ndarray  # (queue,) int64: the arms played last
    place: np.ndarray  # (3,) int64: sample and opponent of the next duel; the oldest in the queue
    eta: np.ndarray  # (1,) float64: learning rate
    capped: np.ndarray  # (1,) float64: probabilities below 1e-12 that were met


@kernel
def duels_of(params):
    """How many duels a round has."""
    if params.opponents == 1:
        return params.samples * (params.samples - 1) // 2
    return params.samples * params.queue


@kernel
def init(params, task, rng):
    K = task.n_arms
    eta = params.eta
    if not eta > 0.0:
        rounds = max(task.horizon // duels_of(params), 1)
        eta = math.sqrt(params.samples * numeric.log(K * 1.0) / (rounds * K))
    queue = np.zeros(params.queue if params.opponents == 0 else 1, np.int64)
    for b in range(queue.size):
        queue[b] = below(rng, K)
    drawn = np.zeros(params.samples, np.int64)
    probs = np.full(K, 1.0 / K)
    for i in range(drawn.size):
        drawn[i] = categorical(rng, probs)
    place = np.zeros(3, np.int64)
    place[1] = 1 if params.opponents == 1 else 0
    return Batches(
        np.zeros(K),
        probs,
        np.zeros(K),
        drawn,
        np.zeros(drawn.size),
        queue,
        place,
        np.full(1, eta),
        np.zeros(1),
    )


@kernel
def act(params, state, t, rng):
    i, j = state.place[0], state.place[1]
    if params.opponents == 1:
        return state.drawn[i], state.drawn[j]
    return state.drawn[i], state.queue[j]


@kernel
def update(params, state, t, left, right, win, rng):
    i, j = state.place[0], state.place[1]
    sample, other = act(params, state, t, rng)
    # Others than asked for, as a log may hold them, count as far as they are the pair that meets.
    if left == sample and right == other:
        won = win
    elif left == other and right == sample:
        won = 1.0 - win
    else:
        return
    state.wins[i] += won
    if params.opponents == 1:
        state.wins[j] += 1.0 - won
    opponents = state.drawn.size if params.opponents == 1 else state.queue.size
    j += 1
    if j == opponents:
        i += 1
        j = i + 1 if params.opponents == 1 else 0
    if j == opponents or i == state.drawn.size:
        end_round(params, state, rng)
        i, j = 0, params.opponents  # in a batch the first meets the second
    state.place[0], state.place[1] = i, j


@kernel
def end_round(params, state, rng):
    """Learn from the win rates, put the batch into the queue and draw another."""
    n = state.drawn.size
    met = n - 1 if params.opponents == 1 else state.queue.size
    for k in range(state.played.size):
        state.played[k] += state.probs[k]
    for i in range(n):
        arm = state.drawn[i]
        weight = counted_inverse(state.probs[arm], state.capped)
        state.scores[arm] -= (1.0 - state.wins[i] / met) * weight / n
    for i in range(n if params.opponents == 0 else 0):
        state.queue[state.place[2]] = state.drawn[i]
        state.place[2] = (state.place[2] + 1) % state.queue.size
    softmax(state.eta[0], state.scores, state.probs)
    for i in range(n):
        state.drawn[i] = categorical(rng, state.probs)
        state.wins[i] = 0.0


def spo_batch(
    samples: int = 10,
    queue: int = 100,
    opponents: str | int = "queue",
    eta: float = 0.0,
    output: str | int = "average",
) -> Duel:
    """SPO with ``samples`` arms a round, each against a ``queue`` of arms or its own batch.

    ``opponents``: "queue" or "batch". ``eta`` >= 0 is the learning rate, 0 the tuned one.
    ``output``: "average" or "last", the strategy recommended.

    Raises ValueError for less than 2 samples in a batch, an empty queue, an ``eta`` below 0 and for
    other words; with ``eta`` = 0 the horizon must be known.
    """
    whom = place("opponents", opponents, OPPONENTS)
    params = SPOBatch(
        integer("samples", samples, 2 if whom == 1 else 1, LARGEST),
        integer("queue", queue, 1, LARGEST), whom, nonnegative("eta", eta),
        place("output", output, OUTPUTS),
    )  # fmt: skip
    tuned = None if params.eta > 0.0 else needs_horizon
    return Duel(params, init, act, update, recommend_average_or_last, check=tuned)
