"""A contextual bandit whose log runs from an expert's (C = 1) to a broad one.

``S`` equally likely contexts, ``A`` arms with Bernoulli rewards. In each context one arm, the
expert's, pays .75 on average, one decoy pays .55 and the others, rarely tried, .35. The logging
policy plays the expert's arm with probability 1/C, the decoy with .9 (1 - 1/C), and shares the
rest evenly among the others; ``C="uniform"`` plays all arms evenly. Its single-policy
concentrability (Rashidinejad et al. 2021, Definition 1), the maximum over s of
rho(s) / mu(s, best arm), is exactly C, or A for "uniform". The most played arm is the best one
while 1/C > .9 (1 - 1/C), that is for C < 19/9.

Which arm plays which role is drawn anew for every context and replication, so that no rule gains
from the order of the arms.

>>> problem = cb_composition(C=3.0)
>>> problem.shape
(10, 20, 0)
>>> problem.params.policy.round(4)[:3]
array([0.3333, 0.6   , 0.0083])
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import context, kernel
from banditlab.protocols.online import Problem
from banditlab.random import below, binomial, categorical, shuffle, uniform
from banditlab.validate import integer, number

example = {"C": 3.0}


class CBComposition(NamedTuple):
    """Parameters, by role: 0 is the expert's arm, 1 the decoy, the others are rarely tried."""

    means: np.ndarray  # (A,) float64 mean rewards
    policy: np.ndarray  # (A,) float64 probabilities of the logging policy
    S: int  # number of contexts


class World(NamedTuple):
    """One replication."""

    arms: np.ndarray  # (S, A) int64: the arm that plays each role
    roles: np.ndarray  # (S, A) int64: the role of each arm
    x: np.ndarray  # (1, 1) float64: the context of the round, overwritten in each


@kernel
def init(params, rng):
    arms = np.empty((params.S, params.means.size), np.int64)
    roles = np.empty((params.S, params.means.size), np.int64)
    for s in range(params.S):
        for role in range(params.means.size):
            arms[s, role] = role
        shuffle(rng, arms[s])
        for role in range(params.means.size):
            roles[s, arms[s, role]] = role
    return World(arms, roles, np.zeros((1, 1)))


@kernel
def observe(params, world, t, rng):
    world.x[0, 0] = below(rng, params.S)
    return world.x


@kernel
def pull(params, world, x, arm, rng):
    role = world.roles[context(params.S, x), arm]
    return 1.0 if uniform(rng) < params.means[role] else 0.0


@kernel
def regret(params, world, x, arm):
    return params.means[0] - params.means[world.roles[context(params.S, x), arm]]


@kernel
def behave(params, world, x, rng):
    """The logging policy."""
    return world.arms[context(params.S, x), categorical(rng, params.policy)]


@kernel
def log(params, world, rounds, rng, counts, sums):
    """Add ``rounds`` logged rounds, drawn as counts: the law of one by one, at a cost of S A.

    A multinomial is a chain of binomials, each of what the cells before have left.
    """
    n_arms = params.means.size
    # Summed from the end, so that the last role with a chance has exactly all of what is left.
    tail = np.empty(n_arms)
    mass = 0.0
    for i in range(n_arms):
        mass += params.policy[n_arms - 1 - i]
        tail[n_arms - 1 - i] = mass
    rounds_left = rounds
    for s in range(params.S):
        here = binomial(rng, rounds_left, 1.0 / (params.S - s))
        rounds_left -= here
        for role in range(n_arms):
            if params.policy[role] > 0.0:
                n = binomial(rng, here, params.policy[role] / tail[role])
                here -= n
                counts[s, world.arms[s, role]] += n
                sums[s, world.arms[s, role]] += binomial(rng, n, params.means[role])
    return True


def cb_composition(C: float | str, S: int = 20, A: int = 10) -> Problem:
    """The problem with concentrability ``C``, ``S`` contexts and ``A`` arms.

    ``C`` is at least 1, or "uniform"; ``S`` is at least 1 and ``A`` at least 3.
    Raises ValueError for a value out of range.
    """
    S, A = integer("S", S, 1), integer("A", A, 3)
    if C == "uniform":
        policy = np.full(A, 1.0 / A)
    else:
        if isinstance(C, str) or number("C", C) < 1.0:
            raise ValueError(f"C must be at least 1, or 'uniform', got {C!r}")
        others = 1.0 - 1.0 / float(C)
        policy = np.full(A, 0.1 * others / (A - 2))
        policy[0] = 1.0 / float(C)
        policy[1] = 0.9 * others
    means = np.full(A, 0.35)
    means[0], means[1] = 0.75, 0.55
    params = CBComposition(means, policy, S)
    return Problem(params, init, observe, pull, regret, (A, S, 0), behave=behave, log=log)
