"""Small dense linear algebra as written-out loops: the same bits compiled and in plain Python.

For dimensions up to about 200, where a call of BLAS costs more than it saves. A symmetric positive
definite matrix ``A`` is kept either as its Cholesky factor, the upper triangular ``u`` with
``A = u.T @ u`` (what lies below the diagonal is never read), or as its inverse:

=======================  ========================================  =================
function                 result                                    multiplications
=======================  ========================================  =================
``cholesky``             the factor of ``A``                       d**3 / 6
``update_cholesky``      the factor of ``A + x x.T``               2 d**2
``solve_lower``          ``y`` with ``u.T @ y = x``                d**2 / 2
``solve_lower_columns``  the same for every column of a matrix     d**2 / 2 a column
``solve_upper``          ``y`` with ``u @ y = x``                  d**2 / 2
``invert``               the inverse from the factor               2 d**3 / 3
``update_inverse``       the inverse of ``A + x x.T``              3 d**2
=======================  ========================================  =================

``update_cholesky`` is a chain of rotations: its rounding errors add up but do not grow.
``update_inverse`` subtracts: from a start of 1e9 times the identity it loses six digits for good,
so who uses it keeps ``A`` too and calls ``cholesky`` and ``invert`` every thousand updates or so.
Matrices are C-contiguous float64. Inner loops run along rows and, where the algebra allows it,
without sums: a compiler may not reorder a sum, hence cannot make SIMD code of one. Where it does
not, four sums run side by side. What agents call every round is kernel_inline and takes no slices:
see banditlab.parts.ridge.
"""

import math

from banditlab.core import kernel, kernel_inline


@kernel
def dot(x, y):
    """``x @ y``."""
    total = 0.0
    for i in range(x.size):
        total += x[i] * y[i]
    return total


@kernel_inline
def matvec(a, x, out):
    """Write ``a @ x`` to ``out``, with the bits of ``dot``."""
    n = a.shape[0]
    whole = n - n % 4
    for i in range(0, whole, 4):  # four sums side by side: one alone waits for every addition
        s0 = 0.0
        s1 = 0.0
        s2 = 0.0
        s3 = 0.0
        for j in range(a.shape[1]):
            c = x[j]
            s0 += a[i, j] * c
            s1 += a[i + 1, j] * c
            s2 += a[i + 2, j] * c
            s3 += a[i + 3, j] * c
        out[i] = s0
        out[i + 1] = s1
        out[i + 2] = s2
        out[i + 3] = s3
    for i in range(whole, n):
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
    """Write the upper triangular factor of ``a`` to ``u``, which may be ``a`` itself.

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
            row = u[i, k:]
            rest = u[k, k:]
            for j in range(row.size):
                rest[j] -= c * row[j]


@kernel_inline
def update_cholesky(u, x):
    """Turn the factor of ``A`` into that of ``A + x x.T``; ``x`` is used up.

    Givens rotations (Golub & Van Loan 2013, section 6.5.4); the diagonal stays positive.
    ``u`` and ``x`` may have more columns, ``z`` and ``y``: it turns ``z`` with ``u.T @ z = b`` into
    that of ``b + y x``, so that ``u`` and ``z`` carry a least-squares fit (QR-RLS). What is left in
    the place of ``y`` is what inner products of such columns lose: ``z @ z + y * y`` stays the
    same. Columns of ``u`` that ``x`` does not reach are left alone.
    """
    for k in range(u.shape[0]):
        old = u[k, k]
        new = x[k]
        root = math.sqrt(old * old + new * new)
        c = old / root
        s = new / root
        for j in range(x.size - k):
            above = u[k, k + j]
            below = x[k + j]
            u[k, k + j] = c * above + s * below
            x[k + j] = c * below - s * above


@kernel_inline
def solve_lower(u, x):
    """Overwrite ``x`` with the solution ``y`` of ``u.T @ y = x``; then ``y @ y = x @ A^-1 @ x``."""
    for i in range(x.size):
        c = x[i] / u[i, i]
        x[i] = c
        for j in range(x.size - i - 1):
            x[i + 1 + j] -= c * u[i, i + 1 + j]


@kernel_inline
def solve_lower_columns(u, xs, n):
    """`solve_lower` for the first ``n`` columns of ``xs``, in lock-step and with the same bits."""
    for j in range(xs.shape[0]):
        for i in range(j):
            c = u[i, j]
            for k in range(n):
                xs[j, k] -= xs[i, k] * c
        pivot = u[j, j]
        for k in range(n):
            xs[j, k] /= pivot


@kernel_inline
def solve_upper(u, x):
    """Overwrite ``x`` with the solution ``y`` of ``u @ y = x``.

    Of a standard normal ``x`` it makes a normal vector with covariance ``A^-1``.
    """
    n = x.size
    for top in range((n - 1) // 4 * 4, -1, -4):  # four rows at a time, as in matvec
        end = min(top + 4, n)
        if end < n:
            s0 = x[top]
            s1 = x[top + 1]
            s2 = x[top + 2]
            s3 = x[top + 3]
            for j in range(end, n):
                c = x[j]
                s0 -= u[top, j] * c
                s1 -= u[top + 1, j] * c
                s2 -= u[top + 2, j] * c
                s3 -= u[top + 3, j] * c
            x[top] = s0
            x[top + 1] = s1
            x[top + 2] = s2
            x[top + 3] = s3
        for i in range(end - 1, top - 1, -1):
            total = x[i]
            for j in range(i + 1, end):
                total -= u[i, j] * x[j]
            x[i] = total / u[i, i]


@kernel
def invert(u, out):
    """Write ``A^-1``, both triangles, to ``out``, given the factor ``u`` of ``A``."""
    d = u.shape[0]
    for k in range(d):
        row = out[k]
        for i in range(d):
            row[i] = 0.0
        row[k] = 1.0
        for i in range(k, d):  # solve_lower of a unit vector, from its 1 on
            row[i] /= u[i, i]
            c = row[i]
            for j in range(i + 1, d):
                row[j] -= c * u[i, j]
        solve_upper(u, row)
    for i in range(d):
        for j in range(i):
            out[j, i] = out[i, j]  # exactly symmetric


@kernel
def update_inverse(inverse, x, scratch):
    """Turn ``A^-1`` into ``(A + x x.T)^-1`` (Sherman & Morrison 1950); returns ``x @ A^-1 @ x``.

    ``scratch`` has the size of ``x``. An exactly symmetric ``inverse`` stays so.
    """
    d = x.size
    for j in range(d):
        scratch[j] = 0.0
    for i in range(d):  # inverse @ x as a combination of rows, for the matrix is symmetric
        c = x[i]
        for j in range(d):
            scratch[j] += c * inverse[i, j]
    form = dot(x, scratch)
    gain = 1.0 / (1.0 + form)
    for i in range(d):
        for j in range(d):
            inverse[i, j] -= gain * (scratch[i] * scratch[j])
    return form
