"""Inputs that nobody meant (tests/fuzz.py), and the faults that they have found so far."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from banditlab import Agent, machine, registry
from banditlab.arena import rows as arena_rows
from banditlab.arena import runner
from banditlab.arena.spec import read_arena
from banditlab.arena.store import Store
from banditlab.cli import main as cli
from banditlab.cli.main import main
from banditlab.data.atomic import Together

HERE = Path(__file__).parent
TOML = """horizon = {horizon}
replications = 2
agents = [{{name = "uniform"}}]
{more}
[problem]
name = "bernoulli"
means = [0.2, 0.8]
"""


def fuzz(count, seed):
    words = [sys.executable, str(HERE / "fuzz.py"), "--count", str(count), "--seed", str(seed)]
    folders = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": folders}
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_a_thousand_inputs():
    table = fuzz(1000, 1)
    for line in table.splitlines()[1:-1]:  # none of the targets refuses all, or accepts all
        target, inputs, accepted, refused, *_ = line.split()
        assert 0 < int(accepted) and 0 < int(refused), target
        assert int(accepted) + int(refused) == int(inputs) >= 40, target


@pytest.mark.slow
def test_twelve_thousand_inputs():
    fuzz(12_000, 2)


# --- what was found -------------------------------------------------------------------------------


def error_of(capsys, *words):
    """The one line of a refusal, and the exit code."""
    code = main(list(words))
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1, err
    return code, err


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def arena(horizon="10", more=""):
    Path("own.toml").write_text(TOML.format(horizon=horizon, more=more))
    return "own.toml"


@pytest.mark.parametrize("horizon", ['"10"', "true", '""'])
def test_words_and_truth_values_are_no_sizes(horizon):
    with pytest.raises(ValueError, match="horizon: must be a whole number, got"):
        read_arena(arena(horizon))
    assert read_arena(arena("1e1")).panels[0].horizon == 10
    with pytest.raises(ValueError, match="checkpoints.0: must be a whole number"):
        read_arena(arena(more="checkpoints = [true]"))


@pytest.mark.parametrize("more", ["linthresh = inf", 'references = [{label="a", t=[1], y=[nan]}]'])
def test_nan_and_infinities_are_refused_in_an_arena(more):
    with pytest.raises(ValueError, match="finite"):
        read_arena(arena(more=more))


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "", "x" * 250, "a\\\\b"])
def test_the_name_of_an_arena_is_that_of_a_folder(name):
    with pytest.raises(ValueError, match="name: must "):
        read_arena(arena(more=f'name = "{name}"'))


@pytest.mark.parametrize("text", ["$x^$", "$a_{$ b $"])
def test_mathematics_that_cannot_be_drawn_is_said_before_the_run(text):
    with pytest.raises(ValueError, match="no mathematics between its dollars"):
        read_arena(arena(more=f'title = "{text}$"' if text.count("$") % 2 else f'title = "{text}"'))
    assert read_arena(arena(more='title = "$x^2$ for 5$"')).title == "$x^2$ for 5$"


def test_letters_that_the_font_lacks_are_not_said(capsys):
    code = main(["--arena", arena(more='title = "💥"'), "--out", "out", "--quiet"])
    assert (code, capsys.readouterr().err) == (0, "")


def test_an_unknown_measure_is_said_before_anything_runs(capsys):
    code, line = error_of(capsys, "--arena", arena(more='measure = "x"'), "--out", "out")
    assert code == 2 and "unknown measure 'x'" in line and not Path("out").exists()


def test_threads_without_number_are_not_started(monkeypatch):
    started = []

    class Thread:
        def __init__(self, **_):
            started.append(self)

        def start(self):
            pass

    monkeypatch.setattr(runner.threading, "Thread", Thread)
    runner.Runner(2**64, None, None, 1)
    assert len(started) == runner.MOST_THREADS


def test_a_release_of_no_rewards_is_said(capsys):
    Path("empty.csv").write_text("action,reward\n")
    words = ["--agent", "noisy_max", "--log", "empty.csv", "--low", "0", "--high", "1"]
    code, line = error_of(capsys, *words)
    assert code == 2 and "empty.csv" in line and "zip" not in line


def test_hyper_parameters_of_strange_types_are_one_line(capsys):
    with pytest.raises(ValueError, match=r"blocked: agent must be a name, got \[1\]"):
        registry.make("blocked", base=[1])
    huge = "9" * 400
    code, line = error_of(capsys, "--agent", "ucb", "--set", f"ucb.alpha={huge}", "--horizon", "9")
    assert code == 2 and "alpha must be finite" in line and len(line) < 200


def test_a_file_that_ends_the_program_is_refused(capsys):
    Path("mine.py").write_text("import sys\nsys.exit(7)\n")
    code, line = error_of(capsys, "--agent", "./mine.py")
    assert code == 2 and "mine.py, line 2: SystemExit" in line


@pytest.mark.parametrize("given", [{"n_contexts": 2**64}, {"horizon": 10**30}, {"n_arms": 2**62}])
def test_a_task_beyond_all_numbers_is_refused(given):
    with pytest.raises(ValueError, match=f"{next(iter(given))} must be at most"):
        Agent("exp3", **{"n_arms": 2, **given})


def test_a_task_beyond_memory_is_refused():
    with pytest.raises(ValueError, match="exp3: there is no memory for n_arms=2, n_contexts=4"):
        Agent("exp3", n_arms=2, n_contexts=2**52)


SIZES = [
    ({"name": "deterministic_gap", "gap": 0.2, "n_arms": 2**31}, "n_arms=2147483648"),
    ({"name": "deterministic_gap", "gap": 0.2, "n_arms": 10**21}, "n_arms=1000000000000000000000"),
    ({"name": "linear", "n_arms": 10**6, "dim": 10**6}, "n_arms=1000000, dim=1000000"),
    ({"name": "random_walk", "n_arms": 2**31}, "n_arms=2147483648"),
    ({"name": "cb_composition", "C": 2.0, "S": 10**7, "A": 10**5}, "S=10000000, A=100000"),
    ({"name": "delayed", "mean_delay": 2.0, "max_delay": 10**12}, "max_delay=1000000000000"),
]


@pytest.mark.parametrize(("problem", "words"), SIZES, ids=[words for _, words in SIZES])
def test_problems_beyond_memory_are_refused_by_name(problem, words):
    """One line, before anything of that size is made."""
    made = {key: value for key, value in problem.items() if key != "name"}
    if problem["name"] == "delayed":
        made["problem"] = {"name": "bernoulli", "means": [0.2, 0.8]}
    with pytest.raises(ValueError, match=f"{problem['name']}: there is no memory for {words}$"):
        registry.make_problem(problem["name"], **made)


def test_agents_and_tables_beyond_memory_are_refused_by_name(capsys, monkeypatch):
    with pytest.raises(ValueError, match="sliding_ucb: there is no memory for window=4294967296$"):
        registry.make("sliding_ucb", window=2**32)
    with pytest.raises(ValueError, match="ucb: there is no memory for n_arms=1000000000$"):
        Agent("ucb", n_arms=10**9)
    with pytest.raises(ValueError, match="linucb: there is no memory for n_arms=2, dim=100000$"):
        Agent("linucb", n_arms=2, dim=10**5)  # for the square of dim
    monkeypatch.setattr(machine, "available", lambda: 8 * machine.TABLES * 2 * 10**6)
    assert Agent("ucb", n_arms=2 * 10**6).t == 0
    with pytest.raises(ValueError, match="there is no memory for n_arms=2, n_contexts=1000001"):
        Agent("ucb", n_arms=2, n_contexts=10**6 + 1)
    monkeypatch.setattr(machine, "SMALL", 1)
    monkeypatch.setattr(machine, "available", lambda: 100)  # what a file holds is asked, too
    code, line = error_of(capsys, "--arena", arena(), "--out", "out")
    assert code == 2 and "panel 'main': bernoulli: there is no memory for n_arms=2" in line


def test_a_block_without_memory_says_whose_it_was(capsys, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(arena_rows, "run_block", full)
    code, line = error_of(capsys, "--arena", arena(), "--out", "out")
    assert code == 2 and "agent 'uniform' in panel 'main': there is no memory for n_arms=2" in line


def test_a_reward_of_a_round_to_come_is_refused():
    agent = Agent("ucb", n_arms=2)
    agent.tick()
    agent.update(None, 0, 0.5, t=1)
    with pytest.raises(ValueError, match="t must be at most 1, got 2"):
        agent.update(None, 0, 0.5, t=2)


def test_a_log_that_is_refused_leaves_the_agent_as_it_was():
    agent = Agent("exp3", n_arms=2)
    before = [array.tobytes() for array in agent._arrays().values()]
    with pytest.raises(ValueError, match="reward must be in .0, 1. for exp3, got 2"):
        agent.fit({"action": [0, 1, 0], "reward": [1.0, 0.0, 2.0]})
    assert [array.tobytes() for array in agent._arrays().values()] == before


@pytest.mark.parametrize("flag", ["--agent", "--problem", "--log", "--arena"])
@pytest.mark.parametrize("name", ["x" * 300, "loop"])
def test_names_too_long_and_links_in_circles_are_refused(flag, name, capsys):
    ending = {"--log": ".csv", "--arena": ".toml"}.get(flag, ".py")
    os.symlink("loop" + ending, "loop" + ending)
    words = ["--agent", "ucb"] if flag != "--agent" else []
    code, _ = error_of(capsys, *words, flag, name + ending)
    assert code == 2


def test_a_pipe_is_no_arena(capsys):
    os.mkfifo("own.toml")
    code, line = error_of(capsys, "--arena", "own.toml")
    assert code == 2 and "own.toml: it is no ordinary file" in line


@pytest.mark.parametrize("target", ["nowhere", "out"])
def test_a_link_that_leads_nowhere_is_no_folder_for_results(target, capsys):
    os.symlink(target, "out")
    for out in ("out", "out/deep"):
        code, line = error_of(capsys, "--arena", arena(), "--out", out)
        assert code == 2 and "the symbolic link out leads nowhere" in line
    with pytest.raises((ValueError, OSError)):
        Store(Path("out") / ".partial", "a" * 12)


def test_files_that_appear_together_spare_a_folder_of_their_name(tmp_path):
    os.mkdir("b")
    with pytest.raises(IsADirectoryError) as error, Together(tmp_path) as files:
        files.text("a", "1")
        files.text("b", "2")
    assert error.value.filename == str(tmp_path / "b") and os.listdir() == ["b"]


@pytest.mark.parametrize("path", [False, 0, np.zeros(2), None])
def test_a_descriptor_is_no_path(path):
    with pytest.raises(ValueError, match="path must be the path of a file"):
        Agent("ucb", n_arms=2).save(path)
    with pytest.raises(ValueError, match="path must be the path of a file"):
        Agent.load(path)


@pytest.mark.parametrize("error", [RecursionError("deep"), KeyError("x\ny"), math.factorial])
def test_what_nobody_thought_of_is_one_line(error, capsys, monkeypatch):
    def broken(args):
        raise error if isinstance(error, Exception) else ArithmeticError("a\nb")

    monkeypatch.setattr(cli, "_main", broken)
    code, line = error_of(capsys, "--list")
    assert code == 1 and "(test_fuzz.py:" in line
