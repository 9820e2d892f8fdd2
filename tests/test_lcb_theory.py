"""The instances of the theory of LCB: exact losses, hard families, and the rates they show."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binom

import banditlab
from banditlab import random
from banditlab.agents.offline_bandit.bc import bc
from banditlab.agents.offline_bandit.greedy_offline import greedy_offline
from banditlab.agents.offline_bandit.lcb import lcb
from banditlab.arena.play import ready
from banditlab.core import jit_disabled
from banditlab.problems import cb_composition, cb_tables, two_arm
from banditlab.problems.cb_contested import cb_contested
from banditlab.problems.cb_missing_mass import cb_missing_mass
from banditlab.problems.cb_popular_wrong import cb_popular_wrong
from banditlab.problems.two_arm import two_arm as instance
from banditlab.protocols import offline
from banditlab.protocols.base import Terms
from banditlab.protocols.loops import exact

L1 = math.log(4) / 2  # L for two arms and delta = 1
SIZES = [30, 100, 300, 1000, 3000]


def loss(rule, problem, n):
    return exact.losses(rule, problem, [n])[0]


def gaps(rule, problem, sizes, replications, seed=1):
    """Simulated gaps (replications, len(sizes))."""
    record = np.zeros((replications, len(sizes), 1))
    loop = offline.loop(Terms(rule, problem, sizes[-1]), np.array(sizes, dtype=np.int64))
    ready(loop, random.key(seed))(0, record, np.zeros(2, np.int64))
    return record[:, :, 0]


def world_of(problem, seed=0):
    with np.errstate(all="ignore"):
        return problem.init(problem.params, random.stream(random.key(seed), 0, random.NATURE))


# --- exact losses of two arms -------------------------------------------------------------------


def by_scipy(name, problem, n, penalty):
    """The expected loss by NumPy and SciPy; ``penalty`` is L, and ties are scored by hand."""
    policy, values, chances = problem.params
    means = values * chances
    best = int(means.argmax())

    def scores(arm, pulls):
        paid = np.arange(pulls + 1)
        mean = values[arm] * paid / max(pulls, 1)
        bonus = math.sqrt(penalty / max(pulls, 1))
        score = {"bc": 0 * mean + pulls, "greedy": mean, "lcb": mean - bonus}[name]
        return score, binom.pmf(paid, pulls, chances[arm])

    total = 0.0
    for k in range(n + 1):
        mass = binom.pmf(k, n, policy[1])
        pulls = (n - k, k)
        good, p = scores(best, pulls[best])
        bad, q = scores(1 - best, pulls[1 - best])
        even = 0.5
        if name == "lcb" and pulls[0] != pulls[1]:  # a tie goes to the arm with more data
            even = float(pulls[1 - best] > pulls[best])
        fails = (bad > good[:, None]) + even * (bad == good[:, None])
        total += mass * (p @ fails @ q)
    return abs(means[0] - means[1]) * total


RULES = {"lcb": lcb, "bc": bc, "greedy": greedy_offline}
INSTANCES = [
    instance("prop1", N=40),
    instance("thm3_imitation", N=40),
    instance("thm3_mixed", N=40),
    instance("thm2_large", N=40, C=4),
    instance("thm2_large", N=40, C=4, mirror=True),
    instance("thm2_small", C=1.5),
]


@pytest.mark.parametrize("name", RULES)
def test_exact_losses_agree_with_a_second_implementation(name):
    # Both sum doubles: they agree to rounding. lcb's delta is 1 / rows, L = log(4 N) / 2.
    for problem in INSTANCES:
        for n in (1, 2, 40):
            expected = by_scipy(name, problem, n, 0.5 * math.log(4 * n))
            assert loss(RULES[name](), problem, n) == pytest.approx(expected, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("name", RULES)
def test_exact_losses_agree_with_simulation(name):
    problem, sizes = instance("thm2_large", N=100, C=4), [10, 50, 100]
    simulated = gaps(RULES[name](), problem, sizes, 4000).mean(axis=0)
    exactly = exact.losses(RULES[name](), problem, sizes)
    # A gap lies in [0, d]: its variance is at most that of a coin with the same mean.
    d = problem.params.chances[1] - 0.5
    error = np.sqrt(exactly * (d - exactly) / 4000)
    assert (error < 0.003).all()
    assert (np.abs(simulated - exactly) < 4 * error).all()
    assert (exactly > 0.005).all()


@pytest.mark.parametrize(("n", "p"), [(0, 0.3), (1, 0.5), (7, 0.0), (7, 1.0), (3000, 1 / 3000)])
def test_binomial_masses(n, p):
    out = np.full(n + 3, -1.0)
    exact.binomial_masses(n, p, out)
    np.testing.assert_allclose(out[: n + 1], binom.pmf(np.arange(n + 1), n, p), rtol=1e-10)
    assert (out[n + 1 :] == -1.0).all()


def test_greedy_on_proposition_1():
    # The worse arm, seen k times, looks better if it paid more than 20/21 of the time: for k < 21,
    # always. P(k >= 1) - P(no reward lost among k) in closed form, up to P(k >= 21) < 1e-19.
    for n in (100, 1000, 3000):
        wrong = (1 - 1 / (2 * n)) ** n - (1 - 1 / n) ** n
        assert loss(greedy_offline(), instance("prop1", N=n), n) == pytest.approx(0.38 * wrong)
        assert loss(lcb(), instance("prop1", N=n), n) < 1e-12
        assert loss(bc(), instance("prop1", N=n), n) < 1e-12
    assert (1 - 1 / 200) ** 100 - (1 - 1 / 100) ** 100 == pytest.approx(0.239738, abs=5e-7)
    assert 0.38 * (math.exp(-0.5) - math.exp(-1)) == pytest.approx(0.0907, abs=5e-5)


def test_theorem_3_imitation_table():
    flat = [math.sqrt(n) * loss(lcb(L=L1), instance("thm3_imitation", N=n, L=L1), n) for n in SIZES]
    np.testing.assert_allclose(flat, [0.0476, 0.0477, 0.0485, 0.0489, 0.0489], atol=5e-5)
    small = [loss(lcb(), instance("thm3_imitation", N=n), n) for n in SIZES]
    np.testing.assert_allclose(small, [1.8e-4, 3.8e-5, 9.3e-6, 1.7e-6, 3.4e-7], rtol=0.015)


def test_imitation_on_theorem_3_is_exponentially_good():
    # The reference counts a tie as right; our rule breaks it evenly, which adds half the tie.
    for n, reference in zip(SIZES[:3], [3.5e-3, 2.0e-5, 5.5e-11], strict=True):
        problem = instance("thm3_imitation", N=n, L=L1)
        gap = 0.5 - problem.params.chances[1]
        below = gap * binom.cdf(n // 2 - 1, n, 2 / 3)
        tie = gap * binom.pmf(n // 2, n, 2 / 3)
        assert below == pytest.approx(reference, rel=0.02)
        assert loss(bc(), problem, n) == pytest.approx(below + tie / 2, rel=1e-8)
    assert loss(bc(), instance("thm3_imitation", N=1000, L=L1), 1000) < 1e-20


def test_proposition_2():
    # C* = 1.5, N = 100: worked numbers, and the Chernoff bound that holds for every N.
    at_most, below = binom.cdf(50, 100, 2 / 3), binom.cdf(49, 100, 2 / 3)
    assert at_most == pytest.approx(4.1934e-4, rel=1e-4)
    assert below == pytest.approx(1.9893e-4, rel=1e-4)
    problem = instance("thm3_imitation", N=100, L=L1)
    gap = 0.5 - problem.params.chances[1]
    assert loss(bc(), problem, 100) / gap == pytest.approx((at_most + below) / 2, rel=1e-9)
    kl = math.log(1.5 / 2) + math.log(1 / 0.5) / 2
    assert math.exp(-100 * kl) == pytest.approx(2.76932e-3, rel=1e-5)
    for n in (10, 30, 100):
        assert loss(bc(), problem, n) / gap < math.exp(-n * kl)


def test_theorem_3_mixed_table():
    problems = [instance("thm3_mixed", N=n) for n in SIZES]
    pairs = list(zip(problems, SIZES, strict=True))
    found = [loss(lcb(), p, n) for p, n in pairs]
    np.testing.assert_allclose(found, [0.1195, 0.0758, 0.0490, 0.0297, 0.0185], atol=5e-5)
    found = [loss(greedy_offline(), p, n) for p, n in pairs]
    np.testing.assert_allclose(found, [0.0420, 0.0214, 0.0121, 0.0065, 0.0037], atol=5e-5)
    for problem, n in pairs[1:]:  # the better arm is played a sixth of the time: bc is wrong
        gap = 0.5 - problem.params.values[1]
        assert loss(bc(), problem, n) == pytest.approx(gap, rel=1e-6)


def test_theorem_1_bounds_the_loss_on_every_instance():
    # gap <= 2 sqrt(C* log(2 A / delta) / N) with probability 1 - 2 delta, here delta = 1/N, once
    # N >= 8 C* log(1 / delta); hence the mean is below that plus 2 delta.
    n = 300
    for problem in (
        instance("thm3_imitation", N=n),
        instance("thm3_mixed", N=n),
        instance("thm2_large", N=n, C=4),
        instance("thm2_large", N=n, C=4, mirror=True),
        instance("thm2_small", C=1.5),
    ):
        c = two_arm.concentrability(problem)
        assert n >= 8 * c * math.log(n)
        bound = 2 * math.sqrt(c * math.log(4 * n) / n) + 2 / n
        assert 0.0 < loss(lcb(), problem, n) < bound


def test_exact_losses_ask_for_two_arms():
    with pytest.raises(ValueError, match="two_arm"):
        exact.losses(bc(), cb_missing_mass(N=10, S=2), [10])
    with pytest.raises(ValueError, match=r"sizes\[1\]"):
        exact.losses(bc(), INSTANCES[0], [10, 0])


# --- the instances ------------------------------------------------------------------------------


def test_two_arm_instances_are_those_of_the_paper():
    def shown(problem):
        return [np.round(field, 6).tolist() for field in problem.params]

    assert shown(instance("prop1", N=100, eps=0.4)) == [[0.99, 0.01], [0.8, 0.84], [1.0, 0.5]]
    g = round(0.5 - math.sqrt(1.5 * L1 / 100), 6)
    assert shown(instance("thm3_imitation", N=100, L=L1)) == [
        [0.666667, 0.333333], [0.5, 1.0], [1.0, g],
    ]  # fmt: skip
    assert shown(instance("thm3_imitation", N=2))[2] == [1.0, 0.166667]  # g stops at 1/3
    g = round(0.5 - math.sqrt(math.log(400) / 2 / 400), 6)
    assert shown(instance("thm3_mixed", N=100)) == [[0.166667, 0.833333], [1.0, g], [0.5, 1.0]]
    assert shown(instance("thm2_large", N=400, C=4)) == [[0.75, 0.25], [1.0, 1.0], [0.5, 0.6]]
    assert shown(instance("thm2_large", N=400, C=4, mirror=True))[2] == [0.5, 0.4]
    assert shown(instance("thm2_small", C=1.6)) == [[0.625, 0.375], [1.0, 1.0], [0.7, 0.5]]
    assert shown(instance("thm2_small", C=1.6, mirror=True)) == [
        [0.375, 0.625], [1.0, 1.0], [0.5, 0.7],
    ]  # fmt: skip


def test_concentrability_is_what_the_instances_promise():
    c = two_arm.concentrability
    assert c(instance("prop1", N=101)) == pytest.approx(1.01)
    assert c(instance("thm3_imitation", N=100)) == pytest.approx(1.5)
    assert c(instance("thm3_mixed", N=100)) == pytest.approx(6)
    assert c(instance("thm2_large", N=100, C=5)) == pytest.approx(5)
    assert c(instance("thm2_large", N=100, C=5, mirror=True)) == pytest.approx(1.25)
    assert c(instance("thm2_small", C=1.3)) == pytest.approx(1.3)
    for C in (1.1, 1.5, 2.0, 4.0):
        problem = cb_contested(C=C, N=1000, S=5)
        worlds = [world_of(problem, seed) for seed in range(9)]
        # The worst sign: the rarer arm is the better one somewhere.
        assert any((world.means[:5, 1] > 0.5).any() for world in worlds)
        assert cb_tables.concentrability(problem) == pytest.approx(C)
    assert cb_tables.concentrability(cb_missing_mass(N=100, S=9)) == pytest.approx(1.0)
    assert cb_tables.concentrability(cb_popular_wrong(C=1.4, e=0.1)) == pytest.approx(1.4)
    missed = cb_tables.cb_tables([1.0], [[0.0, 1.0]], [[0.9, 0.1]])
    assert cb_tables.concentrability(missed) == math.inf


@pytest.mark.parametrize("C", [1.0, 1.05, 2.0, 3.0, "uniform"])
def test_composition_has_concentrability_c(C):
    problem = cb_composition.cb_composition(C=C)
    best = int(problem.params.means.argmax())
    found = (1 / problem.params.S) / (problem.params.policy[best] / problem.params.S)
    assert found == pytest.approx(10 if C == "uniform" else C)
    assert problem.params.policy.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "problem",
    [
        cb_contested(C=1.0, N=100, S=4),
        cb_contested(C=1.5, N=100, S=4),
        cb_contested(C=4, N=100, S=4),
        cb_missing_mass(N=20, S=4, A=3),
        cb_missing_mass(N=3, S=4),
        cb_popular_wrong(C=1.2),
        cb_tables.cb_tables(**cb_tables.example),
    ],
)
def test_tables_are_probabilities_and_logs_follow_them(problem):
    world = world_of(problem)
    assert world.rho.sum() == pytest.approx(1.0) and world.mu.sum() == pytest.approx(1.0)
    assert (world.rho >= 0).all() and (world.mu >= 0).all()
    assert ((world.means >= 0) & (world.means <= 1)).all()
    rng, rows, times = random.stream(random.key(3), 0, 2), 50, 400
    totals = np.zeros((times, *world.mu.shape))
    sums = np.zeros_like(totals)
    with np.errstate(all="ignore"):
        for i in range(times):
            assert problem.log(problem.params, world, rows, rng, totals[i], sums[i])
    assert (totals.sum(axis=(1, 2)) == rows).all()
    assert (totals[:, world.mu == 0.0] == 0.0).all()
    # Five standard errors: a few dozen cells.
    variance = rows * world.mu * (1 - world.mu)
    assert (np.abs(totals.mean(0) - rows * world.mu) <= 5 * np.sqrt(variance / times) + 1e-9).all()
    paid = rows * world.mu * world.means  # the number of rewards is binomial, too
    error = 5 * np.sqrt(np.maximum(paid, 0.0) / times) + 1e-9
    assert (np.abs(sums.mean(0) - paid) <= error).all()


def test_contested_gaps_are_those_of_theorem_5():
    assert cb_contested(C=4, N=1000, S=50).params.delta == pytest.approx(math.sqrt(200 / 200_000))
    assert cb_contested(C=1.5, N=1000, S=50).params.delta == pytest.approx(
        min(math.sqrt(75 / 100_000), 1 / 3)
    )
    assert cb_contested(C=1.001, N=300, S=50).params.delta == 1 / 3
    world = world_of(cb_contested(C=1.5, N=1000, S=50))
    np.testing.assert_allclose(np.unique(world.means[:50, 1]), [0.5 - 0.0273861, 0.5 + 0.0273861])
    assert world.means[50].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: instance("prop2", N=9), "kind must be one of"),
        (lambda: instance("prop1"), "needs N"),
        (lambda: instance("prop1", N=1), "N must be at least 2"),
        (lambda: instance("prop1", N=9, eps=0.5), "eps"),
        (lambda: instance("prop1", N=9, eps=0.0), "eps must be positive"),
        (lambda: instance("prop1", N=9, L=1.0), "does not take L"),
        (lambda: instance("thm3_mixed", N=9, L=-1.0), "L must be at least 0"),
        (lambda: instance("thm2_large", N=9), "needs C"),
        (lambda: instance("thm2_large", N=9, C=1.5), "C must be at least 2"),
        (lambda: instance("thm2_small", C=2.0), "strictly between"),
        (lambda: instance("thm2_small", C=1.5, N=9), "does not take N"),
        (lambda: cb_contested(C=0.9, N=9), "C must be at least 1"),
        (lambda: cb_contested(C=2, N=0), "N must be at least 1"),
        (lambda: cb_missing_mass(N=3, S=5), "S must be at most N \\+ 1 = 4"),
        (lambda: cb_missing_mass(N=3, S=2, A=1), "A must be at least 2"),
        (lambda: cb_popular_wrong(C=2.0), "C must lie strictly between 1 and 2"),
        (lambda: cb_popular_wrong(C=1.2, e=0.2), "e must lie strictly between 0 and 0.2"),
        (lambda: cb_tables.cb_tables([1], [[0.5, 0.4]], [[1, 0]]), "mu must sum to 1"),
        (lambda: cb_tables.cb_tables([1], [[1.5, -0.5]], [[1, 0]]), r"mu\[0\]"),
        (lambda: cb_tables.cb_tables([1], [[1.0, 0.0]], [[2, 0]]), r"means\[0\]"),
        (lambda: cb_tables.cb_tables([1], [[1.0]], [[1.0]]), "column per arm"),
        (lambda: cb_tables.cb_tables([0.5], [[1.0, 0]], [[1, 0]]), "rho must sum to 1"),
        (lambda: cb_tables.cb_tables([1], [[1.0, 0]], [[1, 0, 0]]), "same shape"),
    ],
)
def test_bad_arguments_are_one_clear_line(make, words):
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)


# --- what the rules lose on them ----------------------------------------------------------------


def test_missing_mass_closed_form():
    assert exact.missing_mass(N=1000, S=50, A=2) == pytest.approx(0.00919239, abs=5e-9)
    with pytest.raises(ZeroDivisionError):
        exact.missing_mass(N=-1)


@pytest.mark.parametrize("name", RULES)
def test_missing_mass_is_lost_by_every_rule(name):
    simulated = gaps(RULES[name](), cb_missing_mass(N=200, S=50, A=3), [200], 2000)[:, 0]
    error = simulated.std(ddof=1) / math.sqrt(2000)
    assert error < 0.0005
    assert abs(simulated.mean() - exact.missing_mass(N=200, S=50, A=3)) < 4 * error


def test_popular_wrong_defeats_imitation_and_not_pessimism():
    problem = cb_popular_wrong(C=1.5, e=0.1)
    assert gaps(bc(), problem, [3000], 100).mean() == pytest.approx(0.4, abs=1e-12)
    assert gaps(lcb(), problem, [3000], 100).mean() == 0.0


@pytest.mark.skipif(jit_disabled(), reason="too slow as plain Python")
def test_rate_transition():
    """Spec 6.3, without its two middle rows: slopes within .07; at C = 1 a closed form."""
    panel = {
        "protocol": "offline",
        "problem": {"name": "cb_contested", "S": 50},
        "worst": [{"name": "cb_missing_mass", "S": 50}],
        "agents": [{"name": "lcb"}],
        "sweep": {
            "problem.C": [1, 1.1, 1.5, 2, 4],
            "horizon, problem.N": [300, 1000, 3000, 10_000, 30_000, 100_000],
        },
        "replications": 400,
        "seed": 5,
    }
    curves = banditlab.simulate(panel)
    for c, slope in {1: -1.0, 1.1: -0.85, 1.5: -0.65, 2: -0.56, 4: -0.51}.items():
        assert curves.slope(f"lcb, C = {c}") == pytest.approx(slope, abs=0.07)
    simulated = curves.raw("lcb, C = 1")
    expected = [exact.missing_mass(int(n)) for n in curves.checkpoints()]
    error = simulated.std(axis=0, ddof=1) / 20
    assert (np.abs(simulated.mean(axis=0) - expected) < 4 * error).all()


def test_plain_python_gives_the_same_bits():
    if jit_disabled():
        pytest.skip("this is the plain run")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np, test_lcb_theory as t\n"
        "for rule in (t.lcb(), t.bc(), t.greedy_offline()):\n"
        "    for problem in t.INSTANCES[:4]:\n"
        "        print(t.exact.losses(rule, problem, [1, 9]).tobytes().hex())\n"
        "for problem in (t.cb_contested(1.5, 99, 4), t.cb_missing_mass(20, 4)):\n"
        "    print(t.gaps(t.lcb(), problem, [30, 300], 5).tobytes().hex())\n"
    )
    here = os.path.dirname(__file__)
    plain, compiled_run = (
        subprocess.run(
            [sys.executable, "-c", program, here],
            env={**os.environ, "NUMBA_DISABLE_JIT": flag},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for flag in ("1", "0")
    )
    assert plain == compiled_run
    assert len(set(plain.split())) > 10
