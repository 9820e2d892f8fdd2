"""What a panel shows: the frame's rows as curves, and how each curve looks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab.plot.styles import STYLES, Style, color_number, ramp, settable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.text import Annotation

    Table = pd.DataFrame | Mapping[str, np.ndarray]  # columns by name

Columns = dict[str, np.ndarray]

# Second channel, for print without colour. Four dashes and six markers come back together only
# after 12 curves, and never in one colour.
DASHES = ("-", (0, (5, 1.2)), (0, (1.2, 1)), (0, (6, 1.2, 1.2, 1.2)))
MARKERS = (("o", 3.4), ("s", 3.1), ("^", 4.2), ("D", 3.0), ("v", 4.2), ("P", 4.4))  # and sizes
NUMBERS = ("mean", "sem", "lo", "hi", "simultaneous")  # columns of the frame
GUIDE_DASHES = ((0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (9, 3)))


@dataclass
class Curve:
    """One line of a panel."""

    label: str
    name: str  # as it is written beside it
    t: np.ndarray
    mean: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    look: dict[str, Any]  # colour, dashes, marker
    overlay: bool = False
    note: str = ""
    annotation: Annotation | None = None

    @property
    def upright(self) -> bool:
        """Whether it marks one place on the x axis."""
        one_place = bool((self.t == self.t[0]).all()) and not (self.mean == self.mean[0]).all()
        return self.overlay and one_place


def _ordered(panel: Mapping[str, Any], labels: Iterable[str]) -> list[str]:
    """``labels`` in the panel's order."""
    labels = list(dict.fromkeys(labels))
    first = [label for label in panel.get("order") or () if label in labels]
    return first + [label for label in labels if label not in first]


def rows_of(frame: Table, panel: Mapping[str, Any]) -> Columns:
    """The panel's rows of the frame, with a column ``label`` that names the curve."""
    columns = {name: np.asarray(frame[name]) for name in map(str, frame)}
    names = _texts(columns["panel"])
    here = names == str(panel["name"])
    if not here.any():
        known = ", ".join(dict.fromkeys(names.tolist()))
        raise ValueError(f"no panel {panel['name']!r} in the frame; it has {known}")
    mine = here & (columns["measure"] == panel["measure"])
    if not mine.any():
        known = ", ".join(dict.fromkeys(map(str, columns["measure"][here])))
        raise ValueError(f"no measure {panel['measure']!r} in panel {panel['name']!r}: {known}")
    rows = {name: column[mine] for name, column in columns.items()}
    # As curves.csv has them, so that a figure redrawn from it is the same to the last byte.
    rows |= {name: _rounded(rows[name]) for name in NUMBERS if name in rows}
    rows["agent"], rows["cell"] = _texts(rows["agent"]), _texts(rows["cell"])
    cells = zip(rows["agent"], rows["cell"], strict=True)
    several = len(set(rows["cell"])) > 1
    rows["label"] = np.array([f"{a}, {c}" if several else a for a, c in cells], object)
    return rows


def _texts(column: np.ndarray) -> np.ndarray:
    """Words (n,), "" where one is missing."""
    return np.array(["" if x is None or x != x else str(x) for x in column.tolist()], object)


def _rounded(values: np.ndarray) -> np.ndarray:
    return np.array([float(f"{value:.8g}") for value in values.tolist()])


def looks_of(
    panels: Sequence[Mapping[str, Any]], tables: Sequence[Any], style: Style = STYLES["paper"]
) -> dict[str, dict[str, Any]]:
    """Colour, dashes and marker by label: a curve looks the same in every panel.

    No two have one colour. Curves of one agent that differ in a swept value are shades of its
    colour, in the order of the values.
    """
    owners: dict[str, tuple[str, str]] = {}  # label -> agent, and its cell where there are several
    for panel, rows in zip(panels, tables, strict=True):
        whose = dict(zip(rows["label"], zip(rows["agent"], rows["cell"], strict=True), strict=True))
        for label in _ordered(panel, rows["label"]):
            agent, cell = whose[label]
            owners.setdefault(label, (str(agent), cell if label != agent else ""))
    baselines = {name for panel in panels for name in panel.get("baselines") or ()}
    controls = {label for panel in panels for label in panel.get("controls") or ()}
    colors = _colors(owners, baselines, controls, style)
    looks: dict[str, dict[str, Any]] = {}
    n_guides = 0
    for label, (agent, _) in owners.items():
        if agent in baselines:
            looks[label] = guide(n_guides, style)
            n_guides += 1
            continue
        i = len(looks) - n_guides
        marker, size = MARKERS[i % len(MARKERS)]
        looks[label] = {
            "color": colors[label],
            "linestyle": DASHES[i % len(DASHES)],
            "marker": marker,
            "markersize": size,
        }
    return looks


