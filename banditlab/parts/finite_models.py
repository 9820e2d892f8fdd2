"""Finite models as problems of protocol ``episodic``: tables of outcomes, checked and solved.

All of them share their kernels, so that an algorithm is compiled once for all. Arrays have a
leading axis L: 1 where dynamics are the same in all steps, else the number of steps.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from banditlab import random
from banditlab.agent import LARGEST
from banditlab.core import kernel, kernel_in_loop
from banditlab.protocols.episodic import SLACK, EpisodicMDP, finite_range, floats, limit
from banditlab.random import normal, uniform
from banditlab.validate import flag, integer


class Tables(NamedTuple):
    """A finite model: params and world of every tabular problem, so that they share kernels."""

    succ: np.ndarray  # (L, S, A, K) int64: next state of each outcome; S: the episode ends
    prob: np.ndarray  # (L, S, A, K) float64: its probability
    upto: np.ndarray  # (L, S, A, K) float64: cumulated, 2 from the last possible outcome on
    reward: np.ndarray  # (L, S, A, K) float64: its mean reward
    noise: np.ndarray  # (L, S, A) float64: 0 none, > 0 standard deviation, < 0 Bernoulli
    mean: np.ndarray  # (L, S, A) float64: mean rewards
    start: np.ndarray  # (S,) float64: law of the first state
    scale: np.ndarray  # (2,) float64: low and high
    best: np.ndarray  # (1,) float64: V*


@kernel
def the_tables(params, rng):
    """``init``: the same model in every replication."""
    return params


@kernel
def begin_table(params, world, rng):
    """``begin``."""
    return random.categorical(rng, world.start)


@kernel_in_loop
def step_table(params, world, h, s, a, rng):
    """``step``: one word for the outcome, and what the noise takes."""
    i = h if world.succ.shape[0] > 1 else 0
    u = uniform(rng)
    k = 0
    while u >= world.upto[i, s, a, k]:
        k += 1
    r = world.reward[i, s, a, k]
    noise = world.noise[i, s, a]
    if noise < 0.0:
        r = 1.0 if uniform(rng) < r else 0.0
    elif noise > 0.0:
        r += noise * normal(rng)
    after = world.succ[i, s, a, k]
    return after, r, after == world.start.size


@kernel
def value_table(params, world, rule):
    """``value``: rewards weighed by how often each pair is met, step by step.

    Forward, so that states which the rule never meets cost nothing.
    """
    H, S, A = rule.shape
    K = world.succ.shape[3]
    here = world.start.copy()
    ahead = np.zeros(S + 1)
    total = 0.0
    for h in range(H):
        i = h if world.succ.shape[0] > 1 else 0
        for s in range(S):
            if here[s] > 0.0:
                for a in range(A):
                    met = here[s] * rule[h, s, a]
                    if met > 0.0:
                        total += met * world.mean[i, s, a]
                        for k in range(K):
                            ahead[world.succ[i, s, a, k]] += met * world.prob[i, s, a, k]
        for s in range(S):
            here[s] = ahead[s]
            ahead[s] = 0.0
    return total


@kernel
def best_of_table(params, world):
    """``optimum``."""
    return world.best[0]


@kernel
def means_of_table(params, world):
    """``means``, scaled."""
    L, S, A = world.mean.shape
    low, high = world.scale[0], world.scale[1]
    out = np.empty((L, S, A))
    for i in range(L):
        for s in range(S):
            for a in range(A):
                out[i, s, a] = (world.mean[i, s, a] - low) / (high - low)
    return out


def tabular(
    succ: Any,
    prob: Any,
    reward: Any,
    start: Any,
    steps: int,
    *,
    noise: Any = 0.0,
    low: float = 0.0,
    high: float = 1.0,
    known: bool = False,
    pooled: bool = False,
    most: float = math.inf,
    good: float = math.inf,
) -> EpisodicMDP:
    """A finite model as a problem, checked.

    Parameters
    ----------
    succ, prob, reward
        (L, S, A, K), or (S, A, K) for the same in all steps: next states (S where the episode
        ends), probabilities and mean rewards of the outcomes of each pair.
    start
        The first state, or probabilities (S,).
    steps
        Of an episode; at least 1.
    noise
        (L, S, A), or one number: 0, standard deviation of Gaussian noise, or -1 for rewards 0 and 1
        with the given means.
    low, high
        Range by which algorithms see rewards scaled; rewards may leave it by a tenth, as the costs
        of DeepSea do.
    known, pooled, most, good
        As in :class:`EpisodicMDP`.

    Raises ValueError, in one line, for probabilities that do not sum to 1 within 1e-8 or are
    negative, for states that do not exist, rewards that are not finite or lie outside the range,
    steps below 1, a ``most`` below V*, and whatever is no number where one belongs.
    """
    steps = integer("steps", steps, 1)
    given, prob, reward = floats(succ, "succ"), floats(prob, "prob"), floats(reward, "reward")
    if not (np.abs(given) <= LARGEST).all() or (given != np.floor(given)).any():
        raise ValueError("succ must hold states, whole numbers from 0 on")
    succ = given.astype(np.int64)
    if succ.ndim == 3:
        succ, prob, reward = succ[None], prob[None], reward[None]
    if succ.ndim != 4 or not succ.shape == prob.shape == reward.shape or 0 in succ.shape:
        raise ValueError(
            "succ, prob and reward must have one shape (L, S, A, K), "
            f"got {succ.shape}, {prob.shape} and {reward.shape}"
        )
    L, S, A, K = succ.shape
    if L not in (1, steps):
        raise ValueError(f"succ must list 1 step, or all {steps}, got {L}")
    if not (np.isfinite(prob).all() and (prob >= 0.0).all()):
        raise ValueError(f"prob must be finite and at least 0, got {prob.min():g}")
    off = np.argwhere(np.abs(prob.sum(axis=3) - 1.0) > 1e-8)
    if off.size:
        i, s, a = off[0]
        raise ValueError(
            f"the probabilities of state {s}, action {a} sum to {prob[i, s, a].sum():.10g}, not 1"
        )
    if ((succ < 0) | (succ > S)).any():
        raise ValueError(f"succ must lie in 0 .. {S - 1}, or be {S} for the end")
    low, high = finite_range(low, high)
    noise = floats(noise, "noise")
    if not np.isfinite(noise).all():
        raise ValueError("noise must be finite")
    try:
        noise = np.array(np.broadcast_to(noise, (L, S, A)))
    except ValueError:
        raise ValueError(
            f"noise must be a number or have shape ({L}, {S}, {A}), got {noise.shape}"
        ) from None
    met = reward[prob > 0.0]
    room = SLACK * (high - low)
    if not np.isfinite(met).all() or met.min() < low - room or met.max() > high + room:
        raise ValueError(
            f"rewards must lie in [{low:g}, {high:g}], got {met.min():g} to {met.max():g}"
        )
    coins = (noise < 0.0)[..., None] & (prob > 0.0)
    if coins.any() and not ((reward[coins] >= 0.0) & (reward[coins] <= 1.0)).all():
        raise ValueError("mean rewards must lie in [0, 1] where rewards are 0 or 1")
    first = _start(start, S)
    mean = (prob * reward).sum(axis=3)
    upto = np.cumsum(prob, axis=3)
    left = np.cumsum(prob[..., ::-1], axis=3)[..., ::-1] - prob  # behind each outcome
    upto[left <= 0.0] = 2.0
    world = Tables(succ, prob, upto, reward, noise, mean, first, np.array([low, high]), np.zeros(1))
    world.best[0] = float(first @ solve_table(world, steps)[0][0, :S])
    most, good = limit("most", most), limit("good", good)
    if world.best[0] > most + 1e-9 * max(1.0, abs(most)):
        raise ValueError(f"most must be at least the best value, {world.best[0]:g}, got {most:g}")
    span = (-math.inf, math.inf) if (noise > 0.0).any() else (float(met.min()), float(met.max()))
    if coins.any():
        span = (min(span[0], 0.0), max(span[1], 1.0))
    return EpisodicMDP(
        world, the_tables, begin_table, step_table, value_table, best_of_table, means_of_table,
        (A, S, 0), steps, span, low, high,
        known=flag("known", known), pooled=flag("pooled", pooled),
        ends=bool((succ[prob > 0.0] == S).any()), outcomes=_outcomes(succ, prob),
        most=most, good=good,
    )  # fmt: skip


def _start(start: Any, S: int) -> np.ndarray:
    """The law of the first state."""
    if np.ndim(start) == 0:
        return np.eye(S)[integer("start", start, 0, S - 1)]
    law = floats(start, "start")
    if law.shape != (S,) or not (law >= 0.0).all() or not abs(law.sum() - 1.0) <= 1e-8:
        raise ValueError(f"start must be {S} probabilities that sum to 1, got {start!r}")
    return law


def _outcomes(succ: np.ndarray, prob: np.ndarray) -> int:
    """The largest number of different next states of a pair, over all steps together."""
    L, S, A, K = succ.shape
    pairs = succ.transpose(1, 2, 0, 3).reshape(S * A, L * K)
    possible = prob.transpose(1, 2, 0, 3).reshape(S * A, L * K) > 0.0
    return max(np.unique(row[kept]).size for row, kept in zip(pairs, possible, strict=True))


def solve_table(world: Tables, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Optimal values (H + 1, S + 1) and Q (H, S, A), by backward induction, in true rewards."""
    L, S, A, _ = world.succ.shape
    values, q = np.zeros((steps + 1, S + 1)), np.zeros((steps, S, A))
    for h in range(steps - 1, -1, -1):
        i = h if L > 1 else 0
        q[h] = world.mean[i] + (world.prob[i] * values[h + 1][world.succ[i]]).sum(axis=2)
        values[h, :S] = q[h].max(axis=1)
    return values, q
