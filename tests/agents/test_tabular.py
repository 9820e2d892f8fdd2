"""Agents that learn decision processes by playing: each against its formula, written anew."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize

import banditlab
from banditlab import random
from banditlab.agents.tabular import mex_mb, mex_mf, psrl
from banditlab.arena.play import ready
from banditlab.parts.kl_block import best_law, gain, level, spread_of
from banditlab.protocols import episodic
from banditlab.protocols.base import Terms

H, S, A = 3, 3, 2


def random_data(seed, least=1, most=9, pay=0.2):
    """Counts (H, S, A, S) of next states, all pairs met, and mean rewards (H, S, A) up to pay."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((H, S, A, S))
    for h, s, a in np.ndindex(H, S, A):
        law = rng.dirichlet(np.full(S, 0.5))
        counts[h, s, a] = rng.multinomial(rng.integers(least, most + 1), law)
    return counts, pay * rng.random((H, S, A))


def informed(name, counts, rewards, first=0, **hyper):
    """An agent that has seen all that, planned anew for the fifth episode."""
    agent = banditlab.Agent(name, n_states=S, n_actions=A, steps=H, horizon=50, seed=1, **hyper)
    m = agent.state
    m.n[:] = counts.sum(axis=3)
    m.inv[m.n > 0] = 1.0 / m.n[m.n > 0]
    m.r[:], m.total[:] = rewards, rewards * m.n
    for place in np.ndindex(H, S, A):
        met = np.flatnonzero(counts[place])
        m.kinds[place] = met.size
        m.succ[place][: met.size], m.times[place][: met.size] = met, counts[place][met]
    m.first[first] = 4.0
    agent.t = 4
    agent._plan()
    return agent


def played(algorithm, problem, points, count, seed=1):
    """Records (replications, points, measures)."""
    loop = episodic.loop(Terms(algorithm, problem, points[-1]), np.array(points))
    record = np.zeros((count, len(points), len(loop.measures)))
    ready(loop, random.key(seed))(0, record, np.zeros(2, np.int64))
    return record


def empirical(counts):
    n = counts.sum(axis=3)
    return n, counts / n[..., None]


def occupancy(policy, P, first=0):
    d = np.zeros((H, S, A))
    here = np.eye(S)[first]
    for h in range(H):
        for s in range(S):
            d[h, s, policy[h][s]] = here[s]
        here = np.einsum("sa,sat->t", d[h], P[h])
    return d


def promised(policy, counts, rewards, eta):
    """Vhat^pi + 1/(4 eta) sum d^2 / n."""
    n, P = empirical(counts)
    d = occupancy(policy, P)
    return float((d * rewards).sum() + (d**2 / n).sum() / (4 * eta))


def all_policies():
    rules = list(itertools.product(range(A), repeat=S))
    return itertools.product(rules, repeat=H)


def values(q):
    return np.vstack([q.max(axis=2), np.zeros(S)])


# --- mex_mf -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_supremum_is_attained_by_the_constructed_q(seed):
    """Enumeration of all policies equals the objective V - eta L at the Q that the formula gives,
    and no Q found by random search is better.
    """
    eta = 2.0
    counts, rewards = random_data(seed)
    n, P = empirical(counts)

    def objective(q):
        v = values(q)
        loss = sum((n[h] * (q[h] - rewards[h] - P[h] @ v[h + 1]) ** 2).sum() for h in range(H))
        return v[0, 0] - eta * loss

    best = max(all_policies(), key=lambda p: promised(p, counts, rewards, eta))
    sup = promised(best, counts, rewards, eta)
    d = occupancy(best, P)
    q, after = np.zeros((H, S, A)), np.zeros(S)
    for h in range(H - 1, -1, -1):
        q[h] = rewards[h] + P[h] @ after + d[h] / (2 * eta * n[h])
        # Q of other actions may be lower, never higher: then they would be in the policy.
        after = np.array([q[h, s, best[h][s]] for s in range(S)])
    greedy = np.array([[q[h, s, best[h][s]] for s in range(S)] for h in range(H)])
    assert (greedy[d.sum(axis=2) > 0] >= q.max(axis=2)[d.sum(axis=2) > 0] - 1e-12).all()
    loss = (n * (d / (2 * eta * n)) ** 2).sum()
    assert greedy[0, 0] - eta * loss == pytest.approx(sup, abs=1e-10)
    rng = np.random.default_rng(seed)
    assert max(objective(q + 0.02 * rng.normal(size=q.shape)) for _ in range(2000)) <= sup + 1e-12


