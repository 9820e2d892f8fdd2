"""The README is true: every block runs, and its two commands are what the gate runs."""

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A copy of what the commands read, so that they write nothing here."""
    there = tmp_path_factory.mktemp("readme")
    for name in ("arenas", "scripts", "results", "banditlab"):
        ignore = shutil.ignore_patterns("local", "__pycache__")
        shutil.copytree(ROOT / name, there / name, ignore=ignore)
    (there / "my_agent.py").write_text(next(b for b in PYTHON if "def my_agent" in b))
    return there


def test_there_are_exactly_two_set_up_commands():
    assert len(SETUP) == 2
    gate = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in gate  # the gate reads its commands from here


@pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
def test_python_block(block, folder):
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", COMMANDS, ids=COMMANDS)
def test_command(line, folder):
    words = shlex.split(line)
    assert words[0] == "python"
    env = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, *words[1:]],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_example_agent_is_short():
    block = next(b for b in PYTHON if "def my_agent" in b)
    assert len([line for line in block.splitlines() if line.strip()]) < 30


def test_layout_table_names_what_exists():
    for path in re.findall(r"^\| `([\w/.]+)", TEXT, re.MULTILINE):
        assert (ROOT / path.split("<")[0]).exists(), path
