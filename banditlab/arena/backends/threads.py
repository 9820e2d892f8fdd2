"""Threads of this process: compiled loops release Python's lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from banditlab.arena.backends.base import Backend
from banditlab.arena.backends.probe import chosen

if TYPE_CHECKING:
    from banditlab.arena.spec import Arena


class Threads(Backend):
    """The default."""


def make(arena: Arena, workers: int | str | None, address: str | None) -> Threads:
    """Threads; the number of cores by default."""
    return Threads(chosen(workers))
