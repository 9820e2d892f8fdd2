"""Baselines of the neural agents against slow second versions of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import banditlab
from banditlab import random
from banditlab.agents.neural import kernel_ucb
from banditlab.parts import gradient_widths, networks
from banditlab.parts.calendars import CALENDARS
from banditlab.parts.gradient_widths import COVARIANCES

ARMS, DIM = 3, 2


def encoded(x, arm):
    """The features of an arm, as one long vector where all arms share a row."""
    if len(x) > 1:
        return x[arm]
    long = np.zeros((ARMS, x.shape[1]))
    long[arm] = x[0]
    return long.ravel()


def rounds(count, shared, seed=0):
    """Features and rewards of a fixed sequence of rounds."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, 1 if shared else ARMS, DIM)), rng.normal(size=(count, ARMS))


# --- KernelUCB ----------------------------------------------------------------------------------


def kernel_scores(rows, rewards, x, ridge, nu):
    """Mean and variance of every arm, by a solve from scratch on encoded vectors."""
    mean, variance = np.zeros(ARMS), np.full(ARMS, ridge * nu)
    if rows:
        R = np.array(rows)
        gram = np.exp(-np.linalg.norm(R[:, None] - R[None], axis=2)) + ridge * np.eye(len(R))
        for k in range(ARMS):
            near = np.exp(-np.linalg.norm(R - encoded(x, k), axis=1))
            mean[k] = near @ np.linalg.solve(gram, rewards)
            variance[k] *= 1.0 - near @ np.linalg.solve(gram, near)
    return mean, variance


@pytest.mark.parametrize("shared", [True, False])
def test_kernel_ucb_chooses_as_a_solve_from_scratch_does(shared):
    hyper = {"ridge": 0.3, "nu": 0.2}
    agent = banditlab.Agent("kernel_ucb", n_arms=ARMS, dim=DIM, memory=30, **hyper)
    rows, rewards, arms = [], [], set()
    for t, (x, paid) in enumerate(zip(*rounds(45, shared), strict=True)):
        mean, variance = kernel_scores(rows, rewards, x, **hyper)
        index = mean + np.sqrt(variance)
        arm = agent.act(x)
        kernel_ucb.predict(agent.state, x)
        np.testing.assert_allclose(agent.state.mean, mean, atol=1e-12)
        np.testing.assert_allclose(1.0 - agent.state.form, variance / 0.06, atol=1e-12)
        assert index[arm] == pytest.approx(index.max(), rel=1e-9)
        arms.add(arm)
        arm = arm if t % 2 else t % ARMS
        agent.update(x, arm, paid[arm])
        if t < 30:  # then it is frozen
            rows.append(encoded(x, arm))
            rewards.append(paid[arm])
    assert arms == set(range(ARMS))
    assert agent.state.rounds[0] == 30
    assert agent.recommend(x)[np.argmax(kernel_scores(rows, rewards, x, **hyper)[0])] == 1.0


def test_a_round_of_the_same_arm_and_features_is_as_near_as_can_be():
    """By hand: one round remembered, k = 1 for its arm, exp(-sqrt 2) for the other, ridge 1."""
    agent = banditlab.Agent("kernel_ucb", n_arms=2, dim=1, nu=0.0)
    agent.update([[1.0]], 0, 1.0)
    kernel_ucb.predict(agent.state, np.ones((1, 1)))
    np.testing.assert_allclose(agent.state.mean, [0.5, np.exp(-np.sqrt(2.0)) / 2])
    np.testing.assert_allclose(agent.state.form, [0.5, np.exp(-2.0 * np.sqrt(2.0)) / 2])


# --- LinUCB, as the neural papers compare with it -----------------------------------------------


