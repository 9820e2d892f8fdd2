"""DeepSea: a reward that only one path of N steps in a row leads to (Osband et al. 2019, bsuite).

A diver sinks N rows through N columns, from column 0. In every cell a fixed random bit says which
action goes right: that costs 0.01 / N and moves one column on. The other goes left, for free. Going
right in the last column pays 1, and the last column is reached in the last row by going right in
all rows. Even play finds that once in 2^N episodes; the best return is 0.99.

With ``deterministic=False`` the step to the right fails once in N times, and N(0, 1) noise is added
in the last row, in the first and in the last column.

States are the columns, and the row is the step: dynamics differ from step to step. (bsuite shows
the cell instead, N^2 states; where the number of states enters a bonus or a prior, that matters.)
An episode is bad if it earns less than 0.5.

>>> round(float(deep_sea(N=7, mapping=3).params.best[0]), 9)
0.99
"""

from __future__ import annotations

import numpy as np

from banditlab.machine import check_entries
from banditlab.parts.finite_models import tabular
from banditlab.protocols.episodic import EpisodicMDP
from banditlab.validate import flag, integer

example = {"N": 4}

COST = 0.01  # of going right in all rows


def deep_sea(
    N: int = 10,
    mapping: int = 0,
    deterministic: bool = True,
    known_rewards: bool = False,
    until_solved: bool = False,
) -> EpisodicMDP:
    """DeepSea of ``N`` rows and columns, at least 2.

    ``mapping`` is the seed of the bits that tell right from left. ``known_rewards``: whether agents
    are told the mean rewards; ``until_solved``: whether a run is over once it is solved. Raises
    ValueError, in one line, for whatever is out of range.
    """
    N, mapping = integer("N", N, 2), integer("mapping", mapping, 0)
    sure = flag("deterministic", deterministic)
    check_entries(f"there is no memory for N={N}", 2 * N * N)
    bits = np.random.default_rng(mapping).integers(2, size=(N, N))
    column = np.arange(N)
    right, left = np.minimum(column + 1, N - 1), np.maximum(column - 1, 0)
    shape = (N, N, 2, 1 if sure else 2)
    succ, prob, reward = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape)
    prob[..., 0] = 1.0
    for row in range(N):
        ahead, back = bits[row], 1 - bits[row]
        succ[row, column, ahead, 0], succ[row, column, back, 0] = right, left
        reward[row, column, ahead] = -COST / N
        reward[row, N - 1, ahead[-1]] += 1.0
        if not sure:  # it may stay where it is
            succ[row, column, ahead, 1] = column
            prob[row, column, ahead] = (1.0 - 1.0 / N, 1.0 / N)
    noise = np.zeros(shape[:3])
    if not sure:
        noise[N - 1, [0, N - 1]] = 1.0
    told = flag("known_rewards", known_rewards)
    problem = tabular(succ, prob, reward, 0, N, noise=noise, known=told, good=0.5)
    return problem._replace(until_solved=flag("until_solved", until_solved))
