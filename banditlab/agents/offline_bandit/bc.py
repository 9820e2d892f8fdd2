"""Behaviour cloning (Rashidinejad et al. 2021, section 3.2): deploy the most played arm.

The rewards of the log are not looked at. Ties are broken by chance, and a context without data is
answered by all arms evenly. With one context and concentrability 1 <= C* < 2 it errs with
probability at most exp(-N KL(Bernoulli(1/2) || Bernoulli(1/C*))) (Proposition 2); from two
contexts on it may fail for any C* > 1 (Proposition 3).
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import context, kernel
from banditlab.parts.tables import add_block, even_odds, new_tables
from banditlab.protocols.offline import Offline
from banditlab.protocols.online import ANY_REWARD

label = "BC"

is_baseline = True


class BC(NamedTuple):
    """Hyper-parameters: none."""


@kernel
def recommend(params, state, x, rng, out):
    s = context(state.counts.shape[0], x)
    for k in range(out.size):
        out[k] = state.counts[s, k]
    even_odds(out)


def bc() -> Offline:
    """Behaviour cloning; there is nothing to set."""
    return Offline(BC(), new_tables, add_block, recommend, ANY_REWARD)
