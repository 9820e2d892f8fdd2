"""The Lasso by coordinate descent on the covariances, warm-started and stopped by optimality.

With n rows x, rewards y and a level lam > 0 it minimises, as scikit-learn's ``Lasso`` without an
intercept does (papers that write 1/n in place of 1/(2 n) mean twice this lam)::

    (1 / (2 n)) |y - X theta|^2 + lam |theta|_1

Kept are the sums ``gram`` = X^T X, ``moment`` = X^T y and ``grad`` = moment - gram theta. A
coordinate is minimised in closed form, ``soft(grad_j + gram_jj theta_j, n lam) / gram_jj``, and
only one that changes costs d multiplications (Friedman, Hastie & Tibshirani 2010, section 2.2).

Plain descent needs thousands of sweeps where there are more features than rows and lam is small,
as in the first rounds of a bandit. So, between two sweeps, the coordinates that are not 0 are
settled among themselves: where their signs stay as they are the minimum solves a linear system, and
the step to it is cut where the first of them would change its sign, which then is 0. No step raises
the objective. Descent ends where Karush, Kuhn and Tucker's conditions hold up to ``tolerance``::

    |grad_j| / n <= lam,   and grad_j / n = lam sign(theta_j) where theta_j is not 0
"""

from __future__ import annotations

import math

import numpy as np

from banditlab import linalg
from banditlab.core import kernel

TOLERANCE = 1e-10  # of the conditions, in units of x y
SWEEPS = 2000
ROUNDS = 60  # sweeps of the coordinates that are not 0, before their system is solved
ROUNDING = 1e-13  # of the largest sum: conditions cannot hold any better
DEPENDENT = 1e-10  # a pivot below this part of its diagonal: the columns are dependent


@kernel
def soft(value, level):
    """``value`` moved towards 0 by ``level``, and no further."""
    return value - level if value > level else value + level if value < -level else 0.0


@kernel
def add_row(gram, moment, row, reward):
    """Add one row to the sums."""
    d = row.size
    for i in range(d):
        c = row[i]
        if c != 0.0:
            moment[i] += c * reward
            sums = gram[i]
            for j in range(d):
                sums[j] += c * row[j]


@kernel
def gradient(gram, moment, theta, out):
    """Write ``moment - gram @ theta`` to ``out``."""
    for i in range(out.size):
        out[i] = moment[i]
    for j in range(out.size):
        c = theta[j]
        if c != 0.0:
            row = gram[j]
            for i in range(out.size):
                out[i] -= c * row[i]


@kernel
def violation(grad, theta, level):
    """By how much the conditions are missed, in units of ``grad``; ``level`` is n lam."""
    worst = 0.0
    for j in range(theta.size):
        off = abs(grad[j]) - level
        if theta[j] > 0.0:
            off = abs(grad[j] - level)
        elif theta[j] < 0.0:
            off = abs(grad[j] + level)
        worst = max(worst, off)
    return worst


@kernel
def sweep(gram, level, theta, grad):
    """Minimise over every coordinate once, in order; ``grad`` follows."""
    for j in range(theta.size):
        old, pivot = theta[j], gram[j, j]
        if pivot > 0.0 and (old != 0.0 or abs(grad[j]) > level):
            new = soft(grad[j] + pivot * old, level) / pivot
            step = new - old
            if step != 0.0:
                theta[j] = new
                row = gram[j]
                for i in range(grad.size):
                    grad[i] -= step * row[i]


@kernel
def factored(gram, places, n, u):
    """The Cholesky factor of the block of ``gram`` at the first ``n`` places, to ``u``.

    False where the columns are dependent: there ``u`` is of no use.
    """
    for a in range(n):
        row = gram[places[a]]
        for b in range(a, n):
            u[a, b] = row[places[b]]
    for k in range(n):
        pivot = u[k, k]
        if not pivot > DEPENDENT * gram[places[k], places[k]]:
            return False
        root = math.sqrt(pivot)
        head = u[k]
        for j in range(k, n):
            head[j] /= root
        for i in range(k + 1, n):
            c = head[i]
            if c != 0.0:
                row = u[i]
                for j in range(i, n):
                    row[j] -= c * head[j]
    return True


