"""Bayes-UCB (Kaufmann, Cappe & Garivier 2012, Algorithm 1): pull the largest posterior quantile.

Index of an arm in round t when T rounds will be played::

    quantile of the posterior of its mean at level 1 - 1 / (t * ln(T)^c)

``sigma = 0``: rewards in [0, 1], prior Beta(1, 1), posterior Beta(1 + sum, 1 + pulls - sum).
``sigma > 0``: Gaussian rewards of that standard deviation, flat prior, posterior
N(mean, sigma^2 / pulls). The theorem has ``c = 5``; the paper recommends ``c = 0`` in practice.
With several contexts T is the horizon's share of one; when it is unknown, t stands for T.

Arms never pulled come first, as in all index policies here. For Gaussian rewards that is the flat
prior's doing; the prior for rewards in [0, 1] is proper, and the paper's algorithm would compare
its quantile with the others from the first round on. It costs a pull of each arm.

>>> import banditlab
>>> banditlab.make("bayes_ucb").params
BayesUCB(c=0.0, sigma=0.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab import numeric
from banditlab.core import kernel_inline
from banditlab.parts.index import index_policy, rounds_per_context
from banditlab.protocols.online import ANY_REWARD, UNIT_REWARD, Online
from banditlab.validate import nonnegative

label = "Bayes-UCB"


class BayesUCB(NamedTuple):
    """Hyper-parameters."""

    c: float = 0.0  # >= 0
    sigma: float = 0.0  # >= 0; 0 stands for rewards in [0, 1]


@kernel_inline
def tail(params, task, n):
    """The posterior probability that is left above the index."""
    horizon = rounds_per_context(task) if task.horizon > 0 else n + 1.0
    log_horizon = numeric.log(max(horizon, 3.0))  # at least 1, so that c > 0 never adds optimism
    return 1.0 / ((n + 1.0) * math.pow(log_horizon, params.c))


@kernel_inline
def beta_index(params, tail, mean, inv):
    pulls = 1.0 / inv
    # By symmetry, because 1 - tail would round.
    return 1.0 - numeric.beta_quantile(tail, 1.0 + (1.0 - mean) * pulls, 1.0 + mean * pulls)


@kernel_inline
def normal_level(params, task, n):
    return -numeric.normal_quantile(tail(params, task, n))


@kernel_inline
def normal_index(params, level, mean, inv):
    return mean + params.sigma * math.sqrt(inv) * level


def bayes_ucb(c: float = 0.0, sigma: float = 0.0) -> Online:
    """Bayes-UCB at the quantile 1 - 1 / (t ln(T)^c), ``c`` >= 0.

    ``sigma`` >= 0 is the standard deviation of Gaussian rewards; 0 stands for rewards in [0, 1].
    Raises ValueError when either is negative.
    """
    params = BayesUCB(nonnegative("c", c), nonnegative("sigma", sigma))
    if params.sigma > 0.0:
        return index_policy(params, normal_level, normal_index, ANY_REWARD, in_lanes=False)
    return index_policy(params, tail, beta_index, UNIT_REWARD, in_lanes=False)
