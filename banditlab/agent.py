"""An algorithm at work, one decision at a time: the face for use in other code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab import random, registry
from banditlab.check import integer
from banditlab.core import Task
from banditlab.protocols.offline import Offline, deployed
from banditlab.protocols.online import Online, deterministic

SCHEMA = 1


def playable(algorithm: Any) -> Online:
    """The algorithm as one that acts; an offline rule is deployed as it stands after ``fit``."""
    if isinstance(algorithm, Offline):
        return deployed(algorithm)
    if isinstance(algorithm, Online):
        return algorithm
    raise ValueError(
        f"algorithm must be a name or what banditlab.make returns, got {type(algorithm).__name__}"
    )


class Agent:
    """Acts, learns, saves and loads; holds the state, the random stream and the clock.

    Parameters
    ----------
    algorithm
        A name of ``banditlab.names()``, a ``.py`` file, or what ``banditlab.make`` returns.
    n_arms
        Number of arms, at least 2.
    n_contexts
        Number of contexts; 1 when there are none. With several, ``x`` is the context's number.
    dim
        Number of features per arm; 0 when there are none.
    horizon
        Number of rounds that will be played; 0 when unknown. Some algorithms need it.
    seed
        Same seed, same choices. The stream is that of replication 0 of an arena run.
    hyper
        Hyper-parameters of the algorithm when it is given by name.

    Raises
    ------
    ValueError
        In one line, for an unknown name or an argument out of range.

    Examples
    --------
    >>> agent = Agent("thompson", n_arms=2, seed=0)
    >>> for _ in range(20):
    ...     arm = agent.act()
    ...     agent.update(None, arm, reward=float(arm == 1))
    >>> agent.recommend()
    array([0., 1.])
    """

    def __init__(
        self,
        algorithm: Any,
        *,
        n_arms: int,
        n_contexts: int = 1,
        dim: int = 0,
        horizon: int = 0,
        seed: int = 0,
        **hyper: Any,
    ):
        self.name = algorithm if isinstance(algorithm, str) else type(algorithm.params).__name__
        self._hyper = dict(hyper) if isinstance(algorithm, str) else None
        if isinstance(algorithm, str):
            algorithm = registry.make(algorithm, **hyper)
        elif hyper:
            raise ValueError(f"{next(iter(hyper))} belongs to banditlab.make, not to Agent")
        self.algorithm = playable(algorithm)
        self.task = Task(
            integer("n_arms", n_arms, 2),
            integer("n_contexts", n_contexts, 1),
            integer("dim", dim, 0),
            integer("horizon", horizon, 0),
        )
        if self.algorithm.features and self.task.dim == 0:
            raise ValueError(f"{self.name} needs features: give Agent their number as dim")
        self.t = 0
        self._key = random.key(integer("seed", seed, 0))
        self._rng = random.stream(self._key, 0, random.AGENT)
        with np.errstate(over="ignore"):
            self.state = self.algorithm.init(self.algorithm.params, self.task, self._rng)

    def act(self, x: Any = None) -> int:
        """The arm to pull, 0 .. n_arms - 1, given what ``x`` shows; see :meth:`features`."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            arm = self.algorithm.act(
                self.algorithm.params, self.state, self.t, self.features(x), self._rng
            )
        return int(arm)

    def update(
        self,
        x: Any,
        arm: int,
        reward: float,
        next_x: Any = None,
        terminated: bool = False,
        *,
        t: int | None = None,
    ) -> None:
        """Learn that ``arm`` paid ``reward`` and move on to the next round.

        A reward that arrives late is handed over with its own round ``t`` (from 0), ``x`` and
        ``arm``; the clock then stands still, and :meth:`tick` moves it once a round. Bandits
        ignore ``next_x`` and ``terminated``. Raises ValueError for an arm that does not
        exist and for a reward that the algorithm cannot use.
        """
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            self.algorithm.update(
                self.algorithm.params,
                self.state,
                self.t if t is None else integer("t", t, 0),
                self.features(x),
                self._arm(arm),
                self._reward(reward),
                self._rng,
            )
        if t is None:
            self.t += 1

    def tick(self) -> None:
        """Move on to the next round without learning: for rewards that arrive late."""
        self.t += 1

    def recommend(self, x: Any = None) -> np.ndarray:
        """Probabilities (n_arms,) over the arms that the agent would name best now."""
        out = np.zeros(self.task.n_arms)
        rng = self._rng.copy()
        self.algorithm.recommend(self.algorithm.params, self.state, self.features(x), rng, out)
        return out

    def propensities(self, x: Any = None) -> np.ndarray:
        """Probabilities (n_arms,) of the arms that ``act`` would draw from now.

        A deterministic algorithm gives 1 to the arm that it would pull.
        """
        out = np.zeros(self.task.n_arms)
        if self.algorithm.propensities is deterministic:
            rng = self._rng.copy()
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                arm = self.algorithm.act(
                    self.algorithm.params, self.state, self.t, self.features(x), rng
                )
            out[arm] = 1.0
        else:
            with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
                self.algorithm.propensities(
                    self.algorithm.params, self.state, self.t, self.features(x), out
                )
        return out

    def fit(self, log: Any) -> Agent:
        """Learn from a log of other people's choices; returns the agent.

        ``log`` is a :class:`banditlab.log.Log`, a pandas frame with its columns, or a path to a
        CSV or Parquet file. The agent's clock does not move. A task with features learns from the
        log's features, one row that all arms share; one with contexts from its contexts.

        Raises ValueError for a log that the task cannot be learned from (other features, no
        contexts, more arms), and for a reward that the algorithm cannot use.
        """
        from banditlab.log import Log

        log = Log.of(log)
        log.fits(self.task)
        shown: Any = log.context if self.task.n_contexts > 1 else log.x
        if self.task.n_contexts == 1 and self.task.dim == 0:
            shown = [None] * len(log)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            for i in range(len(log)):
                row = (
                    self.algorithm.params,
                    self.state,
                    i,
                    self.features(shown[i]),
                    self._arm(log.action[i]),
                    self._reward(log.reward[i]),
                    self._rng,
                )
                if not self.algorithm.fit(*row):
                    self.algorithm.update(*row)
        return self

    def features(self, x: Any) -> np.ndarray:
        """``x`` as the kernels want it: a float64 matrix.

        Without features: nothing (``None``). With contexts: the context's number. With
        features: a row per arm (n_arms, dim), or one row (dim,) that all arms share.
        """
        n_arms, n_contexts, dim = self.task[:3]
        if n_contexts > 1:
            s = np.asarray(-1 if x is None else x).reshape(-1)
            if s.size != 1 or not 0 <= s[0] < n_contexts or int(s[0]) != s[0]:
                raise ValueError(f"x must be a context, 0 to {n_contexts - 1}, got {x!r}")
            return np.array([[float(s[0])]])
        if dim == 0:
            return np.zeros((1, 1))
        rows = np.ascontiguousarray(np.atleast_2d(np.asarray(x, dtype=np.float64)))
        if rows.shape not in ((n_arms, dim), (1, dim)) or not np.isfinite(rows).all():
            raise ValueError(
                f"x must be finite with shape ({n_arms}, {dim}) or ({dim},), got {x!r}"
            )
        return rows

    def _arm(self, arm: Any) -> int:
        if int(arm) != arm or not 0 <= arm < self.task.n_arms:
            raise ValueError(f"arm must be an integer, 0 to {self.task.n_arms - 1}, got {arm!r}")
        return int(arm)

    def _reward(self, reward: Any) -> float:
        low, high = self.algorithm.rewards
        if not (low <= reward <= high and np.isfinite(reward)):
            allowed = "finite" if low == -np.inf else f"in [{low:g}, {high:g}]"
            raise ValueError(f"reward must be {allowed} for {self.name}, got {reward!r}")
        return float(reward)

    def save(self, path: str | Path) -> None:
        """Write everything to ``path`` (.npz, no pickle): a loaded agent goes on draw for draw."""
        if self._hyper is None:
            raise ValueError("only an agent made by name can be saved: Agent('ucb', n_arms=...)")
        about = {
            "schema": SCHEMA,
            "name": self.name,
            "hyper": self._hyper,
            "task": self.task._asdict(),
            "t": self.t,
        }
        text = json.dumps(about, default=lambda value: np.asarray(value).tolist())
        arrays = {f"state{i}": array for i, array in enumerate(_leaves(self.state))}
        with open(path, "wb") as file:
            np.savez(file, about=np.array(text), rng=self._rng, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> Agent:
        """The agent that :meth:`save` wrote to ``path``."""
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            if about["schema"] != SCHEMA:
                given = about["schema"]
                raise ValueError(f"{path} has schema {given}, this version reads {SCHEMA}")
            agent = cls(about["name"], **about["task"], **about["hyper"])
            for i, array in enumerate(_leaves(agent.state)):
                array[...] = stored[f"state{i}"]
            agent._rng[...] = stored["rng"]
            agent.t = about["t"]
        return agent


def _leaves(state: NamedTuple | np.ndarray) -> list[np.ndarray]:
    """The arrays of a state, in order; a state may hold a state."""
    if isinstance(state, np.ndarray):
        return [state]
    return [leaf for field in state for leaf in _leaves(field)]  # type: ignore[arg-type]
