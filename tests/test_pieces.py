"""Rows that take long: played in pieces, kept while under way, resumed to the same bits."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import banditlab
from banditlab.arena import pieces, runner
from banditlab.arena import rows as arena_rows
from banditlab.arena.jobs import Resolver
from banditlab.arena.pieces import Keeper
from banditlab.arena.sealed import DIGITS, UNDER_WAY, pack_row
from banditlab.arena.spec import read_arena
from banditlab.arena.store import ROW, Store
from tests.test_store import far_too_long, flipped, sealed

ROOT = Path(__file__).parent.parent
MEANS = {"name": "bernoulli", "means": [0.2, 0.5, 0.8]}
ARENAS = {
    "lanes": {"problem": MEANS, "agents": [{"name": "ucb"}], "horizon": 3000},
    "observe": {
        "protocol": "observe",
        "problem": {"name": "deterministic_gap", "n_arms": 3, "gap": 0.4},
        "agents": [{"name": "exp3"}],
        "horizon": 300,
    },
    "identify": {
        "protocol": "identify",
        "problem": MEANS,
        "agents": [{"name": "lucb"}],
        "horizon": 4000,
    },
    "identify, until the budget is spent": {
        "protocol": "identify",
        "problem": MEANS,
        "agents": [{"name": "lucb"}],
        "horizon": 500,
    },
}
OWNER = {"curve": 0, "arena": "0" * 12}


def job_of(name, **more):
    arena = read_arena({**ARENAS[name], "replications": 4, "seed": 5, **more})
    return Resolver().job(arena, arena.panels[0], arena.panels[0].agents[0])


def play(job, first, record, progress, keeper):
    return pieces.play(job.play, first, record, progress, keeper)


def empty(job, rows=1):
    return np.zeros((rows, job.loop.checkpoints.size, len(job.loop.measures)))


def in_one_go(job, first=1, rows=1):
    record = empty(job, rows)
    arena_rows.run_block(job, first, record, np.zeros(2, np.int64))
    return record


class Killed(Exception):
    """The process is gone."""


class Short(Store):
    """A store that keeps at every chance, of a process that is killed when it has kept enough."""

    left = -1

    def keep(self, owner, row, arrays):
        super().keep(owner, row, arrays)
        self.left -= 1
        if self.left == 0:
            raise Killed


@pytest.fixture
def eager(monkeypatch):
    """Pieces of one round at first, all of them kept."""
    monkeypatch.setattr(pieces, "SECONDS", 0.0)


def opened(folder, left=-1):
    kept = Short(folder, "0" * 12)
    kept.left = left
    return kept


# --- the same bits ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARENAS)
def test_a_replication_killed_again_and_again_has_the_bits_of_the_loop(name, tmp_path, eager):
    job, record, rounds = job_of(name), None, [0]
    assert pieces.possible(job.play)
    while rounds[-1] < job.panel.horizon:
        with opened(tmp_path / "store", left=2 + 3 * len(rounds)) as kept:
            record = empty(job)
            progress = np.zeros(2, np.int64)
            with suppress(Killed):
                play(job, 1, record[0], progress, Keeper(kept, OWNER, 1))
            rounds.append(int(progress[0]))
    assert len(rounds) > 3 and rounds == sorted(set(rounds))  # it went on, and never from the start
    assert np.array_equal(record, in_one_go(job), equal_nan=True)


EVERYWHERE = """
import numpy as np
from banditlab import random, registry
from banditlab.arena import pieces
from banditlab.arena.play import ready
from banditlab.arena.sealed import pack_row, unpack_row
from banditlab.testing import subject


class Keeper:
    '''Keeps every look as the bytes of a file.'''

    kept = None

    def belongs_to(self, **more):
        pass

    def fill(self, arrays):
        if self.kept is not None:
            unpack_row(self.kept, {}, 0, arrays)

    def keep(self, arrays, now):
        self.kept = pack_row({}, 0, arrays)


