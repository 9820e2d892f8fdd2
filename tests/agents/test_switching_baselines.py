"""Baselines of switching costs: traces of second implementations, closed forms, accounting."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import brentq

import banditlab
from banditlab import random
from banditlab.agents.adversarial import tsallis_inf
from banditlab.agents.switching import batched_exp3, switch_tsallis_switch, tsallis_switch
from banditlab.core import Task, jit_disabled
from banditlab.parts import blocks

SEED = 11
FULL = ("ftpl", "lazy_leader")
BANDIT = ("batched_exp3", "tsallis_switch", "switch_tsallis_switch")
compiled_only = pytest.mark.skipif(jit_disabled(), reason="simulates many rounds")


# --- factories ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, hyper",
    [
        ("blocked", {}),
        ("blocked", {"base": "tsallis_inf", "tau": 7, "base_hyper": {"reduced_variance": 1}}),
        ("blocked", {"base": "exp3_ix", "feed": "sum", "base_hyper": {"eta": 0.1}}),
        ("batched_exp3", {"tau": 5, "eta": 0.5}),
        ("batched_exp3", {"tau": "arora"}),
        ("tsallis_switch", {}),
        ("switch_tsallis_switch", {}),
        ("ftpl", {"eta": 0.1}),
        ("lazy_leader", {"eta": 0.1}),
    ],
)
def test_factory_rebuilds_from_params(name, hyper):
    made = banditlab.make(name, **hyper)
    assert banditlab.make(name, **made.params._asdict()) == made
    for key, value in hyper.items():
        kept = getattr(made.params, key)
        assert (kept._asdict() if key == "base_hyper" else kept) == value


@pytest.mark.parametrize(
    "name, hyper, said",
    [
        ("blocked", {"base": "exp4"}, "unknown agent 'exp4'"),
        ("blocked", {"base": "never_switch"}, "base must be an online algorithm"),
        ("blocked", {"base": "linucb"}, "base must be an online algorithm without features"),
        ("blocked", {"tau": -1}, "tau must be at least 0"),
        ("blocked", {"tau": 1.5}, "tau must be an integer"),
        ("blocked", {"feed": "last"}, "feed must be one of mean, sum"),
        ("blocked", {"base_hyper": {"rate": 1.0}}, "exp3: unknown argument 'rate'"),
        ("blocked", {"base_hyper": {"eta": -1.0}}, "exp3: eta must be at least 0"),
        ("batched_exp3", {"tau": "best"}, "tau must be an integer of at least 0 or 'arora'"),
        ("batched_exp3", {"tau": -3}, "tau must be at least 0"),
        ("batched_exp3", {"eta": math.nan}, "eta must be finite"),
        ("ftpl", {"eta": -0.1}, "eta must be at least 0"),
        ("lazy_leader", {"eta": math.inf}, "eta must be finite"),
    ],
)
def test_factory_refuses(name, hyper, said):
    with pytest.raises(ValueError, match=f"^{name}: {said}") as caught:
        banditlab.make(name, **hyper)
    assert "\n" not in str(caught.value)


# --- block lengths and rates --------------------------------------------------------------------


def tuned(n_arms, horizon, price=1.0):
    return blocks.given_or_tuned(
        banditlab.make("blocked").params, Task(n_arms, 1, 0, horizon, -1, price)
    )


def test_tuned_blocks_by_hand():
    assert tuned(8, 65536) == 20  # (2 * 65536 / (8 ln 8))^(1/3) = 19.90
    assert tuned(2, 2**14) == 29  # T / N* = 2^14 / 571
    assert tuned(2, 2**10) == 11  # 2^10 / 90
    assert tuned(8, 2**14) == 13  # 2^14 / 1307 = 12.54
    assert tuned(8, 65536, price=8.0) == 80  # 8^(2/3) = 4 times 19.90
    assert tuned(8, 65536, price=0.0) == 1
    assert tuned(2, 100, price=1e12) == 100  # one block: no switch is worth it
    assert tuned(2, 0) == 1  # the horizon is unknown
    assert blocks.given_or_tuned(banditlab.make("blocked", tau=3).params, Task(2)) == 3


@pytest.mark.parametrize("n_arms, horizon, price", [(2, 2**14, 1.0), (8, 2**14, 5.0)])
def test_tuned_blocks_minimise_the_guarantee(n_arms, horizon, price):
    """T sqrt(2 K ln K / N) + lam N over all N, by search."""
    N = np.arange(1, horizon + 1)
    bound = horizon * np.sqrt(2 * n_arms * math.log(n_arms) / N) + price * N
    best = N[bound.argmin()]
    assert tuned(n_arms, horizon, price) == max(1, round(horizon / best))


def test_arora_blocks_by_hand():
    params = banditlab.make("batched_exp3", tau="arora").params
    for price in (1.0, 9.0):  # (65536 / (56 ln 8))^(1/3) = 8.257, whatever the price
        assert batched_exp3.arora_length(params, Task(8, 1, 0, 65536, -1, price)) == 8
    assert batched_exp3.arora_length(params, Task(8, 1, 0, 1)) == 1


def test_tsallis_switch_blocks_by_hand():
    a = [tsallis_switch.wanted(2.0, 4, n) for n in (1, 2, 4, 16)]
    assert a == pytest.approx([1.5, 1.5 * math.sqrt(2), 3.0, 6.0], rel=1e-15)
    assert [tsallis_switch.length(x) for x in a] == [2, 3, 3, 6]
    assert [tsallis_switch.length(tsallis_switch.wanted(0.0, 4, n)) for n in (1, 99)] == [1, 1]
    assert tsallis_switch.rate(3.0, 4) == pytest.approx(math.sqrt(2) / 4, rel=1e-15)


def test_tsallis_switch_has_about_as_many_blocks_as_switches_are_worth():
    """The lengths sum to lam n^(3/2) / sqrt(K), so T rounds hold K^(1/3) (T / lam)^(2/3) blocks."""
    for price, n_arms in ((1.0, 8), (5.0, 3)):
        n, rounds = 0, 0
        while rounds < 10**6:
            n += 1
            rounds += tsallis_switch.length(tsallis_switch.wanted(price, n_arms, n))
        assert n == pytest.approx(n_arms ** (1 / 3) * (1e6 / price) ** (2 / 3), rel=0.04)


def test_switch_tsallis_switch_by_hand():
    for price, switches, rounds in ((1.0, 400.0, 20), (8.0, 100.0, 80)):  # K = 1 helps the hand
        task = Task(1, 1, 0, 8000, -1, price)
        assert switch_tsallis_switch.switches_allowed(task) == pytest.approx(switches, rel=1e-12)
        assert switch_tsallis_switch.long_block(task) == rounds
    task = Task(8, 1, 0, 65536)
    assert switch_tsallis_switch.switches_allowed(task) == pytest.approx(3250.99, abs=0.01)
    assert switch_tsallis_switch.long_block(task) == 21  # 8192^(1/3) = 20.16
    free = Task(2, 1, 0, 100, -1, 0.0)
    assert switch_tsallis_switch.switches_allowed(free) == math.inf
    assert switch_tsallis_switch.long_block(free) == 1


@pytest.mark.parametrize(
    "eta, losses, wanted",
    [
        (2.0, [0.0, 1.0], [0.780048, 0.219952]),
        (1.0, [0.0, 1.0], [0.664583, 0.335417]),
        (0.5, [0.0, 3.0, 3.0], [0.547253, 0.226374, 0.226374]),
        (0.7, [5.0, 5.0, 5.0, 5.0], [0.25, 0.25, 0.25, 0.25]),
    ],
)
def test_tsallis_weights(eta, losses, wanted):
    """Oracle 7.9, to the digits given."""
    out = np.empty(len(losses))
    tsallis_inf.weigh(eta, np.array([losses]), 0, out[None])
    assert out == pytest.approx(wanted, abs=6e-7)


# --- traces of a second implementation ----------------------------------------------------------
# Each draws from a stream like the agent's own, so that arms must agree round for round.


def drawn(rng, p):
    """The arm at a uniform number's place in the cumulated probabilities."""
    return int(np.searchsorted(np.cumsum(p), random.uniform(rng) * p.sum(), side="right"))


