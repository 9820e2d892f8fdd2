"""Guess the side that came more often (baseline of tests/data/house/guess.py, 2026)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.random import uniform
from banditlab.registry import module

guess = module(Path(__file__).parent / "guess.py")
example = {"name": str(Path(__file__).parent / "coin.py"), "bias": 0.8}


class Majority(NamedTuple):
    """Hyper-parameters."""

    doubt: float = 0.0  # in [0, 1]: how often it guesses blindly


class Counts(NamedTuple):
    """State."""

    seen: np.ndarray  # (2,) int64


@kernel
def init(params, task, rng):
    return Counts(np.zeros(2, np.int64))


@kernel
def act(params, state, t, rng):
    blind = uniform(rng) < params.doubt
    coin = 1 if uniform(rng) < 0.5 else 0
    return coin if blind or state.seen[0] == state.seen[1] else int(state.seen[1] > state.seen[0])


@kernel
def update(params, state, t, side):
    state.seen[side] += 1


def majority(doubt=0.0):
    """Guess blindly with probability ``doubt``, else the side that came more often."""
    if not 0 <= doubt <= 1:
        raise ValueError(f"doubt must lie in [0, 1], got {doubt!r}")
    return guess.Guess(Majority(float(doubt)), init, act, update)
