"""SquareCB and FastCB over predictors of costs that need no network: what the two share.

An oracle predicts the cost of every arm and learns that of the arm that was pulled:

``tabular``
    A mean per context and arm: (sum of costs + 1/2) / (n + 1).
``linear``
    Ridge regression on the features and a constant 1, of coefficients per arm or, with
    ``disjoint`` false, one vector for all arms; predictions are brought into [0, 1].
``logistic``
    The sigmoid of a linear function of the same, by one step of online gradient descent on the kl
    loss per reward, of size ``lr``; predictions are brought into [1e-6, 1 - 1e-6].

Rewards in [low, high] become costs in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import Task, context, kernel, kernel_in_loop
from banditlab.parts import ridge as regression
from banditlab.parts.inverse_gap import (
    LEAST,
    Greed,
    clipped,
    cost_range,
    fill_best,
    fill_rule,
    gamma_of,
    greed,
)
from banditlab.parts.modes import place
from banditlab.parts.networks import sigmoid
from banditlab.parts.ridge import Ridge
from banditlab.protocols.online import Online
from banditlab.random import categorical
from banditlab.validate import flag, positive

ORACLES = ("tabular", "linear", "logistic")


class Tabular(NamedTuple):
    """What is remembered with the tabular oracle; the last five fields are those of all oracles."""

    sums: np.ndarray  # (n_contexts, n_arms) float64: of costs
    pulls: np.ndarray  # (n_contexts, n_arms) float64
    costs: np.ndarray  # (n_arms,) float64: scratch, predicted
    rule: np.ndarray  # (n_arms,) float64: scratch, probabilities
    seen: np.ndarray  # (1,) int64: rewards so far
    paid: np.ndarray  # (1,) float64: their costs
    horizon: np.ndarray  # (1,) int64: 0 when unknown


class Linear(NamedTuple):
    """What is remembered with the linear oracle."""

    ridge: Ridge  # of dim + 1 coefficients
    rows: np.ndarray  # (n_arms, dim + 1) float64: scratch, features with their constant
    costs: np.ndarray  # (n_arms,) float64
    rule: np.ndarray  # (n_arms,) float64
    seen: np.ndarray  # (1,) int64
    paid: np.ndarray  # (1,) float64
    horizon: np.ndarray  # (1,) int64


class Logistic(NamedTuple):
    """What is remembered with the logistic oracle; ``n_models`` is n_arms if disjoint, else 1."""

    weights: np.ndarray  # (n_models, dim + 1) float64
    rows: np.ndarray  # (n_arms, dim + 1) float64: scratch, features with their constant
    costs: np.ndarray  # (n_arms,) float64
    rule: np.ndarray  # (n_arms,) float64
    seen: np.ndarray  # (1,) int64
    paid: np.ndarray  # (1,) float64
    horizon: np.ndarray  # (1,) int64


@kernel
def common(task):
    """The last five fields of every state."""
    costs = np.zeros(task.n_arms)
    return costs, costs.copy(), np.zeros(1, np.int64), np.zeros(1), np.full(1, task.horizon)


@kernel
def init_tabular(params, task, rng):
    costs, rule, seen, paid, horizon = common(task)
    sums = np.zeros((task.n_contexts, task.n_arms))
    return Tabular(sums, sums.copy(), costs, rule, seen, paid, horizon)


@kernel
def init_linear(params, task, rng):
    costs, rule, seen, paid, horizon = common(task)
    longer = Task(task.n_arms, 1, task.dim + 1, task.horizon, task.budget, task.price)
    ridge = regression.init(params, longer, rng)
    rows = np.zeros((task.n_arms, task.dim + 1))
    return Linear(ridge, rows, costs, rule, seen, paid, horizon)


@kernel
def init_logistic(params, task, rng):
    costs, rule, seen, paid, horizon = common(task)
    rows = np.zeros((task.n_arms, task.dim + 1))
    weights = rows.copy() if params.disjoint else rows[:1].copy()
    return Logistic(weights, rows, costs, rule, seen, paid, horizon)


@kernel
def extend(state, x):
    """Write the features of every arm, and a 1 behind them, to ``state.rows``."""
    dim = x.shape[1]
    for k in range(state.rows.shape[0]):
        shown = k if x.shape[0] > 1 else 0
        for j in range(dim):
            state.rows[k, j] = x[shown, j]
        state.rows[k, dim] = 1.0


@kernel_in_loop
def predict_tabular(params, state, x):
    s = context(state.sums.shape[0], x)
    for k in range(state.costs.size):
        state.costs[k] = (state.sums[s, k] + 0.5) / (state.pulls[s, k] + 1.0)


@kernel_in_loop
def learn_tabular(params, state, x, arm, cost):
    s = context(state.sums.shape[0], x)
    state.sums[s, arm] += cost
    state.pulls[s, arm] += 1.0


@kernel
def predict_linear(params, state, x):
    extend(state, x)
    regression.predict(state.ridge, state.rows)
    for k in range(state.costs.size):
        state.costs[k] = clipped(state.ridge.mean[k], 0.0)


@kernel
def learn_linear(params, state, x, arm, cost):
    extend(state, x)
    regression.update(params, state.ridge, 0, state.rows, arm, cost, np.zeros(4, np.uint64))


@kernel
def log_odds(state, arm):
    """The linear function of an arm's row, and the number of its weights."""
    m = arm if state.weights.shape[0] > 1 else 0
    total = 0.0
    for j in range(state.rows.shape[1]):
        total += state.weights[m, j] * state.rows[arm, j]
    return total, m


