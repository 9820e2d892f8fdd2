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
``xmin``                        where the x axis begins, if not at the first point
``overlays``                    list of ``{"label", "t", "y"}``: bounds and the like, grey dashed;
                                where all of ``t`` is one number, a line that marks it
``order``                       agents, first to last; the others follow as in the frame
``names``                       by agent or overlay, what to call it
``notes``                       by agent, what to write beside its name: ``slope -0.50``
``baselines``                   agents to draw in grey
``controls``                    agents that need not learn: the first is drawn in ink
``row, column``                 place in the grid, from 0; by default row by row, at most three;
                                rows and columns where nothing is are left out
==============================  ==================================================================

Texts may have mathematics between dollars. A ``log`` axis of ``y`` that would have to show 0
becomes ``symlog`` just below the smallest positive mean, so that a gap which vanishes is seen to
vanish. A ``linear`` one on which a few curves, such as controls that never learn, would squeeze
the others into a line is cut: above the cut it has another scale.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from banditlab.data.atomic import Together
from banditlab.plot.axes import draw_panel, measured
from banditlab.plot.curves import curves_of, guides_of, looks_of, rows_of
from banditlab.plot.labels import write_labels, write_legend, write_uprights
from banditlab.plot.styles import house_style, settable, style_called
from banditlab.validate import choice, positive
from banditlab.words import wrap

if TYPE_CHECKING:
    from banditlab.plot.curves import Table

METADATA: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}}

MOST_COLUMNS = 2  # columns of panels beyond which names at the curves leave too little for these
DPI = 200
COLUMN, PAGE = 3.4, 7.0  # inches; a column and a page of a journal
# Inches of a row of panels, by their width.
HEIGHTS = ((1.6, 1.6), (1.8, 1.75), (2.4, 1.95), (3.45, 2.3), (np.inf, 2.4))


class Picture(Figure):
    """A figure that a notebook shows by itself, without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with house_style():
            self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()


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
    used = [sorted(set(numbers)) for numbers in zip(*places, strict=True)]  # rows, columns
    return [(used[0].index(row), used[1].index(column)) for row, column in places]


def _fitted(
    places: Sequence[tuple[int, int]], width: float
) -> tuple[list[tuple[int, int]], int, int]:
    """Places that fit into ``width`` inches, and how many rows and columns they make.

    A page holds four columns; in a column up to four panels stand one below the other, and more
    of them in two columns.
    """
    n_rows, n_columns = (max(numbers) + 1 for numbers in zip(*places, strict=True))
    most = 1 if width < 5.0 and len(places) <= 4 else max(1, int(width / 1.65))
    if n_columns <= most:
        return list(places), n_rows, n_columns
    if 1 < n_rows <= most:  # turned over: what stood in a row stands in a column
        return [(column, row) for row, column in places], n_columns, n_rows
    order = np.argsort([row * n_columns + column for row, column in places]).argsort()
    turned = [divmod(int(i), most) for i in order]
    return turned, -(-len(places) // most), min(most, len(places))


def draw(
    frame: Table,
    panels: Sequence[Mapping[str, Any]],
    title: str | None = None,
    bands: str = "pointwise",
    *,
    width: float | None = None,
    style: str = "paper",
) -> Figure:
    """The figure of ``panels``, a list of dictionaries as in the module's description.

    Parameters
    ----------
    frame
        Tidy means, as a pandas frame or arrays by name: columns panel, cell, agent, t, measure,
        mean, sem, lo, hi and, for simultaneous bands, simultaneous. A panel with several cells has
        a curve per (agent, cell).
    panels
        What to draw where; at least one.
    title
        Title of the whole figure.
    bands
        ``pointwise``: from lo to hi. ``simultaneous``: mean +- simultaneous * sem.
    width
        Inches in print, more than 2: by default 3.4, a column, for one panel, and 7, a page, for
        more. Where the panels' places do not fit into it, they are put into fewer columns.
    style
        ``paper``; ``screen``, with larger letters, 1.35 times as wide; or ``dark``, for a dark one.

    Raises
    ------
    ValueError
        For a panel or measure that the frame does not have, an unknown scale, style or ``bands``,
        no panels, or two in one place.

    Notes
    -----
    Curves are named at their right ends, if there are at most two columns of panels and room for
    the names in all of them. Otherwise one legend stands below. In print the smallest letters
    measure 7 points.
    """
    choice("bands", bands, ("pointwise", "simultaneous"))
    look = style_called(style)
    if not panels:
        raise ValueError("panels must have at least one panel")
    if width is not None and positive("width", width) < 2.0:
        raise ValueError(f"width must be at least 2 inches, got {width:g}")
    tables = [rows_of(frame, panel) for panel in panels]
    looks = looks_of(panels, tables, look)
    grey = sum(found["color"] == look.guide for found in looks.values())
    guides = guides_of(panels, grey, look)
    wide = width or (COLUMN if len(panels) == 1 else PAGE)
    places, n_rows, n_columns = _fitted(_grid(panels), wide)
    each = wide / n_columns
    row = next(height for limit, height in HEIGHTS if each <= limit)
    with house_style(look):
        # Not the figure's own: it would lay out again, and draw once more, for each file.
        layout = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05, wspace=0.03, hspace=0.05)
        figure = Picture(figsize=(look.grow * wide, look.grow * row * n_rows), dpi=DPI)
        FigureCanvasAgg(figure)
        size = (look.grow * each, look.grow * row)
        spec = figure.add_gridspec(n_rows, n_columns)
        drawn = []
        for panel, rows, place in zip(panels, tables, places, strict=True):
            ax = figure.add_subplot(spec[place])
            curves = curves_of(panel, rows, looks, bands, guides)
            draw_panel(ax, panel, curves, size, look)
            drawn.append((ax, curves))
        if title:
            words = measured(figure, float(mpl.rcParams["figure.titlesize"]))
            lines = wrap(settable(title), 0.94 * look.grow * wide, words)
            figure.suptitle(lines)
            taller = 0.18 * look.grow * (lines.count("\n") + 1)
            figure.set_figheight(figure.get_figheight() + taller)
        beside = n_columns <= MOST_COLUMNS and each > 0.8 * COLUMN
        if not (beside and write_labels(figure, drawn, size, n_rows, layout, look)):
            write_legend(figure, drawn, look)
            layout.execute(figure)
        write_uprights(drawn, look)
    return figure


def save(figure: Figure, folder: str | Path, stem: str = "figure") -> tuple[Path, Path]:
    """Write ``<stem>.png`` (200 dots per inch) and ``<stem>.svg``; returns both paths.

    Both files appear, whole, or none. The same figure gives the same bytes: the SVG has no
    date and fixed ids, the letters are outlines.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with Together(folder) as files:
        for kind in METADATA:
            write(figure, files.path(f"{stem}.{kind}"), kind)
    return folder / f"{stem}.png", folder / f"{stem}.svg"


def write(figure: Figure, path: Path, kind: str) -> None:
    """Write a figure as ``png`` or ``svg``; the same figure gives the same bytes."""
    with house_style():
        figure.savefig(path, format=kind, dpi=DPI, metadata=METADATA[kind])
