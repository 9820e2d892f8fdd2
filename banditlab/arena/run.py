"""Runs an arena: many replications of every agent of every panel, on all cores.

The unit of work is a block of replications of one (panel, agent): one call of a compiled pair,
which releases Python's lock. Blocks run on threads; while they run, the next pair compiles.
Replication r draws from streams that depend on the seed and on r alone, so neither the number of
workers nor the size of a block can change a bit of the result.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab import random, registry
from banditlab.arena.spec import AgentEntry, Arena, Panel, cells, read_arena
from banditlab.compile import Pair, missing, pair, under_way
from banditlab.core import Task
from banditlab.curves import Curves, Record, evaluate
from banditlab.parts.many_arms import many_armed
from banditlab.protocols import identify, observe, offline, offline_mdp, online
from banditlab.protocols.loops import exact, lanes
from banditlab.validate import integer

BLOCK = 64
SPEAKERS: dict[str, tuple[type, ...]] = {
    "online": (online.Online, offline.Offline),  # an offline rule is deployed after the log
    "offline": (offline.Offline,),
    "offline_mdp": (offline_mdp.OfflineMDP, offline.Offline),  # a rule answers state by state
    "observe": (observe.Observe, online.Online),  # who only plays looks at what it plays
    "identify": (identify.Identify,),
}
PROBLEMS: dict[str, type[Any]] = {
    "online": online.Problem,
    "offline": online.Problem,
    "offline_mdp": offline_mdp.LoggedMDP,
    "observe": observe.Losses,
    "identify": online.Problem,
}

Progress = Callable[[str, int, int], None]  # what is under way, rounds done, rounds in all


class Interrupted(Exception):
    """Ctrl-C: what was finished is kept."""


class Job(NamedTuple):
    """One curve: an agent in a panel."""

    panel: Panel
    agent: AgentEntry
    pair: Pair
    task: Task
    log_rounds: int
    checkpoints: np.ndarray  # as the kernel wants them
    measures: tuple[str, ...]  # what the kernel records
    key: np.ndarray


def speaks(agent: Mapping[str, Any], panel: Mapping[str, Any]) -> bool:
    """Whether the algorithm of a (raw) agent entry speaks the protocol of a (raw) panel."""
    hyper = {k: v for k, v in agent.items() if k not in ("name", "label", "warm")}
    algorithm = registry.make(agent["name"], **hyper)
    known = SPEAKERS[panel.get("protocol", "online")]
    rule_without_log = isinstance(algorithm, offline.Offline) and not panel.get("log")
    if panel.get("protocol", "online") == "online" and rule_without_log:
        return False
    return isinstance(algorithm, known)


def _matched(panel: Panel, entry: AgentEntry, algorithm: Any, problem: Any) -> None:
    """Refuse, in one line, an agent that cannot play the panel's problem."""
    who = f"agent {entry.label!r} in panel {panel.name!r}"
    accepted = algorithm.rewards
    if not isinstance(algorithm, SPEAKERS[panel.protocol]):
        spoken = {kind: name for name, kinds in SPEAKERS.items() for kind in kinds[:1]}
        raise ValueError(
            f"{who} speaks {spoken[type(algorithm)]}, the panel's protocol is {panel.protocol}"
        )
    if not isinstance(problem, PROBLEMS[panel.protocol]):
        raise ValueError(
            f"panel {panel.name!r}: {panel.problem.name} is no problem of protocol {panel.protocol}"
        )
    learns_from_log = isinstance(algorithm, offline.Offline) or entry.warm
    if panel.protocol == "online" and learns_from_log and panel.log < 1:
        raise ValueError(f"{who} learns from a log: give the panel log = ROUNDS, at least 1")
    if panel.exact and not exact.summable(problem):
        raise ValueError(f"panel {panel.name!r}: exact is for two_arm, not {panel.problem.name}")
    supply, wanted = getattr(problem, "supply", 0), panel.horizon + panel.log
    if supply and wanted > supply:
        name = panel.problem.name
        held = f"the rewards that each arm of {name} has"  # one arm may be pulled throughout
        if panel.protocol == "observe":
            held = f"the rounds that {name} has losses for"
        raise ValueError(
            f"panel {panel.name!r}: horizon must be at most {supply - panel.log}, {held}, "
            f"got {panel.horizon}"
        )
    if panel.protocol == "observe":
        _affordable(panel, who, algorithm, problem)
    if panel.protocol == "identify":
        _identifiable(panel, who, algorithm, problem)
    low, high = problem.rewards
    if low < accepted[0] or high > accepted[1]:
        raise ValueError(
            f"{who} needs rewards in [{accepted[0]:g}, {accepted[1]:g}], but "
            f"{panel.problem.name} pays rewards in [{low:g}, {high:g}]"
        )
    if getattr(algorithm, "features", False) and problem.shape[2] == 0:
        raise ValueError(f"{who} needs features, but {panel.problem.name} shows none")
    if isinstance(algorithm, offline.Offline) and problem.shape[2] > 0:
        raise ValueError(f"{who} learns per context, but {panel.problem.name} shows features")


