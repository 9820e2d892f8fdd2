"""What several reports print in the same way: names from a user's file, intervals, notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 30  # rows of a table that are printed
LETTERS = 40  # of a name


def name(label: Any) -> str:
    """A name from a file, fit for a terminal and for the markup of rich: short, on one line."""
    from rich.markup import escape

    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(label))
    return escape(text if len(text) <= LETTERS else f"{text[: LETTERS - 3]}...")


def choice(labels: Sequence[Any], all_arms: bool, suffix: str) -> str:
    """The arms chosen and what is said of them, "3 (412)"; some arms of a tie, or "any"."""
    shown = "/".join(name(label) for label in labels[:3]) + ("/.." if len(labels) > 3 else "")
    return f"{'any' if all_arms and len(labels) > 1 else shown} ({suffix})"


def rest(count: int, what: str, console: Console) -> None:
    """Say that a table shows only its first rows, where that is so."""
    if count > SHOWN:
        console.print(f"The first {SHOWN} of {count:,} {what}; --json has all.", highlight=False)


def sentences(notes: Iterable[str | None], console: Console, style: str = "") -> None:
    """Print notes as sentences, each on a line of its own."""
    for note in notes:
        if note:
            text = "".join(c if c.isprintable() else " " for c in note)
            line = f"{text[0].upper()}{text[1:]}."
            console.print(line, highlight=False, markup=False, style=style)


def value_and_interval(found: Mapping[str, Any], digits: str = ".3g") -> str:
    """For instance "0.412 (0.389 to 0.431)"; "unknown" where nothing can be said."""
    if found["value"] is None:
        return "unknown"

    def short(value: float) -> str:
        return f"{value:,.0f}" if abs(value) >= 1000 else format(value, digits)

    text = short(found["value"])
    if found["lo"] is None:
        return text
    return f"{text} ({short(found['lo'])} to {short(found['hi'])})"


def percent(share: float | None) -> str:
    """A share, rounded towards what is not everything: 99.97% is no 100%."""
    if share is None:
        return ""
    return "100%" if share >= 1.0 else f"{min(100 * share, 99.9):.3g}%"
