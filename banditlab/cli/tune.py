"""``--tune``: search, then a run of the tuned agent beside the one that it came from."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from banditlab.cli.run import check_writable, chosen, refuse, run
from banditlab.console import Bar
from banditlab.data.atomic import write_text


def tune(args: argparse.Namespace) -> int:
    """Search and run; returns the exit code of the run."""
    from banditlab.arena import tune as search

    if not args.agent:
        raise ValueError("--tune needs --agent NAME, whose hyper-parameters are searched")
    arena, place = chosen(args)
    # All of it before the search: it takes long, and what an earlier one has kept is deleted.
    label, *_ = search.asked(arena, args.agent, args.tune)
    unknown = search.Tuned(label, {}, {}, 0.0, 0.0, {}, [], 0)
    refuse(args, search.judged(arena, unknown))
    folder = Path(args.out) if args.out else Path("results") / f"{place}-tuned"
    check_writable(folder)
    journal = folder / "tune.journal"
    if not args.resume:
        journal.unlink(missing_ok=True)
    with Bar(quiet=args.quiet) as bar:
        tuned = search.tune(
            arena, args.agent, args.tune, args.trials or search.TRIALS, keep=journal,
            workers=args.workers, progress=bar.show, backend=args.backend, address=args.address,
        )  # fmt: skip
    write_text(folder / "tune.json", json.dumps(tuned._asdict(), indent=1) + "\n")
    args.out = str(folder)
    code = run(args, search.judged(arena, tuned), place)
    if not args.quiet:
        said = ", ".join(f"{key} = {_short(value)}" for key, value in tuned.best.items())
        was = ", ".join(f"{key} = {_short(value)}" for key, value in tuned.untuned.items())
        print(
            f"{tuned.agent}, tuned in {len(tuned.trials)} trials on seed {tuned.seed}: {said}; "
            f"untuned: {was}; all trials in {folder / 'tune.json'}",
            file=sys.stderr,
        )
    for line in tuned.warnings():
        print(f"warning: {line}", file=sys.stderr)
    return code


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
