"""Hyper-parameters searched by Optuna, on other luck than that on which they are then judged.

Every trial plays the agent with other hyper-parameters in the arena, on the same replications of a
seed that is not the arena's (Optuna's TPE sampler, Bergstra et al. 2011). The first trial is the
agent as it stands. What is asked next depends on the finished trials alone, so a search that is
interrupted and resumed ends as one that is not. Optuna is imported when a search begins.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab import registry
from banditlab.arena import simulate
from banditlab.arena.backends import backend as made_backend
from banditlab.arena.spec import AgentEntry, Arena, read_arena
from banditlab.arena.sweep import places as swept
from banditlab.registry import unknown
from banditlab.validate import integer, shown

TRIALS = 30
ELSEWHERE = 10**6 + 3  # added to the arena's seed for the seed of the search
NEAR = 0.01  # of the range: nearer to a bound than that, a value sits at it


class Range(NamedTuple):
    """Where the values of one hyper-parameter are searched."""

    low: float
    high: float
    log: bool
    whole: bool


Place = Range | tuple[Any, ...]  # the latter: one of several


class Tuned(NamedTuple):
    """What a search has found."""

    agent: str  # label
    best: dict[str, Any]
    untuned: dict[str, Any]  # the same hyper-parameters as they stood
    value: float  # what was made small, of the best trial; see `tune`
    value_untuned: float
    at_bound: dict[str, float]  # hyper-parameters that sit at a bound of their range, and which
    trials: list[dict[str, Any]]  # hyper-parameters and value of each
    seed: int  # of the search

    def warnings(self) -> list[str]:
        """A line for every value at a bound."""
        return [
            f"{key} = {self.best[key]:g} sits at the bound {bound:g} of what was searched: widen it"
            for key, bound in self.at_bound.items()
        ]


def read_space(words: Sequence[str], agent: str) -> dict[str, Place]:
    """``key=low:high[:log]`` and ``key=a|b|c`` as places by hyper-parameter of ``agent``.

    Bounds written without a point are whole numbers, unless the agent's own default is a fraction.
    Raises ValueError, in one line, for anything else, and for what is no such hyper-parameter.
    """
    known = inspect.signature(registry.factory("agent", agent)).parameters
    found: dict[str, Place] = {}
    for word in words:
        key, equals, text = word.partition("=")
        key = key.removeprefix(f"{Path(agent).stem}.")
        if not (key and equals and text):
            raise ValueError(f"--tune must look like key=low:high[:log] or key=a|b, got {word!r}")
        if key not in known:
            raise ValueError(f"--tune: {unknown('hyper-parameter', key, known)}")
        if key in found:
            raise ValueError(f"--tune: {key} is given twice")
        if "|" in text:
            found[key] = tuple(_value(part) for part in text.split("|"))
            continue
        found[key] = _range(word, text, known[key].default)
    if not found:
        raise ValueError("--tune needs a hyper-parameter")
    return found


def _value(text: str) -> Any:
    with suppress(json.JSONDecodeError):
        return json.loads(text)
    return text


def _range(word: str, text: str, default: Any) -> Range:
    low, colon, rest = text.partition(":")
    high, _, log = rest.partition(":")
    try:
        ends = float(low), float(high)
    except ValueError:
        raise ValueError(f"--tune must look like key=low:high[:log], got {word!r}") from None
    if log not in ("", "log") or not -math.inf < ends[0] < ends[1] < math.inf:
        raise ValueError(f"--tune must look like key=low:high[:log], low below high, got {word!r}")
    if log and ends[0] <= 0.0:
        raise ValueError(f"--tune {word}: on a log scale the range must lie above 0")
    whole = all(end.strip().lstrip("+-").isdigit() for end in (low, high))
    return Range(*ends, bool(log), whole and not isinstance(default, float))


def tune(
    arena: str | Path | Mapping[str, Any] | Arena,
    agent: str,
    space: Sequence[str] | Mapping[str, Place],
    trials: int = TRIALS,
    *,
    keep: str | Path | None = None,
    workers: int | str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    backend: str | None = None,
    address: str | None = None,
    **changes: Any,
) -> Tuned:
    """Search hyper-parameters of an agent of an arena.

    Parameters
    ----------
    arena, workers, backend, address, changes
        As for :func:`banditlab.simulate`.
    agent
        The label, or name, of an agent of the arena.
    space
        ``["alpha=0.1:10:log", "window=10:500", "kind=a|b"]``, see :func:`read_space`.
    trials
        In all, with those that ``keep`` holds.
    keep
        A file in which trials are kept as they end, and from which a search goes on.
    progress
        Called after every trial with what is under way, trials done and trials in all.

    What is made small is the final mean of the measure that each panel shows, in units of what the
    agent has as it stands where all of these are positive, averaged over panels and curves; of a
    measure of which more is better its negative.

    Raises ValueError, in one line, for anything wrong, and where Optuna is not installed.
    """
    trials = integer("trials", trials, 1)
    label, alone, places = asked(read_arena(arena, **changes), agent, space)
    entry = next(a for p in alone.panels for a in p.agents)
    untuned = _as_it_stands(entry, places)
    make = partial(made_backend, name=backend, workers=workers, address=address)
    scales: list[float] = []

    def value(given: Mapping[str, Any]) -> float:
        played = _with(alone, given)
        means = _means(simulate.run(played, make(played), lambda *_: None), label)
        if not scales:
            plain = means if given == untuned else value_of(untuned)
            scales.extend(plain if min(plain) > 0.0 else [1.0] * len(plain))
        return float(np.mean([mean / scale for mean, scale in zip(means, scales, strict=True)]))

    def value_of(given: Mapping[str, Any]) -> list[float]:
        played = _with(alone, given)
        return _means(simulate.run(played, make(played), lambda *_: None), label)

    name = f"{alone.hash()} {label} {sorted((k, repr(p)) for k, p in places.items())}"
    done = _search(name, places, untuned, value, trials, keep, alone.seed, progress)
    best = min(done, key=lambda trial: trial["value"])
    found = {key: best[key] for key in places}
    plain = next((t["value"] for t in done if _same(t, untuned)), None)
    return Tuned(
        label, found, untuned, best["value"], value(untuned) if plain is None else plain,
        {k: bound for k, p in places.items() if (bound := _bound(found[k], p)) is not None},
        done, alone.seed,
    )  # fmt: skip


def asked(
    arena: Arena, agent: str, space: Sequence[str] | Mapping[str, Place]
) -> tuple[str, Arena, Mapping[str, Place]]:
    """The agent's label, the arena with it alone, and where is searched: see :func:`tune`.

    Raises ValueError, in one line, for what cannot be searched, or not without Optuna.
    """
    label, alone = _alone(arena, agent)
    entry = next(a for p in alone.panels for a in p.agents)
    places = space if isinstance(space, Mapping) else read_space(space, entry.name)
    _refuse_ends(entry, places)
    _refuse_swept(label, alone)
    if find_spec("optuna") is None:
        raise ValueError(
            "--tune needs the package optuna, which is not installed: "
            'python -m pip install "banditlab-arena[tune]"'
        )
    return label, alone, places


def judged(arena: Arena, tuned: Tuned) -> Arena:
    """The arena with the tuned agent beside the one that it came from, on the arena's own seed."""
    found = arena.model_copy(deep=True)
    for panel in found.panels:
        for entry in [a for a in panel.agents if a.label == tuned.agent]:
            given = {**entry.model_dump(), **tuned.best, "label": f"{entry.label}, tuned"}
            panel.agents.insert(panel.agents.index(entry), AgentEntry.model_validate(given))
    return found


