"""What algorithms that ask for losses share."""

from __future__ import annotations

from typing import Any

from banditlab.core import kernel, kernel_inline
from banditlab.protocols.observe import Losses


def known_horizon(task: Any, problem: Losses) -> None:
    """``check`` of an algorithm whose rates need the horizon."""
    if task.horizon < 1:
        raise ValueError("needs a known horizon of at least 1 round")


@kernel
def look_at_all(params, state, t, arm, left, rng, out):
    """``look`` under full information: all arms, in every round."""
    for k in range(out.size):
        out[k] = True
    return True


@kernel_inline
def add_losses(sums, losses):
    """Add the losses of a round, unless the budget hid one: sums over the same rounds compare."""
    complete = True
    for k in range(sums.size):
        complete = complete and losses[k] == losses[k]
    if complete:
        for k in range(sums.size):
            sums[k] += losses[k]


@kernel
def act_kept(params, state, t, x, rng):
    """``act`` of an algorithm that has settled on its ``arm``."""
    return state.arm[0]


@kernel
def recommend_kept(params, state, x, rng, out):
    """``recommend`` of an algorithm that names the arm it would play."""
    for k in range(out.size):
        out[k] = 0.0
    out[state.arm[0]] = 1.0
