"""Learning a Markov decision process by playing it, one episode after the other.

The file holds, top to bottom, what an algorithm is told (:class:`Episodes`) and brings
(:class:`Episodic`), what a problem brings (:class:`EpisodicMDP`), the loop, the face for other code
(:class:`EpisodicAgent`), and what all of it is called (``PROTOCOL``). One file, though long: a
protocol is one file, from its nouns to its face. Problems that are finite models share kernels, see
:mod:`banditlab.parts.finite_models`.

Before episode ``k`` (counted from 0) the algorithm makes a plan; in the episode it acts by step and
state, and sees what came of it::

    plan(k)
    s = first state
    for h in range(steps):
        a = act(h, s)
        update(h, s, a, r, after)     # after: the next state, or n_states where the episode ended

An episode that *terminates* is worth nothing from then on; one that has lasted ``steps`` is cut
off. Regret of an episode is V* minus the value of the rule that was played, by exact evaluation in
the true model: returns that were drawn play no part in it. The horizon of an arena counts episodes.

Algorithms see rewards scaled, ``(r - low) / (high - low)``, so that a step earns about [0, 1]; an
ended episode then earns ``(0 - low) / (high - low)`` in each step that is left.

Arrays have a leading axis L: 1 where dynamics are the same in all steps, else the number of steps.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab import random
from banditlab.agent import LARGEST, Agent, quiet
from banditlab.core import kernel, kernel_inline
from banditlab.machine import check_room
from banditlab.protocols.base import (
    Contract,
    Loop,
    Measure,
    Pieces,
    Protocol,
    Terms,
    refused,
    rounds,
)
from banditlab.protocols.online import ANY_REWARD
from banditlab.random import AGENT, NATURE, stream
from banditlab.validate import flag, integer, number

SLICE = 16  # episodes between two looks at the stop flag: some planners take 50 ms for one
SLACK = 0.1  # by how much of the range that is promised rewards may leave it
SOLVED = 0.8  # a problem is solved once fewer than this share of all episodes were bad (bsuite)


class Episodes(NamedTuple):
    """What an algorithm may know before the first episode."""

    n_states: int
    n_actions: int
    steps: int  # of an episode, at most
    horizon: int = 0  # number of episodes; 0 when unknown
    pooled: bool = False  # dynamics are the same in all steps: counts may be shared
    ends: bool = False  # whether an episode may terminate before its last step
    outcomes: int = 0  # at most so many next states of a pair, where that saves memory; 0: unknown
    columns: int = 1  # actions of an opponent; action a * columns + b is the pair (a, b)
    low: float = 0.0  # rewards lie in [low, high], before they are scaled
    high: float = 1.0
    most: float = math.inf  # no episode, or rest of one, earns more than this, before scaling


class Episodic(NamedTuple):
    """An algorithm that speaks ``episodic``: hyper-parameters and kernels, no data."""

    params: Any  # NamedTuple of hyper-parameters; the factory's arguments carry the same names
    # (params, task, means, rng) -> State; means (L, S, A) where mean rewards are told, else (0,0,0)
    init: Callable[..., Any]
    plan: Callable[..., None]  # (params, state, k, rng): ties are broken here, not in act
    act: Callable[..., int]  # (params, state, h, s, rng) -> action; writes nothing
    update: Callable[..., None]  # (params, state, h, s, a, r, after, rng)
    rule: Callable[..., None]  # (params, state, out): out (H, S, A), the probabilities to evaluate
    # task -> None, in Python: raises ValueError where the task does not suit the algorithm
    check: Callable[..., None] | None = None
    rewards: tuple[float, float] = ANY_REWARD  # any: the loop scales them
    bounded: bool = True  # whether it needs rewards within a range


class EpisodicMDP(NamedTuple):
    """What nature does, and what is told of it."""

    params: Any
    init: Callable[..., Any]  # (params, rng) -> World
    begin: Callable[..., int]  # (params, world, rng) -> first state
    # (params, world, h, s, a, rng) -> next state (n_states when it ended), reward, whether it ended
    step: Callable[..., tuple[int, float, bool]]
    value: Callable[..., float]  # (params, world, rule) -> exact value of a rule (H, S, A)
    optimum: Callable[..., float]  # (params, world) -> V*
    means: Callable[..., np.ndarray]  # (params, world) -> mean rewards (L, S, A)
    shape: tuple[int, int, int]  # n_actions, n_states, 0
    steps: int  # H
    rewards: tuple[float, float]  # range of the rewards; infinite where noise is Gaussian
    low: float = 0.0  # the range by which rewards are scaled
    high: float = 1.0
    known: bool = False  # whether the algorithm is told the mean rewards
    pooled: bool = False  # whether it is told that dynamics are the same in all steps
    ends: bool = False  # whether an episode may terminate before its last step
    outcomes: int = 0  # different next states of a pair, at most; 0: n_states
    columns: int = 1  # actions of an opponent
    most: float = math.inf  # no episode, or rest of one, earns more
    good: float = math.inf  # return from which on an episode is not a bad one
    until_solved: bool = False  # whether nothing is played, or lost, any more once it is solved


# --- what algorithms read off the task ----------------------------------------------------------


@kernel
def ceiling(task, h):
    """No scaled value of steps h, h + 1, ... exceeds this."""
    left = (task.steps - h) * 1.0
    return min(left, (task.most - left * task.low) / (task.high - task.low))


@kernel
def worth_of_end(task, h):
    """Scaled value of having ended before step h."""
    return (task.steps - h) * ((0.0 - task.low) / (task.high - task.low))


# --- checks of what is told ----------------------------------------------------------------------


def floats(values: Any, name: str) -> np.ndarray:
    """A fresh float64 array; ValueError in one line for what is none."""
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name} must be numbers in rows of one length") from None


def finite_range(low: Any, high: Any) -> tuple[float, float]:
    """``low`` below ``high``, by a finite number; ValueError otherwise."""
    least, most = number("low", low), number("high", high)
    if not least < most or most - least == math.inf:
        raise ValueError(f"low must be below high, by a finite number, got {low!r} and {high!r}")
    return least, most


def limit(name: str, value: Any) -> float:
    """A finite number, or infinity for no limit; ValueError otherwise."""
    try:
        if float(value) == math.inf:
            return math.inf
    except (TypeError, ValueError, OverflowError):
        pass
    return number(name, value)


# --- the loop -----------------------------------------------------------------------------------


class Run(NamedTuple):
    """One replication under way."""

    state: Any
    world: Any
    rule: np.ndarray  # (H, S, A) float64: what is played
    last: np.ndarray  # (H, S, A) float64: what was played before
    totals: np.ndarray  # (4,) float64: regret, gap, bad episodes, the episode that solved it (0)
    nature: np.ndarray  # (4,) uint64
    agent: np.ndarray  # (4,) uint64


@kernel_inline
def begin(algorithm, problem, task, key, replication, log_rounds):
    """A fresh replication. ``log_rounds`` belongs to the common shape and is not used."""
    nature = stream(key, replication, NATURE)
    agent = stream(key, replication, AGENT)
    world = problem.init(problem.params, nature)
    means = np.zeros((0, 0, 0))
    if problem.known:
        means = problem.means(problem.params, world)
    state = algorithm.init(algorithm.params, task, means, agent)
    shape = (task.steps, task.n_states, task.n_actions)
    return Run(state, world, np.zeros(shape), np.zeros(shape), np.zeros(4), nature, agent)


@kernel
def renewed(rule, last):
    """Whether ``rule`` is another than ``last``, which then becomes the same."""
    found = False
    H, S, A = rule.shape
    for h in range(H):
        for s in range(S):
            for a in range(A):
                found |= rule[h, s, a] != last[h, s, a]
                last[h, s, a] = rule[h, s, a]
    return found


@kernel
def lost_by(best, worth):
    """V* minus a value; both are exact to rounding, which is no loss."""
    lost = best - worth
    return lost if abs(lost) > 1e-11 * max(1.0, abs(best)) else 0.0


@kernel_inline
def advance(algorithm, problem, task, run, k0, k1):
    """Play the episodes ``k0 <= k < k1`` of one replication."""
    known, given = algorithm.params, problem.params
    state, world, rule, totals = run.state, run.world, run.rule, run.totals
    last = run.last
    nature, agent = run.nature, run.agent
    best = problem.optimum(given, world)
    for k in range(k0, k1):
        if problem.until_solved and totals[3] > 0.0:
            break
        algorithm.plan(known, state, k, agent)
        algorithm.rule(known, state, rule)
        if renewed(rule, last):  # most agents settle down, and to evaluate takes time
            totals[1] = lost_by(best, problem.value(given, world, rule))
        totals[0] += totals[1]
        s = problem.begin(given, world, nature)
        earned = 0.0
        for h in range(task.steps):
            a = algorithm.act(known, state, h, s, agent)
            after, r, over = problem.step(given, world, h, s, a, nature)
            earned += r
            after = task.n_states if over else after
            scaled = (r - task.low) / (task.high - task.low)
            algorithm.update(known, state, h, s, a, scaled, after, agent)
            if over:
                break
            s = after
        if earned < problem.good:
            totals[2] += 1.0
        if totals[3] == 0.0 and totals[2] < SOLVED * (k + 1.0):
            totals[3] = k + 1.0


@kernel_inline
def score(run, k, row):
    """What is recorded after ``k`` episodes, into ``row`` (measures,).

    ``solved`` is the number of episodes so far while it is not.
    """
    row[0] = run.totals[0]
    row[1] = run.totals[1]
    row[2] = run.totals[2]
    row[3] = run.totals[3] if run.totals[3] > 0.0 else k * 1.0


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):
    """Replications ``first, first + 1, ...``, as many as ``record`` has rows.

    For ``record`` and ``progress`` see online.run_block.
    """
    for i in range(record.shape[0]):
        run = begin(algorithm, problem, task, key, first + i, log_rounds)
        k = 0
        for c in range(checkpoints.size):
            while k < checkpoints[c]:
                k1 = min(k + SLICE, checkpoints[c])
                advance(algorithm, problem, task, run, k, k1)
                progress[0] += k1 - k
                k = k1
                if progress[1] != 0:
                    return
            score(run, k, record[i, c])


@kernel_inline
def play(algorithm, problem, task, run, k, end, most, row):
    """A piece of one replication, see base.Pieces."""
    k1 = min(k + most, end)
    advance(algorithm, problem, task, run, k, k1)
    score(run, k1, row)
    return k1


# --- in other code ------------------------------------------------------------------------------


class EpisodicAgent(Agent):
    """An algorithm that learns by playing episodes, one step at a time.

    Parameters
    ----------
    algorithm
        A name of ``banditlab.names()``, a ``.py`` file, or what ``banditlab.make`` returns.
    n_states, n_actions
        States and actions are 0, 1, ...
    steps
        Length of an episode, at most. Where an environment goes on for longer, the next episode
        begins where this one was cut off.
    horizon
        Number of episodes that will be played; 0 when unknown. Some algorithms need it.
    pooled
        Whether dynamics are known to be the same in all steps, so that counts are shared.
    ends
        Whether an episode may terminate before its last step.
    columns
        Actions of an opponent in a zero-sum game, where ``a * columns + b`` is the pair (a, b).
    low, high
        Range of the rewards.
    most
        No episode, nor what is left of one, earns more than this; None where nothing of the kind is
        known.
    means
        Mean rewards (L, n_states, n_actions) where they are known, L being 1 or ``steps``.
    seed
        Same seed, same choices. The stream is that of replication 0 of an arena run.
    hyper
        Hyper-parameters of the algorithm when it is given by name.

    ``t`` counts episodes. The loop is Gymnasium's::

        state, info = env.reset()
        over = False
        while not over:
            action = agent.act(state)
            after, reward, terminated, truncated, info = env.step(action)
            agent.update(state, action, reward, after, terminated, truncated)
            state, over = after, terminated or truncated
    """

    arguments = (
        "n_states", "n_actions", "steps", "horizon", "pooled", "ends", "columns", "low", "high",
        "most",
    )  # fmt: skip

    def __init__(
        self,
        algorithm: Any,
        *,
        n_states: int,
        n_actions: int,
        steps: int,
        horizon: int = 0,
        pooled: bool = False,
        ends: bool = True,
        columns: int = 1,
        low: float = 0.0,
        high: float = 1.0,
        most: float | None = None,
        means: Any = None,
        seed: int = 0,
        **hyper: Any,
    ):
        super().__init__(algorithm, seed=seed, **hyper)
        self.task = Episodes(
            integer("n_states", n_states, 1, LARGEST),
            integer("n_actions", n_actions, 1, LARGEST),
            integer("steps", steps, 1, LARGEST),
            integer("horizon", horizon, 0, LARGEST),
            flag("pooled", pooled),
            flag("ends", ends),
            0,
            integer("columns", columns, 1, LARGEST),
            *finite_range(low, high),
            math.inf if most is None else limit("most", most),
        )
        least = self.task.low * (self.task.steps if self.task.low < 0.0 else 1)
        if self.task.most < least:
            raise ValueError(f"most must be at least {least:g}, the least there is, got {most!r}")
        if self.task.n_actions % self.task.columns:
            raise ValueError(f"columns must divide n_actions, {n_actions}, got {columns!r}")
        if self.algorithm.check is not None:
            self.algorithm.check(self.task)
        self._means = self._told(means)
        self.step = 0  # of the episode under way
        self._doubted = False
        self._begin()
        self._plan()

    def _told(self, means: Any) -> np.ndarray:
        """Mean rewards, scaled; of no size where they are unknown."""
        if means is None:
            return np.zeros((0, 0, 0))
        given = floats(means, "means")
        S, A, H = self.task.n_states, self.task.n_actions, self.task.steps
        shapes = ((S, A), (1, S, A), (H, S, A), (S * A,), (H * S * A,))  # a saved one is flat
        if given.shape not in shapes or not np.isfinite(given).all():
            raise ValueError(f"means must be finite, with shape (1 or {H}, {S}, {A})")
        for reward in (given.min(), given.max()):
            if self.beyond(reward):
                allowed = f"[{self.task.low:g}, {self.task.high:g}]"
                raise ValueError(f"means must lie in {allowed} for {self.name}, got {reward:g}")
        return (given.reshape(-1, S, A) - self.task.low) / (self.task.high - self.task.low)

    def _begin(self) -> None:
        check_room(self.name, self.task._asdict())
        known = self.algorithm
        try:
            with quiet():
                self.state = known.init(known.params, self.task, self._means, self._rng)
        except (MemoryError, OverflowError, ValueError):  # NumPy refuses sizes by ValueErrors
            facts = ", ".join(f"{key}={value}" for key, value in self._given().items())
            raise ValueError(f"{self.name}: there is no memory for {facts}") from None

    def _plan(self) -> None:
        with quiet():
            self.algorithm.plan(self.algorithm.params, self.state, self.t, self._rng)

    def act(self, x: Any = None) -> int:
        """The action to take in state ``x``, now."""
        known = self.algorithm
        with quiet():
            return int(known.act(known.params, self.state, self.step, self._state(x), self._rng))

    def update(
        self,
        x: Any,
        action: Any,
        reward: Any,
        after: Any,
        terminated: Any = False,
        truncated: Any = False,
    ) -> None:
        """Learn what ``action`` in state ``x`` led to.

        ``terminated``: the episode is over and nothing comes after it, whatever ``after`` is.
        ``truncated``: it was cut off; what would have followed ``after`` is unknown, not worthless.
        Either begins a new episode, and so does the last of ``steps``: the plan for it is made
        now. Raises ValueError for states and actions that do not exist, rewards out of range, and
        an end where ``ends`` ruled it out.
        """
        task, known = self.task, self.algorithm
        s, a = self._state(x), _below("action", action, task.n_actions)
        over, cut = flag("terminated", terminated), flag("truncated", truncated)
        if over and not task.ends:
            raise ValueError("the episode terminated: give Agent ends=True")
        then = task.n_states if over else self._state(after, "after")
        r = (self._reward(reward) - task.low) / (task.high - task.low)
        with quiet():
            known.update(known.params, self.state, self.step, s, a, r, then, self._rng)
        self._doubt(s, a)
        self.step += 1
        if over or cut or self.step == task.steps:
            self.step = 0
            self.t += 1
            self._plan()

    def _doubt(self, s: int, a: int) -> None:
        """Warn, once, of what no model allows: a class counts that in ``impossible`` (1,)."""
        counted = getattr(self.state, "impossible", None)
        if counted is not None and counted[0] > 0.0 and not self._doubted:
            self._doubted = True
            warnings.warn(
                f"{self.name}: no model of its class allows where action {a} led from state {s} in "
                f"step {self.step}: the class is misspecified",
                stacklevel=3,
            )

    def policy(self) -> np.ndarray:
        """Probabilities (steps, n_states, n_actions) of the plan for the episode under way."""
        task = self.task
        out = np.zeros((task.steps, task.n_states, task.n_actions))
        with quiet():
            self.algorithm.rule(self.algorithm.params, self.state, out)
        return out

    def recommend(self, x: Any = None) -> np.ndarray:
        """Probabilities (n_actions,) of the plan in state ``x``, in the step that comes now."""
        return self.policy()[self.step, self._state(x)]

    def rehearse(self) -> None:
        """Play one episode that means nothing, on a copy: all kernels are compiled then."""
        self._doubted = True  # what is made up here is no reason for it
        for _ in range(self.task.steps):
            self.update(0, self.act(0), max(self.task.low, 0.0), 0)
        self.policy()

    def beyond(self, reward: float) -> bool:
        """Whether a reward is too far out of its range for this algorithm."""
        low, high = self.task.low, self.task.high
        room = SLACK * (high - low)
        return self.algorithm.bounded and not low - room <= reward <= high + room

    def _state(self, x: Any, what: str = "x") -> int:
        return _below(what, x, self.task.n_states, "a state")

    def _reward(self, reward: Any) -> float:
        value = number("reward", reward)
        if self.beyond(value):
            allowed = f"[{self.task.low:g}, {self.task.high:g}]"
            raise ValueError(f"reward must be in {allowed} for {self.name}, got {reward!r}")
        return value

    def _given(self) -> dict[str, Any]:
        told = (self._means * (self.task.high - self.task.low) + self.task.low).ravel()
        most = None if self.task.most == math.inf else self.task.most
        return {**super()._given(), "most": most, "means": told.tolist() if told.size else None}

    def _facts(self) -> dict[str, Any]:
        facts = super()._facts()
        return {key: v for key, v in facts.items() if key != "means" and v is not None}

    def _about(self) -> dict[str, Any]:
        task = self.task
        shape = [1 if task.pooled else task.steps, task.n_states, task.n_actions, task.n_states]
        return {**super()._about(), "step": self.step, "shape": shape}

    def _arrays(self) -> dict[str, np.ndarray]:
        return {**super()._arrays(), "means": self._means}

    @classmethod
    def _remade(cls, name: Any, hyper: dict[str, Any], about: dict[str, Any]) -> EpisodicAgent:
        agent = super()._remade(name, hyper, about)
        assert isinstance(agent, EpisodicAgent)
        agent.step = integer("step", about["step"], 0, agent.task.steps - 1)
        return agent


def _below(what: str, value: Any, n: int, kind: str = "an integer") -> int:
    """``value`` as an int in 0 .. n - 1."""
    try:
        if value == int(value) and 0 <= value < n:
            return int(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{what} must be {kind}, 0 to {n - 1}, got {value!r}")


def task_of(terms: Terms) -> Episodes:
    """What an algorithm is told of the problem."""
    problem = terms.problem
    A, S, _ = problem.shape
    return Episodes(
        S, A, problem.steps, terms.horizon, problem.pooled, problem.ends, problem.outcomes,
        problem.columns, problem.low, problem.high, problem.most,
    )  # fmt: skip


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """One episode after the other."""
    nouns = (terms.algorithm, terms.problem)
    pieces = Pieces(begin, play, *nouns)
    return Loop(run_block, *nouns, task_of(terms), checkpoints, PROTOCOL.names, pieces=pieces)


def refuse(terms: Terms) -> None:
    """Rewards without bounds, for an algorithm that needs them, and tasks that do not suit it."""
    if terms.algorithm.bounded and not np.isfinite(terms.problem.rewards).all():
        raise ValueError(
            f"{terms.who} needs rewards within a range, but those of {terms.what} have Gaussian "
            'noise: reward = "bernoulli"'
        )
    refused(terms, task_of(terms))


# --- the contract -------------------------------------------------------------------------------

BRIEF = 200  # episodes in which a learner must be better than chance


def gap(problem: EpisodicMDP, rule: np.ndarray, world: Any = None) -> float:
    """V* minus the exact value of a rule (H, S, A).

    Raises ValueError for what does not say, for every step and state, how probable each action is.
    """
    A, S, _ = problem.shape
    if rule.shape != (problem.steps, S, A):
        raise ValueError(f"rule must have shape {(problem.steps, S, A)}, got {rule.shape}")
    if not ((rule >= 0.0).all() and (np.abs(rule.sum(axis=2) - 1.0) <= 1e-8).all()):
        raise ValueError("rule must hold probabilities that sum to 1 over the actions")
    with quiet():
        world = problem.init(problem.params, _nature()) if world is None else world
        worth = problem.value(problem.params, world, rule)
        return float(lost_by(problem.optimum(problem.params, world), worth))


def _nature() -> np.ndarray:
    found: np.ndarray = stream(random.key(0), 0, NATURE)
    return found


def evenly(problem: EpisodicMDP) -> np.ndarray:
    """The rule (H, S, A) of every action alike."""
    A, S, _ = problem.shape
    return np.full((problem.steps, S, A), 1.0 / A)


def by_hand(
    agent: EpisodicAgent, problem: EpisodicMDP, rounds: int, world: Any, nature: np.ndarray
) -> tuple[list[Any], dict[str, float]]:
    """Episodes of a hand-written loop: what was played, and regret."""
    played: list[Any] = []
    regret = 0.0
    for _ in range(rounds):
        regret += gap(problem, agent.policy(), world)
        s, over, h = problem.begin(problem.params, world, nature), False, 0
        while not over:
            a = agent.act(s)
            after, r, ended = problem.step(problem.params, world, h, s, a, nature)
            h += 1
            agent.update(s, a, r, after, ended, h == problem.steps and not ended)
            played.append((int(s), a, float(r)))
            s, over = after, ended or h == problem.steps
    return played, {"regret": regret}


def terms_of(problem: EpisodicMDP) -> dict[str, Any]:
    """Mean rewards, where they are told."""
    if not problem.known:
        return {}
    with quiet():
        world = problem.init(problem.params, _nature())
        scaled = problem.means(problem.params, world)
    return {"means": scaled * (problem.high - problem.low) + problem.low}


def values_are_sound(name: str, problem: EpisodicMDP) -> None:
    """No rule beats V*; returns of even play average to its exact value; rewards keep to range."""
    nature = stream(random.key(1), 0, NATURE)
    world = problem.init(problem.params, nature)
    even = evenly(problem)
    A, S, _ = problem.shape
    given, low, high = problem.params, *problem.rewards
    if problem.columns == 1:  # in a game what even play earns says nothing of its value
        returns = np.zeros(400)
        for i in range(returns.size):
            s, h, ended = problem.begin(given, world, nature), 0, False
            while h < problem.steps and not ended:
                a = random.below(nature, A)
                s, r, ended = problem.step(given, world, h, s, a, nature)
                assert low <= r <= high, f"{name}: reward {r} outside {problem.rewards}"
                assert ended or 0 <= s < S, f"{name}: state {s} does not exist"
                returns[i] += r
                h += 1
        off = returns.mean() - problem.value(given, world, even)
        error = returns.std(ddof=1) / math.sqrt(returns.size)
        assert abs(off) <= 5 * error + 1e-9, f"{name}: returns are off by {off}, {error}"
    rng = np.random.default_rng(0)
    for _ in range(20):
        rule = np.eye(A)[rng.integers(A, size=(problem.steps, S))]
        assert gap(problem, rule, world) >= 0.0, f"{name}: a rule beats V*"


def chance(problem: EpisodicMDP) -> float:
    """What even play loses."""
    return BRIEF * gap(problem, evenly(problem))


def gaps(terms: Terms) -> tuple[float, float]:
    """The range of what a rule loses in an episode, which may end and earn nothing from then on."""
    problem = terms.problem
    low, high = problem.rewards
    if problem.ends:
        low, high = min(low, 0.0), max(high, 0.0)
    return 0.0, float(min(problem.steps * high, problem.most) - problem.steps * low)


def all_gaps(terms: Terms) -> tuple[float, float]:
    """The range of what is lost in all episodes."""
    return 0.0, terms.horizon * gaps(terms)[1]


PROTOCOL = Protocol(
    name="episodic",
    algorithm=Episodic,
    problem=EpisodicMDP,
    measures=(
        Measure("regret", unit="reward", span=all_gaps),
        Measure("gap", "sub-optimality", unit="reward", span=gaps),
        Measure("bad", "bad episodes", span=rounds),
        Measure("solved", "episodes until solved", span=rounds),
    ),
    xlabel="episode",
    rounds=True,
    task=task_of,
    loop=loop,
    refuse=refuse,
    face=EpisodicAgent,
    environment="episodes",
    contract=Contract(
        example=lambda algorithm: ("river_swim", {"S": 2, "H": 4}),
        by_hand=by_hand,
        show=lambda problem, world, t, nature: problem.begin(problem.params, world, nature),
        terms=terms_of,
        probe="mex_mf",
        chance=chance,
        luck=(60,),
        sound=(values_are_sound,),
        points=lambda points: np.unique(np.minimum(points, BRIEF)),
    ),
)
