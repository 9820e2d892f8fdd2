"""Optimal designs for linear models: how often to look at which arm.

A design is a weight for every arm, in sum 1. Where the arms' features x_i span r dimensions, the
G-optimal one makes the largest variance of a least-squares prediction smallest, that is

    max_i g_i,   g_i = x_i V(w)^-1 x_i,   V(w) = sum_i w_i x_i x_i.T

whose smallest value is r (Kiefer & Wolfowitz 1960, "The equivalence of two extremum problems"); it
is the D-optimal design, of the largest det V, as well. Two ways lead there:

- `g_optimal`: multiplicative updates w_i <- w_i g_i / r (Silvey, Titterington & Torsney 1978) keep
  the sum 1 and never lower det V. To six digits, at O(n r^2) an update: for few arms.
- `frank_wolfe`: steps towards the arm of the largest g (Frank & Wolfe 1956; Todd 2016, "Minimum-
  Volume Ellipsoids", chapter 3), until max g <= 2 r. A step changes V by rank one, so all g follow
  at O(n r): for thousands of arms and hundreds of dimensions; few arms get any weight.

Features are first written in coordinates of the span of the arms, so that V is invertible: along
their principal axes (`reduced`), or, sooner, along those of a few arms (`orthonormal`).
"""

from __future__ import annotations

import math

import numpy as np

from banditlab import linalg
from banditlab.core import Task, kernel

SPANNED = 1e-9  # a singular value below this, relative to the largest, is a rounding error
SHORTEST = 1e-150  # a row below this counts as 0: its square is none
MOST_SWEEPS = 30  # quadratic convergence needs about ten
OPTIMAL = 1e-6  # how far above r, relatively, the largest g may stay
MOST_UPDATES = 2000
LIGHT = 1e-4  # weights below this are dropped, unless there are very many arms


@kernel
def reduced(x, arms):
    """Coordinates (len(arms), r) of the rows ``arms`` of ``x`` along their principal axes.

    That is U S of a singular value decomposition, by rotating pairs of columns until all are
    orthogonal (Hestenes 1958); r counts the singular values above `SPANNED` times the largest.
    Rows that are all 0 get the coordinate 1: they have one mean in common.
    """
    n = arms.size
    dim = x.shape[1]
    columns = np.empty((dim, n))
    for j in range(dim):
        for i in range(n):
            columns[j, i] = x[arms[i], j]
    for _ in range(MOST_SWEEPS):
        rotated = False
        for p in range(dim):
            for q in range(p + 1, dim):
                rotated = rotate(columns[p], columns[q]) or rotated
        if not rotated:
            break
    norms = np.empty(dim)
    longest = 0.0
    for j in range(dim):
        norms[j] = math.sqrt(linalg.dot(columns[j], columns[j]))
        longest = max(longest, norms[j])
    rank = 0
    for j in range(dim):
        rank += 1 if norms[j] > SPANNED * longest else 0
    if rank == 0:
        return np.ones((n, 1))
    out = np.empty((n, rank))
    r = 0
    for j in range(dim):
        if norms[j] > SPANNED * longest:
            for i in range(n):
                out[i, r] = columns[j, i]
            r += 1
    return out


@kernel
def rotate(a, b):
    """Rotate two vectors into orthogonal ones; returns whether they were not."""
    product = linalg.dot(a, b)
    aa = linalg.dot(a, a)
    bb = linalg.dot(b, b)
    if abs(product) <= 1e-15 * math.sqrt(aa * bb):
        return False
    cotangent = (bb - aa) / (2.0 * product)  # of twice the angle
    tangent = 1.0 / (abs(cotangent) + math.sqrt(1.0 + cotangent * cotangent))
    tangent = tangent if cotangent >= 0.0 else -tangent
    c = 1.0 / math.sqrt(1.0 + tangent * tangent)
    s = c * tangent
    for i in range(a.size):
        u = a[i]
        v = b[i]
        a[i] = c * u - s * v
        b[i] = s * u + c * v
    return True


@kernel
def information(x, weights, out):
    """Write V, the sum of weights[i] x[i] x[i].T, to ``out``."""
    dim = x.shape[1]
    for i in range(dim):
        for j in range(dim):
            out[i, j] = 0.0
    for k in range(x.shape[0]):
        if weights[k] > 0.0:
            for i in range(dim):
                c = weights[k] * x[k, i]
                for j in range(i, dim):
                    out[i, j] += c * x[k, j]
    for i in range(dim):
        for j in range(i):
            out[i, j] = out[j, i]


@kernel
def sample_means(pulls, sums, means):
    """Means of so many pulls, 0 where there are none."""
    for i in range(pulls.size):
        means[i] = sums[i] / pulls[i] if pulls[i] > 0 else 0.0


@kernel
def least_squares(coordinates, pulls, means, inverse):
    """theta for the means of so many pulls; ``inverse`` becomes that of V = sum n_i x_i x_i.T."""
    rank = coordinates.shape[1]
    factor = np.empty((rank, rank))
    information(coordinates, pulls, factor)
    linalg.cholesky(factor, factor)
    linalg.invert(factor, inverse)
    moment = np.zeros(rank)
    for i in range(pulls.size):
        if pulls[i] > 0:
            weighted = pulls[i] * means[i]
            for j in range(rank):
                moment[j] += weighted * coordinates[i, j]
    theta = np.empty(rank)
    linalg.matvec(inverse, moment, theta)
    return theta


