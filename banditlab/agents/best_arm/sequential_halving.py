"""Sequential Halving (Karnin, Koren & Somekh 2013, Algorithm 1).

There are R = ceil(log2 K) rounds for K arms and T pulls. A round pulls each of its s arms

    floor(T / (s R))

times, and the ceil(s / 2) arms with the best means *of this round* go on. Its relatives differ in
the number of rounds (one: :mod:`uniform_design`) or in how a mean is released
(:mod:`dp_sequential_halving`); what they share is in :mod:`banditlab.parts.best_arm`.

The rule was compared with the code of banditpylib, and the errors with a second implementation. Our
own is how ties are broken: by an order of the arms drawn at random. They are common among means of
few Bernoulli rewards, and a fixed order would make the error depend on the place of the best arm:
with 20 arms of which one has mean 0.5 and the others 0.4, and T = 2000, it is 0.26 when that arm
always wins ties, 0.42 when it always loses them, and 0.34 at random, the limit of ever less noise
on the means.

>>> import banditlab
>>> agent = banditlab.make("sequential_halving")
>>> agent.check(banditlab.core.Task(20, horizon=99), None)
Traceback (most recent call last):
ValueError: horizon must be at least 100, a pull of 20 arms in each of 5 rounds, got 99
"""

from __future__ import annotations

from typing import Any, NamedTuple

from banditlab.core import Task, kernel
from banditlab.parts.best_arm import (
    act_round,
    exactly,
    in_rounds,
    recommend_left,
    update_with,
)
from banditlab.protocols.identify import Identify

label = "sequential halving"


class SequentialHalving(NamedTuple):
    """Hyper-parameters: none."""


@kernel
def halvings(n_arms):
    """The number of rounds, ceil(log2 n_arms)."""
    rounds = 0
    while n_arms > 1:
        n_arms = (n_arms + 1) // 2
        rounds += 1
    return rounds


@kernel
def init(params, task, rng):
    return in_rounds(task, halvings(task.n_arms), rng)


def check(task: Task, x: Any) -> None:
    """Refuse a budget that does not give every round a pull of every arm."""
    rounds = halvings(task.n_arms)
    least = task.n_arms * rounds
    if task.horizon < least:
        raise ValueError(
            f"horizon must be at least {least}, a pull of {task.n_arms} arms in each of "
            f"{rounds} rounds, got {task.horizon}"
        )


def most(task: Task) -> int:
    """Pulls of the arm that is named."""
    rounds, left, total = int(halvings(task.n_arms)), task.n_arms, 0
    for _ in range(rounds):
        total += task.horizon // (left * rounds)
        left = (left + 1) // 2
    return total


def sequential_halving() -> Identify:
    """Sequential Halving; takes no arguments. Its horizon T is at least K ceil(log2 K)."""
    update = update_with(exactly)
    return Identify(
        SequentialHalving(), init, act_round, update, recommend_left, check=check, most=most
    )
