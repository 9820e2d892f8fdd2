"""OD-LinBAI, its private versions and optimal designs, against theory and second implementations.

A z of 4.5 is exceeded by chance in 7 of a million comparisons; with fixed seeds, never or always.
"""

import math
from functools import partial

import numpy as np
import pytest
from scipy import optimize

from banditlab import make, make_problem, random, simulate
from banditlab.agents.best_arm import dp_od, od_linbai
from banditlab.core import Task
from banditlab.parts import designs as design

Z = 4.5
EPS = 0.7


def some_features(n, dim, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dim))


# --- reduced features -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "dim", "rank"), [(7, 3, 3), (3, 3, 3), (9, 4, 2), (2, 5, 2), (6, 6, 1)]
)
def test_reduced_features_are_a_singular_value_decomposition(n, dim, rank):
    x = some_features(n + 2, rank, 1) @ some_features(rank, dim, 2)
    arms = np.random.default_rng(3).permutation(n + 2)[:n]
    found = design.reduced(x, arms)
    rank = min(rank, n)
    assert found.shape == (n, rank)
    np.testing.assert_allclose(found @ found.T, x[arms] @ x[arms].T, atol=1e-12)
    gram = found.T @ found
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-12)
    singular = np.linalg.svd(x[arms], compute_uv=False)[:rank]
    np.testing.assert_allclose(np.sort(np.sqrt(np.diag(gram)))[::-1], singular, rtol=1e-11)


def test_rank_is_relative_to_the_largest_singular_value():
    x = np.diag([1e6, 1.0])
    assert design.reduced(x, np.arange(2)).shape == (2, 2)
    x[1, 1] = 1e-4  # 1e-10 of the largest
    assert design.reduced(x, np.arange(2)).shape == (2, 1)


def test_arms_without_features_have_one_mean():
    np.testing.assert_array_equal(design.reduced(np.zeros((4, 3)), np.arange(2)), np.ones((2, 1)))


# --- G-optimal designs ------------------------------------------------------------------------


def variances(x, weights):
    return np.einsum("ij,jk,ik->i", x, np.linalg.inv(x.T @ (weights[:, None] * x)), x)


@pytest.mark.parametrize(("n", "dim"), [(2, 2), (6, 3), (30, 2), (40, 5), (25, 10)])
def test_g_optimal_design_meets_kiefer_and_wolfowitz(n, dim):
    x = some_features(n, dim, n)
    weights = np.full(n, np.nan)
    largest = design.g_optimal(x, weights)
    assert dim <= largest <= dim * (1 + 1e-4)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12) and (weights >= 0).all()
    g = variances(x, weights)  # of what is returned, light weights dropped
    assert dim * (1 - 1e-12) <= g.max() <= dim * (1 + 1e-3)
    np.testing.assert_allclose(g[weights > 0.01], dim, rtol=1e-3)


def test_g_optimal_design_maximises_the_determinant():
    """By equivalence it is the D-optimal one, which a general optimiser finds."""
    x = some_features(8, 3, 5)

    def loss(z):
        weights = z**2 / (z**2).sum()
        return -np.linalg.slogdet(x.T @ (weights[:, None] * x))[1]

    found = optimize.minimize(loss, np.ones(8), options={"gtol": 1e-10}, method="BFGS")
    weights = np.empty(8)
    design.g_optimal(x, weights)
    np.testing.assert_allclose(weights, found.x**2 / (found.x**2).sum(), atol=1e-3)
    assert -np.linalg.slogdet(x.T @ (weights[:, None] * x))[1] == pytest.approx(found.fun, abs=1e-5)


def test_paper_linear_is_designed_on_arms_1_and_3():
    arms = np.arange(30)
    with np.errstate(over="ignore"):
        problem = make_problem("paper_linear")
        x = problem.init(problem.params, random.stream(random.key(0), 0, 0)).x
    weights = np.empty(30)
    design.g_optimal(design.reduced(x, arms), weights)
    assert np.flatnonzero(weights).tolist() == [0, 2]
    np.testing.assert_allclose(weights[[0, 2]], 0.5, atol=1e-5)


# --- sensitivity and noise --------------------------------------------------------------------


