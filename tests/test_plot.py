"""Figures: what is drawn where, that nothing overlaps or falls off, and that bytes repeat."""

import io
import itertools
import subprocess
import sys
import warnings

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.layout_engine import ConstrainedLayoutEngine

from banditlab.plot import axes, draw, labels, save
from banditlab.plot import curves as plot
from banditlab.plot.figure import _grid

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


def words(figure):
    """Every text that is drawn."""
    for ax in figure.axes:
        yield from (ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts)
        for axis in (ax.xaxis, ax.yaxis):
            yield from (tick.label1 for tick in axis._update_ticks())
    for legend in figure.legends:
        yield from legend.get_texts()
    yield from figure.texts  # the title of the figure


def assert_legible(figure):
    """No two texts overlap, all lie inside the figure, no letter is below 7 points."""
    renderer = figure.canvas.get_renderer()
    boxes = []
    for text in words(figure):
        assert text.get_fontsize() >= 7.0
        if text.get_text():
            boxes.append((text.get_text(), text.get_window_extent(renderer)))
    assert len(boxes) >= 5
    width, height = figure.bbox.width, figure.bbox.height
    for name, box in boxes:
        assert -0.5 <= box.x0 and box.x1 <= width + 0.5, name
        assert -0.5 <= box.y0 and box.y1 <= height + 0.5, name
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        overlap = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(overlap) < 1.0, (one, two)


def test_lines_and_bands_show_the_frame():
    frames = [table("ucb", np.log(T)), table("uniform", 0.01 * T)]
    figure = quiet(frames, [{**PANEL, "xscale": "log"}])
    [ax] = figure.axes
    np.testing.assert_array_equal(line(ax, plot.PALETTE[0]).get_xdata(), T)
    np.testing.assert_allclose(line(ax, plot.PALETTE[0]).get_ydata(), np.log(T))
    np.testing.assert_allclose(line(ax, plot.PALETTE[1]).get_ydata(), 0.01 * T)
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
    np.testing.assert_allclose(line(ax, plot.PALETTE[0]).get_ydata(), 3 * np.log1p(T))
    np.testing.assert_allclose(line(ax, plot.GREY).get_ydata(), np.log1p(T))
    assert line(ax, plot.GREY).get_linestyle() == "--"


def test_curves_differ_without_colour():
    names = [f"agent{i}" for i in range(20)]
    looks = plot.looks_of([PANEL], [pd.DataFrame({"label": names, "agent": names})])
    looked = [(look, (str(look["linestyle"]), look["marker"])) for look in looks.values()]
    # Four dashes and six markers come back together after 12.
    assert len({kind for _, kind in looked}) == 12
    assert len({(look["color"], *kind) for look, kind in looked}) == 20


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
        [f"agent_{i}" for i in range(8)],
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
    assert [ax.get_xlabel() for ax in figure.axes] == [""] * 3 + ["rounds"] * 3
    assert [bool(ax.get_ylabel()) for ax in figure.axes] == [True, False, False] * 2
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
    drawn = line(ax, plot.GREY).get_ydata()
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
    "value, wanted",
    [(0, "0"), (100, "100"), (0.05, "0.05"), (1000, "$10^{3}$"), (-1e-5, "$-10^{-5}$")],
)
def test_ticks_of_log_axes(value, wanted):
    assert axes._decade(value) == wanted


@pytest.mark.parametrize(
    "largest, value, wanted",
    [
        (5000, 2500, "2500"),
        (20_000, 5000, "5k"),
        (3e7, 25e6, "25M"),
        (3e-9, 2e-9, r"$2{\times}10^{-9}$"),
        (1, -0.5, "\N{MINUS SIGN}0.5"),
    ],
)
def test_ticks_of_linear_axes(largest, value, wanted):
    assert axes._even(largest)(value) == wanted


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
    many = [f"agent_{i}" for i in range(8)]  # a legend
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
