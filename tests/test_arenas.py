"""Every arena runs at tiny scale; at full scale (slow) every one of its checks holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import banditlab
from banditlab.arena.claims import failed
from banditlab.arena.find import arena_files
from banditlab.arena.spec import read_arena

ROOT = Path(__file__).parent.parent
ARENAS = sorted(arena_files())
# What is trained takes minutes to hours, and packages that are not installed here: tests/deep.
DEEP = [name for name in ARENAS if any(p.protocol == "gym" for p in read_arena(name).panels)]
COMPILED = [name for name in ARENAS if name not in DEEP]


def refuse_to_wait(name):
    """Skip an arena that plays from what another recorded, where that has not been run."""
    for panel in read_arena(name).panels:
        log = panel.problem.parameters.get("log", "")
        if str(log).startswith("results/") and not (ROOT / log).exists():
            pytest.skip(
                f"{log} is not there: python -m banditlab.arena --arena {Path(log).parts[1]}"
            )


def simulated(arena):
    """The curves; skips where an arena's data come with a package that is not here."""
    try:
        return banditlab.simulate(arena)
    except ValueError as error:
        if "banditlab-arena[data]" in str(error):
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize("name", COMPILED)
def test_arena_runs_at_tiny_scale(name, tmp_path):
    refuse_to_wait(name)
    arena = read_arena(name)
    assert arena.claim and arena.source, f"{name} says neither what it claims nor from where"
    for i, panel in enumerate(arena.panels):
        panel.replications = 2
        # To compile everybody on every problem would take minutes; the slow test does.
        panel.agents = panel.agents[: 6 if i == 0 else 2]
        places = {agent.label for agent in panel.agents} | {"problem", ""}

        def left(key, places=places):
            return ", ".join(p for p in key.split(", ") if p.rpartition(".")[0] in places)

        panel.sweep = {left(key): values for key, values in panel.sweep.items() if left(key)}
        panel.x = left(panel.x)
        panel.sweep = {place: values[:2] for place, values in panel.sweep.items()}
        panel.worst = panel.worst[:1]
        if panel.protocol == "online":
            panel.horizon = min(panel.horizon, 60)
            panel.checkpoints = [t for t in panel.checkpoints if t < panel.horizon]
            panel.checkpoints.append(panel.horizon)
    arena.checks = []
    curves = simulated(arena)
    curves.save(tmp_path)
    assert (tmp_path / "figure.png").stat().st_size > 5000


@pytest.mark.parametrize("name", ARENAS)
def test_committed_results_belong_to_the_arena(name):
    """results/ holds the run of the TOML file as it stands; nothing failed but hypotheses."""
    if name in DEEP and not (ROOT / "results" / name).exists():
        pytest.skip(f"not run yet: python -m banditlab.arena --arena {name}")
    refuse_to_wait(name)
    about = json.loads((ROOT / "results" / name / "run.json").read_text())
    again = f"run: python -m banditlab.arena --arena {name}"
    assert about["hash"] == read_arena(name).hash(), again
    assert [check["check"] for check in failed(about["checks"])] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILED)
def test_checks_hold_at_full_scale(name):
    refuse_to_wait(name)
    assert failed(simulated(name).checks) == []
