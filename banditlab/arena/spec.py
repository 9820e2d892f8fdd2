"""Arenas as data: one TOML file per figure, checked, completed and hashed before anything runs.

A file has one or more ``[[panels]]``; what stands at the top level is every panel's default, so an
arena of one panel needs no ``[[panels]]`` at all::

    title = "..."
    source = "paper, section, figure"
    claim = "one sentence that the checks below make executable"
    seed = 1
    horizon = 10000
    replications = 500
    home_of = ["ucb"]            # agents for which `--agent NAME` alone runs this file

    [problem]
    name = "bernoulli"
    means = [0.2, 0.8]

    [[agents]]
    name = "ucb"
    alpha = 0.5
    label = "UCB, alpha 0.5"     # how the agent is called in this arena; its name by default

    [[checks]]
    less = "ucb.regret"          # or: value = "ucb.regret", near = 12.5, within = 0.1
    than = "uniform.regret"
    at = 10000
    sigmas = 4

A panel may be run over and over with other values (`cells`)::

    [sweep]                                        # or [panels.sweep]
    "problem.C" = [1, 1.5, 4]                      # one curve per agent and value: "ucb, C = 1.5"
    "horizon, problem.N" = [100, 1000, 10000]      # a swept horizon is the x axis
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from banditlab.registry import factory, unknown
from banditlab.validate import integer


class Strict(BaseModel):
    """Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


def _plain(entry: Any) -> Any:
    """An entry whose arrays are lists, as a TOML file would have them."""
    if not isinstance(entry, Mapping):
        return entry
    listed = (np.ndarray, np.generic)
    return {k: v.tolist() if isinstance(v, listed) else v for k, v in entry.items()}


class AgentEntry(BaseModel):
    """An agent in a panel; keys beyond these are its hyper-parameters."""

    model_config = ConfigDict(extra="allow")

    name: str
    label: str = ""
    warm: bool = False  # learn from the panel's log before the first round

    _lists = model_validator(mode="before")(_plain)

    @property
    def hyper(self) -> dict[str, Any]:
        """Hyper-parameters."""
        return dict(self.__pydantic_extra__ or {})

    @model_validator(mode="after")
    def _label(self) -> AgentEntry:
        self.label = self.label or Path(self.name).stem
        return self


