"""Speed of what is learned by playing: seconds a run, and episodes a second beside NumPy.

RiverSwim with six states in episodes of 20 steps. ``seconds`` is CPU time of one run of 5,000
episodes, planning and exact evaluation included, compilation not; solvers that come closer to the
exact maximum are there beside the defaults. The NumPy versions are what one writes first: arrays
over states and actions, a loop over steps, ``Generator.dirichlet`` for each pair of PSRL, the same
evaluation. ``sea`` is the episode at which DeepSea with 40 columns is solved. Run it alone, or as
a part of ``scripts/benchmark.py``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import banditlab
from banditlab import random
from banditlab.arena.play import ready
from banditlab.protocols import episodic
from banditlab.protocols.base import Terms

EPISODES = 5000
AGENTS: dict[str, dict[str, Any]] = {
    "mex_mf": {},
    "mex_mf, ccp": {"solver": "ccp"},
    "mex_mb": {},
    "mex_mb, block": {"solver": "block"},
    "ucbvi": {},
    "ucb_q": {},
    "psrl": {},
    "rlsvi": {},
    "epsilon_greedy_q": {},
    "optimistic_q": {},
}
ETAS = (0.3, 1.0, 10.0)


def played(agent: str, problem: Any, episodes: int, **hyper: Any) -> tuple[float, np.ndarray]:
    """CPU seconds of one run, and its measures; compilation is not counted."""
    made = banditlab.make(agent.partition(",")[0], **hyper)
    points = np.array([episodes])
    loop = episodic.loop(Terms(made, problem, episodes), points)
    record = np.zeros((1, 1, len(loop.measures)))
    run = ready(loop, random.key(1))
    for pair in run.pairs:
        pair.function()
    began = time.process_time()
    run(0, record, np.zeros(2, np.int64))
    return time.process_time() - began, record[0, 0]


class Numpy:
    """A process and an agent as they are written first: arrays, and a loop over steps."""

    def __init__(self, problem: Any, seed: int):
        world, self.H = problem.params, problem.steps
        _, S, A, K = world.succ.shape
        self.P, self.R = np.zeros((S, A, S)), world.mean[0]
        for s, a, k in np.ndindex(S, A, K):
            self.P[s, a, world.succ[0, s, a, k]] += world.prob[0, s, a, k]
        self.best, self.shape = world.best[0], (self.H, S, A)
        self.rng = np.random.default_rng(seed)
        self.n, self.total = np.zeros(self.shape), np.zeros(self.shape)
        self.counts = np.zeros((*self.shape, S))

    def play(self, episodes: int, plan: Callable[[int], np.ndarray]) -> tuple[float, float]:
        """CPU seconds and regret."""
        began, regret = time.process_time(), 0.0
        states = np.arange(self.shape[1])
        for k in range(episodes):
            policy = plan(k)
            values = np.zeros(self.shape[1])
            for h in range(self.H - 1, -1, -1):
                values = self.R[states, policy[h]] + self.P[states, policy[h]] @ values
            regret += self.best - values[0]
            s = 0
            for h in range(self.H):
                a = policy[h, s]
                after = self.rng.choice(self.shape[1], p=self.P[s, a])
                self.n[h, s, a] += 1
                self.total[h, s, a] += self.R[s, a]
                self.counts[h, s, a, after] += 1
                s = after
        return time.process_time() - began, regret

    def ucbvi(self, k: int) -> np.ndarray:
        """Plan with the tuned bonus."""
        H, S, A = self.shape
        policy, values = np.zeros((H, S), np.int64), np.zeros(S)
        log = math.log(2 * S * A * H * (k + 1) / 0.05)
        for h in range(H - 1, -1, -1):
            n = np.maximum(self.n[h], 1)
            mean = self.total[h] / n + (self.counts[h] / n[..., None]) @ values
            q = np.minimum(H - h, mean + 0.02 * (H - h) * np.sqrt(log / n))
            q[self.n[h] == 0] = H - h
            policy[h], values = q.argmax(axis=1), q.max(axis=1)
        return policy

    def psrl(self, k: int) -> np.ndarray:
        """Plan in a model from the posterior."""
        H, S, A = self.shape
        policy, values = np.zeros((H, S), np.int64), np.zeros(S)
        for h in range(H - 1, -1, -1):
            q = np.zeros((S, A))
            for s in range(S):
                for a in range(A):
                    p = self.rng.dirichlet(self.counts[h, s, a] + 1 / S)
                    n = self.n[h, s, a]
                    r = self.total[h, s, a] / n if n else self.rng.random()
                    q[s, a] = min(H - h, r + p @ values)
            policy[h], values = q.argmax(axis=1), q.max(axis=1)
        return policy


def measure(quick: bool = False) -> dict[str, Any]:
    """All of it, as plain data; ``quick``: of everything the first, once."""
    first, rounds = (1, 1) if quick else (None, 3)
    river = banditlab.make_problem("river_swim", S=6, H=20)
    seconds = {}
    for name, hyper in [*AGENTS.items()][:first]:
        seconds[name] = min(played(name, river, EPISODES, **hyper)[0] for _ in range(2))
    few = 50 if quick else 400
    rates, ratios = {}, {}
    for name in ("ucbvi", "psrl")[:first]:
        theirs = 0.0
        for seed in range(
            rounds
        ):  # ours again in between, so that a busy neighbour hurts both alike
            game = Numpy(river, seed)
            theirs = max(theirs, few / game.play(few, getattr(game, name))[0])
            own = played(name, river, EPISODES)[0]
            seconds[name] = min(seconds.get(name, own), own)
        rates[name] = {"ours": EPISODES / seconds[name], "NumPy": theirs}
        ratios[name] = rates[name]["ours"] / theirs
    sea = banditlab.make_problem("deep_sea", N=40, until_solved=True)
    solved = {
        f"eta {eta:g}": float(played("mex_mf", sea, 10_000, eta=eta)[1][3])
        for eta in ETAS[::-1][:first]
    }
    return {
        "episodes": EPISODES,
        "seconds": seconds,
        "rates": rates,
        "ours / NumPy": ratios,
        "sea": solved,
    }


def show(found: dict[str, Any], console: Any) -> None:
    """Tables for people."""
    from rich.table import Table

    table = Table(title=f"RiverSwim, {found['episodes']:,} episodes of 20 steps")
    for name in ("agent", "CPU s", "episodes / s", "NumPy", "ratio"):
        table.add_column(name, justify="left" if name == "agent" else "right")
    for name, seconds in found["seconds"].items():
        rate, theirs = found["episodes"] / seconds, found["rates"].get(name, {}).get("NumPy")
        more = [f"{theirs:,.0f}", f"{rate / theirs:.0f}"] if theirs else ["", ""]
        table.add_row(name, f"{seconds:.2f}", f"{rate:,.0f}", *more)
    console.print(table)
    said = ", ".join(f"{eta}: {k:.0f}" for eta, k in found["sea"].items())
    console.print(f"DeepSea with 40 columns is solved by mex_mf after {said} episodes")


if __name__ == "__main__":
    from rich.console import Console

    show(measure(), Console())
