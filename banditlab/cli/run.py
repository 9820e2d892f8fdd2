"""Runs of an arena: which one, changed in what, and what is kept and shown of it."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from banditlab import interrupt, registry, track
from banditlab.cli import output
from banditlab.cli.flags import settings
from banditlab.cli.live import Live, both
from banditlab.console import Bar
from banditlab.data import atomic
from banditlab.validate import inside

if TYPE_CHECKING:
    from banditlab.arena.backends.base import Backend
    from banditlab.arena.resolve import Contest
    from banditlab.arena.store import Store
    from banditlab.curves import Curves


def chosen(args: argparse.Namespace) -> tuple[Any, str]:
    """The arena to run, and the folder under results/ that it deserves."""
    from banditlab.arena import find, spec
    from banditlab.arena.simulate import leave_out

    if args.agent is not None:
        registry.factory("agent", args.agent)  # an unknown name is said first
    name = args.arena or (find.home_arena(args.agent) if args.agent else "stochastic")
    if not args.allow_code:
        find.refuse_code(name)
    plain = spec.read_arena(name)
    agents = None
    if args.vs:
        agents = list(dict.fromkeys([args.agent, *args.vs] if args.agent else args.vs))
    elif args.agent and not any(a.name == args.agent for p in plain.panels for a in p.agents):
        agents = [args.agent, *_company(plain)] if args.agent.endswith(".py") else [args.agent]
    hyper = settings(args.set)
    changes: dict[str, Any] = {
        "horizon": args.horizon,
        "replications": args.replications,
        "seed": args.seed,
        "agents": agents,
        "problem": args.problem,
        "parameters": hyper.pop("problem", {}),
        "hyper": hyper,
    }
    if not any(value or value == 0 for value in changes.values()):
        arena = plain
    else:
        arena = spec.read_arena(name, **changes)
    changed = arena is not plain and arena.hash() != plain.hash()
    if args.problem:
        _distinct(arena)
        if not args.vs:
            leave_out(arena, wanted=[args.agent])
    own = (args.bands or "pointwise", args.style or "paper") != ("pointwise", "paper")
    elsewhere = changed or own or args.until_resolved is not None
    return arena, local(arena) if elsewhere else arena.name


def local(arena: Any) -> str:
    """The folder of an arena that is not as its file says."""
    return f"local/{arena.name}-{arena.hash()}"


def _company(arena: Any) -> list[str]:
    """Whom a newcomer meets when no rival is named."""
    known = {a.name for panel in arena.panels for a in panel.agents}
    return [name for name in ("ucb", "uniform") if name in known]


def _distinct(arena: Any) -> None:
    """Keep one of the panels that another problem has made equal."""
    places = {"name", "row", "column", "slopes"}
    kept: dict[str, Any] = {}
    for panel in arena.panels:
        kept.setdefault(panel.model_dump_json(exclude=places), panel)
    arena.panels = list(kept.values())


def run(args: argparse.Namespace, arena: Any, place: str) -> int:
    """Run an arena, keep its curves and figure, and show what came out."""
    from banditlab.arena import memory
    from banditlab.arena.backends import backend
    from banditlab.arena.store import Store

    for note in arena.notes:
        print(note, file=sys.stderr)
    refuse(args, arena)
    folder = Path(args.out) if args.out else Path("results") / place
    bound = memory.size(args.memory) if args.memory else None
    watch = None if args.track is None else track.open_tracker(args.track, folder / args.track)
    asked = (args.backend, args.workers, args.address)
    plain = backend(arena, *asked)

    def players(played: Any) -> Backend:  # --until-resolved plays an arena that has grown, too
        return plain if played is arena else backend(played, *asked)

    check_writable(folder)
    try:
        with (
            track.using(watch) if watch else nullcontext(),
            Store(folder / ".partial", arena.hash(), resume=args.resume) as store,
        ):
            return _simulated(args, arena, players, store, folder, bound)
    finally:
        _remove_empty(folder)


def refuse(args: argparse.Namespace, arena: Any) -> None:
    """Say what is wrong with the flags of a run before anything is played, or written."""
    from banditlab.arena import memory
    from banditlab.arena.backends import backend

    _contest(args, arena)
    if args.memory:
        memory.size(args.memory)
    if args.track is not None:
        track.open_tracker(args.track, ".")
    backend(arena, args.backend, args.workers, args.address)
    if args.live and args.quiet:
        raise ValueError("--live shows what --quiet hides: leave one of them out")
    pairs = [p for p in arena.panels if p.sweep or len(p.agents) > 1]
    if args.compare and not any(panel.replications > 1 for panel in pairs):
        raise ValueError("--compare needs a panel with two agents, and two replications of each")


def _contest(args: argparse.Namespace, arena: Any) -> Contest | None:
    """What --until-resolved asks for."""
    if args.until_resolved is None:
        for flag in ("most", "span"):
            if getattr(args, flag) is not None:
                raise ValueError(f"--{flag} is for --until-resolved")
        return None
    from banditlab.arena.resolve import Contest

    alpha = inside("--until-resolved", args.until_resolved, 0.0, 1.0)
    return Contest(arena, alpha, args.most, args.span)


def _simulated(
    args: argparse.Namespace,
    arena: Any,
    players: Callable[[Any], Backend],
    store: Store,
    folder: Path,
    bound: int | None,
) -> int:
    """Run an arena in ``bound`` bytes, save and show its curves; returns the exit code."""
    from banditlab.arena import resolve, simulate
    from banditlab.arena.runner import Interrupted

    atomic.sweep(folder)
    saved = False

    def ended() -> str:
        if saved:
            return f"interrupted; the curves are in {folder}"
        with suppress(OSError):
            store.flush()
        said = _kept(store)
        store.close()
        _remove_empty(folder)
        return f"interrupted; {said}"

    with interrupt.hook(ended):
        live = Live(arena, args.quiet, arena.counted) if args.live else None
        bar = live or Bar(quiet=args.quiet, counted=arena.counted)
        loading = Thread(target=_load_what_saves)

        def told(what: str, done: int, total: int) -> None:
            if loading.ident is None:  # now that the run is under way: it was not refused
                loading.start()
            bar.show(what, done, total)

        try:
            with bar:
                tracker = track.active()
                follower = track.Follower(tracker) if tracker else None
                watch = both(follower, live.watch if live else None)
                if (contest := _contest(args, arena)) is not None:
                    curves = resolve.resolve(contest, players, told, store, bound, watch)
                else:
                    curves = simulate.run(arena, players(arena), told, store, bound, watch)
            curves.save(folder, args.bands or "pointwise", args.style or "paper")
        except Interrupted:
            print(f"interrupted; {_kept(store)}", file=sys.stderr)
            return 1
        except OSError as error:
            with suppress(OSError):  # the disk is full, say
                store.flush()
            print(f"error: {output.cause(error)}; {_kept(store)}", file=sys.stderr)
            return 1
        finally:
            if loading.ident is not None:
                loading.join()  # Python must not end within an import
        saved = True
        store.discard()
        if tracker and not args.quiet:
            print(f"to see its curves: {tracker.shown()}", file=sys.stderr)
        return _told(args, curves, folder)


def _told(args: argparse.Namespace, curves: Curves, folder: Path) -> int:
    """Show what came out; returns the exit code."""
    from banditlab.arena.claims import failed
    from banditlab.cli.tables import show, summary

    try:
        if args.json:
            print(json.dumps(summary(curves, folder)))
        elif not args.quiet:
            show(curves, folder, pairs=args.compare)
        output.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        output.silence()
        said = f"standard output: {output.cause(error)}; the curves are in {folder}"
        print(f"error: {said}", file=sys.stderr)
        return 1
    wrong = failed(curves.checks)
    for check in wrong:
        print(f"check failed: {check['check']}: {check['found']}", file=sys.stderr)
    return 1 if wrong else 0


def _kept(store: Store) -> str:
    kept = store.summary()
    return f"{kept}; go on with --resume" if kept else "nothing was kept"


def _load_what_saves() -> None:
    """It takes a second, during which the simulation leaves Python free."""
    import pyarrow.parquet  # noqa: F401
    import scipy.special  # noqa: F401

    import banditlab.plot  # noqa: F401


def check_writable(folder: Path) -> None:
    """Refuse an output folder that cannot be written before anything is computed."""
    try:
        above = folder
        while not above.exists():
            if above.is_symlink():
                raise OSError(2, f"the symbolic link {above} leads nowhere")
            above = above.parent
        if not above.is_dir():
            raise NotADirectoryError(20, "a file of that name exists")
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise ValueError(f"--out: cannot write to {folder}: {error.strerror}") from error


def _remove_empty(folder: Path) -> None:
    """Leave no trace of a run that was refused."""
    with suppress(OSError):
        while folder.name and folder.is_dir() and not any(folder.iterdir()):  # "." has no name
            folder.rmdir()
            folder = folder.parent
