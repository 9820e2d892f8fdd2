"""Classes that no line parts, or that one does, drawn without end: a classification bandit.

Every round shows the features of a new point, one row that all arms share. The arm of its class
pays 1, but 0 with probability ``rate``; every other pays 0 with probability ``rate + gap``, by the
same luck. Over T rounds the best policy loses L = ``rate`` T:

``xor``
    Two classes, four clouds at (+-1, +-1), of standard deviation ``spread``: the class says whether
    the signs agree. Further features are noise of the same spread.
``rings``
    Two classes at distance 1 and 2 from the origin, plus normal noise of ``spread`` outwards, in
    the plane of the first two features; further ones as above.
``blobs``
    Of each of ``n_arms`` classes a cloud around a centre of its own, uniform on the unit sphere and
    drawn anew for every replication. With ``separation`` > 0 there are two classes instead,
    at +- ``separation`` on the first axis.

With ``row_l2`` rows are divided by their length. With ``block`` > 0 classes come in blocks of so
many rounds, all of class 0, then all of class 1 and so on: contexts that an adversary chose
beforehand, against which bounds for independent contexts say nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.modes import place
from banditlab.problems.linear import rows_on_sphere
from banditlab.protocols.online import UNIT_REWARD, Problem
from banditlab.random import below, normal, uniform
from banditlab.validate import between, flag, integer, nonnegative, positive

KINDS = ("xor", "rings", "blobs")
TURN = 2.0 * math.pi

example = {"kind": "rings", "rate": 0.1, "gap": 0.5}


class NonlinearStream(NamedTuple):
    """Parameters."""

    kind: int  # place in KINDS
    n_arms: int  # >= 2; 2 for xor and rings
    dim: int  # >= 2
    spread: float  # > 0: standard deviation of what is noise
    separation: float  # >= 0: of two blobs; 0: centres are drawn
    row_l2: bool  # whether rows have length 1
    block: int  # rounds that a class comes in a row; 0: classes are drawn
    rate: float  # in [0, 1 - gap]: mean cost of the right arm
    gap: float  # in (0, 1]: how much more the others cost


class World(NamedTuple):
    """One replication."""

    centres: np.ndarray  # (n_arms, dim) float64
    label: np.ndarray  # (1,) int64: the class of the round


@kernel
def init(params, rng):
    centres = rows_on_sphere(params.n_arms, params.dim, rng)
    for k in range(2 if params.separation > 0.0 else 0):
        for j in range(params.dim):
            centres[k, j] = 0.0
        centres[k, 0] = params.separation if k == 0 else -params.separation
    return World(centres, np.zeros(1, np.int64))


@kernel
def observe(params, world, t, rng):
    drawn = below(rng, params.n_arms)
    label = (t // params.block) % params.n_arms if params.block > 0 else drawn
    world.label[0] = label
    x = np.empty((1, params.dim))
    for j in range(params.dim):
        x[0, j] = params.spread * normal(rng)
    side = uniform(rng)
    if params.kind == 0:
        first = 1.0 if side < 0.5 else -1.0
        x[0, 0] += first
        x[0, 1] += first if label == 0 else -first
    elif params.kind == 1:
        radius = 1.0 + label + x[0, 0]
        x[0, 0] = radius * math.cos(TURN * side)
        x[0, 1] = radius * math.sin(TURN * side)
    else:
        for j in range(params.dim):
            x[0, j] += world.centres[label, j]
    square = 0.0
    for j in range(params.dim if params.row_l2 else 0):
        square += x[0, j] * x[0, j]
    length = math.sqrt(square) if square > 0.0 else 1.0
    for j in range(params.dim):
        x[0, j] /= length
    return x


@kernel
def regret(params, world, x, arm):
    return 0.0 if arm == world.label[0] else params.gap


@kernel
def pull(params, world, x, arm, rng):
    return 0.0 if uniform(rng) < params.rate + regret(params, world, x, arm) else 1.0


def nonlinear_stream(
    kind: str | int = "xor",
    n_arms: int = 2,
    dim: int = 2,
    spread: float = 0.3,
    separation: float = 0.0,
    row_l2: bool = False,
    block: int = 0,
    rate: float = 0.0,
    gap: float = 1.0,
) -> Problem:
    """``kind`` xor, rings or blobs, with ``dim`` >= 2 features and ``n_arms`` >= 2 classes.

    ``spread`` > 0 is the standard deviation of the noise; ``separation`` >= 0, ``row_l2``,
    ``block`` >= 0, ``rate`` >= 0 and ``gap`` in (0, 1]: see the top of the file.

    Raises ValueError for a number out of range, also for ``rate + gap`` above 1, an unknown kind,
    and other than 2 arms where there are two classes.
    """
    gap = between("gap", positive("gap", gap), 0.0, 1.0)
    params = NonlinearStream(
        place("kind", kind, KINDS),
        integer("n_arms", n_arms, 2),
        integer("dim", dim, 2),
        positive("spread", spread),
        nonnegative("separation", separation),
        flag("row_l2", row_l2),
        integer("block", block, 0),
        between("rate", rate, 0.0, 1.0 - gap),
        gap,
    )
    if params.n_arms > 2 and (params.kind < 2 or params.separation > 0.0):
        raise ValueError(f"n_arms must be 2 where there are two classes, got {params.n_arms}")
    shape = (params.n_arms, 1, params.dim)
    return Problem(params, init, observe, pull, regret, shape, UNIT_REWARD)
