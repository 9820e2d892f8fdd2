"""RLSVI on tables: value iteration on rewards with noise (Russo 2019, 1906.02870, Algorithm 1).

Before every episode, backwards, with visits n and the empirical model of each step,

    Q_h(s,a) = n / (n + 1) (rhat + Phat V_{h+1}) + w,   w ~ N(0, sd^2 / (n + 1))

Three scales of the noise are in use: ``scale="theory"`` has sd^2 = S H^3 ln(2 H S A k) / 2 in
episode k, which is Russo's; ``"horizon"`` has sd = c H; both without a cap. ``"remaining"``, the
default, has sd = c (H - h + 1) and caps Q at H - h + 1; it is the better one on DeepSea.

>>> import banditlab
>>> banditlab.make("rlsvi", scale="theory").params
RLSVI(c=0.1, scale=2)
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts import tabular
from banditlab.parts.modes import place
from banditlab.protocols.episodic import Episodic
from banditlab.random import normal
from banditlab.validate import positive

label = "RLSVI"

SCALES = ("remaining", "horizon", "theory")
REMAINING, THEORY = 0, 2


class RLSVI(NamedTuple):
    """Hyper-parameters."""

    c: float = 0.1  # > 0, size of the noise; of no effect with "theory"
    scale: int = 0  # place in SCALES


@kernel
def plan(params, m, k, rng):
    r, n, kinds, succ, times = m.r, m.n, m.kinds, m.succ, m.times
    cap, Q, V, policy = m.cap, m.Q, m.V, m.policy
    H, S, A = Q.shape
    sd = params.c * H
    if params.scale == THEORY:
        sd = math.sqrt(0.5 * S * H * H * H * numeric.log(2.0 * H * S * A * (k + 1.0)))
    for h in range(H - 1, -1, -1):
        i = h if n.shape[0] > 1 else 0
        then = V[h + 1]
        if params.scale == REMAINING:
            sd = params.c * (H - h)
        for s in range(S):
            for a in range(A):
                more = n[i, s, a] + 1.0
                total = tabular.ahead(succ, times, kinds, i, s, a, then)
                q = (n[i, s, a] * r[i, s, a] + total) / more + sd / math.sqrt(more) * normal(rng)
                Q[h, s, a] = min(cap[h], q) if params.scale == REMAINING else q
        tabular.settle(Q, V, policy, h, rng)


def rlsvi(c: float = 0.1, scale: str | int = "remaining") -> Episodic:
    """Randomised least-squares value iteration.

    ``c > 0`` is the size of the noise, ``scale`` one of ``SCALES``, see the module; its place
    there will do. Raises ValueError otherwise.
    """
    params = RLSVI(positive("c", c), place("scale", scale, SCALES))
    return Episodic(params, tabular.new_model, plan, tabular.act, tabular.see, tabular.rule)
