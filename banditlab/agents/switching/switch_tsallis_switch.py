"""Switch-Tsallis-Switch (Amir, Azov, Koren & Livni 2022): Tsallis-INF, in blocks if it must.

Two phases for K arms and T rounds::

    1. Tsallis-INF, eta_t = 2 / sqrt(t), until it has switched K^(1/3) T^(2/3) times;
    2. a fresh Tsallis-INF over blocks of ceil((T / K)^(1/3)) rounds, fed the mean of each.

On stochastically constrained losses with a gap that is large for T, Tsallis-INF plays other arms
than the best too rarely to end the first phase. Regret including switches is, up to factors of K,
O(min(ln(T) / gap^2, T^(2/3))) there, and O(T^(2/3)) up to logarithms against any oblivious
adversary.

The paper is for price 1. For a price lam of a switch T^(2/3) becomes (T / lam)^(2/3) here and
T / K becomes T lam^2 / K, so that again as many switches are allowed as such blocks fit into T.

The bounds are those of the paper's abstract; its text was not at hand to compare the number of
switches and the length of blocks with. Arms agree with those of a second implementation.

>>> import banditlab
>>> banditlab.make("switch_tsallis_switch").params
SwitchTsallisSwitch()
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.agents.adversarial.tsallis_inf import weigh
from banditlab.core import kernel, kernel_inline
from banditlab.parts.blocks import (
    Block,
    act_block,
    last_round,
    mean_loss,
    new_block,
    open_block,
)
from banditlab.parts.weights import recommend_least_loss
from banditlab.protocols.observe import Observe, look_at_played
from banditlab.random import below, categorical

label = "Switch-Tsallis-Switch"

example = {"name": "deterministic_gap", "n_arms": 3, "gap": 0.2}


class SwitchTsallisSwitch(NamedTuple):
    """Hyper-parameters: none."""


class Phases(NamedTuple):
    """What it remembers."""

    losses: np.ndarray  # (1, n_arms) float64: loss estimates cumulated in the phase
    probs: np.ndarray  # (1, n_arms) float64: those that the block's arm was drawn from
    block: Block  # see there; blocks of the first phase are single rounds
    number: np.ndarray  # (1,) int64: of the block within the phase, from 1
    switches: np.ndarray  # (1,) int64: so far
    limit: np.ndarray  # (1,) float64: switches that end the first phase; inf in the second
    long: np.ndarray  # (1,) int64: rounds of a block of the second phase


@kernel_inline
def switches_allowed(task):
    """(K T^2 / lam^2)^(1/3)."""
    if task.price == 0.0:  # plain Python would not divide
        return np.inf
    return math.pow(task.n_arms, 1.0 / 3.0) * math.pow(task.horizon / task.price, 2.0 / 3.0)


@kernel_inline
def long_block(task):
    """ceil((T lam^2 / K)^(1/3)), at most T."""
    wanted = math.pow(task.horizon / task.n_arms, 1.0 / 3.0) * math.pow(task.price, 2.0 / 3.0)
    return max(1, -int(math.floor(-min(wanted, task.horizon * 1.0))))


@kernel
def init(params, task, rng):
    state = Phases(
        np.zeros((1, task.n_arms)),
        np.full((1, task.n_arms), 1.0 / task.n_arms),
        new_block(1),
        np.ones(1, np.int64),
        np.zeros(1, np.int64),
        np.full(1, switches_allowed(task)),
        np.full(1, long_block(task)),
    )
    state.block.arm[0] = below(rng, task.n_arms)
    return state


@kernel
def update(params, state, t, x, arm, losses, rng):
    if last_round(state.block, losses[arm]):
        rounds = state.block.counts[0]
        if state.block.counts[2] > 0:
            state.losses[0, arm] += mean_loss(state.block) / state.probs[0, arm]
            state.number[0] += 1
        if state.switches[0] >= state.limit[0]:
            for k in range(state.losses.shape[1]):
                state.losses[0, k] = 0.0
            state.number[0] = 1
            state.limit[0] = np.inf
            rounds = state.long[0]
        weigh(2.0 / math.sqrt(state.number[0]), state.losses, 0, state.probs)
        following = categorical(rng, state.probs[0])
        state.switches[0] += 1 if following != arm else 0
        open_block(state.block, rounds, following)


def switch_tsallis_switch() -> Observe:
    """Switch, Tsallis, Switch!; takes no arguments, price and horizon are the task's.

    Losses beyond the budget are not seen; a block without any teaches nothing and does not count.
    """
    return Observe(
        SwitchTsallisSwitch(), init, act_block, look_at_played, update, recommend_least_loss
    )
