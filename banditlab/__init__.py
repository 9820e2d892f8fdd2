"""banditlab: bandit and RL agents in a compiled arena.

>>> import banditlab
>>> agent = banditlab.Agent("ucb", n_arms=3, seed=1)
>>> agent.act()
0
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import TYPE_CHECKING, Any

from banditlab import interrupt

if interrupt.is_program():  # what is imported below takes a second, in which it may be stopped
    interrupt.arm()
    gc.disable()  # nothing of it is garbage, nor will be

from banditlab.agent import Agent
from banditlab.compile import cache_info, clear_cache
from banditlab.registry import make, make_problem, names, problem_names

if interrupt.is_program():
    gc.freeze()
    gc.enable()

if TYPE_CHECKING:
    from banditlab.arena.resolve import until_resolved
    from banditlab.arena.simulate import simulate
    from banditlab.arena.spec import Arena
    from banditlab.arena.tune import tune
    from banditlab.citations import cite
    from banditlab.curves import Curves
    from banditlab.data.duels import Duels
    from banditlab.data.log import Log
    from banditlab.data.transitions import Dataset
    from banditlab.privacy import audit

__version__ = "0.3.0"

# They bring pandas, pydantic and more, and load when first asked for.
LATER = {
    "Arena": "banditlab.arena.spec",
    "Curves": "banditlab.curves",
    "Dataset": "banditlab.data.transitions",
    "Duels": "banditlab.data.duels",
    "Log": "banditlab.data.log",
    "audit": "banditlab.privacy",
    "cite": "banditlab.citations",
    "simulate": "banditlab.arena.simulate",
    "tune": "banditlab.arena.tune",
    "until_resolved": "banditlab.arena.resolve",
}
__all__ = [
    "Agent",
    "Arena",
    "Curves",
    "Dataset",
    "Duels",
    "Log",
    "audit",
    "cache_info",
    "cite",
    "clear_cache",
    "make",
    "make_problem",
    "names",
    "problem_names",
    "simulate",
    "tune",
    "until_resolved",
]


def __getattr__(name: str) -> Any:
    if name in LATER:
        return getattr(import_module(LATER[name]), name)
    raise AttributeError(f"module 'banditlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *LATER})
