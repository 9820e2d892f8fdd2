"""The cache of compiled pairs: hits, never stale, survives damage, can be switched off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

AGENT = '''
"""An index policy with a constant in the file, 2026."""
from typing import NamedTuple
from banditlab.agents.moments import index_policy
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
from banditlab import compile
arena = {"problem": {"name": "bernoulli", "means": [0.4, 0.6]}, "agents": [{"name": sys.argv[1]}],
         "horizon": 300, "replications": 20}
curves = banditlab.simulate(arena)
hits = sum(sum(f.stats.cache_hits.values()) for f in compile._loaded.values())
print(curves.raw(curves.agents()[0])[:, -1].mean(), hits)
"""


def play(folder: Path, agent: str, **env: str) -> tuple[float, int]:
    """Final regret, and how many pairs came from the cache."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, agent],
        env={
            **os.environ,
            "BANDITLAB_CACHE": str(folder / "cache"),
            "PYTHONPATH": str(folder),
            **env,
        },
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


@pytest.mark.parametrize("damage", ["truncate", "garbage", "empty folder"])
def test_damaged_folder_is_built_anew(tmp_path, agent, damage):
    first, _ = play(tmp_path, str(agent))
    files = list((tmp_path / "cache").rglob("*.nb?"))
    assert files
    for file in files:
        if damage == "truncate":
            file.write_bytes(file.read_bytes()[:100])
        elif damage == "garbage":
            file.write_bytes(b"nothing that Numba wrote")
        else:
            file.unlink()
    assert play(tmp_path, str(agent))[0] == first
    assert play(tmp_path, str(agent)) == (first, 1) or damage == "empty folder"


def test_cache_can_be_switched_off(tmp_path, agent):
    regret, _ = play(tmp_path, str(agent))
    off = play(tmp_path, str(agent), BANDITLAB_CACHE="off")
    assert off == (regret, 0)


def test_plain_python_gives_the_same_curve(tmp_path, agent):
    assert play(tmp_path, str(agent), NUMBA_DISABLE_JIT="1")[0] == play(tmp_path, str(agent))[0]