class ProblemEntry(BaseModel):
    """A problem; keys beyond the name are its parameters."""

    model_config = ConfigDict(extra="allow")

    name: str

    _lists = model_validator(mode="before")(_plain)

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters of the problem."""
        return dict(self.__pydantic_extra__ or {})


class Reference(Strict):
    """A curve from elsewhere, drawn beside ours: what a paper reports, or a closed form."""

    label: str
    t: list[float] = Field(min_length=1)
    y: list[float] = Field(min_length=1)

    @model_validator(mode="after")
    def _paired(self) -> Reference:
        if len(self.t) != len(self.y):
            raise ValueError(f"t and y must have one length, got {len(self.t)} and {len(self.y)}")
        return self


class Panel(Strict):
    """One picture of the figure: a protocol, a problem, agents, and where to look."""

    name: str = "main"
    title: str = ""
    protocol: Literal["online", "offline", "offline_mdp", "observe", "identify"] = "online"
    problem: ProblemEntry
    agents: list[AgentEntry] = Field(min_length=1)
    horizon: int = Field(1000, ge=1)
    replications: int = Field(100, ge=1)
    checkpoints: list[int] = []  # empty: 100 of them, spread as xscale says
    log: int = Field(0, ge=0)  # online: rounds of the log that warm and offline agents learn from
    measure: str = ""  # what the figure shows; empty: the protocol's first
    xscale: Literal["log", "linear"] = "log"
    yscale: Literal["log", "linear", "symlog"] = "linear"
    linthresh: float = Field(1e-4, gt=0)
    overlays: list[Literal["lai_robbins", "minimax"]] = []
    references: list[Reference] = []
    row: int | None = Field(None, ge=0)
    column: int | None = Field(None, ge=0)
    exact: bool = False  # offline, two arms: sum over all logs instead of drawing them
    # Where the values go: "horizon", "log", "problem.ARGUMENT" or "LABEL.HYPERPARAMETER", several
    # places separated by commas. Several keys are combined each with each.
    sweep: dict[str, list[Any]] = {}
    x: str = ""  # the swept key that is the x axis; empty: the horizon's, or none
    # Further problems: at each point a curve is that of the problem on which its agent's mean is
    # largest, hence the risk over a class. A swept "problem.K" goes to the problems that take K.
    worst: list[ProblemEntry] = []
    slopes: bool = False  # show each curve's slope, d log(mean) / d log(x), beside its name

    @model_validator(mode="after")
    def _complete(self) -> Panel:
        if self.exact:
            if self.protocol != "offline":
                raise ValueError("exact is for the protocol offline")
            self.replications = 1
        self._swept()
        labels = [agent.label for agent in self.agents]
        twice = [label for label in labels if labels.count(label) > 1]
        if twice:
            raise ValueError(f"label {twice[0]!r} is used twice; give one of them another label")
        if not self.checkpoints:
            self.checkpoints = checkpoints(self.horizon, spacing=self.xscale).tolist()
        if self.protocol == "identify":  # scored when it is over
            self.checkpoints = [self.horizon]
        kept = sorted({t for t in self.checkpoints if 1 <= t < self.horizon} | {self.horizon})
        self.checkpoints = kept
        return self

    def _swept(self) -> None:
        """Complete and check what is swept."""
        on_horizon = [key for key in self.sweep if "horizon" in _places(key)]
        self.x = self.x or "".join(on_horizon[:1])
        if self.x and self.x not in self.sweep:
            raise ValueError(f"x: {unknown('key of sweep', self.x, self.sweep)}")
        for key, values in self.sweep.items():
            if not values or len(set(map(repr, values))) < len(values):
                raise ValueError(f"sweep.{key}: must be a list of different values")
            if {"horizon", "log"} & set(_places(key)):
                self.sweep[key] = [integer(f"sweep.{key}", value, 1) for value in values]
        if self.x and self.sweep[self.x] != sorted(self.sweep[self.x]):
            raise ValueError(f"sweep.{self.x}: must increase")
        labels = {agent.label for agent in self.agents}
        for place in (place for key in self.sweep for place in _places(key)):
            owner, dot, name = place.rpartition(".")
            if owner == "problem":
                if not _takers(self, name):
                    raise ValueError(f"sweep: no problem of the panel takes {name!r}")
            elif (dot and owner not in labels) or (not dot and name not in ("horizon", "log")):
                allowed = ["horizon", "log", "problem.ARGUMENT", *(f"{a}.KEY" for a in labels)]
                raise ValueError(f"sweep: {unknown('place', place, allowed)}")


class Cell(NamedTuple):
    """A panel with every swept key set to one of its values."""

    name: str  # the values that tell its curves from others: "C = 1.5"; empty when there are none
    x: float | None  # where on the x axis; None when the axis is not swept
    panels: list[Panel]  # one, or one per problem where the worst of several counts


def _places(key: str) -> list[str]:
    return [place.strip() for place in key.split(",")]


def _takers(panel: Panel, argument: str) -> list[ProblemEntry]:
    """The panel's problems that have such an argument."""

    def takes(problem: ProblemEntry) -> bool:
        return argument in inspect.signature(factory("problem", problem.name)).parameters

    return [problem for problem in (panel.problem, *panel.worst) if takes(problem)]


def cells(panel: Panel) -> list[Cell]:
    """What there is to run for a panel: itself, or one cell per combination of swept values."""
    found = []
    for values in itertools.product(*panel.sweep.values()):
        cell = panel.model_copy(deep=True)
        words, x = [], None
        for key, value in zip(panel.sweep, values, strict=True):
            for place in _places(key):
                _set(cell, place, value)
            if key == panel.x:
                x = value
            elif len(panel.sweep[key]) > 1:
                words.append(f"{_places(key)[0].rpartition('.')[2]} = {value}")
        if panel.x:  # a point of its curves, not a curve
            cell.checkpoints = [cell.horizon]
        problems, cell.sweep, cell.worst, cell.x = [cell.problem, *cell.worst], {}, [], ""
        panels = [Panel.model_validate({**cell.model_dump(), "problem": p}) for p in problems]
        found.append(Cell(", ".join(words), x, panels))
    return found


