"""What is told of policies under attack, in names: for who asks before torch is there.

At every checkpoint a set of policies is judged under noise and under the maximal action difference;
at the end, where that is asked for, under all of ``CONDITIONS``, each policy in the same episodes.
"""

from __future__ import annotations

from typing import Any

from banditlab.protocols.gym import Table

CONSTANT = ("random", "mad")  # attacks that are judged at every checkpoint
CONDITIONS = ("none", *CONSTANT, "rs", "sa_rl", "pa_ad")  # and at the end; pi^1 is the first policy
FACTS = (
    *CONDITIONS[1:],  # what the best of the set earns under each attack
    "members",  # how many policies there are
    "natural",  # what the best of the set earns without attack, in the episodes of attacks
    "natural_first",  # what pi^1 earns there
    "lost",  # share of that which the best of the set lacks
    "lost_found",  # share of that which the best of the others lacks
    "pa_ad_first",  # what pi^1 earns under the PA-AD attacker that was trained against the set
    "pa_ad_alone",  # and under one that was trained against it alone
)


def table(policies: int, attacks: int, episodes: int) -> Table | None:
    """The returns that are kept one by one; none where no attacker learns for so many updates."""
    return Table(policies, CONDITIONS, episodes) if attacks > 0 else None


def fits(params: Any, environment: Any, horizon: int) -> None:
    """ValueError if plain PPO takes all the steps, and nobody is hardened."""
    if horizon <= params.first:
        raise ValueError(
            f"horizon must be above first, {params.first:,} steps of plain PPO, got {horizon:,}"
        )
