"""A log as an estimator reads it: sorted by cell, with what a reward model says of every row.

Cells (fold, context, arm) that the log does not show take no room, so that thousands of contexts
and arms cost no more than the rows that name them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from banditlab.data.log import Log


class Rows:
    """A log sorted by (fold, context, action); rows that agree in everything are one row.

    Of a policy by row (``x`` is not None) there is one context. Then, and with a model of one's
    own, no two rows are one.
    """

    copies: np.ndarray  # (u,) int64: rows of the log behind each
    reward: np.ndarray  # (u,) float64
    weight: np.ndarray  # (u,) float64: importance weight; nan without propensities
    starts: np.ndarray  # (c,) int64: where each of the cells present begins
    fold: np.ndarray  # (c,) int64: 0 or 1
    context: np.ndarray  # (c,) int64
    arm: np.ndarray  # (c,) int64
    policy: np.ndarray  # (n_contexts, n_arms) float64: the target; by row (u, n_arms)
    x: np.ndarray | None  # by row: (u, d) float64, a constant and the scaled features
    model: np.ndarray | None  # (u, n_arms) float64: expected rewards, if they are given

    def __init__(
        self, log: Log, policy: np.ndarray, rng: np.random.Generator, by_row: bool, model: Any
    ):
        n_arms, n = policy.shape[1], len(log)
        fold = rng.permutation(n) % 2
        context = np.zeros(n, np.int64) if by_row else log.context
        n_contexts = 1 if by_row else len(policy)
        cell = (fold * n_contexts + context) * n_arms + log.action
        propensity = np.full(n, np.nan) if log.propensity is None else log.propensity
        place = np.arange(n) if by_row else context
        weight = policy[place, log.action] / propensity
        columns = np.stack([cell, log.reward, weight])
        order = np.lexsort(columns[::-1])
        columns = columns[:, order]
        same = (columns[:, 1:] == columns[:, :-1]) | (np.isnan(columns[:, 1:]))
        alone = by_row or model is not None
        first = np.flatnonzero(np.append(True, ~same.all(axis=0) | alone))
        self.copies = np.diff(np.append(first, n))
        cell, self.reward, self.weight = columns[:, first]
        cell = cell.astype(np.int64)
        self.starts = np.flatnonzero(np.append(True, cell[1:] != cell[:-1]))
        of_fold, self.arm = np.divmod(cell[self.starts], n_arms)
        self.fold, self.context = np.divmod(of_fold, n_contexts)
        self.policy = policy[order] if by_row else policy
        self.x = scaled(log)[order] if by_row else None
        self.model = None if model is None else model[order]
        self._place = place[order] if model is not None and not by_row else None

    @cached_property
    def cell(self) -> np.ndarray:
        """The place of each row's cell among those present: int64 (u,)."""
        lengths = np.diff(np.append(self.starts, self.copies.size))
        return np.repeat(np.arange(self.starts.size), lengths)

    @cached_property
    def width(self) -> int:
        """Numbers that are held for one draw of the bootstrap."""
        held = self.copies.size + 4 * self.starts.size
        if self.x is not None and self.model is None:
            d, n_arms = self.x.shape[1], self.policy.shape[1]
            held = self.copies.size * (d + 2) + n_arms * d * (d + 1)
        return held

    def by_cell(self, values: np.ndarray) -> np.ndarray:
        """Sums (draws, c) of ``values`` (draws, u) over the rows of each cell."""
        return np.add.reduceat(values, self.starts, axis=1)

    # --- pairs: cells whatever the fold ---------------------------------------------------------

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Context and arm of the pairs present, and the places (2, pairs) of their cells, or -1."""
        n_arms = self.policy.shape[1]
        keys, pair = np.unique(self.context * n_arms + self.arm, return_inverse=True)
        where = np.full((2, keys.size), -1)
        where[self.fold, pair.reshape(-1)] = np.arange(self.starts.size)
        return keys // n_arms, keys % n_arms, where

    def by_pair(self, values: np.ndarray) -> np.ndarray:
        """Sums (draws, pairs) of ``values`` (draws, u)."""
        cells = np.append(self.by_cell(values), np.zeros((len(values), 1)), axis=1)
        where = self._pairs[2]
        return cells[:, where[0]] + cells[:, where[1]]

    def shares(self, copies: np.ndarray) -> np.ndarray:
        """How often the target does each pair: (draws, pairs), of all rows."""
        context, arm, _ = self._pairs
        n = self.copies.sum()
        if self.x is not None:
            return (copies @ self.policy)[:, arm] / n
        begins = np.flatnonzero(np.append(True, context[1:] != context[:-1]))
        of_context = np.add.reduceat(self.by_pair(copies), begins, axis=1)
        again = np.repeat(np.arange(begins.size), np.diff(np.append(begins, context.size)))
        return of_context[:, again] * self.policy[context, arm] / n

    # --- reward models --------------------------------------------------------------------------

    def predict(self, copies: np.ndarray, both: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """What the model says of every row: the worth of the target, and of the logged action.

        Both have shape (draws, u); without ``both`` the second may be empty. The model is the one
        given, or that of the fold that the row is not in.
        """
        if self.model is not None:
            policy = self.policy if self._place is None else self.policy[self._place]
            of_target = (policy * self.model).sum(axis=1)
            of_action = self.model[np.arange(self.copies.size), self.arm[self.cell]]
            shape = (len(copies), self.copies.size)
            return np.broadcast_to(of_target, shape), np.broadcast_to(of_action, shape)
        return self._by_table(copies, both) if self.x is None else _by_ridge(self, self.x, copies)

    @cached_property
    def _others(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Where the cells of a context begin, and what the other fold has for each cell.

        Of the other fold: the place of the group of cells of the same context, and the place of
        the same cell, or one beyond the last for none. And the group of each cell.
        """
        n_contexts, n_arms = self.policy.shape
        group = self.fold * n_contexts + self.context
        begins = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
        other = (1 - self.fold) * n_contexts + self.context
        of_group = _find(group[begins], other)
        of_cell = _find(group * n_arms + self.arm, other * n_arms + self.arm)
        return begins, of_group, of_cell, group

    def _by_table(self, copies: np.ndarray, both: bool) -> tuple[np.ndarray, np.ndarray]:
        begins, of_group, of_cell, _ = self._others
        counts, sums = self.by_cell(copies), self.by_cell(copies * self.reward)
        second = int(np.searchsorted(self.fold, 1))
        folds = slice(0, second), slice(second, None)
        overall = [
            (sums[:, part].sum(axis=1) / np.maximum(counts[:, part].sum(axis=1), 1.0))[:, None]
            for part in folds
        ]
        # What a cell is worth beyond the mean of its fold; a cell without data is worth that mean.
        excess = sums / np.maximum(counts, 1.0)
        for part, mean in zip(folds, overall, strict=True):
            excess[:, part] -= mean
        excess[counts == 0.0] = 0.0
        weighted = np.add.reduceat(excess * self.policy[self.context, self.arm], begins, axis=1)
        found = []
        for table, where in ((weighted, of_group), (excess, of_cell))[: 2 if both else 1]:
            each = _or_nothing(table, where)
            for part, mean in zip(folds, overall[::-1], strict=True):
                each[:, part] += mean
            found.append(each if self.copies.size == each.shape[1] else each[:, self.cell])
        return found[0], found[-1] if both else np.empty(0)


