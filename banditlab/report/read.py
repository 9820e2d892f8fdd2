"""What a report is made of: the files that a run left behind, read with suspicion.

A results folder may come from anybody. Nothing in it is run or believed: what is not there is left
out, and what is damaged is a ValueError in one line that names the file.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field, ValidationError, field_validator

from banditlab.data.raw import read_raw
from banditlab.plot.curves import Curve, curves_of, looks_of, rows_of
from banditlab.words import plain

COLUMNS = ("panel", "cell", "agent", "t", "measure", "n", "mean", "sem", "lo", "hi", "simultaneous")
TEXTS = ("panel", "cell", "agent", "measure")
LARGEST = 1 << 30  # bytes of a file that is worth reading


class Overlay(BaseModel):
    """A bound, or a curve from elsewhere."""

    label: str
    t: list[float]
    y: list[float]


class FigurePanel(BaseModel):
    """What the figure knows of a panel."""

    name: str
    title: str = ""
    measure: str
    xlabel: str = ""
    ylabel: str = ""
    xscale: Literal["linear", "log"] = "linear"
    yscale: Literal["linear", "log", "symlog"] = "linear"
    linthresh: float = Field(1e-4, gt=0, allow_inf_nan=False)
    overlays: list[Overlay] = []
    order: list[str] = []
    names: dict[str, str] = {}  # by the label of a curve or bound: what to call it
    controls: list[str] = []
    notes: dict[str, str] = {}

    _in_plain_letters = field_validator("title", "xlabel", "ylabel")(plain)

    def named(self, label: str) -> str:
        """What a curve or bound is called."""
        return plain(self.names.get(label, label))


class Named(BaseModel):
    """A problem."""

    name: str


class ArenaPanel(BaseModel):
    """What the arena says of a panel."""

    name: str
    protocol: str = ""
    problem: Named | None = None  # none where results come from elsewhere
    horizon: int = 0
    replications: int = 0
    exact: bool = False


class ArenaFacts(BaseModel):
    """What the arena says of itself."""

    name: str
    title: str = ""
    source: str = ""
    claim: str = ""
    panels: list[ArenaPanel] = []

    _in_plain_letters = field_validator("title")(plain)


class Check(BaseModel):
    """A verdict."""

    check: str
    found: str = ""
    passed: bool
    hypothesis: bool = False
    why: str = ""


class Picture(BaseModel):
    """The figure."""

    panels: list[FigurePanel] = Field(min_length=1)


class About(BaseModel):
    """``run.json``."""

    arena: ArenaFacts
    hash: str = ""
    seed: int | None = None
    versions: dict[str, str] = {}
    checks: list[Check] = []
    figure: Picture


class Local(BaseModel):
    """``run.local.json``: what differs from machine to machine."""

    machine: dict[str, str | int | float | None] = {}
    cpu_seconds: dict[str, float] = {}
    peak_memory_bytes: int | None = None


@dataclass
class Final:
    """The last value of a curve in every replication, or only its mean and interval."""

    label: str
    mean: float
    lo: float
    hi: float
    n: int
    seconds: float | None = None  # of CPU
    bytes: int | None = None  # of the values that were kept
    values: np.ndarray | None = None  # (replications,)


@dataclass
class Panel:
    """A panel and its curves."""

    figure: FigurePanel
    arena: ArenaPanel | None
    curves: list[Curve]
    finals: list[Final]
    at: float  # the last checkpoint


@dataclass
class Run:
    """All that a folder holds."""

    folder: Path
    about: About
    local: Local | None
    panels: list[Panel]
    digests: dict[str, str] = field(default_factory=dict)  # SHA-256 by file


def folders(root: Path) -> list[Path]:
    """The folder itself if a run wrote there, or those in it, two levels deep, by name."""
    if not root.is_dir():
        raise ValueError(f"{root}: {'is no folder' if root.exists() else 'no such folder'}")
    if (root / "run.json").exists():
        return [root]
    found = {path.parent for depth in ("*", "*/*") for path in root.glob(f"{depth}/run.json")}
    kept = sorted(path for path in found if not path.name.startswith("."))
    if not kept:
        raise ValueError(f"{root}: no run has left a run.json there: banditlab.arena makes results")
    return kept


def read(folder: Path) -> Run:
    """The run in ``folder``; ValueError that names the file where one is damaged."""
    digests: dict[str, str] = {}
    about = _json(folder / "run.json", About, digests)
    local = None
    if (folder / "run.local.json").exists():
        local = _json(folder / "run.local.json", Local, {})
    frame = _frame(folder / "curves.csv", digests)
    raw = _raw(folder / "raw.parquet")
    figures = about.figure.panels
    entries = [panel.model_dump() for panel in figures]
    with Blame(folder / "curves.csv"):
        tables = [rows_of(frame, panel) for panel in entries]
        for panel, rows in zip(figures, tables, strict=True):
            for absent in [name for name in panel.order if name not in set(rows["label"])][:1]:
                raise ValueError(f"no row of {absent!r}, which run.json names")
        looks = looks_of(entries, tables)
    with Blame(folder / "run.json"):
        drawn = [
            curves_of(panel, rows, looks, "pointwise")
            for panel, rows in zip(entries, tables, strict=True)
        ]
    by_name = {panel.name: panel for panel in about.arena.panels}
    panels = []
    for figure, rows, curves in zip(figures, tables, drawn, strict=True):
        finals = _finals(figure, rows, raw, local)
        at = float(rows["t"].max())
        panels.append(Panel(figure, by_name.get(figure.name), curves, finals, at))
    return Run(folder, about, local, panels, digests)


class Blame:
    """Whatever is wrong inside is the file's fault, in one line."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            place = "".join(f"{part}." for part in first["loc"])
            said = f"{place[:-1]}: {first['msg']}" if place else first["msg"]
            raise ValueError(f"{self.path}: damaged: {said}") from error
        if isinstance(error, OSError):
            raise ValueError(f"{self.path}: {error.strerror or error}") from error
        if isinstance(error, Exception):
            said = " ".join(str(error).split())[:200]
            raise ValueError(f"{self.path}: damaged: {said or type(error).__name__}") from error


