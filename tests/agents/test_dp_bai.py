"""DP-BAI: its schedule, the Max-Det collection, privacy bookkeeping, and errors known exactly."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

import banditlab
from banditlab import random
from banditlab.agents.best_arm.dp_bai import dp_bai, schedule
from banditlab.agents.best_arm.dp_bai_gauss import dp_bai_gauss
from banditlab.core import Task
from banditlab.parts import maxdet, noise
from banditlab.problems.paper_linear import fixed_arms

PAPER = fixed_arms()


def play(agent, x, horizon, sums_of, replication=0, n_arms=None):
    """Batches [(pulls, sums)], the state at the end and the arm named; nothing is cut to T."""
    n_arms, dim = (x.shape[0], x.shape[1]) if n_arms is None else (n_arms, 0)
    rng = random.stream(random.key(3), replication, random.AGENT)
    state = agent.init(agent.params, Task(n_arms, 1, dim, horizon), rng)
    batches, t = [], 0
    while True:
        pulls = np.zeros(n_arms, np.int64)
        agent.act(agent.params, state, t, x, rng, pulls)
        if not pulls.any():
            break
        sums = np.where(pulls > 0, sums_of(len(batches), pulls), 0.0)
        agent.update(agent.params, state, t, x, pulls, sums, rng)
        batches.append((pulls, sums))
        t += int(pulls.sum())
    rule = np.zeros(n_arms)
    agent.recommend(agent.params, state, x, rng, rule)
    assert rule.max() == rule.sum() == 1.0
    return batches, state, int(rule.argmax())


def any_sums(seed):
    """Sums that rewards in [0, 1] may have, with ties left out; the same whenever asked."""
    return lambda phase, pulls: pulls * np.random.default_rng([seed, phase]).random(pulls.size)


# --- schedule ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_arms", "dim", "sizes"),
    [
        (2, 2, (2, 1)),
        (3, 2, (3, 2, 1)),
        (30, 2, (30, 2, 1)),
        (10, 3, (10, 5, 2, 1)),
        (50, 5, (50, 15, 8, 4, 2, 1)),
        (100, 4, (100, 13, 5, 2, 1)),
        (8, 8, (8, 4, 2, 1)),
        (64, 8, (64, 29, 19, 17, 8, 4, 2, 1)),
        (1000, 10, (1000, 147, 40, 27, 13, 7, 4, 2, 1)),
        (40, 1, (40, 1)),
        (1, 1, (1,)),
    ],
)
def test_schedules_of_the_spec(n_arms, dim, sizes):
    assert schedule(n_arms, dim) == sizes


def test_schedules_with_the_natural_logarithm():
    assert schedule(30, 2, math.e) == (30, 1)
    assert schedule(50, 5, math.e) == (50, 11, 4, 2, 1)


def by_definition(n_arms, dim):
    """s_p and M_1 written down from g, h, M_1 and M; and the pulls that rounding can add."""
    ceil = lambda q: round(q) if abs(q - round(q)) < 1e-9 else math.ceil(q)  # noqa: E731
    rest = n_arms - math.ceil(dim**2 / 4)
    lam = max(2.0, n_arms) if dim == 1 else 2.0
    if dim > 1 and rest > 0:
        lam = max(2.0, rest ** (1 / math.log2(dim)))
    g, h = [min(n_arms, math.ceil(dim**2 / 4))], [max(rest, 0)]
    for _ in range(40):
        g.append(math.ceil(g[-1] / 2))
        h.append(ceil((h[-1] + 1) / lam) - 1)
    m1 = next(i for i in range(1, 41) if h[i] == 0)
    m = m1 + next(i for i in range(1, 41) if g[i] == 1) - 1
    sizes = [g[0] + h[p - 1] if p <= m1 else g[p - m1] for p in range(1, m + 2)]
    return tuple(sizes), sum(dim if s > dim**2 else s for s in sizes[:-1]), m1


def test_all_schedules_follow_the_definition():
    largest = 0
    for n_arms in range(2, 201):
        for dim in range(1, min(n_arms, 20) + 1):
            sizes, reserve, _ = by_definition(n_arms, dim)
            assert schedule(n_arms, dim) == sizes, (n_arms, dim)
            assert all(a > b for a, b in zip(sizes, sizes[1:], strict=False))
            largest = max(largest, reserve + 1)
    assert largest == by_definition(200, 20)[1] + 1 == 753


@pytest.mark.parametrize(("n_arms", "dim"), [(2, 2), (30, 2), (40, 1), (200, 20), (7, 0)])
@pytest.mark.parametrize("tprime", ["safe", "paper"])
def test_the_smallest_budget_is_named_and_suffices(n_arms, dim, tprime):
    x = np.random.default_rng(1).normal(size=(n_arms, dim)) if dim else np.zeros((1, 1))
    sizes, reserve, m1 = by_definition(n_arms, dim or n_arms)
    if tprime == "paper":
        reserve = m1 * (dim or n_arms) + sum(sizes[m1:-1])
    agent = dp_bai(tprime=tprime)
    with pytest.raises(ValueError, match=f"horizon must be at least {reserve + 1} "):
        agent.check(Task(n_arms, 1, dim, reserve), x)
    agent.check(Task(n_arms, 1, dim, reserve + 1), x)
    batches, _, _ = play(agent, x, reserve + 1, any_sums(0), n_arms=None if dim else n_arms)
    assert len(batches) == len(sizes) - 1 or tprime == "paper"
    assert sum(int(pulls.sum()) for pulls, _ in batches) <= reserve + 1


def awkward_features(rng, n_arms, dim):
    """Spanning, but full of copies and collinear arms, so that active arms lose rank."""
    x = rng.normal(size=(n_arms, dim))
    for k in range(dim, n_arms):
        if rng.random() < 0.7:
            x[k] = rng.choice([-1.0, 0.0, 0.5, 1.0]) * x[rng.integers(dim)]
    return x[rng.permutation(n_arms)]


def test_never_more_pulls_than_the_budget():
    rng = np.random.default_rng(2)
    paper_overshoots = 0
    for case in range(250):
        n_arms = int(rng.integers(2, 201))
        dim = int(rng.integers(1, min(n_arms, 20) + 1))
        sizes, reserve, m1 = by_definition(n_arms, dim)
        paper = m1 * dim + sum(sizes[m1:-1])
        horizon = max(reserve, paper) + int(rng.integers(1, 2000))
        x = awkward_features(rng, n_arms, dim)
        for tprime in ("safe", "paper"):
            agent = dp_bai(epsilon=0.01, noise="fast", tprime=tprime)
            batches, state, _ = play(agent, x, horizon, any_sums(case), case)
            total = sum(int(pulls.sum()) for pulls, _ in batches)
            assert total <= horizon, (n_arms, dim, horizon, tprime)
            paper_overshoots += (
                tprime == "paper" and asked(x, sizes, state, horizon - paper) > horizon
            )
            if tprime == "safe":
                assert asked(x, sizes, state, horizon - reserve) == total
    assert paper_overshoots > 0  # or the case that "safe" is for was not met


def asked(x, sizes, state, usable):
    """Pulls that a run with this transcript asks for, were none cut."""
    total = 0
    for p in range(len(sizes) - 1):
        pulled = int(np.isfinite(state.released[p]).sum())
        total += pulled * math.ceil(usable / ((len(sizes) - 1) * pulled)) if pulled else 0
    return total


# --- Max-Det -------------------------------------------------------------------------------------


def collection(x, arms=None):
    arms = np.arange(len(x)) if arms is None else np.array(arms)
    table = np.full((len(arms), x.shape[1]), 7.0)
    basis = np.full(x.shape[1], 99)
    r = maxdet.reduce(x, arms, len(arms), table, basis)
    # Features in terms of the basis, whichever it is.
    size = np.abs(x).max()
    assert np.allclose(table[:, :r] @ x[arms][basis[:r]], x[arms], atol=1e-9 * size)
    if r > 0:
        maxdet.maximise(table, basis, len(arms), r)
    alpha = table[:, :r]
    assert np.allclose(alpha @ x[arms][basis[:r]], x[arms], atol=1e-9 * size)
    assert (np.abs(alpha) <= 1 + 2e-9).all()
    assert np.array_equal(alpha[basis[:r]], np.eye(r))
    return r, sorted(arms[basis[:r]]), alpha[:, np.argsort(basis[:r])]


def coordinates(x):
    """Features in an orthonormal basis of their span."""
    _, values, rows = np.linalg.svd(x)
    return x @ rows[: int((values > 1e-9 * values[0]).sum())].T


def volumes(x):
    """|det| of all subsets as large as the rank, in lexicographic order."""
    y = coordinates(x)
    return {b: abs(np.linalg.det(y[list(b)])) for b in combinations(range(len(x)), y.shape[1])}


@pytest.mark.parametrize("seed", range(40))
def test_the_collection_has_the_largest_determinant(seed):
    rng = np.random.default_rng(seed)
    n_arms, dim, rank = int(rng.integers(4, 13)), int(rng.integers(1, 5)), int(rng.integers(1, 5))
    rank = min(rank, dim)
    x = rng.normal(size=(n_arms, rank)) @ rng.normal(size=(rank, dim))
    found, basis, _ = collection(x)
    every = volumes(x)
    assert found == rank
    assert tuple(basis) == max(every, key=every.get)


def test_of_equal_determinants_the_first_in_lexicographic_order():
    x = np.random.default_rng(3).integers(-1, 2, size=(9, 3)).astype(float)
    every = volumes(x)
    largest = max(every.values())
    first = [b for b, volume in every.items() if volume > largest * (1 - 1e-6)]
    assert len(first) > 1
    assert tuple(collection(x)[1]) == first[0]


def test_large_sets_admit_no_improving_swap():
    x = np.random.default_rng(4).normal(size=(300, 6))
    assert math.comb(300, 6) > maxdet.FEW
    rank, basis, _ = collection(x)  # checks |alpha| <= 1, which is what the algorithm relies on
    volume = abs(np.linalg.det(x[basis]))
    for j in range(rank):
        for i in range(300):
            swapped = [*basis[:j], i, *basis[j + 1 :]]
            assert abs(np.linalg.det(x[swapped])) <= volume * (1 + 1e-8)


def test_the_paper_instance():
    rank, basis, alpha = collection(PAPER)
    assert (rank, basis) == (2, [0, 2])
    assert alpha[1] == pytest.approx([0.9, 0.0])
    assert np.allclose(alpha[3:], np.column_stack([PAPER[3:, 1], np.full(27, 0.1)]))
    assert collection(PAPER, [0, 1])[:2] == (1, [0])


def test_unit_vectors_are_their_own_collection():
    rank, basis, alpha = collection(np.eye(5))
    assert (rank, basis) == (5, list(range(5)))
    assert np.array_equal(alpha, np.eye(5))


def test_degenerate_features():
    assert collection(np.zeros((3, 2)))[0] == 0
    copies = np.array([[1.0, 2.0], [2.0, 4.0], [-3.0, -6.0], [1.0, 2.0]])
    assert collection(copies)[:2] == (1, [2])
    assert collection(np.array([[1.0, 0.0], [1.0, 1e-12]]))[0] == 1


@pytest.mark.parametrize("seed", range(5))
def test_an_invertible_map_of_the_features_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(14, 3))
    mapped = x @ rng.normal(size=(3, 3))
    one, other = collection(x), collection(mapped)
    assert one[:2] == other[:2]
    assert np.allclose(one[2], other[2])
    agent = dp_bai(epsilon=0.5)
    before, after = (play(agent, f, 400, any_sums(seed), seed) for f in (x, mapped))
    assert before[2] == after[2]
    assert np.array_equal([p for p, _ in before[0]], [p for p, _ in after[0]])


def test_relabelled_arms_give_the_relabelled_answer():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, means = rng.normal(size=(17, 3)), rng.random(17)
        order = rng.permutation(17)
        agent = dp_bai(epsilon=math.inf)
        arm = play(agent, x, 300, lambda _, pulls: pulls * means)[2]  # noqa: B023
        there = play(agent, x[order], 300, lambda _, pulls: pulls * means[order])[2]  # noqa: B023
        assert order[there] == arm


# --- the algorithm, again in NumPy ---------------------------------------------------------------


def reference(x, horizon, release):
    """DP-BAI as one would write it down; ``release(p, arm, n)`` is a noisy mean of n rewards."""
    n_arms, dim = x.shape
    sizes, reserve, _ = by_definition(n_arms, dim)
    phases = len(sizes) - 1
    active = list(range(n_arms))
    asked = []
    for p in range(phases):
        y = coordinates(x[active])
        rank = y.shape[1]
        whole = rank >= math.sqrt(len(active))
        every = {tuple(range(rank)): 1.0} if whole else volumes(x[active])
        basis = list(range(len(active))) if whole else list(max(every, key=every.get))
        n = math.ceil((horizon - reserve) / (phases * len(basis)))
        asked.append({active[b]: n for b in basis})
        means = np.array([release(p, active[b], n) for b in basis])
        if not whole:
            means = y @ np.linalg.solve(y[basis], means)
        best = sorted(range(len(active)), key=lambda i: (-means[i], i))[: sizes[p + 1]]  # noqa: B023
        active = sorted(active[i] for i in best)
    return asked, active[0]


@pytest.mark.parametrize("seed", range(30))
def test_given_what_was_released_all_else_follows(seed):
    rng = np.random.default_rng(seed)
    dim = int(rng.integers(1, 4))
    n_arms = int(rng.integers(max(2, dim), 25))
    x = rng.normal(size=(n_arms, dim))
    agent = dp_bai(epsilon=0.05, noise=("discrete", "fast")[seed % 2])
    batches, state, arm = play(agent, x, 800, any_sums(seed), seed)
    pulls, named = reference(x, 800, lambda p, k, n: state.released[p, k])
    assert named == arm
    assert [{k: b[k] for k in np.flatnonzero(b)} for b, _ in batches] == pulls
    # One released mean per batch and arm pulled, so that every reward enters exactly one.
    assert [set(np.flatnonzero(np.isfinite(row))) for row in state.released] == list(
        map(set, pulls)
    )


def test_unit_vectors_and_no_features_are_the_same():
    for seed in range(10):
        agent = dp_bai(epsilon=0.3)
        with_rows = play(agent, np.eye(9), 300, any_sums(seed), seed)
        without = play(agent, np.zeros((1, 1)), 300, any_sums(seed), seed, n_arms=9)
        assert with_rows[2] == without[2]
        assert np.array_equal(with_rows[1].released, without[1].released, equal_nan=True)


def test_without_privacy_means_are_released_as_they_are():
    for agent in (dp_bai(epsilon=math.inf), dp_bai_gauss(epsilon=math.inf)):
        assert agent.grid == 0.0
        batches, state, _ = play(agent, PAPER, 500, any_sums(1))
        for p, (pulls, sums) in enumerate(batches):
            pulled = pulls > 0
            assert np.array_equal(state.released[p][pulled], sums[pulled] / pulls[pulled])


@pytest.mark.parametrize(
    ("agent", "law"),
    [
        (dp_bai(epsilon=0.25), stats.laplace(0, 4)),
        (dp_bai(epsilon=0.25, noise="fast"), stats.laplace(0, 4)),
        (dp_bai_gauss(epsilon=0.25, delta=0.1), stats.norm(0, 4 * math.sqrt(2 * math.log(12.5)))),
        (
            dp_bai_gauss(epsilon=2.0, gauss="analytic"),
            stats.norm(0, noise.gaussian_scale(2.0, 0.05, "analytic")),
        ),
    ],
)
def test_the_noise_of_a_mean_of_n_rewards_is_one_nth(agent, law):
    drawn = []
    for replication in range(6000):
        sums_of = lambda _, pulls: np.floor(0.4 * pulls)  # noqa: E731
        batches, state, _ = play(agent, PAPER, 250, sums_of, replication)
        for p, (pulls, sums) in enumerate(batches):
            drawn += [pulls[k] * state.released[p, k] - sums[k] for k in np.flatnonzero(pulls)]
    # The arms of the second phase depend on the noise of the first, not on its own.
    assert stats.kstest(drawn, law.cdf).pvalue > 1e-4


def test_epsilon_is_spent_once():
    agent = dp_bai(epsilon=0.5)
    _, state, _ = play(agent, PAPER, 250, any_sums(0))
    assert agent.spent(agent.params, state) == 0.5
    assert (agent.grid, dp_bai(noise="fast").grid) == (noise.GRID, 0.0)


def test_one_arm_is_named_without_a_pull():
    for dim in (0, 1):
        x = np.ones((1, 1))
        batches, _, arm = play(dp_bai(), x, 5, any_sums(0), n_arms=None if dim else 1)
        assert (batches, arm) == ([], 0)


def test_arms_without_features_of_any_size_are_ranked_by_noise_alone():
    x = np.zeros((6, 2))
    x[4, 0] = x[5, 1] = 1.0
    batches, state, _ = play(dp_bai(epsilon=0.01), x, 200, any_sums(8), replication=1)
    assert len(batches) == len(schedule(6, 2)) - 1


# --- errors --------------------------------------------------------------------------------------


def tail(x):
    """P(Z > x) for the difference of two unit Laplace variables."""
    upper = np.exp(-np.abs(x)) * (1 + np.abs(x) / 2) / 2
    return np.where(x >= 0, upper, 1 - upper)


EXACT = {
    (10, 0.7, 0.4, 1.0): 0.147207,
    (10, 0.7, 0.4, 0.1): 0.427115,
    (50, 0.7, 0.4, 1.0): 0.002210,
    (50, 0.6, 0.5, 0.5): 0.211423,
    (200, 0.6, 0.5, 0.05): 0.286409,
}


def error(agent, problem, horizon, replications):
    name = agent["name"]
    curves = banditlab.simulate(
        {
            "protocol": "identify",
            "horizon": horizon,
            "replications": replications,
            "seed": 11,
            "problem": problem,
            "agents": [agent],
        }
    )
    assert curves.raw(name, "pulls").max() <= horizon
    return float(curves.raw(name, "error").mean())


@pytest.mark.parametrize("kind", ["discrete", "fast"])
@pytest.mark.parametrize(("case", "value"), EXACT.items())
def test_the_error_with_two_arms(case, value, kind):
    n, low, high = case[0], case[1], case[2]
    k = np.arange(n + 1)
    weights = np.outer(stats.binom.pmf(k, n, low), stats.binom.pmf(k, n, high))
    exact = float((weights * tail(case[3] * (k[:, None] - k[None, :]))).sum())
    assert exact == pytest.approx(value, abs=1e-6)
    agent = {"name": "dp_bai", "epsilon": case[3], "noise": kind}
    runs = 20_000
    met = error(agent, {"name": "bernoulli", "means": [low, high]}, 2 * n + 2, runs)
    assert met == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / runs))


CELLS = [
    ("dp_bai", 0.1, 1000, 0.119),
    ("dp_bai", 1.0, 250, 0.102),
    ("dp_bai", 0.01, 4000, 0.204),
    ("dp_bai_gauss", 0.1, 1000, 0.178),
    ("dp_bai_gauss", 1.0, 250, 0.129),
    ("dp_bai_gauss", 0.01, 4000, 0.305),
]


@pytest.mark.parametrize(("name", "epsilon", "horizon", "value"), CELLS)
def test_errors_of_an_earlier_program(name, epsilon, horizon, value):
    agent = {"name": name, "epsilon": epsilon}
    if name == "dp_bai_gauss":
        agent["allow_loose"] = True
    met = error(agent, {"name": "paper_linear"}, horizon, 4000)
    variance = (met * (1 - met) + value * (1 - value)) / 4000
    assert abs(met - value) <= 4 * math.sqrt(variance)


@pytest.mark.parametrize(("epsilon", "horizon"), [(1.0, 250), (0.1, 1000)])
def test_errors_of_the_numpy_program(epsilon, horizon):
    rng = np.random.default_rng(6)
    means = PAPER @ np.array([0.045, 0.5])

    def release(p, arm, n):
        return 2 * means[arm] * rng.random(n).mean() + rng.laplace(scale=1 / (epsilon * n))

    wrong = []
    for _ in range(1500):
        wrong.append(fast_reference(horizon, release) != 0)
    value = float(np.mean(wrong))
    met = error({"name": "dp_bai", "epsilon": epsilon}, {"name": "paper_linear"}, horizon, 4000)
    variance = met * (1 - met) / 4000 + value * (1 - value) / 1500
    assert abs(met - value) <= 4 * math.sqrt(variance)


def fast_reference(horizon, release):
    """`reference` on the paper instance, whose two phases can be written out."""
    n = math.ceil((horizon - 4) / 4)
    first = np.array([release(0, 0, n), release(0, 2, n)])
    scores = np.linalg.solve(PAPER[[0, 2]].T, PAPER.T).T @ first
    a, b = np.sort(np.argsort(-scores, kind="stable")[:2])
    collinear = abs(np.linalg.det(PAPER[[a, b]])) < 1e-9
    if collinear:
        n = math.ceil((horizon - 4) / 2)
        longer = a if np.linalg.norm(PAPER[a]) >= np.linalg.norm(PAPER[b]) else b
        mean = release(1, longer, n)
        return longer if mean >= 0 else a + b - longer
    return a if release(1, a, n) >= release(1, b, n) else b


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dp_bai(epsilon=0.0), "epsilon must be positive"),
        (lambda: dp_bai(epsilon=math.nan), "epsilon must be positive"),
        (lambda: dp_bai(epsilon=-1.0, noise="fast"), "epsilon must be positive"),
        (lambda: dp_bai(epsilon=1e-9), "exact discrete noise"),
        (lambda: dp_bai(noise="none"), "noise must be one of"),
        (lambda: dp_bai(log_base=1.0), "log_base must be above 1"),
        (lambda: dp_bai(log_base=math.inf), "log_base must be finite"),
        (lambda: dp_bai(tprime="T"), "tprime must be one of"),
        (lambda: dp_bai_gauss(epsilon=1.0), "epsilon must be below 1 for the classical"),
        (lambda: dp_bai_gauss(delta=0.0), "delta must lie strictly"),
        (lambda: dp_bai_gauss(gauss="loose"), "kind must be one of|gauss must be one of"),
        (lambda: schedule(3, 4), "dim must be at most n_arms"),
        (lambda: schedule(3, 0), "dim must be at least 1"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_gauss_beyond_its_proof_on_request():
    assert dp_bai_gauss(epsilon=1.0, allow_loose=True).params.epsilon == 1.0
    assert dp_bai_gauss(epsilon=1.0, gauss="analytic").params.gauss == "analytic"
    assert dp_bai(epsilon=1e-9, noise="fast").params.epsilon == 1e-9


@pytest.mark.parametrize(
    ("x", "dim", "words"),
    [
        (np.array([[1.0, 2.0], [2.0, 4.0], [0.5, 1.0]]), 2, "have rank 1"),
        (np.array([[1.0, 2.0], [2.0, np.nan], [0.5, 1.0]]), 2, "finite numbers"),
        (np.ones((1, 2)), 2, "3 x 2 finite"),
        (np.ones((3, 4)), 4, "dim must be at most n_arms"),
    ],
)
def test_bad_features(x, dim, words):
    with pytest.raises(ValueError, match=words):
        dp_bai().check(Task(3, 1, dim, 1000), x)


def test_the_arena_refuses_a_small_budget():
    with pytest.raises(ValueError, match="horizon must be at least 5 for 30 arms and dim 2, got 4"):
        error({"name": "dp_bai"}, {"name": "paper_linear"}, 4, 2)


def test_the_arena_refuses_rewards_without_bounds():
    with pytest.raises(ValueError, match="needs rewards in"):
        error({"name": "dp_bai"}, {"name": "linear", "dim": 2, "n_arms": 5}, 100, 2)


def test_the_released_mean_of_the_arm_named_is_recorded_where_it_is_shown():
    """Noise and all: without noise it is the arm's mean, with it the mean and that noise."""
    arena = {
        "protocol": "identify",
        "problem": {"name": "bernoulli", "means": [0.0, 0.0, 1.0]},
        "agents": [
            {"name": "dp_bai", "epsilon": 100.0},
            {"name": "dp_sequential_halving", "epsilon": 100.0},
            {"name": "sequential_halving"},
        ],
        "horizon": 600,
        "replications": 40,
    }
    plain = banditlab.simulate(arena)
    assert "released" not in plain.measures()
    curves = banditlab.simulate({**arena, "measure": "released"})
    for agent in ("dp_bai", "dp_sequential_halving"):
        told = curves.raw(agent, "released")[:, 0]
        assert curves.shown("main") == "released" and np.abs(told - 1.0).max() < 0.05
        assert np.unique(told).size > 1  # there is noise in it
        assert np.array_equal(curves.raw(agent, "error"), plain.raw(agent, "error"))
    assert np.isnan(curves.raw("sequential_halving", "released")).all()
