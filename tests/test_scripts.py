"""``scripts/regenerate.py`` redraws, and with ``--check`` says whether all can be had again."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


NAME = "lcb_popular_wrong"


@pytest.fixture
def regenerate(tmp_path):
    """The script's main, over a copy of one arena's results."""
    shutil.copytree(ROOT / "results" / "lcb_popular_wrong", tmp_path / "lcb_popular_wrong")
    main = runpy.run_path(str(ROOT / "scripts" / "regenerate.py"))["main"]
    return lambda *words: main([*words], root=tmp_path)


@pytest.fixture
def check(regenerate):
    return lambda *words: regenerate("--check", *words)


def test_what_is_committed_is_what_a_run_gives(regenerate, check, capsys, tmp_path):
    before = {path.name: path.read_bytes() for path in (tmp_path / NAME).iterdir()}
    assert regenerate() == 0  # redraws, and writes the gallery
    assert {path.name: path.read_bytes() for path in (tmp_path / NAME).iterdir()} == before
    text = (tmp_path / "README.md").read_text()
    assert f"![The popular arm is wrong: imitation fails for every C* above 1]({NAME}/fig" in text
    assert "**Claim.** From two contexts on" in text and "15 of 15 checks passed" in text
    assert f"`python -m banditlab.arena --arena {NAME}`" in text
    assert check() == 0
    said = capsys.readouterr().out
    assert f"{NAME}: the same figure" in said and "README.md: the same gallery" in said
    assert f"{NAME}: the same curves" in said
    (tmp_path / "README.md").write_text(text.replace("two contexts", "three contexts"))
    assert check("--figures") == 1
    assert "README.md: OTHER GALLERY" in capsys.readouterr().out


def test_a_figure_that_is_not_drawn_from_its_curves_is_found(check, capsys, tmp_path):
    svg = tmp_path / NAME / "figure.svg"
    svg.write_text(svg.read_text().replace("#0072b2", "#0072b3", 1))
    assert check("--figures", NAME) == 1
    assert f"{NAME}: OTHER figure.svg" in capsys.readouterr().out


def test_a_figure_of_another_run_is_not_drawn(regenerate, capsys, tmp_path):
    file = tmp_path / NAME / "run.json"
    about = json.loads(file.read_text())
    about["arena"]["seed"] += 1
    file.write_text(json.dumps(about))
    assert regenerate(NAME) == 1
    assert f"{NAME}: OTHER ARENA, run it first" in capsys.readouterr().out


def test_other_words_need_no_other_run(regenerate, tmp_path):
    file = tmp_path / NAME / "run.json"
    about = json.loads(file.read_text())
    about["arena"]["title"] = about["figure"]["title"] = "Another title"
    old = file.read_bytes()
    file.write_text(json.dumps(about))
    assert regenerate(NAME) == 0
    assert file.read_bytes() == old


def test_a_width_or_style_of_ones_own_goes_elsewhere(regenerate, capsys, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        regenerate(NAME, "--style", "dark")
    assert "--width and --style need --out" in capsys.readouterr().err
    assert regenerate(NAME, "--out", str(tmp_path / "o"), "--width", "3.4", "--style", "dark") == 0
    assert (tmp_path / "o" / NAME / "figure.png").stat().st_size > 5000


def test_a_curve_that_no_run_gives_is_found(check, capsys, tmp_path):
    curves = tmp_path / "lcb_popular_wrong" / "curves.csv"
    text = curves.read_text()
    digit = text.rstrip()[-1]
    curves.write_text(text.rstrip()[:-1] + ("1" if digit != "1" else "2") + "\n")
    assert check("lcb_popular_wrong") == 1
    assert "OTHER CURVES" in capsys.readouterr().out


def test_no_results_at_all_is_exit_1(check, tmp_path):
    shutil.rmtree(tmp_path / "lcb_popular_wrong")
    assert check() == 1


def test_an_arena_without_results_is_refused_in_one_line(check, capsys):
    with pytest.raises(SystemExit, match="2"):
        check("lbc")
    assert "no results of arena 'lbc'" in capsys.readouterr().err


def test_the_table_of_speed_is_what_was_measured():
    """The block of the README is written by scripts/benchmark.py, and nobody else."""
    script = runpy.run_path(str(ROOT / "scripts" / "speed.py"))
    kept = json.loads(script["KEPT"].read_text())
    readme = (ROOT / "README.md").read_text()
    assert script["rewritten"](readme, kept) == readme
    kept["rates"][0]["rate"] *= 2.0  # the control: another measurement is another table
    assert script["rewritten"](readme, kept) != readme
    with pytest.raises(ValueError, match="has no place for the table"):
        script["rewritten"]("no marks", kept)


def test_the_table_has_every_library_once_for_each_algorithm():
    script = runpy.run_path(str(ROOT / "scripts" / "speed.py"))
    peer = {"library": "other", "version": "2.0", "pulls_per_second": 5e4}
    found = {
        "instance": {"arms": 10, "horizon": 1000, "replications": 64},
        "machine": {"processor": "x", "cores": 1, "vector_bits": 256},
        "rates": [
            {"agent": "ucb", "how": "lanes", "pulls_per_second": 2e8},
            {"agent": "C", "how": "textbook", "pulls_per_second": 4e7},
            {"agent": "C", "how": "same", "pulls_per_second": 3e7},
            {"agent": "moss", "how": "lanes", "pulls_per_second": 1e8},
        ],
        "peers": [{"agent": "ucb", **peer}, {"agent": "engine", **peer}],
    }
    lines = script["block"](script["of"](found)).splitlines()
    assert [line.split(" | ")[1:] for line in lines if "| UCB" in line] == [
        ["banditlab, 64 replications in lock-step", "200 |"],
        ["plain C (gcc -O3), the textbook's", "40 |"],
        ["other 2.0", "0.05 |"],
    ]
    assert sum("its own engine" in line for line in lines) == 1
