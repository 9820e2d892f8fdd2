"""Results from elsewhere: read, cut, interpolated, paired, drawn, and refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import banditlab
from banditlab.__main__ import main
from banditlab.statistics import paired_p


def frame(runs):
    """A tidy frame of {(agent, seed): {t: value}}."""
    return pd.DataFrame(
        [(a, s, t, v) for (a, s), run in runs.items() for t, v in run.items()],
        columns=["agent", "seed", "t", "value"],
    ).sample(frac=1.0, random_state=1)


GRID = (1, 5, 10)
EVEN = {
    (a, s): {t: 10.0 * k + s + t / 10 for t in GRID} for k, a in enumerate("xy") for s in (3, 7)
}


def test_runs_on_one_grid_are_taken_as_they_are():
    curves = banditlab.Curves.from_frame(frame(EVEN))
    assert curves.notes == [] and curves.agents() == ["x", "y"]
    np.testing.assert_array_equal(curves.checkpoints(), GRID)
    np.testing.assert_array_equal(curves.raw("y", "value")[1], [17.1, 17.5, 18.0])
    again = banditlab.Curves.from_frame({k: v.to_numpy() for k, v in frame(EVEN).items()})
    np.testing.assert_array_equal(again.raw("x"), curves.raw("x"))


def test_unequal_lengths_and_grids_are_cut_and_interpolated_with_a_word():
    runs = {
        ("x", 1): {0: 0.0, 10: 10.0, 20: 0.0},
        ("x", 2): {0: 0.0, 4: 8.0, 12: 8.0},
        ("y", 1): {2: 1.0, 10: 1.0, 16: 7.0},
        ("y", 2): {0: 2.0, 16: 2.0},
    }
    curves = banditlab.Curves.from_frame(frame(runs))
    np.testing.assert_array_equal(curves.checkpoints(), [2, 4, 10, 12])
    np.testing.assert_allclose(curves.raw("x"), [[2, 4, 10, 8], [4, 8, 8, 8]])
    np.testing.assert_allclose(curves.raw("y"), [[1, 1, 1, 3], [2, 2, 2, 2]])
    end, begin, between = curves.notes
    assert "end at t = 12, where the shortest run does, though others go on to 20" in end
    assert "begin at t = 2" in begin
    assert "11 values (69%) are interpolated" in between


def test_seeds_pair_the_runs():
    rng = np.random.default_rng(0)
    luck = {s: 100.0 * rng.normal() for s in range(8)}
    runs = {(a, s): {1: luck[s] + k + 0.1 * rng.normal()} for k, a in enumerate("xy") for s in luck}
    curves = banditlab.Curves.from_frame(frame(runs))
    assert curves.compare("x", "y").p < 1e-6
    del runs["x", 3], runs["y", 5]
    fewer = banditlab.Curves.from_frame(frame(runs))
    assert fewer.compare("x", "y").p < 1e-6
    assert (
        "runs of 6 seeds that all agents have; left out are those of others: 1 of x, 1 of y"
        in (fewer.notes[0])
    )
    apart = {(a, s + 100 * (a == "y")): run for (a, s), run in runs.items()}
    unpaired = banditlab.Curves.from_frame(frame(apart))
    assert "no seed in common" in unpaired.notes[0]
    wanted = paired_p(unpaired.raw("x")[:, 0], unpaired.raw("y")[:, 0])
    assert unpaired.compare("x", "y").p == wanted


def test_fractions_of_t_names_and_panels_are_kept():
    data = pd.concat([frame(EVEN).assign(panel=name) for name in ("ant", "hopper")])
    data["t"] = data["t"] / 2
    curves = banditlab.Curves.from_frame(
        data.rename(columns={"value": "return", "agent": "algo"}),
        columns={"value": "return", "agent": "algo"},
    )
    assert curves.panels() == ["ant", "hopper"] and curves.measures() == ["return"]
    np.testing.assert_array_equal(curves.checkpoints("hopper"), [0.5, 2.5, 5.0])
    assert curves.scores(scale={"ant": (0.0, 20.0), "hopper": (0.0, 10.0)})["x"].shape == (2, 2)


def test_many_rounds_are_thinned():
    runs = {("x", s): {t: float(t) for t in range(5000)} for s in (1, 2)}
    curves = banditlab.Curves.from_frame(frame(runs))
    points = curves.checkpoints()
    assert points.size == 1000 and (points[0], points[-1]) == (0, 4999)
    np.testing.assert_array_equal(curves.raw("x")[0], points)
    assert curves.notes == ["5,000 rounds are thinned to 1,000"]


TABLE = "agent,seed,t,value\nx,1,1,2.0\nx,1,2,3.0\ny,1,1,2.0\ny,1,2,2.5\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TABLE + "x,1,2,4.0\n", "rows 1 and 4 are both of agent x, seed 1 at t = 2"),
        (TABLE.replace("seed", "run"), "has no column 'seed'; it has agent, run, t, value"),
        (TABLE.replace("3.0", "good"), "value: row 1"),
        (TABLE.replace("3.0", ""), "value: row 1"),
        (TABLE.replace("x,1,2", "x,1,late"), "t: row 1"),
        ("agent,seed,t,value\n", "has no rows"),
        (TABLE.replace("y,1,1", "y,1,9").replace("y,1,2", "y,1,8"), "no round lies within all"),
    ],
)
def test_what_is_no_table_of_results_is_refused_in_one_line(text, said, tmp_path, capsys):
    path = tmp_path / "results.csv"
    path.write_text(text)
    assert main(["plot", str(path), "--out", str(tmp_path / "out")]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "results.csv" in line and said in line, line
    assert not (tmp_path / "out").exists()


def test_the_command_line_draws_compares_and_keeps(tmp_path, capsys):
    path = tmp_path / "results.csv"
    rows = frame(EVEN).rename(columns={"agent": "algo", "value": "return"})
    rows.to_csv(path, index=False)
    words = [
        "plot",
        str(path),
        "--columns",
        "agent=algo,value=return",
        "--out",
        str(tmp_path / "o"),
    ]
    assert main([*words, "--compare"]) == 0
    said = capsys.readouterr().out
    assert "return at t 10, 2 replications" in said and "x - y" in said
    assert (tmp_path / "o" / "figure.png").stat().st_size > 5000
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    best = found["panels"][0]["results"][0]
    assert best["agent"] == "y" and best["best"]  # of a return, more is better
    assert found["panels"][0]["pairs"][0]["difference"] == pytest.approx(-10.0)
    again = banditlab.Curves.load(tmp_path / "o")
    np.testing.assert_array_equal(again.raw("x"), banditlab.Curves.load(tmp_path / "o").raw("x"))
    assert again.plot() is not None


def test_agents_of_any_name_are_drawn_and_reported_on(tmp_path, capsys):
    """Dollars that enclose no mathematics once ended the figure; reports read foreign results."""
    table = {
        "agent": ["$x_1^{$", "<b>$5"] * 2,
        "seed": [1, 1, 2, 2],
        "t": [1] * 4,
        "value": [1.0] * 4,
    }
    pd.DataFrame(table).to_csv(tmp_path / "odd.csv", index=False)
    out = tmp_path / "out"
    assert main(["plot", str(tmp_path / "odd.csv"), "--out", str(out)]) == 0
    assert main(["report", str(out)]) == 0
    page = (out / "report.html").read_text()
    assert "&lt;b&gt;$5" in page and "<b>$5" not in page and "Run it again" not in page
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("rows", ["a,1,1,2\n", "a,1,1,2\na,2,1,3\n", "a,1,1,2\nb,1,1,3\n"])
def test_where_there_is_nothing_to_compare_is_said(rows, tmp_path, capsys):
    path = tmp_path / "few.csv"
    path.write_text(f"agent,seed,t,value\n{rows}")
    assert main(["plot", str(path), "--compare", "--out", str(tmp_path / "out")]) == 2
    assert "--compare needs two agents, and two seeds" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_reader_of_the_readme_may_stop_reading():
    command = [sys.executable, "-m", "banditlab", "readme"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    run.stdout.close()
    assert run.stderr.read() == "" and run.wait(timeout=20) == 1
