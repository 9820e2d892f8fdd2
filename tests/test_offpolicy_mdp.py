"""Off-policy estimates of episodes: exact values, a second implementation, simulated coverage."""

import dataclasses

import numpy as np
import pytest

from banditlab.data.transitions import Dataset
from banditlab.mdp import evaluate, new_mdp, value
from banditlab.offpolicy import fqe, pdis, resample, wpdis

ALL = (pdis, wpdis, fqe)
S, A, H = 3, 2, 4
END = S

# Three states, two actions, four steps, and an end that any state may lead to.
PROB = np.array(
    [
        [[0.5, 0.3, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1]],
        [[0.2, 0.6, 0.2, 0.0], [0.4, 0.0, 0.3, 0.3]],
        [[0.1, 0.2, 0.7, 0.0], [0.6, 0.2, 0.0, 0.2]],
        [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]],
    ]
)
REWARD = np.array([[0.1, 0.3], [0.5, 0.2], [0.9, 0.4], [0.0, 0.0]])
START = np.array([0.6, 0.3, 0.1, 0.0])
LOGGING = np.array([[0.5, 0.5], [0.6, 0.4], [0.4, 0.6]])
TARGET = np.array([[0.3, 0.7], [0.4, 0.6], [0.7, 0.3]])


def model(gamma=1.0, horizon=H):
    """The known problem; rewards are paid per (state, action)."""
    succ = np.broadcast_to(np.arange(4), PROB.shape)
    reward = np.where(np.arange(4)[:, None, None] == END, 0.0, REWARD[:, :, None])
    reward = np.broadcast_to(reward, PROB.shape)
    ends = np.arange(4) == END
    return new_mdp(succ, PROB, reward, START, gamma=gamma, horizon=horizon, terminal=ends)


def with_end(policy):
    """A policy with an answer for END, as exact evaluation wants it."""
    return np.vstack([policy, [1.0, 0.0]])


VALUE = value(model(), with_end(TARGET))


def draw(rng, n, steps=H, noisy=True):
    """A log of n episodes of the known problem, cut off after ``steps``; rewards are 0 or 1."""
    rows = []
    state = (rng.random(n)[:, None] >= START.cumsum()).sum(axis=1)
    alive = np.arange(n)
    for t in range(steps):
        s = state[alive]
        action = (rng.random(s.size) >= LOGGING[s, 0]).astype(int)
        after = (rng.random(s.size)[:, None] >= PROB[s, action].cumsum(axis=1)).sum(axis=1)
        after = np.minimum(after, END)
        mean = REWARD[s, action]
        reward = (rng.random(s.size) < mean).astype(float) if noisy else mean
        over = after == END
        cut = ~over & (t == steps - 1)
        chance = LOGGING[s, action]
        time = np.full(s.size, t)
        rows.append(np.stack([alive, time, s, action, reward, after, over, cut, chance]))
        state[alive] = after
        alive = alive[~over]
    table = np.concatenate(rows, axis=1)
    table = table[:, np.lexsort(table[1::-1])]
    episode, _, s, action, reward, after, over, cut, chance = table
    return Dataset(s, action, reward, after, over, cut, chance, episode, n_states=S)


def estimates(data, **options):
    """All three at the target policy."""
    return [
        pdis(data, TARGET, **options),
        wpdis(data, TARGET, **options),
        fqe(data, TARGET, horizon=H, **options),
    ]


# --- exact values -------------------------------------------------------------------------------


def test_per_decision_importance_sampling_is_unbiased():
    rng = np.random.default_rng(1)
    values = [pdis(draw(rng, 40), TARGET, draws=2).value for _ in range(1500)]
    error = np.std(values, ddof=1) / np.sqrt(1500)
    assert abs(np.mean(values) - VALUE) < 4 * error