pieces.SHORT, pieces.LONG = 0.0, 0.0  # a piece is one round, and a process plays one piece
subjects = [subject.subject(name) for name in registry.names()]
subjects += [
    subject.facing(name, registry.example("problem", name))
    for name in registry.problem_names()
    if registry.example("problem", name)
]
for s in subjects:
    loop = subject.loop_of(s, 40)
    if loop.pieces is None:
        continue
    key = random.key(subject.SEED)
    record = np.zeros((1, loop.checkpoints.size, len(loop.measures)))
    made = ready(loop, key)
    made(1, record, np.zeros(2, np.int64))
    keeper, stop, times = Keeper(), np.zeros(2, np.int64), 0
    while stop[0] < 40:
        times += 1
        found, stop[1] = np.zeros(record.shape[1:]), 1
        pieces.play(made, 1, found, stop, keeper)
    assert np.array_equal(found, record[0], equal_nan=True), (s.name, s.problem_name)
    print(s.name, s.problem_name, times)
"""


def test_every_agent_and_problem_goes_on_from_what_is_kept_of_it():
    """In plain Python, after each round from its bytes alone: nothing that changes is left out."""
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", EVERYWHERE], env=env, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    times = [int(line.split()[2]) for line in done.stdout.splitlines()]
    assert len(times) > 50 and sum(n == 40 for n in times) > 30


def test_a_wish_to_stop_keeps_what_was_played(tmp_path):
    job, progress = job_of("lanes"), np.array([0, 1])
    for round_ in (1, 2, 3):  # a piece of one round each time
        with opened(tmp_path / "store") as kept:
            play(job, 2, empty(job)[0], progress, Keeper(kept, OWNER, 2))
        assert progress.tolist() == [round_, 1]
    with opened(tmp_path / "store") as kept:
        assert kept.under_way(OWNER) and "with 0 replications and 1 under way" in kept.summary()
        record = empty(job)
        play(job, 2, record[0], np.zeros(2, np.int64), Keeper(kept, OWNER, 2))
        assert np.array_equal(record, in_one_go(job, 2))
        kept.add(OWNER, 2, record)  # finished: only then is it no longer under way
        assert not kept.under_way(OWNER) and "with 1 replications, in" in kept.summary()


def test_pieces_grow_and_shrink_with_the_time_that_they_take(monkeypatch):
    """With a clock that every round moves by a hundredth of a second."""
    job, asked, now = job_of("lanes", horizon=2000, checkpoints=[2000]), [], [0.0]
    plain = pieces.compiled

    def compiled(loop, *given):
        made = plain(loop, *given)
        if loop is not job.loop.pieces.play:
            return made

        def spy(task, run, t, end, most, row):
            then = made(task, run, t, end, most, row)
            assert then == min(t + most, end)
            asked.append(most)
            now[0] += 0.01 * (then - t)
            return then

        spy.name, spy.data = made.name, made.data
        return spy

    monkeypatch.setattr(pieces, "compiled", compiled)
    monkeypatch.setattr(pieces.time, "monotonic", lambda: now[0])
    play(job, 0, empty(job)[0], np.zeros(2, np.int64), Keeper(None, OWNER, 0))
    assert asked[:6] == [1, 2, 4, 8, 16, 16] and set(asked[4:]) == {16}


# --- when ---------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(runner, "LOOKS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(runner, "TOO_LONG", 0.0)
    monkeypatch.setattr(runner, "SAFE", 0)


def block_of(name="lanes", count=1, **curve):
    return runner._Block(runner._Curve(job_of(name), OWNER, **curve), 0, count)


def looks(block, *seen):
    """Whether pieces are asked for after each look, (seconds, rounds)."""
    found = []
    for seconds, rounds in seen:
        block.flag[0] = rounds
        block.look(block.began + seconds)
        found.append(int(block.flag[1]) == runner.IN_PIECES)
    return found


def test_a_replication_that_promises_a_minute_is_played_in_pieces(monkeypatch):
    monkeypatch.setattr(runner, "SAFE", 0)
    assert looks(block_of(), (1.9, 1), (2.0, 104)) == [False, False]  # 58 s
    assert looks(block_of(), (2.0, 97)) == [True]  # 62 s
    # It slows down: 40 s at first, then 72 s, as the rounds since the last look show.
    assert looks(block_of(), (2.0, 150), (3.0, 180), (4.0, 230)) == [False, False, True]
    # Nothing yet: it may be busy with what comes first; but not for ever.
    assert looks(block_of(), (2.0, 0), (4.0, 0), (7.9, 0), (8.0, 0)) == [False, False, False, True]
    assert looks(block_of(), (2.0, 0), (4.0, 0), (8.0, 2000), (60.0, 2001)) == [False] * 4
    assert looks(block_of(count=2), (2.0, 1)) == [False]
    assert looks(block_of(batch=2), (2.0, 1)) == [False]


def test_in_pieces_one_replication_is_played_at_a_time():
    """However many of those before would have ended in time."""
    curve = runner._Curve(job_of("lanes"), OWNER)
    curve.fill({})
    curve.in_pieces, curve.most = True, 3
    assert [curve.cut() for _ in range(3)] == [(0, 1), (1, 1), (2, 1)]


def test_no_pieces_without_a_store_and_none_for_short_runs(monkeypatch, tmp_path):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr(pieces, "possible", never)
    small = {**ARENAS["lanes"], "replications": 4}
    banditlab.simulate(small, keep=tmp_path / "store")
    monkeypatch.setattr(runner, "TOO_LONG", 0.0)
    banditlab.simulate(small)


def slow_arena(**more):
    """A kernel that needs a while, so that it is looked at meanwhile."""
    return {**ARENAS["lanes"], "horizon": 10**7, "replications": 3, "checkpoints": [10**7], **more}


def test_a_run_goes_over_to_pieces_and_its_curves_do_not_change(impatient, tmp_path, monkeypatch):
    played = []
    plain = pieces.play
    monkeypatch.setattr(pieces, "play", lambda *given: played.append(given[1]) or plain(*given))
    arena = slow_arena()
    curves = banditlab.simulate(arena, workers=2, keep=tmp_path / "store")
    assert set(played) == {0, 1, 2}
    assert os.listdir(tmp_path / "store").count("lock") == 1
    assert not [x for x in os.listdir(tmp_path / "store") if ROW.fullmatch(x)]
    monkeypatch.undo()
    assert np.array_equal(curves.raw("ucb"), banditlab.simulate(arena, workers=2).raw("ucb"))


def test_what_cannot_be_cut_is_played_in_one_go(impatient, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(pieces, "possible", asked.append)
    monkeypatch.setattr(pieces, "play", None)
    arena = slow_arena(replications=1)
    curves = banditlab.simulate(arena, keep=tmp_path / "store")
    assert len(asked) == 1
    monkeypatch.undo()
    assert np.array_equal(curves.raw("ucb"), banditlab.simulate(arena).raw("ucb"))


def test_numbers_that_python_would_change_do_not_pass():
    from numba import types

    fine = types.Tuple((types.int64, types.float64[::1], types.boolean, types.float64))
    assert pieces._passes(types.Tuple((fine, types.uint64[:])))
    for odd in (types.uint64, types.float32, types.intp[:].dtype.__class__("int8"), types.none):
        assert not pieces._passes(types.Tuple((fine, odd)))


# --- batches ------------------------------------------------------------------------------------


def means(kept, job, row=2, batch=10):
    curve = runner._Curve(job, OWNER, batch)
    curve.width = 1
    progress = np.zeros(2, np.int64)
    curve.play(row, 1, progress, kept)
    return curve.values[row]


def test_a_batch_killed_again_and_again_has_the_same_mean(tmp_path, eager):
    job = job_of("lanes", replications=40, horizon=50)
    rows = in_one_go(job, 20, 10)
    tries, found = 0, None
    while found is None:
        tries += 1
        with opened(tmp_path / "store", left=2) as kept, suppress(Killed):
            found = means(kept, job)
    assert tries > 2
    assert np.array_equal(found, np.sum(rows, axis=0, initial=0.0) / 10)


# --- damage -------------------------------------------------------------------------------------


def head_and_body(data):
    header, _, payload = data[len(UNDER_WAY) + DIGITS + 1 :].partition(b"\n")
    return json.loads(header), payload


def resealed(**changes):
    def damage(path, data):
        header, payload = head_and_body(data)
        body = json.dumps({**header, **changes}).encode() + b"\n" + payload
        path.write_bytes(sealed(body).replace(sealed(b"")[:18], UNDER_WAY, 1))

    return damage


DAMAGE = {
    "a bit of the last value": flipped(-1),
    "a bit in the middle": flipped(-60, 5),
    "a bit of the checksum": flipped(len(UNDER_WAY) + 3),
    "a bit of the header": flipped(len(UNDER_WAY) + DIGITS + 5),
    "a bit of the title": flipped(2),
    "half of it": lambda path, data: path.write_bytes(data[: len(data) // 2]),
    "empty": lambda path, data: path.write_bytes(b""),
    "a byte too many": lambda path, data: path.write_bytes(data + b"\0"),
    "zeros": lambda path, data: path.write_bytes(bytes(len(data))),
    "far too long": far_too_long,
    "another row, sealed": resealed(row=0),
    "another seed, sealed": resealed(data="0" * 64),
    "other code, sealed": resealed(pieces=["pair-0", "pair-1"]),
    "other arrays, sealed": resealed(arrays=[]),
    "other parameters, sealed": resealed(params="0" * 64),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_row_is_named_and_played_anew(damage, tmp_path, eager):
    job, said = job_of("lanes"), []
    owner = {**OWNER, "data": "1" * 64}
    with opened(tmp_path / "store", left=5) as kept:
        with pytest.raises(Killed):
            play(job, 1, empty(job)[0], np.zeros(2, np.int64), Keeper(kept, owner, 1))
    (path,) = (x for x in (tmp_path / "store").iterdir() if ROW.fullmatch(x.name))
    damage(path, path.read_bytes())
    with Store(tmp_path / "store", "0" * 12, say=said.append) as kept:
        record = empty(job)
        play(job, 1, record[0], np.zeros(2, np.int64), Keeper(kept, owner, 1))
    assert len(said) == 1 and path.name in said[0] and said[0].endswith("computed anew")
    assert np.array_equal(record, in_one_go(job))


def test_a_row_belongs_to_the_code_and_the_data_that_play_it(tmp_path, eager):
    """Those of the pieces: the loop's own may be another, of lanes."""
    found = {}
    cases = {
        "ucb": {},
        "again": {},
        "other code": {"agents": [{"name": "thompson"}]},
        "other data": {"problem": {**MEANS, "means": [0.2, 0.5, 0.7]}},
    }
    for title, more in cases.items():
        job, folder = job_of("lanes", **more), tmp_path / title
        with opened(folder, left=1) as kept, suppress(Killed):
            play(job, 1, empty(job)[0], np.zeros(2, np.int64), Keeper(kept, OWNER, 1))
        (path,) = folder.glob("*.row")
        header, _ = head_and_body(path.read_bytes())
        found[title] = tuple(header["pieces"]), header["params"]
    code, data = found["ucb"]
    assert found["again"] == (code, data) and len(set(code)) == 2
    assert not set(found["other code"][0]) & set(code)
    assert found["other data"][0] == code and found["other data"][1] != data
    (path,) = (tmp_path / "other data").glob("*.row")
    path.rename(tmp_path / "ucb" / path.name)
    said = []
    with Store(tmp_path / "ucb", "0" * 12, say=said.append) as kept:
        job = job_of("lanes")
        play(job, 1, empty(job)[0], np.zeros(2, np.int64), Keeper(kept, OWNER, 1))
    assert len(said) == 1 and "it is of another params" in said[0]


