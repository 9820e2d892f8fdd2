"""One policy for ever: what a bandit over policies is held against, each of them alone.

A control: it learns nothing. Robust training hands over one policy, for all attackers that may
come; this is how it fares when they come and go.

>>> import banditlab
>>> banditlab.Agent("static", n_arms=3, arm=2).act()
2
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.protocols.online import Online
from banditlab.random import below
from banditlab.validate import integer

label = "one policy for ever"

is_baseline = True


class Static(NamedTuple):
    """Hyper-parameters."""

    arm: int  # >= 0; -1: drawn evenly in the first round


class Kept(NamedTuple):
    """The arm."""

    arm: np.ndarray  # (1,) int64


@kernel
def init(params, task, rng):
    drawn = below(rng, task.n_arms)
    return Kept(np.full(1, params.arm if params.arm >= 0 else drawn))


@kernel
def act(params, state, t, x, rng):
    return state.arm[0]


@kernel
def update(params, state, t, x, arm, reward, rng):
    pass


@kernel
def recommend(params, state, x, rng, out):
    out[:] = 0.0
    out[state.arm[0]] = 1.0


def static(arm: int = -1) -> Online:
    """Always ``arm``; -1: the one drawn in the first round. ValueError for a lower number."""
    chosen = integer("arm", arm, -1)

    def check(task: Any) -> None:
        if chosen >= task.n_arms:
            raise ValueError(f"arm must be below {task.n_arms}, the number of arms, got {chosen}")

    return Online(Static(chosen), init, act, update, recommend, check=check)
