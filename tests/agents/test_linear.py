"""Linear agents and the linear problem against NumPy, their theorems, and plain Python."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import banditlab
from banditlab import random
from banditlab.agents.linear import lin_ts, linucb
from banditlab.compile import compiled
from banditlab.core import Task
from banditlab.parts import ridge as ridge_regression
from banditlab.protocols import online

ARMS, DIM = 4, 3


def play(algorithm, problem, horizon, replications, seed=7):
    """Measures (replications, measures) after ``horizon`` rounds."""
    record = np.zeros((replications, 1, 3))
    task = Task(*problem.shape, horizon)
    args = (task, random.key(seed), 0, 0, np.array([horizon]), np.zeros(2, np.int64), record)
    with np.errstate(over="ignore"):
        compiled(online.run_block, (algorithm, problem), args)(*args)
    return record[:, 0]


def stream(seed=0, rounds=300, shared=False):
    """Features and rewards of a fixed sequence of rounds."""
    rng = np.random.default_rng(seed)
    xs = rng.normal(size=(rounds, 1 if shared else ARMS, DIM))
    return xs, rng.normal(size=(rounds, ARMS)) + xs[:, :, 0]


class Slow:
    """Ridge regression that keeps every row and solves from scratch."""

    def __init__(self, ridge, disjoint):
        self.ridge, self.disjoint = ridge, disjoint
        self.rows = {m: [] for m in range(ARMS)}
        self.rewards = {m: [] for m in range(ARMS)}

    def learn(self, x, arm, reward):
        m = arm if self.disjoint else 0
        self.rows[m].append(x[arm % len(x)])
        self.rewards[m].append(reward)

    def posterior(self, arm):
        """Estimate, precision, and determinant of precision / ridge."""
        m = arm if self.disjoint else 0
        rows, rewards = np.reshape(self.rows[m], (-1, DIM)), np.array(self.rewards[m])
        a = self.ridge * np.eye(DIM) + rows.T @ rows
        return np.linalg.solve(a, rows.T @ rewards), a, np.linalg.det(a / self.ridge)

    def index(self, x, arm, alpha, delta, noise, bound):
        theta, a, det = self.posterior(arm)
        radius = alpha
        if delta > 0:
            radius = noise * math.sqrt(2 * math.log(1 / delta) + math.log(det))
            radius += math.sqrt(self.ridge) * bound
        row = x[arm % len(x)]
        return row @ theta + radius * math.sqrt(row @ np.linalg.solve(a, row))


@pytest.mark.parametrize("shared, disjoint", [(False, False), (False, True), (True, True)])
@pytest.mark.parametrize("delta", [0.0, 0.05])
def test_linucb_chooses_as_a_solve_from_scratch_does(shared, disjoint, delta):
    hyper = {"alpha": 0.7, "delta": delta, "noise": 0.6, "bound": 1.5}
    agent = banditlab.Agent("linucb", n_arms=ARMS, dim=DIM, ridge=0.5, disjoint=disjoint, **hyper)
    slow = Slow(0.5, disjoint)
    arms = []
    for x, rewards in zip(*stream(shared=shared), strict=True):
        wanted = [slow.index(x, k, **hyper) for k in range(ARMS)]
        arm = agent.act(x)
        arms.append(arm)
        assert wanted[arm] == pytest.approx(max(wanted), rel=1e-9)
        agent.update(x, arm, rewards[arm])
        slow.learn(x, arm, rewards[arm])
    assert set(arms) == set(range(ARMS))
    means = [x[k % len(x)] @ slow.posterior(k)[0] for k in range(ARMS)]
    assert agent.recommend(x)[np.argmax(means)] == 1.0


def fixed_stream(rounds=300, changes=(), seed=3):
    """Features that stand still, all of them but in the rounds of ``changes``."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ARMS, DIM))
    for t in range(rounds):
        if t in changes:
            x = rng.normal(size=(ARMS, DIM))
        yield x, rng.normal(size=ARMS) + x[:, 0]


