"""A classification task played as a bandit: an arm per class, and only the guess is judged.

Every round shows the features of a row, one row (1, d) that all arms share; the arm that is the
row's label pays 1, every other 0. The regret counts mistakes: the right label always pays 1, so a
curve goes on growing at the error rate of the best rule that can be learned. This is the "disjoint"
or "multi" encoding of Zhou, Li & Gu (2020): each arm has a block of its own of a context of length
K d. The blocks are never made; an algorithm that keeps coefficients per arm needs x alone.

Rows come in random order, every row once before any comes again; with ``replacement`` each round
draws any row; in ``blocks`` a cycle shows all rows of the first class, then all of the second and
so on, contexts that an adversary chose beforehand. At each round of ``drift`` the labels change
places, every one of them, by a random cycle: what was learned is wrong from then on.

``normalize`` brings rows to the sizes that learners take for granted:

========== =======================================================================================
row_l2     each row is divided by its Euclidean length; a row of zeros stays one
zscore     each feature has mean 0 and variance 1 over all rows, so that x has length about sqrt(d)
zscore_l2  zscore, then row_l2
none       rows as they are
========== =======================================================================================

With ``constant`` a feature 1 is appended before rows are divided by their length: a linear model
has an intercept then, and a row keeps what its length told.

>>> import banditlab
>>> data = {"x": [[0.0, 1.0], [3.0, 4.0]], "label": ["a", "b"]}
>>> problem = banditlab.make_problem("classification", data=data)
>>> problem.shape, problem.params.x
((2, 1, 2), array([[0. , 1. ],
       [0.6, 0.8]]))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.data.labelled import Labelled
from banditlab.data.sets import SETS, named_set
from banditlab.protocols.online import Problem
from banditlab.random import below
from banditlab.validate import choice, flag, integer

NORMALIZE = ("row_l2", "zscore", "zscore_l2", "none")
ORDERS = ("shuffled", "replacement", "blocks")

# Two classes that a line through the origin parts, and one feature that says nothing.
example = {
    "data": {
        "x": [[1, 0.5, 1], [1, 1.5, 0], [1, 2.5, 1], [-1, 0.5, 0], [-1, 1.5, 1], [-1, 2.5, 0]],
        "label": [0, 0, 0, 1, 1, 1],
    }
}


class Classification(NamedTuple):
    """Parameters: rows of features, their labels, and how they come."""

    x: np.ndarray  # (n, d) float64
    y: np.ndarray  # (n,) int64, in 0 .. n_classes - 1
    n_classes: int
    replacement: bool
    blocks: np.ndarray  # (n,) int64: rows sorted by class; empty unless order is "blocks"
    drift: np.ndarray  # (changes,) int64: rounds, increasing


class World(NamedTuple):
    """One replication."""

    x: np.ndarray  # (1, d) float64: the row of the round, overwritten in each
    order: np.ndarray  # (n,) int64: the rows of the cycle
    place: np.ndarray  # (1,) int64: how many of the cycle were shown
    row: np.ndarray  # (1,) int64: the row of the round
    shown: np.ndarray  # (n_classes,) int64: the arm that each class is now


@kernel
def init(params, rng):
    n, d = params.x.shape
    order = np.empty(n, np.int64)
    for i in range(n):
        order[i] = params.blocks[i] if params.blocks.size else i
    shown = np.empty(params.n_classes, np.int64)
    for k in range(shown.size):
        shown[k] = k
    return World(np.zeros((1, d)), order, np.full(1, n), np.zeros(1, np.int64), shown)


@kernel
def mix(params, world, rng):
    """Shuffle the cycle: all of it, or within each class."""
    n = world.order.size
    start = 0
    while start < n:
        end = n
        if params.blocks.size:
            end = start + 1
            label = params.y[world.order[start]]
            while end < n and params.y[world.order[end]] == label:
                end += 1
        for i in range(end - 1, start, -1):
            j = start + below(rng, i - start + 1)
            world.order[i], world.order[j] = world.order[j], world.order[i]
        start = end


@kernel
def observe(params, world, t, rng):
    for i in range(params.drift.size):
        if params.drift[i] == t:
            # Sattolo's cycle moves every label: with two classes, a shuffle often moves none.
            for k in range(params.n_classes - 1, 0, -1):
                j = below(rng, k)
                world.shown[k], world.shown[j] = world.shown[j], world.shown[k]
    n = world.order.size
    if params.replacement:
        world.row[0] = below(rng, n)
    else:
        if world.place[0] == n:
            mix(params, world, rng)
            world.place[0] = 0
        world.row[0] = world.order[world.place[0]]
        world.place[0] += 1
    row = world.row[0]
    for j in range(world.x.shape[1]):
        world.x[0, j] = params.x[row, j]
    return world.x


@kernel
def pull(params, world, x, arm, rng):
    return 1.0 if world.shown[params.y[world.row[0]]] == arm else 0.0


@kernel
def regret(params, world, x, arm):
    return 0.0 if world.shown[params.y[world.row[0]]] == arm else 1.0


def normalized(x: np.ndarray, how: str, constant: bool = False) -> np.ndarray:
    """Rows (n, d) brought to size, and to length d + 1 with a ``constant``; see the module."""
    choice("normalize", how, NORMALIZE)
    x = np.array(x, dtype=np.float64)
    if how.startswith("zscore"):
        size = np.abs(x).max(axis=0, initial=0.0)  # first: squares may be 0, or infinite
        x /= np.where(((1e-100 < size) & (size < 1e100)) | (size == 0.0), 1.0, size)
        x -= x.mean(axis=0)
        spread = x.std(axis=0)
        x /= np.where(spread > 1e-12 * np.abs(x).max(axis=0, initial=0.0), spread, 1.0)
    if constant:
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    if how.endswith("l2"):
        largest = np.abs(x).max(axis=1, keepdims=True)  # first: squares may be 0, or infinite
        x /= np.where(largest > 0.0, largest, 1.0)
        x /= np.where(largest > 0.0, np.sqrt((x**2).sum(axis=1, keepdims=True)), 1.0)
    return np.ascontiguousarray(x)


def classification(
    data: Any,
    label: str = "label",
    normalize: str = "row_l2",
    constant: bool = False,
    order: str = "shuffled",
    drift: Sequence[int] = (),
    missing: str = "refuse",
) -> Problem:
    """The rows of ``data``, a class per arm.

    Parameters
    ----------
    data
        A set of :mod:`banditlab.data.sets` by name, a path, a frame or another table
        (:class:`banditlab.data.labelled.Labelled` says what becomes of its columns), or a mapping
        of ``x``, a matrix, and ``label``.
    label
        Name of the column of labels; of a named set it is not asked.
    normalize
        One of ``row_l2``, ``zscore``, ``zscore_l2``, ``none``.
    constant
        Whether a feature 1 is appended.
    order
        ``shuffled`` (every row once, then again), ``replacement`` or ``blocks`` (by class).
    drift
        Rounds, from 0 and increasing, at which labels change places. Rounds of a log count too.
    missing
        What becomes of a nan in a matrix: ``refuse`` or ``minus_one``.

    Raises ValueError, in one line, for data that cannot be played and for an unknown word.
    """
    found = read(data, label, missing)
    choice("order", order, ORDERS)
    x = normalized(found.x, choice("normalize", normalize, NORMALIZE), flag("constant", constant))
    if isinstance(drift, str) or not isinstance(drift, Sequence | np.ndarray):
        raise ValueError(f"drift must be a list of rounds, got {drift!r:.60}")
    rounds = [integer("drift", t, 0, 2**53) for t in drift]
    if rounds != sorted(set(rounds)):
        raise ValueError(f"drift must increase, got {rounds!r:.60}")
    blocks = np.argsort(found.y, kind="stable") if order == "blocks" else np.empty(0, np.int64)
    params = Classification(
        x,
        found.y.copy(),
        len(found.labels),
        order == "replacement",
        blocks.astype(np.int64),
        np.array(rounds, dtype=np.int64),
    )
    return Problem(params, init, observe, pull, regret, (len(found.labels), 1, x.shape[1]))


def read(data: Any, label: str = "label", missing: str = "refuse") -> Labelled:
    """The rows that ``data`` stands for; see :func:`classification`."""
    if isinstance(data, str) and data in SETS:
        return named_set(data)
    if isinstance(data, str) and "." not in data and "/" not in data:
        return named_set(data)  # says what names there are
    return Labelled.of(data, label, missing)