def softmax(eta, L):
    w = np.exp(-eta * (L - L.min()))
    return w / w.sum()


def tsallis(eta, L):
    low, high = L.min() - 2 * math.sqrt(L.size) / eta - 1, L.min() - 1e-9
    x = brentq(lambda x: np.sum(4 / (eta * (L - x)) ** 2) - 1, low, high, xtol=1e-14)
    return 4 / (eta * (L - x)) ** 2


def slow_batched_exp3(table, price, rng, tau=0):
    T, K = table.shape
    N_star = (T / price) ** (2 / 3) * (K * math.log(K) / 2) ** (1 / 3)
    if tau == "arora":
        tau = max(1, round((T / (7 * K * math.log(K))) ** (1 / 3)))
    tau = tau or max(1, round(T / N_star))
    N = math.ceil(T / tau)
    eta = math.sqrt(2 * math.log(K) / (K * N))
    L, arms = np.zeros(K), []
    for b in range(N):
        p = softmax(eta, L)
        A = drawn(rng, p)
        block = table[b * tau : (b + 1) * tau, A]
        L[A] += block.mean() / p[A]
        arms += [A] * block.size
    return arms


def slow_tsallis_switch(table, price, rng):
    T, K = table.shape
    L, arms, n, A = np.zeros(K), [], 0, 0
    while len(arms) < T:
        n += 1
        a = 1.5 * price * math.sqrt(n / K)
        w = tsallis(2 * math.sqrt(2) / ((a + 1) * math.sqrt(n)), L)
        A = drawn(rng, w)
        block = table[len(arms) : len(arms) + max(1, math.ceil(a)), A]
        L[A] += block.sum() / w[A]
        arms += [A] * block.size
    return arms


