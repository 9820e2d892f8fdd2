"""Piecewise-stationary Bernoulli bandit: all means change abruptly at given rounds.

The switching bandit of Garivier & Moulines (2011), "On upper-confidence bound policies for
switching bandit problems". Segment i of the means rules the rounds
``breaks[i - 1] <= t < breaks[i]``, with rounds counted from 0: a break at 500 means that round 500
is the first of the new segment. Regret is against the best arm of the round.

>>> import banditlab
>>> banditlab.make_problem("piecewise", segments=[[0.9, 0.1], [0.1, 0.9]], breaks=[500]).shape
(2, 1, 0)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.problems.bernoulli import reward
from banditlab.protocols.loops.lanes import Arms
from banditlab.protocols.online import Problem
from banditlab.random import uniform, uniforms
from banditlab.validate import integer, vector

example = {"segments": [[0.2, 0.5, 0.8], [0.8, 0.5, 0.2]], "breaks": [500]}


class Piecewise(NamedTuple):
    """Parameters."""

    segments: np.ndarray  # (n_segments, n_arms) float64 in [0, 1]
    breaks: np.ndarray  # (n_segments - 1,) int64, increasing: first rounds of the later segments


class World(NamedTuple):
    """One replication."""

    best: np.ndarray  # (n_segments,) float64: the largest mean of each segment
    segment: np.ndarray  # (1,) int64: the segment of the current round
    x: np.ndarray  # (1, 1) float64, 0: there is nothing to show


@kernel
def init(params, rng):
    best = params.segments[:, 0].copy()
    for i in range(best.size):
        for mean in params.segments[i]:
            best[i] = mean if mean > best[i] else best[i]
    return World(best, np.zeros(1, np.int64), np.zeros((1, 1)))


@kernel
def observe(params, world, t, rng):
    i = world.segment[0] if t > 0 else 0  # rounds start over when play follows a log
    while i < params.breaks.size and t >= params.breaks[i]:
        i += 1
    world.segment[0] = i
    return world.x


@kernel
def pull(params, world, x, arm, rng):
    return reward(params, params.segments[world.segment[0], arm], uniform(rng))


@kernel
def regret(params, world, x, arm):
    i = world.segment[0]
    return world.best[i] - params.segments[i, arm]


def piecewise(segments: Sequence[Sequence[float]], breaks: Sequence[int]) -> Problem:
    """A Bernoulli bandit with the means ``segments[i]`` from round ``breaks[i - 1]`` on.

    ``segments``: lists of the same length, at least two means each, in [0, 1]; ``breaks``:
    increasing rounds of at least 1, one fewer than there are segments. Raises ValueError naming
    the entry that is wrong.
    """
    if isinstance(segments, str) or not hasattr(segments, "__len__") or len(segments) == 0:
        raise ValueError(f"segments must be a list of lists of means, got {segments!r}")
    if isinstance(breaks, str) or not hasattr(breaks, "__len__"):
        raise ValueError(f"breaks must be a list of rounds, got {breaks!r}")
    rows = [vector(f"segments[{i}]", row, 0.0, 1.0, 2) for i, row in enumerate(segments)]
    for i, row in enumerate(rows):
        if row.size != rows[0].size:
            raise ValueError(f"segments[{i}] must have {rows[0].size} means, got {row.size}")
    if len(breaks) != len(rows) - 1:
        raise ValueError(
            f"{len(rows)} segments need breaks at {len(rows) - 1} rounds, got {len(breaks)}"
        )
    rounds = [0]
    for i, value in enumerate(breaks):
        rounds.append(integer(f"breaks[{i}]", value, at_least=rounds[-1] + 1))
    params = Piecewise(np.array(rows), np.array(rounds[1:], dtype=np.int64))
    lanes = Arms(params, params.segments, params.breaks, uniforms, reward)
    return Problem(params, init, observe, pull, regret, (rows[0].size, 1, 0), lanes=lanes)
