"""Go on as logged: in every context draw arms with the frequencies that the log shows.

The reference line of an offline comparison: what changing nothing is worth. A context without
data is answered by all arms evenly.
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import context, kernel
from banditlab.parts.tables import add_block, new_tables
from banditlab.protocols.offline import Offline
from banditlab.protocols.online import ANY_REWARD

label = "behaviour policy"

is_baseline = True


class Behaviour(NamedTuple):
    """Hyper-parameters: none."""


@kernel
def recommend(params, state, x, rng, out):
    s = context(state.counts.shape[0], x)
    rows = 0.0
    for k in range(out.size):
        rows += state.counts[s, k]
    for k in range(out.size):
        out[k] = state.counts[s, k] / rows if rows > 0.0 else 1.0 / out.size


def behaviour() -> Offline:
    """The logging policy as the log shows it; there is nothing to set."""
    return Offline(Behaviour(), new_tables, add_block, recommend, ANY_REWARD)
