"""Noise for private releases: exact laws, scales, and what is refused."""

import math
import random as plain_random
import secrets
from functools import cache

import numpy as np
import pytest
from scipy import stats

from banditlab import random
from banditlab.core import kernel
from banditlab.parts import noise

SIZE = 200_000
LEVEL = 1e-4  # a test fails by chance this often; seeds are fixed, so it then fails always


def stream(replication=0):
    return random.stream(random.key(7), replication, random.AGENT)


@cache
def filler(draw, dtype):
    @kernel
    def fill(rng, arguments, out):
        for i in range(out.size):
            out[i] = draw(rng, *arguments)

    return fill


def sample(draw, *arguments, size=SIZE, dtype=np.float64):
    out = np.empty(size, dtype)
    filler(draw, dtype)(stream(), arguments, out)
    return out


def p_value(counts, probabilities):
    """Chi-square test; cells expected below 10 times are merged into the last."""
    expected = np.asarray(probabilities) * np.sum(counts)
    large = expected >= 10
    met = np.append(np.asarray(counts)[large], np.asarray(counts)[~large].sum())
    due = np.append(expected[large], np.sum(counts) - expected[large].sum())
    return stats.chisquare(met[due > 1e-9], due[due > 1e-9]).pvalue


# --- exact sampling ------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 5, 12])
def test_exact_below_is_uniform(n):
    values = sample(noise.exact_below, n, dtype=np.int64)
    assert values.min() == 0 and values.max() == n - 1
    if n > 1:
        assert p_value(np.bincount(values), np.full(n, 1 / n)) > LEVEL


@pytest.mark.parametrize("bits", [3, 9, 20, 33, 40, 61])
def test_exact_below_reaches_every_bit(bits):
    """One more than a power of two: of its largest value all bits but the first are 0."""
    values = sample(noise.exact_below, 2**bits + 1, size=2000, dtype=np.int64)
    assert values.min() >= 0 and values.max() <= 2**bits
    for bit in range(bits):
        share = np.mean(values >> bit & 1)
        assert abs(share - 0.5) < 5 * 0.5 / np.sqrt(2000) + 2.0**-bits


def test_exact_below_fills_the_largest_range():
    n = 3 * 2**60
    values = sample(noise.exact_below, n, dtype=np.int64)
    assert values.min() >= 0 and values.max() < n
    assert p_value(np.bincount(values // 2**58, minlength=12), np.full(12, 1 / 12)) > LEVEL


@pytest.mark.parametrize(("a", "b"), [(0, 1), (1, 1), (1, 3), (5, 7), (2**59, 2**60)])
def test_bernoulli_of_an_exponential(a, b):
    met = sample(noise.exact_bernoulli_exp, a, b).sum()
    assert stats.binomtest(int(met), SIZE, math.exp(-a / b)).pvalue > LEVEL


@pytest.mark.parametrize(("s", "t"), [(2, 5), (7, 3), (1, 1), (1, 40), (2**52, 2**52), (3, 2**4)])
def test_discrete_laplace_has_its_law(s, t):
    values = sample(noise.discrete_laplace, s, t, dtype=np.int64)
    law = stats.dlaplace(s / t)
    reach = int(law.ppf(1 - 1e-6)) + 1
    counts = np.bincount(np.clip(values, -reach, reach) + reach, minlength=2 * reach + 1)
    grid = np.arange(-reach, reach + 1)
    assert p_value(counts, law.pmf(grid)) > LEVEL


def test_the_law_that_the_spec_checked():
    law = stats.dlaplace(2 / 5)
    assert law.var() == pytest.approx(12.33, abs=5e-3)
    assert law.pmf(0) == pytest.approx(0.1974, abs=5e-5)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 1000.0, 2.0**-20])
def test_discrete_laplace_at_full_scale(epsilon):
    # Scale 2**20 / epsilon: the discrete law is the continuous one to 1e-4.
    s = int(epsilon * noise.FRACTION)
    values = sample(noise.discrete_laplace, s, noise.FRACTION * noise.UNITS, dtype=np.int64)
    scaled = values * (epsilon / noise.UNITS)
    edges = stats.laplace.ppf(np.linspace(0, 1, 41)[1:-1])
    counts = np.bincount(np.searchsorted(edges, scaled), minlength=40)
    assert p_value(counts, np.full(40, 1 / 40)) > LEVEL


