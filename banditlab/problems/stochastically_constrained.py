"""The stochastically constrained adversary: the level of the losses jumps, the gap never does.

The test regime of Zimmert & Seldin (2021), "Tsallis-INF: an optimal algorithm for stochastic and
adversarial bandits", JMLR 22, section 6; its default growth, 1.6, could not be compared with the
text. Phase n = 1, 2, ... lasts ``max(1, floor(growth ** n))`` rounds. All losses are Bernoulli,
independent, with the means

==========  ===========  ======
phase       best arm     others
==========  ===========  ======
n odd       0            gap
n even      1 - gap      1
==========  ===========  ======

An algorithm that estimates the level of an arm from the past is misled in every phase; the
differences between arms remain what they are.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.terms import on_terms
from banditlab.problems.deterministic_gap import gapped
from banditlab.protocols.observe import Losses
from banditlab.random import uniform
from banditlab.validate import number

example = {"n_arms": 3, "gap": 0.2}

LONGEST = 2.0**62  # of a phase: an int64, and no run gets there


class StochasticallyConstrained(NamedTuple):
    """Parameters."""

    n_arms: int
    gap: float  # in (0, 1]
    growth: float  # above 1: of the phases
    best: int  # 0 .. n_arms - 1


class World(NamedTuple):
    """The phase under way."""

    left: np.ndarray  # (1,) int64: rounds left of it
    power: np.ndarray  # (1,) float64: growth ** n
    level: np.ndarray  # (1,) float64: mean loss of the best arm, 0 or 1 - gap


@kernel
def init(params, rng):
    # As if phase 0, of the other kind, had just ended.
    return World(np.zeros(1, np.int64), np.ones(1), np.full(1, 1.0 - params.gap))


@kernel
def draw(params, world, t, rng, out):
    if world.left[0] == 0:
        world.power[0] = min(world.power[0] * params.growth, LONGEST)
        world.left[0] = math.floor(world.power[0])
        world.level[0] = 1.0 - params.gap - world.level[0]
    world.left[0] -= 1
    low = world.level[0]
    high = low + params.gap
    for k in range(out.size):
        out[k] = 1.0 if uniform(rng) < (low if k == params.best else high) else 0.0
    return 0


@on_terms
def stochastically_constrained(
    n_arms: int, gap: float, growth: float = 1.6, best: int = 0
) -> Losses:
    """``n_arms`` >= 2 arms, ``best`` always ``gap`` in (0, 1] below the others.

    ``growth`` > 1: how much longer each phase is than the one before. Raises ValueError for
    whatever is out of range.
    """
    n_arms, gap, _, best = gapped(n_arms, gap, 1.0, best)
    if number("growth", growth) <= 1.0:
        raise ValueError(f"growth must be above 1, got {growth!r}")
    params = StochasticallyConstrained(n_arms, gap, float(growth), best)
    return Losses(params, init, draw, (n_arms, 1, 0))
