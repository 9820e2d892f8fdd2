"""Logs of sequential decisions for offline reinforcement learning: read, checked, counted.

A dataset is a table with a row per transition and the columns

============== ======================================================================
``state``      where it began: its name, a text or any integer
``action``     what was done, by name
``reward``     what it paid, a finite number
``next_state`` where it led, by name; may be empty where terminated
``terminated`` 1 if the episode was over then, for good: nothing more is to be earned
``truncated``  1 if the episode was cut off then, and would have gone on
``propensity`` with which probability the action was taken, in (0, 1]; left out when unknown
``episode``    of which episode the row is, by name; left out when rows are independent
============== ======================================================================

Other columns are passed over. The rows of an episode follow each other in time, and its last one,
and no other, is terminated or truncated.

States and actions are named as the user names them, and numbered inside: ``data.state`` and
``data.next_state`` hold places in ``data.states``, the sorted names, ``data.action`` in
``data.actions``. Names that are 0, 1, ..., n - 1 are their own numbers. With ``n_states`` or
``n_actions`` names must be numbers from 0 and stay as they are, whether or not the log shows all.

A terminated row may name as its next state whatever was observed; it leads to END, the state that
is appended behind all others, where nothing is paid any more. A truncated row goes on from its
next state, to which END would be a lie: a time limit learned as death is the classic bug of such
logs, so the constructor refuses a truncated row that enters END, or a state that terminated rows
enter and no row leaves. Without ``n_states`` the latter is a guess from the rows.

One file, though long: it is one class, whose checks, names and environments stand apart already.

>>> data = Dataset([0, 1, 0], [0, 1, 1], [0, 1, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1])
>>> data.counts().tolist()
[[1.0, 1.0], [0.0, 1.0]]
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab.data.checks import check, refuse
from banditlab.data.log import LARGEST_TABLE
from banditlab.data.model import Model, new_model
from banditlab.data.names import (
    align,
    are_numbers,
    as_array,
    as_numbers,
    episode_numbers,
    listed,
    merged,
    places,
)
from banditlab.data.table import named, plain, read_table, where_of
from banditlab.data.values import ids, numbers
from banditlab.mdp import MDP, discount, occupancy, solve, value_range
from banditlab.mdp import concentrability as ratio
from banditlab.validate import integer

if TYPE_CHECKING:
    import pandas

COLUMNS = (
    "state", "action", "reward", "next_state", "terminated", "truncated", "propensity", "episode",
)  # fmt: skip
OPTIONAL = ("propensity", "episode")
REQUIRED = ("next_state", "state", "action", "reward", "terminated", "truncated")
NO_NEXT_STATE = (
    "whoever plans must know where each action led, so log the state that followed; "
    "a log of single decisions is for lcb"
)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Transitions, in order. Raises ValueError for the first row that cannot be.

    Rows are counted from 0, as in a pandas frame. States and actions may be given as names, which
    become numbers, or as the numbers of the names that ``states`` and ``actions`` give.
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
    n_actions: int = 0  # 0 becomes what the rows show, at least 2
    states: tuple[Any, ...] = None  # type: ignore[assignment]  # (n_states,) names, sorted
    actions: tuple[Any, ...] = None  # type: ignore[assignment]  # names of the actions, sorted
    notes: tuple[str, ...] = ()  # what to know of how it was read

    def __post_init__(self) -> None:
        notes: list[str] = list(self.notes)
        columns = {
            name: plain(name, getattr(self, name))
            for name in COLUMNS
            if name not in OPTIONAL or getattr(self, name) is not None
        }
        rows = len(columns["state"])
        for name, values in columns.items():
            if len(values) != rows:
                raise ValueError(f"{name}: {len(values)} rows, but state has {rows}")
        if rows == 0:
            raise ValueError("the dataset is empty")
        made: dict[str, Any] = {"reward": numbers("reward", columns["reward"], notes=notes)}
        for name in ("terminated", "truncated"):
            flags = numbers(name, columns[name], lambda f: (f == 0) | (f == 1), "0 and 1")
            made[name] = flags.astype(np.bool_)
        if "propensity" in columns:
            made["propensity"] = numbers(
                "propensity", columns["propensity"],
                lambda p: (p > 0) & (p <= 1), "numbers in (0, 1]", notes,
            )  # fmt: skip
        if "episode" in columns:
            made["episode"] = episode_numbers(columns["episode"])
        told = self.states is not None or integer("n_states", self.n_states, 0) > 0
        made |= self._states(columns, made["terminated"], notes)
        made |= self._actions(columns["action"], notes)
        made["notes"] = tuple(notes)
        for name, value in made.items():
            object.__setattr__(self, name, value)
        check(self, told)

    def _states(
        self, columns: Mapping[str, Any], terminated: np.ndarray, notes: list[str]
    ) -> dict[str, Any]:
        """The two columns of states by number, and their names."""
        if self.states is not None:
            state, names = places("state", columns["state"], self.states)
            after, _ = places("next_state", columns["next_state"], (*names, "END"))
        else:
            state, names = ids("state", columns["state"], notes)
            after, seen = ids("next_state", columns["next_state"], notes, may_lack=terminated)
            told, lacking = integer("n_states", self.n_states, 0), after < 0
            if told:
                state = as_numbers("state", state, names, "n_states")
                after = as_numbers("next_state", after, seen, "n_states")
                names = tuple(range(told))
            else:
                state, after, names = merged(state, names, after, seen)
            after = np.where(lacking, len(names), after)
        return {"state": state, "next_state": after, "states": names, "n_states": len(names)}

    def _actions(self, column: Any, notes: list[str]) -> dict[str, Any]:
        """The actions by number, and their names."""
        told = integer("n_actions", self.n_actions, 0)
        if self.actions is not None:
            action, names = places("action", column, self.actions)
        else:
            action, names = ids("action", column, notes)
            if told:
                action = as_numbers("action", action, names, "n_actions")
                names = tuple(range(told))
        return {"action": action, "actions": names, "n_actions": told or max(2, len(names))}

    def next_name(self, row: int) -> Any:
        """The next state of a row, as the user named it."""
        number = int(self.next_state[row])
        return self.states[number] if number < len(self.states) else number

    def __len__(self) -> int:
        return self.state.size

    def __repr__(self) -> str:
        return f"Dataset({', '.join(self._facts())})"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<p><b>Dataset</b>: {escape(', '.join(self._facts()))}</p>"

    def _facts(self) -> list[str]:
        """What a person looks for."""
        facts = [f"{len(self):,} rows"]
        if self.episode is None:
            facts.append("independent")
        else:
            returns = np.add.reduceat(self.reward, self.starts)
            facts.append(
                f"{self.starts.size:,} episodes of {len(self) / self.starts.size:.1f} steps and "
                f"return {returns.mean():.4g}"
            )
        facts.append(f"{self.n_states:,} states ({listed(self.states)})")
        facts.append(f"{len(self.actions):,} actions ({listed(self.actions)})")
        facts.append(f"rewards {self.reward.min():.4g} to {self.reward.max():.4g}")
        facts.append(f"{int(self.terminated.sum()):,} ends, {int(self.truncated.sum()):,} cuts")
        return [*facts, *(["no propensities"] if self.propensity is None else [])]

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
        return Dataset(
            **taken, n_actions=self.n_actions, states=self.states, actions=self.actions,
            notes=self.notes,
        )  # fmt: skip

    def fitted(self, n_states: int, n_actions: int) -> Dataset:
        """The dataset with the numbers of whoever knows so many states and actions.

        Names that are such numbers, which count from 0, mean themselves, even where the log does
        not show all of them; as many other names are counted in order. Raises ValueError in any
        other case.
        """
        if (n_states, n_actions) == (self.n_states, self.n_actions):
            return self
        state, states = align("state", self.state, self.states, n_states)
        action, actions = align("action", self.action, self.actions, n_actions)
        after = self.next_state
        if states is not self.states:
            after = np.append(np.array(self.states, dtype=np.int64), n_states)[after]
        return dataclasses.replace(
            self, state=state, action=action, next_state=after, states=states, actions=actions,
            n_states=n_states, n_actions=n_actions,
        )  # fmt: skip

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
        refuse("step", self.step, self.step >= horizon, f"0 to {horizon - 1}, the horizon's")
        return self.step

    # --- against an exact model -----------------------------------------------------------------

    def fits(self, mdp: MDP) -> None:
        """Raise ValueError, in one line, for the first row that is impossible in ``mdp``."""
        self = self._numbered()
        n_states, n_actions, _ = mdp.succ.shape
        refuse("state", self.state, self.state >= n_states, f"0 to {n_states - 1} in the model")
        refuse(
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

    def _numbered(self) -> Dataset:
        """The dataset with names that are numbers from 0 as its numbers, as a model has them."""
        sizes = [1 + labels[-1] if are_numbers(labels, 1 + LARGEST_TABLE) else len(labels)
                 for labels in (self.states, self.actions)]  # fmt: skip
        return self.fitted(max(sizes[0], self.n_states), max(sizes[1], self.n_actions))

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
        self = self._numbered()
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
        names = as_array((*self.states, self.n_states) if self._plain_states else
                         (*self.states, None))  # fmt: skip
        columns["state"], columns["next_state"] = names[self.state], names[self.next_state]
        columns["action"] = as_array(self.actions)[self.action]
        return pandas.DataFrame({k: v for k, v in columns.items() if v is not None})

    @property
    def _plain_states(self) -> bool:
        """Whether the names of states are their numbers, or END is nowhere entered."""
        return self.states == tuple(range(self.n_states))

    def write(self, path: str | Path) -> None:
        """Write a ``.parquet`` or ``.csv`` file, which `read` gives back bit for bit."""
        path = Path(path)
        if path.suffix not in (".csv", ".parquet"):
            raise ValueError(f"{path.name}: a dataset is written as .csv or .parquet")
        frame = self.to_frame()
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path, index=False)

    @classmethod
    def of(
        cls,
        source: Any,
        n_states: int = 0,
        n_actions: int = 0,
        columns: Mapping[str, str] | None = None,
    ) -> Dataset:
        """The dataset that ``source`` is or holds: a Dataset, or whatever `data.table` reads.

        ``n_states`` and ``n_actions`` are by default what the rows show. ``columns`` gives the
        source's names of columns by ours: ``{"state": "page"}``.
        """
        if isinstance(source, Dataset):
            if columns:
                raise ValueError("columns: a Dataset has its columns already")
            return source
        wanted: dict[str, Any] = {"columns": columns, "known": COLUMNS, "required": REQUIRED}
        try:
            table = read_table(source, "dataset", **wanted)
        except ValueError as error:
            hint = f"; {NO_NEXT_STATE}" if "has no column 'next_state'" in str(error) else ""
            raise ValueError(f"{error}{hint}") from error
        with named(where_of(source)):
            given: dict[str, Any] = {name: table[name] for name in table.names}
            notes = list(table.notes)
            if table.renamed.get("terminated") == "done":
                given["terminated"] = _ended(given["terminated"], given["truncated"], notes)
            return cls(**given, n_states=n_states, n_actions=n_actions, notes=tuple(notes))

    @classmethod
    def read(
        cls,
        path: str | Path,
        n_states: int = 0,
        n_actions: int = 0,
        columns: Mapping[str, str] | None = None,
    ) -> Dataset:
        """The dataset in a file; every ValueError begins with its name. See `of`."""
        return cls.of(Path(path), n_states, n_actions, columns)

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
            The id of an environment, an environment, or a vector environment, whose observations
            and actions are finitely many: ``Discrete``, ``MultiDiscrete``, ``MultiBinary``, or
            tuples and dictionaries of these, which are numbered through; ``states`` and
            ``actions`` name them. The steps in which a vector environment resets itself are no
            transitions and are dropped. An ``action_mask`` in ``info`` is kept to: the policy is
            brought to sum 1 over the actions that it allows.
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

        Raises ValueError, in one line, for spaces that are not finite, a policy of another shape,
        an environment that fails or leaves its spaces, with the step, and unless exactly one of
        ``episodes`` and ``steps`` is positive.
        """
        from banditlab.data.collect import collect

        return cls(**collect(env, policy, episodes, steps, seed))


def _ended(done: Any, truncated: Any, notes: list[str]) -> np.ndarray:
    """What "done" says of ends, where it is set for cuts as well."""
    over, cut = numbers("terminated", done), numbers("truncated", truncated)
    both = (over == 1) & (cut == 1)
    if both.any():
        notes.append(
            f"'done' is 1 in {int(both.sum()):,} rows that were cut off: there it is read as 0"
        )
    return np.where(both, 0.0, over)
