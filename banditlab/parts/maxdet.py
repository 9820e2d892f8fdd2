"""The arms that span the others best: rank, reduced features, Max-Det collection.

Of a set of s arms whose features have rank r, a *Max-Det collection* is r arms whose features span
the largest volume (Chen, Karthik, Chee & Tan 2024, definition 3.1). The features of every other arm
are a combination of theirs, a_i = sum_j alpha_ij a_j, and by Cramer's rule abs(alpha_ij) <= 1: the
noise of an estimate that is put together that way stays small.

All of it is one operation on one table, the pivot step of linear programming. The table starts as
the features, one row per arm. A pivot on (i, j) makes arm i the j-th of the basis and rewrites all
rows in terms of it; as long as something other than rounding errors is left outside the basis,
there is another pivot (`reduce`). The number of pivots is the rank, and the table now holds alpha:
coordinates of all arms in a basis of their span. A pivot on an entry above 1 swaps two arms, and
the volume grows by this factor; when there is none left, no single swap helps (`maximise`). Where
the subsets are few, all are tried.

What this computes depends on public features only, so to privacy it is post-processing.
"""

from __future__ import annotations

import numpy as np

from banditlab.core import kernel

NEGLIGIBLE = 1e-9  # relative to the largest feature: what is smaller is a rounding error
SLACK = 1e-9  # a volume counts as larger when it is by this factor
FEW = 20_000  # subsets that are all tried


@kernel
def pivot(table, s, i, j):
    """Make row ``i`` the ``j``-th of the basis, in the first ``s`` rows of ``table``."""
    inverse = 1.0 / table[i, j]
    for k in range(s):
        if k != i:
            factor = table[k, j] * inverse
            for c in range(table.shape[1]):
                table[k, c] -= factor * table[i, c]
            table[k, j] = factor
    for c in range(table.shape[1]):
        table[i, c] = 0.0
    table[i, j] = 1.0


@kernel
def reduce(x, arms, s, table, basis):
    """Write reduced features of ``arms[:s]`` to ``table`` (at least s, d); returns their rank r.

    Then ``x[arms[i]]`` is the sum over j < r of ``table[i, j] * x[arms[basis[j]]]``. Columns from
    r on hold rounding errors. Features that are all 0 have rank 0; ``basis[0]`` is then 0.
    """
    d = table.shape[1]
    for i in range(s):
        for c in range(d):
            table[i, c] = x[arms[i], c]
    basis[0] = 0
    smallest = 0.0
    for r in range(min(s, d)):
        largest, row, column = 0.0, 0, 0
        for i in range(s):
            for c in range(r, d):
                if abs(table[i, c]) > largest:
                    largest, row, column = abs(table[i, c]), i, c
        if r == 0:
            smallest = NEGLIGIBLE * largest
        if largest <= smallest:
            return r
        for i in range(s):  # the basis lies in the first columns
            table[i, r], table[i, column] = table[i, column], table[i, r]
        pivot(table, s, row, r)
        basis[r] = row
    return min(s, d)


@kernel
def maximise(table, basis, s, r):
    """Turn the basis that `reduce` found into a Max-Det collection, and ``table`` into its alpha.

    The true maximum if there are at most `FEW` subsets of r among s, the first in lexicographic
    order when several attain it; otherwise no single swap makes the volume larger. Either way
    abs(alpha) <= 1 but for rounding.
    """
    while True:
        largest, row, column = 0.0, 0, 0
        for i in range(s):
            for j in range(r):
                if abs(table[i, j]) > largest:
                    largest, row, column = abs(table[i, j]), i, j
        if largest <= 1.0 + SLACK:
            break
        pivot(table, s, row, column)
        basis[column] = row
    if r < s and _choose(s, r) <= FEW:
        best = basis[:r].copy()  # stays if all volumes are 0
        _try_all(table, s, r, best)
        _exchange(table, basis, s, r, best)


@kernel
def _choose(s, r):
    """Number of subsets of ``r`` among ``s``, or some number above `FEW` if they are more."""
    count = 1
    for i in range(min(r, s - r)):
        count = count * (s - i) // (i + 1)
        if count > FEW:
            break
    return count


@kernel
def _try_all(table, s, r, best):
    """Write to ``best`` the first subset of the largest positive volume in ``table``.

    Subsets that begin alike share the elimination of what they have in common: ``left[depth]`` is
    the table after the first ``depth`` rows of ``chosen`` were eliminated.
    """
    left = np.empty((r, s, r))
    volume = np.ones(r + 1)  # of the rows chosen so far
    chosen = np.full(r, -1)
    largest = 0.0
    for i in range(s):
        for c in range(r):
            left[0, i, c] = table[i, c]
    depth = 0
    while depth >= 0:
        chosen[depth] += 1
        i = chosen[depth]
        if i > s - r + depth:  # too few rows remain
            depth -= 1
            continue
        column = 0
        for c in range(1, r):
            if abs(left[depth, i, c]) > abs(left[depth, i, column]):
                column = c
        size = abs(left[depth, i, column])
        volume[depth + 1] = volume[depth] * size
        if depth == r - 1:
            if volume[r] > largest * (1.0 + SLACK):
                largest = volume[r]
                for c in range(r):
                    best[c] = chosen[c]
        elif size > 0.0:
            inverse = 1.0 / left[depth, i, column]
            for k in range(i + 1, s):
                factor = left[depth, k, column] * inverse
                for c in range(r):
                    left[depth + 1, k, c] = left[depth, k, c] - factor * left[depth, i, c]
                left[depth + 1, k, column] = 0.0
            chosen[depth + 1] = i
            depth += 1


@kernel
def _exchange(table, basis, s, r, wanted):
    """Pivot until the basis is ``wanted``, a set of independent rows."""
    done = np.zeros(r, np.bool_)  # columns whose row stays
    for row in wanted:
        for j in range(r):
            if basis[j] == row:
                done[j] = True
    for row in wanted:
        known = False
        column = -1
        for j in range(r):
            if basis[j] == row:
                known = True
            elif not done[j] and (column < 0 or abs(table[row, j]) > abs(table[row, column])):
                column = j
        if not known:
            pivot(table, s, row, column)
            basis[column] = row
            done[column] = True
