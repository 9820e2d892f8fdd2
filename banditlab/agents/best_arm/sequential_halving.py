"""Sequential Halving (Karnin, Koren & Somekh 2013, Algorithm 1), re-implemented from memory.

There are R = ceil(log2 K) rounds for K arms and T pulls. A round pulls each of its s arms

    floor(T / (s R))

times, and the ceil(s / 2) arms with the best means *of this round* go on. The file also holds the
kernels of its relatives, which differ in the number of rounds (one: :mod:`uniform_design`) or in
how a mean is released (:mod:`dp_sequential_halving`).

Ties, common among means of few Bernoulli rewards, are broken by an order of the arms drawn at
random. A fixed order would make the error depend on the place of the best arm: with 20 arms of
which one has mean 0.5 and the others 0.4, and T = 2000, it is 0.26 when that arm always wins
ties, 0.42 when it always loses them, and 0.34 at random, the limit of ever less noise on the means.

>>> import banditlab
>>> agent = banditlab.make("sequential_halving")
>>> agent.check(banditlab.core.Task(20, horizon=99), None)
Traceback (most recent call last):
ValueError: horizon must be at least 100, a pull of 20 arms in each of 5 rounds, got 99
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import Task, kernel, kernel_inline
from banditlab.protocols.identify import Identify
from banditlab.random import shuffle


class SequentialHalving(NamedTuple):
    """Hyper-parameters: none."""


class Rounds(NamedTuple):
    """Which arms are left."""

    active: np.ndarray  # (n_arms,) int64: 1 while the arm is in play, else 0
    order: np.ndarray  # (n_arms,) int64: the arms, those first that win ties
    round: np.ndarray  # (1,) int64: rounds finished
    horizon: np.ndarray  # (1,) int64: the budget
    released: np.ndarray  # (n_rounds, n_arms) float64: means, nan where none was released


@kernel
def halvings(n_arms):  # type: ignore[no-untyped-def]
    """The number of rounds, ceil(log2 n_arms)."""
    rounds = 0
    while n_arms > 1:
        n_arms = (n_arms + 1) // 2
        rounds += 1
    return rounds


@kernel
def shuffled(n, rng):  # type: ignore[no-untyped-def]
    """The numbers 0, ..., n - 1 in random order."""
    order = np.arange(n)
    shuffle(rng, order)
    return order


@kernel_inline
def in_rounds(task, rounds, rng):  # type: ignore[no-untyped-def]
    """The state of an agent that gives its budget out in so many rounds."""
    return Rounds(
        np.full(task.n_arms, 1),
        shuffled(task.n_arms, rng),
        np.zeros(1, np.int64),
        np.full(1, task.horizon),
        np.full((rounds, task.n_arms), np.nan),
    )


@kernel
def init(params, task, rng):  # type: ignore[no-untyped-def]
    return in_rounds(task, halvings(task.n_arms), rng)


@kernel_inline
def count(active):  # type: ignore[no-untyped-def]
    """How many arms are in play."""
    size = 0
    for k in range(active.size):
        size += active[k]
    return size


@kernel
def act(params, state, t, x, rng, out):  # type: ignore[no-untyped-def]
    rounds = state.released.shape[0]
    if state.round[0] < rounds:
        n = state.horizon[0] // (count(state.active) * rounds)
        for k in range(out.size):
            out[k] = n * state.active[k]


@cache
def update_with(release: Callable[..., float]) -> Callable[..., None]:
    """``update`` with means as ``release(params, rng, total, n)``, an inline, makes them."""

    @kernel
    def update(params, state, t, x, pulls, sums, rng):  # type: ignore[no-untyped-def]
        now = state.round[0]
        size = count(state.active)
        means = state.released[now]
        for k in range(pulls.size):
            if pulls[k] > 0:
                means[k] = release(params, rng, sums[k], pulls[k])
        is_last = now + 1 == state.released.shape[0]
        for _ in range(1 if is_last else (size + 1) // 2):
            best = -1
            for k in state.order:
                if state.active[k] == 1 and (best < 0 or means[k] > means[best]):
                    best = k
            state.active[best] = 2
        for k in range(pulls.size):
            state.active[k] = 1 if state.active[k] == 2 else 0
        state.round[0] = now + 1

    return update


@kernel_inline
def exactly(params, rng, total, n):  # type: ignore[no-untyped-def]
    return total / n


@kernel
def recommend(params, state, x, rng, out):  # type: ignore[no-untyped-def]
    """The arm that is left; before the last round even odds over those in play."""
    size = count(state.active)
    for k in range(out.size):
        out[k] = state.active[k] / size


def check(task: Task, x: Any) -> None:
    """Refuse a budget that does not give every round a pull of every arm."""
    rounds = halvings(task.n_arms)
    least = task.n_arms * rounds
    if task.horizon < least:
        raise ValueError(
            f"horizon must be at least {least}, a pull of {task.n_arms} arms in each of "
            f"{rounds} rounds, got {task.horizon}"
        )


def sequential_halving() -> Identify:
    """Sequential Halving; takes no arguments. Its horizon T is at least K ceil(log2 K)."""
    update = update_with(exactly)
    return Identify(SequentialHalving(), init, act, update, recommend, check=check)
