"""Q-learning (Watkins 1989) that now and then does anything at all.

Q begins at 0 and takes steps of max(0.1, 1/N) towards r + max_a Q_{h+1}(s', a). With probability
epsilon an action is drawn evenly, else the greedy one is taken, ties broken once an episode.

What is scored is the greedy policy, which one would use in the end; with ``mixed`` it is what is
really played.

>>> import banditlab
>>> banditlab.make("epsilon_greedy_q", epsilon=0.3).params
EpsilonGreedyQ(epsilon=0.3, mixed=False)
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import kernel
from banditlab.parts import q_tables, tabular
from banditlab.protocols.episodic import Episodic
from banditlab.random import below, uniform
from banditlab.validate import between, flag

label = r"$\varepsilon$-greedy Q"

LEAST = 0.1  # size of a step, at least


class EpsilonGreedyQ(NamedTuple):
    """Hyper-parameters."""

    epsilon: float = 0.1  # in [0, 1], how often an action is drawn evenly
    mixed: bool = False  # whether exploration counts


@kernel
def init(params, task, means, rng):
    q = q_tables.new_tables(params, task, means, rng)
    q.Q[:] = 0.0
    S = q.policy.shape[1]
    for h in range(q.V.shape[0]):
        for s in range(S):
            q.V[h, s] = 0.0
    return q


@kernel
def act(params, state, h, s, rng):
    if uniform(rng) < params.epsilon:
        return below(rng, state.Q.shape[2])
    return state.policy[h, s]


@kernel
def update(params, state, h, s, a, r, after, rng):
    rate = max(LEAST, 1.0 / (state.n[h, s, a] + 1.0))
    q_tables.move(state, h, s, a, r + state.V[h + 1, after], rate)


@kernel
def rule(params, state, out):
    tabular.rule(params, state, out)
    if params.mixed:
        H, S, A = out.shape
        for h in range(H):
            for s in range(S):
                for a in range(A):
                    out[h, s, a] = (1.0 - params.epsilon) * out[h, s, a] + params.epsilon / A


def epsilon_greedy_q(epsilon: float = 0.1, mixed: bool = False) -> Episodic:
    """Epsilon-greedy Q-learning.

    ``epsilon`` in [0, 1]; ``mixed``: whether the regret is that of the play with exploration.
    Raises ValueError otherwise.
    """
    params = EpsilonGreedyQ(between("epsilon", epsilon, 0.0, 1.0), flag("mixed", mixed))
    return Episodic(params, init, q_tables.plan_greedy, act, update, rule)
