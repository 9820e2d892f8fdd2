"""The auditor catches known faults and spares correct code; every private agent stands trial."""

import math
import sys
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

import banditlab
from banditlab.parts.noise import UNITS
from banditlab.privacy import Transcript, audit, mechanisms, release_arm

RUNS = 60_000


def tables(n=9, first=4, second=6):
    """Two arms of n rewards, of which ``first`` and ``second`` are 1; the next of arm 0 flips."""
    table = np.zeros((2, n))
    table[0, :first] = 1.0
    table[1, :second] = 1.0
    return table, (0, first, 1.0)


def tail(x):
    """P(difference of two unit Laplace variates > x)."""
    return math.exp(-x) * (1 + x / 2) / 2 if x >= 0 else 1 - tail(-x)


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 2.0])
def test_dp_bai_stands_and_the_bounds_are_near_the_exact_losses(epsilon):
    # K = d = 2: one phase, T' = T - 2, n = 9 pulls of each arm.
    table, neighbour = tables()
    made = banditlab.make("dp_bai", epsilon=epsilon)
    report = audit(made, table, neighbour, epsilon, RUNS, seed=1, horizon=20)
    assert report.passed, str(report)
    bounds = {found.part: found.epsilon for found in report.findings}
    assert set(bounds) == {"output", "means"}  # nine pulls each in every run: nothing to see
    decision = math.log(tail(epsilon) / tail(2 * epsilon))
    assert 0.85 * decision < bounds["output"] <= decision
    assert 0.9 * epsilon < bounds["means"] <= epsilon


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("fault", [2.0, 10 / 9])
def test_half_the_noise_and_noise_for_one_sample_too_many_are_refuted(epsilon, fault):
    table, neighbour = tables()
    made = banditlab.make("dp_bai", epsilon=epsilon * fault)
    report = audit(made, table, neighbour, epsilon, 200_000, seed=2, horizon=20)
    assert not report.passed, str(report)
    found = {finding.part: finding.epsilon for finding in report.findings}
    assert found["means"] > epsilon
    if fault < 2:  # the decision alone does not betray it
        assert found["output"] < epsilon


def phases(reuse):
    """Two phases of ten rewards a arm; with ``reuse`` the second averages the first's again."""

    def mechanism(table, rng):
        n, means = 10, np.full(4, np.nan)
        means[:2] = table[:, :n].mean(axis=1) + rng.laplace(scale=1 / n, size=2)
        best = int(means[:2].argmax())
        if reuse:
            means[2 + best] = table[best, : 2 * n].mean() + rng.laplace(scale=1 / (2 * n))
        else:
            means[2 + best] = table[best, n : 2 * n].mean() + rng.laplace(scale=1 / n)
        return Transcript(means=means, output=best)

    return mechanism


def test_reused_samples_are_refuted_and_fresh_ones_are_not():
    table = np.zeros((2, 20))
    table[:, :5] = table[:, 10:15] = 1.0
    fresh = audit(phases(reuse=False), table, (0, 5, 1.0), 1.0, 20_000, seed=3)
    assert fresh.passed and fresh.epsilon > 0.85, str(fresh)
    stale = audit(phases(reuse=True), table, (0, 5, 1.0), 1.0, 20_000, seed=3)
    assert not stale.passed and stale.epsilon > 1.3, str(stale)
    # It takes means of both phases at once to see it.
    event = next(found.event for found in stale.findings if found.part == "means")
    assert " and " in event


PRIVATE = {
    "dp_bai": {},
    "dp_sequential_halving": {},
    "dp_uniform": {},
    "noisy_max": {},
    "dp_od": {"placement": "means"},
}


@pytest.mark.parametrize("name", PRIVATE)
def test_every_private_agent_stands_and_with_twice_the_epsilon_falls(name):
    table, neighbour = tables(n=12, first=5, second=6)
    for claimed, stands in ((1.0, True), (0.5, False)):
        made = banditlab.make(name, epsilon=1.0, **PRIVATE[name])
        report = audit(made, table, neighbour, claimed, RUNS, seed=4, horizon=20)
        assert report.passed == stands, str(report)
        assert report.epsilon > 0.85