def test_surrogate_above_exact_above_greedy_and_ccp_climbs():
    """Without caps in the way. The procedure may stop short of the supremum, seldom."""
    eta, reached, higher = 0.7, 0, 0
    for seed in range(30):
        counts, rewards = random_data(seed, least=2, most=60, pay=0.1)
        sup = max(promised(p, counts, rewards, eta) for p in all_policies())
        surrogate = informed("mex_mf", counts, rewards, eta=eta)
        ccp = informed("mex_mf", counts, rewards, eta=eta, solver="ccp")
        greedy = informed("mex_mf", counts, rewards, eta=math.inf)
        assert (surrogate.state.Q < surrogate.state.cap[:H, None, None]).all()
        assert surrogate.state.V[0, 0] >= sup - 1e-12 >= greedy.state.V[0, 0] - 2e-12
        first = promised(surrogate.state.policy, counts, rewards, eta)
        climbed = promised(ccp.state.policy, counts, rewards, eta)
        assert first - 1e-12 <= climbed <= sup + 1e-12
        reached += climbed > sup - 1e-9
        higher += climbed > first + 1e-9
    assert reached >= 20 and higher >= 5


def test_the_plan_of_ccp_is_greedy_for_the_values_that_are_kept():
    for seed in range(12):
        counts, rewards = random_data(seed, least=2, most=60, pay=0.1)
        m = informed("mex_mf", counts, rewards, eta=0.7, solver="ccp").state
        assert (np.take_along_axis(m.Q, m.policy[..., None], 2)[..., 0] == m.Q.max(axis=2)).all()
        np.testing.assert_array_equal(m.V[:H, :S], m.Q.max(axis=2))


def test_infinite_eta_may_be_a_word_as_the_command_line_gives_it():
    assert banditlab.make("mex_mf", eta="inf").params.eta == math.inf
    assert banditlab.make("mex_mb", eta="inf").params.eta == math.inf


def test_the_objective_of_a_plan_is_the_formula():
    counts, rewards = random_data(5)
    agent = informed("mex_mf", counts, rewards, eta=1.5)
    d = np.zeros((H, S, A))
    params, m = agent.algorithm.params, agent.state
    found = mex_mf.objective(params, m, 4, d)
    assert found == pytest.approx(promised(m.policy, counts, rewards, 1.5), abs=1e-12)
    np.testing.assert_allclose(d, occupancy(m.policy, empirical(counts)[1]), atol=1e-12)


def test_the_procedure_plans_with_the_tangent_of_the_square():
    """Bonus d / (2 eta n): the slope of d^2 / (4 eta n) at the occupancy before."""
    counts, rewards = random_data(8)
    agent = informed("mex_mf", counts, rewards, eta=2.0)
    n, P = empirical(counts)
    d = np.random.default_rng(2).random((H, S, A))
    rng = random.stream(random.key(1), 0, random.AGENT)
    mex_mf.promise(agent.algorithm.params, agent.state, d, rng)
    v = np.zeros(S)
    for h in range(H - 1, -1, -1):
        q = rewards[h] + P[h] @ v + d[h] / (2 * 2.0 * n[h])
        np.testing.assert_allclose(agent.state.Q[h], q, atol=1e-12)
        v = q.max(axis=1)


@pytest.mark.parametrize("eta", [0.01, 0.3, math.inf])
def test_surrogate_is_capped_value_iteration_with_that_bonus(eta):
    counts, rewards = random_data(7, pay=1.0)
    counts[0, 0, 1] = 0.0  # never tried
    agent = informed("mex_mf", counts, np.where(counts.any(axis=3), rewards, 0.0), eta=eta)
    v = np.zeros(S)
    for h in range(H - 1, -1, -1):
        n = counts[h].sum(axis=2)
        with np.errstate(invalid="ignore", divide="ignore"):
            q = rewards[h] + counts[h] @ v / n + 1 / (4 * eta * n)
        q = np.where(n > 0, np.minimum(H - h, q), H - h)
        np.testing.assert_allclose(agent.state.Q[h], q, atol=1e-12)
        v = q.max(axis=1)


@pytest.mark.parametrize("name", ["mex_mf", "mex_mb", "ucbvi", "ucb_q", "optimistic_q"])
def test_before_any_data_everything_is_worth_its_cap_and_ties_are_even(name):
    choices = []
    for seed in range(200):
        agent = banditlab.Agent(name, n_states=2, n_actions=4, steps=2, horizon=9, seed=seed)
        assert (agent.state.Q == np.array([2.0, 1.0])[:, None, None]).all()
        choices += agent.state.policy.ravel().tolist()
    shares = np.bincount(choices, minlength=4) / len(choices)
    assert np.abs(shares - 0.25).max() < 5 * math.sqrt(0.25 * 0.75 / len(choices))


def test_rewards_that_are_told_are_hoped_for_and_no_more():
    means = np.array([[[0.1, 0.7]]])
    agent = banditlab.Agent("mex_mf", n_states=1, n_actions=2, steps=1, eta=5.0, means=means)
    assert agent.state.Q.tolist() == [[[0.1, 0.7]]] and agent.act(0) == 1
    agent.update(0, 1, 0.0, 0)  # a draw of the reward changes nothing
    np.testing.assert_allclose(agent.state.Q[0, 0], [0.1, 0.7 + 1 / 20])


