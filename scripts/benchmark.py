"""Speed, as ratios measured in one run: scalar loop, lanes, plain C, NumPy, other libraries.

The instance is UCB's usual one: ten Bernoulli arms, 200 recorded checkpoints. Reported are pulls
per core-second of every online agent, one replication at a time (scalar) and in lock-step (lanes);
of ``scripts/reference.c`` (gcc -O3 -march=native, when gcc is there): the textbook's UCB, UCB with
our arithmetic, and Thompson sampling with our sampler; of UCB in NumPy, vectorised over
replications; and of the libraries of ``scripts/peers.py`` that are installed. Then what a short
replication costs beside its rounds, the gain of a second core, seconds to compile a pair and from
process start to the figure of ``--agent lcb``, the memory of 10^10 pulls, and how time grows with
the horizon, the arms, the replications and the dimension; a Lasso path, ours and scikit-learn's;
duels per second (``duels.py``), episodes per second (``episodes.py``) and, beside torch and
libraries that are installed, rounds per second of networks (``neural.py``).

Rates are per second of CPU time, the best of several rounds, and the rounds of all contestants are
interleaved, so that a busy neighbour hurts all alike. Writes ``results/benchmark/``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duels
import episodes
import neural
import numpy as np
import pandas as pd
import peers
import speed
from benchmark_figure import picture

import banditlab
from banditlab import random, registry
from banditlab.compile import compiled
from banditlab.core import Task
from banditlab.data.atomic import write_text
from banditlab.plot import save
from banditlab.protocols import online
from banditlab.protocols.loops import lanes
from banditlab.protocols.online import for_arms

ROOT = Path(__file__).parent.parent
ARMS = 10
MEANS = np.linspace(0.1, 0.9, ARMS)
LANES = 64  # as many as the arena's blocks hold
Play = Callable[[], tuple[float, float]]  # pulls per CPU-second and mean regret


# --- contestants --------------------------------------------------------------------------------


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


def pair_of(
    name: str, problem: Any, horizon: int, replications: int, lock_step: bool, points: int = 200
) -> tuple[Any, tuple[Any, ...]]:
    """A compiled pair and the arguments to call it with; the record is the last of them."""
    algorithm = registry.make(name)
    if not lock_step:
        algorithm = for_arms(algorithm, problem.shape[0])
    at = np.unique(np.linspace(horizon / points, horizon, points).astype(np.int64))
    record = np.zeros((replications, at.size, len(online.PROTOCOL.names)))
    task = Task(*problem.shape, horizon)
    args = (task, random.key(1), 0, 0, at, np.zeros(2, np.int64), record)
    if lock_step:
        return compiled(lanes.run_block, (algorithm.lanes, problem.lanes), args), args
    return compiled(online.run_block, (algorithm, problem), args), args


def play(pair: Any, args: tuple[Any, ...]) -> tuple[float, float]:
    """Call a pair once."""
    began = time.process_time()
    pair(*args)
    seconds = time.process_time() - began
    record = args[-1]
    return args[0].horizon * len(record) / seconds, float(record[:, -1, 0].mean())


def contestants(names: list[str], horizon: int, replications: int) -> dict[tuple[str, str], Play]:
    """How to play each agent, by name and loop."""
    arms = registry.make_problem("bernoulli", means=MEANS)
    fixed = registry.make_problem("linear", n_arms=ARMS, dim=5)
    fresh = registry.make_problem("linear", n_arms=ARMS, dim=5, fixed=False)
    found: dict[tuple[str, str], Play] = {}
    for name in names:
        algorithm = registry.make(name)
        for title, problem in (
            (("fixed arms, d = 5", fixed), ("fresh features, d = 5", fresh))
            if algorithm.features
            else (("scalar", arms),)
        ):
            pair, args = pair_of(name, problem, horizon, replications, False)
            found[name, title] = lambda pair=pair, args=args: play(pair, args)
        if algorithm.lanes is not None:
            pair, args = pair_of(name, arms, horizon, LANES * max(1, replications // LANES), True)
            found[name, "lanes"] = lambda pair=pair, args=args: play_blocks(pair, args)
    found["ucb", "NumPy over replications"] = lambda: numpy_ucb(horizon, 1000)
    return found


def play_blocks(pair: Any, args: tuple[Any, ...]) -> tuple[float, float]:
    """Call a pair in blocks, as the arena does."""
    *front, record = args
    began = time.process_time()
    for first in range(0, len(record), LANES):
        front[2] = first
        pair(*front, record[first : first + LANES])
    seconds = time.process_time() - began
    return args[0].horizon * len(record) / seconds, float(record[:, -1, 0].mean())


def numpy_ucb(horizon: int, replications: int) -> tuple[float, float]:
    """UCB as a good NumPy programmer writes it: all replications in each array operation."""
    rng = np.random.default_rng(1)
    rows = np.arange(replications)
    pulls, sums = np.zeros((2, replications, ARMS))
    regret = np.zeros(replications)
    began = time.process_time()
    for t in range(horizon):
        if t < ARMS:
            arm = np.full(replications, t)
        else:
            arm = np.argmax(sums / pulls + np.sqrt(2.0 * math.log(t + 1.0) / pulls), axis=1)
        pulls[rows, arm] += 1.0
        sums[rows, arm] += rng.random(replications) < MEANS[arm]
        regret += MEANS[-1] - MEANS[arm]
    seconds = time.process_time() - began
    return horizon * replications / seconds, float(regret.mean())


def peer_rates(rounds: int) -> list[dict[str, Any]]:
    """Pulls per CPU-second of other libraries, one replication each."""
    rng = np.random.default_rng(1)
    rewards = (rng.random((rounds, ARMS)) < MEANS).astype(float)
    features = rng.normal(size=(ARMS, 5))
    features /= np.linalg.norm(features, axis=1)[:, None]
    found = []
    for library, policy, game in peers.installed():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            game(rewards[:50], features)  # whatever it does only once
            began = time.process_time()
            mean = game(rewards, features)
            rate = rounds / (time.process_time() - began)
        row = {"library": library, "agent": policy, "pulls_per_second": rate, "mean_reward": mean}
        row["version"] = version(library)
        found.append(row)
    return found


# --- single figures -----------------------------------------------------------------------------


def fresh(code: str, **env: str) -> list[float]:
    """The numbers that ``code`` prints in a new process."""
    words = [sys.executable, "-c", code]
    done = subprocess.run(
        words, env={**os.environ, **env}, check=True, capture_output=True, text=True, cwd=ROOT
    )
    return [float(word) for word in done.stdout.split()]


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
        for state in ("cold", "warm"):
            first, second = fresh(code, BANDITLAB_CACHE=folder)
            found[f"first pair, {state}"] = first
            found[f"next pair, {state}"] = second
    return found


def known_kernels(names: list[str], beside: bool) -> dict[str, float]:
    """CPU seconds of a pair never compiled before, in a process that finds the kernels on disk.

    The kernels are those that another pair left there; ``beside`` it the same in an empty folder.
    """
    code = (
        "import time, sys, numpy as np, banditlab; from banditlab import random, registry\n"
        "from banditlab.core import Task; from banditlab.compile import compiled\n"
        "from banditlab.protocols import online\n"
        "r = np.zeros((1, 1, 3)); name, problem = '{}', registry.make_problem({})\n"
        "a = (Task(2), random.key(1), 0, 0, np.array([9]), np.zeros(2, np.int64), r)\n"
        "t = time.process_time()\n"
        "compiled(online.run_block, (registry.make(name), problem), a)\n"
        "print(time.process_time() - t)\n"
    )
    before = code.format("thompson", "'gaussian', means=[.2, .8]").replace(
        "make(name)", "make(name, sigma=1.0)"
    )
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        left = Path(folder) / "left"
        fresh(before, BANDITLAB_CACHE=str(left))
        for name in names:  # each alone: none finds what the one before it left
            wanted = code.format(name, "'bernoulli', means=[.2, .8]")
            empty, known = Path(folder) / f"{name}, empty", Path(folder) / f"{name}, known"
            shutil.copytree(left, known)
            if beside:
                found[f"{name}, nothing on disk"] = fresh(wanted, BANDITLAB_CACHE=str(empty))[0]
            found[f"{name}, kernels on disk"] = fresh(wanted, BANDITLAB_CACHE=str(known))[0]
    return found


def interactive(name: str) -> bool:
    """Whether its kernels decide in the tasks below: networks have none, two agents need others."""
    deep = registry.protocol_of(registry.make(name)).name == "gym"
    return not deep and name not in ("extra_observations", "mex_finite")


def first_decision(names: list[str]) -> dict[str, float]:
    """CPU seconds of the first round of an interactive agent, beyond the import, warm cache."""
    code = (
        "import time, banditlab\n"
        "name = '{}'; face = banditlab.registry.protocol_of(banditlab.make(name)).face\n"
        "given = dict(n_arms=4, dim=2, n_contexts=1, horizon=3000, n_states=3, n_actions=2,\n"
        "    steps=4, n_items=6, size=2)\n"
        "t = time.process_time()\n"
        "known = {{k: v for k, v in given.items() if k in face.arguments}}\n"
        "if not getattr(banditlab.make(name), 'features', False): known.pop('dim', None)\n"
        "agent = banditlab.Agent(name, **known)\n"
        "agent.rehearse()\n"
        "print(time.process_time() - t)\n"
    )
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            fresh(code.format(name), BANDITLAB_CACHE=folder)
            found[name] = fresh(code.format(name), BANDITLAB_CACHE=folder)[0]
    return found


def gate_seconds() -> float:
    """Wall seconds of .ci/run, which must pass."""
    began = time.perf_counter()
    subprocess.run(["bash", ".ci/run"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def vector_width() -> int:
    """Bits of the widest vector registers that the compiler may use here."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    widths = {"avx512f": 512, "avx2": 256, "avx": 256}
    return max((bits for name, bits in widths.items() if features.get(name)), default=128)


