"""Arms on a circle: each beats those up to half a turn behind it, most who is a quarter behind.

With the angles theta_k = 2 pi k / K, ``A = kappa sin(theta_i - theta_j)``. Even odds over all arms
cannot be exploited; p can, by kappa times the largest Im(e^(i theta_k) conj(m)) over k, with m the
mean of e^(i theta) under p. No arm is better than another.

>>> P = duel_circle(36).params.matrices[0]
>>> bool(abs((2 * P - 1).mean(axis=1)).max() < 1e-12)
True
"""

from __future__ import annotations

import numpy as np

from banditlab.parts.preferences import preferences
from banditlab.protocols.duel import Preferences
from banditlab.validate import between, integer

example = {"n_arms": 12}


def duel_circle(n_arms: int = 36, kappa: float = 1.0, flip: float = 0.0) -> Preferences:
    """``n_arms`` >= 3; ``kappa`` in [0, 1]; for ``flip`` see `preferences`."""
    angles = 2.0 * np.pi * np.arange(integer("n_arms", n_arms, 3, 10_000)) / n_arms
    A = between("kappa", kappa, 0.0, 1.0) * np.sin(np.subtract.outer(angles, angles))
    return preferences(0.5 + 0.5 * A, flip=flip)
