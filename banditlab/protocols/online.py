"""Online play: see a context or features, choose an arm, see its reward.

The file holds, top to bottom, what an algorithm brings (:class:`Online`), what a problem brings
(:class:`Problem`), the fused loop, the face for other code (:class:`OnlineAgent`), how the contract
plays, and what all of it is called (``PROTOCOL``). One file, though long: a protocol is one file,
from its nouns to its face.

One round ``t`` (counted from 0)::

    x = observe(t)            # (n_arms, dim), (1, dim), [[context]], or [[0]] when nothing is shown
    arm = act(t, x)
    regret += regret(x, arm)  # expected loss against the best arm of this round, from true means
    reward = pull(x, arm)
    deliver: update(t, x, arm, reward), now or, with delays, later
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from banditlab import random, registry
from banditlab.agent import BanditAgent, quiet
from banditlab.core import kernel, kernel_inline
from banditlab.data.log import Log
from banditlab.protocols.base import (
    SLICE,
    Contract,
    Loop,
    Measure,
    Pieces,
    Protocol,
    Terms,
    as_all_rewards,
    bandit_task,
    changes,
    refused,
)
from banditlab.protocols.loops import lanes
from banditlab.random import AGENT, NATURE, OBSERVATION, below, categorical, stream
from banditlab.validate import between, integer
from banditlab.validate import shown as words

ANY_REWARD = (-np.inf, np.inf)
# What an act of -1 means, of an algorithm whose file has no ``gives_up`` that says it.
GAVE_UP = (
    "its predictions diverged or no longer depend on the features; take a smaller lr, or rows of "
    "features of length 1"
)
UNIT_REWARD = (0.0, 1.0)


@kernel
def deterministic(params, state, t, x, out):
    """Mark of an algorithm whose next arm is no random draw: its propensities are nan."""
    for k in range(out.size):
        out[k] = np.nan


@kernel
def as_played(params, state, t, x, arm, reward, rng):
    """A logged round teaches what a played round would: False leaves it to ``update``."""
    return False


LONGEST = 1 << 60  # rounds that a clock can count to


class Many(NamedTuple):
    """Kernels of an algorithm for many arms."""

    least: int  # number of arms from which on they are quicker
    init: Callable[..., Any]
    act: Callable[..., int]
    update: Callable[..., None]


class Online(NamedTuple):
    """An algorithm that speaks ``online``: hyper-parameters and kernels, no data.

    ``out`` arrays have one entry per arm and are preallocated by the caller.
    """

    params: Any  # NamedTuple of hyper-parameters; the factory's arguments carry the same names
    init: Callable[..., Any]  # (params, task, rng) -> State
    act: Callable[..., int]  # (params, state, t, x, rng) -> arm; -1: it gives up, for good
    update: Callable[..., None]  # (params, state, t, x, arm, reward, rng), in place
    recommend: Callable[..., None]  # (params, state, x, rng, out): probabilities over arms
    propensities: Callable[..., None] = deterministic  # (params, state, t, x, out): of the next act
    fit: Callable[..., bool] = as_played  # like update, for a logged round; False: call update
    rewards: tuple[float, float] = ANY_REWARD  # the range of rewards it accepts
    features: bool = False  # whether it cannot do without features
    lanes: Any = None  # loops.lanes.Lanes, if many replications can be played in lock-step
    many: Many | None = None  # other kernels that make the same choices of many arms sooner
    # (task): raises ValueError, in one line, for a task that the algorithm cannot meet
    check: Callable[..., None] | None = None


def for_arms(algorithm: Online, n_arms: int) -> Online:
    """The algorithm in the form that is quickest with ``n_arms`` arms; its choices are the same.

    It then has no lanes: these look at every arm.
    """
    many = algorithm.many
    if many is None or n_arms < many.least:
        return algorithm
    return algorithm._replace(init=many.init, act=many.act, update=many.update, lanes=None)


@kernel
def uniformly(params, world, x, rng):
    """The log was collected by choosing every arm with the same probability: -1 says so."""
    return -1


@kernel
def row_by_row(params, world, rounds, rng, counts, sums):
    """The log has no shortcut: False asks the loop to play ``behave`` round by round."""
    return False


@kernel
def evenly(params, world, out):
    """Every context is equally likely."""
    for s in range(out.size):
        out[s] = 1.0 / out.size


@kernel
def at_once(params, world, t, x, arm, reward):
    """Every reward reaches the algorithm in the round in which it was earned: -1 says so."""
    return -1


@kernel
def no_arrival(params, world, i):
    """Gives ``arrival`` its type where nothing ever waits."""
    return i, np.empty((0, 0)), i, 0.0  # not 0: for a constant, update would be compiled anew


@kernel
def pull_by_pull(params, world, x, arm, n, rng):
    """The sum of many rewards has no shortcut: nan asks the loop to pull one by one."""
    return np.nan


class Problem(NamedTuple):
    """What nature does: parameters and kernels that show features, pay rewards, know the regret.

    What ``pull`` takes from the stream must not depend on the arm, so that two algorithms with
    one seed face the same luck; a sampler whose draws depend on the arm runs on
    ``banditlab.random.fork(rng)``.
    """

    params: Any
    init: Callable[..., Any]  # (params, rng) -> World
    observe: Callable[..., Any]  # (params, world, t, rng) -> x
    pull: Callable[..., float]  # (params, world, x, arm, rng) -> reward
    regret: Callable[..., float]  # (params, world, x, arm) -> expected loss against the best arm
    shape: tuple[int, int, int]  # n_arms, n_contexts (1 when there are none), dim
    rewards: tuple[float, float] = UNIT_REWARD  # the range of rewards it pays
    # The logging policy and its log, for offline learning and warm starts:
    behave: Callable[..., int] = uniformly  # (params, world, x, rng) -> arm, or -1 for any arm
    log: Callable[..., bool] = row_by_row  # (params, world, rounds, rng, counts, sums): adds
    weights: Callable[..., None] = evenly  # (params, world, out): probability of each context
    # Delayed rewards: how many arrive in round t, and the i-th of them as (t, x, arm, reward).
    arrivals: Callable[..., int] = at_once  # (params, world, t, x, arm, reward) -> number, or -1
    arrival: Callable[..., tuple] = no_arrival  # (params, world, i)
    lanes: Any = None  # loops.lanes.Arms, if many replications can be played in lock-step
    # For pure exploration: the sum of n rewards at once, of the law that n pulls have.
    batch: Callable[..., float] = pull_by_pull  # (params, world, x, arm, n, rng) -> sum
    supply: tuple[int, ...] = ()  # rewards that each arm can pay at most; (): any number


class Run(NamedTuple):
    """One replication under way."""

    state: Any
    world: Any
    totals: np.ndarray  # (3,) float64: regret, reward, switches
    last: np.ndarray  # (1,) int64: the arm of the round before, -1 at the start
    nature: np.ndarray  # (4,) uint64
    agent: np.ndarray  # (4,) uint64


@kernel_inline
def begin(algorithm, problem, task, key, replication, log_rounds):
    """A fresh replication; with ``log_rounds`` the algorithm first learns from a log of that size.

    The log comes from a stream of its own, so all algorithms with one seed read the same log.
    """
    nature = stream(key, replication, NATURE)
    agent = stream(key, replication, AGENT)
    world = problem.init(problem.params, nature)
    state = algorithm.init(algorithm.params, task, agent)
    if log_rounds > 0:
        logger = stream(key, replication, OBSERVATION)
        for t in range(log_rounds):
            x = problem.observe(problem.params, world, t, logger)
            arm = problem.behave(problem.params, world, x, logger)
            arm = arm if arm >= 0 else below(logger, task.n_arms)
            reward = problem.pull(problem.params, world, x, arm, logger)
            if not algorithm.fit(algorithm.params, state, t, x, arm, reward, agent):
                algorithm.update(algorithm.params, state, t, x, arm, reward, agent)
    return Run(state, world, np.zeros(3), np.full(1, -1), nature, agent)


@kernel_inline
def advance(algorithm, problem, run, t0, t1):
    """Play the rounds ``t0 <= t < t1`` of one replication."""
    regret = run.totals[0]
    income = run.totals[1]
    switches = run.totals[2]
    last = run.last[0]
    for t in range(t0, t1):
        x = problem.observe(problem.params, run.world, t, run.nature)
        arm = algorithm.act(algorithm.params, run.state, t, x, run.agent)
        gave_up = np.nan if arm < 0 else 0.0  # every measure is nan from here on
        arm = max(arm, 0)
        # Before pull: regret is charged on the world as the algorithm found it.
        regret += problem.regret(problem.params, run.world, x, arm) + gave_up
        reward = problem.pull(problem.params, run.world, x, arm, run.nature)
        income += reward + gave_up
        switches += gave_up + (1.0 if arm != last and t > 0 else 0.0)
        last = arm
        waiting = problem.arrivals(problem.params, run.world, t, x, arm, reward)
        if waiting < 0:
            algorithm.update(algorithm.params, run.state, t, x, arm, reward, run.agent)
        for i in range(waiting):
            then, seen, pulled, paid = problem.arrival(problem.params, run.world, i)
            algorithm.update(algorithm.params, run.state, then, seen, pulled, paid, run.agent)
    run.totals[0] = regret
    run.totals[1] = income
    run.totals[2] = switches
    run.last[0] = last


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):
    """Replications ``first, first + 1, ...``, as many as ``record`` has rows.

    ``record`` (replications, checkpoints, measures) float64 receives the totals;
    ``progress`` (2,) int64 counts finished rounds in [0] and is asked to stop by [1] != 0.
    """
    for i in range(record.shape[0]):
        run = begin(algorithm, problem, task, key, first + i, log_rounds)
        t = 0
        for c in range(checkpoints.size):
            while t < checkpoints[c]:
                t1 = min(t + SLICE, checkpoints[c])
                advance(algorithm, problem, run, t, t1)
                progress[0] += t1 - t
                t = t1
                if progress[1] != 0:
                    return
            for m in range(3):
                record[i, c, m] = run.totals[m]


@kernel_inline
def play(algorithm, problem, task, run, t, end, most, row):
    """A piece of one replication, see base.Pieces."""
    t1 = min(t + most, end)
    advance(algorithm, problem, run, t, t1)
    for m in range(3):
        row[m] = run.totals[m]
    return t1


# --- in other code ------------------------------------------------------------------------------


class OnlineAgent(BanditAgent):
    """An algorithm that chooses an arm and sees its reward.

    Parameters
    ----------
    algorithm
        A name of ``banditlab.names()``, a ``.py`` file, or what ``banditlab.make`` returns.
    n_arms
        Number of arms, at least 2.
    n_contexts
        Number of contexts; 1 when there are none. With several, ``x`` is the context's number.
    dim
        Number of features per arm; 0 when there are none.
    horizon
        Number of rounds that will be played; 0 when unknown. Some algorithms need it.
    seed
        Same seed, same choices. The stream is that of replication 0 of an arena run.
    hyper
        Hyper-parameters of the algorithm when it is given by name.
    """

    arguments = ("n_arms", "n_contexts", "dim", "horizon")

    def __init__(
        self,
        algorithm: Any,
        *,
        n_arms: int,
        n_contexts: int = 1,
        dim: int = 0,
        horizon: int = 0,
        seed: int = 0,
        **hyper: Any,
    ):
        super().__init__(
            algorithm, hyper, n_arms=n_arms, n_contexts=n_contexts, dim=dim, horizon=horizon,
            seed=seed,
        )  # fmt: skip
        if self.algorithm.check is not None:
            self.algorithm.check(self.task)
        self._begin()

    def act(self, x: Any = None) -> int:
        """The arm to pull, 0 .. n_arms - 1, given what ``x`` shows; see :meth:`features`.

        For many rounds at once, and to know how likely the arms were, see :meth:`decide`.

        Raises ValueError when the algorithm has given up: its predictions diverged.
        """
        with quiet():
            seen = self.features(x)
            arm = self.algorithm.act(self.algorithm.params, self.state, self.t, seen, self._rng)
        if arm < 0:
            raise ValueError(self._gave_up())
        return int(arm)

    def update(self, x: Any, arm: int, reward: float, *, t: int | None = None) -> None:
        """Learn that ``arm`` paid ``reward`` and move on to the next round.

        A reward that arrives late is handed over with its own round ``t`` (from 0), ``x`` and
        ``arm``; the clock then stands still, and :meth:`tick` moves it once a round. Raises
        ValueError for an arm that does not exist, for a reward that the algorithm cannot use, and
        for a round that is still to come.
        """
        with quiet():
            self.algorithm.update(
                self.algorithm.params,
                self.state,
                self.t if t is None else integer("t", t, 0, self.t),
                self.features(x),
                self._arm(arm),
                self._reward(reward),
                self._rng,
            )
        if t is None:
            self.t += 1

    def tick(self, rounds: int = 1) -> None:
        """Move on by ``rounds`` without learning: for rewards that arrive late."""
        self.t += integer("rounds", rounds, 0, LONGEST - self.t)

    def decide(self, block: Any, *, floor: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Arms for many rounds at once, and with which probability each of them was drawn.

        Parameters
        ----------
        block
            An entry per round, what the round shows. Where arms have features, an entry may be a
            matrix of at most n_arms rows, one for each arm that is on offer: the arm is the row.
            Exploration is then that of n_arms arms, of which each row has its share. A matrix of
            one row is what all arms share, as in :meth:`act`, to an agent with ``disjoint``, and
            the one arm on offer to an agent without, which tells arms by nothing but their rows.
        floor
            The least probability of an arm on offer, at most 1 / n_arms: with probability
            ``floor`` times their number one of them is drawn evenly, else by the algorithm. What
            other rules would have earned can then be told from the log.

        Returns
        -------
        (arms, propensities)
            int64 (n,) and float64 (n,). The propensities are those to log: floor included. The
            clock stands still, and nothing is learned; see :meth:`learn`.

        Raises
        ------
        ValueError
            In one line, for an entry that is no context of the task.
        """
        floor = between("floor", floor, 0.0, 1.0 / self.task.n_arms)
        offers = [self._offer(x) for x in _entries(block)]
        arms, chances = np.empty(len(offers), np.int64), np.empty(len(offers))
        for i, (seen, offered) in enumerate(offers):
            rule = (1.0 - offered * floor) * self._chosen(seen, offered) + floor
            with quiet():
                arms[i] = categorical(self._rng, rule)
            chances[i] = rule[arms[i]] / rule.sum()
        return arms, chances

    def learn(self, block: Any, arms: Any, rewards: Any, *, t: Any = None) -> None:
        """Learn what the ``arms`` of a ``block`` paid, in order; the clock moves on by its length.

        ``block`` is that of :meth:`decide`, or what of it is answered by now. Rewards that arrive
        late come with their rounds ``t``; then the clock stands still, see :meth:`tick`.

        Raises ValueError, in one line, for the first entry that cannot be, and learns nothing.
        """
        seen = [self._offer(x) for x in _entries(block)]
        columns = {"arms": arms, "rewards": rewards, **({} if t is None else {"t": t})}
        for name, column in columns.items():
            size = _shape(column)
            if size != f"shape ({len(seen)},)":
                raise ValueError(f"{name} must have an entry for each of {len(seen)}, got {size}")
        pulled = [self._arm(arm) for arm in arms]
        for arm, (_, offered) in zip(pulled, seen, strict=True):
            if arm >= offered:
                raise ValueError(f"arms must be rows on offer, 0 to {offered - 1}, got {arm}")
        paid = [self._reward(reward) for reward in rewards]
        rounds = [integer("t", then, 0, self.t) for then in t] if t is not None else None
        for i, (x, _) in enumerate(seen):
            shown = x if self.task.dim else x[0, 0]
            self.update(shown, pulled[i], paid[i], t=None if rounds is None else rounds[i])

    def _offer(self, x: Any) -> tuple[np.ndarray, int]:
        """``x`` as :meth:`features` has it, and how many arms are on offer.

        Fewer rows than arms are repeated in turn until there are enough.
        """
        n_arms, _, dim = self.task[:3]
        if dim == 0 or np.ndim(x) != 2 or not 0 < np.shape(x)[0] < n_arms:
            return self.features(x), n_arms
        offered, disjoint = np.shape(x)[0], getattr(self.algorithm.params, "disjoint", None)
        if disjoint and offered == 1:
            return self.features(x), n_arms
        if disjoint is None and offered == 1:
            raise ValueError(
                f"an entry of one row may be what all arms share, or one arm on offer, to "
                f"{self.name}: hand it over as {dim} numbers where all share it, else {n_arms} "
                "times, once for each arm"
            )
        if disjoint:
            raise ValueError(
                f"{self.name} keeps coefficients per arm: arms that come and go need features that "
                "tell them apart, and disjoint = false"
            )
        rows = np.asarray(x)
        return self.features(rows[np.arange(n_arms) % offered]), offered

    def _chosen(self, seen: np.ndarray, offered: int) -> np.ndarray:
        """How likely each of the ``offered`` rows is chosen, of a table that repeats them.

        What falls on a copy is the row's. Where some rows have a copy more than others, an
        algorithm that draws would prefer them: so each has its turn, and the mean counts.
        """
        n_arms = self.task.n_arms
        draws = self.algorithm.propensities is not deterministic
        turns = offered if draws and n_arms % offered else 1
        chosen = np.zeros(offered)
        for turn in range(turns):
            rows = (np.arange(n_arms) + turn) % offered
            shown = seen[rows] if turn else seen
            every = self.propensities(shown if self.task.dim else shown[0, 0])
            chosen += np.bincount(rows, every, offered) / turns
        return chosen

    def propensities(self, x: Any = None) -> np.ndarray:
        """Probabilities (n_arms,) of the arms that ``act`` would draw from now.

        A deterministic algorithm gives 1 to the arm that it would pull. Raises ValueError when the
        algorithm has given up.
        """
        out = np.zeros(self.task.n_arms)
        known, seen = self.algorithm, self.features(x)
        with quiet():
            if known.propensities is deterministic:
                arm = known.act(known.params, self.state, self.t, seen, self._rng.copy())
                out[arm] = 1.0 if arm >= 0 else np.nan
            else:
                known.propensities(known.params, self.state, self.t, seen, out)
        if np.isnan(out).any():
            raise ValueError(self._gave_up())
        return out

    def _gave_up(self) -> str:
        return f"{self.name} gave up: {registry.gives_up(self.algorithm) or GAVE_UP}"

    def means(self, x: Any = None) -> np.ndarray:
        """Mean reward (n_arms,) of each arm so far, in context ``x``; nan where it has none.

        Raises ValueError for an algorithm that keeps no mean of each arm.
        """
        tables = [getattr(self.state, name, None) for name in ("sums", "pulls")]
        if any(table is None or table.shape != self._tables for table in tables):
            raise ValueError(f"{self.name} keeps no mean of each arm")
        row = int(self.features(x)[0, 0]) if self.task.n_contexts > 1 else 0
        sums, pulls = (table[row] for table in tables if table is not None)
        with quiet():
            return np.asarray(sums / pulls)

    @property
    def _tables(self) -> tuple[int, int]:
        return self.task.n_contexts, self.task.n_arms

    def fit(self, log: Any) -> Self:
        """Learn from a log of other people's choices; returns the agent.

        ``log`` is a :class:`banditlab.Log`, a pandas frame with its columns, or a path to a CSV or
        Parquet file. The agent's clock does not move. A task with features learns from the log's
        features, one row that all arms share; one with contexts from its contexts.

        Raises ValueError for a log that the task cannot be learned from (other features, no
        contexts, more arms), and for a reward that the algorithm cannot use.
        """
        log = Log.of(log).fitted(self.task)
        shown: Any = log.context if self.task.n_contexts > 1 else log.x
        if self.task.n_contexts == 1 and self.task.dim == 0:
            shown = [None] * len(log)
        for reward in (log.reward.min(), log.reward.max()):  # before anything is learned
            self._reward(float(reward))
        with quiet():
            for i in range(len(log)):
                row = (
                    self.algorithm.params, self.state, i, self.features(shown[i]),
                    self._arm(log.action[i]), self._reward(log.reward[i]), self._rng,
                )  # fmt: skip
                if not self.algorithm.fit(*row):
                    self.algorithm.update(*row)
        return self

    def rehearse(self) -> None:
        """Play one round that means nothing, on a copy: all kernels are compiled then."""
        low, high = self.algorithm.rewards
        x = self._nothing()
        self.update(x, self.act(x), low if low > -np.inf else min(high, 0.0))
        self.recommend(x)