@kernel
def solve(u, n, x):
    """Overwrite the first ``n`` entries of ``x`` with those of ``A^-1 x``, of the factor ``u``."""
    for i in range(n):
        c = x[i] / u[i, i]
        x[i] = c
        row = u[i]
        for j in range(i + 1, n):
            x[j] -= c * row[j]
    for i in range(n - 1, -1, -1):
        total = x[i]
        row = u[i]
        for j in range(i + 1, n):
            total -= row[j] * x[j]
        x[i] = total / row[i]


@kernel
def settle(gram, level, theta, grad, tolerance):
    """Minimise over the coordinates that are not 0; ``grad`` is left behind.

    ``grad`` of these coordinates is kept up in a vector of their own.
    """
    places = np.nonzero(theta)[0]
    n = places.size
    block = np.empty((n, n))
    here, slope = np.empty(n), np.empty(n)
    for a in range(n):
        here[a], slope[a] = theta[places[a]], grad[places[a]]
        row = gram[places[a]]
        for b in range(n):
            block[a, b] = row[places[b]]
    u, step = np.empty((n, n)), np.empty(n)
    kept, rows = np.empty(n, np.int64), np.arange(n)
    for _ in range(n + 10):  # every step but the last few makes one of them 0
        worst = np.inf
        for _ in range(ROUNDS):
            if worst > tolerance:
                sweep(block, level, here, slope)
                worst = violation(slope, here, level)
        if worst <= tolerance:
            break
        m = 0
        for a in range(n):
            if here[a] != 0.0:
                kept[m] = rows[a]
                m += 1
        if m == 0 or not factored(block, kept, m, u):
            break
        for a in range(m):
            k = kept[a]
            step[a] = slope[k] - (level if here[k] > 0.0 else -level)
        solve(u, m, step)
        share, first = 1.0, -1
        for a in range(m):
            k = kept[a]
            if here[k] * (here[k] + step[a]) < 0.0 and -here[k] / step[a] < share:
                share, first = -here[k] / step[a], k
        for a in range(m):
            k = kept[a]
            c = share * step[a]
            here[k] = 0.0 if k == first else here[k] + c
            row = block[k]
            for b in range(n):
                slope[b] -= c * row[b]
    for a in range(n):
        theta[places[a]] = here[a]


@kernel
def minimise(gram, moment, level, theta, grad, tolerance, sweeps):
    """Minimise from ``theta`` on, in place, with ``level`` = n lam; returns the violation left.

    All of it in units of sums: ``tolerance`` is n times that of the conditions above, or what
    rounding leaves of the sums, if that is more. ``grad``
    (d,) is scratch, and ends as ``moment - gram @ theta``.
    """
    gradient(gram, moment, theta, grad)
    worst = violation(grad, theta, level)
    for j in range(moment.size):  # what rounding leaves of large sums no sweep can lower
        tolerance = max(tolerance, ROUNDING * abs(moment[j]))
    for _ in range(sweeps):
        if not worst > tolerance:
            break
        sweep(gram, level, theta, grad)
        settle(gram, level, theta, grad, tolerance)
        gradient(gram, moment, theta, grad)  # anew: no rounding errors add up
        worst = violation(grad, theta, level)
    return worst


@kernel
def least_squares(gram, moment, places, theta):
    """Least squares on the features at ``places``, into ``theta``; all others become 0.

    A feature that depends linearly on those before it gets 0.
    """
    for j in range(theta.size):
        theta[j] = 0.0
    n = places.size
    u, free = np.empty((n, n)), np.empty(n, np.int64)
    m = 0
    for a in range(n):  # the factor of the independent ones grows row by row
        j = places[a]
        pivot = gram[j, j]
        for b in range(m):
            c = gram[free[b], j]
            for k in range(b):
                c -= u[k, b] * u[k, m]
            u[b, m] = c / u[b, b]
            pivot -= u[b, m] * u[b, m]
        if pivot > DEPENDENT * gram[j, j]:
            u[m, m] = math.sqrt(pivot)
            free[m] = j
            m += 1
    found = np.empty(m)
    for a in range(m):
        found[a] = moment[free[a]]
    solve(u, m, found)
    for a in range(m):
        theta[free[a]] = found[a]


@kernel
def greedy(x, theta, out):
    """All of the probability to the lowest arm of the largest ``x . theta``."""
    arm, best = 0, -np.inf
    for k in range(out.size):
        value = linalg.dot(x[k if x.shape[0] > 1 else 0], theta)
        if value > best:
            arm, best = k, value
        out[k] = 0.0
    out[arm] = 1.0
