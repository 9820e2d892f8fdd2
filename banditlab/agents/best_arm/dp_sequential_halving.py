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

from typing import NamedTuple

from banditlab.agents.best_arm.sequential_halving import check, init, most
from banditlab.parts.best_arm import act_round, check_release, private
from banditlab.protocols.identify import Identify

label = "private sequential halving"


class DPSequentialHalving(NamedTuple):
    """Hyper-parameters."""

    epsilon: float = 1.0  # > 0; inf: no noise
    noise: str = "discrete"  # or "fast": see banditlab.parts.noise


def dp_sequential_halving(epsilon: float = 1.0, noise: str = "discrete") -> Identify:
    """Sequential Halving by means with noise of scale 1 / (``epsilon`` n). Rewards in [0, 1].

    ``epsilon`` > 0, where inf stands for no noise. ``noise`` is "discrete", an exact discrete
    Laplace law on a public grid, or "fast", Laplace in floating point, for simulation only. The
    horizon T is at least K ceil(log2 K).

    Raises ValueError for an ``epsilon`` or ``noise`` that is not allowed.
    """
    return private(
        DPSequentialHalving(*check_release(epsilon, noise)), init, act_round, check, most
    )
