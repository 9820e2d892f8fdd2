"""Bandits that differ in one arm: the family behind lower bounds for fixed-budget identification.

Arm k pays Bernoulli(1/2 - gap_k), with gap_1 = 0; member j > 1 of the family raises arm j, and it
alone, to 1/2 + gap_j, so that arm j is best there. Who is good on one member must find out which it
is, at a rate that the gaps set (Carpentier & Locatelli 2016, "Tight (lower) bounds for the fixed
budget best arm identification bandit problem", for the kind of family; the form is ours). As in
Chen, Karthik, Chee & Tan 2024 the arms have the unit vectors as features; arms and members are
counted from 0 here.

>>> import banditlab
>>> banditlab.make_problem("hard_family", gaps=[0, 0.1, 0.2], member=2).shape
(3, 1, 3)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.problems.lin_sphere import batch, observe, pull, regret, world_of
from banditlab.protocols.online import Problem
from banditlab.validate import flag, integer, vector

example = {"gaps": [0.0, 0.1, 0.2], "member": 1}


class HardFamily(NamedTuple):
    """Parameters."""

    gaps: np.ndarray  # (n_arms,) float64 in [0, 1/2], the first 0
    member: int = 0  # 0 .. n_arms - 1: the best arm
    ties: bool = False  # whether other arms may be as good


@kernel
def init(params, rng):
    n_arms = params.gaps.size
    x = np.zeros((n_arms, n_arms))
    mean = np.empty(n_arms)
    for k in range(n_arms):
        x[k, k] = 1.0
        mean[k] = 0.5 + (params.gaps[k] if k == params.member else -params.gaps[k])
    return world_of(x, mean)


def hard_family(gaps: Sequence[float], member: int = 0, ties: bool = False) -> Problem:
    """Arms of means 1/2 - ``gaps``, at least two; arm ``member`` has 1/2 + its gap instead.

    ``gaps`` are 0 for arm 0 and in (0, 1/2] for the others, or 0 if ``ties`` allow several best
    arms.

    Raises ValueError for a gap out of range, a best arm that is not unique, and a ``member`` that
    is not an arm.
    """
    params = HardFamily(
        vector("gaps", gaps, 0.0, 0.5, at_least=2), integer("member", member, 0), flag("ties", ties)
    )
    n_arms = params.gaps.size
    if params.gaps[0] != 0.0:
        raise ValueError(f"gaps[0] must be 0, got {float(params.gaps[0])!r}")
    if params.member >= n_arms:
        raise ValueError(f"member must be an arm, 0 to {n_arms - 1}, got {member!r}")
    zeros = np.flatnonzero(params.gaps[1:] == 0.0) + 1
    if zeros.size and not params.ties:
        raise ValueError(
            f"gaps[{zeros[0]}] must be positive, got 0: the best arm must be unique unless ties "
            "are allowed"
        )
    return Problem(params, init, observe, pull, regret, (n_arms, 1, n_arms), batch=batch)