def _shape(column: Any) -> str:
    """The shape of a column, in words; rows of different lengths have none."""
    try:
        return f"shape {np.shape(column)}"
    except ValueError:
        return "rows of different lengths"


def _entries(block: Any) -> Sequence[Any]:
    """The entries of a block of rounds; of a frame its rows."""
    rows = block.to_numpy() if hasattr(block, "to_numpy") else block
    is_list = isinstance(rows, Sequence) and not isinstance(rows, str)
    if not is_list and not (isinstance(rows, np.ndarray) and rows.ndim > 0):
        raise ValueError(f"block must be a list with an entry per round, got {words(block)}")
    return rows


# --- the contract -------------------------------------------------------------------------------


def shown(problem: Problem, world: Any, t: int, nature: np.ndarray) -> Any:
    """What the face is shown in round ``t``."""
    x = problem.observe(problem.params, world, t, nature)
    return x if problem.shape[2] else x[0, 0] if problem.shape[1] > 1 else None


def by_hand(
    agent: OnlineAgent, problem: Problem, rounds: int, world: Any, nature: np.ndarray
) -> tuple[list[Any], dict[str, float]]:
    """Rounds of a hand-written loop: (arm, reward) each, and the regret of all of them."""
    seen, regret = [], 0.0
    for t in range(rounds):
        x = problem.observe(problem.params, world, t, nature)
        see = x if problem.shape[2] else x[0, 0] if problem.shape[1] > 1 else None
        arm = agent.act(see)
        regret += problem.regret(problem.params, world, x, arm)
        reward = problem.pull(problem.params, world, x, arm, nature)
        agent.update(see, arm, reward)
        seen.append((arm, reward))
    return seen, {"regret": regret}


