"""Finite Markov decision processes, exactly known: values, occupancies, concentrability.

An :class:`MDP` lists for every pair (s, a) its possible *outcomes*, pairs of a next state and a
reward: K of them at most, so that 500 states with 3 outcomes a pair are 500 x A x 3 numbers and
not 500 x A x 500. It is discounted (``horizon = 0``), or lasts ``horizon`` steps undiscounted.

Policies, occupancies and behaviour weights have the shape (L, S, A), where L is the number of
steps that differ: ``horizon``, and 1 when discounted. Values have the shape (L, S).

In the discounted case the occupancy is normalised: d(s, a) = (1 - gamma) sum_t gamma^t
P(s_t = s, a_t = a), and J = <d, r> / (1 - gamma). The single-policy concentrability
(Rashidinejad et al. 2021, Definition 1) is C = max d / mu, with 0 / 0 = 0.

Everything here is exact: linear solves or backward induction in NumPy, and one kernel,
`policy_value`, that finds J to 1e-10 inside the compiled loops.

One file, though long: building a model, its values and its occupancies are one calculus, whose
functions are short and call each other.

>>> chain = from_table({0: {0: [(1.0, 0, 0.5, False)], 1: [(1.0, 0, 1.0, True)]}}, [1.0], gamma=0.5)
>>> solve(chain).values
array([[1., 0.]])
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.validate import choice, integer, number

TOLERANCE = 1e-10  # of a value
# Relative to the range of values: what an improvement must exceed, and what still counts as equal.
ROUNDING, TIE = 1e-13, 1e-9
SWEEPS = 2000  # of value iteration, at most, before policy iteration begins
DECOYS = ("worst", "second")


class MDP(NamedTuple):
    """The exact model. A pair that is not legal has no outcomes."""

    succ: np.ndarray  # (S, A, K) int64: the next state of each outcome
    prob: np.ndarray  # (S, A, K) float64: its probability, 0 where there is none
    reward: np.ndarray  # (S, A, K) float64: its reward
    start: np.ndarray  # (S,) float64: law of the first state
    legal: np.ndarray  # (S, A) bool: whether the action exists in the state
    terminal: np.ndarray  # (S,) bool: the episode is over, which is worth 0
    gamma: float  # in [0, 1); 1.0 when the horizon is finite
    horizon: int  # number of steps; 0 when discounted
    v_min: float  # no policy is worth less from any state on ...
    v_max: float  # ... or more


class Solution(NamedTuple):
    """What an optimal policy does and is worth."""

    values: np.ndarray  # (L, S) float64
    q: np.ndarray  # (L, S, A) float64, -inf where not legal
    policy: np.ndarray  # (L, S, A) float64: deterministic; the first of equally good actions
    J: float  # expected value of the first state


# --- building -----------------------------------------------------------------------------------


def new_mdp(
    succ: Any,
    prob: Any,
    reward: Any,
    start: Any,
    *,
    gamma: float = 1.0,
    horizon: int = 0,
    terminal: Any = None,
    v_min: float | None = None,
    v_max: float | None = None,
) -> MDP:
    """An MDP, checked and completed.

    ``prob`` may be all 0 for a pair: the action is then not legal in that state. Without ``v_min``
    and ``v_max`` the range of values follows from the rewards: one that only comes with the end
    of the episode is earned once, any other may be earned for ever.

    Raises ValueError, in one line, unless the probabilities of every legal pair and of ``start``
    sum to 1 within 1e-8, next states exist, rewards are finite, terminal states stay where they
    are at reward 0, every state has a legal action, and gamma lies in [0, 1) when discounted
    (below 1/2 it warns, as the contraction lemma of pessimistic iteration needs that much).
    """
    succ = np.array(succ, dtype=np.int64)
    prob = np.array(prob, dtype=np.float64)
    reward = np.array(reward, dtype=np.float64)
    start = np.array(start, dtype=np.float64)
    horizon = integer("horizon", horizon, 0)
    gamma = 1.0 if horizon > 0 else discount(gamma)
    if succ.ndim != 3 or not succ.shape == prob.shape == reward.shape:
        raise ValueError(
            "succ, prob and reward must have one shape (S, A, K), "
            f"got {succ.shape}, {prob.shape} and {reward.shape}"
        )
    S, A, _ = succ.shape
    ends = np.zeros(S, np.bool_) if terminal is None else np.array(terminal, dtype=np.bool_)
    if ends.shape != (S,):
        raise ValueError(f"terminal must have shape ({S},), got {ends.shape}")
    if not (np.isfinite(prob).all() and (prob >= 0.0).all()):
        raise ValueError("prob must be finite and at least 0")
    if not np.isfinite(reward).all():
        raise ValueError("reward must be finite")
    if ((succ < 0) | (succ >= S)).any():
        raise ValueError(f"succ must lie in 0 .. {S - 1}")
    legal = (prob > 0.0).any(axis=2)
    off = legal & (np.abs(prob.sum(axis=2) - 1.0) > 1e-8)
    if off.any():
        s, a = np.argwhere(off)[0]
        raise ValueError(
            f"the probabilities of state {s}, action {a} sum to {prob[s, a].sum():.10g}, not to 1"
        )
    if not legal.any(axis=1).all():
        raise ValueError(f"state {np.argmin(legal.any(axis=1))} has no legal action")
    if start.shape != (S,) or not (start >= 0.0).all() or not abs(start.sum() - 1.0) <= 1e-8:
        raise ValueError(f"start must be {S} probabilities that sum to 1")
    stays = (prob == 0.0) | ((succ == np.arange(S)[:, None, None]) & (reward == 0.0))
    if not stays[ends].all():
        s = np.flatnonzero(ends)[np.argmin(stays[ends].all(axis=(1, 2)))]
        raise ValueError(f"terminal state {s} must stay where it is, at reward 0")
    floor, ceiling = value_range(succ, prob, reward, ends, gamma, horizon)
    low = floor if v_min is None else number("v_min", v_min)
    high = ceiling if v_max is None else number("v_max", v_max)
    if not low < high:
        raise ValueError(f"v_min must be below v_max, got {low:g} and {high:g}")
    return MDP(succ, prob, reward, start, legal, ends, gamma, horizon, low, high)


def discount(gamma: Any) -> float:
    """``gamma`` as a float in [0, 1); warns below 1/2."""
    if not 0.0 <= number("gamma", gamma) < 1.0:
        raise ValueError(f"gamma must lie in [0, 1) when there is no horizon, got {gamma!r}")
    if float(gamma) < 0.5:
        warnings.warn(
            f"gamma is {float(gamma):g}: the theory of pessimistic iteration needs at least 1/2",
            stacklevel=3,
        )
    return float(gamma)


def value_range(
    succ: np.ndarray,
    prob: np.ndarray,
    reward: np.ndarray,
    terminal: np.ndarray,
    gamma: float,
    horizon: int,
) -> tuple[float, float]:
    """Bounds on the value of any policy that follow from the rewards alone."""
    last = terminal[succ] & (prob > 0.0)
    on = ~terminal[succ] & (prob > 0.0)
    bounds = []
    for extreme in (np.min, np.max):
        again = float(extreme(reward[on], initial=0.0))
        once = float(extreme(reward[last], initial=0.0))
        if horizon > 0:
            bounds.append(extreme([again * horizon, again * (horizon - 1) + once]))
        else:  # r (1 - gamma^T) / (1 - gamma) + gamma^T once is a weighted mean of two bounds
            bounds.append(extreme([again / (1.0 - gamma), once]))
    low, high = float(bounds[0]), float(bounds[1])
    return (low, high) if low < high else (low, low + 1.0)


def from_table(
    table: Mapping[int, Any] | Sequence[Any],
    start: Any,
    *,
    gamma: float = 1.0,
    horizon: int = 0,
    v_min: float | None = None,
    v_max: float | None = None,
) -> MDP:
    """An MDP from a transition table ``table[s][a] = [(prob, next, reward, terminated), ...]``.

    That is how Gymnasium's toy-text environments describe themselves. One state, END, is added
    behind the others: all that terminates goes there and stays, at reward 0, since the rows of
    terminal states themselves need not be absorbing. Outcomes with the same next state and the
    same reward become one. Raises ValueError as `new_mdp` does.
    """
    S, A = len(table), len(table[0])
    outcomes: list[list[dict[tuple[int, float], float]]] = []
    for s in range(S):
        if len(table[s]) != A:
            raise ValueError(f"state {s} has {len(table[s])} actions, state 0 has {A}")
        outcomes.append([])
        for a in range(A):
            cell: dict[tuple[int, float], float] = {}
            for prob, succ, reward, terminated in table[s][a]:
                if not 0 <= succ < S:
                    raise ValueError(f"state {s}, action {a}: next state {succ} does not exist")
                if prob != 0.0:
                    key = (S if terminated else int(succ), float(reward))
                    cell[key] = cell.get(key, 0.0) + float(prob)
            outcomes[-1].append(cell)
    K = max(1, max(len(cell) for row in outcomes for cell in row))
    succ = np.full((S + 1, A, K), S)
    prob, reward = np.zeros((2, S + 1, A, K))
    prob[S, :, 0] = 1.0
    for s, row in enumerate(outcomes):
        for a, cell in enumerate(row):
            for k, ((s2, paid), p) in enumerate(cell.items()):
                succ[s, a, k], prob[s, a, k], reward[s, a, k] = s2, p, paid
    first = np.append(np.asarray(start, dtype=np.float64), 0.0)
    ends = np.arange(S + 1) == S
    return new_mdp(
        succ, prob, reward, first,
        gamma=gamma, horizon=horizon, terminal=ends, v_min=v_min, v_max=v_max,
    )  # fmt: skip


# --- exact values -------------------------------------------------------------------------------


def steps(mdp: MDP) -> int:
    """L, the number of steps in which a policy may differ."""
    return max(1, mdp.horizon)


def mean_rewards(mdp: MDP) -> np.ndarray:
    """Expected rewards (S, A)."""
    return (mdp.prob * mdp.reward).sum(axis=2)


def backup(mdp: MDP, values: np.ndarray) -> np.ndarray:
    """Q (S, A) when the next state is worth ``values`` (S,); -inf where not legal."""
    q = (mdp.prob * (mdp.reward + mdp.gamma * values[mdp.succ])).sum(axis=2)
    return np.where(mdp.legal, q, -np.inf)


def greedy_policy(mdp: MDP, q: np.ndarray) -> np.ndarray:
    """The first of the actions of (almost) the largest q, as a policy (..., S, A)."""
    near = q >= q.max(axis=-1, keepdims=True) - TIE * (mdp.v_max - mdp.v_min)
    return np.eye(q.shape[-1])[near.argmax(axis=-1)]


def transitions(mdp: MDP, rule: np.ndarray) -> np.ndarray:
    """P (S, S) under ``rule`` (S, A)."""
    S, A, K = mdp.succ.shape
    P = np.zeros((S, S))
    rows = np.broadcast_to(np.arange(S)[:, None, None], (S, A, K))
    np.add.at(P, (rows, mdp.succ), mdp.prob * rule[:, :, None])
    return P


def evaluate(mdp: MDP, policy: Any) -> np.ndarray:
    """Values (L, S) of a policy (L, S, A), by a linear solve or by backward induction."""
    policy = checked_policy(mdp, policy)
    S = mdp.start.size
    if mdp.horizon == 0:
        r = (policy[0] * mean_rewards(mdp)).sum(axis=1)
        return np.linalg.solve(np.eye(S) - mdp.gamma * transitions(mdp, policy[0]), r)[None]
    values = np.zeros((mdp.horizon + 1, S))
    for h in range(mdp.horizon - 1, -1, -1):
        q = np.where(mdp.legal, backup(mdp, values[h + 1]), 0.0)
        values[h] = (policy[h] * q).sum(axis=1)
    return values[:-1]


def checked_policy(mdp: MDP, policy: Any) -> np.ndarray:
    """``policy`` as (L, S, A) probabilities; (S, A) will do, for all steps alike."""
    policy = np.asarray(policy, dtype=np.float64)
    shape = (steps(mdp), *mdp.legal.shape)
    if policy.shape == shape[1:]:
        policy = np.broadcast_to(policy, shape)
    if policy.shape != shape:
        raise ValueError(f"policy must have shape {shape}, got {policy.shape}")
    if not ((policy >= 0.0).all() and (np.abs(policy.sum(axis=2) - 1.0) <= 1e-8).all()):
        raise ValueError("policy must hold probabilities that sum to 1 in every state")
    if (policy > 0.0)[:, ~mdp.legal].any():
        raise ValueError("policy must choose legal actions only")
    return policy


def solve(mdp: MDP) -> Solution:
    """An optimal policy: policy iteration by linear solves, or backward induction."""
    if mdp.horizon > 0:
        values = np.zeros((mdp.horizon + 1, mdp.start.size))
        q = np.zeros((mdp.horizon, *mdp.legal.shape))
        for h in range(mdp.horizon - 1, -1, -1):
            q[h] = backup(mdp, values[h + 1])
            values[h] = q[h].max(axis=1)
        values = values[:-1]
    else:
        near = np.zeros(mdp.start.size)
        for _ in range(SWEEPS):  # cheap, and policy iteration then ends after a solve or two
            last, near = near, backup(mdp, near).max(axis=1)
            if np.abs(near - last).max() < 1e-6 * (mdp.v_max - mdp.v_min):
                break
        rule = np.eye(mdp.legal.shape[1])[backup(mdp, near).argmax(axis=1)]
        while True:
            values = evaluate(mdp, rule)
            q = backup(mdp, values[0])[None]
            gain = q[0].max(axis=1) - (rule * np.where(mdp.legal, q[0], 0.0)).sum(axis=1)
            better = gain > ROUNDING * (mdp.v_max - mdp.v_min)
            if not better.any():
                break
            rule = np.where(better[:, None], np.eye(rule.shape[1])[q[0].argmax(axis=1)], rule)
    return Solution(values, q, greedy_policy(mdp, q), float(mdp.start @ values[0]))


def within_range(mdp: MDP) -> MDP:
    """``mdp`` itself, if no policy is worth less than v_min or more than v_max from any state."""
    best = solve(mdp).values.max()
    worst = 0.0 - solve(mdp._replace(reward=-mdp.reward)).values.max()
    slack = TIE * (mdp.v_max - mdp.v_min)
    if worst < mdp.v_min - slack or best > mdp.v_max + slack:
        raise ValueError(
            f"values lie in [{worst:g}, {best:g}], outside the declared range "
            f"[{mdp.v_min:g}, {mdp.v_max:g}]"
        )
    return mdp


def value(mdp: MDP, policy: Any) -> float:
    """J: the expected value of the first state."""
    return float(mdp.start @ evaluate(mdp, policy)[0])


@kernel
def policy_value(mdp, policy):
    """J of ``policy`` (L, S, A) within 1e-10: sweeps over sparse successors, for use in loops."""
    S, A, K = mdp.succ.shape
    V = np.zeros(S)
    old = np.zeros(S)
    sweeps = mdp.horizon
    if mdp.horizon == 0:
        span = max(mdp.v_max - mdp.v_min, abs(mdp.v_min), abs(mdp.v_max))
        shrink = -numeric.log(max(mdp.gamma, 1e-3))
        sweeps = int(math.ceil(numeric.log(1.0 + span / TOLERANCE) / shrink)) + 2
    for i in range(sweeps):
        h = max(mdp.horizon - 1 - i, 0)
        change = 0.0
        for s in range(S):
            old[s] = V[s]
        for s in range(S):
            worth = 0.0
            for a in range(A):
                chance = policy[h, s, a]
                if chance > 0.0:
                    q = 0.0
                    for k in range(K):
                        q += mdp.prob[s, a, k] * (
                            mdp.reward[s, a, k] + mdp.gamma * old[mdp.succ[s, a, k]]
                        )
                    worth += chance * q
            change = max(change, abs(worth - old[s]))
            V[s] = worth
        if mdp.horizon == 0 and change * mdp.gamma <= TOLERANCE * (1.0 - mdp.gamma):
            break
    J = 0.0
    for s in range(S):
        J += mdp.start[s] * V[s]
    return J


# --- occupancies and behaviour ------------------------------------------------------------------


def occupancy(mdp: MDP, policy: Any) -> np.ndarray:
    """d (L, S, A): how often each pair is met, as probabilities (of each step when finite)."""
    policy = checked_policy(mdp, policy)
    if mdp.horizon == 0:
        P = transitions(mdp, policy[0])
        visits = np.linalg.solve(np.eye(mdp.start.size) - mdp.gamma * P.T, mdp.start)
        # A state that cannot be reached is met never: what rounding left there would be divided
        # by a behaviour weight of 0.
        visits = np.where(reachable(mdp, policy[0]), np.maximum(visits, 0.0), 0.0)
        return ((1.0 - mdp.gamma) * visits[:, None] * policy[0])[None]
    d = np.zeros(policy.shape)
    law = mdp.start
    for h in range(mdp.horizon):
        d[h] = law[:, None] * policy[h]
        law = np.bincount(
            mdp.succ.ravel(), (d[h][:, :, None] * mdp.prob).ravel(), minlength=law.size
        )
    return d


def reachable(mdp: MDP, rule: np.ndarray) -> np.ndarray:
    """Whether each state (S,) can be met when ``rule`` (S, A) plays from the start law."""
    found = mdp.start > 0.0
    edges = (mdp.prob > 0.0) & (rule > 0.0)[:, :, None]
    while True:
        more = found.copy()
        more[mdp.succ[edges & found[:, None, None]]] = True
        if (more == found).all():
            return found
        found = more


def concentrability(d: Any, mu: Any, clip: float = math.inf) -> float:
    """C = max d / mu with 0 / 0 = 0; inf when mu misses a pair that d meets.

    ``clip = 1 / S`` gives the clipped coefficient max min(d, 1/S) / mu of Li et al. (Definition
    2). Coordinates that name no pair may be left out of both.
    """
    d, mu = np.minimum(d, clip), np.asarray(mu, dtype=np.float64)
    if d.shape != mu.shape:
        raise ValueError(f"d and mu must have the same shape, got {d.shape} and {mu.shape}")
    met = d > 0.0
    if (mu[met] <= 0.0).any():
        return math.inf
    return float((d[met] / mu[met]).max(initial=0.0))


def decoy_policy(mdp: MDP, solution: Solution, decoy: str = "worst") -> np.ndarray:
    """The policy (L, S, A) of the smallest Q*, or of the second largest ("second")."""
    choice("decoy", decoy, DECOYS)
    if decoy == "worst":
        return greedy_policy(mdp, np.where(mdp.legal, -solution.q, -np.inf))
    others = np.where(solution.policy > 0.0, -np.inf, solution.q)
    only = mdp.legal.sum(axis=1) == 1  # where there is no second action
    return np.where(only[:, None], solution.policy, greedy_policy(mdp, others))


def uniform_policy(mdp: MDP) -> np.ndarray:
    """Every legal action with the same probability (L, S, A)."""
    rule = mdp.legal / mdp.legal.sum(axis=1, keepdims=True)
    return np.broadcast_to(rule, (steps(mdp), *rule.shape)).copy()


def mixture(
    mdp: MDP, C: float, decoy: str = "worst", solution: Solution | None = None
) -> np.ndarray:
    """Behaviour weights mu (L, S, A) of concentrability at most C, from imitation to coverage.

    mu = d*/C + (1 - 1/C) (0.9 d_decoy + 0.1 uniform over legal pairs). ``C = 1`` is an expert's
    log. Raises ValueError for C below 1.
    """
    if number("C", C) < 1.0:
        raise ValueError(f"C must be at least 1, got {C!r}")
    solution = solve(mdp) if solution is None else solution
    expert = occupancy(mdp, solution.policy)
    wrong = occupancy(mdp, decoy_policy(mdp, solution, decoy))
    mu = expert / C + (1.0 - 1.0 / C) * (0.9 * wrong + 0.1 * mdp.legal / mdp.legal.sum())
    return np.ascontiguousarray(mu)
