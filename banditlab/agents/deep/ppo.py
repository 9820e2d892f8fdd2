"""PPO: rollouts of the policy as it is, then several passes of clipped policy gradients over them.

Schulman, Wolski, Dhariwal, Radford & Klimov 2017 (arXiv 1707.06347), as stable-baselines3 has it;
observations and rewards are scaled by running means and variances, without which it learns little
on MuJoCo (Engstrom et al. 2020, arXiv 2005.12729).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from banditlab.protocols.gym import Deep, Learner, Setting
from banditlab.validate import between, flag, integer, nonnegative, positive

label = "PPO"


class PPOParams(NamedTuple):
    """Hyper-parameters."""

    learning_rate: float = 3e-4  # positive
    n_envs: int = 8  # at least 1: environments stepped together
    n_steps: int = 256  # at least 2: steps of each of them in a rollout
    batch_size: int = 64  # at least 2
    n_epochs: int = 10  # at least 1: passes over a rollout
    gamma: float = 0.99  # in [0, 1]: discount
    gae_lambda: float = 0.95  # in [0, 1]: from one-step errors (0) to whole returns (1)
    clip_range: float = 0.2  # positive: of the ratio of probabilities
    ent_coef: float = 0.0  # at least 0: pay for entropy
    width: int = 64  # at least 1: units of each of the two hidden layers
    normalize: bool = True  # whether observations and rewards are scaled


def checked(given: PPOParams) -> PPOParams:
    """The hyper-parameters cast; ValueError for one that is out of range."""
    return PPOParams(
        positive("learning_rate", given.learning_rate),
        integer("n_envs", given.n_envs, 1),
        integer("n_steps", given.n_steps, 2),
        integer("batch_size", given.batch_size, 2),
        integer("n_epochs", given.n_epochs, 1),
        between("gamma", given.gamma, 0.0, 1.0),
        between("gae_lambda", given.gae_lambda, 0.0, 1.0),
        positive("clip_range", given.clip_range),
        nonnegative("ent_coef", given.ent_coef),
        integer("width", given.width, 1),
        flag("normalize", given.normalize),
    )


def arguments(params: Any) -> dict[str, Any]:
    """The hyper-parameters as stable-baselines3 calls them."""
    given = {name: getattr(params, name) for name in PPOParams._fields if name != "width"}
    return {**given, "policy_kwargs": {"net_arch": [params.width, params.width]}}


def learner(params: PPOParams, setting: Setting) -> Learner:
    """PPO at work."""
    from stable_baselines3 import PPO

    from banditlab.parts.deep.sb3 import SB3

    return SB3(PPO, setting, **arguments(params))


def ppo(
    learning_rate: float = 3e-4,
    n_envs: int = 8,
    n_steps: int = 256,
    batch_size: int = 64,
    n_epochs: int = 10,
    gamma: float = 0.99,
    gae_lambda: float = 0.95,
    clip_range: float = 0.2,
    ent_coef: float = 0.0,
    width: int = 64,
    normalize: bool = True,
) -> Deep:
    """PPO; see :class:`PPOParams`."""
    given = PPOParams(
        learning_rate, n_envs, n_steps, batch_size, n_epochs, gamma, gae_lambda, clip_range,
        ent_coef, width, normalize,
    )  # fmt: skip
    return Deep(checked(given), learner, discrete=True)
