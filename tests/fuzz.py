"""Inputs that nobody meant, by the thousand: each is done, or refused in one line.

Run as a program, with the kernels as plain Python (compiling them would take longer than all
else), it tries so many inputs of each target and prints a table::

    NUMBA_DISABLE_JIT=1 python tests/fuzz.py --count 1000 --seed 1 [--only log]

Hypothesis draws the inputs. An input is a case that can be printed, `try_it` of its target meets it
in a folder of its own, and says whether it was accepted; `Fault` says what was wrong. Wrong is: a
traceback, another exit code than 0, 1 or 2, a refusal that is not one line or that leaves a file,
more than SECONDS or MEMORY, and whatever is accepted although a look of our own at the input or at
the result says that it is nonsense.

This file is long because every kind of input is drawn, met and checked in one place: they share the
odd words, the odd values and what must hold for all. Rounds are few throughout: the sizes that are
drawn are either tiny or absurd.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import csv
import gzip
import io
import json
import math
import os
import pickle
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from banditlab import Agent, registry, saved
from banditlab.cli.main import main as command
from banditlab.reports import duels as duels_report
from banditlab.reports import returns

SECONDS = 30  # of one input
MEMORY = 2 * 10**9  # bytes
ODD = 2**64
returns.DRAWS = 20  # of the bootstrap: its programs are solved in plain Python here

TABLE = "context,action,reward\n" + "0,a,1\n0,b,0\n1,a,0.5\n1,b,1\n" * 5
LOSSES = "a,b\n0.1,0.9\n0.8,0.3\n" * 1 + "0.2,0.4\n" * 6
STEPS = "episode,state,action,reward,next_state,terminated,truncated\n" + "".join(
    f"{i},0,{i % 2},{i % 2},1,0,0\n{i},1,0,1,0,1,0\n" for i in range(8)
)
RETURNS = "policy,condition,return\n" + "a,none,1\nb,none,0\na,push,0\nb,push,0.5\n" * 4
RATINGS = "a,b\n" + "0.1,0.9\n0.8,0.3\n" * 20
ARENA = """horizon = 10
replications = 2
agents = [{name = "ucb"}, {name = "uniform"}]
[problem]
name = "bernoulli"
means = [0.2, 0.8]
"""
FILES = {
    "log.csv": TABLE,
    "losses.csv": LOSSES,
    "steps.csv": STEPS,
    "returns.csv": RETURNS,
    "ratings.csv": RATINGS,
    "arena.toml": ARENA,
}


class Fault(AssertionError):
    """What is wrong, with a case that shows it."""


class Hung(BaseException):
    """An input took longer than SECONDS; no handler of the package must catch it."""


def ensure(holds: Any, what: str) -> None:
    if not holds:
        raise Fault(what)


# --- the command line, and what holds whatever it is told -----------------------------------------


class Done(NamedTuple):
    """A run of the command line."""

    code: int
    out: str
    err: str


def held(folder: Path) -> dict[str, Any]:
    """What is in a folder: files with their contents."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def call(words: list[str], folder: Path) -> Done:
    """Run the command line in ``folder`` and check what must hold for every run."""
    before = held(folder)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = command(words)
        except SystemExit as left:  # --help and --version
            ensure(left.code == 0, f"SystemExit({left.code!r})")
            code = 0
    done = Done(code, out.getvalue(), err.getvalue())
    _lines(done, words)
    after = held(folder)
    if code == 2:
        ensure(after == before, f"a refusal left {sorted(after.keys() ^ before.keys())}")
    for name in after.keys() - before.keys():
        ensure(".part" not in name, f"{name} was left")
    return done


def _lines(done: Done, words: list[str]) -> None:
    lines = done.err.split("\n")
    ensure(done.err == "" or lines.pop() == "", "standard error ends within a line")
    ensure(not any("Traceback" in x for x in lines), done.err)
    ensure("out of memory" not in done.err and "MemoryError" not in done.err, done.err)
    ensure("argument 1" not in done.err, f"words of Python's: {done.err}")
    errors = [x for x in lines if x.startswith("error: ")]
    if done.code == 2:
        ensure(errors == lines[-1:] and errors[0] != "error: ", f"no one line: {done.err!r}")
        ensure(done.out == "", f"a refusal printed {done.out[:200]!r}")
        ensure(len(errors[0]) < 2000, f"a line of {len(errors[0])} letters")
    elif done.code == 1:
        ensure(any(x.startswith("check failed: ") for x in lines), f"exit 1 for {done.err!r}")
    else:
        ensure(done.code == 0, f"exit code {done.code!r}")
        ensure(not errors, f"exit 0 with {errors}")
        if "--json" in words and done.out[:1] == "{":
            plain(done.out)


def plain(text: str) -> Any:
    """JSON as everybody reads it: without nan and infinities."""

    def odd(name: str) -> None:
        raise Fault(f"{name} in JSON")

    return json.loads(text, parse_constant=odd)


@contextlib.contextmanager
def somewhere() -> Iterator[Path]:
    """A folder of its own, to work in."""
    before = Path.cwd()
    folder = Path(tempfile.mkdtemp(prefix="input-"))
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)
        shutil.rmtree(folder)


# --- odd things -----------------------------------------------------------------------------------

ODD_WORDS = [
    "", " ", "0", "-0.0", "-1", "0.5", "1e400", "-1e-400", "nan", "inf", "-inf", str(2**63),
    str(ODD),
    "9" * 400, "1_0", "\u0661", "é", "\u202e", "\x00", "\udcff", "\n", "\t", "[", "{}", "[]",
    "null",
    "[[1]]", "true", "..", "../x", "/", ".", "a" * 300, "-", "--", "%s", "{0}", "[red]x", "[/]",
    "~",
    "{\"a\": 1}", "[1, null]", "\"", "'", "1e3", "NaN", "[" * 500, "a.b.c=1", "=", "x=y", ",",
    "none.py",
    "none.toml", "CON", "💥", "\ufeff", "/dev/null",
]  # fmt: skip
odd_words = st.sampled_from(ODD_WORDS) | st.text(max_size=12)
ODD_VALUES = [
    None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e308, 1e-320, math.nan, math.inf, -math.inf, 2**31,
    2**62, 2**63, ODD, 10**400, -(10**400), "", "a", "nan", [], [1], [[1]], [1, "a"], [None], {},
    {"a": 1},
    1 + 2j, b"x", object(), (), np.nan, np.int64(1), np.float32(0.5), np.array(1), np.array([1, 2]),
    np.zeros((2, 2)), np.zeros(0), np.array(["a"]), np.array([None]), np.array(1 + 1j),
    np.array(True),
    np.datetime64("2020-01-01"), range(3), len, int, "x" * 500, np.array([np.nan, 1]), set(),
    [[[]]],
]  # fmt: skip
odd_values = st.sampled_from(ODD_VALUES)
plain_odd = st.sampled_from(
    [True, 0, -1, 1, 3, 0.5, -0.0, 1e308, 5e-324, math.nan, math.inf, 2**31, 2**62, 2**63 - 1, "",
    "a",
     [], [1], [[1]], [1, 2.5], ["a"], {"a": 1}, "\u202e", "x" * 300, -(2**63), [0.5, 0.5], "x.py"]
)  # fmt: skip

