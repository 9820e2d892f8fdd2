"""The run store: what it believes, what it deletes, who may use it, and runs that are killed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import banditlab
from banditlab.arena import rows as arena_rows
from banditlab.arena import runner, store
from banditlab.arena.jobs import Resolver
from banditlab.arena.sealed import DIGITS, TITLE, Damaged, pack, unpack
from banditlab.arena.spec import read_arena
from banditlab.arena.store import BLOCK, Store, owner
from banditlab.data import atomic

ROOT = Path(__file__).parent.parent
SMALL = {
    "problem": {"name": "bernoulli", "means": [0.2, 0.5, 0.8]},
    "agents": [{"name": "ucb"}, {"name": "thompson"}],
    "horizon": 200,
    "replications": 130,
    "seed": 9,
}
HASH = read_arena(SMALL).hash()


def values(curves):
    return {key: record.values for key, record in curves.records.items()}


def same(one, two):
    one, two = values(one), values(two)
    return one.keys() == two.keys() and all(np.array_equal(one[k], two[k]) for k in one)


@pytest.fixture(scope="module")
def small():
    return banditlab.simulate(SMALL, workers=1)


@pytest.fixture(scope="module")
def left(tmp_path_factory):
    """What a run has left, every block in a file of its own; the first is of one replication."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "SECONDS", 0.0)
        patch.setattr(store, "SHARE", float("inf"))
        patch.setattr(runner, "SAFE", 0)
        banditlab.simulate(SMALL, workers=1, keep=folder)
    return folder


def blocks(folder):
    return sorted(path for path in folder.iterdir() if BLOCK.fullmatch(path.name))


def job_of(arena=SMALL, agent=0):
    arena = read_arena(arena)
    return Resolver().job(arena, arena.panels[0], arena.panels[0].agents[agent])


# --- cuts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("most", "seconds"), [(1, 5.0), (7, 5.0), (64, 1e-9), (1000, 5.0)])
def test_where_blocks_are_cut_does_not_change_a_bit(small, monkeypatch, most, seconds):
    """Lanes and single replications alike; a block that begins a replication early is seen."""
    monkeypatch.setattr(runner, "BLOCK", most)
    monkeypatch.setattr(runner, "SECONDS", seconds)
    assert same(banditlab.simulate(SMALL, workers=2), small)


@pytest.mark.parametrize("agent", [0, 1], ids=["ucb", "thompson"])
def test_cut_blocks_are_what_one_call_of_the_kernel_gives(small, agent):
    job = job_of(agent=agent)
    record = np.zeros((130, job.loop.checkpoints.size, 3))
    arena_rows.run_block(job, 0, record, np.zeros(2, np.int64))
    assert np.array_equal(small.records["main", job.agent.label].values, record)


def test_a_block_is_as_many_replications_as_end_in_time(monkeypatch):
    assert runner._Curve(job_of(), {}).most == runner.BLOCK  # lanes, and surely short
    assert runner._Curve(job_of(), {}, batch=10).most == 6  # of ten replications each
    long = runner.SAFE // runner.BLOCK + 1
    assert runner._Curve(job_of({**SMALL, "horizon": long}), {}).most == 1
    monkeypatch.setattr(runner, "SAFE", 0)
    curve = runner._Curve(job_of(), {})
    assert curve.fill({0: np.zeros((10, curve.values.shape[1], 3)), 20: curve.values[20:30]}) == 20
    assert curve.gaps == [(10, 20), (30, 130)]
    other = runner._Curve(job_of(), {})  # one row may be missing, too
    assert other.fill({0: curve.values[:10], 11: curve.values[11:]}) == 129
    assert other.gaps == [(10, 11)]
    assert curve.cut() == (10, 1)  # how long one takes is not known yet
    curve.took(1, runner.SECONDS / 4)
    assert [curve.cut() for _ in range(3)] == [(11, 4), (15, 4), (19, 1)]
    curve.took(1, 1e-6)
    assert [curve.cut() for _ in range(2)] == [(30, runner.BLOCK), (94, 36)]
    for count, seconds, most in ((1, 1e6, 1), (8, 10.0, 4), (8, 3.9, 10), (1, 3.9, 2), (1, 4.1, 1)):
        curve.took(count, seconds)
        assert curve.most == most


# --- what is kept, and what is read -------------------------------------------------------------


