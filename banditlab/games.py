"""Preference matrices as games: who wins, by which idea of winning, and how far a strategy is off.

A *preference matrix* P holds the probability ``P[i, j]`` that i beats j: P + P^T = 1, a tie counts
half. It is a symmetric zero-sum game with the payoffs ``A = 2 P - 1``, whose value is 0. A strategy
p, probabilities over the K arms, has the *exploitability* ``max_k (A p)_k``: what the best answer
wins against it, between 0 and 1. It is 0 for the von Neumann winner (or minimax winner, maximal
lottery: Kreweras 1965, Fishburn 1984, Dudik et al. 2015), which always exists. A Condorcet winner,
an arm that beats every other, need not exist; where it does, it is the von Neumann winner.

Further ideas of winning: Copeland (how many arms are beaten), Borda (the mean probability to win)
and Bradley-Terry, the model P[i, j] = 1 / (1 + exp(s_j - s_i)), which cannot show a cycle.

>>> rps = [[0.5, 0.6, 0.2], [0.4, 0.5, 0.7], [0.8, 0.3, 0.5]]  # 0 beats 1 beats 2 beats 0
>>> condorcet(rps) is None, copeland(rps), borda(rps).round(2)
(True, array([1., 1., 1.]), array([0.4 , 0.55, 0.55]))
>>> von_neumann(rps).round(4)
array([0.3333, 0.5   , 0.1667])
>>> exploitability(rps, [0, 1, 0]).round(4), exploitability(rps, von_neumann(rps)).round(9)
(np.float64(0.2), np.float64(0.0))
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from banditlab.validate import flag, nonnegative, vector

TOLERANCE = 1e-8  # of P + P^T = 1
ROUNDED = 1e-2  # of published tables, which are rounded
MOST = 1e15  # wins: more are not counted one by one
PENALTY = 0.1  # of Bradley-Terry scores that would be infinite without one

# --- matrices -----------------------------------------------------------------------------------


def preference_matrix(P: Any, symmetrise: bool = False, *, name: str = "P") -> np.ndarray:
    """``P`` as a fresh float64 matrix (K, K), checked.

    ``symmetrise`` sets right what rounding has done to a published table, up to 0.01 an entry: P
    becomes (P + 1 - P^T) / 2. ``name`` is what a refusal calls it.

    Raises ValueError, in one line with the first pair that is wrong, unless P is square, in [0, 1]
    and P + P^T = 1 within 1e-8; so the diagonal is 1/2.
    """
    try:
        found = np.array(P, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a square matrix of numbers") from None
    if found.ndim != 2 or found.shape[0] != found.shape[1] or found.size == 0:
        raise ValueError(f"{name} must be a square matrix, got shape {found.shape}")
    for i, j in np.argwhere(~((found >= 0.0) & (found <= 1.0)))[:1]:  # catches nan
        raise ValueError(f"{name}[{i}, {j}] must lie in [0, 1], got {float(found[i, j])!r}")
    rounded = flag("symmetrise", symmetrise)
    off = np.abs(found + found.T - 1.0)
    for i, j in np.argwhere(off > (ROUNDED if rounded else TOLERANCE))[:1]:
        if i == j:
            raise ValueError(f"{name}[{i}, {i}] must be 0.5, got {float(found[i, i])!r}")
        hint = "" if rounded or off.max() > ROUNDED else "; symmetrise=True sets rounding right"
        raise ValueError(
            f"{name}[{i}, {j}] + {name}[{j}, {i}] must be 1, got {float(found[i, j])!r} + "
            f"{float(found[j, i])!r}{hint}"
        )
    return (found + 1.0 - found.T) / 2.0 if rounded else found


def strategy(p: Any, K: int) -> np.ndarray:
    """``p`` as a float64 vector (K,); ValueError unless it is probabilities (sum 1 within 1e-8)."""
    try:
        found = np.array(p, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"p must be {K} probabilities") from None
    if found.shape != (K,) or not (found >= 0).all() or not abs(found.sum() - 1.0) <= TOLERANCE:
        raise ValueError(f"p must be {K} probabilities that sum to 1, got {found.tolist()}")
    return found


def exploitability(P: Any, p: Any) -> np.float64:
    """What the best answer to the strategy ``p`` wins, max_k (A p)_k, in [0, 1]."""
    matrix = preference_matrix(P)
    return np.float64(((2.0 * matrix - 1.0) @ strategy(p, len(matrix))).max())


# --- winners ------------------------------------------------------------------------------------


def condorcet(P: Any) -> int | None:
    """The arm that beats every other with more than 1/2; None where there is none."""
    found = np.flatnonzero(copeland(P) == len(P) - 1)
    return int(found[0]) if found.size else None


def copeland(P: Any) -> np.ndarray:
    """How many others each arm beats with more than 1/2: float64 (K,), from 0 to K - 1."""
    return (preference_matrix(P) > 0.5).sum(axis=1).astype(np.float64)


def borda(P: Any) -> np.ndarray:
    """The mean probability to beat another arm: float64 (K,); 1/2 for a single arm."""
    matrix = preference_matrix(P)
    if len(matrix) == 1:
        return np.full(1, 0.5)
    return np.asarray((matrix.sum(axis=1) - 0.5) / (len(matrix) - 1))


def von_neumann(P: Any, rng: np.random.Generator | None = None) -> np.ndarray:
    """A strategy of exploitability 0, the von Neumann winner, by a linear program: float64 (K,).

    It is the point mass on a Condorcet winner where there is one. It need not be the only one:
    test its exploitability, not its entries, unless :func:`von_neumann_range` is one point. With
    ``rng`` one of several is drawn, so that no arm is preferred for its number.
    """
    matrix = preference_matrix(P)
    best = condorcet(matrix)
    if best is not None:
        return np.eye(len(matrix))[best]
    return _solve(matrix, np.zeros(len(matrix)) if rng is None else rng.normal(size=len(matrix)))


class Range(NamedTuple):
    """All von Neumann winners of a matrix: (K,) float64 each."""

    least: np.ndarray  # the least probability that an arm has in any of them
    largest: np.ndarray
    middle: np.ndarray  # one of them: the mean of those that attain the largest


def von_neumann_range(P: Any) -> Range:
    """The least and the largest probability of each arm in any von Neumann winner."""
    matrix = preference_matrix(P)
    directions = np.eye(len(matrix))
    least = [_solve(matrix, cost)[k] for k, cost in enumerate(directions)]
    most = np.array([_solve(matrix, -cost) for cost in directions])
    return Range(np.array(least), most.diagonal().copy(), most.mean(axis=0))


def _solve(matrix: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """The strategy of least ``cost`` (K,) among those that lose to no arm."""
    from scipy.optimize import linprog

    # The value of the game is known to be 0: A p <= 0 says that no arm wins against p.
    K = len(matrix)
    found = linprog(
        cost, A_ub=2.0 * matrix - 1.0, b_ub=np.zeros(K), A_eq=np.ones((1, K)), b_eq=[1.0],
        bounds=(0.0, 1.0), method="highs",
    )  # fmt: skip
    if found.x is None:
        raise ValueError(f"the linear program found no von Neumann winner: {found.message}")
    p = np.maximum(found.x, 0.0)
    return np.asarray(p / p.sum())


# --- Bradley-Terry ------------------------------------------------------------------------------


class BradleyTerry(NamedTuple):
    """Scores fitted to wins, and what they can be trusted for.

    Scores of one ``component`` have the mean 0; those of two cannot be compared, for no duel joins
    them. ``penalty`` is what was used; not 0 where scores without one would be infinite.
    """

    scores: np.ndarray  # (K,) float64: i beats j with probability 1 / (1 + exp(s_j - s_i))
    component: np.ndarray  # (K,) int64: which arms are joined by duels, counted from 0
    penalty: float

    def preferences(self) -> np.ndarray:
        """The model's preference matrix; 1/2 between arms that no duels join."""
        from scipy.special import expit

        fitted = expit(self.scores[:, None] - self.scores[None, :])
        return np.where(self.component[:, None] == self.component[None, :], fitted, 0.5)


