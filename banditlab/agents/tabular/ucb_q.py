"""Q-learning with upper confidence bounds, UCB-H (Jin, Allen-Zhu, Bubeck & Jordan 2018).

Q_h begins at H - h + 1. On the N-th visit of a pair, with the step size (H + 1) / (H + N),

    Q <- Q + (H + 1)/(H + N) (r + V_{h+1}(s') + b - Q),   b = c sqrt(H^3 ln(S A K H / delta) / N),

and V = min(H - h + 1, max_a Q). The theory has c = 1 (arXiv 1807.03765); what is run in practice
has c of 0.001 to 0.01. K is the number of episodes, which it needs to know.

>>> import banditlab
>>> banditlab.make("ucb_q", c=1.0).params
UCBQ(c=1.0, delta=0.05)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts import q_tables, tabular
from banditlab.protocols.episodic import Episodic
from banditlab.validate import inside, positive

label = "UCB-H"


class UCBQ(NamedTuple):
    """Hyper-parameters."""

    c: float = 0.001  # > 0, size of the bonus; 1 in theory
    delta: float = 0.05  # in (0, 1), probability that a bound fails


@kernel
def update(params, state, h, s, a, r, after, rng):
    H, S, A = state.Q.shape
    N = state.n[h, s, a] + 1.0
    log = numeric.log(1.0 * S * A * H * state.facts[0] / params.delta)
    bonus = params.c * math.sqrt(1.0 * H * H * H * log / N)
    target = r + state.V[h + 1, after] + bonus
    q_tables.move(state, h, s, a, target, (H + 1.0) / (H + N))


def _needs_horizon(task: Any) -> None:
    if task.horizon < 1:
        raise ValueError("ucb_q needs the number of episodes: give horizon")


def ucb_q(c: float = 0.001, delta: float = 0.05) -> Episodic:
    """UCB-H.

    ``c > 0`` scales the bonus, ``delta`` in (0, 1) is the probability that a bound may fail.
    Raises ValueError otherwise.
    """
    params = UCBQ(positive("c", c), inside("delta", delta, 0.0, 1.0))
    return Episodic(
        params, q_tables.new_tables, q_tables.plan_greedy, tabular.act, update, tabular.rule,
        _needs_horizon,
    )  # fmt: skip
