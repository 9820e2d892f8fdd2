"""MEX, maximize to explore, for two-player zero-sum Markov games (Liu et al. 2023).

The paper lets the max player take the hypothesis of the largest max-min value minus eta times its
loss, and an exploiter the one under which that player's mixture is worth least. As for one player
(``mex_mf``) the losses of tables turn into bonuses, which is our reduction. For steps h from the
last to the first, with rewards in [0, 1], means over the n visits of a pair (a, b), and caps::

    up(s, a, b) = min(H - h + 1, mean reward + mean V_up(after) + 1 / (4 eta n))    n = 0: the cap
    mu(s), V_up(s)  the max-min mixture of rows of up(s), and what it guarantees

    low(s, a, b) = max(0, mean reward + mean V_low(after) - 1 / (4 eta n))          n = 0: 0
    nu(s), V_low(s)  the column of the least sum_a mu(a) low(s, a, b), and that sum

Episodes are played by mu against nu, both of them this agent's: it acts by ``a * columns + b``,
and a is what it is judged by. Of several max-min mixtures the middle one is played where there are
two rows (banditlab.parts.zero_sum); equal columns are drawn. ``eta = inf`` plays the mixtures of
the means, once every pair that it meets was tried. A problem that is no game has one column.

>>> import banditlab
>>> agent = banditlab.Agent("mex_mg", n_states=1, n_actions=4, steps=1, columns=2)
>>> agent.policy()[0, 0].reshape(2, 2).sum(axis=1)  # nothing known yet: even odds of the rows
array([0.5, 0.5])
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts import tabular, zero_sum
from banditlab.parts.mex import eta_of, given_pace, schedule_of, width
from banditlab.protocols.episodic import Episodic
from banditlab.random import uniform
from banditlab.validate import positive

label = "MEX for games"

example = {"name": "markov_game", "n_states": 2, "rows": 2, "columns": 2, "steps": 2}


class MexMG(NamedTuple):
    """Hyper-parameters."""

    eta: float  # > 0, or inf
    schedule: int  # place in banditlab.parts.mex.SCHEDULES
    reference: float  # > 0: the episode at which eta is meant, read by the schedule "sqrt"


class State(NamedTuple):
    """What was seen, and what both players make of it."""

    model: tabular.Model  # counts; its Q and V are those of the max player
    low: np.ndarray  # (A, B) float64: scratch, what the exploiter believes
    V_low: np.ndarray  # (H + 1, S + 1) float64: what it believes the plan is worth
    cost: np.ndarray  # (1, 1, B) float64: scratch, minus what each column costs its player
    mu: np.ndarray  # (H, S, A) float64: mixtures of rows
    nu: np.ndarray  # (H, S) int64: columns
    pace: np.ndarray  # (2,) float64: see banditlab.parts.mex


@kernel
def init(params, task, means, rng):
    model = tabular.new_model(params, task, means, rng)
    H, S, B = task.steps, task.n_states, task.columns
    A = task.n_actions // B
    V_low = np.zeros((H + 1, S + 1))
    for h in range(H + 1):
        V_low[h, S] = model.V[h, S]
    pace = given_pace(params.eta, params.schedule, params.reference)
    mu, nu = np.full((H, S, A), 1.0 / A), np.zeros((H, S), np.int64)
    return State(model, np.zeros((A, B)), V_low, np.zeros((1, 1, B)), mu, nu, pace)


@kernel
def plan(params, state, k, rng):
    chosen = np.zeros((1, 1), np.int64)
    m, low, cost, V_low = state.model, state.low, state.cost, state.V_low
    told, r, n, kinds, succ, times = m.told, m.r, m.n, m.kinds, m.succ, m.times
    cap, Q, V = m.cap, m.Q, m.V
    H, S, A = state.mu.shape
    B = cost.shape[2]
    spread = width(state.pace, k)
    for h in range(H - 1, -1, -1):
        i = h if n.shape[0] > 1 else 0
        for s in range(S):
            for pair in range(A * B):
                up = tabular.untried(told, r, cap, i, h, s, pair)
                down = max(0.0, r[i, s, pair])
                if n[i, s, pair] > 0.0:
                    hope = tabular.ahead(succ, times, kinds, i, s, pair, V[h + 1]) + spread
                    fear = tabular.ahead(succ, times, kinds, i, s, pair, V_low[h + 1]) - spread
                    up = min(cap[h], r[i, s, pair] + hope / n[i, s, pair])
                    down = max(0.0, r[i, s, pair] + fear / n[i, s, pair])
                Q[h, s, pair] = up
                low[pair // B, pair % B] = down
            mu = state.mu[h, s]
            V[h, s], _ = zero_sum.solve(Q[h, s].reshape((A, B)), mu, zero_sum.GAP)
            for b in range(B):
                cost[0, 0, b] = 0.0
                for a in range(A):
                    cost[0, 0, b] -= mu[a] * low[a, b]
            tabular.choose(cost, 0, chosen, rng)
            b = chosen[0, 0]
            state.nu[h, s] = b
            V_low[h, s] = -cost[0, 0, b]


@kernel
def act(params, state, h, s, rng):
    A = state.mu.shape[2]
    u = uniform(rng)
    a = 0
    reached = state.mu[h, s, 0]
    while a < A - 1 and u >= reached:
        a += 1
        reached += state.mu[h, s, a]
    return a * state.cost.shape[2] + state.nu[h, s]


@kernel
def update(params, state, h, s, a, r, after, rng):
    tabular.see(params, state.model, h, s, a, r, after, rng)


@kernel
def rule(params, state, out):
    H, S, AB = out.shape
    B = state.cost.shape[2]
    for h in range(H):
        for s in range(S):
            for pair in range(AB):
                played = pair % B == state.nu[h, s]
                out[h, s, pair] = state.mu[h, s, pair // B] if played else 0.0


def mex_mg(
    eta: float = 0.3, schedule: str | int = "constant", reference: float = 1000.0
) -> Episodic:
    """MEX for games with ``eta`` > 0, or inf for the means.

    ``schedule`` "constant", or "sqrt" for ``eta * sqrt(reference / episode)``. Raises ValueError
    for anything else.
    """
    eta = float(eta_of(eta))
    params = MexMG(eta, schedule_of(schedule, eta), positive("reference", reference))
    return Episodic(params, init, plan, act, update, rule)
