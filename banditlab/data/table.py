"""The only reader of tables that users bring: files, frames, Arrow tables, dictionaries of arrays.

A source of a table is

- the path of a ``.csv``, ``.tsv`` or ``.parquet`` file, the first two also as ``.gz``, in capitals
  or not. Text is UTF-8, or UTF-16 with its mark; cells are parted by commas, semicolons, tabs or
  bars, whichever the first line shows; that line names the columns;
- a pandas frame, an Arrow table or whatever exports one (polars), a structured NumPy array;
- a mapping of names to columns.

What is misread by others is refused here, or said in ``Table.notes``: rows longer or shorter than
the first line, names that appear twice, a first line that is data, columns without a name, quotes
that are never closed, text that is not Unicode, dates where numbers are wanted. A column that is
the index of a pandas frame, in memory or in a Parquet file, is a column like others when it has a
name. Rows are counted from 0, as in a frame: row 0 of a CSV file is its second line.

One file, though long: whatever opens a file is here, and nowhere else.

>>> table = read_table({"article": ["b", "a", "b"], "pscore": [0.5, 0.25, 0.5]}, "log",
...                    columns={"action": "article"}, known=("action", "propensity"))
>>> table.names, table.notes
(('action', 'propensity'), ["column 'pscore' is read as propensity"])
>>> table["action"]
array(['b', 'a', 'b'], dtype='<U1')
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab.data.columns import NAMELESS, every_column, refuse_twins, wanted_columns

TEXT, PARQUET = (".csv", ".tsv", ".csv.gz", ".tsv.gz"), ".parquet"
SEPARATORS = ",;\t|"
BLOCK = 8 << 20  # bytes parsed at a time, the longest row that is parsed in parallel
LARGEST_TEXT = 1 << 30  # bytes, unpacked
LARGEST_PARQUET = 2 * 10**8  # cells read
SNIFFED = 50  # rows that vote on what parts the cells


@dataclass
class Table:
    """The columns that were asked for, as they came; see :mod:`banditlab.data.values` for more.

    ``columns`` holds NumPy or Arrow arrays of one length by name, ``passed_over`` the names of the
    columns that were not asked for, and ``notes`` what a reader of the results should know.
    """

    columns: dict[str, Any]
    rows: int
    where: str = ""  # name of the file; empty for what was in memory
    passed_over: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)  # their names by ours, where they differ

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the source."""
        return tuple(self.columns)

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self.columns


def read_table(
    source: Any,
    kind: str = "table",
    *,
    columns: Mapping[str, str] | None = None,
    known: Sequence[str] = (),
    required: Sequence[str] = (),
    prefix: str = "",
    every: bool = False,
) -> Table:
    """The columns of ``source`` that are wanted.

    Parameters
    ----------
    source
        See the module. A :class:`Table` is given back as it is.
    kind
        What the table is, for messages: "log", "dataset", "table of losses".
    columns
        Their names by ours, for instance ``{"action": "article"}``; ours are those of ``known``.
    known
        Our names of the columns wanted; ``columns.ALIASES`` are read in the place of those
        absent. A column that is nearly called like one absent is refused, being misspelt.
    required
        Those of ``known`` that must be there.
    prefix
        All columns whose name begins so are wanted too.
    every
        Every column is wanted, under its own name, as where there is one per arm. Then a column
        without a name is refused, and so is a first line that is data. Else such columns are
        passed over and, in a file, noted.

    Raises
    ------
    ValueError
        In one line that begins with the name of the file, if there is one.
    """
    if isinstance(source, Table):
        return source
    with named(where_of(source)):
        given = _opened(source, kind)
        names = [str(name).strip() for name in given.names]
        refuse_twins(names)
        nameless = [k for k, name in enumerate(names) if NAMELESS.fullmatch(name)]
        notes: list[str] = []
        if every:
            wanted = every_column(names, nameless, given.is_text)
        else:
            wanted = wanted_columns(names, kind, columns or {}, known, required, prefix, notes)
            if nameless and where_of(source):
                notes.append(f"column {nameless[0]} has no name and is passed over")
        loaded = given.load([k for _, k in wanted])
        rows = len(loaded[0]) if loaded else 0
        for (name, _), column in zip(wanted, loaded, strict=True):
            if len(column) != rows:
                raise ValueError(f"{name}: {len(column)} rows, but {wanted[0][0]} has {rows}")
        taken = {k for _, k in wanted}
        rest = tuple(name for k, name in enumerate(names) if k not in taken and k not in nameless)
        theirs = {name: names[k] for name, k in wanted if names[k] != name}
        found = dict(zip((name for name, _ in wanted), loaded, strict=True))
        return Table(found, rows, where_of(source), rest, notes, theirs)


