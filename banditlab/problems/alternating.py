"""Two arms that lose in turn: (1, 0), (0, 1), (1, 0), ...

Following the leader loses in nearly every round here, if it breaks ties badly, and switches in
each: it shows that a learner has to hedge. Every fixed arm loses half of the rounds.
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import kernel
from banditlab.parts.terms import on_terms
from banditlab.protocols.observe import Losses


class Alternating(NamedTuple):
    """Parameters: none."""


@kernel
def init(params, rng):
    return 0


@kernel
def draw(params, world, t, rng, out):
    out[0] = 1.0 - t % 2
    out[1] = t % 2
    return 0


@on_terms
def alternating() -> Losses:
    """Two arms that lose in turn, arm 0 first; takes no arguments but the terms of play."""
    return Losses(Alternating(), init, draw, (2, 1, 0))
