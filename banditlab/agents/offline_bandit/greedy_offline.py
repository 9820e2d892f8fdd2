"""Empirical best arm (Rashidinejad et al. 2021, section 3.1): deploy the largest logged mean.

An arm without data counts as having the smallest possible mean, ``low`` (0 in the paper). This is
LCB without its penalty: one lucky reward of a rarely tried arm is enough to be deployed, so more
data can make it worse (Proposition 1). Ties are broken by chance.
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import context, kernel
from banditlab.parts.tables import add_block, even_odds, new_tables, reward_range
from banditlab.protocols.offline import Offline

label = "greedy"

is_baseline = True


class GreedyOffline(NamedTuple):
    """Hyper-parameters."""

    low: float = 0.0  # smallest possible reward
    high: float = 1.0  # largest possible reward


@kernel
def recommend(params, state, x, rng, out):
    s = context(state.counts.shape[0], x)
    for k in range(out.size):
        n = state.counts[s, k]
        out[k] = state.sums[s, k] / n if n > 0.0 else params.low
    even_odds(out)


def greedy_offline(low: float = 0.0, high: float = 1.0) -> Offline:
    """Empirical best arm for rewards in [``low``, ``high``].

    Raises ValueError unless both are finite and ``low < high``.
    """
    params = GreedyOffline(*reward_range(low, high))
    return Offline(params, new_tables, add_block, recommend, (params.low, params.high))
