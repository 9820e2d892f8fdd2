"""The cache of compiled code: hits, never stale, survives damage and races, stays bounded."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba.core.registry import CPUDispatcher
from numba.core.target_extension import cpu_target, dispatcher_registry
from starts import Start

import banditlab
from banditlab.compile import fingerprint, pairs, store
from banditlab.core import kernel, kernel_in_loop, kernel_inline

# --- a whole arena ------------------------------------------------------------------------------

AGENT = '''
"""An index policy with a constant in the file, 2026."""
from typing import NamedTuple
from banditlab.parts.index import index_policy
from banditlab.core import kernel_inline
import helper

class Mine(NamedTuple):
    bonus: float

@kernel_inline
def clock(params, task, n):
    return 0.0

@kernel_inline
def index(params, clock, mean, inv):
    return FORMULA

def mine(bonus=1.0):
    return index_policy(Mine(float(bonus)), clock, index)
'''
RUN = """
import sys, banditlab
from banditlab.compile import pairs
arena = {"problem": {"name": "bernoulli", "means": [0.4, 0.6]}, "agents": [{"name": sys.argv[1]}],
         "horizon": 300, "replications": 20}
curves = banditlab.simulate(arena)
hits = sum(sum(f.stats.cache_hits.values()) for f in pairs._loaded.values())
print(curves.raw(curves.agents()[0])[:, -1].mean(), hits)
"""


def environment(folder: Path, **env: str) -> dict[str, str]:
    paths = os.pathsep.join([str(folder), str(Path(banditlab.__file__).parents[1])])
    mine = {"BANDITLAB_CACHE": str(folder / "cache"), "PYTHONPATH": paths}
    return {**os.environ, **mine, "PYTHONDONTWRITEBYTECODE": "1", **env}


def play(folder: Path, agent: str, **env: str) -> tuple[float, int]:
    """Final regret, and how many pairs came from the cache."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, agent],
        env=environment(folder, **env),
        capture_output=True,
        text=True,
        check=True,
    )
    regret, hits = done.stdout.split()
    return float(regret), int(hits)


@pytest.fixture
def agent(tmp_path) -> Path:
    (tmp_path / "helper.py").write_text("SCALE = 1.0\n")
    path = tmp_path / "mine.py"
    path.write_text(AGENT.replace("FORMULA", "mean + helper.SCALE * params.bonus * inv"))
    return path


def test_second_process_hits_and_edits_are_never_stale(tmp_path, agent):
    first = play(tmp_path, str(agent))
    assert first[1] == 0
    assert play(tmp_path, str(agent)) == (first[0], 1)
    agent.write_text(AGENT.replace("FORMULA", "-mean + helper.SCALE * params.bonus * inv"))
    edited = play(tmp_path, str(agent))
    assert edited[1] == 0 and edited[0] > first[0] + 10
    # A constant in a module that the agent imports counts as well.
    (tmp_path / "helper.py").write_text("SCALE = 0.0\n")
    other = play(tmp_path, str(agent))
    assert other[1] == 0 and other[0] != edited[0]


def test_plain_python_gives_the_same_curve(tmp_path, agent):
    kept = os.environ.get("BANDITLAB_CACHE", "")  # kernels that others needed, too, are there
    plain = play(tmp_path, str(agent), NUMBA_DISABLE_JIT="1")[0]
    assert plain == play(tmp_path, str(agent), BANDITLAB_CACHE=kept)[0]


COMPANY = """
import json, os, subprocess, sys, banditlab
from banditlab.compile import ahead
ahead._others_at_work = lambda: 0.0
os.cpu_count = lambda: 2
started = []
class Popen(subprocess.Popen):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        started.append(self)
subprocess.Popen = Popen
arena = {"problem": {"name": "bernoulli", "means": [0.4, 0.6]}, "horizon": 300, "replications": 20,
         "agents": [{"name": "uniform"}, {"name": "greedy"}]}
curves = banditlab.simulate(arena, workers=2)
print(json.dumps([[curves.raw(a)[:, -1].tolist() for a in curves.agents()],
                  [process.poll() is not None for process in started]]))
"""


