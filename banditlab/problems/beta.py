"""Beta bandit: arm k pays a reward in [0, 1] from a Beta distribution of mean ``means[k]``.

Arm k pays Beta(a, b) with ``a = concentration * means[k]`` and ``a + b = concentration``, hence
with variance ``means[k] * (1 - means[k]) / (concentration + 1)``: nearly Bernoulli when the
concentration is small, nearly constant when it is large.

>>> import banditlab
>>> banditlab.make_problem("beta", means=[0.2, 0.8], concentration=10.0).shape
(2, 1, 0)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from banditlab import random
from banditlab.core import kernel
from banditlab.problems.bernoulli import init, observe, regret
from banditlab.protocols.online import Problem
from banditlab.validate import inside, positive, vector

example = {"means": [0.3, 0.5, 0.7]}


class Beta(NamedTuple):
    """Parameters."""

    means: np.ndarray  # (n_arms,) float64 in (0, 1)
    concentration: float  # > 0


@kernel
def pull(params, world, x, arm, rng):
    a = params.concentration * params.means[arm]
    b = params.concentration * (1.0 - params.means[arm])
    # How many words a Beta takes depends on the arm, so it draws from a stream of its own.
    return random.beta(random.fork(rng), a, b)


def beta(means: Sequence[float], concentration: float = 4.0) -> Problem:
    """A Beta bandit: at least two ``means`` strictly between 0 and 1, ``concentration`` > 0.

    Raises ValueError naming the argument that is out of range.
    """
    params = Beta(vector("means", means, at_least=2), positive("concentration", concentration))
    for k, mean in enumerate(params.means):
        inside(f"means[{k}]", float(mean), 0.0, 1.0)
    return Problem(params, init, observe, pull, regret, (params.means.size, 1, 0))
