"""``python -m banditlab.report``: one HTML file of a run, or of a folder of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from banditlab.cli import output
from banditlab.cli.flags import Parser
from banditlab.console import Bar


def parser() -> Parser:
    """The flags."""
    p = Parser(
        prog="python -m banditlab.report",
        description="Write one HTML file that shows a run, or all runs of a folder; no network.",
    )
    p.add_argument("folder", nargs="?", default="results", metavar="RESULTS_DIR", help="results/")
    p.add_argument("--out", metavar="FILE", help="by default report.html in RESULTS_DIR")
    p.add_argument("--quiet", action="store_true", help="no progress and no last line")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns 0, 1 (it could not be written) or 2 (bad input)."""
    output.ready()

    def report() -> int:
        args = parser().parse_args(argv)
        from banditlab.report import write

        with Bar(quiet=args.quiet) as bar:
            path = write(Path(args.folder), args.out, bar.show)
        if not args.quiet:
            print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, opens in any browser")
        return 0

    return output.answered(report, lambda: "interrupted; nothing was written")
