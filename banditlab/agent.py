"""An algorithm at work, one decision at a time: the face for use in other code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab import random, registry
from banditlab.core import Task
from banditlab.protocols.identify import Identify
from banditlab.protocols.observe import UNLIMITED, Losses, Observe
from banditlab.protocols.offline import Offline, deployed
from banditlab.protocols.online import Online, deterministic
from banditlab.validate import flag, integer, nonnegative

SCHEMA = 2


def playable(algorithm: Any) -> Any:
    """The algorithm as one that acts; an offline rule is deployed as it stands after ``fit``."""
    if isinstance(algorithm, Offline):
        return deployed(algorithm)
    if isinstance(algorithm, Online | Observe | Identify):
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
        Number of rounds that will be played; 0 when unknown. Some algorithms need it. For one
        that names the best arm it is the number of pulls that it may make.
    budget
        Number of losses that it may look at; None for any number. For protocol ``observe``.
    price
        What a switch of arms costs, in units of loss. For protocol ``observe``.
    extra
        Whether the loss of the arm played comes for free. For protocol ``observe``.
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
        budget: int | None = None,
        price: float = 1.0,
        extra: bool = False,
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
            integer("horizon", horizon, 1 if isinstance(self.algorithm, Identify) else 0),
            -1 if budget is None else integer("budget", budget, 0),
            nonnegative("price", price),
        )
        if getattr(self.algorithm, "features", False) and self.task.dim == 0:
            raise ValueError(f"{self.name} needs features: give Agent their number as dim")
        self._extra = flag("extra", extra)
        self._suits(np.zeros((1, 1)) if self.task.dim == 0 else None)
        self.t = 0
        self._key = random.key(integer("seed", seed, 0))
        self._rng = random.stream(self._key, 0, random.AGENT)
        self._looker = random.stream(self._key, 0, random.OBSERVATION)
        self._asked = np.zeros(self.task.n_arms, np.bool_)
        self._left = self.task.budget if self.task.budget >= 0 else UNLIMITED
        with np.errstate(over="ignore"):
            self.state = self.algorithm.init(self.algorithm.params, self.task, self._rng)

    def _suits(self, x: np.ndarray | None) -> None:
        """Let the algorithm refuse a task that it cannot meet; ``x`` when it is known."""
        check = getattr(self.algorithm, "check", None)
        if check is not None and isinstance(self.algorithm, Observe):
            shape = self.task[:3]
            check(self.task, Losses((), check, check, shape, budget=self.task.budget,
                                    price=self.task.price, extra=self._extra))  # fmt: skip
        elif check is not None and x is not None:
            check(self.task, x)

    def act(self, x: Any = None) -> Any:
        """The arm to pull, 0 .. n_arms - 1, given what ``x`` shows; see :meth:`features`.

        From an algorithm that names the best arm: how often to pull each arm now, (n_arms,)
        int64, cut to what is left of the horizon; all zeros when it is done.
        """
        if isinstance(self.algorithm, Identify):
            return self._batch(x)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            arm = self.algorithm.act(
                self.algorithm.params, self.state, self.t, self.features(x), self._rng
            )
        return int(arm)

    def _batch(self, x: Any) -> np.ndarray:
        pulls = np.zeros(self.task.n_arms, np.int64)
        left = self.task.horizon - self.t
        if left <= 0 or self.algorithm.stop(self.algorithm.params, self.state, self.t):
            return pulls
        if self.t == 0:
            self._suits(self.features(x))
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            self.algorithm.act(
                self.algorithm.params, self.state, self.t, self.features(x), self._rng, pulls
            )
        before = np.cumsum(pulls) - pulls
        return np.clip(pulls, 0, np.maximum(left - before, 0))

    def look(self, arm: int) -> np.ndarray:
        """Which losses to look at, (n_arms,) bool, now that ``arm`` is to be played.

        Ask once a round, between ``act`` and ``update``. For protocol ``observe``.
        """
        if not isinstance(self.algorithm, Observe):
            raise ValueError(f"{self.name} does not choose what to look at")
        asked = self._asked
        asked[:] = False
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            self.algorithm.look(
                self.algorithm.params, self.state, self.t, self._arm(arm), self._left,
                self._looker, asked,
            )  # fmt: skip
        return asked.copy()

    def update(
        self,
        x: Any,
        arm: Any,
        reward: Any,
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

        Protocol ``observe``: ``reward`` is the vector of losses (n_arms,), nan where not seen;
        those seen count against the budget. Algorithms that name the best arm: ``arm`` is what
        ``act`` gave and ``reward`` the sums of those pulls' rewards, (n_arms,).
        """
        if isinstance(self.algorithm, Identify):
            self._learn_batch(x, arm, reward)
            return
        if isinstance(self.algorithm, Observe):
            self._learn_losses(x, arm, reward)
            return
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

    def _learn_batch(self, x: Any, pulls: Any, sums: Any) -> None:
        pulls = np.array(pulls, dtype=np.int64)
        sums = np.array(sums, dtype=np.float64)
        n = (self.task.n_arms,)
        if pulls.shape != n or sums.shape != n or (pulls < 0).any():
            raise ValueError(f"pulls and sums must each hold {n[0]} numbers, pulls none below 0")
        if self.t + pulls.sum() > self.task.horizon:
            left = self.task.horizon - self.t
            raise ValueError(f"pulls must sum to at most {left}, what is left of the horizon")
        for k in np.flatnonzero(pulls):
            self._reward(float(sums[k] / pulls[k]), "the mean of an arm's rewards")
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            self.algorithm.update(
                self.algorithm.params, self.state, self.t, self.features(x), pulls, sums, self._rng
            )
        self.t += int(pulls.sum())

    def _learn_losses(self, x: Any, arm: Any, losses: Any) -> None:
        losses = np.array(losses, dtype=np.float64)
        if losses.shape != (self.task.n_arms,):
            raise ValueError(f"losses must hold {self.task.n_arms} numbers, nan where not seen")
        arm = self._arm(arm)
        seen = np.flatnonzero(~np.isnan(losses))
        for k in seen:
            self._reward(float(losses[k]), "a loss")
        paid = int(seen.size) - int(self._extra and arm in seen)
        if paid > self._left:
            raise ValueError(f"{paid} losses looked at, but {self._left} left of the budget")
        missing = np.flatnonzero(self._asked & np.isnan(losses))
        if missing.size and self._left > paid:
            raise ValueError(f"the loss of arm {missing[0]} was asked for, but is nan")
        self._asked[:] = False
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            self.algorithm.update(
                self.algorithm.params, self.state, self.t, self.features(x), arm, losses, self._rng
            )
        self._left -= paid
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
        if not isinstance(self.algorithm, Online):
            raise ValueError(f"{self.name} does not tell its propensities")
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

        ``log`` is a :class:`banditlab.Log`, a pandas frame with its columns, or a path to a
        CSV or Parquet file. The agent's clock does not move. A task with features learns from the
        log's features, one row that all arms share; one with contexts from its contexts.

        Raises ValueError for a log that the task cannot be learned from (other features, no
        contexts, more arms), and for a reward that the algorithm cannot use.
        """
        from banditlab.data.log import Log

        if not isinstance(self.algorithm, Online):
            raise ValueError(f"{self.name} does not learn from a log of rewards")
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

    def _reward(self, reward: Any, what: str = "reward") -> float:
        low, high = self.algorithm.rewards
        if not (low <= reward <= high and np.isfinite(reward)):
            allowed = "finite" if low == -np.inf else f"in [{low:g}, {high:g}]"
            raise ValueError(f"{what} must be {allowed} for {self.name}, got {reward!r}")
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
            "left": self._left,
            "extra": self._extra,
        }
        text = json.dumps(about, default=lambda value: np.asarray(value).tolist())
        arrays = {f"state{i}": array for i, array in enumerate(_leaves(self.state))}
        with open(path, "wb") as file:
            np.savez(file, about=np.array(text), rng=self._rng, looker=self._looker, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> Agent:
        """The agent that :meth:`save` wrote to ``path``."""
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            if about["schema"] != SCHEMA:
                given = about["schema"]
                raise ValueError(f"{path} has schema {given}, this version reads {SCHEMA}")
            task = about["task"]
            task["budget"] = task["budget"] if task["budget"] >= 0 else None
            agent = cls(about["name"], **task, extra=about["extra"], **about["hyper"])
            for i, array in enumerate(_leaves(agent.state)):
                array[...] = stored[f"state{i}"]
            agent._rng[...] = stored["rng"]
            agent._looker[...] = stored["looker"]
            agent.t, agent._left = about["t"], about["left"]
        return agent


def _leaves(state: NamedTuple | np.ndarray) -> list[np.ndarray]:
    """The arrays of a state, in order; a state may hold a state."""
    if isinstance(state, np.ndarray):
        return [state]
    return [leaf for field in state for leaf in _leaves(field)]  # type: ignore[arg-type]
