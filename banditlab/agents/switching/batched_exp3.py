"""Batched Exp3 (Arora, Dekel & Tewari 2012): Exp3 whose rounds are blocks of ``tau`` rounds.

The arm drawn is played for ``tau`` rounds, and Exp3 receives the mean of the block's losses; with N
= ceil(T / tau) blocks::

    p_k ~ exp(-eta * L_k),   L_arm += mean / p_arm,   eta = sqrt(2 ln(K) / (K N))

Regret including switches at price lam is at most T sqrt(2 K ln(K) / N) + lam (N - 1) where tau
divides T. That is least for the block length of :mod:`banditlab.agents.switching.blocked`, of order
(K ln(K))^(1/3) T^(2/3) at price 1, which no algorithm improves on but for the logarithms (Dekel,
Ding, Koren & Peres 2014). The paper's own choice, for price 1, is tau = (7 K ln(K))^(-1/3) T^(1/3),
as far as we know: its text was not at hand.

The bound and its block length are derived here. Arms agree with those of a second implementation.

>>> import banditlab
>>> banditlab.make("batched_exp3", tau="arora").params
BatchedExp3(tau='arora', eta=0.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab import numeric
from banditlab.agents.adversarial.exp3 import exp3
from banditlab.core import kernel_inline
from banditlab.parts.blocks import given_or_tuned, in_blocks
from banditlab.protocols.observe import Observe
from banditlab.validate import integer, nonnegative

label = "batched Exp3"

example = {"name": "deterministic_gap", "n_arms": 3, "gap": 0.2}


class BatchedExp3(NamedTuple):
    """Hyper-parameters."""

    tau: int | str = 0  # >= 0, rounds of a block; 0: tuned; "arora": the paper's
    eta: float = 0.0  # >= 0; 0: the theorem's learning rate


@kernel_inline
def arora_length(params, task):
    K = task.n_arms * 1.0
    wanted = math.pow(task.horizon / (7.0 * K * numeric.log(K)), 1.0 / 3.0)
    return max(1, int(math.floor(wanted + 0.5)))


@kernel_inline
def itself(params):
    """Exp3 reads ``eta`` only."""
    return params


def batched_exp3(tau: int | str = 0, eta: float = 0.0) -> Observe:
    """Exp3 in blocks of ``tau`` >= 0 rounds with learning rate ``eta`` >= 0.

    ``tau = 0`` chooses the block length from horizon and price, ``"arora"`` from the horizon
    alone. ``eta = 0`` stands for the theorem's rate. Losses beyond the budget are not seen.
    Raises ValueError when ``tau`` or ``eta`` is out of range.
    """
    eta = nonnegative("eta", eta)
    if isinstance(tau, str):
        if tau != "arora":
            raise ValueError(f"tau must be an integer of at least 0 or 'arora', got {tau!r}")
        return in_blocks(BatchedExp3(tau, eta), exp3(), arora_length, own=itself)
    params = BatchedExp3(integer("tau", tau, 0), eta)
    return in_blocks(params, exp3(), given_or_tuned, own=itself)
