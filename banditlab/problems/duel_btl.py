"""Preferences by strength: i is preferred to j with probability w_i / (w_i + w_j).

Bradley & Terry 1952, "Rank analysis of incomplete block designs: I"; Luce 1959. There is one order
of all arms, and a reward model can learn it: the case in which self-play has no advantage.

>>> duel_btl([3.0, 1.0]).params.matrices[0].tolist()
[[0.5, 0.75], [0.25, 0.5]]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from banditlab.parts.preferences import preferences
from banditlab.protocols.duel import Preferences
from banditlab.validate import vector

example = {"weights": [4.0, 2.0, 1.0]}


def duel_btl(weights: Sequence[float], flip: float = 0.0) -> Preferences:
    """``weights``: the strength of each arm, positive; for ``flip`` see `preferences`."""
    w = vector("weights", weights, np.finfo(float).tiny, 1e300)
    return preferences(w[:, None] / (w[:, None] + w), flip=flip)