def test_a_second_process_that_compiles_changes_nothing(tmp_path):
    found = []
    for setting in (str(tmp_path / "cache"), str(tmp_path / "cache"), "off"):
        done = subprocess.run(
            [sys.executable, "-c", COMPANY],
            env=environment(tmp_path, BANDITLAB_CACHE=setting),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stderr == ""
        found.append(json.loads(done.stdout))
    assert found[0][0] == found[1][0] == found[2][0]
    assert [ended for _, ended in found] == [[True], [], []]  # once, and gone by the end
    assert [name[:5] for name in names(tmp_path / "cache")] == 2 * ["pair-"]


# --- a pair that compiles in no time ------------------------------------------------------------

TINY = """
from enum import IntEnum
from typing import NamedTuple
import numpy as np
from numba import njit
from banditlab.core import kernel, kernel_inline
import helper

CONSTANT = 1.0
TABLE = np.array([4294967298], np.int64)

class Mode(IntEnum):
    MINE = 3

class Box(NamedTuple):
    left: float
    right: float

class Params(NamedTuple):
    first: float = 8.0
    second: float = 2.0

class Noun(NamedTuple):
    params: Params
    value: object

def builder(number):
    @kernel
    def built(i):
        return number * i
    return built

built = builder(6.0)

@kernel
def optional(i, factor=7.0):
    return factor * i

def plus(a, b):
    return a + b

def minus(a, b):
    return a - b

combine = kernel(plus)

@njit(error_model="numpy")
def divide(x):
    return 1.0 / (x - x)

@kernel
def value(params, i):
    total = params.first + 2.0 * params.second + CONSTANT + TABLE[0] + Mode.MINE.value
    total += Box(2.0, 5.0).left
    return combine(total + helper.weigh(i), built(i) + optional(i))

@kernel_inline
def loop(noun, out):
    for i in range(out.size):
        out[i] = noun.value(noun.params, i)
"""
HELPER = """
from banditlab.core import kernel
import deeper

@kernel
def weigh(i):
    return 2.0 * i * deeper.SCALE
"""
START = """
import sys, time, warnings
warnings.simplefilter("error")
from pathlib import Path
import numpy as np
import tiny
from banditlab.compile import pairs
if len(sys.argv) > 2:  # all start at once
    print("ready", flush=True)
    while not Path(sys.argv[2]).exists():
        time.sleep(0.002)
for _ in range(int(sys.argv[1])):
    pairs._loaded.clear()
    out = np.zeros(3)
    pair = pairs.compiled(tiny.loop, (tiny.Noun(tiny.Params(), tiny.value),), (out,))
    pair(out)
    print(out.tolist(), sum(pairs._loaded[pair.name].stats.cache_hits.values()))
"""
TINY_OUT = [18.0 + 4294967298 + 15.0 * i for i in range(3)]  # 8 + 4 + 1 + 3 + 2, 2 + 6 + 7


def tiny(folder: Path) -> None:
    (folder / "tiny.py").write_text(TINY)
    (folder / "helper.py").write_text(HELPER)
    (folder / "deeper.py").write_text("SCALE = 1.0\n")


def start(folder: Path, **env: str) -> tuple[list[float], int]:
    """What the tiny pair gives in a new process, and whether it came from the cache."""
    done = subprocess.run(
        [sys.executable, "-c", START, "1"],
        env=environment(folder, **env),
        preexec_fn=obey_permissions,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return outcome(done.stdout)


def outcome(said: str) -> tuple[list[float], int]:
    """What START has printed."""
    out, hits = said.rsplit(maxsplit=1)
    return json.loads(out), int(hits)


def fork(folder: Path) -> tuple[list[float], int]:
    """`start`, sooner: for all that is not about how a process is started."""
    with began(folder, 1) as process:
        assert (process.wait(300), process.complaint) == (0, "")
        return outcome(process.said)


@contextmanager
def began(folder: Path, *arguments: object, **env: str) -> Iterator[Start]:
    """START under way in a new process, which is gone afterwards."""
    with tempfile.TemporaryDirectory() as said:
        words = [str(argument) for argument in arguments]
        process = Start(START, words, environment(folder, **env), Path(said))
        try:
            yield process
        finally:
            process.kill()


def obey_permissions() -> None:
    """Take root's right to write what is read-only (CAP_DAC_OVERRIDE) away, where there is one."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


EDITS = [  # file, old, new, and what that adds to out[i]
    ("tiny.py", "CONSTANT = 1.0", "CONSTANT = 2.0", lambda i: 1.0),
    ("tiny.py", "second: float = 2.0", "second: float = 4.0", lambda i: 4.0),
    ("tiny.py", "builder(6.0)", "builder(8.0)", lambda i: 2.0 * i),
    ("tiny.py", "factor=7.0", "factor=9.0", lambda i: 2.0 * i),
    ("tiny.py", "MINE = 3", "MINE = 5", lambda i: 2.0),
    ("deeper.py", "SCALE = 1.0", "SCALE = 3.0", lambda i: 4.0 * i),
    ("helper.py", "2.0 * i", "1.0 + 2.0 * i", lambda i: 1.0),
    # The same bytes as two numbers: the first is 2.
    ("tiny.py", "298], np.int64)", "298], np.int64).view(np.int32)", lambda i: 2.0 - 4294967298),
    # The same names and types in another order: what Box holds is swapped, what Params holds not.
    ("tiny.py", "left: float\n    right", "right: float\n    left", lambda i: 3.0),
    (
        "tiny.py",
        "first: float = 8.0\n    second: float = 4.0",
        "second: float = 4.0\n    first: float = 8.0",
        lambda i: 0.0,
    ),
]


def test_every_kind_of_edit_is_seen(tmp_path):
    tiny(tmp_path)
    expected = np.array(TINY_OUT)
    assert start(tmp_path) == (expected.tolist(), 0)
    assert start(tmp_path) == (expected.tolist(), 1)
    for file, old, new, change in EDITS:
        path = tmp_path / file
        assert path.read_text().count(old) == 1
        path.write_text(path.read_text().replace(old, new))
        expected += [change(i) for i in range(3)]
        assert fork(tmp_path) == (expected.tolist(), 0), new
    # Which of two functions a name stands for.
    path = tmp_path / "tiny.py"
    before, _ = fork(tmp_path)
    path.write_text(path.read_text().replace("kernel(plus)", "kernel(minus)"))
    after, hits = fork(tmp_path)
    assert hits == 0 and after != before
    # How Numba was asked to compile.
    path.write_text(path.read_text().replace("kernel(minus)", "njit(minus, fastmath=True)"))
    assert fork(tmp_path) == (after, 0)
    assert start(tmp_path, NUMBA_BOUNDSCHECK="1") == (after, 0)
    assert start(tmp_path) == (after, 1)
    # What does not change the machine code changes nothing.
    path.write_text("# a comment\n" + path.read_text() + "\nUNUSED = 3\n")
    assert start(tmp_path) == (after, 1)


# --- the same in this process -------------------------------------------------------------------

SCALE = 2.0


class Noun(NamedTuple):
    value: object
    number: float = 0.5


@kernel
def scaled(i):
    return SCALE * i


@kernel
def shifted(i):
    return 1.0 + i


@kernel_inline
def total(noun, out):
    for i in range(out.size):
        out[i] = noun.value(i) + noun.number


def totals(value, size: int = 3) -> tuple[list[float], int]:
    """What the pair of ``total`` and ``value`` gives, and whether it came from the cache."""
    pairs._loaded.clear()
    out = np.zeros(size)
    pair = pairs.compiled(total, (Noun(value),), (out,))
    pair(out)
    (function,) = pairs._loaded.values()
    return out.tolist(), sum(function.stats.cache_hits.values())


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty cache; afterwards this process knows the pairs again that it knew before."""
    if pairs.jit_disabled():
        pytest.skip("plain Python compiles nothing")
    known = dict(pairs._loaded)
    monkeypatch.setenv("BANDITLAB_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    pairs._loaded.clear()
    pairs._loaded.update(known)


def names(folder: Path, *kinds: str) -> list[str]:
    """What lies in the cache, less the kernels: pairs only, unless something was left behind."""
    found = sorted(entry.name for entry in folder.glob("*"))
    if kinds:
        return [name for name in found if name.startswith(kinds)]
    return [name for name in found if not name.startswith("kernel-")]


def test_functions_of_one_name_differ(folder):
    lambdas = [kernel(lambda i: 1.0 * i), kernel(lambda i: 2.0 * i)]
    assert [totals(f) for f in lambdas] == [([0.5, 1.5, 2.5], 0), ([0.5, 2.5, 4.5], 0)]
    assert [totals(f) for f in lambdas] == [([0.5, 1.5, 2.5], 1), ([0.5, 2.5, 4.5], 1)]


def test_a_global_changed_while_the_program_runs_does_not_reach_the_cache(folder, monkeypatch):
    before = totals(scaled)
    kept = names(folder)
    # Numba goes on with the value at which it first compiled the kernel.
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    assert totals(scaled) == before == ([0.5, 2.5, 4.5], 0)
    assert names(folder) == kept
    monkeypatch.undo()


DAMAGE = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "garbage": lambda content: b"nothing that was written here",
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    "gone": None,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_damaged_pair_is_noticed_and_repaired(folder, damage):
    expected, _ = totals(scaled)
    (name,) = names(folder)
    harm(folder / name, damage)
    assert totals(scaled) == (expected, 0)
    assert totals(scaled) == (expected, 1)
    assert names(folder) == [name]


def harm(file: Path, damage: str) -> None:
    whole, change = file.read_bytes(), DAMAGE[damage]
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(whole))
        assert file.read_bytes() != whole


def test_an_entry_under_the_name_of_another_is_noticed(folder):
    first, _ = totals(scaled)
    (name,) = names(folder)
    content = (folder / name).read_bytes()
    second, _ = totals(shifted)
    for other in names(folder):
        (folder / other).write_bytes(content)
    assert totals(shifted) == (second, 0)
    assert totals(scaled) == (first, 1)


def test_the_entries_used_least_recently_go_first(folder, monkeypatch):
    thrice = kernel(lambda i: 3.0 * i)
    for value in (scaled, shifted, thrice):  # each kernel is compiled now, and not again
        totals(value)
    store.clear_cache()
    monkeypatch.setattr(store, "MOST_ENTRIES", 2)
    totals(scaled)
    (first,) = names(folder)
    totals(shifted)
    for age, name in enumerate(names(folder)):  # both were last used some time ago
        os.utime(folder / name, (1000.0 + age, 1000.0 + age))
    assert totals(scaled)[1] == 1  # used just now
    assert totals(thrice)[1] == 0
    assert len(list(folder.iterdir())) == 2 and first in names(folder)
    assert totals(scaled)[1] == 1
    assert totals(shifted)[1] == 0
    # Kernels count as pairs do.
    other = kernel(lambda i: 4.0 * i)
    totals(other)
    assert names(folder, "kernel-") != []
    assert store.cache_info()["kernels"] + store.cache_info()["pairs"] == 2
    assert again(scaled)(1.0) == again(divided)(2.0).whole * 4.0 == 2.0
    assert len(list(folder.iterdir())) == 2


def test_the_cache_stays_below_a_size(folder, monkeypatch):
    expected, _ = totals(scaled)
    totals(shifted)
    sizes = {entry.name: entry.stat().st_size for entry in folder.iterdir()}
    size = store.cache_info()["bytes"]
    assert size == sum(sizes.values()) and set(names(folder, "kernel-", "pair-")) == set(sizes)
    assert store.cache_info()["pairs"] == 2 and store.cache_info()["kernels"] == len(sizes) - 2
    assert all(1_000 < each < 100_000 for each in sizes.values())
    store.clear_cache()
    totals(scaled)
    size = store.cache_info()["bytes"]
    monkeypatch.setenv("BANDITLAB_CACHE_SIZE", str(1.5 * size / 1e6))
    totals(shifted)
    assert store.cache_info()["pairs"] == 1
    assert totals(shifted)[1] == 1
    monkeypatch.setenv("BANDITLAB_CACHE_SIZE", "0")
    assert totals(scaled) == (expected, 0)
    assert not list(folder.iterdir())
    monkeypatch.setenv("BANDITLAB_CACHE_SIZE", "big")
    with pytest.raises(ValueError, match="BANDITLAB_CACHE_SIZE must be a number of MB, got 'big'"):
        totals(scaled)


def test_a_hundred_processes_that_seldom_look_stay_below_the_bound(folder, monkeypatch):
    looks, find = [], store._entries
    monkeypatch.setattr(store, "_entries", lambda *args: looks.append(args) or find(*args))
    monkeypatch.setattr(store, "MOST_ENTRIES", 500)
    processes: list[dict] = [{} for _ in range(100)]
    for turn in range(6):
        for i, fill in enumerate(processes):  # each knows what it saw and wrote, no more
            monkeypatch.setattr(store, "_fill", fill)
            store.write(f"pair-{i}-{turn}", b"code")
            store.tidy()
        assert len(names(folder)) == min(500, 100 * (turn + 1))
        assert turn > 3 or len(looks) == 100  # at their first


def test_what_a_killed_process_left_is_cleared_away(folder):
    totals(scaled)
    for name, age in (("aside-young", 60.0), ("aside-old", 2 * store.HOUR)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age, time.time() - age))
    (folder / "aside-pair").mkdir()  # as older versions left them
    (folder / "pair-old" / "__pycache__").mkdir(parents=True)
    (folder / "pair-old" / "__pycache__" / "pair.nbc").write_bytes(b"code")
    for name in ("aside-pair", "pair-old"):
        os.utime(folder / name, (1000.0, 1000.0))
    store._fill.clear()  # as in a new process
    totals(shifted)
    assert [name for name in names(folder) if name.startswith("aside")] == ["aside-young"]
    assert "pair-old" in names(folder)
    store.clear_cache()
    assert names(folder) == ["aside-young"]


def test_clear_cache(folder):
    totals(kernel(lambda i: 5.0 * i))
    assert store.cache_info()["pairs"] == store.cache_info()["kernels"] == 1
    store.clear_cache()
    assert not list(folder.iterdir()) and store.cache_info()["bytes"] == 0


# --- kernels by themselves ----------------------------------------------------------------------


def again(value):
    """The same kernel as a new process makes it: nothing of it is compiled."""
    return kernel(value.py_func)


def read(*kernels) -> list[int]:
    """How often each was found on disk."""
    return [sum(each.stats.cache_hits.values()) for each in kernels]


def forget_pairs(folder: Path) -> None:
    for name in names(folder, "pair-"):
        (folder / name).unlink()


class Part(NamedTuple):
    whole: float
    rest: np.ndarray


@kernel
def divided(i, by=4.0):
    return Part(i / by, np.full(2, by))


@kernel
def joined(part):
    return part.whole + part.rest.sum()


def test_a_new_pair_takes_kernels_from_disk(folder):
    expected, _ = totals(again(scaled))
    (name,) = names(folder, "kernel-")
    forget_pairs(folder)
    value = again(scaled)
    assert totals(value) == (expected, 0) and read(value) == [1]
    assert names(folder, "kernel-") == [name]
    # Whoever calls a kernel from disk is itself kept, and hands over and takes what it should.
    first, second = again(divided), again(joined)
    calls = kernel(lambda i: second(first(i)) + second(first(i, 2.0)))
    expected, _ = totals(calls)
    assert expected == [12.5, 13.25, 14.0] and read(first, second) == [0, 0]
    forget_pairs(folder)
    third, fourth = again(divided), again(joined)
    calls = kernel(lambda i: fourth(third(i)) + fourth(third(i, 2.0)) + 1.0)
    assert totals(calls) == ([x + 1.0 for x in expected], 0)
    assert read(third, fourth, calls) == [2, 1, 0]  # with and without the argument


@pytest.mark.parametrize("damage", DAMAGE)
def test_every_damaged_kernel_is_noticed_and_repaired(folder, damage):
    expected, _ = totals(again(scaled))
    (name,) = names(folder, "kernel-")
    harm(folder / name, damage)
    for hits in (0, 1):
        forget_pairs(folder)
        value = again(scaled)
        assert totals(value) == (expected, 0) and read(value) == [hits]
    assert len(list(folder.iterdir())) == 2


def test_a_kernel_that_is_handed_a_function_is_not_kept(folder):
    @kernel
    def applied(function, i):
        return function(i)

    def calling(value, function):
        return kernel(lambda i: value(function, i))

    for inner, expected in ((scaled, [0.5, 2.5, 4.5]), (shifted, [1.5, 2.5, 3.5])):
        function, value = again(inner), again(applied)
        assert totals(calling(value, function))[0] == expected
    assert len(names(folder, "kernel-")) == 2 + 2  # the two, and who calls


def test_what_a_kernel_from_disk_raises(folder):
    @kernel
    def checked(i):
        if i > 1:
            raise ValueError("no such number", i)
        return 1.0 * i

    for hits in (0, 1):
        forget_pairs(folder)
        value = again(checked)
        with pytest.raises(ValueError) as caught:
            totals(value)
        assert caught.value.args == ("no such number", 2) and read(value) == [hits]


def test_kernels_of_one_name_are_told_apart_by_who_calls_them(folder):
    def times(number):
        return kernel(lambda i: number * i)

    two, three = times(2.0), times(3.0)

    def inner(function):
        return kernel(lambda i: function(i))

    def outer(plus, minus, z):  # z: looked into first
        return kernel(lambda i: 100.0 * z(i) + 10.0 * plus(i) + minus(i))

    # Both lead to the same functions of the same names, but not in the same places.
    assert totals(outer(two, three, inner(three)))[0] == [0.5, 323.5, 646.5]
    assert totals(outer(three, two, inner(three)))[0] == [0.5, 332.5, 664.5]


def test_python_takes_kernels_from_disk(folder):
    class Result(NamedTuple):  # found by no name: another process would make another class
        number: float

    @kernel
    def unnamed(x):
        return Result(x)

    for hits in (0, 1):
        functions = again(divided), again(joined), again(unnamed)
        part = functions[0](8.0, by=2.0)
        assert type(part) is Part and part.whole == 4.0 and part.rest.tolist() == [2.0, 2.0]
        assert functions[0](8.0).whole == 2.0
        assert functions[1](part) == 8.0
        assert type(functions[2](5.0)) is Result
        assert read(*(f.from_python for f in functions)) == [2 * hits, hits, 0]
    assert len(names(folder, "call-")) == 3
    assert store.cache_info()["kernels"] == len(list(folder.iterdir()))


def test_a_changed_global_reaches_neither_kernels_on_disk_nor_python(folder, monkeypatch):
    value = again(scaled)

    def calling(value):
        return kernel(lambda i: 1.0 + value(i))

    assert calling(value)(1.0) == 3.0  # Numba goes on with the value at which it compiled
    kept = names(folder, "kernel-", "call-")
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    other = calling(value)
    assert other(1.0) == 3.0 and totals(other)[0] == [1.5, 4.5, 7.5]  # other types: compiled now
    assert names(folder, "kernel-", "call-") == kept and names(folder, "pair-") == []
    # Who sees the new value only is kept with it, apart from the old one.
    newer = calling(again(scaled))
    assert newer(1.0) == 4.0 and len(names(folder, "kernel-", "call-")) == len(kept) + 2
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 2.0)
    third = calling(again(scaled))
    assert third(1.0) == 3.0 and read(third.from_python) == [1]


