"""Phased elimination with optimal designs, for fixed arms with linear rewards.

Lattimore, Szepesvari & Weisz 2020, "Learning with good feature representations in bandits and in RL
with a generative model"; constants from memory of it and of Lattimore & Szepesvari 2020, Bandit
Algorithms, chapter 22. With d features, K arms, T rounds, m = ceil(4 d log log d) + 16 and all arms
active:

1. Find a design rho on the active arms with max g <= 2 r, where r is the rank of their features
   (:mod:`banditlab.parts.designs`).
2. Pull arm a ceil(m rho_a) times, and fit theta to these rewards alone by least squares.
3. Keep the arms whose prediction is within 2 sigma sqrt((4 r / m) log(1 / delta)) of the largest.
4. Double m and start again.

``delta`` is 1 / (K T) by default. Nothing here knows how wrong the linear model is: if by eps, the
regret grows by a further term of order eps T sqrt(d) log T. With sigma = ``noise`` = 0 an arm must
be best to stay, up to 1e-10. A plan is for the features that it was made with: where an arm that is
to be pulled, or any arm at the end of a phase, has others by now, the agent gives up.

>>> import banditlab
>>> agent = banditlab.Agent("phased_elim", n_arms=3, dim=2, horizon=1000, noise=0.1)
>>> arms = [[1, 0], [0, 1], [0.7, 0.7]]
>>> for _ in range(100):
...     arm = agent.act(arms)
...     agent.update(arms, arm, reward=[0.1, 0.8, 0.7][arm])
>>> agent.recommend(arms)
array([0., 1., 0.])
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import linalg, numeric
from banditlab.core import kernel
from banditlab.parts.best_arm import name_largest
from banditlab.parts.designs import frank_wolfe, least_squares, orthonormal, sample_means
from banditlab.protocols.online import Online
from banditlab.validate import below_one, nonnegative

label = "phased elimination"
gives_up = "the features of its arms changed, and its plan is for those of the first round"

SLACK = 1e-10  # predictions that differ by less are one
UNKNOWN_HORIZON = 1_000_000
PLANNED, BROKEN = 1, -1  # of a plan: it is made; features have changed since


class PhasedElim(NamedTuple):
    """Hyper-parameters."""

    noise: float = 1.0  # >= 0: sub-Gaussian scale of the rewards
    delta: float = 0.0  # in [0, 1): chance of an error in a phase; 0: 1 / (n_arms horizon)


class Phase(NamedTuple):
    """State."""

    active: np.ndarray  # (n_arms,) int64: 1 while the arm is in play
    left: np.ndarray  # (n_arms,) int64: pulls still to make in this phase
    pulls: np.ndarray  # (n_arms,) float64: of this phase
    sums: np.ndarray  # (n_arms,) float64: rewards of this phase
    scores: np.ndarray  # (n_arms,) float64: predictions of the last phase; 0 before
    size: np.ndarray  # (1,) int64: m
    ready: np.ndarray  # (1,) int64: 0 without a plan, else PLANNED or BROKEN
    width: np.ndarray  # (1,) float64: log(1 / delta)
    first: np.ndarray  # (n_arms, dim) float64: features of the first round, once there is a plan


@kernel
def first_size(dim):
    """m of the first phase."""
    loglog = numeric.log(numeric.log(dim * 1.0)) if dim > 2 else 0.0
    return int(math.ceil(4.0 * dim * loglog)) + 16


@kernel
def threshold(noise, rank, size, log_inverse):
    """How far below the largest prediction an arm may lie; ``log_inverse`` = log(1 / delta)."""
    return 2.0 * noise * math.sqrt(4.0 * rank / size * log_inverse)


@kernel
def init(params, task, rng):
    n = task.n_arms
    horizon = task.horizon if task.horizon > 0 else UNKNOWN_HORIZON
    delta = params.delta if params.delta > 0.0 else 1.0 / (n * 1.0 * horizon)
    return Phase(
        np.full(n, 1),
        np.zeros(n, np.int64),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.full(1, first_size(task.dim)),
        np.zeros(1, np.int64),
        np.full(1, -numeric.log(delta)),
        np.zeros((n, task.dim)),
    )


@kernel
def changed(state, x, arm):
    """Whether the features of ``arm`` are not those of the first round."""
    shown = arm if x.shape[0] > 1 else 0
    for j in range(x.shape[1]):
        if x[shown, j] != state.first[arm, j]:
            return True
    return False


@kernel
def active_arms(state, x, basis):
    """The active arms, and their coordinates; see designs.orthonormal."""
    arms = np.nonzero(state.active)[0]
    rows = arms if x.shape[0] > 1 else np.zeros(arms.size, np.int64)  # one row for all
    return arms, orthonormal(x, rows, basis)


@kernel
def plan(state, x):
    """Steps 1 and 2: the pulls of a phase."""
    basis = np.zeros(state.active.size, np.int64)
    arms, coordinates = active_arms(state, x, basis)
    weights = np.empty(arms.size)
    frank_wolfe(coordinates, basis, weights)
    for i in range(arms.size):
        k = arms[i]
        # Less 1e-9: a weight that is 1/3 but for rounding gets its third, not one more.
        n = int(math.ceil(weights[i] * state.size[0] - 1e-9)) if weights[i] > 0.0 else 0
        state.left[k], state.pulls[k], state.sums[k] = n, 0.0, 0.0


@kernel
def conclude(params, state, x):
    """Steps 2 to 4: fit, keep, double."""
    arms, coordinates = active_arms(state, x, np.zeros(state.active.size, np.int64))
    rank = coordinates.shape[1]
    means, scores = np.empty(arms.size), np.empty(arms.size)
    sample_means(state.pulls[arms], state.sums[arms], means)
    theta = least_squares(coordinates, state.pulls[arms], means, np.empty((rank, rank)))
    linalg.matvec(coordinates, theta, scores)
    largest = -np.inf
    for i in range(arms.size):
        largest = max(largest, scores[i])
    kept = threshold(params.noise, rank, state.size[0], state.width[0]) + SLACK
    for i in range(arms.size):
        # So round for what is no number, as beyond 1e308: it eliminates nobody, or none is left.
        state.active[arms[i]] = 0 if largest - scores[i] > kept else 1
        state.scores[arms[i]] = scores[i]
    state.size[0] *= 2


@kernel
def act(params, state, t, x, rng):
    if state.ready[0] == 0:
        for k in range(state.active.size):
            for j in range(x.shape[1]):
                state.first[k, j] = x[k if x.shape[0] > 1 else 0, j]
        plan(state, x)
        state.ready[0] = PLANNED
    for k in range(state.left.size):
        if state.left[k] > 0:
            return -1 if state.ready[0] == BROKEN or changed(state, x, k) else k
    return -1 if state.ready[0] == BROKEN else 0


@kernel
def update(params, state, t, x, arm, reward, rng):
    if state.left[arm] > 0:  # else it is no pull of the plan: a log's
        state.left[arm] -= 1
        state.pulls[arm] += 1.0
        state.sums[arm] += reward
        open_pulls = 0
        for k in range(state.left.size):
            open_pulls += state.left[k]
        for k in range(state.left.size if open_pulls == 0 else 0):
            if state.active[k] == 1 and changed(state, x, k):
                state.ready[0] = BROKEN
        if open_pulls == 0 and state.ready[0] == PLANNED:
            conclude(params, state, x)
            plan(state, x)


@kernel
def recommend(params, state, x, rng, out):
    name_largest(state.scores, state.active, out)


def phased_elim(noise: float = 1.0, delta: float = 0.0) -> Online:
    """Phased elimination for rewards with ``noise`` >= 0, 0 <= ``delta`` < 1 (0: 1 / (K T)).

    Features may be rank-deficient, and must stay as they are over the rounds: where they change the
    agent gives up. A horizon that is not known counts as a million rounds. Raises ValueError for a
    number out of range.
    """
    params = PhasedElim(nonnegative("noise", noise), below_one("delta", delta))
    return Online(params, init, act, update, recommend, features=True)
