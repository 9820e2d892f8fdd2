"""KernelUCB (Valko, Korda, Munos, Flaounas & Cristianini 2013, UAI), as its neural rivals run it.

Rewards are a smooth function of arm and features. With the kernel ``k(u, v) = exp(-|u - v|)``, its
matrix ``G`` over the remembered rounds, ``k`` the vector of kernels with them and their rewards
``r``, pull the arm of the largest::

    mean + sqrt(ridge nu (1 - k.T (G + ridge I)^-1 k)),      mean = k.T (G + ridge I)^-1 r

The norm is not squared. Where all arms share one row of features, arm a is described by the long
vector that holds the row in block a and zeros elsewhere: two rounds of one arm are ``|x - x'|``
apart, those of two arms ``sqrt(|x|^2 + |x'|^2)``. Where each arm has features of its own, these are
what is compared, and an arm is no more than its features.

As in the programs that the paper on NeuralTS (Zhang, Zhou, Li & Gu 2021) and that on EE-Net (Ban,
Yan, Banerjee & He 2022) compare with, the first ``memory`` rounds are remembered and nothing is
learned from later ones; ``ridge`` and ``nu`` are those of the former's scripts.

The inverse grows by a row a round (block inverse), which costs O(memory^2). All arms together cost
as much again: vectors of kernels of two arms differ only in rounds of these two. Rounds that come
again make the inverse the less exact, the smaller ``ridge``: below LEAST too few digits are left.

>>> import banditlab
>>> agent = banditlab.Agent("kernel_ucb", n_arms=2, dim=1)
>>> agent.update([[1.0]], arm=1, reward=1.0)
>>> agent.act([[0.9]]), agent.recommend([[0.9]])
(1, array([0., 1.]))
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab import linalg, numeric
from banditlab.core import kernel
from banditlab.parts.largest import even_odds, first_largest
from banditlab.protocols.online import Online
from banditlab.validate import integer, nonnegative, positive

label = "KernelUCB"
report = "contextual"  # what --log makes of a file
trial = {"memory": 20}  # what the contract plays


LEAST = 1e-4  # of ridge


class KernelUCB(NamedTuple):
    """Hyper-parameters."""

    ridge: float = 1.0  # >= LEAST: lambda
    nu: float = 0.1  # >= 0: of the bonus
    memory: int = 1000  # >= 1: rounds that are remembered; costs 8 memory^2 bytes


class State(NamedTuple):
    """What is remembered; ``size`` is the horizon, at most ``memory``."""

    rounds: np.ndarray  # (1,) int64: how many are remembered
    x: np.ndarray  # (dim, size) float64: their features, a column each
    arm: np.ndarray  # (size,) int64
    square: np.ndarray  # (size,) float64: |x|^2
    inverse: np.ndarray  # (size, size) float64: (G + ridge I)^-1 in its first rows
    weights: np.ndarray  # (size,) float64: that times r
    near: np.ndarray  # (size,) float64: scratch, kernels with rounds of the same arm
    far: np.ndarray  # (size,) float64: scratch, kernels as with rounds of another
    applied: np.ndarray  # (size,) float64: scratch, the inverse times ``far``
    rows: np.ndarray  # (size,) int64: scratch, the rounds of an arm
    mean: np.ndarray  # (n_arms,) float64: scratch
    form: np.ndarray  # (n_arms,) float64: scratch, k.T (G + ridge I)^-1 k


@kernel
def init(params, task, rng):
    size = min(params.memory, task.horizon) if task.horizon > 0 else params.memory
    return State(
        np.zeros(1, np.int64),
        np.zeros((task.dim, size)),
        np.zeros(size, np.int64),
        np.zeros(size),
        np.zeros((size, size)),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size),
        np.zeros(size, np.int64),
        np.zeros(task.n_arms),
        np.zeros(task.n_arms),
    )


@kernel
def compare(state, row, apart):
    """Write the kernels of ``row`` with what is remembered to ``near``; returns |row|^2.

    With ``apart`` also to ``far``, those with rounds of other arms, else it is a copy.
    """
    n = state.rounds[0]
    near, far = state.near, state.far
    square = 0.0
    for i in range(n):
        near[i] = 0.0
    for j in range(row.size):
        c = row[j]
        square += c * c
        for i in range(n):
            gap = c - state.x[j, i]
            near[i] += gap * gap
    for i in range(n):
        near[i] = numeric.exp(-math.sqrt(near[i]))
        far[i] = numeric.exp(-math.sqrt(square + state.square[i])) if apart else near[i]
    return square


@kernel
def apply(state, n):
    """Write the inverse times ``far`` to ``applied``."""
    out = state.applied
    for j in range(n):
        out[j] = 0.0
    whole = n - n % 4
    for i in range(0, whole, 4):  # as a sum of rows, for the matrix is symmetric
        a, b, c, d = state.far[i], state.far[i + 1], state.far[i + 2], state.far[i + 3]
        for j in range(n):
            out[j] += (a * state.inverse[i, j] + b * state.inverse[i + 1, j]) + (
                c * state.inverse[i + 2, j] + d * state.inverse[i + 3, j]
            )
    for i in range(whole, n):
        a = state.far[i]
        for j in range(n):
            out[j] += a * state.inverse[i, j]


@kernel
def change(state, arm, n):
    """What turns ``far`` into kernels with ``arm`` adds to the mean and to the form."""
    rows, count = state.rows, 0
    for i in range(n):
        if state.arm[i] == arm:
            rows[count] = i
            count += 1
    mean, form = 0.0, 0.0
    for p in range(count):
        i = rows[p]
        gap = state.near[i] - state.far[i]
        inner = 0.0
        for q in range(count):
            j = rows[q]
            inner += state.inverse[i, j] * (state.near[j] - state.far[j])
        mean += gap * state.weights[i]
        form += gap * (2.0 * state.applied[i] + inner)
    return mean, form


@kernel
def predict(state, x):
    """Write mean and form of every arm."""
    n = state.rounds[0]
    apart = x.shape[0] == 1
    for r in range(x.shape[0]):
        compare(state, x[r], apart)
        apply(state, n)
        mean = linalg.dot(state.far[:n], state.weights[:n])
        form = linalg.dot(state.far[:n], state.applied[:n])
        if not apart:
            state.mean[r], state.form[r] = mean, form
            continue
        for k in range(state.mean.size):
            more, wider = change(state, k, n)
            state.mean[k], state.form[k] = mean + more, form + wider


@kernel
def act(params, state, t, x, rng):
    predict(state, x)
    for k in range(state.mean.size):
        variance = params.ridge * params.nu * max(1.0 - state.form[k], 0.0)
        state.mean[k] += math.sqrt(variance)
    return first_largest(state.mean)


@kernel
def update(params, state, t, x, arm, reward, rng):
    n = state.rounds[0]
    if n == state.arm.size:
        return
    apart = x.shape[0] == 1
    row = x[0] if apart else x[arm]
    square = compare(state, row, apart)
    for i in range(n):
        same = state.arm[i] == arm
        state.far[i] = state.near[i] if same else state.far[i]
    apply(state, n)
    rest = 1.0 + params.ridge - linalg.dot(state.far[:n], state.applied[:n])
    rest = max(rest, params.ridge)  # what it is at least but for rounding
    error = (reward - linalg.dot(state.far[:n], state.weights[:n])) / rest
    for i in range(n):
        c = state.applied[i] / rest
        for j in range(n):
            state.inverse[i, j] += c * state.applied[j]
        state.inverse[i, n] = -c
        state.inverse[n, i] = -c
        state.weights[i] -= error * state.applied[i]
    state.inverse[n, n] = 1.0 / rest
    state.weights[n] = error
    for j in range(row.size):
        state.x[j, n] = row[j]
    state.arm[n] = arm
    state.square[n] = square
    state.rounds[0] = n + 1


@kernel
def recommend(params, state, x, rng, out):
    predict(state, x)
    even_odds(state.mean, out)


def kernel_ucb(ridge: float = 1.0, nu: float = 0.1, memory: int = 1000) -> Online:
    """KernelUCB with ``ridge`` >= 1e-4, ``nu`` >= 0, that learns from ``memory`` >= 1 rounds.

    These are the first. The task must have ``dim`` >= 1. Features may differ between arms, or be
    one row that all arms share. Ties go to the lowest arm. Raises ValueError for a number out of
    range.
    """
    if positive("ridge", ridge) < LEAST:
        raise ValueError(
            f"ridge must be at least {LEAST:g}, got {ridge!r}: rounds that come again would leave "
            "no digits of the inverse"
        )
    params = KernelUCB(
        positive("ridge", ridge),
        nonnegative("nu", nu),
        integer("memory", memory, 1, 20_000),
    )
    return Online(params, init, act, update, recommend, features=True)
