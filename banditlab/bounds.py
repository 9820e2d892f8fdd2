"""Lower bounds on regret: what no algorithm can beat. Figures draw them as overlays.

>>> round(lai_robbins([0.5, 0.4, 0.4]), 2)  # regret is at least this times ln(rounds)
9.93
>>> round(minimax(n_arms=10, horizon=10_000), 1)
11.1
>>> P = [[0.5, 0.6], [0.4, 0.5]]  # 0 is preferred to 1 in six duels of ten
>>> round(dueling(P), 2)
2.48
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import rel_entr

from banditlab.games import preference_matrix
from banditlab.validate import choice, flag, integer, positive, vector


def lai_robbins(means: Sequence[float], kind: str = "bernoulli", sigma: float = 1.0) -> float:
    """The constant ``sum gap / KL`` over suboptimal arms of the bound of Lai & Robbins (1985).

    For every algorithm whose regret is of smaller order than any power of the horizon on all
    bandits of the same ``kind`` ("bernoulli", or "gaussian" of standard deviation ``sigma``),
    ``liminf regret / ln(horizon)`` is at least this. ``KL`` is the divergence of the best arm's
    reward distribution from the arm's own. An arm that one reward can rule out (a Bernoulli best
    arm of mean 1) adds nothing.

    Raises ValueError for a mean outside [0, 1] ("bernoulli"), or an unknown ``kind``.
    """
    bernoulli = choice("kind", kind, ("bernoulli", "gaussian")) == "bernoulli"
    low, high = (0.0, 1.0) if bernoulli else (-np.inf, np.inf)
    p = vector("means", means, low, high, at_least=2)
    best = p.max()
    p = p[p < best]
    gaps = best - p
    if bernoulli:
        divergences = rel_entr(p, best) + rel_entr(1.0 - p, 1.0 - best)
    else:
        divergences = gaps * gaps / (2.0 * positive("sigma", sigma) ** 2)
    return float((gaps / divergences).sum())


def minimax(n_arms: int, horizon: Any) -> Any:
    """``sqrt((n_arms - 1) horizon) / 27``: Lattimore & Szepesvari (2020), Theorem 15.2.

    For every algorithm and ``horizon >= n_arms - 1`` there are Gaussian arms of unit variance
    with means in [0, 1] on which its regret is at least this; the hard instance depends on the
    horizon. ``horizon`` may be an array; below ``n_arms - 1`` the bound says nothing: nan.
    """
    arms = integer("n_arms", n_arms, 2)
    rounds = np.asarray(horizon, dtype=np.float64)
    bound = np.sqrt((arms - 1) * rounds) / 27.0
    bound = np.where(rounds >= arms - 1, bound, np.nan)
    return float(bound) if bound.ndim == 0 else bound


def dueling(matrix: Any, best_opponent: bool = True, scale: float = 0.5) -> float:
    """The constant C of strong Condorcet regret, at least ``C ln(duels)``, of dueling bandits.

    For every algorithm whose regret is of smaller order than any power of the horizon, whatever the
    preferences; Komiyama, Honda, Kashima & Nakagawa (2015), Theorem 1. Each arm i but the winner w
    has to lose, to somebody, often enough for it to be sure::

        C = sum over i != w of  min over j of  scale (P[w, i] + P[w, j] - 1) / kl(P[i, j], 1/2)

    over the j with P[i, j] < 1/2; with ``best_opponent`` False that is always j = w, which is what
    RMED1 attains. ``matrix`` (n_arms, n_arms) holds P, the probabilities that row is preferred to
    column; ``scale`` is that of the regret.

    Raises ValueError for what `games.preference_matrix` refuses, for a ``scale`` that is not
    positive, and for a matrix in which no arm beats all others.
    """
    P = preference_matrix(matrix, name="matrix")
    wins = [k for k in range(len(P)) if all(P[k, j] > 0.5 for j in range(len(P)) if j != k)]
    if not wins:
        raise ValueError("matrix must have a Condorcet winner, an arm that beats all others")
    w, total = wins[0], 0.0
    regret = positive("scale", scale) * (P[w][:, None] + P[w] - 1.0)
    evidence = rel_entr(P, 0.5) + rel_entr(1.0 - P, 0.5)
    for i in range(len(P)):
        others = np.flatnonzero(P[i] < 0.5) if flag("best_opponent", best_opponent) else [w]
        if i != w:
            total += float(min(regret[i, j] / evidence[i, j] for j in others))
    return total
