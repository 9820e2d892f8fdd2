"""Batched online mirror descent, for arms that cost to switch and losses that cost to see.

Cheng, Zhou & Ji 2023, "Understanding the role of feedback in online learning with switching costs"
(ICML): three kinds of feedback, batches with one random round of observation, mirror descent with
negative entropy, and the shrinking dartboard of Geulen, Voecking & Winkler 2010 (COLT). These and
the rates are the paper's; its listing was not at hand, so constants and bounds are derived here.

The T rounds are cut into N batches, batch b from floor(b T / N) on, and one arm is played
throughout a batch. In one round u of it, drawn at random, losses are observed::

    full      the losses of all arms                  estimate  loss_k
    flex      of m arms drawn at random, O            estimate  (K / m) loss_k 1{k in O}
    bandit    of the arm played, A                    estimate  loss_k 1{k = A} / p_k

times the batch's share of the longest length, ceil(T / N). With L the estimates added up, the next
batch is played by an arm of the law p_k ~ exp(-eta L_k). The *dartboard* draws it so that it seldom
changes: the arm is kept with probability exp(-eta * its last estimate), and else drawn from p. That
keeps the law only if no estimate depends on an arm played, hence not with bandit feedback: there
every batch draws.

With K arms, a budget of B observations and the price c of a switch, the derived constants are::

    full, flex    m = K, ceil(B / T)    N = min(T, B / m)
                  eta = sqrt(m ln K / (N (K / 2 + c m N / T)))
    bandit        N = min(T, B, (K ln K / 2)^(1/3) (T / c)^(2/3)),  eta = sqrt(2 ln K / (K N))

and, where N divides T, the regret with its switches is at most

    full, flex    2 T sqrt((ln K / N) (K / (2 m) + c N / T))
    bandit        T sqrt(2 K ln K / N) + c (N - 1)

Checked: estimates are unbiased, by enumeration of what is drawn; arms, requests and estimates have
the law of a slow second implementation; regret keeps below the bounds on every problem, and equals
its closed form under constant gaps.

>>> from banditlab.core import Task
>>> bandit(batched_omd("bandit").params, Task(2, horizon=2**14)).n_batches
571
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from banditlab.core import Task, kernel
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
from banditlab.validate import choice, flag, integer, nonnegative

label = "batched OMD"

example = {"name": "deterministic_gap", "n_arms": 3, "gap": 0.2, "budget": 60}

FEEDBACK = ("full", "flex", "bandit")


class BatchedOMD(NamedTuple):
    """Hyper-parameters."""

    feedback: str  # one of FEEDBACK
    n_batches: int  # N >= 0; 0: the derived number
    eta: float  # >= 0; 0: the derived learning rate
    cap: bool  # whether bandit feedback stops at the N from which more switches do not pay
    dartboard: bool  # whether an arm is kept with the probability by which its weight shrank
    unsafe: bool  # whether the dartboard may go with bandit feedback, for which it is biased


# --- plans ----------------------------------------------------------------------------------


@kernel
def full(params, task):
    return plan_sample(task, task.n_arms, params.n_batches, params.eta, params.dartboard)


@kernel
def flex(params, task):
    return plan_sample(task, spread(task), params.n_batches, params.eta, params.dartboard)


@kernel
def bandit(params, task):
    N = max(1, min(task.horizon, budget(task)))
    N = min(N, balance(task)) if params.cap else N
    N = params.n_batches if params.n_batches > 0 else N
    return plan_played(task, N, params.eta, params.dartboard)


# Written out and not made by one function: closures of one name are mixed up in machine code that
# several processes have kept on disk.


@kernel
def init_full(params, task, rng):
    return begin(full(params, task), task, rng)


@kernel
def init_flex(params, task, rng):
    return begin(flex(params, task), task, rng)


@kernel
def init_bandit(params, task, rng):
    return begin(bandit(params, task), task, rng)


# --- factories ------------------------------------------------------------------------------


@cache
def checking(feedback: str, n_batches: int) -> Callable[[Task, Losses], None]:
    """``check`` for batches with this feedback, as many as given; 0: the derived number."""

    def check(task: Task, problem: Losses) -> None:
        B, T = needed(task, problem), task.horizon
        sample = {"full": task.n_arms, "flex": -(-B // T), "bandit": 1}[feedback]
        most = min(T, B // sample)
        if most < 1:
            raise ValueError(
                f"feedback 'full' needs a budget of at least {sample}, the number of arms, got {B}"
            )
        if n_batches > most:
            raise ValueError(
                f"n_batches must be at most {most}, for {T} rounds and a budget of {B} "
                f"observations, {sample} a batch; got {n_batches}"
            )

    return check


def batched_omd(
    feedback: str = "full",
    n_batches: int = 0,
    eta: float = 0.0,
    cap: bool = True,
    dartboard: bool | None = None,
    unsafe: bool = False,
) -> Observe:
    """Batched mirror descent with ``feedback`` "full", "flex" or "bandit". Losses in [0, 1].

    ``n_batches`` >= 0 and the learning rate ``eta`` >= 0 are derived where they are 0. Without
    ``cap`` bandit feedback spends its whole budget, to show that switches then cost more than is
    learned. ``dartboard``: by default where it is valid, with full and flex; with bandit feedback
    it biases the estimates and is refused unless ``unsafe``.

    Raises ValueError for whatever is out of range; a task is refused that has no known horizon, or
    too small a budget for one batch or for ``n_batches``.
    """
    feedback = choice("feedback", feedback, FEEDBACK)
    n_batches = integer("n_batches", n_batches, 0)
    dartboard = feedback != "bandit" if dartboard is None else flag("dartboard", dartboard)
    if dartboard and feedback == "bandit" and not unsafe:
        raise ValueError(
            "dartboard must be False with feedback 'bandit', whose estimates it biases "
            "(unsafe=True plays it all the same), got True"
        )
    rate = nonnegative("eta", eta)
    params = BatchedOMD(
        feedback, n_batches, rate, flag("cap", cap), dartboard, flag("unsafe", unsafe)
    )
    init = {"full": init_full, "flex": init_flex, "bandit": init_bandit}[feedback]
    return learner(params, init, checking(feedback, n_batches))