def _alone(arena: Arena, agent: str) -> tuple[str, Arena]:
    """The agent's label, and the arena with it alone, at its end, on the seed of the search."""
    named = [a for p in arena.panels for a in p.agents]
    label = next((a.label for a in named if agent in (a.label, a.name)), None)
    if label is None:
        raise ValueError(f"--tune: {unknown('agent', agent, {a.label for a in named})}")
    found = arena.model_copy(deep=True)
    found.seed, found.checks = arena.seed + ELSEWHERE, []
    found.panels = [p for p in found.panels if any(a.label == label for a in p.agents)]
    for panel in found.panels:
        panel.agents = [a for a in panel.agents if a.label == label]
        panel.overlays, panel.checkpoints = [], [panel.horizon]
    return label, found


def _with(arena: Arena, given: Mapping[str, Any]) -> Arena:
    found = arena.model_copy(deep=True)
    for panel in found.panels:
        panel.agents = [
            AgentEntry.model_validate({**entry.model_dump(), **given}) for entry in panel.agents
        ]
    return found


def _means(curves: Any, label: str) -> list[float]:
    """Final means of every curve, smaller being better."""
    found = []
    for panel in curves.panels():
        sign = -1.0 if curves.measure(panel).more else 1.0
        for agent in curves.agents(panel):
            found.append(sign * float(curves.at(None, agent, curves.shown(panel), panel).mean()))
    return found


