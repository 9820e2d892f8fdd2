"""Runs an arena: many replications of every agent of every panel, on all cores.

While the blocks of one job run on threads, the next job's pair compiles.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from banditlab import interrupt, registry
from banditlab.arena import memory as bounds
from banditlab.arena.backends import backend as made_backend
from banditlab.arena.backends.base import Backend
from banditlab.arena.claims import evaluate, rehearse
from banditlab.arena.jobs import Job, Resolver, finished
from banditlab.arena.jobs import swept as all_swept
from banditlab.arena.jobs import wanted as all_wanted
from banditlab.arena.overlays import overlays
from banditlab.arena.runner import Interrupted, Progress, Runner
from banditlab.arena.spec import AgentEntry, Arena, Panel, read_arena
from banditlab.arena.store import Store, owner
from banditlab.arena.sweep import Cell
from banditlab.compile import Pair, second_compiler
from banditlab.console import Bar
from banditlab.curves import Curves, Record
from banditlab.track import Event, Unfinished, Watch
from banditlab.validate import integer

LARGE = 10**9  # bytes; a run that needs more says so before it starts


def simulate(
    arena: str | Path | Mapping[str, Any] | Arena,
    *,
    horizon: int | None = None,
    replications: int | None = None,
    seed: int | None = None,
    agents: str | Sequence[str | Mapping[str, Any]] | None = None,
    problem: str | Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    hyper: Mapping[str, Mapping[str, Any]] | None = None,
    workers: int | str | None = None,
    progress: Progress | None = None,
    keep: str | Path | Store | None = None,
    memory: int | None = None,
    watch: Watch | None = None,
    backend: str | None = None,
    address: str | None = None,
) -> Curves:
    """Run an arena and return its curves.

    Parameters
    ----------
    arena
        A name of ``python -m banditlab.arena --list``, a path to a TOML file, a dictionary with
        the TOML's keys, or what :func:`banditlab.arena.spec.read_arena` returns.
    horizon, replications, seed
        Override what the arena says.
    agents
        Replace the arena's agents: names, ``[[agents]]`` entries, or both; one name alone will do.
        The arena's checks are dropped then.
    problem
        Replace the problem of every panel: a name, which plays the example of its file, or an
        entry with its parameters. Agents and bounds that it is beyond are left out, with a word on
        standard error, unless they are in ``agents``; checks are dropped.
    parameters
        Arguments of the problem to set: ``{"means": [0.2, 0.8]}``. Checks are dropped.
    hyper
        Hyper-parameters to set, by agent: ``{"ucb": {"alpha": 0.5}}``.
    workers
        Threads or processes; the number of cores by default, "auto" for what a probe of a second
        finds. Never changes the result.
    progress
        Called about five times a second with what is under way, rounds done and rounds in all. By
        default a bar, where there is a terminal or a notebook.
    keep
        Folder in which finished blocks are kept, and looked for first: an interrupted run goes
        on where it was. See :mod:`banditlab.arena.store`, whose Store may be given instead.
    memory
        Bytes that the run may take. Where the replications' totals do not fit, means of batches of
        them are kept, see :mod:`banditlab.arena.memory`; without it that is an error, and the bound
        half of what is available.
    watch
        Called as often as ``progress`` with a :class:`banditlab.track.Event`: how far the run is,
        and its curves so far. ``track.Follower(track.TensorBoard(folder))`` is one such function.
    backend
        "threads", "processes" or "ray", see :mod:`banditlab.arena.backends`: threads by default,
        unless a protocol of the arena asks for processes. Never changes the result.
    address
        HOST:PORT of the head of a Ray cluster; without it, Ray starts on this machine.

    Raises
    ------
    ValueError
        In one line, for anything wrong with the arena or an argument, before the first block runs.
    Interrupted
        On Ctrl-C, with the number of blocks kept.
    """
    if memory is not None:
        memory = integer("memory", memory, 1)
    arena = read_arena(
        arena, horizon=horizon, replications=replications, seed=seed, agents=agents,
        problem=problem, parameters=parameters, hyper=hyper,
    )  # fmt: skip
    if problem is not None and agents is None:
        leave_out(arena)
    for note in arena.notes:
        print(note, file=sys.stderr)
    players = made_backend(arena, backend, workers, address)
    if progress is not None:
        return run(arena, players, progress, keep, memory, watch)
    with Bar(quiet=False, counted=arena.counted) as bar:
        return run(arena, players, bar.show, keep, memory, watch)


def run(
    arena: Arena,
    backend: Backend,
    progress: Progress | None = None,
    keep: str | Path | Store | None = None,
    memory: int | None = None,
    watch: Watch | None = None,
    known_as: str = "",
) -> Curves:
    """Run an arena that has been read; see :func:`simulate`.

    In the store its blocks go by its hash, or by that of the arena with fewer replications that it
    goes on from.
    """
    if isinstance(keep, str | Path):
        with Store(keep, arena.hash()) as store:
            return _run(arena, backend, progress, store, memory, watch, known_as)
    return _run(arena, backend, progress, keep, memory, watch, known_as)


def _run(
    arena: Arena,
    backend: Backend,
    progress: Progress | None,
    store: Store | None,
    memory: int | None,
    watch: Watch | None,
    known_as: str,
) -> Curves:
    swept, wanted = all_swept(arena), all_wanted(arena)
    resolver = Resolver()
    for panel, entry in wanted:  # say everything that is wrong before the first block runs
        resolver.terms(panel, entry)
    jobs = [resolver.job(arena, panel, entry) for panel, entry in wanted]
    beside = {panel.name: overlays(panel) for panel in arena.panels}
    blank = [finished(job, np.zeros((1, *_shape(job)))) for job in jobs]
    rehearsed = Curves(arena.resolved(), _records(swept, blank), beside)
    for panel in arena.panels:
        for agent in rehearsed.agents(panel.name):  # the measure of the figure exists
            rehearsed.raw(agent, rehearsed.shown(panel.name), panel.name)
    for claim in rehearsed.arena["checks"]:
        rehearse(claim, rehearsed)
    many = _batches(jobs, memory, backend.processes)
    names = [cell.name for _, cell in swept for p in cell.panels for _ in p.agents]
    if store is not None:
        store.begin(sum(job.panel.replications for job in jobs), many)
    total = sum(panel.replications * panel.horizon for panel, _ in wanted)
    backend.start()
    runner = Runner(backend.workers, store, progress, total, backend.hand, backend.most)
    if watch is not None:
        runner.progress = _watched(progress, watch, partial(_so_far, swept, jobs, many, runner))
    try:
        fresh = Resolver()  # the other process makes each problem and agent once, too
        pairs = [made for job in jobs for made in job.play.pairs]
        makers = [
            partial(_pair, fresh, arena, panel, entry, i)
            for (panel, entry), job in zip(wanted, jobs, strict=True)
            for i in range(len(job.play.pairs))
        ]
        with (
            interrupt.hook(runner.stop),
            second_compiler(pairs, makers, backend.workers) as leave,
            interrupt.hook(leave),
        ):
            for i, (job, name, batch) in enumerate(zip(jobs, names, many, strict=True)):
                for made in job.play.pairs:
                    made.function()
                whose = owner(job, known_as or arena.hash(), arena.seed, i, name, batch)
                runner.submit(job, whose, batch)
            leave()
            runner.drain()
    except KeyboardInterrupt:
        runner.stop()
        if store is not None:
            store.flush()
        kept = store.summary() if store else ""
        raise Interrupted(f"interrupted; {kept or 'nothing was kept'}") from None
    finally:
        runner.stop()
        backend.close()
    done = [finished(job, runner.values(i), many[i]) for i, job in enumerate(jobs)]
    _tell_who_gave_up(jobs, done)
    seconds: dict[tuple[str, str], float] = {}
    for key, rivals in _curves(swept):
        seconds[key] = seconds.get(key, 0.0) + sum(runner.curves[i].seconds for i in rivals)
    curves = Curves(arena.resolved(), _records(swept, done), beside, seconds, hash=arena.hash())
    curves.returns = [
        {"panel": job.panel.name, "agent": who, **job.loop.returns(runner.values(i))}
        for i, (job, who) in enumerate(zip(jobs, _whose(swept), strict=True))
        if job.loop.returns is not None and many[i] == 1
    ]
    for claim in curves.arena["checks"]:
        curves.checks.extend(evaluate(claim, curves))
    return curves


def _tell_who_gave_up(jobs: list[Job], done: list[Record]) -> None:
    """A line for each curve with replications that ended early: no measure is a number there."""
    for job, record in zip(jobs, done, strict=True):
        lost = np.isnan(record.values[:, -1]).all(axis=1)
        if lost.any():
            who = f"{job.panel.name}, {job.agent.label}"
            word = "replications" if record.batch == 1 else "batches of replications"
            why = registry.gives_up(job.loop.algorithm)
            found = f"nan; {why}" if why else "nan"
            print(f"{who}: {lost.sum()} of {lost.size} {word} gave up: {found}", file=sys.stderr)


Swept = list[tuple[Panel, Cell]]  # the panels of an arena, and what there is to run for each


def _curves(swept: Swept) -> Iterator[tuple[tuple[str, str], list[int]]]:
    """For each point of each curve: (panel, name of the curve), and the jobs that it is made of."""
    jobs = iter(itertools.count())
    for shown, cell in swept:
        by_problem = [[next(jobs) for _ in panel.agents] for panel in cell.panels]
        for entry, *rivals in zip(shown.agents, *by_problem, strict=True):
            name = f"{entry.label}, {cell.name}" if cell.name else entry.label
            yield (shown.name, name), rivals


def _whose(swept: Swept) -> list[str]:
    """For each job whose single returns it has: the agent, and all that is swept or varied."""
    found = []
    for shown, cell in swept:
        knob = [] if cell.x is None else [f"{shown.x.rpartition('.')[2]} = {cell.x:g}"]
        for panel in cell.panels:
            where = [panel.problem.name] if len(cell.panels) > 1 else []
            more = [*([cell.name] if cell.name else []), *knob, *where]
            found += [", ".join([entry.label, *more]) for entry in panel.agents]
    return found


def _records(swept: Swept, done: list[Record]) -> dict[tuple[str, str], Record]:
    """The curves by panel and name, from the record of each job."""
    parts: dict[tuple[str, str], list[Record]] = {}
    which = ((shown, cell) for shown, cell in swept for _ in shown.agents)
    for (key, rivals), (shown, cell) in zip(_curves(swept), which, strict=True):
        record = _worst([done[i] for i in rivals], shown.measure)._replace(cell=cell.name)
        if cell.x is not None:
            record = record._replace(checkpoints=np.array([cell.x]))
        parts.setdefault(key, []).append(record)
    return {key: _joined(points) for key, points in parts.items()}


def _watched(
    progress: Progress | None, watch: Watch, so_far: Callable[[], tuple[Unfinished, ...]]
) -> Progress:
    """What tells both of them how far a run is."""

    def told(what: str, done: int, total: int) -> None:
        if progress is not None:
            progress(what, done, total)
        watch(Event(what, done, total, so_far()))

    return told


def _so_far(
    swept: Swept, jobs: list[Job], many: list[int], runner: Runner
) -> tuple[Unfinished, ...]:
    """The curves of which replications are finished; of a swept axis, the points that have some."""
    points: dict[tuple[str, str], list[tuple[int, Callable[[int], Record]]]] = {}
    in_all: dict[tuple[str, str], int] = {}
    which = [(shown, cell) for shown, cell in swept for _ in shown.agents]
    for (key, rivals), (shown, cell) in zip(_curves(swept), which, strict=True):
        in_all[key] = in_all.get(key, 0) + jobs[rivals[0]].panel.replications
        if rivals[-1] >= len(runner.curves):  # not submitted yet
            continue
        rows = [runner.curves[i].finished.copy() for i in rivals]

        def point(
            count: int, rivals: list[int] = rivals, rows: list[np.ndarray] = rows,
            shown: Panel = shown, cell: Cell = cell,
        ) -> Record:  # fmt: skip
            values = [runner.values(i)[done][:count] for i, done in zip(rivals, rows, strict=True)]
            done = [finished(jobs[i], v, many[i]) for i, v in zip(rivals, values, strict=True)]
            record = _worst(done, shown.measure)._replace(cell=cell.name)
            return record if cell.x is None else record._replace(checkpoints=np.array([cell.x]))

        if least := min(int(done.sum()) for done in rows):
            points.setdefault(key, []).append((least, point))

    def record(parts: list[tuple[int, Callable[[int], Record]]]) -> Record:
        least = min(count for count, _ in parts)
        return _joined([point(least) for _, point in parts])

    batch = {key: many[rivals[0]] for key, rivals in _curves(swept)}
    return tuple(
        Unfinished(*key, sum(n for n, _ in parts) * batch[key], in_all[key], partial(record, parts))
        for key, parts in points.items()
    )


def _shape(job: Job) -> tuple[int, int]:
    """Checkpoints and measures of a job's record."""
    return job.loop.checkpoints.size, len(job.loop.measures)


