"""``raw.parquet``: the totals of every replication at every checkpoint, as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 1_000_000  # that are made at a time: a table takes several times what it is made of


def write_raw(path: Path, records: Mapping[tuple[str, str], Any]) -> None:
    """Write the :class:`banditlab.curves.Record` of each (panel, curve)."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = dict.fromkeys(measure for r in records.values() for measure in r.measures)
    kind = np.result_type(*(record.checkpoints for record in records.values()))
    writer = None
    with ExitStack() as stack:
        for (panel, name), record in records.items():
            points = record.checkpoints.size
            step = max(1, ROWS // points)
            for first in range(0, len(record.values), step):
                part = record.values[first : first + step]
                number = np.arange(first, first + len(part)) * record.batch
                columns = {
                    "panel": panel,
                    "cell": record.cell,
                    "agent": record.agent(name),
                    "replication": np.repeat(number, points),
                    "t": np.tile(record.checkpoints, len(part)).astype(kind),
                    **dict.fromkeys(names, np.nan),
                }
                for m, measure in enumerate(record.measures):
                    columns[measure] = part[:, :, m].ravel()
                table = pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False)
                if writer is None:
                    kept = {**table.schema.metadata, b"PANDAS_ATTRS": _attributes(records)}
                    schema = table.schema.with_metadata(kept)
                    writer = stack.enter_context(pq.ParquetWriter(path, schema))
                writer.write_table(table.replace_schema_metadata(schema.metadata))


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
