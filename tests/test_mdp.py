"""Exact MDPs, their logs, and the problems built on them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest

from banditlab import mdp, random
from banditlab.core import jit_disabled
from banditlab.data.model import new_model
from banditlab.problems.gambler import gambler
from banditlab.problems.hard_replicas import hard_replicas
from banditlab.problems.imitation_mdp import imitation_mdp
from banditlab.problems.toytext import read, toytext
from banditlab.protocols import offline_mdp
from banditlab.protocols.offline_mdp import Case, case, coverage, gap


def a_random_mdp(seed, S=6, A=3, K=3, horizon=0, gamma=0.9, ends=1):
    """Some pairs are not legal, successors repeat, the last states are terminal."""
    rng = np.random.default_rng(seed)
    succ = rng.integers(S, size=(S, A, K))
    prob = rng.dirichlet(np.ones(K), size=(S, A))
    reward = rng.normal(size=(S, A, K))
    prob[rng.uniform(size=(S, A)) < 0.2] = 0.0
    prob[:, 0] = rng.dirichlet(np.ones(K), size=S)
    terminal = np.arange(S) >= S - ends
    succ[terminal] = np.flatnonzero(terminal)[:, None, None]
    reward[terminal] = 0.0
    start = rng.dirichlet(np.ones(S))
    return mdp.new_mdp(succ, prob, reward, start, gamma=gamma, horizon=horizon, terminal=terminal)


def a_random_policy(m, seed):
    policy = np.random.default_rng(seed).uniform(size=(mdp.steps(m), *m.legal.shape)) * m.legal
    policy[policy < 0.3] = 0.0
    policy += 1e-3 * m.legal
    return policy / policy.sum(axis=2, keepdims=True)


# --- reference values ---------------------------------------------------------------------------

J_STAR = [
    ("FrozenLake-v1", {}, (0.068891, 0.180472, 0.542026)),
    ("FrozenLake-v1", {"map_name": "8x8"}, (0.006411, 0.048250, 0.414640)),
    ("FrozenLake-v1", {"is_slippery": False}, (0.590490, 0.773781, 0.950990)),
    ("CliffWalking-v1", {}, (-7.458134, -9.733158, -12.247898)),
    ("CliffWalkingSlippery-v1", {}, (-9.936417, -18.756831, -46.352672)),
    ("Taxi-v4", {}, (-1.263323, 1.729930, 6.327464)),
    ("Taxi-v4", {"is_rainy": True}, (-3.763147, -1.910009, 2.247629)),
]


@pytest.mark.parametrize(("id", "options", "expected"), J_STAR)
def test_optimal_values_of_toy_text(id, options, expected):
    for gamma, J in zip((0.9, 0.95, 0.99), expected, strict=True):
        assert mdp.solve(read(id, gamma, **options)).J == pytest.approx(J, abs=5.1e-7)


@pytest.mark.parametrize(
    ("id", "low", "high"),
    [("FrozenLake-v1", 0, 1), ("CliffWalking-v1", -2000, 0), ("Taxi-v4", -200, 20)],
)
def test_range_of_values_follows_from_the_rewards(id, low, high):
    m = read(id, 0.95)
    assert (m.v_min, m.v_max) == pytest.approx((low, high), rel=1e-12)
    mdp.within_range(m)


def dense(id, gamma, **options):
    """V* straight from Gymnasium's table: value iteration with dense matrices, no END state."""
    env = gymnasium.make(id, **options).unwrapped
    S, A = len(env.P), len(env.P[0])
    P, r = np.zeros((A, S, S)), np.zeros((A, S))
    for s in range(S):
        for a in range(A):
            for p, s2, paid, terminated in env.P[s][a]:
                r[a, s] += p * paid
                P[a, s, s2] += 0.0 if terminated else p
    V = np.zeros(S)
    for _ in range(int(40 / (1 - gamma))):
        V = (r + gamma * P @ V).max(axis=0)
    return V


@pytest.mark.parametrize("id", ["FrozenLake-v1", "CliffWalkingSlippery-v1"])
def test_a_dense_second_implementation_agrees(id):
    np.testing.assert_allclose(
        mdp.solve(read(id, 0.9)).values[0, :-1], dense(id, 0.9), rtol=1e-11, atol=1e-11
    )


