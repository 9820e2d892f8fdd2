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

One file, though long: it is the whole format, and each key is said and checked in one place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from banditlab import registry
from banditlab.arena.fields import Drawn, FileName, Whole
from banditlab.arena.find import arena_files, read_toml
from banditlab.arena.overrides import (
    BOUNDED,
    LONGEST,
    Overrides,
    overridden,
    overrides,
    refuse_strangers,
    runnable,
    with_their_axis,
)
from banditlab.arena.sweep import places, takers
from banditlab.registry import unknown
from banditlab.validate import integer, shown


class Strict(BaseModel):
    """Unknown keys are errors, and so are nan and infinities."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


def _plain(entry: Any) -> Any:
    """An entry whose arrays and frames are lists, as a TOML file would have them."""
    if isinstance(entry, np.ndarray | np.generic):
        return entry.tolist()
    if hasattr(entry, "iloc") and hasattr(entry, "columns"):
        return {str(name): column.tolist() for name, column in entry.items()}
    if not isinstance(entry, Mapping):
        return entry
    return {key: _plain(value) for key, value in entry.items()}


class AgentEntry(BaseModel):
    """An agent in a panel; keys beyond these are its hyper-parameters."""

    model_config = ConfigDict(extra="allow")

    name: str
    label: Drawn = ""
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

    label: Drawn
    t: list[float] = Field(min_length=1)
    y: list[float] = Field(min_length=1)

    @model_validator(mode="after")
    def _paired(self) -> Reference:
        if len(self.t) != len(self.y):
            raise ValueError(f"t and y must have one length, got {len(self.t)} and {len(self.y)}")
        return self


class Level(Strict):
    """A level that a curve of another panel reaches, drawn across this one: a dashed line."""

    label: Drawn
    panel: str
    curve: str
    at: int | float | None = None  # empty: at the last point


class Panel(Strict):
    """One picture of the figure: a protocol, a problem, agents, and where to look."""

    name: str = "main"
    title: Drawn = ""
    protocol: str = "online"  # one of banditlab.protocols, or a .py file
    problem: ProblemEntry
    agents: list[AgentEntry] = Field(min_length=1)
    horizon: Whole = Field(1000, ge=1, le=LONGEST)
    replications: Whole = Field(100, ge=1, le=LONGEST)
    checkpoints: list[Whole] = []  # empty: 100 of them, spread as xscale says
    # Rounds of the log that warm agents, and offline ones in protocol online, learn from.
    log: Whole = Field(0, ge=0, le=LONGEST)
    measure: str = ""  # what the figure shows; empty: the protocol's first
    xscale: Literal["log", "linear"] = "log"
    yscale: Literal["log", "linear", "symlog"] = "linear"
    linthresh: float = Field(1e-4, gt=0)
    overlays: list[Literal["lai_robbins", "minimax"]] = []
    references: list[Reference] = []
    levels: list[Level] = []
    xlabel: Drawn = ""  # of the axes, if not what is swept or counted, and what is measured
    ylabel: Drawn = ""
    xmin: float | None = None  # where the x axis begins; empty: at the first point
    row: Whole | None = Field(None, ge=0)
    column: Whole | None = Field(None, ge=0)
    exact: bool = False  # offline, two arms: sum over all logs instead of drawing them
    # Where the values go: "horizon", "log", "problem.ARGUMENT" or "LABEL.HYPERPARAMETER", several
    # places separated by commas. Several keys are combined each with each.
    sweep: dict[str, list[Any]] = {}
    x: str = ""  # the swept key that is the x axis; empty: the horizon's, or none
    # Further problems: at each point a curve is that of the problem on which its agent's mean is
    # largest, hence the risk over a class. A swept "problem.K" goes to the problems that take K.
    worst: list[ProblemEntry] = []
    slopes: bool = False  # show each curve's slope, d log(mean) / d log(x), beside its name

    @field_validator("protocol")
    @classmethod
    def _known(cls, name: str) -> str:
        registry.protocol(name)
        return name

    @model_validator(mode="after")
    def _complete(self) -> Panel:
        protocol = registry.protocol(self.protocol)
        if self.exact:
            if not protocol.exact:
                raise ValueError(f"exact is not for protocol {protocol.name}")
            self.replications = 1
        for overlay in self.overlays:
            if self.problem.name not in BOUNDED:
                raise ValueError(
                    f"overlay {overlay} is known for {' and '.join(BOUNDED)}, "
                    f"not for {self.problem.name}"
                )
        self._swept()
        labels = [agent.label for agent in self.agents]
        twice = [label for label in labels if labels.count(label) > 1]
        if twice:
            raise ValueError(f"label {twice[0]!r} is used twice; give one of them another label")
        if not self.checkpoints:
            self.checkpoints = checkpoints(self.horizon, spacing=self.xscale).tolist()
        self.checkpoints = protocol.checkpoints(self.checkpoints, self.horizon)
        return self

    def _swept(self) -> None:
        """Complete and check what is swept."""
        on_horizon = [key for key in self.sweep if "horizon" in places(key)]
        self.x = self.x or "".join(on_horizon[:1])
        if self.x and self.x not in self.sweep:
            raise ValueError(f"x: {unknown('key of sweep', self.x, self.sweep)}")
        for key, values in self.sweep.items():
            if not values or len(set(map(repr, values))) < len(values):
                raise ValueError(f"sweep.{key}: must be a list of different values")
            if {"horizon", "log"} & set(places(key)):
                self.sweep[key] = [integer(f"sweep.{key}", value, 1) for value in values]
        if self.x and self.sweep[self.x] != sorted(self.sweep[self.x]):
            raise ValueError(f"sweep.{self.x}: must increase")
        labels = {agent.label for agent in self.agents}
        for place in (place for key in self.sweep for place in places(key)):
            owner, dot, name = place.rpartition(".")
            if owner == "problem":
                if not takers(self, name):
                    raise ValueError(f"sweep: no problem of the panel takes {name!r}")
            elif (dot and owner not in labels) or (not dot and name not in ("horizon", "log")):
                allowed = ["horizon", "log", "problem.ARGUMENT", *(f"{a}.KEY" for a in labels)]
                raise ValueError(f"sweep: {unknown('place', place, allowed)}")


class Claim(Strict):
    """A sentence about the curves that a run finds true or false.

    ``less``/``than``: the mean of the one lies below that of the other plus ``margin``, by more
    than ``sigmas`` standard errors of their paired difference. Either may be the label of a
    reference of the panel, the other a number; negative ``sigmas`` allow that much of a violation.
    ``value``/``near``: the mean lies within ``within`` (relative) of the number, or within
    ``sigmas`` standard errors of the difference of two such means, or within ``rounding``.
    ``slope``/``near``: d log(mean) / d log(x), fitted over all of ``at`` (all points without it)
    by least squares, lies within ``within`` or ``rounding`` of the number.
    ``beats``/``than``: the mean of the one agent lies below that of the other, and the paired
    t-test says so at ``level``, Holm-corrected for all such checks of the arena; with ``chance``
    the one also lies below the other in at least that share of replications, by the lower end of
    the 95% interval (Clopper-Pearson).
    ``at`` and ``near`` may be lists of equal length. With ``over`` and ``share`` in (0, 1] it is
    that share of the way from ``over`` to ``less`` that lies below ``than``: half of what PPO gains
    over uniform actions, say. A ``hypothesis`` is written before the run, like every check, and its
    verdict is reported like theirs, but a no is a finding: nothing fails. One that holds although
    the 95% interval of the difference reaches ``margin`` "holds, within noise".
    """

    panel: str = ""
    hypothesis: bool = False
    less: str | float = ""
    over: str = ""
    share: float = Field(1.0, gt=0, le=1)
    than: str | float = ""
    margin: float = 0.0
    value: str = ""
    slope: str = ""
    beats: str = ""
    level: float = Field(0.05, gt=0, lt=1)
    chance: float = Field(0.0, ge=0, lt=1)
    near: float | list[float] = 0.0
    within: float = Field(0.0, ge=0)
    rounding: float = Field(0.0, ge=0)
    at: int | float | list[int | float] | None = None
    sigmas: float = 3.0
    why: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> Claim:
        if (self.less != "") + bool(self.value) + bool(self.slope) + bool(self.beats) != 1:
            raise ValueError("a check has either less and than, or value and near")
        if self.beats and not (isinstance(self.than, str) and self.than):
            raise ValueError("than must name an agent that is beaten")
        if self.beats and isinstance(self.at, list):
            raise ValueError("at must be one round for beats")
        if self.less != "" and self.than == "":
            raise ValueError("less needs than")
        if bool(self.over) != (self.share < 1.0):
            raise ValueError("over and a share below 1 belong together")
        if self.over and not isinstance(self.less, str):
            raise ValueError("over and share belong to an agent that is less")
        if isinstance(self.near, list) and (
            not isinstance(self.at, list) or len(self.near) != len(self.at)
        ):
            raise ValueError("near and at must be lists of the same length")
        return self


# What decides how a figure looks, and none of its numbers: with another, it is drawn anew.
LOOKS = {"title", "source", "claim", "caption", "names", "home_of"}
PANEL_LOOKS = {
    *("title", "xscale", "yscale", "linthresh", "overlays", "references", "levels"),
    *("xlabel", "ylabel", "xmin", "row", "column", "slopes"),
}


class Arena(Strict):
    """A whole figure."""

    name: FileName
    title: Drawn = ""
    source: str = ""
    claim: str = ""
    caption: str = ""  # where in the figure the claim is seen, and what the control looks like
    names: dict[str, Drawn] = {}  # what the figure calls its curves and references, by their label
    seed: Whole = Field(0, ge=0)
    home_of: list[str] = []
    panels: list[Panel] = Field(min_length=1)
    checks: list[Claim] = []

    _notes: list[str] = PrivateAttr(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What was left out of the arena that was read, in words for who runs it."""
        return self._notes

    @property
    def counted(self) -> str:
        """What all its horizons count, such as steps; empty where panels differ."""
        words = {registry.protocol(panel.protocol).xlabel for panel in self.panels}
        word = words.pop() if len(words) == 1 else ""
        return "" if not word.isalpha() else word if word.endswith("s") else f"{word}s"

    def resolved(self) -> dict[str, Any]:
        """The whole arena as plain data, with its defaults."""
        return self.model_dump(mode="json")

    def numbers(self) -> dict[str, Any]:
        """Everything that decides the numbers, but not how they are shown, as plain data.

        References that a check names are among it.
        """
        plain = self.model_dump(mode="json", exclude_defaults=True, exclude=LOOKS)
        checked = {str(x) for claim in self.checks for x in (claim.less, claim.than, claim.over)}
        for panel, entry in zip(self.panels, plain["panels"], strict=True):
            entry["checked"] = [r.model_dump() for r in panel.references if r.label in checked]
            for key in PANEL_LOOKS & set(entry):
                del entry[key]
        return plain

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


