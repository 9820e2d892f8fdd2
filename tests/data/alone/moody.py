"""A guesser whose kernel raises in round 40 of replications whose first draw is large."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from banditlab import random
from banditlab.core import kernel
from banditlab.registry import module

guess = module(Path(__file__).parent.parent / "house" / "guess.py")


class Moody(NamedTuple):
    kind: int = 0  # of error


class Mood(NamedTuple):
    first: np.ndarray


@kernel
def init(params, task, rng):
    return Mood(np.array([random.uniform(rng)]))


@kernel
def act(params, state, t, rng):
    if t == 40 and state.first[0] > 0.5:
        if params.kind == 0:
            raise ValueError("the mood of the moment")
        raise IndexError("no such mood")
    return 0


@kernel
def update(params, state, t, side):
    pass


def moody(kind=0):
    return guess.Guess(Moody(kind), init, act, update)
