"""What NeuSquareCB and NeuFastCB share: a network predicts costs, inverse gaps decide.

They differ in two words, ``loss`` and ``allocation``, which either of them takes; so the four
combinations can be compared. Rewards in [low, high] become costs in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import Task, kernel, kernel_inline
from banditlab.parts import network_training, networks
from banditlab.parts.inverse_gap import (
    LEAST,
    RIGW,
    Greed,
    clipped,
    cost_range,
    fill_best,
    fill_rule,
    gamma_of,
    greed,
)
from banditlab.parts.modes import place
from banditlab.parts.network_training import (
    ENSEMBLE,
    KL,
    LOSSES,
    PERTURBATIONS,
    SCHEDULES,
    WRONG,
    Learner,
    Training,
)
from banditlab.protocols.online import Online
from banditlab.random import categorical
from banditlab.validate import flag, integer, nonnegative, positive

MOST = 2 * 10**9  # comparisons of signs, with which an ensemble begins: seconds


class State(NamedTuple):
    """What the family remembers."""

    learner: Learner  # the network, the rows it has seen, the perturbation
    costs: np.ndarray  # (n_arms,) float64: scratch, predicted
    rule: np.ndarray  # (n_arms,) float64: scratch, probabilities
    paid: np.ndarray  # (1,) float64: costs so far
    horizon: np.ndarray  # (1,) int64: 0 when unknown


@kernel_inline
def training_of(params):
    """How to train, from hyper-parameters."""
    pull = params.c_p * params.c_p / math.sqrt(1.0 * params.units)
    return Training(
        params.loss,
        params.schedule,
        params.perturb if params.c_p > 0.0 else 0,
        params.lr,
        pull,
        params.steps,
        params.tolerance,
        params.t0,
        params.radius,
    )


@kernel_inline
def greed_of(params):
    """How greedy to be, from hyper-parameters."""
    return Greed(
        params.allocation,
        params.gamma,
        params.gamma_schedule,
        params.regression_regret,
        params.best_loss,
        params.delta,
    )


@kernel
def new_state(task, disjoint, units, depth, memory, n_signs, rng):
    blocks = task.n_arms if disjoint else 1
    net = networks.new(blocks, task.dim, units, depth, rng)
    return State(
        network_training.new_learner(net, memory, task.horizon, n_signs, rng),
        np.zeros(task.n_arms),
        np.zeros(task.n_arms),
        np.zeros(1),
        np.full(1, task.horizon),
    )


@kernel
def init(params, task, rng):
    n_signs = params.n_networks if params.perturb == ENSEMBLE and params.c_p > 0.0 else 0
    return new_state(task, params.disjoint, params.units, params.depth, params.memory, n_signs, rng)


@kernel
def predict_costs(state, x, loss, clip, allocation):
    """Write the predicted costs of all arms; False when the network has diverged.

    With the square loss the perturbation is the same for all arms: left out where gaps are all that
    counts, it matters where predictions are clipped, as reweighted gaps always do.
    """
    learner, costs = state.learner, state.costs
    sound = network_training.estimate(learner, x, costs)
    n_signs = learner.offsets.size
    shift = 0.0
    for s in range(n_signs if clip or allocation == RIGW else 0):
        shift += learner.offsets[s] / n_signs
    for k in range(costs.size):
        if loss == KL:
            f, mean = costs[k], 0.0
            for s in range(n_signs):
                mean += networks.sigmoid(f + learner.offsets[s]) / n_signs
            costs[k] = clipped(mean if n_signs > 0 else networks.sigmoid(f), LEAST)
        else:
            costs[k] += shift
            costs[k] = clipped(costs[k], 0.0) if clip else costs[k]
    return sound


@kernel
def weigh(greed, state, x, loss, clip):
    """Fill ``state.rule``; False when the network has diverged: then it is even."""
    n_arms, n = state.rule.size, state.learner.history.seen[0] + 1
    sound = predict_costs(state, x, loss, clip, greed.allocation)
    gamma = gamma_of(greed, n_arms, state.horizon[0], n, state.paid[0])
    fill_rule(greed, state.costs, gamma, state.rule)
    for k in range(0 if sound else n_arms):
        state.rule[k] = 1.0 / n_arms
    return sound


@kernel
def act(params, state, t, x, rng):
    if not weigh(greed_of(params), state, x, params.loss, params.clip):
        trouble = state.learner.trouble
        trouble[0] = max(trouble[0], WRONG)
        return -1
    return categorical(rng, state.rule)


@kernel
def update(params, state, t, x, arm, reward, rng):
    cost = (params.high - reward) / (params.high - params.low)
    state.paid[0] += cost
    network_training.learn(training_of(params), state.learner, x, arm, cost, rng)


@kernel
def recommend(params, state, x, rng, out):
    sound = predict_costs(state, x, params.loss, params.clip, params.allocation)
    for k in range(0 if sound else out.size):
        state.costs[k] = 0.0
    fill_best(state.costs, out)


@kernel
def propensities(params, state, t, x, out):
    sound = weigh(greed_of(params), state, x, params.loss, params.clip)
    for k in range(out.size):
        out[k] = state.rule[k] if sound else np.nan


def checked(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a factory of the family, checked and cast, under their names.

    Raises ValueError, in one line, for what is out of range, and for a perturbation whose pull
    would throw weights beyond their start.
    """
    low, high = cost_range(given["low"], given["high"])
    how = greed(
        given["allocation"], given["gamma"], given["gamma_schedule"],
        given["regression_regret"], given["best_loss"], given["delta"],
    )  # fmt: skip
    radius = given["radius"]
    found = {
        "low": low,
        "high": high,
        **how._asdict(),
        "loss": place("loss", given["loss"], LOSSES),
        "clip": flag("clip", given["clip"]),
        "units": integer("units", given["units"], 1, 100_000),
        "depth": integer("depth", given["depth"], 1, 2),
        "disjoint": flag("disjoint", given["disjoint"]),
        "lr": positive("lr", given["lr"]),
        "perturb": place("perturb", given["perturb"], PERTURBATIONS),
        "c_p": nonnegative("c_p", given["c_p"]),
        "n_networks": integer("n_networks", given["n_networks"], 1, 1000),
        "schedule": place("schedule", given["schedule"], SCHEDULES),
        "steps": integer("steps", given["steps"], 1),
        "tolerance": nonnegative("tolerance", given["tolerance"]),
        "t0": nonnegative("t0", given["t0"]),
        "radius": math.inf if radius == math.inf else positive("radius", radius),
        "memory": integer("memory", given["memory"], 0),
    }
    most = math.sqrt(0.05 * math.sqrt(found["units"]) / found["lr"])
    if found["perturb"] and found["c_p"] > most:
        raise ValueError(
            f"c_p must be at most {most:.3g} with {found['units']} units and lr "
            f"{found['lr']:g}, got {found['c_p']:g}"
        )
    return found


def check_of(params: Any) -> Callable[[Task], None] | None:
    """What refuses, by ValueError, an ensemble whose signs take too much room or time."""

    def check(task: Task) -> None:
        blocks = task.n_arms if params.disjoint else 1
        weights = networks.size(blocks, task.dim, params.units, params.depth)
        if params.n_networks**2 * weights > MOST:
            raise ValueError(
                f"n_networks, {params.n_networks}, squared times the {weights:,} weights of the "
                f"network must be at most {MOST:,}: fewer networks or units, or perturb 'expected'"
            )

    return check if params.perturb == ENSEMBLE and params.c_p > 0.0 else None


def neural_policy(params: Any) -> Online:
    """The algorithm of checked hyper-parameters."""
    return Online(
        params,
        init,
        act,
        update,
        recommend,
        propensities,
        rewards=(params.low, params.high),
        features=True,
        check=check_of(params),
    )
