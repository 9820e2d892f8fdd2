"""Saved agents: what is read is what was written, or one line that says why not."""

import io
import json
import os
import stat
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from banditlab import Agent, migrations, saved
from banditlab.agent import leaves

HERE = Path(__file__).parent
GIVEN = {"n_arms": 3, "n_contexts": 1, "dim": 0, "horizon": 100}
GOOD = np.array([1, 2, 3, 4], np.uint64)


def played(agent):
    """The agent after some rounds."""
    for t in range(7):
        agent.update(None, agent.act(), t / 7)
    return agent


@pytest.fixture
def path(tmp_path):
    played(Agent("exp3", n_arms=3, horizon=100, eta=0.1)).save(tmp_path / "agent.npz")
    return tmp_path / "agent.npz"


def forge(path, change=None, honest=True, **arrays):
    """Another file, with facts changed by ``change(about)`` and other arrays; None leaves one out.

    ``honest``: with the checksum that fits.
    """
    with np.load(path) as stored:
        parts = dict(stored)
    about = json.loads(str(parts.pop("about")))
    parts = {name: array for name, array in {**parts, **arrays}.items() if array is not None}
    if change is not None:
        change(about)
    if honest:
        about["checksum"] = saved._checksum(about, parts)
    forged = path.with_name("forged.npz")
    np.savez(forged, about=np.array(json.dumps(about)), **parts)
    return forged


def refused(path, words="", **given):
    with pytest.raises(ValueError) as error:
        Agent.load(path, **given)
    text = str(error.value)
    assert "\n" not in text and str(path) in text and words in text, text
    assert len(text) < 1000


def contents(agent):
    return agent._about(), [array.tobytes() for array in agent._arrays().values()]


def a_file(tmp_path, **arrays):
    """A file that says of itself what `read_as` takes for an agent."""
    about = {"name": "ucb", "hyper": {}, "given": {}, "t": 0}
    saved.write(tmp_path / "a", about, {"rng": GOOD, **arrays})
    return tmp_path / "a"


def read_as(path, **arrays):
    _, found = saved.read(path, lambda about: ({"given": {}, "t": 0}, {"rng": GOOD, **arrays}))
    return found


