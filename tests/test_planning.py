"""Planning outside the arenas: --env with and without a transition table, --log of transitions."""

import io
import json

import gymnasium
import numpy as np
import pandas
import pytest
from rich.console import Console

from banditlab import make
from banditlab.arena import spec
from banditlab.cli.main import main
from banditlab.data.transitions import Dataset
from banditlab.mdp import evaluate, from_table, solve, uniform_policy, value
from banditlab.offpolicy import fqe
from banditlab.protocols.offline_mdp import learn
from banditlab.reports import environment, plans
from banditlab.reports import transitions as planning

LAST = 4


class Chain(gymnasium.Env):
    """On to the last state, from which 1 is paid; each step on may fail, and leads back to 0.

    Action 1 goes on, action 0 takes 0.3 and ends the episode.
    """

    def __init__(self, fail=0.2):
        self.fail = fail
        self.observation_space = gymnasium.spaces.Discrete(LAST + 1)
        self.action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = 0
        return 0, {}

    def step(self, action):
        if action == 0:
            return self.state, 0.3, True, False, {}
        if self.np_random.random() < self.fail:
            self.state = 0
            return 0, 0.0, False, False, {}
        if self.state == LAST:
            return LAST, 1.0, True, False, {}
        self.state += 1
        return self.state, 0.0, False, False, {}


class Walk(gymnasium.Env):
    """Two states for ever: action 1 changes the state, and state 1 costs 1 a step."""

    observation_space = gymnasium.spaces.Discrete(2)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = int(self.np_random.integers(2))
        return self.state, {}

    def step(self, action):
        cost = -float(self.state)
        self.state = self.state ^ int(action)
        return self.state, cost, False, False, {}


gymnasium.register("PlanningChain-v0", Chain, max_episode_steps=100)
gymnasium.register("PlanningWalk-v0", Walk)


def chain(fail, **kw):
    """The same, as a table."""
    table = {}
    for s in range(LAST + 1):
        on = (1 - fail, LAST, 1.0, True) if s == LAST else (1 - fail, s + 1, 0.0, False)
        table[s] = {0: [(1.0, s, 0.3, True)], 1: [(fail, 0, 0.0, False), on]}
    return from_table(table, [1.0, 0, 0, 0, 0], **kw)


def near(found, exact, errors=4):
    """Whether the value is within so many standard errors, read off its 95% interval."""
    error = (found["hi"] - found["lo"]) / 2 / 1.96
    return abs(found["value"] - exact) <= errors * error + 1e-12


def rows_of(found):
    return {row["agent"]: row for row in found["policies"]}


CHAIN = ["--env", "PlanningChain-v0", "--agent", "vi_lcb", "--set", "problem.gamma=0.9"]
CHAIN += ["--set", 'problem.options={"fail": 0.1}', "--seed", "7"]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """What --json prints, the folder of --out, and what was said on standard error."""
    out = tmp_path_factory.mktemp("planning") / "out"
    shown = pytest.MonkeyPatch()
    stream = io.StringIO()
    with shown.context() as patch:
        patch.setattr("sys.stdout", stream)
        words = ["--horizon", "8000", "--replications", "400", "--out", str(out), "--json"]
        assert main([*CHAIN, *words]) == 0
    return json.loads(stream.getvalue()), out


def test_what_is_played_and_estimated_agrees_with_the_exact_values(played):
    found, _ = played
    rows = rows_of(found)
    mdp = chain(0.1, gamma=0.9)
    exact = {
        "vi_lcb": solve(mdp).J,
        "vi_ce": solve(mdp).J,
        "behaviour": value(mdp, uniform_policy(mdp)),
    }
    for name, J in exact.items():
        for how in ("played", "fqe"):
            assert near(rows[name][how], J), (name, how, J, rows[name][how])
    assert near(rows["behaviour"]["wpdis"], exact["behaviour"])
    # Going on is worth more than twice as much, so that one policy's value is not another's.
    assert exact["vi_lcb"] > 1.5 * exact["behaviour"]
    assert not near(rows["vi_lcb"]["fqe"], exact["behaviour"])


