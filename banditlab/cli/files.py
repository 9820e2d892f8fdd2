"""What a user brings: a file (``--log``), a Gymnasium environment or labelled data (``--env``)."""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from banditlab import registry
from banditlab.cli.flags import RUN, columns, given, only, settings
from banditlab.cli.run import check_writable, local, run
from banditlab.console import Bar
from banditlab.validate import shown

if TYPE_CHECKING:
    from banditlab.data.labelled import Labelled

DEFAULTS = ["neu_fast_cb", "linucb"]  # who plays on a table when nobody is named
DATA = "data:"  # begins the --env that is a table of labels
PLAYED, MOST = 1000, 10_000  # rounds on a small and on a large table, unless --horizon says
LOGGED = ("columns", "low", "high", "sigma")  # what a replay is told of its log


def log(args: argparse.Namespace) -> int:
    """A file: what the report of the agent's protocol makes of it, or a replay of the agent."""
    from banditlab.reports.transitions import is_dataset

    name = args.agent or "lcb"
    hyper = settings(args.set)
    args.columns = columns(args.columns)
    kind = registry.report(name, **hyper.get(name, {}))
    if is_dataset(args.log, args.columns):
        kind = "transitions"
    if not kind:
        return _replay(args)
    module = importlib.import_module(f"banditlab.reports.{kind}")
    only(args, f"a report on {Path(args.log).name}", "agent", "log", "set", *module.FLAGS)
    if args.quiet and not args.json and module.SPENDS:
        raise ValueError("--quiet would release an arm, spend epsilon and show nothing: add --json")
    with Bar(quiet=args.quiet) as bar:
        found = module.command(args.log, name, hyper, bar.show, **given(args, *module.FLAGS))
    return _show(args, found, module.render)


def _replay(args: argparse.Namespace) -> int:
    """Online agents on a simulator built from the log's own rows."""
    from banditlab.arena import spec
    from banditlab.data.log import Log
    from banditlab.problems.replay import incomplete, unscaled
    from banditlab.reports.rules import REPLAY

    only(args, "the replay of a log", *RUN, "log", *LOGGED)
    log = Log.of(args.log, args.columns)
    missing = incomplete(log).size
    if 0 < missing < log.n_contexts:
        said = f"{missing} of {log.n_contexts} contexts are left out"
        print(f"{said}: the log has no row of some arm there", file=sys.stderr)
    stem = Path(args.log).stem
    hyper = settings(args.set)
    arena = spec.read_arena(
        {
            "name": f"replay-{stem}",
            "title": f"Bootstrapped replay of {stem}",
            "problem": {
                "name": "replay",
                "log": args.log,
                "complete": True,
                **given(args, *LOGGED),
            },
            "agents": [
                {"name": name} for name in dict.fromkeys([args.agent, *(args.vs or ["uniform"])])
            ],
            "horizon": 10_000,
        },
        parameters=hyper.pop("problem", {}),
        hyper=hyper,
        **given(args, "horizon", "replications", "seed"),
    )
    code = run(args, arena, local(arena))
    scale = None if given(args, "low", "high", "sigma") else unscaled(log)
    for line in (*log.notes, *([scale] if scale else [])):
        print(f"{line[0].upper()}{line[1:]}.", file=sys.stderr)
    if log.dim:
        print(REPLAY, file=sys.stderr)
    return code


