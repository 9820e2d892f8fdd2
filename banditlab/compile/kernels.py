"""Kernels kept one by one, per signature, as Numba finds them when a caller compiles.

Kept are kernels whose arguments are plain data: numbers, arrays, tuples and NamedTuples of them.
One that is handed a function is compiled anew by each process; most of those are inlined anyway.
Numba's own functions that kernels call, np.zeros of a dtype and so on, are kept in the same way:
they would be a quarter of what is left to do for a pair whose kernels are there.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from numba import types
from numba.core.compiler import Flags
from numba.core.compiler_lock import global_compiler_lock
from numba.core.target_extension import cpu_target, dispatcher_registry

from banditlab.compile.fingerprint import (
    Found,
    as_first_seen,
    behaviour,
    is_versioned,
    machine,
    reached,
)
from banditlab.compile.quick import quicker
from banditlab.compile.shelf import Function, Place, Shelf, is_bare, link
from banditlab.core import FromPython

PLAIN = (types.Number, types.Boolean, types.StringLiteral, types.NoneType, types.UnicodeType)
# What Numba's own functions are handed besides: dtypes, and Python's float and the like as names.
NAMES = (types.NumberClass, types.DType, types.TypeRef)


# --- where a kernel is kept ---------------------------------------------------------------------


def place_of(kernel: Function, args: tuple[types.Type, ...]) -> Place | None:
    """Where ``kernel``, for arguments of these types, is kept; None if it is not."""
    classes: list[type] = []
    for kind in args:
        inner = _classes(kind)
        if inner is None:
            return None
        classes += inner
    found = reached((kernel, *classes))
    if not as_first_seen(found):
        return None
    bare = is_bare(kernel)
    if not bare and not all(map(_has_a_name, found.facts)):
        return None  # what it returns is made of classes that it looks for by name
    digest = found.digest(str(args), _flags(kernel), machine())
    return Place(f"{'kernel' if bare else 'call'}-{digest}", found)


def _classes(kind: types.Type) -> list[type] | None:
    """The NamedTuples that a type of plain data is made of; None if it is no plain data."""
    if isinstance(kind, types.BaseTuple):
        inner: list[type] = [kind.instance_class] if hasattr(kind, "instance_class") else []
        for part in kind.types:  # type: ignore[attr-defined]
            classes = _classes(part)
            if classes is None:
                return None
            inner += classes
        return inner
    if isinstance(kind, types.Array):
        return _classes(kind.dtype)
    if isinstance(kind, types.Omitted):
        return [] if isinstance(kind.value, int | float | str | None) else None
    return [] if isinstance(kind, PLAIN) else None


def _flags(function: Function) -> str:
    """How it would be compiled now: some of that Numba takes over from the caller under way."""
    flags: Any = Flags()
    function.targetdescr.options.parse_as_flags(flags, function.targetoptions)
    return str(flags.summary())


def _has_a_name(value: Any) -> bool:
    """Whether a class, if ``value`` is one, is found by its name in every process."""
    if not isinstance(value, type):
        return True
    module = sys.modules.get(value.__module__)
    return value.__module__ != "__main__" and getattr(module, value.__qualname__, None) is value


# --- Numba's own functions ----------------------------------------------------------------------


class Borrowed(FromPython):
    """A function of Numba's own that a kernel calls."""


def place_of_borrowed(function: Function, args: tuple[types.Type, ...]) -> Place | None:
    """Where a function of Numba's own is kept; None if it is not.

    Numba's version stands for what its functions do; what differs between those of one name is
    the types that they close over.
    """
    own = function.py_func
    closed = [cell.cell_contents for cell in own.__closure__ or ()]
    if not all(isinstance(value, types.Type) for value in closed):
        return None
    if not all(map(_is_named, (*closed, *args))):
        return None
    does, _ = behaviour(own.__code__)
    found = Found({}, "")
    name = f"{own.__module__}.{own.__qualname__}"
    digest = found.digest(name, does, str(closed), str(args), _flags(function), machine())
    return Place(f"kernel-{digest}", found)


def _is_named(kind: types.Type) -> bool:
    """Whether the name of a type says all about it, in every process."""
    if isinstance(kind, types.BaseTuple):
        return not hasattr(kind, "instance_class") and all(map(_is_named, kind.types))  # type: ignore[attr-defined]
    if isinstance(kind, types.Array | types.List):
        return _is_named(kind.dtype)
    if isinstance(kind, types.Omitted):
        return isinstance(kind.value, int | float | str | None) or kind.value in (int, float, bool)
    if isinstance(kind, types.Function):
        return kind.typing_key in (int, float, bool)
    return isinstance(kind, PLAIN + NAMES)


@contextmanager
def _borrowing() -> Iterator[None]:
    """Let Numba make its own functions, while it compiles ours, such that they are kept."""
    with global_compiler_lock:
        before = dispatcher_registry[cpu_target]
        dict.__setitem__(dispatcher_registry, cpu_target, Borrowed)
        try:
            with quicker():
                yield
        finally:
            dict.__setitem__(dispatcher_registry, cpu_target, before)


# --- both ---------------------------------------------------------------------------------------


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """The compiler's objects live as long as it works: going through them takes a fifth of it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def equipped(function: Function) -> Iterator[None]:
    """Let Numba look on the shelf before it compiles ``function``, and what that calls."""
    if not isinstance(function._cache, Shelf):
        bare, borrowed = is_bare(function), isinstance(function, Borrowed)
        if not borrowed or (bare and is_versioned(function.py_func.__code__.co_filename)):
            find = place_of_borrowed if borrowed else place_of
            function._cache = Shelf(partial(find, function), bare)
            if bare:
                link(function)
    with _borrowing(), _no_garbage_collection():
        yield
