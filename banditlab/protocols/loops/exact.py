"""Expected losses without Monte Carlo: sums over every log that two arms can leave.

A log of N rows of a two-arm bandit is summed up by the pulls of arm 1, k, and the number of times
each arm paid, i and j. With Binomial masses B(n, p)(k), the expected loss of a rule is::

    sum over k, i, j of  B(N, policy[1])(k) B(N - k, chances[0])(i) B(k, chances[1])(j)
                         * (loss of what the rule recommends after that log)

The rule in the sum is the algorithm itself, its own kernels, so that its ties and its answer to an
arm without data are scored as they are. Masses below 1e-25 are left out. Cost O(N) to O(N^2) with
an arm that always pays the same, O(N^3) at worst.

>>> from banditlab.agents.offline_bandit.greedy_offline import greedy_offline
>>> from banditlab.problems.two_arm import two_arm
>>> [round(float(v), 6) for v in losses(greedy_offline(), two_arm("prop1", N=100), [100])]
[0.0911]
>>> round(missing_mass(N=1000, S=50, A=2), 8)
0.00919239
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from banditlab import random
from banditlab.compile import compiled
from banditlab.core import Task, kernel, kernel_inline
from banditlab.random import AGENT, NATURE, stream
from banditlab.validate import integer

NEGLIGIBLE = 1e-25


@kernel
def binomial_masses(n, p, out):
    """Fill ``out[0..n]`` with the masses of Binomial(n, p), from the mode outwards."""
    mode = min(int((n + 1) * p), n)
    out[mode] = 1.0
    total = 1.0
    for k in range(mode, n):
        out[k + 1] = out[k] * ((n - k) * p) / ((k + 1) * (1.0 - p))
        total += out[k + 1]
    for i in range(mode):
        k = mode - i
        out[k - 1] = out[k] * (k * (1.0 - p)) / ((n - k + 1) * p)
        total += out[k - 1]
    for k in range(n + 1):
        out[k] /= total


@kernel_inline
def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):
    """Expected gaps, at the sizes of the log in ``checkpoints``, into every row of ``record``.

    The shape of a block is that of online.run_block; there is nothing to replicate.
    """
    policy, values, chances = problem.params.policy, problem.params.values, problem.params.chances
    agent = stream(key, first, AGENT)
    world = problem.init(problem.params, stream(key, first, NATURE))
    counts = np.empty((1, 2))
    sums = np.empty((1, 2))
    rule = np.empty(2)
    x = np.zeros((1, 1))
    done = 0
    for c in range(checkpoints.size):
        n = checkpoints[c]
        pulls = np.zeros(n + 1)
        left = np.zeros(n + 1)
        right = np.zeros(n + 1)
        binomial_masses(n, policy[1], pulls)
        gap = 0.0
        for k in range(n + 1):
            if pulls[k] < NEGLIGIBLE:
                continue
            if progress[1] != 0:
                return
            binomial_masses(n - k, chances[0], left)
            binomial_masses(k, chances[1], right)
            counts[0, 0] = n - k
            counts[0, 1] = k
            for i in range(n - k + 1):
                if pulls[k] * left[i] < NEGLIGIBLE:
                    continue
                for j in range(k + 1):
                    mass = pulls[k] * left[i] * right[j]
                    if mass < NEGLIGIBLE:
                        continue
                    sums[0, 0] = values[0] * i
                    sums[0, 1] = values[1] * j
                    state = algorithm.init(algorithm.params, task, agent)
                    algorithm.update(algorithm.params, state, counts, sums)
                    algorithm.recommend(algorithm.params, state, x, agent, rule)
                    for arm in range(2):
                        loss = problem.regret(problem.params, world, x, arm)
                        gap += mass * rule[arm] * loss
        progress[0] += (n - done) * record.shape[0]
        done = n
        for r in range(record.shape[0]):
            record[r, c, 0] = gap


def summable(problem: Any) -> bool:
    """Whether all logs of the problem can be summed over.

    Its params say so by three arrays (2,): ``policy``, the share of each arm in the log, and
    ``chances`` and ``values``, with which probability each arm pays what.
    """
    return {"policy", "chances", "values"} <= set(getattr(problem.params, "_fields", ()))


def losses(rule: Any, problem: Any, sizes: Sequence[int]) -> np.ndarray:
    """The expected loss of ``rule`` on a two-arm ``problem``, (len(sizes),), by size of the log.

    Raises ValueError for another problem, or a size below 1.
    """
    if not summable(problem):
        raise ValueError("the problem must be made by two_arm")
    checkpoints = np.array([integer(f"sizes[{i}]", n, 1) for i, n in enumerate(sizes)], np.int64)
    record = np.zeros((1, checkpoints.size, 1))
    progress = np.zeros(2, np.int64)
    args: Any = (Task(2), random.key(0), 0, 0, checkpoints, progress, record)
    with np.errstate(all="ignore"):  # plain Python wraps uint64 aloud; the streams mean it
        compiled(run_block, (rule, problem), args)(*args)
    return record[0, :, 0]


def missing_mass(N: int, S: int = 50, A: int = 2) -> float:
    """What copying and guessing loses on ``cb_missing_mass``: S z (1 - z)^N (1 - 1/A)."""
    z = 1.0 / (N + 1)
    return S * z * (1.0 - z) ** N * (1.0 - 1.0 / A)
