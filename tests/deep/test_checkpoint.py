"""What a kept state holds, piece by piece, and that to look at a policy changes nothing.

``python -m pytest tests/deep``, with OMP_NUM_THREADS=1. That a killed run goes on bit for bit is in
test_resume; here nothing depends on when it was killed.
"""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra deep")
pytest.importorskip("stable_baselines3", reason="needs the extra deep")

from banditlab import random, registry  # noqa: E402
from banditlab.parts.deep import checkpoint  # noqa: E402
from banditlab.protocols import gym  # noqa: E402

torch.set_num_threads(1)
SMALL = {
    "td3": {"learning_starts": 50, "batch_size": 16, "width": 8},
    "ppo": {"n_envs": 2, "n_steps": 32, "n_epochs": 1, "batch_size": 32, "width": 8},
    "spo_ppo": {"queue": 4, "length": 20, "n_envs": 2, "batch_size": 20, "n_epochs": 1, "width": 8},
}


def trained(name, steps):
    """Algorithm, problem and a learner that was stopped after about ``steps`` steps."""
    algorithm = registry.make(name, **SMALL[name])
    problem = registry.make_problem("gym_env", id="Pendulum-v1", episodes=2)
    setting = gym.setting(problem, 1000, random.key(3), 0)
    learner = algorithm.learner(algorithm.params, setting)

    def pulse():
        if learner.steps >= steps:
            raise gym.Stop

    with pytest.raises(gym.Stop):
        learner.learn(pulse)
    return algorithm, problem, learner


def kept(learner, folder):
    """Everything that a state holds, as plain data."""
    folder.mkdir()
    learner.save(folder)
    with np.load(folder / "arrays.npz", allow_pickle=False) as file:
        held = {name: (file[name].shape, file[name].tobytes()) for name in file.files}
    tensors = torch.load(folder / "torch.pt", weights_only=True)
    return held, json.loads((folder / "plain.json").read_text()), repr(tensors)


@pytest.mark.parametrize("name", SMALL)
def test_to_look_at_a_policy_changes_nothing_of_its_training(name, tmp_path):
    """Streams, normaliser, replay buffer, networks: all that a state holds is as it was.

    But the episodes that ended, which are asked for.
    """
    algorithm, problem, learner = trained(name, 250)
    learner.ended()
    before = kept(learner, tmp_path / "before")
    envs = [gym.make(problem) for _ in range(2)]
    gym.measured(algorithm, problem, learner, envs, [5, 6])
    assert kept(learner, tmp_path / "after") == before


def test_what_is_remembered_is_kept_with_the_ends_that_time_made(tmp_path):
    *_, learner = trained("td3", 250)
    learner.save(tmp_path)
    *_, other = trained("td3", 10)
    other.load(tmp_path)
    one, two = learner.model.replay_buffer, other.model.replay_buffer
    assert one.timeouts.sum() == one.dones.sum() == 1 and one.pos == two.pos == 250
    for name in ("observations", "next_observations", "actions", "rewards", "dones", "timeouts"):
        assert np.array_equal(getattr(one, name)[:250], getattr(two, name)[:250]), name


@pytest.mark.parametrize("id", ["HalfCheetah-v5", "Hopper-v5"])
def test_a_body_goes_on_from_where_it_was_bit_for_bit(id):
    """Positions and velocities alone are not enough: on HalfCheetah that shows after 124 steps."""
    pytest.importorskip("mujoco", reason="needs the extra deep")
    envs = [gymnasium.make(id) for _ in range(2)]
    shape = envs[0].action_space.shape
    actions = np.random.default_rng(0).uniform(-1, 1, (600, *shape)).astype(np.float32)
    for seed, env in enumerate(envs):
        env.reset(seed=seed)

    def step(env, action):
        seen, paid, over, cut, _ = env.step(action)
        if over or cut:
            seen, _ = env.reset()
        return seen.tobytes(), paid, over

    for action in actions[:150]:
        step(envs[0], action)
    arrays, plain = {}, {}
    checkpoint._save_env("e", envs[0], arrays, plain)
    checkpoint._load_env("e", envs[1], arrays, json.loads(json.dumps(plain)))
    for t, action in enumerate(actions[150:]):
        assert step(envs[0], action) == step(envs[1], action), t
