"""Compiled pairs: one machine-code function per (loop, algorithm, problem), kept on disk.

Numba can cache a function only if its callees are fixed when it is written down, and its own
cache does not notice an edited callee. So for each pair a small module is generated in which the
kernels are globals, in a folder of its own named by a hash of everything the machine code depends
on: the code of every kernel and of the modules they use, the argument types, the processor, and
the versions of Python, Numba and NumPy. An edit gives another folder, never a stale curve. A
folder is built aside and renamed, so no process ever reads a half-written one, and one that fails
to load is deleted and built anew.

``BANDITLAB_CACHE`` names the cache's folder; ``BANDITLAB_CACHE=off`` switches the cache off.
"""

from __future__ import annotations

import hashlib
import inspect
import linecache
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.errors import NumbaError

PACKAGE = Path(__file__).parent
STANDARD_LIBRARY = Path(os.__file__).parent.resolve()


def jit_disabled() -> bool:
    """Whether kernels run as plain Python (NUMBA_DISABLE_JIT=1)."""
    config: Any = numba.config
    return bool(config.DISABLE_JIT)


def cache_folder() -> Path | None:
    """Where compiled pairs are kept; None when the cache is switched off."""
    setting = os.environ.get("BANDITLAB_CACHE", "")
    if setting.lower() in ("off", "0"):
        return None
    home = os.environ.get("XDG_CACHE_HOME", "") or str(Path.home() / ".cache")
    folder = Path(setting or Path(home) / "banditlab")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:  # a read-only home
        folder = Path(tempfile.gettempdir()) / f"banditlab-{os.getuid()}"
        folder.mkdir(exist_ok=True)
        return folder


def cache_info() -> dict[str, Any]:
    """Folder, number of compiled pairs and their size in bytes."""
    folder = cache_folder()
    files = [f for f in folder.rglob("*") if f.is_file()] if folder else []
    pairs = [f for f in folder.glob("pair-*")] if folder else []
    return {"folder": folder, "pairs": len(pairs), "bytes": sum(f.stat().st_size for f in files)}


def clear_cache() -> None:
    """Delete every compiled pair."""
    folder = cache_folder()
    for entry in folder.glob("pair-*") if folder else ():
        shutil.rmtree(entry, ignore_errors=True)


def _functions(values: Iterable[Any]) -> Iterator[FunctionType]:
    """The Python functions behind ``values``: functions, kernels, and those in their closures."""
    for value in values:
        function = getattr(value, "py_func", value)
        if isinstance(function, FunctionType):
            yield function
            yield from _functions(cell.cell_contents for cell in function.__closure__ or ())


def _modules(functions: Iterable[FunctionType]) -> dict[str, ModuleType]:
    """The modules that define ``functions`` and, over and over, what those modules use.

    The standard library and installed packages are left out: their versions are hashed instead.
    """
    found: dict[str, ModuleType] = {}
    waiting = {function.__module__ for function in functions}
    while waiting:
        name = waiting.pop()
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if module is None or file is None or name in found:
            continue
        path = Path(file).resolve()
        installed = "site-packages" in path.parts and not path.is_relative_to(PACKAGE)
        if installed or path.is_relative_to(STANDARD_LIBRARY):
            continue
        found[name] = module
        for value in vars(module).values():
            owner = value.__name__ if isinstance(value, ModuleType) else None
            waiting.add(str(owner or getattr(value, "__module__", "")))
    return found


def _facts(code: CodeType) -> Iterator[bytes]:
    """What ``code`` does, without file names and line numbers."""
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, code.co_freevars)).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _facts(constant)
        else:
            yield repr(constant).encode()


def _is_plain(value: Any) -> bool:
    """Whether ``repr`` shows the whole value, the same in every process."""
    if isinstance(value, tuple):
        return all(_is_plain(item) for item in value)
    return isinstance(value, bool | int | float | str | bytes)


def fingerprint(kernels: Iterable[Any]) -> bytes:
    """Hash of all that the machine code of ``kernels`` depends on in Python.

    It is taken from the code as loaded, not from the files, which may have been edited since.
    """
    functions = list(_functions(kernels))
    digest = hashlib.sha256()
    for function in functions:
        digest.update(f"{function.__module__}.{function.__qualname__};".encode())
    for name, module in sorted(_modules(functions).items()):
        digest.update(name.encode())
        for key, value in sorted(vars(module).items(), key=itemgetter(0)):
            if _is_plain(value) and key[:2] != "__":
                digest.update(f"{key}={value!r}".encode())
            elif isinstance(value, np.ndarray | np.generic):
                digest.update(key.encode() + value.tobytes())
            elif hasattr(value, "_fields"):
                digest.update(f"{key}:{value._fields}".encode())
            for function in _functions([value]):
                if function.__module__ == name:
                    for fact in _facts(function.__code__):
                        digest.update(fact)
    return digest.digest()


def _holds_kernels(value: Any) -> bool:
    return isinstance(value, tuple) and any(callable(item) for item in value)


def _source(loop: Callable[..., Any], nouns: tuple[Any, ...]) -> tuple[str, tuple[Any, ...], dict]:
    """Text of the pair module, the data among the nouns' fields, and the module's globals."""
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
            if callable(value):
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