def played(monkeypatch):
    """Which replications of which agent the kernels are asked for from now on."""
    asked = []
    plain = arena_rows.run_block

    def spy(job, first, record, progress):
        asked.append((job.agent.label, first, len(record)))
        return plain(job, first, record, progress)

    monkeypatch.setattr(arena_rows, "run_block", spy)
    return asked


def test_a_run_goes_on_where_it_was(tmp_path, left, small, monkeypatch):
    """Blocks kept by a first run are read, not computed again, and give the same curves."""
    folder = shutil.copytree(left, tmp_path / "store")
    files = blocks(folder)
    assert len(files) == 2 * 4  # 1 + 64 + 64 + 1 replications
    gone = files[1]
    gone.unlink()
    stamps = {f: f.stat().st_mtime_ns for f in blocks(folder)}
    asked = played(monkeypatch)
    assert same(banditlab.simulate(SMALL, keep=folder), small)
    assert {label for label, _, _ in asked} == {"ucb"}
    assert sum(count for _, _, count in asked) == int(BLOCK.fullmatch(gone.name)[4])
    assert {f: f.stat().st_mtime_ns for f in stamps} == stamps


def test_blocks_of_other_arenas_are_neither_read_nor_deleted(tmp_path, left, capsys):
    folder = shutil.copytree(left, tmp_path / "store")
    before = {f: f.read_bytes() for f in blocks(folder)}
    for change in ({"seed": 1}, {"horizon": 100}, {"agents": [{"name": "ucb", "alpha": 1.0}]}):
        other = {**SMALL, **change, "replications": 3}
        assert same(banditlab.simulate(other, keep=folder), banditlab.simulate(other))
        with Store(folder, read_arena(other).hash(), resume=False) as kept:
            kept.begin()  # a new run of the other arena deletes what that has left
    assert {f: f.read_bytes() for f in blocks(folder)} == before
    assert not capsys.readouterr().err
    with Store(folder, HASH, resume=False) as kept:
        assert blocks(folder)  # nothing is deleted before the run is sure to begin
        kept.begin()
    assert not folder.exists()


def test_finished_blocks_are_written_with_their_neighbours(tmp_path, monkeypatch):
    job = job_of()
    whose = owner(job, HASH, 9, 0)
    rows = np.arange(40.0).reshape(10, 2, 2)
    with Store(tmp_path, HASH) as kept:
        for first in (0, 6, 3):
            kept.add(whose, first, rows[first : first + 3])
        assert not blocks(tmp_path)
        kept.flush()
        assert [path.name for path in blocks(tmp_path)] == [f"{HASH}-00000-0-9.block"]
        monkeypatch.setattr(store, "SECONDS", 0.0)
        monkeypatch.setattr(store, "SHARE", float("inf"))
        kept.add(whose, 9, rows[9:])
        assert len(blocks(tmp_path)) == 2
    with Store(tmp_path, HASH) as kept:
        found = kept.blocks(whose, rows.shape)
    assert np.array_equal(np.concatenate([found[0], found[9]]), rows)


def test_blocks_with_a_gap_between_them_are_not_joined(tmp_path):
    whose, rows = owner(job_of(), HASH, 9, 0), np.arange(9.0).reshape(9, 1, 1)
    with Store(tmp_path, HASH) as kept:
        for first in (7, 0, 2):
            kept.add(whose, first, rows[first : first + 2])
    with Store(tmp_path, HASH) as kept:
        found = kept.blocks(whose, rows.shape)
    assert {first: part[:, 0, 0].tolist() for first, part in found.items()} == {
        0: [0.0, 1.0, 2.0, 3.0],
        7: [7.0, 8.0],
    }


def test_overlapping_blocks_are_used_once(tmp_path):
    whose = owner(job_of(), HASH, 9, 0)
    rows = np.arange(10.0).reshape(10, 1, 1)
    with Store(tmp_path, HASH) as kept:
        for first, count in ((0, 4), (2, 4), (0, 5), (5, 2), (6, 4)):
            kept.add(whose, first, rows[first : first + count])
            kept.flush()
    with Store(tmp_path, HASH) as kept:
        found = kept.blocks(whose, rows.shape)
    assert {first: len(v) for first, v in found.items()} == {0: 5, 5: 2}
    assert np.array_equal(found[5], rows[5:7])


