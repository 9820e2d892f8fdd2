"""Colours that can be seen: WCAG's contrast, and the nearest colour that has enough of it."""

from __future__ import annotations

import colorsys

from matplotlib.colors import to_rgb

LIGHT, DARK = "#ffffff", "#14171c"  # behind a chart; page.css has the same


def luminance(color: str) -> float:
    """Relative luminance (WCAG 2.2), from 0 for black to 1 for white."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    """Ratio between 1 and 21; 4.5 is what text must have (AA), 3 what a curve must have."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def legible(color: str, background: str, ratio: float = 3.0) -> str:
    """``color``, made lighter or darker as far as needed to stand out from ``background``."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*to_rgb(color))
    if saturation < 0.1 and luminance(background) < 0.5:  # black stands for white there
        lightness = 1.0 - lightness
    step = -0.01 if luminance(background) > 0.5 else 0.01
    while True:
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
        found = "#" + "".join(f"{round(255 * c):02x}" for c in (red, green, blue))
        if contrast(found, background) >= ratio or not 0.0 < lightness + step < 1.0:
            return found
        lightness += step