def test_an_end_is_worth_nothing_and_a_cut_is_not_an_end():
    for over, worth in ((True, 0.0), (False, 1.0)):
        agent = banditlab.Agent("mex_mf", n_states=2, n_actions=1, steps=2, eta=1e9, seed=0)
        agent.update(0, 0, 0.0, 1, terminated=over, truncated=not over)
        assert (agent.t, agent.step) == (1, 0)
        assert agent.state.Q[0, 0, 0] == pytest.approx(worth, abs=1e-6)


def test_an_end_is_worth_more_than_going_on_where_all_rewards_are_negative():
    agent = banditlab.Agent(
        "mex_mf", n_states=1, n_actions=2, steps=5, low=-1.0, high=0.0, most=0.0, eta=1e9, seed=0
    )
    for h in range(5):  # however late it ends
        agent.step = h
        agent.update(0, 0, -1.0, 0, terminated=True)
    for _ in range(2):
        for _ in range(5):
            agent.update(0, 1, -1.0, 0)
    assert (agent.state.policy[0] == 0).all()
    np.testing.assert_allclose(agent.state.Q[0, 0] - 5.0, [-1.0, -2.0], atol=1e-6)


# --- the block of mex_mb ------------------------------------------------------------------------

PHAT, V = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.0, 1.0, 0.5, 2.0])
VECTORS = {
    0.5: (0.125, 0.15, 0.0667, 0.6583),
    1.2: (0.3, 0.36, 0.16, 0.18),
    50.0: (0.496, 0.3036, 0.2004, 0.0),
}


def worth(p, w, phat, v):
    seen = phat > 0
    return float(p @ v + w * (phat[seen] * np.log(p[seen] / phat[seen])).sum())


@pytest.mark.parametrize("w", VECTORS)
def test_three_laws(w):
    p = best_law(w, PHAT, V)
    np.testing.assert_allclose(p, VECTORS[w], atol=5e-5)
    assert p.sum() == pytest.approx(1.0, abs=1e-12)


def random_block(rng):
    k = int(rng.integers(2, 6))
    phat = rng.dirichlet(np.ones(k)) * (rng.random(k) < 0.7)
    phat = np.eye(k)[0] if phat.sum() == 0 else phat / phat.sum()
    return phat, rng.random(k) * 3, float(10 ** rng.uniform(-2, 2))


def test_the_block_against_a_general_optimiser():
    rng = np.random.default_rng(0)
    for _ in range(60):
        phat, v, w = random_block(rng)
        p = best_law(w, phat, v)
        assert (p >= 0).all() and p.sum() == pytest.approx(1.0, abs=1e-10)
        seen = phat > 0
        found = gain(w, phat[seen], v[seen], v.max())
        assert found == pytest.approx(worth(p, w, phat, v), abs=1e-9)

        def lost(z, w=w, phat=phat, v=v):
            q = np.exp(z - z.max())
            return -worth(q / q.sum(), w, phat, v)

        start = np.log(np.where(phat > 0, phat, 1e-3))
        other = minimize(lost, start, method="BFGS", options={"gtol": 1e-9, "maxiter": 500})
        assert -other.fun <= found + 1e-7
        assert -other.fun >= found - 2e-4 * (1 + w)


def test_the_root_is_one_over_twelve_orders_of_magnitude():
    rng = np.random.default_rng(1)
    for w in 10.0 ** np.arange(-6, 7):
        for _ in range(20):
            phat = rng.dirichlet(np.full(4, 0.3)) + 1e-6
            phat /= phat.sum()
            v = 5 * rng.random(4)
            nu = level(w, phat, v, v.max())
            assert v.max() < nu <= v.max() + w * (1 + 1e-12)
            # Where nu - V is small beside nu, rounding of nu itself shows in g.
            slack = 1e-9 + 4e-16 * nu * spread_of(nu, w, phat, v)[1]
            assert abs(spread_of(nu, w, phat, v)[0] - 1.0) < slack


def test_the_block_falls_from_the_best_value_to_the_mean():
    previous = math.inf
    for w in (1e-9, 1e-3, 0.1, 1.0, 3.0, 10.0, 1e3, 1e9):
        now = gain(w, PHAT[:3], V[:3], V.max())
        assert now <= previous + 1e-12
        previous = now
    assert gain(1e-9, PHAT[:3], V[:3], V.max()) == pytest.approx(V.max(), abs=1e-6)
    assert previous == pytest.approx(PHAT @ V, abs=1e-6)
    np.testing.assert_allclose(best_law(math.inf, PHAT, V), PHAT)
    np.testing.assert_allclose(best_law(0.0, PHAT, V), np.eye(4)[3])


