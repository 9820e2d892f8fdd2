"""Uniform pairs: both arms with the same probabilities in every duel.

The control that every learning algorithm must beat: its regret per duel is the mean of what the
best arm wins against all, less 1/2. It counts who wins, and recommends who beats most others.

>>> import banditlab
>>> banditlab.Agent("random_pair", n_arms=2).recommend()
array([0.5, 0.5])
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import kernel
from banditlab.parts.duels import count, new_counts, recommend_copeland
from banditlab.protocols.duel import Duel
from banditlab.random import below

label = "random pair"

is_baseline = True


class RandomPair(NamedTuple):
    """Hyper-parameters: none."""


@kernel
def act(params, state, t, rng):
    n_arms = state.wins.shape[0]
    return below(rng, n_arms), below(rng, n_arms)


@kernel
def update(params, state, t, left, right, win, rng):
    count(state.wins, left, right, win)


def random_pair() -> Duel:
    """Uniform pairs; takes no arguments."""
    return Duel(RandomPair(), new_counts, act, update, recommend_copeland)
