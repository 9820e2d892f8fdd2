"""What to cite: the paper that an agent is made from, as BibTeX.

An agent's docstring names its papers as papers do, "(Auer, Cesa-Bianchi & Fischer 2002)"; what
stands in ``papers.bib`` under these authors and this year, and comes first, is the agent's own. So
an agent is cited by adding its one file, if the paper is known here; a file of one's own may hold
``bibtex = "@article{...}"`` instead.

>>> print(cite("ucb").splitlines()[0])
@article{auer2002ucb,
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

from banditlab import registry

FILE = Path(__file__).parent / "papers.bib"
ENTRY = re.compile(r"^@(\w+)\{([\w-]+), (.*)\}$", re.MULTILINE)
FIELD = re.compile(r"(\w+) = \{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}")


class Paper(NamedTuple):
    """An entry of ``papers.bib``."""

    key: str
    kind: str  # article, inproceedings, ...
    fields: dict[str, str]  # as BibTeX has them

    def families(self) -> list[str]:
        """Family names of the authors, in plain letters."""
        authors = self.fields["author"].split(" and ")
        return [plain(author.partition(", ")[0]) for author in authors]

    def bibtex(self) -> str:
        """The entry, a line for each field."""
        lines = "".join(f"  {name} = {{{value}}},\n" for name, value in self.fields.items())
        return f"@{self.kind}{{{self.key},\n{lines}}}"


@cache
def papers() -> tuple[Paper, ...]:
    """Every paper that is known, in the order of the file."""
    text = FILE.read_text(encoding="utf-8")
    found = ENTRY.findall(text)
    return tuple(Paper(key, kind, dict(FIELD.findall(body))) for kind, key, body in found)


def plain(words: str) -> str:
    """Words without accents, braces and commands, on one line; Voecking is Vocking."""
    bare = unicodedata.normalize("NFKD", re.sub(r"\\.|[{}]", "", words))
    letters = "".join(letter for letter in bare if not unicodedata.combining(letter))
    return " ".join(letters.replace("oe", "o").split())


@cache
def spellings() -> dict[str, Paper]:
    """Every way to name a paper in a text: "Wu & Liu 2016", "Liu et al. 2023".

    What would be several papers' names nobody.
    """
    found: list[tuple[str, Paper]] = []
    for paper in papers():
        *others, last = paper.families()
        year = paper.fields["year"]
        found.append(
            (f"{', '.join(others)} & {last} {year}" if others else f"{last} {year}", paper)
        )
        if len(others) > 1:
            found.append((f"{others[0]} et al. {year}", paper))
    many = Counter(name for name, _ in found)
    return {name: paper for name, paper in found if many[name] == 1}


def cited(text: str) -> list[Paper]:
    """The known papers that a text names, in the order in which it does."""
    text = plain(text)
    places: dict[str, tuple[int, Paper]] = {}
    for name, paper in spellings().items():
        # "Wu & Liu 2016" is no part of "Honda, Wu & Liu 2016", nor "Liu 2016" of either.
        match = re.search(rf"(?<![\w-])(?<!& )(?<![A-Za-z], ){re.escape(name)}\b", text)
        if match and (paper.key not in places or match.start() < places[paper.key][0]):
            places[paper.key] = match.start(), paper
    return [paper for _, paper in sorted(places.values(), key=lambda place: place[0])]


def source(name: str) -> list[Paper]:
    """The papers that the docstring of an agent or problem names, its own first."""
    return cited(registry.about(_kind(name), name))


def cite(name: str) -> str:
    """BibTeX of the paper that an agent (or problem) is made from.

    Controls, which no paper is needed for, give a line of comment that says so. Raises ValueError
    for an unknown name, and where it is not known what to cite.

    >>> print(cite("uniform_play"))
    % uniform_play: a control, from no paper
    """
    kind = _kind(name)
    if own := registry.bibtex(kind, name):
        return own
    if found := source(name):
        return found[0].bibtex()
    if kind == "agent" and registry.is_baseline(name):
        return f"% {name}: a control, from no paper"
    raise ValueError(f'{name}: its file names no paper known here; give it bibtex = "@..."')


def _kind(name: str) -> str:
    """Whether a problem is meant; an agent otherwise, also where there is neither."""
    agent = name.endswith(".py") or name in registry.names()
    return "agent" if agent or name not in registry.problem_names() else "problem"
