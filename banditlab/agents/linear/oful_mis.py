"""OFUL for rewards that are linear up to eps: a radius that grows with the square root of time.

OFUL's beta (:mod:`banditlab.agents.linear.oful`, Abbasi-Yadkori et al. 2011) is enlarged by ``eps``
sqrt(t), t the rewards seen. Reason: if rewards are off by at most eps, the estimate at x is off by
another ::

    eps sum_s abs(x A^-1 x_s)  <=  eps sqrt(t) sqrt(x A^-1 x)

by Cauchy & Schwarz and sum_s x_s x_s' <= A. Ours in this form; the price of not knowing which arms
err is that exploration never ends.

>>> import banditlab
>>> agent = banditlab.Agent("oful_mis", n_arms=2, dim=2, horizon=100, eps=0.1)
>>> agent.update([[1, 0], [0, 1]], arm=1, reward=1.0)
>>> agent.recommend([[1, 0], [0.1, 1]])
array([0., 1.])
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab.agents.linear.oful import acting, init, recommend, shared, update
from banditlab.core import kernel_inline
from banditlab.protocols.online import Online
from banditlab.validate import nonnegative

label = "OFUL, misspecified"


class OFULMis(NamedTuple):
    """Hyper-parameters."""

    eps: float = 0.05  # >= 0: bound on the error of the linear model
    delta: float = 0.0  # in [0, 1): chance of an error; 0: 1 / horizon
    ridge: float = 1.0  # > 0: prior precision
    noise: float = 1.0  # > 0: sub-Gaussian scale of the rewards
    bound: float = 1.0  # > 0: of the norm of the coefficients


@kernel_inline
def error(params, t):
    return params.eps * math.sqrt(t * 1.0)


def oful_mis(
    eps: float = 0.05,
    delta: float = 0.0,
    ridge: float = 1.0,
    noise: float = 1.0,
    bound: float = 1.0,
) -> Online:
    """OFUL for a model that is wrong by ``eps`` >= 0; for ``delta``, ``ridge``,
    ``noise`` and ``bound`` see ``oful``.

    Raises ValueError for a number out of range.
    """
    params = OFULMis(nonnegative("eps", eps), *shared(delta, ridge, noise, bound))
    return Online(params, init, acting(error), update, recommend, features=True)