def slow_switch_tsallis_switch(table, price, rng):
    T, K = table.shape
    limit = (K * (T / price) ** 2) ** (1 / 3)
    L, arms, n, tau = np.zeros(K), [], 0, 1
    while len(arms) < T:
        if tau == 1 and np.count_nonzero(np.diff(arms)) >= limit:
            L, n, tau = np.zeros(K), 0, math.ceil((T * price**2 / K) ** (1 / 3))
        n += 1
        w = tsallis(2 / math.sqrt(n), L)
        A = drawn(rng, w)
        block = table[len(arms) : len(arms) + tau, A]
        L[A] += block.mean() / w[A]
        arms += [A] * block.size
    assert tau > 1, "the second phase was never reached"
    return arms


def slow_ftpl(table, price, rng):
    T, K = table.shape
    eta = math.sqrt((1 + math.log(K)) / ((1 + price) * T))
    Z = np.array([random.exponential(rng) for _ in range(K)]) / eta
    before = np.vstack([np.zeros(K), np.cumsum(table, axis=0)[:-1]])
    return (before - Z).argmin(axis=1).tolist()


def slow_lazy_leader(table, price, rng):
    T, K = table.shape
    e = math.sqrt(2 / (K * T))
    o = np.array([random.uniform(rng) for _ in range(K)]) / e
    before = np.vstack([np.zeros(K), np.cumsum(table, axis=0)[:-1]])
    g = o + np.ceil((before - o) * e) / e
    assert np.all((g >= before - 1e-9) & (g < before + 1 / e + 1e-9))
    return g.argmin(axis=1).tolist()


def trace(name, table, price=1.0, budget=None, **hyper):
    """The arms of an agent on a table of losses, and the agent afterwards."""
    T, K = table.shape
    agent = banditlab.Agent(
        name, n_arms=K, horizon=T, price=price, budget=budget, seed=SEED, **hyper
    )
    arms = []
    for losses in table:
        arm = agent.act()
        asked = agent.look(arm)
        if agent._left < asked.sum():
            asked[:] = False
        agent.update(None, arm, np.where(asked, losses, np.nan))
        arms.append(arm)
    return arms, agent


