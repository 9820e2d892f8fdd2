"""What is possible in a log, but hardly meant: said with numbers, so that a person can judge.

**Propensities.** Where arm a is played with probability p_i(a) in row i of a context, the sum of
1 / p_i over the rows that show a has the mean n, the number of rows of the context, and the mean of
1 / p over all rows of a log is the number of arms that can be played. Two tests ask whether a log's
propensities can have chosen its arms:

- per context and arm, the number of rows that show the arm against the binomial law of n draws with
  the harmonic mean of its logged propensities. Where propensities differ between rows of a pair (a
  rule that sees features, or one that learns) only too many rows can be told, and the sum of 1 / p
  must exceed n by its own estimated standard deviation, from a variance of sum (1 - p) / p^2, too;
- over the whole log, the mean of 1 / p against the number of arms that the log names, unless there
  may be others that chance has hidden.
"""

from __future__ import annotations

import numpy as np

from banditlab.data.log import Log
from banditlab.data.names import listed
from banditlab.data.transitions import Dataset

UNLIKELY = 1e-4  # probability of a false alarm in a log of sound propensities, by each test
SIGMAS = 4.0
SURE = 0.999  # a propensity above is one of 1
MANY_ALIKE = 5  # episodes of one length, from which on it is noted


def of_log(log: Log) -> list[str]:
    """Sentences about a log."""
    found = []
    if len(log.actions) == 1:
        found.append(f"the log shows one arm only, {log.actions[0]}: there is nothing to compare")
    elif log.n_contexts > 1:
        pairs = np.unique(log.context * len(log.actions) + log.action)
        arms = np.bincount(pairs // len(log.actions), minlength=log.n_contexts)
        alone = np.flatnonzero(arms == 1)
        if alone.size:
            names = listed([log.contexts[s] for s in alone])
            found.append(
                f"{alone.size:,} of {log.n_contexts:,} contexts show one arm only ({names}): "
                "there the log compares nothing"
            )
    if log.propensity is not None:
        found += _of_propensities(log, log.propensity)
    return found


def of_dataset(data: Dataset) -> list[str]:
    """Sentences about a log of transitions."""
    found = []
    if len(data.actions) == 1:
        found.append(f"the log shows one action only, {data.actions[0]}: nothing to compare")
    if data.episode is not None:
        found += _of_lengths(data)
    if data.propensity is not None:
        log = Log(
            data.action, data.reward, data.state, data.propensity,
            actions=data.actions, contexts=data.states,
        )  # fmt: skip
        found += _of_propensities(log, data.propensity, "state", "action")
    return found


def _of_lengths(data: Dataset) -> list[str]:
    """Time limits: ends that look like one, and cuts that are one."""
    starts = data.starts
    lengths = np.diff(np.append(starts, len(data)))
    longest = int(lengths.max())
    ends = data.terminated[starts + lengths - 1]
    alike = int(((lengths == longest) & ends).sum())
    if longest > 1 and alike >= MANY_ALIKE and alike >= starts.size / 5:
        which = "all" if alike == starts.size else f"{alike:,} of"
        return [
            f"{which} {starts.size:,} episodes end, terminated, after exactly {longest} steps, and "
            "none is longer: if that is a time limit, they were truncated, and what would have "
            "come then is learned as worth nothing"
        ]
    return []


def _of_propensities(
    log: Log, propensity: np.ndarray, place: str = "context", arm: str = "arm"
) -> list[str]:
    n_arms = len(log.actions)
    if propensity.min() >= SURE and 1 < n_arms and log.n_contexts * 2 > len(log):
        return [
            f"every propensity is 1, but {n_arms:,} {arm}s were played: if the {place} did not "
            "decide alone, propensities were not logged"
        ]
    keys, pair = np.unique(log.context * n_arms + log.action, return_inverse=True)
    pair = pair.reshape(-1)
    context, action = np.divmod(keys, n_arms)
    n = np.bincount(log.context, minlength=log.n_contexts)[context].astype(np.float64)
    seen = np.bincount(pair).astype(np.float64)
    total = np.bincount(pair, 1.0 / propensity)
    chance = np.clip(seen / total, 0.0, 1.0)
    p = _two_sided(seen, n, chance)
    suspect = p * keys.size < UNLIKELY
    if not _is_constant(pair, propensity, keys.size):
        spread = np.sqrt(np.bincount(pair, (1.0 - propensity) / propensity**2))
        suspect &= total - n > SIGMAS * spread
    wrong = np.flatnonzero(suspect)
    if wrong.size:
        k = wrong[np.argmin(p[wrong])]
        many = log.n_contexts > 1
        where = f" in {place} {log.contexts[context[k]]}" if many else ""
        rest = f"; so it is with {wrong.size:,} of {keys.size:,} pairs" if wrong.size > 1 else ""
        return [
            f"propensities that cannot be: {arm} {log.actions[action[k]]} was played in "
            f"{seen[k]:,.0f} of {n[k]:,.0f} rows{where}, where its propensity of {chance[k]:.3g} "
            f"lets one expect {n[k] * chance[k]:,.1f} (p {_small(p[k])}){rest}; estimates that "
            "weigh by them are not to be trusted"
        ]
    return _of_the_mean(log, 1.0 / propensity, arm)


def _is_constant(pair: np.ndarray, propensity: np.ndarray, pairs: int) -> bool:
    """Whether the rows of each pair have one propensity, but for rounding."""
    mean = np.bincount(pair, propensity, minlength=pairs) / np.bincount(pair, minlength=pairs)
    return bool((np.abs(propensity - mean[pair]) <= 1e-3 * mean[pair]).all())


def _of_the_mean(log: Log, inverse: np.ndarray, arm: str) -> list[str]:
    rows, mean, named = len(log), float(inverse.mean()), len(log.actions)
    error = float(inverse.std(ddof=1)) / rows**0.5 if rows > 1 else np.inf
    hidden = rows * np.log(min(1.0, named / mean))  # log probability that no other arm was drawn
    if mean - named <= SIGMAS * error or hidden > np.log(UNLIKELY):
        return []
    return [
        f"propensities that cannot be: the mean of 1 / propensity, {mean:.2f} with a standard "
        f"error of {error:.2g}, is the number of {arm}s that there are to choose from, but the log "
        f"names {named}; estimates that weigh by them are not to be trusted"
    ]


def _two_sided(seen: np.ndarray, n: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Twice the smaller tail of the binomial law, at most 1."""
    from scipy.special import betainc

    sure = chance >= 1.0
    inner = np.where(sure, 0.5, chance)
    at_least = betainc(np.maximum(seen, 1.0), n - seen + 1.0, inner)  # P(X >= seen), seen >= 1
    at_most = np.where(seen >= n, 1.0, betainc(np.maximum(n - seen, 1.0), seen + 1.0, 1.0 - inner))
    tails = np.minimum(1.0, 2.0 * np.minimum(at_least, at_most))
    return np.where(sure, np.where(seen >= n, 1.0, 0.0), tails)


def _small(p: float) -> str:
    return f"{p:.1g}" if p > 1e-9 else "below 1e-9"
