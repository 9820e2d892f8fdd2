"""Datasets of transitions: what is read, what is refused and how, and what is counted."""

import gymnasium
import numpy as np
import pandas
import pytest
from gymnasium.vector import AutoresetMode

from banditlab.data.transitions import COLUMNS, Dataset
from banditlab.mdp import from_table, new_mdp, occupancy, solve, uniform_policy
from banditlab.protocols.offline_mdp import learn

LAKE = gymnasium.make("FrozenLake-v1").unwrapped


def lake(**kw):
    return from_table(LAKE.P, LAKE.initial_state_distrib, **(kw or {"gamma": 0.9}))


def columns(**changed):
    """Two episodes of three states: 0 -> 1 -> (over), and 1 -> 2 -> 2 (cut off)."""
    given = {
        "state": [0, 1, 1, 2],
        "action": [0, 1, 1, 0],
        "reward": [0.0, 1.0, 0.5, -1.0],
        "next_state": [1, 0, 2, 2],
        "terminated": [0, 1, 0, 0],
        "truncated": [0, 0, 0, 1],
        "propensity": [0.5, 0.25, 1.0, 1 / 3],
        "episode": [4, 4, 9, 9],
    }
    return {**given, **changed}


def frame(**changed):
    return pandas.DataFrame({k: v for k, v in columns(**changed).items() if v is not None})


def same(one, other):
    pandas.testing.assert_frame_equal(one.to_frame(), other.to_frame(), check_exact=True)


# --- what is read -------------------------------------------------------------------------------


def test_columns_have_their_types_and_derived_ones_their_values():
    data = Dataset(**columns())
    assert (len(data), data.n_states, data.n_actions) == (4, 3, 2)
    for name in COLUMNS:
        kind = {"reward": np.float64, "propensity": np.float64}.get(name, np.int64)
        kind = np.bool_ if name in ("terminated", "truncated") else kind
        assert getattr(data, name).dtype == kind, name
    assert data.starts.tolist() == [0, 2]
    assert data.step.tolist() == [0, 1, 0, 1]
    assert data.successor.tolist() == [1, 3, 2, 2]
    assert data.counts().tolist() == [[1, 0], [0, 2], [1, 0]]
    assert data.sums().tolist() == [[0, 0], [0, 1.5], [-1, 0]]


def test_rows_are_independent_without_an_episode_column():
    data = Dataset(**columns(episode=None, state=[2, 0, 0, 1]))  # a broken chain is none
    assert data.starts.tolist() == [0, 1, 2, 3]
    assert data.step.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("without", [(), ("propensity",), ("episode", "propensity")])
def test_files_come_back_as_they_were_written(tmp_path, ending, without):
    data = Dataset(**columns(**dict.fromkeys(without)))
    path = tmp_path / f"data.{ending}"
    data.write(path)
    for source in (path, str(path), data.to_frame(), data):
        same(Dataset.of(source), data)
    assert Dataset.read(path, n_states=7, n_actions=3).counts().shape == (7, 3)


def test_other_columns_are_passed_over_and_flags_may_be_words_of_pandas(tmp_path):
    given = frame(terminated=[False, True, False, False], info=list("abcd"))
    same(Dataset.of(given), Dataset(**columns()))


def test_the_dataset_is_a_copy():
    reward = np.zeros(4)
    data = Dataset(**columns(reward=reward))
    reward[0] = 7
    assert data.reward.tolist() == [0, 0, 0, 0]


def test_whole_episodes_are_taken():
    data = Dataset(**columns())
    part = data.take(data.episode == 9)
    assert part.state.tolist() == [1, 2]
    assert (part.n_states, part.propensity.tolist()) == (3, [1.0, 1 / 3])
    with pytest.raises(ValueError, match="^truncated: row 0 has 0, but it is the last of ep"):
        data.take([0])


