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
``row, column``                 place in the grid, from 0; by default row by row, at most three;
                                rows and columns where nothing is are left out
==============================  ==================================================================

A ``log`` axis of ``y`` that would have to show 0 becomes ``symlog`` just below the smallest
positive mean, so that a gap which vanishes is seen to vanish.
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from banditlab.data.atomic import Together
from banditlab.plot.axes import draw_panel
from banditlab.plot.curves import Curve, curves_of, looks_of, rows_of
from banditlab.plot.labels import write_labels, write_legend
from banditlab.validate import choice

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

METADATA: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}}

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
MOST_LABELS = 6  # curves in a panel beyond which a legend serves better
MOST_COLUMNS = 2  # columns of panels beyond which the labels leave too little for the axes
DPI = 200
WIDTHS = {1: 3.4, 2: 6.8, 3: 7.0}  # inches; a column or a page of a journal
HEIGHTS = {1: 2.4, 2: 2.2, 3: 1.85}


class Picture(Figure):
    """A figure that a notebook shows by itself, without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with house_style():
            self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's defaults and `STYLE`, whatever the user's own settings are."""
    # Not the backend: to ask for it would import pyplot.
    settings: dict[Any, Any] = dict(mpl.rcParamsDefault)
    del settings["backend"]
    settings.update(STYLE)
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A letter that the font lacks is seen to be a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


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
    tables = [rows_of(frame, panel) for panel in panels]
    looks = looks_of(panels, tables)
    places = _grid(panels)
    n_rows = max(row for row, _ in places) + 1
    n_columns = max(column for _, column in places) + 1
    width = WIDTHS.get(n_columns, 2.3 * n_columns)
    height = HEIGHTS.get(n_columns, 1.85) * n_rows
    with house_style():
        # Not the figure's own: it would lay out again, and draw once more, for each file.
        layout = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05, wspace=0.03, hspace=0.05)
        figure = Picture(figsize=(width, height), dpi=100)
        FigureCanvasAgg(figure)
        if title:
            lines = textwrap.wrap(title, int(width * 15))
            figure.suptitle("\n".join(lines))
            figure.set_figheight(height + 0.18 * len(lines))
        spec = figure.add_gridspec(n_rows, n_columns)
        drawn = []
        for panel, rows, (row, column) in zip(panels, tables, places, strict=True):
            ax = figure.add_subplot(spec[row, column])
            curves = curves_of(panel, rows, looks, bands)
            draw_panel(ax, panel, curves, width / n_columns)
            drawn.append((ax, curves))
        _share_words(drawn, places)
        few = max(len(curves) for _, curves in drawn) <= MOST_LABELS and n_columns <= MOST_COLUMNS
        if not (few and write_labels(figure, drawn, width / n_columns, layout)):
            write_legend(figure, drawn)
        layout.execute(figure)
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
