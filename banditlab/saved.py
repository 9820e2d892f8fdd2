"""Saved agents: numbers in a file, read without running anything and without believing anything.

A saved agent is a ``.npz`` file: ``about``, a text in JSON (what the agent is: algorithm, hyper-
parameters, task, clock), and arrays (what it has learned, and its random streams). Nothing in it is
pickled. Reading never imports a file that it names, nor makes room for more than the agent that it
describes has: shapes and types are compared with those of a fresh agent before any entry is read.

A checksum over all of it tells a file that was damaged or edited. It is no signature: whoever can
write a file can write its checksum, and what a kernel does with numbers that were made up, it does.
So values are checked as well, as far as a fresh agent shows what they may be; above all the whole
numbers, with which kernels look things up where nothing stops them: see `check_state`.
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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from banditlab import migrations, registry
from banditlab.migrations import SCHEMA

OWN = ("schema", "name", "hyper", "given", "t", "checksum")  # facts of every agent
STREAMS = ("rng", "looker")  # arrays that are the states of generators
SIZES = ("n_arms", "n_contexts", "dim")
LARGEST_ABOUT = 1 << 24  # bytes
LARGEST_TASK = 10**8  # pairs of arms, contexts and features, unless the file itself is that large
LARGEST = 2**62  # of whole numbers

# What arrays of whole numbers in a state hold, by their names. Settled before the first round:
FIXED = (
    "task", "terms", "sizes", "pulls", "horizon", "budget", "dim", "share", "targets", "long",
    "supports", "repeats", "choose", "half", "facts", "actions", "kind", "stride",
)  # fmt: skip
# Arms, -1 for none:
ARMS = (
    "arm", "arms", "chosen", "last", "champion", "leader", "answer", "deck", "order",
    "turn", "active", "pulled", "basis", "items", "inside", "outside",
    "drawn", "queue", "block",
)  # fmt: skip
# How many of something, or which, by the state that holds it: the most that its other arrays have
# room for.
MOST: dict[str, Callable[[Any], Any]] = {
    "head": lambda state: state.arms.shape[-1] - 1,
    "rounds": lambda state: state.weights.size,  # of a kernel's matrix
    "rows": lambda state: state.weights.size,
    "phases": lambda state: len(state.released) - 1,
    "phase": lambda state: len(state.released),
    "round": lambda state: len(state.released),
    "pair": lambda state: max(0, state.inside.size * state.outside.size - 1),
    "planned": lambda state: state.alpha.shape[1] or state.alpha.shape[0],
    "place": lambda state: np.array(  # a fresh one meets its own batch, or the queue
        [
            a.size - 1
            for a in (state.drawn, state.drawn if state.place[1] else state.queue, state.queue)
        ]
    ),
    "succ": lambda state: state.V.shape[1] - 1,
    "kinds": lambda state: state.succ.shape[-1],
    "policy": lambda state: (state.Q if hasattr(state, "Q") else state.mean).shape[2] - 1,
    "nu": lambda state: state.cost.shape[2] - 1,
    "chosen": lambda state: state.impossible.size and len(state.loss) - 1,
}

# The facts and the arrays of a new agent, given the facts of a saved one.
Fresh = Callable[[dict[str, Any]], tuple[Mapping[str, Any], Mapping[str, np.ndarray]]]


def write(path: str | Path, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Save an agent to ``path``, all of it or nothing.

    ``about``: ``name`` and ``hyper``, which make the algorithm; ``given``, the face's arguments;
    ``t``, the clock; and what the face has beside these. ``arrays``: all that it has learned, and
    its streams, under the names of `STREAMS`. Raises ValueError for hyper-parameters that JSON
    cannot hold, and for those that name a file: it would have to be run for the agent to be read.
    """
    try:
        facts = _as_json({"schema": SCHEMA, **about})
    except (TypeError, ValueError, RecursionError):
        raise ValueError(f"hyper-parameters cannot be saved: {about['hyper']!r}") from None
    _check_hyper(facts["hyper"])
    facts["checksum"] = _checksum(facts, arrays)
    held = io.BytesIO()
    np.savez(held, about=np.array(json.dumps(facts)), **arrays)  # type: ignore[arg-type]
    _replace(_path(path), held.getbuffer())