# --- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"state": [0, -1, 1, 2]}, "state: row 1 has -1; row 0 of the same episode led to 1"),
        (
            {"state": [0, -1, 1, 2], "n_states": 3},
            "state: row 1 has -1; allowed are integers from 0 where n_states is given",
        ),
        (
            {"action": list("abba"), "n_actions": 2},
            "action: row 0 has a; allowed are integers from 0 where n_actions is given",
        ),
        ({"action": [0, 1, 0.5, 0]}, "action: row 2 has 0.5; allowed are integers and texts"),
        ({"reward": [0, 1, np.nan, 1]}, "reward: row 2 has nan; allowed are finite numbers"),
        (
            {"next_state": ["1", "", "2", ""]},
            "next_state: row 3 has nothing; allowed are integers and texts",
        ),
        ({"terminated": [0, 1, 0, 2]}, "terminated: row 3 has 2; allowed are 0 and 1"),
        ({"truncated": [0, np.nan, 0, 1]}, "truncated: row 1 has nan; allowed are 0 and 1"),
        (
            {"propensity": [0.5, 0.0, 1, 1]},
            r"propensity: row 1 has 0.0; allowed are numbers in \(0, 1\]",
        ),
        ({"reward": [0, 1]}, "reward: 2 rows, but state has 4"),
        # terminated and truncated mixed up
        (
            {"truncated": [0, 1, 0, 1]},
            "truncated: row 1 has 1 and is terminated too; what is over cannot be cut off, .*",
        ),
        # episodes
        (
            {"terminated": [1, 1, 0, 0]},
            "terminated: row 0 has 1, but row 1 is of the same episode 4; drop what .*",
        ),
        (
            {"truncated": [0, 0, 1, 1]},
            "truncated: row 2 has 1, but row 3 is of the same episode 9; drop what .*",
        ),
        (
            {"truncated": [0, 0, 0, 0]},
            "truncated: row 3 has 0, but it is the last of episode 9 and not terminated; .*",
        ),
        (
            {"episode": [4, 9, 4, 9]},
            "episode: row 2 has 4 again; the rows of an episode must follow each other",
        ),
        (
            {"next_state": [2, 0, 2, 2]},
            "state: row 1 has 1; row 0 of the same episode led to 2",
        ),
        # ranges that are told
        ({"n_states": 2}, "state: row 3 has 2; allowed are 0 to 1"),
        (
            {"n_states": 3, "next_state": [1, 3, 2, 3], "truncated": [0, 0, 0, 0], "episode": None},
            r"next_state: row 3 has 3; allowed are 0 to 2, and 3 \(END\) if terminated",
        ),
        (
            {"n_states": 3, "next_state": [1, 4, 2, 2]},
            r"next_state: row 1 has 4; allowed are 0 to 2, and 3 \(END\) if terminated",
        ),
        ({"n_actions": 1}, "action: row 1 has 1; allowed are 0 to 0"),
        ({"n_states": -1}, "n_states must be at least 0, got -1"),
    ],
)
def test_the_first_bad_row_is_named_with_what_is_allowed(changed, line):
    with pytest.raises(ValueError, match=f"^{line}$"):
        Dataset(**columns(**changed))


def test_a_truncation_mapped_to_the_end_is_refused():
    line = "^truncated: row 3 enters state 3, where episodes are over; a truncated episode goes on:"
    # END is told, and named as the successor of a cut.
    with pytest.raises(ValueError, match=line):
        Dataset(**columns(next_state=[1, 3, 2, 3], n_states=3))
    # It is not told, but terminated rows enter state 3 and no row leaves it.
    with pytest.raises(ValueError, match=line):
        Dataset(**columns(next_state=[1, 3, 2, 3]))
    # Terminated rows may enter END, or whatever was observed; cut ones any ordinary state.
    Dataset(**columns(next_state=[1, 3, 2, 2], n_states=3))
    Dataset(**columns(next_state=[1, 3, 2, 3], n_states=4))
    Dataset(**columns(next_state=[1, 0, 2, 0]))  # terminated rows enter 0, but row 0 leaves it


def test_a_time_limit_that_ends_in_the_goal_is_found_out_by_the_model():
    # FrozenLake, state 14, right: 15 is the goal. Marked as cut off it would go on from there.
    goal = {"state": [14], "action": [2], "reward": [1.0], "next_state": [15]}
    Dataset(**goal, terminated=[1], truncated=[0], n_states=16).fits(lake())
    for flags in ({"terminated": [0], "truncated": [1]}, {"terminated": [0], "truncated": [0]}):
        with pytest.raises(ValueError, match="^next_state: row 0 has 15, not terminated; state 14"):
            Dataset(**goal, **flags, n_states=16).fits(lake())
    with pytest.raises(ValueError, match="^terminated: row 0 has 1, but state 0, action 0 cannot"):
        Dataset([0], [0], [0], [4], [1], [0], n_states=16).fits(lake())
    with pytest.raises(ValueError, match="^next_state: row 0 has 9, not terminated; state 0, act"):
        Dataset([0], [0], [0], [9], [0], [0], n_states=16).fits(lake())
    with pytest.raises(ValueError, match="^action: row 0 has 4; allowed are 0 to 3 in the model$"):
        Dataset([0], [4], [0], [0], [0], [0], n_states=16).fits(lake())