def _bytes(path: Path) -> bytes:
    if not path.exists():
        raise ValueError(f"{path}: no such file, though a run.json lies beside")
    if not path.is_file():
        raise ValueError(f"{path}: is no ordinary file")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: more than a gigabyte")
    with Blame(path):
        return path.read_bytes()


def _json(path: Path, model: type[Any], digests: dict[str, str]) -> Any:
    data = _bytes(path)
    digests[path.name] = hashlib.sha256(data).hexdigest()
    with Blame(path):
        try:
            return model.model_validate(json.loads(data))
        except RecursionError:
            raise ValueError("nested too deeply") from None


def _frame(path: Path, digests: dict[str, str]) -> pd.DataFrame:
    data = _bytes(path)
    digests[path.name] = hashlib.sha256(data).hexdigest()
    with Blame(path):
        if not data.endswith(b"\n"):
            raise ValueError("its last line is cut off")
        texts = dict.fromkeys(TEXTS, str)
        absent = {name: ["", "nan", "NaN"] for name in COLUMNS if name not in TEXTS}
        frame = pd.read_csv(path, keep_default_na=False, na_values=absent, dtype=texts)
        missing = [name for name in COLUMNS if name not in frame]
        if missing:
            raise ValueError(f"no column {missing[0]!r}")
        for name in COLUMNS:
            if name not in TEXTS:
                frame[name] = pd.to_numeric(frame[name])
        if frame.empty or not np.isfinite(frame["t"]).all() or not (frame["n"] >= 1).all():
            raise ValueError("a row without t or n, or no row at all")
        for row in np.flatnonzero(frame.duplicated([*TEXTS, "t"]))[:1]:
            raise ValueError(f"line {row + 2} says again what another line says")
    return frame


def _raw(path: Path) -> dict[tuple[str, str, str], Any] | None:
    """Checkpoints, measures, values, batch by (panel, agent, cell); None without such a file."""
    if not path.exists():
        return None
    _ = path.is_file() or _bytes(path)  # which says what is wrong
    with Blame(path):
        found = {}
        for panel, agent, (points, measures, values, cell, *batch) in read_raw(path):
            if not len(values) or values.shape[1] != len(points):
                raise ValueError(f"curve {agent!r} of panel {panel!r} has no whole replications")
            found[panel, agent, cell] = (points, measures, values, *(batch or [1]))
        return found


def _finals(
    figure: FigurePanel,
    rows: dict[str, np.ndarray],
    raw: dict[tuple[str, str, str], Any] | None,
    local: Local | None,
) -> list[Final]:
    """The last value of each curve of a panel, in the panel's order."""
    found = []
    for label, part in pd.DataFrame(rows).groupby("label", sort=False):
        last = part.sort_values("t", kind="stable").to_dict("records")[-1]
        agent, cell = str(last["agent"]), str(last["cell"])
        final = Final(str(label), last["mean"], last["lo"], last["hi"], int(last["n"]))
        if local is not None:
            named = f"{agent}, {cell}" if cell else agent
            final.seconds = local.cpu_seconds.get(f"{figure.name} / {named}")
        if raw is not None and (figure.name, agent, cell) in raw:
            _, measures, values, _ = raw[figure.name, agent, cell]
            if figure.measure in measures:
                final.values = values[:, -1, measures.index(figure.measure)]
            final.bytes = values.nbytes
        found.append(final)
    order = {label: i for i, label in enumerate(figure.order)}
    found.sort(key=lambda final: order.get(final.label, len(order)))
    for final in found:
        final.label = figure.named(final.label)
    return found