def column_names(source: Any, kind: str = "table") -> tuple[str, ...]:
    """The names of the columns of ``source``, those without one left out; nothing else is read."""
    if isinstance(source, Table):
        return source.names
    with named(where_of(source)):
        names = [str(name).strip() for name in _opened(source, kind).names]
        return tuple(name for name in names if not NAMELESS.fullmatch(name))


def is_path(source: Any) -> bool:
    """Whether ``source`` says where a file is."""
    return isinstance(source, str | os.PathLike)


def where_of(source: Any) -> str:
    """The name of the file that ``source`` is or came from; empty for what was in memory."""
    if isinstance(source, Table):
        return source.where
    return Path(source).name if is_path(source) else ""


@contextmanager
def named(where: str) -> Iterator[None]:
    """Let every ValueError begin with ``where``, once."""
    try:
        yield
    except ValueError as error:
        said = str(error)
        if not where or where in said.split(": ")[0] or said.startswith("no such file"):
            raise
        raise ValueError(f"{where}: {said}") from error


# --- sources ------------------------------------------------------------------------------------


class _Opened(NamedTuple):
    """A source whose names are known; ``load`` gives the columns at these places."""

    names: Sequence[Any]
    load: Callable[[Sequence[int]], list[Any]]
    is_text: bool = False


def _opened(source: Any, kind: str) -> _Opened:
    if is_path(source):
        return _open_file(Path(source), kind)
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        return _open_frame(source)
    if isinstance(source, Mapping):
        return _open_columns(list(source), list(source.values()))
    if isinstance(source, np.ndarray) and source.dtype.names:
        return _open_columns(list(source.dtype.names), [source[n] for n in source.dtype.names])
    if hasattr(source, "__arrow_c_stream__") or hasattr(source, "__arrow_c_array__"):
        import pyarrow as pa

        table = pa.table(source)
        return _open_columns(table.column_names, table.columns)
    raise ValueError(
        f"a {kind} is a path, a frame, an Arrow table or a mapping of columns, "
        f"got {type(source).__name__}"
    )


def _open_frame(frame: Any) -> _Opened:
    names, columns = list(frame.columns), [frame.iloc[:, k] for k in range(frame.shape[1])]
    for level, name in enumerate(frame.index.names):  # an index with a name is a column
        if name is not None and name not in names:
            names.append(name)
            columns.append(frame.index.get_level_values(level))
    return _open_columns(names, columns)


def _open_columns(names: list[Any], columns: list[Any]) -> _Opened:
    """Columns in memory; a matrix called x stands for x_0, x_1, ..."""
    for k in [k for k, name in enumerate(names) if str(name) == "x"]:
        matrix = columns[k] if hasattr(columns[k], "ndim") else np.asarray(columns[k])
        if matrix.ndim == 2:
            names = [*names[:k], *(f"x_{j}" for j in range(matrix.shape[1])), *names[k + 1 :]]
            columns = [*columns[:k], *np.asarray(matrix).T, *columns[k + 1 :]]
    return _Opened(names, lambda places: [plain(str(names[k]), columns[k]) for k in places])


