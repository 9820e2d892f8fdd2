"""Top-two Thompson sampling (Russo 2016) with the stopping rule of Track-and-Stop.

Draw means from the posterior and call the arm of the largest I. With probability ``beta`` pull I;
otherwise draw again until another arm J comes first, and pull that. With ``beta`` = 1/2 this needs
no oracle and at most twice the pulls of the optimal shares. After 1000 draws in which I came first,
J is the arm with the least evidence against it::

    argmin_{j != I} [ N_I d(mean_I, m) + N_j d(mean_j, m) ],  m the pooled mean

Posteriors: Beta(1 + S, 1 + N - S) for the law "bernoulli", rewards in [0, 1] of sum S;
N(mean, sigma^2 / N) for "gaussian", after one pull of each arm. The closer to the end, the more
draws a challenger takes: up to 1000 per round.

The arms pulled were checked against the law that the rule gives them in closed form. That a search
for J ends after 1000 draws, and what then is J, is ours.

>>> import banditlab
>>> banditlab.make("top_two_thompson", delta=0.1).params.beta
0.5
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel, kernel_inline
from banditlab.parts.best_arm import act_chosen, add_batch, least_pulled, recommend_best
from banditlab.parts.evidence import REWARDS, check_law, evidence, stopping
from banditlab.protocols.identify import Identify
from banditlab.random import beta as draw_beta
from banditlab.random import normal, uniform
from banditlab.validate import inside

label = "top-two Thompson"

# Close enough for errors.
example = {"name": "bernoulli", "means": [0.4, 0.5, 0.6]}

MOST_TRIES = 1000


class TopTwoThompson(NamedTuple):
    """Hyper-parameters."""

    delta: float = 0.05  # in (0, 1): probability of naming a wrong arm
    law: str = "bernoulli"  # or "gaussian"
    sigma: float = 1.0  # > 0, standard deviation of Gaussian rewards
    threshold: str = "practical"  # or "proved"
    beta: float = 0.5  # in (0, 1): share of rounds that go to the arm of the first draw


class Belief(NamedTuple):
    """Pulls and rewards so far, and the arm that is next."""

    pulls: np.ndarray  # (n_arms,) float64
    sums: np.ndarray  # (n_arms,) float64
    means: np.ndarray  # (n_arms,) float64: 0 before the first pull
    chosen: np.ndarray  # (1,) int64


@kernel_inline
def draw_bernoulli(params, state, k, rng):
    wins = state.sums[k]
    return draw_beta(rng, 1.0 + wins, 1.0 + state.pulls[k] - wins)


@kernel_inline
def draw_gaussian(params, state, k, rng):
    return state.means[k] + params.sigma / math.sqrt(state.pulls[k]) * normal(rng)


DRAWS: dict[str, Callable[..., float]] = {"bernoulli": draw_bernoulli, "gaussian": draw_gaussian}


@cache
def _top_two(law: str) -> tuple[Callable[..., Belief], Callable[..., None]]:
    draw, against = DRAWS[law], evidence(law)
    has_prior = law == "bernoulli"

    @kernel
    def sampled_best(params, state, rng):
        best = -np.inf
        arm = 0
        for k in range(state.pulls.size):
            value = draw(params, state, k, rng)
            arm = k if value > best else arm
            best = value if value > best else best
        return arm

    @kernel
    def choose(params, state, rng):
        fewest = least_pulled(state.pulls)
        if not has_prior and state.pulls[fewest] == 0.0:
            return fewest
        first = sampled_best(params, state, rng)
        if uniform(rng) < params.beta:
            return first
        for _ in range(MOST_TRIES):
            second = sampled_best(params, state, rng)
            if second != first:
                return second
        second = 0
        least = np.inf
        for k in range(state.pulls.size):
            if k != first:
                value = against(params.sigma, state, first, k)
                second = k if value < least else second
                least = value if value < least else least
        return second

    @kernel
    def init(params, task, rng):
        n_arms = task.n_arms
        chosen = np.zeros(1, np.int64)
        state = Belief(np.zeros(n_arms), np.zeros(n_arms), np.zeros(n_arms), chosen)
        state.chosen[0] = choose(params, state, rng)
        return state

    @kernel
    def update(params, state, t, x, pulls, sums, rng):
        add_batch(state, pulls, sums)
        state.chosen[0] = choose(params, state, rng)

    return init, update


def top_two_thompson(
    delta: float = 0.05,
    law: str = "bernoulli",
    sigma: float = 1.0,
    threshold: str = "practical",
    beta: float = 0.5,
) -> Identify:
    """Top-two Thompson sampling; the task's horizon is where a run is cut off.

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
    beta
        Share in (0, 1) of rounds in which the arm of the first draw is pulled.

    Raises ValueError for whatever is out of range.
    """
    common = check_law(delta, law, sigma, threshold)
    params = TopTwoThompson(*common, inside("beta", beta, 0.0, 1.0))
    init, update = _top_two(params.law)
    stop = stopping(params.law, params.threshold)
    rewards = REWARDS[params.law]
    return Identify(params, init, act_chosen, update, recommend_best, stop, rewards=rewards)
