"""What there is and what to take: ``--list``, ``--explain``, ``--advise``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from banditlab import advice, citations, registry
from banditlab.arena import find, spec
from banditlab.registry import unknown

# --- --list -----------------------------------------------------------------------------------


def listing(args: argparse.Namespace) -> int:
    """Agents by family with a line each, problems and arenas."""
    arenas = {name: spec.read_arena(name).claim for name in find.arena_files()}
    found: dict[str, Any] = {
        "agents": registry.families(),
        "problems": registry.problem_names(),
        "arenas": arenas,
    }
    if args.json:
        said = {
            name: {"what": advice.what("agent", name), "when": advice.when(name)}
            for name in registry.names()
        }
        print(json.dumps({**found, "about": said}))
        return 0
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    agents = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("agent", "what", "when"):
        bold = title == "agent"
        agents.add_column(title, style="bold" if bold else None, no_wrap=bold)
    for family, members in found["agents"].items():
        agents.add_row(f"[underline]{family}[/]")
        for name in members:
            words = advice.what("agent", name, papers=False), advice.when(name)
            agents.add_row(name, *map(escape, words))
    claims = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, claim in arenas.items():
        claims.add_row(f"[bold]{name}[/]", escape(claim))
    for title, body in (
        ("Agents (--agent, --vs; --explain NAME says more, --advise which to take)", agents),
        ("Problems (--problem)", ", ".join(found["problems"])),
        ("Arenas (--arena)", claims),
    ):
        console.print(f"[underline]{title}[/]")
        console.print(body)
        console.print()
    return 0


# --- --explain --------------------------------------------------------------------------------


def explain(args: argparse.Namespace) -> int:
    """All that is known of a name, be it an agent, a problem or an arena, or several of these."""
    found = facts(args.explain)
    if args.json:
        print(json.dumps(found))
        return 0
    from rich.console import Console

    console = Console()
    for kind, known in found.items():
        _tell(console, kind, args.explain, known)
    return 0


def facts(name: str) -> dict[str, dict[str, Any]]:
    """What is known of a name, by kind; ValueError where there is nothing."""
    found: dict[str, dict[str, Any]] = {}
    if name in registry.names() or name.endswith(".py"):
        found["agent"] = _agent(name)
    if name in registry.problem_names():
        found["problem"] = _problem(name)
    if name in find.arena_files():
        found["arena"] = _arena(name)
    if not found:
        known = {*registry.names(), *registry.problem_names(), *find.arena_files()}
        raise ValueError(unknown("name", name, known))
    return found


def _arguments(kind: str, name: str) -> list[dict[str, str]]:
    return [parameter._asdict() for parameter in advice.parameters(kind, name)]


def _agent(name: str) -> dict[str, Any]:
    families = registry.families()
    home, plays = _arenas_of(name)
    try:
        papers = citations.cite(name)
    except ValueError:  # a file of one's own
        papers = ""
    return {
        "what": advice.what("agent", name),
        "when": advice.when(name),
        "family": next((f for f, members in families.items() if name in members), ""),
        "how": advice.prose("agent", name),
        "parameters": _arguments("agent", name),
        "guarantee": advice.promises(name),
        "source": papers,
        "home": home,
        "arenas": plays,
        "figure": f"results/{home}/figure.png" if home else "",
        "command": f"python -m banditlab.arena --agent {name}" if home else "",
    }


def _arenas_of(name: str) -> tuple[str, list[str]]:
    """The arena that calls the agent its own, and all in which it plays."""
    home, plays = "", []
    for arena, path in find.arena_files().items():
        if arena == name or name in find.read_toml(path).get("home_of", []):
            home = home or arena
        if any(e.get("name") == name for p in _panels(path) for e in p.get("agents", [])):
            plays.append(arena)
    return home, plays


def _panels(path: Path) -> list[dict[str, Any]]:
    """What an arena's file says for all panels, and of each."""
    table = find.read_toml(path)
    return [table, *table.get("panels", [])]


def _problem(name: str) -> dict[str, Any]:
    example = registry.example("problem", name)
    plays = [
        arena
        for arena, path in find.arena_files().items()
        if any(panel.get("problem", {}).get("name") == name for panel in _panels(path))
    ]
    return {
        "what": advice.what("problem", name),
        "how": advice.prose("problem", name),
        "parameters": _arguments("problem", name),
        "example": example,
        "arenas": plays,
    }


def _arena(name: str) -> dict[str, Any]:
    arena = spec.read_arena(name)
    return {
        "what": arena.title,
        "claim": arena.claim,
        "source": arena.source,
        "panels": {
            panel.name: {
                "protocol": panel.protocol,
                "problem": panel.problem.name,
                "agents": [agent.label for agent in panel.agents],
                "horizon": panel.horizon,
                "replications": panel.replications,
            }
            for panel in arena.panels
        },
        "checks": len(arena.checks),
        "figure": f"results/{name}/figure.png",
        "command": f"python -m banditlab.arena --arena {name}",
    }


