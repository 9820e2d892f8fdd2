"""Batches with one round of observation, and the weights drawn from at their ends.

What :mod:`banditlab.agents.switching.batched_omd` describes, for algorithms that differ in the
:class:`Plan` they make for a task: how many batches, what each observes, the learning rate, and
whether the arm is kept by the dartboard. `learner` makes an algorithm of such a plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab import numeric
from banditlab.core import Task, kernel, kernel_in_loop, kernel_inline
from banditlab.parts.weights import smallest
from banditlab.protocols.observe import Losses, Observe
from banditlab.random import below, uniform


class Plan(NamedTuple):
    """What is settled before the first round."""

    sample: int  # arms, drawn at random, that a batch observes; 0: the one that it plays
    n_batches: int  # 1 .. horizon
    eta: float  # > 0
    dartboard: bool  # not with sample = 0, unless unsafe


class Batches(NamedTuple):
    """What the family remembers."""

    losses: np.ndarray  # (n_arms,) float64: estimates added up
    weights: np.ndarray  # (n_arms,) float64: scratch, of the last draw
    deck: np.ndarray  # (n_arms,) int64: the arms that a batch observes, ASKED of them, then others
    clock: np.ndarray  # (5,) int64: the batch under way, see ARM
    terms: np.ndarray  # (6,) int64: the plan, see N_BATCHES
    rates: np.ndarray  # (6,) float64: see ETA


# Of the batch under way: arm, first and last round, round observed (-1: none yet), remainder.
ARM, FIRST, LAST, LOOK, CARRY = range(5)
# T = LENGTH * N_BATCHES + REST. Arms that a batch observes; how many of them must be drawn; whether
# it observes the arm that it plays (0 or 1).
N_BATCHES, LENGTH, REST, ASKED, DRAWN, PLAYED = range(6)
# Learning rate; whether the dartboard is used (0 or 1); 1 / P(an arm is observed), if that never
# changes; share of short batches; 1 / P(an arm is observed); last estimate for the arm played.
ETA, KEEP, INFLATION, SHORT, FACTOR, OWN = range(6)


# --- kernels that all plans share ---------------------------------------------------------------
#
# A branch is written as a loop of no or one turn, ``for _ in range(int(condition))``, and whatever
# is called is inlined: then Numba can leave out the counting of references to the state's arrays,
# which around an ``if`` costs tens of nanoseconds in every round, though nothing may happen in it.


@kernel
def begin(plan, task, rng):
    """The state before the first round."""
    K, m, N = task.n_arms, plan.sample, plan.n_batches
    played = 1 if m == 0 else 0
    length = task.horizon // N
    rest = task.horizon - length * N
    short = length / (length + 1.0) if rest > 0 else 1.0
    inflation = K / (m + played)  # the first arm is drawn uniformly, too
    state = Batches(
        np.zeros(K),
        np.ones(K),
        np.arange(K),
        np.zeros(5, np.int64),
        np.array([N, length, rest, m + played, m if m < K else 0, played]),
        np.array([plan.eta, 1.0 if plan.dartboard else 0.0, inflation, short, inflation, 0.0]),
    )
    state.clock[ARM] = below(rng, K)
    state.deck[0] = state.clock[ARM] if played else 0
    open_batch(state.clock, state.terms, 0)
    return state


@kernel_inline
def open_batch(clock, terms, first):
    """Begin the batch of round ``first``: floor(b T / N), by carrying the remainder along."""
    carry = clock[CARRY] + terms[REST]
    longer = 1 if carry >= terms[N_BATCHES] else 0
    clock[CARRY] = carry - longer * terms[N_BATCHES]
    clock[FIRST] = first
    clock[LAST] = first + terms[LENGTH] + longer - 1
    clock[LOOK] = -1


@kernel_in_loop
def act_batch(params, state, t, x, rng):
    return state.clock[ARM]


@kernel_in_loop
def look_batch(params, state, t, arm, left, rng, out):
    for _ in range(int(t == state.clock[FIRST])):
        draw_look(state.clock, state.terms, state.deck, rng)
    due = t == state.clock[LOOK]
    for i in range(state.terms[ASKED] if due else 0):
        out[state.deck[i]] = True
    return due


@kernel_inline
def draw_look(clock, terms, deck, rng):
    """Draw the round and the arms to observe, from a stream that knows nothing of the play."""
    clock[LOOK] = clock[FIRST] + below(rng, clock[LAST] - clock[FIRST] + 1)
    for i in range(terms[DRAWN]):
        j = i + below(rng, deck.size - i)
        k = deck[i]
        deck[i] = deck[j]
        deck[j] = k


@kernel_in_loop
def update_batch(params, state, t, x, arm, losses, rng):
    for _ in range(int(t == state.clock[LOOK])):
        learn(state, arm, losses)
    for _ in range(int(t == state.clock[LAST])):
        turn(state, rng)
        open_batch(state.clock, state.terms, t + 1)


@kernel_inline
def learn(state, arm, losses):
    """Add the batch's estimates."""
    longer = state.clock[LAST] - state.clock[FIRST] >= state.terms[LENGTH]
    factor = state.rates[FACTOR] * (1.0 if longer else state.rates[SHORT])
    own = 0.0
    # Not whatever is seen: where the loss of the arm played is free, that would be too often.
    for i in range(state.terms[ASKED]):
        k = state.deck[i]
        estimate = factor * losses[k]
        state.losses[k] += estimate
        own = estimate if k == arm else own
    state.rates[OWN] = own


