"""Tables of a report: final values, differences of pairs, and how numbers are written there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from banditlab.console import around, short
from banditlab.report.markup import Html, el
from banditlab.report.read import Final, Panel
from banditlab.report.strips import Scale, strip
from banditlab.statistics import holm, paired_p, t_interval

MOST_PAIRS = 20  # agents of which all pairs are shown


def _scrolling(name: str, table: Html) -> Html:
    return el("div", table, class_="wide", tabindex="0", role="region", aria_label=name)


def table(name: str, heads: Sequence[Any], rows: Sequence[Sequence[Any]], kind: str = "") -> Html:
    head = el("tr", [el("th", cell, scope="col") for cell in heads])
    body = [
        el("tr", el("th", row[0], scope="row"), [_cell(cell) for cell in row[1:]]) for row in rows
    ]
    caption = el("caption", name)
    return _scrolling(
        name, el("table", caption, el("thead", head), el("tbody", body), class_=kind or None)
    )


def _cell(cell: Any) -> Html:
    return cell if isinstance(cell, Html) and cell.startswith("<td") else el("td", cell)


def finals(panel: Panel) -> Html:
    known = panel.finals
    scale = Scale.of(known, panel.figure.yscale)
    timed = any(final.seconds is not None for final in known)
    sized = any(final.bytes is not None for final in known)
    what = "distribution" if any(final.values is not None for final in known) else "95% interval"
    heads = [
        "agent",
        f"{panel.figure.measure} (95%)",
        f"{what}, {short(scale.low)} to {short(scale.high)}{', log' if scale.log else ''}",
        *(["CPU s"] if timed else []),
        *(["kept"] if sized else []),
    ]
    rows = []
    for final in known:
        row: list[Any] = [final.label, _interval(final), strip(final, scale)]
        if timed:
            row.append("" if final.seconds is None else f"{final.seconds:.2f}")
        if sized:
            row.append("" if final.bytes is None else f"{final.bytes / 1e6:.2f} MB")
        rows.append(row)
    name = f"At {panel.figure.xlabel or 't'} {short(panel.at)}"
    return table(name, heads, rows, "finals")


def _interval(final: Final) -> str:
    if final.n == 1 or not math.isfinite(final.hi - final.lo):
        return short(final.mean)
    if final.lo == final.hi:
        return f"always {short(final.mean)}"
    low, high = final.mean - final.lo, final.hi - final.mean
    if abs(high - low) > 0.01 * (high + low):
        return f"{short(final.mean)} [{short(final.lo)}, {short(final.hi)}]"
    return around(final.mean, high)


def pairs(panel: Panel) -> list[Html]:
    """The differences of each two agents, or why there are none."""
    known = [f for f in panel.finals if f.values is not None and np.isfinite(f.values).all()]
    if len(panel.finals) < 2 or max(final.n for final in panel.finals) == 1:
        return []
    if len(known) < 2:
        said = "Paired differences need raw.parquet, which a run writes beside curves.csv."
        return [el("p", said, class_="facts")]
    sizes = {final.values.size for final in known if final.values is not None}
    if len(sizes) > 1 or sizes == {1} or len(known) > MOST_PAIRS:
        said = "No paired differences: " + (
            f"more than {MOST_PAIRS} curves." if len(known) > MOST_PAIRS else "nothing to pair."
        )
        return [el("p", said, class_="facts")]
    values = [np.asarray(final.values) for final in known]
    count = len(known)
    corner = [(i, j) for i in range(count) for j in range(i)]
    found = holm([paired_p(values[i], values[j]) for i, j in corner])
    tested = dict(zip(corner, found, strict=True))
    rows = []
    for i, final in enumerate(known):
        cells = []
        for j, other in enumerate(values):
            p = tested.get((max(i, j), min(i, j)))
            cells.append(_difference(values[i], other, p))
        rows.append([final.label, *cells])
    name = f"{panel.figure.measure}: row less column, paired by replication"
    said = (
        "Mean difference with its 95% interval, and p of the paired t-test, Holm-corrected for "
        "all pairs of this table; in bold where p is below 0.05."
    )
    heads = ["", *(final.label for final in known)]
    inside = [table(name, heads, rows, "pairs"), el("p", said, class_="facts")]
    return [el("details", el("summary", "Paired differences"), inside, class_="pairs")]


def _difference(a: np.ndarray, b: np.ndarray, p: float | None) -> Html:
    if p is None:
        return el("td", "", class_="same")
    mean, _, lo, hi = (float(x[0]) for x in t_interval((a - b)[:, None]))
    words = around(mean, (hi - lo) / 2)
    clear = p < 0.05
    shown = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    kind = None if not clear else "less" if mean < 0 else "more"
    return el("td", words, el("br"), el("small", shown), class_=kind)