@pytest.mark.parametrize("delta", [0.0, 0.05])
def test_linucb_keeps_up_predictions_of_features_that_come_again(delta):
    """As exact as from scratch: repeated, changed, partly changed, late, and unasked for."""
    hyper = {"alpha": 0.7, "delta": delta, "noise": 0.6, "bound": 1.5}
    agent = banditlab.Agent("linucb", n_arms=ARMS, dim=DIM, ridge=0.5, **hyper)
    slow = Slow(0.5, False)
    rng = np.random.default_rng(8)
    waiting, kept, arms = [], 0, set()
    for t, (x, rewards) in enumerate(fixed_stream(changes=(100, 101, 180))):
        shown = x
        if t % 40 > 34:  # one row that all arms share, or one arm of four with other features
            shown = x[:1] if t % 2 else np.vstack([x[:3], rng.normal(size=(1, DIM))])
        wanted = [slow.index(shown, k, **hyper) for k in range(ARMS)]
        kept += agent.state.growth[0] <= linucb.LIMIT
        arm = agent.act(shown)
        assert arm == agent.act(shown)
        assert wanted[arm] == pytest.approx(max(wanted), rel=1e-9)
        arms.add(arm)
        arm = arm if t % 3 else t % ARMS  # also arms that act did not choose
        waiting.append((shown, arm, rewards[arm]))
        while len(waiting) > (5 if 50 < t < 90 else 0):  # late, and many at a time
            row = waiting.pop(0)
            agent.update(*row)
            slow.learn(*row)
    assert arms == set(range(ARMS))
    assert kept > 200  # else nothing was tested


def test_acting_and_recommending_leave_what_is_kept_as_it_is():
    agent = banditlab.Agent("linucb", n_arms=ARMS, dim=DIM)
    for x, rewards in fixed_stream(20):
        agent.update(x, 1, rewards[1])
    names = ("factor", "kept", "kept_mean", "kept_form", "growth")
    before = [getattr(agent.state, name).copy() for name in names]
    assert before[-1] <= linucb.LIMIT
    for shown in (x, x + 1.0, x[:1]):
        agent.act(shown)
        agent.recommend(shown)
    for name, array in zip(names, before, strict=True):
        np.testing.assert_array_equal(getattr(agent.state, name), array)


def drift(rounds, ridge, refresh=True):
    """Largest errors of the forms (relative) and of the means (in widths), over the rounds."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=(8, 5)) * [1, 1, 1, 1, 1e-2]
    agent = banditlab.Agent("linucb", n_arms=8, dim=5, ridge=ridge)
    form = mean = 0.0
    for t in range(rounds):
        if not refresh and t == 2:
            agent.state.growth[0] = 0.0  # for good
        arm = agent.act(x)
        agent.update(x, arm, x[arm, 0] + rng.normal())
        if t % 97 == 0 and agent.state.growth[0] <= linucb.LIMIT:
            ridge_regression.predict(agent.state, x)  # from scratch
            s = agent.state
            form = max(form, np.abs(s.kept_form / s.form - 1.0).max())
            mean = max(mean, (np.abs(s.kept_mean - s.mean) / np.sqrt(s.form)).max())
    return form, mean


@pytest.mark.parametrize("ridge", [1.0, 1e-9])
def test_drift_of_kept_predictions_is_below_1e_10(ridge):
    form, mean = drift(20_000, ridge)
    assert 0.0 < form < 1e-11
    assert 0.0 < mean < 1e-10


def test_a_tiny_ridge_is_why_kept_predictions_are_refreshed():
    assert max(drift(2_000, 1e-9, refresh=False)) > 1e-9


def test_recommend_splits_ties_before_any_reward():
    for name in ("linucb", "lin_ts"):
        agent = banditlab.Agent(name, n_arms=ARMS, dim=DIM)
        np.testing.assert_array_equal(agent.recommend(np.eye(ARMS, DIM)), 1 / ARMS)


def trained(name, n_arms, **hyper):
    """An agent and its slow twin after 40 rounds."""
    agent = banditlab.Agent(name, n_arms=n_arms, dim=DIM, ridge=2.0, **hyper)
    slow = Slow(2.0, hyper.get("disjoint", False))
    for i, (x, rewards) in enumerate(zip(*stream(1, 40), strict=True)):
        agent.update(x[:n_arms], i % n_arms, rewards[i % n_arms])
        slow.learn(x, i % n_arms, rewards[i % n_arms])
    return agent, slow


def frequencies(agent, x, draws):
    counts = np.zeros(agent.task.n_arms)
    for _ in range(draws):
        counts[agent.act(x)] += 1
    return counts / draws


@pytest.mark.parametrize("disjoint", [False, True])
def test_lin_ts_samples_the_posterior_of_two_arms(disjoint):
    """P(first arm) = Phi(gap / sd of the gap): a wrong mean, covariance or scale shows."""
    agent, slow = trained("lin_ts", 2, scale=1.3, disjoint=disjoint)
    rng = np.random.default_rng(2)
    for _ in range(4):
        x = rng.normal(size=(2, DIM))
        (theta0, a0, _), (theta1, a1, _) = slow.posterior(0), slow.posterior(1)
        form = lambda x, a: x @ np.linalg.solve(a, x)  # noqa: E731
        variance = form(x[0], a0) + form(x[1], a1) if disjoint else form(x[0] - x[1], a0)
        z = (x[0] @ theta0 - x[1] @ theta1) / (1.3 * math.sqrt(variance))
        wanted = 0.5 * math.erfc(-z / math.sqrt(2))
        np.testing.assert_allclose(agent.propensities(x), [wanted, 1 - wanted], atol=1e-12)
        draws = 4000
        sem = math.sqrt(wanted * (1 - wanted) / draws)
        assert abs(frequencies(agent, x, draws)[0] - wanted) < 4 * sem


def test_lin_ts_posterior_moments():
    """Mean and covariance of theta~, seen through the kernel's own state, 4 standard errors."""
    agent, slow = trained("lin_ts", ARMS, scale=0.8)
    theta, a, _ = slow.posterior(0)
    covariance = 0.64 * np.linalg.inv(a)
    draws = 20_000
    samples = np.empty((draws, DIM))
    rng = random.stream(random.key(3), 0, random.AGENT)
    x = np.ones((ARMS, DIM))
    with np.errstate(over="ignore"):
        for i in range(draws):
            lin_ts.act(agent.algorithm.params, agent.state, 0, x, rng)
            samples[i] = agent.state.row[:DIM]  # act leaves its draw in the scratch
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(samples.mean(0) - theta) < 4 * sd / math.sqrt(draws)).all()
    # The variance of an entry of a sample covariance is (s_ij^2 + s_ii s_jj) / draws.
    sem = np.sqrt((covariance**2 + np.outer(sd**2, sd**2)) / draws)
    assert (np.abs(np.cov(samples.T) - covariance) < 4 * sem).all()


