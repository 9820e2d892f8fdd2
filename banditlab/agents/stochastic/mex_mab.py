"""MEX, maximize to explore, for arms without features (Liu et al. 2023).

Of all vectors of means theta take the one that maximises its largest entry minus eta times its
squared error on the rewards so far, and pull that entry's arm. The maximum is attained where one
mean is lifted by 1 / (2 eta pulls), so that MEX is an index policy (derived here)::

    mean + 1 / (4 eta pulls)

Arms never pulled come first; ties are broken at random. ``eta = "theory"`` is
``sqrt(n_arms / (T ln T))`` for T rounds, with several contexts for the horizon's share of one;
see banditlab.parts.mex, also for schedules. ``eta = inf`` is the greedy rule. A large eta explores
so little that it can settle on a wrong arm for good; a small one costs 1 / (4 eta) an arm and no
more.

>>> import banditlab
>>> agent = banditlab.Agent("mex_mab", n_arms=2, eta=0.5)
>>> for reward in (1.0, 0.0):  # mean 1/2 of two pulls, and 1/4 for the bonus
...     agent.update(None, 0, reward)
>>> agent.update(None, 1, 0.3)  # 0.3 and 1/2
>>> agent.act()
1
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import context, kernel, kernel_in_loop, kernel_inline
from banditlab.parts.index import (
    mean,
    new_moments,
    recommend_best_mean,
    rounds_per_context,
    update_moments,
)
from banditlab.parts.mex import THEORY, eta_of, given_pace, schedule_of, theory_pace, width
from banditlab.protocols.online import Online
from banditlab.random import below
from banditlab.validate import positive

label = "MEX"


class MexMAB(NamedTuple):
    """Hyper-parameters."""

    eta: float | str  # > 0, inf, or "theory"
    schedule: int  # place in banditlab.parts.mex.SCHEDULES
    reference: float  # > 0: the round at which eta is meant, read by the schedule "sqrt"


class State(NamedTuple):
    """Moments, and the pace of eta."""

    pulls: np.ndarray  # (n_contexts, n_arms) float64
    sums: np.ndarray  # (n_contexts, n_arms) float64
    inv: np.ndarray  # (n_contexts, n_arms) float64: 1 / pulls, and 1 where there are no pulls
    seen: np.ndarray  # (n_contexts,) float64: rewards seen in each context
    task: np.ndarray  # (4,) int64: the fields of Task
    pace: np.ndarray  # (2,) float64: see banditlab.parts.mex


@kernel
def init_given(params, task, rng):
    pulls, sums, inv, seen, facts = new_moments(params, task, rng)
    pace = given_pace(params.eta, params.schedule, params.reference)
    return State(pulls, sums, inv, seen, facts, pace)


@kernel
def init_theory(params, task, rng):
    pulls, sums, inv, seen, facts = new_moments(params, task, rng)
    return State(pulls, sums, inv, seen, facts, theory_pace(task.n_arms, rounds_per_context(task)))


@kernel_inline
def index(state, s, k, spread):
    value = mean(state, s, k) + spread * state.inv[s, k]
    return value if state.pulls[s, k] > 0.0 else np.inf


@kernel_in_loop
def act(params, state, t, x, rng):
    s = context(state.pulls.shape[0], x)
    spread = width(state.pace, state.seen[s])
    best = -np.inf
    arm = 0
    ties = 0
    for k in range(state.pulls.shape[1]):
        value = index(state, s, k, spread)
        if value > best:
            best = value
            arm = k
            ties = 1
        elif value == best:
            ties += 1
            # The newcomer takes the place of the others with its share of the odds.
            arm = k if below(rng, ties) == 0 else arm
    return arm


@kernel
def propensities(params, state, t, x, out):
    s = context(state.pulls.shape[0], x)
    spread = width(state.pace, state.seen[s])
    best = -np.inf
    ties = 0.0
    for k in range(out.size):
        value = index(state, s, k, spread)
        ties = 1.0 if value > best else ties + (1.0 if value == best else 0.0)
        best = max(best, value)
    for k in range(out.size):
        out[k] = 1.0 / ties if index(state, s, k, spread) == best else 0.0


def mex_mab(
    eta: float | str = THEORY, schedule: str | int = "constant", reference: float = 1000.0
) -> Online:
    """MEX with ``eta`` > 0, inf (greedy) or "theory", which suits rewards in [0, 1].

    ``schedule`` "constant", or "sqrt" for ``eta * sqrt(reference / round)``. Raises ValueError for
    anything else.
    """
    eta = eta_of(eta, theory=True)
    params = MexMAB(eta, schedule_of(schedule, eta), positive("reference", reference))
    init = init_theory if eta == THEORY else init_given
    return Online(params, init, act, update_moments, recommend_best_mean, propensities)
