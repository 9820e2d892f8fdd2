"""Index policies with many arms: the arm of the largest index, without looking at most arms.

An arm's index changes when the arm is pulled and, slowly, with the clock. So an *upper bound* of
every index is kept that holds until the clock of some rounds ahead, and an arm whose bound is
below the index of another arm is passed over. The arms lie in about ``sqrt(n_arms)`` blocks. Of
each block we know the *champion*, the lowest arm of the largest bound, and the largest bound of
its *rivals*, the arms that do not equal it in pulls and rewards. (An arm that does has the
champion's index at any clock, and loses the tie. Rewards of 0 and 1 make thousands of such
twins.) A round walks the blocks: it skips those whose champion's bound is too small, computes one
index where no rival stands out, and else searches the block. When the clock runs out all bounds
are made anew, for about as many rounds ahead as let that work equal the work of searching.

A round so costs about ``sqrt(n_arms)``, and its arm is that of the plain scan, bit for bit: what
is passed over cannot exceed an index that was computed, and what is kept beside Moments changes
no choice. Rewards may arrive in any order, many or none between two choices.

There is nothing of the kind for Thompson sampling, where every arm takes its draws every round,
nor for an index that the clock may lower.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import context, kernel, kernel_inline
from banditlab.parts.index import add_reward, index_policy, mean, new_moments, task_of
from banditlab.protocols.online import ANY_REWARD, Many, Online


class Bounded(NamedTuple):
    """Moments, and upper bounds of the indices."""

    pulls: np.ndarray  # (n_contexts, n_arms) float64
    sums: np.ndarray  # (n_contexts, n_arms) float64
    inv: np.ndarray  # (n_contexts, n_arms) float64: 1 / pulls, and 1 where there are no pulls
    seen: np.ndarray  # (n_contexts,) float64: rewards seen in each context
    task: np.ndarray  # (4,) int64: the fields of Task
    bounds: np.ndarray  # (n_contexts, n_arms) float64
    champion: np.ndarray  # (n_contexts, n_blocks) int64: the lowest arm of the largest bound
    top: np.ndarray  # (n_contexts, n_blocks) float64: the champion's bound
    rival: np.ndarray  # (n_contexts, n_blocks) float64: the largest bound of its rivals, or -inf
    until: np.ndarray  # (n_contexts,) float64: the clock until which the bounds hold
    ahead: np.ndarray  # (n_contexts,) float64: for how many rounds they were made
    looks: np.ndarray  # (n_contexts,) float64: arms looked at since then


@kernel_inline
def block_size(n_arms):
    """Arms in a block; the last block may have fewer."""
    return int(math.floor(math.sqrt(n_arms))) + 1


@kernel
def init(params, task, rng):
    pulls, sums, inv, seen, facts = new_moments(params, task, rng)
    size = block_size(task.n_arms)
    blocks = (task.n_contexts, (task.n_arms + size - 1) // size)
    champion = np.empty(blocks, np.int64)
    for b in range(blocks[1]):
        champion[:, b] = b * size
    # Nothing is known of any arm: infinite bounds, which the first rewards replace by bounds of
    # the clock 0.
    return Bounded(
        pulls,
        sums,
        inv,
        seen,
        facts,
        bounds=np.full((task.n_contexts, task.n_arms), np.inf),
        champion=champion,
        top=np.full(blocks, np.inf),
        rival=np.full(blocks, -np.inf),
        until=np.zeros(task.n_contexts),
        ahead=np.ones(task.n_contexts),
        looks=np.zeros(task.n_contexts),
    )


@kernel_inline
def crown(state, s, b):
    """Find the champion of block ``b`` and the largest bound of its rivals."""
    size = block_size(state.bounds.shape[1])
    champion, top, rival = b * size, -np.inf, -np.inf
    for k in range(b * size, min((b + 1) * size, state.bounds.shape[1])):
        bound = state.bounds[s, k]
        if bound > top:
            champion, top, rival = k, bound, top
        elif bound > rival:
            same_pulls = state.pulls[s, k] == state.pulls[s, champion]
            twin = same_pulls and state.sums[s, k] == state.sums[s, champion]
            rival = rival if twin else bound
    state.champion[s, b] = champion
    state.top[s, b] = top
    state.rival[s, b] = rival


@cache
def _kernels(
    clock: Callable[..., float], index: Callable[..., float], bound: Callable[..., float]
) -> tuple[Callable[..., int], Callable[..., None]]:
    """``act`` and ``update``.

    What takes the state is inlined, for to hand on so many arrays costs 100 ns; indices are not,
    except in the one long loop, because they compile slowly.
    """

    @kernel
    def index_at(params, clock, mean, inv):
        return index(params, clock, mean, inv)

    @kernel
    def bound_at(params, clock, mean, inv):
        return bound(params, clock, mean, inv)

    @kernel_inline
    def index_of(params, state, s, k, now):
        value = index_at(params, now, mean(state, s, k), state.inv[s, k])
        return value if state.pulls[s, k] > 0.0 else np.inf

    @kernel_inline
    def look_ahead(params, state, s, now):
        """Make all bounds anew, for twice as long if searching was cheap, else for half."""
        cheap = state.looks[s] <= 2.0 * state.bounds.shape[1]
        state.ahead[s] = state.ahead[s] * 2.0 if cheap else max(1.0, state.ahead[s] * 0.5)
        state.looks[s] = 0.0
        until = max(now, clock(params, task_of(state), state.seen[s] + state.ahead[s]))
        state.until[s] = until
        for k in range(state.bounds.shape[1]):
            value = bound(params, until, mean(state, s, k), state.inv[s, k])
            state.bounds[s, k] = value if state.pulls[s, k] > 0.0 else np.inf
        for b in range(state.top.shape[1]):
            crown(state, s, b)

    @kernel
    def act(params, state, t, x, rng):
        s = context(state.pulls.shape[0], x)
        now = clock(params, task_of(state), state.seen[s])
        n_arms = state.bounds.shape[1]
        size = block_size(n_arms)
        until = state.until[s]
        # Where the clock stands still, as that of greedy, all bounds stay as good as new.
        if now > until or (now < until and state.looks[s] > 2.0 * n_arms):
            look_ahead(params, state, s, now)
        first = 0
        for b in range(state.top.shape[1]):
            first = b if state.top[s, b] > state.top[s, first] else first
        # The largest index is no smaller than this one.
        least = index_of(params, state, s, state.champion[s, first], now)
        best = -np.inf
        arm = 0
        looks = 0
        for b in range(state.top.shape[1]):
            # A bound equal to `best` is too small: its arm is higher, and would lose the tie.
            if state.top[s, b] < least or state.top[s, b] <= best:
                continue
            start = state.champion[s, b]
            stop = start + 1
            if state.rival[s, b] >= least and state.rival[s, b] > best:
                start = b * size
                stop = min(start + size, n_arms)
            looks += stop - start
            for k in range(start, stop):
                if state.bounds[s, k] >= least and state.bounds[s, k] > best:
                    value = index_of(params, state, s, k, now)
                    arm = k if value > best else arm
                    best = value if value > best else best
            least = best if best > least else least
        state.looks[s] += looks
        return arm

    @kernel
    def update(params, state, t, x, arm, reward, rng):
        s = context(state.pulls.shape[0], x)
        add_reward(params, state, s, arm, reward)
        known = mean(state, s, arm)
        state.bounds[s, arm] = bound_at(params, state.until[s], known, state.inv[s, arm])
        crown(state, s, arm // block_size(state.bounds.shape[1]))

    return act, update


def bounded_index_policy(
    params: Any,
    clock: Callable[..., float],
    index: Callable[..., float],
    bound: Callable[..., float],
    rewards: tuple[float, float] = ANY_REWARD,
    many: int = 512,
) -> Online:
    """`index_policy` for an index with a known upper bound, which many arms make use of.

    ``bound(params, clock, mean, inv)``, a ``kernel_inline``, is no smaller than the index, as
    computed, of an arm of this mean and ``inv`` at any clock from 0 to ``clock``. From
    ``many`` arms on it pays, that is, a replication at a time is played sooner than all of them
    in lanes; the dearer the index, the smaller the number.
    """
    plain = index_policy(params, clock, index, rewards)
    return plain._replace(many=Many(many, init, *_kernels(clock, index, bound)))