def test_a_kernel_compiled_to_be_inlined_is_kept_apart(folder):
    """Numba compiles a kernel as its first caller asks: with ``forceinline`` or without."""

    def pair_of(value, decorate):
        return decorate(lambda i: 1.0 + value(i))

    for decorate, n in ((kernel, 2), (kernel_in_loop, 4), (kernel, 4), (kernel_in_loop, 4)):
        value = again(scaled)
        assert totals(pair_of(value, decorate))[0] == [1.5, 3.5, 5.5]
        assert len(names(folder, "kernel-")) == n
        forget_pairs(folder)


def test_kernels_of_other_versions_and_settings_are_kept_apart(folder, monkeypatch):
    totals(again(scaled))
    again(scaled)(1.0)
    kept = names(folder, "kernel-", "call-")
    changes = [
        (fingerprint, "VERSIONS", (*fingerprint.VERSIONS, "next")),
        (numba.config, "SLP_VECTORIZE", 1 - numba.config.SLP_VECTORIZE),
        (numba.config, "CPU_NAME", "generic"),
    ]
    for place, name, value in changes:
        with monkeypatch.context() as changed:
            changed.setattr(place, name, value)
            other = again(scaled)
            assert totals(other)[1] == other(1.0) - 2.0 == 0
            assert read(other, other.from_python) == [0, 0]
        kept += [entry for entry in names(folder, "kernel-", "call-") if entry not in kept]
        assert len(kept) == 2 * (2 + changes.index((place, name, value)))


