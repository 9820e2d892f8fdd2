"""Random numbers: xoshiro256++ streams and samplers, compiled or plain Python with the same bits.

A stream ``rng`` is a ``uint64[4]`` array that every draw advances in place. `key` turns a seed
into a key once per run; ``stream(key, replication, who)`` is then the stream of one party in one
replication. Three parties draw, so that what an agent draws cannot disturb nature::

    rng = random.stream(random.key(2024), replication, random.NATURE)
    u = random.uniform(rng)

`uniform`, `uniform_open`, `below`, `exponential`, `laplace` and `categorical` use exactly one
word. `normal` uses a varying number, but one that no argument influences. `gamma`, `beta` and
`binomial` use a number that depends on their parameters: draw them from ``fork(rng)`` wherever two
runs should stay in step. Parameters are not checked.

Integer constants are np.uint64 throughout: in Numba, ``uint64 + 1`` is not a uint64. None of this
is fit for cryptography or for private releases.

One file, though long: it is all the luck there is, and every sampler stands on those above it.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from banditlab import numeric
from banditlab.core import jit_disabled, kernel, kernel_in_loop, kernel_inline

# No plain ints: for each of those the compiler would make `stream` and `fill_stream` anew.
NATURE = np.int64(0)
AGENT = np.int64(1)
OBSERVATION = np.int64(2)  # what is looked at, or a behaviour policy

TWO = np.uint64(2)
# splitmix64 (Steele, Lea & Flood 2014; constants of Vigna's splitmix64.c)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)
SHIFT_27, SHIFT_30, SHIFT_31 = np.uint64(27), np.uint64(30), np.uint64(31)
# xoshiro256++
SHIFT_17, SHIFT_19, SHIFT_23 = np.uint64(17), np.uint64(19), np.uint64(23)
SHIFT_41, SHIFT_45 = np.uint64(41), np.uint64(45)
# words to floats
SHIFT_11, SHIFT_12 = np.uint64(11), np.uint64(12)
LAYER_MASK, ONE = np.uint64(255), np.uint64(1)
TO_53_BITS = 1.0 / 9007199254740992.0
TO_52_BITS = 1.0 / 4503599627370496.0
TWO_52 = 4503599627370496.0
TWO_52_BITS = np.uint64(0x4330000000000000)
LAST_BIT = np.uint64(0x3CA0000000000000)  # the bits of 2**-53
TO_SIGNED = 1.0 / 2251799813685248.0


def wraps_around(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of a kernel whose uint64 arithmetic is meant to wrap around: plain Python does not warn."""
    return np.errstate(over="ignore")(function) if jit_disabled() else function


# --- streams ------------------------------------------------------------------------------------


def key(seed):
    """The uint64[2] key of a run: `seed` is whatever np.random.SeedSequence takes."""
    return np.random.SeedSequence(seed).generate_state(2, np.uint64)


@kernel
def mix(z):
    """The output function of splitmix64, a bijection of uint64 that scatters near arguments."""
    z = (z ^ (z >> SHIFT_30)) * MIX_1
    z = (z ^ (z >> SHIFT_27)) * MIX_2
    return z ^ (z >> SHIFT_31)


@wraps_around
@kernel
def fill_splitmix(start, out):
    """Fill `out` with the splitmix64 outputs that follow the state `start`.

    As `mix` is a bijection the words differ, so that `out` is never xoshiro's forbidden all-zero.
    """
    for i in range(out.size):
        start = start + GOLDEN
        out[i] = mix(start)


@wraps_around
@kernel
def fill_stream(key, replication, who, out):
    """Write ``stream(key, replication, who)`` into `out`, a uint64[4].

    Every step from (replication, who) to the start of splitmix64 is a bijection, so under one
    key no two streams (replication < 2**62) start alike.
    """
    number = (np.uint64(replication) << TWO) | np.uint64(who)
    fill_splitmix(mix(mix(number) ^ key[1]) + key[0], out)


@kernel
def stream(key, replication, who):
    """The stream of party `who` (`NATURE`, `AGENT` or `OBSERVATION`) in one replication."""
    rng = np.empty(4, np.uint64)
    fill_stream(key, replication, who, rng)
    return rng


@kernel
def fork(rng):
    """A new stream, seeded by exactly one word of `rng`."""
    local = np.empty(4, np.uint64)
    fill_splitmix(next_word(rng), local)
    return local


@wraps_around
@kernel_inline
def advance(s0, s1, s2, s3):
    """The next word of xoshiro256++ (Blackman & Vigna 2021), and the state behind it."""
    total = s0 + s3
    word = ((total << SHIFT_23) | (total >> SHIFT_41)) + s0
    t = s1 << SHIFT_17
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= t
    s3 = (s3 << SHIFT_45) | (s3 >> SHIFT_19)
    return word, s0, s1, s2, s3


