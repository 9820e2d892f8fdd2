"""Compiled pairs: one machine-code function per (loop, algorithm, problem), kept on disk.

Numba compiles a function for given callees only if they are fixed when it is written down. So for
each pair a small function is generated in which the kernels are globals, and kept under a hash of
everything that its machine code depends on.
"""

from __future__ import annotations

import inspect
import itertools
import os
import secrets
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numba
from numba.core.bytecode import FunctionIdentity
from numba.core.errors import NumbaError

from banditlab.compile import store
from banditlab.compile.errors import explained
from banditlab.compile.fingerprint import Found, as_first_seen, machine, reached
from banditlab.compile.shelf import Place, Shelf
from banditlab.core import OPTIONS, FromPython, jit_disabled

# Fields of an algorithm or a problem that Python reads, before the loop.
NOT_KERNELS = ("check", "most", "supply")
PLAIN = "plain-"  # begins the names of pairs that are not compiled


def _number_functions_anew() -> None:
    """Give this process numbers for its functions that no other process gives.

    Numba makes a function's symbol from its name, its argument types and a number counted from 1
    in every process. Kernels that one builder makes differ in nothing but that number; if two
    processes gave it to different ones, a third that loads what both compiled would run the first
    of them for both, silently.
    """
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(60))


_number_functions_anew()
if hasattr(os, "register_at_fork"):  # where there is no fork, no process inherits numbers
    os.register_at_fork(after_in_child=_number_functions_anew)


def _holds_kernels(value: Any) -> bool:
    return isinstance(value, tuple) and any(callable(item) for item in value)


def _source(loop: Callable[..., Any], nouns: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], dict]:
    """Text of the pair's function, the data among the nouns' fields, and the globals."""
    given = list(inspect.signature(getattr(loop, "py_func", loop)).parameters)[len(nouns) :]
    space: dict[str, Any] = {"loop": loop}
    data: list[Any] = []
    arguments: list[str] = []
    tuples: list[str] = []
    for i, noun in enumerate(nouns):
        space[f"Noun{i}"] = type(noun)
        fields: list[str] = []
        for field, value in zip(noun._fields, noun, strict=True):
            name = f"{field}{i}"
            fields.append(name)
            if field in NOT_KERNELS:
                fields[-1] = "None"
            elif callable(value):
                space[name] = value
            elif _holds_kernels(value):  # meant for another loop
                fields[-1] = "None"
            else:
                arguments.append(name)
                data.append(value)
        tuples.append(f"Noun{i}({', '.join(fields)})")
    text = (
        f"def pair({', '.join(arguments + given)}):\n    return loop({', '.join(tuples + given)})\n"
    )
    return text, tuple(data), space


class Pair(NamedTuple):
    """A loop with its nouns, compiled when first needed; call it with the loop's arguments."""

    name: str  # a hash of everything the machine code depends on
    function: Callable[[], Callable[..., Any]]  # compiles, or reads from the cache, or knows
    data: tuple[Any, ...]  # the nouns' own data, which come first
    code: str  # a hash of what it does, the same on every processor

    def __call__(self, *args: Any) -> Any:
        """Run."""
        return self.function()(*self.data, *args)


_loaded: dict[str, Any] = {}
_lock = threading.RLock()  # two threads that want the same pair compile it once


def pair(
    loop: Callable[..., Any],
    nouns: tuple[Any, ...],
    args: tuple[Any, ...],
    plain: bool = False,
    code: str = "",
) -> Pair:
    """``loop(*nouns, *args)`` as a function of ``args``; ``plain``: never compiled.

    ``nouns`` are NamedTuples of kernels and data such as an algorithm and a problem; ``args`` is
    an example of the call's arguments, read for its types only. ``code`` names what a plain loop
    does, where that is not the text of its files.
    """
    text, data, space = _source(loop, nouns)
    found = Found({}, _files(loop, *nouns)) if plain else reached((*space.values(), *data, *args))
    code = code or found.digest(text)
    if plain or jit_disabled():
        function = partial(_plainly, loop, nouns, len(data))
        return Pair(f"{PLAIN}{code}", lambda: function, data, code)
    types = tuple(numba.typeof(value) for value in (*data, *args))
    name = f"pair-{found.digest(text, str(types), machine())}"
    place = Place(name, found) if as_first_seen(found) else None
    return Pair(name, partial(_machine_code, name, text, space, types, place), data, code)


def _files(*values: Any) -> str:
    """The text of the files of functions, and of the classes of values: of Python, that is enough.

    What it imports, a whole library of tensors perhaps, is not walked through.
    """
    homes = [value if hasattr(value, "__qualname__") else type(value) for value in values]
    names = dict.fromkeys(home.__module__ for home in homes)
    files = [getattr(sys.modules.get(name), "__file__", None) for name in names]
    return "\0".join(Path(file).read_text(encoding="utf-8") for file in files if file)


def compiled(loop: Callable[..., Any], nouns: tuple[Any, ...], args: tuple[Any, ...]) -> Pair:
    """`pair`, compiled at once."""
    made = pair(loop, nouns, args)
    made.function()
    return made


def known(made: Pair) -> bool:
    """Whether this process has the pair's machine code, or nothing is to be compiled."""
    return made.name in _loaded or made.name.startswith(PLAIN)


def _plainly(loop: Callable[..., Any], nouns: tuple[Any, ...], n_data: int, *actual: Any) -> Any:
    return loop(*nouns, *actual[n_data:])


def _machine_code(
    name: str, text: str, space: dict[str, Any], types: tuple[Any, ...], place: Place | None
) -> Callable[..., Any]:
    with _lock:
        if name not in _loaded:
            _loaded[name] = _read_or_compile(name, text, space, types, place)
        return _loaded[name]  # type: ignore[no-any-return]


def _read_or_compile(
    name: str, text: str, space: dict[str, Any], types: tuple[Any, ...], place: Place | None
) -> Any:
    """Numba's function of a pair, with its one signature."""
    around = {**space, "__name__": __name__}  # Numba looks for the module when it reads a pair
    exec(compile(text, "pair.py", "exec"), around)
    options = {**OPTIONS, "nopython": True, "no_cfunc_wrapper": True}
    function: Any = FromPython(around["pair"], targetoptions=options)
    function._cache = Shelf(lambda _: place, bare=False)
    try:
        with store.claimed(name):
            function.compile(types)
    except NumbaError as error:
        raise explained(error, space) from error
    return function