@pytest.mark.parametrize("disjoint", [False, True])
def test_lin_ts_estimates_propensities_of_many_arms(disjoint):
    agent, _ = trained("lin_ts", ARMS, scale=1.3, disjoint=disjoint)
    x = np.random.default_rng(4).normal(size=(ARMS, DIM))
    shares = agent.propensities(x)
    assert shares.sum() == pytest.approx(1.0)
    np.testing.assert_array_equal(shares, agent.propensities(x))
    draws = 4000
    sem = np.sqrt(shares * (1 - shares) * (1 / draws + 1 / lin_ts.DRAWS))
    assert (np.abs(frequencies(agent, x, draws) - shares) <= 4 * sem + 1e-12).all()
    assert (shares > 0.02).sum() >= 2  # else the test could not fail


def test_lin_ts_propensities_of_equal_arms_agree_with_act():
    agent, _ = trained("lin_ts", 2)
    x = np.ones((2, DIM))
    np.testing.assert_array_equal(agent.propensities(x), [1.0, 0.0])
    np.testing.assert_array_equal(frequencies(agent, x, 50), [1.0, 0.0])


def test_problem_agrees_with_numpy():
    """Means, best arm, noise and unit norms; new features every round exactly when asked for."""
    for fixed in (True, False):
        problem = banditlab.make_problem("linear", dim=3, n_arms=5, noise=0.3, fixed=fixed)
        rng = random.stream(random.key(1), 0, random.NATURE)
        with np.errstate(over="ignore"):
            world = problem.init(problem.params, rng)
            first = problem.observe(problem.params, world, 0, rng).copy()
            noise = np.empty(3000)
            for t in range(noise.size):
                x = problem.observe(problem.params, world, t, rng)
                means = x @ world.theta
                k = t % 5
                gap = problem.regret(problem.params, world, x, k)
                assert gap == pytest.approx(means.max() - means[k], abs=1e-15)
                noise[t] = problem.pull(problem.params, world, x, k, rng) - means[k]
        assert np.array_equal(first, x) == fixed
        np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1.0, rtol=1e-14)
        assert np.linalg.norm(world.theta) == pytest.approx(1.0)
        assert abs(noise.mean()) < 4 * 0.3 / math.sqrt(noise.size)
        assert abs(noise.std() - 0.3) < 4 * 0.3 / math.sqrt(2 * noise.size)


def test_problem_draws_points_uniformly_on_the_sphere():
    """Every coordinate has mean 0 and variance 1/3, in theta and in the features, 4 sems."""
    problem = banditlab.make_problem("linear", dim=3, n_arms=2)
    points = {"theta": [], "x": []}
    with np.errstate(over="ignore"):
        for replication in range(2000):
            rng = random.stream(random.key(2), replication, random.NATURE)
            world = problem.init(problem.params, rng)
            points["theta"].append(world.theta)
            points["x"].append(world.x[1])
    for values in map(np.array, points.values()):
        assert (np.abs(values.mean(0)) < 4 * math.sqrt(1 / 3 / 2000)).all()
        # E u^4 = 1/5 on the sphere in three dimensions
        sem = math.sqrt((1 / 5 - 1 / 9) / 2000)
        assert (np.abs((values**2).mean(0) - 1 / 3) < 4 * sem).all()