@kernel
def predict_logistic(params, state, x):
    extend(state, x)
    for k in range(state.costs.size):
        state.costs[k] = clipped(sigmoid(log_odds(state, k)[0]), LEAST)


@kernel
def learn_logistic(params, state, x, arm, cost):
    extend(state, x)
    odds, m = log_odds(state, arm)
    scale = params.lr * (sigmoid(odds) - cost)
    for j in range(state.rows.shape[1]):
        state.weights[m, j] -= scale * state.rows[arm, j]


@kernel
def allocate(params, state):
    """Fill ``state.rule``, from predicted costs."""
    how = Greed(
        params.allocation,
        params.gamma,
        params.gamma_schedule,
        params.regression_regret,
        params.best_loss,
        params.delta,
    )
    n_arms, n = state.rule.size, state.seen[0] + 1
    gamma = gamma_of(how, n_arms, state.horizon[0], n, state.paid[0])
    fill_rule(how, state.costs, gamma, state.rule)


def _kernels(predict: Callable[..., None], learn: Callable[..., None]) -> tuple[Any, ...]:
    @kernel
    def act(params, state, t, x, rng):
        predict(params, state, x)
        allocate(params, state)
        total = 0.0
        for k in range(state.rule.size):
            total += state.rule[k]
        arm = categorical(rng, state.rule)
        return arm if total == total else -1  # features too large to be squared: no numbers

    @kernel
    def update(params, state, t, x, arm, reward, rng):
        cost = (params.high - reward) / (params.high - params.low)
        state.paid[0] += cost
        state.seen[0] += 1
        learn(params, state, x, arm, cost)

    @kernel
    def recommend(params, state, x, rng, out):
        predict(params, state, x)
        fill_best(state.costs, out)

    @kernel
    def propensities(params, state, t, x, out):
        predict(params, state, x)
        allocate(params, state)
        for k in range(out.size):
            out[k] = state.rule[k]

    return act, update, recommend, propensities


# Made once each, so that every algorithm with one oracle is the same code.
KERNELS = {
    "tabular": (init_tabular, *_kernels(predict_tabular, learn_tabular)),
    "linear": (init_linear, *_kernels(predict_linear, learn_linear)),
    "logistic": (init_logistic, *_kernels(predict_logistic, learn_logistic)),
}


def checked(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a factory of the family, checked and cast, under their names.

    Raises ValueError, in one line, for what is out of range.
    """
    low, high = cost_range(given["low"], given["high"])
    how = greed(
        given["allocation"], given["gamma"], given["gamma_schedule"],
        given["regression_regret"], given["best_loss"], given["delta"],
    )  # fmt: skip
    return {
        "low": low,
        "high": high,
        **how._asdict(),
        "oracle": place("oracle", given["oracle"], ORACLES),
        "disjoint": flag("disjoint", given["disjoint"]),
        "ridge": positive("ridge", given["ridge"]),
        "lr": positive("lr", given["lr"]),
    }


def oracle_policy(params: Any) -> Online:
    """The algorithm of checked hyper-parameters."""
    word = ORACLES[params.oracle]
    made = Online(params, *KERNELS[word])
    return made._replace(rewards=(params.low, params.high), features=word != "tabular")
