"""Posterior sampling for reinforcement learning (Osband, Russo & Van Roy 2013, 1306.0940).

Before every episode a model is drawn from the posterior and solved; its optimal policy is played.
Next states have a Dirichlet prior of weight ``prior`` each, 1/S by default as in the authors'
TabulaRL code (``PSRLunif``); S counts the end of an episode as a state where there may be one.

``reward="empirical"``, the default and ours: the mean reward seen, and a uniform one in [0, 1]
where none was, with Q capped at H - h + 1. ``"gaussian"``, as in TabulaRL: the mean reward is drawn
from N(sum / (n + 1), 1 / (n + 1)), the posterior of prior N(0, 1) and noise N(0, 1), without a cap.

>>> import banditlab
>>> banditlab.make("psrl", reward="gaussian").params
PSRL(reward=1, prior=0.0)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel, kernel_in_loop
from banditlab.parts import tabular
from banditlab.parts.modes import place
from banditlab.protocols.episodic import Episodic
from banditlab.random import below, gamma, gammas, normal, uniform, uniform_open
from banditlab.validate import nonnegative

label = "PSRL"

REWARDS = ("empirical", "gaussian")
GAUSSIAN = 1
LOST = 1e-300  # sums of gammas, which are rounded up to 1e-304


class PSRL(NamedTuple):
    """Hyper-parameters."""

    reward: int = 0  # place in REWARDS
    prior: float = 0.0  # weight of every next state; 0 stands for 1/S


@kernel
def power(u, n):
    """u to a whole power."""
    found = 1.0
    while n > 0:
        if n & 1:
            found *= u
        u *= u
        n >>= 1
    return found


@kernel_in_loop
def draw_law(prior, succ, times, kinds, i, s, a, rng, out):
    """Fill ``out`` with a draw of the next state's law, but for its sum, which is returned.

    A gamma of shape prior + n is the sum of one of shape prior and one of shape n. ``prior`` is 0
    for 1/S, S being ``out.size``: a gamma of that shape is one of shape 1 + 1/S times u^S, which
    takes no logarithm.
    """
    S = out.size
    if prior >= 1.0:
        gammas(rng, prior, out)
    elif prior > 0.0:
        for y in range(S):
            out[y] = gamma(rng, prior)
    else:
        gammas(rng, 1.0 + 1.0 / S, out)
        for y in range(S):
            out[y] *= power(uniform_open(rng), S)
    for j in range(kinds[i, s, a]):
        out[succ[i, s, a, j]] += gamma(rng, times[i, s, a, j])
    total = 0.0
    for y in range(S):
        total += out[y]
    if total < LOST:
        # Of gammas with a tiny shape one is far above the others, however small all of them are;
        # where they were rounded, it could be any.
        out[:] = 0.0
        out[below(rng, S)] = 1.0
        total = 1.0
    return total


@kernel
def plan(params, m, k, rng):
    told, r, n, kinds, succ, times = m.told, m.r, m.n, m.kinds, m.succ, m.times
    cap, Q, V, policy = m.cap, m.Q, m.V, m.policy
    H, S, A = Q.shape
    law = np.empty(m.facts[0])
    pooled = n.shape[0] == 1
    # One model for all steps where counts are pooled: its laws are drawn once and kept.
    laws = np.zeros((S, A, law.size) if pooled else (0, 0, 0))
    pays = np.zeros((S, A))
    for h in range(H - 1, -1, -1):
        i = 0 if pooled else h
        for s in range(S):
            for a in range(A):
                if not pooled or h == H - 1:
                    total = draw_law(params.prior, succ, times, kinds, i, s, a, rng, law)
                    if pooled:
                        for y in range(law.size):
                            laws[s, a, y] = law[y] / total
                    visits = n[i, s, a]
                    if told[0]:
                        pays[s, a] = r[i, s, a]
                    elif params.reward == GAUSSIAN:
                        centre = m.total[i, s, a] / (visits + 1.0)
                        pays[s, a] = centre + normal(rng) / math.sqrt(visits + 1.0)
                    else:
                        pays[s, a] = r[i, s, a] if visits > 0.0 else uniform(rng)
                mean = 0.0
                if pooled:
                    for y in range(law.size):
                        mean += laws[s, a, y] * V[h + 1, y]
                else:
                    for y in range(law.size):
                        mean += law[y] * V[h + 1, y]
                    mean /= total
                q = pays[s, a] + mean
                Q[h, s, a] = q if params.reward == GAUSSIAN else min(cap[h], q)
        tabular.settle(Q, V, policy, h, rng)


def psrl(reward: str | int = "empirical", prior: float = 0.0) -> Episodic:
    """Posterior sampling.

    ``reward`` is one of ``REWARDS``, see the module; its place there will do. ``prior``: weight
    of every next state, above 0; 0 stands for 1/S. Raises ValueError otherwise.
    """
    params = PSRL(place("reward", reward, REWARDS), nonnegative("prior", prior))
    free = params.reward == GAUSSIAN
    return Episodic(
        params, tabular.new_model, plan, tabular.act, tabular.see, tabular.rule, bounded=not free
    )
