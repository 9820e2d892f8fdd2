"""Intervals, bands and tests against scipy.stats, textbook values and simulated coverage."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from banditlab import bounds
from banditlab.curves import Curves, Record
from banditlab.statistics import (
    chance_interval,
    clopper_pearson,
    compare_all,
    holm,
    mean_sem,
    paired_p,
    performance_profile,
    resampled_slopes,
    simultaneous_critical,
    t_interval,
)

RNG = np.random.default_rng(0)


def test_mean_sem_and_interval_agree_with_scipy():
    raw = RNG.gamma(2.0, size=(9, 4, 2))
    mean, sem, lo, hi = t_interval(raw, level=0.9)
    np.testing.assert_allclose(sem, scipy.stats.sem(raw), rtol=1e-13)
    wanted = scipy.stats.t.interval(0.9, 8, loc=raw.mean(0), scale=sem)
    np.testing.assert_allclose((lo, hi), wanted, rtol=1e-12)
    np.testing.assert_allclose(mean, raw.mean(0))


def test_one_replication_has_no_width():
    raw = np.array([[1.0, 2.0]])
    mean, sem, lo, hi = t_interval(raw)
    assert np.isnan(sem).all()
    np.testing.assert_array_equal([mean, lo, hi], [[1.0, 2.0]] * 3)
    assert math.isnan(simultaneous_critical(raw))


def test_agreeing_replications_have_exactly_no_error():
    raw = np.full((7, 3), 0.1)  # the mean of seven 0.1 is not 0.1 in floating point
    raw[:, 2] = np.arange(7)
    mean, sem = mean_sem(raw)
    np.testing.assert_array_equal(mean, [0.1, 0.1, 3.0])
    np.testing.assert_array_equal(sem[:2], 0.0)
    assert sem[2] > 0


def test_bad_arguments():
    with pytest.raises(ValueError, match="replication"):
        mean_sem(np.empty((0, 3)))
    with pytest.raises(ValueError, match="level"):
        t_interval(np.ones((3, 2)), level=1.0)
    with pytest.raises(ValueError, match="level"):
        simultaneous_critical(np.ones((3, 2)), level=0.0)
    with pytest.raises(ValueError, match="draws"):
        simultaneous_critical(np.ones((3, 2)), draws=0)
    with pytest.raises(ValueError, match="equally long"):
        paired_p([1.0, 2.0], [1.0])


def coverage(replications, columns, curves=400):
    """Shares of ``curves`` that the simultaneous and the pointwise band cover everywhere."""
    rng = np.random.default_rng(1)
    simultaneous = pointwise = 0
    truth = np.sqrt(np.arange(columns))
    for _ in range(curves):
        raw = truth + rng.standard_normal((replications, columns)).cumsum(axis=1)
        mean, sem, lo, hi = t_interval(raw)
        c = simultaneous_critical(raw, draws=500)
        simultaneous += (np.abs(mean - truth) <= c * sem).all()
        pointwise += ((lo <= truth) & (truth <= hi)).all()
    return simultaneous / curves, pointwise / curves


# Four standard errors of a share near 0.95 among 400.
FOUR_SEM = 4 * math.sqrt(0.95 * 0.05 / 400)


@pytest.mark.parametrize("replications", [3, 8, 40])
def test_simultaneous_band_covers_a_random_walk_and_the_pointwise_band_does_not(replications):
    simultaneous, pointwise = coverage(replications, 30)
    assert simultaneous > 0.95 - FOUR_SEM
    assert replications < 5 or simultaneous < 0.95 + FOUR_SEM  # Bonferroni below 5: no upper end
    assert pointwise < 0.8


def test_critical_value_lies_between_students_and_bonferronis():
    one = RNG.normal(size=(20, 1))
    student = scipy.stats.t.ppf(0.975, 19)
    bonferroni = scipy.stats.t.ppf(1 - 0.025 / 50, 19)
    assert simultaneous_critical(one) == pytest.approx(student)
    copies = np.repeat(one, 50, axis=1)
    # All columns equal: the truth is Student's; the quantile of 1000 draws has sem 0.08.
    assert student <= simultaneous_critical(copies) < student + 4 * 0.08
    free = RNG.normal(size=(20, 50))
    assert student + 4 * 0.08 < simultaneous_critical(free) <= bonferroni
    assert simultaneous_critical(free, level=0.5) < simultaneous_critical(free)


def test_the_critical_value_is_that_of_flipped_residuals():
    """All 256 patterns of signs, each a t-test of SciPy's."""
    raw = np.random.default_rng(6).normal(size=(8, 4))
    residuals = raw - raw.mean(axis=0)
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=8)))
    flipped = scipy.stats.ttest_1samp(signs[:, :, None] * residuals, 0.0, axis=1).statistic
    atoms = np.abs(flipped).max(axis=1)
    for level in (0.5, 0.8):
        student, bonferroni = scipy.stats.t.ppf([0.5 + level / 2, 1 - (1 - level) / 8], 7)
        found = simultaneous_critical(raw, level)
        assert student < found < bonferroni
        assert np.abs(atoms - found).min() < 1e-9
        # Two standard errors of the share among 1000 draws, and the atoms of 1/128 each.
        assert abs((atoms <= found + 1e-9).mean() - level) < 0.05