SIZES = [1, 2, 3, 7, 10, 20]  # of runs that are meant
ODD_SIZES = [0, -1, 2**53 + 1, 2**63 - 1, 1.5, math.nan, "10", True, [], [1]]
sizes = st.sampled_from(SIZES) | st.sampled_from(SIZES + ODD_SIZES)

# --- words ----------------------------------------------------------------------------------------

AGENTS = ["ucb", "thompson", "exp3", "uniform", "kl_ucb", "moss", "sequential_halving", "lcb", "bc",
          "greedy_offline", "vi_lcb", "batched_omd", "dp_bai", "lin_ts", "sw_ucb", "x",
          "none.py"]  # fmt: skip
PLAY = {*AGENTS} - {
    "lcb",
    "bc",
    "greedy_offline",
    "vi_lcb",
    "batched_omd",
    "dp_bai",
    "x",
    "none.py",
}
BASES = [
    ["--agent", "ucb", "--vs", "uniform"],
    ["--arena", "arena.toml"],
    ["--arena", "stochastic", "--agent", "ucb", "--vs", "moss"],
    ["--agent", "ucb", "--log", "log.csv"],
    ["--agent", "lcb", "--log", "log.csv"],
    ["--log", "log.csv", "--estimate-propensity"],
    ["--agent", "batched_omd", "--log", "losses.csv", "--replications", "2"],
    ["--agent", "vi_lcb", "--log", "steps.csv"],
    ["--agent", "discover", "--log", "returns.csv", "--horizon", "10", "--replications", "2"],
    ["--agent", "dp_bai", "--log", "ratings.csv", "--low", "0", "--high", "1", "--replications",
    "3"],
    ["--agent", "dp_bai", "--log", "ratings.csv", "--low", "0", "--high", "1", "--replications",
    "3",
     "--ledger", "ledger.jsonl"],
    ["--list"],
    ["--version"],
    ["--help"],
    [],
]  # fmt: skip
SMALL = [str(n) for n in SIZES] + [
    "0",
    "-1",
    "x",
    "1.5",
    str(2**63),
    str(ODD),
    "9" * 400,
    "1_0",
    "",
]
VALUES: dict[str, list[str]] = {
    "--agent": AGENTS,
    "--arena": ["arena.toml", "stochastic", "adversarial", "log.csv", "stochastik"],
    "--vs": AGENTS,
    "--problem": ["bernoulli", "gaussian", "beta", "linear", "drifting", "none", "none.py"],
    "--log": [*FILES, "none.csv", "."],
    "--columns": ["action=arm", "reward=a", "action=action", "action=reward", "=", "a=b,a=b"],
    "--sigma": ["1", "0.5", "0", "-1"],
    "--low": ["0", "-1", "0.5", "1e-300"],
    "--high": ["1", "2", "5", "1e300"],
    "--unit": ["a", "person", "0"],
    "--max-per-unit": SMALL,
    "--ledger": ["ledger.jsonl", ".", "none/x", "log.csv"],
    "--epsilon-total": ["1", "10", "0"],
    "--mechanism": ["own", "opendp", "none"],
    "--horizon": SMALL,
    "--replications": SMALL,
    "--seed": [*SMALL, "123"],
    "--workers": ["1", "2", "0", "-1", str(ODD)],
    "--set": [
        "ucb.alpha=0.1", "ucb.alpha=-1", "problem.means=[0.1,0.9]", "problem.n_arms=3",
        "exp3.eta=0",
        "dp_bai.epsilon=1", "dp_bai.epsilon=0", "problem.gap=0.1", "lcb.delta=0.1",
        "vi_lcb.delta=2",
        "problem.gamma=0.5", "problem.budget=3", "problem.look_price=0.1", "moss.x=1",
    ],
    "--bands": ["pointwise", "simultaneous", "x"],
    "--out": ["out", "out/deep/er", ".", "log.csv", "log.csv/x", "/proc/x", "/dev/full", "a" * 255],
    "--memory": ["1GB", "800MB", "0", "1", "1e400", "x", "1e18TB"],
    "--style": ["paper", "dark", "x"],
    "--backend": ["threads", "ray", "x"],
    "--address": ["nowhere:1", "auto", "x"],
    "--until-resolved": ["0.05", "0.5", "0", "2", "nan"],
    "--most": SMALL,
    "--span": ["0:10", "1:0", "0:nan", "0:1e-9", "x"],
    "--tune": ["alpha=0.1:2", "alpha=0:1:log", "alpha=1|2", "alpha=2:1", "x=1:2", "alpha=-1:1"],
    "--trials": ["1", "2", "0", "-1", "x"],
    "--track": ["tensorboard", "x"],
    "--explain": [*AGENTS, "stochastic", "bernoulli", ".", "arena.toml"],
    "--advise": ["feedback=reward", "source=log", "horizon=10", "feedback=x", "x", "="],
    "--completion": ["bash", "zsh", "fish", "x"],
    "--env": ["data:log.csv", "data:steps.csv", "data:none.csv", "data:", "data:.", "x"],
    "--label": ["action", "reward", "state", "x", ""],
    "--resume": [], "--json": [], "--quiet": [], "--list": [], "--estimate-propensity": [],
    "--compare": [], "--live": [], "--allow-code": [],
}  # fmt: skip


@st.composite
def flags(draw: Any) -> list[str]:
    flag = draw(st.sampled_from(list(VALUES)))
    if not VALUES[flag]:
        return [flag]
    if flag == "--set":
        key = draw(st.sampled_from([word.partition("=")[0] for word in VALUES[flag]]))
        other = odd_words.map(lambda word: f"{key}={word}")
        return [flag, draw(st.sampled_from(VALUES[flag]) | other)]
    # Words that decide how long a run takes are drawn from the list alone.
    big = flag in (
        "--horizon",
        "--replications",
        "--max-per-unit",
        "--workers",
        "--most",
        "--trials",
    )
    sure = st.sampled_from(VALUES[flag])
    value = draw(sure if big else st.one_of(sure, sure, odd_words))
    return [f"{flag}={value}"] if draw(st.integers(0, 9)) == 0 else [flag, value]


@st.composite
def word_cases(draw: Any) -> list[str]:
    words = list(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(0, 3))):
        words += draw(flags())
    if draw(st.integers(0, 3)) == 0 and words:
        at = draw(st.integers(0, len(words) - 1))
        words[at : at + 1] = draw(
            st.sampled_from([[], [words[at]] * 2]) | st.tuples(odd_words).map(list)
        )
    return words


