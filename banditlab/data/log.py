"""Logs of other people's choices: read, checked, and turned into tables.

A log is a table with a row per round and the columns

============== ======================================================================
``action``     which arm was pulled: its name, a text or any integer
``reward``     what it paid, a finite number
``context``    in which context, by name; left out when there are none
``propensity`` with which probability the arm was pulled, in (0, 1]; left out when unknown
``x_...``      features of the round, finite numbers: every column whose name begins so, in the
               order of the file; left out when there are none
============== ======================================================================

Other columns are passed over. Features are those of the round, hence shared by all arms; they are
taken as they are, so that a model with an intercept needs a column of ones.

Arms and contexts are named as the user names them, and numbered inside: ``log.action`` holds places
in ``log.actions``, the sorted names. Names that are 0, 1, ..., n - 1 are their own numbers.

>>> log = Log.of({"action": ["red", "blue", "blue"], "reward": [1.0, 0.0, 1.0]})
>>> log.actions, log.action
(('blue', 'red'), array([1, 0, 0]))
>>> log.counts()
array([[2., 1.]])
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab.core import Task
from banditlab.data.names import align, as_array, listed, places
from banditlab.data.table import named, plain, read_table, where_of
from banditlab.data.values import ids, numbers

if TYPE_CHECKING:
    import pandas

COLUMNS = ("action", "reward", "context", "propensity")
LARGEST_TABLE = 10**8  # cells
SHOWN = 10  # arms in a notebook


@dataclass(frozen=True, eq=False, repr=False)
class Log:
    """Rounds of play, in order. Raises ValueError for the first value that cannot be.

    Rows are counted from 0, as in a pandas frame: row 0 of a CSV file is its second line.
    ``action`` and ``context`` may be given as names, which become numbers, or as the numbers of
    the names that ``actions`` and ``contexts`` give.
    """

    action: np.ndarray  # (n,) int64: place in actions
    reward: np.ndarray  # (n,) float64
    context: np.ndarray = None  # type: ignore[assignment]  # (n,) int64: place in contexts, or 0
    propensity: np.ndarray | None = None  # (n,) float64, or None when unknown
    x: np.ndarray | None = None  # (n, dim) float64 features, or None when there are none
    actions: tuple[Any, ...] = None  # type: ignore[assignment]  # names of the arms, sorted
    contexts: tuple[Any, ...] = None  # type: ignore[assignment]  # names of the contexts, sorted
    notes: tuple[str, ...] = ()  # what to know of how it was read
    has_context: bool = field(init=False)  # whether contexts were given

    def __post_init__(self) -> None:
        notes: list[str] = list(self.notes)
        action, actions = _named("action", self.action, self.actions, notes)
        if action.size == 0:
            raise ValueError("the log is empty")
        reward = numbers("reward", plain("reward", self.reward), notes=notes)
        context, contexts = np.zeros(action.size, np.int64), (0,)
        propensity = None
        if self.context is not None:
            context, contexts = _named("context", self.context, self.contexts, notes)
        if self.propensity is not None:
            propensity = numbers(
                "propensity", plain("propensity", self.propensity),
                lambda p: (p > 0) & (p <= 1), "numbers in (0, 1]", notes,
            )  # fmt: skip
        x = None if self.x is None else _features(self.x)
        for name, values in (
            ("reward", reward),
            ("context", context),
            ("propensity", propensity),
            ("x", x),
        ):
            if values is not None and len(values) != action.size:
                raise ValueError(f"{name}: {len(values)} rows, but action has {action.size}")
        made = {"action": action, "reward": reward, "context": context, "propensity": propensity,
                "x": x, "actions": actions, "contexts": contexts, "notes": tuple(notes),
                "has_context": self.context is not None}  # fmt: skip
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return self.action.size

    def __repr__(self) -> str:
        return f"Log({', '.join(self._facts())})"

    def _repr_html_(self) -> str:
        from html import escape

        counts = np.bincount(self.action, minlength=len(self.actions))
        sums = np.bincount(self.action, self.reward, minlength=len(self.actions))
        most = np.argsort(-counts, kind="stable")[:SHOWN]
        rows = "".join(
            f"<tr><td>{escape(str(self.actions[k]))}</td><td>{counts[k]:,}</td>"
            f"<td>{sums[k] / max(counts[k], 1):.4g}</td></tr>"
            for k in most
        )
        more = f"<p>and {len(counts) - SHOWN:,} more arms</p>" if len(counts) > SHOWN else ""
        return (
            f"<p><b>Log</b>: {escape(', '.join(self._facts()))}</p><table><tr><th>arm</th>"
            f"<th>rows</th><th>mean reward</th></tr>{rows}</table>{more}"
        )

    def _facts(self) -> list[str]:
        """What a person looks for."""
        facts = [f"{len(self):,} rows", f"{len(self.actions):,} arms ({listed(self.actions)})"]
        if self.has_context:
            facts.append(f"{len(self.contexts):,} contexts")
        if self.dim:
            facts.append(f"{self.dim} features")
        facts.append(f"rewards {self.reward.min():.4g} to {self.reward.max():.4g}")
        facts.append(f"mean {self.reward.mean():.4g}")
        if self.propensity is None:
            return [*facts, "no propensities"]
        return [*facts, f"propensities {self.propensity.min():.3g} to {self.propensity.max():.3g}"]

    @property
    def n_arms(self) -> int:
        """How many arms are named, and at least 2."""
        return max(2, len(self.actions))

    @property
    def n_contexts(self) -> int:
        """How many contexts are named; 1 when there are none."""
        return len(self.contexts)

    @property
    def dim(self) -> int:
        """Number of features; 0 when there are none."""
        return 0 if self.x is None else self.x.shape[1]

    def fits(self, task: Task) -> None:
        """Raise ValueError, in one line, when ``task`` cannot be learned from the log.

        A log may say more than the task asks for: features where it has none, or contexts where
        it has features instead.
        """
        self.fitted(task)

    def fitted(self, task: Task) -> Log:
        """The log with the task's numbers of arms and contexts; ValueError as of `fits`.

        Names that are numbers of the task, which count from 0, are these numbers, even where the
        log does not show all of them; as many other names as the task has are counted in order.
        """
        if task.dim > 0 and self.dim != task.dim:
            has = f"{self.dim} features" if self.dim else "no features"
            raise ValueError(f"the log has {has}, the task has dim {task.dim}")
        if task.n_contexts > 1 and not self.has_context:
            raise ValueError(f"the log has no contexts, the task has {task.n_contexts}")
        given: dict[str, Any] = {"action": align("action", self.action, self.actions, task.n_arms)}
        given["actions"] = given["action"][1]
        if task.n_contexts > 1 or task.dim == 0:
            given["context"] = align("context", self.context, self.contexts, task.n_contexts)
            given["contexts"] = given["context"][1]
        if all(given[name] is getattr(self, name) for name in ("actions", "contexts")
               if name in given):  # fmt: skip
            return self
        given |= {name: given[name][0] for name in ("action", "context") if name in given}
        if not self.has_context:
            given |= {"context": None, "contexts": None}
        return dataclasses.replace(self, **given)

    def counts(self, shape: tuple[int, int] | None = None) -> np.ndarray:
        """How many rows show each pair: float64 (n_contexts, n_arms), or of ``shape``."""
        return self._table(False, shape)

    def sums(self, shape: tuple[int, int] | None = None) -> np.ndarray:
        """The sum of the rewards of each pair: float64 (n_contexts, n_arms), or of ``shape``."""
        return self._table(True, shape)

    def _table(self, weighted: bool, shape: tuple[int, int] | None) -> np.ndarray:
        n_contexts, n_arms = shape or (self.n_contexts, self.n_arms)
        if n_contexts * n_arms > LARGEST_TABLE:
            raise ValueError(f"{n_contexts} contexts and {n_arms} arms are too many for a table")
        log = self if shape is None else self.fitted(Task(n_arms, n_contexts))
        cells = log.context * n_arms + log.action
        weights = log.reward if weighted else np.ones(len(log))
        table = np.bincount(cells, weights, minlength=n_contexts * n_arms)
        return table.reshape(n_contexts, n_arms)

    def take(self, rows: Any) -> Log:
        """The log of these rows, given by number or by a mask; names and numbers stay."""
        columns = ("action", "reward", "context", "propensity", "x")
        given: dict[str, Any] = {name: getattr(self, name) for name in columns}
        if not self.has_context:
            given["context"] = None
        taken: dict[str, Any] = {name: v if v is None else v[rows] for name, v in given.items()}
        contexts: Any = self.contexts if self.has_context else None
        return Log(**taken, actions=self.actions, contexts=contexts, notes=self.notes)

    def to_frame(self) -> pandas.DataFrame:
        """The log as a pandas frame, features named x_0, x_1, ...; what is unknown is left out."""
        import pandas

        columns = {"context": as_array(self.contexts)[self.context]} if self.has_context else {}
        columns |= {"action": as_array(self.actions)[self.action], "reward": self.reward}
        if self.propensity is not None:
            columns["propensity"] = self.propensity
        for j in range(self.dim):
            columns[f"x_{j}"] = self.x[:, j]  # type: ignore[index]
        return pandas.DataFrame(columns)

    @classmethod
    def of(cls, source: Any, columns: Mapping[str, str] | None = None) -> Log:
        """The log that ``source`` is or holds: a Log, or whatever `data.table` reads.

        ``columns`` gives the source's names of columns by ours: ``{"action": "article"}``.
        """
        if isinstance(source, Log):
            if columns:
                raise ValueError("columns: a Log has its columns already")
            return source
        table = read_table(
            source, "log", columns=columns, known=COLUMNS, required=("action", "reward"),
            prefix="x_",
        )  # fmt: skip
        with named(where_of(source)):
            given: dict[str, Any] = {name: table[name] for name in COLUMNS if name in table}
            notes = list(table.notes)
            x = [  # checked here, where their names are known
                numbers(name, table[name], notes=notes)
                for name in table.names
                if name not in COLUMNS
            ]
            given["x"] = np.stack(x, axis=1) if x else None
            return cls(**given, notes=tuple(notes))

    @classmethod
    def read(cls, path: str | Path, columns: Mapping[str, str] | None = None) -> Log:
        """The log in a file; every ValueError begins with its name. See `data.table`."""
        return cls.of(Path(path), columns)


def _named(
    name: str, values: Any, labels: tuple[Any, ...] | None, notes: list[str]
) -> tuple[np.ndarray, tuple[Any, ...]]:
    column = plain(name, values)
    return ids(name, column, notes) if labels is None else places(name, column, labels)


def _features(x: Any) -> np.ndarray:
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"x must have shape (rows, dim) with dim >= 1, got {x.shape}")
    return np.stack([numbers(f"x_{j}", column) for j, column in enumerate(x.T)], axis=1)
