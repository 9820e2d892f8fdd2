"""The command line, as a user meets it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import matplotlib.image
import pytest

from banditlab.cli import run
from banditlab.cli.flags import parser

ROOT = Path(__file__).parent.parent


def arena(*words: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "banditlab.arena", *words],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_list_names_every_agent_and_arena():
    shown = arena("--list").stdout
    for name in ("ucb", "tsallis_inf", "lin_ts", "greedy_offline", "cb_composition", "stochastic"):
        assert name in shown
    data = json.loads(arena("--list", "--json").stdout)
    assert "moss" in data["agents"]["stochastic"]
    assert all(data["arenas"].values())  # every arena has its claim


def test_a_run_prints_a_table_and_keeps_files(tmp_path):
    done = arena(
        "--agent", "ucb", "--vs", "thompson", "--horizon", "300", "--replications", "20",
        "--out", str(tmp_path / "run"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "thompson" in done.stdout and "±" in done.stdout and "p vs best" in done.stdout
    assert (tmp_path / "run" / "figure.svg").stat().st_size > 1000
    assert not (tmp_path / "run" / ".partial").exists()


def test_a_style_of_ones_own_leaves_the_committed_figure_alone(tmp_path):
    words = ["--agent", "ucb", "--vs", "moss", "--horizon", "50", "--replications", "3"]
    dark = arena(*words, "--style", "dark", "--out", str(tmp_path))
    assert dark.returncode == 0, dark.stderr
    corner = matplotlib.image.imread(tmp_path / "figure.png")[0, 0, :3]
    assert corner.max() < 0.2
    args = parser().parse_args(["--arena", "delayed", "--style", "screen"])
    assert run.chosen(args)[1].startswith("local/delayed-")


def test_json_is_all_that_stands_on_standard_output(tmp_path):
    words = ["--agent", "ucb", "--vs", "uniform", "--horizon", "300", "--replications", "9"]
    words += ["--out", str(tmp_path), "--json"]
    data = json.loads(arena(*words).stdout)
    rows = data["panels"][0]["results"]
    assert [row["agent"] for row in rows] == ["ucb", "uniform"]
    assert rows[0]["p"] is None and rows[1]["p"] < 1e-3
    again = json.loads(arena(*words, "--workers", "2").stdout)
    for row in (*rows, *again["panels"][0]["results"]):
        row.pop("seconds")
    assert again["panels"][0]["results"] == rows


def test_set_changes_a_hyper_parameter(tmp_path):
    words = ["--agent", "ucb", "--horizon", "300", "--replications", "9", "--json"]
    words += ["--out", str(tmp_path)]
    plain = json.loads(arena(*words, "--vs", "uniform").stdout)["panels"][0]["results"]
    other = json.loads(arena(*words, "--vs", "uniform", "--set", "ucb.alpha=0.1").stdout)
    other = other["panels"][0]["results"]
    assert plain[0]["mean"] != other[0]["mean"] and plain[1]["mean"] == other[1]["mean"]


BAD = [
    (["--agent", "ubc"], "unknown agent 'ubc'; did you mean bc or ucb"),
    (["--arena", "stochastik"], "unknown arena 'stochastik'; did you mean stochastic"),
    (["--agent", "ucb", "--vs", "mos"], "did you mean moss"),
    (["--agent", "ucb", "--horizon", "0"], "--horizon must be at least 1, got 0"),
    (["--agent", "ucb", "--replications", "0"], "--replications must be at least 1"),
    (["--agent", "ucb", "--horizon", "x"], "invalid int value: 'x'"),
    (["--agent", "ucb", "--set", "alpha=1"], "--set must look like NAME.key=value"),
    (["--agent", "ucb", "--set", "ucb.alfa=1"], "unknown argument 'alfa'; did you mean alpha"),
    (["--agent", "ucb", "--set", "ubc.alpha=1"], "unknown agent 'ubc'"),
    (["--agent", "ucb", "--set", "ucb.alpha=nan"], "alpha"),
    (["--agent", "./nothing.py"], "no such file"),
    (["--arena", "nothing.toml"], "No such file"),
    (["--problem", "bernouli", "--agent", "ucb"], "did you mean bernoulli"),
    (["--agent", "lcb", "--log", "nothing.csv"], "nothing.csv"),
    (["--agent", "thompson", "--problem", "gaussian"], "needs rewards in"),
    (["--frobnicate"], "unrecognized arguments: --frobnicate"),
    ([], "say what to run"),
]


@pytest.mark.parametrize(("words", "line"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_one_line_exit_2_nothing_written(words, line, tmp_path):
    out = tmp_path / "out"
    done = arena(*words, "--out", str(out)) if words else arena()
    assert done.returncode == 2
    assert line in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == "" and not out.exists()


BAD_LOGS = [
    ("action,rewards\n1,1\n", "reward"),
    ("action,reward,propensity\n0,1,0.5\n1,1,0\n", "propensity"),
    ("action,reward,propensity\n0,1,1.5\n", "propensity"),
    ("action,reward\n0,nan\n", "reward"),
    ("action,reward\n0.5,1\n", "action"),
    ("action,reward\n,1\n", "action"),
    ("action,reward,context\n1,1,0.25\n", "context"),
    ("action,reward,x_0\n1,1,inf\n", "x_0"),
    ("action,reward\n", "empty"),
    ("action,reward\n0,2\n1,0\n", "reward"),
]


@pytest.mark.parametrize(("text", "word"), BAD_LOGS, ids=[repr(t) for t, _ in BAD_LOGS])
def test_bad_log(text, word, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(text)
    done = arena("--agent", "lcb", "--log", str(path))
    assert done.returncode == 2, done.stdout
    assert word in done.stderr and len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("horizon = \n", "bad.toml"),
        ("hroizon = 5\n[problem]\nname='bernoulli'\nmeans=[0,1]\n", "did you mean horizon"),
        ("horizon = 'a'\nagents=[{name='ucb'}]\n[problem]\nname='bernoulli'\n", "horizon"),
        ("agents=[{name='ucb'}]\n", "problem"),
    ],
)
def test_malformed_toml_names_file_and_key(text, line, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    done = arena("--arena", str(path), "--out", str(tmp_path / "out"))
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    assert "bad.toml" in done.stderr and line in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_unwritable_output(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    done = arena("--agent", "ucb", "--vs", "uniform", "--out", str(file / "run"))
    assert done.returncode == 2 and "--out: cannot write to" in done.stderr


def test_a_failed_check_is_exit_1(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(
        "horizon=100\nreplications=10\nagents=[{name='ucb'},{name='uniform'}]\n"
        "[problem]\nname='bernoulli'\nmeans=[0.1,0.9]\n"
        "[[checks]]\nless='uniform.regret'\nthan='ucb.regret'\n"
    )
    done = arena("--arena", str(path), "--out", str(tmp_path / "out"))
    assert done.returncode == 1 and "check failed: uniform.regret < ucb.regret" in done.stderr


def test_ctrl_c_says_what_was_kept_and_resume_goes_on(tmp_path):
    path = tmp_path / "long.toml"
    path.write_text(
        "horizon=3000000\nreplications=640\nagents=[{name='ucb'}]\n"
        "[problem]\nname='bernoulli'\nmeans=[0.1,0.9]\n"
    )
    words = [sys.executable, "-m", "banditlab.arena", "--arena", str(path)]
    words += ["--out", str(tmp_path / "out"), "--workers", "1"]
    process = subprocess.Popen(
        words,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        # Started from a shell's background, the tests and their children ignore Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    kept = tmp_path / "out" / ".partial"
    deadline = time.monotonic() + 240
    while not (kept.exists() and any(kept.glob("*.block"))):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "blocks kept" in said and "--resume" in said
    assert said.count("\n") == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [".partial"]


def test_import_is_light():
    """numpy and numba, what numba loads itself, and no more."""
    code = (
        "import sys, numpy, numba; before = {m.split('.')[0] for m in sys.modules}; "
        "import banditlab; after = {m.split('.')[0] for m in sys.modules} - before; "
        "print(sorted(after - set(sys.stdlib_module_names) - {'banditlab'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_typo_in_a_users_kernel_is_one_line(tmp_path):
    blocks = (ROOT / "README.md").read_text().split("```python\n")[1:]
    source = next(b for b in blocks if "def my_agent" in b).split("```")[0]
    path = tmp_path / "my_agent.py"
    path.write_text(source.replace("params.bonus * inv", "params.bouns * inv"))
    done = arena("--agent", str(path), "--vs", "ucb", "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    line = next(i for i, x in enumerate(source.splitlines(), 1) if "params.bonus * inv" in x)
    assert f"my_agent.py, line {line}: " in done.stderr and "bouns" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_replay_leaves_out_contexts_that_lack_an_arm(tmp_path):
    rows = [(s, a, float(a == s)) for s in range(3) for a in range(3) if (s, a) != (1, 2)]
    lines = ["context,action,reward", *(f"{s},{a},{r}" for s, a, r in rows)]
    (tmp_path / "log.csv").write_text("\n".join(lines))
    words = ["--agent", "ucb", "--log", str(tmp_path / "log.csv"), "--horizon", "200"]
    done = arena(*words, "--replications", "2", "--json", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "1 of 3 contexts are left out" in done.stderr
