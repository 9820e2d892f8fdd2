"""What a log with features says of a contextual agent: what it would do, earn, and how to explore.

The agent is learned from the log as it would learn by playing, and three questions are answered:

- which arms its best guess would play (from the whole log), beside a linear rule, the log's own
  choices imitated, and the log's own habits;
- what these would earn: learned from one half of the rows, valued on the other, as in
  :mod:`banditlab.reports.rules`;
- how greedy to be at first. An agent that weighs by inverse gaps explores the less, the larger its
  ``gamma`` is. For each gamma of a grid the report tells how much of the play would not be the best
  guess, and what that would earn. Named is the smallest gamma whose value lies within the interval
  of the best guess: as much exploration as costs nothing that this log can tell. What exploration
  is worth later, no log says.

Features are brought to mean 0 and variance 1, given a constant, and rows to length 1, for which
networks are made; a log with contexts and no features has one feature for each context. Whoever
deploys the agent must do the same.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab import registry
from banditlab.agent import Agent
from banditlab.agents.offline_bandit.bc import bc
from banditlab.agents.offline_bandit.behaviour import behaviour
from banditlab.data.log import Log
from banditlab.data.table import named, where_of
from banditlab.offpolicy import learned, learned_by_row
from banditlab.problems.classification import normalized
from banditlab.registry import make
from banditlab.reports import refuse_others
from banditlab.reports.render import SHOWN, name, percent, rest, sentences
from banditlab.reports.rules import ROW_DRAWS, in_range, render_estimates, valued

if TYPE_CHECKING:
    from rich.console import Console

GAMMAS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
BASE = 100.0  # the gamma at which gaps are read
RIVALS = ("linear", "bc", "behaviour")
MOST_CONTEXTS = 1000  # that are made features
DIVERGED = (
    "its network diverged on this log, so that it would name no arm: a smaller lr may help, "
    "--set {0}.lr=0.01"
)


def report(
    source: Any,
    agent: str = "neu_square_cb",
    seed: int = 0,
    *,
    columns: Mapping[str, str] | None = None,
    estimate_propensity: bool = False,
    low: float = 0.0,
    high: float = 1.0,
    **hyper: Any,
) -> dict[str, Any]:
    """What a log says of ``agent``; plain data, ready for JSON.

    Parameters
    ----------
    source
        Whatever :meth:`banditlab.data.log.Log.of` reads, with columns ``x_...`` or ``context``.
    agent
        Name of an agent that learns from features.
    seed
        Decides the network's start, the halves, the folds and the bootstrap draws.
    columns, estimate_propensity
        See :func:`banditlab.reports.rules.report`.
    low, high
        The least and the largest reward that there can be.
    hyper
        Hyper-parameters of the agent.

    Raises
    ------
    ValueError
        In one line, for a log, an agent or a hyper-parameter that cannot be.
    """
    log = Log.of(source, columns)
    where = where_of(source)
    hyper = {**hyper, **_range_of(agent, low, high)}
    rule = make(agent, **hyper)
    if not getattr(rule, "features", False):
        raise ValueError(f"{agent} does not learn from features")
    in_range(log, agent, low, high, where)
    with named(where):
        log, how = _featured(log)
    n_arms = len(log.actions)
    if n_arms < 2:
        raise ValueError(f"the log shows one arm only, {log.actions[0]}: nothing to learn")
    shape = (log.n_contexts, n_arms)
    weighs = "gamma_schedule" in inspect.signature(registry.factory("agent", agent)).parameters
    gave_up: list[str] = []

    def policies(training: Log, shown: Log) -> dict[str, np.ndarray]:
        """What each rule does in the rows of ``shown``."""
        best, gaps = _played(agent, hyper, training, shown, n_arms, seed, weighs, gave_up)
        found = {agent: best}
        if gaps is not None:
            found |= {_title(gamma): weighed(gaps, gamma) for gamma in GAMMAS}
        linear: Any = make("lin_lcb", disjoint=True, beta=0.0)
        found["linear"] = learned_by_row(linear, training, shown.x, n_arms)
        for title, table in (("bc", bc()), ("behaviour", behaviour())):
            found[title] = learned(table, training, shape)[shown.context]
        return found

    deployed = policies(log, log)
    counts, sums = log.counts(shape).sum(axis=0), log.sums(shape).sum(axis=0)
    arms = [
        {
            "arm": log.actions[k],
            "rows": int(counts[k]),
            "mean": float(sums[k] / counts[k]) if counts[k] else None,
            **{rule: float(deployed[rule][:, k].mean()) for rule in (agent, *RIVALS)},
        }
        for k in range(n_arms)
    ]
    draws = int(np.clip(ROW_DRAWS // len(log), 200, 1000))
    note, estimates, notes = valued(
        log, policies, seed, estimate_propensity, by_row=True, draws=draws
    )
    exploration, chosen = _exploration(estimates, agent, deployed)
    if gave_up:
        notes.insert(0, DIVERGED.format(agent))
    return {
        "log": where or None,
        "rows": len(log),
        "n_arms": n_arms,
        "dim": log.dim,
        "mean_reward": float(log.reward.mean()),
        "agent": agent,
        "hyper": hyper,
        "arms": arms,
        "exploration": exploration,
        "gamma": chosen,
        "remark": how,
        "note": note,
        "notes": notes,
        "rows_valued": len(log) - len(log) // 2 if estimates else 0,
        "estimates": [row for row in estimates if row["rule"] in (agent, *RIVALS)],
    }


def weighed(gaps: np.ndarray, gamma: float) -> np.ndarray:
    """Inverse gap weights (rows, arms) of ``gaps`` to the best arm, which has gap 0 in its row."""
    n_arms = gaps.shape[1]
    rule = 1.0 / (n_arms + gamma * gaps)
    best = gaps.argmin(axis=1)
    rows = np.arange(len(gaps))
    rule[rows, best] = 0.0
    rule[rows, best] = 1.0 - rule.sum(axis=1)
    return rule


def _range_of(agent: str, low: float, high: float) -> dict[str, float]:
    """The range of rewards, for an agent that wants to know it."""
    allowed = inspect.signature(registry.factory("agent", agent)).parameters
    if not {"low", "high"} <= set(allowed):
        return {}
    return {"low": float(low), "high": float(high)}


def _featured(log: Log) -> tuple[Log, str]:
    """The log with features of the size that networks are made for, and what was done."""
    if log.x is None and not log.has_context:
        raise ValueError("the log has no columns x_*, the features that the agent needs")
    if log.x is None:
        if log.n_contexts > MOST_CONTEXTS:
            raise ValueError(
                f"the log has no columns x_*, and {log.n_contexts:,} contexts are too many to be a "
                f"feature each; at most {MOST_CONTEXTS:,} are"
            )
        x = np.zeros((len(log), log.n_contexts))
        x[np.arange(len(log)), log.context] = 1.0
        how = f"the log has no columns x_*: each of its {log.n_contexts} contexts is a feature"
        return _with(log, x), how
    how = "features were brought to mean 0 and variance 1, given a constant, and rows to length 1"
    return _with(log, normalized(log.x, "zscore_l2", constant=True)), how


def _with(log: Log, x: np.ndarray) -> Log:
    names: Any = {} if log.has_context else {"context": None, "contexts": None}
    return dataclasses.replace(log, x=x, **names)


def _played(
    agent: str, hyper: Mapping[str, Any], training: Log, shown: Log, n_arms: int, seed: int,
    weighs: bool, gave_up: list[str],
) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
    """Best guesses (rows, arms) and gaps of an agent that learned from ``training``.

    Gaps are those of inverse gap weighting: with probabilities p at gamma, (1 / p - K) / gamma;
    None for an agent that does not weigh so.
    """
    more = {"gamma": BASE, "gamma_schedule": "fixed"} if weighs else {}
    player: Any = Agent(
        agent, n_arms=n_arms, dim=training.dim, horizon=len(training), seed=seed,
        **{**hyper, **more},
    )  # fmt: skip
    player.fit(training)
    assert shown.x is not None
    try:
        player.act(shown.x[0])
    except ValueError:  # it gave up
        gave_up.append(agent)
        return np.full((len(shown), n_arms), 1.0 / n_arms), None
    best = np.stack([player.recommend(x) for x in shown.x])
    if not weighs:
        return best, None
    rules = np.stack([player.propensities(x) for x in shown.x])
    gaps = (1.0 / np.maximum(rules, 1e-300) - n_arms) / BASE
    rows = np.arange(len(gaps))
    gaps[rows, rules.argmax(axis=1)] = 0.0
    return best, np.maximum(gaps, 0.0)


def _title(gamma: float) -> str:
    return f"gamma {gamma:g}"


def _exploration(
    estimates: list[dict[str, Any]], agent: str, deployed: Mapping[str, np.ndarray]
) -> tuple[list[dict[str, Any]], float | None]:
    """The grid of gammas with their values, and the one that is named."""
    if not estimates or _title(GAMMAS[0]) not in deployed:
        return [], None
    how = "doubly robust"
    how = how if any(row["estimator"] == how for row in estimates) else estimates[0]["estimator"]
    values = {row["rule"]: row for row in estimates if row["estimator"] == how}
    if _title(GAMMAS[0]) not in values:
        return [], None
    least = values[agent]["lo"]
    table = []
    for gamma in GAMMAS:
        row = values[_title(gamma)]
        table.append(
            {
                "gamma": gamma,
                "explores": float(1.0 - deployed[_title(gamma)].max(axis=1).mean()),
                "estimator": how,
                **{key: row[key] for key in ("value", "lo", "hi")},
            }
        )
    enough = [
        row["gamma"]
        for row in table
        if row["value"] is not None and least is not None and row["value"] >= least
    ]
    return table, min(enough) if enough else None


def render(found: dict[str, Any], console: Console) -> None:
    """Print a report as tables."""
    from rich.table import Table

    console.print(
        f"{name(found['log'] or 'log')}: {found['rows']:,} rows, {found['n_arms']} arms, "
        f"dim {found['dim']}, mean reward {found['mean_reward']:.4g}",
        highlight=False,
    )
    rules = (found["agent"], *RIVALS)
    table = Table(title="How often each arm would be deployed, in the rows of the log")
    for title in ("arm", "rows", "mean reward", *rules):
        table.add_column(name(title), justify="right")
    for row in found["arms"][:SHOWN]:
        table.add_row(
            name(row["arm"]),
            str(row["rows"]),
            "" if row["mean"] is None else f"{row['mean']:.4f}",
            *(percent(row[rule]) for rule in rules),
        )
    console.print(table)
    rest(found["n_arms"], "arms", console)
    if found["estimates"]:
        render_estimates(found, console)
    if found["exploration"]:
        _render_exploration(found, console)
    sentences((found["note"], found["remark"]), console)
    sentences(found["notes"], console, style="bold")


def _render_exploration(found: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    how = found["exploration"][0]["estimator"]
    table = Table(title=f"What exploring costs, by the {how} estimate")
    for title in ("gamma", "not the best guess", "reward", "interval"):
        table.add_column(title, justify="right")
    for row in found["exploration"]:
        known = row["value"] is not None
        table.add_row(
            f"{row['gamma']:g}",
            percent(row["explores"]),
            f"{row['value']:.4f}" if known else "unknown",
            f"{row['lo']:.4f} to {row['hi']:.4f}" if known else "",
        )
    console.print(table)
    if found["gamma"] is None:
        line = "No gamma of the grid is within the interval of the best guess: explore little."
    else:
        chosen = found["gamma"]
        line = (
            f"gamma = {chosen:g} is the most exploration whose cost this log cannot tell from 0: "
            f"gamma_schedule=fixed, gamma={chosen:g}, or gamma={chosen / found['rows'] ** 0.5:.3g} "
            f"times sqrt(n) after {found['rows']:,} rows."
        )
    console.print(line, highlight=False)


# --- the command line ---------------------------------------------------------------------------

FLAGS = ("seed", "columns", "estimate_propensity", "low", "high")
SPENDS = False


def command(
    path: str, agent: str, settings: dict[str, dict[str, Any]], progress: Any, **flags: Any
) -> dict[str, Any]:
    """The report of an agent on a file with features."""
    refuse_others(settings, agent)
    hyper = settings.get(agent, {})
    for key in ("low", "high"):
        if key in hyper and flags.get(key) is not None:
            raise ValueError(f"{key} is given twice: by --{key} and by --set {agent}.{key}")
    return report(path, agent, **{**flags, **hyper})
