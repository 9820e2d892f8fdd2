"""What the cells of a column mean: numbers, or names.

A column is an array of NumPy, of any type, or an array of Arrow; :mod:`banditlab.data.table` gives
either. Names ("ids") are integers of any size or texts: of actions, contexts, states, episodes,
persons. Inside they become the numbers from 0 of their labels, which are sorted, integers by
size and texts letter by letter.

>>> ids("action", np.array([42, 3, 42]))
(array([1, 0, 1]), (3, 42))
>>> numbers("reward", np.array(["0,5", "1"], dtype=object))
array([0.5, 1. ])
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from banditlab.data.columns import NUMBER

LARGEST = 2**53  # integers up to here are exact as float64
MISSING = ("", "nan", "null", "<na>", "nat", "n/a", "#n/a")  # texts, in small letters
FLAGS = ("true", "false")
INTEGER = re.compile(r"-?(0|[1-9]\d*)(\.0*)?")
PADDED = re.compile(r"[+-]?0\d+|\+\d+")
DECIMAL_COMMA = r"^[+-]?\d*,\d+([eE][+-]?\d+)?$"
THOUSANDS = r"^[+-]?[1-9]\d{0,2}(,\d{3})+$"
PLAIN = (str, int, float, np.integer, np.floating, np.bool_, decimal.Decimal)
SHOWN = 60  # letters of a cell in a message


# --- numbers ------------------------------------------------------------------------------------


def numbers(
    name: str,
    column: Any,
    allowed: Callable[[np.ndarray], np.ndarray] = np.isfinite,
    description: str = "finite numbers",
    notes: list[str] | None = None,
) -> np.ndarray:
    """The column as a fresh float64 array.

    Raises ValueError for the first row that is not ``allowed``, with the cell as it was written,
    and for dates, durations and lists. Text may hold numbers, with decimal commas too (which is
    then said in ``notes``), or "true" and "false", which are 1 and 0.
    """
    found = parsed(name, column, notes)
    wrong = np.flatnonzero(~allowed(found))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(f"{name}: row {row} has {cell(column, row)}; allowed are {description}")
    return found


def parsed(name: str, column: Any, notes: list[str] | None = None) -> np.ndarray:
    """The column as a fresh float64 array, nan where there is nothing or no number.

    Raises ValueError for what holds no numbers at all, such as dates.
    """
    if isinstance(column, np.ndarray):
        if column.ndim != 1:
            raise ValueError(f"{name} must have one number per row, got shape {column.shape}")
        if column.dtype.kind in "fiub":
            return column.astype(np.float64)
    array = _arrow(column, name)
    import pyarrow as pa

    types, kind = pa.types, array.type
    if types.is_dictionary(kind):
        if not _is_text(kind.value_type):
            return parsed(name, array.dictionary_decode(), notes)
        values, codes = _text_numbers(name, array.dictionary, notes), array.indices
        places = codes.fill_null(0).to_numpy(zero_copy_only=False)
        values = values if values.size else np.full(1, np.nan)
        return np.where(_absent(codes), np.nan, values[places])
    if types.is_null(kind):
        return np.full(len(array), np.nan)
    if _is_text(kind):
        return _text_numbers(name, array, notes)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or (
        types.is_decimal(kind)
    ):  # fmt: skip
        if types.is_boolean(kind):
            array = array.cast(pa.uint8())
        return np.array(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))
    _refuse_type(name, array, "numbers")
    raise AssertionError


def blank(column: Any, words: Sequence[str] = (*MISSING, "na")) -> np.ndarray:
    """Where the column holds nothing: no value, nan, or one of ``words``, which say so."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "iubf":
        return np.isnan(column) if column.dtype.kind == "f" else np.zeros(column.shape, np.bool_)
    array = _arrow(column)
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        if len(array.dictionary) == 0:
            return np.ones(len(array), np.bool_)
        empty, codes = blank(array.dictionary, words), array.indices.fill_null(0)
        return _absent(array) | empty[codes.to_numpy(zero_copy_only=False)]
    empty = _absent(array)
    if _is_text(array.type):
        text = pc.utf8_lower(pc.utf8_trim_whitespace(array))
        return empty | np.asarray(pc.is_in(text, value_set=pa.array(words, text.type)))
    if pa.types.is_floating(array.type):
        return empty | np.asarray(pc.is_nan(array).fill_null(True))
    return empty


