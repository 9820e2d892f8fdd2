"""When an episode ends, told from an observation: who dreams of steps must know it without a body.

A learned model of an environment predicts what is seen next, not whether that was the end. For the
bodies of Gymnasium the rule is read from the environment itself, with its own limits; another
environment, or a wrapper that has a hand in its steps, tells it in a method ``ends(observations)``,
(n, d) to n booleans.

>>> import gymnasium, numpy
>>> never = ending(gymnasium.make("Pendulum-v1"))
>>> never(numpy.array([[1.0, 0.0, 3.0], [numpy.nan, 0.0, 0.0]])).tolist()
[False, True]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from banditlab.validate import shown

Ending = Callable[[np.ndarray], np.ndarray]  # observations (n, d) after a step -> (n,) bool
NEVER = (
    "HalfCheetahEnv", "SwimmerEnv", "ReacherEnv", "PusherEnv", "HumanoidStandupEnv", "PendulumEnv",
)  # fmt: skip
OURS = ("gymnasium.", "banditlab.")  # whose wrappers are looked through


def ending(env: Any) -> Ending:
    """The rule by which episodes of ``env`` end before their time.

    Numbers that have run away are an end everywhere. Raises ValueError, in one line, where no rule
    is known.
    """
    rule = _rule(env)

    def ends(observations: np.ndarray) -> np.ndarray:
        lost = ~np.isfinite(observations).all(axis=1)
        return lost if rule is None else lost | rule(observations)

    return ends


def _rule(env: Any) -> Ending | None:
    layer = env
    while isinstance(layer, gymnasium.Wrapper):
        if hasattr(type(layer), "ends"):
            break
        if isinstance(layer, gymnasium.ObservationWrapper):
            raise ValueError(f"{_name(env)}: {type(layer).__name__} changes what is seen")
        if getattr(layer, "terminates", True) is False:  # SparseVelocity
            return None
        if not type(layer).step.__module__.startswith(OURS):
            raise ValueError(
                f"{_name(env)}: {type(layer).__name__} has a hand in its steps, and perhaps in "
                "when an episode ends; it says that itself in a method ends(observations), (n, d) "
                "to n booleans"
            )
        layer = layer.env
    if hasattr(layer, "ends"):
        own: Ending = layer.ends
        return own
    kind = type(layer)
    if kind.__module__.startswith("gymnasium.envs."):
        if kind.__name__ in NEVER or getattr(layer, "_terminate_when_unhealthy", True) is False:
            return None
        if kind.__name__ in KNOWN:
            return KNOWN[kind.__name__](layer)
    raise ValueError(
        f"{_name(env)}: no observation tells when an episode ends; an environment of your own "
        "says it in a method ends(observations), (n, d) to n booleans"
    )


def _name(env: Any) -> str:
    return str(env.spec.id) if env.spec else shown(env)


def _first(env: Any, hidden: int) -> int:
    """Where positions begin that are always seen: some bodies hide the first ones on request."""
    return 0 if env._exclude_current_positions_from_observation else hidden


def _hopper(env: Any) -> Ending:
    i = _first(env, 1)
    low, high = env._healthy_state_range
    leans = _walker(env)

    def ends(seen: np.ndarray) -> np.ndarray:
        state = seen[:, i + 1 :]
        return leans(seen) | ~((low < state) & (state < high)).all(axis=1)

    return ends


def _walker(env: Any) -> Ending:
    i = _first(env, 1)
    (low, high), (left, right) = env._healthy_z_range, env._healthy_angle_range

    def ends(seen: np.ndarray) -> np.ndarray:
        height, angle = seen[:, i], seen[:, i + 1]
        return ~((low < height) & (height < high) & (left < angle) & (angle < right))

    return ends


def _ant(env: Any) -> Ending:
    i = _first(env, 2)
    low, high = env._healthy_z_range
    return lambda seen: ~((low <= seen[:, i]) & (seen[:, i] <= high))


def _humanoid(env: Any) -> Ending:
    i = _first(env, 2)
    low, high = env._healthy_z_range
    return lambda seen: ~((low < seen[:, i]) & (seen[:, i] < high))


def _pole(env: Any) -> Ending:
    return lambda seen: np.abs(seen[:, 1]) > 0.2


def _poles(env: Any) -> Ending:
    """The tip of the second of two poles, each .6 long; its angle is against the first."""

    def ends(seen: np.ndarray) -> np.ndarray:
        (sin, sin2), (cos, cos2) = seen[:, 1:3].T, seen[:, 3:5].T
        return 0.6 * (cos + cos * cos2 - sin * sin2) <= 1.0

    return ends


def _car(env: Any) -> Ending:
    return lambda seen: (seen[:, 0] >= env.goal_position) & (seen[:, 1] >= env.goal_velocity)


KNOWN: dict[str, Callable[[Any], Ending]] = {
    "HopperEnv": _hopper,
    "Walker2dEnv": _walker,
    "AntEnv": _ant,
    "HumanoidEnv": _humanoid,
    "InvertedPendulumEnv": _pole,
    "InvertedDoublePendulumEnv": _poles,
    "Continuous_MountainCarEnv": _car,
}
