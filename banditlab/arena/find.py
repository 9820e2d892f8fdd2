"""Where arenas are found, and which one an agent calls its home."""

from __future__ import annotations

import copy
import os
import stat
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

PROSE = ("title", "source", "claim", "checks")  # of an arena: nothing there is ever run


def folders() -> list[Path]:
    """Where arenas are looked for: here, inside an installed package, beside a checked-out one."""
    package = Path(__file__).parent.parent
    # An installed one first: what is beside it belongs to others.
    return [Path("arenas"), package / "_arenas", package.parent / "arenas"]


def arena_files() -> dict[str, Path]:
    """Every arena by name; the first folder that has a name wins."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def shipped_log(name: str | Path) -> Path:
    """The file that ``name`` means: itself or, if there is none, a log that comes with banditlab.

    The logs are those of ``arenas/logs/``; ``digits.csv`` and ``arenas/logs/digits.csv`` find one
    from any folder. Another name comes back as it is, for the reader to say that it is missing.
    """
    path = Path(name)
    if not os.path.lexists(path) and path.parent in (Path(), Path("arenas/logs")):
        for folder in folders():
            if os.path.isfile(folder / "logs" / path.name):  # also of a name too long: it is none
                return folder / "logs" / path.name
    return path


def home_arena(agent: str) -> str:
    """The arena that ``--agent NAME`` runs: ``<agent>.toml``, or one that says it is its home."""
    files = arena_files()
    if agent in files:
        return agent
    for name, path in files.items():
        if agent in read_toml(path).get("home_of", []):
            return name
    # A file outside the package plays where UCB is at home.
    return home_arena("ucb") if agent != "ucb" else "stochastic"


def read_toml(path: Path) -> dict[str, Any]:
    """What the file holds, a fresh copy; ValueError in one line when it cannot be read."""
    try:
        facts = path.stat()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):  # nobody may write to it
        raise ValueError(f"{path}: it is no ordinary file: copy it to one")
    return copy.deepcopy(_parsed(path, facts.st_mtime_ns, facts.st_size))


def refuse_code(name: str) -> None:
    """ValueError where the arena's file names a program, which to read the arena would run."""
    path = arena_files().get(name, Path(name))
    if path.suffix == ".toml":
        table = {key: value for key, value in read_toml(path).items() if key not in PROSE}
        for word in _words(table):
            if word.endswith(".py"):
                raise ValueError(
                    f"{path.name} names {word}, a program: --allow-code runs what the arena names"
                )


def _words(value: Any) -> Iterator[str]:
    """Every text in a table, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _words(item)


@lru_cache(maxsize=256)
def _parsed(path: Path, changed: int, size: int) -> dict[str, Any]:
    """Parsed once, however often a run asks, as long as the file stays as it is."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: not UTF-8 text: {error.reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: {error}") from error
    except RecursionError:
        raise ValueError(f"{path.name}: lists or tables are nested too deeply") from None