def example(algorithm: Any) -> tuple[str, dict[str, Any]]:
    """An easy problem."""
    if getattr(algorithm, "features", False):
        return "linear", {"n_arms": 4, "dim": 3}
    return "bernoulli", {"means": [0.2, 0.5, 0.8]}


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """Lanes where they can be had; an offline rule is scored by what it has learned."""
    algorithm, problem = for_arms(terms.algorithm, terms.problem.shape[0]), terms.problem
    task = bandit_task(terms)
    log, run = (terms.log if terms.warm else 0), run_block
    pieces = Pieces(begin, play, algorithm, problem)
    together = log == 0 and algorithm.lanes is not None and problem.lanes is not None
    if together:
        run, algorithm, problem = lanes.run_block, algorithm.lanes, problem.lanes
    return Loop(
        run, algorithm, problem, task, checkpoints, PROTOCOL.names, log, lockstep=together,
        pieces=pieces,
    )  # fmt: skip


def regret_is_sound(name: str, problem: Problem) -> None:
    """Regret is never negative, and some arm has none; rewards stay in the stated range."""
    n_arms = problem.shape[0]
    nature = stream(random.key(1), 0, NATURE)
    world = problem.init(problem.params, nature)
    for t in range(50):
        x = problem.observe(problem.params, world, t, nature)
        regrets = [problem.regret(problem.params, world, x, k) for k in range(n_arms)]
        assert min(regrets) >= 0.0, f"{name}: regret {min(regrets)} in round {t}"
        assert min(regrets) < 1e-12, f"{name}: no arm is best in round {t}"
        reward = problem.pull(problem.params, world, x, t % n_arms, nature)
        low, high = problem.rewards
        assert low <= reward <= high, f"{name}: reward {reward} outside {problem.rewards}"


