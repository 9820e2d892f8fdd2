"""The shelf on which Numba looks for a function's compiled code, and how that is written down.

What only other kernels call is kept as LLVM code (bitcode, after optimisation): its callers take
it in and inline it as if it had been compiled a moment ago, and no machine code is made of it by
itself. What Python calls, a pair or a kernel's way in, is kept as machine code.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import llvmlite.binding as llvm  # type: ignore[import-untyped]
from numba import _dynfunc, types  # type: ignore[attr-defined]
from numba.core import sigutils
from numba.core.codegen import JITCodeLibrary, RuntimeLinker
from numba.core.compiler import CompileResult, Flags, compile_extra
from numba.core.dispatcher import _FunctionCompiler  # type: ignore[attr-defined]
from numba.core.environment import Environment as Constants
from numba.core.environment import lookup_environment
from numba.core.runtime import rtsys  # type: ignore[attr-defined]
from numba.core.serialize import NumbaPickler
from numba.core.typing.templates import Signature

from banditlab.compile import store
from banditlab.compile.fingerprint import Found

# Numba's dispatchers and compile results, whose attributes no checker knows.
Function = Any
Result = Any


class Place(NamedTuple):
    """Where the code of one function and signature is kept."""

    name: str  # of the entry: a hash of everything that the code depends on
    found: Found  # the functions and classes that it leads to; the code refers to them by number


def is_bare(function: Function) -> bool:
    """Whether there is no way in for Python: the code is for callers to take in."""
    return bool(function.targetoptions.get("no_cpython_wrapper"))


# --- compiling for callers ----------------------------------------------------------------------


class Linked(JITCodeLibrary):  # type: ignore[misc]
    """The code of a kernel for its callers to take in; no machine code is made of it."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Nowhere."""
        return 0


class KernelCompiler(_FunctionCompiler):  # type: ignore[misc]
    """As Numba compiles functions, but into a `Linked` library."""

    def _compile_core(self, args: tuple[types.Type, ...], return_type: Any) -> Result:
        flags: Any = Flags()
        self.targetdescr.options.parse_as_flags(flags, self.targetoptions)
        flags.no_compile = True
        context = self.targetdescr.target_context
        library = Linked(context.codegen(), self.py_func.__qualname__)
        result = compile_extra(
            self.targetdescr.typing_context, context, self.py_func, args, return_type, flags,
            self.locals, library, self.pipeline_class,
        )  # fmt: skip
        if result.typing_error is not None:
            raise result.typing_error
        library.finalize()
        return _entered(result)


def link(function: Function) -> None:
    """Have ``function`` compiled for its callers only."""
    old = function._compiler
    function._compiler = KernelCompiler(
        old.py_func, old.targetdescr, old.targetoptions, old.locals, old.pipeline_class
    )


def _entered(result: Result) -> Result:
    """``result`` with an entry point that only stands for it, known to those that compile calls."""
    described, library = result.fndesc, result.library
    name = described.qualname.rpartition(".")[2]
    module = described.lookup_module()
    entry = _dynfunc.make_function(module, name, "", 0, result.environment, (library,))
    result.target_context.insert_user_function(entry, described, [library])
    return result._replace(entry_point=entry)


# --- keeping and reading ------------------------------------------------------------------------


class Kept(NamedTuple):
    """What is pickled of a compiled function."""

    described: Any  # Numba's description: symbols, types
    signature: Signature
    environment: Any  # constants that are Python's objects
    environments: list[Any]  # the same of the functions taken in
    reload_init: list[Callable[[], None]]  # to be called before the code is used
    code: bytes  # for callers: bitcode; for Python: machine code


class Shelf:
    """Where Numba looks for, and leaves, the compiled code of one function: its `_Cache`."""

    cache_path = None

    def __init__(self, place: Callable[[tuple[types.Type, ...]], Place | None], bare: bool):
        self.place, self.bare = place, bare
        self.places: dict[tuple[types.Type, ...], Place | None] = {}

    def load_overload(self, sig: Any, target_context: Any) -> Result | None:
        """The compiled function, or None: whatever is wrong with an entry, it is made anew."""
        args, return_type = sigutils.normalize_signature(sig)
        place = self.places[args] = self.place(args) if return_type is None else None
        content = store.read(place.name) if place is not None else None
        if place is None or content is None:
            return None
        try:
            rtsys.initialize(target_context)
            kept = _loads(content, [*place.found.facts])
            if kept.signature.args != args:
                return None
            return (_linked if self.bare else _callable)(kept, target_context)
        except Exception:  # written by a version of Numba that names itself like this one, ...
            return None

    def save_overload(self, sig: Any, result: Result) -> None:
        """Keep what was compiled if it can be kept, and tell the code where its constants are."""
        args, _ = sigutils.normalize_signature(sig)
        place = self.places.get(args)
        environments = _environments(result)
        if not self.bare:
            for environment in environments:
                result.codegen.set_env(environment.env_name, environment)
        if place is not None and _can_be_kept(result):
            content = _dumped(result, environments, place, self.bare)
            if content is not None:
                store.write(place.name, content)
        if not self.bare:
            store.tidy()

    def flush(self) -> None:
        """Nothing: what is kept is never wrong."""


