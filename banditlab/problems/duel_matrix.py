"""Duels by a matrix of preference: one of the known ones, or your own.

* ``cyclic``: 4 arms; arm 0 beats all others just so, who beat each other in a circle, and clearly.
  Komiyama, Honda, Kashima & Nakagawa 2015, "Regret lower bound and optimal algorithm in dueling
  bandit problem" (the program that goes with it).
* ``arithmetic``: 8 arms, P[i, j] = 0.5 + 0.05 (j - i). The same.
* ``six_rankers``: 6 rankers of arXiv.org, compared by interleaving; Yue & Joachims 2011, "Beat the
  mean bandit", as Komiyama et al. 2015 use it. Arms 3 and 5 are equal.
* ``mslr_cond5``: 5 rankers of MSLR-WEB10K, informational clicks; arm 0 beats all. Wu & Liu 2016,
  "Double Thompson sampling for dueling bandits" (the data that go with it).
* ``mslr_cycle5``: 5 such rankers, of which none beats all; the same, appendix D.1.3.
* ``sushi16``: the 16 most frequent kinds of sushi in the 5,000 orders of Kamishima 2003, "Nantonac
  collaborative filtering", counted to three decimals.

>>> from banditlab.protocols.duel import condorcet_winner
>>> {name: int(condorcet_winner(np.array(P))) for name, P in MATRICES.items()}
{'cyclic': 0, 'arithmetic': 0, 'six_rankers': 0, 'mslr_cond5': 0, 'mslr_cycle5': -1, 'sushi16': 0}
"""

from __future__ import annotations

from typing import Any

import numpy as np

from banditlab.parts.preferences import one_table, preferences, symmetric
from banditlab.protocols.duel import Preferences
from banditlab.registry import unknown

example = {"matrix": "six_rankers"}

SUSHI = (
    (.512, .622, .655, .698, .726, .711, .708, .749, .800, .741, .783, .847, .817, .854, .868),
    (.602, .683, .652, .776, .663, .683, .738, .709, .786, .802, .830, .850, .871, .873),
    (.528, .554, .533, .534, .591, .573, .593, .661, .705, .734, .672, .787, .822),
    (.553, .619, .566, .641, .675, .687, .665, .696, .803, .823, .796, .844),
    (.513, .524, .518, .608, .538, .643, .610, .695, .672, .681, .775),
    (.513, .559, .575, .621, .591, .701, .702, .787, .829, .811),
    (.559, .553, .613, .564, .607, .703, .735, .736, .801),
    (.556, .527, .562, .580, .668, .805, .777, .767),
    (.512, .548, .542, .612, .786, .710, .685),
    (.543, .579, .613, .718, .685, .747),
    (.564, .625, .618, .702, .684),
    (.542, .644, .700, .733),
    (.577, .607, .596),
    (.578, .637),
    (.586,),
)  # fmt: skip


def _above(rows: Any) -> np.ndarray:
    """P from its rows above the diagonal."""
    table = np.zeros((len(rows) + 1, len(rows) + 1))
    for i, row in enumerate(rows):
        table[i, i + 1 :] = row
    return symmetric(table)


# P[i, j]: the probability that i is preferred to j.
MATRICES: dict[str, np.ndarray] = {
    "cyclic": _above(((0.6, 0.6, 0.6), (0.9, 0.1), (0.9,))),
    "arithmetic": _above([[0.5 + 0.05 * (j - i) for j in range(i + 1, 8)] for i in range(7)]),
    "six_rankers": _above(
        (
            (0.55, 0.55, 0.54, 0.61, 0.61),
            (0.55, 0.55, 0.58, 0.60),
            (0.54, 0.51, 0.56),
            (0.54, 0.50),
            (0.51,),
        )
    ),
    "mslr_cond5": _above(
        (
            (0.53519466, 0.6125935, 0.75696008, 0.76547422),
            (0.57985831, 0.72745116, 0.73820053),
            (0.65895708, 0.66877089),
            (0.50999465,),
        )
    ),
    "mslr_cycle5": _above(
        (
            (0.484, 0.519, 0.529, 0.518),
            (0.481, 0.530, 0.539),
            (0.504, 0.512),
            (0.503,),
        )
    ),
    "sushi16": _above(SUSHI),
}


def matrix_of(name: str, value: Any) -> np.ndarray:
    """The known matrix of that name, or a table as an array."""
    if isinstance(value, str):
        if value not in MATRICES:
            raise ValueError(unknown("matrix", value, MATRICES))
        return MATRICES[value]
    return one_table(name, value)


def duel_matrix(
    matrix: Any = "six_rankers",
    ties: Any = None,
    flip: float = 0.0,
    symmetrise: bool = False,
    scale: float = 0.5,
    permuted: bool = True,
) -> Preferences:
    """Duels in which row i of ``matrix`` is preferred to column j with probability P[i, j].

    ``matrix``: a name of ``MATRICES``, or a square table in [0, 1] with P + P' = 1. For ``ties``,
    ``flip``, ``symmetrise``, ``scale``, ``permuted``, and what is refused, see
    :func:`banditlab.parts.preferences.preferences`.
    """
    P = matrix_of("matrix", matrix)
    return preferences(
        P, ties=ties, flip=flip, symmetrise=symmetrise, scale=scale, permuted=permuted
    )
