"""Offline planning in a Gymnasium environment: log it, plan, estimate, and play what was learned.

An environment that lists its transitions is solved exactly and becomes an `arena`. For any other
with finitely many states and actions, `play` logs evenly drawn actions; what agents make of that
log is judged as in :mod:`banditlab.reports.plans`, and it is played too.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from banditlab import registry
from banditlab.data import doubts
from banditlab.data.atomic import Together
from banditlab.data.collect import numbered
from banditlab.data.gym import made
from banditlab.data.transitions import Dataset
from banditlab.protocols.offline_mdp import learn
from banditlab.reports.plans import (
    CONTROL,
    Progress,
    Settings,
    Stages,
    algorithms,
    company,
    cut_note,
    cuts_of,
    facts,
    hyper_of,
    judge,
    task_of,
    values_of,
)
from banditlab.reports.transitions import render
from banditlab.statistics import t_interval
from banditlab.validate import integer

# What the command line asks of a module that takes agents to an environment.
__all__ = ["SAVED", "algorithms", "arena", "command", "company", "is_arena", "render", "save"]

SAVED = "log and summary"
ROWS, REPLICATIONS, EPISODES = 100_000, 20, 1000  # logged, of an arena, played
TAIL = 1e-4  # play until gamma^t is below


def make_environment(id: str, options: Any = None, **more: Any) -> Any:
    """The Gymnasium environment ``id``, made with ``options``; its spaces must be finite.

    Raises ValueError, in one line, if it cannot be made or has other spaces.
    """
    if not isinstance(options or {}, dict):
        raise ValueError(f'problem.options must look like {{"name": value}}, got {options!r}')
    env = made(id, options, **more)
    try:
        numbered(env.observation_space, "states")
        numbered(env.action_space, "actions")
    except ValueError as error:
        env.close()
        raise ValueError(f"{id}: {error}") from error
    return env


def has_table(id: str, options: Any = None) -> bool:
    """Whether the environment lists its transitions; ValueError as of `make_environment`."""
    env = make_environment(id, options)
    bare = env.unwrapped
    known = all(getattr(bare, name, None) is not None for name in ("P", "initial_state_distrib"))
    env.close()
    return known


def is_arena(id: str, parameters: Mapping[str, Any]) -> bool:
    """Whether agents are taken to the environment by `arena`, or by `command`."""
    return has_table(id, parameters.get("options"))


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

    ``parameters`` are those of the problem ``toytext``. Raises ValueError, in one line, for
    whatever does not fit.
    """
    settings, parameters = settings or {}, dict(parameters or {})
    algorithms(names, settings)
    for given in {"name", "id"} & set(parameters):
        raise ValueError(f"--set problem.{given}: that is what --env says")
    problem = registry.make_problem("toytext", id=id, **parameters)
    case = getattr(problem.params, "case", problem.params)
    span = case.mdp.v_max - case.mdp.v_min
    rows = horizon or ROWS
    return {
        "name": "env-" + re.sub(r"[^A-Za-z0-9._-]+", "-", id),
        "title": f"{id}: learning from a log",
        "panels": [{"name": id}],
        "protocol": "offline_mdp",
        "problem": {"name": "toytext", "id": id, **parameters},
        "agents": [{"name": name, **hyper_of(name, settings)} for name in names],
        "horizon": rows,
        "checkpoints": round_numbers(rows),
        "replications": replications or REPLICATIONS,
        "seed": seed or 0,
        "yscale": "symlog",
        "linthresh": float(f"{span / 1000:.0e}"),
    }


