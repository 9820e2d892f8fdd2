"""What a log of transitions tells: counts of outcomes, as planners read them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from banditlab.mdp import discount
from banditlab.validate import integer


class Model(NamedTuple):
    """All that a log tells, and what is known beforehand. The last states may be terminal."""

    succ: np.ndarray  # (S, A, K) int64: the next state of each outcome that was or may be logged
    reward: np.ndarray  # (S, A, K) float64: its reward
    counts: np.ndarray  # (L, S, A, K) float64: rows that show the outcome
    n: np.ndarray  # (L, S, A) float64: rows that show the pair
    r: np.ndarray  # (L, S, A) float64: mean reward, true if known, else of the log (0 if unseen)
    held_out: np.ndarray  # (L or 0, S, A, K) float64: a second log of the same law, if there is one
    legal: np.ndarray  # (S, A) bool: whether the action exists in the state
    terminal: np.ndarray  # (S,) bool: known to be worth 0
    gamma: float
    horizon: int  # 0 when discounted
    v_min: float  # range of values
    v_max: float
    r_min: float  # range of rewards
    r_max: float
    known: bool  # whether r holds the true mean rewards
    rows: float  # N, the size of the log: all rows, over all steps


def new_model(
    succ: Any,
    reward: Any,
    counts: Any,
    *,
    gamma: float = 1.0,
    horizon: int = 0,
    v_min: float,
    v_max: float,
    known_rewards: Any = None,
    legal: Any = None,
    terminal: Any = None,
    weights: bool = False,
    allow_empty: bool = False,
) -> Model:
    """A Model from the counts of a log, checked.

    Parameters
    ----------
    succ, reward
        Next state and reward (S, A, K) of each outcome; repeat any outcome to fill up K.
    counts
        Rows that show the outcome, (L, S, A, K) or, when discounted, (S, A, K).
    gamma, horizon
        In [0, 1) with ``horizon = 0``; a finite horizon is undiscounted.
    v_min, v_max
        Range of the values.
    known_rewards
        True mean rewards (S, A), if they are known.
    legal, terminal
        Which actions (S, A) exist and which states (S,) end the episode; all and none by default.
    weights
        Whether counts may be fractions.
    allow_empty
        Whether a log without rows will do; the policy is then uniform.

    Raises ValueError, in one line, for whatever does not fit.
    """
    horizon = integer("horizon", horizon, 0)
    gamma = 1.0 if horizon > 0 else discount(gamma)
    succ = np.array(succ, dtype=np.int64)
    reward = np.array(reward, dtype=np.float64)
    counts = np.array(counts, dtype=np.float64)
    if counts.ndim == 3:
        counts = counts[None]
    L = max(1, horizon)
    if succ.ndim != 3 or reward.shape != succ.shape or counts.shape != (L, *succ.shape):
        raise ValueError(
            f"succ and reward must have one shape (S, A, K) and counts ({L}, S, A, K), "
            f"got {succ.shape}, {reward.shape} and {counts.shape}"
        )
    S, A, _ = succ.shape
    if ((succ < 0) | (succ >= S)).any():
        raise ValueError(f"succ must lie in 0 .. {S - 1}")
    if not np.isfinite(reward).all():
        raise ValueError("reward must be finite")
    if not (np.isfinite(counts).all() and (counts >= 0.0).all()):
        raise ValueError("counts must be finite and at least 0")
    if not weights and (counts != np.floor(counts)).any():
        raise ValueError("counts must be whole numbers, unless weights=True")
    if counts.sum() == 0.0 and not allow_empty:
        raise ValueError("the log is empty; allow_empty=True accepts that")
    exists = np.ones((S, A), np.bool_) if legal is None else np.array(legal, dtype=np.bool_)
    ends = np.zeros(S, np.bool_) if terminal is None else np.array(terminal, dtype=np.bool_)
    if exists.shape != (S, A) or ends.shape != (S,):
        raise ValueError(
            f"legal and terminal must have shapes ({S}, {A}) and ({S},), "
            f"got {exists.shape} and {ends.shape}"
        )
    if not exists.any(axis=1).all():
        raise ValueError(f"state {np.argmin(exists.any(axis=1))} has no legal action")
    if (counts > 0.0)[:, ~exists].any():
        raise ValueError("the log shows an action that is not legal")
    low, high = float(v_min), float(v_max)
    if not (np.isfinite([low, high]).all() and low < high):
        raise ValueError(f"v_min must be finite and below v_max, got {v_min!r} and {v_max!r}")
    n = np.ascontiguousarray(counts.sum(axis=3))
    if known_rewards is None:
        r = (counts * reward).sum(axis=3) / np.maximum(n, np.finfo(float).tiny)
    else:
        r = np.array(np.broadcast_to(np.asarray(known_rewards, dtype=np.float64), (L, S, A)))
        if not np.isfinite(r).all():
            raise ValueError("known_rewards must be finite")
    seen = counts.sum(axis=0) > 0.0
    return Model(
        succ, reward, counts, n, r, np.zeros((0, *succ.shape)), exists, ends,
        gamma, horizon, low, high,
        float(reward[seen].min(initial=0.0)), float(reward[seen].max(initial=0.0)),
        known_rewards is not None, float(n.sum()),
    )  # fmt: skip