def test_gamblers_values():
    m = gambler().params.mdp
    values = mdp.solve(m).values[0]
    assert values[25] == pytest.approx(0.45, abs=1e-12)
    assert values.mean() == pytest.approx(0.431420, abs=5e-7)
    assert (m.v_min, m.v_max) == (0.0, 100.0)
    quirky = gambler(quirks=True).params
    assert quirky.optimum == pytest.approx(gambler().params.optimum, abs=1e-15)
    assert quirky.mdp.legal[:, 0].all() and quirky.mdp.succ[7, 0, 0] == 0  # bet 0 ends it


def test_playing_the_table_in_gymnasium_pays_what_it_should():
    gamma, episodes = 0.95, 2000
    m = read("FrozenLake-v1", gamma)
    solution = mdp.solve(m)
    action = solution.policy[0].argmax(axis=1)
    env = gymnasium.make("FrozenLake-v1").unwrapped  # no time limit
    returns = np.zeros(episodes)
    for i in range(episodes):
        s, _ = env.reset(seed=i)
        worth, terminated = 1.0, False
        while not terminated:
            s, paid, terminated, truncated, _ = env.step(int(action[s]))
            assert not truncated
            returns[i] += worth * paid
            worth *= gamma
    error = returns.std(ddof=1) / math.sqrt(episodes)
    assert abs(returns.mean() - solution.J) < 3 * error
    assert error < 0.01  # of .18


# --- conversion ---------------------------------------------------------------------------------


def test_what_terminates_goes_to_an_absorbing_end():
    env = gymnasium.make("CliffWalking-v1").unwrapped
    assert not env.P[47][0][0][3] or env.P[47][0][0][1] != 47  # the table's own row is not
    m = read("CliffWalking-v1", 0.9)
    assert m.terminal.tolist() == [False] * 48 + [True]
    assert m.succ[36, 1, 0] == 36 and m.reward[36, 1, 0] == -100  # falling is no end
    assert (m.succ[35, 2], m.reward[35, 2]) == (48, -1)


def test_outcomes_are_merged_only_when_the_reward_agrees_too():
    table = [[[(0.25, 0, 1, False), (0.5, 0, 3, False), (0.25, np.int64(0), 1, False)]]]
    m = mdp.from_table(table, [1.0], gamma=0.5)
    assert m.succ.shape == (2, 1, 2)
    assert m.prob[0, 0].tolist() == [0.5, 0.5] and m.reward[0, 0].tolist() == [1.0, 3.0]
    assert mdp.mean_rewards(m)[0, 0] == 2.0
    slippery = read("CliffWalkingSlippery-v1", 0.9)
    cell = slippery.succ[36, 1], slippery.reward[36, 1]
    assert sorted(zip(*(c.tolist() for c in cell), strict=True))[-2:] == [(36, -100), (36, -1)]


# --- exact values, occupancies ------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [0, 7])
def test_the_kernel_agrees_with_the_linear_solve(horizon):
    for seed in range(20 if not jit_disabled() else 3):
        m = a_random_mdp(seed, horizon=horizon)
        policy = a_random_policy(m, seed)
        assert mdp.policy_value(m, policy) == pytest.approx(mdp.value(m, policy), abs=2e-10)
    if not horizon:
        m = read("Taxi-v4" if not jit_disabled() else "FrozenLake-v1", 0.99)
        best = mdp.solve(m)
        assert mdp.policy_value(m, best.policy) == pytest.approx(best.J, abs=2e-10)


@pytest.mark.parametrize("horizon", [0, 7])
def test_no_policy_beats_the_solution(horizon):
    for seed in range(10):
        m = a_random_mdp(seed, horizon=horizon)
        best = mdp.solve(m)
        assert mdp.value(m, best.policy) == pytest.approx(best.J, abs=1e-12)
        for other in range(20):
            assert mdp.value(m, a_random_policy(m, other)) <= best.J + 1e-12
        if horizon == 0:  # Bellman's equation
            q = mdp.backup(m, best.values[0])
            np.testing.assert_allclose(q.max(axis=1), best.values[0], atol=1e-11)


@pytest.mark.parametrize("horizon", [0, 7])
def test_occupancy_sums_to_one_and_gives_the_value(horizon):
    for seed in range(10):
        m = a_random_mdp(seed, horizon=horizon)
        policy = a_random_policy(m, seed)
        d = mdp.occupancy(m, policy)
        np.testing.assert_allclose(d.sum(axis=(1, 2)), 1.0, atol=1e-12)
        J = (d * mdp.mean_rewards(m)).sum() / (1 - m.gamma if horizon == 0 else 1.0)
        assert J == pytest.approx(mdp.value(m, policy), abs=1e-11)


