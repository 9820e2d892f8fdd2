"""Maximize to explore (MEX): what its members share, eta and the bonus that follows from it.

Liu et al. 2023, "Maximize to Explore: One Objective Function Fusing Estimation, Planning, and
Exploration" (NeurIPS): play the policy of the hypothesis f that maximises::

    value(f) - eta * loss(f)

with the loss of f on the data so far. The larger ``eta``, the less is explored; ``inf`` is greed.

Where the loss is a sum of squares over one step, the maximum has a closed form (derived here): the
estimate plus ``width / information`` with ``width = 1 / (4 eta)``. An upper confidence bound, then,
but with the variance in the place of its root.

The theory's ``eta``, for a known horizon T and d unknowns, is ``sqrt(d / (T ln T))``; where T is
unknown, the number of the round stands for it. The schedule "sqrt" is ours: eta falls as
``eta * sqrt(reference / round)``, for a horizon that is not known and an eta that suits
``reference`` rounds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from banditlab import numeric
from banditlab.core import kernel, kernel_inline
from banditlab.parts.modes import place
from banditlab.validate import shown

THEORY = "theory"
SCHEDULES = ("constant", "sqrt")  # a schedule's code is its place here
CONSTANT, ROOT, ROOT_LOG = 0.0, 1.0, 2.0  # how a width grows with the number of the round
WIDEST = 1e200  # of widths: what is larger might be infinite, and 0 times that is no number


def eta_of(value: Any, theory: bool = False) -> float | str:
    """``value`` as a number above 0 or inf; with ``theory`` that word will do, too."""
    words = ", or 'theory'" if theory else ""
    allowed = f"eta must be a number above 0 or inf{words}, got {shown(value)}"
    if theory and isinstance(value, str) and value == THEORY:
        return THEORY
    try:
        eta = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(allowed) from None
    if not eta > 0.0:
        raise ValueError(allowed)
    return eta


def schedule_of(value: str | int, eta: float | str) -> int:
    """The code of a schedule; the theory's eta has none, for it knows the horizon."""
    schedule = place("schedule", value, SCHEDULES)
    if eta == THEORY and schedule != 0:
        raise ValueError(f"schedule must be constant with eta 'theory', got {value!r}")
    return schedule


@kernel
def given_pace(eta, schedule, reference):
    """The pace, (2,), of a number eta: a factor, and how the width grows."""
    factor = min(0.25 / eta, WIDEST)  # 0 for inf
    if schedule == 1:
        return np.array([factor / math.sqrt(reference), ROOT])
    return np.array([factor, CONSTANT])


@kernel
def theory_pace(unknowns, horizon):
    """The pace, (2,), of the theory's eta; ``horizon`` 0: unknown.

    Up to one round, or less where many contexts share a few, there is nothing to explore for.
    """
    if horizon > 0.0:
        log = max(0.0, numeric.log(horizon))
        return np.array([0.25 * math.sqrt(horizon * log / unknowns), CONSTANT])
    return np.array([0.25 / math.sqrt(unknowns * 1.0), ROOT_LOG])


@kernel_inline
def width(pace, n):
    """1 / (4 eta) in the round after ``n`` rounds."""
    t = n + 1.0
    spread = t if pace[1] > CONSTANT else 1.0
    spread = t * numeric.log(t) if pace[1] > ROOT else spread
    return pace[0] * math.sqrt(spread)
