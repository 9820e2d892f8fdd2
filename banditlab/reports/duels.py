"""A file of duels: who wins, by which idea of winning, how sure that is, and what to ask next.

How winners are resampled, cycles tested and pairs chosen is told in
:mod:`banditlab.reports.winners`, what the winners are in :mod:`banditlab.games`. How agents
would fare with the same judges is told in :mod:`banditlab.reports.judges`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab import games, registry
from banditlab.agent import LARGEST
from banditlab.data.duels import Duels
from banditlab.data.names import listed
from banditlab.data.table import named, where_of
from banditlab.reports import judges, winners
from banditlab.reports.render import SHOWN, name, percent, rest, sentences, value_and_interval
from banditlab.validate import integer

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[str, int, int], None]
MOST = 300  # things that are compared
DRAWS = 400  # of the bootstrap; fewer where there is much to compare
WORK = 4e8  # draws times the cube of the number of things
FEW, FEW_GROUPS = 5, 20  # duels of a pair, and annotators, below which intervals are too narrow
IDEAS = {"copeland": "Copeland", "borda": "Borda", "bradley_terry": "Bradley-Terry",
         "von_neumann": "von Neumann"}  # fmt: skip
RANGED = 60  # things up to which it is asked whether there are several von Neumann winners
MIXTURES = (
    "the von Neumann winner is not the only one: other mixtures lose as little; shown is the "
    "middle of them"
)
EVEN = 1e-9  # differences that are rounding


def report(
    source: Any,
    names: Sequence[str] = ("spo_batch",),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    seed: int = 0,
    columns: Mapping[str, str] | None = None,
    horizon: int = 100_000,
    replications: int = 20,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What duels say, and what agents make of them; plain data, ready for JSON.

    Parameters
    ----------
    source
        Whatever :meth:`banditlab.data.duels.Duels.of` reads: a file, a frame, a dict, Duels.
    names, settings
        Agents that play on the duels, none for none, and their hyper-parameters by name. Here
        ``spo_batch`` plays batches of two, and so learns from every answer, unless told otherwise.
    seed, progress
        One seed, one result. ``progress`` is told what is under way, how much is done, and of how
        much.
    columns
        The source's names of columns by ours, ``{"left": "first"}``.
    horizon, replications, workers
        Duels of each agent, how often it plays, and in how many threads.

    Raises ValueError, in one line, for whatever does not fit.
    """
    tell = progress or (lambda what, done, total: None)
    horizon = integer("horizon", horizon, 1, LARGEST)
    replications = integer("replications", replications, 1)
    chosen = {label: judges.suited(label, (settings or {}).get(label, {})) for label in names}
    players = {label: registry.make(label, **given) for label, given in chosen.items()}
    duels = Duels.of(source, columns)
    K = len(duels.names)
    with named(where_of(source)):
        if K > MOST:
            raise ValueError(f"{K:,} things are more than the {MOST} that are compared")
    rng = np.random.default_rng(integer("seed", seed, 0))
    # First, for they refuse what is no agent for duels, and the rest may take long.
    agents = judges.played(duels, players, chosen, horizon, replications, seed, workers, tell)
    draws = int(min(DRAWS, max(50, WORK / K**3)))
    found = winners.resampled(
        duels, draws, rng, lambda done: tell("winners drawn again", done, draws)
    )
    wins = duels.wins()
    P = winners.estimate(wins)
    majority = winners.majorities(duels)
    fitted = games.bradley_terry(wins)
    scores = {
        "copeland": games.copeland(P),
        "borda": games.borda(P),
        "bradley_terry": fitted.scores,
        "von_neumann": games.von_neumann(P),
    }
    many = _many_mixtures(P)
    if many is not None:
        scores["von_neumann"] = many
    verdict = winners.verdict(duels, P, majority)
    worth = winners.worth(
        wins, draws // 2, rng, lambda done: tell("pairs worth asking", done, draws // 2)
    )
    return {
        "log": where_of(source) or None,
        "duels": len(duels),
        "ties": int((duels.score == 0.5).sum()),
        "lists": duels.lists or None,
        "annotators": None if duels.annotators is None else duels.n_groups,
        "draws": draws,
        "items": _items(duels, wins, scores, found),
        "winners": _winners(duels, P, scores, found, fitted.component.max() > 0),
        **verdict,
        "ask_next": winners.worth_asking(duels, wins, worth),
        "agents": agents,
        "notes": [*duels.notes, *judges.changed(chosen, settings or {}),
                  *_doubts(duels, wins, fitted, found), *([MIXTURES] if many is not None else [])],
    }  # fmt: skip


# --- what the report holds ----------------------------------------------------------------------


