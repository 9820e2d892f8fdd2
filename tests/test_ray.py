"""Ray: a cluster of one machine, of two nodes of which one is killed, and the same bytes.

Slow, and skipped where Ray is not installed: ``pip install -e ".[test,ray]"``, then
``python -m pytest -n 0 -m slow tests/test_ray.py``. What needs no cluster is in test_backends.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import banditlab
from banditlab.arena.backends.ray import Actor
from tests.test_backends import ALONE, HOUSE, PANELS, PROGRAM, entries, same

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray", reason='needs Ray: pip install "banditlab-arena[ray]"')

ROOT = Path(__file__).parent.parent
# Each replication takes most of a second.
LONG = {
    "problem": {"name": "bernoulli", "means": [0.45, 0.55]},
    "agents": [{"name": "thompson"}, {"name": "ucb"}],
    "horizon": 4_000_000,
    "checkpoints": [4_000_000],
    "replications": 20,
    "seed": 9,
}


@pytest.fixture
def box():
    """A cluster in a box: two nodes, each with a core, on this machine."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    cluster.second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def long():
    return banditlab.simulate(LONG, workers=2)


@pytest.fixture
def orders(monkeypatch):
    """Which replications of which agent actors are asked for."""
    asked = []
    plain = Actor.play

    def spy(self, curve, first, count, *more):
        asked.append((curve.job.agent.label, first, count))
        return plain(self, curve, first, count, *more)

    monkeypatch.setattr(Actor, "play", spy)
    return asked


def played(asked):
    return sum(count for _, _, count in asked)


