"""Protocol episodic: exact values, the loop, the face, problems, and environments of others."""

from __future__ import annotations

import json
import math

import gymnasium
import numpy as np
import pytest
from scipy.optimize import linprog

import banditlab
import banditlab.envs
from banditlab import mdp, random
from banditlab.arena.play import ready
from banditlab.cli.main import main
from banditlab.parts.finite_models import solve_table, tabular
from banditlab.problems.toytext import read
from banditlab.protocols import episodic
from banditlab.protocols.base import Terms
from banditlab.protocols.episodic import evenly, gap
from banditlab.reports import episodes

PROBLEMS = {
    "river": {"name": "river_swim", "S": 4, "H": 5},
    "chain": {"name": "chain", "kind": "stochastic", "S": 4, "H": 4},
    "bandit": {"name": "hard_bandit", "H": 4, "gap": 0.1, "reward": "bernoulli"},
    "sea": {"name": "deep_sea", "N": 4, "deterministic": False},
    "garnet": {"name": "garnet", "S": 5, "A": 3, "b": 2, "H": 4},
    "lake": {"name": "discrete_env", "id": "FrozenLake-v1", "steps": 6},
    "cliff": {"name": "discrete_env", "id": "CliffWalking-v1", "steps": 15},
}
MADE = {key: banditlab.make_problem(**given) for key, given in PROBLEMS.items()}


def played(problem, agent, points, count=2, seed=1, **hyper):
    loop = episodic.loop(
        Terms(banditlab.make(agent, **hyper), problem, points[-1]), np.array(points)
    )
    record = np.zeros((count, len(points), len(loop.measures)))
    ready(loop, random.key(seed))(0, record, np.zeros(2, np.int64))
    return record


def dense(problem):
    """P (H, S, A, S) without what ends, and mean rewards (H, S, A)."""
    world, H = problem.params, problem.steps
    L, S, A, K = world.succ.shape
    P = np.zeros((H, S, A, S + 1))
    for h, s, a, k in np.ndindex(H, S, A, K):
        i = h if L > 1 else 0
        P[h, s, a, world.succ[i, s, a, k]] += world.prob[i, s, a, k]
    return P[..., :S], np.broadcast_to(world.mean, (H, S, A))


# --- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", PROBLEMS)
def test_the_value_of_a_rule_is_that_of_a_linear_system(key):
    """One unknown for every step and state: V = r + P V, solved at once."""
    problem = MADE[key]
    P, r = dense(problem)
    H, S, A, _ = P.shape
    rule = np.random.default_rng(0).dirichlet(np.ones(A), size=(H, S))
    big = np.zeros((H * S, H * S))
    for h in range(H - 1):
        big[h * S : (h + 1) * S, (h + 1) * S : (h + 2) * S] = np.einsum("sa,sat->st", rule[h], P[h])
    values = np.linalg.solve(np.eye(H * S) - big, (rule * r).sum(axis=2).ravel())
    expected = problem.params.start @ values[:S]
    world = problem.params
    assert problem.value(world, world, rule) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("key", PROBLEMS)
def test_the_optimum_is_that_of_a_linear_programme(key):
    """The least V with V >= r + P V for every pair and step."""
    problem = MADE[key]
    P, r = dense(problem)
    H, S, A, _ = P.shape
    rows, right = [], []
    for h, s, a in np.ndindex(H, S, A):
        row = np.zeros((H + 1, S))
        row[h, s] = -1.0
        row[h + 1] += P[h, s, a]
        rows.append(row[:H].ravel())
        right.append(-r[h, s, a])
    cost = np.zeros((H, S))
    cost[0] = problem.params.start
    found = linprog(cost.ravel() + 1e-9, np.array(rows), right, bounds=(None, None))
    assert found.status == 0
    assert problem.params.best[0] == pytest.approx(problem.params.start @ found.x[:S], abs=1e-6)


@pytest.mark.parametrize("key", PROBLEMS)
def test_the_best_rule_loses_nothing_and_others_never_gain(key):
    problem = MADE[key]
    _, q = solve_table(problem.params, problem.steps)
    assert gap(problem, np.eye(q.shape[2])[q.argmax(axis=2)]) == 0.0
    assert gap(problem, evenly(problem)) > 0.0


@pytest.mark.parametrize("N", [2, 5, 17])
@pytest.mark.parametrize("mapping", [0, 1, 2])
def test_the_sea_is_worth_99_cents(N, mapping):
    problem = banditlab.make_problem("deep_sea", N=N, mapping=mapping)
    assert problem.params.best[0] == pytest.approx(0.99, abs=1e-12)
    # Even play finds it once in 2^N; going right costs half of what it costs all the way.
    lost = 0.99 - (0.5**N - 0.005)
    assert gap(problem, evenly(problem)) == pytest.approx(lost, abs=1e-12)