def _tell(console: Any, kind: str, name: str, known: Mapping[str, Any]) -> None:
    """Print what is known; texts are shown as they are written."""
    from rich.table import Table
    from rich.text import Text

    def line(title: str, words: str) -> None:
        if words:
            console.print(Text.assemble((f"{title}: ", "bold"), words), soft_wrap=True)

    family = f", family {known['family']}" if known.get("family") else ""
    console.print(Text(f"{name} ({kind}{family})", style="bold underline"))
    console.print(Text(known["what"]), soft_wrap=True)
    for title in ("when", "claim", "source"):
        if kind == "arena" or title == "when":
            line(title.capitalize(), known.get(title, ""))
    if known.get("how"):
        console.print()
        console.print(Text(known["how"]), soft_wrap=True)
    if known.get("parameters"):
        table = Table(title="Parameters", title_justify="left")
        for column in ("parameter", "default", "range, unit, meaning"):
            table.add_column(column, overflow="fold")
        for one in known["parameters"]:
            default = one["default"] or "must be given"
            table.add_row(*map(Text, (one["name"], default, one["words"])))
        console.print()
        console.print(table)
    elif kind != "arena":
        line("Parameters", "none")
    for sentence in known.get("guarantee", ()):
        line("Guarantee", sentence)
    if kind == "agent" and known["source"]:
        console.print(Text.assemble(("Source\n", "bold"), known["source"]), soft_wrap=True)
    for title, panel in known.get("panels", {}).items():
        said = f"{panel['protocol']} on {panel['problem']}, {', '.join(panel['agents'])}"
        line(f"Panel {title}", said)
    if known.get("example"):
        line("Example", json.dumps(known["example"]))
    line("Plays in" if kind == "agent" else "Arenas", ", ".join(known.get("arenas", ())))
    if known.get("figure"):
        line("Figure", known["figure"])
        line("Run", known["command"])
    console.print()


# --- --advise ---------------------------------------------------------------------------------


def advising(args: argparse.Namespace) -> int:
    """Ask what is not answered, if somebody is there to ask; then say what to take, and why."""
    answers, horizon = answered(args.advise, args.horizon)
    if not args.json and not args.advise and sys.stdin is not None and sys.stdin.isatty():
        answers, horizon = asked(answers, horizon, _input)
    full = advice.complete(answers)
    taken = {name: answer for name, answer in full.items() if name not in answers}
    found = advice.advise(answers, horizon or advice.HORIZON)
    if args.json:
        said = [{**rule._asdict(), "conditions": dict(rule.conditions)} for rule in found]
        print(json.dumps({"answers": full, "advice": said}))
        return 0
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for name, answer in taken.items():
        if advice.matters(name, {k: v for k, v in full.items() if k != name}):
            words = next(q for q in advice.questions() if q.name == name).answers
            others = " or ".join(other for other in words if other != answer)
            console.print(Text(f"{name}={answer} is assumed; else answer {others}", style="dim"))
    if not found:
        console.print("No agent here is made for that. With one answer changed there are:")
        for changed, agents in nearest(full):
            console.print(Text(f"  {changed}: {', '.join(agents)}"), soft_wrap=True)
    for rule in found:
        for name in rule.agents:
            console.print(Text.assemble((name, "bold"), f": {advice.when(name)}"), soft_wrap=True)
        console.print(Text(rule.because), soft_wrap=True)
        console.print(Text(f"  {rule.command}"), soft_wrap=True)
        console.print()
    return 0


def nearest(answers: Mapping[str, str]) -> list[tuple[str, tuple[str, ...]]]:
    """What one answer would have to be for there to be agents, and which."""
    found = []
    for question in advice.questions():
        for answer in question.answers:
            if other := advice.advise({**answers, question.name: answer}):
                found.append((f"{question.name}={answer}", other[0].agents))
    return found


def answered(words: list[str], horizon: int | None) -> tuple[dict[str, str], int | None]:
    """``question=answer`` words; ValueError where one is none. ``horizon=N`` is taken, too."""
    answers: dict[str, str] = {}
    for word in words:
        name, equals, answer = word.partition("=")
        if not (equals and name and answer):
            known = ", ".join(f"{q.name}={next(iter(q.answers))}" for q in advice.questions())
            raise ValueError(f"--advise takes question=answer, such as {known}; got {word!r}")
        if name == "horizon":
            if not answer.isascii() or not answer.isdigit() or not 1 <= int(answer) <= 10**12:
                raise ValueError(f"horizon must be a whole number from 1 on, got {answer!r}")
            horizon = int(answer)
            continue
        answers[name] = answer
    advice.complete(answers)
    return answers, horizon


def asked(
    answers: dict[str, str], horizon: int | None, read: Callable[[str], str]
) -> tuple[dict[str, str], int | None]:
    """Ask the questions that matter; an empty answer, or the end of input, takes the first."""
    for question in advice.questions():
        if question.name in answers or not advice.matters(question.name, answers):
            continue
        print(question.ask)
        choices = list(question.answers)
        for i, name in enumerate(choices, 1):
            print(f"  {i}. {name}: {question.answers[name]}")
        while True:
            said = read(f"1 to {len(choices)}, or a word [1]: ").strip() or "1"
            chosen = (
                choices[int(said) - 1] if said in map(str, range(1, len(choices) + 1)) else said
            )
            if chosen in choices:
                answers[question.name] = chosen
                break
            print(unknown("answer", said, choices))
    while horizon is None and any("{horizon}" in r.command for r in advice.open_rules(answers)):
        said = read(f"How many rounds? [{advice.HORIZON}]: ").strip() or str(advice.HORIZON)
        if said.isascii() and said.isdigit() and 1 <= int(said) <= 10**12:
            horizon = int(said)
        else:
            print(f"a whole number from 1 on, not {said!r}")
    return answers, horizon


def _input(prompt: str) -> str:
    try:
        return input(prompt)
    except EOFError:
        print()
        return ""
