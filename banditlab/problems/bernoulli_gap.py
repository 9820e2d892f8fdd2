"""Bernoulli losses: every arm loses 1 with probability ``base``, the best with ``gap`` less.

The stochastic regime: the losses of all arms and rounds are independent.
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import kernel
from banditlab.parts.terms import on_terms
from banditlab.problems.deterministic_gap import gapped
from banditlab.protocols.observe import Losses
from banditlab.random import uniform

example = {"n_arms": 3, "gap": 0.2}


class BernoulliGap(NamedTuple):
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
        mean = params.base - params.gap if k == params.best else params.base
        out[k] = 1.0 if uniform(rng) < mean else 0.0
    return 0


@on_terms
def bernoulli_gap(n_arms: int, gap: float, base: float = 0.5, best: int = 0) -> Losses:
    """``n_arms`` >= 2 Bernoulli arms of mean ``base`` in (0, 1] but for ``best``, ``gap`` less.

    ``gap`` lies in (0, base]. Raises ValueError for whatever is out of range.
    """
    params = BernoulliGap(*gapped(n_arms, gap, base, best))
    return Losses(params, init, draw, (params.n_arms, 1, 0))
