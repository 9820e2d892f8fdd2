"""Back ends: the same bits whoever plays, and workers that die, or do something else."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import banditlab
from banditlab.arena import backends, runner
from banditlab.arena import rows as arena_rows
from banditlab.arena.backends import probe, processes, ray
from banditlab.arena.backends.site import Afar, Order, Site, sendable
from banditlab.arena.jobs import Resolver, wanted
from banditlab.arena.spec import read_arena
from banditlab.arena.store import Store, owner
from banditlab.cli.main import main
from banditlab.compile import store as compiled

ROOT = Path(__file__).parent.parent
HOUSE = ROOT / "tests" / "data" / "house"
ALONE = ROOT / "tests" / "data" / "alone"
MEANS = {"name": "bernoulli", "means": [0.2, 0.5, 0.8]}
# Three protocols; lanes, logs that are drawn once for all who read them, and long replications.
PANELS = {
    "seed": 4,
    "replications": 70,
    "panels": [
        {"name": "acts", "problem": MEANS, "agents": ["ucb", "thompson"], "horizon": 200},
        {
            "name": "reads",
            "protocol": "offline",
            "problem": {"name": "cb_composition", "C": 3.0, "S": 4, "A": 3},
            "agents": ["lcb", "bc"],
            "horizon": 60,
        },
        {
            "name": "names",
            "protocol": "identify",
            "problem": MEANS,
            "agents": ["lucb"],
            "horizon": 400,
        },
    ],
}


def same(one, two):
    return one.records.keys() == two.records.keys() and all(
        one.records[k].values.tobytes() == two.records[k].values.tobytes() for k in one.records
    )


def children():
    """Worker processes of this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_text()
            except OSError:
                continue
            if parent == os.getpid() and "serve()" in words:
                found.append(int(entry.name))
    return found


# --- the same bits ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole():
    return banditlab.simulate(PANELS, workers=2)


def test_processes_have_the_bits_of_threads(whole):
    assert same(banditlab.simulate(PANELS, workers=2, backend="processes"), whole)
    assert not children()


def test_means_of_batches_are_the_same_too(monkeypatch):
    """As kept where memory is short."""
    arena = {"problem": MEANS, "agents": ["ucb"], "horizon": 50, "replications": 400}
    monkeypatch.setattr("banditlab.arena.memory.batches", lambda shapes, *_: [4] * len(shapes))
    here, there = (banditlab.simulate(arena, workers=2, backend=b) for b in backends.NAMES[:2])
    assert same(here, there) and here.raw("ucb").shape[0] == 100


def test_every_backend_is_known_and_others_are_refused_in_one_line(monkeypatch, capsys):
    arena = {"problem": MEANS, "agents": ["ucb"], "horizon": 5, "replications": 2}
    for given, line in (
        ({"backend": "thread"}, "unknown backend 'thread'; did you mean threads?"),
        ({"address": "h:1"}, "address is that of a Ray cluster: it is not for backend threads"),
        ({"workers": "two"}, "workers must be a whole number or auto, got 'two'"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError) as error:
            banditlab.simulate(arena, **given)
        assert str(error.value) == line
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs Ray: pip install \"banditlab-arena\[ray\]\"$"):
        banditlab.simulate(arena, backend="ray")
    assert main(["--agent", "ucb", "--workers", "many"]) == 2
    said = "error: argument --workers: must be a whole number or auto, got 'many'\n"
    assert capsys.readouterr().err == said


def test_an_address_where_no_cluster_answers_is_one_line_within_seconds():
    """Ray itself would try for minutes. One is closed, one says nothing, one is a web server."""
    with socket.socket() as closed, socket.socket() as dumb, socket.socket() as other:
        for one in (closed, dumb, other):
            one.bind(("127.0.0.1", 0))
        dumb.listen()
        other.listen()
        threading.Thread(target=lambda: other.accept()[0].sendall(b"HTTP/1.0 400 no\r\n")).start()
        for one, words in (
            (closed, "no Ray cluster answers at"),
            (dumb, "no Ray cluster answers at"),
            (other, "is no Ray cluster: ray start --head --port="),
        ):
            began = time.monotonic()
            with pytest.raises(ValueError, match=words) as error:
                ray._answers(f"127.0.0.1:{one.getsockname()[1]}")
            assert time.monotonic() - began < 5.0 and "ray start --head" in str(error.value)
    for odd in ("6379", "ray://h:1", "h:x", ":1", "h:99999"):
        with pytest.raises(ValueError, match="address must be HOST:PORT of the head"):
            ray._answers(odd)