def _items(
    duels: Duels, wins: np.ndarray, scores: dict[str, np.ndarray], found: winners.Draws
) -> list[dict[str, Any]]:
    """A row for each thing, the best first."""
    ties = duels.ties()
    order = np.lexsort((-scores["borda"], -scores["von_neumann"].round(9)))
    rows = []
    for k in order:
        row: dict[str, Any] = {
            "name": duels.names[k],
            "duels": int((wins[k] + wins[:, k]).sum()),
            "won": int((wins[k] - ties[k] / 2).sum()),
            "tied": int(ties[k].sum()),
        }
        for idea in IDEAS:
            lo, hi = np.quantile(getattr(found, idea)[:, k], (0.025, 0.975))
            row[idea] = {"value": float(scores[idea][k]), "lo": float(lo), "hi": float(hi)}
        rows.append(row)
    return rows


def _many_mixtures(P: np.ndarray) -> np.ndarray | None:
    """The middle of several von Neumann winners; None where there is one, or too much to solve."""
    if len(P) > RANGED or games.condorcet(P) is not None:
        return None
    found = games.von_neumann_range(P)
    return found.middle if (found.largest - found.least).max() > 1e-6 else None


def _first(score: np.ndarray) -> np.ndarray:
    """Where the best are, in each row of (..., K)."""
    return np.asarray(score >= score.max(axis=-1, keepdims=True) - EVEN)


def _winners(
    duels: Duels, P: np.ndarray, scores: dict[str, np.ndarray], found: winners.Draws, apart: bool
) -> dict[str, Any]:
    """By each idea who wins, in which share of the draws as well, and what beats that."""
    told: dict[str, Any] = {}
    for idea in IDEAS:
        if idea == "bradley_terry" and apart:
            told[idea] = None  # scores of those that never met cannot be compared
            continue
        mixes = idea == "von_neumann"
        best = scores[idea] > EVEN if mixes else _first(scores[idea])
        drawn = getattr(found, idea)
        again = (drawn > EVEN) if mixes else _first(drawn)
        strategy = scores[idea] if mixes else best / best.sum()
        against = (2.0 * P - 1.0) @ strategy
        loses_to = int(np.argmax(against)) if against.max() > 1e-7 else None
        told[idea] = {
            "names": [duels.names[k] for k in np.flatnonzero(best)],
            "same": float((again == best).all(axis=1).mean()),
            "exploitability": float(max(against.max(), 0.0)),
            "loses_to": None if loses_to is None else duels.names[loses_to],
        }
    return told


def _doubts(
    duels: Duels,
    wins: np.ndarray,
    fitted: games.BradleyTerry,
    found: winners.Draws,
) -> list[str]:
    """Sentences on what the numbers cannot show."""
    said = []
    asked = (wins + wins.T)[np.triu_indices(len(wins), 1)]
    never, seldom = int((asked == 0).sum()), int(((asked > 0) & (asked < FEW)).sum())
    if never:
        said.append(
            f"{never:,} of {asked.size:,} pairs were never asked; they count as even, which can "
            "make a winner of whoever met few"
        )
    if seldom:
        said.append(
            f"{seldom:,} of {asked.size:,} pairs have fewer than {FEW} duels: intervals are too "
            "narrow there"
        )
    pieces = int(fitted.component.max()) + 1
    if pieces > 1:
        sizes = np.bincount(fitted.component)
        inside = [duels.names[k] for k in np.flatnonzero(fitted.component == sizes.argmin())]
        said.append(
            f"no duel joins {pieces} groups of things (one is {listed(inside)}): Bradley-Terry "
            "scores compare within a group only"
        )
    if fitted.penalty > 0:
        said.append(
            "some have won or lost every duel with the others, so their Bradley-Terry scores "
            f"would be infinite; a penalty of {fitted.penalty:g} holds them"
        )
    elif found.held.any():
        share = percent(float(found.held.mean()))
        said.append(f"in {share} of the draws Bradley-Terry scores had to be held by a penalty")
    groups = duels.n_groups
    if duels.annotators is not None and groups == 1:
        said.append(
            "one annotator judged everything: intervals say how sure that one is, and nothing of "
            "others"
        )
    elif duels.annotators is not None and groups < FEW_GROUPS:
        said.append(f"{groups} annotators are few: intervals drawn from so few are too narrow")
    return said


# --- printing -----------------------------------------------------------------------------------


