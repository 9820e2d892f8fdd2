"""Saved agents: what is read is what was written, or one line that says why not."""

import io
import json
import os
import stat
import tracemalloc
import zipfile

import numpy as np
import pytest

from banditlab import random, registry, saved
from banditlab.core import Task

TASK = {"n_arms": 3, "n_contexts": 1, "dim": 0, "horizon": 100, "budget": -1, "price": 1.0}


def leaves(state):
    if isinstance(state, np.ndarray):
        return [state]
    return [leaf for field in state for leaf in leaves(field)]


def fresh(about):
    """The arrays of a new agent, as `Agent` would make it."""
    made = registry.make(about["name"], **about["hyper"])
    rng = random.stream(random.key(0), 0, random.AGENT)
    with np.errstate(all="ignore"):
        state = made.init(made.params, Task(**about["task"]), rng)
    return [rng, random.stream(random.key(0), 0, random.OBSERVATION), *leaves(state)]


def facts(name="exp3", **hyper):
    return {"name": name, "hyper": hyper, "task": TASK, "t": 7, "left": 2**62, "extra": False}


@pytest.fixture
def path(tmp_path):
    about = facts(eta=0.1)
    arrays = fresh(about)
    arrays[-1][...] = 0.5
    saved.write(tmp_path / "agent.npz", about, arrays)
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
        about = change(about) or about
    if honest:
        about["checksum"] = saved._checksum(about, list(parts.values()))
    forged = path.with_name("forged.npz")
    np.savez(forged, about=np.array(json.dumps(about)), **parts)
    return forged


def refused(path, words="", **given):
    with pytest.raises(ValueError) as error:
        saved.read(path, fresh, **given)
    text = str(error.value)
    assert "\n" not in text and str(path) in text and words in text, text
    assert len(text) < 1000


# --- what is read is what was written ------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hyper"),
    [
        ("exp3", {"eta": 0.1}),
        ("dp_sequential_halving", {"epsilon": float("inf")}),  # a state with nan, and no JSON
        ("blocked", {"base": "exp3", "tau": 3}),
    ],
)
def test_what_is_read_is_what_was_written(tmp_path, name, hyper):
    about = facts(name, **hyper)
    arrays = fresh(about)
    for array in arrays[2:]:
        array.reshape(-1)[: array.size // 2] = 1
    saved.write(tmp_path / "a", about, arrays)
    assert os.listdir(tmp_path) == ["a"]
    got, found = saved.read(tmp_path / "a", fresh)
    assert got == {"schema": saved.SCHEMA, **about}
    for one, two in zip(arrays, found, strict=True):
        assert one.dtype == two.dtype and one.shape == two.shape and two.flags.writeable
        assert one.tobytes() == two.tobytes()


def test_arrays_in_either_order_and_empty_ones(tmp_path):
    def wanted(about):
        return [np.ones(4, np.uint64), np.ones(4, np.uint64), np.zeros((2, 3)), np.zeros((0, 5))]

    arrays = wanted(None)
    arrays[2] = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    saved.write(tmp_path / "a", facts(), arrays)
    _, found = saved.read(tmp_path / "a", wanted)
    assert (found[2] == arrays[2]).all() and found[3].shape == (0, 5)


def test_hyper_parameters_of_numpy_are_read_as_json_has_them(tmp_path):
    about = {**facts(), "hyper": {"eta": np.float64(0.5), "other": np.arange(3)}}
    saved.write(tmp_path / "a", about, fresh(facts()))
    got, _ = saved.read(tmp_path / "a", lambda about: fresh({**about, "hyper": {}}))
    assert got["hyper"] == {"eta": 0.5, "other": [0, 1, 2]}


def test_a_file_is_written_whole_or_not_at_all(path, monkeypatch):
    before = path.read_bytes()

    def full(source, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(ValueError, match="agent.npz cannot be written: No space left"):
            saved.write(path, facts(), fresh(facts()))
    assert path.read_bytes() == before and os.listdir(path.parent) == ["agent.npz"]
    pipe = path.with_name("pipe")
    os.mkfifo(pipe)  # in the place of a device
    for place in (path.parent, pipe, path.parent / "none" / "a"):
        with pytest.raises(ValueError, match="cannot be written"):
            saved.write(place, facts(), fresh(facts()))
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    plain = path.with_name("plain")
    plain.write_text("")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_what_json_cannot_hold_is_not_saved(tmp_path):
    for hyper in ({"f": lambda: 0}, {"base": "./mine.py"}, {"inner": [{"base": "MINE.PY"}]}):
        with pytest.raises(ValueError, match="hyper-parameters"):
            saved.write(tmp_path / "a", {**facts(), "hyper": hyper}, fresh(facts()))
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
    about, arrays = saved.read(forged, fresh, algorithm=str(file))
    assert about["name"] == str(file) and marker.exists() and len(arrays) > 2
    refused(path, "saved by 'exp3', not by", algorithm=str(file))


# --- nothing is believed -------------------------------------------------------------------------

GOOD = np.array([1, 2, 3, 4], np.uint64)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"t": -5}, "t must be a whole number from 0"),
        ({"t": 2.0}, "t must be a whole number"),
        ({"t": True}, "t must be a whole number"),
        ({"t": 2**63}, "t must be a whole number"),
        ({"left": -1}, "left must be a whole number"),
        ({"extra": 1}, "extra must be true or false"),
        ({"schema": 2}, "it has schema 2, this version reads 3"),
        ({"schema": None}, "it has schema None"),
        ({"name": 3}, "name must be a text"),
        ({"name": "exp"}, "unknown agent 'exp'"),
        ({"name": "n" * 10**6}, "unknown agent"),
        ({"hyper": []}, "hyper must be a mapping"),
        ({"hyper": {"eta": "much"}}, "eta"),
        ({"hyper": {"eta": []}}, "eta"),
        ({"hyper": {"beta": 1}}, "unknown argument 'beta'"),
        ({"task": {**TASK, "n_arms": 4}}, "array state"),
        ({"task": {**TASK, "n_arms": 10**12}}, "n_arms must be a whole number from 1 to"),
        ({"task": {**TASK, "n_contexts": 10**8}}, "n_contexts must be less for 3 arms"),
        ({"task": {**TASK, "dim": 10**5}}, "dim must be less"),
        ({"task": {**TASK, "price": "1"}}, "price must be a number"),
        ({"task": {**TASK, "price": float("nan")}}, "price must be a number"),
        ({"task": {**TASK, "budget": -2}}, "budget must be a whole number"),
        ({"task": {**TASK, "budget": 5}}, "left must be a whole number from 0 to 5"),
        ({"task": {**TASK, "more": 5}}, "task must have the keys n_arms, "),
        ({"task": 3}, "task must have the keys"),
        ({"more": 3}, "about must have the keys"),
    ],
)
def test_facts_of_other_types_or_out_of_range(path, changes, words):
    refused(forge(path, lambda about: about.update(changes)), words)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"rng": np.zeros(4, np.uint64)}, "array rng must not be 0 throughout"),
        ({"looker": np.zeros(4, np.uint64)}, "array looker must not be 0 throughout"),
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


