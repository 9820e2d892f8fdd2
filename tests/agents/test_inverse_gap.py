"""Inverse gap weighting, its oracles, and NeuSquareCB and NeuFastCB, which build on it."""

import numpy as np
import pytest

import banditlab
from banditlab import make
from banditlab.parts import inverse_gap
from banditlab.parts.inverse_gap import gamma_of, greed, igw, rigw


def weigh(how, costs, gamma):
    out = np.full(len(costs), np.nan)
    how(np.array(costs, dtype=float), float(gamma), out)
    return out


# --- the weights --------------------------------------------------------------------------------


def test_weights_by_hand():
    costs = (0.2, 0.5, 0.9)
    np.testing.assert_allclose(weigh(igw, costs, 10), [11 / 15, 1 / 6, 0.1], atol=1e-12)
    by_hand = [0.2 / (0.6 + 10 * gap) for gap in (0.3, 0.7)]
    np.testing.assert_allclose(weigh(rigw, costs, 10), [1 - sum(by_hand), *by_hand], atol=1e-12)
    np.testing.assert_allclose(weigh(rigw, (0, 0.5, 0.9), 10), [1, 0, 0], atol=1e-6)
    for how in (igw, rigw):
        np.testing.assert_allclose(weigh(how, (0.4, 0.4, 0.4), 10), 1 / 3)
        np.testing.assert_allclose(weigh(how, (0.0, 0.0), 10), 1 / 2)
        np.testing.assert_allclose(weigh(how, costs, 0), 1 / 3)
        np.testing.assert_allclose(weigh(how, costs, 1e12), [1, 0, 0], atol=1e-6)
        assert weigh(how, (0.3,), 5) == [1.0]


@pytest.mark.parametrize("how", [igw, rigw])
def test_weights_are_probabilities_that_move_with_the_arms(how):
    rng = np.random.default_rng(0)
    for _ in range(500):
        costs, gamma = rng.random(rng.integers(2, 12)), 10 ** rng.uniform(-2, 6)
        order = rng.permutation(costs.size)
        p = weigh(how, costs, gamma)
        assert abs(p.sum() - 1) < 1e-12 and (p >= 0).all()
        np.testing.assert_allclose(weigh(how, costs[order], gamma), p[order], atol=1e-12)
        assert p.argmax() == costs.argmin() and p.max() >= 1 / costs.size - 1e-12


def overshoot(p, costs, f, gamma):
    """The regret of a round with true costs f, less gamma/4 of the squared error."""
    return p @ (f - f.min()) - gamma / 4 * (p @ (costs - f) ** 2)


def test_the_inequality_of_a_round_is_sharp():
    """Whatever f is: 2 (K - 1) / gamma at most, and a search by closed form comes near it."""
    rng = np.random.default_rng(1)
    nearest = 0.0
    for _ in range(3000):
        n_arms, gamma = rng.integers(2, 8), 10 ** rng.uniform(0, 4)
        costs = rng.random(n_arms) * rng.choice([0.01, 1.0])
        p, b = weigh(igw, costs, gamma), costs.argmin()
        bound = 2 * (n_arms - 1) / gamma
        assert overshoot(p, costs, rng.random(n_arms), gamma) <= bound
        j = rng.integers(n_arms)
        worst = costs + 2 / gamma  # the f that maximises, if j is its best arm
        worst[j] -= 2 / (gamma * p[j])
        found = overshoot(p, costs, worst, gamma)
        assert found <= bound + 1e-12
        if j != b:  # of the supremum over f, which is known: the regret under costs and the rest
            wanted = p @ (costs - costs[b]) - (costs[j] - costs[b]) + (1 / p[j] - 1) / gamma
            assert found == pytest.approx(wanted, rel=1e-6, abs=1e-9)
        nearest = max(nearest, found / bound)
    assert 0.99 < nearest <= 1 + 1e-9


def test_the_inequality_of_a_round_for_reweighted_gaps():
    rng = np.random.default_rng(2)
    worst = 0.0
    for _ in range(5000):
        n_arms = rng.integers(2, 8)
        gamma = 2 * n_arms * 10 ** rng.uniform(0, 3)
        costs, f = rng.random((2, n_arms)) * rng.choice([1e-3, 0.1, 1.0], size=(2, 1))
        costs = costs.clip(1e-6, 1 - 1e-6)
        p = weigh(rigw, costs, gamma)
        left = p @ (f - f.min())
        right = 5 * n_arms / gamma * (p @ f) + 7 * gamma * (p @ ((costs - f) ** 2 / (costs + f)))
        worst = max(worst, left / right)
    assert 0.01 < worst < 0.2


