"""Axes of a panel: scales, limits and ticks that suit the numbers, and the curves themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from banditlab.plot.curves import Curve
from banditlab.plot.styles import Style, settable
from banditlab.validate import choice
from banditlab.words import RAISED, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes

APART = 2.4  # a curve that reaches so many times higher than the next would squeeze it
BELOW = 0.76  # share of a cut axis below the cut
MARGIN = 0.025  # of the width of a panel, at its right


class Scale(NamedTuple):
    """The y axis."""

    kind: str  # linear, log, symlog, or cut: linear below ``knee``, and linear above it
    low: float
    high: float
    knee: float = 0.0  # where a symlog axis becomes linear, or a cut one is cut


def _finite(parts: Iterable[np.ndarray]) -> np.ndarray:
    values = np.concatenate([np.zeros(0), *parts])
    return values[np.isfinite(values)]


def scale_of(panel: Mapping[str, Any], curves: Sequence[Curve]) -> Scale:
    """The scale of y that shows these means, and its limits."""
    kind = choice("yscale", panel.get("yscale") or "linear", ("linear", "log", "symlog"))
    means = _finite(curve.mean for curve in curves if not curve.overlay)
    if kind == "log" and (means <= 0).any():
        positive = np.abs(means[means != 0])
        if positive.size == 0:
            return Scale("linear", *_limits("linear", 0.0, curves))
        knee = 10.0 ** math.floor(math.log10(positive.min()))
        return Scale("symlog", *_limits("symlog", knee, curves), knee)
    if kind == "symlog":
        knee = float(panel.get("linthresh") or 1e-4)
        return Scale("symlog", *_limits("symlog", knee, curves), knee)
    low_ones = _squeezed(curves) if kind == "linear" else []
    if low_ones:
        _, knee = _limits("linear", 0.0, low_ones)
        return Scale("cut", -0.015 * knee, 1.04 * float(means.max()), knee)
    return Scale(kind, *_limits(kind, 0.0, curves))


def _squeezed(curves: Sequence[Curve]) -> list[Curve]:
    """The curves that others, which never stop growing, would squeeze into a line; else none.

    Then the axis is cut: these below, those, such as controls that never learn, above.
    """
    shown = [curve for curve in curves if not curve.overlay and curve.t.size > 1]
    if len(shown) < 2 or any((_finite([curve.mean]) < 0).any() for curve in shown):
        return []
    shown.sort(key=lambda curve: float(np.nanmax(curve.mean)))
    peaks = np.array([float(np.nanmax(curve.mean)) for curve in shown])
    if peaks[-1] <= 1.5:  # probabilities and the like: how far from 1 matters
        return []
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(peaks[:-1] > 0, peaks[1:] / peaks[:-1], 0.0)
    ratios[: (len(shown) - 1) // 2] = 0.0  # at most half of the curves above the cut
    split = int(ratios.argmax())
    if ratios[split] < APART:
        return []
    overlays = [curve for curve in curves if curve.overlay and not curve.upright]
    return shown[: split + 1] + overlays


def _limits(kind: str, knee: float, curves: Sequence[Curve]) -> tuple[float, float]:
    """Limits of y: the means, and of bands and overlays what does not dwarf them."""
    means = _finite(curve.mean for curve in curves if not curve.overlay)
    if means.size == 0:
        return (0.0, 1.0) if kind != "log" else (0.1, 1.0)
    low, high = float(means.min()), float(means.max())
    bands = _finite(part for curve in curves for part in (curve.lo, curve.hi))
    overlays = _finite(curve.mean for curve in curves if curve.overlay and not curve.upright)
    if kind == "log":
        span = max(high / low, 2.0)
        room = np.inf if _dots_only(curves) else span**0.3
        bands, overlays = bands[bands > 0], overlays[overlays > 0]
        bottom = max(bands.min(initial=low), low / room)
        bottom = min(bottom, overlays.min(initial=low).clip(low / max(room, span**0.5), low))
        top = max(bands.max(initial=0.0).clip(0.0, high * room), high)
        top = max(top, overlays.max(initial=0.0).clip(0.0, high * span**0.5))
        return bottom / 1.15, top * 1.15
    span = high - low or abs(high) or 1.0
    room = np.inf if _dots_only(curves) else 0.3 * span
    bottom = bands.min(initial=low).clip(low - room, low)
    top = bands.max(initial=high).clip(high, high + room)
    top = max(top, overlays.max(initial=high).clip(high, high + 0.6 * span))
    if kind == "symlog":
        top = max(top, knee) * 1.3
        return (-0.15 * knee if low >= 0 else 1.3 * bottom), top
    if top == bottom:
        bottom, top = bottom - (span if low else 0.0), top + span
    # Start at 0 unless that would squash the curves or cut off much of a band.
    if low >= 0 and -0.1 * top < bottom < 0.4 * top:
        return -0.015 * top, top * 1.04
    return bottom - 0.03 * (top - bottom), top + 0.03 * (top - bottom)


# --- ticks --------------------------------------------------------------------------------------


def power(value: float) -> str:
    """``value`` as a multiple of a power of ten."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)) + 1e-9)
    mantissa = f"{value / 10.0**exponent:.4g}"
    head = {"1": "", "-1": "-"}.get(mantissa, f"{mantissa}\N{MULTIPLICATION SIGN}")
    # In plain letters: to set a formula takes as long as ten words, and both pictures set it anew.
    return head.replace("-", "\N{MINUS SIGN}") + "10" + str(exponent).translate(RAISED)


