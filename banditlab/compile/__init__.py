"""Compiled code, kept on disk by a hash of all that it depends on."""

from banditlab.compile.ahead import second_compiler
from banditlab.compile.errors import KernelError
from banditlab.compile.kernels import warm
from banditlab.compile.pairs import NOT_KERNELS, Pair, compiled, pair
from banditlab.compile.store import cache_info, clear_cache

__all__ = [
    "NOT_KERNELS",
    "KernelError",
    "Pair",
    "cache_info",
    "clear_cache",
    "compiled",
    "pair",
    "second_compiler",
    "warm",
]
