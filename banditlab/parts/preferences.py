"""Problems of protocol ``duel``: matrices of preference, checked, with ties, noise and phases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab.agent import LARGEST
from banditlab.core import kernel
from banditlab.protocols.duel import Preferences
from banditlab.random import uniform
from banditlab.validate import flag, integer, number, positive, vector

TOLERANCE = 1e-8  # of P + P' = 1
ROUNDED = 1e-2  # what ``symmetrise`` takes for rounding: published tables are off by up to 3e-3


class Panel(NamedTuple):
    """Whom a question is put to: parameters of every problem that is made here."""

    matrices: np.ndarray  # (n_phases, n_arms, n_arms) float64: P, a tie half a win for each
    left: np.ndarray  # (n_phases, n_arms, n_arms) float64: the answer that left is preferred ...
    tied: np.ndarray  # ... or that it is, or there is a tie: cumulated probabilities, with noise
    starts: np.ndarray  # (n_phases - 1,) int64, increasing: first rounds of the later phases
    period: int  # rounds after which the phases begin anew; 0: never


@kernel
def init(params, rng):
    return np.zeros(1, np.int64)


@kernel
def phase(params, world, t, rng):
    since = t % params.period if params.period > 0 else t
    h = world[0]
    if h > 0 and since < params.starts[h - 1]:  # a new period
        h = 0
    while h < params.starts.size and since >= params.starts[h]:
        h += 1
    world[0] = h
    return h


@kernel
def judge(params, world, phase, left, right, rng):
    u = uniform(rng)
    if u < params.left[phase, left, right]:
        return 1.0
    return 0.5 if u < params.tied[phase, left, right] else 0.0


def preferences(
    matrices: Any,
    *,
    ties: Any = None,
    starts: Sequence[int] = (),
    period: int = 0,
    flip: float = 0.0,
    symmetrise: bool = False,
    scale: float = 0.5,
    permuted: bool = True,
) -> Preferences:
    """The problem in which row i of a matrix is preferred to column j with probability P[i, j].

    ``matrices``: one P (n_arms, n_arms), or several (n_phases, n_arms, n_arms), of which the later
    ones rule from the rounds ``starts`` on, and all anew every ``period`` rounds if that is not 0.
    ``ties``: probabilities of a tie, of which P counts one half, of the shape of ``matrices``,
    symmetric; None: there are none. ``flip``, in [0, 1/2), is how often an answer is turned round
    by mistake; regret does not count mistakes. ``symmetrise``: P is rounded, take the mean of P and
    1 - P'. ``scale`` and ``permuted``: see :class:`Preferences`.

    Raises ValueError that names the first pair for a P that is not square, not in [0, 1], not 1/2
    on the diagonal or off by more than 1e-8 in P + P' = 1; and for the other arguments.
    """
    P = stacked("matrix", matrices)
    where = [f"matrix {h}" if len(P) > 1 else "matrix" for h in range(len(P))]
    for h, name in enumerate(where):
        P[h] = checked(name, P[h], flag("symmetrise", symmetrise))
    rate = number("flip", flip)
    if not 0.0 <= rate < 0.5:
        raise ValueError(f"flip must be at least 0 and below 1/2, got {flip!r}")
    T = np.zeros_like(P) if ties is None else shared(P, stacked("ties", ties))
    left = P - T / 2.0
    left = left + rate * (1.0 - T - 2.0 * left)
    order = [integer("starts[0]", start, 1, LARGEST) for start in starts[:1]]
    for i, start in enumerate(starts[1:], 1):
        order.append(integer(f"starts[{i}]", start, order[-1] + 1, LARGEST))
    if len(order) != len(P) - 1:
        raise ValueError(f"{len(P)} matrices need starts at {len(P) - 1} rounds, got {len(order)}")
    rounds = integer("period", period, 0, LARGEST)
    if rounds and order and rounds <= order[-1]:
        raise ValueError(f"period must be above {order[-1]}, the last start, or 0, got {period!r}")
    params = Panel(P, left, left + T, np.array(order, dtype=np.int64), rounds)
    shape = (P.shape[1], 1, 0)
    keep = positive("scale", scale), flag("permuted", permuted)
    return Preferences(params, init, phase, judge, shape, *keep)


def stacked(name: str, value: Any) -> np.ndarray:
    """``value`` as a fresh float64 array (n, K, K)."""
    try:
        found = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a square table of numbers, got {value!r}") from None
    found = found[None] if found.ndim == 2 else found
    if found.ndim != 3 or found.shape[1] != found.shape[2] or 0 in found.shape:
        raise ValueError(f"{name} must be a square table, got the shape {np.shape(value)}")
    return found


def one_table(name: str, value: Any) -> np.ndarray:
    """``value`` as a fresh float64 array (K, K)."""
    found = stacked(name, value)
    if np.ndim(value) != 2:
        raise ValueError(f"{name} must be one square table, got the shape {np.shape(value)}")
    return np.asarray(found[0])


def checked(name: str, P: np.ndarray, symmetrise: bool) -> np.ndarray:
    """A matrix of preference, its halves exactly opposite; ValueError names the first bad pair."""
    for i, j in np.argwhere(~((P >= 0.0) & (P <= 1.0)))[:1]:
        raise ValueError(f"{name}[{i}][{j}] must lie in [0, 1], got {float(P[i, j])!r}")
    allowed = ROUNDED if symmetrise else TOLERANCE
    for i in np.flatnonzero(np.abs(P.diagonal() - 0.5) > allowed)[:1]:
        raise ValueError(f"{name}[{i}][{i}] must be 0.5, got {float(P[i, i])!r}")
    for i, j in np.argwhere(np.abs(P + P.T - 1.0) > allowed)[:1]:
        hint = "" if symmetrise or abs(P[i, j] + P[j, i] - 1.0) > ROUNDED else " (symmetrise=true)"
        raise ValueError(
            f"{name}[{i}][{j}] + {name}[{j}][{i}] must be 1, got {P[i, j]:g} + {P[j, i]:g}{hint}"
        )
    if symmetrise:
        P = 0.5 * (P + (1.0 - P.T))
    return symmetric(P)


def shared(P: np.ndarray, ties: np.ndarray) -> np.ndarray:
    """Probabilities of ties that fit the matrices, none of an arm with itself."""
    if ties.shape[1:] != P.shape[1:] or len(ties) not in (1, len(P)):
        raise ValueError(f"ties must have the shape of the matrix, {P.shape}, got {ties.shape}")
    T = np.broadcast_to(ties, P.shape).copy()
    for h, i, j in np.argwhere(~((T >= 0.0) & (T <= 1.0) & (T == T.transpose(0, 2, 1))))[:1]:
        raise ValueError(
            f"ties[{i}][{j}] must lie in [0, 1] and be ties[{j}][{i}], got {T[h, i, j]:g}"
        )
    most = 2.0 * np.minimum(P, 1.0 - P)
    for h, i, j in np.argwhere(T > most + TOLERANCE)[:1]:
        raise ValueError(
            f"ties[{i}][{j}] must be at most {most[h, i, j]:g}, for a tie is half a win in "
            f"matrix[{i}][{j}], got {T[h, i, j]:g}"
        )
    T = np.minimum(T, most)
    T[:, np.arange(P.shape[1]), np.arange(P.shape[1])] = 0.0
    return T


def symmetric(table: Any) -> np.ndarray:
    """P (K, K) of which the entries above the diagonal are those of ``table`` (K, K)."""
    upper = np.triu(np.asarray(table, np.float64), 1)
    return upper + np.tril(1.0 - upper.T, -1) + 0.5 * np.eye(len(upper))


def weights_of(name: str, values: Any, count: int) -> np.ndarray:
    """``count`` weights that sum to 1; None: even ones."""
    if values is None:
        return np.full(count, 1.0 / count)
    w = vector(name, values, 0.0, 1.0)
    if w.size != count or abs(w.sum() - 1.0) > TOLERANCE:
        raise ValueError(f"{name} must be {count} numbers that sum to 1, got {values!r}")
    return w / w.sum()
