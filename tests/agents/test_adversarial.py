"""Adversarial agents: weights against second implementations, theorems, and extreme losses."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

import banditlab
from banditlab import random
from banditlab.agents.adversarial import exp3, exp3_ix, tsallis_inf
from banditlab.compile import compiled
from banditlab.core import Task, jit_disabled
from banditlab.parts.weights import weighing
from banditlab.protocols import online

NO_FEATURES = np.zeros((1, 1))
NAMES = ("exp3", "exp3_ix", "tsallis_inf")


def of_one_row(weigh):
    """``weigh(eta, losses, out)`` of arrays with one axis."""
    return lambda eta, losses, out: weigh(eta, losses[None], 0, out[None])


exp3_weights, exp3_in_lanes = weighing(exp3.weight)
tsallis_weights, tsallis_in_lanes = weighing(
    tsallis_inf.weight, tsallis_inf.first, tsallis_inf.slope, tsallis_inf.step
)
exp3_weights, tsallis_weights = of_one_row(exp3_weights), of_one_row(tsallis_weights)
compiled_only = pytest.mark.skipif(jit_disabled(), reason="simulates millions of rounds")


def started(algorithm, n_arms, horizon=0, n_contexts=1):
    """A fresh state and a stream."""
    task = Task(n_arms, n_contexts, 0, horizon)
    rng = random.stream(random.key(5), 0, random.AGENT)
    return algorithm.init(algorithm.params, task, rng), rng


def learn(algorithm, state, arm, reward, rng, x=NO_FEATURES):
    algorithm.update(algorithm.params, state, 0, x, arm, reward, rng)


# --- factories ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, hyper",
    [("exp3", {"eta": 0.2}), ("exp3_ix", {"eta": 0.2}), ("tsallis_inf", {"reduced_variance": 1})],
)
def test_factory_rebuilds_from_params(name, hyper):
    made = banditlab.make(name, **hyper)
    assert banditlab.make(name, **made.params._asdict()) == made
    assert made.rewards == (0.0, 1.0)


@pytest.mark.parametrize(
    "name, hyper",
    [
        ("exp3", {"eta": -0.1}),
        ("exp3_ix", {"eta": -0.1}),
        ("tsallis_inf", {"reduced_variance": 2}),
        ("tsallis_inf", {"reduced_variance": 0.5}),
    ],
)
def test_factory_refuses(name, hyper):
    with pytest.raises(ValueError, match=f"^{name}: {next(iter(hyper))}"):
        banditlab.make(name, **hyper)


# --- lanes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "weigh, in_lanes", [(exp3_weights, exp3_in_lanes), (tsallis_weights, tsallis_in_lanes)]
)
@pytest.mark.parametrize("eta", [0.003, 0.1, 2.0])
def test_lanes_have_the_bits_of_one(weigh, in_lanes, eta):
    # Most lanes need three steps towards y, the last one needs six.
    lanes, n_arms = 40, 300
    source = np.random.default_rng(3)
    losses = source.random((n_arms, lanes)).T / eta
    losses[-1] *= 100.0
    losses[0] = 1.0
    losses[1] = 1.0 + (np.arange(n_arms) != 1)  # the smallest is the second
    spare = tuple(np.full(lanes, junk) for junk in (np.nan, 1e9, -1e9, 7.0))
    together = np.empty((n_arms, lanes)).T
    in_lanes(eta, losses, spare, together)
    for lane in range(lanes):
        alone = np.empty(n_arms)
        weigh(eta, losses[lane], alone)
        assert np.array_equal(together[lane], alone)


# --- weights ------------------------------------------------------------------------------------


def softmax(eta, losses):
    w = np.exp(-eta * (losses - losses.min()))
    return w / w.sum()


def tsallis(eta, losses):
    """The root x below the smallest loss of sum 4 / (eta (L - x))^2 = 1, by bisection."""
    low, high = losses.min() - 2 * math.sqrt(losses.size) / eta - 1, losses.min() - 1e-9
    x = brentq(lambda x: np.sum(4 / (eta * (losses - x)) ** 2) - 1, low, high, xtol=1e-14)
    return 4 / (eta * (losses - x)) ** 2


@pytest.mark.parametrize("eta", [2.0, 0.3, 0.001])
@pytest.mark.parametrize("scale", [0.0, 1e-6, 1.0, 100.0])
def test_tsallis_weights_solve_their_equation(eta, scale):
    rng = np.random.default_rng(0)
    for n_arms in (2, 5, 100):
        losses = scale * rng.exponential(size=n_arms)
        out = np.empty(n_arms)
        tsallis_weights(eta, losses, out)
        np.testing.assert_allclose(out, tsallis(eta, losses), rtol=1e-8)
        assert out.sum() == pytest.approx(1.0, abs=1e-14)


def test_tsallis_weights_by_hand():
    # eta = 1, x = 0: weights 4 / L^2 = 1/4, 1/4, 1/2 for L = 4, 4, sqrt(8).
    out = np.empty(3)
    tsallis_weights(1.0, np.array([4.0, 4.0, math.sqrt(8.0)]) + 7.0, out)
    assert out == pytest.approx([0.25, 0.25, 0.5], abs=1e-12)


@pytest.mark.parametrize("weights", [exp3_weights, tsallis_weights])
def test_weights_survive_extreme_losses(weights):
    for losses in ([0.0, 1e300, 5.0], [1e300, 1e300, 1e300], [1e12, 0.0, 1e12 + 1]):
        out = np.empty(3)
        weights(0.1, np.array(losses), out)
        assert np.all(out > 0.0) or losses[1] == 1e300
        assert np.all(np.isfinite(out))
        assert out.sum() == pytest.approx(1.0, abs=1e-12)


def test_learning_rates_by_hand():
    params = banditlab.make("exp3").params
    known = exp3.rate(params, Task(10, 1, 0, 10_000), 17.0)
    assert known == pytest.approx(math.sqrt(2 * math.log(10) / (10 * 10_000)), rel=1e-14)
    anytime = exp3.rate(params, Task(10), 17.0)
    assert anytime == pytest.approx(math.sqrt(math.log(10) / (10 * 18)), rel=1e-14)
    assert exp3.rate(banditlab.make("exp3", eta=0.25).params, Task(10), 17.0) == 0.25
    for reduced, first in ((0, 2.0), (1, 4.0)):
        params = banditlab.make("tsallis_inf", reduced_variance=reduced).params
        assert tsallis_inf.rate(params, Task(10), 15.0) == first / 4.0


def numpy_estimate(name, reduced, eta, p, loss, arm):
    played = np.arange(p.size) == arm
    if name == "exp3_ix":
        return played * loss / (p + eta / 2)
    base = np.where(p >= eta**2, 0.5, 0.0) if reduced else np.zeros(p.size)
    return played * (loss - base) / p + base


@pytest.mark.parametrize("horizon", [0, 300])
@pytest.mark.parametrize(
    "name, hyper",
    [("exp3", {}), ("exp3_ix", {}), ("tsallis_inf", {}), ("tsallis_inf", {"reduced_variance": 1})],
)
def test_probabilities_equal_a_second_implementation(name, hyper, horizon):
    """300 rounds of a fixed sequence of rewards in two contexts, the arms drawn by the agent."""
    n_arms = 4
    algorithm = banditlab.make(name, **hyper)
    state, rng = started(algorithm, n_arms, horizon, n_contexts=2)
    reduced = hyper.get("reduced_variance", 0)
    losses, seen = np.zeros((2, n_arms)), np.zeros(2)
    nature = np.random.default_rng(1)
    out = np.empty(n_arms)

    def eta(n):
        if name == "tsallis_inf":
            return (4 if reduced else 2) / math.sqrt(n + 1)
        if horizon:
            return math.sqrt(2 * math.log(n_arms) / (n_arms * horizon / 2))
        return math.sqrt(math.log(n_arms) / (n_arms * (n + 1)))

    for _ in range(300):
        s = int(nature.integers(2))
        x = np.array([[float(s)]])
        reward = float(nature.beta(1, 1))
        p = (tsallis if name == "tsallis_inf" else softmax)(eta(seen[s]), losses[s])
        algorithm.propensities(algorithm.params, state, 0, x, out)
        np.testing.assert_allclose(out, p, rtol=1e-7)
        arm = algorithm.act(algorithm.params, state, 0, x, rng)
        learn(algorithm, state, arm, reward, rng, x)
        losses[s] += numpy_estimate(name, reduced, eta(seen[s]), p, 1 - reward, arm)
        seen[s] += 1
        np.testing.assert_allclose(state.losses, losses, rtol=1e-7, atol=1e-12)
    assert seen.min() > 100


@pytest.mark.parametrize("reduced", [0, 1])
def test_loss_estimates_are_unbiased(reduced):
    """The mean over the arm played is the loss itself, for each arm."""
    estimate = tsallis_inf.weighted_around_half if reduced else tsallis_inf.weighted
    p, losses = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.7, 1.0])
    for eta in (0.1, 0.5, 2.0):
        for k in range(3):
            by_arm = [estimate(eta, p[k], losses[arm], arm == k) for arm in range(3)]
            assert p @ by_arm == pytest.approx(losses[k], abs=1e-14)


def test_exp3_ix_bounds_its_estimates():
    for p in (1.0, 0.5, 1e-3, 1e-300):
        assert exp3_ix.implicit(0.5, p, 1.0, True) == pytest.approx(1 / (p + 0.25), rel=1e-15)
        assert exp3_ix.implicit(0.5, p, 1.0, False) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_act_follows_the_propensities(name):
    algorithm = banditlab.make(name)
    state, rng = started(algorithm, 3)
    for arm, reward in ((0, 0.0), (1, 1.0), (2, 0.5), (0, 0.3)):
        learn(algorithm, state, arm, reward, rng)
    draws = 20_000 if not jit_disabled() else 500
    act = algorithm.act
    arms = [act(algorithm.params, state, 0, NO_FEATURES, rng) for _ in range(draws)]
    p = state.probs[0]
    seen = np.bincount(arms, minlength=3) / draws
    assert p.max() - p.min() > 0.05
    assert np.all(np.abs(seen - p) <= 4 * np.sqrt(p * (1 - p) / draws))  # 4 standard errors


@pytest.mark.parametrize("name", NAMES)
def test_a_log_is_read_as_chosen_evenly(name):
    algorithm = banditlab.make(name)
    state, rng = started(algorithm, 4)
    for _ in range(1000):  # by its own probabilities the estimates would explode
        assert algorithm.fit(algorithm.params, state, 0, NO_FEATURES, 2, 0.25, rng)
    assert state.losses[0, 2] <= 1000 * 4 * 0.75
    assert state.losses[0, 2] >= 1000 * 4 * 0.75 / (4 if name == "exp3_ix" else 1) - 1e-9
    assert state.seen[0] == 1000
    out = np.empty(4)
    algorithm.recommend(algorithm.params, state, NO_FEATURES, rng, out)
    assert out == pytest.approx([1 / 3, 1 / 3, 0.0, 1 / 3])


# --- theorems -----------------------------------------------------------------------------------


def mean_regret(name, horizon, known, replications=200, **hyper):
    means = np.linspace(0.1, 0.9, 10)
    algorithm = banditlab.make(name, **hyper)
    problem = banditlab.make_problem("bernoulli", means=means)
    record = np.zeros((replications, 1, len(online.PROTOCOL.names)))
    progress, checkpoints = np.zeros(2, np.int64), np.array([horizon])
    task = Task(10, 1, 0, horizon if known else 0)
    args = (task, random.key(3), 0, 0, checkpoints, progress, record)
    compiled(online.run_block, (algorithm, problem), args)(*args)
    return record[:, 0, 0].mean()


@compiled_only
@pytest.mark.parametrize(
    "name, hyper, known, bound",
    [
        # Bubeck & Cesa-Bianchi 2012, Theorem 3.1
        ("exp3", {}, True, math.sqrt(2 * 10 * 10_000 * math.log(10))),
        ("exp3", {}, False, 2 * math.sqrt(10 * 10_000 * math.log(10))),
        # Neu 2015, Theorem 1, integrated over its confidence
        (
            "exp3_ix",
            {},
            True,
            2 * math.sqrt(2 * 10 * 10_000 * math.log(10))
            + (math.sqrt(2 * 10 * 10_000 / math.log(10)) + 1) * (math.log(2) + 1),
        ),
        # Zimmert & Seldin 2021, Theorem 1
        ("tsallis_inf", {}, False, 4 * math.sqrt(10 * 10_000) + 1),
        (
            "tsallis_inf",
            {"reduced_variance": 1},
            False,
            2 * math.sqrt(10 * 10_000) + 10 * 10 * math.log(10_000) + 16,
        ),
    ],
)
def test_regret_is_below_the_theorem(name, hyper, known, bound):
    """Ten Bernoulli arms, T = 10,000; uniform play would cost 4000, pure luck far below 100."""
    regret = mean_regret(name, 10_000, known, **hyper)
    assert 100 < regret < bound < 0.5 * mean_regret("uniform", 10_000, known)


@compiled_only
def test_tsallis_inf_is_logarithmic_on_a_stochastic_bandit():
    """A tenfold horizon would multiply a square-root regret by 3.2; ln(T) grows by 1.25."""
    short, long = (mean_regret("tsallis_inf", t, False, 50) for t in (10_000, 100_000))
    assert long / short < 1.9
