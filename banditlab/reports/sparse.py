"""A log with features: which of them matter, how stable that is, and how wrong the model is.

Rows hold a ``reward`` and ``x_...``, the features of what was played; ``action`` names it, if it
has a name. Rows of one action and equal features are repetitions: their scatter is noise, and what
is left of their mean beside the best fit by few features is misspecification, which no repetition
averages out. :func:`report` finds

* the s features of the best fit (:mod:`banditlab.parts.sparse_fit`), s by the extended BIC over the
  distinct rows if it is not given, and how often each is found in one half of them;
* eps, the largest error of the best fit by these features at the log's rows, with an interval that
  allows for the noise;
* whether the price of this eps is smaller for least squares on all d features or for a fit by s:
  by the theory, sqrt(d) eps against s eps / kappa, constants left out, and for the rows of the log,
  where the factor by which a misspecification can grow is known exactly.

What is noise and what is not cannot be told without repetitions or ``--sigma``; then only the
largest residual is reported, which is of both. One file, though long: a third of it checks what a
user's file may hold, a third prints, and both name what is found in between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab.data.table import named, read_table, where_of
from banditlab.data.values import ids, numbers
from banditlab.parts import sparse_fit
from banditlab.registry import unknown
from banditlab.reports import refuse_others
from banditlab.reports.render import SHOWN, name, percent, rest, sentences
from banditlab.validate import inside, integer, nonnegative

if TYPE_CHECKING:
    from rich.console import Console

MOST = 20  # features of the best fit, unless more are asked for
LEVELS = 30  # of the Lasso path that proposes supports
WORK = 2e9  # rows times features squared, of all halves
UNSURE = 0.6  # a feature found in fewer halves is doubtful
WIDEST = 5000  # columns: their products are kept, and a minute is enough
LARGEST = 1e50  # size of rewards and features: squares of products must be numbers
DEPENDENT = 0.05  # an eigenvalue below which features are no good ones
OWN = ("s", "eps", "sigma", "delta")  # hyper-parameters of sparse_commit that are read


def report(
    source: Any,
    seed: int = 0,
    *,
    columns: Mapping[str, str] | None = None,
    s: int | None = None,
    sigma: float | None = None,
    eps: float = 0.0,
    delta: float = 0.05,
) -> dict[str, Any]:
    """Which features matter in a log, and how wrong they are; plain data, ready for JSON.

    Parameters
    ----------
    source
        A file, a frame, a dictionary of arrays: whatever :mod:`banditlab.data.table` reads.
    seed
        Decides the halves of the rows.
    columns
        The source's names of columns by ours, ``{"reward": "click"}``.
    s
        How many features matter, at least 1; None to have it chosen.
    sigma
        Standard deviation of the rewards, at least 0; None to have it estimated from repetitions.
    eps
        A misspecification that was assumed; a warning is given where the log contradicts it.
    delta
        The interval's failure probability, in (0, 1).

    Raises
    ------
    ValueError
        In one line, for a log or an argument that cannot be.
    """
    delta, eps = inside("delta", delta, 0.0, 1.0), nonnegative("eps", eps)
    seed = integer("seed", seed, 0)
    where = where_of(source)
    table = read_table(
        source, "log", columns=columns, known=("action", "reward"), required=("reward",),
        prefix="x_",
    )  # fmt: skip
    with named(where):
        notes = list(table.notes)
        labels = [title for title in table.names if title not in ("action", "reward")]
        if not labels:
            raise ValueError("the log has no columns x_*, the features that sparse_commit needs")
        if len(labels) > WIDEST:
            raise ValueError(
                f"the log has {len(labels):,} columns x_*; at most {WIDEST:,} can be fitted: leave "
                "out those that hardly vary"
            )
        reward = numbers("reward", table["reward"], notes=notes)
        x = np.stack([numbers(title, table[title], notes=notes) for title in labels], axis=1)
        if not len(reward):
            raise ValueError("the log is empty")
        if not x.any():
            raise ValueError("the features are 0 in every row")
        for title, values in (("reward", reward), *zip(labels, x.T, strict=True)):
            _of_a_size(title, values)
        action, actions = (
            ids("action", table["action"], notes)
            if "action" in table
            else (np.zeros(len(reward), np.int64), (None,))
        )
        if s is not None:
            s = integer("s", s, 1, x.shape[1])
    rows, pulls, means, who, within, freedom = _distinct(x, reward, action)
    known = nonnegative("sigma", sigma) if sigma is not None else None
    if known is not None:
        _of_a_size("sigma", known)
    noise = known if known is not None else math.sqrt(within / freedom) if freedom > 0 else None
    df = math.inf if known is not None else float(freedom)

    weights, found, chosen = _fitted(rows, means, pulls, noise, s)
    sums = sparse_fit.Sums.of(rows, means, weights)
    theta = sums.fit(found)
    wrong = None
    if noise is not None:
        wrong = sparse_fit.misspecification(rows[:, found], means, pulls, noise, df, delta)
    residual = sparse_fit.minimax(rows[:, found], means, np.zeros(len(means)))[0]
    draws = int(np.clip(WORK / (rows.size * rows.shape[1]), 20, 100))
    often = np.zeros(rows.shape[1])
    if found and len(rows) >= 4:
        often = sparse_fit.frequencies(rows, means, weights, len(found), draws, seed)
    predicted = rows @ theta
    best = int(predicted.argmax())
    dim = rows.shape[1]
    bounds, smaller = _prices(rows, weights, found, wrong.value if wrong else None)
    result = {
        "log": where or None,
        "rows": len(reward),
        "distinct_rows": len(rows),
        "dim": dim,
        "s": len(found),
        "s_chosen_by": chosen,
        "exhaustive": sparse_fit.is_exhaustive(dim, len(found)),
        "sigma": noise,
        "sigma_from": "given" if known is not None else _repetitions(freedom),
        "support": [
            {"feature": labels[j], "coefficient": float(theta[j]), "frequency": float(often[j])}
            for j in sorted(found, key=lambda j: -abs(theta[j]))
        ],
        "rivals": [
            {"feature": labels[j], "frequency": float(often[j])}
            for j in np.argsort(-often, kind="stable")
            if j not in found and often[j] >= 0.25
        ],
        "eps": None if wrong is None else wrong._asdict(),
        "confidence": 1.0 - delta,
        "largest_residual": residual,
        "arm": {
            "action": actions[who[best]],
            "row": int(np.flatnonzero((x == rows[best]).all(axis=1) & (action == who[best]))[0]),
            "predicted": float(predicted[best]),
        },
        "prices": bounds,
        "smaller": smaller,
        "notes": notes,
    }
    notes += _doubts(result, eps)
    if known is None and noise:
        notes += _copies(x, reward, action)
    return result


def _repetitions(freedom: int) -> str:
    return f"{freedom} repetition{'' if freedom == 1 else 's'}" if freedom else ""


def _of_a_size(title: str, values: Any) -> None:
    """Refuse numbers so large or so small that sums of their products are none."""
    most = float(np.abs(values).max())
    if most > LARGEST or 0.0 < most < 1.0 / LARGEST:
        raise ValueError(
            f"{title} is up to {most:.3g} in size; allowed are 0 and {1 / LARGEST:g} to "
            f"{LARGEST:g}: take other units"
        )


def _copies(x: np.ndarray, reward: np.ndarray, action: np.ndarray) -> list[str]:
    """What to say where rows equal others in everything though their rewards are no counts."""
    rows = np.unique(np.column_stack([action, x + 0.0, reward]), axis=0)
    copies = len(reward) - len(rows)
    if not copies or 2 * len(np.unique(reward)) < len(rows):
        return []
    return [
        f"{copies} of the rows equal another in action, features and reward: if they are copies "
        "and not repetitions, sigma is understated, and eps overstated"
    ]


def _distinct(x: np.ndarray, reward: np.ndarray, action: np.ndarray) -> tuple[Any, ...]:
    """Distinct rows, how often each was seen, mean reward, action; scatter within, and freedom."""
    keyed = np.column_stack([action, x + 0.0])  # + 0.0: -0.0 is 0.0
    rows, place, pulls = np.unique(keyed, axis=0, return_inverse=True, return_counts=True)
    place = place.reshape(-1)
    means = np.bincount(place, reward) / pulls
    low, high = np.full(len(rows), np.inf), np.full(len(rows), -np.inf)
    np.minimum.at(low, place, reward)
    np.maximum.at(high, place, reward)
    means = np.where(low == high, low, means)  # no rounding error counts as noise
    within = float(((reward - means[place]) ** 2).sum())
    return (
        np.ascontiguousarray(rows[:, 1:]), pulls, means, rows[:, 0].astype(np.int64), within,
        len(reward) - len(rows),
    )  # fmt: skip


def _fitted(
    rows: np.ndarray, means: np.ndarray, pulls: np.ndarray, noise: float | None, s: int | None
) -> tuple[np.ndarray, list[int], str]:
    """Weights of the distinct rows, the support, and how its size was chosen.

    A mean of n rewards has the variance tau^2 + sigma^2 / n, tau^2 for the misspecification:
    estimated by a first fit with equal weights.
    """
    n, dim = rows.shape
    scale = np.sqrt((rows**2).mean(axis=0))
    unit = rows / np.where(scale > 0, scale, 1.0)
    top = float(np.abs(unit.T @ means).max()) / n
    levels = top * np.geomspace(0.95, 0.01, LEVELS)
    path = sparse_fit.lasso_path(unit, means, levels, 1e-7 * top) if top > 0 else None
    path = None if path is None else path / np.where(scale > 0, scale, 1.0)
    most = s if s is not None else max(1, min(dim, (n - 1) // 2, MOST))
    weights = np.ones(n)
    found: list[int] = []
    for again in (False, True):
        if again:
            if noise is None:
                break
            tau = sparse_fit.unexplained(rows[:, found], means, noise / np.sqrt(pulls))
            spread = tau * tau + noise * noise / pulls
            if not (spread > 0).all():
                break
            weights = spread.mean() / spread
        sums = sparse_fit.Sums.of(rows, means, weights)
        sizes = sparse_fit.supports(sums, most, path)
        if s is None:
            found = min(sizes, key=lambda places: sparse_fit.criterion(sums, places, n))
        else:
            found = sizes[s]
    return weights, found, "given" if s is not None else "extended BIC"


def _prices(
    rows: np.ndarray, weights: np.ndarray, found: list[int], eps: float | None
) -> tuple[list[dict[str, Any]], dict[str, str | None]]:
    """What eps costs with all features and with those found, and which is less, twice."""
    dim, s = rows.shape[1], len(found)
    kappa = sparse_fit.least_eigenvalue(rows, max(2 * s, 1))
    table = []
    for rule, places, theory in (
        ("least squares", list(range(dim)), math.sqrt(dim)),
        ("sparse", found, s / kappa if kappa > 1e-9 else math.inf),
    ):
        exact = sparse_fit.amplification(rows[:, places], weights)
        entry: dict[str, Any] = {"rule": rule, "features": len(places)}
        for key, factor in (("theory", theory), ("exact", exact)):
            entry[f"{key}_factor"] = _plain(factor)
            entry[key] = None if eps is None else _plain(factor * eps)
        table.append(entry)
    table[1]["kappa"] = kappa
    smaller: dict[str, str | None] = {}
    for key in ("theory", "exact"):
        dense, sparse = (entry[f"{key}_factor"] for entry in table)
        if dense is None and sparse is None:
            smaller[key] = None
        else:
            dense, sparse = (math.inf if v is None else v for v in (dense, sparse))
            smaller[key] = "sparse" if sparse < dense else "least squares"
    return table, smaller


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _doubts(result: dict[str, Any], assumed: float) -> list[str]:
    """What to know of a report before trusting it."""
    said = []
    eps = result["eps"]
    if eps is None:
        said.append(
            "no row is repeated, so noise and misspecification cannot be told apart: give --sigma, "
            "or a log in which arms come again; the largest residual is of both"
        )
    elif assumed and assumed < eps["lo"]:
        said.append(
            f"eps = {assumed:g} is understated: the log shows at least {eps['lo']:.3g} for these "
            "features"
        )
    if eps is not None and eps["lo"] == 0.0 and result["sigma"] > 0.0:
        said.append("noise alone could explain the residuals: eps may be 0")
    if (
        result["rows"] > result["distinct_rows"] > 1
        and 0 < result["rows"] - result["distinct_rows"] < 10
        and result["sigma_from"] != "given"
        and result["sigma"] > 0.0
    ):
        said.append("sigma stands on fewer than 10 repetitions: the interval of eps is wide")
    if result["sigma"] == 0.0 and result["sigma_from"] != "given":
        said.append(
            f"the {result['sigma_from']} paid what was paid before, so rewards are taken as exact; "
            "if they are not, give --sigma"
        )
    unsure = [row["feature"] for row in result["support"] if row["frequency"] < UNSURE]
    if unsure:
        said.append(f"found in fewer than {UNSURE:.0%} of the halves: {', '.join(unsure)}")
    if not result["exhaustive"]:
        said.append(
            "there are too many supports of this size to try all: that a better one exists is "
            "possible, and eps then is smaller"
        )
    if result["prices"][1]["kappa"] < DEPENDENT and result["s"]:
        said.append(
            f"kappa is {result['prices'][1]['kappa']:.2g}: some of the features nearly depend on "
            "others, and the sparse bound is of little use"
        )
    return said


# --- printed ------------------------------------------------------------------------------------


def render(found: dict[str, Any], console: Console) -> None:
    """Print a report as tables and what follows from them."""
    from rich.table import Table

    noise = found["sigma"]
    scatter = f", sigma {noise:.3g} ({found['sigma_from']})" if noise is not None else ""
    console.print(
        f"{name(found['log'] or 'log')}: {found['rows']:,} rows, {found['distinct_rows']:,} of "
        f"them distinct, {found['dim']} features{scatter}",
        highlight=False,
    )
    table = Table(title=f"The best fit by {found['s']} features (s: {found['s_chosen_by']})")
    for title in ("feature", "coefficient", "found in halves"):
        table.add_column(title, justify="right")
    for row in found["support"][:SHOWN]:
        table.add_row(name(row["feature"]), f"{row['coefficient']:+.4g}", percent(row["frequency"]))
    for row in found["rivals"][:SHOWN]:
        table.add_row(name(row["feature"]), "-", percent(row["frequency"]), style="dim")
    console.print(table)
    rest(len(found["support"]), "features", console)
    eps = found["eps"]
    if eps is not None:
        console.print(
            f"Misspecification of these features: eps = {eps['value']:.3g}, with "
            f"{100 * found['confidence']:.3g}% confidence {eps['lo']:.3g} to {eps['hi']:.3g}; the "
            f"largest residual of the best fit is {found['largest_residual']:.3g}.",
            highlight=False,
        )
    else:
        console.print(
            f"Largest residual of the best fit: {found['largest_residual']:.3g}.", highlight=False
        )
    table = Table(title="What the misspecification can cost" + ("" if eps else ", in units of eps"))
    for title in ("rule", "features", "by the theory", "on these rows"):
        table.add_column(title, justify="right" if title != "rule" else "left")
    for row, formula in zip(found["prices"], ("sqrt(d) eps", "s eps / kappa"), strict=True):
        theory, exact = (row[key] if eps else row[f"{key}_factor"] for key in ("theory", "exact"))
        table.add_row(
            row["rule"],
            str(row["features"]),
            f"{formula} = {_money(theory)}",
            _money(exact),
        )
    console.print(table)
    console.print(_verdict(found["smaller"]), highlight=False)
    arm, label = found["arm"], found["arm"]["action"]
    what = f"arm {name(label)}" if label is not None else "the features"
    console.print(
        f"The fit would play {what} (row {arm['row']}), for {arm['predicted']:.4g}.",
        highlight=False,
    )
    sentences(found["notes"], console, style="bold")


def _money(value: float | None) -> str:
    return "unbounded" if value is None else f"{value:.3g}"


def _verdict(smaller: dict[str, str | None]) -> str:
    bound = {"sparse": "the sparse bound", "least squares": "that of least squares (sqrt(d) eps)"}
    theory, exact = smaller["theory"], smaller["exact"]
    if theory is None or exact is None:
        return "Neither rule has a bound: there are too few distinct rows."
    if theory == exact:
        return f"Smaller, by the theory and on these rows, is {bound[exact]}."
    return (
        f"By the theory, constants left out, {bound[theory]} is smaller; on these rows, exactly, "
        f"{bound[exact]} is."
    )


# --- the command line ---------------------------------------------------------------------------

FLAGS = ("seed", "columns", "sigma")
SPENDS = False


def command(
    path: str, agent: str, settings: dict[str, dict[str, Any]], progress: Any, **flags: Any
) -> dict[str, Any]:
    """The report on a file with features."""
    refuse_others(settings, agent)
    hyper = settings.get(agent, {})
    if flags.get("sigma") is not None and "sigma" in hyper:
        raise ValueError(f"sigma is given twice: by --sigma and by --set {agent}.sigma")
    for key in hyper:
        if key not in OWN:
            raise ValueError(f"--set: {agent} on a log: {unknown('argument', key, OWN)}")
    return report(path, **{**flags, **hyper})