def test_all_estimates_close_in_on_the_exact_value():
    data = draw(np.random.default_rng(2), 40_000)
    for e in estimates(data, draws=100):
        assert e.lo < VALUE < e.hi
        assert e.hi - e.lo < 0.1


def test_fitted_q_is_exact_when_the_log_is_the_model():
    # Every outcome of every pair, once per tenth of probability: the empirical model is the true.
    s, a, after = np.nonzero(np.rint(PROB[:S] * 10))
    times = np.rint(PROB[s, a, after] * 10).astype(int)
    s, a, after = (np.repeat(x, times) for x in (s, a, after))
    data = Dataset(s, a, REWARD[s, a], after, after == END, np.zeros(s.size), n_states=S)
    by_step = np.random.default_rng(3).dirichlet(np.ones(A), size=(H, S))
    padded = np.stack([with_end(p) for p in by_step])
    found = fqe(data, by_step, horizon=H, start=START[:S], draws=2)
    assert found.value == pytest.approx(value(model(), padded), rel=1e-12)
    for gamma in (0.5, 0.99):
        found = fqe(data, with_end(TARGET), gamma, start=START[:S], draws=2)
        exact = value(model(gamma, 0), with_end(TARGET))
        assert found.value == pytest.approx(exact, rel=1e-12)
    assert found.ess == len(data)


def test_on_policy_importance_sampling_is_the_mean_return():
    data = draw(np.random.default_rng(4), 200)
    returns = np.bincount(data.episode, 0.9**data.step * data.reward)
    for estimator in (pdis, wpdis):
        e = estimator(data, LOGGING, 0.9)
        assert e.value == pytest.approx(returns.mean(), rel=1e-12)
        assert e.ess == pytest.approx(200)
        half = 1.96 * returns.std() / np.sqrt(200)
        assert e.hi - e.lo == pytest.approx(2 * half, rel=0.1)  # 1000 draws: 4 % standard error


def test_estimates_agree_with_a_second_implementation():
    data = draw(np.random.default_rng(5), 30)
    gamma = 0.8
    episodes = [np.flatnonzero(data.episode == i) for i in range(30)]
    ratio = TARGET[data.state, data.action] / data.propensity
    weights = [np.cumprod(ratio[e]) for e in episodes]
    plain = share = 0.0
    for t in range(H):
        # Nobody is cut off before the last step, so all 30 are present; the ended keep a weight.
        now = [i for i, e in enumerate(episodes) if len(e) > t]
        paid = sum(weights[i][t] * data.reward[episodes[i][t]] for i in now)
        plain += gamma**t * paid / 30
        share += gamma**t * paid / sum(w[min(t, len(w) - 1)] for w in weights)
    assert pdis(data, TARGET, gamma, draws=2).value == pytest.approx(plain, rel=1e-12)
    assert wpdis(data, TARGET, gamma, draws=2).value == pytest.approx(share, rel=1e-12)
    last = np.array([w[-1] for w in weights])
    assert pdis(data, TARGET, draws=2).ess == pytest.approx(last.sum() ** 2 / (last**2).sum())

    q = np.zeros((S, A))
    for _ in range(400):  # fitted-Q evaluation as its name says: regress, over and over
        v = np.append((TARGET * q).sum(axis=1), 0.0)
        for s in range(S):
            for a in range(A):
                rows = (data.state == s) & (data.action == a)
                q[s, a] = (data.reward + gamma * v[data.successor])[rows].mean()
    first = data.state[[e[0] for e in episodes]]
    expected = (TARGET * q).sum(axis=1)[first].mean()
    assert fqe(data, TARGET, gamma, draws=2).value == pytest.approx(expected, rel=1e-10)


