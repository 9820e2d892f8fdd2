"""Differentially private uniform design: :mod:`uniform_design` with noisy means.

A baseline of the kind that Chen, Karthik, Chee & Tan 2024 ("Fixed-Budget Differentially Private
Best Arm Identification") compare with: each of K arms gets n = floor(T / K) pulls, its mean is
released with noise Lap(1 / (epsilon n)), and the arm of the largest is named. Private as
:mod:`dp_sequential_halving` is.

Of two arms whose rewards sum to S1 and S2 the second is named with probability
Q(epsilon (S1 - S2)), where Q(x) = exp(-x) (1 + x / 2) / 2 for x >= 0 and Q(-x) = 1 - Q(x).
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.parts.best_arm import (
    act_round,
    check_even,
    check_release,
    init_once,
    most_even,
    private,
)
from banditlab.protocols.identify import Identify

label = "private uniform design"


class DPUniform(NamedTuple):
    """Hyper-parameters."""

    epsilon: float = 1.0  # > 0; inf: no noise
    noise: str = "discrete"  # or "fast": see banditlab.parts.noise


def dp_uniform(epsilon: float = 1.0, noise: str = "discrete") -> Identify:
    """Uniform design by means with noise of scale 1 / (``epsilon`` n). Rewards in [0, 1].

    ``epsilon`` > 0, where inf stands for no noise. ``noise`` is "discrete", an exact discrete
    Laplace law on a public grid, or "fast", Laplace in floating point, for simulation only. The
    horizon is at least the number of arms.

    Raises ValueError for an ``epsilon`` or ``noise`` that is not allowed.
    """
    params = DPUniform(*check_release(epsilon, noise))
    return private(params, init_once, act_round, check_even, most_even)
