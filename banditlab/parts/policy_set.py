"""Sets of policies and schedules of attackers: what the problems of protocol ``policies`` share.

Attackers are columns of a payoff matrix, and column 0 is no attack. A *schedule* says which of them
comes in each episode:

==================  =============================================================================
``"static"``        always ``attacker``
``"periodic"``      ``attacker`` for ``block`` episodes, none for as many, and so on, from an attack
``"prob_switch"``   ``attacker`` first; at the end of each block of ``block`` episodes it comes or
                    goes with probability ``p``, drawn anew in every replication
``"cycle"``         each of ``columns`` (by default all) for ``block`` episodes, again and again
``"given"``         ``columns`` one by one: a recorded sequence, no longer than itself
``"adaptive"``      the attacker that is worst for the policies as they were played: the least
                    sum_k f_k M[k, j], lowest j of ties, with f from 1/K on and, after policy a was
                    played, f <- (1 - rate) f + rate 1{k = a}. It sees no weights of the agent
==================  =============================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.protocols.policies import PolicySet
from banditlab.random import below, normal, uniform
from banditlab.robust.dominance import as_payoffs
from banditlab.robust.games import spread
from banditlab.validate import between, choice, inside, integer, nonnegative, number

SCHEDULES = ("static", "periodic", "prob_switch", "cycle", "given", "adaptive")
CYCLE, SEQUENCE, SWITCH, ADAPTIVE = range(4)
LONGEST = 2**53  # block: every play is shorter
ROUNDING = 1e-12  # of means, in units of the payoffs' range: what differs by less is a tie


class Schedule(NamedTuple):
    """Which attacker comes when."""

    kind: int  # CYCLE, SEQUENCE (the last column stays), SWITCH between two, or ADAPTIVE
    columns: np.ndarray  # int64: the attackers, in their order
    block: int  # >= 1: episodes of each
    p: float  # in [0, 1]: probability of a change, of SWITCH
    rate: float  # in (0, 1]: of the average that ADAPTIVE keeps


class Attacked(NamedTuple):
    """Parameters of a policy set."""

    payoffs: np.ndarray  # (n, m) float64: mean returns, as paid
    centre: np.ndarray  # (n, m) float64: of the noise; payoffs but for what clipping does
    sd: float  # >= 0: of the noise
    pool: np.ndarray  # recorded returns, sorted by cell i * m + j; empty where there are none
    offsets: np.ndarray  # (n * m + 1,) int64: a cell's are pool[offsets[cell]:offsets[cell + 1]]
    schedule: Schedule


class World(NamedTuple):
    """One replication."""

    payoffs: np.ndarray  # (n, m) float64
    place: np.ndarray  # (1,) int64: in the schedule's columns, where that is drawn
    played: np.ndarray  # (n,) float64: how often each policy was played of late
    tie: np.ndarray  # (1,) float64: means of attackers that differ by no more are equal


@kernel
def fresh(payoffs):
    n = payoffs.shape[0]
    tie = np.full(1, ROUNDING * spread(payoffs))
    return World(payoffs, np.zeros(1, np.int64), np.full(n, 1.0 / n), tie)


@kernel
def init(params, rng):
    """The same policies and attackers in every replication."""
    return fresh(params.payoffs)


@kernel
def init_evenly(params, rng):
    """Payoffs drawn evenly from [0, 1), anew in every replication."""
    payoffs = np.empty(params.payoffs.shape)
    for i in range(payoffs.shape[0]):
        for j in range(payoffs.shape[1]):
            payoffs[i, j] = uniform(rng)
    return fresh(payoffs)


@kernel
def mean_return(payoffs, played, j):
    """The mean return against attacker ``j`` of policies played so often."""
    mean = 0.0
    for k in range(played.size):
        mean += played[k] * payoffs[k, j]
    return mean


@kernel
def worst_for(payoffs, played, tie):
    """The attacker that is worst for policies played so often, of ties the lowest."""
    least = np.inf
    for j in range(payoffs.shape[1]):
        least = min(least, mean_return(payoffs, played, j))
    for j in range(payoffs.shape[1]):
        if mean_return(payoffs, played, j) <= least + tie:
            return j
    return 0


@kernel
def attack(params, world, t, rng):
    s = params.schedule
    if s.kind == ADAPTIVE:
        return worst_for(world.payoffs, world.played, world.tie[0])
    if s.kind == SWITCH:
        if t == 0:
            world.place[0] = 0
        elif t % s.block == 0 and uniform(rng) < s.p:
            world.place[0] = 1 - world.place[0]
        return s.columns[world.place[0]]
    turn = t // s.block
    if s.kind == CYCLE:
        return s.columns[turn % s.columns.size]
    return s.columns[min(turn, s.columns.size - 1)]


@kernel
def play(params, world, j, arm, rng):
    if params.pool.size > 0:
        cell = arm * params.centre.shape[1] + j
        start = params.offsets[cell]
        return params.pool[start + below(rng, params.offsets[cell + 1] - start)]
    if params.sd > 0.0:
        return params.centre[arm, j] + params.sd * normal(rng)
    return world.payoffs[arm, j]


@kernel
def answer(params, world, arm):
    rate = params.schedule.rate
    for k in range(world.played.size):
        world.played[k] *= 1.0 - rate
    world.played[arm] += rate
    return 0


def scheduled(
    n_attackers: int,
    schedule: str = "periodic",
    attacker: int = 1,
    block: int = 0,
    p: float = 0.5,
    columns: Sequence[int] | None = None,
    rate: float = 0.01,
) -> tuple[Schedule, tuple[int, ...]]:
    """A schedule, checked, and how many episodes it has; see the top of the file.

    ``block`` 0 stands for 50 with ``prob_switch`` and for 200 otherwise. Raises ValueError that
    names the argument, also for one that the schedule does not ask for.
    """
    choice("schedule", schedule, SCHEDULES)
    last = n_attackers - 1
    attacker = min(integer("attacker", attacker, 0, max(last, 1)), last)
    length = integer("block", block, 0, LONGEST) or (50 if schedule == "prob_switch" else 200)
    for name, told, default, who in (
        ("block", block, 0, ("periodic", "prob_switch", "cycle")),
        ("attacker", attacker, min(1, last), ("static", "periodic", "prob_switch")),
        ("p", p, 0.5, ("prob_switch",)),
        ("rate", rate, 0.01, ("adaptive",)),
    ):
        if number(name, told) != default and schedule not in who:
            raise ValueError(f"{name} is for schedule {' or '.join(who)}, not for {schedule!r}")
    if columns is not None and schedule not in ("cycle", "given"):
        raise ValueError(f"columns are for schedule cycle or given, not for {schedule!r}")
    order = {"static": [attacker], "periodic": [attacker, 0], "prob_switch": [attacker, 0]}.get(
        schedule, range(n_attackers) if columns is None else columns
    )
    if schedule == "given" and columns is None:
        raise ValueError("schedule given needs columns: the attacker of each episode")
    if isinstance(order, str) or not hasattr(order, "__len__") or len(order) == 0:
        raise ValueError(f"columns must be a list of attackers, 0 to {last}, got {columns!r}")
    kinds = {"prob_switch": SWITCH, "given": SEQUENCE, "adaptive": ADAPTIVE}
    listed = [integer("columns", j, 0, last) for j in order]
    made = Schedule(
        kinds.get(schedule, CYCLE),
        np.array(listed, dtype=np.int64),
        1 if schedule == "given" else length,
        between("p", p, 0.0, 1.0),
        inside("rate", rate, 0.0, 1.0) if rate != 1 else 1.0,
    )
    return made, (len(listed),) if schedule == "given" else ()


def sequence(columns: Sequence[int], block: int) -> Schedule:
    """Each column for ``block`` episodes, the last for ever."""
    return Schedule(SEQUENCE, np.array(columns, dtype=np.int64), block, 0.5, 0.01)


def clipped_mean(centre: float, sd: float, low: float, high: float) -> float:
    """The mean of a normal number that is clipped to [low, high]."""
    if sd == 0.0:
        return min(max(centre, low), high)

    def below_mean(edge: float) -> float:  # E[max(edge - X, 0)]
        z = (edge - centre) / sd
        density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        return (edge - centre) * 0.5 * math.erfc(-z / math.sqrt(2.0)) + sd * density

    return high + below_mean(low) - below_mean(high)


def bounds(low: Any, high: Any) -> tuple[float, float]:
    """The least and the largest return, checked."""
    low, high = number("low", low), number("high", high)
    if not low < high:
        raise ValueError(f"low must be below high, got {low!r} and {high!r}")
    if high - low == math.inf:
        raise ValueError(f"low and high must not lie so far apart, got {low:g} and {high:g}")
    return low, high


def policy_set(
    payoffs: Any,
    schedule: Schedule,
    low: float,
    high: float,
    *,
    sd: float = 0.0,
    supply: tuple[int, ...] = (),
    start: Any = init,
) -> PolicySet:
    """The problem with these mean returns, or with normal returns around them."""
    centre = as_payoffs(payoffs)
    if len(centre) < 2:
        raise ValueError(f"payoffs must have at least 2 rows, one per policy, got {len(centre)}")
    low, high = bounds(low, high)
    sd = nonnegative("sd", sd)
    if sd == 0.0:
        means = np.clip(centre, low, high)
    else:
        cells = [[clipped_mean(v, sd, low, high) for v in row] for row in centre.tolist()]
        means = np.array(cells)
    if np.ptp(means) == 0.0 < np.ptp(centre):
        ends = f"{centre.min():g} to {centre.max():g}"
        raise ValueError(
            f"low and high, {low:g} and {high:g}, clip payoffs of {ends} until all are equal"
        )
    none = np.empty(0)
    params = Attacked(means, centre, sd, none, np.zeros(1, np.int64), schedule)
    shape = (len(centre), 1, 0)
    return PolicySet(params, start, attack, play, shape, answer, low, high, supply=supply)
