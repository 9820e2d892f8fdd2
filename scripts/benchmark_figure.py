"""The figure of the benchmark: pulls per core-second by kind of contestant, and growth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from banditlab import registry
from banditlab.plot.axes import power
from banditlab.plot.curves import MARKERS
from banditlab.plot.styles import PALETTE, house_style

KINDS = ("banditlab, 64 replications in lock-step", "banditlab, one replication at a time",
         "plain C or NumPy, the yardsticks", "other libraries")  # fmt: skip
ROWS = {
    "C, textbook": "UCB in C, as in textbooks",
    "C, same": "UCB in C, with our arithmetic",
    "C, thompson": "Thompson sampling in C, with our sampler",
    "ucb, NumPy over replications": "UCB in NumPy, over replications",
}
LIBRARIES = {
    "obp": "Open Bandit Pipeline",
    "mabwiser": "MABWiser",
    "coba": "Coba",
    "river": "River",
}


def _row(agent: str, how: str) -> str:
    """The name of a contestant in words; its kind is in its colour and mark."""
    if f"{agent}, {how}" in ROWS:
        return ROWS[f"{agent}, {how}"]
    name = registry.label(agent)
    if how in ("lanes", "scalar"):
        return name
    return f"{name}, {LIBRARIES.get(how, how).replace('d = 5', '$d = 5$')}"


def _kind(agent: str, how: str, own: bool) -> int:
    if not own:
        return 3
    if agent == "C" or how.startswith("NumPy"):
        return 2
    return 0 if how == "lanes" else 1


def picture(found: dict[str, Any]) -> Figure:
    """Rates of all contestants, fastest first, and how time grows, from benchmark.json."""
    rows = [
        *((r["agent"], r["how"], r["pulls_per_second"], True) for r in found["rates"]),
        *((r["agent"], r["library"], r["pulls_per_second"], False) for r in found["peers"]),
    ]
    rows.sort(key=lambda row: row[2])
    least = 10.0 ** math.floor(math.log10(rows[0][2]))
    with house_style():
        figure = Figure(figsize=(7.0, 1.5 + 0.135 * len(rows)), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        for i, (agent, how, rate, own) in enumerate(rows):
            kind = _kind(agent, how, own)
            left.plot(rate, i, MARKERS[kind][0], color=PALETTE[kind], markersize=4)
            left.hlines(i, least, rate, color=PALETTE[kind], linewidth=0.5)
        left.set_yticks(range(len(rows)), [_row(agent, how) for agent, how, _, _ in rows])
        left.set(xscale="log", xlim=(least, None), ylim=(-1, len(rows)))
        left.set_xlabel("pulls per core-second")
        left.set_ylabel("agent, fastest first")
        instance = found["instance"]
        left.set_title(f"Speed: {instance['arms']} arms, {instance['horizon']:,} rounds")
        _grow(right, found["growth"])
        for ax in (left, right):
            _decades(ax.xaxis)
        _decades(right.yaxis)
        handles = [
            Line2D([], [], color=PALETTE[k], marker=MARKERS[k][0], markersize=4, linewidth=0.5)
            for k in range(len(KINDS))
        ]
        figure.legend(handles, KINDS, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _grow(ax: Any, growth: dict[str, Any]) -> None:
    """CPU time against size, both relative to the smallest, named at the ends."""
    for i, (name, curve) in enumerate(growth.items()):
        look = {"color": PALETTE[i], "marker": MARKERS[i][0], "markersize": 3.5}
        size = np.array(curve["sizes"], float) / curve["sizes"][0]
        word = "dimension (LinUCB)" if name == "dimension" else name
        label = rf"{word}: $\propto n^{{{curve['exponent']:.2f}}}$"
        ax.plot(size, np.array(curve["seconds"]) / curve["seconds"][0], label=label, **look)
    ax.set(xscale="log", yscale="log", title="CPU time against size $n$")
    ax.set_ylim(None, 30.0 * ax.get_ylim()[1])  # room for the names
    ax.set_xlabel("size (relative to the smallest)")
    ax.set_ylabel("CPU time (relative to the smallest size)")
    ax.legend(frameon=False, loc="upper left")


def _decades(axis: Any) -> None:
    low, high = axis.get_view_interval()
    ticks = [10.0**k for k in range(-3, 12) if low <= 10.0**k <= high]
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter([power(tick) for tick in ticks]))
    axis.set_minor_locator(NullLocator())