def _set(cell: Panel, place: str, value: Any) -> None:
    owner, _, name = place.rpartition(".")
    entries: list[Any] = [agent for agent in cell.agents if agent.label == owner]
    if owner == "problem":
        entries = _takers(cell, name)
    if owner:
        for entry in entries:
            entry.__pydantic_extra__[name] = value
    else:
        setattr(cell, name, value)


class Check(Strict):
    """A sentence about the curves that a run finds true or false.

    ``less``/``than``: the mean of the one lies below that of the other plus ``margin``, by more
    than ``sigmas`` standard errors of their paired difference. Either may be the label of a
    reference of the panel, the other a number; negative ``sigmas`` allow that much of a violation.
    ``value``/``near``: the mean lies within ``within`` (relative) of the number, or within
    ``sigmas`` standard errors of the difference of two such means, or within ``rounding``.
    ``slope``/``near``: d log(mean) / d log(x), fitted over all of ``at`` (all points without it)
    by least squares, lies within ``within`` or ``rounding`` of the number.
    ``at`` and ``near`` may be lists of equal length.
    """

    panel: str = ""
    less: str = ""
    than: str | float = ""
    margin: float = 0.0
    value: str = ""
    slope: str = ""
    near: float | list[float] = 0.0
    within: float = Field(0.0, ge=0)
    rounding: float = Field(0.0, ge=0)
    at: int | float | list[int | float] | None = None
    sigmas: float = 3.0
    why: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> Check:
        if bool(self.less) + bool(self.value) + bool(self.slope) != 1:
            raise ValueError("a check has either less and than, or value and near")
        if self.less and self.than == "":
            raise ValueError("less needs than")
        if isinstance(self.near, list) and (
            not isinstance(self.at, list) or len(self.near) != len(self.at)
        ):
            raise ValueError("near and at must be lists of the same length")
        return self