# --- what is read is what was written ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("exp3", {"n_arms": 3, "eta": 0.1}),
        ("ucb", {"n_arms": 2, "n_contexts": 3, "horizon": 50}),
        # A state with nan, and a hyper-parameter that is no number in JSON.
        ("dp_sequential_halving", {"n_arms": 4, "horizon": 90, "epsilon": float("inf")}),
        ("blocked", {"n_arms": 3, "horizon": 60, "base": "exp3", "tau": 3, "budget": 40}),
        ("vi_lcb", {"gamma": 0.9}),
    ],
)
def test_what_is_read_is_what_was_written(tmp_path, name, given):
    agent = Agent(name, **given)
    if name in ("exp3", "dp_sequential_halving"):
        for array in leaves(agent.state):
            if array.dtype.kind == "f":
                array.reshape(-1)[: array.size // 2] = 1
        agent.t = 5
    agent.save(tmp_path / "a")
    assert os.listdir(tmp_path) == ["a"]
    loaded = Agent.load(tmp_path / "a")
    assert type(loaded) is type(agent) and loaded.algorithm.params == agent.algorithm.params
    assert contents(loaded) == contents(agent)


def test_arrays_in_either_order_and_empty_ones(tmp_path):
    matrix = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    file = a_file(tmp_path, state0=matrix, state1=np.zeros((0, 5)))
    found = read_as(file, state0=np.zeros((2, 3)), state1=np.zeros((0, 5)))
    assert (found["state0"] == matrix).all() and found["state0"].flags.writeable
    assert found["state1"].shape == (0, 5)


def test_hyper_parameters_of_numpy_are_read_as_json_has_them(tmp_path):
    Agent("exp3", n_arms=3, eta=np.float64(0.5)).save(tmp_path / "a")
    assert Agent.load(tmp_path / "a").algorithm.params.eta == 0.5
    Agent("noisy_max", n_arms=2, horizon=9, rows=np.array([4, 5])).save(tmp_path / "a")
    assert Agent.load(tmp_path / "a").algorithm.params.rows.tolist() == [4, 5]


def test_a_file_is_written_whole_or_not_at_all(path, monkeypatch):
    before = path.read_bytes()

    def full(source, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(ValueError, match="agent.npz cannot be written: No space left"):
            Agent("ucb", n_arms=2).save(path)
    assert path.read_bytes() == before and os.listdir(path.parent) == ["agent.npz"]
    pipe = path.with_name("pipe")
    os.mkfifo(pipe)  # in the place of a device
    for place in (path.parent, pipe, path.parent / "none" / "a"):
        with pytest.raises(ValueError, match="cannot be written"):
            Agent("ucb", n_arms=2).save(place)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    plain = path.with_name("plain")
    plain.write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_what_json_cannot_hold_is_not_saved(tmp_path):
    for hyper in ({"f": lambda: 0}, {"base": "./mine.py"}, {"inner": [{"base": "MINE.PY"}]}):
        with pytest.raises(ValueError, match="hyper-parameters"):
            saved.write(tmp_path / "a", {"hyper": hyper}, {})
    assert not os.listdir(tmp_path)


# --- nothing is run ------------------------------------------------------------------------------

SPY = """
from pathlib import Path
from banditlab.agents.adversarial.exp3 import exp3
Path({marker!r}).write_text("ran")
def spy(eta=0.1):
    return exp3(eta)
"""


@pytest.fixture
def spy(tmp_path):
    marker = tmp_path / "marker"
    (tmp_path / "spy.py").write_text(SPY.format(marker=str(marker)))
    return tmp_path / "spy.py", marker


def test_a_file_that_is_named_is_not_run(path, spy):
    file, marker = spy
    for name in (str(file), "spy.py", f"{file}\n.py"):
        refused(forge(path, lambda about, name=name: about.update(name=name)), "not run unasked")

    def blocked(about):
        about.update(name="blocked", hyper={"base": str(file)})

    refused(forge(path, blocked), "must not name a file")
    refused(forge(path, lambda about: about.update(name=str(file)[:-3])), "unknown agent")
    assert not marker.exists()


def test_a_file_that_is_handed_over_is_run(path, spy):
    file, marker = spy
    forged = forge(path, lambda about: about.update(name="./elsewhere/spy.py"))
    refused(forged, "not by 'other.py'", algorithm="other.py")
    assert not marker.exists()
    agent = Agent.load(forged, algorithm=str(file))
    assert agent.name == str(file) and marker.exists() and agent.t == 7
    refused(path, "saved by 'exp3', not by", algorithm=str(file))


# --- nothing is believed -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"t": -5}, "t must be a whole number from 0"),
        ({"t": 2.0}, "t must be a whole number"),
        ({"t": True}, "t must be a whole number"),
        ({"t": 2**63}, "t must be a whole number"),
        ({"schema": 5}, "it has schema 5, of a newer banditlab: this version reads 1 to 4; pip"),
        ({"schema": 0}, "it has schema 0, this version reads 1 to 4"),
        ({"schema": None}, "it has schema None"),
        ({"name": 3}, "name must be a text"),
        ({"name": "exp"}, "unknown agent 'exp'"),
        ({"name": "n" * 10**6}, "unknown agent"),
        ({"name": "batched_omd"}, "no saved agent"),
        ({"name": "vi_lcb"}, "no saved agent"),
        ({"hyper": []}, "hyper must be a mapping"),
        ({"hyper": {"eta": "much"}}, "eta"),
        ({"hyper": {"eta": []}}, "eta"),
        ({"hyper": {"beta": 1}}, "unknown argument 'beta'"),
        ({"hyper": {"seed": [1]}}, "seed"),
        ({"given": {**GIVEN, "n_arms": 4}}, "array state"),
        ({"given": {**GIVEN, "n_arms": 3.0}}, "n_arms must be a whole number"),
        ({"given": {**GIVEN, "n_arms": 10**12}}, "n_arms must be a whole number from 0 to"),
        ({"given": {**GIVEN, "n_contexts": 10**8}}, "n_contexts makes the task too large"),
        ({"given": {**GIVEN, "dim": 10**5}}, "dim makes the task too large"),
        ({"given": {**GIVEN, "horizon": 100.0}}, "given is"),
        ({"given": {**GIVEN, "horizon": float("nan")}}, "horizon must be a number"),
        ({"given": {**GIVEN, "horizon": {}}}, "horizon must be a number"),
        ({"given": {**GIVEN, "algorithm": "ucb"}}, "no saved agent"),
        ({"given": {**GIVEN, "seed": 5}}, "given is"),
        ({"given": {"n_arms": 3}}, "given is"),
        ({"given": 3}, "given must be a mapping"),
        ({"left": 3}, "left is 3 where None fits"),
        ({"shape": [10**6, 10**6]}, "shape makes the task too large"),
    ],
)
def test_facts_of_other_types_or_out_of_range(path, changes, words):
    refused(forge(path, lambda about: about.update(changes)), words)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"rng": np.zeros(4, np.uint64)}, "array rng must not be 0 throughout"),
        ({"rng": GOOD.astype(np.int64)}, "array rng must have shape (4,) and type uint64"),
        ({"rng": GOOD[:3]}, "array rng must have shape (4,)"),
        ({"rng": GOOD[None]}, "array rng must have shape (4,)"),
        ({"rng": GOOD.astype(">u8")}, "type uint64, got (4,) and >u8"),
        ({"rng": None}, "array rng is missing"),
        ({"state0": None}, "array state0 is missing"),
        ({"state9": GOOD}, "array state9 is unknown"),
        ({"x": GOOD}, "array x is unknown"),
        ({"state0": np.full((1, 3), np.nan)}, "array state0 must not hold nan"),
        ({"state0": np.array([[None] * 3])}, "type float64, got (1, 3) and object"),
        ({"state0": np.zeros(10**6)}, "array state0 must have shape (1, 3)"),
    ],
)
def test_other_arrays(path, arrays, words):
    refused(forge(path, **arrays), words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"left": -1}, "left must be a whole number from 0 to 40"),
        ({"left": 41}, "left must be a whole number from 0 to 40"),
        ({"left": None}, "left must be"),
        ({"given": {"n_arms": 3, "horizon": 60, "budget": -1, "price": 1.0, "extra": False}},
         "left must be"),
        ({"given": {"n_arms": 3, "horizon": 60, "budget": 40, "price": "1", "extra": False}},
         "given is"),
        ({"given": {"n_arms": 3, "horizon": 60, "budget": 40, "price": 1.0, "extra": 0}},
         "given is"),
    ],
)  # fmt: skip
def test_facts_of_an_agent_that_pays(tmp_path, changes, words):
    Agent("blocked", n_arms=3, horizon=60, budget=40).save(tmp_path / "agent.npz")
    refused(forge(tmp_path / "agent.npz", lambda about: about.update(changes)), words)
    zeros = forge(tmp_path / "agent.npz", looker=np.zeros(4, np.uint64))
    refused(zeros, "array looker must not be 0 throughout")