@pytest.mark.parametrize("name", ["dp_bai", "dp_sequential_halving"])
@pytest.mark.parametrize("pull", [1, 15])
def test_several_phases_stand_too(name, pull):
    # Four arms: two phases at least. The reward that differs is of the first phase, or a later one.
    table = np.zeros((4, 40))
    table[:, ::2] = 1.0
    change = (0, pull, 1.0)
    made = banditlab.make(name, epsilon=1.0)
    report = audit(made, table, change, 1.0, RUNS, seed=11, horizon=80)
    assert report.passed and report.epsilon > 0.8, str(report)
    assert not audit(made, table, change, 0.5, RUNS, seed=11, horizon=80).passed


@pytest.mark.parametrize("placement", ["theta", "pred"])
def test_noise_on_scores_stands(placement):
    table, neighbour = tables(n=12, first=5, second=6)
    made = banditlab.make("dp_od", epsilon=1.0, placement=placement)
    report = audit(made, table, neighbour, 1.0, RUNS, seed=5, horizon=20)
    assert report.passed and report.epsilon > 0.3, str(report)


def test_gaussian_noise_stands_with_its_delta_and_falls_with_half_the_scale():
    table, neighbour = tables()
    made = banditlab.make("dp_bai_gauss", epsilon=0.9, delta=0.05)
    report = audit(made, table, neighbour, 0.9, RUNS, seed=6, delta=0.05, horizon=20)
    assert report.passed, str(report)
    pure = audit(made, table, neighbour, 0.9, RUNS, seed=6, horizon=20)
    assert pure.epsilon > report.epsilon
    loose = banditlab.make("dp_bai_gauss", epsilon=0.9, delta=0.9999)  # a tenth of the variance
    report = audit(loose, table, neighbour, 0.9, RUNS, seed=6, delta=0.05, horizon=20)
    assert not report.passed, str(report)


@pytest.mark.parametrize("name", ["dp_se", "adap_tt"])
def test_agents_that_stop_by_themselves_stand(name):
    n = 4000
    rng = np.random.default_rng(7)
    table = (rng.random((2, n)) < [[0.9], [0.1]]).astype(float)
    made = banditlab.make(name, epsilon=1.0)
    for claimed, stands in ((1.0, True), (0.1, False)):
        # The first reward alone makes adap_tt's first phase: its mean betrays a smaller claim.
        report = audit(made, table, (0, 0, 1.0 - table[0, 0]), claimed, 6_000, seed=8, horizon=n)
        assert report.passed == stands, str(report)


def test_the_report_says_what_was_seen():
    table, neighbour = tables()
    report = audit(banditlab.make("dp_bai"), table, neighbour, 1.0, 2000, seed=9, horizon=20)
    text = str(report)
    assert "epsilon = 1 stands" in text and "means: at least" in text
    assert "not audited, absent or always the same: pulls" in text
    assert (
        audit(banditlab.make("dp_bai"), table, neighbour, 1.0, 2000, seed=9, horizon=20) == report
    )


def test_a_mechanism_that_shows_all_is_refuted_at_any_epsilon():
    report = audit(
        lambda table, rng: Transcript(means=table.sum(axis=1)), *tables(), 5.0, 20_000, seed=1
    )
    assert not report.passed and report.epsilon > 7


def test_bad_input():
    table, neighbour = tables()
    made = banditlab.make("dp_bai")
    for change, words in (
        ({"epsilon": 0.0}, "epsilon must be positive, got 0.0"),
        ({"runs": 10}, "runs must be at least 100, got 10"),
        ({"alpha": 1.0}, "alpha must lie strictly between 0 and 1, got 1.0"),
        ({"delta": -0.1}, r"delta must lie in \[0, 1\], got -0.1"),
        ({"neighbour": (2, 0, 1.0)}, "neighbour must name an arm 0 to 1 and a pull 0 to 8"),
        ({"neighbour": (0, 0, 1.5)}, r"neighbour must put a reward in \[0, 1\], got 1.5"),
        ({"table": table + 1.0}, r"table must hold rewards in \[0, 1\]"),
        ({"mechanism": banditlab.make("lucb")}, "mechanism is not private"),
    ):
        given = {"mechanism": made, "table": table, "neighbour": neighbour, "epsilon": 1.0}
        with pytest.raises(ValueError, match=words):
            audit(**{**given, **change}, horizon=20)
    with pytest.raises(ValueError, match="table has 9 rewards an arm, but arm . was pulled"):
        audit(made, table, neighbour, 1.0, 100, horizon=60)
    with pytest.raises(ValueError, match="epsilon must be positive and finite, got -1"):
        release_arm("dp_bai", list(table), -1, 20, low=0, high=1)
    with pytest.raises(ValueError, match="as many pulls and means in every run"):
        audit(
            lambda table, rng: Transcript(means=np.zeros(rng.integers(1, 3))),
            table, neighbour, 1.0, 100,
        )  # fmt: skip
    with pytest.raises(ValueError, match="the same empty transcript"):
        audit(lambda table, rng: Transcript(), table, neighbour, 1.0, 100)


