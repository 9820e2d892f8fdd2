"""Online play in lock-step: the replications of a block are lanes that play each round together.

This is no other protocol. It is :mod:`banditlab.protocols.online` for the commonest case (no
features, no log, no delays), several times as fast and with the same bits: arrays have the lane
innermost, so the processor works on several lanes at a time. Nothing is written twice for it. To
an algorithm the lanes are the contexts of one contextual problem, and it remembers a context
beside the others anyway; to a problem a round is a row of means and a reward drawn from each.

An algorithm that has `Lanes` and a problem that has `Arms` play this way by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import Task, kernel_inline
from banditlab.protocols.base import SLICE
from banditlab.random import AGENT, NATURE, streams


class Lanes(NamedTuple):
    """An algorithm in lanes. All lanes have seen the same number of rewards at any time.

    What makes its loops over lanes fast, each read off the machine code:

    * No memory of their own: a few allocations a round take as long as a draw. ``spare`` is memory
      for the length of one call: four float64 arrays (lanes,), whatever is in them.
    * No ``best[lane] = value if larger else best[lane]``: to the compiler that is a store only
      where ``larger`` holds, which with AVX2 is a ``vmaskmovpd``, and that can cost as much as all
      else in the loop. ``beside[lane] = ...``, copied back in a loop of its own, is none, nor is
      ``max(best[lane], value)``.
    * Short loops of few arrays: of many, the compiler does not find out that they do not overlap.
    * ``kernel_in_loop`` all through, each kernel a few loops long. In longer ones, where a loop may
      end early, and where an array is last mentioned in a branch, Numba no longer sees that it need
      not count references. That can cost a third of all time.
    """

    params: Any
    init: Callable[..., Any]  # as in Online, with lanes for contexts; must not draw
    # (params, state, t, rngs, arms, spare): fills arms (lanes,) int64, which hold those of the
    # round before; rngs (4, lanes) uint64 are the agents' streams
    act: Callable[..., None]
    update: Callable[..., None]  # (params, state, t, arms, rewards, spare): one reward a lane


class Arms(NamedTuple):
    """A problem in lanes: means that change at given rounds, and rewards around them."""

    params: Any
    segments: np.ndarray  # (n_segments, n_arms) float64: means
    breaks: np.ndarray  # (n_segments - 1,) int64: first rounds of the later segments
    draw: Callable[..., None]  # (rngs, out): a variate of each lane, whatever its arm
    reward: Callable[..., float]  # (params, mean, variate) -> reward; a kernel_inline


@kernel_inline
def run_block(lanes, arms, task, key, first, log_rounds, checkpoints, progress, record):
    """See online.run_block; ``log_rounds`` is 0."""
    L = record.shape[0]
    nature = streams(key, first, NATURE, L)
    agent = streams(key, first, AGENT, L)
    shared = Task(task.n_arms, L, task.dim, task.horizon * L)  # so that a lane's share is its own
    state = lanes.init(lanes.params, shared, nature[:, 0].copy())
    chosen = np.zeros(L, np.int64)
    last = np.zeros(L, np.int64)
    variates, means, rewards = np.empty(L), np.empty(L), np.empty(L)
    regret, gained, switches = np.zeros(L), np.zeros(L), np.zeros(L)
    spare = (np.empty(L), np.empty(L), np.empty(L), np.empty(L))
    segment = -1
    best = 0.0
    t = 0
    for c in range(checkpoints.size):
        while t < checkpoints[c]:
            t1 = min(t + SLICE, checkpoints[c])
            progress[0] += (t1 - t) * L
            for now in range(t, t1):
                while segment < arms.breaks.size and (segment < 0 or now >= arms.breaks[segment]):
                    segment += 1
                    best = arms.segments[segment, 0]
                    for k in range(task.n_arms):
                        mean = arms.segments[segment, k]
                        best = mean if mean > best else best
                lanes.act(lanes.params, state, now, agent, chosen, spare)
                arms.draw(nature, variates)
                if now == 0:
                    last[:] = chosen
                for lane in range(L):  # by itself: a look-up by lane is not done several at a time
                    means[lane] = arms.segments[segment, np.uint64(chosen[lane])]
                for lane in range(L):
                    rewards[lane] = arms.reward(arms.params, means[lane], variates[lane])
                for lane in range(L):
                    regret[lane] += best - means[lane]
                    gained[lane] += rewards[lane]
                for lane in range(L):
                    switches[lane] += 1.0 if chosen[lane] != last[lane] else 0.0
                    last[lane] = chosen[lane]
                lanes.update(lanes.params, state, now, chosen, rewards, spare)
            t = t1
            if progress[1] != 0:
                return
        for lane in range(L):
            record[lane, c, 0] = regret[lane]
            record[lane, c, 1] = gained[lane]
            record[lane, c, 2] = switches[lane]