def test_json_has_one_shape(played):
    found, out = played
    assert list(found) == [
        "env", "log", "rows", "episodes", "n_states", "n_actions", "gamma", "horizon",
        "policies", "states", "notes",
    ]  # fmt: skip
    assert (found["env"], found["log"], found["rows"]) == ("PlanningChain-v0", None, 8000)
    assert (found["n_states"], found["n_actions"], found["gamma"]) == (5, 2, 0.9)
    assert [row["agent"] for row in found["policies"]] == ["vi_lcb", "bc", "vi_ce", "behaviour"]
    for row in found["policies"]:
        assert list(row) == ["agent", "played", "fqe", "wpdis", "support"]
        assert list(row["played"]) == ["value", "lo", "hi", "episodes"]
        assert row["played"]["episodes"] == 400
        assert list(row["fqe"]) == ["value", "lo", "hi"]
        assert list(row["wpdis"]) == ["value", "lo", "hi", "ess"]
        for key in ("played", "fqe"):
            lo, middle, hi = (row[key][name] for name in ("lo", "value", "hi"))
            assert lo <= middle + 1e-12 and middle <= hi + 1e-12  # one return for all is rounded
    assert sorted(path.name for path in out.iterdir()) == ["log.parquet", "summary.json"]
    assert json.loads((out / "summary.json").read_text()) == found


