"""Sets in random order, none twice, until one pays: the best there is while every answer is 0.

Where nothing tells sets apart before the first reward, no algorithm finds one sooner (Du, Kakade,
Wang & Yang 2020, "Is a good representation sufficient for sample efficient reinforcement
learning?", for one set among many): among N of which W pay it takes (N + 1) / (W + 1) queries on
average. It stops at the first reward above ``threshold``, or when all sets were tried, and names
the set that paid most. Arms are sets of one: it plays among those who look for the best arm, too,
and ignores features.

>>> import banditlab
>>> agent = banditlab.Agent("random_search", n_items=5, size=2, horizon=10)
>>> while not agent.done:
...     items = agent.act()
...     agent.update(None, items, reward=float(set(items) == {1, 3}))
>>> agent.named()
array([1, 3])
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.parts.permuted_sets import Order, fill_set, new_order
from banditlab.protocols.combinatorial import Combinatorial
from banditlab.validate import number

label = "random search"


class RandomSearch(NamedTuple):
    """Hyper-parameters."""

    threshold: float = 0.0  # a reward above it ends the search


class State(NamedTuple):
    """State."""

    order: Order  # in which sets are tried
    tried: np.ndarray  # (1,) int64
    items: np.ndarray  # (size,) int64: the set that paid most
    paid: np.ndarray  # (1,) float64: what it paid, -inf before


@kernel
def init(params, task, rng):
    order = new_order(task.n_items, task.size, rng)
    return State(order, np.zeros(1, np.int64), np.arange(task.size), np.full(1, -np.inf))


@kernel
def act(params, state, t, rng, out):
    fill_set(state.order, state.tried[0], rng, out)


@kernel
def update(params, state, t, items, reward, rng):
    state.tried[0] += 1
    if reward > state.paid[0]:
        state.paid[0] = reward
        for i in range(items.size):
            state.items[i] = items[i]


@kernel
def recommend(params, state, out):
    for i in range(out.size):
        out[i] = state.items[i]


@kernel
def stop(params, state, t):
    total = state.order.choose[-1, -1]  # of the sets, or more than can be tried
    return state.paid[0] > params.threshold or state.tried[0] >= total


def random_search(threshold: float = 0.0) -> Combinatorial:
    """Random search for a reward above ``threshold``, any finite number.

    Raises ValueError where it is none.
    """
    params = RandomSearch(number("threshold", threshold))
    return Combinatorial(params, init, act, update, recommend, stop)
