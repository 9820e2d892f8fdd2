"""What is under test: an algorithm with a problem, played by the protocol that they speak."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab import random, registry
from banditlab.agent import Agent
from banditlab.arena.play import ready
from banditlab.protocols.base import Loop, Protocol, Terms

SEED = 20260101
ROUNDS = 60


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


def loop_of(s: Subject, rounds: int) -> Loop:
    """What is compiled: replications one by one, never in lanes."""
    algorithm = s.algorithm
    if getattr(algorithm, "lanes", None) is not None:
        algorithm = algorithm._replace(lanes=None)
    points = np.unique(np.geomspace(1, rounds, 8).astype(np.int64))
    points = s.protocol.contract.points(points)
    return s.protocol.loop_of(Terms(algorithm, s.problem, rounds), points)


def alone(s: Subject) -> bool:
    """Whether replications are played by processes of their own, not by kernels.

    They take minutes there, and may need packages that are not installed.
    """
    return loop_of(s, ROUNDS).alone is not None


def run(
    s: Subject, rounds: int = ROUNDS, first: int = 0, count: int = 3, seed: int = SEED
) -> np.ndarray:
    """Records (replications, checkpoints, measures) of replications first .. first + count - 1."""
    loop = loop_of(s, rounds)
    record = np.zeros((count, loop.checkpoints.size, len(loop.measures)))
    ready(loop, random.key(seed))(first, record, np.zeros(2, np.int64))
    return record


# Records of plain Python, by subject; those wanted are run by one child process, the next time
# that one of them is asked for.
_plain: dict[str, np.ndarray] = {}
_wanted: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {}


def _key(s: Subject) -> tuple[str, tuple[str, dict[str, Any], str, dict[str, Any]]]:
    facts = (s.name, s.hyper, s.problem_name, s.parameters)
    return repr(facts), facts


def want_plain(subjects: Iterable[Subject]) -> None:
    """Let the next child process that runs plain Python run these subjects too.

    But for those that have processes of their own, where nothing is compiled.
    """
    _wanted.update(_key(s) for s in subjects if not alone(s))


def plain_run(s: Subject) -> np.ndarray:
    """`run` in a child process without the jit."""
    key, facts = _key(s)
    if key not in _plain:
        wanted = {**{k: v for k, v in _wanted.items() if k not in _plain}, key: facts}
        with tempfile.TemporaryDirectory() as folder:
            asked, out = Path(folder) / "asked", Path(folder) / "plain.npz"
            asked.write_bytes(pickle.dumps(list(wanted.values())))
            code = (
                "import sys; from banditlab.testing import subject; subject.run_all(*sys.argv[1:])"
            )
            subprocess.run(
                [sys.executable, "-c", code, str(asked), str(out)],
                env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
                check=True,
            )
            with np.load(out) as records:
                _plain.update({key: records[str(i)] for i, key in enumerate(wanted)})
    return _plain[key]


def run_all(asked: str, out: str) -> None:
    """What the child process does."""
    records = {}
    for i, (name, hyper, problem, parameters) in enumerate(pickle.loads(Path(asked).read_bytes())):
        s = Subject(name, hyper, registry.make(name, **hyper), problem, parameters)
        records[str(i)] = run(s)
    np.savez(out, **records)  # type: ignore[arg-type]


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
