"""Play an arm and, separately, ask for losses: feedback has a budget, and switching a price.

The file holds, top to bottom, what an algorithm brings (:class:`Observe`), what a problem brings
(:class:`Losses`), the fused loop, what it records (:data:`MEASURES`), and how an online algorithm
plays here.

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

import inspect
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import kernel, kernel_inline
from banditlab.protocols.online import SLICE, Online
from banditlab.random import AGENT, NATURE, OBSERVATION, stream
from banditlab.validate import flag, integer, nonnegative

MEASURES = ("regret", "loss_regret", "switches", "observations", "denied", "clipped")

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
def begin(algorithm, problem, task, key, replication):  # type: ignore[no-untyped-def]
    """A fresh replication."""
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
def advance(algorithm, problem, run, t0, t1):  # type: ignore[no-untyped-def]
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
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):  # type: ignore[no-untyped-def]
    """Replications ``first, first + 1, ...``, as many as ``record`` has rows.

    ``log_rounds`` belongs to the common shape of a block and is not used. For ``record`` and
    ``progress`` see online.run_block. ``clipped`` is a share of all losses so far.
    """
    for i in range(record.shape[0]):
        run = begin(algorithm, problem, task, key, first + i)
        t = 0
        for c in range(checkpoints.size):
            while t < checkpoints[c]:
                t1 = min(t + SLICE, checkpoints[c])
                advance(algorithm, problem, run, t, t1)
                progress[0] += t1 - t
                t = t1
                if progress[1] != 0:
                    return
            best = run.sums[0]
            for k in range(1, task.n_arms):
                best = run.sums[k] if run.sums[k] < best else best
            lost = run.totals[0] - best
            fees = problem.price * run.totals[1] + problem.look_price * run.counts[2]
            record[i, c, 0] = lost + fees
            record[i, c, 1] = lost
            record[i, c, 2] = run.totals[1]
            record[i, c, 3] = run.counts[2]
            record[i, c, 4] = run.totals[2]
            record[i, c, 5] = run.totals[3] / (t * task.n_arms)


# --- what problems share --------------------------------------------------------------------


def on_terms(factory: Callable[..., Losses]) -> Callable[..., Losses]:
    """Give the factory of a problem the terms of play as further arguments.

    ``price`` >= 0 of a switch, ``look_price`` >= 0 of an observation, both in units of loss;
    ``budget`` >= 0 observations in all, None for any number; ``extra``: whether the loss of the
    arm played is shown for free, so that the budget buys others; ``count_first``: whether the
    first round counts as a switch (Dekel et al. 2014 count it).
    """

    @wraps(factory)
    def build(
        *args: Any,
        price: float = 1.0,
        look_price: float = 0.0,
        budget: int | None = None,
        extra: bool = False,
        count_first: bool = False,
        **parameters: Any,
    ) -> Losses:
        return factory(*args, **parameters)._replace(
            price=nonnegative("price", price),
            look_price=nonnegative("look_price", look_price),
            budget=-1 if budget is None else integer("budget", budget, 0),
            extra=flag("extra", extra),
            count_first=flag("count_first", count_first),
        )

    own = list(inspect.signature(factory).parameters.values())
    terms = [
        p for p in inspect.signature(build, follow_wrapped=False).parameters.values()
        if p.kind is p.KEYWORD_ONLY
    ]  # fmt: skip
    build.__signature__ = inspect.Signature([*own, *terms])  # type: ignore[attr-defined]
    return build


# --- online algorithms at play here ---------------------------------------------------------


@kernel
def look_at_played(params, state, t, arm, left, rng, out):  # type: ignore[no-untyped-def]
    """``look`` under bandit feedback: the arm played, in every round."""
    out[arm] = True
    return True


@cache
def _telling(update: Callable[..., None]) -> Callable[..., None]:
    @kernel
    def tell(params, state, t, x, arm, losses, rng):  # type: ignore[no-untyped-def]
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
