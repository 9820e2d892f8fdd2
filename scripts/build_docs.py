"""Build the documentation: a site of HTML in build/docs, from docstrings and scripts/docs/.

Pages that follow from the code (the reference, the table of what each agent can do, the gallery)
are written into a copy of scripts/docs/ and built there; nothing of it is committed. Needs the
extra ``docs``. Any warning is an error. ``--no-run`` shows the tutorials without their output.
"""

from __future__ import annotations

import argparse
import json
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import banditlab
from banditlab import advice, registry
from banditlab.arena.claims import tally
from banditlab.protocols.base import Terms

ROOT = Path(__file__).parent.parent
PAGES = Path(__file__).parent / "docs"
NEEDS = {"mujoco": "stable_baselines3", "ray": "ray"}  # packages that tutorials need

# What users import, beside agents, problems, protocols and reports, which are found by name.
MODULES = (
    "banditlab",
    "banditlab.agent",
    "banditlab.curves",
    "banditlab.statistics",
    "banditlab.track",
    "banditlab.advice",
    "banditlab.envs",
    "banditlab.data.log",
    "banditlab.data.transitions",
    "banditlab.data.duels",
    "banditlab.data.table",
    "banditlab.offpolicy",
    "banditlab.privacy",
    "banditlab.games",
    "banditlab.mdp",
    "banditlab.robust",
    "banditlab.testing",
    "banditlab.registry",
    "banditlab.core",
    "banditlab.random",
    "banditlab.numeric",
    "banditlab.linalg",
    "banditlab.validate",
)


def modules() -> list[str]:
    """The public modules, in the order of the reference."""
    found = list(MODULES)
    for package in ("banditlab.reports", "banditlab.offpolicy", "banditlab.robust"):
        path = import_module(package).__path__
        found += [f"{package}.{m.name}" for m in pkgutil.iter_modules(path) if m.name[0] != "_"]
    found += [f"banditlab.protocols.{name}" for name in ("base", *registry.protocol_names())]
    return list(dict.fromkeys(found))


def heading(text: str) -> str:
    """A title of reStructuredText."""
    return f"{text}\n{'=' * len(text)}\n\n"


def noun(kind: str, name: str) -> str:
    """The page of an agent or a problem: what its file says, and what its function takes."""
    module = registry.factory(kind, name).__module__
    text = f"{name}\n{'-' * len(name)}\n\n"
    if kind == "agent" and advice.when(name):
        text += f"*When:* {advice.when(name)}.\n\n"
    text += f".. automodule:: {module}\n   :no-index:\n\n.. autofunction:: {module}.{name}\n\n"
    told = [one for one in advice.parameters(kind, name) if one.words]
    if told:
        text += ".. list-table::\n   :header-rows: 1\n\n"
        text += "   * - parameter\n     - default\n     - range\n"
        for one in told:
            text += f"   * - {one.name}\n     - {one.default}\n     - {escaped(one.words)}\n"
    return f"{text}\n"


def escaped(words: str) -> str:
    """Words in which reStructuredText finds nothing to set."""
    return re.sub(r"([*`|_\\])", r"\\\1", words)


def choosing() -> str:
    """The table behind --advise, as a page."""
    parts = [
        "# Which agent?\n\n`python -m banditlab.arena --advise` asks what you face and answers "
        "from this table.\n"
    ]
    meaning = {q.name: q.answers for q in advice.questions()}
    for rule in advice.rules():
        where = "; ".join(
            " or ".join(meaning[name][answer] for answer in given)
            for name, given in rule.conditions.items()
        )
        agents = ", ".join(f"`{agent}`" for agent in rule.agents)
        command = rule.command.format(horizon=advice.HORIZON)
        parts.append(
            f"\n## {', '.join(rule.agents[:2])}\n\n*{where}*\n\n{agents}. {rule.because}\n\n"
            f"```sh\n{command}\n```\n"
        )
    return "".join(parts)


def reference(folder: Path) -> None:
    """Pages of all that can be imported or named."""
    folder.mkdir()
    pages = []
    for family, names in registry.families().items():
        page = f"agents_{family}"
        text = heading(f"Agents: {family.replace('_', ' ')}")
        (folder / f"{page}.rst").write_text(text + "".join(noun("agent", n) for n in names))
        pages.append(page)
    text = "".join(noun("problem", name) for name in registry.problem_names())
    (folder / "problems.rst").write_text(heading("Problems") + text)
    pages.append("problems")
    for name in modules():
        body = f".. automodule:: {name}\n   :members:\n"
        if name == "banditlab.robust":  # a function of it is called like a module of it
            body += "   :exclude-members: sa_mdp\n"
        if name == "banditlab":  # what it offers is described where it lives
            listed = "".join(f"- :py:obj:`{n}`\n" for n in banditlab.__all__)
            body = f".. automodule:: {name}\n   :no-members:\n\n{listed}"
        (folder / f"{name}.rst").write_text(heading(name) + body)
        pages.append(name)
    toc = "\n".join(f"   {page}" for page in pages)
    (folder / "index.rst").write_text(
        heading("Reference") + f".. toctree::\n   :maxdepth: 1\n\n{toc}\n"
    )


