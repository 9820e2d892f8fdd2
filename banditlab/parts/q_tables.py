"""What agents share that learn values directly, without a model: a table of Q for every step.

Values differ between steps whatever the dynamics do, so these agents have a table per step even
where others pool their counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.tabular import choose, hope


class QTables(NamedTuple):
    """What was learned."""

    Q: np.ndarray  # (H, S, A) float64
    n: np.ndarray  # (H, S, A) float64: visits
    cap: np.ndarray  # (H + 1,) float64: no value of steps h, h + 1, ... is larger
    V: np.ndarray  # (H + 1, S + 1) float64: value of each state; the last column is the end's
    policy: np.ndarray  # (H, S) int64: the greedy action, ties broken for the episode
    facts: np.ndarray  # (1,) int64: number of episodes


@kernel
def new_tables(params, task, means, rng):
    """``init``: every value at its cap."""
    H, S, A = task.steps, task.n_states, task.n_actions
    q = QTables(
        np.zeros((H, S, A)),
        np.zeros((H, S, A)),
        np.zeros(H + 1),
        np.zeros((H + 1, S + 1)),
        np.zeros((H, S), np.int64),
        np.full(1, task.horizon),
    )
    hope(task, q.cap, q.Q, q.V)
    return q


@kernel
def plan_greedy(params, state, k, rng):
    """``plan``: the greedy policy of Q as it stands."""
    Q, policy = state.Q, state.policy
    for h in range(policy.shape[0]):
        choose(Q, h, policy, rng)


@kernel
def move(state, h, s, a, target, rate):
    """Take Q a step of size ``rate`` towards ``target``, and V along, up to the cap."""
    Q, V = state.Q, state.V
    state.n[h, s, a] += 1.0
    Q[h, s, a] += rate * (target - Q[h, s, a])
    most = Q[h, s, 0]
    for b in range(1, Q.shape[2]):
        most = max(most, Q[h, s, b])
    V[h, s] = min(state.cap[h], most)