def test_every_fact_that_decides_numbers_is_part_of_the_owner():
    """None may be forgotten: each change of the arena changes the digest of the job's data."""
    plain = owner(job_of(), HASH, 9, 0)
    for change in (
        {"seed": 8},
        {"horizon": 201, "checkpoints": [200, 201]},
        {"checkpoints": [200]},
        {"log": 7, "agents": [{"name": "ucb", "warm": True}]},
        {"agents": [{"name": "ucb", "alpha": 1.0}]},
        {"problem": {"name": "bernoulli", "means": [0.2, 0.5, 0.7]}},
    ):
        assert owner(job_of({**SMALL, **change}), HASH, 9, 0)["data"] != plain["data"], change
    assert owner(job_of({**SMALL, "replications": 5}), HASH, 9, 0)["data"] == plain["data"]
    job = job_of()  # a horizon is told to the agent, whatever the checkpoints
    task = job.loop.task._replace(horizon=201)
    later = owner(
        job._replace(play=job.play._replace(loop=job.loop._replace(task=task))), HASH, 9, 0
    )
    assert later["data"] != plain["data"]
    gauss = {**SMALL, "problem": {"name": "gaussian", "means": [0.2, 0.5, 0.8]}}
    gauss["agents"] = [{"name": "ucb"}]
    assert owner(job_of(gauss), HASH, 9, 0)["code"] != plain["code"]


def test_each_fact_by_name_is_part_of_the_owner_too():
    """Whoever looks into a block can read them; the digest alone would tell nobody."""
    job = job_of()
    plain = owner(job, HASH, 9, 0)
    others = [owner(job, HASH, 8, 0), owner(job, HASH, 9, 1), owner(job, "0" * 12, 9, 0),
              owner(job, HASH, 9, 0, "C = 2"), owner(job, HASH, 9, 0, batch=2),
              owner(job_of(agent=1), HASH, 9, 0)]  # fmt: skip
    named = ("seed", "curve", "arena", "cell", "batch", "agent")
    for name, other in zip(named, others, strict=True):
        assert other[name] != plain[name]
    assert {"python", "banditlab", "numpy", "numba"} <= set(plain["versions"])


def test_blocks_of_another_seed_are_not_used_whatever_arena_they_say(tmp_path, left, capsys):
    """As after a change of how an arena is hashed, should that forget the seed."""
    other = {**SMALL, "seed": 10}
    mine = read_arena(other).hash()
    (tmp_path / "store").mkdir()
    for path in blocks(left):
        header, payload = parts(path.read_bytes())
        body = json.dumps({**header, "arena": mine}).encode() + b"\n" + payload
        (tmp_path / "store" / path.name.replace(HASH, mine)).write_bytes(sealed(body))
    curves = banditlab.simulate(other, keep=tmp_path / "store")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(blocks(left)) and all("it is of another seed" in line for line in said)
    assert same(curves, banditlab.simulate(other))


def test_digests_tell_types_shapes_and_bytes_apart():
    a = np.arange(2000.0)  # more than NumPy prints
    b = a.copy()
    b[1000] = np.nextafter(b[1000], 0)
    cases = [a, b, a.reshape(40, 50), a.astype(np.float32), (a,), [a], (a, 1), (a, 1.0), (a, True),
             ((a,), 1), (a, (1,)), "a", None, -0.0, 0.0]  # fmt: skip
    assert len({store.digest(case) for case in cases}) == len(cases)
    assert store.digest(a) == store.digest(a.copy())


def test_resume_sees_that_the_data_have_changed(tmp_path, capsys, monkeypatch):
    """The arena names a file; its hash does not know what the file says."""
    log = tmp_path / "log.csv"
    arena = {
        "problem": {"name": "replay", "log": str(log)},
        "agents": [{"name": "ucb"}],
        "horizon": 50,
        "replications": 5,
    }
    log.write_text("action,reward\n" + "0,0\n1,1\n0,0\n1,1\n" * 5)
    banditlab.simulate(arena, keep=tmp_path / "store")
    log.write_text("action,reward\n" + "0,1\n1,0\n0,1\n1,0\n" * 5)
    again = banditlab.simulate(arena, keep=tmp_path / "store")
    said = capsys.readouterr().err.splitlines()
    assert said and all("it is of another data: computed anew" in line for line in said)
    assert same(again, banditlab.simulate(arena))
    asked = played(monkeypatch)
    banditlab.simulate(arena, keep=tmp_path / "store")
    assert not asked  # the new blocks are believed