def test_constant_columns_do_not_count():
    raw = RNG.normal(size=(20, 5)).cumsum(axis=1)
    padded = np.hstack([np.zeros((20, 3)), raw, np.full((20, 2), 0.1)])
    assert simultaneous_critical(padded, seed=3) == simultaneous_critical(raw, seed=3)
    assert math.isfinite(simultaneous_critical(np.zeros((20, 3))))
    # Rows of equal size make flipped errors 0 and the statistic infinite: Bonferroni takes over.
    two_points = np.repeat([[1.0], [-1.0]], 5, axis=0) * np.ones((1, 4))
    assert math.isfinite(simultaneous_critical(two_points, level=0.9999))


def test_draws_in_blocks_give_the_right_quantile():
    """90,000 replications need a dozen blocks; the quantile still is near the normal one."""
    raw = np.random.default_rng(2).normal(size=(90_000, 2))
    c = simultaneous_critical(raw, draws=500)
    wanted = scipy.stats.norm.ppf(0.5 + 0.5 * math.sqrt(0.95))  # two independent columns
    # sem of a quantile: sqrt(q (1 - q) / draws) / density, here 0.22 / sqrt(500) / 0.12
    assert abs(c - wanted) < 4 * 0.081


def test_paired_p_agrees_with_scipy():
    a = RNG.normal(size=30)
    for shift in (0.0, 0.1, 0.5, 3.0):
        b = a + RNG.normal(shift, 1.0, size=30)
        assert paired_p(a, b) == pytest.approx(scipy.stats.ttest_rel(a, b).pvalue, rel=1e-10)
        assert paired_p(a, b) == paired_p(b, a)


def test_paired_p_without_variance():
    a = np.array([0.1, 0.2, 0.7])
    assert paired_p(a, a) == 1.0
    assert paired_p(a * 0 + 0.3, a * 0) == 0.0
    assert paired_p([1.0], [1.0]) == 1.0
    assert math.isnan(paired_p([1.0], [2.0]))


def test_paired_p_is_uniform_under_the_null():
    rng = np.random.default_rng(4)
    p = [paired_p(*rng.normal(size=(2, 10))) for _ in range(2000)]
    assert scipy.stats.kstest(p, "uniform").pvalue > 1e-4


def test_holm_textbook_values():
    # Holm (1979) on p = .01, .04, .03, .005: steps .005 x 4, .01 x 3, .03 x 2, .04 x 1, monotone.
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.6, 0.5]), [1.0, 1.0])
    np.testing.assert_allclose(holm([0.02, np.nan, 0.03]), [0.04, np.nan, 0.04])
    assert holm([]).size == 0


def test_holm_controls_the_family_and_rejects_more_than_bonferroni():
    rng = np.random.default_rng(5)
    runs = 2000
    errors = holm_hits = bonferroni_hits = 0
    for _ in range(runs):
        z = rng.standard_normal(6) + np.array([0, 0, 0, 3, 3, 3])
        p = 2 * scipy.stats.norm.sf(np.abs(z))
        rejected = holm(p) < 0.05
        errors += rejected[:3].any()
        holm_hits += rejected[3:].sum()
        bonferroni_hits += (p[3:] < 0.05 / 6).sum()
    assert errors / runs < 0.05 + 4 * math.sqrt(0.05 * 0.95 / runs)
    assert holm_hits > bonferroni_hits