def bounded(words: list[str]) -> list[str]:
    """The words, and sizes of a run in front: by default an arena would take minutes."""
    report = "--log" in words and not any(w.partition("=")[2] in PLAY or w in PLAY for w in words)
    said = {"--list", "--version", "--help", "--explain", "--advise", "--completion"}
    if report or said & {word.partition("=")[0] for word in words}:
        return words
    return ["--horizon", "10", "--replications", "2", *words]


def try_words(words: list[str], folder: Path) -> bool:
    for name, text in FILES.items():
        (folder / name).write_text(text)
    done = call(bounded(words), folder)
    for name, text in FILES.items():
        if done.code != 0 or not {"--out", "--ledger"} & {w.partition("=")[0] for w in words}:
            ensure((folder / name).read_text() == text, f"{name} was changed")
    return done.code != 2


# --- arenas ---------------------------------------------------------------------------------------


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "nan" if value != value else f"{value!r}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(k)} = {toml(v)}' for k, v in value.items())}}}"
    return json.dumps(value)


PROBLEMS: dict[str, dict[str, list[Any]]] = {
    "bernoulli": {"means": [[0.2, 0.8], [0.5, 0.5, 0.5], [0, 1], [-0.0, 0.5]]},
    "gaussian": {"means": [[0.2, 0.8], [-5, 7.5]], "sigma": [1, 0.1]},
    "bernoulli_gap": {"n_arms": [2, 5], "gap": [0.1, 0.5]},
    "beta": {"means": [[0.2, 0.8]]},
    "deterministic_gap": {"n_arms": [2, 5], "gap": [0.1]},
    "none": {},
}


@st.composite
def arena_cases(draw: Any) -> tuple[list[str], str]:
    problem = draw(st.sampled_from(list(PROBLEMS)))
    tame = draw(st.integers(0, 9)) < 7  # at most one thing is odd
    size = st.sampled_from(SIZES) if tame else sizes
    table: dict[str, Any] = {"horizon": draw(size), "replications": draw(size)}
    agents = []
    players = AGENTS[:6] if tame else AGENTS[:8]
    for name in draw(st.lists(st.sampled_from(players), min_size=1, max_size=3, unique=tame)):
        entry = {"name": name}
        if draw(st.integers(0, 30 if tame else 5)) == 0:
            key = draw(st.sampled_from(["alpha", "eta", "label", "warm", "sigma", "x"]))
            entry[key] = draw(plain_odd)
        agents.append(entry)
    table["agents"] = agents
    table["problem"] = {"name": problem}
    for key, values in PROBLEMS[problem].items():
        table["problem"][key] = draw(st.sampled_from(values))
    if draw(st.integers(0, 20 if tame else 3)) == 0:
        table["problem"][draw(st.sampled_from(["means", "n_arms", "gap", "sigma", "x"]))] = draw(
            plain_odd
        )
    extra = {
        "seed": st.sampled_from([0, 7, 2**63 - 1, 2**64, -1]) | plain_odd,
        "title": plain_odd | st.sampled_from(["$x^$", "$x^2$", "5$ to 7$", "[/]", "💥"]),
        "checkpoints": st.lists(sizes, max_size=3) | plain_odd,
        "xscale": st.sampled_from(["log", "linear", "x"]),
        "yscale": st.sampled_from(["log", "linear", "symlog"]) | plain_odd,
        "linthresh": plain_odd,
        "overlays": st.sampled_from(
            [["lai_robbins"], ["minimax"], ["lai_robbins", "minimax"], ["x"]]
        ),
        "references": st.just([{"label": "a", "t": [1, 5], "y": [1, 2]}])
        | st.tuples(plain_odd, plain_odd).map(lambda p: [{"label": "a", "t": p[0], "y": p[1]}]),
        "sweep": st.sampled_from(
            [
                {"horizon": [5, 10]},
                {"problem.gap": [0.1, 0.2]},
                {"problem.n_arms": [2, 3]},
                {"ucb.alpha": [1, 2]},
                {"horizon": [10, 5]},
                {"x": [1]},
                {"horizon": []},
                {"horizon, problem.n_arms": [2, 3]},
            ]
        ),
        "checks": st.sampled_from(
            [
                [{"less": "ucb.regret", "than": "uniform.regret"}],
                [{"value": "ucb.regret", "near": 1}],
                [{}],
                [{"less": "ucb.regret", "than": 1e9}],
                [{"slope": "ucb.regret", "near": 1}],
                [{"less": "x"}],
            ]
        ),
        "protocol": st.sampled_from(["online", "offline", "identify", "observe", "x", "x.py"]),
        "measure": st.sampled_from(["regret", "reward", "x", ""]),
        "log": sizes,
        "exact": st.booleans(),
        "slopes": st.booleans(),
        "row": plain_odd,
        "panels": st.sampled_from(
            [[{}], [{"name": "a"}, {"name": "b"}], [{"name": "a"}] * 2, [], "x"]
        ),
        "worst": st.sampled_from([[{"name": "bernoulli", "means": [0.1, 0.2]}], [{"name": "x"}]]),
        "hroizon": plain_odd,
        "name": plain_odd | st.sampled_from(["../x", "a/b", "..", "a" * 250, "ok", "a\nb"]),
        "home_of": plain_odd,
    }
    for key in draw(st.lists(st.sampled_from(list(extra)), max_size=1 if tame else 3, unique=True)):
        table[key] = draw(extra[key])
    text = "".join(f"{key} = {toml(value)}\n" for key, value in table.items())
    # Not in the two lines of sizes: a digit more there is a longer run.
    safe = text.index("agents")
    if draw(st.integers(0, 20 if tame else 4)) == 0:
        at = draw(st.integers(safe, len(text)))
        cut = draw(st.integers(0, 3))
        put = draw(st.sampled_from(["", "=", "[", "]", '"', "\n", "{", "#", "é", "\x00", ".", "'"]))
        text = text[:at] + put + text[at + cut :]
    words = draw(st.sampled_from([[], [], ["--json"], ["--bands", "simultaneous"], ["--agent",
    "ucb"],
                                  ["--problem", "gaussian"], ["--vs", "ucb", "--vs",
                                  "moss"]]))  # fmt: skip
    return words, text


