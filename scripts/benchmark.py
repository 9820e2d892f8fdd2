"""Speed, measured and set against plain C in the same run.

Prints a table (or ``--json``): pulls per core-second of every online agent on ten Bernoulli arms,
its ratio to the C reference (``scripts/reference.c``, gcc -O3 -march=native, when gcc is there),
seconds to compile a pair cold and to load it warm, and seconds from process start to the saved
figure of ``--agent lcb``, cold and warm. Every figure is CPU time of one core except the last two,
which are wall time; each rate is the best of several rounds, interleaved with the reference's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import banditlab
from banditlab import random, registry
from banditlab.compile import compiled
from banditlab.core import Task
from banditlab.protocols import online

ROOT = Path(__file__).parent.parent
ARMS = 10
MEANS = np.linspace(0.1, 0.9, ARMS)


def c_reference(folder: Path) -> Path | None:
    """The compiled reference, or None without a compiler."""
    gcc = shutil.which("gcc")
    if gcc is None:
        return None
    program = folder / "reference"
    source = str(ROOT / "scripts" / "reference.c")
    words = [gcc, "-O3", "-march=native", "-o", str(program), source, "-lm"]
    subprocess.run(words, check=True)
    return program


def c_rates(program: Path, horizon: int, replications: int) -> dict[str, tuple[float, float]]:
    """Pulls per second and mean regret of each variant of the reference."""
    words = [str(program), str(ARMS), str(horizon), str(replications)]
    lines = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split("\n")
    found = {}
    for line in filter(None, lines):
        name, seconds, regret = line.split()
        found[name] = (horizon * replications / float(seconds), float(regret))
    return found


def runner(name: str, horizon: int, replications: int) -> Any:
    """A function that plays the agent once and returns pulls per CPU-second and mean regret."""
    problem: Any = registry.make_problem("bernoulli", means=MEANS)
    algorithm = registry.make(name)
    if algorithm.features:
        problem = registry.make_problem("linear", n_arms=ARMS, dim=5)
    points = np.linspace(horizon / 200, horizon, 200).astype(np.int64)
    record = np.zeros((replications, points.size, len(online.MEASURES)))
    task = Task(*problem.shape, horizon)
    args = (task, random.key(1), 0, 0, points, np.zeros(2, np.int64), record)
    pair = compiled(online.run_block, (algorithm, problem), args)

    def play() -> tuple[float, float]:
        began = time.process_time()
        pair(*args)
        seconds = time.process_time() - began
        return horizon * replications / seconds, float(record[:, -1, 0].mean())

    return play


def compile_seconds() -> dict[str, float]:
    """CPU seconds of the first pair and of the second in a fresh process, cold, then warm."""
    code = (
        "import time, numpy as np, banditlab; from banditlab import random, registry\n"
        "from banditlab.core import Task; from banditlab.compile import compiled\n"
        "from banditlab.protocols import online\n"
        "p = registry.make_problem('bernoulli', means=[.2, .8]); r = np.zeros((1, 1, 3))\n"
        "a = (Task(2), random.key(1), 0, 0, np.array([9]), np.zeros(2, np.int64), r)\n"
        "for name in ('ucb', 'thompson'):\n"
        "    t = time.process_time()\n"
        "    compiled(online.run_block, (registry.make(name), p), a)\n"
        "    print(time.process_time() - t)\n"
    )
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "BANDITLAB_CACHE": folder}
        for state in ("cold", "warm"):
            words = [sys.executable, "-c", code]
            done = subprocess.run(words, env=env, check=True, capture_output=True, text=True)
            first, second = map(float, done.stdout.split())
            found[f"first pair, {state}"] = first
            found[f"next pair, {state}"] = second
    return found


def start_to_figure() -> dict[str, float]:
    """Wall seconds of ``--agent lcb`` from process start to its files, cold and warm cache."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "BANDITLAB_CACHE": str(Path(folder) / "cache")}
        words = [sys.executable, "-m", "banditlab.arena", "--agent", "lcb", "--quiet"]
        words += ["--out", str(Path(folder) / "out")]
        for state in ("cold", "warm"):
            began = time.perf_counter()
            subprocess.run(words, env=env, check=True, cwd=ROOT)
            found[state] = time.perf_counter() - began
    return found


def import_seconds() -> float:
    """Wall seconds of ``import banditlab``, the best of three fresh processes."""
    code = "import time; t = time.perf_counter(); import banditlab; print(time.perf_counter() - t)"
    words = [sys.executable, "-c", code]
    return min(
        float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        for _ in range(3)
    )


def measure(quick: bool) -> dict[str, Any]:
    """Everything, as plain data."""
    horizon, replications, rounds = (10_000, 20, 3) if quick else (10_000, 200, 5)
    names = [n for n in registry.names() if isinstance(registry.make(n), online.Online)]
    if quick:
        names = ["ucb", "thompson", "kl_ucb", "exp3", "linucb"]
    plays = {name: runner(name, horizon, replications) for name in names}
    rates = dict.fromkeys(names, 0.0)
    regrets = {}
    c: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        program = c_reference(Path(folder))
        for _ in range(rounds):  # interleaved, so that a busy neighbour hurts all alike
            if program:
                for name, (rate, regret) in c_rates(program, horizon, replications).items():
                    c[name] = (max(rate, c.get(name, (0.0, 0.0))[0]), regret)
            for name, play in plays.items():
                rate, regrets[name] = play()
                rates[name] = max(rates[name], rate)
    found: dict[str, Any] = {
        "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
        "version": banditlab.__version__,
        "instance": {"arms": ARMS, "horizon": horizon, "replications": replications},
        "c": {name: {"pulls_per_second": r, "regret": g} for name, (r, g) in c.items()},
        "agents": {
            name: {
                "pulls_per_second": rates[name],
                "regret": regrets[name],
                "of_c": rates[name] / c["same"][0] if c else None,
            }
            for name in names
        },
        "import_seconds": import_seconds(),
        "compile_seconds": compile_seconds(),
    }
    if not quick:
        found["start_to_figure_seconds"] = start_to_figure()
    return found


def show(found: dict[str, Any]) -> None:
    """A table for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    instance = found["instance"]
    table = Table(
        title=f"{instance['arms']} arms, {instance['horizon']:,} rounds, "
        f"{instance['replications']} replications, one core"
    )
    table.add_column("agent")
    for name in ("M pulls / s", "of C", "regret"):
        table.add_column(name, justify="right")
    for name, row in found["c"].items():
        rate = row["pulls_per_second"] / 1e6
        table.add_row(f"C, ucb, {name}", f"{rate:.2f}", "", f"{row['regret']:.1f}")
    for name, row in sorted(found["agents"].items(), key=lambda x: -x[1]["pulls_per_second"]):
        of_c = "" if row["of_c"] is None else f"{row['of_c']:.3f}"
        rate = row["pulls_per_second"] / 1e6
        table.add_row(name, f"{rate:.2f}", of_c, f"{row['regret']:.1f}")
    console.print(table)
    console.print(f"import banditlab: {found['import_seconds']:.2f} s")
    for name, seconds in found["compile_seconds"].items():
        console.print(f"{name}: {seconds:.2f} CPU s")
    for name, seconds in found.get("start_to_figure_seconds", {}).items():
        console.print(f"start to figure, --agent lcb, {name}: {seconds:.1f} s")


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="a minute instead of five")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    args = parser.parse_args()
    found = measure(args.quick)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")
    if args.json:
        print(json.dumps(found))
    else:
        show(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