def test_schedules_of_gamma():
    def gamma(schedule, n=4, horizon=100, paid=8.0, **given):
        how = {"regression_regret": 0.0, "best_loss": 0.0, "delta": 0.05, **given}
        return gamma_of(greed("igw", 10.0, schedule, *how.values()), 3, horizon, n, paid)

    assert gamma("sqrt") == 20.0 and gamma("sqrt_loss") == 30.0 and gamma("fixed") == 10.0
    wanted = np.sqrt(3 * 100 / (3 * np.log(100) + np.log(40)))
    assert gamma("theory_square") == pytest.approx(wanted, rel=1e-12)
    wanted = np.sqrt(3 * 4 / (2.0 + np.log(20)))
    found = gamma("theory_square", horizon=0, regression_regret=2.0, delta=0.1)
    assert found == pytest.approx(wanted, rel=1e-12)
    assert gamma("theory_fast") == 30.0
    assert gamma("theory_fast", regression_regret=2.0, best_loss=1e4) == pytest.approx(
        np.sqrt(3 * 1e4 / 6)
    )


# --- oracles ------------------------------------------------------------------------------------


def agent(name="square_cb", **given):
    return banditlab.Agent(name, **{"n_arms": 3, "seed": 1, **given})


def propensities_of(costs, t, how=igw):
    return weigh(how, np.asarray(costs), 10 * np.sqrt(t + 1))


@pytest.mark.parametrize("allocation", ["igw", "rigw"])
@pytest.mark.parametrize(
    "given",
    [
        {"gamma": 1e308},
        {"gamma": 1e308, "gamma_schedule": "sqrt_loss"},
        {"gamma_schedule": "theory_fast", "best_loss": 1e308, "regression_regret": 1e-300},
    ],
)
def test_no_gamma_is_too_large_for_ties(allocation, given):
    agent = banditlab.Agent("square_cb", n_arms=3, oracle="tabular", allocation=allocation, **given)
    for arm in range(6):
        agent.update(None, arm % 3, reward=0.0 if arm % 3 == 0 else 0.5)
    np.testing.assert_allclose(agent.propensities(), [0.0, 2 / 3, 1 / 3], atol=1e-12)
    assert agent.act(None) in (1, 2)


def test_a_perturbation_that_is_off_limits_nothing():
    make("neu_fast_cb", units=1, lr=1e5, perturb="none")


def test_the_tabular_oracle_is_a_mean_per_context_and_arm():
    one = agent(n_contexts=2, oracle="tabular", low=-1.0, high=3.0)
    one.update(1, 2, reward=1.0)  # cost 1/2
    one.update(1, 2, reward=3.0)  # cost 0
    np.testing.assert_allclose(one.propensities(0), propensities_of([0.5] * 3, 2))
    np.testing.assert_allclose(one.propensities(1), propensities_of([0.5, 0.5, 1 / 3], 2))


@pytest.mark.parametrize("disjoint", [True, False])
def test_the_linear_oracle_is_ridge_regression_with_a_constant_clipped(disjoint):
    one, rng = agent(dim=2, oracle="linear", disjoint=disjoint), np.random.default_rng(3)
    seen = []
    for _ in range(30):
        x, arm, reward = rng.normal(size=(3, 2)), int(rng.integers(3)), float(rng.random() < 0.5)
        one.update(x, arm, reward)
        seen.append((arm, np.append(x[arm], 1.0), 1.0 - reward))
    x = rng.normal(size=(3, 2)) * 2
    costs = []
    for k in range(3):
        rows = [(z, c) for arm, z, c in seen if arm == k or not disjoint]
        z, c = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
        theta = np.linalg.solve(np.eye(3) + z.T @ z, z.T @ c)
        costs.append(np.clip(theta @ np.append(x[k], 1.0), 0, 1))
    np.testing.assert_allclose(one.propensities(x), propensities_of(costs, 30), atol=1e-12)


