"""DP-BAI (Chen, Karthik, Chee & Tan 2024): the best arm from a fixed budget, in private.

"Fixed-Budget Differentially Private Best Arm Identification", ICLR 2024, algorithm 1. The mean
reward of an arm is the inner product of its features, of dimension d, and an unknown vector; a
problem without features counts as K arms with d = K unit vectors. Rewards lie in [0, 1]. Phase p =
1, ..., M begins with s_p active arms::

    r = rank of their features
    if r < sqrt(s_p):  pull the r arms of a Max-Det collection, ceil(T' / (M r)) times each
    else:              pull all active arms, ceil(T' / (M s_p)) times each
    release the mean of an arm's n rewards of this phase + Laplace noise of scale 1 / (epsilon n)
    the estimate of an arm not pulled is the combination that its features are of those pulled
    keep the s_{p + 1} arms of largest estimate, s_{M + 1} = 1

Every reward enters one released mean, in which it counts for 1 / n; everything else follows from
what was released. So the sequence of pulls and the arm named are together epsilon-differentially
private when one reward (of one pull of one arm) changes: epsilon in all, not per phase.

`schedule` gives s_1, ..., s_{M + 1}: arms beyond about d^2 / 4 shrink by a factor lambda a phase,
lambda^log(d) being about their number, and the rest are halved. In the paper's T' the budget may
not suffice for what rounding up adds; ``tprime="safe"``, our default, subtracts the most that it
can add, so that never more than T pulls are made. With "paper" the last phases are cut to fit; a
run that so ends before one arm is left names the one of largest estimate.

``noise="discrete"`` is exact and private up to the generator, "fast" is for simulation only: see
:mod:`banditlab.parts.noise`. ``epsilon`` = inf is the algorithm without privacy.

We found no code of the authors, and took 2 for the base of log(d). Checked are
schedules against their definition, all that follows from what is released against a second
implementation, errors against a NumPy program and, with two arms, in closed form. Ties go to the
lowest arm.

>>> schedule(30, 2)
(30, 2, 1)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import Task, kernel
from banditlab.parts import maxdet
from banditlab.parts.best_arm import last_release
from banditlab.parts.designs import spanned
from banditlab.parts.noise import GRID, check_epsilon, release
from banditlab.protocols.identify import Identify
from banditlab.protocols.online import UNIT_REWARD
from banditlab.validate import choice, integer, number

label = "DP-BAI"

example = {"name": "paper_linear"}

MOST_PHASES = 130  # an int64 can be halved 63 times, and that for the two parts of the arms


class DPBai(NamedTuple):
    """Hyper-parameters."""

    epsilon: float = 1.0  # > 0; inf: not private
    noise: str = "discrete"  # or "fast"
    log_base: float = 2.0  # > 1: of the logarithm of d in the schedule
    tprime: str = "safe"  # or "paper"


class Phases(NamedTuple):
    """What the algorithm remembers. Positions count within ``active``."""

    sizes: np.ndarray  # (n_phases + 1,) int64: s_1, ..., s_{M + 1}
    pulls: np.ndarray  # (2,) int64: the horizon T, and T'
    dim: np.ndarray  # (1,) int64: of the features; 0: there are none
    scale: np.ndarray  # (1,) float64: of the noise of one reward's release
    phase: np.ndarray  # (1,) int64: phases that are over
    active: np.ndarray  # (n_arms,) int64: the active arms, ascending, come first
    planned: np.ndarray  # (1,) int64: number of arms to pull in this phase; 0: not known yet
    pulled: np.ndarray  # (n_arms,) int64: these arms come first
    basis: np.ndarray  # (max(dim, 1),) int64: their positions, if not all active arms are pulled
    alpha: np.ndarray  # (n_arms, dim) float64: row i gives position i as a combination of them
    means: np.ndarray  # (n_arms,) float64: their released means; scratch
    estimates: np.ndarray  # (n_arms,) float64: of the mean reward at each position; scratch
    leader: np.ndarray  # (1,) int64: arm of the largest estimate so far, -1 before the first
    released: np.ndarray  # (n_phases, n_arms) float64: released means, nan where there is none


# --- schedule ------------------------------------------------------------------------------------


@kernel
def _ceil(quotient):
    """The next integer, where 1e-9 above an integer is rounding."""
    return int(math.floor(quotient - 1e-9)) + 1


@kernel
def sizes(n_arms, dim, log_base):
    """The active arms at the start of each phase, then 1; and how many phases belong to lambda."""
    s = np.ones(MOST_PHASES, np.int64)
    if n_arms == 1:
        return s[:1].copy(), 0
    kept = min(n_arms, (dim * dim + 3) // 4)
    rest = n_arms - kept
    rate = 2.0
    if dim == 1:
        rate = max(2.0, n_arms * 1.0)
    elif rest > 1:
        log_dim = numeric.log(dim * 1.0) / numeric.log(log_base)
        rate = max(2.0, numeric.exp(numeric.log(rest * 1.0) / log_dim))
    p = 0
    while p == 0 or rest > 0:
        s[p] = kept + rest
        rest = _ceil((rest + 1) / rate) - 1
        p += 1
    first = p
    kept = (kept + 1) // 2
    while kept > 1:
        s[p] = kept
        kept = (kept + 1) // 2
        p += 1
    s[p] = 1
    return s[: p + 1].copy(), first


@kernel
def _reserve(sizes, first, dim, safe):
    """T - T': pulls set aside for what rounding up adds."""
    total = 0
    for p in range(sizes.size - 1):
        lean = sizes[p] > dim * dim if safe else p < first
        total += dim if lean else sizes[p]
    return total


