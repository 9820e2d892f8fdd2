"""Two-player zero-sum Markov games as problems of protocol ``episodic``.

The actions a of the max player (rows) and b of the min player (columns) are taken at once; together
they are the action ``a * columns + b``. Rewards go to the max player, who is judged by what the
mixture of rows that it played guarantees: regret is the value of the game minus the value against a
best response in every state and step, exactly. What the columns did does not count.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts import zero_sum
from banditlab.parts.finite_models import best_of_table, tabular
from banditlab.protocols.episodic import EpisodicMDP
from banditlab.validate import integer

EXACT = 1e-10  # how exactly games are solved that regret is measured by


class Game(NamedTuple):
    """What `banditlab.parts.finite_models.Tables` holds, and the number of columns."""

    succ: np.ndarray  # (L, S, A * B, K) int64: next state of each outcome; S: the episode ends
    prob: np.ndarray  # (L, S, A * B, K) float64: its probability
    upto: np.ndarray  # (L, S, A * B, K) float64: cumulated, 2 from the last possible outcome on
    reward: np.ndarray  # (L, S, A * B, K) float64: its mean reward
    noise: np.ndarray  # (L, S, A * B) float64: 0 none, > 0 standard deviation, < 0 Bernoulli
    mean: np.ndarray  # (L, S, A * B) float64: mean rewards
    start: np.ndarray  # (S,) float64: law of the first state
    scale: np.ndarray  # (2,) float64: low and high
    best: np.ndarray  # (1,) float64: the value of the game, too large by EXACT a step at most
    columns: np.ndarray  # (1,) int64: B


@kernel
def payoffs(world, h, s, values, out):
    """Fill ``out`` (A, B): what each pair of actions is worth if next states are worth ``values``.

    ``values`` (S + 1,) ends with that of the end, 0.
    """
    i = h if world.succ.shape[0] > 1 else 0
    for a in range(out.shape[0]):
        for b in range(out.shape[1]):
            pair = a * out.shape[1] + b
            worth = world.mean[i, s, pair]
            for k in range(world.succ.shape[3]):
                worth += world.prob[i, s, pair, k] * values[world.succ[i, s, pair, k]]
            out[a, b] = worth


@kernel
def value_of_game(world, steps):
    """The value of the game from its start: an upper bound, and the best possible one but EXACT."""
    S, B = world.start.size, world.columns[0]
    A = world.mean.shape[2] // B
    game, mu = np.empty((A, B)), np.empty(A)
    V, ahead = np.zeros(S + 1), np.zeros(S + 1)
    for h in range(steps - 1, -1, -1):
        for s in range(S):
            payoffs(world, h, s, ahead, game)
            _, V[s] = zero_sum.solve(game, mu, EXACT)
        for s in range(S):
            ahead[s] = V[s]
    total = 0.0
    for s in range(S):
        total += world.start[s] * V[s]
    return total


@kernel
def value_against_best_response(params, world, rule):
    """``value``: of the rows' mixture in ``rule`` (H, S, A * B), against the best columns."""
    H, S, AB = rule.shape
    B = world.columns[0]
    A = AB // B
    game, mu = np.empty((A, B)), np.empty(A)
    V, ahead = np.zeros(S + 1), np.zeros(S + 1)
    for h in range(H - 1, -1, -1):
        for s in range(S):
            for a in range(A):
                mu[a] = 0.0
                for b in range(B):
                    mu[a] += rule[h, s, a * B + b]
            payoffs(world, h, s, ahead, game)
            V[s] = zero_sum.guarantee(game, mu)
        for s in range(S):
            ahead[s] = V[s]
    total = 0.0
    for s in range(S):
        total += world.start[s] * V[s]
    return total


def game_of(
    prob: Any, reward: Any, start: Any, steps: int, columns: int, **terms: Any
) -> EpisodicMDP:
    """A Markov game with dense transitions ``prob`` (L, S, A * B, S), or S + 1 with the end.

    Mean rewards ``reward`` (L, S, A * B) do not depend on the next state; ``terms`` as those of
    `banditlab.parts.finite_models.tabular`, which also says what is refused; so are columns that do
    not divide the number of actions.
    """
    P = np.asarray(prob, dtype=np.float64)
    succ = np.ascontiguousarray(np.broadcast_to(np.arange(P.shape[-1]), P.shape))
    mean = np.broadcast_to(np.asarray(reward, dtype=np.float64)[..., None], P.shape)
    made = tabular(succ, P, mean, start, steps, **terms)
    columns = integer("columns", columns, 1)
    if P.shape[-2] % columns:
        raise ValueError(f"columns must divide {P.shape[-2]}, the number of pairs, got {columns}")
    world = Game(*(*made.params, np.array([columns])))
    world.best[0] = value_of_game(world, steps)
    return made._replace(
        params=world, value=value_against_best_response, optimum=best_of_table, columns=columns
    )
