"""Baselines of the neural agents against slow second versions of them."""

from __future__ import annotations

import numpy as np
import pytest

import banditlab
from banditlab.agents.neural import kernel_ucb

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


# --- bad input ----------------------------------------------------------------------------------

BAD = [
    ("kernel_ucb", {"ridge": 0.0}, "ridge must be positive"),
    ("kernel_ucb", {"nu": -1.0}, "nu must be at least 0"),
    ("kernel_ucb", {"memory": 0}, "memory must be at least 1"),
    ("linucb", {"bonus": "square"}, "bonus must be one of sqrt, official"),
    ("linucb", {"bonus": "official", "delta": 0.1}, "delta must be 0 with bonus 'official'"),
]


@pytest.mark.parametrize("name, hyper, message", BAD)
def test_what_is_out_of_range_is_named(name, hyper, message):
    with pytest.raises(ValueError, match=message):
        banditlab.make(name, **hyper)
