"""Playing in blocks: an arm is kept for some rounds, which count as one for what is learned.

`in_blocks` makes it of any online algorithm; what grows its blocks itself uses :class:`Block`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import Task, kernel, kernel_inline
from banditlab.parts.observers import known_horizon
from banditlab.protocols.observe import Observe, look_at_played
from banditlab.protocols.online import Online


class Block(NamedTuple):
    """The block under way."""

    arm: np.ndarray  # (1,) int64
    counts: np.ndarray  # (3,) int64: its rounds, those played, those whose loss was seen
    total: np.ndarray  # (1,) float64: sum of the losses seen


class InBlocks(NamedTuple):
    """What an algorithm that plays in blocks remembers."""

    base: Any  # the state of the base
    block: Block  # see there
    number: np.ndarray  # (1,) int64: of the block, the base's clock


@kernel
def new_block(length):
    """A block of ``length`` rounds, its arm still to be drawn."""
    return Block(np.zeros(1, np.int64), np.array([length, 0, 0]), np.zeros(1))


@kernel_inline
def open_block(block, length, arm):
    """Begin the next block."""
    block.arm[0] = arm
    block.counts[0] = length
    block.counts[1] = 0
    block.counts[2] = 0
    block.total[0] = 0.0


@kernel_inline
def last_round(block, loss):
    """Count a round of ``loss``, nan if not seen, and say whether it was the block's last."""
    if loss == loss:
        block.total[0] += loss
        block.counts[2] += 1
    block.counts[1] += 1
    return block.counts[1] == block.counts[0]


@kernel_inline
def mean_loss(block):
    """The mean of the losses seen, of which there are some."""
    return block.total[0] / block.counts[2]


@kernel_inline
def sum_of_losses(block):
    """The mean times the block's length: losses that were denied count as the others."""
    return mean_loss(block) * block.counts[0]


@kernel_inline
def tuned_length(task):
    """``tau`` as :mod:`banditlab.agents.switching.blocked` derives it, T / N, at most T."""
    K = task.n_arms * 1.0
    share = math.pow(2.0 * task.horizon / (K * numeric.log(K)), 1.0 / 3.0)
    wanted = share * math.pow(task.price, 2.0 / 3.0)
    return max(1, int(math.floor(min(wanted, task.horizon * 1.0) + 0.5)))


@kernel_inline
def given_or_tuned(params, task):
    """``tau`` rounds, or the tuned number where that is 0."""
    return params.tau if params.tau > 0 else tuned_length(task)


@kernel_inline
def base_hyper(params):
    """The hyper-parameters of the base, where those of the algorithm hold them."""
    return params.base_hyper


@cache
def _kernels(
    init: Callable[..., Any],
    act: Callable[..., int],
    update: Callable[..., None],
    recommend: Callable[..., None],
    length: Callable[..., int],
    loss_of: Callable[..., float],
    own: Callable[..., Any],
) -> tuple[Callable[..., Any], Callable[..., None], Callable[..., None]]:
    @kernel
    def init_blocks(params, task, rng):
        tau = length(params, task)
        blocks = (task.horizon + tau - 1) // tau
        slow = Task(task.n_arms, task.n_contexts, task.dim, blocks, task.budget, task.price)
        state = InBlocks(init(own(params), slow, rng), new_block(tau), np.zeros(1, np.int64))
        state.block.arm[0] = act(own(params), state.base, 0, np.zeros((1, 1)), rng)
        return state

    @kernel
    def update_blocks(params, state, t, x, arm, losses, rng):
        if last_round(state.block, losses[arm]):
            number = state.number[0]
            if state.block.counts[2] > 0:
                update(own(params), state.base, number, x, arm, 1.0 - loss_of(state.block), rng)
            state.number[0] = number + 1
            following = act(own(params), state.base, number + 1, x, rng)
            open_block(state.block, state.block.counts[0], following)

    @kernel
    def recommend_base(params, state, x, rng, out):
        recommend(own(params), state.base, x, rng, out)

    return init_blocks, update_blocks, recommend_base


@kernel
def act_block(params, state, t, x, rng):
    """``act`` of whatever plays in blocks."""
    return state.block.arm[0]


def in_blocks(
    params: Any,
    base: Online,
    length: Callable[..., int] = given_or_tuned,
    loss_of: Callable[..., float] = mean_loss,
    own: Callable[..., Any] = base_hyper,
) -> Observe:
    """``base`` in blocks of ``length(params, task)`` rounds, each fed as ``loss_of(block)``.

    ``own(params)`` are the hyper-parameters of the base. All three are ``kernel_inline``s.
    """
    kernels = base.init, base.act, base.update, base.recommend
    init, update, recommend = _kernels(*kernels, length, loss_of, own)
    return Observe(params, init, act_block, look_at_played, update, recommend, known_horizon)