def _plain(value: float, places: int | None = None) -> str:
    text = f"{value:.6g}" if places is None else f"{value:.{places}f}"
    return ("0" if value == 0 else text).replace("-", "\N{MINUS SIGN}")


def tick_words(ticks: Sequence[float], spread: bool) -> list[str]:
    """Words for all ticks of an axis, in one notation; ``spread``: over powers of ten."""
    sizes = [abs(tick) for tick in ticks if tick != 0]
    if not sizes:
        return [_plain(tick) for tick in ticks]
    if spread:
        tens = all(abs(math.log10(size) % 1.0 - 0.5) > 0.4999 for size in sizes)
        if 0.00999 <= min(sizes) and max(sizes) < (1001 if tens else 9999):
            return [_plain(tick) for tick in ticks]
        return [power(tick) for tick in ticks]
    largest = max(sizes)
    if not 1e-3 <= largest < 1e10:
        return [power(tick) for tick in ticks]
    size, unit = (1.0, "") if largest < 1e4 else (1e3, "k") if largest < 1e7 else (1e6, "M")
    places = max(_places(tick / size) for tick in ticks)
    return [_plain(tick / size, places) + (unit if tick else "") for tick in ticks]


def _places(value: float) -> int:
    """Decimals that a tick needs."""
    _, _, decimals = f"{value:.6f}".rstrip("0").partition(".")
    return len(decimals)


