"""Several groups of people, each of one mind: what the majority prefers need not have an order.

Group g ranks the arms, from best to worst, and is asked with probability w_g, so that ``P[i, j]``
is the weight of the groups that put i above j (Condorcet 1785). With the rankings 012, 120, 201 and
weights .4, .35, .25 the majority goes round in a circle: P01 = .65, P12 = .75, P20 = .6.

>>> P = duel_subpopulations([[0, 1, 2], [1, 2, 0], [2, 0, 1]], [0.4, 0.35, 0.25])
>>> P.params.matrices[0].round(3)[0].tolist()
[0.5, 0.65, 0.4]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from banditlab.parts.preferences import preferences, weights_of
from banditlab.protocols.duel import Preferences

example = {"rankings": [[0, 1, 2], [1, 2, 0], [2, 0, 1]], "weights": [0.4, 0.35, 0.25]}


def duel_subpopulations(
    rankings: Sequence[Sequence[int]],
    weights: Sequence[float] | None = None,
    flip: float = 0.0,
) -> Preferences:
    """``rankings``: of each group, all arms 0 .. K - 1 from best to worst; ``weights`` sum to 1.

    ``weights`` None: groups of one size. For ``flip`` see `preferences`. Raises ValueError for a
    ranking that leaves out an arm, or names one twice.
    """
    if isinstance(rankings, str) or not hasattr(rankings, "__len__") or len(rankings) == 0:
        raise ValueError(f"rankings must be a list of lists of arms, got {rankings!r}")
    groups = [list(ranking) for ranking in rankings]
    K = len(groups[0])
    w = weights_of("weights", weights, len(groups))
    P = np.full((K, K), 0.5)
    for g, ranking in enumerate(groups):
        if K == 0 or sorted(ranking) != list(range(K)):
            raise ValueError(
                f"rankings[{g}] must hold every arm from 0 to {K - 1} once, got {ranking!r}"
            )
        place = np.argsort(ranking)
        P += 0.5 * w[g] * np.sign(np.subtract.outer(-place, -place))
    return preferences(P.clip(0.0, 1.0), flip=flip)