def plain(name: str, column: Any) -> Any:
    """A column in memory, a list for instance, as an array of NumPy or of Arrow."""
    if hasattr(column, "combine_chunks"):
        return column.combine_chunks()
    dtype = getattr(column, "dtype", None)
    if hasattr(column, "iloc") or not isinstance(dtype, np.dtype | None):
        if isinstance(dtype, np.dtype):
            return column.to_numpy()
        import pyarrow as pa

        try:
            return pa.Array.from_pandas(column)
        except Exception:  # of an extension that Arrow does not know
            return np.asarray(column, dtype=object)
    if hasattr(column, "type") and hasattr(column, "null_count"):  # an Arrow array
        return column
    try:
        return np.asarray(column)
    except ValueError:  # lists of different lengths
        raise ValueError(f"{name} must have one value per row") from None


# --- files --------------------------------------------------------------------------------------


def _open_file(path: Path, kind: str) -> _Opened:
    ending = "".join(path.suffixes[-2:]).lower()
    ending = ending if ending in TEXT else path.suffix.lower()
    if ending not in (*TEXT, PARQUET):
        raise ValueError(
            f"{path.name or path}: a {kind} ends in .csv, .tsv, .csv.gz, .tsv.gz or .parquet"
        )
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no ordinary file: copy it to one"
            raise ValueError(f"{path.name}: it is {what}")
        if ending == PARQUET:
            return _open_parquet(path)
        return _open_text(_unpacked(path, ending), ending, kind)
    except FileNotFoundError:
        raise ValueError(f"no such file: {path}") from None
    except (ValueError, MemoryError):
        raise
    except OSError as error:
        said = error.strerror or " ".join(str(error).split())
        raise ValueError(f"{path.name}: not readable: {said}") from error
    except Exception as error:  # parsers fail in many ways; all mean the same to the reader
        raise _unreadable(path, ending[1:], error) from error


def _unreadable(path: Path, what: str, error: BaseException) -> ValueError:
    said = " ".join((str(error).strip() or type(error).__name__).split("\n")[0].split())
    return ValueError(f"{path.name}: not readable as {what}: {said[:200]}")


def _open_parquet(path: Path) -> _Opened:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except Exception as error:
        raise _unreadable(path, "parquet", error) from error
    names: list[str] = list(schema.names)
    text = [
        f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)
    ]
    counted = _counted_index(schema.metadata, names)

    def load(places: Sequence[int]) -> list[Any]:
        wanted = [names[k] for k in places if k < len(names)]
        if rows * len(wanted) > LARGEST_PARQUET:
            raise ValueError(
                f"{rows:,} rows of {len(wanted)} columns are more than the "
                f"{LARGEST_PARQUET:,} cells that are read"
            )
        try:
            # A text once, however often it stands there: names of arms, and bombs.
            with pq.ParquetFile(path, read_dictionary=text) as file:
                table = file.read(columns=wanted)
            loaded = [table.column(names[k]).combine_chunks() if k < len(names)
                      else counted[k - len(names)][1] for k in places]  # fmt: skip
        except Exception as error:
            raise _unreadable(path, "parquet", error) from error
        return loaded

    return _Opened([*names, *(name for name, _ in counted)], load)


