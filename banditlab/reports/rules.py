"""What a log says: the arms that each offline rule would deploy, and what the rules are worth.

:func:`report` is about tables of contexts and arms, :func:`linear_report` about features. The arms
come from the whole log. The worth cannot: a rule valued on the rows it was learned from looks
better than it is. So the rules are learned once more from one half of the rows, drawn at random,
and valued on the other half, by SNIPS and by the doubly robust estimate.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab.agents.offline_bandit.bc import bc
from banditlab.agents.offline_bandit.behaviour import behaviour
from banditlab.agents.offline_bandit.greedy_offline import greedy_offline
from banditlab.agents.offline_bandit.lcb import lower_bounds
from banditlab.data.log import Log
from banditlab.offpolicy import doubly_robust, learned, learned_by_row, snips
from banditlab.registry import make
from banditlab.reports import refuse_others

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 30  # contexts or arms printed
CHOOSERS = ("lcb", "bc", "greedy_offline")  # behaviour goes on drawing: it chooses no arm
LINEAR = ("lin_lcb", "greedy", "bc", "behaviour")
ESTIMATORS = {"SNIPS": snips, "doubly robust": doubly_robust}
HOW = "rules learned from one half of the rows, drawn at random, and valued on the other half"
NO_PROPENSITY = "no estimates of what the rules are worth: the log has no column 'propensity'"
TOO_FEW = "no estimates of what the rules are worth: they need at least 4 rows"
REPLAY = "The log's columns x_* are not used by replay; --agent lin_lcb uses them."
ROW_DRAWS = 20_000_000  # rows times bootstrap draws: 20,000 rows get 1000 draws, in seconds


def report(source: Any, seed: int = 0, **hyper: Any) -> dict[str, Any]:
    """Compare the offline rules on a log; the result is plain data, ready for JSON.

    Parameters
    ----------
    source
        Path of a CSV or Parquet file, a pandas frame, or a :class:`banditlab.data.log.Log`.
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

    note, estimates = _valued(
        log,
        lambda training, test: {name: learned(rules[name], training, shape) for name in rules},
        seed,
    )
    remark = f"the log's columns x_* ({log.dim}) are not used by lcb; lin_lcb uses them"
    return {
        "log": _name(source),
        "rows": len(log),
        "n_contexts": log.n_contexts,
        "n_arms": log.n_arms,
        "mean_reward": float(log.reward.mean()),
        "lcb": pessimist.params._asdict(),
        "contexts": contexts,
        "remark": remark if log.dim else None,
        "note": note,
        "rows_valued": len(log) - len(log) // 2 if estimates else 0,
        "estimates": estimates,
    }


