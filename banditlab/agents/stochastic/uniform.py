"""Uniform play: every arm with the same probability in every round.

The control that every learning algorithm must beat. It recommends the arm of the best empirical
mean, so it doubles as the even design of pure exploration (Bubeck, Munos & Stoltz 2011).

>>> import banditlab
>>> banditlab.Agent("uniform", n_arms=4).propensities()
array([0.25, 0.25, 0.25, 0.25])
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import kernel
from banditlab.parts.index import new_moments, recommend_best_mean, update_moments
from banditlab.protocols.online import Online
from banditlab.random import below

label = "uniform"

is_baseline = True


class Uniform(NamedTuple):
    """Hyper-parameters: none."""


@kernel
def act(params, state, t, x, rng):
    return below(rng, state.pulls.shape[1])


@kernel
def propensities(params, state, t, x, out):
    for k in range(out.size):
        out[k] = 1.0 / out.size


def uniform() -> Online:
    """Uniform play; takes no arguments."""
    return Online(Uniform(), new_moments, act, update_moments, recommend_best_mean, propensities)
