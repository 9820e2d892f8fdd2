"""Special functions against SciPy, at their stated accuracy, and with the same bits unjitted."""

import math
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import pytest
from scipy import special, stats
from test_random import without_jit

from banditlab import numeric
from banditlab.core import kernel


@cache
def mapper(function):
    @kernel
    def apply(columns, out):
        for i in range(out.size):
            out[i] = function(columns[i, 0])

    @kernel
    def apply_two(columns, out):
        for i in range(out.size):
            out[i] = function(columns[i, 0], columns[i, 1])

    @kernel
    def apply_three(columns, out):
        for i in range(out.size):
            out[i] = function(columns[i, 0], columns[i, 1], columns[i, 2])

    return apply, apply_two, apply_three


def over(function, *columns):
    """`function` of each row of the columns, in one compiled loop."""
    table = np.column_stack(columns)
    out = np.empty(len(table))
    mapper(function)[len(columns) - 1](table, out)
    return out


def relative_error(values, reference):
    return np.abs(np.asarray(values) - reference) / np.abs(reference)


def generator():
    return np.random.default_rng(5)


# --- log, exp, log1p ----------------------------------------------------------------------------


def test_log():
    g = generator()
    wide = np.exp(g.uniform(-700, 700, 200_000))
    near_one = 1.0 + g.normal(size=200_000) * 10.0 ** g.uniform(-16, -1, 200_000)
    seams = np.sqrt(0.5) * 2.0 ** np.arange(-30, 30) * (1.0 + 2.0**-52 * np.arange(-3, 4)[:, None])
    for x in (wide, near_one[(near_one > 0) & (near_one != 1.0)], seams.ravel()):
        assert relative_error(over(numeric.log, x), np.log(x)).max() < 5e-16
    assert numeric.log(1.0) == 0.0
    assert numeric.log(np.finfo(float).tiny) == pytest.approx(np.log(np.finfo(float).tiny))
    assert 0.0 * numeric.log(0.0) == 0.0


def test_exp():
    g = generator()
    x = np.concatenate([g.uniform(-700, 700, 200_000), g.normal(size=100_000), [-700.0, 700.0]])
    assert relative_error(over(numeric.exp, x), np.exp(x)).max() < 5e-16
    assert numeric.exp(0.0) == 1.0
    for beyond in (701.0, 1e5, 1e300, math.inf):
        assert numeric.exp(beyond) == numeric.exp(700.0)
        assert numeric.exp(-beyond) == numeric.exp(-700.0) > 0.0
    assert math.isnan(numeric.exp(math.nan))


def test_log1p():
    g = generator()
    x = np.concatenate([
        np.expm1(-g.exponential(3.0, 100_000)), np.exp(g.uniform(-40, 200, 100_000)),
        -np.exp(g.uniform(-40, -1, 100_000)),
    ])  # fmt: skip
    x = x[x > -1.0]
    assert relative_error(over(numeric.log1p, x), np.log1p(x)).max() < 5e-16


# --- gamma function and normal distribution -----------------------------------------------------


def test_lgamma():
    g = generator()
    x = np.concatenate([
        np.exp(g.uniform(-300, 16, 200_000)), g.uniform(0.01, 20, 100_000), [0.5, 1.5, 2.5, 10.0],
    ])  # fmt: skip
    away = (np.abs(x - 1.0) > 0.03) & (np.abs(x - 2.0) > 0.03)
    # The reference itself is off by 6e-14 here and there.
    assert relative_error(over(numeric.lgamma, x[away]), special.gammaln(x[away])).max() < 1e-13


@pytest.mark.parametrize("zero", [1.0, 2.0])
def test_lgamma_next_to_its_zeros(zero):
    """Where SciPy's relative error is 0.7 %: against Taylor's series (DLMF 5.7.3)."""
    w = np.concatenate([sign * np.exp(generator().uniform(-30, -3.5, 50_000)) for sign in (-1, 1)])
    x = zero + w
    w = x - zero  # exact
    reference = np.zeros_like(w)
    for k in range(14, 1, -1):
        reference = ((-1.0) ** k) * special.zeta(k, zero) / k + w * reference
    reference = w * ((0.0 if zero == 1.0 else 1.0) - np.euler_gamma + w * reference)
    assert relative_error(over(numeric.lgamma, x), reference).max() < 2e-15
    assert numeric.lgamma(zero) == 0.0


