"""Many environments at once, for stable-baselines3: ours, without what its own copies each step.

Both keep count of what training pays, before anything rescales it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv


class Tally:
    """Rewards and episodes of environments that are stepped together."""

    kept = ("paid", "returns", "ended")  # see banditlab.parts.deep.checkpoint

    def begin_tally(self, n_envs: int) -> None:
        """Nothing was paid so far."""
        self.paid = 0.0
        self.returns = np.zeros(n_envs)  # of the episodes under way
        self.ended: list[float] = []  # returns of those that ended since anybody asked

    def add(self, rewards: np.ndarray, done: np.ndarray) -> None:
        """A step of all."""
        self.returns += rewards
        self.paid += float(rewards.sum(dtype=np.float64))
        if done.any():
            self.ended.extend(self.returns[done].tolist())
            self.returns[done] = 0.0


class PlainVecEnv(Tally, DummyVecEnv):
    """Environments one after the other in this process.

    The numbers are those of DummyVecEnv, which copies every observation and every ``info`` deeply
    in every step; here infos are those of the environment, which makes a fresh one each time.
    """

    exact = True

    def __init__(self, envs: Sequence[Any]):
        super().__init__([lambda env=env: env for env in envs])
        self.seen = self.buf_obs[None]
        self.begin_tally(len(envs))

    def step_wait(self) -> Any:
        """A step of all environments; those that end begin anew at once."""
        seen, rewards, done = self.seen, self.buf_rews, self.buf_dones
        infos = []
        for i, (env, action) in enumerate(zip(self.envs, self.actions, strict=True)):
            observation, rewards[i], terminated, truncated, info = env.step(action)
            done[i] = terminated or truncated
            if done[i]:
                info["TimeLimit.truncated"] = truncated and not terminated
                info["terminal_observation"] = observation
                observation, self.reset_infos[i] = env.reset()
            seen[i] = observation
            infos.append(info)
        self.add(rewards, done)
        return seen.copy(), rewards.copy(), done.copy(), infos


class EnvPoolVecEnv(Tally, VecEnv):
    """Environments of EnvPool, in C++ on one thread.

    EnvPool begins an episode anew in the step after its end; whoever resets those that ended at
    once has the semantics of stable-baselines3. Its states cannot be read, hence not be kept.
    """

    exact = False

    def __init__(self, id: str, n_envs: int, seed: int, options: dict[str, Any]):
        import envpool

        known = set(envpool.list_all_envs())
        if id not in known:
            raise ValueError(f"{id}: EnvPool has no such environment; take vector = plain")
        self.pool = envpool.make(
            id, env_type="gymnasium", num_envs=n_envs, seed=seed, num_threads=1, **options
        )
        self.ids = np.arange(n_envs, dtype=np.int32)
        self.begin_tally(n_envs)
        super().__init__(n_envs, self.pool.single_observation_space, self.pool.single_action_space)

    def reset(self) -> Any:
        """Begin everywhere."""
        self._reset_seeds()
        self._reset_options()
        return self.pool.reset()[0]

    def step_async(self, actions: np.ndarray) -> None:
        """What to do next."""
        self.actions = actions

    def step_wait(self) -> Any:
        """A step of all environments; those that end begin anew at once."""
        seen, rewards, terminated, truncated, _ = self.pool.step(self.actions)
        done = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            seen = seen.copy()
            for i in np.flatnonzero(done):
                infos[i] = {
                    "terminal_observation": seen[i].copy(),
                    "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
                }
            seen[done] = self.pool.reset(env_id=self.ids[done])[0]
        self.add(rewards, done)
        return seen, rewards, done, infos

    def seed(self, seed: int | None = None) -> list[int | None]:
        """It has its seed already."""
        return [None] * self.num_envs

    def close(self) -> None:
        """End."""
        self.pool.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The same of all."""
        return [getattr(self.pool, attr_name, None)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """There is none to be set."""
        raise ValueError(f"environments of EnvPool have no {attr_name} to be set")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **given: Any) -> Any:
        """There is none to be called."""
        raise ValueError(f"environments of EnvPool have no {method_name} to be called")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """They are not."""
        return [False] * len(list(self._get_indices(indices)))
