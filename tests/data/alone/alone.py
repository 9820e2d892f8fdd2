"""A protocol whose loop is Python: each replication wants a process of its own.

Messengers walk at random. Each replication is noted in a diary, with its process; at some it dies.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from banditlab.agent import Agent
from banditlab.protocols.base import Contract, Loop, Measure, Protocol, Terms


class Messenger(NamedTuple):
    """An algorithm."""

    params: Any
    rewards: tuple[float, float] = (0.0, 1.0)


class Errand(NamedTuple):
    """A problem."""

    params: Any
    rewards: tuple[float, float] = (0.0, 1.0)


def run_block(algorithm, problem, task, key, first, log_rounds, checkpoints, progress, record):  # type: ignore[no-untyped-def]
    """Replications ``first, first + 1, ...``; one at a time is what it is asked for."""
    for i in range(len(record)):
        note(problem.params, first + i)
        steps = np.random.default_rng([int(key[0]), first + i]).normal(size=checkpoints[-1])
        for c, t in enumerate(checkpoints.tolist()):
            if progress[1] != 0:
                return
            record[i, c, 0] = algorithm.params.stride * float(np.sum(steps[:t]))
        progress[0] += checkpoints[-1]


def note(errand: Any, replication: int) -> None:
    diary = Path(errand.diary)
    with diary.open("a") as file:
        file.write(f"{replication} {os.getpid()} {os.environ.get('OMP_NUM_THREADS')}\n")
    visits = sum(int(line.split()[0]) == replication for line in diary.read_text().splitlines())
    if replication == errand.fatal and visits <= errand.times:
        print("what it prints is no message", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def loop(terms: Terms, checkpoints: np.ndarray) -> Loop:
    nouns: tuple[Callable[..., None], Any, Any] = (run_block, terms.algorithm, terms.problem)
    return Loop(*nouns, None, checkpoints, PROTOCOL.names, python=True)


PROTOCOL = Protocol(
    name="alone",
    algorithm=Messenger,
    problem=Errand,
    measures=(Measure("place", "place"),),
    xlabel="step",
    loop=loop,
    face=Agent,
    contract=Contract(example=lambda algorithm: ("errand", {}), probe="messenger"),
    isolated=True,
)
