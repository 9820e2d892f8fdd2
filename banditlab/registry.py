"""Names: the file name of an algorithm or problem is its name; there is no table to edit."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from banditlab.core import Algorithm
from banditlab.machine import check_room
from banditlab.validate import shown

AGENTS = Path(__file__).parent / "agents"
PROBLEMS = Path(__file__).parent / "problems"
PROTOCOLS = Path(__file__).parent / "protocols"
MANY = 30  # names that a line can hold
FILES = ("agent", "problem", "protocol", "name")  # what may be called by a file, too
FILE = "banditlab_file_"  # begins the names of modules that are files outside the package


@cache
def families() -> dict[str, tuple[str, ...]]:
    """Algorithm names by family."""
    found = {}
    for folder in sorted(AGENTS.iterdir()):
        names = tuple(sorted(f.stem for f in folder.glob("*.py") if f.stem != "__init__"))
        if names:
            found[folder.name] = names
    return found


def names() -> list[str]:
    """All algorithm names, sorted."""
    return sorted(name for members in families().values() for name in members)


@cache
def problem_names() -> tuple[str, ...]:
    """All problem names, sorted."""
    return tuple(sorted(f.stem for f in PROBLEMS.glob("*.py") if f.stem != "__init__"))


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """One line that says ``name`` is unknown and what was probably meant."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    if len(known) > MANY and not near:
        hint = f"python -m banditlab.arena --list shows all {len(known)}"
    if kind in FILES and name.isidentifier() and Path(f"{name}.py").is_file():
        hint = f"the file that is here is ./{name}.py"
    return f"unknown {kind} {name!r}; {hint}"


@cache
def protocol_names() -> tuple[str, ...]:
    """All protocols: the files of the protocols folder that end with ``PROTOCOL = ...``."""
    files = sorted(PROTOCOLS.glob("*.py"))
    return tuple(f.stem for f in files if "\nPROTOCOL = " in f.read_text(encoding="utf-8"))


def protocol(name: str) -> Any:
    """The :class:`banditlab.protocols.base.Protocol` called ``name``, or in a ``.py`` file."""
    found = getattr(_module("protocol", name), "PROTOCOL", None)
    if found is None:
        raise ValueError(f"{name}: the file must define PROTOCOL")
    return found


def protocol_of(noun: Any) -> Any:
    """The protocol of an algorithm or a problem: the one in whose file its class is defined."""
    home = sys.modules.get(type(noun).__module__)
    found = getattr(home, "PROTOCOL", None)
    if found is None or not isinstance(noun, tuple):
        raise ValueError(
            f"algorithm must be a name or what banditlab.make returns, got {type(noun).__name__}"
        )
    return found


def recipe(algorithm: Any) -> tuple[str, dict[str, Any]]:
    """Name and hyper-parameters that make the algorithm; ValueError when they do not."""
    home = type(algorithm.params).__module__
    path = getattr(sys.modules.get(home), "__file__", None) or ""
    name = path if home.startswith(FILE) else home.rpartition(".")[2]
    hyper = algorithm.params._asdict()
    with suppress(ValueError):
        if tuple(_make("agent", name, hyper))[1:] == algorithm[1:]:
            return name, hyper
    raise ValueError(f"{name} can only be kept when it is made by name: Agent({name!r}, ...)")


def module(path: str | Path) -> ModuleType:
    """The module in a ``.py`` file, for a file of one's own that builds on another."""
    return _file_module(str(path))