def test_stirling_tail():
    x = np.exp(generator().uniform(np.log(1e-3), np.log(60.0), 100_000))
    formula = (x - 0.5) * np.log(x) - x + 0.5 * np.log(2.0 * np.pi)
    difference = over(numeric.stirling_tail, x) - (special.gammaln(x) - formula)
    assert np.abs(difference / np.maximum(1.0, special.gammaln(x))).max() < 1e-14


def test_factorial_tail():
    """Against 40 digits of decimal arithmetic."""
    with localcontext(prec=40):
        two_pi = 2 * Decimal("3.141592653589793238462643383279502884197")
        for k in [*range(60), 10**4]:
            x = Decimal(k + 1)
            stirling = (x - Decimal("0.5")) * x.ln() - x + two_pi.ln() / 2
            exact = sum(Decimal(i).ln() for i in range(2, k + 1)) - stirling
            assert abs(numeric.factorial_tail(float(k)) - float(exact)) < 1e-15


def test_normal_cdf():
    g = generator()
    seams = np.array([0.67448975, math.sqrt(32.0)])
    x = np.concatenate([g.uniform(-8, 8, 200_000), seams, -seams, np.nextafter(seams, 9.0), [0.0]])
    assert relative_error(over(numeric.normal_cdf, x), special.ndtr(x)).max() < 2e-14
    # Far out SciPy loses three digits; its scaled function does not.
    y = g.uniform(5, 37, 100_000)
    head = np.floor(y * 16.0) / 16.0
    square = np.exp(-0.5 * head * head) * np.exp(-0.5 * (y - head) * (y + head))
    reference = 0.5 * special.erfcx(y / np.sqrt(2.0)) * square
    assert relative_error(over(numeric.normal_cdf, -y), reference).max() < 1e-14
    assert numeric.normal_cdf(0.0) == 0.5
    for far in (39.0, 50.0, 1e200, math.inf):
        assert numeric.normal_cdf(far) == 1.0 and 0.0 <= numeric.normal_cdf(-far) < 1e-300


def test_normal_quantile():
    g = generator()
    p = np.concatenate([g.uniform(0, 1, 100_000), np.exp(-g.uniform(0, 690, 100_000))])
    p = np.append(p, 1.0 - np.exp(-g.uniform(0, 36, 10_000)))
    p = p[(p > 0) & (p < 1) & (np.abs(p - 0.5) > 1e-3)]
    assert relative_error(over(numeric.normal_quantile, p), special.ndtri(p)).max() < 1e-13
    middle = 0.5 + np.linspace(-0.01, 0.01, 1001)
    assert np.abs(over(numeric.normal_quantile, middle) - special.ndtri(middle)).max() < 1e-15
    assert numeric.normal_quantile(0.0) == -math.inf and numeric.normal_quantile(1.0) == math.inf


# --- beta distribution --------------------------------------------------------------------------


def beta_cases(n, low, high):
    """Probabilities in the middle and in both tails down to 1e-7; log-uniform parameters."""
    g = generator()
    a, b = 10.0 ** g.uniform(low, high, (2, n))
    tail = 10.0 ** g.uniform(-7, -1, n)
    p = np.choose(g.integers(0, 3, n), [g.random(n), tail, 1.0 - tail])
    return p, a, b


RANGES = [(-3, 0), (-1, 1), (0, 2), (1.9, 2.1), (2, 4), (4, 6), (-3, 6)]


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_beta_cdf(low, high):
    p, a, b = beta_cases(20_000, low, high)
    spread = 10.0 ** generator().normal(0.0, 0.2, p.size)
    for x in (special.betaincinv(a, b, p), special.betaincinv(a, b, p) * spread):
        normal = (x > 1e-300) & (x < 1.0)
        x, a_, b_ = x[normal], a[normal], b[normal]
        error = np.abs(over(numeric.beta_cdf, x, a_, b_) - special.betainc(a_, b_, x))
        assert error.max() < 1e-12


def test_beta_cdf_far_tail_is_relatively_accurate():
    a, b = 10.0 ** generator().uniform(0, 5, (2, 5000))
    x = stats.beta(a, b).ppf(1e-12)
    error = relative_error(over(numeric.beta_cdf, x, a, b), special.betainc(a, b, x))
    assert error.max() < 1e-9


