"""Logs of sequential decisions for offline reinforcement learning: read, checked, counted.

A dataset is a table with a row per transition and the columns

============== ======================================================================
``state``      where it began, an integer from 0
``action``     what was done, an integer from 0
``reward``     what it paid, a finite number
``next_state`` where it led, an integer from 0
``terminated`` 1 if the episode was over then, for good: nothing more is to be earned
``truncated``  1 if the episode was cut off then, and would have gone on
``propensity`` with which probability the action was taken, in (0, 1]; left out when unknown
``episode``    number of the episode, an integer from 0; left out when rows are independent
============== ======================================================================

Other columns are passed over. The rows of an episode follow each other in time, and its last one,
and no other, is terminated or truncated.

A terminated row may name as its next state whatever was observed; it leads to END, the state that
is appended behind all others, where nothing is paid any more. A truncated row goes on from its
next state, to which END would be a lie: a time limit learned as death is the classic bug of such
logs, so the constructor refuses a truncated row that enters END, or a state that terminated rows
enter and no row leaves. Without ``n_states`` the latter is a guess from the rows.

>>> data = Dataset([0, 1, 0], [0, 1, 1], [0, 1, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1])
>>> data.counts().tolist()
[[1.0, 1.0], [0.0, 1.0]]
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab.data.log import LARGEST_TABLE, _column, _is_index
from banditlab.data.model import Model, new_model
from banditlab.mdp import MDP, discount, occupancy, solve, value_range
from banditlab.mdp import concentrability as ratio
from banditlab.validate import integer

if TYPE_CHECKING:
    import pandas

COLUMNS = (
    "state", "action", "reward", "next_state", "terminated", "truncated", "propensity", "episode",
)  # fmt: skip
OPTIONAL = ("propensity", "episode")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Transitions, in order. Raises ValueError for the first row that cannot be.

    Rows are counted from 0, as in a pandas frame. ``n_states`` and ``n_actions`` are by default
    one more than the largest logged.
    """

    state: np.ndarray  # (n,) int64
    action: np.ndarray  # (n,) int64
    reward: np.ndarray  # (n,) float64
    next_state: np.ndarray  # (n,) int64; may be n_states, END, where terminated
    terminated: np.ndarray  # (n,) bool
    truncated: np.ndarray  # (n,) bool
    propensity: np.ndarray | None = None  # (n,) float64, or None when unknown
    episode: np.ndarray | None = None  # (n,) int64, or None when rows are independent
    n_states: int = 0  # without END; 0 becomes what the rows show
    n_actions: int = 0  # 0 becomes what the rows show

    def __post_init__(self) -> None:
        given: dict[str, Any] = {}
        for name in COLUMNS:
            values = getattr(self, name)
            if values is None and name in OPTIONAL:
                continue
            if name == "reward":
                given[name] = _column(name, values, np.isfinite, "finite numbers")
            elif name == "propensity":
                given[name] = _column(
                    name, values, lambda p: (p > 0) & (p <= 1), "numbers in (0, 1]"
                )
            elif name in ("terminated", "truncated"):
                flags = _column(name, values, lambda f: (f == 0) | (f == 1), "0 and 1")
                given[name] = flags.astype(np.bool_)
            else:
                given[name] = _column(name, values, _is_index, "integers from 0").astype(np.int64)
            if given[name].size != given["state"].size:
                rows = given["state"].size
                raise ValueError(f"{name}: {given[name].size} rows, but state has {rows}")
        if given["state"].size == 0:
            raise ValueError("the dataset is empty")
        for name, values in given.items():
            object.__setattr__(self, name, values)
        told = integer("n_states", self.n_states, 0)
        shown = 1 + int(max(self.state.max(), self.next_state.max()))
        object.__setattr__(self, "n_states", told or shown)
        arms = integer("n_actions", self.n_actions, 0) or max(2, 1 + int(self.action.max()))
        object.__setattr__(self, "n_actions", arms)
        self._check_range(told > 0)
        self._check_ends(told > 0)
        if self.episode is not None:
            self._check_episodes(self.episode)

    def _check_range(self, told: bool) -> None:
        _refuse("action", self.action, self.action >= self.n_actions, f"0 to {self.n_actions - 1}")
        if told:
            last = self.n_states - 1
            _refuse("state", self.state, self.state >= self.n_states, f"0 to {last}")
            beyond = self.next_state >= self.n_states + self.terminated
            _refuse(
                "next_state", self.next_state, beyond & ~self.truncated,
                f"0 to {last}, and {last + 1} (END) if terminated",
            )  # fmt: skip

    def _check_ends(self, told: bool) -> None:
        for row in np.flatnonzero(self.terminated & self.truncated)[:1]:
            raise ValueError(
                f"truncated: row {row} has 1 and is terminated too; "
                "what is over cannot be cut off, let truncated be 0"
            )
        if told:
            final = np.arange(int(self.next_state.max()) + 1) >= self.n_states
        else:
            final = np.zeros(self.n_states, np.bool_)
            final[self.next_state[self.terminated]] = True
            final[self.state] = False
        for row in np.flatnonzero(self.truncated & final[self.next_state])[:1]:
            hint = "" if told else ", or give n_states if it is an ordinary state"
            raise ValueError(
                f"truncated: row {row} enters state {self.next_state[row]}, where episodes are "
                f"over; a truncated episode goes on: log the state it was in{hint}"
            )

    def _check_episodes(self, episode: np.ndarray) -> None:
        if self.starts.size > np.unique(episode).size:
            seen: set[int] = set()
            for row in self.starts:
                if int(episode[row]) in seen:
                    raise ValueError(
                        f"episode: row {row} has {episode[row]} again; "
                        "the rows of an episode must follow each other"
                    )
                seen.add(int(episode[row]))
        ended = self.terminated | self.truncated
        last = np.zeros(len(self), np.bool_)
        last[self.starts - 1] = True  # the row before each first one; -1 is the last of all
        for row in np.flatnonzero(ended & ~last)[:1]:
            flag = "terminated" if self.terminated[row] else "truncated"
            raise ValueError(
                f"{flag}: row {row} has 1, but row {row + 1} is of the same episode "
                f"{episode[row]}; drop what a vector environment logs while it resets itself"
            )
        for row in np.flatnonzero(last & ~ended)[:1]:
            raise ValueError(
                f"truncated: row {row} has 0, but it is the last of episode {episode[row]} and "
                "not terminated; let truncated be 1"
            )
        broken = ~last[:-1] & (self.next_state[:-1] != self.state[1:])
        for row in np.flatnonzero(broken)[:1]:
            raise ValueError(
                f"state: row {row + 1} has {self.state[row + 1]}; row {row} of the same episode "
                f"led to {self.next_state[row]}"
            )

    def __len__(self) -> int:
        return self.state.size

    @property
    def starts(self) -> np.ndarray:
        """The first row of each episode; every row is one when rows are independent."""
        if self.episode is None:
            return np.arange(len(self))
        return np.flatnonzero(np.append(True, self.episode[1:] != self.episode[:-1]))

    @property
    def step(self) -> np.ndarray:
        """How many rows of its episode come before each row: int64 (n,)."""
        lengths = np.diff(np.append(self.starts, len(self)))
        return np.arange(len(self)) - np.repeat(self.starts, lengths)

    @property
    def successor(self) -> np.ndarray:
        """The next state of each row, ``n_states`` (END) where it is terminated: int64 (n,)."""
        return np.where(self.terminated, self.n_states, self.next_state)

    def counts(self) -> np.ndarray:
        """How many rows show each pair: float64 (n_states, n_actions)."""
        return self._table(None)

    def sums(self) -> np.ndarray:
        """The sum of the rewards of each pair: float64 (n_states, n_actions)."""
        return self._table(self.reward)

    def _table(self, weights: np.ndarray | None) -> np.ndarray:
        pair = self.state * self.n_actions + self.action
        table = np.bincount(pair, weights, minlength=self.n_states * self.n_actions)
        return table.astype(np.float64).reshape(self.n_states, self.n_actions)

    def take(self, rows: Any) -> Dataset:
        """The dataset of these rows, given by number or by a mask.

        Episodes must be taken whole; drop them for independent rows with
        ``dataclasses.replace(data, episode=None)``.
        """
        columns = {name: getattr(self, name) for name in COLUMNS}
        taken: dict[str, Any] = {k: c if c is None else c[rows] for k, c in columns.items()}
        return Dataset(**taken, n_states=self.n_states, n_actions=self.n_actions)

    def model(
        self,
        *,
        gamma: float = 1.0,
        horizon: int = 0,
        v_min: float | None = None,
        v_max: float | None = None,
        known_rewards: Any = None,
        legal: Any = None,
    ) -> Model:
        """The sufficient statistics of the log, from which an offline agent plans.

        It has n_states + 1 states, the last being END. See
        :func:`banditlab.data.model.new_model` for the arguments, for END too in
        ``known_rewards`` and ``legal``; by default ``v_min`` and ``v_max`` follow from the logged
        rewards as in :func:`banditlab.mdp.new_mdp`, which is a guess if larger ones exist.

        Raises ValueError for a bad argument, and when the horizon is finite and steps are
        unknown (no column 'episode') or beyond it.
        """
        S, A = self.n_states, self.n_actions
        L = max(1, integer("horizon", horizon, 0))
        step = np.zeros(len(self), np.int64)
        if horizon > 0:
            step = self._steps_within(L)
        pair = self.state * A + self.action
        columns = np.stack([pair.astype(np.float64), self.successor, self.reward])
        kinds, kind = np.unique(columns, axis=1, return_inverse=True)
        kind = kind.reshape(-1)
        cell = kinds[0].astype(np.int64)
        first = np.searchsorted(cell, cell)  # the pair's first kind: kinds are sorted by pair
        place = np.arange(cell.size) - first
        K = int(place.max()) + 1
        if L * (S + 1) * A * K > LARGEST_TABLE:
            raise ValueError(
                f"a pair has up to {K} different (next_state, reward), which makes the table "
                "too large; round the rewards"
            )
        succ = np.full(((S + 1) * A, K), S)
        reward = np.zeros(((S + 1) * A, K))
        succ[cell, place], reward[cell, place] = kinds[1], kinds[2]
        table = np.zeros((L, (S + 1) * A, K))
        np.add.at(table, (step, pair, place[kind]), 1.0)
        shape = (S + 1, A, K)
        succ, reward, counts = succ.reshape(shape), reward.reshape(shape), table.reshape(L, *shape)
        terminal = np.arange(S + 1) == S
        gamma = 1.0 if horizon > 0 else discount(gamma)
        low, high = value_range(succ, counts.sum(axis=0), reward, terminal, gamma, int(horizon))
        return new_model(
            succ, reward, counts, gamma=gamma, horizon=horizon,
            v_min=low if v_min is None else v_min, v_max=high if v_max is None else v_max,
            known_rewards=known_rewards, legal=legal, terminal=terminal,
        )  # fmt: skip

    def _steps_within(self, horizon: int) -> np.ndarray:
        """`step`, once it is known and below ``horizon``."""
        if self.episode is None:
            raise ValueError("the dataset has no column 'episode', so steps are unknown")
        _refuse("step", self.step, self.step >= horizon, f"0 to {horizon - 1}, the horizon's")
        return self.step

    # --- against an exact model -----------------------------------------------------------------

    def fits(self, mdp: MDP) -> None:
        """Raise ValueError, in one line, for the first row that is impossible in ``mdp``."""
        n_states, n_actions, _ = mdp.succ.shape
        _refuse("state", self.state, self.state >= n_states, f"0 to {n_states - 1} in the model")
        _refuse(
            "action", self.action, self.action >= n_actions, f"0 to {n_actions - 1} in the model"
        )
        possible = mdp.prob[self.state, self.action] > 0.0
        outcomes = mdp.succ[self.state, self.action]
        over = mdp.terminal[outcomes]
        expected = np.where(
            self.terminated[:, None], over, ~over & (outcomes == self.next_state[:, None])
        )
        for row in np.flatnonzero(~(possible & expected).any(axis=1))[:1]:
            pair = f"state {self.state[row]}, action {self.action[row]}"
            if self.terminated[row]:
                raise ValueError(f"terminated: row {row} has 1, but {pair} cannot end an episode")
            raise ValueError(
                f"next_state: row {row} has {self.next_state[row]}, not terminated; "
                f"{pair} cannot lead there and go on"
            )

    def concentrability(self, mdp: MDP, policy: Any = None) -> float:
        """How well the log covers ``policy``, by default an optimal one: max d / mu.

        mu is the empirical law of the logged pairs, of each step when the horizon is finite, and d
        the occupancy of the policy in ``mdp``. Pairs in terminal states are left out: there is
        nothing to learn, and no log shows them; as d keeps its mass, the result may be below 1.
        It is inf when the policy meets a pair that was never logged.

        Raises ValueError when a row is impossible in ``mdp``, or when the horizon is finite and
        the dataset has no column 'episode'.
        """
        self.fits(mdp)
        d = occupancy(mdp, solve(mdp).policy if policy is None else policy)
        step, rows = np.zeros(len(self), np.int64), float(len(self))
        if mdp.horizon > 0:
            step, rows = self._steps_within(mdp.horizon), float(self.starts.size)
        mu = np.zeros(d.shape)
        np.add.at(mu, (step, self.state, self.action), 1.0 / rows)
        return ratio(d[:, ~mdp.terminal], mu[:, ~mdp.terminal])

    # --- files and environments -----------------------------------------------------------------

    def to_frame(self) -> pandas.DataFrame:
        """The dataset as a pandas frame, with the optional columns only when they are known."""
        import pandas

        columns = {name: getattr(self, name) for name in COLUMNS}
        return pandas.DataFrame({k: v for k, v in columns.items() if v is not None})

    def write(self, path: str | Path) -> None:
        """Write a ``.parquet`` or ``.csv`` file, which `read` gives back bit for bit."""
        path = _path(path)
        frame = self.to_frame()
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)

    @classmethod
    def of(cls, source: Any, n_states: int = 0, n_actions: int = 0) -> Dataset:
        """The dataset that ``source`` is or holds: a Dataset, a pandas frame, or a file's path.

        ``n_states`` and ``n_actions`` are by default what the rows show.
        """
        if isinstance(source, Dataset):
            return source
        if isinstance(source, str | Path):
            return cls.read(source, n_states, n_actions)
        if not hasattr(source, "columns"):
            raise ValueError(
                f"a dataset is a Dataset, a pandas frame or a path, got {type(source).__name__}"
            )
        given = [str(name) for name in source.columns]
        for name in COLUMNS:
            if name not in given and name not in OPTIONAL:
                raise ValueError(f"the dataset has no column {name!r}; it has {', '.join(given)}")
        for name in given:
            # A misspelt optional column would otherwise be passed over without a word.
            absent = [column for column in COLUMNS if column not in given]
            for meant in difflib.get_close_matches(name, absent, n=1, cutoff=0.8):
                raise ValueError(f"unknown column {name!r}; did you mean {meant!r}?")
        columns = {name: source[name].to_numpy() for name in COLUMNS if name in given}
        return cls(**columns, n_states=n_states, n_actions=n_actions)

    @classmethod
    def read(cls, path: str | Path, n_states: int = 0, n_actions: int = 0) -> Dataset:
        """The dataset in a ``.csv`` or ``.parquet`` file; ValueErrors begin with its name."""
        path = _path(path)
        if not path.is_file():
            raise ValueError(f"no such file: {path}")
        import pandas

        reader = pandas.read_csv if path.suffix == ".csv" else pandas.read_parquet
        try:
            frame = reader(path)
        except pandas.errors.EmptyDataError:
            raise ValueError(f"{path.name}: the dataset is empty") from None
        except Exception as error:  # parsers fail in many ways; all mean the same to the reader
            line = str(error).strip().split("\n")[0]
            raise ValueError(f"{path.name}: not readable as {path.suffix[1:]}: {line}") from error
        try:
            return cls.of(frame, n_states, n_actions)
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from None

    @classmethod
    def collect(
        cls,
        env: Any,
        policy: Any = None,
        *,
        episodes: int = 0,
        steps: int = 0,
        seed: int = 0,
    ) -> Dataset:
        """Play ``policy`` in a Gymnasium environment and log what happens, propensities included.

        Parameters
        ----------
        env
            The id of an environment, an environment, or a vector environment, with discrete
            observations and actions. The steps in which a vector environment resets itself are
            no transitions and are dropped.
        policy
            Probabilities (n_states, n_actions), or (steps, n_states, n_actions) for a policy that
            changes with the step of the episode; by default all actions evenly. A further state,
            END, may be there and is not used.
        episodes, steps
            How much to log; one of them must be given. With ``steps`` the episodes under way at
            the end are truncated. The copies of a vector environment take equal shares, so
            that short episodes are not preferred.
        seed
            Decides the actions and, through ``env.reset``, the environment.

        Raises ValueError, in one line, for spaces that are not discrete, a policy of another
        shape, and unless exactly one of ``episodes`` and ``steps`` is positive.
        """
        return _collect(env, policy, episodes, steps, seed)


