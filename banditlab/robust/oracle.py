"""Discovery of policies in a state-adversarial MDP that is too large to list them: double oracle.

Policies S and attackers V grow in turn. In each step every candidate policy is measured against the
best mixture of S; the one with the largest mixed gap joins S (Liu, Deng, Sun, Liang & Huang 2024,
Algorithm 2, whose search is by gradients; this one is our construction). Candidates are all changes
of a member in one observation, and a best response to each attacker seen. For the most promising of
them attackers are sought that make their gap larger still: they maximise

    J(candidate, nu) - sum_k w_k J(pi_k, nu)

which couples several chains and is no MDP. Attackers *help* the candidate, so that policies poor on
every other count come in too.

Where policies and attackers can be listed, all of them are candidates, and the last gap is the true
one. Elsewhere the search is by single changes, on both sides, and **the last gap is only a lower
bound**: that nothing is found against V does not prove that there is nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab.robust import games
from banditlab.robust.sa_mdp import (
    SAMDP,
    all_attackers,
    all_policies,
    natural_optimum,
    neighbours,
    no_attack,
    worst_attack,
)
from banditlab.validate import flag, integer, nonnegative

TIE = 1e-9  # of gaps, relative to the range of the payoffs
NOTHING = 1e-12  # of the largest value: a change that gains less gains nothing
SWEEPS = 1000  # through the states, at most, for one attacker
AT_ONCE = 2_000_000  # numbers in the systems that are solved together
PAIRS = 10_000_000  # of a policy and an attacker that are listed, at most
GENERATIONS = 6  # of attackers sought for one candidate, at most


class Discovered(NamedTuple):
    """What was found; ``payoffs[i, j]`` is the return of policy i against attacker j."""

    policies: np.ndarray  # (k, S) int64, in the order in which they joined
    attackers: np.ndarray  # (v, S) int64: none first
    payoffs: np.ndarray  # (k, v) float64
    gaps: np.ndarray  # (k,): mixed gap of the set when it held 1, 2, ... more than the first ones
    exact: bool  # whether the gaps are true; else lower bounds


def returns(mdp: SAMDP, policies: Any, attackers: Any) -> np.ndarray:
    """J (policies, attackers) of deterministic ones, many solved at once."""
    pi, nu = np.asarray(policies), np.asarray(attackers)
    states = np.arange(len(mdp.prob))
    found = np.empty((len(pi), len(nu)))
    few = max(1, AT_ONCE // (nu.size * len(states)))
    for k in range(0, len(pi), few):
        acts = pi[k : k + few, nu]  # (policies, attackers, S)
        system = np.eye(len(states)) - mdp.gamma * mdp.prob[states, acts]
        earned = mdp.reward[states, acts][..., None]
        found[k : k + few] = np.linalg.solve(system, earned)[..., 0] @ mdp.start
    return found


class _Chains:
    """Several policies under one attacker, which is changed state by state.

    To show another o in one state changes one row of I - gamma P, so that all values follow from
    the old inverse (Sherman & Morrison 1950).
    """

    def __init__(self, mdp: SAMDP, policies: np.ndarray, attacker: np.ndarray):
        self.mdp, self.policies, self.shows = mdp, policies, attacker.copy()
        states = np.arange(len(attacker))
        acts = policies[:, attacker]
        self.inverse = np.linalg.inv(np.eye(len(states)) - mdp.gamma * mdp.prob[states, acts])
        self.v = np.einsum("kst,kt->ks", self.inverse, mdp.reward[states, acts])

    def worth(self) -> np.ndarray:
        """J of each policy."""
        return np.asarray(self.v @ self.mdp.start)

    def _shift(self, s: int) -> tuple[np.ndarray, np.ndarray]:
        """By action (k, A): the change of V in units of column s of the inverse."""
        mdp = self.mdp
        gained = mdp.reward[s] + mdp.gamma * self.v @ mdp.prob[s].T - self.v[:, s, None]
        column = self.inverse[:, :, s]
        return gained / (column[:, s, None] - mdp.gamma * column @ mdp.prob[s].T), column

    def improve(self, s: Any, weights: np.ndarray) -> bool:
        """Show in state ``s`` what makes the weighted sum of J largest; whether that helped."""
        options = np.flatnonzero(self.mdp.shown[s])
        shift, column = self._shift(s)
        each = shift * (column @ self.mdp.start)[:, None]
        gains = weights @ np.take_along_axis(each, self.policies[:, options], axis=1)
        best = int(np.argmax(gains))
        if not gains[best] > NOTHING * np.abs(self.v).max():
            return False
        o = options[best]
        acts = self.policies[:, o]
        chain = np.arange(len(acts))
        old = self.mdp.prob[s, self.policies[:, self.shows[s]]]
        self.v += shift[chain, acts][:, None] * column
        row = self.mdp.gamma * np.einsum("kt,ktu->ku", self.mdp.prob[s, acts] - old, self.inverse)
        self.inverse += (column / (1.0 - row[:, s])[:, None])[:, :, None] * row[:, None, :]
        self.shows[s] = o
        return True


def helping_attack(
    mdp: SAMDP, policies: np.ndarray, weights: np.ndarray, starts: Sequence[np.ndarray]
) -> tuple[float, np.ndarray]:
    """The attacker found that makes ``weights`` @ J largest, state by state from each start."""
    best, found = -np.inf, starts[0]
    states = np.flatnonzero(mdp.shown.sum(axis=1) > 1)
    for start in starts:
        chains = _Chains(mdp, policies, start)
        for _ in range(SWEEPS):
            if not any([chains.improve(s, weights) for s in states]):
                break
        worth = float(weights @ chains.worth())
        if worth > best:
            best, found = worth, chains.shows
    return best, found


def best_response(mdp: SAMDP, attacker: np.ndarray, start: np.ndarray, answers: Any) -> np.ndarray:
    """A policy that no single change makes better against ``attacker``, from ``start`` on."""
    policy, best = start, float(returns(mdp, [start], [attacker])[0, 0])
    while True:
        others = list(neighbours(policy, answers))
        if not others:
            return policy
        worth = returns(mdp, others, [attacker])[:, 0]
        if not worth.max() > best + NOTHING * np.abs(worth).max():
            return policy
        policy, best = others[int(worth.argmax())], float(worth.max())


class _Search:
    """The sets under way."""

    def __init__(self, mdp: SAMDP, first: np.ndarray, listed: bool, width: int):
        self.mdp, self.listed, self.width = mdp, listed, width
        self.S = list(first)
        # In a state where all actions are one, such as an end, the answer does not matter; nor does
        # that to an observation which only such states give. It does where nothing can be attacked:
        # who fears an attack later may turn off before.
        told_apart = (mdp.reward != mdp.reward[:, :1]).any(axis=1)
        told_apart |= (mdp.prob != mdp.prob[:, :1]).any(axis=(1, 2))
        matters = mdp.shown[told_apart].any(axis=0)
        every = list(range(mdp.reward.shape[1]))
        self.answers = [every if matters[o] else [] for o in range(len(matters))]
        if listed:
            self.V = all_attackers(mdp)
            self.every = [pi for pi in all_policies(mdp) if (pi[~matters] == 0).all()]
            if len(self.every) * len(self.V) > PAIRS:
                pairs = f"{len(self.every):,} policies and {len(self.V):,} attackers"
                raise ValueError(f"listed: {pairs} make more than {PAIRS:,} pairs")
        else:
            self.V = [no_attack(mdp)]
            for pi in self.S:
                self.meet(worst_attack(mdp, pi))

    def meet(self, attacker: np.ndarray) -> bool:
        """Add an attacker, unless it is known."""
        if any((attacker == nu).all() for nu in self.V):
            return False
        self.V.append(attacker)
        return True

    def candidates(self) -> np.ndarray:
        if self.listed:
            found = list(self.every)
        else:
            found = [pi for member in self.S for pi in neighbours(member, self.answers)]
            M = returns(self.mdp, self.S, self.V)
            for j, nu in enumerate(self.V):
                start = self.S[int(M[:, j].argmax())]
                found.append(best_response(self.mdp, nu, start, self.answers))
        seen = {pi.tobytes() for pi in self.S}
        fresh = {pi.tobytes(): pi for pi in found if pi.tobytes() not in seen}
        return np.array(list(fresh.values()))

    def gap(self, M: np.ndarray, row: np.ndarray) -> tuple[float, np.ndarray]:
        """The mixed gap of returns ``row`` against those of S, and the mixture of S."""
        payoffs = np.vstack([M, row])
        mix, attack = np.zeros(len(M)), np.zeros(M.shape[1])
        members = np.arange(len(M))
        return float(games.mixed_gap(payoffs, len(M), members, len(M), mix, attack)), mix

    def helped(self, pi: np.ndarray) -> float:
        """The gap of a candidate, after attackers were sought that make it larger."""
        chains = np.array([pi, *self.S])
        gap = -np.inf
        for _ in range(GENERATIONS):
            M = returns(self.mdp, chains, self.V)
            gap, mix = self.gap(M[1:], M[0])
            weights = np.r_[1.0, -mix]
            order = np.argsort(-(weights @ M))[:3]
            best, nu = helping_attack(self.mdp, chains, weights, [self.V[j] for j in order])
            if not best > gap + TIE * float(np.ptp(M)) or not self.meet(nu):
                break
        return gap

    def step(self) -> tuple[float, np.ndarray | None]:
        """The largest gap found, and whose it is."""
        found = self.candidates()
        if not len(found):
            return 0.0, None
        M, rows = returns(self.mdp, self.S, self.V), returns(self.mdp, found, self.V)
        gaps = np.array([self.gap(M, row)[0] for row in rows])
        if not self.listed:
            top = np.argsort(-gaps, kind="stable")[: self.width]
            found, gaps = found[top], np.array([self.helped(found[i]) for i in top])
        tie = TIE * float(max(np.ptp(M), np.ptp(rows)))
        best = int(np.argmax(gaps >= gaps.max() - tie))
        return max(0.0, float(gaps[best])), found[best]


def as_policies(mdp: SAMDP, first: Any) -> np.ndarray:
    """Policies (k, S), at least one, as int64."""
    S, A = mdp.reward.shape
    try:
        given = np.array(first, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.ndim != 2 or given.shape[1] != S or not np.isin(given, np.arange(A)).all():
        raise ValueError(f"first must be a list of policies: {S} actions each, 0 to {A - 1}")
    return given.astype(np.int64)


def discover_tabular(
    mdp: SAMDP,
    most: int,
    first: Sequence[Any] | None = None,
    delta: float = 1e-6,
    listed: bool = False,
    width: int = 8,
) -> Discovered:
    """Grow a set of at most ``most`` policies until no gap above ``delta``, a return, is found.

    ``first``: the policies to begin with, by default the natural optimum. ``listed``: measure every
    policy against every attacker, where these can be listed; else ``width`` candidates a step have
    attackers sought for them. Raises ValueError for ``gamma`` 1, where some attack may last for
    ever, and when there are too many to list.
    """
    most, delta = integer("most", most, 1), nonnegative("delta", delta)
    listed, width = flag("listed", listed), integer("width", width, 1)
    if mdp.gamma >= 1.0:
        raise ValueError("gamma must be below 1 for discovery, got 1")
    given = as_policies(mdp, [natural_optimum(mdp)] if first is None else first)
    distinct = np.sort(np.unique(given, axis=0, return_index=True)[1])
    search = _Search(mdp, given[distinct], listed, width)
    gaps = []
    while True:
        gap, pi = search.step()
        gaps.append(gap)
        if gap <= delta or pi is None or len(search.S) >= most:
            break
        search.S.append(pi)
        if not listed:
            search.meet(worst_attack(mdp, pi))
    M = returns(mdp, search.S, search.V)
    return Discovered(np.array(search.S), np.array(search.V), M, np.array(gaps), listed)
