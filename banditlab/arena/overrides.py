"""What a caller changes in an arena as it is read: every override acts, or is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from banditlab import registry
from banditlab.arena.sweep import kept_sweep, places, swept_of
from banditlab.registry import unknown
from banditlab.validate import integer, shown

LONGEST = 2**53  # rounds: more are not exact as float64
BOUNDED = ("bernoulli", "gaussian")  # problems for which banditlab.bounds has lower bounds

Table = dict[str, Any]  # as a TOML file would hold it


class Overrides(NamedTuple):
    """What to change; None leaves it as it is. See :func:`banditlab.arena.simulate.simulate`."""

    horizon: int | None = None
    replications: int | None = None
    seed: int | None = None
    agents: list[Table] | None = None
    problem: Table | None = None
    parameters: Table = {}
    hyper: dict[str, Table] = {}

    @property
    def claims_stand(self) -> bool:
        """Whether the arena's claims are still about what is run."""
        return self._replace(seed=None, replications=None) == Overrides()


def overrides(
    horizon: Any = None,
    replications: Any = None,
    seed: Any = None,
    agents: str | Sequence[str | Mapping[str, Any]] | None = None,
    problem: str | Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    hyper: Mapping[str, Mapping[str, Any]] | None = None,
) -> Overrides:
    """The overrides, checked; ValueError in one line for one that cannot be meant."""
    return Overrides(
        horizon=None if horizon is None else integer("horizon", horizon, 1, LONGEST),
        replications=None
        if replications is None
        else integer("replications", replications, 1, LONGEST),
        seed=None if seed is None else integer("seed", seed, 0),
        agents=None if agents is None else _entries(agents),
        problem=None if problem is None else _problem(problem),
        parameters=dict(parameters or {}),
        hyper={name: dict(given) for name, given in (hyper or {}).items()},
    )


def _entries(agents: str | Sequence[str | Mapping[str, Any]]) -> list[Table]:
    if isinstance(agents, str | Mapping):
        agents = [agents]
    if not isinstance(agents, Sequence) or not agents:
        raise ValueError(f"agents must be a list of names or entries, got {shown(agents)}")
    found = []
    for agent in agents:
        entry = {"name": agent} if isinstance(agent, str) else agent
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
            raise ValueError(f"agents must hold names, or entries with a name, got {shown(agent)}")
        found.append(dict(entry))
    return found


def _problem(problem: str | Mapping[str, Any]) -> Table:
    """A problem known by its name alone plays the example that its file gives."""
    if isinstance(problem, str):
        return {"name": problem, **registry.example("problem", problem)}
    if not isinstance(problem, Mapping) or not isinstance(problem.get("name"), str):
        raise ValueError(f"problem must be a name, or an entry with a name, got {shown(problem)}")
    return dict(problem)


def overridden(panel: Table, given: Overrides, notes: list[str]) -> Table:
    """The table of a panel with what is changed in it; a name alone stands for a table."""
    if isinstance(panel.get("agents"), list):
        panel["agents"] = [{"name": a} if isinstance(a, str) else a for a in panel["agents"]]
    if isinstance(panel.get("problem"), str):
        panel["problem"] = _problem(panel["problem"])
    x, sweep = panel.get("x"), panel.get("sweep")
    swept = isinstance(x, str) and isinstance(sweep, dict) and x in sweep
    for key in ("horizon", "replications", "problem"):
        value = getattr(given, key)
        if value is not None:
            panel[key] = value
            panel["sweep"] = kept_sweep(panel.get("sweep", {}), key, value)
    if given.problem is not None:
        name = str(given.problem["name"])
        panel.update(exact=False, worst=[], x="", references=[], title=Path(name).stem)
        if panel.get("overlays") and name not in BOUNDED:
            note = f"left out, for they are not known for {name}: {', '.join(panel['overlays'])}"
            notes += [note] * (note not in notes)
            panel["overlays"] = []
    if given.replications is not None and panel.get("exact"):
        notes.append(
            f"panel {panel.get('name', 'main')!r} sums over all logs: one replication says it all"
        )
    for argument, value in given.parameters.items():
        panel["problem"] = {**panel.get("problem", {}), argument: value}
        panel["sweep"] = kept_sweep(panel.get("sweep", {}), f"problem.{argument}", value)
    if given.agents:
        panel["agents"] = _company(panel, given.agents)
        labels = {label for agent in panel["agents"] for label in names_of(agent)}
        left = swept_of(panel.get("sweep", {}), labels)
        if isinstance(x, str) and swept:  # the axis may have lost a place, and with it its name
            panel["x"] = x = next((key for key in left if set(places(key)) <= set(places(x))), x)
        panel["sweep"] = left
    agents = panel.get("agents", [])
    if isinstance(agents, list):
        panel["agents"] = [_set(panel, agent, given.hyper) for agent in agents]
    if swept and x not in panel["sweep"]:  # the axis is set: nothing is left to draw along it
        panel["x"] = ""
    return panel


