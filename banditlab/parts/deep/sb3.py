"""Models of stable-baselines3 as learners of protocol ``gym``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from banditlab.parts.deep import checkpoint
from banditlab.parts.deep.vec import EnvPoolVecEnv, PlainVecEnv
from banditlab.protocols.gym import Learner, Setting

torch.set_num_threads(1)


class _Pulse(BaseCallback):
    """Says when a state is whole: at the beginning of a rollout."""

    def __init__(self, pulse: Callable[[], None]):
        super().__init__()
        self.pulse = pulse

    def _on_rollout_start(self) -> None:
        self.pulse()

    def _on_step(self) -> bool:
        return True


class SB3(Learner):
    """A model that trains in its environments.

    Parameters
    ----------
    kind
        The model's class.
    setting
        What the protocol says.
    n_envs
        Environments that are stepped together.
    normalize
        Whether observations and rewards are scaled by running means and variances; evaluation sees
        observations scaled by those of training.
    wrap, wrap_all
        What is put around each environment, and around all of them beneath the normaliser.
    given
        Arguments of the class.
    """

    def __init__(
        self,
        kind: type,
        setting: Setting,
        *,
        n_envs: int = 1,
        normalize: bool = False,
        norm_reward: bool = True,
        wrap: Callable[[Any], Any] | None = None,
        wrap_all: Callable[[VecEnv], VecEnv] | None = None,
        **given: Any,
    ):
        self.setting = setting
        self.inner = vector_of(setting, n_envs, wrap)
        space = self.inner.action_space
        if isinstance(space, spaces.Box) and not space.is_bounded():
            raise ValueError(
                f"{setting.environment.params.id}: actions must have bounds, they are {space}"
            )
        env: VecEnv = wrap_all(self.inner) if wrap_all else self.inner
        if normalize:
            gamma = given.get("gamma", 0.99)
            env = VecNormalize(env, norm_reward=norm_reward, gamma=gamma)
        self.exact = self.inner.exact and all(
            checkpoint.readable(one) for one in getattr(self.inner, "envs", [])
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of float64 spaces that become float32
            self.model: Any = kind("MlpPolicy", env, seed=setting.seed, device="cpu", **given)
        env.seed(setting.env_seed)
        self._begun = False

    @property
    def steps(self) -> int:  # type: ignore[override]
        """Taken so far."""
        return int(self.model.num_timesteps)

    @property
    def paid(self) -> float:  # type: ignore[override]
        """Rewards of all of them, as the environment pays them."""
        return float(self.inner.paid)

    def learn(self, pulse: Callable[[], None]) -> None:
        """Train to the horizon."""
        left = self.setting.horizon - self.model.num_timesteps
        if left > 0:
            self.model.learn(
                left, callback=_Pulse(pulse), log_interval=None,
                reset_num_timesteps=not self._begun,
            )  # fmt: skip

    def act(self, observations: np.ndarray) -> np.ndarray:
        """The mode of the policy."""
        env = self.model.get_vec_normalize_env()
        seen = env.normalize_obs(observations) if env is not None else observations
        return np.asarray(self.model.predict(seen, deterministic=True)[0])

    def ended(self) -> list[float]:
        """Returns of episodes that ended since this was last asked."""
        ended, self.inner.ended = self.inner.ended, []
        return list(ended)

    def waiting(self) -> list[float]:
        """Those returns, without taking them."""
        ended: list[float] = self.inner.ended
        return ended

    def losses(self) -> dict[str, float]:
        """What the library logs of its updates."""
        logged = self.model.logger.name_to_value
        return {
            name.removeprefix("train/"): float(value)
            for name, value in logged.items()
            if name.startswith("train/") and isinstance(value, int | float | np.number)
        }

    def save(self, folder: Path) -> None:
        """See :mod:`banditlab.parts.deep.checkpoint`."""
        checkpoint.save(self.model, folder)

    def load(self, folder: Path) -> None:
        """Go on from there."""
        checkpoint.load(self.model, folder)
        self._begun = True


class Critics(SB3):
    """Off-policy models with critics Q(s, a), whose values are among what is recorded.

    ``value`` is the mean of Q1(s, pi(s)) over states of the evaluation; ``lift`` is how far that
    lies above the mean of Q1(s, a) over uniform actions: what the critic believes its policy gains.
    """

    def facts(self, observations: np.ndarray) -> dict[str, float]:
        """``value`` and ``lift``."""
        env = self.model.get_vec_normalize_env()
        seen = env.normalize_obs(observations) if env is not None else observations
        space = self.model.action_space
        uniform = np.random.default_rng(0).uniform(-1.0, 1.0, (len(seen), *space.shape))
        policy = self.model.policy.scale_action(self.act(observations))
        with torch.no_grad():
            states = torch.as_tensor(np.asarray(seen), dtype=torch.float32)
            q, chance = (
                self.model.critic(states, torch.as_tensor(a, dtype=torch.float32))[0].mean().item()
                for a in (policy, uniform)
            )
        return {"value": q, "lift": q - chance}


def vector_of(setting: Setting, n_envs: int, wrap: Callable[[Any], Any] | None = None) -> Any:
    """``n_envs`` environments to train in, stepped together as the problem says."""
    params = setting.environment.params
    if getattr(params, "vector", "plain") == "envpool":
        if wrap is not None:
            raise ValueError("environments of EnvPool cannot be wrapped: take vector = plain")
        return EnvPoolVecEnv(params.id, n_envs, setting.env_seed, params.options)
    envs = [setting.make() for _ in range(n_envs)]
    return PlainVecEnv([wrap(env) for env in envs] if wrap else envs)


def gaussian(setting: Setting, scale: float) -> NormalActionNoise | None:
    """Noise on scaled actions, of that standard deviation; none for 0."""
    env = setting.make()
    shape = env.action_space.shape or ()
    env.close()
    return NormalActionNoise(np.zeros(shape), np.full(shape, scale)) if scale > 0 else None