def _affordable(panel: Panel, who: str, algorithm: Any, problem: observe.Losses) -> None:
    """Refuse a budget that cannot be spent, and an agent that the terms of play do not suit."""
    pairs = problem.shape[0] * panel.horizon
    if problem.budget > pairs:
        raise ValueError(
            f"panel {panel.name!r}: budget must be at most arms x horizon, {pairs}, "
            f"got {problem.budget}"
        )
    _suits(who, algorithm, _task(panel, problem), problem)


def _identifiable(panel: Panel, who: str, algorithm: Any, problem: online.Problem) -> None:
    """Refuse a budget in which an agent cannot decide."""
    if getattr(algorithm, "check", None) is not None:
        with np.errstate(all="ignore"):
            nature = random.stream(random.key(0), 0, random.NATURE)
            world = problem.init(problem.params, nature)
            shown = problem.observe(problem.params, world, 0, nature)
        _suits(who, algorithm, _task(panel, problem), shown)


def _suits(who: str, algorithm: Any, *facts: Any) -> None:
    """Let an agent refuse a task that it cannot meet."""
    check = getattr(algorithm, "check", None)
    if check is not None:
        try:
            check(*facts)
        except ValueError as error:
            raise ValueError(f"{who}: {error}") from None


def _task(panel: Panel, problem: Any) -> Task:
    """What an agent of the panel may know."""
    n_arms, n_contexts, dim = problem.shape
    task = Task(n_arms, n_contexts, dim, panel.horizon)
    if isinstance(problem, observe.Losses):
        task = task._replace(budget=problem.budget, price=problem.price)
    return task


def can_play(panel: Panel, entry: AgentEntry) -> bool:
    """Whether an agent can play the panel's problem."""
    problem = registry.make_problem(panel.problem.name, **panel.problem.parameters)
    try:
        _matched(panel, entry, registry.make(entry.name, **entry.hyper), problem)
    except ValueError:
        return False
    return True


def _job(arena: Arena, panel: Panel, entry: AgentEntry) -> Job:
    problem = registry.make_problem(panel.problem.name, **panel.problem.parameters)
    algorithm = registry.make(entry.name, **entry.hyper)
    _matched(panel, entry, algorithm, problem)
    task = _task(panel, problem)
    points = np.array(panel.checkpoints, dtype=np.int64)
    loop, log_rounds = online.run_block, 0
    measures: tuple[str, ...] = online.MEASURES
    if panel.protocol == "offline_mdp":
        loop, measures = offline_mdp.run_block, offline_mdp.MEASURES
        if isinstance(algorithm, offline.Offline):
            algorithm = offline_mdp.as_planner(algorithm)
    elif panel.protocol == "observe":
        loop, measures = observe.run_block, observe.MEASURES
        if isinstance(algorithm, online.Online):
            algorithm = observe.observing(algorithm)
    elif panel.protocol == "identify":
        loop, measures = identify.run_block, identify.MEASURES
    elif isinstance(algorithm, offline.Offline):
        loop = exact.run_block if panel.exact else offline.run_block
        measures = offline.MEASURES
        if panel.protocol == "online":  # deployed: its regret follows from the gap it has now
            points, task = np.array([panel.log], dtype=np.int64), task._replace(horizon=panel.log)
    else:
        algorithm = many_armed(algorithm, task.n_arms)
        if entry.warm:
            log_rounds = panel.log
        elif algorithm.lanes is not None and problem.lanes is not None:
            loop, algorithm, problem = lanes.run_block, algorithm.lanes, problem.lanes
    key = random.key(arena.seed)
    example = (task, key, 0, 0, points, np.zeros(2, np.int64), np.zeros((1, 1, len(measures))))
    made = pair(loop, (algorithm, problem), example)
    return Job(panel, entry, made, task, log_rounds, points, measures, key)


