"""Differentially private Sequential Halving: :mod:`sequential_halving` with noisy means.

A baseline of Chen, Karthik, Chee & Tan 2024, "Fixed-Budget Differentially Private Best Arm
Identification" (the halving is that of Karnin, Koren & Somekh 2013). A mean of n fresh rewards is
released as

    mean + Lap(1 / (epsilon n)).

One reward enters one released mean and moves it by at most 1 / n; all else is post-processing.
Hence the arms pulled and the arm named are epsilon-differentially private when one reward is
replaced, whatever the number of rounds. With epsilon = inf nothing is drawn, and every decision is
that of Sequential Halving.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from banditlab.agents.best_arm.sequential_halving import act, check, init, recommend, update_with
from banditlab.core import kernel, kernel_inline
from banditlab.parts.noise import GRID, check_epsilon, release
from banditlab.protocols.identify import Identify
from banditlab.protocols.online import UNIT_REWARD
from banditlab.validate import choice


class DPSequentialHalving(NamedTuple):
    """Hyper-parameters."""

    epsilon: float = 1.0  # > 0; inf: no noise
    noise: str = "discrete"  # or "fast": see banditlab.parts.noise


@kernel_inline
def discrete(params, rng, total, n):  # type: ignore[no-untyped-def]
    return release(True, rng, total, n, params.epsilon)


@kernel_inline
def fast(params, rng, total, n):  # type: ignore[no-untyped-def]
    return release(False, rng, total, n, params.epsilon)


RELEASES = {"discrete": discrete, "fast": fast}


@kernel
def spent(params, state):  # type: ignore[no-untyped-def]
    return params.epsilon


def checked(epsilon: float, noise: str) -> tuple[float, str]:
    """The arguments of an agent that releases noisy means; ValueError if out of range."""
    noise = choice("noise", noise, tuple(RELEASES))
    return check_epsilon("epsilon", epsilon, True, noise == "discrete"), noise


def private(
    params: Any,
    init: Callable[..., Any],
    act: Callable[..., None],
    check: Callable[..., None],
) -> Identify:
    """The agent of ``params`` (epsilon and noise among them) that eliminates by noisy means."""
    return Identify(
        params,
        init,
        act,
        update_with(RELEASES[params.noise]),
        recommend,
        spent=spent,
        rewards=UNIT_REWARD,
        grid=GRID if params.noise == "discrete" else 0.0,
        check=check,
    )


def dp_sequential_halving(epsilon: float = 1.0, noise: str = "discrete") -> Identify:
    """Sequential Halving by means with noise of scale 1 / (``epsilon`` n). Rewards in [0, 1].

    ``epsilon`` > 0, where inf stands for no noise. ``noise`` is "discrete", an exact discrete
    Laplace law on a public grid, or "fast", Laplace in floating point, for simulation only. The
    horizon T is at least K ceil(log2 K).

    Raises ValueError for an ``epsilon`` or ``noise`` that is not allowed.
    """
    return private(DPSequentialHalving(*checked(epsilon, noise)), init, act, check)
