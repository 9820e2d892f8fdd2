"""The random-number layer: its generator, its streams, its samplers, and its bits."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from banditlab import random
from banditlab.core import kernel

SIZE = 400_000
LEVEL = 1e-4  # a test fails by chance this often; seeds are fixed, so it then fails always
KEY = random.key(20240501)
MASK = 2**64 - 1


@cache
def filler(draw):
    @kernel
    def fill(rng, params, out):
        for i in range(out.size):
            out[i] = draw(rng, *params)

    return fill


def sample(draw, *params, size=SIZE, replication=0, dtype=np.float64):
    out = np.empty(size, dtype)
    filler(draw)(random.stream(KEY, replication, random.AGENT), params, out)
    return out


def p_value(values, law, edges):
    """Chi-square test of `values` against the frozen SciPy `law` on (edges[i], edges[i + 1]]."""
    edges = np.concatenate([[-np.inf], np.unique(edges), [np.inf]])
    mass = np.diff(law.cdf(edges))
    counts = np.diff(np.searchsorted(np.sort(values), edges, side="right"))
    assert counts[mass == 0].sum() == 0
    # Fold the cells that are too thin for the chi-square approximation into one.
    thin = mass * values.size < 10
    if thin.any():
        mass = np.append(mass[~thin], mass[thin].sum())
        counts = np.append(counts[~thin], counts[thin].sum())
    if mass[-1] * values.size < 1e-3:
        assert counts[-1] == 0
        mass, counts = mass[:-1], counts[:-1]
    return stats.chisquare(counts, values.size * mass / mass.sum()).pvalue


# --- the generator and its streams --------------------------------------------------------------


def splitmix_reference(state):
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def xoshiro_reference(state):
    def rotate(x, k):
        return ((x << k) | (x >> (64 - k))) & MASK

    s = list(state)
    while True:
        yield (rotate((s[0] + s[3]) & MASK, 23) + s[0]) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotate(s[3], 45)


def test_splitmix_is_splitmix64():
    # Published outputs for the seed 1234567.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    out = np.empty(3, np.uint64)
    random.fill_splitmix(np.uint64(1234567), out)
    assert out.tolist() == published
    for start in (0, 1, MASK, 0x8000000000000000, 987654321987654321):
        out = np.empty(50, np.uint64)
        random.fill_splitmix(np.uint64(start), out)
        reference = splitmix_reference(start)
        assert out.tolist() == [next(reference) for _ in range(50)]


def test_words_are_xoshiro256_plus_plus():
    # Published outputs for the state 1, 2, 3, 4.
    rng = np.array([1, 2, 3, 4], np.uint64)
    published = [41943041, 58720359, 3588806011781223, 3591011842654386, 9228616714210784205]
    assert [int(random.next_word(rng)) for _ in range(5)] == published
    for replication in range(5):
        rng = random.stream(KEY, replication, random.NATURE)
        reference = xoshiro_reference(rng.tolist())
        words = np.empty(5000, np.uint64)
        filler(random.next_word)(rng, (), words)
        assert words.tolist() == [next(reference) for _ in range(5000)]


def test_key_is_numpys_seed_sequence():
    assert random.key(7).tolist() == np.random.SeedSequence(7).generate_state(2, "u8").tolist()
    assert random.key(7).dtype == np.uint64
    assert random.key([7, 8]).tolist() != random.key(7).tolist()


def test_streams_are_distinct():
    replications = [*range(3000), 2**31, 2**32, 2**32 + 1, 2**40, 2**61]
    streams = {
        random.stream(KEY, replication, who).tobytes() for replication in replications
        for who in (random.NATURE, random.AGENT, random.OBSERVATION)
    }  # fmt: skip
    assert len(streams) == 3 * len(replications)
    first_words = {np.frombuffer(s, np.uint64)[0] for s in streams}
    assert len(first_words) == len(streams)
    other = random.stream(random.key(1), 0, random.NATURE).tobytes()
    assert other not in streams


def test_fill_stream_is_stream():
    out = np.zeros(4, np.uint64)
    random.fill_stream(KEY, 12, random.OBSERVATION, out)
    assert out.tolist() == random.stream(KEY, 12, random.OBSERVATION).tolist()


@pytest.mark.parametrize("replication", [0, 1, 12, 2**31, 2**61])
@pytest.mark.parametrize("who", [random.NATURE, random.AGENT, random.OBSERVATION])
def test_streams_in_plain_integers(replication, who):
    """No release may change them: every committed curve is drawn from these."""

    def mixed(z):
        return next(splitmix_reference((z - 0x9E3779B97F4A7C15) & MASK))

    one, two = (int(part) for part in KEY)
    start = (mixed(mixed(4 * replication + int(who)) ^ two) + one) & MASK
    reference = splitmix_reference(start)
    found = random.stream(KEY, replication, who)
    assert found.tolist() == [next(reference) for _ in range(4)]
    several = random.streams(KEY, replication - 1, who, 3) if replication else found[:, None]
    assert several[:, -2 if replication else 0].tolist() == found.tolist()


def test_neighbouring_streams_are_uncorrelated():
    n = 20_000
    u = np.array([
        random_uniforms(random.stream(KEY, number // 3, number % 3), n) for number in range(60)
    ])  # fmt: skip
    z = (u - 0.5) * np.sqrt(12.0)
    correlation = z @ z.T / n
    off_diagonal = correlation[np.triu_indices(60, 1)] * np.sqrt(n)
    assert np.abs(off_diagonal).max() < 5.0  # 1770 standard normals
    assert stats.kstest(off_diagonal, "norm").pvalue > LEVEL


def random_uniforms(rng, n):
    out = np.empty(n)
    filler(random.uniform)(rng, (), out)
    return out


def test_first_draws_of_successive_replications_are_independent():
    u = np.array([random.uniform(random.stream(KEY, r, random.NATURE)) for r in range(50_000)])
    assert stats.kstest(u, "uniform").pvalue > LEVEL
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 4.0 / np.sqrt(u.size)


def test_fork_uses_one_word():
    rng = random.stream(KEY, 3, random.NATURE)
    twin = rng.copy()
    local = random.fork(rng)
    word = random.next_word(twin)
    assert rng.tolist() == twin.tolist()
    reference = splitmix_reference(int(word))
    assert local.tolist() == [next(reference) for _ in range(4)]


@pytest.mark.parametrize(
    ("draw", "params"),
    [
        (random.uniform, ()), (random.uniform_open, ()), (random.exponential, ()),
        (random.laplace, ()), (random.below, (7,)), (random.categorical, (np.ones(5),)),
        (random.binomial, (5, 0.3)), (random.binomial, (0, 0.3)), (random.binomial, (5, 0.0)),
    ],
)  # fmt: skip
def test_one_word_per_draw(draw, params):
    rng = random.stream(KEY, 4, random.NATURE)
    twin = rng.copy()
    for _ in range(100):
        draw(rng, *params)
        random.next_word(twin)
    assert rng.tolist() == twin.tolist()


# --- distributions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draw", "params", "law"),
    [
        (random.uniform, (), stats.uniform()),
        (random.uniform_open, (), stats.uniform()),
        (random.normal, (), stats.norm()),
        (random.exponential, (), stats.expon()),
        (random.laplace, (), stats.laplace()),
        (random.gamma, (0.05,), stats.gamma(0.05)),
        (random.gamma, (0.5,), stats.gamma(0.5)),
        (random.gamma, (1.0,), stats.gamma(1.0)),
        (random.gamma, (30.0,), stats.gamma(30.0)),
        (random.beta, (3.0, 5.0), stats.beta(3.0, 5.0)),
        (random.beta, (0.5, 4.0), stats.beta(0.5, 4.0)),
        (random.beta, (4.0, 0.5), stats.beta(4.0, 0.5)),
        (random.beta, (2000.0, 1.0), stats.beta(2000.0, 1.0)),
    ],
)  # fmt: skip
def test_continuous(draw, params, law):
    values = sample(draw, *params)
    assert stats.kstest(values, law.cdf).pvalue > LEVEL
    # Kolmogorov-Smirnov is weak in the tails; equal cells there make up for it.
    tails = np.array([1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 0.5])
    assert p_value(values, law, np.concatenate([law.ppf(tails), law.isf(tails)])) > LEVEL


def test_the_tests_can_fail():
    z = sample(random.normal)
    assert stats.kstest(z, "norm").pvalue > LEVEL
    assert stats.kstest(1.02 * z, "norm").pvalue < LEVEL
    assert stats.kstest(z + 0.01, "norm").pvalue < LEVEL
    k = sample(random.binomial, 1000, 0.3, dtype=np.int64)
    edges = stats.binom(1000, 0.3).ppf(np.linspace(0.001, 0.999, 60))
    assert p_value(k, stats.binom(1000, 0.3), edges) > LEVEL
    assert p_value(k, stats.binom(1000, 0.3005), edges) < LEVEL


def test_uniform_stays_in_range():
    u = sample(random.uniform)
    v = sample(random.uniform_open)
    assert 0.0 <= u.min() and u.max() < 1.0 and 0.0 < v.min() and v.max() < 1.0
    all_zeros = np.zeros(4, np.uint64)  # the extreme words, which no stream will show us
    all_ones = np.array([0, 0, 0, MASK], np.uint64)
    assert random.uniform(all_zeros.copy()) == 0.0
    assert random.uniform_open(all_zeros.copy()) == 2.0**-53
    assert random.uniform(all_ones.copy()) == 1.0 - 2.0**-53
    assert random.uniform_open(all_ones.copy()) == 1.0 - 2.0**-53
    for n in (1, 3, 10, 2**31 - 1, 2**53 - 1, 2**53):
        assert random.below(all_ones.copy(), n) == n - 1
        assert random.below(all_zeros.copy(), n) == 0


def test_normal_tails():
    z = sample(random.normal, size=4_000_000)
    for threshold in (3.0, 3.7, 4.2):
        for beyond in (z > threshold, z < -threshold):
            mean = z.size * stats.norm.sf(threshold)
            assert abs(beyond.sum() - mean) < 4.0 * np.sqrt(mean)


def test_normal_beyond_the_last_layer():
    tail = sample(random._normal_tail)
    law = stats.truncnorm(random.ZIGGURAT_R, np.inf)
    assert stats.kstest(tail, law.cdf).pvalue > LEVEL


@pytest.mark.parametrize(("a", "b"), [(0.02, 0.03), (0.02, 3.0), (0.5, 0.5)])
def test_beta_with_tiny_parameters(a, b):
    values = sample(random.beta, a, b)
    assert values.min() >= 0.0 and values.max() <= 1.0
    left = 10.0 ** -np.array([200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0])
    right = 1.0 - 10.0 ** -np.array([1.0, 2.0, 5.0, 10.0, 15.0])
    assert p_value(values, stats.beta(a, b), np.concatenate([left, [0.3, 0.7], right])) > LEVEL


@pytest.mark.parametrize(("a", "b"), [(1e-3, 1e-3), (1e-5, 2e-5), (1e-3, 50.0), (50.0, 1e-3)])
def test_beta_is_never_nan(a, b):
    values = sample(random.beta, a, b)
    assert not np.isnan(values).any()
    law = stats.beta(a, b)
    assert abs(values.mean() - law.mean()) < 4.0 * law.std() / np.sqrt(SIZE)


@pytest.mark.parametrize(
    ("n", "p"),
    [
        (1, 0.5), (5, 0.3), (19, 0.5), (20, 0.5), (40, 0.5), (40, 0.8), (1000, 0.3), (1000, 0.003),
        (10**6, 0.999), (10**9, 0.4), (10**9, 5e-9), (10**9, 2e-8), (10**12, 0.7),
    ],
)  # fmt: skip
def test_binomial(n, p):
    values = sample(random.binomial, n, p, dtype=np.int64)
    law = stats.binom(n, p)
    assert values.min() >= 0 and values.max() <= n
    tails = np.array([1e-4, 1e-3])
    quantiles = np.concatenate([tails, np.linspace(0.01, 0.99, 60), 1.0 - tails])
    assert p_value(values, law, law.ppf(quantiles)) > LEVEL


def test_binomial_at_the_ends():
    rng = random.stream(KEY, 0, 0)
    for n in (0, 1, 50, 10**9):
        assert random.binomial(rng, n, 0.0) == 0
        assert random.binomial(rng, n, 1.0) == n
    assert random.binomial(rng, 0, 0.5) == 0
    assert isinstance(random.binomial(rng, 50, 0.5), int)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1000])
def test_below(n):
    values = sample(random.below, n, dtype=np.int64)
    assert stats.chisquare(np.bincount(values, minlength=n)).pvalue > LEVEL or n == 1
    assert values.min() == 0 and values.max() == n - 1


def test_categorical():
    weights = np.array([0.0, 3.0, 0.0, 0.5, 1e-3, 0.0, 2.5, 0.0])
    counts = np.bincount(sample(random.categorical, weights, dtype=np.int64), minlength=8)
    assert (counts[weights == 0] == 0).all()
    shares = weights[weights > 0] / weights.sum()
    assert stats.chisquare(counts[weights > 0], SIZE * shares).pvalue > LEVEL


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e300, 5e-324, 0.1, 1.0 / 3.0])
def test_categorical_never_returns_a_weight_of_zero(scale):
    weights = scale * np.array([0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    for word in (0, MASK, MASK - 2**11, 2**63, 2**62):
        index = random.categorical(np.array([0, 0, 0, invert_rotation(word)], np.uint64), weights)
        assert weights[index] > 0.0
    assert (weights[sample(random.categorical, weights, size=10_000, dtype=np.int64)] > 0).all()


def test_categoricals_are_categorical_of_every_column():
    lanes, n = 200, 7
    rngs = random.streams(KEY, 0, random.AGENT, lanes)
    # Words at both ends, where the target is 0 or next to the total.
    for lane, word in enumerate((0, MASK, MASK - 2**11)):
        rngs[:, lane] = (0, 0, 0, invert_rotation(word))
    source = np.random.default_rng(1)
    weights = source.random((n, lanes)).T * (source.random((n, lanes)).T < 0.6)
    weights[:, 3] += weights.sum(axis=1) == 0.0  # no lane without a weight
    weights[:3, 0] = 0.0
    weights[1:3] = 5e-324 * np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0])  # the target: the total
    one_by_one = rngs.copy()
    spare = tuple(np.full(lanes, junk) for junk in (np.nan, 1e9, -1e9))
    out = np.full(lanes, 5)
    random.categoricals(rngs, weights, spare, out)
    for lane in range(lanes):
        rng = one_by_one[:, lane].copy()
        assert out[lane] == random.categorical(rng, weights[lane])
        assert (rng == rngs[:, lane]).all()


def invert_rotation(word):
    """The s3 for which the state 0, 0, 0, s3 shows `word` next."""
    return ((word >> 23) | (word << 41)) & MASK


@kernel
def shuffled_code(rng):
    values = np.arange(4)
    random.shuffle(rng, values)
    return ((values[0] * 4 + values[1]) * 4 + values[2]) * 4 + values[3]


def test_shuffle():
    counts = np.bincount(sample(shuffled_code, dtype=np.int64), minlength=256)
    assert (counts > 0).sum() == 24
    assert stats.chisquare(counts[counts > 0]).pvalue > LEVEL
    values = np.arange(1000.0)
    random.shuffle(random.stream(KEY, 0, 0), values)
    assert sorted(values) == list(range(1000)) and (values != np.arange(1000)).sum() > 950
    random.shuffle(random.stream(KEY, 0, 0), values[:0])
    random.shuffle(random.stream(KEY, 0, 0), values[:1])


@kernel
def forked_beta(rng, a, b):
    return random.beta(random.fork(rng), a, b)


def test_forked_streams_are_independent():
    values = sample(forked_beta, 3.0, 5.0)
    assert stats.kstest(values, stats.beta(3.0, 5.0).cdf).pvalue > LEVEL
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 4.0 / np.sqrt(SIZE)


# --- the same bits without the compiler ---------------------------------------------------------


def every_draw():
    """Some draws of every sampler, enough to pass through each of its branches."""
    draws = {
        "word": sample(random.next_word, size=2000, dtype=np.uint64),
        "normal": sample(random.normal, size=20_000),
        "shuffle": sample(shuffled_code, size=200, dtype=np.int64),
        "fork": sample(forked_beta, 0.7, 1.2, size=500),
        "streams": np.array([random.stream(KEY, r, r % 3) for r in range(500)]),
        "key": KEY,
        "tables": np.concatenate([random.EDGES, random.HEIGHTS]),
        "categorical": sample(random.categorical, np.arange(9.0), size=500, dtype=np.int64),
    }
    for draw in (random.uniform, random.uniform_open, random.exponential, random.laplace):
        draws[draw.__name__] = sample(draw, size=2000)
    for n in (1, 10, 2**53):
        draws[f"below {n}"] = sample(random.below, n, size=500, dtype=np.int64)
    for shape in (0.001, 0.05, 0.5, 1.0, 30.0):
        draws[f"gamma {shape}"] = sample(random.gamma, shape, size=1500)
    for a, b in ((0.001, 0.001), (0.02, 0.03), (0.5, 7.0), (3.0, 5.0), (2000.0, 1.0)):
        draws[f"beta {a} {b}"] = sample(random.beta, a, b, size=1000)
    for n, p in ((0, 0.5), (5, 0.3), (5, 1.0), (40, 0.5), (10**6, 0.999), (10**9, 0.4), (19, 0.5)):
        draws[f"binomial {n} {p}"] = sample(random.binomial, n, p, size=1000, dtype=np.int64)
    return draws


PLAIN = """
import sys, numpy as np
import {module}
np.savez(sys.argv[1], **{module}.{function}())
"""


def without_jit(module, function, folder):
    """What `function` of the test module returns with NUMBA_DISABLE_JIT=1."""
    here = Path(__file__).parent
    paths = [str(here.parent), str(here), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(paths)}
    program = PLAIN.format(module=module, function=function)
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", program, folder / "plain.npz"]
    subprocess.run(command, env=environment, cwd=folder, check=True)
    return np.load(folder / "plain.npz")


def test_plain_python_gives_the_same_bits(tmp_path):
    compiled = every_draw()
    plain = without_jit("test_random", "every_draw", tmp_path)
    assert set(plain.files) == set(compiled)
    for name, values in compiled.items():
        assert np.array_equal(values, plain[name]), name
    assert np.abs(compiled["normal"]).max() > random.ZIGGURAT_R  # the tail was visited


@pytest.mark.parametrize("shape", [1.0, 7 / 6, 40.0])
def test_many_gammas_of_one_shape_are_the_same_gammas(shape):
    """Bit for bit, and the stream goes on from the same place."""
    one, other = (random.stream(KEY, 3, random.AGENT) for _ in range(2))
    out = np.zeros(500)
    random.gammas(one, shape, out)
    assert out.tolist() == [random.gamma(other, shape) for _ in range(500)]
    assert random.next_word(one) == random.next_word(other)


def test_uniforms_side_by_side_have_the_bits_of_uniform():
    source = np.random.default_rng(4)
    words = [0, 2**11, 2**12, 2**64 - 1, *map(int, source.integers(0, 2**64, 50, np.uint64))]
    for word in map(np.uint64, words):
        assert random.to_uniform_by_bits(word) == (int(word) >> 11) / 2**53
    rngs, out = random.streams(KEY, 0, 1, 20), np.empty(20)
    alone = [random.stream(KEY, lane, 1) for lane in range(20)]
    for _ in range(10):
        random.uniforms(rngs, out)
        assert np.array_equal(out, [random.uniform(rng) for rng in alone])