def schedule(n_arms: int, dim: int, log_base: float = 2.0) -> tuple[int, ...]:
    """s_1 = ``n_arms``, s_2, ..., s_{M + 1} = 1: the active arms at the start of every phase.

    For ``n_arms`` >= ``dim`` >= 1 and ``log_base`` > 1. Raises ValueError otherwise.
    """
    n_arms, dim = integer("n_arms", n_arms, 1), integer("dim", dim, 1)
    if dim > n_arms:
        raise ValueError(f"dim must be at most n_arms, {n_arms}, got {dim}")
    return tuple(sizes(n_arms, dim, check_log_base(log_base))[0].tolist())


# --- kernels -------------------------------------------------------------------------------------


@kernel
def plan(state, x):
    """Settle which arms this phase pulls, if that is not done. Changes no later answer."""
    if state.planned[0] > 0:
        return
    s = state.sizes[state.phase[0]]
    rank = s
    if state.dim[0] > 0:
        # Active arms whose features are all 0 have the same mean: one pulled will do.
        rank = max(1, maxdet.reduce(x, state.active, s, state.alpha, state.basis))
    if rank * rank < s:
        maxdet.maximise(state.alpha, state.basis, s, rank)
        for j in range(rank):
            state.pulled[j] = state.active[state.basis[j]]
        state.planned[0] = rank
    else:
        for i in range(s):
            state.pulled[i] = state.active[i]
        state.planned[0] = s


