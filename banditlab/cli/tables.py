"""What a run shows on the terminal: progress, the final tables, and the same as plain data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from banditlab.curves import Curves


def rows(curves: Curves, panel: str) -> list[dict[str, Any]]:
    """Final results of a panel, best first."""
    from banditlab.statistics import holm, paired_p, t_interval

    agents = curves.agents(panel)
    final = {a: curves.raw(a, curves.shown(panel), panel)[:, -1] for a in agents}
    order = sorted(agents, key=lambda a: final[a].mean())
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
                "relative": float(mean[0] / smallest) if smallest > 0 else None,
                "p": float(p[i - 1]) if i and np.isfinite(p[i - 1]) else None,
                "seconds": round(curves.seconds.get((panel, agent), 0.0), 3),
            }
        )
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
                "replications": int(curves.raw(curves.agents(panel)[0], None, panel).shape[0]),
                "results": rows(curves, panel),
            }
            for panel in curves.panels()
        ],
        "checks": curves.checks,
    }


def show(curves: Curves, folder: Path) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for panel in curves.figure_panels:
        measure = panel["measure"]
        count = curves.raw(curves.agents(panel["name"])[0], measure, panel["name"]).shape[0]
        runs = f"{count} replications" if count > 1 else "no chance involved"
        t = f"{panel['xlabel']} {curves.checkpoints(panel['name'])[-1]:,}"
        console.print(
            f"[bold]{escape(panel['title'])}[/], {measure} at {t}, {runs}", highlight=False
        )
        table = Table()
        table.add_column("agent")
        for name in (f"{measure} (95%)", "x best", "p vs best", "CPU s"):
            table.add_column(name, justify="right")
        for row in rows(curves, panel["name"]):
            half = "" if row["half_width"] is None else f" ± {_short(row['half_width'])}"
            table.add_row(
                escape(row["agent"]),
                f"{_short(row['mean'])}{half}",
                "" if row["relative"] is None else _short(row["relative"]),
                "best" if row["best"] else _p_value(row["p"]),
                f"{row['seconds']:.2f}",
            )
        console.print(table)
    if curves.panels() and any(len(curves.agents(p)) > 1 for p in curves.panels()):
        console.print("p: paired t-test against the best of the panel, Holm-corrected", style="dim")
    passed = sum(check["passed"] for check in curves.checks)
    if curves.checks:
        console.print(f"{passed} of {len(curves.checks)} checks passed: {curves.arena['claim']}")
    console.print(f"figure and curves in {folder}", highlight=False)


def _short(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.1f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def _p_value(p: float | None) -> str:
    if p is None:
        return ""
    return "<0.001" if p < 0.001 else f"{p:.3f}"