@pytest.mark.parametrize("bonus", ["sqrt", "official"])
def test_linucb_by_blocks_is_linucb_on_encoded_vectors(bonus):
    hyper = {"alpha": 0.7, "ridge": 0.5, "bonus": bonus, "n_arms": ARMS}
    blocks = banditlab.Agent("linucb", dim=DIM, disjoint=True, **hyper)
    whole = banditlab.Agent("linucb", dim=ARMS * DIM, **hyper)
    rows, rewards, arms = [], [], set()
    for x, paid in zip(*rounds(80, True), strict=True):
        long = np.array([encoded(x, k) for k in range(ARMS)])
        R = np.reshape(rows, (-1, ARMS * DIM))
        precision = 0.5 * np.eye(ARMS * DIM) + R.T @ R
        form = (long @ np.linalg.inv(precision) * long).sum(axis=1)
        index = long @ np.linalg.solve(precision, R.T @ np.array(rewards))
        index += 0.7 * (np.sqrt(form) if bonus == "sqrt" else form)
        arm = blocks.act(x)
        assert whole.act(long) == arm
        assert index[arm] == pytest.approx(index.max(), rel=1e-9)
        blocks.update(x, arm, paid[arm])
        whole.update(long, arm, paid[arm])
        rows.append(long[arm])
        rewards.append(paid[arm])
        arms.add(arm)
    assert arms == set(range(ARMS))


# --- networks: a second version, on encoded vectors ---------------------------------------------


class Second:
    """NeuralUCB, NeuralTS and NeuralEpsilon with one hidden layer, as if written in a hurry.

    A dense network of long vectors, gradients as long vectors, inverses from scratch. Initial
    weights and luck are those of the agent that it is compared with.
    """

    def __init__(self, agent):
        params = agent.algorithm.params
        self.p, self.rng, self.rows, self.rewards, self.t = params, agent._rng.copy(), [], [], 0
        self.cov = COVARIANCES[getattr(params, "cov", 0)]
        self.calendar = CALENDARS[getattr(params, "calendar", 0)]
        w = networks.layers(agent.state.learner.net, agent.state.learner.net.theta)
        self.W = np.transpose(w.first, (2, 0, 1)).reshape(params.units, -1).copy()
        self.b, self.v, self.c = w.bias.copy(), w.last.copy(), w.last_bias[0]
        self.past = []

    def value(self, x):
        return self.v @ np.maximum(self.W @ x + self.b, 0.0) + self.c

    def gradient(self, x):
        on = (self.W @ x + self.b > 0.0) * self.v
        parts = np.outer(on, x).ravel(), on, np.maximum(self.W @ x + self.b, 0.0), [1.0]
        return np.concatenate(parts)

    def direction(self, x):
        if self.cov == "last_layer":
            return np.append(np.maximum(self.W @ x + self.b, 0.0), 1.0)
        return self.gradient(x)

    def widths(self, xs):
        g = np.array([self.direction(x) for x in xs])
        past = np.reshape(self.past, (-1, g.shape[1]))
        if self.cov == "diagonal":
            form = (g**2 / (self.p.ridge + (past**2).sum(axis=0))).sum(axis=1)
        else:
            U = self.p.ridge * np.eye(g.shape[1]) + past.T @ past
            form = np.einsum("ki,ij,kj->k", g, np.linalg.inv(U), g)
        return np.sqrt(self.p.ridge * self.p.nu * form)

    def scores(self, x):
        """What the arms are ranked by; None where any arm is played."""
        xs = [encoded(x, k) for k in range(ARMS)]
        f = np.array([self.value(v) for v in xs])
        if hasattr(self.p, "epsilon"):
            explores, self.any = random.uniform(self.rng) < self.p.epsilon, self.below()
            return None if explores else f
        if type(self.p).__name__ == "NeuralTS":
            return f + self.widths(xs) * [random.normal(self.rng) for _ in xs]
        return f + self.widths(xs)

    def below(self):
        return random.below(self.rng, ARMS)

    def move(self, g, lr, decay):
        step = self.W.size
        whole = np.concatenate([self.W.ravel(), self.b, self.v, [self.c]])
        whole = whole - lr * (g + decay * whole)
        self.W, m = whole[:step].reshape(self.W.shape), self.b.size
        self.b, self.v, self.c = whole[step : step + m], whole[step + m : -1], whole[-1]

    def learn(self, x, arm, reward):
        row, t, n, p = encoded(x, arm), self.t, len(self.rewards), self.p
        self.t += 1
        if hasattr(p, "cov"):
            self.past.append(self.direction(row))
        ridge = getattr(p, "ridge", 0.0)
        due = {
            "ee_net": n % 10 == 0 if n < 1000 else n % 100 == 0,
            "neural_ucb": t < 2000 or t % 100 == 0,
            "neural_ts": True,
        }[self.calendar]
        if due or self.calendar != "neural_ucb":
            self.rows.append(row)
            self.rewards.append(reward)
        if self.calendar == "neural_ts":
            for _ in range(p.steps or 100):
                both = list(zip(self.rows, self.rewards, strict=True))
                slopes = [2.0 * (self.value(v) - r) * self.gradient(v) for v, r in both]
                self.move(np.mean(slopes, axis=0), p.lr, ridge / len(both))
        elif due:
            order = np.arange(len(self.rows), dtype=float)
            random.shuffle(self.rng, order)
            self.passes(order.astype(int), ridge if self.calendar == "neural_ucb" else 0.0)

    def passes(self, order, decay):
        left = self.p.steps or (2000 if self.calendar == "ee_net" else 1000)
        while True:
            errors = 0.0
            for i in order:
                error = self.value(self.rows[i]) - self.rewards[i]
                self.move(2.0 * error * self.gradient(self.rows[i]), self.p.lr, decay)
                errors += error**2
                left -= 1
                if left == 0:
                    return
            if errors / len(order) <= self.p.tolerance:
                return