def linear_report(source: Any, seed: int = 0, **hyper: Any) -> dict[str, Any]:
    """Compare pessimism with linear features to greed and imitation; plain data, ready for JSON.

    ``greedy`` is ``lin_lcb`` with ``beta = 0``. ``bc`` and ``behaviour`` go by the log's contexts,
    if it has any, and do not see the features.

    Parameters
    ----------
    source, seed
        See :func:`report`.
    hyper
        Hyper-parameters of ``lin_lcb``. As all arms share the features of a row, every arm has
        coefficients of its own (``disjoint``).

    Raises
    ------
    ValueError
        In one line, for a log or a hyper-parameter that cannot be.
    """
    log = Log.of(source)
    if log.x is None:
        raise ValueError("the log has no columns x_*, the features that lin_lcb needs")
    pessimist = make("lin_lcb", **{"disjoint": True, **hyper})
    if not pessimist.params.disjoint:
        raise ValueError("disjoint must be true: all arms share the features of a row")
    linear = {
        "lin_lcb": pessimist,
        "greedy": make("lin_lcb", **{**pessimist.params._asdict(), "beta": 0.0, "delta": 0.0}),
    }
    tabular = {"bc": bc(), "behaviour": behaviour()}
    shape = (log.n_contexts, log.n_arms)

    def policies(training: Log, shown: Log) -> dict[str, np.ndarray]:
        """What each rule does in the rows of ``shown``."""
        found = {
            name: learned_by_row(rule, training, shown.x, log.n_arms)
            for name, rule in linear.items()
        }
        for name, rule in tabular.items():
            found[name] = learned(rule, training, shape)[shown.context]
        return found

    deployed = {name: policy.mean(axis=0) for name, policy in policies(log, log).items()}
    counts, sums = log.counts().sum(axis=0), log.sums().sum(axis=0)
    arms = [
        {
            "arm": k,
            "rows": int(counts[k]),
            "mean": float(sums[k] / counts[k]) if counts[k] else None,
            **{name: float(deployed[name][k]) for name in LINEAR},
        }
        for k in range(log.n_arms)
    ]
    draws = int(np.clip(ROW_DRAWS // len(log), 200, 1000))
    note, estimates = _valued(log, policies, seed, by_row=True, draws=draws)
    remark = "the log's contexts are used by bc and behaviour, not by lin_lcb"
    params = pessimist.params._asdict()
    return {
        "log": _name(source),
        "rows": len(log),
        "n_arms": log.n_arms,
        "dim": log.dim,
        "mean_reward": float(log.reward.mean()),
        "lin_lcb": {key: v if np.isfinite(v) else "inf" for key, v in params.items()},
        "arms": arms,
        "remark": remark if log.n_contexts > 1 else None,
        "note": note,
        "rows_valued": len(log) - len(log) // 2 if estimates else 0,
        "estimates": estimates,
    }


REPORTS = {"lcb": report, "lin_lcb": linear_report}  # by the agent of the command line


def _valued(
    log: Log,
    policies: Callable[[Log, Log], dict[str, np.ndarray]],
    seed: int,
    **how: Any,
) -> tuple[str, list[dict[str, Any]]]:
    """How, or why not, and the estimates of what ``policies(training, test)`` are worth."""
    if log.propensity is None:
        return NO_PROPENSITY, []
    if len(log) < 4:
        return TOO_FEW, []
    order = np.random.default_rng(seed).permutation(len(log))
    half = len(log) // 2
    training, test = log.take(np.sort(order[:half])), log.take(np.sort(order[half:]))
    estimates = []
    for name, policy in policies(training, test).items():
        for title, estimator in ESTIMATORS.items():
            found = estimator(test, policy, seed=seed, **how)
            value, lo, hi, ess = (_plain(v) for v in found)
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
    return HOW, estimates


def _name(source: Any) -> str | None:
    return Path(source).name if isinstance(source, str | Path) else None


def _plain(value: float) -> float | None:
    """None in the place of nan, which JSON does not know."""
    return float(value) if np.isfinite(value) else None


def render(report: dict[str, Any], console: Console) -> None:
    """Print a report of either kind as tables."""
    if "lin_lcb" in report:
        _render_shares(report, console)
    else:
        _render_choices(report, console)
    if report["estimates"]:
        _render_estimates(report, console)
    for line in (report["note"], report["remark"]):
        if line:
            console.print(f"{line[0].upper()}{line[1:]}.", highlight=False)


def _render_choices(report: dict[str, Any], console: Console) -> None:
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
    _render_rest(report["n_contexts"], "contexts", console)


def _render_shares(report: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    console.print(
        f"{report['log'] or 'log'}: {report['rows']:,} rows, {report['n_arms']} arms, "
        f"dim {report['dim']}, mean reward {report['mean_reward']:.4g}",
        highlight=False,
    )
    table = Table(title="How often each arm would be deployed, in the rows of the log")
    for name in ("arm", "rows", "mean reward", *LINEAR):
        table.add_column(name, justify="right")
    for row in report["arms"][:SHOWN]:
        table.add_row(
            str(row["arm"]),
            str(row["rows"]),
            "" if row["mean"] is None else f"{row['mean']:.4f}",
            *(f"{100 * row[name]:.1f}%" for name in LINEAR),
        )
    console.print(table)
    _render_rest(report["n_arms"], "arms", console)


def _render_rest(count: int, what: str, console: Console) -> None:
    if count > SHOWN:
        console.print(f"The first {SHOWN} of {count} {what}; --json has all.", highlight=False)


def _render_estimates(report: dict[str, Any], console: Console) -> None:
    from rich.table import Table

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


def _choice(choice: dict[str, Any], n_arms: int) -> str:
    """Arm and bound, for instance "3 (+0.412)"; some arms of a tie, or "any"."""
    arms = choice["arms"]
    text = "/".join(str(k) for k in arms[:3]) + ("/.." if len(arms) > 3 else "")
    return f"{'any' if len(arms) == n_arms else text} ({choice['lower_bound']:+.3f})"


# --- the command line ---------------------------------------------------------------------------

FLAGS = ("seed",)
SPENDS = False


def command(
    path: str, agent: str, settings: dict[str, dict[str, Any]], progress: Any, **flags: Any
) -> dict[str, Any]:
    """The report of an offline rule on a file."""
    known = agent if agent in REPORTS else "lcb"  # all rules stand in one report
    refuse_others(settings, known)
    return REPORTS[known](path, **flags, **settings.get(known, {}))
