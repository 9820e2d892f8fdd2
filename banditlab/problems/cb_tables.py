"""A contextual bandit given by its tables, and what every such bandit shares.

Contexts come with probabilities ``rho(s)``, an arm pays 1 with probability ``means(s, a)``, and a
log holds independent rows with (s, a) of law ``mu(s, a)``: the setting of Rashidinejad, Zhu, Ma,
Jiao & Russell 2021 (arXiv 2103.12021), section 4. In theory, and here, ``mu`` need not show the
contexts as often as ``rho`` does; the single-policy concentrability (Definition 1) is the maximum
over s of rho(s) / mu(s, best arm).

An agent that plays sees contexts from ``rho``. A log read as counts, which is how every offline
rule reads it, has the law ``mu``; one read round by round, as for a warm start, has contexts from
``rho`` and arms from ``mu`` given the context.

>>> problem = cb_tables(rho=[0.5, 0.5], mu=[[0.4, 0.1], [0.4, 0.1]], means=[[1, 0], [0.2, 0.7]])
>>> round(concentrability(problem), 6)
5.0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab import random
from banditlab.core import context, kernel
from banditlab.protocols.online import Problem
from banditlab.random import binomial, categorical, uniform
from banditlab.validate import vector

example = {"rho": [0.5, 0.5], "mu": [[0.4, 0.1], [0.1, 0.4]], "means": [[1.0, 0.0], [0.2, 0.7]]}


class CBTables(NamedTuple):
    """Parameters."""

    rho: np.ndarray  # (S,) float64: probability of each context
    mu: np.ndarray  # (S, A) float64: probability of each pair in a row of the log
    means: np.ndarray  # (S, A) float64 in [0, 1]


class World(NamedTuple):
    """One replication: the tables, which it may have drawn, and what follows from them."""

    rho: np.ndarray  # (S,) float64
    mu: np.ndarray  # (S, A) float64
    means: np.ndarray  # (S, A) float64
    best: np.ndarray  # (S,) float64: the largest mean of each context
    x: np.ndarray  # (1, 1) float64: the context of the round, overwritten in each


@kernel
def world_of(rho, mu, means):
    """The world with these tables."""
    best = means[:, 0].copy()
    for s in range(best.size):
        for k in range(means.shape[1]):
            best[s] = max(best[s], means[s, k])
    return World(rho, mu, means, best, np.zeros((1, 1)))


@kernel
def init(params, rng):
    return world_of(params.rho, params.mu, params.means)


@kernel
def observe(params, world, t, rng):
    world.x[0, 0] = categorical(rng, world.rho)
    return world.x


@kernel
def pull(params, world, x, arm, rng):
    return 1.0 if uniform(rng) < world.means[context(world.best.size, x), arm] else 0.0


@kernel
def regret(params, world, x, arm):
    s = context(world.best.size, x)
    return world.best[s] - world.means[s, arm]


@kernel
def behave(params, world, x, rng):
    """An arm with probability mu(s, arm) / mu(s); any arm in a context that is never logged."""
    here = world.mu[context(world.best.size, x)]
    mass = 0.0
    for k in range(here.size):
        mass += here[k]
    arm = -1
    if mass > 0.0:
        arm = categorical(rng, here)
    return arm


@kernel
def log(params, world, rounds, rng, counts, sums):
    """Add ``rounds`` logged rows, drawn as counts: the law of one by one, at a cost of S A.

    A multinomial is a chain of binomials, each of what the cells before have left.
    """
    n_contexts, n_arms = world.mu.shape
    # Summed from the end, so that the last cell with a chance has exactly all of what is left.
    tail = np.zeros((n_contexts, n_arms))
    mass = 0.0
    for i in range(n_contexts * n_arms):
        s, k = divmod(n_contexts * n_arms - 1 - i, n_arms)
        mass += world.mu[s, k]
        tail[s, k] = mass
    left = rounds
    for s in range(n_contexts):
        for k in range(n_arms):
            if world.mu[s, k] > 0.0:
                n = binomial(rng, left, world.mu[s, k] / tail[s, k])
                left -= n
                counts[s, k] += n
                sums[s, k] += binomial(rng, n, world.means[s, k])
    return True


@kernel
def weights(params, world, out):
    for s in range(out.size):
        out[s] = world.rho[s]


def contextual(params: Any, init: Any, n_contexts: int, n_arms: int) -> Problem:
    """The problem whose ``init(params, rng)`` makes a `World`."""
    shape = (n_arms, n_contexts, 0)
    return Problem(
        params, init, observe, pull, regret, shape, behave=behave, log=log, weights=weights
    )


def cb_tables(
    rho: Sequence[float], mu: Sequence[Sequence[float]], means: Sequence[Sequence[float]]
) -> Problem:
    """The contextual bandit of these tables, with Bernoulli rewards.

    Parameters
    ----------
    rho
        (S,) probability of each context, summing to 1.
    mu
        (S, A) probability of each pair in a row of the log, summing to 1.
    means
        (S, A) mean rewards, each in [0, 1]; at least two arms.

    Raises ValueError for tables of other shapes, entries out of range, or another sum.
    """
    shares = vector("rho", rho, 0.0, 1.0)
    tables = {"mu": np.array(mu, dtype=np.float64), "means": np.array(means, dtype=np.float64)}
    for name, table in tables.items():
        if table.ndim != 2 or len(table) != shares.size or table.shape[1] < 2:
            raise ValueError(
                f"{name} must have a row per context ({shares.size}) and a column per arm, "
                f"at least 2, got shape {table.shape}"
            )
        vector(name, table.ravel(), 0.0, 1.0)
    if tables["mu"].shape != tables["means"].shape:
        raise ValueError("mu and means must have the same shape")
    for name, total in (("rho", shares.sum()), ("mu", tables["mu"].sum())):
        if abs(total - 1.0) > 1e-8:
            raise ValueError(f"{name} must sum to 1, got {total:.10g}")
    params = CBTables(shares, tables["mu"], tables["means"])
    return contextual(params, init, *params.mu.shape)


def concentrability(problem: Problem, replication: int = 0, seed: int = 0) -> float:
    """C* of a problem made of tables, in the world of one replication; inf if the log misses it.

    Of several best arms the one logged most counts; 0 / 0 is 0.
    """
    with np.errstate(all="ignore"):  # plain Python wraps uint64 aloud; the streams mean it
        nature = random.stream(random.key(seed), replication, random.NATURE)
        world = problem.init(problem.params, nature)
    logged = np.where(world.means == world.best[:, None], world.mu, 0.0).max(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(world.rho > 0.0, world.rho / logged, 0.0)))
