"""Arms that are trajectories: who judges sees whole sequences of rewards, not single ones.

Row k of ``rewards`` (n_arms, H) is what trajectory k earns step by step; its return R is the sum.
The judges, after Swamy, Dann, Kidambi, Wu & Agarwal 2024, "A minimaximalist approach to
reinforcement learning from human feedback":

* ``return``: prefers the larger R; a tie where they are equal;
* ``logistic``: P = 1 / (1 + exp(-(R_i - R_j) / temperature)), as reward models have it;
* ``quarter``: not Markovian. A trajectory is allowed if it earns at most ``threshold`` in its last
  quarter. Allowed beats not allowed; of two that are allowed the one that earns more in the first
  three quarters is preferred, of two that are not the one that earns less in the last (the last
  rule is ours). No sum of rewards per step has this order.

>>> duel_trajectories([[1, 1, 1, 0], [2, 2, 2, 5]], "quarter").params.matrices[0].tolist()
[[0.5, 1.0], [0.0, 0.5]]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from banditlab.parts.preferences import preferences
from banditlab.protocols.duel import Preferences
from banditlab.validate import choice, number, positive

JUDGES = ("return", "logistic", "quarter")
example = {"rewards": [[1, 1, 1, 0], [2, 2, 2, 5], [1, 1, 2, 0], [0, 1, 0, 1]], "judge": "quarter"}


def duel_trajectories(
    rewards: Any,
    judge: str = "return",
    temperature: float = 1.0,
    threshold: float = 0.0,
    flip: float = 0.0,
) -> Preferences:
    """``rewards``: (n_arms, H) numbers, H at least 1, or 4 where ``judge`` is "quarter".

    ``temperature`` > 0 and ``threshold`` are those of the judges above; ``flip`` in [0, 1/2) is how
    often the answer is turned round. Where two trajectories tie, the answer is a tie.
    """
    try:
        earned = np.array(rewards, dtype=np.float64)
    except (TypeError, ValueError):
        earned = np.empty(0)
    if earned.ndim != 2 or 0 in earned.shape or not np.isfinite(earned).all():
        raise ValueError("rewards must have a row per trajectory and a number per step")
    H = earned.shape[1]
    judge = choice("judge", judge, JUDGES)
    heat, most = positive("temperature", temperature), number("threshold", threshold)
    if judge == "quarter":
        if H < 4:
            raise ValueError(f"quarter needs at least 4 steps, got {H}")
        late = earned[:, 3 * H // 4 :].sum(axis=1)
        early = earned[:, : 3 * H // 4].sum(axis=1)
        allowed = late <= most
        rank = np.lexsort((np.where(allowed, early, -late), allowed))
        keys = np.column_stack([allowed, np.where(allowed, early, -late)])[rank]
        new = np.append(False, (keys[1:] != keys[:-1]).any(axis=1))
        value = np.empty(len(earned))
        value[rank] = np.cumsum(new)
    else:
        value = earned.sum(axis=1)
    above = np.subtract.outer(value, value)
    if judge == "logistic":
        return preferences(0.5 + 0.5 * np.tanh(0.5 * above / heat), flip=flip)
    P = 0.5 + 0.5 * np.sign(above)
    return preferences(P, ties=(above == 0.0).astype(float), flip=flip)