def try_arena(case: tuple[list[str], str], folder: Path) -> bool:
    words, text = case
    (folder / "own.toml").write_text(text)
    done = call(["--arena", "own.toml", "--out", "out", *words], folder)
    if done.code == 2:
        return False
    table = tomllib.loads(text)
    for key in ("horizon", "replications"):
        value = table[key]
        ensure(type(value) in (int, float) and value == int(value), f"{key} = {value!r}")
        ensure(1 <= value <= 2**53, f"{key} = {value!r}")
    ensure({a["name"] for a in table["agents"]} <= {*registry.names()}, f"{table['agents']}")
    ensure({"curves.csv", "arena.json"} & set(os.listdir("out")), f"out has {os.listdir('out')}")
    with open("out/curves.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ensure(rows, "curves.csv is empty")
    for row in rows:
        for key in ("t", "mean"):
            ensure(math.isfinite(float(row[key])), f"curves.csv: {key} = {row[key]}")
    return True


# --- tables ---------------------------------------------------------------------------------------

CELLS = ["", " ", "nan", "NaN", "inf", "-inf", "1e400", "-0.0", "0,5", "1.000,5", "0x10", "1_0",
"\u0661", "é",
         '"', '""', "'", "a;b", "a,b", "\x00", "None", "null", "NA", "True", "1e-400", "9" * 400,
         "2020-01-01",
         str(2**60), str(ODD), "-1", "1.5", "2", "\u202e", "=1+1", "#", "x" * 300, "\ufeff", "[1]",
         "1 000"]  # fmt: skip
NUMBERS = ["0", "1", "0.5", "0.25", "1.0", "0.75", "0.1"]


class Sheet(NamedTuple):
    """A table as text cells, and how it is written down."""

    names: list[str]
    rows: list[list[str]]
    separator: str
    ending: str  # of the file's name
    encoding: str
    quoted: bool
    words: list[str]  # of the command line

    def data(self) -> bytes:
        held = io.StringIO()
        quoting = csv.QUOTE_ALL if self.quoted else csv.QUOTE_MINIMAL
        kind = csv.writer(held, delimiter=self.separator, quoting=quoting, lineterminator="\n")
        kind.writerow(self.names)
        kind.writerows(self.rows)
        if self.ending == ".parquet":
            return self._parquet()
        data = held.getvalue().encode(self.encoding, "replace")
        return gzip.compress(data, 1) if self.ending.endswith(".gz") else data

    def _parquet(self) -> bytes:
        """Columns of numbers where all cells are; a row that is too short ends in nothing."""
        columns = []
        for i in range(len(self.names)):
            cells = [row[i] if i < len(row) else None for row in self.rows]
            if all(cell is not None and "," not in cell and cell == cell.strip() for cell in cells):
                with contextlib.suppress(ValueError):
                    cells = [float(str(cell)) for cell in cells]
            columns.append(pyarrow.array(cells))
        held = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(columns, names=self.names), held)
        return held.getvalue()


@st.composite
def sheets(
    draw: Any, columns: dict[str, list[str]], extra: dict[str, list[str]], words: Any
) -> Sheet:
    names = list(columns)
    cells = {**columns, **extra}
    names += draw(st.lists(st.sampled_from(list(extra)), max_size=2, unique=True))
    count = draw(st.integers(0, 3)) if draw(st.integers(0, 5)) == 0 else draw(st.integers(8, 30))
    shift = draw(st.integers(0, 6))
    rows = [
        [
            cells[name][(i * (2 * j + 1) + shift * j + i // 4) % len(cells[name])]
            for j, name in enumerate(names)
        ]
        for i in range(count)
    ]
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        what = draw(st.integers(0, 8))
        if what == 0 and names:
            at = draw(st.integers(0, len(names) - 1))
            new = draw(st.sampled_from(["", "Unnamed: 0", "0.91", "reward", "action", "1", "é",
            "x_0", "propensty",
                                        names[at].upper(), f" {names[at]} ", "pscore",
                                        "done"]))  # fmt: skip
            names[at : at + 1] = [new] if draw(st.booleans()) else [new, names[at]]
        elif what == 1 and names:
            del names[draw(st.integers(0, len(names) - 1))]
        elif what == 2 and rows:
            draw(st.sampled_from(rows)).append(draw(st.sampled_from(CELLS)))
        elif what == 3 and rows and rows[0]:
            draw(st.sampled_from(rows))[-1:] = []
        elif rows:
            row = draw(st.sampled_from(rows))
            if row:
                row[draw(st.integers(0, len(row) - 1))] = draw(st.sampled_from(CELLS))
    return Sheet(
        names, rows,
        draw(st.sampled_from([",", ",", ";", "\t", "|"])),
        draw(st.sampled_from([*[".csv"] * 8, ".tsv", ".CSV", ".csv.gz", ".parquet", ".parquet",
        draw(st.sampled_from(["", ".txt"]))])),
        draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])),
        draw(st.integers(0, 5)) == 0,
        draw(words),
    )  # fmt: skip


# Bytes that are changed after all, in one case of four: (where in it, as a share; what; new bytes).
edits = st.none() | st.none() | st.none() | st.tuples(
    st.floats(0, 1), st.integers(0, 2), st.binary(min_size=1, max_size=4)
)  # fmt: skip


def edited(data: bytes, edit: tuple[float, int, bytes] | None) -> bytes:
    """The bytes with some replaced, put in, or with the end cut off."""
    if edit is None:
        return data
    at = int(edit[0] * len(data))
    return data[:at] + (
        b"" if edit[1] == 2 else edit[2] + data[at + len(edit[2]) * (edit[1] == 0) :]
    )


