"""OFUL (Abbasi-Yadkori, Pal & Szepesvari 2011): optimism in the face of uncertainty, linear.

Pull the arm of the largest x . theta + beta sqrt(x A^-1 x), where A = ridge I + sum x x', theta =
A^-1 sum reward x and ::

    beta = noise sqrt(2 ln(1 / delta) + ln det(A / ridge)) + sqrt(ridge) * bound

is the radius of an ellipsoid that holds the true theta in all rounds at once with probability 1 -
``delta`` (Theorem 2 there), if rewards are linear: where they are not, see
:mod:`banditlab.agents.linear.oful_mis`. This is :mod:`banditlab.agents.linear.linucb` under its own
name, with ``delta`` = 1 / horizon unless it is given.

>>> import banditlab
>>> agent = banditlab.Agent("oful", n_arms=2, dim=2, horizon=100)
>>> agent.update([[1, 0], [0, 1]], arm=1, reward=1.0)
>>> agent.recommend([[1, 0], [0.1, 1]])
array([0., 1.])
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.agents.linear import linucb
from banditlab.core import kernel, kernel_inline
from banditlab.parts import ridge as regression
from banditlab.protocols.online import Online
from banditlab.validate import below_one, positive

label = "OFUL"

UNKNOWN_HORIZON = 1_000_000


class OFUL(NamedTuple):
    """Hyper-parameters."""

    delta: float = 0.0  # in [0, 1): chance of an error; 0: 1 / horizon
    ridge: float = 1.0  # > 0: prior precision
    noise: float = 1.0  # > 0: sub-Gaussian scale of the rewards
    bound: float = 1.0  # > 0: of the norm of the coefficients


class State(NamedTuple):
    """State."""

    model: linucb.State  # regression, and predictions that are kept up
    delta: np.ndarray  # (1,) float64


@kernel_inline
def as_linucb(params, delta, more):
    """The hyper-parameters of LinUCB with OFUL's radius and ``more`` on it, in units of beta."""
    return linucb.LinUCB(
        0.0,
        params.ridge,
        False,
        delta,
        params.noise,
        params.bound + more / math.sqrt(params.ridge),
    )


@kernel_inline
def no_more(params, t):
    return 0.0


@kernel
def init(params, task, rng):
    horizon = task.horizon if task.horizon > 0 else UNKNOWN_HORIZON
    delta = params.delta if params.delta > 0.0 else min(0.5, 1.0 / horizon)
    return State(linucb.init(as_linucb(params, delta, 0.0), task, rng), np.full(1, delta))


@kernel
def update(params, state, t, x, arm, reward, rng):
    linucb.update(as_linucb(params, state.delta[0], 0.0), state.model, t, x, arm, reward, rng)


@kernel
def recommend(params, state, x, rng, out):
    regression.recommend(as_linucb(params, state.delta[0], 0.0), state.model, x, rng, out)


@cache
def acting(more: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel ``act`` for a radius that is larger by ``more(params, t)``, an inline."""

    @kernel
    def act(params, state, t, x, rng):
        known = as_linucb(params, state.delta[0], more(params, t))
        return linucb.act(known, state.model, t, x, rng)

    return act


def shared(delta: float, ridge: float, noise: float, bound: float) -> tuple[float, ...]:
    """OFUL's arguments, checked."""
    return (
        below_one("delta", delta),
        positive("ridge", ridge),
        positive("noise", noise),
        positive("bound", bound),
    )


def oful(delta: float = 0.0, ridge: float = 1.0, noise: float = 1.0, bound: float = 1.0) -> Online:
    """OFUL with 0 <= ``delta`` < 1 (0: 1 / horizon), ``ridge``, ``noise`` and ``bound`` > 0.

    A horizon that is not known counts as a million rounds. Features may change from round to
    round; ties go to the lowest arm. Raises ValueError for a number out of range.
    """
    params = OFUL(*shared(delta, ridge, noise, bound))
    return Online(params, init, acting(no_more), update, recommend, features=True)
