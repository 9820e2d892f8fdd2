"""State-adversarial MDPs: the policy acts on what it is shown, the world on what is true.

In the true state s an attacker shows some o of B(s), its *perturbation set*; the policy answers
pi(o), and reward and transition follow from s (Zhang, Chen, Xiao, Li, Liu, Boning & Hsieh 2020,
"Robust deep reinforcement learning against adversarial perturbations on state observations",
NeurIPS). Here everything is finite, discounted, stationary and exact:

- a policy is an integer array (S,), the action for each observation, or probabilities (S, A);
- an attacker is an integer array (S,), what it shows in each state, or probabilities (S, S) within
  B. The identity is no attack;
- a policy under attack is the policy nu pi of the true states, valued by a linear solve;
- the worst attack of *one* policy is an MDP in which observations are the actions (`worst_attack`).
  The best policy for one attack is not: it must give one answer to all states that look alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab.validate import between, number
from banditlab.validate import shown as shown_as

SINGULAR = 1e12  # condition number from which on a linear solve means nothing
TIE = 1e-12  # of the largest value: the first of equally good choices is taken
MOST = 100_000  # policies or attackers that are listed one by one


class SAMDP(NamedTuple):
    """A finite state-adversarial MDP."""

    prob: np.ndarray  # (S, A, S) float64
    reward: np.ndarray  # (S, A) float64: mean reward
    start: np.ndarray  # (S,) float64: law of the first state
    gamma: float  # in (0, 1]
    shown: np.ndarray  # (S, S) bool: shown[s, o] when o is in B(s)


def sa_mdp(prob: Any, reward: Any, start: Any, gamma: float, shown: Any) -> SAMDP:
    """A state-adversarial MDP, checked.

    ``start`` is a state or a law (S,). ``shown`` (S, S): which observations each state may give;
    its own must be among them. Raises ValueError that names the argument.
    """
    prob, reward, law = (
        _array(*named) for named in (("prob", prob), ("reward", reward), ("start", start))
    )
    if prob.ndim != 3 or prob.shape[0] != prob.shape[2] or reward.shape != prob.shape[:2]:
        raise ValueError(
            f"prob must have shape (S, A, S) and reward (S, A), got {prob.shape} and {reward.shape}"
        )
    if prob.size == 0:
        raise ValueError(f"prob must have at least one state and one action, got {prob.shape}")
    S = len(prob)
    if not (np.isfinite(prob).all() and (prob >= 0.0).all()):
        raise ValueError("prob must be finite and at least 0")
    for s, a in np.argwhere(np.abs(prob.sum(axis=2) - 1.0) > 1e-8)[:1]:
        raise ValueError(f"prob[{s}, {a}] must sum to 1, got {prob[s, a].sum():.10g}")
    if not np.isfinite(reward).all():
        raise ValueError("reward must be finite")
    if law.ndim == 0:
        if law not in range(S):
            raise ValueError(f"start must be a state, 0 to {S - 1}, or a law, got {start!r}")
        law = np.eye(S)[int(law)]
    if law.shape != (S,) or not (law >= 0.0).all() or abs(law.sum() - 1.0) > 1e-8:
        raise ValueError(f"start must be {S} probabilities that sum to 1")
    if not 0.0 < number("gamma", gamma) <= 1.0:
        raise ValueError(f"gamma must lie in (0, 1], got {gamma!r}")
    given = _array("shown", shown)
    if not np.isin(given, (0.0, 1.0)).all():
        raise ValueError("shown must hold true or false: may the state be shown as this?")
    seen = given.astype(np.bool_)
    if seen.shape != (S, S):
        raise ValueError(f"shown must have shape ({S}, {S}), got {seen.shape}")
    for s in np.flatnonzero(~seen.diagonal())[:1]:
        raise ValueError(f"shown: the observations of state {s} must hold {s} itself")
    return SAMDP(prob, reward, law, float(gamma), seen)


# --- values -------------------------------------------------------------------------------------


def _array(name: str, given: Any) -> np.ndarray:
    """Numbers of any shape."""
    try:
        return np.array(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be an array of numbers, got {shown_as(given)}") from None


def as_rule(choices: Any, n_states: int, n_choices: int, name: str) -> np.ndarray:
    """A policy or an attacker as probabilities (S, n_choices); ``name`` is for messages.

    Raises ValueError for what is neither a choice for each state nor probabilities of them.
    """
    rule = _array(name, choices)
    if rule.shape == (n_states,):
        for s in np.flatnonzero(~np.isin(rule, np.arange(n_choices)))[:1]:
            raise ValueError(
                f"{name}[{s}] must be an integer from 0 to {n_choices - 1}, got {rule[s]:g}"
            )
        return np.eye(n_choices)[rule.astype(np.int64)]
    if rule.shape != (n_states, n_choices):
        raise ValueError(
            f"{name} must have shape ({n_states},) or ({n_states}, {n_choices}), got {rule.shape}"
        )
    for s in np.flatnonzero(~((rule >= 0.0).all(axis=1) & (abs(rule.sum(axis=1) - 1) <= 1e-8)))[:1]:
        raise ValueError(f"{name}[{s}] must be probabilities that sum to 1")
    return rule


def policy_rule(mdp: SAMDP, policy: Any) -> np.ndarray:
    """A policy as probabilities (S, A)."""
    S, A = mdp.reward.shape
    return as_rule(policy, S, A, "policy")


def under_attack(mdp: SAMDP, policy: Any, attacker: Any = None) -> np.ndarray:
    """The policy of the true states (S, A) that the two are together. Without one: no attack.

    Raises ValueError for an attacker that shows what it may not.
    """
    S = len(mdp.prob)
    rule = policy_rule(mdp, policy)
    if attacker is None:
        return rule
    shows = as_rule(attacker, S, S, "attacker")
    for s, o in np.argwhere((shows > 0.0) & ~mdp.shown)[:1]:
        raise ValueError(f"attacker: state {s} may not be shown as {o}")
    return np.asarray(shows @ rule)


def values(mdp: SAMDP, policy: Any, attacker: Any = None) -> np.ndarray:
    """Value (S,) of each true state, by a linear solve.

    Raises ValueError, with the states concerned, where play never ends and gamma is 1.
    """
    acts = under_attack(mdp, policy, attacker)
    moves = np.einsum("sa,sat->st", acts, mdp.prob)
    earned = (acts * mdp.reward).sum(axis=1)
    if mdp.gamma < 1.0:
        return np.linalg.solve(np.eye(len(moves)) - mdp.gamma * moves, earned)
    # A state that stays where it is and earns nothing is an end, which is worth 0.
    goes_on = ~((moves.diagonal() == 1.0) & (earned == 0.0))
    system = np.eye(int(goes_on.sum())) - moves[np.ix_(goes_on, goes_on)]
    if system.size and not np.linalg.cond(system) <= SINGULAR:
        ends = ~goes_on
        for _ in range(len(moves)):
            ends = ends | (moves[:, ends].sum(axis=1) > 0.0)
        stuck = np.flatnonzero(~ends).tolist() or np.flatnonzero(goes_on).tolist()
        raise ValueError(f"gamma 1 needs play that ends, but states {stuck} go on for ever")
    found = np.zeros(len(moves))
    found[goes_on] = np.linalg.solve(system, earned[goes_on])
    return found


def value(mdp: SAMDP, policy: Any, attacker: Any = None) -> float:
    """J(policy, attacker): expected discounted return from the start."""
    return float(mdp.start @ values(mdp, policy, attacker))


def q_values(mdp: SAMDP, v: np.ndarray) -> np.ndarray:
    """(S, A): reward now, and from then on what ``v`` (S,) says."""
    return np.asarray(mdp.reward + mdp.gamma * mdp.prob @ v)


def payoff_matrix(mdp: SAMDP, policies: Sequence[Any], attackers: Sequence[Any]) -> np.ndarray:
    """J of every policy against every attacker, (policies, attackers)."""
    return np.array([[value(mdp, pi, nu) for nu in attackers] for pi in policies])


def natural_optimum(mdp: SAMDP) -> np.ndarray:
    """The best policy (S,) when nobody attacks: policy iteration, lowest action of ties."""
    policy = np.zeros(len(mdp.prob), dtype=np.int64)
    for _ in range(1000):
        q = q_values(mdp, values(mdp, policy))
        now, tie = q[np.arange(len(q)), policy], _tie(q)
        better = np.argmax(q >= q.max(axis=1, keepdims=True) - tie, axis=1)
        improved = np.where(q.max(axis=1) > now + tie, better, policy)
        if (improved == policy).all():
            return np.asarray(better)
        policy = improved
    raise ValueError("policy iteration did not end: the values are not finite")


def _tie(worth: np.ndarray) -> float:
    """What two values must differ by: rounding grows with the rewards and with the horizon."""
    return TIE * float(np.abs(worth).max())


# --- attackers ----------------------------------------------------------------------------------


def no_attack(mdp: SAMDP) -> np.ndarray:
    """Shows the truth."""
    return np.arange(len(mdp.prob))


def random_attacker(mdp: SAMDP) -> np.ndarray:
    """Probabilities (S, S): each observation that the state may give is as likely."""
    return np.asarray(mdp.shown / mdp.shown.sum(axis=1, keepdims=True))


def intermittent(mdp: SAMDP, attacker: Any, share: float) -> np.ndarray:
    """Probabilities (S, S): in each step ``attacker`` with probability ``share``, else none."""
    share = between("share", share, 0.0, 1.0)
    S = len(mdp.prob)
    attacks = as_rule(attacker, S, S, "attacker")
    return np.asarray(share * attacks + (1.0 - share) * np.eye(S))


def mad_attacker(mdp: SAMDP, policy: Any) -> np.ndarray:
    """Maximal action difference, one step ahead: shows the lowest o that changes the most.

    The change is the total variation of the action's law; a state in which nothing changes it is
    shown as it is.
    """
    rule = policy_rule(mdp, policy)
    change = 0.5 * np.abs(rule[None, :, :] - rule[:, None, :]).sum(axis=2)
    change = np.where(mdp.shown, change, -1.0)
    most = change.max(axis=1)
    lowest = np.argmax(change >= most[:, None] - TIE, axis=1)
    return np.where(most > TIE, lowest, np.arange(len(rule)))


def min_q_attacker(mdp: SAMDP, policy: Any) -> np.ndarray:
    """Shows the o whose action is worth least by the policy's own un-attacked Q; lowest of ties.

    It looks one step ahead: after the step it expects to attack no more.
    """
    q = q_values(mdp, values(mdp, policy))
    return _least_shown(mdp, q @ policy_rule(mdp, policy).T)


def worst_attack(mdp: SAMDP, policy: Any) -> np.ndarray:
    """The attacker (S,) that makes the policy worth least, exactly: the optimum of its own MDP.

    Policy iteration of the attacker; it shows something else only where that is worse.
    """
    rule = policy_rule(mdp, policy)
    attacker = no_attack(mdp)
    for _ in range(1000):
        q = q_values(mdp, values(mdp, policy, attacker)) @ rule.T
        states, least = np.arange(len(q)), _least_shown(mdp, q)
        worse = np.where(q[states, least] < q[states, attacker] - _tie(q), least, attacker)
        if (worse == attacker).all():
            return np.asarray(attacker)
        attacker = worse
    raise ValueError("policy iteration did not end: the values are not finite")


def _least_shown(mdp: SAMDP, worth: np.ndarray) -> np.ndarray:
    """For each state the lowest o of B(s) whose ``worth[s, o]`` is the least."""
    tie = _tie(worth)
    worth = np.where(mdp.shown, worth, np.inf)
    return np.asarray(np.argmax(worth <= worth.min(axis=1, keepdims=True) + tie, axis=1))


# --- one by one ---------------------------------------------------------------------------------


def all_policies(mdp: SAMDP) -> list[np.ndarray]:
    """Every deterministic policy, in lexicographic order of its actions."""
    S, A = mdp.reward.shape
    return _listed([range(A)] * S, "policies")


def all_attackers(mdp: SAMDP) -> list[np.ndarray]:
    """Every deterministic attacker: none first, then in lexicographic order of what is shown."""
    truth = no_attack(mdp)
    every = _listed([np.flatnonzero(row).tolist() for row in mdp.shown], "attackers")
    return [truth, *(nu for nu in every if (nu != truth).any())]


def _listed(choices: Sequence[Sequence[int]], what: str) -> list[np.ndarray]:
    count = 1
    for options in choices:
        count *= len(options)
    if count > MOST:
        raise ValueError(f"there are {count:.3g} {what}, more than the {MOST:,} that are listed")
    return [np.array(found, dtype=np.int64) for found in itertools.product(*choices)]


def neighbours(policy: np.ndarray, answers: Sequence[Sequence[int]]) -> Iterator[np.ndarray]:
    """Policies that differ from ``policy`` in one observation; ``answers`` are those allowed."""
    for o, allowed in enumerate(answers):
        for a in allowed:
            if a != policy[o]:
                changed = policy.copy()
                changed[o] = a
                yield changed