@kernel_inline
def turn(state, rng):
    """Keep or draw the arm of the next batch."""
    shrunk = numeric.exp(-state.rates[ETA] * state.rates[OWN])
    kept = uniform(rng) < state.rates[KEEP] * shrunk
    for _ in range(int(not kept or state.terms[PLAYED] == 1)):
        total = weigh(state.rates[ETA], state.losses, state.weights)
        target = uniform(rng) * total
        reached, drawn = 0.0, -1
        for k in range(state.weights.size):
            drawn += 1 if reached <= target else 0
            reached += state.weights[k]
        arm = state.clock[ARM] if kept else drawn
        state.clock[ARM] = arm
        for _ in range(state.terms[PLAYED]):
            state.deck[0] = arm
            state.rates[FACTOR] = total / state.weights[arm]


@kernel_inline
def weigh(eta, losses, out):
    """Weights exp(-eta * loss), the largest 1; returns their total."""
    least = smallest(losses)
    total = 0.0
    for k in range(out.size):
        out[k] = numeric.exp(-eta * (losses[k] - least))
        total += out[k]
    return total


@kernel
def recommend_batch(params, state, x, rng, out):
    total = weigh(state.rates[ETA], state.losses, out)
    for k in range(out.size):
        out[k] /= total


# --- what plans are made of ---------------------------------------------------------------------


@kernel_inline
def budget(task):
    """The observations that can be made."""
    return task.budget if task.budget >= 0 else task.horizon * task.n_arms


@kernel_inline
def spread(task):
    """The sample of a batch that lets a budget beyond the horizon be spent: ceil(B / T)."""
    return min(task.n_arms, max(1, (budget(task) + task.horizon - 1) // task.horizon))


@kernel_inline
def balance(task):
    """The batches at which, under bandit feedback, switches cost what estimates cost."""
    K, T = task.n_arms * 1.0, task.horizon * 1.0
    # The tuned number is at least T exactly if K ln(K) / 2 >= price^2 T: asked first, for price 0.
    variance = 0.5 * K * numeric.log(K)
    if variance >= task.price * task.price * T:
        return task.horizon
    tuned = math.pow(variance * T * T / (task.price * task.price), 1.0 / 3.0)
    return min(task.horizon, max(1, int(math.floor(tuned + 0.5))))


@kernel_inline
def plan_sample(task, sample, n_batches, eta, dartboard):
    """The plan of batches that observe ``sample`` >= 1 arms; zeros stand for what is derived."""
    K, T = task.n_arms, task.horizon
    N = n_batches if n_batches > 0 else max(1, min(T, budget(task) // sample))
    cost = K / 2.0 + task.price * sample * N / T
    tuned = math.sqrt(sample * numeric.log(K * 1.0) / (N * cost))
    return Plan(sample, N, eta if eta > 0.0 else tuned, dartboard)


@kernel_inline
def plan_played(task, n_batches, eta, dartboard):
    """The plan of ``n_batches`` >= 1 batches that observe the arm they play."""
    K = task.n_arms * 1.0
    tuned = math.sqrt(2.0 * numeric.log(K) / (K * n_batches))
    return Plan(0, n_batches, eta if eta > 0.0 else tuned, dartboard)


def needed(task: Task, problem: Losses) -> int:
    """The budget, of a task that any plan can deal with; else ValueError."""
    K, T = task.n_arms, task.horizon
    if K < 2:
        raise ValueError(f"needs at least 2 arms, got {K}")
    if T < 1:
        raise ValueError("needs a known horizon of at least 1 round")
    B = task.budget if task.budget >= 0 else T * K
    if not 1 <= B <= T * K:
        raise ValueError(f"needs a budget of 1 to {T * K} (arms x horizon) observations, got {B}")
    return B


def learner(params: Any, init: Callable[..., Batches], check: Callable[..., None]) -> Observe:
    """The algorithm whose ``init`` begins with the plan that it has for a task."""
    return Observe(params, init, act_batch, look_batch, update_batch, recommend_batch, check)


def check_all(task: Task, problem: Losses) -> None:
    """Refuse a task that does not let all losses be seen."""
    budget, pairs = needed(task, problem), task.n_arms * task.horizon
    if budget < pairs:
        raise ValueError(
            f"sees all losses: it needs a budget of {pairs} (arms x horizon), got {budget}"
        )
