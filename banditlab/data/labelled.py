"""Tables of features and labels: what a classifier learns from, and a bandit can be played on.

:meth:`Labelled.of` makes numbers of a table as it comes, and says in ``notes`` what it did:

- a column of numbers is a feature; where it holds nothing it takes the column's mean, and a further
  feature, 1 in those rows and else 0, says so;
- a column of texts or truth values becomes a feature per level, 1 or 0; levels that fewer than 1 %
  of the rows (or fewer than 5 of them) show, and those after the 20 most frequent, are pooled, and
  to hold nothing is a level too;
- a date is its number of days since the first one;
- a column without a value, with one value only, of row numbers, or of a text that is different in
  nearly every row, says nothing about rows to come, and is left out;
- a column that tells the label by itself is kept and named: whoever decides may not know it yet.

Rows without a label are left out. Labels are names (:func:`banditlab.data.values.ids`).

>>> table = {"size": [1.0, 2.0, None, 4.0], "colour": ["red", "blue", "red", "blue"],
...          "label": ["no", "yes", "no", "yes"]}
>>> data = Labelled.of(table)
>>> data.labels, data.y, data.features
(('no', 'yes'), array([0, 1, 0, 1]), ('size', 'size is missing', 'colour = blue', 'colour = red'))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from banditlab.data.columns import NAMELESS
from banditlab.data.table import column_names, named, plain, read_table, where_of
from banditlab.data.values import SHOWN, blank, cell, ids, parsed
from banditlab.validate import choice, shown

MISSING = ("refuse", "minus_one")  # what becomes of a nan in a matrix
LEVELS = 20  # of a column of texts that get a feature each
RARE = 0.01  # share of the rows below which a level is pooled
FEW = 5  # and number of rows
DIFFERENT = 0.9  # share of different texts from which on a column is one of names
TOLD = 50  # rows from which on a column that tells the label is no accident
ODD = 0.1  # share of cells that are no numbers, up to which a column is still one of numbers
ODD_TEXTS = 3  # and how many different ones these may be
MOST_LABELS = 1000
LARGEST = 1e100  # size of a feature: squares of larger ones are no numbers
CELLS = 2 * 10**8


@dataclass(frozen=True, eq=False)
class Labelled:
    """Features and labels of rows. Raises ValueError, in one line, for what cannot be learned."""

    x: np.ndarray  # (n, d) float64, finite
    y: np.ndarray  # (n,) int64: place in labels
    labels: tuple[Any, ...]  # names of the classes, sorted; at least 2
    features: tuple[str, ...] = ()  # (d,)
    where: str = ""  # name of the file or set
    notes: tuple[str, ...] = ()  # what to know of how it was read

    def __len__(self) -> int:
        return self.y.size

    def __repr__(self) -> str:
        n, d = self.x.shape
        return f"Labelled({n:,} rows, {d} features, {len(self.labels)} labels)"

    @classmethod
    def of(
        cls,
        source: Any,
        label: str = "label",
        missing: str = "refuse",
        columns: Mapping[str, str] | None = None,
    ) -> Labelled:
        """The rows of ``source``.

        Parameters
        ----------
        source
            A path, a frame or another table (:mod:`banditlab.data.table`); a :class:`Labelled`; or
            a mapping whose ``x`` is a matrix (n, d), the features as they are.
        label
            Name of the column of labels.
        missing
            What becomes of a nan in a matrix ``x``: "refuse", or "minus_one", the usual -1.
        columns
            Their names by ours, ``{"label": "species"}``; the same as ``label="species"``.
        """
        if isinstance(source, Labelled):
            return source
        choice("missing", missing, MISSING)
        if columns is not None and not isinstance(columns, Mapping):
            raise ValueError(
                f'columns must be a mapping such as {{"label": "species"}}, got {shown(columns)}'
            )
        label = dict(columns or {}).get("label", label)
        if not isinstance(label, str) or not label:
            raise ValueError(f"label must be the name of a column, got {shown(label)}")
        if isinstance(source, Mapping) and _is_matrix(source.get("x", 0)):
            return _of_arrays(source, label, missing)
        return _of_table(source, label)


def _is_matrix(x: Any) -> bool:
    try:
        return np.ndim(x) == 2
    except ValueError:
        raise ValueError("x must be a matrix: its rows have different lengths") from None


def _of_arrays(source: Mapping[str, Any], label: str, missing: str) -> Labelled:
    if set(source) != {"x", label}:
        raise ValueError(f"the data must hold x and {label}, got {', '.join(map(str, source))}")
    try:
        if np.iscomplexobj(source["x"]):
            raise TypeError
        x = np.array(source["x"], dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError("x must be a matrix of numbers, a row per label") from None
    y, labels = ids(label, plain(label, source[label]))
    notes = []
    empty = np.isnan(x)
    if missing == "minus_one" and empty.any():
        x[empty] = -1.0
        notes.append(f"{int(empty.sum()):,} cells of x held nothing and are -1")
    return _checked(x, y, labels, tuple(f"x_{j}" for j in range(x.shape[1])), "", notes)


def _checked(
    x: np.ndarray, y: np.ndarray, labels: tuple[Any, ...], features: tuple[str, ...], where: str,
    notes: list[str],
) -> Labelled:  # fmt: skip
    if len(x) != len(y):
        raise ValueError(f"x: {len(x)} rows, but there are {len(y)} labels")
    if not len(x):
        raise ValueError("the data are empty")
    if not x.shape[1]:
        raise ValueError("no column says anything about the label: no feature is left")
    if len(labels) < 2:
        raise ValueError(f"there must be at least 2 labels, all rows have {shown(labels[0])}")
    if len(labels) > MOST_LABELS or (len(labels) > 10 and 5 * len(labels) > len(y)):
        raise ValueError(
            f"{len(labels):,} different labels in {len(y):,} rows are too many: a label is a "
            "class, not a quantity"
        )
    for row, j in np.argwhere(~(np.abs(x) <= LARGEST))[:1]:
        raise ValueError(
            f"{features[j]}: row {row} has {x[row, j]:g}; allowed are finite numbers up to "
            f"{LARGEST:g}"
        )
    rare = int((np.bincount(y) < 2).sum())
    if rare:
        notes.append(f"{rare} of {len(labels)} labels are those of a single row")
    return Labelled(np.ascontiguousarray(x), y, labels, features, where, tuple(notes))


# --- a table of all kinds of columns --------------------------------------------------------------


def _of_table(source: Any, label: str) -> Labelled:
    where = where_of(source)
    names = column_names(source, "table of labels")
    table = read_table(source, "table of labels", known=(*names, label), required=(label,))
    with named(where):
        notes = list(table.notes)
        lacking = blank(table[label])
        rows = np.flatnonzero(~lacking)
        if not rows.size:
            raise ValueError("the table is empty" if not table.rows else f"{label} is empty")
        if lacking.any():
            notes.append(f"{_rows(lacking)} without a label {_are(lacking)} left out")
        y, labels = ids(label, _taken(table[label], rows), notes)
        if len(labels) > MOST_LABELS:
            raise ValueError(f"{label}: {len(labels):,} different labels are too many for classes")
        parts: list[np.ndarray] = []
        features: list[str] = []
        for name in table.names:
            if name == label or NAMELESS.fullmatch(name):
                continue
            made = _column(name, _taken(table[name], rows), notes)
            if made is None:
                continue
            _leak(name, made, y, len(labels), notes)
            parts += [column for _, column in made]
            features += [title for title, _ in made]
            if len(parts) * rows.size > CELLS:
                raise ValueError(f"more than {CELLS:,} cells: leave columns out")
        x = np.stack(parts, axis=1) if parts else np.empty((rows.size, 0))
        return _checked(x, y, labels, tuple(features), where, notes)


Made = list[tuple[str, np.ndarray]]  # features by name


def _column(name: str, column: Any, notes: list[str]) -> Made | None:
    """The features that a column becomes; None where it says nothing."""
    if isinstance(column, np.ndarray) and column.ndim != 1:
        raise ValueError(f"{name} must have one value per row, got shape {column.shape}")
    try:
        empty = blank(column)
    except ValueError as error:
        raise ValueError(str(error).replace("a column", name, 1)) from None
    kept = np.flatnonzero(~empty)
    if not kept.size:
        notes.append(f"column {name!r} is empty and left out")
        return None
    days = _days(_taken(column, kept))
    if days is not None:
        values = np.full(empty.size, np.nan)
        values[kept] = days
        notes.append(f"column {name!r} holds dates, read as days since the first")
    else:
        found, odd = _numbers(name, column, empty)
        if found is None:
            return _levels(name, column, empty, notes)
        values = found
        if odd:
            empty = np.isnan(values)
            notes.append(f"column {name!r}: {odd} is read as nothing")
    seen = values[~empty]
    if np.isinf(seen).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise ValueError(f"{name}: row {row} has {cell(column, row)}; allowed are finite numbers")
    if (np.abs(seen) > LARGEST).any():
        row = int(np.flatnonzero(np.abs(values) > LARGEST)[0])
        raise ValueError(
            f"{name}: row {row} has {cell(column, row)}; allowed are numbers up to {LARGEST:g}"
        )
    if days is None and _counts_rows(values):
        notes.append(f"column {name!r} counts the rows and is left out")
        return None
    made = []
    if seen.min() < seen.max():
        made.append((name, np.where(empty, seen.mean(), values)))
    if empty.any():
        notes.append(f"column {name!r} holds nothing in {_rows(empty)}: it is told by a feature")
        made.append((f"{name} is missing", empty.astype(np.float64)))
    elif not made:
        notes.append(f"column {name!r} is {seen[0] + 0.0:g} throughout and left out")
    return made or None


def _numbers(name: str, column: Any, empty: np.ndarray) -> tuple[np.ndarray | None, str]:
    """The column as numbers, nan where empty, and the texts that then count as nothing.

    None for a column of texts or truth values.
    """
    if getattr(getattr(column, "dtype", None), "kind", "") == "b" or _type(column) == "bool":
        return None, ""
    try:
        values = parsed(name, column)
    except ValueError as error:
        if "thousands or decimals" in str(error) or "allowed are numbers" in str(error):
            raise
        return None, ""
    odd = np.flatnonzero(np.isnan(values) & ~empty)
    if not odd.size:
        return (None, "") if _truths(column) else (values, "")
    texts = sorted({cell(column, int(row)) for row in odd[: 10 * ODD_TEXTS]})
    if odd.size > ODD * (~empty).sum() or len(texts) > ODD_TEXTS:
        return None, ""
    return values, ", ".join(repr(text) for text in texts) + f" in {odd.size:,} rows"


def _type(column: Any) -> str:
    return str(getattr(column, "type", ""))


def _truths(column: Any) -> bool:
    """Whether the cells are the words true and false, which `parsed` makes numbers of."""
    first = column[0]
    first = first.as_py() if hasattr(first, "as_py") else first
    return isinstance(first, str) and first.strip().lower() in ("true", "false")


def _days(column: Any) -> np.ndarray | None:
    """Days since the earliest of dates; None for what is none."""
    import pyarrow as pa

    array = column
    if isinstance(column, np.ndarray):
        if column.dtype.kind not in "MOUT":
            return None
        try:
            array = pa.array(column, from_pandas=True)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            return None
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        text = array[0].as_py() or ""
        if len(text) < 10 or text[4:5] != "-" or not text[:4].isdigit():
            return None
        try:
            array = array.cast(pa.timestamp("us"))
        except pa.ArrowInvalid:
            return None
    if not (pa.types.is_date(array.type) or pa.types.is_timestamp(array.type)):
        return None
    moments = np.asarray(array.to_numpy(zero_copy_only=False)).astype("datetime64[us]")
    return (moments - moments.min()) / np.timedelta64(1, "D")


def _levels(name: str, column: Any, empty: np.ndarray, notes: list[str]) -> Made | None:
    """A feature per level of a column of texts."""
    codes, labels = ids(name, column, may_lack=empty)
    counts = np.bincount(codes[codes >= 0], minlength=len(labels))
    if len(labels) > LEVELS and len(labels) >= DIFFERENT * (~empty).sum():
        notes.append(
            f"column {name!r} is different in nearly every row: as a name it says nothing about "
            "rows to come, and is left out"
        )
        return None
    if len(labels) == 1 and not empty.any():
        notes.append(f"column {name!r} is {shown(labels[0])} throughout and left out")
        return None
    least = max(FEW, RARE * codes.size) if len(labels) > 2 else 1
    order = np.argsort(-counts, kind="stable")
    own = sorted(k for k in order[:LEVELS] if counts[k] >= least)
    made = [(f"{name} = {str(labels[k])[:SHOWN]}", (codes == k).astype(np.float64)) for k in own]
    pooled = len(labels) - len(own)
    if not own and not empty.any():
        notes.append(f"column {name!r} has rare levels only and is left out")
        return None
    if pooled:
        other = (codes >= 0) & ~np.isin(codes, own)
        made.append((f"{name} = any other", other.astype(np.float64)))
        notes.append(f"column {name!r}: {pooled:,} rare levels of {len(labels):,} are pooled")
    if empty.any():
        made.append((f"{name} is missing", empty.astype(np.float64)))
        notes.append(f"column {name!r} holds nothing in {_rows(empty)}: it is a level of its own")
    return made


def _counts_rows(values: np.ndarray) -> bool:
    """Whether the values are n, n + 1, n + 2, ..."""
    return bool(values.size > 10 and (np.diff(values) == 1.0).all())


def _leak(name: str, made: Made, y: np.ndarray, n_labels: int, notes: list[str]) -> None:
    """Note a column that tells the label by itself."""
    rows = np.stack([column for _, column in made], axis=1)
    kinds, code = np.unique(rows, axis=0, return_inverse=True)
    if len(y) < TOLD or len(kinds) > max(2 * n_labels, LEVELS + 2):
        return
    table = np.zeros((len(kinds), n_labels))
    np.add.at(table, (code.reshape(-1), y), 1.0)
    if table.max(axis=1).sum() == len(y):
        notes.append(
            f"column {name!r} alone tells the label in every row: leave it out unless it is known "
            "before the choice is made"
        )


def _taken(column: Any, rows: np.ndarray) -> Any:
    return column[rows] if isinstance(column, np.ndarray) else column.take(rows)


def _rows(which: np.ndarray) -> str:
    n = int(which.sum())
    return f"{n:,} row{'' if n == 1 else 's'}"


def _are(which: np.ndarray) -> str:
    return "is" if which.sum() == 1 else "are"
