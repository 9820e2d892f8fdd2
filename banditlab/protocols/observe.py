"""Play an arm and, separately, ask for losses: feedback has a budget, and switching a price.

The file holds, top to bottom, what an algorithm brings (:class:`Observe`), what a problem brings
(:class:`Losses`), the fused loop, how an online algorithm plays here, the face for other code
(:class:`ObserveAgent`), and what all of it is called (``PROTOCOL``). One file, though long: a
protocol is one file, from its nouns to its face.

One round ``t`` (counted from 0); the losses of all rounds are fixed before the first::

    arm = act(t)
    look(t, arm): which losses of this round to see; each pair (round, arm) counts against the
                  budget, except the arm played where that is free (``extra``)
    update(t, arm, losses)        # nan where not seen

The loop keeps the budget: a loss that is asked for beyond it stays hidden, and the request is
counted as denied. Regret is against the best fixed arm in hindsight, on the losses that were
really drawn; that arm pays for no switch and no observation::

    regret = loss_regret + price * switches + look_price * observations
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab import random
from banditlab.agent import BanditAgent, quiet
from banditlab.core import Task, kernel, kernel_inline
from banditlab.protocols.base import (
    SLICE,
    Contract,
    Guest,
    Loop,
    Measure,
    Pieces,
    Protocol,
    Terms,
    bandit_task,
    refused,
    rounds,
    share,
)
from banditlab.protocols.online import Online
from banditlab.random import AGENT, NATURE, OBSERVATION, stream
from banditlab.validate import flag, integer, nonnegative

UNLIMITED = 2**62  # a budget that no run can use up


class Observe(NamedTuple):
    """An algorithm that speaks ``observe``: hyper-parameters and kernels, no data.

    ``act`` writes nothing; ``look`` and ``update`` may write to the state. ``look`` has a stream of
    its own, so that what is looked at can be independent of what is played. It returns whether it
    asks for anything; if so it has set to True those of ``out`` (n_arms,) bool that it asks for.
    """

    params: Any  # NamedTuple of hyper-parameters; the factory's arguments carry the same names
    init: Callable[..., Any]  # (params, task, rng) -> State; task.budget and task.price are known
    act: Callable[..., int]  # (params, state, t, x, rng) -> arm
    look: Callable[..., bool]  # (params, state, t, arm, left, rng, out): left of the budget
    update: Callable[..., None]  # (params, state, t, x, arm, losses, rng): nan where not seen
    recommend: Callable[..., None]  # (params, state, x, rng, out): probabilities over arms
    # (task, problem) -> None, in Python: raises ValueError where the terms of play do not suit the
    # algorithm, such as a budget that is too small
    check: Callable[..., None] | None = None
    rewards: tuple[float, float] = (0.0, 1.0)  # the range of losses it accepts


class Losses(NamedTuple):
    """What an oblivious adversary does, and the terms on which it is played."""

    params: Any
    init: Callable[..., Any]  # (params, rng) -> World
    # (params, world, t, rng, out): fills out (n_arms,) with the losses of round t, in [0, 1];
    # called once a round, in order. Returns how many of them had to be clipped.
    draw: Callable[..., int]
    shape: tuple[int, int, int]  # n_arms, 1, 0
    price: float = 1.0  # of a switch
    look_price: float = 0.0  # of an observation that is not free
    budget: int = -1  # observations in all that are not free; -1: any number
    extra: bool = False  # whether the loss of the arm played is shown for free
    count_first: bool = False  # whether the first round counts as a switch
    rewards: tuple[float, float] = (0.0, 1.0)  # the range of losses
    supply: int = 0  # rounds that it has losses for; 0: any number


class Run(NamedTuple):
    """One replication under way."""

    state: Any
    world: Any
    totals: np.ndarray  # (4,) float64: loss suffered, switches, denied, clipped
    sums: np.ndarray  # (n_arms,) float64: what each arm would have lost
    counts: np.ndarray  # (3,) int64: arm of the round before, left of the budget, observations
    losses: np.ndarray  # (n_arms,) float64: of the round
    seen: np.ndarray  # (n_arms,) float64: nan between rounds
    asked: np.ndarray  # (n_arms,) bool: False between rounds
    x: np.ndarray  # (1, 1) float64, 0: there is nothing to show
    nature: np.ndarray  # (4,) uint64
    agent: np.ndarray  # (4,) uint64
    looker: np.ndarray  # (4,) uint64


@kernel_inline
def begin(algorithm, problem, task, key, replication, log_rounds):
    """A fresh replication. ``log_rounds`` belongs to the common shape and is not used."""
    K = task.n_arms
    nature = stream(key, replication, NATURE)
    agent = stream(key, replication, AGENT)
    looker = stream(key, replication, OBSERVATION)
    world = problem.init(problem.params, nature)
    state = algorithm.init(algorithm.params, task, agent)
    counts = np.array([-1, task.budget if task.budget >= 0 else UNLIMITED, 0])
    return Run(
        state,
        world,
        np.zeros(4),
        np.zeros(K),
        counts,
        np.zeros(K),
        np.full(K, np.nan),
        np.zeros(K, np.bool_),
        np.zeros((1, 1)),
        nature,
        agent,
        looker,
    )


@kernel_inline
def advance(algorithm, problem, run, t0, t1):
    """Play the rounds ``t0 <= t < t1`` of one replication."""
    # Read once: taking an array out of a tuple counts references, and does so in every round.
    known, given = algorithm.params, problem.params
    state, world, x = run.state, run.world, run.x
    totals, sums, counts = run.totals, run.sums, run.counts
    losses, seen, asked = run.losses, run.seen, run.asked
    nature, agent, looker = run.nature, run.agent, run.looker
    K = losses.size
    suffered, switches, last = totals[0], totals[1], counts[0]
    for t in range(t0, t1):
        totals[3] += problem.draw(given, world, t, nature, losses)
        arm = algorithm.act(known, state, t, x, agent)
        suffered += losses[arm]
        switches += 1.0 if arm != last and (t > 0 or problem.count_first) else 0.0
        last = arm
        for k in range(K):
            sums[k] += losses[k]
        asks = algorithm.look(known, state, t, arm, counts[1], looker, asked)
        if asks and counts[1] >= K:
            paid = 0
            for k in range(K):
                seen[k] = losses[k] if asked[k] else np.nan
                paid += 1 if asked[k] else 0
            if problem.extra and asked[arm]:
                paid -= 1
            for k in range(K):
                asked[k] = False
            counts[1] -= paid
            counts[2] += paid
        elif asks:
            for k in range(K):
                if asked[k] and not (problem.extra and k == arm):
                    if counts[1] > 0:
                        seen[k] = losses[k]
                        counts[1] -= 1
                        counts[2] += 1
                    else:
                        totals[2] += 1.0
                asked[k] = False
        if problem.extra:
            seen[arm] = losses[arm]
        algorithm.update(known, state, t, x, arm, seen, agent)
        if asks:
            for k in range(K):
                seen[k] = np.nan
        seen[arm] = np.nan
    totals[0] = suffered
    totals[1] = switches
    counts[0] = last


@kernel_inline
def score(problem, run, t, row):
    """What is recorded after ``t`` rounds, into ``row`` (measures,).

    ``clipped`` is a share of all losses so far.
    """
    best = run.sums[0]
    for k in range(1, run.sums.size):
        best = run.sums[k] if run.sums[k] < best else best
    lost = run.totals[0] - best
    fees = problem.price * run.totals[1] + problem.look_price * run.counts[2]
    row[0] = lost + fees
    row[1] = lost
    row[2] = run.totals[1]
    row[3] = run.counts[2]
    row[4] = run.totals[2]
    row[5] = run.totals[3] / (t * run.sums.size)


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):
    """Replications ``first, first + 1, ...``, as many as ``record`` has rows.

    ``log_rounds`` belongs to the common shape of a block and is not used. For ``record`` and
    ``progress`` see online.run_block.
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
            score(problem, run, t, record[i, c])


