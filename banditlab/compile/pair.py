"""Compiled pairs: one machine-code function per (loop, algorithm, problem), kept on disk.

Numba can cache a function only if its callees are fixed when it is written down, and its own
cache does not notice an edited callee. So for each pair a small module is generated in which the
kernels are globals, in a folder of its own named by a hash of everything the machine code depends
on: the code of every function that the kernels lead to, the constants, defaults and NamedTuples
that this code mentions, the argument types, the processor, Numba's settings, and the versions of
Python, Numba and NumPy. An edit gives another folder, never a stale curve. What only Numba could
find, an ``@overload`` or ``@intrinsic`` of one's own, is beyond the hash: kernels have none.

A folder is built aside, sealed with a checksum and renamed, so no process ever reads a
half-written one; one that is damaged, or deleted while it is read, is built anew. The pairs used
least recently are deleted when there are more than MOST_PAIRS or they take more than MOST_MB.

``BANDITLAB_CACHE`` names the cache's folder; ``BANDITLAB_CACHE=off`` switches the cache off;
``BANDITLAB_CACHE_SIZE`` is its largest size in MB.
"""

from __future__ import annotations

import gc
import hashlib
import inspect
import itertools
import linecache
import os
import re
import secrets
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core.bytecode import FunctionIdentity
from numba.core.errors import NumbaError

from banditlab.core import OPTIONS, jit_disabled

MOST_PAIRS = 2000
MOST_MB = 1000
# Fields of an algorithm or a problem that Python reads, before the loop.
NOT_KERNELS = ("check", "most", "supply")
HOUR = 3600.0  # after which a folder aside was left by a process that was killed
SEAL = "sha256"  # the file that holds the checksum of a pair's other files

LAYOUT = 2  # of what is kept; another number leaves everything kept before unread

STANDARD_LIBRARY = Path(os.__file__).parent.resolve()
# Their versions are hashed instead of their code.
VERSIONED = [Path(str(package.__file__)).parent.resolve() for package in (np, numba)]
VERSIONS = (sys.version, *(sys.modules[x].__version__ for x in ("llvmlite", "numba", "numpy")))
# What of Numba's configuration, NUMBA_OPT and so on, changes the machine code.
SETTINGS = ("OPT", "BOUNDSCHECK", "LOOP_VECTORIZE", "SLP_VECTORIZE", "ENABLE_AVX")


def _number_functions_anew() -> None:
    """Give this process numbers for its functions that no other process gives.

    Numba makes a function's symbol from its name, its argument types and a number counted from 1
    in every process. Kernels that one builder makes differ in nothing but that number; if two
    processes gave it to different ones, a third that loads what both compiled would run the first
    of them for both, silently.
    """
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(60))


_number_functions_anew()
os.register_at_fork(after_in_child=_number_functions_anew)


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
        pass
    try:
        folder = Path(tempfile.gettempdir()) / f"banditlab-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        # Machine code is not read from a folder that another user may have prepared.
        return folder if folder.stat().st_uid == os.getuid() else None
    except OSError:
        return None


def cache_info() -> dict[str, Any]:
    """Folder, number of compiled pairs and their size in bytes."""
    folder = cache_folder()
    sizes = [_size(home) for home in folder.glob("pair-*")] if folder else []
    return {"folder": folder, "pairs": len(sizes), "bytes": sum(sizes)}


def clear_cache() -> None:
    """Delete every compiled pair."""
    folder = cache_folder()
    for home in folder.glob("pair-*") if folder else ():
        _discard(home)


def _files(home: Path) -> list[Path]:
    """What a pair consists of, less the seal."""
    return sorted([*home.glob("*.py"), *home.glob("__pycache__/*.nb?")])


def _size(home: Path) -> int:
    size = 0
    for file in _files(home):
        with suppress(OSError):  # deleted meanwhile
            size += file.stat().st_size
    return size


def _checksum(home: Path) -> str:
    digest = hashlib.sha256()
    for file in _files(home):
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _intact(home: Path) -> bool:
    """Whether a pair is there, and as it was written; if so it counts as used now."""
    try:
        if (home / SEAL).read_text() != _checksum(home):
            return False
        os.utime(home)
    except (OSError, UnicodeDecodeError):
        return False
    return True


def _discard(home: Path) -> None:
    """Delete a pair: at one blow for other processes, which build it anew if they were reading."""
    aside = home.with_name(f"aside-{uuid.uuid4().hex}")
    with suppress(OSError):
        home.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _most_bytes() -> float:
    setting = os.environ.get("BANDITLAB_CACHE_SIZE", "") or MOST_MB
    try:
        return float(setting) * 1e6
    except ValueError:
        raise ValueError(f"BANDITLAB_CACHE_SIZE must be a number of MB, got {setting!r}") from None


