"""Fixed confidence: oracle weights, rules by hand or in plain NumPy, errors, times, privacy."""

import math

import numpy as np
import pytest
from scipy import optimize, special, stats

import banditlab
from banditlab import random
from banditlab.agents.best_arm import adap_tt, dp_se, lucb
from banditlab.agents.best_arm.track_and_stop import oracle_weights
from banditlab.core import Task, jit_disabled
from banditlab.parts.evidence import stopping

X = np.zeros((1, 1))
compiled_only = pytest.mark.skipif(jit_disabled(), reason="simulates millions of pulls")


def started(algorithm, n_arms, horizon=10**6, seed=5):
    """A fresh state and a stream."""
    rng = random.stream(random.key(seed), 0, random.AGENT)
    with np.errstate(over="ignore"):
        return algorithm.init(algorithm.params, Task(n_arms, 1, 0, horizon), rng), rng


def act(algorithm, state, t, rng):
    out = np.zeros(state.pulls.size if hasattr(state, "pulls") else state.active.size, np.int64)
    algorithm.act(algorithm.params, state, t, X, rng, out)
    return out


def learn(algorithm, state, t, pulls, sums, rng):
    with np.errstate(all="ignore"):
        pulls, sums = np.array(pulls, np.int64), np.array(sums, np.float64)
        algorithm.update(algorithm.params, state, t, X, pulls, sums, rng)


def recommend(algorithm, state, rng):
    out = np.empty(state.released.shape[1] if hasattr(state, "released") else state.pulls.size)
    algorithm.recommend(algorithm.params, state, X, rng, out)
    return out


def simulate(agent, means, horizon, replications, seed=1, problem="bernoulli"):
    """Curves of one agent, an entry as in an arena."""
    return banditlab.simulate(
        {
            "protocol": "identify",
            "horizon": horizon,
            "replications": replications,
            "seed": seed,
            "problem": {"name": problem, "means": means},
            "agents": [{"label": "agent", **agent}],
        }
    )


def held(curves, delta):
    """Whether the errors of a run are compatible with at most ``delta`` (Clopper-Pearson)."""
    errors = curves.raw("agent", "error")[:, 0]
    assert set(np.unique(errors)) <= {0.0, 1.0}
    test = stats.binomtest(int(errors.sum()), errors.size)
    return test.proportion_ci(0.998, method="exact").low <= delta


def near(mean, error, target, other_error=0.0, sigmas=4.0):
    return abs(mean - target) <= sigmas * math.hypot(error, other_error)


# --- the oracle ----------------------------------------------------------------------------------


def kl(p, q):
    return special.rel_entr(p, q) + special.rel_entr(1 - p, 1 - q)


def divergence(law, sigma):
    return kl if law == "bernoulli" else lambda p, q: (p - q) ** 2 / (2 * sigma**2)


def evidence(d, n, means, best, k):
    """N_best d(mean_best, m) + N_k d(mean_k, m): what a single mean m for both costs at least."""
    m = (n[best] * means[best] + n[k] * means[k]) / (n[best] + n[k])
    return n[best] * d(means[best], m) + n[k] * d(means[k], m)