def _counted_index(metadata: Mapping[bytes, bytes] | None, names: list[str]) -> list[Any]:
    """Indices that pandas wrote down as a range instead of a column, if they have a name."""
    try:
        found = json.loads((metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
        return [
            (index["name"], np.arange(index["start"], index["stop"], index["step"]))
            for index in found
            if isinstance(index, dict) and index.get("name") and index["name"] not in names
            and abs(index["stop"] - index["start"]) <= LARGEST_PARQUET
        ]  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError, ZeroDivisionError):
        return []  # another program wrote it


def _unpacked(path: Path, ending: str) -> bytes:
    """The text of a file, without its mark, as UTF-8."""
    if ending.endswith(".gz"):
        try:
            with gzip.open(path) as packed:
                data = packed.read(LARGEST_TEXT + 1)
        except (OSError, EOFError) as error:
            raise _unreadable(path, "gz", error) from error
    else:
        with open(path, "rb") as file:
            data = file.read(LARGEST_TEXT + 1)
    if len(data) > LARGEST_TEXT:
        raise ValueError(f"more than {LARGEST_TEXT >> 20:,} MB of text: save it as .parquet")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # what Excel calls Unicode
        try:
            return data.decode("utf-16").encode()
        except UnicodeError:
            raise ValueError("not readable as text: it begins as UTF-16 and is not") from None
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise ValueError(f"line {line} holds a zero byte, so it is no table of text")
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            byte = data[error.start]
            said = f"line {line} is not UTF-8 (byte 0x{byte:02x}): save the file as UTF-8"
            raise ValueError(said) from None
    return data


def _open_text(data: bytes, ending: str, kind: str) -> _Opened:
    first = re.match(rb"sep=(.)\r?\n", data)  # a line that Excel writes and no other reads
    separator = first.group(1).decode("latin-1") if first else ""
    data = data[first.end() :] if first else data
    if not data.strip():
        raise ValueError(f"the {kind} is empty")
    separator = separator or ("\t" if ending.startswith(".tsv") else _separator(data))
    header = next(_records(data, separator), (0, []))[1]

    def load(places: Sequence[int]) -> list[Any]:
        return _parsed(data, separator, header, places)

    return _Opened(header, load, is_text=True)


def _records(data: bytes, separator: str, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the line in which it ends."""
    text = io.TextIOWrapper(io.BytesIO(data), "utf-8", newline="")
    rows = csv.reader(text, delimiter=separator, strict=strict)
    try:
        for row in rows:
            if row:
                yield rows.line_num, row
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {error}") from None


def _separator(data: bytes) -> str:
    """What parts the cells: what is in the first line, as often as in those that follow."""
    first = re.match(rb'[\r\n]*((?:"[^"]*"|[^"\r\n])*)', data)
    bare = re.sub(rb'"[^"]*"', b"", first.group(1) if first else b"").decode()
    candidates = [c for c in SEPARATORS if c in bare]
    steady = []
    for candidate in candidates if len(candidates) > 1 else []:
        widths: list[int] = []
        try:
            for _, row in _records(data, candidate):
                widths.append(len(row))
                if len(widths) > SNIFFED:
                    break
        except ValueError:  # quotes that fit another one
            continue
        if widths[0] > 1 and len(set(widths)) == 1:
            steady.append(candidate)
    if len(steady) > 1:
        both = " and ".join(repr(c) for c in steady)
        raise ValueError(f"the cells may be parted by {both}: quote the names that hold either")
    return (steady or candidates or [","])[0]


def _parsed(data: bytes, separator: str, header: list[str], places: Sequence[int]) -> list[Any]:
    """These columns as Arrow arrays of text; the number of cells is checked in every row."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    quotes = data.count(b'"')
    if quotes % 2:
        _find_open_quote(data, separator)
    keys = [str(k) for k in range(len(header))]
    wanted = [keys[k] for k in places] or keys[:1]
    table = None
    for block in (BLOCK, len(data) + 1):
        try:
            table = arrow.read_csv(
                pa.BufferReader(data),
                # The first line is a row here: its names may be anything.
                arrow.ReadOptions(column_names=keys, block_size=min(block, len(data) + 1)),
                arrow.ParseOptions(delimiter=separator, newlines_in_values=quotes > 0),
                arrow.ConvertOptions(
                    column_types=dict.fromkeys(wanted, pa.string()), include_columns=wanted
                ),
            )
            break
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error) or block > len(data):
                _find_odd_row(data, separator, len(header))
                said = str(error).split("\n")[0][:200]
                raise ValueError(f"not readable as a table: {said}") from None
    assert table is not None
    return [table.column(keys[k]).combine_chunks().slice(1) for k in places]


def _find_open_quote(data: bytes, separator: str) -> None:
    begun = 0
    try:
        for line, _ in _records(data, separator, strict=True):
            begun = line
    except ValueError as error:
        raise ValueError(f"in or after line {begun + 1}: a quote is not closed ({error})") from None


def _find_odd_row(data: bytes, separator: str, width: int) -> None:
    for line, row in _records(data, separator):
        if len(row) != width:
            raise ValueError(
                f"line {line} has {len(row)} cells, but the first line names {width} columns"
            )
