"""A row of a table as a picture: where the last values of an agent lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from banditlab.report.markup import Html, el
from banditlab.report.read import Final

WIDTH, HEIGHT, EDGE = 240, 22, 4  # in units of the picture
BINS = 40


class Scale(NamedTuple):
    """From values to places."""

    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, finals: Sequence[Final], yscale: str) -> Scale:
        """One scale for all rows: they are to be compared."""
        parts = [np.array([f.mean, f.lo, f.hi]) for f in finals]
        parts += [f.values for f in finals if f.values is not None]
        values = np.concatenate([np.asarray(part, float) for part in parts])
        values = values[np.isfinite(values)]
        if values.size == 0:
            return cls(0.0, 1.0, False)
        low, high = float(values.min()), float(values.max())
        if yscale == "log" and low > 0:
            return cls(low, high if high > low else 2 * low, True)
        return cls(
            min(low, 0.0) if low < 0.5 * high else low, high if high > low else low + 1, False
        )

    def place(self, value: float) -> float:
        """Where a value lies, in units of the picture."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, low))
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return round(EDGE + share * (WIDTH - 2 * EDGE), 1)


def strip(final: Final, scale: Scale) -> Html:
    """The distribution over replications if it is known, the 95% interval, and the mean."""
    middle = HEIGHT / 2
    parts = []
    said = f"mean {final.mean:.4g}"
    if final.values is not None and final.values.size > 1 and np.isfinite(final.values).all():
        parts.append(_violin(final.values, scale))
        quarters = np.quantile(final.values, [0.05, 0.25, 0.5, 0.75, 0.95])
        said += ", quantiles 5, 25, 50, 75, 95%: " + ", ".join(f"{q:.4g}" for q in quarters)
    if math.isfinite(final.lo) and math.isfinite(final.hi):
        ends = scale.place(final.lo), scale.place(final.hi)
        parts.append(
            el(
                "line",
                x1=f"{ends[0]}",
                x2=f"{ends[1]}",
                y1=f"{middle}",
                y2=f"{middle}",
                class_="span",
            )
        )
    if math.isfinite(final.mean):
        at = f"{scale.place(final.mean)}"
        parts.append(el("line", x1=at, x2=at, y1="5", y2=f"{HEIGHT - 5}", class_="mean"))
    box = f"0 0 {WIDTH} {HEIGHT}"
    return el(
        "svg",
        parts,
        viewBox=box,
        preserveAspectRatio="none",
        class_="strip",
        role="img",
        aria_label=said,
    )


def _violin(values: np.ndarray, scale: Scale) -> Html:
    places = np.array([scale.place(float(value)) for value in values])
    counts, edges = np.histogram(places, BINS, (0, WIDTH))
    half = (HEIGHT / 2 - 1) * counts / counts.max()
    used = np.flatnonzero(counts)
    words = []
    for i in used:
        left, right = round(float(edges[i]), 1), round(float(edges[i + 1]), 1)
        up, down = round(HEIGHT / 2 - float(half[i]), 1), round(HEIGHT / 2 + float(half[i]), 1)
        words.append(f"M{left} {up}H{right}V{down}H{left}Z")
    return el("path", d="".join(words), class_="violin")