def test_an_edit_does_not_fit_the_checksum(path):
    assert contents(Agent.load(forge(path))) == contents(Agent.load(path))
    refused(forge(path, lambda about: about.update(t=8), honest=False), "checksum")
    refused(forge(path, honest=False, state0=np.ones((1, 3))), "checksum")
    refused(forge(path, lambda about: about.update(checksum=None), honest=False), "checksum")


def test_truth_values_are_0_or_1(tmp_path):
    file = a_file(tmp_path, state0=np.array([0, 1, 2], np.uint8).view(np.bool_))
    with pytest.raises(ValueError, match="state0 must hold truth values"):
        read_as(file, state0=np.zeros(3, np.bool_))


def entries(path, **texts):
    """The file again, with the bytes of entries replaced."""
    forged = path.with_name("forged.npz")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(forged, "w") as new:
        for name in old.namelist():
            new.writestr(name, texts.get(name.removesuffix(".npy"), old.read(name)))
    return forged


def header(shape, descr):
    held = io.BytesIO()
    fields = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(held, fields)
    return held.getvalue()


def test_facts_of_any_length(path, monkeypatch):
    monkeypatch.setattr(saved, "LARGEST_ABOUT", 100)
    refused(path, "about must be a text of at most 100 bytes")


def test_what_is_no_text_in_json(path):
    for about, words in (
        (np.array("no json"), "in JSON"),
        (np.array("[" * 10**5), "in JSON"),
        (np.array("[]"), "object in JSON"),
        (np.array(""), "must be a text"),
        (np.array(3), "must be a text"),
        (np.array(["{}"]), "must be a text"),
        (np.array("{}"), "it has schema None"),
    ):
        held = io.BytesIO()
        np.save(held, about)
        refused(entries(path, about=held.getvalue()), words)
    held = io.BytesIO()
    np.save(held, np.array({"schema": 3}), allow_pickle=True)
    refused(entries(path, about=held.getvalue()), "must be a text")
    refused(entries(path, about=header((), "<U3") + b"\xff" * 12), "no saved agent")


