"""Delayed rewards: any online problem, with every reward under way for a random number of rounds.

Joulani, Gyorgy & Szepesvari (2013), "Online learning under delayed feedback": the reward of round
t reaches the algorithm at the end of round t + D, where D >= 0 is drawn anew every round and
independently of everything else. ``update`` is called once per arrived reward, with that reward's
own round, features and arm; several may arrive at once (earliest round first), or none. What is
due after the horizon never arrives. Regret is charged when an arm is pulled.

``kind`` says how D is distributed; its mean is exactly ``mean_delay``:

- ``geometric``: P(D = d) in proportion to q**d for 0 <= d <= max_delay;
- ``uniform``: equally likely on 0, ..., 2 mean_delay;
- ``constant``: always mean_delay.

Delays come from a stream of their own, so nature's luck is that of the undelayed problem with the
same seed, whatever the delays and the arms. Rewards wait in a calendar: one bucket of pulls per
round to come, modulo ``max_delay + 1``, so a round costs the same at any delay.

>>> import banditlab
>>> coin = {"name": "bernoulli", "means": [0.4, 0.6]}
>>> banditlab.make_problem("delayed", problem=coin, mean_delay=100.0).shape
(2, 1, 0)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np

from banditlab.core import kernel, kernel_inline
from banditlab.protocols import online
from banditlab.protocols.online import Problem, at_once
from banditlab.random import fork, uniform
from banditlab.registry import make_problem
from banditlab.validate import choice, integer, nonnegative

KINDS = ("geometric", "constant", "uniform")

example = {"problem": {"name": "bernoulli", "means": [0.2, 0.5, 0.8]}, "mean_delay": 10.0}


class Delayed(NamedTuple):
    """Parameters: those of the problem behind the delays, and the distribution of a delay."""

    problem: Any  # NamedTuple
    keep: np.ndarray  # (max_delay + 1,) float64 in [0, 1]: the alias method's chance to keep d
    alias: np.ndarray  # (max_delay + 1,) int64: what d becomes otherwise


class World(NamedTuple):
    """One replication. The pull of round t waits in slot t modulo max_delay + 1."""

    world: Any  # NamedTuple: of the problem behind the delays
    delays: np.ndarray  # (4,) uint64: the stream of delays
    t: np.ndarray  # (max_delay + 1,) int64: round of each waiting pull
    x: np.ndarray  # (max_delay + 1, rows, columns) float64: what it was shown
    arm: np.ndarray  # (max_delay + 1,) int64
    reward: np.ndarray  # (max_delay + 1,) float64
    first: np.ndarray  # (max_delay + 1,) int64: first slot due in a round, by due round; or -1
    last: np.ndarray  # (max_delay + 1,) int64: last slot due in a round; read if there is a first
    after: np.ndarray  # (max_delay + 1,) int64: the slot after this one in its bucket; or -1
    arrived: np.ndarray  # (max_delay + 1,) int64: slots that arrived in this round, earliest first


@kernel_inline
def delay(params, rng):
    """A delay, by the alias method (Walker 1977): one word, whatever the distribution."""
    place = uniform(rng) * params.keep.size
    d = min(int(math.floor(place)), params.keep.size - 1)
    return d if place - d < params.keep[d] else params.alias[d]


@kernel
def arrivals(params, world, t, x, arm, reward):
    """Enter this round's pull into the calendar, then take out all that is due now."""
    slots = world.t.size
    slot = t % slots
    world.t[slot] = t
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            world.x[slot, i, j] = x[i, j]
    world.arm[slot] = arm
    world.reward[slot] = reward
    world.after[slot] = -1
    due = (t + delay(params, world.delays)) % slots
    if world.first[due] < 0:
        world.first[due] = slot
    else:
        world.after[world.last[due]] = slot
    world.last[due] = slot

    count = 0
    waiting = world.first[slot]
    world.first[slot] = -1
    while waiting >= 0:
        world.arrived[count] = waiting
        count += 1
        waiting = world.after[waiting]
    return count


@kernel
def arrival(params, world, i):
    slot = world.arrived[i]
    return world.t[slot], world.x[slot], world.arm[slot], world.reward[slot]


