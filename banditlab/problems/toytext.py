"""A Gymnasium environment with a transition table, as a logged MDP: FrozenLake, Taxi, CliffWalking.

Any environment with discrete states and actions that lists its transitions in
``env.unwrapped.P[s][a] = [(prob, next, reward, terminated), ...]``. It is solved exactly, and the
log comes from a mixture of an expert and a decoy whose concentrability is at most ``C``
(:func:`banditlab.mdp.mixture`). The time limit that ``gymnasium.make`` adds is not part of the
table: a truncated episode has not ended.

=================  =========================================================================
data               behaviour weights mu
=================  =========================================================================
``mixture``        d*/C + (1 - 1/C) (0.9 d_decoy + 0.1 uniform)
``policy``         occupancy of the optimal policy that explores with probability epsilon
``uniform``        all legal pairs alike
=================  =========================================================================

``sampler="iid"`` draws rows independently from mu. ``sampler="rollout"`` plays whole episodes of
one of the mixture's policies each (with the uniform policy in place of uniform pairs): the rows
of one episode depend on each other, which the theory does not cover.

With a ``horizon`` the MDP lasts that many undiscounted steps instead, and mu mixes the occupancies
of every step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from banditlab.data.gym import made
from banditlab.mdp import (
    MDP,
    decoy_policy,
    from_table,
    mixture,
    occupancy,
    solve,
    uniform_policy,
    within_range,
)
from banditlab.protocols.offline_mdp import (
    LoggedMDP,
    Rollouts,
    draw_rollouts,
    logged,
    the_rollout_case,
)
from banditlab.validate import choice, nonnegative, shown

example = {"id": "FrozenLake-v1", "gamma": 0.9}
DATA = ("mixture", "policy", "uniform")
SAMPLERS = ("iid", "rollout")


def read(
    id: str,
    gamma: float = 0.95,
    horizon: int = 0,
    v_min: float | None = None,
    v_max: float | None = None,
    **options: Any,
) -> MDP:
    """The exact MDP behind the environment ``id``, made with ``options``; END is its last state.

    Raises ValueError, in one line, for an unknown or outdated id, spaces that are not discrete, or
    an environment without a table.
    """
    import gymnasium

    if not isinstance(id, str):
        raise ValueError(f"id must be the name of a Gymnasium environment, got {id!r}")
    env = made(id, options).unwrapped
    try:
        spaces: tuple[Any, ...] = (env.observation_space, env.action_space)
        if not all(isinstance(space, gymnasium.spaces.Discrete) for space in spaces):
            raise ValueError(f"{id} must have discrete observations and actions")
        table = _from_zero(getattr(env, "P", None), *(int(space.start) for space in spaces))
        start = getattr(env, "initial_state_distrib", None)
        if table is None or start is None:
            raise ValueError(
                f"{id} has no transition table (env.unwrapped.P and initial_state_distrib); "
                "log episodes of it instead"
            )
        return from_table(table, start, gamma=gamma, horizon=horizon, v_min=v_min, v_max=v_max)
    finally:
        env.close()


def checked(options: Any) -> dict[str, Any]:
    """Arguments of ``gymnasium.make``, which are none of `read`'s own."""
    own = ("id", "gamma", "horizon", "v_min", "v_max")
    if not isinstance(options, dict | None) or set(options or {}) & set(own):
        raise ValueError(
            f'options must look like {{"map_name": "8x8"}}, without {", ".join(own)}, '
            f"got {shown(options)}"
        )
    return dict(options or {})


def _from_zero(table: Any, state: int, action: int) -> Any:
    """A transition table whose states and actions count from other numbers than 0, as from 0."""
    if table is None or state == action == 0:
        return table
    return {
        s - state: {
            a - action: [(prob, after - state, *rest) for prob, after, *rest in outcomes]
            for a, outcomes in actions.items()
        }
        for s, actions in table.items()
    }


def toytext(
    id: str,
    gamma: float = 0.95,
    C: float = 3.0,
    decoy: str = "worst",
    data: str = "mixture",
    epsilon: float = 0.1,
    sampler: str = "iid",
    horizon: int = 0,
    known_rewards: bool = True,
    known_end: bool = True,
    v_min: float | None = None,
    v_max: float | None = None,
    options: dict[str, Any] | None = None,
) -> LoggedMDP:
    """The logged MDP of the Gymnasium environment ``id``.

    Parameters
    ----------
    id
        For instance ``FrozenLake-v1``, ``CliffWalking-v1``, ``CliffWalkingSlippery-v1``,
        ``Taxi-v4``.
    gamma
        Discount in [0, 1); not used with a ``horizon``.
    C
        At least 1: bound on the concentrability of ``mixture``; 1 is an expert's log.
    decoy
        ``worst``: the policy of the smallest Q*; ``second``: of the second largest.
    data, epsilon, sampler
        How the log is made, see the module; ``epsilon`` in [0, 1].
    horizon
        0 for discounted; else the number of steps.
    known_rewards
        Whether learners are told the mean rewards.
    known_end
        Whether learners are told that nothing comes after the end. If not, END is a state like
        others; a planner without pessimism then expects something of END's actions not logged.
    v_min, v_max
        Range of the values, checked; by default what follows from the rewards, for instance
        [0, 1] for FrozenLake, where the goal is reached once.
    options
        Arguments of ``gymnasium.make``, such as ``{"map_name": "8x8"}``.

    Raises ValueError, in one line, for whatever is out of range and for an id that Gymnasium does
    not know, has retired, or has no table for.
    """
    choice("data", data, DATA)
    choice("sampler", sampler, SAMPLERS)
    if nonnegative("epsilon", epsilon) > 1.0:
        raise ValueError(f"epsilon must lie in [0, 1], got {epsilon!r}")
    mdp = read(id, gamma, horizon, v_min, v_max, **checked(options))
    if v_min is not None or v_max is not None:
        within_range(mdp)
    if not known_end:
        mdp = mdp._replace(terminal=np.zeros_like(mdp.terminal))
    solution = solve(mdp)
    even = uniform_policy(mdp)
    if data == "uniform":
        if sampler == "rollout":
            raise ValueError('sampler="rollout" plays policies; data="uniform" has none')
        pairs = mdp.legal / mdp.legal.sum()
        mu = np.broadcast_to(pairs, even.shape)
        return logged(mdp, mu, solution.J, known=known_rewards)
    if data == "policy":
        policies = [(1.0 - epsilon) * solution.policy + epsilon * even]
        weights = [1.0]
    else:
        mu = mixture(mdp, C, decoy, solution)
        policies = [solution.policy, decoy_policy(mdp, solution, decoy), even]
        weights = [1.0 / C, 0.9 * (1.0 - 1.0 / C), 0.1 * (1.0 - 1.0 / C)]
    if data == "policy" or sampler == "rollout":
        mu = np.array(sum(w * occupancy(mdp, p) for w, p in zip(weights, policies, strict=True)))
    problem = logged(mdp, mu, solution.J, known=known_rewards)
    if sampler == "iid":
        return problem
    params = Rollouts(problem.params, np.array(policies), np.array(weights))
    return problem._replace(params=params, init=the_rollout_case, log=draw_rollouts)
