"""Greedy, or follow the leader: each arm once, then always the best empirical mean.

It never explores again, so its regret is linear in the horizon whenever a good arm starts badly
(Lattimore & Szepesvari 2020, Chapter 4): a control, and the price of not exploring.

>>> import banditlab
>>> agent = banditlab.Agent("greedy", n_arms=2)
>>> agent.update(None, 0, reward=1.0)
>>> agent.update(None, 1, reward=0.0)
>>> agent.act()
0
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import kernel_inline
from banditlab.parts.many_arms import bounded_index_policy
from banditlab.protocols.online import Online

label = "greedy"

is_baseline = True


class Greedy(NamedTuple):
    """Hyper-parameters: none."""


@kernel_inline
def clock(params, task, n):
    return 0.0


@kernel_inline
def index(params, clock, mean, inv):
    return mean


def greedy() -> Online:
    """The largest empirical mean; takes no arguments."""
    return bounded_index_policy(Greedy(), clock, index, bound=index)
