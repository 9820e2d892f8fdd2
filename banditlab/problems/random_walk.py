"""The multi-scale random walk: all arms move together, and one is a little better.

The losses behind the lower bound T^(2/3) of Dekel, Ding, Koren & Peres (2014), "Bandits with
switching costs: T^{2/3} regret", STOC, section 3. In rounds t = 1, 2, ... with xi_t standard normal
and W_0 = 0::

    parent(t) = t less its lowest set bit
    W_t = W_parent(t) + sigma * xi_t
    loss of arm k = clip(1/2 + W_t - gap * (k == best), 0, 1)

The loss of one arm says nothing about which arm is best; a change of the loss at a switch does, but
through noise. W_t is a sum of at most log2(t) + 1 steps, so it hardly leaves the unit interval, and
no more than log2(T) + 1 steps span any given round, so there is little to learn from a switch.

``scale`` says how sigma and gap follow from ``horizon`` T and the number K of arms:

===========  =====================  ===================================
scale        sigma                  gap
===========  =====================  ===================================
``visible``  0.03                   min(0.2, (K / T)^(1/3))
``dekel``    1 / (9 log2 T)         (K / T)^(1/3) / (9 log2 T)
===========  =====================  ===================================

``dekel`` has the constants of the theorem: for T >= max(K, 6) every learner with bandit feedback
has a regret of at least K^(1/3) T^(2/3) / (50 log2 T). At horizons that can be simulated the gap
is so small that never switching is best; ``visible`` is for figures. In neither does a gap that
shrinks with T tell a learner from a policy that learns nothing, which has the same rate with
gap * T * (1 - 1/K): for rates, sweep ``gap`` and take the worst.

Variances and covariances of the walk, and how many steps span a round, are checked in closed form;
the constants 9 and 50 could not be compared with the text, and simulated regrets agree with them.

>>> problem = random_walk(n_arms=2, horizon=2**14, scale="dekel")
>>> round(problem.params.gap * 2**14 / 2, 2)  # the regret of never switching
3.23
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel, kernel_in_loop, kernel_inline
from banditlab.parts.terms import on_terms
from banditlab.protocols.observe import Losses
from banditlab.random import below, normal
from banditlab.validate import choice, integer, nonnegative, number, positive

example = {"n_arms": 3, "gap": 0.2}

SCALES = ("visible", "dekel")
LARGEST_GAP = 0.2  # beyond it the walk is clipped too often
SIGMA = 0.03
SLOTS = 67


class RandomWalk(NamedTuple):
    """Parameters."""

    n_arms: int
    gap: float  # in (0, 0.2]
    horizon: int  # rounds for which it is made; 0: any number
    sigma: float  # >= 0
    scale: str
    best: int  # -1: drawn in every replication


class World(NamedTuple):
    """One replication."""

    walk: np.ndarray  # (SLOTS,) float64: W of the last round with a given lowest set bit
    best: np.ndarray  # (1,) int64


@kernel_inline
def step(walk, t, noise):
    """W of round t = 1, 2, ..., from that of its parent; to be called in order."""
    # No round between the parent and t has the parent's lowest bit, so one W per bit will do. 2 is
    # a primitive root modulo 67: the powers 2**0 .. 2**65 leave different remainders, and never 0,
    # which is the slot of W_0 = 0. That is faster than counting trailing zeros.
    parent = t & (t - 1)
    w = walk[(parent & -parent) % SLOTS] + noise
    walk[(t & -t) % SLOTS] = w
    return w


@kernel
def init(params, rng):
    # Drawn in any case: the walk is the same whether or not the best arm is given.
    drawn = below(rng, params.n_arms)
    return World(np.zeros(SLOTS), np.full(1, drawn if params.best < 0 else params.best))


@kernel_in_loop
def draw(params, world, t, rng, out):
    common = 0.5 + step(world.walk, t + 1, params.sigma * normal(rng))
    lower = common - params.gap
    loss = min(max(common, 0.0), 1.0)
    for k in range(out.size):
        out[k] = loss
    out[world.best[0]] = min(max(lower, 0.0), 1.0)
    clipped = out.size - 1 if common < 0.0 or common > 1.0 else 0
    return clipped + 1 if lower < 0.0 or lower > 1.0 else clipped


@on_terms
def random_walk(
    n_arms: int,
    gap: float | None = None,
    horizon: int = 0,
    sigma: float | None = None,
    scale: str = "visible",
    best: int = -1,
) -> Losses:
    """``n_arms`` >= 2 arms on one random walk, of which ``best`` loses ``gap`` less.

    Parameters
    ----------
    gap
        In (0, 0.2]; what the scale makes of ``horizon`` by default.
    horizon
        The number of rounds for which it is made; more cannot be played. 0, for any number, needs
        ``gap``.
    sigma
        Of a step, >= 0; that of the scale by default.
    scale
        "visible", or "dekel", which needs ``horizon`` >= max(n_arms, 6) and leaves no choice of
        ``gap`` and ``sigma``.
    best
        An arm; -1, the default, draws it in every replication, all arms being equally likely.

    Raises ValueError for whatever is out of range.
    """
    n_arms = integer("n_arms", n_arms, 2)
    horizon = integer("horizon", horizon, 0)
    best = integer("best", best, -1)
    if best >= n_arms:
        raise ValueError(f"best must be an arm, 0 to {n_arms - 1}, or -1, got {best!r}")
    if choice("scale", scale, SCALES) == "dekel":
        integer("horizon", horizon, max(n_arms, 6))
        unit = 1.0 / (9.0 * math.log2(horizon))
        gap = _only("gap", gap, unit * _rate(n_arms, horizon))
        sigma = _only("sigma", sigma, unit)
    else:
        if gap is None and horizon == 0:
            raise ValueError("gap or horizon must be given")
        gap = min(LARGEST_GAP, _rate(n_arms, horizon)) if gap is None else positive("gap", gap)
        if gap > LARGEST_GAP:
            raise ValueError(f"gap must be at most {LARGEST_GAP}, got {gap!r}")
        sigma = SIGMA if sigma is None else nonnegative("sigma", sigma)
    params = RandomWalk(n_arms, gap, horizon, sigma, str(scale), best)
    return Losses(params, init, draw, (n_arms, 1, 0), supply=horizon)


def _rate(n_arms: int, horizon: int) -> float:
    return float((n_arms / horizon) ** (1.0 / 3.0))


def _only(name: str, value: float | None, derived: float) -> float:
    """``derived``, which ``value`` may repeat."""
    if value is not None and number(name, value) != derived:
        raise ValueError(
            f"{name} follows from horizon in scale 'dekel': {derived!r}, got {value!r}"
        )
    return derived
