"""Protocol gym where nothing is trained but a number: neither torch nor MuJoCo is needed."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import gymnasium
import numpy as np
import pandas as pd
import pytest

import banditlab
from banditlab import random, registry, track
from banditlab.arena.spec import read_arena
from banditlab.parts.sparse_velocity import TASKS, SparseVelocity
from banditlab.protocols import gym
from banditlab.protocols.base import Aside, Terms
from banditlab.reports import deep

ROOT = Path(__file__).parent.parent
HERE = ROOT / "tests" / "data" / "gym"
CLIMBER, TARGET = str(HERE / "climber.py"), str(HERE / "target.py")
POINTS = [50, 100, 300]


def played(told=lambda steps: False, keep=None, owner="us", run="", **hyper):
    """The row of replication 2 with seed 5."""
    algorithm = registry.make(CLIMBER, **hyper)
    row = np.full((len(POINTS), 8), np.nan)
    problem = registry.make_problem(TARGET)
    key = random.key(5)
    gym.play(
        algorithm, problem, 300, key, 2, POINTS, row, told=told, keep=keep, owner=owner, run=run
    )
    return row


def arena(**more):
    return {
        "name": "climb", "protocol": "gym", "problem": {"name": TARGET},
        "agents": [{"name": CLIMBER}], "horizon": 300, "checkpoints": POINTS, "replications": 2,
        "seed": 5, **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def curves():
    return banditlab.simulate(arena(replications=3))


# --- what is recorded ---------------------------------------------------------------------------


def test_a_policy_is_scored_in_other_environments_with_the_same_starts_each_time(curves):
    """By hand: the mean return, the reference less that, and the band, of three known starts."""
    eyes = random.stream(random.key(5), 2, random.OBSERVATION)
    with np.errstate(over="ignore"):
        starts = [int(random.next_word(eyes) >> np.uint64(33)) for _ in range(3)]
    xs = [float(np.random.default_rng(seed).normal()) for seed in starts]
    for i in range(len(POINTS)):
        best = curves.raw("climber", "best")[2, i]
        each = [1.0 - abs(float(np.float32(best)) - 0.7) + 0.01 * x for x in xs]
        assert curves.raw("climber", "return")[2, i] == pytest.approx(10 * np.mean(each))
        assert curves.raw("climber", "gap")[2, i] == pytest.approx(10 - 10 * np.mean(each))
        assert curves.raw("climber", "in_band")[2, i] == np.mean([x > 0.9 for x in each])
    assert (curves.raw("climber", "length") == 10).all()
    assert (curves.raw("climber", "seen") == 30).all()


def test_training_is_scored_by_what_it_paid(curves):
    """All episodes are over at a checkpoint: regret is that of their mean returns."""
    regret, ended = curves.raw("climber", "regret"), curves.raw("climber", "training_return")
    episodes = np.diff([0, *POINTS]) / 10
    assert np.allclose(regret, np.cumsum((10.0 - ended) * episodes, axis=1))
    assert (curves.raw("climber", "return")[:, -1] > 9.0).all()  # it has learned
    assert curves.measure("main").more and curves.shown("main") == "return"


def test_replications_are_those_of_the_function(curves):
    assert np.array_equal(curves.record("climber").values[2], played())


def test_curves_are_the_same_for_any_number_of_workers(curves):
    again = banditlab.simulate(arena(), workers=2)
    assert np.array_equal(again.record("climber").values, curves.record("climber").values[:2])


def test_single_returns_become_a_table_that_a_problem_plays_from(tmp_path):
    """Two policies of the three that it has room for, by what the climber says that it played."""
    agents = [{"name": CLIMBER, "keeps": 2}, {"name": CLIMBER, "label": "plain"}]
    curves = banditlab.simulate(arena(agents=agents))
    curves.save(tmp_path)
    table = pd.read_csv(tmp_path / "returns.csv")
    best = curves.raw("climber", "best")[:, -1]
    assert len(set(best)) == 2
    expected = [
        ("main", "climber", r, f"climber {r}/{k + 1}", condition, i, best[r] * (k + 1) * share + i)
        for r in range(2)
        for k in range(2)
        for condition, share in (("none", 1.0), ("half", 0.5))
        for i in range(2)
    ]
    columns = "panel agent replication policy condition episode return".split()
    assert list(table.columns) == columns
    assert table[columns[:-1]].to_numpy().tolist() == [list(row[:-1]) for row in expected]
    assert table["return"].to_numpy() == pytest.approx([row[-1] for row in expected], rel=1e-7)
    rows = {"agent": "climber", "replication": 1, "condition": ["half", "none"]}
    problem = banditlab.make_problem("return_pool", log=tmp_path / "returns.csv", rows=rows)
    b = best[1]
    means = [[b + 0.5, 0.5 * b + 0.5], [2 * b + 0.5, b + 0.5]]  # none first
    assert problem.params.payoffs == pytest.approx(np.array(means), rel=1e-6)
    # They are no curves, and change none.
    assert curves.measures() == list(gym.curves_of(registry.make(CLIMBER)))
    assert np.array_equal(curves.record("climber").values, curves.record("plain").values)
    assert set(pd.read_csv(tmp_path / "curves.csv")["measure"]) <= set(curves.measures())


def test_single_returns_of_a_sweep_say_of_which_value_they_are():
    """On an axis or not: by what the climber says of its best, which differs between them."""
    given = arena(
        agents=[{"name": CLIMBER, "keeps": 1}], replications=1, checkpoints=[300],
        sweep={"climber.step": [0.1, 0.4]}, measure="best",
    )  # fmt: skip
    for x, names in ("climber.step", ["climber, step = 0.1", "climber, step = 0.4"]), ("", None):
        curves = banditlab.simulate({**given, "x": x})
        table = curves.returns_frame()
        names = names or curves.agents()
        assert list(table["agent"]) == [who for who in names for _ in range(4)]
        best = [curves.at(t, "climber", "best", None)[0] for t in (0.1, 0.4)] if x else [
            curves.raw(who, "best")[0, -1] for who in names
        ]  # fmt: skip
        firsts = table[table["condition"] == "none"]["return"].to_numpy()
        assert firsts == pytest.approx(np.repeat(best, 2) * [1, 2, 1, 2])


def test_where_nobody_keeps_returns_there_is_no_table(curves, tmp_path):
    curves.save(tmp_path)
    assert not (tmp_path / "returns.csv").exists() and curves.returns_frame().empty


def test_single_returns_survive_being_put_down(tmp_path):
    """A state that is kept holds whole rows, and a process its single returns."""
    points = [100, 200, 300]
    algorithm = registry.make(CLIMBER, keeps=1)
    what = (algorithm, registry.make_problem(TARGET), 300, random.key(5), 0, points)
    rows = [np.zeros((3, len(gym.measures_of(algorithm)))) for _ in range(2)]
    gym.play(*what, rows[0])
    with pytest.raises(gym.Stop):
        gym.play(*what, rows[1], told=lambda steps: steps > 220, keep=tmp_path / "k", owner="us")
    gym.play(*what, rows[1], keep=tmp_path / "k", owner="us")
    assert np.array_equal(rows[0], rows[1], equal_nan=True)
    known = ~np.isnan(rows[0][:, -6:])
    assert known[-1].sum() == 4 and not known[:-1].any() and known[-1, :4].all()
    # In the place of two that were not found there is nothing, and nothing in the table.
    assert len(gym.returns_of(algorithm, rows[0][None])["return"]) == 4


class Counting(gymnasium.Env):
    """Ends after as many steps as its seed says; pays the action."""

    def reset(self, *, seed=None, options=None):
        self.left = seed
        return np.zeros(1), {}

    def step(self, action):
        self.left -= 1
        return np.full(1, float(self.left)), action, self.left == 0, False, {}


def test_evaluation_acts_for_those_that_still_run():
    sizes = []

    def act(seen):
        sizes.append(len(seen))
        return seen[:, 0] + 1.0

    trial = gym.evaluate(act, [Counting() for _ in range(3)], [2, 5, 1])
    assert sizes == [3, 2, 1, 1, 1] and trial.lengths.tolist() == [2, 5, 1]
    assert trial.returns.tolist() == [1 + 2, 1 + 5 + 4 + 3 + 2, 1] and math.isnan(trial.marked)


def test_many_episodes_keep_few_observations():
    trial = gym.evaluate(lambda seen: seen[:, 0], [Counting()] * 1, [5000])
    assert 32 <= len(trial.observations) <= 64


def test_checkpoints_that_nobody_chose_are_few():
    assert gym.spaced(list(range(1, 101)), 1000) == list(range(50, 1001, 50))
    assert gym.spaced([7, 2000], 1000) == [7, 1000]


# --- put down and taken up ----------------------------------------------------------------------


@pytest.mark.parametrize("when", [1, 50, 155])
def test_a_replication_that_is_stopped_goes_on_to_the_same_bits(tmp_path, when):
    keep = tmp_path / "x.state"
    with pytest.raises(gym.Stop):
        played(told=lambda steps: steps == when, keep=keep)
    steps = []
    again = played(told=lambda t: bool(steps.append(t)), keep=keep)
    assert steps[0] == when and np.array_equal(again, played())


def test_what_is_kept_holds_no_pickle(tmp_path):
    with pytest.raises(gym.Stop):
        played(told=lambda steps: steps == 60, keep=tmp_path / "x.state")
    with zipfile.ZipFile(tmp_path / "x.state") as file:
        assert sorted(file.namelist()) == ["about.json", "arrays.npz", "plain.json"]
        assert json.loads(file.read("about.json"))["steps"] == 60
        assert np.load(file.open("arrays.npz"), allow_pickle=False)["shown"].shape == (1,)


@pytest.mark.parametrize("damage", ["other owner", "cut", "flipped", "no file of ours"])
def test_a_kept_state_is_believed_only_whole_and_of_the_same_run(tmp_path, damage):
    keep = tmp_path / "x.state"
    with pytest.raises(gym.Stop):
        played(told=lambda steps: steps == 60, keep=keep)
    data = bytearray(keep.read_bytes())
    if damage == "cut":
        keep.write_bytes(data[:-40])
    if damage == "flipped":
        data[data.index(b'"rng"') + 2] ^= 1
        keep.write_bytes(data)
    if damage == "no file of ours":
        with zipfile.ZipFile(keep, "a") as file:
            file.writestr("../evil", "x")
    owner = "them" if damage == "other owner" else "us"
    with pytest.raises(gym.Unusable, match="is not used, for"):
        played(keep=keep, owner=owner)
    assert not (tmp_path.parent / "evil").exists()


def test_a_state_that_is_not_believed_is_named_and_the_row_computed_anew(tmp_path, capfd):
    keep = tmp_path / "x.state"
    keep.write_bytes(b"nonsense")
    algorithm, problem = registry.make(CLIMBER), registry.make_problem(TARGET)
    row, flag = np.zeros((3, 8)), np.zeros(2, np.int64)
    task = gym.Steps(300, "")
    seconds = gym.alone(
        algorithm, problem, task, random.key(5), 2, np.array(POINTS), flag, row,
        Aside(str(keep), "us"),
    )  # fmt: skip
    assert np.array_equal(row, played()) and seconds > 0 and flag[0] == 300
    assert "x.state" in capfd.readouterr().err and not keep.exists()


@pytest.mark.parametrize("backend", ["threads", "processes"])
@pytest.mark.skipif(os.name != "posix", reason="kills a process group")
def test_a_run_that_is_killed_goes_on_and_leaves_no_process(tmp_path, curves, backend):
    """The whole way: the command line, its process, and the state of a replication in its store."""
    # Every process keeps its state in every step, and takes its time.
    (tmp_path / "sitecustomize.py").write_text(
        "import time\n"
        "from banditlab.protocols import gym\n"
        "gym.EVERY = gym.SHARE = 0.0\n"
        "keep = gym._keep\n"
        "gym._keep = lambda *given: (keep(*given), time.sleep(0.01))\n"
    )
    toml = tmp_path / "climb.toml"
    lines = [f"{k} = {json.dumps(v)}" for k, v in arena().items() if k not in ("problem", "agents")]
    toml.write_text(
        "\n".join(lines) + f'\nagents = [{{ name = "{CLIMBER}" }}]\n[problem]\nname = "{TARGET}"\n'
    )
    words = ["-m", "banditlab.arena", "--arena", str(toml), "--out", "out", "--allow-code"]
    words += ["--workers", "1", "--backend", backend]
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    process = subprocess.Popen([sys.executable, *words], cwd=tmp_path, env=env)
    folder = tmp_path / "out" / ".partial"
    limit = time.monotonic() + 60
    while not list(folder.glob("*.state")) and time.monotonic() < limit:
        time.sleep(0.01)
    [state] = folder.glob("*.state")
    process.kill()
    process.wait()
    time.sleep(1.0)
    with zipfile.ZipFile(state) as file:
        assert 0 <= json.loads(file.read("about.json"))["steps"] < 300
    stamp = state.stat().st_mtime_ns
    time.sleep(0.3)
    assert state.stat().st_mtime_ns == stamp  # its process has ended, too
    env["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, *words, "--resume", "--quiet"], cwd=tmp_path, env=env, capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "not used" not in done.stderr
    again = banditlab.Curves.load(tmp_path / "out")
    assert np.array_equal(again.record("climber").values, curves.record("climber").values[:2])
    assert not folder.exists()


# --- whoever watches ----------------------------------------------------------------------------


class Lines(track.Tracker):
    """Writes what it is told to a file, a line each; what comes anew is struck out by `told`."""

    def __init__(self, path):
        self.path = path

    def scalars(self, run, step, values):
        self._add([run, step, dict(values)])

    def restart(self, run, step=0):
        self._add([run, step, None])

    def _add(self, words):
        with open(self.path, "a") as file:
            file.write(json.dumps(words) + "\n")

    def told(self):
        """run -> (step, name) -> values told for it."""
        found = {}
        for line in Path(self.path).read_text().splitlines():
            run, step, values = json.loads(line)
            held = found.setdefault(run, {})
            if values is None:
                found[run] = {key: x for key, x in held.items() if key[0] < step}
            for name, x in (values or {}).items():
                held.setdefault((step, name), []).append(x)
        return found


@pytest.mark.parametrize("points", [1000, 7])
def test_a_tracker_is_told_of_training_once_with_a_break_or_without(tmp_path, monkeypatch, points):
    """By hand from the curve: evaluations, and the means of training between them."""
    monkeypatch.setattr(gym, "POINTS", points)
    whole, broken = Lines(tmp_path / "whole"), Lines(tmp_path / "broken")
    with track.using(whole):
        row = played(run="x")
    for end in (155, 202, 10**6):
        with track.using(broken), suppress(gym.Stop):
            played(run="x", keep=tmp_path / "x.state", told=lambda t, end=end: t == end)
    told = whole.told()["x"]
    assert broken.told()["x"] == told and all(len(values) == 1 for values in told.values())
    names = gym.measures_of(registry.make(CLIMBER))
    for i, point in enumerate(POINTS):
        for name, value in zip(names, row[i], strict=True):
            assert told[point, f"evaluation/{name}"] == [value]
    returns = {step: x for (step, name), [x] in told.items() if name == "train/episode_return"}
    if points == 1000:  # each episode by itself, when it ends
        assert list(returns) == list(range(10, 301, 10))
        assert np.mean([returns[t] for t in (10, 20, 30, 40, 50)]) == pytest.approx(row[0, 3])
    else:
        assert list(returns) == [42, 84, 126, 168, 210, 252, 294, 300]
    assert (42 if points == 7 else 10, "train/trial") in told


@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_replications_tell_the_tracker_of_the_run_each_under_its_own_name(
    tmp_path, curves, backend
):
    lines = Lines(str(tmp_path / "lines"))
    with track.using(lines):
        banditlab.simulate(arena(), workers=2, backend=backend)
    told = lines.told()
    assert sorted(told) == [f"main/climber/replication {r}" for r in (0, 1)]
    for r in (0, 1):
        found = told[f"main/climber/replication {r}"]
        for i, point in enumerate(POINTS):
            assert found[point, "evaluation/best"] == [curves.raw("climber", "best")[r, i]]


def test_a_tracker_that_cannot_be_sent_is_named_and_the_run_goes_on(capfd, curves):
    with track.using(track.Told(lambda *facts: None)):
        again = banditlab.simulate(arena(replications=1))
    assert np.array_equal(again.record("climber").values, curves.record("climber").values[:1])
    assert "Told is not told what happens inside a replication: " in capfd.readouterr().err


# --- whose numbers they are ---------------------------------------------------------------------


def job_of(agent=CLIMBER, problem=TARGET):
    given = {"id": "Pendulum-v1"} if problem == "gym_env" else {}
    terms = Terms(registry.make(agent), registry.make_problem(problem, **given), 300)
    return gym.PROTOCOL.loop(terms, np.array(POINTS))


def test_other_code_of_an_agent_is_another_curve_and_a_comment_is_not(tmp_path):
    """Else a state that was kept before the change would be gone on with after it."""
    text = Path(CLIMBER).read_text()
    codes = {}
    for name, changed in {
        "same": text, "comment": text + "# more\n", "words": text.replace('"""At work', '"""Here'),
        "number": text.replace("-np.inf, 0.0", "-9.0, 0.0"),
    }.items():  # fmt: skip
        (tmp_path / name).mkdir()
        file = tmp_path / name / "climber.py"
        file.write_text(changed)
        loop = job_of(str(file))
        codes[name] = loop.code, loop.task.code
    assert codes["same"] == codes["comment"] == codes["words"] != codes["number"]
    assert codes["same"][0] != codes["number"][0] and codes["same"][1] != codes["number"][1]
    assert job_of(problem="gym_env").code != codes["same"][0]


# --- what is refused, and how it is said --------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [("breaks", "OSError: the disk is gone"), ("dies", "ended with code 7")],
)
def test_a_process_that_fails_is_one_line(wrong, words):
    given = arena(agents=[{"name": CLIMBER, "wrong": wrong}], replications=1)
    with pytest.raises(RuntimeError, match=words):
        banditlab.simulate(given)


ENVIRONMENT = """
import gymnasium, numpy as np
class Own(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,))
    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}
    def step(self, action):
        if FAILS:
            raise KeyError("a sensor\\nis lost")
        return np.zeros(2, np.float32), 1.0, True, False, {}
