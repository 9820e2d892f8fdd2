"""Look once by an optimal design, fit by least squares, commit to the largest prediction.

With n pulls and the G-optimal design rho of :mod:`banditlab.parts.designs` arm a is pulled ceil(n
rho_a) times, at least n in all, and ::

    theta = (sum_a u_a x_a x_a')^-1 sum_a u_a x_a mean_a,   named: argmax_a <x_a, theta>.

If the linear model is wrong by eps, a prediction is wrong by at most eps (1 + sqrt(d)) for the
exact design, and eps (1 + sqrt(2 d)) for one that stops at max g <= 2 d, as that of Frank & Wolfe
does here (Lattimore, Szepesvari & Weisz 2020, "Learning with good feature representations in
bandits and in RL with a generative model"); :mod:`banditlab.problems.ls_decoy` shows that it may
be. With ``design = "uniform"`` all arms are pulled equally often: ordinary least squares.

>>> import banditlab
>>> agent = banditlab.Agent("gls_commit", n_arms=3, dim=2, horizon=20)
>>> agent.act([[1, 0], [0, 1], [0.1, 0.1]])
array([9, 9, 0])
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab import linalg
from banditlab.core import Task, kernel
from banditlab.parts.best_arm import name_largest
from banditlab.parts.designs import frank_wolfe, least_squares, orthonormal, sample_means
from banditlab.protocols.identify import Identify
from banditlab.validate import choice, integer

label = "least squares, commit"

DESIGNS = ("g_optimal", "uniform")

example = {"name": "benign_gauss", "dim": 6, "n_arms": 20, "s": 2, "noise": 0.05}


class GLSCommit(NamedTuple):
    """Hyper-parameters."""

    queries: int = 0  # n >= 1, or 0: as many as the horizon has room for
    design: str = "g_optimal"  # or "uniform"


class State(NamedTuple):
    """State."""

    horizon: np.ndarray  # (1,) int64
    scores: np.ndarray  # (n_arms,) float64: predictions
    known: np.ndarray  # (n_arms,) int64: 1 when there are predictions


@kernel
def init(params, task, rng):
    n = task.n_arms
    return State(np.full(1, task.horizon), np.zeros(n), np.zeros(n, np.int64))


@kernel
def g_optimal_weights(x, weights):
    n = weights.size
    basis = np.zeros(n, np.int64)
    coordinates = orthonormal(x, np.arange(n), basis)
    frank_wolfe(coordinates, basis, weights)
    return coordinates.shape[1], basis


@kernel
def uniform_weights(x, weights):
    n = weights.size
    for k in range(n):
        weights[k] = 1.0 / n
    return n, np.arange(n)


WEIGHTS = {"g_optimal": g_optimal_weights, "uniform": uniform_weights}


@cache
def acting(fill: Any) -> Any:
    """The kernel ``act`` for a design; ``fill(x, weights)`` says how many arms span, and which."""

    @kernel
    def act(params, state, t, x, rng, out):
        weights = np.empty(out.size)
        rank, basis = fill(x, weights)
        support = 0
        for k in range(out.size):
            support += 1 if weights[k] > 0.0 else 0
        spare = state.horizon[0] - support  # what rounding up may not take
        n = min(params.queries, spare) if params.queries > 0 else spare
        if support <= state.horizon[0]:
            for k in range(out.size):
                # Less 1e-9: a weight that is 1/3 but for rounding gets its third, not one more.
                out[k] = int(math.ceil(weights[k] * max(n, 1) - 1e-9)) if weights[k] > 0.0 else 0
        else:  # not a pull for every arm of the design: those that span are enough to fit
            for r in range(rank):
                out[basis[r]] = 1

    return act


@kernel
def update(params, state, t, x, pulls, sums, rng):
    n = pulls.size
    coordinates = orthonormal(x, np.arange(n), np.zeros(n, np.int64))
    rank = coordinates.shape[1]
    means = np.empty(n)
    sample_means(pulls, sums, means)
    theta = least_squares(coordinates, pulls, means, np.empty((rank, rank)))
    linalg.matvec(coordinates, theta, state.scores)
    for k in range(n):
        state.known[k] = 1


@kernel
def stop(params, state, t):
    return t > 0


@kernel
def recommend(params, state, x, rng, out):
    name_largest(state.scores, state.known, out)


@cache
def _checking(design: str) -> Any:
    def check(task: Task, x: Any) -> None:
        least = task.n_arms if design == "uniform" else min(task.dim, task.n_arms)
        what = "a pull of every arm" if design == "uniform" else "as many as arms that span"
        if task.horizon < least:
            raise ValueError(f"horizon must be at least {least}, {what}, got {task.horizon}")
        if x is not None and x.shape != (task.n_arms, task.dim):
            raise ValueError(f"features must be {task.n_arms} x {task.dim} numbers, a row per arm")
        if x is not None and not x.any():
            raise ValueError("features must not all be 0: they tell no arm from another")

    return check


def gls_commit(queries: int = 0, design: str = "g_optimal") -> Identify:
    """Least squares after ``queries`` pulls, >= 1, by ``design``: g_optimal or uniform.

    With ``queries`` = 0, and where they would not leave room to round up, it makes as many pulls
    as the horizon allows. Features may be rank-deficient; they stay as they are. Raises ValueError
    for an argument out of range, and for a horizon too small to look in every direction.
    """
    params = GLSCommit(integer("queries", queries, 0), choice("design", design, DESIGNS))
    return Identify(
        params,
        init,
        acting(WEIGHTS[params.design]),
        update,
        recommend,
        stop=stop,
        features=True,
        check=_checking(params.design),
    )
