"""A set of policies drawn at random, without a look at what they earn: the control of discovery.

>>> import banditlab
>>> sorted(banditlab.Agent("random_set").fit([[1.0, 0.0], [0.0, 1.0]]).state.members.tolist())
[0, 1]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.protocols.discovery import Discovery
from banditlab.random import shuffle

label = "random set"

is_baseline = True


class RandomSet(NamedTuple):
    """Hyper-parameters: none."""


class Order(NamedTuple):
    """The order in which the rows come."""

    rows: np.ndarray  # (n,) int64


@kernel
def init(params, payoffs, rng):
    rows = np.arange(payoffs.shape[0])
    shuffle(rng, rows)
    return Order(rows)


@kernel
def choose(params, state, payoffs, members, size, rng):
    return state.rows[size]


@kernel
def computed(state):
    return 0.0


def random_set() -> Discovery:
    """Rows in random order, all of them; takes no arguments."""
    return Discovery(RandomSet(), init, choose, computed)
