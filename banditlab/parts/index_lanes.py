"""Index policies in lanes that find the largest index without computing most of them.

A processor takes the square roots of four lanes in 9 to 12 cycles, and begins none meanwhile: of
ten roots a round, lanes of UCB do little else than wait for them. Two kinds of index need fewer:

* Where the clock stands still, as that of MOSS does when the horizon is known, an index changes
  only when its arm is pulled. All are kept: `steady`.
* ``mean + sqrt(a * inv)``, with the same ``a`` for all arms, is but for rounding
  ``mean + sqrt(a) * sqrt(inv)``, and ``sqrt(inv)`` changes only when the arm is pulled. These are
  kept, and the sums tell who is largest unless the two largest lie within rounding: `rooted`.
  Then the indices themselves are computed; where that is often so, because arms have the same
  rewards, the roots rest for some rounds.

Arms are chosen as by the plain scan, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import kernel_in_loop, kernel_inline
from banditlab.parts.index import (
    add_reward,
    mean,
    new_moments,
    table,
    task_of,
    update_moments_lanes,
)
from banditlab.protocols.loops.lanes import Lanes

ROUNDING = 1e-14  # see `clear`
# Of roots above it no square, and no square divided by a number of rounds, is near underflow.
SMALLEST_ROOT = 1e-140
FEW_ARMS = 6  # fewer roots are as soon taken as kept
REST = 32.0  # rounds in which indices are computed after one in which too many lanes were in doubt


class Steady(NamedTuple):
    """Moments, and the index of every arm."""

    pulls: np.ndarray  # (n_contexts, n_arms) float64
    sums: np.ndarray  # (n_contexts, n_arms) float64
    inv: np.ndarray  # (n_contexts, n_arms) float64: 1 / pulls, and 1 where there are no pulls
    seen: np.ndarray  # (n_contexts,) float64: rewards seen in each context
    task: np.ndarray  # (4,) int64: the fields of Task
    indices: np.ndarray  # (n_contexts, n_arms) float64: inf where there are no pulls
    clock: np.ndarray  # (1,) float64: of the indices; nan before there are any


class Rooted(NamedTuple):
    """Moments, and the root of every ``inv``."""

    pulls: np.ndarray  # (n_contexts, n_arms) float64
    sums: np.ndarray  # (n_contexts, n_arms) float64
    inv: np.ndarray  # (n_contexts, n_arms) float64: 1 / pulls, and 1 where there are no pulls
    seen: np.ndarray  # (n_contexts,) float64: rewards seen in each context
    task: np.ndarray  # (4,) int64: the fields of Task
    roots: np.ndarray  # (n_contexts, n_arms) float64: sqrt(inv), and inf where there are no pulls
    rest: np.ndarray  # (1,) float64: rounds to come in which they are neither used nor kept


@kernel_in_loop
def init_steady(params, task, rng):
    pulls, sums, inv, seen, facts = new_moments(params, task, rng)
    return Steady(pulls, sums, inv, seen, facts, table(task, np.inf), np.full(1, np.nan))


@kernel_in_loop
def init_rooted(params, task, rng):
    pulls, sums, inv, seen, facts = new_moments(params, task, rng)
    rest = np.full(1, np.inf if task.n_arms < FEW_ARMS else 0.0)
    return Rooted(pulls, sums, inv, seen, facts, table(task, np.inf), rest)


@kernel_in_loop
def start(best, arms):
    for lane in range(arms.size):
        best[lane] = -np.inf
        arms[lane] = 0


@kernel_in_loop
def largest(values, best, arms):
    """The number of the largest of the values of each lane, the lowest of several."""
    start(best, arms)
    last = values.shape[1] - 1
    for k in range(0, values.shape[1], 2):  # two at a time: half as often read and written
        other = min(k + 1, last)
        for lane in range(arms.size):
            arm = other if values[lane, other] > values[lane, k] else k
            value = max(values[lane, k], values[lane, other])
            arms[lane] = arm if value > best[lane] else arms[lane]
            best[lane] = max(best[lane], value)


@cache
def steady(clock: Callable[..., float], index: Callable[..., float]) -> Callable[..., None]:
    """``act`` in lanes of an index whose clock stands still most of the time."""

    @kernel_in_loop
    def compute_all(params, state, now, n_arms):
        for k in range(n_arms):
            for lane in range(state.seen.size):
                value = index(params, now, mean(state, lane, k), state.inv[lane, k])
                state.indices[lane, k] = value if state.pulls[lane, k] > 0.0 else np.inf

    @kernel_in_loop
    def compute_pulled(params, state, now, arms, n_lanes, means, invs, indices):
        for lane in range(n_lanes):
            arm = np.uint64(arms[lane])
            means[lane] = mean(state, lane, arm)
            invs[lane] = state.inv[lane, arm]
        for lane in range(n_lanes):
            indices[lane] = index(params, now, means[lane], invs[lane])
        for lane in range(n_lanes):
            state.indices[lane, np.uint64(arms[lane])] = indices[lane]

    @kernel_in_loop
    def act_lanes(params, state, t, rngs, arms, spare):
        now = clock(params, task_of(state), state.seen[0])  # all lanes have seen as many
        n_lanes, n_arms = arms.size, state.pulls.shape[1]
        still = now == state.clock[0]
        state.clock[0] = now
        # Loops of no rounds instead of branches: see core.kernel_in_loop.
        compute_all(params, state, now, 0 if still else n_arms)
        n_lanes = n_lanes if still else 0
        compute_pulled(params, state, now, arms, n_lanes, spare[0], spare[1], spare[2])
        largest(state.indices, spare[0], arms)

    return act_lanes


@kernel_inline
def clear(best, rival, root):
    """Whether the largest index is surely that of the largest sum of roots.

    With ``u = 2**-53``, ``b`` the bonus and ``v = mean + b`` without rounding, the index is off
    ``v`` by at most ``1.6 u b`` from its product and root and ``u |v|`` from its sum; the sum of
    roots by ``3.1 u b`` and ``u |v|``; and ``b <= root``. So two sums are in the right order when
    they lie apart by more than ``10 u`` of ``root`` and both of them together; ROUNDING is 90 of
    these. (A sum further down may be larger in size, but is as much further away.) Never true of
    nan, nor when the rival is infinite: an arm that was not yet pulled.
    """
    return best > rival + ROUNDING * (abs(best) + abs(rival) + root)


@cache
def rooted(
    clock: Callable[..., float], index: Callable[..., float], root: Callable[..., float]
) -> Callable[..., None]:
    """``act`` in lanes of the index ``mean + sqrt(a * inv)``.

    ``root(params, clock)`` is the square root of the ``a`` that ``index`` computes.
    """

    @kernel_in_loop
    def sum_roots(state, factor, best, rival, arms, n_arms):
        """The largest sum, its arm and the second largest sum of each lane."""
        start(best, arms)
        for lane in range(arms.size):
            rival[lane] = -np.inf
        last = n_arms - 1
        for k in range(0, n_arms, 2):
            other = min(k + 1, last)
            missing = -np.inf if k == last else np.inf
            for lane in range(arms.size):
                one = mean(state, lane, k) + factor * state.roots[lane, k]
                two = mean(state, lane, other) + factor * state.roots[lane, other]
                two = min(two, missing)
                arm = other if two > one else k
                value = max(one, two)
                rival[lane] = max(max(rival[lane], min(one, two)), min(best[lane], value))
                arms[lane] = arm if value > best[lane] else arms[lane]
                best[lane] = max(best[lane], value)

    @kernel_in_loop
    def doubtful(factor, best, rival, n_lanes):
        count = 0
        for lane in range(n_lanes):
            count += 0 if clear(best[lane], rival[lane], factor) else 1
        return count

    @kernel_in_loop
    def settle(params, state, now, factor, best, rival, arms, n_lanes):
        """Indices of the lanes in doubt, one by one."""
        n_arms = state.pulls.shape[1]
        for lane in range(n_lanes):
            doubt = not clear(best[lane], rival[lane], factor)
            top = -np.inf
            for k in range(n_arms if doubt else 0):
                value = index(params, now, mean(state, lane, k), state.inv[lane, k])
                value = value if state.pulls[lane, k] > 0.0 else np.inf
                arms[lane] = k if value > top else arms[lane]
                top = max(top, value)

    @kernel_in_loop
    def compute_all(params, state, now, best, arms, n_arms):
        """Indices of all lanes side by side."""
        for k in range(n_arms):
            for lane in range(arms.size):
                value = index(params, now, mean(state, lane, k), state.inv[lane, k])
                value = value if state.pulls[lane, k] > 0.0 else np.inf
                # The first arm takes the place of whatever is there.
                top = best[lane] if k > 0 else -np.inf
                arm = arms[lane] if k > 0 else 0
                arms[lane] = k if value > top else arm
                best[lane] = max(top, value)

    @kernel_in_loop
    def act_lanes(params, state, t, rngs, arms, spare):
        n_lanes, n_arms = arms.size, state.pulls.shape[1]
        now = clock(params, task_of(state), state.seen[0])  # all lanes have seen as many
        factor = root(params, now)
        usual = (factor > SMALLEST_ROOT) & (state.rest[0] == 0.0)
        sum_roots(state, factor, spare[0], spare[1], arms, n_arms if usual else 0)
        count = doubtful(factor, spare[0], spare[1], n_lanes if usual else 0)
        # One lane by itself takes longer than four side by side, and the sums were for nothing.
        many = (8 * count > n_lanes) | (not usual)
        few = (count > 0) & (not many)
        # Loops of no rounds instead of branches: see core.kernel_in_loop.
        settle(params, state, now, factor, spare[0], spare[1], arms, n_lanes if few else 0)
        compute_all(params, state, now, spare[0], arms, n_arms if many else 0)
        take_roots(state, n_arms if state.rest[0] == 1.0 else 0)
        left = max(state.rest[0] - 1.0, 0.0)
        state.rest[0] = REST if usual & many else left

    return act_lanes


@kernel_in_loop
def take_roots(state, n_arms):
    """The roots of all arms, at the end of a rest."""
    for k in range(n_arms):
        for lane in range(state.seen.size):
            root = math.sqrt(state.inv[lane, k])
            state.roots[lane, k] = root if state.pulls[lane, k] > 0.0 else np.inf


@kernel_in_loop
def count(state, arms, rewards, pulls, n_lanes):
    for lane in range(n_lanes):
        arm = np.uint64(arms[lane])  # unsigned: no index to count from the end
        pulls[lane] = state.pulls[lane, arm] + 1.0
        state.pulls[lane, arm] = pulls[lane]
        state.sums[lane, arm] += rewards[lane]


@kernel_in_loop
def invert(seen, pulls, inv, roots, n_lanes):
    """By itself: so the processor divides several at a time."""
    for lane in range(n_lanes):
        inv[lane] = 1.0 / pulls[lane]
        roots[lane] = math.sqrt(inv[lane])
        seen[lane] += 1.0


@kernel_in_loop
def keep(state, arms, inv, roots, n_lanes):
    for lane in range(n_lanes):
        arm = np.uint64(arms[lane])
        state.inv[lane, arm] = inv[lane]
        state.roots[lane, arm] = roots[lane]


@kernel_in_loop
def learn(params, state, arms, rewards, n_lanes):
    for lane in range(n_lanes):
        add_reward(params, state, lane, np.uint64(arms[lane]), rewards[lane])


@kernel_in_loop
def update_rooted(params, state, t, arms, rewards, spare):
    n_lanes = arms.size
    kept = n_lanes if state.rest[0] == 0.0 else 0
    count(state, arms, rewards, spare[0], kept)
    invert(state.seen, spare[0], spare[1], spare[2], kept)
    keep(state, arms, spare[1], spare[2], kept)
    learn(params, state, arms, rewards, n_lanes - kept)


def steady_lanes(params: Any, clock: Callable[..., float], index: Callable[..., float]) -> Lanes:
    """Lanes of an `index_policy` whose clock stands still most of the time."""
    return Lanes(params, init_steady, steady(clock, index), update_moments_lanes)


def rooted_lanes(
    params: Any,
    clock: Callable[..., float],
    index: Callable[..., float],
    root: Callable[..., float],
) -> Lanes:
    """Lanes of an `index_policy` whose index is ``mean + sqrt(a * inv)``; see `rooted`."""
    return Lanes(params, init_rooted, rooted(clock, index, root), update_rooted)