def test_rows_that_are_finished_or_beyond_the_run_are_not_used(tmp_path):
    said = []
    with Store(tmp_path, "0" * 12, say=said.append) as kept:
        kept.add(OWNER, 3, np.ones((2, 1, 1)))
    for row in (3, 4, 5, 9):
        (tmp_path / f"{'0' * 12}-00000-{row}.row").write_bytes(pack_row(OWNER, row, []))
    with Store(tmp_path, "0" * 12, say=said.append) as kept:
        assert list(kept.blocks(OWNER, (8, 1, 1))) == [3]
        assert list(kept.rows[0]) == [5]
        kept.begin()
    assert (
        len(said) == 1 and "-9.row" in said[0] and "of a row that the run does not have" in said[0]
    )
    with Store(tmp_path, "0" * 12, resume=False) as kept:
        kept.begin()
        assert os.listdir(tmp_path) == ["lock"]


# --- runs that are killed -----------------------------------------------------------------------

PROGRAM = """
import sys
sys.argv[0] = "banditlab"
import banditlab.arena.runner, banditlab.arena.pieces
banditlab.arena.runner.LOOKS, banditlab.arena.runner.TOO_LONG = (0.05, 0.1, 0.2), 0.0
banditlab.arena.pieces.SECONDS = 0.05
from banditlab.arena.__main__ import main
sys.exit(main())
"""
TOML = """
horizon = {horizon}
replications = {replications}
agents = [{{name = "ucb"}}]
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
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def whole(words, out):
    """Run to the end; what is saved, and the seconds that it took."""
    began = time.monotonic()
    process = start([*words, "--out", str(out)])
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return {name: (out / name).read_bytes() for name in SAVED}, time.monotonic() - began


def under_way(out):
    """The rounds that are kept of each row under way."""
    found = {}
    for path in (out / ".partial").glob("*.row"):
        if match := ROW.fullmatch(path.name):
            header, payload = head_and_body(path.read_bytes())
            assert header["arrays"][0] == ["<i8", [1]]
            found[int(match[3])] = int(np.frombuffer(payload[:8], np.int64)[0])
    return found


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Words of a run of two long replications, what it gives, and how long it takes."""
    folder = tmp_path_factory.mktemp("long")
    (folder / "long.toml").write_text(TOML.format(horizon=2 * 10**7, replications=2))
    words = [sys.executable, "-c", PROGRAM, "--arena", str(folder / "long.toml"), "--quiet"]
    plain = [sys.executable, "-m", "banditlab.arena", *words[3:]]
    expected, _ = whole(plain, folder / "plain")
    found, took = whole(words, folder / "whole")
    assert found == expected
    return words, expected, took