def test_a_cut_episode_says_nothing_about_later_steps():
    # Two episodes of reward 1 a step; one is cut off after its first step, the other goes on.
    data = Dataset([0] * 4, [0] * 4, [1] * 4, [0] * 4, [0, 0, 0, 1], [1, 0, 0, 0], [1] * 4,
                   [0, 1, 1, 1], n_states=1)  # fmt: skip
    always = [[1.0, 0.0]]
    for estimator in (pdis, wpdis):
        assert estimator(data, always, draws=2).value == 3.0  # not (1 + 3) / 2
    # Fitted-Q: an episode ends in a row out of four, so it lasts 4 rows; discounted 1/(1 - .75 g).
    assert fqe(data, always, 0.8, draws=2).value == pytest.approx(1 / (1 - 0.75 * 0.8))


def test_fitted_q_looks_beyond_the_cut_and_importance_sampling_does_not():
    gamma = 0.9
    exact = value(model(gamma, 0), with_end(LOGGING))
    data = draw(np.random.default_rng(6), 20_000, steps=2)
    seen = fqe(data, LOGGING, gamma, draws=100)
    assert seen.lo < exact < seen.hi
    assert pdis(data, LOGGING, gamma, draws=100).hi < exact - 0.2


def test_a_finite_horizon_is_discounted_too():
    data = Dataset([0, 0], [0, 0], [1.0, 3.0], [0, 0], [0, 0], [0, 0], n_states=1)
    found = fqe(data, [[1.0]], 0.9, horizon=3, start=[1.0], draws=2)
    assert found.value == pytest.approx(2 * (1 + 0.9 + 0.81))  # 2 in each of three steps


def test_a_pair_without_rows_keeps_its_initial_value():
    data = Dataset([0, 0], [0, 0], [1, 1], [0, 0], [1, 1], [0, 0], [0.5, 0.5], [0, 1], n_states=1)
    half = [[0.5, 0.5]]
    assert fqe(data, half, 0.9, draws=2).value == pytest.approx(0.5)
    assert fqe(data, half, 0.9, unseen=3.0, draws=2).value == pytest.approx(2.0)


def test_a_target_that_the_log_never_follows_has_no_value():
    data = Dataset([0, 0], [0, 0], [1, 1], [0, 0], [1, 1], [0, 0], [0.5, 0.5], [0, 1])
    never = [[0.0, 1.0]]
    assert pdis(data, never).ess == wpdis(data, never).ess == 0
    assert np.isnan(wpdis(data, never)[:3]).all()


# --- intervals ----------------------------------------------------------------------------------


def coverage(estimators, logs, n, steps=H, exact=VALUE, draws=300, seed=7):
    """Share of logs whose 95 % interval holds the exact value."""
    rng = np.random.default_rng(seed)
    covered = np.zeros(len(estimators))
    for i in range(logs):
        data = draw(rng, n, steps)
        for k, estimator in enumerate(estimators):
            options = {"horizon": steps} if estimator is fqe else {}
            e = estimator(data, TARGET, draws=draws, seed=i, **options)
            covered[k] += e.lo <= exact <= e.hi
    return covered / logs


def test_intervals_cover_the_exact_value():
    # 92 to 98 %: three binomial standard errors of 500 logs.
    found = coverage(ALL, logs=500, n=300)
    assert ((found >= 0.92) & (found <= 0.98)).all(), found


def test_intervals_fail_on_long_episodes_with_few_effective_rows_and_the_ess_tells():
    # The control: 12 steps and 30 episodes. A percentile interval of a mean that a few episodes
    # carry is too short and on the wrong side.
    exact = value(model(horizon=12), with_end(TARGET))
    (found,) = coverage([pdis], logs=300, n=30, steps=12, exact=exact)
    assert found < 0.9
    assert pdis(draw(np.random.default_rng(8), 30, 12), TARGET, draws=2).ess < 15


def test_same_seed_same_interval_whatever_the_chunks(monkeypatch):
    data = draw(np.random.default_rng(9), 50)
    whole = estimates(data, draws=101, seed=3)
    assert whole == estimates(data, draws=101, seed=3)
    for one, other in zip(whole, estimates(data, draws=101, seed=4), strict=True):
        assert one[1:3] != other[1:3]
    monkeypatch.setattr(resample, "CHUNK", 100)
    np.testing.assert_allclose(whole, estimates(data, draws=101, seed=3), rtol=1e-12)


