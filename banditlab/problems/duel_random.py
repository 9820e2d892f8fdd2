"""Preferences without any order: every P above the diagonal is uniform on [0, 1].

The numbers are those of ``numpy.random.default_rng(seed).random((n_arms, n_arms))``. With ten arms,
an arm that beats all others is rare (about 1 in 50).

>>> from banditlab.protocols.duel import condorcet_winner
>>> sum(condorcet_winner(duel_random(10, s).params.matrices[0]) >= 0 for s in range(20))
1
"""

from __future__ import annotations

import numpy as np

from banditlab.parts.preferences import preferences, symmetric
from banditlab.protocols.duel import Preferences
from banditlab.validate import integer

example = {"n_arms": 5, "seed": 1}


def duel_random(n_arms: int = 10, seed: int = 0, flip: float = 0.0) -> Preferences:
    """At least 1 arm; the ``seed`` of their preferences; for ``flip`` see `preferences`."""
    K = integer("n_arms", n_arms, 1, 10_000)
    drawn = np.random.default_rng(integer("seed", seed, 0)).random((K, K))
    return preferences(symmetric(drawn), flip=flip)
