"""Saved agents: numbers in a file, read without running anything and without believing anything.

A saved agent is a ``.npz`` file: ``about``, a text in JSON (what the agent is: algorithm, hyper-
parameters, task, clock), and arrays (what it has learned, and its random streams). Nothing in it is
pickled. Reading never imports a file that it names, nor makes room for more than the agent that it
describes has: shapes and types are compared with those of a fresh agent before any entry is read.

A checksum over all of it tells a file that was damaged or edited. It is no signature: whoever can
write a file can write its checksum, and what a kernel does with numbers that were made up, it does.
So values are checked as well, as far as a fresh agent shows what they may be.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import secrets
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from banditlab import registry

SCHEMA = 3
ABOUT = ("schema", "name", "hyper", "task", "t", "left", "extra")  # and the checksum
TASK = ("n_arms", "n_contexts", "dim", "horizon", "budget", "price")
STREAMS = ("rng", "looker")  # come before the state in a file's arrays
LARGEST_ABOUT = 1 << 24  # bytes
LARGEST_TASK = 10**8  # pairs of arms, contexts and features, unless the file itself is that large
LARGEST = 2**62  # of whole numbers

Fresh = Callable[[dict[str, Any]], Sequence[np.ndarray]]


def write(path: str | Path, about: Mapping[str, Any], arrays: Sequence[np.ndarray]) -> None:
    """Save an agent to ``path``, all of it or nothing.

    ``about`` has the keys `ABOUT` but ``schema``; ``arrays`` are the two streams of `STREAMS`,
    (4,) uint64, and then the arrays of the state. Raises ValueError for hyper-parameters that JSON
    cannot hold, and for those that name a file: it would have to be run for the agent to be read.
    """
    facts = {"schema": SCHEMA, **about}
    try:
        text = json.dumps(facts, default=lambda value: np.asarray(value).tolist())
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"hyper-parameters cannot be saved: {about['hyper']!r}") from None
    facts = json.loads(text)
    _check_hyper(facts["hyper"])
    named = dict(zip(_names(len(arrays)), arrays, strict=True))
    facts["checksum"] = _checksum(facts, list(named.values()))
    held = io.BytesIO()
    np.savez(held, about=np.array(json.dumps(facts)), **named)  # type: ignore[arg-type]
    _replace(Path(path), held.getbuffer())


def read(
    path: str | Path, fresh: Fresh, algorithm: str | None = None
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What `write` saved: the facts about an agent, and its arrays.

    ``fresh(about)`` makes the agent that ``about`` describes and gives its arrays, in the order of
    `write`. ``about["name"]`` is then a name of the library's. An agent that was made from a file
    is read only if the caller names that file as ``algorithm``; ``about["name"]`` is that.

    Raises ValueError, in one line that names ``path``, for everything that is no saved agent.
    """
    where = str(path)
    try:
        with _opened(path) as archive:
            entries = _entries(archive)
            about = _about(archive, entries)
            stored = dict(about)
            checksum = about.pop("checksum")
            about["name"] = _name(about["name"], algorithm)
            wanted = list(fresh({**about, "task": dict(about["task"])}))
            names = _names(len(wanted))
            for odd in sorted(set(entries) ^ {"about", *names}):
                raise ValueError(f"array {odd} is {'missing' if odd in names else 'unknown'}")
            pairs = list(zip(names, wanted, strict=True))
            arrays = [_array(archive, entries[name], name, like) for name, like in pairs]
        if checksum != _checksum(stored, arrays):
            raise ValueError("it was damaged or edited: its checksum does not fit")
        for (name, like), array in zip(pairs, arrays, strict=True):
            _check_values(name, like, array)
    except FileNotFoundError:
        raise ValueError(f"no such file: {where}") from None
    except ValueError as error:
        raise ValueError(f"{where}: no saved agent: {_one_line(error)}") from None
    except Exception as error:  # what ZIP files and strange hyper-parameters may lead to
        said = f"{type(error).__name__}: {_one_line(error)}"
        raise ValueError(f"{where}: no saved agent: {said}") from None
    return about, arrays


# --- the file ------------------------------------------------------------------------------------


def _replace(path: Path, content: memoryview) -> None:
    """Put ``content`` at ``path``: written aside and renamed."""
    aside = path.with_name(f".{path.name[:100]}-{secrets.token_hex(4)}")
    try:
        if path.exists() and not path.is_file():  # a device would be replaced, too
            raise OSError(0, "it is no regular file")
        try:
            with open(aside, "xb") as file:
                file.write(content)
            os.replace(aside, path)
        except BaseException:
            with suppress(OSError):
                aside.unlink()
            raise
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror or error}") from error


@contextmanager
def _opened(path: str | Path) -> Iterator[zipfile.ZipFile]:
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        with zipfile.ZipFile(file) as archive:
            yield archive


def _names(count: int) -> list[str]:
    """What the arrays of an agent are called in its file."""
    return [*STREAMS, *(f"state{i}" for i in range(count - len(STREAMS)))]


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The entries by name; none is packed, so that none unpacks to more than the file's size."""
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if name in found or name == entry.filename:
            raise ValueError(f"entry {_short(entry.filename)} appears twice or is no array")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ValueError(f"entry {_short(entry.filename)} is packed")
        found[name] = entry
    return found


