"""Agents that stand on the Lasso against slow programs around scikit-learn, and their problem."""

import math
import time

import numpy as np
import pytest
from sklearn.linear_model import Lasso

import banditlab
from banditlab import random
from banditlab.compile import compiled
from banditlab.core import Task
from banditlab.problems import sparse_contexts as contexts
from banditlab.protocols import online

ARMS, DIM = 4, 8


def fitted(x, y, lam, start=None):
    model = Lasso(alpha=lam, fit_intercept=False, tol=1e-12, max_iter=10**6)
    return model.fit(np.array(x), np.array(y)).coef_


def rounds(count, seed=0, dim=DIM):
    """Features of +-1 and rewards that two of them decide, for a fixed sequence of rounds."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], size=(count, ARMS, dim))
    return x, x[:, :, 1] - 0.5 * x[:, :, 6] + 0.7 * rng.normal(size=(count, ARMS))


def test_th_lasso_chooses_as_a_slow_program_does():
    agent = banditlab.Agent("th_lasso", n_arms=ARMS, dim=DIM, lam0=0.1)
    xs, rewards = rounds(120)
    seen, paid, theta, sizes = [], [], np.zeros(DIM), []
    for t, (x, reward) in enumerate(zip(xs, rewards, strict=True), start=1):
        expected = np.eye(ARMS)[(x @ theta).argmax()]
        if t > 1 and not theta.any():
            expected = np.full(ARMS, 1 / ARMS)
        np.testing.assert_allclose(agent.propensities(x), expected)
        arm = agent.act(x)
        assert expected[arm] > 0 and (t > 1 or arm == 0)
        agent.update(x, arm, reward[arm])
        seen.append(x[arm])
        paid.append(reward[arm])
        lam = max(0.1 * math.sqrt(2 * math.log(t) * math.log(DIM) / t), 1e-6)
        if t > 1:  # in the first round the minimum is as good as not unique
            first = fitted(seen, paid, lam)
            kept = np.abs(first) > 4 * lam
            kept &= np.abs(first) > 4 * lam * math.sqrt(max(kept.sum(), 1))
            theta = np.zeros(DIM)
            if kept.any():
                theta[kept] = np.linalg.lstsq(np.array(seen)[:, kept], paid, rcond=None)[0]
            np.testing.assert_allclose(agent.state.theta, theta, atol=1e-5)
            sizes.append(int(kept.sum()))
        else:
            theta = agent.state.theta.copy()
    assert 0 in sizes and sizes[-1] == 2  # both rules were met, and the support was found
    assert np.flatnonzero(theta).tolist() == [1, 6]


def test_th_lasso_keeps_the_conditions_in_every_round_with_more_features_than_rows():
    agent = banditlab.Agent("th_lasso", n_arms=ARMS, dim=60)
    xs, rewards = rounds(50, dim=60)
    seen, paid = [], []
    for t, (x, reward) in enumerate(zip(xs, rewards, strict=True), start=1):
        arm = t % ARMS
        agent.update(x, arm, reward[arm])
        seen.append(x[arm])
        paid.append(reward[arm])
        lam = max(0.02 * math.sqrt(2 * math.log(t) * math.log(60) / t), 1e-6)
        theta = agent.state.lasso
        slope = np.array(seen).T @ (paid - np.array(seen) @ theta) / t
        off = np.where(theta != 0, np.abs(slope - lam * np.sign(theta)), np.abs(slope) - lam)
        assert off.max() <= 1.001e-6
    assert 20 < np.count_nonzero(theta) <= 50


@pytest.mark.slow
def test_th_lasso_is_quick_where_it_was_published():
    """1000 features, 1000 rounds, a refit every round: a trial takes far less than 18 CPU s."""
    problem = banditlab.registry.make_problem(
        "sparse_contexts", law="gaussian", dim=1000, n_arms=2, s=20, noise=1.0
    )
    record = np.zeros((2, 1, 3))
    task = Task(*problem.shape, 1000)
    args = (task, random.key(7), 0, 0, np.array([1000]), np.zeros(2, np.int64), record)
    with np.errstate(over="ignore"):
        pair = compiled(online.run_block, (banditlab.make("th_lasso"), problem), args)
        began = time.process_time()
        pair(*args)
    assert (time.process_time() - began) / 2 < 18.0  # 20 trials in 3 minutes on two cores
    assert record[:, 0, 0].mean() < 200  # arms at random lose about 650


def test_sa_lasso_plays_greedily_on_the_lasso_of_all_rows():
    agent = banditlab.Agent("sa_lasso", n_arms=ARMS, dim=DIM, sigma=0.1, x_max=1.5)
    xs, rewards = rounds(60, seed=1)
    seen, paid, theta = [], [], np.zeros(DIM)
    for t, (x, reward) in enumerate(zip(xs, rewards, strict=True), start=1):
        arm = agent.act(x)
        assert arm == (x @ theta).argmax()
        agent.update(x, arm, reward[arm])
        seen.append(x[arm])
        paid.append(reward[arm])
        lam = 2 * 0.1 * 1.5 * math.sqrt((4 * math.log(t) + 2 * math.log(DIM)) / t)
        theta = fitted(seen, paid, lam)
        np.testing.assert_allclose(agent.state.theta, theta, atol=1e-5)
        theta = agent.state.theta.copy()
    assert theta[1] > 0.2


def test_estc_explores_and_then_keeps_the_lasso_of_what_it_saw():
    agent = banditlab.Agent("estc", n_arms=ARMS, dim=DIM, explore=40, sigma=0.7)
    xs, rewards = rounds(60, seed=2)
    seen, paid, arms = [], [], []
    for t, (x, reward) in enumerate(zip(xs, rewards, strict=True)):
        arm = agent.act(x)
        if t < 40:
            assert agent.propensities(x).tolist() == [1 / ARMS] * ARMS
            seen.append(x[arm])
            paid.append(reward[arm])
            arms.append(arm)
        else:
            # The paper's loss |y - X theta|^2 / n has twice the level of one with 1 / (2 n).
            lam = 4 * 0.7 * math.sqrt(math.log(DIM) / 40)
            theta = fitted(seen, paid, lam / 2)
            np.testing.assert_allclose(agent.state.theta, theta, atol=1e-6)
            assert agent.propensities(x)[(x @ theta).argmax()] == 1.0 and theta.any()
        agent.update(x, arm, reward[arm])
    assert set(arms) == set(range(ARMS))


def test_estc_explores_as_long_as_the_theorem_says():
    from banditlab.agents.sparse.estc import ESTC
    from banditlab.agents.sparse.estc import rounds as explored

    task = Task(ARMS, 1, 100, 2000)
    # (2 (3 * .5 * 2000 / (2 * .5))^2 ln 200)^(1/3)
    assert explored(ESTC(0, 0.5, 3, 2.0, 0.5), task) == math.floor(456.88) + 1
    assert explored(ESTC(0, 0.5, 3, 2.0, 0.5), task._replace(horizon=0)) == 200
    assert explored(ESTC(0, 9.0, 30, 1.0, 0.1), task) == 2000  # no longer than there is


# --- sparse_commit ------------------------------------------------------------------------------


def commit(x, means, horizon, **hyper):
    """The agent after its pulls of exact means, and the pulls."""
    agent = banditlab.Agent(
        "sparse_commit", n_arms=len(x), dim=x.shape[1], horizon=horizon, **hyper
    )
    pulls = agent.act(x)
    agent.update(x, pulls, pulls * means)
    assert not agent.act(x).any()
    return agent, pulls


def instance(n_arms=60, dim=20, eps=0.05, seed=3, signs=True):
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], size=(n_arms, dim)) if signs else rng.normal(size=(n_arms, dim))
    if not signs:
        x /= np.linalg.norm(x, axis=1)[:, None]
    theta = np.zeros(dim)
    theta[rng.permutation(dim)[:3]] = [0.5, -0.4, 0.3]
    return x, theta, x @ theta + eps * rng.choice([-1, 1], n_arms)


def test_without_noise_every_arm_is_pulled_once_and_the_level_is_eps_on_signs():
    x, theta, means = instance()
    agent, pulls = commit(x, means, 60, eps=0.05, sigma=0.0)
    assert pulls.tolist() == [1] * 60
    np.testing.assert_allclose(agent.state.theta, fitted(x, means, 0.05), atol=1e-8)
    assert (agent.recommend(x) == np.eye(60)[(x @ agent.state.theta).argmax()]).all()
    refit, _ = commit(x, means, 60, eps=0.05, sigma=0.0, s=3, refit=True)
    on = theta != 0
    np.testing.assert_allclose(
        refit.state.theta[on], np.linalg.lstsq(x[:, on], means, rcond=None)[0], atol=1e-9
    )
    assert not refit.state.theta[~on].any()
    two, _ = commit(x, means, 60, eps=0.05, sigma=0.0, s=2, refit=True)
    assert np.count_nonzero(two.state.theta) == 2
    assert two.state.theta[on][np.abs(theta[on]).argmin()] == 0.0  # the smallest, not the lowest
    given, _ = commit(x, means, 60, eps=9.0, sigma=0.0, lam=0.2)
    np.testing.assert_allclose(given.state.theta, fitted(x, means, 0.2), atol=1e-8)


def test_with_noise_the_number_of_pulls_and_the_level_are_those_of_the_formula():
    x, _, means = instance(n_arms=7, signs=False)
    means = 10 * means  # the Lasso is not 0
    hyper = {"eps": 0.1, "sigma": 0.3, "delta": 0.1}
    n = math.ceil(2 * 9 * math.log(2 * 20 / 0.1))
    agent, pulls = commit(x, means, 10_000, **hyper)
    assert pulls.sum() == n and pulls.max() - pulls.min() <= 1
    rows = np.repeat(x, pulls, axis=0)
    rms, mean = np.sqrt((rows**2).mean(axis=0)).max(), np.abs(rows).mean(axis=0).max()
    lam = 0.1 * mean + 0.3 * rms * math.sqrt(2 * math.log(400) / n)
    expected = fitted(rows, np.repeat(means, pulls), lam)
    np.testing.assert_allclose(agent.state.theta, expected, atol=1e-8)
    assert expected.any()
    assert commit(x, means, 50, **hyper)[1].sum() == 50  # no more than the budget
    assert commit(x, means, 3, **hyper)[1].tolist().count(1) == 3
    assert commit(x, means, 900, **{**hyper, "eps": 0.0})[1].sum() == 900  # eps = 0: all of it
    at_least = math.ceil(10 * 20 * math.log(20))
    assert commit(x, means, 10_000, eps=1.0, sigma=0.1, s=20)[1].sum() == at_least


def test_the_level_does_not_wipe_out_short_features():
    """On rows of length 1 the cruder level x_inf eps makes theta 0; this one never does."""
    wiped = 0
    for seed in range(20):
        x, _, means = instance(300, 32, 0.05, seed, signs=False)
        agent, _ = commit(x, means, 300, eps=0.05, sigma=0.0)
        assert agent.state.theta.any()
        crude, _ = commit(x, means, 300, sigma=0.0, lam=float(np.abs(x).max()) * 0.05)
        wiped += not crude.state.theta.any()
        arm = agent.recommend(x).argmax()
        assert means.max() - means[arm] <= 4 * 0.05
    assert wiped >= 10


def test_neither_the_order_of_arms_and_features_nor_empty_features_matter():
    x, _, means = instance(signs=False)
    plain, _ = commit(x, means, 60, eps=0.05, sigma=0.0)
    rng = np.random.default_rng(4)
    rows, columns = rng.permutation(60), rng.permutation(20)
    moved, _ = commit(x[rows][:, columns], means[rows], 60, eps=0.05, sigma=0.0)
    np.testing.assert_allclose(moved.state.theta, plain.state.theta[columns], atol=1e-9)
    assert rows[moved.recommend(x[rows][:, columns]).argmax()] == plain.recommend(x).argmax()
    wide, _ = commit(np.hstack([x, np.zeros((60, 5))]), means, 60, eps=0.05, sigma=0.0)
    np.testing.assert_allclose(wide.state.theta[:20], plain.state.theta, atol=1e-12)
    exact, _ = commit(x, means, 60, eps=0.0, sigma=0.0)  # a level as good as 0: least squares
    least = np.linalg.lstsq(x, means, rcond=None)[0]
    np.testing.assert_allclose(exact.state.theta, least, atol=1e-5)


BAD = [
    ("th_lasso", {"lam0": 0}, "lam0 must be positive, got 0"),
    ("sa_lasso", {"sigma": -1}, "sigma must be positive, got -1"),
    ("sa_lasso", {"x_max": math.inf}, "x_max must be finite, got inf"),
    ("estc", {"explore": -1}, "explore must be at least 0, got -1"),
    ("estc", {"c_min": 0}, "c_min must be positive, got 0"),
    ("estc", {"s": 0}, "s must be at least 1, got 0"),
    ("sparse_commit", {"eps": -0.1}, "eps must be at least 0, got -0.1"),
    ("sparse_commit", {"sigma": math.nan}, "sigma must be finite, got nan"),
    ("sparse_commit", {"s": -1}, "s must be at least 0, got -1"),
    ("sparse_commit", {"delta": 1.0}, "delta must lie strictly between 0 and 1, got 1.0"),
    ("sparse_commit", {"lam": -1}, "lam must be at least 0, got -1"),
    ("sparse_commit", {"refit": "no"}, "refit must be true or false, got 'no'"),
]


@pytest.mark.parametrize(("name", "hyper", "line"), BAD, ids=[f"{n}-{h}" for n, h, _ in BAD])
def test_bad_hyper_parameters(name, hyper, line):
    with pytest.raises(ValueError, match=f"{name}: {line}"):
        banditlab.make(name, **hyper)


def test_features_that_say_nothing_are_refused():
    agent = banditlab.Agent("sparse_commit", n_arms=3, dim=2, horizon=9)
    with pytest.raises(ValueError, match="the features of all arms are 0"):
        agent.act(np.zeros((3, 2)))
    with pytest.raises(ValueError):
        agent.act(np.full((3, 2), np.nan))
    with pytest.raises(ValueError, match="s must be at most 2, the number of features, got 3"):
        banditlab.Agent("sparse_commit", n_arms=3, dim=2, horizon=9, s=3).act(np.eye(3)[:, :2])
    assert banditlab.make("sparse_commit", s=None).params.s == 0


# --- the problem --------------------------------------------------------------------------------


def world(**parameters):
    problem = banditlab.registry.make_problem("sparse_contexts", **parameters)
    nature = random.stream(random.key(5), 0, random.NATURE)
    with np.errstate(over="ignore"):
        return problem, problem.init(problem.params, nature), nature


def drawn(problem, state, nature, count):
    with np.errstate(over="ignore"):
        return np.array(
            [problem.observe(problem.params, state, t, nature).copy() for t in range(count)]
        )


def test_features_have_the_laws_they_say():
    problem, state, nature = world(law="signs", dim=6, n_arms=4)
    assert set(np.unique(drawn(problem, state, nature, 200))) == {-1.0, 1.0}
    assert np.sort(state.theta)[::-1].tolist() == pytest.approx([1 / 3] * 3 + [0] * 3)

    problem, state, nature = world(law="gaussian", dim=9, n_arms=2, s=2, x_max=100.0)
    x = drawn(problem, state, nature, 3000)
    pairs = np.stack([x[:, 0].ravel(), x[:, 1].ravel()])
    np.testing.assert_allclose(np.cov(pairs), [[1, 0.7], [0.7, 1]], atol=0.04)
    across = np.corrcoef(x[:, 0].T)
    assert np.abs(across - np.eye(9)).max() < 0.08
    support = state.theta[state.theta != 0]
    assert support.size == 2 and (support >= 1).all() and (support <= 2).all()
    problem, state, nature = world(law="gaussian", dim=9, n_arms=2, x_max=2.0)
    norms = np.linalg.norm(drawn(problem, state, nature, 300), axis=2)
    assert norms.max() <= 2.0 + 1e-12 and (norms < 1.99).any() and (norms > 1.999).any()

    problem, state, nature = world(law="uniform", dim=5, n_arms=3)
    x = drawn(problem, state, nature, 2000)
    assert np.abs(x).max() <= 1.0 and abs(x.var() - 1 / 3) < 0.01 and abs(x.mean()) < 0.02

    problem, state, nature = world(law="elliptical", dim=4, n_arms=3)
    x = drawn(problem, state, nature, 3000).reshape(-1, 4)
    expected = state.basis @ state.basis.T / contexts.INNER  # E R^2 = 1, E u u^T = I / INNER
    np.testing.assert_allclose(np.cov(x.T), expected, atol=0.05)
    assert (x**4).mean() > 5 * (x**2).mean() ** 2  # heavier tails than a normal's 3

    problem, state, nature = world(law="hard", dim=7)
    x = drawn(problem, state, nature, 2000)
    assert problem.shape == (3, 1, 7) and state.theta.tolist() == [1, 0.1, 1, 0, 0, 0, 0]
    first = (x[:, :, :3] == contexts.BLOCKS[0]).all(axis=(1, 2))
    assert ((x[:, :, :3] == contexts.BLOCKS[1]).all(axis=(1, 2)) == ~first).all()
    assert abs(first.mean() - 0.3) < 0.04 and abs(x[:, :, 3:].var() - 1.0) < 0.05


@pytest.mark.parametrize("law", contexts.LAWS)
def test_the_mean_is_linear_but_for_eps_and_regret_is_against_it(law):
    problem, state, nature = world(law=law, dim=6, n_arms=3, eps=0.2, noise=0.0)
    sides = set()
    for x in drawn(problem, state, nature, 20):
        with np.errstate(over="ignore"):
            means = [problem.pull(problem.params, state, x, k, nature) for k in range(3)]
            again = [problem.pull(problem.params, state, x, k, nature) for k in range(3)]
        error = np.array(means) - x @ state.theta
        np.testing.assert_allclose(error, 0.2 * np.sign(x @ state.direction), atol=1e-12)
        assert np.abs(error).max() <= 0.2 * (1 + 1e-9) and means == again  # no noise: it stays
        sides |= set(np.sign(error))
        for k in range(3):
            found = problem.regret(problem.params, state, x, k)
            assert found == pytest.approx(max(means) - means[k], abs=1e-12)
    assert sides == {-1.0, 1.0}


BAD_PROBLEMS = [
    ({"dim": 0}, "dim must be at least 1"),
    ({"dim": 2, "law": "hard"}, "dim must be at least 3"),
    ({"dim": 2}, "s must be at most 2, got 3"),
    ({"dim": 5, "s": 0}, "s must be at least 1"),
    ({"dim": 5, "n_arms": 1}, "n_arms must be at least 2"),
    ({"dim": 5, "eps": -1}, "eps must be at least 0"),
    ({"dim": 5, "noise": -1}, "noise must be at least 0"),
    ({"dim": 5, "x_max": 0}, "x_max must be positive"),
    ({"dim": 5, "law": "normal"}, "law must be one of signs, gaussian, uniform, elliptical, hard"),
]


@pytest.mark.parametrize(("parameters", "line"), BAD_PROBLEMS)
def test_bad_parameters(parameters, line):
    with pytest.raises(ValueError, match=f"sparse_contexts: {line}"):
        banditlab.registry.make_problem("sparse_contexts", **parameters)
