"""Compiled code, kept on disk by a hash of all that it depends on."""

from banditlab.compile.ahead import second_compiler
from banditlab.compile.errors import KernelError
from banditlab.compile.kernels import equipped
from banditlab.compile.pairs import NOT_KERNELS, Pair, compiled, pair
from banditlab.compile.store import cache_info, clear_cache
from banditlab.core import FromPython

__all__ = [
    "NOT_KERNELS",
    "KernelError",
    "Pair",
    "cache_info",
    "clear_cache",
    "compiled",
    "pair",
    "second_compiler",
]

FromPython.equipped = equipped  # type: ignore[assignment, method-assign]
