"""Learners are the library's algorithms with the papers' numbers: python -m pytest tests/deep."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra deep")
sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra deep")

from stable_baselines3.common.noise import NormalActionNoise  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv  # noqa: E402

from banditlab import random, registry  # noqa: E402
from banditlab.protocols import gym  # noqa: E402

torch.set_num_threads(1)

SMALL = {"learning_starts": 100, "batch_size": 64, "width": 16}
HORIZON = 150  # fifty updates of 64: some of the noise of targets is beyond its limit
TD3 = {
    "policy_delay": 2, "target_policy_noise": 0.2, "target_noise_clip": 0.5,
    "action_noise": NormalActionNoise(np.zeros(1), np.full(1, 0.1)),
}  # fmt: skip
SAC = {"ent_coef": "auto", "target_entropy": -1.0, "target_update_interval": 1}
KINDS = {
    "td3": (sb3.TD3, {}, TD3),
    "mex_td3": (sb3.TD3, {"eta": 0.0}, TD3),
    "sac": (sb3.SAC, {}, SAC),
}


@pytest.mark.parametrize("agent", KINDS)
def test_a_learner_is_the_algorithm_with_the_numbers_of_its_paper_to_the_bit(agent):
    kind, hyper, numbers = KINDS[agent]
    algorithm = registry.make(agent, **SMALL, **hyper)
    problem = registry.make_problem("gym_env", id="Pendulum-v1", episodes=1)
    setting = gym.setting(problem, HORIZON, random.key(4), 0)
    ours = algorithm.learner(algorithm.params, setting)
    ours.learn(lambda: None)
    env = DummyVecEnv([setting.make])
    theirs = kind(
        "MlpPolicy", env, seed=setting.seed, device="cpu", learning_rate=3e-4, gamma=0.99,
        tau=0.005, learning_starts=100, batch_size=64, buffer_size=1000, train_freq=1,
        gradient_steps=1, policy_kwargs={"net_arch": [16, 16]}, **numbers,
    )  # fmt: skip
    env.seed(setting.env_seed)
    theirs.learn(HORIZON)
    assert ours.model._n_updates == theirs._n_updates == HORIZON - 100
    mine, other = (model.get_parameters()["policy"] for model in (ours.model, theirs))
    assert all(torch.equal(mine[k], other[k]) for k in other)
