"""Runs an arena: many replications of every agent of every panel, on all cores.

While the blocks of one job run on threads, the next job's pair compiles.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from banditlab import registry
from banditlab.arena.jobs import Job, make_job, matched
from banditlab.arena.runner import Interrupted, Progress, Runner
from banditlab.arena.spec import AgentEntry, Arena, Panel, cells, read_arena
from banditlab.compile import missing, under_way
from banditlab.curves import Curves, Record, evaluate
from banditlab.protocols import offline
from banditlab.validate import integer


def _finish(job: Job, blocks: dict[int, np.ndarray]) -> Record:
    values = np.concatenate([blocks[first] for first in sorted(blocks)])
    points = np.array(job.panel.checkpoints, dtype=np.int64)
    if job.panel.protocol == "online" and job.measures == offline.MEASURES:
        # A frozen rule loses its gap in every round: exact, where playing it would add noise.
        return Record(points, ("regret",), values[:, :1] * points[None, :, None])
    return Record(points, job.measures, values)


def simulate(
    arena: str | Path | Mapping[str, Any] | Arena,
    *,
    horizon: int | None = None,
    replications: int | None = None,
    seed: int | None = None,
    agents: list[Any] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    keep: Path | None = None,
) -> Curves:
    """Run an arena and return its curves.

    Parameters
    ----------
    arena
        A name of ``python -m banditlab.arena --list``, a path to a TOML file, or a dictionary
        with the TOML's keys.
    horizon, replications, seed, agents
        Override what the arena says; ``agents`` is a list of names or of ``[[agents]]`` entries.
        The arena's checks are dropped when the agents are replaced.
    workers
        Threads; the number of cores by default. Never changes the result.
    progress
        Called about five times a second with what is under way, rounds done and rounds in all.
    keep
        Folder in which finished blocks are kept, and looked for first: an interrupted run goes
        on where it was. Blocks are found by a hash of all that decides their numbers.

    Raises
    ------
    ValueError
        In one line, for anything wrong with the arena or an argument.
    Interrupted
        On Ctrl-C, with the number of blocks kept.
    """
    if horizon is not None:
        horizon = integer("horizon", horizon, 1)
    if replications is not None:
        replications = integer("replications", replications, 1)
    if seed is not None:
        seed = integer("seed", seed, 0)
    workers = integer("workers", workers if workers is not None else os.cpu_count() or 1, 1)
    if not isinstance(arena, Arena):
        arena = read_arena(
            arena, horizon=horizon, replications=replications, seed=seed, agents=agents
        )
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
    swept = [(shown, cell) for shown in arena.panels for cell in cells(shown)]
    wanted = [(p, entry) for _, cell in swept for p in cell.panels for entry in p.agents]
    for panel, entry in wanted:  # say everything that is wrong before the first block runs
        problem = registry.make_problem(panel.problem.name, **panel.problem.parameters)
        matched(panel, entry, registry.make(entry.name, **entry.hyper), problem)
    total = sum(panel.replications * panel.horizon for panel, _ in wanted)
    runner = Runner(workers, keep, progress, total)
    try:
        jobs = [make_job(arena, panel, entry) for panel, entry in wanted]
        with _second_compiler(arena, jobs, workers):
            for job in jobs:
                job.pair.function()
                runner.submit(job)
        runner.drain()
    except KeyboardInterrupt:
        raise Interrupted(runner.stop()) from None
    except BaseException:
        runner.stop()
        raise
    runner.close()
    finished = iter(range(len(jobs)))
    parts: dict[tuple[str, str], list[Record]] = {}
    seconds: dict[tuple[str, str], float] = {}
    for shown, cell in swept:
        by_problem = [[next(finished) for _ in panel.agents] for panel in cell.panels]
        for entry, *rivals in zip(shown.agents, *by_problem, strict=True):
            record = _worst([_finish(jobs[i], runner.blocks[i]) for i in rivals])
            record = record._replace(cell=cell.name)
            if cell.x is not None:
                record = record._replace(checkpoints=np.array([cell.x]))
            key = (shown.name, record.named(entry.label))
            parts.setdefault(key, []).append(record)
            seconds[key] = seconds.get(key, 0.0) + sum(runner.seconds[i] for i in rivals)
    records = {key: _joined(points) for key, points in parts.items()}
    overlays = {panel.name: _overlays(panel) for panel in arena.panels}
    curves = Curves(arena.resolved(), records, overlays, seconds, hash=arena.hash())
    for check in curves.arena["checks"]:
        curves.checks.extend(evaluate(check, curves))
    return curves


@contextmanager
def _second_compiler(arena: Arena, jobs: list[Job], workers: int) -> Iterator[None]:
    """Meanwhile another process compiles the same pairs from the last to the first.

    Numba compiles one function at a time, so a second core takes a second process. The two meet
    in the cache: who comes to a pair that the other has finished reads it.
    """
    absent = missing(job.pair for job in jobs)
    todo = {job.pair.name: (job.panel, job.agent) for job in jobs if job.pair.name in absent}
    idle = min(workers, os.cpu_count() or 1) - _others_at_work()
    process = _started(arena, [*todo.values()][::-1]) if len(todo) > 1 and idle > 1.0 else None
    try:
        yield
    finally:
        if process is not None:
            process.terminate()
            process.wait()


def _others_at_work() -> float:
    """How many other threads of this machine want a core now; the last minute's mean if unknown."""
    try:
        running = Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
        return int(running) - 1.0  # this one asks
    except (OSError, IndexError, ValueError):
        return os.getloadavg()[0]


