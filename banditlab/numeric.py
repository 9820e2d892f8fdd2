"""Logarithm, exponential and special functions with the same bits in every mode of execution.

Each function is built from ``+ - * /``, comparisons, ``math.sqrt`` and shifts of the float's bits,
so compiled code and plain Python (``NUMBA_DISABLE_JIT=1``) return identical floats; the libm
behind ``np.log`` or ``math.lgamma`` promises no such thing. Arguments are float64 scalars and are
not checked: outside the stated domain the result is meaningless, but nothing is raised.

`log`, `exp`, `log1p` and `bernoulli_kl` are pasted into their caller and take its error model:
call them from a ``banditlab.core.kernel``, for under a bare ``njit`` the checks of their divisions
cost a factor of five and may raise.

Errors quoted are measured against SciPy in ``tests/test_numeric.py``.

One file, though long: it is the whole vocabulary of kernels, and most of it
stands on `log` and `exp`.
"""

import math

import numpy as np

from banditlab.core import kernel, kernel_in_loop, kernel_inline

# log 2 in two parts: k * LN2_HIGH is exact for |k| < 2**20 (fdlibm).
LN2_HIGH = 0.6931471803691238
LN2_LOW = 1.9082149292705877e-10
LOG2_E = 1.4426950408889634
SQRT_HALF_BITS = np.int64(0x3FE6A09E667F3BCD)  # the bits of sqrt(1/2)
ONE_BITS = np.int64(0x3FF0000000000000)
MANTISSA_MASK = np.int64(0x000FFFFFFFFFFFFF)
MANTISSA_LENGTH = np.int64(52)
EXPONENT_BIAS = np.int64(1023)
# Adding 1.5 * 2**52 rounds to an integer and leaves that integer in the low bits of the sum.
ROUNDER = 6755399441055744.0
TWO_52 = 4503599627370496.0
TWO_52_BITS = np.int64(0x4330000000000000)
EXP_LIMIT = 700.0

SQRT_2PI = 2.5066282746310002
HALF_LOG_2PI = 0.9189385332046728


# --- log, exp: branch-free, so that loops over them become SIMD code ----------------------------


@kernel_in_loop
def log(x):
    """Natural logarithm of a positive normal `x` (2.3e-308 up), relative error below 5e-16.

    log(0) is -709.1 (finite, so ``0 * log(0)`` is 0); other arguments give meaningless values.
    """
    # Write x = 2**k * m with sqrt(1/2) <= m < sqrt(2); then log m = 2 artanh((m - 1) / (m + 1)).
    bits = np.float64(x).view(np.int64)
    shifted = bits + (ONE_BITS - SQRT_HALF_BITS)
    # The biased exponent becomes a float by pasting it below the bits of 2**52: SIMD on any CPU.
    biased = np.int64((shifted >> MANTISSA_LENGTH) | TWO_52_BITS).view(np.float64)
    k = biased - (TWO_52 + 1023.0)
    m = np.int64((shifted & MANTISSA_MASK) + SQRT_HALF_BITS).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    # 1/3 + z/5 + ... + z**8/19, in pairs (Estrin), which the processor computes side by side.
    z2 = z * z
    z4 = z2 * z2
    low = (1.0 / 3.0 + z * (1.0 / 5.0)) + z2 * (1.0 / 7.0 + z * (1.0 / 9.0))
    high = (1.0 / 11.0 + z * (1.0 / 13.0)) + z2 * (1.0 / 15.0 + z * (1.0 / 17.0))
    series = low + z4 * (high + z4 * (1.0 / 19.0))
    return k * LN2_HIGH + (2.0 * s + (2.0 * s * z * series + k * LN2_LOW))


@kernel_in_loop
def exp(x):
    """Exponential of `x`, which is first clamped to [-700, 700]; relative error below 5e-16.

    The clamp keeps the result a positive normal float: exp(-inf) is 9.9e-305. nan gives nan.
    """
    x = -EXP_LIMIT if x < -EXP_LIMIT else x
    x = EXP_LIMIT if x > EXP_LIMIT else x
    rounded = x * LOG2_E + ROUNDER
    k = rounded - ROUNDER
    r = (x - k * LN2_HIGH) - k * LN2_LOW  # |r| <= log(2) / 2
    # The Taylor series to r**13/13!, in pairs as in log.
    r2 = r * r
    r4 = r2 * r2
    low = (0.5 + r * (1.0 / 6.0)) + r2 * (1.0 / 24.0 + r * (1.0 / 120.0))
    middle = (1.0 / 720.0 + r * (1.0 / 5040.0)) + r2 * (1.0 / 40320.0 + r * (1.0 / 362880.0))
    high = (1.0 / 3628800.0 + r * (1.0 / 39916800.0)) + r2 * (
        1.0 / 479001600.0 + r * (1.0 / 6227020800.0)
    )
    series = 1.0 + (r + r2 * (low + r4 * (middle + r4 * high)))
    # The shift drops all of `rounded` but the low bits, which hold k: this is 2**k.
    exponent = (np.float64(rounded).view(np.int64) + EXPONENT_BIAS) << MANTISSA_LENGTH
    return series * np.int64(exponent).view(np.float64)


