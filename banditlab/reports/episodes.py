"""Learning online in a Gymnasium environment, episode by episode.

An environment that lists its transitions becomes an `arena`, whose regret is exact. In any other
with finitely many states and actions, `play` lets every agent learn by itself, several times over,
and says what its episodes earned.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab import registry
from banditlab.data.atomic import Together
from banditlab.data.collect import Numbered, numbered
from banditlab.data.gym import Named, in_words
from banditlab.protocols import episodic
from banditlab.reports.environment import is_arena, make_environment, round_numbers
from banditlab.reports.plans import Progress, Settings, Stages, hyper_of, speakers
from banditlab.reports.render import name as shown
from banditlab.reports.render import sentences, value_and_interval
from banditlab.statistics import t_interval
from banditlab.validate import integer, number

if TYPE_CHECKING:
    from rich.console import Console

# What the command line asks of a module that takes agents to an environment.
__all__ = ["SAVED", "algorithms", "arena", "command", "company", "is_arena", "render", "save"]

EPISODES, REPLICATIONS, STEPS = 1000, 20, 100
RUNS = 10  # of each agent, where they are played
TRIAL = 200  # episodes of even play, which show how long they last and what they pay
CONTROL = "uniform_play"
ARGUMENTS = ("options", "steps", "pooled", "low", "high")  # of an environment that is played
SAVED = "returns and summary"


def company(agent: str | None, rivals: Sequence[str]) -> list[str]:
    """Who learns: ``agent`` and its rivals, those named or else even play."""
    return list(dict.fromkeys([*([agent] if agent else []), *(rivals or [CONTROL])]))


def algorithms(names: Sequence[str], settings: Settings) -> dict[str, Any]:
    """The agents by label; ValueError for one that is unknown or does not learn by playing."""
    other = "does not learn by playing episodes; wanted is one such as mex_mf"
    return speakers(names, settings, episodic.PROTOCOL, other)


def arena(
    id: str,
    names: Sequence[str],
    settings: Settings | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    horizon: int | None = None,
    replications: int | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """The arena, as a TOML file would hold it, of an environment that lists its transitions.

    ``parameters`` are those of the problem ``discrete_env``, ``horizon`` counts episodes. Raises
    ValueError, in one line, for whatever does not fit.
    """
    settings, parameters = settings or {}, dict(parameters or {})
    algorithms(names, settings)
    for given in {"name", "id"} & set(parameters):
        raise ValueError(f"--set problem.{given}: that is what --env says")
    registry.make_problem("discrete_env", id=id, **parameters)
    episodes = horizon or EPISODES
    return {
        "name": "env-" + re.sub(r"[^A-Za-z0-9._-]+", "-", id),
        "title": f"{id}: learning by playing",
        "panels": [{"name": id}],
        "protocol": "episodic",
        "problem": {"name": "discrete_env", "id": id, **parameters},
        "agents": [{"name": name, **hyper_of(name, settings)} for name in names],
        "horizon": episodes,
        "checkpoints": sorted({*round_numbers(episodes), *range(1, min(episodes, 10))}),
        "replications": replications or REPLICATIONS,
        "seed": seed or 0,
        "yscale": "log",
    }


class Trial:
    """What even play shows of an environment: how long episodes last, and what steps pay."""

    def __init__(self, env: Named, states: Numbered, actions: Numbered, seed: int, most: int):
        rng = np.random.default_rng(seed)
        self.longest, self.low, self.high = 1, 0.0, 0.0
        env.reset(seed=seed)
        for _ in range(TRIAL):
            for step in range(1, most + 1):
                action = actions.value(int(rng.integers(len(actions.names))))
                seen, paid, terminated, truncated, _ = env.step(action)
                _state(env, states, seen)
                reward = number("reward", paid)
                self.low, self.high = min(self.low, reward), max(self.high, reward)
                self.longest = max(self.longest, step)
                if terminated or truncated:
                    break
            env.reset()


def play(
    id: str,
    names: Sequence[str],
    settings: Settings | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    episodes: int = EPISODES,
    runs: int = RUNS,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], np.ndarray]:
    """Let agents learn in an environment, ``runs`` times each, and say what they earned.

    Parameters
    ----------
    id
        Of a Gymnasium environment with finitely many states and actions.
    names, settings
        Agents, and their hyper-parameters.
    parameters
        ``steps`` of an episode at most (the environment's own limit, or twice the longest of
        200 episodes of even play, 100 at most), ``pooled`` (True), ``low`` and ``high``, the range
        of rewards (that of even play), and ``options`` of ``gymnasium.make``.
    episodes, runs
        Played by each agent in each run, from scratch.
    seed, progress
        One seed, one result. ``progress`` is told what is under way, how much is done, and of
        how much.

    Returns the summary, plain data that is ready for JSON, and returns (agents, runs, episodes).
    Raises ValueError, in one line, for whatever does not fit.
    """
    parameters = dict(parameters or {})
    for given in parameters:
        if given not in ARGUMENTS:
            raise ValueError(f"--set problem: {registry.unknown('argument', given, ARGUMENTS)}")
    options = parameters.pop("options", None)
    known = algorithms(names, settings or {})
    episodes, runs = integer("episodes", episodes, 1), integer("runs", runs, 1)
    seed = integer("seed", seed, 0)
    stages = Stages(len(known), progress)
    luck = np.random.SeedSequence(seed).generate_state(runs + 1)
    returns = np.zeros((len(known), runs, episodes))
    with closing(Named(make_environment(id, options), id)) as env:
        states = numbered(env.observation_space, "states")
        actions = numbered(env.action_space, "actions")
        limit = env.spec.max_episode_steps if env.spec is not None else None
        trial = Trial(env, states, actions, int(luck[runs]), limit or STEPS)
        steps = integer("steps", parameters.get("steps", limit or min(STEPS, 2 * trial.longest)), 1)
        low = number("low", parameters.get("low", trial.low))
        # Where even play saw one reward only, any range serves until another comes.
        seen = trial.high if trial.low < trial.high else trial.low + 1.0
        high = number("high", parameters.get("high", seen))
        for i, label in enumerate(known):
            stages.begin(f"{label} learns")
            for r in range(runs):
                agent = episodic.EpisodicAgent(
                    known[label], n_states=len(states.names), n_actions=len(actions.names),
                    steps=steps, horizon=episodes, pooled=parameters.get("pooled", True),
                    low=low, high=high, seed=int(luck[r]),
                )  # fmt: skip
                for k in range(episodes):
                    reset = {"seed": int(luck[r])} if k == 0 else {}
                    returns[i, r, k] = _episode(env, agent, states, actions, steps, reset)
                    stages.show((r + k / episodes) / runs)
    tenth = max(1, episodes // 10)
    rows = [
        {
            "agent": label,
            "first": _mean(returns[i, :, :tenth].mean(axis=1)),
            "last": _mean(returns[i, :, -tenth:].mean(axis=1)),
            "all": _mean(returns[i].mean(axis=1)),
        }
        for i, label in enumerate(known)
    ]
    notes = [
        f"returns of {runs} runs of {episodes:,} episodes, of {steps} steps at most; first and "
        f"last are means over {tenth:,} episodes of each run"
    ]
    if not {"low", "high"} <= set(parameters):
        notes.append(
            f"the range of rewards, [{low:g}, {high:g}], is that of {TRIAL} episodes of even play: "
            "--set problem.low and problem.high say otherwise"
        )
    found = {
        "env": id,
        "n_states": len(states.names),
        "n_actions": len(actions.names),
        "steps": steps,
        "episodes": episodes,
        "runs": runs,
        "agents": rows,
        "notes": notes,
    }
    return found, returns


def _state(env: Named, states: Numbered, seen: Any) -> int:
    try:
        return states.number(seen)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        where = f"step {env.steps:,}" if env.steps else "reset"
        raise ValueError(
            f"{env.name}: {where} observes outside its space: {in_words(error)}"
        ) from error


def _episode(
    env: Named,
    agent: episodic.EpisodicAgent,
    states: Numbered,
    actions: Numbered,
    steps: int,
    reset: dict[str, int],
) -> float:
    """What one episode earns."""
    seen, _ = env.reset(**reset)
    state, earned, over = _state(env, states, seen), 0.0, False
    for step in range(1, steps + 1):
        action = agent.act(state)
        seen, paid, terminated, truncated, _ = env.step(actions.value(action))
        after, reward = _state(env, states, seen), number("reward", paid)
        if agent.beyond(reward):
            raise ValueError(
                f"a step paid {reward:g}, and rewards were to lie in [{agent.task.low:g}, "
                f"{agent.task.high:g}]: give --set problem.low and --set problem.high"
            )
        over = bool(terminated or truncated or step == steps)
        agent.update(state, action, reward, after, bool(terminated), over and not terminated)
        state, earned = after, earned + reward
        if over:
            break
    return earned


def _mean(values: np.ndarray) -> dict[str, float | None]:
    mean, _, lo, hi = (float(v[0]) for v in t_interval(values[:, None]))
    sure = values.size > 1 and math.isfinite(lo)
    return {"value": mean, "lo": lo if sure else None, "hi": hi if sure else None}


def save(found: Mapping[str, Any], returns: np.ndarray, folder: Path) -> None:
    """Write ``returns.csv``, a row per agent, run and episode, and ``summary.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["agent,run,episode,return"]
    for i, row in enumerate(found["agents"]):
        for r, k in np.ndindex(returns.shape[1:]):
            lines.append(f"{row['agent']},{r},{k + 1},{returns[i, r, k]:.17g}")
    with Together(folder) as files:
        files.text("returns.csv", "\n".join(lines) + "\n")
        files.text("summary.json", json.dumps(found, indent=1) + "\n")


def render(found: Mapping[str, Any], console: Console) -> None:
    """Print what `play` found."""
    from rich.table import Table

    console.print(
        f"{shown(found['env'])}: {found['n_states']} states, {found['n_actions']} actions",
        highlight=False,
    )
    table = Table(title="Mean return of an episode, with 95% intervals")
    table.add_column("agent")
    for title in ("first", "last", "all"):
        table.add_column(title, justify="right")
    for row in found["agents"]:
        cells = [value_and_interval(row[key]) for key in ("first", "last", "all")]
        table.add_row(shown(row["agent"]), *cells)
    console.print(table)
    sentences(found["notes"], console, style="dim")


def command(
    id: str,
    names: Sequence[str],
    settings: Settings,
    parameters: Mapping[str, Any],
    *,
    horizon: int | None = None,
    replications: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], np.ndarray]:
    """`play`, as the command line asks for it."""
    return play(
        id, names, settings, parameters,
        episodes=horizon or EPISODES, runs=replications or RUNS, seed=seed or 0, progress=progress,
    )  # fmt: skip