def render(found: Mapping[str, Any], console: Console) -> None:
    """Print a report as tables and what follows from them."""
    from rich.table import Table

    who = "" if found["annotators"] is None else f" by {found['annotators']:,} annotators"
    who = " by one annotator" if found["annotators"] == 1 else who
    lists = "" if found["lists"] is None else f" from {found['lists']:,} lists"
    duels = "1 duel" if found["duels"] == 1 else f"{found['duels']:,} duels"
    console.print(
        f"[bold]{name(found['log'] or 'duels')}[/]: {duels}{lists}{who}, "
        f"{found['ties']:,} of them ties, between {len(found['items']):,} things",
        highlight=False,
    )
    table = Table(
        title=f"Scores, with 95% intervals from {found['draws']} bootstrap draws",
        title_justify="left",
    )
    for heading in ("", "duels", *IDEAS.values()):
        table.add_column(heading, justify="right" if heading else "left")
    digits = {"copeland": ".0f", "borda": ".3f", "bradley_terry": ".2f", "von_neumann": ".2f"}
    for row in found["items"][:SHOWN]:
        cells = (value_and_interval(row[idea], digits[idea]) for idea in IDEAS)
        table.add_row(
            name(row["name"]), f"{row['duels']:,}", *(cell.replace(" (", "\n(") for cell in cells)
        )
    console.print(table)
    rest(len(found["items"]), "things", console)
    table = Table(title="Winners", title_justify="left")
    for heading in ("by", "winner", "the same in", "beaten by", "exploitability"):
        table.add_column(heading, justify="right" if heading.startswith("ex") else "left")
    for idea, title in IDEAS.items():
        row = found["winners"][idea]
        if row is None:
            table.add_row(title, "cannot be compared", "", "", "")
            continue
        beaten = "nothing" if row["loses_to"] is None else name(row["loses_to"])
        table.add_row(
            title, _few(row["names"]), f"{percent(row['same'])} of draws", beaten,
            f"{row['exploitability']:.3f}",
        )  # fmt: skip
    console.print(table)
    if found["agents"]:
        table = Table(
            title=f"Agents that ask such judges {found['agents'][0]['duels']:,} times",
            title_justify="left",
        )
        for heading in ("agent", "exploitability of what it names (95%)"):
            table.add_column(heading)
        for row in found["agents"]:
            table.add_row(name(row["agent"]), value_and_interval(row["exploitability"]))
        console.print(table)
    for line in _told(found):
        console.print(line, highlight=False)
    sentences(found["notes"], console, style="dim")


def _few(names: Sequence[Any]) -> str:
    shown = ", ".join(name(label) for label in names[:4])
    return f"{shown} and {len(names) - 4:,} more" if len(names) > 4 else shown


def _told(found: Mapping[str, Any]) -> list[str]:
    """What follows, in sentences fit for the markup of rich."""
    best, ring, settle = found["condorcet"], found["cycle"], found["settle"]
    said = []
    if best is not None:
        sure = "for certain" if best["certain"] else "but not for certain"
        said.append(f"[bold]{name(best['name'])}[/] beats every other, {sure} ({_p(best['p'])}).")
    else:
        rest_of = len(found["items"]) > len(found["top"])
        top = f"; {_few(found['top'])} beat all the rest" if rest_of else ""
        said.append(f"Nothing beats every other{top}.")
    if ring is not None:
        shares = [percent(share) for share in ring["shares"]]
        path = ", ".join(
            f"{name(a)} beats {name(b)} ({share})"
            for a, b, share in zip(
                ring["names"], ring["names"][1:] + ring["names"][:1], shares, strict=True
            )
        )
        where = "" if ring["at_the_top"] else " below the top"
        verdict = "a real one" if ring["real"] else "which may be noise"
        said.append(f"There is a cycle{where}, {verdict} ({_p(ring['p'])}): {path}.")
    elif len(found["items"]) > 2:
        said.append("There is no cycle.")
    if found["ask_next"]:
        pairs = "; ".join(
            f"{name(row['left'])} - {name(row['right'])} (asked {row['duels']:,}, "
            f"in doubt {percent(row['doubt'])})"
            for row in found["ask_next"][:3]
        )
        said.append(f"Ask next: {pairs}.")
    if settle["unsure"]:
        said.append(
            f"About {_many(settle['duels'])} more duels, at least {_many(settle['at_least'])}, of "
            f"{settle['unsure']} of {settle['pairs']} pairs would settle {settle['what']}."
        )
    else:
        said.append(f"No more duels are needed to settle {settle['what']}.")
    return said


def _p(p: float) -> str:
    return f"p = {p:.2g}" if p > 1e-9 else "p below 1e-9"


def _many(count: float) -> str:
    """A number of duels, to two digits; beyond a million nobody would ask them."""
    return "a million" if count >= 1e6 else f"{float(f'{count:.2g}'):,.0f}"


# --- the command line ---------------------------------------------------------------------------

FLAGS = ("vs", "seed", "columns", "horizon", "replications", "workers")
SPENDS = False


def command(
    path: str, agent: str, settings: dict[str, dict[str, Any]], progress: Progress,
    vs: Sequence[str] = (), **flags: Any,
) -> dict[str, Any]:  # fmt: skip
    """The report on a file of duels."""
    names = [*dict.fromkeys([agent, *vs])]
    for given in settings:
        if given not in names:
            raise ValueError(f"--set: {registry.unknown('agent', given, names)}")
    return report(path, names, settings, progress=progress, **flags)
