"""What a run leaves behind: totals of every replication at every checkpoint, and their origin.

Written to a folder as ``curves.csv`` (tidy means and bands), ``run.json`` (the resolved arena, its
hash, versions, checks, and what the figure needs), ``raw.parquet`` (every replication),
``run.local.json`` (wall time and machine), ``figure.png`` and ``figure.svg``; where agents keep the
returns of single episodes, as sets of policies under attack do, ``returns.csv``. One file, though
long: it is one noun, and half of it says what its methods take and give.
"""

from __future__ import annotations

import html
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from banditlab import registry
from banditlab.data.atomic import Together
from banditlab.data.raw import as_csv, read_raw, write_raw
from banditlab.machine import peak_memory
from banditlab.registry import unknown
from banditlab.validate import choice

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

INTERVALS = ("t", "bca", "percentile")
SCALES = ("linear", "log", "symlog")
AXES = {  # in words what is swept
    "n_arms": "number of arms",
    "budget": "budget (observations)",
    "price": "price of a switch (losses)",
    "horizon": "horizon (rounds)",
    "epsilon": r"privacy $\varepsilon$ (larger is less)",
    "delta": r"allowed error $\delta$ (probability)",
    "eta": r"weight of the fit $\eta$",
    "gap": "gap between arms (reward)",
    "dim": "features $d$ (number)",
    "s": "sparsity $s$ (features that matter)",
    "seed": "instance (seed)",
    "C": r"concentrability $C^*$",
    "N": "size $N$",
}
KNOBS = {  # how the value of a swept argument is written beside a curve
    "C": r"$C^*$",
    "epsilon": r"$\varepsilon$",
    "delta": r"$\delta$",
    "eta": r"$\eta$",
    "alpha": r"$\alpha$",
}
PACKAGES = ("numpy", "numba", "scipy", "pandas")


class Record(NamedTuple):
    """The curves of one agent in one panel."""

    checkpoints: np.ndarray  # (checkpoints,) int64, increasing; the values of a swept x axis
    measures: tuple[str, ...]
    # (replications, checkpoints, measures) float64, or means of batches of replications for each
    values: np.ndarray
    cell: str = ""  # which cell of a swept panel: "C = 1.5"
    batch: int = 1  # replications in a batch

    @property
    def replications(self) -> int:
        """How many replications the values come from."""
        return len(self.values) * self.batch

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


