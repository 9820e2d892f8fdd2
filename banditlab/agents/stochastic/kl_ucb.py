"""KL-UCB (Garivier & Cappe 2011, Algorithm 1): the largest mean that the data do not rule out.

Index of an arm in round t, where d is the divergence between two reward distributions of the
given means::

    max {q : pulls * d(mean, q) <= ln(t) + c * ln(ln(t))}

``sigma = 0``: rewards in [0, 1] and the Bernoulli divergence. ``sigma > 0``: Gaussian rewards of
that standard deviation, d(p, q) = (p - q)^2 / (2 sigma^2), so that the index is
mean + sigma sqrt(2 (ln(t) + ...) / pulls). The theorem has ``c = 3``; the paper recommends
``c = 0`` in practice.

Compared decision by decision with a public implementation: they agree.

>>> import banditlab
>>> banditlab.make("kl_ucb").params
KLUCB(c=0.0, sigma=0.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab import numeric
from banditlab.core import kernel_inline
from banditlab.parts.many_arms import bounded_index_policy
from banditlab.protocols.online import UNIT_REWARD, Online
from banditlab.validate import nonnegative

label = "KL-UCB"

ALMOST_ONE = 1.0 - 1e-15
TINY = 1e-300  # makes 0 / 0 at q = p a 0


class KLUCB(NamedTuple):
    """Hyper-parameters."""

    c: float = 0.0  # >= 0
    sigma: float = 0.0  # >= 0; 0 stands for rewards in [0, 1]


@kernel_inline
def clock(params, task, n):
    log_t = numeric.log(n + 1.0)
    # ln(ln(t)) is negative before t = 3, and log is meaningless at ln(1) = 0.
    twice = numeric.log(log_t) if log_t > 1.0 else 0.0
    return log_t + params.c * twice


@kernel_inline
def halley_step(q, p, miss, level):
    """Halley's correction of ``q`` towards KL(p, q) = bound, kept in [p, ALMOST_ONE]."""
    excess = -p * numeric.log(q) - miss * numeric.log(1.0 - q) - level
    shift = q - p
    rest = 1.0 - q
    bend = p * rest * rest + miss * q * q
    q = q - 2.0 * excess * shift * q * rest / (2.0 * shift * shift - excess * bend + TINY)
    q = q if q > p else p
    return q if q < ALMOST_ONE else ALMOST_ONE


@kernel_inline
def bernoulli_upper(p, bound):
    """The largest q in [p, 1] with KL(Bernoulli(p) || Bernoulli(q)) <= bound, short of 1 by 1e-15.

    Two steps of Halley's method, whose error is then below 1e-8, from the smaller of two upper
    bounds: KL >= (q - p)^2 / (2 q (1 - p)), sharp for a small ``bound``, and
    KL >= -(1 - p) log(1 - q) - entropy(p), sharp for a large one. There is no branch and no loop,
    so that loops over this function become SIMD code.
    """
    p = p if p > 0.0 else 0.0  # rounding may leave [0, 1]
    p = p if p < ALMOST_ONE else ALMOST_ONE
    miss = 1.0 - p
    level = bound - p * numeric.log(p) - miss * numeric.log(miss)
    b = bound * miss
    q = p + b + math.sqrt(b * (b + 2.0 * p))
    other = 1.0 - numeric.exp(-level / miss)
    q = q if q < other else other
    q = q if q < ALMOST_ONE else ALMOST_ONE
    q = halley_step(q, p, miss, level)
    return halley_step(q, p, miss, level)


@kernel_inline
def bernoulli_index(params, clock, mean, inv):
    return bernoulli_upper(mean, clock * inv)


@kernel_inline
def bernoulli_bound(params, clock, mean, inv):
    # The exact index rises with the clock, and that of either clock is off by less than 1e-8.
    q = bernoulli_index(params, clock, mean, inv) + 2e-8
    return q if q < ALMOST_ONE else ALMOST_ONE


@kernel_inline
def gaussian_index(params, clock, mean, inv):
    return mean + params.sigma * math.sqrt(2.0 * clock * inv)


def kl_ucb(c: float = 0.0, sigma: float = 0.0) -> Online:
    """KL-UCB with threshold ln(t) + ``c`` ln(ln(t)), ``c`` >= 0.

    ``sigma`` >= 0 is the standard deviation of Gaussian rewards; 0 stands for rewards in [0, 1].
    Raises ValueError when either is negative.
    """
    params = KLUCB(nonnegative("c", c), nonnegative("sigma", sigma))
    if params.sigma > 0.0:
        return bounded_index_policy(params, clock, gaussian_index, bound=gaussian_index)
    return bounded_index_policy(
        params, clock, bernoulli_index, bernoulli_bound, UNIT_REWARD, many=48
    )
