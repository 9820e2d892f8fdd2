"""A real table of rewards, and the best arm named without betraying a reward or a person.

:mod:`banditlab.privacy.ratings` says which tables. Two figures of different kinds come out. How
often an algorithm names the best arm of the table is for the table's owner: it was computed without
any privacy. The arm *released* is for the world: it was drawn once, with noise from the system's
cryptographic generator, and spends epsilon.

In this order: whatever is refused is refused by what is public; the owner is told what the bounds
did to the values; agents are simulated; epsilon goes into the ledger, if there is one; noise is
drawn. A run that is stopped on the way has shown the world nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from banditlab import interrupt, random, registry
from banditlab.compile import compiled
from banditlab.core import Task
from banditlab.data.table import where_of
from banditlab.privacy import Entry, Ledger, Ratings, release_arm
from banditlab.privacy.mechanisms import MECHANISMS, sampler
from banditlab.protocols import identify
from banditlab.reports import refuse_others
from banditlab.validate import integer

if TYPE_CHECKING:
    from rich.console import Console

RELEASABLE = ("dp_bai", "dp_sequential_halving", "dp_uniform", "noisy_max")
REPLICATIONS = 1000
NOT_PROTECTED = (
    "which arms are rewarded by whom, how often, and how many rewards there are; rewards must not \
have been collected by a rule that looked at earlier ones"
)


class Contender(NamedTuple):
    """An agent that is compared on a table."""

    name: str
    budget: int  # pulls
    hyper: dict[str, Any]


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def report(
    source: Any,
    name: str = "dp_bai",
    low: float | None = None,
    high: float | None = None,
    unit: str | None = None,
    most: int = 1,
    horizon: int | None = None,
    replications: int = REPLICATIONS,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
    ledger: str | Path | None = None,
    epsilon_total: float | None = None,
    mechanism: str = "own",
    columns: Mapping[str, str] | None = None,
    tell: Callable[[str], None] = _tell,
    **hyper: Any,
) -> dict[str, Any]:
    """Compare a private algorithm with ``noisy_max`` on a table, and release one arm.

    ``source`` is a path, or what else :mod:`banditlab.data.table` reads; ``columns`` maps
    ``action`` and ``reward`` to what they are called there.
    ``low`` and ``high`` are public bounds of a reward in its own unit, which must be given; what
    lies outside is clamped and counted. ``unit`` is the column that tells persons apart, ``most``
    the rewards kept of each. ``epsilon`` among the hyper-parameters is what one unit is promised.
    ``ledger`` is the file that counts it, before noise is drawn, and ``epsilon_total`` what it lets
    this table spend. ``mechanism`` draws the noise, "own" or "opendp". ``tell`` shows the table's
    owner a line that must not be published. Plain data, ready for JSON. Raises ValueError, in one
    line, for whatever cannot be; by what is public alone.
    """
    if name not in RELEASABLE:
        raise ValueError(
            f"--log: no file is read for {name!r}; those that release an arm of a table of rewards "
            f"are {', '.join(RELEASABLE)}"
        )
    epsilon = float(registry.make(name, **hyper).params.epsilon)
    if not np.isfinite(epsilon):
        raise ValueError(f"{name}: epsilon must be finite for a release, got {epsilon}")
    hyper = {key: value for key, value in hyper.items() if key != "epsilon"}
    replications = integer("--replications", replications, 1)
    book = _book(ledger, epsilon_total)
    ratings = Ratings(source, low, high, unit, most, seed, columns)
    # Rounded down: the rewards of one person must not spend more than epsilon between them.
    each = epsilon if unit is None else float(np.nextafter(epsilon / ratings.most, 0.0))
    sampler(mechanism, each)  # refuses what is not installed
    contenders = _contenders(ratings, name, horizon, hyper)
    entry = Entry(
        ratings.table,
        epsilon,
        unit,
        {
            "agent": name,
            "what": "an arm and noisy means",
            "low": ratings.low,
            "high": ratings.high,
            "max_rewards_per_unit": ratings.most if unit is not None else None,
            "mechanism": mechanism,
        },
    )
    if book is not None:
        book.check(entry)
    for note in ratings.notes:
        tell(f"not for publication: {note}")
    rows = []
    for done, contender in enumerate(contenders):
        if progress is not None:
            progress(f"simulating {contender.name}", done, len(contenders) + 1)
        rows.append(_compared(ratings, contender, each, replications, seed))
    if progress is not None:
        progress(f"releasing by {name}", len(contenders), len(contenders) + 1)
    spent: list[float] = []

    def charge() -> None:
        if book is not None:
            spent.append(book.charge(entry))
            told = f"interrupted; the ledger has counted epsilon = {epsilon:g}"
            interrupt.say_otherwise(f"{told}, whether or not the arm was shown")

    chosen = contenders[0]
    try:
        published = release_arm(
            name,
            ratings.rewards,
            each,
            chosen.budget,
            low=0.0,  # they are scaled already
            high=1.0,
            mechanism=mechanism,
            charge=charge,
            **chosen.hyper,
        )
    except BaseException:
        if spent:
            tell(f"the ledger has counted epsilon = {epsilon:g}, but nothing was released")
            interrupt.say_otherwise("interrupted")  # all else has been said
        raise
    width = ratings.high - ratings.low
    return {
        "log": where_of(source) or "a table of rewards",
        "not_private": {  # exact, or computed from what is exact: for the table's owner alone
            "rewards": int(ratings.lengths.sum()),
            "units": ratings.units,
            "clamped": ratings.clamped,
            "arms_all_clamped": ratings.all_clamped,
            "arms": _means(ratings),
            "replications": replications,
            "agents": rows,
        },
        "released": {
            "arm": ratings.arms[published.arm],
            "means": [
                {"arm": ratings.arms[k], "noisy_mean": ratings.low + width * value}
                for k, value in published.means
            ],
        },
        "receipt": {
            "agent": name,
            "epsilon": epsilon,
            "delta": 0.0,
            "protects": ratings.protects,
            "does_not_protect": NOT_PROTECTED,
            "unit": unit,
            "max_rewards_per_unit": ratings.most if unit is not None else None,
            "left_out": ratings.left_out,
            "epsilon_per_reward": each,
            "sensitivity_of_a_mean": "(high - low) / n for a mean of n rewards, per reward",
            "low": ratings.low,
            "high": ratings.high,
            "generator": MECHANISMS[mechanism],
            "spent": "each run releases anew and spends epsilon again; so does every choice of "
            "agent, epsilon or bounds that was made after a look at what is not private",
            "epsilon_spent": spent[0] if spent else None,  # on this table, by the ledger
            "epsilon_total": book.total if book is not None else None,
        },
    }


def _book(path: str | Path | None, total: float | None) -> Ledger | None:
    if path is None:
        if total is not None:
            raise ValueError("--epsilon-total needs --ledger, the file that counts what was spent")
        return None
    return Ledger(path, total)


def _contenders(
    ratings: Ratings, name: str, horizon: int | None, hyper: dict[str, Any]
) -> list[Contender]:
    """The agent that is to release, then the one that reads all rewards, if it is another.

    Refuses a horizon that an agent cannot meet or that an arm might not.
    """
    shortest = int(ratings.lengths.min())
    pulls = shortest if horizon is None else integer("--horizon", horizon, 1)
    if pulls > shortest:
        raise ValueError(f"--horizon must be at most {shortest}, the rewards of the shortest arm")
    total = int(ratings.lengths.sum())
    plain = Contender("noisy_max", total, {"rows": ratings.lengths})
    found = [plain] if name == "noisy_max" else [Contender(name, pulls, hyper), plain]
    for contender in found:
        made: Any = registry.make(contender.name, **contender.hyper)
        if made.check is not None:
            made.check(Task(len(ratings.arms), 1, 0, contender.budget), np.zeros((1, 1)))
    return found


def _means(ratings: Ratings) -> list[dict[str, Any]]:
    """The arms with their exact means, best first."""
    means = np.array([arm.mean() for arm in ratings.rewards])
    return [
        {
            "arm": ratings.arms[k],
            "rewards": int(ratings.lengths[k]),
            "mean": float(ratings.low + (ratings.high - ratings.low) * means[k]),
        }
        for k in np.argsort(-means)
    ]


def _compared(
    ratings: Ratings, contender: Contender, epsilon: float, replications: int, seed: int
) -> dict[str, Any]:
    """How often a contender errs on the table, without any privacy."""
    hyper = {**contender.hyper, "epsilon": epsilon}
    errors, losses, used = _errors(
        ratings, contender.name, contender.budget, replications, seed, hyper
    )
    return {
        "agent": contender.name,
        "rewards_used": round(float(used.mean())),
        "error": float(errors.mean()),
        "error_interval": _interval(errors),
        "simple_regret": float(losses.mean() * (ratings.high - ratings.low)),
    }


def _errors(
    ratings: Ratings, name: str, budget: int, replications: int, seed: int, hyper: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Error, simple regret and rewards used of every replication; right is a largest mean."""
    algorithm = registry.make(name, **hyper)
    problem = registry.make_problem("reward_table", rewards=ratings.rewards)
    task = Task(problem.shape[0], 1, 0, budget)
    record = np.zeros((replications, 1, len(identify.PROTOCOL.names)))
    points = np.array([budget], dtype=np.int64)
    args = (task, random.key(seed), 0, 0, points, np.zeros(2, np.int64), record)
    with np.errstate(all="ignore"):
        compiled(identify.run_block, (algorithm, problem), args)(*args)
    return record[:, 0, 0], record[:, 0, 1], record[:, 0, 2]


