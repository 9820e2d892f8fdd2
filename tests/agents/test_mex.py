"""MEX for bandits: closed forms against numerical maximisation, limits, rates, refusals."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

import banditlab
from banditlab import random
from banditlab.compile import compiled
from banditlab.core import Task, jit_disabled
from banditlab.parts import mex
from banditlab.protocols import online

compiled_only = pytest.mark.skipif(jit_disabled(), reason="simulates millions of rounds")
TEN_ARMS = [0.4] * 4 + [0.5] + [0.4] * 5


def taught(name, rewards, features=None, **hyper):
    """An agent that has seen these rewards, a list per arm."""
    dim = 0 if features is None else features.shape[1]
    agent = banditlab.Agent(name, n_arms=len(rewards), dim=dim, seed=1, **hyper)
    for arm, paid in enumerate(rewards):
        for reward in paid:
            agent.update(features, arm, reward)
    return agent


def regrets(horizon, replications, **hyper):
    """Regret (replications,) of mex_mab on one arm of 1/2 and nine of 0.4."""
    algorithm = banditlab.make("mex_mab", **hyper)
    problem = banditlab.make_problem("bernoulli", means=TEN_ARMS)
    record = np.zeros((replications, 1, len(online.PROTOCOL.names)))
    points, progress = np.array([horizon]), np.zeros(2, np.int64)
    args = (Task(10, 1, 0, horizon), random.key(1), 0, 0, points, progress, record)
    compiled(online.run_block, (algorithm, problem), args)(*args)
    return record[:, 0, 0]


# --- closed forms -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_linear_index_is_the_maximum_of_the_objective(seed):
    """A general optimiser on the rewards themselves finds the same value and the same arm."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((5, 3))
    rewards = [rng.standard_normal(n).tolist() for n in rng.integers(1, 6, 5)]
    eta, ridge = 0.3, 0.7
    agent = taught("mex_linear", rewards, features, eta=eta, ridge=ridge)

    def loss(theta):
        fit = sum(
            ((np.array(r) - x @ theta) ** 2).sum() for x, r in zip(features, rewards, strict=True)
        )
        return fit + ridge * theta @ theta

    least = minimize(loss, np.zeros(3), tol=1e-12).fun
    values = []
    for x in features:  # for each arm by itself the objective is concave
        found = minimize(
            lambda theta, x=x: eta * (loss(theta) - least) - x @ theta, np.zeros(3), tol=1e-12
        )
        values.append(-found.fun)
    agent.algorithm.act(agent.algorithm.params, agent.state, agent.t, features, agent._rng)
    assert agent.state.mean == pytest.approx(np.array(values), abs=1e-8)
    assert agent.act(features) == np.argmax(values)


def test_bandit_index_is_the_maximum_of_the_objective():
    rewards = [[0.0, 1.0, 1.0], [0.5], [0.9, 0.4, 0.1, 0.6]]
    eta = 0.8

    def objective(theta):
        squares = sum(((np.array(r) - m) ** 2).sum() for r, m in zip(rewards, theta, strict=True))
        least = sum(((np.array(r) - np.mean(r)) ** 2).sum() for r in rewards)
        return eta * (squares - least) - theta.max()

    starts = [np.array([np.mean(r) for r in rewards]) + 0.5 * np.eye(3)[k] for k in range(3)]
    found = [minimize(objective, s, method="Nelder-Mead", tol=1e-12).fun for s in starts]
    index = [np.mean(r) + 1 / (4 * eta * len(r)) for r in rewards]
    assert -min(found) == pytest.approx(max(index), abs=1e-8)
    assert taught("mex_mab", rewards, eta=eta).act() == np.argmax(index) == 1


@pytest.mark.parametrize("eta", [0.02, 0.5, math.inf])
def test_one_hot_features_without_ridge_are_plain_arms(eta):
    rng = np.random.default_rng(2)
    features = np.eye(4)
    for _ in range(20):
        rewards = [rng.random(n).tolist() for n in rng.integers(1, 9, 4)]
        linear = taught("mex_linear", rewards, features, eta=eta, ridge=1e-9)
        index = [np.mean(r) + 1 / (4 * eta * len(r)) for r in rewards]
        assert linear.act(features) == np.argmax(index)
        assert taught("mex_mab", rewards, eta=eta).act() == np.argmax(index)
        assert linear.state.mean == pytest.approx(np.array(index), abs=1e-6)