def test_a_block_that_was_stopped_is_not_kept(tmp_path, monkeypatch):
    """It may have ended before its last round: what it holds is no result."""
    began = threading.Event()

    def until_told(job, first, record, progress):
        began.set()
        while progress[1] == 0:
            time.sleep(0.001)
        return 0.0

    monkeypatch.setattr(arena_rows, "run_block", until_told)
    with Store(tmp_path / "store", HASH) as kept:
        run = runner.Runner(2, kept, None, 1)
        run.submit(job_of(), owner(job_of(), HASH, 9, 0))
        assert began.wait(10)
        run.stop()
        kept.flush()
        assert not blocks(kept.folder)


def test_a_block_of_more_replications_than_there_are_is_not_used(tmp_path):
    whose = owner(job_of(), HASH, 9, 0)
    said = []
    with Store(tmp_path, HASH) as kept:
        kept.add(whose, 5, np.zeros((6, 2, 3)))
    with Store(tmp_path, HASH, say=said.append) as kept:
        assert kept.blocks(whose, (10, 2, 3)) == {}
    assert len(said) == 1 and "replications that the run does not have" in said[0]


def test_files_have_the_modes_that_the_umask_leaves(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic.Together(tmp_path) as files:
            files.text("a", "1")
            files.path("b").write_bytes(b"2")
    finally:
        os.umask(before)
    assert {f.name: f.stat().st_mode & 0o777 for f in tmp_path.iterdir()} == {
        "a": 0o640,
        "b": 0o640,
    }


def test_files_appear_together_or_not_at_all(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(OSError, match="full") as error, atomic.Together(tmp_path) as files:
        files.text("a", "new")
        assert (tmp_path / "a").read_text() == "old"
        raise OSError(28, "full")
    assert error.value.filename == str(tmp_path)  # so that the line says where
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"
    with atomic.Together(tmp_path) as files:
        files.text("a", "new")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "new"


# --- damage -------------------------------------------------------------------------------------


def sealed(body):
    """A body with the checksum that it should have: only its content is wrong."""
    return TITLE + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def parts(data):
    header, _, payload = data[len(TITLE) + DIGITS + 1 :].partition(b"\n")
    return json.loads(header), payload


def forged(**changes):
    def damage(path, data):
        header, payload = parts(data)
        for key, value in changes.items():
            assert header[key] != value
        path.write_bytes(sealed(json.dumps({**header, **changes}).encode() + b"\n" + payload))

    return damage


def flipped(where, bit=0):
    def damage(path, data):
        at = where if where >= 0 else len(data) + where
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])

    return damage


def written(change):
    return lambda path, data: path.write_bytes(change(data))


def resealed(change):
    """A block whose header or payload is changed, with a checksum that fits."""

    def damage(path, data):
        header, payload = parts(data)
        header, payload = change(header, payload)
        path.write_bytes(sealed(header + b"\n" + payload))

    return damage


def nan_inside(data):
    payload = np.frombuffer(data[-8 * 50 :]).copy()
    payload[7] = np.nan
    return data[: -8 * 50] + payload.tobytes()


def fewer_rows(header, payload):
    n, points, measures = header["shape"]
    shape = [n - 1, points, measures]
    return json.dumps({**header, "shape": shape}).encode(), payload[: -8 * points * measures]


def renamed(count):
    def damage(path, data):
        path.rename(path.with_name(path.name.replace("-1-64.", f"-1-{count}.")))

    return damage


def far_too_long(path, data):
    with open(path, "r+b") as file:
        file.truncate(1 << 36)


def npy(path, data):
    with open(path, "wb") as file:
        np.save(file, np.frombuffer(parts(data)[1]))


def another_block(path, data):
    path.write_bytes(path.with_name(path.name.replace("-1-64.", "-65-64.")).read_bytes())


def of_another_agent(path, data):
    path.write_bytes(path.with_name(path.name.replace("-00000-", "-00001-")).read_bytes())