def _as_it_stands(entry: AgentEntry, places: Mapping[str, Place]) -> dict[str, Any]:
    """What the agent has for the hyper-parameters that are searched, where it has a value."""
    known = inspect.signature(registry.factory("agent", entry.name)).parameters
    given = {key: entry.hyper.get(key, known[key].default) for key in places}
    return {k: v for k, v in given.items() if v is not inspect.Parameter.empty}


def _refuse_ends(entry: AgentEntry, places: Mapping[str, Place]) -> None:
    """ValueError where the agent cannot be made with a bound, or with one of several values."""
    for key, place in places.items():
        ends = (place.low, place.high) if isinstance(place, Range) else place
        for end in ends:
            whole = isinstance(place, Range) and place.whole
            try:
                registry.make(entry.name, **{**entry.hyper, key: int(end) if whole else end})
            except ValueError as error:
                raise ValueError(f"--tune {key}: {shown(end)} is not allowed: {error}") from None


def _refuse_swept(label: str, alone: Arena) -> None:
    """ValueError where a panel sweeps the agent: it would overwrite what is searched."""
    for panel in alone.panels:
        for place in (place for key in panel.sweep for place in swept(key)):
            owner, _, key = place.rpartition(".")
            if owner == label:
                raise ValueError(
                    f"--tune: panel {panel.name!r} sweeps {place}, and an agent that is swept "
                    f"cannot be tuned: --set {label}.{key}=VALUE ends the sweep"
                )


def _search(
    name: str,
    places: Mapping[str, Place],
    untuned: Mapping[str, Any],
    value: Callable[[Mapping[str, Any]], float],
    trials: int,
    keep: str | Path | None,
    seed: int,
    progress: Callable[[str, int, int], None] | None,
) -> list[dict[str, Any]]:
    """Hyper-parameters and value of every trial, in order."""
    import optuna
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = None
    if keep is not None:
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        Path(keep).parent.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(keep)))
    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
    where: dict[str, BaseDistribution] = {}
    for key, place in places.items():
        if not isinstance(place, Range):
            where[key] = CategoricalDistribution(place)
        elif place.whole:
            where[key] = IntDistribution(int(place.low), int(place.high), log=place.log)
        else:
            where[key] = FloatDistribution(place.low, place.high, log=place.log)
    first = len(untuned) == len(places) and all(_within(untuned[k], p) for k, p in places.items())

    def finished() -> list[Any]:
        return study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))

    while len(done := finished()) < trials:
        # A sampler of its own for each trial, so that what was interrupted leaves no trace.
        study.sampler = optuna.samplers.TPESampler(seed=(seed + len(done)) % 2**32)
        if not done and first:
            study.enqueue_trial(dict(untuned))
        trial = study.ask(where)
        study.tell(trial, value(trial.params))
        if progress is not None:
            progress("tuning", len(done) + 1, trials)
    return [{**trial.params, "value": trial.value} for trial in done[:trials]]


def _within(value: Any, place: Place) -> bool:
    if not isinstance(place, Range):
        return value in place
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and place.low <= value <= place.high


def _same(trial: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    return len(given) == len(trial) - 1 and all(trial[key] == v for key, v in given.items())


def _bound(value: Any, place: Place) -> float | None:
    """The bound at which a value sits, if it does."""
    if not isinstance(place, Range):
        return None
    low, high, at = place.low, place.high, float(value)
    if place.whole:
        return next((end for end in (low, high) if at == end), None)
    if place.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    near = NEAR * (high - low)
    if at - low <= near:
        return place.low
    return place.high if high - at <= near else None
