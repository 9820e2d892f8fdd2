"""A Lasso that knows of the misspecification, and a commitment to the arm it likes best.

The mean of an arm is x . theta + nu, theta with few entries that are not 0, and nu, a property of
the arm, anywhere in [-eps, eps]. Every arm is pulled equally often, n times in all; a Lasso of
these rows (:mod:`banditlab.parts.lasso`) names the arm of the largest x . theta. Its level covers
what nu and noise of standard deviation sigma can do to the covariances with the features, the
latter with probability 1 - delta::

    lam = eps max_j mean |x_j| + sigma max_j rms(x_j) sqrt(2 ln(2 d / delta) / n)

(means over the rows; for features of -1 and 1 that is eps + sigma sqrt(...)). Let H v.v / n stay
above kappa v.v for all v whose entries off the support sum to at most 3 times those on it, H =
X^T X. With twice this lam, theta_hat is within 12 s lam / kappa of theta in sum, and the arm is
worse than the best by at most 24 s lam x_inf / kappa + 2 eps, x_inf being the largest feature: an
error of order s eps, where least squares may pay sqrt(d) eps, and a number of pulls that is a
polynomial.

With sigma = 0 every arm is pulled once. Otherwise

    n = max(ceil(2 (sigma / eps)^2 ln(2 d / delta)), ceil(10 s ln d))

as far as the budget goes, and all of it if eps = 0. ``refit`` puts least squares on the s largest
entries, all that are not 0 if s is unknown, in the place of the Lasso's shrunk values.

Dong & Yang 2023 ("Does sparsity help in learning misspecified linear bandits?", ICML) prove that
an error of order s eps takes polynomially many queries. Their algorithm was not at hand: this one
is ours, a reconstruction that meets the claim. Ours too: a level of 0 is raised to 1e-8 of the
largest covariance, so that the minimum is unique.

>>> import banditlab
>>> agent = banditlab.Agent("sparse_commit", n_arms=4, dim=3, horizon=4, sigma=0.0, eps=0.01)
>>> x = [[1, 1, 1], [1, -1, 1], [-1, 1, 1], [-1, -1, 1]]
>>> pulls = agent.act(x)
>>> pulls
array([1, 1, 1, 1])
>>> agent.update(x, pulls, [-1.0, -1.01, 1.0, 1.0])
>>> agent.state.theta.round(2) + 0.0
array([-0.99,  0.  ,  0.  ])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import Task, kernel
from banditlab.parts import lasso
from banditlab.protocols.identify import Identify
from banditlab.random import shuffle
from banditlab.validate import flag, inside, integer, nonnegative

label = "sparse commit"

FLOOR = 1e-8  # of the level, relative to the largest covariance

example = {"name": "sparse_contexts", "dim": 5, "n_arms": 4, "s": 2, "noise": 0.2}
report = "sparse"  # what --log makes of a file


class SparseCommit(NamedTuple):
    """Hyper-parameters."""

    eps: float = 0.05  # >= 0: size of the misspecification
    sigma: float = 1.0  # >= 0: standard deviation of rewards; 0: they are exact
    s: int = 0  # entries of theta that are not 0; 0: unknown
    delta: float = 0.05  # in (0, 1): failure probability of the noise term
    lam: float = 0.0  # >= 0: level of the Lasso; 0: as above
    refit: bool = False  # whether least squares follows


class State(NamedTuple):
    """Whether the pulls were made, and the estimate."""

    budget: np.ndarray  # (1,) int64
    done: np.ndarray  # (1,) bool
    theta: np.ndarray  # (dim,) float64
    grad: np.ndarray  # (dim,) float64: scratch


@kernel
def init(params, task, rng):
    return State(
        np.full(1, task.horizon), np.zeros(1, np.bool_), np.zeros(task.dim), np.zeros(task.dim)
    )


@kernel
def wanted(params, n_arms, dim, budget):
    """How many pulls are made in all."""
    if params.sigma == 0.0:
        return min(n_arms, budget)
    ratio = params.sigma / params.eps if params.eps > 0.0 else np.inf
    n = 2.0 * ratio * ratio * numeric.log(2.0 * dim / params.delta)
    n = max(n, 10.0 * params.s * numeric.log(float(dim)))
    return int(min(math.ceil(min(n, budget * 1.0)), budget))


@kernel
def act(params, state, t, x, rng, out):
    if state.done[0]:
        return
    n_arms = out.size
    n = wanted(params, n_arms, x.shape[1], state.budget[0])
    order = np.arange(n_arms)
    shuffle(rng, order)  # what does not go round is pulled of arms drawn at random
    for i in range(n_arms):
        out[order[i]] = n // n_arms + (1 if i < n % n_arms else 0)


@kernel
def level(params, x, pulls, n):
    """The Lasso's level for so many pulls of each arm, ``n`` in all."""
    size, spread = 0.0, 0.0
    for j in range(x.shape[1]):
        absolute, square = 0.0, 0.0
        for k in range(x.shape[0]):
            absolute += pulls[k] * abs(x[k, j])
            square += pulls[k] * x[k, j] * x[k, j]
        size, spread = max(size, absolute / n), max(spread, math.sqrt(square / n))
    width = math.sqrt(2.0 * numeric.log(2.0 * x.shape[1] / params.delta) / n)
    return params.eps * size + params.sigma * spread * width


