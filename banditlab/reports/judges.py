"""Agents that ask the judges of a user's file: how far from the von Neumann winner they end.

They play on a simulator that draws the file's own answers, pair by pair, and are judged by the
exploitability of what they would name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from banditlab.data.duels import Duels

Progress = Callable[[str, int, int], None]
CONTROL = "random_pair"
# What an agent of rounds is here unless told otherwise: the queue of usual size learns once in
# 1,000 duels, a batch of two after each.
SHORT_ROUNDS = {"spo_batch": {"opponents": "batch", "samples": 2}}
ROUNDS = frozenset({"opponents", "samples", "queue"})


def suited(label: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The hyper-parameters of an agent, with rounds of a duel each where none are asked for."""
    return {**(SHORT_ROUNDS.get(label, {}) if not ROUNDS & {*given} else {}), **given}


def changed(
    chosen: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """What is to be said of agents that play with other hyper-parameters than their usual ones."""
    said = []
    for label, given in chosen.items():
        own = {key: value for key, value in given.items() if key not in settings.get(label, {})}
        if own:
            told = " and ".join(f"{key} = {value}" for key, value in own.items())
            said.append(
                f"here {label} plays with {told}: by default it would learn once in 1,000 duels, "
                "which few judges answer; --set gives it others"
            )
    return said


def played(
    duels: Duels,
    players: dict[str, Any],
    settings: Mapping[str, Mapping[str, Any]],
    horizon: int,
    replications: int,
    seed: int,
    workers: int | None,
    tell: Progress,
) -> list[dict[str, Any]]:
    """How far from the von Neumann winner agents end that ask such judges."""
    from banditlab.arena.simulate import simulate
    from banditlab.statistics import t_interval

    if not players:
        return []
    labels = [*dict.fromkeys([*players, CONTROL])]
    ties = duels.ties()
    arena = {
        "name": "duels", "protocol": "duel", "seed": seed, "horizon": horizon,
        "replications": replications, "checkpoints": [horizon], "measure": "exploitability",
        "problem": {"name": "duel_replay", "wins": (duels.wins() - ties / 2).tolist(),
                    "ties": ties.tolist()},
        "agents": [{"name": label, **settings.get(label, {})} for label in labels],
    }  # fmt: skip
    curves = simulate(arena, workers=workers, progress=tell)
    rows = []
    for label in labels:
        values = curves.raw(label, "exploitability")[:, -1]
        found = t_interval(values[:, None])
        many = len(values) > 1
        rows.append({
            "agent": label,
            "exploitability": {
                "value": float(values.mean()),
                "lo": float(max(found.lo[0], 0.0)) if many else None,
                "hi": float(found.hi[0]) if many else None,
            },
            "duels": horizon,
        })  # fmt: skip
    return rows
