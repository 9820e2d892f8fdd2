"""Noisy max of stored rewards: every row of every arm once, noisy means, the largest wins.

Report noisy max (Dwork & Roth 2014, section 3.3) with a scale per arm: of n_k rows of arm k,

    mean_k + Lap(1 / (epsilon n_k)).

One reward touches one mean, by at most 1 / n_k, so the means, and the arm named with them, are
epsilon-differentially private when one reward is replaced. The row counts n_k are public. Rewards
that are stored already cost nothing to look at: an algorithm that would have chosen which of them
to collect leaves some unread.

>>> import banditlab
>>> banditlab.make("noisy_max", rows=[3, 5]).params.rows
array([3, 5])
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from banditlab.core import Task, kernel
from banditlab.parts.best_arm import check_even, check_release, init_once, most_even, private
from banditlab.protocols.identify import Identify
from banditlab.validate import integer

label = "noisy max"


class NoisyMax(NamedTuple):
    """Hyper-parameters."""

    epsilon: float = 1.0  # > 0; inf: no noise
    noise: str = "discrete"  # or "fast": see banditlab.parts.noise
    rows: np.ndarray = np.zeros(0, np.int64)  # (n_arms,) int64 >= 1; empty: floor(T / n_arms) each


@kernel
def act(params, state, t, x, rng, out):
    if state.round[0] == 0:
        for k in range(out.size):
            out[k] = params.rows[k] if params.rows.size > 0 else state.horizon[0] // out.size


def check(rows: np.ndarray, task: Task, x: Any) -> None:
    """Refuse rows of other arms, and a budget that does not cover them."""
    if rows.size == 0:
        check_even(task, x)
    elif rows.size != task.n_arms:
        raise ValueError(f"rows must have {task.n_arms} entries, one per arm, got {rows.size}")
    elif task.horizon < rows.sum():
        raise ValueError(f"horizon must be at least {rows.sum()}, all rows, got {task.horizon}")


def most(rows: np.ndarray, task: Task) -> Any:
    """The pulls of each arm."""
    return rows if rows.size > 0 else most_even(task)


def noisy_max(
    epsilon: float = 1.0, noise: str = "discrete", rows: Sequence[int] | np.ndarray = ()
) -> Identify:
    """The largest of noisy means with ``rows[k]`` pulls of arm k. Rewards in [0, 1].

    ``rows``, one positive integer per arm, are the lengths of a stored table; without them every
    arm gets floor(T / K) of T pulls. ``epsilon`` > 0, where inf stands for no noise. ``noise`` is
    "discrete", an exact discrete Laplace law on a public grid, or "fast", Laplace in floating
    point, for simulation only.

    Raises ValueError for an argument that is not allowed.
    """
    counts = np.array([integer(f"rows[{k}]", n, 1) for k, n in enumerate(rows)], dtype=np.int64)
    params = NoisyMax(*check_release(epsilon, noise), counts)
    return private(params, init_once, act, partial(check, counts), partial(most, counts))
