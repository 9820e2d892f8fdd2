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

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab import random, registry
from banditlab.check import integer, number
from banditlab.compile import compiled
from banditlab.core import Task
from banditlab.privacy import release_arm
from banditlab.protocols import identify

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

RELEASABLE = ("dp_bai", "dp_sequential_halving", "dp_uniform", "noisy_max")
REPLICATIONS = 1000
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
        self.low, self.high = number("low", low), number("high", high)
        if not self.low < self.high:
            raise ValueError(f"--low must be below --high, got {low:g} and {high:g}")
        self.unit, self.most = unit, integer("--max-per-unit", most, 1)
        rows = _tidy(_frame(path), Path(path).name, unit)
        self.left_out = 0
        if unit is not None:
            # At random, for the rows' order may tell; by a seed, for the choice is no secret: it
            # does not depend on the rewards.
            shuffled = rows.sample(frac=1.0, random_state=seed)
            kept = shuffled[shuffled.groupby("unit").cumcount() < self.most].sort_index()
            self.left_out = len(rows) - len(kept)
            rows = kept
        values = rows["reward"].to_numpy(dtype=np.float64)
        self.clamped = int(((values < self.low) | (values > self.high)).sum())
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
            return "a single reward (not a person: name their column with --unit)"
        rewards = "reward" if self.most == 1 else "rewards"
        return f"a {self.unit} with all {self.most} {rewards} that are kept"


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
    if {"action", "reward"} <= set(frame.columns):
        rows = frame.rename(columns={"action": "arm"})
        rows = rows.rename(columns={unit: "unit"}) if unit else rows
        rows = rows[["arm", "reward", *(["unit"] if unit else [])]]
    else:
        rows = frame.rename(columns={unit: "unit"}) if unit else frame
        arms = [column for column in rows.columns if column != "unit"]
        rows = rows.melt(["unit"] if unit else None, arms, "arm", "reward")
        rows = rows[rows["reward"].notna()]
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
    each = epsilon / (ratings.most if unit is not None else 1)
    lengths = np.array([len(arm) for arm in ratings.rewards])
    shortest = int(lengths.min())
    pulls = shortest if horizon is None else integer("--horizon", horizon, 1)
    if pulls > shortest:
        raise ValueError(f"--horizon must be at most {shortest}, the rewards of the shortest arm")
    means = np.array([arm.mean() for arm in ratings.rewards])
    contenders = [(name, pulls, hyper)] if name != "noisy_max" else []
    contenders.append(("noisy_max", int(lengths.sum()), {"rows": lengths}))
    rows = []
    for agent, budget, given in contenders:
        errors, losses = _errors(
            ratings, agent, budget, replications, seed, {**given, "epsilon": each}
        )
        rows.append(
            {
                "agent": agent,
                "rewards_used": budget,
                "error": float(errors.mean()),
                "error_interval": _interval(errors),
                "simple_regret": float(losses.mean() * (ratings.high - ratings.low)),
            }
        )
    budget, given = (
        (pulls, hyper) if name != "noisy_max" else (int(lengths.sum()), {"rows": lengths})
    )
    published = release_arm(name, ratings.rewards, each, budget, **given)
    width = ratings.high - ratings.low
    order = np.argsort(-means)
    return {
        "log": Path(path).name,
        "rewards": int(lengths.sum()),
        "units": ratings.units,
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
            "unit": unit,
            "max_rewards_per_unit": ratings.most if unit is not None else None,
            "epsilon_per_reward": float(each),
            "neighbours": "tables that differ in the values of the rewards of one such unit; which "
            "arms it rewarded, and how often, is public",
            "sensitivity_of_a_mean": "(high - low) / n for a mean of n rewards, per reward",
            "low": ratings.low,
            "high": ratings.high,
            "clamped": ratings.clamped,
            "left_out": ratings.left_out,
            "generator": GENERATOR,
        },
    }


def _errors(
    ratings: Ratings, name: str, budget: int, replications: int, seed: int, hyper: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Error and simple regret of every replication: an arm is right that has the largest mean."""
    algorithm = registry.make(name, **hyper)
    problem = registry.make_problem("reward_table", rewards=ratings.rewards)
    task = Task(problem.shape[0], 1, 0, budget)
    if algorithm.check is not None:
        algorithm.check(task, np.zeros((1, 1)))
    record = np.zeros((replications, 1, len(identify.MEASURES)))
    points = np.array([budget], dtype=np.int64)
    args = (task, random.key(seed), 0, 0, points, np.zeros(2, np.int64), record)
    with np.errstate(all="ignore"):
        compiled(identify.run_block, (algorithm, problem), args)(*args)
    return record[:, 0, 0], record[:, 0, 1]


def _interval(errors: np.ndarray) -> list[float]:
    from banditlab.arena.statistics import clopper_pearson

    lo, hi = clopper_pearson(errors.sum().round(), len(errors))
    return [float(lo), float(hi)]


def render(found: dict[str, Any], console: Console) -> None:
    """Print a report as tables."""
    from rich.markup import escape
    from rich.table import Table

    receipt = found["receipt"]
    console.print(
        f"[bold]{escape(found['log'])}[/]: {found['rewards']:,} rewards of {len(found['arms'])} "
        f"arms, in [{receipt['low']:g}, {receipt['high']:g}], {receipt['clamped']:,} clamped"
        + (f", {receipt['left_out']:,} beyond the cap left out" if receipt["unit"] else ""),
        highlight=False,
    )
    console.print("The table itself, which is not for publication:")
    table = Table("arm")
    for title in ("rewards", "mean"):
        table.add_column(title, justify="right")
    for row in found["arms"][:10]:
        table.add_row(escape(row["arm"]), f"{row['rewards']:,}", f"{row['mean']:.4g}")
    console.print(table)
    if len(found["arms"]) > 10:
        console.print(f"and {len(found['arms']) - 10} more arms", style="dim")
    title = f"epsilon = {receipt['epsilon']:g}, {found['replications']:,} replications"
    table = Table("agent", title=title, title_justify="left")
    for heading in ("rewards used", "error (95%)", "simple regret"):
        table.add_column(heading, justify="right")
    for row in found["agents"]:
        lo, hi = row["error_interval"]
        table.add_row(
            row["agent"],
            f"{row['rewards_used']:,}",
            f"{row['error']:.3f} [{lo:.3f}, {hi:.3f}]",
            f"{row['simple_regret']:.3g}",
        )
    console.print(table)
    if len(found["agents"]) > 1:
        first, second = found["agents"]
        better = min(found["agents"], key=lambda row: row["error"])["agent"]
        told = "neither errs less" if first["error"] == second["error"] else f"{better} errs less"
        console.print(
            f"{told}. noisy_max reads every stored reward, {first['agent']} only those that it "
            "would have collected.",
            highlight=False,
        )
    console.print(
        f"Released by {receipt['agent']}: arm [bold]{escape(found['released']['arm'])}[/], for "
        f"epsilon = {receipt['epsilon']:g}. Protected: {escape(receipt['protects'])}.",
        highlight=False,
    )
    console.print(
        f"Noise: {receipt['generator']}. Every further run releases anew and spends epsilon again.",
        style="dim",
        highlight=False,
    )
