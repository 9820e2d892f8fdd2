"""Sparse velocity tasks: nothing is paid until a body moves at about the right speed.

The reward of a step is ``2 - |v - v_goal|`` where the forward velocity v lies within ``radius`` of
its goal, else 0, less ``c`` times the squared length of the action (Liu et al. 2023, "Maximize to
explore", arXiv 2305.18258, appendix and code). A perfect episode of 1000 steps earns about 2000.
Importing this module registers the ids of `TASKS`; they need MuJoCo when they are made.

>>> import gymnasium
>>> import banditlab.parts.sparse_velocity
>>> spec = gymnasium.spec("banditlab/HopperVelSparse-v0")
>>> spec.max_episode_steps, spec.additional_wrappers[0].kwargs["v_goal"]
(1000, 1.5)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.envs.registration import register, registry
from gymnasium.utils import RecordConstructorArgs


class Task(NamedTuple):
    """A body and how it is to move."""

    base: str  # the environment of Gymnasium whose body it is
    v_goal: float  # m/s, forwards
    radius: float  # m/s
    c: float  # price of the squared action
    terminates: bool = False  # whether an episode ends when the body falls
    options: dict[str, Any] = {}  # of the base


STANDS_UP = {"terminate_when_unhealthy": False}
TASKS = {
    "banditlab/HalfCheetahVelSparse-v0": Task("HalfCheetah-v5", 1.5, 0.6, 0.05),
    "banditlab/HopperVelSparse-v0": Task("Hopper-v5", 1.5, 0.6, 0.05, options=STANDS_UP),
    "banditlab/Walker2dVelSparse-v0": Task("Walker2d-v5", 1.0, 0.5, 0.001, options=STANDS_UP),
    # What the model-based variant was tried on: a fall ends the episode.
    "banditlab/HalfCheetahSparse-v0": Task("HalfCheetah-v5", 1.5, 0.6, 0.1),
    "banditlab/HopperSparse-v0": Task("Hopper-v5", 1.5, 0.6, 0.05, terminates=True),
    "banditlab/Walker2dSparse-v0": Task("Walker2d-v5", 1.0, 0.5, 0.001, terminates=True),
}


class SparseVelocity(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Replaces the reward of an environment whose ``info`` tells ``x_velocity``.

    ``info["in_band"]`` says whether the velocity is within ``radius`` of ``v_goal``. Unless it
    ``terminates``, an episode ends with its time only. Raises KeyError, with the environment's id,
    where no velocity is told.
    """

    kept = ()  # nothing changes; see banditlab.parts.deep.checkpoint

    def __init__(self, env: Any, v_goal: float, radius: float, c: float, terminates: bool = False):
        RecordConstructorArgs.__init__(
            self, v_goal=v_goal, radius=radius, c=c, terminates=terminates
        )
        gymnasium.Wrapper.__init__(self, env)
        self.v_goal, self.radius, self.c = float(v_goal), float(radius), float(c)
        self.terminates = bool(terminates)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As the environment does, at another price."""
        observation, _, terminated, truncated, info = self.env.step(action)
        if "x_velocity" not in info:
            raise KeyError(f"{self.spec.id if self.spec else self.env}: info has no x_velocity")
        gap = abs(float(info["x_velocity"]) - self.v_goal)
        inside = gap <= self.radius
        info["in_band"] = inside
        effort = np.asarray(action, dtype=np.float64)
        reward = (2.0 - gap if inside else 0.0) - self.c * float(effort @ effort)
        # A body whose numbers have run away has no future, whatever the task says.
        lost = not np.isfinite(observation).all()
        return observation, reward, bool(terminated and self.terminates) or lost, truncated, info


def _register() -> None:
    """Register every task, once."""
    for name, task in TASKS.items():
        base = gymnasium.spec(task.base)
        if name not in registry:
            wrapper = SparseVelocity.wrapper_spec(
                v_goal=task.v_goal, radius=task.radius, c=task.c, terminates=task.terminates
            )
            register(
                name,
                base.entry_point,
                max_episode_steps=1000,
                kwargs={**base.kwargs, **task.options},
                additional_wrappers=(wrapper,),
            )


_register()
