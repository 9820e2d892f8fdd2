"""Rock, paper, scissors: three arms in a circle, 0 beats 1, 1 beats 2, 2 beats 0.

Nobody beats all others. The von Neumann winner plays the arms in proportion to (b, c, a), for
P[0, 1] = 1/2 + a, P[1, 2] = 1/2 + b and P[2, 0] = 1/2 + c: how well an arm does is no measure of
how often to play it.

>>> P = duel_rps(0.1, 0.2, 0.3).params.matrices[0]
>>> bool(abs((2 * P - 1) @ [1 / 3, 1 / 2, 1 / 6]).max() < 1e-12)
True
"""

from __future__ import annotations

from banditlab.parts.preferences import preferences
from banditlab.protocols.duel import Preferences
from banditlab.validate import between

example = {"a": 0.1, "b": 0.2, "c": 0.3}


def duel_rps(a: float = 0.1, b: float = 0.2, c: float = 0.3, flip: float = 0.0) -> Preferences:
    """The three margins ``a``, ``b``, ``c``, each in [0, 1/2]; for ``flip`` see `preferences`."""
    a, b, c = (between(name, x, 0.0, 0.5) for name, x in (("a", a), ("b", b), ("c", c)))
    P = [[0.5, 0.5 + a, 0.5 - c], [0.5 - a, 0.5, 0.5 + b], [0.5 + c, 0.5 - b, 0.5]]
    return preferences(P, flip=flip)