def _load(
    path: Path, name: str, text: str, space: dict[str, Any], types: tuple[Any, ...], keep: bool
) -> Any:
    """Compile, or read from beside ``path``, the one signature of a pair module."""
    module = ModuleType(name.replace("-", "_"))  # Numba asks for it by name when it loads a file
    sys.modules[module.__name__] = module
    vars(module).update(space, __file__=str(path))
    exec(compile(text, str(path), "exec"), vars(module))
    config: Any = numba.config
    users_folder = config.CACHE_DIR
    config.CACHE_DIR = ""  # the pair lives beside its own source, not in the user's folder
    try:
        pair = numba.njit(nogil=True, error_model="numpy", cache=keep)(module.pair)
        pair.compile(types)
    except NumbaError as error:
        raise _explained(error, space) from error
    finally:
        config.CACHE_DIR = users_folder
    return pair


class KernelError(ValueError):
    """A kernel does not compile: file, line and reason in one line."""


# Lines of Numba's report that say where it was, not what is wrong.
CHATTER = ("Failed in", "- Resolution failure", "During:")


def _explained(error: NumbaError, space: dict[str, Any]) -> KernelError:
    """Numba's report, thirty lines and more, as the one line that its reader looks for."""
    lines = [x for x in map(str.strip, str(error).splitlines()) if x and not x.startswith(CHATTER)]
    reason = lines[0] if lines else type(error).__name__
    if reason.endswith(":") and len(lines) > 1:  # what was called stands on the next line
        reason = f"{reason} {lines[1].removeprefix('>>> ')}"
    reason = re.sub(r"Function\(<function (\w+) at \w+>\)", r"\1", reason)
    place = re.search(r'File "([^"]+)", line (\d+)', str(error))
    if place is None:
        return KernelError(reason)
    file, line = place[1], int(place[2])
    called = re.search(r"\b(?:algorithm|problem)\.(\w+)\(", linecache.getline(file, line))
    if "protocols" in file and called:  # the loop calls a kernel that could not be made
        for kernel in (space.get(f"{called[1]}{i}") for i in range(2)):
            function = getattr(kernel, "py_func", None)
            if function is not None:
                file, line = function.__code__.co_filename, _line_of(function, reason)
                break
        if "Cannot bind" in reason:
            given = inspect.signature(function) if function else "?"
            reason = f"{called[1]}{given} does not take the arguments that the protocol gives it"
    return KernelError(f"{Path(file).name}, line {line}: {reason}")


def _line_of(function: FunctionType, reason: str) -> int:
    """The line of ``function`` that uses the name that ``reason`` complains of, else its first."""
    first = function.__code__.co_firstlineno
    name = re.search(r"name '(\w+)'", reason)
    source = inspect.getsource(function).splitlines()
    for i, text in enumerate(source):
        if name and re.search(rf"\b{name[1]}\b", text):
            return first + i
    return first


class Pair(NamedTuple):
    """A compiled pair: call it with the loop's arguments after the nouns."""

    name: str  # a hash of everything the machine code depends on
    function: Callable[..., None]
    data: tuple[Any, ...]  # the nouns' own data, which come first

    def __call__(self, *args: Any) -> None:
        """Run."""
        self.function(*self.data, *args)


_loaded: dict[str, Any] = {}


def compiled(loop: Callable[..., Any], nouns: tuple[Any, ...], args: tuple[Any, ...]) -> Pair:
    """``loop(*nouns, *args)`` as one compiled function of ``args``.

    ``nouns`` are NamedTuples of kernels and data such as an algorithm and a problem; ``args`` is
    an example of the call's arguments, read for its types only.
    """
    text, data, space = _source(loop, nouns)
    if jit_disabled():
        plain = hashlib.sha256(fingerprint(space.values()) + text.encode()).hexdigest()[:32]
        return Pair(f"plain-{plain}", lambda *actual: loop(*nouns, *actual[len(data) :]), data)
    types = tuple(numba.typeof(value) for value in (*data, *args))
    digest = hashlib.sha256(fingerprint(space.values()))
    for fact in (text, str(types), numba.__version__, np.__version__, sys.version):
        digest.update(fact.encode())
    target = numba.core.registry.cpu_target.target_context.codegen()
    digest.update(repr(target.magic_tuple()).encode())
    name = f"pair-{digest.hexdigest()[:32]}"
    if name not in _loaded:
        _loaded[name] = _compile(name, text, space, types)
    return Pair(name, _loaded[name], data)


def _compile(name: str, text: str, space: dict[str, Any], types: tuple[Any, ...]) -> Any:
    folder = cache_folder()
    if folder is None:
        return _load(Path(tempfile.gettempdir()) / "pair.py", name, text, space, types, keep=False)
    home = folder / name
    if home.exists():
        try:
            return _load(home / "pair.py", name, text, space, types, keep=True)
        except Exception:  # truncated or foreign files fail in many ways; all are cured alike
            shutil.rmtree(home, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix="aside-", dir=folder))
    try:
        (aside / "pair.py").write_text(text)
        pair = _load(aside / "pair.py", name, text, space, types, keep=True)
        try:
            aside.rename(home)
        except OSError:  # another process was faster
            pass
        return pair
    finally:
        shutil.rmtree(aside, ignore_errors=True)