def test_an_oracle_whose_predictions_are_no_numbers_gives_up():
    """It drew an arm by probabilities that were none, and recommended nothing."""
    one = agent(dim=2, oracle="linear", disjoint=True)
    for arm in range(3):
        one.update([1e200, 1.0], arm, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        for call in (one.act, one.propensities):
            with pytest.raises(ValueError, match="square_cb gave up: its predictions diverged"):
                call([1.0, 1.0])
        assert one.recommend([1.0, 1.0]).sum() == pytest.approx(1.0)


def test_the_logistic_oracle_is_one_step_per_reward():
    one, rng = agent("fast_cb", dim=2, lr=0.5), np.random.default_rng(3)
    weights = np.zeros((3, 3))
    for _ in range(20):
        x, arm, reward = rng.normal(size=2), int(rng.integers(3)), float(rng.random() < 0.5)
        one.update(x, arm, reward)
        z = np.append(x, 1.0)
        weights[arm] -= 0.5 * (1 / (1 + np.exp(-weights[arm] @ z)) - (1.0 - reward)) * z
    z = np.array([0.3, -2.0, 1.0])
    costs = 1 / (1 + np.exp(-weights @ z))
    np.testing.assert_allclose(one.propensities(z[:2]), propensities_of(costs, 20, rigw))


def test_where_there_is_little_to_lose_fast_cb_explores_little():
    curves = banditlab.simulate(
        {
            "horizon": 20_000,
            "replications": 10,
            "problem": {"name": "small_loss", "n_arms": 10},
            "checkpoints": [20_000],
            "agents": [
                {"name": "fast_cb", "oracle": "tabular", "gamma_schedule": "theory_fast"},
                {"name": "square_cb", "oracle": "tabular", "gamma_schedule": "fixed",
                 "gamma": 44.9},
            ],
        },
        workers=1,
    )  # fmt: skip
    assert curves.raw("fast_cb", "regret")[:, -1].mean() < 60
    assert curves.raw("square_cb", "regret")[:, -1].mean() > 2000


# --- networks -----------------------------------------------------------------------------------


def blobs(separation, spread=1.0, normalize="row_l2"):
    """2,000 rows of two classes, at +- separation on the first of five axes."""
    rng = np.random.default_rng(7)
    label = rng.integers(2, size=2000)
    x = spread * rng.normal(size=(2000, 5))
    x[:, 0] += separation * (2 * label - 1)
    data = {"x": x.tolist(), "label": label.tolist()}
    return {"name": "classification", "data": data, "normalize": normalize}


def play(agents, workers=1, replications=5, horizon=2000, problem=None):
    arena = {
        "horizon": horizon, "replications": replications, "problem": problem or blobs(5.0),
        "checkpoints": list(range(100, horizon + 1, 100)), "agents": agents,
    }  # fmt: skip
    return banditlab.simulate(arena, workers=workers)


def test_blobs_are_told_apart_in_a_few_mistakes_and_threads_change_nothing():
    agents = [{"name": "neu_square_cb"}, {"name": "neu_fast_cb"}, {"name": "uniform"}]
    one, two = play(agents), play(agents, workers=2)
    for name in ("neu_square_cb", "neu_fast_cb"):
        mistakes = one.raw(name, "regret")
        assert np.median(mistakes[:, -1]) < 40
        assert (np.diff(mistakes) >= 0).all() and (mistakes == mistakes.round()).all()
        np.testing.assert_array_equal(mistakes, two.raw(name, "regret"))
    assert one.raw("uniform", "regret")[:, -1].mean() > 900


def test_no_perturbation_and_one_of_size_0_are_the_same():
    agents = [
        {"name": "neu_square_cb", "label": f"{perturb} {c_p}", "perturb": perturb, "c_p": c_p}
        for perturb, c_p in (("none", 0.1), ("expected", 0.0), ("ensemble", 0.0), ("expected", 0.1))
    ]
    curves = play(agents, replications=2, horizon=200, problem=blobs(1.0))
    none, *same, other = (curves.raw(agent["label"], "reward") for agent in agents)
    np.testing.assert_array_equal(none, same[0])
    np.testing.assert_array_equal(none, same[1])
    assert not np.array_equal(none, other)


def test_the_perturbation_does_not_touch_the_weights_of_the_square_loss():
    x = np.array([0.3, -0.2])
    rules = []
    for _ in range(2):
        one = banditlab.Agent("neu_square_cb", n_arms=4, dim=2, units=9, perturb="ensemble")
        if rules:
            one.state.learner.offsets[:] = np.linspace(-3, 5, 10)
        rules.append(one.propensities(x))
    np.testing.assert_array_equal(*rules)
    fast = banditlab.Agent("neu_fast_cb", n_arms=4, dim=2, units=9, perturb="ensemble", gamma=1.0)
    before = fast.propensities(x)
    fast.state.learner.offsets[:] = np.linspace(-3, 5, 10)
    assert np.abs(fast.propensities(x) - before).max() > 1e-4  # a mean of sigmoids moves gaps


def test_features_of_arms_are_told_apart_by_one_block():
    """The arm with the larger square of its first feature pays: no line says which."""
    one = agent("neu_fast_cb", n_arms=2, dim=3, disjoint=False, units=30, depth=2, seed=3)
    rng, right = np.random.default_rng(5), []
    for _ in range(600):
        x = rng.normal(size=(2, 3))
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        best = int(np.abs(x[:, 0]).argmax())
        arm = one.act(x)
        one.update(x, arm, float(arm == best))
        right.append(arm == best)
    assert np.mean(right[300:]) > 0.8


def test_who_diverges_is_nan_from_there_and_says_so_once(capsys):
    problem = blobs(5.0, spread=40.0, normalize="none")
    curves = play([{"name": "neu_square_cb"}], replications=2, horizon=300, problem=problem)
    regret = curves.raw("neu_square_cb", "regret")
    assert np.isnan(regret[:, -1]).all()
    assert np.isnan(regret).cumsum(axis=1).max() == np.isnan(regret).sum(axis=1).max()
    assert capsys.readouterr().err.count("2 of 2 replications gave up: nan") == 1
    one = banditlab.Agent("neu_square_cb", n_arms=2, dim=1)
    with pytest.raises(ValueError, match="neu_square_cb gave up: its predictions diverged"):
        for _ in range(50):
            one.update([100.0], one.act([100.0]), 1.0)
    with pytest.raises(ValueError, match="neu_square_cb gave up"):
        one.propensities([1.0])


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("neu_square_cb", {"units": 0}, "units must be at least 1, got 0"),
        ("neu_square_cb", {"lr": 0}, "lr must be positive"),
        ("neu_square_cb", {"gamma": -1}, "gamma must be at least 0"),
        ("neu_square_cb", {"n_networks": 0}, "n_networks must be at least 1, got 0"),
        ("neu_square_cb", {"c_p": 9.0}, "c_p must be at most 3.16 with 100 units and lr 0.05"),
        ("neu_square_cb", {"loss": "hinge"}, "loss must be one of square, kl"),
        ("neu_fast_cb", {"depth": 3}, "depth must be at most 2, got 3"),
        ("neu_fast_cb", {"low": 1.0, "high": 1.0}, "high must be above low, 1, got 1"),
        ("neu_fast_cb", {"schedule": "adam"}, "schedule must be one of replay, ogd"),
        ("square_cb", {"oracle": "forest"}, "oracle must be one of tabular, linear, logistic"),
        ("square_cb", {"ridge": 0}, "ridge must be positive"),
        ("fast_cb", {"gamma_schedule": "log"}, "gamma_schedule must be one of sqrt"),
        ("fast_cb", {"delta": 1.0}, "delta must lie strictly between 0 and 1"),
    ],
)
def test_bad_arguments_are_refused(name, given, message):
    with pytest.raises(ValueError, match=message):
        make(name, **given)