# --- limits and ties ----------------------------------------------------------------------------


def test_infinite_eta_is_greedy():
    rng = np.random.default_rng(0)
    for _ in range(30):
        rewards = [rng.random(n).tolist() for n in rng.integers(1, 9, 5)]
        assert taught("mex_mab", rewards, eta=math.inf).act() == taught("greedy", rewards).act()


def test_tiny_eta_goes_round():
    agent = banditlab.Agent("mex_mab", n_arms=4, eta=1e-9, seed=3)
    pulls, orders = np.zeros(4), []
    for _ in range(80):
        arm = agent.act()
        agent.update(None, arm, [0.0, 1.0, 1.0, 0.3][arm])
        pulls[arm] += 1
        orders.append(arm)
        assert np.ptp(pulls) <= 1
    # The best mean first among equals, and the first round in an order of chance.
    assert orders[:4] != sorted(orders[:4])


@pytest.mark.parametrize("name, dim", [("mex_mab", 0), ("mex_linear", 4)])
def test_ties_are_broken_evenly(name, dim):
    agent = banditlab.Agent(name, n_arms=4, dim=dim, eta=0.1)
    x = np.eye(4) if dim else None
    agent.update(x, 1, 0.0)  # the others are equals, and better
    assert agent.propensities(x) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3], abs=1e-15)
    counts = np.zeros(4)
    draws = 3000 if not jit_disabled() else 600
    for r in range(draws):
        agent._rng = random.stream(random.key(9), r, random.AGENT)
        counts[agent.act(x)] += 1
    allowed = 4 * math.sqrt(draws * 2 / 9)
    assert np.abs(counts - draws * np.array([1 / 3, 0, 1 / 3, 1 / 3])).max() <= allowed


# --- eta ----------------------------------------------------------------------------------------


def test_theory_and_schedules_by_hand():
    # 10 arms and 10,000 rounds: eta = 0.0104
    pace = mex.theory_pace(10, 10_000.0)
    eta = math.sqrt(10 / (10_000 * math.log(10_000)))
    assert eta == pytest.approx(0.0104, abs=5e-5)
    assert mex.width(pace, 77.0) == pytest.approx(1 / (4 * eta), rel=1e-14)
    # Unknown horizon: the round, here the 50th.
    anytime = mex.width(mex.theory_pace(10, 0.0), 49.0)
    assert anytime == pytest.approx(math.sqrt(50 * math.log(50) / 10) / 4, rel=1e-14)
    # eta 0.2 is meant for round 100; in round 400 it is half of that.
    falling = mex.given_pace(0.2, 1, 100.0)
    assert mex.width(falling, 99.0) == pytest.approx(1 / 0.8, rel=1e-14)
    assert mex.width(falling, 399.0) == pytest.approx(1 / 0.4, rel=1e-14)
    assert mex.width(mex.given_pace(0.2, 0, 100.0), 399.0) == 1 / 0.8
    assert mex.width(mex.given_pace(math.inf, 1, 100.0), 399.0) == 0.0


def test_agents_take_theory_from_their_task():
    by_task = banditlab.Agent("mex_mab", n_arms=10, n_contexts=5, horizon=50_000)
    assert by_task.state.pace.tolist() == mex.theory_pace(10, 10_000.0).tolist()
    by_dim = banditlab.Agent("mex_linear", n_arms=20, dim=10, horizon=10_000)
    assert by_dim.state.pace.tolist() == mex.theory_pace(10, 10_000.0).tolist()
    own = banditlab.Agent("mex_linear", n_arms=2, dim=5, horizon=10_000, disjoint=True)
    assert own.state.pace.tolist() == mex.theory_pace(10, 10_000.0).tolist()