def can_play(algorithm: Any, name: str, parameters: dict[str, Any]) -> bool:
    """Whether the algorithm's protocol lets it play a problem."""
    protocol = registry.protocol_of(algorithm)
    try:
        posed = registry.make_problem(name, **parameters)
        if not protocol.poses(posed):
            return False
        protocol.check(Terms(algorithm, posed, horizon=1000))
    except ValueError:
        return False
    return True


def capability(name: str) -> dict[str, str]:
    """What an agent is told, needs and gives, read off its kernels."""
    yes = {True: "yes", False: ""}
    algorithm = registry.make(name)
    protocol = registry.protocol_of(algorithm)
    low, high = getattr(algorithm, "rewards", (float("-inf"), float("inf")))
    online = protocol.name == "online"
    contexts = {"C": 3.0, "S": 4, "A": 3}
    plain = {"name": "linear", "n_arms": 4, "dim": 3}
    if not getattr(algorithm, "features", False):
        plain = {"name": "bernoulli", "means": [0.2, 0.8]}
    features = getattr(algorithm, "features", False)
    draws = getattr(algorithm, "propensities", None)
    return {
        "agent": f"{{py:obj}}`{name} <{registry.factory('agent', name).__module__}.{name}>`",
        "protocol": protocol.name,
        "rewards": "any" if low == float("-inf") else f"{low:g} to {high:g}",
        "contexts": yes[online and can_play(algorithm, "cb_composition", contexts)],
        "features": "needs them" if features else "",
        "late rewards": yes[
            online and can_play(algorithm, "delayed", {"problem": plain, "mean_delay": 5.0})
        ],
        "propensities": "" if draws is None else "1 or 0" if _sure(draws) else "drawn",
        "lanes": yes[getattr(algorithm, "lanes", None) is not None],
    }


def _sure(propensities: Any) -> bool:
    from banditlab.protocols.online import deterministic

    return propensities is deterministic


def capabilities() -> str:
    """The table of what each agent can do, as a page."""
    rows = [capability(name) for name in registry.names()]
    lines = [" | ".join(rows[0]), " | ".join("---" for _ in rows[0])]
    lines += [" | ".join(row.values()) for row in rows]
    table = "\n".join(f"| {line} |" for line in lines)
    return (
        "# What each agent can do\n\n"
        "Read off the agents themselves. *Rewards*: the range that the agent accepts (a report or\n"
        "`--low` and `--high` map yours to it). *Contexts*: whether it keeps apart what it learns\n"
        "in different contexts. *Late rewards*: whether it plays where they arrive later.\n"
        "*Propensities*: whether arms are drawn with probabilities that it can tell, or the next\n"
        "arm is certain. *Lanes*: whether many replications are played in lock-step, many times\n"
        f"faster.\n\n{table}\n"
    )


def gallery(folder: Path, results: Path) -> None:
    """Every figure with its claim and whether its checks passed."""
    (folder / "figures").mkdir()
    parts = ["# Every figure\n\nEach is made by one command, which also checks its claim.\n"]
    for run in sorted(results.glob("*/run.json")):
        about = json.loads(run.read_text())
        picture = run.parent / "figure.svg"
        if "arena" not in about or not picture.exists():
            continue
        name, arena = run.parent.name, about["arena"]
        shutil.copy(picture, folder / "figures" / f"{name}.svg")
        claim = arena["claim"].replace("*", r"\*")
        parts.append(
            f"\n## {name}\n\n{claim}\n\n"
            f"![{claim}](figures/{name}.svg)\n\n"
            f"Source: {arena['source']}. {tally(about['checks']) or 'No checks'}.\n\n"
            f"```sh\npython -m banditlab.arena --arena {name}\n```\n"
        )
    (folder / "gallery.md").write_text("".join(parts))


def sources(folder: Path, still: Sequence[str]) -> None:
    """Everything that Sphinx reads, in ``folder``; tutorials named in ``still`` are not to run."""
    shutil.copytree(PAGES, folder)
    for name in still:
        page = folder / "tutorials" / f"{name}.md"
        off = 'mystnb:\n  execution_mode: "off"\nkernelspec:'
        page.write_text(page.read_text().replace("kernelspec:", off, 1))
    gallery(folder, ROOT / "results")
    (folder / "capabilities.md").write_text(capabilities())
    (folder / "choosing.md").write_text(choosing())
    reference(folder / "reference")


def main(argv: list[str] | None = None) -> int:
    """Build; returns 0 when there was no warning."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "docs", metavar="DIR")
    parser.add_argument("--no-run", action="store_true", help="do not run the tutorials")
    args = parser.parse_args(argv)
    if find_spec("sphinx") is None or find_spec("myst_nb") is None:
        parser.error('Sphinx is not installed: python -m pip install -e ".[docs]"')
    with tempfile.TemporaryDirectory() as there:
        folder = Path(there) / "docs"
        missing = [page for page, needed in NEEDS.items() if find_spec(needed) is None]
        sources(folder, missing)
        words = ["-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", str(folder)]
        for page in missing:
            print(
                f"tutorials/{page}.md is not run: {NEEDS[page]} is not installed", file=sys.stderr
            )
        if args.no_run or missing:
            words += ["-D", "suppress_warnings=myst-nb.lexer"]
        if args.no_run:
            words += ["-D", "nb_execution_mode=off"]
        done = subprocess.run([sys.executable, *words, str(args.out)], check=False)
    if done.returncode == 0:
        print(f"{args.out / 'index.html'}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
