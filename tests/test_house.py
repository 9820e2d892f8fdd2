"""The house: a protocol is one file, nobody tests which one it is, and no arrow runs upwards."""

from __future__ import annotations

import ast
import copy
import graphlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import banditlab
from banditlab import registry, testing
from banditlab.arena.spec import read_arena
from banditlab.curves import Curves

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "banditlab"
HOUSE = ROOT / "tests" / "data" / "house"
SOURCES = sorted(PACKAGE.rglob("*.py"))


# --- a protocol from outside ----------------------------------------------------------------


@pytest.fixture(autouse=True)
def in_the_house(monkeypatch):
    monkeypatch.chdir(HOUSE)  # its arena names files beside it


def test_a_protocol_from_outside_plays_plots_saves_and_loads(tmp_path):
    curves = banditlab.simulate("guesses.toml")
    assert [check["passed"] for check in curves.checks] == [True, True]
    panel = curves.figure_panels[0]
    assert (panel["xlabel"], panel["ylabel"]) == ("toss", "tosses missed")
    again = Curves.load(curves.save(tmp_path))
    assert np.array_equal(again.raw("majority"), curves.raw("majority"))
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_its_agent_acts_saves_loads_pickles_and_copies(tmp_path):
    agent = banditlab.Agent("majority.py", doubt=0.3, seed=4)
    assert isinstance(agent, banditlab.Agent) and type(agent).__name__ == "GuessAgent"
    for side in (1, 1, 0):
        agent.update(None, agent.act(), side)
    agent.save(tmp_path / "agent.npz")
    twins = [
        banditlab.Agent.load(tmp_path / "agent.npz", algorithm="majority.py"),
        pickle.loads(pickle.dumps(agent)),
        copy.deepcopy(agent),
    ]
    acts = [agent.act() for _ in range(50)]
    assert set(acts) == {0, 1}
    for twin in twins:
        assert twin.t == 3 and [twin.act() for _ in range(50)] == acts


def test_its_agent_and_problem_keep_the_contract(capsys):
    testing.check_algorithm("majority.py")
    assert "14 checks passed" in capsys.readouterr().out


def test_a_wrong_agent_of_it_does_not_keep_the_contract(tmp_path, monkeypatch):
    """The control: the contract is really asked."""
    for file in HOUSE.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    text = (tmp_path / "majority.py").read_text()
    wrong = text.replace(
        "    blind = ",
        "    state.seen[0] += 1\n    if t < 99:\n        return state.seen[0] % 2\n    blind = ",
    )
    (tmp_path / "wrong.py").write_text(wrong.replace("def majority", "def wrong"))
    with pytest.raises(AssertionError, match="act changes the state that it reads"):
        testing.check_algorithm("wrong.py")