def test_other_bad_datasets_are_refused(tmp_path):
    with pytest.raises(ValueError, match="^the dataset is empty$"):
        Dataset.of(frame().iloc[:0])
    with pytest.raises(ValueError, match="^the dataset has no column 'truncated'; it has state,"):
        Dataset.of(frame(truncated=None))
    with pytest.raises(ValueError, match="^unknown column 'episodes'; did you mean 'episode'[?]$"):
        Dataset.of(frame(episode=None, episodes=[0, 0, 1, 1]))
    with pytest.raises(ValueError, match="^a dataset is a path, a frame, an Arrow table or a "):
        Dataset.of(3)
    with pytest.raises(ValueError, match="^data.txt: a dataset ends in .csv, .tsv, "):
        Dataset.read("data.txt")
    with pytest.raises(ValueError, match="^no such file: nowhere.csv$"):
        Dataset.read("nowhere.csv")
    for name, text, line in (
        ("a.csv", "", "the dataset is empty"),
        ("b.parquet", "no parquet", "not readable as parquet: .*"),
        ("c.csv", frame(reward=[0, 1, 2, np.inf]).to_csv(), "reward: row 3 has inf; allowed .*"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=f"^{name}: {line}$"):
            Dataset.read(tmp_path / name)


# --- sufficient statistics ----------------------------------------------------------------------


def test_the_model_has_every_row_once_and_an_end():
    data = Dataset(**columns(), n_states=3)
    m = data.model(gamma=0.9)
    assert m.succ.shape[:2] == (4, 2)
    assert m.terminal.tolist() == [False, False, False, True]
    assert (m.rows, m.gamma, m.horizon) == (4, 0.9, 0)
    found = {
        (s, a, int(m.succ[s, a, k]), float(m.reward[s, a, k]))
        for _, s, a, k in np.argwhere(m.counts > 0)
    }
    # The second row is terminated: it leads to END, 3, and not to what was observed, 0.
    assert found == {(0, 0, 1, 0.0), (1, 1, 3, 1.0), (1, 1, 2, 0.5), (2, 0, 2, -1.0)}
    np.testing.assert_array_equal(m.n[0, :3], data.counts())
    np.testing.assert_allclose(m.r[0, 1], [0, 0.75])
    assert (m.v_min, m.v_max) == pytest.approx((-10.0, 5.0))  # -1 and .5 for ever; 1 only once


def test_the_model_of_a_finite_horizon_counts_steps_apart():
    m = Dataset(**columns()).model(horizon=2)
    assert m.n.shape == (2, 4, 2)
    assert m.n[0, :3].tolist() == [[1, 0], [0, 1], [0, 0]]
    assert m.n[1, :3].tolist() == [[0, 0], [0, 1], [1, 0]]
    with pytest.raises(ValueError, match="^step: row 1 has 1; allowed are 0 to 0, the horizon's$"):
        Dataset(**columns()).model(horizon=1)
    with pytest.raises(ValueError, match="^the dataset has no column 'episode', so steps are unk"):
        Dataset(**columns(episode=None)).model(horizon=2)


def test_an_outcome_is_a_next_state_and_a_reward():
    rng = np.random.default_rng(1)
    n = 500
    s, a, after = rng.integers(4, size=n), rng.integers(3, size=n), rng.integers(5, size=n)
    reward, over = rng.integers(3, size=n) / 2, rng.integers(2, size=n)
    data = Dataset(s, a, reward, np.minimum(after, 3), over, np.zeros(n), n_states=4)
    m = data.model(gamma=0.5)
    assert m.counts.sum() == n
    seen = np.argwhere(m.counts[0] > 0)
    for s1, a1, k in seen:
        rows = (data.state == s1) & (data.action == a1)
        rows &= (data.successor == m.succ[s1, a1, k]) & (data.reward == m.reward[s1, a1, k])
        assert rows.sum() == m.counts[0, s1, a1, k]
    outcomes = {(s1, a1, m.succ[s1, a1, k], m.reward[s1, a1, k]) for s1, a1, k in seen}
    assert len(outcomes) == len(seen)


# --- concentrability ----------------------------------------------------------------------------


def two_steps():
    """State 0 leads to 1 with action 1 and stays with action 0; state 1 ends and pays 1."""
    succ = np.array([[[0], [1]], [[2], [2]], [[2], [2]]])
    reward = np.array([[[0.0], [0.0]], [[1.0], [1.0]], [[0.0], [0.0]]])
    ends = [False, False, True]
    return lambda **kw: new_mdp(succ, np.ones(succ.shape), reward, [1, 0, 0], terminal=ends, **kw)


def test_concentrability_by_hand():
    mdp = two_steps()(gamma=0.5)
    # d* is 1/2 at (0, 1), 1/4 at (1, 0) and 1/4 at END. The log has 4, 1 and 1 rows of
    # (0, 1), (1, 0) and (0, 0): C = max(.5 / (4/6), .25 / (1/6)).
    data = Dataset([0, 0, 0, 0, 1, 0], [1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 0], [1, 1, 1, 1, 2, 0],
                   [0, 0, 0, 0, 1, 0], np.zeros(6), n_states=2)  # fmt: skip
    assert data.concentrability(mdp) == pytest.approx(1.5)
    stay = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    assert data.concentrability(mdp, stay) == pytest.approx(6.0)
    assert data.take([0, 1, 5]).concentrability(mdp) == np.inf


def test_concentrability_of_a_finite_horizon_is_that_of_the_worst_step():
    mdp = two_steps()(horizon=2)
    chain = {"reward": [0, 1, 0, 0], "next_state": [1, 2, 0, 1], "terminated": [0, 1, 0, 0]}
    data = Dataset([0, 1, 0, 0], [1, 0, 0, 1], **chain, truncated=[0, 0, 0, 1],
                   episode=[0, 0, 1, 1], n_states=2)  # fmt: skip
    # d*_0(0, 1) = d*_1(1, 0) = 1; half of the two episodes do either.
    assert data.concentrability(mdp) == pytest.approx(2.0)
    loose = Dataset([0], [0], [0], [0], [0], [0], n_states=2)
    with pytest.raises(ValueError, match="^the dataset has no column 'episode'"):
        loose.concentrability(mdp)


def test_an_experts_log_has_concentrability_near_one():
    mdp = lake()
    best = solve(mdp).policy
    steps = occupancy(mdp, best)
    rng = np.random.default_rng(2)
    n = 200_000
    pair = rng.choice(steps.size, n, p=steps.ravel() / steps.sum())
    s, a = np.unravel_index(pair, steps.shape[1:])
    on = ~mdp.terminal[s]
    s, a = s[on], a[on]
    k = (rng.random(s.size)[:, None] >= mdp.prob[s, a].cumsum(axis=1)).sum(axis=1)
    k = np.minimum(k, mdp.prob.shape[2] - 1)
    after = mdp.succ[s, a, k]
    data = Dataset(s, a, mdp.reward[s, a, k], after, mdp.terminal[after], np.zeros(s.size),
                   n_states=16)  # fmt: skip
    assert 1.0 < data.concentrability(mdp) / (on.mean()) < 1.2


# --- environments -------------------------------------------------------------------------------


def test_collected_episodes_fit_the_model_and_the_policy():
    rng = np.random.default_rng(3)
    policy = rng.dirichlet(np.ones(4), size=16)
    data = Dataset.collect(LAKE, policy, episodes=1500, seed=4)
    data.fits(lake())
    assert (data.starts.size, data.n_states, data.n_actions) == (1500, 16, 4)
    np.testing.assert_array_equal(data.propensity, policy[data.state, data.action])
    for s in range(15):
        n = data.counts()[s]
        if n.sum() > 400:  # four standard errors
            error = np.sqrt(policy[s] * (1 - policy[s]) / n.sum())
            assert (np.abs(n / n.sum() - policy[s]) < 4 * error).all()
    assert data.terminated[data.reward > 0].all()
    assert not (data.state == 15).any()


def test_collect_is_reproducible_and_takes_an_id():
    one, two = (Dataset.collect("FrozenLake-v1", steps=300, seed=s) for s in (5, 5))
    same(one, two)
    other = Dataset.collect("FrozenLake-v1", steps=300, seed=6)
    assert other.state.tolist() != one.state.tolist()
    assert (len(one), one.truncated[-1] or one.terminated[-1]) == (300, True)


def test_a_time_limit_is_a_truncation():
    env = gymnasium.make("FrozenLake-v1", max_episode_steps=5)
    data = Dataset.collect(env, episodes=300, seed=7)
    assert data.step.max() == 4
    assert (data.truncated == ((data.step == 4) & ~data.terminated)).all()
    assert data.truncated.sum() > 50
    data.fits(lake())  # no cut leads to END
    # Gymnasium may set both flags in the last step; what is over is then not cut off.
    assert (data.terminated & (data.step == 4)).sum() > 5


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_a_vector_environment_logs_no_resets(mode):
    def make():
        return gymnasium.make_vec(
            "FrozenLake-v1", 3, max_episode_steps=6, vector_kwargs={"autoreset_mode": mode}
        )

    data = Dataset.collect(make(), episodes=301, seed=8)
    data.fits(lake())  # a reset logged as a step would lead from a hole to the start
    assert data.starts.size == 301
    assert (data.state[data.starts] == 0).all()
    lengths = np.diff(np.append(data.starts, len(data)))
    single = Dataset.collect("FrozenLake-v1", episodes=300, seed=9)
    first = np.minimum(np.diff(np.append(single.starts, len(single))), 6)
    error = np.sqrt(lengths.var() / 301 + first.var() / 300)
    assert abs(lengths.mean() - first.mean()) < 4 * error
    by_steps = Dataset.collect(make(), steps=100, seed=8)
    assert len(by_steps) == 100
    # The copies that were under way are cut off, and nothing else is but by the limit.
    assert (by_steps.truncated & (by_steps.step < 5)).sum() <= 3


def test_a_policy_may_change_with_the_step():
    rule = np.zeros((3, 17, 4))  # END, which no step is taken in, may be there
    for t in range(3):
        rule[t, :, t] = 1.0
    env = gymnasium.make("FrozenLake-v1", max_episode_steps=3)
    data = Dataset.collect(env, rule, episodes=50, seed=10)
    assert (data.action == data.step).all()
    with pytest.raises(ValueError, match="^an episode is longer than the 3 steps of the policy$"):
        Dataset.collect("FrozenLake-v1", rule, episodes=50, seed=10)


def test_a_planner_learns_from_a_collected_log():
    # Deterministic and fully logged: the log is the model, and pessimism has nothing to say.
    from banditlab.agents.offline_rl.pevi import pevi

    env = gymnasium.make("FrozenLake-v1", is_slippery=False)
    data = Dataset.collect(env, episodes=3000, seed=11)
    table = env.unwrapped
    mdp = from_table(table.P, table.initial_state_distrib, gamma=0.9)
    policy = learn(pevi(beta=1e-3, ridge=1e-6), data.model(gamma=0.9))
    from banditlab.mdp import value

    assert value(mdp, policy) == pytest.approx(0.59049, abs=1e-9)
    assert value(mdp, uniform_policy(mdp)) < 0.1


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "give either episodes or steps, got 0 and 0"),
        ({"episodes": 1, "steps": 1}, "give either episodes or steps, got 1 and 1"),
        ({"steps": -1}, "steps must be at least 0, got -1"),
        ({"steps": 1, "policy": np.ones((16, 3)) / 3}, r"policy must have shape \(16, 4\), .*"),
        ({"steps": 1, "policy": np.ones((16, 4))}, "policy must hold probabilities that sum .*"),
        ({"steps": 1, "env": "CartPole-v1"}, "observations must be finitely .*, got Box"),
    ],
)
def test_bad_requests_are_refused_in_one_line(options, line):
    with pytest.raises(ValueError, match=f"^{line}"):
        Dataset.collect(**{"env": "FrozenLake-v1", **options})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_old_id_names_the_new_one():
    with pytest.raises(ValueError, match="Taxi-v4"):
        Dataset.collect("Taxi-v3", steps=1)


