"""Figures: what is drawn where, that nothing overlaps or falls off, and that bytes repeat."""

import io
import subprocess
import sys
import warnings

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from legible import faults, unlabelled, words
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.layout_engine import ConstrainedLayoutEngine

from banditlab.plot import axes, draw, labels, save
from banditlab.plot import curves as plot
from banditlab.plot.figure import _fitted, _grid
from banditlab.plot.styles import PALETTE, STYLES, contrast, readable

PAPER = STYLES["paper"]

T = np.unique(np.geomspace(1, 10_000, 40).astype(int))
PANEL = {"name": "main", "measure": "regret", "xlabel": "round", "ylabel": "regret"}


def table(agent, mean, t=T, sem=1.0, panel="main", measure="regret", cell=""):
    """Tidy rows of one curve."""
    mean = np.broadcast_to(np.asarray(mean, float), np.shape(t))
    sem = np.broadcast_to(np.asarray(sem, float), np.shape(t))
    half = np.nan_to_num(2.0 * sem)
    return pd.DataFrame(
        {
            "panel": panel, "cell": cell, "agent": agent, "t": t, "measure": measure, "n": 20,
            "mean": mean, "sem": sem, "lo": mean - half, "hi": mean + half, "simultaneous": 3.0,
        }
    )  # fmt: skip


def curves(names, panel="main", scale=1.0):
    return [
        table(name, scale * (i + 1) * np.log1p(T), panel=panel, sem=scale)
        for i, name in enumerate(names)
    ]


