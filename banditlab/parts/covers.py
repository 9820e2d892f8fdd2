"""Covers: finitely many directions such that every sparse direction is near one of them.

``directions(s, zeta)`` are unit vectors of R^s such that every unit vector lies within ``zeta`` of
one. For s = 1 they are +1 and -1. For s >= 2 they are the centres, made unit length, of a grid on
the 2 s faces of the cube [-1, 1]^s whose cells are at most h = 2 zeta / sqrt(s - 1) wide: a face
point is within zeta of the centre of its cell, and outside the unit ball the projection to the
sphere brings no two points farther apart. That makes ::

    2 s ceil(sqrt(s - 1) / zeta)^(s - 1)

of them: 80 for s = 2, zeta = .05, and 1350 for s = 3, zeta = .1. Placed on every set of s of d
coordinates they are a *net* of the s-sparse directions. Ours.

Directions come face by face, those of face +j before those of face -j, and the i-th of the one is
the opposite of the i-th last of the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from banditlab import linalg, numeric
from banditlab.core import Task, kernel
from banditlab.validate import inside, integer, nonnegative, positive

MOST = 50_000_000  # directions of a net: each takes some 30 bytes
HUGE = 18.0  # digits of a net that is not counted exactly


@kernel
def cells(s, zeta):
    """How many cells an axis of a face has."""
    # Less 1e-9: 1 / .05 is 20 but for rounding.
    return int(math.ceil(math.sqrt(s - 1.0) / zeta - 1e-9)) if s > 1 else 1


@kernel
def directions(s, zeta):
    """Unit vectors (count, s) within ``zeta`` > 0 of all others; see above for their order."""
    n = cells(s, zeta)
    face = 1
    for _ in range(s - 1):
        face *= n
    out = np.empty((2 * s * face, s))
    for j in range(s):
        for i in range(face):
            row = out[2 * j * face + i]
            rest = i
            for m in range(s):
                row[m] = 1.0
                if m != j:
                    row[m] = (2 * (rest % n) + 1 - n) / (n * 1.0)
                    rest //= n
            length = math.sqrt(linalg.dot(row, row))
            opposite = out[2 * (j + 1) * face - 1 - i]
            for m in range(s):
                row[m] /= length
                opposite[m] = -row[m]
    return out


@kernel
def supports(dim, s):
    """All sets of ``s`` of ``dim`` coordinates, (C(dim, s), s), in lexicographic order."""
    count = 1
    for i in range(s):
        count = count * (dim - i) // (i + 1)
    out = np.empty((count, s), np.int64)
    chosen = np.arange(s)
    for c in range(count):
        for m in range(s):
            out[c, m] = chosen[m]
        m = s - 1
        while m > 0 and chosen[m] == dim - s + m:
            m -= 1
        chosen[m] += 1
        for later in range(m + 1, s):
            chosen[later] = chosen[later - 1] + 1
    return out


@kernel
def best_arms(x, support, known, best, arg):
    """The arm of the largest <x[support], u> for every direction u in ``known``, and that value.

    Writes to ``best`` and ``arg`` (count,). Ties go to the lowest arm.
    """
    count, s = known.shape
    turned = np.empty((s, count))
    value = np.empty(count)
    for i in range(count):
        best[i], arg[i] = -np.inf, 0
        for m in range(s):
            turned[m, i] = known[i, m]
    # Arms outside, directions inside: the compiler makes SIMD code of that, and not of a maximum.
    for k in range(x.shape[0]):
        for i in range(count):
            value[i] = 0.0
        for m in range(s):
            c = x[k, support[m]]
            for i in range(count):
                value[i] += c * turned[m, i]
        for i in range(count):
            larger = value[i] > best[i]
            best[i] = value[i] if larger else best[i]
            arg[i] = k if larger else arg[i]


@kernel
def longest(x, s):
    """x_s: the largest norm of ``s`` features of an arm."""
    most = 0.0
    square = np.empty(x.shape[1])
    for k in range(x.shape[0]):
        total = 0.0
        for j in range(x.shape[1]):
            square[j] = x[k, j] * x[k, j]
        for _ in range(s):
            top = 0
            for j in range(x.shape[1]):
                top = j if square[j] > square[top] else top
            total += square[top]
            square[top] = 0.0
        most = max(most, total)
    return math.sqrt(most)


def net_size(dim: int, s: int, zeta: float) -> int:
    """How many directions the net has."""
    per_axis = math.ceil(math.sqrt(s - 1) / zeta - 1e-9) if s > 1 else 1
    return math.comb(dim, s) * 2 * s * per_axis ** (s - 1)


def net_magnitude(dim: int, s: int, zeta: float) -> float:
    """The logarithm of about that number, to base 10: a float where the number is none.

    >>> round(net_magnitude(20, 10, 1e-40))
    371
    """
    supports = math.lgamma(dim + 1) - math.lgamma(s + 1) - math.lgamma(dim - s + 1)
    per_axis = max(0.0, 0.5 * math.log(s - 1) - math.log(zeta)) if s > 1 else 0.0
    return (supports + math.log(2 * s) + (s - 1) * per_axis) / math.log(10)


@cache
def checking(params: Any) -> Callable[[Task, np.ndarray | None], None]:
    """`check_net` of an agent with these ``params``, the same function for the same numbers."""
    return partial(check_net, params)


def check_net(params: Any, task: Task, x: np.ndarray | None) -> None:
    """Refuse features that are none, an s beyond their number, and a net that is too large."""
    if params.s > task.dim:
        raise ValueError(f"s must be at most dim, {task.dim}, got {params.s}")
    if x is not None:
        if x.shape != (task.n_arms, task.dim) or not np.isfinite(x).all():
            raise ValueError(
                f"features must be {task.n_arms} x {task.dim} finite numbers, a row per arm"
            )
        if not x.any():
            raise ValueError("features must not all be 0: no direction tells arms apart")
    magnitude = net_magnitude(task.dim, params.s, params.zeta)
    size = net_size(task.dim, params.s, params.zeta) if magnitude < HUGE else MOST + 1
    if size > MOST:
        text = f"{size:.3g}" if magnitude < HUGE else f"about 1e+{magnitude:.0f}"
        raise ValueError(
            f"the net of dim {task.dim}, s {params.s} and zeta {params.zeta:g} has {text} "
            f"directions, more than {MOST:.0e}: take a larger zeta, a smaller s, or "
            "sparse_commit, which needs no net"
        )
    if params.sigma > 0.0:
        # As `repeats`, in Python, where it may be beyond all whole numbers.
        ratio = params.sigma / params.omega
        pulls = 2.0 * ratio * ratio * math.log(2.0 * task.n_arms / params.delta)
        if pulls > task.horizon:
            least = f"{math.ceil(pulls)}" if pulls < 1e15 else f"{pulls:.3g}"
            raise ValueError(
                f"horizon must be at least {least}, the pulls of one arm that bring its mean "
                f"within omega {params.omega:g} at sigma {params.sigma:g}, got {task.horizon}"
            )


def net_arguments(
    s: int,
    eps: float,
    zeta: float | None,
    bound: float,
    norm: float,
    sigma: float,
    omega: float | None,
    delta: float,
) -> tuple[int, float, float, float, float, float, float, float]:
    """The arguments of an agent with a net, checked, with defaults put in; see `sparse_mis`."""
    eps, bound = nonnegative("eps", eps), positive("bound", bound)
    norm, sigma = positive("norm", norm), nonnegative("sigma", sigma)
    if zeta is None:
        if eps == 0.0:
            raise ValueError("zeta must be given where eps is 0: it cannot follow from eps")
        zeta = min(1.0, eps / (norm * bound))
        if not zeta > 0.0:
            raise ValueError(
                f"zeta must be given: eps / (norm bound) is 0 for eps {eps:g}, norm {norm:g} and "
                f"bound {bound:g}"
            )
    zeta = positive("zeta", zeta)
    if zeta > 1.0:
        raise ValueError(f"zeta must be at most 1, got {zeta!r}")
    if sigma == 0.0:
        omega = 0.0
    elif omega is None:
        if eps == 0.0:
            raise ValueError("omega must be given where eps is 0 and sigma is not")
        omega = eps
    else:
        omega = positive("omega", omega)
    delta = inside("delta", delta, 0.0, 1.0)
    return integer("s", s, 1), eps, zeta, bound, norm, sigma, float(omega), delta


@kernel
def repeats(params, n_arms):
    """Pulls of an arm that bring its mean within omega, for all arms with probability 1 - delta."""
    n = 1
    if params.sigma > 0.0:
        ratio = params.sigma / params.omega
        n = int(math.ceil(2.0 * ratio * ratio * numeric.log(2.0 * n_arms / params.delta)))
    return max(1, n)


@kernel
def tolerance(params, x):
    """eps + zeta x_s B + omega; for s = 1 the cover is exact, and zeta costs nothing."""
    covered = 0.0
    if params.s > 1:
        covered = params.zeta * longest(x, params.s) * params.bound
    return params.eps + covered + params.omega