def _company(panel: Table, entries: list[Table]) -> list[Table]:
    """The agents named: one that the arena has keeps its settings there, the others its warmth."""
    listed = [a for a in panel.get("agents", []) if isinstance(a, dict)]
    before = {a.get("label") or a.get("name"): a for a in listed}
    warm = {"warm": True} if any(a.get("warm") for a in listed) else {}
    return [before.get(e["name"], {**warm, **e}) if len(e) == 1 else {**warm, **e} for e in entries]


def with_their_axis(panels: list[Table], given: Overrides, notes: list[str]) -> list[Table]:
    """The panels less those along whose axis a parameter of agents runs that do not play.

    All of them, if none would be left: they then show the agents that play along the rounds.
    """
    if not given.agents:
        return panels
    playing = {name for entry in given.agents for name in names_of(entry)} | {"problem"}
    kept: list[Table] = []
    lost: list[Table] = []
    for panel in panels:
        x = panel.get("x")
        along = places(x) if isinstance(x, str) else []
        owners = {place.rpartition(".")[0] for place in along}
        (kept if not owners or "" in owners or owners & playing else lost).append(panel)
    if kept and lost:
        named = ", ".join(str(panel.get("name", panel["x"])) for panel in lost)
        notes.append(
            f"left out, for what runs along the axis is of agents that do not play: {named}"
        )
    return kept or panels


def names_of(agent: Any) -> set[str]:
    """What an agent's table may be called."""
    if not isinstance(agent, dict):
        return set()
    name = str(agent.get("name", ""))
    return {name, Path(name).stem, str(agent.get("label") or name)}


def _set(panel: Table, agent: Any, hyper: Mapping[str, Table]) -> Any:
    for name in names_of(agent) & hyper.keys():
        agent = {**agent, **hyper[name]}
        for key, value in hyper[name].items():
            label = agent.get("label") or Path(str(agent["name"])).stem
            panel["sweep"] = kept_sweep(panel.get("sweep", {}), f"{label}.{key}", value)
    return agent


def refuse_strangers(panels: list[Table], given: Overrides) -> None:
    """ValueError for hyper-parameters of an agent that does not play."""
    known = {name for panel in panels for agent in panel["agents"] for name in names_of(agent)}
    for name in given.hyper:
        if name not in known:
            raise ValueError(f"--set or hyper: {unknown('agent', name, known)}")


def speaks(agent: Table, panel: Table) -> bool:
    """Whether the algorithm of an agent's table can play the protocol of a panel's."""
    hyper = {k: v for k, v in agent.items() if k not in ("name", "label", "warm")}
    algorithm = registry.make(agent["name"], **hyper)
    protocol = registry.protocol(str(panel.get("protocol", "online")))
    log = panel.get("log", 0)
    return bool(protocol.speaks(algorithm, log if isinstance(log, int) else 0))


def runnable(panels: list[Table], where: str) -> list[Table]:
    """The panels with those of their agents that speak the panel's protocol."""
    kept = []
    refused: set[str] = set()
    heard: set[str] = set()
    for panel in panels:
        able = [a for a in panel["agents"] if speaks(a, panel)]
        heard |= {a["name"] for a in able}
        refused |= {a["name"] for a in panel["agents"]}
        if able:
            kept.append({**panel, "agents": able})
    deaf = sorted(refused - heard)
    if deaf:
        spoken = sorted({str(panel.get("protocol", "online")) for panel in panels})
        raise ValueError(
            f"agent {deaf[0]!r} does not speak {' or '.join(spoken)}, which {where or 'this arena'}"
            " asks for"
        )
    return kept
