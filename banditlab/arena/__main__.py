"""``python -m banditlab.arena``: run an arena, print a table, draw the figure, keep the files."""

from __future__ import annotations

import argparse
import atexit
import gc
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any, NoReturn

import banditlab
from banditlab.cli.console import Bar, show, summary
from banditlab.protocols.identify import Identify
from banditlab.protocols.observe import Observe

EXAMPLES = """examples:
  python -m banditlab.arena --agent lcb
  python -m banditlab.arena --agent ucb --vs thompson --vs kl_ucb --horizon 100000
  python -m banditlab.arena --agent ./my_agent.py --vs ucb
  python -m banditlab.arena --agent lcb --log clicks.csv
  python -m banditlab.arena --agent lin_lcb --log clicks.csv
  python -m banditlab.arena --agent vi_lcb --log transitions.parquet
  python -m banditlab.arena --agent batched_omd --log losses.csv --set problem.look_price=0.1
  python -m banditlab.arena --agent dp_bai --log ratings.csv --set dp_bai.epsilon=1
  python -m banditlab.arena --agent vi_lcb --env FrozenLake-v1 --set problem.gamma=0.9
  python -m banditlab.arena --list
"""


# Flags that mean nothing where a report is printed and no arena runs.
ARENAS_ONLY = ("vs", "arena", "problem", "bands", "out", "resume")
FILES_ONLY = ("low", "high", "unit", "max_per_unit")


class Parser(argparse.ArgumentParser):
    """Errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the line and leave with exit code 2."""
        raise ValueError(message)


