"""Where a worker plays that is not this process: the arena made anew, and one block at a time.

What comes here is the arena as data and, block by block, which rows of which curve; what goes back
is the rows. A worker that would play something else than who sent it there means, for its banditlab
or a file that the arena names is another, refuses to play.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab.arena.jobs import Job, Resolver, wanted
from banditlab.arena.rows import Part, play_part
from banditlab.arena.sealed import Damaged, pack_row, unpack_row
from banditlab.arena.spec import Arena
from banditlab.arena.store import digest, facts
from banditlab.compile import store as compiled
from banditlab.console import places


class Order(NamedTuple):
    """A block, as it is sent to a worker."""

    part: Part
    code: tuple[str, ...]  # of the pairs of its job
    row: bytes | None = None  # what is kept of its row under way
    pairs: Mapping[str, Any] = {}  # compiled code by name; a worker takes what its cache lacks


# What a worker tells while it plays: ("keep", row, bytes) or ("refuse", row, why).
Told = tuple[str, int, Any]


class Site:
    """The jobs of an arena where a worker is, each made when it is first asked for."""

    def __init__(self, arena: Arena, fetch: Callable[[Any], bytes] = bytes):
        self.arena, self.fetch = arena, fetch
        self._resolver = Resolver()
        self._wanted = wanted(arena)
        self._jobs: dict[int, Job] = {}

    def play(
        self, order: Order, progress: np.ndarray, tell: Callable[[Told], None]
    ) -> tuple[np.ndarray, float]:
        """The rows (rows, checkpoints, measures) of a block, and the CPU time in seconds."""
        part = order.part
        job = self._job(order)
        rows = np.zeros((part.rows, job.loop.checkpoints.size, len(job.loop.measures)))
        seconds = play_part(job, part, rows, progress, Afar(order.row, tell))  # type: ignore[arg-type]
        return rows, seconds

    def _job(self, order: Order) -> Job:
        number = order.part.owner["curve"]
        if number not in self._jobs:
            job = self._resolver.job(self.arena, *self._wanted[number])
            if tuple(made.code for made in job.play.pairs) != order.code:
                raise _another("code", order)
            if digest(facts(job)) != order.part.owner["data"]:
                raise _another("data", order)
            for made in job.play.pairs:
                content = order.pairs.get(made.name)
                if content is not None and compiled.read(made.name) is None:
                    compiled.write(made.name, self.fetch(content))
                made.function()
            self._jobs[number] = job
        return self._jobs[number]


def _another(what: str, order: Order) -> ValueError:
    owner = order.part.owner
    return ValueError(
        f"agent {owner['agent']!r} in panel {owner['panel']!r}: a worker has other {what} than who "
        "runs the arena: it needs the same banditlab and libraries, and the same files"
    )


class Afar:
    """The run store of a worker that is elsewhere: what is kept is sent there."""

    def __init__(self, row: bytes | None, tell: Callable[[Told], None]):
        self.row, self.tell = row, tell

    def fill(self, owner: Mapping[str, Any], row: int, arrays: Sequence[np.ndarray]) -> bool:
        """As `Store.fill`."""
        if self.row is None:
            return False
        try:
            unpack_row(self.row, owner, row, arrays)
        except Damaged as why:
            self.tell(("refuse", row, str(why)))
            return False
        return True

    def keep(self, owner: Mapping[str, Any], row: int, arrays: Sequence[np.ndarray]) -> None:
        """As `Store.keep`."""
        self.tell(("keep", row, pack_row(owner, row, arrays)))


def sendable(error: BaseException) -> BaseException:
    """An error as it can be raised elsewhere: it brings along where it came up.

    One that does not pickle becomes one that says the same.
    """
    where = places(error)
    try:
        again = pickle.loads(pickle.dumps(error))
        assert str(again) == str(error)
    except Exception:
        words = f"{type(error).__name__}: {' '.join(str(error).split())}"
        error = ValueError(words) if isinstance(error, ValueError) else RuntimeError(words)
    error.__traceback__ = error.__cause__ = error.__context__ = None
    error.places = where  # type: ignore[attr-defined]
    return error
