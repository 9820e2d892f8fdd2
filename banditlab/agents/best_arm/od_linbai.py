"""OD-LinBAI (Yang & Tan 2022), the best arm of a linear bandit by optimal designs and halving.

"Minimax optimal fixed-budget best arm identification in linear bandits", NeurIPS 2022. With K arms
of d features and T pulls there are R = ceil(log2 d) rounds, at least one. A round r = 1, ..., R
reduces the features of the active arms to a basis of their span, finds their G-optimal design w
(:mod:`banditlab.parts.designs`), pulls arm i

    ceil(w_i m) times,   m = floor((T - min(K, d (d + 1) / 2) - sum_{r < R} ceil(d / 2^r)) / R)

fits theta to these rewards alone by least squares and keeps the ceil(d / 2^r) arms of largest
x_i . theta; of equals the first. What m leaves of T pays for rounding up: an optimal design needs
at most d (d + 1) / 2 arms, and a round no more than are active. Where the design that was found
has more arms than that, m is smaller by the difference in that round, and where it then is below 1
a basis of the arms is pulled evenly; so T is never exceeded.

A problem without features has d = K unit vectors for features.

The rounds are also those of a public program in MATLAB; pulls and choices agree with an
implementation in NumPy, and designs with Kiefer & Wolfowitz and a general optimiser. What is said
here of designs with too many arms is ours.

:mod:`banditlab.agents.best_arm.dp_od` is the same with noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab import linalg
from banditlab.core import Task, kernel
from banditlab.parts import maxdet
from banditlab.parts.best_arm import last_release
from banditlab.parts.designs import g_optimal, least_squares, reduced, sample_means, spanned
from banditlab.protocols.identify import Identify, unprotected, unpublished
from banditlab.protocols.online import ANY_REWARD, UNIT_REWARD

label = "OD-LinBAI"

example = {"name": "lin_sphere", "n_arms": 8, "dim": 3, "gap": 0.2}


class ODLinBAI(NamedTuple):
    """Hyper-parameters: none."""


class Rounds(NamedTuple):
    """State, with noise or without."""

    active: np.ndarray  # (n_arms,) bool
    round: np.ndarray  # (1,) int64: rounds played
    released: np.ndarray  # (n_rounds, n_arms) float64: what noise made private; nan: nothing
    dim: np.ndarray  # (1,) int64: d
    shown: np.ndarray  # (1,) bool: whether the problem shows features
    share: np.ndarray  # (1,) int64: m


@kernel
def n_rounds(dim):
    rounds = 1
    while 1 << rounds < dim:
        rounds += 1
    return rounds


@kernel
def kept(dim, r):
    """How many arms are active after round r = 1, 2, ...: ceil(dim / 2^r)."""
    return (dim + (1 << r) - 1) >> r


@kernel
def extra(n_arms, dim):
    """Pulls that rounding up may cost, all rounds together."""
    total = min(n_arms, dim * (dim + 1) // 2)
    for r in range(1, n_rounds(dim)):
        total += kept(dim, r)
    return total


@kernel
def init(params, task, rng):
    dim = task.dim if task.dim > 0 else task.n_arms
    rounds = n_rounds(dim)
    return Rounds(
        np.ones(task.n_arms, np.bool_),
        np.zeros(1, np.int64),
        np.full((rounds, task.n_arms), np.nan),
        np.full(1, dim),
        np.full(1, task.dim > 0),
        np.full(1, (task.horizon - extra(task.n_arms, dim)) // rounds),
    )


@kernel
def reduce_active(state, x):
    """The active arms and their coordinates; see design.reduced."""
    arms = np.nonzero(state.active)[0]
    return arms, reduced(x, arms) if state.shown[0] else np.eye(arms.size)


@kernel
def act(params, state, t, x, rng, out):
    if state.round[0] == state.released.shape[0]:
        return
    arms, coordinates = reduce_active(state, x)
    n, rank = coordinates.shape
    weights = np.empty(n)
    g_optimal(coordinates, weights)
    support = 0
    for i in range(n):
        support += 1 if weights[i] > 0.0 else 0
    share = state.share[0]
    spare = max(0, support - min(n, state.dim[0] * (state.dim[0] + 1) // 2))
    if spare < share:
        share -= spare
    else:
        basis = np.zeros(rank, np.int64)
        maxdet.reduce(coordinates, np.arange(n), n, np.empty((n, rank)), basis)
        for i in range(n):
            weights[i] = 0.0
        for j in range(rank):
            weights[basis[j]] = 1.0 / rank
    for i in range(n):
        # Less 1e-9: a weight that is 1/3 but for rounding errors gets its third, not one more.
        out[arms[i]] = int(math.ceil(weights[i] * share - 1e-9))


@cache
def learning(
    estimate: Callable[..., None],
) -> Callable[..., None]:
    """The kernel ``update`` for a way to predict.

    ``estimate(params, coordinates, pulls, sums, rng, scores, released)`` predicts the means of
    the active arms from the sums of their pulls, and writes down what it released.
    """

    @kernel
    def update(params, state, t, x, pulls, sums, rng):
        r = state.round[0]
        arms, coordinates = reduce_active(state, x)
        n = arms.size
        scores = np.empty(n)
        released = np.full(n, np.nan)
        estimate(params, coordinates, pulls[arms], sums[arms], rng, scores, released)
        for i in range(n):
            state.released[r, arms[i]] = released[i]
        state.round[0] = r + 1
        left = kept(state.dim[0], r + 1)
        for i in range(n):
            better = 0
            for j in range(n):
                if scores[j] > scores[i] or (scores[j] == scores[i] and j < i):
                    better += 1
            state.active[arms[i]] = better < left

    return update


@kernel
def exactly(params, coordinates, pulls, sums, rng, scores, released):
    means = np.empty(pulls.size)
    sample_means(pulls, sums, means)
    inverse = np.empty((coordinates.shape[1], coordinates.shape[1]))
    theta = least_squares(coordinates, pulls, means, inverse)
    linalg.matvec(coordinates, theta, scores)


@kernel
def recommend(params, state, x, rng, out):
    active = 0
    for k in range(out.size):
        active += 1 if state.active[k] else 0
    for k in range(out.size):
        out[k] = 1.0 / active if state.active[k] else 0.0


def check(task: Task, x: np.ndarray | None) -> None:
    """Refuse features that do not span d dimensions, and a horizon without a pull for a round."""
    dim = spanned(task, x)
    minimal = int(extra(task.n_arms, dim) + n_rounds(dim))
    if task.horizon < minimal:
        raise ValueError(
            f"horizon must be at least {minimal} for {task.n_arms} arms and dim {dim}, "
            f"got {task.horizon}"
        )


def identifier(
    params: Any, estimate: Callable[..., None], spent: Callable[..., float], grid: float = 0.0
) -> Identify:
    """The algorithm that predicts in this way; see `learning`."""
    return Identify(
        params,
        init,
        act,
        learning(estimate),
        recommend,
        spent=spent,
        published=unpublished if spent is unprotected else last_release,
        rewards=ANY_REWARD if spent is unprotected else UNIT_REWARD,
        grid=grid,
        check=check,
    )


def od_linbai() -> Identify:
    """OD-LinBAI, for arms with features that span their dimensions, or without features.

    It refuses a horizon in which not every round has a pull.
    """
    return identifier(ODLinBAI(), exactly, unprotected)
