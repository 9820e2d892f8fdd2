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

from typing import Any, NamedTuple

import numpy as np
from numba import njit

# error_model="numpy": x/0 is inf, as in NumPy, and the check that would raise is not compiled in.
kernel = njit(nogil=True, error_model="numpy")
# A kernel that the loop takes in whole. A call costs a reference count for every array that it is
# handed (5 ns each, over 100 ns a round in the worst case), unless what it calls is taken in as
# well: inside, only kernel_inline and small kernels, and loops that may have no rounds instead of
# branches.
kernel_in_loop = njit(nogil=True, error_model="numpy", forceinline=True)
kernel_inline = njit(inline="always", nogil=True, error_model="numpy")


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
