"""The files of a run's numbers, against what pandas makes of the same table."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from matplotlib.mathtext import MathTextParser

from banditlab.curves import Record
from banditlab.data import raw
from banditlab.data.raw import _attributes, as_csv, read_raw, write_raw
from banditlab.words import simple

RNG = np.random.default_rng(3)
WHOLE = np.array([10, 20, 40])
SWEPT = np.array([0.5, 1.5])


def values(rows, points, measures):
    found = RNG.normal(size=(rows, points, measures))
    found[rows // 2, :, 0] = np.nan  # a replication that gave up
    return found


RECORDS = {
    ("left, top", "ucb"): Record(WHOLE, ("regret", "reward"), values(4, 3, 2)),
    ("left, top", "exp3 \N{GREEK SMALL LETTER ETA}, C = 2"): Record(
        WHOLE, ("regret",), values(3, 3, 1), "C = 2", 5
    ),
    ("right", ""): Record(WHOLE, ("error", "reward"), np.full((2, 3, 2), np.nan)),
}
ELSEWHERE = {
    **RECORDS,
    ("swept", 'a "b"'): Record(SWEPT, ("regret",), values(6, 2, 1)),
}


def by_pandas(path, records):
    """The file as it was written while pandas made the tables."""
    names = dict.fromkeys(measure for r in records.values() for measure in r.measures)
    kind = np.result_type(*(record.checkpoints for record in records.values()))
    tables = []
    for (panel, name), record in records.items():
        points, rows = record.checkpoints.size, len(record.values)
        columns = {
            "panel": panel,
            "cell": record.cell,
            "agent": record.agent(name),
            "replication": np.repeat(np.arange(rows) * record.batch, points),
            "t": np.tile(record.checkpoints, rows).astype(kind),
            **dict.fromkeys(names, np.nan),
        }
        for m, measure in enumerate(record.measures):
            columns[measure] = record.values[:, :, m].ravel()
        tables.append(pa.Table.from_pandas(pd.DataFrame(columns), preserve_index=False))
    kept = {**tables[0].schema.metadata, b"PANDAS_ATTRS": _attributes(records)}
    schema = tables[0].schema.with_metadata(kept)
    with pq.ParquetWriter(path, schema) as writer:
        for table in tables:
            writer.write_table(table.replace_schema_metadata(kept))


@pytest.mark.parametrize("records", [RECORDS, ELSEWHERE], ids=["whole", "swept"])
@pytest.mark.parametrize("rows", [raw.ROWS, 5])
def test_the_frame_is_the_one_that_pandas_would_have_written(tmp_path, monkeypatch, records, rows):
    monkeypatch.setattr(raw, "ROWS", rows)  # 5: several parts of each record
    write_raw(tmp_path / "new.parquet", records)
    by_pandas(tmp_path / "old.parquet", records)
    new, old = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("new", "old"))
    pd.testing.assert_frame_equal(new, old, check_exact=True, check_column_type=True)
    assert new.attrs == old.attrs and list(new.dtypes) == list(old.dtypes)
    one, two = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("new", "old"))
    assert one.schema.equals(two.schema)
    for name in one.column_names:  # nan is missing, for those who read it without pandas
        assert one[name].null_count == two[name].null_count, name


@pytest.mark.parametrize("write", [write_raw, by_pandas], ids=["now", "before"])
@pytest.mark.parametrize("records", [RECORDS, ELSEWHERE], ids=["whole", "swept"])
def test_what_is_written_is_read_back_whoever_wrote_it(tmp_path, write, records):
    write(tmp_path / "raw.parquet", records)
    found = list(read_raw(tmp_path / "raw.parquet"))
    assert len(found) == len(records)
    for (panel, agent, facts), ((place, name), record) in zip(found, records.items(), strict=True):
        again = Record(*facts)
        assert (panel, again.named(agent)) == (place, name)
        assert again.checkpoints.dtype == record.checkpoints.dtype
        np.testing.assert_array_equal(again.checkpoints, record.checkpoints)
        np.testing.assert_array_equal(again.values, record.values)
        assert again[1] == record[1] and again[3:] == record[3:]


def test_the_csv_is_the_one_that_pandas_would_have_written():
    columns = {
        "panel": np.array(["a, b", 'say "so"', "c\nd", "", "\N{GREEK SMALL LETTER ETA}", " "]),
        "t": np.array([1, 20, 300, 10**12, -5, 0]),
        "x": np.array([np.nan, np.inf, -np.inf, -0.0, 1.23456789e-300, 123456789.125]),
        "n, of them": np.array([1.0, 1e15, 123456785.0, 0.1 + 0.2, 2.5e-8, 1e8]),
    }
    wanted = pd.DataFrame(columns).to_csv(index=False, float_format="%.8g", lineterminator="\n")
    assert as_csv(columns) == wanted


def test_a_run_needs_neither_pandas_nor_what_of_scipy_is_slow(tmp_path):
    code = (
        "import sys\n"
        "from banditlab.cli.main import main\n"
        "assert main(['--arena', 'delayed', '--horizon', '20', "
        "'--replications', '3']) == 0\n"
        "print([name for name in ('pandas', 'scipy.stats') if name in sys.modules])"
    )
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_what_is_surely_mathematics_is_set_by_matplotlib():
    parts = [
        *"abKT019()|^_{}=<>+*/-., ", r"\eta", r"\varepsilon", r"\delta", r"\times", r"\leq",
        r"\ge", r"\sqrt{d}", "^*", "_{1/3}", "^{2}", "^{-1/2}", "_t", "^{ }", "_{*}", "^+",
    ]  # fmt: skip
    draw, parser, taken = random.Random(0), MathTextParser("path"), 0
    for _ in range(700):
        text = f"${''.join(draw.choice(parts) for _ in range(draw.randint(0, 6)))}$"
        if simple(text):
            parser.parse(text)
            taken += 1
    assert taken > 50
    assert simple(r"$C^* = 1.05$: an expert's log") and simple("no mathematics")
    for text in ("$ $", "$x^2^3$", "$x", r"\$5", r"$\le$", "$x$ and $y", "$_{}$"):
        assert not simple(text)
