"""HTML that cannot be broken out of: every text is escaped but what was made here."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

VOID = ("meta", "input", "br")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Child = str | Iterable["Child"] | None


def el(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Html:
    """An element; ``class_`` is class, ``data_x`` is data-x; None and False are left out."""
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        title = key.rstrip("_").replace("_", "-")
        shown = title if value is True else f'{title}="{html.escape(_clean(str(value)))}"'
        words.append(shown)
    start = f"<{' '.join(words)}>"
    return Html(start if name in VOID else f"{start}{text(children)}</{name}>")


def text(children: Child) -> Html:
    """Children, escaped unless they are markup, one after another."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str):
        return Html(html.escape(_clean(children)))
    return Html("".join(text(child) for child in children))


def _clean(words: str) -> str:
    """Without letters that HTML cannot hold, or that turn the direction of what follows."""
    return "".join(
        letter
        if (letter.isprintable() or letter in "\n\t\u00a0") and not "\ud800" <= letter <= "\udfff"
        else "\N{REPLACEMENT CHARACTER}"
        for letter in words
    )


def data(value: Any, **attributes: str) -> Html:
    """Plain data for a script: JSON in which nothing can end the element."""
    words = json.dumps(value, separators=(",", ":"), allow_nan=False)  # ASCII only
    for letter in "<>&":
        words = words.replace(letter, f"\\u{ord(letter):04x}")
    return el("script", Html(words), type="application/json", **attributes)
