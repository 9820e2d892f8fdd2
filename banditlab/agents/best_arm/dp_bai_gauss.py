"""DP-BAI with Gaussian noise (Chen, Karthik, Chee & Tan 2024): (epsilon, delta)-private.

:mod:`banditlab.agents.best_arm.dp_bai` with noise of another law: a mean of n rewards is released
with a normal of standard deviation sigma / n, where ::

    gauss = "classical":  sigma = sqrt(2 ln(1.25 / delta)) / epsilon    (Dwork & Roth 2014)
    gauss = "analytic":   the smallest sigma that will do               (Balle & Wang 2018)

The first is proved for epsilon < 1 only. Normals drawn as doubles are for simulation, not for a
release: there is no exact discrete sampler here.

The noise of a mean is checked in law, and errors against an earlier program. The default ``delta``
and the noise "analytic" are ours.

>>> dp_bai_gauss(epsilon=0.5, gauss="analytic").params.delta
0.05
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab.agents.best_arm.dp_bai import check_log_base, in_phases
from banditlab.core import kernel
from banditlab.parts.noise import analytic_scale, classical_scale, gaussian_scale
from banditlab.protocols.identify import Identify
from banditlab.random import normal
from banditlab.validate import choice, flag, inside

label = "DP-BAI, Gaussian noise"

example = {"name": "paper_linear"}


class DPBaiGauss(NamedTuple):
    """Hyper-parameters."""

    epsilon: float = 0.5  # > 0; inf: not private
    delta: float = 0.05  # in (0, 1)
    gauss: str = "classical"  # or "analytic"
    allow_loose: bool = False  # whether "classical" may be used beyond its proof
    log_base: float = 2.0  # > 1: of the logarithm of d in the schedule
    tprime: str = "safe"  # or "paper"


@kernel
def classical(params):
    return classical_scale(params.epsilon, params.delta)


@kernel
def analytic(params):
    return analytic_scale(params.epsilon, params.delta)


@kernel
def noisy_gauss(params, scale, rng, total, n):
    # Nothing is drawn without noise, as with the Laplace law.
    return total / n if scale == 0.0 else total / n + scale / n * normal(rng)


def dp_bai_gauss(
    epsilon: float = 0.5,
    delta: float = 0.05,
    gauss: str = "classical",
    allow_loose: bool = False,
    log_base: float = 2.0,
    tprime: str = "safe",
) -> Identify:
    """DP-BAI that spends (``epsilon``, ``delta``) on every reward; ``epsilon`` = inf adds no noise.

    ``epsilon`` > 0, ``delta`` in (0, 1), ``gauss`` "classical" or "analytic" (``epsilon`` at most
    500). The classical noise is not proved private for ``epsilon`` >= 1 and is refused there,
    unless ``allow_loose``. ``log_base`` and ``tprime`` as for ``dp_bai``.

    Raises ValueError for an argument out of range; for features that do not span their space and
    for a horizon too small, naming the smallest, when a run begins.
    """
    gauss = choice("gauss", gauss, ("classical", "analytic"))
    gaussian_scale(epsilon, delta, gauss)  # refuses what is out of range
    params = DPBaiGauss(
        float(epsilon),
        inside("delta", delta, 0.0, 1.0),
        gauss,
        flag("allow_loose", allow_loose),
        check_log_base(log_base),
        choice("tprime", tprime, ("safe", "paper")),
    )
    if gauss == "classical" and 1.0 <= params.epsilon < math.inf and not params.allow_loose:
        raise ValueError(
            "epsilon must be below 1 for the classical Gaussian noise, which is proved private "
            f'there only (gauss="analytic" or allow_loose=True go beyond), got {epsilon!r}'
        )
    scale = classical if gauss == "classical" else analytic
    return in_phases(params, scale, noisy_gauss)
