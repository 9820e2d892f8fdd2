"""Search at random until something pays, then improve by swaps of one item.

Ours, for sets of s of d items whose rewards grow with every good item once they are not 0
(:mod:`banditlab.problems.sparse_needle`), the question being that of Dong & Yang 2023, "Does
sparsity help in learning misspecified linear bandits?". Sets are tried in random order, none twice,
until one pays more than ``threshold``. From then on an item i of the set is replaced by an item j
outside, all pairs in random order: the first swap that pays more, by over ``margin``, is kept and
the scan starts anew with new orders; a scan without one, of s (d - s) queries, is the last.

With noise every set is queried ``repeats`` times and its mean counts; for means within omega the
threshold is omega or more, and ``margin`` = 2 omega.

>>> import banditlab
>>> agent = banditlab.Agent("swap_search", n_items=6, size=2, horizon=100)
>>> while not agent.done:
...     items = agent.act()
...     agent.update(None, items, reward=float((items >= 4).sum()))
>>> sorted(agent.named().tolist())
[4, 5]
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.permuted_sets import Order, fill_set, new_order
from banditlab.protocols.combinatorial import Combinatorial
from banditlab.random import shuffle
from banditlab.validate import integer, nonnegative, number

label = "swap search"


class SwapSearch(NamedTuple):
    """Hyper-parameters."""

    threshold: float = 0.0  # a mean above it ends the random search
    repeats: int = 1  # >= 1: queries of a set
    margin: float = 0.0  # >= 0: by how much a swap must pay more


class State(NamedTuple):
    """State."""

    order: Order  # in which sets are tried at random
    tried: np.ndarray  # (1,) int64: of these
    inside: np.ndarray  # (size,) int64: the best set, in the order of swaps
    outside: np.ndarray  # (n_items - size,) int64: all other items, likewise
    paid: np.ndarray  # (1,) float64: the mean of the best set; -inf before
    pair: np.ndarray  # (1,) int64: the swap that is tried, -1 during the random search
    queries: np.ndarray  # (1,) int64: of the set at hand
    total: np.ndarray  # (1,) float64: its rewards
    done: np.ndarray  # (1,) int64: 1 at the end


@kernel
def init(params, task, rng):
    order = new_order(task.n_items, task.size, rng)
    items = np.arange(task.n_items)
    return State(
        order,
        np.zeros(1, np.int64),
        items[: task.size].copy(),
        items[task.size :].copy(),
        np.full(1, -np.inf),
        np.full(1, -1),
        np.zeros(1, np.int64),
        np.zeros(1),
        np.zeros(1, np.int64),
    )


@kernel
def act(params, state, t, rng, out):
    if state.pair[0] < 0:
        # By its number, for its repeats; where sets have none (see permuted_sets) a copy is kept.
        fill_set(state.order, state.tried[0], rng, out)
        for i in range(out.size if state.queries[0] > 0 else 0):
            out[i] = state.inside[i]
        return
    for i in range(out.size):
        out[i] = state.inside[i]
    n = state.outside.size
    if state.done[0] == 0:  # else the best set; there may be nothing outside
        out[state.pair[0] // n] = state.outside[state.pair[0] % n]


@kernel
def start_scan(state, rng):
    """Begin with the first pair of new orders; it is over where there is none."""
    shuffle(rng, state.inside)
    shuffle(rng, state.outside)
    state.pair[0] = 0
    state.done[0] = 1 if state.outside.size == 0 else 0


@kernel
def take(state, items):
    """Make ``items`` the set inside."""
    n_items = state.inside.size + state.outside.size
    member = np.zeros(n_items, np.bool_)
    for i in range(items.size):
        state.inside[i] = items[i]
        member[items[i]] = True
    j = 0
    for item in range(n_items):
        if not member[item]:
            state.outside[j] = item
            j += 1


@kernel
def update(params, state, t, items, reward, rng):
    searching = state.pair[0] < 0
    for i in range(items.size if searching else 0):
        state.inside[i] = items[i]
    state.queries[0] += 1
    state.total[0] += reward
    if state.queries[0] < params.repeats:
        return
    mean = state.total[0] / params.repeats
    state.queries[0] = 0
    state.total[0] = 0.0
    if searching:
        state.tried[0] += 1
        if mean > params.threshold:
            state.paid[0] = mean
            take(state, items)
            start_scan(state, rng)
        elif state.tried[0] >= state.order.choose[-1, -1]:
            state.done[0] = 1
        return
    state.pair[0] += 1
    if mean > state.paid[0] + params.margin:
        state.paid[0] = mean
        take(state, items)
        start_scan(state, rng)
    elif state.pair[0] == state.inside.size * state.outside.size:
        state.pair[0] = 0
        state.done[0] = 1


@kernel
def recommend(params, state, out):
    for i in range(out.size):
        out[i] = state.inside[i]


@kernel
def stop(params, state, t):
    return state.done[0] == 1


def swap_search(threshold: float = 0.0, repeats: int = 1, margin: float = 0.0) -> Combinatorial:
    """Swap search: random until a mean of ``repeats`` >= 1 rewards is above ``threshold``.

    A swap must pay more by over ``margin`` >= 0. Raises ValueError for a number out of range.
    """
    params = SwapSearch(
        number("threshold", threshold),
        integer("repeats", repeats, 1),
        nonnegative("margin", margin),
    )
    return Combinatorial(params, init, act, update, recommend, stop)
