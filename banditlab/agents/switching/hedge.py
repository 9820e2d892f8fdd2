"""Hedge (Freund & Schapire 1997): exponential weights under full information, drawn every round.

::

    p_k ~ exp(-eta * L_k),   eta = sqrt(2 ln K / (3 T))

for K arms, T rounds and the losses L_k so far. Its learning rate is that of `shrinking_dartboard`
for switches of price 1, and so is the law of its arm in every round; but as every round draws anew
it switches about as often as p has two likely arms, which shows what laziness is worth.

>>> import banditlab
>>> banditlab.make("hedge").params
Hedge(eta=0.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.batches import Plan, begin, check_all, learner
from banditlab.protocols.observe import Observe
from banditlab.validate import nonnegative

label = "Hedge"

example = {"name": "deterministic_gap", "n_arms": 3, "gap": 0.2}


class Hedge(NamedTuple):
    """Hyper-parameters."""

    eta: float  # >= 0; 0: the derived learning rate


@kernel
def redraw(params, task):
    tuned = math.sqrt(2.0 * numeric.log(task.n_arms * 1.0) / (3.0 * task.horizon))
    return Plan(task.n_arms, task.horizon, params.eta if params.eta > 0.0 else tuned, False)


@kernel
def init(params, task, rng):
    return begin(redraw(params, task), task, rng)


def hedge(eta: float = 0.0) -> Observe:
    """Hedge with learning rate ``eta`` >= 0, where 0 stands for the derived one. Losses in [0, 1].

    Raises ValueError when ``eta`` is negative; a task is refused that has no known horizon, or
    whose budget is too small for all losses.
    """
    return learner(Hedge(nonnegative("eta", eta)), init, check_all)
