"""Pull counts and reward sums per (context, arm), and the algorithms that need nothing else.

An *index policy* is one pure function: the arm with the largest
``index(params, clock, mean, inv)`` is pulled, where ``inv = 1 / pulls`` and
``clock = clock(params, task, n)`` is computed once a round from the number ``n`` of rewards seen
so far in the context. Arms never pulled come first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import Task, context, kernel, kernel_inline
from banditlab.protocols.online import ANY_REWARD, Online


class Moments(NamedTuple):
    """What the family remembers. ``inv`` is 1 / pulls, and 1 where there are no pulls."""

    pulls: np.ndarray  # (n_contexts, n_arms) float64
    sums: np.ndarray  # (n_contexts, n_arms) float64
    inv: np.ndarray  # (n_contexts, n_arms) float64
    seen: np.ndarray  # (n_contexts,) float64: rewards seen in each context
    task: np.ndarray  # (4,) int64: the fields of Task


@kernel_inline
def task_of(state: Any) -> Task:
    """The Task that ``init`` was given."""
    return Task(state.task[0], state.task[1], state.task[2], state.task[3])


@kernel_inline
def rounds_per_context(task):  # type: ignore[no-untyped-def]
    """The horizon's share of one context, in expectation; 0 when the horizon is unknown."""
    return task.horizon / task.n_contexts


@kernel
def new_moments(params, task, rng):  # type: ignore[no-untyped-def]
    """``init`` of the family."""
    shape = (task.n_contexts, task.n_arms)
    facts = np.array([task.n_arms, task.n_contexts, task.dim, task.horizon], dtype=np.int64)
    return Moments(
        np.zeros(shape), np.zeros(shape), np.ones(shape), np.zeros(task.n_contexts), facts
    )


@kernel_inline
def add_reward(state, x, arm, reward):  # type: ignore[no-untyped-def]
    """Count one pull of ``arm`` in the context that ``x`` shows."""
    s = context(state.pulls.shape[0], x)
    state.pulls[s, arm] += 1.0
    state.inv[s, arm] = 1.0 / state.pulls[s, arm]
    state.sums[s, arm] += reward
    state.seen[s] += 1.0


@kernel
def update_moments(params, state, t, x, arm, reward, rng):  # type: ignore[no-untyped-def]
    """``update`` of the family."""
    add_reward(state, x, arm, reward)


@kernel
def recommend_best_mean(params, state, x, rng, out):  # type: ignore[no-untyped-def]
    """Even odds over the arms of the largest empirical mean; over all arms before any pull."""
    s = context(state.pulls.shape[0], x)
    best = -np.inf
    for k in range(out.size):
        mean = state.sums[s, k] * state.inv[s, k]
        if state.pulls[s, k] > 0.0 and mean > best:
            best = mean
    ties = 0.0
    for k in range(out.size):
        out[k] = 0.0
        if best == -np.inf or (
            state.pulls[s, k] > 0.0 and state.sums[s, k] * state.inv[s, k] == best
        ):
            out[k] = 1.0
            ties += 1.0
    for k in range(out.size):
        out[k] /= ties


@cache
def _index_act(clock: Callable[..., float], index: Callable[..., float]) -> Callable[..., int]:
    @kernel
    def act(params, state, t, x, rng):  # type: ignore[no-untyped-def]
        s = context(state.pulls.shape[0], x)
        now = clock(params, task_of(state), state.seen[s])
        best = -np.inf
        arm = 0
        for k in range(state.pulls.shape[1]):
            inv = state.inv[s, k]
            value = index(params, now, state.sums[s, k] * inv, inv)
            value = value if state.pulls[s, k] > 0.0 else np.inf
            larger = value > best
            best = value if larger else best
            arm = k if larger else arm
        return arm

    return act


def index_policy(
    params: Any,
    clock: Callable[..., float],
    index: Callable[..., float],
    rewards: tuple[float, float] = ANY_REWARD,
    init: Callable[..., Any] = new_moments,
    update: Callable[..., None] = update_moments,
) -> Online:
    """The algorithm that pulls the arm of the largest index; ties go to the lowest arm.

    ``clock(params, task, n)`` and ``index(params, clock, mean, inv)`` are ``kernel_inline``s. A
    member that forgets brings its own ``init`` and ``update``; its state has the fields of
    Moments and further ones.
    """
    act = _index_act(clock, index)
    return Online(params, init, act, update, recommend_best_mean, rewards=rewards)
