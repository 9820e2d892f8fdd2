"""TD3: a deterministic policy, two critics of which the lower is believed, and delayed updates.

Fujimoto, van Hoof & Meger 2018 (arXiv 1802.09477), as stable-baselines3 has it, with the
hyper-parameters of the paper's successors: networks 256-256, Adam 3e-4, noise N(0, .1).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from banditlab.protocols.gym import Deep, Environment, Learner, Setting
from banditlab.validate import between, integer, nonnegative, positive

label = "TD3"

FACTS = ("value", "lift")


class TD3Params(NamedTuple):
    """Hyper-parameters."""

    learning_rate: float = 3e-4  # positive: of actor and critics
    learning_starts: int = 5000  # at least 0: steps of uniform actions before the first update
    batch_size: int = 256  # at least 1
    buffer_size: int = 1_000_000  # at least 1: steps that are remembered
    gamma: float = 0.99  # in [0, 1]: discount
    tau: float = 0.005  # in [0, 1]: how far targets follow in one update
    noise: float = 0.1  # at least 0: standard deviation of what is added to scaled actions
    width: int = 256  # at least 1: units of each of the two hidden layers
    n_envs: int = 1  # at least 1: environments stepped together


def checked(given: TD3Params) -> TD3Params:
    """The hyper-parameters cast; ValueError for one that is out of range."""
    return TD3Params(
        positive("learning_rate", given.learning_rate),
        integer("learning_starts", given.learning_starts, 0),
        integer("batch_size", given.batch_size, 1),
        integer("buffer_size", given.buffer_size, 1),
        between("gamma", given.gamma, 0.0, 1.0),
        between("tau", given.tau, 0.0, 1.0),
        nonnegative("noise", given.noise),
        integer("width", given.width, 1),
        integer("n_envs", given.n_envs, 1),
    )


def arguments(params: Any, setting: Setting) -> dict[str, Any]:
    """The hyper-parameters as stable-baselines3 calls them."""
    from banditlab.parts.deep.sb3 import gaussian

    return {
        "learning_rate": params.learning_rate,
        "learning_starts": params.learning_starts,
        "batch_size": params.batch_size,
        # More than the horizon would take memory and change no number.
        "buffer_size": min(params.buffer_size, setting.horizon + params.n_envs),
        "gamma": params.gamma,
        "tau": params.tau,
        "action_noise": gaussian(setting, params.noise),
        "policy_kwargs": {"net_arch": [params.width, params.width]},
        "n_envs": params.n_envs,
    }


def fits(params: Any, environment: Environment, horizon: int) -> None:
    """ValueError if all the steps are taken before the first update."""
    if horizon <= params.learning_starts:
        raise ValueError(
            f"horizon must be above learning_starts, {params.learning_starts:,} steps before the "
            f"first update, got {horizon:,}"
        )


def learner(params: TD3Params, setting: Setting) -> Learner:
    """TD3 at work."""
    from stable_baselines3 import TD3

    from banditlab.parts.deep.sb3 import Critics

    return Critics(TD3, setting, **arguments(params, setting))


def td3(
    learning_rate: float = 3e-4,
    learning_starts: int = 5000,
    batch_size: int = 256,
    buffer_size: int = 1_000_000,
    gamma: float = 0.99,
    tau: float = 0.005,
    noise: float = 0.1,
    width: int = 256,
    n_envs: int = 1,
) -> Deep:
    """TD3; see :class:`TD3Params`."""
    given = TD3Params(
        learning_rate, learning_starts, batch_size, buffer_size, gamma, tau, noise, width, n_envs
    )
    return Deep(checked(given), learner, facts=FACTS, fits=fits)
