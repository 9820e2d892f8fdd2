"""Sparse misspecified bandits by optimistic elimination on a net: few looks, an error of O(eps).

Our reconstruction, for the question of Dong & Yang 2023, "Does sparsity help in learning
misspecified linear bandits?" (ICML, arXiv 2303.16998), of whose algorithm we knew the abstract
only: O(eps) with O(eps^-s d^s) looks. That the most promising candidate is looked at first, and
eliminated by what is seen, is as in Du, Yang & Wang's sequel on Q-learning.

An arm with features x pays x . theta + nu, where theta has at most ``s`` entries that
are not 0, its norm is at most B = ``bound``, and abs(nu) <= ``eps`` belongs to the arm. Rewards are
noisy with standard deviation ``sigma``, or exact. A net (:mod:`banditlab.parts.covers`) has, within
``zeta`` of every direction of theta, a direction u on some s coordinates M. Every u keeps the
interval of norms that theta may have if it points there, [0, B] at first. With the tolerance ::

    e = eps + zeta x_s B + omega        (x_s: the largest norm of s features of an arm)

and ``omega`` the error of a mean (0 without noise), repeat:

1. Of all u take the one that promises most, v = (upper end of its interval) * max_a <a_M, u>.
2. Look at the arm a that attains it, unless its mean y is known already.
3. If y >= v - e, stop and name a.
4. Else keep in the interval of every u the norms r with abs(y - r <a_M, u>) <= e.

The arm named is within ``2 (eps + zeta x_s B + omega)`` of the best: on every instance without
noise, and with it with probability 1 - ``delta``, for the direction nearest to theta keeps its norm
and promises no less than the best arm pays less e. For s = 1 the net is exact and zeta costs
nothing. No arm is looked at twice, hence never more looks than `net_scan` makes.

With ``tau`` > e step 3 stops at y >= v - tau already; the arm is then within tau + e of the best.
For tau = e (1 + 4 sqrt(d l)), l = log(1 + n / (d e^2)), a look that does not end the search is a
surprise of 4 e sqrt(d l), and the elliptical potential bounds their number by n = 4 d l:
polynomially many, for an error of order eps sqrt(d) (`relaxed`; unit features, B <= 1). Ours.

Rounding is allowed for, or a direction that was refined by its own arm would never be accepted, and
an interval that shrinks to a point would be lost. If all intervals are empty, eps was understated
or noise had a bad day: the best arm seen is named, and ``state.inconsistent`` is 1.

>>> import banditlab
>>> agent = banditlab.Agent("sparse_mis", n_arms=5, dim=2, horizon=10, s=1, eps=0.1)
>>> arms = [[1, 0], [0, 1], [0.6, 0.8], [-1, 0], [0, -1]]
>>> pays = [0.1, 0.9, 0.9, 0.0, -1.0]  # theta = (0, 1), off by up to .1
>>> while (pulls := agent.act(arms)).any():
...     agent.update(arms, pulls, pulls * pays)
>>> agent.t, agent.recommend(arms)
(2, array([0., 1., 0., 0., 0.]))
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts import covers
from banditlab.protocols.identify import Identify
from banditlab.validate import between, integer, nonnegative

label = "net elimination"

example = {"name": "benign_gauss", "dim": 6, "n_arms": 20, "s": 2, "noise": 0.05}


class SparseMis(NamedTuple):
    """Hyper-parameters."""

    s: int = 2  # >= 1: entries of theta that are not 0
    eps: float = 0.05  # >= 0: bound on the error of the linear model
    zeta: float = 0.05  # in (0, 1]: fineness of the net
    bound: float = 1.0  # > 0: of the norm of theta
    norm: float = 1.0  # > 0: of s features of an arm; read for the default of zeta only
    sigma: float = 0.0  # >= 0: standard deviation of rewards
    omega: float = 0.0  # >= 0: error of a mean; 0 without noise
    delta: float = 0.05  # in (0, 1): chance that some mean is worse
    tau: float = 0.0  # >= 0: stop when no promise is kept by less; the tolerance, if that is more


class State(NamedTuple):
    """What is known of every direction, n_supports * count of them, support by support."""

    supports: np.ndarray  # (n_supports, s) int64
    directions: np.ndarray  # (count, s) float64
    best: np.ndarray  # (n,) float64: the largest <a_M, u> of an arm
    arms: np.ndarray  # (n,) int64: the arm that has it
    low: np.ndarray  # (n,) float64: the norms that theta may have, from here
    high: np.ndarray  # (n,) float64: to here; none if below ``low``
    pulls: np.ndarray  # (n_arms,) float64: of each arm, 0 where nothing is known
    means: np.ndarray  # (n_arms,) float64: of its rewards
    tolerance: np.ndarray  # (2,) float64: e, and what rounding may add; -1: not yet known
    repeats: np.ndarray  # (1,) int64: pulls of an arm at a look
    chosen: np.ndarray  # (1,) int64: the arm to look at
    answer: np.ndarray  # (1,) int64: the arm that ended the search, -1 before
    inconsistent: np.ndarray  # (1,) int64: 1 if no direction is left


@kernel
def init(params, task, rng):
    supports = covers.supports(task.dim, params.s)
    directions = covers.directions(params.s, params.zeta)
    n = supports.shape[0] * directions.shape[0]
    return State(
        supports,
        directions,
        np.zeros(n),
        np.zeros(n, np.int64),
        np.zeros(n),
        np.full(n, params.bound),
        np.zeros(task.n_arms),
        np.zeros(task.n_arms),
        np.full(2, -1.0),
        np.full(1, covers.repeats(params, task.n_arms)),
        np.zeros(1, np.int64),
        np.full(1, -1),
        np.zeros(1, np.int64),
    )


@kernel
def most_promising(best, low, high):
    """Step 1: the direction of the largest mean that is still possible, and that mean.

    -inf if all intervals are empty.
    """
    i, most = 0, -np.inf
    for j in range(best.size):
        value = best[j] * (high[j] if best[j] >= 0.0 else low[j])
        value = value if low[j] <= high[j] else -np.inf
        i = j if value > most else i
        most = value if value > most else most
    return i, most


@kernel
def refine(row, supports, directions, low, high, y, e):
    """Step 4, for an arm with the features ``row`` and the mean ``y``, within ``e``."""
    count, s = directions.shape
    part = np.empty(s)
    for c in range(supports.shape[0]):
        for m in range(s):
            part[m] = row[supports[c, m]]
        for u in range(count):
            i = c * count + u
            w = 0.0
            for m in range(s):
                w += directions[u, m] * part[m]
            if w != 0.0:
                one, other = (y - e) / w, (y + e) / w
                low[i] = max(low[i], min(one, other))
                high[i] = min(high[i], max(one, other))
            elif abs(y) > e:
                high[i] = -1.0


@kernel
def search(params, state, x):
    """Go on until an arm is to be looked at, or named."""
    e, rounding = state.tolerance[0], state.tolerance[1]
    # Twice the slack of `refine`: the arm of a refined direction then meets its promise.
    enough = max(e + 2.0 * rounding, params.tau)
    while True:
        i, most = most_promising(state.best, state.low, state.high)
        if most == -np.inf:
            state.inconsistent[0] = 1
            state.answer[0] = best_seen(state)
            return
        arm = state.arms[i]
        if state.pulls[arm] == 0.0:
            state.chosen[0] = arm
            return
        y = state.means[arm]
        if y >= most - enough:
            state.answer[0] = arm
            return
        refine(x[arm], state.supports, state.directions, state.low, state.high, y, e + rounding)


@kernel
def best_seen(state):
    """The arm of the largest mean, the first of several; -1 before any look."""
    arm = -1
    for k in range(state.pulls.size):
        if state.pulls[k] > 0.0 and (arm < 0 or state.means[k] > state.means[arm]):
            arm = k
    return arm


@kernel
def begin(params, state, x):
    """Prepare the net for the features, once."""
    count = state.directions.shape[0]
    for c in range(state.supports.shape[0]):
        here = c * count
        best, arms = state.best[here : here + count], state.arms[here : here + count]
        covers.best_arms(x, state.supports[c], state.directions, best, arms)
    e = covers.tolerance(params, x)
    largest = params.bound * covers.longest(x, params.s)
    state.tolerance[0] = e
    state.tolerance[1] = 1e-9 * e + 1e-12 * largest
    search(params, state, x)


@kernel
def act(params, state, t, x, rng, out):
    if state.tolerance[0] < 0.0:
        begin(params, state, x)
    out[state.chosen[0]] = state.repeats[0]


@kernel
def update(params, state, t, x, pulls, sums, rng):
    for k in range(pulls.size):
        if pulls[k] > 0:
            state.pulls[k] = pulls[k]
            state.means[k] = sums[k] / pulls[k]
    if state.tolerance[0] < 0.0:  # nobody asked before: what is known already comes first
        begin(params, state, x)
    else:
        search(params, state, x)


@kernel
def stop(params, state, t):
    return state.answer[0] >= 0


@kernel
def recommend(params, state, x, rng, out):
    arm = state.answer[0] if state.answer[0] >= 0 else best_seen(state)
    for k in range(out.size):
        out[k] = 1.0 / out.size if arm < 0 else 1.0 if k == arm else 0.0


def relaxed(dim: int, tolerance: float) -> tuple[float, int]:
    """tau for polynomially many looks, and their bound n, at a ``tolerance`` e, 1e-100 to 1e100.

    n is the fixed point of n = 4 d l, l = log(1 + n / (d e^2)), for unit features and B <= 1.

    >>> relaxed(5, 0.004)[1]
    303
    """
    dim, tolerance = integer("dim", dim, 1), between("tolerance", tolerance, 1e-100, 1e100)
    n = 1.0
    for _ in range(200):
        n = 4.0 * dim * math.log1p(n / (dim * tolerance**2))
    return tolerance * (1.0 + 2.0 * math.sqrt(n)), math.ceil(n)


def sparse_mis(
    s: int = 2,
    eps: float = 0.05,
    zeta: float | None = None,
    bound: float = 1.0,
    norm: float = 1.0,
    sigma: float = 0.0,
    omega: float | None = None,
    delta: float = 0.05,
    tau: float = 0.0,
) -> Identify:
    """Optimistic elimination on a net, for arms with features that stay as they are.

    ``s`` >= 1 and at most the number of features, ``eps`` >= 0, ``bound`` > 0 of theta's
    norm. ``zeta`` in (0, 1] is by default eps / (norm bound), at most 1, where ``norm`` > 0 is the
    length of ``s`` features of an arm: 1 for unit vectors, sqrt(s) for features of
    +1 and -1. With ``sigma`` > 0 an arm is pulled until its mean is within ``omega`` > 0 (eps by
    default) for all arms with probability 1 - ``delta``. ``tau`` >= 0 relaxes the stopping rule.

    Raises ValueError for an argument out of range, for eps = 0 without zeta (or, with noise,
    without omega), and, when features are known, for a net that is too large.
    """
    net = covers.net_arguments(s, eps, zeta, bound, norm, sigma, omega, delta)
    params = SparseMis(*net, nonnegative("tau", tau))
    return Identify(
        params,
        init,
        act,
        update,
        recommend,
        stop=stop,
        features=True,
        check=covers.checking(params),
    )