def test_a_cluster_of_this_machine_is_started_whatever_others_left_behind():
    """Ray joins what RAY_ADDRESS or the file of a dead cluster names, unless it is told not to."""
    given = {}
    cluster = ray.Cluster(read_arena(PANELS), 2, None)
    cluster._join(SimpleNamespace(init=given.update))
    assert given["address"] == "local" and given["num_cpus"] == 2
    given.clear()
    ray.Cluster(read_arena(PANELS), 2, "head:6379")._join(SimpleNamespace(init=given.update))
    assert given["address"] == "head:6379" and "num_cpus" not in given


def test_compiled_code_that_is_sent_along_is_put_into_a_cache_that_lacks_it(tmp_path, monkeypatch):
    arena = read_arena(PANELS)
    job, order = order_of(arena)
    [made] = job.play.pairs
    made.function()
    content = compiled.read(made.name)
    assert content
    monkeypatch.setenv("BANDITLAB_CACHE", str(tmp_path / "cache"))
    fetched = []
    site = Site(arena, lambda sent: fetched.append(sent) or content)
    for _ in range(2):
        site.play(order._replace(pairs={made.name: "a reference"}), np.zeros(2, np.int64), print)
    assert fetched == ["a reference"] and compiled.read(made.name) == content


# --- workers that die ---------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch, tmp_path):
    """An arena of Python, a diary of who played what, and where replications die."""
    monkeypatch.chdir(ALONE)

    def arena(**errand):
        diary = tmp_path / "diary"
        diary.write_text("")
        entry = {"name": "errand.py", "diary": str(diary), **errand}
        plain = {"protocol": "alone.py", "problem": entry, "agents": ["messenger.py"]}
        return {**plain, "horizon": 10, "replications": 3}, diary

    return arena


def entries(diary):
    return [line.split() for line in diary.read_text().splitlines()]


def test_a_protocol_that_wants_it_has_a_process_for_each_replication(alone):
    arena, diary = alone()
    there = banditlab.simulate(arena, workers=2)
    rows = entries(diary)
    assert sorted(int(row[0]) for row in rows) == [0, 1, 2]
    assert len({row[1] for row in rows} | {str(os.getpid())}) == 4
    assert {row[2] for row in rows} == {"1"}  # a thread for each library, set before its import
    assert np.array_equal(
        there.raw("messenger"), banditlab.simulate(arena, backend="threads").raw("messenger")
    )


def test_a_killed_worker_loses_no_finished_replication(alone, capfd, tmp_path):
    """Its own is played again, once it is known why it died; others are not."""
    arena, diary = alone(fatal=1, times=1)
    curves = banditlab.simulate(arena, workers=2, keep=tmp_path / "store")
    rows = [int(row[0]) for row in entries(diary)]
    assert sorted(rows) == [0, 1, 1, 2]
    said = [line for line in capfd.readouterr().err.splitlines() if "message" not in line]
    assert len(said) == 1
    assert said[0].startswith("agent 'messenger' in panel 'main', replications 1 to 1: its worker ")
    assert said[0].endswith(
        "was killed by SIGKILL, as by a system that is out of memory; played again by another"
    )
    plain, _ = alone()
    assert same(curves, banditlab.simulate(plain, backend="threads"))


def test_what_kills_every_worker_ends_the_run_in_one_line(alone, tmp_path):
    arena, diary = alone(fatal=1, times=99)
    with pytest.raises(ValueError) as error:
        banditlab.simulate(arena, workers=1, keep=tmp_path / "store")
    assert str(error.value).startswith("agent 'messenger' in panel 'main', replications 1 to 1: ")
    assert str(error.value).endswith("so it went 3 times, on one worker after the other")
    assert [int(row[0]) for row in entries(diary)].count(1) == runner.TRIES
    assert list((tmp_path / "store").glob("*-0-1.block"))  # what was finished is kept
    assert not children()


