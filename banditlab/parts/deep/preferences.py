"""Who compares trajectories, of which only the true rewards of each step are looked at.

The judges, after Swamy, Dann, Kidambi, Wu & Agarwal 2024, "A minimaximalist approach to
reinforcement learning from human feedback", on sequences of rewards that earn R in all:

* ``return``: prefers the larger R; a tie where they are equal;
* ``logistic``: prefers x to y with probability 1 / (1 + exp(-(R_x - R_y) / temperature));
* ``quarter``: not Markovian. A trajectory is allowed if it earns at most ``threshold`` in its last
  quarter. Allowed beats not allowed; of two that are allowed the one that earns more before is
  preferred, of two that are not the one that earns less in the last quarter (that rule is ours);
* ``thirds``: goes round in circles. Each answer is that of one of three people, drawn evenly, who
  look at the first, the middle and the last third, and prefer the one that earns more there.

Any answer is turned round with probability ``flip``; a tie, 1/2, stays one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np

from banditlab.validate import choice, integer, nonnegative, number, positive

JUDGES = ("return", "logistic", "quarter", "thirds")
SHORTEST = 4  # steps of a trajectory: it has quarters


class Judge(NamedTuple):
    """Who answers."""

    judge: str = "return"  # one of JUDGES
    flip: float = 0.0  # in [0, 1/2]
    temperature: float = 1.0  # positive
    threshold: float = 0.0


def checked(judge: str, flip: float, temperature: float, threshold: float) -> Judge:
    """The judge; ValueError for what is out of range."""
    flip = nonnegative("flip", flip)
    if flip > 0.5:
        raise ValueError(f"flip must lie in [0, 1/2], got {flip}")
    return Judge(
        choice("judge", judge, JUDGES),
        flip,
        positive("temperature", temperature),
        number("threshold", threshold),
    )


def looked_at(judge: Judge, rewards: np.ndarray) -> np.ndarray:
    """What the judge sees of trajectories (n, H), as (n, features)."""
    H = rewards.shape[-1]
    cuts = {"quarter": [0, 3 * H // 4], "thirds": [0, H // 3, 2 * H // 3]}.get(judge.judge, [0])
    return np.add.reduceat(rewards, cuts, axis=-1)


def chances(judge: Judge, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Probability that x is preferred to y, a tie counted half: what answers are on average.

    ``x`` and ``y`` are features, (..., features), which are broadcast against each other.
    """
    if judge.judge == "logistic":
        p = 0.5 + 0.5 * np.tanh(0.5 * (x[..., 0] - y[..., 0]) / judge.temperature)
    elif judge.judge == "thirds":
        p = _ahead(x, y).mean(axis=-1)
    else:
        p = _preferred(judge, x, y)
    return p + judge.flip * (1.0 - 2.0 * p)


def answers(
    judge: Judge, x: np.ndarray, y: np.ndarray, rng: np.random.Generator
) -> np.ndarray:  # fmt: skip
    """One answer to each comparison, 1, 0 or 1/2, drawn where answers are random; see chances."""
    shape = np.broadcast_shapes(x.shape, y.shape)[:-1]
    if judge.judge == "logistic":
        won = (rng.random(shape) < chances(judge._replace(flip=0.0), x, y)).astype(np.float64)
    elif judge.judge == "thirds":
        who = rng.integers(3, size=(*shape, 1))
        won = np.take_along_axis(_ahead(x, y), who, axis=-1)[..., 0]
    else:
        won = _preferred(judge, x, y)
    if judge.flip > 0:
        won = np.where(rng.random(shape) < judge.flip, 1.0 - won, won)
    return won


def _ahead(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """1 where x is larger, 0 where y is, 1/2 where they are equal."""
    return 0.5 + 0.5 * np.sign(x - y)


def _preferred(judge: Judge, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The answer of ``return`` or ``quarter``, of whom neither draws anything."""
    if judge.judge == "return":
        return _ahead(x[..., 0], y[..., 0])
    fine, other = x[..., 1] <= judge.threshold, y[..., 1] <= judge.threshold
    same = np.where(fine, _ahead(x[..., 0], y[..., 0]), _ahead(y[..., 1], x[..., 1]))
    return np.where(fine == other, same, fine.astype(np.float64))


class FixedHorizon(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Every episode lasts ``length`` steps, or a comparison would be one of lengths.

    One that ends before stays where it is and is paid nothing; one that would go on is cut there.
    Either way it has come to its end: nothing is expected of the steps after it.
    """

    kept = ("t", "over", "shown")  # see banditlab.parts.deep.checkpoint

    def __init__(self, env: Any, length: int):
        super().__init__(env)
        self.length = length

    def reset(self, **given: Any) -> Any:
        """Begin."""
        self.t, self.over = 0, False
        self.shown, info = self.env.reset(**given)
        return self.shown, info

    def step(self, action: Any) -> Any:
        """A step, or a step of standing still."""
        self.t += 1
        reward: Any = 0.0
        info: dict[str, Any] = {"absorbing": True}
        if not self.over:
            self.shown, reward, terminated, truncated, info = self.env.step(action)
            self.over = bool(terminated or truncated)
        return self.shown, reward, self.t >= self.length, False, info


def length_of(length: int, environment: Any) -> int:
    """Steps of a trajectory: those asked for, or those of the environment if it ends before."""
    return min(length, environment.steps) if environment.steps else length


def enough(horizon: int, warm_up: int) -> None:
    """ValueError if nothing would be left to learn from after the queue is filled."""
    if horizon <= warm_up:
        raise ValueError(
            f"horizon must be above {warm_up:,}, the steps in which the queue is filled, got "
            f"{horizon:,}; a smaller queue or length takes fewer"
        )


def checked_length(length: int) -> int:
    """Cast; ValueError for one that has no quarters."""
    return integer("length", length, SHORTEST)