@pytest.mark.parametrize("top", [3.0, 5.0])
def test_weights_of_any_size_give_the_limits_and_come_from_both_sides_of_the_expansion(top):
    """Beside very large weights values were rounded off, and beside very small ones 0 / 0 came."""
    phat, v = np.array([0.3, 0.5, 0.2]), np.array([0.0, 1.0, 3.0])
    mean, variance = phat @ v, phat @ (v - phat @ v) ** 2
    for w in (5e-324, 1e-300, 1e-20, 1e-16):
        assert gain(w, phat, v, top) == pytest.approx(top, abs=1e-12)
        law = best_law(w, np.append(phat, 0.0), np.append(v, top))
        assert law.sum() == pytest.approx(1.0, abs=1e-12) and law @ np.append(v, top) > top - 1e-9
    for w in (1e7, 2.99e8, 3.01e8, 1e10, 1e16, 1e300):
        assert gain(w, phat, v, 3.0) == pytest.approx(mean + variance / (2 * w), abs=2e-7)
    assert gain(1e16, phat, v, 3.0) == pytest.approx(mean, abs=1e-15)


@pytest.mark.parametrize("ends", [True, False])
def test_mex_mb_hopes_for_the_best_next_state_and_the_end_is_one(ends):
    """Where all rewards are negative, to have ended is worth most of all."""
    means = np.array([[[-0.5, -0.25]]])
    agent = banditlab.Agent(
        "mex_mb", n_states=1, n_actions=2, steps=2, low=-1.0, high=0.0, means=means, pooled=True,
        ends=ends, eta=0.1,
    )  # fmt: skip
    agent.update(0, 0, -0.5, 0)
    agent.update(0, 0, -0.5, 0)
    m, eta = agent.state, 0.1
    # One step is left: the end would be worth 1 there, which the other states cannot promise.
    best = 1.0 if ends else 0.75
    last = max(0.5, 0.75)
    w = 2 * eta
    tried = w * (math.log(w / (best - last)) - 1) + best if ends and w < best - last else last
    np.testing.assert_allclose(m.Q[1, 0], [0.5, 0.75], atol=1e-12)
    np.testing.assert_allclose(m.Q[0, 0], [0.5 + tried, 0.75 + best], atol=1e-12)


@pytest.mark.parametrize("reward_term", [True, False])
def test_mex_mb_plans_with_the_block(reward_term):
    eta = 0.3
    counts, rewards = random_data(3, pay=1.0)
    agent = informed("mex_mb", counts, rewards, eta=eta, reward_term=reward_term)
    n, P = empirical(counts)
    v = np.zeros(S)
    for h in range(H - 1, -1, -1):
        q = np.zeros((S, A))
        for s, a in np.ndindex(S, A):
            w, phat = eta * n[h, s, a], P[h, s, a]
            q[s, a] = rewards[h, s, a] + worth(best_law(w, phat, v), w, phat, v)
            q[s, a] += 1 / (8 * w) if reward_term else 0.0
        q = np.minimum(q, H - h)
        np.testing.assert_allclose(agent.state.Q[h], q, atol=1e-9)
        v = q.max(axis=1)


@pytest.mark.parametrize("seed", range(6))
def test_block_ascent_climbs_to_no_more_than_the_surrogate(seed):
    """The objective never falls, is that of the model it has chosen, and stays below."""
    counts, rewards = random_data(seed, least=1, most=30)
    agent = informed("mex_mb", counts, rewards, eta=3.0)
    params, m = agent.algorithm.params, agent.state
    upper = m.V[0, 0]
    d, paid, laws = np.ones((H, S)), np.zeros((H, S)), np.zeros((H, S, S + 1))
    rng = random.stream(random.key(1), 0, random.AGENT)
    found = []
    for _ in range(12):
        mex_mb.sweep(params, m, d, laws, paid, rng)
        found.append(mex_mb.promised(m, 4, laws, paid, d))
    assert (np.diff(found) >= -1e-12).all() and found[-1] <= upper + 1e-12
    assert found[-1] > found[0] and abs(found[-1] - found[-2]) < 1e-9
    # Written out: rewards with their optimism, likelihoods of laws and rewards, occupancies.
    n, P = empirical(counts)
    here, total = np.eye(S)[0], 0.0
    for h in range(H):
        then = np.zeros(S)
        for s in range(S):
            a, law = m.policy[h, s], laws[h, s, :S]
            assert law.sum() == pytest.approx(1.0, abs=1e-10)
            extra = here[s] / (4 * 3.0 * n[h, s, a])
            seen = P[h, s, a] > 0
            total += here[s] * (rewards[h, s, a] + extra)
            total += 3.0 * (counts[h, s, a][seen] * np.log(law[seen] / P[h, s, a][seen])).sum()
            total -= 2 * 3.0 * n[h, s, a] * extra**2
            then += here[s] * law
        here = then
    assert total == pytest.approx(found[-1], abs=1e-9)


