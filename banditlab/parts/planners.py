"""What planners share: turning scores into a rule, and cutting a log into parts."""

from __future__ import annotations

import numpy as np

from banditlab import random
from banditlab.core import kernel


@kernel
def deploy(scores, n, legal, first, out):  # type: ignore[no-untyped-def]
    """Turn the scores of one state's actions into a rule.

    Of the legal actions with the largest score the one with the most data, and even odds among
    those that tie in this too; or, with ``first``, simply the first of the largest score.
    """
    best = -np.inf
    most = -1.0
    for a in range(out.size):
        if legal[a] and scores[a] > best:
            best = scores[a]
            most = -1.0
        if legal[a] and scores[a] == best and n[a] > most:
            most = n[a]
    ties = 0.0
    for a in range(out.size):
        won = legal[a] and scores[a] == best and (n[a] == most or first)
        won = won and (not first or ties == 0.0)
        out[a] = 1.0 if won else 0.0
        ties += out[a]
    for a in range(out.size):
        out[a] /= ties


@kernel
def shuffled_rows(counts, rng):  # type: ignore[no-untyped-def]
    """The rows behind ``counts`` (S, A, K) in random order, each as its place in the raveled array.

    Cutting this into pieces splits a log at random, as an algorithm with sample splitting does.
    """
    flat = counts.ravel()
    total = 0
    for i in range(flat.size):
        total += int(flat[i])
    rows = np.empty(total, np.int64)
    at = 0
    for i in range(flat.size):
        for _ in range(int(flat[i])):
            rows[at] = i
            at += 1
    random.shuffle(rng, rows)
    return rows


@kernel
def count_rows(rows, start, stop, out):  # type: ignore[no-untyped-def]
    """Overwrite ``out`` (S, A, K) with the counts of ``rows[start:stop]``."""
    S, A, K = out.shape
    for s in range(S):
        for a in range(A):
            for k in range(K):
                out[s, a, k] = 0.0
    for i in range(start, stop):
        cell = rows[i]
        out[cell // (A * K), cell // K % A, cell % K] += 1.0
