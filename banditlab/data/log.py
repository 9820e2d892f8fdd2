"""Logs of other people's choices: read, checked, and turned into tables.

A log is a table with a row per round and the columns

============== ======================================================================
``action``     which arm was pulled, an integer from 0
``reward``     what it paid, a finite number
``context``    in which context, an integer from 0; left out when there are none
``propensity`` with which probability the arm was pulled, in (0, 1]; left out when unknown
``x_...``      features of the round, finite numbers: every column whose name begins so, in the
               order of the file; left out when there are none
============== ======================================================================

Other columns are passed over. Features are those of the round, hence shared by all arms; they are
taken as they are, so that a model with an intercept needs a column of ones.

>>> import pandas
>>> log = Log.of(pandas.DataFrame({"action": [0, 1, 1], "reward": [1.0, 0.0, 1.0]}))
>>> log.counts()
array([[1., 2.]])
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab.core import Task

if TYPE_CHECKING:
    import pandas

COLUMNS = ("action", "reward", "context", "propensity")
LARGEST = 2**53  # integers up to here are exact as float64
LARGEST_TABLE = 10**8  # cells


@dataclass(frozen=True, eq=False)
class Log:
    """Rounds of play, in order. Raises ValueError for the first value that cannot be.

    Rows are counted from 0, as in a pandas frame: row 0 of a CSV file is its second line.
    """

    action: np.ndarray  # (n,) int64
    reward: np.ndarray  # (n,) float64
    context: np.ndarray = None  # type: ignore[assignment]  # (n,) int64; None becomes all 0
    propensity: np.ndarray | None = None  # (n,) float64, or None when unknown
    x: np.ndarray | None = None  # (n, dim) float64 features, or None when there are none
    has_context: bool = field(init=False)  # whether contexts were given

    def __post_init__(self) -> None:
        action = _column("action", self.action, _is_index, "integers from 0").astype(np.int64)
        if action.size == 0:
            raise ValueError("the log is empty")
        reward = _finite("reward", self.reward)
        context = np.zeros(action.size, np.int64)
        propensity = None
        if self.context is not None:
            context = _column("context", self.context, _is_index, "integers from 0")
            context = context.astype(np.int64)
        if self.propensity is not None:
            propensity = _column(
                "propensity", self.propensity, lambda p: (p > 0) & (p <= 1), "numbers in (0, 1]"
            )
        x = None if self.x is None else _features(self.x)
        for name, values in (
            ("reward", reward),
            ("context", context),
            ("propensity", propensity),
            ("x", x),
        ):
            if values is not None and len(values) != action.size:
                raise ValueError(f"{name}: {len(values)} rows, but action has {action.size}")
        object.__setattr__(self, "has_context", self.context is not None)
        object.__setattr__(self, "action", action)
        object.__setattr__(self, "reward", reward)
        object.__setattr__(self, "context", context)
        object.__setattr__(self, "propensity", propensity)
        object.__setattr__(self, "x", x)

    def __len__(self) -> int:
        return self.action.size

    @property
    def n_arms(self) -> int:
        """One more than the largest arm logged, and at least 2."""
        return max(2, int(self.action.max()) + 1)

    @property
    def n_contexts(self) -> int:
        """One more than the largest context logged."""
        return int(self.context.max()) + 1

    @property
    def dim(self) -> int:
        """Number of features; 0 when there are none."""
        return 0 if self.x is None else self.x.shape[1]

    def fits(self, task: Task) -> None:
        """Raise ValueError, in one line, when ``task`` cannot be learned from the log.

        A log may say more than the task asks for: features where it has none, or contexts where
        it has features instead.
        """
        if task.dim > 0 and self.dim != task.dim:
            has = f"{self.dim} features" if self.dim else "no features"
            raise ValueError(f"the log has {has}, the task has dim {task.dim}")
        if task.n_contexts > 1 and not self.has_context:
            raise ValueError(f"the log has no contexts, the task has {task.n_contexts}")
        bounded = [("action", self.action, task.n_arms)]
        if task.n_contexts > 1 or task.dim == 0:
            bounded.append(("context", self.context, task.n_contexts))
        for name, values, size in bounded:
            _column(name, values, partial(np.greater, size), f"0 to {size - 1} in this task")

    def counts(self, shape: tuple[int, int] | None = None) -> np.ndarray:
        """How many rows show each pair: float64 (n_contexts, n_arms), or of ``shape``."""
        return self._table(None, shape)

    def sums(self, shape: tuple[int, int] | None = None) -> np.ndarray:
        """The sum of the rewards of each pair: float64 (n_contexts, n_arms), or of ``shape``."""
        return self._table(self.reward, shape)

    def _table(self, weights: np.ndarray | None, shape: tuple[int, int] | None) -> np.ndarray:
        n_contexts, n_arms = shape or (self.n_contexts, self.n_arms)
        if n_contexts * n_arms > LARGEST_TABLE:
            raise ValueError(
                f"{n_contexts} contexts and {n_arms} arms are too many for a table; "
                "number them without gaps from 0"
            )
        self.fits(Task(n_arms, n_contexts))
        cells = self.context * n_arms + self.action
        table = np.bincount(cells, weights, minlength=n_contexts * n_arms)
        return table.astype(np.float64).reshape(n_contexts, n_arms)

    def take(self, rows: Any) -> Log:
        """The log of these rows, given by number or by a mask."""
        context = self.context if self.has_context else None
        given = (context, self.propensity, self.x)
        others: list[Any] = [None if values is None else values[rows] for values in given]
        return Log(self.action[rows], self.reward[rows], *others)

    def to_frame(self) -> pandas.DataFrame:
        """The log as a pandas frame, features named x_0, x_1, ...; what is unknown is left out."""
        import pandas

        columns = {"context": self.context} if self.has_context else {}
        columns |= {"action": self.action, "reward": self.reward}
        if self.propensity is not None:
            columns["propensity"] = self.propensity
        for j in range(self.dim):
            columns[f"x_{j}"] = self.x[:, j]  # type: ignore[index]
        return pandas.DataFrame(columns)

    @classmethod
    def of(cls, source: Any) -> Log:
        """The log that ``source`` is or holds: a Log, a pandas frame, or the path of a file."""
        if isinstance(source, Log):
            return source
        if isinstance(source, str | Path):
            return cls.read(source)
        if not hasattr(source, "columns"):
            raise ValueError(
                f"a log is a Log, a pandas frame or a path, got {type(source).__name__}"
            )
        given = [str(name) for name in source.columns]
        for name in ("action", "reward"):
            if name not in given:
                raise ValueError(f"the log has no column {name!r}; it has {', '.join(given)}")
        for name in given:
            # A misspelt optional column would otherwise be passed over without a word.
            absent = [column for column in COLUMNS if column not in given]
            for meant in difflib.get_close_matches(name, absent, n=1, cutoff=0.8):
                raise ValueError(f"unknown column {name!r}; did you mean {meant!r}?")
        named = {name: source[name].to_numpy() for name in COLUMNS if name in given}
        x = [  # checked here, where their names are known
            _finite(name, source[column].to_numpy())
            for name, column in zip(given, source.columns, strict=True)
            if name.startswith("x_")
        ]
        return cls(**named, x=np.stack(x, axis=1) if x else None)

    @classmethod
    def read(cls, path: str | Path) -> Log:
        """The log in a ``.csv`` or ``.parquet`` file; every ValueError begins with its name."""
        path = Path(path)
        if path.suffix not in (".csv", ".parquet"):
            raise ValueError(f"{path.name}: a log ends in .csv or .parquet")
        if not path.is_file():
            raise ValueError(f"no such file: {path}")
        import pandas

        reader = pandas.read_csv if path.suffix == ".csv" else pandas.read_parquet
        try:
            frame = reader(path)
        except pandas.errors.EmptyDataError:
            raise ValueError(f"{path.name}: the log is empty") from None
        except Exception as error:  # parsers fail in many ways; all mean the same to the reader
            line = str(error).strip().split("\n")[0]
            raise ValueError(f"{path.name}: not readable as {path.suffix[1:]}: {line}") from error
        try:
            return cls.of(frame)
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from None


def _is_index(values: np.ndarray) -> np.ndarray:
    return (values >= 0) & (values < LARGEST) & (values == np.floor(values))


def _column(
    name: str, values: Any, allowed: Callable[[np.ndarray], np.ndarray], description: str
) -> np.ndarray:
    """A fresh float64 copy of ``values``, or the first row that is not ``allowed``."""
    values = np.asarray(values)
    if values.ndim != 1:
        raise ValueError(f"{name} must have one number per row, got shape {values.shape}")
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError):  # text, or None
        numbers = np.array([_number(value) for value in values])
    wrong = np.flatnonzero(~allowed(numbers))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(f"{name}: row {row} has {values[row]!s}; allowed are {description}")
    return numbers


def _features(x: Any) -> np.ndarray:
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"x must have shape (rows, dim) with dim >= 1, got {x.shape}")
    return np.stack([_finite(f"x_{j}", column) for j, column in enumerate(x.T)], axis=1)


def _finite(name: str, values: Any) -> np.ndarray:
    return _column(name, values, np.isfinite, "finite numbers")


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return np.nan
