"""Real releases: the arm that a private algorithm names, with cryptographic noise, once."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab import random, registry
from banditlab.compile import compiled
from banditlab.core import Task, kernel
from banditlab.parts.noise import UNITS, check_epsilon, secret_discrete_laplace
from banditlab.privacy.auditor import _transcribe
from banditlab.protocols import identify
from banditlab.protocols.online import Problem
from banditlab.validate import integer, vector


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
def _open(params, rng):  # type: ignore[no-untyped-def]
    n_arms = params.offsets.size - 1
    return Opened(np.zeros(n_arms, np.int64), np.zeros(n_arms, np.int64), np.zeros((1, 1)))


@kernel
def _show(params, world, t, rng):  # type: ignore[no-untyped-def]
    return world.x


@kernel
def _no_reward(params, world, x, arm, rng):  # type: ignore[no-untyped-def]
    return np.nan  # a single reward is never shown


@kernel
def _no_regret(params, world, x, arm):  # type: ignore[no-untyped-def]
    return 0.0


@kernel
def _noisy_sum(params, world, x, arm, n, rng):  # type: ignore[no-untyped-def]
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
    algorithm: str, rewards: Sequence[np.ndarray], epsilon: float, horizon: int, **hyper: Any
) -> Release:
    """The arm that a private algorithm names, with noise from the system's cryptographic generator.

    The algorithm without privacy (``epsilon`` = inf) is fed sums that have their noise already, as
    :func:`banditlab.parts.noise.release_mean` adds it, and whatever it makes of them is private
    as they are. So this is for algorithms that touch each reward once, in a mean of a phase:
    ``dp_bai``, ``dp_sequential_halving``, ``dp_uniform``, ``noisy_max``, and ``dp_od`` with noise
    on means. ``rewards`` holds those of each arm, in [0, 1]; which of them are used is drawn,
    without replacement. Not reproducible.

    Raises ValueError where an arm runs out of rewards, and whatever the algorithm refuses.
    """
    epsilon = check_epsilon("epsilon", epsilon, discrete=True)
    made = registry.make(algorithm, **{**hyper, "epsilon": math.inf})
    if not identify.PROTOCOL.speaks(made):
        raise ValueError(f"algorithm must name an arm in private, got {algorithm!r}")
    task = Task(len(rewards), 1, 0, integer("horizon", horizon, 1))
    if made.check is not None:
        made.check(task, np.zeros((1, 1)))
    columns = [vector(f"rewards[{k}]", arm, 0.0, 1.0).tolist() for k, arm in enumerate(rewards)]
    for column in columns:
        secrets.SystemRandom().shuffle(column)
    with np.errstate(all="ignore"):
        state = made.init(made.params, task, random.stream(random.key(0), 0, random.AGENT))
    if not hasattr(state, "released"):
        raise ValueError(f"algorithm must name an arm in private, got {algorithm!r}")
    n_batches = state.released.shape[0]
    s, t = epsilon.as_integer_ratio()
    noise = [[secret_discrete_laplace(s, t * UNITS) for _ in columns] for _ in range(n_batches)]
    sealed = Sealed(
        np.array([round(reward * UNITS) for column in columns for reward in column], np.int64),
        np.concatenate([[0], np.cumsum([len(column) for column in columns])]).astype(np.int64),
        np.array(noise, np.int64),
    )
    shape = (len(columns), 1, 0)
    problem = Problem(sealed, _open, _show, _no_reward, _no_regret, shape, batch=_noisy_sum)
    pulls = np.zeros((1, n_batches, len(columns)), np.int64)
    means = np.full((1, n_batches, len(columns)), np.nan)
    output = np.zeros(1, np.int64)
    key = np.array([secrets.randbits(64), secrets.randbits(64)], np.uint64)  # for ties at most
    args = (task, key, pulls, means, output)
    with np.errstate(all="ignore"):
        compiled(_transcribe, (made, problem), args)(*args)
    used = pulls[0].sum(axis=0)
    for k, column in enumerate(columns):
        if used[k] > len(column):
            raise ValueError(f"arm {k} has too few rewards for a horizon of {horizon}")
    released = [
        (k, float(means[0, phase, k]))
        for phase in range(n_batches)
        for k in range(len(columns))
        if not np.isnan(means[0, phase, k])
    ]
    return Release(int(output[0]), used, tuple(released), epsilon)