@dataclass(repr=False)
class Curves:
    """Curves by (panel, agent), with the arena that made them.

    Examples
    --------
    >>> import banditlab
    >>> curves = banditlab.simulate("stochastic", agents=["ucb"], horizon=100, replications=10)
    >>> curves.raw("ucb", "regret").shape
    (10, 55)
    """

    arena: dict[str, Any]  # resolved, as read_arena gives it
    records: dict[tuple[str, str], Record]
    overlays: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # panel -> bounds
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)  # CPU time per curve
    checks: list[dict[str, Any]] = field(default_factory=list)
    hash: str = ""
    # What banditlab.until_resolved found, by panel.
    resolved: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # of results from elsewhere: what was cut
    # Returns of single episodes, by curve: its panel and agent, and columns of one row an episode.
    # What was loaded has none.
    returns: list[dict[str, Any]] = field(default_factory=list)

    def panels(self) -> list[str]:
        """Names of the panels, in order."""
        return list(dict.fromkeys(panel for panel, _ in self.records))

    def measures(self, panel: str | None = None) -> list[str]:
        """What was recorded of any agent of a panel (of the first by default)."""
        panel = self._panel(panel, None)
        kept = (record.measures for (name, _), record in self.records.items() if name == panel)
        return list(dict.fromkeys(measure for measures in kept for measure in measures))

    def _protocol(self, panel: str) -> Any:
        """The protocol of a panel."""
        name = next(p["protocol"] for p in self.arena["panels"] if p["name"] == panel)
        return registry.protocol(name)

    def __repr__(self) -> str:
        return f"Curves({self._in_words()})"

    def _in_words(self) -> str:
        """Arena, panels, agents, replications and last checkpoint."""
        panel = self.panels()[0]
        record = self.record(self.agents(panel)[0], panel)
        count = len(self.panels())
        more = f", {count} panels" if count > 1 else ""
        return (
            f"{self.arena['name']!r}{more}: {', '.join(self.agents(panel))}; "
            f"{record.replications} replications to {record.checkpoints[-1]:,}"
        )

    def _repr_html_(self) -> str:
        rows = []
        for panel, agent in self.records:
            values = self.at(None, agent, self.shown(panel), panel)
            words = (panel, agent, self.shown(panel), f"{values.mean():.4g}", f"{values.size:,}")
            rows.append("".join(f"<td>{html.escape(word)}</td>" for word in words))
        titles = "".join(f"<th>{t}</th>" for t in ("panel", "agent", "measure", "mean", "n"))
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        said = html.escape(self._in_words())
        return f"<p>{said}</p><table><tr>{titles}</tr>{body}</table>"

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
        """Values (replications, checkpoints) float64 of one measure (the first by default).

        Where memory was short, of batches of replications: their means.
        """
        record = self.record(agent, panel)
        measure = measure or record.measures[0]
        if measure not in record.measures:
            raise ValueError(unknown("measure", measure, record.measures))
        return record.values[:, :, record.measures.index(measure)]

    def measure(self, panel: str) -> Any:
        """What the protocol says of the measure that the figure and the table show."""
        found = self._protocol(panel).measure(self.shown(panel))
        entry = next(p for p in self.arena["panels"] if p["name"] == panel)
        return found._replace(more=entry.get("larger", found.more))  # of results from elsewhere

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
            float(mean[0]),
            float(lo[0]),
            float(hi[0]),
            float(paired_p(left, right)),
            self.record(a, panel).replications,
        )

    def compare_all(
        self, measure: str | None = None, *, at: float | None = None, panel: str | None = None
    ) -> pd.DataFrame:
        """Every pair of a panel's agents at round ``at`` (the last by default), paired.

        Columns: a, b, difference (mean of a - b), lo, hi (95%), p (paired t-test), holm (adjusted
        for all pairs), chance (that a lies below b in a replication, a tie half), chance_lo and
        chance_hi (95%, Clopper-Pearson). See :mod:`banditlab.statistics.pairs`.
        """
        import pandas as pd

        from banditlab.statistics import compare_all

        agents = self.agents(panel)
        values = np.column_stack([self.at(at, agent, measure, panel) for agent in agents])
        found = pd.DataFrame(compare_all(values))
        for side in ("a", "b"):
            found[side] = [agents[i] for i in found[side]]
        return found

    def scores(
        self,
        measure: str | None = None,
        *,
        scale: Mapping[str, tuple[float, float]] | None = None,
        at: float | None = None,
    ) -> dict[str, np.ndarray]:
        """What `rliable` calls scores: (replications, panels) float64 of every agent of all panels.

        ``scale`` gives, by panel, the values that become 0 and 1: of regret ``(worst, 0)``, of a
        return ``(random, expert)``. Hand one to :func:`banditlab.statistics.aggregate` (IQM, mean,
        median, optimality gap), two to ``probability_of_improvement``, and any to
        ``performance_profile``. Raises ValueError where a panel has no scale or another number of
        replications.
        """
        panels = self.panels()
        if scale is not None and set(scale) != set(panels):
            raise ValueError(f"scale needs the panels {', '.join(panels)}, got {', '.join(scale)}")
        everywhere = [a for a in self.agents() if all(a in self.agents(p) for p in panels)]
        found = {}
        for agent in everywhere:
            columns = []
            for panel in panels:
                worst, best = (0.0, 1.0) if scale is None else scale[panel]
                values = self.at(at, agent, measure or self.shown(panel), panel)
                columns.append((values - worst) / (best - worst))
            if len({column.size for column in columns}) != 1:
                raise ValueError("scores need as many replications in every panel")
            found[agent] = np.column_stack(columns)
        return found

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

    def frame(self, interval: str = "t") -> pd.DataFrame:
        """The columns of :meth:`columns` as a frame."""
        import pandas as pd

        return pd.DataFrame(self.columns(interval))

    def columns(self, interval: str = "t") -> dict[str, np.ndarray]:
        """Tidy means with 95% bands, as arrays of one length by the name of the column.

        The bands are Student's, or Clopper-Pearson's for errors.

        ``interval``: ``bca`` and ``percentile`` take the bootstrap's in the place of Student's.

        They are panel, cell, agent, t, measure, n, mean, sem, lo, hi (pointwise), simultaneous
        (mean +- simultaneous * sem covers the whole curve at once).
        """
        from banditlab.statistics import (
            bootstrap_interval,
            clopper_pearson,
            simultaneous_critical,
            t_interval,
        )

        choice("interval", interval, INTERVALS)

        found: dict[str, list[Any]] = {}
        for (panel, agent), record in self.records.items():
            for m, measure in enumerate(record.measures):
                raw = record.values[:, :, m]
                if np.isnan(raw).all():  # a measure that this agent does not have
                    continue
                mean, sem, lo, hi = (
                    t_interval(raw) if interval == "t" else bootstrap_interval(raw, method=interval)
                )
                kind = self._protocol(panel).measure(measure).interval
                if kind == "clopper_pearson" and np.isin(raw, (0.0, 1.0)).all():
                    wrong = raw.sum(axis=0) * record.batch
                    lo, hi = clopper_pearson(wrong, record.replications)
                part = {
                    "panel": panel,
                    "cell": record.cell,
                    "agent": record.agent(agent),
                    "t": record.checkpoints,
                    "measure": measure,
                    "n": record.replications,
                    "mean": mean,
                    "sem": sem,
                    "lo": lo,
                    "hi": hi,
                    "simultaneous": simultaneous_critical(raw),
                }
                for name, value in part.items():
                    column = found.setdefault(name, [])
                    column.append(np.broadcast_to(np.asarray(value), record.checkpoints.shape))
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def returns_frame(self) -> pd.DataFrame:
        """Returns of single episodes, as :mod:`banditlab.data.returns` reads them.

        Columns: panel, agent, replication, policy ("protected 0/1" is the first that replication 0
        found), condition, episode, return. Empty where no agent keeps any.
        """
        import pandas as pd

        parts = []
        for found in self.returns:
            whose = zip(found["replication"], found["policy"], strict=True)
            names = [f"{found['agent']} {replication}/{k}" for replication, k in whose]
            parts.append(pd.DataFrame({**found, "policy": names}))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    @cached_property
    def figure_panels(self) -> list[dict[str, Any]]:
        """What :func:`banditlab.plot.draw` needs to know beside the frame, one entry per panel."""
        return [self._figure_panel(p) for p in self.arena["panels"] if p["name"] in self.panels()]

    def _figure_panel(self, panel: Mapping[str, Any]) -> dict[str, Any]:
        name, protocol = panel["name"], registry.protocol(panel["protocol"])
        measure = self.shown(name)
        places = [place.strip() for place in panel["x"].split(",")]
        swept = "" if "horizon" in places else places[0].rpartition(".")[2]
        if "horizon" in places and protocol.rounds:
            swept = "horizon"  # every point is a run of its own
        notes = {}
        if panel["slopes"]:
            for agent in self.agents(name):
                slope = self.slope(agent, measure, name)
                lo, hi = self.slope_interval(agent, measure, name)
                wide = f" [{lo:.2f}, {hi:.2f}]" if hi - lo >= 0.01 else ""
                notes[agent] = f"slope {slope:.2f}{wide}"
        return {
            "name": name,
            "title": panel["title"] or ("" if len(self.panels()) == 1 else name),
            "measure": measure,
            "xlabel": panel.get("xlabel") or (AXES.get(swept, swept) if swept else protocol.xlabel),
            "ylabel": panel.get("ylabel") or self._in_units(name, measure),
            "xscale": panel["xscale"],
            "yscale": panel["yscale"],
            "linthresh": panel["linthresh"],
            "xmin": panel.get("xmin"),
            "overlays": [*self.overlays.get(name, []), *map(self._level, self._levels(panel))],
            "order": self.agents(name),
            "names": self._names(panel),
            "controls": [e["label"] for e in panel["agents"] if registry.is_baseline(e["name"])],
            "notes": notes,
            "row": panel["row"],
            "column": panel["column"],
        }

    def _in_units(self, panel: str, measure: str) -> str:
        """What is on the y axis, and in what it is counted."""
        found = self._protocol(panel).measure(measure)
        unit = f" ({found.unit})" if found.unit else ""
        return f"{found.words or measure}{unit}"

    def _names(self, panel: Mapping[str, Any]) -> dict[str, str]:
        """What the figure calls the curves and bounds of a panel, where not by their label."""
        given = self.arena.get("names", {})
        entries = {entry["label"]: entry["name"] for entry in panel["agents"]}
        named = dict(given)
        for curve in self.agents(panel["name"]):
            record = self.record(curve, panel["name"])
            label = record.agent(curve)
            name = entries.get(label, label)
            plain = label == Path(name).stem  # else the arena has its own word for it
            shown = given.get(label) or (registry.label(name) if plain else label)
            knob = re.sub(r"^(\w+)(?= = )", lambda x: KNOBS.get(x[1], x[1]), record.cell)
            named.setdefault(curve, f"{shown}, {knob}" if knob else shown)
        return {label: name for label, name in named.items() if label != name}

    def _levels(self, panel: Mapping[str, Any]) -> list[tuple[dict[str, Any], np.ndarray]]:
        """The levels of a panel, and the ends of its x axis.

        One whose curve or point is not in this run, for the arena was changed, is left out.
        """
        points = np.concatenate(
            [self.record(agent, panel["name"]).checkpoints for agent in self.agents(panel["name"])]
        )
        return [
            (level, np.array([points.min(), points.max()]))
            for level in panel.get("levels", ())
            if (record := self.records.get((level["panel"], level["curve"]))) is not None
            and level["at"] in record.checkpoints
        ]

    def _level(self, wanted: tuple[dict[str, Any], np.ndarray]) -> dict[str, Any]:
        """A level as an overlay."""
        level, ends = wanted
        name = level["panel"]
        mean = float(f"{self.at(level['at'], level['curve'], self.shown(name), name).mean():.8g}")
        return {"label": level["label"], "t": ends.tolist(), "y": [mean, mean]}

    def plot(
        self,
        bands: str = "pointwise",
        *,
        measure: str | None = None,
        panels: str | Sequence[str] | None = None,
        yscale: str | None = None,
        width: float | None = None,
        style: str = "paper",
    ) -> Figure:
        """The figure; save it with ``.savefig``, change it through its ``axes``.

        A notebook shows it as it comes.

        Parameters
        ----------
        bands
            ``pointwise`` or ``simultaneous``.
        measure
            What to show, such as ``reward``; by default what the arena's figure shows. Panels
            without it are left out, and bounds and references, which are of another measure.
        panels
            Names of the panels to show, or one name; by default all.
        yscale
            ``linear``, ``log`` or ``symlog``; by default as the arena says.
        width
            Inches in print; by default 3.4, a column, for one panel, and 7, a page, for more.
        style
            ``paper``, ``screen`` or ``dark``.
        """
        from banditlab.plot import draw

        wanted = [panels] if isinstance(panels, str) else list(panels or self.panels())
        for name in wanted:
            self._panel(name, None)
        shown = []
        for panel in self.figure_panels:
            name = panel["name"]
            if name not in wanted:
                continue
            if len(wanted) < len(self.panels()):  # its place was among others
                panel = {**panel, "row": None, "column": None}
            if measure is not None and measure != panel["measure"]:
                if measure not in self.measures(name):
                    continue
                words = self._in_units(name, measure)
                panel = {**panel, "measure": measure, "ylabel": words, "overlays": [], "notes": {}}
            shown.append({**panel, "yscale": choice("yscale", yscale, SCALES)} if yscale else panel)
        if not shown:
            known = {m for name in wanted for m in self.measures(name)}
            raise ValueError(unknown("measure", str(measure), known))
        title = self.arena["title"] or None
        return draw(self.columns(), shown, title=title, bands=bands, width=width, style=style)

    def about(self) -> dict[str, Any]:
        """What goes into ``run.json``."""
        from banditlab import __version__

        return {
            "arena": self.arena,
            "hash": self.hash,
            "seed": self.arena["seed"],
            "versions": {
                "python": platform.python_version(),
                "banditlab": __version__,
                **{name: version(name) for name in PACKAGES},
            },
            "checks": self.checks,
            **({"resolved": self.resolved} if self.resolved else {}),
            "figure": {"title": self.arena["title"], "panels": self.figure_panels},
        }

    def save(self, folder: str | Path, bands: str = "pointwise", style: str = "paper") -> Path:
        """Write everything: all files appear, whole, or none. Returns the folder."""
        from banditlab.plot import draw, write

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        columns = self.columns()  # pandas, which frames take, would be a tenth of a short run
        about = self.about()
        local = {
            "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
            "cpu_seconds": {" / ".join(key): value for key, value in self.seconds.items()},
            "peak_memory_bytes": peak_memory(),
        }
        shown = about["figure"]
        figure = draw(columns, shown["panels"], shown["title"] or None, bands, style=style)
        with Together(folder) as files:
            files.text("curves.csv", as_csv(columns))
            files.text("run.json", json.dumps(about, indent=1) + "\n")
            files.text("run.local.json", json.dumps(local, indent=1) + "\n")
            write_raw(files.path("raw.parquet"), self.records)
            if self.returns and len(singles := self.returns_frame()):
                files.text("returns.csv", as_csv({str(n): singles[n].to_numpy() for n in singles}))
            for kind in ("png", "svg"):
                write(figure, files.path(f"figure.{kind}"), kind)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Curves:
        """The curves that :meth:`save` wrote; needs ``raw.parquet``."""
        folder = Path(folder)
        about = json.loads((folder / "run.json").read_text())
        records = {
            (panel, record.named(label)): record
            for panel, label, facts in read_raw(folder / "raw.parquet")
            for record in (Record(*facts),)
        }
        levels = {
            p["name"]: [x["label"] for x in p.get("levels", ())] for p in about["arena"]["panels"]
        }
        overlays = {  # levels are found anew
            p["name"]: [x for x in p["overlays"] if x["label"] not in levels[p["name"]]]
            for p in about["figure"]["panels"]
        }
        return cls(
            about["arena"], records, overlays, checks=about["checks"], hash=about["hash"],
            resolved=about.get("resolved", {}),
        )  # fmt: skip

    @classmethod
    def from_frame(cls, source: Any, columns: Mapping[str, str] | None = None) -> Curves:
        """Curves of results from elsewhere: a frame, a file, or whatever else holds a table.

        Parameters
        ----------
        source
            A row for each agent, seed and round, in columns ``agent``, ``seed``, ``t``, ``value``
            and optionally ``panel``. See :mod:`banditlab.data.table` for what may hold it.
        columns
            Their names by ours: ``{"agent": "algo", "value": "return"}``. What the column of values
            is called is the name of the measure.

        Runs may be of unequal length and recorded at unequal rounds: they are cut to the rounds
        that all have, and interpolated; ``notes`` says what that took. Runs of one seed are paired.

        Raises
        ------
        ValueError
            In one line, see :func:`banditlab.data.tidy.read_tidy`.
        """
        from banditlab.data.tidy import read_tidy

        tidy = read_tidy(source, columns)
        records = {
            key: Record(tidy.points[key[0]], (tidy.measure,), values[:, :, None])
            for key, values in tidy.values.items()
        }
        empty: dict[str, Any] = {
            "protocol": "online", "title": "", "measure": tidy.measure, "x": "", "slopes": False,
            "xscale": "linear", "yscale": "linear", "linthresh": 1e-4, "row": None, "column": None,
            "agents": [], "exact": False, "xlabel": "t", "ylabel": tidy.measure,
            "larger": tidy.larger,
        }  # fmt: skip
        arena = {
            "name": Path(tidy.where).stem or "frame", "title": Path(tidy.where).stem, "claim": "",
            "seed": None, "checks": [], "names": {agent: agent for _, agent in records},
            "panels": [{"name": name, **empty} for name in tidy.points],
        }  # fmt: skip
        return cls(arena, records, notes=tidy.notes)

    def _panel(self, panel: str | None, agent: str | None) -> str:
        if panel is None:
            having = [p for p in self.panels() if agent is None or (p, agent) in self.records]
            return (having or self.panels())[0]
        if panel not in self.panels():
            raise ValueError(unknown("panel", panel, self.panels()))
        return panel
