"""What judgements of pairs prove: resampled winners, whether a cycle is real, what to ask next.

Annotators (or lists, or rows, where nobody is named) are what was drawn independently, so they are
what is drawn again for intervals: with replacement, all judgements of one together.

**Is a cycle real?** In truth there is none if the things can be ordered so that none is beaten by a
later one. Then every cycle of observed majorities holds at least one majority that points the wrong
way. So a cycle, all of whose majorities are significant after Bonferroni's correction for all pairs
asked, is real, but for an error of at most the level. A majority's p-value is the sign test's,
exact where nobody has judged the pair twice; else the judgements of one person count as one number
d, their sum, and the sum over persons of d is at least s with probability at most 3.178 P(Z >= s /
sqrt(sum d^2)), Z standard normal, where the sign of each d is as likely either way (Bentkus &
Dzindzalieta 2015).

**Does one beat all others?** If it is claimed of i when all K - 1 majorities of i are significant
at the level over K, the claim is wrong with at most the level: it takes one majority that points
the wrong way, and K of them (i over the true winner, or any if there is none) cover all claims.

**What to ask next.** Winners are drawn as Thompson would: every P[i, j] from Beta(wins + 1/2,
losses + 1/2), ties half for both. A pair is worth asking when it is in doubt who beats whom, and
when either may be the winner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab import games
from banditlab.data.duels import Duels

LEVEL = 0.05  # of a claim to be wrong
RADEMACHER = 3.178  # 1 / (4 P(Z >= sqrt 2)), rounded up
PAIRS = 10  # that are named as worth asking
CHUNK = 4_000_000  # numbers held at once


class Draws(NamedTuple):
    """Scores in resampled judgements, (draws, K) each; ``held``: Bradley-Terry had a penalty."""

    copeland: np.ndarray
    borda: np.ndarray
    bradley_terry: np.ndarray
    von_neumann: np.ndarray
    held: np.ndarray  # (draws,) bool


class Majority(NamedTuple):
    """Who beats whom, and the one-sided p-value that it is so: (K, K) each."""

    wins: np.ndarray  # decisive duels that the row has won over the column
    pvalue: np.ndarray  # of "the row beats the column"; 1 where it has no majority
    spread: float  # variance of what one decisive duel says, in units of an independent one's


def estimate(wins: np.ndarray) -> np.ndarray:
    """The preference matrix of counts, ties half; 1/2 where a pair was never asked."""
    asked = wins + wins.T
    P = np.where(asked > 0, wins / np.maximum(asked, 1e-300), 0.5)
    np.fill_diagonal(P, 0.5)
    # Exactly antisymmetric: counts are, quotients are to the last bit only.
    return (P + (1.0 - P.T)) / 2.0


def resampled(
    duels: Duels, draws: int, rng: np.random.Generator, told: Callable[[int], None]
) -> Draws:
    """Winners of ``draws`` sets of judgements, groups drawn with replacement."""
    from scipy.sparse import csr_matrix

    K = len(duels.names)
    cells = np.concatenate([duels.left * K + duels.right, duels.right * K + duels.left])
    score = np.concatenate([duels.score, 1.0 - duels.score])
    if duels.n_groups == len(duels) or duels.n_groups == 1:
        # Every row by itself: equal rows are one unit that is there several times.
        kinds, copies = np.unique(
            duels.left * 3 * K + duels.right * 3 + (2 * duels.score).astype(np.int64),
            return_counts=True,
        )
        pair, level = kinds // 3, (kinds % 3) / 2.0
        cells = np.concatenate([pair, (pair % K) * K + pair // K])
        score = np.concatenate([level, 1.0 - level])
        group = np.tile(np.arange(kinds.size), 2)
    else:
        group = np.tile(duels.group, 2)
        copies = np.ones(duels.n_groups, dtype=np.int64)
    table = csr_matrix((score, (group, cells)), shape=(copies.size, K * K))
    empty = [np.empty((draws, K)) for _ in range(4)]
    found = Draws(empty[0], empty[1], empty[2], empty[3], np.zeros(draws, np.bool_))
    begin = games.bradley_terry(duels.wins()).scores
    chunk = max(1, min(draws, CHUNK // (copies.size + K * K)))
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        total = int(copies.sum())
        taken = rng.multinomial(total, copies / total, size=size).astype(np.float64)
        for d, counts in enumerate(np.asarray((table.T @ taken.T).T), start):
            wins = counts.reshape(K, K)
            P = estimate(wins)
            fitted = games.bradley_terry(wins, start=begin)
            found.copeland[d], found.borda[d] = games.copeland(P), games.borda(P)
            found.bradley_terry[d] = fitted.scores
            found.von_neumann[d] = games.von_neumann(P, rng)
            found.held[d] = fitted.penalty > 0
            told(d + 1)
    return found


# --- majorities and cycles ----------------------------------------------------------------------


def majorities(duels: Duels) -> Majority:
    """Who beats whom by how much certainty; ties are left out."""
    from scipy.special import betainc, ndtr

    K = len(duels.names)
    decisive = np.flatnonzero(duels.score != 0.5)
    left, right = duels.left[decisive], duels.right[decisive]
    forth = duels.score[decisive] == 1.0
    winner, loser = np.where(forth, left, right), np.where(forth, right, left)
    wins = np.bincount(winner * K + loser, minlength=K * K).reshape(K, K).astype(np.float64)
    pair = np.minimum(left, right) * K + np.maximum(left, right)
    alone = duels.n_groups == 1  # one person: her judgements are all that is known of her
    group = np.arange(decisive.size) if alone else duels.group[decisive]
    keys, place = np.unique(pair * (group.max(initial=0) + 1) + group, return_inverse=True)
    place, held = place.reshape(-1), keys // (group.max(initial=0) + 1)
    d = np.bincount(place, np.where(winner < loser, 1.0, -1.0), minlength=keys.size)
    squares = np.bincount(held, d * d, minlength=K * K).reshape(K, K)
    largest = np.zeros(K * K)
    np.maximum.at(largest, held, np.abs(d))
    repeated = (largest > 1).reshape(K, K)
    squares, repeated = squares + squares.T, repeated | repeated.T
    lead = wins - wins.T
    with np.errstate(divide="ignore", invalid="ignore"):
        # P(X >= wins) of a binomial X
        exact = np.where(wins > 0, betainc(np.maximum(wins, 1.0), wins.T + 1.0, 0.5), 1.0)
        bound = np.minimum(1.0, RADEMACHER * ndtr(-lead / np.sqrt(squares)))
    p = np.where(lead > 0, np.where(repeated, np.maximum(bound, exact), exact), 1.0)
    return Majority(wins, p, _spread(d, np.bincount(place, minlength=keys.size), held))


def _spread(d: np.ndarray, judged: np.ndarray, pair: np.ndarray) -> float:
    """The variance of sums ``d`` of ``judged`` duels, in units of that of independent duels."""
    if d.size == 0:
        return 1.0
    lead = (np.bincount(pair, d) / np.maximum(np.bincount(pair, judged), 1.0))[pair]
    alone = float(judged @ (1.0 - lead * lead))
    return max(1.0, float(np.sum((d - lead * judged) ** 2)) / alone) if alone > 0 else 1.0


def top_set(P: np.ndarray) -> np.ndarray:
    """The Smith set, sorted: the least set whose members all beat everybody outside it."""
    from scipy.sparse.csgraph import connected_components

    at_least = 0.5 <= P
    _, piece = connected_components(at_least, directed=True, connection="strong")
    # Pieces are ordered by who beats whom: that of most Copeland points stands at the top.
    return np.flatnonzero(piece == piece[np.argmax(at_least.sum(axis=1))])


def cycle(majority: Majority, within: np.ndarray) -> tuple[list[int], float]:
    """The most certain cycle of majorities among ``within``, and the p-value that there is one.

    Empty, and 1, where there is no cycle. The p-value is corrected for all pairs asked.
    """
    from scipy.sparse.csgraph import connected_components, shortest_path

    inside = np.zeros(majority.wins.shape[0], np.bool_)
    inside[within] = True
    lead = majority.wins > majority.wins.T
    p = np.where(lead & inside[:, None] & inside[None, :], majority.pvalue, np.inf)
    levels = np.unique(p[np.isfinite(p)])

    def circles(level: float) -> bool:
        pieces, _ = connected_components(p <= level, directed=True, connection="strong")
        return bool(pieces < len(p))

    if levels.size == 0 or not circles(levels[-1]):
        return [], 1.0
    low, high = 0, levels.size - 1  # the least level at which there is a cycle
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if circles(levels[middle]) else (middle + 1, high)
    edges = p <= levels[low]
    length, before = shortest_path(edges, unweighted=True, return_predecessors=True)
    back = np.where(edges, length.T, np.inf)  # from the loser back to the winner
    i, j = np.unravel_index(np.argmin(back), back.shape)
    path = [int(i)]
    while path[-1] != j:
        path.append(int(before[j, path[-1]]))
    # The path was walked backwards, from the winner i to the loser j and so on.
    return [path[0], *path[:0:-1]], float(min(1.0, tests_of(majority) * levels[low]))


def tests_of(majority: Majority) -> float:
    """How many majorities there could have been: both ways of every pair that was decided."""
    return float(np.count_nonzero(majority.wins + majority.wins.T))


# --- what to ask --------------------------------------------------------------------------------


class Worth(NamedTuple):
    """How much an answer may matter: (K,) and (K, K)."""

    winner: np.ndarray  # mean probability in the von Neumann winner of what P may be
    doubt: np.ndarray  # probability that the less likely of the two beats the other


def worth(
    wins: np.ndarray, draws: int, rng: np.random.Generator, told: Callable[[int], None]
) -> Worth:
    """Who may be the winner, and which pairs are in doubt, by draws of P given the counts."""
    from scipy.special import betainc

    K = len(wins)
    i, j = np.triu_indices(K, 1)
    a, b = wins[i, j] + 0.5, wins[j, i] + 0.5
    mass = np.zeros(K)
    for d in range(draws):
        P = np.full((K, K), 0.5)
        P[i, j] = rng.beta(a, b)
        P[j, i] = 1.0 - P[i, j]
        mass += games.von_neumann(P)
        told(d + 1)
    below = betainc(a, b, 0.5)
    doubt = np.zeros((K, K))
    doubt[i, j] = doubt[j, i] = np.minimum(below, 1.0 - below)
    return Worth(mass / draws, doubt)


def still_to_ask(
    majority: Majority, duels: Duels, pairs: list[tuple[int, int]], tests: float
) -> dict[str, Any]:
    """About how many more duels make sure of ``pairs``, (winner, loser) each; plain data.

    Each pair is asked until its majority would be significant at 0.05 / ``tests`` with probability
    0.8, if the truth is as observed ((wins + 1/2) / (duels + 1)); ``at_least``, if
    it is one standard error further from 1/2. A pair that was never decided is taken to differ as
    much as pairs do in the median.
    """
    from scipy.special import ndtri

    sure, power = ndtri(1.0 - LEVEL / tests), ndtri(0.8)
    asked = duels.wins() + duels.wins().T
    decided = majority.wins + majority.wins.T
    share = max(float(decided.sum() / asked.sum()), 1e-3)
    known = np.abs(majority.wins[decided > 0] / decided[decided > 0] - 0.5)
    usual = max(float(np.median(known)) if known.size else 0.25, 1e-3)
    more, least, unsure = 0.0, 0.0, 0
    for i, j in pairs:
        if majority.pvalue[i, j] * tests <= LEVEL:
            continue
        unsure += 1
        n = decided[i, j]
        lead = (majority.wins[i, j] + 0.5) / (n + 1.0) - 0.5 if n else usual
        for which, margin in enumerate((lead, lead + 0.5 / np.sqrt(n + 1.0))):
            margin = min(max(margin, 1e-6), 0.5)
            need = ((sure / 2.0 + power * np.sqrt(0.25 - margin**2)) / margin) ** 2
            left = max(need * majority.spread - n, 1.0) / share
            more, least = (more + left, least) if which == 0 else (more, least + left)
    return {
        "pairs": len(pairs),
        "unsure": unsure,
        "duels": float(np.ceil(more)),
        "at_least": float(np.ceil(least)),
    }


# --- what follows -----------------------------------------------------------------------------


def verdict(duels: Duels, P: np.ndarray, majority: Majority) -> dict[str, Any]:
    """Whether one beats all others, whether there is a cycle, and what would settle it."""
    K = len(P)
    best = games.condorcet(P)
    everyone = np.arange(K)
    top = top_set(P)
    ring, p = cycle(majority, top if best is None else everyone)
    at_the_top = best is None and bool(ring)
    if best is None and not ring:  # those at the top are even; there may be a cycle below
        ring, p = cycle(majority, everyone)
    told: dict[str, Any] = {"condorcet": None, "cycle": None}
    if best is not None:
        rivals = np.delete(everyone, best)
        pairs, tests = [(best, int(k)) for k in rivals], float(K)
        sure = min(1.0, K * float(majority.pvalue[best, rivals].max()))
        told["condorcet"] = {
            "name": duels.names[best], "p": sure, "certain": sure <= LEVEL
        }  # fmt: skip
        what = "whether it beats every other"
    elif at_the_top:
        pairs, tests = list(zip(ring, ring[1:] + ring[:1], strict=True)), tests_of(majority)
        what = "whether the cycle is real"
    else:
        pairs = [(int(i), int(j)) for i in top for j in top if i != j and (P[i, j] > 0.5 or i < j)]
        pairs, tests = [(i, j) for i, j in pairs if P[i, j] >= 0.5], float(K)
        what = "which of those at the top is best"
    if ring:
        told["cycle"] = {
            "names": [duels.names[k] for k in ring],
            "shares": [float(P[i, j]) for i, j in zip(ring, ring[1:] + ring[:1], strict=True)],
            "p": p,
            "real": p <= LEVEL,
            "at_the_top": at_the_top,
        }
    told["top"] = [duels.names[k] for k in top]
    told["settle"] = {"what": what, **still_to_ask(majority, duels, pairs, tests)}
    return told


def worth_asking(duels: Duels, wins: np.ndarray, worth: Worth) -> list[dict[str, Any]]:
    """The pairs most worth asking next, the best first."""
    i, j = np.triu_indices(len(wins), 1)
    value = worth.doubt[i, j] * (worth.winner[i] + worth.winner[j])
    order = np.argsort(-value, kind="stable")[:PAIRS]
    return [
        {
            "left": duels.names[i[k]],
            "right": duels.names[j[k]],
            "duels": int(wins[i[k], j[k]] + wins[j[k], i[k]]),
            "doubt": float(worth.doubt[i[k], j[k]]),
        }
        for k in order
        if value[k] > 1e-6
    ]
