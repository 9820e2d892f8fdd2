"""The command line: ``python -m banditlab.arena``."""

from __future__ import annotations

import argparse
import atexit
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from banditlab import interrupt
from banditlab.cli import output
from banditlab.cli.flags import RUN, only, parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 1 (a check failed or the run broke) or 2 (bad input)."""
    words = list(sys.argv[1:] if argv is None else argv)
    # What a run makes lives to its end: looking for garbage took a tenth of it, and a second more
    # when Python ends.
    gc.set_threshold(200_000, 20, 20)
    atexit.register(gc.freeze)
    output.ready()
    interrupt.say_otherwise()
    return output.answered(lambda: _main(parser().parse_args(words)), interrupt.otherwise)


def _main(args: argparse.Namespace) -> int:
    if args.list:
        only(args, "--list", "list")
        from banditlab.cli.choose import listing

        return listing(args)
    if args.explain is not None:
        only(args, "--explain", "explain")
        from banditlab.cli.choose import explain

        return explain(args)
    if args.advise is not None:
        only(args, "--advise", "advise", "horizon")
        from banditlab.cli.choose import advising

        return advising(args)
    if args.completion is not None:
        only(args, "--completion", "completion")
        from banditlab.cli.completion import script

        print(script(args.completion), end="")
        return 0
    if args.env and args.log:
        raise ValueError("--env is a problem of its own; leave out --log")
    if args.env:
        from banditlab.cli.files import environment

        return environment(args)
    if args.log:
        from banditlab.arena.find import shipped_log
        from banditlab.cli.files import log

        found = shipped_log(args.log)
        if found != Path(args.log):
            print(f"no {args.log} here: this is the log that comes with banditlab", file=sys.stderr)
            args.log = str(found)
        return log(args)
    if not (args.agent or args.arena or args.vs):
        raise ValueError("say what to run: --agent NAME, --arena NAME, or --list")
    only(args, "an arena", *RUN, "arena", "problem", "allow_code", "tune", "trials")
    if args.trials and not args.tune:
        raise ValueError("--trials is for --tune")
    if args.tune:
        from banditlab.cli.tune import tune

        return tune(args)
    from banditlab.cli.run import chosen, run

    return run(args, *chosen(args))