def read(
    path: str | Path,
    fresh: Fresh,
    algorithm: str | None = None,
    sound: Callable[[Mapping[str, np.ndarray]], None] = lambda arrays: None,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `write` saved: the facts about an agent, and its arrays.

    ``fresh(about)`` makes the agent that ``about`` describes, and gives its facts but ``name`` and
    ``hyper``, and its arrays. ``about["name"]`` is then a name of the library's. An agent that was
    made from a file is read only if the caller hands that file over as ``algorithm``; then it is
    ``about["name"]``. ``sound(arrays)`` may raise ValueError for values that cannot be.

    Raises ValueError, in one line that names ``path``, for everything that is no saved agent.
    """
    path = _path(path)
    where = str(path)
    try:
        with _opened(path) as archive:
            entries = _entries(archive)
            stored = _stored(archive, entries)
            about = {key: value for key, value in stored.items() if key != "checksum"}
            about["name"] = _name(about["name"], algorithm)
            about = _checked(migrations.migrated(about), entries)
            facts, wanted = fresh(_as_json(about))
            _same_facts(_as_json(facts), about)
            older = {name for name in _new(stored) & wanted.keys() if name not in entries}
            odds = set(entries) ^ {"about", *wanted}
            for odd in sorted(odds - older - (_dropped(stored) - wanted.keys())):
                raise ValueError(f"array {odd} is {'missing' if odd in wanted else 'unknown'}")
            arrays = {
                name: like.copy() if name in older else _array(archive, entries[name], name, like)
                for name, like in wanted.items()
            }
        if "checksum" in stored and stored["checksum"] != _checksum(stored, arrays):
            raise ValueError("it was damaged or edited: its checksum does not fit")
        for name, like in wanted.items():
            _check_values(name, like, arrays[name])
        sound(arrays)
    except FileNotFoundError:
        raise ValueError(f"no such file: {where}") from None
    except ValueError as error:
        raise ValueError(f"{where}: no saved agent: {_one_line(error)}") from None
    except Exception as error:  # what ZIP files and strange hyper-parameters may lead to
        said = f"{type(error).__name__}: {_one_line(error)}"
        raise ValueError(f"{where}: no saved agent: {said}") from None
    return about, arrays


def _as_json(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the facts, as a file gives them back."""
    text = json.dumps(facts, default=lambda value: np.asarray(value).tolist())
    return dict(json.loads(text))


# --- the file ------------------------------------------------------------------------------------


def _path(path: str | Path) -> Path:
    """``path``, but no number: `open` would read that descriptor, standard input for one."""
    try:
        return Path(path)
    except TypeError:
        raise ValueError(f"path must be the path of a file, got {_short(path)}") from None


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
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no regular file")
        with zipfile.ZipFile(file) as archive:
            yield archive


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


def _stored(archive: zipfile.ZipFile, entries: dict[str, zipfile.ZipInfo]) -> dict[str, Any]:
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
    migrations.schema_of(found)
    _check_hyper(found["hyper"])
    return found


def _checked(about: dict[str, Any], entries: dict[str, zipfile.ZipInfo]) -> dict[str, Any]:
    """The facts of the present schema, each of its type and in its range."""
    if not isinstance(about["given"], dict):
        raise ValueError(f"given must be a mapping, got {_short(about['given'])}")
    size = sum(entry.file_size for entry in entries.values())
    _check_task(about, max(size, LARGEST_TASK))
    return about


def _new(stored: dict[str, Any]) -> set[str]:
    return migrations.NEW.get(stored["schema"], set())


def _dropped(stored: dict[str, Any]) -> set[str]:
    return migrations.DROPPED.get(stored["schema"], set())


# --- checks --------------------------------------------------------------------------------------


def _check_task(about: dict[str, Any], largest: int) -> None:
    """Refuse facts that are no plain data, and a task of more than ``largest`` pairs."""
    given = about["given"]
    for name, value in {**about, **given}.items():
        if name in given or name not in OWN:
            _check_plain(name, value)
    n_arms, n_contexts, dim = (_whole(name, given.get(name, 1), largest) for name in SIZES)
    shape = about.get("shape", ())
    pairs = {
        "n_contexts": n_arms * n_contexts,
        "dim": dim * max(n_arms, dim),
        "shape": math.prod(shape) if isinstance(shape, list) else 0,
    }
    for name, count in pairs.items():  # before anything of that size is made
        if count > largest:
            raise ValueError(f"{name} makes the task too large: {count} pairs")
    _whole("t", about["t"], LARGEST)
    if "left" in about:
        _whole("left", about["left"], LARGEST if given.get("budget") is None else given["budget"])


def _check_plain(name: str, value: Any) -> None:
    """Refuse all but nothing, texts, truth values, numbers in range, and lists of such."""
    for item in value if type(value) is list else [value]:
        number = type(item) in (int, float) and abs(item) <= LARGEST
        if not number and item is not None and type(item) not in (bool, str):
            raise ValueError(f"{name} must be a number, got {_short(item)}")


def _same_facts(facts: dict[str, Any], about: dict[str, Any]) -> None:
    """Refuse what the agent that was made of ``about`` does not say of itself."""
    found = {key: value for key, value in about.items() if key not in ("schema", "name", "hyper")}
    for key in sorted({*facts, *found}):
        one, two = (json.dumps(part.get(key), sort_keys=True) for part in (facts, found))
        if key not in facts or key not in found or one != two:
            raise ValueError(
                f"{key} is {_short(found.get(key))} where {_short(facts.get(key))} fits"
            )


def _whole(name: str, value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name} must be a whole number from 0 to {most}, got {_short(value)}")
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


def check_state(
    state: Any, found: Iterator[np.ndarray], n_arms: int, name: str = "", owner: Any = None
) -> None:
    """Refuse whole numbers that a state like the fresh ``state`` cannot hold.

    ``found``: its arrays, in the order of its fields. Their names say what the numbers are; of
    others only that none is negative where no fresh one is. ValueError, with the name of the field.
    """
    if not isinstance(state, np.ndarray):
        names = getattr(state, "_fields", (name,) * len(state))
        for field, value in zip(names, state, strict=True):
            check_state(value, found, n_arms, field, state)
        return
    array = next(found)
    if array.dtype.kind not in "iu" or array.size == 0:
        return
    if name in FIXED and not np.array_equal(array, state):
        raise ValueError(f"{name} must be {_short(state.tolist())}, got {_short(array.tolist())}")
    most: Any = n_arms - 1 if name in ARMS else LARGEST
    with suppress(AttributeError):  # an agent of one's own may call something else so
        most = MOST[name](owner) if name in MOST else most
    least = min(0, int(state.min()))
    if array.min() < least or (array > most).any():
        allowed = (
            f"{name} must hold whole numbers from {least} to {_short(np.asarray(most).tolist())}"
        )
        raise ValueError(f"{allowed}, got {_short(array.tolist())}")


def _checksum(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    facts = {key: value for key, value in about.items() if key != "checksum"}
    found = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        found.update(f"{name}{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return found.hexdigest()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]
