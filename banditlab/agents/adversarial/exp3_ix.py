"""Exp3-IX (Neu 2015, Algorithm 1): Exp3 with implicit exploration, safe with high probability.

    p_k ~ exp(-eta * L_k),   L_arm += (1 - reward) / (p_arm + eta / 2)

The bias of the estimate keeps it below 2 / eta, so that its variance cannot spoil single runs. The
learning rate is that of ``exp3``: ``eta``, or, when that is 0, sqrt(2 ln(K) / (K T)) for a known
horizon T and sqrt(ln(K) / (K t)) otherwise (Theorem 1 and Corollary 1 with gamma = eta / 2).

Compared decision by decision with a public implementation: they agree.

>>> import banditlab
>>> banditlab.make("exp3_ix").params
Exp3IX(eta=0.0)
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.agents.adversarial.exp3 import implicit, rate, weight
from banditlab.parts.weights import weight_policy
from banditlab.protocols.online import Online
from banditlab.validate import nonnegative

label = "Exp3-IX"


class Exp3IX(NamedTuple):
    """Hyper-parameters."""

    eta: float = 0.0  # >= 0; 0: the theorem's learning rate


def exp3_ix(eta: float = 0.0) -> Online:
    """Exp3-IX with learning rate ``eta`` >= 0, where 0 stands for the theorem's; rewards in [0, 1].

    Raises ValueError when ``eta`` is negative.
    """
    return weight_policy(Exp3IX(nonnegative("eta", eta)), rate, implicit, weight)
