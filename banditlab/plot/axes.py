"""Axes of a panel: scales, limits and ticks that suit the numbers, and the curves themselves."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from banditlab.plot.curves import EDGE, Curve
from banditlab.validate import choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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


def draw_panel(ax: Axes, panel: Mapping[str, Any], curves: Sequence[Curve], width: float) -> None:
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
