"""A bandit dressed as a decision process: one choice decides the whole episode, and hardly matters.

After TabulaRL (``make_hardBanditMDP``; Osband & Van Roy 2017). The first state leads to a good one,
which pays 1 for ever, with probability ``p``, and with ``p + gap`` for action 0; else to a bad one,
which pays nothing. The first step itself pays N(0.5, 1) whatever is done, or, with
``reward="bernoulli"``, 1 every other time. It takes about 1 / gap^2 episodes to tell the actions
apart.

>>> round(float(hard_bandit(H=11).params.best[0]), 9)
5.6
"""

from __future__ import annotations

import numpy as np

from banditlab.parts.finite_models import tabular
from banditlab.protocols.episodic import EpisodicMDP
from banditlab.validate import between, choice, flag, integer

example = {"H": 3, "gap": 0.4, "reward": "bernoulli"}

REWARDS = ("gaussian", "bernoulli")


def hard_bandit(
    H: int = 10,
    gap: float = 0.01,
    n_actions: int = 2,
    p: float = 0.5,
    reward: str = "gaussian",
    known_rewards: bool = False,
    pooled: bool = False,
) -> EpisodicMDP:
    """The hard bandit with ``n_actions`` >= 2, in episodes of ``H`` steps.

    ``p`` in [0, 1] and ``gap`` in [0, 1 - p]; see the module. ``known_rewards``, ``pooled``:
    whether agents are told the mean rewards, and that dynamics are the same in all steps. Raises
    ValueError, in one line, for whatever is out of range.
    """
    choice("reward", reward, REWARDS)
    H, A = integer("H", H, 1), integer("n_actions", n_actions, 2)
    p = between("p", p, 0.0, 1.0)
    gap = between("gap", gap, 0.0, 1.0 - p)
    chances = np.append(p + gap, np.full(A - 1, p))
    succ, prob, pay = np.zeros((3, A, 2), np.int64), np.zeros((3, A, 2)), np.zeros((3, A, 2))
    succ[0], succ[1], succ[2] = (1, 2), 1, 2
    prob[0, :, 0], prob[0, :, 1], prob[1:, :, 0] = chances, 1.0 - chances, 1.0
    pay[0], pay[1] = 0.5, 1.0
    noise = np.zeros((1, 3, A))
    noise[0, 0] = 1.0 if reward == "gaussian" else -1.0
    return tabular(
        succ, prob, pay, 0, H, noise=noise,
        known=flag("known_rewards", known_rewards), pooled=flag("pooled", pooled),
    )  # fmt: skip