@kernel_inline
def play(algorithm, problem, task, run, t, end, most, row):
    """A piece of one replication, see base.Pieces."""
    t1 = min(t + most, end)
    advance(algorithm, problem, run, t, t1)
    score(problem, run, t1, row)
    return t1


# --- online algorithms at play here ---------------------------------------------------------


@kernel
def look_at_played(params, state, t, arm, left, rng, out):
    """``look`` under bandit feedback: the arm played, in every round."""
    out[arm] = True
    return True


@cache
def _telling(update: Callable[..., None]) -> Callable[..., None]:
    @kernel
    def tell(params, state, t, x, arm, losses, rng):
        loss = losses[arm]
        if loss == loss:  # seen
            update(params, state, t, x, arm, 1.0 - loss, rng)

    return tell


def observing(algorithm: Online) -> Observe:
    """An online algorithm as one that asks for the loss of the arm it plays, while it may.

    Its reward is 1 - loss. Beyond the budget it goes on acting on what it has seen.
    """
    return Observe(
        algorithm.params,
        algorithm.init,
        algorithm.act,
        look_at_played,
        _telling(algorithm.update),
        algorithm.recommend,
        rewards=algorithm.rewards,
    )


# --- in other code ------------------------------------------------------------------------------


class ObserveAgent(BanditAgent):
    """An algorithm that plays an arm and, separately, says which losses it wants to look at.

    Parameters
    ----------
    algorithm
        A name of ``banditlab.names()``, a ``.py`` file, or what ``banditlab.make`` returns.
    n_arms
        Number of arms, at least 2.
    horizon
        Number of rounds that will be played; 0 when unknown. Most algorithms need it.
    budget
        Number of losses that it may look at; None for any number.
    price
        What a switch of arms costs, in units of loss.
    extra
        Whether the loss of the arm played comes for free.
    seed
        Same seed, same choices. The stream is that of replication 0 of an arena run.
    hyper
        Hyper-parameters of the algorithm when it is given by name.
    """

    arguments = ("n_arms", "horizon", "budget", "price")

    def __init__(
        self,
        algorithm: Any,
        *,
        n_arms: int,
        horizon: int = 0,
        budget: int | None = None,
        price: float = 1.0,
        extra: bool = False,
        seed: int = 0,
        **hyper: Any,
    ):
        super().__init__(algorithm, hyper, n_arms=n_arms, horizon=horizon, seed=seed)
        self.task = self.task._replace(
            budget=-1 if budget is None else integer("budget", budget, 0),
            price=nonnegative("price", price),
        )
        self._extra = flag("extra", extra)
        if self.algorithm.check is not None:
            terms = Losses(
                (), self.algorithm.check, self.algorithm.check, self.task[:3],
                budget=self.task.budget, price=self.task.price, extra=self._extra,
            )  # fmt: skip
            self.algorithm.check(self.task, terms)
        self._looker = random.stream(self._key, 0, random.OBSERVATION)
        self._asked = np.zeros(self.task.n_arms, np.bool_)
        self._left = self.task.budget if self.task.budget >= 0 else UNLIMITED
        self._begin()

    def act(self, x: None = None) -> int:
        """The arm to play, 0 .. n_arms - 1. There is nothing to show: ``x`` is None."""
        known = self.algorithm
        with quiet():
            return int(known.act(known.params, self.state, self.t, self.features(x), self._rng))

    def look(self, arm: int) -> np.ndarray:
        """Which losses to look at, (n_arms,) bool, now that ``arm`` is to be played.

        Ask once a round, between ``act`` and ``update``.
        """
        self._asked[:] = False
        with quiet():
            self.algorithm.look(
                self.algorithm.params, self.state, self.t, self._arm(arm), self._left,
                self._looker, self._asked,
            )  # fmt: skip
        return self._asked.copy()

    def update(self, x: None, arm: int, losses: Any) -> None:
        """Learn the ``losses`` (n_arms,), nan where not seen, of the round that played ``arm``.

        Those seen count against the budget. Raises ValueError for an arm that does not exist, a
        loss that the algorithm cannot use, and one that was asked for but is missing.
        """
        try:
            losses = np.array(losses, dtype=np.float64)
        except (TypeError, ValueError):
            losses = np.empty(0)
        if losses.shape != (self.task.n_arms,):
            raise ValueError(f"losses must hold {self.task.n_arms} numbers, nan where not seen")
        arm = self._arm(arm)
        seen = np.flatnonzero(~np.isnan(losses))
        for k in seen:
            self._reward(float(losses[k]), "a loss")
        paid = int(seen.size) - int(self._extra and arm in seen)
        if paid > self._left:
            raise ValueError(f"{paid} losses looked at, but {self._left} left of the budget")
        missing = np.flatnonzero(self._asked & np.isnan(losses))
        if missing.size and self._left > paid:
            raise ValueError(f"the loss of arm {missing[0]} was asked for, but is nan")
        self._asked[:] = False
        known = self.algorithm
        with quiet():
            known.update(known.params, self.state, self.t, self.features(x), arm, losses, self._rng)
        self._left -= paid
        self.t += 1

    def rehearse(self) -> None:
        """Play one round that means nothing, on a copy: all kernels are compiled then."""
        arm = self.act()
        looked = self.look(arm) & (np.arange(self.task.n_arms) < self._left)
        self.update(None, arm, np.where(looked, 0.0, np.nan))
        self.recommend()

    def _given(self) -> dict[str, Any]:
        budget = self.task.budget if self.task.budget >= 0 else None
        return {**super()._given(), "budget": budget, "extra": self._extra}

    def _about(self) -> dict[str, Any]:
        return {**super()._about(), "left": self._left}

    def _arrays(self) -> dict[str, np.ndarray]:
        return {**super()._arrays(), "looker": self._looker, "asked": self._asked}

    @classmethod
    def _remade(cls, name: Any, hyper: dict[str, Any], about: dict[str, Any]) -> ObserveAgent:
        agent = super()._remade(name, hyper, about)
        assert isinstance(agent, ObserveAgent)
        agent._left = about["left"]
        return agent


