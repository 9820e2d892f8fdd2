"""Follow the perturbed leader with one draw (Kalai & Vempala 2005), under full information.

With K arms, T rounds and price lam of a switch; Z_k is drawn once, exponential with mean 1 / eta::

    play argmin_k (L_k - Z_k),   eta = sqrt((1 + ln(K)) / ((1 + lam) T))

where L is the losses so far and ties go to the lowest arm. Against an oblivious adversary, loss
regret is at most (1 + ln(K)) / eta + eta T and switches at most eta T, so that regret is at most
2 sqrt((1 + lam) (1 + ln(K)) T). The paper's algorithm for price 1 is that of lam = 1.

>>> import banditlab
>>> agent = banditlab.Agent("ftpl", n_arms=2, horizon=9, eta=1e9)  # no noise to speak of
>>> agent.update(None, 0, [1.0, 0.0])
>>> agent.act()
1
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import kernel, kernel_inline
from banditlab.parts.observers import (
    act_kept,
    add_losses,
    known_horizon,
    look_at_all,
    recommend_kept,
)
from banditlab.protocols.observe import Observe
from banditlab.random import exponential
from banditlab.validate import nonnegative

label = "FTPL"

example = {"name": "deterministic_gap", "n_arms": 3, "gap": 0.2}


class FTPL(NamedTuple):
    """Hyper-parameters."""

    eta: float = 0.0  # >= 0, 1 / mean of the noise; 0: tuned


class Perturbed(NamedTuple):
    """Losses, noise and the leader."""

    sums: np.ndarray  # (n_arms,) float64: losses so far
    noise: np.ndarray  # (n_arms,) float64: Z
    arm: np.ndarray  # (1,) int64: the next


@kernel_inline
def leader(sums, noise):
    arm = 0
    for k in range(1, sums.size):
        arm = k if sums[k] - noise[k] < sums[arm] - noise[arm] else arm
    return arm


@kernel
def init(params, task, rng):
    K = task.n_arms
    T = max(1.0, task.horizon * 1.0)
    tuned = math.sqrt((1.0 + numeric.log(K * 1.0)) / ((1.0 + task.price) * T))
    eta = params.eta if params.eta > 0.0 else tuned
    state = Perturbed(np.zeros(K), np.empty(K), np.zeros(1, np.int64))
    for k in range(K):
        state.noise[k] = exponential(rng) / eta
    state.arm[0] = leader(state.sums, state.noise)
    return state


@kernel
def update(params, state, t, x, arm, losses, rng):
    add_losses(state.sums, losses)
    state.arm[0] = leader(state.sums, state.noise)


def ftpl(eta: float = 0.0) -> Observe:
    """Follow the perturbed leader with noise of mean 1 / ``eta``; 0 stands for the tuned value.

    Looks at all losses in every round; rounds that the budget does not show in full are left out.
    Raises ValueError when ``eta`` is negative.
    """
    params = FTPL(nonnegative("eta", eta))
    return Observe(params, init, act_kept, look_at_all, update, recommend_kept, known_horizon)