# --- real releases -------------------------------------------------------------------------------

ROUND = {"low": 0.0, "high": 1.0}


@pytest.fixture
def silent(monkeypatch):
    """Noise that a test prescribes: none, unless it changes the list; and what was asked for."""
    asked, prescribed = [], []

    def draw(s, t):
        asked.append(Fraction(s, t))
        return prescribed.pop(0) if prescribed else 0

    monkeypatch.setattr(mechanisms, "secret_discrete_laplace", draw)
    return asked, prescribed


def test_a_real_release_has_the_law_of_the_simulation():
    table, _ = tables(n=9, first=4, second=6)
    runs = 3000
    named = [release_arm("dp_bai", list(table), 0.5, 20, **ROUND).arm for _ in range(runs)]
    wrong = tail(0.5 * 2)  # Q(epsilon (S_2 - S_1))
    assert abs(np.mean(np.array(named) == 0) - wrong) < 4 * math.sqrt(wrong / runs)
    shown = release_arm("dp_bai", list(table), 0.5, 20, **ROUND)
    assert shown.pulls.tolist() == [9, 9] and len(shown.means) == 2
    again = release_arm("dp_bai", list(table), 0.5, 20, **ROUND)
    assert again.means != shown.means  # not reproducible
    with pytest.raises(ValueError, match="arm 0 has too few rewards for a horizon of 30"):
        release_arm("dp_bai", list(table), 0.5, 30, **ROUND)


@pytest.mark.parametrize("mechanism", ["own", "opendp"])
def test_every_released_mean_has_noise_of_its_own_and_of_the_right_scale(mechanism):
    if mechanism == "opendp":
        pytest.importorskip("opendp")
    table, epsilon = [[3.0] * 4, [3.0] * 8], 0.5
    scaled = []
    for _ in range(1500):
        shown = release_arm(
            "noisy_max", table, epsilon, 12, rows=[4, 8], low=1.0, high=5.0, mechanism=mechanism
        )
        scaled.append(
            [
                (mean - 3.0) * epsilon * n / 4.0
                for (_, mean), n in zip(shown.means, (4, 8), strict=True)
            ]
        )
    one, two = np.array(scaled).T
    for column in (one, two):
        assert stats.kstest(column, stats.laplace.cdf).pvalue > 1e-6
    assert abs(np.corrcoef(one, two)[0, 1]) < 5 / math.sqrt(1500)


def test_noise_is_drawn_once_for_each_phase_and_arm_at_the_scale_of_epsilon(silent):
    asked, prescribed = silent
    prescribed += [k * UNITS for k in range(1, 9)]
    shown = release_arm("dp_sequential_halving", [[0.0] * 8] * 4, 0.3, 16, **ROUND)
    assert set(asked) == {Fraction(0.3) / UNITS} and len(asked) == 2 * 4
    # Two phases: 2 pulls of four arms, then 4 of the best two, arms 2 and 3.
    assert shown.means == ((0, 0.5), (1, 1.0), (2, 1.5), (3, 2.0), (2, 7 / 4), (3, 8 / 4))
    assert shown.arm == 3


def test_rewards_are_used_in_an_order_that_nobody_knows(silent):
    rewards = [[0.0] * 8 + [1.0] * 8] * 2
    means = []
    for _ in range(60):
        shown = release_arm("dp_uniform", rewards, 1.0, 8, **ROUND)  # a quarter of each arm
        assert shown.pulls.tolist() == [4, 4]
        means += [mean for _, mean in shown.means]
    assert abs(np.mean(means) - 0.5) < 0.12  # 5 standard errors
    assert len(set(means)) == 5