@kernel_in_loop
def log1p(x):
    """log(1 + x) for -1 < x < 1e300, relative error below 5e-16; -1 itself divides by zero."""
    y = 1.0 + x
    return log(y) + (x - (y - 1.0)) / y  # the last term restores what rounding y lost


# --- gamma function -----------------------------------------------------------------------------

# (zeta(k) - 1) / k for k = 27, ..., 2: the Taylor coefficients of log Gamma at 2 (DLMF 5.7.3).
LGAMMA_TAYLOR = (
    2.7595228851242334e-10, 5.731367241678862e-10, 1.1921401405860912e-09, 2.4836745438024785e-09,
    5.183475041970047e-09, 1.0838659214896955e-08, 2.2711094608943164e-08, 4.769810169363981e-08,
    1.00432248239681e-07, 2.1207184805554667e-07, 4.492469198764566e-07, 9.55141213040742e-07,
    2.039215753801366e-06, 4.374866789907487e-06, 9.439488275268395e-06, 2.0507212775670694e-05,
    4.492623673813314e-05, 9.945751278180853e-05, 0.00022315475845357936, 0.0005096695247430425,
    0.001192753911703261, 0.0028905103307415234, 0.007385551028673986, 0.020580808427784546,
    0.0673523010531981, 0.3224670334241132,
)  # fmt: skip
ONE_MINUS_EULER = 0.42278433509846713


@kernel
def _lgamma_near_two(w):
    """log Gamma(2 + w) for |w| <= 1/2, with full relative accuracy at its zero w = 0."""
    series = 0.0
    for coefficient in LGAMMA_TAYLOR:
        series = coefficient - series * w
    return w * (ONE_MINUS_EULER + series * w)


@kernel
def _lgamma_small(x):
    """log Gamma(x) for 0 < x < 10: step to [3/2, 5/2] by Gamma(x + 1) = x Gamma(x)."""
    if x < 0.5:
        return _lgamma_near_two(x) - log(x * (1.0 + x))
    if x < 1.5:
        return _lgamma_near_two(x - 1.0) - log(x)
    product = 1.0
    while x > 2.5:
        x = x - 1.0
        product = product * x
    return _lgamma_near_two(x - 2.0) + log(product)


@kernel
def _stirling_series(x):
    """`stirling_tail` for x >= 10: six terms of DLMF 5.11.1."""
    z = 1.0 / (x * x)
    series = -691.0 / 360360.0
    series = series * z + 1.0 / 1188.0
    series = series * z - 1.0 / 1680.0
    series = series * z + 1.0 / 1260.0
    series = series * z - 1.0 / 360.0
    series = series * z + 1.0 / 12.0
    return series / x


@kernel
def stirling_tail(x):
    """What Stirling's formula lacks: log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2).

    For x > 0; absolute error below 1e-14 for x >= 1e-3.
    """
    if x < 10.0:
        return _lgamma_small(x) - ((x - 0.5) * log(x) - x + HALF_LOG_2PI)
    return _stirling_series(x)


# stirling_tail(k + 1) for k = 0, ..., 8.
FACTORIAL_TAILS = (
    0.08106146679532726, 0.0413406959554093, 0.02767792568499834, 0.020790672103765093,
    0.016644691189821193, 0.013876128823070748, 0.01189670994589177, 0.010411265261972096,
    0.009255462182712733,
)  # fmt: skip


@kernel
def factorial_tail(k):
    """`stirling_tail` of k + 1, for an integer k >= 0 as a float; error below 1e-15."""
    return FACTORIAL_TAILS[int(k)] if k < 9.0 else _stirling_series(k + 1.0)


@kernel
def lgamma(x):
    """log Gamma(x) for x >= 1e-300, relative error below 2e-15, next to its zeros too."""
    if x < 10.0:
        return _lgamma_small(x)
    return (x - 0.5) * log(x) - x + HALF_LOG_2PI + _stirling_series(x)


