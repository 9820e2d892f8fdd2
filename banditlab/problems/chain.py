"""Chains: a small pay at one end, a large one at the other, and a walk between them.

After Osband's TabulaRL: action 0 goes left, action 1 right, from state 0; the only rewards are
those of going left at the left end and right at the right end.

``deterministic``: both ways are sure; mean pay 0 and 1.
``stochastic``: going right fails, and leads left, once in S times; mean pay 0 and 1.
``bootdqn``: going right leads left every other time; mean pay 0.01 and 1. As in Bootstrapped DQN
(Osband et al. 2016), S = 6 and H = 15.

Both pays have N(0, 1) noise, or, with ``reward="bernoulli"``, are 1 with these probabilities.

>>> float(chain("deterministic", S=4, H=4).params.best[0])
1.0
"""

from __future__ import annotations

import numpy as np

from banditlab.parts.finite_models import tabular
from banditlab.protocols.episodic import EpisodicMDP
from banditlab.validate import choice, flag, integer

example = {"kind": "bootdqn", "S": 3, "H": 4, "reward": "bernoulli"}

KINDS = ("deterministic", "stochastic", "bootdqn")
REWARDS = ("gaussian", "bernoulli")


def chain(
    kind: str = "bootdqn",
    S: int = 6,
    H: int = 15,
    reward: str = "gaussian",
    known_rewards: bool = False,
    pooled: bool = False,
) -> EpisodicMDP:
    """A chain of ``S`` states, at least 2, in episodes of ``H`` steps; ``kind``: see the module.

    ``known_rewards``, ``pooled``: whether agents are told the mean rewards, and that dynamics are
    the same in all steps. Raises ValueError, in one line, for whatever is out of range.
    """
    choice("kind", kind, KINDS)
    choice("reward", reward, REWARDS)
    S, H = integer("S", S, 2), integer("H", H, 1)
    fails = {"deterministic": 0.0, "stochastic": 1.0 / S, "bootdqn": 0.5}[kind]
    here = np.arange(S)
    succ, prob, pay = np.zeros((S, 2, 2), np.int64), np.zeros((S, 2, 2)), np.zeros((S, 2, 2))
    succ[:, 0] = succ[:, 1] = np.maximum(here - 1, 0)[:, None]
    succ[:, 1, 0] = np.minimum(here + 1, S - 1)
    prob[:, 0, 0], prob[:, 1] = 1.0, (1.0 - fails, fails)
    pay[0, 0], pay[S - 1, 1] = 0.01 if kind == "bootdqn" else 0.0, 1.0
    noise = np.zeros((1, S, 2))
    noise[0, 0, 0] = noise[0, S - 1, 1] = 1.0 if reward == "gaussian" else -1.0
    return tabular(
        succ, prob, pay, 0, H, noise=noise,
        known=flag("known_rewards", known_rewards), pooled=flag("pooled", pooled),
    )  # fmt: skip