def cell(column: Any, row: int) -> str:
    """A cell as it was written, for messages: short, in one line, and "nothing" for none."""
    value = column[row]
    if hasattr(value, "as_py"):
        value = value.as_py()
    if value is None or (isinstance(value, str) and not value.strip()):
        return "nothing"
    text = " ".join(str(value).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _text_numbers(name: str, array: Any, notes: list[str] | None) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    def cast(text: Any) -> np.ndarray:
        return np.array(text.cast(pa.float64()).to_numpy(zero_copy_only=False))

    try:
        return cast(array)
    except pa.ArrowInvalid:
        pass
    text = pc.utf8_trim_whitespace(array)
    lower = pc.utf8_lower(text)
    empty = np.asarray(pc.is_in(lower, value_set=pa.array([*MISSING, "na"], lower.type)))
    text = pc.if_else(pa.array(empty), pa.scalar(None, text.type), text)
    if text.null_count < len(text) and pc.all(pc.is_in(lower, pa.array(FLAGS, lower.type))).as_py():
        return np.asarray(pc.equal(lower, "true")).astype(np.float64)
    commas = pc.match_substring_regex(text, DECIMAL_COMMA)
    if pc.any(commas).as_py():
        if not pc.any(pc.match_substring(text, ".")).as_py():
            if pc.all(pc.or_(pc.invert(commas), pc.match_substring_regex(text, THOUSANDS))).as_py():
                row = int(np.flatnonzero(np.asarray(commas.fill_null(False)))[0])
                raise ValueError(
                    f"{name}: row {row} has {cell(array, row)}: thousands or decimals? "
                    "write a decimal point, and nothing between thousands"
                )
            text = pc.if_else(commas, pc.replace_substring(text, ",", "."), text)
            if notes is not None:
                notes.append(f"column {name!r} has decimal commas, read as decimal points")
    try:
        return cast(text)
    except pa.ArrowInvalid:
        good = pc.match_substring_regex(text, rf"^({NUMBER.pattern}|[+-]?inf(inity)?)$")
        return cast(pc.if_else(good, text, pa.scalar(None, text.type)))


# --- names --------------------------------------------------------------------------------------


def ids(
    name: str, column: Any, notes: list[str] | None = None, may_lack: np.ndarray | None = None
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """The column as (codes, labels): ``labels[codes]`` is what it says, labels are sorted.

    ``codes`` is int64 (n,), ``labels`` a tuple of int or of str. Numbers are integers of any size;
    texts that all are integers, as in every CSV file, are integers too ("007" is none). Texts that
    mix both are texts, which is said in ``notes``. Blanks around a text are no part of it.

    ``may_lack`` (n,) bool marks the rows that may hold nothing; their code is -1.

    Raises ValueError for the first other row that holds nothing, a fraction, or what is no name.
    """
    if isinstance(column, np.ndarray) and column.ndim != 1:
        raise ValueError(f"{name} must have one value per row, got shape {column.shape}")
    column = _encoded(name, column)
    lacking = blank(column, MISSING)  # "NA" is a country
    wrong = np.flatnonzero(lacking if may_lack is None else lacking & ~may_lack)
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(
            f"{name}: row {row} has {cell(column, row)}; allowed are integers and texts"
        )
    if lacking.any():
        kept = np.flatnonzero(~lacking)
        codes = np.full(len(column), -1)
        if not kept.size:
            return codes, ()
        codes[kept], labels = ids(name, _taken(column, kept), notes)
        return codes, labels
    if isinstance(column, np.ndarray) and column.dtype.kind in "iub":
        return _integers(column.astype(np.uint8) if column.dtype.kind == "b" else column)
    if isinstance(column, np.ndarray):
        return _integers(_whole(name, column))
    return _arrow_ids(name, column, notes)


def _encoded(name: str, column: Any) -> Any:
    """Text as a dictionary of Arrow: each name is looked at once."""
    if isinstance(column, np.ndarray) and column.dtype.kind in "iubf":
        return column
    array = _arrow(column, name)
    if not _is_text(array.type):
        return array
    encoded = array.dictionary_encode()
    # Frames that were put together hold their columns in chunks.
    return encoded.combine_chunks() if hasattr(encoded, "combine_chunks") else encoded


def _taken(column: Any, rows: np.ndarray) -> Any:
    return column[rows] if isinstance(column, np.ndarray) else column.take(rows)


def _whole(name: str, column: np.ndarray) -> np.ndarray:
    good = (np.abs(column) < LARGEST) & (column == np.floor(column))
    for row in np.flatnonzero(~good)[:1]:
        raise ValueError(f"{name}: row {row} has {column[row]!s}; allowed are integers and texts")
    return column.astype(np.int64)


def _integers(column: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    if column.size and 0 <= column.min() and column.max() < max(1024, 2 * column.size):
        present = np.bincount(column) > 0
        labels = np.flatnonzero(present)
        codes = (np.cumsum(present) - 1)[column]
    else:
        labels, codes = np.unique(column, return_inverse=True)
    return codes.astype(np.int64).reshape(-1), tuple(labels.tolist())


def _arrow_ids(name: str, array: Any, notes: list[str] | None) -> tuple[np.ndarray, tuple]:
    import pyarrow as pa

    types, kind = pa.types, array.type
    if types.is_dictionary(kind):
        if not _is_text(kind.value_type):
            return ids(name, array.dictionary_decode(), notes)
    elif types.is_boolean(kind):
        array = array.cast(pa.uint8())
    elif types.is_date(kind) or types.is_timestamp(kind) or types.is_time(kind):
        array = array.cast(pa.string())
    if types.is_integer(array.type) or types.is_floating(array.type):
        return ids(name, array.to_numpy(zero_copy_only=False), notes)
    if types.is_decimal(kind):
        array = array.cast(pa.string())
    if not types.is_dictionary(array.type):
        if not _is_text(array.type):
            _refuse_type(name, array, "integers and texts")
        array = array.dictionary_encode()
    codes = array.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    texts = [text.strip() for text in array.dictionary.to_pylist()]
    labels = _labels(name, texts, codes, notes)
    order = sorted(set(labels))
    place = {label: k for k, label in enumerate(order)}
    found = np.array([place[label] for label in labels], dtype=np.int64)[codes]
    # A dictionary may hold more than is there.
    used, kept = np.unique(found, return_inverse=True)
    return kept.reshape(-1).astype(np.int64), tuple(order[k] for k in used)


def _labels(
    name: str, texts: Sequence[str], codes: np.ndarray, notes: list[str] | None
) -> list[Any]:
    """The labels that the texts are: integers if all are."""
    whole = [bool(INTEGER.fullmatch(text)) for text in texts]
    if all(whole):
        return [int(text.split(".")[0]) for text in texts]

    def row(k: int) -> int:
        return int(np.flatnonzero(codes == k)[0])

    for k, text in enumerate(texts):
        if "\n" in text or "\r" in text:
            raise ValueError(f"{name}: row {row(k)} has a name of several lines: is a quote open?")
    if all(NUMBER.fullmatch(text) for text in texts):
        for k, text in enumerate(texts):
            if not whole[k] and not PADDED.fullmatch(text):
                raise ValueError(
                    f"{name}: row {row(k)} has {text[:SHOWN]}; allowed are integers and texts"
                )
    if notes is not None and any(whole) and 2 * sum(whole) > len(whole):
        k = whole.index(False)
        notes.append(
            f"{name}: row {row(k)} has {texts[k][:SHOWN]!r}, no integer, so all are read as texts"
        )
    return list(texts)


# --- types --------------------------------------------------------------------------------------


def _arrow(column: Any, name: str = "a column") -> Any:
    """The column as an array of Arrow, mixed types as text.

    Raises ValueError for the first row that holds something else than a number or a text.
    """
    import pyarrow as pa

    if not isinstance(column, np.ndarray):
        return column
    try:
        return pa.array(column, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return pa.array([_written(name, row, v) for row, v in enumerate(column)], pa.string())


def _written(name: str, row: int, value: Any) -> str | None:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # of pandas
        return None
    if isinstance(value, PLAIN):
        return None if value != value else str(value)
    raise ValueError(f"{name}: row {row} has {cell([value], 0)}, neither a number nor a text")


def _absent(array: Any) -> np.ndarray:
    return np.asarray(array.is_null())


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    view = getattr(pa.types, "is_string_view", lambda _: False)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or view(kind)


def _refuse_type(name: str, array: Any, wanted: str) -> None:
    import pyarrow as pa

    types, kind = pa.types, array.type
    what = "lists" if types.is_nested(kind) else f"values of type {kind}"
    if types.is_date(kind) or types.is_timestamp(kind) or types.is_time(kind):
        what = "dates or times"
    elif types.is_duration(kind) or types.is_interval(kind):
        what = "durations"
    shown = f" such as {cell(array, 0)}" if len(array) and array[0].is_valid else ""
    raise ValueError(f"{name}: it holds {what}{shown}; allowed are {wanted}")
