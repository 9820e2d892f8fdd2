"""What dueling algorithms share: counts of duels, ties broken at random, weights on losses.

A tie counts half a win for each. Of an arm that meets itself nothing can be learned: algorithms
that count duels ignore those; a reduction to bandits, which sees rewards only, does not.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import Task, kernel
from banditlab.random import uniform


class Counts(NamedTuple):
    """Duels so far."""

    wins: np.ndarray  # (n_arms, n_arms) float64: of row over column, ties half


@kernel
def new_counts(params, task, rng):
    return Counts(np.zeros((task.n_arms, task.n_arms)))


@kernel
def count(wins, left, right, win):
    """Add a duel to ``wins`` (n_arms, n_arms), unless an arm met itself."""
    if left != right:
        wins[left, right] += win
        wins[right, left] += 1.0 - win


@kernel
def loss_to(wins, i, j):
    """How surely i loses to j: (1/2 - mean)^2 duels where i won less than half of them, else 0."""
    n = wins[i, j] + wins[j, i]
    if wins[i, j] >= wins[j, i]:
        return 0.0
    short = 0.5 - wins[i, j] / n
    return short * short * n


@kernel
def recommend_copeland(params, state, rng, out):
    """Even odds over the arms that beat most others in ``state.wins``."""
    wins = state.wins
    most = -1.0
    for i in range(out.size):
        out[i] = 0.0
        for j in range(out.size):
            if wins[i, j] > wins[j, i]:
                out[i] += 1.0
            elif wins[i, j] == wins[j, i]:
                out[i] += 0.5
        most = max(most, out[i])
    share_among(out, most)


@kernel
def share_among(out, value):
    """Even odds over the entries of ``out`` that are ``value``."""
    ties = 0.0
    for i in range(out.size):
        out[i] = 1.0 if out[i] == value else 0.0
        ties += out[i]
    for i in range(out.size):
        out[i] /= ties


@kernel
def any_of(chosen, rng):
    """One of the indices at which ``chosen`` (n,) bool holds, drawn evenly; one word."""
    n = 0
    for i in range(chosen.size):
        n += chosen[i]
    left = min(int(uniform(rng) * n), n - 1)
    for i in range(chosen.size):
        if chosen[i]:
            if left == 0:
                return i
            left -= 1
    return 0


@kernel
def any_largest(values, rng):
    """The index of a largest entry, ties broken at random; one word if there are ties."""
    best, ties = 0, 1
    for i in range(1, values.size):
        if values[i] > values[best]:
            best, ties = i, 1
        elif values[i] == values[best]:
            ties += 1
    if ties == 1:
        return best
    left = min(int(uniform(rng) * ties), ties - 1)
    for i in range(best, values.size):
        if values[i] == values[best]:
            if left == 0:
                return i
            left -= 1
    return best


@kernel
def ucb_arm(pulls, sums, n, confidence, rng):
    """An arm of largest mean + sqrt(confidence ln n / pulls), those without a pull first."""
    bonus = confidence * numeric.log(max(n * 1.0, 1.0))
    bounds = np.empty(pulls.size)
    for k in range(pulls.size):
        bounds[k] = np.inf
        if pulls[k] > 0.0:
            bounds[k] = sums[k] / pulls[k] + math.sqrt(bonus / pulls[k])
    return any_largest(bounds, rng)


@kernel
def softmax(eta, values, out):
    """Fill ``out`` with exp(eta * values), divided by their sum; the largest is subtracted."""
    most = values[0]
    for k in range(1, values.size):
        most = max(most, values[k])
    total = 0.0
    for k in range(values.size):
        out[k] = numeric.exp(eta * (values[k] - most))
        total += out[k]
    for k in range(values.size):
        out[k] /= total


@kernel
def recommend_average(params, state, rng, out):
    """The mean of the probabilities of all plays, ``state.played``; even odds before the first."""
    total = 0.0
    for k in range(out.size):
        total += state.played[k]
    for k in range(out.size):
        out[k] = state.played[k] / total if total > 0.0 else 1.0 / out.size


OUTPUTS = ("average", "last")  # what self-play may recommend


@kernel
def recommend_average_or_last(params, state, rng, out):
    """The mean of the probabilities of all plays, or those of the next, by ``params.output``."""
    recommend_average(params, state, rng, out)
    if params.output == 1:
        for k in range(out.size):
            out[k] = state.probs[k]


CAP = 1e12  # of 1 / p: a probability below 1e-12 counts as that


@kernel
def counted_inverse(p, capped):
    """1 / p, at most ``CAP``; ``capped`` (1,) counts how often it would have been more."""
    capped[0] += 1.0 if p * CAP < 1.0 else 0.0
    return 1.0 / max(p, 1.0 / CAP)


def needs_horizon(task: Task) -> None:
    """``check`` of an algorithm that is tuned for the number of duels."""
    if task.horizon < 1:
        raise ValueError("horizon, the number of duels, must be known and at least 1, got 0")
