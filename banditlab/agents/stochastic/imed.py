"""IMED, indexed minimum empirical divergence (Honda & Takemura 2015, Algorithm 1).

Pull the arm of the smallest::

    pulls * d(mean, best) + ln(pulls)

where best is the largest empirical mean and d the divergence between two reward distributions of
the given means. ``sigma = 0``: rewards in [0, 1] and the Bernoulli divergence. ``sigma > 0``:
Gaussian rewards of that standard deviation, d(p, q) = (p - q)^2 / (2 sigma^2). It needs neither a
clock nor an optimisation, and meets the Lai-Robbins bound.

>>> import banditlab
>>> banditlab.make("imed").params
IMED(sigma=0.0)
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab import numeric
from banditlab.core import kernel_inline
from banditlab.parts.index import index_policy, leader
from banditlab.protocols.online import ANY_REWARD, UNIT_REWARD, Online
from banditlab.validate import nonnegative

label = "IMED"


class IMED(NamedTuple):
    """Hyper-parameters."""

    sigma: float = 0.0  # >= 0; 0 stands for rewards in [0, 1]


@kernel_inline
def bernoulli_index(params, best, mean, inv):
    """The negative of the paper's index, so that the largest wins as in any index policy."""
    p = mean if mean > 0.0 else 0.0  # rounding may leave [0, 1]
    p = p if p < 1.0 else 1.0
    return numeric.log(inv) - numeric.bernoulli_kl(p, best) / inv


@kernel_inline
def gaussian_index(params, best, mean, inv):
    z = (best - mean) / params.sigma
    return numeric.log(inv) - 0.5 * z * z / inv


def imed(sigma: float = 0.0) -> Online:
    """IMED for Gaussian rewards of standard deviation ``sigma``, or rewards in [0, 1] when 0.

    Raises ValueError when ``sigma`` is negative.
    """
    params = IMED(nonnegative("sigma", sigma))
    if params.sigma > 0.0:
        return index_policy(params, leader, gaussian_index, ANY_REWARD)
    return index_policy(params, leader, bernoulli_index, UNIT_REWARD)
