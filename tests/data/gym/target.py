"""A point that is paid for being told 0.7, ten steps an episode; its start is drawn."""

from typing import Any, NamedTuple

import gymnasium
import numpy as np

from banditlab.protocols.gym import Environment

example: dict[str, Any] = {}
STEPS = 10


class Target(NamedTuple):
    """Parameters."""

    reference: float
    episodes: int


class Point(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = gymnasium.spaces.Box(-2.0, 2.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.left = float(self.np_random.normal()), STEPS
        return np.array([self.x]), {}

    def step(self, action):
        self.left -= 1
        reward = 1.0 - abs(float(action[0]) - 0.7) + 0.01 * self.x
        return np.array([self.x]), reward, False, self.left == 0, {"in_band": reward > 0.9}


def make(params):
    return Point()


def target(reference=10.0, episodes=3):
    """The best earns about 10 an episode."""
    return Environment(Target(float(reference), int(episodes)), make, STEPS, "continuous")
