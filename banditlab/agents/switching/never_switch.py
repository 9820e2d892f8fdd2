"""Never switch: an arm drawn at random in the first round and kept.

The control of every figure on switching costs. It learns nothing and its regret is exactly linear;
but on instances whose gap shrinks with the horizon that is also the rate of an optimal algorithm
(Dekel, Ding, Koren & Peres 2014, whose lower bound it attains within a constant).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.observers import act_kept, recommend_kept
from banditlab.protocols.observe import Observe
from banditlab.random import below

label = "never switch"

is_baseline = True


class NeverSwitch(NamedTuple):
    """Hyper-parameters: none."""


class Kept(NamedTuple):
    """The arm."""

    arm: np.ndarray  # (1,) int64


@kernel
def init(params, task, rng):
    return Kept(np.full(1, below(rng, task.n_arms)))


@kernel
def look(params, state, t, arm, left, rng, out):
    return False


@kernel
def update(params, state, t, x, arm, losses, rng):
    pass


def never_switch() -> Observe:
    """Never switch; takes no arguments."""
    return Observe(NeverSwitch(), init, act_kept, look, update, recommend_kept)
