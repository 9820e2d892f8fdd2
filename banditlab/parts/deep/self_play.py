"""Models of stable-baselines3 that see no rewards, and are told which trajectory was preferred."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from banditlab.parts.deep.preferences import (
    FixedHorizon,
    Judge,
    answers,
    chances,
    length_of,
    looked_at,
)
from banditlab.parts.deep.sb3 import SB3
from banditlab.protocols.gym import Setting

FACTS = ("beats_first", "early", "late")


class Terms(NamedTuple):
    """How trajectories are compared, and what comes of it."""

    judge: Judge = Judge()
    queue: int = 64  # trajectories that new ones are compared with
    queries: int = 0  # comparisons of each new one; 0: with the whole queue
    scale: float = 10.0  # what an episode that always wins is paid, in all


class PreferenceVecEnv(VecEnvWrapper):
    """Hides rewards from who learns, and keeps them for the judge, of whole trajectories.

    It belongs beneath every other wrapper of the kind, for those rescale what they see. All
    episodes last ``length`` steps, and time running out is their end: without that the library
    would add what it expects after it to the last reward.
    """

    kept = ("t", "rewards")

    def __init__(self, venv: VecEnv, length: int):
        super().__init__(venv)
        self.length = length
        self.t = 0
        self.rewards = np.zeros((venv.num_envs, length))
        self.finished: list[np.ndarray] = []  # (n_envs, length) each

    def reset(self) -> Any:
        """Begin everywhere."""
        self.t = 0
        return self.venv.reset()

    def step_wait(self) -> Any:
        """A step of all, paid nothing."""
        seen, rewards, done, infos = self.venv.step_wait()
        self.rewards[:, self.t] = rewards
        self.t += 1
        last = self.t == self.length
        if done.any() != last or done.all() != last:
            raise RuntimeError(f"an episode did not last {self.length} steps, but {self.t}")
        if last:
            self.finished.append(self.rewards.copy())
            self.t = 0
            for info in infos:
                info["TimeLimit.truncated"] = False
        return seen, np.zeros_like(rewards), done, infos

    def take(self) -> np.ndarray:
        """True rewards (episodes, n_envs, length) of what was finished since this was asked."""
        taken, self.finished = self.finished, []
        return np.array(taken)


class Compares:
    """A model that compares its trajectories with a queue of recent ones."""

    kept: tuple[str, ...] = ("queue", "first", "comparing")
    env: Any
    # What the library shall not write into its own file, so that it loads as its parent's does.
    own: tuple[str, ...] = ("terms", "queue", "first", "comparing")

    def begin(self, terms: Terms, seed: int) -> None:
        """Nothing to compare with, so far. The stream is that of comparisons only."""
        self.terms = terms
        self.queue: deque[np.ndarray] = deque(maxlen=terms.queue)  # rewards, (length,) each
        self.first: list[np.ndarray] = []  # the first queue
        self.comparing = np.random.default_rng((seed, 1))

    @property
    def full(self) -> bool:
        """Whether there are enough to compare with; before that, nothing is learned."""
        return len(self.queue) == self.terms.queue

    @property
    def hidden(self) -> PreferenceVecEnv:
        """Where the true rewards are."""
        return next(env for env in layers(self.env) if isinstance(env, PreferenceVecEnv))

    def asked(self, rewards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compare trajectories (n, length) with the queue, before they enter it.

        Returns
        -------
        picks, answers
            (n, m) each: members of the queue, and whether the new one was preferred.
        """
        n, size, queries = len(rewards), len(self.queue), self.terms.queries
        picks = np.broadcast_to(np.arange(size), (n, size))
        if 0 < queries < size:
            picks = np.argsort(self.comparing.random((n, size)), axis=1)[:, :queries]
        judge = self.terms.judge
        held = looked_at(judge, np.array(self.queue))[picks]
        return picks, answers(judge, looked_at(judge, rewards)[:, None], held, self.comparing)

    def per_step(self, wins: np.ndarray, length: int) -> np.ndarray:
        """Rewards of a step in episodes with these win rates: scale (2 w - 1) / length."""
        return self.terms.scale * (2.0 * wins - 1.0) / length

    def enter(self, rewards: np.ndarray) -> None:
        """Trajectories (n, length) enter the queue, and as many old ones leave it."""
        self.queue.extend(rewards)
        if not self.first and self.full:
            self.first = list(self.queue)


def layers(env: Any) -> Iterator[Any]:
    """A vector of environments, and what it wraps."""
    yield env
    while isinstance(env, VecEnvWrapper):
        env = env.venv
        yield env


class PreferencePPO(Compares, PPO):
    """PPO that is paid what `pay` says, of rollouts of whole episodes.

    Rollouts that fill the queue count as steps, and are not learned from.
    """

    def __init__(self, *args: Any, terms: Terms | None = None, **given: Any):
        self.begin(terms or Terms(), given.get("seed") or 0)
        super().__init__(*args, **given)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), *self.own, "learns"]

    def collect_rollouts(
        self, env: VecEnv, callback: Any, rollout_buffer: Any, n_rollout_steps: int
    ) -> bool:
        """One rollout, its rewards, and advantages that follow from these rewards.

        The library has computed advantages already, from rewards of 0.
        """
        if any(isinstance(layer, VecNormalize) and layer.norm_reward for layer in layers(env)):
            raise ValueError("norm_reward must be off: rewards are not known while it scales them")
        if n_rollout_steps % self.hidden.length:
            raise ValueError(
                f"n_steps must be a multiple of {self.hidden.length}, the steps of an episode, "
                f"got {n_rollout_steps}"
            )
        if not super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps):
            return False
        episodes = self.hidden.take()
        rewards = episodes.reshape(-1, self.hidden.length)
        self.learns = self.full
        if self.learns:
            rollout_buffer.rewards[:] = self.pay(rewards, rollout_buffer)
            with torch.no_grad():
                ahead = self.policy.predict_values(obs_as_tensor(self._last_obs, self.device))
            rollout_buffer.compute_returns_and_advantage(
                last_values=ahead, dones=self._last_episode_starts
            )
        self.enter(rewards)
        return True

    def pay(self, rewards: np.ndarray, rollout: Any) -> np.ndarray:
        """Rewards (n_steps, n_envs) of the rollout.

        ``rewards`` are the true ones, (n, length), of all environments' first episodes, then their
        second ones.
        """
        raise NotImplementedError

    def train(self) -> None:
        """As PPO does, if there was something to compare with."""
        if self.learns:
            super().train()


class Judged(SB3):
    """Such a model at work, in episodes of ``length`` steps.

    What it says of itself is about its queue, the latest trajectories of training: how often the
    judge prefers them to the first ones, ``beats_first``, and what they truly earn before their
    last quarter, ``early``, and in it, ``late``.
    """

    def __init__(self, kind: type, setting: Setting, length: int, **given: Any):
        length = length_of(length, setting.environment)
        super().__init__(
            kind,
            setting,
            norm_reward=False,
            wrap=partial(FixedHorizon, length=length),
            wrap_all=partial(PreferenceVecEnv, length=length),
            **given,
        )

    def facts(self, observations: np.ndarray) -> dict[str, float]:
        """See the class; nothing is drawn."""
        if not self.model.first:
            return {}
        judge, queue = self.model.terms.judge, np.array(self.model.queue)
        new, old = (looked_at(judge, held) for held in (queue, np.array(self.model.first)))
        parts = looked_at(Judge("quarter"), queue).mean(axis=0)
        return {
            "beats_first": float(chances(judge, new[:, None], old[None]).mean()),
            "early": float(parts[0]),
            "late": float(parts[1]),
        }
