"""What planners share: scores into a rule, a log into parts, steps of value iteration."""

from __future__ import annotations

import math

import numpy as np

from banditlab import random
from banditlab.core import kernel


@kernel
def deploy(scores, n, legal, first, out):
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
def shuffled_rows(counts, rng):
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
def count_rows(rows, start, stop, out):
    """Overwrite ``out`` (S, A, K) with the counts of ``rows[start:stop]``."""
    S, A, K = out.shape
    for s in range(S):
        for a in range(A):
            for k in range(K):
                out[s, a, k] = 0.0
    for i in range(start, stop):
        cell = rows[i]
        out[cell // (A * K), cell // K % A, cell % K] += 1.0


@kernel
def range_ahead(model, left):
    """The least and the largest value of a state with ``left`` steps to go, with a finite horizon.

    0 is among the rewards, as an episode may end before.
    """
    low = max(model.v_min, left * min(model.r_min, 0.0))
    return low, min(model.v_max, left * max(model.r_max, 0.0))


@kernel
def count_pairs(counts, n):
    """Overwrite ``n`` (S, A) with the rows of each pair in ``counts`` (S, A, K)."""
    S, A, K = counts.shape
    for s in range(S):
        for a in range(A):
            n[s, a] = 0.0
            for k in range(K):
                n[s, a] += counts[s, a, k]


@kernel
def average(V):
    """Mean of ``V``."""
    total = 0.0
    for value in V:
        total += value
    return total / V.size


@kernel
def fill_values(model, q, V):
    """V = max_a Q, 0 where the episode is over; return the largest change."""
    change = 0.0
    for s in range(V.size):
        best = -np.inf
        for a in range(q.shape[1]):
            best = max(best, q[s, a])
        best = 0.0 if model.terminal[s] else best
        change = max(change, abs(best - V[s]))
        V[s] = best
    return change


@kernel
def fill_hoeffding(model, counts, n, h, low, V, L, q):
    """Q (S, A) of step h less Hoeffding's penalty span sqrt(L / n), with next values V.

    A pair without data leads to ``low``, the least of these, and has the least reward.
    """
    S, A, K = counts.shape
    span = model.v_max - model.v_min
    for s in range(S):
        for a in range(A):
            mean = 0.0
            income = 0.0
            for k in range(K):
                mean += counts[s, a, k] * V[model.succ[s, a, k]]
                income += counts[s, a, k] * model.reward[s, a, k]
            seen = n[s, a] > 0.0
            mean = mean / n[s, a] if seen else low
            r = model.r[h, s, a]
            if not model.known:
                r = income / n[s, a] if seen else model.r_min
            b = span * math.sqrt(L / max(n[s, a], 1.0))
            q[s, a] = r + model.gamma * mean - b if model.legal[s, a] else -np.inf


@kernel
def start_monotone(model, n, V, policy):
    """V = v_min and the most played action, from which the monotone steps begin."""
    even = np.zeros(n.shape[1])
    for s in range(V.size):
        V[s] = 0.0 if model.terminal[s] else model.v_min
        deploy(even, n[s], model.legal[s], False, policy[s])


@kernel
def step_monotone(model, n, q, V, policy):
    """Where the best Q exceeds V, replace both value and action; return the largest change."""
    change = 0.0
    for s in range(V.size):
        best = -np.inf
        for a in range(q.shape[1]):
            best = max(best, q[s, a])
        if best > V[s] and not model.terminal[s]:
            change = max(change, best - V[s])
            V[s] = best
            deploy(q[s], n[s], model.legal[s], False, policy[s])
    return change
