"""Two-arm bandits with a logging policy: the instances of Rashidinejad et al. 2021, section 3.

arXiv 2103.12021, section 3 and appendix A. Arm k pays ``values[k]`` with probability
``chances[k]``, else 0, and fills the share ``policy[k]`` of the log. a* is the better arm.

===================  =========================  ==================================================
kind                 log                        rewards
===================  =========================  ==================================================
``prop1``            C* = N/(N - 1): the worse  arm 0: 2 eps; arm 1: 2.1 eps or 0, evenly. The
                     arm has share 1/N          empirically best arm fails (Proposition 1)
``thm3_imitation``   C* = 1.5                   a*: 1/2; other: Bernoulli(1/2 - g) with
                                                g = min(1/3, sqrt(3 L / (2 N))). LCB with the
                                                penalty sqrt(L/n) loses of order 1/sqrt(N), and
                                                imitation exponentially little (Theorem 3)
``thm3_mixed``       C* = 6                     a*: Bernoulli(1/2); other: 1/2 - g with
                                                g = min(1/2, sqrt(L / (4 N))). A penalty large
                                                enough for the former ruins this one (Theorem 3)
``thm2_large``       C* = C >= 2                Bernoulli(1/2), Bernoulli(1/2 + d) with
                                                d = min(1/4, sqrt(C/N)): nobody beats
                                                sqrt(C/N) (Theorem 2)
``thm2_small``       C* = C in (1, 2)           Bernoulli(1/2 + d), Bernoulli(1/2) with
                                                d = (2 - C)/2: nobody beats
                                                exp(-(2 - C) log(2/(C - 1)) N) (Theorem 2)
===================  =========================  ==================================================

Arm 0 is a* but in ``thm2_large``; there and in ``thm2_small``, ``mirror`` gives the instance that
the proof holds against the one shown: the same log with 1/2 - d, or arms swapped altogether.

>>> problem = two_arm("thm3_imitation", N=100, L=0.6931471805599453)
>>> float(problem.params.chances[1].round(4)), round(concentrability(problem), 4)
(0.398, 1.5)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.protocols.online import Problem
from banditlab.random import binomial, uniform
from banditlab.validate import between, choice, inside, integer, nonnegative, number

example = {"kind": "thm3_mixed", "N": 100}

NEEDS = {  # the arguments of each kind beside kind itself
    "prop1": ("N", "eps"),
    "thm3_imitation": ("N", "L"),
    "thm3_mixed": ("N", "L"),
    "thm2_large": ("N", "C", "mirror"),
    "thm2_small": ("C", "mirror"),
}


class TwoArm(NamedTuple):
    """Parameters."""

    policy: np.ndarray  # (2,) float64: share of each arm in the log
    values: np.ndarray  # (2,) float64 in [0, 1]: what an arm pays when it pays
    chances: np.ndarray  # (2,) float64: how likely it pays


class World(NamedTuple):
    """One replication."""

    means: np.ndarray  # (2,) float64
    x: np.ndarray  # (1, 1) float64, 0: there is nothing to show


@kernel
def init(params, rng):
    means = np.empty(2)
    for k in range(2):
        means[k] = params.values[k] * params.chances[k]
    return World(means, np.zeros((1, 1)))


@kernel
def observe(params, world, t, rng):
    return world.x


@kernel
def pull(params, world, x, arm, rng):
    return params.values[arm] if uniform(rng) < params.chances[arm] else 0.0


@kernel
def regret(params, world, x, arm):
    return max(world.means[0], world.means[1]) - world.means[arm]


@kernel
def behave(params, world, x, rng):
    return 0 if uniform(rng) < params.policy[0] else 1


@kernel
def log(params, world, rounds, rng, counts, sums):
    """Add ``rounds`` logged rows, drawn as counts."""
    second = binomial(rng, rounds, params.policy[1])
    for k in range(2):
        n = second if k == 1 else rounds - second
        counts[0, k] += n
        sums[0, k] += params.values[k] * binomial(rng, n, params.chances[k])
    return True


def two_arm(
    kind: str,
    N: int | None = None,
    eps: float | None = None,
    L: float | None = None,
    C: float | None = None,
    mirror: bool | None = None,
) -> Problem:
    """The instance called ``kind``; an argument that it does not need is an error.

    Parameters
    ----------
    kind
        One of the table above.
    N
        Rows of the log that the instance is made for, at least 1 (2 for ``prop1``).
    eps
        Scale of the rewards of ``prop1``, in (0, 1/2.1]; 0.4 by default.
    L
        Of the penalty sqrt(L/n) that Theorem 3 defeats, at least 0; by default that of LCB with
        delta = 1/N, log(4 N) / 2.
    C
        Concentrability, at least 2 for ``thm2_large`` and in (1, 2) for ``thm2_small``.
    mirror
        The other one of the two instances of Theorem 2; false by default.

    Raises ValueError for a missing, a needless or an impossible argument.
    """
    needs = NEEDS[choice("kind", kind, tuple(NEEDS))]
    given = {"N": N, "eps": eps, "L": L, "C": C, "mirror": mirror}
    for name, value in given.items():
        if value is not None and name not in needs:
            raise ValueError(f"kind {kind} does not take {name}; it takes {', '.join(needs)}")
        if value is None and name in needs and name in ("N", "C"):
            raise ValueError(f"kind {kind} needs {name}")
    rows = integer("N", N, 2 if kind == "prop1" else 1) if N is not None else 1
    penalty = nonnegative("L", 0.5 * math.log(4 * rows) if L is None else L)
    worse = -1.0 if mirror else 1.0
    if kind == "prop1":
        scale = between("eps", 0.4 if eps is None else eps, 0.0, 1 / 2.1)
        if scale == 0.0:
            raise ValueError("eps must be positive, got 0")
        policy, values, chances = (1 - 1 / rows, 1 / rows), (2 * scale, 2.1 * scale), (1.0, 0.5)
    elif kind == "thm3_imitation":
        gap = min(1 / 3, math.sqrt(1.5 * penalty / rows))
        policy, values, chances = (2 / 3, 1 / 3), (0.5, 1.0), (1.0, 0.5 - gap)
    elif kind == "thm3_mixed":
        gap = min(1 / 2, math.sqrt(0.25 * penalty / rows))
        policy, values, chances = (1 / 6, 5 / 6), (1.0, 0.5 - gap), (0.5, 1.0)
    elif kind == "thm2_large":
        C = number("C", C)
        if C < 2.0:
            raise ValueError(f"C must be at least 2 for kind thm2_large, got {C!r}")
        gap = min(1 / 4, math.sqrt(C / rows))
        policy, values, chances = (1 - 1 / C, 1 / C), (1.0, 1.0), (0.5, 0.5 + worse * gap)
    else:
        C = inside("C", C, 1.0, 2.0)
        policy, values, chances = (1 / C, 1 - 1 / C), (1.0, 1.0), (0.5 + (2 - C) / 2, 0.5)
        if mirror:
            policy, chances = policy[::-1], chances[::-1]
    params = TwoArm(np.array(policy), np.array(values), np.array(chances))
    return Problem(params, init, observe, pull, regret, (2, 1, 0), behave=behave, log=log)


def concentrability(problem: Problem) -> float:
    """C* = 1 / policy[a*]."""
    means = problem.params.values * problem.params.chances
    return float(1.0 / problem.params.policy[int(means.argmax())])