@pytest.mark.parametrize("eta", [1e-300, 1e-20, 1e16, 1e300, math.inf])
def test_block_ascent_takes_weights_of_any_size(eta):
    counts, rewards = random_data(2)
    agent = informed("mex_mb", counts, rewards, eta=eta, solver="block", reward_term=False)
    m, d = agent.state, np.ones((H, S))
    paid, laws = np.zeros((H, S)), np.zeros((H, S, S + 1))
    rng = random.stream(random.key(1), 0, random.AGENT)
    mex_mb.sweep(agent.algorithm.params, m, d, laws, paid, rng)
    np.testing.assert_allclose(laws.sum(axis=2), 1.0, atol=1e-10)
    assert np.isfinite(m.V).all() and np.abs(paid).max() < 1e-6
    v, (_, P) = np.zeros(S), empirical(counts)
    for h in range(H - 1, -1, -1):
        mean = P[h] @ v if eta > 1 else v.max()
        v = np.minimum(H - h, rewards[h] + mean).max(axis=1)
    np.testing.assert_allclose(m.V[0, :S], v, atol=1e-6)


def test_block_ascent_goes_where_a_pair_without_data_may_lead():
    """With rewards told: to the best next state, at no loss; and on from there."""
    means = np.array([[[0.1, 0.2], [0.9, 0.3]]])
    agent = banditlab.Agent(
        "mex_mb", solver="block", n_states=2, n_actions=2, steps=3, means=means, ends=False, eta=0.1
    )
    agent.update(0, 0, 0.0, 0, truncated=True)
    m, d = agent.state, np.ones((3, 2))
    paid, laws = np.zeros((3, 2)), np.zeros((3, 2, 3))
    rng = random.stream(random.key(1), 0, random.AGENT)
    mex_mb.sweep(agent.algorithm.params, m, d, laws, paid, rng)
    assert mex_mb.promised(m, 1, laws, paid, d) == pytest.approx(0.2 + 0.9 + 0.9, abs=1e-12)
    np.testing.assert_allclose(d, [[1, 0], [0, 1], [0, 1]])


def test_where_every_state_is_certain_block_and_surrogate_agree():
    plans = []
    for solver in ("surrogate", "block"):
        given = {"n_states": 1, "n_actions": 2, "steps": 3, "seed": 2, "solver": solver}
        agent = banditlab.Agent("mex_mb", eta=2.0, **given)
        for reward in np.random.default_rng(0).random(24):
            agent.update(0, agent.act(0), reward / 3, 0)
        plans.append((agent.state.V[:, 0].tolist(), agent.policy().tolist()))
    np.testing.assert_allclose(plans[0][0], plans[1][0], atol=0.1)
    assert plans[0][1] == plans[1][1]


# --- the others ---------------------------------------------------------------------------------


def bernstein(counts, L, h, s, a, v):
    n, P = empirical(counts)
    mean = P[h, s, a] @ v
    variance = P[h, s, a] @ (v - mean) ** 2
    # Unknown beyond the last step: the most there can be.
    met = n[h + 1].sum(axis=1) if h + 1 < H else np.zeros(S)
    with np.errstate(divide="ignore"):
        worst = np.minimum(1e4 * H**3 * S**2 * A * L**2 / met, H**2)
    at = n[h, s, a]
    later = P[h, s, a] @ worst
    return math.sqrt(8 * L * variance / at) + 14 * H * L / (3 * at) + math.sqrt(8 * later / at)


@pytest.mark.parametrize("variant", ["tuned", "ch", "bf"])
def test_ucbvi_plans_with_its_bonus(variant):
    counts, rewards = random_data(4, least=10**6, most=2 * 10**6, pay=1.0)
    agent = informed("ucbvi", counts, rewards, variant=variant)
    n, P = empirical(counts)
    L = math.log(5 * S * A * H * 50 / 0.05)
    v = np.zeros(S)
    for h in range(H - 1, -1, -1):
        q = np.zeros((S, A))
        for s, a in np.ndindex(S, A):
            bonus = 7 * H * L / math.sqrt(n[h, s, a])
            if variant == "tuned":
                wide = math.log(2 * S * A * H * 5 / 0.05) / n[h, s, a]
                bonus = 0.02 * (H - h) * math.sqrt(wide)
            if variant == "bf":
                bonus = bernstein(counts, L, h, s, a, v)
            q[s, a] = min(H - h, rewards[h, s, a] + P[h, s, a] @ v + bonus)
        np.testing.assert_allclose(agent.state.Q[h], q, atol=1e-9)
        v = q.max(axis=1)


def test_ucbvi_of_the_paper_never_hopes_for_more_than_before():
    counts, rewards = random_data(4, least=10**6, most=2 * 10**6, pay=0.2)
    agent = informed("ucbvi", counts, rewards, variant="ch")
    before = agent.state.Q.copy()
    agent.state.r[:] += 0.1
    agent._plan()
    assert (agent.state.Q <= before).all()
    with pytest.raises(ValueError, match="need the number of episodes: give horizon"):
        banditlab.Agent("ucbvi", variant="ch", n_states=1, n_actions=2, steps=1)


