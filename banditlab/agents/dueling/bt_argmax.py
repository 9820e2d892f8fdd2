"""A reward model from comparisons, and its best arm: what SPO does without.

The usual way from preferences to a policy (Christiano, Leike, Brown, Martic, Legg & Amodei 2017):
compare pairs drawn evenly for a while, fit the Bradley-Terry model (1952), in which i is preferred
to j with probability 1 / (1 + exp(s_j - s_i)), and play the arm of the largest score from then on.
The fit maximises the likelihood less ``penalty`` / 2 times the squares of the scores, by Newton's
method.

Where all pairs are compared equally often the scores have the order of the mean probabilities to
win (Borda), whatever the pairs say. A cycle is not seen: on the cyclic preferences of three groups
of people it names one arm that another beats by far.

>>> import banditlab
>>> agent = banditlab.Agent("bt_argmax", n_arms=3, explore=300, seed=1)
>>> for _ in range(300):
...     left, right = agent.act()
...     agent.update((left, right), win=left < right)
>>> agent.act(), agent.recommend()
((0, 0), array([1., 0., 0.]))
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.agent import LARGEST
from banditlab.core import kernel
from banditlab.linalg import cholesky, solve_lower, solve_upper
from banditlab.parts.duels import any_largest, count, needs_horizon, share_among
from banditlab.protocols.duel import Duel
from banditlab.random import below
from banditlab.validate import integer, positive

label = "Bradley-Terry argmax"

STEPS = 100  # of Newton's method; a dozen are usual
EXACT = 1e-12  # a step below that ends it
LEAST = 1e-6  # penalty: a smaller one is lost in the rounding of many duels, and nothing holds


class BTArgmax(NamedTuple):
    """Hyper-parameters."""

    explore: int = 0  # >= 0: duels before it commits; 0: ceil(T^(2/3) (K ln K)^(1/3))
    penalty: float = 0.1  # >= 1e-6, on the squares of the scores


class Model(NamedTuple):
    """What it remembers."""

    wins: np.ndarray  # (n_arms, n_arms) float64: of row over column, ties half
    choice: np.ndarray  # (1,) int64: the arm it plays, -1 before it has chosen
    explore: np.ndarray  # (1,) int64: duels before it chooses


@kernel
def init(params, task, rng):
    K = task.n_arms
    explore = params.explore
    if explore == 0:
        cube = max(task.horizon, 1) * math.sqrt(K * numeric.log(K * 1.0))
        explore = int(math.ceil(numeric.exp(2.0 / 3.0 * numeric.log(max(cube, 1.0)))))
    return Model(np.zeros((K, K)), np.full(1, -1), np.full(1, explore))


@kernel
def act(params, state, t, rng):
    K = state.wins.shape[0]
    if state.choice[0] >= 0:
        return state.choice[0], state.choice[0]
    left = below(rng, K)
    if K == 1:
        return left, left
    return left, (left + 1 + below(rng, K - 1)) % K


@kernel
def update(params, state, t, left, right, win, rng):
    count(state.wins, left, right, win)
    if state.choice[0] < 0 and t + 1 >= state.explore[0]:
        scores = np.zeros(state.wins.shape[0])
        fit_scores(state.wins, params.penalty, scores)
        state.choice[0] = any_largest(scores, rng)


@kernel
def fit_scores(wins, penalty, scores):
    """Bradley-Terry scores of the largest penalised likelihood, from ``scores`` on."""
    K = scores.size
    curve, step = np.zeros((K, K)), np.zeros(K)
    for _ in range(STEPS):
        for i in range(K):
            step[i] = -penalty * scores[i]
            curve[i, i] = penalty
        for i in range(K):
            for j in range(K):
                if i != j:
                    chance = 1.0 / (1.0 + numeric.exp(scores[j] - scores[i]))
                    duels = wins[i, j] + wins[j, i]
                    step[i] += wins[i, j] - duels * chance
                    curve[i, j] = -duels * chance * (1.0 - chance)
                    curve[i, i] += duels * chance * (1.0 - chance)
        cholesky(curve, curve)
        solve_lower(curve, step)
        solve_upper(curve, step)
        largest = 0.0
        for i in range(K):
            largest = max(largest, abs(step[i]))
        # Far from the maximum Newton's step may be too long: no score moves by more than 1.
        for i in range(K):
            scores[i] += step[i] / max(largest, 1.0)
        if largest < EXACT:
            break


@kernel
def recommend(params, state, rng, out):
    if state.choice[0] >= 0:
        for k in range(out.size):
            out[k] = 0.0
        out[state.choice[0]] = 1.0
        return
    for k in range(out.size):
        out[k] = 0.0
    fit_scores(state.wins, params.penalty, out)
    most = out[0]
    for k in range(1, out.size):
        most = max(most, out[k])
    share_among(out, most)


def bt_argmax(explore: int = 0, penalty: float = 0.1) -> Duel:
    """The best arm of a Bradley-Terry model, fitted after ``explore`` evenly drawn pairs.

    ``explore`` >= 0, where 0 is tuned for the number of duels, which must then be known;
    ``penalty`` >= 1e-6. Raises ValueError for others.
    """
    params = BTArgmax(integer("explore", explore, 0, LARGEST), positive("penalty", penalty))
    if params.penalty < LEAST:
        raise ValueError(f"penalty must be at least {LEAST:g}, got {penalty!r}")
    tuned = None if params.explore > 0 else needs_horizon
    return Duel(params, init, act, update, recommend, check=tuned)