def test_a_worker_killed_in_a_block_of_lanes(capfd):
    """From outside, while two kernels run."""
    arena = {**PANELS, "panels": PANELS["panels"][:1], "checkpoints": [10**6], "replications": 8}
    arena["panels"] = [{**arena["panels"][0], "horizon": 10**6}]
    killed = []

    def kill():
        while not killed:
            time.sleep(0.2)
            if len(found := children()) == 2:
                time.sleep(1.5)
                os.kill(found[0], signal.SIGKILL)
                killed.append(found[0])

    thread = threading.Thread(target=kill)
    thread.start()
    curves = banditlab.simulate(arena, workers=2, backend="processes")
    thread.join()
    said = capfd.readouterr().err
    assert said.count("\n") <= 1 and (not said or f"{killed[0]} was killed by SIGKILL" in said)
    assert same(curves, banditlab.simulate(arena))


def test_a_process_that_cannot_start_is_one_line(monkeypatch):
    monkeypatch.setattr(processes, "CODE", "raise SystemExit(3)")
    with pytest.raises(ValueError, match=r"^no worker process can be started: .* exit code 3$"):
        banditlab.simulate(PANELS, backend="processes", workers=1)


PROGRAM = """
import sys
sys.argv[0] = "banditlab"
import banditlab.arena.store, banditlab.arena.runner
banditlab.arena.store.SECONDS = banditlab.arena.runner.SECONDS = 0.2
from banditlab.cli.main import main
from banditlab.compile import store as compiled
sys.exit(main())
"""
LONG = """
horizon = 1500000
replications = 40
checkpoints = [1500000]
agents = [{name = "ucb"}]
[problem]
name = "bernoulli"
means = [0.45, 0.55]
"""


def test_workers_do_not_hear_ctrl_c_while_they_start():
    """It reaches every process of a terminal, and they said so in tracebacks, during imports."""
    hand = processes.Process(b"", False)
    hand._start()
    hand.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    hand.process.send_signal(signal.SIGINT)
    assert hand.process.poll() is None
    hand.close()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=lambda n: n.name)
