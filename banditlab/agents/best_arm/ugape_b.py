"""UGapE with a fixed budget (Gabillon, Ghavamzadeh & Lazaric 2012, UGapEb).

After one pull of each of K arms, with T pulls in all, rewards in [0, 1] and problem complexity
H = sum_k 4 / gap_k^2 (the best arm's gap being that of the second best)::

    U_k, L_k = mean_k + sqrt(a / n_k), mean_k - sqrt(a / n_k),   a = a_scale (T - K) / (4 H)
    B_k = max_{j != k} U_j - L_k,   J = argmin_k B_k,   u = argmax_{j != J} U_j

and whichever of J and u has fewer pulls is pulled next. It names the J whose B_J was smallest over
time. The theory has a_scale = 1; more explores more, and is better on common instances. Ties go to
the lower arm, to J before u, and to the earlier time.

Checked arm by arm against this definition written with loops, and in its errors against one written
with arrays. The factor ``a_scale`` and the breaking of ties are ours.

>>> round(hardness([0.5] + [0.4] * 19))  # problem 1 of Audibert, Bubeck & Munos 2010
8000
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.best_arm import check_spare
from banditlab.protocols.identify import Identify
from banditlab.validate import positive, vector

label = "UGapEb"


class UGapEb(NamedTuple):
    """Hyper-parameters."""

    complexity: float = 8000.0  # > 0: H of the problem
    a_scale: float = 16.0  # > 0


class Gaps(NamedTuple):
    """Confidence intervals, and the answer so far."""

    pulls: np.ndarray  # (n_arms,) float64
    sums: np.ndarray  # (n_arms,) float64
    upper: np.ndarray  # (n_arms,) float64
    lower: np.ndarray  # (n_arms,) float64
    a: np.ndarray  # (1,) float64: exploration
    arm: np.ndarray  # (1,) int64: to be pulled next; -1 while none was pulled
    answer: np.ndarray  # (1,) int64: -1 while none was pulled
    gap: np.ndarray  # (1,) float64: B of the answer


@kernel
def init(params, task, rng):
    n_arms = task.n_arms
    a = params.a_scale * (task.horizon - n_arms) / (4.0 * params.complexity)
    return Gaps(
        np.zeros(n_arms),
        np.zeros(n_arms),
        np.zeros(n_arms),
        np.zeros(n_arms),
        np.full(1, a),
        np.full(1, -1),
        np.full(1, -1),
        np.full(1, np.inf),
    )


@kernel
def act(params, state, t, x, rng, out):
    arm = state.arm[0]
    for k in range(out.size):
        out[k] = 1 if arm < 0 or arm == k else 0


@kernel
def update(params, state, t, x, pulls, sums, rng):
    n_arms = pulls.size
    first, second = 0, -1  # the two arms of the largest U
    for k in range(n_arms):
        if pulls[k] > 0:
            state.pulls[k] += pulls[k]
            state.sums[k] += sums[k]
            mean = state.sums[k] / state.pulls[k]
            radius = math.sqrt(state.a[0] / state.pulls[k])
            state.upper[k] = mean + radius
            state.lower[k] = mean - radius
        if k > 0 and state.upper[k] > state.upper[first]:
            second = first
            first = k
        elif k > 0 and (second < 0 or state.upper[k] > state.upper[second]):
            second = k
    # All arms but the first are compared with it, so the best of them is that of the largest L.
    leader = first
    least = state.upper[second] - state.lower[first]
    for k in range(n_arms):
        gap = state.upper[first] - state.lower[k]
        if k != first and (gap < least or (gap == least and k < leader)):
            least = gap
            leader = k
    rival = second if leader == first else first
    state.arm[0] = leader if state.pulls[leader] <= state.pulls[rival] else rival
    if least < state.gap[0]:
        state.gap[0] = least
        state.answer[0] = leader


@kernel
def recommend(params, state, x, rng, out):
    answer = state.answer[0]
    for k in range(out.size):
        out[k] = 1.0 / out.size if answer < 0 else 0.0
    if answer >= 0:
        out[answer] = 1.0


def hardness(means: Sequence[float]) -> float:
    """The complexity H of arms with these ``means``; ValueError unless one arm is best."""
    values = vector("means", means, at_least=2)
    ordered = np.sort(values)
    if ordered[-1] == ordered[-2]:
        raise ValueError(f"means must have one largest entry, got {values.tolist()!r}")
    gaps = np.append(ordered[-1] - ordered[:-1], ordered[-1] - ordered[-2])
    return float((4.0 / gaps**2).sum())


def ugape_b(complexity: float = 8000.0, a_scale: float = 16.0) -> Identify:
    """UGapE for a problem of known ``complexity`` > 0, with ``a_scale`` > 0 times its exploration.

    `hardness` gives the complexity of known means. No value suits every problem; the default is
    that of 20 arms of which one is better by 0.1. The horizon exceeds the number of arms.

    Raises ValueError when either is not positive.
    """
    params = UGapEb(positive("complexity", complexity), positive("a_scale", a_scale))
    return Identify(params, init, act, update, recommend, check=check_spare)