def task(terms: Terms) -> Task:
    """An algorithm knows the budget and the price."""
    problem = terms.problem
    return bandit_task(terms)._replace(budget=problem.budget, price=problem.price)


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """One round after the other."""
    nouns = (terms.algorithm, terms.problem)
    pieces = Pieces(begin, play, *nouns)
    return Loop(run_block, *nouns, task(terms), checkpoints, PROTOCOL.names, pieces=pieces)


def guest_loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    """Who only plays looks at what it plays."""
    return loop(terms._replace(algorithm=observing(terms.algorithm)), checkpoints)


def refuse(terms: Terms) -> None:
    """A budget that cannot be spent, and terms of play that do not suit the algorithm."""
    pairs = terms.problem.shape[0] * terms.horizon
    if terms.problem.budget > pairs:
        raise ValueError(
            f"{terms.where}: budget must be at most arms x horizon, {pairs}, "
            f"got {terms.problem.budget}"
        )
    refused(terms, task(terms), terms.problem)


# --- the contract -------------------------------------------------------------------------------


def terms_of(problem: Losses) -> dict[str, Any]:
    """The terms of play, as the face takes them."""
    return {"budget": problem.budget if problem.budget >= 0 else None, "extra": problem.extra}


def by_hand(
    agent: ObserveAgent, problem: Losses, rounds: int, world: Any, nature: np.ndarray
) -> tuple[list[Any], dict[str, float]]:
    """Rounds of a hand-written loop: (arm, losses of all arms) each; regret and switches."""
    played: list[Any] = []
    losses, sums = np.zeros(problem.shape[0]), np.zeros(problem.shape[0])
    lost = switches = 0.0
    for t in range(rounds):
        problem.draw(problem.params, world, agent.t, nature, losses)
        arm = agent.act()
        shown = agent.look(arm)
        if problem.extra:
            shown[arm] = True
        agent.update(None, arm, np.where(shown, losses, np.nan))
        switches += float(t > 0 and arm != played[-1][0])
        lost += losses[arm]
        sums += losses
        played.append((arm, losses.tolist()))
    return played, {"loss_regret": lost - sums.min(), "switches": switches}


