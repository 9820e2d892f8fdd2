"""``--tune``: what may be searched, on which luck, and that an interrupted search goes on."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

import banditlab
from banditlab.arena import tune as search
from banditlab.arena.spec import read_arena
from banditlab.arena.tune import ELSEWHERE, Range, judged, read_space
from banditlab.cli.main import main

optuna = pytest.mark.skipif(
    find_spec("optuna") is None, reason='needs pip install "banditlab-arena[tune]"'
)
ARENA = {
    "name": "arms",
    "problem": {"name": "bernoulli", "means": [0.2, 0.8]},
    "agents": [{"name": "ucb"}, {"name": "uniform"}],
    "horizon": 200,
    "replications": 10,
    "seed": 4,
}


def test_places_are_read():
    assert read_space(["alpha=0.1:4:log"], "ucb") == {"alpha": Range(0.1, 4.0, True, False)}
    assert read_space(["ucb.alpha=1:4"], "ucb") == {"alpha": Range(1.0, 4.0, False, False)}
    window = read_space(["window=10:500:log"], "sliding_ucb")["window"]
    assert window == Range(10.0, 500.0, True, True)
    assert read_space(["alpha=1|2.5|a"], "ucb") == {"alpha": (1, 2.5, "a")}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("alpha", "--tune must look like key=low:high"),
        ("alpha=4:1", "low below high"),
        ("alpha=a:b", "--tune must look like"),
        ("alpha=1:2:cubic", "--tune must look like"),
        ("alpha=0:2:log", "on a log scale the range must lie above 0"),
        ("alhpa=1:2", "unknown hyper-parameter 'alhpa'; did you mean alpha"),
    ],
)
def test_what_is_no_place_is_refused_in_one_line(word, said):
    with pytest.raises(ValueError, match=said):
        read_space([word], "ucb")


def test_an_agent_that_is_swept_is_not_tuned():
    """What was searched was overwritten, and the tuned one was not swept beside the other."""
    for swept in ("ucb.alpha", "uniform.epsilon, ucb.alpha"):
        agents = [{"name": "ucb"}, {"name": "epsilon_greedy", "label": "uniform"}]
        arena = {**ARENA, "agents": agents, "sweep": {swept: [0.5, 1.0]}}
        for space in (["alpha=0.05:8:log"], {"alpha": (1.0, 2.0)}):
            with pytest.raises(ValueError, match="--tune: panel 'main' sweeps ucb.alpha, and"):
                banditlab.tune(arena, "ucb", space)
    other = read_arena({**ARENA, "sweep": {"problem.means": [[0.2, 0.8], [0.4, 0.6]]}})
    search._refuse_swept("ucb", other)


def test_values_at_a_bound_are_found():
    plain, log, whole = Range(0, 10, False, False), Range(0.1, 10, True, False), Range(1, 9, 0, 1)
    cases = [(0.05, plain, 0), (5.0, plain, None), (9.95, plain, 10), (0.104, log, 0.1)]
    cases += [(0.2, log, None), (9, whole, 9), (8, whole, None), ("a", ("a", "b"), None)]
    for value, place, bound in cases:
        assert search._bound(value, place) == bound


def test_without_the_package_one_line_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(search, "find_spec", lambda name: None)
    words = ["--agent", "ucb", "--horizon", "50", "--out", str(tmp_path / "out")]
    assert main([*words, "--tune", "alpha=0.1:2"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and 'pip install "banditlab-arena[tune]"' in said
    assert main([*words, "--trials", "3"]) == 2
    assert "--trials is for --tune" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["alpha=3"], "--tune must look like"),
        (["alpha=1:2", "--memory", "x"], "memory must be a size"),
        (["alpha=1:2", "--until-resolved", "2"], "--until-resolved must lie strictly"),
        (["alpha=1:2", "--backend", "x"], "unknown backend 'x'"),
        (["alpha=1:2", "--track", "x"], "track must be one of"),
        (["alpha=1:2", "--replications", "1", "--compare"], "--compare needs"),
    ],
)
def test_a_search_that_is_refused_leaves_what_an_earlier_one_kept(
    words, said, monkeypatch, tmp_path, capsys
):
    """It was deleted, or the flags of the last run were read when the search was over."""
    monkeypatch.setattr(search, "find_spec", lambda name: True)
    kept = tmp_path / "tune.journal"
    kept.write_text("kept")
    assert main(["--agent", "ucb", "--out", str(tmp_path), "--tune", *words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and said in err and kept.read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["tune.journal"]


def test_the_tuned_agent_stands_beside_the_untuned_one():
    arena = read_arena(ARENA)
    found = search.Tuned("ucb", {"alpha": 0.25}, {"alpha": 2.0}, 0.5, 1.0, {}, [], 9)
    made = judged(arena, found)
    assert [a.label for a in made.panels[0].agents] == ["ucb, tuned", "ucb", "uniform"]
    assert made.panels[0].agents[0].hyper == {"alpha": 0.25} and made.seed == 4
    assert [a.label for a in arena.panels[0].agents] == ["ucb", "uniform"]


@optuna
def test_a_search_finds_better_values_on_a_seed_of_its_own(monkeypatch):
    from banditlab.arena import simulate

    seeds = set()
    real = simulate.run

    def seen(arena, *rest, **named):
        seeds.add(arena.seed)
        return real(arena, *rest, **named)

    monkeypatch.setattr(simulate, "run", seen)
    found = banditlab.tune(ARENA, "ucb", ["alpha=0.05:8:log"], trials=12, workers=1)
    assert seeds == {4 + ELSEWHERE} and found.seed == 4 + ELSEWHERE
    assert found.trials[0]["alpha"] == 2.0 and found.value_untuned == 1.0  # as it stands
    assert len(found.trials) == 12 and found.value == min(t["value"] for t in found.trials) < 0.6
    assert found.best["alpha"] < 0.5


@optuna
def test_an_interrupted_search_ends_as_one_that_is_not(tmp_path):
    place = ["alpha=0.05:8:log"]
    whole = banditlab.tune(ARENA, "ucb", place, trials=7, workers=1)

    class Stopped(Exception):
        pass

    def stop(what, done, total):
        if done == 4:
            raise Stopped

    keep = tmp_path / "trials"
    with pytest.raises(Stopped):
        banditlab.tune(ARENA, "ucb", place, trials=7, workers=1, keep=keep, progress=stop)
    counted = []
    again = banditlab.tune(
        ARENA, "ucb", place, trials=7, workers=1, keep=keep,
        progress=lambda what, done, total: counted.append(done),
    )  # fmt: skip
    assert counted == [5, 6, 7]
    assert again.trials == whole.trials and again.best == whole.best


@optuna
def test_whole_numbers_names_and_bounds(tmp_path, capsys):
    arena = {**ARENA, "agents": [{"name": "sliding_ucb"}], "horizon": 60, "replications": 4}
    found = banditlab.tune(
        arena, "sliding_ucb", ["window=5:7", "alpha=0.5|1.0"], trials=5, workers=1
    )
    assert all(isinstance(t["window"], int) and 5 <= t["window"] <= 7 for t in found.trials)
    assert {t["alpha"] for t in found.trials} <= {0.5, 1.0}
    with pytest.raises(ValueError, match="--tune alpha: -1.0 is not allowed"):
        banditlab.tune(ARENA, "ucb", ["alpha=-1:2"], trials=2)
    words = ["--agent", "ucb", "--horizon", "100", "--replications", "4", "--workers", "1"]
    words += ["--vs", "uniform", "--out", str(tmp_path / "out"), "--tune", "alpha=3:3.1"]
    assert main([*words, "--trials", "2"]) == 0
    said = capsys.readouterr()
    assert "ucb, tuned" in said.out and "uniform" in said.out
    assert "ucb, tuned in 2 trials on seed" in said.err
    kept = json.loads((tmp_path / "out" / "tune.json").read_text())
    assert len(kept["trials"]) == 2 and set(kept["best"]) == {"alpha"}
    if kept["at_bound"]:
        assert "sits at the bound" in said.err