@pytest.mark.parametrize("name", ["mex_mab", "mex_linear"])
@pytest.mark.parametrize("eta", [0, -1.0, math.nan, "0.1x", None, True, [0.1]])
def test_eta_is_refused(name, eta):
    with pytest.raises(ValueError, match=f"^{name}: eta must be a number above 0 or inf, or "):
        banditlab.make(name, eta=eta)


@pytest.mark.parametrize(
    "hyper, line",
    [
        ({"schedule": "linear", "eta": 0.1}, "schedule must be one of constant, sqrt"),
        ({"schedule": "sqrt"}, "schedule must be constant with eta 'theory'"),
        ({"reference": 0.0}, "reference must be positive"),
    ],
)
def test_schedules_are_refused(hyper, line):
    with pytest.raises(ValueError, match=line):
        banditlab.make("mex_mab", **hyper)
    with pytest.raises(ValueError, match="ridge must be positive"):
        banditlab.make("mex_linear", ridge=0.0)


def test_greedy_and_theory_can_be_saved(tmp_path):
    for eta in (math.inf, "theory", 0.25):
        agent = banditlab.Agent("mex_mab", n_arms=3, horizon=90, eta=eta, seed=2)
        agent.update(None, agent.act(), 1.0)
        agent.save(tmp_path / "agent.npz")
        again = banditlab.Agent.load(tmp_path / "agent.npz")
        assert again.algorithm.params == agent.algorithm.params and again.act() == agent.act()


# --- rates --------------------------------------------------------------------------------------

# Regret (mean, standard error) of 400 replications of another implementation, ties at random.
MEASURED = {
    (10_000, "theory"): (224.7, 1.5),
    (10_000, 0.03): (95.0, 2.0),
    (10_000, 0.1): (142.0, 14.0),
    (10_000, 0.3): (400.0, 24.0),
    (10_000, 1.0): (668.0, 23.0),
    (1000, 0.1): (46.0, 1.0),
}


@compiled_only
@pytest.mark.parametrize("horizon, eta", MEASURED)
def test_regret_is_that_of_another_implementation(horizon, eta):
    known, error = MEASURED[horizon, eta]
    ours = regrets(horizon, 400, eta=eta)
    difference = math.hypot(error, ours.std(ddof=1) / 20)
    assert abs(ours.mean() - known) <= max(4 * difference, 0.05 * known)


@compiled_only
def test_large_eta_is_a_gamble():
    """Half of the runs do better than any other eta's, while a tenth and more are lost for good."""
    some, most = regrets(10_000, 400, eta=0.1), regrets(10_000, 400, eta=1.0)
    assert np.median(some) < 50 < 0.5 * some.mean()
    assert 0.05 < (some > 500).mean() < 0.16  # 0.10 of 1,000
    assert np.median(most) > 950
    assert 0.58 < (most > 500).mean() < 0.74  # 0.66


@compiled_only
def test_regret_at_the_theory_grows_like_the_root():
    horizons = np.array([1000, 10_000, 100_000])
    means = [regrets(int(T), 100).mean() for T in horizons]
    slope = np.polyfit(np.log(horizons), np.log(means), 1)[0]
    assert slope == pytest.approx(0.5, abs=0.12)


def test_a_context_that_gets_less_than_a_round_has_nothing_to_explore_for():
    """ln of the horizon's share is negative there."""
    agent = banditlab.Agent("mex_mab", n_arms=3, n_contexts=10, horizon=5)
    assert agent.state.pace.tolist() == [0.0, 0.0]
    for arm in range(3):
        agent.update(0, arm, float(arm))
    assert agent.propensities(0).tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("eta", [5e-324, 1e-310, 1e-250])
def test_the_smallest_eta_has_a_bonus_that_is_a_number(eta):
    agent = banditlab.Agent("mex_mab", n_arms=2, eta=eta)
    for arm in (0, 0, 1):
        agent.update(None, arm, 0.5)
    assert agent.propensities().tolist() == [0.0, 1.0]
    finite = banditlab.Agent(
        "mex_finite", n_states=1, n_actions=1, steps=1, eta=eta,
        transitions=np.ones((2, 1, 1, 1)), rewards=[[[0.0]], [[0.5]]],
    )  # fmt: skip
    assert finite.state.chosen[0] == 1