def test_ucb_q_takes_the_steps_of_its_formula():
    agent = banditlab.Agent("ucb_q", c=0.01, n_states=1, n_actions=1, steps=2, horizon=7)
    Q, width = [2.0, 1.0], 0.01 * math.sqrt(8 * math.log(1 * 1 * 7 * 2 / 0.05))
    for N in range(1, 5):
        after = min(1.0, Q[1])
        for h, then in ((0, after), (1, 0.0)):
            rate = 3 / (2 + N)
            target = 0.25 + then + width / math.sqrt(N)
            Q[h] = (1 - rate) * Q[h] + rate * target
            agent.update(0, 0, 0.25, 0)
        np.testing.assert_allclose(agent.state.Q[:, 0, 0], Q, atol=1e-12)


def test_epsilon_greedy_explores_as_often_as_it_says_and_scores_what_it_was_asked():
    given = {"n_states": 1, "n_actions": 4, "steps": 1}
    plain = banditlab.Agent("epsilon_greedy_q", epsilon=0.4, **given)
    mixed = banditlab.Agent("epsilon_greedy_q", epsilon=0.4, mixed=True, **given)
    for agent in (plain, mixed):
        agent.update(0, 2, 1.0, 0)
    assert plain.policy().tolist() == [[[0.0, 0.0, 1.0, 0.0]]]
    np.testing.assert_allclose(mixed.policy(), [[[0.1, 0.1, 0.7, 0.1]]])
    shares = np.bincount([plain.act(0) for _ in range(4000)], minlength=4) / 4000
    assert np.abs(shares - mixed.policy()[0, 0]).max() < 5 * math.sqrt(0.25 / 4000)
    for _ in range(20):
        plain.update(0, 2, 0.0, 0)  # 1, 1/2, ..., then steps of a tenth
    expected = 1.0
    for N in range(2, 22):
        expected -= max(0.1, 1 / N) * expected
    assert plain.state.Q[0, 0, 2] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("prior", [0.0, 0.25, 1.5])
def test_psrl_draws_laws_from_the_dirichlet(prior):
    """Means and standard deviations, for a pair with data; prior 0 stands for 1/S."""
    counts, rewards = random_data(6)
    m = informed("psrl", counts, rewards).state
    rng = random.stream(random.key(3), 0, random.AGENT)
    law, draws = np.zeros(S + 1), []
    for _ in range(4000):
        total = psrl.draw_law(prior, m.succ, m.times, m.kinds, 1, 2, 0, rng, law)
        draws.append(law / total)
    alpha = np.append(counts[1, 2, 0], 0.0) + (prior or 1.0 / (S + 1))
    mean = alpha / alpha.sum()
    sd = np.sqrt(mean * (1 - mean) / (alpha.sum() + 1))
    assert (np.abs(np.mean(draws, axis=0) - mean) < 5 * sd / math.sqrt(4000)).all()
    np.testing.assert_allclose(np.std(draws, axis=0), sd, rtol=0.15)


def test_psrl_draws_a_law_however_small_the_prior():
    """Gammas of a tiny shape are all rounded: then one next state has all the mass."""
    rng = random.stream(random.key(3), 0, random.AGENT)
    m = banditlab.Agent("psrl", n_states=2, n_actions=1, steps=1, prior=1e-12, ends=False).state
    law, hits = np.zeros(2), 0.0
    for _ in range(400):
        assert psrl.draw_law(1e-12, m.succ, m.times, m.kinds, 0, 0, 0, rng, law) == 1.0
        hits += law[0]
    assert abs(hits - 200) < 5 * 10
    assert np.isfinite(m.Q).all()


def many_plans(name, seeds=1500, **hyper):
    """Q (seeds,) of the one pair of a process of one step, seen thrice: rewards 1, 0, 1."""
    found = []
    for seed in range(seeds):
        given = {"n_states": 1, "n_actions": 1, "steps": 1, "seed": seed}
        agent = banditlab.Agent(name, **given, **hyper)
        for reward in (1.0, 0.0, 1.0):
            agent.update(0, 0, reward, 0)
        found.append(agent.state.Q[0, 0, 0])
    return np.array(found)


