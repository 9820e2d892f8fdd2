"""The Lasso against scikit-learn, its conditions and closed forms; fits by few features."""

from itertools import combinations, product

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from banditlab.parts import lasso, sparse_fit


def rows(n, dim, seed=0, s=5, noise=1.0):
    """Gaussian features, ``s`` of which matter."""
    rng = np.random.default_rng(seed)
    s = min(s, dim)
    x = rng.normal(size=(n, dim))
    theta = np.zeros(dim)
    theta[rng.permutation(dim)[:s]] = rng.uniform(1, 2, s) * rng.choice([-1, 1], s)
    return x, x @ theta + noise * rng.normal(size=n), theta


def test_an_orthonormal_design_gives_the_soft_threshold():
    c = np.array([3.0, -2.0, 0.5, -0.5, 0.0])
    theta, grad = np.zeros(5), np.empty(5)
    assert lasso.minimise(np.eye(5), c, 0.5, theta, grad, 1e-12, 10) <= 1e-12
    assert theta.tolist() == [2.5, -1.5, 0.0, 0.0, 0.0]
    assert [lasso.soft(v, 1.0) for v in (-3.0, -1.0, 0.3, 1.5)] == [-2.0, 0.0, 0.0, 0.5]


@pytest.mark.parametrize(("n", "dim"), [(40, 8), (30, 120), (120, 60)])
def test_a_path_is_that_of_scikit_learn_and_keeps_the_conditions(n, dim):
    x, y, _ = rows(n, dim)
    c = x.T @ y / n
    lams = np.abs(c).max() * np.array([1.0, 0.5, 0.1, 0.02, 0.3])
    found = sparse_fit.lasso_path(x, y, lams)
    assert not found[0].any()  # lam = max |c|
    for lam, theta in zip(lams, found, strict=True):
        slope = x.T @ (y - x @ theta) / n  # not by way of any sums
        assert np.abs(slope).max() <= lam + 1e-8
        on = theta != 0
        np.testing.assert_allclose(slope[on], lam * np.sign(theta[on]), atol=1e-8)
        other = Lasso(alpha=lam, fit_intercept=False, tol=1e-13, max_iter=10**6).fit(x, y)
        np.testing.assert_allclose(theta, other.coef_, atol=1e-6)
    assert (found[3] != 0).sum() > 5  # the supports are not trivial


@pytest.mark.parametrize("size", [1e12, 1e150, 1e300])
def test_large_sums_end_as_well_as_rounding_allows(size):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(30, 6))
    y = rng.normal(size=30)
    gram, moment = x.T @ x, x.T @ y
    theta, large, grad = np.zeros(6), np.zeros(6), np.empty(6)
    lasso.minimise(gram, moment, 2.0, theta, grad, 1e-12, 2000)
    # A bound of 3 sweeps in place of 2000: who goes on for what cannot be had would use them up.
    left = lasso.minimise(gram, size * moment, size * 2.0, large, grad, 1e-6, 3)
    assert left <= 1e-12 * size * np.abs(moment).max()
    np.testing.assert_allclose(large / size, theta, atol=1e-9)


def test_a_feature_that_is_there_twice_and_one_that_is_zero():
    x, y, _ = rows(50, 6)
    doubled = np.column_stack([x, x[:, :3], np.zeros(50)])
    (plain,), (theta,) = (sparse_fit.lasso_path(z, y, [0.2]) for z in (x, doubled))
    np.testing.assert_allclose(doubled @ theta, x @ plain, atol=1e-8)
    assert np.abs(theta).sum() == pytest.approx(np.abs(plain).sum(), abs=1e-8)
    assert theta[-1] == 0.0


def test_sums_grow_by_rows_and_least_squares_leaves_dependent_features_out():
    x, y, _ = rows(30, 7)
    x[:, 4] = x[:, 1] - 2 * x[:, 2]
    gram, moment = np.zeros((7, 7)), np.zeros(7)
    for row, reward in zip(x, y, strict=True):
        lasso.add_row(gram, moment, row, reward)
    np.testing.assert_allclose(gram, x.T @ x, rtol=1e-12)
    np.testing.assert_allclose(moment, x.T @ y, rtol=1e-12)
    theta = np.full(7, 9.0)
    lasso.least_squares(gram, moment, np.array([1, 2, 4, 6]), theta)
    expected = np.linalg.lstsq(x[:, [1, 2, 6]], y, rcond=None)[0]
    np.testing.assert_allclose(theta[[1, 2, 6]], expected, rtol=1e-9)
    assert not theta[[0, 3, 4, 5]].any()


