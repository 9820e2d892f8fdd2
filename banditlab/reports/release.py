"""A real table of rewards, and the best arm named without betraying a reward or a person.

Two shapes of file: a column per arm (cells below an arm's last reward are blank), or a row per
reward with the columns ``action`` and ``reward``. Either may have a further column that says whose
reward it is. Then the person is protected, not the single reward: of each person at most so many
rewards are kept, and the noise is that many times as large.

Two figures of different kinds come out. How often an algorithm names the best arm of the table is
for the table's owner: it was computed without any privacy. The arm *released* is for the world: it
was drawn once, with noise from the system's cryptographic generator, and spends epsilon.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab import random, registry
from banditlab.compile import compiled
from banditlab.core import Task
from banditlab.privacy import release_arm
from banditlab.protocols import identify
from banditlab.reports import refuse_others
from banditlab.validate import integer, number

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

RELEASABLE = ("dp_bai", "dp_sequential_halving", "dp_uniform", "noisy_max")
REPLICATIONS = 1000
NOT_PROTECTED = (
    "which arms are rewarded by whom, and how often; rewards must not have been collected \
by a rule that looked at earlier ones"
)
GENERATOR = "the operating system's cryptographic generator, exact discrete Laplace noise"


class Ratings:
    """Rewards by arm, scaled to [0, 1], with what was done to get them there."""

    def __init__(
        self,
        path: str,
        low: float,
        high: float,
        unit: str | None,
        most: int,
        seed: int,
    ):
        import pandas as pd

        self.low, self.high = number("low", low), number("high", high)
        if not self.low < self.high or np.isinf(self.high - self.low):
            raise ValueError(f"--low must be below --high, got {low:g} and {high:g}")
        self.unit, self.most = unit, integer("--max-per-unit", most, 1)
        rows = _tidy(_frame(path), Path(path).name, unit)
        self.left_out = 0
        if unit is not None:
            # Which rewards of a person are kept may depend on who rewarded what, which is public,
            # and on no reward: hence not on the order of the rows.
            rows = rows.sort_values(["unit", "arm"], kind="stable")
            rows["draw"] = np.random.default_rng(seed).random(len(rows))
            kept = rows[rows.groupby("unit")["draw"].rank(method="first") <= self.most]
            self.left_out = len(rows) - len(kept)
            rows = kept
        values = rows["reward"].to_numpy(dtype=np.float64)
        outside = (values < self.low) | (values > self.high)
        for arm, all_outside in pd.Series(outside).groupby(rows["arm"].to_numpy()).all().items():
            if all_outside:
                raise ValueError(
                    f"{Path(path).name}: all rewards of arm {arm!r} are outside "
                    f"[{self.low:g}, {self.high:g}]: --low, --high, or is it the --unit?"
                )
        self.clamped = int(outside.sum())
        scaled = (np.clip(values, self.low, self.high) - self.low) / (self.high - self.low)
        self.arms = sorted(rows["arm"].unique(), key=_natural)
        self.rewards = [scaled[(rows["arm"] == arm).to_numpy()] for arm in self.arms]
        self.units = int(rows["unit"].nunique()) if unit is not None else len(rows)
        if len(self.arms) < 2:
            raise ValueError(f"{Path(path).name}: rewards of at least 2 arms are needed")

    @property
    def protects(self) -> str:
        """What privacy is promised to."""
        if self.unit is None:
            return "the value of a single reward (not a person: name their column with --unit)"
        many = "the reward" if self.most == 1 else f"the values of all {self.most} rewards"
        return f"{many} kept of a {self.unit}"


def _natural(arm: Any) -> tuple[bool, float, str]:
    """Numbers in their order, then words in theirs."""
    try:
        return (False, float(arm), "")
    except ValueError:
        return (True, 0.0, str(arm))


def _frame(path: str) -> pd.DataFrame:
    import pandas as pd

    file = Path(path)
    if file.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{file.name}: a table of rewards ends in .csv or .parquet")
    try:
        return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error
    except Exception as error:
        raise ValueError(f"{file.name}: {' '.join(str(error).split())}") from error


def _tidy(frame: pd.DataFrame, name: str, unit: str | None) -> pd.DataFrame:
    """A row per reward: arm, reward and, if there is one, unit."""
    import pandas as pd

    if unit is not None and unit not in frame.columns:
        raise ValueError(f"{name}: --unit: {registry.unknown('column', unit, frame.columns)}")
    who = frame[unit].to_numpy() if unit is not None else None
    if {"action", "reward"} <= set(frame.columns):
        if unit in ("action", "reward"):
            raise ValueError(f"{name}: --unit must tell persons apart, got {unit!r}")
        rows = pd.DataFrame({"arm": frame["action"], "reward": frame["reward"]})
        if who is not None:
            rows["unit"] = who
    elif "action" in frame.columns:
        raise ValueError(f"{name}: a file with a column 'action' needs a column 'reward'")
    else:
        parts = []
        for column in frame.columns.drop(unit) if unit is not None else frame.columns:
            part = pd.DataFrame({"arm": str(column), "reward": frame[column]})
            if who is not None:
                part["unit"] = who
            parts.append(part[part["reward"].notna()])
        rows = pd.concat(parts, ignore_index=True)
    rewards = pd.to_numeric(rows["reward"], errors="coerce").to_numpy(dtype=np.float64)
    for row in np.flatnonzero(~np.isfinite(rewards))[:1]:
        found = rows["reward"].iloc[row]
        raise ValueError(f"{name}: arm {rows['arm'].iloc[row]} has the reward {found!s}, no number")
    for column in ("arm", "unit"):
        if column in rows and rows[column].isna().any():
            raise ValueError(f"{name}: a reward has no {column}")
    return rows.assign(reward=rewards).reset_index(drop=True)


def report(
    path: str,
    name: str = "dp_bai",
    low: float = 0.0,
    high: float = 1.0,
    unit: str | None = None,
    most: int = 1,
    horizon: int | None = None,
    replications: int = REPLICATIONS,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
    **hyper: Any,
) -> dict[str, Any]:
    """Compare a private algorithm with ``noisy_max`` on a table, and release one arm.

    ``low`` and ``high`` are public bounds of a reward in its own unit; what lies outside is clamped
    and counted. ``unit`` is the column that tells persons apart, ``most`` the rewards kept of each.
    ``epsilon`` among the hyper-parameters is what one unit is promised. Plain data, ready for JSON.
    Raises ValueError, in one line, for whatever cannot be.
    """
    if name not in RELEASABLE:
        raise ValueError(f"--log: {registry.unknown('private agent', name, RELEASABLE)}")
    ratings = Ratings(path, low, high, unit, most, seed)
    epsilon = registry.make(name, **hyper).params.epsilon
    hyper = {key: value for key, value in hyper.items() if key != "epsilon"}
    if not np.isfinite(epsilon):
        raise ValueError(f"{name}: epsilon must be finite for a release, got {epsilon}")
    # Rounded down: the rewards of one person must not spend more than epsilon between them.
    each = epsilon if unit is None else float(np.nextafter(epsilon / ratings.most, 0.0))
    lengths = np.array([len(arm) for arm in ratings.rewards])
    shortest = int(lengths.min())
    pulls = shortest if horizon is None else integer("--horizon", horizon, 1)
    if pulls > shortest:
        raise ValueError(f"--horizon must be at most {shortest}, the rewards of the shortest arm")
    means = np.array([arm.mean() for arm in ratings.rewards])
    contenders = [(name, pulls, hyper)] if name != "noisy_max" else []
    contenders.append(("noisy_max", int(lengths.sum()), {"rows": lengths}))
    rows = []
    steps = len(contenders) + 1
    for done, (agent, budget, given) in enumerate(contenders):
        if progress is not None:
            progress(f"simulating {agent}", done, steps)
        errors, losses, used = _errors(
            ratings, agent, budget, replications, seed, {**given, "epsilon": each}
        )
        rows.append(
            {
                "agent": agent,
                "rewards_used": round(float(used.mean())),
                "error": float(errors.mean()),
                "error_interval": _interval(errors),
                "simple_regret": float(losses.mean() * (ratings.high - ratings.low)),
            }
        )
    budget, given = (
        (pulls, hyper) if name != "noisy_max" else (int(lengths.sum()), {"rows": lengths})
    )
    if progress is not None:
        progress(f"releasing by {name}", steps - 1, steps)
    published = release_arm(name, ratings.rewards, each, budget, **given)
    width = ratings.high - ratings.low
    order = np.argsort(-means)
    return {
        "log": Path(path).name,
        "not_private": {  # exact, or computed from what is exact: for the table's owner alone
            "rewards": int(lengths.sum()),
            "units": ratings.units,
            "clamped": ratings.clamped,
            "arms": [
                {
                    "arm": str(ratings.arms[k]),
                    "rewards": int(lengths[k]),
                    "mean": float(ratings.low + width * means[k]),
                }
                for k in order
            ],
            "replications": replications,
            "agents": rows,
        },
        "released": {
            "arm": str(ratings.arms[published.arm]),
            "means": [
                {"arm": str(ratings.arms[k]), "noisy_mean": ratings.low + width * value}
                for k, value in published.means
            ],
        },
        "receipt": {
            "agent": name,
            "epsilon": float(epsilon),
            "delta": 0.0,
            "protects": ratings.protects,
            "does_not_protect": NOT_PROTECTED,
            "unit": unit,
            "max_rewards_per_unit": ratings.most if unit is not None else None,
            "left_out": ratings.left_out,
            "epsilon_per_reward": float(each),
            "sensitivity_of_a_mean": "(high - low) / n for a mean of n rewards, per reward",
            "low": ratings.low,
            "high": ratings.high,
            "generator": GENERATOR,
            "spent": "each run releases anew and spends epsilon again; so does every choice of "
            "agent, epsilon or bounds that was made after a look at what is not private",
        },
    }


def _errors(
    ratings: Ratings, name: str, budget: int, replications: int, seed: int, hyper: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Error, simple regret and rewards used of every replication; right is a largest mean."""
    algorithm = registry.make(name, **hyper)
    problem = registry.make_problem("reward_table", rewards=ratings.rewards)
    task = Task(problem.shape[0], 1, 0, budget)
    if algorithm.check is not None:
        algorithm.check(task, np.zeros((1, 1)))
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
        f"arms, in [{receipt['low']:g}, {receipt['high']:g}], {exact['clamped']:,} clamped"
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
    console.print(
        f"Not protected: {NOT_PROTECTED}. Noise: {receipt['generator']}. Every further run "
        "releases anew and spends epsilon again.",
        style="dim",
        highlight=False,
    )


# --- the command line ---------------------------------------------------------------------------

FLAGS = ("low", "high", "unit", "max_per_unit", "horizon", "replications", "seed")
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
