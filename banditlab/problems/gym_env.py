"""Any Gymnasium environment with vectors for observations, for agents that learn by acting.

``id`` is an id of Gymnasium, or of a module that registers it: ``module:Id-v0``. The sparse
velocity tasks of :mod:`banditlab.parts.sparse_velocity` are known by their own ids.
"""

from __future__ import annotations

import importlib
import logging
import math
import warnings
from importlib.util import find_spec
from typing import Any, NamedTuple

import gymnasium
from gymnasium import spaces

import banditlab.parts.sparse_velocity  # noqa: F401  (registers its ids)
from banditlab.protocols.gym import Environment
from banditlab.validate import choice, integer, number, shown

example = {"id": "Pendulum-v1"}
VECTORS = ("plain", "envpool")


class GymEnv(NamedTuple):
    """Parameters."""

    id: str
    reference: float  # return of an episode that others are held against; nan: none
    reference_name: str  # whose return that is
    episodes: int  # of each evaluation
    options: dict[str, Any]  # of gymnasium.make
    vector: str  # how several environments are stepped to train: one of VECTORS


def make(params: GymEnv) -> Any:
    """A fresh environment; ValueError, in one line, if it cannot be made."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            _log_what_mujoco_says(params.id)
            return gymnasium.make(params.id, **params.options)
    except Exception as error:  # of Gymnasium, which names what to use instead, or of its maker
        said = " ".join(str(error).split())
        kind = "" if isinstance(error, gymnasium.error.Error) else f"{type(error).__name__}: "
        hint, unknown = "", (gymnasium.error.NameNotFound, gymnasium.error.NamespaceNotFound)
        if isinstance(error, unknown) and ":" not in params.id:
            # Known here is not enough: each replication has a process of its own.
            hint = f"; an environment of a module of your own is written MODULE:{params.id}"
        raise ValueError(f"{params.id}: {kind}{said.rstrip('.')}{hint}") from error


def _log_what_mujoco_says(id: str) -> None:
    """Its warnings to the log of Python: it would print them, and write a file where one stands."""
    module, _, name = id.rpartition(":")
    if module:
        importlib.import_module(module)
    entry = gymnasium.spec(name).entry_point
    if "mujoco" in str(entry) and find_spec("mujoco") is not None:
        import mujoco

        mujoco.set_mju_user_warning(logging.getLogger("banditlab.mujoco").info)


def gym_env(
    id: str,
    reference: float = math.nan,
    reference_name: str = "",
    episodes: int = 10,
    options: dict[str, Any] | None = None,
    vector: str = "plain",
) -> Environment:
    """The Gymnasium environment ``id``.

    Parameters
    ----------
    id
        For instance ``HalfCheetah-v5``, ``CartPole-v1``, ``banditlab/HopperVelSparse-v0``.
    reference, reference_name
        What somebody earns in an episode, and who: gap and regret are held against it. Without it
        there is neither.
    episodes
        Of each evaluation.
    options
        Arguments of ``gymnasium.make``, such as ``{"healthy_reward": 0.5}``.
    vector
        ``plain``, or ``envpool``: environments in C++, which are faster, but cannot be put down in
        the middle of a run, so that an interrupted replication begins anew.

    Raises ValueError, in one line, for an id that cannot be made or has other spaces.
    """
    if not isinstance(options or {}, dict):
        raise ValueError(f'options must look like {{"name": value}}, got {shown(options)}')
    if not isinstance(id, str):
        raise ValueError(f"id must be a Gymnasium id, got {shown(id)}")
    if vector == "envpool" and find_spec("envpool") is None:
        install = 'python -m pip install "banditlab-arena[envpool]"'
        raise ValueError(f"vector envpool needs EnvPool: {install}")
    reference = float(reference)
    params = GymEnv(
        id,
        reference if math.isnan(reference) else number("reference", reference),
        str(reference_name),
        integer("episodes", episodes, 1),
        dict(options or {}),
        choice("vector", vector, VECTORS),
    )
    env = make(params)
    try:
        seen, actions = env.observation_space, env.action_space
        if not isinstance(seen, spaces.Box) or len(seen.shape) != 1:
            raise ValueError(f"{id}: observations must be vectors, they are {shown(seen)}")
        if not isinstance(actions, spaces.Box | spaces.Discrete):
            raise ValueError(f"{id}: actions must be numbered, or vectors, they are {actions}")
        if isinstance(actions, spaces.Box) and len(actions.shape) != 1:
            raise ValueError(f"{id}: actions must be vectors, they have shape {actions.shape}")
        if isinstance(actions, spaces.Discrete) and actions.start != 0:
            raise ValueError(f"{id}: actions must be numbered from 0, they are {actions}")
        kind = "discrete" if isinstance(actions, spaces.Discrete) else "continuous"
        steps = (env.spec.max_episode_steps if env.spec else None) or 0
    finally:
        env.close()
    return Environment(params, make, steps, kind)
