"""Figures for print."""

from banditlab.plot.figure import draw, save

__all__ = ["draw", "save"]
