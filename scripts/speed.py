"""The README's table of speed, from what scripts/benchmark.py has measured in one run.

``benchmark.py --table`` measures just what the table shows and keeps it in
``results/benchmark/speed.json``; the table is then written between two marks of the README.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from banditlab.data.atomic import write_text

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "results" / "benchmark" / "speed.json"
BEGIN, END = "<!-- speed: written by scripts/benchmark.py -->", "<!-- end of speed -->"
AGENTS = {"ucb": "UCB", "thompson": "Thompson sampling", "linucb": "LinUCB"}
HOW = {  # in words, and whether it is ours
    "lanes": "banditlab, 64 replications in lock-step",
    "scalar": "banditlab, one replication at a time",
    "fixed arms, d = 5": "banditlab, features that stay (d = 5)",
    "NumPy over replications": "NumPy, vectorised over 1,000 replications",
    "textbook": "plain C (gcc -O3), the textbook's",
    "thompson": "plain C (gcc -O3), our sampler",
}


def of(found: dict[str, Any]) -> dict[str, Any]:
    """What the table shows of a whole benchmark."""
    rates = []
    for row in found["rates"]:
        agent, how = row["agent"], row["how"]
        if agent == "C":
            agent = {"textbook": "ucb", "thompson": "thompson"}.get(how, "")
        if agent in AGENTS and how in HOW:
            rates.append({"agent": agent, "who": HOW[how], "rate": row["pulls_per_second"]})
    for row in found["peers"]:
        agent = row["agent"] if row["agent"] in AGENTS else "linucb"
        other = "" if row["agent"] in AGENTS else f", its own {row['agent']}"
        who = f"{row['library']} {row['version']}{other}"
        rates.append({"agent": agent, "who": who, "rate": row["pulls_per_second"]})
    instance = {key: found["instance"][key] for key in ("arms", "horizon")}
    return {"instance": instance, "machine": found["machine"], "rates": rates}


def block(kept: dict[str, Any]) -> str:
    """The table, with its marks."""
    arms, horizon = kept["instance"]["arms"], kept["instance"]["horizon"]
    lines = [
        BEGIN,
        f"Pulls per second of CPU time, {arms} Bernoulli arms, {horizon:,} rounds (other libraries "
        "2,000), all measured in one run",
        "of `python scripts/benchmark.py --table` on one core "
        f"({kept['machine']['processor']}, {kept['machine']['vector_bits']}-bit vectors).",
        "",
        "| algorithm | who | million pulls / s |",
        "|---|---|---|",
    ]
    for agent, words in AGENTS.items():
        mine = [row for row in kept["rates"] if row["agent"] == agent]
        for row in sorted(mine, key=lambda row: -row["rate"]):
            lines.append(f"| {words} | {row['who']} | {_short(row['rate'] / 1e6)} |")
    return "\n".join([*lines, END])


def _short(value: float) -> str:
    """Two digits that count."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def rewritten(readme: str, kept: dict[str, Any]) -> str:
    """The README's text with the table in its place; ValueError without the marks."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md has no place for the table of speed: {BEGIN} ... {END}")
    return f"{before}{block(kept)}{after}"


def keep(found: dict[str, Any]) -> None:
    """Keep what the table shows, and write the table into the README."""
    kept = of(found)
    write_text(KEPT, json.dumps(kept, indent=1) + "\n")
    path = ROOT / "README.md"
    write_text(path, rewritten(path.read_text(encoding="utf-8"), kept))