def _started(arena: Arena, wanted: list[tuple[Panel, AgentEntry]]) -> subprocess.Popen | None:
    """A process that runs `_compile`; its errors are not its to report. None if there can be none.

    It is told where Python looks for modules before it unpacks what needs them.
    """
    code = (
        "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer)\n"
        "from banditlab.arena.simulate import _compile; _compile(*pickle.load(sys.stdin.buffer))"
    )
    nowhere = subprocess.DEVNULL
    with suppress(OSError):
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as pipe:
            pipe.write(pickle.dumps(sys.path) + pickle.dumps((arena, wanted)))
        return process
    return None


def _compile(arena: Arena, wanted: list[tuple[Panel, AgentEntry]]) -> None:
    """What the second compiler does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # it leaves, but not a folder behind
    for panel, entry in wanted:
        made = make_job(arena, panel, entry).pair
        if not under_way(made):  # here the two meet
            made.function()


def _worst(rivals: list[Record]) -> Record:
    """At every point the values of the problem on which the first measure's mean is largest."""
    values = np.stack([record.values for record in rivals])
    worst = values[..., 0].mean(axis=1).argmax(axis=0)
    picked = np.take_along_axis(values, worst[None, None, :, None], axis=0)
    return rivals[0]._replace(values=picked[0])


def _joined(points: list[Record]) -> Record:
    """One curve of the points of a swept axis."""
    if len(points) == 1:
        return points[0]
    axis = np.concatenate([record.checkpoints for record in points])
    values = np.concatenate([record.values for record in points], axis=1)
    return points[0]._replace(checkpoints=axis, values=values)


def _overlays(panel: Panel) -> list[dict[str, Any]]:
    """The panel's references, and lower bounds where the theory has one for its problem."""
    from banditlab.bounds import lai_robbins, minimax  # with scipy.special, while blocks run

    name, given = panel.problem.name, panel.problem.parameters
    t = np.array(panel.checkpoints, dtype=np.float64)
    curves = [reference.model_dump() for reference in panel.references]
    for overlay in panel.overlays:
        if name not in ("bernoulli", "gaussian"):
            raise ValueError(
                f"panel {panel.name!r}: overlay {overlay} is known for bernoulli and gaussian, "
                f"not for {name}"
            )
        if overlay == "lai_robbins":
            constant = lai_robbins(given["means"], kind=name, sigma=given.get("sigma", 1.0))
            label, y = "Lai-Robbins", constant * np.log(t)
        else:
            label, y = "minimax lower bound", minimax(len(given["means"]), t)
        curves.append({"label": label, "t": t.tolist(), "y": np.asarray(y).tolist()})
    return curves
