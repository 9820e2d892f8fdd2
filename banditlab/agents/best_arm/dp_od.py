"""DP-OD: OD-LinBAI with noise that makes it epsilon-differentially private.

The baseline of Chen, Karthik, Chee & Tan 2024, "Fixed-Budget Differentially Private Best Arm
Identification" (ICLR 2024), who make OD-LinBAI (:mod:`banditlab.agents.best_arm.od_linbai`)
private in an appendix. Where they put the noise is not known to us; here are three places. Take one
round with pulls n_j, reduced features x_j, V = sum_j n_j x_j x_j.T and least squares theta. One
reward of arm j, in [0, 1], moves theta by at most V^-1 x_j, so the largest moves D are::

    placement   noise                                        scale       D
    "theta"     independent, on the coordinates of theta     D / eps     max_j ||V^-1 x_j||_1
    "pred"      independent, on the predictions x_i . theta  D / eps     max_j sum_i |x_i V^-1 x_j|
    "means"     on the mean of each arm, before the fit      1 / eps n_j

over arms j pulled and arms i active. A reward is used in one round only, and all that follows is a
function of what the round released: the whole run spends epsilon once (parallel composition).
Neighbours differ in the value of one reward. "theta" depends on the axes, which are the principal
axes of the active arms.

"means" often beats DP-BAI, and the two others never did in our runs.

The noise of "theta" and "pred" is added to real numbers, not to sums of rewards on a grid, so only
"fast" noise is there: the textbook Laplace law in doubles, whose low-order bits betray inputs
(Mironov 2012). It shows how large the error of such an algorithm is; a double that it releases is
not private in the strict sense. "means" has exact "discrete" noise as well
(:mod:`banditlab.parts.noise`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from banditlab import linalg
from banditlab.agents.best_arm.od_linbai import identifier
from banditlab.core import kernel
from banditlab.parts.designs import least_squares, sample_means
from banditlab.parts.noise import GRID, check_epsilon, release
from banditlab.protocols.identify import Identify
from banditlab.random import laplace
from banditlab.validate import choice

label = "DP-OD"

PLACEMENTS = ("theta", "pred", "means")
KINDS = ("fast", "discrete")

example = {"name": "lin_sphere", "n_arms": 8, "dim": 3, "gap": 0.2}


class DPOD(NamedTuple):
    """Hyper-parameters."""

    epsilon: float = 1.0  # > 0, inf for no noise
    placement: str = "theta"  # or "pred", "means"
    noise: str = "fast"  # or "discrete", for "means" only


@kernel
def sensitivity_of_theta(coordinates, pulls, inverse):
    """How far one reward moves theta, in the sum over coordinates."""
    move = np.empty(coordinates.shape[1])
    largest = 0.0
    for j in range(pulls.size):
        if pulls[j] > 0:
            linalg.matvec(inverse, coordinates[j], move)
            total = 0.0
            for value in move:
                total += abs(value)
            largest = max(largest, total)
    return largest


@kernel
def sensitivity_of_predictions(coordinates, pulls, inverse):
    """How far one reward moves the predictions, in the sum over active arms."""
    move = np.empty(coordinates.shape[1])
    largest = 0.0
    for j in range(pulls.size):
        if pulls[j] > 0:
            linalg.matvec(inverse, coordinates[j], move)
            total = 0.0
            for i in range(pulls.size):
                total += abs(linalg.dot(coordinates[i], move))
            largest = max(largest, total)
    return largest


@kernel
def by_theta(params, coordinates, pulls, sums, rng, scores, released):
    means = np.empty(pulls.size)
    sample_means(pulls, sums, means)
    inverse = np.empty((coordinates.shape[1], coordinates.shape[1]))
    theta = least_squares(coordinates, pulls, means, inverse)
    scale = sensitivity_of_theta(coordinates, pulls, inverse) / params.epsilon
    for j in range(theta.size):
        theta[j] += scale * laplace(rng)
    linalg.matvec(coordinates, theta, scores)
    for i in range(scores.size):
        released[i] = scores[i]


@kernel
def by_predictions(params, coordinates, pulls, sums, rng, scores, released):
    means = np.empty(pulls.size)
    sample_means(pulls, sums, means)
    inverse = np.empty((coordinates.shape[1], coordinates.shape[1]))
    theta = least_squares(coordinates, pulls, means, inverse)
    linalg.matvec(coordinates, theta, scores)
    scale = sensitivity_of_predictions(coordinates, pulls, inverse) / params.epsilon
    for i in range(scores.size):
        scores[i] += scale * laplace(rng)
        released[i] = scores[i]


@cache
def by_means(discrete: bool) -> Callable[..., None]:
    @kernel
    def estimate(params, coordinates, pulls, sums, rng, scores, released):
        means = np.zeros(pulls.size)
        for i in range(pulls.size):
            if pulls[i] > 0:
                means[i] = release(discrete, rng, sums[i], pulls[i], params.epsilon)
                released[i] = means[i]
        inverse = np.empty((coordinates.shape[1], coordinates.shape[1]))
        theta = least_squares(coordinates, pulls, means, inverse)
        linalg.matvec(coordinates, theta, scores)

    return estimate


@kernel
def spent(params, state):
    return params.epsilon


def dp_od(epsilon: float = 1.0, placement: str = "theta", noise: str = "") -> Identify:
    """DP-OD with ``epsilon`` > 0 (inf: no noise). Rewards in [0, 1].

    ``placement`` is "theta", "pred" or "means". ``noise`` is "fast" or, for "means" only,
    "discrete", which is the default there.

    Raises ValueError for a number out of range or an unknown word. It refuses a horizon in which
    not every round has a pull.
    """
    placement = choice("placement", placement, PLACEMENTS)
    noise = choice("noise", noise or ("discrete" if placement == "means" else "fast"), KINDS)
    discrete = noise == "discrete"
    if discrete and placement != "means":
        raise ValueError(
            f"noise must be fast for placement {placement}, whose noise is not on sums of rewards"
        )
    epsilon = check_epsilon("epsilon", epsilon, allow_inf=True, discrete=discrete)
    estimate = {"theta": by_theta, "pred": by_predictions}.get(placement) or by_means(discrete)
    grid = GRID if discrete and epsilon < math.inf else 0.0
    return identifier(DPOD(epsilon, placement, noise), estimate, spent, grid)
