"""Follow the lazy leader (Kalai & Vempala 2005), under full information.

With K arms and T rounds, the losses L_k so far are rounded up to a grid of width 1 / eta whose
offset o_k, uniform on [0, 1 / eta), is drawn once::

    g_k = o_k + ceil((L_k - o_k) eta) / eta,   play argmin_k g_k,   eta = sqrt(2 / (K T))

so that g_k - L_k is always uniform on [0, 1 / eta), as if drawn anew, and yet the arm can change
only when some loss passes a point of its grid: at most eta K T times in expectation, against any
oblivious adversary. The rate ``eta`` does not depend on the price of a switch.

>>> import banditlab
>>> agent = banditlab.Agent("lazy_leader", n_arms=2, horizon=9, eta=100.0)
>>> agent.update(None, 0, [1.0, 0.0])
>>> agent.act()
1
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel, kernel_inline
from banditlab.parts.observers import (
    act_kept,
    add_losses,
    known_horizon,
    look_at_all,
    recommend_kept,
)
from banditlab.protocols.observe import Observe
from banditlab.random import uniform
from banditlab.validate import nonnegative

label = "lazy leader"

example = {"name": "deterministic_gap", "n_arms": 3, "gap": 0.2}


class LazyLeader(NamedTuple):
    """Hyper-parameters."""

    eta: float = 0.0  # >= 0, 1 / width of the grid; 0: tuned


class Grid(NamedTuple):
    """Losses, grid and the leader."""

    sums: np.ndarray  # (n_arms,) float64: losses so far
    offsets: np.ndarray  # (n_arms,) float64: o
    eta: np.ndarray  # (1,) float64: 1 / width of the grid
    arm: np.ndarray  # (1,) int64: the next


@kernel_inline
def leader(sums, offsets, eta):
    arm = 0
    least = np.inf
    for k in range(sums.size):
        point = offsets[k] - math.floor((offsets[k] - sums[k]) * eta) / eta
        arm = k if point < least else arm
        least = point if point < least else least
    return arm


@kernel
def init(params, task, rng):
    K = task.n_arms
    T = max(1.0, task.horizon * 1.0)
    eta = params.eta if params.eta > 0.0 else math.sqrt(2.0 / (K * T))
    state = Grid(np.zeros(K), np.empty(K), np.full(1, eta), np.zeros(1, np.int64))
    for k in range(K):
        state.offsets[k] = uniform(rng) / eta
    state.arm[0] = leader(state.sums, state.offsets, eta)
    return state


@kernel
def update(params, state, t, x, arm, losses, rng):
    add_losses(state.sums, losses)
    state.arm[0] = leader(state.sums, state.offsets, state.eta[0])


def lazy_leader(eta: float = 0.0) -> Observe:
    """Follow the lazy leader on grids of width 1 / ``eta``; 0 stands for the tuned value.

    Looks at all losses in every round; rounds that the budget does not show in full are left out.
    Raises ValueError when ``eta`` is negative.
    """
    params = LazyLeader(nonnegative("eta", eta))
    return Observe(params, init, act_kept, look_at_all, update, recommend_kept, known_horizon)
