"""Options that are one of some words, and constants that such a word decides.

A parameter that a kernel reads holds the word's place, which will do as an argument, too.
"""

from __future__ import annotations

from banditlab.validate import choice, integer, nonnegative

MODES = ("practical", "paper")  # a mode's code is its place here
PAPER = 1
BY_MODE = -1.0  # value of an option that leaves the matter to the mode


def place(name: str, value: str | int, words: tuple[str, ...]) -> int:
    """The place of ``value`` in ``words``; ValueError for neither a word nor a place."""
    if isinstance(value, str):
        return words.index(choice(name, value, words))
    if integer(name, value, 0) >= len(words):
        raise ValueError(f"{name} must be one of {', '.join(words)}, got {value!r}")
    return int(value)


def or_by_mode(name: str, value: float) -> float:
    """A number of at least 0, or `BY_MODE`; ValueError for anything else."""
    return BY_MODE if value == BY_MODE else nonnegative(name, value)
