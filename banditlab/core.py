"""What every kernel of banditlab shares: the two decorators, and what an algorithm may know.

A *kernel* is a function that runs compiled inside the arena's loops and, with
``NUMBA_DISABLE_JIT=1``, unchanged as plain Python with the same bits. The rules for kernels:

1. State is a NamedTuple of arrays; a number that changes is an array of length 1. ``update``
   writes in place. ``act`` carries nothing forward, so asking twice with the same stream gives
   the same arm.
2. Draw only from the stream handed in (:mod:`banditlab.random`).
3. Arithmetic stays inside the vocabulary of :mod:`banditlab.numeric`, so that the compiled and
   the plain run agree bit for bit.
4. Factories validate and cast, in Python; kernels do not check.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self

import numba
import numpy as np
from numba.core.registry import CPUDispatcher

# error_model="numpy": x/0 is inf, as in NumPy, and the check that would raise is not compiled in.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


class FromPython(CPUDispatcher):  # type: ignore[misc]
    """A function that is compiled at its first call, or found on disk."""

    def equipped(self) -> AbstractContextManager[None]:
        """Nothing here; banditlab.compile puts in this place what finds and keeps compiled code."""
        return nullcontext()

    def compile(self, sig: Any) -> Any:
        """The entry point for arguments of these types."""
        with self.equipped():
            return super().compile(sig)


class Kernel(FromPython):
    """A kernel as other kernels see it: compiled without a way in for Python.

    The way in, which unpacks every array of every tuple, takes a sixth of the time to compile and
    few kernels need it; those that Python calls are compiled a second time.
    """

    @cached_property
    def from_python(self) -> FromPython:
        """The same function for callers in Python."""
        options = {**OPTIONS, "nopython": True, "no_cfunc_wrapper": True}
        return FromPython(self.py_func, targetoptions=options)

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call it from Python."""
        return self.from_python(*args, **named)


def jit_disabled() -> bool:
    """Whether kernels run as plain Python (NUMBA_DISABLE_JIT=1)."""
    config: Any = numba.config
    return bool(config.DISABLE_JIT)


def _decorator(text: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    bare = {"nopython": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        if jit_disabled():
            return function
        return Kernel(function, targetoptions={**OPTIONS, **bare, **options})

    decorate.__doc__ = text
    return decorate


kernel = _decorator("Mark a function as a kernel, compiled in nopython mode when it is first used.")
# A call costs a reference count for every array that it is handed (5 ns each, over 100 ns a round
# in the worst case), unless what it calls is taken in as well: inside, only kernel_inline and small
# kernels, and loops that may have no rounds instead of branches.
kernel_in_loop = _decorator("A kernel that the loop takes in whole.", forceinline=True)
# It costs the compiler more than a call does: arithmetic on numbers is better off in the loop.
kernel_inline = _decorator(
    "A kernel whose text the caller takes in, for those that are handed functions or arrays.",
    inline="always",
)


class Algorithm(Protocol):
    """What every algorithm is, whichever protocol it speaks: a NamedTuple of kernels and these."""

    @property
    def params(self) -> Any:
        """NamedTuple of hyper-parameters; the factory's arguments carry the same names."""

    @property
    def rewards(self) -> tuple[float, float]:
        """The range of rewards that it accepts."""

    def _replace(self, **fields: Any) -> Self: ...


class Task(NamedTuple):
    """What an algorithm may know before the first round."""

    n_arms: int
    n_contexts: int = 1  # 1 when there are none
    dim: int = 0  # number of features per arm; 0 when there are none
    horizon: int = 0  # number of rounds; 0 when unknown
    budget: int = -1  # of observations, where they are counted; -1: any number
    price: float = 1.0  # of switching arms, where that costs


@kernel_inline
def context(n_contexts: int, x: np.ndarray) -> Any:
    """The context that ``x`` shows: ``x`` is ``[[s]]`` when there are several, else it is 0."""
    # Read before the choice: a read inside a branch costs 60 ns a round in reference counts.
    shown = x[0, 0]
    return int(shown) if n_contexts > 1 else 0


@kernel_inline
def features(x: np.ndarray, arm: int) -> Any:
    """The feature row of ``arm``: ``x`` has a row per arm, or one row that all arms share."""
    return x[arm] if x.shape[0] > 1 else x[0]