DAMAGE = {
    "a bit of the last value": flipped(-1),
    "a bit in the middle": flipped(-4000, 6),
    "a bit of the checksum": flipped(len(TITLE) + 3),
    "a bit of the header": flipped(len(TITLE) + DIGITS + 5),
    "a bit of the title": flipped(0),
    "nan where there was none": written(nan_inside),
    "half of it": written(lambda data: data[: len(data) // 2]),
    "cut in its header": written(lambda data: data[:100]),
    "empty": written(lambda data: b""),
    "a value too few": written(lambda data: data[:-8]),
    "a byte too many": written(lambda data: data + b"\0"),
    "zeros, as after a crash of the machine": written(lambda data: bytes(len(data))),
    "another layout": written(lambda data: data.replace(TITLE, b"banditlab block 2\n")),
    "an npy file": npy,
    "far too long": far_too_long,
    "fewer rows, sealed": resealed(fewer_rows),
    "a row missing, sealed": resealed(lambda h, p: (json.dumps(h).encode(), p[: -8 * 3])),
    "float32, sealed": resealed(
        lambda h, p: (json.dumps(h).encode(), np.frombuffer(p).astype("f4").tobytes())
    ),
    "a header that is a list, sealed": resealed(lambda h, p: (b"[1]", p)),
    "a header that is no JSON, sealed": resealed(lambda h, p: (b"{\xff", p)),
    "a header far too deep, sealed": resealed(lambda h, p: (b"[" * 100_000, p)),
    "a header without its seed, sealed": resealed(
        lambda h, p: (json.dumps({k: h[k] for k in h if k != "seed"}).encode(), p)
    ),
    "a header with more in it, sealed": resealed(
        lambda h, p: (json.dumps({**h, "more": 1}).encode(), p)
    ),
    "another seed": forged(seed=10),
    "other data": forged(data="0" * 64),
    "other code": forged(code="pair-0"),
    "other versions": forged(versions={"numpy": "1.0"}),
    "another arena": forged(arena="0" * 12),
    "another agent": forged(agent="moss"),
    "another panel": forged(panel="other"),
    "another cell": forged(cell="C = 2"),
    "another curve": forged(curve=1),
    "another place": forged(first=2),
    "another shape": forged(shape=[32, 2, 3]),
    "other measures": forged(measures=["reward", "regret", "switches"]),
    "another block under its name": another_block,
    "a block of another agent under its name": of_another_agent,
    "a larger count in its name": renamed(65),
    "no replication in its name": renamed(0),
    "replications that there are none of": renamed(1000),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_block_is_named_and_computed_anew(
    damage, tmp_path, left, small, capsys, monkeypatch
):
    folder = shutil.copytree(left, tmp_path / "store")
    path = folder / f"{HASH}-00000-1-64.block"
    whole = path.read_bytes()
    others = {f: f.stat().st_mtime_ns for f in blocks(folder) if f != path}
    damage(path, whole)
    (bad,) = set(blocks(folder)) - set(others)
    asked = played(monkeypatch)
    again = banditlab.simulate(SMALL, keep=folder)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and bad.name in said[0] and said[0].endswith("computed anew")
    assert same(again, small)
    assert {label for label, _, _ in asked} == {"ucb"}
    assert sum(count for _, _, count in asked) == 64
    assert {f: f.stat().st_mtime_ns for f in others} == others
    monkeypatch.undo()
    asked = played(monkeypatch)  # what was computed anew is kept, and believed
    assert same(banditlab.simulate(SMALL, keep=folder), small) and not asked
    assert not capsys.readouterr().err


def test_no_bit_can_flip_unseen(left):
    """Every byte of a block is under the checksum or part of what is asked for."""
    path = left / f"{HASH}-00000-0-1.block"
    data = path.read_bytes()
    whose = {k: v for k, v in parts(data)[0].items() if k not in ("first", "shape")}
    shape = tuple(parts(data)[0]["shape"])
    assert unpack(data, whose, 0, shape).shape == shape
    for at in range(len(data)):
        with pytest.raises(Damaged):
            unpack(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], whose, 0, shape)
    for end in range(0, len(data), 7):
        with pytest.raises(Damaged):
            unpack(data[:end], whose, 0, shape)


def test_values_come_back_bit_for_bit():
    odd = np.array([np.nan, -np.nan, np.inf, -0.0, 5e-324, 1e308]).reshape(1, 2, 3)
    back = unpack(pack({"a": 1}, 4, odd), {"a": 1}, 4, (1, 2, 3))
    assert back.tobytes() == odd.tobytes() and back.flags.writeable
    assert unpack(pack({}, 0, odd.T), {}, 0, (3, 2, 1)).tobytes() == odd.T.tobytes("C")


# --- folders ------------------------------------------------------------------------------------


def stranger_file(folder):
    (folder / "thesis.tex").write_text("years of work")


def stranger_link(folder):
    (folder / f"{HASH}-00000-0-64.block").symlink_to(ROOT / "README.md")


def stranger_folder(folder):
    (folder / f"{HASH}-00000-0-64.block").mkdir()


def stranger_pipe(folder):
    os.mkfifo(folder / f"{HASH}-00000-0-64.block")


def old_block(folder):
    (folder / "0123456789abcdef01234567-0-64.npy").write_bytes(b"1")


STRANGERS = [stranger_file, stranger_link, stranger_folder, stranger_pipe, old_block]


@pytest.mark.parametrize("put", STRANGERS)
def test_a_store_that_holds_strangers_is_refused(put, tmp_path):
    put(tmp_path)
    names = sorted(os.listdir(tmp_path))
    with pytest.raises(ValueError, match="holds '.*: move it away") as error:
        banditlab.simulate(SMALL, keep=tmp_path)
    assert "\n" not in str(error.value)
    assert [name for name in sorted(os.listdir(tmp_path)) if name != "lock"] == names


def test_a_store_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ValueError, match="symbolic link"):
        banditlab.simulate(SMALL, keep=tmp_path / "link")
    (tmp_path / "real" / "lock").symlink_to(tmp_path / "elsewhere")  # nor is its lock followed
    with pytest.raises((ValueError, OSError)):
        banditlab.simulate(SMALL, keep=tmp_path / "real")
    assert not (tmp_path / "elsewhere").exists()


def test_a_store_is_used_once_at_a_time(tmp_path):
    with Store(tmp_path / "store", HASH):
        with pytest.raises(ValueError, match=f"in use by process {os.getpid()}: wait"):
            Store(tmp_path / "store", HASH)
    assert not (tmp_path / "store").exists()  # nothing was kept
    with Store(tmp_path / "store", HASH):
        pass


def test_who_waits_for_a_lock_never_holds_that_of_a_deleted_store(tmp_path):
    """Stores come and go while others try: no two ever think that they have it."""
    inside, most, wrong = [], [], []

    def work():
        for _ in range(60):
            try:
                with Store(tmp_path / "store", HASH) as kept:
                    inside.append(1)
                    most.append(len(inside))
                    if not kept.folder.is_dir():
                        wrong.append("gone")
                    inside.pop()
            except ValueError:
                pass
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and not wrong


def test_the_lock_ends_with_the_process(tmp_path):
    code = (
        "import sys, time\nfrom banditlab.arena.store import Store\n"
        f"store = Store({str(tmp_path)!r}, {HASH!r})\nprint('mine', flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout.readline() == "mine\n"
    with pytest.raises(ValueError, match=f"in use by process {process.pid}"):
        Store(tmp_path, HASH)
    process.kill()
    process.communicate()
    with Store(tmp_path, HASH):
        pass


def test_what_a_killed_writer_left_aside_is_swept(tmp_path):
    (tmp_path / f".{HASH}-00000-0-64.block.0123abcd.part").write_bytes(b"half")
    with Store(tmp_path, HASH):
        assert os.listdir(tmp_path) == ["lock"]


def test_a_full_disk_is_one_error_and_leaves_nothing_half_written(tmp_path, monkeypatch):
    def full(self, data):
        with open(self, "wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(store, "SECONDS", 0.0)
    monkeypatch.setattr(store, "SHARE", float("inf"))
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        banditlab.simulate(SMALL, keep=tmp_path / "store")
    assert not (tmp_path / "store").exists()


# --- outputs that fail --------------------------------------------------------------------------

TINY = """
horizon = 50
replications = 5
agents = [{name = "ucb"}]
[problem]
name = "bernoulli"
means = [0.2, 0.5, 0.8]
"""
TABLE = "{python} -m banditlab.arena --arena {toml} --out {out}"
OUTPUTS = {
    "full standard output": (TABLE + " --json >/dev/full", 1, "standard output: No space left"),
    "full, the table": (TABLE + " >/dev/full", 1, "standard output: No space left"),
    "full, the list": ("{python} -m banditlab.arena --list --json >/dev/full", 1, "No space left"),
    "ascii": ("PYTHONIOENCODING=ascii " + TABLE, 0, ""),
    "closed": (TABLE + " >&-", 0, ""),
    "small files": ("ulimit -f 1; " + TABLE, 1, "File too large"),
    "a long name": (TABLE + "x" * 300, 2, "File name too long"),
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(("line", "code", "words"), OUTPUTS.values(), ids=OUTPUTS)
def test_an_output_that_fails_is_one_line(line, code, words, tmp_path):
    toml, out = tmp_path / "tiny.toml", tmp_path / "out"
    toml.write_text(TINY)
    done = subprocess.run(
        ["bash", "-c", line.format(python=sys.executable, toml=toml, out=out)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == (code > 0) and words in done.stderr
    assert not list(tmp_path.rglob("*.part"))
    left = sorted(os.listdir(out)) if out.exists() else []
    assert left in ([], sorted([*SAVED, "run.local.json"]))  # all or none


# --- runs that are stopped ----------------------------------------------------------------------

# A program that keeps what it has more often than every two seconds, so that there is something.
PROGRAM = """
import sys
sys.argv[0] = "banditlab"
import banditlab.arena.store, banditlab.arena.runner
banditlab.arena.store.SECONDS = banditlab.arena.runner.SECONDS = 0.05
from banditlab.arena.__main__ import main
sys.exit(main())
"""
LONG = """
horizon = 20000
replications = 400
agents = [{name = "ucb"}, {name = "ucb", label = "bold", alpha = 0.5}]
[problem]
name = "bernoulli"
means = [0.45, 0.55]
"""
SAVED = ("curves.csv", "run.json", "raw.parquet", "figure.png", "figure.svg")


def start(words):
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        # Started from a shell's background, the tests and their children ignore Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Words that run an arena, what it gives, and how long it takes."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "long.toml").write_text(LONG)
    words = [sys.executable, "-c", PROGRAM, "--arena", str(folder / "long.toml"), "--quiet"]
    for _ in range(2):  # the first may compile
        began = time.monotonic()
        process = start([*words, "--out", str(folder / "whole")])
        assert process.wait(240) == 0, process.communicate()
    took = time.monotonic() - began
    return words, {name: (folder / "whole" / name).read_bytes() for name in SAVED}, took


def test_a_run_stopped_at_any_moment_goes_on_to_the_same_bytes(long, tmp_path, stop):
    words, whole, took = long
    number, moment = stop
    words = [*words, "--out", str(tmp_path / "out")]
    process = start(words)
    time.sleep(moment * took)
    process.send_signal(number)
    sent = time.monotonic()
    _, said = process.communicate(timeout=30)
    waited = time.monotonic() - sent
    if process.returncode != 0 and number != signal.SIGKILL:
        # Before Python comes to our first line it ends as any Python program does.
        early = process.returncode < 0 or not (tmp_path / "out").exists()
        assert early or process.returncode == 1
        assert waited < 2.0 + 1.0  # one for a machine that has other things to do
        assert early or (said.count("\n") == 1 and said.startswith("interrupted; ")), said
        assert not list(tmp_path.rglob("*.part"))
    process = start([*words, "--resume"])
    _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert "computed anew" not in said
    assert {name: (tmp_path / "out" / name).read_bytes() for name in SAVED} == whole
    assert sorted(os.listdir(tmp_path / "out")) == sorted([*SAVED, "run.local.json"])


def moments(seeds):
    """A signal and a moment, as a share of the run, for each seed."""
    kinds = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
    return [(kinds[seed % 3], random.Random(seed).uniform(0.02, 1.0)) for seed in seeds]


def pytest_generate_tests(metafunc):
    if "stop" in metafunc.fixturenames:
        gate = [pytest.param(m, id=f"{m[0].name}-{i}") for i, m in enumerate(moments(range(3)))]
        more = [
            pytest.param(m, id=f"{m[0].name}-{i}", marks=pytest.mark.slow)
            for i, m in enumerate(moments(range(3, 100)), 3)
        ]
        metafunc.parametrize("stop", [*gate, *more])
