"""Figures for print."""

from banditlab.plot.figure import draw, save, write

__all__ = ["draw", "save", "write"]
