"""How figures look: for print, for a screen, for a dark one; and colours that stay apart."""

from __future__ import annotations

import colorsys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex, to_rgb
from matplotlib.mathtext import MathTextParser

from banditlab.validate import choice
from banditlab.words import simple

# Okabe & Ito (2008), told apart by the colour-blind; without their yellow, lost on white paper.
# Then, one by one, of all colours neither pale nor nearly black, the one that lies furthest from
# those before it and from grey in CIELAB, as most people and as deuteranopes see them.
PALETTE = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9",
    "#660011", "#BBBB77", "#BB55FF", "#001188", "#775500", "#BB1199", "#77CC44", "#004433",
    "#0000FF", "#DD3355", "#442255", "#DDAAAA", "#779933", "#0066FF", "#BBAADD", "#556633",
    "#EE00EE", "#660077", "#0055BB",
)  # fmt: skip

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs everywhere
    "font.size": 7.5,
    "axes.titlesize": 8.0,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,  # of the names of curves, wherever they stand
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
LARGER = {
    "font.size": 9.5,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.5,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "legend.fontsize": 9.0,
    "figure.titlesize": 11.5,
    "lines.linewidth": 1.8,
}


class Style(NamedTuple):
    """One way for figures to look."""

    rc: dict[str, Any]  # matplotlib's settings
    grow: float = 1.0  # inches for every inch of a figure in print
    paper: str = "#FFFFFF"  # what it is drawn on
    ink: str = "#000000"
    guide: str = "#5A5A5A"  # of bounds and references
    faint: str = "#B0B0B0"  # of what is hardly to be noticed


def _inked(style: Style) -> Style:
    """The style, with everything that matplotlib draws by itself in its ink."""
    keys = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    papers = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    colors = {**dict.fromkeys(keys, style.ink), **dict.fromkeys(papers, style.paper)}
    return style._replace(rc={**style.rc, **colors})


STYLES = {
    "paper": Style(RC),
    "screen": Style({**RC, **LARGER}, 1.35),
    "dark": _inked(
        Style({**RC, **LARGER}, 1.35, "#16191D", "#E8E8E8", guide="#A8A8A8", faint="#606468")
    ),
}


def style_called(name: str) -> Style:
    """The style of that name; ValueError when there is none."""
    return STYLES[choice("style", name, tuple(STYLES))]


@contextmanager
def house_style(style: Style = STYLES["paper"]) -> Iterator[None]:
    """Matplotlib's defaults and the style's settings, whatever the user's own are."""
    # Not the backend: to ask for it would import pyplot.
    settings: dict[Any, Any] = dict(mpl.rcParamsDefault)
    del settings["backend"]
    settings.update(style.rc)
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A letter that the font lacks is seen to be a box.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        yield


def luminance(color: Any) -> float:
    """Relative luminance as WCAG defines it, from 0 for black to 1 for white."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(one: Any, other: Any) -> float:
    """WCAG's contrast of two colours, from 1 to 21."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _mixed(color: Any, other: Any, share: float) -> str:
    """``color`` with a share of ``other``."""
    mixed = (1 - share) * np.array(to_rgb(color)) + share * np.array(to_rgb(other))
    return to_hex((float(mixed[0]), float(mixed[1]), float(mixed[2])))


def readable(color: Any, style: Style, least: float = 4.5) -> str:
    """``color``, nearer to the ink until letters in it have the contrast that WCAG AA asks for."""
    for share in np.linspace(0.0, 1.0, 41):
        mixed = _mixed(color, style.ink, float(share))
        if contrast(mixed, style.paper) >= least:
            return mixed
    return style.ink


def color_number(i: int, style: Style, spared: bool = False) -> str:
    """The colour of the curve that comes as number ``i``; no two are the same.

    ``spared``: the ink is not among them.
    """
    i += spared and i >= PALETTE.index("#000000")
    if i < len(PALETTE):
        color = PALETTE[i]
    else:  # more curves than eyes can tell apart: the golden ratio leaves no two alike
        turn = (i - len(PALETTE)) * 0.618034
        color = to_hex(colorsys.hsv_to_rgb(turn % 1.0, 0.95, 0.55 + 0.25 * (turn * 7 % 1.0)))
    if style.paper == STYLES["paper"].paper:
        return color
    return style.ink if color == "#000000" else readable(color, style, 4.0)


def ramp(color: str, count: int, style: Style) -> Sequence[str]:
    """``count`` colours from a light one through ``color`` to a dark one: values of one knob."""
    strengths = np.linspace(-0.62, 0.72, count)
    return [
        _mixed(color, style.paper if strength < 0 else style.ink, abs(float(strength)))
        for strength in strengths
    ]


@cache
def settable(text: str) -> str:
    r"""``text`` as it is, or, where what its dollars enclose is no mathematics, with plain dollars.

    >>> settable("$x^2$"), settable("$x^{ and 5$")
    ('$x^2$', '\\$x^{ and 5\\$')
    """
    try:
        if text.count("$") > 1 and not simple(text):
            MathTextParser("path").parse(text)
    except ValueError:
        return text.replace("$", r"\$")
    return text