def test_sizes_that_are_claimed_take_no_memory(path):
    packed = path.with_name("packed.npz")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("about", "rng", "state0", "state1"):
            file.writestr(f"{name}.npy", header((10**7,), "<f8") + bytes(10**7))
    refused(packed, "is packed")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    refused(packed, "is packed")  # all else is right
    bombs = []
    for name, head in (
        ("about", header((), "<U1000000000")),
        ("about", header((10**12,), "<U4")),
        ("state0", header((10**12,), "<f8")),
        ("state0", header((1, 3), "|O")),
        ("state0", header((3,), [("a", "<f8", (10**9,))])),
        ("state0", header((1, 3), "<f8") + bytes(10**7)),
        ("state0", b"\x93NUMPY\x01\x00" + b"\xff\xff" + b"(" * 65535),
        ("state0", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f"),
        ("state0", b""),
    ):
        bombs.append(entries(path, **{name: head}).rename(path.with_name(f"bomb{len(bombs)}.npz")))
    Agent("exp3", n_arms=3)  # compiled before memory is counted
    tracemalloc.start()
    try:
        for bomb in bombs:
            tracemalloc.reset_peak()
            refused(bomb)
            assert tracemalloc.get_traced_memory()[1] < 3e7
    finally:
        tracemalloc.stop()


def test_what_is_no_file_or_no_archive(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("agent")
    np.save(tmp_path / "one.npy", np.zeros(3))
    os.mkfifo(tmp_path / "pipe")
    for name in ("empty", "text", "one.npy", "pipe", "none", "."):
        refused(tmp_path / name)


def test_names_that_appear_twice(path):
    forged = path.with_name("forged.npz")
    forged.write_bytes(path.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(forged, "a") as file:
        file.writestr("state0.npy", zipfile.ZipFile(path).read("state0.npy"))
    refused(forged, "appears twice")


def mutated(whole, rng):
    """Some bytes changed, cut out, doubled, or the end cut off."""
    text = bytearray(whole)
    at, kind = int(rng.integers(len(text))), int(rng.integers(6))
    length = int(rng.integers(1, 64))
    if kind <= 2:
        text[at] ^= 1 << int(rng.integers(8))
    elif kind == 3:
        text[at : at + length] = rng.bytes(length)
    elif kind == 4:
        text[at:at] = text[at : at + length]
    else:
        del text[at : at + length if rng.random() < 0.7 else None]
    return bytes(text)


def fuzz(path, first, count):
    whole = path.read_bytes()
    whole_contents = contents(Agent.load(path))
    forged = path.with_name("forged.npz")
    passed = 0
    for seed in range(first, first + count):
        forged.write_bytes(mutated(whole, np.random.default_rng(seed)))
        try:
            agent = Agent.load(forged)
        except ValueError as error:
            assert "\n" not in str(error), seed
        else:  # of bytes that say nothing, such as dates of entries
            passed += 1
            assert contents(agent) == whole_contents, seed
    assert passed < count / 3


def test_mutated_files_are_refused_or_say_the_same(path):
    fuzz(path, 0, 300)


@pytest.mark.slow
def test_many_mutated_files(path):
    fuzz(path, 300, 20_000)


# --- whole numbers with which kernels look things up --------------------------------------------


def test_no_forged_number_leads_outside_an_array():
    """See tests/forged.py, which runs the kernels where each bad index is an error."""
    words = [sys.executable, str(HERE / "forged.py")]
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    rows = [line.split() for line in done.stdout.splitlines()]
    assert len(rows) > 30 and sum(int(refused) for _, refused, _ in rows) > 1000


FORGED = [
    ("sliding_ucb", {"n_arms": 3, "window": 5}, "arms", -1, 3, "from -1 to 2"),
    ("sliding_ucb", {"n_arms": 3, "window": 5}, "head", 0, 5, "from 0 to 4"),
    ("sliding_ucb", {"n_arms": 3, "window": 5}, "head", 0, -1, "from 0 to 4"),
    ("ucb", {"n_arms": 3, "horizon": 9}, "task", 0, 4, "task must be [3, 1, 0, 9], got [4, 1, 0"),
    ("top_two_thompson", {"n_arms": 3, "horizon": 9}, "chosen", 0, 3, "from 0 to 2"),
    ("sequential_halving", {"n_arms": 4, "horizon": 90}, "order", 1, 4, "from 0 to 3"),
    ("sequential_halving", {"n_arms": 4, "horizon": 90}, "round", 0, 3, "from 0 to 2"),
    ("adap_tt", {"n_arms": 3, "horizon": 90}, "phases", 2, 64, "from 0 to 63"),
]


@pytest.mark.parametrize(("name", "given", "field", "at", "odd", "words"), FORGED)
def test_whole_numbers_beyond_what_a_state_has_are_refused(
    tmp_path, name, given, field, at, odd, words
):
    agent = Agent(name, **given)
    array = getattr(agent.state, field).reshape(-1)
    array[at] = odd + (-1 if odd > 0 else 1)  # the last that is allowed
    if field != "task":
        agent.save(tmp_path / "agent.npz")
        Agent.load(tmp_path / "agent.npz")
    array[at] = odd
    agent.save(tmp_path / "agent.npz")
    refused(tmp_path / "agent.npz", words)


def test_names_mean_nothing_where_a_state_lacks_what_they_are_measured_by():
    class State(NamedTuple):
        head: np.ndarray
        other: np.ndarray

    fresh = State(np.zeros(1, np.int64), np.zeros(2, np.int64))
    saved.check_state(fresh, iter([np.full(1, 10**6), np.full(2, 5)]), 3)
    with pytest.raises(ValueError, match="^other must hold whole numbers from 0 to"):
        saved.check_state(fresh, iter([np.full(1, 10**6), np.full(2, -1)]), 3)


# --- earlier versions ---------------------------------------------------------------------------

OLD = Path(__file__).parent / "data" / "saved"  # written by the code of those days, with what
FILES = sorted(path.stem for path in OLD.glob("*.npz"))  # each agent did in its next 40 rounds


def next_rounds(agent, name):
    for _ in range(40):
        act = agent.act()
        if name == "batched_omd":
            look = agent.look(act)
            agent.update(None, act, np.where(look, [0.7, 0.5, 0.2], np.nan))
            yield [int(act), [int(seen) for seen in np.ravel(look)]]
        elif name == "lucb":
            agent.update(None, act, np.array(act) * [0.2, 0.5, 0.75])
            yield [int(pulls) for pulls in act]
        else:
            agent.update(None, act, float(act == 2))
            yield int(act)


@pytest.mark.parametrize("file", FILES)
def test_an_agent_of_an_earlier_version_goes_on_draw_for_draw(file, tmp_path):
    """And what is saved of it now is a file of the present schema."""
    name = file.partition("-")[2]
    agent = Agent.load(OLD / f"{file}.npz")
    assert [*next_rounds(agent, name)] == json.loads((OLD / f"{file}.json").read_text())
    agent.save(tmp_path / "now.npz")
    about = json.loads(str(np.load(tmp_path / "now.npz")["about"]))
    assert about["schema"] == migrations.SCHEMA and "task" not in about
    assert repr(Agent.load(tmp_path / "now.npz")) == repr(agent)


def test_every_schema_in_the_history_has_files():
    found = {json.loads(str(np.load(OLD / f"{f}.npz")["about"]))["schema"] for f in FILES}
    assert found == set(range(1, migrations.SCHEMA)) == set(migrations.STEPS)


@pytest.mark.parametrize(
    ("file", "change", "line"),
    [
        ("1-ucb", {"task": {"n_arms": 3}}, "task has no 'n_contexts'"),
        ("1-ucb", {"task": [3]}, "task must be a mapping, got [3]"),
        ("2-ucb", {"left": None, "extra": None, "task": {"n_arms": 10**9}}, "task has no"),
        ("2b-batched_omd", {"left": -5}, "left must be a whole number from 0 to 60"),
        ("3b-ucb", {"t": 41}, "it was damaged or edited"),
        ("3a-ucb", {"schema": 4}, "array about has no 'checksum'"),
        ("3a-ucb", {"schema": 2}, "array about has no 'task'"),
        ("1-ucb", {"name": "ucb.py"}, "which is not run unasked"),
        ("1-ucb", {"hyper": {"alpha": 0.7, "file": "x.py"}}, "must not name a file"),
    ],
)
def test_an_older_file_that_was_edited_is_refused_in_one_line(file, change, line, tmp_path):
    stored = dict(np.load(OLD / f"{file}.npz"))
    about = {**json.loads(str(stored["about"])), **change}
    stored["about"] = np.array(json.dumps(about))
    np.savez(tmp_path / "odd.npz", **stored)
    with pytest.raises(ValueError) as error:
        Agent.load(tmp_path / "odd.npz")
    assert line in str(error.value) and "\n" not in str(error.value)
