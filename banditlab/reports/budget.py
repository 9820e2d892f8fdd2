"""A file of losses: what playing it would have cost, and how many observations are worth buying.

One column per arm, one row per round. All money is in the unit of the losses: a switch costs
``price``, an observation ``look_price``. The losses are replayed in order, once for every budget of
a grid, and the cheapest budget is named; beside it stands the budget that a guarantee recommends,
which holds for any losses and knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab import registry
from banditlab.data.table import read_table, where_of
from banditlab.protocols.observe import Losses
from banditlab.reports import refuse_others
from banditlab.reports.render import name as shown
from banditlab.validate import integer, nonnegative, positive

if TYPE_CHECKING:
    from rich.console import Console

REPLICATIONS = 100


def worst_case(n_arms: int, horizon: int, budget: Any, price: float = 1.0) -> np.ndarray:
    """What ``batched_omd`` with feedback "flex" loses at most, switches paid, per ``budget``.

    With samples of m = ceil(B / T) arms, N = B / m batches of at most tau = ceil(T / N) rounds, the
    rate eta of ``batched_omd`` and the price c of a switch, for K arms and T rounds::

        tau ln(K) / eta + eta N (tau K / (2 m) + c)
    """
    B = np.asarray(budget, dtype=np.int64)
    sample = np.clip(-(-B // horizon), 1, n_arms)
    batches = np.clip(B // sample, 1, horizon)
    longest = -(-horizon // batches)
    cost = n_arms / 2.0 + price * sample * batches / horizon
    eta = np.sqrt(sample * np.log(n_arms) / (batches * cost))
    stretch = longest * n_arms / (2.0 * sample) + price
    return np.asarray(longest * np.log(n_arms) / eta + eta * batches * stretch)


def plan_budget(
    n_arms: int, horizon: int, look_price: float, price: float = 1.0
) -> tuple[int, float]:
    """The budget of observations that the guarantee recommends, and what it then promises to cost.

    It minimises ``worst_case`` plus ``look_price`` times the budget, over the budgets of batches as
    equal as can be: where much fewer than all rounds are looked at, near
    (T sqrt(K ln K / 2) / look_price)^(2/3). Prices are in units of the largest loss. 0 when no
    budget is worth its price: any arm, kept, costs at most ``horizon``.

    Raises ValueError for less than 2 arms, 1 round or a ``price`` of 0, or ``look_price`` <= 0.

    >>> plan_budget(n_arms=2, horizon=100_000, look_price=1.0)
    (1887, 5757.0)
    """
    n_arms, horizon = integer("n_arms", n_arms, 2), integer("horizon", horizon, 1)
    look_price, price = positive("look_price", look_price), nonnegative("price", price)
    lengths = np.unique(np.geomspace(1, horizon, 4000).astype(np.int64))
    samples = horizon * np.arange(1, n_arms + 1)
    budgets = np.unique(np.concatenate([-(-horizon // lengths), samples]))
    costs = worst_case(n_arms, horizon, budgets, price) + look_price * budgets
    best = int(costs.argmin())
    if costs[best] >= horizon:
        return 0, float(horizon)
    return int(budgets[best]), float(np.ceil(costs[best]))


def report(
    path: Any,
    name: str = "batched_omd",
    low: float = 0.0,
    high: float = 1.0,
    price: float = 1.0,
    look_price: float = 0.0,
    budget: int | None = None,
    extra: bool = False,
    horizon: int | None = None,
    replications: int = REPLICATIONS,
    seed: int = 0,
    workers: int | None = None,
    columns: Mapping[str, str] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **hyper: Any,
) -> dict[str, Any]:
    """What ``name`` pays on the losses in a file, for each budget; plain data, ready for JSON.

    ``path`` may also be a frame, or whatever else :mod:`banditlab.data.table` reads.

    ``low`` and ``high`` bound a loss, ``price`` and ``look_price`` are in its unit. A ``budget``
    replaces the grid. ``extra``: the loss of the arm played is shown for free. The first
    ``horizon`` rows are played, by default all. Where not every column is an arm, ``columns`` says
    which are, by names of one's own: ``{"left": "route_7"}``. Raises ValueError, in one line, for
    whatever cannot be.
    """
    from banditlab.arena.simulate import simulate
    from banditlab.statistics import t_interval

    price, look_price = nonnegative("price", price), nonnegative("look_price", look_price)
    ours = tuple(columns or ())
    table = read_table(
        path, "table of losses", columns=columns, known=ours, required=ours, every=not columns
    )
    losses = registry.make_problem("loss_table", losses=table, low=low, high=high)
    n_arms, width = losses.shape[0], losses.params.high - losses.params.low
    rounds = losses.supply if horizon is None else integer("--horizon", horizon, 1)
    if rounds > losses.supply:
        raise ValueError(
            f"--horizon must be at most {losses.supply}, the rows of {table.where or 'the table'}"
        )
    problem = {
        "name": "loss_table", "losses": losses.params.losses.tolist(), "low": losses.params.low,
        "high": losses.params.high, "price": price / width, "look_price": look_price / width,
        "extra": bool(extra),
    }  # fmt: skip
    budgets = [integer("budget", budget, 0)] if budget is not None else _grid(
        name, hyper, losses, rounds, price / width, bool(extra))  # fmt: skip
    agents = [{"name": name, **hyper}]
    arena = {
        "name": "losses", "protocol": "observe", "problem": problem, "agents": agents,
        "horizon": rounds, "replications": replications, "seed": seed, "checkpoints": [rounds],
        "x": "problem.budget", "sweep": {"problem.budget": budgets},
    }  # fmt: skip
    curves = simulate(arena, workers=workers, progress=progress)
    best = losses.params.losses[:rounds].sum(axis=0)
    rows: list[dict[str, Any]] = []
    for i, bought in enumerate(budgets):
        lost, switches, looks = (
            curves.raw(name, measure)[:, i]
            for measure in ("loss_regret", "switches", "observations")
        )
        extra_cost = width * lost + price * switches + look_price * looks
        interval = t_interval(extra_cost[:, None])
        half = float(interval.hi[0] - interval.mean[0]) if len(extra_cost) > 1 else None
        rows.append(
            {
                "budget": bought,
                "observations": float(looks.mean()),
                "switches": float(switches.mean()),
                "loss": float(width * lost.mean() + best.min()),
                "fees": float(price * switches.mean() + look_price * looks.mean()),
                "regret": float(extra_cost.mean()),
                "half_width": half,
            }
        )
    cheapest = min(rows, key=lambda row: row["regret"])
    advice = None
    if look_price > 0 and rounds > 1:
        advised, promised = plan_budget(n_arms, rounds, look_price / width, price / width)
        advice = {"budget": advised, "at_most": promised * width}
    return {
        "log": where_of(path) or None,
        "agent": name,
        "rounds": rounds,
        "n_arms": n_arms,
        "low": losses.params.low,
        "high": losses.params.high,
        "price": price,
        "look_price": look_price,
        "extra": bool(extra),
        "replications": replications,
        "best_arm": table.names[int(best.argmin())],
        "best_arm_loss": float(best.min()),
        "never_switch_regret": float(best.mean() - best.min()),  # of an arm drawn evenly
        "budgets": rows,
        "cheapest": cheapest["budget"],
        "guarantee": advice,
    }


def _grid(
    name: str, hyper: dict[str, Any], losses: Losses, rounds: int, price: float, extra: bool
) -> list[int]:
    """Budgets four to a decade that the agent can use, up to every loss of every round."""
    most = losses.shape[0] * rounds
    algorithm: Any = registry.make(name, **hyper)
    budgets = sorted({*np.geomspace(1, most, 1 + int(4 * np.log10(most))).astype(int).tolist()})
    if getattr(algorithm, "check", None) is None:
        return budgets
    from banditlab.core import Task

    able, said = [], ""
    for B in budgets:
        task = Task(losses.shape[0], 1, 0, rounds, B, price)
        try:
            algorithm.check(task, losses._replace(budget=B, price=price, extra=extra))
            able.append(B)
        except ValueError as error:
            said = str(error)
    if not able:
        raise ValueError(f"{name}: {said}")
    return able


def render(found: dict[str, Any], console: Console) -> None:
    """Print a report as a table and what follows from it."""
    from rich.table import Table

    console.print(
        f"[bold]{shown(found['log'] or 'losses')}[/]: {found['rounds']:,} rounds of "
        f"{found['n_arms']} arms; a switch costs {found['price']:g}, "
        f"an observation {found['look_price']:g}"
        + (", that of the arm played nothing" if found["extra"] else ""),
        highlight=False,
    )
    title = f"{found['agent']}, {found['replications']:,} replications"
    table = Table(title=title, title_justify="left")
    for heading in ("budget", "observations", "switches", "losses", "fees", "regret (95%)"):
        table.add_column(heading, justify="right")
    for row in found["budgets"]:
        half = "" if row["half_width"] is None else f" ± {_money(row['half_width'])}"
        table.add_row(
            f"{row['budget']:,}",
            f"{row['observations']:,.0f}",
            f"{row['switches']:,.1f}",
            _money(row["loss"]),
            _money(row["fees"]),
            f"{_money(row['regret'])}{half}",
            style="bold" if row["budget"] == found["cheapest"] else "",
        )
    console.print(table)
    console.print(
        f"Always arm {shown(found['best_arm'])}, the best in hindsight, loses "
        f"{_money(found['best_arm_loss'])}; regret is what is paid beyond that, fees included.",
        highlight=False,
    )
    cheapest = next(row for row in found["budgets"] if row["budget"] == found["cheapest"])
    kept, half = found["never_switch_regret"], cheapest["half_width"]
    told = f"On these losses a budget of [bold]{found['cheapest']:,}[/] is cheapest"
    if half is not None:  # one replication proves nothing
        verdict = "worth buying" if cheapest["regret"] + half < kept else "not clearly worth buying"
        told += f", and {verdict}: an arm drawn at random and kept has a regret of {_money(kept)}"
    console.print(told + ".", highlight=False)
    if found["guarantee"] is not None:
        advised, most = found["guarantee"]["budget"], found["guarantee"]["at_most"]
        console.print(
            "For losses not known beforehand the guarantee of batched_omd with feedback flex "
            f"recommends {advised:,}: a regret of at most {_money(most)}, whatever they are."
            if advised
            else "For losses not known beforehand no budget is worth its price by the guarantee.",
            highlight=False,
        )


def _money(value: float) -> str:
    return f"{value:,.{0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2}f}"


# --- the command line ---------------------------------------------------------------------------

FLAGS = ("low", "high", "horizon", "replications", "seed", "workers", "columns")
SPENDS = False
TERMS = ("price", "look_price", "budget", "extra")


def command(
    path: str, agent: str, settings: dict[str, dict[str, Any]], progress: Any, **flags: Any
) -> dict[str, Any]:
    """The report on a file of losses."""
    terms = settings.pop("problem", {})
    for key in terms:
        if key not in TERMS:
            raise ValueError(f"--set: problem: {registry.unknown('argument', key, TERMS)}")
    refuse_others(settings, agent)
    return report(path, agent, progress=progress, **terms, **flags, **settings.get(agent, {}))