def workers():
    """Process ids of actors."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_text()
            except OSError:
                continue
            if words.startswith("ray::Worker"):
                found.append(int(entry.name))
    return found


def gone():
    """Whether actors end within seconds."""
    deadline = time.monotonic() + 15
    while workers() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not workers()


def test_a_local_ray_has_the_bits_of_threads():
    """Three protocols. What it starts it ends."""
    whole = banditlab.simulate(PANELS, workers=2)
    assert same(banditlab.simulate(PANELS, workers=2, backend="ray"), whole)
    assert not ray.is_initialized() and gone()


def test_what_another_cluster_left_behind_does_not_keep_one_from_starting(monkeypatch):
    """Ray would join what RAY_ADDRESS or its own file names, and refuse to be told of cores."""
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:61999")
    arena = {**LONG, "horizon": 1000, "checkpoints": [1000], "replications": 2}
    there = banditlab.simulate(arena, workers=1, backend="ray")
    assert same(there, banditlab.simulate(arena, workers=1)) and gone()


def test_two_nodes_have_the_bits_of_threads(box, capfd):
    there = banditlab.simulate(PANELS, backend="ray", address=box.address)
    assert f"workers: 2, the cores of the Ray cluster {box.address}" in capfd.readouterr().err
    assert same(there, banditlab.simulate(PANELS, workers=2))


def test_a_node_killed_half_way_loses_no_finished_replication(box, long, orders, tmp_path, capfd):
    """What it was playing is played by the other."""
    seen = {}

    def kill():
        while len(list((tmp_path / "store").glob("*.block"))) < 3:
            time.sleep(0.05)
        seen["kept"] = {p: p.read_bytes() for p in (tmp_path / "store").glob("*.block")}
        box.remove_node(box.second, allow_graceful=False)
        seen["still"] = all(p.read_bytes() == data for p, data in seen["kept"].items())

    thread = threading.Thread(target=kill)
    thread.start()
    there = banditlab.simulate(LONG, backend="ray", address=box.address, keep=tmp_path / "store")
    thread.join()
    assert same(there, long) and seen["still"]
    said = [x for x in capfd.readouterr().err.splitlines() if "played again by another" in x]
    assert len(said) == 1 and "in panel 'main', replications" in said[0]
    assert "has left the Ray cluster" in said[0] or "does not answer any more" in said[0]
    assert played(orders) <= 2 * LONG["replications"] + max(n for _, _, n in orders)


def test_a_killed_worker_is_one_line_and_its_block_is_played_again(long, orders, capfd):
    def kill():
        while len(found := workers()) < 2:
            time.sleep(0.05)
        time.sleep(3.0)
        os.kill(found[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    there = banditlab.simulate(LONG, workers=2, backend="ray")
    thread.join()
    said = [x for x in capfd.readouterr().err.splitlines() if "played again by another" in x]
    assert len(said) == 1 and "its worker on node" in said[0]
    assert same(there, long)
    assert played(orders) <= 2 * LONG["replications"] + max(n for _, _, n in orders)


def test_whoever_runs_the_arena_is_killed_and_goes_on_from_the_store(box, tmp_path):
    """On threads, if need be."""
    (tmp_path / "long.toml").write_text(
        'horizon = 4000000\nreplications = 20\ncheckpoints = [4000000]\nagents = [{name = "ucb"}]\n'
        '[problem]\nname = "bernoulli"\nmeans = [0.45, 0.55]\n'
    )
    out = tmp_path / "out"
    words = [sys.executable, "-c", PROGRAM, "--arena", str(tmp_path / "long.toml"), "--quiet"]
    there = [*words, "--out", str(out), "--backend", "ray", "--address", box.address]
    run = subprocess.Popen(there, cwd=ROOT, stderr=subprocess.DEVNULL)
    while len(list(out.glob(".partial/*.block"))) < 2:
        assert run.poll() is None
        time.sleep(0.02)
    run.kill()
    run.wait()
    kept = {path: path.read_bytes() for path in out.glob(".partial/*.block")}
    assert kept
    assert gone()  # they end with who has started them
    assert {path: path.read_bytes() for path in kept} == kept
    for more in (["--out", str(out), "--resume"], ["--out", str(tmp_path / "whole")]):
        done = subprocess.run([*words, *more], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0 and not done.stderr
    for name in ("curves.csv", "raw.parquet", "run.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_ctrl_c_ends_it_within_seconds_and_no_process_stays(tmp_path):
    (tmp_path / "long.toml").write_text(
        'horizon = 4000000\nreplications = 40\nagents = [{name = "ucb"}]\n'
        '[problem]\nname = "bernoulli"\nmeans = [0.45, 0.55]\n'
    )
    words = [sys.executable, "-c", PROGRAM, "--arena", str(tmp_path / "long.toml"), "--quiet"]
    run = subprocess.Popen(
        [*words, "--out", str(tmp_path / "out"), "--backend", "ray"], cwd=ROOT,
        stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not list(tmp_path.glob("out/.partial/*.block")):
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    sent = time.monotonic()
    _, said = run.communicate(timeout=30)
    assert time.monotonic() - sent < 3.0 and run.returncode == 1
    assert said.splitlines()[-1].startswith("interrupted; blocks kept: ")
    assert gone()


def test_errors_and_protocols_of_python(tmp_path, monkeypatch):
    """An error in a kernel is the same line; a replication has a process if it wants one."""
    monkeypatch.chdir(HOUSE)
    diary = tmp_path / "diary"
    diary.write_text("")
    lines = []
    for name in ("threads", "ray"):
        words = ["--arena", "guesses.toml", "--allow-code", "--vs", "../alone/moody.py", "--quiet"]
        words += ["--set", "moody.kind=1", "--out", str(tmp_path / name), "--backend", name]
        done = subprocess.run(
            [sys.executable, "-m", "banditlab.arena", *words, "--workers", "1"],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert done.returncode == 1
        lines.append(done.stderr)
    assert lines[0] == lines[1] and lines[0].count("\n") == 1 and "no such mood" in lines[0]
    monkeypatch.chdir(ALONE)
    errand = {"name": "errand.py", "diary": str(diary)}
    arena = {"protocol": "alone.py", "problem": errand, "agents": ["messenger.py"], "horizon": 10,
             "replications": 3}  # fmt: skip
    there = banditlab.simulate(arena, workers=2, backend="ray")
    rows = entries(diary)
    assert sorted(int(row[0]) for row in rows) == [0, 1, 2] and len({row[1] for row in rows}) == 3
    assert same(there, banditlab.simulate(arena, backend="threads"))