@kernel
def next_word(rng):
    """The next 64 random bits."""
    word, rng[0], rng[1], rng[2], rng[3] = advance(rng[0], rng[1], rng[2], rng[3])
    return word


# --- many streams at once -----------------------------------------------------------------------


@kernel
def streams(key, first, who, count):
    """``stream(key, first + l, who)`` in the columns l of a uint64[4, count]."""
    rngs = np.empty((4, count), np.uint64)
    for lane in range(count):
        fill_stream(key, first + lane, who, rngs[:, lane])
    return rngs


@kernel_in_loop
def uniforms(rngs, out):
    """`uniform` of every column of `rngs`: one word each."""
    for lane in range(out.size):
        word, s0, s1, s2, s3 = advance(rngs[0, lane], rngs[1, lane], rngs[2, lane], rngs[3, lane])
        rngs[0, lane], rngs[1, lane], rngs[2, lane], rngs[3, lane] = s0, s1, s2, s3
        out[lane] = to_uniform_by_bits(word)


@kernel
def normals(rngs, out):
    """`normal` of every column of `rngs`."""
    rng = np.empty(4, np.uint64)
    for lane in range(out.size):
        for i in range(4):
            rng[i] = rngs[i, lane]
        out[lane] = normal(rng)
        for i in range(4):
            rngs[i, lane] = rng[i]


# --- uniform, integers, choices -----------------------------------------------------------------


@kernel_inline
def to_uniform(word):
    """A word as a multiple of 2**-53 in [0, 1)."""
    return np.int64(word >> SHIFT_11) * TO_53_BITS


@kernel_inline
def to_uniform_by_bits(word):
    """`to_uniform` without a conversion: AVX2 has none of four integers of 64 bits at a time."""
    high = np.int64((word >> SHIFT_12) | TWO_52_BITS).view(np.float64) - TWO_52
    low = np.int64(((word >> SHIFT_11) & ONE) * LAST_BIT).view(np.float64)
    return high * TO_52_BITS + low


@kernel
def uniform(rng):
    """Uniform on [0, 1): a multiple of 2**-53; one word."""
    return to_uniform(next_word(rng))


@kernel_inline
def to_uniform_open(word):
    """A word as an odd multiple of 2**-53 in (0, 1)."""
    return (np.int64(word >> SHIFT_12) + 0.5) * TO_52_BITS


@kernel
def uniform_open(rng):
    """Uniform on (0, 1): an odd multiple of 2**-53, so log(u) and log(1 - u) exist; one word."""
    return to_uniform_open(next_word(rng))


@kernel
def below(rng, n):
    """Uniform on 0, ..., n - 1 for 1 <= n <= 2**53; one word.

    The probability of each value is off by less than 2**-53, that is n / 2**53 of itself.
    """
    return min(int(math.floor(uniform(rng) * n)), n - 1)


@kernel
def categorical(rng, weights):
    """An index drawn in proportion to `weights` (non-negative, positive finite sum); one word.

    An index of weight 0 is never returned.
    """
    total = 0.0
    for i in range(weights.size):
        total += weights[i]
    target = uniform(rng) * total
    reached = 0.0
    last = 0
    for i in range(weights.size):
        if weights[i] > 0.0:
            reached += weights[i]
            last = i
            if target < reached:
                return i
    return last  # target < total by rounding, unless the sum is subnormal


@kernel_in_loop
def row_sums(values, out):
    """The sum of each row of `values`, from left to right."""
    for row in range(out.size):
        out[row] = 0.0
    for i in range(values.shape[1]):
        for row in range(out.size):
            out[row] += values[row, i]


@kernel_in_loop
def categoricals(rngs, weights, spare, out):
    """`categorical` of every column of `rngs`, with the rows of `weights` (lanes, n).

    `spare` holds at least three float64 arrays (lanes,), whatever is in them.
    """
    target, reached, total = spare[0], spare[1], spare[2]
    uniforms(rngs, target)
    row_sums(weights, total)
    for lane in range(out.size):
        target[lane] *= total[lane]
        reached[lane] = 0.0
        out[lane] = 0
    for i in range(weights.shape[1]):
        for lane in range(out.size):
            weight = weights[lane, i]
            # The last index met of positive weight, until the target is within reach.
            out[lane] = i if (weight > 0.0) & (target[lane] >= reached[lane]) else out[lane]
            reached[lane] += weight


@kernel
def shuffle(rng, values):
    """Shuffle a one-dimensional array in place (Fisher-Yates); one word per element but one."""
    for i in range(values.size - 1, 0, -1):
        j = below(rng, i + 1)
        values[i], values[j] = values[j], values[i]