def some_round(seed=4, n=7, dim=3):
    """Coordinates, pulls (some 0) and sums."""
    rng = np.random.default_rng(seed)
    pulls = np.array([3, 0, 5, 1, 4, 0, 2, 6, 7])[:n]
    return rng.standard_normal((n, dim)), pulls, pulls * rng.uniform(size=n)


def fitted(coordinates, pulls, sums):
    """Least squares, by NumPy, with a row per pull."""
    rows = np.repeat(coordinates, pulls, axis=0)
    rewards = np.repeat(sums / np.maximum(pulls, 1), pulls)
    return np.linalg.lstsq(rows, rewards, rcond=None)[0]


def test_sensitivity_is_the_largest_effect_of_one_reward():
    coordinates, pulls, sums = some_round()
    theta = fitted(coordinates, pulls, sums)
    of_theta, of_predictions = 0.0, 0.0
    for arm in np.flatnonzero(pulls):
        changed = sums.copy()
        changed[arm] += 1.0
        move = fitted(coordinates, pulls, changed) - theta
        of_theta = max(of_theta, np.abs(move).sum())
        of_predictions = max(of_predictions, np.abs(coordinates @ move).sum())
    inverse = np.linalg.inv(coordinates.T @ (pulls[:, None] * coordinates))
    found = dp_od.sensitivity_of_theta(coordinates, pulls, inverse)
    assert found == pytest.approx(of_theta, rel=1e-9)
    found = dp_od.sensitivity_of_predictions(coordinates, pulls, inverse)
    assert found == pytest.approx(of_predictions, rel=1e-9)


def estimate(kernel, epsilon):
    """Scores and released numbers for `some_round`, and the noise that its stream holds."""
    coordinates, pulls, sums = some_round()
    scores, released = np.empty(pulls.size), np.full(pulls.size, np.nan)
    rng = random.stream(random.key(8), 0, random.AGENT)
    noise = rng.copy()
    kernel(dp_od.DPOD(epsilon), coordinates, pulls, sums, rng, scores, released)
    return scores, released, noise


def test_noise_on_theta_is_laplace_of_its_sensitivity():
    coordinates, pulls, sums = some_round()
    inverse = np.linalg.inv(coordinates.T @ (pulls[:, None] * coordinates))
    with np.errstate(over="ignore"):
        scores, released, rng = estimate(dp_od.by_theta, EPS)
        z = np.array([random.laplace(rng) for _ in range(3)])
    scale = max(np.abs(inverse @ coordinates[j]).sum() for j in np.flatnonzero(pulls)) / EPS
    expected = coordinates @ (fitted(coordinates, pulls, sums) + scale * z)
    np.testing.assert_allclose(scores, expected, rtol=1e-9)
    np.testing.assert_array_equal(released, scores)


def test_noise_on_predictions_is_laplace_of_their_sensitivity():
    coordinates, pulls, sums = some_round()
    inverse = np.linalg.inv(coordinates.T @ (pulls[:, None] * coordinates))
    with np.errstate(over="ignore"):
        scores, released, rng = estimate(dp_od.by_predictions, EPS)
        z = np.array([random.laplace(rng) for _ in range(7)])
    moves = np.abs(coordinates @ inverse @ coordinates.T).sum(axis=0)
    expected = coordinates @ fitted(coordinates, pulls, sums) + moves[pulls > 0].max() / EPS * z
    np.testing.assert_allclose(scores, expected, rtol=1e-9)
    np.testing.assert_array_equal(released, scores)


def test_noise_on_means_is_laplace_of_one_reward():
    coordinates, pulls, sums = some_round()
    with np.errstate(over="ignore"):
        scores, released, rng = estimate(dp_od.by_means(False), EPS)
        z = np.array([random.laplace(rng) if n else 0.0 for n in pulls])
    noisy = sums + z / EPS
    pulled = pulls > 0
    np.testing.assert_allclose(released[pulled], (noisy / np.maximum(pulls, 1))[pulled], rtol=1e-12)
    assert np.isnan(released[~pulled]).all()
    np.testing.assert_allclose(scores, coordinates @ fitted(coordinates, pulls, noisy), rtol=1e-9)


