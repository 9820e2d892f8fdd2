"""Gaussian bandit: arm k pays a normal reward of mean ``means[k]`` and common deviation ``sigma``.

Lattimore & Szepesvari (2020), Bandit Algorithms, section 4.3 (Gaussian environments).

>>> import banditlab
>>> banditlab.make_problem("gaussian", means=[-0.5, 0.0, 0.5]).shape
(3, 1, 0)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel, kernel_inline
from banditlab.problems.bernoulli import init, observe, regret
from banditlab.protocols.loops.lanes import Arms
from banditlab.protocols.online import ANY_REWARD, Problem
from banditlab.random import normal, normals
from banditlab.validate import nonnegative, vector

example = {"means": [-0.5, 0.0, 0.5]}


class Gaussian(NamedTuple):
    """Parameters."""

    means: np.ndarray  # (n_arms,) float64
    sigma: float  # >= 0


@kernel_inline
def reward(params, mean, variate):
    return mean + params.sigma * variate


@kernel
def pull(params, world, x, arm, rng):
    return reward(params, params.means[arm], normal(rng))


@kernel
def batch(params, world, x, arm, n, rng):
    return n * params.means[arm] + math.sqrt(n) * params.sigma * normal(rng)


def gaussian(means: Sequence[float], sigma: float = 1.0) -> Problem:
    """A Gaussian bandit: finite ``means``, at least two, and a standard deviation ``sigma`` >= 0.

    Raises ValueError naming the argument that is out of range.
    """
    params = Gaussian(vector("means", means, at_least=2), nonnegative("sigma", sigma))
    shape = (params.means.size, 1, 0)
    lanes = Arms(params, params.means[None], np.zeros(0, np.int64), normals, reward)
    return Problem(params, init, observe, pull, regret, shape, ANY_REWARD, lanes=lanes, batch=batch)
