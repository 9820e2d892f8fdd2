"""Killed at a random moment and resumed: the curve of the unbroken run, bit for bit, on one thread.

``python -m pytest tests/deep``, with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra deep")
pytest.importorskip("stable_baselines3", reason="needs the extra deep")
pytest.importorskip("mujoco", reason="needs the extra deep")

ROOT = Path(__file__).parent.parent.parent
SMALL = {"learning_starts": 100, "batch_size": 32, "width": 16}
PPO = {"n_envs": 2, "n_steps": 64, "n_epochs": 2, "batch_size": 32, "width": 16}
SPO = {"queue": 8, "length": 40, "batch_size": 32, "width": 16}
CASES = {
    "td3": ("HalfCheetah-v5", SMALL, 500),
    "sac": ("Hopper-v5", SMALL, 400),
    "ppo": ("HalfCheetah-v5", PPO, 768),
    "mex_td3": ("banditlab/HopperVelSparse-v0", {**SMALL, "n_envs": 2}, 400),
    "ppo hopper": ("Hopper-v5", PPO, 768),
    "td3 hopper": ("Hopper-v5", SMALL, 400),
    "sac cheetah": ("HalfCheetah-v5", SMALL, 300),
    "ppo cartpole": ("CartPole-v1", PPO, 512),
    "td3 pendulum": ("Pendulum-v1", SMALL, 400),
    "spo_ppo": ("HalfCheetah-v5", {**SPO, "n_envs": 2, "queries": 3, "flip": 0.1}, 1200),
    "rm_ppo": ("Hopper-v5", {**SPO, "n_envs": 2, "reward_width": 16, "memory": 30}, 1200),
    "spo_sac": ("HalfCheetah-v5", {**SPO, "relabel": 4, "judge": "thirds"}, 700),
}
# What a process plays: its state is kept as often as it can be, so that a kill finds a fresh one.
PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
from banditlab import random, registry
from banditlab.protocols import gym
gym.EVERY, gym.SHARE = 0.2, 0.0
agent, hyper, env, horizon, keep, seed = json.loads(sys.argv[1])
algorithm = registry.make(agent, **hyper)
problem = registry.make_problem("gym_env", id=env, episodes=1, reference=100.0)
points = [horizon // 3, 2 * horizon // 3, horizon]
row = np.zeros((3, len(gym.measures_of(algorithm))))
def told(steps):
    print(steps, flush=True)
    return False
gym.play(algorithm, problem, horizon, random.key(seed), 0, points, row, told=told,
         keep=Path(keep) if keep else None, owner="o")
print(json.dumps([[repr(float(x)) for x in r] for r in row]), flush=True)
"""


def process(case, keep, wait=None):
    """Run it; with ``wait``, kill -9 that many seconds after its state was first kept."""
    env, hyper, horizon = CASES[case]
    order = json.dumps([case.split()[0], hyper, env, horizon, str(keep or ""), 7])
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, order],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=keep.parent if keep else None,
    )
    if wait is not None:
        limit = time.monotonic() + 120
        while not keep.exists() and child.poll() is None and time.monotonic() < limit:
            time.sleep(0.01)
        time.sleep(wait)
        child.kill()
    said = child.communicate()[0].decode().splitlines()
    return said


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_is_killed_goes_on_to_the_same_curve(case, tmp_path):
    whole = process(case, None)
    keep = tmp_path / "x.state"
    wait = float(np.random.default_rng().uniform(0.0, 0.5))
    broken = process(case, keep, wait)
    assert keep.exists(), "it ended before anything was kept"
    resumed = process(case, keep)
    assert int(resumed[0]) > 0, f"it began anew (waited {wait:.3f} s)"
    assert resumed[-1] == whole[-1], f"killed after {broken[-1]}, from {resumed[0]} on: other bits"
