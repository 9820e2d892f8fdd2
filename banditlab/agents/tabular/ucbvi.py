"""UCBVI: value iteration with upper confidence bounds (Azar, Osband & Munos 2017, 1703.05449).

Before every episode, backwards, with visits n and the empirical model of each step,

    Q_h(s,a) = min(cap, rhat + Phat V_{h+1} + bonus),   the cap where n = 0.

``variant="tuned"``, what is run in practice: bonus c (H - h + 1) sqrt(ln(2 S A H k / delta) / n)
in episode k, with the cap H - h + 1 and no memory of the episode before.
``"ch"``, the paper's first: bonus 7 H L / sqrt(n) with L = ln(5 S A H K / delta), and Q never above
its value of the episode before. ``"bf"``, its second, by Bernstein and Freedman:

    sqrt(8 L Var_Phat(V) / n) + 14 H L / (3 n)
    + sqrt(8 sum_y Phat(y) min(10^4 H^3 S^2 A L^2 / n_{h+1}(y), H^2) / n)

Both need the number of episodes, and at any horizon that one would wait for they hardly learn.

>>> import banditlab
>>> banditlab.make("ucbvi", variant="bf").params
UCBVI(c=0.02, variant=2, delta=0.05)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts import tabular
from banditlab.parts.modes import place
from banditlab.protocols.episodic import Episodic
from banditlab.validate import inside, positive

label = "UCBVI"

VARIANTS = ("tuned", "ch", "bf")
TUNED, CH, BF = 0, 1, 2


class UCBVI(NamedTuple):
    """Hyper-parameters."""

    c: float = 0.02  # > 0, of the tuned bonus
    variant: int = 0  # place in VARIANTS
    delta: float = 0.05  # in (0, 1), probability that a bound fails


@kernel
def plan_tuned(params, m, k, rng):
    told, r, inv, kinds, succ, times = m.told, m.r, m.inv, m.kinds, m.succ, m.times
    cap, Q, V, policy = m.cap, m.Q, m.V, m.policy
    H, S, A = Q.shape
    wide = params.c * math.sqrt(numeric.log(2.0 * S * A * H * (k + 1.0) / params.delta))
    for h in range(H - 1, -1, -1):
        i = h if inv.shape[0] > 1 else 0
        then = V[h + 1]
        width = wide * (H - h)
        for s in range(S):
            for a in range(A):
                share = inv[i, s, a]
                if share > 0.0:
                    total = tabular.ahead(succ, times, kinds, i, s, a, then)
                    q = r[i, s, a] + total * share + width * math.sqrt(share)
                    Q[h, s, a] = min(cap[h], q)
                else:
                    Q[h, s, a] = tabular.untried(told, r, cap, i, h, s, a)
        tabular.settle(Q, V, policy, h, rng)


@kernel
def bernstein(L, H, S, A, n, h, i, s, a, succ, times, kinds, V):
    """The bonus of "bf"."""
    visits = n[i, s, a]
    first, second, later = 0.0, 0.0, 0.0
    for j in range(kinds[i, s, a]):
        chance = times[i, s, a, j] / visits
        y = succ[i, s, a, j]
        first += chance * V[h + 1, y]
        second += chance * V[h + 1, y] * V[h + 1, y]
        met = 0.0
        if y < S and h + 1 < H:
            for b in range(A):
                met += n[h + 1 if n.shape[0] > 1 else 0, y, b]
        worst = H * H * 1.0
        if met > 0.0:
            worst = min(worst, 1e4 * H * H * H * S * S * A * L * L / met)
        later += chance * worst
    variance = max(0.0, second - first * first)
    spread = math.sqrt(8.0 * L * variance / visits) + 14.0 * H * L / (3.0 * visits)
    return spread + math.sqrt(8.0 * later / visits)


@kernel
def plan_paper(params, m, k, rng):
    told, r, n, kinds, succ, times = m.told, m.r, m.n, m.kinds, m.succ, m.times
    cap, Q, V, policy = m.cap, m.Q, m.V, m.policy
    H, S, A = Q.shape
    L = numeric.log(5.0 * S * A * H * m.facts[1] / params.delta)
    for h in range(H - 1, -1, -1):
        i = h if n.shape[0] > 1 else 0
        then = V[h + 1]
        for s in range(S):
            for a in range(A):
                visits = n[i, s, a]
                if visits > 0.0:
                    if params.variant == BF:
                        bonus = bernstein(L, H, S, A, n, h, i, s, a, succ, times, kinds, V)
                    else:
                        bonus = 7.0 * H * L / math.sqrt(visits)
                    total = tabular.ahead(succ, times, kinds, i, s, a, then)
                    q = r[i, s, a] + total / visits + bonus
                    Q[h, s, a] = min(Q[h, s, a], min(H * 1.0, q))
                else:
                    Q[h, s, a] = tabular.untried(told, r, cap, i, h, s, a)
        tabular.settle(Q, V, policy, h, rng)


def _needs_horizon(task: Any) -> None:
    if task.horizon < 1:
        raise ValueError('variants "ch" and "bf" need the number of episodes: give horizon')


def ucbvi(c: float = 0.02, variant: str | int = "tuned", delta: float = 0.05) -> Episodic:
    """UCBVI.

    ``variant`` is one of ``VARIANTS``, see the module; its place there will do. ``c > 0`` scales
    the bonus of ``"tuned"``, ``delta`` in (0, 1) is the probability that a bound may fail. Raises
    ValueError otherwise.
    """
    which = place("variant", variant, VARIANTS)
    params = UCBVI(positive("c", c), which, inside("delta", delta, 0.0, 1.0))
    plan = plan_tuned if which == TUNED else plan_paper
    check = None if which == TUNED else _needs_horizon
    return Episodic(params, tabular.new_model, plan, tabular.act, tabular.see, tabular.rule, check)
