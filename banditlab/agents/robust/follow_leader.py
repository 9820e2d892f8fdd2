"""Follow the leader: each arm once, in order, then always the one of the largest mean so far.

The natural rule for who believes that nothing changes; against an adversary its regret is linear
in the worst case (Cesa-Bianchi & Lugosi 2006, "Prediction, learning, and games", section 4.3). It
can be lucky: attacks that come in even blocks hurt all policies alike, and the leader stays ahead.

>>> import banditlab
>>> agent = banditlab.Agent("follow_leader", n_arms=2)
>>> for reward in (0.0, 1.0, 1.0):
...     arm = agent.act()
...     agent.update(None, arm, reward)
>>> agent.act()
1
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import kernel_inline
from banditlab.parts.index import index_policy
from banditlab.protocols.online import Online

label = "follow the leader"


class FollowLeader(NamedTuple):
    """Hyper-parameters: none."""


@kernel_inline
def clock(params, task, n):
    return 0.0


@kernel_inline
def index(params, clock, mean, inv):
    return mean


def follow_leader() -> Online:
    """Follow the leader; takes no arguments. Ties go to the lowest arm."""
    return index_policy(FollowLeader(), clock, index, in_lanes=False)
