"""Linear mixture of basic models: P = sum of weights[i] P_i (Ayoub et al. 2020).

The basic models and the rewards are drawn by ``seed`` and known to a learner of the class
(``mex_finite`` with ``models = { name = "linear_mixture", ... }``); the weights are not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from banditlab.parts.finite_models import tabular
from banditlab.parts.hypotheses import mixed, mixture_parts
from banditlab.protocols.episodic import EpisodicMDP
from banditlab.validate import vector

example = {"weights": [0.2, 0.8], "n_states": 3, "n_actions": 2, "steps": 3}


def linear_mixture(
    weights: Sequence[float] = (0.2, 0.3, 0.5),
    n_states: int = 5,
    n_actions: int = 3,
    steps: int = 5,
    seed: int = 0,
) -> EpisodicMDP:
    """A mixture by ``weights``, in [0, 1] and of sum 1, of as many basic models.

    ``n_states``, ``n_actions``, ``steps`` >= 1. Mean rewards are told. Raises ValueError for what
    is out of range.
    """
    w = vector("weights", weights, 0.0, 1.0)
    if abs(w.sum() - 1.0) > 1e-8:
        raise ValueError(f"weights must sum to 1, got {list(weights)!r}")
    parts, rewards = mixture_parts(w.size, n_states, n_actions, seed)
    P = mixed(parts, w[None])[0]
    succ = np.ascontiguousarray(np.broadcast_to(np.arange(len(P)), P.shape))
    reward = np.broadcast_to(rewards[:, :, None], P.shape)
    return tabular(succ, P, reward, 0, steps, known=True, pooled=True)
