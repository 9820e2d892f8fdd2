"""NeuSquareCB and NeuFastCB against a second version, on problems and options drawn at random.

The second version is a dense network of the long vector that holds an arm's features in its block,
which follows the gradient of the whole loss, perturbation and all, with nothing put off, nothing
kept up to date and nothing left out. From the agent it takes what was drawn: the first weights, the
signs, and the order of rows in each training.
"""

import math

import numpy as np
import pytest

import banditlab
from banditlab.parts import networks

CLIP = 1e-6


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def matrices(net, vector):
    """The layers of a vector like ``net.theta``: pairs of a matrix (out, in) and its bias."""
    w = networks.layers(net, vector)
    found = [(w.first.reshape(-1, w.bias.size).T.copy(), w.bias.copy())]
    if w.hidden.size:
        found.append((w.hidden.T.copy(), w.hidden_bias.copy()))
    return [*found, (w.last[None].copy(), w.last_bias.copy())]


def flat(layers):
    return np.concatenate([part.ravel() for layer in layers for part in layer])


class Second:
    def __init__(self, agent, hyper, horizon):
        for name, value in hyper.items():
            setattr(self, name, value)
        self.agent, self.horizon, self.rows, self.paid = agent, horizon, [], 0.0
        self.n_arms, self.dim = agent.task.n_arms, agent.task.dim
        net = agent.state.learner.net
        self.layers, self.start = matrices(net, net.theta), matrices(net, net.theta)
        signs = agent.state.learner.signs.astype(float)
        self.signs = [flat(matrices(net, one)) for one in signs]
        self.size = self.c_p * self.units**-0.25

    def row(self, x, arm):
        own = x[arm] if len(x) > 1 else x[0]
        if not self.disjoint:
            return own
        whole = np.zeros((self.n_arms, self.dim))
        whole[arm] = own
        return whole.ravel()

    def forward(self, z):
        seen = [z]
        for matrix, bias in self.layers[:-1]:
            seen.append(np.maximum(matrix @ seen[-1] + bias, 0.0))
        matrix, bias = self.layers[-1]
        return (matrix @ seen[-1] + bias)[0], seen

    def gradient(self, seen):
        back, found = np.ones(1), []
        for (matrix, _), z in reversed(list(zip(self.layers, seen, strict=True))):
            found.append((np.outer(back, z), back))
            back = (matrix.T @ back) * (z > 0.0)
        return flat(found[::-1])

    def moved(self):
        return flat(self.layers) - flat(self.start)

    def offsets(self):
        return np.array([self.size * (self.moved() @ sign) for sign in self.signs])

    def put(self, vector):
        at = 0
        for matrix, bias in self.layers:
            for part in (matrix, bias):
                part[...] = vector[at : at + part.size].reshape(part.shape)
                at += part.size

    def step(self, z, cost, lr):
        """One step down the gradient of the loss; returns the squared error before it."""
        kl = self.loss == "kl"
        f, seen = self.forward(z)
        shown = f + self.offsets() if self.signs else np.array([f])
        residuals = sigmoid(shown) - cost if kl else 2.0 * (shown - cost)
        total = residuals.mean() * self.gradient(seen)
        if self.signs:
            total = total + self.size * (residuals @ np.array(self.signs)) / len(residuals)
        elif self.perturb == "expected":
            pull = self.c_p**2 / math.sqrt(self.units)
            total = total + pull * (sigmoid(f) * sigmoid(-f) if kl else 2.0) * self.moved()
        self.put(flat(self.layers) - lr * total)
        return ((sigmoid(f) if kl else f) - cost) ** 2

    def learn(self, x, arm, cost):
        n = len(self.rows)
        self.paid += cost
        self.rows.append((self.row(x, arm), cost))
        if self.schedule == "ogd":
            lr = self.lr * self.t0 / (self.t0 + n + 1) if self.t0 else self.lr
            self.step(*self.rows[-1], lr)
            self.project()
        elif n % 10 == 0:
            self.replay()

    def project(self):
        for layer, begun in zip(self.layers, self.start, strict=True):
            far = math.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(layer, begun, strict=True)))
            for a, b in zip(layer, begun, strict=True):
                a[...] = b + (a - b) * min(1.0, self.radius / far if far else 1.0)

    def replay(self):
        history = self.agent.state.learner.history
        most = len(history.arms)
        kept = {i % most: row for i, row in enumerate(self.rows)}  # the last of each place
        order = history.deck[: len(kept)].astype(int)
        assert sorted(order) == list(range(len(kept)))
        left = self.steps
        while True:
            errors = 0.0
            for place in order:
                errors += self.step(*kept[place], self.lr)
                left -= 1
                if left == 0:
                    return
            if errors / len(order) <= self.tolerance:
                return

    def costs(self, x):
        found = []
        for arm in range(self.n_arms):
            f, _ = self.forward(self.row(x, arm))
            shown = f + self.offsets() if self.signs else np.array([f])
            found.append(sigmoid(shown).mean() if self.loss == "kl" else shown.mean())
        low = CLIP if self.loss == "kl" else 0.0
        return np.clip(found, low, 1.0 - low) if self.loss == "kl" or self.clip else found

    def greed(self):
        T = self.horizon or len(self.rows) + 1
        R = self.regression_regret or self.n_arms * math.log(max(T, 2))
        return {
            "sqrt": self.gamma * math.sqrt(len(self.rows) + 1),
            "sqrt_loss": self.gamma * math.sqrt(1.0 + self.paid),
            "fixed": self.gamma,
            "theory_square": math.sqrt(self.n_arms * T / (R + math.log(2.0 / self.delta))),
            "theory_fast": max(
                math.sqrt(self.n_arms * self.best_loss / (3.0 * R)), 10.0 * self.n_arms
            ),
        }[self.gamma_schedule]

    def rule(self, x):
        costs, gamma = np.array(self.costs(x)), self.greed()
        best = int(costs.argmin())
        if self.allocation == "igw":
            p = 1.0 / (self.n_arms + gamma * (costs - costs[best]))
        else:
            costs = np.clip(costs, CLIP, 1.0 - CLIP)
            least = costs[best]
            p = least / (self.n_arms * least + gamma * (costs - least))
        p[best] = 0.0
        p[best] = 1.0 - p.sum()
        return p


