"""MEX in zero-sum games: matrix games against LP, plans against a second implementation."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import linprog, minimize_scalar

import banditlab
from banditlab import random
from banditlab.core import jit_disabled
from banditlab.parts import zero_sum

SHAPES = [(1, 4), (4, 1), (2, 2), (2, 5), (3, 3), (5, 2), (4, 6)]


def lp_value(game):
    """The value of a matrix game by linear programming."""
    rows, columns = game.shape
    found = linprog(
        np.append(np.zeros(rows), -1.0),
        A_ub=np.hstack([-game.T, np.ones((columns, 1))]),
        b_ub=np.zeros(columns),
        A_eq=np.append(np.ones(rows), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * rows + [(None, None)],
    )
    return -found.fun


def solved(game, gap=1e-6):
    """The mixture, its guarantee and the bound of a game."""
    mu = np.zeros(len(game))
    low, high = zero_sum.solve(np.ascontiguousarray(game, dtype=np.float64), mu, gap)
    return mu, low, high


# --- matrix games -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["even", "ties", "capped", "flat"])
def test_matrix_games_are_solved(shape, kind):
    rng = np.random.default_rng(len(kind) * 100 + 10 * shape[0] + shape[1])
    for _ in range(25 if not jit_disabled() else 2):
        game = rng.random(shape)
        if kind == "ties":
            game = np.round(game * 3) / 3
        elif kind == "capped":
            game = np.minimum(game * 10, 5.0)
        elif kind == "flat":
            game = 5.0 + 1e-3 * game
        mu, low, high = solved(game)
        value = lp_value(game)
        assert mu.min() >= 0.0 and abs(mu.sum() - 1.0) < 1e-12
        assert (mu @ game).min() == pytest.approx(low, abs=1e-12)
        assert low - 1e-8 <= value <= high + 1e-8
        assert high - low <= (1e-6 if shape[0] > 2 else 1e-11)


def test_two_by_two_in_closed_form():
    # No saddle: p = (d - c) / (a - b - c + d), value (a d - b c) / (a - b - c + d)
    a, b, c, d = 0.84, 0.24, 0.24, 0.64
    mu, low, _ = solved([[a, b], [c, d]])
    assert mu[0] == pytest.approx((d - c) / (a - b - c + d), abs=1e-11)
    assert low == pytest.approx((a * d - b * c) / (a - b - c + d), abs=1e-11)
    assert solved([[0.9, 0.5], [0.3, 0.1]])[0].tolist() == [1.0, 0.0]  # the first row dominates
    assert solved([[0.1, 0.3], [0.2, 0.9]])[0].tolist() == [0.0, 1.0]


def test_middle_of_the_optimal_interval():
    assert solved(np.full((2, 3), 0.7))[0].tolist() == [0.5, 0.5]
    # Column 0 pays 1/2 whatever is played; the others leave 0.25 <= p <= 0.75.
    mu, low, _ = solved([[0.5, 0.2, 1.4], [0.5, 1.4, 0.2]])
    assert (mu[0], low) == pytest.approx((0.5, 0.5), abs=1e-10)
    mu, _, _ = solved([[0.5, 0.3, 1.0], [0.5, 1.0, 0.4]])  # 1/6 <= p <= 5/7
    assert mu[0] == pytest.approx((1 / 6 + 5 / 7) / 2, abs=1e-10)
    mu, _, _ = solved([[0.5, 0.0, 0.5], [0.5, 1.0, 0.5]])  # p <= 1/2
    assert mu[0] == pytest.approx(0.25, abs=1e-10)
    # Differences of rounding are none.
    mu, _, _ = solved([[0.7, 0.7 + 1e-16], [0.7 - 1e-16, 0.7]])
    assert mu[0] == 0.5


def test_more_rows_start_from_even_odds():
    assert solved(np.full((3, 2), 0.4))[0] == pytest.approx([1 / 3] * 3, abs=1e-15)
    rock, paper, scissors = [0.5, 0.0, 1.0], [1.0, 0.5, 0.0], [0.0, 1.0, 0.5]
    assert solved([rock, paper, scissors])[0] == pytest.approx([1 / 3] * 3, abs=1e-12)


# --- the games as problems ----------------------------------------------------------------------


def world_of(problem):
    return problem.init(problem.params, random.stream(random.key(0), 0, random.NATURE))


def dense(problem):
    """P (S, A, B, S) and R (S, A, B) of a game whose steps are alike."""
    S, B = problem.shape[1], problem.columns
    t = problem.params
    P = np.zeros((S, t.mean.shape[2], S))
    for s, pair, k in itertools.product(*map(range, t.prob.shape[1:])):
        P[s, pair, t.succ[0, s, pair, k]] += t.prob[0, s, pair, k]
    return P.reshape(S, -1, B, S), t.mean[0].reshape(S, -1, B)


@pytest.mark.parametrize("rows, columns", [(2, 2), (3, 2)])
def test_value_of_a_markov_game_is_that_of_backward_linear_programs(rows, columns):
    problem = banditlab.make_problem("markov_game", n_states=3, rows=rows, columns=columns, steps=3)
    P, R = dense(problem)
    V = np.zeros(3)
    for _ in range(3):
        V = np.array([lp_value(R[s] + P[s] @ V) for s in range(3)])
    assert problem.optimum(problem.params, world_of(problem)) == pytest.approx(V[0], abs=1e-8)


def test_best_response_is_the_worst_of_all_policies_of_columns():
    problem = banditlab.make_problem("markov_game", n_states=2, rows=2, columns=2, steps=2)
    P, R = dense(problem)
    rng = np.random.default_rng(1)
    mu = rng.dirichlet([1, 1], size=(2, 2))  # (H, S, A)
    nu = rng.dirichlet([1, 1], size=(2, 2))  # of no account
    worths = []
    for choice in itertools.product(range(2), repeat=4):
        columns = np.array(choice).reshape(2, 2)
        law, worth = np.eye(2)[0], 0.0
        for h in range(2):
            after = np.zeros(2)
            for s in range(2):
                worth += law[s] * mu[h, s] @ R[s, :, columns[h, s]]
                after += law[s] * mu[h, s] @ P[s, :, columns[h, s]]
            law = after
        worths.append(worth)
    rule = (mu[..., None] * nu[..., None, :]).reshape(2, 2, 4)
    ours = problem.value(problem.params, world_of(problem), rule)
    assert ours == pytest.approx(min(worths), abs=1e-13)
    assert ours < problem.optimum(problem.params, world_of(problem))


@pytest.mark.parametrize(
    "name, given, line",
    [
        ("matrix_game", {"payoffs": [[0.5, 1.5]]}, "payoffs must be rows of numbers in"),
        ("matrix_game", {"payoffs": [[0.5], [0.1, 0.2]]}, "payoffs must be rows of numbers in"),
        ("matrix_game", {"payoffs": []}, "payoffs must be rows of numbers in"),
        ("matrix_game", {"payoffs": [[math.nan, 0.1]]}, "payoffs must be rows of numbers in"),
        ("markov_game", {"branches": 5}, "branches must be at most 4"),
        ("markov_game", {"rows": 0}, "rows must be at least 1"),
        ("markov_game", {"steps": 0}, "steps must be at least 1"),
    ],
)
def test_games_are_refused(name, given, line):
    with pytest.raises(ValueError, match=f"^{name}: {line}"):
        banditlab.make_problem(name, **given)


# --- the agent ----------------------------------------------------------------------------------


def taught(data, S=2, A=2, B=2, H=2, pooled=False, **hyper):
    """An agent that saw ``data``, a list of (h, s, pair, reward, after)."""
    agent = banditlab.Agent(
        "mex_mg", n_states=S, n_actions=A * B, steps=H, columns=B, pooled=pooled, **hyper
    )
    for h, s, pair, r, after in data:
        agent.algorithm.update(
            agent.algorithm.params, agent.state, h, s, pair, r, after, agent._rng
        )
    agent.algorithm.plan(agent.algorithm.params, agent.state, 0, agent._rng)
    return agent


def some_data(rng, S, pairs, H, rows):
    return [
        (int(rng.integers(H)), int(rng.integers(S)), int(rng.integers(pairs)),
         float(rng.random()), int(rng.integers(S + 1)))  # S: the end
        for _ in range(rows)
    ]  # fmt: skip


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("A, B", [(2, 2), (3, 2)])
def test_plan_is_that_of_plain_numpy(A, B, pooled):
    """Backward induction with linear programs in the place of the solver."""
    S, H, eta = 3, 3, 0.4
    rng = np.random.default_rng(A)
    data = some_data(rng, S, A * B, H, 70)
    agent = taught(data, S, A, B, H, pooled, eta=eta)
    up, low = np.zeros(S + 1), np.zeros(S + 1)  # the end is worth nothing
    for h in range(H - 1, -1, -1):
        new_up, new_low = np.zeros(S + 1), np.zeros(S + 1)
        for s in range(S):
            over, under = np.full(A * B, H - h * 1.0), np.zeros(A * B)
            for pair in range(A * B):
                own = [d for d in data if d[1:3] == (s, pair) and (pooled or d[0] == h)]
                if own:
                    mean, bonus = np.mean([d[3] for d in own]), 1 / (4 * eta * len(own))
                    after = [d[4] for d in own]
                    over[pair] = min(H - h, mean + up[after].mean() + bonus)
                    under[pair] = max(0.0, mean + low[after].mean() - bonus)
            mu = agent.state.mu[h, s]
            assert agent.state.model.Q[h, s] == pytest.approx(over, abs=1e-5)
            new_up[s] = agent.state.model.V[h, s]
            assert new_up[s] == pytest.approx(lp_value(over.reshape(A, B)), abs=1e-5)
            assert new_up[s] == pytest.approx((mu @ over.reshape(A, B)).min(), abs=1e-5)
            costs = mu @ under.reshape(A, B)
            new_low[s] = costs.min()
            assert costs[agent.state.nu[h, s]] == pytest.approx(new_low[s], abs=1e-9)
            assert agent.state.V_low[h, s] == pytest.approx(new_low[s], abs=1e-9)
        up, low = new_up, new_low


def test_bonus_is_the_maximum_over_values_of_a_pair():
    """Infimum identity, and sup of Q - eta * loss, on data of a pair with next states."""
    eta, y = 0.7, np.array([0.3, 0.9, 0.1])

    def loss(q):
        least = minimize_scalar(lambda g: ((g - y) ** 2).sum()).fun
        return ((q - y) ** 2).sum() - least

    for q in (-1.0, 0.2, 0.8):
        assert loss(q) == pytest.approx(y.size * (q - y.mean()) ** 2, abs=1e-12)
    found = minimize_scalar(lambda q: eta * loss(q) - q)
    agent = taught([(0, 0, 0, r, 0) for r in y], S=1, H=1, eta=eta)
    assert agent.state.model.Q[0, 0, 0] == pytest.approx(-found.fun, abs=1e-9)
    assert -found.fun == pytest.approx(y.mean() + 1 / (4 * eta * y.size), abs=1e-9)


def test_nothing_known_is_even_odds_against_a_column_of_chance():
    agent = taught([], S=2, A=3, B=4, H=2)
    assert agent.state.mu == pytest.approx(np.full((2, 2, 3), 1 / 3), abs=1e-15)
    nus = set()
    for _ in range(30):
        agent.algorithm.plan(agent.algorithm.params, agent.state, 0, agent._rng)
        nus |= set(agent.state.nu.ravel().tolist())
    assert nus == {0, 1, 2, 3}


def test_pennies_with_much_data():
    """Matching pennies: the gap closes, the exploiter answers best, and inf is Nash of means."""
    means = np.array([[1.0, 0.0], [0.0, 1.0]])
    last = 1.0
    for n in (10, 100, 1000):
        data = [(0, 0, pair, means.flat[pair], 0) for pair in range(4) for _ in range(n)]
        agent = taught(data, S=1, H=1, eta=0.5)
        gap = agent.state.model.V[0, 0] - agent.state.V_low[0, 0]
        assert 0.0 < gap < last / 5
        last = gap
    assert agent.state.mu[0, 0] == pytest.approx([0.5, 0.5], abs=1e-9)
    skewed = np.array([[0.84, 0.24], [0.24, 0.64]])
    data = [(0, 0, pair, skewed.flat[pair], 0) for pair in range(4) for _ in range(pair + 1)]
    agent = taught(data, S=1, H=1, eta=math.inf)
    assert agent.state.mu[0, 0] == pytest.approx([0.4, 0.6], abs=1e-9)
    data = data + [(0, 0, 1, 0.0, 0)] * 30  # column 1 now beats the first row
    agent = taught(data, S=1, H=1, eta=math.inf)
    costs = agent.state.mu[0, 0] @ agent.state.low
    assert agent.state.nu[0, 0] == np.argmin(costs)


def test_act_draws_from_its_rule():
    agent = taught(
        [(0, 0, pair, m, 0) for pair, m in enumerate([0.84, 0.24, 0.24, 0.64]) for _ in range(50)],
        S=1, H=1, eta=5.0,
    )  # fmt: skip
    rule = agent.policy()[0, 0]
    assert rule.sum() == pytest.approx(1.0, abs=1e-15)
    assert rule.reshape(2, 2).sum(axis=1) == pytest.approx(agent.state.mu[0, 0], abs=1e-15)
    draws = 4000 if not jit_disabled() else 400
    counts = np.bincount([agent.act(0) for _ in range(draws)], minlength=4)
    assert np.all(np.abs(counts - draws * rule) <= 4 * np.sqrt(draws * rule * (1 - rule)) + 1e-9)
    assert counts[agent.state.nu[0, 0] :: 2].sum() == draws


def test_the_schedule_reaches_the_bonus():
    data = [(0, 0, 0, 0.2, 0)] * 50
    agent = taught(data, S=1, H=1, eta=0.5, schedule="sqrt", reference=100)
    agent.algorithm.plan(agent.algorithm.params, agent.state, 399, agent._rng)
    assert agent.state.model.Q[0, 0, 0] == pytest.approx(0.2 + 2 / (4 * 0.5 * 50), abs=1e-12)


@pytest.mark.parametrize("eta", [0.0, -1.0, math.nan, "big", None])
def test_eta_is_refused(eta):
    with pytest.raises(ValueError, match="^mex_mg: eta must be a number above 0 or inf, got "):
        banditlab.make("mex_mg", eta=eta)


def test_columns_must_divide_the_pairs():
    with pytest.raises(ValueError, match="columns must divide n_actions, 4, got 3"):
        banditlab.Agent("mex_mg", n_states=1, n_actions=4, steps=1, columns=3)


def test_one_column_is_a_problem_without_opponent():
    """The plan is then that of value iteration with the bonus, and actions are rows."""
    rng = np.random.default_rng(3)
    data = some_data(rng, 2, 2, 2, 40)
    agent = taught(data, S=2, A=2, B=1, H=2, eta=1.0)
    Q = agent.state.model.Q
    for h, s in itertools.product(range(2), range(2)):
        assert agent.state.mu[h, s, np.argmax(Q[h, s])] == pytest.approx(1.0, abs=1e-6)
        assert agent.state.model.V[h, s] == pytest.approx(Q[h, s].max(), abs=1e-6)
