"""Which rows of a payoff matrix are worth having: dominance by single rows and by mixtures.

``payoffs`` (n, m) holds the return of policy i against attacker j. A policy is dominated by a set S
when some mixture of S, drawn once an episode, is at least as good against every attacker. The
*mixed gap* says by how much it is not::

    z_i = min over mixtures w of S of max over j of M[i, j] - sum_k w_k M[k, j]

z_i is also the most per episode that policy i gains on every fixed choice from S when an attacker
mixes well (minimax theorem). The *pure gap* asks for one attacker at a time, max over j of
M[i, j] - max over k of M[k, j]. It is never larger, and a set whose pure gap is 0 can still be
exploited: with the rows (1, 0) and (0, 1) the row (0.8, 0.8) has pure gap -0.2 and mixed gap 0.3.
Only the mixed gap bounds regret: against any sequence of attackers of T episodes, the regret to the
best policy of all is at most that to the best of S, plus T times the mixed gap of S.

>>> hull = [[1.0, 0.0], [0.0, 1.0], [0.8, 0.8]]
>>> pure_gap(hull, [0, 1]), round(mix_gap(hull, 2, [0, 1]).value, 9)
(0.0, 0.3)
>>> nondominated([[1.0, 0.0], [0.0, 1.0], [0.4, 0.4]])
[0, 1]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab.robust import games
from banditlab.validate import integer

MOST = 1e150  # larger payoffs have no differences, or none that can be multiplied
TOLERANCE = 1e-9  # of the range of the payoffs: what is less is no gap, and no difference


class Gap(NamedTuple):
    """A mixed gap, with what proves it."""

    value: float  # at most 0: dominated
    weights: np.ndarray  # (len(S),): the mixture of S that comes closest
    attack: np.ndarray  # (m,): the mixture of attackers against which no choice from S comes closer


def as_payoffs(payoffs: Any, name: str = "payoffs") -> np.ndarray:
    """A matrix (n, m) of finite numbers, n and m at least 1, as contiguous float64."""
    try:
        M = np.array(payoffs, dtype=np.float64, order="C")
    except (TypeError, ValueError, OverflowError):
        M = np.empty(0)
    if M.ndim != 2 or M.size == 0:
        raise ValueError(
            f"{name} must be a matrix with at least one row per policy and one column per attacker"
        )
    for i, j in np.argwhere(~np.isfinite(M))[:1]:
        raise ValueError(f"{name}[{i}, {j}] must be finite, got {M[i, j]}")
    if np.abs(M).max() > MOST:
        raise ValueError(f"{name} must lie within {MOST:g}, got {np.abs(M).max():g}")
    return M


def as_members(rows: Any, n: int) -> np.ndarray:
    """Row numbers as int64, at least one, each from 0 to ``n`` - 1."""
    members = np.array([integer("members", row, 0, n - 1) for row in rows], dtype=np.int64)
    if members.size == 0:
        raise ValueError("members must hold at least one row")
    return members


def mix_gap(payoffs: Any, row: int, members: Sequence[int]) -> Gap:
    """The mixed gap of ``row`` against the set ``members``, by HiGHS.

    Raises ValueError for a matrix that is none, and for rows that it does not have.
    """
    M = as_payoffs(payoffs)
    row, S = integer("row", row, 0, len(M) - 1), as_members(members, len(M))
    return Gap(*_program(M[row] - M[S]))


def maximin(payoffs: Any) -> tuple[float, np.ndarray]:
    """Value and mixture (n,) of the policies' side of the game: the best guarantee of a mixture."""
    value, weights, _ = _program(-as_payoffs(payoffs))
    return -value, weights


def _program(lost: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """min over w of max over j of (w lost)_j, for ``lost`` (k, m): value, w, and prices of j."""
    from scipy.optimize import linprog

    k, m = lost.shape
    scale = float(np.ptp(lost)) or 1.0  # HiGHS takes 1e-7 for feasible, whatever the unit
    centre = float(lost.min())
    table = (lost.T - centre) / scale
    done = linprog(
        np.r_[np.zeros(k), 1.0],
        A_ub=np.c_[table, -np.ones(m)],
        b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(k), 0.0][None, :],
        b_eq=np.ones(1),
        bounds=[(0, None)] * k + [(None, None)],
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if done.status != 0:
        raise ValueError(f"payoffs: the linear program was not solved: {done.message}")
    weights, attack = np.maximum(done.x[:k], 0.0), np.maximum(-done.ineqlin.marginals, 0.0)
    weights /= weights.sum()
    attack /= attack.sum()
    return float((weights @ lost).max()), weights, attack


def pure_gap(payoffs: Any, members: Sequence[int]) -> float:
    """The pure gap of a set: the largest over all rows and attackers."""
    M = as_payoffs(payoffs)
    return float((M - M[as_members(members, len(M))].max(axis=0)).max())


def set_gap(payoffs: Any, members: Sequence[int]) -> float:
    """The mixed gap of a set: the largest over the rows outside of it, at least 0."""
    M = as_payoffs(payoffs)
    outside = set(range(len(M))) - set(as_members(members, len(M)).tolist())
    return max([0.0, *(mix_gap(M, i, members).value for i in sorted(outside))])


def nondominated(
    payoffs: Any, members: Sequence[int] | None = None, tolerance: float = TOLERANCE
) -> list[int]:
    """The smallest set of rows (of ``members``) that dominates all of them, in their order.

    Of rows that are equal the first stays. ``tolerance`` is in units of the matrix' range.
    """
    M = as_payoffs(payoffs)
    given = range(len(M)) if members is None else members
    width = float(games.spread(M))
    kept: list[int] = []
    for i in as_members(given, len(M)):
        if not any(games.is_twin(M, i, k, tolerance * width) for k in kept):
            kept.append(int(i))
    left = np.array(kept, dtype=np.int64)
    return [int(i) for i in left[: games.prune(M, left, left.size, tolerance * width)]]
