"""Figures for print: mean curves with 95% bands, one or more panels.

`draw` turns a tidy frame (:meth:`banditlab.Curves.frame`) and a list of panels into a
``matplotlib`` figure, `save` writes it as PNG and SVG, byte for byte the same each time. Neither
touches ``pyplot``, hence no window and no global state. A panel is a dictionary of plain data:

==============================  ==================================================================
``name``                        value of the frame's column ``panel``
``measure``                     value of the column ``measure``
``title, xlabel, ylabel``       texts; left out when missing
``xscale``                      ``linear`` (default) or ``log``
``yscale``                      ``linear`` (default), ``log`` or ``symlog``
``linthresh``                   where ``symlog`` becomes linear; 1e-4 by default
``overlays``                    list of ``{"label", "t", "y"}``: bounds and the like, grey dashed
``order``                       agents, first to last; the others follow as in the frame
``notes``                       by agent, what to write beside its name: ``slope -0.50``
``baselines``                   agents to draw in grey
``row, column``                 place in the grid, from 0; by default row by row, at most three
==============================  ==================================================================

A ``log`` axis of ``y`` that would have to show 0 becomes ``symlog`` just below the smallest
positive mean, so that a gap which vanishes is seen to vanish.
"""

from __future__ import annotations

import math
import os
import tempfile
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from banditlab.validate import choice

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

# Okabe & Ito (2008), told apart by the colour-blind; without their yellow, lost on white paper.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
# Second channel, for print without colour. Seven colours, four dashes and six markers come back
# together only after 84 curves.
DASHES = ("-", (0, (5, 1.2)), (0, (1.2, 1)), (0, (6, 1.2, 1.2, 1.2)))
MARKERS = (("o", 3.4), ("s", 3.1), ("^", 4.2), ("D", 3.0), ("v", 4.2), ("P", 4.4))  # and sizes
EDGE: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.3}
GREY = "#7A7A7A"
GREY_DASHES = ((0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (9, 3)))

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs everywhere
    "font.size": 7.5,
    "axes.titlesize": 8.0,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.5,
    "figure.titlesize": 9.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlepad": 5.0,
    "axes.labelpad": 2.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.3,
    "text.hinting": "no_hinting",  # words as wide at 200 dots per inch as where they were measured
    "mathtext.fontset": "dejavusans",
    "svg.hashsalt": "banditlab",
    "svg.fonttype": "path",
}
LABEL_SIZE = 7.0  # points, of the labels beside the curves
LABEL_GAP = 9.0  # points between the axes and these labels
MOST_LABELS = 6  # curves in a panel beyond which a legend serves better
MOST_COLUMNS = 2  # columns of panels beyond which the labels leave too little for the axes
WIDTHS = {1: 3.4, 2: 6.8, 3: 7.0}  # inches; a column or a page of a journal
HEIGHTS = {1: 2.4, 2: 2.2, 3: 1.85}


@dataclass
class Curve:
    """One line of a panel."""

    label: str
    t: np.ndarray
    mean: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    look: dict[str, Any]  # colour, dashes, marker
    overlay: bool = False
    note: str = ""
    annotation: Annotation | None = None


def _style() -> Any:
    """Matplotlib's defaults and `STYLE`, whatever the user's own settings are."""
    # Not the backend: to ask for it would import pyplot.
    settings: dict[Any, Any] = dict(mpl.rcParamsDefault)
    del settings["backend"]
    settings.update(STYLE)
    return mpl.rc_context(settings)


# --- what to draw -------------------------------------------------------------------------------


def _ordered(panel: Mapping[str, Any], labels: Iterable[str]) -> list[str]:
    """``labels`` in the panel's order."""
    labels = list(dict.fromkeys(labels))
    first = [label for label in panel.get("order") or () if label in labels]
    return first + [label for label in labels if label not in first]


def _rows(frame: pd.DataFrame, panel: Mapping[str, Any]) -> pd.DataFrame:
    """The panel's rows of the frame, with a column ``label`` that names the curve."""
    here = frame[frame["panel"].astype(str) == str(panel["name"])]
    if here.empty:
        known = ", ".join(map(str, frame["panel"].unique()))
        raise ValueError(f"no panel {panel['name']!r} in the frame; it has {known}")
    rows = here[here["measure"] == panel["measure"]]
    if rows.empty:
        known = ", ".join(map(str, here["measure"].unique()))
        raise ValueError(f"no measure {panel['measure']!r} in panel {panel['name']!r}: {known}")
    cell = rows["cell"].astype(object).where(rows["cell"].notna(), "").astype(str)
    label = rows["agent"].astype(str)
    return rows.assign(label=label + ", " + cell if cell.nunique() > 1 else label)


