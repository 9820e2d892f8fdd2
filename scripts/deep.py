"""What deep agents cost: beside plain stable-baselines3, on the same environment and network.

Each number is of the best of ROUNDS turns, in which all rivals take part one after the other, and
counts seconds of the processor, not of the wall, for other programs take turns as well. Needs the
extra ``deep``; EnvPool takes part where it is installed. ``python scripts/deep.py``
takes about four minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

for name in ("OMP", "MKL", "OPENBLAS"):  # before anything is imported
    os.environ.setdefault(f"{name}_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import gymnasium  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from stable_baselines3 import PPO, TD3  # noqa: E402
from stable_baselines3.common.noise import NormalActionNoise  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize  # noqa: E402

from banditlab import random, registry  # noqa: E402
from banditlab.agents.deep import mex_td3  # noqa: E402
from banditlab.parts.deep.vec import EnvPoolVecEnv, PlainVecEnv  # noqa: E402
from banditlab.protocols import gym  # noqa: E402

torch.set_num_threads(1)
ROUNDS = 3


def best(rivals: dict[str, Callable[[], None]], count: int, rounds: int) -> dict[str, float]:
    """Things a second of the processor, of each rival, each of whose calls does ``count``."""
    found: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, run in rivals.items():
            began = time.process_time()
            run()
            found[name].append(count / (time.process_time() - began))
    return {name: max(rates) for name, rates in found.items()}


def updates(env: str, count: int, rounds: int) -> dict[str, float]:
    """Updates a second: networks 256-256, batches of 256."""

    def warm(kind, **given):
        size = gymnasium.make(env).action_space.shape
        model = kind(
            "MlpPolicy", gymnasium.make(env), learning_rate=3e-4, learning_starts=1000, seed=1,
            buffer_size=2000, policy_kwargs={"net_arch": [256, 256]}, device="cpu",
            action_noise=NormalActionNoise(np.zeros(size), np.full(size, 0.1)), **given,
        )  # fmt: skip
        model.learn(1000)
        return lambda: model.train(gradient_steps=count, batch_size=256)

    ours = mex_td3.subclass()
    rivals = {
        "TD3 of stable-baselines3": warm(TD3),
        "mex_td3, eta 0": warm(ours, eta=0.0),
        "mex_td3, none": warm(ours, baseline="none"),
        **{f"mex_td3, lse, {n} rows": warm(ours, optimism_batch=n) for n in (16, 64, 256)},
    }
    return best(rivals, count, rounds)


def rollouts(env: str, steps: int, rounds: int, n_envs: int = 8) -> dict[str, float]:
    """Steps a second of PPO that collects and does not learn, in ``n_envs`` environments."""
    problem = registry.make_problem("gym_env", id=env)
    vectors = {
        "DummyVecEnv": DummyVecEnv([lambda: gymnasium.make(env) for _ in range(n_envs)]),
        "ours": PlainVecEnv([gym.make(problem) for _ in range(n_envs)]),
    }
    try:
        vectors["EnvPool"] = EnvPoolVecEnv(env, n_envs, 1, {})
    except ImportError:
        print("EnvPool is not installed: it takes no part", file=sys.stderr)

    def ready(vector):
        model = PPO("MlpPolicy", vector, n_steps=steps, batch_size=256, seed=1, device="cpu")
        _, callback = model._setup_learn(10**9, None)

        def collect():
            model.rollout_buffer.reset()
            model.collect_rollouts(model.env, callback, model.rollout_buffer, steps)

        collect()
        return collect

    return best({name: ready(v) for name, v in vectors.items()}, steps * n_envs, rounds)


def learning(env: str, rounds: int, n_envs: int = 8, length: int = 250) -> dict[str, float]:
    """Steps a second of PPO that collects and learns: networks 64-64, 10 passes, a rollout each."""
    given = {
        "learning_rate": 3e-4, "n_steps": length, "batch_size": length, "n_epochs": 10, "seed": 1,
        "device": "cpu", "policy_kwargs": {"net_arch": [64, 64]},
    }  # fmt: skip
    theirs = DummyVecEnv([lambda: gymnasium.make(env, max_episode_steps=length)] * n_envs)
    models = {
        "PPO of stable-baselines3": PPO(
            "MlpPolicy", VecNormalize(theirs, norm_reward=False), **given
        )
    }
    problem = registry.make_problem("gym_env", id=env, options={"max_episode_steps": length})
    for name, more in (
        ("ppo", {"n_steps": length, "batch_size": length}), ("spo_ppo", {}), ("rm_ppo", {}),
    ):  # fmt: skip
        algorithm = registry.make(name, n_envs=n_envs, **more)
        setting = gym.setting(problem, 10**6, random.key(1), 0)
        models[name] = algorithm.learner(algorithm.params, setting).model

    def ready(model):
        model.learn(8 * n_envs * length)  # by then the queue is full
        return lambda: model.learn(n_envs * length, reset_num_timesteps=False)

    return best({name: ready(m) for name, m in models.items()}, n_envs * length, rounds)


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--updates", type=int, default=60, help="of each turn")
    parser.add_argument("--steps", type=int, default=256, help="of each environment in a turn")
    parser.add_argument("--out", help="a .json file")
    args = parser.parse_args(argv)
    tables = {
        "updates a CPU second, HalfCheetah-v5": updates(
            "HalfCheetah-v5", args.updates, args.rounds
        ),
        "rollout steps a CPU second, Hopper-v5, 8 environments": rollouts(
            "Hopper-v5", args.steps, args.rounds
        ),
        "steps a CPU second of learning, HalfCheetah-v5, 8 environments": learning(
            "HalfCheetah-v5", args.rounds
        ),
    }
    for title, rates in tables.items():
        print(title)
        first = next(iter(rates.values()))
        for name, rate in rates.items():
            print(f"  {name:26s} {rate:9.1f}   {rate / first:5.2f}x   cost {first / rate - 1:+.0%}")
    if args.out:
        Path(args.out).write_text(json.dumps(tables, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
