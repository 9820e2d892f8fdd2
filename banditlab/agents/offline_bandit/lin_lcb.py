"""Pessimism with linear features (Jin, Yang & Wang 2021, one step; Li, Ma & Srebro 2022, eq. 12).

Rewards are linear in the features ``x`` of an arm. A log gives ``A = ridge I + sum x x.T`` and
``theta = A^-1 sum reward x``; deploy the arm of the largest lower bound::

    x . theta - radius * |A^-1/2 x|_q,      1/p + 1/q = 1

which is the smallest value of ``x . v`` over the confidence set ``|A^1/2 (v - theta)|_p <=
radius``. For ``p = 2`` the width is ``sqrt(x A^-1 x)`` and the rule that of Jin, Yang & Wang. Other
``p`` are the sets of Li, Ma & Srebro (Lemma 1), with the symmetric root of ``A``. They prefer
``p = inf``: when every pair (context, arm) is a feature of its own, all ``p`` have the width
``1 / sqrt(rows of the pair)`` and the rule is ``lcb``, but only the radius of ``p = inf`` does not
grow with the number of features. The radius is ``beta`` or, with ``delta`` above 0, for noise that
is ``noise``-sub-Gaussian and ``|theta*|_2 <= bound``, with d features and N rows::

    p = 2    noise sqrt(d ln(1 + N / (d ridge)) + 2 ln(1 / delta)) + sqrt(ridge) bound
    else     noise d^(1/p) sqrt(2 ln(d / delta)) + d^max(1/p - 1/2, 0) sqrt(ridge) bound

(p = 2: features of norm at most 1; else Lemma 1, to which the second term adds what ridge shrinks.)
Their rules maximise the smallest value of a whole policy over the set; here every context is
bounded by itself, which is never less pessimistic, and the same for one context and for one
feature per pair with ``p = inf``.

Rows teach through ``fit`` and ``update`` alike, unless ``frozen``: then only the log teaches, and
the rule stays as it is while it plays. Ties go to the arm of the smaller width and then to chance.

>>> import banditlab
>>> agent = banditlab.Agent("lin_lcb", n_arms=2, dim=2)
>>> for reward in (0.5, 0.5, 0.5, 0.5):
...     agent.update([[1, 0], [0, 1]], arm=0, reward=reward)
>>> agent.update([[1, 0], [0, 1]], arm=1, reward=1.0)
>>> agent.recommend([[1, 0], [0, 1]])  # 0.4 - 0.45 against 0.5 - 0.71
array([1., 0.])
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import linalg, numeric
from banditlab.core import features, kernel
from banditlab.parts import ridge as regression
from banditlab.protocols.online import Online
from banditlab.random import categorical
from banditlab.validate import below_one, between, flag, nonnegative, positive

label = "LinLCB"

report = "rules"  # what --log makes of a file, beside replaying it
SWEEPS = 50  # Jacobi's method needs about 10 for 200 features


class LinLCB(NamedTuple):
    """Hyper-parameters."""

    beta: float = 1.0  # >= 0: radius when delta is 0
    ridge: float = 1.0  # > 0: prior precision
    p: float = 2.0  # >= 1, inf too: norm of the confidence set
    disjoint: bool = False  # whether every arm has coefficients of its own
    frozen: bool = False  # whether only a log teaches
    delta: float = 0.0  # in [0, 1): failure probability, 0 for the radius beta
    noise: float = 1.0  # > 0: sub-Gaussian scale of the rewards, read if delta > 0
    bound: float = 1.0  # > 0: of the norm of the coefficients, read if delta > 0


class State(NamedTuple):
    """A ridge regression (banditlab.parts.ridge) and the roots of its precisions."""

    factor: np.ndarray  # (n_models, dim, dim + 1) float64: u, upper triangular, and z beside it
    row: np.ndarray  # (dim + 1,) float64: scratch
    white: np.ndarray  # (dim, n_arms) float64: scratch, the whitened features
    mean: np.ndarray  # (n_arms,) float64: scratch, estimated mean rewards
    form: np.ndarray  # (n_arms,) float64: scratch, x A^-1 x
    rows: np.ndarray  # (n_models,) float64: rows seen
    root: np.ndarray  # (n_models, dim, dim) float64: A^-1/2, where current; unused for p = 2
    current: np.ndarray  # (n_models,) bool: whether root is that of the factor
    width: np.ndarray  # (n_arms,) float64: scratch, |A^-1/2 x|_q
    rule: np.ndarray  # (n_arms,) float64: scratch, probabilities over arms


@kernel
def init(params, task, rng):
    r = regression.init(params, task, rng)
    n_models = r.factor.shape[0]
    return State(
        r.factor,
        r.row,
        r.white,
        r.mean,
        r.form,
        np.zeros(n_models),
        np.zeros((n_models, task.dim, task.dim)),
        np.zeros(n_models, np.bool_),
        np.zeros(task.n_arms),
        np.zeros(task.n_arms),
    )


@kernel
def learn(params, state, t, x, arm, reward, rng):
    regression.update(params, state, t, x, arm, reward, rng)
    m = regression.model(state, arm)
    state.rows[m] += 1.0
    state.current[m] = False


@kernel
def update(params, state, t, x, arm, reward, rng):
    if not params.frozen:
        learn(params, state, t, x, arm, reward, rng)


@kernel
def fit(params, state, t, x, arm, reward, rng):
    learn(params, state, t, x, arm, reward, rng)
    return True


@kernel
def inverse_root(u, out):
    """Write the symmetric ``A^-1/2`` to ``out``, given the factor ``u`` of ``A = u.T @ u``.

    Jacobi's eigenvalue method (Golub & Van Loan 2013, section 8.5). A diagonal ``A`` needs no
    rotation and gives the exact diagonal root.
    """
    d = u.shape[0]
    a = np.zeros((d, d))
    v = np.zeros((d, d))
    for i in range(d):
        v[i, i] = 1.0
        for j in range(d):
            for k in range(min(i, j) + 1):
                a[i, j] += u[k, i] * u[k, j]
    for _ in range(SWEEPS):
        rotated = False
        for i in range(d - 1):
            for j in range(i + 1, d):
                apart = a[i, j]
                if abs(apart) > 1e-16 * math.sqrt(a[i, i] * a[j, j]):
                    rotated = True
                    slope = (a[j, j] - a[i, i]) / (2.0 * apart)
                    tangent = 1.0 / (abs(slope) + math.sqrt(slope * slope + 1.0))
                    tangent = tangent if slope >= 0.0 else -tangent
                    c = 1.0 / math.sqrt(tangent * tangent + 1.0)
                    s = tangent * c
                    for k in range(d):
                        one, two = a[k, i], a[k, j]
                        a[k, i] = c * one - s * two
                        a[k, j] = s * one + c * two
                    for k in range(d):
                        one, two = a[i, k], a[j, k]
                        a[i, k] = c * one - s * two
                        a[j, k] = s * one + c * two
                    for k in range(d):
                        one, two = v[k, i], v[k, j]
                        v[k, i] = c * one - s * two
                        v[k, j] = s * one + c * two
        if not rotated:
            break
    for i in range(d):
        for j in range(d):
            total = 0.0
            for k in range(d):
                total += v[i, k] * v[j, k] / math.sqrt(a[k, k])
            out[i, j] = total


@kernel
def norm(p, root, x):
    """|root x|_q for the q dual to ``p``."""
    largest = 0.0
    for i in range(x.size):
        largest = max(largest, abs(linalg.dot(root[i], x)))
    if p == 1.0 or largest == 0.0:
        return largest
    q = 1.0 if p == np.inf else p / (p - 1.0)
    total = 0.0
    for i in range(x.size):
        total += math.pow(abs(linalg.dot(root[i], x)) / largest, q)
    return largest * math.pow(total, 1.0 / q)


@kernel
def radius(params, dim, rows):
    """How many widths below the estimate the bound lies."""
    if params.delta == 0.0:
        return params.beta
    shrunk = math.sqrt(params.ridge) * params.bound
    if params.p == 2.0:
        spread = dim * numeric.log(1.0 + rows / (dim * params.ridge))
        return params.noise * math.sqrt(spread - 2.0 * numeric.log(params.delta)) + shrunk
    spread = math.sqrt(2.0 * (numeric.log(float(dim)) - numeric.log(params.delta)))
    share = 1.0 / params.p
    shrunk *= math.pow(float(dim), max(share - 0.5, 0.0))
    return params.noise * math.pow(float(dim), share) * spread + shrunk


@kernel
def fill_bounds(params, state, x, out):
    """The lower bounds (n_arms,) on the mean rewards of the arms that ``x`` shows."""
    regression.predict(state, x)
    dim = state.white.shape[0]
    for k in range(out.size):
        m = regression.model(state, k)
        if params.p == 2.0:
            state.width[k] = math.sqrt(state.form[k])
        else:
            if not state.current[m]:
                inverse_root(state.factor[m, :, :dim], state.root[m])
                state.current[m] = True
            state.width[k] = norm(params.p, state.root[m], features(x, k))
        out[k] = state.mean[k] - radius(params, dim, state.rows[m]) * state.width[k]


@kernel
def recommend(params, state, x, rng, out):
    fill_bounds(params, state, x, out)
    best = -np.inf
    narrow = np.inf
    ties = 0.0
    for k in range(out.size):
        width = state.width[k]
        if out[k] > best or (out[k] == best and width < narrow):
            best = out[k]
            narrow = width
            ties = 0.0
        ties += 1.0 if out[k] == best and width == narrow else 0.0
    for k in range(out.size):
        out[k] = 1.0 / ties if out[k] == best and state.width[k] == narrow else 0.0


@kernel
def propensities(params, state, t, x, out):
    # No random word is used for the rule, only for an arm from it.
    recommend(params, state, x, np.zeros(4, np.uint64), out)


@kernel
def act(params, state, t, x, rng):
    recommend(params, state, x, rng, state.rule)
    return categorical(rng, state.rule)


def lin_lcb(
    beta: float = 1.0,
    ridge: float = 1.0,
    p: float = 2.0,
    disjoint: bool = False,
    frozen: bool = False,
    delta: float = 0.0,
    noise: float = 1.0,
    bound: float = 1.0,
) -> Online:
    """Lower confidence bounds with linear features; the task must have ``dim`` >= 1.

    Parameters
    ----------
    beta
        Radius of the confidence set, at least 0; not used when ``delta`` is above 0.
    ridge
        Prior precision, above 0.
    p
        Norm of the confidence set, at least 1; ``math.inf`` will do.
    disjoint
        Whether every arm has coefficients of its own. One row of features that all arms share
        tells arms apart only so.
    frozen
        Whether only a log teaches (``warm = true`` in an arena): an offline rule, deployed. By
        default every row teaches.
    delta
        Failure probability of the bounds, in [0, 1); 0 for the radius ``beta``.
    noise, bound
        Sub-Gaussian scale of the rewards and bound of the coefficients' norm, above 0; used with
        ``delta``.

    Raises ValueError for a number out of range.
    """
    params = LinLCB(
        nonnegative("beta", beta),
        positive("ridge", ridge),
        math.inf if p == math.inf else between("p", p, 1.0, np.finfo(float).max),
        flag("disjoint", disjoint),
        flag("frozen", frozen),
        below_one("delta", delta),
        positive("noise", noise),
        positive("bound", bound),
    )
    return Online(params, init, act, update, recommend, propensities, fit, features=True)