NETS = [
    ("neural_ucb", {"cov": "diagonal"}),
    ("neural_ucb", {"cov": "last_layer", "calendar": "neural_ucb"}),
    ("neural_ucb", {"cov": "full", "calendar": "neural_ts", "steps": 6}),
    ("neural_ts", {"cov": "diagonal", "nu": 0.5}),
    ("neural_ts", {"cov": "full", "nu": 0.5, "calendar": "neural_ucb"}),
    ("neural_epsilon", {"epsilon": 0.3}),
    ("neural_epsilon", {"epsilon": 0.0, "calendar": "neural_ts", "steps": 6}),
]


@pytest.mark.parametrize(
    "name, hyper", NETS, ids=[" ".join(map(str, [n, *h.values()])) for n, h in NETS]
)
@pytest.mark.parametrize("shared", [True, False])
def test_networks_play_as_a_second_version_on_long_vectors_does(name, hyper, shared):
    hyper = {"steps": 25, "tolerance": 0.3, "units": 4, "ridge": 0.3, **hyper}
    if name == "neural_epsilon":
        del hyper["ridge"]
    blocks = {"disjoint": shared}  # a row for all arms needs a block for each
    agent = banditlab.Agent(name, n_arms=ARMS, dim=DIM, seed=3, **blocks, **hyper)
    slow, arms = Second(agent), set()
    for t, (x, paid) in enumerate(zip(*rounds(33, shared), strict=True)):
        scores = slow.scores(x)
        arm = agent.act(x)
        if scores is None:
            assert arm == slow.any
        else:
            assert scores[arm] == pytest.approx(scores.max(), rel=1e-8)
        arm = arm if t % 2 else t % ARMS
        arms.add(arm)
        agent.update(x, arm, paid[arm])
        slow.learn(x, arm, paid[arm])
    w = networks.layers(agent.state.learner.net, agent.state.learner.net.theta)
    np.testing.assert_allclose(w.last, slow.v, rtol=1e-8, atol=1e-12)
    W = np.transpose(w.first, (2, 0, 1)).reshape(4, -1)
    np.testing.assert_allclose(W, slow.W, rtol=1e-8, atol=1e-12)
    np.testing.assert_array_equal(agent._rng, slow.rng)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_width_is_the_norm_of_the_gradient_before_any_round(depth):
    """With ridge = nu = 1; and the diagonal is 1 + g^2 after a round."""
    hyper = {"n_arms": ARMS, "dim": DIM, "units": 5, "depth": depth, "ridge": 1.0, "nu": 1.0}
    agent = banditlab.Agent("neural_ucb", **hyper)
    net, x = agent.state.learner.net, np.array([[0.3, -2.0]])
    g = np.zeros((ARMS, net.theta.size))
    for k in range(ARMS):
        networks.gradient(net, k, x[0], g[k])
    gradient_widths.predict(agent.state, x)
    np.testing.assert_allclose(agent.state.form, (g**2).sum(axis=1))
    agent.update(x, 1, 0.5)
    np.testing.assert_allclose(1.0 / agent.state.widths.inverse, 1.0 + g[1] ** 2)


