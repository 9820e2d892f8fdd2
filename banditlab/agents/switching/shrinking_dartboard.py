"""The shrinking dartboard (Geulen, Voecking & Winkler 2010, COLT), lazy exponential weights.

Every round shows the losses of all arms; an arm is kept with the probability by which its weight
has shrunk, and else drawn anew in proportion to the weights::

    form "exp"      w_k *= exp(-eta * loss_k)      eta = sqrt(ln K / (T (1/2 + c)))
    form "power"    w_k *= (1 - eta) ** loss_k     eta = min(sqrt(ln K / T), 1/2)

for K arms, T rounds and the price c of a switch; "power" is the authors' form and does not know the
price, and the rate of "exp" is derived here. So the arm played has the law of exponential weights,
and changes at most eta T times in expectation. It is `batched_omd` with full feedback and batches
of one round. The law of the arm and the number of switches are checked in closed form.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from banditlab import numeric
from banditlab.core import kernel
from banditlab.parts.batches import Plan, begin, check_all, learner, plan_sample
from banditlab.protocols.observe import Observe
from banditlab.validate import choice, nonnegative

label = "shrinking dartboard"

example = {"name": "deterministic_gap", "n_arms": 3, "gap": 0.2}

FORMS = ("exp", "power")


class ShrinkingDartboard(NamedTuple):
    """Hyper-parameters."""

    eta: float  # >= 0, and below 1 in the form "power"; 0: the derived learning rate
    form: str  # one of FORMS


@kernel
def exponential(params, task):
    return plan_sample(task, task.n_arms, task.horizon, params.eta, True)


@kernel
def power(params, task):
    tuned = min(math.sqrt(numeric.log(task.n_arms * 1.0) / task.horizon), 0.5)
    eta = params.eta if params.eta > 0.0 else tuned
    # (1 - eta) ** loss is exp(-loss * -log(1 - eta)).
    return Plan(task.n_arms, task.horizon, -numeric.log1p(-eta), True)


@kernel
def init_exponential(params, task, rng):
    return begin(exponential(params, task), task, rng)


@kernel
def init_power(params, task, rng):
    return begin(power(params, task), task, rng)


def shrinking_dartboard(eta: float = 0.0, form: str = "exp") -> Observe:
    """The shrinking dartboard with learning rate ``eta`` >= 0, 0 for the derived one.

    ``form`` "exp" or "power"; with "power" ``eta`` lies below 1. Raises ValueError for whatever is
    out of range; a task is refused that has no known horizon, or whose budget is too small for all
    losses. Losses in [0, 1].
    """
    form = choice("form", form, FORMS)
    eta = nonnegative("eta", eta)
    if form == "power" and eta >= 1.0:
        raise ValueError(f"eta must lie below 1 in the form 'power', got {eta!r}")
    init = {"exp": init_exponential, "power": init_power}[form]
    return learner(ShrinkingDartboard(eta, form), init, check_all)