# --- normal distribution ------------------------------------------------------------------------

# Numerators and denominators, highest power first.
CDF_CENTER = (
    (0.065682337918207449113, 2.2352520354606839287, 161.02823106855587881, 1067.6894854603709582,
     18154.981253343561249),
    (1.0, 47.20258190468824187, 976.09855173777669322, 10260.932208618978205,
     45507.789335026729956),
)  # fmt: skip
CDF_MIDDLE = (
    (1.0765576773720192317e-8, 0.39894151208813466764, 8.8831497943883759412,
     93.506656132177855979, 597.27027639480026226, 2494.5375852903726711, 6848.1904505362823326,
     11602.651437647350124, 9842.7148383839780218),
    (1.0, 22.266688044328115691, 235.38790178262499861, 1519.377599407554805,
     6485.558298266760755, 18615.571640885098091, 34900.952721145977266, 38912.003286093271411,
     19685.429676859990727),
)  # fmt: skip
CDF_TAIL = (
    (0.02307344176494017303, 0.21589853405795699, 0.1274011611602473639, 0.022235277870649807,
     0.001421619193227893466, 2.9112874951168792e-5),
    (1.0, 1.28426009614491121, 0.468238212480865118, 0.0659881378689285515,
     0.00378239633202758244, 7.29751555083966205e-5),
)  # fmt: skip
QUANTILE_CENTER = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
QUANTILE_MIDDLE = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177,
     1.27045825245236838258, 3.64784832476320460504, 5.7694972214606914055,
     4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966,
     0.14810397642748007459, 0.68976733498510000455, 1.6763848301838038494,
     2.05319162663775882187, 1.0),
)  # fmt: skip
QUANTILE_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386,
     0.026532189526576123093, 0.29656057182850489123, 1.7848265399172913358,
     5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5,
     7.868691311456132591e-4, 0.0148753612908506148525, 0.13692988092273580531,
     0.59983220655588793769, 1.0),
)  # fmt: skip


@kernel_inline
def _rational(x, coefficients):
    """The quotient of two polynomials of the same degree, both by Horner's rule."""
    top, bottom = 0.0, 0.0
    for i in range(len(coefficients[0])):
        top = top * x + coefficients[0][i]
        bottom = bottom * x + coefficients[1][i]
    return top / bottom


@kernel
def normal_cdf(x):
    """P(Z <= x) for a standard normal Z, relative error below 1e-14 in both tails, down to 1e-300.

    W. J. Cody (1969), "Rational Chebyshev approximations for the error function", in the form
    of ANORM (Cody 1993, TOMS 715). Below x = -37.4 it stays near 1e-306, by the clamp of `exp`.
    """
    y = min(abs(x), 40.0)
    if y <= 0.67448975:
        return 0.5 + x * _rational(x * x, CDF_CENTER)
    if y <= 5.656854249492380195:
        mills = _rational(y, CDF_MIDDLE)
    else:
        w = 1.0 / (y * y)
        mills = (1.0 / SQRT_2PI - w * _rational(w, CDF_TAIL)) / y
    # exp(-y * y / 2) without the rounding error of y * y: split y at a multiple of 1/16.
    head = math.floor(y * 16.0) / 16.0
    upper = exp(-0.5 * head * head) * exp(-0.5 * (y - head) * (y + head)) * mills
    return upper if x < 0.0 else 1.0 - upper


@kernel
def normal_quantile(p):
    """The z with P(Z <= z) = p; relative error below 2e-15 (absolute next to 0).

    Wichura (1988), algorithm AS 241 (PPND16). p <= 0 gives -inf and p >= 1 gives inf.
    """
    if p <= 0.0:
        return -math.inf
    if p >= 1.0:
        return math.inf
    q = p - 0.5
    if abs(q) <= 0.425:
        return q * _rational(0.180625 - q * q, QUANTILE_CENTER)
    r = math.sqrt(-log(p if q < 0.0 else 1.0 - p))
    z = _rational(r - 1.6, QUANTILE_MIDDLE) if r <= 5.0 else _rational(r - 5.0, QUANTILE_TAIL)
    return -z if q < 0.0 else z


# --- beta distribution --------------------------------------------------------------------------

