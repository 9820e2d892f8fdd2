"""Losses without noise: ``base`` for every arm but the best, which loses ``gap`` less.

Regret is then a sum over the probabilities of the best arm, which exponential weights under full
information have in closed form.
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import kernel
from banditlab.parts.terms import on_terms
from banditlab.protocols.observe import Losses
from banditlab.validate import between, integer

example = {"n_arms": 3, "gap": 0.2}


class DeterministicGap(NamedTuple):
    """Parameters."""

    n_arms: int
    gap: float  # in (0, base]
    base: float  # in (0, 1]
    best: int  # 0 .. n_arms - 1


@kernel
def init(params, rng):
    return 0


@kernel
def draw(params, world, t, rng, out):
    for k in range(out.size):
        out[k] = params.base
    out[params.best] = params.base - params.gap
    return 0


@on_terms
def deterministic_gap(n_arms: int, gap: float, base: float = 0.5, best: int = 0) -> Losses:
    """``n_arms`` >= 2 arms that lose ``base`` in (0, 1]; ``best`` loses ``gap`` in (0, base] less.

    Raises ValueError for whatever is out of range.
    """
    params = gapped(n_arms, gap, base, best)
    return Losses(DeterministicGap(*params), init, draw, (params[0], 1, 0))


def gapped(n_arms: int, gap: float, base: float, best: int) -> tuple[int, float, float, int]:
    """The arguments of problems with one arm ``gap`` better than the rest, checked and cast."""
    n_arms = integer("n_arms", n_arms, 2)
    base = between("base", base, 0.0, 1.0)
    gap = between("gap", gap, 0.0, base)
    if gap == 0.0:
        raise ValueError(f"gap must be positive, got {gap!r}")
    best = integer("best", best, 0)
    if best >= n_arms:
        raise ValueError(f"best must be an arm, 0 to {n_arms - 1}, got {best!r}")
    return n_arms, gap, base, best
