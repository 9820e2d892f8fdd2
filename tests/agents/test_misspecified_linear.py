"""Linear baselines that do not ask for sparsity: designs, phases, optimism, least squares."""

from __future__ import annotations

import math

import numpy as np
import pytest

import banditlab
from banditlab import make, random, simulate
from banditlab.agents.linear import linucb, phased_elim
from banditlab.parts import designs


def features(n, dim, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dim))


def coordinates_of(x):
    basis = np.zeros(x.shape[0], np.int64)
    return designs.orthonormal(x, np.arange(x.shape[0]), basis), basis


def designed(x):
    """The design of Frank and Wolfe, and its largest g as it says."""
    z, basis = coordinates_of(x)
    weights = np.full(x.shape[0], np.nan)
    return weights, designs.frank_wolfe(z, basis, weights), z.shape[1]


def variances(x, weights):
    """g of every row, by NumPy; rows outside the span of the design's give nonsense."""
    return np.einsum("ij,jk,ik->i", x, np.linalg.pinv(x.T @ (weights[:, None] * x)), x)


# --- designs ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "dim", "rank"), [(9, 3, 3), (9, 5, 2), (4, 6, 4), (30, 8, 8), (5, 3, 1), (3, 3, 3)]
)
def test_orthonormal_coordinates_keep_inner_products(n, dim, rank):
    x = features(n, rank, 1) @ features(rank, dim, 2)
    z, basis = coordinates_of(x)
    assert z.shape == (n, rank)
    np.testing.assert_allclose(z @ z.T, x @ x.T, atol=1e-12 * np.abs(x @ x.T).max())
    assert np.linalg.matrix_rank(x[basis[:rank]]) == rank
    norms = np.linalg.norm(x, axis=1)
    assert norms[basis[0]] == pytest.approx(norms.max(), rel=1e-12)
    arms = np.array([2, 0])
    some = designs.orthonormal(x, arms, np.zeros(2, np.int64))
    np.testing.assert_allclose(
        some @ some.T, x[arms] @ x[arms].T, atol=1e-12 * np.abs(x).max() ** 2
    )


def test_arms_without_features_share_a_coordinate():
    z, basis = coordinates_of(np.zeros((4, 3)))
    np.testing.assert_array_equal(z, np.ones((4, 1)))
    assert basis[0] == 0