def losses_are_sound(name: str, problem: Losses) -> None:
    """Losses lie in [0, 1], are all drawn anew in every round, and never depend on who plays."""
    low, high = problem.rewards
    nature = stream(random.key(1), 0, NATURE)
    world = problem.init(problem.params, nature)
    for t in range(min(200, problem.supply or 200)):
        losses = np.full(problem.shape[0], np.nan)
        clipped = problem.draw(problem.params, world, t, nature, losses)
        assert ((low <= losses) & (losses <= high)).all(), f"{name}: losses {losses}"
        assert 0 <= clipped <= losses.size


def without_fees(terms: Terms) -> tuple[float, float]:
    """The range of the regret without switches.

    The best of K arms loses what their mean does at most, and that is more than the best arm of
    each round by no more than (K - 1) / K of the range of a loss.
    """
    K, (low, high) = terms.problem.shape[0], terms.problem.rewards
    most = terms.horizon * float(high - low)
    return -most * (K - 1.0) / K, most


def observed(terms: Terms) -> tuple[float, float]:
    """The range of the observations that are not free."""
    problem = terms.problem
    most = terms.horizon * problem.shape[0]
    return 0.0, float(most if problem.budget < 0 else min(problem.budget, most))


def with_fees(terms: Terms) -> tuple[float, float]:
    """The range of the regret with all that is paid for switches and observations."""
    low, high = without_fees(terms)
    problem = terms.problem
    fees = (problem.price * terms.horizon, problem.look_price * observed(terms)[1])
    return low + min(0.0, *fees), high + max(0.0, *fees, sum(fees))


PROTOCOL = Protocol(
    name="observe",
    algorithm=Observe,
    problem=Losses,
    measures=(
        Measure("regret", "regret, switches paid", unit="loss", span=with_fees),
        Measure("loss_regret", "regret without switches", unit="loss", span=without_fees),
        Measure("switches", "switches of arm", span=rounds),  # perhaps one in the first round
        Measure("observations", span=observed),
        Measure("denied"),
        Measure("clipped", span=share),
    ),
    xlabel="round",
    rounds=True,
    supply="the rounds that {} has losses for",
    task=task,
    loop=loop,
    refuse=refuse,
    guests={Online: Guest(guest_loop)},
    face=ObserveAgent,
    report="budget",
    contract=Contract(
        example=lambda algorithm: ("deterministic_gap", {"n_arms": 3, "gap": 0.4}),
        by_hand=by_hand,
        show=lambda problem, world, t, nature: None,
        terms=terms_of,
        probe="exp3",
        rival="uniform",
        sound=(losses_are_sound,),
    ),
)
