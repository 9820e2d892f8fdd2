"""Names of the curves: beside their right ends, or in one legend below all panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from banditlab.plot.axes import measured
from banditlab.plot.curves import Curve
from banditlab.plot.styles import Style, readable
from banditlab.words import wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import LayoutEngine

LABEL_GAP = 9.0  # points between the axes and the labels beside them
WIDEST = 0.31  # of a panel, that these labels may take
TALLEST = 3.4  # inches that a row of panels may be made for the labels' sake

Drawn = Sequence[tuple["Axes", list[Curve]]]


def spread(wanted: np.ndarray, heights: np.ndarray, room: float) -> np.ndarray:
    """Centres next to ``wanted``, in least squares, of labels that do not overlap in [0, room].

    Less the heights below it, a label's place is a monotone function of its rank: an isotonic
    regression, solved by pooling adjacent violators.
    """
    order = np.argsort(wanted, kind="stable")
    offsets = np.cumsum(heights[order]) - heights[order] / 2
    pools: list[tuple[float, int]] = []  # mean, size
    for target in wanted[order] - offsets:
        mean, size = float(target), 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        pools.append((mean, size))
    fitted = np.repeat([mean for mean, _ in pools], [size for _, size in pools])
    places = np.empty(len(wanted))
    places[order] = np.clip(fitted, 0.0, max(room - heights.sum(), 0.0)) + offsets
    return places


def _ends(ax: Axes, curves: Sequence[Curve]) -> np.ndarray:
    """Where the curves end, (n_curves, 2), in fractions of the axes."""
    ends = []
    for curve in curves:
        last = np.flatnonzero(np.isfinite(curve.mean))[-1]
        ends.append((curve.t[last], curve.mean[last]))
    return ax.transAxes.inverted().transform(ax.transData.transform(np.array(ends)))


def _short(note: str) -> str:
    """A note without its interval."""
    return note.partition(" [")[0]


def _named(name: str, note: str) -> str:
    whole = note.replace(", ", ",\N{NO-BREAK SPACE}")  # an interval stays on one line
    return f"{name}: {whole}" if note else name


def _size() -> float:
    """Points of the letters of names, in the style that holds."""
    return float(mpl.rcParams["legend.fontsize"])


def _to_name(curves: Sequence[Curve]) -> list[Curve]:
    """The curves that have a name at their end; of several bounds of one name, the last has it."""
    last = {curve.label: curve for curve in curves}
    return [curve for curve in curves if not curve.upright and last[curve.label] is curve]


def write_labels(
    figure: Figure,
    drawn: Drawn,
    size: tuple[float, float],
    rows: int,
    layout: LayoutEngine,
    style: Style,
) -> bool:
    """Name every curve at its right end; False, with nothing left behind, if that gets crowded.

    ``size`` is that of a panel in inches. The figure of so many ``rows`` of panels grows if that
    makes room for all names, and is laid out.
    """
    width = size[0]
    words = measured(figure, _size())
    named = [(ax, _to_name(curves)) for ax, curves in drawn]
    for ax, curves in named:
        for curve in curves:
            curve.annotation = ax.annotate(
                wrap(_named(curve.name, _short(curve.note)), 0.28 * width, words),
                (1.0, 0.5), (LABEL_GAP, 0.0), xycoords="axes fraction",
                textcoords="offset points", va="center", ha="left", linespacing=1.05,
                fontsize=_size(), color=readable(curve.look["color"], style),
                annotation_clip=False,
            )  # fmt: skip
    good = _make_room(figure, named, size, rows)
    if good:
        layout.execute(figure)  # the labels now have their room
    for ax, curves in named:
        if curves and good:
            good = _place(figure, ax, curves)
    if not good:
        for ax, curves in named:
            for line in [line for line in ax.lines if line.get_gid() == "leader"]:
                line.remove()
            for curve in curves:
                assert curve.annotation is not None
                curve.annotation.remove()
    return good


def _boxes(curves: Sequence[Curve]) -> np.ndarray:
    """Widths and heights (n_curves, 2) of the labels, in dots."""
    found = [c.annotation.get_window_extent() for c in curves if c.annotation]
    return np.array([(box.width, box.height + 1.5) for box in found]).reshape(-1, 2)


def _make_room(figure: Figure, named: Drawn, size: tuple[float, float], rows: int) -> bool:
    """Make the figure as high as the names need; False if they need too much."""
    width, row = size
    boxes = [_boxes(curves) for _, curves in named]
    if max((found[:, 0].max(initial=0.0) for found in boxes), default=0.0) > (
        WIDEST * width * figure.dpi
    ):
        return False
    needed = max(found[:, 1].sum() for found in boxes) / figure.dpi / 0.97
    around = 0.72 * _size() / 7.0  # inches for the title and the x axis
    if needed + around > max(row, TALLEST * _size() / 7.0):
        return False
    figure.set_figheight(figure.get_figheight() + rows * max(0.0, needed + around - row))
    return True


def _place(figure: Figure, ax: Axes, curves: Sequence[Curve]) -> bool:
    """Put the names of one panel where they do not overlap; False if there is no room."""
    height = ax.bbox.height
    heights = _boxes(curves)[:, 1]
    ends = _ends(ax, curves)
    wanted = np.clip(ends[:, 1], 0.0, 1.0) * height
    places = spread(wanted, heights, height)
    gap = LABEL_GAP / 72 * figure.dpi / ax.bbox.width
    for curve, (x, y), place in zip(curves, ends, places / height, strict=True):
        assert curve.annotation is not None
        curve.annotation.xy = (1.0, place)
        y = min(max(y, 0.0), 1.0)
        leader = Line2D(
            (x, max(x, 1.0) + 0.25 * gap, 1.0 + 0.8 * gap), (y, y, place),
            transform=ax.transAxes, clip_on=False, linewidth=0.5, gid="leader", zorder=1.4,
            color=curve.look["color"], linestyle="-" if x > 0.9 else (0, (1, 3)),
        )  # fmt: skip
        leader.set_in_layout(False)
        ax.add_artist(leader)
    return bool(heights.sum() <= 1.01 * height)


def write_legend(figure: Figure, drawn: Drawn, style: Style) -> None:
    """One legend below all panels, in as many columns as fit; the figure grows to hold it.

    A curve's note stands in the legend, or in the panels if they have different ones.
    """
    named = [curve for _, curves in drawn for curve in curves if not curve.upright]
    shown = {curve.label: curve for curve in named}
    # Agents first, bounds last.
    known = sorted(shown.values(), key=lambda curve: curve.look["color"] == style.guide)
    if not known:
        return
    edge: dict[str, Any] = {"markeredgecolor": style.paper, "markeredgewidth": 0.3}
    handles = [Line2D([], [], **edge, **curve.look) for curve in known]
    notes: dict[str, set[str]] = {}
    for curve in named:
        notes.setdefault(curve.label, set()).add(curve.note)
    agreed = {label: min(found) for label, found in notes.items() if len(found) == 1}
    width = figure.get_figwidth()
    words = measured(figure, _size())
    texts = [_named(curve.name, agreed.get(curve.label, "")) for curve in known]
    names = [wrap(name, 0.8 * width, words, broken=True) for name in texts]
    for columns in range(min(len(known), 6), 0, -1):
        legend = figure.legend(
            handles, names, loc="outside lower center", ncols=columns, frameon=False,
            handlelength=2.6, columnspacing=1.4, handletextpad=0.5, borderpad=0.2,
            labelspacing=0.3,
        )  # fmt: skip
        box = legend.get_window_extent()
        if box.width <= 0.97 * width * figure.dpi or columns == 1:
            break
        legend.remove()
    figure.set_figheight(figure.get_figheight() + box.height / figure.dpi)
    for ax, curves in drawn:
        _write_notes(ax, curves, [c for c in curves if c.label not in agreed], style)


def _passed(ax: Axes, curves: Sequence[Curve]) -> np.ndarray:
    """Points (n, 2) all along the curves, in fractions of the axes."""
    found = [np.zeros((0, 2))]
    for curve in curves:
        drawn = np.isfinite(curve.mean) & (curve.mean > 0 if ax.get_yscale() == "log" else True)
        ends = np.column_stack([curve.t, curve.mean])[drawn]
        if len(ends) > 1 and not curve.upright:
            corners = ax.transAxes.inverted().transform(ax.transData.transform(ends))
            along = np.linspace(0, len(corners) - 1, 400)
            steps = np.arange(len(corners))
            found.append(np.column_stack([np.interp(along, steps, c) for c in corners.T]))
    return np.concatenate(found)


def write_uprights(drawn: Drawn, style: Style) -> None:
    """Name what marks a place on the x axis along its line, where the fewest curves pass."""
    for ax, curves in drawn:
        where = _passed(ax, curves)
        for curve in (curve for curve in curves if curve.upright):
            x, _ = ax.transAxes.inverted().transform(ax.transData.transform((curve.t[0], 1.0)))
            text = ax.annotate(
                curve.name, (x, 0.0), (0.0, 0.0), xycoords="axes fraction", va="center",
                textcoords="offset points", rotation=90, fontsize=_size(),
                color=readable(curve.look["color"], style),
            )  # fmt: skip
            text.set_path_effects([withStroke(linewidth=2.0, foreground=style.paper)])
            box = text.get_window_extent()
            wide, high = np.array([box.width, box.height]) / ax.bbox.size
            places = np.linspace(0.02 + high / 2, 0.98 - high / 2, 25)
            sides = [left for left in (True, False) if (x > 1.2 * wide if left else x < 1 - wide)]
            found = [
                (_crowd(where, x - wide / 2 if left else x + wide / 2, y, wide, high), left, y)
                for left in sides or [True]
                for y in places
            ]
            _, left, y = min(found, key=lambda one: (one[0], -abs(one[2] - 0.5)))
            text.xy = (x, y)
            text.set(ha="right" if left else "left", position=(-1.0 if left else 2.0, 0.0))


def _crowd(where: np.ndarray, x: float, y: float, wide: float, high: float) -> int:
    """How many of the points lie in a box around (x, y), a little larger than ``wide, high``."""
    near = np.abs(where - (x, y)) < (0.7 * wide, high / 2 + 0.03)
    return int(near.all(axis=1).sum())


def _write_notes(ax: Axes, curves: Sequence[Curve], own: Sequence[Curve], style: Style) -> None:
    """Notes inside a panel, in the corner where the fewest curves pass."""
    notes: list[Any] = [
        ax.annotate(
            _short(curve.note), (0.0, 0.0), (3.0, 3.0), xycoords="axes fraction",
            textcoords="offset points", fontsize=_size(),
            color=readable(curve.look["color"], style),
        )
        for curve in own if curve.note
    ]  # fmt: skip
    if not notes:
        return
    line = 1.15 * _size()
    frame = ax.get_window_extent()
    points = 72.0 / ax.figure.dpi
    for note, curve in zip(notes, [c for c in own if c.note], strict=True):
        note.set_text(_named(curve.name, _short(curve.note)))
    if max(note.get_window_extent().width for note in notes) > 0.62 * frame.width:
        for note, curve in zip(notes, [c for c in own if c.note], strict=True):
            note.set_text(_short(curve.note))  # its colour names it
    width = max(note.get_window_extent().width for note in notes) / frame.width + 0.03
    height = len(notes) * line / points / frame.height + 0.03
    where = _passed(ax, curves)

    def crowd(corner: tuple[int, int]) -> int:
        inside = [abs(where[:, 0] - corner[0]) < width, abs(where[:, 1] - corner[1]) < height]
        return int(np.logical_and(*inside).sum())

    right, top = min([(0, 0), (1, 0), (0, 1), (1, 1)], key=crowd)
    for i, note in enumerate(notes[::-1]):
        note.xy = (right, top)
        above = -3.0 - line * (len(notes) - 1 - i) if top else 3.0 + line * i
        note.set_position((-3.0 if right else 3.0, above))
        note.set(ha="right" if right else "left", va="top" if top else "bottom")
