"""A log of transitions: what planners would do, state by state, and what that is worth.

How it is judged is told in :mod:`banditlab.reports.plans`. States and actions are shown by the
names that they have in the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab.data import doubts
from banditlab.data.table import column_names, named, where_of
from banditlab.data.transitions import Dataset
from banditlab.protocols.offline_mdp import learn
from banditlab.reports.plans import (
    CONTROL,
    Progress,
    Settings,
    Stages,
    algorithms,
    company,
    cut_note,
    facts,
    judge,
    task_of,
    values_of,
    with_range,
)
from banditlab.reports.render import (
    SHOWN,
    choice,
    name,
    percent,
    rest,
    sentences,
    value_and_interval,
)

if TYPE_CHECKING:
    from rich.console import Console


def is_dataset(path: str | Path, columns: Mapping[str, str] | None = None) -> bool:
    """Whether the file is a readable table with a column ``next_state``."""
    try:
        return "next_state" in (*column_names(path), *(columns or {}))
    except ValueError:  # whoever reads it in earnest says what is wrong
        return False


def report(
    source: Any,
    names: Sequence[str],
    settings: Settings | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    columns: Mapping[str, str] | None = None,
    estimate_propensity: bool = False,
    low: float | None = None,
    high: float | None = None,
) -> dict[str, Any]:
    """What agents learn from a log of transitions, and what that is worth; plain data.

    Parameters
    ----------
    source
        Whatever :meth:`banditlab.Dataset.of` reads: a file, a frame, a dict, a Dataset.
    names, settings
        Agents, and their hyper-parameters.
    parameters
        ``gamma`` (0.95), ``horizon`` (0: discounted), ``v_min`` and ``v_max``.
    seed, progress
        One seed, one result; it decides the halves too. ``progress`` is told what is under way,
        how much is done, and of how much.
    columns
        The source's names of columns by ours, ``{"state": "page"}``.
    estimate_propensity
        Whether propensities are estimated from the log, cross-fitted, whether or not it has some.
    low, high
        Range of the rewards, for agents that need one.

    Raises ValueError, in one line, for whatever does not fit.
    """
    known = algorithms(names, with_range(names, settings or {}, low, high))
    task = task_of(parameters or {})
    data = Dataset.of(source, columns=columns)
    with named(where_of(source)):
        model = data.model(**task)
        judged = judge(data, known, task, seed, None, estimate_propensity)
    values = values_of(judged, task, seed, Stages(len({*known, CONTROL}), progress))
    counts = data.counts()
    # Who goes on as logged chooses no action.
    rules = {label: learn(known[label], model, seed)[0] for label in known if label != CONTROL}
    labels = [*data.actions, *[None] * (data.n_actions - len(data.actions))]
    states = []
    for s in np.flatnonzero(counts.sum(axis=1)):
        row: dict[str, Any] = {"state": data.states[s], "rows": int(counts[s].sum()), "actions": {}}
        for label, rule in rules.items():
            best = np.flatnonzero(rule[s])  # actions in a tie are alike; the first stands for them
            row["actions"][label] = {
                "best": [labels[a] for a in best if labels[a] is not None],
                "rows": int(counts[s, best[0]]),
            }
        states.append(row)
    said = cut_note(data, task["gamma"])
    notes = [*judged.notes, *([said] if said else []), *data.notes, *doubts.of_dataset(data)]
    found = {"env": None, "log": where_of(source) or None}
    return {**found, **facts(data, task), "policies": values, "states": states, "notes": notes}


# --- printing -----------------------------------------------------------------------------------


def render(report: Mapping[str, Any], console: Console) -> None:
    """Print what a report or :func:`banditlab.reports.environment.play` found as tables."""
    from rich.table import Table

    episodes = "" if report["episodes"] is None else f" in {report['episodes']:,} episodes"
    console.print(
        f"{name(report['env'] or report['log'] or 'log')}: {report['rows']:,} rows{episodes}, "
        f"{report['n_states']} states, {report['n_actions']} actions",
        highlight=False,
    )
    if report["states"]:
        first = "First action" if report["horizon"] else "Action"
        table = Table(title=f"{first} to take, N(s, a)")
        agents = list(report["states"][0]["actions"])
        for title in ("state", "rows", *map(name, agents)):
            table.add_column(title, justify="right")
        for row in report["states"][:SHOWN]:
            choices = [_choice(row["actions"][agent], report["n_actions"]) for agent in agents]
            table.add_row(name(row["state"]), f"{row['rows']:,}", *choices)
        console.print(table)
        rest(len(report["states"]), "states", console)
    what = f"return in {report['horizon']} steps" if report["horizon"] else (
        f"discounted return, gamma {report['gamma']:g}"
    )  # fmt: skip
    table = Table(title=f"Worth of each policy: {what}, with 95% intervals")
    table.add_column("agent")
    titles = {"played": "played", "fqe": "FQE", "wpdis": "WPDIS"}
    shown = [key for key in titles if any(row[key] for row in report["policies"])]
    for title in (*(titles[key] for key in shown), *(["ESS"] if "wpdis" in shown else [])):
        table.add_column(title, justify="right")
    table.add_column("support", justify="right")
    for row in report["policies"]:
        cells = [value_and_interval(row[key]) for key in shown]
        if "wpdis" in shown:
            cells.append(f"{row['wpdis']['ess']:,.0f}")
        table.add_row(name(row["agent"]), *cells, percent(row["support"]))
    if shown:
        console.print(table)
    sentences(report["notes"], console, style="dim")


def _choice(found: Mapping[str, Any], n_actions: int) -> str:
    """Action and rows, for instance "3 (412)"; some actions of a tie, or "any"."""
    return choice(found["best"], len(found["best"]) == n_actions, f"{found['rows']:,}")


# --- the command line ---------------------------------------------------------------------------

FLAGS = ("vs", "seed", "columns", "estimate_propensity", "low", "high")
SPENDS = False


def command(
    path: str, agent: str, settings: dict[str, dict[str, Any]], progress: Progress,
    vs: Sequence[str] = (), **flags: Any,
) -> dict[str, Any]:  # fmt: skip
    """The report of planners on a file."""
    parameters = settings.pop("problem", {})
    return report(path, company(agent, vs), settings, parameters, progress=progress, **flags)