def test_relabelling_the_states_changes_nothing():
    m = a_random_mdp(3)
    new = np.random.default_rng(0).permutation(6)  # new name of each state
    old = np.argsort(new)
    moved = m._replace(
        succ=new[m.succ[old]], prob=m.prob[old], reward=m.reward[old],
        start=m.start[old], legal=m.legal[old], terminal=m.terminal[old],
    )  # fmt: skip
    assert mdp.solve(moved).J == pytest.approx(mdp.solve(m).J, abs=1e-12)


def test_concentrability():
    assert mdp.concentrability([0.5, 0.5, 0.0], [0.25, 0.75, 0.0]) == 2.0
    assert mdp.concentrability([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert mdp.concentrability([0.9, 0.1], [0.5, 0.5], clip=0.25) == 0.5  # clipped: below 1
    with pytest.raises(ValueError, match="same shape"):
        mdp.concentrability([0.5, 0.5], [1.0])


@pytest.mark.parametrize("horizon", [0, 6])
def test_a_mixture_is_as_concentrated_as_it_says(horizon):
    for id in ("FrozenLake-v1", "CliffWalkingSlippery-v1"):
        m = read(id, 0.9, horizon)
        d = mdp.occupancy(m, mdp.solve(m).policy)
        for C in (1.0, 1.05, 3.0, 10.0):
            for decoy in mdp.DECOYS:
                mu = mdp.mixture(m, C, decoy)
                assert 1.0 <= mdp.concentrability(d, mu) <= C * (1 + 1e-12)
                assert mu.sum() == pytest.approx(max(horizon, 1), abs=1e-12)
        np.testing.assert_allclose(mdp.mixture(m, 1.0), d, atol=1e-15)
    # Equal to C where the rest misses a pair of d*: here by construction of the log.
    assert coverage(case(imitation_mdp(50))) == pytest.approx(1.0, rel=1e-12)
    with pytest.raises(ValueError, match="^C must be at least 1, got 0.5$"):
        mdp.mixture(m, 0.5)


# --- hard instances -----------------------------------------------------------------------------


@pytest.mark.parametrize(("C", "w"), [(4.0, 1.0), (2.0, 1.0), (1.5, 0.5)])
def test_hard_replicas_have_their_closed_forms(C, w):
    gamma, n, delta = 0.9, 5, 0.2
    v = np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    truth = case(hard_replicas(gamma, n, C, delta, v=v))
    m, S = truth.mdp, 4 * n
    best = mdp.solve(m)
    plus = np.where(v > 0, 0.5 + delta, 0.5)
    one = gamma * gamma / ((1 - gamma) * (4 - gamma**2))
    assert truth.optimum == pytest.approx(best.J, abs=1e-11)
    assert best.J == pytest.approx(w * np.mean(plus) * one, abs=1e-11)
    np.testing.assert_allclose(best.values[0, 1:S:4], 2 * plus * one / gamma, atol=1e-11)
    np.testing.assert_allclose(best.values[0, 0:S:4], plus * one, atol=1e-11)
    d = mdp.occupancy(m, best.policy)[0].sum(axis=1)
    d1 = 8 * gamma * (1 - gamma) * w / ((2 - gamma) * (2 + gamma) * S)
    np.testing.assert_allclose(d[0:S:4], 8 * w / ((2 + gamma) * S), atol=1e-13)
    np.testing.assert_allclose(d[1:S:4], d1, atol=1e-13)
    np.testing.assert_allclose(d[2:S:4], gamma * plus / (2 * (1 - gamma)) * d1, atol=1e-13)
    wrong = best.policy.copy()
    wrong[0, 1] = wrong[0, 1, ::-1]
    assert gap(truth, wrong) == pytest.approx(w / n * delta * one, abs=1e-11)
    if C == 4.0:
        assert gap(truth, wrong) * n == pytest.approx(0.101567 * n, abs=5e-6)
    assert coverage(truth) == pytest.approx(C, rel=1e-12)
    assert truth.mu.min() >= 0.0


def test_hard_replicas_draw_their_signs():
    better = [mdp.solve(case(hard_replicas(delta=0.2), r).mdp).policy[0, 1::4, 1] for r in range(9)]
    assert 0.2 < np.mean(better) < 0.8
    assert len({tuple(row) for row in better}) == 9
    sized = hard_replicas(N=100_000)
    assert sized.params.delta == pytest.approx(0.04)
    assert hard_replicas(N=10).params.delta == 0.25


def test_imitation_shows_the_expert_only():
    problem = imitation_mdp(100, S=5, A=3)
    experts = set()
    for r in range(5):
        truth = case(problem, r)
        best = mdp.solve(truth.mdp)
        assert best.J == pytest.approx(truth.optimum, abs=1e-11)
        np.testing.assert_allclose(mdp.occupancy(truth.mdp, best.policy), truth.mu, atol=1e-13)
        experts.add(tuple(truth.mu[0].argmax(axis=1)))
        z = 1 / 101
        np.testing.assert_allclose(truth.mdp.start, [z, z, z, 1 - 3 * z, 0])
    assert len(experts) > 1


# --- logs ---------------------------------------------------------------------------------------


def a_log(problem, rows, replication=0):
    truth = case(problem, replication)
    counts = np.zeros((truth.mu.shape[0], *truth.mdp.succ.shape))
    rng = random.stream(random.key(5), replication, random.OBSERVATION)
    with np.errstate(over="ignore"):
        problem.log(problem.params, truth, rows, rng, counts)
    return truth, counts


@pytest.mark.parametrize("horizon", [0, 4])
def test_a_log_has_the_law_of_mu_and_of_the_model(horizon):
    problem = toytext("FrozenLake-v1", 0.9, 3.0, horizon=horizon)
    rows = 50_000
    truth, counts = a_log(problem, rows)
    assert (counts.sum(axis=(1, 2, 3)) == rows).all()
    law = truth.mu[:, :, :, None] * truth.mdp.prob
    error = np.sqrt(rows * law * (1 - law))
    assert (np.abs(counts - rows * law) <= 4.5 * error).all()  # 200 to 800 cells
    assert (counts[law == 0.0] == 0.0).all()
    shifted = np.roll(law, 1, axis=1)  # control: the test can tell another law
    assert not (np.abs(counts - rows * shifted) <= 4.5 * error).all()


def test_a_log_is_tallied_by_hand():
    """Outcomes that pay 4 and 8, seen three times and once, of chances 1/4 and 3/4."""
    model = SimpleNamespace(prob=np.array([[[0.25, 0.75]]]), reward=np.array([[[4.0, 8.0]]]))
    tally = getattr(offline_mdp.tally, "py_func", offline_mdp.tally)
    for counts, known, mean in (
        ([3.0, 1.0], False, 5.0), ([3.0, 1.0], True, 7.0), ([0.0, 0.0], False, 0.0),
        ([0.0, 0.0], True, 7.0),
    ):  # fmt: skip
        n, r = np.full((1, 1, 1), 9.0), np.full((1, 1, 1), 9.0)
        assert tally(model, known, np.array([[[counts]]]), n, r) == sum(counts)
        assert (n.item(), r.item()) == (sum(counts), mean)


def test_a_longer_log_continues_the_shorter():
    m, asked, rows = a_random_mdp(3), [], []
    mu = m.legal / m.legal.sum()

    def log(params, case, n, rng, counts):
        asked.append(int(n))
        counts[0, 0, 0, 0] += n

    def plan(params, model, rng, policy):
        rows.append(model.rows)
        policy[:] = m.legal / m.legal.sum(axis=1, keepdims=True)

    problem = offline_mdp.logged(m, mu[None], 5.0, log=log)
    record = np.zeros((1, 2, 1))
    play = getattr(offline_mdp.run_block, "py_func", offline_mdp.run_block)
    with np.errstate(all="ignore"):
        play(offline_mdp.OfflineMDP((), plan), problem, None, random.key(0), 0, 0,
             np.array([2, 5]), np.zeros(2, np.int64), record)  # fmt: skip
    assert asked == [2, 3] and rows == [2.0, 5.0]
    worth = mdp.value(m, (m.legal / m.legal.sum(axis=1, keepdims=True))[None])
    assert record[0, :, 0].tolist() == pytest.approx([5.0 - worth] * 2)


def test_a_generative_log_shows_every_pair_alike():
    truth, counts = a_log(gambler(goal=10, H=3), 7)
    n = counts.sum(axis=3)
    assert (n[:, 1:10][:, truth.mdp.legal[1:10]] == 7).all()
    assert (n[:, :, :].sum(axis=(1, 2)) == 7 * truth.mdp.legal[1:10].sum()).all()


@pytest.mark.skipif(jit_disabled(), reason="too slow as plain Python")
def test_rollouts_meet_pairs_as_often_as_mu_says():
    problem = toytext("FrozenLake-v1", 0.9, 3.0, sampler="rollout")
    truth = case(problem)
    rows = 10_000
    shares = np.array([a_log(problem, rows, r)[1].sum(axis=3)[0] for r in range(100)]) / rows
    mu = truth.mu[0].copy()
    mu[-1] = 0.0  # an episode that has ended is not logged
    mu /= mu.sum()
    error = shares.std(axis=0, ddof=1) / 10
    # The last episode is cut at `rows`, which favours beginnings. Chosen by where it lies, it is
    # 2 / (1 - gamma) = 20 rows long at most, on average.
    assert (np.abs(shares.mean(axis=0) - mu) <= 4 * error + 20 / rows * mu).all()
    assert 1.0 <= coverage(truth) <= 3.0 * (1 + 1e-12)
    assert (shares[:, -1] == 0.0).all()
    finite = toytext("FrozenLake-v1", C=3.0, horizon=5, sampler="rollout")
    _, counts = a_log(finite, 300)
    met = counts.sum(axis=(1, 2, 3))
    assert met[0] == 300 and (np.diff(met) <= 0).all() and met[-1] < 300


def test_other_behaviours():
    even = toytext("FrozenLake-v1", 0.9, data="uniform")
    assert np.unique(even.params.mu).tolist() == [1 / (17 * 4)]
    explores = case(toytext("FrozenLake-v1", 0.9, data="policy", epsilon=0.2))
    assert 1.0 < coverage(explores) < math.inf
    expert = toytext("FrozenLake-v1", 0.9, data="policy", epsilon=0)
    assert coverage(case(expert)) == pytest.approx(1.0, rel=1e-12)
    blind = toytext("FrozenLake-v1", 0.9, known_end=False)
    assert not blind.params.mdp.terminal.any()
    assert blind.params.optimum == toytext("FrozenLake-v1", 0.9).params.optimum


# --- bad input ----------------------------------------------------------------------------------

GOOD = {
    "succ": [[[0, 1]], [[1, 1]]],
    "prob": [[[0.5, 0.5]], [[1.0, 0.0]]],
    "reward": [[[0.0, 1.0]], [[0.0, 0.0]]],
    "start": [1.0, 0.0],
}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"gamma": 1.0}, r"gamma must lie in \[0, 1\) when there is no horizon, got 1.0"),
        ({"horizon": -1}, "horizon must be at least 0, got -1"),
        ({"prob": [[[0.5, 0.4]], [[1.0, 0.0]]]}, "the probabilities of state 0, action 0 sum to"),
        ({"prob": [[[1.5, -0.5]], [[1.0, 0.0]]]}, "prob must be finite and at least 0"),
        ({"reward": [[[0.0, math.nan]], [[0.0, 0.0]]]}, "reward must be finite"),
        ({"succ": [[[0, 2]], [[1, 1]]]}, r"succ must lie in 0 .. 1"),
        ({"succ": [[0, 1]]}, "succ, prob and reward must have one shape"),
        ({"start": [0.5, 0.4]}, "start must be 2 probabilities that sum to 1"),
        ({"prob": [[[0.5, 0.5]], [[0.0, 0.0]]]}, "state 1 has no legal action"),
        ({"terminal": [True, False]}, "terminal state 0 must stay where it is, at reward 0"),
        ({"v_min": 1.0, "v_max": 1.0}, "v_min must be below v_max, got 1 and 1"),
    ],
)
def test_a_bad_mdp_is_refused_in_one_line(change, line):
    mdp.new_mdp(**GOOD, gamma=0.5)
    with pytest.raises(ValueError, match=f"^{line}"):
        mdp.new_mdp(**{**GOOD, "gamma": 0.5, **change})


