"""Which agent for what: one table, ``advice.toml``, that the command line and documentation share.

>>> [rule.agents[0] for rule in advise({"feedback": "reward", "source": "log"})]
['lcb']
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from banditlab import registry
from banditlab.registry import unknown

FILE = Path(__file__).parent / "advice.toml"
HORIZON = 10_000  # where none is answered
PROMISES = re.compile(
    r"regret (?:is |of order |at most|grows)|at most|with probability|private|exploitability"
    r"|optimal|within|guarantee|logarithmic|minimax"
)


class Question(NamedTuple):
    """Something to know of a situation."""

    name: str
    ask: str
    answers: dict[str, str]  # what each means; the first is taken where none is given


class Rule(NamedTuple):
    """A situation, and what to take there."""

    conditions: dict[str, tuple[str, ...]]  # answers that it holds for, by question
    agents: tuple[str, ...]  # the first first
    because: str
    command: str  # that shows them at work; {horizon} stands for the horizon


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


@cache
def questions() -> tuple[Question, ...]:
    """What is asked, in order."""
    return tuple(Question(**entry) for entry in _table()["questions"])


@cache
def rules() -> tuple[Rule, ...]:
    """The whole table."""
    found = []
    for entry in _table()["rules"]:
        conditions = {
            name: (given,) if isinstance(given, str) else tuple(given)
            for name, given in entry["if"].items()
        }
        rule = Rule(conditions, tuple(entry["agents"]), entry["because"], entry["command"])
        found.append(rule)
    return tuple(found)


def open_rules(answers: Mapping[str, str]) -> list[Rule]:
    """The rules that nothing answered so far speaks against."""
    return [
        rule
        for rule in rules()
        if all(answers.get(name, given[0]) in given for name, given in rule.conditions.items())
    ]


def matters(name: str, answers: Mapping[str, str]) -> bool:
    """Whether the answer to a question can still tell rules apart."""
    return len({rule.conditions.get(name) for rule in open_rules(answers)}) > 1


def complete(answers: Mapping[str, str]) -> dict[str, str]:
    """The answers, with the first of each question where none was given.

    Raises ValueError, in one line, for a question or an answer that there is not.
    """
    known = {question.name: question for question in questions()}
    for name, answer in answers.items():
        if name not in known:
            raise ValueError(unknown("question", name, [*known, "horizon"]))
        if answer not in known[name].answers:
            raise ValueError(unknown(f"answer to {name}", answer, known[name].answers))
    return {name: answers.get(name, next(iter(q.answers))) for name, q in known.items()}


def advise(answers: Mapping[str, str], horizon: int = HORIZON) -> list[Rule]:
    """The rules for a situation, with the horizon in their commands; empty where there is none.

    Raises ValueError, in one line, for a question or an answer that there is not.
    """
    return [
        rule._replace(command=rule.command.format(horizon=horizon))
        for rule in open_rules(complete(answers))
    ]


# --- what is known of a name ------------------------------------------------------------------


def what(kind: str, name: str, papers: bool = True) -> str:
    """The first sentence of what a file says of itself, with the papers in brackets or without."""
    first = " ".join(registry.about(kind, name).partition("\n\n")[0].split())
    first = re.sub(r":\w+:`[~.]?([^`]+)`", r"\1", first)  # a reference of the documentation
    return first if papers else re.sub(r" \([^()]*\b(?:19|20)\d\d\b[^()]*\)", "", first)


def when(name: str) -> str:
    """When to take an agent: what its file says (``when = "..."``), or the table; may be empty."""
    return registry.when(name) or str(_table()["when"].get(name, ""))


def prose(kind: str, name: str) -> str:
    """The docstring after its first sentence, without its examples."""
    rest = registry.about(kind, name).partition("\n\n")[2]
    return re.split(r"^>>> ", rest, maxsplit=1, flags=re.MULTILINE)[0].rstrip()


def promises(name: str) -> list[str]:
    """Sentences of an agent's docstring that say what is guaranteed."""
    text = prose("agent", name)
    blocks = [" ".join(b.split()) for b in re.split(r"\n\s*\n", text) if not b.startswith("    ")]
    parts = [part for block in blocks for part in re.split(r"(?<=[a-z)\]])[.;] (?=[A-Z])", block)]
    return [part.rstrip(".") + "." for part in parts if PROMISES.search(part)][:4]


class Parameter(NamedTuple):
    """An argument of an agent or problem."""

    name: str
    default: str  # as it is written; empty where one must be given
    words: str  # range, unit and meaning, as its file says beside it


def parameters(kind: str, name: str) -> list[Parameter]:
    """Arguments of an agent or problem, with what its file says of each."""
    source = registry.file_of(kind, name).read_text(encoding="utf-8")
    found = []
    for one in inspect.signature(registry.factory(kind, name)).parameters.values():
        default = "" if one.default is one.empty else repr(one.default)
        found.append(Parameter(one.name, default, _beside(source, one.name)))
    return found


def _beside(source: str, name: str) -> str:
    """The comment of a field: on its line and on those below, or above it."""
    lines = source.splitlines()
    for i, line in enumerate(lines):
        if re.match(rf"    {re.escape(name)}: ", line):
            _, mark, words = line.partition("  # ")
            if mark:
                return words.strip()
            above: list[str] = []
            while i and (match := re.match(r"    # (.*)", lines[i - 1])):
                above.insert(0, match[1])
                i -= 1
            return " ".join(above)
    return ""