# Gauss-Legendre rule with 32 points: the positive nodes and their weights.
NODES = (
    0.048307665687738324, 0.1444719615827965, 0.23928736225213706, 0.33186860228212767,
    0.42135127613063533, 0.5068999089322294, 0.5877157572407623, 0.6630442669302152,
    0.7321821187402897, 0.7944837959679424, 0.84936761373257, 0.8963211557660521,
    0.9349060759377397, 0.9647622555875064, 0.9856115115452684, 0.9972638618494816,
)  # fmt: skip
WEIGHTS = (
    0.09654008851472766, 0.09563872007927471, 0.09384439908080451, 0.09117387869576378,
    0.08765209300440378, 0.08331192422694671, 0.07819389578707023, 0.07234579410884834,
    0.06582222277636168, 0.058684093478535565, 0.05099805926237609, 0.042835898022226836,
    0.034273862913021765, 0.025392065309262024, 0.016274394730905743, 0.007018610009470506,
)  # fmt: skip
QUADRATURE_FROM = 100.0  # min(a, b) from which quadrature replaces the continued fraction
TINY = 1e-300


@kernel
def _log_ratio(x, center, shift):
    """log(x / center), where shift = x - center is known without cancellation."""
    if abs(shift) < 0.5 * center:
        return log1p(shift / center)
    return log(x) - log(center)


@kernel
def _log_beta_density(x, y, a, b):
    """log of x**a y**b / B(a, b), the density of log(x / y), for x + y = 1 and both positive.

    Centred at the mean a / (a + b) (Loader 2000's saddle-point form), so that nothing large
    cancels when a and b are large.
    """
    n = a + b
    shift = x - a / n if x < y else b / n - y
    deviance = a * _log_ratio(x, a / n, shift) + b * _log_ratio(y, b / n, -shift)
    tails = stirling_tail(n) - stirling_tail(a) - stirling_tail(b)
    return deviance + 0.5 * (log(a) + log(b / n)) - HALF_LOG_2PI + tails


@kernel
def _beta_fraction(x, y, a, b):
    """P(X <= x) / (x**a y**b / B(a, b)) by a continued fraction, for x below about the mean.

    Didonato & Morris (1992), equation 9 (BFRAC of TOMS 708), evaluated by Lentz's method.
    """
    n = a + b
    c = a * (a * y - b * x + 1.0) / (a + 1.0)
    c = c if abs(c) > TINY else TINY
    d = 0.0
    fraction = c
    for m in range(1, 10_000):
        am = a + 2.0 * m
        numerator = (a + m - 1.0) * (n + m - 1.0) * m * (b - m) * x * x / ((am - 1.0) * (am - 1.0))
        denominator = (
            m + m * (b - m) * x / (am - 1.0)
            + (a + m) * (a * y - b * x + 1.0 + m * (1.0 + y)) / (am + 1.0)
        )  # fmt: skip
        d = denominator + numerator * d
        d = 1.0 / (d if abs(d) > TINY else TINY)
        c = denominator + numerator / c
        c = c if abs(c) > TINY else TINY
        fraction = fraction * (c * d)
        if abs(c * d - 1.0) < 1e-15:
            break
    return 1.0 / fraction


@kernel
def _beta_quadrature(x, y, a, b):
    """P(X >= x) / (x**a y**b / B(a, b)) by quadrature, for a, b >= 100 and x above about the mean.

    The density is log-concave there; integrate until it has fallen by a factor of about e**-38.
    """
    n = a + b
    slope = (b - 1.0) / y - (a - 1.0) / x
    slope = slope if slope > 0.0 else 0.0
    curvature = n * n * n / (a * b)
    length = 1.25 * 76.0 / (slope + math.sqrt(slope * slope + 76.0 * curvature))
    length = length if length < y else y
    half = 0.5 * length
    total = 0.0
    for i in range(16):
        near = half * (1.0 - NODES[i])
        far = half * (1.0 + NODES[i])
        f = exp((a - 1.0) * log1p(near / x) + (b - 1.0) * log1p(-near / y))
        g = exp((a - 1.0) * log1p(far / x) + (b - 1.0) * log1p(-far / y))
        total = total + WEIGHTS[i] * (f + g)
    return half * total / (x * y)


@kernel
def _beta_tail(x, y, a, b):
    """(is_lower, ratio, log_density) for X ~ Beta(a, b), x + y = 1, both positive.

    The density is that of log(X / (1 - X)), and density * ratio is P(X <= x) if `is_lower`, else
    P(X >= x): whichever can be computed directly.
    """
    log_density = _log_beta_density(x, y, a, b)
    if min(a, b) >= QUADRATURE_FROM:
        if x * b > a * y:
            return False, _beta_quadrature(x, y, a, b), log_density
        return True, _beta_quadrature(y, x, b, a), log_density
    if x * (a + b + 2.0) < a + 1.0:
        return True, _beta_fraction(x, y, a, b), log_density
    return False, _beta_fraction(y, x, b, a), log_density


