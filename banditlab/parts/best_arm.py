"""What algorithms that look for the best arm share.

Three groups: means of all rewards and the arm they name; elimination in rounds, by the means of
each round alone; and that with noise on the means, which makes it private.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import Task, kernel, kernel_inline
from banditlab.parts.noise import GRID, check_epsilon, release
from banditlab.protocols.identify import Identify
from banditlab.protocols.online import UNIT_REWARD
from banditlab.random import shuffle
from banditlab.validate import choice

# --- means of all rewards -------------------------------------------------------------------------


@kernel_inline
def leader(pulls, means):
    """The arm of the largest empirical mean, the first of several; 0 before any pull."""
    best = -np.inf
    arm = 0
    for k in range(pulls.size):
        larger = pulls[k] > 0.0 and means[k] > best
        best = means[k] if larger else best
        arm = k if larger else arm
    return arm


@kernel_inline
def least_pulled(pulls):
    """The arm with the fewest pulls, the first of several."""
    arm = 0
    for k in range(pulls.size):
        arm = k if pulls[k] < pulls[arm] else arm
    return arm


@kernel
def name_largest(values, eligible, out):
    """Even odds over the largest ``values`` where ``eligible`` > 0; over all arms if none is."""
    best = -np.inf
    for k in range(out.size):
        if eligible[k] > 0 and values[k] > best:
            best = values[k]
    ties = 0.0
    for k in range(out.size):
        out[k] = 0.0
        if best == -np.inf or (eligible[k] > 0 and values[k] == best):
            out[k] = 1.0
            ties += 1.0
    for k in range(out.size):
        out[k] /= ties


@kernel
def recommend_best(params, state, x, rng, out):
    """``recommend`` of an algorithm that names the arm of the largest empirical mean."""
    name_largest(state.means, state.pulls, out)


@kernel_inline
def add_batch(state, pulls, sums):
    """Learn from a batch: the state has ``pulls``, ``sums`` and ``means``."""
    for k in range(pulls.size):
        if pulls[k] > 0:
            state.pulls[k] += pulls[k]
            state.sums[k] += sums[k]
            state.means[k] = state.sums[k] / state.pulls[k]


@kernel
def act_chosen(params, state, t, x, rng, out):
    """``act`` of an algorithm that pulls the arm ``chosen``."""
    out[state.chosen[0]] = 1


def check_spare(task: Task, x: Any) -> None:
    """Refuse a budget that leaves nothing to share out after a pull of each arm."""
    if task.horizon <= task.n_arms:
        raise ValueError(
            f"horizon must be at least {task.n_arms + 1}, more than there are arms, "
            f"got {task.horizon}"
        )


# --- elimination in rounds ------------------------------------------------------------------------


class Rounds(NamedTuple):
    """Which arms are left."""

    active: np.ndarray  # (n_arms,) int64: 1 while the arm is in play, else 0
    order: np.ndarray  # (n_arms,) int64: the arms, those first that win ties
    round: np.ndarray  # (1,) int64: rounds finished
    horizon: np.ndarray  # (1,) int64: the budget
    released: np.ndarray  # (n_rounds, n_arms) float64: means, nan where none was released


@kernel
def shuffled(n, rng):
    """The numbers 0, ..., n - 1 in random order."""
    order = np.arange(n)
    shuffle(rng, order)
    return order


@kernel_inline
def in_rounds(task, rounds, rng):
    """The state of an agent that gives its budget out in so many rounds."""
    return Rounds(
        np.full(task.n_arms, 1),
        shuffled(task.n_arms, rng),
        np.zeros(1, np.int64),
        np.full(1, task.horizon),
        np.full((rounds, task.n_arms), np.nan),
    )


@kernel
def init_once(params, task, rng):
    """``init`` of an algorithm whose budget goes out in one round."""
    return in_rounds(task, 1, rng)


@kernel_inline
def count(active):
    """How many arms are in play."""
    size = 0
    for k in range(active.size):
        size += active[k]
    return size


@kernel
def act_round(params, state, t, x, rng, out):
    """``act`` of the family: all arms in play, equally often."""
    rounds = state.released.shape[0]
    if state.round[0] < rounds:
        n = state.horizon[0] // (count(state.active) * rounds)
        for k in range(out.size):
            out[k] = n * state.active[k]


@cache
def update_with(release: Callable[..., float]) -> Callable[..., None]:
    """``update`` with means as ``release(params, rng, total, n)``, an inline, makes them."""

    @kernel
    def update(params, state, t, x, pulls, sums, rng):
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
def exactly(params, rng, total, n):
    """The release of a mean that is not private."""
    return total / n


@kernel
def recommend_left(params, state, x, rng, out):
    """The arm that is left; before the last round even odds over those in play."""
    size = count(state.active)
    for k in range(out.size):
        out[k] = state.active[k] / size


def most_even(task: Task) -> int:
    """``most`` of an algorithm that gives its budget out in one round."""
    return task.horizon // task.n_arms


def check_even(task: Task, x: Any) -> None:
    """Refuse a budget that does not give every arm a pull."""
    if task.horizon < task.n_arms:
        raise ValueError(
            f"horizon must be at least {task.n_arms}, a pull of each arm, got {task.horizon}"
        )


# --- elimination by noisy means -------------------------------------------------------------------


@kernel_inline
def discrete(params, rng, total, n):
    return release(True, rng, total, n, params.epsilon)


@kernel_inline
def fast(params, rng, total, n):
    return release(False, rng, total, n, params.epsilon)


RELEASES = {"discrete": discrete, "fast": fast}


@kernel
def spent_at_once(params, state):
    """``spent``: the first round releases, and no reward enters two rounds."""
    return params.epsilon


def check_release(epsilon: float, noise: str) -> tuple[float, str]:
    """The arguments of an agent that releases noisy means; ValueError if out of range."""
    noise = choice("noise", noise, tuple(RELEASES))
    return check_epsilon("epsilon", epsilon, True, noise == "discrete"), noise


@kernel
def last_release(params, state, arm):
    """``published`` of an algorithm whose state keeps what it released, a row per phase."""
    last = np.nan
    for phase in range(state.released.shape[0]):
        mean = state.released[phase, arm]
        last = mean if mean == mean else last
    return last


def private(
    params: Any,
    init: Callable[..., Any],
    act: Callable[..., None],
    check: Callable[..., None],
    most: Callable[[Task], Any],
) -> Identify:
    """The agent of ``params`` (epsilon and noise among them) that eliminates by noisy means."""
    return Identify(
        params,
        init,
        act,
        update_with(RELEASES[params.noise]),
        recommend_left,
        spent=spent_at_once,
        published=last_release,
        rewards=UNIT_REWARD,
        grid=GRID if params.noise == "discrete" else 0.0,
        check=check,
        most=most,
    )
