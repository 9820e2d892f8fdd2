"""RiverSwim: a little pay for resting downstream, much pay for a long swim against the current.

Strehl & Littman (2008), with the numbers of Osband, Van Roy & Russo (2013) and their TabulaRL code:
action 0 swims left, surely; action 1 swims right, which succeeds with probability 0.6 from the
left bank and 0.35 in the river, where the current carries one back with 0.05, and with 0.4 from the
right bank. Resting at the left bank pays 0.005, swimming on at the right bank pays 1.

>>> float(river_swim().params.best[0])
3.3972639591508393
"""

from __future__ import annotations

import numpy as np

from banditlab.parts.finite_models import tabular
from banditlab.protocols.episodic import EpisodicMDP
from banditlab.validate import choice, flag, integer

example = {"S": 2, "H": 4}

REWARDS = ("deterministic", "bernoulli")


def river_swim(
    S: int = 6,
    H: int = 20,
    reward: str = "deterministic",
    known_rewards: bool = False,
    pooled: bool = False,
) -> EpisodicMDP:
    """A river of ``S`` states, at least 2, in episodes of ``H`` steps.

    ``reward``: the pay itself, or ``"bernoulli"``, 1 with that probability. ``known_rewards``:
    whether agents are told the mean pay; ``pooled``: whether they are told that the river is the
    same in all steps. An episode is bad that earns less than half of V*. Raises ValueError, in
    one line, for whatever is out of range.
    """
    S, H = integer("S", S, 2), integer("H", H, 1)
    choice("reward", reward, REWARDS)
    succ, prob, pay = np.zeros((S, 2, 3), np.int64), np.zeros((S, 2, 3)), np.zeros((S, 2, 3))
    for s in range(S):
        succ[s, 0], prob[s, 0] = max(s - 1, 0), (1.0, 0.0, 0.0)
        succ[s, 1] = (max(s - 1, 0), s, min(s + 1, S - 1))
        prob[s, 1] = (0.05, 0.6, 0.35)
    prob[0, 1], prob[S - 1, 1] = (0.0, 0.4, 0.6), (0.4, 0.6, 0.0)
    pay[0, 0], pay[S - 1, 1] = 0.005, 1.0
    noise = -1.0 if reward == "bernoulli" else 0.0
    problem = tabular(
        succ, prob, pay, 0, H, noise=noise,
        known=flag("known_rewards", known_rewards), pooled=flag("pooled", pooled),
    )  # fmt: skip
    return problem._replace(good=float(problem.params.best[0]) / 2.0)
