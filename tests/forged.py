"""Forged whole numbers in saved agents: kernels as plain Python notice each bad index.

    NUMBA_DISABLE_JIT=1 python tests/forged.py

Every whole number in the state of every agent with arms, or that plays episodes, is set to odd
values, one at a time, saved with a checksum that fits, and loaded. Wrong is: an agent that was
loaded and then looks something up outside an array; a fixed fact that a run does change; and an
agent that is no longer itself although nothing was forged.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from banditlab import Agent, registry
from banditlab.agent import leaves
from banditlab.testing import subject

ODD = (-(2**62), -3, -2, -1, 10**4, 2**62)
ROUNDS = 40


def made(name: str) -> Any:
    """A fresh agent on a task like that of its example; None for one without arms."""
    s = subject.subject(name)
    if not hasattr(s.problem, "shape") or s.protocol.name in (
        "offline_mdp",
        "combinatorial",
        "discovery",
    ):
        return None
    if s.protocol.name == "episodic":
        A, S, _ = s.problem.shape
        steps, columns = s.problem.steps, s.problem.columns
        return Agent(name, n_states=S, n_actions=A, steps=steps, horizon=90, columns=columns)
    n_arms, n_contexts, dim = s.problem.shape
    given: dict[str, Any] = {"n_arms": n_arms}
    for key, value, none in (("n_contexts", n_contexts, 1), ("dim", dim, 0)):
        given |= {key: value} if value != none else {}
    given |= {"extra": True} if getattr(s.problem, "extra", False) else {}
    errors = []
    for horizon in (200, 5000):
        try:
            return Agent(name, horizon=horizon, **s.hyper, **given)
        except ValueError as error:
            errors.append(error)
    raise errors[0]


def play(agent: Any, rounds: int) -> None:
    """Some rounds with rewards out of a hat."""
    luck, kind = np.random.default_rng(1), type(agent).__name__
    if kind == "EpisodicAgent":
        s = 0
        for _ in range(rounds):
            after, over = int(luck.integers(agent.task.n_states)), bool(luck.random() < 0.1)
            agent.update(s, agent.act(s), float(luck.random() < 0.5), after, over)
            s = 0 if over else after
        agent.policy()
        return
    for _ in range(rounds):
        x = agent._nothing() if hasattr(agent, "_nothing") else None
        if kind == "IdentifyAgent":
            if agent.task.dim:
                x = np.eye(max(agent.task.n_arms, agent.task.dim))
                x = x[: agent.task.n_arms, : agent.task.dim]
            pulls = agent.act(x)
            if not pulls.any():
                return
            agent.update(x, pulls, np.round(pulls * 0.5))
        elif kind == "ObserveAgent":
            arm = agent.act()
            agent.update(None, arm, np.where(agent.look(arm), 0.5, np.nan))
        elif kind == "DuelAgent":
            pair = agent.act()
            agent.update(pair, win=bool(luck.random() < 0.5))
        else:
            arm = agent.act(x)
            agent.update(x, arm, float(luck.random() < 0.5))
        agent.recommend(x) if kind in ("IdentifyAgent", "OnlineAgent") else agent.recommend()


def forged(name: str, agent: Any, path: Path) -> tuple[int, int]:
    """Numbers of forgeries refused, and loaded, of one agent."""
    refused = loaded = 0
    for i, array in enumerate(leaves(agent.state)):
        if array.dtype.kind not in "iu":
            continue
        for at in np.ndindex(array.shape) if array.size <= 8 else [(0,) * array.ndim]:
            for odd in (*ODD, *agent.task[:3]):
                true = array[at]
                array[at] = odd
                agent.save(path)
                array[at] = true
                try:
                    other = Agent.load(path)
                except ValueError as error:
                    assert "no saved agent: " in str(error), error
                    refused += 1
                    continue
                loaded += 1
                try:
                    play(other, ROUNDS)
                except IndexError as error:
                    raise AssertionError(f"{name}: array {i} {at} = {odd}: {error}") from error
                except (ValueError, ZeroDivisionError):
                    pass  # an agent that errs aloud
    return refused, loaded


def main() -> None:
    """Forge all; print a table."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.npz"
        for name in sys.argv[1:] or registry.names():
            agent = made(name)
            if agent is None or not any(x.dtype.kind in "iu" for x in leaves(agent.state)):
                continue
            play(agent, 1 if type(agent).__name__ == "IdentifyAgent" else 12)
            print(name, *forged(name, agent, path))
            play(agent, 10**4 if type(agent).__name__ == "IdentifyAgent" else 400)
            agent.save(path)  # late in a run nothing that is true is refused
            twin = Agent.load(path)
            for mine, its in zip(leaves(agent.state), leaves(twin.state), strict=True):
                assert mine.tobytes() == its.tobytes(), name


if __name__ == "__main__":
    main()
