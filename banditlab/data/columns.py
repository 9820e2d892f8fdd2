"""Which columns of a table are meant: by our names, by other people's, or every one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

# Other people's names of columns, read where ours are absent.
ALIASES = {
    "pscore": "propensity", "propensity_score": "propensity", "done": "terminated",
    "terminal": "terminated", "timeout": "truncated", "model_a": "left", "model_b": "right",
    "judge": "annotator",
}  # fmt: skip
NAMELESS = re.compile(r"\s*|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MANY = 1000  # names of columns that are looked through for misspelt ones
LISTED = 12  # names of columns in a message


def refuse_twins(names: Sequence[str]) -> None:
    """Raise ValueError for a name that two columns have."""
    seen: set[str] = set()
    for name in names:
        if name in seen and not NAMELESS.fullmatch(name):
            raise ValueError(f"column {name!r} appears twice")
        seen.add(name)


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(name[:40] for name in names[:LISTED]) + more


def _is_data(names: Sequence[str]) -> bool:
    """Whether the names of columns are rather numbers of the first row.

    A frame's own names are 0, 1, ..., and people count arms from 1.
    """
    if list(names) in ([str(k + first) for k in range(len(names))] for first in (0, 1)):
        return False
    numeric = [bool(NUMBER.fullmatch(name)) for name in names]
    decimal = any(n and not name.isdigit() for n, name in zip(numeric, names, strict=True))
    return bool(names) and (all(numeric) or decimal)


def every_column(names: list[str], nameless: list[int], is_text: bool) -> list[tuple[str, int]]:
    """All columns as (name, place), where there is one per arm; ``nameless`` are places.

    Raises ValueError for a column without a name, and for a text whose first line is data.
    """
    for k in nameless[:1]:
        raise ValueError(f"column {k} has no name: is it a row number?")
    if is_text and _is_data(names):
        raise ValueError(f"the first line must name the columns, got {_listed(names)}")
    return [(name, k) for k, name in enumerate(names)]


def wanted_columns(
    names: list[str],
    kind: str,
    columns: Mapping[str, str],
    known: Sequence[str],
    required: Sequence[str],
    prefix: str,
    notes: list[str],
) -> list[tuple[str, int]]:
    """The columns meant as (our name, place), by place; the arguments are those of `read_table`.

    What was taken under another name than ours is appended to ``notes``.
    """
    if not isinstance(columns, Mapping):
        raise ValueError(f"columns must be their names by ours, a mapping, got {columns!r:.60}")
    place = {name: k for k, name in enumerate(names)}
    found: dict[str, int] = {}
    for ours, theirs in columns.items():
        if ours not in known and not (prefix and ours.startswith(prefix)):
            raise ValueError(f"columns: {ours!r} is none of {', '.join(known)}")
        if theirs not in place:
            near = difflib.get_close_matches(str(theirs)[:40], names[:MANY], n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {_listed(names)}"
            raise ValueError(f"columns: the {kind} has no column {theirs!r}; {hint}")
        if place[theirs] in found.values():
            raise ValueError(f"columns: {theirs!r} stands for two columns")
        found[ours] = place[theirs]
    free = {name: k for name, k in place.items() if k not in found.values()}
    for ours in known:
        if ours not in found and ours in free:
            found[ours] = free[ours]
    for theirs, ours in ALIASES.items():
        if theirs in free and ours in known and ours not in found:
            found[ours] = free[theirs]
            notes.append(f"column {theirs!r} is read as {ours}")
    absent = [ours for ours in known if ours not in found]
    for ours in required:
        if ours in absent:
            flag = "--label NAME" if ours == "label" else f"--columns {ours}=NAME"
            how = f"; if one of them is that, say {flag}" if names else ""
            hint = "; its first line must name the columns" if _is_data(names) else how
            raise ValueError(f"the {kind} has no column {ours!r}; it has {_listed(names)}{hint}")
    for name in list(free)[:MANY]:
        # A misspelt optional column would otherwise be passed over without a word.
        if name in ALIASES or name in found or (prefix and name.startswith(prefix)):
            continue
        for meant in difflib.get_close_matches(name[:40], absent, n=1, cutoff=0.8):
            raise ValueError(f"unknown column {name!r}; did you mean {meant!r}?")
    if prefix:
        found |= {name: k for name, k in free.items() if name.startswith(prefix)}
    return sorted(found.items(), key=lambda item: item[1])
