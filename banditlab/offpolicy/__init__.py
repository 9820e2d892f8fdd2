"""Off-policy estimates: what another policy would have earned where a log was made.

:mod:`~banditlab.offpolicy.contextual` values policies on logs of bandits, with or without
contexts, and :mod:`~banditlab.offpolicy.sequential` on logs of episodes. Every estimate comes with
a percentile bootstrap interval from :mod:`~banditlab.offpolicy.resample`.
"""

from banditlab.offpolicy.contextual import (
    direct_method,
    doubly_robust,
    estimate,
    ips,
    learned,
    learned_by_row,
    snips,
    switch_dr,
)
from banditlab.offpolicy.resample import Estimate
from banditlab.offpolicy.sequential import fqe, pdis, wpdis

__all__ = [
    "Estimate",
    "direct_method",
    "doubly_robust",
    "estimate",
    "fqe",
    "ips",
    "learned",
    "learned_by_row",
    "pdis",
    "snips",
    "switch_dr",
    "wpdis",
]
