"""Random two-player zero-sum Markov game, in the manner of Garnet (Archibald et al. 1995).

In each of ``n_states`` states the players move at once, ``rows`` and ``columns`` actions each. A
pair of actions leads to ``branches`` states, drawn without replacement, with probabilities that are
the gaps of sorted uniforms, and pays the max player 1 with a probability that is uniform on [0, 1],
else 0. Episodes last ``steps`` and begin in state 0. Regret counts what the mixture that was played
guarantees against a best response; see banditlab.parts.games.
"""

from __future__ import annotations

import numpy as np

from banditlab.machine import check_entries
from banditlab.parts.games import game_of
from banditlab.protocols.episodic import EpisodicMDP
from banditlab.validate import integer

example = {"n_states": 2, "rows": 2, "columns": 2, "steps": 2}


def markov_game(
    n_states: int = 4,
    rows: int = 2,
    columns: int = 2,
    steps: int = 4,
    branches: int = 2,
    seed: int = 0,
) -> EpisodicMDP:
    """The game number ``seed`` of the given size, all of it at least 1.

    ``branches`` is at most ``n_states``. Raises ValueError for numbers out of range.
    """
    S, A, B = integer("n_states", n_states, 1), integer("rows", rows, 1), columns
    B, K = integer("columns", columns, 1), integer("branches", branches, 1, n_states)
    check_entries(f"there is no memory for {S} states, {A} rows, {B} columns", S * S * A * B)
    rng = np.random.default_rng(integer("seed", seed, 0))
    P = np.zeros((1, S, A * B, S))
    for s in range(S):
        for pair in range(A * B):
            after = rng.choice(S, K, replace=False)
            cuts = np.concatenate([[0.0], np.sort(rng.random(K - 1)), [1.0]])
            P[0, s, pair, after] = np.diff(cuts)
    return game_of(P, rng.random((1, S, A * B)), 0, steps, B, noise=-1.0, pooled=True)
