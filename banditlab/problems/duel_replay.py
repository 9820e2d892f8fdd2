"""A user's own duels as a problem: every answer is one that was given to that pair, drawn anew.

``wins[i, j]`` counts the duels in which i was preferred to j, ``ties`` those that nobody won, so
``P[i, j] = (wins[i, j] + ties[i, j] / 2) / duels``, for as many duels as one likes. A pair that
never met is a fair coin.

>>> problem = duel_replay([[0, 3], [1, 0]], ties=[[0, 2], [2, 0]])
>>> problem.params.matrices[0].round(4).tolist()
[[0.5, 0.6667], [0.3333, 0.5]]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from banditlab.parts.preferences import one_table, preferences
from banditlab.protocols.duel import Preferences

example = {"wins": [[0, 12, 9], [4, 0, 11], [6, 5, 0]], "ties": [[0, 2, 0], [2, 0, 1], [0, 1, 0]]}


def duel_replay(wins: Any, ties: Any = None, flip: float = 0.0) -> Preferences:
    """``wins`` (n_arms, n_arms): duels won by row over column, at least 0; the diagonal is unread.

    ``ties``: duels that ended in a tie, of the same shape, symmetric; None: there are none. For
    ``flip`` see :func:`banditlab.parts.preferences.preferences`.
    """
    won = counted("wins", wins)
    drawn = np.zeros_like(won) if ties is None else counted("ties", ties)
    if drawn.shape != won.shape:
        raise ValueError(f"ties must have the shape of wins, {won.shape}, got {drawn.shape}")
    for i, j in np.argwhere(drawn != drawn.T)[:1]:
        raise ValueError(f"ties[{i}][{j}] must be ties[{j}][{i}], got {drawn[i, j]:g}")
    duels = won + won.T + drawn
    met = np.maximum(duels, 1.0)
    P = np.where(duels > 0.0, (won + 0.5 * drawn) / met, 0.5)
    return preferences(P, ties=drawn / met, flip=flip)


def counted(name: str, value: Any) -> np.ndarray:
    """``value`` as counts (n_arms, n_arms), 0 on the diagonal."""
    counts = one_table(name, value)
    np.fill_diagonal(counts, 0.0)
    for i, j in np.argwhere(~(np.isfinite(counts) & (counts >= 0.0)))[:1]:
        raise ValueError(f"{name}[{i}][{j}] must be at least 0, got {float(counts[i, j])!r}")
    return counts