LOG_WORDS = st.sampled_from([
    ["--agent", "lcb"], ["--agent", "lcb", "--json"], ["--agent", "bc"], ["--agent",
    "greedy_offline", "--json"],
    ["--agent", "lin_lcb", "--json"], ["--agent", "lcb", "--low", "-1", "--high", "3", "--json"],
    ["--agent", "lcb", "--estimate-propensity", "--json"], ["--agent", "lcb", "--columns",
    "action=arm"],
    ["--agent", "ucb", "--horizon", "10", "--replications", "2", "--out", "out"],
    ["--agent", "ucb", "--vs", "thompson", "--horizon", "7", "--replications", "2", "--out", "out",
    "--sigma", "1"],
])  # fmt: skip
logs = sheets(
    {"action": ["a", "b"], "reward": NUMBERS},
    {
        "context": ["0", "1"], "propensity": ["0.5"], "x_0": ["0.5", "-1", "2"], "x_1": ["1", "0"],
        "pscore": ["0.5", "0.4"], "time": ["1", "2"], "x": ["1"], "episode": ["1", "2"],
    },
    LOG_WORDS,
)  # fmt: skip
STEP_WORDS = st.sampled_from([
    ["--agent", "vi_lcb"], ["--agent", "vi_lcb", "--json"], ["--agent", "bc", "--json"],
    ["--agent", "vi_lcb", "--set", "problem.gamma=0.5", "--json"],
    ["--agent", "vi_lcb", "--set", "problem.horizon=3", "--json"],
    ["--agent", "vi_lcb", "--vs", "vi_ce", "--estimate-propensity", "--json"],
    ["--agent", "ucb", "--horizon", "10", "--replications", "2", "--out", "out"],
])  # fmt: skip
steps = sheets(
    {"state": ["s", "t"], "action": ["a", "b"], "reward": NUMBERS, "next_state": ["t", "s", "s"],
     "terminated": ["0", "0", "0", "1"], "truncated": ["0"]},
    {"propensity": ["0.5"], "episode": ["1", "1", "1", "1", "2", "2"], "done": ["0", "1"],
     "timeout": ["0"], "step": ["0", "1"], "next_reward": ["1"]},
    STEP_WORDS,
)  # fmt: skip
LOSS_WORDS = st.sampled_from([
    ["--agent", "batched_omd", "--replications", "2"], ["--agent", "batched_omd", "--replications",
    "2", "--json"],
    ["--agent", "batched_omd", "--replications", "1", "--low", "-1", "--high", "3", "--json"],
    ["--agent", "batched_omd", "--replications", "2", "--set", "problem.look_price=0.1", "--json"],
    ["--agent", "batched_omd", "--replications", "2", "--horizon", "5", "--json"],
])  # fmt: skip
losses = sheets(
    {"a": NUMBERS, "b": NUMBERS}, {"c": NUMBERS, "0": ["0"], "round": ["1", "2"]}, LOSS_WORDS
)
KEEP = ["--agent", "discover", "--horizon", "10", "--replications", "2", "--json"]
KEEP_WORDS = st.sampled_from([
    KEEP, KEEP, KEEP, KEEP, KEEP[:-1], [*KEEP, "--low", "0.2", "--high", "0.9"],
    [*KEEP, "--set", "discover.gap=pure"],
    [*KEEP, "--columns", "policy=model"],
])  # fmt: skip
kept = sheets(
    {"policy": ["a", "b"], "condition": ["none", "push", "push", "none"], "return": NUMBERS},
    {"model": ["a", "b"], "episode": ["1", "2", "3"], "note": ["", "x"]}, KEEP_WORDS,
)  # fmt: skip
RATE = ["--agent", "noisy_max", "--replications", "3", "--json"]
RATE_WORDS = st.sampled_from([
    [*RATE, "--low", "0", "--high", "1"], [*RATE, "--low", "0", "--high", "1", "--ledger",
    "spent"], RATE,
    [*RATE, "--low", "0", "--high", "1"], [*RATE, "--low", "0", "--high", "1", "--unit", "person"],
    [*RATE, "--low", "0", "--high", "1", "--set", "noisy_max.epsilon=0.5"],
    ["--agent", "dp_bai", *RATE[2:], "--low", "0", "--high", "1"],
    [*RATE, "--low", "0", "--high", "1", "--ledger", "spent", "--epsilon-total", "0.1"],
    [*RATE, "--low", "0", "--high", "1", "--columns", "action=arm,reward=value"],
])  # fmt: skip
ratings = st.one_of(
    sheets({"a": NUMBERS, "b": NUMBERS}, {"c": NUMBERS, "person": ["x", "y", "z"]}, RATE_WORDS),
    sheets(
        {"action": ["a", "b"], "reward": NUMBERS}, {"person": ["x", "y"], "arm": ["a"]}, RATE_WORDS
    ),
)

DUELED = ["--horizon", "10", "--replications", "2"]
DUEL_WORDS = st.sampled_from([
    ["--agent", "spo_exp3", *DUELED], *[["--agent", "spo_exp3", *DUELED, "--json"]] * 4,
    ["--agent", "bt_argmax", "--vs", "hedge_selfplay", *DUELED, "--json"],
    ["--agent", "spo_exp3", *DUELED, "--json", "--columns", "left=first"],
    ["--agent", "spo_exp3", *DUELED, "--json", "--columns", "annotator=person"],
])  # fmt: skip
dueled = st.one_of(
    sheets(
        {"left": ["a", "b", "c"], "right": ["b", "c", "d", "a"],
         "winner": ["left", "right", "tie", "left"]},
        {"annotator": ["x", "y", "z"], "person": ["1", "2"], "judge": ["u"], "time": ["1", "2"]},
        DUEL_WORDS,
    ),
    sheets(
        {"ranking": ["a > b", "b>c=a", "c > d > a", "d"], "annotator": ["x", "y"]}, {"rank": ["1"]},
        DUEL_WORDS,
    ),
    sheets({"rank_1": ["a", "b"], "rank_2": ["c", "d"]}, {"rank_3": ["e", ""]}, DUEL_WORDS),
)  # fmt: skip


def number(text: str) -> float:
    """A cell as a number, with a point or a comma; nan for what is none."""
    try:
        return float(text.strip().replace(",", ".")) if "_" not in text else math.nan
    except ValueError:
        return math.nan


def read_back(sheet: Sheet, data: bytes) -> tuple[list[str], list[list[str]]]:
    """Header and rows as the csv module reads them, which must be what was written."""
    if sheet.ending == ".parquet":
        return [name.strip() for name in sheet.names], [
            row[: len(sheet.names)] for row in sheet.rows
        ]
    packed = gzip.decompress(data) if sheet.ending.endswith(".gz") else data
    lines = io.StringIO(packed.decode(sheet.encoding), newline="")
    rows = [
        row for row in csv.reader(lines, delimiter=sheet.separator) if any(c.strip() for c in row)
    ]
    return [name.strip().lstrip("\ufeff") for name in rows[0]], rows[1:]


def try_sheet(case: tuple[Sheet, Any], folder: Path) -> Any:
    """What a table leads to, and what was read of it by ourselves; None if it was refused."""
    sheet, edit = case
    data = edited(sheet.data(), edit)
    path = folder / f"log{sheet.ending}"
    path.write_bytes(data)
    done = call([*sheet.words, "--log", path.name], folder)
    ensure(path.read_bytes() == data, "the file was changed")
    if done.code == 2:
        return None
    # An edit of bytes may make another table of it, of which we know nothing.
    if edit is not None or sheet.encoding == "latin-1":
        return done, None, None
    names, rows = read_back(sheet, data)
    ensure(rows, "accepted without a row")
    for row in rows if sheet.ending != ".parquet" else []:
        ensure(len(row) == len(names), f"accepted with {len(row)} cells under {len(names)} columns")
    ensure(len(set(names)) == len(names), f"accepted with columns {names}")
    return done, names, rows