def some_losses(T, K, seed=3):
    """Arms that take turns at being the best, in eighths so that sums are exact."""
    rng = np.random.default_rng(seed)
    means = 0.3 + 0.4 * (np.arange(K) != (np.arange(T) * 3 // T % K)[:, None])
    return np.round(8 * rng.beta(4 * means, 4 * (1 - means))) / 8


@pytest.mark.parametrize(
    "name, slow, hyper, price",
    [
        ("batched_exp3", slow_batched_exp3, {}, 1.0),
        ("batched_exp3", slow_batched_exp3, {}, 0.2),
        ("batched_exp3", slow_batched_exp3, {"tau": 1}, 1.0),
        ("batched_exp3", slow_batched_exp3, {"tau": "arora"}, 1.0),
        ("tsallis_switch", slow_tsallis_switch, {}, 1.0),
        ("tsallis_switch", slow_tsallis_switch, {}, 0.3),
        ("switch_tsallis_switch", slow_switch_tsallis_switch, {}, 1.0),
        ("switch_tsallis_switch", slow_switch_tsallis_switch, {}, 2.5),
        ("ftpl", slow_ftpl, {}, 1.0),
        ("ftpl", slow_ftpl, {}, 0.1),
        ("lazy_leader", slow_lazy_leader, {}, 1.0),
    ],
)
def test_arms_equal_those_of_a_second_implementation(name, slow, hyper, price):
    table = some_losses(1009, 4)  # a prime: no block length divides it
    rng = random.stream(random.key(SEED), 0, random.AGENT)
    wanted = slow(table, price, rng, **hyper)
    arms, _ = trace(name, table, price, **hyper)
    assert arms == wanted
    assert len(set(arms)) > (1 if name in FULL else 3)


@pytest.mark.parametrize("feed, scale", [("mean", 1.0), ("sum", 6.0)])
@pytest.mark.parametrize("base", ["exp3", "exp3_ix", "tsallis_inf"])
def test_blocks_are_the_base_on_a_shorter_table(base, feed, scale):
    """Blocked play is the base, with horizon 50, on the means (or 6 times them) of 50 blocks."""
    table = some_losses(300, 3)
    arms, agent = trace("blocked", table, base=base, tau=6, feed=feed)
    short = table.reshape(50, 6, 3).mean(axis=1)
    task = Task(3, 1, 0, 50)
    rng = random.stream(random.key(SEED), 0, random.AGENT)
    b = banditlab.make(base)
    state = b.init(b.params, task, rng)
    x = np.zeros((1, 1))
    wanted = []
    for t in range(50):
        arm = b.act(b.params, state, t, x, rng)
        b.update(b.params, state, t, x, arm, 1.0 - scale * short[t, arm], rng)
        wanted += 6 * [int(arm)]
    assert arms == wanted and len(set(arms)) == 3
    np.testing.assert_allclose(agent.state.base.losses, state.losses, rtol=1e-9)


def test_lazy_leader_and_ftpl_by_hand():
    """No noise to speak of: both follow the leader, who is lowest in L, one round late."""
    table = np.array([[0.5, 1, 1], [1, 0, 0.5], [1, 1, 0], [0, 0, 0.5], [0, 0, 0]])
    for name in FULL:  # L before rounds 1..4: (.5,1,1), (1.5,1,1.5), (2.5,2,1.5), (2.5,2,2)
        arms, agent = trace(name, table[:4], eta=1e6)
        assert arms[1:] == [0, 1, 2]
        assert agent.recommend().tolist() in ([0, 1, 0], [0, 0, 1])


# --- what is and is not seen --------------------------------------------------------------------


@pytest.mark.parametrize("name", [*BANDIT, *FULL])
def test_without_a_budget_nothing_is_learnt(name):
    table = some_losses(200, 3)
    arms, agent = trace(name, table, budget=0)
    if name in FULL:
        assert len(set(arms)) == 1
        assert agent.state.sums.tolist() == [0.0, 0.0, 0.0]
        return
    state = agent.state.base if name == "batched_exp3" else agent.state
    assert state.losses.tolist() == [[0.0, 0.0, 0.0]]
    assert state.probs == pytest.approx(np.full((1, 3), 1 / 3))


def test_a_block_seen_in_part_counts_as_what_was_seen():
    """Two of the four losses of the block: their mean, or four times it."""
    table = np.tile([[0.25], [0.5], [1.0], [1.0]], (1, 2))
    for feed, loss in (("mean", 0.375), ("sum", 1.5)):
        arms, agent = trace("blocked", table, budget=2, base="exp3", tau=4, feed=feed)
        assert agent.state.base.losses[0, arms[0]] == pytest.approx(2 * loss, rel=1e-14)
    arms, agent = trace("tsallis_switch", table, price=2.7, budget=2)  # ceil(2.86...) = 3 rounds
    assert agent.state.losses[0, arms[0]] == pytest.approx(2 * 3 * 0.375, rel=1e-14)


def test_rounds_not_shown_in_full_are_left_out():
    for name in FULL:
        agent = banditlab.Agent(name, n_arms=2, horizon=9, seed=SEED)
        agent.update(None, agent.act(), [1.0, 0.25])
        agent.update(None, agent.act(), [1.0, np.nan])
        assert agent.state.sums.tolist() == [1.0, 0.25]


def simulated(agents, T=2048, R=300, K=4, best=0, **terms):
    problem = {"name": "deterministic_gap", "n_arms": K, "gap": 0.25, "best": best, **terms}
    return banditlab.simulate(
        {
            "protocol": "observe",
            "horizon": T,
            "replications": R,
            "seed": 2,
            "problem": problem,
            "agents": agents,
        }
    )


def last(curves, label, measure):
    return curves.raw(label, measure)[:, -1]


@compiled_only
def test_accounting_and_budget():
    agents = [{"name": name} for name in (*BANDIT, *FULL)]
    for budget, T in ((None, 500), (333, 500)):
        terms = {} if budget is None else {"budget": budget}
        curves = simulated(agents, T=T, R=5, **terms)
        for name in (*BANDIT, *FULL):
            asked = T * (4 if name in FULL else 1)
            seen = asked if budget is None else budget
            assert (last(curves, name, "observations") == seen).all()
            assert (last(curves, name, "denied") == asked - seen).all()


# --- laws and bounds ----------------------------------------------------------------------------


def frequencies(name, table, draws, eta):
    """How often each arm is next after the table, over independent agents."""
    algorithm = banditlab.make(name, eta=eta)
    task = Task(table.shape[1], 1, 0, 100)
    key, x = random.key(4), np.zeros((1, 1))
    counts = np.zeros(table.shape[1])
    for r in range(draws):
        rng = random.stream(key, r, random.AGENT)
        state = algorithm.init(algorithm.params, task, rng)
        for t, losses in enumerate(table):
            algorithm.update(algorithm.params, state, t, x, 0, losses, rng)
        counts[algorithm.act(algorithm.params, state, len(table), x, rng)] += 1
    return counts / draws


@compiled_only
@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("name", FULL)
def test_the_law_of_the_leader_is_closed_and_knows_differences_only(name, shift):
    """L = (0, d) + shift: 0 leads with 1 - exp(-eta d) / 2 (FTPL), 1 - (1 - eta d)^2 / 2 (lazy)."""
    eta, d, draws = 0.8, 0.75, 20_000
    table = np.array([[0.0, 0.5], [0.0, 0.25]]) + shift
    p = 1 - (math.exp(-eta * d) if name == "ftpl" else (1 - eta * d) ** 2) / 2
    seen = frequencies(name, table, draws, eta)[0]
    assert abs(seen - p) < 4 * math.sqrt(p * (1 - p) / draws)  # 4 standard errors


def test_ftpl_plays_the_same_when_all_arms_lose_more():
    table = some_losses(400, 3)
    quiet, _ = trace("ftpl", table / 2, eta=0.2)
    loud, _ = trace("ftpl", table / 2 + some_losses(400, 1, seed=9) / 2, eta=0.2)
    assert quiet == loud and len(set(quiet)) > 1


@pytest.fixture(scope="module")
def relabelled():
    agents = [{"name": name} for name in (*BANDIT, *FULL)]
    return [simulated(agents, best=best) for best in (0, 3)]


@compiled_only
@pytest.mark.parametrize("name", [*BANDIT, *FULL])
def test_names_of_arms_do_not_matter(relabelled, name):
    """Loss regret and switches when arm 0 and when arm 3 is best: within 4 standard errors."""
    for measure in ("loss_regret", "switches"):
        a, b = (last(curves, name, measure) for curves in relabelled)
        sem = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / a.size)
        assert abs(a.mean() - b.mean()) < 4 * sem
        assert not np.array_equal(a, b)


@compiled_only
def test_totals_are_below_the_theorems(relabelled):
    """Mean and 3 standard errors below the bounds, which one arm for ever would exceed thrice."""
    T, K = 2048, 4
    N = math.ceil(T / tuned(K, T))
    bounds = {
        "batched_exp3": T * math.sqrt(2 * K * math.log(K) / N) + N - 1,
        "ftpl": 2 * math.sqrt(2 * (1 + math.log(K)) * T),
    }
    for name, bound in bounds.items():
        total = last(relabelled[0], name, "regret")
        assert total.mean() + 3 * total.std(ddof=1) / math.sqrt(total.size) <= bound
    laziness = {
        "ftpl": math.sqrt((1 + math.log(K)) * T / 2),  # eta T
        "lazy_leader": math.sqrt(2 * K * T),  # eta K T
        "tsallis_switch": K ** (1 / 3) * T ** (2 / 3) * 1.04,
        "batched_exp3": N - 1,
    }
    for name, bound in laziness.items():
        switches = last(relabelled[0], name, "switches")
        assert switches.mean() + 3 * switches.std(ddof=1) / math.sqrt(switches.size) <= bound
        assert switches.mean() > 0


# --- the contract -------------------------------------------------------------------------------


def contract_run():
    """Raw records of all agents on noisy losses, K = 3, T = 200, price 0.5, a budget that ends."""
    agents = [{"name": name} for name in (*BANDIT, *FULL)]
    agents += [{"name": "batched_exp3", "tau": "arora", "label": "arora"}]
    agents += [{"name": "blocked", "base": "tsallis_inf", "feed": "sum", "label": "sum"}]
    problem = {"name": "bernoulli_gap", "n_arms": 3, "gap": 0.2, "price": 0.5, "budget": 170}
    arena = {"protocol": "observe", "horizon": 200, "replications": 3, "seed": 6}
    curves = banditlab.simulate({**arena, "problem": problem, "agents": agents})
    labels = [*BANDIT, *FULL, "arora", "sum"]
    return {label: curves.raw(label, "regret").tolist() for label in labels}


@compiled_only
def test_python_equals_jit():
    code = (
        "import sys, pickle; sys.path.insert(0, sys.argv[1]); import test_switching_baselines as t;"
        "sys.stdout.buffer.write(pickle.dumps(t.contract_run()))"
    )
    plain = subprocess.run(
        [sys.executable, "-c", code, os.path.dirname(__file__)],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        check=True,
        capture_output=True,
    )
    assert pickle.loads(plain.stdout) == contract_run()


@pytest.mark.parametrize("name", ["blocked", *BANDIT, *FULL])
def test_saved_agent_goes_on(name, tmp_path):
    table = some_losses(120, 3)
    _, agent = trace(name, table[:60])
    agent.save(tmp_path / "agent.npz")
    loaded = banditlab.Agent.load(tmp_path / "agent.npz")
    for losses in table[60:]:
        arms = [each.act() for each in (agent, agent, loaded)]
        assert arms[0] == arms[1] == arms[2]
        for each in (agent, loaded):
            seen = np.where(each.look(arms[0]), losses, np.nan)
            each.update(None, arms[0], seen)
    assert np.abs(agent.recommend().sum() - 1.0) < 1e-12
