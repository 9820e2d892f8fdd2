"""LCB (Rashidinejad, Zhu, Ma, Jiao & Russell 2021, "A Tale of Pessimism"): offline pessimism.

In every context s deploy the arm of the largest lower confidence bound. With S contexts, A arms,
a log of N rows of which N(s, a) show the pair, and a mean logged reward rhat(s, a)::

    rhat(s, a) - sqrt(L / N(s, a)),    L = c log(2 S A / delta)

=============  =================================  =================================
mode           constant c                         pair without data
=============  =================================  =================================
``practical``  1/2, Hoeffding                     bound -sqrt(L): never preferred
``paper``      1/2 (Algorithm 1: one context)     bound -1
               2000 (Algorithm 2: several)
=============  =================================  =================================

Rewards lie in [0, 1] here; with another range [low, high] they are first mapped to it. The theory
takes ``delta = 1/N``. In paper mode an arm seen too rarely, below about 30,000 times in
Algorithm 2, has a bound under -1, and an arm that nobody tried wins over it: the constants serve
the proof. Ties go to the arm with more data and then to chance, so a context without data is
answered by all arms evenly.

>>> lower_bounds(lcb(delta=0.1), counts=[[8, 2]], sums=[[4.8, 2.0]]).round(6)
array([[0.119839, 0.039677]])
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.compile import compiled
from banditlab.core import context, kernel, kernel_inline
from banditlab.parts.modes import BY_MODE, MODES, PAPER, or_by_mode, place
from banditlab.parts.tables import Tables, add_block, even_odds, new_tables, reward_range
from banditlab.protocols.offline import Offline
from banditlab.validate import number

label = "LCB"


class LCB(NamedTuple):
    """Hyper-parameters; in ``c``, ``unseen`` and ``L`` -1 leaves the matter to the mode."""

    mode: int = 0  # place in MODES
    delta: float = 0.0  # in [0, 1): failure probability of the bounds, 0 for 1 / rows of the log
    c: float = BY_MODE  # >= 0: constant of the penalty
    unseen: float = BY_MODE  # >= 0: penalty of a pair without data, in units of high - low
    L: float = BY_MODE  # >= 0: the whole of L at once, instead of c and delta
    low: float = 0.0  # smallest possible reward
    high: float = 1.0  # largest possible reward


@kernel
def uncertainty(params, state):
    """L, so that the penalty of a pair seen n times is sqrt(L / n)."""
    if params.L >= 0.0:
        return params.L
    n_contexts, n_arms = state.counts.shape
    c = params.c
    if c < 0.0:
        c = 2000.0 if params.mode == PAPER and n_contexts > 1 else 0.5
    # An empty log has no 1 / rows; it has no pair with data to penalise either.
    inverse_delta = 1.0 / params.delta if params.delta > 0.0 else max(state.rows[0], 1.0)
    return c * numeric.log(2.0 * n_contexts * n_arms * inverse_delta)


@kernel
def fill_bounds(params, state, s, out):
    """The lower bounds (n_arms,) on the mean rewards in context ``s``."""
    L = uncertainty(params, state)
    unseen = params.unseen
    if unseen < 0.0:
        unseen = 1.0 if params.mode == PAPER else math.sqrt(L)
    for k in range(out.size):
        n = state.counts[s, k]
        if n > 0.0:
            out[k] = state.sums[s, k] / n - (params.high - params.low) * math.sqrt(L / n)
        else:
            out[k] = params.low - (params.high - params.low) * unseen


@kernel_inline
def _fill_table(algorithm, counts, sums, rows, out):
    for s in range(out.shape[0]):
        fill_bounds(algorithm.params, Tables(counts, sums, rows), s, out[s])


@kernel
def recommend(params, state, x, rng, out):
    s = context(state.counts.shape[0], x)
    fill_bounds(params, state, s, out)
    best = -np.inf
    for k in range(out.size):
        best = out[k] if out[k] > best else best
    for k in range(out.size):
        out[k] = state.counts[s, k] if out[k] == best else -1.0
    even_odds(out)


def lcb(
    mode: str | int = "practical",
    delta: float = 0.0,
    c: float = BY_MODE,
    unseen: float = BY_MODE,
    L: float = BY_MODE,
    low: float = 0.0,
    high: float = 1.0,
) -> Offline:
    """LCB for a bandit (Algorithm 1) or, when there are contexts, per context (Algorithm 2).

    Parameters
    ----------
    mode
        ``practical``, or ``paper`` for the literal constants; see the module. Its place in
        ``MODES`` will do.
    delta
        Failure probability of the bounds, in [0, 1); 0 means 1 / rows of the log, as in the
        theory.
    c
        Constant of the penalty, at least 0. Towards 0 the rule becomes ``greedy_offline``,
        towards infinity ``bc``.
    unseen
        Penalty of a pair without data, at least 0, in units of ``high - low``. Its estimated
        mean is ``low``.
    L
        The whole of L, at least 0; ``c`` and ``delta`` are then not used.
    low, high
        Range of the rewards, ``low < high``.

    The value -1 in ``c``, ``unseen`` and ``L``, the default, leaves the matter to the mode.
    Raises ValueError for an unknown mode or a value out of range.
    """
    if not 0.0 <= number("delta", delta) < 1.0:
        raise ValueError(f"delta must lie in (0, 1), or be 0 for 1 / rows, got {delta!r}")
    params = LCB(
        place("mode", mode, MODES),
        float(delta),
        or_by_mode("c", c),
        or_by_mode("unseen", unseen),
        or_by_mode("L", L),
        *reward_range(low, high),
    )
    rewards = (params.low, params.high)
    return Offline(params, new_tables, add_block, recommend, rewards)


def lower_bounds(rule: Offline, counts: Any, sums: Any) -> np.ndarray:
    """The lower bounds (n_contexts, n_arms) that ``rule``, made by `lcb`, gives to mean rewards.

    ``counts`` and ``sums`` are the rows of the log and their rewards, per context and arm.
    """
    counts = np.array(counts, dtype=np.float64)
    sums = np.array(sums, dtype=np.float64)
    out = np.empty(counts.shape)
    args = (counts, sums, np.array([counts.sum()]), out)
    compiled(_fill_table, (rule,), args)(*args)
    return out
