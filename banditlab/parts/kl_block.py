"""The best next-state law for its likelihood: the block that model-based MEX is made of.

For a weight w > 0, the empirical law phat and values V of the next states::

    max_p  p.V - w KL(phat || p)

has p(y) = w phat(y) / (nu - V(y)) on the states seen, where nu > max V is the root of

    g(nu) = sum_{seen} w phat(y) / (nu - V(y)) = 1,

which falls and is convex; unless a state that was never seen is worth more than every seen one and
g(its value) <= 1: then nu is its value, and it gets the mass 1 - g that is left.
"""

from __future__ import annotations

import math

import numpy as np

from banditlab import numeric
from banditlab.core import kernel

NEWTON, CLOSE = 60, 1e-14  # steps at most, and of nu: what no longer counts
BISECTIONS = 60


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
    nu = level(w, phat, V, top)
    found = nu - w
    for y in range(phat.size):
        found += w * phat[y] * numeric.log(w / (nu - V[y]))
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
    p = np.zeros(V.size)
    p[seen] = w * phat[seen] / (nu - V[seen])
    p[np.where(seen, -np.inf, V).argmax()] += max(0.0, 1.0 - p.sum()) if not seen.all() else 0.0
    return p