def try_log(case: tuple[Sheet, Any], folder: Path) -> bool:
    found = try_sheet(case, folder)
    if found is None or found[1] is None:
        return found is not None
    done, names, rows = found
    words = case[0].words
    if "action" in names and "--columns" not in words:
        actions = {row[names.index("action")].strip() for row in rows}
        ensure("" not in actions, "accepted an action without a name")
        rewards = [number(row[names.index("reward")]) for row in rows]
        ensure(all(map(math.isfinite, rewards)), f"accepted rewards {rewards}")
        if words[1] in ("lcb", "lin_lcb") and "--low" not in words:
            ensure(0 <= min(rewards) and max(rewards) <= 1, f"lcb accepted rewards {rewards}")
        if "propensity" in names:
            shares = [number(row[names.index("propensity")]) for row in rows]
            ensure(all(0 < p <= 1 for p in shares), f"accepted propensities {shares}")
        if "--json" in words and "n_arms" in (told := plain(done.out)):
            ensure(told["rows"] == len(rows), f"{told['rows']} rows told of {len(rows)}")
            ensure(told["n_arms"] == len(actions), f"{told['n_arms']} arms told of {actions}")
    return True


def try_steps(case: tuple[Sheet, Any], folder: Path) -> bool:
    found = try_sheet(case, folder)
    if found is None or found[1] is None:
        return found is not None
    done, names, rows = found
    rewards = [number(row[names.index("reward")]) for row in rows]
    ensure(all(map(math.isfinite, rewards)), f"accepted rewards {rewards}")
    if "--json" in case[0].words and "next_state" in names:
        told = plain(done.out)
        ensure(told["rows"] == len(rows), f"{told['rows']} rows told of {len(rows)}")
        actions = {row[names.index("action")].strip() for row in rows}
        ensure(told["n_actions"] == len(actions), f"{told['n_actions']} told of {actions}")
    return True


def try_losses(case: tuple[Sheet, Any], folder: Path) -> bool:
    found = try_sheet(case, folder)
    if found is None or found[1] is None:
        return found is not None
    done, names, rows = found
    low, high = (-1, 3) if "--low" in case[0].words else (0, 1)
    values = [number(cell) for row in rows for cell in row]
    ensure(all(low <= value <= high for value in values), f"accepted losses {values}")
    if "--json" in case[0].words:
        told = plain(done.out)
        asked = 5 if "--horizon" in case[0].words else len(rows)
        ensure(told["rounds"] == min(asked, len(rows)), f"{told['rounds']} rounds of {len(rows)}")
        ensure(told["n_arms"] == len(names), f"{told['n_arms']} arms of {names}")
        ensure(told["best_arm"] in names, f"best arm {told['best_arm']!r} of {names}")
    return True


def try_returns(case: tuple[Sheet, Any], folder: Path) -> bool:
    found = try_sheet(case, folder)
    if found is None or found[1] is None:
        return found is not None
    done, names, rows = found
    words = case[0].words
    earned = [number(row[names.index("return")]) for row in rows]
    ensure(all(map(math.isfinite, earned)), f"accepted returns {earned}")
    if "--json" not in words:
        return True
    told = plain(done.out)
    ensure(told["rows"] == len(rows), f"{told['rows']} rows told of {len(rows)}")
    ensure(set(told["kept"]) <= set(told["policies"]) and told["kept"], f"kept {told['kept']}")
    means = dict(zip(told["policies"], told["means"], strict=True))
    for row in told["gaps"]:
        by = row["dominated_by"]
        ensure(bool(by) != row["kept"], f"{row} is kept and dominated")
        if by:  # by no less under every condition, as a look at the means says
            ensure(abs(sum(part["weight"] for part in by) - 1) < 1e-9, f"weights of {by}")
            mixed = sum(part["weight"] * np.array(means[part["policy"]]) for part in by)
            rounding = 1e-8 + 1e-9 * float(np.ptp(list(means.values())))
            no_less = (mixed >= np.array(means[row["policy"]]) - rounding).all()
            ensure("pure" in str(words) or no_less, f"{row} is not dominated")
    return True


def try_ratings(case: tuple[Sheet, Any], folder: Path) -> bool:
    found = try_sheet(case, folder)
    words = case[0].words
    if found is None:
        return False
    ensure("--low" in words, "a release without bounds")
    ensure("--epsilon-total" not in words, "a release of more epsilon than there is")
    done, names, rows = found
    told = plain(done.out)
    if "--ledger" in words:
        ensure(len((folder / "spent").read_text().splitlines()) >= 1, "a release without an entry")
    if names is None:
        return True
    long = "action" in names
    arms = {row[names.index("action")].strip() for row in rows} if long else set(names)
    ensure(told["released"]["arm"] in arms, f"released {told['released']['arm']!r} of {arms}")
    ensure(not long or "" not in arms, "released an arm without a name")
    if long and "--unit" not in words:
        ensure(told["not_private"]["rewards"] == len(rows), f"{told['not_private']} of {len(rows)}")
    return True


def try_dueled(case: tuple[Sheet, Any], folder: Path) -> bool:
    duels_report.DRAWS = 8  # of the bootstrap: what is drawn is not what is looked for here
    found = try_sheet(case, folder)
    if found is None or found[1] is None:
        return found is not None
    done, names, rows = found
    if "--json" not in case[0].words:
        return True
    told = plain(done.out)
    ensure(told["duels"] <= len(rows) * len(names) ** 2 * 8, f"{told['duels']} of {len(rows)} rows")
    for row in told["items"]:
        ensure(str(row["name"]).strip() != "", "accepted a thing without a name")
        ensure(abs(row["borda"]["value"] - 0.5) <= 0.5, f"{row}")
    ensure(abs(sum(r["von_neumann"]["value"] for r in told["items"]) - 1) < 1e-9, "no strategy")
    ensure(told["winners"]["von_neumann"]["exploitability"] < 1e-6, f"{told['winners']}")
    if {"left", "right", "winner"} <= {*names}:
        pairs = [[row[names.index(n)].strip() for n in ("left", "right", "winner")] for row in rows]
        ensure(all(left and right for left, right, _ in pairs), f"accepted {pairs}")
        met = [(left, right, who) for left, right, who in pairs if left != right]
        # "1" and "1.0" are one thing, so that a few more rows may set it against itself.
        ensure(told["duels"] <= len(met), f"{told['duels']} duels of {len(met)}")
        ensure(all(who for *_, who in met), f"accepted {met}")
    return True


# --- saved agents ---------------------------------------------------------------------------------

KINDS: dict[str, dict[str, Any]] = {
    "exp3": {"n_arms": 3, "horizon": 100, "eta": 0.1},
    "ucb": {"n_arms": 2, "n_contexts": 3, "horizon": 50},
    "linucb": {"n_arms": 2, "dim": 2, "horizon": 50},
    "dp_sequential_halving": {"n_arms": 4, "horizon": 90, "epsilon": 1.0},
    "blocked": {"n_arms": 3, "horizon": 60, "base": "exp3", "tau": 3, "budget": 40},
    "vi_lcb": {"gamma": 0.9},
    "lcb": {"n_arms": 2, "n_contexts": 2},
}
_bytes: dict[str, bytes] = {}


