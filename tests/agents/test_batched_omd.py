"""Batched mirror descent against closed forms, enumeration and a slow second implementation.

Expectations are compared within four standard errors, on fixed seeds; chi-square tests at 1e-4.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

import banditlab
from banditlab import random, registry
from banditlab.agents.switching import (
    batched_omd,
    extra_observations,
    hedge,
    shrinking_dartboard,
)
from banditlab.core import Task, kernel
from banditlab.parts import batches
from banditlab.parts.batches import Plan, begin
from banditlab.parts.batches import act_batch as act
from banditlab.parts.batches import look_batch as look
from banditlab.parts.batches import update_batch as update
from banditlab.protocols.observe import Losses

PLANS = {
    "full": batched_omd.full,
    "flex": batched_omd.flex,
    "bandit": batched_omd.bandit,
    "extra full": extra_observations.full,
    "extra flex": extra_observations.flex,
    "dartboard exp": shrinking_dartboard.exponential,
    "dartboard power": shrinking_dartboard.power,
    "hedge": hedge.redraw,
}


@kernel
def play(plan, task, table, free, key, arms, asked, final):
    """Play the losses of ``table`` and write down all arms, requests and final estimates."""
    K = task.n_arms
    x = np.zeros((1, 1))
    out, seen = np.zeros(K, np.bool_), np.full(K, np.nan)
    for r in range(arms.shape[0]):
        agent = random.stream(key, r, random.AGENT)
        looker = random.stream(key, r, random.OBSERVATION)
        state = begin(plan, task, agent)
        for t in range(task.horizon):
            arm = act(0, state, t, x, agent)
            look(0, state, t, arm, 0, looker, out)
            for k in range(K):
                seen[k] = table[t, k] if out[k] or (free and k == arm) else np.nan
                asked[r, t, k] = out[k]
                out[k] = False
            update(0, state, t, x, arm, seen, agent)
            arms[r, t] = arm
        for k in range(K):
            final[r, k] = state.losses[k]


def played(plan, table, replications, seed=1, free=False):
    """(arms, asked, final estimates) of ``replications`` plays."""
    table = np.ascontiguousarray(table, dtype=np.float64)
    T, K = table.shape
    plan = Plan(int(plan.sample), int(plan.n_batches), float(plan.eta), bool(plan.dartboard))
    arms = np.zeros((replications, T), np.int64)
    asked = np.zeros((replications, T, K), np.bool_)
    final = np.zeros((replications, K))
    play(plan, Task(K, 1, 0, T), table, free, random.key(seed), arms, asked, final)
    return arms, asked, final


def plan_of(kind, n_arms, horizon, budget=-1, price=1.0, **hyper):
    name = kind.split()[0]
    if name in ("full", "flex", "bandit"):
        hyper["feedback"], name = name, "batched_omd"
    elif name == "extra":
        hyper["feedback"], name = kind.split()[1], "extra_observations"
    elif name == "dartboard":
        hyper["form"], name = kind.split()[1], "shrinking_dartboard"
    params = banditlab.make(name, **hyper).params
    return PLANS[kind](params, Task(n_arms, 1, 0, horizon, budget, float(price)))


def close(sample, expected, errors=4.0):
    """Whether the mean of a sample lies within standard errors of ``expected``."""
    sample = np.asarray(sample, dtype=float)
    return abs(sample.mean() - expected) <= errors * sample.std(ddof=1) / math.sqrt(sample.size)


def switches_of(arms):
    return (np.diff(arms, axis=1) != 0).sum(axis=1)


def suffered_of(arms, table):
    return table[np.arange(table.shape[0]), arms].sum(axis=1)


# --- derived constants -------------------------------------------------------------------------


@pytest.mark.parametrize("n_arms, horizon, N", [(2, 2**10, 90), (2, 2**14, 571), (8, 2**14, 1307)])
def test_the_tuned_number_of_batches(n_arms, horizon, N):
    assert plan_of("bandit", n_arms, horizon).n_batches == N
    assert plan_of("extra full", n_arms, horizon, budget=1).n_batches == N


def test_learning_rates_by_hand():
    assert plan_of("bandit", 2, 2**14).eta == pytest.approx(0.034841, abs=5e-7)
    assert plan_of("full", 2, 2**14).eta == pytest.approx(0.0053108, abs=5e-8)
    assert plan_of("hedge", 2, 2**14).eta == pytest.approx(0.0053108, abs=5e-8)
    assert plan_of("dartboard exp", 2, 2**14).eta == pytest.approx(0.0053108, abs=5e-8)
    # The authors' form at eta = min(sqrt(ln K / T), 1/2), as an exponential rate.
    assert plan_of("dartboard power", 2, 100).eta == pytest.approx(
        -math.log(1 - math.sqrt(math.log(2) / 100)), rel=1e-14
    )
    assert plan_of("dartboard power", 8, 2).eta == pytest.approx(math.log(2), rel=1e-14)


@pytest.mark.parametrize("price", [0.0, 0.5, 1.0, 10.0, 100.0])
@pytest.mark.parametrize("budget", [7, 90, 512, 1500, 5000])
def test_plans_are_those_of_the_formulas(price, budget):
    K, T = 5, 1000
    tuned = T
    if price > 0:
        tuned = round((K * math.log(K) / 2) ** (1 / 3) * (T / price) ** (2 / 3))
    expected = {}
    for kind, m in (("full", K), ("flex", math.ceil(budget / T))):
        N = min(T, budget // m)
        eta = math.sqrt(m * math.log(K) / (N * (K / 2 + price * m * N / T)))
        expected[kind] = (m, N, pytest.approx(eta, rel=1e-13), True)
    for cap in (True, False):
        N = min(T, budget, max(1, tuned)) if cap else min(T, budget)
        eta = pytest.approx(math.sqrt(2 * math.log(K) / (K * N)), rel=1e-13)
        assert plan_of("bandit", K, T, budget, price, cap=cap) == (0, N, eta, False)
    for kind in ("full", "flex"):
        assert plan_of(kind, K, T, budget, price) == expected[kind]
        # Beyond T the free feedback is outnumbered whatever a switch costs.
        threshold = min(T, K ** (1 / 3) * (T / price) ** (2 / 3)) if price > 0 else T
        if budget <= threshold:
            N = min(T, max(1, tuned))
            eta = pytest.approx(math.sqrt(2 * math.log(K) / (K * N)), rel=1e-13)
            expected[kind] = (0, N, eta, False)
        assert plan_of(f"extra {kind}", K, T, budget, price) == expected[kind]


def test_what_is_given_is_not_derived():
    assert plan_of("full", 3, 100, n_batches=7, eta=0.25, dartboard=False) == (3, 7, 0.25, False)
    assert plan_of("bandit", 3, 100, n_batches=7, eta=0.25) == (0, 7, 0.25, False)
    assert plan_of("bandit", 3, 100, n_batches=7).eta == math.sqrt(2 * math.log(3) / 21)


def test_a_whole_budget_makes_flex_full():
    assert plan_of("flex", 4, 300, budget=1200) == plan_of("full", 4, 300, budget=1200)
    assert plan_of("flex", 4, 300, budget=1200)[:2] == (4, 300)


# --- laws --------------------------------------------------------------------------------------


def test_dartboard_by_hand():
    # eta = ln 2, losses (1, 0): p = (1/3, 2/3), reached from (1/2, 1/2) by a sixth of moves.
    plan = plan_of("full", 2, 2, eta=math.log(2))
    arms, _, _ = played(plan, [[1.0, 0.0], [0.0, 0.0]], 200_000)
    assert close(arms[:, 0] == 0, 1 / 2)
    assert close(arms[:, 1] == 0, 1 / 3)
    assert close(switches_of(arms), 1 / 6)


@pytest.mark.parametrize("kind", ["full", "dartboard power", "hedge"])
def test_the_arm_has_the_law_of_exponential_weights(kind):
    K, T = 4, 12
    table = np.random.default_rng(3).random((T, K))
    hyper = {} if kind == "full" else {"eta": 0.5}
    plan = plan_of(kind, K, T, **hyper)
    arms, _, _ = played(plan, table, 100_000)
    for t in (1, 5, T - 1):
        w = np.exp(-plan.eta * table[:t].sum(axis=0))
        counts = np.bincount(arms[:, t], minlength=K)
        assert stats.chisquare(counts, counts.sum() * w / w.sum()).pvalue > 1e-4


def test_the_power_form_is_the_authors():
    # w *= (1 - eta) ** loss with losses 0 and 1: after 3 against 1 losses, (1/2)^3 : 1/2.
    plan = plan_of("dartboard power", 2, 5, eta=0.5)
    arms, _, _ = played(plan, [[1, 0], [1, 1], [1, 0], [0, 0], [0, 0]], 50_000)
    assert close(arms[:, 4] == 0, 1 / 5)


def test_switches_under_constant_losses():
    T = 16384
    plan = plan_of("full", 2, T)
    arms, _, _ = played(plan, np.full((T, 2), 0.5), 400)
    expected = (T - 1) * (1 - math.exp(-plan.eta * 0.5)) / 2
    assert expected == pytest.approx(21.7, abs=0.05)
    assert close(switches_of(arms), expected)


def test_laziness_saves_switches_and_changes_no_law():
    # Both have the same p in every round; hedge moves from p to p by independent draws.
    table = np.random.default_rng(8).random((400, 4))
    lazy, _, _ = played(plan_of("dartboard exp", 4, 400), table, 2000)
    drawn, _, _ = played(plan_of("hedge", 4, 400), table, 2000, seed=2)
    p = np.exp(-plan_of("hedge", 4, 400).eta * np.vstack([np.zeros(4), table]).cumsum(axis=0))
    p /= p.sum(axis=1, keepdims=True)
    expected = (p[:400] * table).sum()
    assert close(suffered_of(lazy, table), expected)
    assert close(suffered_of(drawn, table), expected)
    assert close(switches_of(drawn), (1 - (p[:399] * p[1:400]).sum(axis=1)).sum())
    assert switches_of(lazy).mean() < switches_of(drawn).mean() / 10


def test_adding_a_sequence_to_all_arms_leaves_hedge_alone():
    rng = np.random.default_rng(4)
    table = rng.integers(0, 32, (200, 3)) / 64  # dyadic, so that the shift is exact
    shift = rng.integers(0, 32, (200, 1)) / 64
    plan = plan_of("hedge", 3, 200)
    assert np.array_equal(played(plan, table, 50)[0], played(plan, table + shift, 50)[0])


def test_flex_on_a_whole_budget_plays_as_full():
    table = np.random.default_rng(6).random((150, 4))
    flex, _, _ = played(plan_of("flex", 4, 150, budget=600), table, 50)
    full, _, _ = played(plan_of("full", 4, 150), table, 50)
    assert np.array_equal(flex, full)


# --- estimates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, m", [("full", 4), ("flex", 1), ("flex", 3)])
def test_sampled_estimates_are_unbiased(kind, m):
    """By enumeration of the round and the arms observed, in a batch of 3 among some of 4 rounds."""
    K, T, N = 4, 14, 4  # batches begin in 0, 3, 7, 10
    table = np.random.default_rng(1).random((T, K))
    rng = random.stream(random.key(1), 0, random.AGENT)
    plan = Plan(m, N, 0.1, True)
    looks = [
        (u, deck)
        for u in range(3)
        for deck in (itertools.permutations(range(K)) if m < K else [range(K)])
    ]
    total = np.zeros(K)
    for u, deck in looks:
        state = begin(plan, Task(K, 1, 0, T), rng)
        assert (state.clock[batches.FIRST], state.clock[batches.LAST]) == (0, 2)
        state.clock[batches.LOOK] = u
        state.deck[:] = deck
        seen = np.full(K, np.nan)
        seen[state.deck[:m]] = table[u, state.deck[:m]]
        update(0, state, u, np.zeros((1, 1)), int(state.clock[batches.ARM]), seen, rng)
        total += state.losses
    mean = 3 / 4 * table[:3].mean(axis=0)  # a batch of 3 counts 3/4 of the longest
    np.testing.assert_allclose(total / len(looks), mean, rtol=1e-12)


def test_bandit_estimates_are_unbiased():
    """By enumeration of the arm played, after two batches that made the probabilities uneven."""
    K, T = 3, 3
    table = np.random.default_rng(2).random((T, K))
    plan = Plan(0, T, 1.5, False)
    arms, _, final = played(plan, table, 4000)
    # One path for each history of arms; p follows from the losses of that history.
    total = np.zeros((K, K, K))
    for first, second in itertools.product(range(K), repeat=2):
        L = np.zeros(K)
        L[first] += table[0, first] * K
        p = np.exp(-plan.eta * L) / np.exp(-plan.eta * L).sum()
        L[second] += table[1, second] / p[second]
        q = np.exp(-plan.eta * L) / np.exp(-plan.eta * L).sum()
        for third in range(K):
            path = (arms == [first, second, third]).all(axis=1)
            if path.any():
                added = final[path][0] - L
                total[first, second] += q[third] * added
                expected = np.where(np.arange(K) == third, table[2] / q, 0.0)
                np.testing.assert_allclose(added, expected, atol=1e-12)
    np.testing.assert_allclose(total[0, 1], table[2], atol=1e-12)


def test_look_draws_round_and_arms_evenly_in_every_batch():
    K, T, N, m = 4, 6, 2, 2
    _, asked, _ = played(Plan(m, N, 0.1, True), np.full((T, K), 0.5), 30_000)
    cells = np.zeros(30_000, np.int64)
    for batch in (asked[:, :3], asked[:, 3:]):
        rounds = batch.any(axis=2)
        assert (rounds.sum(axis=1) == 1).all()
        arms = batch.sum(axis=1) @ (1 << np.arange(K))
        cells = cells * 64 + rounds.argmax(axis=1) * 16 + arms
    _, counts = np.unique(cells, return_counts=True)
    assert counts.size == (3 * math.comb(K, m)) ** 2
    assert stats.chisquare(counts).pvalue > 1e-4


def test_the_dartboard_biases_bandit_estimates():
    # eta = ln 2, losses (1, 0). Whoever plays arm 1 first estimates 0 and keeps it for certain,
    # so that arm 0 is never observed; by independent draws its estimate has the mean 1.
    table = [[1.0, 0.0]] * 2
    means = {}
    for dartboard in (True, False):
        plan = plan_of(
            "bandit", 2, 2, n_batches=2, eta=math.log(2), dartboard=dartboard, unsafe=True
        )
        arms, _, final = played(plan, table, 40_000)
        means[dartboard] = final[arms[:, 0] == 1, 0]
    assert (means[True] == 0.0).all()
    assert close(means[False], 1.0)


# --- a second implementation -------------------------------------------------------------------


def reference(feedback, table, N, eta, m, rng):
    """The spec, line by line: the arms of one play."""
    T, K = table.shape
    starts = [b * T // N for b in range(N + 1)]
    longest = math.ceil(T / N)
    L = np.zeros(K)
    p = np.full(K, 1 / K)
    arm = rng.integers(K)
    arms = []
    for first, end in itertools.pairwise(starts):
        u = rng.integers(first, end)
        arms += [arm] * (end - first)
        estimate = np.zeros(K)
        if feedback == "bandit":
            estimate[arm] = table[u, arm] / p[arm]
        else:
            chosen = rng.permutation(K)[:m]
            estimate[chosen] = K / m * table[u, chosen]
        estimate *= (end - first) / longest
        L += estimate
        p = np.exp(-eta * (L - L.min()))
        p /= p.sum()
        if feedback != "bandit" and rng.random() < math.exp(-eta * estimate[arm]):
            continue
        arm = min(np.searchsorted(p.cumsum(), rng.random(), side="right"), K - 1)
    return arms


@pytest.mark.parametrize("price", [1.0, 10.0])
@pytest.mark.parametrize(
    "feedback, budget", [("full", 36), ("full", 160), ("flex", 70), ("flex", 17), ("bandit", 13)]
)
def test_law_of_a_second_implementation(feedback, budget, price):
    """Mean loss, mean switches and the arm in the end; 40 rounds in 9, 40, 35, 17 or 13 batches."""
    T, K, R = 40, 4, 2000
    rng = np.random.default_rng(5)
    table = np.clip(rng.random((T, K)) * 0.6 + np.array([0.0, 0.1, 0.3, 0.4]), 0, 1)
    plan = plan_of(feedback, K, T, budget, price)
    second = np.array(
        [reference(feedback, table, plan.n_batches, plan.eta, plan.sample, rng) for _ in range(R)]
    )
    arms, _, _ = played(plan, table, 20_000)
    for statistic in (switches_of, lambda a: suffered_of(a, table)):
        ours, theirs = statistic(arms), statistic(second)
        error = math.hypot(ours.std() / math.sqrt(ours.size), theirs.std() / math.sqrt(R))
        assert abs(ours.mean() - theirs.mean()) <= 4 * error
    counts = np.array([np.bincount(a[:, -1], minlength=K) for a in (arms, second)])
    assert stats.chi2_contingency(counts).pvalue > 1e-4


def test_batches_begin_where_they_should():
    for T, N in ((40, 9), (40, 40), (41, 40), (7, 1), (100, 64)):
        _, asked, _ = played(Plan(2, N, 0.0, True), np.zeros((T, 2)), 200)
        starts = [b * T // N for b in range(N + 1)]
        rounds = asked.any(axis=2)
        for first, end in itertools.pairwise(starts):
            assert (rounds[:, first:end].sum(axis=1) == 1).all()
            assert rounds[:, first].any() and rounds[:, end - 1].any()


# --- bounds ------------------------------------------------------------------------------------


def bound(plan, n_arms, horizon, price):
    """Of regret with switches; batches may differ in length."""
    N, K, longest = plan.n_batches, n_arms, math.ceil(horizon / plan.n_batches)
    start = longest * math.log(K) / plan.eta
    if plan.sample == 0:
        return start + plan.eta * longest * K * N / 2 + price * (N - 1)
    return start + plan.eta * N * (longest * K / (2 * plan.sample) + price)


def instances(T, K):
    rng = np.random.default_rng(11)
    t = np.arange(T)[:, None]
    walk = 0.5 + 0.02 * rng.standard_normal((T, 1)).cumsum(axis=0)
    best = np.arange(K) == K - 1
    return {
        "gap": np.where(best, 0.3, 0.5) * np.ones((T, 1)),
        "bernoulli": (rng.random((T, K)) < np.where(best, 0.4, 0.5)).astype(float),
        "alternating": (t % K == np.arange(K)).astype(float),
        "walk": np.clip(walk - 0.1 * best, 0, 1),
        "turning": np.where(t < T // 2, ~best, best).astype(float),
    }


@pytest.mark.parametrize("price", [0.0, 1.0, 10.0])
@pytest.mark.parametrize(
    "kind, budget", [("full", 512), ("full", -1), ("flex", 300), ("flex", 1000), ("bandit", -1)]
)
def test_regret_stays_below_its_bound(kind, budget, price):
    T = 520
    for K in (2, 8):
        plan = plan_of(kind, K, T, budget, price)
        for name, table in instances(T, K).items():
            arms, _, _ = played(plan, table, 200)
            lost = suffered_of(arms, table) - table.sum(axis=0).min()
            total = lost + price * switches_of(arms)
            upper = total.mean() + 3 * total.std() / math.sqrt(total.size)
            assert upper <= bound(plan, K, T, price), (name, K)
            if plan.sample > 0:
                assert switches_of(arms).mean() <= plan.eta * plan.n_batches, (name, K)


# --- in the arena ------------------------------------------------------------------------------


def simulate(agent, horizon, replications, checkpoints=None, **problem):
    spec = {
        "protocol": "observe",
        "horizon": horizon,
        "replications": replications,
        "seed": 1,
        "problem": {"name": "deterministic_gap", **problem},
        "agents": [{**agent, "label": "agent"}],
    }
    return banditlab.simulate(spec)


def last(curves, measure):
    return curves.raw("agent", measure)[:, -1]


@pytest.mark.parametrize("T, N", [(2000, 2000), (2000, 200)])
def test_loss_regret_in_closed_form(T, N):
    K, gap = 5, 0.1
    curves = simulate({"name": "batched_omd", "n_batches": N}, T, 2000, n_arms=K, gap=gap)
    w = (K - 1) * np.exp(-plan_of("full", K, T, n_batches=N).eta * gap * np.arange(N))
    expected = T / N * (gap * w / (1 + w)).sum()
    if N == T:
        assert expected == pytest.approx(67.88, abs=0.005)
    assert close(last(curves, "loss_regret"), expected)


@pytest.mark.parametrize(
    "agent, budget, N, each",
    [
        ({"feedback": "full"}, 500, 100, 5),
        ({"feedback": "full"}, 503, 100, 5),
        ({"feedback": "full"}, None, 600, 5),
        ({"feedback": "flex"}, 500, 500, 1),
        ({"feedback": "flex"}, 1303, 434, 3),
        ({"feedback": "bandit"}, 50, 50, 1),
        ({"feedback": "bandit"}, None, 113, 1),
        ({"feedback": "bandit", "cap": False}, None, 600, 1),
        ({"feedback": "flex", "n_batches": 77}, 1303, 77, 3),
    ],
)
def test_accounting(agent, budget, N, each):
    K, T = 5, 600
    curves = simulate({"name": "batched_omd", **agent}, T, 40, n_arms=K, gap=0.1, budget=budget)
    observations = curves.raw("agent", "observations")
    assert (observations[:, -1] == N * each).all()
    assert observations.max() <= (budget or T * K)
    assert (curves.raw("agent", "denied") == 0).all()
    # The arena's switches are the changes in the trace of arms that the same streams give.
    hyper = {k: v for k, v in agent.items() if k != "feedback"}
    plan = plan_of(agent["feedback"], K, T, -1 if budget is None else budget, **hyper)
    table = np.full((T, K), 0.5)
    table[:, 0] = 0.5 - 0.1
    arms, asked, _ = played(plan, table, 40)
    assert np.array_equal(last(curves, "switches"), switches_of(arms))
    assert (asked.sum(axis=(1, 2)) == N * each).all()


@pytest.mark.parametrize("budget, N, each", [(40, 113, 0), (121, 113, 0), (122, 24, 4)])
def test_extra_observations_from_the_threshold_on(budget, N, each):
    # K^(1/3) T^(2/3) = 121.6 for K = 5 and T = 600.
    agent = {"name": "extra_observations"}
    curves = simulate(agent, 600, 40, n_arms=5, gap=0.1, budget=budget, extra=True)
    assert (last(curves, "observations") == N * each).all()
    assert (last(curves, "denied") == 0).all()
    table = np.full((600, 5), 0.5)
    table[:, 0] = 0.5 - 0.1
    plan = plan_of("extra full", 5, 600, budget)
    assert plan.n_batches == N
    # What is shown for free beyond what is asked for changes nothing.
    for free in (True, False):
        arms, _, _ = played(plan, table, 40, free=free)
        assert np.array_equal(last(curves, "switches"), switches_of(arms))


def test_free_losses_do_not_bias_flex():
    table = np.random.default_rng(7).random((60, 4))
    plan = plan_of("extra flex", 4, 60, 120)
    assert plan.sample == 2
    assert np.array_equal(
        played(plan, table, 50, free=True)[0], played(plan, table, 50, free=False)[0]
    )


@pytest.mark.parametrize("kind", ["dartboard exp", "dartboard power", "hedge", "extra flex"])
def test_agents_play_their_plan(kind):
    names = {"hedge": "hedge", "extra flex": "extra_observations"}
    agent = {"name": names.get(kind, "shrinking_dartboard")}
    if kind != "hedge":
        agent["feedback" if kind == "extra flex" else "form"] = kind.split()[1]
    terms = {"extra": True, "budget": 600} if kind == "extra flex" else {}
    curves = simulate(agent, 300, 30, n_arms=3, gap=0.2, best=1, **terms)
    table = np.full((300, 3), 0.5)
    table[:, 1] = 0.5 - 0.2
    arms, _, _ = played(plan_of(kind, 3, 300, terms.get("budget", -1)), table, 30)
    assert np.array_equal(last(curves, "switches"), switches_of(arms))
    lost = suffered_of(arms, table) - table[:, 1].sum()
    np.testing.assert_allclose(last(curves, "loss_regret"), lost, atol=1e-9)


def observed_problems():
    for name in registry.problem_names():
        made = registry.factory("problem", name)
        example = getattr(__import__(made.__module__, fromlist=["example"]), "example", {})
        try:
            if isinstance(registry.make_problem(name, **example), Losses):
                yield name, example
        except ValueError:  # a problem that needs a file
            continue


@pytest.mark.slow
def test_regret_stays_below_its_bound_on_every_problem():
    T = 2000
    for name, example in observed_problems():
        problem = registry.make_problem(name, **example)
        K = problem.shape[0]
        if problem.budget >= 0 or problem.extra or 0 < problem.supply < T:
            continue
        for kind in ("full", "flex", "bandit"):
            for budget in (600, None):
                agent = {"name": "batched_omd", "feedback": kind, "label": "agent"}
                spec = {"name": name, **example, "budget": budget}
                curves = banditlab.simulate(
                    {
                        "protocol": "observe",
                        "horizon": T,
                        "replications": 100,
                        "seed": 1,
                        "problem": spec,
                        "agents": [agent],
                    }
                )
                total = last(curves, "regret")
                plan = plan_of(kind, K, T, -1 if budget is None else budget, problem.price)
                upper = total.mean() + 3 * total.std() / math.sqrt(total.size)
                assert upper <= bound(plan, K, T, problem.price), (name, kind, budget)


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, hyper",
    [
        ("batched_omd", {"feedback": "bandit", "n_batches": 5, "eta": 0.1, "cap": False}),
        ("batched_omd", {"feedback": "bandit", "dartboard": True, "unsafe": True}),
        ("batched_omd", {"feedback": "flex", "dartboard": False}),
        ("extra_observations", {"feedback": "flex", "eta": 0.1}),
        ("shrinking_dartboard", {"form": "power", "eta": 0.1}),
        ("hedge", {"eta": 0.1}),
    ],
)
def test_factory_rebuilds_from_params(name, hyper):
    made = banditlab.make(name, **hyper)
    assert banditlab.make(name, **made.params._asdict()) == made
    assert made.rewards == (0.0, 1.0)


def test_the_dartboard_is_the_default_where_it_is_valid():
    for feedback in ("full", "flex", "bandit"):
        params = banditlab.make("batched_omd", feedback=feedback).params
        assert params.dartboard == (feedback != "bandit")


@pytest.mark.parametrize(
    "name, hyper",
    [
        ("batched_omd", {"feedback": "some"}),
        ("batched_omd", {"n_batches": -1}),
        ("batched_omd", {"n_batches": 1.5}),
        ("batched_omd", {"eta": -0.1}),
        ("batched_omd", {"eta": math.nan}),
        ("batched_omd", {"eta": math.inf}),
        ("batched_omd", {"dartboard": True, "feedback": "bandit"}),
        ("extra_observations", {"feedback": "bandit"}),
        ("extra_observations", {"eta": -1}),
        ("shrinking_dartboard", {"eta": -1}),
        ("shrinking_dartboard", {"eta": 1.0, "form": "power"}),
        ("shrinking_dartboard", {"form": "half"}),
        ("hedge", {"eta": -1}),
    ],
)
def test_factory_refuses(name, hyper):
    with pytest.raises(ValueError, match=f"^{name}: {next(iter(hyper))} must .*got") as error:
        banditlab.make(name, **hyper)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "agent, terms, complaint",
    [
        ({"name": "batched_omd"}, {"budget": 0}, "needs a budget of 1 to 200"),
        ({"name": "batched_omd"}, {"budget": 3}, "budget of at least 4"),
        ({"name": "batched_omd"}, {"budget": 201}, "at most"),
        ({"name": "batched_omd", "n_batches": 51}, {}, "n_batches must be at most 50"),
        ({"name": "batched_omd", "n_batches": 11}, {"budget": 43}, "at most 10"),
        ({"name": "batched_omd", "feedback": "flex", "n_batches": 34}, {"budget": 66}, "most 33"),
        ({"name": "batched_omd", "feedback": "bandit", "n_batches": 8}, {"budget": 7}, "at most 7"),
        ({"name": "shrinking_dartboard"}, {"budget": 199}, "needs a budget of 200"),
        ({"name": "hedge"}, {"budget": 199}, "needs a budget of 200"),
        ({"name": "extra_observations"}, {"budget": 50}, "extra=True"),
        ({"name": "extra_observations"}, {"budget": 0, "extra": True}, "needs a budget of 1"),
        ({"name": "extra_observations"}, {"budget": 201, "extra": True}, "at most"),
    ],
)
def test_tasks_are_refused_in_one_line(agent, terms, complaint):
    with pytest.raises(ValueError, match=complaint) as error:
        simulate(agent, 50, 1, n_arms=4, gap=0.1, **terms)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["batched_omd", "shrinking_dartboard", "hedge", "extra_observations"]
)
def test_a_task_without_horizon_or_choice_is_refused(name):
    check = banditlab.make(name).check
    problem = registry.make_problem("deterministic_gap", n_arms=3, gap=0.1, extra=True)
    check(Task(3, horizon=10), problem)
    with pytest.raises(ValueError, match="known horizon"):
        check(Task(3), problem)
    with pytest.raises(ValueError, match="at least 2 arms"):
        check(Task(1, horizon=10), problem)


def test_many_arms_need_many_observations():
    # 100^(1/3) 10^(2/3) = 21.5 observations count as many, but are no batch of full feedback.
    problem = registry.make_problem("deterministic_gap", n_arms=100, gap=0.1, extra=True)
    task = Task(100, horizon=10, budget=50)
    banditlab.make("extra_observations", feedback="flex").check(task, problem)
    with pytest.raises(ValueError, match="at least 100"):
        banditlab.make("extra_observations").check(task, problem)
