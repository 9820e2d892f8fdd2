"""Shell completion: a script for the command ``banditlab`` that knows every flag and name.

The script holds the names, so that a press of the tab key starts no Python. It is made from the
parser and the folders of agents, problems and arenas: print it anew when something was added.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from banditlab import advice, registry
from banditlab.arena import find
from banditlab.cli.flags import parser

WORDS = ("arena", "report", "readme")

BASH = """# banditlab's completion for {shell}: eval "$(banditlab arena --completion {shell})"
{head}_banditlab() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}
    case $before in
{cases}    *)
        if [[ $COMP_CWORD == 1 && $word != -* ]]; then
            COMPREPLY=($(compgen -W '{words}' -- "$word"))
        else
            COMPREPLY=($(compgen -W '{flags}' -- "$word"))
        fi ;;
    esac
}}
complete -o default -F _banditlab banditlab
"""
ZSH = "autoload -U +X compinit bashcompinit && compinit -u && bashcompinit\n"


def script(shell: str) -> str:
    """What the shell is to read: bash, zsh or fish."""
    if shell == "fish":
        return _fish()
    cases = "".join(
        f"    {flag}) COMPREPLY=($(compgen -W '{' '.join(values)}' -- \"$word\")) ;;\n"
        if values else f"    {flag}) COMPREPLY=() ;;\n"
        for flag, values in _values().items()
    )  # fmt: skip
    return BASH.format(
        shell=shell,
        head=ZSH if shell == "zsh" else "",
        cases=cases,
        words=" ".join(WORDS),
        flags=" ".join(flag for flag, _ in _flags()),
    )


def _flags() -> list[tuple[str, argparse.Action]]:
    """Every flag, and what it does."""
    return [(option, action) for action in parser()._actions for option in action.option_strings]


def _names(action: argparse.Action) -> Iterable[str] | None:
    """What may follow a flag; empty: a file, or a value that cannot be guessed; None: nothing."""
    if action.choices:
        return map(str, action.choices)
    agents, problems, arenas = registry.names(), registry.problem_names(), find.arena_files()
    known: dict[str, Iterable[str]] = {
        "agent": agents,
        "vs": agents,
        "problem": problems,
        "arena": arenas,
        "explain": sorted({*agents, *problems, *arenas}),
        "advise": [f"{q.name}={answer}" for q in advice.questions() for answer in q.answers],
        "set": [f"{name}." for name in (*agents, "problem")],
    }
    return None if action.nargs == 0 else known.get(action.dest, ())


def _values() -> dict[str, list[str]]:
    """The words that may follow each flag that takes one."""
    found = ((flag, _names(action)) for flag, action in _flags())
    return {flag: list(names) for flag, names in found if names is not None}


def _fish() -> str:
    lines = [
        "# banditlab's completion for fish: banditlab arena --completion fish | source",
        f"complete -c banditlab -n __fish_use_subcommand -f -a '{' '.join(WORDS)}'",
    ]
    for flag, action in _flags():
        names = _names(action)
        words = " ".join((action.help or "").replace("%%", "%").split()).replace("'", "")
        kind = f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
        after = "" if names is None else " -r"
        if chosen := list(names or ()):
            after = f" -x -a '{' '.join(chosen)}'"
        lines.append(f"complete -c banditlab {kind}{after} -d '{words}'")
    return "\n".join(lines) + "\n"