def _environments(result: Result) -> list[Any]:
    names = [g.name for g in result.library._final_module.global_variables]
    found = [lookup_environment(name) for name in names if name.startswith("_ZN08NumbaEnv")]
    return [environment for environment in found if environment is not None]


def _can_be_kept(result: Result) -> bool:
    """Whether the code holds no addresses of this process."""
    names = [g.name for g in result.library._final_module.global_variables]
    unresolved = any(name.startswith(RuntimeLinker.PREFIX) for name in names)
    return not (result.library.has_dynamic_globals or result.objectmode or unresolved)


def _dumped(result: Result, environments: list[Any], place: Place, bare: bool) -> bytes | None:
    """What is kept of ``result``; None if it holds what another process would not understand."""
    library, described = result.library, result.fndesc
    if bare:
        code = library._get_module_for_linking().as_bitcode()
    else:
        code = library._get_compiled_object()
    described.typemap = described.calltypes = None  # not needed any more
    environment = result.environment
    kept = Kept(
        described, result.signature, environment, environments, list(result.reload_init), code
    )
    values = [*place.found.facts]
    try:
        content = _dumps(kept, values)
        again = _loads(content, values)
    except Exception:  # an object that does not pickle, in whatever way it says so
        return None
    same = again.signature == result.signature  # a class that is no longer itself makes another
    return content if same else None


def _dumps(kept: Kept, values: list[Any]) -> bytes:
    """``kept`` pickled; ``values`` and their classes by number: the next process has its own."""
    numbers = {id(value): i for i, value in enumerate(values)}
    buffer = io.BytesIO()

    class Pickler(NumbaPickler):  # type: ignore[misc]
        def persistent_id(self, value: Any) -> int | None:
            return numbers.get(id(value))

        def reducer_override(self, value: Any) -> Any:
            if type(value) is Constants and not value.can_cache():
                # Of a function that Numba made from text, in no module: its constants are asked for
                # by compiled code, its globals by nobody.
                rebuild, (_, *rest) = value.__reduce__()
                return rebuild, ("builtins", *rest)
            return super().reducer_override(value)

    Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(tuple(kept))
    return buffer.getvalue()


def _loads(content: bytes, values: list[Any]) -> Kept:
    class Unpickler(pickle.Unpickler):
        def persistent_load(self, number: int) -> Any:
            return values[number]

    return Kept(*Unpickler(io.BytesIO(content)).load())


def _linked(kept: Kept, context: Any) -> Result:
    """A kernel for its callers."""
    library = Linked(context.codegen(), kept.described.qualname)
    library._final_module = library._shared_module = llvm.parse_bitcode(kept.code)
    library._finalize_final_module()
    return _entered(_result(kept, context, library))


def _callable(kept: Kept, context: Any) -> Result:
    """A function for Python."""
    library = context.codegen().create_library(kept.described.qualname)
    library.enable_object_caching()
    library._set_compiled_object(kept.code)
    library._finalize_final_module()
    library.codegen._engine._defined_symbols.add(kept.described.llvm_cpython_wrapper_name)
    result = _result(kept, context, library)
    entry = context.get_executable(library, kept.described, kept.environment)
    for environment in kept.environments:
        library.codegen.set_env(environment.env_name, environment)
    return result._replace(entry_point=entry)


def _result(kept: Kept, context: Any, library: Any) -> Result:
    for ready in kept.reload_init:
        ready()
    library._reload_init.update(kept.reload_init)
    facts: dict[str, Any] = dict.fromkeys(CompileResult._fields)
    facts |= {
        "target_context": context, "typing_context": context.typing_context, "library": library,
        "environment": kept.environment, "fndesc": kept.described, "signature": kept.signature,
        "objectmode": False, "lifted": (), "reload_init": kept.reload_init,
        "referenced_envs": kept.environments,
    }  # fmt: skip
    return CompileResult(**facts)
