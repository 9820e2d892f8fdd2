"""All sets of s of d items, each once, in random order, without a list of them.

The sets are numbered 0, ..., N - 1, N = C(d, s) (the combinatorial number system: c_1 < ... < c_s
has the number sum_i C(c_i, i)). A keyed permutation of these numbers, a Feistel network on the next
power of 4 that is walked until it is below N again (Black & Rogaway 2002, "Ciphers with arbitrary
finite domains"), says which set comes t-th: nothing is remembered, and nothing comes twice.

Where N is 2^61 or more sets are drawn independently: that one comes again within a million draws
has a chance of one in two million.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from banditlab.core import kernel
from banditlab.random import below, mix, next_word

ROUNDS = 8
TOO_MANY = 1 << 61


class Order(NamedTuple):
    """A random order of all sets."""

    choose: np.ndarray  # (s + 1, d + 1) int64: C(c, i), at most TOO_MANY
    keys: np.ndarray  # (ROUNDS,) uint64, below 2^62
    half: np.ndarray  # (1,) int64: bits of half a number


@kernel
def new_order(n_items, size, rng):
    """An order of the sets of ``size`` of ``n_items`` items."""
    choose = np.zeros((size + 1, n_items + 1), np.int64)
    for c in range(n_items + 1):
        choose[0, c] = 1
        for i in range(1, min(size, c) + 1):
            total = choose[i - 1, c - 1] + choose[i, c - 1]
            choose[i, c] = min(total, TOO_MANY)
    keys = np.empty(ROUNDS, np.uint64)
    for r in range(ROUNDS):
        keys[r] = next_word(rng) >> np.uint64(2)
    half = 1
    while half < 31 and (1 << (2 * half)) < choose[size, n_items]:
        half += 1
    return Order(choose, keys, np.full(1, half))


@kernel
def scatter(keys, half, number):
    """The image of ``number`` under the permutation of 0, ..., 4^half - 1."""
    bits = np.uint64(half)
    mask = (np.uint64(1) << bits) - np.uint64(1)
    left, right = np.uint64(number) >> bits, np.uint64(number) & mask
    for r in range(ROUNDS):
        left, right = right, left ^ (mix(right ^ keys[r]) & mask)
    return np.int64((left << bits) | right)


@kernel
def fill_set(order, t, rng, out):
    """Fill ``out`` (size,) with the items of the ``t``-th set of the order; from N on, the last.

    The stream is read only where there are too many sets to number.
    """
    size, n_items = order.choose.shape[0] - 1, order.choose.shape[1] - 1
    total = order.choose[size, n_items]
    if total >= TOO_MANY:
        for i in range(size):  # Floyd's sampling: the i-th of the last items, or an earlier one
            last = n_items - size + i
            item = below(rng, last + 1)
            for j in range(i):
                item = last if out[j] == item else item
            out[i] = item
        return
    number = scatter(order.keys, order.half[0], min(t, total - 1))
    while number >= total:
        number = scatter(order.keys, order.half[0], number)
    c = n_items
    for i in range(size, 0, -1):
        while order.choose[i, c] > number:
            c -= 1
        number -= order.choose[i, c]
        out[i - 1] = c