def _tidy(folder: Path) -> None:
    """Keep the cache within its bounds, by deleting the pairs used least recently."""
    used: list[tuple[float, Path]] = []
    for entry in (*folder.glob("pair-*"), *folder.glob("aside-*")):
        with suppress(OSError):
            used.append((entry.stat().st_mtime, entry))
    now, most, pairs, size = time.time(), _most_bytes(), 0, 0
    for when, entry in sorted(used, reverse=True):
        if entry.name.startswith("aside-"):
            if now - when > HOUR:
                shutil.rmtree(entry, ignore_errors=True)
            continue
        pairs, size = pairs + 1, size + _size(entry)
        if pairs > MOST_PAIRS or size > most:
            _discard(entry)


def _functions(values: Iterable[Any]) -> Iterator[FunctionType]:
    """The Python functions behind ``values``: functions, kernels, and those in their closures."""
    for value in values:
        function = getattr(value, "py_func", value)
        if isinstance(function, FunctionType):
            yield function
            yield from _functions(cell.cell_contents for cell in function.__closure__ or ())


@cache
def _is_versioned(file: str) -> bool:
    """Whether ``file`` belongs to Python or to a package whose version is hashed."""
    path = Path(file).resolve()
    if path.is_relative_to(STANDARD_LIBRARY) and "site-packages" not in path.parts:
        return True
    return any(path.is_relative_to(folder) for folder in VERSIONED)


@cache
def _code(code: CodeType) -> tuple[str, frozenset[str]]:
    """What ``code`` does, without file names and line numbers, and all names that it mentions."""
    facts = [
        repr((code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_argcount))
    ]
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner, more = _code(constant)
            facts.append(inner)
            names |= more
        else:
            facts.append(_shown(constant))
    return "".join(facts), frozenset(names)


def _shown(value: Any) -> str:
    """``value`` in full if it is data, else its name; the same in every process."""
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype}{value.shape}{value.tobytes().hex()}"
    if isinstance(value, tuple | list):
        return f"{type(value).__name__}[{','.join(map(_shown, value))}]"
    if isinstance(value, set | frozenset):
        return f"{sorted(map(_shown, value))}"
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
    _, names = _code(function.__code__)
    spaces = [function.__globals__]
    for i, space in enumerate(spaces):  # grows while it is walked
        for name in sorted(names & space.keys()):
            value = space[name]
            if not isinstance(value, ModuleType):
                found[f"{i}.{name}"] = value
            elif not _is_versioned(getattr(value, "__file__", None) or str(STANDARD_LIBRARY)):
                if not any(vars(value) is known for known in spaces):
                    spaces.append(vars(value))
    return found


def _reached(values: Iterable[Any]) -> dict[Any, str]:
    """The functions and classes that ``values`` lead to, and what each is by itself."""
    found: dict[Any, str] = {}
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, tuple):
            waiting += [type(value), *value]
        function = getattr(value, "py_func", value)
        if isinstance(function, FunctionType) and value not in found:
            if _is_versioned(function.__code__.co_filename):
                continue
            # njit's options: inlined or not, how it divides, ...
            facts = [(key, _shown(x)) for key, x in getattr(value, "targetoptions", {}).items()]
            mentioned = _mentioned(function)
            does, _ = _code(function.__code__)
        elif isinstance(value, type) and value not in found:
            facts, does = [], str(getattr(value, "_fields", ""))
            mentioned = dict(getattr(value, "_field_defaults", {}))
            if issubclass(value, Enum):
                mentioned = {member.name: member.value for member in value}
        else:
            continue
        facts += [(name, _shown(x)) for name, x in mentioned.items()]
        found[value] = f"{_shown(function)}{does}{sorted(facts)}"
        waiting += mentioned.values()
    return found


# What each function was when it was first seen. Numba compiles it with the globals of that time.
_first_seen: dict[Any, str] = {}


