"""Exp3 (Auer, Cesa-Bianchi, Freund & Schapire 2002), exponential weights for adversarial rewards.

In the loss form without mixing (Bubeck & Cesa-Bianchi 2012, Figure 3.1 and Theorem 3.1)::

    p_k ~ exp(-eta * L_k),   L_arm += (1 - reward) / p_arm

When the learning rate ``eta`` is 0 the theorem's is taken: sqrt(2 ln(K) / (K T)) for K arms and T
rounds, with regret at most sqrt(2 K T ln(K)); and sqrt(ln(K) / (K t)) in round t when the horizon
is unknown, with regret at most 2 sqrt(K T ln(K)). With several contexts T is the horizon's share
of one.

Compared decision by decision with a public implementation: they agree.

>>> import banditlab
>>> agent = banditlab.Agent("exp3", n_arms=2, eta=0.5)
>>> agent.update(None, 0, reward=0.0)  # loss 1, of probability 1/2: L = [2, 0]
>>> agent.propensities().round(4)
array([0.2689, 0.7311])
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab import numeric
from banditlab.core import kernel_inline
from banditlab.parts.index import rounds_per_context
from banditlab.parts.weights import weight_policy
from banditlab.protocols.online import Online
from banditlab.validate import nonnegative


class Exp3(NamedTuple):
    """Hyper-parameters."""

    eta: float = 0.0  # >= 0; 0: the theorem's learning rate


@kernel_inline
def rate(params, task, n):
    # A known horizon T allows the rate that t = T / 2 would have.
    t = 0.5 * rounds_per_context(task) if task.horizon > 0 else n + 1.0
    tuned = math.sqrt(numeric.log(task.n_arms * 1.0) / (task.n_arms * t))
    return params.eta if params.eta > 0.0 else tuned


@kernel_inline
def weight(rate, z):
    return numeric.exp(-rate * z)


@kernel_inline
def estimate(rate, p, loss, played):
    return loss / p if played else 0.0


def exp3(eta: float = 0.0) -> Online:
    """Exp3 with learning rate ``eta`` >= 0, where 0 stands for the theorem's. Rewards in [0, 1].

    Raises ValueError when ``eta`` is negative.
    """
    return weight_policy(Exp3(nonnegative("eta", eta)), rate, estimate, weight)
