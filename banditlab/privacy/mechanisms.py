"""Where the noise of a real release comes from: our own exact sampler, or OpenDP's.

Both draw an integer Z with P(Z = z) ~ exp(-abs(z) epsilon / 2**20) exactly, from the operating
system's cryptographic generator; see :mod:`banditlab.parts.noise` for what it is added to. Ours is
forty lines of Python integers. OpenDP's (https://opendp.org, the extra ``privacy``) is the
implementation that others have reviewed; it states epsilon by its own, conservative, arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from banditlab.parts.noise import UNITS, secret_discrete_laplace
from banditlab.validate import choice

MECHANISMS = {
    "own": "the operating system's cryptographic generator, exact discrete Laplace noise",
    "opendp": "the operating system's cryptographic generator, OpenDP's discrete Laplace noise",
}


def sampler(mechanism: str, epsilon: float) -> Callable[[], int]:
    """A function that draws the noise of a sum of rewards in [0, 1], in units of ``GRID``.

    ``epsilon`` lies in ``DISCRETE_EPSILON``. Raises ValueError for an unknown ``mechanism``, and
    for "opendp" where that package is not installed.
    """
    if choice("mechanism", mechanism, tuple(MECHANISMS)) == "opendp":
        return _opendp(epsilon)
    s, t = epsilon.as_integer_ratio()
    return partial(secret_discrete_laplace, s, t * UNITS)


def _opendp(epsilon: float) -> Callable[[], int]:
    try:
        from opendp.domains import atom_domain
        from opendp.measurements import make_laplace
        from opendp.metrics import absolute_distance
        from opendp.mod import enable_features
    except ImportError:
        raise ValueError(
            "mechanism 'opendp' needs the package opendp: install the extra 'privacy'"
        ) from None
    enable_features("contrib")
    space = atom_domain(T="i64"), absolute_distance(T="i64")
    scale = UNITS / epsilon
    # A scale that was rounded down spends an ulp too much, by OpenDP's own account.
    while (noisy := make_laplace(*space, scale=scale)).map(UNITS) > epsilon:
        scale = math.nextafter(scale, math.inf)
    # Noise on 0 is the noise: OpenDP adds it in whole numbers, and saturates beyond any of ours.
    return partial(noisy, 0)
