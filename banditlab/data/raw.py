"""The files of a run's numbers: ``curves.csv``, and ``raw.parquet``, every replication's totals."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 1_000_000  # that are made at a time: a table takes several times what it is made of


def as_csv(columns: Mapping[str, np.ndarray]) -> str:
    """A table as CSV, numbers to eight digits, nan as nothing: what pandas makes of its frame."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(columns)
    rows.writerows(zip(*map(_words, columns.values()), strict=True))
    return text.getvalue()


def _words(column: np.ndarray) -> list[Any]:
    if column.dtype.kind != "f":
        return column.tolist()
    return ["" if x != x else f"{x:.8g}" for x in column.tolist()]


def write_raw(path: Path, records: Mapping[tuple[str, str], Any]) -> None:
    """Write the :class:`banditlab.curves.Record` of each (panel, curve).

    Without pandas, whose import would be a tenth of a short run; what it reads is a frame.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = dict.fromkeys(measure for r in records.values() for measure in r.measures)
    kind = np.result_type(*(record.checkpoints for record in records.values()))
    attributes = {b"PANDAS_ATTRS": _attributes(records)}
    writer = None
    with ExitStack() as stack:
        for (panel, name), record in records.items():
            points = record.checkpoints.size
            step = max(1, ROWS // points)
            for first in range(0, len(record.values), step):
                part = record.values[first : first + step]
                number = np.arange(first, first + len(part)) * record.batch
                size = len(part) * points
                columns = {
                    "panel": _repeated(panel, size),
                    "cell": _repeated(record.cell, size),
                    "agent": _repeated(record.agent(name), size),
                    "replication": _numbers(np.repeat(number, points)),
                    "t": _numbers(np.tile(record.checkpoints, len(part)).astype(kind)),
                    **dict.fromkeys(names, _numbers(np.full(size, np.nan))),
                }
                for m, measure in enumerate(record.measures):
                    columns[measure] = _numbers(part[:, :, m].ravel())
                table = pa.table(columns).replace_schema_metadata(attributes)
                if writer is None:
                    writer = stack.enter_context(pq.ParquetWriter(path, table.schema))
                writer.write_table(table)


# Arrow's own ways to make arrays import pandas, to ask whether they were handed something of it.


def _repeated(word: str, size: int) -> Any:
    """An Arrow array of ``size`` times the word."""
    import pyarrow as pa

    letters = word.encode()
    ends = pa.py_buffer(np.arange(size + 1) * len(letters))
    return pa.Array.from_buffers(
        pa.large_string(), size, [None, ends, pa.py_buffer(letters * size)]
    )


def _numbers(values: np.ndarray) -> Any:
    """An Arrow array of numbers (n,), in which nan is a missing one."""
    import pyarrow as pa

    missing = np.isnan(values)
    there = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, values.size, [there, pa.py_buffer(values)])


def _attributes(records: Mapping[tuple[str, str], Any]) -> bytes:
    """What the table alone does not say, where pandas keeps a frame's attributes.

    An agent's measures, of which some may be nan throughout, whether its checkpoints are whole
    numbers, and how many replications a row is the mean of, if more than one.
    """
    curves = [
        [
            *(panel, r.cell, r.agent(name), list(r.measures), r.checkpoints.dtype.str),
            *([r.batch] if r.batch > 1 else []),
        ]
        for (panel, name), r in records.items()
    ]
    return json.dumps({"curves": curves}).encode()


def read_raw(path: Path) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """Panel, label of the agent and fields of the Record of each curve that `write_raw` wrote."""
    import pandas as pd

    frame = pd.read_parquet(path)
    for panel, cell, agent, names, kind, *batch in frame.attrs["curves"]:
        mine = (frame["panel"] == panel) & (frame["cell"] == cell) & (frame["agent"] == agent)
        part = frame[mine]
        points = part["t"].unique().astype(kind)
        values = part[names].to_numpy().reshape(-1, points.size, len(names))
        yield panel, agent, (points, tuple(names), values, cell, *batch)
