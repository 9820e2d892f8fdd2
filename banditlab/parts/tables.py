"""What the rules of an offline bandit share: the tables of a log, and the breaking of ties."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.validate import number


class Tables(NamedTuple):
    """What an offline rule remembers of its log."""

    counts: np.ndarray  # (n_contexts, n_arms) float64: rows that show the pair
    sums: np.ndarray  # (n_contexts, n_arms) float64: their rewards
    rows: np.ndarray  # (1,) float64: rows in all


@kernel
def new_tables(params, task, rng):
    """``init`` of the family."""
    shape = (task.n_contexts, task.n_arms)
    return Tables(np.zeros(shape), np.zeros(shape), np.zeros(1))


@kernel
def add_block(params, state, counts, sums):
    """``update`` of the family."""
    for s in range(counts.shape[0]):
        for k in range(counts.shape[1]):
            state.counts[s, k] += counts[s, k]
            state.sums[s, k] += sums[s, k]
            state.rows[0] += counts[s, k]


@kernel
def even_odds(out):
    """Turn the scores in ``out`` into a rule: even odds over the arms of the largest score."""
    best = -np.inf
    ties = 0.0
    for k in range(out.size):
        if out[k] > best:
            best = out[k]
            ties = 0.0
        ties += 1.0 if out[k] == best else 0.0
    for k in range(out.size):
        out[k] = 1.0 / ties if out[k] == best else 0.0


def reward_range(low: float, high: float) -> tuple[float, float]:
    """The range checked: two finite numbers, the first below the second."""
    low, high = number("low", low), number("high", high)
    if not low < high:
        raise ValueError(f"low must be below high, got {low!r} and {high!r}")
    return low, high