def _interval(errors: np.ndarray) -> list[float]:
    from banditlab.statistics import clopper_pearson

    lo, hi = clopper_pearson(errors.sum().round(), len(errors))
    return [float(lo), float(hi)]


def render(found: dict[str, Any], console: Console) -> None:
    """Print a report as tables."""
    from rich.markup import escape
    from rich.table import Table

    receipt, exact = found["receipt"], found["not_private"]
    console.print(
        f"[bold]{escape(found['log'])}[/]: {exact['rewards']:,} rewards of {len(exact['arms'])} "
        f"arms, in [{receipt['low']:g}, {receipt['high']:g}], {exact['clamped']:,} "
        f"({exact['clamped'] / exact['rewards']:.0%}) clamped"
        + (f", {receipt['left_out']:,} beyond the cap left out" if receipt["unit"] else ""),
        highlight=False,
    )
    table = Table("arm")
    for title in ("rewards", "mean"):
        table.add_column(title, justify="right")
    for row in exact["arms"][:10]:
        table.add_row(escape(row["arm"]), f"{row['rewards']:,}", f"{row['mean']:.4g}")
    console.print(table)
    if len(exact["arms"]) > 10:
        console.print(f"and {len(exact['arms']) - 10} more arms", style="dim")
    title = f"epsilon = {receipt['epsilon']:g}, {exact['replications']:,} replications"
    table = Table("agent", title=title, title_justify="left")
    for heading in ("rewards used", "error (95%)", "simple regret"):
        table.add_column(heading, justify="right")
    for row in exact["agents"]:
        lo, hi = row["error_interval"]
        table.add_row(
            row["agent"],
            f"{row['rewards_used']:,}",
            f"{row['error']:.3f} [{lo:.3f}, {hi:.3f}]",
            f"{row['simple_regret']:.3g}",
        )
    console.print(table)
    if len(exact["agents"]) > 1:
        first, second = exact["agents"]
        better = min(exact["agents"], key=lambda row: row["error"])["agent"]
        told = "neither errs less" if first["error"] == second["error"] else f"{better} errs less"
        console.print(
            f"{told}. noisy_max reads every stored reward, {first['agent']} only those that it "
            "would have collected.",
            highlight=False,
        )
    console.print(
        "All of the above was computed without privacy and is not for publication.\n",
        style="bold",
        highlight=False,
    )
    console.print(
        f"Released by {receipt['agent']}: arm [bold]{escape(found['released']['arm'])}[/], for "
        f"epsilon = {receipt['epsilon']:g}. Protected: {escape(receipt['protects'])}.",
        highlight=False,
    )
    if receipt["epsilon_spent"] is not None:
        total = receipt["epsilon_total"]
        of = "" if total is None else f" of {total:g}"
        console.print(
            f"Spent on this table: epsilon = {receipt['epsilon_spent']:g}{of}.", highlight=False
        )
    console.print(
        f"Not protected: {NOT_PROTECTED}. Noise: {receipt['generator']}. Every further run "
        "releases anew and spends epsilon again.",
        style="dim",
        highlight=False,
    )


# --- the command line ---------------------------------------------------------------------------

FLAGS = (
    "columns", "low", "high", "unit", "max_per_unit", "horizon", "replications", "seed", "ledger",
    "epsilon_total", "mechanism",
)  # fmt: skip
SPENDS = True  # something that cannot be had again


def command(
    path: str, agent: str, settings: dict[str, dict[str, Any]], progress: Any,
    max_per_unit: int | None = None, **flags: Any,
) -> dict[str, Any]:  # fmt: skip
    """The report on a table of rewards, and a release."""
    if max_per_unit is not None:
        if "unit" not in flags:
            raise ValueError("--max-per-unit needs --unit, the column that tells units apart")
        flags["most"] = max_per_unit
    refuse_others(settings, agent)
    return report(path, agent, progress=progress, **flags, **settings.get(agent, {}))
