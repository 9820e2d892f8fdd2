"""Every flag and every override acts, or is refused in one line: the combinations are walked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import banditlab
from banditlab.arena.spec import read_arena
from banditlab.cli.flags import parser
from banditlab.cli.main import main

ROOT = Path(__file__).parent.parent
ARENA = """
horizon = 40
replications = 3
[problem]
name = "bernoulli"
means = [0.2, 0.8]
[[agents]]
name = "ucb"
[[agents]]
name = "uniform"
"""
LOG = "context,action,reward\n" + "".join(
    f"{s},{a},{int(i < 2 + 2 * a)}\n" for s in range(2) for a in range(2) for i in range(6)
)
LOSSES = "a,b\n" + "0.1,0.9\n0.8,0.3\n" * 20
STEPS = "episode,state,action,reward,next_state,terminated,truncated\n" + "".join(
    f"{i},0,{i % 2},{i % 2},1,0,0\n{i},1,0,1,0,1,0\n" for i in range(12)
)
RATINGS = "a,b,person\n" + "0.1,0.9,x\n0.2,0.8,y\n" * 40

# The runs of the command line, and for every flag a value that is another than the default.
MODES = {
    "arena": ["--arena", "ARENA"],
    "replay": ["--agent", "ucb", "--log", "LOG", "--horizon", "30", "--replications", "2"],
    "rules": ["--agent", "lcb", "--log", "LOG"],
    "budget": ["--agent", "batched_omd", "--log", "LOSSES", "--replications", "2"],
    "transitions": ["--agent", "vi_lcb", "--log", "STEPS"],
    "env": ["--env", "FrozenLake-v1", "--agent", "bc", "--horizon", "300", "--replications", "2"],
    "list": ["--list"],
}
VALUES = {
    "agent": "moss",
    "arena": "OTHER",
    "vs": "moss",
    "problem": "gaussian",
    "env": "CliffWalking-v1",
    "low": "-1",
    "high": "2",
    "sigma": "3",
    "unit": "person",
    "max_per_unit": "2",
    "horizon": "25",
    "replications": "4",
    "seed": "7",
    "workers": "1",
    "set": "ucb.alpha=9",
    "bands": "simultaneous",
    "until_resolved": "0.01",
    "style": "dark",
}
# What changes nothing that is printed: it decides how, or where, or is shown elsewhere.
SILENT = {
    "workers",
    "backend",
    "address",
    "resume",
    "quiet",
    "json",
    "out",
    "bands",
    "style",
    "version",
    "list",
    "log",
    "memory",
    "allow_code",
    "track",
    "live",
    "compare",
    "most",
    "tune",
    "trials",
    "span",
    "explain",
    "advise",
    "completion",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flags")
    other = ARENA.replace("0.2, 0.8", "0.3, 0.6")
    texts = {
        "ARENA": ARENA,
        "OTHER": other,
        "LOG": LOG,
        "LOSSES": LOSSES,
        "STEPS": STEPS,
        "RATINGS": RATINGS,
    }
    paths = {}
    for name, text in texts.items():
        paths[name] = folder / f"{name.lower()}{'.toml' if text.startswith(ARENA[:9]) else '.csv'}"
        paths[name].write_text(text)
    return folder, paths


def play(words, files, capsys, out):
    folder, paths = files
    words = [str(paths.get(word, word)) for word in words]
    if "--list" not in words and any(w in words for w in ("--arena", "--env")) or "ucb" in words:
        words += ["--out", str(out)]
    code = main([*words, "--json"])
    said = capsys.readouterr()
    return code, _without_volatile(said.out), said.err


def _without_volatile(text):
    if not text:
        return text
    found = json.loads(text)
    for panel in found.get("panels", []):
        for row in panel["results"]:
            row.pop("seconds")
    for key in ("hash", "folder", "seed"):
        found.pop(key, None)
    return json.dumps(found)


@pytest.mark.parametrize("mode", MODES)
def test_every_flag_acts_or_is_refused(mode, files, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, plain, err = play(MODES[mode], files, capsys, tmp_path / "out")
    assert code == 0, err
    given = {word.lstrip("-").replace("-", "_") for word in MODES[mode] if word.startswith("--")}
    flags = {action.dest for action in parser()._actions} - {"help"}
    tried = 0
    for flag in sorted(flags - SILENT - (given & {"agent"})):
        words = list(MODES[mode])
        name = f"--{flag.replace('_', '-')}"
        value = VALUES.get(flag)
        if value is None:
            continue
        value = str(files[1].get(value, value))
        if name in words:
            words[words.index(name) + 1] = value
        else:
            words += [name, value]
        tried += 1
        code, other, err = play(words, files, capsys, tmp_path / "out")
        if code == 2:
            assert len(err.strip().splitlines()) == 1, (words, err)
        else:
            assert other != plain, f"{mode}: {name} {value} changes nothing"
    assert tried >= 12


def test_unknown_flags_of_this_file_are_no_news():
    """A flag that is added must be walked here, or named as one that prints nothing."""
    flags = {action.dest for action in parser()._actions} - {"help"}
    files = {"columns", "label", "estimate_propensity", "ledger", "epsilon_total", "mechanism"}
    assert flags - SILENT - set(VALUES) <= {*files, "env_horizon"}


# --- overrides ------------------------------------------------------------------------------


TABLE = {
    "horizon": 40,
    "replications": 3,
    "problem": {"name": "bernoulli", "means": [0.2, 0.8]},
    "agents": [{"name": "ucb"}, {"name": "uniform"}],
}


@pytest.mark.parametrize(
    ("override", "agent"),
    [
        ({"horizon": 20}, "ucb"),
        ({"replications": 5}, "ucb"),
        ({"seed": 9}, "ucb"),
        ({"agents": "moss"}, "moss"),
        ({"agents": ["ucb", {"name": "ucb", "alpha": 0.1, "label": "bold"}]}, "bold"),
        ({"problem": "beta"}, "ucb"),
        ({"problem": {"name": "bernoulli", "means": [0.5, 0.6]}}, "ucb"),
        ({"parameters": {"means": [0.4, 0.5, 0.6]}}, "ucb"),
        ({"hyper": {"ucb": {"alpha": 0.01}}}, "ucb"),
    ],
)
def test_every_override_acts_on_a_table_and_on_an_arena(override, agent):
    plain = banditlab.simulate(TABLE).raw("ucb")
    for arena in (TABLE, read_arena(TABLE)):
        other = banditlab.simulate(arena, **override).raw(agent)
        assert other.shape != plain.shape or not np.array_equal(other, plain)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ({"hyper": {"ubc": {"alpha": 1}}}, "unknown agent 'ubc'; did you mean ucb"),
        ({"hyper": {"ucb": {"alfa": 1}}}, "unknown argument 'alfa'; did you mean alpha"),
        ({"parameters": {"mean": [0.1]}}, "unknown argument 'mean'; did you mean means"),
        ({"problem": "bernouli"}, "did you mean bernoulli"),
        ({"agents": []}, "agents must be a list of names or entries, got"),
        ({"agents": [3]}, "agents must hold names, or entries with a name, got 3"),
        ({"horizon": 2**64}, "horizon must be at most 9007199254740992, got"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"replications": 2.5}, "replications must be an integer"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_an_override_that_cannot_act_is_refused(override, line):
    with pytest.raises(ValueError, match=line) as error:
        banditlab.simulate(TABLE, **override)
    assert "\n" not in str(error.value)


def test_rivals_inherit_the_log_that_the_panels_agents_read():
    warm = {
        **TABLE,
        "log": 30,
        "agents": [{"name": "ucb", "warm": True}, {"name": "thompson", "warm": True}],
    }
    [panel] = read_arena(warm, agents=["ucb", "moss"]).panels
    assert [agent.warm for agent in panel.agents] == [True, True]
    [panel] = read_arena(TABLE, agents=["ucb", "moss"]).panels
    assert [agent.warm for agent in panel.agents] == [False, False]


def test_bounds_that_another_problem_has_not_are_left_out_before_the_first_block(capsys):
    table = {**TABLE, "overlays": ["lai_robbins"]}
    assert banditlab.simulate(table).overlays["main"][0]["label"] == "Lai-Robbins"
    curves = banditlab.simulate(table, problem="beta")
    assert curves.overlays["main"] == []
    assert "left out, for they are not known for beta: lai_robbins" in capsys.readouterr().err
    with pytest.raises(ValueError, match="overlay lai_robbins is known for bernoulli and gaussian"):
        banditlab.simulate({**table, "problem": {"name": "beta", "a": [1, 2], "b": [2, 1]}})


def test_a_claim_about_nothing_is_refused_before_the_first_block(tmp_path):
    for claim, line in (
        ({"less": "ubc.regret", "than": "uniform.regret"}, "unknown agent 'ubc'"),
        ({"less": "ucb.regrets", "than": "uniform.regret"}, "unknown measure 'regrets'"),
        ({"value": "ucb.regret", "near": 1.0, "at": 7}, "round 7 is no checkpoint"),
        ({"slope": "ubc.regret", "near": 1.0}, "unknown agent 'ubc'"),
    ):
        keep = tmp_path / "keep"
        with pytest.raises(ValueError, match=line):
            banditlab.simulate({**TABLE, "checkpoints": [40], "checks": [claim]}, keep=keep)
        assert not any(keep.rglob("*")) if keep.exists() else True


def test_deep_lists_are_refused_in_one_line(tmp_path, capsys):
    deep = "[" * 3000 + "]" * 3000
    assert main(["--agent", "ucb", "--set", f"ucb.alpha={deep}"]) == 2
    (tmp_path / "deep.toml").write_text(f"{ARENA}\nx = {deep}\n")
    assert main(["--arena", str(tmp_path / "deep.toml"), "--out", str(tmp_path / "out")]) == 2
    for line in capsys.readouterr().err.strip().splitlines():
        assert line.startswith("error: ") and "nested too deeply" in line


def test_a_hyper_parameter_that_is_set_is_swept_no_more():
    """Else the sweep would set it back, in silence."""
    swept = {**TABLE, "sweep": {"ucb.alpha": [0.1, 2.0]}}
    [panel] = read_arena(swept, hyper={"ucb": {"alpha": 1.0}}).panels
    assert panel.sweep == {} and panel.agents[0].hyper == {"alpha": 1.0}
    [panel] = read_arena(swept, hyper={"uniform": {}}).panels
    assert panel.sweep == {"ucb.alpha": [0.1, 2.0]}


def test_flags_that_cannot_act_are_refused_before_anything_is_played(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.toml").write_text(ARENA.replace('[[agents]]\nname = "uniform"\n', ""))
    (tmp_path / "mine.py").write_text("")
    for words, said in (
        (["--arena", "one.toml", "--compare"], "--compare needs a panel with two agents"),
        (["--agent", "ucb", "--replications", "1", "--compare"], "two replications of each"),
        (["--agent", "ucb", "--until-resolved", "2"], "--until-resolved must lie strictly"),
        (["--agent", "ucb", "--workers", "auto", "--address", "nowhere:1"], "not for backend thr"),
        (["--agent", "ucb", "--live", "--quiet"], "--live shows what --quiet hides"),
        (["--agent", "mine"], "unknown agent 'mine'; the file that is here is ./mine.py"),
        (["--explain", "mine"], "the file that is here is ./mine.py"),
        (["--agent", "zzzz"], "--list shows all"),
    ):
        assert main(words) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and len(err) < 200 and said in err, err
    assert {path.name for path in tmp_path.iterdir()} == {"one.toml", "mine.py"}
