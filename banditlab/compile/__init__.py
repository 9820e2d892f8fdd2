"""Compiled pairs, kept on disk by a hash of all that their machine code depends on."""

from banditlab.compile.pair import (
    NOT_KERNELS,
    KernelError,
    Pair,
    cache_info,
    clear_cache,
    compiled,
    missing,
    pair,
    under_way,
)

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
