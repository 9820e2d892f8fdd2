"""Fits of rows by few features, in Python: Lasso paths, the best support, and how wrong it is.

The kernels of :mod:`banditlab.parts.lasso` do the descent. What is here is for whoever has rows
before them: a log of their own, a test, a benchmark. One file, though long: paths, supports and
errors of a fit work on the same sums and bases, and whoever has rows asks for all three.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from banditlab.parts import lasso
from banditlab.validate import integer, positive

ALL = 5000  # so many supports or fewer are tried one by one
GAIN = 1e-9  # relative: what an exchange must bring at least
DEPENDENT = 1e-10  # of a feature, what is left beside others, relatively: nothing
FIRST = 500  # rows that the minimax fit begins with
LARGEST_SQUARE = 1e6  # in units of noise: beyond, the series of noncentral laws do not converge


def _rows(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    try:
        x, y = np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("x and y must be arrays of numbers") from None
    if x.ndim != 2 or not x.size or y.shape != x.shape[:1]:
        raise ValueError(
            f"x must have shape (rows, dim) and y (rows,), neither empty, got {x.shape}, {y.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("x and y must be finite")
    return np.ascontiguousarray(x), y


# --- the Lasso ----------------------------------------------------------------------------------


def lasso_path(x: Any, y: Any, lams: Any, tolerance: float = lasso.TOLERANCE) -> np.ndarray:
    """The Lasso (n_lams, dim) of the rows at each level, each from the one before it on.

    Parameters
    ----------
    x, y
        Rows (rows, dim) and their rewards (rows,), taken as they are: there is no intercept.
    lams
        Levels, above 0, in the scaling 1 / (2 rows); largest first is quickest.
    tolerance
        How well the conditions of the minimum must hold, in units of ``x y``.

    Raises ValueError for what is no number, for levels that are not above 0, and where the
    tolerance is not reached.

    >>> lasso_path([[1.0, 0.0], [0.0, 1.0]], [2.0, -0.5], [0.5, 0.125])
    array([[ 1.  ,  0.  ],
           [ 1.75, -0.25]])
    """
    x, y = _rows(x, y)
    levels = [positive("lam", lam) for lam in np.atleast_1d(lams).tolist()]
    tolerance = positive("tolerance", tolerance)
    n, dim = x.shape
    gram, moment = x.T @ x, x.T @ y
    theta, grad = np.zeros(dim), np.empty(dim)
    found = np.empty((len(levels), dim))
    for i, lam in enumerate(levels):
        left = lasso.minimise(gram, moment, n * lam, theta, grad, n * tolerance, lasso.SWEEPS)
        if left > n * tolerance:
            raise ValueError(
                f"lam {lam:g}: the conditions hold up to {left / n:.1g} only, not {tolerance:g}"
            )
        found[i] = theta
    return found


# --- supports -----------------------------------------------------------------------------------


class Recovery(NamedTuple):
    """How well a support was found."""

    exact: bool  # whether it is the true one
    recall: float  # share of the true features that were found; 1 where there are none
    precision: float  # share of those found that are true; 1 where none were found
    signs: bool  # whether all signs are right, zeros included


def recovery(estimate: Any, truth: Any, above: float = 0.0) -> Recovery:
    """How well the support of ``truth`` was found by entries of ``estimate`` larger than ``above``.

    >>> recovery([0.9, 0.0, -0.1], [1.0, 0.5, 0.0])
    Recovery(exact=False, recall=0.5, precision=0.5, signs=False)
    """
    estimate, truth = np.asarray(estimate, float), np.asarray(truth, float)
    if estimate.shape != truth.shape or estimate.ndim != 1:
        raise ValueError(
            f"estimate and truth must be vectors of one length, got {estimate.shape}, {truth.shape}"
        )
    chosen = np.abs(estimate) > above
    wanted = truth != 0.0
    both = int((chosen & wanted).sum())
    return Recovery(
        bool((chosen == wanted).all()),
        both / int(wanted.sum()) if wanted.any() else 1.0,
        both / int(chosen.sum()) if chosen.any() else 1.0,
        bool((np.sign(estimate) * chosen == np.sign(truth)).all()),
    )


class Sums(NamedTuple):
    """Weighted sums over rows, all that least squares needs."""

    gram: np.ndarray  # (dim, dim)
    moment: np.ndarray  # (dim,)
    square: float  # of the rewards

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> Sums:
        """Sums over the rows of ``x`` and ``y``."""
        return cls((x.T * weights) @ x, (x.T * weights) @ y, float(weights @ (y * y)))

    def fit(self, places: Any) -> np.ndarray:
        """Least squares on these features, (dim,) with zeros elsewhere."""
        theta = np.zeros(self.moment.size)
        chosen = np.asarray(places, np.int64)
        lasso.least_squares(self.gram, self.moment, chosen, theta)
        return theta

    def error(self, places: Any) -> float:
        """The sum of squares that they leave."""
        return max(self.square - float(self.moment @ self.fit(places)), 0.0)

    def gains(self, places: list[int]) -> np.ndarray:
        """By how much each further feature would lower that sum (dim,); 0 for those there."""
        chosen = np.array(places, np.int64)
        alone = np.diag(self.gram)
        scale = np.sqrt(np.where(alone > 0.0, alone, 1.0))[chosen]  # units must not matter
        inner = self.gram[np.ix_(chosen, chosen)] / np.outer(scale, scale)
        cross = self.gram[chosen] / scale[:, None]
        weights = np.linalg.pinv(inner, rcond=1e-12, hermitian=True) @ cross
        rest = self.moment - weights.T @ (self.moment[chosen] / scale)
        left = alone - np.einsum("ij,ij->j", weights, cross)
        free = left > DEPENDENT * alone
        free[chosen] = False
        return np.where(free, rest**2 / np.where(free, left, 1.0), 0.0)

    def next(self, places: list[int]) -> int:
        """The further feature that would lower that sum most, the first where none would."""
        gains = self.gains(places)
        gains[places] = -1.0
        return int(gains.argmax())


def supports(sums: Sums, most: int, lam_path: np.ndarray | None = None) -> list[list[int]]:
    """For each size 0, 1, ..., ``most`` the best support known of that size.

    Sizes of which there are few supports are searched exhaustively. Otherwise the candidates are
    the support of one size less with the feature that helps it most, and, of ``lam_path`` (levels,
    dim), the first Lasso with so many features; from the better one on, features are exchanged one
    by one as long as that helps.
    """
    dim = sums.moment.size
    found: list[list[int]] = [[]]
    for s in range(1, most + 1):
        if math.comb(dim, s) <= ALL:
            best = min(combinations(range(dim), s), key=lambda places: sums.error(places))
            found.append(list(best))
            continue
        starts = [[*found[-1], sums.next(found[-1])]]
        for theta in [] if lam_path is None else lam_path:
            if np.count_nonzero(theta) >= s:
                scale = np.sqrt(np.diag(sums.gram))
                starts.append(np.argsort(-np.abs(theta) * scale, kind="stable")[:s].tolist())
                break
        found.append(_exchanged(sums, min(starts, key=sums.error)))
    return [sorted(places) for places in found]


def _exchanged(sums: Sums, places: list[int]) -> list[int]:
    """Exchange one feature for another as long as the fit gets better."""
    better = True
    while better:
        better = False
        for i in list(places):
            others = [j for j in places if j != i]
            gains = sums.gains(others)
            best = int(gains.argmax())
            if gains[best] > gains[i] + GAIN * sums.square:
                places, better = [*others, best], True
    return places


def is_exhaustive(dim: int, s: int) -> bool:
    """Whether all supports of size ``s`` are tried."""
    return math.comb(dim, s) <= ALL


def criterion(sums: Sums, places: list[int], rows: int) -> float:
    """The extended Bayesian information criterion (Chen & Chen 2008, gamma = 1); less is better.

    ``rows ln(error / rows) + s ln rows + 2 ln C(dim, s)``.
    """
    dim, s = sums.moment.size, len(places)
    error = max(sums.error(places), 1e-20 * sums.square, 1e-300)
    count = math.lgamma(dim + 1) - math.lgamma(s + 1) - math.lgamma(dim - s + 1)
    return rows * math.log(error / rows) + s * math.log(rows) + 2.0 * count


def frequencies(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, s: int, draws: int, seed: int = 0
) -> np.ndarray:
    """How often each feature is in the best support of size ``s`` of one half of the rows (dim,).

    Stability selection (Meinshausen & Buhlmann 2010) by complementary halves (Shah & Samworth
    2013): ``draws`` is made even.
    """
    rng = np.random.default_rng(seed)
    n, dim = x.shape
    counts = np.zeros(dim)
    pairs = max(draws // 2, 1)
    for _ in range(pairs):
        order = rng.permutation(n)
        for half in (order[: n // 2], order[n // 2 : 2 * (n // 2)]):
            places: list[int] = []
            sums = Sums.of(x[half], y[half], weights[half])
            for _ in range(min(s, half.size)):
                places = [*places, sums.next(places)]
            counts[_exchanged(sums, places)] += 1.0
    return counts / (2 * pairs)


# --- how wrong the best fit is ------------------------------------------------------------------


def minimax(x: np.ndarray, y: np.ndarray, room: np.ndarray) -> tuple[float, np.ndarray]:
    """The smallest ``max(|y - x theta| - room, 0)`` over theta, and the theta; a linear programme.

    ``room`` (rows,) may be negative. Rows are added until none is missed by more.
    """
    from scipy.optimize import linprog

    n, dim = x.shape
    # The solver's tolerances are absolute. So: columns of size 1, and in the place of y what least
    # squares leaves of it, in units of its own size.
    scale = np.abs(x).max(axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    x = x / scale
    start = np.linalg.lstsq(x, y, rcond=None)[0] if dim else np.zeros(0)
    left = y - x @ start
    unit = float(max(np.abs(left).max(), np.abs(room).max()))
    if unit == 0.0:
        return 0.0, start / scale
    y, room = left / unit, room / unit
    chosen = np.argsort(room - np.abs(y), kind="stable")[:FIRST]
    while True:
        a, b, r = x[chosen], y[chosen], room[chosen]
        slack = -np.ones((len(chosen), 1))
        rows = np.vstack([np.hstack([-a, slack]), np.hstack([a, slack])])
        bounds = [(None, None)] * dim + [(0, None)]
        cost = np.append(np.zeros(dim), 1.0)
        found = linprog(cost, rows, np.concatenate([r - b, r + b]), bounds=bounds)
        if found.x is None:
            raise ValueError(f"the minimax fit failed: {found.message}")
        theta = found.x[:dim]
        missed = np.abs(y - x @ theta) - room
        worse = np.setdiff1d(np.flatnonzero(missed > found.fun + 1e-9 * (1 + found.fun)), chosen)
        if not worse.size:
            return unit * max(float(found.fun), 0.0), (start + unit * theta) / scale
        worst = worse[np.argsort(-missed[worse], kind="stable")[:FIRST]]
        chosen = np.concatenate([chosen, worst])


class Misspecification(NamedTuple):
    """How wrong the best fit by some features is, at the rows seen."""

    value: float  # an estimate: the largest residual, less what noise alone would make of it
    lo: float  # with the confidence asked for
    hi: float


def misspecification(
    x: np.ndarray,
    y: np.ndarray,
    pulls: np.ndarray,
    sigma: float,
    freedom: float = math.inf,
    delta: float = 0.05,
) -> Misspecification:
    """The eps = min over theta of max |mean - x theta|, from means of so many pulls each.

    ``y`` (rows,) holds means of ``pulls`` (rows,) rewards of standard deviation ``sigma`` with
    normal noise, so y is w z off, w = sigma / sqrt(pulls) and z normal; where sigma is itself
    estimated, with ``freedom`` degrees of freedom, Student's law takes the normal one's place.

    *Above.* eps is a mean of some of the true errors with signs: eps = sum_a c_a mean_a with X^T c
    = 0 and sum |c_a| = 1, for c of the dual programme. Whatever theta is, max (|y - x theta| + q w)
    is at least sum c_a y_a + q sum |c_a| w_a, which falls below eps with probability P(z > q) at
    most. So the smallest such maximum bounds eps, at q = z(delta / 2).

    *Below.* All |z| are at most q with probability 1 - delta / 4, at q = z(delta / (8 rows)): then
    eps is at least the smallest max (|y - x theta| - q w). And the sum of squares that least
    squares leaves, in units of w, has a noncentral chi-square law (F, if sigma is estimated) whose
    noncentrality is at most eps^2 sum 1 / w^2: its lower bound, with probability 1 - delta / 4,
    gives another of eps, and the larger one stands.

    *The estimate* is the larger of two that err on the low side, moved into the interval: the
    smallest max (|y - x theta| - q w) with the q of one half of all samples of pure noise, and the
    root mean square of what noise leaves unexplained of the residuals.
    """
    from scipy import stats

    n = len(y)
    width = sigma / np.sqrt(pulls)
    if sigma == 0.0:
        exact = minimax(x, y, width)[0]
        return Misspecification(exact, exact, exact)
    law = stats.norm if math.isinf(freedom) else stats.t(freedom)
    hi = minimax(x, y, -float(law.isf(delta / 2)) * width)[0]
    lo = minimax(x, y, float(law.isf(delta / (8 * n))) * width)[0]
    lo = min(max(lo, _by_scatter(x, y, width, freedom, delta / 4)), hi)
    half = float(law.isf((1.0 - 0.5 ** (1.0 / n)) / 2.0)) * width
    value = max(minimax(x, y, half)[0], unexplained(x, y, width))
    return Misspecification(min(max(value, lo), hi), lo, hi)


def _by_scatter(
    x: np.ndarray, y: np.ndarray, width: np.ndarray, freedom: float, delta: float
) -> float:
    """The lower bound of eps that the sum of squared residuals, in units of ``width``, gives."""
    from scipy import optimize, stats

    top = float(width.max())  # the unit for now: in their own, tiny ones would overflow
    share = width / top
    left, rest = _residuals(x / share[:, None], y / share)
    spare = len(y) - left
    length = float(np.linalg.norm(rest))
    if spare < 1 or not length <= math.sqrt(LARGEST_SQUARE) * top:
        return 0.0
    square = (length / top) ** 2

    def beyond(noncentral: float) -> float:
        """The probability of so large a sum, or a larger one, less delta."""
        if math.isinf(freedom):
            return float(stats.ncx2.sf(square, spare, noncentral)) - delta
        return float(stats.ncf.sf(square / spare, spare, freedom, noncentral)) - delta

    if beyond(1e-12) >= 0.0:
        return 0.0
    found = optimize.brentq(beyond, 1e-12, 2.0 * square + 10.0)
    return top * math.sqrt(found / float((1.0 / share**2).sum()))


def _residuals(x: np.ndarray, y: np.ndarray) -> tuple[int, np.ndarray]:
    """The rank of ``x``, and what least squares leaves of ``y``."""
    basis = _basis(x)
    return basis.shape[1], y - basis @ (basis.T @ y)


def _basis(x: np.ndarray) -> np.ndarray:
    """An orthonormal basis (rows, rank) of the columns."""
    scale = np.sqrt((x**2).sum(axis=0))  # units must not matter
    basis, size, _ = np.linalg.svd(x / np.where(scale > 0.0, scale, 1.0), full_matrices=False)
    return basis[:, size > 1e-10 * size[0]] if size.size else basis


def unexplained(x: np.ndarray, y: np.ndarray, width: np.ndarray) -> float:
    """The root mean square of the residuals of least squares that noise does not explain.

    ``width`` (rows,) is the standard deviation of each ``y``; 0 where no row is left over.
    """
    basis = _basis(x)
    rest = y - basis @ (basis.T @ y)
    spare = len(y) - basis.shape[1]
    noise = (1.0 - (basis**2).sum(axis=1)) @ width**2
    return math.sqrt(max(rest @ rest - noise, 0.0) / spare) if spare > 0 else 0.0


def amplification(x: np.ndarray, weights: np.ndarray, most: int = 2000) -> float:
    """By what factor weighted least squares can blow up a misspecification, at the rows' features.

    The largest sum of |h_ab| over b, with predictions y_hat_a = sum_b h_ab y_b: a Lebesgue
    constant. inf where the features are dependent. Of more than ``most`` rows the first so many,
    by leverage, are looked at.
    """
    dim = x.shape[1]
    if dim == 0:
        return 0.0
    gram = (x.T * weights) @ x
    scale = np.sqrt(np.diag(gram))
    if not (scale > 0).all() or len(x) < dim:
        return math.inf
    if np.linalg.eigvalsh(gram / np.outer(scale, scale))[0] < DEPENDENT:
        return math.inf
    solved = np.linalg.solve(gram, x.T)
    leverage = np.einsum("ij,ji->i", x, solved)
    worst = np.argsort(-leverage, kind="stable")[:most]
    return float(max(np.abs((x[a] @ solved) * weights).sum() for a in worst))


def least_eigenvalue(x: np.ndarray, size: int, draws: int = 200, seed: int = 0) -> float:
    """The smallest eigenvalue of blocks of ``size`` features, scaled to mean square 1, at random.

    A sign of how "good" features are for the Lasso: near 0 some of them nearly depend on others.
    """
    scale = np.sqrt((x**2).mean(axis=0))
    unit = x[:, scale > 0] / scale[scale > 0]
    size = min(integer("size", size, 1), unit.shape[1])
    gram = unit.T @ unit / len(x)
    rng = np.random.default_rng(seed)
    blocks = (rng.permutation(unit.shape[1])[:size] for _ in range(draws))
    return max(0.0, float(min(np.linalg.eigvalsh(gram[np.ix_(b, b)])[0] for b in blocks)))
