"""Garnet: a random decision process with few successors (Archibald, McKinnon & Thomas 1995).

Every pair of state and action leads to ``b`` different states, drawn evenly, with probabilities
that are the spacings of b - 1 uniform cuts of [0, 1]. Its mean reward is the cube of a uniform
number, so that few pairs pay well; rewards are 1 with that probability, else 0. All of it follows
from the number of the ``instance``.

>>> float(garnet().params.best[0])
6.512949585063707
"""

from __future__ import annotations

import numpy as np

from banditlab.parts.finite_models import tabular
from banditlab.protocols.episodic import EpisodicMDP
from banditlab.validate import choice, flag, integer

example = {"S": 4, "A": 2, "b": 2, "H": 3}

REWARDS = ("bernoulli", "deterministic")


def garnet(
    S: int = 10,
    A: int = 3,
    b: int = 3,
    H: int = 10,
    instance: int = 0,
    reward: str = "bernoulli",
    known_rewards: bool = False,
    pooled: bool = False,
) -> EpisodicMDP:
    """A random process of ``S`` states and ``A`` actions, in episodes of ``H`` steps from state 0.

    ``b`` in 1 .. S; ``reward="deterministic"`` pays the mean itself. ``known_rewards``,
    ``pooled``: whether agents are told the mean rewards, and that dynamics are the same in all
    steps. Raises ValueError, in one line, for whatever is out of range.
    """
    S, A, H = integer("S", S, 1), integer("A", A, 1), integer("H", H, 1)
    b, instance = integer("b", b, 1, S), integer("instance", instance, 0)
    choice("reward", reward, REWARDS)
    rng = np.random.default_rng(instance)
    succ, prob = np.zeros((S, A, b), np.int64), np.zeros((S, A, b))
    for s in range(S):
        for a in range(A):
            succ[s, a] = rng.choice(S, b, replace=False)
            cuts = np.sort(rng.random(b - 1))
            prob[s, a] = np.diff(np.concatenate(([0.0], cuts, [1.0])))
    pay = np.repeat(rng.random((S, A, 1)) ** 3, b, axis=2)
    return tabular(
        succ, prob, pay, 0, H, noise=-1.0 if reward == "bernoulli" else 0.0,
        known=flag("known_rewards", known_rewards), pooled=flag("pooled", pooled),
    )  # fmt: skip