def test_the_random_process_is_the_pinned_one():
    problem = banditlab.make_problem("garnet")
    assert float(problem.params.best[0]) == 6.512949585063707
    assert problem.shape == (3, 10, 0) and problem.steps == 10


def test_an_environment_keeps_its_own_model():
    """V* is that of the model that planners get, in which the end is a state."""
    exact = mdp.solve(read("FrozenLake-v1", horizon=6)).J
    assert MADE["lake"].params.best[0] == pytest.approx(exact, abs=1e-12)
    assert MADE["lake"].ends and MADE["lake"].pooled and MADE["lake"].most == 1.0
    cliff = MADE["cliff"]
    assert (cliff.low, cliff.high, cliff.rewards) == (-100.0, 0.0, (-100.0, -1.0))
    assert cliff.params.best[0] == -13.0


@pytest.mark.parametrize(("key", "s", "a"), [("garnet", 0, 1), ("river", 1, 1), ("sea", 3, 0)])
def test_steps_are_drawn_from_the_model(key, s, a):
    """Next states as often as they should be; rewards with their mean and their noise."""
    problem, draws = MADE[key], 4000
    world, h = problem.params, problem.steps - 1
    P, mean = dense(problem)
    rng = random.stream(random.key(4), 0, random.NATURE)
    with np.errstate(over="ignore"):
        drawn = [problem.step(world, world, h, s, a, rng) for _ in range(draws)]
    shares = np.bincount([after for after, _, _ in drawn], minlength=P.shape[3]) / draws
    law = P[h, s, a]
    assert (np.abs(shares - law) <= 5 * np.sqrt(law * (1 - law) / draws)).all()
    rewards = np.array([r for _, r, _ in drawn])
    assert abs(rewards.mean() - mean[h, s, a]) <= 5 * rewards.std() / math.sqrt(draws) + 1e-12
    if key == "garnet":
        assert set(rewards) == {0.0, 1.0}
    if key == "sea":
        assert rewards.std() == pytest.approx(1.0, rel=0.06)


# --- the loop -----------------------------------------------------------------------------------


def test_regret_never_falls_and_is_told_of_no_return():
    record = played(MADE["garnet"], "mex_mf", list(range(1, 60)), count=3)
    assert (np.diff(record[:, :, 0], axis=1) >= 0.0).all()
    np.testing.assert_allclose(np.diff(record[:, :, 0], axis=1), record[:, 1:, 1], atol=1e-12)


def test_solved_is_the_first_episode_with_fewer_than_four_bad_ones_in_five():
    problem = banditlab.make_problem("deep_sea", N=5)
    points = list(range(1, 120))
    record = played(problem, "mex_mf", points, count=3, eta=1.0)
    for bad, solved in zip(record[:, :, 2], record[:, :, 3], strict=True):
        first = next(t for t, b in zip(points, bad, strict=True) if b < 0.8 * t)
        assert 1 < first < 119
        np.testing.assert_array_equal(solved, np.minimum(points, first))
    until = banditlab.make_problem("deep_sea", N=5, until_solved=True)
    ended = played(until, "mex_mf", points, count=3, eta=1.0)
    np.testing.assert_array_equal(ended[:, -1, 3], record[:, -1, 3])
    for r in range(3):  # and nothing is lost any more
        assert ended[r, -1, 0] == record[r, int(record[r, -1, 3]) - 1, 0]


def test_mean_rewards_that_are_told_help():
    plain, told = (
        played(banditlab.make_problem("river_swim", S=4, H=6, known_rewards=known), "mex_mf", [300])
        for known in (False, True)
    )
    assert told[:, -1, 0].max() < plain[:, -1, 0].min()


def test_shared_counts_help():
    each, pooled = (
        played(banditlab.make_problem("river_swim", S=4, H=6, pooled=p), "mex_mf", [300])
        for p in (False, True)
    )
    assert pooled[:, -1, 0].max() < each[:, -1, 0].min()


@pytest.mark.parametrize("eta", [math.inf, 0.3])
def test_greed_locks_in_and_mex_does_not(eta):
    """Half of the greedy learners are still paying; of those of MEX none is."""
    record = played(banditlab.make_problem("river_swim"), "mex_mf", [1500], count=12, eta=eta)
    paying = (record[:, -1, 1] > 0.02).mean()
    assert paying > 0.25 if eta == math.inf else paying == 0.0


