"""Uniform design: every arm equally often, then the arm with the best mean.

Bubeck, Munos & Stoltz 2011, "Pure exploration in finitely-armed and continuous-armed bandits":
uniform allocation with the empirical best arm. Each of K arms gets floor(T / K) of T pulls; ties
are broken at random. It is Sequential Halving with one round, and that is how it is written.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from banditlab.agents.best_arm.sequential_halving import (
    act,
    exactly,
    in_rounds,
    recommend,
    update_with,
)
from banditlab.core import Task, kernel
from banditlab.protocols.identify import Identify


class UniformDesign(NamedTuple):
    """Hyper-parameters: none."""


@kernel
def init(params, task, rng):  # type: ignore[no-untyped-def]
    return in_rounds(task, 1, rng)


def check(task: Task, x: Any) -> None:
    """Refuse a budget that does not give every arm a pull."""
    if task.horizon < task.n_arms:
        raise ValueError(
            f"horizon must be at least {task.n_arms}, a pull of each arm, got {task.horizon}"
        )


def uniform_design() -> Identify:
    """Uniform design; takes no arguments. Its horizon is at least the number of arms."""
    return Identify(UniformDesign(), init, act, update_with(exactly), recommend, check=check)