def _as_first_seen(found: dict[Any, str]) -> bool:
    """Whether no global that kernels use was changed while the program runs."""
    return all([_first_seen.setdefault(key, facts) == facts for key, facts in found.items()])


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
        options = {**OPTIONS, "no_cfunc_wrapper": True, "cache": keep}
        pair = numba.njit(**options)(module.pair)
        with _no_garbage_collection():
            pair.compile(types)
    except NumbaError as error:
        raise _explained(error, space) from error
    finally:
        config.CACHE_DIR = users_folder
    return pair


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """The compiler's objects live as long as it works: going through them takes a tenth of it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


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
    """A loop with its nouns, compiled when first needed; call it with the loop's arguments."""

    name: str  # a hash of everything the machine code depends on
    function: Callable[[], Callable[..., None]]  # compiles, or reads from the cache, or knows
    data: tuple[Any, ...]  # the nouns' own data, which come first

    def __call__(self, *args: Any) -> None:
        """Run."""
        self.function()(*self.data, *args)


_loaded: dict[str, Any] = {}
_lock = threading.RLock()  # the name of Numba's folder is changed while a pair is read


def pair(loop: Callable[..., Any], nouns: tuple[Any, ...], args: tuple[Any, ...]) -> Pair:
    """``loop(*nouns, *args)`` as a function of ``args``.

    ``nouns`` are NamedTuples of kernels and data such as an algorithm and a problem; ``args`` is
    an example of the call's arguments, read for its types only.
    """
    text, data, space = _source(loop, nouns)
    found = _reached((*space.values(), *data, *args))
    digest = hashlib.sha256("".join([text, *found.values()]).encode())
    if jit_disabled():
        plain = partial(_plainly, loop, nouns, len(data))
        return Pair(f"plain-{digest.hexdigest()[:32]}", lambda: plain, data)
    types = tuple(numba.typeof(value) for value in (*data, *args))
    target = numba.core.registry.cpu_target.target_context.codegen()
    settings = [getattr(numba.config, name, None) for name in SETTINGS]
    digest.update(repr((LAYOUT, str(types), VERSIONS, settings, target.magic_tuple())).encode())
    name = f"pair-{digest.hexdigest()[:32]}"
    keep = _as_first_seen(found)
    return Pair(name, partial(_machine_code, name, text, space, types, keep), data)


def compiled(loop: Callable[..., Any], nouns: tuple[Any, ...], args: tuple[Any, ...]) -> Pair:
    """`pair`, compiled at once."""
    made = pair(loop, nouns, args)
    made.function()
    return made


def missing(pairs: Iterable[Pair]) -> set[str]:
    """Names of the pairs that are still to be compiled for the cache; none if there is no cache."""
    folder = None if jit_disabled() else cache_folder()
    if folder is None:
        return set()
    return {p.name for p in pairs if p.name not in _loaded and not (folder / p.name).exists()}


def under_way(made: Pair) -> bool:
    """Whether a process is compiling the pair, or was when it was killed."""
    folder = cache_folder()
    return folder is not None and any(folder.glob(f"aside-{made.name}-*"))


def _plainly(loop: Callable[..., Any], nouns: tuple[Any, ...], n_data: int, *actual: Any) -> None:
    loop(*nouns, *actual[n_data:])


def _machine_code(
    name: str, text: str, space: dict[str, Any], types: tuple[Any, ...], keep: bool
) -> Callable[..., None]:
    with _lock:
        if name not in _loaded:
            _loaded[name] = _read_or_compile(name, text, space, types, keep)
        return _loaded[name]  # type: ignore[no-any-return]


def _read_or_compile(
    name: str, text: str, space: dict[str, Any], types: tuple[Any, ...], keep: bool
) -> Any:
    folder = cache_folder() if keep else None
    if folder is not None:
        home = folder / name
        if _intact(home):
            try:
                function = _load(home / "pair.py", name, text, space, types, keep=True)
                if function.stats.cache_hits:
                    return function
            except Exception:  # another process deletes it just now, or it is foreign
                pass
        _discard(home)
        try:
            return _build(home, text, space, types)
        except (OSError, RuntimeError):  # the folder vanishes (Numba's words), or the disk is full
            pass
    nowhere = Path(tempfile.gettempdir()) / "pair.py"
    return _load(nowhere, name, text, space, types, keep=False)


def _build(home: Path, text: str, space: dict[str, Any], types: tuple[Any, ...]) -> Any:
    """Compile a pair aside, move it to ``home``, and make room for it."""
    aside = Path(tempfile.mkdtemp(prefix=f"aside-{home.name}-", dir=home.parent))
    try:
        (aside / "pair.py").write_text(text)
        function = _load(aside / "pair.py", home.name, text, space, types, keep=True)
        (aside / SEAL).write_text(_checksum(aside))
        with suppress(OSError):  # another process was faster
            aside.rename(home)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    _tidy(home.parent)
    return function
