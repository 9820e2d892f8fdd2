"""Real releases: the arm that a private algorithm names, with cryptographic noise, once."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab import random, registry
from banditlab.compile import compiled
from banditlab.core import Task, kernel
from banditlab.parts.noise import UNITS, check_bounds, check_epsilon, on_grid
from banditlab.privacy.auditor import _transcribe
from banditlab.privacy.mechanisms import sampler
from banditlab.protocols import identify
from banditlab.protocols.online import Problem
from banditlab.validate import integer


class Release(NamedTuple):
    """What a real release publishes. All of it may be shown to anybody."""

    arm: int
    pulls: np.ndarray  # (n_arms,) int64: rewards used
    means: tuple[tuple[int, float], ...]  # (arm, noisy mean), in the order of their release
    epsilon: float  # spent on every reward


class Sealed(NamedTuple):
    """Rewards in an order, and noise, that came from the system's cryptographic generator."""

    units: np.ndarray  # (n_rewards,) int64: rewards as multiples of GRID, the arms one by one
    offsets: np.ndarray  # (n_arms + 1,) int64: arm k has units[offsets[k]:offsets[k + 1]]
    noise: np.ndarray  # (n_batches, n_arms) int64: discrete Laplace, one for each mean


class Opened(NamedTuple):
    """How far a release has come."""

    used: np.ndarray  # (n_arms,) int64: rewards
    batches: np.ndarray  # (n_arms,) int64: means
    x: np.ndarray  # (1, 1) float64, 0: there is nothing to show


@kernel
def _open(params, rng):
    n_arms = params.offsets.size - 1
    return Opened(np.zeros(n_arms, np.int64), np.zeros(n_arms, np.int64), np.zeros((1, 1)))


@kernel
def _show(params, world, t, rng):
    return world.x


@kernel
def _no_reward(params, world, x, arm, rng):
    return np.nan  # a single reward is never shown


@kernel
def _no_regret(params, world, x, arm):
    return 0.0


@kernel
def _noisy_sum(params, world, x, arm, n, rng):
    first = params.offsets[arm] + world.used[arm]
    batch = world.batches[arm]
    world.used[arm] += n
    world.batches[arm] += 1
    if first + n > params.offsets[arm + 1] or batch >= params.noise.shape[0]:
        return np.nan  # and so is the sum of its single rewards: the caller refuses the run
    total = params.noise[batch, arm]
    for i in range(first, first + n):
        total += params.units[i]
    return total / UNITS


def release_arm(
    algorithm: str,
    rewards: Sequence[Any],
    epsilon: float,
    horizon: int,
    *,
    low: float,
    high: float,
    mechanism: str = "own",
    charge: Callable[[], None] | None = None,
    **hyper: Any,
) -> Release:
    """The arm that a private algorithm names, with noise from the system's cryptographic generator.

    The algorithm without privacy (``epsilon`` = inf) is fed sums that have their noise already, as
    :func:`banditlab.parts.noise.release_mean` adds it, and whatever it makes of them is private
    as they are. So this is for algorithms that touch each reward once, in a mean of a phase:
    ``dp_bai``, ``dp_sequential_halving``, ``dp_uniform``, ``noisy_max``, and ``dp_od`` with noise
    on means. ``rewards`` holds those of each arm. ``low`` and ``high``, public and not looked up in
    them, are their bounds: what lies outside counts as the nearest. Which rewards are used is
    drawn, without replacement. ``mechanism`` is "own" or "opendp". Not reproducible.

    ``charge`` is called once, when all that can be refused beforehand was, and before any noise is
    drawn: to account for epsilon. If it raises, nothing was released.

    Raises ValueError for whatever the algorithm refuses and for what is no list of numbers; never
    in words that hold a reward. That an arm runs out of rewards may come to light after noise was
    drawn: that refusal is as private as an answer, and has spent as much. A horizon of at most the
    rewards of the shortest arm rules it out.
    """
    epsilon = check_epsilon("epsilon", epsilon, discrete=True)
    low, high = check_bounds("low", low, "high", high)
    draw = sampler(mechanism, epsilon)
    made: Any = registry.make(algorithm, **{**hyper, "epsilon": math.inf})
    if not identify.PROTOCOL.speaks(made):
        raise ValueError(f"algorithm must name an arm in private, got {algorithm!r}")
    task = Task(len(rewards), 1, 0, integer("horizon", horizon, 1))
    if made.check is not None:
        made.check(task, np.zeros((1, 1)))
    arms = [on_grid(f"rewards[{k}]", arm, low, high).tolist() for k, arm in enumerate(rewards)]
    for arm in arms:
        secrets.SystemRandom().shuffle(arm)
    with np.errstate(all="ignore"):
        state = made.init(made.params, task, random.stream(random.key(0), 0, random.AGENT))
    if not hasattr(state, "released"):
        raise ValueError(f"algorithm must name an arm in private, got {algorithm!r}")
    n_batches = state.released.shape[0]
    lengths = np.array([len(arm) for arm in arms])
    sealed = Sealed(
        np.array([unit for arm in arms for unit in arm], np.int64),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.zeros((n_batches, len(arms)), np.int64),
    )
    shape = (len(arms), 1, 0)
    problem = Problem(sealed, _open, _show, _no_reward, _no_regret, shape, batch=_noisy_sum)
    pulls = np.zeros((1, n_batches, len(arms)), np.int64)
    means = np.full((1, n_batches, len(arms)), np.nan)
    output = np.zeros(1, np.int64)
    key = np.array([secrets.randbits(64), secrets.randbits(64)], np.uint64)  # for ties at most
    args = (task, key, pulls, means, output)
    with np.errstate(all="ignore"):
        play = compiled(_transcribe, (made, problem), args)
        if charge is not None:
            charge()
        sealed.noise[...] = [[draw() for _ in arms] for _ in range(n_batches)]
        play(*args)
    used = pulls[0].sum(axis=0)
    for k in np.flatnonzero(used > lengths):
        raise ValueError(f"arm {k} has too few rewards for a horizon of {horizon}")
    released = tuple(
        (int(k), low + (high - low) * float(means[0, batch, k]))
        for batch, k in np.argwhere(~np.isnan(means[0]))
    )
    return Release(int(output[0]), used, released, epsilon)
