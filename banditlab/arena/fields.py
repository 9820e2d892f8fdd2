"""Values of an arena's fields that pydantic would take more of than can be meant."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from banditlab.words import simple


def _counted(value: Any) -> Any:
    """No word and no truth value, both of which pydantic would take for a number."""
    if isinstance(value, str | bool):
        raise ValueError("must be a whole number")
    return value


def _drawn(text: str) -> str:
    """A text of the figure; what stands between dollars there is mathematics, and must be some."""
    if text.count("$") > 1 and not simple(text):
        from matplotlib.cbook import is_math_text
        from matplotlib.mathtext import MathTextParser

        try:
            if is_math_text(text):
                MathTextParser("path").parse(text)
        except ValueError:
            raise ValueError(r"no mathematics between its dollars: write \$ for a dollar") from None
    return text


def _file_name(name: str) -> str:
    """A name that is one of a folder: results are kept under it."""
    if not name or "/" in name or "\\" in name or "\0" in name or name in (".", ".."):
        raise ValueError("must be the name of a folder, without slashes")
    if len(name.encode(errors="replace")) > 200:
        raise ValueError("must have at most 200 letters")
    return name


Drawn = Annotated[str, AfterValidator(_drawn)]
FileName = Annotated[str, AfterValidator(_file_name)]
Whole = Annotated[int, BeforeValidator(_counted)]
