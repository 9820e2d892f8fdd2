"""banditlab: bandit and RL agents in a compiled arena.

>>> import banditlab
>>> agent = banditlab.Agent("ucb", n_arms=3, seed=1)
>>> agent.act()
0
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from banditlab.agent import Agent
from banditlab.compile import cache_info, clear_cache
from banditlab.registry import make, make_problem, names, problem_names

if TYPE_CHECKING:
    from banditlab.arena.simulate import simulate
    from banditlab.curves import Curves
    from banditlab.privacy import audit

__version__ = "0.3.0"
__all__ = [
    "Agent",
    "Curves",
    "audit",
    "cache_info",
    "clear_cache",
    "make",
    "make_problem",
    "names",
    "problem_names",
    "simulate",
]


def __getattr__(name: str) -> Any:
    # The arena brings pandas, pydantic and more; they load when first asked for.
    if name == "simulate":
        from banditlab.arena.simulate import simulate

        return simulate
    if name == "Curves":
        from banditlab.curves import Curves

        return Curves
    if name == "audit":
        from banditlab.privacy import audit

        return audit
    raise AttributeError(f"module 'banditlab' has no attribute {name!r}")