def decades(low: float, high: float, most: int) -> list[float]:
    """At most about ``most`` round numbers in [low, high], low > 0, evenly spread in the log."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first >= 2:
        stride = -(-(last - first + 1) // most)
        return [10.0**k for k in range(first, last + 1, stride)]
    best = [10.0**k for k in range(first, last + 1)]
    for steps in ((1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [s * 10.0**k for k in range(first - 2, last + 2) for s in steps]
        ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(ticks) > most:
            break
        if len(ticks) > len(best):
            best = ticks
        if len(best) >= 3:
            break
    return best


def _even(low: float, high: float, most: int, whole: bool) -> list[float]:
    # Limits lie a little beyond round numbers, so that there is a bin more than within them.
    found = MaxNLocator(most + 1, steps=[1, 2, 5, 10], integer=whole).tick_values(low, high)
    slack = 1e-9 * (high - low)
    return [float(tick) for tick in found if low - slack <= tick <= high + slack]


def _set_ticks(axis: Any, ticks: Sequence[float], spread: bool, knee: float = np.inf) -> None:
    """Ticks and their words; above ``knee`` there is another scale."""
    parts = [x for x in ticks if x <= knee], [x for x in ticks if x > knee]
    axis.set_minor_locator(NullLocator())
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_major_formatter(FixedFormatter([w for p in parts for w in tick_words(p, spread)]))


def _y_ticks(scale: Scale, most: int) -> list[float]:
    low, high, knee = scale.low, scale.high, scale.knee
    if scale.kind == "log":
        return decades(low, high, most)
    if scale.kind == "symlog":
        up = decades(knee, high, most - 1) if high > knee else []
        down = decades(knee, -low, most - 1) if -low > knee else []
        return [*(-tick for tick in reversed(down)), 0.0, *up]
    if scale.kind == "cut":
        digit = 10.0 ** math.floor(math.log10(high))  # near the end of what never stops
        steps = [digit * step for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)]
        above = [x for x in steps if knee + 0.3 * (high - knee) <= x <= high]
        return [*_even(low, 0.97 * knee, most - 1, False), *above[-1:]]
    return _even(low, high, most, False)


# --- panels -------------------------------------------------------------------------------------


def _dots_only(curves: Sequence[Curve]) -> bool:
    return all(curve.t.size == 1 for curve in curves if not curve.overlay)


def _x_limits(scale: str, curves: Sequence[Curve]) -> tuple[float, float]:
    t = _finite(curve.t for curve in curves)
    if t.size == 0:
        return 1.0, 10.0
    low, high = float(t.min()), float(t.max())
    if _dots_only(curves):
        return (low / 1.5, high * 1.5) if scale == "log" else (low - 0.5, high + 0.5)
    if scale == "log":
        return low, high * (high / low) ** MARGIN
    low = 0.0 if 0 < low < 0.02 * high else low
    return low, high + MARGIN * (high - low)


def _set_scale(ax: Axes, scale: Scale, style: Style) -> None:
    if scale.kind == "symlog":
        ax.set_yscale("symlog", linthresh=scale.knee, linscale=0.6)
    elif scale.kind == "cut":
        ax.set_yscale("function", functions=_bent(scale))
    else:
        ax.set_yscale(scale.kind)
    ax.set_ylim(scale.low, scale.high)
    if scale.kind == "cut":  # where the axis jumps to the other scale
        ax.axhline(scale.knee, color=style.faint, linewidth=0.6, linestyle=(0, (2, 2)), zorder=0.5)
        look: dict[str, Any] = {
            "marker": [(-1, -0.6), (1, 0.6)],
            "markersize": 7,
            "linestyle": "none",
        }
        for shift in (-1.3, 1.3):
            mark = mpl.transforms.ScaledTranslation(0, shift / 72, ax.figure.dpi_scale_trans)
            ax.plot(
                [0.0], [BELOW], transform=ax.transAxes + mark, clip_on=False, zorder=5,
                color=style.ink, markeredgewidth=0.7, **look,
            )[0].set_in_layout(False)  # fmt: skip


def _bent(scale: Scale) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Linear from ``low`` to the knee in the lower part of the axis, and beyond it in the upper."""
    low, knee, high = scale.low, scale.knee, scale.high

    def forward(y: Any) -> Any:
        y = np.asarray(y, float)
        under = BELOW * (y - low) / (knee - low)
        return np.where(y <= knee, under, BELOW + (1 - BELOW) * (y - knee) / (high - knee))

    def back(z: Any) -> Any:
        z = np.asarray(z, float)
        under = low + z * (knee - low) / BELOW
        return np.where(z <= BELOW, under, knee + (z - BELOW) * (high - knee) / (1 - BELOW))

    return forward, back


def measured(figure: Any, size: float) -> Callable[[str], float]:
    """How wide a line of letters of ``size`` points is, in inches."""
    renderer, font = figure.canvas.get_renderer(), FontProperties(size=size)

    @cache
    def width(text: str) -> float:
        maths = text.count("$") > 1
        wide, _, _ = renderer.get_text_width_height_descent(text, font, maths)
        return float(wide) / float(figure.dpi)

    return width


