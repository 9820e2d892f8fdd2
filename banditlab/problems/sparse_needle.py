"""Which s of d items? Until more than m0 of them are hit every answer is 0.

A set T of ``s`` of d = ``dim`` items stands for the arm with features 1_T / sqrt(s). For
a hidden set S, theta = gap 1_S / sqrt(s) gives it the linear value gap abs(T & S) / s; the reward
is that if abs(T & S) > m0 = ``overlap``, else 0. So the linear model is wrong by eps = gap m0 / s,
and to find S is to be exact to gap = eps s / m0, which is eps s^delta for m0 = s^(1 - delta),
``exponent`` delta.

Before the first reward nothing adapts to anything: q queries find one with probability at most q p,

    p = sum over j > m0 of C(s, j) C(d - s, s - j) / C(d, s),

and a search without replacement takes (N + 1) / (p N + 1) queries on average, N = C(d, s). With d =
s^2 that grows roughly like (d / s)^(s^(1 - delta)), in steps as m0 is rounded; for delta = 1 it
does not grow at all. After the first reward swaps of one item tell which are good
(:mod:`banditlab.agents.sparse.swap_search`).

Our construction, for the claims of Dong & Yang 2023, "Does sparsity help in learning misspecified
linear bandits?", of which we knew the abstract only.

>>> import banditlab
>>> banditlab.make_problem("sparse_needle", s=8, exponent=0.5).shape
(64, 8)
>>> round(1 / hit_probability(4, 16, 2), 3)
37.143
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.protocols.combinatorial import Subsets
from banditlab.random import below, normal
from banditlab.validate import between, integer, nonnegative, positive

example = {"s": 2, "dim": 7}


class SparseNeedle(NamedTuple):
    """Parameters."""

    s: int  # s >= 1
    dim: int  # d >= s
    overlap: int  # m0, 0 .. s - 1
    gap: float  # > 0: what the hidden set pays
    noise: float  # >= 0: standard deviation of rewards


class World(NamedTuple):
    """One replication."""

    hidden: np.ndarray  # (dim,) bool: the items of the hidden set


@kernel
def init(params, rng):
    order = np.arange(params.dim)
    hidden = np.zeros(params.dim, np.bool_)
    for i in range(params.s):  # the first steps of a shuffle
        j = i + below(rng, params.dim - i)
        order[i], order[j] = order[j], order[i]
        hidden[order[i]] = True
    return World(hidden)


@kernel
def mean(params, world, items):
    """The mean reward of a set."""
    hit = 0
    for item in items:
        hit += 1 if world.hidden[item] else 0
    return params.gap * hit / params.s if hit > params.overlap else 0.0


@kernel
def pay(params, world, items, rng):
    noise = 0.0
    for _ in range(1 if params.noise > 0.0 else 0):
        noise = params.noise * normal(rng)
    return mean(params, world, items) + noise


@kernel
def regret(params, world, items):
    return params.gap - mean(params, world, items)


def hit_probability(s: int, dim: int, overlap: int) -> float:
    """p: the chance that a random set of ``s`` shares more than ``overlap`` with another."""
    hits = sum(math.comb(s, j) * math.comb(dim - s, s - j) for j in range(overlap + 1, s + 1))
    return float(Fraction(hits, math.comb(dim, s)))


def mean_queries(s: int, dim: int, overlap: int) -> float:
    """The mean number of queries to the first reward of who never asks twice."""
    total = math.comb(dim, s)
    hits = sum(math.comb(s, j) * math.comb(dim - s, s - j) for j in range(overlap + 1, s + 1))
    return float(Fraction(total + 1, hits + 1))


def threshold(s: int, exponent: float) -> int:
    """m0 = s^(1 - delta), rounded, below s."""
    return min(s - 1, round(s ** (1.0 - exponent)))


def sparse_needle(
    s: int,
    dim: int = 0,
    exponent: float = 0.5,
    overlap: int | None = None,
    gap: float = 1.0,
    noise: float = 0.0,
) -> Subsets:
    """Sets of ``s`` >= 1 of ``dim`` items, s^2 of them if 0; ``gap`` > 0.

    ``overlap``, 0 to s - 1, is by default s^(1 - ``exponent``), rounded, with
    ``exponent`` in [0, 1]. ``noise`` >= 0. Raises ValueError for an argument out of range.
    """
    s = integer("s", s, 1)
    d = integer("dim", dim, 0) or s * s
    if d < s:
        raise ValueError(f"dim must be at least s, {s}, got {dim!r}")
    m0 = threshold(s, between("exponent", exponent, 0.0, 1.0))
    m0 = m0 if overlap is None else integer("overlap", overlap, 0, s - 1)
    params = SparseNeedle(s, d, m0, positive("gap", gap), nonnegative("noise", noise))
    return Subsets(params, init, pay, regret, (d, s))