def _looks(panels: Sequence[Mapping[str, Any]], tables: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Colour, dashes and marker by label: a curve looks the same in every panel."""
    looks: dict[str, dict[str, Any]] = {}
    coloured = grey = 0
    for panel, rows in zip(panels, tables, strict=True):
        agents = dict(zip(rows["label"], rows["agent"], strict=True))
        for label in _ordered(panel, rows["label"]):
            if label in looks:
                continue
            if agents[label] in (panel.get("baselines") or ()):
                looks[label] = _grey(grey)
                grey += 1
            else:
                # Beyond the palette colours recur, but not beside each other if that can be.
                beside = {looks[x]["color"] for x in rows["label"] if x in looks}
                while PALETTE[coloured % len(PALETTE)] in beside and not beside >= set(PALETTE):
                    coloured += 1
                marker, size = MARKERS[coloured % len(MARKERS)]
                looks[label] = {
                    "color": PALETTE[coloured % len(PALETTE)],
                    "linestyle": DASHES[coloured % len(DASHES)],
                    "marker": marker,
                    "markersize": size,
                }
                coloured += 1
    return looks


def _grey(i: int) -> dict[str, Any]:
    return {"color": GREY, "linestyle": GREY_DASHES[i % len(GREY_DASHES)], "linewidth": 1.0}


def _curves(
    panel: Mapping[str, Any], rows: pd.DataFrame, looks: Mapping[str, Any], bands: str
) -> list[Curve]:
    """The curves of a panel, overlays first, so that they lie below."""
    n_grey = sum(look["color"] == GREY for look in looks.values())
    curves = []
    for i, overlay in enumerate(panel.get("overlays") or ()):
        t, y = np.asarray(overlay["t"], float), np.asarray(overlay["y"], float)
        nothing = np.full_like(y, np.nan)
        look = _grey(n_grey + i)
        curves.append(Curve(overlay["label"], t, y, nothing, nothing, look, overlay=True))
    for label in _ordered(panel, rows["label"]):
        part = rows[rows["label"] == label].sort_values("t")
        if panel.get("xscale") == "log":
            part = part[part["t"] > 0]
        t, mean, lo, hi = (part[c].to_numpy(float) for c in ("t", "mean", "lo", "hi"))
        if bands == "simultaneous":
            half = (part["simultaneous"] * part["sem"]).to_numpy(float)
            lo, hi = mean - half, mean + half
        if np.isfinite(mean).any():
            note = (panel.get("notes") or {}).get(label, "")
            curves.append(Curve(label, t, mean, lo, hi, looks[label], note=note))
    _dodge(panel, [curve for curve in curves if not curve.overlay])
    return curves


def _dodge(panel: Mapping[str, Any], curves: Sequence[Curve]) -> None:
    """Move dots apart if dots at one t are all that there is to see."""
    if len({tuple(curve.t) for curve in curves}) == 1 and curves[0].t.size == 1:
        for curve, shift in zip(curves, np.linspace(-0.5, 0.5, len(curves) + 2)[1:-1], strict=True):
            curve.t = curve.t * 2.0**shift if panel.get("xscale") == "log" else curve.t + shift


# --- axes ---------------------------------------------------------------------------------------


def _finite(parts: Iterable[np.ndarray]) -> np.ndarray:
    values = np.concatenate([np.zeros(0), *parts])
    return values[np.isfinite(values)]


def _scale(panel: Mapping[str, Any], curves: Sequence[Curve]) -> tuple[str, float]:
    """The scale of y that can show these means, and where it becomes linear if it is symlog."""
    scale = choice("yscale", panel.get("yscale") or "linear", ("linear", "log", "symlog"))
    means = _finite(curve.mean for curve in curves if not curve.overlay)
    if scale == "log" and (means <= 0).any():
        positive = np.abs(means[means != 0])
        if positive.size == 0:
            return "linear", 0.0
        return "symlog", 10.0 ** math.floor(math.log10(positive.min()))
    return scale, float(panel.get("linthresh") or 1e-4)


def _limits(scale: str, linthresh: float, curves: Sequence[Curve]) -> tuple[float, float]:
    """Limits of y: the means, and of bands and overlays what does not dwarf them."""
    means = _finite(curve.mean for curve in curves if not curve.overlay)
    if means.size == 0:
        return (0.0, 1.0) if scale != "log" else (0.1, 1.0)
    low, high = float(means.min()), float(means.max())
    bands = _finite(part for curve in curves for part in (curve.lo, curve.hi))
    overlays = _finite(curve.mean for curve in curves if curve.overlay)
    if scale == "log":
        span = max(high / low, 2.0)
        room = np.inf if _dots_only(curves) else span**0.3
        bands, overlays = bands[bands > 0], overlays[overlays > 0]
        bottom = max(bands.min(initial=low), low / room)
        bottom = min(bottom, overlays.min(initial=low).clip(low / room, low))
        top = max(bands.max(initial=0.0).clip(0.0, high * room), high)
        return bottom / 1.15, max(top, overlays.max(initial=0.0).clip(0.0, high * span)) * 1.15
    span = high - low or abs(high) or 1.0
    room = np.inf if _dots_only(curves) else 0.3 * span
    bottom = bands.min(initial=low).clip(low - room, low)
    top = bands.max(initial=high).clip(high, high + room)
    top = max(top, overlays.max(initial=high).clip(high, high + span))
    if scale == "symlog":
        top = max(top, linthresh) * 1.3
        return (-0.15 * linthresh if low >= 0 else 1.3 * bottom), top
    if top == bottom:
        bottom, top = bottom - (span if low else 0.0), top + span
    # Start at 0 unless that would squash the curves or cut off much of a band.
    if low >= 0 and -0.1 * top < bottom < 0.4 * top:
        return -0.015 * top, top * 1.04
    return bottom - 0.03 * (top - bottom), top + 0.03 * (top - bottom)


def _power(value: float) -> str:
    """``value`` as a multiple of a power of ten."""
    if value == 0:
        return "0"
    power = math.floor(math.log10(abs(value)) + 1e-9)
    mantissa = f"{value / 10.0**power:.4g}"
    head = {"1": "", "-1": "-"}.get(mantissa, rf"{mantissa}{{\times}}")
    return f"${head}10^{{{power}}}$"


def _plain(value: float) -> str:
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def _decade(value: float, _: object = None) -> str:
    """A tick of a logarithmic axis: powers of ten from 1000 on and below 0.01."""
    return _plain(value) if value == 0 or 0.01 <= abs(value) < 999.5 else _power(value)


def _even(largest: float) -> FuncFormatter:
    """Ticks of a linear axis that reaches to ``largest``: short, all in one unit."""
    if not 1e-3 <= largest < 1e10:
        return FuncFormatter(lambda value, _: _power(value))
    size, unit = (1.0, "") if largest < 1e4 else (1e3, "k") if largest < 1e7 else (1e6, "M")
    return FuncFormatter(lambda value, _: _plain(value / size) + (unit if value else ""))


def _decades(low: float, high: float, most: int) -> list[float]:
    """At most about ``most`` round numbers in [low, high], low > 0, evenly spread in the log."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first >= 1:
        stride = -(-(last - first + 1) // most)
        return [10.0**k for k in range(first, last + 1, stride)]
    for steps in ((1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [s * 10.0**k for k in range(first - 2, last + 2) for s in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 2:
            return ticks[:: -(-len(ticks) // most)]
    return []


def _set_ticks(axis: Any, scale: str, linthresh: float, low: float, high: float, most: int) -> None:
    axis.set_minor_locator(NullLocator())
    ticks: Sequence[float] = ()
    if scale == "log":
        ticks = _decades(low, high, most)
    elif scale == "symlog":
        up = _decades(linthresh, high, most - 1) if high > linthresh else []
        down = _decades(linthresh, -low, most - 1) if -low > linthresh else []
        ticks = [*(-tick for tick in reversed(down)), 0.0, *up]
    if ticks:
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_major_formatter(FuncFormatter(_decade))
    else:
        axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
        axis.set_major_formatter(_even(max(abs(low), abs(high)) / 1.04))


def _dots_only(curves: Sequence[Curve]) -> bool:
    return all(curve.t.size == 1 for curve in curves)


def _x_limits(scale: str, curves: Sequence[Curve]) -> tuple[float, float]:
    t = _finite(curve.t for curve in curves)
    if t.size == 0:
        return 1.0, 10.0
    if not _dots_only(curves):
        start = 0.0 if scale == "linear" and 0 < t.min() < 0.02 * t.max() else t.min()
        return float(start), float(t.max())
    return (t.min() / 1.5, t.max() * 1.5) if scale == "log" else (t.min() - 0.5, t.max() + 0.5)


def _draw_panel(ax: Axes, panel: Mapping[str, Any], curves: Sequence[Curve], width: float) -> None:
    """Draw ``curves`` into a panel that is ``width`` inches wide."""
    xscale = choice("xscale", panel.get("xscale") or "linear", ("linear", "log"))
    x_low, x_high = _x_limits(xscale, curves)
    yscale, linthresh = _scale(panel, curves)
    low, high = _limits(yscale, linthresh, curves)
    ax.set_xscale(xscale)
    if yscale == "symlog":
        ax.set_yscale("symlog", linthresh=linthresh, linscale=0.6)
    else:
        ax.set_yscale(yscale)
    ax.set_xlim(x_low, x_high)
    ax.set_ylim(low, high)
    _set_ticks(ax.xaxis, xscale, 0.0, x_low, x_high, 5 if width > 2.5 else 4)
    if _dots_only(curves) and curves:
        middle = math.sqrt(x_low * x_high) if xscale == "log" else (x_low + x_high) / 2
        ax.set_xticks([middle], [_plain(middle)])
    _set_ticks(ax.yaxis, yscale, linthresh, low, high, 5)
    ax.set_title("\n".join(textwrap.wrap(panel.get("title") or "", int(11 * width))))
    ax.set_xlabel(panel.get("xlabel") or "")
    ax.set_ylabel(panel.get("ylabel") or "")
    lowest = low if yscale == "log" else -np.inf
    for i, curve in enumerate(curves):
        above = 2 + (i + 1) / 100
        lo, hi, color = np.maximum(curve.lo, lowest), curve.hi, curve.look["color"]
        if curve.t.size == 1:  # a dot with its interval
            look = {"marker": "o", **curve.look, "linestyle": "none"}
            ax.plot(curve.t, curve.mean, **look, zorder=above)
            ax.vlines(curve.t, lo, hi, color=color, linewidth=1.0, zorder=above)
            continue
        ax.fill_between(curve.t, lo, hi, color=color, alpha=0.16, linewidth=0, zorder=1 + i / 100)
        # Markers a fifth of the way apart, staggered so that those of near curves stay apart.
        every = (0.04 + 0.16 * (i % 5) / 5, 0.2)
        mean = np.where(curve.mean > 0, curve.mean, np.nan) if yscale == "log" else curve.mean
        ax.plot(curve.t, mean, **curve.look, **EDGE, markevery=every, zorder=above)


# --- names of the curves ------------------------------------------------------------------------


def _spread(wanted: np.ndarray, heights: np.ndarray, room: float) -> np.ndarray:
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


def _write_labels(figure: Figure, drawn: Sequence[tuple[Axes, list[Curve]]], width: float) -> bool:
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
        figure.draw_without_rendering()  # lays the axes out: the labels now have their room
    for ax, curves in drawn:
        if not curves or not good:
            continue
        height = ax.bbox.height
        boxes = [curve.annotation.get_window_extent() for curve in curves if curve.annotation]
        heights = np.array([box.height * 0.95 + 1.5 for box in boxes])
        ends = _ends(ax, curves)
        wanted = np.clip(ends[:, 1], 0.0, 1.0) * height
        places = _spread(wanted, heights, height)
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


def _write_legend(figure: Figure, drawn: Sequence[tuple[Axes, list[Curve]]]) -> None:
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


# --- the figure ---------------------------------------------------------------------------------


def _grid(panels: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Row and column of every panel; those without a place fill the free ones in order."""
    columns = max([int(panel.get("column") or 0) + 1 for panel in panels])
    if all(panel.get("row") is None and panel.get("column") is None for panel in panels):
        columns = 2 if len(panels) == 4 else min(len(panels), 3)
    given = [(panel.get("row"), panel.get("column")) for panel in panels]
    taken = {place for place in given if None not in place}
    places = []
    for row, column in given:
        if row is None or column is None:
            if row is not None:  # a row without a column may grow to the right
                free = ((row, c) for c in range(len(panels)))
            elif column is not None:
                free = ((r, column) for r in range(len(panels)))
            else:
                free = (divmod(i, columns) for i in range(2 * len(panels) * columns))
            row, column = next(place for place in free if place not in taken)
            taken.add((row, column))
        places.append((int(row), int(column)))
    if len(set(places)) < len(places):
        raise ValueError("two panels have the same row and column")
    return places


def draw(
    frame: pd.DataFrame,
    panels: Sequence[Mapping[str, Any]],
    title: str | None = None,
    bands: str = "pointwise",
) -> Figure:
    """The figure of ``panels``, a list of dictionaries as in the module's description.

    Parameters
    ----------
    frame
        Tidy means: columns panel, cell, agent, t, measure, mean, sem, lo, hi and, for
        simultaneous bands, simultaneous. A panel with several cells has a curve per
        (agent, cell).
    panels
        What to draw where; at least one.
    title
        Title of the whole figure.
    bands
        ``pointwise``: from lo to hi. ``simultaneous``: mean +- simultaneous * sem.

    Raises
    ------
    ValueError
        For a panel or measure that the frame does not have, an unknown scale or ``bands``, no
        panels, or two in one place.

    Notes
    -----
    Up to six curves a panel are named at their right ends, if there are at most two columns of
    panels and room for the names in all of them. Otherwise one legend stands below. The figure
    is 3.4 inches wide for one column of panels and 7 for three; the smallest letters measure 7
    points.
    """
    choice("bands", bands, ("pointwise", "simultaneous"))
    if not panels:
        raise ValueError("panels must have at least one panel")
    tables = [_rows(frame, panel) for panel in panels]
    looks = _looks(panels, tables)
    places = _grid(panels)
    n_rows = max(row for row, _ in places) + 1
    n_columns = max(column for _, column in places) + 1
    width = WIDTHS.get(n_columns, 2.3 * n_columns)
    height = HEIGHTS.get(n_columns, 1.85) * n_rows
    with _style():
        layout = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05, wspace=0.03, hspace=0.05)
        figure = Figure(figsize=(width, height), layout=layout, dpi=100)
        FigureCanvasAgg(figure)
        if title:
            lines = textwrap.wrap(title, int(width * 15))
            figure.suptitle("\n".join(lines))
            figure.set_figheight(height + 0.18 * len(lines))
        spec = figure.add_gridspec(n_rows, n_columns)
        drawn = []
        for panel, rows, (row, column) in zip(panels, tables, places, strict=True):
            ax = figure.add_subplot(spec[row, column])
            curves = _curves(panel, rows, looks, bands)
            _draw_panel(ax, panel, curves, width / n_columns)
            drawn.append((ax, curves))
        _share_words(drawn, places)
        few = max(len(curves) for _, curves in drawn) <= MOST_LABELS and n_columns <= MOST_COLUMNS
        if not (few and _write_labels(figure, drawn, width / n_columns)):
            _write_legend(figure, drawn)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # as laid out now, whoever saves it and how
    return figure


def _share_words(
    drawn: Sequence[tuple[Axes, list[Curve]]], places: Sequence[tuple[int, int]]
) -> None:
    """Say what an axis shows once a row and once a column, where neighbours say the same."""
    axes = {place: ax for place, (ax, _) in zip(places, drawn, strict=True)}
    words = {place: (ax.get_xlabel(), ax.get_ylabel()) for place, ax in axes.items()}
    for (row, column), ax in axes.items():
        if (row + 1, column) in words and words[row + 1, column][0] == words[row, column][0]:
            ax.set_xlabel("")
        if (row, column - 1) in words and words[row, column - 1][1] == words[row, column][1]:
            ax.set_ylabel("")


def save(figure: Figure, folder: str | Path, stem: str = "figure") -> tuple[Path, Path]:
    """Write ``<stem>.png`` (200 dots per inch) and ``<stem>.svg``; returns both paths.

    Each file appears whole or not at all. The same figure gives the same bytes: the SVG has no
    date and fixed ids, the letters are outlines.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        path = folder / f"{stem}.{kind}"
        handle, aside = tempfile.mkstemp(dir=folder, suffix=f".{kind}")
        os.close(handle)
        try:
            with _style():
                figure.savefig(aside, format=kind, dpi=200, metadata=metadata)
            os.chmod(aside, 0o644)
            os.replace(aside, path)
        finally:
            Path(aside).unlink(missing_ok=True)
        written.append(path)
    return written[0], written[1]
