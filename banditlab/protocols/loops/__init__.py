"""Loops that play a protocol faster, or exactly, with the same result."""