def test_no_reward_is_used_twice(silent):
    """Two means of an arm, of 2 and of its other 4 rewards: together they hold each one once."""
    rewards = [2.0**-k for k in range(1, 7)]  # of which no other choice of six has the sum
    for _ in range(5):
        shown = release_arm("dp_sequential_halving", [rewards] * 4, 1.0, 16, **ROUND)
        assert sorted(shown.pulls.tolist()) == [2, 2, 6, 6]
        for arm in np.flatnonzero(shown.pulls == 6):
            early, late = (mean for k, mean in shown.means if k == arm)
            assert 2 * early + 4 * late == sum(rewards)


@pytest.mark.parametrize("name", ["noisy_max", "dp_sequential_halving", "dp_uniform"])
def test_ties_are_broken_by_lot(name, silent):
    won = {release_arm(name, [[0.5] * 12] * 3, 1.0, 18, **ROUND).arm for _ in range(60)}
    assert won == {0, 1, 2}


def test_what_is_outside_the_bounds_counts_as_the_bound(silent):
    rewards = [[-math.inf, 0.0, 1.0, 2.5], [2.0, 3.0, 9e300, math.inf]]
    shown = release_arm("dp_uniform", rewards, 1.0, 8, low=1.0, high=3.0)
    assert shown.means == ((0, (1 + 1 + 1 + 2.5) / 4), (1, (2 + 3 + 3 + 3) / 4))


def test_epsilon_is_charged_when_nothing_can_be_refused_and_before_noise_is_drawn(silent):
    asked, _ = silent
    charged = []
    for name, horizon in (("dp_bai", 2), ("lucb", 8), ("nobody", 8)):
        with pytest.raises(ValueError):
            release_arm(
                name, [[0.5] * 4] * 2, 1.0, horizon, charge=lambda: charged.append(1), **ROUND
            )
    assert not charged

    def broke():
        charged.append(len(asked))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        release_arm("dp_bai", [[0.5] * 4] * 2, 1.0, 8, charge=broke, **ROUND)
    assert charged == [0] and not asked


@pytest.mark.parametrize(
    "bad", [[[31415.9]], [31415.9, "x"], [31415.9, math.nan], 31415.9, ["31415.9 EUR"], []]
)
def test_no_refusal_of_a_release_shows_a_reward(bad):
    with pytest.raises(ValueError) as refused:
        release_arm("dp_bai", [[0.5] * 4, bad], 1.0, 8, **ROUND)
    assert "31415" not in str(refused.value) and "rewards[1] must" in str(refused.value)


def test_a_release_has_no_bounds_of_its_own():
    with pytest.raises(TypeError, match="low"):
        release_arm("dp_bai", [[0.5] * 4] * 2, 1.0, 8)
    with pytest.raises(ValueError, match="low and high must both be given"):
        release_arm("dp_bai", [[0.5] * 4] * 2, 1.0, 8, low=0.0, high=None)


def test_opendp_is_imported_only_when_asked_for(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "opendp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opendp.mod", None)
    monkeypatch.setitem(sys.modules, "opendp", None)
    assert isinstance(mechanisms.sampler("own", 1.0)(), int)
    with pytest.raises(ValueError, match="needs the package opendp: install the extra 'privacy'"):
        mechanisms.sampler("opendp", 1.0)
    with pytest.raises(ValueError, match="mechanism must be one of own, opendp, got 'mine'"):
        mechanisms.sampler("mine", 1.0)


@pytest.mark.parametrize("epsilon", [0.3, 1 / 3, 2.0**-20, 1000.0])
def test_the_noise_of_opendp_has_our_law_and_spends_no_more(epsilon):
    measurements = pytest.importorskip("opendp.measurements")
    del measurements
    draw = mechanisms.sampler("opendp", epsilon)
    assert draw.func.map(UNITS) <= epsilon < 1.001 * draw.func.map(UNITS)
    values = np.array([draw() for _ in range(4000)]) * (epsilon / UNITS)
    assert stats.kstest(values, stats.laplace.cdf).pvalue > 1e-6
