"""A black-box audit of differential privacy: a lower bound on epsilon that holds with confidence.

A mechanism run on two neighbouring tables gives two laws of transcripts. If it is epsilon-private,
no event is more than e^epsilon times as likely under one as under the other. The audit looks for an
event in one set of runs, counts it in another, and bounds both probabilities by
Clopper and Pearson (1934)::

    epsilon >= ln((lower(k1, runs) - delta) / upper(k0, runs))   with probability at least 1 - alpha

It can refute a claim, never prove one (Jagielski, Ullman & Oprea 2020; Ding, Wang, Wang, Zhang &
Kifer 2018). And it sees only what it is shown: a decision alone hides faults that the released
means betray. Hence a transcript has parts, each is audited by itself, and the report names them.

>>> import numpy as np
>>> from banditlab.privacy import Transcript, audit
>>> def noisy_sum(table, rng):  # claims epsilon = 1; its noise is half of what that takes
...     total = table[0].sum() + rng.laplace(scale=0.5)
...     return Transcript(means=[total], output=int(total > 4.5))
>>> report = audit(noisy_sum, np.zeros((1, 9)), (0, 0, 1.0), epsilon=1.0, runs=2000, seed=1)
>>> report.passed
False
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from banditlab import random, registry
from banditlab.compile import compiled
from banditlab.core import Task, kernel_inline
from banditlab.protocols import identify
from banditlab.protocols.identify import Identify, advance, begin
from banditlab.validate import between, inside, integer, positive

QUANTILES = 40  # thresholds tried for each released number
CONJUNCTS = 3  # conditions that an event may consist of
KEPT = 100  # conditions that are tried together, the best of each direction
STARTS = 12  # of them are narrowed


class Transcript(NamedTuple):
    """All that a mechanism shows the world in one run."""

    pulls: Any = ()  # integers, as many in every run
    means: Any = ()  # numbers it releases, as many in every run; nan where one was not released
    output: int = 0  # what it decides


class Finding(NamedTuple):
    """The event found for one part of the transcript, and what it says."""

    part: str  # "output", "pulls" or "means"
    event: str  # in words
    likelier: str  # the table on which it is: "table" or "neighbour"
    counts: tuple[int, int]  # how often there, and on the other table
    epsilon: float  # lower bound; 0 when the event says nothing


class Audit(NamedTuple):
    """What :func:`audit` found. ``str`` gives a few lines to read."""

    claimed: float  # epsilon
    epsilon: float  # the largest lower bound over the parts
    alpha: float  # probability that it errs
    runs: int  # on each table, for the count alone
    findings: tuple[Finding, ...]  # one for each part that the transcripts have

    @property
    def passed(self) -> bool:
        """Whether the claim stands: no part refutes it."""
        return self.epsilon <= self.claimed

    def __str__(self) -> str:
        """The report in words."""
        verdict = "stands" if self.passed else "is refuted"
        lines = [
            f"epsilon = {self.claimed:g} {verdict}: at least {self.epsilon:.3f} "
            f"(confidence {1 - self.alpha:.4g}, {self.runs} runs on each table)"
        ]
        for found in self.findings:
            lines.append(
                f"  {found.part}: at least {found.epsilon:.3f}, from {found.event}: "
                f"{found.counts[0]} times on the {found.likelier}, {found.counts[1]} on the other"
            )
        seen = [found.part for found in self.findings]
        unseen = [part for part in Transcript._fields if part not in seen]
        if unseen:
            lines.append(f"  not audited, absent or always the same: {', '.join(unseen)}")
        return "\n".join(lines)


class _Runs(NamedTuple):
    """Transcripts of many runs, a row each."""

    pulls: np.ndarray  # (runs, ...) int64
    means: np.ndarray  # (runs, ...) float64
    output: np.ndarray  # (runs,) int64


class _Condition(NamedTuple):
    """One condition on a transcript."""

    name: str
    holds: Callable[[_Runs], np.ndarray]  # (runs,) bool


def audit(
    mechanism: Any,
    table: Any,
    neighbour: tuple[int, int, float],
    epsilon: float,
    runs: int = 100_000,
    *,
    seed: int = 0,
    alpha: float = 0.01,
    delta: float = 0.0,
    horizon: int | None = None,
) -> Audit:
    """Try to refute that ``mechanism`` is (``epsilon``, ``delta``)-differentially private.

    Parameters
    ----------
    mechanism
        A function ``(table, rng) -> Transcript`` with ``rng`` a NumPy generator of its own for
        each run; or an algorithm of protocol ``identify`` (or its name, for its default
        hyper-parameters), which then runs as it does in the arena.
    table
        Rewards in [0, 1], (n_arms, n): row i holds the rewards of arm i in the order of its pulls.
    neighbour
        ``(arm, pull, value)``: the one reward that differs in the neighbouring table.
    epsilon
        The claim, above 0.
    runs
        Runs on each table, at least 100, once to look for events and once more to count them.
    seed
        The two halves never share a stream.
    alpha
        Probability that the bound errs, over all parts together.
    delta
        The claim's second part, in [0, 1); 0 for pure privacy.
    horizon
        Budget of an algorithm; by default all rewards of the table.

    Raises ValueError, in one line, for whatever is out of range.
    """
    epsilon = positive("epsilon", epsilon)
    runs = integer("runs", runs, 100)
    alpha = inside("alpha", alpha, 0.0, 1.0)
    delta = between("delta", delta, 0.0, 1.0)
    if delta == 1.0:
        raise ValueError("delta must be below 1, which promises nothing")
    ours = np.array(table, dtype=np.float64)
    if ours.ndim != 2 or not ((ours >= 0.0) & (ours <= 1.0)).all():
        raise ValueError("table must hold rewards in [0, 1], a row for each arm")
    theirs = changed(ours, *neighbour)
    if isinstance(mechanism, str):
        mechanism = registry.make(mechanism)
    budget = integer("horizon", ours.size if horizon is None else horizon, 1)

    def play(rewards: np.ndarray, which: int) -> _Runs:
        if identify.PROTOCOL.speaks(mechanism):
            return _played(mechanism, rewards, budget, runs, [seed, which])
        return _called(mechanism, rewards, runs, [seed, which])

    training = (play(ours, 0), play(theirs, 1))
    parts = [part for part in ("output", "pulls", "means") if _shown(training, part)]
    if not parts:
        raise ValueError("mechanism gives the same empty transcript in every run")
    events = [_searched(training, part, alpha / (2 * len(parts)), delta) for part in parts]
    fresh = (play(ours, 2), play(theirs, 3))
    findings = []
    for part, (name, holds, flipped) in zip(parts, events, strict=True):
        hits = [int(holds(run).sum()) for run in fresh]
        counts = (hits[1], hits[0]) if flipped else (hits[0], hits[1])
        bound = max(
            0.0, float(_bounds(counts[0], counts[1], runs, alpha / (2 * len(parts)), delta))
        )
        where = "neighbour" if flipped else "table"
        findings.append(Finding(part, name, where, counts, bound))
    most = max(found.epsilon for found in findings)
    return Audit(epsilon, most, alpha, runs, tuple(findings))


def changed(table: np.ndarray, arm: int, pull: int, value: float) -> np.ndarray:
    """The neighbouring table in which one reward is ``value``; ValueError if that is no reward."""
    n_arms, n = table.shape
    if not (0 <= arm < n_arms and 0 <= pull < n):
        raise ValueError(
            f"neighbour must name an arm 0 to {n_arms - 1} and a pull 0 to {n - 1}, "
            f"got {arm!r} and {pull!r}"
        )
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"neighbour must put a reward in [0, 1], got {value!r}")
    result = table.copy()
    result[arm, pull] = value
    return result


def _bounds(k1: Any, k0: Any, runs: int, tail: float, delta: float) -> Any:
    """ln((lower(k1) - delta) / upper(k0)), each bound one-sided at level ``tail``."""
    from banditlab.statistics import clopper_pearson

    lower, _ = clopper_pearson(k1, runs, 1.0 - 2.0 * tail)
    _, upper = clopper_pearson(k0, runs, 1.0 - 2.0 * tail)
    with np.errstate(divide="ignore"):
        return np.log(np.maximum(lower - delta, 0.0) / upper)


def _shown(runs: tuple[_Runs, _Runs], part: str) -> bool:
    """Whether there is anything to see in this part."""
    both = np.concatenate([getattr(run, part).reshape(len(run.output), -1) for run in runs])
    if both.shape[1] == 0:
        return False
    if part == "means":
        return bool((~np.isnan(both)).any())
    return bool((both != both[0]).any())


def _conditions(both: _Runs, part: str) -> list[_Condition]:
    """Single conditions on one part, from what occurs in the training runs."""
    if part == "output":
        return [
            _Condition(f"output = {k}", lambda run, k=k: run.output == k)  # type: ignore[misc]
            for k in np.unique(both.output)[:100]
        ]
    if part == "pulls":
        kinds, counts = np.unique(both.pulls, axis=0, return_counts=True)
        common = kinds[np.argsort(-counts)[:50]]
        return [
            _Condition(
                f"pulls = {kind.tolist()}",
                lambda run, kind=kind: (run.pulls == kind).all(axis=1),  # type: ignore[misc]
            )
            for kind in common
        ]
    found: list[_Condition] = []
    for j in range(both.means.shape[1]):
        column = both.means[:, j]
        given = column[~np.isnan(column)]
        if given.size == 0:
            continue
        if given.size < column.size:
            found.append(
                _Condition(f"mean {j} released", lambda run, j=j: ~np.isnan(run.means[:, j]))  # type: ignore[misc]
            )
        for cut in np.unique(np.quantile(given, np.linspace(0.01, 0.99, QUANTILES))):
            found += [
                _Condition(f"mean {j} >= {cut:.6g}", _at_least(j, cut)),
                _Condition(f"mean {j} < {cut:.6g}", _below(j, cut)),
            ]
    return found


def _at_least(j: int, cut: float) -> Callable[[_Runs], np.ndarray]:
    return lambda run: run.means[:, j] >= cut


def _below(j: int, cut: float) -> Callable[[_Runs], np.ndarray]:
    return lambda run: run.means[:, j] < cut


def _searched(
    training: tuple[_Runs, _Runs], part: str, tail: float, delta: float
) -> tuple[str, Callable[[_Runs], np.ndarray], bool]:
    """The event with the largest bound on the training runs: up to CONJUNCTS conditions at once.

    Greedy: the best single conditions are the starting points, each is narrowed by whichever
    further condition raises the bound most. Also returned: whether it favours the neighbour.
    """
    both = _Runs(*(np.concatenate(arrays) for arrays in zip(*training, strict=True)))
    conditions = _conditions(both, part)
    runs = len(training[0].output)
    counts = np.array([_counted(condition, training) for condition in conditions])
    order = [np.argsort(-_bounds(a, b, runs, tail, delta)) for a, b in (counts.T, counts.T[::-1])]
    kept = np.unique(np.concatenate([ranks[:KEPT] for ranks in order]))
    conditions = [conditions[i] for i in kept]
    ahead, behind = (np.array([c.holds(run) for c in conditions]) for run in training)
    best: tuple[float, list[int], bool] = (-math.inf, [0], False)
    for flipped in (False, True):
        likely, rare = (behind, ahead) if flipped else (ahead, behind)
        alone = _bounds(likely.sum(axis=1), rare.sum(axis=1), runs, tail, delta)
        for start in np.argsort(-alone)[:STARTS]:
            chosen, bound = [int(start)], float(alone[start])
            within, outside = likely[start], rare[start]
            while len(chosen) < CONJUNCTS:
                narrowed = _bounds(
                    likely[:, within].sum(axis=1), rare[:, outside].sum(axis=1), runs, tail, delta
                )
                more = int(np.argmax(narrowed))
                # The best of many conditions looks better by chance: it must gain two standard
                # errors of a log ratio, or it would lose on the fresh runs what it gained here.
                hits = (within & likely[more]).sum(), (outside & rare[more]).sum()
                noise = 2.0 * math.sqrt(1.0 / max(hits[0], 1) + 1.0 / max(hits[1], 1))
                if not narrowed[more] > bound + noise:
                    break
                chosen.append(more)
                bound = float(narrowed[more])
                within, outside = within & likely[more], outside & rare[more]
            if bound > best[0]:
                best = (bound, chosen, flipped)
    _, chosen, flipped = best
    picked = [conditions[i] for i in chosen]

    def holds(run: _Runs) -> np.ndarray:
        return np.logical_and.reduce([condition.holds(run) for condition in picked])

    return " and ".join(condition.name for condition in picked), holds, flipped


def _counted(condition: _Condition, training: tuple[_Runs, _Runs]) -> tuple[int, int]:
    return int(condition.holds(training[0]).sum()), int(condition.holds(training[1]).sum())


def _called(
    mechanism: Callable[..., Transcript], table: np.ndarray, runs: int, seed: Sequence[int]
) -> _Runs:
    """Transcripts of a function, called once a run."""
    streams = np.random.SeedSequence(seed).spawn(runs)
    pulls, means, outputs = [], [], []
    for stream in streams:
        shown = mechanism(table.copy(), np.random.default_rng(stream))
        pulls.append(np.ravel(np.asarray(shown.pulls, dtype=np.int64)))
        means.append(np.ravel(np.asarray(shown.means, dtype=np.float64)))
        outputs.append(int(shown.output))
    sizes = {(p.size, m.size) for p, m in zip(pulls, means, strict=True)}
    if len(sizes) > 1:
        raise ValueError(
            "mechanism must give as many pulls and means in every run; put nan where a mean is "
            "not released"
        )
    return _Runs(np.array(pulls), np.array(means), np.array(outputs))


@kernel_inline
def _transcribe(algorithm, problem, task, key, pulls, means, output):
    """Play a replication per row of ``output`` and write down what it shows."""
    rule = np.zeros(task.n_arms)
    for i in range(output.size):
        run = begin(algorithm, problem, task, key, i, 0)
        phase = 0
        while advance(algorithm, problem, task, run) > 0:
            for k in range(task.n_arms):  # phases beyond the room share the last row
                pulls[i, min(phase, pulls.shape[1] - 1), k] += run.pulls[k]
            phase += 1
        for p in range(means.shape[1]):
            for k in range(task.n_arms):
                means[i, p, k] = run.state.released[p, k]
        algorithm.recommend(algorithm.params, run.state, run.x, run.agent, rule)
        output[i] = random.categorical(run.agent, rule)


def _played(
    algorithm: Identify, table: np.ndarray, horizon: int, runs: int, seed: Sequence[int]
) -> _Runs:
    """Transcripts of an algorithm, by the arena's own loop."""
    problem = registry.make_problem("reward_table", rewards=table, shuffle=False)
    n_arms, n_contexts, dim = problem.shape
    task = Task(n_arms, n_contexts, dim, horizon)
    with np.errstate(all="ignore"):
        rng = random.stream(random.key(0), 0, random.AGENT)
        state = algorithm.init(algorithm.params, task, rng)
    if not hasattr(state, "released"):
        raise ValueError("mechanism is not private: its state has no field `released`")
    phases = state.released.shape[0]
    pulls = np.zeros((runs, phases, n_arms), np.int64)
    means = np.full((runs, phases, n_arms), np.nan)
    output = np.zeros(runs, np.int64)
    key = np.random.SeedSequence(seed).generate_state(2, np.uint64)
    args = (task, key, pulls, means, output)
    with np.errstate(all="ignore"):
        compiled(_transcribe, (algorithm, problem), args)(*args)
    most = pulls.sum(axis=1).max(axis=0)
    if (most > table.shape[1]).any():
        k = int(most.argmax())
        raise ValueError(
            f"table has {table.shape[1]} rewards an arm, but arm {k} was pulled {most[k]} times: "
            "give more of them, or a smaller horizon"
        )
    return _Runs(pulls.reshape(runs, -1), means.reshape(runs, -1), output)