# --- exponential, Laplace, normal ---------------------------------------------------------------


@kernel
def exponential(rng):
    """Exponential with mean 1; one word. The largest value is 36.7."""
    return -numeric.log(uniform_open(rng))


@kernel
def laplace(rng):
    """Laplace (double exponential) with mean 0 and scale 1, hence variance 2; one word."""
    u = uniform_open(rng)
    log_tail = numeric.log(2.0 * min(u, 1.0 - u))
    return log_tail if u < 0.5 else -log_tail


ZIGGURAT_R = 3.6541528853610088  # where the tail begins
ZIGGURAT_AREA = 0.004928673233974658  # of each of the 256 layers, for the density exp(-x*x/2)


def _ziggurat():
    """Right edges of the layers from the bottom up, and the density at these edges.

    Computed by our own log and exp, undecorated: the same tables on every machine.
    """
    log = getattr(numeric.log, "py_func", numeric.log)
    exp = getattr(numeric.exp, "py_func", numeric.exp)
    edges = np.zeros(257)
    edges[0] = ZIGGURAT_AREA / exp(-0.5 * ZIGGURAT_R * ZIGGURAT_R)  # as if the tail were a box
    edges[1] = ZIGGURAT_R
    for i in range(2, 256):
        x = edges[i - 1]
        edges[i] = math.sqrt(-2.0 * log(ZIGGURAT_AREA / x + exp(-0.5 * x * x)))
    return edges, np.array([exp(-0.5 * x * x) for x in edges])


EDGES, HEIGHTS = _ziggurat()


@kernel_in_loop
def normal(rng):
    """Standard normal by the ziggurat of Marsaglia & Tsang (2000), 256 layers; one word in 98.8 %.

    Eight bits choose the layer and 52 others the place in it (the original shares bits).
    """
    word = next_word(rng)
    layer = word & LAYER_MASK
    z = _signed(word) * EDGES[layer]
    if abs(z) < EDGES[layer + ONE]:
        return z
    return _normal_slow(rng, word)


@kernel_inline
def _signed(word):
    """The upper 52 bits of a word as a float in (-1, 1), symmetric and never 0."""
    return (np.int64(word >> SHIFT_12) + 0.5) * TO_SIGNED - 1.0


@kernel
def _normal_slow(rng, word):
    """The whole ziggurat. Apart from `normal`, so that its common path is short."""
    while True:
        layer = word & LAYER_MASK
        u = _signed(word)
        z = u * EDGES[layer]
        if abs(z) < EDGES[layer + ONE]:
            return z
        if layer == np.uint64(0):
            return _normal_tail(rng) if u > 0.0 else -_normal_tail(rng)
        low, high = HEIGHTS[layer], HEIGHTS[layer + ONE]
        if low + uniform(rng) * (high - low) < numeric.exp(-0.5 * z * z):
            return z
        word = next_word(rng)


@kernel
def _normal_tail(rng):
    """A normal conditioned to exceed ZIGGURAT_R (Marsaglia 1964)."""
    while True:
        x = exponential(rng) / ZIGGURAT_R
        y = exponential(rng)
        if y + y > x * x:
            return ZIGGURAT_R + x


# --- gamma, beta, binomial ----------------------------------------------------------------------


@kernel
def gamma(rng, shape):
    """Gamma with the given shape > 0 and scale 1 (Marsaglia & Tsang 2000).

    Values below about 1e-304 are raised to it, which matters for shapes below 0.01 only.
    """
    log_boost = 0.0
    if shape < 1.0:
        log_boost = numeric.log(uniform_open(rng)) / shape
        shape = shape + 1.0
    return _gamma_from_one(rng, shape) * numeric.exp(log_boost)


@kernel_inline
def _gamma_from_one(rng, shape):
    """Gamma for shape >= 1: a cubed normal, accepted in more than 95 % of cases."""
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    # `normal` and `uniform_open` on four scalars, written back where another function draws: twice
    # as fast as calling them, and Thompson sampling does little else.
    s0, s1, s2, s3 = rng[0], rng[1], rng[2], rng[3]
    while True:
        word, s0, s1, s2, s3 = advance(s0, s1, s2, s3)
        layer = word & LAYER_MASK
        z = _signed(word) * EDGES[layer]
        if not abs(z) < EDGES[layer + ONE]:
            rng[0], rng[1], rng[2], rng[3] = s0, s1, s2, s3
            z = _normal_slow(rng, word)
            s0, s1, s2, s3 = rng[0], rng[1], rng[2], rng[3]
        v = 1.0 + c * z
        if v <= 0.0:
            continue
        v = v * v * v
        word, s0, s1, s2, s3 = advance(s0, s1, s2, s3)
        u = to_uniform_open(word)
        z2 = z * z
        # The first test spares the logarithms in most cases.
        if u < 1.0 - 0.0331 * z2 * z2 or numeric.log(u) < 0.5 * z2 + d * (1.0 - v + numeric.log(v)):
            rng[0], rng[1], rng[2], rng[3] = s0, s1, s2, s3
            return d * v