OPTIONS = {
    "units": (1, 3, 6),
    "depth": (1, 2),
    "disjoint": (True, False),
    "loss": ("square", "kl"),
    "allocation": ("igw", "rigw"),
    "clip": (True, False),
    "gamma": (0.0, 1.0, 10.0, 300.0),
    "gamma_schedule": ("sqrt", "sqrt_loss", "fixed", "theory_square", "theory_fast"),
    "regression_regret": (0.0, 2.5),
    "best_loss": (0.0, 5000.0),
    "delta": (0.05, 0.5),
    "lr": (0.02, 0.2),
    "c_p": (0.0, 0.01, 0.15),
    "n_networks": (1, 4),
    "schedule": ("replay", "ogd"),
    "steps": (1, 7, 40),
    "tolerance": (0.0, 0.05, 0.3),
    "t0": (0.0, 5.0),
    "radius": (math.inf, 0.3),
    "memory": (0, 7),
}
COSTS = {
    "any": lambda rng: rng.random(),
    "certain": lambda rng: float(rng.integers(2)),
    "equal": lambda rng: 0.5,
}


@pytest.mark.parametrize("perturb", ["none", "expected", "ensemble"])
def test_rules_and_weights_are_those_of_a_second_version(perturb):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        hyper = {name: words[rng.integers(len(words))] for name, words in OPTIONS.items()}
        hyper["perturb"] = perturb
        n_arms, dim = int(rng.choice([2, 2, 3, 5])), int(rng.choice([1, 1, 2, 4]))
        horizon, kind = int(rng.choice([0, 1, 50])), list(COSTS)[seed % 3]
        low, high = ((0.0, 1.0), (-2.0, 3.0))[seed % 2]
        agent = banditlab.Agent(
            ("neu_square_cb", "neu_fast_cb")[seed % 2], n_arms=n_arms, dim=dim, horizon=horizon,
            seed=seed, low=low, high=high, **hyper,
        )  # fmt: skip
        slow = Second(agent, hyper, horizon)
        for _ in range(22):
            x = rng.normal(size=(1 if hyper["disjoint"] and rng.integers(2) else n_arms, dim))
            x *= seed % 7 > 0  # else nothing is shown
            rule = agent.propensities(x)
            assert rule.sum() == pytest.approx(1.0, abs=1e-12)
            np.testing.assert_allclose(rule, slow.rule(x), atol=1e-9, err_msg=f"{seed} {hyper}")
            arm, cost = int(rng.integers(n_arms)), COSTS[kind](rng)
            reward = high - cost * (high - low)
            agent.update(x, arm, reward)
            slow.learn(x, arm, (high - reward) / (high - low))
            net = agent.state.learner.net
            now = flat(matrices(net, net.theta))
            np.testing.assert_allclose(now, flat(slow.layers), atol=1e-9, err_msg=f"{seed} {hyper}")