@kernel
def act(params, state, t, x, rng, out):
    n_phases = state.released.shape[0]
    if state.phase[0] < n_phases:
        plan(state, x)
        count = state.planned[0]
        n = (state.pulls[1] + n_phases * count - 1) // (n_phases * count)
        n = min(n, (state.pulls[0] - t) // count)  # binds for the T' of the paper only
        for j in range(count):
            out[state.pulled[j]] = n


@kernel
def estimate(state):
    """Estimates of all active arms from the released means."""
    s = state.sizes[state.phase[0]]
    count = state.planned[0]
    for i in range(s):
        if count == s:
            state.estimates[i] = state.means[i]
        else:
            total = 0.0
            for j in range(count):
                total += state.alpha[i, j] * state.means[j]
            state.estimates[i] = total


@kernel
def eliminate(state):
    """Go on to the next phase with the arms of largest estimate, of equal ones the lowest."""
    s = state.sizes[state.phase[0]]
    keep = state.sizes[state.phase[0] + 1]
    best = 0
    for i in range(1, s):
        if state.estimates[i] > state.estimates[best]:
            best = i
    state.leader[0] = state.active[best]
    threshold = np.sort(state.estimates[:s])[s - keep]
    ties = keep
    for i in range(s):
        if state.estimates[i] > threshold:
            ties -= 1
    kept = 0
    for i in range(s):
        tied = state.estimates[i] == threshold and ties > 0
        if tied:
            ties -= 1
        if tied or state.estimates[i] > threshold:
            state.active[kept] = state.active[i]
            kept += 1
    state.phase[0] += 1
    state.planned[0] = 0


@kernel
def recommend(params, state, x, rng, out):
    for k in range(out.size):
        out[k] = 1.0 / out.size if state.leader[0] < 0 else 0.0
    if state.leader[0] >= 0:
        out[state.leader[0]] = 1.0


@kernel
def spent(params, state):
    return params.epsilon if state.phase[0] > 0 else 0.0


@cache
def kernels(safe: bool, scale: Any, noisy: Any) -> tuple[Callable[..., Any], Callable[..., None]]:
    """``init`` and ``update``.

    ``scale(params)`` is the scale of the noise of a release in which one reward counts for 1, and
    ``noisy(params, scale, rng, total, n)`` the released mean of n rewards.
    """

    @kernel
    def init(params, task, rng):
        dim = task.dim if task.dim > 0 else task.n_arms
        s, first = sizes(task.n_arms, dim, params.log_base)
        return Phases(
            s,
            np.array([task.horizon, task.horizon - _reserve(s, first, dim, safe)]),
            np.full(1, task.dim),
            np.full(1, scale(params)),
            np.zeros(1, np.int64),
            np.arange(task.n_arms),
            np.zeros(1, np.int64),
            np.zeros(task.n_arms, np.int64),
            np.zeros(max(task.dim, 1), np.int64),
            np.zeros((task.n_arms, task.dim)),
            np.zeros(task.n_arms),
            np.zeros(task.n_arms),
            np.full(1, -1),
            np.full((s.size - 1, task.n_arms), np.nan),
        )

    @kernel
    def update(params, state, t, x, pulls, sums, rng):
        if state.planned[0] > 0:  # else nobody asked for this batch
            for j in range(state.planned[0]):
                arm = state.pulled[j]
                state.means[j] = 0.0
                if pulls[arm] > 0:  # as it is unless somebody plays other arms than asked
                    mean = noisy(params, state.scale[0], rng, sums[arm], pulls[arm])
                    state.means[j] = mean
                    state.released[state.phase[0], arm] = mean
            estimate(state)
            eliminate(state)

    return init, update


@kernel
def laplace_scale(params):
    return 1.0 / params.epsilon


@kernel
def noisy_discrete(params, scale, rng, total, n):
    return release(True, rng, total, n, params.epsilon)


@kernel
def noisy_fast(params, scale, rng, total, n):
    return release(False, rng, total, n, params.epsilon)


# --- factory -------------------------------------------------------------------------------------


def check_log_base(value: Any) -> float:
    """``value`` as a base of logarithms, above 1."""
    result = number("log_base", value)
    if result <= 1.0:
        raise ValueError(f"log_base must be above 1, got {value!r}")
    return result


def refuse(params: Any, task: Task, x: np.ndarray) -> None:
    """Raise ValueError if the features do not suit or the horizon is too small for one pull each.

    ``params`` has fields ``log_base`` and ``tprime``.
    """
    n_arms, dim = task.n_arms, spanned(task, x)
    s, first = sizes(n_arms, dim, params.log_base)
    minimal = int(_reserve(s, first, dim, params.tprime == "safe")) + 1
    if n_arms > 1 and task.horizon < minimal:
        raise ValueError(
            f"horizon must be at least {minimal} for {n_arms} arms and dim {dim}, "
            f"got {task.horizon}"
        )


def in_phases(params: Any, scale: Any, noisy: Any, grid: float = 0.0) -> Identify:
    """The algorithm of ``params`` with the noise of ``scale`` and ``noisy``; see `kernels`."""
    init, update = kernels(params.tprime == "safe", scale, noisy)
    return Identify(
        params,
        init,
        act,
        update,
        recommend,
        spent=spent,
        published=last_release,
        rewards=UNIT_REWARD,
        grid=grid,
        check=partial(refuse, params),
    )


def dp_bai(
    epsilon: float = 1.0, noise: str = "discrete", log_base: float = 2.0, tprime: str = "safe"
) -> Identify:
    """DP-BAI that spends ``epsilon`` > 0 on every reward; inf is the version without privacy.

    ``noise`` is "discrete" (exact; ``epsilon`` in [2**-20, 2**10]) or "fast" (simulation only),
    ``log_base`` > 1 the base of the logarithm in the schedule, ``tprime`` "safe" or "paper". For
    rewards in [0, 1] and any number of arms, with features that span their space or with none.

    Raises ValueError for an argument out of range; for features that do not span their space and
    for a horizon too small, naming the smallest, when a run begins.
    """
    noise = choice("noise", noise, ("discrete", "fast"))
    discrete = noise == "discrete"
    params = DPBai(
        check_epsilon("epsilon", epsilon, allow_inf=True, discrete=discrete),
        noise,
        check_log_base(log_base),
        choice("tprime", tprime, ("safe", "paper")),
    )
    noisy = noisy_discrete if discrete else noisy_fast
    # Without noise there is nothing to be exact about, and the reward should stay what it is.
    grid = GRID if discrete and params.epsilon < math.inf else 0.0
    return in_phases(params, laplace_scale, noisy, grid)
