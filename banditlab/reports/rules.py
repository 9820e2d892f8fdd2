"""What a log says: the arms that each offline rule would deploy, and what the rules are worth.

:func:`report` is about tables of contexts and arms, :func:`linear_report` about features. The arms
come from the whole log. The worth cannot: a rule valued on the rows it was learned from looks
better than it is. So the rules are learned once more from one half of the rows, drawn at random,
and valued on the other half, by SNIPS and by the doubly robust estimate; without propensities by
the direct method, or by propensities that are estimated too, if that is asked for.

Arms and contexts are shown by the names that they have in the log.

One file, though long: the two reports share how rules are valued, and how that is printed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab.agents.offline_bandit.bc import bc
from banditlab.agents.offline_bandit.behaviour import behaviour
from banditlab.agents.offline_bandit.greedy_offline import greedy_offline
from banditlab.agents.offline_bandit.lcb import lower_bounds
from banditlab.data import doubts
from banditlab.data.log import Log
from banditlab.data.table import named, where_of
from banditlab.offpolicy import (
    direct_method,
    doubly_robust,
    estimated_propensities,
    learned,
    learned_by_row,
    snips,
    support,
)
from banditlab.registry import make
from banditlab.reports import refuse_others
from banditlab.reports.render import SHOWN, choice, name, percent, rest, sentences
from banditlab.validate import nonnegative, positive

if TYPE_CHECKING:
    from rich.console import Console

CHOOSERS = ("lcb", "bc", "greedy_offline")  # behaviour goes on drawing: it chooses no arm
LINEAR = ("lin_lcb", "greedy", "bc", "behaviour")
ESTIMATORS = {"SNIPS": snips, "doubly robust": doubly_robust}
HOW = "rules learned from one half of the rows, drawn at random, and valued on the other half"
NO_PROPENSITY = (
    "the log has no column 'propensity', so what the rules are worth is told by the direct method "
    "alone, which is as good as its model of the rewards; --estimate-propensity estimates them"
)
TOO_FEW = "no estimates of what the rules are worth: they need at least 4 rows"
REPLAY = "The log's columns x_* are not used by replay; --agent lin_lcb uses them."
FEW = 50  # effective rows
WELL_SHOWN = 0.95  # support
SCALE = 3.0  # standard deviations of rewards, against what a rule assumes
ROW_DRAWS = 20_000_000  # rows times bootstrap draws: 20,000 rows get 1000 draws, in seconds


def report(
    source: Any,
    seed: int = 0,
    *,
    columns: Mapping[str, str] | None = None,
    estimate_propensity: bool = False,
    **hyper: Any,
) -> dict[str, Any]:
    """Compare the offline rules on a log; the result is plain data, ready for JSON.

    Parameters
    ----------
    source
        Whatever :meth:`banditlab.data.log.Log.of` reads: a file, a frame, a dict, a Log.
    seed
        Decides the halves, the folds and the bootstrap draws of the estimates.
    columns
        The source's names of columns by ours, ``{"action": "article"}``.
    estimate_propensity
        Whether propensities are estimated from the log, cross-fitted, whether or not it has some.
    hyper
        Hyper-parameters of ``lcb``; its ``low`` and ``high``, the range of the rewards, hold for
        ``greedy_offline`` too.

    Raises
    ------
    ValueError
        In one line, for a log or a hyper-parameter that cannot be.
    """
    log = Log.of(source, columns)
    pessimist: Any = make("lcb", **hyper)
    low, high = pessimist.rewards
    in_range(log, "lcb", low, high, where_of(source))
    rules = {
        "lcb": pessimist,
        "bc": bc(),
        "greedy_offline": greedy_offline(low, high),
        "behaviour": behaviour(),
    }
    shape = (log.n_contexts, len(log.actions))
    counts, sums = log.counts(shape), log.sums(shape)
    policies = {rule: learned(rules[rule], log, shape) for rule in CHOOSERS}
    bounds = lower_bounds(pessimist, counts, sums)
    chosen = {rule: _by_row(policies[rule]) for rule in CHOOSERS}
    contexts = []
    for s in range(log.n_contexts):
        row: dict[str, Any] = {"context": log.contexts[s], "rows": int(counts[s].sum())}
        for rule in CHOOSERS:
            arms = chosen[rule][s]
            k = arms[0]  # arms in a tie are alike to the rule; the first stands for them
            row[rule] = {
                "arms": [log.actions[arm] for arm in arms],
                "rows": int(counts[s, k]),
                "mean": float(sums[s, k] / counts[s, k]) if counts[s, k] else None,
                "lower_bound": float(bounds[s, k]),
            }
        contexts.append(row)

    note, estimates, notes = valued(
        log,
        lambda training, test: {name: learned(rules[name], training, shape) for name in rules},
        seed,
        estimate_propensity,
    )
    remark = f"the log's columns x_* ({log.dim}) are not used by lcb; lin_lcb uses them"
    return {
        "log": where_of(source) or None,
        "rows": len(log),
        "n_contexts": log.n_contexts,
        "n_arms": len(log.actions),
        "mean_reward": float(log.reward.mean()),
        "lcb": pessimist.params._asdict(),
        "contexts": contexts,
        "remark": remark if log.dim else None,
        "note": note,
        "notes": notes,
        "rows_valued": len(log) - len(log) // 2 if estimates else 0,
        "estimates": estimates,
    }


def linear_report(
    source: Any,
    seed: int = 0,
    *,
    columns: Mapping[str, str] | None = None,
    estimate_propensity: bool = False,
    low: float = -math.inf,
    high: float = math.inf,
    sigma: float = 1.0,
    **hyper: Any,
) -> dict[str, Any]:
    """Compare pessimism with linear features to greed and imitation; plain data, ready for JSON.

    ``greedy`` is ``lin_lcb`` with ``beta = 0``. ``bc`` and ``behaviour`` go by the log's contexts,
    if it has any, and do not see the features.

    Parameters
    ----------
    source, seed, columns, estimate_propensity
        See :func:`report`; propensities are estimated by the features.
    low, high
        Range that the rewards must keep to; by default any.
    sigma
        Standard deviation of a reward, above 0: the unit in which ``beta`` counts, and ``noise``.
    hyper
        Hyper-parameters of ``lin_lcb``. As all arms share the features of a row, every arm has
        coefficients of its own (``disjoint``).

    Raises
    ------
    ValueError
        In one line, for a log or a hyper-parameter that cannot be.
    """
    log = Log.of(source, columns)
    if log.x is None:
        with named(where_of(source)):
            raise ValueError("the log has no columns x_*, the features that lin_lcb needs")
    in_range(log, "lin_lcb", low, high, where_of(source))
    if positive("sigma", sigma) != 1.0:
        hyper = {"noise": sigma, **hyper, "beta": sigma * nonnegative("beta", hyper.get("beta", 1))}
    pessimist = make("lin_lcb", **{"disjoint": True, **hyper})
    if not pessimist.params.disjoint:
        raise ValueError("disjoint must be true: all arms share the features of a row")
    linear: dict[str, Any] = {
        "lin_lcb": pessimist,
        "greedy": make("lin_lcb", **{**pessimist.params._asdict(), "beta": 0.0, "delta": 0.0}),
    }
    tabular = {"bc": bc(), "behaviour": behaviour()}
    n_arms = len(log.actions)
    shape = (log.n_contexts, n_arms)

    def policies(training: Log, shown: Log) -> dict[str, np.ndarray]:
        """What each rule does in the rows of ``shown``."""
        found = {
            title: learned_by_row(rule, training, shown.x, n_arms) for title, rule in linear.items()
        }
        for title, table in tabular.items():
            found[title] = learned(table, training, shape)[shown.context]
        return found

    deployed = {name: policy.mean(axis=0) for name, policy in policies(log, log).items()}
    counts, sums = log.counts(shape).sum(axis=0), log.sums(shape).sum(axis=0)
    arms = [
        {
            "arm": log.actions[k],
            "rows": int(counts[k]),
            "mean": float(sums[k] / counts[k]) if counts[k] else None,
            **{name: float(deployed[name][k]) for name in LINEAR},
        }
        for k in range(n_arms)
    ]
    draws = int(np.clip(ROW_DRAWS // len(log), 200, 1000))
    note, estimates, notes = valued(
        log, policies, seed, estimate_propensity, by_row=True, draws=draws
    )
    remark = "the log's contexts are used by bc and behaviour, not by lin_lcb"
    params = pessimist.params._asdict()
    spread = float(log.reward.std())
    if params["beta"] > 0.0 and params["delta"] == 0.0 and spread > SCALE * params["noise"]:
        notes.append(
            f"lin_lcb takes a reward to scatter by about {params['noise']:g}, but theirs scatter "
            f"by {spread:.3g}: its pessimism is too small; give --sigma"
        )
    return {
        "log": where_of(source) or None,
        "rows": len(log),
        "n_arms": n_arms,
        "dim": log.dim,
        "mean_reward": float(log.reward.mean()),
        "lin_lcb": {key: v if np.isfinite(v) else "inf" for key, v in params.items()},
        "arms": arms,
        "remark": remark if log.n_contexts > 1 else None,
        "note": note,
        "notes": notes,
        "rows_valued": len(log) - len(log) // 2 if estimates else 0,
        "estimates": estimates,
    }


def _by_row(policy: np.ndarray) -> list[np.ndarray]:
    """The arms that have a probability, by context."""
    rows, arms = np.nonzero(policy)
    return np.split(arms, np.searchsorted(rows, np.arange(1, len(policy))))


def in_range(log: Log, rule: str, low: float, high: float, where: str) -> None:
    """Refuse rewards outside of what the rule was told, and name the flag that mends it."""
    for row in np.flatnonzero((log.reward < low) | (log.reward > high))[:1]:
        least, most = log.reward.min(), log.reward.max()
        prefix = f"{where}: " if where else ""
        raise ValueError(
            f"{prefix}reward: row {row} has {log.reward[row]:g}, but {rule} was told that rewards "
            f"lie in [{low:g}, {high:g}]: give their range, for instance --low {least:g} "
            f"--high {most:g} (low, high), as it is and not as the log happens to show it"
        )


REPORTS = {"lcb": report, "lin_lcb": linear_report}  # by the agent of the command line


def valued(
    log: Log,
    policies: Callable[[Log, Log], dict[str, np.ndarray]],
    seed: int,
    estimate_propensity: bool,
    by_row: bool = False,
    draws: int = 1000,
) -> tuple[str, list[dict[str, Any]], list[str]]:
    """How, or why not, the estimates of what ``policies(training, test)`` are worth, and notes."""
    notes = [*log.notes, *doubts.of_log(log)]
    if len(log) < 4:
        return TOO_FEW, [], notes
    order = np.random.default_rng(seed).permutation(len(log))
    half = len(log) // 2
    training, test = log.take(np.sort(order[:half])), log.take(np.sort(order[half:]))
    note, estimators = HOW, ESTIMATORS
    if estimate_propensity:
        read = len(test.notes)
        test = estimated_propensities(test, seed, by_features=by_row)
        notes += [f"{line}; what else the choice went by is not told" for line in test.notes[read:]]
    elif log.propensity is None:
        note, estimators = f"{HOW}; {NO_PROPENSITY}", {"direct method": direct_method}
    estimates: list[dict[str, Any]] = []
    for rule, policy in policies(training, test).items():
        shown = support(test, policy, by_row)
        for title, estimator in estimators.items():
            found = estimator(test, policy, seed=seed, by_row=by_row, draws=draws)
            value, lo, hi, ess = (_plain(v) for v in found)
            estimates.append(
                {
                    "rule": rule,
                    "estimator": title,
                    "value": value,
                    "lo": lo,
                    "hi": hi,
                    "effective_rows": ess,
                    "support": shown,
                }
            )
    weighed = any(row["effective_rows"] < FEW for row in estimates)
    if weighed and len(test) >= FEW:
        notes.append(f"trust no interval of fewer than {FEW} effective rows")
    if any(row["support"] < WELL_SHOWN for row in estimates):
        notes.append(
            "support: the share of what a rule does that the valuing half of the log shows; of the "
            "rest the estimates know nothing"
        )
    return note, estimates, notes


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
        render_estimates(report, console)
    sentences((report["note"], report["remark"]), console)
    sentences(report["notes"], console, style="bold")


def _render_choices(report: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    many = report["n_contexts"] > 1
    console.print(
        f"{name(report['log'] or 'log')}: {report['rows']:,} rows, {report['n_arms']} arms, "
        f"{report['n_contexts'] if many else 'no'} contexts, "
        f"mean reward {report['mean_reward']:.4g}",
        highlight=False,
    )
    table = Table(title="Arm to deploy, and LCB's lower bound on its mean reward")
    if many:
        table.add_column("context", justify="right")
    table.add_column("rows", justify="right")
    for rule in CHOOSERS:
        table.add_column(rule, justify="right")
    for row in report["contexts"][:SHOWN]:
        choices = [_choice(row[rule], report["n_arms"]) for rule in CHOOSERS]
        table.add_row(*([name(row["context"])] if many else []), str(row["rows"]), *choices)
    console.print(table)
    rest(report["n_contexts"], "contexts", console)


def _render_shares(report: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    console.print(
        f"{name(report['log'] or 'log')}: {report['rows']:,} rows, {report['n_arms']} arms, "
        f"dim {report['dim']}, mean reward {report['mean_reward']:.4g}",
        highlight=False,
    )
    table = Table(title="How often each arm would be deployed, in the rows of the log")
    for title in ("arm", "rows", "mean reward", *LINEAR):
        table.add_column(title, justify="right")
    for row in report["arms"][:SHOWN]:
        table.add_row(
            name(row["arm"]),
            str(row["rows"]),
            "" if row["mean"] is None else f"{row['mean']:.4f}",
            *(f"{100 * row[rule]:.1f}%" for rule in LINEAR),
        )
    console.print(table)
    rest(report["n_arms"], "arms", console)


def render_estimates(report: dict[str, Any], console: Console) -> None:
    """Print what each rule would earn, as a table."""
    from rich.table import Table

    title = f"Estimated reward per round, with 95% intervals, from {report['rows_valued']:,} rows"
    table = Table(title=title)
    for title in ("rule", "estimator"):
        table.add_column(title)
    for title in ("reward", "interval", "effective rows (support)"):
        table.add_column(title, justify="right")
    for row in report["estimates"]:
        known = row["value"] is not None
        table.add_row(
            row["rule"],
            row["estimator"],
            f"{row['value']:.4f}" if known else "unknown",
            f"{row['lo']:.4f} to {row['hi']:.4f}" if known else "",
            f"{row['effective_rows']:,.0f} ({percent(row['support'])})",
        )
    console.print(table)


def _choice(found: dict[str, Any], n_arms: int) -> str:
    """Arm and bound, for instance "3 (+0.412)"; some arms of a tie, or "any"."""
    arms = found["arms"]
    return choice(arms, len(arms) == n_arms, f"{found['lower_bound']:+.3f}")


# --- the command line ---------------------------------------------------------------------------

FLAGS = ("seed", "columns", "estimate_propensity", "low", "high", "sigma")
SPENDS = False


def command(
    path: str, agent: str, settings: dict[str, dict[str, Any]], progress: Any, **flags: Any
) -> dict[str, Any]:
    """The report of an offline rule on a file."""
    known = agent if agent in REPORTS else "lcb"  # all rules stand in one report
    refuse_others(settings, known)
    if known == "lcb" and "sigma" in flags:
        raise ValueError("--sigma is not for lcb, which goes by the range: --low and --high")
    hyper = settings.get(known, {})
    return REPORTS[known](path, **{**flags, **hyper})