@cache
def _kernels(init, observe, pull, regret, behave, log, weights) -> tuple[Callable[..., Any], ...]:
    """The kernels of a problem, as kernels of that problem behind delays."""

    @kernel
    def begin(params, rng):
        # A throw-away world tells the shape of x.
        probe = rng.copy()
        rows, columns = observe(params.problem, init(params.problem, probe), 0, probe).shape
        # The copy leaves nature's stream as it is. Forked twice, lest a problem that forks the
        # same word arrive at the same stream.
        delays = fork(fork(rng.copy()))
        slots = params.keep.size
        return World(
            init(params.problem, rng),
            delays,
            np.zeros(slots, np.int64),
            np.zeros((slots, rows, columns)),
            np.zeros(slots, np.int64),
            np.zeros(slots),
            np.full(slots, -1),
            np.full(slots, -1),
            np.full(slots, -1),
            np.full(slots, -1),
        )

    @kernel
    def show(params, world, t, rng):
        return observe(params.problem, world.world, t, rng)

    @kernel
    def pay(params, world, x, arm, rng):
        return pull(params.problem, world.world, x, arm, rng)

    @kernel
    def lose(params, world, x, arm):
        return regret(params.problem, world.world, x, arm)

    @kernel
    def choose(params, world, x, rng):
        return behave(params.problem, world.world, x, rng)

    @kernel
    def write(params, world, rounds, rng, counts, sums):
        return log(params.problem, world.world, rounds, rng, counts, sums)

    @kernel
    def weigh(params, world, out):
        weights(params.problem, world.world, out)

    return begin, show, pay, lose, choose, write, weigh


def distribution(kind: str, mean_delay: float, max_delay: int) -> np.ndarray:
    """Probabilities (max_delay + 1,) of the delays 0, ..., max_delay; their mean is mean_delay."""
    d = np.arange(max_delay + 1)
    if kind == "constant":
        return (d == mean_delay).astype(np.float64)
    if kind == "uniform":
        return (d <= 2 * mean_delay) / (2 * mean_delay + 1)

    def truncated(log_q: float) -> np.ndarray:
        p = np.exp(log_q * d)
        return p / p.sum()

    if mean_delay == 0:
        return (d == 0).astype(np.float64)
    # Cutting off the tail lowers the mean: look for the q that restores it, by bisection.
    low, high = math.log(mean_delay / (1.0 + mean_delay)), 0.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        if truncated(middle) @ d < mean_delay:
            low = middle
        else:
            high = middle
    return truncated(low)


def alias_table(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The alias method's tables (Vose 1991): draw d evenly, keep it or take ``alias[d]``."""
    n = probabilities.size
    mass = probabilities * n
    keep = np.ones(n)
    alias = np.arange(n)
    small = [d for d in range(n) if mass[d] < 1.0]
    large = [d for d in range(n) if mass[d] >= 1.0]
    while small and large:
        d, donor = small.pop(), large[-1]
        keep[d], alias[d] = mass[d], donor
        mass[donor] -= 1.0 - mass[d]
        if mass[donor] < 1.0:
            small.append(large.pop())
    return keep, alias


def delayed(
    problem: Problem | dict[str, Any],
    mean_delay: float,
    max_delay: int | None = None,
    kind: str = "geometric",
) -> Problem:
    """``problem`` with its rewards delayed by ``mean_delay`` >= 0 rounds on average.

    ``problem``: what :func:`banditlab.make_problem` returns, or a dict of its arguments with
    ``name``. ``max_delay``: the longest delay; by default the smallest that ``kind`` allows, and
    10 times the mean for geometric. ``kind``: ``geometric`` (mean_delay < max_delay / 2),
    ``constant`` (mean_delay an integer) or ``uniform`` (mean_delay a multiple of 1/2).

    Raises ValueError naming the argument that is out of range, and for a problem whose rewards are
    delayed already.
    """
    if isinstance(problem, dict):
        if "name" not in problem:
            raise ValueError(f"problem must have a name, got {problem!r}")
        problem = make_problem(**problem)
    if not online.PROTOCOL.poses(problem):
        raise ValueError(
            "problem must be a dict with a name or what banditlab.make_problem returns, "
            f"got {type(problem).__name__}"
        )
    problem = cast(Problem, problem)
    if problem.arrivals is not at_once:
        raise ValueError("problem must have undelayed rewards")
    kind = choice("kind", kind, KINDS)
    mean_delay = nonnegative("mean_delay", mean_delay)
    if kind == "constant":
        shortest = integer("mean_delay, when constant,", mean_delay, 0)
    elif kind == "uniform":
        shortest = integer("twice mean_delay, when uniform,", 2 * mean_delay, 0)
    else:
        shortest = int(2 * mean_delay) + 1 if mean_delay > 0 else 0
    if max_delay is None:
        max_delay = max(shortest, math.ceil(10 * mean_delay)) if kind == "geometric" else shortest
    max_delay = integer("max_delay", max_delay, 0)
    if max_delay < shortest:
        raise ValueError(
            f"max_delay must be at least {shortest} for a {kind} mean_delay of {mean_delay:g}, "
            f"got {max_delay}"
        )
    keep, alias = alias_table(distribution(kind, mean_delay, max_delay))
    begin, show, pay, lose, choose, write, weigh = _kernels(
        problem.init,
        problem.observe,
        problem.pull,
        problem.regret,
        problem.behave,
        problem.log,
        problem.weights,
    )
    return Problem(
        Delayed(problem.params, keep, alias),
        begin,
        show,
        pay,
        lose,
        problem.shape,
        problem.rewards,
        choose,
        write,
        weigh,
        arrivals,
        arrival,
    )