@pytest.mark.parametrize(
    ("name", "hyper", "mean", "sd"),
    [
        ("rlsvi", {"c": 0.1, "scale": "horizon"}, 0.5, 0.1 / 2),
        ("rlsvi", {"scale": "theory"}, 0.5, math.sqrt(0.5 * math.log(8)) / 2),
        ("psrl", {"reward": "gaussian"}, 0.5, 0.5),
        ("psrl", {}, 2 / 3, 0.0),
    ],
)
def test_noise_has_the_mean_and_the_width_that_it_should(name, hyper, mean, sd):
    found = many_plans(name, **hyper)
    assert found.mean() == pytest.approx(mean, abs=5 * sd / math.sqrt(found.size) + 1e-12)
    assert found.std() == pytest.approx(sd, rel=0.06, abs=1e-12)


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hyper", "line"),
    [
        ("mex_mf", {"eta": 0.0}, "eta must be a number above 0 or inf, got 0.0"),
        ("mex_mf", {"eta": -1}, "eta must be a number above 0 or inf, got -1"),
        ("mex_mf", {"eta": math.nan}, "eta must be a number above 0 or inf, got nan"),
        ("mex_mf", {"solver": "cpp"}, "solver must be one of surrogate, ccp, got 'cpp'"),
        ("mex_mb", {"eta": 0}, "eta must be a number above 0 or inf, got 0"),
        ("mex_mb", {"solver": "ccp"}, "solver must be one of surrogate, block, got 'ccp'"),
        ("mex_mb", {"reward_term": "no"}, "reward_term must be true or false, got 'no'"),
        ("ucbvi", {"c": 0}, "c must be positive, got 0"),
        ("ucbvi", {"variant": "hoeffding"}, "variant must be one of tuned, ch, bf"),
        ("ucb_q", {"delta": 1}, "delta must lie strictly between 0 and 1, got 1"),
        ("psrl", {"reward": 2}, "reward must be one of empirical, gaussian, got 2"),
        ("psrl", {"prior": -1}, "prior must be at least 0, got -1"),
        ("rlsvi", {"scale": "step"}, "scale must be one of remaining, horizon, theory"),
        ("optimistic_q", {"alpha": 1.5}, "alpha must lie in [0, 1], got 1.5"),
        ("epsilon_greedy_q", {"epsilon": 2}, "epsilon must lie in [0, 1], got 2"),
    ],
)
def test_bad_hyper_parameters_are_named_in_one_line(name, hyper, line):
    with pytest.raises(ValueError) as caught:
        banditlab.make(name, **hyper)
    assert line in str(caught.value) and "\n" not in str(caught.value)


# --- the tables, at full size -------------------------------------------------------------------

RIVER = ({"name": "river_swim"}, 2000)
COINS = ({"name": "river_swim", "reward": "bernoulli"}, 2000)
SEA = ({"name": "deep_sea", "N": 10}, 1000)
RANDOM = ({"name": "garnet"}, 3000)
# problem, agent, mean and standard error after K/4 and K episodes, by two implementations made
# from the same text; nan where it is not known.
TABLE = [
    (RIVER, "mex_mf", {"eta": 0.01}, (1472, 2), (2458, 5)),
    (RIVER, "mex_mf", {"eta": 0.03}, (806, 3), (962, 3)),
    (RIVER, "mex_mf", {"eta": 0.1}, (331, 2), (354, 2)),
    (RIVER, "mex_mf", {"eta": 0.3}, (157, 1), (162, 1)),
    (RIVER, "mex_mf", {"eta": 1.0}, (119, 1), (128, 4)),
    (RIVER, "mex_mf", {"eta": 0.01, "solver": "ccp"}, (1260, 4), (1548, 5)),
    (RIVER, "mex_mf", {"eta": 0.1, "solver": "ccp"}, (239, 2), (241, 2)),
    (RIVER, "mex_mf", {"eta": 1.0, "solver": "ccp"}, (110, 2), (113, 2)),
    (COINS, "mex_mb", {"eta": 0.3, "reward_term": False}, (793, 10), (853, 11)),
    (COINS, "mex_mb", {"eta": 1.0, "reward_term": False}, (336, 6), (340, 6)),
    (COINS, "mex_mb", {"eta": 3.0, "reward_term": False}, (169, 3), (171, 3)),
    (COINS, "mex_mb", {"eta": 0.3}, None, (839, 9)),
    (COINS, "mex_mb", {"eta": 1.0}, None, (334, 5)),
    (COINS, "mex_mb", {"eta": 3.0}, None, (168, 3)),
    (RIVER, "ucbvi", {"c": 0.02}, (180, 2), (207, 2)),
    (RIVER, "ucbvi", {"c": 0.05}, (459, 4), (712, 5)),
    (RIVER, "ucbvi", {"c": 1.0}, (1677, 0), (6708, 0)),
    (RIVER, "ucb_q", {"c": 0.001}, (650, 4), (715, 7)),
    (RIVER, "ucb_q", {"c": 0.01}, (1427, 4), (2948, 8)),
    (RIVER, "epsilon_greedy_q", {}, (1650, 0), (6595, 0)),
    (RIVER, "rlsvi", {"c": 0.03, "scale": "horizon"}, (1613, 8), (3679, 83)),
    (COINS, "rlsvi", {"c": 0.03, "scale": "horizon"}, None, (3376, 80)),
    (COINS, "epsilon_greedy_q", {}, None, (6665, 25)),
    (RIVER, "psrl", {}, None, (650, 3)),
    (RIVER, "psrl", {"reward": "gaussian"}, None, (1409, 13)),
    (SEA, "mex_mf", {"eta": 10.0}, None, (18.9, 0)),
    (SEA, "mex_mf", {"eta": 1.0}, None, (33, 0)),
    (SEA, "mex_mf", {"eta": 0.1}, None, (252, 0)),
    (SEA, "mex_mb", {"eta": 1.0}, None, (51, 0)),
    (SEA, "mex_mb", {"eta": 1.0, "reward_term": False}, None, (47, 0)),
    (SEA, "ucbvi", {"c": 0.05}, None, (349, 0)),
    (SEA, "ucb_q", {"c": 0.01}, None, (744, 0)),
    (SEA, "psrl", {}, None, (127, 1)),
    (SEA, "psrl", {"reward": "gaussian"}, None, (773, 2)),
    (SEA, "rlsvi", {"c": 0.1, "scale": "horizon"}, None, (748, 2)),
    (SEA, "epsilon_greedy_q", {}, None, (990, 0)),
    (RANDOM, "mex_mf", {"eta": 0.01}, None, (4163, 5)),
    (RANDOM, "mex_mf", {"eta": 0.1}, None, (658, 5)),
    (RANDOM, "mex_mf", {"eta": 0.2}, None, (476, 10)),
    (RANDOM, "mex_mf", {"eta": 0.3}, None, (493, 20)),
    (RANDOM, "mex_mf", {"eta": 1.0}, None, (730, 31)),
    (RANDOM, "mex_mf", {"eta": 3.0}, None, (892, 36)),
    (RANDOM, "mex_mf", {"eta": 0.1, "solver": "ccp"}, None, (572, 27)),
    (RANDOM, "mex_mb", {"eta": 0.3, "reward_term": False}, None, (844, 68)),
    (RANDOM, "mex_mb", {"eta": 0.3}, None, (459, 30)),
    (RANDOM, "mex_mb", {"eta": 0.1}, None, (517, 8)),
    (RANDOM, "ucb_q", {"c": 0.001}, None, (992, 25)),
    (RANDOM, "epsilon_greedy_q", {}, None, (2727, 83)),
    (RANDOM, "ucbvi", {"c": 0.01}, None, (777, 46)),
    (RANDOM, "ucbvi", {"c": 0.02}, None, (706, 27)),
    (RANDOM, "ucbvi", {"c": 0.03}, None, (695, 21)),
    (RANDOM, "ucbvi", {"c": 0.05}, None, (852, 21)),
    (RANDOM, "psrl", {}, None, (695, 63)),
    (RANDOM, "psrl", {"reward": "gaussian"}, None, (1537, 19)),
]  # fmt: skip