def read_arena(source: str | Path | Mapping[str, Any] | Arena, **changes: Any) -> Arena:
    """The arena in a file, of a name, or in a mapping with the TOML's keys.

    ``changes``: see :func:`banditlab.arena.simulate.simulate`. An arena that was read already may
    be changed too. Raises ValueError, in one line that names file, key and what is allowed.
    """
    given = overrides(**changes)
    if isinstance(source, Arena):
        return source if given == Overrides() else _build(source.name, _table(source), given)
    if isinstance(source, Mapping):
        return _build("arena", dict(source), given)
    path = Path(source)
    if path.suffix != ".toml":
        files = arena_files()
        if str(source) not in files:
            if not files:
                raise ValueError("no arenas folder found here; pass the path of a .toml file")
            raise ValueError(unknown("arena", str(source), files))
        path = files[str(source)]
    return _build(path.stem, read_toml(path), given, where=path.name)


def _table(arena: Arena) -> dict[str, Any]:
    """What a file of this arena would hold; checkpoints that nobody chose are left open."""
    table = arena.model_dump(exclude_defaults=True)
    for panel, entry in zip(arena.panels, table["panels"], strict=True):
        if panel.checkpoints == checkpoints(panel.horizon, spacing=panel.xscale).tolist():
            del entry["checkpoints"]
    return table