@kernel
def gammas(rng, shape, out):
    """Fill `out` with draws of `gamma` for one shape >= 1, bit for bit.

    What depends on the shape alone, a root and a division, is found once for all of them.
    """
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    for i in range(out.size):
        while True:
            z = normal(rng)
            v = 1.0 + c * z
            if v <= 0.0:
                continue
            v = v * v * v
            u = uniform_open(rng)
            z2 = z * z
            if u < 1.0 - 0.0331 * z2 * z2 or numeric.log(u) < 0.5 * z2 + d * (
                1.0 - v + numeric.log(v)
            ):
                out[i] = d * v
                break


@kernel_in_loop
def beta(rng, a, b):
    """Beta(a, b) for a, b > 0, as X / (X + Y) with gamma X and Y; within [0, 1], never nan.

    Tiny parameters are safe: the ratio Y / X is formed from logs, so nothing underflows first.
    """
    if a >= 1.0 and b >= 1.0:
        x = _gamma_from_one(rng, a)
        return x / (x + _gamma_from_one(rng, b))
    return _beta_below_one(rng, a, b)


@kernel
def _beta_below_one(rng, a, b):
    """`beta` with a parameter below 1. Apart from it, so that the common path is short."""
    log_ratio = 0.0
    if a < 1.0:
        log_ratio -= numeric.log(uniform_open(rng)) / a
        a = a + 1.0
    if b < 1.0:
        log_ratio += numeric.log(uniform_open(rng)) / b
        b = b + 1.0
    x = gamma(rng, a)
    y = gamma(rng, b)
    return 1.0 / (1.0 + y / x * numeric.exp(log_ratio))


@kernel
def binomial(rng, n, p):
    """Successes among `n` trials of probability `p`: int64, for 0 <= n <= 2**53, 0 <= p <= 1."""
    q = min(p, 1.0 - p)
    if n * q < 10.0:
        k = _binomial_inversion(rng, n, q)
    else:
        k = _binomial_rejection(rng, n, q)
    return n - k if p > 0.5 else k


@kernel
def _binomial_inversion(rng, n, p):
    """Binomial for p <= 1/2 and n * p < 10: walk up the distribution function; one word."""
    odds = p / (1.0 - p)
    first = numeric.exp(n * numeric.log1p(-p))
    while True:
        u = uniform(rng)
        mass = first
        for k in range(min(n, 110) + 1):
            if u < mass:
                return k
            u -= mass
            mass *= odds * (n - k) / (k + 1.0)
        # Here only by rounding, with probability below 1e-14: draw again.


@kernel
def _binomial_rejection(rng, n, p):
    """Binomial for p <= 1/2 and n * p >= 10: BTRS of Hormann (1993).

    The log of pmf(k) / pmf(mode) is grouped so that large terms do not cancel: it stays exact to
    1e-11 for any n, where the textbook form loses a digit per factor of ten.
    """
    odds = p / (1.0 - p)
    sd = math.sqrt(n * p * (1.0 - p))
    b = 1.15 + 2.53 * sd
    a = -0.0873 + 0.0248 * b + 0.01 * p
    center = n * p + 0.5
    accept = 0.92 - 4.2 / b
    alpha = (2.83 + 5.1 / b) * sd
    mode = math.floor((n + 1.0) * p) * 1.0
    log_slope = numeric.log((mode + 1.0) / (odds * (n - mode + 1.0)))
    tails = numeric.factorial_tail(mode) + numeric.factorial_tail(n - mode)
    while True:
        u = uniform_open(rng) - 0.5
        v = uniform_open(rng)
        s = 0.5 - abs(u)  # positive, for u is never -1/2
        real = (2.0 * a / s + b) * u + center
        if real < 0.0 or real >= n + 1.0:
            continue
        k = math.floor(real)
        if s >= 0.07 and v <= accept:
            return k
        shift = mode - k
        log_pmf = (
            (k + 0.5) * numeric.log1p(shift / (k + 1.0))
            - (n - k + 0.5) * numeric.log1p(shift / (n - mode + 1.0))
            + shift * log_slope
            + (tails - numeric.factorial_tail(k * 1.0) - numeric.factorial_tail(n - k * 1.0))
        )
        if numeric.log(v * alpha / (a / (s * s) + b)) <= log_pmf:
            return k