def test_an_ensemble_beyond_all_bounds_is_refused_before_it_is_drawn():
    """A thousand networks of 600,000 weights were drawn, and compared pair by pair, for hours."""
    huge = {"perturb": "ensemble", "n_networks": 1000, "units": 100_000}
    with pytest.raises(ValueError, match="n_networks, 1000, squared times the 600,001 weights"):
        banditlab.Agent("neu_fast_cb", n_arms=2, dim=2, **huge)
    arena = {"problem": {"name": "nonlinear_stream"}, "agents": [{"name": "neu_fast_cb", **huge}]}
    with pytest.raises(ValueError, match="n_networks, 1000, squared"):
        banditlab.simulate(arena)
    banditlab.Agent("neu_fast_cb", n_arms=10, dim=64, perturb="ensemble")._offer(np.zeros(64))


def test_costs_must_lie_in_their_range():
    with pytest.raises(ValueError, match=r"reward must be in \[0, 1\] for fast_cb, got 1.5"):
        agent("fast_cb", oracle="tabular").update(None, 0, 1.5)
    arena = {"problem": {"name": "gaussian", "means": [0.0, 1.0]}, "agents": [{"name": "fast_cb"}]}
    with pytest.raises(ValueError, match="needs"):
        banditlab.simulate(arena)


def test_words_are_known_by_their_place():
    params = make("neu_fast_cb").params
    assert inverse_gap.ALLOCATIONS[params.allocation] == "rigw"
    assert make("neu_fast_cb", loss=0, allocation=0).params[2:] == make("neu_square_cb").params[2:]
