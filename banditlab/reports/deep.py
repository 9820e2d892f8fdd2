"""Deep agents in any Gymnasium environment whose observations are vectors: always an arena."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from banditlab import registry
from banditlab.protocols import gym
from banditlab.reports.plans import Settings, hyper_of, speakers

STEPS, REPLICATIONS, CHECKPOINTS = 50_000, 3, 20
CONTROL = "random_policy"


def company(agent: str | None, rivals: Sequence[str]) -> list[str]:
    """Who learns: ``agent`` and its rivals, those named or else uniform actions."""
    return list(dict.fromkeys([*([agent] if agent else []), *(rivals or [CONTROL])]))


def algorithms(names: Sequence[str], settings: Settings) -> dict[str, Any]:
    """The agents by label; ValueError for one that is unknown or no deep agent."""
    other = "does not learn from vectors; wanted is one such as td3"
    return speakers(names, settings, gym.PROTOCOL, other)


def is_arena(id: str, parameters: Mapping[str, Any]) -> bool:
    """There is no other way."""
    return True


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
    """The arena, as a TOML file would hold it, of agents in the environment ``id``.

    ``parameters`` are those of the problem ``gym_env``, ``horizon`` counts steps of training.
    Raises ValueError, in one line, for whatever does not fit.
    """
    settings, parameters = settings or {}, dict(parameters or {})
    algorithms(names, settings)
    for given in {"name", "id"} & set(parameters):
        raise ValueError(f"--set problem.{given}: that is what --env says")
    registry.make_problem("gym_env", id=id, **parameters)
    steps = horizon or STEPS
    points = {round(steps * i / CHECKPOINTS) for i in range(1, CHECKPOINTS + 1)}
    return {
        "name": "env-" + re.sub(r"[^A-Za-z0-9._-]+", "-", id),
        "title": f"{id}: learning by acting",
        "panels": [{"name": id}],
        "protocol": "gym",
        "problem": {"name": "gym_env", "id": id, **parameters},
        "agents": [{"name": name, **hyper_of(name, settings)} for name in names],
        "horizon": steps,
        "checkpoints": sorted(points - {0}),
        "replications": replications or REPLICATIONS,
        "seed": seed or 0,
        "xscale": "linear",
    }
