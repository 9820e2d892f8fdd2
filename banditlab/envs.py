"""Every problem that is played round by round as a Gymnasium environment.

A bandit is ``banditlab/<Name>Bandit-v0``, a decision process ``banditlab/<Name>-v0``. The name
follows the file's: ``bernoulli`` is ``banditlab/BernoulliBandit-v0``, ``cb_composition``, for a
contextual bandit, ``banditlab/ContextualCompositionBandit-v0``, and ``river_swim``
``banditlab/RiverSwim-v0``. Keyword arguments of ``gymnasium.make`` are those of the problem; what
is not given comes from the problem's ``example``. Importing this module registers the ids. Only
``id`` belongs to ``gymnasium.make`` itself: ``EpisodicEnv("discrete_env", id="CliffWalking-v1")``.

>>> import gymnasium
>>> import banditlab.envs
>>> env = gymnasium.make("banditlab/BernoulliBandit-v0", means=[0.2, 0.8])
>>> observation, info = env.reset(seed=1, options={"replication": 0})
>>> observation, reward, terminated, truncated, info = env.step(0)
>>> round(info["regret"], 6)
0.6
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import register, registry

from banditlab import random
from banditlab.protocols import episodic, online
from banditlab.protocols.episodic import EpisodicMDP
from banditlab.protocols.online import Problem
from banditlab.registry import factory, make_problem, problem_names
from banditlab.validate import integer, shown


class BanditEnv(gymnasium.Env[Any, Any]):
    """One replication of a problem, round by round; it never ends, for horizons belong to arenas.

    Parameters
    ----------
    name
        A problem of ``banditlab.problem_names()``, a ``.py`` file, or what
        ``banditlab.make_problem`` returns.
    parameters
        Parameters of the problem when it is given by name; what is missing comes from its
        ``example``.

    Actions are arms. Observations are the context, the features (a row per arm, or one row that
    all share), or 0 when nothing is shown. ``info`` of a step holds

    - ``regret``: the expected loss of this step against the best arm of its round;
    - ``arrived``: list of ``(t, arm, reward)``, the rewards that reach the agent at the end of this
      step. Without delays that is the step's own reward; with delays the reward that ``step``
      returns serves scoring, and an agent may use only what has arrived.

    ``reset(seed=s, options={"replication": r})`` starts the replication r (0 by default) that an
    arena with seed s plays, draw for draw. Without a seed every reset is a fresh replication.

    Raises
    ------
    ValueError
        In one line, for an unknown problem, a bad parameter, option or arm.
    """

    _world: Any
    _x: np.ndarray
    _t: int
    _nature: np.ndarray

    def __init__(self, name: str | Problem = "bernoulli", **parameters: Any):
        self.problem = _problem(name, parameters)
        if not online.PROTOCOL.poses(self.problem):
            raise ValueError(f"{name} is not a bandit")
        n_arms, n_contexts, dim = self.problem.shape
        self.action_space = spaces.Discrete(n_arms)
        self.observation_space: spaces.Space[Any] = spaces.Discrete(n_contexts)
        if dim > 0 and n_contexts == 1:
            self._begin(random.key(0), 0)  # the first features tell how many rows there are
            self.observation_space = spaces.Box(-np.inf, np.inf, self._x.shape, np.float64)
        self._begun = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin a replication; see the class."""
        super().reset(seed=seed)
        replication = _replication(options)
        if seed is None:
            key = self.np_random.integers(2**64, size=2, dtype=np.uint64)
        else:
            key = random.key(seed)
        self._begin(key, replication)
        return self._observation(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Pull the arm ``action``."""
        if not self._begun:
            raise gymnasium.error.ResetNeeded("call reset before step")
        if not self.action_space.contains(action):
            last = self.problem.shape[0] - 1
            raise ValueError(f"action must be an arm, 0 to {last}, got {action!r}")
        problem, params, world = self.problem, self.problem.params, self._world
        t, x, arm = self._t, self._x, int(action)
        with np.errstate(over="ignore"):
            regret = float(problem.regret(params, world, x, arm))
            reward = float(problem.pull(params, world, x, arm, self._nature))
            waiting = problem.arrivals(params, world, t, x, arm, reward)
            arrived = [(t, arm, reward)] if waiting < 0 else []
            for i in range(waiting):
                then, _, pulled, paid = problem.arrival(params, world, i)
                arrived.append((int(then), int(pulled), float(paid)))
            self._t = t + 1
            self._x = problem.observe(params, world, self._t, self._nature)
        return self._observation(), reward, False, False, {"regret": regret, "arrived": arrived}

    def _begin(self, key: np.ndarray, replication: int) -> None:
        problem = self.problem
        with np.errstate(over="ignore"):
            self._nature = random.stream(key, replication, random.NATURE)
            self._world = problem.init(problem.params, self._nature)
            self._t = 0
            self._x = problem.observe(problem.params, self._world, 0, self._nature)
        self._begun = True

    def _observation(self) -> Any:
        if isinstance(self.observation_space, spaces.Box):
            return self._x.copy()
        return np.int64(self._x[0, 0])


class EpisodicEnv(gymnasium.Env[Any, Any]):
    """A decision process, step by step; an episode is truncated after its last step.

    Parameters
    ----------
    name
        A problem of protocol ``episodic``, a ``.py`` file, or what ``banditlab.make_problem``
        returns.
    parameters
        Parameters of the problem when it is given by name; what is missing comes from its
        ``example``.

    Observations are states, actions are actions. Where an episode terminates, the state that it
    was left from is shown once more. ``gap(rule)`` is the exact loss of a rule (H, S, A), such as
    ``agent.policy()``, against the best one.

    ``reset(seed=s, options={"replication": r})`` starts the replication r (0 by default) that an
    arena with seed s plays, draw for draw; a reset without a seed begins its next episode.

    Raises
    ------
    ValueError
        In one line, for an unknown problem, a bad parameter, option or action.
    """

    _world: Any
    _nature: np.ndarray
    _state: int

    def __init__(self, name: str | EpisodicMDP = "river_swim", **parameters: Any):
        self.problem = _problem(name, parameters)
        if not episodic.PROTOCOL.poses(self.problem):
            raise ValueError(f"{name} is not a problem of protocol episodic")
        n_actions, n_states, _ = self.problem.shape
        self.action_space = spaces.Discrete(n_actions)
        self.observation_space = spaces.Discrete(n_states)
        self._begun = False
        self._left = 0  # steps of the episode under way; 0 when it is over

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; see the class."""
        super().reset(seed=seed)
        replication = _replication(options)
        problem = self.problem
        with np.errstate(over="ignore"):
            if seed is not None or not self._begun:
                key = random.key(seed) if seed is not None else self._luck()
                self._nature = random.stream(key, replication, random.NATURE)
                self._world = problem.init(problem.params, self._nature)
                self._begun = True
            self._state = int(problem.begin(problem.params, self._world, self._nature))
        self._left = problem.steps
        return np.int64(self._state), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take ``action``."""
        if self._left == 0:
            raise gymnasium.error.ResetNeeded("call reset before step")
        if not self.action_space.contains(action):
            last = self.problem.shape[0] - 1
            raise ValueError(f"action must be an integer, 0 to {last}, got {action!r}")
        problem = self.problem
        h = problem.steps - self._left
        with np.errstate(over="ignore"):
            after, reward, over = problem.step(
                problem.params, self._world, h, self._state, int(action), self._nature
            )
        self._state = self._state if over else int(after)
        self._left = 0 if over else self._left - 1
        cut = self._left == 0 and not over
        return np.int64(self._state), float(reward), bool(over), cut, {}

    def gap(self, rule: np.ndarray) -> float:
        """V* minus the exact value of a rule (H, S, A), in the world of this replication."""
        if not self._begun:
            raise gymnasium.error.ResetNeeded("call reset before gap")
        try:
            given = np.array(rule, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError("rule must be numbers of shape (steps, states, actions)") from None
        return episodic.gap(self.problem, given, self._world)

    def _luck(self) -> np.ndarray:
        return self.np_random.integers(2**64, size=2, dtype=np.uint64)


def _replication(options: Any) -> int:
    """Which replication a reset is to begin."""
    if options is not None and not isinstance(options, dict):
        raise ValueError(f'options must look like {{"replication": 0}}, got {shown(options)}')
    given = dict(options or {})
    replication = integer("replication", given.pop("replication", 0), 0)
    if given:
        raise ValueError(f"options may hold replication only, got {next(iter(given))!r}")
    return replication


def _problem(name: Any, parameters: dict[str, Any]) -> Any:
    """A problem by name, completed by its example; or as it is."""
    if not isinstance(name, str):
        if parameters:
            raise ValueError(f"{next(iter(parameters))} belongs to banditlab.make_problem")
        return name
    module = inspect.getmodule(factory("problem", name))
    example = getattr(module, "example", {})
    return make_problem(name, **{**example, **parameters})


def env_id(name: str) -> str:
    """The Gymnasium id of the problem called ``name``."""
    words = ["contextual" if word == "cb" else word for word in name.split("_")]
    kind = "Bandit" if name in bandit_names() else ""
    return f"banditlab/{''.join(word.capitalize() for word in words)}{kind}-v0"


def _made_as(kind: type) -> list[str]:
    """Names of the problems whose factories are annotated to make a ``kind``."""
    return [
        name
        for name in problem_names()
        if inspect.signature(factory("problem", name)).return_annotation in (kind, kind.__name__)
    ]


@cache
def bandit_names() -> tuple[str, ...]:
    """Names of the problems for online play."""
    return tuple(_made_as(Problem))


@cache
def process_names() -> tuple[str, ...]:
    """Names of the decision processes that are played in episodes."""
    return tuple(_made_as(EpisodicMDP))


def register_envs() -> None:
    """Register every bandit and every decision process of the package, once."""
    for kind, names in ((BanditEnv, bandit_names()), (EpisodicEnv, process_names())):
        for name in names:
            if env_id(name) not in registry:
                # No max_episode_steps: horizons belong to arenas, and processes truncate.
                register(env_id(name), kind, kwargs={"name": name})


register_envs()
