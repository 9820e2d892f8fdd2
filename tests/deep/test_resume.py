"""Killed at a random moment and resumed: the curve of the unbroken run, bit for bit, on one thread.

``python -m pytest tests/deep``, with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import gymnasium
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra deep")
pytest.importorskip("stable_baselines3", reason="needs the extra deep")
pytest.importorskip("mujoco", reason="needs the extra deep")

import banditlab  # noqa: E402
from banditlab import random, registry  # noqa: E402
from banditlab.parts.deep import checkpoint  # noqa: E402
from banditlab.protocols import gym  # noqa: E402

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
    "mex_mbpo": (
        "banditlab/HopperSparse-v0",
        {**SMALL, "every": 50, "dreams": 20, "epochs": 3, "model_width": 16},
        400,
    ),
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


class Walk(gymnasium.Env):
    """Somebody's environment: what it does next depends on fields that nobody else knows."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.age = np.zeros(1, np.float32), 0
        return self.place, {}

    def step(self, action):
        self.age += 1
        noise = np.float32(self.np_random.normal())
        self.place = self.place + action * self.age + noise
        return self.place, -float(abs(self.place[0])), self.age == 30, False, {}


class Told(Walk):
    """The same, and it says so."""

    kept = ("place", "age")


class Inherits(Told):
    """Whose author has added who knows what."""


@pytest.mark.parametrize(
    ("kind", "goes_on"), [(Walk, False), (Told, True), (Inherits, False)], ids=lambda x: str(x)
)
@pytest.mark.parametrize("agent", ["td3", "ppo"])
def test_an_environment_goes_on_if_it_says_what_changes_and_begins_anew_if_not(
    agent, kind, goes_on, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        gymnasium.envs.registration, "registry", dict(gymnasium.envs.registration.registry)
    )
    gymnasium.register("Walk-v0", kind)
    algorithm = registry.make(agent, **(SMALL if agent == "td3" else PPO))
    problem = registry.make_problem("gym_env", id="Walk-v0", episodes=1)
    places = [len(gym.measures_of(algorithm))]

    def play(stop, keep):
        row, heard = np.zeros((2, *places)), []

        def told(steps):
            heard.append(steps)
            return stop and steps >= 130

        with suppress(gym.Stop):
            gym.play(
                algorithm, problem, 300, random.key(1), 0, [100, 300], row, told=told, keep=keep
            )
        return row, heard

    whole, _ = play(False, None)
    keep = tmp_path / "x.state"
    play(True, keep)
    resumed, heard = play(False, keep)
    assert (heard[0] > 0) == goes_on
    assert np.array_equal(resumed, whole, equal_nan=True)


CLASSIC = ("MountainCarContinuous-v0", "MountainCar-v0", "Pendulum-v1", "CartPole-v1", "Acrobot-v1")


@pytest.mark.parametrize("id", [*CLASSIC, "Reacher-v5", "Pusher-v5", "banditlab/HopperSparse-v0"])
def test_an_environment_is_put_down_and_taken_up_in_every_step(id):
    """A float32 that comes back as a float64, for one, is another number after the next step."""
    problem = registry.make_problem("gym_env", id=id)
    env, other = gym.make(problem), gym.make(problem)
    assert checkpoint.readable(env)
    env.reset(seed=1)
    other.reset(seed=2)
    env.action_space.seed(1)
    for _ in range(300):
        arrays, plain = {}, {}
        checkpoint._save_env("env", env, arrays, plain)
        arrays = {name: value.copy() for name, value in arrays.items()}
        checkpoint._load_env(
            "env", other, arrays, json.loads(json.dumps(plain, default=checkpoint._as_plain))
        )
        action = env.action_space.sample()
        (seen, paid, *ends, _), (seen2, paid2, *ends2, _) = env.step(action), other.step(action)
        assert np.array_equal(seen, seen2) and paid == paid2 and ends == ends2
        if any(ends):
            assert np.array_equal(env.reset()[0], other.reset()[0])


def test_an_agent_whose_environment_cannot_be_put_down_is_saved_when_it_has_learned(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(
        gymnasium.envs.registration, "registry", dict(gymnasium.envs.registration.registry)
    )
    gymnasium.register("Walk-v0", Walk)
    one, other = (banditlab.Agent("td3", id="Walk-v0", horizon=150, **SMALL) for _ in range(2))
    with pytest.raises(ValueError, match="cannot be saved before it has learned"):
        one.save(tmp_path / "x")
    one.learn().save(tmp_path / "x")
    other.restore(tmp_path / "x")
    seen = np.array([[0.3], [-2.0]], np.float32)
    assert (one.act(seen) == other.act(seen)).all()


@pytest.mark.parametrize("agent", ["ppo", "td3", "spo_ppo"])
def test_actions_without_bounds_are_one_line(agent, monkeypatch):
    class Wide(Walk):
        action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)

    known = dict(gymnasium.envs.registration.registry)
    monkeypatch.setattr(gymnasium.envs.registration, "registry", known)
    gymnasium.register("Wide-v0", Wide)
    with pytest.raises(ValueError, match=r"^Wide-v0: actions must have bounds, they are Box"):
        banditlab.Agent(agent, id="Wide-v0", horizon=100_000)
