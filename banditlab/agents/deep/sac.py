"""SAC: a policy that is paid for its entropy, at a price that is tuned while it learns.

Haarnoja, Zhou, Abbeel & Levine 2018 (arXiv 1801.01290) with the automatic temperature of Haarnoja
et al. 2018 (arXiv 1812.05905), as stable-baselines3 has it.
"""

from __future__ import annotations

from typing import NamedTuple

from banditlab.agents.deep import td3
from banditlab.protocols.gym import Deep, Learner, Setting
from banditlab.validate import between, integer, positive

label = "SAC"


class SACParams(NamedTuple):
    """Hyper-parameters."""

    learning_rate: float = 3e-4  # positive: of actor, critics and temperature
    learning_starts: int = 5000  # at least 0: steps of uniform actions before the first update
    batch_size: int = 256  # at least 1
    buffer_size: int = 1_000_000  # at least 1: steps that are remembered
    gamma: float = 0.99  # in [0, 1]: discount
    tau: float = 0.005  # in [0, 1]: how far targets follow in one update
    width: int = 256  # at least 1: units of each of the two hidden layers
    n_envs: int = 1  # at least 1: environments stepped together


def learner(params: SACParams, setting: Setting) -> Learner:
    """SAC at work."""
    from stable_baselines3 import SAC

    from banditlab.parts.deep.sb3 import Critics

    return Critics(
        SAC,
        setting,
        learning_rate=params.learning_rate,
        learning_starts=params.learning_starts,
        batch_size=params.batch_size,
        # More than the horizon would take memory and change no number.
        buffer_size=min(params.buffer_size, setting.horizon + params.n_envs),
        gamma=params.gamma,
        tau=params.tau,
        policy_kwargs={"net_arch": [params.width, params.width]},
        n_envs=params.n_envs,
    )


def sac(
    learning_rate: float = 3e-4,
    learning_starts: int = 5000,
    batch_size: int = 256,
    buffer_size: int = 1_000_000,
    gamma: float = 0.99,
    tau: float = 0.005,
    width: int = 256,
    n_envs: int = 1,
) -> Deep:
    """SAC; see :class:`SACParams`."""
    params = SACParams(
        positive("learning_rate", learning_rate),
        integer("learning_starts", learning_starts, 0),
        integer("batch_size", batch_size, 1),
        integer("buffer_size", buffer_size, 1),
        between("gamma", gamma, 0.0, 1.0),
        between("tau", tau, 0.0, 1.0),
        integer("width", width, 1),
        integer("n_envs", n_envs, 1),
    )
    return Deep(params, learner, facts=td3.FACTS, fits=td3.fits)