def _or_nothing(table: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Columns of ``table``, 0 for the number of its columns."""
    there = where < table.shape[1]
    found = np.zeros((len(table), where.size))
    found[:, there] = table[:, where[there]]
    return found


def _find(sorted_keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Places of ``wanted`` among ``sorted_keys``, and their number for what is not there."""
    place = np.searchsorted(sorted_keys, wanted)
    there = sorted_keys[np.minimum(place, sorted_keys.size - 1)] == wanted
    return np.where(there, place, sorted_keys.size)


def _by_ridge(rows: Rows, x: np.ndarray, copies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    draws, (u, d), n_arms = len(copies), x.shape, rows.policy.shape[1]
    arm = rows.arm[rows.cell]
    of_target, of_action = np.empty((draws, u)), np.empty((draws, u))
    second = int(np.searchsorted(rows.fold[rows.cell], 1))  # where the second fold begins
    folds = slice(0, second), slice(second, u)
    for own, other in (folds, folds[::-1]):
        n = np.maximum(copies[:, own].sum(axis=1), 1.0)
        overall = (copies[:, own] @ rows.reward[own] / n)[:, None]
        theta = np.zeros((draws, n_arms, d))
        for k in np.unique(arm[own]):
            first, last = own.start + np.searchsorted(arm[own], [k, k + 1])
            shown, times = x[first:last], copies[:, first:last, None] * x[first:last]
            gram = times.transpose(0, 2, 1) @ shown + np.eye(d)
            excess = rows.reward[first:last] - overall
            right = (times * excess[:, :, None]).sum(axis=1)
            theta[:, k] = np.linalg.solve(gram, right[:, :, None])[:, :, 0]
        # Of sum_k pi_k x . theta_k as one product of matrices.
        spread = (rows.policy[other, :, None] * x[other, None, :]).reshape(-1, n_arms * d)
        of_target[:, other] = overall + theta.reshape(draws, -1) @ spread.T
        for k in np.unique(arm[other]):
            first, last = other.start + np.searchsorted(arm[other], [k, k + 1])
            of_action[:, first:last] = overall + theta[:, k] @ x[first:last].T
    return of_target, of_action


def scaled(log: Log) -> np.ndarray:
    """A constant and the features of mean 0 and variance 1: (rows, 1 + dim)."""
    x = np.ones((len(log), 1 + log.dim))
    if log.x is not None:
        scale = log.x.std(axis=0)
        x[:, 1:] = (log.x - log.x.mean(axis=0)) / np.where(scale > 0.0, scale, 1.0)
    return x
