"""Finite classes of models: what `mex_finite` chooses among, and problems are drawn from.

A class of N models has ``transitions`` (N, L, S, A, S + 1), probabilities of the next state, of
which the last, S, is the end of the episode, and mean ``rewards`` (N, L, S, A); L is 1 where all
steps are alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from banditlab.machine import check_entries
from banditlab.registry import unknown
from banditlab.validate import integer

MOST = 10**8  # numbers in a class: 0.8 GB


class Class(NamedTuple):
    """A finite class of models, the one that comes first the first in a tie."""

    transitions: np.ndarray  # (N, L, S, A, S + 1) float64
    rewards: np.ndarray  # (N, L, S, A) float64


def checked(transitions: Any, rewards: Any) -> Class:
    """A class given as arrays.

    ``transitions`` (N, S, A, S) or (N, L, S, A, S), the last axis with or without an entry for the
    end; ``rewards`` (S, A), for all models alike, or (N, S, A) or (N, L, S, A). Raises ValueError,
    in one line, for shapes that do not fit, an empty class, probabilities that are negative or do
    not sum to 1 within 1e-8, and rewards that are not finite.
    """
    P, R = _floats("transitions", transitions), _floats("rewards", rewards)
    P = P[:, None] if P.ndim == 4 else P
    if P.ndim != 5 or P.size == 0 or P.shape[4] - P.shape[2] not in (0, 1):
        raise ValueError(
            "transitions must have shape (models, states, actions, states), none of them 0, "
            f"got {np.shape(transitions)}"
        )
    N, L, S, A, _ = P.shape
    if P.shape[4] == S:
        P = np.concatenate([P, np.zeros((N, L, S, A, 1))], axis=4)
    R = R[None] if R.ndim == 2 else R
    R = R[:, None] if R.ndim == 3 else R
    if R.ndim != 4 or R.shape[2:] != (S, A) or R.shape[0] not in (1, N) or R.shape[1] not in (1, L):
        raise ValueError(
            f"rewards must have shape ({S}, {A}) or ({N}, {S}, {A}), got {np.shape(rewards)}"
        )
    if not np.isfinite(R).all():
        raise ValueError("rewards must be finite")
    if not (P >= 0.0).all():
        raise ValueError("transitions must hold numbers of at least 0")
    off = np.argwhere(~(np.abs(P.sum(axis=4) - 1.0) <= 1e-8))
    if off.size:
        i, h, s, a = off[0]
        raise ValueError(
            f"the probabilities of model {i}, state {s}, action {a} sum to "
            f"{P[i, h, s, a].sum():.10g}, not 1"
        )
    return Class(np.ascontiguousarray(P), np.array(np.broadcast_to(R, (N, L, S, A))))


def _floats(name: str, values: Any) -> np.ndarray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be arrays of numbers, one model like the other") from None


def hidden_arms(n_arms: int = 10) -> Class:
    """Action 0 pays 0.3; actions 1 to ``n_arms`` pay 1 with probability 1/4, or 1/2 if hidden.

    Model 0 hides nothing, model i hides action i. Two steps: in the first one chooses, in the
    second the state pays: 1 is good (1), 2 is bad (0), 3 is safe (0.3).
    """
    n = integer("n_arms", n_arms, 1, 1000)
    P, R = np.zeros((n + 1, 1, 4, n + 1, 5)), np.zeros((n + 1, 1, 4, n + 1))
    P[:, 0, 0, 0, 3] = 1.0
    P[:, 0, 0, 1:, 1] = 0.25
    for i in range(1, n + 1):
        P[i, 0, 0, i, 1] = 0.5
    P[:, 0, 0, 1:, 2] = 1.0 - P[:, 0, 0, 1:, 1]
    for s in (1, 2, 3):
        P[:, 0, s, :, s] = 1.0
    R[:, 0, 1], R[:, 0, 3] = 1.0, 0.3
    return Class(P, R)


def mixture_parts(
    n_parts: int = 3, n_states: int = 5, n_actions: int = 3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Basic models (n_parts, S, A, S) of a linear mixture, and their rewards (S, A).

    Every row is Dirichlet(0.3), so that models differ much; rewards are the cubes of uniforms, so
    that few are good.
    """
    d, S, A = integer("n_parts", n_parts, 1), integer("n_states", n_states, 1), n_actions
    A = integer("n_actions", n_actions, 1)
    check_entries(f"there is no memory for {d} models of {S} states, {A} actions", d * S * S * A)
    rng = np.random.default_rng(integer("seed", seed, 0))
    return rng.dirichlet(np.full(S, 0.3), size=(d, S, A)), rng.random((S, A)) ** 3


def simplex(d: int, grid: int) -> np.ndarray:
    """All weights (N, d) that are multiples of 1 / ``grid`` and sum to 1."""
    points = [p for p in itertools.product(range(grid + 1), repeat=d - 1) if sum(p) <= grid]
    rest = np.array(points, dtype=np.float64).reshape(len(points), d - 1)
    return np.hstack([rest, grid - rest.sum(axis=1, keepdims=True)]) / grid


def mixed(parts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mixtures (N, S, A, S) of the basic models (d, S, A, S) by ``weights`` (N, d)."""
    found: np.ndarray = np.einsum("nd,dsat->nsat", weights, parts)
    return found


def linear_mixture(
    n_parts: int = 3, n_states: int = 5, n_actions: int = 3, seed: int = 0, grid: int = 50
) -> Class:
    """Linear mixtures of `mixture_parts` by weights that are multiples of 1 / ``grid``.

    1,326 models for 3 parts and a grid of 50.
    """
    parts, rewards = mixture_parts(n_parts, n_states, n_actions, seed)
    grid = integer("grid", grid, 1, 1000)
    if grid ** (len(parts) - 1) * parts[0].size > MOST:
        raise ValueError(f"n_parts must be fewer with grid {grid}, got {n_parts!r}")
    return checked(mixed(parts, simplex(len(parts), grid)), rewards)


CLASSES: dict[str, Callable[..., Class]] = {
    "hidden_arm": hidden_arms,
    "linear_mixture": linear_mixture,
}


def named(models: Any) -> Class:
    """The class that a table ``{"name": ..., and arguments}`` describes."""
    if not isinstance(models, dict) or not isinstance(models.get("name"), str):
        raise ValueError(f'models must be a table with a "name", got {models!r}')
    given = dict(models)
    name = given.pop("name")
    if name not in CLASSES:
        raise ValueError(unknown("class of models", name, CLASSES))
    try:
        return CLASSES[name](**given)
    except TypeError as error:
        raise ValueError(f"models: {error}") from None