def test_a_small_gamma_warns():
    with pytest.warns(UserWarning, match="gamma is 0.4"):
        mdp.new_mdp(**GOOD, gamma=0.4)


@pytest.mark.parametrize(
    ("id", "options", "line"),
    [
        ("Taxi-v3", {}, "Taxi-v3: .*Taxi-v4"),
        ("FrozenLoke-v1", {}, "FrozenLoke"),
        ("CartPole-v1", {}, "CartPole-v1 must have discrete observations and actions"),
        ("Blackjack-v1", {}, "Blackjack-v1 must have discrete"),
        ("FrozenLake-v1", {"C": 0.9}, "C must be at least 1, got 0.9"),
        ("FrozenLake-v1", {"data": "expert"}, "data must be one of mixture, policy, uniform"),
        ("FrozenLake-v1", {"decoy": "best"}, "decoy must be one of worst, second, got 'best'"),
        ("FrozenLake-v1", {"sampler": "live"}, "sampler must be one of iid, rollout"),
        ("FrozenLake-v1", {"epsilon": 1.5}, r"epsilon must lie in \[0, 1\], got 1.5"),
        ("FrozenLake-v1", {"gamma": 1.0}, r"gamma must lie in \[0, 1\)"),
        ("FrozenLake-v1", {"v_max": 0.1, "gamma": 0.99}, r"values lie in \[0, .*outside"),
        ("CliffWalking-v1", {"v_min": -5.0}, "values lie in"),
        ("FrozenLake-v1", {"options": {"ice": 3}}, "FrozenLake-v1 does not take these options"),
    ],
)
def test_a_bad_environment_is_refused_in_one_line(id, options, line):
    with pytest.raises(ValueError, match=f"^{line}") as caught:
        toytext(id, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: gambler(p=1.0), "p must lie strictly between 0 and 1"),
        (lambda: gambler(H=0), "H must be at least 1, got 0"),
        (lambda: gambler(C=0.5), "C must be at least 1"),
        (lambda: imitation_mdp(0), "N must be at least 1"),
        (lambda: imitation_mdp(3, S=12), "N must be at least S - 3 = 9, got 3"),
        (lambda: hard_replicas(), "give either delta or N"),
        (lambda: hard_replicas(delta=0.1, N=5), "give either delta or N"),
        (lambda: hard_replicas(delta=0.3), r"delta must lie in \[0, 0.25\]"),
        (lambda: hard_replicas(C=1.0, delta=0.1), "C must be above 1, got 1.0"),
        (lambda: hard_replicas(n=2, delta=0.1, v=[1.0, 0.5]), "v must hold 2 signs"),
        (lambda: offline_mdp.logged(read("FrozenLake-v1"), [[0.0]], 0.0), "mu must have shape"),
    ],
)
def test_bad_parameters_are_refused(make, line):
    with pytest.raises(ValueError, match=f"^({line})"):
        make()