@pytest.mark.parametrize("depth", [1, 2])
def test_the_full_width_is_that_of_the_kernel_of_gradients(depth):
    """g (ridge I + G G.T)^-1 g = (|g|^2 - k (ridge I + K)^-1 k) / ridge."""
    hyper = {"n_arms": ARMS, "dim": DIM, "units": 5, "depth": depth, "ridge": 0.2, "steps": 9}
    agent = banditlab.Agent("neural_ucb", cov="full", **hyper)
    net, g = agent.state.learner.net, np.zeros(agent.state.learner.net.theta.size)
    past = []
    for t, (x, paid) in enumerate(zip(*rounds(50, True), strict=True)):
        networks.gradient(net, t % ARMS, x[0], g)
        past.append(g.copy())
        agent.update(x, t % ARMS, paid[0])
    G, x = np.array(past), np.array([[0.5, 1.5]])
    gradient_widths.predict(agent.state, x)
    for arm in range(ARMS):
        networks.gradient(net, arm, x[0], g)
        k = G @ g
        dual = (g @ g - k @ np.linalg.solve(0.2 * np.eye(50) + G @ G.T, k)) / 0.2
        assert agent.state.form[arm] == pytest.approx(dual, rel=1e-8)
        primal = g @ np.linalg.inv(0.2 * np.eye(g.size) + G.T @ G) @ g
        assert agent.state.form[arm] == pytest.approx(primal, rel=1e-8)


def test_a_full_covariance_of_a_large_network_is_refused_with_what_it_would_take():
    with pytest.raises(ValueError, match="this one has 64,201: its matrix would take 33.0 GB"):
        banditlab.Agent("neural_ucb", n_arms=10, dim=64, cov="full")
    problem = {"name": "linear", "n_arms": 10, "dim": 64}
    panel = {"problem": problem, "agents": [{"name": "neural_ts", "cov": "full"}], "horizon": 5}
    with pytest.raises(ValueError, match="'neural_ts' in panel 'main': cov 'full' is for"):
        banditlab.simulate({"protocol": "online", "seed": 1, "replications": 1, **panel})


@pytest.mark.parametrize("name", ["neural_ucb", "neural_ts", "neural_epsilon"])
def test_an_agent_whose_predictions_diverge_gives_up(name):
    agent = banditlab.Agent(name, n_arms=2, dim=1, lr=5.0)
    agent.update([[1.0]], 0, 1.0)
    with pytest.raises(ValueError, match=f"{name} gave up: its predictions diverged"):
        for _ in range(30):
            agent.act([[1.0]])
            agent.update([[1.0]], 0, 1.0)


def test_propensities_of_neural_ts_are_exact_for_two_arms_up_to_its_points():
    agent = banditlab.Agent("neural_ts", n_arms=2, dim=1, units=5, nu=8.0)
    for t in range(20):
        agent.update([[1.0]], t % 2, float(t % 2))
    found = agent.propensities([[1.0]])
    gradient_widths.predict(agent.state, np.ones((1, 1)))
    mean, form = agent.state.mean, agent.state.form
    gap = (mean[1] - mean[0]) / np.sqrt(0.8 * form.sum())
    assert 0.5 < found[1] < 0.999
    assert found[1] == pytest.approx(stats.norm.cdf(gap), abs=2e-3)


# --- EE-Net -------------------------------------------------------------------------------------


