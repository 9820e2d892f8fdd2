"""Redraw every figure under results/ from its curves.csv and run.json; simulates nothing.

``--check`` runs the arenas anew instead, each as its file says, and tells whether its curves are
the committed ones, bit for bit, and its checks still pass. Nothing is written.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import pandas as pd

from banditlab import simulate
from banditlab.console import Bar
from banditlab.plot import draw, save
from banditlab.plot.curves import NUMBERS

RESULTS = Path(__file__).parent.parent / "results"


def redraw(folder: Path) -> bool:
    """Draw the figure of one arena again; always true."""
    figure = json.loads((folder / "run.json").read_text())["figure"]
    frame = pd.read_csv(folder / "curves.csv", keep_default_na=False, na_values=["nan", "NaN"])
    for name in NUMBERS:
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    save(draw(frame, figure["panels"], figure["title"] or None), folder)
    print(f"{folder.name}: redrawn")
    return True


def check(folder: Path) -> bool:
    """Whether an arena run anew gives the curves in ``folder``, and passes its checks."""
    with Bar(quiet=False) as bar, tempfile.TemporaryDirectory() as elsewhere:
        curves = simulate(folder.name, progress=bar.show)
        anew = curves.save(elsewhere) / "curves.csv"
        same = anew.read_bytes() == (folder / "curves.csv").read_bytes()
    failed = sum(not verdict["passed"] for verdict in curves.checks)
    passed = f"{len(curves.checks) - failed} of {len(curves.checks)} checks passed"
    print(f"{folder.name}: {'the same curves' if same else 'OTHER CURVES'}, {passed}", flush=True)
    return same and not failed


def main(argv: list[str] | None = None, root: Path = RESULTS) -> int:
    """Run; returns 1 when something is not as it was, or there is nothing."""
    known = {p.parent.name: p.parent for p in sorted(root.glob("*/run.json"))}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arenas", nargs="*", metavar="ARENA", help="by default all that have run")
    parser.add_argument("--check", action="store_true", help="run anew (all: 20 minutes), compare")
    args = parser.parse_args(argv)
    for name in args.arenas:
        if name not in known:
            parser.error(f"no results of arena {name!r}; there are: {', '.join(known)}")
    do = check if args.check else redraw
    verdicts = [do(known[name]) for name in args.arenas or known]
    return 0 if verdicts and all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
