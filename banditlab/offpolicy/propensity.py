"""Propensities for a log that has none, estimated from what was chosen.

The rows (of a dataset: the episodes) are dealt into two folds at random, and each is told by the
other with which probability its actions were taken: a row that had a say in its own propensity
would be found likelier than it was. What is estimated is how often an arm was taken in a context.
Whatever else the choice went by, and the rewards depend on too, is lost, and no estimate built on
such propensities is unbiased then.

- By context (or state): with n rows of the context, of which n_a show arm a, and the share q_a of
  the arm in the whole fold, (n_a + q_a) / (n + 1). A context that the other fold lacks has q_a; q_a
  itself is (m_a + 1) / (m + K) for the fold's m rows, of which m_a show a, and K arms.
- By the features of a log: multinomial logistic regression on them and a constant, all scaled to
  mean 0 and variance 1, with penalty ``|W|^2 / 2`` on the coefficients.
"""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import numpy as np

from banditlab.data.log import Log
from banditlab.data.transitions import Dataset
from banditlab.offpolicy.rows import scaled
from banditlab.validate import integer

LEAST = 1e-6  # a propensity must be above 0
Logged = TypeVar("Logged", Log, Dataset)


def estimated_propensities(log: Logged, seed: int = 0, by_features: bool = False) -> Logged:
    """``log``, with estimated propensities in the place of those it has, and a note that says so.

    ``seed`` decides the folds. ``by_features``: by the log's features and not by its contexts.
    Raises ValueError for a log without features then.
    """
    rng = np.random.default_rng(integer("seed", seed, 0))
    if isinstance(log, Dataset):
        lengths = np.diff(np.append(log.starts, len(log)))
        fold = np.repeat(rng.permutation(lengths.size) % 2, lengths)
        found = _by_context(log.state, log.action, fold, log.n_actions)
        by = "state"
    elif by_features:
        if log.x is None:
            raise ValueError("the log has no columns x_*, by which to estimate propensities")
        found = _by_features(scaled(log), log.action, rng.permutation(len(log)) % 2)
        by = "features"
    else:
        fold = rng.permutation(len(log)) % 2
        found = _by_context(log.context, log.action, fold, len(log.actions))
        by = "context" if log.has_context else "frequency"
    note = f"propensities were estimated from the log by {by}, each row's from the other half"
    return dataclasses.replace(log, propensity=found, notes=(*log.notes, note), **_names(log))


def _names(log: Log | Dataset) -> dict:
    """What `dataclasses.replace` would take for names: contexts that were not given."""
    return {} if isinstance(log, Dataset) or log.has_context else {"context": None}


def _by_context(
    context: np.ndarray, action: np.ndarray, fold: np.ndarray, n_arms: int
) -> np.ndarray:
    keys, pair = np.unique(context * n_arms + action, return_inverse=True)
    pair = pair.reshape(-1)
    found = np.empty(context.size)
    for own in (0, 1):
        other, mine = fold != own, fold == own
        arms = np.bincount(action[other], minlength=n_arms)
        overall = (arms + 1.0) / (arms.sum() + n_arms)
        of_pair = np.bincount(pair[other], minlength=keys.size)
        of_context = np.bincount(context[other], minlength=int(context.max()) + 1)
        shares = of_pair[pair[mine]] + overall[action[mine]]
        found[mine] = shares / (of_context[context[mine]] + 1.0)
    return found


def _by_features(x: np.ndarray, action: np.ndarray, fold: np.ndarray) -> np.ndarray:
    n_arms = int(action.max()) + 1
    found = np.empty(action.size)
    for own in (0, 1):
        other, mine = fold != own, fold == own
        weights = _regression(x[other], action[other], n_arms)
        chances = _softmax(x[mine] @ weights)
        found[mine] = chances[np.arange(int(mine.sum())), action[mine]]
    return np.clip(found, LEAST, 1.0)


def _softmax(scores: np.ndarray) -> np.ndarray:
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def _regression(x: np.ndarray, action: np.ndarray, n_arms: int) -> np.ndarray:
    """Coefficients (d, n_arms) of the multinomial logistic regression."""
    from scipy.optimize import minimize

    rows = np.arange(action.size)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(x.shape[1], n_arms)
        chances = _softmax(x @ weights)
        value = -np.log(np.maximum(chances[rows, action], 1e-300)).sum() + (flat @ flat) / 2.0
        chances[rows, action] -= 1.0
        return float(value), (x.T @ chances + weights).reshape(-1)

    start = np.zeros(x.shape[1] * n_arms)
    return minimize(loss, start, jac=True, method="L-BFGS-B").x.reshape(x.shape[1], n_arms)