def test_the_module_does_not_import_scipy_stats():
    script = "import sys, banditlab.statistics; print('scipy.stats' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_lai_robbins_by_hand():
    kl = 0.4 * math.log(0.4 / 0.5) + 0.6 * math.log(0.6 / 0.5)
    assert bounds.lai_robbins([0.4, 0.5, 0.5]) == pytest.approx(0.1 / kl)
    # Gaussian: gap / (gap^2 / (2 sigma^2)) = 2 sigma^2 / gap
    gaussian = bounds.lai_robbins([0.0, 1.0, -1.0], kind="gaussian", sigma=0.5)
    assert gaussian == pytest.approx(0.5 / 1 + 0.5 / 2)
    assert bounds.lai_robbins([0.3, 1.0]) == 0.0  # one zero rules the arm out
    assert bounds.lai_robbins([0.0, 0.5]) == pytest.approx(0.5 / math.log(2))
    assert bounds.lai_robbins([0.5, 0.5]) == 0.0


def test_minimax_by_hand():
    assert bounds.minimax(5, 729) == pytest.approx(2.0)
    np.testing.assert_allclose(bounds.minimax(10, [4, 81]), [np.nan, 1.0])


def test_bounds_reject_bad_arguments():
    with pytest.raises(ValueError, match="kind"):
        bounds.lai_robbins([0.1, 0.2], kind="poisson")
    with pytest.raises(ValueError, match=r"means\[1\]"):
        bounds.lai_robbins([0.1, 1.2])
    with pytest.raises(ValueError, match="sigma"):
        bounds.lai_robbins([0.1, 0.2], kind="gaussian", sigma=0.0)
    with pytest.raises(ValueError, match="n_arms"):
        bounds.minimax(1, 10)


def test_clopper_pearson_is_scipys_and_the_textbooks():
    for k, n in ((5, 10), (0, 100), (100, 100), (50, 20_000)):
        lo, hi = clopper_pearson(k, n, 0.95)
        wanted = scipy.stats.binomtest(k, n).proportion_ci(0.95, method="exact")
        np.testing.assert_allclose((lo, hi), wanted, rtol=1e-10)
    np.testing.assert_allclose(clopper_pearson(5, 10), (0.187086, 0.812914), atol=1e-6)
    np.testing.assert_allclose(clopper_pearson(0, 100)[1], 1 - 0.025 ** (1 / 100))
    with pytest.raises(ValueError, match=r"successes must lie in \[0, 3\], got 4"):
        clopper_pearson(4, 3)


def test_errors_have_clopper_pearson_bands():
    arena = {
        "panels": [{"name": "main", "measure": "", "protocol": "identify"}],
        "title": "",
    }
    raw = np.zeros((40, 1, 2))
    raw[:3, 0, 0] = 1.0
    record = Record(np.array([100]), ("error", "simple_regret"), raw)
    frame = Curves(arena, {("main", "a"): record}).frame()
    row = frame[frame.measure == "error"].iloc[0]
    wanted = scipy.stats.binomtest(3, 40).proportion_ci(method="exact")
    np.testing.assert_allclose((row.lo, row.hi), wanted, rtol=1e-10)


def test_slope_intervals_cover_the_true_exponent():
    x = np.array([100.0, 400.0, 1600.0, 6400.0])
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        raw = 3.0 * x ** (2 / 3) * rng.gamma(4.0, 0.25, size=(60, x.size))
        slopes = resampled_slopes(x, raw, draws=400, seed=seed)
        lo, hi = np.quantile(slopes, [0.025, 0.975])
        hits += lo <= 2 / 3 <= hi
    # 95 % of 200 less 4 standard errors, and less than all: the interval is not merely wide.
    assert 178 <= hits <= 199
    assert np.isnan(resampled_slopes(x, raw[:1])).all()
    assert np.isnan(resampled_slopes(x, -raw)).all()


def test_the_chance_to_lie_below_what_is_no_number_is_none():
    assert all(math.isnan(end) for end in chance_interval([1.0, 2.0], [math.nan, 3.0]))
    (pair,) = compare_all([[1.0, math.nan], [2.0, 3.0]])
    assert math.isnan(pair.chance) and math.isnan(pair.holm)


def test_counts_and_thresholds_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="successes must lie in"):
        clopper_pearson(math.nan, 3)
    for bad in (0.5, [], [math.nan]):
        with pytest.raises(ValueError, match="taus must be a list of numbers"):
            performance_profile([[1.0]], bad)