BAD_ROWS = [
    ([[1.0, np.nan]], [1.0], [0.1], "x and y must be finite"),
    ([[1.0, 2.0]], [np.inf], [0.1], "x and y must be finite"),
    ([[1.0, 2.0]], [1.0, 2.0], [0.1], "x must have shape"),
    (np.empty((0, 2)), [], [0.1], "x must have shape"),
    ([["a"]], [1.0], [0.1], "x and y must be arrays of numbers"),
    ([[1.0]], [1.0], [0.0], "lam must be positive, got"),
    ([[1.0]], [1.0], [np.nan], "lam must be finite, got"),
]


@pytest.mark.parametrize(("x", "y", "lams", "line"), BAD_ROWS)
def test_bad_rows_are_refused(x, y, lams, line):
    with pytest.raises(ValueError, match=line):
        sparse_fit.lasso_path(x, y, lams)


# --- supports -----------------------------------------------------------------------------------


def test_recovery():
    truth = [2.0, 0.0, -1.0, 0.0]
    exact = sparse_fit.recovery([1.0, 0.0, -0.1, 0.0], truth)
    assert exact == (True, 1.0, 1.0, True)
    assert sparse_fit.recovery([1.0, 0.0, -0.1, 0.0], truth, above=0.1) == (False, 0.5, 1.0, False)
    assert sparse_fit.recovery([1.0, 0.2, 0.1, 0.3], truth) == (False, 1.0, 0.5, False)
    assert sparse_fit.recovery([0.0, 0.0], [0.0, 0.0]) == (True, 1.0, 1.0, True)
    with pytest.raises(ValueError, match="vectors of one length"):
        sparse_fit.recovery([1.0], truth)


def test_the_best_support_by_exchange_is_that_of_all_supports(monkeypatch):
    hits = 0
    for seed in range(20):
        x, y, _ = rows(40, 9, seed, s=3, noise=2.0)
        weights = np.random.default_rng(seed).uniform(0.5, 2, 40)
        root = np.sqrt(weights)
        sums = sparse_fit.Sums.of(x, y, weights)

        def error(places, x=x, y=y, root=root):
            a, b = x[:, places] * root[:, None], y * root
            return float(((b - a @ np.linalg.lstsq(a, b, rcond=None)[0]) ** 2).sum())

        best = [list(min(combinations(range(9), s), key=error)) for s in (1, 2, 3)]
        assert sparse_fit.supports(sums, 3)[1:] == best
        assert sums.error(best[2]) == pytest.approx(error(best[2]))
        with monkeypatch.context() as patch:
            patch.setattr(sparse_fit, "ALL", 0)
            hits += sparse_fit.supports(sums, 3)[1:] == best
        gains = sums.gains([2, 5])
        for j in (0, 8):
            assert gains[j] == pytest.approx(error([2, 5]) - error([2, 5, j]))
    assert hits >= 19


