"""``python -m banditlab plot FILE``: figure and statistics of results from elsewhere."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from banditlab import interrupt
from banditlab.cli import output
from banditlab.cli.flags import Parser, columns

if TYPE_CHECKING:
    from banditlab.curves import Curves

DESCRIPTION = """Draw and compare results of any origin: a table (.csv, .parquet) with a row for
each agent, seed and round, in columns agent, seed, t, value and optionally panel."""


def parser() -> Parser:
    """The flags."""
    p = Parser(prog="python -m banditlab plot", description=DESCRIPTION)
    p.add_argument("file", metavar="FILE", help="the table")
    p.add_argument("--columns", metavar="OURS=THEIRS,...", help="agent=algo,seed=run,value=return")
    p.add_argument("--out", metavar="DIR", help="where files go; by default results/local/NAME")
    p.add_argument("--bands", choices=("pointwise", "simultaneous"), help="95%% bands")
    p.add_argument("--larger", action="store_true", help="larger values are better")
    p.add_argument("--compare", action="store_true", help="show every pair of agents")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 1 (nothing could be written) or 2 (bad input)."""
    output.ready()
    interrupt.say_otherwise()
    words = list(sys.argv[1:] if argv is None else argv)
    return output.answered(lambda: _main(words), interrupt.otherwise)


def _main(words: list[str]) -> int:
    args = parser().parse_args(words)
    from banditlab.cli.run import check_writable
    from banditlab.cli.tables import show, summary
    from banditlab.curves import Curves

    curves = Curves.from_frame(args.file, columns(args.columns))
    if args.larger:
        for panel in curves.arena["panels"]:
            panel["larger"] = True
    if args.compare:
        _refuse_alone(curves, args.file)
    folder = Path(args.out) if args.out else Path("results") / "local" / curves.arena["name"]
    check_writable(folder)
    interrupt.say_otherwise(f"interrupted; files in {folder} may be missing")
    curves.save(folder, bands=args.bands or "pointwise")
    for note in curves.notes:
        print(f"{note[0].upper()}{note[1:]}.", file=sys.stderr)
    if args.json:
        print(json.dumps({**summary(curves, folder), "notes": curves.notes}))
    else:
        show(curves, folder, pairs=args.compare)
    output.flush()
    return 0


def _refuse_alone(curves: Curves, file: str) -> None:
    """ValueError where no panel has a pair to compare."""
    for panel in curves.panels():
        agents = curves.agents(panel)
        if len(agents) > 1 and curves.record(agents[0], panel).replications > 1:
            return
    raise ValueError(f"--compare needs two agents, and two seeds that both have, in {file}")
