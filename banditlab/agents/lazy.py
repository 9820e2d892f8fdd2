"""Index policies with many arms: the arm of the largest index, found without looking at most arms.

An arm's index changes when the arm is pulled and, slowly, with the clock. From `MANY` arms on, an
*upper bound* of every index is therefore kept that holds until the clock of some rounds ahead:
an arm whose bound is below the true index of another arm need not be looked at. The arms lie in
about ``sqrt(n_arms)`` blocks. Of each block its *champion*, the lowest arm of the largest bound,
is remembered, and the largest bound of its *rivals*: the arms that do not equal the champion in
pulls and rewards. (One that does has the champion's index at any clock, and loses the tie to
it. With rewards 0 and 1 such twins come in thousands.) A round walks the blocks; where only the
champion's bound stands out it computes one index, where a rival's does too it searches the block.
When the clock has run out all bounds are computed anew, for about as many rounds ahead as make
this work equal to that of searching.

The arm is that of the plain scan, bit for bit: an arm is passed over only if its index cannot
exceed one that was computed. Rewards may arrive in any order, and an index may be asked for
twice, since what is kept beside Moments changes no result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.agents.moments import add_reward, index_policy, mean, new_moments, task_of
from banditlab.core import context, kernel, kernel_inline
from banditlab.protocols.online import ANY_REWARD, Online

MANY = 2  # from so many arms on: measured, see tests/agents/test_many_arms.py


class Bounded(NamedTuple):
    """Moments, and upper bounds of the indices; these are empty below `MANY` arms."""

    pulls: np.ndarray  # (n_contexts, n_arms) float64
    sums: np.ndarray  # (n_contexts, n_arms) float64
    inv: np.ndarray  # (n_contexts, n_arms) float64: 1 / pulls, and 1 where there are no pulls
    seen: np.ndarray  # (n_contexts,) float64: rewards seen in each context
    task: np.ndarray  # (4,) int64: the fields of Task
    bounds: np.ndarray  # (n_contexts, n_arms) float64
    champion: np.ndarray  # (n_contexts, n_blocks) int64: the lowest arm of the largest bound
    top: np.ndarray  # (n_contexts, n_blocks) float64: the champion's bound
    rival: np.ndarray  # (n_contexts, n_blocks) float64: the largest bound of its rivals
    until: np.ndarray  # (n_contexts,) float64: the clock until which the bounds hold
    ahead: np.ndarray  # (n_contexts,) float64: for how many rounds they were made
    spent: np.ndarray  # (n_contexts,) float64: arms looked at since


@kernel_inline
def block_size(n_arms):  # type: ignore[no-untyped-def]
    """Arms in a block: the number of blocks is about the same."""
    return int(math.floor(math.sqrt(n_arms))) + 1


@kernel
def init(params, task, rng):  # type: ignore[no-untyped-def]
    pulls, sums, inv, seen, facts = new_moments(params, task, rng)
    n_arms = task.n_arms if task.n_arms >= MANY else 0
    size = block_size(n_arms)
    blocks = (task.n_contexts, (n_arms + size - 1) // size)
    bounds = np.full((task.n_contexts, n_arms), np.inf)
    champion = np.zeros(blocks, np.int64)
    for b in range(blocks[1]):
        champion[:, b] = b * size
    none = np.full(blocks, -np.inf)
    # No arm is known, so bounds of the clock 0, where no index falls below, are in place.
    per_context = np.zeros(task.n_contexts)
    return Bounded(
        pulls, sums, inv, seen, facts, bounds, champion, np.full(blocks, np.inf), none,
        per_context, np.ones(task.n_contexts), np.zeros(task.n_contexts),
    )  # fmt: skip


@kernel_inline
def crown(state, s, b):  # type: ignore[no-untyped-def]
    """Find the champion of block ``b`` and the bound of its rivals."""
    size = block_size(state.bounds.shape[1])
    champion, top, rival = b * size, -np.inf, -np.inf
    for k in range(b * size, min((b + 1) * size, state.bounds.shape[1])):
        bound = state.bounds[s, k]
        if bound > top:
            champion, top, rival = k, bound, top
        elif bound > rival:
            twin = (
                state.pulls[s, k] == state.pulls[s, champion]
                and state.sums[s, k] == state.sums[s, champion]
            )
            rival = rival if twin else bound
    state.champion[s, b] = champion
    state.top[s, b] = top
    state.rival[s, b] = rival


@cache
def _lazy(
    scan: Callable[..., int],
    learn: Callable[..., None],
    clock: Callable[..., float],
    index: Callable[..., float],
    bound: Callable[..., float],
) -> tuple[Callable[..., int], Callable[..., None]]:
    @kernel_inline
    def index_of(params, state, s, k, now):  # type: ignore[no-untyped-def]
        value = index(params, now, mean(state, s, k), state.inv[s, k])
        return value if state.pulls[s, k] > 0.0 else np.inf

    @kernel_inline
    def bound_arm(params, state, s, k):  # type: ignore[no-untyped-def]
        value = bound(params, state.until[s], mean(state, s, k), state.inv[s, k])
        state.bounds[s, k] = value if state.pulls[s, k] > 0.0 else np.inf

    @kernel_inline
    def look_ahead(params, state, s, now):  # type: ignore[no-untyped-def]
        cheap = state.spent[s] <= state.bounds.shape[1]
        state.ahead[s] = max(1.0, state.ahead[s] * (2.0 if cheap else 0.5))
        state.spent[s] = 0.0
        state.until[s] = max(now, clock(params, task_of(state), state.seen[s] + state.ahead[s]))
        for k in range(state.bounds.shape[1]):
            bound_arm(params, state, s, k)
        for b in range(state.top.shape[1]):
            crown(state, s, b)

    @kernel_inline
    def search(params, state, s, now):  # type: ignore[no-untyped-def]
        n_arms = state.bounds.shape[1]
        size = block_size(n_arms)
        until = state.until[s]
        if now > until or (now < until and state.spent[s] > n_arms):
            look_ahead(params, state, s, now)
        first = 0
        for b in range(state.top.shape[1]):
            first = b if state.top[s, b] > state.top[s, first] else first
        enough = index_of(params, state, s, state.champion[s, first], now)
        best = -np.inf
        arm = 0
        for b in range(state.top.shape[1]):
            # An arm of equal index must be lower to win; here all lower ones are behind us.
            if state.top[s, b] < enough or state.top[s, b] <= best:
                continue
            start = state.champion[s, b]
            stop = start + 1
            if not (state.rival[s, b] < enough or state.rival[s, b] <= best):
                start = b * size
                stop = min(start + size, n_arms)
            for k in range(start, stop):
                if state.bounds[s, k] >= enough and state.bounds[s, k] > best:
                    value = index_of(params, state, s, k, now)
                    if value > best:
                        best = value
                        arm = k
            enough = best if best > enough else enough
            state.spent[s] += stop - start
        return arm

    @kernel
    def act(params, state, t, x, rng):  # type: ignore[no-untyped-def]
        s = context(state.pulls.shape[0], x)
        return search(params, state, s, clock(params, task_of(state), state.seen[s]))

    @kernel
    def update(params, state, t, x, arm, reward, rng):  # type: ignore[no-untyped-def]
        s = context(state.pulls.shape[0], x)
        add_reward(params, state, s, arm, reward)
        bound_arm(params, state, s, arm)
        crown(state, s, arm // block_size(state.bounds.shape[1]))

    return act, update


def bounded_index_policy(
    params: Any,
    clock: Callable[..., float],
    index: Callable[..., float],
    bound: Callable[..., float],
    rewards: tuple[float, float] = ANY_REWARD,
) -> Online:
    """`index_policy`, for an index of which an upper bound is known; quick with many arms.

    ``bound(params, clock, mean, inv)``, a ``kernel_inline``, is at least the index, as computed,
    of an arm of this mean and ``inv`` at every clock up to ``clock``. Clocks are at least 0. Lanes
    look at every arm.
    """
    plain = index_policy(params, clock, index, rewards)
    act, update = _lazy(plain.act, plain.update, clock, index, bound)
    return plain._replace(init=init, act=act, update=update)
