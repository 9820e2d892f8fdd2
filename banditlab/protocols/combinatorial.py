"""Combinatorial search: choose some of many items, see what the set pays, name the best set.

The sets are too many to list, so nobody does: a choice is the items themselves. The file holds, top
to bottom, what an algorithm brings (:class:`Combinatorial`), what a problem brings
(:class:`Subsets`), the fused loop, the face for other code (:class:`CombinatorialAgent`), how
algorithms for sets of one item play ordinary arms, and what all of it is called (``PROTOCOL``).

One round ``t`` (counted from 0) until the horizon, or until ``stop(t)``::

    act(t): the items of one set
    update(t, items, reward)
    recommend(): the set that it would name
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.agent import LARGEST, Agent, quiet
from banditlab.core import kernel, kernel_inline
from banditlab.protocols import identify
from banditlab.protocols.base import (
    Contract,
    Guest,
    Loop,
    Measure,
    Protocol,
    Terms,
    as_rewards,
    at_the_end,
    rounds,
    share,
)
from banditlab.random import AGENT, NATURE, stream
from banditlab.validate import integer, shown, whole

ANY_REWARD = (-np.inf, np.inf)


class Combinatorial(NamedTuple):
    """An algorithm that speaks ``combinatorial``: hyper-parameters and kernels, no data."""

    params: Any  # NamedTuple of hyper-parameters; the factory's arguments carry the same names
    init: Callable[..., Any]  # (params, task, rng) -> State; task is a Sets
    act: Callable[..., None]  # (params, state, t, rng, out): out (size,) int64, different items
    update: Callable[..., None]  # (params, state, t, items, reward, rng), in place
    recommend: Callable[..., None]  # (params, state, out): out (size,) int64, the set it names
    stop: Callable[..., bool]  # (params, state, t)
    rewards: tuple[float, float] = ANY_REWARD  # the range of rewards it accepts


class Subsets(NamedTuple):
    """A problem: parameters and kernels."""

    params: Any
    init: Callable[..., Any]  # (params, rng) -> World
    pay: Callable[..., float]  # (params, world, items, rng) -> reward
    regret: Callable[..., float]  # (params, world, items) -> expected loss against the best set
    shape: tuple[int, int]  # number of items, size of a set
    rewards: tuple[float, float] = ANY_REWARD


class Sets(NamedTuple):
    """What an algorithm may know before the first round."""

    n_items: int
    size: int  # of a set, 1 .. n_items
    horizon: int

    @property
    def n_arms(self) -> int:
        """What is chosen among."""
        return self.n_items


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):
    """Replications ``first, first + 1, ...``, as many as ``record`` has rows; see identify."""
    items = np.zeros(task.size, np.int64)
    for i in range(record.shape[0]):
        nature, rng = stream(key, first + i, NATURE), stream(key, first + i, AGENT)
        world = problem.init(problem.params, nature)
        state = algorithm.init(algorithm.params, task, rng)
        t = 0
        paid = task.horizon  # the round of the first reward above 0, counted from 1
        while t < task.horizon and not algorithm.stop(algorithm.params, state, t):
            algorithm.act(algorithm.params, state, t, rng, items)
            reward = problem.pay(problem.params, world, items, nature)
            algorithm.update(algorithm.params, state, t, items, reward, rng)
            t += 1
            paid = min(paid, t) if reward > 0.0 else paid
            if t % 1024 == 0 and progress[1] != 0:
                return
        progress[0] += task.horizon
        algorithm.recommend(algorithm.params, state, items)
        lost = problem.regret(problem.params, world, items)
        record[i, 0, 0] = t
        record[i, 0, 1] = paid
        record[i, 0, 2] = lost
        record[i, 0, 3] = 1.0 if lost > 0.0 else 0.0


# --- in other code ------------------------------------------------------------------------------


class CombinatorialAgent(Agent):
    """An algorithm that searches for the best set.

    Parameters
    ----------
    algorithm
        A name of ``banditlab.names()``, a ``.py`` file, or what ``banditlab.make`` returns.
    n_items
        Number of items, at least 1.
    size
        Number of items in a set, 1 to ``n_items``.
    horizon
        Number of sets that it may try, at least 1.
    seed
        Same seed, same choices. The stream is that of replication 0 of an arena run.
    hyper
        Hyper-parameters of the algorithm when it is given by name.
    """

    arguments = ("n_items", "size", "horizon")

    def __init__(
        self, algorithm: Any, *, n_items: int, size: int, horizon: int, seed: int = 0, **hyper: Any
    ):
        super().__init__(algorithm, seed=seed, **hyper)
        n_items = integer("n_items", n_items, 1, LARGEST)
        self.task = Sets(
            n_items,
            integer("size", size, 1, n_items),
            integer("horizon", horizon, 1, LARGEST),
        )
        self._begin()

    @property
    def done(self) -> bool:
        """Whether it has found what it looks for, or used up its horizon."""
        known = self.algorithm
        return self.t >= self.task.horizon or bool(known.stop(known.params, self.state, self.t))

    def act(self, x: None = None) -> np.ndarray:
        """The items (size,) of the set to try next."""
        items = np.zeros(self.task.size, np.int64)
        with quiet():
            self.algorithm.act(self.algorithm.params, self.state, self.t, self._rng, items)
        return items

    def update(self, x: None, items: Any, reward: float) -> None:
        """Learn that the set of ``items`` (size,) paid ``reward``.

        Raises ValueError for items that are no set of that size, and for a reward that is none.
        """
        chosen, found = whole(items), np.nan
        with suppress(TypeError, ValueError, OverflowError):
            found = float(reward)
        n = self.task.n_items
        known = {item for item in chosen.tolist() if 0 <= item < n} if chosen.ndim == 1 else set()
        if chosen.shape != (self.task.size,) or len(known) < chosen.size:
            raise ValueError(
                f"items must be {self.task.size} different numbers from 0 to {n - 1}, "
                f"got {shown(items)}"
            )
        low, high = self.algorithm.rewards
        if not (low <= found <= high and np.isfinite(found)):
            raise ValueError(f"reward must be finite for {self.name}, got {shown(reward)}")
        with quiet():
            self.algorithm.update(
                self.algorithm.params, self.state, self.t, chosen, found, self._rng
            )
        self.t += 1

    def named(self) -> np.ndarray:
        """The items (size,) of the set that it would name best now."""
        items = np.zeros(self.task.size, np.int64)
        with quiet():
            self.algorithm.recommend(self.algorithm.params, self.state, items)
        return items

    def recommend(self, x: None = None) -> np.ndarray:
        """The same as weights (n_items,): 1 / size for each item of the set, 0 for all others."""
        out = np.zeros(self.task.n_items)
        out[self.named()] = 1.0 / self.task.size
        return out

    def rehearse(self) -> None:
        """Try one set, which means nothing, on a copy: all kernels are compiled then."""
        self.update(None, self.act(), 0.0)
        self.named()
        _ = self.done


def task(terms: Terms) -> Sets:
    """What an algorithm may know beforehand."""
    n_items, size = terms.problem.shape
    return Sets(n_items, size, terms.horizon)


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """One set after the other."""
    made = task(terms)
    return Loop(run_block, terms.algorithm, terms.problem, made, checkpoints, PROTOCOL.names)


# --- arms are sets of one -----------------------------------------------------------------------


@cache
def _on_arms(init, act, update, recommend, stop):
    """The kernels as those of an algorithm that looks for the best arm."""

    @kernel
    def begin(params, task, rng):
        return init(params, Sets(task.n_arms, 1, task.horizon), rng)

    @kernel
    def ask(params, state, t, x, rng, out):
        items = np.zeros(1, np.int64)
        act(params, state, t, rng, items)
        out[items[0]] = 1

    @kernel
    def learn(params, state, t, x, pulls, sums, rng):
        items = np.zeros(1, np.int64)
        for k in range(pulls.size):
            if pulls[k] > 0:
                items[0] = k
                update(params, state, t, items, sums[k], rng)

    @kernel
    def name(params, state, x, rng, out):
        items = np.zeros(1, np.int64)
        recommend(params, state, items)
        for k in range(out.size):
            out[k] = 1.0 if k == items[0] else 0.0

    return begin, ask, learn, name, stop


def on_arms(algorithm: Combinatorial) -> identify.Identify:
    """The algorithm as one that looks for the best arm, an arm at a time."""
    begin, ask, learn, name, stop = _on_arms(*algorithm[1:6])
    return identify.Identify(
        algorithm.params, begin, ask, learn, name, stop=stop, rewards=algorithm.rewards
    )


def visit(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """Among those who look for the best arm."""
    return identify.loop(terms._replace(algorithm=on_arms(terms.algorithm)), checkpoints)


# --- the contract -------------------------------------------------------------------------------


def by_hand(
    agent: CombinatorialAgent, problem: Subsets, rounds: int, world: Any, nature: np.ndarray
) -> tuple[list[Any], dict[str, float]]:
    """Rounds of a hand-written loop, until it is done: (items, reward) each, and what is scored."""
    played = []
    for _ in range(rounds):
        if agent.done:
            break
        items = agent.act()
        reward = problem.pay(problem.params, world, items, nature)
        agent.update(None, items, reward)
        played.append((items.tolist(), reward))
    lost = problem.regret(problem.params, world, agent.named())
    return played, {"queries": agent.t, "simple_regret": lost}


def pays_what_it_says(name: str, problem: Subsets) -> None:
    """Regret is never negative; rewards stay in the stated range, and luck in step."""
    n_items, size = problem.shape
    ends = []
    for shift in (0, 1):
        nature = stream(np.arange(2, dtype=np.uint64), 0, NATURE)
        world = problem.init(problem.params, nature)
        for t in range(50):
            items = (np.arange(size) + shift * t) % n_items
            assert problem.regret(problem.params, world, items) >= 0.0, f"{name}: regret below 0"
            reward = problem.pay(problem.params, world, items, nature)
            low, high = problem.rewards
            assert low <= reward <= high, f"{name}: reward {reward} outside {problem.rewards}"
        ends.append(nature.tolist())
    assert ends[0] == ends[1], f"{name}: what pay draws depends on the items; use random.fork"


PROTOCOL = Protocol(
    name="combinatorial",
    algorithm=Combinatorial,
    problem=Subsets,
    measures=(
        Measure("queries", "queries until it stops", span=rounds),
        Measure("first", "queries until the first reward", span=rounds),
        Measure("simple_regret", "simple regret", unit="reward", span=as_rewards),
        Measure("error", "error probability", interval="clopper_pearson", span=share),
    ),
    xlabel="queries",
    checkpoints=at_the_end,
    task=task,
    loop=loop,
    face=CombinatorialAgent,
    contract=Contract(
        example=lambda algorithm: ("sparse_needle", {"s": 2, "dim": 7, "overlap": 1}),
        by_hand=by_hand,
        show=lambda problem, world, t, nature: None,
        probe="swap_search",
        # Queries: who draws sets with replacement, and does not stop, takes all 3,000.
        chance=lambda problem: 3000.0,
        luck=(60,),
        sound=(pays_what_it_says,),
        points=lambda points: points[-1:],
    ),
)
identify.PROTOCOL.guests[Combinatorial] = Guest(visit)
