"""linalg against NumPy, and the drift of long chains of updates."""

import numpy as np
import pytest

from banditlab import linalg

DIMS = (1, 2, 5, 33)


def matrix(dim, seed=0):
    """A well-conditioned symmetric positive definite matrix."""
    rows = np.random.default_rng(seed).normal(size=(2 * dim + 3, dim))
    return rows.T @ rows + np.eye(dim)


def factor(a):
    u = np.full_like(a, np.nan)  # what lies below the diagonal must never be read
    linalg.cholesky(a, u)
    return u


def close(actual, wanted, rtol=1e-12):
    np.testing.assert_allclose(actual, wanted, rtol=rtol, atol=rtol * np.abs(wanted).max())


@pytest.mark.parametrize("dim", DIMS)
def test_products(dim):
    rng = np.random.default_rng(1)
    a, x, y = rng.normal(size=(dim, dim)), rng.normal(size=dim), rng.normal(size=dim)
    out = np.full(dim, np.nan)
    close(linalg.dot(x, y), x @ y)
    close(linalg.quadratic_form(a, x), x @ a @ x)
    linalg.matvec(a, x, out)
    close(out, a @ x)
    np.testing.assert_array_equal(out, [linalg.dot(row, x) for row in a])  # same bits


@pytest.mark.parametrize("dim", DIMS)
def test_cholesky_agrees_with_numpy_also_in_place(dim):
    a = matrix(dim)
    wanted = np.linalg.cholesky(a).T
    u = factor(a)
    close(np.triu(u), wanted)
    assert np.isnan(u[np.tril_indices(dim, -1)]).all()
    linalg.cholesky(a, a)
    close(np.triu(a), wanted)


@pytest.mark.parametrize("dim", DIMS)
def test_solves(dim):
    a = matrix(dim)
    u = factor(a)
    upper = np.triu(np.nan_to_num(u))
    b = np.random.default_rng(2).normal(size=(dim, 7))
    lower_solution = np.linalg.solve(upper.T, b)
    columns = b.copy()
    untouched = columns.copy()
    linalg.solve_lower_columns(u, columns, 5)
    np.testing.assert_array_equal(columns[:, 5:], untouched[:, 5:])
    linalg.solve_lower_columns(u, untouched, 7)
    np.testing.assert_array_equal(columns[:, :5], untouched[:, :5])
    columns = untouched
    for k in range(7):
        x = b[:, k].copy()
        linalg.solve_lower(u, x)
        close(x, lower_solution[:, k])
        np.testing.assert_array_equal(columns[:, k], x)  # the docstring promises the same bits
        x = b[:, k].copy()
        linalg.solve_upper(u, x)
        close(x, np.linalg.solve(upper, b[:, k]))


@pytest.mark.parametrize("dim", DIMS)
def test_invert_agrees_with_numpy_and_is_exactly_symmetric(dim):
    a = matrix(dim)
    out = np.full_like(a, np.nan)
    linalg.invert(factor(a), out)
    close(out, np.linalg.inv(a))
    np.testing.assert_array_equal(out, out.T)


@pytest.mark.parametrize("dim", DIMS)
def test_rank_one_updates(dim):
    a = matrix(dim)
    x = np.random.default_rng(3).normal(size=dim)
    u = factor(a)
    linalg.update_cholesky(u, x.copy())
    close(np.triu(u), np.linalg.cholesky(a + np.outer(x, x)).T)
    inverse = np.linalg.inv(a)
    inverse = (inverse + inverse.T) / 2
    form = x @ inverse @ x
    close(linalg.update_inverse(inverse, x, np.empty(dim)), form)
    close(inverse, np.linalg.inv(a + np.outer(x, x)))
    np.testing.assert_array_equal(inverse, inverse.T)


def test_an_extra_column_carries_a_least_squares_fit():
    rng = np.random.default_rng(4)
    rows, rewards = rng.normal(size=(200, 6)), rng.normal(size=200)
    u = np.zeros((6, 7))
    np.fill_diagonal(u, np.sqrt(0.5))
    for x, y in zip(rows, rewards, strict=True):
        linalg.update_cholesky(u, np.append(x, y))
    theta = u[:, 6].copy()
    linalg.solve_upper(u, theta)
    close(theta, np.linalg.solve(0.5 * np.eye(6) + rows.T @ rows, rows.T @ rewards))


def test_extra_columns_stay_whitened_and_tell_what_their_products_lose():
    """Columns w of u.T w = y follow a rotation; what is left in their place is what w . w loses."""
    rng = np.random.default_rng(6)
    a, x, ys = matrix(6), rng.normal(size=6), rng.normal(size=(6, 3))
    u = np.zeros((6, 10))
    u[:, :6] = np.triu(np.nan_to_num(factor(a)))
    before = np.linalg.solve(u[:, :6].T, ys)
    u[:, 6:9] = before
    u[:, 9] = 7.0
    row = np.append(x, np.zeros(3))
    linalg.update_cholesky(u, row)
    after = np.linalg.solve(np.linalg.cholesky(a + np.outer(x, x)), ys)
    close(u[:, 6:9], after)
    close(np.outer(row[6:], row[6:]), before.T @ before - after.T @ after)
    assert (u[:, 9] == 7.0).all()  # x does not reach this column


def chain(steps, refresh, ridge):
    """Inverse and factor after ``steps`` updates that starve the last direction, and the truth."""
    dim = 8
    rng = np.random.default_rng(5)
    scales = np.append(np.ones(dim - 1), 1e-3)
    a, inverse, u = np.eye(dim) * ridge, np.eye(dim) / ridge, np.eye(dim) * np.sqrt(ridge)
    scratch = np.empty(dim)
    for n in range(1, steps + 1):
        x = rng.normal(size=dim) * scales
        a += np.outer(x, x)
        linalg.update_inverse(inverse, x, scratch)
        linalg.update_cholesky(u, x.copy())
        if refresh and n % refresh == 0:
            linalg.invert(factor(a), inverse)
    return inverse, u, np.linalg.inv(a)


def error(found, truth):
    """Largest error of an entry, relative to the two diagonal entries that bound it."""
    scale = np.sqrt(np.diag(truth))
    return (np.abs(found - truth) / np.outer(scale, scale)).max()


def inverse_of(u):
    out = np.empty((u.shape[0], u.shape[0]))
    linalg.invert(u, out)
    return out


def test_drift_after_1e5_updates_is_below_1e_8():
    # 100,400 and not 100,000: the last refresh is 400 updates ago.
    inverse, u, truth = chain(100_400, refresh=1000, ridge=1.0)
    assert error(inverse, truth) < 1e-8
    assert error(inverse_of(u), truth) < 1e-8


def test_a_tiny_ridge_is_why_inverses_need_a_refresh_and_factors_do_not():
    refreshed, u, truth = chain(5_400, refresh=1000, ridge=1e-9)
    drifted, _, _ = chain(5_400, refresh=0, ridge=1e-9)
    assert error(refreshed, truth) < 1e-13
    assert error(inverse_of(u), truth) < 1e-12
    assert error(drifted, truth) > 1e-11
