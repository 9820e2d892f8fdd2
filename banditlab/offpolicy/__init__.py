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
    snips,
    support,
    switch_dr,
)
from banditlab.offpolicy.learning import learned, learned_by_row
from banditlab.offpolicy.propensity import estimated_propensities
from banditlab.offpolicy.resample import Estimate
from banditlab.offpolicy.sequential import fqe, pdis, wpdis

__all__ = [
    "Estimate",
    "direct_method",
    "doubly_robust",
    "estimate",
    "estimated_propensities",
    "fqe",
    "ips",
    "learned",
    "learned_by_row",
    "pdis",
    "snips",
    "support",
    "switch_dr",
    "wpdis",
]