def _array(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, like: np.ndarray
) -> np.ndarray:
    """An entry, once its header says that it is like ``like``."""
    with archive.open(entry) as file:
        shape, fortran, dtype = _header(file)
        if shape != like.shape or dtype != like.dtype:
            raise ValueError(
                f"array {name} must have shape {like.shape} and type {like.dtype}, "
                f"got {str(shape)[:60]} and {str(dtype)[:60]}"
            )
        data = file.read(like.nbytes + 1)  # to the end: then ZIP has compared its checksum
    if len(data) != like.nbytes:
        raise ValueError(f"array {name} must have {like.nbytes} bytes")
    flat = np.frombuffer(data, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy(order="C")


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array has a header of another version")
    return np.lib.format.read_array_header_1_0(file)


def _about(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> dict[str, Any]:
    """The facts, each of its type and in its range."""
    if "about" not in entries:
        raise ValueError("array about is missing")
    with archive.open(entries["about"]) as file:
        shape, _, dtype = _header(file)
        if shape != () or dtype.kind != "U" or not 0 < dtype.itemsize <= LARGEST_ABOUT:
            raise ValueError(f"array about must be a text of at most {LARGEST_ABOUT:,} bytes")
        data = file.read(dtype.itemsize + 1)
    try:
        found = json.loads(str(np.frombuffer(data, dtype)[0]))
    except (ValueError, RecursionError):
        raise ValueError("array about must be a text in JSON") from None
    if not isinstance(found, dict):
        raise ValueError("array about must be an object in JSON")
    if found.get("schema") != SCHEMA:
        given = _short(found.get("schema"))
        raise ValueError(f"it has schema {given}, this version reads {SCHEMA}")
    _keys("about", found, (*ABOUT, "checksum"))
    _keys("task", found["task"], TASK)
    size = sum(entry.file_size for entry in entries.values())
    _check_about(found, max(size, LARGEST_TASK))
    return found


# --- checks --------------------------------------------------------------------------------------


def _keys(name: str, found: Any, wanted: Sequence[str]) -> None:
    if not isinstance(found, dict) or set(found) != set(wanted):
        raise ValueError(f"{name} must have the keys {', '.join(wanted)}")


def _check_about(about: dict[str, Any], largest: int) -> None:
    """Refuse facts of other types or out of range; the task may have ``largest`` pairs."""
    task = about["task"]
    n_arms = _whole("n_arms", task["n_arms"], 1, largest)
    dim = _whole("dim", task["dim"], 0, largest)
    pairs = {
        "n_contexts": n_arms * _whole("n_contexts", task["n_contexts"], 1, largest),
        "dim": dim * max(n_arms, dim),
    }
    for name, count in pairs.items():  # before anything of that size is made
        if count > largest:
            raise ValueError(f"{name} must be less for {n_arms} arms, got {task[name]}")
    _whole("horizon", task["horizon"], 0, LARGEST)
    budget = _whole("budget", task["budget"], -1, LARGEST)
    price = task["price"]
    if type(price) not in (int, float) or not 0 <= price < math.inf:
        raise ValueError(f"price must be a number of at least 0, got {_short(price)}")
    _whole("t", about["t"], 0, LARGEST)
    _whole("left", about["left"], 0, budget if budget >= 0 else LARGEST)
    if type(about["extra"]) is not bool:
        raise ValueError(f"extra must be true or false, got {_short(about['extra'])}")
    _check_hyper(about["hyper"])


def _whole(name: str, value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, got {_short(value)}")
    return value


def _check_hyper(hyper: Any) -> None:
    """Refuse what is no mapping, and the name of a file in it: it would be run."""
    if not isinstance(hyper, dict):
        raise ValueError(f"hyper must be a mapping, got {_short(hyper)}")
    waiting: list[Any] = [hyper]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and value.lower().endswith(".py"):
            raise ValueError(f"hyper-parameters must not name a file, got {_short(value)}")


def _name(name: Any, algorithm: str | None) -> str:
    """The algorithm to make: one of the library's, or the file that the caller hands over."""
    if not isinstance(name, str):
        raise ValueError(f"name must be a text, got {_short(name)}")
    if algorithm is None:
        if name.endswith(".py"):
            raise ValueError(
                f"it was made from the file {_short(name)}, which is not run unasked: "
                "hand that file over, Agent.load(path, algorithm=FILE)"
            )
        if name not in registry.names():
            raise ValueError(registry.unknown("agent", name[:60], registry.names()))
        return name
    if Path(algorithm).name != Path(name).name:
        raise ValueError(f"it was saved by {_short(name)}, not by {algorithm!r}")
    return str(algorithm)


def _check_values(name: str, like: np.ndarray, array: np.ndarray) -> None:
    if name in STREAMS and not array.any():
        raise ValueError(f"array {name} must not be 0 throughout: it is a generator's state")
    if array.dtype.kind == "b" and (array.view(np.uint8) > 1).any():
        raise ValueError(f"array {name} must hold truth values")
    if array.dtype.kind in "fc" and np.isnan(array).any() and not np.isnan(like).any():
        raise ValueError(f"array {name} must not hold nan")


def _checksum(about: dict[str, Any], arrays: Sequence[np.ndarray]) -> str:
    facts = {key: value for key, value in about.items() if key != "checksum"}
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]