def bradley_terry(
    wins: Any, penalty: float | None = None, start: np.ndarray | None = None
) -> BradleyTerry:
    """Bradley-Terry scores (1952) of greatest likelihood, by SciPy's trust-region Newton method.

    Parameters
    ----------
    wins
        ``wins[i, j]`` says how often i has beaten j, (K, K), at least 0; a tie is half a win for
        both. The diagonal is passed over.
    penalty
        At least 0: penalty / 2 times the squares of the scores is taken from the log-likelihood. By
        default 0, but 0.1 where there is no finite maximum: within a component it is finite only
        if nobody can be divided into two groups of which one has won every duel with the other
        (Ford 1957), so the winner of all its duels has an infinite score.
    start
        Scores (K,) to begin with.

    Raises ValueError for what is no matrix of counts, and for a penalty of 0 where there is no
    finite maximum.
    """
    from scipy.optimize import minimize
    from scipy.sparse.csgraph import connected_components
    from scipy.special import expit

    W = _counts(wins)
    K = len(W)
    pieces, component = connected_components(W > 0, directed=True, connection="weak")
    finite = connected_components(W > 0, directed=True, connection="strong")[0] == pieces
    if penalty is None:
        penalty = 0.0 if finite else PENALTY
    elif nonnegative("penalty", penalty) == 0 and not finite:
        raise ValueError(
            "penalty must be positive here: some arms have won, or lost, every duel with the others"
        )
    member = (component == np.arange(pieces)[:, None]).astype(np.float64)
    # Equal shifts of a component change nothing: its sum is held at 0, which is where it belongs.
    hold = member.T @ member
    duels, total = W + W.T, float(W.sum()) or 1.0
    begin = np.zeros(K) if start is None else vector("start", start, -np.inf, np.inf)
    if begin.size != K:
        raise ValueError(f"start must hold {K} scores, got {begin.size}")

    def loss(s: np.ndarray) -> float:
        gap = s[:, None] - s[None, :]
        value = np.sum(W * np.logaddexp(0.0, -gap)) + 0.5 * penalty * (s @ s)
        return float(value / total + 0.5 * (s @ hold @ s))

    def slope(s: np.ndarray) -> np.ndarray:
        chance = expit(s[:, None] - s[None, :])
        return np.asarray(
            ((duels * chance).sum(axis=1) - W.sum(axis=1) + penalty * s) / total + hold @ s
        )

    def curvature(s: np.ndarray) -> np.ndarray:
        chance = expit(s[:, None] - s[None, :])
        weight = duels * chance * (1.0 - chance)
        return np.asarray((np.diag(weight.sum(axis=1) + penalty) - weight) / total + hold)

    found = minimize(
        loss, begin, jac=slope, hess=curvature,
        method="trust-exact", options={"gtol": 1e-10 / K, "maxiter": 500},
    )  # fmt: skip
    return BradleyTerry(found.x, component.astype(np.int64), float(penalty))


def _counts(wins: Any) -> np.ndarray:
    try:
        W = np.array(wins, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("wins must be a square matrix of counts") from None
    if W.ndim != 2 or W.shape[0] != W.shape[1] or W.size == 0:
        raise ValueError(f"wins must be a square matrix, got shape {W.shape}")
    np.fill_diagonal(W, 0.0)
    for i, j in np.argwhere(~((W >= 0) & (W <= MOST)))[:1]:  # catches nan
        raise ValueError(f"wins[{i}, {j}] must lie in [0, {MOST:g}], got {float(W[i, j])!r}")
    return W
