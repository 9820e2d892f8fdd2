"""A table of returns: which policies to keep, what dominates the others, and how to choose at play.

One row per episode: ``policy``, ``condition`` (the attack it was tried under), ``return``. What can
be told of the means is told exactly; how far the means can be trusted, by the bootstrap.

The gap of a policy is what it gains, in the worst case for the others, on every mixture of the
other policies (:mod:`banditlab.robust.dominance`). A gap computed from means is biased, as a rule
upward: it is a maximum over attackers, and a maximum of noisy numbers is too large. (It is also a
minimum over mixtures, which pulls the other way, so that with a single condition it is too small.)
Resampling shows the bias; ``corrected`` takes it off, and the interval is the basic bootstrap's,
which does so too.

Then selectors play the policies that are kept, episode by episode, on returns drawn from the table,
while attackers come in blocks, or answer the selector. Their regret is to the best fixed policy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab import registry
from banditlab.agent import Agent
from banditlab.core import kernel
from banditlab.data.returns import Returns, read_returns
from banditlab.parts.policy_set import bounds
from banditlab.reports import refuse_others
from banditlab.reports.render import SHOWN, name, rest, sentences
from banditlab.robust.dominance import TOLERANCE, maximin, mix_gap
from banditlab.robust.games import mixed_gap
from banditlab.validate import integer

if TYPE_CHECKING:
    from rich.console import Console

HORIZON, REPLICATIONS = 2000, 100
DRAWS = 1000  # of the bootstrap, at most
AT_ONCE = 4_000_000  # episodes that are drawn again together
EPISODES = 5e8  # that are drawn again in all, where more than 50 draws would take more
LARGE, TOO_LARGE = 5e9, 1e12  # work of one gap of each: no intervals; no report
WORK = 2e8  # about what its linear programs may cost, in numbers touched
SELECTORS: tuple[dict[str, Any], ...] = (
    {"name": "exp3"},
    {"name": "exp3_ix"},
    {"name": "follow_leader"},
    {"name": "uniform"},
)
BIAS = (
    "a gap computed from means is biased, as a rule upward, for it is a maximum of noisy numbers; "
    "the corrected gap takes off the bias that resampling shows"
)


@kernel
def gaps(payoffs: np.ndarray, out: np.ndarray) -> None:
    """Fill ``out`` (n,) with the mixed gap of each row against all others."""
    n, m = payoffs.shape
    mix, attack = np.empty(n - 1), np.empty(m)
    members = np.empty(n - 1, np.int64)
    for i in range(n):
        for k in range(n - 1):
            members[k] = k if k < i else k + 1
        out[i] = mixed_gap(payoffs, i, members, n - 1, mix, attack)


def resampled_gaps(table: Returns, draws: int, seed: int) -> np.ndarray:
    """Gaps (draws, policies) of means of episodes drawn again within every cell."""
    rng = np.random.default_rng(seed)
    n, m = table.counts.shape
    sums = np.empty((draws, n * m))
    for cell in range(n * m):
        found = table.pool[table.offsets[cell] : table.offsets[cell + 1]]
        most = int(np.clip(AT_ONCE // found.size, 1, 100))  # not all at once: memory
        for first in range(0, draws, most):
            chosen = rng.integers(found.size, size=(min(most, draws - first), found.size))
            sums[first : first + most, cell] = found[chosen].mean(axis=1)
    out = np.empty((draws, n))
    for b in range(draws):
        gaps(sums[b].reshape(n, m), out[b])
    return out


def report(
    source: Any,
    seed: int = 0,
    *,
    columns: Mapping[str, str] | None = None,
    agent: str = "discover",
    low: float | None = None,
    high: float | None = None,
    horizon: int = HORIZON,
    replications: int = REPLICATIONS,
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **hyper: Any,
) -> dict[str, Any]:
    """What a table of returns says; plain data, ready for JSON.

    Parameters
    ----------
    source
        A file, a frame or whatever :mod:`banditlab.data.table` reads.
    columns
        The source's names of columns by ours, ``{"return": "score"}``.
    agent, hyper
        Who picks the set, ``discover``, and its hyper-parameters.
    low, high
        Returns outside are clipped; by default the least and the largest of the table.
    horizon, replications, seed, workers
        Of the selectors' play.

    Raises
    ------
    ValueError
        In one line, for whatever cannot be.
    """
    horizon, seed = integer("horizon", horizon, 1), integer("seed", seed, 0, 2**64 - 1)
    replications = integer("replications", replications, 1)
    table = read_returns(source, columns)
    n, m = table.counts.shape
    if _work(n, m) > TOO_LARGE:
        raise ValueError(
            f"{table.where or 'table'}: {n:,} policies by {m:,} conditions would take hours; at "
            "most about 700 by 700 do"
        )
    notes = list(table.notes)
    least, most = float(table.pool.min()), float(table.pool.max())
    if low is None and high is None and least == most:
        raise ValueError(f"{table.where or 'table'}: all returns are {least:g}")
    low, high = bounds(least if low is None else low, most if high is None else high)
    outside = int(((table.pool < low) | (table.pool > high)).sum())
    if outside:
        share = f"{outside:,} of {table.pool.size:,}"
        notes.append(f"{share} returns were clipped to [{low:g}, {high:g}]")
        table.pool = np.clip(table.pool, low, high)
        if table.pool.min() == table.pool.max():
            raise ValueError(f"low and high clip all returns, {least:g} to {most:g}, to one number")
    if not __name__.endswith(registry.report(agent, **hyper) or "?"):
        raise ValueError(f"{agent} picks no set of policies; discover does")
    picker: Any = Agent(agent, **hyper)
    found = picker.fit(table.means).state
    kept = [int(i) for i in found.kept]
    policies = _gaps(table, kept, seed, notes)
    rounding = TOLERANCE * float(np.ptp(table.means))
    if any(0.0 < row["gap"] <= rounding and row["dominated_by"] for row in policies):
        notes.append(f"differences of up to {rounding:.3g}, 1e-9 of the range, count as none")
    value, weights = maximin(table.means)
    terms = (low, high, horizon, replications, seed, workers)
    return {
        "log": table.where or None,
        "agent": agent,
        "rows": int(table.pool.size),
        "policies": list(table.policies),
        "conditions": list(table.conditions),
        "clean": table.conditions[0],
        "means": table.means.tolist(),
        "episodes": table.counts.tolist(),
        "low": low,
        "high": high,
        "order": [table.policies[i] for i in found.members],
        "gaps_of_set": [float(gap) for gap in found.gaps],
        "kept": [table.policies[i] for i in kept],
        "gaps": policies,
        "guarantee": {"value": value, "mixture": _mixture(table, range(len(weights)), weights)},
        "horizon": horizon,
        "replications": replications,
        "selectors": _played(table, kept, *terms, progress),
        "notes": notes,
        "bias": BIAS,
    }


def _work(n: int, m: int) -> float:
    """About how many numbers the linear programs of all policies touch: 1e10 a second or two."""
    return float(n) * m * (n + m) ** 2


def _gaps(table: Returns, kept: list[int], seed: int, notes: list[str]) -> list[dict[str, Any]]:
    """The gap of each policy: against all others, and for who is left out, what dominates it."""
    n, m = table.counts.shape
    affordable = min(WORK / (n * m * n * (m + n)), EPISODES / table.pool.size)
    draws = int(np.clip(affordable, 50, DRAWS))
    tried = int(table.counts.min())
    if tried < 2:
        notes.append("some policy was tried only once under some condition: no intervals")
    large = _work(n, m) > LARGE
    if large:
        notes.append(f"{n:,} policies by {m:,} conditions are too many for intervals")
    drawn = None if tried < 2 or large else resampled_gaps(table, draws, seed)
    rows, short, rounding = [], [], TOLERANCE * float(np.ptp(table.means))
    for i in range(n):
        others = [k for k in range(n) if k != i]
        gap = mix_gap(table.means, i, others)
        row: dict[str, Any] = {
            "policy": table.policies[i], "kept": i in kept, "gap": gap.value,
            "natural": float(table.means[i, 0]), "worst": float(table.means[i].min()),
            "corrected": None, "lo": None, "hi": None, "dominated_by": [],
        }  # fmt: skip
        if i not in kept:
            proof = mix_gap(table.means, i, kept)
            if proof.value <= rounding:
                row["dominated_by"] = _mixture(table, kept, proof.weights)
            else:
                short.append(table.policies[i])
        if drawn is not None:
            low, high = np.quantile(drawn[:, i], [0.025, 0.975])
            row["corrected"] = float(2.0 * gap.value - drawn[:, i].mean())
            row["lo"], row["hi"] = float(2.0 * gap.value - high), float(2.0 * gap.value - low)
        rows.append(row)
    if short:
        notes.append(f"left out, and yet no mixture of those kept is as good: {_first(short)}")
    return rows


def _first(names: list[Any]) -> str:
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    return ", ".join(str(policy) for policy in names[:5]) + more


def _mixture(table: Returns, members: Any, weights: np.ndarray) -> list[dict[str, Any]]:
    found = sorted(zip(weights, members, strict=True), key=lambda pair: (-pair[0], pair[1]))
    return [{"policy": table.policies[k], "weight": float(w)} for w, k in found if w > 1e-9]


def _played(
    table: Returns,
    kept: list[int],
    low: float,
    high: float,
    horizon: int,
    replications: int,
    seed: int,
    workers: int | None,
    progress: Callable[[str, int, int], None] | None,
) -> list[dict[str, Any]]:
    """Regret of selectors among the policies that are kept."""
    from banditlab.arena.simulate import simulate
    from banditlab.statistics import t_interval

    n, m = table.counts.shape
    if len(kept) < 2:
        return []
    cells = [found.tolist() for found in np.split(table.pool, table.offsets[1:-1])]
    problem = {
        "name": "return_pool", "pool": [cells[i * m : (i + 1) * m] for i in kept],
        "low": low, "high": high,
    }  # fmt: skip
    schedules: dict[str, dict[str, Any]] = {
        "in blocks": {"schedule": "cycle", "block": max(1, horizon // 10)},
        "adaptive": {"schedule": "adaptive"},
    }
    panels = [{"name": k, "problem": {**problem, **v}} for k, v in schedules.items()]
    arena = {
        "name": "returns", "protocol": "policies", "panels": panels, "agents": list(SELECTORS),
        "horizon": horizon, "replications": replications, "seed": seed, "checkpoints": [horizon],
    }  # fmt: skip
    curves = simulate(arena, workers=workers, progress=progress)
    rows = []
    for panel in schedules:
        for entry in SELECTORS:
            selector = entry["name"]
            lost = (high - low) * curves.at(horizon, selector, "regret", panel) / horizon
            interval = t_interval(lost[:, None])
            half = float(interval.hi[0] - interval.mean[0]) if len(lost) > 1 else None
            rows.append(
                {
                    "attackers": panel,
                    "selector": selector,
                    "regret_per_episode": float(lost.mean()),
                    "half_width": half,
                    "return": float(curves.at(horizon, selector, "return", panel).mean()),
                }
            )
    return rows


def render(found: dict[str, Any], console: Console) -> None:
    """Print a report as tables and what follows from them."""
    from rich.table import Table

    def short(value: float) -> str:
        return _short(value if abs(value) > TOLERANCE * (found["high"] - found["low"]) else 0.0)

    console.print(
        f"[bold]{name(found['log'] or 'returns')}[/]: {found['rows']:,} episodes of "
        f"{len(found['policies'])} policies under {len(found['conditions'])} conditions; "
        f"no attack is {name(found['clean'])}",
        highlight=False,
    )
    table = Table(title="Gap to the best mixture of the others", title_justify="left")
    table.add_column("policy")
    for heading in ("no attack", "worst", "gap", "corrected (95%)"):
        table.add_column(heading, justify="right")
    table.add_column("dominated by")
    for row in found["gaps"][:SHOWN]:
        table.add_row(
            name(row["policy"]), short(row["natural"]), short(row["worst"]), short(row["gap"]),
            "" if row["corrected"] is None else
            f"{short(row['corrected'])} ({short(row['lo'])} to {short(row['hi'])})",
            _listed(row["dominated_by"]), style="bold" if row["kept"] else "",
        )  # fmt: skip
    console.print(table)
    rest(len(found["gaps"]), "policies", console)
    listed = ", ".join(name(policy) for policy in found["kept"])
    console.print(
        f"Keep [bold]{listed}[/]: none of these is dominated by a mixture of the others.",
        highlight=False,
    )
    mixture = _listed(found["guarantee"]["mixture"])
    console.print(
        f"Whatever comes, drawn anew each episode, {mixture} earns "
        f"{short(found['guarantee']['value'])} on average.",
        highlight=False,
    )
    if found["selectors"]:
        title = f"Choosing among those kept, {found['horizon']:,} episodes"
        played = Table(title=title, title_justify="left")
        played.add_column("attackers")
        played.add_column("selector")
        for heading in ("mean return", "regret an episode (95%)"):
            played.add_column(heading, justify="right")
        for row in found["selectors"]:
            half = "" if row["half_width"] is None else f" ± {short(row['half_width'])}"
            played.add_row(
                row["attackers"], row["selector"], short(row["return"]),
                f"{short(row['regret_per_episode'])}{half}",
            )  # fmt: skip
        console.print(played)
    else:
        console.print("One policy is the best everywhere: there is nothing to choose.")
    sentences([*found["notes"], found["bias"]], console)


def _listed(mixture: list[dict[str, Any]]) -> str:
    return ", ".join(f"{part['weight']:.2f} {name(part['policy'])}" for part in mixture)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


# --- the command line ---------------------------------------------------------------------------

FLAGS = ("columns", "low", "high", "horizon", "replications", "seed", "workers")
SPENDS = False


def command(
    path: str, agent: str, settings: dict[str, dict[str, Any]], progress: Any, **flags: Any
) -> dict[str, Any]:
    """The report on a file of returns."""
    refuse_others(settings, agent)
    return report(path, agent=agent, progress=progress, **flags, **settings.get(agent, {}))
