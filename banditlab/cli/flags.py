"""The command line's flags: which there are, which of them a run takes, and what they say."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from typing import Any, NoReturn

import banditlab
from banditlab.validate import shown

EXAMPLES = """examples:
  python -m banditlab.arena --agent lcb
  python -m banditlab.arena --agent ucb --vs thompson --vs kl_ucb --horizon 100000
  python -m banditlab.arena --agent ./my_agent.py --vs ucb
  python -m banditlab.arena --agent lcb --log clicks.csv
  python -m banditlab.arena --agent lin_lcb --log clicks.csv
  python -m banditlab.arena --agent vi_lcb --log transitions.parquet
  python -m banditlab.arena --agent batched_omd --log losses.csv --set problem.look_price=0.1
  python -m banditlab.arena --agent dp_bai --log ratings.csv --low 1 --high 5
  python -m banditlab.arena --agent discover --log returns.csv
  python -m banditlab.arena --agent spo_batch --log drinks.csv
  python -m banditlab.arena --agent vi_lcb --env FrozenLake-v1 --set problem.gamma=0.9
  python -m banditlab.arena --agent neu_fast_cb --vs linucb --env data:digits
  python -m banditlab.arena --agent neu_fast_cb --vs linucb --env data:mushrooms.csv --label edible
  python -m banditlab.arena --list
  python -m banditlab.arena --advise
  python -m banditlab.arena --explain ucb
