"""Every committed figure can be read, in a column and on a page, and is in the gallery."""

from __future__ import annotations

import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
from legible import faults, unlabelled

from banditlab import registry
from banditlab.plot import draw
from banditlab.plot.curves import looks_of, rows_of
from banditlab.plot.styles import PALETTE, STYLES, ramp
from banditlab.words import plain

ROOT = Path(__file__).parent.parent
REGENERATE = runpy.run_path(str(ROOT / "scripts" / "regenerate.py"))
NAMES = sorted(path.parent.name for path in (ROOT / "results").glob("*/curves.csv"))


WIDTHS = (3.4, 7.0)  # inches: a column, a page
# Every figure in one width each time, by turns, and in the other one among the slow tests.
BY_TURNS = [
    pytest.param(name, width, marks=[pytest.mark.slow] if (i + j) % 2 else [])
    for i, name in enumerate(NAMES)
    for j, width in enumerate(WIDTHS)
]


@pytest.mark.parametrize("name, width", BY_TURNS)
def test_the_figure_of_an_arena_is_legible(name, width):
    """No words overlap or fall off, every axis says what it shows, no two curves have one colour.

    The curves are those committed; words, names and places are the arena file's own.
    """
    folder = ROOT / "results" / name
    about = REGENERATE["about"](folder)
    assert about is not None, f"run: python -m banditlab.arena --arena {name}"
    frame, shown = REGENERATE["table"](folder), about["figure"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw(frame, shown["panels"], shown["title"], width=width)
    assert faults(figure) == []
    assert unlabelled(figure) == []
    assert figure.get_figheight() < 13.0
    assert len(figure.axes) == 1 or all(ax.get_title() for ax in figure.axes)
    tables = [rows_of(frame, panel) for panel in shown["panels"]]
    for panel, rows in zip(shown["panels"], tables, strict=True):
        named = [panel["names"].get(label, label) for label in dict.fromkeys(rows["label"])]
        assert len(set(named)) == len(named), f"two curves of panel {panel['name']} have one name"
    colors = [look["color"] for look in looks_of(shown["panels"], tables, STYLES["paper"]).values()]
    assert len(set(colors)) == len(colors)


def test_the_gallery_is_the_committed_one():
    results = ROOT / "results"
    text = (results / "README.md").read_text()
    assert [name for name in NAMES if f"({name}/figure.png)" not in text] == []
    about = [REGENERATE["about"](results / name)["arena"] for name in NAMES]
    assert [arena["name"] for arena in about if arena["claim"] not in text] == []


def test_agents_have_names_that_a_figure_can_show():
    for name in registry.names():
        label = registry.label(name)
        assert 1 < len(label) <= 28 and "_" not in plain(label), name
        assert label.count("$") % 2 == 0 and "$" not in plain(label) and "\\" not in plain(label)
    assert registry.label("kl_ucb") == "KL-UCB"
    assert plain(registry.label("epsilon_greedy")) == "ε-greedy"
    assert registry.label("./a_file_that_is_gone.py") == "a file that is gone"


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "benchmark"])
def test_the_committed_figure_is_drawn_again_to_the_last_byte(name):
    """Needs the fonts that come with the matplotlib of constraints.txt."""
    assert REGENERATE["same_figure"](ROOT / "results" / name)


def test_colours_lie_apart():
    """In CIELAB, where two that lie 2.3 apart are just told apart side by side."""

    def lab(color):
        rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        turn = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        share = turn @ linear / [0.9505, 1.0, 1.089]
        x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    def nearest(colors):
        places = np.array([lab(color) for color in colors if color != "#000000"])
        away = np.linalg.norm(places[:, None] - places, axis=-1)
        return away[~np.eye(len(away), dtype=bool)].min()

    assert nearest(PALETTE[:14]) > 25
    assert nearest(PALETTE) > 20
    assert nearest(ramp(PALETTE[0], 8, STYLES["paper"])) > 7
