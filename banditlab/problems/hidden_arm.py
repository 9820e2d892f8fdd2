"""A hidden arm: whoever asks only what is likely never finds it.

Action 0 pays 0.3 surely. Actions 1 to ``n_arms`` pay 1 with probability 1/4, and the hidden one, if
any, with 1/2. Ours, after the class of the lower bounds for learning with models; two steps: in the
first one chooses, in the second the state that was reached pays.

MEX with the class of all these models (``mex_finite``) gives every arm of a world that hides
nothing about ``0.2 / (eta * KL)`` pulls, where KL = 0.1308 is the divergence of Bernoulli(1/4) from
Bernoulli(1/2), and then none.
"""

from __future__ import annotations

import numpy as np

from banditlab.parts.finite_models import tabular
from banditlab.parts.hypotheses import hidden_arms
from banditlab.protocols.episodic import EpisodicMDP
from banditlab.validate import integer

example = {"n_arms": 4, "hidden": 2}


def hidden_arm(n_arms: int = 10, hidden: int = 0) -> EpisodicMDP:
    """``n_arms`` >= 1 arms beside the safe action; ``hidden`` is one of them, or 0 for none.

    Raises ValueError for numbers out of range.
    """
    models = hidden_arms(n_arms)
    i = integer("hidden", hidden, 0, len(models.rewards) - 1)
    P, R = models.transitions[i, 0, :, :, :4], models.rewards[i, 0]
    succ = np.ascontiguousarray(np.broadcast_to(np.arange(4), P.shape))
    reward = np.broadcast_to(R[:, :, None], P.shape)
    return tabular(succ, P, reward, 0, 2, most=1.0)