def test_the_log_that_was_written_gives_the_same_estimates(played, capsys, monkeypatch, tmp_path):
    found, out = played
    monkeypatch.chdir(tmp_path)
    words = ["--log", str(out / "log.parquet"), "--set", "problem.gamma=0.9", "--seed", "7"]
    assert main(["--agent", "vi_lcb", *words, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert list(again) == list(found) and again["log"] == "log.parquet"
    for name in ("vi_lcb", "bc", "vi_ce"):
        one, other = rows_of(found)[name], rows_of(again)[name]
        assert other["played"] is None
        assert (one["fqe"], one["wpdis"]) == (other["fqe"], other["wpdis"])
    # All that was logged decides what to do; going on is best everywhere.
    counts = Dataset.read(out / "log.parquet").counts()
    for row in again["states"]:
        n = counts[row["state"]]
        assert row["rows"] == n.sum()
        assert row["actions"]["vi_lcb"] == {"best": [1], "rows": n[1]}
        assert row["actions"]["bc"] == {"best": [int(n.argmax())], "rows": n.max()}
        assert list(row["actions"]) == ["vi_lcb", "bc", "vi_ce"]
    assert [row["state"] for row in again["states"]] == [0, 1, 2, 3, 4]
    assert list(tmp_path.iterdir()) == []


def test_the_tables_that_are_printed(played, capsys, monkeypatch):
    found, out = played
    monkeypatch.setenv("COLUMNS", "110")
    assert main(["--agent", "vi_lcb", "--log", str(out / "log.parquet")]) == 0
    shown = capsys.readouterr().out
    for words in ("N(s, a)", "FQE", "WPDIS", "ESS", "gamma 0.95", "8,000 rows in", "behaviour"):
        assert words in shown
    assert "played" not in shown
    console = Console(file=io.StringIO(), width=110)
    planning.render(found, console)
    shown = console.file.getvalue()
    assert "played" in shown and "N(s, a)" not in shown and "400 episodes" in shown
    best = found["policies"][0]["played"]
    assert f"{best['value']:.3g} ({best['lo']:.3g} to {best['hi']:.3g})" in shown


def test_halves_are_whole_episodes_each_in_one_half():
    data = Dataset.collect("PlanningChain-v0", episodes=41)
    one, other = plans.halves(data, seed=3)
    taken = [set(half.episode.tolist()) for half in (one, other)]
    assert not taken[0] & taken[1] and taken[0] | taken[1] == set(range(41))
    assert len(one) + len(other) == len(data) and len(taken[0]) == 20
    assert taken[0] != set(plans.halves(data, seed=4)[0].episode.tolist())
    policy = learn(make("bc"), one.model(gamma=0.9))
    (row, _) = planning.report(data, ["bc"], {}, {"gamma": 0.9}, seed=3)["policies"]
    assert row["fqe"]["value"] == fqe(other, policy, 0.9, draws=2).value
    assert row["fqe"]["value"] != fqe(one, policy, 0.9, draws=2).value


def test_a_finite_horizon_with_an_agent_that_needs_one():
    found, data = environment.play(
        "PlanningChain-v0", ["pevi_adv"], {}, {"horizon": 6}, rows=3000, episodes=1000, seed=1
    )
    assert data.step.max() == 5 and (found["gamma"], found["horizon"]) == (1.0, 6)
    mdp = chain(0.2, horizon=6)
    for how in ("played", "fqe", "wpdis"):
        assert near(rows_of(found)["behaviour"][how], value(mdp, uniform_policy(mdp))), how


def test_an_environment_without_an_end_or_a_time_limit():
    told = []
    found, data = environment.play(
        "PlanningWalk-v0", ["vi_lcb"], {}, {"gamma": 0.8}, rows=2000, episodes=50, seed=2,
        progress=lambda *what: told.append(what),
    )  # fmt: skip
    assert not data.terminated.any() and data.step.max() == 41  # 0.8^42 < 1e-4 <= 0.8^41
    table = {s: {a: [(1.0, s ^ a, -float(s), False)] for a in (0, 1)} for s in (0, 1)}
    mdp = from_table(table, [0.5, 0.5], gamma=0.8)
    rows = rows_of(found)
    assert rows["vi_lcb"]["fqe"]["lo"] <= solve(mdp).J <= rows["vi_lcb"]["fqe"]["hi"]
    assert near(rows["behaviour"]["played"], value(mdp, uniform_policy(mdp)))
    assert all(before[1] <= after[1] for before, after in zip(told, told[1:], strict=False))
    assert {what for what, _, _ in told} >= {"logging", "estimating vi_lcb", "playing behaviour"}
    assert told[0][1] == 0 and 0.8 < told[-1][1] / told[-1][2] <= 1.0


def test_a_log_without_episodes_or_propensities(played):
    found, out = played
    frame = pandas.read_parquet(out / "log.parquet").drop(columns=["propensity"])
    without = planning.report(frame, ["vi_lcb"], {}, {"gamma": 0.9})
    assert all(row["wpdis"] is None and row["fqe"] for row in without["policies"])
    assert "no WPDIS: there is no column 'propensity'" in without["notes"]
    loose = planning.report(frame.drop(columns=["episode"]), ["vi_lcb"], {}, {"gamma": 0.9})
    assert loose["episodes"] is None
    mdp = chain(0.1, gamma=0.9)
    law = np.bincount(frame["state"], minlength=6) / len(frame)  # END is never left
    exact = float(law @ evaluate(mdp, solve(mdp).policy)[0])
    assert near(rows_of(loose)["vi_lcb"]["fqe"], exact)
    assert exact > 1.1 * solve(mdp).J
    few = planning.report(frame[frame["episode"] < 3], ["bc"])
    assert all(row["fqe"] is None and row["wpdis"] is None for row in few["policies"])
    assert few["states"] and "at least 4 episodes" in few["notes"][0]
    planning.render(few, Console(file=io.StringIO()))


def test_importance_sampling_knows_nothing_of_what_was_never_done():
    """Every logged episode ends in a loss; certainty equivalence does what was not tried."""
    rows = {"state": [0, 1] * 9, "action": [1, 0] * 9, "reward": [0.0, -1.0] * 9}
    rows |= {"next_state": [1, 1] * 9, "terminated": [0, 1] * 9, "truncated": [0] * 18}
    rows |= {"propensity": [0.5] * 18, "episode": np.repeat(np.arange(9), 2)}
    more = {"reward": [0.0, 1.0] * 9, "action": [1, 1] * 9, "episode": rows["episode"] + 9}
    data = Dataset.of(pandas.DataFrame(rows))
    (row, _) = planning.report(data, ["vi_ce"])["policies"]
    assert row["wpdis"] == {"value": None, "lo": None, "hi": None, "ess": 0.0}
    both = pandas.concat([pandas.DataFrame(rows), pandas.DataFrame({**rows, **more})])
    (row, _) = planning.report(both, ["vi_ce"])["policies"]
    assert row["wpdis"]["value"] == pytest.approx(0.95) and row["wpdis"]["ess"] > 1


# --- an environment with a table ----------------------------------------------------------------


def test_an_environment_with_a_table_is_an_arena(tmp_path, capsys):
    words = ["--env", "FrozenLake-v1", "--agent", "bc", "--vs", "behaviour"]
    words += ["--set", "problem.C=1.5"]
    words += ["--horizon", "1000", "--replications", "3", "--out", str(tmp_path / "run"), "--json"]
    assert main(words) == 0
    (panel,) = json.loads(capsys.readouterr().out)["panels"]
    assert (panel["measure"], panel["t"], panel["replications"]) == ("gap", 1000, 3)
    assert {row["agent"] for row in panel["results"]} == {"bc", "behaviour"}
    run = json.loads((tmp_path / "run" / "run.json").read_text())["arena"]
    assert run["title"] == "FrozenLake-v1: learning from a log"
    problem = run["panels"][0]["problem"]
    assert problem == {"name": "toytext", "id": "FrozenLake-v1", "C": 1.5}
    assert (run["panels"][0]["yscale"], run["panels"][0]["linthresh"]) == ("symlog", 0.001)
    assert (tmp_path / "run" / "figure.png").exists()


def test_an_arena_of_a_finite_horizon(tmp_path, capsys):
    words = ["--env", "FrozenLake-v1", "--agent", "pevi_adv", "--vs", "bc", "--horizon", "100"]
    words += ["--replications", "2", "--out", str(tmp_path), "--json"]
    assert main([*words, "--set", "problem.horizon=5"]) == 0
    (panel,) = json.loads(capsys.readouterr().out)["panels"]
    assert {row["agent"] for row in panel["results"]} == {"pevi_adv", "bc"}


def test_the_arena_as_data():
    data = environment.arena(
        "CliffWalking-v1", ["vi_lcb", "bc"], {"vi_lcb": {"c_b": 1}}, {"gamma": 0.9}, seed=3
    )
    arena = spec.read_arena(data)
    (panel,) = arena.panels
    assert panel.checkpoints == [100, 300, 1000, 3000, 10_000, 30_000, 100_000]
    assert (panel.replications, arena.seed) == (20, 3)
    assert panel.linthresh == 1.0  # values lie in [-1000, 0]
    assert panel.agents[0].hyper == {"c_b": 1} and panel.problem.parameters["gamma"] == 0.9
    assert plans.company("pevi", []) == ["pevi", "bc", "vi_ce", "behaviour"]
    assert plans.company(None, []) == ["vi_lcb", "bc", "vi_ce", "behaviour"]
    assert plans.company("vi_ce", ["bc", "vi_ce"]) == ["vi_ce", "bc"]
    assert environment.round_numbers(20) == [1, 3, 10, 20]
    named = environment.arena("gymnasium:FrozenLake-v1", ["bc"])
    assert named["name"] == "env-gymnasium-FrozenLake-v1"


def test_an_id_may_name_the_module_that_registers_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "planning_module.py").write_text(
        "import gymnasium\n"
        "class Stay(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Discrete(1)\n"
        "    action_space = gymnasium.spaces.Discrete(2)\n"
        "    def reset(self, *, seed=None, options=None): return 0, {}\n"
        "    def step(self, action): return 0, float(action), True, False, {}\n"
        "gymnasium.register('Stay-v0', Stay)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    words = ["--env", "planning_module:Stay-v0", "--horizon", "200", "--replications", "9"]
    assert main([*words, "--json"]) == 0
    rows = rows_of(json.loads(capsys.readouterr().out))
    assert rows["vi_lcb"]["played"] == {"value": 1.0, "lo": 1.0, "hi": 1.0, "episodes": 9}
    assert rows["vi_lcb"]["fqe"]["value"] == 1.0


# --- what is refused ----------------------------------------------------------------------------

BAD = [
    (["--env", "Taxi-v3"], "use `Taxi-v4` instead"),
    (["--env", "FrozenLak-v1"], "Did you mean: `FrozenLake`"),
    (["--env", "nomodule_here:Foo-v0"], "No module named 'nomodule_here'"),
    (["--env", "CartPole-v1"], "states must be finitely many"),
    (["--env", "MountainCarContinuous-v0"], "must be finitely many"),
    (["--env", "FrozenLake-v1", "--agent", "ucb"], "agent 'ucb' learns while it plays"),
    (["--env", "PlanningChain-v0", "--vs", "ucb"], "agent 'ucb' learns while it plays"),
    (["--env", "PlanningChain-v0", "--agent", "vi_lbc"], "did you mean vi_lcb"),
    (["--env", "PlanningChain-v0", "--set", "vi_lcb.cb=1"], "did you mean c_b"),
    (["--env", "PlanningChain-v0", "--set", "ucb.alpha=1"], "unknown agent 'ucb'"),
    (["--env", "PlanningChain-v0", "--set", "problem.gama=1"], "did you mean gamma"),
    (["--env", "PlanningChain-v0", "--set", "problem.gamma=1"], "gamma must lie in [0, 1)"),
    (["--env", "PlanningChain-v0", "--set", "problem.options=3"], "problem.options must look like"),
    (["--env", "PlanningChain-v0", "--set", 'problem.options={"fial":1}'], "'fial'"),
    (["--env", "PlanningChain-v0", "--agent", "pevi_adv"], "needs a finite horizon"),
    (["--env", "PlanningWalk-v0", "--agent", "lcb", "--horizon", "99"], "needs rewards in [0, 1]"),
    (["--env", "CliffWalking-v1", "--agent", "lcb"], "needs rewards in [0, 1]"),
    (["--env", "FrozenLake-v1", "--set", "problem.id=Taxi-v4"], "that is what --env says"),
    (["--env", "FrozenLake-v1", "--arena", "lcb"], "--arena is not for --env"),
    (["--env", "FrozenLake-v1", "--log", "some.csv"], "leave out --log"),
]


@pytest.mark.parametrize(("words", "line"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_one_line_exit_2_nothing_written(words, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--out", "out"]) == 2
    done = capsys.readouterr()
    assert line in done.err and len(done.err.strip().splitlines()) == 1, done.err
    assert done.out == "" and list(tmp_path.iterdir()) == []


HEAD = "state,action,reward,next_state,terminated,truncated"
BAD_LOGS = [
    ("action,reward,next_state\n0,1,0\n", "vi_lcb", "the dataset has no column 'state'"),
    (f"{HEAD}\n0,0,1,0,1,1\n", "vi_lcb", "truncated: row 0"),
    (f"{HEAD}\n", "vi_lcb", "the dataset is empty"),
    (f"{HEAD}\n0,0,1,0,1,0\n", "ucb", "agent 'ucb' learns while it plays"),
    (f"{HEAD}\n0,0,7,0,1,0\n", "lcb", "reward: row 0 has 7"),
    ("action,rewards\n0,1\n", "lcb", "the log has no column 'reward'"),
]


@pytest.mark.parametrize(("text", "agent", "line"), BAD_LOGS)
def test_bad_logs(text, agent, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.csv").write_text(text)
    assert main(["--agent", agent, "--log", "log.csv"]) == 2
    done = capsys.readouterr()
    assert line in done.err and len(done.err.strip().splitlines()) == 1, done.err
    assert done.out == "" and [path.name for path in tmp_path.iterdir()] == ["log.csv"]


def test_a_log_of_a_bandit_is_reported_as_ever(tmp_path, capsys):
    path = tmp_path / "log.csv"
    path.write_text("action,reward,propensity\n" + "0,1,0.5\n1,0,0.5\n" * 20)
    assert not planning.is_dataset(path) and not planning.is_dataset(tmp_path / "none.parquet")
    assert main(["--agent", "lcb", "--log", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["contexts"][0]["lcb"]["arms"] == [0] and "policies" not in found


# --- what is played is what is estimated --------------------------------------------------------


class Short(Walk):
    """Pays 1 a step, and cuts itself off after 6 steps, which no wrapper could take away."""

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return super().reset(seed=seed)

    def step(self, action):
        self.t += 1
        seen, *_ = super().step(action)
        return seen, 1.0, False, self.t == 6, {}


gymnasium.register("PlanningShort-v0", Short)


def test_an_environment_that_cuts_its_episodes_is_valued_as_it_is_played():
    found, data = environment.play(
        "PlanningShort-v0", ["bc"], {}, {"gamma": 0.9}, rows=600, episodes=10
    )
    exact = (1 - 0.9**6) / (1 - 0.9)
    for row in found["policies"]:
        for how in ("played", "fqe", "wpdis"):
            assert row[how]["value"] == pytest.approx(exact), (row["agent"], how)
    assert any("cuts episodes off after 6 steps" in note for note in found["notes"])
    # In a log the same cuts are a fact about the log: both values are named, and why they differ.
    logged = planning.report(data, ["bc"], {}, {"gamma": 0.9})
    (row, _) = logged["policies"]
    assert row["fqe"]["value"] == pytest.approx(10.0)
    assert row["wpdis"]["value"] == pytest.approx(exact)
    assert any("episodes are cut off after 6 steps: WPDIS is" in note for note in logged["notes"])


def test_names_flags_and_columns_of_a_log_of_transitions(tmp_path, capsys):
    n = 12
    rows = pandas.DataFrame(
        {
            "page": ["home", "cart"] * n, "act": ["go", "buy"] * n, "pay": [0.0, 5.0] * n,
            "to": ["cart", ""] * n, "terminal": [0, 1] * n, "timeout": [0, 0] * n,
            "visit": np.repeat([f"v{k}" for k in range(n)], 2),
        }
    )  # fmt: skip
    rows.to_csv(tmp_path / "visits.csv", index=False, sep=";")
    words = ["--agent", "bc", "--vs", "lcb", "--log", str(tmp_path / "visits.csv")]
    words += ["--columns", "state=page,action=act,reward=pay,next_state=to,episode=visit"]
    assert main(words) == 2
    assert "needs rewards in [0, 1]: give their range, for instance --low 0 --high 5" in (
        capsys.readouterr().err
    )
    assert main([*words, "--low", "0", "--high", "5", "--estimate-propensity", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in found["states"]] == ["cart", "home"]
    assert found["states"][0]["actions"]["bc"] == {"best": ["buy"], "rows": n}
    assert found["policies"][0]["wpdis"]["value"] == pytest.approx(0.95 * 5)
    notes = " ".join(found["notes"])
    for part in ("'terminal' is read as terminated", "propensities were estimated", "by state"):
        assert part in notes
    assert main(["--agent", "vi_lcb", "--log", str(tmp_path / "visits.csv")]) == 2
    assert "has no column 'next_state'" in capsys.readouterr().err
