"""``scripts/regenerate.py --check`` says of every result whether it can be had again."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def check(tmp_path):
    """The script's main, over a copy of one arena's results."""
    shutil.copytree(ROOT / "results" / "lcb_popular_wrong", tmp_path / "lcb_popular_wrong")
    main = runpy.run_path(str(ROOT / "scripts" / "regenerate.py"))["main"]
    return lambda *words: main(["--check", *words], root=tmp_path)


def test_what_is_committed_is_what_a_run_gives(check, capsys):
    assert check() == 0
    assert "lcb_popular_wrong: the same curves" in capsys.readouterr().out


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