def _build(name: str, data: dict[str, Any], given: Overrides, where: str = "") -> Arena:
    data = dict(data)
    data.setdefault("name", name)
    own = set(Arena.model_fields)
    shared = {key: data.pop(key) for key in list(data) if key not in own}
    for key in shared:
        if key not in Panel.model_fields or key == "name":
            known = {*own, *Panel.model_fields} - {"panels"}
            raise ValueError(_said(where, unknown("key", str(key), known)))
    panels = data.get("panels", [{}])
    if not isinstance(panels, list) or not all(isinstance(panel, dict) for panel in panels):
        raise ValueError(_said(where, "panels must be tables: [[panels]]"))
    notes: list[str] = []
    panels = with_their_axis([{**shared, **panel} for panel in panels], given, notes)
    data["panels"] = [overridden(panel, given, notes) for panel in panels]
    refuse_strangers(data["panels"], given)
    if given.agents:
        data["panels"] = runnable(data["panels"], where)
    if not given.claims_stand:
        data["checks"] = []
    if given.seed is not None:
        data["seed"] = given.seed
    try:
        arena = Arena.model_validate(data)
    except ValidationError as error:
        raise ValueError(_said(where, _one_line(error))) from error
    except RecursionError:
        raise ValueError(_said(where, "lists or tables are nested too deeply")) from None
    arena._notes.extend(notes)
    return arena


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
            owner = Claim
        line = unknown("key", str(first["loc"][-1]), owner.model_fields)
        return f"{place}: {line}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] in ("model_type", "model_attributes_type", "dict_type"):
        message = "must be a table: { key = value }"
    given = first.get("input")
    got = "" if isinstance(given, dict | list) or given is None else f", got {shown(given)}"
    return f"{place}: {message[0].lower() + message[1:]}{got}" if place else message
