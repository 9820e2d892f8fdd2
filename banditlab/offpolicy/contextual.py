"""Off-policy estimates for contextual bandits: the worth of another policy on a log's contexts.

For a log of n rounds (s_i, a_i, r_i) with propensities p_i and a target policy pi(a | s), with
importance weights w_i = pi(a_i | s_i) / p_i:

=================== =============================================================================
`ips`               sum_i w_i r_i / n (Horvitz & Thompson 1952). Unbiased.
`snips`             sum_i w_i r_i / sum_i w_i (Swaminathan & Joachims 2015). Unmoved by a shift of
                    all rewards; a bias of order 1/n buys less variance.
`direct_method`     sum_i sum_a pi(a | s_i) q(s_i, a) / n, with a reward model q. Needs no
                    propensities; as good as the model.
`doubly_robust`     direct method + sum_i w_i (r_i - q(s_i, a_i)) / n (Dudik, Langford & Li 2011).
                    Unbiased when the propensities are right or the model is.
`switch_dr`         direct method + sum_i [w_i <= tau] w_i (r_i - q(s_i, a_i)) / n (Wang, Agarwal &
                    Dudik 2017): the model is trusted where weights are too large to correct it.
                    The direct method at tau = 0, doubly robust at tau = inf.
=================== =============================================================================

Unless one is given, the reward model is the mean reward of the cell (s, a), cross-fitted: the rows
are dealt into two folds at random and each fold is valued by the model of the other. A model that
had seen its own row would explain part of its noise away; with cell means the correction of the
doubly robust estimate would then often be exactly zero. A cell without data takes the mean of its
fold.

A policy of the log's features ``x`` has no table: it is given as probabilities (n, n_arms), one row
for every row of the log, with ``by_row=True``. Contexts are then not looked at, and the model is a
ridge regression per arm, cross-fitted too: of the rewards, less the mean of the fold, on the
features and a constant, with penalty 1 on all coefficients. The features are first brought to mean
0 and variance 1 over the log. An arm without data takes the mean of its fold.

Unless it is given, tau minimises an estimate of the mean squared error, as in section 3 of the
paper: with y_i the contribution of row i, R the width of the range of the logged rewards and m the
share of the target's actions whose weight is above tau ::

    sum_i (y_i - mean y)^2 / n^2 + (R m)^2

The second part bounds the bias, since R bounds the error of the model; m weighs the cells (s, a) by
the target and the rows of a cell by w. The bound is coarse, so that only weights that dwarf the
log are given up. Candidates are 0, infinity and up to 20 quantiles of the weights; tau is chosen
anew in every bootstrap draw, being part of the estimator.

Intervals are percentile bootstrap intervals over rows, the model refitted in every draw. Each
estimator is one function of the rows and of their multiplicities; whatever can be written so gets
its intervals from `estimate`. On a small problem whose weights stay below 4, with 500 rows, those
of 95 % covered the exact value in 95.0 to 95.8 % of 1000 logs, for all five. They promise nothing
where few rows carry most of the weight (an ``ess`` of a few dozen), where the model is wrong and
only the model is used (`direct_method`, and `switch_dr` with a small tau), or where the log never
shows what the target does.

Propensities are probabilities that the logging policy really used. A target that was itself
learned from the log must be `learned` from other rows than it is valued on.

>>> log = Log(action=[0, 1, 1, 1], reward=[1, 0, 1, 1], propensity=[0.25, 0.75, 0.75, 0.75])
>>> ips(log, [[1.0, 0.0]]).value
1.0
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from banditlab.core import Task
from banditlab.data.log import Log
from banditlab.offpolicy.resample import Estimate, bootstrap, effective
from banditlab.offpolicy.rows import Rows
from banditlab.validate import inside, integer, number

CANDIDATES = 20  # thresholds that switch_dr chooses from, beside 0 and infinity


# (rows, multiplicities (draws, u) float64 that sum to n) -> values (draws,)
Estimator = Callable[[Rows, np.ndarray], np.ndarray]


def _ips(rows: Rows, copies: np.ndarray) -> np.ndarray:
    return copies @ (rows.weight * rows.reward) / rows.copies.sum()


def _snips(rows: Rows, copies: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # no weight at all: nan
        return copies @ (rows.weight * rows.reward) / (copies @ rows.weight)


def _direct_method(rows: Rows, copies: np.ndarray) -> np.ndarray:
    return (copies * rows.predict(copies, both=False)[0]).sum(axis=1) / rows.copies.sum()


def _doubly_robust(rows: Rows, copies: np.ndarray) -> np.ndarray:
    of_target, of_action = rows.predict(copies)
    each = of_target + rows.weight * (rows.reward - of_action)
    return (copies * each).sum(axis=1) / rows.copies.sum()


def _thresholds(rows: Rows) -> np.ndarray:
    """Candidates for tau, from the weights that the log shows."""
    weights = np.unique(rows.weight)
    inner = np.quantile(weights, np.linspace(0.0, 1.0, CANDIDATES), method="nearest")
    return np.unique(np.concatenate([[0.0], inner, [np.inf]]))


def _switch_dr(tau: float | None, rows: Rows, copies: np.ndarray) -> np.ndarray:
    of_target, of_action = rows.predict(copies)
    n = rows.copies.sum()
    residual = rows.weight * (rows.reward - of_action)
    if tau is not None:
        return (copies * (of_target + (rows.weight <= tau) * residual)).sum(axis=1) / n
    weight = copies * rows.weight
    of_pair = rows.by_pair(weight)
    shares = rows.shares(copies) / np.where(of_pair > 0.0, of_pair, 1.0)
    spread = rows.reward.max() - rows.reward.min()
    best, value = np.full(len(copies), np.inf), np.empty(len(copies))
    for threshold in _thresholds(rows):
        kept = rows.weight <= threshold
        each = of_target + kept * residual
        mean = (copies * each).sum(axis=1) / n
        variance = (copies * (each - mean[:, None]) ** 2).sum(axis=1) / n**2
        beyond = rows.by_pair(weight * ~kept)
        error = variance + (spread * (beyond * shares).sum(axis=1)) ** 2
        value = np.where(error < best, mean, value)
        best = np.minimum(error, best)
    return value


def estimate(
    estimator: Estimator,
    log: Log,
    policy: Any,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
    weighted: bool = True,
    by_row: bool = False,
    model: Any = None,
) -> Estimate:
    """The value of ``policy`` by ``estimator``, with a percentile bootstrap interval.

    The five estimators below are this function with their formula filled in.

    Parameters
    ----------
    log
        With propensities, unless ``weighted`` is false.
    policy
        Probabilities (n_contexts, n_arms), each row summing to 1; (n, n_arms) with ``by_row``.
    level
        Confidence level, in (0, 1).
    draws
        Bootstrap draws, at least 2.
    seed
        Decides the folds and the draws. One seed resamples the same rows for all estimators and
        targets, so that differences between them are paired.
    by_row
        Whether ``policy`` has a row for every row of the log, rather than for every context, and
        the model reads the features of the log.
    model
        A reward model of one's own, in the place of the cross-fitted one: what each arm would pay
        in each row of the log, (n, n_arms), with the policy's columns, or a function of the log
        that returns it. It must not have been fitted to the rewards of this log. In the bootstrap
        it stays as it is.

    Raises
    ------
    ValueError
        In one line, for a bad argument, missing propensities, or a log that ``policy`` does not
        cover.
    """
    level, draws = inside("level", level, 0.0, 1.0), integer("draws", draws, 2)
    if weighted and log.propensity is None:
        raise ValueError("the log has no column 'propensity', which this estimator needs")
    rng = np.random.default_rng(integer("seed", seed, 0))
    log, policy = on_log(log, policy, by_row)
    given = None if model is None else _model(model, log, policy.shape[1])
    rows = Rows(log, policy, rng, by_row, given)
    found = bootstrap(partial(estimator, rows), rows.copies, level, draws, rng, rows.width)
    return Estimate(*found, effective(rows.copies, rows.weight) if weighted else float(len(log)))


def on_log(log: Log, policy: Any, by_row: bool = False) -> tuple[Log, np.ndarray]:
    """The policy checked, and the log with the policy's numbers of contexts and arms.

    Names of the log that are numbers of the policy's rows or columns mean these; as many other
    names are counted in order. Raises ValueError, in one line, for whatever does not fit.
    """
    policy = np.asarray(policy, dtype=np.float64)
    if policy.ndim != 2:
        raise ValueError(f"policy must have shape (n_contexts, n_arms), got {policy.shape}")
    if by_row and len(policy) != len(log):
        raise ValueError(f"policy: {len(policy)} rows, but the log has {len(log)}")
    wrong = np.flatnonzero(~((policy.min(axis=1) >= 0) & (np.abs(policy.sum(axis=1) - 1) < 1e-8)))
    if wrong.size:
        raise ValueError(
            f"policy: row {wrong[0]} must be probabilities that sum to 1, got {policy[wrong[0]]}"
        )
    return log.fitted(Task(policy.shape[1], log.n_contexts if by_row else len(policy))), policy


def support(log: Log, policy: Any, by_row: bool = False) -> float:
    """The share of what ``policy`` does in the rows of the log that the log shows anywhere.

    1 when every arm that the policy plays was logged in the same context (``by_row``: at all).
    Of the rest no estimate knows anything but what a model makes up. Arguments: :func:`estimate`.
    """
    log, policy = on_log(log, policy, by_row)
    if by_row:
        shown = np.bincount(log.action, minlength=policy.shape[1]) > 0
        return float((policy * shown).sum() / len(log))
    n_arms = policy.shape[1]
    pairs = np.unique(log.context * n_arms + log.action)
    rows = np.bincount(log.context, minlength=len(policy)) / len(log)
    context, arm = np.divmod(pairs, n_arms)
    return min(1.0, float((rows[context] * policy[context, arm]).sum()))


def _model(model: Any, log: Log, n_arms: int) -> np.ndarray:
    found = np.array(model(log) if callable(model) else model, dtype=np.float64)
    if found.shape != (len(log), n_arms):
        raise ValueError(f"model must give ({len(log)}, {n_arms}) rewards, got {found.shape}")
    for row in np.flatnonzero(~np.isfinite(found).all(axis=1))[:1]:
        raise ValueError(f"model: row {row} has {found[row]}; allowed are finite numbers")
    return found


def ips(
    log: Log,
    policy: Any,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
    by_row: bool = False,
) -> Estimate:
    """Inverse propensity score estimate of the value of ``policy``; see :func:`estimate`."""
    return estimate(_ips, log, policy, level, draws, seed, by_row=by_row)


def snips(
    log: Log,
    policy: Any,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
    by_row: bool = False,
) -> Estimate:
    """Self-normalised estimate of the value of ``policy``; see :func:`estimate`."""
    return estimate(_snips, log, policy, level, draws, seed, by_row=by_row)


def direct_method(
    log: Log,
    policy: Any,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
    by_row: bool = False,
    model: Any = None,
) -> Estimate:
    """Model-based estimate of the value of ``policy``; see :func:`estimate`."""
    return estimate(_direct_method, log, policy, level, draws, seed, False, by_row, model)


def doubly_robust(
    log: Log,
    policy: Any,
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
    by_row: bool = False,
    model: Any = None,
) -> Estimate:
    """Doubly robust estimate of the value of ``policy``; see :func:`estimate`."""
    return estimate(_doubly_robust, log, policy, level, draws, seed, by_row=by_row, model=model)


def switch_dr(
    log: Log,
    policy: Any,
    *,
    tau: float | None = None,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
    by_row: bool = False,
    model: Any = None,
) -> Estimate:
    """Switch estimate of the value of ``policy``; see :func:`estimate`.

    ``tau``, at least 0, is the largest importance weight that is used, ``math.inf`` for all; by
    default the log chooses it.
    """
    if tau is not None and tau != np.inf and number("tau", tau) < 0.0:
        raise ValueError(f"tau must be at least 0, got {tau!r}")
    how = partial(_switch_dr, tau)
    return estimate(how, log, policy, level, draws, seed, by_row=by_row, model=model)