def test_a_wider_level_gives_a_wider_interval():
    data = draw(np.random.default_rng(10), 80)
    for narrow, wide in zip(estimates(data, level=0.5), estimates(data, level=0.99), strict=True):
        assert wide.lo < narrow.lo < narrow.hi < wide.hi


def test_episodes_are_resampled_whole():
    # Every episode earns 1 or -1 in each of its rows: rows as units would shrink the interval.
    n, length = 100, 25
    sign = np.repeat(np.where(np.arange(n) < n // 2, 1.0, -1.0), length)
    end = np.tile(np.arange(length) == length - 1, n)
    zeros, episode = np.zeros(n * length), np.repeat(np.arange(n), length)
    data = Dataset(zeros, zeros, sign, zeros, end, zeros, zeros + 1, episode, n_states=1)
    e = pdis(data, [[1.0, 0.0]])
    assert e.hi - e.lo == pytest.approx(2 * 1.96 * length / np.sqrt(n), rel=0.1)


# --- bad arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "options", "line"),
    [
        (pdis, {"policy": TARGET[:2]}, r"policy must have shape \(3, 2\), .* got \(2, 2\)"),
        (fqe, {"policy": 0.9 * TARGET}, "policy: state 0 must have probabilities that sum to 1.*"),
        (wpdis, {"policy": np.tile(TARGET, (2, 1, 1))}, "policy has 2 steps, but row .*"),
        (fqe, {"policy": np.tile(TARGET, (4, 1, 1)), "gamma": 0.9}, "policy has 4 steps, but .*"),
        (pdis, {"gamma": 1.5}, r"gamma must lie in \[0, 1\], got 1.5"),
        (fqe, {}, "gamma must be below 1 unless horizon is finite"),
        (fqe, {"gamma": 0.9, "start": [1.0]}, "start must be 3 probabilities that sum to 1"),
        (fqe, {"gamma": 0.9, "unseen": np.inf}, "unseen must be finite, got inf"),
        (wpdis, {"level": 0.0}, "level must lie strictly between 0 and 1, got 0.0"),
        (wpdis, {"draws": 1}, "draws must be at least 2, got 1"),
        (pdis, {"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(estimator, options, line):
    data = draw(np.random.default_rng(11), 50)
    with pytest.raises(ValueError, match=f"^{line}$"):
        estimator(data, **{"policy": TARGET, **options})


def test_missing_columns_are_named():
    data = draw(np.random.default_rng(12), 50)
    bare = dataclasses.replace(data, propensity=None)
    loose = dataclasses.replace(data, episode=None)
    assert fqe(bare, TARGET, 0.9, draws=9) == fqe(data, TARGET, 0.9, draws=9)
    for estimator in (pdis, wpdis):
        with pytest.raises(ValueError, match="^the dataset has no column 'propensity', which"):
            estimator(bare, TARGET)
        with pytest.raises(ValueError, match="^the dataset has no column 'episode', which"):
            estimator(loose, TARGET)
    with pytest.raises(ValueError, match="^the dataset has no column 'episode', so start must"):
        fqe(loose, TARGET, 0.9)
    found = fqe(loose, TARGET, 0.9, start=START[:S], draws=200)
    assert found.ess == len(data)
    assert found.lo < value(model(0.9, 0), with_end(TARGET)) < found.hi


def test_values_of_the_known_problem_by_hand():
    # One step: the mean reward. The exact model is itself checked in test_mdp.
    one = evaluate(model(horizon=1), with_end(TARGET))[0, :S]
    np.testing.assert_allclose(one, (TARGET * REWARD[:S]).sum(axis=1), rtol=1e-12)