def file_of(name: str) -> bytes:
    """A saved agent of that kind."""
    if name not in _bytes:
        with tempfile.TemporaryDirectory() as folder:
            Agent(name, **KINDS[name]).save(Path(folder) / "a")
            _bytes[name] = (Path(folder) / "a").read_bytes()
    return _bytes[name]


FACTS = ["t", "name", "hyper", "given", "left", "schema", "shape", "x", "checksum"]
plain_facts = st.recursive(
    st.sampled_from([None, True, False, 0, 1, -1, 2.5, 10**30, math.nan, math.inf, "", "ucb",
    "x.py", 10**9]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["n_arms", "a"]),
    inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
saved_cases = st.one_of(
    st.tuples(st.just("bytes"), st.sampled_from(list(KINDS)), st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 2), st.binary(min_size=1, max_size=40)),
        min_size=1, max_size=3
    )),
    st.tuples(st.just("fact"), st.sampled_from(list(KINDS)), st.tuples(st.sampled_from(FACTS),
    plain_facts)),
    st.tuples(st.just("given"), st.sampled_from(list(KINDS)), st.tuples(
        st.sampled_from(["n_arms", "n_contexts", "dim", "horizon", "budget", "price", "extra",
        "gamma", "x"]),
        plain_facts,
    )),
    st.tuples(st.just("array"), st.sampled_from(list(KINDS)), st.tuples(
        st.integers(0, 9),
        st.sampled_from([math.nan, 0, -1, "float32", "object", "short", "none", "twice", "big"]),
    )),
)  # fmt: skip


def forged(kind: str, name: str, change: Any) -> bytes:
    """A saved agent that was changed: its bytes, or what it says with a checksum that fits."""
    data = file_of(name)
    if kind == "bytes":
        for edit in change:
            data = edited(data, edit)
        return data
    with np.load(io.BytesIO(data)) as stored:
        parts = dict(stored)
    about = json.loads(str(parts.pop("about")))
    key, value = change
    if kind == "fact":
        about[key] = value
    elif kind == "given":
        about["given"][key] = value
    else:
        key = sorted(parts)[key % len(parts)]
        parts[key] = _other(parts[key], value)
        if value == "none":
            del parts[key]
    if key != "checksum":
        about["checksum"] = saved._checksum(about, parts)
    held = io.BytesIO()
    np.savez(held, about=np.array(json.dumps(about)), **parts)
    return held.getvalue()


def _other(array: np.ndarray, how: Any) -> np.ndarray:
    if how in ("float32", "object"):
        return array.astype(how)
    if how in ("short", "twice"):
        return array[:-1] if how == "short" else np.concatenate([array, array])
    if how == "big":
        return np.zeros((10**4, *array.shape[1:]), array.dtype)
    return array if isinstance(how, str) else np.full_like(array,
    0 if array.dtype.kind in "ub" else how) \
        if array.dtype.kind == "f" or how == 0 else array  # fmt: skip


def try_saved(case: tuple[str, str, Any], folder: Path) -> bool:
    kind, name, _ = case
    path = folder / "forged.npz"
    path.write_bytes(forged(*case))
    try:
        agent = Agent.load(path)
    except ValueError as error:
        ensure("\n" not in str(error) and str(path) in str(error), f"no line: {error}")
        ensure(len(str(error)) < 1000, f"a line of {len(str(error))} letters")
        return False
    finally:
        ensure(os.listdir(folder) == ["forged.npz"], f"files were left: {os.listdir(folder)}")
    fresh = Agent(agent.name, **KINDS[agent.name] if agent.name == name else agent._given())
    if kind == "bytes":
        ensure(contents(agent) == contents(fresh), "damage was accepted")
    ensure(type(agent.t) is int and agent.t >= 0, f"accepted t = {agent.t!r}")
    for (key, array), like in zip(agent._arrays().items(), fresh._arrays().values(), strict=True):
        ensure(not np.isnan(array).any() or np.isnan(like).any(), f"accepted nan in {key}")
        ensure(key not in saved.STREAMS or array.any(), f"accepted {key} of zeros")
    return True


def contents(agent: Any) -> Any:
    """All that an agent is."""
    about = {key: value for key, value in agent._about().items()}
    return repr(about), [array.tobytes() for array in agent._arrays().values()]


# --- faces ----------------------------------------------------------------------------------------

FACES = {
    **KINDS,
    "thompson": {"n_arms": 2},
    "sequential_halving": {"n_arms": 3, "horizon": 30},
    "dp_bai": {"n_arms": 2, "horizon": 60, "epsilon": 1.0},
    "batched_omd": {"n_arms": 2, "horizon": 20, "budget": 10},
    "vi_ce": {"gamma": 0.5},
    "greedy_offline": {"n_arms": 2},
}
GOOD_LOG = {"action": [0, 1, 0], "reward": [0.0, 1.0, 0.5]}
GOOD_STEPS = {
    "state": [0, 1],
    "action": [0, 1],
    "reward": [0.5, 1],
    "next_state": [1, 0],
    "terminated": [0, 1],
}
METHODS: dict[str, list[list[Any]]] = {  # what each argument may sensibly be
    "act": [[None, 0, 1, [0.5, 1]]],
    "update": [[None, 0, 1, [0.5, 1]], [0, 1, [1, 1], [1, 0, 0], [0, 0, 0, 0]],
               [0.5, 1, 0, [0.5, 0.5], [0, 0, 0], [math.nan] * 2]],
    "recommend": [[None, 0, 1, [0.5, 1]]],
    "propensities": [[None, 0, [0.5, 1]]],
    "means": [[None, 0]],
    "look": [[0, 1]],
    "tick": [],
    "fit": [[GOOD_LOG, GOOD_STEPS, {**GOOD_LOG, "context": [0, 1, 1]}, {**GOOD_LOG, "reward": [0,
    1, 2]},
             {**GOOD_LOG, "action": [0, 1, 5]}, {**GOOD_LOG, "x_0": [1, 2, 3], "x_1": [0, 0, 1]},
             "none.csv"]],
    "warm_up": [],
    "__repr__": [],
    "_repr_html_": [],
    "save": [["agent.npz", ".", "none/a", "\x00"]],
}  # fmt: skip


@st.composite
def face_cases(draw: Any) -> Any:
    name = draw(st.sampled_from(list(FACES)))
    given: dict[str, Any] = dict(FACES[name])
    if draw(st.integers(0, 3)) == 0:
        key = draw(st.sampled_from([*given, "seed", "dim", "n_contexts", "horizon", "x"]))
        given[key] = draw(odd_values)
    calls = []
    for _ in range(draw(st.integers(1, 5))):
        method = draw(st.sampled_from(list(METHODS)))
        words = [
            draw(st.one_of(st.sampled_from(a), st.sampled_from(a), odd_values))
            for a in METHODS[method]
        ]
        named = {}
        if method == "update" and draw(st.integers(0, 4)) == 0:
            named["t"] = draw(odd_values)
        elif draw(st.integers(0, 30)) == 0:
            words.append(draw(odd_values))
        calls.append((method, words, named))
    return name, given, calls


