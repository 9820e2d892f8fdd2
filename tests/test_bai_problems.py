"""The problems for private identification against their definitions.

A z of 4.5 is exceeded by chance in 7 of a million comparisons; with fixed seeds, never or always.
"""

import numpy as np
import pytest
from scipy import stats

from banditlab import make_problem, random
from banditlab.core import kernel
from banditlab.problems.hard_family import hard_family
from banditlab.problems.lin_sphere import lin_sphere
from banditlab.problems.paper_linear import paper_linear

Z = 4.5


def world_of(problem, replication=0):
    with np.errstate(over="ignore"):
        nature = random.stream(random.key(5), replication, random.NATURE)
        world = problem.init(problem.params, nature)
        x = problem.observe(problem.params, world, 0, nature)
    return world, x, nature


def means_of(problem, world, x, top):
    regrets = [problem.regret(problem.params, world, x, k) for k in range(problem.shape[0])]
    return top - np.array(regrets)


def hardness(means, dim, epsilon):
    """H_BAI and H_pri of the specification."""
    gaps = np.sort(means.max() - means)  # gaps[0] = 0 is the best arm's
    ranks = np.arange(2, min(dim * dim, means.size) + 1)
    return (ranks / gaps[ranks - 1] ** 2).max(), (ranks / gaps[ranks - 1]).max() / epsilon


def test_paper_linear_means_and_hardness():
    problem = paper_linear()
    world, x, _ = world_of(problem)
    means = means_of(problem, world, x, 0.5)
    grid = 0.8 * np.arange(27) / 27
    assert x.shape == (30, 2)
    np.testing.assert_allclose(x @ [0.045, 0.5], means, atol=1e-15)
    np.testing.assert_allclose(means[:3], [0.5, 0.45, 0.45], atol=1e-15)
    np.testing.assert_allclose(means[3:], 0.045 + 0.5 * grid, atol=1e-15)
    assert means[3:].max() == pytest.approx(0.43019, abs=1e-5)
    h_bai, h_pri = hardness(means, 2, epsilon=0.05)
    assert h_bai == pytest.approx(1200) and h_pri == pytest.approx(60 / 0.05)


def test_paper_linear_pays_uniform_rewards():
    problem = paper_linear()
    world, x, nature = world_of(problem)
    with np.errstate(over="ignore"):
        for arm, mean in ((0, 0.5), (2, 0.45), (3, 0.045)):
            rewards = [problem.pull(problem.params, world, x, arm, nature) for _ in range(2000)]
            assert stats.kstest(rewards, "uniform", args=(0.0, 2 * mean)).pvalue > 1e-4


def test_random_omegas_are_drawn_anew_and_lie_below_the_best_arm():
    problem = paper_linear(omega="random")
    omegas = np.array([world_of(problem, r)[1][3:, 1] for r in range(60)])
    assert stats.kstest(omegas.ravel(), "uniform", args=(0.0, 0.8)).pvalue > 1e-4
    assert np.unique(omegas).size == omegas.size
    np.testing.assert_array_equal(world_of(problem)[1][:3], [[0, 1], [0, 0.9], [10, 0]])


@pytest.mark.parametrize(("n_arms", "dim", "gap"), [(2, 2, 0.1), (50, 3, 0.1), (200, 8, 0.05)])
def test_lin_sphere_is_what_it_says(n_arms, dim, gap):
    problem = lin_sphere(n_arms, dim, gap, seed=3)
    world, x, _ = world_of(problem)
    u = np.full(dim, 1 / np.sqrt(dim))
    means = means_of(problem, world, x, 0.9)
    assert x.shape == (n_arms, dim) == (problem.shape[0], problem.shape[2])
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1.0, atol=1e-14)
    np.testing.assert_allclose(0.9 * x @ u, means, atol=1e-14)
    assert (x >= 0).all() and (means[1:] <= 0.9 - gap).all()
    np.testing.assert_array_equal(x, world_of(problem, replication=7)[1])
    assert not np.array_equal(x[1:], world_of(lin_sphere(n_arms, dim, gap, seed=4))[1][1:])