def test_a_long_replication_killed_at_any_moment_goes_on_to_the_same_bytes(long, tmp_path, stop):
    words, expected, took = long
    number, moments = stop
    words = [*words, "--out", str(tmp_path / "out")]
    kept = []
    for i, moment in enumerate(moments):
        process = start([*words, *(["--resume"] if i else [])])
        time.sleep(moment * took)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert "computed anew" not in said and "Traceback" not in said
        if process.returncode == 0:
            break
        kept.append(sum(under_way(tmp_path / "out").values()))
    _, said = (process := start([*words, "--resume"])).communicate(timeout=240)
    assert process.returncode == 0 and "computed anew" not in said, said
    assert {name: (tmp_path / "out" / name).read_bytes() for name in SAVED} == expected
    assert sorted(os.listdir(tmp_path / "out")) == sorted([*SAVED, "run.local.json"])


@pytest.mark.slow
def test_a_replication_of_minutes_loses_ten_seconds_at_most(tmp_path):
    """With the settings as they are: killed twice, what is kept is never ten seconds behind."""
    (tmp_path / "long.toml").write_text(TOML.format(horizon=2 * 10**9, replications=1))
    words = [sys.executable, "-m", "banditlab.arena", "--arena", str(tmp_path / "long.toml")]
    words += ["--json", "--workers", "1", "--out", str(tmp_path / "out")]
    before = 0
    for resume in (False, True):
        process = start([*words, *(["--resume"] if resume else [])])
        seen = [(time.monotonic(), before)]  # when what is kept has grown, and to how much
        while len(seen) < 8:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
            kept = sum(under_way(tmp_path / "out").values())
            if kept > seen[-1][1]:
                seen.append((time.monotonic(), kept))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        before = seen[-1][1]
        gaps = np.diff([at for at, _ in seen])
        print("kept", [rounds for _, rounds in seen], "seconds between", np.round(gaps, 1))
        assert gaps[1:].max() < 10.0  # before the first, Python starts and pieces are compiled


def moments(seeds):
    """A signal and moments, as shares of the run, for each seed."""
    kinds = [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]
    luck = [random.Random(seed) for seed in seeds]
    return [
        (kinds[i % 3], [x.uniform(0.2, 0.9) for _ in range(1 + (i > 0))])
        for i, x in enumerate(luck)
    ]


def pytest_generate_tests(metafunc):
    if "stop" in metafunc.fixturenames:
        cases = [
            pytest.param(m, id=f"{m[0].name}-{i}", marks=[pytest.mark.slow] if i else [])
            for i, m in enumerate(moments(range(30)))
        ]
        metafunc.parametrize("stop", cases)
