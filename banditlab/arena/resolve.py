"""Adds replications until it is decided which of the two best agents is the better one.

The rules, and what makes them valid, are in :mod:`banditlab.statistics.sequential`. The first look
is at the replications that the arena asks for; before each later one they are doubled, where it is
not decided, up to a cap. No replication is played twice: they come from the store.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from banditlab import registry
from banditlab.arena import simulate
from banditlab.arena.backends import backend as made_backend
from banditlab.arena.backends.base import Backend
from banditlab.arena.jobs import Resolver
from banditlab.arena.runner import Progress
from banditlab.arena.spec import Arena, Panel, read_arena
from banditlab.arena.store import Store
from banditlab.arena.sweep import cells
from banditlab.console import Bar
from banditlab.curves import Curves
from banditlab.statistics.sequential import top_two
from banditlab.track import Watch
from banditlab.validate import inside, integer, number, shown

DOUBLINGS = 6  # of the first replications, by default
Span = tuple[float, float]


def until_resolved(
    arena: str | Path | Mapping[str, Any] | Arena,
    alpha: float = 0.05,
    *,
    most: int | None = None,
    span: Span | None = None,
    workers: int | str | None = None,
    progress: Progress | None = None,
    keep: str | Path | Store | None = None,
    memory: int | None = None,
    watch: Watch | None = None,
    backend: str | None = None,
    address: str | None = None,
    **changes: Any,
) -> Curves:
    """Run an arena with as many replications as it takes to tell the two best agents apart.

    Parameters
    ----------
    arena, workers, progress, keep, memory, watch, backend, address, changes
        As for :func:`banditlab.simulate`; ``replications`` are those of the first look.
    alpha
        Level of all decisions of the run together: with at most this probability an agent is ever
        called better, at any look and in any panel, whose expected value is not smaller. With
        ``memory``, for means of batches may then be kept, bets have half of it or less.
    most
        The cap on the replications of a panel; by default 64 times those of the first look.
    span
        The range in which the measure shown lies in every replication, whatever happens. By
        default what the protocol knows: pseudo-regret is at most the horizon times the range of
        rewards. Without a finite range a rule is used that is valid for large samples only.

    Returns
    -------
    Curves
        Of all replications played. ``resolved`` says, by panel: ``better`` and ``than``, the two
        best agents; ``decided``; ``replications``; ``rule``, ``evidence`` and ``needed`` as in
        :class:`banditlab.statistics.Verdict`; ``span``; ``alpha`` of the panel; ``looks``.

    Raises
    ------
    ValueError
        In one line, as :func:`banditlab.simulate`, and where no panel has two agents to compare.
    """
    if memory is not None:
        memory = integer("memory", memory, 1)
    read = read_arena(arena, **changes)
    contest = Contest(read, alpha, most, span)
    players = partial(made_backend, name=backend, workers=workers, address=address)
    players(read)  # what is wrong with it is said at once
    with ExitStack() as stack:
        if progress is None:
            progress = stack.enter_context(Bar(quiet=False, counted=read.counted)).show
        if keep is None:
            keep = Path(stack.enter_context(TemporaryDirectory(prefix="banditlab-"))) / "store"
        if not isinstance(keep, Store):
            keep = stack.enter_context(Store(keep, read.hash()))
        return resolve(contest, players, progress, keep, memory, watch)


def resolve(
    contest: Contest,
    players: Callable[[Arena], Backend],
    progress: Progress | None,
    store: Store,
    memory: int | None = None,
    watch: Watch | None = None,
) -> Curves:
    """Play until nothing of the contest is open; see :func:`until_resolved`."""
    store.grows = True
    contest.bounded = memory is not None
    while True:
        curves = simulate.run(
            contest.arena, players(contest.arena), progress, store, memory, watch, contest.known_as
        )
        if contest.look(curves):
            curves.resolved = contest.found
            return curves
        store.again()


class Contest:
    """The panels that are to be decided, and how far that is."""

    def __init__(self, arena: Arena, alpha: float, most: int | None, span: Span | None):
        alpha = inside("alpha", alpha, 0.0, 1.0)
        self.arena, self.known_as = arena.model_copy(deep=True), arena.hash()
        self.open = [panel for panel in self.arena.panels if _contested(panel)]
        if not self.open:
            raise ValueError("--until-resolved needs a panel with two agents whose luck differs")
        self.alpha = alpha / len(self.open)
        self.most = {p.name: _cap(p, most) for p in self.open}
        self.span = {p.name: _span(p) if span is None else read_span(span) for p in self.open}
        self.looks: dict[str, list[int]] = {p.name: [] for p in self.open}
        self.bounded = False  # whether replications may be kept as means of batches
        self.batches: dict[str, list[int]] = {p.name: [] for p in self.open}  # sizes met
        self.found: dict[str, dict[str, Any]] = {}

    def look(self, curves: Curves) -> bool:
        """Judge the open panels, and double the replications of those that stay open.

        Whether none does.
        """
        for panel in list(self.open):
            verdict = self._judged(panel, curves)
            self.found[panel.name] = verdict
            if verdict["decided"] or panel.replications >= self.most[panel.name]:
                self.open.remove(panel)
            else:
                panel.replications = min(2 * panel.replications, self.most[panel.name])
        return not self.open

    def _level(self, name: str, batch: int) -> float:
        """What a look may spend at most of the panel's level.

        A bet on means of larger batches is another bet, not the earlier one gone on: each size of
        batch has a level of its own, alpha / 2, alpha / 4, ..., where there can be several.
        """
        met = self.batches[name]
        if batch not in met:
            met.append(batch)
        bets = self.bounded and self.span[name] is not None
        return self.alpha / 2.0 ** (met.index(batch) + 1) if bets else self.alpha

    def _judged(self, panel: Panel, curves: Curves) -> dict[str, Any]:
        name, measure = panel.name, curves.shown(panel.name)
        final = {a: curves.at(None, a, measure, name) for a in curves.agents(name)}
        agents = [a for a, values in final.items() if np.isfinite(values).all()]
        if len(agents) < 2:
            raise ValueError(f"panel {name!r} has fewer than two agents with a {measure}")
        looks, span = self.looks[name], self.span[name]
        values = np.column_stack([final[a] for a in agents])
        if curves.measure(name).more:  # smaller is better to whoever judges
            values, span = -values, (-span[1], -span[0]) if span else None
        rows = len(values) / panel.replications  # less than 1 for means of batches
        alpha = self._level(name, panel.replications // len(values))
        # Agents that are left out, perhaps at later looks only, were rivals of the others before.
        alpha *= _claims(len(agents)) / _claims(len(final))
        verdict = top_two(
            values, alpha, span=span, looks=[n * rows for n in looks],
            most=round(self.most[name] * rows),
        )  # fmt: skip
        looks.append(panel.replications)
        return {
            "better": agents[verdict.leader],
            "than": agents[verdict.runner_up],
            "decided": verdict.decided,
            "measure": measure,
            "replications": panel.replications,
            "rule": verdict.rule,
            "evidence": verdict.evidence,
            "needed": verdict.needed,
            "alpha": self.alpha,
            "span": list(self.span[name] or ()) or None,
            "most": self.most[name],
            "looks": list(looks),
        }


def _claims(agents: int) -> int:
    """How many statements there are that one of so many agents is better than another."""
    return agents * (agents - 1)


def _contested(panel: Panel) -> bool:
    """Whether there is anything to decide; ValueError where there is and it cannot be."""
    curves = sum(len(cell.panels[0].agents) for cell in cells(panel) if not panel.x)
    if panel.exact or (curves or len(panel.agents)) < 2:
        return False
    if panel.worst:
        raise ValueError(
            f"--until-resolved is not for panel {panel.name!r}: its curves are those of whichever "
            "problem turns out worst"
        )
    return True


def _cap(panel: Panel, most: int | None) -> int:
    if most is None:
        return panel.replications * 2**DOUBLINGS
    most = integer("most", most, 1)
    if most < panel.replications:
        raise ValueError(
            f"--most must be at least the {panel.replications} replications of the first look, "
            f"got {most}"
        )
    return most


def _span(panel: Panel) -> Span | None:
    """What the protocol knows of the measure shown, at the end of every curve of the panel."""
    protocol, resolver = registry.protocol(panel.protocol), Resolver()
    measure = protocol.measure(panel.measure or protocol.names[0])
    if measure.span is None:
        return None
    last = max((cell.x for cell in cells(panel) if cell.x is not None), default=None)
    met = [cell.panels[0] for cell in cells(panel) if cell.x == last]
    spans = [measure.span(resolver.terms(p, entry)) for p in met for entry in p.agents]
    low, high = min(s[0] for s in spans), max(s[1] for s in spans)
    return (low, high) if -math.inf < low < high < math.inf else None


def read_span(span: Any) -> Span:
    """Two numbers, or ``LOW:HIGH``, as a range; ValueError for anything else."""
    parts = span.split(":") if isinstance(span, str) else span
    if not isinstance(parts, list | tuple) or len(parts) != 2:
        raise ValueError(f"span must be LOW:HIGH, such as 0:1000, got {shown(span)}")
    low, high = (number("span", part) for part in parts)
    if not low < high:
        raise ValueError(f"span must be LOW:HIGH with LOW below HIGH, got {shown(span)}")
    return low, high


def in_words(found: Mapping[str, Any]) -> str:
    """What was found in a panel, in a line."""
    n, level = found["replications"], f"level {found['alpha']:.3g}"
    if found["rule"] == "betting":
        shown_as = f"e-value 10^{found['evidence']:.1f}, 10^{found['needed']:.1f} needed"
    else:
        shown_as = f"p = {found['evidence']:.2g}, at most {found['needed']:.2g} needed"
    if found["decided"]:
        return (
            f"{found['better']} before {found['than']}: decided at {level} after {n:,} "
            f"replications ({shown_as})"
        )
    return (
        f"{found['better']} and {found['than']}: not decided at {level} after {n:,} replications, "
        f"the most allowed ({shown_as})"
    )
