"""Matrix games inside compiled loops: the linear program behind every dominance by mixtures.

``A`` (m, n) holds what the row player wins; a column is chosen by a mixture of the other player::

    value = min over mixtures w of max over rows j of (A w)_j

Moved and scaled to entries in [1, 2], the columns' program is: maximise sum(y), A y <= 1, y >= 0,
with w = y / sum(y). All slack is a feasible start, so one phase of the simplex method is enough;
its prices are the row player's mixture (Dantzig 1951). SciPy cannot be called from a loop; outside,
:mod:`banditlab.robust.dominance` solves the same program by HiGHS.
"""

from __future__ import annotations

import numpy as np

from banditlab.core import kernel

PIVOT = 1e-11  # of entries of about 1: what is less is rounding
WIDE = 1000  # rows from which on the other player's program is the smaller one
PATIENCE = 20  # pivots per row and column by the steepest price; then by the lowest index


@kernel
def pivot(table, row, column):
    """Make ``column`` a unit vector with its one in ``row``."""
    width = table.shape[1]
    by = table[row, column]
    for k in range(width):
        table[row, k] /= by
    for j in range(table.shape[0]):
        factor = table[j, column]
        if j != row and factor != 0.0:
            for k in range(width):
                table[j, k] -= factor * table[row, k]


@kernel
def entering(table, n, lowest):
    """The column to enter the basis, -1 when none would improve it."""
    m = table.shape[0] - 1
    found, least = -1, -PIVOT
    for k in range(n + m):
        if table[m, k] < least:
            found = k
            if lowest:
                break
            least = table[m, k]
    return found


@kernel
def leaving(table, basis, column):
    """The row to leave: the least ratio, of ties the lowest variable."""
    m, last = table.shape[0] - 1, table.shape[1] - 1
    found, least = -1, np.inf
    for j in range(m):
        if table[j, column] > PIVOT:
            ratio = table[j, last] / table[j, column]
            if found < 0 or ratio < least - 1e-15:
                found, least = j, ratio
            elif ratio <= least + 1e-15 and basis[j] < basis[found]:
                found = j
                least = min(least, ratio)
    return found


@kernel
def solve_game(A, mix, attack):
    """The value of the game; fills ``mix`` (n,) of the columns and ``attack`` (m,) of the rows.

    The value is that of ``mix`` itself, the most that any row wins against it. The table of the
    program has m (n + m) numbers: with many rows and few columns the players change places.
    """
    m, n = A.shape
    if m > WIDE and m > n:
        turned = np.empty((n, m))
        for j in range(m):
            for k in range(n):
                turned[k, j] = -A[j, k]
        simplex(turned, attack, mix)
    else:
        simplex(A, mix, attack)
    value = -np.inf
    for j in range(m):
        won = 0.0
        for k in range(n):
            won += A[j, k] * mix[k]
        value = max(value, won)
    return value


@kernel
def simplex(A, mix, attack):
    """Fills ``mix`` (n,) and ``attack`` (m,) with the players' best mixtures."""
    m, n = A.shape
    low, high = A[0, 0], A[0, 0]
    for j in range(m):
        for k in range(n):
            low = min(low, A[j, k])
            high = max(high, A[j, k])
    table = np.zeros((m + 1, n + m + 1))
    basis = np.empty(m, np.int64)
    width = high - low if high > low else 1.0
    for j in range(m):
        for k in range(n):
            table[j, k] = 1.0 + (A[j, k] - low) / width
        table[j, n + j] = 1.0
        table[j, n + m] = 1.0
        basis[j] = n + j
    for k in range(n):
        table[m, k] = -1.0
    most = PATIENCE * (m + n)
    for step in range(20 * most):
        column = entering(table, n, step > most)
        if column < 0:
            break
        row = leaving(table, basis, column)
        if row < 0:
            break  # the program is bounded: only rounding leads here
        pivot(table, row, column)
        basis[row] = column
    for k in range(n):
        mix[k] = 0.0
    for j in range(m):
        if basis[j] < n:
            mix[basis[j]] = max(table[j, n + m], 0.0)
        attack[j] = max(table[m, n + j], 0.0)
    normalise(mix)
    normalise(attack)


@kernel
def normalise(weights):
    """Scale non-negative weights to sum 1, in place."""
    total = 0.0
    for k in range(weights.size):
        total += weights[k]
    for k in range(weights.size):
        weights[k] /= total


@kernel
def mixed_gap(payoffs, row, members, size, mix, attack):
    """How much ``row`` can gain on the best mixture of the first ``size`` of ``members``.

    ``payoffs`` (n, m) has a column per attacker, ``mix`` (size,) and ``attack`` (m,) are filled.
    """
    m = payoffs.shape[1]
    A = np.empty((m, size))
    for j in range(m):
        for k in range(size):
            A[j, k] = payoffs[row, j] - payoffs[members[k], j]
    return solve_game(A, mix, attack)


@kernel
def pure_gap(payoffs, row, members, size):
    """The same against each attacker by itself: the members answer every one with their best."""
    gap = -np.inf
    for j in range(payoffs.shape[1]):
        best = -np.inf
        for k in range(size):
            best = max(best, payoffs[members[k], j])
        gap = max(gap, payoffs[row, j] - best)
    return gap


@kernel
def spread(payoffs):
    """Largest less smallest entry; 1 where all are equal. Tolerances are in its unit."""
    low, high = payoffs[0, 0], payoffs[0, 0]
    for i in range(payoffs.shape[0]):
        for j in range(payoffs.shape[1]):
            low = min(low, payoffs[i, j])
            high = max(high, payoffs[i, j])
    return high - low if high > low else 1.0


@kernel
def is_twin(payoffs, i, k, tolerance):
    """Whether two rows are equal within the tolerance."""
    same = True
    for j in range(payoffs.shape[1]):
        same = same and abs(payoffs[i, j] - payoffs[k, j]) <= tolerance
    return same


@kernel
def prune(payoffs, members, size, tolerance):
    """Drop members that a mixture of the others is as good as; returns how many are left.

    In order, one pass: what is left keeps the order. To drop a dominated row changes nothing for
    the rest, since whatever it was needed for, the mixture that dominates it does as well.
    """
    m = payoffs.shape[1]
    mix, attack = np.empty(size), np.empty(m)
    i = 0
    while i < size and size > 1:
        row = members[i]
        for k in range(i, size - 1):
            members[k] = members[k + 1]
        members[size - 1] = row
        if mixed_gap(payoffs, row, members, size - 1, mix[: size - 1], attack) <= tolerance:
            size -= 1
        else:
            for k in range(size - 1, i, -1):
                members[k] = members[k - 1]
            members[i] = row
            i += 1
    return size