def test_whoever_runs_the_arena_is_stopped_and_workers_end(number, tmp_path):
    """What was in the store stays; a run that goes on has the same bytes."""
    (tmp_path / "long.toml").write_text(LONG)
    out = tmp_path / "out"
    words = [sys.executable, "-c", PROGRAM, "--arena", str(tmp_path / "long.toml"), "--quiet"]
    words += ["--workers", "2", "--out", str(out)]
    run = subprocess.Popen(
        [*words, "--backend", "processes"], stderr=subprocess.PIPE, text=True, cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(out.glob(".partial/*.block")) and time.monotonic() < deadline:
        assert run.poll() is None
        time.sleep(0.02)
    workers = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and f" {run.pid} " in (entry / "stat").read_text()[:60]
    ]
    kept = {path: path.read_bytes() for path in out.glob(".partial/*.block")}
    assert kept and len(workers) >= 2
    run.send_signal(number)
    sent = time.monotonic()
    _, said = run.communicate(timeout=10)
    assert time.monotonic() - sent < 3.0
    assert number == signal.SIGKILL or (said.count("\n") == 1 and "go on with --resume" in said)
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() - sent < 5.0
        time.sleep(0.05)
    assert {path: path.read_bytes() for path in kept} == kept
    done = subprocess.run([*words, "--resume"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and not done.stderr
    again = subprocess.run([*words[:-1], str(tmp_path / "whole")], cwd=ROOT)
    assert again.returncode == 0
    for name in ("curves.csv", "raw.parquet", "run.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "code"), [(0, 2), (1, 1)])
def test_an_error_in_a_kernel_is_the_same_line_on_every_backend(
    kind, code, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(HOUSE)
    lines = []
    for name in backends.NAMES[:2]:
        words = ["--arena", "guesses.toml", "--allow-code", "--vs", "../alone/moody.py", "--quiet"]
        words += ["--set", f"moody.kind={kind}", "--out", str(tmp_path / name), "--backend", name]
        assert main([*words, "--workers", "1", "--replications", "8"]) == code
        lines.append(capsys.readouterr().err)
    assert lines[0] == lines[1] and lines[0].count("\n") == 1
    assert "mood" in lines[0]


def test_an_error_that_does_not_pickle_is_told_in_its_words():
    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    def sent(error):
        try:
            raise error
        except Exception as caught:
            return sendable(caught)

    assert str(sent(Odd(1, 2))) == "Odd: 1 and 2"
    plain = sent(ValueError("one line"))
    assert type(plain) is ValueError and str(plain) == "one line" and plain.places


# --- the site -----------------------------------------------------------------------------------


def order_of(arena, replications=1, first=0, number=0, **more):
    job = Resolver().job(arena, *wanted(arena)[number])
    whose = owner(job, arena.hash(), arena.seed, number)
    part = arena_rows.Part(whose, first, replications, 1, 1, more.pop("in_pieces", False))
    return job, Order(part, tuple(made.code for made in job.play.pairs), **more)


def test_a_worker_that_would_play_something_else_refuses():
    """Other data of a file that it finds, or another banditlab."""
    arena = read_arena(PANELS)
    _, order = order_of(arena)
    other = read_arena({**PANELS, "seed": 5})
    with pytest.raises(ValueError, match=r"^agent 'ucb' in panel 'acts': a worker has other data"):
        Site(other).play(order, np.zeros(2, np.int64), print)
    with pytest.raises(ValueError, match="a worker has other code than who runs the arena"):
        Site(arena).play(order._replace(code=("0",)), np.zeros(2, np.int64), print)


def test_what_a_worker_keeps_of_a_row_is_believed_only_whole(monkeypatch):
    """Stopped at its first look, it goes on from what was kept; damaged, from the beginning."""
    monkeypatch.setattr("banditlab.arena.pieces.SECONDS", 0.0)
    arena = read_arena({"problem": MEANS, "agents": ["ucb"], "horizon": 3000, "seed": 1})
    job, order = order_of(arena, first=3, in_pieces=True)
    record = np.zeros((1, job.loop.checkpoints.size, len(job.loop.measures)))
    arena_rows.run_block(job, 3, record, np.zeros(2, np.int64))
    progress, told, site = np.zeros(2, np.int64), [], Site(arena)

    def tell(message):
        told.append(message)
        progress[1] = runner.STOP

    site.play(order, progress, tell)
    what, row, kept = told[0]
    assert (what, row) == ("keep", 3) and 0 < progress[0] < 3000
    seen: list = []
    rounds = []
    spy = np.zeros(2, np.int64)
    rows, _ = site.play(order._replace(row=kept), spy, lambda m: rounds.append(m[0]))
    assert np.array_equal(rows, record) and set(rounds) == {"keep"}
    bad = kept[:-1] + bytes([kept[-1] ^ 1])
    rows, _ = site.play(order._replace(row=bad), np.zeros(2, np.int64), seen.append)
    assert np.array_equal(rows, record)
    assert seen[0] == ("refuse", 3, "its checksum is wrong")


def test_what_is_kept_elsewhere_stands_in_the_store(tmp_path):
    """The bytes that a worker packs are those that the store reads, and may be handed on."""
    arena = read_arena({"problem": MEANS, "agents": ["ucb"], "horizon": 30})
    _, order = order_of(arena)
    whose, array = order.part.owner, np.arange(5.0)
    with Store(tmp_path, arena.hash()) as store:
        Afar(None, lambda told: store.keep_packed(whose, *told[1:])).keep(whose, 2, [array])
        again = np.zeros(5)
        assert store.fill(whose, 2, [again]) and np.array_equal(again, array)
        found = np.zeros(5)
        assert Afar(store.packed(whose, 2), print).fill(whose, 2, [found])
        assert np.array_equal(found, array)
        assert store.packed(whose, 1) is None


# --- how many -----------------------------------------------------------------------------------


def test_the_probe_takes_as_many_workers_as_gain_something(monkeypatch, capsys):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for speeds, most in (([1, 2, 4, 8], 8), ([1, 2, 2.05, 2.1], 2), ([1, 1, 1, 1], 1)):
        given = iter(speeds)
        monkeypatch.setattr(probe, "speed", lambda *_, given=given: next(given))
        assert probe.chosen("auto") == most
        assert capsys.readouterr().err.startswith(f"workers: {most} of 8 cores (speed by workers:")
    assert probe.chosen(3) == 3 and probe.chosen(None) == 8


def test_the_probe_takes_a_second():
    began = time.monotonic()
    assert probe.speed(1, 0.05) > 0
    assert 0.05 <= time.monotonic() - began < 1.0
    assert probe.SECOND == 1.0


def test_the_command_line_says_what_it_chose(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(probe, "speed", lambda workers, _: float(workers))
    words = ["--agent", "ucb", "--horizon", "20", "--replications", "2", "--json", "--quiet"]
    assert main([*words, "--workers", "auto", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("workers: ") and json.loads(said.out)