def quiet(frames, panels, **options):
    """Draw; any warning, such as of a collapsed layout, is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = draw(pd.concat(frames), panels, **options)
        figure.draw_without_rendering()  # as whoever saves it will: words come to their places
        return figure


def line(ax, color):
    """The one data line of that colour."""
    [found] = [x for x in ax.lines if x.get_color() == color and x.get_in_layout()]
    return found


def assert_legible(figure):
    """No two texts overlap, all lie inside the figure, no letter is below 7 points."""
    assert len([text for text in words(figure) if text.get_text()]) >= 5
    assert faults(figure) == []


def test_lines_and_bands_show_the_frame():
    frames = [table("ucb", np.log(T)), table("uniform", 0.01 * T)]
    figure = quiet(frames, [{**PANEL, "xscale": "log"}])
    [ax] = figure.axes
    np.testing.assert_array_equal(line(ax, PALETTE[0]).get_xdata(), T)
    np.testing.assert_allclose(line(ax, PALETTE[0]).get_ydata(), np.log(T))
    np.testing.assert_allclose(line(ax, PALETTE[1]).get_ydata(), 0.01 * T)
    assert ax.get_xscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("round", "regret")

    def half_width(figure):
        # the band of "uniform" at the last t
        path = figure.axes[0].collections[1].get_paths()[0].vertices
        at_end = path[path[:, 0] == T[-1], 1]
        return (at_end.max() - at_end.min()) / 2

    assert half_width(figure) == pytest.approx(2.0)
    wide = quiet(frames, [PANEL], bands="simultaneous")
    assert half_width(wide) == pytest.approx(3.0)


def test_an_agent_looks_the_same_in_every_panel():
    frames = curves(["ucb", "exp3"], "a") + curves(["thompson", "exp3", "ucb"], "b")
    figure = quiet(frames, [{**PANEL, "name": "a"}, {**PANEL, "name": "b"}])
    looks = [{text.get_text(): text.get_color() for text in ax.texts} for ax in figure.axes]
    assert set(looks[1]) == {"ucb", "exp3", "thompson"}
    assert looks[0] == {name: looks[1][name] for name in ("ucb", "exp3")}
    assert len(set(looks[1].values())) == 3


def test_order_and_baselines():
    frames = curves(["uniform", "exp3", "ucb"])
    panel = {**PANEL, "order": ["ucb", "exp3", "uniform"], "baselines": ["uniform"]}
    [ax] = quiet(frames, [panel]).axes
    np.testing.assert_allclose(line(ax, PALETTE[0]).get_ydata(), 3 * np.log1p(T))
    np.testing.assert_allclose(line(ax, PAPER.guide).get_ydata(), np.log1p(T))
    assert line(ax, PAPER.guide).get_linestyle() == "--"


def looks(names, cells=None, **panel):
    """How curves of these agents look, in one panel."""
    cells = cells or [""] * len(names)
    labels_ = [f"{name}, {cell}" if cell else name for name, cell in zip(names, cells, strict=True)]
    rows = pd.DataFrame({"label": labels_, "agent": names, "cell": cells})
    return plot.looks_of([{**PANEL, **panel}], [rows], PAPER)


def test_curves_differ_in_colour_and_without():
    found = looks([f"agent{i}" for i in range(40)])
    kinds = [(str(look["linestyle"]), look["marker"]) for look in found.values()]
    assert len(set(kinds)) == 12  # four dashes and six markers come back together after 12
    assert len({look["color"] for look in found.values()}) == 40
    assert max(contrast(color, "#FFFFFF") for color in PALETTE) == 21
    assert min(contrast(color, "#FFFFFF") for color in PALETTE) > 1.9


def test_values_of_a_swept_argument_are_shades_of_one_colour_in_their_order():
    cells = ["C = 4", "C = 1", "C = 1.5", ""]
    found = looks(["lcb", "lcb", "lcb", "bc"], cells)
    light = [contrast(found[f"lcb, C = {c}"]["color"], "#FFFFFF") for c in ("1", "1.5", "4")]
    assert light == sorted(light)
    assert found["lcb, C = 1.5"]["color"].lower() != PALETTE[0].lower()
    assert found["bc"]["color"] == PALETTE[1]


def test_the_first_control_is_drawn_in_ink_and_nobody_else():
    names = [f"agent{i}" for i in range(9)]
    found = looks(names, controls=["agent2", "agent5"])
    assert found["agent2"]["color"] == PAPER.ink
    assert [n for n in names if found[n]["color"] == PAPER.ink] == ["agent2"]
    assert len({look["color"] for look in found.values()}) == 9


def test_letters_have_the_contrast_that_is_asked_for():
    for style in STYLES.values():
        for color in PALETTE:
            assert contrast(readable(color, style), style.paper) >= 4.5


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
@pytest.mark.parametrize("yscale", ["linear", "log", "symlog"])
def test_one_panel_is_legible_at_any_size_of_numbers(scale, yscale):
    names = ["thompson", "kl_ucb", "ucb", "exp3", "epsilon_greedy", "moss"]
    panel = {**PANEL, "title": "Bernoulli", "yscale": yscale, "linthresh": 1e-2 * scale}
    figure = quiet(curves(names, scale=scale), [panel])
    assert figure.get_figwidth() == 3.4
    assert not figure.legends
    assert {text.get_text() for text in figure.axes[0].texts} == set(names)
    assert_legible(figure)


def test_labels_of_equal_ends_are_spread_in_order():
    frames = [table(f"agent{i}", 10.0 + 0.001 * i) for i in range(6)]
    frames.append(table("low", 1.0))
    figure = quiet(frames[1:], [PANEL])
    assert_legible(figure)
    heights = {text.get_text(): text.xy[1] for text in figure.axes[0].texts}
    assert sorted(heights, key=heights.get) == ["low", *(f"agent{i}" for i in range(1, 6))]


def test_spread_is_least_squares_without_overlap():
    rng = np.random.default_rng(0)
    for _ in range(20):
        wanted, heights = rng.uniform(0, 10, 5), rng.uniform(0.5, 1.5, 5)
        places = labels.spread(wanted, heights, 10.0)
        order = np.argsort(wanted)
        gaps = np.diff(places[order]) - (heights[order][1:] + heights[order][:-1]) / 2
        assert (gaps > -1e-9).all()
        assert (places - heights / 2 > -1e-9).all() and (places + heights / 2 < 10 + 1e-9).all()
        # No legal neighbour is nearer: scale small moves to legality by trying them.
        cost = ((places - wanted) ** 2).sum()
        for _ in range(200):
            other = places + rng.normal(0, 0.05, 5)
            gaps = np.diff(other[order]) - (heights[order][1:] + heights[order][:-1]) / 2
            inside = (other - heights / 2 >= 0).all() and (other + heights / 2 <= 10).all()
            if (gaps >= 0).all() and inside:
                assert ((other - wanted) ** 2).sum() > cost - 1e-9
    apart = np.array([1.0, 5.0, 9.0])
    np.testing.assert_allclose(labels.spread(apart, np.ones(3), 10.0), apart)


@pytest.mark.parametrize(
    "names",
    [
        [f"agent_{i}" for i in range(31)],
        ["a_very_long_agent_name_that_never_ends_alpha_0.123456789_and_more", "ucb"],
    ],
)
def test_a_legend_takes_over_when_labels_do_not_fit(names):
    figure = quiet(curves(names), [{**PANEL, "title": "Many"}])
    [legend] = figure.legends
    shown = [text.get_text().replace("\n", "") for text in legend.get_texts()]
    assert shown == names
    assert not figure.axes[0].texts
    assert all(x.get_in_layout() for x in figure.axes[0].lines)  # no leaders left behind
    assert_legible(figure)


def test_six_panels_with_symlog():
    frames, panels = [], []
    sizes = np.array([100, 300, 1000, 3000, 10_000])
    for i in range(6):
        name = f"p{i}"
        frames.append(table("lcb", [0.2, 0.1, 0.01, 0, 0], sizes, 0.001, name, "gap"))
        frames.append(table("greedy", sizes**-0.5, sizes, 0.001, name, "gap"))
        panels.append(
            {
                "name": name, "measure": "gap", "title": f"C* = {i}", "xlabel": "rounds",
                "ylabel": "sub-optimality", "xscale": "log", "yscale": "symlog",
                "linthresh": 1e-4, "row": i // 3, "column": i % 3,
            }
        )  # fmt: skip
    figure = quiet(frames, panels, title="Composition")
    assert figure.get_figwidth() == 7.0
    assert len(figure.axes) == 6 and len(figure.legends) == 1
    assert unlabelled(figure) == []  # each axis by itself: ranges differ
    assert figure.axes[0].get_yscale() == "symlog"
    assert 0.0 in figure.axes[0].get_yticks()
    assert_legible(figure)


@pytest.mark.parametrize(
    "given, wanted",
    [
        ([{}] * 2, [(0, 0), (0, 1)]),
        ([{}] * 4, [(0, 0), (0, 1), (1, 0), (1, 1)]),
        ([{}] * 5, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]),
        ([{"column": 1}, {"column": 0}, {"column": 1}], [(0, 1), (0, 0), (1, 1)]),
        ([{"row": 1}, {"row": 0}, {"row": 1}], [(1, 0), (0, 0), (1, 1)]),
        ([{"row": 0, "column": 1}, {}], [(0, 1), (0, 0)]),
        ([{"row": 2, "column": 1}], [(0, 0)]),  # chosen from a figure of many
        ([{"row": 3, "column": 2}, {"row": 1, "column": 0}], [(1, 1), (0, 0)]),
    ],
)
def test_places_in_the_grid(given, wanted):
    assert _grid(given) == wanted


def test_zeros_on_a_log_axis_stay_visible():
    mean = np.where(T > 100, 0.0, 0.02)
    [ax] = quiet([table("lcb", mean, sem=0.0)], [{**PANEL, "yscale": "log"}]).axes
    assert ax.get_yscale() == "symlog"
    bottom, top = ax.get_ylim()
    assert bottom < 0 < 0.02 < top
    assert 0.0 in ax.get_yticks()
    [ax] = quiet([table("lcb", 0.0, sem=0.0)], [{**PANEL, "yscale": "log"}]).axes
    assert ax.get_yscale() == "linear"


def test_a_bound_that_starts_at_0_leaves_the_log_axis_as_it_is():
    bound = {"label": "bound", "t": T.tolist(), "y": np.log(T).tolist()}
    panel = {**PANEL, "yscale": "log", "overlays": [bound]}
    [ax] = quiet([table("ucb", T**0.5, sem=0.01)], [panel]).axes
    assert ax.get_yscale() == "log"
    drawn = line(ax, PAPER.guide).get_ydata()
    assert np.isnan(drawn[0])
    np.testing.assert_allclose(drawn[1:], np.log(T[1:]))
    assert {text.get_text() for text in ax.texts} == {"ucb", "bound"}


def test_wide_bands_and_bounds_do_not_dwarf_the_means():
    bound = {"label": "bound", "t": T.tolist(), "y": (1e6 * T).tolist()}
    [ax] = quiet([table("ucb", T**0.5, sem=1e5)], [{**PANEL, "overlays": [bound]}]).axes
    assert 100 < ax.get_ylim()[1] < 300


@pytest.mark.parametrize("xscale", ["linear", "log"])
def test_one_checkpoint_is_a_dot_with_its_interval(xscale):
    frames = [table(name, [i + 0.5], [1000]) for i, name in enumerate(["ucb", "exp3", "moss"])]
    figure = quiet(frames, [{**PANEL, "xscale": xscale}])
    [ax] = figure.axes
    dots = [x for x in ax.lines if x.get_in_layout()]
    assert [float(dot.get_ydata()[0]) for dot in dots] == [0.5, 1.5, 2.5]
    assert len({float(dot.get_xdata()[0]) for dot in dots}) == 3  # side by side
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1000"]
    low, high = ax.get_ylim()
    assert low < 0.5 - 2 and high > 2.5 + 2
    assert_legible(figure)


def test_unknown_errors_and_unknown_means():
    frames = [table("ucb", np.log(T), sem=np.nan), table("broken", np.nan)]
    figure = quiet(frames, [PANEL], bands="simultaneous")
    [ax] = figure.axes
    assert [text.get_text() for text in ax.texts] == ["ucb"]
    quiet([table("broken", np.nan)], [PANEL])  # nothing to show is no error


def test_cells_are_curves_of_their_own_and_a_csv_file_may_have_lost_the_empty_ones():
    frames = [table("ucb", a * np.log(T), cell=f"alpha={a}") for a in (1, 2)]
    [ax] = quiet(frames, [PANEL]).axes
    assert {text.get_text() for text in ax.texts} == {"ucb, alpha=1", "ucb, alpha=2"}
    [ax] = quiet([table("ucb", np.log(T), cell=np.nan)], [PANEL]).axes
    assert [text.get_text() for text in ax.texts] == ["ucb"]


@pytest.mark.parametrize(
    "ticks, spread, wanted",
    [
        ([0, 0.01, 100], True, ["0", "0.01", "100"]),
        ([1, 10, 100, 1000], True, ["1", "10", "100", "1000"]),
        ([1, 100, 1e4], True, ["10⁰", "10²", "10⁴"]),  # one notation
        ([3000, 1e4, 3e4], True, ["3×10³", "10⁴", "3×10⁴"]),
        ([-1e-5, 0, 1e-5], True, ["\N{MINUS SIGN}10⁻⁵", "0", "10⁻⁵"]),
        ([0, 2500, 5000], False, ["0", "2500", "5000"]),
        ([0, 5000, 10_000], False, ["0", "5k", "10k"]),
        ([0, 25e6], False, ["0", "25M"]),
        ([1e-9, 2e-9], False, ["10⁻⁹", "2×10⁻⁹"]),
        ([-0.5, 0, 0.25], False, ["\N{MINUS SIGN}0.50", "0", "0.25"]),
    ],
)
def test_ticks_of_an_axis_have_one_notation(ticks, spread, wanted):
    assert axes.tick_words(ticks, spread) == wanted


@pytest.mark.parametrize(
    "low, high, wanted",
    [
        (1, 1e4, [1, 10, 100, 1e3, 1e4]),
        (1, 1e9, [1, 100, 1e4, 1e6, 1e8]),
        (250, 4000, [300, 1000, 3000]),
        (10, 50, [10, 20, 50]),
    ],
)
def test_ticks_of_log_axes_are_round_and_few(low, high, wanted):
    np.testing.assert_allclose(axes.decades(low, high, 5), wanted)


def test_counts_have_whole_ticks():
    [ax] = quiet([table("ucb", [3.0, 2.0, 1.0], [1, 2, 3])], [PANEL]).axes
    assert [tick for tick in ax.get_xticks() if tick != round(tick)] == []


# --- a control that never learns ---------------------------------------------------------------


def control(top=4000.0):
    learners = [table(f"agent{i}", (i + 1) * 10 * np.log1p(T)) for i in range(3)]
    return [*learners, table("uniform", top * T / T[-1])]


def test_a_control_leaves_a_linear_axis_through_a_cut():
    [ax] = (figure := quiet(control(), [{**PANEL, "xscale": "log"}])).axes
    assert_legible(figure)
    places = ax.transAxes.inverted().transform
    heights = [places(ax.transData.transform((1.0, y)))[1] for y in (0, 30 * np.log1p(T[-1]), 4000)]
    assert heights[0] < 0.05 and 0.6 < heights[1] < axes.BELOW < 0.9 < heights[2] < 1
    assert ax.get_yticklabels()[-1].get_text() == "4000"  # how high it ends
    assert np.ptp(np.diff([y for y in ax.get_yticks() if y < 300])) < 1e-6  # linear below the cut


def test_a_cut_is_for_few_that_would_squeeze_many():
    def scale(frames, **panel):
        panel = {**PANEL, **panel}
        rows = plot.rows_of(pd.concat(frames), panel)
        shown = plot.curves_of(panel, rows, plot.looks_of([panel], [rows], PAPER), "pointwise")
        return axes.scale_of(panel, shown).kind

    assert scale(control()) == "cut"
    assert scale(control(top=500.0)) == "linear"  # in sight beside 276
    assert scale(control(), yscale="log") == "log"
    low = [table("a", 0.01), table("b", 0.02), table("c", 0.9)]
    assert scale(low) == "linear"  # a probability
    assert scale([table("a", 1.0), table("b", 100.0), table("c", 120.0)]) == "linear"  # not few


# --- where a figure is put ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape, width, wanted",
    [
        ((1, 1), 3.4, (1, 1)),
        ((2, 2), 3.4, (4, 1)),
        ((2, 3), 3.4, (3, 2)),  # turned over
        ((4, 3), 3.4, (6, 2)),
        ((2, 4), 7.0, (2, 4)),
        ((1, 5), 7.0, (2, 4)),
    ],
)
def test_panels_are_put_where_there_is_room(shape, width, wanted):
    given = [divmod(i, shape[1]) for i in range(shape[0] * shape[1])]
    places, *size = _fitted(given, width)
    assert tuple(size) == wanted
    assert len(set(places)) == len(given)
    assert {row for row, _ in places} == set(range(wanted[0]))
    if shape == (2, 3):
        assert places == [(column, row) for row, column in given]


@pytest.mark.parametrize("style", ["screen", "dark"])
def test_other_styles_are_legible_too(style, tmp_path):
    panel = {**PANEL, "title": r"$\varepsilon = 0.1$", "xscale": "log", "controls": ["uniform"]}
    figure = quiet(control(), [panel], title="Rewards", style=style)
    assert figure.get_figwidth() == pytest.approx(1.35 * 3.4)
    assert faults(figure, least=9.0) == []
    png, _ = save(figure, tmp_path)
    corner = matplotlib.image.imread(png)[0, 0, :3]
    np.testing.assert_allclose(
        corner, 1.0 if style == "screen" else (0.086, 0.098, 0.114), atol=2e-3
    )


def test_a_marked_place_is_named_beside_its_line_and_not_at_the_end():
    mark = {"label": "(K/T)^(1/3)", "t": [100, 100], "y": [0.1, 50]}
    panel = {**PANEL, "xscale": "log", "overlays": [mark], "names": {mark["label"]: "$K$"}}
    figure = quiet(curves(["ucb", "exp3"]), [panel])
    [text] = [text for text in figure.axes[0].texts if text.get_text() == "$K$"]
    assert text.get_rotation() == 90 and text.xy[0] < 1
    assert {t.get_text() for t in figure.axes[0].texts} == {"ucb", "exp3", "$K$"}
    assert_legible(figure)


def test_names_notes_and_where_the_axis_begins():
    panel = {
        **PANEL,
        "names": {"ucb": "UCB"},
        "notes": {"ucb": "slope -0.50 [-0.6, -0.4]"},
        "xmin": 10,
    }
    figure = quiet(curves(["ucb"]), [panel])
    [text] = figure.axes[0].texts
    assert " ".join(text.get_text().split()) == "UCB: slope \N{MINUS SIGN}0.50"
    assert line(figure.axes[0], PALETTE[0]).get_xdata().min() >= 10


def test_bad_arguments():
    frame = table("ucb", 1.0)
    with pytest.raises(ValueError, match="at least one panel"):
        draw(frame, [])
    with pytest.raises(ValueError, match="no panel 'other' in the frame; it has main"):
        draw(frame, [{**PANEL, "name": "other"}])
    with pytest.raises(ValueError, match="no measure 'gap' in panel 'main': regret"):
        draw(frame, [{**PANEL, "measure": "gap"}])
    with pytest.raises(ValueError, match="bands"):
        draw(frame, [PANEL], bands="both")
    with pytest.raises(ValueError, match="yscale"):
        draw(frame, [{**PANEL, "yscale": "cubic"}])
    with pytest.raises(ValueError, match="same row and column"):
        draw(frame, [{**PANEL, "row": 0, "column": 0}] * 2)
    with pytest.raises(ValueError, match="style"):
        draw(frame, [PANEL], style="ink")
    with pytest.raises(ValueError, match="width must be at least 2 inches, got 1"):
        draw(frame, [PANEL], width=1)


def test_save_writes_the_same_bytes_twice_and_nothing_else(tmp_path):
    def once(folder):
        names = ["ucb", "exp3"]
        return save(quiet(curves(names), [PANEL], title="Title"), tmp_path / folder, "fig")

    first, second = once("a"), once("b")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["fig.png", "fig.svg"]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert one.stat().st_mode & 0o777 == 0o644
    pixels = matplotlib.image.imread(first[0])
    assert pixels.shape[1] == 680  # 3.4 inches at 200 dots
    assert pixels[..., :3].min() < 0.5 < pixels[..., :3].mean()  # ink on white
    svg = first[1].read_text()
    assert "<dc:date>" not in svg
    assert str(tmp_path) not in svg


def test_a_figure_redrawn_from_its_table_is_the_same(tmp_path):
    rng = np.random.default_rng(0)
    frames = [table(name, np.cumsum(rng.random(T.size)), sem=rng.random(T.size)) for name in "abc"]
    frames.append(table("alone", np.log1p(T) / 3, sem=np.nan))  # one replication: no interval
    text = pd.concat(frames).to_csv(index=False, float_format="%.8g")  # as Curves.save does
    redrawn = pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=["nan", ""])
    for bands in ("pointwise", "simultaneous"):
        first = save(quiet(frames, [PANEL], bands=bands), tmp_path, f"{bands}-first")
        again = save(quiet([redrawn], [PANEL], bands=bands), tmp_path, f"{bands}-again")
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_a_figure_is_laid_out_once_whoever_saves_it(tmp_path, monkeypatch):
    calls = []
    layout = ConstrainedLayoutEngine.execute
    monkeypatch.setattr(
        ConstrainedLayoutEngine, "execute", lambda *args: calls.append(layout(*args))
    )
    drawn = []
    render = FigureCanvasAgg.draw
    monkeypatch.setattr(FigureCanvasAgg, "draw", lambda self: drawn.append(render(self)))
    many = [f"an_agent_with_a_very_long_name_{i}" for i in range(8)]  # a legend
    figure = draw(pd.concat(curves(many)), [PANEL])
    save(figure, tmp_path)
    figure.savefig(tmp_path / "other.svg")
    assert len(calls) == 1
    assert len(drawn) == 1  # for the PNG
    assert figure.get_layout_engine() is None


def test_a_notebook_shows_the_figure(tmp_path):
    figure = quiet(curves(["ucb", "exp3"]), [PANEL])
    png, _ = save(figure, tmp_path)
    shown = figure._repr_png_()
    assert shown.startswith(b"\x89PNG")
    pixels = [matplotlib.image.imread(picture) for picture in (png, io.BytesIO(shown))]
    np.testing.assert_array_equal(*pixels)


def test_users_settings_and_pyplot_stay_out(tmp_path):
    script = f"""
import sys, matplotlib
sys.path.insert(0, {str(tmp_path.parent)!r})
matplotlib.rcParams["font.size"] = 40
matplotlib.rcParams["svg.hashsalt"] = "other"
import test_plot
figure = test_plot.quiet(test_plot.curves(["ucb", "exp3"]), [test_plot.PANEL])
test_plot.save(figure, {str(tmp_path)!r}, "there")
assert matplotlib.rcParams["font.size"] == 40
print("matplotlib.pyplot" in sys.modules)
"""
    child = subprocess.run(
        [sys.executable, "-c", script],
        cwd=__file__.rpartition("/")[0],
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout.strip() == "False"
    here = save(quiet(curves(["ucb", "exp3"]), [PANEL]), tmp_path, "here")
    there = [path.with_name(path.name.replace("here", "there")) for path in here]
    assert [path.read_bytes() for path in here] == [path.read_bytes() for path in there]
