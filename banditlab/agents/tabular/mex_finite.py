"""MEX, maximize to explore, with a finite class of models (Liu et al. 2023).

Before every episode take the model i of the largest::

    V_i - eta * L_i        L_i = - sum of ln P_i(after | h, s, a) over all transitions so far

where V_i is what its best policy is worth under it from where episodes begin (from state 0 before
the first, then the mean over those seen), and play that policy. With ``likelihood``
"bernoulli" or "gaussian" L_i has the log loss of rewards, too: for classes whose rewards differ.
Of equals the first of the class is taken, so its order matters; and the first of equal actions.

``eta = inf`` looks at the likelihood alone: the control, which never tries an arm that no reward
speaks for. A model whose probability of what happened is 0 counts as 1e-300; ``impossible`` of the
state counts transitions that no model allows: then the class is misspecified, and an agent in other
code warns, once.

The class is a table that names one of banditlab.parts.hypotheses, ``{"name": "hidden_arm",
"n_arms": 10}`` or ``{"name": "linear_mixture", ...}``, or your own arrays:

>>> import banditlab, numpy as np
>>> swap = np.eye(2)[[[1, 0], [0, 1]]]  # (states, actions, next): action 0 changes the state
>>> same = np.eye(2)[[[0, 1], [1, 0]]]  # action 1 does
>>> agent = banditlab.Agent(
...     "mex_finite", n_states=2, n_actions=2, steps=2, eta=0.1,
...     transitions=[same, swap], rewards=[[0.0, 0.0], [1.0, 0.2]],  # state 1 is worth reaching
... )
>>> agent.act(0)  # both promise as much: the first of the class
1
>>> agent.update(0, 1, 0.0, after=0)  # but action 1 changed nothing
>>> agent.t, agent.state.loss.round(1)
(0, array([690.8,   0. ]))
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.hypotheses import checked, named
from banditlab.parts.mex import eta_of, given_pace, schedule_of, width
from banditlab.parts.modes import place
from banditlab.protocols.episodic import Episodes, Episodic, worth_of_end
from banditlab.validate import positive

label = "finite MEX"

example = {"name": "hidden_arm", "n_arms": 10, "hidden": 10}

LIKELIHOODS = ("none", "bernoulli", "gaussian")  # a code is a place here
LEAST = 1e-300  # what probabilities are clipped to


class MexFinite(NamedTuple):
    """Hyper-parameters."""

    transitions: np.ndarray  # (N, L, S, A, S + 1) float64: see banditlab.parts.hypotheses
    rewards: np.ndarray  # (N, L, S, A) float64: means, in the unit of the task's low and high
    eta: float  # > 0, or inf
    likelihood: int  # of rewards, a place in LIKELIHOODS
    sigma: float  # > 0: standard deviation of Gaussian rewards, in the same unit
    schedule: int  # place in banditlab.parts.mex.SCHEDULES
    reference: float  # > 0: the episode at which eta is meant, read by the schedule "sqrt"


class State(NamedTuple):
    """What every model promises, and how badly it fits."""

    value: np.ndarray  # (N,) float64: V_i
    begun: np.ndarray  # (1,) float64: episodes whose first state was seen
    worth: np.ndarray  # (N, S) float64: of the first step, by state
    policy: np.ndarray  # (N, H, S) int64: the policy that attains it
    loss: np.ndarray  # (N,) float64: L_i
    log_p: np.ndarray  # (L, S, A, S + 1, N) float64: the model last, for it is summed along
    mean: np.ndarray  # (L, S, A, N) float64: mean rewards, scaled as those that are seen
    sigma: np.ndarray  # (1,) float64: the same of their standard deviation
    chosen: np.ndarray  # (1,) int64: the model of this episode
    impossible: np.ndarray  # (1,) float64: transitions that no model allows
    pace: np.ndarray  # (2,) float64: see banditlab.parts.mex


@kernel
def init(params, task, means, rng):
    N, L, S, A, _ = params.transitions.shape
    H = task.steps
    s = State(
        np.zeros(N),
        np.zeros(1),
        np.zeros((N, S)),
        np.zeros((N, H, S), np.int64),
        np.zeros(N),
        np.zeros((L, S, A, S + 1, N)),
        np.zeros((L, S, A, N)),
        np.full(1, params.sigma / (task.high - task.low)),
        np.zeros(1, np.int64),
        np.zeros(1),
        given_pace(params.eta, params.schedule, params.reference),
    )
    scaled = np.empty((L, S, A))
    for i in range(N):
        for h in range(L):
            for x in range(S):
                for a in range(A):
                    scaled[h, x, a] = (params.rewards[i, h, x, a] - task.low) / (
                        task.high - task.low
                    )
                    s.mean[h, x, a, i] = scaled[h, x, a]
                    for y in range(S + 1):
                        p = params.transitions[i, h, x, a, y]
                        s.log_p[h, x, a, y, i] = numeric.log(max(p, LEAST))
        solve(params.transitions[i], scaled, task, s.policy[i], s.worth[i])
        s.value[i] = s.worth[i, 0]
    return s


@kernel
def solve(P, R, task, policy, worth):
    """Fill the best ``policy`` (H, S) of a model, and what states are ``worth`` (S,) at first."""
    L, S, A, _ = P.shape
    V = np.zeros(S + 1)
    Q = np.zeros(S)
    for h in range(policy.shape[0] - 1, -1, -1):
        V[S] = worth_of_end(task, h + 1)
        for s in range(S):
            Q[s] = -np.inf
            for a in range(A):
                i = h if L > 1 else 0
                q = R[i, s, a]
                for y in range(S + 1):
                    q += P[i, s, a, y] * V[y]
                policy[h, s] = a if q > Q[s] else policy[h, s]
                Q[s] = max(Q[s], q)
        for s in range(S):
            V[s] = Q[s]
    for s in range(S):
        worth[s] = V[s]


@kernel
def plan(params, state, k, rng):
    # Divided by eta: then inf needs no case of its own.
    promise = 4.0 * width(state.pace, k)
    best = -np.inf
    for i in range(state.loss.size):
        score = state.value[i] * promise - state.loss[i]
        state.chosen[0] = i if score > best else state.chosen[0]
        best = max(best, score)


@kernel
def act(params, state, h, s, rng):
    return state.policy[state.chosen[0], h, s]


@kernel
def reward_loss(likelihood, sigma, r, mean):
    """What a reward adds to the loss of a model with this mean."""
    if likelihood == 1:
        hit = numeric.log(min(max(mean, LEAST), 1.0))
        miss = numeric.log(min(max(1.0 - mean, LEAST), 1.0))
        return -r * hit - (1.0 - r) * miss
    z = (r - mean) / sigma
    return 0.5 * z * z


@kernel
def update(params, state, h, s, a, r, after, rng):
    i = h if state.log_p.shape[0] > 1 else 0
    if h == 0:
        state.begun[0] += 1.0
        for j in range(state.loss.size):
            worth = state.worth[j, s]
            mean = state.value[j] + (worth - state.value[j]) / state.begun[0]
            state.value[j] = mean if state.begun[0] > 1.0 else worth
    possible = 0.0
    for j in range(state.loss.size):
        log_p = state.log_p[i, s, a, after, j]
        state.loss[j] -= log_p
        possible = 1.0 if log_p > -690.0 else possible
    state.impossible[0] += 1.0 - possible
    for j in range(state.loss.size if params.likelihood > 0 else 0):
        mean = state.mean[i, s, a, j]
        state.loss[j] += reward_loss(params.likelihood, state.sigma[0], r, mean)


@kernel
def rule(params, state, out):
    H, S, A = out.shape
    for h in range(H):
        for s in range(S):
            for a in range(A):
                out[h, s, a] = 0.0
            out[h, s, state.policy[state.chosen[0], h, s]] = 1.0


@cache
def suits(L: int, S: int, A: int) -> Callable[[Episodes], None]:
    """``check`` of a class with these shapes."""

    def check(task: Episodes) -> None:
        if (S, A) != (task.n_states, task.n_actions):
            raise ValueError(
                f"its models have {S} states and {A} actions, "
                f"the problem {task.n_states} and {task.n_actions}"
            )
        if L not in (1, task.steps):
            raise ValueError(f"its models have {L} steps, the problem {task.steps}")

    return check


def mex_finite(
    transitions: Any = None,
    rewards: Any = None,
    models: Any = None,
    eta: float = 0.03,
    likelihood: str | int = "none",
    sigma: float = 0.5,
    schedule: str | int = "constant",
    reference: float = 1000.0,
) -> Episodic:
    """MEX among the models of a class, with ``eta`` > 0 or inf.

    The class is ``models``, a table with a name, or ``transitions`` (N, S, A, S) or
    (N, L, S, A, S), with or without a last entry for the end of the episode, and ``rewards``
    (S, A), (N, S, A) or (N, L, S, A), in the unit of the rewards that will be seen. Without either
    it is that of the problem ``hidden_arm``. ``likelihood`` of the rewards: "none", "gaussian" with
    ``sigma`` > 0, or "bernoulli" for rewards that are the low or the high end of their range.
    ``schedule`` "constant", or "sqrt" for ``eta * sqrt(reference / episode)``.

    Raises ValueError, in one line, for anything else; a problem with other states, actions or
    steps than the class is refused.
    """
    if transitions is not None and models is not None:
        raise ValueError("models and transitions are two ways to give a class: give one")
    if (transitions is None) != (rewards is None):
        raise ValueError("transitions and rewards must be given together")
    if transitions is None:
        found = named({"name": "hidden_arm"} if models is None else models)
    else:
        found = checked(transitions, rewards)
    eta = float(eta_of(eta))
    params = MexFinite(
        *found,
        eta,
        place("likelihood", likelihood, LIKELIHOODS),
        positive("sigma", sigma),
        schedule_of(schedule, eta),
        positive("reference", reference),
    )
    _, L, S, A, _ = found.transitions.shape
    return Episodic(params, init, plan, act, update, rule, suits(L, S, A))
