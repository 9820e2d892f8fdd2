"""What machine code depends on, as a hash that is the same in every process.

The code of every function that the kernels lead to, which of them calls which, the constants,
defaults and NamedTuples that this code mentions, the types of the arguments, the processor,
Numba's settings, and the versions of Python, Numba and NumPy. An edit gives another hash, never
stale code. What only Numba could find, an ``@overload`` or ``@intrinsic`` of one's own, is beyond
the hash: kernels have none.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.registry import cpu_target

LAYOUT = 3  # of what is kept; another number leaves everything kept before unread

STANDARD_LIBRARY = Path(os.__file__).parent.resolve()
# Their versions are hashed instead of their code.
VERSIONED = [Path(str(package.__file__)).parent.resolve() for package in (np, numba)]
VERSIONS = (sys.version, *(sys.modules[x].__version__ for x in ("llvmlite", "numba", "numpy")))
# What of Numba's configuration, NUMBA_OPT and so on, changes the machine code.
SETTINGS = ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "ENABLE_AVX")


class Found(NamedTuple):
    """What some values lead to."""

    facts: dict[Any, str]  # of each function and class, in the order in which they were reached
    calls: str  # which of them mentions which

    def digest(self, *more: str) -> str:
        """The hash of all this, and of ``more``."""
        text = "\0".join([*more, *self.facts.values(), self.calls])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def machine() -> str:
    """The processor, Numba's settings and the versions for which code is compiled."""
    target = cpu_target.target_context.codegen().magic_tuple()
    settings = [getattr(numba.config, name, None) for name in SETTINGS]
    return repr((LAYOUT, VERSIONS, settings, target))


def functions(values: Iterable[Any]) -> Iterator[FunctionType]:
    """The Python functions behind ``values``: functions, kernels, and those in their closures."""
    for value in values:
        function = getattr(value, "py_func", value)
        if isinstance(function, FunctionType):
            yield function
            yield from functions(cell.cell_contents for cell in function.__closure__ or ())


@cache
def is_versioned(file: str) -> bool:
    """Whether ``file`` belongs to Python or to a package whose version is hashed."""
    path = Path(file).resolve()
    if path.is_relative_to(STANDARD_LIBRARY) and "site-packages" not in path.parts:
        return True
    return any(path.is_relative_to(folder) for folder in VERSIONED)


@cache
def behaviour(code: CodeType) -> tuple[str, frozenset[str]]:
    """What ``code`` does, without file names and line numbers, and all names that it mentions."""
    facts = [
        repr((code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_argcount))
    ]
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner, more = behaviour(constant)
            facts.append(inner)
            names |= more
        else:
            facts.append(shown(constant))
    return "".join(facts), frozenset(names)


def shown(value: Any) -> str:
    """``value`` in full if it is data, else its name; the same in every process."""
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype}{value.shape}{value.tobytes().hex()}"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}[{','.join(map(shown, value))}]"
    if isinstance(value, set | frozenset):
        return f"{sorted(map(shown, value))}"
    text = repr(value)
    if " at 0x" in text:  # a function, or an object that does not show what it holds
        named = value if hasattr(value, "__qualname__") else type(value)
        text = f"{named.__module__}.{named.__qualname__}"
    return text


def _mentioned(function: FunctionType) -> dict[str, Any]:
    """What ``function`` takes from around it: its defaults, its closure, and globals by name.

    Of a module that is mentioned, whatever has one of the mentioned names.
    """
    found: dict[str, Any] = {"defaults": function.__defaults__}
    found |= function.__kwdefaults__ or {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    found |= {name: cell.cell_contents for name, cell in cells}
    _, names = behaviour(function.__code__)
    spaces = [function.__globals__]
    for i, space in enumerate(spaces):  # grows while it is walked
        for name in sorted(names & space.keys()):
            value = space[name]
            if not isinstance(value, ModuleType):
                found[f"{i}.{name}"] = value
            elif not is_versioned(getattr(value, "__file__", None) or str(STANDARD_LIBRARY)):
                if not any(vars(value) is known for known in spaces):
                    spaces.append(vars(value))
    return found


def _parts(value: Any) -> Iterator[Any]:
    """The functions and classes in ``value``; tuples are looked into."""
    if isinstance(value, tuple):
        yield type(value)
        for item in value:
            yield from _parts(item)
    elif isinstance(value, type) or isinstance(getattr(value, "py_func", value), FunctionType):
        yield value


def _alone(value: Any) -> tuple[str, list[Any]] | None:
    """What a function or class is by itself, and what it mentions; None if a version covers it."""
    if isinstance(value, type):
        facts, does = [], str(getattr(value, "_fields", ""))
        mentioned = dict(getattr(value, "_field_defaults", {}))
        if issubclass(value, Enum):
            mentioned = {member.name: member.value for member in value}
    else:
        # njit's options: inlined or not, how it divides, ...
        facts = [(key, shown(x)) for key, x in getattr(value, "targetoptions", {}).items()]
        value = getattr(value, "py_func", value)
        if is_versioned(value.__code__.co_filename):
            return None
        mentioned = _mentioned(value)
        does, _ = behaviour(value.__code__)
    facts += [(name, shown(x)) for name, x in mentioned.items()]
    return f"{shown(value)}{does}{sorted(facts)}", list(mentioned.values())


def reached(values: Iterable[Any]) -> Found:
    """The functions and classes that ``values`` lead to."""
    facts: dict[Any, str] = {}
    mentions: list[list[Any]] = [[part for value in values for part in _parts(value)]]
    waiting = list(mentions[0])
    while waiting:
        value = waiting.pop()
        alone = None if value in facts else _alone(value)
        if alone is not None:
            facts[value], mentioned = alone
            mentions.append([part for item in mentioned for part in _parts(item)])
            waiting += mentions[-1]
    # Names do not say it all: kernels that one builder made share theirs.
    number = {value: i for i, value in enumerate(facts)}
    return Found(facts, repr([[number.get(part) for part in parts] for parts in mentions]))


# What each function was when it was first seen. Numba compiles it with the globals of that time.
_first_seen: dict[Any, str] = {}


def as_first_seen(found: Found) -> bool:
    """Whether no global that kernels use was changed while the program runs."""
    return all([_first_seen.setdefault(key, text) == text for key, text in found.facts.items()])