def test_an_exchange_repairs_what_one_by_one_got_wrong(monkeypatch):
    """A feature that is nearly the sum of two beats each of them, but not both."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 6))
    x[:, 0] = x[:, 1] + x[:, 2] + 0.3 * rng.normal(size=200)
    y = x[:, 1] + x[:, 2] + 0.01 * rng.normal(size=200)
    monkeypatch.setattr(sparse_fit, "ALL", 0)
    assert sparse_fit.supports(sparse_fit.Sums.of(x, y, np.ones(200)), 2) == [[], [0], [1, 2]]


def test_the_criterion_finds_the_size_and_halves_find_the_features():
    x, y, theta = rows(120, 20, seed=4, s=3)
    sums = sparse_fit.Sums.of(x, y, np.ones(120))
    sizes = sparse_fit.supports(sums, 8, sparse_fit.lasso_path(x, y, [1.0, 0.5, 0.1]))
    found = min(sizes, key=lambda places: sparse_fit.criterion(sums, places, 120))
    assert found == np.flatnonzero(theta).tolist()
    often = sparse_fit.frequencies(x, y, np.ones(120), 3, 40)
    assert (often[found] == 1.0).all() and often.sum() == pytest.approx(3.0)
    pure = np.random.default_rng(5).normal(size=120)  # no feature matters
    often = sparse_fit.frequencies(x, pure, np.ones(120), 3, 40)
    assert often.sum() == pytest.approx(3.0) and often.max() < 0.9


# --- how wrong the best fit is ------------------------------------------------------------------


def test_the_minimax_fit_of_one_feature_by_hand():
    x, y = np.array([[1.0], [2.0], [-1.0]]), np.array([1.0, 1.0, -0.5])
    grid = np.linspace(-2, 2, 400_001)
    for room in (np.zeros(3), np.array([0.1, 0.0, 0.2]), -np.array([0.1, 0.3, 0.2])):
        errors = (np.abs(y[:, None] - x * grid) - room[:, None]).max(axis=0)
        value, theta = sparse_fit.minimax(x, y, room)
        assert value == pytest.approx(max(errors.min(), 0.0), abs=1e-5)
        assert theta[0] == pytest.approx(grid[errors.argmin()], abs=1e-4)
    assert sparse_fit.minimax(x, y, np.full(3, 9.0))[0] == 0.0
    assert sparse_fit.minimax(np.empty((3, 0)), y, np.zeros(3))[0] == 1.0  # no feature at all


def test_the_minimax_fit_does_not_depend_on_how_many_rows_it_begins_with(monkeypatch):
    x, y, _ = rows(300, 4, seed=6)
    room = np.random.default_rng(6).uniform(0, 0.3, 300)
    whole = sparse_fit.minimax(x, y, room)[0]
    monkeypatch.setattr(sparse_fit, "FIRST", 7)
    assert sparse_fit.minimax(x, y, room)[0] == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("kind", ["none", "sign", "one"])
def test_intervals_of_eps_cover_it(kind):
    """95% of 120 logs, with sigma from repetitions; three binomial standard errors allowed."""
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(120):
        x = rng.normal(size=(25, 2))
        nu = {"none": 0.0 * x[:, 0], "sign": rng.choice([-0.3, 0.3], 25), "one": np.eye(25)[0]}
        mean = x @ [0.5, -0.4] + nu[kind]
        pulls = rng.integers(1, 8, 25)
        freedom = int((pulls - 1).sum())
        y = mean + rng.normal(size=25) * 0.2 / np.sqrt(pulls)
        sigma = 0.2 * np.sqrt(rng.chisquare(freedom) / freedom)
        eps = sparse_fit.minimax(x, mean, np.zeros(25))[0]
        found = sparse_fit.misspecification(x, y, pulls, sigma, freedom)
        assert found.lo <= found.value <= found.hi
        covered += found.lo <= eps + 1e-9 and eps <= found.hi
    assert covered >= 114 - 3 * np.sqrt(120 * 0.95 * 0.05)


def test_with_much_data_the_estimate_is_eps_and_without_noise_it_is_exact():
    x, _, _ = rows(60, 3, seed=8)
    rng = np.random.default_rng(8)
    mean = x @ [1.0, -1.0, 0.5] + rng.choice([-0.2, 0.2], 60)
    eps = sparse_fit.minimax(x, mean, np.zeros(60))[0]
    assert eps == pytest.approx(0.2, abs=0.02)
    exact = sparse_fit.misspecification(x, mean, np.ones(60), 0.0)
    assert exact == pytest.approx((eps, eps, eps))
    y = mean + rng.normal(size=60) * 0.5 / np.sqrt(2000)
    found = sparse_fit.misspecification(x, y, np.full(60, 2000), 0.5)
    assert found.lo > 0.15 and found.hi < 0.26 and abs(found.value - eps) < 0.02
    small = sparse_fit.misspecification(x, mean, np.ones(60), 1e-6)  # an enormous chi-square
    assert small == pytest.approx((eps, eps, eps), abs=1e-4)


def test_the_scatter_bounds_eps_from_below_where_no_single_row_can():
    """Fifty errors of one size that each hides in the noise: together they do not."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=(400, 2))
    y = x @ [0.5, -0.4] + rng.choice([-0.5, 0.5], 400) + 0.5 * rng.normal(size=400)
    found = sparse_fit.misspecification(x, y, np.ones(400), 0.5)
    assert 0.3 < found.lo <= 0.5
    assert found.value == pytest.approx(0.5, abs=0.1)


def test_amplification_is_the_worst_of_all_errors():
    x, _, _ = rows(8, 3, seed=10)
    weights = np.array([1.0, 2, 1, 1, 3, 1, 1, 1])
    hat = x @ np.linalg.inv((x.T * weights) @ x) @ (x.T * weights)
    worst = max(np.abs(hat @ nu).max() for nu in product([-1.0, 1.0], repeat=8))
    assert sparse_fit.amplification(x, weights) == pytest.approx(worst)
    assert sparse_fit.amplification(x, weights, most=3) <= worst + 1e-12
    assert sparse_fit.amplification(x[:2], np.ones(2)) == np.inf  # fewer rows than features
    assert sparse_fit.amplification(np.column_stack([x, x[:, 0]]), weights) == np.inf
    assert sparse_fit.amplification(np.empty((8, 0)), weights) == 0.0


def test_least_eigenvalue():
    signs = np.array(list(product([-1.0, 1.0], repeat=3)))
    assert sparse_fit.least_eigenvalue(7 * signs, 2) == pytest.approx(1.0)
    doubled = np.column_stack([signs, signs[:, 0]])
    assert sparse_fit.least_eigenvalue(doubled, 4) == pytest.approx(0.0, abs=1e-12)
