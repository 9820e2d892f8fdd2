"""Environments stepped together: the numbers of DummyVecEnv, and EnvPool with resets at once."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra deep")
pytest.importorskip("stable_baselines3", reason="needs the extra deep")
pytest.importorskip("mujoco", reason="needs the extra deep")

from stable_baselines3.common.vec_env import DummyVecEnv  # noqa: E402

import banditlab  # noqa: E402
from banditlab import registry  # noqa: E402
from banditlab.parts.deep.vec import EnvPoolVecEnv, PlainVecEnv  # noqa: E402
from banditlab.protocols import gym  # noqa: E402


def test_ours_gives_the_numbers_of_dummyvecenv_and_counts_what_is_paid():
    problem = registry.make_problem("gym_env", id="Hopper-v5")
    ours = PlainVecEnv([gym.make(problem) for _ in range(3)])
    theirs = DummyVecEnv([lambda: gymnasium.make("Hopper-v5") for _ in range(3)])
    for env in (ours, theirs):
        env.seed(3)
    assert np.array_equal(ours.reset(), theirs.reset())
    rng = np.random.default_rng(0)
    paid, ends, running, ended = 0.0, 0, np.zeros(3), []
    for _ in range(200):
        actions = rng.uniform(-1, 1, (3, 3)).astype(np.float32)
        one, other = ours.step(actions), theirs.step(actions)
        assert all(np.array_equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))
        for a, b, over in zip(one[3], other[3], one[2], strict=True):
            if over:
                ends += 1
                assert np.array_equal(a["terminal_observation"], b["terminal_observation"])
                assert a["TimeLimit.truncated"] == b["TimeLimit.truncated"]
        paid += float(other[1].sum(dtype=np.float64))
        running += other[1]
        ended += running[other[2]].tolist()
        running[other[2]] = 0.0
    assert ends > 10 and ours.paid == pytest.approx(paid) and ours.ended == pytest.approx(ended)


def test_envpool_begins_anew_at_once_and_refuses_what_it_does_not_have():
    pytest.importorskip("envpool", reason="needs the extra envpool")
    env = EnvPoolVecEnv("Hopper-v5", 4, 5, {})
    twin = EnvPoolVecEnv("Hopper-v5", 4, 5, {})
    assert np.array_equal(env.reset(), twin.reset())
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(150):
        actions = rng.uniform(-1, 1, (4, 3)).astype(np.float32)
        seen, rewards, done, infos = env.step(actions)
        assert np.array_equal(seen, twin.step(actions)[0])
        for i in np.flatnonzero(done):
            ends += 1
            assert not infos[i]["TimeLimit.truncated"] and abs(seen[i, 0] - 1.25) < 0.01
            assert not np.array_equal(infos[i]["terminal_observation"], seen[i])
        assert (rewards[~done] != 0).all()  # no empty step
    assert ends > 5 and len(env.ended) == ends
    with pytest.raises(ValueError, match="EnvPool has no such environment"):
        EnvPoolVecEnv("banditlab/HopperVelSparse-v0", 4, 5, {})


def test_ppo_plays_an_arena_with_envpool_and_one_with_actions_that_are_numbered():
    pytest.importorskip("envpool", reason="needs the extra envpool")
    small = {"name": "ppo", "n_envs": 4, "n_steps": 32, "width": 8, "n_epochs": 1}
    for problem in (
        {"id": "Hopper-v5", "vector": "envpool", "episodes": 1},
        {"id": "CartPole-v1", "episodes": 2},
    ):
        arena = {
            "protocol": "gym", "problem": {"name": "gym_env", **problem}, "horizon": 256,
            "checkpoints": [128, 256], "replications": 1, "agents": [small],
        }  # fmt: skip
        curves = banditlab.simulate(arena)
        assert np.isfinite(curves.raw("ppo", "return")).all()


def test_sparse_tasks_never_end_before_their_time_unless_they_say_so():
    env = gymnasium.make("banditlab/HopperVelSparse-v0")
    env.reset(seed=0)
    env.action_space.seed(0)
    ends = [env.step(env.action_space.sample())[2:4] for _ in range(1000)]
    assert not any(map(any, ends[:-1])) and ends[-1] == (False, True)
    short = gymnasium.make("banditlab/HopperSparse-v0")
    short.reset(seed=0)
    short.action_space.seed(0)
    assert any(short.step(short.action_space.sample())[2] for _ in range(200))