def try_face(case: Any, folder: Path) -> bool:
    name, given, calls = case
    try:
        agent = Agent(name, **given)
    except ValueError as error:
        ensure("\n" not in str(error) or "array" in str(error), f"no line: {error}")
        return False
    accepted = False
    for method, words, named in calls:
        play = getattr(agent, method, None)
        if play is None:
            continue
        before, twin = contents(agent), copy.deepcopy(agent)
        try:
            found = play(*words, **named)
        except ValueError:
            ensure(contents(agent) == before, f"{method} was refused, but changed the agent")
            continue
        except TypeError as error:
            said = str(error)  # of a wrong number of arguments, or a wrong name
            ensure("positional argument" in said or "keyword" in said, f"{method}: {said}")
            ensure(contents(agent) == before, f"{method} was refused, but changed the agent")
            continue
        accepted = True
        told = f"{method}{tuple(words)!r} gave {found!r}"
        if method in ("recommend", "propensities", "means", "__repr__", "warm_up", "_repr_html_"):
            told = f"{method}{tuple(words)!r} gave {found!r}"
            asked = words or [agent._nothing() if hasattr(agent, "_nothing") else 0]
            with contextlib.suppress(ValueError):  # there may be scratch in a state, but no memory
                same = np.array_equal(twin.act(*asked), copy.deepcopy(agent).act(*asked))
                ensure(same and agent.t == twin.t, f"{method} changed the agent")
        if method in ("recommend", "propensities"):
            ensure(abs(found.sum() - 1) < 1e-9 and (found >= 0).all(), told)
        if method == "act" and np.ndim(found) == 0:
            ensure(type(found) is int and 0 <= found < len(agent.recommend(*words)), told)
    for twin in (copy.deepcopy(agent), pickle.loads(pickle.dumps(agent))):
        ensure(contents(twin) == contents(agent), "a copy is another agent")
    return accepted


# --- all of it ------------------------------------------------------------------------------------


class Target(NamedTuple):
    """A kind of input."""

    cases: Any
    try_it: Callable[[Any, Path], bool]
    share: int  # of a thousand inputs


TARGETS = {
    "words": Target(word_cases(), try_words, 200),
    "arenas": Target(arena_cases(), try_arena, 150),
    "logs": Target(st.tuples(logs, edits), try_log, 150),
    "steps": Target(st.tuples(steps, edits), try_steps, 100),
    "losses": Target(st.tuples(losses, edits), try_losses, 75),
    "returns": Target(st.tuples(kept, edits), try_returns, 50),
    "ratings": Target(st.tuples(ratings, edits), try_ratings, 75),
    "duels": Target(st.tuples(dueled, edits), try_dueled, 75),
    "saved": Target(saved_cases, try_saved, 125),
    "faces": Target(face_cases(), try_face, 125),
}


class Report(NamedTuple):
    """What came of the inputs of a target."""

    inputs: int
    accepted: int
    seconds: float
    slowest: float
    faults: dict[str, str]  # what was wrong: the shortest case that shows it


def attempt(target: Target, case: Any) -> tuple[bool, str]:
    """Whether an input was accepted, and what was wrong, in a word that tells faults apart."""

    def hung(*_: Any) -> None:
        raise Hung

    signal.signal(signal.SIGALRM, hung)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with somewhere() as folder, warnings.catch_warnings():
            # Plain Python says aloud what compiled kernels do in silence.
            warnings.simplefilter("ignore", RuntimeWarning)
            return target.try_it(case, folder), ""
    except Fault as fault:
        return False, str(fault)
    except (Exception, Hung) as error:
        # The lines that are ours, or the package's.
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "banditlab" in f.filename]
        places = [f"{Path(f.filename).name}:{f.lineno}" for f in frames[-2:]]
        return False, f"{type(error).__name__}: {str(error)[:300]} at {' '.join(places)}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def run(target: Target, count: int, start: int) -> Report:
    """Try ``count`` inputs of a target, those that the seed ``start`` draws."""
    spent: list[float] = []
    accepted = [0]
    faults: dict[str, str] = {}

    @seed(start)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(target.cases)
    def each(case: Any) -> None:
        began = time.perf_counter()
        done, wrong = attempt(target, case)
        spent.append(time.perf_counter() - began)
        accepted[0] += done
        if wrong:
            kind = "".join(c for c in wrong if not c.isdigit())[:80]
            shown = f"{wrong}\n    {case!r}"
            if kind not in faults or len(shown) < len(faults[kind]):
                faults[kind] = shown

    each()
    return Report(len(spent), accepted[0], sum(spent), max(spent, default=0.0), faults)


def most_memory() -> int:
    """The most bytes that this program has held.

    Linux starts ``ru_maxrss`` at what the program that started this one had held.
    """
    status = Path("/proc/self/status")
    held = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    most = int(held[1]) if held else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return 1024 * most


def limit() -> None:
    """Let nothing reserve more than twice the memory that it may take."""
    resource.setrlimit(resource.RLIMIT_DATA, (2 * MEMORY, 2 * MEMORY))


def main(argv: list[str] | None = None) -> int:
    """Try inputs of all targets; 1 if there were faults."""
    parser = argparse.ArgumentParser(description="Try inputs that nobody meant.")
    parser.add_argument("--count", type=int, default=1000, help="inputs, of all targets together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=TARGETS, action="append")
    asked = parser.parse_args(argv)
    limit()
    os.environ.update(COLUMNS="100")
    faults = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        titles = ("inputs", "accepted", "refused", "seconds", "slowest")
        print(f"{'target':8} " + " ".join(f"{title:>8}" for title in titles))
        for name in asked.only or TARGETS:
            share = sum(TARGETS[n].share for n in asked.only or TARGETS)
            count = round(asked.count * TARGETS[name].share / share)
            found = run(TARGETS[name], count, asked.seed)
            refused = found.inputs - found.accepted
            print(f"{name:8} {found.inputs:8} {found.accepted:8} {refused:8} {found.seconds:8.1f} "
                  f"{found.slowest:8.2f}", flush=True)  # fmt: skip
            faults += [f"{name}: {fault}" for fault in found.faults.values()]
        left = os.listdir(folder)
        faults += [f"left in the folder of temporary files: {left}"] * bool(left)
    peak = most_memory()
    print(f"memory {peak / 1e6:.0f} MB, processor {time.process_time():.1f} s")
    faults += [f"memory: {peak} bytes"] * (peak > MEMORY)
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
