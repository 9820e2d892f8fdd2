"""Preferences that change: matrix i rules from round ``starts[i - 1]`` on, perhaps over and over.

The adversary of Saha, Koren & Mansour 2021, "Adversarial dueling bandits", as far as he decides
beforehand. ``period`` makes the sequence begin anew: with starts [1] and period 2 two matrices
take turns.

>>> duel_sequence(["cyclic", [[0.5] * 4] * 4], starts=[500]).shape
(4, 1, 0)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from banditlab.parts.preferences import preferences
from banditlab.problems.duel_matrix import matrix_of
from banditlab.protocols.duel import Preferences

example = {
    "matrices": [[[0.5, 0.8, 0.9], [0.2, 0.5, 0.6], [0.1, 0.4, 0.5]], [[0.5] * 3] * 3],
    "starts": [500],
}


def duel_sequence(
    matrices: Sequence[Any], starts: Sequence[int], period: int = 0, flip: float = 0.0
) -> Preferences:
    """``matrices``: at least one, of one size, each a name or a table as in `duel_matrix`.

    ``starts``: increasing rounds of at least 1, one fewer than there are matrices, counted from 0;
    ``period``: 0, or above the last start; for ``flip`` see `preferences`.
    """
    if isinstance(matrices, str) or not hasattr(matrices, "__len__") or len(matrices) == 0:
        raise ValueError(f"matrices must be a list of names or tables, got {matrices!r}")
    if isinstance(starts, str) or not hasattr(starts, "__len__"):
        raise ValueError(f"starts must be a list of rounds, got {starts!r}")
    found = [matrix_of(f"matrices[{i}]", matrix) for i, matrix in enumerate(matrices)]
    for i, matrix in enumerate(found):
        if matrix.shape != found[0].shape:
            raise ValueError(f"matrices[{i}] must have {len(found[0])} arms, got {len(matrix)}")
    return preferences(found, starts=starts, period=period, flip=flip)