def _x_ticks(ax: Axes, xscale: str, whole: bool, width: float) -> list[float]:
    """Ticks of x whose words have room beside each other in a panel of ``width`` inches."""
    wide = measured(ax.figure, float(mpl.rcParams["xtick.labelsize"]))
    low, high = ax.get_xlim()
    ticks: list[float] = []
    for most in (5, 4, 3, 2) if width > 2.5 else (4, 3, 2):
        spread = xscale == "log"
        ticks = decades(low, high, most) if spread else _even(low, high, most, whole)
        needed = sum(wide(word) + 0.1 for word in tick_words(ticks, spread))
        if needed < min(0.6 * width, width - 0.75):
            break
    return ticks


def draw_panel(
    ax: Axes,
    panel: Mapping[str, Any],
    curves: Sequence[Curve],
    size: tuple[float, float],
    style: Style,
) -> None:
    """Draw ``curves`` into a panel of ``size``, its width and height in inches."""
    width, height = size
    xscale = choice("xscale", panel.get("xscale") or "linear", ("linear", "log"))
    x_low, x_high = _x_limits(xscale, curves)
    scale = scale_of(panel, curves)
    ax.set_xscale(xscale)
    ax.set_xlim(x_low, x_high)
    _set_scale(ax, scale, style)
    if _dots_only(curves) and curves:
        middle = math.sqrt(x_low * x_high) if xscale == "log" else (x_low + x_high) / 2
        _set_ticks(ax.xaxis, [middle], False)
    else:
        t = _finite(curve.t for curve in curves)
        whole = bool(t.size and (t == np.round(t)).all())
        ticks = _x_ticks(ax, xscale, whole, width)
        _set_ticks(ax.xaxis, ticks, xscale == "log")
    knee = scale.knee if scale.kind == "cut" else np.inf
    _set_ticks(ax.yaxis, _y_ticks(scale, 5), scale.kind in ("log", "symlog"), knee)
    rc = mpl.rcParams
    title = measured(ax.figure, float(rc["axes.titlesize"]))
    ax.set_title(wrap(settable(panel.get("title") or ""), width - 0.6 * style.grow, title))
    words = measured(ax.figure, float(rc["axes.labelsize"]))
    ax.set_xlabel(wrap(settable(panel.get("xlabel") or ""), 0.75 * width, words))
    ax.set_ylabel(wrap(settable(panel.get("ylabel") or ""), 0.68 * height, words))
    _draw_curves(ax, curves, scale, style)


def _draw_curves(ax: Axes, curves: Sequence[Curve], scale: Scale, style: Style) -> None:
    edge: dict[str, Any] = {"markeredgecolor": style.paper, "markeredgewidth": 0.3}
    lowest = scale.low if scale.kind == "log" else -np.inf
    for i, curve in enumerate(curves):
        above = 2 + (i + 1) / 100
        if curve.upright:
            ax.axvline(curve.t[0], **curve.look, zorder=1.5)
            continue
        if curve.overlay:
            above += 1.0  # a bound is seen where it meets a curve
            if (curve.t == curve.t[0]).all():  # a level beside dots
                ax.axhline(curve.mean[0], **curve.look, zorder=above)
                continue
        lo, hi, color = np.maximum(curve.lo, lowest), curve.hi, curve.look["color"]
        if curve.t.size == 1:  # a dot with its interval
            look = {"marker": "o", **curve.look, "linestyle": "none"}
            ax.plot(curve.t, curve.mean, **look, zorder=above)
            ax.vlines(curve.t, lo, hi, color=color, linewidth=1.0, zorder=above)
            continue
        ax.fill_between(curve.t, lo, hi, color=color, alpha=0.16, linewidth=0, zorder=1 + i / 100)
        # Markers a fifth of the way apart, staggered so that those of near curves stay apart.
        every = (0.04 + 0.16 * (i % 5) / 5, 0.2)
        mean = np.where(curve.mean > 0, curve.mean, np.nan) if scale.kind == "log" else curve.mean
        ax.plot(curve.t, mean, **curve.look, **edge, markevery=every, zorder=above)