class SecondAdam:
    """A network of banditlab.parts.adam_nets, with whole matrices."""

    def __init__(self, net, width):
        self.theta, self.stride, self.n, self.units = (
            net.theta.copy(), net.stride[0], net.z.size, net.hidden.size,
        )  # fmt: skip
        self.front = width + 1 if self.stride else 0

    def parts(self, theta):
        a, n, m = self.front, self.n, self.units
        W, rest = theta[a : a + n * m].reshape(n, m), theta[a + n * m :]
        return theta[: max(a - 1, 0)], theta[max(a - 1, 0)], W, rest[:m], rest[m:-1], rest[-1]

    def windows(self, x):
        if not self.stride:
            return None
        return np.array([x[self.stride * i :][: self.front - 1] for i in range(self.n)])

    def value(self, x):
        kernel, bias, W, b, v, c = self.parts(self.theta)
        self.z = self.windows(x) @ kernel + bias if self.stride else np.asarray(x)
        self.h = np.maximum(self.z @ W + b, 0.0)
        return v @ self.h + c

    def gradient(self, x):
        self.value(x)
        _, _, W, _, v, _ = self.parts(self.theta)
        back = v * (self.h > 0.0)
        dz = W @ back
        front = [dz @ self.windows(x), [dz.sum()]] if self.stride else []
        return np.concatenate([*front, np.outer(self.z, back).ravel(), back, self.h, [1.0]])

    def train(self, rows, targets, order, steps, lr, decay, stop):
        m, v, t = np.zeros_like(self.theta), np.zeros_like(self.theta), 0
        while True:
            errors = 0.0
            for i in order:
                error = self.value(rows[i]) - targets[i]
                g = 2.0 * error * self.gradient(rows[i]) + decay * self.theta
                t += 1
                m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
                up = m / (1.0 - 0.9**t)
                self.theta = self.theta - lr * up / (np.sqrt(v / (1.0 - 0.999**t)) + 1e-8)
                errors += error**2
                if t == steps:
                    return
            if errors / len(order) <= stop:
                return


class SecondEENet(Second):
    """EE-Net on encoded vectors, with all gradients stored as they are."""

    def __init__(self, agent):
        super().__init__(agent)
        p = self.p
        self.f2 = SecondAdam(agent.state.explorer, p.width)
        self.f3 = SecondAdam(agent.state.decision, 0)
        self.features, self.targets, self.opinions = [], [], []

    def pooled(self, x):
        on = (self.W @ x + self.b > 0.0) * self.v
        h = np.maximum(self.W @ x + self.b, 0.0)
        g = np.concatenate([np.outer(on, x).ravel(), on, h, [1.0]])  # the program's order
        blocks = g.size // self.p.pool + 1
        g = np.append(g, np.zeros(blocks * self.p.pool - g.size))
        return g.reshape(blocks, -1).mean(axis=1)

    def scores(self, x):
        xs = [encoded(x, k) for k in range(ARMS)]
        self.seen = [self.pooled(v) for v in xs]
        self.f = np.array(
            [[self.value(v), self.f2.value(g)] for v, g in zip(xs, self.seen, strict=True)]
        )
        if self.p.decider and self.t > 500:
            return np.array([self.f3.value(row) for row in self.f])
        return self.f[:, 0] + (0.1 if self.t <= 1000 else 0.01) * (self.f[:, 1] - 1.0)

    def order(self, n):
        order = np.arange(n, dtype=float)
        random.shuffle(self.rng, order)
        return order.astype(int)

    def learn(self, x, arm, reward):
        self.opinions.append(self.f[arm])
        self.features.append(self.seen[arm])
        self.targets.append(reward - self.f[arm, 0] + 1.0)
        others = [k for k in range(ARMS) if k != arm and reward == 0.0 and self.t < 1000]
        self.features += [self.seen[k] for k in others]
        self.targets += [1.2] * len(others)
        due = len(self.rewards) % 10 == 0
        super().learn(x, arm, reward)
        if due:
            n, p = len(self.targets), self.p
            args = (p.steps or 2000, p.lr_2, 1e-4, 2e-3)
            self.f2.train(self.features, self.targets, self.order(n), *args)
            if p.decider:
                order = self.order(len(self.rewards))
                args = (p.steps or 1000, p.lr_3, 0.0, 1e-3)
                self.f3.train(self.opinions, self.rewards, order, *args)


