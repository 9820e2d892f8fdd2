"""What deep agents cost: beside plain stable-baselines3, on the same environment and network.

Each number is of the best of ROUNDS turns, in which all rivals take part one after the other, and
counts seconds of the processor, not of the wall, for other programs take turns as well. Needs the
extra ``deep``; EnvPool takes part where it is installed. ``python scripts/deep.py``
takes about four minutes.

``--scaling`` measures something else: how much more two seeds get done on two cores than one on
one, by the clock on the wall, so it wants a quiet machine. Each seed is a process with one thread.
Turns are one, two, one; a gain below 2 is split into what each process pays for its neighbour (more
CPU seconds for the same work: caches, memory, the clock of the processor) and what it waits for.
It takes about six minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
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


# --- two seeds on two cores ---------------------------------------------------------------------

# Agent, hyper-parameters, environment, steps before the clock starts, and after it has.
WORKLOADS = {
    "TD3, HalfCheetah-v5, networks 256-256, batches of 256, an update a step": (
        "td3", {"learning_starts": 1000}, "HalfCheetah-v5", 1500, 6000,
    ),
    "PPO, HalfCheetah-v5, 8 environments, networks 64-64, 10 passes over 2,048 steps": (
        "ppo", {}, "HalfCheetah-v5", 2048, 40960,
    ),
}  # fmt: skip


def one_seed(agent: str, hyper: dict, env: str, warm: int, steps: int, seed: int) -> None:
    """Train as a replication does; says when it is warm, waits for a word, says what it took."""
    algorithm = registry.make(agent, **hyper)
    problem = registry.make_problem("gym_env", id=env)
    setting = gym.setting(problem, warm + steps, random.key(seed), 0)
    learner = algorithm.learner(algorithm.params, setting)
    began: list[float] = []

    def spent() -> list[float]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return [time.perf_counter(), time.process_time(), used.ru_stime, used.ru_nivcsw]

    def pulse() -> None:
        if not began and learner.steps >= warm:
            print("warm", flush=True)
            sys.stdin.readline()
            began.extend([learner.steps, *spent()])

    learner.learn(pulse)
    done, *rest = (b - a for a, b in zip(began, [learner.steps, *spent()], strict=True))
    names = ("wall", "cpu", "system", "preempted")
    print(json.dumps({"steps": done, **dict(zip(names, rest, strict=True))}), flush=True)


def side_by_side(count: int, workload: tuple) -> list[dict[str, float]]:
    """What each of ``count`` seeds takes, which start their clocks together."""
    path = os.pathsep.join([*sys.path[:1], str(Path(__file__).parent.parent), *sys.path[1:]])
    given = {
        "env": {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        "stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True,
    }  # fmt: skip
    orders = [json.dumps([*workload, seed]) for seed in range(count)]
    line = [sys.executable, __file__, "--one"]
    children = [subprocess.Popen([*line, order], **given) for order in orders]
    try:
        for child in children:
            if child.stdout.readline().strip() != "warm":
                raise RuntimeError("a seed ended before it was warm")
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        return [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]
    finally:
        for child in children:
            child.kill()


def scaling(workload: tuple) -> dict[str, float]:
    """Turns of one, two and one seeds; prints each, and returns the gain and what explains it."""
    turns = []
    for count in (1, 2, 1):
        before = os.getloadavg()[0]
        found = side_by_side(count, workload)
        turns.append(found)
        for i, took in enumerate(found):
            print(
                f"  {count} at once, seed {i}: {took['wall']:6.1f} s, CPU {took['cpu']:6.1f} s, of "
                f"which system {took['system']:.1f}, on a core {took['cpu'] / took['wall']:4.0%}, "
                f"preempted {took['preempted']:.0f} times; load before {before:.2f}",
                flush=True,
            )
    ones, two = [turns[0][0], turns[2][0]], turns[1]

    def mean(name: str, turn: list[dict[str, float]]) -> float:
        return sum(took[name] for took in turn) / len(turn)

    wall = max(took["wall"] for took in two)
    more = mean("cpu", two) / mean("cpu", ones)
    found = {
        "gain": 2.0 * mean("wall", ones) / wall,
        "steps a second, one": ones[0]["steps"] / mean("wall", ones),
        "steps a second, two": sum(took["steps"] for took in two) / wall,
        "CPU for the same work": more,
        "on a core, one": mean("cpu", ones) / mean("wall", ones),
        "on a core, two": mean("cpu", two) / wall,
    }
    waits = found["on a core, two"] / found["on a core, one"]
    print(
        f"  gain {found['gain']:.2f}x = 2 / {more:.3f} (CPU for the same work) x {waits:.3f} (time "
        f"on a core); {found['steps a second, one']:.0f} steps a second with one, "
        f"{found['steps a second, two']:.0f} with two"
    )
    return found


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and write where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--updates", type=int, default=60, help="of each turn")
    parser.add_argument("--steps", type=int, default=256, help="of each environment in a turn")
    parser.add_argument("--scaling", action="store_true", help="two seeds on two cores instead")
    parser.add_argument("--share", type=float, default=1.0, help="of the steps of --scaling")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", help="a .json file")
    args = parser.parse_args(argv)
    if args.one:
        one_seed(*json.loads(args.one))
        return 0
    if args.scaling:
        gains = {}
        for title, (*what, warm, steps) in WORKLOADS.items():
            print(f"{title}: {steps * args.share:.0f} steps after {warm}; {os.cpu_count()} cores")
            gains[title] = scaling((*what, warm, int(steps * args.share)))
        if args.out:
            Path(args.out).write_text(json.dumps(gains, indent=2) + "\n")
        return 0
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
