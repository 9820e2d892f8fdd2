"""What a log says: the arm that each offline rule would deploy, and what the rules are worth.

The arms come from the whole log. The worth cannot: a rule valued on the rows it was learned from
looks better than it is. So the rules are learned once more from one half of the rows, drawn at
random, and valued on the other half, by SNIPS and by the doubly robust estimate.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab.agents.offline.bc import bc
from banditlab.agents.offline.behaviour import behaviour
from banditlab.agents.offline.greedy_offline import greedy_offline
from banditlab.agents.offline.lcb import lower_bounds
from banditlab.log import Log
from banditlab.offpolicy import doubly_robust, learned, snips
from banditlab.registry import make

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 30  # contexts printed
CHOOSERS = ("lcb", "bc", "greedy_offline")  # behaviour goes on drawing: it chooses no arm
ESTIMATORS = {"SNIPS": snips, "doubly robust": doubly_robust}
HOW = "rules learned from one half of the rows, drawn at random, and valued on the other half"
NO_PROPENSITY = "no estimates of what the rules are worth: the log has no column 'propensity'"
TOO_FEW = "no estimates of what the rules are worth: they need at least 4 rows"


def report(source: Any, seed: int = 0, **hyper: Any) -> dict[str, Any]:
    """Compare the offline rules on a log; the result is plain data, ready for JSON.

    Parameters
    ----------
    source
        Path of a CSV or Parquet file, a pandas frame, or a :class:`banditlab.log.Log`.
    seed
        Decides the halves and the bootstrap draws of the estimates.
    hyper
        Hyper-parameters of ``lcb``; its ``low`` and ``high`` hold for ``greedy_offline`` too.

    Raises
    ------
    ValueError
        In one line, for a log or a hyper-parameter that cannot be.
    """
    log = Log.of(source)
    pessimist = make("lcb", **hyper)
    low, high = pessimist.rewards
    rules = {
        "lcb": pessimist,
        "bc": bc(),
        "greedy_offline": greedy_offline(low, high),
        "behaviour": behaviour(),
    }
    shape = (log.n_contexts, log.n_arms)
    counts, sums = log.counts(), log.sums()
    policies = {name: learned(rules[name], log, shape) for name in CHOOSERS}
    bounds = lower_bounds(pessimist, counts, sums)
    contexts = []
    for s in range(log.n_contexts):
        row: dict[str, Any] = {"context": s, "rows": int(counts[s].sum())}
        for name in CHOOSERS:
            arms = np.flatnonzero(policies[name][s])
            k = arms[0]  # arms in a tie are alike to the rule; the first stands for them
            row[name] = {
                "arms": arms.tolist(),
                "rows": int(counts[s, k]),
                "mean": float(sums[s, k] / counts[s, k]) if counts[s, k] else None,
                "lower_bound": float(bounds[s, k]),
            }
        contexts.append(row)

    note = HOW
    estimates: list[dict[str, Any]] = []
    if log.propensity is None:
        note = NO_PROPENSITY
    elif len(log) < 4:
        note = TOO_FEW
    else:
        order = np.random.default_rng(seed).permutation(len(log))
        half = len(log) // 2
        training, test = log.take(np.sort(order[:half])), log.take(np.sort(order[half:]))
        for name, rule in rules.items():
            policy = learned(rule, training, shape)
            for title, estimator in ESTIMATORS.items():
                value, lo, hi, ess = (_plain(v) for v in estimator(test, policy, seed=seed))
                estimates.append(
                    {
                        "rule": name,
                        "estimator": title,
                        "value": value,
                        "lo": lo,
                        "hi": hi,
                        "effective_rows": ess,
                    }
                )
    return {
        "log": Path(source).name if isinstance(source, str | Path) else None,
        "rows": len(log),
        "n_contexts": log.n_contexts,
        "n_arms": log.n_arms,
        "mean_reward": float(log.reward.mean()),
        "lcb": pessimist.params._asdict(),
        "contexts": contexts,
        "note": note,
        "rows_valued": len(log) - len(log) // 2 if estimates else 0,
        "estimates": estimates,
    }


def _plain(value: float) -> float | None:
    """None in the place of nan, which JSON does not know."""
    return float(value) if np.isfinite(value) else None


def render(report: dict[str, Any], console: Console) -> None:
    """Print a report as tables."""
    from rich.table import Table

    many = report["n_contexts"] > 1
    console.print(
        f"{report['log'] or 'log'}: {report['rows']:,} rows, {report['n_arms']} arms, "
        f"{report['n_contexts'] if many else 'no'} contexts, "
        f"mean reward {report['mean_reward']:.4g}",
        highlight=False,
    )
    table = Table(title="Arm to deploy, and LCB's lower bound on its mean reward")
    if many:
        table.add_column("context", justify="right")
    table.add_column("rows", justify="right")
    for name in CHOOSERS:
        table.add_column(name, justify="right")
    for row in report["contexts"][:SHOWN]:
        choices = [_choice(row[name], report["n_arms"]) for name in CHOOSERS]
        table.add_row(*([str(row["context"])] if many else []), str(row["rows"]), *choices)
    console.print(table)
    if report["n_contexts"] > SHOWN:
        console.print(
            f"The first {SHOWN} of {report['n_contexts']} contexts; --json has all.",
            highlight=False,
        )
    if report["estimates"]:
        table = Table(title="Estimated reward per round, with 95% intervals")
        for name in ("rule", "estimator"):
            table.add_column(name)
        for name in ("reward", "interval", "effective rows"):
            table.add_column(name, justify="right")
        for row in report["estimates"]:
            known = row["value"] is not None
            table.add_row(
                row["rule"],
                row["estimator"],
                f"{row['value']:.4f}" if known else "unknown",
                f"{row['lo']:.4f} to {row['hi']:.4f}" if known else "",
                f"{row['effective_rows']:.0f} of {report['rows_valued']}",
            )
        console.print(table)
    note = report["note"]
    console.print(f"{note[0].upper()}{note[1:]}.", highlight=False)


def _choice(choice: dict[str, Any], n_arms: int) -> str:
    """Arm and bound, for instance "3 (+0.412)"; some arms of a tie, or "any"."""
    arms = choice["arms"]
    text = "/".join(str(k) for k in arms[:3]) + ("/.." if len(arms) > 3 else "")
    return f"{'any' if len(arms) == n_arms else text} ({choice['lower_bound']:+.3f})"
