"""What a run shows when it is over: tables for people, and the same as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from banditlab.arena.claims import tally, verdict
from banditlab.arena.resolve import in_words
from banditlab.curves import Curves
from banditlab.words import plain


def rows(curves: Curves, panel: str) -> list[dict[str, Any]]:
    """Final results of a panel, best first."""
    from banditlab.statistics import holm, paired_p, t_interval

    agents = curves.agents(panel)
    final = {a: curves.raw(a, curves.shown(panel), panel)[:, -1] for a in agents}
    more = curves.measure(panel).more
    order = sorted(agents, key=lambda a: final[a].mean(), reverse=more)
    best = order[0]
    p = holm(np.array([paired_p(final[a], final[best]) for a in order[1:]]))
    found = []
    for i, agent in enumerate(order):
        mean, sem, _, hi = t_interval(final[agent][:, None])
        smallest = final[best].mean()
        found.append(
            {
                "agent": agent,
                "best": agent == best,
                "mean": float(mean[0]),
                "half_width": float(hi[0] - mean[0]) if np.isfinite(sem[0]) else None,
                "relative": float(mean[0] / smallest) if smallest > 0 and not more else None,
                "p": float(p[i - 1]) if i and np.isfinite(p[i - 1]) else None,
                "equal": bool(i and np.array_equal(final[agent], final[best])),
                "seconds": round(curves.seconds.get((panel, agent), 0.0), 3),
            }
        )
    return found


def pairs(curves: Curves, panel: str) -> list[dict[str, Any]]:
    """Every agent of a panel against every other at the end, paired by replication."""
    from banditlab.statistics import compare_all

    final = {a: curves.at(None, a, curves.shown(panel), panel) for a in curves.agents(panel)}
    final = {a: values for a, values in final.items() if np.isfinite(values).all()}
    if len({values.size for values in final.values()}) != 1:
        return []
    agents = list(final)
    found = []
    for pair in compare_all(np.column_stack(list(final.values()))):
        numbers = {k: v if np.isfinite(v) else None for k, v in pair._asdict().items()}
        found.append({**numbers, "a": agents[pair.a], "b": agents[pair.b]})
    return found


def summary(curves: Curves, folder: Path) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "arena": curves.arena["name"],
        "hash": curves.hash,
        "seed": curves.arena["seed"],
        "folder": str(folder),
        "panels": [
            {
                "panel": panel,
                "measure": curves.shown(panel),
                "t": curves.checkpoints(panel)[-1].item(),
                "replications": curves.record(curves.agents(panel)[0], panel).replications,
                "results": rows(curves, panel),
                "pairs": pairs(curves, panel),
                **({"resolved": curves.resolved[panel]} if panel in curves.resolved else {}),
            }
            for panel in curves.panels()
        ],
        "checks": curves.checks,
    }


def show(curves: Curves, folder: Path, pairs: bool = False) -> None:
    """Print a table per panel, what the checks found, and where the files are.

    With ``pairs`` also every agent against every other.
    """
    from rich.console import Console
    from rich.markup import escape

    console = Console()
    tested = False
    for panel in curves.figure_panels:
        found = rows(curves, panel["name"])
        count = curves.record(found[0]["agent"], panel["name"]).replications
        tested |= any(row["p"] is not None for row in found)
        t = f"{plain(panel['xlabel'])} {curves.checkpoints(panel['name'])[-1]:,}"
        console.print(
            f"[bold]{escape(_title(curves, panel))}[/], {panel['measure']} at {t}, "
            f"{_how_often(curves, panel['name'], count)}",
            highlight=False,
        )
        console.print(_table(panel["measure"], count, found))
        if panel["name"] in curves.resolved:
            console.print(in_words(curves.resolved[panel["name"]]), highlight=False)
        if pairs and count > 1 and len(found) > 1:
            console.print(_pairs_table(curves, panel))
    if tested:
        console.print("p: paired t-test against the best of the panel, Holm-corrected", style="dim")
    if curves.checks:
        console.print(f"{tally(curves.checks)}: {curves.arena['claim']}", highlight=False)
    for check in curves.checks:
        if check.get("hypothesis"):
            said = f"hypothesis {verdict(check)}: {check['check']}: {check['found']}"
            console.print(said, markup=False, highlight=False)
    console.print(f"figure and curves in {folder}", highlight=False)


def _pairs_table(curves: Curves, panel: dict[str, Any]) -> Any:
    """Pairs by p-value, with what is sure on top."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        caption="differences paired by replication, 95%; p: paired t-test, Holm-corrected for all "
        "pairs; chance: that a lies below b in a replication, a tie half, 95% Clopper-Pearson"
    )
    table.add_column("a - b")
    for name in (panel["measure"], "p", "chance a < b"):
        table.add_column(name, justify="right")
    found = pairs(curves, panel["name"])
    for row in sorted(found, key=lambda row: (row["holm"] is None, row["holm"])):
        half = row["hi"] - row["difference"]
        table.add_row(
            escape(f"{row['a']} - {row['b']}"),
            f"{_short(row['difference'])} ± {_short(half)}",
            "" if row["holm"] is None else _p(row["holm"]),
            f"{row['chance']:.2f} [{row['chance_lo']:.2f}, {row['chance_hi']:.2f}]",
        )
    return table


def _title(curves: Curves, panel: dict[str, Any]) -> str:
    """A panel without a title bears the arena's."""
    return plain(panel["title"] or curves.arena["title"] or curves.arena["name"])


def _how_often(curves: Curves, panel: str, count: int) -> str:
    exact = next(p["exact"] for p in curves.arena["panels"] if p["name"] == panel)
    if exact:
        return "summed over all logs, no chance involved"
    return "1 replication, so no intervals" if count == 1 else f"{count:,} replications"


def _table(measure: str, count: int, found: list[dict[str, Any]]) -> Any:
    """The columns that say something: what is the same for all, or unknown, has none."""
    from rich.markup import escape
    from rich.table import Table

    relative = any(row["relative"] is not None for row in found)
    table = Table()
    table.add_column("agent")
    table.add_column(f"{measure} (95%)" if count > 1 else measure, justify="right")
    others = ["x best"] * relative + ["p vs best"] * (count > 1 and len(found) > 1) + ["CPU s"]
    for name in others:
        table.add_column(name, justify="right")
    for row in found:
        cells = {
            "x best": "" if row["relative"] is None else _short(row["relative"]),
            "p vs best": _against_best(row),
            "CPU s": f"{row['seconds']:.2f}",
        }
        table.add_row(escape(row["agent"]), _value(row), *(cells[name] for name in others))
    return table


def _value(row: dict[str, Any]) -> str:
    """A mean and its half-width, or the value that every replication had."""
    if row["half_width"] is None:
        return _short(row["mean"])
    if row["half_width"] == 0.0:
        return f"always {_short(row['mean'])}"
    return f"{_short(row['mean'])} ± {_short(row['half_width'])}"


def _against_best(row: dict[str, Any]) -> str:
    if row["best"]:
        return "best"
    if row["equal"]:
        return "equal"
    if row["p"] is None:
        return ""
    return _p(row["p"])


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _short(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.1f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"
