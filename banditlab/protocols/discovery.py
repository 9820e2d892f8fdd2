"""Grow a set of policies one by one, until no attacker makes any other policy worth having.

The problem is a set of policies with its payoffs against every attacker (the same problems as of
protocol ``policies``); the algorithm sees the whole matrix and says which policy comes next. The
question is how good a *small* set can be: whoever adapts at test time chooses among its members,
and pays for each of them (Liu, Deng, Sun, Liang & Huang 2024, "Beyond worst-case attacks: robust
RL with adaptive defense via non-dominated policies", ICLR, section 4).

The file holds, top to bottom, what an algorithm brings (:class:`Discovery`), the fused loop, the
face for other code (:class:`DiscoveryAgent`), and what all of it is called (``PROTOCOL``). Step
``t`` (counted from 0)::

    row = choose(payoffs, members, t)    # -1: the set is as good as it is to become
    members[t] = row

What is recorded after a step is exact, by linear programs (:mod:`banditlab.robust.games`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np

from banditlab import random
from banditlab.agent import Agent, quiet
from banditlab.core import kernel, kernel_inline
from banditlab.protocols.base import Contract, Loop, Measure, Protocol, Terms, refused, rounds
from banditlab.protocols.policies import PolicySet, returns
from banditlab.random import AGENT, NATURE, categorical, stream
from banditlab.robust.dominance import TOLERANCE, as_payoffs
from banditlab.robust.games import mixed_gap, prune, pure_gap, spread
from banditlab.validate import integer


class Discovery(NamedTuple):
    """An algorithm that grows a set of rows of a payoff matrix, all of which it sees."""

    params: Any  # NamedTuple of hyper-parameters; the factory's arguments carry the same names
    init: Callable[..., Any]  # (params, payoffs, rng) -> State
    # (params, state, payoffs, members, size, rng) -> the row to add to the first ``size`` of
    # members, or -1 for none; writes to the state only
    choose: Callable[..., int]
    computed: Callable[..., float]  # (state) -> how many gaps were computed so far
    # (n_policies) -> None, in Python: raises ValueError where the matrix does not suit it
    check: Callable[[int], None] | None = None
    rewards: tuple[float, float] = (-np.inf, np.inf)  # the range of payoffs it accepts


class Size(NamedTuple):
    """What an algorithm is told."""

    horizon: int  # the largest set


@kernel
def largest_gap(payoffs, members, size, bounds):
    """The largest mixed gap outside of the set, at least 0.

    ``bounds`` (n,) are the gaps to a smaller set, hence bounds on those to this one, and are made
    smaller: a larger set lowers every gap.
    """
    n, m = payoffs.shape
    mix, attack = np.empty(size), np.empty(m)
    for k in range(size):
        bounds[members[k]] = 0.0
    best = 0.0
    fresh = np.zeros(n, np.bool_)
    for _ in range(n):
        row = -1
        for i in range(n):
            if not fresh[i] and bounds[i] > best and (row < 0 or bounds[i] > bounds[row]):
                row = i
        if row < 0:
            break
        bounds[row] = mixed_gap(payoffs, row, members, size, mix, attack)
        fresh[row] = True
        best = max(best, bounds[row])
    return best


@kernel
def largest_pure_gap(payoffs, members, size):
    """The pure gap of the set, at least 0."""
    gap = 0.0
    for i in range(payoffs.shape[0]):
        gap = max(gap, pure_gap(payoffs, i, members, size))
    return gap


@kernel
def worst_case(payoffs, row):
    """The least return of a policy, over all attackers."""
    least = payoffs[row, 0]
    for j in range(payoffs.shape[1]):
        least = min(least, payoffs[row, j])
    return least


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):
    """Replications ``first, first + 1, ...``, as many as ``record`` has rows.

    A checkpoint is a size of the set; beyond the size at which the algorithm stops, nothing
    changes. ``log_rounds`` belongs to the common shape of a block and is not used. For ``record``
    and ``progress`` see online.run_block.
    """
    for i in range(record.shape[0]):
        nature = stream(key, first + i, NATURE)
        agent = stream(key, first + i, AGENT)
        world = problem.init(problem.params, nature)
        payoffs = world.payoffs
        n = payoffs.shape[0]
        state = algorithm.init(algorithm.params, payoffs, agent)
        members = np.zeros(n, np.int64)
        bounds = np.full(n, np.inf)
        rounding = TOLERANCE * spread(payoffs)
        size = 0
        t = 0
        for c in range(checkpoints.size):
            while t < checkpoints[c]:
                if size == t and size < n:  # it has not stopped
                    row = algorithm.choose(
                        algorithm.params, state, payoffs, members, size, agent
                    )  # fmt: skip
                    if row >= 0:
                        members[size] = row
                        size += 1
                t += 1
                progress[0] += 1
                if progress[1] != 0:
                    return
            kept = members[:size].copy()
            gap = largest_gap(payoffs, members, size, bounds)
            pure = largest_pure_gap(payoffs, members, size)
            record[i, c, 0] = gap if gap > rounding else 0.0
            record[i, c, 1] = pure if pure > rounding else 0.0
            record[i, c, 2] = payoffs[members[size - 1], 0]
            record[i, c, 3] = worst_case(payoffs, members[size - 1])
            record[i, c, 4] = size
            record[i, c, 5] = prune(payoffs, kept, size, rounding)
            record[i, c, 6] = algorithm.computed(state)


# --- in other code ------------------------------------------------------------------------------


class Found(NamedTuple):
    """What was found."""

    members: np.ndarray  # (k,) int64: rows, in the order in which they came
    gaps: np.ndarray  # (k,) float64: mixed gap of the first 1, 2, ... of them
    kept: np.ndarray  # int64: those of them that the others do not dominate
    size: np.ndarray  # (1,) int64: policies there are


class DiscoveryAgent(Agent):
    """An algorithm that picks a small set of policies from a matrix of their returns.

    Parameters
    ----------
    algorithm
        A name of ``banditlab.names()``, a ``.py`` file, or what ``banditlab.make`` returns.
    horizon
        The largest set; 0 for any size.
    seed
        Same seed, same choices.
    hyper
        Hyper-parameters of the algorithm when it is given by name.

    >>> import banditlab
    >>> agent = banditlab.Agent("discover").fit([[1.0, 0.0], [0.0, 1.0], [0.4, 0.4]])
    >>> agent.state.members, agent.recommend()
    (array([0, 1]), array([0.5, 0.5, 0. ]))
    """

    arguments = ("horizon",)

    def __init__(self, algorithm: Any, *, horizon: int = 0, seed: int = 0, **hyper: Any):
        super().__init__(algorithm, seed=seed, **hyper)
        self.task = Size(integer("horizon", horizon, 0))
        none = np.zeros(0, np.int64)
        self.state = Found(none, np.zeros(0), none, np.zeros(1, np.int64))

    def fit(self, payoffs: Any) -> Self:
        """Pick from ``payoffs`` (n, m): a row per policy, a column per attacker, the first none.

        Returns the agent; what it found is in ``state``, a :class:`Found`. Raises ValueError for
        what is no matrix of finite numbers.
        """
        M = as_payoffs(payoffs)
        if self.algorithm.check is not None:
            self.algorithm.check(len(M))
        most = min(self.task.horizon or len(M), len(M))
        members, bounds = np.zeros(most, np.int64), np.full(len(M), np.inf)
        known = self.algorithm
        with quiet():
            found = known.init(known.params, M, self._rng)
            size = 0
            gaps: list[float] = []
            while size < most:
                row = known.choose(known.params, found, M, members, size, self._rng)
                if row < 0 and size > 0:
                    break
                if not 0 <= row < len(M) or row in members[:size]:
                    raise ValueError(
                        f"{self.name} chose row {row}: of {len(M)} policies it must take one, and "
                        "each at most once"
                    )
                members[size] = row
                size += 1
                gaps.append(largest_gap(M, members, size, bounds))
            kept = members[:size].copy()
            left = prune(M, kept, size, TOLERANCE * spread(M))
        self.state = Found(members[:size], np.array(gaps), kept[:left], np.full(1, len(M)))
        self.t = size
        return self

    def recommend(self, x: None = None) -> np.ndarray:
        """Probabilities (n_policies,): even over the policies worth keeping."""
        out = np.zeros(int(self.state.size[0]))
        if out.size == 0:
            raise ValueError(f"{self.name} has found nothing yet: fit it to a matrix")
        out[self.state.kept] = 1.0 / self.state.kept.size
        return out

    def act(self, x: None = None) -> int:
        """A policy for the next episode, drawn from :meth:`recommend`."""
        with quiet():
            return int(categorical(self._rng, self.recommend(x)))

    def rehearse(self) -> None:
        """Pick from a matrix that means nothing, on a copy."""
        self.fit(np.eye(2)).act()

    def _facts(self) -> dict[str, Any]:
        return {**self._given(), "n_policies": int(self.state.size[0]), "t": self.t}

    def _about(self) -> dict[str, Any]:
        sizes = [int(array.size) for array in self.state]
        return {**super()._about(), "sizes": sizes}

    @classmethod
    def _remade(cls, name: Any, hyper: dict[str, Any], about: dict[str, Any]) -> Agent:
        agent = super()._remade(name, hyper, about)
        k, gaps, kept, one = (integer("sizes", size, 0, 10**7) for size in about["sizes"])
        agent.state = Found(
            np.zeros(k, np.int64), np.zeros(gaps), np.zeros(kept, np.int64), np.zeros(one, np.int64)
        )
        return agent


def task(terms: Terms) -> Size:
    """How large the set may become."""
    return Size(terms.horizon)


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """One policy after the other."""
    made = task(terms)
    return Loop(run_block, terms.algorithm, terms.problem, made, checkpoints, PROTOCOL.names)


def chance(problem: PolicySet) -> float:
    """A tenth of the range of the payoffs."""
    with np.errstate(all="ignore"):
        nature = stream(random.key(0), 0, NATURE)
        return 0.1 * float(np.ptp(problem.init(problem.params, nature).payoffs))


def gaps(terms: Terms) -> tuple[float, float]:
    """The range of a gap: what one mean return may be above another."""
    low, high = returns(terms)
    return 0.0, high - low


PROTOCOL = Protocol(
    name="discovery",
    algorithm=Discovery,
    problem=PolicySet,
    measures=(
        Measure("gap", "mixed gap of the set", unit="return", span=gaps),
        Measure("pure_gap", "pure gap of the set", span=gaps),
        Measure("natural", "return without attack of the last policy", span=returns),
        Measure("worst", "worst return of the last policy", span=returns),
        Measure("size", "policies in the set", span=rounds),
        Measure("kept", "policies that the others do not dominate", span=rounds),
        Measure("computed", "gaps computed to choose"),
    ),
    xlabel="policies",
    task=task,
    loop=loop,
    refuse=lambda terms: refused(terms, terms.problem.shape[0]),
    face=DiscoveryAgent,
    report="returns",
    contract=Contract(
        example=lambda algorithm: ("random_payoffs", {"n_policies": 12, "n_attackers": 4}),
        probe="discover",
        chance=chance,
    ),
)