def leave_out(arena: Arena, wanted: Collection[str] = ()) -> None:
    """Drop the arena's agents that cannot play another problem; those ``wanted`` must, somewhere.

    An agent may be there several times: with settings that suit the arena's own problem, and
    without. What is left of it is enough, and so are the panels that have somebody left.
    """
    resolver = Resolver()
    able = [[a for a in panel.agents if resolver.can_play(panel, a)] for panel in arena.panels]
    stuck = set(wanted) - {a.name for agents in able for a in agents}
    dropped: dict[str, None] = {}
    panels = []
    for panel, can in zip(arena.panels, able, strict=True):
        kept = [a for a in panel.agents if a in can or a.name in stuck]
        dropped |= {a.label: None for a in panel.agents if a not in kept}
        if kept:
            panel.agents = kept
            panels.append(panel)
    arena.panels = panels or arena.panels
    playing = {a.label for panel in panels for a in panel.agents}
    gone = [label for label in dropped if label not in playing]
    if gone and not any(a.name in stuck for panel in panels for a in panel.agents):
        # else the run is about to be refused, in one line
        name = arena.panels[0].problem.name
        arena.notes.append(f"left out, for {name} is beyond them: {', '.join(gone)}")


def _batches(jobs: list[Job], memory: int | None, programs: int) -> list[int]:
    """How many replications a row of each job's values is the mean of; says what that needs."""
    shapes = []
    for job in jobs:
        points = max(job.loop.checkpoints.size, len(job.panel.checkpoints))
        shapes.append((job.panel.replications, points, len(job.loop.measures)))
    names = {(job.panel.name, job.agent.label) for job in jobs}
    copies = 1 if len(names) == len(jobs) else 2  # points of a swept axis are joined
    many = bounds.batches(shapes, memory, copies, programs)
    needed = bounds.need(shapes, copies, programs)
    if max(many) > 1:
        sizes = ", ".join(f"{batch:,}" for batch in sorted(set(many) - {1}))
        said = f"all replications would need {bounds.words(needed)} of memory: kept are means of "
        print(f"{said}batches of {sizes}", file=sys.stderr)
    elif needed > LARGE:
        print(f"needs about {bounds.words(needed)} of memory", file=sys.stderr)
    return many


def _pair(resolver: Resolver, arena: Arena, panel: Panel, entry: AgentEntry, i: int) -> Pair:
    return resolver.job(arena, panel, entry).play.pairs[i]


def _worst(rivals: list[Record], measure: str) -> Record:
    """At every point the values of the problem on which the mean of ``measure`` is largest.

    It is the one that the panel shows; empty: the first.
    """
    values = np.stack([record.values for record in rivals])
    measures = rivals[0].measures  # one that there is not is refused by name, by who shows it
    shown = measures.index(measure) if measure in measures else 0
    worst = values[..., shown].mean(axis=1).argmax(axis=0)
    picked = np.take_along_axis(values, worst[None, None, :, None], axis=0)
    return rivals[0]._replace(values=picked[0])


def _joined(points: list[Record]) -> Record:
    """One curve of the points of a swept axis."""
    if len(points) == 1:
        return points[0]
    axis = np.concatenate([record.checkpoints for record in points])
    values = np.concatenate([record.values for record in points], axis=1)
    return points[0]._replace(checkpoints=axis, values=values)