def round_numbers(last: int) -> list[int]:
    """1 and 3 times powers of ten, from about 100 on, and ``last``."""
    low = min(100, max(1, last // 100))
    found = [m * 10**k for k in range(len(str(last))) for m in (1, 3)]
    return [n for n in found if low <= n < last] + [last]


def play(
    id: str,
    names: Sequence[str],
    settings: Settings | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    rows: int = ROWS,
    episodes: int = EPISODES,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], Dataset]:
    """Log evenly drawn actions in an environment, plan, estimate, and play what was learned.

    Parameters
    ----------
    id
        Of a Gymnasium environment with finitely many states and actions.
    names, settings
        Agents, and their hyper-parameters.
    parameters
        ``gamma`` (0.95), ``horizon`` (0: discounted), ``v_min``, ``v_max``, and ``options`` of
        ``gymnasium.make``.
    rows
        Steps logged. The log keeps to the time limit of the environment, or to as many steps as
        count if it has none.
    episodes
        Played with every policy, for as many steps as count: until gamma^t is below 1e-4.
    seed, progress
        One seed, one result. ``progress`` is told what is under way, how much is done, and of
        how much.

    Returns the summary, plain data that is ready for JSON, and the log. Raises ValueError, in one
    line, for whatever does not fit, before the first step where that can be known.
    """
    parameters = dict(parameters or {})
    options = parameters.pop("options", None)
    known = algorithms(names, settings or {})
    task = task_of(parameters, ("options",))
    rows, episodes = integer("rows", rows, 1), integer("episodes", episodes, 1)
    limit = task["horizon"] or _steps_that_count(task["gamma"])
    stages = Stages(1 + 2 * len({*known, CONTROL}), progress)
    with closing(make_environment(id, options)) as env:
        S = len(numbered(env.observation_space, "states").names)
        A = len(numbered(env.action_space, "actions").names)
        # Whatever an agent refuses it refuses now.
        one = np.zeros(1, np.int64)
        blank = Dataset(one, one, one, one, one + 1, one, None, one, n_states=S, n_actions=A)
        for algorithm in known.values():
            learn(algorithm, blank.model(**task))
        stages.begin("logging")
        longest = env.spec.max_episode_steps or limit
        longest = min(longest, task["horizon"] or longest)
        watched = _watched(env, longest, lambda steps, _: stages.show(steps / rows))
        data = Dataset.collect(watched, steps=rows, seed=seed)
    evenly = np.full((1, S, A), 1.0 / A)
    judged = judge(data, known, task, seed, evenly)
    luck = int(np.random.SeedSequence([seed, 1]).generate_state(1)[0])
    returns, cuts = {}, []
    for name, policy in judged.policies.items():
        stages.begin(f"playing {name}")
        unlimited = {"max_episode_steps": -1, "disable_env_checker": True}
        with closing(make_environment(id, options, **unlimited)) as env:
            watched = _watched(env, limit, lambda _, begun: stages.show(begun / episodes))
            played = Dataset.collect(watched, policy, episodes=episodes, seed=luck)
        returns[name] = _mean(_returns(played, task["gamma"]))
        cuts.append(cuts_of(played))
    cut, said = _own_cut(np.concatenate(cuts), limit)
    values = values_of(judged, task, seed, stages, cut)
    for row in values:
        row["played"] = returns[row["agent"]]
    notes = [f"played: mean of {episodes:,} episodes, actions of {CONTROL} drawn evenly"]
    said = said or cut_note(data, task["gamma"])
    notes += [*([said] if said else []), *judged.notes, *doubts.of_dataset(data)]
    found = {"env": id, "log": None, **facts(data, task)}
    return {**found, "policies": values, "states": [], "notes": notes}, data


def _own_cut(cuts: np.ndarray, limit: int) -> tuple[int, str | None]:
    """After how many steps the environment itself cuts episodes off, 0 for never, and words for it.

    ``cuts`` are those of all episodes that were played, for up to ``limit`` steps.
    """
    own = cuts[cuts < limit]
    if not own.size:
        return 0, None
    if own.min() == cuts.max():
        return int(own[0]), (
            f"the environment cuts episodes off after {own[0]} steps: played and FQE are the "
            "return of these, though agents plan as if it went on"
        )
    return 0, (
        f"the environment cuts episodes off, {own.size:,} of those played, after {own.min()} to "
        f"{own.max()} steps: played is the return until then, FQE the return if they went on, "
        "which is what agents plan for; the two are not of the same thing"
    )


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
) -> tuple[dict[str, Any], Dataset]:
    """`play`, as the command line asks for it."""
    return play(
        id, names, settings, parameters,
        rows=horizon or ROWS, episodes=replications or EPISODES, seed=seed or 0, progress=progress,
    )  # fmt: skip


def save(found: Mapping[str, Any], data: Dataset, folder: Path) -> None:
    """Write ``log.parquet`` and ``summary.json``, both or neither, and whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with Together(folder) as files:
        data.to_frame().to_parquet(files.path("log.parquet"), index=False)
        files.text("summary.json", json.dumps(found, indent=1) + "\n")


def _steps_that_count(gamma: float) -> int:
    return max(1, math.ceil(math.log(TAIL) / math.log(gamma))) if gamma > 0.0 else 1


def _returns(data: Dataset, gamma: float) -> np.ndarray:
    """The discounted return of each episode."""
    return np.add.reduceat(gamma**data.step * data.reward, data.starts)


def _mean(returns: np.ndarray) -> dict[str, Any]:
    mean, _, lo, hi = (float(v[0]) for v in t_interval(returns[:, None]))
    known = returns.size > 1
    return {
        "value": mean,
        "lo": lo if known else None,
        "hi": hi if known else None,
        "episodes": returns.size,
    }


def _watched(env: Any, limit: int, told: Callable[[int, int], None]) -> Any:
    """``env`` with a time limit, which tells how many steps and episodes have begun."""
    import gymnasium

    class Watched(gymnasium.Wrapper):
        steps = episodes = 0

        def step(self, action: Any) -> Any:
            self.steps += 1
            if self.steps % 200 == 0:
                told(self.steps, self.episodes)
            return self.env.step(action)

        def reset(self, **given: Any) -> Any:
            self.episodes += 1
            return self.env.reset(**given)

    return Watched(gymnasium.wrappers.TimeLimit(env, limit))
