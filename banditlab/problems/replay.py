"""Replay: an online problem built from a user's log of contexts, actions and rewards.

Every round shows the context of a row drawn from the log, all rows being equally likely; pulling
arm a pays the reward of a row drawn from the log's rows with that (context, arm). Rows are drawn
with replacement, so a log of any length serves any horizon, as in the bootstrapped replay of Mary,
Preux & Nicol (2014), "Improving offline evaluation of contextual bandit algorithms via
bootstrapping techniques". The rejection replay of Li, Chu, Langford & Wang (2011) walks through
the log once instead and skips every row whose action is not the one the agent chose: it is
unbiased for the world behind the log if the logged actions were random, but leaves about
1 / n_arms of the rounds. Here no round is lost and the regret is exact, but for the log's
empirical world: its means are those of the cells (context, arm), estimation errors included.

>>> import banditlab
>>> log = {"action": [0, 0, 1, 1], "reward": [0.0, 1.0, 1.0, 1.0]}
>>> banditlab.make_problem("replay", log=log).shape
(2, 1, 0)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import context, kernel
from banditlab.data.log import Log
from banditlab.data.table import where_of
from banditlab.protocols.online import Problem
from banditlab.random import below
from banditlab.validate import number, positive

SCALE = 3.0  # standard deviations of a reward, from which on its unit is asked for

example = {
    "log": {
        "context": [0, 0, 0, 0, 1, 1, 1, 1],
        "action": [0, 0, 1, 1, 0, 0, 1, 1],
        "reward": [0.0, 1.0, 1.0, 1.0, 0.5, 1.0, 0.0, 0.5],
    }
}


class Replay(NamedTuple):
    """Parameters: the log, sorted by cell; cell = context * n_arms + arm."""

    context: np.ndarray  # (n_rows,) int64
    arm: np.ndarray  # (n_rows,) int64
    reward: np.ndarray  # (n_rows,) float64
    offsets: np.ndarray  # (n_cells + 1,) int64: a cell's rows are offsets[cell]:offsets[cell + 1]
    means: np.ndarray  # (n_contexts, n_arms) float64: mean reward of each cell


class World(NamedTuple):
    """One replication."""

    best: np.ndarray  # (n_contexts,) float64: the largest mean of each context
    x: np.ndarray  # (1, 1) float64: the context of the round, overwritten in each


@kernel
def init(params, rng):
    best = params.means[:, 0].copy()
    for s in range(best.size):
        for mean in params.means[s]:
            best[s] = mean if mean > best[s] else best[s]
    return World(best, np.zeros((1, 1)))


@kernel
def observe(params, world, t, rng):
    if world.best.size > 1:
        world.x[0, 0] = params.context[below(rng, params.context.size)]
    return world.x


@kernel
def pull(params, world, x, arm, rng):
    n_contexts, n_arms = params.means.shape
    cell = context(n_contexts, x) * n_arms + arm
    start = params.offsets[cell]
    # One word for every arm, so that two agents with one seed face the same luck.
    return params.reward[start + below(rng, params.offsets[cell + 1] - start)]


@kernel
def regret(params, world, x, arm):
    s = context(world.best.size, x)
    return world.best[s] - params.means[s, arm]


@kernel
def behave(params, world, x, rng):
    """The action of a row drawn from the log's rows with the context that ``x`` shows."""
    n_contexts, n_arms = params.means.shape
    s = context(n_contexts, x)
    start = params.offsets[s * n_arms]
    return params.arm[start + below(rng, params.offsets[(s + 1) * n_arms] - start)]


@kernel
def weights(params, world, out):
    """How often the log shows each context."""
    n_arms = params.means.shape[1]
    for s in range(out.size):
        rows = params.offsets[(s + 1) * n_arms] - params.offsets[s * n_arms]
        out[s] = rows / params.context.size


def incomplete(log: Log) -> np.ndarray:
    """The contexts (m,) int64 in which some arm has no row."""
    return np.flatnonzero((log.counts() == 0.0).any(axis=1))


