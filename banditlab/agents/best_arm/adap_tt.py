"""AdaP-TT (Azize, Jourdan, Al Marjani & Basu 2023): a private top-two rule with phases per arm.

A phase of arm a ends when its pulls N_a have doubled. Then the mean of this phase's n_a rewards
alone is released with Laplace noise of scale 1 / (epsilon n_a), m_a, and replaces the one before;
k_a counts these phases. Every arm is pulled once, and then::

    leader     B = argmax m_a + sqrt(k_a / n_a) + k_a / (epsilon n_a)
    challenger C = argmin_{a != B} (m_B - m_a) / sqrt(1 / N_B + 1 / N_a)
    pull B if it was pulled in at most half of the rounds that it led, this one among them, else C

With 1 = argmax m_a, stop when for all j != 1 ::

    (m_1 - m_j)^2 / (2 (1/n_1 + 1/n_j)) >
        ln(1/delta) + ln(1 + ln n_1) + ln(1 + ln n_j) + (1/n_1 + 1/n_j) ln(1/delta)^2 / epsilon^2

This threshold is that of the authors' experiments, as in public code
(github.com/achraf-azize/DP-BAI); it is not proved to keep the error below delta. Pulls were checked
one by one against a plain implementation. The rule is for arms of different means: a good arm whose
first release came out low is tried again only once the other challengers have become as costly,
which of two equal arms neither does, so that such a run may go on to the horizon.

Neighbours differ in one reward; each enters one released mean and all else follows from those, so
a run is epsilon-private, however long. For the two kinds of noise see :mod:`banditlab.parts.noise`.

>>> import banditlab
>>> banditlab.make("adap_tt", epsilon=0.5).params
AdaPTT(epsilon=0.5, delta=0.05, noise='discrete')
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel, kernel_inline
from banditlab.parts.best_arm import act_chosen, last_release, least_pulled, name_largest
from banditlab.parts.noise import GRID, NOISES, check_epsilon, release
from banditlab.protocols.identify import Identify
from banditlab.protocols.online import UNIT_REWARD
from banditlab.validate import choice, inside

label = "AdaP-TT"

MOST_PHASES = 64  # pulls double: there are fewer than 2^63


class AdaPTT(NamedTuple):
    """Hyper-parameters."""

    epsilon: float = 1.0  # > 0: privacy of any one reward
    delta: float = 0.05  # in (0, 1): probability of naming a wrong arm
    noise: str = "discrete"  # or "fast"


class Phases(NamedTuple):
    """Of each arm the phase under way, the one before, and what was released."""

    pulls: np.ndarray  # (n_arms,) float64: N, all
    fresh: np.ndarray  # (n_arms,) float64: pulls of the phase under way
    sums: np.ndarray  # (n_arms,) float64: rewards of the phase under way
    sizes: np.ndarray  # (n_arms,) float64: n, pulls of the phase that ended last
    phases: np.ndarray  # (n_arms,) int64: k, phases that are over
    noisy: np.ndarray  # (n_arms,) float64: m, the mean released last, 0 before
    led: np.ndarray  # (n_arms,) float64: rounds in which the arm led
    kept: np.ndarray  # (n_arms,) float64: those of them in which it was pulled
    chosen: np.ndarray  # (1,) int64: the arm that is next
    released: np.ndarray  # (MOST_PHASES, n_arms) float64: noisy means by phase, nan where none


@kernel
def init(params, task, rng):
    n = task.n_arms
    released = np.full((MOST_PHASES, n), np.nan)
    counts = (np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n, np.int64))
    pulls, fresh, sums, sizes, phases = counts
    chosen = np.zeros(1, np.int64)
    return Phases(
        pulls, fresh, sums, sizes, phases, np.zeros(n), np.zeros(n), np.zeros(n), chosen, released
    )


@kernel_inline
def choose(params, state):
    """The arm that is next, counted as such."""
    n_arms = state.pulls.size
    fewest = least_pulled(state.pulls)
    if state.pulls[fewest] == 0.0:
        return fewest
    first = 0
    highest = -np.inf
    for k in range(n_arms):
        inv = 1.0 / state.sizes[k]
        index = math.sqrt(state.phases[k] * inv) + state.phases[k] * inv / params.epsilon
        index = state.noisy[k] + index
        first = k if index > highest else first
        highest = index if index > highest else highest
    second = 0
    least = np.inf
    for k in range(n_arms):
        spread = math.sqrt(1.0 / state.pulls[first] + 1.0 / state.pulls[k])
        cost = (state.noisy[first] - state.noisy[k]) / spread
        smaller = k != first and cost < least
        second = k if smaller else second
        least = cost if smaller else least
    state.led[first] += 1.0
    if state.kept[first] <= 0.5 * state.led[first]:
        state.kept[first] += 1.0
        return first
    return second


@cache
def _update(discrete: bool) -> Callable[..., None]:
    @kernel
    def update(params, state, t, x, pulls, sums, rng):
        for k in range(pulls.size):
            if pulls[k] == 0:
                continue
            state.pulls[k] += pulls[k]
            state.fresh[k] += pulls[k]
            state.sums[k] += sums[k]
            if 2.0 * state.fresh[k] >= state.pulls[k]:
                n = int(state.fresh[k])
                noisy = release(discrete, rng, state.sums[k], n, params.epsilon)
                state.released[state.phases[k], k] = noisy
                state.noisy[k] = noisy
                state.sizes[k] = state.fresh[k]
                state.phases[k] += 1
                state.fresh[k] = 0.0
                state.sums[k] = 0.0
        state.chosen[0] = choose(params, state)

    return update


@kernel
def stop(params, state, t):
    n_arms = state.pulls.size
    best = 0
    for k in range(n_arms):
        if state.phases[k] == 0:
            return False
        best = k if state.noisy[k] > state.noisy[best] else best
    level = -numeric.log(params.delta)
    n_best = state.sizes[best]
    ahead = level + numeric.log(1.0 + numeric.log(n_best))
    for k in range(n_arms):
        if k == best:
            continue
        gap = state.noisy[best] - state.noisy[k]
        inv = 1.0 / n_best + 1.0 / state.sizes[k]
        private = inv * level * level / (params.epsilon * params.epsilon)
        limit = ahead + numeric.log(1.0 + numeric.log(state.sizes[k])) + private
        if not gap * gap / (2.0 * inv) > limit:
            return False
    return True


@kernel
def recommend(params, state, x, rng, out):
    name_largest(state.noisy, state.phases, out)


@kernel
def spent(params, state):
    for k in range(state.phases.size):
        if state.phases[k] > 0:
            return params.epsilon
    return 0.0


def adap_tt(epsilon: float = 1.0, delta: float = 0.05, noise: str = "discrete") -> Identify:
    """AdaP-TT for rewards in [0, 1]; the task's horizon is where a run is cut off.

    Parameters
    ----------
    epsilon
        Privacy, above 0 and finite; for the discrete noise within ``noise.DISCRETE_EPSILON``.
    delta
        Probability in (0, 1) of naming a wrong arm.
    noise
        "discrete", exact, or "fast", for simulations of errors only.

    Raises ValueError for whatever is out of range.
    """
    discrete = choice("noise", noise, NOISES) == "discrete"
    params = AdaPTT(
        check_epsilon("epsilon", epsilon, discrete=discrete),
        inside("delta", delta, 0.0, 1.0),
        str(noise),
    )
    return Identify(
        params,
        init,
        act_chosen,
        _update(discrete),
        recommend,
        stop,
        spent,
        published=last_release,
        rewards=UNIT_REWARD,
        grid=GRID if discrete else 0.0,
    )
