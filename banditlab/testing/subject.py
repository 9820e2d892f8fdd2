"""What is under test: an algorithm with a problem, played by the protocol that they speak."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab import random, registry
from banditlab.agent import Agent
from banditlab.arena.play import ready
from banditlab.protocols.base import Loop, Protocol, Terms

SEED = 20260101
ROUNDS = 60
LANES: dict[str, Any] = {"rounds": 600, "first": 2, "count": 5}  # 600: past piecewise's breaks


class Subject(NamedTuple):
    """An algorithm under test, with the problem that it is tested on."""

    name: str
    hyper: dict[str, Any]
    algorithm: Any
    problem_name: str
    parameters: dict[str, Any]

    @property
    def problem(self) -> Any:
        """The problem."""
        return registry.make_problem(self.problem_name, **self.parameters)

    @property
    def protocol(self) -> Protocol:
        """Who plays: the algorithm's own protocol, or, where it is a guest, the problem's."""
        own: Protocol = registry.protocol_of(self.algorithm)
        host: Protocol = registry.protocol_of(self.problem)
        return own if own.poses(self.problem) else host


def subject(name: str, hyper: dict[str, Any] | None = None) -> Subject:
    """``name`` made, with a problem that it can play: its file's ``example``, or a common one.

    What its file calls ``trial`` stands in for hyper-parameters that would take minutes.
    """
    hyper = {**registry.trial(name), **(hyper or {})}
    algorithm = registry.make(name, **hyper)
    played = registry.example("agent", name)
    if not played:
        problem, parameters = registry.protocol_of(algorithm).contract.example(algorithm)
        played = {"name": problem, **parameters}
    return Subject(name, hyper, algorithm, played.pop("name"), played)


def facing(name: str, parameters: dict[str, Any]) -> Subject:
    """A common agent of the problem's protocol, facing the problem."""
    protocol = registry.protocol_of(registry.make_problem(name, **parameters))
    probe = protocol.contract.probe
    return Subject(probe, {}, registry.make(probe), name, parameters)


def loop_of(s: Subject, rounds: int, lanes: bool = False) -> Loop:
    """What is compiled: replications one by one, or, if asked for and there are any, in lanes."""
    algorithm = s.algorithm
    if not lanes and getattr(algorithm, "lanes", None) is not None:
        algorithm = algorithm._replace(lanes=None)
    points = np.unique(np.geomspace(1, rounds, 8).astype(np.int64))
    points = s.protocol.contract.points(points)
    return s.protocol.loop_of(Terms(algorithm, s.problem, rounds), points)


def alone(s: Subject) -> bool:
    """Whether replications are played by processes of their own, not by kernels.

    They take minutes there, and may need packages that are not installed.
    """
    return loop_of(s, ROUNDS).alone is not None


def in_lanes(s: Subject) -> Iterator[Subject]:
    """The agent on each problem that it can play in lanes."""
    if getattr(s.algorithm, "lanes", None) is None:
        return
    for name in registry.problem_names():
        parameters = registry.example("problem", name)
        on = s._replace(problem_name=name, parameters=parameters)
        laned = getattr(on.problem, "lanes", None) is not None
        if laned and on.problem.rewards[0] >= s.algorithm.rewards[0]:
            yield on


def run(
    s: Subject,
    rounds: int = ROUNDS,
    first: int = 0,
    count: int = 3,
    seed: int = SEED,
    lanes: bool = False,
) -> np.ndarray:
    """Records (replications, checkpoints, measures) of replications first .. first + count - 1."""
    loop = loop_of(s, rounds, lanes)
    record = np.zeros((count, loop.checkpoints.size, len(loop.measures)))
    ready(loop, random.key(seed))(first, record, np.zeros(2, np.int64))
    return record


class Plain(NamedTuple):
    """What a child process without the jit is to run."""

    name: str
    hyper: dict[str, Any]
    problem_name: str
    parameters: dict[str, Any]
    given: dict[str, Any]  # to `run`

    def run(self) -> np.ndarray | str:
        """The records, or where and why there are none."""
        try:
            algorithm = registry.make(self.name, **self.hyper)
            s = Subject(self.name, self.hyper, algorithm, self.problem_name, self.parameters)
            return run(s, **self.given)
        except Exception as error:  # the others are wanted all the same
            at = traceback.extract_tb(error.__traceback__)[-1]
            return f"{Path(at.filename).name}, line {at.lineno}: {type(error).__name__}: {error}"


# What came of plain Python, by what was asked. What is wanted is run by one child process, the next
# time that a part of it is asked for.
_plain: dict[str, np.ndarray | str] = {}
_wanted: dict[str, Plain] = {}


def _asked(s: Subject, given: dict[str, Any]) -> dict[str, Plain]:
    asked = Plain(s.name, s.hyper, s.problem_name, s.parameters, given)
    return {repr(asked): asked}


def want_plain(subjects: Iterable[Subject], **given: Any) -> None:
    """Let the next child process that runs plain Python run these subjects too, see `run`.

    But for those that have processes of their own, where nothing is compiled.
    """
    for s in subjects:
        if not alone(s):
            _wanted.update(_asked(s, given))


def plain_run(s: Subject, **given: Any) -> np.ndarray:
    """`run` in a child process without the jit, where no index past the end goes unnoticed.

    Raises AssertionError with the line that failed, if one did.
    """
    ((key, asked),) = _asked(s, given).items()
    if key not in _plain:
        wanted = {**{k: v for k, v in _wanted.items() if k not in _plain}, key: asked}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "plain"
            file.write_bytes(pickle.dumps(list(wanted.values())))
            code = "import sys; from banditlab.testing import subject; subject.run_all(sys.argv[1])"
            subprocess.run(
                [sys.executable, "-c", code, str(file)],
                env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
                check=True,
            )
            _plain.update(zip(wanted, pickle.loads(file.read_bytes()), strict=True))
    found = _plain[key]
    assert not isinstance(found, str), f"{s.name}, as plain Python: {found}"
    return found


def run_all(file: str) -> None:
    """What the child process does: what came of it stands then where stood what was asked."""
    asked: list[Plain] = pickle.loads(Path(file).read_bytes())
    Path(file).write_bytes(pickle.dumps([each.run() for each in asked]))


def agent_of(s: Subject, rounds: int = ROUNDS) -> Agent:
    """The interactive agent, on the terms of the problem."""
    task = s.protocol.task(Terms(s.algorithm, s.problem, rounds))
    protocol = registry.protocol_of(s.algorithm)
    given = {key: getattr(task, key) for key in protocol.face.arguments}
    given |= protocol.contract.terms(s.problem)
    return Agent(s.name, **given, seed=SEED, **s.hyper)


def world_of(s: Subject) -> tuple[Any, np.ndarray]:
    """Nature at the start of replication 0, and its stream."""
    with np.errstate(all="ignore"):
        nature = random.stream(random.key(SEED), 0, random.NATURE)
        return s.protocol.contract.world(s.problem, nature), nature