# --- the face -----------------------------------------------------------------------------------


def face(**given):
    return banditlab.Agent("mex_mf", **{"n_states": 3, "n_actions": 2, "steps": 3, **given})


def test_it_tells_an_end_from_a_cut():
    agent = face()
    agent.update(0, 1, 0.5, 2, terminated=True)
    agent.update(0, 1, 0.5, 2, truncated=True)
    assert agent.state.succ[0, 0, 1, :2].tolist() == [3, 2]  # 3 is the end
    assert (agent.t, agent.step) == (2, 0)


def test_an_episode_that_goes_on_is_cut_where_its_steps_are_over():
    agent = face()
    for h in range(3):
        assert agent.step == h
        agent.update(1, 0, 0.0, 1)
    assert (agent.t, agent.step) == (1, 0)


def test_the_plan_is_made_before_the_episode_and_kept():
    agent = face(seed=5)
    plan = agent.policy()
    agent.update(0, 0, 1.0, 1)
    np.testing.assert_array_equal(agent.policy(), plan)
    np.testing.assert_array_equal(agent.recommend(2), plan[1, 2])
    assert agent.act(2) == plan[1, 2].argmax()


def test_it_goes_on_from_the_middle_of_an_episode(tmp_path):
    agent = face(means=np.full((1, 3, 2), 0.5), most=2.0)
    agent.update(0, 0, 0.5, 1)
    agent.save(tmp_path / "agent.npz")
    loaded = banditlab.Agent.load(tmp_path / "agent.npz")
    assert (loaded.step, loaded.t, loaded.task) == (1, 0, agent.task)
    for one in (agent, loaded):
        one.update(1, 1, 0.5, 2)
        one.update(2, 1, 0.5, 2)
    np.testing.assert_array_equal(agent.policy(), loaded.policy())
    assert agent.t == 1


@pytest.mark.parametrize(
    ("act", "line"),
    [
        (lambda: face(n_states=0), "n_states must be at least 1, got 0"),
        (lambda: face(steps=0), "steps must be at least 1, got 0"),
        (lambda: face(low=1.0), "low must be below high, by a finite number, got 1.0 and 1.0"),
        (lambda: face(low=-1e308, high=1e308), "by a finite number, got -1e+308 and 1e+308"),
        (lambda: face(most=-9), "most must be at least 0, the least there is, got -9"),
        (lambda: face(means=np.ones((2, 3))), "means must be finite, with shape (1 or 3, 3, 2)"),
        (lambda: face(means=np.full((3, 2), 5.0)), "means must lie in [0, 1] for mex_mf, got 5"),
        (lambda: face(eta=10**400), "eta must be a number above 0 or inf, got 1000"),
        (lambda: face(columns=3), "columns must divide n_actions, 2, got 3"),
        (lambda: face(means=[[1.0]]), "means must be finite, with shape (1 or 3, 3, 2)"),
        (lambda: face(eta=0), "eta must be a number above 0 or inf, got 0"),
        (lambda: face(n_arms=2), "unknown argument 'n_arms'"),
        (lambda: face().act(3), "x must be a state, 0 to 2, got 3"),
        (lambda: face().act(0.5), "x must be a state, 0 to 2, got 0.5"),
        (lambda: face().update(0, 2, 0.0, 0), "action must be an integer, 0 to 1, got 2"),
        (lambda: face().update(0, 1, 0.0, -1), "after must be a state, 0 to 2, got -1"),
        (lambda: face().update(0, 1, 1.2, 0), "reward must be in [0, 1] for mex_mf, got 1.2"),
        (lambda: face().update(0, 1, math.nan, 0), "reward must be finite, got nan"),
        (lambda: face().update(0, 1, 0, 0, "yes"), "terminated must be true or false, got 'yes'"),
        (lambda: face(steps=10**12), "mex_mf: there is no memory for n_states=3"),
        (lambda: face(means=[["a"]]), "means must be numbers in rows of one length"),
        (lambda: face(ends=False).update(0, 1, 0, 0, True), "terminated: give Agent ends=True"),
    ],
)
def test_mistakes_are_named_in_one_line(act, line):
    with pytest.raises(ValueError) as caught:
        act()
    assert line in str(caught.value) and "\n" not in str(caught.value)


# --- problems -----------------------------------------------------------------------------------

