"""Q-learning that begins optimistic and has no bonus (Sutton & Barto 1998, section 2.7).

Q_h begins at H - h + 1 and takes steps of one size, Q <- Q + alpha (r + V_{h+1}(s') - Q). The size
must be constant: with 1/N or (H + 1)/(H + N) the first step is 1 and erases all optimism.

>>> import banditlab
>>> agent = banditlab.Agent("optimistic_q", n_states=1, n_actions=2, steps=1)
>>> agent.update(0, 1, 0.0, 0, truncated=True)
>>> agent.state.Q[0, 0]
array([1. , 0.9])
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import kernel
from banditlab.parts import q_tables, tabular
from banditlab.protocols.episodic import Episodic
from banditlab.validate import between, positive

label = "optimistic Q"


class OptimisticQ(NamedTuple):
    """Hyper-parameters."""

    alpha: float = 0.1  # in (0, 1], size of a step


@kernel
def update(params, state, h, s, a, r, after, rng):
    q_tables.move(state, h, s, a, r + state.V[h + 1, after], params.alpha)


def optimistic_q(alpha: float = 0.1) -> Episodic:
    """Optimistic Q-learning with steps of size ``alpha`` in (0, 1]; ValueError otherwise."""
    params = OptimisticQ(between("alpha", positive("alpha", alpha), 0.0, 1.0))
    return Episodic(
        params, q_tables.new_tables, q_tables.plan_greedy, tabular.act, update, tabular.rule
    )
