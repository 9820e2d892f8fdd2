"""Noise that makes a mean of rewards differentially private: Laplace, exact or fast; Gaussian.

One reward in [0, 1] moves a mean of n by at most 1 / n, so noise of scale 1 / (epsilon n) makes it
epsilon-differentially private (Dwork, McSherry, Nissim & Smith 2006), where neighbours differ in
the value of a single reward. `release` is that mean, with noise of one of two kinds:

- *fast*: ``random.laplace``. It has the right law, but not as a double: the low-order bits of a
  textbook Laplace sample rule inputs out (Mironov 2012). It is for simulating errors, and for no
  guarantee of any kind.
- *discrete*: every reward is first rounded to a multiple of ``GRID`` = 2**-20, which is public.
  A sum is then an integer S of grid units, in which one reward counts for up to 2**20, and
  S + Z with P(Z = z) ~ exp(-abs(z) epsilon / 2**20) is epsilon-private with no rounding anywhere.
  Z is drawn exactly, with integers only (Canonne, Kamath & Steinke 2020, algorithms 1 and 2). Then
  follows a division of what is released already.

For the exact sampler epsilon is rounded down to a multiple of 2**-40: a fraction whose denominator
is a power of two takes the bits of one random word as they are. A run so spends a little less than
epsilon, never more.

The streams of :mod:`banditlab.random` are reproducible, hence no secret: whoever knows the seed
subtracts the noise. Both kinds are for simulations and audits. For the reward of a real person
there is `release_mean`, the same mechanism on the operating system's cryptographic generator. How
long any of them takes depends on the noise drawn, which someone with a clock may exploit: that is
out of scope.

>>> 0.3 < release_mean([0.2, 0.6] * 500, epsilon=100.0, low=0.0, high=1.0) < 0.5
True
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np

from banditlab import numeric
from banditlab.core import kernel
from banditlab.random import ONE, laplace, next_word
from banditlab.validate import choice, inside, number

UNITS = 1 << 20  # grid units in a reward of 1
NOISES = ("discrete", "fast")  # see `release`
GRID = 1.0 / UNITS  # for the field of this name of protocols.identify.Identify
FRACTION = 1 << 40  # the exact sampler knows epsilon as a multiple of 1 / FRACTION

# Where the exact sampler has relative precision 2**-20 or better and no integer overflows.
DISCRETE_EPSILON = (2.0**-20, 2.0**10)

MAX_ANALYTIC_EPSILON = 500.0  # the tail probability of about exp(-epsilon) must be a normal float


# --- exact sampling ------------------------------------------------------------------------------


@kernel
def exact_below(rng, n):
    """Uniform on 0, ..., n - 1 for 1 <= n <= 2**62, exactly (``random.below`` is so to 2**-53)."""
    mask = n - 1
    for shift in (1, 2, 4, 8, 16, 32):
        mask |= mask >> shift
    while True:
        value = np.int64(next_word(rng) >> ONE) & mask
        if value < n:
            return value


@kernel
def exact_bernoulli_exp(rng, a, b):
    """True with probability exp(-a / b), for 0 <= a <= b."""
    # The number of successes in trials of probability a / b, a / 2b, a / 3b, ... until one fails is
    # even with probability 1 - g + g**2/2! - ... = exp(-g) for g = a / b.
    k = 1
    while exact_below(rng, b) < a and exact_below(rng, k) == 0:
        k += 1
    return k % 2 == 1


@kernel
def discrete_laplace(rng, s, t):
    """An integer Z with P(Z = z) = (1 - q) / (1 + q) q**|z|, q = exp(-s / t), exactly.

    For integers 1 <= s <= 2**52 and 1 <= t <= 2**60 with t / s <= 2**52. Takes as many words as it
    needs.
    """
    whole = t // s
    rest = t - whole * s
    while True:
        u = exact_below(rng, t)
        if not exact_bernoulli_exp(rng, u, t):
            continue
        v = 0
        while exact_bernoulli_exp(rng, 1, 1):
            v += 1
        # u + t v has a geometric law of rate 1 / t. Its quotient by s, without forming t v, which
        # may overflow; rest * v does for no v < 2**10, and v >= 2**10 has probability exp(-1024).
        magnitude = v * whole + (u + v * rest) // s
        negative = exact_below(rng, 2) == 1
        if not (negative and magnitude == 0):  # 0 must not count twice
            return -magnitude if negative else magnitude


@kernel
def release(discrete, rng, total, n, epsilon):
    """The noisy mean of ``n`` >= 1 rewards in [0, 1] whose sum is ``total``.

    ``epsilon`` = inf: the mean as it is, and nothing is drawn. With ``discrete`` the rewards were
    rounded to multiples of `GRID` before they were summed (``Identify.grid`` does that) and
    ``epsilon`` lies in `DISCRETE_EPSILON`; see the module for what both kinds of noise are worth.
    """
    if epsilon == math.inf:
        return total / n
    if not discrete:
        return total / n + laplace(rng) / (epsilon * n)
    units = int(math.floor(total * UNITS + 0.5))
    s = int(math.floor(epsilon * FRACTION))
    noisy = units + discrete_laplace(rng, s, FRACTION * UNITS)
    return noisy / (n * UNITS)


# --- real releases -------------------------------------------------------------------------------


def _secret_bernoulli_exp(a: int, b: int) -> bool:
    k = 1
    while secrets.randbelow(b) < a and secrets.randbelow(k) == 0:
        k += 1
    return k % 2 == 1


def secret_discrete_laplace(s: int, t: int) -> int:
    """`discrete_laplace` for any integers s, t >= 1, from the cryptographic generator."""
    while True:
        u = secrets.randbelow(t)
        if not _secret_bernoulli_exp(u, t):
            continue
        v = 0
        while _secret_bernoulli_exp(1, 1):
            v += 1
        magnitude = (u + t * v) // s
        negative = secrets.randbelow(2) == 1
        if not (negative and magnitude == 0):
            return -magnitude if negative else magnitude


def on_grid(name: str, values: Any, low: float, high: float) -> np.ndarray:
    """``values`` clamped to [``low``, ``high``], as whole numbers of `GRID` from 0 to `UNITS`.

    Raises ValueError, in words that hold no value, for what is no list of numbers.
    """
    try:
        found = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a list of numbers") from None
    if found.ndim != 1 or found.size == 0:
        raise ValueError(f"{name} must be a list of at least 1 number")
    if np.isnan(found).any():
        raise ValueError(f"{name} must be numbers, not nan")
    share = (np.clip(found, low, high) - low) / (high - low)
    return np.rint(share * UNITS).astype(np.int64)


def release_mean(rewards: Sequence[float], epsilon: float, low: float, high: float) -> float:
    """The mean of ``rewards``, each in [``low``, ``high``], with exact noise from the system.

    It is ``epsilon``-differentially private for ``epsilon`` > 0 where neighbours differ in the
    value of one reward; their number, ``low`` and ``high`` are public. Bounds are the caller's, not
    the data's: a reward outside counts as the nearest bound, for to refuse it would betray it. A
    person with m rewards is protected m times less. Releases add up: two of the same rewards spend
    twice ``epsilon``. The result may lie outside [``low``, ``high``]; clip it if you like, for what
    is released may be processed. Not reproducible, which is the point. What is protected is the
    returned number, not the time it took.

    Raises ValueError, which never shows a reward, for what is no list of numbers, ``low`` >=
    ``high``, or ``epsilon`` that is not positive and finite.
    """
    low, high = check_bounds("low", low, "high", high)
    epsilon = check_epsilon("epsilon", epsilon)
    # Whatever the rounding of a reward, it counts for 0 to UNITS: that bounds the sensitivity.
    units = on_grid("rewards", rewards, low, high)
    numerator, denominator = epsilon.as_integer_ratio()
    noisy = int(units.sum()) + secret_discrete_laplace(numerator, denominator * UNITS)
    return low + (high - low) * (noisy / (units.size * UNITS))


# --- scales and checks ---------------------------------------------------------------------------


@kernel
def _gaussian_delta(epsilon, scale):
    """The smallest delta of Gaussian noise of that scale (Balle & Wang 2018, theorem 8)."""
    near = numeric.normal_cdf(0.5 / scale - epsilon * scale)
    far = numeric.normal_cdf(-0.5 / scale - epsilon * scale)
    return near - numeric.exp(epsilon) * far


@kernel
def classical_scale(epsilon, delta):
    """`gaussian_scale` of kind "classical"."""
    return math.sqrt(2.0 * numeric.log(1.25 / delta)) / epsilon


@kernel
def analytic_scale(epsilon, delta):
    """`gaussian_scale` of kind "analytic", by bisection."""
    if epsilon == math.inf:
        return 0.0
    high = 1.0
    while _gaussian_delta(epsilon, high) > delta:
        high *= 2.0
    low = high
    while _gaussian_delta(epsilon, low) <= delta:
        low *= 0.5
    while high - low > 1e-14 * high:
        middle = 0.5 * (low + high)
        if _gaussian_delta(epsilon, middle) <= delta:
            high = middle
        else:
            low = middle
    return high  # the end that is private


def gaussian_scale(epsilon: float, delta: float, kind: str = "classical") -> float:
    """The standard deviation that makes a number of sensitivity 1 (epsilon, delta)-private.

    ``kind`` "classical" is sqrt(2 ln(1.25 / delta)) / epsilon (Dwork & Roth 2014, theorem A.1,
    proved for epsilon < 1 and wrong for large epsilon); "analytic" is the smallest that will do
    (Balle & Wang 2018). ``epsilon`` = inf gives 0.

    Raises ValueError for ``epsilon`` that is not positive (analytic: above 500), ``delta`` outside
    (0, 1) or an unknown ``kind``.

    >>> round(gaussian_scale(1.0, 1e-5), 6), round(gaussian_scale(1.0, 1e-5, "analytic"), 6)
    (4.844805, 3.730632)
    """
    epsilon = check_epsilon("epsilon", epsilon, allow_inf=True)
    delta = inside("delta", delta, 0.0, 1.0)
    if choice("kind", kind, ("classical", "analytic")) == "classical":
        return float(classical_scale(epsilon, delta))
    if MAX_ANALYTIC_EPSILON < epsilon < math.inf:
        raise ValueError(
            f"epsilon must be at most {MAX_ANALYTIC_EPSILON:g} for the analytic scale, "
            f"got {epsilon!r}"
        )
    return float(analytic_scale(epsilon, delta))


def check_bounds(low_name: str, low: Any, high_name: str, high: Any) -> tuple[float, float]:
    """The public bounds of a reward, as floats: both given, finite, the first below the second."""
    if low is None or high is None:
        raise ValueError(
            f"{low_name} and {high_name} must both be given: the least and the largest reward that "
            "there can be, known without a look at the rewards"
        )
    low, high = number(low_name, low), number(high_name, high)
    if not low < high or high - low == math.inf:
        raise ValueError(f"{low_name} must be below {high_name}, got {low:g} and {high:g}")
    return low, high


def check_epsilon(name: str, value: Any, allow_inf: bool = False, discrete: bool = False) -> float:
    """``value`` as a float above 0; inf, for no privacy, passes if ``allow_inf``.

    With ``discrete`` a finite one must lie in `DISCRETE_EPSILON`.
    """
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, got {value!r}") from None
    if allow_inf and result == math.inf:
        return result
    if not 1e-300 <= result < math.inf:  # below, the noise is not finite
        allowed = "positive (inf: no privacy)" if allow_inf else "positive and finite"
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    low, high = DISCRETE_EPSILON
    if discrete and not low <= result <= high:
        raise ValueError(
            f"{name} must lie in [{low:g}, {high:g}] for the exact discrete noise, got {value!r}"
        )
    return result
