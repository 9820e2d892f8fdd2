"""A user's table of returns: the set worth keeping, intervals of gaps, selectors, messy input."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from banditlab.cli.main import main
from banditlab.data.returns import read_returns
from banditlab.reports import returns
from banditlab.reports.returns import gaps, report, resampled_gaps
from banditlab.robust.dominance import mix_gap

SHIPPED = Path(__file__).parent.parent / "arenas" / "logs" / "returns.csv"
SMALL = {"horizon": 200, "replications": 10}


def table(cells, noise=0.0, episodes=4, seed=0):
    """A dictionary of columns from {policy: {condition: mean}}."""
    rng = np.random.default_rng(seed)
    rows = [
        (policy, condition, mean + noise * rng.normal())
        for policy, row in cells.items()
        for condition, mean in row.items()
        for _ in range(episodes)
    ]
    return {
        name: [row[i] for row in rows] for i, name in enumerate(("policy", "condition", "return"))
    }


HULL = {
    "swift": {"none": 1.0, "push": 0.0},
    "stout": {"none": 0.0, "push": 1.0},
    "both": {"none": 0.8, "push": 0.8},
    "poor": {"none": 0.4, "push": 0.4},
}


def test_the_hull_by_hand():
    found = report(table(HULL), **SMALL)
    assert found["kept"] == ["swift", "both", "stout"] or set(found["kept"]) == {
        "swift", "both", "stout"
    }  # fmt: skip
    assert found["clean"] == "none" and found["policies"] == ["both", "poor", "stout", "swift"]
    by = {row["policy"]: row for row in found["gaps"]}
    assert by["both"]["gap"] == pytest.approx(0.3)
    assert by["poor"]["gap"] == pytest.approx(-0.4)
    assert by["poor"]["dominated_by"] == [{"policy": "both", "weight": pytest.approx(1.0)}]
    assert not by["both"]["dominated_by"]
    assert by["both"]["lo"] == pytest.approx(0.3) and by["both"]["hi"] == pytest.approx(0.3)
    assert found["guarantee"]["value"] == pytest.approx(0.8)
    assert "biased" in found["bias"]
    assert json.loads(json.dumps(found)) == found
    assert (found["low"], found["high"]) == (0.0, 1.0)
    names = {(row["attackers"], row["selector"]) for row in found["selectors"]}
    assert ("in blocks", "exp3") in names and len(names) == 8


def test_who_is_left_out_is_dominated_by_a_mixture():
    cells = {k: v for k, v in HULL.items() if k != "both"}
    by = {row["policy"]: row for row in report(table(cells), **SMALL)["gaps"]}
    assert by["poor"]["gap"] == pytest.approx(-0.1)
    weights = {part["policy"]: part["weight"] for part in by["poor"]["dominated_by"]}
    assert weights == pytest.approx({"swift": 0.5, "stout": 0.5})


def test_the_plug_in_gap_is_too_large_and_its_correction_less_so():
    """Two policies, equal under all of six conditions: the true gap of each is 0."""
    cells = {k: {f"c{j}": 0.0 for j in range(6)} for k in ("a", "b")}
    plug, corrected = [], []
    for seed in range(60):
        found = read_returns(table(cells, noise=1.0, episodes=12, seed=seed))
        gap = mix_gap(found.means, 0, [1]).value
        plug.append(gap)
        corrected.append(2 * gap - resampled_gaps(found, 60, seed)[:, 0].mean())
    error = np.std(plug) / np.sqrt(60)
    assert np.mean(plug) > 10 * error  # E max of six differences
    assert abs(np.mean(corrected)) < 0.75 * np.mean(plug)


def test_with_one_condition_the_gap_is_too_small():
    """A minimum over the others is taken, too: what the report says of it."""
    cells = {k: {"none": 0.0} for k in "abcdefgh"}
    plug = [
        mix_gap(read_returns(table(cells, 1.0, 12, seed)).means, 0, range(1, 8)).value
        for seed in range(60)
    ]
    assert np.mean(plug) < -5 * np.std(plug) / np.sqrt(60)


def test_the_bootstrap_draws_within_cells():
    found = read_returns(table(HULL, noise=0.1, episodes=10))
    out = np.zeros(4)
    gaps(found.means, out)
    assert out == pytest.approx(
        [mix_gap(found.means, i, [k for k in range(4) if k != i]).value for i in range(4)]
    )
    drawn = resampled_gaps(found, 200, seed=1)
    assert drawn.std(axis=0) == pytest.approx(np.full(4, 0.1 / np.sqrt(10)), rel=0.8)
    assert np.array_equal(drawn, resampled_gaps(found, 200, seed=1))


def test_intervals_are_turned_around_the_gap():
    """The basic bootstrap: what resampling adds is what the means have added already."""
    columns = table(HULL, noise=0.3, episodes=10)
    found, drawn = report(columns, seed=2, **SMALL), resampled_gaps(read_returns(columns), 1000, 2)
    for i, row in enumerate(found["gaps"]):
        low, high = np.quantile(drawn[:, i], [0.025, 0.975])
        assert row["lo"] == pytest.approx(2 * row["gap"] - high)
        assert row["hi"] == pytest.approx(2 * row["gap"] - low)
        assert row["corrected"] == pytest.approx(2 * row["gap"] - drawn[:, i].mean())


def test_returns_in_other_units_change_units_only():
    plain = report(table(HULL, noise=0.1), seed=3, **SMALL)
    cells = {p: {c: 5000 * v - 700 for c, v in row.items()} for p, row in HULL.items()}
    scaled = report(table(cells, noise=500.0), seed=3, **SMALL)
    assert scaled["kept"] == plain["kept"]
    for one, two in zip(plain["gaps"], scaled["gaps"], strict=True):
        assert two["gap"] == pytest.approx(5000 * one["gap"], abs=1e-6)
    for one, two in zip(plain["selectors"], scaled["selectors"], strict=True):
        assert two["regret_per_episode"] == pytest.approx(
            5000 * one["regret_per_episode"], rel=1e-6
        )


def test_bounds_clip_and_say_so():
    found = report(table(HULL), low=0.2, high=1.0, **SMALL)
    assert "8 of 32 returns were clipped to [0.2, 1]" in found["notes"]
    assert np.min(found["means"]) == 0.2
    with pytest.raises(ValueError, match="low must be below high"):
        report(table(HULL), low=2.0)
    with pytest.raises(ValueError, match="all returns are 1"):
        report({"policy": ["a", "b"], "condition": ["none"] * 2, "return": [1, 1]})


@pytest.mark.parametrize("given", [{"gap": "pure"}, {"delta": 0.5}])
def test_who_is_left_out_without_being_dominated_is_named(given):
    """The pure rule, or a large delta, drops what no mixture of those kept is as good as."""
    found = report(table(HULL), **given, **SMALL)
    by = {row["policy"]: row for row in found["gaps"]}
    assert set(found["kept"]) == {"swift", "stout"} and by["both"]["gap"] == pytest.approx(0.3)
    assert by["both"]["dominated_by"] == []
    assert "left out, and yet no mixture of those kept is as good: both" in found["notes"]
    assert {part["policy"] for part in by["poor"]["dominated_by"]} == {"swift", "stout"}
    assert not any("left out" in note for note in report(table(HULL), **SMALL)["notes"])


def test_the_bootstrap_takes_no_more_than_its_memory(monkeypatch):
    found = read_returns(table(HULL, noise=0.1, episodes=10))
    whole = resampled_gaps(found, 30, seed=1)
    monkeypatch.setattr(returns, "AT_ONCE", 25)  # two draws of ten episodes
    assert np.array_equal(resampled_gaps(found, 30, seed=1), whole)
    monkeypatch.setattr(returns, "LARGE", 100.0)
    large = report(table(HULL, noise=0.1), **SMALL)
    assert "4 policies by 2 conditions are too many for intervals" in large["notes"]
    assert all(row["lo"] is None for row in large["gaps"])
    monkeypatch.setattr(returns, "TOO_LARGE", 100.0)
    with pytest.raises(ValueError, match="4 policies by 2 conditions would take hours"):
        report(table(HULL), **SMALL)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"seed": -1}, "seed must be at least 0"), ({"seed": "a"}, "seed must be an integer"),
        ({"seed": 1.5}, "seed must be an integer"), ({"agent": 3}, "agent must be a name, got 3"),
        ({"columns": 5}, "columns must be their names by ours"),
        ({"low": 1.0, "high": 9.0}, "low and high clip all returns, 0 to 1, to one number"),
    ],
)  # fmt: skip
def test_odd_arguments_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        report(table(HULL), **{**SMALL, **given})


def test_small_units_are_shown():
    cells = {p: {c: 1e-10 * v for c, v in row.items()} for p, row in HULL.items()}
    said = io.StringIO()
    returns.render(report(table(cells), **SMALL), Console(file=said, width=200))
    assert "8e-11" in said.getvalue() and "3e-11" in said.getvalue()


def test_one_policy_above_all_leaves_nothing_to_choose():
    found = report(table({"a": {"none": 1.0, "x": 1.0}, "b": {"none": 0.0, "x": 0.5}}), **SMALL)
    assert found["kept"] == ["a"] and found["selectors"] == []
    said = io.StringIO()
    returns.render(found, Console(file=said, width=200))
    assert "nothing to choose" in said.getvalue()


def test_one_episode_a_cell_has_no_interval():
    found = report(table(HULL, episodes=1), **SMALL)
    assert all(row["lo"] is None for row in found["gaps"])
    assert any("tried only once" in note for note in found["notes"])


def test_which_condition_is_no_attack():
    cells = {"a": {"x": 1.0, "Natural": 0.5}, "b": {"x": 0.0, "Natural": 0.6}}
    assert read_returns(table(cells)).conditions == ("Natural", "x")
    cells = {"a": {"x": 1.0, "y": 0.5}, "b": {"x": 0.9, "y": 0.6}}
    guessed = read_returns(table(cells))
    assert guessed.conditions == ("x", "y")
    assert "x, on which returns are best, is taken" in guessed.notes[0]
    cells = {"a": {"x": 3.0, "none": 0.5, "clean": 1.0}, "b": {"x": 9.0, "none": 0.5, "clean": 1.0}}
    both = read_returns(table(cells))
    assert both.conditions[0] == "clean"
    assert both.notes[0].startswith("conditions clean, none are all called as if none: clean, on")


def test_other_columns_are_said_not_to_be_read():
    """A column `environment` would tell apart what is taken together here."""
    found = read_returns({**table(HULL), "environment": ["Ant", "Hopper"] * 16})
    assert found.notes == ["rows count as episodes whatever their environment: not read"]
    assert read_returns(table(HULL)).notes == []


def test_a_policy_tried_more_often_counts_no_more():
    """Which condition is best is a mean over policies, not over rows."""
    one, two = table({"a": {"x": 1.0, "y": 0.0}}, episodes=1), table({"a": {"y": 0.0}}, episodes=99)
    good = table({"b": {"x": 0.0, "y": 0.9}}, episodes=50)
    columns = {name: one[name] + two[name] + good[name] for name in one}
    assert read_returns(columns).conditions == ("x", "y")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("policy,condition\na,none\n", "return"),
        ("policy,condition,return\n", "has no rows"),
        ("", "is empty"),
        ("policy,condition,return\na,none,1\n", "at least 2 are needed, got one: a"),
        ("policy,condition,return\na,none,1\nb,push,1\n", "policy a has no episode under"),
        ("policy,condition,return\na,none,1\nb,none,x\n", "return: row 1 has x"),
        ("policy,condition,return\na,none,1\nb,none,nan\n", "return: row 1 has nan"),
        ("policy,condition,return\na,none,1\nb,none,inf\n", "return: row 1 has inf"),
        ("policy,condition,return\n,none,1\nb,none,2\n", "policy: row 0 has nothing"),
        ("policy,condition,return\na,,1\nb,none,2\n", "condition: row 0 has nothing"),
        ("policy,condition,return\na,none,1,9\nb,none,2\n", "line 2 has 4 cells"),
        ("policy,policy,condition,return\na,a,none,1\n", "appears twice"),
        ("policy,condition,retrun\na,none,1\nb,none,2\n", "retrun"),
    ],
)  # fmt: skip
def test_messy_tables_are_refused_in_one_line(text, said, tmp_path, capsys):
    (tmp_path / "t.csv").write_text(text)
    assert main(["--agent", "discover", "--log", str(tmp_path / "t.csv")]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1 and told.startswith("error: t.csv")


def test_names_of_columns_and_of_policies_are_theirs(tmp_path, capsys):
    text = "score;model;attack\n" + "".join(
        f"{str(v).replace('.', ',')};{name};{kind}\n"
        for name, row in (("007", (1.5, 0.5)), ("né [b]", (0.25, 2.5)))
        for kind, v in zip(("clean", "fgsm"), row, strict=True)
        for _ in range(3)
    )
    (tmp_path / "t.csv").write_text(text)
    words = ["--columns", "policy=model,condition=attack,return=score", "--replications", "5"]
    args = ["--agent", "discover", "--log", str(tmp_path / "t.csv"), *words, "--horizon", "50"]
    assert main([*args, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["kept"]) == {"007", "né [b]"} and found["conditions"] == ["clean", "fgsm"]
    assert main(args) == 0
    assert "né [b]" in capsys.readouterr().out


def test_settings_reach_the_agent_and_nobody_else(capsys):
    words = ["--log", str(SHIPPED), "--horizon", "50", "--replications", "2", "--json"]
    assert main(["--agent", "discover", "--set", "discover.gap=pure", *words]) == 0
    pure = json.loads(capsys.readouterr().out)
    assert len(pure["gaps_of_set"]) <= 8 and pure["rows"] == 1200
    assert main(["--agent", "discover", "--set", "exp3.eta=1", *words]) == 2
    assert "unknown agent 'exp3'" in capsys.readouterr().err
    assert main(["--agent", "discover", "--sigma", "1", *words]) == 2
    assert "--sigma is not for" in capsys.readouterr().err
    with pytest.raises(ValueError, match="picks no set of policies"):
        report(SHIPPED, agent="ucb")


def test_the_shipped_table(capsys):
    """Made by scripts/make_returns.py; tilt is never better than steady."""
    found = report(SHIPPED, replications=20)
    by = {row["policy"]: row for row in found["gaps"]}
    assert not by["angle"]["kept"] and not by["tilt"]["kept"]
    assert by["tilt"]["dominated_by"] == [{"policy": "steady", "weight": pytest.approx(1.0)}]
    assert by["centre"]["lo"] > 0 and by["steady"]["lo"] > 0
    table = {(r["attackers"], r["selector"]): r for r in found["selectors"]}
    for kind in ("in blocks", "adaptive"):
        one, two = table[kind, "exp3"], table[kind, "uniform"]
        assert one["regret_per_episode"] + one["half_width"] < two["regret_per_episode"]
    leader = table["adaptive", "follow_leader"]["regret_per_episode"]
    assert leader > 3 * table["adaptive", "exp3"]["regret_per_episode"]
