"""Compiled code, kept on disk by a hash of all that it depends on."""

from banditlab.compile.errors import KernelError
from banditlab.compile.pairs import NOT_KERNELS, Pair, compiled, missing, pair
from banditlab.compile.store import cache_info, clear_cache, under_way

__all__ = [
    "NOT_KERNELS",
    "KernelError",
    "Pair",
    "cache_info",
    "clear_cache",
    "compiled",
    "missing",
    "pair",
    "under_way",
]
