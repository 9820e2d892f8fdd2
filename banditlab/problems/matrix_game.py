"""Zero-sum matrix game with random payoffs: an episode is one simultaneous move (von Neumann 1928).

The max player gains 1 with probability ``payoffs[a][b]``, else 0. The default is a game of
matching pennies that pays unevenly: its max-min mixture is (2/5, 3/5), and its value 0.48. Regret
counts what the mixture that was played guarantees; see banditlab.parts.games.

>>> import banditlab
>>> game = banditlab.make_problem("matrix_game")
>>> game.columns, round(float(game.params.best[0]), 12)
(2, 0.48)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from banditlab.parts.games import game_of
from banditlab.protocols.episodic import EpisodicMDP

example = {"payoffs": [[0.9, 0.2], [0.3, 0.6]]}


def matrix_game(
    payoffs: Sequence[Sequence[float]] = ((0.84, 0.24), (0.24, 0.64)),
) -> EpisodicMDP:
    """``payoffs`` (rows, columns) in [0, 1]: probabilities that the max player gains 1.

    Raises ValueError for anything else.
    """
    try:
        game = np.array(payoffs, dtype=np.float64)
    except (TypeError, ValueError):
        game = np.zeros(0)
    if game.ndim != 2 or game.size == 0 or not ((game >= 0.0) & (game <= 1.0)).all():
        raise ValueError(f"payoffs must be rows of numbers in [0, 1], got {payoffs!r}")
    pairs = game.reshape(1, 1, -1)
    over = np.broadcast_to([0.0, 1.0], (1, 1, game.size, 2))  # the one move is the end
    return game_of(over, pairs, 0, 1, game.shape[1], noise=-1.0, pooled=True)