ONE = {"succ": [[[0]]], "prob": [[[1.0]]], "reward": [[[0.5]]], "start": 0, "steps": 2}


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"prob": [[[0.9]]]}, "the probabilities of state 0, action 0 sum to 0.9, not 1"),
        ({"prob": [[[1.0 + 1e-7]]]}, "sum to 1.0000001, not 1"),
        ({"prob": [[[-1.0]]]}, "prob must be finite and at least 0, got -1"),
        ({"succ": [[[2]]]}, "succ must lie in 0 .. 0, or be 1 for the end"),
        ({"reward": [[[1.5]]]}, "rewards must lie in [0, 1], got 1.5 to 1.5"),
        ({"reward": [[[math.nan]]]}, "rewards must lie in [0, 1]"),
        ({"reward": [[[1.05]]], "noise": -1.0}, "mean rewards must lie in [0, 1]"),
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"start": 1}, "start must be at most 0, got 1"),
        ({"start": [0.5]}, "start must be 1 probabilities that sum to 1"),
        ({"succ": [[0]]}, "must have one shape (L, S, A, K)"),
        ({"low": 1.0}, "low must be below high, by a finite number, got 1.0 and 1.0"),
        ({"succ": [[[0.7]]]}, "succ must hold states, whole numbers from 0 on"),
        ({"succ": [[[math.nan]]]}, "succ must hold states, whole numbers from 0 on"),
        ({"succ": [[[10**30]]]}, "succ must hold states, whole numbers from 0 on"),
        ({"succ": [[[0], [0, 0]]]}, "succ must be numbers in rows of one length"),
        ({"reward": [[["z"]]]}, "reward must be numbers in rows of one length"),
        ({"noise": math.nan}, "noise must be finite"),
        ({"noise": [1.0, 2.0]}, "noise must be a number or have shape (1, 1, 1), got (2,)"),
        ({"most": math.nan}, "most must be finite, got nan"),
        ({"most": 0.5}, "most must be at least the best value, 1, got 0.5"),
        ({"good": "x"}, "good must be a number, got 'x'"),
    ],
)
def test_a_wrong_model_is_refused_in_one_line(wrong, line):
    with pytest.raises(ValueError) as caught:
        tabular(**{**ONE, **wrong})
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_rewards_may_leave_the_promised_range_by_a_tenth():
    """As the costs of DeepSea do."""
    assert tabular(**{**ONE, "reward": [[[-0.05]]]}).rewards == (-0.05, -0.05)
    assert tabular(**{**ONE, "reward": [[[7.0]]], "high": 10.0}).rewards == (7.0, 7.0)


