"""Uniform design: every arm equally often, then the arm with the best mean.

Bubeck, Munos & Stoltz 2011, "Pure exploration in finitely-armed and continuous-armed bandits":
uniform allocation with the empirical best arm. Each of K arms gets floor(T / K) of T pulls; ties
are broken at random. It is Sequential Halving with one round, and that is how it is written.
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.parts.best_arm import (
    act_round,
    check_even,
    exactly,
    init_once,
    most_even,
    recommend_left,
    update_with,
)
from banditlab.protocols.identify import Identify

label = "uniform design"


class UniformDesign(NamedTuple):
    """Hyper-parameters: none."""


def uniform_design() -> Identify:
    """Uniform design; takes no arguments. Its horizon is at least the number of arms."""
    update = update_with(exactly)
    return Identify(
        UniformDesign(),
        init_once,
        act_round,
        update,
        recommend_left,
        check=check_even,
        most=most_even,
    )
