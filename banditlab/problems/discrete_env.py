"""A Gymnasium environment with a transition table, learned by playing: FrozenLake, CliffWalking.

Any environment with discrete states and actions that lists its transitions in
``env.unwrapped.P[s][a] = [(prob, next, reward, terminated), ...]``. It is played from the table, in
episodes of ``steps`` at most, undiscounted; the time limit that ``gymnasium.make`` adds is not part
of the table. Dynamics are the same in all steps and agents know that, unless ``pooled`` is false.
They are told the range of the rewards and what follows from it for the return of an episode: at
most 1 on FrozenLake, where a reward comes with the end only.
"""

from __future__ import annotations

import math
from typing import Any

from banditlab.parts.finite_models import tabular
from banditlab.problems.toytext import checked, read
from banditlab.protocols.episodic import EpisodicMDP
from banditlab.validate import flag, integer

example = {"id": "FrozenLake-v1", "steps": 40}


def discrete_env(
    id: str,
    steps: int = 100,
    pooled: bool = True,
    known_rewards: bool = False,
    good: float = math.inf,
    options: dict[str, Any] | None = None,
) -> EpisodicMDP:
    """The Gymnasium environment ``id`` as a process to learn by playing.

    Parameters
    ----------
    id
        For instance ``FrozenLake-v1``, ``CliffWalking-v1``, ``Taxi-v4``.
    steps
        Of an episode, at most.
    pooled
        Whether agents are told that dynamics are the same in all steps.
    known_rewards
        Whether they are told the mean rewards.
    good
        Return from which on an episode does not count as bad.
    options
        Arguments of ``gymnasium.make``, such as ``{"map_name": "8x8"}``.

    Raises ValueError, in one line, for whatever is out of range and for an id that Gymnasium does
    not know, has retired, or has no table for.
    """
    steps = integer("steps", steps, 1)
    mdp = read(id, horizon=steps, **checked(options))
    S = mdp.start.size - 1  # the last is the end
    met = mdp.reward[:S][mdp.prob[:S] > 0.0]
    low, high = min(0.0, float(met.min())), max(0.0, float(met.max()))
    return tabular(
        mdp.succ[:S], mdp.prob[:S], mdp.reward[:S], mdp.start[:S], steps,
        low=low, high=high if low < high else low + 1.0,
        known=flag("known_rewards", known_rewards), pooled=flag("pooled", pooled),
        most=mdp.v_max, good=good,
    )  # fmt: skip
