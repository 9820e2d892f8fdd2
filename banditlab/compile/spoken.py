"""What Python code says that is never compiled: a digest that no comment or docstring changes.

Of kernels everything that they reach is known. Code that trains networks reaches whole libraries;
of that, it is the modules of this package that a module imports, wherever in its text, and the
versions of the libraries, which whoever asks adds.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ROOMS = ("agents", "parts", "problems")  # what is looked into


def digest(nouns: Iterable[Any], functions: Iterable[Callable[..., Any]]) -> str:
    """Sixteen letters for the modules of ``nouns``, what they import, and ``functions``.

    Nouns are functions or values, which count by their classes.
    """
    homes = [value if hasattr(value, "__qualname__") else type(value) for value in nouns]
    files = tuple(dict.fromkeys(_file(home.__module__) for home in homes))
    found = hashlib.sha256()
    for name, text in sorted(_reached(files).items()):
        found.update(f"{name}\0{text}\0".encode())
    for function in functions:
        found.update(_function(_file(function.__module__), function.__name__).encode())
    return found.hexdigest()[:16]


def _file(module: str) -> Path:
    return Path(str(sys.modules[module].__file__))


@cache
def _reached(files: tuple[Path, ...]) -> dict[str, str]:
    """What files say and those that they import, by name; a file of one's own is "own"."""
    found: dict[str, str] = {}
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        inside = file.is_relative_to(ROOT)
        name = file.relative_to(ROOT).as_posix() if inside else f"own {files.index(file)}"
        if name not in found:
            tree = _tree(file)
            found[name] = said(tree)
            waiting += _imported(tree)
    return found


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def _function(file: Path, name: str) -> str:
    """What a function at the top of a file says."""
    [found] = [x for x in _tree(file).body if isinstance(x, ast.FunctionDef) and x.name == name]
    return said(found)


def _imported(tree: ast.Module) -> Iterator[Path]:
    """Files of the package's ROOMS that are imported anywhere in a text."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{part.name}" for part in node.names)]
        elif isinstance(node, ast.Import):
            names = [part.name for part in node.names]
        for name in names:
            home, *parts = name.split(".")
            if home == ROOT.name and parts and parts[0] in ROOMS:
                file = ROOT.joinpath(*parts).with_suffix(".py")
                if file.is_file():
                    yield file


def said(node: Any) -> str:
    """A syntax tree in words, without docstrings; the same in every version of Python."""
    if isinstance(node, list):
        return f"[{','.join(map(said, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    body = fields.get("body")
    if isinstance(body, list) and _is_text(body[0]):
        fields["body"] = body[1:]
    words = ",".join(f"{name}={said(value)}" for name, value in sorted(fields.items()))
    return f"{type(node).__name__}({words})"


def _is_text(node: ast.AST) -> bool:
    """Whether a statement is a text that is not used: a docstring."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
