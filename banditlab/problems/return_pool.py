"""Recorded returns of policies under attackers: an episode is one of those recorded, drawn again.

Nothing is assumed about how returns scatter, and regret is exact for the record: its means are
those of the cells (policy, attacker), errors of estimation included. See
:mod:`banditlab.problems.replay` for the same idea with contexts.

>>> import banditlab
>>> banditlab.make_problem("return_pool", pool=[[[9, 8], [1, 2, 3]], [[5], [5, 6]]]).shape
(2, 1, 0)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from banditlab.data.returns import Returns, read_returns
from banditlab.parts.policy_set import Attacked, answer, attack, bounds, init, play, scheduled
from banditlab.protocols.policies import PolicySet
from banditlab.validate import shown

example = {"pool": [[[0.9, 0.8, 1.0], [0.1, 0.2]], [[0.5, 0.4, 0.6], [0.6, 0.5]]], "block": 50}


def _from_lists(pool: Any) -> Returns:
    cells: list[np.ndarray] = []
    if not isinstance(pool, Sequence | np.ndarray) or isinstance(pool, str) or len(pool) < 2:
        raise ValueError("pool must hold, for at least 2 policies, the returns by attacker")
    for i, row in enumerate(pool):
        if not hasattr(row, "__len__") or isinstance(row, str) or len(row) != len(pool[0]):
            raise ValueError(f"pool[{i}] must have a list of returns for each attacker")
        for j, episodes in enumerate(row):
            try:
                found = np.array(episodes, dtype=np.float64)
            except (TypeError, ValueError, OverflowError):
                found = np.empty(0)
            if found.ndim != 1 or found.size == 0 or not np.isfinite(found).all():
                raise ValueError(f"pool[{i}][{j}] must be a list of finite returns, at least one")
            cells.append(found)
    if not cells:
        raise ValueError("pool must have at least one attacker")
    offsets = np.concatenate([[0], np.cumsum([cell.size for cell in cells])]).astype(np.int64)
    names = tuple(range(len(pool))), tuple(range(len(pool[0])))
    return Returns(*names, np.concatenate(cells), offsets)


def return_pool(
    pool: Any = None,
    log: Any = None,
    rows: Mapping[str, Any] | None = None,
    low: float | None = None,
    high: float | None = None,
    schedule: str = "periodic",
    attacker: int = 1,
    block: int = 0,
    p: float = 0.5,
    columns: Sequence[int] | None = None,
    rate: float = 0.01,
) -> PolicySet:
    """Episodes of ``pool[i][j]``, the returns of policy i against attacker j, or of a file.

    ``log``: a file or frame with the columns policy, condition and return instead, see
    :mod:`banditlab.data.returns`; ``rows`` says which of its rows count, such as ``{"replication":
    0, "condition": ["none", "mad"]}``: then there are two attackers, 0 being none. Returns outside
    [``low``, ``high``], by default the least and the largest recorded, are clipped.
    ``schedule``, ``attacker``, ``block``, ``p``, ``columns`` and
    ``rate`` say who attacks when: see :mod:`banditlab.parts.policy_set`. Raises ValueError naming
    what is wrong.
    """
    if (pool is None) == (log is None):
        raise ValueError("either pool or log must be given")
    if rows is not None and (log is None or not isinstance(rows, Mapping)):
        raise ValueError(f"rows must say which rows of log: {{column: value}}, got {shown(rows)}")
    found = _from_lists(pool) if log is None else read_returns(log, rows=rows)
    low, high = bounds(
        found.pool.min() if low is None else low, found.pool.max() if high is None else high
    )
    clipped = Returns(
        found.policies, found.conditions, np.clip(found.pool, low, high), found.offsets
    )
    n, m = found.counts.shape
    made, supply = scheduled(m, schedule, attacker, block, p, columns, rate)
    params = Attacked(clipped.means, clipped.means, 0.0, found.pool, found.offsets, made)
    return PolicySet(params, init, attack, play, (n, 1, 0), answer, low, high, supply=supply)