@pytest.mark.parametrize(("n", "dim"), [(2, 2), (40, 3), (200, 10), (300, 40)])
def test_a_frank_wolfe_design_stops_at_twice_the_optimum(n, dim):
    x = features(n, dim, n)
    x[n // 2] = x[0]  # a duplicate changes nothing
    weights, largest, rank = designed(x)
    assert rank == dim or n == 2
    assert weights.min() >= 0 and weights.sum() == pytest.approx(1.0, abs=1e-12)
    g = variances(x, weights)
    assert g.max() == pytest.approx(largest, rel=1e-9) and g.max() <= 2 * rank * (1 + 1e-9)
    assert weights @ g == pytest.approx(rank, rel=1e-9)  # the trace
    assert rank <= np.count_nonzero(weights) < 4 * rank * math.log(math.log(rank + 16)) + 16


def test_more_steps_lead_to_the_optimal_design():
    """The step is the best one: towards any arm, no other makes the determinant larger."""
    x = features(12, 3, 4)
    weights, _, _ = designed(x)
    j = int(variances(x, weights).argmax())
    g = variances(x, weights)[j]
    best = (g / 3 - 1) / (g - 1)

    def volume(step):
        moved = (1 - step) * weights
        moved[j] += step
        return np.linalg.slogdet(x.T @ (moved[:, None] * x))[1]

    assert volume(best) > max(volume(0.9 * best), volume(1.1 * best), volume(0.0))


def test_an_orthonormal_basis_needs_no_step():
    weights, largest, _ = designed(np.eye(5))
    np.testing.assert_array_equal(weights, np.full(5, 0.2))
    assert largest == pytest.approx(5.0, rel=1e-12)


def test_both_designs_are_near_the_same_optimum():
    """log det of the rough design is near that of the exact one, and never above."""
    for seed in range(5):
        x = features(60, 4, seed)
        exact = np.empty(60)
        designs.g_optimal(x, exact)
        rough, _, _ = designed(x)
        volumes = [np.linalg.slogdet(x.T @ (w[:, None] * x))[1] for w in (exact, rough)]
        assert volumes[1] <= volumes[0] + 1e-9
        assert volumes[0] - volumes[1] <= 4 * math.log(2)  # max g <= 2 d bounds the loss


# --- least squares by design --------------------------------------------------------------------


def committed(x, pays, horizon, **hyper):
    agent = banditlab.Agent("gls_commit", n_arms=len(x), dim=x.shape[1], horizon=horizon, **hyper)
    pulls = agent.act(x)
    agent.update(x, pulls, pulls * pays)
    assert not agent.act(x).any()
    return pulls, agent.recommend(x)


@pytest.mark.parametrize("design", ["g_optimal", "uniform"])
def test_the_commitment_is_that_of_least_squares(design):
    x, pays = features(30, 4, 1), np.random.default_rng(2).uniform(size=30)
    x[:, 3] = x[:, 0] - x[:, 1]  # rank 3
    pulls, rule = committed(x, pays, 1000, design=design)
    rows, rewards = np.repeat(x, pulls, axis=0), np.repeat(pays, pulls)
    theta = np.linalg.lstsq(rows, rewards, rcond=None)[0]
    assert rule[(x @ theta).argmax()] == 1.0
    if design == "uniform":
        np.testing.assert_array_equal(pulls, np.full(30, 33))  # 970 / 30, rounded up
    else:
        weights, _, _ = designed(x)
        n = 1000 - np.count_nonzero(weights)
        np.testing.assert_array_equal(pulls, np.ceil(weights * n - 1e-9))
    assert pulls.sum() <= 1000


def test_queries_are_split_by_the_design_and_never_exceed_the_horizon():
    x, pays = features(40, 5, 3), np.ones(40)
    weights, _, _ = designed(x)
    support = np.count_nonzero(weights)
    pulls, _ = committed(x, pays, 1000, queries=100)
    np.testing.assert_array_equal(pulls, np.ceil(100 * weights - 1e-9))
    assert 100 <= pulls.sum() <= 100 + support
    for horizon in (5, max(5, support - 1), support, support + 1, 2 * support):
        pulls, _ = committed(x, pays, horizon)
        assert 0 < pulls.sum() <= horizon
        assert np.linalg.matrix_rank(x[pulls > 0]) == 5
    with pytest.raises(ValueError, match="horizon must be at least 5, as many as arms that span"):
        committed(x, pays, 4)
    bare = {
        "protocol": "identify", "horizon": 9, "agents": [{"name": "gls_commit"}],
        "problem": {"name": "bernoulli", "means": [0.5, 0.4]},
    }  # fmt: skip
    with pytest.raises(ValueError, match="'gls_commit' .*needs features, but bernoulli shows none"):
        simulate(bare, workers=1)
    with pytest.raises(ValueError, match="features must not all be 0"):
        committed(np.zeros((40, 5)), pays, 100)
    with pytest.raises(ValueError, match="horizon must be at least 40, a pull of every arm"):
        committed(x, pays, 39, design="uniform")


def test_a_needle_is_found_where_the_design_looks_and_nowhere_else():
    """Every hidden position: the share that is found is the support of the design over k."""
    dim, n_arms = 6, 40
    with np.errstate(over="ignore"):
        problem = banditlab.make_problem("jl_needle", dim=dim, n_arms=n_arms)
        nature = random.stream(random.key(0), 0, random.NATURE)
        x = problem.init(problem.params, nature).x
    weights, _, _ = designed(x)
    found = []
    for hidden in range(n_arms):
        _, rule = committed(x, 1.0 * (np.arange(n_arms) == hidden), n_arms, queries=1)
        found.append(rule[hidden] == 1.0)
        if not found[-1]:  # it knows nothing: all predictions are 0
            np.testing.assert_allclose(rule, 1 / n_arms)
    np.testing.assert_array_equal(found, weights > 0)
    assert dim <= sum(found) < n_arms / 2


# --- phased elimination -------------------------------------------------------------------------


def test_sizes_and_thresholds_are_those_of_the_formula():
    assert [int(phased_elim.first_size(d)) for d in (1, 2, 3, 4)] == [16, 16, 18, 22]
    width = phased_elim.threshold(1.0, 4, 22, math.log(1 / 0.01))
    assert width == pytest.approx(3.660172, abs=5e-7)


def numpy_phases(x, pay, horizon, noise):
    """Arms pulled, by NumPy but for the design."""
    n_arms, dim = x.shape
    m = math.ceil(4 * dim * (math.log(math.log(dim)) if dim > 2 else 0)) + 16
    width = math.log(n_arms * horizon)
    active, played = np.arange(n_arms), []
    while True:
        weights, _, rank = designed(np.ascontiguousarray(x[active]))
        pulls = np.ceil(weights * m - 1e-9).astype(int)
        arms = np.repeat(active, pulls)
        rewards = [pay(arm) for arm in arms]
        played += arms.tolist()
        if len(played) >= horizon:
            return played[:horizon], active
        theta = np.linalg.lstsq(x[arms], np.array(rewards), rcond=None)[0]
        score = x[active] @ theta
        kept = 2 * noise * math.sqrt(4 * rank / m * width) + 1e-10
        active, m = active[score.max() - score <= kept], 2 * m


@pytest.mark.parametrize(
    ("n_arms", "dim", "noise"), [(12, 3, 0.05), (6, 2, 0.0), (20, 5, 0.02), (12, 3, 0.6)]
)
def test_phases_agree_with_numpy(n_arms, dim, noise):
    horizon = 600
    x = features(n_arms, dim, dim)
    mean = x @ np.random.default_rng(9).standard_normal(dim) / 3
    pays = [np.random.default_rng(1), np.random.default_rng(1)]
    agent = banditlab.Agent("phased_elim", n_arms=n_arms, dim=dim, horizon=horizon, noise=noise)
    played = []
    for _ in range(horizon):
        arm = agent.act(x)
        agent.update(x, arm, mean[arm] + noise * pays[0].standard_normal())
        played.append(arm)
    expected, active = numpy_phases(
        x, lambda arm: mean[arm] + noise * pays[1].standard_normal(), horizon, noise
    )
    assert played == expected
    np.testing.assert_array_equal(np.flatnonzero(agent.state.active), active)
    if noise < 0.1:
        assert agent.recommend(x)[mean.argmax()] == 1.0 and active.size < n_arms
    else:  # much noise: several phases with many arms, each twice as long
        assert agent.state.size[0] >= 8 * phased_elim.first_size(dim)


@pytest.mark.slow
def test_phases_keep_the_best_arm_beside_a_decoy_only_with_noise():
    for noise, kept in ((0.0, 0), (0.1, 12)):
        held = 0
        for r in range(12):
            with np.errstate(over="ignore"):
                problem = banditlab.make_problem("ls_decoy", dim=32, noise=noise)
                nature = random.stream(random.key(4), r, random.NATURE)
                world = problem.init(problem.params, nature)
            agent = banditlab.Agent(
                "phased_elim", n_arms=256, dim=32, horizon=20_000, noise=noise, seed=r
            )
            for _ in range(400):
                arm = agent.act(world.x)
                with np.errstate(over="ignore"):
                    paid = problem.pull(problem.params, world, world.x, arm, nature)
                agent.update(world.x, arm, paid)
            held += int(agent.state.active[world.mean.argmax()])
        print(f"noise {noise}: the best arm kept in {held} of 12")
        assert abs(held - kept) <= 4


# --- optimism -----------------------------------------------------------------------------------


def test_the_radius_is_that_of_theorem_2():
    params = linucb.LinUCB(0.0, 1.0, False, 0.1, 1.0, 1.0)
    factor = np.zeros((1, 2, 3))
    factor[0, 0, 0], factor[0, 1, 1] = 2.0, 1.0  # det 4
    assert linucb.radius(params, factor, 0) == pytest.approx(3.447747, abs=5e-7)


def numpy_optimism(xs, pay, delta, ridge, noise, bound, eps):
    """Arms that OFUL pulls, by the formula and a fresh inverse every round."""
    dim = xs[0].shape[1]
    a, b, arms = ridge * np.eye(dim), np.zeros(dim), []
    for t, x in enumerate(xs):
        inverse = np.linalg.inv(a)
        log_det = np.linalg.slogdet(a / ridge)[1]
        beta = noise * math.sqrt(2 * math.log(1 / delta) + log_det) + math.sqrt(ridge) * bound
        beta += eps * math.sqrt(t)
        index = x @ inverse @ b + beta * np.sqrt(np.einsum("ij,jk,ik->i", x, inverse, x))
        arm = int(index.argmax())
        arms.append(arm)
        a += np.outer(x[arm], x[arm])
        b += pay(x[arm]) * x[arm]
    return arms


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("name", ["oful", "oful_mis"])
def test_choices_agree_with_numpy(name, fresh):
    rng, horizon = np.random.default_rng(3), 150
    xs = rng.standard_normal((horizon if fresh else 1, 5, 3))
    xs = xs if fresh else np.repeat(xs, horizon, axis=0)
    given = {"ridge": 0.5, "noise": 0.3, "bound": 2.0}
    eps = {"eps": 0.2} if name == "oful_mis" else {}

    def pay(row):
        return float(row @ [0.5, -0.2, 0.1] + 0.1 * np.sign(row[0] * row[1]))

    agent = banditlab.Agent(name, n_arms=5, dim=3, horizon=horizon, **given, **eps)
    arms = []
    for x in xs:
        arms.append(agent.act(x))
        agent.update(x, arms[-1], pay(x[arms[-1]]))
    assert agent.state.delta[0] == 1 / horizon
    expected = numpy_optimism(xs, pay, 1 / horizon, **given, eps=eps.get("eps", 0.0))
    assert arms == expected
    assert len(set(arms)) > 1


@pytest.mark.parametrize("size", [1e-140, 1e-155, 1e150, 1e160])
def test_features_of_any_size_have_a_design(size):
    x = size * np.array([[1, 0], [0, 1], [0.5, 0.5], [0.2, 0.9]])
    basis, weights = np.zeros(4, np.int64), np.empty(4)
    designs.frank_wolfe(designs.orthonormal(x, np.arange(4), basis), basis, weights)
    assert weights.sum() == pytest.approx(1.0)


def test_what_is_no_number_eliminates_nobody():
    x = np.array([[1, 0], [0, 1], [0.5, 0.5], [0.2, 0.9]])
    wild = banditlab.Agent("phased_elim", n_arms=4, dim=2, horizon=1000)
    for _ in range(100):
        arm = wild.act(x)
        wild.update(x, arm, 1.5e308 if arm % 2 else -1.5e308)
    assert wild.state.active.any()


def test_a_plan_is_not_followed_where_features_change(capsys):
    """Silently it fitted rewards of some features to others."""
    x = np.array([[1, 0], [0, 1], [0.5, 0.5], [0.2, 0.9]])
    one = banditlab.Agent("phased_elim", n_arms=4, dim=2, horizon=1000)
    arm = one.act(x)
    one.update(x, arm, 1.0)
    for other in (x + 1e-9, x[1], x[::-1]):
        with pytest.raises(ValueError, match="phased_elim gave up: the features of its arms chan"):
            one.act(other)
    assert one.act(x) >= 0  # it has not seen a reward of others
    # An arm that is never pulled has other features when a phase ends.
    two = banditlab.Agent("phased_elim", n_arms=4, dim=2, horizon=1000)
    two.act(x)
    spare = int(np.flatnonzero(two.state.left == 0)[0])
    while two.state.size[0] == 16 and two.state.ready[0] == 1:
        last = two.state.left.sum() == 1
        two.update(x + (np.arange(4) == spare)[:, None] * last, two.act(x), 1.0)
    with pytest.raises(ValueError, match="phased_elim gave up"):
        two.act(x)
    arena = {
        "horizon": 50, "replications": 2, "agents": [{"name": "phased_elim"}],
        "problem": {"name": "synthetic_contextual", "dim": 2, "n_arms": 3},
    }  # fmt: skip
    assert np.isnan(simulate(arena, workers=1).raw("phased_elim", "regret")[:, -1]).all()
    said = capsys.readouterr().err
    assert "2 of 2 replications gave up: nan; the features of its arms changed" in said


def test_optimism_about_errors_costs_and_never_ends():
    arena = {
        "horizon": 1500, "replications": 20, "seed": 1,
        "problem": {"name": "linear", "n_arms": 4, "dim": 3},
        "agents": [
            {"name": "oful", "noise": 0.1},
            {"name": "oful_mis", "noise": 0.1, "eps": 0.3},
            {"name": "oful_mis", "label": "zero", "noise": 0.1, "eps": 0.0},
        ],
    }  # fmt: skip
    curves = simulate(arena, workers=1)
    regret = {name: curves.raw(name, "regret")[:, -1] for name in ("oful", "oful_mis", "zero")}
    np.testing.assert_array_equal(regret["oful"], regret["zero"])
    assert regret["oful_mis"].mean() > 3 * regret["oful"].mean()


@pytest.mark.parametrize(
    ("name", "hyper", "words"),
    [
        ("oful", {"ridge": 0}, "ridge must be positive"),
        ("oful", {"delta": 1}, r"delta must lie in \[0, 1\), got 1"),
        ("oful", {"noise": 0}, "noise must be positive"),
        ("oful_mis", {"bound": -1}, "bound must be positive"),
        ("oful_mis", {"eps": -0.1}, "eps must be at least 0"),
        ("oful_mis", {"ridge": float("inf")}, "ridge must be finite"),
        ("phased_elim", {"noise": -1}, "noise must be at least 0"),
        ("phased_elim", {"delta": 1.5}, "delta must lie in"),
        ("gls_commit", {"queries": -1}, "queries must be at least 0"),
        ("gls_commit", {"design": "d"}, "design must be one of g_optimal, uniform"),
    ],
)
def test_bad_arguments_are_refused(name, hyper, words):
    with pytest.raises(ValueError, match=words) as caught:
        make(name, **hyper)
    assert "\n" not in str(caught.value)