def _file_module(name: str) -> ModuleType:
    path = Path(os.path.realpath(name))
    if not os.path.isfile(path):  # Path's raise for names too long, and for links in circles
        raise ValueError(f"no such file: {name}")
    title = f"{FILE}{path.stem}"
    old = sys.modules.get(title)
    if old is not None and old.__file__ == str(path):
        return old
    spec = importlib.util.spec_from_file_location(title, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module  # before execution: Numba looks the kernels' module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a script of one's own may end the program
        del sys.modules[title]
        line = error.lineno if isinstance(error, SyntaxError) else None
        for frame in inspect.trace():
            if line is None or not isinstance(error, SyntaxError):
                line = frame.lineno if frame.filename == str(path) else line
        where = f"{path.name}, line {line}" if line else path.name
        raise ValueError(f"{where}: {type(error).__name__}: {error}") from error
    return module


def _module(kind: str, name: str) -> ModuleType:
    if not isinstance(name, str):
        raise ValueError(f"{kind} must be a name, got {shown(name)}")
    if name.endswith(".py"):
        return _file_module(name)
    if kind == "agent":
        for family, members in families().items():
            if name in members:
                return importlib.import_module(f"banditlab.agents.{family}.{name}")
        raise ValueError(unknown("agent", name, names()))
    if kind == "protocol":
        if name in protocol_names():
            return importlib.import_module(f"banditlab.protocols.{name}")
        raise ValueError(unknown("protocol", name, protocol_names()))
    if name in problem_names():
        return importlib.import_module(f"banditlab.problems.{name}")
    raise ValueError(unknown("problem", name, problem_names()))


def factory(kind: str, name: str) -> Callable[..., Any]:
    """The function that makes the ``kind`` (agent or problem) called ``name``.

    A name that ends in ``.py`` is a file outside the package; the function in it is called like
    the file.
    """
    module = _module(kind, name)
    title = Path(name).stem if name.endswith(".py") else name
    made = getattr(module, title, None)
    if not callable(made):
        raise ValueError(f"{name}: the file must define a function called {title}")
    return made  # type: ignore[no-any-return]


def _make(kind: str, name: str, hyper: dict[str, Any]) -> Any:
    build = factory(kind, name)
    allowed = inspect.signature(build).parameters
    for key in hyper:
        if key not in allowed:
            line = unknown("argument", key, allowed)
            raise ValueError(f"{name}: {line}" if allowed else f"{name} takes no arguments")
    missing = [p.name for p in allowed.values() if p.default is p.empty and p.name not in hyper]
    if missing:
        raise ValueError(f"{name}: {', '.join(missing)} must be given")
    check_room(name, hyper)
    try:
        return build(**hyper)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from error
    except MemoryError:
        raise ValueError(f"{name}: its arguments ask for more memory than there is") from None
    except Exception as error:  # what values of strange types, and files of one's own, lead to
        raise ValueError(f"{name}: {type(error).__name__}: {error}") from error


def make(name: str, **hyper: Any) -> Algorithm:
    """The algorithm called ``name`` with hyper-parameters ``hyper``.

    ``name`` is one of :func:`names` or the path of a ``.py`` file. Raises ValueError, in one line,
    for an unknown name (with the nearest known ones) or a bad hyper-parameter.
    """
    return _make("agent", name, hyper)


def make_problem(name: str, **parameters: Any) -> Any:
    """The problem called ``name``; see :func:`make`."""
    return _make("problem", name, parameters)


def example(kind: str, name: str) -> dict[str, Any]:
    """What the file of an agent or problem gives as its example; empty if it gives none."""
    return dict(getattr(_module(kind, name), "example", {}))


def label(name: str) -> str:
    """How people call an algorithm: the ``label`` of its file, or else its name in words.

    What stands between dollars is mathematics, as in figures. A file that is gone has its name.
    """
    with suppress(ValueError):
        return str(getattr(_module("agent", name), "label", Path(name).stem.replace("_", " ")))
    return Path(name).stem.replace("_", " ")


def gives_up(algorithm: Any) -> str:
    """Why an algorithm gives up, in the words of its file (``gives_up``); empty if it has none."""
    home = sys.modules.get(type(getattr(algorithm, "params", None)).__module__)
    return str(getattr(home, "gives_up", ""))


def trial(name: str) -> dict[str, Any]:
    """Hyper-parameters for the contract suite, where the usual ones of an agent's file are slow."""
    return dict(getattr(_module("agent", name), "trial", {}))


def report(name: str, **hyper: Any) -> str:
    """The module of banditlab.reports for a file brought to the agent; empty if there is none.

    It is that of the agent's protocol, unless the agent's file names another as ``report``.
    """
    own = getattr(_module("agent", name), "report", None)
    return str(own if own is not None else protocol_of(make(name, **hyper)).report)


def environment(name: str, **hyper: Any) -> str:
    """The module of banditlab.reports that takes the agent to a Gymnasium environment."""
    return str(protocol_of(make(name, **hyper)).environment)


def is_baseline(name: str) -> bool:
    """Whether the algorithm is a point of comparison that need not learn anything.

    A file that is gone says nothing of the kind.
    """
    with suppress(ValueError):
        return bool(getattr(_module("agent", name), "is_baseline", False))
    return False


def about(kind: str, name: str) -> str:
    """The docstring of the file of an agent or problem; empty if there is none."""
    return inspect.getdoc(_module(kind, name)) or ""


def file_of(kind: str, name: str) -> Path:
    """The file of an agent or problem."""
    return Path(str(_module(kind, name).__file__))


def bibtex(kind: str, name: str) -> str:
    """What the file of an agent or problem gives as ``bibtex``, stripped; empty if nothing."""
    return str(getattr(_module(kind, name), "bibtex", "")).strip()


def when(name: str) -> str:
    """What the file of an agent says of when to take it (``when``); empty if nothing."""
    return str(getattr(_module("agent", name), "when", "")).strip()