@pytest.mark.parametrize("decider", ["linear", "neural"])
@pytest.mark.parametrize("shared", [True, False])
def test_ee_net_plays_as_a_second_version_does(decider, shared):
    small = {"units": 5, "inner": 4, "pool": 3, "width": 4, "stride": 2, "steps": 25}
    hyper = {"n_arms": ARMS, "dim": DIM, "lr": 0.05, "lr_2": 0.02, "lr_3": 0.02, "seed": 5}
    agent = banditlab.Agent("ee_net", decider=decider, disjoint=shared, **hyper, **small)
    slow = SecondEENet(agent)
    agent.t = slow.t = 490 if shared else 985  # what changes after 500 and 1000 rounds is met
    for t, (x, paid) in enumerate(zip(*rounds(26, shared, seed=2), strict=True)):
        scores = slow.scores(x)
        arm = agent.act(x)
        np.testing.assert_allclose(agent.state.score, scores, rtol=1e-8, atol=1e-12)
        assert scores[arm] == pytest.approx(scores.max(), rel=1e-8)
        arm = arm if t % 2 else t % ARMS
        reward = float(paid[arm] > 0.0)
        agent.update(x, arm, reward)
        slow.learn(x, arm, reward)
    np.testing.assert_allclose(agent.state.explorer.theta, slow.f2.theta, rtol=1e-8, atol=1e-12)
    if decider == "neural":
        np.testing.assert_allclose(agent.state.decision.theta, slow.f3.theta, rtol=1e-8, atol=1e-12)
    np.testing.assert_array_equal(agent._rng, slow.rng)


def test_a_decay_that_halves_the_weights_in_every_step_does_not_make_them_nan():
    hyper = {"ridge": 12.0, "calendar": "neural_ucb", "units": 3, "tolerance": 0.0}
    agent = banditlab.Agent("neural_ucb", n_arms=2, dim=2, **hyper)
    for arm, x in enumerate(([1.0, 0.5], [0.0, 1.0])):
        agent.update([x], arm, 1.0)
    assert np.isfinite(agent.state.learner.net.theta).all()
    assert agent.state.learner.trouble[0] == 0


# --- bad input ----------------------------------------------------------------------------------

BAD = [
    ("kernel_ucb", {"ridge": 0.0}, "ridge must be positive"),
    ("kernel_ucb", {"ridge": 1e-6}, "ridge must be at least 0.0001, got 1e-06"),
    ("kernel_ucb", {"nu": -1.0}, "nu must be at least 0"),
    ("kernel_ucb", {"memory": 0}, "memory must be at least 1"),
    ("neural_ucb", {"ridge": 0.0}, "ridge must be positive"),
    ("neural_ucb", {"cov": "dense"}, "cov must be one of diagonal, last_layer, full"),
    ("neural_ucb", {"calendar": "daily"}, "calendar must be one of ee_net, neural_ucb, neural_ts"),
    ("neural_ts", {"nu": -0.1}, "nu must be at least 0"),
    ("neural_ts", {"units": 0}, "units must be at least 1"),
    ("neural_ts", {"depth": 3}, "depth must be at most 2"),
    ("neural_ucb", {"units": 1 << 40}, "units must be at most 100000"),
    ("ee_net", {"inner": 1 << 60}, "inner must be at most 100000"),
    (
        "neural_ucb",
        {"ridge": 20.0, "calendar": "neural_ucb"},
        "ridge must be below 1 / lr, 20, with calendar 'neural_ucb', got 20",
    ),
    ("neural_epsilon", {"epsilon": 1.5}, r"epsilon must lie in \[0, 1\]"),
    ("neural_epsilon", {"lr": 0.0}, "lr must be positive"),
    ("linucb", {"bonus": "square"}, "bonus must be one of sqrt, official"),
    ("linucb", {"bonus": "official", "delta": 0.1}, "delta must be 0 with bonus 'official'"),
]


@pytest.mark.parametrize("name, hyper, message", BAD)
def test_what_is_out_of_range_is_named(name, hyper, message):
    with pytest.raises(ValueError, match=message):
        banditlab.make(name, **hyper)