gymnasium.register("ID", Own)
"""


def test_an_environment_of_a_module_of_ones_own_is_played_and_its_errors_are_named(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    for name, fails in (("fine", "False"), ("faulty", "True")):
        text = ENVIRONMENT.replace("FAILS", fails).replace("ID", f"{name}-v0")
        (tmp_path / f"own_{name}.py").write_text(text)

    def of(id):
        entry = {"name": "gym_env", "id": id, "episodes": 1}
        given = arena(problem=entry, agents=["random_policy"], replications=1, horizon=5)
        return banditlab.simulate({**given, "checkpoints": [5]})

    assert of("own_fine:fine-v0").raw("random_policy", "return").tolist() == [[1.0]]
    with pytest.raises(RuntimeError, match=r"replication 0 of random_policy: KeyError: 'a sensor"
                       r".*is lost' \(own_faulty.py:10 < "):  # fmt: skip
        of("own_faulty:faulty-v0")
    with pytest.raises(ValueError, match="No module named 'own_other'"):
        of("own_other:fine-v0")
    with pytest.raises(ValueError, match="of your own is written MODULE:Nobody-v0"):
        of("Nobody-v0")


def test_envpool_that_is_missing_is_said_before_anything_is_played(monkeypatch):
    from banditlab.problems import gym_env

    monkeypatch.setattr(gym_env, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"vector envpool needs EnvPool: .*\[envpool\]"):
        registry.make_problem("gym_env", id="Pendulum-v1", vector="envpool")


def test_an_extra_that_is_missing_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(gym.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs torch: python -m pip install .*\[deep\]"):
        banditlab.simulate(arena(agents=[{"name": "td3"}]))


def test_actions_that_an_algorithm_cannot_choose_are_refused():
    cart = {"name": "gym_env", "id": "CartPole-v1"}
    random_ = registry.make_problem("gym_env", id="CartPole-v1")
    assert random_.kind == "discrete" and random_.steps == 500
    with pytest.raises(ValueError, match="cannot play gym_env, whose actions are discrete"):
        banditlab.simulate(arena(problem=cart))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"id": "Pendulum-v9"}, "Pendulum-v9: .*version"),
        ({"id": "FrozenLake-v1"}, "observations must be vectors"),
        ({"id": 3}, "id must be a Gymnasium id"),
        ({"id": "Pendulum-v1", "episodes": 0}, "episodes must be at least 1"),
        ({"id": "Pendulum-v1", "vector": "ray"}, "vector must be one of plain, envpool"),
        ({"id": "Pendulum-v1", "options": 3}, "options must look like"),
        ({"id": "Pendulum-v1", "reference": math.inf}, "reference must be finite"),
    ],
)
def test_bad_environments_are_one_line(given, words):
    with pytest.raises(ValueError, match=words) as error:
        registry.make_problem("gym_env", **given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("mex_td3", {"eta": -1}, "eta must be at least 0"),
        ("mex_td3", {"eta": math.nan}, "eta must be finite"),
        ("mex_td3", {"baseline": "max"}, "baseline must be one of none, lse"),
        ("td3", {"tau": 2}, r"tau must lie in \[0, 1\]"),
        ("mex_mbpo", {"coefficient": -0.1}, "coefficient must be at least 0"),
        ("mex_mbpo", {"validation": 1}, r"validation must lie in \[0, 1\)"),
        ("mex_mbpo", {"learning_starts": 9}, "learning_starts must be at least 10"),
        ("sac", {"width": 0}, "width must be at least 1"),
        ("ppo", {"n_steps": 1}, "n_steps must be at least 2"),
    ],
)
def test_bad_hyper_parameters_are_one_line(name, given, words):
    with pytest.raises(ValueError, match=words):
        registry.make(name, **given)


def test_who_dreams_must_know_when_an_episode_ends():
    dreamer, pendulum = (
        registry.make("mex_mbpo", learning_starts=100),
        registry.make_problem("gym_env", id="Pendulum-v1"),
    )
    dreamer.fits(dreamer.params, pendulum, 300)
    with pytest.raises(ValueError, match="no observation tells when an episode ends") as error:
        dreamer.fits(dreamer.params, registry.make_problem(TARGET), 300)
    assert "\n" not in str(error.value)


def test_to_name_deep_agents_costs_no_torch():
    code = (
        "import sys, banditlab; from banditlab import registry\n"
        "for name in registry.families()['deep']: registry.make(name)\n"
        "assert not {'torch', 'stable_baselines3', 'mujoco'} & set(sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


def test_an_environment_of_the_command_line_is_an_arena():
    made = deep.arena("Pendulum-v1", ["random_policy"], {}, {"episodes": 2}, horizon=100)
    read = read_arena(made)
    assert read.panels[0].checkpoints == list(range(5, 101, 5)) and read.panels[0].replications == 3
    assert deep.company("td3", []) == ["td3", "random_policy"]
    with pytest.raises(ValueError, match="'ucb' does not learn from vectors"):
        deep.algorithms(["ucb"], {})
    with pytest.raises(ValueError, match="--set problem.id: that is what --env says"):
        deep.arena("Pendulum-v1", ["random_policy"], {}, {"id": "x"})


@pytest.mark.parametrize(
    ("name", "given", "least"),
    [
        ("spo_ppo", {"queue": 10, "n_envs": 3, "episodes": 2, "length": 20}, 240),
        ("rm_ppo", {"queue": 9, "n_envs": 2, "length": 300}, 2000),  # Pendulum ends after 200
        ("spo_sac", {"queue": 4, "length": 50}, 200),
        ("protected", {"first": 500, "iterations": 1}, 500),
        ("atla_ppo", {"first": 500}, 500),
        ("wocar_ppo", {"first": 500}, 500),
    ],
)
def test_a_horizon_in_which_nothing_is_learned_is_refused_before_anybody_plays(name, given, least):
    """And without the libraries that would learn."""
    algorithm = registry.make(name, **given)._replace(needs=())
    problem = registry.make_problem("gym_env", id="Pendulum-v1")
    with pytest.raises(ValueError, match=rf"^horizon must be above .*{least:,}"):
        gym.refuse(Terms(algorithm, problem, least))
    gym.refuse(Terms(algorithm, problem, least + 1))


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (gymnasium.spaces.Discrete(3, start=1), "must be numbered from 0"),
        (gymnasium.spaces.Box(-1, 1, (2, 2)), r"must be vectors, they have shape \(2, 2\)"),
        (gymnasium.spaces.MultiBinary(2), "must be numbered, or vectors"),
    ],
)
def test_actions_that_nobody_could_choose_are_one_line(actions, words, monkeypatch):
    known = dict(gymnasium.envs.registration.registry)
    monkeypatch.setattr(gymnasium.envs.registration, "registry", known)

    class Odd(Moving):
        action_space = actions

    gymnasium.register("Odd-v0", Odd)
    with pytest.raises(ValueError, match=words):
        registry.make_problem("gym_env", id="Odd-v0")


def test_an_agent_that_cannot_be_restored_says_so_and_is_a_fresh_one(tmp_path):
    agent, other = (
        banditlab.Agent(CLIMBER, id=registry.make_problem(TARGET), horizon=300, seed=5)
        for _ in range(2)
    )
    with pytest.raises(ValueError, match="no such file: .*x.zip"):
        agent.restore(tmp_path / "x.zip")
    agent.learn().save(tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as file:
        held = {name: file.read(name) for name in file.namelist()}
    held["plain.json"] = b"{}"
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "y.zip", "w", method) as file:
            for name, value in held.items():
                file.writestr(name, value)
        whole = bytearray((tmp_path / "y.zip").read_bytes())
        whole[40] ^= 255
        (tmp_path / "z.zip").write_bytes(whole)
        for name in ("y.zip", "z.zip"):
            other.learner.steps = 7
            with pytest.raises(ValueError, match=rf"^{name} in .* is not used, for"):
                other.restore(tmp_path / name)
            assert other.learner.steps == 0
    assert other.restore(tmp_path / "x.zip").t == 300


def test_the_face_is_replication_0(tmp_path):
    agent = banditlab.Agent(CLIMBER, id=registry.make_problem(TARGET), horizon=300, seed=5).learn()
    first = banditlab.simulate(arena(replications=1))
    assert agent.t == 300 and agent.act(np.zeros(1))[0] == np.float32(agent.learner.best)
    assert first.raw("climber", "best")[0, -1] == agent.learner.best
    agent.save(tmp_path / "agent.zip")
    twin = banditlab.Agent(CLIMBER, id=registry.make_problem(TARGET), horizon=300, seed=5)
    assert twin.restore(tmp_path / "agent.zip").learner.best == agent.learner.best
    other = banditlab.Agent(CLIMBER, id=registry.make_problem(TARGET), horizon=400, seed=5)
    with pytest.raises(ValueError, match="it is of another run"):
        other.restore(tmp_path / "agent.zip")
    assert agent.evaluate(2).returns.shape == (2,)


# --- sparse velocity ----------------------------------------------------------------------------


class Moving(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Box(-1, 1, (2,))
    v: float | None = 0.0

    def step(self, action):
        info = {} if self.v is None else {"x_velocity": self.v}
        return np.zeros(1), 9.0, True, False, info


@pytest.mark.parametrize(
    ("v", "action", "reward"),
    [
        (1.5, (0, 0), 2.0),
        (2.1 - 1e-9, (0, 0), 1.4),
        (0.9 + 1e-9, (0, 0), 1.4),
        (2.1 + 1e-9, (1, 1), -0.1),
        (0.9 - 1e-9, (1, 0), -0.05),
        (1.3, (0.5, -1), 1.8 - 0.05 * 1.25),
    ],
)
def test_sparse_velocity_pays_in_the_band_only(v, action, reward):
    env = SparseVelocity(Moving(), 1.5, 0.6, 0.05)
    env.env.v = v
    _, paid, terminated, _, info = env.step(np.array(action))
    assert paid == pytest.approx(reward, abs=1e-8) and not terminated
    assert info["in_band"] == (abs(v - 1.5) < 0.6)
    assert SparseVelocity(Moving(), 1.5, 0.6, 0.05, terminates=True).step(np.zeros(2))[2]


def test_sparse_velocity_needs_a_velocity():
    env = SparseVelocity(Moving(), 1.5, 0.6, 0.05)
    env.env.v = None
    with pytest.raises(KeyError, match="info has no x_velocity"):
        env.step(np.zeros(2))


def test_sparse_tasks_are_registered_as_in_the_paper():
    cheetah = gymnasium.spec("banditlab/HalfCheetahVelSparse-v0")
    wrapper = cheetah.additional_wrappers[0]
    assert wrapper.kwargs == {"v_goal": 1.5, "radius": 0.6, "c": 0.05, "terminates": False}
    assert cheetah.max_episode_steps == 1000 and gymnasium.envs.registration.EnvSpec.to_json(
        cheetah
    )
    assert TASKS["banditlab/Walker2dVelSparse-v0"][1:4] == (1.0, 0.5, 0.001)


@pytest.mark.parametrize("name", ["td3", "mex_td3", "sac", "mex_mbpo"])
def test_steps_that_end_before_the_first_update_are_refused(name):
    algorithm = registry.make(name, learning_starts=50)
    pendulum = registry.make_problem("gym_env", id="Pendulum-v1")
    algorithm.fits(algorithm.params, pendulum, 51)
    with pytest.raises(ValueError, match=r"^horizon must be above learning_starts, 50 .*got 50$"):
        algorithm.fits(algorithm.params, pendulum, 50)