def test_discrete_noise_releases_multiples_of_the_grid():
    coordinates, pulls, sums = some_round()
    sums = np.round(sums * 2**20) / 2**20
    scores, released = np.empty(7), np.full(7, np.nan)
    rng = random.stream(random.key(8), 1, random.AGENT)
    with np.errstate(over="ignore"):
        dp_od.by_means(True)(dp_od.DPOD(EPS), coordinates, pulls, sums, rng, scores, released)
    pulled = pulls > 0
    units = (released * pulls * 2**20)[pulled]
    np.testing.assert_allclose(units, np.round(units), atol=1e-3)
    assert (np.round(units) != (sums * 2**20)[pulled]).all()


# --- a second implementation of the rounds ------------------------------------------------------


def numpy_design(x):
    weights = np.full(len(x), 1 / len(x))
    for _ in range(2000):
        g = variances(x, weights)
        if g.max() <= x.shape[1] * (1 + 1e-6):
            break
        weights *= g / x.shape[1]
    weights[weights < 1e-4] = 0
    return weights / weights.sum()


def numpy_rounds(x, horizon, sums_of):
    """Pulls of each round, and the arm named; ``sums_of(pulls)`` are the rewards."""
    n_arms, dim = x.shape
    rounds = max(1, math.ceil(math.log2(dim)))
    spare = min(n_arms, dim * (dim + 1) // 2) + sum(math.ceil(dim / 2**r) for r in range(1, rounds))
    share = (horizon - spare) // rounds
    active, history = np.arange(n_arms), []
    for r in range(1, rounds + 1):
        u, s, _ = np.linalg.svd(x[active], full_matrices=False)
        z = (u * s)[:, s > 1e-9 * s[0]]
        pulls = np.zeros(n_arms, np.int64)
        pulls[active] = np.ceil(numpy_design(z) * share - 1e-9)
        history.append(pulls)
        sums = sums_of(pulls)
        scores = z @ fitted(z, pulls[active], sums[active])
        order = np.argsort(-scores, kind="stable")[: math.ceil(dim / 2**r)]
        active = np.sort(active[order])
    return history, int(active[0])


def play(algorithm, x, horizon, sums_of, n_arms=0):
    """The same from the agent's kernels; the loop is one of Python."""
    dim = x.shape[1] if n_arms == 0 else 0
    n_arms = n_arms or x.shape[0]
    rng = random.stream(random.key(1), 0, random.AGENT)
    with np.errstate(all="ignore"):
        state = algorithm.init(algorithm.params, Task(n_arms, 1, dim, horizon), rng)
        history = []
        while True:
            pulls = np.zeros(n_arms, np.int64)
            algorithm.act(algorithm.params, state, 0, x, rng, pulls)
            if not pulls.any():
                break
            history.append(pulls)
            algorithm.update(algorithm.params, state, 0, x, pulls, sums_of(pulls), rng)
        rule = np.zeros(n_arms)
        algorithm.recommend(algorithm.params, state, x, rng, rule)
    return history, rule


def gaussian_sums(mean, rng, pulls):
    return pulls * mean + np.sqrt(pulls) * rng.standard_normal(mean.size)


@pytest.mark.parametrize(
    ("n", "dim", "horizon"), [(6, 1, 20), (9, 2, 60), (9, 3, 100), (20, 5, 300), (12, 12, 400)]
)
def test_rounds_agree_with_numpy(n, dim, horizon):
    algorithm = make("od_linbai")
    for seed in range(4):
        x = some_features(n, dim, seed)
        mean = x @ np.random.default_rng(seed + 50).standard_normal(dim)
        ours, theirs = np.random.default_rng(seed + 9), np.random.default_rng(seed + 9)

        history, rule = play(algorithm, x, horizon, partial(gaussian_sums, mean, ours))
        expected, named = numpy_rounds(x, horizon, partial(gaussian_sums, mean, theirs))
        assert np.array_equal(history, expected)
        assert rule[named] == 1.0 and sum(map(np.sum, history)) <= horizon


def test_round_sizes_are_those_of_the_paper():
    assert [int(od_linbai.n_rounds(d)) for d in (1, 2, 3, 4, 5, 8, 9)] == [1, 1, 2, 2, 3, 3, 4]
    assert [int(od_linbai.kept(20, r)) for r in range(1, 6)] == [10, 5, 3, 2, 1]
    # T = 1000 on the paper's instance: m = 1000 - 3, so 499 pulls of either arm.
    x = np.zeros((30, 2))
    x[:3] = np.array([[0.0, 1.0], [0.0, 0.9], [10.0, 0.0]])
    x[3:, 0] = 1.0
    x[3:, 1] = 0.8 * np.arange(27) / 27
    history, _ = play(make("od_linbai"), x, 1000, lambda pulls: pulls * 0.5)
    assert len(history) == 1 and history[0][[0, 2]].tolist() == [499, 499]


# --- never more than T pulls --------------------------------------------------------------------


def least(n_arms, dim):
    rounds = max(1, math.ceil(math.log2(dim)))
    extra = min(n_arms, dim * (dim + 1) // 2)
    return rounds + extra + sum(math.ceil(dim / 2**r) for r in range(1, rounds))


def scan():
    """Features whose designs are hard to round: many near or equal arms, few pulls."""
    rng = np.random.default_rng(11)
    for _ in range(25):
        dim = int(rng.integers(1, 9))
        n = int(rng.integers(dim, 90))
        x = rng.standard_normal((n, dim))
        if rng.uniform() < 0.5:  # all on the sphere: all as useful
            x /= np.linalg.norm(x, axis=1, keepdims=True)
        yield x
    yield np.repeat(np.eye(3), 40, axis=0)  # 40 arms share each weight
    yield np.repeat(np.eye(2), [100, 1], axis=0)
    angles = np.linspace(0, np.pi, 200, endpoint=False)  # even weights are optimal
    yield np.column_stack([np.cos(angles), np.sin(angles)])


def test_never_more_than_horizon_pulls():
    algorithm = make("od_linbai")
    for x in scan():
        n, dim = x.shape
        first = least(n, dim)
        mean = np.linspace(0, 1, n)
        for horizon in (first, first + 1, first + 17, 10 * first, 1000 + first):
            algorithm.check(Task(n, 1, dim, horizon), x)
            history, rule = play(algorithm, x, horizon, lambda pulls, m=mean: pulls * m)
            assert 0 < sum(map(np.sum, history)) <= horizon
            assert len(history) == max(1, math.ceil(math.log2(dim)))
            assert rule.max() == 1.0 and np.isfinite(rule).all()
        with pytest.raises(ValueError, match=f"horizon must be at least {first} for"):
            algorithm.check(Task(n, 1, dim, first - 1), x)


def test_without_noise_the_best_arm_is_named():
    for seed in range(5):
        x = some_features(15, 4, seed)
        mean = x @ np.random.default_rng(seed).standard_normal(4)
        _, rule = play(make("od_linbai"), x, 300, lambda pulls, m=mean: pulls * m)
        assert rule[mean.argmax()] == 1.0


# --- whole runs ---------------------------------------------------------------------------------


def errors(problem, horizon, agents, replications, seed=1):
    curves = simulate(
        {
            "protocol": "identify",
            "horizon": horizon,
            "replications": replications,
            "seed": seed,
            "problem": problem,
            "agents": agents,
        }
    )
    for agent in agents:
        assert curves.raw(agent.get("label", agent["name"]), "pulls").max() <= horizon
    return {
        a.get("label", a["name"]): curves.raw(a.get("label", a["name"]), "error") for a in agents
    }


def private(epsilon, **more):
    return [
        {"name": "dp_od", "label": place, "placement": place, "epsilon": epsilon, **more}
        for place in ("theta", "pred", "means")
    ]


# Epsilon, T, then the error of placements theta, pred and means, and of OD-LinBAI: table D1 of the
# specification, from 4000 replications.
D1 = [
    (0.01, 1000, 0.520, 0.970, 0.441, 0.0025),
    (0.01, 4000, 0.471, 0.953, 0.267, 0.0),
    (0.03, 1000, 0.485, 0.961, 0.323, 0.0025),
    (0.03, 4000, 0.396, 0.911, 0.062, 0.0),
    (0.1, 250, 0.484, 0.962, 0.357, 0.082),
    (0.1, 1000, 0.414, 0.917, 0.113, 0.0025),
    (0.1, 4000, 0.214, 0.669, 0.0003, 0.0),
    (0.3, 1000, 0.271, 0.763, 0.012, 0.0025),
    (1.0, 250, 0.307, 0.818, 0.097, 0.082),
    (1.0, 1000, 0.071, 0.283, 0.002, 0.0025),
]


@pytest.mark.parametrize(("epsilon", "horizon", "theta", "pred", "means", "plain"), D1)
def test_errors_on_the_paper_instance(epsilon, horizon, theta, pred, means, plain):
    n = 4000
    agents = [*private(epsilon), {"name": "od_linbai"}]
    found = errors({"name": "paper_linear"}, horizon, agents, n)
    expected = {"theta": theta, "pred": pred, "means": means, "od_linbai": plain}
    for label, p in expected.items():
        q = found[label].mean()
        # One error in 4000 where none was seen.
        spread = math.sqrt(max(p * (1 - p) + q * (1 - q), 1 / n) / n)
        assert abs(p - q) <= 4 * spread, (label, p, q)


GAPS = [0.0, 0.1, 0.15, 0.2, 0.2]
UNIT = {"name": "hard_family", "gaps": GAPS}  # three rounds


def test_without_privacy_it_is_od_linbai():
    agents = [*private(math.inf, noise="fast"), {"name": "od_linbai"}]
    found = errors(UNIT, 120, agents, 300)
    assert 0.1 < found["od_linbai"].mean() < 0.9
    for place in ("theta", "pred", "means"):
        np.testing.assert_array_equal(found[place], found["od_linbai"])


def test_without_features_the_arms_are_unit_vectors():
    agents = [*private(1.0, noise="fast")[2:], {"name": "od_linbai"}]
    shown = errors(UNIT, 120, agents, 200)
    plain = errors({"name": "bernoulli", "means": [0.5 - gap for gap in GAPS]}, 120, agents, 200)
    for label, found in plain.items():
        assert 0.05 < found.mean() < 0.95
        np.testing.assert_array_equal(found, shown[label])


def test_two_arms_differ_by_two_laplace_variables():
    """K = d = 2 in closed form: n = (T - 2) / 2 pulls of either arm, one round."""
    n, replications = 10, 20_000
    problem = {"name": "bernoulli", "means": [0.7, 0.4]}
    found = errors(problem, 2 * n + 2, private(1.0, noise="fast")[2:], replications)["means"].mean()
    expected = 0.147207  # section 7.1 of the specification
    assert abs(found - expected) < Z * math.sqrt(expected * (1 - expected) / replications)


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hyper", "words"),
    [
        ({"epsilon": 0.0}, "epsilon must be positive"),
        ({"epsilon": -1.0}, "epsilon must be positive"),
        ({"epsilon": math.nan}, "epsilon must be positive"),
        ({"placement": "arms"}, "placement must be one of theta, pred, means"),
        ({"noise": "none"}, "noise must be one of fast, discrete"),
        ({"noise": "discrete"}, "noise must be fast for placement theta"),
        ({"noise": "discrete", "placement": "pred"}, "noise must be fast for placement pred"),
        ({"epsilon": 1e9, "placement": "means"}, "epsilon must lie in"),
    ],
)
def test_bad_hyper_parameters_are_refused(hyper, words):
    with pytest.raises(ValueError, match=words) as caught:
        make("dp_od", **hyper)
    assert "\n" not in str(caught.value)


def test_exact_noise_is_the_default_where_it_exists():
    assert make("dp_od").params == (1.0, "theta", "fast")
    assert make("dp_od", placement="pred").params.noise == "fast"
    algorithm = make("dp_od", placement="means")
    assert algorithm.params.noise == "discrete" and algorithm.grid == 2.0**-20
    assert make("dp_od", placement="means", noise="fast").grid == 0.0


def test_unfit_tasks_are_refused():
    check = make("od_linbai").check
    flat = np.ones((5, 2))
    with pytest.raises(ValueError, match="must span all 2 dimensions, but have rank 1"):
        check(Task(5, 1, 2, 100), flat)
    with pytest.raises(ValueError, match="5 x 2 finite numbers, a row per arm"):
        check(Task(5, 1, 2, 100), np.ones((1, 2)))  # one row that all arms share
    with pytest.raises(ValueError, match="finite"):
        check(Task(2, 1, 2, 100), np.array([[1.0, np.inf], [0.0, 1.0]]))
    with pytest.raises(ValueError, match="dim must be at most n_arms, 2, got 3"):
        check(Task(2, 1, 3, 100), some_features(2, 3))
    with pytest.raises(ValueError, match=r"needs rewards in \[0, 1\]"):
        errors({"name": "gaussian", "means": [0.1, 0.2], "sigma": 1.0}, 50, private(1.0)[:1], 2)