def environment(args: argparse.Namespace) -> int:
    """A Gymnasium environment: an arena if its transitions are known, else it is played."""
    from banditlab.arena import spec

    if args.env.startswith(DATA):
        return _labelled(args)
    only(args, "--env", *RUN, "env")
    hyper = settings(args.set)
    parameters = hyper.pop("problem", {})
    named = [*([args.agent] if args.agent else []), *args.vs]
    kind = registry.environment(named[0], **hyper.get(named[0], {})) if named else "environment"
    module = importlib.import_module(f"banditlab.reports.{kind}")
    names = module.company(args.agent, args.vs)
    module.algorithms(names, hyper)
    asked = given(args, "horizon", "replications", "seed")
    if module.is_arena(args.env, parameters):
        arena = spec.read_arena(module.arena(args.env, names, hyper, parameters, **asked))
        return run(args, arena, local(arena))
    only(
        args, "an environment without a table of its transitions", "agent", "vs", "env", "horizon",
        "replications", "seed", "set", "out",
    )  # fmt: skip
    folder = Path(args.out) if args.out else None
    if folder is not None:
        check_writable(folder)
    with Bar(quiet=args.quiet) as bar:
        found, data = module.command(args.env, names, hyper, parameters, **asked, progress=bar.show)
    if folder is not None:
        module.save(found, data, folder)
    code = _show(args, found, module.render)
    if folder is not None and not (args.json or args.quiet):
        print(f"{module.SAVED} in {folder}")
    return code


def _labelled(args: argparse.Namespace) -> int:
    """Agents that guess the labels of a table, row after row, and are told whether they are right.

    Features are brought to mean 0 and variance 1, given a constant, and rows to length 1, for
    which learners are made; the named sets are only brought to length 1, as in the literature.
    """
    from banditlab.arena import spec
    from banditlab.data.sets import SETS
    from banditlab.problems.classification import read

    only(args, f"--env {DATA}FILE", *RUN, "env", "label")
    source = args.env.removeprefix(DATA)
    hyper = settings(args.set)
    parameters = hyper.pop("problem", {})
    for word in {"data", "label"} & set(parameters):
        raise ValueError(f"--set problem.{word}: that is what --env and --label say")
    found = read(source, args.label or "label")
    if args.label and source in SETS:
        raise ValueError(f"--label is not for {source}, a set that knows its labels")
    sizes = {} if source in SETS else {"normalize": "zscore_l2", "constant": True}
    names = [*([args.agent] if args.agent else DEFAULTS), *args.vs]
    names = list(dict.fromkeys(names if len(names) > 1 else [*names, "uniform"]))
    arena = spec.read_arena(
        {
            "name": "data-" + re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).stem),
            "title": f"{Path(source).stem}: a guess a round, and only the guess is judged",
            "problem": {
                "name": "classification",
                "data": source,
                **given(args, "label"),
                **sizes,
                **parameters,
            },
            "agents": [{"name": name, **_own_coefficients(name)} for name in names],
            "horizon": min(max(len(found), PLAYED), MOST),
            "replications": 10,
            "xscale": "linear",
        },
        hyper=hyper,
        **given(args, "horizon", "replications", "seed"),
    )
    code = run(args, arena, local(arena))
    for line in _about(found, arena.panels[0].horizon):
        print(f"{line[0].upper()}{line[1:]}.", file=sys.stderr)
    return code


def _own_coefficients(name: str) -> dict[str, Any]:
    """What lets a linear agent tell arms apart by features that all of them share."""
    own = inspect.signature(registry.factory("agent", name)).parameters.get("disjoint")
    return {"disjoint": True} if own is not None else {}


def _about(found: Labelled, horizon: int) -> list[str]:
    """What to know of a table that was played."""
    counts = np.bincount(found.y)
    said = [
        f"{len(found):,} rows, {found.x.shape[1]} features, {len(found.labels)} labels; always "
        f"guessing {shown(found.labels[int(counts.argmax())])} errs in "
        f"{1.0 - counts.max() / len(found):.1%} of the rounds"
    ]
    if horizon > len(found):
        said.append(f"rows come again, for the {horizon:,} rounds are more than the rows")
    return [*said, *found.notes]


def _show(args: argparse.Namespace, found: dict[str, Any], render: Callable[..., None]) -> int:
    if args.json:
        print(json.dumps(found))
    elif not args.quiet:
        from rich.console import Console

        render(found, Console())
    return 0