@kernel
def largest(theta, s):
    """The places of the ``s`` largest entries that are not 0, of all if ``s`` is 0; in order."""
    found = np.nonzero(theta)[0]
    n = found.size
    keep = np.ones(n, np.bool_)
    for _ in range(n - s if s > 0 else 0):
        least = -1
        for a in range(n):
            if keep[a] and (least < 0 or abs(theta[found[a]]) < abs(theta[found[least]])):
                least = a
        keep[least] = False
    return found[keep]


@kernel
def update(params, state, t, x, pulls, sums, rng):
    dim = x.shape[1]
    gram, moment = np.zeros((dim, dim)), np.zeros(dim)
    n = 0.0
    for k in range(pulls.size):
        if pulls[k] > 0:
            n += pulls[k]
            root = math.sqrt(pulls[k] * 1.0)  # so many equal rows at once
            lasso.add_row(gram, moment, root * x[k], sums[k] / root)
    most = 0.0
    for j in range(dim):
        most = max(most, abs(moment[j]))
    lam = params.lam if params.lam > 0.0 else level(params, x, pulls, n)
    least = FLOOR * most
    lasso.minimise(
        gram,
        moment,
        max(n * lam, least),
        state.theta,
        state.grad,
        max(n * lasso.TOLERANCE, 1e-12 * most),
        lasso.SWEEPS,
    )
    if params.refit:
        lasso.least_squares(gram, moment, largest(state.theta, params.s), state.theta)
    state.done[0] = True


@kernel
def recommend(params, state, x, rng, out):
    lasso.greedy(x, state.theta, out)


@cache  # so that algorithms made alike are equal
def checking(s: int) -> Callable[[Task, np.ndarray | None], None]:
    """What refuses a task that ``s`` of its features cannot decide, and features of no use."""

    def check(task: Task, x: np.ndarray | None) -> None:
        if s > task.dim:
            raise ValueError(f"s must be at most {task.dim}, the number of features, got {s}")
        if x is not None and x.shape != (task.n_arms, task.dim):
            raise ValueError(f"features must be {task.n_arms} x {task.dim} numbers, a row per arm")
        if x is not None and x.size and not np.any(x):
            raise ValueError("the features of all arms are 0")

    return check


def sparse_commit(
    eps: float = 0.05,
    sigma: float = 1.0,
    s: int | None = None,
    delta: float = 0.05,
    lam: float = 0.0,
    refit: bool = False,
) -> Identify:
    """The misspecification-aware Lasso; the task needs features and a budget (``horizon``).

    Parameters
    ----------
    eps, sigma
        Misspecification and standard deviation of rewards, at least 0.
    s
        How many features matter, at least 1; None, or 0, when that is unknown.
    delta
        Failure probability of the noise term of the level, in (0, 1).
    lam
        Level of the Lasso, in the scaling 1 / (2 n); 0 for the one above.
    refit
        Whether least squares on the support takes the place of the Lasso.

    Raises ValueError for a number out of range.
    """
    params = SparseCommit(
        nonnegative("eps", eps),
        nonnegative("sigma", sigma),
        0 if s is None else integer("s", s, 0),
        inside("delta", delta, 0.0, 1.0),
        nonnegative("lam", lam),
        flag("refit", refit),
    )
    return Identify(params, init, act, update, recommend, features=True, check=checking(params.s))
