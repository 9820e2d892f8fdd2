"""What a figure must be to be read: every word apart from the others and on the paper."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any


def words(figure: Any) -> Iterator[Any]:
    """Every text that is drawn."""
    for ax in figure.axes:
        yield from (ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts)
        for axis in (ax.xaxis, ax.yaxis):
            yield from (tick.label1 for tick in axis._update_ticks())
        if ax.get_legend():
            yield from ax.get_legend().get_texts()
    for legend in figure.legends:
        yield from legend.get_texts()
    yield from figure.texts  # the title of the figure


def faults(figure: Any, least: float = 7.0) -> list[str]:
    """What is wrong: texts that overlap, leave the paper, or are below ``least`` points."""
    figure.draw_without_rendering()  # words and legends come to their places
    renderer = figure.canvas.get_renderer()
    found = []
    boxes = []
    for text in words(figure):
        if text.get_text():
            boxes.append((text.get_text(), text.get_window_extent(renderer)))
            if text.get_fontsize() < least:
                found.append(f"{text.get_text()!r} has {text.get_fontsize()} points")
    width, height = figure.bbox.width, figure.bbox.height
    for name, box in boxes:
        inside = -0.5 <= box.x0 and box.x1 <= width + 0.5 and -0.5 <= box.y0
        if not (inside and box.y1 <= height + 0.5):
            found.append(f"{name!r} leaves the paper")
    for (one, a), (two, b) in itertools.combinations(boxes, 2):
        overlap = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if min(overlap) >= 1.0:
            found.append(f"{one!r} overlaps {two!r}")
    return found


def unlabelled(figure: Any) -> list[str]:
    """Axes that do not say what they show."""
    return [
        f"{ax.get_title()!r}, {name}"
        for ax in figure.axes
        for name, word in (("x", ax.get_xlabel()), ("y", ax.get_ylabel()))
        if not word
    ]
