"""Greedy discovery of non-dominated policies (Liu, Deng, Sun, Liang & Huang 2024, Algorithm 2).

"Beyond worst-case attacks: robust RL with adaptive defense via non-dominated policies", ICLR. The
first policy is the best without an attack. Then, again and again, the policy is added that gains
most on the set so far, until none gains more than ``delta``::

    mixed   z_i = min over mixtures w of S of max over j of M[i, j] - sum_k w_k M[k, j]
    pure    z_i = max over j of M[i, j] - max over k in S of M[k, j]

The paper's statement, that a mixture of the set is at least as good under every attack, is the
mixed gap; its Algorithm 2 compares with the best member against one attacker, which is the pure
gap, unless the attacker may mix. The difference decides: a set that the pure rule is content with
can be exploited by an attacker that alternates. See :mod:`banditlab.robust.dominance`.

Greed is lazy: a larger set lowers every gap, so that a policy whose old gap is below the best new
one need not be looked at (Minoux 1978). Gaps that differ by less than 1e-9 of the payoffs' range
are equal, and the first policy wins; so are rows, of which the first stays.

A greedy set may hold policies that later ones made redundant; ``state.kept`` is without them.

>>> import banditlab
>>> hull = [[1.0, 0.0], [0.0, 1.0], [0.8, 0.8]]
>>> banditlab.Agent("discover").fit(hull).state.members
array([0, 1, 2])
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.protocols.discovery import Discovery
from banditlab.robust.dominance import TOLERANCE
from banditlab.robust.games import is_twin, mixed_gap, pure_gap, spread
from banditlab.validate import choice, integer, nonnegative

label = "greedy discovery"


class Discover(NamedTuple):
    """Hyper-parameters."""

    gap: str = "mixed"  # "mixed" or "pure"
    first: int = -1  # the row to begin with; -1: the best of column 0
    delta: float = 1e-9  # >= 0, in units of the payoffs' range: a smaller gap is none


class Search(NamedTuple):
    """What is known of the rows."""

    bounds: np.ndarray  # (n,) float64: gaps to an earlier set; -inf for twins of earlier rows
    computed: np.ndarray  # (1,) float64: how many gaps
    width: np.ndarray  # (1,) float64: range of the payoffs


@kernel
def init(params, payoffs, rng):
    n = payoffs.shape[0]
    width = spread(payoffs)
    bounds = np.full(n, np.inf)
    for i in range(n):
        for k in range(i):
            if is_twin(payoffs, i, k, TOLERANCE * width):
                bounds[i] = -np.inf
    return Search(bounds, np.zeros(1), np.full(1, width))


@kernel
def first_row(first, payoffs, tie):
    """The row to begin with."""
    best = payoffs[0, 0]
    for i in range(payoffs.shape[0]):
        best = max(best, payoffs[i, 0])
    row = 0
    for i in range(payoffs.shape[0] - 1, -1, -1):
        row = i if payoffs[i, 0] >= best - tie else row
    return row if first < 0 else first


@kernel
def pure(payoffs, row, members, size, mix, attack):
    return pure_gap(payoffs, row, members, size)


@cache
def choosing(gap_of: Callable[..., float]) -> Callable[..., int]:
    """``choose`` by the gap that ``gap_of(payoffs, row, members, size, mix, attack)`` computes."""

    @kernel
    def refresh(state, payoffs, members, size, fresh, tie):
        """Compute anew every gap that could be the largest; returns that."""
        n, m = payoffs.shape
        mix, attack = np.empty(size), np.empty(m)
        best = -np.inf
        for _ in range(n):
            row = -1
            for i in range(n):
                bound = state.bounds[i]
                could = not fresh[i] and bound >= best - tie and bound > -np.inf
                row = i if could and (row < 0 or bound > state.bounds[row]) else row
            if row < 0:
                break
            state.bounds[row] = gap_of(payoffs, row, members, size, mix, attack)
            state.computed[0] += 1.0
            fresh[row] = True
            best = max(best, state.bounds[row])
        return best

    @kernel
    def choose(params, state, payoffs, members, size, rng):
        tie = TOLERANCE * state.width[0]
        if size == 0:
            row = first_row(params.first, payoffs, tie)
            state.bounds[row] = -np.inf
            return row
        fresh = np.zeros(payoffs.shape[0], np.bool_)
        best = refresh(state, payoffs, members, size, fresh, tie)
        if not best > params.delta * state.width[0]:
            return -1
        for i in range(payoffs.shape[0]):
            if fresh[i] and state.bounds[i] >= best - tie:
                state.bounds[i] = -np.inf
                return i
        return -1

    return choose


@kernel
def computed(state):
    return state.computed[0]


def checking(first: int) -> Callable[[int], None]:
    """``check``: whether there is a row ``first``."""

    def check(n_policies: int) -> None:
        if first >= n_policies:
            raise ValueError(f"first must be a policy, 0 to {n_policies - 1}, got {first}")

    return check


def discover(gap: str = "mixed", first: int = -1, delta: float = 1e-9) -> Discovery:
    """Greedy discovery by ``gap`` "mixed" or "pure", from row ``first`` on.

    ``first`` -1 stands for the row of the largest return without attack. ``delta`` >= 0, in units
    of the payoffs' range. Raises ValueError naming the argument.
    """
    params = Discover(
        choice("gap", gap, ("mixed", "pure")),
        integer("first", first, -1),
        nonnegative("delta", delta),
    )
    choose = choosing(mixed_gap if params.gap == "mixed" else pure)
    return Discovery(params, init, choose, computed, checking(params.first))