# --- release -------------------------------------------------------------------------------------


@pytest.mark.parametrize("discrete", [True, False])
def test_without_privacy_nothing_is_drawn(discrete):
    rng = stream()
    before = rng.copy()
    assert noise.release(discrete, rng, 3.0, 7, math.inf) == 3.0 / 7.0
    assert (rng == before).all()


def test_a_discrete_release_is_a_multiple_of_the_grid():
    for replication in range(50):
        value = noise.release(True, stream(replication), 2.5, 8, 0.3)
        assert value * 8 * noise.UNITS == round(value * 8 * noise.UNITS)


def test_one_reward_moves_a_discrete_release_by_one_nth():
    # The same noise on both: sums that differ by a reward of 1 differ in 2**20 units exactly.
    for replication in range(50):
        low = noise.release(True, stream(replication), 4.0, 16, 0.7)
        high = noise.release(True, stream(replication), 5.0, 16, 0.7)
        assert high - low == 1.0 / 16.0


@kernel
def release(rng, discrete, total, n, epsilon):
    return noise.release(discrete, rng, total, n, epsilon)


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize(("n", "epsilon"), [(1, 1.0), (20, 0.25)])
def test_scale_times_n_times_epsilon_is_one(discrete, n, epsilon):
    values = sample(release, discrete, 0.5 * n, n, epsilon) - 0.5
    outside = np.abs(values) * n * epsilon > 1.0
    assert stats.binomtest(int(outside.sum()), SIZE, math.exp(-1)).pvalue > LEVEL
    assert stats.binomtest(int((values > 0).sum()), SIZE, 0.5).pvalue > LEVEL


def test_epsilon_is_rounded_down_and_hardly(monkeypatch):
    """In what the release asks the sampler for."""
    asked = []
    monkeypatch.setattr(noise, "discrete_laplace", lambda rng, *law: asked.append(law) or 0)
    release = getattr(noise.release, "py_func", noise.release)
    for epsilon in (0.1, 0.3, 1.0, math.pi, 2.0**-20, 2.0**10, 1 / 3):
        assert release(True, None, 0.5, 1, epsilon) == 0.5
        s, t = asked[-1]
        exact = s * noise.UNITS / t  # of one reward, which counts for UNITS
        assert epsilon * (1 - 2.0**-20) <= exact <= epsilon and t == noise.FRACTION * noise.UNITS


# --- real releases -------------------------------------------------------------------------------


@pytest.fixture
def reproducible(monkeypatch):
    """`secrets` replaced by a seeded generator: whoever draws elsewhere fails the tests."""
    generator = plain_random.Random(5)
    monkeypatch.setattr(secrets, "randbelow", generator.randrange)


@pytest.mark.parametrize(("s", "t"), [(2, 5), (7, 3), (2**70, 2**70)])
def test_the_secret_sampler_has_the_same_law(reproducible, s, t):
    values = np.array([noise.secret_discrete_laplace(s, t) for _ in range(20_000)])
    law = stats.dlaplace(s / t)
    reach = int(law.ppf(1 - 1e-5)) + 1
    counts = np.bincount(np.clip(values, -reach, reach) + reach, minlength=2 * reach + 1)
    assert p_value(counts, law.pmf(np.arange(-reach, reach + 1))) > LEVEL


def test_release_mean_has_the_right_scale(reproducible):
    rewards = [10.0, 30.0, 20.0, 20.0]
    values = np.array([noise.release_mean(rewards, 0.5, 10.0, 30.0) for _ in range(5000)])
    # Sensitivity 20 / 4, epsilon 1/2: a Laplace law of scale 10 around 20.
    assert stats.kstest(values, stats.laplace(20.0, 10.0).cdf).pvalue > LEVEL
    assert len(set(values)) > 4990


def test_release_mean_draws_anew_every_time():
    assert noise.release_mean([0.5], 0.1, 0, 1) != noise.release_mean([0.5], 0.1, 0, 1)


