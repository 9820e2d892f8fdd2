"""Small dense linear algebra as written-out loops: the same bits compiled and in plain Python.

For dimensions of 5 to 200, where a call of BLAS costs more than it saves. A symmetric positive
definite matrix ``A`` is kept either as its Cholesky factor, the upper triangular ``u`` with
``A = u.T @ u`` (its lower triangle is never read), or as its inverse:

===================  ===========================================  =================
function             result                                       multiplications
===================  ===========================================  =================
``cholesky``         the factor of ``A``                          d**3 / 6
``update_cholesky``  the factor of ``A + x x.T``                  2 d**2
``solve_lower``      ``y`` with ``u.T @ y = x``                   d**2 / 2
``solve_upper``      ``y`` with ``u @ y = x``                     d**2 / 2
``invert``           the inverse from the factor                  2 d**3 / 3
``update_inverse``   the inverse of ``A + x x.T``                 3 d**2
===================  ===========================================  =================

``update_cholesky`` is a chain of rotations: its rounding errors add up, they do not grow.
``update_inverse`` subtracts, so a user who makes many updates calls ``invert`` now and then.
Matrices are C-contiguous float64. Inner loops run along rows, without sums where the algebra
allows it, because a compiler may not reorder a sum and so cannot make SIMD code of one.
"""

import math

from banditlab.core import kernel


@kernel
def dot(x, y):
    """``x @ y``."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@kernel
def matvec(a, x, out):
    """Write ``a @ x`` to ``out``."""
    for i in range(a.shape[0]):
        out[i] = dot(a[i], x)


@kernel
def quadratic_form(a, x):
    """``x @ a @ x``."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * dot(a[i], x)
    return total


@kernel
def cholesky(a, u):
    """Write the upper triangular ``u`` with ``u.T @ u = a`` to ``u``; ``u`` may be ``a`` itself.

    Reads the upper triangle of ``a`` and writes that of ``u``.
    """
    d = a.shape[0]
    for i in range(d):
        for j in range(i, d):
            u[i, j] = a[i, j]
    for i in range(d):
        root = math.sqrt(u[i, i])
        for j in range(i, d):
            u[i, j] /= root
        for k in range(i + 1, d):
            c = u[i, k]
            for j in range(k, d):
                u[k, j] -= c * u[i, j]


@kernel
def update_cholesky(u, x):
    """Turn the factor of ``A`` into that of ``A + x x.T``; ``x`` is used up.

    Givens rotations (Golub & Van Loan 2013, section 6.5.4); the diagonal stays positive.
    """
    d = x.size
    for k in range(d):
        old = u[k, k]
        root = math.sqrt(old * old + x[k] * x[k])
        c = old / root
        s = x[k] / root
        u[k, k] = root
        for j in range(k + 1, d):
            above = u[k, j]
            u[k, j] = c * above + s * x[j]
            x[j] = c * x[j] - s * above


@kernel
def solve_lower(u, x):
    """Overwrite ``x`` with the solution ``y`` of ``u.T @ y = x``; then ``y @ y = x @ A^-1 @ x``."""
    d = x.size
    for i in range(d):
        x[i] /= u[i, i]
        c = x[i]
        for j in range(i + 1, d):
            x[j] -= c * u[i, j]


@kernel
def solve_upper(u, x):
    """Overwrite ``x`` with the solution ``y`` of ``u @ y = x``.

    Of a standard normal ``x`` it makes a normal vector with covariance ``A^-1``.
    """
    d = x.size
    for i in range(d - 1, -1, -1):
        total = x[i]
        for j in range(i + 1, d):
            total -= u[i, j] * x[j]
        x[i] = total / u[i, i]


@kernel
def invert(u, out):
    """Write ``A^-1`` to ``out``, both triangles, given the factor ``u`` of ``A``."""
    d = u.shape[0]
    for k in range(d):  # row k of out: solve A y = e_k; what lies left of k is known by symmetry
        row = out[k]
        for j in range(d):
            row[j] = 0.0
        row[k] = 1.0
        for i in range(k, d):
            row[i] /= u[i, i]
            c = row[i]
            for j in range(i + 1, d):
                row[j] -= c * u[i, j]
        solve_upper(u, row)


@kernel
def update_inverse(inverse, x, scratch):
    """Turn ``A^-1`` into ``(A + x x.T)^-1`` (Sherman & Morrison 1950) and return ``x A^-1 x``.

    ``scratch`` has the size of ``x``. The result is exactly symmetric when ``inverse`` is.
    """
    d = x.size
    for j in range(d):
        scratch[j] = 0.0
    for i in range(d):  # inverse is symmetric: a combination of its rows
        c = x[i]
        for j in range(d):
            scratch[j] += c * inverse[i, j]
    form = dot(x, scratch)
    gain = 1.0 / (1.0 + form)
    for i in range(d):
        for j in range(d):
            inverse[i, j] -= gain * (scratch[i] * scratch[j])
    return form
