"""A winner above a circle: arm 0 beats all others just so, who beat each other in turn, clearly.

With m other arms, each beats the ``(m - 1) // 2`` that follow it in the circle; where m is even, it
ties with the one opposite. With four arms, ``lead`` 0.1 and ``cycle`` 0.4 that is ``cyclic`` of
Komiyama et al. 2015: a weak arm does better against all others than the winner does, and whoever
goes by such scores never finds the winner.

>>> duel_cyclic(4, 0.1, 0.4).params.matrices[0].round(3).tolist()[1]
[0.4, 0.5, 0.9, 0.1]
"""

from __future__ import annotations

import numpy as np

from banditlab.parts.preferences import preferences
from banditlab.protocols.duel import Preferences
from banditlab.validate import between, integer

example = {"n_arms": 6, "lead": 0.05, "cycle": 0.4}


def duel_cyclic(
    n_arms: int = 4, lead: float = 0.1, cycle: float = 0.4, flip: float = 0.0
) -> Preferences:
    """``n_arms`` >= 4; the margins ``lead`` of arm 0 and ``cycle`` of the others, in [0, 1/2].

    For ``flip`` see :func:`banditlab.parts.preferences.preferences`.
    """
    m = integer("n_arms", n_arms, 4, 10_000) - 1
    ahead = np.subtract.outer(-np.arange(m), -np.arange(m)) % m  # from row to column, in the circle
    sign = np.where(ahead == 0, 0, np.sign(m - 2 * ahead))
    P = np.full((m + 1, m + 1), 0.5)
    P[0, 1:] += between("lead", lead, 0.0, 0.5)
    P[1:, 0] -= between("lead", lead, 0.0, 0.5)
    P[1:, 1:] += between("cycle", cycle, 0.0, 0.5) * sign
    return preferences(P, flip=flip)
