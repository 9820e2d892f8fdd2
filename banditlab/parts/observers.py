"""What algorithms that ask for losses share."""

from __future__ import annotations

from typing import Any

from banditlab.core import kernel
from banditlab.protocols.observe import Losses


def known_horizon(task: Any, problem: Losses) -> None:
    """``check`` of an algorithm whose rates need the horizon."""
    if task.horizon < 1:
        raise ValueError("needs a known horizon of at least 1 round")


@kernel
def look_at_all(params, state, t, arm, left, rng, out):  # type: ignore[no-untyped-def]
    """``look`` under full information: all arms, in every round."""
    for k in range(out.size):
        out[k] = True
    return True
