"""What limits a run of many workers: measured on this machine, and simulated for larger ones.

    python scripts/scale.py                       # threads and processes; ray where it is installed
    python scripts/scale.py --backend processes   # one of them
    python scripts/scale.py --simulate 1.5        # only the simulation, for 1.5 ms a block

Three numbers for each back end: what a block costs beside its play (slope over blocks that play
nothing, with a store, so that no start counts), how much of that is the time of whoever runs the
arena, which all workers share; and how much faster two workers are than one, where each block takes
over a second. On a busy machine the clock says little of the last: the second figure counts the CPU
time of a block with one worker against that with two.

The simulation is of the runner: each core asks for a block when it has ended one, and whoever runs
the arena answers one at a time.
"""

from __future__ import annotations

import argparse
import heapq
import importlib.util
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import banditlab
from banditlab.arena import runner
from banditlab.arena.backends import NAMES
from banditlab.arena.backends.ray import LOOK as LOOK_EVERY
from banditlab.arena.backends.ray import QUESTIONS

MEANS = {"name": "bernoulli", "means": [0.45, 0.55]}
FEW, MANY = 100, 2100  # blocks, of which the slope is taken
LOOK = 0.0006  # seconds of CPU for a question to an actor: measured


def arena(horizon: int, replications: int) -> dict[str, Any]:
    return {
        "problem": MEANS,
        "agents": ["thompson"],
        "horizon": horizon,
        "checkpoints": [horizon],
        "replications": replications,
    }


def run(backend: str, workers: int, horizon: int, blocks: int) -> tuple[float, float, float]:
    """Wall and CPU seconds here, and CPU seconds of the play, of so many blocks of one row."""
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        curves = banditlab.simulate(
            arena(horizon, blocks), backend=backend, workers=workers,
            keep=Path(folder) / "store", progress=lambda *_: None,
        )  # fmt: skip
        played = sum(curves.seconds.values())
        return time.perf_counter() - wall, time.process_time() - cpu, played


def overhead(backend: str) -> tuple[float, float]:
    """Milliseconds of a block beside its play, by the clock and of our CPU."""
    few, many = run(backend, 1, 1, FEW), run(backend, 1, 1, MANY)
    clock, ours, play = (1000 * (b - a) / (MANY - FEW) for a, b in zip(few, many, strict=True))
    return clock - play, ours - (play if backend == "threads" else 0.0)


def scaling(backend: str, horizon: int) -> tuple[float, float, float]:
    """Two workers against one, by the clock and by CPU time; and seconds of a block."""
    walls, plays = [], []
    for workers in (1, 2):
        few, many = (run(backend, workers, horizon, blocks) for blocks in (2, 10))
        walls.append(many[0] - few[0])
        plays.append((many[2] - few[2]) / 8)
    return walls[0] / walls[1], 2 * plays[0] / plays[1], plays[0]


def long_enough() -> int:
    """A horizon that takes a good second."""
    horizon = 100_000
    while (took := run("threads", 1, horizon, 1)[2]) < 0.3:
        horizon *= 2
    return int(horizon * 1.3 / took)


def simulated(cores: int, seconds: float, driver: float, blocks: int = 20) -> float:
    """The share of the cores that is busy, where a block takes the driver so many seconds.

    Blocks last ``seconds``, give or take a fifth. Questions to actors take the driver, too.
    """
    rng = random.Random(1)
    each = driver / (1.0 - LOOK * min(QUESTIONS, cores / LOOK_EVERY))
    free, busy, last = 0.0, 0.0, 0.0
    ends = [(0.0, i) for i in range(cores)]
    left = cores * blocks
    while left:
        now, core = heapq.heappop(ends)
        free = max(free, now) + each
        took = seconds * rng.uniform(0.8, 1.2)
        busy, left = busy + took, left - 1
        last = max(last, free + took)
        heapq.heappush(ends, (free + took, core))
    return busy / (cores * last)


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    p.add_argument("--backend", choices=NAMES, action="append")
    p.add_argument("--simulate", metavar="MS", type=float, help="of the driver for a block")
    args = p.parse_args()
    costs = {} if args.simulate is None else {"given": args.simulate / 1000}
    if args.simulate is None:
        here = [n for n in NAMES if n != "ray" or importlib.util.find_spec("ray")]
        runner.BLOCK = 1  # blocks of one row
        runner.SAFE = 0
        horizon = long_enough()
        row = 8 * len(banditlab.simulate(arena(2, 1)).records["main", "thompson"].measures)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; "
              f"a block brings {row} bytes for each row and checkpoint")  # fmt: skip
        print("back end     ms a block   of that ours   1 -> 2 workers   by CPU   s a block")
        for name in args.backend or here:
            clock, ours = overhead(name)
            walls, plays, took = scaling(name, horizon)
            print(
                f"{name:<12} {clock:10.2f} {ours:14.2f} {walls:15.2f}x {plays:7.2f}x {took:11.2f}"
            )
            sys.stdout.flush()
            costs[name] = ours / 1000
    print("\nshare of the cores that is busy (simulated)")
    print(f"{'':<12} {'s a block':>10}" + "".join(f"{cores:>9,}" for cores in CORES))
    for name, cost in costs.items():
        for seconds in (0.5, 5.0):
            shares = [simulated(cores, seconds, max(cost, 1e-6)) for cores in CORES]
            print(f"{name:<12} {seconds:10g}" + "".join(f"{share:9.2f}" for share in shares))
    return 0


CORES = (2, 100, 1000, 3000, 10_000)

if __name__ == "__main__":
    sys.exit(main())
