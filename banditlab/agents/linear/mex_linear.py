"""MEX, maximize to explore, for linear rewards (Liu et al. 2023).

Of all coefficients theta take those that maximise the largest ``x . theta`` minus eta times their
ridge loss, and pull that arm. With ``A = ridge I + sum x x.T`` the maximum is attained at the ridge
estimate plus ``A^-1 x / (2 eta)``, so that MEX pulls the arm of the largest (derived here)::

    x . estimate + (x A^-1 x) / (4 eta)

LinUCB with the variance in the place of its root. With one-hot features and ``ridge`` near 0 it is
``mex_mab``. Ties are broken at random. ``eta = "theory"`` is ``sqrt(dim / (T ln T))`` for T rounds;
see banditlab.parts.mex, also for schedules. ``eta = inf`` is the greedy rule.

>>> import banditlab
>>> agent = banditlab.Agent("mex_linear", n_arms=2, dim=2, eta=1.0, ridge=1.0)
>>> for _ in range(3):  # estimate 3/4 and variance 1/4: 0.8125 against 0 + 1/4
...     agent.update([[1, 0], [0, 1]], arm=0, reward=1.0)
>>> agent.propensities([[1, 0], [0, 1]])
array([1., 0.])
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts import ridge as regression
from banditlab.parts.mex import THEORY, eta_of, given_pace, schedule_of, theory_pace, width
from banditlab.protocols.online import Online
from banditlab.random import below
from banditlab.validate import flag, positive

label = "linear MEX"


class MexLinear(NamedTuple):
    """Hyper-parameters."""

    eta: float | str  # > 0, inf, or "theory"
    ridge: float  # > 0: prior precision
    disjoint: bool  # whether every arm has coefficients of its own
    schedule: int  # place in banditlab.parts.mex.SCHEDULES
    reference: float  # > 0: the round at which eta is meant, read by the schedule "sqrt"


class State(NamedTuple):
    """A ridge regression (banditlab.parts.ridge), and the pace of eta."""

    factor: np.ndarray  # (n_models, dim, dim + 1) float64
    row: np.ndarray  # (dim + 1,) float64: scratch
    white: np.ndarray  # (dim, n_arms) float64: scratch
    mean: np.ndarray  # (n_arms,) float64: scratch, estimated mean rewards
    form: np.ndarray  # (n_arms,) float64: scratch, x A^-1 x
    pace: np.ndarray  # (2,) float64: see banditlab.parts.mex


@kernel
def init_given(params, task, rng):
    factor, row, white, mean, form = regression.init(params, task, rng)
    pace = given_pace(params.eta, params.schedule, params.reference)
    return State(factor, row, white, mean, form, pace)


@kernel
def init_theory(params, task, rng):
    factor, row, white, mean, form = regression.init(params, task, rng)
    unknowns = task.dim * factor.shape[0]
    return State(factor, row, white, mean, form, theory_pace(unknowns, task.horizon * 1.0))


@kernel
def score(state, t, x):
    """Write the index of every arm to ``state.mean``."""
    regression.predict(state, x)
    spread = width(state.pace, t)
    for k in range(state.mean.size):
        state.mean[k] += spread * state.form[k]


@kernel
def act(params, state, t, x, rng):
    score(state, t, x)
    best = -np.inf
    arm = 0
    ties = 0
    for k in range(state.mean.size):
        if state.mean[k] > best:
            best = state.mean[k]
            arm = k
            ties = 1
        elif state.mean[k] == best:
            ties += 1
            # The newcomer takes the place of the others with its share of the odds.
            arm = k if below(rng, ties) == 0 else arm
    return arm


@kernel
def propensities(params, state, t, x, out):
    score(state, t, x)
    best = -np.inf
    ties = 0.0
    for k in range(out.size):
        ties = 1.0 if state.mean[k] > best else ties + (1.0 if state.mean[k] == best else 0.0)
        best = max(best, state.mean[k])
    for k in range(out.size):
        out[k] = 1.0 / ties if state.mean[k] == best else 0.0


def mex_linear(
    eta: float | str = THEORY,
    ridge: float = 1e-3,
    disjoint: bool = False,
    schedule: str | int = "constant",
    reference: float = 1000.0,
) -> Online:
    """MEX with ``eta`` > 0, inf (greedy) or "theory", and ``ridge`` > 0.

    The task must have ``dim`` >= 1. Features may differ between arms, or be one row that all arms
    share; the latter tells arms apart only with ``disjoint``, which gives every arm its own
    coefficients. ``schedule`` "constant", or "sqrt" for ``eta * sqrt(reference / round)``.

    Raises ValueError for anything else.
    """
    eta = eta_of(eta, theory=True)
    params = MexLinear(
        eta,
        positive("ridge", ridge),
        flag("disjoint", disjoint),
        schedule_of(schedule, eta),
        positive("reference", reference),
    )
    init = init_theory if eta == THEORY else init_given
    return Online(
        params, init, act, regression.update, regression.recommend, propensities, features=True
    )