def test_lin_sphere_directions_have_the_conditional_law():
    gap = 0.1
    _, x, _ = world_of(lin_sphere(3000, 3, gap, seed=1))
    directions = np.abs(np.random.default_rng(1).standard_normal((20_000, 3)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions = directions[0.9 * directions.sum(axis=1) / np.sqrt(3) <= 0.9 - gap]
    assert stats.ks_2samp(x[1:, 0], directions[:, 0]).pvalue > 1e-4
    assert stats.ks_2samp(x[1:].sum(axis=1), directions.sum(axis=1)).pvalue > 1e-4


@kernel
def sums(problem, world, x, arm, n, rng, batched, out):
    for i in range(out.size):
        if batched:
            out[i] = problem.batch(problem.params, world, x, arm, n, rng)
        else:
            total = 0.0
            for _ in range(n):
                total += problem.pull(problem.params, world, x, arm, rng)
            out[i] = total


def test_a_batch_has_the_law_of_its_pulls():
    problem = lin_sphere(4, 3)
    world, x, nature = world_of(problem)
    n = 12
    for arm in (0, 1):
        law = stats.binom(n, means_of(problem, world, x, 0.9)[arm])
        for batched in (True, False):
            drawn = np.empty(4000)
            with np.errstate(over="ignore"):
                sums(problem, world, x, arm, n, nature, batched, drawn)
            z = (drawn.mean() - law.mean()) / np.sqrt(law.var() / drawn.size)
            assert abs(z) < Z
            counts = np.bincount(drawn.astype(int), minlength=n + 1)
            expected = law.pmf(np.arange(n + 1)) * drawn.size
            common = expected > 5
            chi2 = ((counts - expected)[common] ** 2 / expected[common]).sum()
            assert stats.chi2.sf(chi2, common.sum() - 1) > 1e-5


def test_hard_family_raises_one_arm():
    gaps = [0.0, 0.1, 0.2, 0.3]
    for member in range(4):
        problem = hard_family(gaps, member)
        world, x, _ = world_of(problem)
        expected = 0.5 - np.array(gaps)
        expected[member] = 0.5 + gaps[member]
        np.testing.assert_array_equal(x, np.eye(4))
        np.testing.assert_allclose(
            means_of(problem, world, x, expected.max()), expected, atol=1e-15
        )
        assert problem.regret(problem.params, world, x, member) == 0.0


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("paper_linear", {"omega": "even"}, "omega must be one of grid, random"),
        ("lin_sphere", {"n_arms": 1, "dim": 2}, "n_arms must be at least 2"),
        ("lin_sphere", {"n_arms": 3, "dim": 1}, "dim must be at least 2"),
        ("lin_sphere", {"n_arms": 3, "dim": 4}, "n_arms must be at least dim, 4"),
        ("lin_sphere", {"n_arms": 9, "dim": 3, "gap": 0.0}, "gap must be positive"),
        ("lin_sphere", {"n_arms": 9, "dim": 3, "gap": 0.38}, "gap must be at most 0.3"),
        ("lin_sphere", {"n_arms": 9, "dim": 3, "seed": -1}, "seed must be at least 0"),
        ("lin_sphere", {"n_arms": 9, "dim": 3, "seed": 2**63}, "seed must be below"),
        ("hard_family", {"gaps": [0.0]}, "at least 2"),
        ("hard_family", {"gaps": [0.1, 0.2]}, r"gaps\[0\] must be 0"),
        ("hard_family", {"gaps": [0.0, 0.6]}, r"gaps\[1\]"),
        ("hard_family", {"gaps": [0.0, 0.2, 0.0]}, "unique"),
        ("hard_family", {"gaps": [0.0, 0.2], "member": 2}, "member must be an arm, 0 to 1"),
    ],
)
def test_bad_input_is_refused(name, parameters, words):
    with pytest.raises(ValueError, match=words) as caught:
        make_problem(name, **parameters)
    assert "\n" not in str(caught.value)


def test_ties_are_allowed_when_flagged():
    problem = hard_family([0.0, 0.2, 0.0], ties=True)
    world, x, _ = world_of(problem)
    regrets = [problem.regret(problem.params, world, x, k) for k in range(3)]
    np.testing.assert_allclose(regrets, [0.0, 0.2, 0.0])