@kernel
def beta_cdf(x, a, b):
    """P(X <= x) for X ~ Beta(a, b), the regularised incomplete beta function I_x(a, b).

    For 1e-3 <= a, b <= 1e6 and x not subnormal; absolute error below 1e-12.
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    is_lower, ratio, log_density = _beta_tail(x, 1.0 - x, a, b)
    tail = min(1.0, exp(log_density) * ratio)
    return tail if is_lower else 1.0 - tail


@kernel
def _beta_quantile_start(p, q, a, b):
    """A first guess for log(x / (1 - x)) at P(X <= x) = p = 1 - q."""
    if a > 1.0 and b > 1.0:  # Carter (1947), as in AS 109
        z = normal_quantile(p) if p < q else -normal_quantile(q)
        u = 1.0 / (2.0 * a - 1.0)
        v = 1.0 / (2.0 * b - 1.0)
        h = 2.0 / (u + v)
        k = (z * z - 3.0) / 6.0
        skew = (v - u) * (k + 5.0 / 6.0 - 2.0 / (3.0 * h))
        return log(a / b) + 2.0 * (z * math.sqrt(h + k) / h + skew)
    # Glue the two power laws that rule next to 0 and next to 1 (Numerical Recipes, 6.4).
    left = exp(-a * log1p(b / a)) / a
    right = exp(-b * log1p(a / b)) / b
    if p * (left + right) < left:
        t = log(a * p * (left + right)) / a
        return t - log1p(-exp(min(t, -1e-3)))
    t = log(b * q * (left + right)) / b
    return log1p(-exp(min(t, -1e-3))) - t


@kernel
def beta_quantile(p, a, b):
    """The x with P(X <= x) = p for X ~ Beta(a, b), absolute error below 1e-10.

    For 1e-3 <= a, b <= 1e6. Newton's method for the log of the smaller tail as a function of
    t = log(x / (1 - x)): that log is concave, so the iteration cannot cycle or run away, and
    it needs no derivative beyond the density that the tail was computed from. p <= 0 gives 0,
    p >= 1 gives 1.
    """
    if p <= 0.0:
        return 0.0
    if p >= 1.0:
        return 1.0
    q = 1.0 - p
    below = p < 0.5
    log_target = log(p) if below else log(q)
    t = min(max(_beta_quantile_start(p, q, a, b), -EXP_LIMIT), EXP_LIMIT)
    for _ in range(60):
        x = 1.0 / (1.0 + exp(-t))
        y = 1.0 / (1.0 + exp(t))
        is_lower, ratio, log_density = _beta_tail(x, y, a, b)
        # For g(t) = log(wanted tail) - log_target: slope = g', step = g / g', bend = the
        # derivative of log(density), curvature = g'' / g'.
        if is_lower == below:
            log_tail = log_density + log(ratio)  # may be far beyond the range of exp
            slope = 1.0 / ratio
        else:
            density = exp(log_density)
            tail = max(1.0 - density * ratio, 1e-17)
            log_tail = log(tail)
            slope = density / tail
        slope = slope if below else -slope
        step = (log_tail - log_target) / slope
        bend = a * y - b * x
        curvature = bend - slope
        last = t
        t = t - step / min(max(1.0 - 0.5 * step * curvature, 0.5), 2.0)
        t = min(max(t, -EXP_LIMIT), EXP_LIMIT)
        # Halley's method is cubic: what remains is about this product cubed.
        if abs(step) * (abs(slope) + abs(bend)) < 1e-4 or t == last:
            break
    return 1.0 / (1.0 + exp(-t))


# --- information --------------------------------------------------------------------------------


@kernel_inline
def bernoulli_kl(p, q):
    """KL(Bernoulli(p) || Bernoulli(q)) for 0 <= p <= 1, with `q` clamped to [1e-15, 1 - 1e-15].

    0 log 0 = 0, because `log` is finite at 0. Absolute error below 1e-15 times 1 + the result.
    """
    q = 1e-15 if q < 1e-15 else q
    q = 1.0 - 1e-15 if q > 1.0 - 1e-15 else q
    return p * log(p / q) + (1.0 - p) * log((1.0 - p) / (1.0 - q))
