"""What training says lands in TensorBoard, once, also of a run that was killed and resumed.

``python -m pytest tests/deep``, with OMP_NUM_THREADS=1; needs the extra track, too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra deep")
pytest.importorskip("stable_baselines3", reason="needs the extra deep")
pytest.importorskip("tensorboard", reason="needs the extra track")

ROOT = Path(__file__).parent.parent.parent
ARENA = """
protocol = "gym"
horizon = 600
checkpoints = [200, 400, 600]
replications = 2
problem = { name = "gym_env", id = "Pendulum-v1", episodes = 1 }
agents = [{ name = "td3", learning_starts = 100, batch_size = 32, width = 16 }]
"""
SOON = "from banditlab.protocols import gym\ngym.EVERY, gym.SHARE = 0.3, 0.0\n"


def started(folder, *more):
    """The command line, whose replications keep their states often."""
    words = ["--arena", "small.toml", "--workers", "2", "--track", "tensorboard", *more]
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-W", "ignore", "-m", "banditlab.arena", *words]
    return subprocess.Popen(line, cwd=folder, env=env, stdout=subprocess.PIPE)


def points(folder):
    """(replication, name) -> steps and values, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for place in sorted(folder.glob("tensorboard/*/td3/replication *")):
        read = EventAccumulator(str(place), size_guidance={"scalars": 0}).Reload()
        for name in read.Tags()["scalars"]:
            found[place.name, name] = [(x.step, x.value) for x in read.Scalars(name)]
    return found


@pytest.mark.skipif(os.name != "posix", reason="kills with a signal")
def test_training_is_in_tensorboard_once_for_two_workers_also_after_a_kill(tmp_path):
    (tmp_path / "small.toml").write_text(ARENA)
    (tmp_path / "sitecustomize.py").write_text(SOON)
    assert started(tmp_path, "--out", "whole").wait() == 0
    broken = started(tmp_path, "--out", "broken")
    limit = time.monotonic() + 120
    while broken.poll() is None and time.monotonic() < limit:
        kept = list((tmp_path / "broken" / ".partial").glob("*.state"))
        if len(kept) == 2:
            break
        time.sleep(0.01)
    time.sleep(0.5)
    broken.send_signal(signal.SIGKILL)
    broken.wait()
    assert list((tmp_path / "broken" / ".partial").glob("*.state")), "it was over before the kill"
    assert started(tmp_path, "--out", "broken", "--resume").wait() == 0
    whole, again = points(tmp_path / "whole"), points(tmp_path / "broken")
    assert whole == again and whole
    files = list((tmp_path / "broken").glob("tensorboard/*/td3/replication */events*"))
    assert len(files) >= 3  # somebody wrote on
    for r in ("replication 0", "replication 1"):
        for name, steps in {
            "train/actor_loss": range(102, 601),
            "train/critic_loss": range(101, 601),
            "train/episode_return": [200, 400, 600],
            "evaluation/return": [200, 400, 600],
            "evaluation/lift": [200, 400, 600],
        }.items():
            assert [step for step, _ in whole[r, name]] == list(steps), (r, name)
    means = whole["replication 0", "train/episode_return"]
    assert means != whole["replication 1", "train/episode_return"]
