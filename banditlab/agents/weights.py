"""Algorithms that draw the arm from weights on estimated losses, and see only that arm's reward.

With loss = 1 - reward in [0, 1], a *weight policy* is three pure functions::

    rate(params, task, n)                    learning rate once n rewards of the context were seen
    weights(rate, losses, out)               probabilities of the arms, from cumulated estimates
    estimate(rate, p, loss, played)          what one round adds to an arm of probability p

The state holds the probabilities of the next act, so they are computed once a round and
``propensities`` is exact. A reward is weighted by the probability that its arm has when the
reward arrives: with delays that may differ from the probability with which it was chosen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.agents.moments import task_of
from banditlab.core import context, kernel, kernel_inline
from banditlab.protocols.online import UNIT_REWARD, Online
from banditlab.random import categorical


class Weights(NamedTuple):
    """What the family remembers."""

    losses: np.ndarray  # (n_contexts, n_arms) float64: cumulated loss estimates
    probs: np.ndarray  # (n_contexts, n_arms) float64: of the next act
    seen: np.ndarray  # (n_contexts,) float64: rewards seen in each context
    task: np.ndarray  # (4,) int64: the fields of Task


@kernel
def new_weights(params, task, rng):  # type: ignore[no-untyped-def]
    """``init`` of the family."""
    shape = (task.n_contexts, task.n_arms)
    facts = np.array([task.n_arms, task.n_contexts, task.dim, task.horizon], dtype=np.int64)
    return Weights(
        np.zeros(shape), np.full(shape, 1.0 / task.n_arms), np.zeros(task.n_contexts), facts
    )


@kernel
def act_weights(params, state, t, x, rng):  # type: ignore[no-untyped-def]
    """``act`` of the family."""
    return categorical(rng, state.probs[context(state.probs.shape[0], x)])


@kernel
def probabilities(params, state, t, x, out):  # type: ignore[no-untyped-def]
    """``propensities`` of the family."""
    s = context(state.probs.shape[0], x)
    for k in range(out.size):
        out[k] = state.probs[s, k]


@kernel
def recommend_least_loss(params, state, x, rng, out):  # type: ignore[no-untyped-def]
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
def smallest(losses):  # type: ignore[no-untyped-def]
    least = losses[0]
    for k in range(1, losses.size):
        least = losses[k] if losses[k] < least else least
    return least


@cache
def _learning(
    rate: Callable[..., float], weights: Callable[..., None], estimate: Callable[..., float]
) -> tuple[Callable[..., None], Callable[..., bool]]:
    @kernel
    def update(params, state, t, x, arm, reward, rng):  # type: ignore[no-untyped-def]
        s = context(state.probs.shape[0], x)
        now = rate(params, task_of(state), state.seen[s])
        for k in range(state.probs.shape[1]):
            state.losses[s, k] += estimate(now, state.probs[s, k], 1.0 - reward, k == arm)
        state.seen[s] += 1.0
        weights(rate(params, task_of(state), state.seen[s]), state.losses[s], state.probs[s])

    @kernel
    def fit(params, state, t, x, arm, reward, rng):  # type: ignore[no-untyped-def]
        # A log does not say how likely its choices were: it is read as chosen evenly. The
        # algorithm's own probabilities would be wrong, and dividing by them could explode.
        s = context(state.probs.shape[0], x)
        for k in range(state.probs.shape[1]):
            state.probs[s, k] = 1.0 / state.probs.shape[1]
        update(params, state, t, x, arm, reward, rng)
        return True

    return update, fit


def weight_policy(
    params: Any,
    rate: Callable[..., float],
    weights: Callable[..., None],
    estimate: Callable[..., float],
) -> Online:
    """The algorithm that draws from ``weights``; see the top of the file for the functions.

    ``rate`` and ``estimate`` are ``kernel_inline``s. Rewards lie in [0, 1].
    """
    update, fit = _learning(rate, weights, estimate)
    return Online(
        params,
        new_weights,
        act_weights,
        update,
        recommend_least_loss,
        probabilities,
        fit,
        UNIT_REWARD,
    )