def test_release_mean_clamps_what_it_may_not_betray(monkeypatch):
    monkeypatch.setattr(noise, "secret_discrete_laplace", lambda s, t: 0)
    values = [-math.inf, -3.0, 0.5, 1.0, 7.0, math.inf]
    assert noise.release_mean(values, 1.0, 0.0, 2.0) == (0.5 + 1 + 2 + 2) / 6


def test_no_refusal_of_release_mean_shows_a_reward():
    for rewards in ([[31415.9]], [31415.9, "x"], [31415.9, math.nan], 31415.9, ["31415.9 EUR"]):
        with pytest.raises(ValueError) as refused:
            noise.release_mean(rewards, 1.0, 0.0, 2.0)
        assert "31415" not in str(refused.value) and str(refused.value).startswith("rewards must")
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([0.5, math.nan], 1.0, 0.0, 1.0), "rewards must be numbers, not nan"),
        (([], 1.0, 0.0, 1.0), "at least 1"),
        (([0.5], 0.0, 0.0, 1.0), "epsilon must be positive"),
        (([0.5], math.inf, 0.0, 1.0), "epsilon must be positive"),
        (([0.5], 1.0, 1.0, 1.0), "low must be below high"),
        (([0.5], 1.0, None, 1.0), "low and high must both be given"),
        (([0.5], 1.0, 0.0, math.inf), "high must be finite"),
    ],
)
def test_release_mean_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        noise.release_mean(*arguments)


# --- scales and checks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epsilon", "delta", "analytic", "classical"),
    [(1.0, 1e-5, 3.730632, 4.844805), (0.5, 1e-5, 7.031827, None), (1, 0.05, 1.332778, 2.537272)],
)
def test_gaussian_scales_of_the_spec(epsilon, delta, analytic, classical):
    assert noise.gaussian_scale(epsilon, delta, "analytic") == pytest.approx(analytic, abs=1e-6)
    if classical is not None:
        assert noise.gaussian_scale(epsilon, delta) == pytest.approx(classical, abs=1e-6)


@pytest.mark.parametrize("epsilon", [0.01, 0.5, 3.0, 40.0])
@pytest.mark.parametrize("delta", [0.3, 1e-3, 1e-9])
def test_the_analytic_scale_solves_its_equation(epsilon, delta):
    scale = noise.gaussian_scale(epsilon, delta, "analytic")

    def lost(s):
        far = epsilon + stats.norm.logcdf(-0.5 / s - epsilon * s)
        return stats.norm.cdf(0.5 / s - epsilon * s) - math.exp(far)

    assert lost(scale) == pytest.approx(delta, rel=1e-6)
    assert lost(0.999 * scale) > delta


def test_classical_noise_is_not_private_for_large_epsilon():
    # The reason for allow_loose: at epsilon 40 it is below the smallest scale that will do.
    assert noise.gaussian_scale(40.0, 1e-3) < noise.gaussian_scale(40.0, 1e-3, "analytic")


def test_no_privacy_needs_no_noise():
    assert noise.gaussian_scale(math.inf, 0.1) == 0.0
    assert noise.gaussian_scale(math.inf, 0.1, "analytic") == 0.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0.0, 0.1), "epsilon must be positive"),
        ((1.0, 0.0), "delta must lie strictly"),
        ((1.0, 1.0), "delta must lie strictly"),
        ((1.0, 0.1, "loose"), "kind must be one of"),
        ((501.0, 0.1, "analytic"), "epsilon must be at most 500"),
    ],
)
def test_gaussian_scale_refuses(arguments, words):
    with pytest.raises(ValueError, match=words):
        noise.gaussian_scale(*arguments)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, -math.inf, 1e-320, "no", None])
def test_check_epsilon_refuses(value):
    with pytest.raises(ValueError, match=r"^eps must be"):
        noise.check_epsilon("eps", value)


def test_check_epsilon_passes():
    assert noise.check_epsilon("eps", 2) == 2.0
    assert noise.check_epsilon("eps", math.inf, allow_inf=True, discrete=True) == math.inf
    assert noise.check_epsilon("eps", 2.0**-20, discrete=True) == 2.0**-20
    for value in (0.9 * 2.0**-20, 1025.0):
        with pytest.raises(ValueError, match="exact discrete noise"):
            noise.check_epsilon("eps", value, discrete=True)