@kernel
def g_optimal(x, weights):
    """Fill ``weights`` with the G-optimal design for the rows of ``x``, which have full rank.

    Returns the largest g, before weights below `LIGHT` are set to 0 and the rest is scaled to sum
    1 again. What is dropped is too light to lower the rank: a direction that only dropped arms
    show needs a weight of 1 / max g together.
    """
    n, rank = x.shape
    factor = np.empty((rank, rank))
    inverse = np.empty((rank, rank))
    form = np.empty(n)
    for i in range(n):
        weights[i] = 1.0 / n
    largest = 0.0
    for update in range(MOST_UPDATES + 1):
        information(x, weights, factor)
        linalg.cholesky(factor, factor)
        linalg.invert(factor, inverse)
        largest = 0.0
        for i in range(n):
            form[i] = linalg.quadratic_form(inverse, x[i])
            largest = max(largest, form[i])
        if largest <= rank * (1.0 + OPTIMAL) or update == MOST_UPDATES:
            break
        for i in range(n):
            weights[i] *= form[i] / rank
    light = min(LIGHT, 0.5 / (n * largest))
    total = 0.0
    for i in range(n):
        weights[i] = weights[i] if weights[i] >= light else 0.0
        total += weights[i]
    for i in range(n):
        weights[i] /= total
    return largest


@kernel
def orthonormal(x, arms, basis):
    """Coordinates (len(arms), r) of the rows ``arms`` of ``x`` in their span; fills ``basis``.

    Gram and Schmidt with pivoting: again and again the row farthest from the span of those before
    becomes the next of the ``basis`` (at least min(n, dim) long), which is then r positions in
    ``arms``; r counts rows farther than `SPANNED` times the longest. Inner products are kept. Rows
    that are all 0 get the coordinate 1: they have one mean in common.
    """
    n = arms.size
    dim = x.shape[1]
    left = np.empty((n, dim))
    square = np.empty(n)
    for i in range(n):
        for j in range(dim):
            left[i, j] = x[arms[i], j]
        square[i] = linalg.dot(left[i], left[i])
    most = min(n, dim)
    axes = np.empty((most, dim))
    out = np.zeros((n, most))
    along = np.empty(n)
    smallest = 0.0
    rank = 0
    while rank < most:
        row = 0
        for i in range(n):
            row = i if square[i] > square[row] else row
        length = math.sqrt(square[row])
        smallest = max(SPANNED * length, SHORTEST) if rank == 0 else smallest
        if length <= smallest:
            break
        axis = axes[rank]
        for j in range(dim):
            axis[j] = left[row, j] / length
        for earlier in range(rank):  # once more, for what rounding left of the others
            c = linalg.dot(axis, axes[earlier])
            for j in range(dim):
                axis[j] -= c * axes[earlier, j]
        linalg.matvec(left, axis, along)
        for i in range(n):
            c = along[i]
            out[i, rank] = c
            for j in range(dim):
                left[i, j] -= c * axis[j]
            square[i] = linalg.dot(left[i], left[i])
        basis[rank] = row
        rank += 1
    if rank == 0:
        basis[0] = 0
        return np.ones((n, 1))
    return np.ascontiguousarray(out[:, :rank])


@kernel
def frank_wolfe(x, basis, weights):
    """Fill ``weights`` with a design of max g <= 2 r for the rows of ``x``; returns its max g.

    ``x`` (n, r) has full rank, and so have its rows ``basis[:r]``, an even design of which is the
    start. Towards arm j the determinant is largest at the step (g_j / r - 1) / (g_j - 1).
    """
    n, rank = x.shape
    inverse = np.empty((rank, rank))
    factor = np.empty((rank, rank))
    form = np.empty(n)
    towards = np.empty(rank)
    along = np.empty(n)
    for i in range(n):
        weights[i] = 0.0
    for r in range(rank):
        weights[basis[r]] = 1.0 / rank
    information(x, weights, factor)
    linalg.cholesky(factor, factor)
    linalg.invert(factor, inverse)
    for i in range(n):
        form[i] = linalg.quadratic_form(inverse, x[i])
    while True:
        best = 0
        for i in range(n):
            best = i if form[i] > form[best] else best
        largest = form[best]
        if not largest > 2.0 * rank * (1.0 + 1e-12):  # so round: what is no number ends it, too
            return largest
        step = (largest / rank - 1.0) / (largest - 1.0)
        ratio = step / (1.0 - step)
        gain = ratio / (1.0 + ratio * largest)
        linalg.matvec(inverse, x[best], towards)
        linalg.matvec(x, towards, along)
        for i in range(n):
            weights[i] *= 1.0 - step
            form[i] = (form[i] - gain * (along[i] * along[i])) / (1.0 - step)
        weights[best] += step
        for i in range(rank):
            for j in range(rank):
                inverse[i, j] -= gain * (towards[i] * towards[j])
                inverse[i, j] /= 1.0 - step


def spanned(task: Task, x: np.ndarray | None) -> int:
    """The dimension of the features, which ``x`` (n_arms, dim) must span; n_arms without features.

    ``x`` may be None while it is not known. Raises ValueError for features that do not span.
    """
    dim = task.dim or task.n_arms
    if dim > task.n_arms:
        raise ValueError(f"dim must be at most n_arms, {task.n_arms}, got {dim}")
    if task.dim > 0 and x is not None:
        if x.shape != (task.n_arms, dim) or not np.isfinite(x).all():
            raise ValueError(
                f"features must be {task.n_arms} x {dim} finite numbers, a row per arm"
            )
        values = np.linalg.svd(x, compute_uv=False)
        rank = np.count_nonzero(values > SPANNED * values[0])
        if rank < dim:
            raise ValueError(
                f"features must span all {dim} dimensions, but have rank {rank}: project them first"
            )
    return dim
