"""The best next-state law for its likelihood: the block that model-based MEX is made of.

For a weight w > 0, the empirical law phat and values V of the next states::

    max_p  p.V - w KL(phat || p)

has p(y) = w phat(y) / (nu - V(y)) on the states seen, where nu > max V is the root of

    g(nu) = sum_{seen} w phat(y) / (nu - V(y)) = 1,

which falls and is convex; unless a state that was never seen is worth more than every seen one and
g(its value) <= 1: then nu is its value, and it gets the mass 1 - g that is left.

Weights of any size will do: beside very large ones the values drown in rounding, so that the first
terms of the expansion in 1/w are taken, and very small ones leave nu at the largest value.
"""

from __future__ import annotations

import math

import numpy as np

from banditlab import numeric
from banditlab.core import kernel

NEWTON, CLOSE = 60, 1e-14  # steps at most, and of nu: what no longer counts
BISECTIONS = 60
LARGE = 1e8  # weights, relative to the spread of the values, from which on the expansion is closer


@kernel
def spread_of(nu, w, phat, V):
    """g(nu) and -g'(nu)."""
    g = 0.0
    slope = 0.0
    for y in range(phat.size):
        share = w * phat[y] / (nu - V[y])
        g += share
        slope += share / (nu - V[y])
    return g, slope


@kernel
def level(w, phat, V, top):
    """nu, for the laws and values of the states seen and the largest value ``top`` of any state.

    Newton's method on 1/g, which is concave: from the left it never passes the root. It starts at
    the largest V + w phat, where a single term of g is 1. Bisection, where it has not settled.
    """
    highest = -np.inf
    nu = -np.inf
    for y in range(phat.size):
        highest = max(highest, V[y])
        nu = max(nu, V[y] + w * phat[y])
    if top > highest:
        g, slope = spread_of(top, w, phat, V)
        if g <= 1.0:
            return top
    if not nu > highest:  # w is so small that the sum is rounded off
        return highest
    for _ in range(NEWTON):
        g, slope = spread_of(nu, w, phat, V)
        move = (g - 1.0) * g / slope
        nu += move
        if move <= CLOSE * max(abs(nu), w):
            return nu
    low, high = nu, highest + w
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        g, slope = spread_of(middle, w, phat, V)
        low, high = (middle, high) if g > 1.0 else (low, middle)
    return 0.5 * (low + high)


@kernel
def gain(w, phat, V, top):
    """max_p { p.V - w KL(phat || p) }.

    At the best p, p.V = nu - w, since p (nu - V) = w phat on the states seen, and 0 elsewhere.
    """
    if phat.size == 1 and top - V[0] < w:
        return V[0]
    if w > LARGE:
        mean, spread, variance = 0.0, top - V[0], 0.0
        for y in range(phat.size):
            mean += phat[y] * V[y]
            spread = max(spread, top - V[y])
        if w > LARGE * spread:
            for y in range(phat.size):
                variance += phat[y] * (V[y] - mean) * (V[y] - mean)
            return mean + variance / (2.0 * w)
    nu = level(w, phat, V, top)
    found = nu - w
    for y in range(phat.size):
        room = nu - V[y]
        if room > 0.0:  # else the term tends to 0 with w
            found += w * phat[y] * numeric.log(w / room)
    return found


def best_law(w: float, phat: np.ndarray, V: np.ndarray) -> np.ndarray:
    """The maximising p (S,) for the weight ``w >= 0`` and all states; phat may hold zeros.

    >>> best_law(0.5, np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.0, 1.0, 0.5, 2.0])).round(4)
    array([0.125 , 0.15  , 0.0667, 0.6583])
    """
    phat, V = np.asarray(phat, np.float64), np.asarray(V, np.float64)
    if w == 0.0:
        return np.eye(V.size)[V.argmax()]
    if w == math.inf:
        return phat.copy()
    seen = phat > 0.0
    nu = level(w, phat[seen], V[seen], V.max())
    p, free = np.zeros(V.size), ~(seen & (nu > V))
    p[~free] = w * phat[~free] / (nu - V[~free])
    if free.any():
        p[np.where(free, V, -np.inf).argmax()] += max(0.0, 1.0 - p.sum())
    return p
