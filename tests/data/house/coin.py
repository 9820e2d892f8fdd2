"""A coin with a bias."""

from pathlib import Path
from typing import NamedTuple

from banditlab.core import kernel
from banditlab.random import uniform
from banditlab.registry import module

guess = module(Path(__file__).parent / "guess.py")
example = {"bias": 0.7}


class Biased(NamedTuple):
    """Parameters."""

    bias: float  # probability of side 1


@kernel
def toss(params, rng):
    return 1 if uniform(rng) < params.bias else 0


def coin(bias=0.7):
    """Side 1 comes with probability ``bias``."""
    return guess.Coin(Biased(float(bias)), toss)