"""

# What every run takes, and what an arena that is run takes beside it.
SHOWN = ("json", "quiet")
RUN = (
    "agent",
    "vs",
    "horizon",
    "replications",
    "seed",
    "workers",
    "backend",
    "address",
    "set",
    "bands",
    "style",
    "out",
    "memory",
    "resume",
    "track",
    "live",
    "compare",
    "until_resolved",
    "most",
    "span",
)
LEAST = {"horizon": 1, "replications": 1, "seed": 0, "workers": 1, "most": 1, "trials": 1}


class Parser(argparse.ArgumentParser):
    """Errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2, after the line is printed."""
        raise ValueError(message)


def parser() -> Parser:
    """The flags. One that is not given is None, False or an empty list."""
    p = Parser(
        prog="python -m banditlab.arena",
        description="Run bandit agents against a problem, many replications at once.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("--version", action="version", version=f"banditlab {banditlab.__version__}")
    add("--list", action="store_true", help="show agents with a line each, problems and arenas")
    add("--explain", metavar="NAME", help="what an agent, problem or arena is, and its parameters")
    add(
        "--advise", nargs="*", metavar="QUESTION=ANSWER",
        help="which agent to take: asks, or takes answers, such as feedback=reward source=log",
    )  # fmt: skip
    add("--completion", choices=("bash", "zsh", "fish"), help="print a script for the shell")
    add("--agent", metavar="NAME", help="an agent of --list, or a .py file; runs its home arena")
    add("--arena", metavar="NAME", help="an arena of --list, or a .toml file")
    add("--allow-code", action="store_true", help="run .py files that the --arena file names")
    add("--vs", metavar="NAME", action="append", default=[], help="replace the arena's agents")
    add("--problem", metavar="NAME", help="a problem of --list, or a .py file, in every panel")
    add(
        "--env",
        metavar="ID",
        help="a Gymnasium environment with discrete states and actions; or data:FILE, a table of "
        "features and labels that is played as a bandit (data:digits and others by name)",
    )
    add("--label", metavar="COLUMN", help="the column of labels of --env data:FILE")
    add(
        "--log",
        metavar="FILE",
        help="a real log (.csv, .parquet): action, reward[, ...]; "
        "digits.csv and the others of arenas/logs/ come with banditlab",
    )
    add("--columns", metavar="OURS=THEIRS,...", help="names of a --log's columns, action=article")
    add(
        "--estimate-propensity", action="store_true",
        help="estimate with which probability a --log chose, in the place of what it says",
    )  # fmt: skip
    add("--sigma", metavar="X", type=float, help="standard deviation of a --log's rewards")
    add(
        "--low",
        metavar="X",
        type=float,
        help="least reward or loss of a --log; by default 0, but for releases",
    )
    add(
        "--high",
        metavar="X",
        type=float,
        help="largest reward or loss of a --log; by default 1, but for releases",
    )
    add("--unit", metavar="COLUMN", help="whose reward it is: protect them, not the single reward")
    add("--max-per-unit", metavar="M", type=int, help="rewards kept of each unit; by default 1")
    add("--ledger", metavar="FILE", help="count the epsilon of a release there, before it is drawn")
    add("--epsilon-total", metavar="E", type=float, help="most epsilon a table may spend, in all")
    add(
        "--mechanism", choices=("own", "opendp"), help="who draws a release's noise; by default own"
    )
    add("--horizon", metavar="N", type=int, help="rounds")
    add("--replications", metavar="R", type=int, help="independent runs of each agent")
    add("--seed", metavar="S", type=int, help="same seed, same numbers")
    add(
        "--workers", metavar="W|auto", type=_workers,
        help="threads or processes; auto: as a second's probe finds; never changes the result",
    )  # fmt: skip
    add("--backend", metavar="NAME", help="who plays: threads, processes or ray; the same result")
    add("--address", metavar="HOST:PORT", help="a Ray cluster for --backend ray; else a local one")
    add(
        "--set",
        metavar="NAME.key=value",
        action="append",
        default=[],
        help="hyper-parameter of an agent, or argument of the problem: problem.key=value",
    )
    add("--style", choices=("paper", "screen", "dark"), help="of the figure; by default paper")
    add("--bands", choices=("pointwise", "simultaneous"), help="95%% bands; by default pointwise")
    add("--out", metavar="DIR", help="where files go; by default results/")
    add("--memory", metavar="SIZE", help="of the run, such as 1GB; by default half of what is free")
    add("--resume", action="store_true", help="go on with an interrupted run")
    add("--live", action="store_true", help="show how every agent is doing, while they run")
    add(
        "--tune", metavar="KEY=LOW:HIGH[:log]", action="append", default=[],
        help="search a hyper-parameter of --agent, then run it tuned and untuned; KEY=a|b too",
    )  # fmt: skip
    add("--trials", metavar="N", type=int, help="trials of --tune; by default 30")
    add("--compare", action="store_true", help="show every pair of agents: differences, p-values")
    add(
        "--until-resolved", metavar="ALPHA", nargs="?", type=float, const=0.05,
        help="add replications until the better of the best two is known at level ALPHA, or 0.05",
    )  # fmt: skip
    add(
        "--most", metavar="R", type=int, help="replications of --until-resolved; by default 64-fold"
    )
    add("--span", metavar="LOW:HIGH", help="of the measure, for --until-resolved, where unknown")
    add("--track", metavar="WHERE", help="write curves while they are made: tensorboard")
    add("--json", action="store_true", help="print one JSON object on standard output")
    add("--quiet", action="store_true", help="no progress and no table")
    return p


def _workers(word: str) -> int | str:
    """A number of workers, or "auto"."""
    try:
        return word if word == "auto" else int(word)
    except ValueError:
        said = f"must be a whole number or auto, got {shown(word)}"
        raise argparse.ArgumentTypeError(said) from None


def only(args: argparse.Namespace, what: str, *allowed: str) -> None:
    """Refuse, in one line, every flag that would change nothing in such a run."""
    for flag, value in vars(args).items():
        unset = value is None or value is False or value == []  # 0 is not
        if flag not in (*allowed, *SHOWN) and not unset:
            raise ValueError(f"--{flag.replace('_', '-')} is not for {what}")
    for flag, low in LEAST.items():
        value = getattr(args, flag)
        if isinstance(value, int) and value < low:
            raise ValueError(f"--{flag} must be at least {low}, got {value}")


def given(args: argparse.Namespace, *flags: str) -> dict[str, Any]:
    """Those of the flags that were given."""
    found = {flag: getattr(args, flag) for flag in flags}
    return {
        flag: value for flag, value in found.items() if value is not None and value is not False
    }


def columns(words: str | None) -> dict[str, str] | None:
    """``ours=theirs,ours=theirs`` as a dictionary."""
    if words is None:
        return None
    found = {}
    for word in words.split(","):
        ours, equals, theirs = word.partition("=")
        if not (ours.strip() and equals and theirs.strip()) or ours.strip() in found:
            raise ValueError(f"--columns must look like action=article,reward=click, got {words!r}")
        found[ours.strip()] = theirs.strip()
    return found


def _unreadable(text: str, error: json.JSONDecodeError) -> str:
    """What keeps ``text`` from being read as JSON, where it is, and how it is written."""
    here = text[error.pos : error.pos + 12] or "its end"
    hint = ""
    if re.match(r"[-+]?\.\d", here):
        hint = "; write 0.5, not .5"
    elif here[:1] == "+":
        hint = "; a number has no +"
    elif re.match(r"\d|\.", here) or re.match(r"[Nn]a[Nn]|[Ii]nf|None|True|False", here):
        hint = "; write 0.5, 1e-3, true, false or null"
    elif here[:1].isalpha() or here[:1] == "'":
        hint = '; names are written in double quotes: ["a", "b"]'
    return f"cannot read {shown(text)} at {here!r}{hint}"


def settings(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``NAME.key=value`` words as {NAME: {key: value}}; values read as JSON, else as text."""
    found: dict[str, dict[str, Any]] = {}
    for word in words:
        left, equals, text = word.partition("=")
        name, dot, key = left.rpartition(".")
        if not (equals and dot and name and key):
            raise ValueError(f"--set must look like NAME.key=value, got {word!r}")
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            if text[:1] in ("[", "{"):  # meant as a list or a table
                raise ValueError(f"--set {left}: {_unreadable(text, error)}") from None
            value = {"True": True, "False": False}.get(text, text)
        except RecursionError:
            raise ValueError(f"--set {left}: lists are nested too deeply") from None
        found.setdefault(name, {})[key] = value
    return found
