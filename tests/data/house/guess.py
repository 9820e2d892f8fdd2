"""A protocol from outside the package: guess a coin that keeps its bias; the score is the misses.

It is here to prove that a protocol is one file: nothing in the package knows of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab.agent import Agent, quiet
from banditlab.core import kernel_inline
from banditlab.protocols.base import Contract, Loop, Measure, Protocol, Terms
from banditlab.random import AGENT, NATURE, stream


class Guess(NamedTuple):
    """An algorithm: after each toss it has seen a bit more."""

    params: Any
    init: Callable[..., Any]  # (params, task, rng) -> State
    act: Callable[..., int]  # (params, state, t, rng) -> 0 or 1
    update: Callable[..., None]  # (params, state, t, side)
    rewards: tuple[float, float] = (0.0, 1.0)


class Coin(NamedTuple):
    """A problem."""

    params: Any
    toss: Callable[..., int]  # (params, rng) -> 0 or 1
    rewards: tuple[float, float] = (0.0, 1.0)


class Tosses(NamedTuple):
    """What an algorithm is told: no arms, for there are none."""

    horizon: int


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):  # type: ignore[no-untyped-def]
    """Replications ``first, first + 1, ...``."""
    for i in range(record.shape[0]):
        nature, agent = stream(key, first + i, NATURE), stream(key, first + i, AGENT)
        state = algorithm.init(algorithm.params, task, agent)
        missed = 0.0
        t = 0
        for c in range(checkpoints.size):
            while t < checkpoints[c]:
                guess = algorithm.act(algorithm.params, state, t, agent)
                side = problem.toss(problem.params, nature)
                missed += 1.0 if guess != side else 0.0
                algorithm.update(algorithm.params, state, t, side)
                t += 1
            progress[0] += 1
            if progress[1] != 0:
                return
            record[i, c, 0] = missed


class GuessAgent(Agent):
    """Guesses, and is told."""

    arguments = ("horizon",)

    def __init__(self, algorithm: Any, *, horizon: int = 0, seed: int = 0, **hyper: Any):
        super().__init__(algorithm, seed=seed, **hyper)
        self.task = Tosses(horizon)
        self._begin()

    def act(self, x: None = None) -> int:
        """The side that comes next."""
        with quiet():
            known = self.algorithm
            return int(known.act(known.params, self.state, self.t, self._rng))

    def update(self, x: None, guess: int, side: int) -> None:
        """The side that came."""
        with quiet():
            self.algorithm.update(self.algorithm.params, self.state, self.t, side)
        self.t += 1

    def recommend(self, x: None = None) -> np.ndarray:
        """The side it would bet on."""
        return np.eye(2)[self.act()]

    def rehearse(self) -> None:
        """One toss."""
        self.update(None, self.act(), 0)


def task(terms: Terms) -> Tosses:
    return Tosses(terms.horizon)


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    made = task(terms)
    return Loop(run_block, terms.algorithm, terms.problem, made, checkpoints, PROTOCOL.names)


def by_hand(agent, problem, rounds, world, nature):  # type: ignore[no-untyped-def]
    played, missed = [], 0.0
    for _ in range(rounds):
        guess = agent.act()
        side = problem.toss(problem.params, nature)
        missed += float(guess != side)
        agent.update(None, guess, side)
        played.append((guess, side))
    return played, {"missed": missed}


def misses_nothing_it_says(name: str, problem: Coin) -> None:
    rng = stream(np.zeros(2, np.uint64), 0, NATURE)
    assert {problem.toss(problem.params, rng) for _ in range(99)} == {0, 1}


PROTOCOL = Protocol(
    name="guess",
    algorithm=Guess,
    problem=Coin,
    measures=(Measure("missed", "tosses missed"),),
    xlabel="toss",
    rounds=True,
    task=task,
    loop=loop,
    face=GuessAgent,
    contract=Contract(
        example=lambda algorithm: ("coin", {}),
        by_hand=by_hand,
        show=lambda problem, world, t, nature: None,
        world=lambda problem, nature: None,
        choices=lambda problem: 2,
        probe="uniform",
        chance=lambda problem: 1500.0,
        luck=(60,),
        sound=(misses_nothing_it_says,),
    ),
)
