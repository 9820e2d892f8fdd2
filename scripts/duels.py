"""Duels per second of the dueling agents, beside plain C, NumPy, and duelpy where it is installed.

All play on one core, by the matrix of the six rankers (`six_rankers`, 6 arms) or of 16 kinds of
sushi. RUCB is written three more times as its paper has it, a whole matrix of bounds every round:
in C (``scripts/duels.c``), and in NumPy with all replications in each array operation. The rounds
of all contestants are interleaved, and the best of several counts. Part of
``scripts/benchmark.py``; by itself: ``python scripts/duels.py``.
"""

from __future__ import annotations

import importlib
import math
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from banditlab import random, registry
from banditlab.compile import compiled
from banditlab.problems.duel_matrix import MATRICES
from banditlab.protocols import duel
from banditlab.protocols.base import Terms

ROOT = Path(__file__).parent.parent
Play = Callable[[], tuple[float, float]]  # duels per CPU-second and mean strong regret
NAMED = ("six_rankers", "sushi16")


def ours(name: str, matrix: str, horizon: int, replications: int) -> Play:
    """An agent in the arena's loop."""
    problem = registry.make_problem("duel_matrix", matrix=matrix)
    loop = duel.loop(Terms(registry.make(name), problem, horizon), np.array([horizon]))
    record = np.zeros((replications, 1, len(loop.measures)))
    args = (loop.task, random.key(1), 0, 0, loop.checkpoints, np.zeros(2, np.int64), record)
    pair = compiled(loop.run_block, (loop.algorithm, loop.problem), args)

    def play() -> tuple[float, float]:
        began = time.process_time()
        pair(*args)
        seconds = time.process_time() - began
        strong = record[:, -1, loop.measures.index("strong")]
        return horizon * replications / seconds, float(strong.mean())

    return play


def plain_c(program: Path, matrix: str, horizon: int, replications: int) -> Play:
    """RUCB in C."""
    P = MATRICES[matrix]
    words = [str(program), str(len(P)), str(horizon), str(replications)]
    entries = " ".join(repr(float(p)) for p in P.ravel())

    def play() -> tuple[float, float]:
        done = subprocess.run(words, input=entries, check=True, capture_output=True, text=True)
        seconds, regret = map(float, done.stdout.split())
        return horizon * replications / seconds, regret

    return play


def numpy_rucb(matrix: str, horizon: int, replications: int) -> Play:
    """RUCB as a good NumPy programmer writes it: all replications in each array operation."""
    P = MATRICES[matrix]
    K, rows = len(P), np.arange(replications)
    others = ~np.eye(K, dtype=bool)

    def play() -> tuple[float, float]:
        rng = np.random.default_rng(1)
        wins = np.zeros((replications, K, K))
        champion = np.full(replications, -1)
        regret = np.zeros(replications)
        began = time.process_time()
        for t in range(1, horizon + 1):
            met = wins + wins.transpose(0, 2, 1)
            with np.errstate(all="ignore"):
                U = np.where(met > 0, wins / met + np.sqrt(0.51 * math.log(t) / met), 1.0)
            U[:, ~others] = 0.5
            inside = (U >= 0.5).all(axis=2)
            n = inside.sum(axis=1)
            champion[(champion >= 0) & ~inside[rows, champion]] = -1
            champion = np.where(n == 1, inside.argmax(axis=1), champion)
            lot = rng.random((replications, K)) * np.where(n[:, None] == 0, True, inside)
            crowned = champion >= 0
            lot[rows[crowned], champion[crowned]] = np.where(
                (n[crowned] == 1) | (rng.random(crowned.sum()) < 0.5), 2.0, -1.0
            )
            left = lot.argmax(axis=1)
            against = U[rows, :, left]
            against[rows, left] = np.nextafter(0.5, 0.0)
            right = against.argmax(axis=1)
            won = rng.random(replications) < P[left, right]
            differ = left != right
            wins[rows[differ], left[differ], right[differ]] += won[differ]
            wins[rows[differ], right[differ], left[differ]] += ~won[differ]
            regret += 0.5 * (P[0, left] + P[0, right] - 1.0)
        seconds = time.process_time() - began
        return horizon * replications / seconds, float(regret.mean())

    return play


