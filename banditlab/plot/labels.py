"""Names of the curves: beside their right ends, or in one legend below all panels."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from banditlab.plot.curves import EDGE, GREY, Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import LayoutEngine

LABEL_SIZE = 7.0  # points, of the labels beside the curves
LABEL_GAP = 9.0  # points between the axes and these labels


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


def _ink(color: str) -> tuple[float, ...]:
    """``color``, darkened if letters in it would be hard to read on white."""
    rgb = np.array(to_rgb(color))
    luminance = float(rgb @ (0.2126, 0.7152, 0.0722))
    return tuple(rgb * min(1.0, 0.45 / max(luminance, 1e-9)))


def _named(label: str, note: str) -> str:
    whole = note.replace(", ", ",\N{NO-BREAK SPACE}")  # an interval stays on one line
    return f"{label}: {whole}" if note else label


def write_labels(
    figure: Figure,
    drawn: Sequence[tuple[Axes, list[Curve]]],
    width: float,
    layout: LayoutEngine,
) -> bool:
    """Name every curve at its right end; False, with nothing left behind, if that gets crowded.

    ``width`` is that of a panel in inches.
    """
    for ax, curves in drawn:
        for curve in curves:
            curve.annotation = ax.annotate(
                textwrap.fill(_named(curve.label, curve.note), 14, break_long_words=False),
                (1.0, 0.5), (LABEL_GAP, 0.0), xycoords="axes fraction",
                textcoords="offset points", va="center", ha="left", linespacing=0.95,
                fontsize=LABEL_SIZE, color=_ink(curve.look["color"]), annotation_clip=False,
            )  # fmt: skip
    notes = [curve.annotation for _, curves in drawn for curve in curves if curve.annotation]
    widest = max((note.get_window_extent().width for note in notes), default=0.0)
    good = widest < 0.32 * width * figure.dpi
    if good:
        layout.execute(figure)  # the labels now have their room
    for ax, curves in drawn:
        if not curves or not good:
            continue
        height = ax.bbox.height
        boxes = [curve.annotation.get_window_extent() for curve in curves if curve.annotation]
        heights = np.array([box.height * 0.95 + 1.5 for box in boxes])
        ends = _ends(ax, curves)
        wanted = np.clip(ends[:, 1], 0.0, 1.0) * height
        places = spread(wanted, heights, height)
        good = bool(heights.sum() < 0.95 * height and np.abs(places - wanted).max() < 0.36 * height)
        gap = LABEL_GAP / 72 * figure.dpi / ax.bbox.width
        for curve, (x, y), place in zip(curves, ends, places / height, strict=True):
            assert curve.annotation is not None
            curve.annotation.xy = (1.0, place)
            y = min(max(y, 0.0), 1.0)
            leader = Line2D(
                (x, max(x, 1.0) + 0.25 * gap, 1.0 + 0.8 * gap), (y, y, place),
                transform=ax.transAxes, clip_on=False, linewidth=0.5,
                color=curve.look["color"],
            )  # fmt: skip
            leader.set_in_layout(False)
            ax.add_artist(leader)
    if not good:
        for ax, curves in drawn:
            for line in [line for line in ax.lines if not line.get_in_layout()]:
                line.remove()
            for curve in curves:
                assert curve.annotation is not None
                curve.annotation.remove()
    return good


def write_legend(figure: Figure, drawn: Sequence[tuple[Axes, list[Curve]]]) -> None:
    """One legend below all panels, in as many columns as fit; the figure grows to hold it.

    A curve's note stands in the legend, or in the panels if they have different ones.
    """
    shown = {curve.label: curve for _, curves in drawn for curve in curves}
    # Agents first, bounds last.
    known = sorted(shown.values(), key=lambda curve: curve.look["color"] == GREY)
    if not known:
        return
    handles = [Line2D([], [], **EDGE, **curve.look) for curve in known]
    notes: dict[str, set[str]] = {}
    for _, curves in drawn:
        for curve in curves:
            notes.setdefault(curve.label, set()).add(curve.note)
    agreed = {label: min(found) for label, found in notes.items() if len(found) == 1}
    names = [textwrap.fill(_named(c.label, agreed.get(c.label, "")), 48) for c in known]
    width = figure.get_figwidth()
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
        _write_notes(ax, curves, [curve for curve in curves if curve.label not in agreed])


def _write_notes(ax: Axes, curves: Sequence[Curve], own: Sequence[Curve]) -> None:
    """Notes inside a panel, in the corner where the fewest curves pass."""
    notes = [
        ax.annotate(
            curve.note, (0.0, 0.0), (3.0, 3.0), xycoords="axes fraction",
            textcoords="offset points",
            color=_ink(curve.look["color"]),
        )
        for curve in own if curve.note
    ]  # fmt: skip
    if not notes:
        return
    line = 1.15 * LABEL_SIZE
    frame = ax.get_window_extent()
    points = 72.0 / ax.figure.dpi
    if max(note.get_window_extent().width for note in notes) > 0.5 * frame.width:
        for note in notes:  # no room for intervals
            note.set_text(note.get_text().partition(" [")[0])
    width = max(note.get_window_extent().width for note in notes) / frame.width + 0.03
    height = len(notes) * line / points / frame.height + 0.03
    passed = []
    for curve in curves:
        drawn = np.isfinite(curve.mean) & (curve.mean > 0 if ax.get_yscale() == "log" else True)
        ends = np.column_stack([curve.t, curve.mean])[drawn]
        corners = ax.transAxes.inverted().transform(ax.transData.transform(ends))
        if len(corners) > 1:
            along = np.linspace(0, len(corners) - 1, 400)
            steps = np.arange(len(corners))
            passed.append(np.column_stack([np.interp(along, steps, c) for c in corners.T]))
    where = np.concatenate(passed) if passed else np.zeros((0, 2))

    def crowd(corner: tuple[int, int]) -> int:
        inside = [abs(where[:, 0] - corner[0]) < width, abs(where[:, 1] - corner[1]) < height]
        return int(np.logical_and(*inside).sum())

    right, top = min([(0, 0), (1, 0), (0, 1), (1, 1)], key=crowd)
    for i, note in enumerate(notes[::-1]):
        note.xy = (right, top)
        above = -3.0 - line * (len(notes) - 1 - i) if top else 3.0 + line * i
        note.set_position((-3.0 if right else 3.0, above))
        note.set(ha="right" if right else "left", va="top" if top else "bottom")
