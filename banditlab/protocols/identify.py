"""Pure exploration: pull until the budget is spent or a rule says stop, then name an arm.

The file holds, top to bottom, what an algorithm brings (:class:`Identify`), the fused loop, the
face for other code (:class:`IdentifyAgent`), and what all of it is called (``PROTOCOL``). Problems
are those of :mod:`banditlab.protocols.online`.

A choice is a batch, so that a private algorithm sees sums and never a single reward::

    while pulls are left and not stop(t):       # t pulls were made
        act(t, x): how often to pull each arm now
        update(t, x, pulls, sums)               # of this batch
    recommend(x): the arm

The horizon is the budget (fixed budget), or where a run is cut off (fixed confidence). What is
pulled and paid never depends on how the rewards are drawn: one by one, or a batch as one sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab import random
from banditlab.agent import BanditAgent, quiet
from banditlab.core import kernel, kernel_inline
from banditlab.protocols import online
from banditlab.protocols.base import (
    Contract,
    Loop,
    Measure,
    Pieces,
    Protocol,
    Terms,
    as_rewards,
    at_the_end,
    bandit_task,
    refused,
    rounds,
    share,
)
from banditlab.protocols.online import ANY_REWARD, Problem
from banditlab.random import AGENT, NATURE, stream
from banditlab.validate import whole


@kernel
def never(params, state, t):
    """``stop`` of an algorithm that has a budget."""
    return False


@kernel
def unpublished(params, state, arm):
    """``published`` of an algorithm that releases no means."""
    return np.nan


@kernel
def unprotected(params, state):
    """``spent`` of an algorithm that is not private."""
    return np.nan


class Identify(NamedTuple):
    """An algorithm that speaks ``identify``: hyper-parameters and kernels, no data.

    A private algorithm keeps what it releases in a field ``released`` of its state, (n_phases,
    n_arms) float64 with nan where nothing was released: that is what an audit may look at.
    """

    params: Any  # NamedTuple of hyper-parameters; the factory's arguments carry the same names
    init: Callable[..., Any]  # (params, task, rng) -> State; task.horizon is the budget
    # (params, state, t, x, rng, out): out (n_arms,) int64, zeros before: pulls to make now. The
    # loop cuts them to the budget, in the order of the arms; none at all ends the run.
    act: Callable[..., None]
    update: Callable[..., None]  # (params, state, t, x, pulls, sums, rng): t before this batch
    recommend: Callable[..., None]  # (params, state, x, rng, out): probabilities over arms
    stop: Callable[..., bool] = never  # (params, state, t)
    spent: Callable[..., float] = unprotected  # (params, state) -> epsilon spent on any one reward
    # (params, state, arm) -> the last mean of the arm that was released, nan if none was
    published: Callable[..., float] = unpublished
    rewards: tuple[float, float] = ANY_REWARD  # the range of rewards it accepts
    features: bool = False  # whether it cannot do without features
    # Each reward is rounded to a multiple of this before it is summed, so that a sum is an integer
    # that exact discrete noise can be added to; 0.0: as it is. A batch drawn as one sum is not
    # rounded: those are whole numbers.
    grid: float = 0.0
    # (task, x) -> None, in Python: raises ValueError where the algorithm cannot meet the task,
    # such as a budget that is too small
    check: Callable[..., None] | None = None
    # (task) -> the most pulls of each arm (n_arms,), or of any, in Python; None: the horizon. Where
    # arms pay a limited number of rewards, each must have as many.
    most: Callable[..., Any] | None = None


class Run(NamedTuple):
    """One replication."""

    state: Any
    world: Any
    x: np.ndarray  # what the problem shows
    used: np.ndarray  # (1,) int64: pulls made
    pulls: np.ndarray  # (n_arms,) int64: of the batch
    sums: np.ndarray  # (n_arms,) float64: of the batch
    nature: np.ndarray  # (4,) uint64
    agent: np.ndarray  # (4,) uint64


@kernel_inline
def begin(algorithm, problem, task, key, replication, log_rounds):
    """A fresh replication. ``log_rounds`` belongs to the common shape and is not used."""
    nature = stream(key, replication, NATURE)
    agent = stream(key, replication, AGENT)
    world = problem.init(problem.params, nature)
    x = problem.observe(problem.params, world, 0, nature)
    state = algorithm.init(algorithm.params, task, agent)
    used = np.zeros(1, np.int64)
    pulls = np.zeros(task.n_arms, np.int64)
    return Run(state, world, x, used, pulls, np.zeros(task.n_arms), nature, agent)


@kernel_inline
def advance(algorithm, problem, task, run):
    """One batch; returns the number of its pulls, 0 when the run is over."""
    t = run.used[0]
    left = task.horizon - t
    if left <= 0 or algorithm.stop(algorithm.params, run.state, t):
        return 0
    for k in range(task.n_arms):
        run.pulls[k] = 0
    algorithm.act(algorithm.params, run.state, t, run.x, run.agent, run.pulls)
    for k in range(task.n_arms):
        n = min(run.pulls[k], left)
        left -= n
        run.pulls[k] = n
        run.sums[k] = 0.0
        if n > 0:
            total = problem.batch(problem.params, run.world, run.x, k, n, run.nature)
            if total != total:  # nan: the problem has no shortcut
                total = 0.0
                for _ in range(n):
                    reward = problem.pull(problem.params, run.world, run.x, k, run.nature)
                    if algorithm.grid > 0.0:
                        reward = algorithm.grid * math.floor(reward / algorithm.grid + 0.5)
                    total += reward
            run.sums[k] = total
    made = task.horizon - left - t
    if made > 0:
        algorithm.update(algorithm.params, run.state, t, run.x, run.pulls, run.sums, run.agent)
        run.used[0] = t + made
    return made


@kernel_inline
def score(algorithm, problem, task, run, row):
    """What is recorded of a run that is over, into ``row`` (measures,)."""
    rule = np.zeros(task.n_arms)
    algorithm.recommend(algorithm.params, run.state, run.x, run.agent, rule)
    wrong = 0.0
    lost = 0.0
    told = 0.0
    for k in range(task.n_arms):
        if rule[k] > 0.0:
            gap = problem.regret(problem.params, run.world, run.x, k)
            wrong += rule[k] if gap > 0.0 else 0.0
            lost += rule[k] * gap
            told += rule[k] * algorithm.published(algorithm.params, run.state, k)
    row[0] = wrong
    row[1] = lost
    row[2] = run.used[0]
    row[3] = algorithm.spent(algorithm.params, run.state)
    if row.size > 4:
        row[4] = told


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):
    """Replications ``first, first + 1, ...``, as many as ``record`` has rows.

    ``checkpoints`` has one entry, the horizon: a run is scored when it is over. ``log_rounds``
    belongs to the common shape of a block and is not used. For ``record`` and ``progress`` see
    online.run_block; a run that stops early counts as finished.
    """
    for i in range(record.shape[0]):
        run = begin(algorithm, problem, task, key, first + i, log_rounds)
        made = advance(algorithm, problem, task, run)
        while made > 0:
            progress[0] += made
            if progress[1] != 0:
                return
            made = advance(algorithm, problem, task, run)
        progress[0] += task.horizon - run.used[0]
        score(algorithm, problem, task, run, record[i, 0])


@kernel_inline
def play(algorithm, problem, task, run, t, end, most, row):
    """A piece of one replication, see base.Pieces: whole batches; the end when it stops."""
    while advance(algorithm, problem, task, run) > 0:
        if t + most <= run.used[0] < end:
            return run.used[0]
    score(algorithm, problem, task, run, row)
    return end


# --- in other code ------------------------------------------------------------------------------


class IdentifyAgent(BanditAgent):
    """An algorithm that names the best arm: it asks for batches of pulls, and says when it is done.

    Parameters
    ----------
    algorithm
        A name of ``banditlab.names()``, a ``.py`` file, or what ``banditlab.make`` returns.
    n_arms
        Number of arms, at least 2.
    horizon
        Number of pulls that it may make, at least 1.
    dim
        Number of features per arm; 0 when there are none.
    seed
        Same seed, same choices. The stream is that of replication 0 of an arena run.
    hyper
        Hyper-parameters of the algorithm when it is given by name.
    """

    arguments = ("n_arms", "horizon", "dim")

    def __init__(
        self,
        algorithm: Any,
        *,
        n_arms: int,
        horizon: int = 0,
        dim: int = 0,
        seed: int = 0,
        **hyper: Any,
    ):
        super().__init__(
            algorithm, hyper, n_arms=n_arms, dim=dim, horizon=horizon, least_horizon=1, seed=seed
        )
        self._suits(None if dim else self.features(None))
        self._begin()

    def features(self, x: Any) -> np.ndarray:
        """``x`` as the kernels want it; who learns from features needs a row per arm."""
        rows = super().features(x)
        n_arms, dim = self.task.n_arms, self.task.dim
        if self.algorithm.features and rows.shape != (n_arms, dim):
            raise ValueError(
                f"features must be {n_arms} x {dim} finite numbers, a row per arm, got one row"
            )
        return rows

    def _suits(self, x: np.ndarray | None) -> None:
        """Let the algorithm refuse a task that it cannot meet; features may not be known yet."""
        if self.algorithm.check is not None:
            self.algorithm.check(self.task, x)

    def act(self, x: Any = None) -> np.ndarray:
        """How often to pull each arm now, (n_arms,) int64, cut to what is left of the horizon.

        All zeros when it is done.
        """
        pulls = np.zeros(self.task.n_arms, np.int64)
        left = self.task.horizon - self.t
        known, seen = self.algorithm, self.features(x)
        if left <= 0 or known.stop(known.params, self.state, self.t):
            return pulls
        if self.t == 0:
            self._suits(seen)
        with quiet():
            known.act(known.params, self.state, self.t, seen, self._rng, pulls)
        before = np.cumsum(pulls) - pulls
        return np.clip(pulls, 0, np.maximum(left - before, 0))

    def update(self, x: Any, pulls: Any, sums: Any) -> None:
        """Learn that ``pulls`` (n_arms,), what ``act`` gave, paid ``sums`` (n_arms,) in all.

        Raises ValueError for more pulls than are left, and for rewards it cannot use.
        """
        pulls = whole(pulls)
        try:
            sums = np.array(sums, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            sums = np.empty(0)
        n = (self.task.n_arms,)
        if pulls.shape != n or sums.shape != n or (pulls < 0).any():
            raise ValueError(f"pulls and sums must each hold {n[0]} numbers, pulls none below 0")
        if self.t + pulls.sum() > self.task.horizon:
            left = self.task.horizon - self.t
            raise ValueError(f"pulls must sum to at most {left}, what is left of the horizon")
        for k in np.flatnonzero(pulls):
            self._reward(float(sums[k] / pulls[k]), "the mean of an arm's rewards")
        if not pulls.any():  # as in a run, where what made no pull is over
            return
        with quiet():
            self.algorithm.update(
                self.algorithm.params, self.state, self.t, self.features(x), pulls, sums, self._rng
            )
        self.t += int(pulls.sum())

    def rehearse(self) -> None:
        """Make one batch that means nothing, on a copy: all kernels are compiled then."""
        low, high = self.algorithm.rewards
        n_arms, dim = self.task.n_arms, self.task.dim
        x = np.eye(n_arms, dim) if dim else None
        pulls = self.act(x)
        self.update(x, pulls, pulls * (low if low > -np.inf else min(high, 0.0)))
        self.act(x)
        self.recommend(x)


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """One batch after the other; released means are recorded where they are what is shown."""
    task, measures = bandit_task(terms), PROTOCOL.names
    measures = measures if terms.measure == "released" else measures[:-1]
    nouns = (terms.algorithm, terms.problem)
    pieces = Pieces(begin, play, *nouns)
    return Loop(run_block, *nouns, task, checkpoints, measures, pieces=pieces)


def refuse(terms: Terms) -> None:
    """A budget in which the algorithm cannot decide."""
    if getattr(terms.algorithm, "check", None) is not None:
        problem = terms.problem
        with quiet():
            nature = stream(random.key(0), 0, NATURE)
            world = problem.init(problem.params, nature)
            shown = problem.observe(problem.params, world, 0, nature)
        refused(terms, bandit_task(terms), shown)


# --- the contract -------------------------------------------------------------------------------


def by_hand(
    agent: IdentifyAgent, problem: Problem, rounds: int, world: Any, nature: np.ndarray
) -> tuple[list[Any], dict[str, float]]:
    """Batches of a hand-written loop, until ``rounds`` pulls or more were made: (pulls, sums)."""
    played: list[Any] = []
    before, grid = agent.t, agent.algorithm.grid
    x = problem.observe(problem.params, world, 0, nature)
    see = x if problem.shape[2] else None
    while agent.t - before < rounds:
        batch = agent.act(see)
        if not batch.any():
            break
        sums = np.zeros(problem.shape[0])
        for k in np.flatnonzero(batch):
            sums[k] = problem.batch(problem.params, world, x, k, batch[k], nature)
            if np.isnan(sums[k]):
                sums[k] = 0.0
                for _ in range(batch[k]):
                    reward = problem.pull(problem.params, world, x, k, nature)
                    sums[k] += grid * np.floor(reward / grid + 0.5) if grid > 0 else reward
        agent.update(see, batch, sums)
        played.append((batch.tolist(), sums.tolist()))
    gaps = [problem.regret(problem.params, world, x, k) for k in range(problem.shape[0])]
    error = sum(p * (gap > 0.0) for p, gap in zip(agent.recommend(see), gaps, strict=True))
    return played, {"pulls": agent.t, "error": error}


def shown(problem: Problem, world: Any, t: int, nature: np.ndarray) -> Any:
    """What the face is shown: features, if there are any."""
    return problem.observe(problem.params, world, 0, nature) if problem.shape[2] else None


PROTOCOL = Protocol(
    name="identify",
    algorithm=Identify,
    problem=Problem,
    measures=(
        Measure("error", "error probability", interval="clopper_pearson", span=share),
        Measure("simple_regret", "simple regret", unit="reward", span=as_rewards),
        Measure("pulls", "pulls until it stops", span=rounds),
        Measure("epsilon", "privacy spent, epsilon"),
        Measure("released", "released mean of the arm named"),
    ),
    xlabel="budget (pulls)",
    checkpoints=at_the_end,
    loop=loop,
    refuse=refuse,
    face=IdentifyAgent,
    report="release",
    contract=Contract(
        example=online.example,
        by_hand=by_hand,
        show=shown,
        probe="uniform_design",
        chance=lambda problem: 1.0 - 1.0 / problem.shape[0],
        # Luck shows where few pulls make some err, or when many end it.
        luck=(60, 3000),
        points=lambda points: points[-1:],
    ),
)