def shows_what_it_says(name: str, problem: Problem) -> None:
    """``x`` is a C-contiguous float64 matrix of the shape that the problem states."""
    n_arms, n_contexts, dim = problem.shape
    nature = stream(random.key(1), 0, NATURE)
    world = problem.init(problem.params, nature)
    x = problem.observe(problem.params, world, 0, nature)
    assert x.ndim == 2 and x.dtype == np.float64 and x.flags.c_contiguous, f"{name}: {x!r}"
    allowed = ((n_arms, dim), (1, dim)) if dim else ((1, 1),)
    assert x.shape in allowed, f"{name}: x has shape {x.shape}, stated was {problem.shape}"
    if n_contexts > 1:
        assert 0 <= x[0, 0] < n_contexts


def luck_does_not_depend_on_the_arm(name: str, problem: Problem) -> None:
    """Whatever is pulled, nature's stream ends in the same state: agents can be paired."""
    ends = []
    for shift in (0, 1):
        nature = stream(random.key(1), 0, NATURE)
        world = problem.init(problem.params, nature)
        for t in range(200):
            x = problem.observe(problem.params, world, t, nature)
            arm = (shift * t) % problem.shape[0]
            reward = problem.pull(problem.params, world, x, arm, nature)
            problem.arrivals(problem.params, world, t, x, arm, reward)
        ends.append(nature.tolist())
    assert ends[0] == ends[1], f"{name}: what pull draws depends on the arm; use random.fork"


def income(terms: Terms) -> tuple[float, float]:
    """The range of all rewards, added up."""
    low, high = terms.problem.rewards
    return float(terms.horizon * low), float(terms.horizon * high)


PROTOCOL = Protocol(
    name="online",
    algorithm=Online,
    problem=Problem,
    measures=(
        Measure("regret", "pseudo-regret", unit="reward", span=as_all_rewards),
        Measure("reward", span=income),
        Measure("switches", span=changes),
    ),
    xlabel="round",
    rounds=True,
    warm=True,
    refuse=lambda terms: refused(terms, bandit_task(terms)),
    loop=loop,
    face=OnlineAgent,
    contract=Contract(
        example=example,
        by_hand=by_hand,
        show=shown,
        probe="ucb",
        rival="uniform",
        luck=(60,),
        sound=(regret_is_sound, shows_what_it_says, luck_does_not_depend_on_the_arm),
    ),
)
