"""Climbs: keeps a random change of its one number where an episode then pays more (baseline, 2026).

It stands for what trains networks, without any: a stream, arrays, and episodes under way.
"""

import json
from typing import NamedTuple

import numpy as np

from banditlab.protocols.gym import Deep, Learner, Table

is_baseline = True


class Climber(NamedTuple):
    """Hyper-parameters."""

    step: float = 0.3  # standard deviation of a change
    wrong: str = ""  # how it goes wrong, if it does
    keeps: int = 0  # episodes of each of two policies under two conditions that it says it played


class Climbing(Learner):
    """At work."""

    def __init__(self, params, setting):
        self.params, self.horizon = params, setting.horizon
        self.env = setting.make()
        self.shown, _ = self.env.reset(seed=setting.env_seed)
        self.rng = np.random.default_rng(setting.seed)
        self.best, self.trial, self.record, self.earned = 0.0, 0.0, -np.inf, 0.0
        self.done = []

    def learn(self, pulse):
        while self.steps < self.horizon:
            pulse()
            if self.params.wrong == "breaks" and self.steps == 30:
                raise OSError("the disk\nis gone")
            if self.params.wrong == "dies" and self.steps == 30:
                import os

                os._exit(7)
            self.shown, reward, over, cut, _ = self.env.step(self._action(self.trial, self.shown))
            self.steps += 1
            self.paid += reward
            self.earned += reward
            if over or cut:
                if self.earned > self.record:
                    self.best, self.record = self.trial, self.earned
                self.trial = self.best + self.rng.normal(0.0, self.params.step)
                self.done.append(self.earned)
                self.earned = 0.0
                self.shown, _ = self.env.reset()

    def _action(self, number, shown):
        return np.array([number], np.float32)

    def act(self, observations):
        return np.stack([self._action(self.best, x) for x in observations])

    def ended(self):
        ended, self.done = self.done, []
        return ended

    def waiting(self):
        return self.done

    def losses(self):
        return {"trial": self.trial}

    def facts(self, observations):
        if self.params.keeps and self.steps >= self.horizon:
            table = room(self.params.keeps)._replace(policies=2)
            policy, condition, episode = np.indices(table.shape)
            played = self.best * (1 + policy) * (1 - 0.5 * condition) + episode
            return {"best": self.best, "seen": float(len(observations)), **table.facts(played)}
        return {"best": self.best, "seen": float(len(observations))}

    def save(self, folder):
        bare = self.env.unwrapped
        numbers = ("steps", "paid", "best", "trial", "record", "earned", "done")
        plain = {
            **{name: getattr(self, name) for name in numbers},
            "rng": self.rng.bit_generator.state,
            "nature": bare.np_random.bit_generator.state,
            "at": [bare.x, bare.left],
        }
        (folder / "plain.json").write_text(json.dumps(plain))
        np.savez(folder / "arrays.npz", shown=self.shown)

    def load(self, folder):
        plain = json.loads((folder / "plain.json").read_text())
        for name in ("steps", "paid", "best", "trial", "record", "earned", "done"):
            setattr(self, name, plain[name])
        self.rng.bit_generator.state = plain["rng"]
        bare = self.env.unwrapped
        bare.np_random.bit_generator.state = plain["nature"]
        bare.x, bare.left = plain["at"]
        self.shown = np.load(folder / "arrays.npz")["shown"]


def room(keeps):
    """Three policies under two conditions."""
    return Table(3, ("none", "half"), keeps)


def learner(params, setting):
    return Climbing(params, setting)


def climber(step=0.3, wrong="", keeps=0):
    """Climb by changes of size ``step``."""
    params = Climber(float(step), wrong, keeps)
    kept = room(keeps) if keeps else None
    return Deep(params, learner, needs=(), facts=("best", "seen"), returns=kept)
