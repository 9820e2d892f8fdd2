"""``python -m banditlab``: says what there is; ``arena`` and flags go to :mod:`banditlab.arena`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import banditlab

DISTRIBUTION = "banditlab-arena"  # `banditlab` belongs to somebody else's package
WORDS = ("arena", "attack", "plot", "readme", "report")
DOOR = """banditlab {version}: bandit and reinforcement-learning agents in a compiled arena

  python -m banditlab arena --agent lcb   run an agent's arena: table, curves, figure
  python -m banditlab arena --list        {agents} agents, {problems} problems, {arenas} arenas
  python -m banditlab arena --help        every flag
  python -m banditlab report results      one HTML file that shows all runs of a folder
  python -m banditlab plot FILE           figure and statistics of results from elsewhere
  python -m banditlab attack model.zip    what a policy of yours earns under attack
  python -m banditlab readme              the documentation
  python -m banditlab --version

In Python: banditlab.Agent("ucb", n_arms=3), banditlab.simulate("stochastic"), help(banditlab).
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the front door; returns what the arena returns, or 2 for a word that is none."""
    words = list(sys.argv[1:] if argv is None else argv)
    first = words[0] if words else "--help"
    if first == "arena":
        return _arena(words[1:])
    if first == "report":
        from banditlab.cli.report import main as report

        return report(words[1:])
    if first == "plot":
        from banditlab.cli.foreign import main as plot

        return plot(words[1:])
    if first == "attack":
        from banditlab.cli.attack import main as attack

        return attack(words[1:])
    if first == "readme":
        return _told(lambda: f"{_readme()}\n")
    if first in ("-h", "--help"):
        return _told(_door)
    if first.startswith("-"):  # the arena is what flags are for
        return _arena(words)
    print(f"error: {banditlab.registry.unknown('word', first, WORDS)}", file=sys.stderr)
    return 2


def _arena(words: list[str]) -> int:
    from banditlab.cli.main import main as arena

    return arena(words)


def _told(words: Callable[[], str]) -> int:
    """Print; a reader that has seen enough, as ``head`` does, is no error of ours."""
    from banditlab import interrupt
    from banditlab.cli import output

    output.ready()
    return output.answered(lambda: print(words(), end="") or 0, interrupt.otherwise)


def _door() -> str:
    from banditlab.arena.find import arena_files

    return DOOR.format(
        version=banditlab.__version__,
        agents=len(banditlab.names()),
        problems=len(banditlab.problem_names()),
        arenas=len(arena_files()),
    )


def _readme() -> str:
    """README.md: of the checkout, or as the installed package carries it."""
    beside = Path(__file__).parent.parent / "README.md"
    if (beside.parent / "pyproject.toml").is_file():
        return beside.read_text(encoding="utf-8")
    try:
        return str(metadata(DISTRIBUTION).json["description"])
    except PackageNotFoundError:
        return f"the documentation is README.md of {DISTRIBUTION}, which is not installed here"


if __name__ == "__main__":
    sys.exit(main())
