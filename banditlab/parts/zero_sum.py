"""Zero-sum matrix games, solved inside kernels: the mixture of rows with the best guarantee.

``game`` (rows, columns) is what the row player gains and the column player loses. `solve` fills
the max-min mixture of the rows and returns the value:

* one row: that row;
* two rows: exactly, from where the lines of the columns cross. Of an interval of optimal mixtures
  the middle is taken;
* more rows: predictive regret matching+ with alternating updates and averages weighted by t^2
  (Farina, Kroer & Sandholm 2021), from even odds, until the guarantees of both players are within
  ``gap`` of each other. Plain regret matching+ (Tammelin 2014) needs a thousand times as many
  rounds for a gap of 1e-6.

Where several mixtures are optimal the one that is found follows from the game alone.
"""

from __future__ import annotations

import numpy as np

from banditlab.core import kernel

GAP = 1e-6
ROUNDS = 200_000  # at most; random 5 x 5 games take 10,000 at worst
FLAT = 1e-12  # what the middle of an interval may cost, relative to the largest entry
POINT = 1e-6  # an interval as short is a point, and its length an error of rounding


@kernel
def guarantee(game, mu):
    """What the mixture ``mu`` of rows gains at least.

    ``mu`` may be any non-negative vector: it counts by its share of the sum.
    """
    total = 0.0
    for i in range(mu.size):
        total += mu[i]
    least = np.inf
    for j in range(game.shape[1]):
        gain = 0.0
        for i in range(mu.size):
            gain += mu[i] * game[i, j]
        gain /= total
        least = min(least, gain)
    return least


@kernel
def ceiling(game, nu):
    """What the row player gains at most against the mixture ``nu`` of columns."""
    total = 0.0
    for j in range(nu.size):
        total += nu[j]
    most = -np.inf
    for i in range(game.shape[0]):
        gain = 0.0
        for j in range(nu.size):
            gain += game[i, j] * nu[j]
        most = max(most, gain / total)
    return most


@kernel
def lowest(game, p):
    """The lowest column when row 0 is played with probability ``p``, and row 1 otherwise."""
    least = np.inf
    for j in range(game.shape[1]):
        least = min(least, p * game[0, j] + (1.0 - p) * game[1, j])
    return least


@kernel
def solve_two_rows(game, mu):
    """`solve` for two rows, with the value beside it, which ``mu`` misses by FLAT at most."""
    n = game.shape[1]
    p = 1.0
    best = lowest(game, p)
    if lowest(game, 0.0) > best:
        p = 0.0
        best = lowest(game, p)
    largest = 0.0
    for j in range(n):
        largest = max(largest, max(abs(game[0, j]), abs(game[1, j])))
        for k in range(j):
            here = game[1, j] - game[1, k]
            slope = here - (game[0, j] - game[0, k])
            # The lines of two columns cross at p = here / slope.
            if slope != 0.0 and 0.0 < here / slope < 1.0:
                value = lowest(game, here / slope)
                p = here / slope if value > best else p
                best = max(best, value)
    # Where every column yields the value: an interval, cut by the columns that fall below it.
    enough = best - FLAT * largest
    first = 0.0
    last = 1.0
    for j in range(n):
        slope = game[0, j] - game[1, j]
        if slope > 0.0:
            first = max(first, (enough - game[1, j]) / slope)
        elif slope < 0.0:
            last = min(last, (enough - game[1, j]) / slope)
    if last - first > POINT:
        p = 0.5 * (first + last)
    mu[0] = p
    mu[1] = 1.0 - p
    return lowest(game, p), best


@kernel
def match(gains, regrets, mix):
    """Predictive regret matching+: learn from ``gains`` and expect the same again."""
    own = 0.0
    for i in range(mix.size):
        own += mix[i] * gains[i]
    total = 0.0
    for i in range(mix.size):
        regrets[i] = max(0.0, regrets[i] + gains[i] - own)
        total += max(0.0, regrets[i] + gains[i] - own)
    for i in range(mix.size if total > 0.0 else 0):
        mix[i] = max(0.0, regrets[i] + gains[i] - own) / total


@kernel
def solve_by_matching(game, mu, gap):
    """`solve` for any number of rows; what the column player can hold it to stands beside it."""
    rows, columns = game.shape
    x, y = np.full(rows, 1.0 / rows), np.full(columns, 1.0 / columns)
    sum_x, sum_y = np.zeros(rows), np.zeros(columns)
    regret_x, regret_y = np.zeros(rows), np.zeros(columns)
    gain_x, gain_y = np.zeros(rows), np.zeros(columns)
    best = -np.inf
    least = np.inf
    look = 1
    for t in range(1, ROUNDS + 1):
        for i in range(rows if t > 1 else 0):
            gain_x[i] = 0.0
            for j in range(columns):
                gain_x[i] += game[i, j] * y[j]
        if t > 1:
            match(gain_x, regret_x, x)
        for j in range(columns):
            gain_y[j] = 0.0
            for i in range(rows):
                gain_y[j] -= game[i, j] * x[i]
        match(gain_y, regret_y, y)
        weight = t * t * 1.0
        for i in range(rows):
            sum_x[i] += weight * x[i]
        for j in range(columns):
            sum_y[j] += weight * y[j]
        if t < look:
            continue
        look = t + 1 + t // 16  # to look costs as much as a round
        # The averages converge by theory, the last mixtures sooner where there is a pure solution.
        for last in range(2):
            mixed = x if last == 1 else sum_x
            low = guarantee(game, mixed)
            if low > best:
                best = low
                total = 0.0
                for i in range(rows):
                    total += mixed[i]
                for i in range(rows):
                    mu[i] = mixed[i] / total
            least = min(least, ceiling(game, y if last == 1 else sum_y))
        if least - best <= gap:
            break
    return best, least


@kernel
def solve(game, mu, gap):
    """Fill ``mu`` (rows,) with a max-min mixture of the rows.

    Returns what it gains at least, and a bound of what any mixture does that is larger by ``gap``
    at most.
    """
    if game.shape[0] == 1:
        mu[0] = 1.0
        low = guarantee(game, mu)
        return low, low
    if game.shape[0] == 2:
        return solve_two_rows(game, mu)
    return solve_by_matching(game, mu, gap)
