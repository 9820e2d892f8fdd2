"""Algorithms that draw the arm from weights on estimated losses, and see only that arm's reward.

With loss = 1 - reward in [0, 1], cumulated estimates L and learning rate eta, the arms have the
probabilities ``w(L_k - min L + y)``, divided by their total. A *weight policy* is some pure
functions, all ``kernel_inline``s::

    rate(params, task, n)                eta once n rewards of the context were seen
    estimate(rate, p, loss, played)      what one round adds to the L of an arm of probability p
    weight(rate, z)                      w
    first(rate), slope(rate, z, weight), step(rate, total, slope)

The last three find y, if w does not do without: ``first`` is where to begin, ``step`` the next step
given the totals of weights and of slopes. They default to y = 0.

A policy that draws an arm evenly now and then brings ``share(rate, n_arms)``, how often.

The state holds the probabilities of the next act, so they are computed once a round and
``propensities`` is exact. A reward is weighted by the probability that its arm has when the
reward arrives: with delays that may differ from the probability with which it was chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import context, kernel, kernel_in_loop, kernel_inline
from banditlab.parts.index import table, task_of
from banditlab.protocols.loops.lanes import Lanes
from banditlab.protocols.online import UNIT_REWARD, Online
from banditlab.random import categoricals, uniform

STEPS = 50  # at most, towards y; Newton's method needs about 5
TOLERANCE = 1e-9  # of a step, relative to y


class Weights(NamedTuple):
    """What the family remembers."""

    losses: np.ndarray  # (n_contexts, n_arms) float64: cumulated loss estimates
    probs: np.ndarray  # (n_contexts, n_arms) float64: of the next act
    seen: np.ndarray  # (n_contexts,) float64: rewards seen in each context
    task: np.ndarray  # (4,) int64: the fields of Task


@kernel_inline
def fresh(params, task):
    facts = np.array([task.n_arms, task.n_contexts, task.dim, task.horizon], dtype=np.int64)
    probs = table(task, 1.0 / task.n_arms)
    return Weights(table(task, 0.0), probs, np.zeros(task.n_contexts), facts)


@kernel
def new_weights(params, task, rng):
    """``init`` of the family. Not taken into the loop: one by one, that costs a tenth there."""
    return fresh(params, task)


@kernel_in_loop
def new_weights_lanes(params, task, rng):
    """``init`` in lanes, taken into the loop so that its strides are known to be equal."""
    return fresh(params, task)


@kernel_in_loop
def act_weights(params, state, t, x, rng):
    """``act`` of the family: `random.categorical`, which to call would cost more than to draw."""
    s = context(state.probs.shape[0], x)
    total = 0.0
    for k in range(state.probs.shape[1]):
        total += state.probs[s, k]
    target = uniform(rng) * total
    reached = 0.0
    arm = 0
    for k in range(state.probs.shape[1]):
        # The last arm of positive probability, until the target is within reach.
        arm = k if (state.probs[s, k] > 0.0) & (target >= reached) else arm
        reached += state.probs[s, k]
    return arm


@kernel_in_loop
def act_weights_lanes(params, state, t, rngs, arms, spare):
    """``act`` of the family in lanes."""
    categoricals(rngs, state.probs, spare, arms)


@kernel
def probabilities(params, state, t, x, out):
    """``propensities`` of the family."""
    s = context(state.probs.shape[0], x)
    for k in range(out.size):
        out[k] = state.probs[s, k]


@kernel
def recommend_least_loss(params, state, x, rng, out):
    """Even odds over the arms of the smallest estimated loss."""
    s = context(state.probs.shape[0], x)
    least = smallest(state.losses[s])
    ties = 0.0
    for k in range(out.size):
        out[k] = 1.0 if state.losses[s, k] == least else 0.0
        ties += out[k]
    for k in range(out.size):
        out[k] /= ties


@kernel_inline
def smallest(losses):
    least = losses[0]
    for k in range(1, losses.size):
        least = losses[k] if losses[k] < least else least
    return least


@kernel_in_loop
def fill_smallest(losses, out):
    """`smallest` of every lane."""
    for lane in range(out.size):
        out[lane] = losses[lane, 0]
    for k in range(1, losses.shape[1]):
        for lane in range(out.size):
            out[lane] = min(out[lane], losses[lane, k])


@kernel_inline
def nowhere(rate):
    """``first`` of weights that need no y."""
    return 0.0


@kernel_inline
def flat(rate, z, weight):
    """``slope`` of weights that need no y."""
    return 0.0


@kernel_inline
def stay(rate, total, slope):
    """``step`` of weights that need no y."""
    return 0.0


@cache
def weighing(
    weight: Callable[..., float],
    first: Callable[..., float] = nowhere,
    slope: Callable[..., float] = flat,
    step: Callable[..., float] = stay,
) -> tuple[Callable[..., None], Callable[..., None]]:
    """``weigh(rate, losses, s, out)``, which fills in the probabilities of row s, and that of all.

    The one of all rows, ``weigh_lanes(rate, losses, spare, out)``, has ``spare`` as in `Lanes`.
    """
    if step is stay:
        return _weighing_at_once(weight)

    @kernel
    def weigh(eta, losses, s, out):
        least = smallest(losses[s])
        y = first(eta)
        total = 1.0
        for _ in range(STEPS):
            total = 0.0
            slopes = 0.0
            for k in range(out.shape[1]):
                z = losses[s, k] - least + y
                out[s, k] = weight(eta, z)
                total += out[s, k]
                slopes += slope(eta, z, out[s, k])
            move = step(eta, total, slopes)
            y += move
            if move <= TOLERANCE * y:
                break
        for k in range(out.shape[1]):
            out[s, k] /= total

    @kernel_in_loop
    def iterate(eta, losses, least, y, total, slopes, out):
        for lane in range(least.size):
            total[lane] = 0.0
            slopes[lane] = 0.0
        for k in range(out.shape[1]):
            for lane in range(least.size):
                z = losses[lane, k] - least[lane] + y[lane]
                w = weight(eta, z)
                out[lane, k] = w
                total[lane] += w
                slopes[lane] += slope(eta, z, w)
        # A lane that has arrived stays where its weights were computed: while others are still
        # under way it computes the same again, so that no store depends on who has arrived.
        left = 0
        for lane in range(least.size):
            move = step(eta, total[lane], slopes[lane])
            under_way = move > TOLERANCE * (y[lane] + move)
            y[lane] += move if under_way else 0.0
            left += under_way
        return left

    @kernel_in_loop
    def weigh_lanes(eta, losses, spare, out):
        least, y, total, slopes = spare[0], spare[1], spare[2], spare[3]
        fill_smallest(losses, least)
        for lane in range(y.size):
            y[lane] = first(eta)
        left = iterate(eta, losses, least, y, total, slopes, out)
        for _ in range(1, STEPS):
            if left == 0:
                break
            left = iterate(eta, losses, least, y, total, slopes, out)
        for k in range(out.shape[1]):
            for lane in range(total.size):
                out[lane, k] /= total[lane]

    return weigh, weigh_lanes


def _weighing_at_once(
    weight: Callable[..., float],
) -> tuple[Callable[..., None], Callable[..., None]]:
    """`weighing` without y. A loop that may end early would have its price."""

    @kernel_in_loop
    def weigh(eta, losses, s, out):
        least = losses[s, 0]
        for k in range(1, losses.shape[1]):
            least = min(least, losses[s, k])
        for k in range(out.shape[1]):
            out[s, k] = weight(eta, losses[s, k] - least)
        total = 0.0
        for k in range(out.shape[1]):
            total += out[s, k]
        for k in range(out.shape[1]):
            out[s, k] /= total

    @kernel_in_loop
    def weigh_lanes(eta, losses, spare, out):
        least, total = spare[0], spare[1]
        fill_smallest(losses, least)
        for lane in range(total.size):
            total[lane] = 0.0
        for k in range(out.shape[1]):
            for lane in range(total.size):
                w = weight(eta, losses[lane, k] - least[lane])
                out[lane, k] = w
                total[lane] += w
        for k in range(out.shape[1]):
            for lane in range(total.size):
                out[lane, k] /= total[lane]

    return weigh, weigh_lanes


@cache
def _mixing(
    weigh: Callable[..., None], weigh_lanes: Callable[..., None], share: Callable[..., float]
) -> tuple[Callable[..., None], Callable[..., None]]:
    """`weighing` with a share of even draws: kernels of its own, which cost the others nothing."""

    @kernel
    def weigh_evenly_too(eta, losses, s, out):
        weigh(eta, losses, s, out)
        even = share(eta, out.shape[1])
        for k in range(out.shape[1]):
            out[s, k] = (1.0 - even) * out[s, k] + even / out.shape[1]

    @kernel_in_loop
    def weigh_evenly_too_lanes(eta, losses, spare, out):
        weigh_lanes(eta, losses, spare, out)
        even = share(eta, out.shape[1])
        for k in range(out.shape[1]):
            for lane in range(out.shape[0]):
                out[lane, k] = (1.0 - even) * out[lane, k] + even / out.shape[1]

    return weigh_evenly_too, weigh_evenly_too_lanes


@cache
def _learning(
    rate: Callable[..., float],
    estimate: Callable[..., float],
    weigh: Callable[..., None],
    weigh_lanes: Callable[..., None],
) -> tuple[Callable[..., None], Callable[..., bool], Callable[..., None]]:
    @kernel_in_loop
    def update(params, state, t, x, arm, reward, rng):
        s = context(state.probs.shape[0], x)
        eta = rate(params, task_of(state), state.seen[s])
        for k in range(state.probs.shape[1]):
            state.losses[s, k] += estimate(eta, state.probs[s, k], 1.0 - reward, k == arm)
        state.seen[s] += 1.0
        weigh(rate(params, task_of(state), state.seen[s]), state.losses, s, state.probs)

    @kernel
    def fit(params, state, t, x, arm, reward, rng):
        # A log does not say how likely its choices were: it is read as chosen evenly. The
        # algorithm's own probabilities would be wrong, and dividing by them could explode.
        s = context(state.probs.shape[0], x)
        for k in range(state.probs.shape[1]):
            state.probs[s, k] = 1.0 / state.probs.shape[1]
        update(params, state, t, x, arm, reward, rng)
        return True

    @kernel_in_loop
    def learn_lanes(eta, losses, probs, arms, rewards, after):
        # The arms played by themselves: else every arm of every lane would wait for a division.
        for lane in range(arms.size):
            arm = np.uint64(arms[lane])  # unsigned: no index to count from the end
            p = probs[lane, arm]
            after[lane] = losses[lane, arm] + estimate(eta, p, 1.0 - rewards[lane], True)
        for k in range(probs.shape[1]):
            for lane in range(arms.size):
                losses[lane, k] += estimate(eta, probs[lane, k], 1.0 - rewards[lane], False)
        for lane in range(arms.size):
            losses[lane, np.uint64(arms[lane])] = after[lane]

    @kernel_in_loop
    def update_lanes(params, state, t, arms, rewards, spare):
        eta = rate(params, task_of(state), state.seen[0])
        learn_lanes(eta, state.losses, state.probs, arms, rewards, spare[0])
        for lane in range(arms.size):
            state.seen[lane] += 1.0
        weigh_lanes(rate(params, task_of(state), state.seen[0]), state.losses, spare, state.probs)

    return update, fit, update_lanes


def weight_policy(
    params: Any,
    rate: Callable[..., float],
    estimate: Callable[..., float],
    weight: Callable[..., float],
    first: Callable[..., float] = nowhere,
    slope: Callable[..., float] = flat,
    step: Callable[..., float] = stay,
    share: Callable[..., float] | None = None,
) -> Online:
    """The algorithm that draws from the weights; see the top of the file for the functions.

    Rewards lie in [0, 1].
    """
    weigh = weighing(weight, first, slope, step)
    if share is not None:
        weigh = _mixing(*weigh, share)
    update, fit, update_lanes = _learning(rate, estimate, *weigh)
    return Online(
        params,
        new_weights,
        act_weights,
        update,
        recommend_least_loss,
        probabilities,
        fit,
        UNIT_REWARD,
        lanes=Lanes(params, new_weights_lanes, act_weights_lanes, update_lanes),
    )
