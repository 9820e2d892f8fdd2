"""What an arena needs in memory, and means of batches where it is too much."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import banditlab
from banditlab import machine
from banditlab.arena import memory, runner
from banditlab.curves import Curves

ROOT = Path(__file__).parent.parent
ARENA = {
    "problem": {"name": "bernoulli", "means": [0.2, 0.5, 0.8]},
    "agents": [{"name": "ucb"}, {"name": "uniform"}],
    "horizon": 50,
    "replications": 1200,
    "seed": 3,
    "checks": [{"less": "ucb.regret", "than": "uniform.regret"}],
}


def test_sizes_are_read_and_shown():
    cases = {"1GB": 10**9, "1.5 gb": 1.5e9, "800M": 8e8, "2e9": 2e9, "512MiB": 512e6, "7k": 7e3}
    for text, count in cases.items():
        assert memory.size(text) == count
    for text in ("", "GB", "-1GB", "0", "1PB", "1.2.3G", "nan", "inf", "1e999", "GB1", "1 G B"):
        with pytest.raises(ValueError, match="memory must be a size"):
            memory.size(text)
    assert [memory.words(x) for x in (9.87e12, 1.5e9, 2e6, 5e3)] == (
        ["9.87 TB", "1.5 GB", "2 MB", "5 kB"]
    )


def test_what_fits_is_kept_whole():
    assert memory.batches([(10**6, 10, 3), (5, 1, 1)], 2 * 10**9) == [1, 1]
    assert memory.batches([(1000, 100, 3)] * 50, None) == [1] * 50


def test_need_counts_every_number():
    grown = memory.need([(10**7, 10, 3), (10**6, 10, 3)]) - memory.need([(10**7, 10, 3)])
    assert grown == 8 * 10**6 * 10 * 3
    twice = memory.need([(10**7, 10, 3)], copies=2) - memory.need([(10**7, 10, 3)])
    assert twice == 8 * 10**7 * 10 * 3


def test_what_does_not_fit_is_refused_or_kept_as_means():
    big = [(10**6, 58, 3), (10**9, 1, 3), (700, 58, 3)]
    assert memory.batches(big, 10**9) == [100, 10**5, 1]
    with pytest.raises(ValueError, match=r"--replications.*checkpoints.*--memory SIZE"):
        memory.batches([(10**12, 58, 3)], None)
    with pytest.raises(ValueError, match="take --replications 1000000$"):
        memory.batches([(1_000_003, 58, 3)], 10**9)  # a prime
    with pytest.raises(ValueError, match=r"still need .*more --memory"):
        memory.batches([(10**6, 58, 3)], 3 * 10**8)


def test_the_smallest_batches_are_found():
    for replications, batch in ((10_000, 1), (10_001, 73), (20_000, 2), (10**9, 10**5), (1, 1)):
        assert memory._batch(replications) == batch
    for replications in range(1, 40_000, 37):
        batch = memory._batch(replications)
        if batch:
            assert replications % batch == 0 and replications / batch <= memory.ROWS
            assert batch == 1 or replications / batch >= memory.FEWEST


def test_what_is_available_is_a_sensible_number():
    assert 10**7 < machine.available() < 10**14


@pytest.fixture(scope="module")
def whole():
    return banditlab.simulate(ARENA)


@pytest.fixture
def short(monkeypatch):
    """Room for 120 rows of each curve."""
    monkeypatch.setattr(memory, "PROGRAM", 0)
    monkeypatch.setattr(memory, "ROWS", 120)


def test_means_of_batches_are_means_of_the_replications(whole, short, tmp_path, capsys):
    curves = banditlab.simulate(ARENA, memory=3 * 10**6)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "means of batches of 10" in said[0]
    for key, record in curves.records.items():
        assert record.batch == 10 and record.replications == 1200
        expected = whole.records[key].values.reshape(120, 10, *record.values.shape[1:]).mean(1)
        np.testing.assert_allclose(record.values, expected, rtol=1e-13, atol=1e-13)
    assert [check["passed"] for check in curves.checks] == [True]
    few, all_ = curves.frame(), whole.frame()
    assert (few["n"] == 1200).all()
    np.testing.assert_allclose(few["mean"], all_["mean"], rtol=1e-12)
    late = few["t"] > 10
    ratio = few["sem"][late] / all_["sem"][late]
    assert 0.8 < ratio[np.isfinite(ratio)].mean() < 1.2  # 120 units give the error to 6%
    paired, plain = curves.compare("ucb", "uniform"), whole.compare("ucb", "uniform")
    assert paired.difference == pytest.approx(plain.difference) and paired.replications == 1200
    assert paired.hi - paired.lo == pytest.approx(plain.hi - plain.lo, rel=0.3)
    # Saved and loaded they remain what they are.
    curves.save(tmp_path)
    loaded = Curves.load(tmp_path)
    assert loaded.record("ucb").batch == 10
    assert np.array_equal(loaded.raw("ucb"), curves.raw("ucb"))
    assert np.array_equal(loaded.frame()["sem"], few["sem"])


@pytest.mark.parametrize("most", [1, 7, 64])
def test_batches_do_not_depend_on_the_cut(short, monkeypatch, most, tmp_path):
    plain = banditlab.simulate(ARENA, memory=3 * 10**6)
    monkeypatch.setattr(runner, "BLOCK", most)
    cut = banditlab.simulate(ARENA, memory=3 * 10**6, workers=2, keep=tmp_path)
    again = banditlab.simulate(ARENA, memory=3 * 10**6, keep=tmp_path)
    for key, record in plain.records.items():
        assert np.array_equal(record.values, cut.records[key].values)
        assert np.array_equal(record.values, again.records[key].values)


def test_blocks_of_batches_are_not_taken_for_replications(short, tmp_path, capsys):
    banditlab.simulate(ARENA, memory=3 * 10**6, keep=tmp_path, replications=1200)
    curves = banditlab.simulate(ARENA, keep=tmp_path)
    said = [x for x in capsys.readouterr().err.splitlines() if "not used" in x]
    assert said and all("another batch" in line for line in said)
    assert curves.record("ucb").batch == 1


def test_errors_keep_their_exact_interval_in_batches():
    values = np.zeros((50, 1, 1))
    values[0] = 1.0  # ten errors in a row
    from banditlab.curves import Record

    arena = {"panels": [{"name": "p", "protocol": "identify"}]}
    one = Curves(arena, {("p", "a"): Record(np.array([1]), ("error",), values)}).frame()
    ten = Curves(arena, {("p", "a"): Record(np.array([1]), ("error",), values, batch=10)}).frame()
    assert ten["n"][0] == 500 and ten["lo"][0] > 5 * one["lo"][0]


def arena(*words):
    return subprocess.run(
        [sys.executable, "-m", "banditlab.arena", *words], capture_output=True, text=True, cwd=ROOT
    )


def test_too_much_is_refused_before_it_starts(tmp_path):
    out = tmp_path / "out"
    done = arena("--agent", "ucb", "--replications", "1000000000", "--out", str(out))
    assert done.returncode == 2 and not out.exists()
    assert done.stderr.count("\n") == 1 and "--memory SIZE" in done.stderr
    done = arena("--agent", "ucb", "--memory", "much", "--out", str(out))
    assert done.returncode == 2 and "memory must be a size" in done.stderr and not out.exists()


@pytest.mark.slow
def test_a_million_replications_fit_in_a_gigabyte(tmp_path):
    (tmp_path / "big.toml").write_text(
        "horizon = 100\nreplications = 1000000\nagents = [{name = 'ucb'}, {name = 'uniform'}]\n"
        "[problem]\nname = 'bernoulli'\nmeans = [0.2, 0.5, 0.8]\n"
    )
    words = ["--arena", str(tmp_path / "big.toml"), "--memory", "1GB", "--out", str(tmp_path / "o")]
    done = arena(*words)
    assert done.returncode == 0, done.stderr
    assert "1,000,000 replications" in done.stdout
    kilobytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert kilobytes < 10**6  # of all children so far the largest