def test_numba_is_left_as_it_was(folder):
    @kernel
    def wrong(i):
        return i.nothing

    for value in (again(scaled), wrong):
        with suppress(pairs.NumbaError, ValueError):
            totals(value)
        assert dispatcher_registry[cpu_target] is CPUDispatcher


MAIN = """
import sys
from typing import NamedTuple
import numpy as np
from banditlab.compile import pairs
from banditlab.core import kernel

class Box(NamedTuple):
    inside: np.ndarray

class Noun(NamedTuple):
    value: object

@kernel
def boxed(i):
    return Box(np.full(2, 1.0 * i))

@kernel
def value(box):
    return box.inside.sum()

@kernel
def loop(noun, out):
    out[0] = noun.value(boxed(3)) + len(sys_argv) * 0.0

sys_argv = tuple(range(len(sys.argv)))
out = np.zeros(1)
pairs.compiled(loop, (Noun(value),), (out,))(out)
((kind,),) = value.overloads
print(out[0], kind.instance_class is type(boxed(1)) is Box, sum(value.stats.cache_hits.values()),
      sum(boxed.stats.cache_hits.values()))
"""


def test_classes_of_a_script_are_its_own(tmp_path):
    (tmp_path / "main.py").write_text(MAIN)
    found = []
    for arguments in ([], ["another pair"]):
        done = subprocess.run(
            [sys.executable, "main.py", *arguments],
            env=environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(done.stdout.split())
    assert found == [["6.0", "True", "0", "0"], ["6.0", "True", "1", "1"]]


ONLY = """
import sys, numpy as np, banditlab
from numba.core import compiler
from banditlab import random, registry
from banditlab.compile import compiled
from banditlab.core import Task
from banditlab.protocols import online
seen, old = [], compiler.CompilerBase.compile_extra
def compile_extra(self, function):
    seen.append(function.__qualname__)
    return old(self, function)
compiler.CompilerBase.compile_extra = compile_extra
algorithm, problem = registry.make("exp3"), registry.make_problem("bernoulli", means=[0.4, 0.6])
loop = getattr(online, sys.argv[1])
key, record = random.key(1), np.zeros((2, 1, 3))
task, args = Task(2, 1, 0, 40), (key, 0, 0, np.array([40]), np.zeros(2, np.int64), record)
if sys.argv[2:]:
    args = (key, 0, 0, np.array([40]), np.zeros(2, np.int64), np.zeros((2, 1, 3), order='F'))
compiled(loop, (algorithm, problem), (task, *args))(task, *args)
print(args[-1].sum(), seen)
"""


def test_a_pair_whose_kernels_are_on_disk_is_all_that_is_compiled(tmp_path):
    found = []
    for another in ([], ["with another layout of the record"]):
        done = subprocess.run(
            [sys.executable, "-c", ONLY, "run_block", *another],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(done.stdout.split(maxsplit=1))
    (first, all_of_it), (second, rest) = found
    assert first == second and "impl" in all_of_it and "next_word" in all_of_it
    assert rest == "['pair']\n"


DECIDE = """
import sys, numpy as np, banditlab
from numba.core import compiler
def refuse(*args, **named):
    raise RuntimeError(f"compiles {args[2]}")
if sys.argv[1] == "warm":
    compiler.CompilerBase.compile_extra = refuse
"""
PLAYS = {
    "ucb": """
agent = banditlab.Agent("ucb", n_arms=3, horizon=100, seed=1)
for t in range(20):
    arm = agent.act()
    agent.update(None, arm, 0.1 * arm)
print(arm, agent.recommend().tolist(), agent.propensities().tolist())
""",
    # Its code stands on functions that Numba makes from text, which are in no module.
    "sparse_commit": """
agent = banditlab.Agent("sparse_commit", n_arms=3, dim=2, horizon=3000, seed=1)
x = np.eye(3, 2)
pulls = agent.act(x)
agent.update(x, pulls, 0.1 * pulls)
print(pulls.tolist(), agent.recommend(x))
""",
}


@pytest.mark.parametrize("name", PLAYS)
def test_the_first_decision_of_a_new_process_compiles_nothing(tmp_path, name):
    found = []
    for how in ("cold", "warm"):
        done = subprocess.run(
            [sys.executable, "-c", DECIDE + PLAYS[name], how],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        found.append(done.stdout)
    assert found[0] == found[1]


# --- folders that cannot be written -------------------------------------------------------------


def test_switched_off_nothing_is_written(tmp_path):
    tiny(tmp_path)
    (tmp_path / "home").mkdir()
    places = ("HOME", "XDG_CACHE_HOME", "TMPDIR", "NUMBA_CACHE_DIR")
    env = {name: str(tmp_path / "home") for name in places}
    before = sorted(tmp_path.rglob("*"))
    for off in ("off", "0", "OFF"):
        assert start(tmp_path, BANDITLAB_CACHE=off, **env) == (TINY_OUT, 0)
    assert sorted(tmp_path.rglob("*")) == before
    assert start(tmp_path, **env) == (TINY_OUT, 0)  # switched on, the same start writes
    assert len(names(tmp_path / "cache", "pair-")) == 1
    assert len(names(tmp_path / "cache", "kernel-")) > 1
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.parametrize("place", ["read-only", "file"])
def test_a_cache_that_cannot_be_written_moves_to_a_temporary_folder(tmp_path, place):
    tiny(tmp_path)
    (tmp_path / "temporary").mkdir()
    forbidden = tmp_path / "forbidden"
    if place == "file":
        forbidden.write_text("a file")
    else:
        forbidden.mkdir(mode=0o555)
    env = {"BANDITLAB_CACHE": str(forbidden), "TMPDIR": str(tmp_path / "temporary")}
    assert start(tmp_path, **env) == (TINY_OUT, 0)
    assert start(tmp_path, **env) == (TINY_OUT, 1)
    assert place == "file" or not list(forbidden.iterdir())
    (mine,) = (tmp_path / "temporary").iterdir()
    assert mine.stat().st_mode & 0o777 == 0o700
    if os.getuid() == 0:  # prepared by somebody else: not trusted, so nothing is cached
        os.chown(mine, 12345, 12345)
        assert start(tmp_path, **env) == (TINY_OUT, 0)


# --- folders that somebody else could write to ---------------------------------------------------

needs_owners = pytest.mark.skipif(not hasattr(os, "getuid"), reason="files have no owners here")


@pytest.fixture
def places(tmp_path, monkeypatch) -> Path:
    """A folder of one's own, with the place for temporary files inside; nothing said so far."""
    monkeypatch.setattr(store, "_told", set())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir(mode=0o700)
    return tmp_path


def made(path: Path, mode: int) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    return path


def used(folder: Path, monkeypatch, capsys) -> tuple[bool, str]:
    """Whether the cache lies in ``folder``, and what is said about it."""
    monkeypatch.setenv("BANDITLAB_CACHE", str(folder))
    found = store.cache_folder()
    fallback = Path(tempfile.gettempdir()) / f"banditlab-{os.getuid()}"
    assert found in (folder, fallback)
    assert store.cache_folder() == found
    said = capsys.readouterr().err
    assert (said == "") == (found == folder)
    return found == folder, said


@needs_owners
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o702, 0o777, 0o1777])
def test_a_folder_that_others_can_write_to_is_not_used(places, monkeypatch, capsys, mode):
    folder = made(places / "cache", mode)
    assert used(folder, monkeypatch, capsys) == (
        False,
        f"banditlab: compiled code is not kept in {folder}: others can write to {folder}\n",
    )
    assert not list(folder.iterdir())
    folder.chmod(0o755)
    assert used(folder, monkeypatch, capsys) == (True, "")


@needs_owners
def test_no_folder_that_others_can_write_to_is_passed(places, monkeypatch, capsys):
    folder = made(places / "open" / "mine" / "cache", 0o700)
    for mode, fine in ((0o777, False), (0o775, False), (0o1777, True), (0o755, True)):
        made(places / "open", mode)
        store._told.clear()
        ok, said = used(folder, monkeypatch, capsys)
        assert ok is fine and (fine or said.endswith(f"write to {places / 'open'}\n"))
    # What does not exist yet is made for oneself alone.
    new = places / "not" / "there"
    assert used(new, monkeypatch, capsys) == (True, "")
    assert [path.stat().st_mode & 0o777 for path in (new, new.parent)] == [0o700, 0o700]


@needs_owners
def test_links_are_followed(places, monkeypatch, capsys):
    real = made(places / "real", 0o700)
    link = places / "link"
    link.symlink_to("real")
    assert used(link, monkeypatch, capsys) == (True, "")
    # The way leads through a folder in which others could turn the second link elsewhere.
    inside = made(places / "open", 0o700) / "second"
    inside.symlink_to(real)
    link.unlink()
    link.symlink_to("open/../open/second")
    assert used(link, monkeypatch, capsys) == (True, "")
    made(places / "open", 0o777)
    assert not used(link, monkeypatch, capsys)[0]
    real.chmod(0o777)
    link.unlink()
    link.symlink_to(real)
    store._told.clear()
    assert used(link, monkeypatch, capsys)[1].endswith(f"others can write to {real}\n")
    link.unlink()
    link.symlink_to("link")
    monkeypatch.setenv("BANDITLAB_CACHE", str(link))
    assert store.cache_folder() == places / "temporary" / f"banditlab-{os.getuid()}"


@pytest.mark.skipif(getattr(os, "getuid", lambda: 1)() != 0, reason="only root gives files away")
def test_a_folder_of_somebody_else_is_not_used(places, monkeypatch, capsys):
    folder = made(places / "theirs" / "cache", 0o755)
    for path in (folder, folder.parent):
        os.chown(path, 12345, 12345)
        store._told.clear()
        assert used(folder, monkeypatch, capsys)[1].endswith(f"others can write to {path}\n")
        os.chown(path, 0, 0)
    assert used(folder, monkeypatch, capsys) == (True, "")
    link = made(places / "shared", 0o1777) / "link"
    link.symlink_to(folder)
    assert used(link, monkeypatch, capsys) == (True, "")
    os.chown(link, 12345, 12345, follow_symlinks=False)
    assert not used(link, monkeypatch, capsys)[0]


@needs_owners
def test_neither_the_users_folder_nor_the_temporary_one_is_exempt(places, monkeypatch, capsys):
    monkeypatch.delenv("BANDITLAB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(made(places / "xdg", 0o777)))
    fallback = places / "temporary" / f"banditlab-{os.getuid()}"
    assert store.cache_folder() == fallback
    fallback.chmod(0o770)
    assert store.cache_folder() is None and store.cache_folder() is None
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].endswith("xdg") and lines[1].endswith(str(fallback))
    assert store.cache_info() == {"folder": None, "pairs": 0, "kernels": 0, "bytes": 0}
    store.clear_cache()
    store.write("pair-1", b"content")
    assert store.read("pair-1") is None
    made(places / "xdg", 0o700)
    assert store.cache_folder() == places / "xdg" / "banditlab"


@needs_owners
def test_a_file_that_others_could_write_to_is_not_run(folder):
    value = again(scaled)
    expected, _ = totals(value)
    for entry in list(folder.iterdir()):
        entry.chmod(0o666)
    value = again(scaled)
    assert totals(value) == (expected, 0) and read(value) == [0]
    assert [entry.stat().st_mode & 0o777 for entry in folder.iterdir()] == [0o600, 0o600]
    assert totals(value) == (expected, 1)


def test_without_owners_and_forks_everything_works(tmp_path):
    tiny(tmp_path)
    windows = (
        "import os\nfor x in 'fork', 'register_at_fork', 'getuid', 'getloadavg': delattr(os, x)\n"
    )
    for hits in (0, 1):
        done = subprocess.run(
            [sys.executable, "-c", windows + START, "1"],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == f"{TINY_OUT} {hits}\n" and done.stderr == ""


# --- races --------------------------------------------------------------------------------------


def race(folder: Path, starts: int, rounds: int, vandal=None, **env: str) -> int:
    """So many processes want the tiny pair at the same moment, each ``rounds`` times; hits.

    ``vandal``, a function of the cache's folder, is called over and over until they have ended.
    """
    shutil.rmtree(folder / "cache", ignore_errors=True)
    go = folder / "go"
    go.unlink(missing_ok=True)
    with ExitStack() as all_of_them:
        processes = [
            all_of_them.enter_context(began(folder, rounds, go, **env)) for _ in range(starts)
        ]
        while any(process.said != "ready\n" for process in processes):
            assert all(process.running for process in processes), processes[0].complaint
            time.sleep(0.02)
        go.touch()
        while vandal is not None and any(process.running for process in processes):
            vandal(folder / "cache")
            time.sleep(0.01)
        hits = 0
        for process in processes:
            assert (process.wait(300), process.complaint) == (0, "")
            outs = [outcome(line) for line in process.said.splitlines()[1:]]
            assert [out for out, _ in outs] == [TINY_OUT] * rounds
            hits += sum(hit for _, hit in outs)
        return hits


def delete_entries(cache_folder: Path) -> None:
    for entry in cache_folder.glob("[pk]*-*"):
        store.discard(entry)


def delete_everything(cache_folder: Path) -> None:
    shutil.rmtree(cache_folder, ignore_errors=True)


def truncate_a_file(cache_folder: Path) -> None:
    entries = sorted(cache_folder.glob("[pk]*-*"))
    for i, file in enumerate(entries):
        if i == time.monotonic_ns() % len(entries):
            with suppress(OSError):  # a process deletes it meanwhile
                os.truncate(file, file.stat().st_size // 2)


def whole(folder: Path) -> None:
    """The cache holds one pair with its kernels and nothing else, and the next start reads it."""
    fork(folder)
    assert [name[:5] for name in names(folder / "cache")] == ["pair-"]
    assert fork(folder) == (TINY_OUT, 1)


def test_many_starts_at_once(tmp_path):
    tiny(tmp_path)
    race(tmp_path, starts=12, rounds=1)
    assert start(tmp_path) == (TINY_OUT, 1)
    whole(tmp_path)


VANDALS = [delete_entries, delete_everything, truncate_a_file]


@pytest.mark.parametrize("vandal", VANDALS)
def test_starts_while_another_process_destroys(tmp_path, vandal):
    tiny(tmp_path)
    race(tmp_path, starts=3, rounds=6, vandal=vandal)
    whole(tmp_path)


def test_starts_that_delete_what_the_others_read(tmp_path):
    tiny(tmp_path)
    race(tmp_path, starts=3, rounds=6, BANDITLAB_CACHE_SIZE="0")
    assert not list((tmp_path / "cache").iterdir())


@pytest.mark.slow
def test_two_hundred_starts_at_once(tmp_path):
    tiny(tmp_path)
    vandals = [None, None, None, None, None, *VANDALS]
    for vandal in vandals:  # 25 at a time: each takes 100 MB
        hits = race(tmp_path, starts=25, rounds=4, vandal=vandal)
        assert vandal is not None or hits >= 50
        whole(tmp_path)


# --- kernels and Python -------------------------------------------------------------------------


def test_python_calls_a_kernel_that_a_pair_has_compiled_without_a_way_in():
    """For a kernel's callers its machine code has no entry for Python: it must not be used."""

    @kernel
    def half(x):
        return 0.5 * x

    @kernel
    def loop(noun, out):
        out[0] = noun.value(out[0])

    class Halver(NamedTuple):
        value: object

    out = np.array([3.0])
    pairs.compiled(loop, (Halver(half),), (out,))(out)
    assert out[0] == 1.5
    assert half(3.0) == 1.5
    assert half(x=5.0) == 2.5
    assert half(np.array([1.0, 2.0])).tolist() == [0.5, 1.0]


# --- symbols ------------------------------------------------------------------------------------

PICK = '''
"""Always one arm, by a kernel that one builder makes for each arm, 2026."""
from functools import cache
from typing import NamedTuple
import numpy as np
from banditlab import numeric
from banditlab.core import kernel
from banditlab.protocols.online import Online
from banditlab.random import normal

class Pick(NamedTuple):
    arm: int

class Picked(NamedTuple):
    arm: np.ndarray  # (1,) int64
    others: np.ndarray  # (n_arms,) float64

@cache
def picking(arm):
    @kernel
    def init(params, task, rng):  # long enough that LLVM calls it
        others = np.zeros(task.n_arms)
        for i in range(task.n_arms):
            for j in range(task.n_arms):
                others[i] += numeric.exp(-1.0 * abs(i - j)) * numeric.log(2.0 + arm + j)
            others[i] += numeric.exp(-others[i]) * normal(rng)
        return Picked(np.full(1, arm), others)

    return init

@kernel
def act(params, state, t, x, rng):
    return state.arm[0]

@kernel
def update(params, state, t, x, arm, reward, rng):
    pass

@kernel
def recommend(params, state, x, rng, out):
    out[:] = 1.0 / out.size

def pick(arm=0):
    return Online(Pick(int(arm)), picking(int(arm)), act, update, recommend)
'''
PICKED = """
import sys, banditlab
for arm in map(int, sys.argv[1:]):
    curves = banditlab.simulate({
        "problem": {"name": "bernoulli", "means": [0.0, 0.25, 0.5]}, "horizon": 40,
        "replications": 2, "agents": [{"name": "pick.py", "arm": arm}]})
    print(curves.raw("pick")[0, -1])
"""


def picked(folder: Path, *arms: int) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", PICKED, *map(str, arms)],
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.split()]


def test_kernels_of_one_builder_from_different_processes_are_not_mixed_up(tmp_path):
    (tmp_path / "pick.py").write_text(PICK)
    alone = [picked(tmp_path, arm)[0] for arm in range(3)]
    assert alone == [20.0, 10.0, 0.0]
    assert picked(tmp_path, 0, 1, 2) == alone
