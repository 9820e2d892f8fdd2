"""Track-and-Stop (Garivier & Kaufmann 2016): pull as the lower bound says, stop when sure.

To name the best arm with probability 1 - delta takes about T* ln(1/delta) pulls, whatever the rule,
where with arm 1 the best and d the divergence of two rewards with the given means (theorem 1,
equations 3 and 4, theorem 5)::

    1 / T* = max_w min_{a != 1} [ w_1 d(mu_1, m_a) + w_a d(mu_a, m_a) ],  m_a pooling both means

    g_a(x) = d(mu_1, m) + x d(mu_a, m),  m = (mu_1 + x mu_a) / (1 + x)
    find y with sum_{a != 1} d(mu_1, m_a) / d(mu_a, m_a) = 1 at x_a = g_a^{-1}(y)
    w ~ (1, x_2, ..., x_K) and T* = (1 + sum x_a) / y

*D-tracking*: after t pulls take the arm with the fewest, N, if N < sqrt(t) - K/2, else the arm that
lags its weight most, argmax t w_a - N_a, with w of the empirical means. w is uniform while these
have no single best arm, or one of them is on the boundary (0 or 1). *Stop* when the evidence
against the likeliest rival b of the empirical best arm exceeds a threshold::

    min_b [ N_best d(mean_best, m) + N_b d(mean_b, m) ] > ln((1 + ln t) / delta)    "practical"
                                                        > ln(2 t (K - 1) / delta)   "proved"

"proved" is theorem 10, for Bernoulli rewards (theirs, or any in [0, 1]); "practical" is what the
paper's experiments use. The weights are computed in every round, to nine digits; there is no
schedule.

The weights agree with those of a public implementation, of a slow optimiser of the max-min problem
and, on two examples, with the known ones; the pulls with D-tracking by the slow oracle. Ties go to
the first arm; where several arms are best the one that is named is drawn.

>>> weights, T = oracle_weights([0.5, 0.45, 0.43, 0.4])
>>> weights.round(4), round(T, 2)
(array([0.4165, 0.3903, 0.1362, 0.057 ]), 989.79)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.best_arm import act_chosen, add_batch, leader, least_pulled, recommend_best
from banditlab.parts.evidence import LAWS, REWARDS, check_law, stopping
from banditlab.protocols.identify import Identify
from banditlab.validate import choice, inside, positive, vector

label = "Track-and-Stop"

# A Newton step this small, relative to the number it corrects, is the last one. Its error is
# about the square of the step: the inner solutions are then carried on to first order.
INNER = 1e-6
OUTER = 1e-9
MOST_STEPS = 60  # a bound for loops that take fewer than ten steps each


class TrackAndStop(NamedTuple):
    """Hyper-parameters."""

    delta: float = 0.05  # in (0, 1): probability of naming a wrong arm
    law: str = "bernoulli"  # or "gaussian"
    sigma: float = 1.0  # > 0, standard deviation of Gaussian rewards
    threshold: str = "practical"  # or "proved"


class Race(NamedTuple):
    """Pulls and rewards so far, and the arm that is next."""

    pulls: np.ndarray  # (n_arms,) float64
    sums: np.ndarray  # (n_arms,) float64
    means: np.ndarray  # (n_arms,) float64: 0 before the first pull
    weights: np.ndarray  # (n_arms,) float64: scratch of the oracle
    chosen: np.ndarray  # (1,) int64


# --- the oracle's weights ------------------------------------------------------------------------


@cache
def oracle(law: str) -> Callable[..., float]:
    """The kernel ``solve(sigma, means, best, out)``: fills the weights in, returns 1 / T*.

    It returns 0 and leaves nonsense in ``out`` when ``best`` is not the single best arm up to
    rounding. Means lie in the interior of the law's range.
    """
    divergence, variance = LAWS[law]

    @kernel
    def solve(sigma, means, best, out):
        top = means[best]
        y = np.inf
        low = 0.0
        high = np.inf  # g_a rises to d(mu_1, mu_a), which y must not reach
        for k in range(means.size):
            if k != best:
                m = 0.5 * (top + means[k])
                y = min(y, divergence(sigma, top, m) + divergence(sigma, means[k], m))
                high = min(high, divergence(sigma, top, means[k]))
            out[k] = 1.0
        if not y > 0.0:
            return 0.0
        for _ in range(MOST_STEPS):
            total = 0.0
            slope = 0.0
            for k in range(means.size):
                if k == best:
                    continue
                # x = g^{-1}(y). As g is concave with g' = far, Newton's steps rise to the
                # solution from wherever they are left of it, and the first brings them there.
                x = out[k]
                far = 1.0
                ratio = 0.0
                bend = 0.0
                for _ in range(MOST_STEPS):
                    m = (top + x * means[k]) / (1.0 + x)
                    near = divergence(sigma, top, m)
                    far = divergence(sigma, means[k], m)
                    step = (y - near - x * far) / far
                    ratio = near / far
                    shift = m - means[k]
                    bend = shift * shift * (near + x * far)
                    bend = bend / (variance(sigma, m) * (1.0 + x) * far * far)
                    ratio += bend * step
                    x = max(x + step, 0.0)
                    if abs(step) <= INNER * x:
                        break
                out[k] = x
                total += ratio
                slope += bend / far
            step = (1.0 - total) / slope
            if abs(step) <= OUTER * y:
                break
            if total > 1.0:
                high = y
            else:
                low = y
            y = y + step if low < y + step and y + step < high else 0.5 * (low + high)
        size = 0.0
        for k in range(means.size):
            size += out[k]
        for k in range(means.size):
            out[k] /= size
        return y / size

    return solve


def oracle_weights(
    means: Sequence[float], law: str = "bernoulli", sigma: float = 1.0
) -> tuple[np.ndarray, float]:
    """The optimal shares of pulls (n_arms,), and T*, for arms with these ``means``.

    ``law`` is "bernoulli", with means strictly between 0 and 1, or "gaussian" with standard
    deviation ``sigma`` > 0, which the weights do not depend on.

    Raises ValueError for means out of range, fewer than two, or with more than one largest.
    """
    law, sigma = choice("law", law, tuple(LAWS)), positive("sigma", sigma)
    given = vector("means", means, at_least=2)
    for k, value in enumerate(given.tolist()):
        if law == "bernoulli":
            inside(f"means[{k}]", value, 0.0, 1.0)
    out = np.empty(given.size)
    with np.errstate(all="ignore"):
        rate = oracle(law)(sigma, given, int(given.argmax()), out)
    if not rate > 0.0:
        raise ValueError(f"means must have a single largest one, got {means!r}")
    return out, float(1.0 / rate)


# --- Track-and-Stop ------------------------------------------------------------------------------


@kernel
def init(params, task, rng):
    n_arms = task.n_arms
    zeros = np.zeros(n_arms)
    return Race(zeros, np.zeros(n_arms), np.zeros(n_arms), np.zeros(n_arms), np.zeros(1, np.int64))


@cache
def _tracking(law: str) -> Callable[..., None]:
    solve, (_, variance) = oracle(law), LAWS[law]

    @kernel
    def update(params, state, t, x, pulls, sums, rng):
        add_batch(state, pulls, sums)
        n_arms = state.pulls.size
        fewest = least_pulled(state.pulls)
        state.chosen[0] = fewest  # what uniform weights ask for, too
        total = 0.0
        inside = True
        for k in range(n_arms):
            total += state.pulls[k]
            inside = inside and variance(params.sigma, state.means[k]) > 0.0
        few = state.pulls[fewest]
        if few == 0.0 or few < math.sqrt(total) - 0.5 * n_arms or not inside:
            return
        best = leader(state.pulls, state.means)
        if not solve(params.sigma, state.means, best, state.weights) > 0.0:
            return
        lag = -np.inf
        for k in range(n_arms):
            value = total * state.weights[k] - state.pulls[k]
            state.chosen[0] = k if value > lag else state.chosen[0]
            lag = value if value > lag else lag

    return update


def track_and_stop(
    delta: float = 0.05,
    law: str = "bernoulli",
    sigma: float = 1.0,
    threshold: str = "practical",
) -> Identify:
    """Track-and-Stop with D-tracking; the task's horizon is where a run is cut off.

    Parameters
    ----------
    delta
        Probability in (0, 1) of naming a wrong arm.
    law
        "bernoulli", for rewards in [0, 1], or "gaussian".
    sigma
        Standard deviation > 0 of Gaussian rewards.
    threshold
        "practical", or "proved", which is for law "bernoulli" and stops later.

    Raises ValueError for whatever is out of range.
    """
    params = TrackAndStop(*check_law(delta, law, sigma, threshold))
    stop = stopping(params.law, params.threshold)
    update = _tracking(params.law)
    rewards = REWARDS[params.law]
    return Identify(params, init, act_chosen, update, recommend_best, stop, rewards=rewards)
