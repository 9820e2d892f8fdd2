"""Tsallis-Switch (Rouyer, Seldin & Cesa-Bianchi 2021): Tsallis-INF in blocks that grow.

With K arms and price lam of a switch, block n = 1, 2, ... has max(1, ceil(a_n)) rounds, and its arm
is drawn from the Tsallis weights on the estimates L::

    a_n = (3 lam / 2) sqrt(n / K),   eta_n = 2 sqrt(2) / ((a_n + 1) sqrt(n))
    p_k = 4 / (eta_n (L_k - x))^2,   L_arm += (sum of the block's losses) / p_arm

The horizon need not be known. Regret including switches is O((lam K)^(1/3) T^(2/3) + sqrt(K T))
against any oblivious adversary, and O((lam K)^(2/3) T^(1/3) + ln(T)) times a sum of 1 / gap on
stochastically constrained ones. At price 0 every block is a round.

The bounds are those of the paper's abstract; its text was not at hand to compare the constants of
a_n and eta_n with. They give as many blocks as the bounds need, about K^(1/3) (T / lam)^(2/3). Arms
agree with those of a second implementation.

>>> import banditlab
>>> agent = banditlab.Agent("tsallis_switch", n_arms=2, price=2.0)
>>> agent.state.block.counts[0]  # the rounds of the first block: ceil(3 / sqrt(2))
np.int64(3)
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
    new_block,
    open_block,
    sum_of_losses,
)
from banditlab.parts.weights import recommend_least_loss
from banditlab.protocols.observe import Observe, look_at_played
from banditlab.random import below, categorical

label = "Tsallis-Switch"

example = {"name": "deterministic_gap", "n_arms": 3, "gap": 0.2}
LONGEST = 2.0**53  # rounds of a block, at a price at which one block is all


class TsallisSwitch(NamedTuple):
    """Hyper-parameters: none."""


class Growing(NamedTuple):
    """What it remembers."""

    losses: np.ndarray  # (1, n_arms) float64: cumulated loss estimates
    probs: np.ndarray  # (1, n_arms) float64: those that the block's arm was drawn from
    block: Block  # see there
    number: np.ndarray  # (1,) int64: n
    price: np.ndarray  # (1,) float64: of a switch


@kernel_inline
def wanted(price, n_arms, n):
    """a_n."""
    return 1.5 * price * math.sqrt(n / n_arms)


@kernel_inline
def length(a):
    return max(1, -int(math.floor(-min(a, LONGEST))))


@kernel_inline
def rate(a, n):
    return 2.0 * math.sqrt(2.0) / ((a + 1.0) * math.sqrt(n))


@kernel
def init(params, task, rng):
    state = Growing(
        np.zeros((1, task.n_arms)),
        np.full((1, task.n_arms), 1.0 / task.n_arms),
        new_block(length(wanted(task.price, task.n_arms, 1))),
        np.ones(1, np.int64),
        np.full(1, task.price),
    )
    state.block.arm[0] = below(rng, task.n_arms)
    return state


@kernel
def update(params, state, t, x, arm, losses, rng):
    if last_round(state.block, losses[arm]):
        n = state.number[0]
        if state.block.counts[2] > 0:
            state.losses[0, arm] += sum_of_losses(state.block) / state.probs[0, arm]
            n += 1
        state.number[0] = n
        a = wanted(state.price[0], state.probs.shape[1], n)
        weigh(rate(a, n), state.losses, 0, state.probs)
        open_block(state.block, length(a), categorical(rng, state.probs[0]))


def tsallis_switch() -> Observe:
    """Tsallis-Switch; takes no arguments, the price of a switch is the task's.

    Losses beyond the budget are not seen; a block without any teaches nothing and does not count.
    """
    return Observe(TsallisSwitch(), init, act_block, look_at_played, update, recommend_least_loss)
