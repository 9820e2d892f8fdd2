"""The grid of `grid_sa`: five by five cells, a goal, three pits, a slippery floor."""

from __future__ import annotations

import numpy as np

from banditlab.robust.sa_mdp import SAMDP, sa_mdp

SIDE = 5
GOAL = (4, 4)
PITS = ((1, 3), (2, 1), (3, 3))
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # up, right, down, left
LETTERS = "URDL"


def grid(gamma: float = 0.95, step: float = -0.01, slip: float = 0.1) -> SAMDP:
    """The intended move comes with probability 1 - ``slip``, each other with a third of it.

    States are row by row; who bumps into the wall stays. The goal earns 1 and the pits -1, and both
    end the episode; each step earns ``step``. A cell may be shown as any cell next to it, also
    aslant, that is no end. Start in the corner opposite to the goal.
    """
    S = SIDE * SIDE
    prob, reward = np.zeros((S, 4, S)), np.zeros((S, 4))
    shown = np.zeros((S, S), np.bool_)
    ends = {GOAL: 1.0, **dict.fromkeys(PITS, -1.0)}
    cells = [(i, j) for i in range(SIDE) for j in range(SIDE)]
    for s, (i, j) in enumerate(cells):
        if (i, j) in ends:
            prob[s, :, s] = 1.0
            shown[s, s] = True
            continue
        for o, (k, m) in enumerate(cells):
            shown[s, o] = max(abs(i - k), abs(j - m)) <= 1 and (k, m) not in ends
        for a in range(4):
            for b, (up, right) in enumerate(MOVES):
                k, m = i + up, j + right
                k, m = (k, m) if 0 <= k < SIDE and 0 <= m < SIDE else (i, j)
                chance = 1.0 - slip if a == b else slip / 3.0
                prob[s, a, k * SIDE + m] += chance
                reward[s, a] += chance * (step + ends.get((k, m), 0.0))
    return sa_mdp(prob, reward, 0, gamma, shown)
