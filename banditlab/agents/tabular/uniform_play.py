"""Every action alike, in every state: the control of what is learned by playing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.protocols.episodic import Episodic
from banditlab.random import below

label = "uniform play"

is_baseline = True


class UniformPlay(NamedTuple):
    """No hyper-parameters."""


class Choices(NamedTuple):
    """What it must know."""

    actions: np.ndarray  # (1,) int64: how many there are


@kernel
def init(params, task, means, rng):
    return Choices(np.full(1, task.n_actions))


@kernel
def plan(params, state, k, rng):
    return


@kernel
def act(params, state, h, s, rng):
    return below(rng, state.actions[0])


@kernel
def update(params, state, h, s, a, r, after, rng):
    return


@kernel
def rule(params, state, out):
    out[:] = 1.0 / state.actions[0]


def uniform_play() -> Episodic:
    """Even play; takes no arguments."""
    return Episodic(UniformPlay(), init, plan, act, update, rule, bounded=False)