def _colors(
    owners: Mapping[str, tuple[str, str]], baselines: set[str], controls: set[str], style: Style
) -> dict[str, str]:
    """One colour each. The first control is drawn in ink, whatever else a figure shows."""
    cells: dict[str, list[str]] = {}
    for label, (agent, cell) in owners.items():
        if cell:
            cells.setdefault(agent, []).append(label)
    control = next((x for x in owners if x in controls and not owners[x][1]), None)
    colors: dict[str, str] = {} if control is None else {control: style.ink}
    spared = control is not None
    taken = 0
    for label, (agent, _) in owners.items():
        if label in colors or agent in baselines:
            continue
        several = sorted(cells.get(agent, ()), key=lambda x: _knob(owners[x][1]))
        if label in several and len(several) > 1:
            shades = ramp(color_number(taken, style, spared), len(several), style)
            colors |= dict(zip(several, shades, strict=True))
        else:
            colors[label] = color_number(taken, style, spared)
        taken += 1
    return colors


def _knob(cell: str) -> tuple[float, str]:
    """Where a cell such as ``C = 1.5`` comes among its like."""
    _, _, value = cell.partition(" = ")
    try:
        return float(value), ""
    except ValueError:
        return 0.0, cell


def guide(i: int, style: Style) -> dict[str, Any]:
    """How bound number ``i`` of a panel looks."""
    dashes = GUIDE_DASHES[i % len(GUIDE_DASHES)]
    return {"color": style.guide, "linestyle": dashes, "linewidth": 1.1}


def curves_of(
    panel: Mapping[str, Any],
    rows: Columns,
    looks: Mapping[str, Any],
    bands: str,
    guides: Mapping[str, Any] | None = None,
) -> list[Curve]:
    """The curves of a panel, bounds first; those look as in ``guides``, by default their own."""
    if guides is None:
        guides = guides_of([panel], 0, STYLES["paper"])
    names = panel.get("names") or {}
    start = panel.get("xmin")
    curves = []
    for overlay in panel.get("overlays") or ():
        t, y = np.asarray(overlay["t"], float), np.asarray(overlay["y"], float)
        if start is not None:
            t, y = t[t >= start], y[t >= start]
        if t.size == 0:
            continue
        nothing = np.full_like(y, np.nan)
        label = overlay["label"]
        named = settable(names.get(label, label))
        curves.append(Curve(label, named, t, y, nothing, nothing, guides[label], overlay=True))
    for label in _ordered(panel, rows["label"]):
        mine = np.flatnonzero(rows["label"] == label)
        mine = mine[np.argsort(rows["t"][mine], kind="stable")]
        first = -np.inf if start is None else start
        if panel.get("xscale") == "log":
            first = max(first, np.nextafter(0.0, 1.0))
        mine = mine[rows["t"][mine] >= first]
        t, mean, lo, hi = (rows[c][mine].astype(float) for c in ("t", "mean", "lo", "hi"))
        if bands == "simultaneous":
            half = rows["simultaneous"][mine] * rows["sem"][mine]
            lo, hi = mean - half, mean + half
        if np.isfinite(mean).any():
            note = (panel.get("notes") or {}).get(label, "").replace("-", "\N{MINUS SIGN}")
            named = settable(names.get(label, label))
            curves.append(Curve(label, named, t, mean, lo, hi, looks[label], note=note))
    _dodge(panel, [curve for curve in curves if not curve.overlay])
    return curves


def guides_of(panels: Sequence[Mapping[str, Any]], first: int, style: Style) -> dict[str, Any]:
    """How bounds look, by label, the same in every panel; ``first`` guides look otherwise."""
    labels = [overlay["label"] for panel in panels for overlay in panel.get("overlays") or ()]
    found = dict.fromkeys(labels)
    return {label: guide(first + i, style) for i, label in enumerate(found)}


def _dodge(panel: Mapping[str, Any], curves: Sequence[Curve]) -> None:
    """Move dots apart if dots at one t are all that there is to see."""
    if len({tuple(curve.t) for curve in curves}) == 1 and curves[0].t.size == 1:
        for curve, shift in zip(curves, np.linspace(-0.5, 0.5, len(curves) + 2)[1:-1], strict=True):
            curve.t = curve.t * 2.0**shift if panel.get("xscale") == "log" else curve.t + shift
