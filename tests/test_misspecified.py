"""Problems whose linear model is wrong by eps: that they are, by no more, and as they say."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import optimize, special, stats

from banditlab import make_problem, random
from banditlab.parts.misspecified import MODES, assert_misspecified, coherence
from banditlab.problems.sparse_needle import hit_probability, mean_queries, threshold


def world_of(name, replication=0, **parameters):
    problem = make_problem(name, **parameters)
    with np.errstate(over="ignore"):
        nature = random.stream(random.key(3), replication, random.NATURE)
        return problem, problem.init(problem.params, nature), nature


# --- the checker ------------------------------------------------------------------------------


def test_the_checker_lets_eps_pass_and_no_more():
    x, theta = np.eye(3), np.array([1.0, -2.0, 0.0])
    assert assert_misspecified(x, theta, [1.1, -2.1, 0.1], 0.1) == pytest.approx(0.1)
    assert assert_misspecified(x, theta, theta, 0.0) == 0.0
    with pytest.raises(AssertionError, match="arm 2 is off by 0.1000"):
        assert_misspecified(x, theta, [1.0, -2.0, 0.1 + 1e-9], 0.1)
    # Rounding of large values is none of the model's error, but nothing beyond it.
    big = np.full((1, 3), 1e8 / 3)
    mean = float((big @ theta)[0])
    assert_misspecified(big, theta, [np.nextafter(mean, 0)], 0.0)
    with pytest.raises(AssertionError, match="off by"):
        assert_misspecified(big, theta, [mean + 1e-5], 0.0)


# --- benign_gauss -----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_keeps_to_eps(mode):
    farthest = []
    for r in range(20):
        _, world, _ = world_of("benign_gauss", r, dim=6, n_arms=40, s=2, eps=0.1, mode=mode)
        assert world.eps[0] == 0.1
        farthest.append(assert_misspecified(world.x, world.theta, world.mean, 0.1))
        np.testing.assert_allclose(np.linalg.norm(world.x, axis=1), 1.0, atol=1e-14)
        assert np.count_nonzero(world.theta) == 2
        assert 0.5 <= np.linalg.norm(world.theta) <= 1.0
        assert world.best[0] == world.mean.max()
        nu = world.mean - world.x @ world.theta
        if mode == "sign":
            np.testing.assert_allclose(np.abs(nu), 0.1, atol=1e-15)
        if mode == "hide":
            hidden = np.abs(world.linear) <= 0.1
            assert hidden.any() and (world.mean[hidden] == 0.0).all()
            np.testing.assert_array_equal(world.mean[~hidden], world.linear[~hidden])
        if mode == "decoy":
            exact = np.argsort(world.linear)[-2:]
            np.testing.assert_array_equal(world.mean[exact], world.linear[exact])
    expected = {"none": 0.0, "sign": 0.1, "decoy": 0.1}
    assert max(farthest) == pytest.approx(expected.get(mode, 0.1), abs=0.01)


def test_signs_are_even_and_drawn_anew():
    worlds = [world_of("benign_gauss", r, dim=3, n_arms=200, s=1)[1] for r in range(20)]
    signs = np.array([np.sign(w.mean - w.linear) for w in worlds])
    assert abs(signs.mean()) < 4.5 / math.sqrt(signs.size)
    assert len({tuple(row) for row in signs}) == 20
    supports = {int(np.flatnonzero(w.theta)[0]) for w in worlds}
    assert supports == {0, 1, 2}


def test_errors_belong_to_the_arm_and_noise_does_not():
    """The same arm is off by the same in every round: it never averages out."""
    problem, world, nature = world_of("benign_gauss", dim=3, n_arms=5, s=1, noise=0.5, eps=0.3)
    with np.errstate(over="ignore"):
        paid = [problem.pull(problem.params, world, world.x, 2, nature) for _ in range(4000)]
        batch = [problem.batch(problem.params, world, world.x, 2, 9, nature) for _ in range(4000)]
    assert np.mean(paid) == pytest.approx(world.mean[2], abs=4.5 * 0.5 / math.sqrt(4000))
    assert np.std(paid) == pytest.approx(0.5, rel=0.06)
    assert np.mean(batch) == pytest.approx(9 * world.mean[2], abs=4.5 * 1.5 / math.sqrt(4000))
    assert np.std(batch) == pytest.approx(1.5, rel=0.06)
    assert abs(world.mean[2] - world.linear[2]) == pytest.approx(0.3)


# --- ls_decoy ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [8, 16, 40])
def test_the_decoy_is_built_as_it_says(dim):
    eps, c = 0.02, 0.5
    _, world, _ = world_of("ls_decoy", dim=dim, eps=eps, c=c)
    n_arms = 8 * dim
    assert world.x.shape == (n_arms, dim) and set(np.unique(world.x)) == {-1.0, 1.0}
    assert assert_misspecified(world.x, world.theta, world.mean, eps) == pytest.approx(eps)
    support = np.argsort(-world.theta)[:3]
    w = c * eps * math.sqrt(dim) / 2
    np.testing.assert_allclose(world.theta[support], [0.5, 0.3, w], atol=1e-15)
    assert np.count_nonzero(world.theta) == 3
    exact = np.flatnonzero(np.abs(world.mean - world.linear) < eps / 2)
    assert exact.size == 2
    best, decoy = sorted(exact, key=lambda k: -world.mean[k])
    np.testing.assert_array_equal(world.x[best][support], [1, 1, 1])
    np.testing.assert_array_equal(world.x[decoy][support], [1, 1, -1])
    assert world.mean[best] == world.best[0]
    assert world.mean[best] - world.mean[decoy] == pytest.approx(c * eps * math.sqrt(dim))
    others = np.delete(np.arange(n_arms), exact)
    assert (world.x[others, support[0]] == -1).all()
    # The bias of least squares on all arms, in closed form (and by NumPy).
    u = world.x @ np.linalg.solve(world.x.T @ world.x / n_arms, world.x[decoy])
    theta = np.linalg.lstsq(world.x, world.mean, rcond=None)[0]
    bias = eps * (np.abs(u).sum() - abs(u[best]) - abs(u[decoy])) / n_arms
    assert world.x[decoy] @ (theta - world.theta) == pytest.approx(bias, rel=1e-9)
    assert np.abs(u).mean() == pytest.approx(math.sqrt(2 * dim / math.pi), rel=0.15)
    # Signs are what makes it largest: any others make it smaller.
    rng = np.random.default_rng(0)
    for _ in range(20):
        nu = eps * np.where(rng.uniform(size=n_arms) < 0.5, -1, 1)
        assert (u * nu).mean() < bias


# --- jl_needle --------------------------------------------------------------------------------


def test_the_needle_among_arms():
    features, hidden = [], []
    for r in range(40):
        _, world, _ = world_of("jl_needle", r, dim=8, n_arms=30, gap=2.0, seed=5)
        best = int(world.mean.argmax())
        np.testing.assert_array_equal(world.mean, 2.0 * (np.arange(30) == best))
        np.testing.assert_allclose(world.theta, 2.0 * world.x[best], atol=1e-15)
        others = np.abs(np.delete(world.x @ world.x[best], best))
        assert world.eps[0] == pytest.approx(2.0 * others.max())
        assert world.eps[0] <= 2.0 * coherence(world.x) * (1 + 1e-12)
        assert_misspecified(world.x, world.theta, world.mean, world.eps[0])
        features.append(world.x)
        hidden.append(best)
    assert all(np.array_equal(x, features[0]) for x in features) and len(set(hidden)) > 15
    _, world, _ = world_of("jl_needle", dim=8, n_arms=30, hidden=7)
    assert world.mean[7] == 1.0 and not np.array_equal(world.x, features[0])


def test_random_vectors_are_as_coherent_as_their_median_says():
    dim, n_arms, runs = 16, 60, 60
    pairs = n_arms * (n_arms - 1) / 2

    def above(t):
        q = special.betainc((dim - 1) / 2, 0.5, 1 - t * t)
        return 1 - (1 - q) ** pairs - 0.5

    median = optimize.brentq(above, 0.05, 0.99)
    found = [
        coherence(world_of("jl_needle", dim=dim, n_arms=n_arms, seed=seed)[1].x)
        for seed in range(runs)
    ]
    below = int(np.sum(np.array(found) < median))
    assert stats.binomtest(below, runs, 0.5).pvalue > 1e-4


# --- sparse_needle ----------------------------------------------------------------------------


def test_the_chance_of_a_hit_is_that_of_enumeration():
    assert hit_probability(4, 16, 2) == 49 / 1820
    for s, dim, m0 in ((2, 7, 0), (3, 7, 1), (3, 6, 2)):
        sets = list(itertools.combinations(range(dim), s))
        hits = sum(len({*t} & {*range(s)}) > m0 for t in sets)
        assert hit_probability(s, dim, m0) == hits / len(sets)
        assert mean_queries(s, dim, m0) == (len(sets) + 1) / (hits + 1)
    limits = [1 / hit_probability(s, s * s, threshold(s, 1.0)) for s in (40, 80)]
    assert abs(limits[1] - 1 / (1 - 2 / math.e)) < abs(limits[0] - 1 / (1 - 2 / math.e)) < 0.01
    table = {0.25: 9.6e8, 0.5: 563, 0.75: 14, 1.0: 3.8}
    for delta, value in table.items():
        assert 1 / hit_probability(20, 400, threshold(20, delta)) == pytest.approx(value, rel=0.02)


@pytest.mark.parametrize(("s", "dim", "m0"), [(3, 7, 1), (3, 5, 2), (2, 4, 0), (3, 3, 2)])
def test_the_needle_of_sets_is_wrong_by_its_overlap(s, dim, m0):
    problem, world, nature = world_of("sparse_needle", s=s, dim=dim, overlap=m0, gap=1.2)
    sets = np.array(list(itertools.combinations(range(dim), s)))
    x = np.array([np.isin(np.arange(dim), t) / math.sqrt(s) for t in sets])
    theta = 1.2 * world.hidden / math.sqrt(s)
    with np.errstate(over="ignore"):
        mean = [problem.pay(problem.params, world, t, nature) for t in sets]
    eps = 1.2 * m0 / s
    overlaps = (sets[:, :, None] == np.flatnonzero(world.hidden)).any(axis=2).sum(axis=1)
    attained = (overlaps == m0).any()  # not where every set overlaps by more
    expected = eps if attained else 0.0
    assert assert_misspecified(x, theta, mean, eps) == pytest.approx(expected, abs=1e-15)
    regrets = [problem.regret(problem.params, world, t) for t in sets]
    np.testing.assert_allclose(regrets, 1.2 - np.array(mean), atol=1e-15)
    assert np.argmin(regrets) == np.flatnonzero(overlaps == s)[0] and min(regrets) == 0.0


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("benign_gauss", {"dim": 3, "n_arms": 9, "s": 0}, "s must be at least 1, got 0"),
        ("benign_gauss", {"dim": 3, "n_arms": 9, "s": 4}, "s must be at most 3, got 4"),
        ("benign_gauss", {"dim": 3, "n_arms": 0, "s": 1}, "n_arms must be at least 2, got 0"),
        ("benign_gauss", {"dim": 3, "n_arms": 9, "s": 1, "eps": -1}, "eps must be at least 0"),
        ("benign_gauss", {"dim": 3, "n_arms": 9, "s": 1, "noise": -1}, "noise must be at least 0"),
        ("benign_gauss", {"dim": 3, "n_arms": 9, "s": 1, "mode": "x"}, "mode must be one of none,"),
        ("benign_gauss", {"dim": 3, "n_arms": 2, "s": 1, "mode": "decoy"}, "at least dim, 3, for"),
        ("ls_decoy", {"dim": 7}, "dim must be at least 8"),
        ("ls_decoy", {"dim": 8, "n_arms": 31}, "n_arms must be at least 4 dim, 32, or 0, got 31"),
        ("ls_decoy", {"dim": 64, "eps": 0.2}, "eps must be at most 0.15 for dim 64 and c 0.5"),
        ("ls_decoy", {"dim": 64, "c": 0}, "c must be positive"),
        ("jl_needle", {"dim": 1, "n_arms": 4}, "dim must be at least 2"),
        ("jl_needle", {"dim": 2, "n_arms": 4, "gap": 0}, "gap must be positive"),
        ("jl_needle", {"dim": 2, "n_arms": 4, "hidden": 4}, "hidden must be an arm, 0 to 3, or -1"),
        ("jl_needle", {"dim": 2, "n_arms": 4, "seed": -1}, "seed must be at least 0"),
        ("sparse_needle", {"s": 0}, "s must be at least 1, got 0"),
        ("sparse_needle", {"s": 3, "dim": 2}, "dim must be at least s, 3, got 2"),
        ("sparse_needle", {"s": 3, "overlap": 3}, "overlap must be at most 2"),
        ("sparse_needle", {"s": 3, "exponent": 1.5}, "exponent must lie in"),
        ("sparse_needle", {"s": 3, "gap": float("nan")}, "gap must be finite"),
    ],
)
def test_bad_problems_are_refused(name, parameters, words):
    with pytest.raises(ValueError, match=words) as caught:
        make_problem(name, **parameters)
    assert "\n" not in str(caught.value)