def test_nan_may_stand_where_a_fresh_agent_has_some(tmp_path):
    about = facts("dp_sequential_halving")
    saved.write(tmp_path / "a", about, fresh(about))
    _, arrays = saved.read(tmp_path / "a", fresh)
    assert any(np.isnan(array).any() for array in arrays if array.dtype.kind == "f")


def test_an_edit_does_not_fit_the_checksum(path):
    assert saved.read(forge(path), fresh)
    refused(forge(path, lambda about: about.update(t=8), honest=False), "checksum")
    refused(forge(path, honest=False, state0=np.ones((1, 3))), "checksum")
    refused(forge(path, lambda about: about.update(checksum=None), honest=False), "checksum")


def test_truth_values_are_0_or_1(tmp_path):
    def wanted(about):
        return [GOOD, GOOD, np.zeros(3, np.bool_)]

    saved.write(tmp_path / "a", facts(), [GOOD, GOOD, np.array([0, 1, 2], np.uint8).view(np.bool_)])
    with pytest.raises(ValueError, match="state0 must hold truth values"):
        saved.read(tmp_path / "a", wanted)


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
        for name in ("about", "rng", "looker", "state0", "state1"):
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
    fresh(facts())  # compiled before memory is counted
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
    about, arrays = saved.read(path, fresh)
    forged = path.with_name("forged.npz")
    passed = 0
    for seed in range(first, first + count):
        forged.write_bytes(mutated(whole, np.random.default_rng(seed)))
        try:
            got, found = saved.read(forged, fresh)
        except ValueError as error:
            assert "\n" not in str(error), seed
        else:  # of bytes that say nothing, such as dates of entries
            passed += 1
            assert got == about, seed
            assert [a.tobytes() for a in found] == [a.tobytes() for a in arrays], seed
    assert passed < count / 3


def test_mutated_files_are_refused_or_say_the_same(path):
    fuzz(path, 0, 300)


@pytest.mark.slow
def test_many_mutated_files(path):
    fuzz(path, 300, 20_000)