def duelpy(matrix: str, horizon: int) -> Play | None:
    """RUCB of duelpy, or None where that is not installed or does not run."""
    if find_spec("duelpy") is None:
        return None
    anew: Any = np
    if not hasattr(np, "float"):  # duelpy 1.0 is older than NumPy 1.24, which has no such name
        anew.float = float
    try:
        library = importlib.import_module("duelpy.algorithms").RelativeUCB
        feedback = importlib.import_module("duelpy.feedback").MatrixFeedback
    except (ImportError, AttributeError):
        return None
    finally:
        del anew.float
    P = MATRICES[matrix]

    def play() -> tuple[float, float]:
        state = np.random.RandomState(1)
        algorithm = library(
            feedback(P, random_state=state), time_horizon=horizon, random_state=state
        )
        began = time.process_time()
        algorithm.run()
        return horizon / (time.process_time() - began), math.nan

    return play


def contestants(folder: Path, quick: bool) -> dict[tuple[str, str, str], Play]:
    """How to play, by agent, way and matrix."""
    horizon, replications = 20_000, 20
    agents = ["rucb"] if quick else duelists()
    found: dict[tuple[str, str, str], Play] = {}
    gcc, program = shutil.which("gcc"), folder / "duels"
    if gcc is not None:
        source = str(ROOT / "scripts" / "duels.c")
        subprocess.run([gcc, "-O3", "-march=native", "-o", str(program), source, "-lm"], check=True)
    for matrix in [*NAMED][: 1 if quick else None]:
        for name in agents:
            found[name, "banditlab", matrix] = ours(name, matrix, horizon, replications)
        if gcc is not None:
            found["rucb", "C", matrix] = plain_c(program, matrix, horizon, replications)
        found["rucb", "NumPy over replications", matrix] = numpy_rucb(matrix, 1000, 200)
        other = duelpy(matrix, 1000)
        if other is not None:
            found["rucb", "duelpy", matrix] = other
    return found


def duelists() -> list[str]:
    """All agents of protocol duel that choose by answers alone."""
    made = {name: registry.make(name) for name in registry.names()}
    return [
        name
        for name, algorithm in made.items()
        if duel.PROTOCOL.speaks(algorithm) and algorithm.reveal is duel.nothing
    ]


def rates(quick: bool) -> list[dict[str, Any]]:
    """Rows with agent, way, matrix, duels per core-second and mean regret."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plays = contestants(Path(folder), quick)
        best: dict[tuple[str, str, str], tuple[float, float]] = {}
        for _ in range(1 if quick else 3):  # interleaved, so that a busy neighbour hurts all alike
            for who, play in plays.items():
                best[who] = max(best.get(who, (0.0, 0.0)), play())
    return [
        {"agent": agent, "how": how, "matrix": matrix, "duels_per_second": rate, "regret": regret}
        for (agent, how, matrix), (rate, regret) in best.items()
    ]


def lines(rows: list[dict[str, Any]]) -> list[str]:
    """The rows in words, with how many times as fast as the other ways ours is."""
    found = []
    mine = {(r["agent"], r["matrix"]): r for r in rows if r["how"] == "banditlab"}
    for row in sorted(rows, key=lambda r: (r["matrix"], -r["duels_per_second"])):
        words = f"{row['matrix']}: {row['agent']}, {row['how']}: "
        words += f"{row['duels_per_second'] / 1e6:.3f} M duels / s, regret {row['regret']:.0f}"
        if row["how"] != "banditlab":
            own = mine[row["agent"], row["matrix"]]["duels_per_second"]
            words += f"; ours {own / row['duels_per_second']:,.1f} times as fast"
        found.append(words)
    return found


if __name__ == "__main__":
    print("\n".join(lines(rates(quick=False))))