LOG = {"succ": [[[0, 1]], [[1, 1]]], "reward": [[[0, 1]], [[0, 0]]], "counts": [[[3, 4]], [[0, 0]]]}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"counts": [[[0, 0]], [[0, 0]]]}, "the log is empty"),
        ({"counts": [[[-1, 0]], [[0, 0]]]}, "counts must be finite and at least 0"),
        ({"counts": [[[0.5, 0]], [[0, 0]]]}, "counts must be whole numbers"),
        ({"counts": [[[1, 0, 0]], [[0, 0, 0]]]}, "succ and reward must have one shape"),
        ({"succ": [[[0, 5]], [[1, 1]]]}, r"succ must lie in 0 .. 1"),
        ({"reward": [[[0, math.inf]], [[0, 0]]]}, "reward must be finite"),
        ({"legal": [[False], [True]]}, "state 0 has no legal action"),
        ({"gamma": -0.1}, "gamma must lie in"),
        ({"v_max": -1.0}, "v_min must be finite and below v_max"),
        ({"terminal": [True]}, "legal and terminal must have shapes"),
        ({"known_rewards": [[0.5], [math.nan]]}, "known_rewards must be finite"),
    ],
)
def test_a_bad_log_is_refused_in_one_line(change, line):
    good = {**LOG, "gamma": 0.9, "v_min": 0.0, "v_max": 10.0}
    model = new_model(**good)
    assert model.rows == 7 and model.r[0, 0, 0] == pytest.approx(4 / 7) and not model.known
    with pytest.raises(ValueError, match=f"^{line}"):
        new_model(**{**good, **change})


def test_an_empty_log_and_weights_are_accepted_on_request():
    good = {**LOG, "gamma": 0.9, "v_min": 0.0, "v_max": 10.0}
    assert new_model(**{**good, "counts": np.zeros((2, 1, 2))}, allow_empty=True).rows == 0
    assert new_model(**{**good, "counts": [[[0.5, 0]], [[0, 0]]]}, weights=True).rows == 0.5


def test_policies_are_checked():
    m = read("FrozenLake-v1")
    with pytest.raises(ValueError, match="^policy must have shape"):
        mdp.value(m, np.ones((3, 3)))
    with pytest.raises(ValueError, match="^policy must hold probabilities"):
        mdp.value(m, np.ones((17, 4)))
    replicas = case(hard_replicas(delta=0.1))
    with pytest.raises(ValueError, match="^policy must choose legal actions only"):
        gap(Case(*replicas), np.full((41, 2), 0.5))
