"""The README is true: every block runs, and its two set-up commands are what the gate runs.

Blocks run in a folder with nothing in it, on the wheel; ``scripts/`` in a copy of the checkout.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
PYTHON = [body for language, body in BLOCKS if language == "python"]
SHELL = [body for language, body in BLOCKS if language == "sh"]
LINES = [
    line.split("  #")[0].strip() for body in SHELL for line in body.splitlines() if line.strip()
]
# The two set-up lines install; the gate runs them themselves in a fresh environment.
SETUP = [line for line in LINES if "pip install" in line]
COMMANDS = [line for line in LINES if line not in SETUP]


REDRAW = "python scripts/regenerate.py"
FEW = ("benchmark", "delayed", "dp_bai")  # of each kind: speed, rounds, a sweep

OWN = ("my_agent", "my_softmax", "my_contexts")  # files that the README asks to be saved


def own(name: str) -> str:
    """The file that the README asks to be saved under this name."""
    return next(body for body in PYTHON if f"def {name}(" in body)


def copied(there: Path) -> Path:
    """A copy of what the scripts read, so that they write nothing here."""
    ignore = shutil.ignore_patterns("local", "run.local.json", "__pycache__")
    for name in ("arenas", "scripts", "results", "banditlab"):
        shutil.copytree(ROOT / name, there / name, ignore=ignore)
    return there


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the checkout, as far as scripts read it."""
    return copied(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def lean(tmp_path_factory) -> Path:
    """The same with few results, for the script that redraws them all.

    That all of them can be drawn anew, `regenerate.py --figures --check` shows: it draws them.
    """
    there = copied(tmp_path_factory.mktemp("lean"))
    for folder in (there / "results").iterdir():
        if folder.is_dir() and folder.name not in FEW:
            shutil.rmtree(folder)
    return there


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory) -> Path:
    """A folder that holds the README's own agent and nothing else."""
    there = tmp_path_factory.mktemp("elsewhere")
    for name in OWN:
        (there / f"{name}.py").write_text(own(name))
    return there


def run(words: list[str], folder: Path, package: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(package)}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=env, capture_output=True, text=True, timeout=600
    )


def test_there_are_exactly_two_set_up_commands():
    assert len(SETUP) == 2
    gate = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in gate  # the gate reads its commands from here


@pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
def test_python_block(block, elsewhere, installed):
    done = run(["-c", block], elsewhere, installed)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", COMMANDS, ids=COMMANDS)
def test_command(line, elsewhere, installed, request):
    words = shlex.split(line)
    assert words[0] == "python"
    if words[1].startswith("scripts/"):
        folder = request.getfixturevalue("lean" if line == REDRAW else "checkout")
        done = run(words[1:], folder, folder)
    else:
        done = run(words[1:], elsewhere, installed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", OWN)
def test_the_example_agents_are_short(name):
    assert len([line for line in own(name).splitlines() if line.strip()]) < 40


@pytest.mark.parametrize("name", OWN[1:])  # the README's own command checks the first
def test_the_example_agents_keep_the_contract(name, elsewhere, installed):
    code = f"from banditlab.testing import check_algorithm; check_algorithm('./{name}.py')"
    done = run(["-c", code], elsewhere, installed)
    assert done.returncode == 0 and "14 checks passed" in done.stdout, done.stderr


def test_layout_table_names_what_exists():
    layout = TEXT.split("\n## Layout\n")[1].split("\n## ")[0]
    paths = re.findall(r"^\| `([\w/.]+)", layout, re.MULTILINE)
    assert len(paths) > 10
    for path in paths:
        assert (ROOT / path.split("<")[0]).exists(), path
