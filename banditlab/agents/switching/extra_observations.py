"""Bandit feedback for free, and a budget of extra observations (Cheng, Zhou & Ji 2023, ICML).

With K arms, T rounds, a budget of B observations beside the loss of the arm played, and the price c
of a switch, extra observations help only from K^(1/3) (T / c)^(2/3) on::

    B below    `batched_omd` on the free bandit feedback       regret ~ (c K)^(1/3) T^(2/3)
    B above    `batched_omd` with full or flex feedback, B     regret ~ T sqrt(K / B)

Above, what is shown for free is not learned from, but an observation that would have been free is
not paid for: full feedback spends K - 1 a batch, not K. (The paper has c = 1; for other prices
the place where the two rates meet is derived; it is never beyond T.) Rates and threshold are those
of the paper's abstract; for the batches see :mod:`banditlab.agents.switching.batched_omd`.
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.core import Task, kernel, kernel_inline
from banditlab.parts.batches import (
    balance,
    begin,
    budget,
    learner,
    needed,
    plan_played,
    plan_sample,
    spread,
)
from banditlab.protocols.observe import Losses, Observe
from banditlab.validate import choice, nonnegative

label = "extra observations"

example = {"name": "deterministic_gap", "n_arms": 3, "gap": 0.2, "extra": True, "budget": 60}

FEEDBACK = ("full", "flex")


class ExtraObservations(NamedTuple):
    """Hyper-parameters."""

    feedback: str  # one of FEEDBACK
    eta: float  # >= 0; 0: the derived learning rate


@kernel_inline
def too_few(task):
    """Whether B <= K^(1/3) (T / c)^(2/3), in third powers: exact where they are.

    And B <= T: where switches cost next to nothing the free feedback is one observation a round.
    """
    B, T = budget(task) * 1.0, task.horizon * 1.0
    return B <= T and B * B * B * (task.price * task.price) <= T * T * task.n_arms


@kernel_inline
def above(params, task, sample):
    """The plan, if batches observe ``sample`` arms where the budget is worth it."""
    if too_few(task):
        return plan_played(task, balance(task), params.eta, False)
    return plan_sample(task, sample, 0, params.eta, True)


@kernel
def full(params, task):
    return above(params, task, task.n_arms)


@kernel
def flex(params, task):
    return above(params, task, spread(task))


@kernel
def init_full(params, task, rng):
    return begin(full(params, task), task, rng)


@kernel
def init_flex(params, task, rng):
    return begin(flex(params, task), task, rng)


def check_flex(task: Task, problem: Losses) -> None:
    """Refuse a problem that shows nothing for free."""
    if not problem.extra:
        raise ValueError("needs a problem with extra=True, which shows the loss of the arm played")
    needed(task, problem)


def check_full(task: Task, problem: Losses) -> None:
    """Refuse, besides, a budget that counts as large but is too small for one batch."""
    check_flex(task, problem)
    if not too_few(task) and 0 <= task.budget < task.n_arms:
        raise ValueError(
            f"feedback 'full' needs a budget of at least {task.n_arms}, the number of arms, got "
            f"{task.budget}"
        )


def extra_observations(feedback: str = "full", eta: float = 0.0) -> Observe:
    """Extra observations by ``feedback`` "full" or "flex" where they help, else none.

    The learning rate ``eta`` >= 0 is derived where it is 0. Raises ValueError for whatever is out
    of range; a problem is refused that does not show the loss of the arm played (``extra``), and a
    task that has no known horizon or no budget. Losses in [0, 1].
    """
    feedback = choice("feedback", feedback, FEEDBACK)
    params = ExtraObservations(feedback, nonnegative("eta", eta))
    if feedback == "full":
        return learner(params, init_full, check_full)
    return learner(params, init_flex, check_flex)