@pytest.mark.parametrize(
    ("name", "given", "line"),
    [
        ("river_swim", {"reward": "gaussian"}, "reward must be one of deterministic, bernoulli"),
        ("chain", {"kind": "long"}, "kind must be one of deterministic, stochastic, bootdqn"),
        ("hard_bandit", {"gap": 0.6}, "gap must lie in [0, 0.5], got 0.6"),
        ("garnet", {"b": 11}, "b must be at most 10, got 11"),
        ("discrete_env", {"id": 3}, "id must be the name of a Gymnasium environment, got 3"),
        ("discrete_env", {"id": "FrozenLake-v1", "options": 5}, "options must look like"),
        ("discrete_env", {"id": "FrozenLake-v1", "options": {"gamma": 1}}, "without id, gamma"),
        ("toytext", {"id": "FrozenLake-v1", "options": {"gamma": 1}}, "without id, gamma"),
        (
            "discrete_env",
            {"id": "FrozenLake-v1", "options": {"map_name": "9x9"}},
            "FrozenLake-v1: KeyError: '9x9'",
        ),
        ("deep_sea", {"N": 1}, "N must be at least 2, got 1"),
        ("deep_sea", {"N": 10**6}, "there is no memory for N=1000000"),
        ("river_swim", {"H": 10**12}, "there is no memory for H=1000000000000"),
        ("markov_game", {"n_states": 10**6}, "there is no memory for 1000000 states"),
        ("linear_mixture", {"n_states": 10**6}, "there is no memory for 3 models of 1000000"),
        ("discrete_env", {"id": "Blackjack-v1"}, "must have discrete observations and actions"),
        ("discrete_env", {"id": "FrozenLake-v1", "steps": 0}, "steps must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_of_problems_are_named(name, given, line):
    with pytest.raises(ValueError) as caught:
        banditlab.make_problem(name, **given)
    assert line in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (np.ones((1, 1, 1)), "rule must have shape (5, 4, 2), got (1, 1, 1)"),
        (np.full((5, 4, 2), 0.9), "rule must hold probabilities that sum to 1"),
        (np.full((5, 4, 2), math.nan), "rule must hold probabilities that sum to 1"),
        ("x", "rule must be numbers of shape (steps, states, actions)"),
    ],
)
def test_only_a_rule_has_a_value(rule, line):
    """Of another shape it would be read beyond its end."""
    env = gymnasium.make("banditlab/RiverSwim-v0", S=4, H=5).unwrapped
    env.reset(seed=1)
    assert env.gap(np.full((5, 4, 2), 0.5)) > 0.0
    with pytest.raises(ValueError) as caught:
        env.gap(rule)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_noise_without_bounds_is_refused_by_who_needs_bounds():
    arena = {"protocol": "episodic", "problem": {"name": "chain"}, "horizon": 3}
    with pytest.raises(ValueError, match='needs rewards within a range.*reward = "bernoulli"'):
        banditlab.simulate({**arena, "agents": [{"name": "mex_mf"}]})
    free = {"name": "psrl", "reward": "gaussian"}
    banditlab.simulate({**arena, "agents": [free], "replications": 1})


# --- environments of others ---------------------------------------------------------------------


def test_an_environment_with_a_table_is_an_arena(tmp_path, capsys):
    words = "--env FrozenLake-v1 --agent mex_mb --vs uniform_play --horizon 60 --replications 2"
    extra = ["--set", "problem.steps=8", "--json", "--quiet", "--out", str(tmp_path)]
    assert main([*words.split(), *extra]) == 0
    found = json.loads(capsys.readouterr().out)["panels"][0]
    assert [row["agent"] for row in found["results"]] == ["mex_mb", "uniform_play"]
    assert (tmp_path / "curves.csv").exists()


def test_planners_go_where_they_went(capsys):
    assert main(["--env", "FrozenLake-v1", "--agent", "vi_lcb", "--vs", "mex_mb"]) == 2
    assert "wanted is one that plans from a log" in capsys.readouterr().err
    assert main(["--env", "FrozenLake-v1", "--agent", "mex_mb", "--vs", "vi_lcb"]) == 2
    assert "does not learn by playing episodes" in capsys.readouterr().err


def test_any_other_is_played(tmp_path, capsys):
    """Blackjack: hands and cards are numbered through; learning beats even play."""
    words = "--env Blackjack-v1 --agent epsilon_greedy_q --horizon 2000 --replications 2 --json"
    assert main([*words.split(), "--out", str(tmp_path)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n_states"], found["n_actions"]) == (704, 2)
    learned, even = found["agents"]
    assert learned["last"]["value"] > even["last"]["value"]
    lines = (tmp_path / "returns.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 2 * 2000 and lines[0] == "agent,run,episode,return"


class Corridor(gymnasium.Env):
    """Two steps to the right, then it ends and pays 1; it never cuts off."""

    observation_space = gymnasium.spaces.MultiDiscrete([3, 1])
    action_space = gymnasium.spaces.Discrete(2, start=5)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = 0
        return np.array([0, 0]), {}

    def step(self, action):
        self.place = max(0, self.place + (1 if action == 6 else -1))
        return np.array([self.place, 0]), float(self.place == 2), self.place == 2, False, {}


def test_numbered_spaces_actions_from_anywhere_and_no_limit_of_its_own():
    gymnasium.register("banditlab-tests/Corridor-v0", Corridor)
    given = {"steps": 4, "low": 0.0, "high": 1.0}
    found, returns = episodes.play(
        "banditlab-tests/Corridor-v0", ["mex_mf"], None, given, episodes=40, runs=2, seed=1
    )
    assert returns.shape == (1, 2, 40) and (returns[0, :, -10:] == 1.0).all()
    assert found["steps"] == 4 and len(found["notes"]) == 1
    again = episodes.play(
        "banditlab-tests/Corridor-v0", ["mex_mf"], None, given, episodes=40, runs=2, seed=1
    )
    np.testing.assert_array_equal(returns, again[1])
    # A reward beyond the range ends it, and what to say instead is said.
    with pytest.raises(ValueError, match=r"a step paid 1, .* \[0, 0.5\]: give --set problem.low"):
        episodes.play(
            "banditlab-tests/Corridor-v0", ["mex_mf"], None, {**given, "high": 0.5}, episodes=40
        )
    with pytest.raises(ValueError, match="unknown argument 'gamma'"):
        episodes.play("banditlab-tests/Corridor-v0", ["mex_mf"], None, {"gamma": 0.9})
    del gymnasium.registry["banditlab-tests/Corridor-v0"]
