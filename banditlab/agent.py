"""An algorithm at work, one decision at a time: what the faces of all protocols share.

``banditlab.Agent(name, ...)`` returns the face of the protocol that the algorithm speaks, with that
protocol's own arguments and methods: :class:`banditlab.protocols.online.OnlineAgent` for ``ucb``,
:class:`banditlab.protocols.identify.IdentifyAgent` for ``dp_bai``. All of them are ``Agent``.
"""

from __future__ import annotations

import copy
import html
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np

from banditlab import random, registry, saved
from banditlab.core import Task
from banditlab.machine import check_room
from banditlab.validate import integer, shown

LARGEST = 2**53  # arms, rounds and all else that is counted: more are not exact as float64


@contextmanager
def quiet() -> Iterator[None]:
    """Kernels as plain Python wrap uint64, and divide by 0, aloud; they mean it."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        yield


class Agent:
    """Acts, learns, saves and loads; holds the state, the random stream and the clock.

    Parameters
    ----------
    algorithm
        A name of ``banditlab.names()``, a ``.py`` file, or what ``banditlab.make`` returns.
    seed
        Same seed, same choices. The stream is that of replication 0 of an arena run.
    task
        What the protocol's own face takes, such as ``n_arms`` and ``horizon``, and
        hyper-parameters of the algorithm when it is given by name. See ``help(type(agent))``.

    Raises
    ------
    ValueError
        In one line, for an unknown name or an argument that does not fit.

    Examples
    --------
    >>> agent = Agent("thompson", n_arms=2, seed=0)
    >>> agent
    OnlineAgent('thompson', n_arms=2, t=0)
    >>> for _ in range(20):
    ...     arm = agent.act()
    ...     agent.update(None, arm, reward=float(arm == 1))
    >>> agent.recommend()
    array([0., 1.])
    """

    arguments: tuple[str, ...] = ()  # of each face: those that the task holds under their names
    name: str
    algorithm: Any  # as the protocol plays it
    state: Any  # NamedTuple of arrays
    task: Any  # what the algorithm was told
    t: int  # rounds, pulls or episodes so far
    rehearse: Callable[[], None]  # of each face: play one round that means nothing
    if TYPE_CHECKING:  # of each face, with its own arguments and types
        act: Callable[..., Any]
        update: Callable[..., None]
        recommend: Callable[..., np.ndarray]

    def __new__(cls, algorithm: Any = None, **given: Any) -> Self:
        """The face of the algorithm's protocol."""
        if cls is not Agent:
            return super().__new__(cls)
        made = algorithm
        if isinstance(algorithm, str):
            allowed = inspect.signature(registry.factory("agent", algorithm)).parameters
            made = registry.make(algorithm, **{k: v for k, v in given.items() if k in allowed})
        protocol = registry.protocol_of(made)
        return cast(Self, object.__new__(protocol.face))

    def __init__(self, algorithm: Any, *, seed: int = 0, **hyper: Any):
        by_name = isinstance(algorithm, str)
        self.name = algorithm if by_name else type(algorithm.params).__name__
        self._hyper = dict(hyper) if by_name else None
        if hyper and not by_name:
            raise ValueError(f"{next(iter(hyper))} belongs to banditlab.make, not to Agent")
        if by_name:
            self._known(hyper)
            algorithm = registry.make(algorithm, **hyper)
        face = registry.protocol_of(algorithm).face
        if not isinstance(self, face):
            raise ValueError(f"{self.name} is no {type(self).__name__} but {face.__name__}")
        self.algorithm = self._played(algorithm)
        self.t = 0
        self._key = random.key(integer("seed", seed, 0))
        self._rng = random.stream(self._key, 0, random.AGENT)

    def _known(self, hyper: dict[str, Any]) -> None:
        """Refuse what is neither an argument of the face nor of the algorithm."""
        allowed = inspect.signature(registry.factory("agent", self.name)).parameters
        own = [p for p in inspect.signature(type(self).__init__).parameters if p != "hyper"]
        for key in hyper:
            if key not in allowed:
                known = {*allowed, *own} - {"self", "algorithm"}
                raise ValueError(f"{self.name}: {registry.unknown('argument', key, known)}")

    def _played(self, algorithm: Any) -> Any:
        """The algorithm as one that acts here."""
        return algorithm

    def _begin(self) -> None:
        """Make the state, when the task is known."""
        check_room(self.name, self.task._asdict())
        try:
            with quiet():
                self.state = self.algorithm.init(self.algorithm.params, self.task, self._rng)
        except (MemoryError, OverflowError):
            facts = ", ".join(f"{key}={value}" for key, value in self._given().items())
            raise ValueError(f"{self.name}: there is no memory for {facts}") from None

    # --- what was learned -----------------------------------------------------------------------

    def __repr__(self) -> str:
        facts = ", ".join(f"{key}={value}" for key, value in self._facts().items())
        return f"{type(self).__name__}({self.name!r}, {facts})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{html.escape(key)}</th><td>{html.escape(str(value))}</td></tr>"
            for key, value in {"agent": self.name, **self._facts(), **self._learned()}.items()
        )
        return f"<table>{rows}</table>"

    def _facts(self) -> dict[str, Any]:
        """What a person looks for first: the task as far as it was given, and the clock."""
        defaults = self.task._field_defaults
        given = {k: v for k, v in self._given().items() if k not in defaults or v != defaults[k]}
        return {**given, "t": self.t}

    def _learned(self) -> dict[str, Any]:
        """What a notebook shows beside the facts."""
        return {}

    # --- saving ---------------------------------------------------------------------------------

    def _about(self) -> dict[str, Any]:
        """What says everything beside the arrays, as plain data."""
        return {"given": self._given(), "t": self.t}

    def _given(self) -> dict[str, Any]:
        """The face's arguments, for the same agent to be made again."""
        return {name: getattr(self.task, name) for name in self.arguments}

    def _arrays(self) -> dict[str, np.ndarray]:
        """Every array that changes while the agent plays."""
        named = {f"state{i}": array for i, array in enumerate(leaves(self.state))}
        return {**named, "rng": self._rng}

    @classmethod
    def _remade(cls, name: Any, hyper: dict[str, Any], about: dict[str, Any]) -> Agent:
        """A fresh agent of that kind, for its arrays to be filled in."""
        agent = Agent(name, **about["given"], **hyper)
        agent.t = about["t"]
        return agent

    def save(self, path: str | Path) -> None:
        """Write everything to ``path`` (.npz, no pickle): a loaded agent goes on draw for draw."""
        if self._hyper is None:
            raise ValueError("only an agent made by name can be saved: Agent('ucb', n_arms=...)")
        about = {"name": self.name, "hyper": self._hyper, **self._about()}
        saved.write(path, about, self._arrays())

    @classmethod
    def load(cls, path: str | Path, *, algorithm: str | None = None) -> Agent:
        """The agent that :meth:`save` wrote to ``path``.

        Nothing in the file is ever run: for an agent of a ``.py`` file of one's own, ``algorithm``
        is that file. Raises ValueError for everything else than a saved agent.
        """
        made: list[Agent] = []

        def fresh(about: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
            name, hyper = about["name"], about["hyper"]
            face = registry.protocol_of(registry.make(name, **hyper)).face
            made.append(face._remade(name, hyper, about))
            return made[0]._about(), made[0]._arrays()

        def sound(arrays: Mapping[str, np.ndarray]) -> None:
            state = made[0].state
            found = iter([arrays[f"state{i}"] for i in range(len(leaves(state)))])
            saved.check_state(state, found, getattr(made[0].task, "n_arms", saved.LARGEST))

        _, arrays = saved.read(path, fresh, algorithm, sound)
        for name, array in made[0]._arrays().items():
            array[...] = arrays[name]
        return made[0]

    def warm_up(self) -> Self:
        """Compile all that a decision needs, before a service starts; changes nothing."""
        copy.deepcopy(self).rehearse()
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = object.__new__(type(self))
        for name, value in vars(self).items():  # the algorithm never changes, and is slow to copy
            vars(twin)[name] = value if name == "algorithm" else copy.deepcopy(value, memo)
        return twin

    def __reduce__(self) -> Any:
        name, hyper = self.name, self._hyper
        if hyper is None:
            name, hyper = registry.recipe(self.algorithm)
        return _restored, (name, hyper, self._about(), self._arrays())


class BanditAgent(Agent):
    """What the faces share that choose among arms.

    ``x`` is what the round shows: nothing (None), the number of a context, or features.
    """

    def __init__(
        self,
        algorithm: Any,
        hyper: dict[str, Any],
        *,
        n_arms: int,
        n_contexts: int = 1,
        dim: int = 0,
        horizon: int = 0,
        least_horizon: int = 0,
        seed: int = 0,
    ):
        super().__init__(algorithm, seed=seed, **hyper)
        self.task = Task(
            integer("n_arms", n_arms, 2, LARGEST),
            integer("n_contexts", n_contexts, 1, LARGEST),
            integer("dim", dim, 0, LARGEST),
            integer("horizon", horizon, least_horizon, LARGEST),
        )
        if getattr(self.algorithm, "features", False) and self.task.dim == 0:
            raise ValueError(f"{self.name} needs features: give Agent their number as dim")
        if self.task.dim > 0 and self.task.n_contexts > 1:
            raise ValueError(
                f"n_contexts must be 1 where arms have features, dim {self.task.dim}, got "
                f"{self.task.n_contexts}: hand a context over as features"
            )

    def recommend(self, x: Any = None) -> np.ndarray:
        """Probabilities (n_arms,) over the arms that the agent would name best now."""
        out = np.zeros(self.task.n_arms)
        rng = self._rng.copy()
        self.algorithm.recommend(self.algorithm.params, self.state, self.features(x), rng, out)
        return out

    def features(self, x: Any) -> np.ndarray:
        """``x`` as the kernels want it: a float64 matrix.

        Without features: nothing (``None``). With contexts: the context's number. With
        features: a row per arm (n_arms, dim), or one row (dim,) that all arms share.
        """
        n_arms, n_contexts, dim = self.task[:3]
        if n_contexts > 1:
            try:
                s = np.asarray(x, np.float64).reshape(-1)
            except (TypeError, ValueError, OverflowError):
                s = np.empty(0)
            if s.size != 1 or not 0 <= s[0] < n_contexts or s[0] != np.floor(s[0]):
                raise ValueError(f"x must be a context, 0 to {n_contexts - 1}, got {shown(x)}")
            return s.reshape(1, 1)
        if dim == 0:
            return np.zeros((1, 1))
        try:
            rows = np.ascontiguousarray(np.atleast_2d(np.asarray(x, dtype=np.float64)))
        except (TypeError, ValueError, OverflowError):
            rows = np.empty((0, 0))
        if rows.shape not in ((n_arms, dim), (1, dim)) or not np.isfinite(rows).all():
            raise ValueError(
                f"x must be finite with shape ({n_arms}, {dim}) or ({dim},), got {shown(x)}"
            )
        return rows

    def _nothing(self) -> Any:
        """An ``x`` that fits the task."""
        return np.zeros(self.task.dim) if self.task.dim else 0

    def _learned(self) -> dict[str, Any]:
        if self.task.n_contexts > 1 or self.task.dim > 0:
            return {}
        return {"recommend": np.array2string(self.recommend(), precision=3, threshold=8)}

    def _arm(self, arm: Any) -> int:
        try:
            if arm == int(arm) and 0 <= arm < self.task.n_arms:
                return int(arm)
        except (TypeError, ValueError, OverflowError):
            pass
        raise ValueError(f"arm must be an integer, 0 to {self.task.n_arms - 1}, got {shown(arm)}")

    def _reward(self, reward: Any, what: str = "reward") -> float:
        low, high = self.algorithm.rewards
        try:
            value = float(reward)
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not (low <= value <= high and math.isfinite(value)):
            allowed = "finite" if low == -math.inf else f"in [{low:g}, {high:g}]"
            raise ValueError(f"{what} must be {allowed} for {self.name}, got {shown(reward)}")
        return value


def _restored(name: Any, hyper: dict[str, Any], about: dict[str, Any], arrays: Any) -> Agent:
    """A pickled agent again."""
    face = registry.protocol_of(registry.make(name, **hyper)).face
    agent: Agent = face._remade(name, hyper, about)
    for key, array in agent._arrays().items():
        array[...] = arrays[key]
    return agent


def leaves(state: NamedTuple | np.ndarray) -> list[np.ndarray]:
    """The arrays of a state, in order; a state may hold a state."""
    if isinstance(state, np.ndarray):
        return [state]
    return [leaf for field in state for leaf in leaves(field)]  # type: ignore[arg-type]