def _refuse(name: str, values: np.ndarray, wrong: np.ndarray, allowed: str) -> None:
    for row in np.flatnonzero(wrong)[:1]:
        raise ValueError(f"{name}: row {row} has {values[row]}; allowed are {allowed}")


def _path(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{path.name}: a dataset ends in .csv or .parquet")
    return path


def _n(space: Any, what: str) -> int:
    from gymnasium.spaces import Discrete

    if not isinstance(space, Discrete) or space.start != 0:
        raise ValueError(f"{what} must be Discrete from 0, got {space}")
    return int(space.n)


class _Single:
    """One environment with the face of a vector environment that resets in the same step."""

    num_envs = 1

    def __init__(self, env: Any):
        self.env = env
        self.single_observation_space = env.observation_space
        self.single_action_space = env.action_space

    def reset(self, seed: int) -> tuple[list, dict]:
        seen, info = self.env.reset(seed=seed)
        return [seen], info

    def step(self, actions: np.ndarray) -> tuple[list, list, list, list, dict]:
        seen, reward, terminated, truncated, info = self.env.step(int(actions[0]))
        if terminated or truncated:
            info = {"final_obs": [seen]}
            seen, _ = self.env.reset()
        return [seen], [reward], [terminated], [truncated], info


def _environments(env: Any) -> tuple[Any, bool]:
    """A vector environment, and whether it resets its copies in a step of their own."""
    import gymnasium
    from gymnasium.vector import AutoresetMode, VectorEnv

    if isinstance(env, str):
        try:
            env = gymnasium.make(env)
        except gymnasium.error.Error as error:  # says what to use instead of Taxi-v3
            raise ValueError(str(error)) from error
    if not isinstance(env, VectorEnv):
        return _Single(env), False
    mode = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
    if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        raise ValueError(f"the vector environment must reset itself, its mode is {mode}")
    return env, mode == AutoresetMode.NEXT_STEP


def _behaviour(policy: Any, n_states: int, n_actions: int) -> np.ndarray:
    """``policy`` as probabilities (L, n_states, n_actions)."""
    if policy is None:
        return np.full((1, n_states, n_actions), 1.0 / n_actions)
    policy = np.array(policy, dtype=np.float64)
    shape = policy.shape[-2:]
    if policy.ndim not in (2, 3) or shape not in ((n_states, n_actions), (n_states + 1, n_actions)):
        raise ValueError(
            f"policy must have shape ({n_states}, {n_actions}), or such a table for every step, "
            f"got {policy.shape}"
        )
    policy = policy.reshape(-1, *shape)[:, :n_states]
    if not ((policy >= 0.0).all() and (np.abs(policy.sum(axis=2) - 1.0) < 1e-8).all()):
        raise ValueError("policy must hold probabilities that sum to 1 in every state")
    return policy


def _collect(env: Any, policy: Any, episodes: int, steps: int, seed: int) -> Dataset:
    episodes, steps = integer("episodes", episodes, 0), integer("steps", steps, 0)
    if (episodes > 0) == (steps > 0):
        raise ValueError(f"give either episodes or steps, got {episodes} and {steps}")
    seed = integer("seed", seed, 0)
    envs, resets_in_next = _environments(env)
    n_states = _n(envs.single_observation_space, "observations")
    n_actions = _n(envs.single_action_space, "actions")
    policy = _behaviour(policy, n_states, n_actions)
    cumulative = policy.cumsum(axis=2)
    cumulative /= cumulative[:, :, -1:]  # ends in exactly 1, so a draw never runs over
    rng = np.random.default_rng(seed)
    copies = envs.num_envs
    left = [(episodes + steps) // copies + (i < (episodes + steps) % copies) for i in range(copies)]
    rows: list[list[tuple]] = [[] for _ in range(copies)]
    t = np.zeros(copies, np.int64)  # steps into the episode
    done = np.zeros(copies, np.bool_)  # the coming step only resets the copy
    seen, _ = envs.reset(seed=seed)
    while any(left):
        if t.max() >= len(policy) > 1:
            raise ValueError(f"an episode is longer than the {len(policy)} steps of the policy")
        rule = np.minimum(t, len(policy) - 1)
        draws = rng.random(copies)[:, None]
        actions = (draws >= cumulative[rule, seen]).sum(axis=1)
        after, reward, terminated, truncated, info = envs.step(actions)
        for i in range(copies):
            over, cut = bool(terminated[i]), bool(truncated[i]) and not bool(terminated[i])
            if done[i]:
                done[i], t[i] = False, 0
                continue
            if left[i]:
                next_state = after[i]
                if (over or cut) and not resets_in_next:
                    next_state = info["final_obs"][i]
                left[i] -= 1 if steps or over or cut else 0
                cut = cut or (not left[i] and not over)
                s, a = int(seen[i]), int(actions[i])
                chance = policy[rule[i], s, a]
                rows[i].append((s, a, float(reward[i]), int(next_state), over, cut, chance))
            t[i] += 1
            if terminated[i] or truncated[i]:
                t[i] = 0
                done[i] = resets_in_next
        seen = after
    values = zip(*(row for copy in rows for row in copy), strict=True)
    columns = {name: np.array(v) for name, v in zip(COLUMNS[:7], values, strict=True)}
    ended = columns["terminated"] | columns["truncated"]
    columns["episode"] = np.cumsum(np.append(0, ended[:-1]))
    return Dataset(**columns, n_states=n_states, n_actions=n_actions)