def start_to_figure() -> dict[str, float]:
    """Wall seconds of ``--agent lcb`` from process start to its files, cold and warm cache."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "BANDITLAB_CACHE": str(Path(folder) / "cache")}
        words = [sys.executable, "-m", "banditlab.arena", "--agent", "lcb", "--quiet"]
        words += ["--out", str(Path(folder) / "out")]
        for state in ("cold", "warm", "warm"):
            began = time.perf_counter()
            subprocess.run(words, env=env, check=True, cwd=ROOT)
            found[state] = min(found.get(state, math.inf), time.perf_counter() - began)
    return found


def import_seconds() -> float:
    """Wall seconds of ``import banditlab``, the best of three fresh processes."""
    code = "import time; t = time.perf_counter(); import banditlab; print(time.perf_counter() - t)"
    return min(fresh(code)[0] for _ in range(3))


def overhead_microseconds() -> dict[str, float]:
    """CPU microseconds that a replication costs beside its rounds: that of horizon 0, in effect.

    From blocks of 64 lanes and 100 or 200 rounds: twice the shorter time less the longer.
    """
    problem = registry.make_problem("bernoulli", means=MEANS)
    seconds = {}
    for horizon in (100, 200):
        pair, args = pair_of("ucb", problem, horizon, LANES * 200, True, points=10)
        rates = [play_blocks(pair, args)[0] for _ in range(7)]
        seconds[horizon] = horizon / max(rates)
    return {
        "beside its rounds": 1e6 * (2.0 * seconds[100] - seconds[200]),
        "100 rounds in all": 1e6 * seconds[100],
    }


def second_core(replications: int) -> float:
    """Wall time of one worker over that of two, for UCB in the arena."""
    arena = {
        "problem": {"name": "bernoulli", "means": MEANS.tolist()},
        "agents": [{"name": "ucb"}],
        "horizon": 100_000,
        "replications": replications,
    }
    walls = {1: math.inf, 2: math.inf}
    for _ in range(3):
        for workers in walls:
            began = time.perf_counter()
            banditlab.simulate(arena, workers=workers)
            walls[workers] = min(walls[workers], time.perf_counter() - began)
    return walls[1] / walls[2]


def memory() -> dict[str, float]:
    """Megabytes resident beyond the interpreter with everything imported: 1000 x 10^7 pulls."""
    code = (
        "import resource, banditlab, matplotlib, pandas\n"
        "from banditlab.arena.simulate import simulate\n"
        "def arena(horizon, replications):\n"
        "    return dict(problem=dict(name='bernoulli', means=[k / 10 for k in range(10)]),\n"
        "                agents=[dict(name='ucb')], horizon=horizon, replications=replications)\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "simulate(arena(100, 2)); print(peak())\n"
        "simulate(arena(10**7, 1000)); print(peak())\n"
    )
    before, after = fresh(code)
    return {"before": before, "peak": after, "beyond": after - before}


def other_protocols() -> dict[str, float]:
    """Wall seconds on all cores of one large run of each, its compilation not counted."""
    private = [{"name": name} for name in ("dp_bai", "dp_bai_gauss")]
    private[1]["allow_loose"] = True
    for placement in ("theta", "pred", "means"):
        private.append({"name": "dp_od", "label": placement, "placement": placement})
    epsilon = ", ".join(f"{agent.get('label', agent['name'])}.epsilon" for agent in private)
    runs = {
        "batched_omd, 200 replications of 2^20 rounds, 10 arms": {
            "protocol": "observe",
            "problem": {"name": "random_walk", "n_arms": 10, "gap": 0.1},
            "agents": [{"name": "batched_omd"}],
            "horizon": 2**20,
            "replications": 200,
        },
        "private best arms, 5 methods, 25 cells of 4000 replications": {
            "protocol": "identify",
            "problem": {"name": "paper_linear"},
            "agents": private,
            "sweep": {
                "horizon": [250, 500, 1000, 2000, 4000],
                epsilon: [0.01, 0.03, 0.1, 0.3, 1.0],
            },
            "replications": 4000,
        },
    }
    found = {}
    for name, arena in runs.items():
        banditlab.simulate({**arena, "replications": 2})
        began = time.perf_counter()
        banditlab.simulate(arena)
        found[name] = time.perf_counter() - began
    return found


def lasso_paths(quick: bool) -> list[dict[str, Any]]:
    """CPU seconds of a Lasso path of 50 levels, ours and scikit-learn's, on the same rows.

    Both start each level from the one before, on one core. Tolerances are such that both are good
    to about eight digits: ``above`` is the largest excess of our objective over theirs, relative to
    it, and may be negative.
    """
    try:
        from sklearn.linear_model import lasso_path
        from threadpoolctl import threadpool_limits
    except ImportError:
        return []
    from banditlab.parts import sparse_fit

    sizes = [(1000, 200), (500, 500), (200, 1000)]
    found = []
    for n, dim in sizes[: 1 if quick else 3]:
        rng = np.random.default_rng(1)
        x = rng.normal(size=(n, dim))
        y = x[:, :20].sum(axis=1) + rng.normal(size=n)
        lams = np.abs(x.T @ y).max() / n * np.geomspace(1.0, 0.01, 50)

        def ours(x: Any = x, y: Any = y, lams: Any = lams) -> np.ndarray:
            return sparse_fit.lasso_path(x, y, lams, 1e-8)

        def theirs(x: Any = x, y: Any = y, lams: Any = lams) -> np.ndarray:
            return lasso_path(x, y, alphas=lams, tol=1e-9, max_iter=100_000)[1].T  # type: ignore

        best = {"ours": math.inf, "scikit-learn": math.inf}
        values = {}
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours()  # compiled
            for _ in range(3):
                for who, path in (("ours", ours), ("scikit-learn", theirs)):
                    began = time.process_time()
                    thetas = path()
                    best[who] = min(best[who], time.process_time() - began)
                    fit = ((y - thetas @ x.T) ** 2).sum(axis=1) / (2 * n)
                    values[who] = fit + lams * np.abs(thetas).sum(axis=1)
        above = float((values["ours"] / values["scikit-learn"] - 1.0).max())
        found.append({"rows": n, "features": dim, **best, "above": above})
    return found


def growth(quick: bool) -> dict[str, dict[str, Any]]:
    """CPU seconds against one size at a time, with the exponent fitted to the larger half."""
    arms = registry.make_problem("bernoulli", means=MEANS)

    def in_lanes(n_arms: int) -> bool:  # as the arena decides
        return for_arms(registry.make("ucb"), n_arms).lanes is not None

    def ucb(horizon: int, replications: int, problem: Any = arms) -> float:
        lock_step = in_lanes(problem.shape[0])
        pair, args = pair_of("ucb", problem, horizon, replications, lock_step)
        run = play_blocks if lock_step else play
        return horizon * replications / max(run(pair, args)[0] for _ in range(2))

    def linucb(dim: int) -> float:
        problem = registry.make_problem("linear", n_arms=ARMS, dim=dim, fixed=False)
        pair, args = pair_of("linucb", problem, 1000, 2, False)
        return 2000 / max(play(pair, args)[0] for _ in range(2))

    def many(n_arms: int) -> float:
        problem = registry.make_problem("bernoulli", means=np.linspace(0.1, 0.9, n_arms))
        replications = 64 if in_lanes(n_arms) else 2
        return ucb(20_000, replications, problem) / replications

    last = 5 if quick else 6
    sizes: dict[str, tuple[Callable[[int], float], list[int]]] = {
        "horizon": (lambda T: ucb(T, 64), [10**k for k in range(3, last + 1)]),
        "replications": (lambda R: ucb(1000, R), [64 * 4**k for k in range(last)]),
        "arms": (many, [10, 32, 100, 316, 1000, 3162, 10_000][: 4 if quick else 7]),
        "dimension": (linucb, [5, 10, 20, 50, 100, 200][: 4 if quick else 6]),
    }
    found = {}
    for name, (seconds, values) in sizes.items():
        measured = [seconds(value) for value in values]
        half = len(values) // 2
        slope = np.polyfit(np.log(values[half:]), np.log(measured[half:]), 1)[0]
        found[name] = {"sizes": values, "seconds": measured, "exponent": float(slope)}
    return found


# --- all of it ----------------------------------------------------------------------------------


def measure(quick: bool) -> dict[str, Any]:
    """Everything, as plain data."""
    horizon, replications, rounds = (10_000, 64, 1) if quick else (10_000, 192, 5)
    names = [n for n in registry.names() if isinstance(registry.make(n), online.Online)]
    # Networks play hundreds of pulls where others play millions: they have a table of their own.
    names = [n for n in names if n not in registry.families()["neural"]]
    if quick:
        names = ["ucb", "thompson", "linucb"]
    best = best_rates(names, horizon, replications, rounds)
    found: dict[str, Any] = {
        **setting(best, horizon, replications),
        "version": banditlab.__version__,
        "peers": peer_rates(500 if quick else 2000),
        "ratios": {},
        "import_seconds": import_seconds(),
        "compile_seconds": compile_seconds(),
        "known_kernels_seconds": known_kernels(  # ucb in an empty folder is above
            ["ucb"] if quick else ["ucb", "thompson", "exp3"], beside=not quick
        ),
        "first_decision_seconds": first_decision(
            ["ucb"] if quick else [*filter(interactive, registry.names())]
        ),
        "overhead_microseconds": overhead_microseconds(),
        "second_core": second_core(256 if quick else 1024),
        "lasso_paths": lasso_paths(quick),
        "growth": growth(quick),
        "episodic": episodes.measure(quick),
        "duels": duels.rates(quick),
        "neural": neural.measure(quick),
    }
    found["ratios"] = ratios(best, found["peers"])
    if not quick:
        found["start_to_figure_seconds"] = start_to_figure()
        found["memory_megabytes"] = memory()
        found["other_protocols_seconds"] = other_protocols()
    return found


def best_rates(
    names: list[str], horizon: int, replications: int, rounds: int
) -> dict[tuple[str, str], tuple[float, float]]:
    """The best rate of each contestant in so many rounds, and its regret, by name and loop."""
    plays = contestants(names, horizon, replications)
    best: dict[tuple[str, str], tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        program = c_reference(Path(folder))
        for _ in range(rounds):  # interleaved, so that a busy neighbour hurts all alike
            if program:
                for name, (rate, regret) in c_rates(program, horizon, replications).items():
                    best["C", name] = max(best.get(("C", name), (0.0, 0.0)), (rate, regret))
            for who, game in plays.items():
                best[who] = max(best.get(who, (0.0, 0.0)), game())
    return best


def setting(
    best: dict[tuple[str, str], tuple[float, float]], horizon: int, replications: int
) -> dict[str, Any]:
    """What was played where, and how fast."""
    return {
        "machine": {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "vector_bits": vector_width(),
        },
        "instance": {"arms": ARMS, "horizon": horizon, "replications": replications},
        "rates": [
            {"agent": agent, "how": how, "pulls_per_second": rate, "regret": regret}
            for (agent, how), (rate, regret) in best.items()
        ],
    }


def ratios(
    best: dict[tuple[str, str], tuple[float, float]], others: list[dict[str, Any]]
) -> dict[str, float]:
    """What the claims are about: ours over theirs."""
    found = {}
    for ours, theirs in (
        (("ucb", "lanes"), ("C", "textbook")),
        (("ucb", "lanes"), ("C", "same")),
        (("ucb", "scalar"), ("C", "same")),
        (("ucb", "lanes"), ("ucb", "NumPy over replications")),
        (("thompson", "scalar"), ("C", "thompson")),
    ):
        if ours in best and theirs in best:
            title = f"{' '.join(ours)} / {' '.join(theirs)}"
            found[title] = best[ours][0] / best[theirs][0]
    for agent in ("ucb", "thompson", "linucb"):
        rival = max((row["pulls_per_second"] for row in others if row["agent"] == agent), default=0)
        mine = max((rate for (name, how), (rate, _) in best.items() if name == agent), default=0)
        if rival and mine:
            found[f"{agent} / fastest other library"] = mine / rival
    for name, how in best:
        if how == "lanes":
            found[f"{name} lanes / scalar"] = best[name, how][0] / best[name, "scalar"][0]
    return found


def show(found: dict[str, Any]) -> None:
    """Tables for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    instance = found["instance"]
    table = Table(
        title=f"{instance['arms']} arms, {instance['horizon']:,} rounds, one core", min_width=50
    )
    for name in ("agent", "how"):
        table.add_column(name)
    for name in ("M pulls / s", "regret"):
        table.add_column(name, justify="right")
    rows = sorted(found["rates"], key=lambda row: -row["pulls_per_second"])
    for row in rows:
        rate = row["pulls_per_second"] / 1e6
        table.add_row(row["agent"], row["how"], f"{rate:.2f}", f"{row['regret']:.1f}")
    for row in found["peers"]:
        table.add_row(row["agent"], row["library"], f"{row['pulls_per_second'] / 1e6:.3f}", "")
    console.print(table)
    table = Table(title="Ratios")
    table.add_column("ours / theirs")
    table.add_column("ratio", justify="right")
    for name, ratio in found["ratios"].items():
        table.add_row(name, f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}")
    console.print(table)
    episodes.show(found["episodic"], console)
    lines = [f"import banditlab: {found['import_seconds']:.2f} s"]
    lines += [f"{name}: {x:.2f} CPU s" for name, x in found["compile_seconds"].items()]
    lines += [
        f"a new pair, {name}: {x:.2f} CPU s" for name, x in found["known_kernels_seconds"].items()
    ]
    slowest = max(found["first_decision_seconds"].items(), key=lambda item: item[1])
    lines += [f"first decision, warm: {slowest[1]:.2f} CPU s at most ({slowest[0]})"]
    if "gate_seconds" in found:
        lines += [f"the gate: {found['gate_seconds']:.0f} s"]
    overhead = found["overhead_microseconds"]
    lines += [f"a replication {name}: {x:.1f} microseconds" for name, x in overhead.items()]
    lines += [f"two workers are {found['second_core']:.2f} times as fast as one"]
    for row in found["lasso_paths"]:
        ratio = row["scikit-learn"] / row["ours"]
        lines.append(
            f"Lasso path, {row['rows']} rows, {row['features']} features: {row['ours']:.3f} CPU s, "
            f"scikit-learn {row['scikit-learn']:.3f}, ratio {ratio:.1f}"
        )
    for name, curve in found["growth"].items():
        lines.append(f"time grows like {name}^{curve['exponent']:.2f}")
    lines += duels.lines(found["duels"])
    lines += neural.lines(found["neural"])
    for name, seconds in found.get("start_to_figure_seconds", {}).items():
        lines.append(f"start to figure, --agent lcb, {name}: {seconds:.1f} s")
    for name, seconds in found.get("other_protocols_seconds", {}).items():
        lines.append(f"{name}: {seconds:.1f} s")
    if "memory_megabytes" in found:
        beyond = found["memory_megabytes"]["beyond"]
        lines.append(f"1000 replications of 10^7 rounds: {beyond:.0f} MB beyond the interpreter")
    console.print("\n".join(lines), highlight=False)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="half a minute, not ten; no files")
    parser.add_argument("--gate", action="store_true", help="time .ci/run, too")
    parser.add_argument("--out", type=Path, help="folder; by default results/benchmark")
    parser.add_argument(
        "--table", action="store_true", help="only what the README's table of speed shows"
    )
    args = parser.parse_args()
    if args.table:
        best = best_rates(["ucb", "thompson", "linucb"], 10_000, 64, 3)
        speed.keep({**setting(best, 10_000, 64), "peers": peer_rates(2000)})
        return 0
    found = measure(args.quick)
    if args.gate:
        found["gate_seconds"] = gate_seconds()
    folder = args.out or (None if args.quick else ROOT / "results" / "benchmark")
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "benchmark.json", json.dumps(found, indent=1) + "\n")
        rows = [*found["rates"], *({"how": r["library"], **r} for r in found["peers"])]
        columns = ["agent", "how", "pulls_per_second", "regret"]
        table = pd.DataFrame(rows)[columns].sort_values("pulls_per_second", ascending=False)
        write_text(folder / "rates.csv", table.to_csv(index=False, float_format="%.4g"))
        save(picture(found), folder)
        if folder == ROOT / "results" / "benchmark":
            speed.keep(found)
    if args.json:
        print(json.dumps(found))
    else:
        show(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