def parser() -> Parser:
    """The command line's flags."""
    p = Parser(
        prog="python -m banditlab.arena",
        description="Run bandit agents against a problem, many replications at once.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("--list", action="store_true", help="show agents by family, problems and arenas")
    add("--agent", metavar="NAME", help="an agent of --list, or a .py file; runs its home arena")
    add("--arena", metavar="NAME", help="an arena of --list, or a .toml file")
    add("--vs", metavar="NAME", action="append", default=[], help="replace the arena's agents")
    add("--problem", metavar="NAME", help="a problem of --list, or a .py file, in every panel")
    add("--env", metavar="ID", help="a Gymnasium environment with discrete states and actions")
    add("--log", metavar="FILE", help="a real log (.csv, .parquet): action, reward[, ...]")
    add("--low", metavar="X", type=float, help="least reward or loss of a --log; by default 0")
    add("--high", metavar="X", type=float, help="largest reward or loss of a --log; by default 1")
    add("--unit", metavar="COLUMN", help="whose reward it is: protect them, not the single reward")
    add("--max-per-unit", metavar="M", type=int, help="rewards kept of each unit; by default 1")
    add("--horizon", metavar="N", type=int, help="rounds")
    add("--replications", metavar="R", type=int, help="independent runs of each agent")
    add("--seed", metavar="S", type=int, help="same seed, same numbers")
    add("--workers", metavar="W", type=int, help="threads; never changes the result")
    add(
        "--set",
        metavar="NAME.key=value",
        action="append",
        default=[],
        help="hyper-parameter of an agent, or argument of the problem: problem.key=value",
    )
    add("--bands", choices=("pointwise", "simultaneous"), default="pointwise", help="95%% bands")
    add("--out", metavar="DIR", help="where files go; by default results/")
    add("--resume", action="store_true", help="go on with an interrupted run")
    add("--json", action="store_true", help="print one JSON object on standard output")
    add("--quiet", action="store_true", help="no progress and no table")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, 1 (a check failed or the run broke) or 2 (bad input)."""
    words = list(sys.argv[1:] if argv is None else argv)
    # What a run makes lives to its end: looking for garbage took a tenth of it, and a second more
    # when Python ends.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    try:
        return _main(parser().parse_args(words))
    except ValueError as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _main(args: argparse.Namespace) -> int:
    for flag, low in (("horizon", 1), ("replications", 1), ("seed", 0), ("workers", 1)):
        value = getattr(args, flag)
        if value is not None and value < low:
            raise ValueError(f"--{flag} must be at least {low}, got {value}")
    if args.list:
        return _list(args)
    if args.env or not args.log:
        _without(args, *FILES_ONLY)
    if args.env:
        return _env(args)
    if args.log:
        from banditlab.reports.transitions import is_dataset

        return _transitions(args) if is_dataset(args.log) else _log(args)
    if not (args.agent or args.arena or args.vs):
        raise ValueError("say what to run: --agent NAME, --arena NAME, or --list")
    return _run(args)


def _list(args: argparse.Namespace) -> int:
    from banditlab import registry
    from banditlab.arena import spec

    arenas = {}
    for name in spec.arena_files():
        arenas[name] = spec.read_arena(name).claim
    found: dict[str, Any] = {
        "agents": registry.families(),
        "problems": registry.problem_names(),
        "arenas": arenas,
    }
    if args.json:
        print(json.dumps(found))
        return 0
    from rich.console import Console
    from rich.table import Table

    console = Console()
    agents = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for family, members in found["agents"].items():
        agents.add_row(f"[bold]{family}[/]", ", ".join(members))
    claims = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, claim in arenas.items():
        claims.add_row(f"[bold]{name}[/]", claim)
    for title, body in (
        ("Agents (--agent, --vs)", agents),
        ("Problems (--problem)", ", ".join(found["problems"])),
        ("Arenas (--arena)", claims),
    ):
        console.print(f"[underline]{title}[/]")
        console.print(body)
        console.print()
    return 0


def _settings(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``NAME.key=value`` words as {NAME: {key: value}}; values read as JSON, else as text."""
    found: dict[str, dict[str, Any]] = {}
    for word in words:
        left, equals, text = word.partition("=")
        name, dot, key = left.rpartition(".")
        if not (equals and dot and name and key):
            raise ValueError(f"--set must look like NAME.key=value, got {word!r}")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = {"True": True, "False": False}.get(text, text)
        found.setdefault(name, {})[key] = value
    return found


def _read(args: argparse.Namespace) -> tuple[Any, str]:
    """The arena to run and the name of the folder that it deserves."""
    from banditlab.arena import spec

    if args.env:
        return _environment(args), ""
    agents = None
    if args.agent is not None:
        banditlab.registry.factory("agent", args.agent)  # an unknown name is said first
    if args.vs:
        agents = list(dict.fromkeys([args.agent, *args.vs] if args.agent else args.vs))
    if args.log:
        return _replay(args, agents or [args.agent, "uniform"]), ""
    name = args.arena or (spec.home_arena(args.agent) if args.agent else "stochastic")
    if args.agent and not args.vs:
        plain = spec.read_arena(name)
        if not any(a.name == args.agent for panel in plain.panels for a in panel.agents):
            agents = [args.agent, *_company(plain)] if args.agent.endswith(".py") else [args.agent]
    problem = {"name": args.problem} if args.problem else None
    settings = _settings(args.set)
    parameters = settings.pop("problem", {})
    arena = spec.read_arena(
        name,
        horizon=args.horizon,
        replications=args.replications,
        seed=args.seed,
        agents=agents,
        problem=_with_defaults(problem) if problem else None,
        parameters=parameters,
        hyper=settings,
    )
    known = {x for p in arena.panels for a in p.agents for x in (a.name, a.label)}
    for given in settings:
        if given not in known:
            raise ValueError(f"--set: {banditlab.registry.unknown('agent', given, known)}")
    changed = arena.hash() != spec.read_arena(name).hash() or args.bands != "pointwise"
    if problem or parameters:
        arena.checks = []
    if problem:
        _distinct(arena)
    if problem and not args.vs:
        _leave_out(arena, args.agent)
    return arena, f"local/{arena.name}-{arena.hash()}" if changed else arena.name


def _distinct(arena: Any) -> None:
    """Keep one of the panels that another problem has made equal."""
    places = {"name", "row", "column", "slopes"}
    kept: dict[str, Any] = {}
    for panel in arena.panels:
        kept.setdefault(panel.model_dump_json(exclude=places), panel)
    arena.panels = list(kept.values())


def _leave_out(arena: Any, wanted: str | None) -> None:
    """Drop the arena's agents that cannot play another problem; those asked for must."""
    from banditlab.arena.jobs import can_play

    dropped: dict[str, None] = {}
    for panel in arena.panels:
        able = [a for a in panel.agents if a.name == wanted or can_play(panel, a)]
        dropped |= {a.label: None for a in panel.agents if a not in able}
        panel.agents = able or panel.agents
    stuck = any(a.name == wanted and not can_play(p, a) for p in arena.panels for a in p.agents)
    if dropped and not stuck:  # else the run is about to be refused, in one line
        name = arena.panels[0].problem.name
        print(f"left out, for {name} is beyond them: {', '.join(dropped)}", file=sys.stderr)


def _replay(args: argparse.Namespace, agents: list[str]) -> Any:
    """Online agents on a simulator built from the log's own rows."""
    from banditlab.arena import spec
    from banditlab.data.log import Log
    from banditlab.problems.replay import incomplete

    entries = [{"name": name, **_settings(args.set).get(name, {})} for name in agents]
    stem = Path(args.log).stem
    log = Log.of(args.log)
    missing = incomplete(log).size
    if 0 < missing < log.n_contexts:
        said = f"{missing} of {log.n_contexts} contexts are left out"
        print(f"{said}: the log has no row of some arm there", file=sys.stderr)
    return spec.read_arena(
        {
            "name": f"replay-{stem}",
            "title": f"Bootstrapped replay of {stem}",
            "problem": {"name": "replay", "log": args.log, "complete": True},
            "agents": entries,
            "horizon": args.horizon or 10_000,
            "replications": args.replications or 100,
            "seed": args.seed or 0,
        }
    )


def _environment(args: argparse.Namespace) -> Any:
    """Planners on logs of an environment whose transitions are known."""
    from banditlab.arena import spec
    from banditlab.reports import transitions as planning

    settings = _settings(args.set)
    parameters = settings.pop("problem", {})
    names = planning.company(args.agent, args.vs)
    given = {name: getattr(args, name) for name in ("horizon", "replications", "seed")}
    return spec.read_arena(planning.arena(args.env, names, settings, parameters, **given))


def _company(arena: Any) -> list[str]:
    """Whom a newcomer meets when no rival is named."""
    known = {a.name for panel in arena.panels for a in panel.agents}
    return [name for name in ("ucb", "uniform") if name in known]


def _with_defaults(problem: dict[str, Any]) -> dict[str, Any]:
    """A problem named on the command line plays the example that its file gives."""
    made = banditlab.registry.factory("problem", problem["name"])
    example = getattr(sys.modules[made.__module__], "example", {})
    return {**problem, **example}


def _run(args: argparse.Namespace) -> int:
    from banditlab.arena.runner import Interrupted
    from banditlab.arena.simulate import simulate

    arena, place = _read(args)
    place = place or f"local/{arena.name}-{arena.hash()}"
    folder = Path(args.out) if args.out else Path("results") / place
    _check_writable(folder)
    keep = folder / ".partial"
    if keep.exists() and not args.resume:
        _empty(keep)
    bar = Bar(quiet=args.quiet)
    Thread(target=_load_what_saves).start()  # no daemon: Python must not end within an import
    try:
        with bar:
            curves = simulate(arena, workers=args.workers, progress=bar.show, keep=keep)
    except Interrupted as error:
        print(f"{error} in {keep}; go on with --resume", file=sys.stderr)
        return 1
    except ValueError:
        _empty(keep)
        _remove_empty(folder)
        raise
    curves.save(folder, bands=args.bands)
    _empty(keep)
    failed = [check for check in curves.checks if not check["passed"]]
    if args.json:
        print(json.dumps(summary(curves, folder)))
    elif not args.quiet:
        show(curves, folder)
    for check in failed:
        print(f"check failed: {check['check']}: {check['found']}", file=sys.stderr)
    return 1 if failed else 0


def _load_what_saves() -> None:
    """It takes a second, during which the simulation leaves Python free."""
    import pandas  # noqa: F401

    import banditlab.plot  # noqa: F401


def _check_writable(folder: Path) -> None:
    """Refuse an output folder that cannot be written before anything is computed."""
    above = folder
    while not above.exists():
        above = above.parent
    try:
        if not above.is_dir():
            raise NotADirectoryError(20, "a file of that name exists")
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise ValueError(f"--out: cannot write to {folder}: {error.strerror}") from error


def _empty(keep: Path) -> None:
    for file in keep.glob("*"):
        file.unlink()
    if keep.exists():
        keep.rmdir()


def _remove_empty(folder: Path) -> None:
    """Leave no trace of a run that was refused."""
    while folder.name and folder.is_dir() and not any(folder.iterdir()):  # "." has no name
        folder.rmdir()
        folder = folder.parent


def _log(args: argparse.Namespace) -> int:
    """A real log: what the offline rules would deploy, or an online agent on its replay.

    For agents of protocol ``observe`` the file holds losses, for those of ``identify`` rewards.
    """
    from banditlab.data.log import Log
    from banditlab.reports.rules import REPLAY, REPORTS, render

    name = args.agent or "lcb"
    algorithm = banditlab.make(name, **_settings(args.set).get(name, {}))
    if isinstance(algorithm, Observe):
        return _losses(args)
    if isinstance(algorithm, Identify):
        return _ratings(args)
    _without(args, *FILES_ONLY)
    if name in REPORTS:
        settings = _settings(args.set)
        _only(settings, name)
        found = REPORTS[name](args.log, seed=args.seed or 0, **settings.get(name, {}))
        return _show(args, found, render)
    code = _run(args)
    if Log.read(args.log).dim:
        print(REPLAY, file=sys.stderr)
    return code


def _without(args: argparse.Namespace, *flags: str) -> None:
    """Refuse flags that would not change anything."""
    for flag in flags:
        if getattr(args, flag) not in (None, [], False, "pointwise"):
            raise ValueError(f"--{flag.replace('_', '-')} is not for this run")


def _given(args: argparse.Namespace, *flags: str) -> dict[str, Any]:
    return {flag: getattr(args, flag) for flag in flags if getattr(args, flag) is not None}


def _losses(args: argparse.Namespace) -> int:
    """A file of losses: what each budget of observations costs on it."""
    from banditlab.reports.budget import render, report

    _without(args, "unit", "max_per_unit", *ARENAS_ONLY)
    settings = _settings(args.set)
    terms = settings.pop("problem", {})
    allowed = ("price", "look_price", "budget", "extra")
    for key in terms:
        if key not in allowed:
            raise ValueError(
                f"--set: problem: {banditlab.registry.unknown('argument', key, allowed)}"
            )
    _only(settings, args.agent)
    given = _given(args, "low", "high", "horizon", "replications", "seed", "workers")
    hyper = settings.get(args.agent, {})
    with Bar(quiet=args.quiet) as bar:
        found = report(args.log, args.agent, progress=bar.show, **terms, **given, **hyper)
    return _show(args, found, render)


def _ratings(args: argparse.Namespace) -> int:
    """A table of rewards: how often a private algorithm names its best arm, and a release."""
    from banditlab.reports.release import render, report

    _without(args, "workers", *ARENAS_ONLY)
    if args.quiet and not args.json:
        raise ValueError("--quiet would release an arm, spend epsilon and show nothing: add --json")
    settings = _settings(args.set)
    _only(settings, args.agent)
    given = _given(args, "low", "high", "unit", "horizon", "replications", "seed")
    if args.max_per_unit is not None:
        if args.unit is None:
            raise ValueError("--max-per-unit needs --unit, the column that tells units apart")
        given["most"] = args.max_per_unit
    with Bar(quiet=args.quiet) as bar:
        found = report(
            args.log, args.agent, progress=bar.show, **given, **settings.get(args.agent, {})
        )
    return _show(args, found, render)


def _only(settings: dict[str, Any], name: str) -> None:
    for given in settings:
        if given != name:
            raise ValueError(f"--set: {banditlab.registry.unknown('agent', given, [name])}")


def _show(args: argparse.Namespace, found: dict[str, Any], render: Any) -> int:
    if args.json:
        print(json.dumps(found))
    elif not args.quiet:
        from rich.console import Console

        render(found, Console())
    return 0


def _env(args: argparse.Namespace) -> int:
    """A Gymnasium environment: an arena if its transitions are known, else a log of it."""
    from banditlab.reports import transitions as planning

    for flag in ("arena", "problem", "log"):
        if getattr(args, flag):
            raise ValueError(f"--env is a problem of its own; leave out --{flag}")
    settings = _settings(args.set)
    parameters = settings.pop("problem", {})
    names = planning.company(args.agent, args.vs)
    planning.algorithms(names, settings)
    if planning.has_table(args.env, parameters.get("options")):
        return _run(args)
    folder = Path(args.out) if args.out else None
    if folder is not None:
        _check_writable(folder)
    with Bar(quiet=args.quiet) as bar:
        found, data = planning.play(
            args.env,
            names,
            settings,
            parameters,
            rows=args.horizon or planning.ROWS,
            episodes=args.replications or planning.EPISODES,
            seed=args.seed or 0,
            progress=bar.show,
        )
    if folder is not None:
        planning.save(found, data, folder)
    return _show_plans(args, found)


def _transitions(args: argparse.Namespace) -> int:
    """A real log of transitions: what planners would do, and what that is worth."""
    from banditlab.reports import transitions as planning

    _without(args, *FILES_ONLY, "arena", "problem", "bands", "resume")
    settings = _settings(args.set)
    parameters = settings.pop("problem", {})
    names = planning.company(args.agent, args.vs)
    with Bar(quiet=args.quiet) as bar:
        found = planning.report(
            args.log, names, settings, parameters, seed=args.seed or 0, progress=bar.show
        )
    return _show_plans(args, found)


def _show_plans(args: argparse.Namespace, found: dict[str, Any]) -> int:
    from banditlab.reports.transitions import render

    if args.json:
        print(json.dumps(found))
    elif not args.quiet:
        from rich.console import Console

        render(found, Console())
        if args.out and args.env:
            print(f"log and summary in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
