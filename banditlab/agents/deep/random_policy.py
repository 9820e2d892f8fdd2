"""Uniform actions: what an environment pays to whoever learns nothing.

The line that every figure of returns needs, for it is seldom zero: who falls forwards moves, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from banditlab.protocols.gym import Deep, Learner, Setting

label = "uniform actions"

is_baseline = True


class RandomPolicy(NamedTuple):
    """No hyper-parameters."""


class Uniform(Learner):
    """Draws every action anew; it has nothing to train on, so it takes its steps at once."""

    def __init__(self, setting: Setting):
        env = setting.make()
        self.space = env.action_space
        env.close()
        self.space.seed(setting.seed)
        self.horizon = setting.horizon

    def learn(self, pulse: Callable[[], None]) -> None:
        """Nothing is learned."""
        pulse()
        self.steps = self.horizon
        self.paid = float("nan")  # it was not played

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Uniform actions, one per observation."""
        return np.stack([self.space.sample() for _ in observations])

    def save(self, folder: Path) -> None:
        """The stream."""
        state = self.space.np_random.bit_generator.state
        (folder / "plain.json").write_text(json.dumps({"steps": self.steps, "stream": state}))

    def load(self, folder: Path) -> None:
        """The stream."""
        plain = json.loads((folder / "plain.json").read_text())
        self.steps = plain["steps"]
        self.space.np_random.bit_generator.state = plain["stream"]


def learner(params: RandomPolicy, setting: Setting) -> Learner:
    """Uniform actions at work."""
    return Uniform(setting)


def random_policy() -> Deep:
    """Uniform actions."""
    return Deep(RandomPolicy(), learner, needs=(), discrete=True)