def test_beta_cdf_at_the_ends():
    for a, b in ((1e-3, 1e-3), (2.0, 3.0), (1e6, 1e6), (1e6, 1e-3)):
        assert numeric.beta_cdf(0.0, a, b) == 0.0 and numeric.beta_cdf(-1.0, a, b) == 0.0
        assert numeric.beta_cdf(1.0, a, b) == 1.0 and numeric.beta_cdf(2.0, a, b) == 1.0
        assert numeric.beta_quantile(0.0, a, b) == 0.0 and numeric.beta_quantile(1.0, a, b) == 1.0
    assert numeric.beta_cdf(1e-9, 1e6, 1e6) < 1e-300
    assert numeric.beta_cdf(1.0 - 1e-9, 1e6, 1e6) == 1.0


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_beta_quantile(low, high):
    p, a, b = beta_cases(20_000, low, high)
    values = over(numeric.beta_quantile, p, a, b)
    assert np.abs(values - special.betaincinv(a, b, p)).max() < 1e-10


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (1.0, 1e6), (1e6, 1.0), (50.0, 1e6), (1e6, 1e6)])
def test_beta_quantile_as_bayes_ucb_asks(a, b):
    p = 1.0 - 1.0 / np.geomspace(2.0, 1e7, 500)
    values = over(numeric.beta_quantile, p, np.full(500, a), np.full(500, b))
    law = stats.beta(a, b)
    assert np.abs(values - law.ppf(p)).max() < 1e-6 * law.std()
    assert (np.diff(values) > 0).all()


# --- information --------------------------------------------------------------------------------


def test_bernoulli_kl():
    g = generator()
    p, q = g.random((2, 100_000))
    p[:500], p[500:1000], q[250:750], q[750:1250] = 0.0, 1.0, 0.0, 1.0
    clamped = np.clip(q, 1e-15, 1.0 - 1e-15)
    reference = special.rel_entr(p, clamped) + special.rel_entr(1.0 - p, 1.0 - clamped)
    error = np.abs(over(numeric.bernoulli_kl, p, q) - reference)
    assert (error / (1.0 + reference)).max() < 1e-15
    assert numeric.bernoulli_kl(0.0, 0.0) < 2e-15 and numeric.bernoulli_kl(1.0, 1.0) < 2e-15
    assert numeric.bernoulli_kl(0.3, 0.3) == 0.0
    assert numeric.bernoulli_kl(0.0, 0.5) == pytest.approx(np.log(2.0), rel=1e-15)


# --- the same bits without the compiler ---------------------------------------------------------


def every_value():
    """Values of every function over grids that pass through each of its branches."""
    g = generator()
    positive = np.append(np.exp(g.uniform(-300, 300, 3000)), [0.0, 1.0])
    signed = np.append(np.concatenate([g.uniform(-800, 800, 1000), g.normal(size=1000)]), np.inf)
    normal = np.append(g.uniform(-45, 45, 1000), g.normal(size=1000))
    p, a, b = beta_cases(200, -3, 6)
    p_end, q_end = np.append(p, [0.0, 1.0]), np.append(g.random(200), [1.0, 1.0])
    return {
        "log": over(numeric.log, positive),
        "exp": over(numeric.exp, signed),
        "log1p": over(numeric.log1p, np.expm1(g.normal(size=1000))),
        "lgamma": over(numeric.lgamma, np.exp(g.uniform(-20, 15, 2000))),
        "stirling_tail": over(numeric.stirling_tail, np.exp(g.uniform(-7, 15, 1000))),
        "factorial_tail": over(numeric.factorial_tail, np.arange(100.0)),
        "normal_cdf": over(numeric.normal_cdf, normal),
        "normal_quantile": over(numeric.normal_quantile, np.append(p, [0.0, 1.0, 1e-300])),
        "beta_cdf": over(numeric.beta_cdf, g.beta(2.0, 2.0, 200), a, b),
        "beta_quantile": over(numeric.beta_quantile, p, a, b),
        "bernoulli_kl": over(numeric.bernoulli_kl, p_end, q_end),
    }


def test_plain_python_gives_the_same_bits(tmp_path):
    compiled = every_value()
    plain = without_jit("test_numeric", "every_value", tmp_path)
    assert set(plain.files) == set(compiled)
    for name, values in compiled.items():
        assert np.array_equal(values, plain[name]), name