class Arena(Strict):
    """A whole figure."""

    name: str
    title: str = ""
    source: str = ""
    claim: str = ""
    seed: int = Field(0, ge=0)
    home_of: list[str] = []
    panels: list[Panel] = Field(min_length=1)
    checks: list[Check] = []

    def resolved(self) -> dict[str, Any]:
        """Everything that decides the numbers, as plain data."""
        return self.model_dump(mode="json")

    def hash(self) -> str:
        """Twelve hexadecimal digits of the resolved arena."""
        # Without defaults, so that a key added to the format leaves old results valid.
        plain = self.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps(plain, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def checkpoints(horizon: int, count: int = 100, spacing: str = "log") -> np.ndarray:
    """At most ``count`` rounds to record at: sorted int64, ending at ``horizon``."""
    if spacing == "log":
        points = np.geomspace(1, horizon, count)
    else:
        points = np.linspace(horizon / count, horizon, count)
    return np.unique(np.append(np.round(points), horizon).astype(np.int64).clip(1, horizon))


def folders() -> list[Path]:
    """Where arenas are looked for: here, beside the package, inside an installed package."""
    package = Path(__file__).parent.parent
    return [Path("arenas"), package.parent / "arenas", package / "_arenas"]


def arena_files() -> dict[str, Path]:
    """Every arena by name; the first folder that has a name wins."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def home_arena(agent: str) -> str:
    """The arena that ``--agent NAME`` runs: ``<agent>.toml``, or one that says it is its home."""
    files = arena_files()
    if agent in files:
        return agent
    for name, path in files.items():
        if agent in _read(path).get("home_of", []):
            return name
    # A file outside the package plays where UCB is at home.
    return home_arena("ucb") if agent != "ucb" else "stochastic"


def read_arena(source: str | Path | Mapping[str, Any], **overrides: Any) -> Arena:
    """The arena in a file, of a name, or in a mapping with the TOML's keys.

    Overrides: ``horizon``, ``replications``, ``seed``, ``agents`` (list of entries or names),
    ``problem`` (an entry), ``parameters`` (of the problem, to set), ``hyper`` (agent name ->
    hyper-parameters to set).
    Raises ValueError, in one line that names file, key and what is allowed.
    """
    if isinstance(source, Mapping):
        return _build("arena", dict(source), overrides)
    path = Path(source)
    if path.suffix != ".toml":
        files = arena_files()
        if str(source) not in files:
            if not files:
                raise ValueError("no arenas folder found here; pass the path of a .toml file")
            raise ValueError(unknown("arena", str(source), files))
        path = files[str(source)]
    return _build(path.stem, _read(path), overrides, where=path.name)


def _read(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: {error}") from error


def _build(name: str, data: dict[str, Any], overrides: Mapping[str, Any], where: str = "") -> Arena:
    data = dict(data)
    data.setdefault("name", name)
    own = set(Arena.model_fields)
    shared = {key: data.pop(key) for key in list(data) if key not in own}
    for key in shared:
        if key not in Panel.model_fields or key == "name":
            raise ValueError(
                _said(where, unknown("key", key, {*own, *Panel.model_fields} - {"panels"}))
            )
    panels = data.get("panels", [{}])
    if not isinstance(panels, list) or not all(isinstance(panel, dict) for panel in panels):
        raise ValueError(_said(where, "panels must be tables: [[panels]]"))
    data["panels"] = [_overridden({**shared, **panel}, overrides) for panel in panels]
    if overrides.get("agents"):
        data["panels"], data["checks"] = _runnable(data["panels"], where), []
    if overrides.get("seed") is not None:
        data["seed"] = overrides["seed"]
    try:
        return Arena.model_validate(data)
    except ValidationError as error:
        raise ValueError(_said(where, _one_line(error))) from error


def _overridden(panel: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    for key in ("horizon", "replications", "problem"):
        if overrides.get(key) is not None:
            panel[key] = overrides[key]
            panel["sweep"] = _kept_sweep(panel.get("sweep", {}), key, overrides[key])
    if overrides.get("problem") is not None:
        name = Path(overrides["problem"]["name"]).stem
        panel.update(exact=False, worst=[], x="", references=[], title=name)
    for argument, value in (overrides.get("parameters") or {}).items():
        panel["problem"] = {**panel.get("problem", {}), argument: value}
        panel["sweep"] = _kept_sweep(panel.get("sweep", {}), f"problem.{argument}", value)
    if overrides.get("agents"):
        before = {a.get("label") or a.get("name"): a for a in panel.get("agents", [])}
        entries = [{"name": a} if isinstance(a, str) else dict(a) for a in overrides["agents"]]
        # An agent that the arena already has keeps the settings it has there.
        panel["agents"] = [before.get(e["name"], e) if len(e) == 1 else e for e in entries]
    for name, hyper in (overrides.get("hyper") or {}).items():
        panel["agents"] = [
            {**a, **hyper} if name in (a.get("name"), a.get("label")) else a
            for a in panel.get("agents", [])
        ]
    return panel


def _kept_sweep(sweep: dict[str, list[Any]], key: str, value: Any) -> dict[str, list[Any]]:
    """What is left to sweep under an override: no longer horizons, nothing of another problem."""
    kept: dict[str, list[Any]] = {}
    if not isinstance(sweep, dict):
        return sweep
    for swept, values in sweep.items():
        places = _places(swept)
        if key == "problem" and any(place.startswith("problem.") for place in places):
            continue
        if key in places and key.startswith("problem."):
            continue
        if key == "horizon" and "horizon" in places:
            values = [v for v in values if v <= value] or [value]
        kept[swept] = values
    return kept


def _runnable(panels: list[dict[str, Any]], where: str) -> list[dict[str, Any]]:
    """The panels with those of their agents that speak the panel's protocol."""
    from banditlab.arena.jobs import speaks

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


def _said(where: str, text: str) -> str:
    return f"{where}: {text}" if where else text


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        owner: type[BaseModel] = Arena
        if first["loc"][0] == "panels":
            owner = Panel
        elif first["loc"][0] == "checks":
            owner = Check
        line = unknown("key", str(first["loc"][-1]), owner.model_fields)
        return f"{place}: {line}"
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    shown = "" if isinstance(given, dict | list) or given is None else f", got {given!r}"
    return f"{place}: {message[0].lower() + message[1:]}{shown}" if place else message