def _complete(log: Log) -> Log:
    kept = ~np.isin(log.context, incomplete(log))
    if not kept.any():
        raise ValueError("log has no context with a row of every arm, so replay cannot pay them")
    left, context = np.unique(log.context[kept], return_inverse=True)
    return Log(
        log.action[kept], log.reward[kept], context.reshape(-1),
        actions=log.actions, contexts=tuple(log.contexts[s] for s in left),
    )  # fmt: skip


def unscaled(log: Log) -> str | None:
    """What to say of rewards that scatter far more than agents take for granted; None if not.

    Most agents assume rewards in [0, 1], or of standard deviation 1.
    """
    pairs = log.context * len(log.actions) + log.action
    _, pair = np.unique(pairs, return_inverse=True)
    pair = pair.reshape(-1)
    rows = np.bincount(pair)
    excess = log.reward - (np.bincount(pair, log.reward) / rows)[pair]
    spread = float(np.sqrt((excess**2).sum() / max(1, len(log) - rows.size)))
    if spread <= SCALE:
        return None
    return (
        f"the rewards of an arm scatter by {spread:.3g}; agents take 1 for granted, and explore "
        f"too little: give --sigma {spread:.3g}, or the range of the rewards by --low and --high"
    )


def _in_units(
    reward: np.ndarray, low: float | None, high: float | None, sigma: float | None, where: str
) -> np.ndarray:
    """Rewards in [0, 1] of [low, high], or in units of sigma, or as they are."""
    if sigma is not None:
        if low is not None or high is not None:
            raise ValueError("sigma, or low and high, say the unit of a reward: not both")
        return reward / positive("sigma", sigma)
    if low is None and high is None:
        return reward
    low, high = number("low", low or 0.0), number("high", 1.0 if high is None else high)
    if not low < high or high - low == np.inf:
        raise ValueError(f"low must be below high, got {low!r} and {high!r}")
    for row in np.flatnonzero((reward < low) | (reward > high))[:1]:
        raise ValueError(
            f"{where}reward: row {row} has {reward[row]:g}; allowed are numbers in "
            f"[{low:g}, {high:g}] (--low and --high)"
        )
    return (reward - low) / (high - low)


def replay(
    log: Any,
    complete: bool = False,
    columns: Mapping[str, str] | None = None,
    low: float | None = None,
    high: float | None = None,
    sigma: float | None = None,
) -> Problem:
    """A problem that draws contexts and rewards from ``log``.

    ``log``: whatever :meth:`banditlab.Log.of` reads, a path, a frame or a dict of its columns
    (action, reward, context) for instance; ``columns`` gives its names of columns by ours. With
    ``complete`` the contexts in which some arm has no row are left out, and the others numbered
    anew. ``low`` and ``high``, the least and the largest reward that there can be, become 0 and 1,
    or ``sigma``, the standard deviation of a reward, becomes 1; regrets are then in that unit.

    Raises ValueError for a log that cannot be read, and when it has no row for some arm in some
    context that is left.
    """
    where = f"{where_of(log)}: " if where_of(log) else ""
    log = Log.of(log, columns)
    if any(given is not None for given in (low, high, sigma)):
        log = dataclasses.replace(log, reward=_in_units(log.reward, low, high, sigma, where))
    if len(log.actions) < 2:
        raise ValueError(f"log shows one arm only, {log.actions[0]}, so replay has no other to pay")
    if complete:
        log = _complete(log)
    counts = log.counts()
    n_contexts, n_arms = counts.shape
    for s, arm in np.argwhere(counts == 0)[:1]:
        where = f"arm {log.actions[arm]}"
        where += f" in context {log.contexts[s]}" if n_contexts > 1 else ""
        what = "that arm or that context" if n_contexts > 1 else "that arm"
        raise ValueError(
            f"log has no row of {where}, so replay cannot pay it: "
            f"add such rows, or leave {what} out"
        )
    order = np.argsort(log.context * n_arms + log.action, kind="stable")
    reward = log.reward[order]
    params = Replay(
        log.context[order],
        log.action[order],
        reward,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        log.sums() / counts,
    )
    return Problem(
        params,
        init,
        observe,
        pull,
        regret,
        (n_arms, n_contexts, 0),
        (float(reward.min()), float(reward.max())),
        behave,
        weights=weights,
    )