def row_name(row):
    (problem, _), agent, hyper = row[:3]
    return "-".join([problem["name"], *map(str, list(problem.values())[1:]), agent, str(hyper)])


@pytest.mark.slow
@pytest.mark.parametrize("row", TABLE, ids=row_name)
def test_the_table(row):
    """At 60 replications, within the larger of 15% and 4 standard errors of the difference."""
    (problem, K), agent, hyper, early, late = row
    record = played(
        banditlab.make(agent, **hyper), banditlab.make_problem(**problem), [K // 4, K], 60, seed=5
    )
    for c, known in enumerate((early, late)):
        if known is not None:
            found = record[:, c, 0]
            error = math.hypot(found.std(ddof=1) / math.sqrt(found.size), known[1])
            assert abs(found.mean() - known[0]) <= max(0.15 * known[0], 4 * error), (
                f"{found.mean():.1f} against {known[0]}, error {error:.1f}"
            )


@pytest.mark.slow
def test_at_a_large_eta_few_runs_lock_in_and_the_median_tells_no_more_of_them():
    """RiverSwim, eta 1: median 118, and 1.2% of 400 runs lock in, at 300 to 880."""
    problem = banditlab.make_problem("river_swim")
    regret = played(banditlab.make("mex_mf", eta=1.0), problem, [2000], 200)[:, -1, 0]
    assert np.median(regret) == pytest.approx(118.0, rel=0.05)
    assert (regret > 300.0).mean() < 0.05
    greedy = played(banditlab.make("mex_mf", eta=math.inf), problem, [2000], 50)[:, -1]
    assert (greedy[:, 1] > 0.01 * 3.4).mean() > 0.8


# --- a small table, always ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "row", [r for r in TABLE if r[0] is SEA and r[1] == "mex_mf"], ids=row_name
)
def test_the_table_of_the_sea(row):
    (problem, K), agent, hyper, _, late = row
    made = banditlab.make_problem(**problem)
    record = played(banditlab.make(agent, **hyper), made, [K], 5)
    assert record[:, -1, 0].mean() == pytest.approx(late[0], rel=0.02)


@pytest.mark.parametrize(("eta", "most"), [(0.3, 2000), (1.0, 700), (10.0, 200)])
def test_a_sea_of_40_columns_is_solved(eta, most):
    problem = banditlab.make_problem("deep_sea", N=40, until_solved=True)
    record = played(banditlab.make("mex_mf", eta=eta), problem, [2500], 3)
    assert (record[:, -1, 3] <= most).all()
