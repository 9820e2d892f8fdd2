"""Make arenas/logs/returns.csv: what policies for CartPole-v1 earn while somebody blurs their view.

Eight policies push the cart by the sign of a weighted sum of what they are shown (position,
velocity, angle, angular velocity); they differ in the weights. Each plays 30 episodes of
Gymnasium's CartPole-v1, of at most 500 steps, under each of five conditions, which add to what is
shown, in units of SCALE:

none
    Nothing.
noise
    Uniform noise in [-4, 4], in every step.
push
    The change of at most 1 in each number that moves the policy's own sum furthest to the other
    side: the strongest attack in one step on such a policy.
lean
    A constant 4 on the angle: a sensor out of line.
drift
    A constant 12 on the position.

Run ``python scripts/make_returns.py``; the seeds are fixed, and the file comes out the same.
"""

from __future__ import annotations

import csv
from pathlib import Path

import gymnasium
import numpy as np

OUT = Path(__file__).parent.parent / "arenas" / "logs" / "returns.csv"
SCALE = np.array([0.3, 0.3, 0.05, 0.3])
EPISODES = 30
POLICIES = {
    "angle": (0.0, 0.0, 1.0, 0.0),
    "tilt": (0.0, 0.0, 1.0, 3.0),
    "calm": (0.0, 0.1, 0.2, 1.0),
    "firm": (0.5, 0.5, 1.0, 0.5),
    "steady": (0.01, 0.06, 0.84, 0.66),
    "stiff": (0.2, 0.3, 3.65, 2.74),
    "centre": (0.48, 0.79, 0.53, 1.0),
    "slow": (0.17, 0.41, 0.24, 1.39),
}
CONDITIONS = ("none", "noise", "push", "lean", "drift")


def shown(
    seen: np.ndarray, weights: np.ndarray, condition: str, rng: np.random.Generator
) -> np.ndarray:
    """What the policy is shown, in units of SCALE."""
    if condition == "noise":
        return seen + rng.uniform(-4.0, 4.0, size=4)
    if condition == "push":
        return np.asarray(seen - np.sign(seen @ weights) * np.sign(weights))
    if condition == "lean":
        return seen + np.array([0.0, 0.0, 4.0, 0.0])
    if condition == "drift":
        return seen + np.array([12.0, 0.0, 0.0, 0.0])
    return seen


def main() -> None:
    """Play and write."""
    env = gymnasium.make("CartPole-v1")
    rng = np.random.default_rng(2024)
    with open(OUT, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["policy", "condition", "return"])
        for policy, given in POLICIES.items():
            weights = np.array(given)
            for condition in CONDITIONS:
                for episode in range(EPISODES):
                    observation, _ = env.reset(seed=episode)
                    total, done = 0.0, False
                    while not done:
                        view = shown(observation / SCALE, weights, condition, rng)
                        observation, reward, ended, cut, _ = env.step(int(view @ weights > 0.0))
                        total += float(reward)
                        done = ended or cut
                    rows.writerow([policy, condition, int(total)])


if __name__ == "__main__":
    main()