# --- spaces, masks and environments that fail ---------------------------------------------------


class Toy(gymnasium.Env):
    """Counts to ``last`` in a space of one's own; action "down" of a pair of actions is masked."""

    def __init__(self, space, states, masked=False, fail=0, outside=None, actions=2):
        self.observation_space, self.states = space, states
        self.action_space = gymnasium.spaces.Discrete(actions, start=5)
        self.masked, self.fail, self.outside, self.taken = masked, fail, outside, []

    def _info(self):
        return {"action_mask": np.array([0, 1], np.int8)} if self.masked else {}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.k = 0
        return self.states[0], self._info()

    def step(self, action):
        self.k += 1
        self.taken.append(action)
        if self.fail and self.k == self.fail:
            raise RuntimeError("the wheel\nfell off")
        seen = self.outside if self.outside is not None and self.k == 2 else self.states[self.k]
        return seen, 1.0, self.k == len(self.states) - 1, False, self._info()


S = gymnasium.spaces


@pytest.mark.parametrize(
    ("space", "states", "names"),
    [
        (S.Discrete(3, start=-1), [-1, 0, 1], (-1, 0, 1)),
        (S.Discrete(3, start=7), np.array([7, 8, 9]), (7, 8, 9)),
        (S.MultiDiscrete([2, 2]), [np.array([0, 0]), np.array([1, 0]), np.array([1, 1])],
         ("(0, 0)", "(0, 1)", "(1, 0)", "(1, 1)")),
        (S.MultiBinary(2), [np.array([0, 0]), np.array([1, 0]), np.array([1, 1])],
         ("(0, 0)", "(0, 1)", "(1, 0)", "(1, 1)")),
        (S.Tuple([S.Discrete(2, start=1), S.Discrete(2)]), [(1, 0), (2, 0), (2, 1)],
         ("(1, 0)", "(1, 1)", "(2, 0)", "(2, 1)")),
        (S.Dict({"a": S.Discrete(2), "b": S.Tuple([S.Discrete(2)])}),
         [{"a": 0, "b": (0,)}, {"a": 1, "b": (0,)}, {"a": 1, "b": (1,)}],
         ("(0, 0)", "(0, 1)", "(1, 0)", "(1, 1)")),
    ],
)  # fmt: skip
def test_finite_spaces_are_numbered_through(space, states, names):
    env = Toy(space, states)
    data = Dataset.collect(env, episodes=3, seed=1)
    assert data.states == names and data.actions == (5, 6)
    path = (0, 1, 2) if len(names) == 3 else (0, 2, 3)
    assert data.state.tolist() == list(path[:2]) * 3
    assert data.next_state.tolist() == list(path[1:]) * 3
    assert sorted(set(env.taken)) == [5, 6]  # the environment is given what it knows


