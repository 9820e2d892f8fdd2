"""Redraw every figure under results/, and write the gallery, results/README.md; simulates nothing.

A figure is drawn from its curves.csv, as the arena's file now says: other titles, names, scales or
references need no other run. What is drawn and said is the same to the last byte each time.

``--check`` writes nothing. It tells whether figures and gallery are the committed ones, and then
runs the arenas anew, each as its file says, and tells whether its curves are the committed ones,
bit for bit, and its checks still pass. ``--figures --check`` leaves the runs out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from banditlab import registry, simulate
from banditlab.arena.claims import failed, tally, verdict
from banditlab.arena.overlays import overlays
from banditlab.arena.spec import Arena, read_arena
from banditlab.console import Bar
from banditlab.curves import Curves, Record
from banditlab.data.atomic import Together, write_text
from banditlab.plot import draw, write
from banditlab.plot.curves import NUMBERS
from banditlab.words import plain

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
KINDS = ("png", "svg")


# --- what was measured, and what is now said of it ----------------------------------------------


def table(folder: Path) -> pd.DataFrame:
    """The means of a run."""
    frame = pd.read_csv(folder / "curves.csv", keep_default_na=False, na_values=["nan", "NaN"])
    for name in NUMBERS:
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    return frame


def records(frame: pd.DataFrame) -> dict[tuple[str, str], Record]:
    """The means as curves of one batch each: all that a figure needs of them."""
    found = {}
    for (panel, agent, cell), part in frame.groupby(["panel", "agent", "cell"], sort=False):
        measures = tuple(part["measure"].unique())
        values = [part.loc[part["measure"] == measure, "mean"] for measure in measures]
        points = part.loc[part["measure"] == measures[0], "t"].to_numpy()
        stacked = np.stack([column.to_numpy(float) for column in values], axis=-1)[None]
        record = Record(points, measures, stacked, str(cell), int(part["n"].iloc[0]))
        found[str(panel), record.named(str(agent))] = record
    return found


def about(folder: Path) -> dict[str, Any] | None:
    """The run.json of a run as the arena's file now says; None if its numbers would be others."""
    old = json.loads((folder / "run.json").read_text())
    arena = read_arena(folder.name)
    if arena.numbers() != Arena.model_validate(old["arena"]).numbers():
        return None
    beside = {panel.name: overlays(panel) for panel in arena.panels}
    curves = Curves(arena.resolved(), records(table(folder)), beside)
    notes = {panel["name"]: panel["notes"] for panel in old["figure"]["panels"]}
    panels = curves.figure_panels
    for panel in panels:
        if panel["notes"] and notes[panel["name"]]:  # their intervals need every replication
            panel["notes"] = notes[panel["name"]]
    figure = {"title": arena.title, "panels": panels}
    return {**old, "arena": arena.resolved(), "hash": arena.hash(), "figure": figure}


# --- figures ------------------------------------------------------------------------------------


def drawn(folder: Path, into: Path, width: float | None = None, style: str = "paper") -> bool:
    """Draw the figure of ``folder`` into ``into``; false if its arena must be run first."""
    if folder.name == "benchmark":
        found = json.loads((folder / "benchmark.json").read_text())
        sys.path.insert(0, str(ROOT / "scripts"))
        from benchmark_figure import picture

        figure = picture(found)
        said = None
    else:
        said = about(folder)
        if said is None:
            return False
        shown = said["figure"]
        title = shown["title"] or None
        figure = draw(table(folder), shown["panels"], title, width=width, style=style)
    into.mkdir(parents=True, exist_ok=True)
    with Together(into) as files:
        for kind in KINDS:
            write(figure, files.path(f"figure.{kind}"), kind)
        if said is not None:
            files.text("run.json", json.dumps(said, indent=1) + "\n")
    return True


def redraw(folder: Path, out: Path | None, width: float | None, style: str) -> bool:
    """Draw the figure of one arena again; whether that could be done."""
    done = drawn(folder, out / folder.name if out else folder, width, style)
    print(f"{folder.name}: {'redrawn' if done else 'OTHER ARENA, run it first'}", flush=True)
    return done


def same_figure(folder: Path) -> bool:
    """Whether the figure in ``folder``, and what is said of it, is what would now be drawn."""
    with tempfile.TemporaryDirectory() as elsewhere:
        if not drawn(folder, Path(elsewhere)):
            print(f"{folder.name}: OTHER ARENA, run it first", flush=True)
            return False
        names = [path.name for path in Path(elsewhere).iterdir()]
        other = [
            name
            for name in sorted(names)
            if (Path(elsewhere) / name).read_bytes() != (folder / name).read_bytes()
        ]
    said = f"OTHER {', '.join(other)}" if other else "the same figure"
    print(f"{folder.name}: {said}", flush=True)
    return not other


def same_curves(folder: Path) -> bool:
    """Whether an arena run anew gives the curves in ``folder``, and passes its checks."""
    with Bar(quiet=False) as bar, tempfile.TemporaryDirectory() as elsewhere:
        curves = simulate(folder.name, progress=bar.show)
        anew = curves.save(elsewhere) / "curves.csv"
        same = anew.read_bytes() == (folder / "curves.csv").read_bytes()
    said = tally(curves.checks) or "no checks"
    print(f"{folder.name}: {'the same curves' if same else 'OTHER CURVES'}, {said}", flush=True)
    return same and not failed(curves.checks)


# --- the gallery --------------------------------------------------------------------------------


def seconds(root: Path) -> dict[str, float]:
    """CPU seconds that each arena took, as far as known: times.json, and what has run here."""
    file = root / "times.json"
    known: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
    for local in sorted(root.glob("*/run.local.json")):
        spent = json.loads(local.read_text())["cpu_seconds"].values()
        known[local.parent.name] = float(f"{sum(spent):.2g}")
    return dict(sorted(known.items()))