def slow_oracle(means, law="bernoulli", sigma=1.0):
    """Weights and T* from the max-min problem itself, as a smooth program in (w, z)."""
    means, d = np.asarray(means), divergence(law, sigma)
    best, n = int(np.argmax(means)), means.size
    rivals = [k for k in range(n) if k != best]
    scale = min(evidence(d, np.full(n, 1 / n), means, best, k) for k in rivals)
    found = optimize.minimize(
        lambda v: -v[-1],
        np.append(np.full(n, 1 / n), 1.0),
        bounds=[(1e-6, 1.0)] * n + [(0.0, None)],
        constraints=[
            {"type": "eq", "fun": lambda v: v[:-1].sum() - 1.0},
            {
                "type": "ineq",
                "fun": lambda v: np.array(
                    [evidence(d, v[:-1], means, best, k) / scale - v[-1] for k in rivals]
                ),
            },
        ],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    return found.x[:-1], 1.0 / (found.x[-1] * scale)


@pytest.mark.parametrize(
    ("means", "weights", "T"),
    [
        ((0.5, 0.45, 0.43, 0.4), (0.4165, 0.3903, 0.1362, 0.0570), 989.79),
        ((0.3, 0.21, 0.2, 0.19, 0.18), (0.3359, 0.2515, 0.1766, 0.1324, 0.1036), 326.64),
    ],
)
def test_oracle_gives_the_known_weights(means, weights, T):
    w, found = oracle_weights(means)
    assert np.abs(w - weights).max() <= 6e-5
    assert abs(found - T) <= 6e-3
    order = np.array([*range(1, len(means)), 0])  # another place for the best arm
    assert np.allclose(oracle_weights(np.array(means)[order])[0], w[order], rtol=1e-8)


def test_two_gaussian_arms_have_the_closed_form():
    for sigma, gap in ((1.0, 0.2), (0.5, 3.0)):
        w, T = oracle_weights([0.3, 0.3 + gap], law="gaussian", sigma=sigma)
        assert np.allclose(w, 0.5, rtol=1e-9)
        assert math.isclose(T, 8 * sigma**2 / gap**2, rel_tol=1e-9)
    assert math.isclose(oracle_weights([0.2, 0.0], law="gaussian")[1], 200.0, rel_tol=1e-9)


@pytest.mark.parametrize("law", ["bernoulli", "gaussian"])
def test_oracle_equals_a_slow_optimiser(law):
    draw = np.random.default_rng(1)
    for n in (2, 3, 3, 4, 5, 8):
        means = draw.uniform(0.05, 0.95, n)
        w, T = oracle_weights(means, law=law, sigma=0.7)
        slow_w, slow_T = slow_oracle(means, law, 0.7)
        assert math.isclose(T, slow_T, rel_tol=1e-5), means
        assert np.abs(w - slow_w).max() < 2e-3, means  # the optimum is flat
        # and better than the slow one by its own measure: the value of these weights is 1 / T
        d, best = divergence(law, 0.7), int(means.argmax())
        value = min(evidence(d, w, means, best, k) for k in range(n) if k != best)
        assert math.isclose(value, 1 / T, rel_tol=1e-8)
        assert value >= (1 - 1e-7) / slow_T


def test_oracle_equalises_the_evidence_where_means_are_extreme():
    """At the optimum every rival is equally hard, and sum d(mu_1, m) / d(mu_a, m) = 1."""
    for means in ([0.999, 0.5, 0.001], [0.5, 0.4999, 0.1], [0.01, 0.001, 1e-5], [0.9] + 50 * [0.8]):
        w, T = oracle_weights(means)
        cost = [evidence(kl, w, means, 0, k) for k in range(1, len(means))]
        assert np.allclose(cost, 1 / T, rtol=1e-7)
        pooled = [(w[0] * means[0] + w[k] * means[k]) / (w[0] + w[k]) for k in range(1, len(means))]
        ratios = [kl(means[0], m) / kl(means[k + 1], m) for k, m in enumerate(pooled)]
        assert math.isclose(sum(ratios), 1.0, rel_tol=1e-5)
    # Close arms are Gaussian ones of variance p (1 - p), to first order in the gap.
    w, T = oracle_weights([0.3 + 1e-6, 0.3, 0.1])
    assert math.isclose(T, 8 * 0.3 * 0.7 / 1e-12, rel_tol=1e-4)
    assert np.allclose(w, [0.5, 0.5, 0.0], atol=1e-4)


# --- the rules of Track-and-Stop -----------------------------------------------------------------


def holding(algorithm, pulls, sums):
    """A state that has seen this, the arm that comes next being chosen."""
    state, rng = started(algorithm, len(pulls))
    learn(algorithm, state, 0, pulls, sums, rng)
    return state, rng


@pytest.mark.parametrize(
    ("law", "threshold"),
    [("bernoulli", "practical"), ("bernoulli", "proved"), ("gaussian", "practical")],
)
def test_it_stops_exactly_at_its_threshold(law, threshold):
    pulls, sums = np.array([400, 250, 350]), np.array([280.0, 110.0, 90.0])
    t, sigma = 1000, 0.6
    d = divergence(law, sigma)
    against = [evidence(d, pulls, sums / pulls, 0, k) for k in (1, 2)]
    assert against[0] < against[1]
    # threshold = ln(c / delta); here it equals the evidence:
    c = 1 + math.log(t) if threshold == "practical" else 2 * t * 2
    delta = c * math.exp(-against[0])
    for stretch, stops in ((1.0001, True), (0.9999, False)):
        for name in ("track_and_stop", "top_two_thompson"):
            hyper = {"law": law, "sigma": sigma, "threshold": threshold}
            a = banditlab.make(name, delta=delta * stretch, **hyper)
            state, _ = holding(a, pulls, sums)
            assert bool(a.stop(a.params, state, t)) is stops


def test_it_does_not_stop_on_a_tie_or_before_every_arm_was_pulled():
    a = banditlab.make("track_and_stop", delta=0.99)
    for pulls, sums in (((500, 500, 500), (400, 400, 5)), ((1000, 0, 500), (990, 0, 5))):
        state, _ = holding(a, pulls, sums)
        assert not a.stop(a.params, state, 1500)
    state, _ = holding(a, (500, 500, 500), (400, 300, 5))
    assert a.stop(a.params, state, 1500)


def d_tracking(pulls, sums):
    """The arm that D-tracking pulls next, from the slow oracle."""
    pulls, n = np.asarray(pulls, float), len(pulls)
    if pulls.min() < math.sqrt(pulls.sum()) - n / 2 or pulls.min() == 0:
        return int(pulls.argmin())
    means = np.asarray(sums) / pulls
    single = np.sum(means == means.max()) == 1
    weights = np.full(n, 1 / n)
    if single and means.min() > 0 and means.max() < 1:
        weights = slow_oracle(means)[0]
    return int(np.argmax(pulls.sum() * weights - pulls))


def test_it_pulls_what_d_tracking_says():
    a = banditlab.make("track_and_stop")
    by_hand = [
        ((0, 0, 0), (0, 0, 0), 0),  # nothing known
        ((1, 1, 0), (1, 0, 0), 2),  # an arm never pulled
        ((60, 5, 60), (30, 2, 20), 1),  # 5 < sqrt(125) - 3/2: forced
        ((50, 40, 45), (25, 20, 18), 1),  # two best arms: uniform
        ((50, 40, 45), (25, 0, 18), 1),  # a mean of 0: uniform
        ((50, 40, 45), (50, 21, 18), 1),  # a mean of 1: uniform
    ]
    for pulls, sums, arm in by_hand:
        state, rng = holding(a, pulls, sums)
        assert act(a, state, sum(pulls), rng).tolist() == [int(k == arm) for k in range(3)]
        assert d_tracking(pulls, sums) == arm if sum(pulls) else True
    draw = np.random.default_rng(3)
    seen = []
    for _ in range(40):
        pulls = draw.integers(20, 60, 4)
        sums = draw.binomial(pulls, [0.6, 0.5, 0.45, 0.3])
        state, rng = holding(a, pulls, sums)
        out = act(a, state, pulls.sum(), rng)
        assert out.tolist() == act(a, state, pulls.sum(), rng).tolist()  # asked twice
        assert int(out.argmax()) == d_tracking(pulls, sums)
        assert out.sum() == 1
        seen.append(int(out.argmax()) != int(pulls.argmin()))
    assert sum(seen) >= 10  # the weights matter


@compiled_only
def test_errors_stay_below_delta_and_times_near_the_bound():
    """Theorem 1: at least T* kl(delta, 1 - delta) pulls; theorem 14: T* ln(1/delta) in the limit.

    Quoted from the paper's table 1: 4052 pulls on average here, by 3000 runs.
    """
    means, delta = [0.5, 0.45, 0.43, 0.4], 0.1
    T = oracle_weights(means)[1]
    bound = T * kl(delta, 1 - delta)
    for name, runs in (("track_and_stop", 200), ("top_two_thompson", 100)):
        curves = simulate({"name": name, "delta": delta}, means, 10**6, runs)
        assert held(curves, delta)
        pulls = curves.raw("agent", "pulls")[:, 0]
        mean, error = pulls.mean(), pulls.std(ddof=1) / math.sqrt(pulls.size)
        assert pulls.max() < 10**6
        assert mean - 4 * error > bound
        assert mean + 4 * error < 2.5 * T * math.log(1 / delta)
        if name == "track_and_stop":
            assert near(mean, error, 4052, other_error=error * math.sqrt(runs / 3000))


@compiled_only
def test_gaussian_arms_are_told_apart_in_about_the_least_time():
    curves = simulate(
        {"name": "track_and_stop", "law": "gaussian", "delta": 0.01},
        [0.4, 0.0],
        10**5,
        400,
        problem="gaussian",
    )
    pulls = curves.raw("agent", "pulls")[:, 0]
    T = 8 / 0.4**2
    error = pulls.std(ddof=1) / 20
    assert held(curves, 0.01)
    assert T * kl(0.01, 0.99) < pulls.mean() - 4 * error
    assert pulls.mean() + 4 * error < 2.5 * T * math.log(100)


# --- top-two Thompson sampling -------------------------------------------------------------------


def test_top_two_follows_its_law():
    """P(k) = beta p_k + (1 - beta) sum_{i != k} p_i p_k / (1 - p_i), p_k: arm k has the maximum."""
    a = banditlab.make("top_two_thompson", beta=0.3)
    pulls, wins = np.array([12, 9, 6]), np.array([8, 4, 3])
    draws = np.random.default_rng(0).beta(1 + wins, 1 + pulls - wins, (400_000, 3))
    p = np.bincount(draws.argmax(axis=1), minlength=3) / 400_000
    law = [0.3 * p[k] + 0.7 * sum(p[i] * p[k] / (1 - p[i]) for i in range(3) if i != k)
           for k in range(3)]  # fmt: skip
    state, rng = holding(a, pulls, wins)
    n, counts = 20_000, np.zeros(3)
    for _ in range(n):
        learn(a, state, 27, [0, 0, 0], [0, 0, 0], rng)
        counts[state.chosen[0]] += 1
    assert np.all(np.abs(counts / n - law) <= 4 * np.sqrt(np.array(law) * 0.25 / n) + 0.004)
    assert abs(sum(law) - 1) < 1e-9


def test_top_two_falls_back_on_the_least_evidence():
    """Where no other arm ever comes first, the challenger is the arm of the least evidence."""
    a = banditlab.make("top_two_thompson", beta=0.5)
    pulls, wins = np.array([900, 6000, 1200]), np.array([890, 3000, 540])
    d = [evidence(kl, pulls, wins / pulls, 0, k) for k in (1, 2)]
    assert d[1] < d[0]  # 2, although its mean is lower: it was pulled less
    state, rng = holding(a, pulls, wins)
    counts = np.zeros(3)
    for _ in range(100):
        learn(a, state, 6900, [0, 0, 0], [0, 0, 0], rng)
        counts[state.chosen[0]] += 1
    assert counts[1] == 0
    assert 30 <= counts[2] <= 70  # 50 +- 4 standard errors


def test_top_two_gaussian_begins_with_a_pull_each():
    a = banditlab.make("top_two_thompson", law="gaussian", sigma=0.1)
    state, rng = started(a, 3)
    for k in range(3):
        assert act(a, state, k, rng).tolist() == [int(j == k) for j in range(3)]
        learn(a, state, k, act(a, state, k, rng), [float(k), 0.0, 0.0], rng)
    assert state.pulls.tolist() == [1, 1, 1]


# --- LUCB ----------------------------------------------------------------------------------------


def plain_lucb(table, delta, tolerance, most):
    """LUCB on a table of rewards: the pairs it pulled, and the arm it names."""
    K = len(table)
    n, s, pairs = np.ones(K, int), table[:, 0].copy(), []
    for t in range(1, most):
        means = s / n
        bonus = np.sqrt(np.log(1.25 * K * t**4 / delta) / (2 * n))
        h = int(np.argmax(means))
        upper = means + bonus
        upper[h] = -np.inf
        low = int(np.argmax(upper))
        if upper[low] - (means[h] - bonus[h]) < tolerance:
            return pairs, h
        pairs.append({h, low})
        for k in (h, low):
            s[k] += table[k, n[k]]
            n[k] += 1
    return pairs, None


@pytest.mark.parametrize("tolerance", [0.0, 0.3])
def test_lucb_makes_the_pulls_of_a_plain_implementation(tolerance):
    a = lucb.lucb(delta=0.1, tolerance=tolerance)
    table = np.random.default_rng(8).binomial(1, [[0.2], [0.5], [0.85], [0.4]], (4, 3000)) * 1.0
    pairs, named = plain_lucb(table, 0.1, tolerance, 3000)
    assert named is not None
    assert len(pairs) > 100
    state, rng = started(a, 4)
    assert act(a, state, 0, rng).tolist() == [1, 1, 1, 1]
    assert not a.stop(a.params, state, 0)
    learn(a, state, 0, [1, 1, 1, 1], table[:, 0], rng)
    t = 4
    for pair in pairs:
        assert not a.stop(a.params, state, t)
        pulls = act(a, state, t, rng)
        assert pulls.tolist() == [int(k in pair) for k in range(4)]
        sums = [table[k, int(state.pulls[k])] * pulls[k] for k in range(4)]
        learn(a, state, t, pulls, sums, rng)
        t += 2
    assert a.stop(a.params, state, t)
    assert recommend(a, state, rng).tolist() == [float(k == named) for k in range(4)]


@compiled_only
def test_lucb_takes_as_long_as_a_plain_implementation_and_errs_as_rarely():
    means, delta = [0.8, 0.5, 0.4], 0.1
    curves = simulate({"name": "lucb", "delta": delta}, means, 10**5, 400)
    pulls = curves.raw("agent", "pulls")[:, 0]
    draw = np.random.default_rng(2)
    plain = []
    for _ in range(60):
        table = draw.binomial(1, np.array(means)[:, None], (3, 4000)) * 1.0
        pairs, named = plain_lucb(table, delta, 0.0, 4000)
        assert named is not None
        plain.append(3 + 2 * len(pairs))
    errors = pulls.std(ddof=1) / 20, np.std(plain, ddof=1) / math.sqrt(60)
    assert near(pulls.mean(), errors[0], np.mean(plain), errors[1])
    assert held(curves, delta)


@compiled_only
def test_a_tolerance_above_the_gap_breaks_the_promise_and_the_test_sees_it():
    """The control: it names the best of two near arms about half of the time."""
    agent = {"name": "lucb", "delta": 0.1, "tolerance": 0.5}
    assert not held(simulate(agent, [0.5, 0.49, 0.1], 10**5, 200), 0.1)


# --- DP-SE ---------------------------------------------------------------------------------------


def test_dp_se_epochs_by_hand():
    """K = 3, delta = .05: ln(8 * 3 / .05) = 6.1738, ln(4 * 3 / .05) = 5.4806."""
    for epsilon, pulls in ((1.0, 791), (0.01, 8770)):  # 32 * 4 * 6.1738; 8 * 2 * 5.4806 / .01
        a = dp_se.dp_se(epsilon=epsilon)
        state, rng = started(a, 3)
        assert act(a, state, 0, rng).tolist() == [pulls] * 3
    a = dp_se.dp_se(epsilon=100.0, noise="fast")
    state, rng = started(a, 3)
    learn(a, state, 0, [791] * 3, [700.0, 690.0, 300.0], rng)
    # h = sqrt(6.1738 / 1582) = .06247, c = 5.4806 / 79100 = .00007: drop from .1251 on
    assert state.active.tolist() == [1, 1, 0]
    # |S| = 2, e = 2: ln(8 * 2 * 4 / .05) = 7.1546, 32 * 16 * 7.1546 = 3663.2
    assert act(a, state, 2373, rng).tolist() == [3664, 3664, 0]
    # the second mean is of the second epoch alone
    learn(a, state, 2373, [3664, 3664, 0], [2000.0, 1990.0, 0.0], rng)
    assert np.allclose(state.released[1, :2], [2000 / 3664, 1990 / 3664], atol=2e-4)
    assert np.isnan(state.released[1, 2])
    assert np.isnan(state.released[2:]).all()
    assert not a.stop(a.params, state, 9701)
    assert recommend(a, state, rng).tolist() == [1.0, 0.0, 0.0]


def test_dp_se_drops_by_what_it_released_and_only_against_active_arms():
    a = dp_se.dp_se(epsilon=0.5, noise="fast")
    dropped = 0
    for seed in range(60):
        state, rng = started(a, 3, seed=seed)
        r = int(act(a, state, 0, rng)[0])
        learn(a, state, 0, [r] * 3, [0.6 * r, 0.4473 * r, 0.1 * r], rng)
        m = state.released[0]
        radius = math.sqrt(math.log(480) / (2 * r)) + math.log(240) / (r * 0.5)
        assert state.active.tolist() == [int(m.max() - value <= 2 * radius) for value in m]
        dropped += state.active[1] == 0
    assert 0 < dropped < 60  # the noise decides
    # Flaw of the public code: the maximum ran over arms that were eliminated.
    a = dp_se.dp_se(epsilon=100.0, noise="fast")
    state, rng = started(a, 3)
    learn(a, state, 0, [791] * 3, [700.0, 690.0, 300.0], rng)
    state.noisy[2] = 5.0
    learn(a, state, 2373, [3664, 3664, 0], [2000.0, 1990.0, 0.0], rng)
    assert state.active.tolist() == [1, 1, 0]
    assert recommend(a, state, rng).tolist() == [1.0, 0.0, 0.0]


def test_dp_se_releases_nothing_of_an_epoch_cut_short():
    a = dp_se.dp_se()
    state, rng = started(a, 3)
    before = rng.copy()
    learn(a, state, 0, [791, 791, 790], [700.0, 600.0, 600.0], rng)
    assert np.isnan(state.released).all()
    assert (before == rng).all()
    assert a.spent(a.params, state) == 0.0
    assert recommend(a, state, rng).tolist() == [1 / 3] * 3
    learn(a, state, 0, [791, 791, 791], [700.0, 600.0, 600.0], rng)
    assert np.isfinite(state.released[0]).all()
    assert a.spent(a.params, state) == 1.0


@pytest.mark.parametrize("noise", ["discrete", "fast"])
def test_dp_se_noise_has_scale_one_over_epsilon_n(noise):
    """Released minus true mean, times epsilon R, is Laplace: E|Z| = 1, P(|Z| > 1) = 1/e."""
    a = dp_se.dp_se(epsilon=2.0, noise=noise)
    z = []
    state, rng = started(a, 3)
    for _ in range(1500):
        state.epochs[0] = 0
        state.active[:] = 1
        learn(a, state, 0, [791] * 3, [400.0, 390.0, 380.0], rng)
        z.extend((state.released[0] - np.array([400.0, 390.0, 380.0]) / 791) * 2.0 * 791)
    z = np.array(z)
    assert near(np.abs(z).mean(), 1 / math.sqrt(z.size), 1.0)
    tail = math.exp(-1)
    assert near((np.abs(z) > 1).mean(), math.sqrt(tail * (1 - tail) / z.size), tail)
    grid = z / (2.0 * 791) * 791 * 2**20  # in units of 2^-20 of the sum
    whole = np.abs(grid - np.round(grid)).max() < 1e-3
    assert whole is np.True_ if noise == "discrete" else not whole
    assert (a.grid == 2.0**-20) is (noise == "discrete")


# --- AdaP-TT -------------------------------------------------------------------------------------


def plain_adap_tt(table, released, epsilon, delta, rounds):
    """The arms that AdaP-TT pulls on a table, when the noisy means come out as ``released``."""
    K = len(table)
    N, n, k = np.zeros(K, int), np.zeros(K, int), np.zeros(K, int)
    start, m = np.zeros(K, int), np.zeros(K)
    led, kept = np.zeros(K), np.zeros(K)
    arms, stops, spans = [], [], []
    for _ in range(rounds):
        ready = k.min() > 0
        if ready:
            one = int(m.argmax())
            L = math.log(1 / delta)
            inv = [1 / n[one] + 1 / n[j] for j in range(K)]
            stops.append(
                all(
                    (m[one] - m[j]) ** 2 / 2 / inv[j]
                    > L + math.log(1 + math.log(n[one])) + math.log(1 + math.log(n[j]))
                    + inv[j] * L**2 / epsilon**2
                    for j in range(K) if j != one
                )
            )  # fmt: skip
            B = int(np.argmax(m + np.sqrt(k / n) + k / (epsilon * n)))
            cost = [(m[B] - m[j]) / math.sqrt(1 / N[B] + 1 / N[j]) for j in range(K)]
            cost[B] = math.inf
            led[B] += 1
            arm = B if kept[B] <= led[B] / 2 else int(np.argmin(cost))
            kept[B] += arm == B
        else:
            stops.append(False)
            arm = int(N.argmin())
        arms.append(arm)
        N[arm] += 1
        if N[arm] >= 2 * start[arm]:
            spans.append((int(k[arm]), arm, table[arm, start[arm] : N[arm]].mean()))
            m[arm] = released[k[arm], arm]
            n[arm] = N[arm] - start[arm]
            k[arm] += 1
            start[arm] = N[arm]
    return arms, stops, spans


@pytest.mark.parametrize("epsilon", [1.0, 200.0])
def test_adap_tt_makes_the_pulls_of_a_plain_implementation(epsilon):
    a = adap_tt.adap_tt(epsilon=epsilon, noise="fast")
    table = np.random.default_rng(4).binomial(1, [[0.3], [0.9], [0.5]], (3, 2000)) * 1.0
    state, rng = started(a, 3)
    arms, stops = [], []
    for t in range(1500):
        stops.append(bool(a.stop(a.params, state, t)))
        pulls = act(a, state, t, rng)
        assert pulls.sum() == 1
        arm = int(pulls.argmax())
        arms.append(arm)
        learn(a, state, t, pulls, table[:, int(state.pulls[arm])] * pulls, rng)
    plain, plain_stops, spans = plain_adap_tt(table, state.released, epsilon, 0.05, 1500)
    assert arms == plain
    assert stops == plain_stops
    assert len(set(arms)) == 3
    assert any(stops) or epsilon == 1.0
    # Each phase releases the mean of its own rewards: 1, 1, 2, 4, ... of them.
    assert len(spans) == np.isfinite(state.released).sum() > 15
    if epsilon == 200.0:
        for row, arm, mean in spans:
            assert abs(state.released[row, arm] - mean) < 0.1
    assert a.spent(a.params, state) == epsilon
    named = np.zeros(3)
    named[int(state.noisy.argmax())] = 1.0
    assert recommend(a, state, rng).tolist() == named.tolist()


@pytest.mark.parametrize("name", ["dp_se", "adap_tt"])
def test_a_release_loses_at_most_epsilon(name):
    """Audit: one reward of arm 0 flipped, event {noisy mean >= flipped mean}, exact ratio e^1."""
    a = banditlab.make(name, epsilon=1.0)
    n = 791 if name == "dp_se" else 1
    released = {0: [], 1: []}
    for flip in (0, 1):
        state, rng = started(a, 3, seed=20 + flip)
        with np.errstate(all="ignore"):
            fresh = [np.copy(field) for field in state]
        for _ in range(4000):
            for field, value in zip(state, fresh, strict=True):
                field[...] = value
            learn(a, state, 0, [n] * 3, [n // 2 + flip, n // 2, n // 2], rng)
            released[flip].append(state.released[0, 0])
    edge = (n // 2 + 1) / n - 1e-12
    hits = [int(np.sum(np.array(released[flip]) >= edge)) for flip in (0, 1)]
    low = stats.binomtest(hits[1], 4000).proportion_ci(0.99, method="exact").low
    high = stats.binomtest(hits[0], 4000).proportion_ci(0.99, method="exact").high
    assert 0.75 < math.log(low / high) <= 1.0  # it has power, and the mechanism passes


@compiled_only
@pytest.mark.parametrize("name", ["dp_se", "adap_tt"])
def test_private_rules_err_rarely_and_account_for_epsilon(name):
    means = [0.9, 0.5, 0.1]
    curves = simulate({"name": name, "epsilon": 0.5}, means, 10**6, 400)
    assert held(curves, 0.05)
    assert (curves.raw("agent", "epsilon") == 0.5).all()
    if name == "dp_se":  # every run ends with the first epoch, 791 pulls an arm
        assert (curves.raw("agent", "pulls") == 2373).all()
    else:
        assert curves.raw("agent", "pulls").max() < 10**6
    with_none = simulate({"name": name, "epsilon": 0.5}, means, 2, 3)
    # dp_se has released nothing after two pulls; adap_tt releases with the first
    expected = 0.0 if name == "dp_se" else 0.5
    assert (with_none.raw("agent", "epsilon") == expected).all()


# --- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hyper", "says"),
    [
        ("track_and_stop", {"delta": 0.0}, "delta"),
        ("track_and_stop", {"delta": 1.0}, "delta"),
        ("track_and_stop", {"law": "poisson"}, "law"),
        ("track_and_stop", {"sigma": 0.0}, "sigma"),
        ("track_and_stop", {"threshold": "guess"}, "threshold"),
        ("track_and_stop", {"law": "gaussian", "threshold": "proved"}, "threshold"),
        ("top_two_thompson", {"beta": 1.0}, "beta"),
        ("top_two_thompson", {"delta": -0.1}, "delta"),
        ("top_two_thompson", {"law": "gaussian", "threshold": "proved"}, "threshold"),
        ("lucb", {"delta": float("nan")}, "delta"),
        ("lucb", {"tolerance": -0.1}, "tolerance"),
        ("dp_se", {"epsilon": 0.0}, "epsilon"),
        ("dp_se", {"epsilon": float("inf")}, "epsilon"),
        ("dp_se", {"epsilon": 1e5}, "epsilon"),  # beyond the exact sampler
        ("dp_se", {"delta": 1.0}, "delta"),
        ("dp_se", {"noise": "none"}, "noise"),
        ("adap_tt", {"epsilon": float("nan")}, "epsilon"),
        ("adap_tt", {"delta": 0.0}, "delta"),
        ("adap_tt", {"noise": "laplace"}, "noise"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(name, hyper, says):
    with pytest.raises(ValueError, match=says) as caught:
        banditlab.make(name, **hyper)
    assert "\n" not in str(caught.value)


def test_oracle_weights_refuses_what_has_no_answer():
    for means, law in (
        ([0.5, 0.5, 0.1], "bernoulli"),
        ([0.5, 0.0], "bernoulli"),
        ([1.0, 0.2], "bernoulli"),
        ([0.5], "gaussian"),
        ([1.0, 1.0], "gaussian"),
        ([0.5, float("nan")], "gaussian"),
    ):
        with pytest.raises(ValueError, match="means"):
            oracle_weights(means, law=law)
    with pytest.raises(ValueError, match="law"):
        oracle_weights([0.5, 0.4], law="beta")


@pytest.mark.parametrize("name", ["track_and_stop", "top_two_thompson", "lucb", "dp_se", "adap_tt"])
def test_rewards_outside_the_unit_interval_are_refused(name):
    agent = {"name": name}
    with pytest.raises(ValueError, match="rewards"):
        simulate(agent, [0.1, 0.5], 10, 1, problem="gaussian")
    assert (
        banditlab.make(name).params
        == banditlab.make(name, **banditlab.make(name).params._asdict()).params
    )


def test_modules_share_one_stopping_rule():
    a, b = banditlab.make("track_and_stop"), banditlab.make("top_two_thompson")
    assert a.stop is b.stop
    assert stopping("bernoulli", "practical") is a.stop