def test_actions_may_be_pairs_too():
    env = Toy(S.Discrete(2), [0, 1])
    env.action_space = S.Tuple([S.Discrete(2), S.MultiDiscrete([2, 3])])
    data = Dataset.collect(env, episodes=40, seed=1)
    assert data.n_actions == 12 and data.actions[7] == "(1, 0, 1)"
    taken = env.taken[int(np.flatnonzero(data.action == 7)[0])]
    assert taken[0] == 1 and taken[1].tolist() == [0, 1]


def test_a_mask_is_kept_to_and_propensities_say_so():
    env = Toy(S.Discrete(3), [0, 1, 2], masked=True)
    data = Dataset.collect(env, episodes=5, seed=1)
    assert (data.action == 1).all() and (data.propensity == 1.0).all()
    never = np.tile([1.0, 0.0], (3, 1))  # does only what is masked: what is allowed is drawn evenly
    assert (Dataset.collect(env, never, episodes=2, seed=1).action == 1).all()


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        ({"fail": 2}, "Toy: step 2, action [56]: RuntimeError: the wheel fell off"),
        ({"outside": 9}, r"Toy: step 2 observes outside its space: 9 is not in Discrete\(3\)"),
        ({"outside": "x"}, "Toy: step 2 observes outside its space: 'x' is not in "),
        ({"outside": 1.5}, "Toy: step 2 observes outside its space: 1.5 is not in "),
    ],
)
def test_an_environment_that_fails_is_named_with_the_step(broken, line):
    with pytest.raises(ValueError, match=f"^{line}"):
        Dataset.collect(Toy(S.Discrete(3), [0, 1, 2], **broken), episodes=3)


def test_a_space_that_is_too_large_to_number_is_refused():
    with pytest.raises(ValueError, match="^observations: 1,000,000,000 are too many to number"):
        Dataset.collect(Toy(S.MultiDiscrete([1000] * 3), []), episodes=1)
