"""What a panel shows: the frame's rows as curves, and how each curve looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.text import Annotation

# Okabe & Ito (2008), told apart by the colour-blind; without their yellow, lost on white paper.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
# Second channel, for print without colour. Seven colours, four dashes and six markers come back
# together only after 84 curves.
DASHES = ("-", (0, (5, 1.2)), (0, (1.2, 1)), (0, (6, 1.2, 1.2, 1.2)))
MARKERS = (("o", 3.4), ("s", 3.1), ("^", 4.2), ("D", 3.0), ("v", 4.2), ("P", 4.4))  # and sizes
EDGE: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.3}
NUMBERS = ("mean", "sem", "lo", "hi", "simultaneous")  # columns of the frame
GREY = "#7A7A7A"
GREY_DASHES = ((0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (9, 3)))


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


def _ordered(panel: Mapping[str, Any], labels: Iterable[str]) -> list[str]:
    """``labels`` in the panel's order."""
    labels = list(dict.fromkeys(labels))
    first = [label for label in panel.get("order") or () if label in labels]
    return first + [label for label in labels if label not in first]


def rows_of(frame: pd.DataFrame, panel: Mapping[str, Any]) -> pd.DataFrame:
    """The panel's rows of the frame, with a column ``label`` that names the curve."""
    here = frame[frame["panel"].astype(str) == str(panel["name"])]
    if here.empty:
        known = ", ".join(map(str, frame["panel"].unique()))
        raise ValueError(f"no panel {panel['name']!r} in the frame; it has {known}")
    rows = here[here["measure"] == panel["measure"]]
    if rows.empty:
        known = ", ".join(map(str, here["measure"].unique()))
        raise ValueError(f"no measure {panel['measure']!r} in panel {panel['name']!r}: {known}")
    # As curves.csv has them, so that a figure redrawn from it is the same to the last byte.
    numbers = {name: _rounded(rows[name]) for name in NUMBERS if name in rows}
    cell = rows["cell"].astype(object).where(rows["cell"].notna(), "").astype(str)
    label = rows["agent"].astype(str)
    return rows.assign(label=label + ", " + cell if cell.nunique() > 1 else label, **numbers)


def _rounded(values: pd.Series) -> list[float]:
    return [float(f"{value:.8g}") for value in values]


def looks_of(
    panels: Sequence[Mapping[str, Any]], tables: Sequence[Any]
) -> dict[str, dict[str, Any]]:
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


def curves_of(
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