def oful_bound(horizon, dim, noise, delta, ridge=1.0, bound=1.0, length=1.0):
    """Abbasi-Yadkori, Pal & Szepesvari (2011), Theorem 3."""
    root = 4 * math.sqrt(horizon * dim * math.log(ridge + horizon * length / dim))
    radius = noise * math.sqrt(
        2 * math.log(1 / delta) + dim * math.log(1 + horizon * length / (ridge * dim))
    )
    return root * (math.sqrt(ridge) * bound + radius)


HORIZON = 3000
# A mean is uniform on [-1, 1], so the best of ten is 9/11 on average: what uniform play loses.
UNIFORM_REGRET = 9 / 11 * HORIZON


def easy(fixed=False):
    return banditlab.make_problem("linear", dim=DIM, n_arms=10, noise=0.1, fixed=fixed)


def test_oful_obeys_its_theorem_and_far_better():
    problem = easy()
    algorithm = banditlab.make("linucb", delta=0.01, noise=0.1, bound=1.0)
    regret = play(algorithm, problem, HORIZON, 20)[:, 0]
    assert regret.max() < oful_bound(HORIZON, DIM, 0.1, 0.01)
    assert regret.mean() < 0.04 * UNIFORM_REGRET


@pytest.mark.parametrize(
    "name, hyper", [("linucb", {"alpha": 0.3}), ("lin_ts", {"scale": 0.1, "ridge": 0.01})]
)
def test_regret_is_sublinear(name, hyper):
    """Regret grows like sqrt(T) at most: four times the rounds, less than 2.2 times the regret."""
    algorithm, problem = banditlab.make(name, **hyper), easy()
    short = play(algorithm, problem, HORIZON // 4, 20)[:, 0]
    long = play(algorithm, problem, HORIZON, 20)[:, 0]
    assert 0 < long.mean() < 0.04 * UNIFORM_REGRET
    assert long.mean() < 2.2 * short.mean()


@pytest.mark.parametrize(
    "name, hyper",
    [
        ("linucb", {"alpha": -1.0}),
        ("linucb", {"ridge": 0.0}),
        ("linucb", {"delta": 1.0}),
        ("linucb", {"noise": 0.0}),
        ("linucb", {"bound": math.nan}),
        ("lin_ts", {"scale": 0.0}),
        ("lin_ts", {"ridge": -1.0}),
    ],
)
def test_bad_hyper_parameters(name, hyper):
    with pytest.raises(ValueError, match=next(iter(hyper))):
        banditlab.make(name, **hyper)


@pytest.mark.parametrize("bad", [{"dim": 0}, {"n_arms": 1}, {"noise": -0.1}])
def test_bad_problems(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        banditlab.make_problem("linear", **{"dim": 2, "n_arms": 2, **bad})


def test_factories_rebuild_from_their_params():
    for name in ("linucb", "lin_ts"):
        made = banditlab.make(name, ridge=2, disjoint=1)
        assert banditlab.make(name, **made.params._asdict()) == made
    problem = banditlab.make_problem("linear", dim=2, n_arms=3)
    assert banditlab.make_problem("linear", **problem.params._asdict()) == problem


CASES = [
    ("linucb", {"delta": 0.1, "noise": 0.3}, False),
    ("linucb", {"delta": 0.1, "noise": 0.3}, True),
    ("linucb", {"disjoint": True}, False),
    ("lin_ts", {"scale": 0.3}, False),
    ("lin_ts", {"scale": 0.3, "disjoint": True}, False),
]


def bits():
    """Choices, propensities and state of every case after 60 rounds, exactly."""
    answer = []
    for name, hyper, fixed in CASES:
        problem = easy(fixed)
        agent = banditlab.Agent(name, n_arms=10, dim=DIM, **hyper)
        rng = random.stream(random.key(5), 0, random.NATURE)
        with np.errstate(all="ignore"):
            world = problem.init(problem.params, rng)
            total = 0.0
            for t in range(60):
                x = problem.observe(problem.params, world, t, rng)
                arm = agent.act(x)
                total += problem.regret(problem.params, world, x, arm)
                agent.update(x, arm, problem.pull(problem.params, world, x, arm, rng))
        values = [total, *agent.state.factor.ravel(), *agent.propensities(x), *agent.recommend(x)]
        answer.append([float(value).hex() for value in values])
    return answer


def test_plain_python_gives_the_same_bits():
    script = "import json, test_linear; print(json.dumps(test_linear.bits()))"
    child = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=os.path.dirname(__file__),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(child.stdout) == bits()