def gallery(root: Path, times: dict[str, float]) -> str:
    """The text of results/README.md."""
    folders = {path.parent.name: path.parent for path in sorted(root.glob("*/figure.png"))}
    lines = [
        "# Results",
        "",
        "Every figure, what it claims, and how to have it again. Written by"
        " `python scripts/regenerate.py`, which redraws all of them from the curves beside them;"
        " `python scripts/regenerate.py --check` runs everything anew and compares. Bands are 95%"
        " intervals of the mean. Times are CPU seconds of the simulation on one core.",
        "",
    ]
    for name in folders:
        lines.append(f"- [{_heading(folders[name])}](#{name})")
    for name, folder in folders.items():
        lines += ["", f'<a id="{name}"></a>', "", f"## {_heading(folder)}", ""]
        lines += [f"![{_heading(folder)}]({name}/figure.png)", ""]
        lines += _facts(folder, times.get(name))
    return "\n".join(lines) + "\n"


def _heading(folder: Path) -> str:
    if not (folder / "run.json").exists():
        return "Speed: pulls per core-second, and how time grows"
    said = json.loads((folder / "run.json").read_text())
    return plain(said["arena"]["title"] or folder.name)


def _facts(folder: Path, took: float | None) -> list[str]:
    if not (folder / "run.json").exists():
        return [
            "Claim: the compiled loops keep up with plain C, and beat interpreted libraries by"
            " orders of magnitude; time grows linearly with rounds and replications.",
            "",
            "- Run: `python scripts/benchmark.py` (ten minutes); rates depend on the machine",
        ]
    said = json.loads((folder / "run.json").read_text())
    arena, checks = said["arena"], said["checks"]
    lines = [f"**Claim.** {arena['claim']}", ""]
    if arena.get("caption"):
        lines += [f"**Where to look.** {plain(arena['caption'])}", ""]
    passed = tally(checks) or "No checks"
    counts = sorted({panel["replications"] for panel in arena["panels"]})
    lines += [
        f"- Source: {arena['source']}",
        f"- Run: `python -m banditlab.arena --arena {arena['name']}`",
        f"- {passed}; seed {arena['seed']};"
        f" {' to '.join(f'{x:,}' for x in counts[:: max(1, len(counts) - 1)])} replications;"
        f" {f'{took:,.2g}' if took is not None and took < 10 else f'{took:,.0f}'} CPU s"
        if took is not None
        else f"- {passed}; seed {arena['seed']};"
        f" {' to '.join(f'{x:,}' for x in counts[:: max(1, len(counts) - 1)])} replications",
    ]
    for check in checks:
        if check.get("hypothesis"):
            lines.append(f"- Hypothesis {verdict(check)}: {check['check']}: {check['found']}")
    if differing := _code_names(arena):
        lines.append(f"- In code: {'; '.join(differing)}")
    return lines


def _code_names(arena: dict[str, Any]) -> list[str]:
    """``KL-UCB is `kl_ucb` ``, where the two differ by more than signs and capitals."""
    found: dict[str, str] = {}
    for panel in arena["panels"]:
        for entry in panel["agents"]:
            label, name = entry["label"], entry["name"]
            shown = arena.get("names", {}).get(label) or (
                registry.label(name) if label == Path(name).stem else label
            )
            letters = [
                "".join(x for x in word.lower() if x.isalnum()) for word in (plain(shown), name)
            ]
            if letters[0] != letters[1]:
                found[plain(shown)] = name
    return [f"{shown} is `{name}`" for shown, name in found.items()]


def write_gallery(root: Path, check: bool) -> bool:
    """Write the gallery, or see whether it is the one that is there."""
    times = seconds(root)
    files = {"README.md": gallery(root, times), "times.json": json.dumps(times, indent=1) + "\n"}
    if not check:
        for name, text in files.items():
            write_text(root / name, text)
        return True
    path = root / "README.md"
    same = path.exists() and path.read_text() == files["README.md"]
    print(f"README.md: {'the same gallery' if same else 'OTHER GALLERY'}")
    return same


def main(argv: list[str] | None = None, root: Path = RESULTS) -> int:
    """Run; returns 1 when something is not as it was, or there is nothing."""
    known = {p.parent.name: p.parent for p in sorted(root.glob("*/curves.csv"))}
    known |= {p.parent.name: p.parent for p in sorted(root.glob("*/benchmark.json"))}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arenas", nargs="*", metavar="ARENA", help="by default all that have run")
    parser.add_argument("--check", action="store_true", help="run anew (all: 20 minutes), compare")
    parser.add_argument("--figures", action="store_true", help="only figures: simulate nothing")
    parser.add_argument("--out", type=Path, metavar="DIR", help="draw into this folder instead")
    parser.add_argument("--width", type=float, metavar="INCHES", help="with --out: of the figures")
    parser.add_argument("--style", default="paper", help="with --out: paper, screen or dark")
    args = parser.parse_args(argv)
    for name in args.arenas:
        if name not in known:
            parser.error(f"no results of arena {name!r}; there are: {', '.join(known)}")
    if not args.out and (args.width or args.style != "paper"):
        parser.error("--width and --style need --out: committed figures have the usual ones")
    wanted = [known[name] for name in args.arenas or known]
    if args.check:
        verdicts = [same_figure(folder) for folder in wanted]
        if not args.figures:
            verdicts += [same_curves(f) for f in wanted if (f / "run.json").exists()]
    else:
        verdicts = [redraw(folder, args.out, args.width, args.style) for folder in wanted]
    if wanted and not args.out:
        verdicts.append(write_gallery(root, args.check))
    return 0 if verdicts and all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
