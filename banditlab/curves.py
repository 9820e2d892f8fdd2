"""What a run leaves behind: totals of every replication at every checkpoint, and their origin.

Written to a folder as ``curves.csv`` (tidy means and bands), ``run.json`` (the resolved arena, its
hash, versions, checks, and what the figure needs), ``raw.parquet`` (every replication),
``run.local.json`` (wall time and machine), ``figure.png`` and ``figure.svg``.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from banditlab.registry import unknown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PACKAGES = ("banditlab", "numpy", "numba", "scipy", "pandas")


class Record(NamedTuple):
    """The curves of one agent in one panel."""

    checkpoints: np.ndarray  # (checkpoints,) int64, increasing; the values of a swept x axis
    measures: tuple[str, ...]
    values: np.ndarray  # (replications, checkpoints, measures) float64
    cell: str = ""  # which cell of a swept panel: "C = 1.5"

    def named(self, label: str) -> str:
        """How the curve of the agent called ``label`` is called: "ucb", or "ucb, C = 1.5"."""
        return f"{label}, {self.cell}" if self.cell else label

    def agent(self, name: str) -> str:
        """The label of the agent whose curve is called ``name``."""
        return name.removesuffix(f", {self.cell}") if self.cell else name


class Comparison(NamedTuple):
    """Difference ``a - b``, paired by replication, at one checkpoint."""

    difference: float
    lo: float  # 95% interval of the difference
    hi: float
    p: float  # two-sided paired t-test
    replications: int


@dataclass
class Curves:
    """Curves by (panel, agent), with the arena that made them.

    Examples
    --------
    >>> import banditlab
    >>> curves = banditlab.simulate("stochastic", agents=["ucb"], horizon=100, replications=10)
    >>> curves.raw("ucb", "regret").shape
    (10, 58)
    """

    arena: dict[str, Any]  # resolved, as read_arena gives it
    records: dict[tuple[str, str], Record]
    overlays: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # panel -> bounds
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)  # CPU time per curve
    checks: list[dict[str, Any]] = field(default_factory=list)
    hash: str = ""

    @property
    def panels(self) -> list[str]:
        """Names of the panels, in order."""
        return list(dict.fromkeys(panel for panel, _ in self.records))

    def agents(self, panel: str | None = None) -> list[str]:
        """Labels of the agents of a panel (of the first by default), in order."""
        panel = self._panel(panel, None)
        return [agent for name, agent in self.records if name == panel]

    def record(self, agent: str, panel: str | None = None) -> Record:
        """The record of ``agent``; ValueError when there is none."""
        panel = self._panel(panel, agent)
        if (panel, agent) not in self.records:
            raise ValueError(unknown("agent", agent, self.agents(panel)))
        return self.records[panel, agent]

    def raw(self, agent: str, measure: str | None = None, panel: str | None = None) -> np.ndarray:
        """Values (replications, checkpoints) float64 of one measure (the first by default)."""
        record = self.record(agent, panel)
        measure = measure or record.measures[0]
        if measure not in record.measures:
            raise ValueError(unknown("measure", measure, record.measures))
        return record.values[:, :, record.measures.index(measure)]

    def shown(self, panel: str) -> str:
        """The measure that the figure and the table show."""
        chosen = next(p["measure"] for p in self.arena["panels"] if p["name"] == panel)
        return chosen or self.record(self.agents(panel)[0], panel).measures[0]

    def checkpoints(self, panel: str | None = None) -> np.ndarray:
        """Rounds (checkpoints,) int64 at which the curves of a panel were recorded."""
        panel = self._panel(panel, None)
        return next(r.checkpoints for (name, _), r in self.records.items() if name == panel)

    def at(self, t: float | None, agent: str, measure: str | None, panel: str | None) -> np.ndarray:
        """Values (replications,) at round ``t``, at the last checkpoint when ``t`` is None."""
        raw = self.raw(agent, measure, panel)
        if t is None:
            return raw[:, -1]
        where = np.flatnonzero(self.record(agent, panel).checkpoints == t)
        if where.size == 0:
            raise ValueError(f"round {t} is no checkpoint of panel {self._panel(panel, agent)!r}")
        return raw[:, where[0]]

    def compare(
        self,
        a: str,
        b: str,
        measure: str | None = None,
        *,
        at: float | None = None,
        panel: str | None = None,
    ) -> Comparison:
        """The paired difference ``a - b`` of one measure at round ``at`` (the last by default)."""
        from banditlab.statistics import paired_p, t_interval

        left, right = self.at(at, a, measure, panel), self.at(at, b, measure, panel)
        mean, _, lo, hi = t_interval((left - right)[:, None])
        return Comparison(
            float(mean[0]), float(lo[0]), float(hi[0]), float(paired_p(left, right)), left.size
        )

    def slope(
        self,
        agent: str,
        measure: str | None = None,
        panel: str | None = None,
        at: list[float] | None = None,
    ) -> float:
        """Least-squares d log(mean) / d log(x) over the points ``at``, by default over all.

        The exponent of a rate: -1/2 for 1/sqrt(x). nan unless there are two means, all positive.
        """
        points = self.record(agent, panel).checkpoints if at is None else at
        means = np.array([self.at(t, agent, measure, panel).mean() for t in points])
        if means.size < 2 or not (means > 0).all():
            return float("nan")
        return float(np.polyfit(np.log(np.array(points, float)), np.log(means), 1)[0])

    def slope_interval(
        self,
        agent: str,
        measure: str | None = None,
        panel: str | None = None,
        at: list[float] | None = None,
        level: float = 0.95,
    ) -> tuple[float, float]:
        """Bootstrap interval of :meth:`slope`: whole replications are drawn anew, 1000 times.

        nan where the slope is nan or there is just one replication.
        """
        from banditlab.statistics import resampled_slopes

        points = self.record(agent, panel).checkpoints if at is None else at
        raw = np.stack([self.at(t, agent, measure, panel) for t in points], axis=1)
        slopes = resampled_slopes(np.array(points, float), raw)
        lo, hi = np.quantile(slopes, [0.5 - level / 2, 0.5 + level / 2])
        return float(lo), float(hi)

    def frame(self) -> pd.DataFrame:
        """Tidy means with 95% bands: Student's, or Clopper-Pearson's for errors.

        Columns: panel, cell, agent, t, measure, n, mean, sem, lo, hi (pointwise), simultaneous
        (mean +- simultaneous * sem covers the whole curve at once).
        """
        import pandas as pd

        from banditlab.statistics import (
            clopper_pearson,
            simultaneous_critical,
            t_interval,
        )

        parts = []
        for (panel, agent), record in self.records.items():
            for m, measure in enumerate(record.measures):
                raw = record.values[:, :, m]
                if np.isnan(raw).all():  # a measure that this agent does not have
                    continue
                mean, sem, lo, hi = t_interval(raw)
                if measure == "error" and np.isin(raw, (0.0, 1.0)).all():
                    lo, hi = clopper_pearson(raw.sum(axis=0), len(raw))
                parts.append(
                    pd.DataFrame(
                        {
                            "panel": panel,
                            "cell": record.cell,
                            "agent": record.agent(agent),
                            "t": record.checkpoints,
                            "measure": measure,
                            "n": raw.shape[0],
                            "mean": mean,
                            "sem": sem,
                            "lo": lo,
                            "hi": hi,
                            "simultaneous": simultaneous_critical(raw),
                        }
                    )
                )
        return pd.concat(parts, ignore_index=True)

    def figure_panels(self) -> list[dict[str, Any]]:
        """What :func:`banditlab.plot.draw` needs to know beside the frame."""
        labels = {
            "online": "round",
            "offline": "logged rounds",
            "offline_mdp": "logged rows",
            "observe": "round",
            "identify": "budget (pulls)",
        }
        words = {
            "gap": "sub-optimality",
            "regret": "pseudo-regret",
            "loss_regret": "regret without switches",
            "error": "error probability",
            "pulls": "pulls until it stops",
        }
        axes = {
            "n_arms": "number of arms",
            "budget": "budget (observations)",
            "price": "price of a switch",
        }
        panels = []
        for panel in self.arena["panels"]:
            if panel["name"] not in self.panels:
                continue
            measure = self.shown(panel["name"])
            if panel["protocol"] == "observe":
                words["regret"] = "regret, switches paid"
            places = [place.strip() for place in panel["x"].split(",")]
            swept = "" if "horizon" in places else places[0].rpartition(".")[2]
            if "horizon" in places and panel["protocol"] in ("online", "observe"):
                swept = "horizon"  # every point is a run of its own
            notes = {}
            if panel["slopes"]:
                for agent in self.agents(panel["name"]):
                    slope = self.slope(agent, measure, panel["name"])
                    lo, hi = self.slope_interval(agent, measure, panel["name"])
                    wide = f" [{lo:.2f}, {hi:.2f}]" if hi - lo >= 0.01 else ""
                    notes[agent] = f"slope {slope:.2f}{wide}"
            panels.append(
                {
                    "name": panel["name"],
                    "title": panel["title"] or panel["name"],
                    "measure": measure,
                    "xlabel": labels[panel["protocol"]] if not swept else axes.get(swept, swept),
                    "ylabel": words.get(measure, measure),
                    "xscale": panel["xscale"],
                    "yscale": panel["yscale"],
                    "linthresh": panel["linthresh"],
                    "overlays": self.overlays.get(panel["name"], []),
                    "order": self.agents(panel["name"]),
                    "notes": notes,
                    "row": panel["row"],
                    "column": panel["column"],
                }
            )
        return panels

    def plot(self, bands: str = "pointwise") -> Figure:
        """The figure; ``bands`` is ``pointwise`` or ``simultaneous``. Save with ``.savefig``."""
        from banditlab.plot import draw

        title = self.arena["title"] or None
        return draw(self.frame(), self.figure_panels(), title=title, bands=bands)

    def about(self) -> dict[str, Any]:
        """What goes into ``run.json``."""
        return {
            "arena": self.arena,
            "hash": self.hash,
            "seed": self.arena["seed"],
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in PACKAGES},
            },
            "checks": self.checks,
            "figure": {"title": self.arena["title"], "panels": self.figure_panels()},
        }

    def save(self, folder: str | Path, bands: str = "pointwise") -> Path:
        """Write everything; each file appears whole or not at all. Returns the folder."""
        from banditlab.plot import draw, save

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        frame = self.frame()
        about = self.about()
        local = {
            "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
            "cpu_seconds": {" / ".join(key): value for key, value in self.seconds.items()},
        }
        text = frame.to_csv(index=False, float_format="%.8g", lineterminator="\n")
        write_text(folder / "curves.csv", text)
        write_text(folder / "run.json", json.dumps(about, indent=1) + "\n")
        write_text(folder / "run.local.json", json.dumps(local, indent=1) + "\n")
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".parquet", delete=False) as file:
            self._raw_frame().to_parquet(file.name, index=False)
        os.replace(file.name, folder / "raw.parquet")
        figure = draw(frame, about["figure"]["panels"], about["figure"]["title"] or None, bands)
        save(figure, folder)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Curves:
        """The curves that :meth:`save` wrote; needs ``raw.parquet``."""
        import pandas as pd

        folder = Path(folder)
        about = json.loads((folder / "run.json").read_text())
        frame = pd.read_parquet(folder / "raw.parquet")
        records = {}
        for (panel, cell, agent), part in frame.groupby(["panel", "cell", "agent"], sort=False):
            points = part["t"].unique()
            names = [c for c in part.columns[5:] if not part[c].isna().all()]
            values = part[names].to_numpy().reshape(-1, points.size, len(names))
            record = Record(points, tuple(names), values, str(cell))
            records[str(panel), record.named(str(agent))] = record
        overlays = {p["name"]: p["overlays"] for p in about["figure"]["panels"]}
        return cls(about["arena"], records, overlays, checks=about["checks"], hash=about["hash"])

    def _raw_frame(self) -> pd.DataFrame:
        import pandas as pd

        parts = []
        for (panel, agent), record in self.records.items():
            replications, points, _ = record.values.shape
            columns: dict[str, Any] = {
                "panel": panel,
                "cell": record.cell,
                "agent": record.agent(agent),
                "replication": np.repeat(np.arange(replications), points),
                "t": np.tile(record.checkpoints, replications),
            }
            for m, measure in enumerate(record.measures):
                columns[measure] = record.values[:, :, m].ravel()
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)

    def _panel(self, panel: str | None, agent: str | None) -> str:
        if panel is None:
            having = [p for p in self.panels if agent is None or (p, agent) in self.records]
            return (having or self.panels)[0]
        if panel not in self.panels:
            raise ValueError(unknown("panel", panel, self.panels))
        return panel


def write_text(path: Path, text: str) -> None:
    """Write ``path`` whole or not at all."""
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, suffix=path.suffix, delete=False, encoding="utf-8", newline="\n"
    ) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def split(dotted: str) -> tuple[str, str | None]:
    """``agent.measure`` as its two parts; the measure may be missing."""
    agent, dot, measure = dotted.rpartition(".")
    return (agent, measure) if dot else (measure, None)


def evaluate(check: Mapping[str, Any], curves: Curves) -> list[dict[str, Any]]:
    """The verdicts of one check of the arena: passed or failed, with the numbers."""
    from banditlab.statistics import t_interval

    panel = check["panel"] or None
    if check["slope"]:
        return [_evaluate_slope(check, curves)]
    rounds = check["at"] if isinstance(check["at"], list) else [check["at"]]
    verdicts = []
    for i, t in enumerate(rounds):
        left = _side(check["less"] or check["value"], t, panel, curves)
        where = f"{panel + ': ' if panel else ''}"
        when = f" at {t}" if t is not None else ""
        if check["less"]:
            right = _side(check["than"], t, panel, curves)
            left, right = np.broadcast_arrays(left, right)
            name = check["than"] if isinstance(check["than"], str) else f"{check['than']:g}"
            mean, sem, _, _ = t_interval((left - right)[:, None])
            noise = check["sigmas"] * np.nan_to_num(sem[0])
            passed = bool(mean[0] < check["margin"] - noise)
            room = f" + {check['margin']:g}" if check["margin"] else ""
            said = f"{where}{check['less']} < {name}{room}{when}"
            found = f"{left.mean():.4g} against {right.mean():.4g}"
        else:
            near = check["near"][i] if isinstance(check["near"], list) else check["near"]
            mean, sem, _, _ = t_interval(left[:, None])
            noise = np.sqrt(2.0) * check["sigmas"] * np.nan_to_num(sem[0])
            allowed = max(check["within"] * abs(near), noise, check["rounding"])
            passed = bool(abs(mean[0] - near) <= allowed)
            said = f"{where}{check['value']}{when} is {near:g}"
            found = f"{mean[0]:.4g}, allowed +- {allowed:.2g}"
        verdicts.append({"check": said, "found": found, "passed": passed, "why": check["why"]})
    return verdicts


def _side(side: str | float, t: float | None, panel: str | None, curves: Curves) -> np.ndarray:
    """What a check compares: a number, a reference of the panel, or an agent's values at ``t``."""
    if not isinstance(side, str):
        return np.full(1, float(side))
    for overlay in curves.overlays.get(curves._panel(panel, None), []):
        if overlay["label"] == side:
            if t not in overlay["t"]:
                raise ValueError(f"{side} has no point at {t}")
            return np.full(1, float(overlay["y"][overlay["t"].index(t)]))
    agent, measure = split(side)
    return curves.at(t, agent, measure, panel)


def _evaluate_slope(check: Mapping[str, Any], curves: Curves) -> dict[str, Any]:
    agent, measure = split(check["slope"])
    at = check["at"] if isinstance(check["at"], list) else None
    where = (agent, measure, check["panel"] or None, at)
    slope = curves.slope(*where)
    lo, hi = curves.slope_interval(*where)
    band = f" [{lo:.3f}, {hi:.3f}]" if lo < hi else ""
    allowed = max(check["within"] * abs(check["near"]), check["rounding"])
    said = f"{check['panel'] + ': ' if check['panel'] else ''}slope of {check['slope']}"
    return {
        "check": f"{said} is {check['near']:g}",
        "found": f"{slope:.4g}{band}, allowed +- {allowed:.2g}",
        "passed": bool(abs(slope - check["near"]) <= allowed),
        "why": check["why"],
    }
