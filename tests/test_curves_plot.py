"""What Curves.plot hands to whoever draws: which panels, of which measure, and with what beside."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import banditlab
import banditlab.plot

ARENA = {
    "name": "two",
    "title": "Two games",
    "horizon": 30,
    "replications": 6,
    "names": {"uniform": "even odds", "a paper": "Smith"},
    "panels": [
        {
            "name": "left",
            "title": "On the left",
            "problem": {"name": "bernoulli", "means": [0.2, 0.8]},
            "agents": [{"name": "ucb"}, {"name": "uniform"}],
            "references": [{"label": "a paper", "t": [5, 30], "y": [2.0, 9.0]}],
            "slopes": True,
            "yscale": "log",
            "checkpoints": [5, 10, 20, 30],
            "row": 0,
            "column": 1,
        },
        {
            "name": "right",
            "protocol": "identify",
            "problem": {"name": "bernoulli", "means": [0.2, 0.8]},
            "agents": [{"name": "uniform_design"}],
            "levels": [{"label": "UCB's regret", "panel": "left", "curve": "ucb", "at": 10}],
            "xlabel": "budget $n$ (pulls)",
            "xmin": 2,
            "horizon": 20,
            "row": 0,
            "column": 0,
        },
    ],
}


@pytest.fixture(scope="module")
def curves():
    return banditlab.simulate(ARENA, workers=1)


@pytest.fixture
def drawn(curves, monkeypatch):
    """A function that plots, and gives what was to be drawn: panels by name, and all else."""

    def plot(**given):
        seen = {}

        def draw(frame, panels, title=None, bands="pointwise", **more):
            seen.update(frame=frame, panels=panels, title=title, bands=bands, **more)

        monkeypatch.setattr(banditlab.plot, "draw", draw)
        curves.plot(**given)
        return [panel["name"] for panel in seen["panels"]], seen

    return plot


def test_by_default_all_panels_are_drawn_as_the_arena_says(curves, drawn):
    names, seen = drawn()
    assert names == ["left", "right"] and seen["panels"] == curves.figure_panels
    left, right = seen["panels"]
    assert (left["row"], left["column"], right["row"], right["column"]) == (0, 1, 0, 0)
    assert (left["title"], right["title"]) == ("On the left", "right")
    assert (left["measure"], left["xlabel"]) == ("regret", "round")
    assert left["ylabel"] == "pseudo-regret (reward)"
    assert (right["measure"], right["ylabel"]) == ("error", "error probability")
    assert right["xlabel"] == "budget $n$ (pulls)" and right["xmin"] == 2
    [level] = right["overlays"]
    height = float(f"{curves.at(10, 'ucb', 'regret', 'left').mean():.8g}")
    assert level == {"label": "UCB's regret", "t": [20, 20], "y": [height] * 2}
    assert left["names"] == {"ucb": "UCB", "uniform": "even odds", "a paper": "Smith"}
    assert right["names"]["uniform_design"] == "uniform design"
    assert (left["controls"], right["controls"]) == (["uniform"], [])
    assert (seen["width"], seen["style"]) == (None, "paper")
    assert (left["yscale"], right["yscale"]) == ("log", "linear")
    assert left["order"] == ["ucb", "uniform"] and right["order"] == ["uniform_design"]
    assert left["overlays"]
    assert set(left["notes"]) == {"ucb", "uniform"} and not right["notes"]
    assert left["notes"]["ucb"].startswith(f"slope {curves.slope('ucb', 'regret', 'left'):.2f}")
    assert (seen["title"], seen["bands"]) == ("Two games", "pointwise")
    assert pd.DataFrame(seen["frame"]).equals(curves.frame())


def test_one_panel_alone_takes_the_whole_figure(drawn):
    for panels in ("left", ["left"], ("left",)):
        names, seen = drawn(panels=panels, bands="simultaneous")
        [left] = seen["panels"]
        assert names == ["left"] and left["row"] is None and left["column"] is None
        assert seen["bands"] == "simultaneous"
    names, seen = drawn(panels=["right", "left"])  # all, in whichever order: their places stay
    assert names == ["left", "right"] and seen["panels"][0]["column"] == 1


def test_another_measure_leaves_out_what_is_not_of_it(drawn):
    names, seen = drawn(measure="reward")
    [left] = seen["panels"]
    assert names == ["left"] and left["measure"] == left["ylabel"] == "reward"
    assert left["overlays"] == [] and left["notes"] == {}  # a bound on regret, slopes of regret
    assert (left["row"], left["column"]) == (0, 1)
    _, seen = drawn(measure="simple_regret")
    assert [(p["name"], p["ylabel"]) for p in seen["panels"]] == [
        ("right", "simple regret (reward)")
    ]
    _, seen = drawn(measure="regret")  # the one that is shown anyway: nothing is left out of it
    assert seen["panels"][0]["overlays"] and seen["panels"][0]["notes"]


def test_a_scale_holds_for_every_panel(drawn):
    _, seen = drawn(yscale="symlog")
    assert [panel["yscale"] for panel in seen["panels"]] == ["symlog", "symlog"]


def test_what_cannot_be_shown_is_refused_with_what_could_be(curves):
    with pytest.raises(ValueError, match=r"unknown panel 'middle'.*left, right"):
        curves.plot(panels=["left", "middle"])
    with pytest.raises(ValueError, match=r"unknown measure 'error'.*regret, reward, switches"):
        curves.plot(panels="left", measure="error")
    with pytest.raises(ValueError, match="yscale must be one of"):
        curves.plot(yscale="cubic")
    with pytest.raises(ValueError, match="bands"):
        curves.plot(bands="both")


def test_the_figure_is_that_of_the_saved_run(curves, tmp_path):
    curves.save(tmp_path)
    again = type(curves).load(tmp_path)
    assert again.figure_panels == curves.figure_panels
    for one, two in zip(curves.plot().axes, again.plot().axes, strict=True):
        for a, b in zip(one.lines, two.lines, strict=True):
            assert np.array_equal(a.get_xydata(), b.get_xydata(), equal_nan=True)
