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

from banditlab.core import Task, context, kernel, kernel_in_loop, kernel_inline
from banditlab.protocols.loops.lanes import Lanes
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
def rounds_per_context(task):
    """The horizon's share of one context, in expectation; 0 when the horizon is unknown."""
    return task.horizon / task.n_contexts


@kernel_in_loop
def table(task, value):
    """An array (n_contexts, n_arms) of ``value`` in which contexts lie side by side in memory.

    That is what makes lanes fast, which are contexts: see :mod:`banditlab.protocols.loops.lanes`.
    """
    return np.full((task.n_arms, task.n_contexts), value).T


@kernel_in_loop
def new_moments(params, task, rng):
    """``init`` of the family."""
    facts = np.array([task.n_arms, task.n_contexts, task.dim, task.horizon], dtype=np.int64)
    return Moments(
        table(task, 0.0), table(task, 0.0), table(task, 1.0), np.zeros(task.n_contexts), facts
    )


@kernel_inline
def add_reward(params, state, s, arm, reward):
    """Count one pull of ``arm`` in context ``s``: what the family learns from a reward."""
    pulls = state.pulls[s, arm] + 1.0
    state.pulls[s, arm] = pulls
    state.inv[s, arm] = 1.0 / pulls
    state.sums[s, arm] += reward
    state.seen[s] += 1.0


@kernel_inline
def mean(state, s, k):
    """The empirical mean of arm ``k`` in context ``s``, 0 before its first reward."""
    return state.sums[s, k] * state.inv[s, k]


@cache
def learning(learn: Callable[..., None]) -> tuple[Callable[..., None], Callable[..., None]]:
    """``update``, and that of lanes, from ``learn(params, state, s, arm, reward)``, an inline."""

    @kernel_in_loop
    def update(params, state, t, x, arm, reward, rng):
        learn(params, state, context(state.pulls.shape[0], x), arm, reward)

    @kernel_in_loop
    def update_lanes(params, state, t, arms, rewards, spare):
        for lane in range(arms.size):
            # Unsigned: of a signed arm the compiler asks whether it is to count from the end.
            learn(params, state, lane, np.uint64(arms[lane]), rewards[lane])

    return update, update_lanes


update_moments, update_moments_lanes = learning(add_reward)


@kernel
def recommend_best_mean(params, state, x, rng, out):
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
def _index_act(
    clock: Callable[..., float], index: Callable[..., float], statistic: Callable[..., Any]
) -> tuple[Callable[..., int], Callable[..., None]]:
    against_leader = clock is leader

    @kernel_in_loop
    def act(params, state, t, x, rng):
        s = context(state.pulls.shape[0], x)
        now = 0.0
        if against_leader:
            now = leader(state, s)
        else:
            now = clock(params, task_of(state), state.seen[s])
        best = -np.inf
        arm = 0
        for k in range(state.pulls.shape[1]):
            value = index(params, now, statistic(state, s, k), state.inv[s, k])
            value = value if state.pulls[s, k] > 0.0 else np.inf
            larger = value > best
            best = value if larger else best
            arm = k if larger else arm
        return arm

    @kernel_in_loop
    def act_lanes(params, state, t, rngs, arms, spare):
        best, nows, better, values = spare[0], spare[1], spare[2], spare[3]
        if against_leader:
            fill_leaders(state, better, nows)
        else:
            nows[:] = clock(params, task_of(state), state.seen[0])  # all lanes have seen as many
        for lane in range(arms.size):
            best[lane] = -np.inf
            arms[lane] = 0
        for k in range(state.pulls.shape[1]):
            for lane in range(arms.size):
                value = index(params, nows[lane], statistic(state, lane, k), state.inv[lane, k])
                values[lane] = value if state.pulls[lane, k] > 0.0 else np.inf
            # Apart from the values, of which the processor then has more under way at a time, and
            # into an array beside the one that is read: see lanes.Lanes.
            for lane in range(arms.size):
                larger = values[lane] > best[lane]
                better[lane] = values[lane] if larger else best[lane]
                arms[lane] = k if larger else arms[lane]
            for lane in range(arms.size):
                best[lane] = better[lane]

    return act, act_lanes


@kernel_in_loop
def fill_leaders(state, beside, out):
    """`leader` of every lane. ``beside`` is memory; why it is there, `lanes.Lanes` says."""
    for lane in range(out.size):
        out[lane] = -np.inf
    for k in range(state.pulls.shape[1]):
        for lane in range(out.size):
            value = mean(state, lane, k) if state.pulls[lane, k] > 0.0 else -np.inf
            beside[lane] = value if value > out[lane] else out[lane]
        for lane in range(out.size):
            out[lane] = beside[lane]


@kernel_inline
def leader(state, s):
    """The largest empirical mean of the arms pulled in context ``s``; -inf before any pull."""
    best = -np.inf
    for k in range(state.pulls.shape[1]):
        value = mean(state, s, k)
        best = value if state.pulls[s, k] > 0.0 and value > best else best
    return best


def index_policy(
    params: Any,
    clock: Callable[..., float],
    index: Callable[..., float],
    rewards: tuple[float, float] = ANY_REWARD,
    init: Callable[..., Any] = new_moments,
    learn: Callable[..., None] = add_reward,
    statistic: Callable[..., Any] = mean,
    in_lanes: bool = True,
) -> Online:
    """The algorithm that pulls the arm of the largest index; ties go to the lowest arm.

    ``clock(params, task, n)`` and ``index(params, clock, mean, inv)`` are ``kernel_inline``s. With
    ``clock=leader`` the index is told the largest empirical mean instead. A member that remembers
    more than Moments brings its own ``init``, whose state has the fields of Moments and further
    ones, ``learn`` (see `learning`), and ``statistic(state, s, k)``, which the index is given for
    the mean. ``in_lanes=False`` is for an index that gains nothing there.
    """
    act, act_lanes = _index_act(clock, index, statistic)
    update, update_lanes = learning(learn)
    lanes = Lanes(params, init, act_lanes, update_lanes) if in_lanes else None
    return Online(params, init, act, update, recommend_best_mean, rewards=rewards, lanes=lanes)
