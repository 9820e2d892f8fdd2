"""Planners from a log: their formulas, second implementations, limits, and published numbers."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest

from banditlab import mdp, random
from banditlab.agents.offline_bandit.bc import bc
from banditlab.agents.offline_bandit.behaviour import behaviour
from banditlab.agents.offline_bandit.greedy_offline import greedy_offline
from banditlab.agents.offline_rl import vi_lcb as bernstein
from banditlab.agents.offline_rl.pevi import pevi
from banditlab.agents.offline_rl.pevi_adv import pevi_adv
from banditlab.agents.offline_rl.vi_ce import vi_ce
from banditlab.agents.offline_rl.vi_lcb import vi_lcb
from banditlab.agents.offline_rl.vi_lcb_hoeffding import vi_lcb_hoeffding
from banditlab.agents.offline_rl.vi_lcb_split import vi_lcb_split
from banditlab.compile import compiled
from banditlab.core import Task, jit_disabled
from banditlab.data.model import new_model
from banditlab.parts import planners
from banditlab.problems.gambler import AUTHORS_VI, AUTHORS_VI_LCB, SIZES, gambler
from banditlab.problems.hard_replicas import hard_replicas
from banditlab.problems.imitation_mdp import imitation_mdp
from banditlab.problems.toytext import toytext
from banditlab.protocols import offline_mdp
from banditlab.protocols.offline import Offline
from banditlab.protocols.offline_mdp import as_planner, case, learn

slow_in_plain_python = pytest.mark.skipif(jit_disabled(), reason="too slow as plain Python")


def gaps(rule, problem, sizes, replications, seed=20220411):
    """J* - J (replications, sizes) of what ``rule`` learns from nested logs."""
    rule = as_planner(rule) if isinstance(rule, Offline) else rule
    sizes = np.array(sizes, dtype=np.int64)
    record = np.zeros((replications, sizes.size, 1))
    task = Task(*problem.shape, int(sizes[-1]))
    args = (task, random.key(seed), 0, 0, sizes, np.zeros(2, np.int64), record)
    with np.errstate(all="ignore"):
        compiled(offline_mdp.run_block, (rule, problem), args)(*args)
    return record[:, :, 0]


def a_truth(seed, S=6, A=3, K=3, horizon=0, ends=1):
    rng = np.random.default_rng(seed)
    succ = np.array([[rng.permutation(S)[:K] for _ in range(A)] for _ in range(S)])
    prob = rng.dirichlet(np.ones(K), size=(S, A))
    reward = np.repeat(rng.uniform(size=(S, A, 1)), K, axis=2)
    terminal = np.arange(S) >= S - ends
    succ[terminal], reward[terminal] = np.flatnonzero(terminal)[:, None, None], 0.0
    prob[2:4, 2] = 0.0  # not legal
    return mdp.new_mdp(
        succ, prob, reward, np.full(S, 1 / S), gamma=0.8, horizon=horizon, terminal=terminal,
        v_min=0.0, v_max=horizon or 5.0,
    )  # fmt: skip


def a_log(truth, rows, seed, known=True):
    rng = np.random.default_rng(seed)
    L = mdp.steps(truth)
    mu = rng.dirichlet(np.full(truth.legal.sum(), 0.5), size=L)  # uneven: some pairs are missed
    counts = np.zeros((L, *truth.succ.shape))
    for h in range(L):
        n = np.zeros(truth.legal.shape, dtype=int)
        n[truth.legal] = rng.multinomial(rows, mu[h])
        for s, a in np.argwhere(n > 0):
            counts[h, s, a] = rng.multinomial(n[s, a], truth.prob[s, a])
    return model_of(truth, counts, known)


def model_of(truth, counts, known=True):
    return new_model(
        truth.succ, truth.reward, counts, gamma=truth.gamma, horizon=truth.horizon,
        v_min=truth.v_min, v_max=truth.v_max, legal=truth.legal, terminal=truth.terminal,
        known_rewards=mdp.mean_rewards(truth) if known else None,
    )  # fmt: skip


# --- second implementations: dense matrices, whole arrays ---------------------------------------


def dense(model, h=0):
    """P (S, A, S) of the log, 0 where there is none."""
    S, A, K = model.succ.shape
    P = np.zeros((S, A, S))
    for s, a, k in np.ndindex(S, A, K):
        P[s, a, model.succ[s, a, k]] += model.counts[h, s, a, k]
    return P / np.maximum(model.n[h], 1)[:, :, None]


def rule_of(q, n, legal):
    q = np.where(legal, q, -np.inf)
    best = q == q.max(axis=1, keepdims=True)
    n = np.where(best, n, -1.0)
    ties = n == n.max(axis=1, keepdims=True)
    return ties / ties.sum(axis=1, keepdims=True)


def values_of(q, model):
    return np.where(model.terminal, 0.0, np.where(model.legal, q, -np.inf).max(axis=1))


def reference_vi_lcb(model, c, delta=0.1, paper=False):
    span = model.v_max - model.v_min
    policy = np.zeros(model.n.shape)
    H, S = model.horizon, model.terminal.size
    V = np.zeros(S) if H else np.where(model.terminal, 0.0, model.v_min)
    log_term = math.log(model.rows * H / delta if H else model.rows / (1 - model.gamma) / delta)
    for i in range(H or 600):
        h = H - 1 - i if H else 0
        n, P = model.n[h], dense(model, h)
        if paper:
            P[n == 0] = 1 / S
        seen = np.maximum(n, 1)
        variance = P @ V**2 - (P @ V) ** 2
        wide = np.sqrt(c * log_term * np.maximum(variance, 0.0) / seen)
        narrow = c * log_term * span / seen
        b = np.minimum(wide + narrow if H else np.maximum(wide, 2 * narrow), span)
        b[n == 0] = span
        b += 5 / model.rows if paper and not H else 0.0
        if not model.known:
            outcomes = model.counts[h] / seen[:, :, None]
            mean = (outcomes * model.reward).sum(axis=2, keepdims=True)
            spread = (outcomes * (model.reward - mean) ** 2).sum(axis=2)
            extra = np.sqrt(c * log_term * spread / seen)
            b += extra + 2 * c * log_term * (model.r_max - model.r_min) / seen
        q = np.maximum(model.r[h] + model.gamma * P @ V - b, model.v_min)
        if not paper:
            q[n == 0] = model.v_min
        policy[h] = rule_of(q, n, model.legal)
        V = values_of(q, model)
    return policy, V


def reference_hoeffding(model, c, delta=0.1):
    """Discounted only."""
    span = model.v_max - model.v_min
    n, P = model.n[0], dense(model)
    S, A = n.shape
    b = span * np.sqrt(c * math.log(2 * S * A / delta) / np.maximum(n, 1))
    V = np.where(model.terminal, 0.0, model.v_min)
    policy = rule_of(np.zeros((S, A)), n, model.legal)
    for _ in range(600):
        q = model.r[0] + model.gamma * np.where(n > 0, P @ V, model.v_min) - b
        better = values_of(q, model) > V
        assert (np.where(better, values_of(q, model), V) >= V).all()
        V = np.where(better, values_of(q, model), V)
        policy = np.where(better[:, None], rule_of(q, n, model.legal), policy)
    return policy[None], V


def reference_vi_ce(model, unseen):
    policy = np.zeros(model.n.shape)
    H = model.horizon
    V = np.zeros(model.terminal.size)
    for i in range(H or 600):
        h = H - 1 - i if H else 0
        n, P = model.n[h], dense(model, h)
        if unseen == "uniform":
            P[n == 0] = 1 / V.size
        q = model.r[h] + model.gamma * P @ V
        if unseen == "floor":
            q[n == 0] = model.v_min
        policy[h] = rule_of(q, n, model.legal)
        V = values_of(q, model)
    return policy


@pytest.mark.parametrize("horizon", [0, 5])
@pytest.mark.parametrize("known", [True, False])
def test_vi_lcb_agrees_with_a_dense_implementation(horizon, known):
    different = 0
    for seed in range(30 if not jit_disabled() else 3):
        model = a_log(a_truth(seed, horizon=horizon), 300, seed, known)
        for c, paper in ((0.05, False), (0.05, True), (1.0, False)):
            rule = vi_lcb("paper" if paper else "practical", c_b=c)
            policy, _ = reference_vi_lcb(model, c, paper=paper)
            np.testing.assert_array_equal(learn(rule, model), policy)
        different += (learn(vi_lcb(), model) != learn(bc(), model)).any()
    assert different > 0


def test_hoeffding_agrees_with_a_dense_implementation():
    for seed in range(30 if not jit_disabled() else 3):
        model = a_log(a_truth(seed), 3000, seed, known=seed % 2 == 0)
        for c in (0.001, 0.05):
            policy, _ = reference_hoeffding(model, c)
            np.testing.assert_array_equal(learn(vi_lcb_hoeffding(c=c), model), policy)


@pytest.mark.parametrize("horizon", [0, 5])
def test_vi_ce_agrees_with_a_dense_implementation(horizon):
    for seed in range(30 if not jit_disabled() else 3):
        model = a_log(a_truth(seed, horizon=horizon), 100, seed)
        for unseen in ("uniform", "zero", "floor"):
            policy = reference_vi_ce(model, unseen)
            np.testing.assert_array_equal(learn(vi_ce(unseen), model), policy)


def test_hoeffding_with_a_horizon():
    """Algorithm 4, written out for arrays."""
    for seed in range(20 if not jit_disabled() else 3):
        model = a_log(a_truth(seed, horizon=4), 1000, seed)
        S, A = model.legal.shape
        V = np.zeros(S)
        policy = np.zeros(model.n.shape)
        for h in (3, 2, 1, 0):
            n = model.n[h]
            b = 4.0 * np.sqrt(0.002 * math.log(2 * S * A / 0.1) / np.maximum(n, 1))
            q = model.r[h] + np.where(n > 0, dense(model, h) @ V, 0.0) - b
            q = np.maximum(q, 0.0)
            policy[h] = rule_of(q, n, model.legal)
            V = values_of(q, model)
        np.testing.assert_array_equal(learn(vi_lcb_hoeffding(c=0.002), model), policy)


# --- oracles ------------------------------------------------------------------------------------


def test_the_bernstein_term():
    truth = a_truth(0)._replace(gamma=0.5, v_max=2.0)
    model = model_of(truth, np.ones(truth.succ.shape) * truth.legal[:, :, None])
    model = model._replace(rows=1000.0)
    for mode, expected in (("practical", 0.08), ("paper", 0.085)):
        params = vi_lcb(mode, c_b=1.0).params
        b = bernstein.penalty(params, model, 0, 100.0, 0.25, 0.0, 2.0)
        assert b == pytest.approx(expected, abs=1e-15)
        # A wide spread: sqrt(2 * .64 / 100) > .08. And the cap.
        b = bernstein.penalty(params, model, 0, 100.0, 0.64, 0.0, 2.0)
        assert b == pytest.approx(0.113137 + expected - 0.08, abs=1e-6)
        assert bernstein.penalty(params, model, 0, 1.0, 0.25, 0.0, 2.0) >= 2.0


@pytest.mark.parametrize(("L", "action"), [(0.01, 1), (0.25, 0)])
def test_one_state_and_two_ways_out(L, action):
    """r = (.4, 1), n = (100, 1), span 2: penalties 2 sqrt(L / n) make Q (.38, .8) or (.3, 0)."""
    succ = np.ones((2, 2, 1), dtype=int)
    model = new_model(
        succ, np.zeros((2, 2, 1)), [[[100], [1]], [[0], [0]]], gamma=0.5, v_min=0.0, v_max=2.0,
        known_rewards=[[0.4, 1.0], [0.0, 0.0]], terminal=[False, True],
    )  # fmt: skip
    c = L / math.log(2 * 2 * 2 / 0.1)
    assert learn(vi_lcb_hoeffding(c=c), model)[0, 0].argmax() == action


def test_all_penalties_at_once_is_behaviour_cloning():
    for seed in range(20 if not jit_disabled() else 3):
        for horizon in (0, 4):
            model = a_log(a_truth(seed, horizon=horizon), 200, seed)
            expected = learn(bc(), model)
            visited = model.n.sum(axis=2) > 0
            for rule in (vi_lcb(c_b=1e9), vi_lcb("paper"), vi_lcb_hoeffding(c=1e9)):
                np.testing.assert_array_equal(learn(rule, model)[visited], expected[visited])


def test_no_penalty_is_certainty_equivalence():
    for seed in range(20 if not jit_disabled() else 3):
        for horizon in (0, 4):
            truth = a_truth(seed, horizon=horizon)
            model = a_log(truth, 20, seed)
            expected = learn(vi_ce("floor"), model)
            np.testing.assert_array_equal(learn(vi_lcb(c_b=0.0), model), expected)
            full = model_of(truth, model.counts + truth.legal[:, :, None])  # every pair is seen
            expected = learn(vi_ce("uniform"), full)
            np.testing.assert_array_equal(learn(vi_lcb(c_b=0.0), full), expected)


@slow_in_plain_python
def test_the_literal_constants_copy_the_log_on_frozen_lake():
    truth = case(toytext("FrozenLake-v1", 0.95, 3.0))
    rng = np.random.default_rng(1)
    for rows in (300, 10_000, 100_000):
        n = rng.multinomial(rows, truth.mu[0].ravel()).reshape(truth.mu[0].shape)
        chances = truth.mdp.prob / truth.mdp.prob.sum(axis=2, keepdims=True)
        counts = np.array(
            [[rng.multinomial(n[s, a], chances[s, a]) for a in range(4)] for s in range(17)]
        )
        model = model_of(truth.mdp, counts)
        visited = model.n.sum(axis=2) > 0
        copied = learn(bc(), model)
        if rows <= 10_000:
            for rule in (vi_lcb("paper"), vi_lcb(c_b=144.0)):
                np.testing.assert_array_equal(learn(rule, model)[visited], copied[visited])
    assert (learn(vi_lcb(), model) != copied).any()  # control: the practical one does not


def moved(model, states=None, actions=None):
    """The same log with other names: state ``states[i]`` becomes i, action likewise."""
    states = np.arange(model.legal.shape[0]) if states is None else states
    actions = np.arange(model.legal.shape[1]) if actions is None else actions
    pick = np.ix_(states, actions)
    return model._replace(
        succ=np.ascontiguousarray(np.argsort(states)[model.succ[pick]]),
        reward=np.ascontiguousarray(model.reward[pick]),
        counts=np.ascontiguousarray(model.counts[:, pick[0], pick[1]]),
        n=np.ascontiguousarray(model.n[:, pick[0], pick[1]]),
        r=np.ascontiguousarray(model.r[:, pick[0], pick[1]]),
        legal=np.ascontiguousarray(model.legal[pick]),
        terminal=model.terminal[states],
    )


@pytest.mark.parametrize("horizon", [0, 4])
def test_new_names_permute_the_policy(horizon):
    rng = np.random.default_rng(0)
    for seed in range(20 if not jit_disabled() else 2):
        model = a_log(a_truth(seed, horizon=horizon), 300, seed)
        states, actions = rng.permutation(6), rng.permutation(3)
        other = moved(model, states, actions)
        for rule in (vi_lcb(), vi_ce(), vi_lcb_hoeffding(c=0.005), bc()):
            expected = learn(rule, model)[:, states][:, :, actions]
            np.testing.assert_array_equal(learn(rule, other), expected)


def test_an_affine_change_of_rewards_and_range_changes_no_choice():
    for seed in range(20 if not jit_disabled() else 2):
        model = a_log(a_truth(seed, ends=0), 300, seed)
        scale, shift = 16.0, -3.0
        low, high = (scale * v + shift / (1 - model.gamma) for v in (model.v_min, model.v_max))
        other = model._replace(
            reward=scale * model.reward + shift, r=scale * model.r + shift, v_min=low, v_max=high
        )
        for rule in (vi_lcb(), vi_lcb_hoeffding(c=0.005), vi_ce("floor"), vi_lcb_split(c=1e-4)):
            np.testing.assert_array_equal(learn(rule, other), learn(rule, model))


@pytest.mark.slow
def test_values_are_lower_bounds():
    truth = a_truth(5)
    rows, logs, delta = 2000, 200, 0.1

    def violated(reference, c):
        failures = 0
        for seed in range(logs):
            policy, V = reference(a_log(truth, rows, seed), c, delta)
            policy = np.where(truth.legal, policy[0], 0.0)
            failures += (V > mdp.evaluate(truth, policy)[0] + 1e-9).any()
        return failures / logs

    assert violated(reference_hoeffding, 0.5) <= delta
    assert violated(reference_vi_lcb, 1.0) <= delta
    assert violated(reference_vi_lcb, 0.0) > delta  # control
    assert violated(reference_hoeffding, 1e-5) > delta


def test_the_notebook_is_for_a_finite_horizon():
    """Its penalty is at most the steps left; discounted, there would be none."""
    with pytest.raises(ValueError, match="finite horizon for mode notebook"):
        learn(vi_lcb("notebook"), a_log(a_truth(1), 100, 1))


# --- splitting ----------------------------------------------------------------------------------


def test_a_split_log_is_cut_without_loss():
    model = a_log(a_truth(1), 1000, 1)
    rng = random.stream(random.key(1), 0, random.AGENT)
    with np.errstate(over="ignore"):
        rows = planners.shuffled_rows(model.counts[0], rng)
    total, part = np.zeros((2, *model.succ.shape))
    parts = []
    for i in range(4):
        planners.count_rows(rows, 250 * i, 250 * (i + 1), part)
        parts.append(part.sum(axis=2))
        total += part
    np.testing.assert_array_equal(total, model.counts[0])
    share = model.n[0] / 4  # a cell's count in a quarter is hypergeometric
    error = np.sqrt(share * (1 - model.n[0] / 1000) * 0.75)
    assert (np.abs(np.array(parts) - share) <= 4 * error + 1e-9).all()
    assert any((p != parts[0]).any() for p in parts)


@slow_in_plain_python
def test_split_with_literal_constants_clones_its_first_part():
    truth = a_truth(2, K=1)  # the parts matter for counts only
    truth = truth._replace(prob=truth.legal[:, :, None].astype(float))
    model = a_log(truth, 20_000, 2)
    assert np.partition(model.n[0], -2, axis=1)[:, -2:].min() >= 0
    clear = np.sort(model.n[0], axis=1)
    clear = (clear[:, -1] > 1.5 * clear[:, -2]) & (clear[:, -1] > 500) & ~truth.terminal
    assert clear.sum() >= 2
    learned = learn(vi_lcb_split("paper"), model)
    np.testing.assert_array_equal(learned[0][clear], learn(bc(), model)[0][clear])
    best = learn(vi_lcb_split(c=1e-5), model)
    assert (best != learned).any()
    # Without noise and almost without penalties it does what certainty equivalence does.
    seen = model.n[0].sum(axis=1) > 0
    np.testing.assert_array_equal(best[0][seen], learn(vi_ce("floor"), model)[0][seen])


def test_split_needs_a_row_for_every_sweep():
    model = a_log(a_truth(2), 10, 2)
    with pytest.raises(ValueError, match=r"^vi_lcb_split needs a log of at least T \+ 1"):
        learn(vi_lcb_split(), model)
    with pytest.raises(ValueError, match="^vi_lcb_split needs a discounted problem"):
        learn(vi_lcb_split(), a_log(a_truth(2, horizon=3), 1000, 2))


def test_subsampling_keeps_what_the_other_half_allows():
    truth = a_truth(3, horizon=2)
    model = a_log(truth, 40_000, 3)
    params = vi_lcb(subsample=True).params
    counts = np.zeros(truth.succ.shape)
    rng = random.stream(random.key(3), 0, random.AGENT)
    with np.errstate(over="ignore"):
        bernstein.trim(params, model, 0, rng, counts)
    met = model.n[0].sum(axis=1)
    expected = met / 2 - 10 * np.sqrt(met / 2 * math.log(2 * 6 / 0.1))
    kept = counts.sum(axis=(1, 2))
    slack = 5 * np.sqrt(met) / 2 + 1  # of a half, hypergeometric
    assert (np.abs(kept - np.maximum(expected, 0)) <= slack).all()
    assert kept.max() > 1000 and (counts <= model.counts[0]).all()
    few = a_log(truth, 500, 3)
    if not jit_disabled():  # discards all, so the most played action is left
        visited = few.n.sum(axis=2) > 0
        learned, copied = learn(vi_lcb(subsample=True), few), learn(bc(), few)
        np.testing.assert_array_equal(learned[visited], copied[visited])


@slow_in_plain_python
def test_pevi_adv():
    truth = a_truth(4, horizon=3)
    mu = np.broadcast_to(truth.legal / truth.legal.sum(), (3, 6, 3))
    problem = offline_mdp.logged(truth, mu, mdp.solve(truth).J)
    shrinking = gaps(pevi_adv(), problem, [300, 3000, 30_000, 300_000], 30).mean(axis=0)
    assert (np.diff(shrinking) <= 0).all() and shrinking[0] > 0
    assert shrinking[-1] < 0.02 * problem.params.optimum
    model = a_log(truth, 3000, 4)
    visited = model.n.sum(axis=2) > 0
    learned, copied = learn(pevi_adv(c=1e9), model), learn(bc(), model)
    np.testing.assert_array_equal(learned[visited], copied[visited])
    with pytest.raises(ValueError, match="^pevi_adv needs a finite horizon"):
        learn(pevi_adv(), a_log(a_truth(4), 100, 4))


# --- bandit rules, logs without rows, factories --------------------------------------------------


def test_a_bandit_rule_reads_the_rows_as_state_action_reward():
    model = a_log(a_truth(6), 60, 6, known=False)
    visited = model.n[0].sum(axis=1) > 0
    even = model.legal / model.legal.sum(axis=1, keepdims=True)
    copied = np.where(visited[:, None], rule_of(model.n[0], 0 * model.n[0], model.legal), even)
    np.testing.assert_allclose(learn(bc(), model)[0], copied)
    rows = model.n[0].sum(axis=1, keepdims=True)
    logged = np.where(rows > 0, model.n[0] / np.maximum(rows, 1), even)
    np.testing.assert_allclose(learn(behaviour(), model)[0], logged, atol=1e-15)
    expected = rule_of(np.where(model.n[0] > 0, model.r[0], 0.0), 0 * model.n[0], model.legal)
    np.testing.assert_allclose(learn(greedy_offline(), model)[0], expected)


def test_an_empty_log_gives_the_uniform_policy():
    truth = a_truth(7)
    model = new_model(
        truth.succ, truth.reward, np.zeros(truth.succ.shape), gamma=0.8, v_min=0, v_max=5,
        legal=truth.legal, allow_empty=True,
    )  # fmt: skip
    policy = learn(vi_lcb(), model)
    np.testing.assert_allclose(policy[0], truth.legal / truth.legal.sum(axis=1, keepdims=True))


MADE = [
    (vi_lcb, vi_lcb("paper", 2, 0.2, True)),
    (vi_lcb, vi_lcb("notebook")),
    (vi_lcb_hoeffding, vi_lcb_hoeffding("paper", 1, 0.5)),
    (vi_lcb_split, vi_lcb_split("paper", 1, 0)),
    (vi_ce, vi_ce("zero", "random")),
    (pevi_adv, pevi_adv(1, 0.5)),
]


@pytest.mark.parametrize(("make", "rule"), MADE)
def test_factories_take_their_own_parameters(make, rule):
    again = make(**rule.params._asdict())
    assert again == rule
    assert [type(v) for v in again.params] == [type(v) for v in make().params]


@pytest.mark.parametrize(
    ("make", "hyper", "line"),
    [
        (vi_lcb, {"mode": "literal"}, "mode must be one of practical, paper, notebook"),
        (vi_lcb, {"mode": 3}, "mode must be one of"),
        (vi_lcb, {"c_b": -0.5}, "c_b must be at least 0, got -0.5"),
        (vi_lcb, {"delta": 0.0}, "delta must lie strictly between 0 and 1"),
        (vi_lcb_hoeffding, {"mode": "notebook"}, "mode must be one of practical, paper"),
        (vi_lcb_hoeffding, {"delta": 1.0}, "delta must lie strictly between 0 and 1"),
        (vi_lcb_hoeffding, {"c": math.nan}, "c must be finite"),
        (vi_lcb_split, {"delta": 1.0}, r"delta must lie in \(0, 1\), or be 0 for 1 / N"),
        (vi_ce, {"unseen": "guess"}, "unseen must be one of uniform, zero, floor"),
        (vi_ce, {"ties": 7}, "ties must be one of even, random, first, got 7"),
        (pevi_adv, {"c": -1}, "c must be at least 0"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(make, hyper, line):
    with pytest.raises(ValueError, match=f"^{line}"):
        make(**hyper)


def test_plain_python_gives_the_same_bits():
    if jit_disabled():
        pytest.skip("this is the plain run")
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import numpy as np, test_vi_lcb as t\n"
        "lake = t.toytext('FrozenLake-v1', 0.6, 3.0)\n"
        "for make in (t.bc, t.vi_lcb, t.vi_lcb_hoeffding, t.vi_ce):\n"
        "    print(t.gaps(make(), lake, [200, 2000], 2).tobytes().hex())\n"
        "for seed in range(3):\n"
        "    for horizon in (0, 3):\n"
        "        model = t.a_log(t.a_truth(seed, horizon=horizon), 300, seed)\n"
        "        rules = (t.pevi_adv(),) if horizon else (t.vi_lcb_split('paper', 1e-3),)\n"
        "        for rule in (*rules, t.vi_ce('zero', 'random'), t.vi_lcb(subsample=True)):\n"
        "            print(t.learn(rule, model, seed).tobytes().hex())\n"
    )
    here = os.path.dirname(__file__)
    plain, compiled_run = (
        subprocess.run(
            [sys.executable, "-c", program, here],
            env={**os.environ, "NUMBA_DISABLE_JIT": flag},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for flag in ("1", "0")
    )
    assert plain == compiled_run
    assert len(set(plain.split())) > 8


# --- published and independent numbers ----------------------------------------------------------

# Means of 20 logs of an independent implementation, at N = 1e3, 1e4, 1e5, rounded to .001. Its
# vi_ce breaks ties by index and is not told that END is worth nothing.
LAKE = {
    (1.05, "bc"): (0.002, 0.002, 0.002),
    (1.05, "vi_ce"): (0.177, 0.157, 0.064),
    (1.05, "vi_lcb"): (0.002, 0.002, 0.000),
    (1.05, "hoeffding"): (0.002, 0.002, 0.002),
    (3.0, "bc"): (0.024, 0.006, 0.006),
    (3.0, "vi_ce"): (0.152, 0.079, 0.003),
    (3.0, "vi_lcb"): (0.024, 0.012, 0.001),
    (3.0, "hoeffding"): (0.024, 0.012, 0.007),
    (10.0, "bc"): (0.181, 0.181, 0.181),
    (10.0, "vi_ce"): (0.160, 0.053, 0.003),
    (10.0, "vi_lcb"): (0.181, 0.055, 0.003),
    (10.0, "hoeffding"): (0.181, 0.181, 0.181),
}
PLANNERS = {
    "bc": bc,
    "vi_ce": lambda: vi_ce(ties="first"),
    "vi_lcb": vi_lcb,
    "hoeffding": vi_lcb_hoeffding,
}


@slow_in_plain_python
@pytest.mark.parametrize("rule", PLANNERS)
def test_frozen_lake_agrees_with_the_reference_table(rule):
    for C in (1.05, 3.0, 10.0):
        problem = toytext("FrozenLake-v1", 0.95, C, known_end=rule != "vi_ce")
        gap = gaps(PLANNERS[rule](), problem, [1000, 10_000, 100_000], 500)
        assert (gap > -1e-9).all()
        # Both are means of independent logs: 500 here and 20 there, rounded to .001.
        error = gap.std(axis=0, ddof=1) * math.sqrt(1 / 500 + 1 / 20)
        difference = np.abs(gap.mean(axis=0) - LAKE[C, rule])
        assert (difference <= 3 * error + 0.0006).all(), (C, gap.mean(axis=0))


@slow_in_plain_python
def test_pessimism_is_no_worse_than_either_baseline():
    for C in (1.05, 3.0, 10.0):
        problem = toytext("FrozenLake-v1", 0.95, C)
        sizes = [30_000, 100_000]
        found = {k: gaps(make(), problem, sizes, 40).mean(axis=0) for k, make in PLANNERS.items()}
        # .02 is a tenth of J*
        assert (found["vi_lcb"] <= np.minimum(found["bc"], found["vi_ce"]) + 0.02).all(), C


@slow_in_plain_python
def test_cliff_walking_agrees_with_the_reference():
    problem = toytext("CliffWalking-v1", 0.9, 3.0)
    sizes = [1000, 3000]
    assert gaps(bc(), problem, sizes, 20) == pytest.approx(np.full((20, 2), 992.5), abs=0.1)
    assert gaps(vi_lcb(), problem, sizes, 20) == pytest.approx(np.zeros((20, 2)), abs=1e-8)
    # Now and then a log shows vi_ce a pair that it lacks in the others.
    assert np.median(gaps(vi_ce(), problem, sizes, 20), axis=0) == pytest.approx(2.54, abs=0.005)


# Means of 20 logs of the same independent implementation, at N = 1e5 and 1e6. Its vi_ce is not
# told the rewards.
TAXI = {
    (1.05, "bc"): (23.9, 11.1),
    (1.05, "vi_ce"): (21, 61),
    (1.05, "vi_lcb"): (0, 0),
    (3.0, "bc"): (201.7, 201.7),
    (3.0, "vi_ce"): (57, 0),
    (3.0, "vi_lcb"): (1.5, 0),
    (10.0, "bc"): (201.7, 201.7),
    (10.0, "vi_ce"): (55, 0),
    (10.0, "vi_lcb"): (79, 0),
}


@slow_in_plain_python
@pytest.mark.parametrize("rule", ["bc", "vi_ce", "vi_lcb"])
def test_taxi_agrees_with_the_reference_table(rule):
    for C in (1.05, 3.0, 10.0):
        other = rule == "vi_ce"
        problem = toytext("Taxi-v4", 0.95, C, known_rewards=not other, known_end=not other)
        gap = gaps(PLANNERS[rule](), problem, [100_000, 1_000_000], 20)
        error = gap.std(axis=0, ddof=1) * math.sqrt(2 / 20)
        rounding = 0.5 if rule == "vi_ce" or C == 10.0 else 0.05
        difference = np.abs(gap.mean(axis=0) - TAXI[C, rule])
        assert (difference <= 3 * error + rounding).all(), (C, gap.mean(axis=0))


@slow_in_plain_python
@pytest.mark.slow
def test_the_gambler_agrees_with_the_authors():
    sizes = np.array(SIZES)
    problem = gambler(quirks=True)
    both = ((vi_lcb("notebook"), AUTHORS_VI_LCB), (vi_ce(ties="first"), AUTHORS_VI))
    for rule, authors in both:
        gap = gaps(rule, problem, sizes, 10)
        mean, error = gap.mean(axis=0), gap.std(axis=0, ddof=1) / math.sqrt(10)
        # 10 seeds on both sides; their spread is taken to be ours.
        assert (np.abs(mean - authors) <= 4 * math.sqrt(2) * error + 5e-5).all(), mean
    slope = np.polyfit(
        np.log(sizes[2:]), np.log(gaps(both[0][0], problem, sizes, 10).mean(axis=0)[2:]), 1
    )
    assert slope[0] == pytest.approx(-0.52, abs=0.06)


@slow_in_plain_python
def test_the_clean_gambler_agrees_with_the_reference():
    problem = gambler()
    sizes = [20, 33, 54, 90, 148]
    table = (
        (vi_lcb("notebook"), (0.0503, 0.0218, 0.0116, 0.0070, 0.0056)),
        (vi_ce(), (0.1415, 0.1359, 0.1287, 0.1182, 0.0995)),
    )
    for rule, expected in table:
        gap = gaps(rule, problem, sizes, 10)
        error = gap.std(axis=0, ddof=1) / math.sqrt(10)
        difference = np.abs(gap.mean(axis=0) - expected)
        assert (difference <= 4 * math.sqrt(2) * error).all(), gap.mean(axis=0)


@slow_in_plain_python
def test_pure_imitation_loses_what_the_formula_says():
    for N in (1000, 10_000, 100_000):
        z, S, A, gamma = 1 / (N + 1), 12, 4, 0.9
        expected = (1 - 1 / A) * (S - 2) / (math.e * N * (1 - gamma) ** 2)
        problem = imitation_mdp(N)
        found = [gaps(rule, problem, [N], 300)[:, 0] for rule in (vi_lcb(), bc())]
        np.testing.assert_array_equal(*found)  # whatever the rule
        error = found[0].std(ddof=1) / math.sqrt(300)
        # The formula takes (1 - z)^N for 1 / e and a miss for the loss of everything after it.
        assert abs(found[0].mean() - expected) <= 3 * error + 12 * z * expected


@slow_in_plain_python
@pytest.mark.parametrize(("C", "w"), [(4.0, 1.0), (1.5, 0.5)])
def test_hard_replicas_show_the_rate(C, w):
    gamma = 0.9
    sizes = np.array([1000, 3000, 10_000, 30_000, 100_000])
    means = {}
    for name, rule in (("vi_lcb", vi_lcb()), ("bc", bc())):
        lost = [gaps(rule, hard_replicas(N=N, C=C), [N], 60)[:, 0] for N in sizes.tolist()]
        means[name] = np.array([g.mean() for g in lost])
        errors = np.array([g.std(ddof=1) for g in lost]) / math.sqrt(60)
        if name == "bc":
            # It errs where the other action is better, for C >= 2; below 2 it tosses a coin.
            delta = np.array([hard_replicas(N=N, C=C).params.delta for N in sizes.tolist()])
            cost = 0.5 * w * gamma**2 * delta / ((1 - gamma) * (4 - gamma**2))
            assert (np.abs(means["bc"] - cost) <= 3 * errors).all()
        slope = np.polyfit(np.log(sizes[2:]), np.log(means[name][2:]), 1)[0]
        assert -0.9 < slope < -0.4
    assert (means["vi_lcb"] <= means["bc"] + 1e-12).all()
    assert (means["vi_lcb"][2:] < 0.8 * means["bc"][2:]).all()


# --- dispatch -----------------------------------------------------------------------------------


def test_learn_finds_its_compiled_planner_again(monkeypatch):
    made = []
    monkeypatch.setattr(offline_mdp, "_ready", {})
    monkeypatch.setattr(
        offline_mdp, "compiled", lambda *given: made.append(given[1]) or compiled(*given)
    )
    model = a_log(a_truth(0), 100, 0)
    first = learn(vi_lcb(), model)
    np.testing.assert_array_equal(learn(vi_lcb(), model), first)
    timid = learn(vi_lcb(c_b=1e6), model)  # other numbers, the same machine code
    assert len(made) == 1 and not np.array_equal(timid, first)
    certain = learn(vi_ce(), model)  # another planner
    assert len(made) == 2
    np.testing.assert_array_equal(learn(vi_ce(), model), certain)
    np.testing.assert_array_equal(learn(vi_lcb(), model), first)
    sideways = model._replace(r=np.asfortranarray(model.r.repeat(2, 1))[:, ::2])  # another layout
    np.testing.assert_array_equal(learn(vi_lcb(), sideways), first)
    assert len(made) == 3


# --- a shift of all rewards ---------------------------------------------------------------------

# Not vi_ce(unseen="zero"), whose pairs without data are worth nothing after their reward, whatever
# rewards are like.
PHI = np.random.default_rng(0).uniform(size=(6, 3, 4))
FINITE = [
    vi_lcb(), vi_lcb(c_b=0.002), vi_lcb("paper"), vi_lcb("paper", c_b=0.002), vi_lcb("notebook"),
    vi_lcb(c_b=0.002, subsample=True), vi_lcb_hoeffding(), vi_lcb_hoeffding(c=1e-3),
    vi_lcb_hoeffding(c=1e-6), vi_lcb_hoeffding("paper", c=1e-3), vi_ce(), vi_ce("floor"), pevi(),
    pevi(beta=0.05, phi=PHI), pevi_adv(c=0.002), pevi_adv(c=0.02),
]  # fmt: skip
DISCOUNTED = [
    vi_lcb(), vi_lcb(c_b=0.002), vi_lcb("paper", c_b=0.002), vi_lcb_hoeffding(c=1e-6),
    vi_lcb_split(c=1e-6), vi_lcb_split("paper", c=1e-6), vi_ce(), vi_ce("floor"), pevi(beta=0.05),
]  # fmt: skip


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("planner", "horizon"),
    [*((p, 5) for p in FINITE), *((p, 0) for p in DISCOUNTED)],
    ids=lambda given: repr(given.params)[:60] if hasattr(given, "params") else f"H={given}",
)
def test_a_shift_of_all_rewards_changes_no_policy(planner, horizon, known):
    """Where no episode ends early, all policies gain or lose the same.

    As long as 0 stays among the rewards: planners know no narrower range.
    """
    if planner.params == vi_ce().params and not known:
        pytest.skip("what leads anywhere alike has the reward 0 where rewards are not known")
    steps = horizon or 5.0  # 1 / (1 - gamma)
    for seed, rows in ((3, 400), (4, 60), (5, 30), (6, 300)):
        truth = a_truth(seed, horizon=horizon, ends=0)
        model = a_log(truth, rows, seed, known)._replace(r_min=0.0, r_max=1.0, v_max=steps)
        policy = learn(planner, model)
        for c in (-1.0, -0.25):
            r = model.r + c if known else np.where(model.n > 0, model.r + c, 0.0)
            shifted = model._replace(
                reward=model.reward + c, r=r, r_min=c, r_max=1.0 + c,
                v_min=steps * c, v_max=steps * (1.0 + c),
            )  # fmt: skip
            np.testing.assert_array_equal(learn(planner, shifted), policy)