def _run_block(job: Job, first: int, count: int, progress: np.ndarray) -> tuple[np.ndarray, float]:
    record = np.zeros((count, job.checkpoints.size, len(job.measures)))
    began = time.thread_time()
    with np.errstate(all="ignore"):  # plain Python wraps uint64 aloud; the streams mean it
        job.pair(job.task, job.key, first, job.log_rounds, job.checkpoints, progress, record)
    return record, time.thread_time() - began


def _finish(job: Job, blocks: dict[int, np.ndarray]) -> Record:
    values = np.concatenate([blocks[first] for first in sorted(blocks)])
    points = np.array(job.panel.checkpoints, dtype=np.int64)
    if job.panel.protocol == "online" and job.measures == offline.MEASURES:
        # A frozen rule loses its gap in every round: exact, where playing it would add noise.
        return Record(points, ("regret",), values[:, :1] * points[None, :, None])
    return Record(points, job.measures, values)


def _block_file(folder: Path, job: Job, first: int, count: int) -> Path:
    facts = (job.pair.name, job.pair.data, job.task, job.log_rounds, job.checkpoints, job.key)
    digest = hashlib.sha256(repr(facts).encode() + job.checkpoints.tobytes())
    for value in _arrays(job.pair.data):
        digest.update(value.tobytes())
    return folder / f"{digest.hexdigest()[:24]}-{first}-{count}.npy"


def _arrays(value: Any) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, tuple | list):
        return [array for item in value for array in _arrays(item)]
    return []


def _keep(path: Path, record: np.ndarray) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        np.save(file, record)
    os.replace(file.name, path)


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
        _matched(panel, entry, registry.make(entry.name, **entry.hyper), problem)
    total = sum(panel.replications * panel.horizon for panel, _ in wanted)
    runner = _Runner(workers, keep, progress, total)
    try:
        jobs = [_job(arena, panel, entry) for panel, entry in wanted]
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
        "from banditlab.arena.run import _compile; _compile(*pickle.load(sys.stdin.buffer))"
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
        made = _job(arena, panel, entry).pair
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


class _Runner:
    """Blocks on threads; results by job; a stop flag that every running block reads."""

    def __init__(self, workers: int, keep: Path | None, progress: Progress | None, total: int):
        self.pool = ThreadPoolExecutor(workers, thread_name_prefix="arena")
        self.keep, self.progress, self.total = keep, progress, total
        self.blocks: list[dict[int, np.ndarray]] = []
        self.seconds: list[float] = []
        self.waiting: dict[Future, tuple[int, int, int, np.ndarray, Path | None]] = {}
        self.done = 0  # rounds of finished blocks
        self.kept = 0  # blocks
        self.what = ""

    def submit(self, job: Job) -> None:
        """Start the blocks of one curve; those kept from an earlier run are read instead."""
        self.blocks.append({})
        self.seconds.append(0.0)
        i = len(self.blocks) - 1
        self.what = f"{job.panel.name}: {job.agent.label}"
        for first in range(0, job.panel.replications, BLOCK):
            count = min(BLOCK, job.panel.replications - first)
            rounds = count * job.panel.horizon
            path = _block_file(self.keep, job, first, count) if self.keep else None
            if path is not None and path.exists():
                self.blocks[i][first] = np.load(path)
                self.done += rounds
                continue
            flag = np.zeros(2, np.int64)
            future = self.pool.submit(_run_block, job, first, count, flag)
            self.waiting[future] = (i, first, rounds, flag, path)
        self.collect(timeout=0)

    def collect(self, timeout: float | None) -> None:
        """Take in what has finished within ``timeout`` seconds."""
        finished, _ = wait(self.waiting, timeout, return_when=FIRST_COMPLETED)
        for future in finished:
            i, first, rounds, _, path = self.waiting.pop(future)
            record, seconds = future.result()
            self.blocks[i][first] = record
            self.seconds[i] += seconds
            self.done += rounds
            if path is not None:
                _keep(path, record)
                self.kept += 1
        if self.progress is not None:
            under_way = sum(int(entry[3][0]) for entry in self.waiting.values())
            self.progress(self.what, min(self.done + under_way, self.total), self.total)

    def drain(self) -> None:
        """Wait for everything."""
        while self.waiting:
            self.collect(timeout=0.2)

    def stop(self) -> str:
        """End what runs, keep what is finished, and say so."""
        total = self.kept + len(self.waiting)
        for future, (_, _, _, flag, _) in self.waiting.items():
            future.cancel()
            flag[1] = 1
        self.pool.shutdown(wait=True, cancel_futures=True)
        if self.keep is None:
            return "interrupted; nothing was written"
        return f"interrupted; {self.kept} of {total} blocks kept"

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()


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
