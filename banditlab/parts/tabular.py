"""What agents for finite decision processes share: counts, the empirical model, greedy choices.

Next states are kept as lists of those that were met, so that a backup costs as many additions as
there are different ones. State ``n_states`` stands for the end of an episode.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel, kernel_in_loop, kernel_inline
from banditlab.protocols.episodic import ceiling, worth_of_end
from banditlab.random import below


class Model(NamedTuple):
    """What was seen, and what was made of it. L is 1 where counts are pooled over steps."""

    n: np.ndarray  # (L, S, A) float64: visits
    inv: np.ndarray  # (L, S, A) float64: 1 / n, 0 before the first
    total: np.ndarray  # (L, S, A) float64: sums of rewards
    r: np.ndarray  # (L, S, A) float64: mean rewards: those told, else those seen, 0 before
    told: np.ndarray  # (1,) bool: whether mean rewards were told
    kinds: np.ndarray  # (L, S, A) int64: different next states met
    succ: np.ndarray  # (L, S, A, D) int64: these, in the order of their first visit
    times: np.ndarray  # (L, S, A, D) float64: how often each was met
    first: np.ndarray  # (S,) float64: how often each state was the first
    cap: np.ndarray  # (H + 1,) float64: no value of steps h, h + 1, ... is larger
    Q: np.ndarray  # (H, S, A) float64: values of the plan; begins at its cap
    V: np.ndarray  # (H + 1, S + 1) float64: the last row is 0, the last column the end's
    policy: np.ndarray  # (H, S) int64: the plan
    facts: np.ndarray  # (2,) int64: next states there may be, with the end; number of episodes


@kernel
def new_model(params, task, means, rng):
    """``init``: nothing seen, and hope for the best."""
    H, S, A = task.steps, task.n_states, task.n_actions
    L = 1 if task.pooled else H
    D = (task.outcomes if task.outcomes > 0 else S) + 1
    m = Model(
        np.zeros((L, S, A)),
        np.zeros((L, S, A)),
        np.zeros((L, S, A)),
        np.zeros((L, S, A)),
        np.zeros(1, np.bool_),
        np.zeros((L, S, A), np.int64),
        np.zeros((L, S, A, D), np.int64),
        np.zeros((L, S, A, D)),
        np.zeros(S),
        np.zeros(H + 1),
        np.zeros((H, S, A)),
        np.zeros((H + 1, S + 1)),
        np.zeros((H, S), np.int64),
        np.array([S + (1 if task.ends else 0), task.horizon]),
    )
    hope(task, m.cap, m.Q, m.V)
    if means.size > 0:
        m.told[0] = True
        for i in range(L):
            for s in range(S):
                for a in range(A):
                    m.r[i, s, a] = means[i if means.shape[0] > 1 else 0, s, a]
    return m


@kernel
def hope(task, cap, Q, V):
    """Fill caps, and values with them; what has ended has its own worth."""
    H, S, A = Q.shape
    for h in range(H + 1):
        cap[h] = ceiling(task, h)
        V[h, S] = worth_of_end(task, h)
        for s in range(S):
            V[h, s] = cap[h] if h < H else 0.0
            if h < H:
                for a in range(A):
                    Q[h, s, a] = cap[h]


@kernel_in_loop
def see(params, m, h, s, a, r, after, rng):
    """``update``: count a transition."""
    i = h if m.n.shape[0] > 1 else 0
    m.n[i, s, a] += 1.0
    m.inv[i, s, a] = 1.0 / m.n[i, s, a]
    m.total[i, s, a] += r
    if not m.told[0]:
        m.r[i, s, a] = m.total[i, s, a] / m.n[i, s, a]
    j = 0
    kinds = m.kinds[i, s, a]
    while j < kinds and m.succ[i, s, a, j] != after:
        j += 1
    if j == kinds:
        j = min(j, m.succ.shape[3] - 1)  # there is room, unless a saved agent was forged
        m.succ[i, s, a, j] = after
        m.kinds[i, s, a] = j + 1
    m.times[i, s, a, j] += 1.0
    if h == 0:
        m.first[s] += 1.0


@kernel_inline
def ahead(succ, times, kinds, i, s, a, then):
    """Sum of the values ``then`` (S + 1,) of all next states met, to be divided by n.

    It is handed the model's arrays, not the model: to pass a tuple of arrays costs more than this.
    """
    total = 0.0
    for j in range(kinds[i, s, a]):
        total += times[i, s, a, j] * then[succ[i, s, a, j]]
    return total


@kernel_inline
def untried(told, r, cap, i, h, s, a):
    """Q of a pair without data: the cap, or what is known of its reward and the cap after it."""
    return min(cap[h], r[i, s, a] + cap[h + 1]) if told[0] else cap[h]


@kernel
def tied(Q, h, s, most, ties, rng):
    """One of the ``ties`` actions whose value is ``most``; one word of luck."""
    left = below(rng, ties)
    for a in range(Q.shape[2]):
        if Q[h, s, a] == most:
            if left == 0:
                return a
            left -= 1
    return 0


@kernel
def choose(Q, h, policy, rng):
    """Plan the action of the largest value in every state of step h; ties go by luck.

    The loop over states is in here, as a call for each would cost more than the comparisons.
    """
    S, A = Q.shape[1], Q.shape[2]
    for s in range(S):
        most = Q[h, s, 0]
        chosen = 0
        ties = 1
        for a in range(1, A):
            q = Q[h, s, a]
            if q > most:
                most = q
                chosen = a
                ties = 1
            elif q == most:
                ties += 1
        policy[h, s] = tied(Q, h, s, most, ties, rng) if ties > 1 else chosen


@kernel
def settle(Q, V, policy, h, rng):
    """Plan the greedy action of every state in step h, and take its value."""
    choose(Q, h, policy, rng)
    for s in range(policy.shape[1]):
        V[h, s] = Q[h, s, policy[h, s]]


@kernel_in_loop
def act(params, state, h, s, rng):
    """``act`` of who has planned an action for every state and step."""
    return state.policy[h, s]


@kernel
def rule(params, state, out):
    """``rule`` of the same."""
    H, S, A = out.shape
    for h in range(H):
        for s in range(S):
            for a in range(A):
                out[h, s, a] = 0.0
            out[h, s, state.policy[h, s]] = 1.0