def test_the_command_line_runs_it(tmp_path):
    words = ["--arena", "guesses.toml", "--out", str(tmp_path / "out"), "--json"]
    run = partial(
        subprocess.run,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    refused = run([sys.executable, "-m", "banditlab.arena", *words])
    assert refused.returncode == 2  # an arena is data: what it names is run only on request
    assert "guesses.toml names guess.py, a program: --allow-code" in refused.stderr
    done = run([sys.executable, "-m", "banditlab.arena", *words, "--allow-code"])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["panels"][0]
    assert found["measure"] == "missed" and found["results"][0]["agent"] == "majority"


def test_other_protocols_refuse_it_in_one_line():
    arena = {"problem": {"name": "bernoulli", "means": [0.1, 0.9]}, "agents": ["x"]}
    with pytest.raises(ValueError, match="does not speak online"):
        banditlab.simulate(arena, agents=["majority.py"])
    with pytest.raises(ValueError, match="unknown protocol 'onlin'; did you mean online"):
        read_arena({**arena, "agents": [{"name": "ucb"}], "protocol": "onlin"})
    table = {"problem": {"name": "coin.py"}, "agents": [{"name": "ucb"}]}
    with pytest.raises(ValueError, match="coin.py is no problem of protocol online"):
        banditlab.simulate(table)


# --- nobody tests which protocol it is --------------------------------------------------------


def _types() -> set[str]:
    """Names of the types that belong to protocols."""
    protocols = [registry.protocol(name) for name in registry.protocol_names()]
    nouns = {t.__name__ for p in protocols for t in (p.algorithm, p.problem, p.face)}
    return nouns


def asked_which(tree: ast.AST, names: set[str], types: set[str]) -> list[int]:
    """Lines that compare with a protocol's name, or ask whether something is of its types."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare | ast.Match):
            words = {x.value for x in ast.walk(node) if isinstance(x, ast.Constant)}
            if words & names:
                found.append(node.lineno)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
            "isinstance",
            "issubclass",
        ):
            asked = {getattr(x, "id", getattr(x, "attr", "")) for x in ast.walk(node.args[1])}
            if asked & types:
                found.append(node.lineno)
        if isinstance(node, ast.Compare):  # type(x) is Online
            asked = {getattr(x, "id", getattr(x, "attr", "")) for x in ast.walk(node)}
            if "type" in asked and asked & types:
                found.append(node.lineno)
    return found


def test_nobody_tests_which_protocol_it_is():
    names, types = set(registry.protocol_names()), _types()
    assert {"online", "offline", "offline_mdp", "observe", "identify"} < names
    found = {
        str(file.relative_to(PACKAGE)): lines
        for file in SOURCES
        if "protocols" not in file.parts
        if (lines := asked_which(ast.parse(file.read_text()), names, types))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        'panel.protocol == "online"',
        'x = 1 if name in ("identify", "observe") else 2',
        "isinstance(algorithm, Online)",
        "isinstance(algorithm, offline.Offline | identify.Identify)",
        "type(algorithm) is Online",
    ],
)
def test_that_test_finds_what_it_is_looking_for(line):
    assert asked_which(ast.parse(line), set(registry.protocol_names()), _types())


# --- no circle, no arrow upwards --------------------------------------------------------------

# From the ground floor up; what stands in one row may not import each other, but within a room.
FLOORS = (
    ("core", "validate", "interrupt", "machine", "words"),
    ("numeric", "linalg", "statistics", "games"),
    ("bounds",),
    ("random",),
    ("registry", "console", "track"),
    ("migrations", "citations", "advice"),
    ("mdp", "compile", "saved", "robust"),
    ("agent", "data"),
    ("protocols",),
    ("parts",),
    ("agents", "problems", "offpolicy"),
    ("plot", "privacy", "envs"),
    ("curves",),
    ("arena",),
    ("reports", "report", "testing"),
    ("attack",),
    ("cli",),
)


def room(module: str) -> str:
    """The room of ``banditlab.a.b.c``: ``a``."""
    return (module.split(".") + [""])[1]


def imports(file: Path) -> set[str]:
    """The rooms that a file takes something from, type checking apart."""
    found = set()
    tree = ast.parse(file.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("banditlab"):
            named = [f"{node.module}.{a.name}" for a in node.names]
            found |= {room(n) for n in ([node.module] if "." in str(node.module) else named)}
        if isinstance(node, ast.Import):
            found |= {room(a.name) for a in node.names if a.name.startswith("banditlab")}
    return found


def test_every_room_has_its_floor():
    rooms = {file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in SOURCES}
    assert rooms - {"__init__", "__main__"} == {name for floor in FLOORS for name in floor}


def test_no_arrow_runs_upwards():
    height = {name: i for i, floor in enumerate(FLOORS) for name in floor}
    upwards = []
    for file in SOURCES:
        own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if file.stem == "__main__" or own == "__init__":  # front doors
            continue
        for other in imports(file) - {own, "", "__version__"}:
            if height.get(other, -1) >= height[own]:
                upwards.append(f"{file.relative_to(PACKAGE)} -> {other}")
    assert upwards == []


def test_no_circle_among_files():
    """Not even for the sake of types."""
    graph: dict[str, set[str]] = {}
    known = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in SOURCES
    }
    for name, file in known.items():
        if file.name in ("__init__.py", "__main__.py"):  # they open doors, and name what is behind
            continue
        graph[name] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                named = [f"{node.module}.{a.name}" for a in node.names]
                graph[name] |= {n for n in (str(node.module), *named) if n in known} - {name}
    assert len(graph) > 150
    list(graphlib.TopologicalSorter(graph).static_order())  # CycleError names the circle


def test_no_module_is_longer_than_it_says():
    """At most 400 lines, but with a stated reason."""
    long = {}
    for file in SOURCES:
        lines = file.read_text().count("\n")
        if lines > 400 and "One file, though long:" not in " ".join(file.read_text().split()):
            long[str(file.relative_to(PACKAGE))] = lines
    assert long == {}
