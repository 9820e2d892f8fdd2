"""MEX-MF on TD3: the critics are fitted to the data and, a little, to promise much.

Liu, Lu, Xiong, Zhong, Hu, Zhang, Zheng, Yang & Wang 2023, "Maximize to explore: one objective
function fusing estimation, planning and exploration" (arXiv 2305.18258), the model-free variant
and its released code. TD3 with one more term in the loss of the critics, on a batch of (s, a, s')::

    sum_j MSE(Q_j(s, a), y) - eta O

- ``baseline="lse"``: O = sum_j mean[ Q_j(s, pi(s)) - log sum_i exp Q_j(s, a_i) ] over the actions
  a_i of the data, of the policy at the next state, and one drawn uniformly. The policy's action is
  lifted above the others; a constant added to a critic changes nothing. This is MEX.
- ``baseline="none"``: O = mean[ Q_1(s, a) + Q_2(s, a) ] over the data. Its gradient is that of a
  target that is eta / 2 higher, hence of eta / 2 more reward in every step: it shifts the critics
  by eta / (2 (1 - gamma)) where episodes never end, and explores nothing. That is how it is done
  here, for free; it is what the released code does by default.

In the released code Q_2's soft maximum begins with Q_1 (s, a); ``bug_compat`` has that, too.
With eta = 0 nothing more is drawn, and it is TD3 to the bit.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.agents.deep import td3
from banditlab.protocols.gym import Deep, Learner, Setting
from banditlab.validate import choice, flag, integer, nonnegative

label = "MEX-TD3"

BASELINES = ("none", "lse")
# SHA-256 of the text of stable-baselines3's TD3.train for which `train` is written: it repeats what
# cannot be called in parts, so another text asks for another look.
WRITTEN_FOR = "4f3638f813b0efba"


class MexTD3(NamedTuple):
    """Hyper-parameters: those of the optimism, and those of TD3."""

    eta: float = 0.005  # at least 0: weight of the optimism; 0 is TD3
    baseline: str = "lse"  # one of BASELINES
    optimism_batch: int = 64  # at least 1: rows of the batch that the optimism looks at
    bug_compat: bool = False  # whether the second critic's soft maximum is as in the released code
    learning_rate: float = 3e-4  # positive: of actor and critics
    learning_starts: int = 5000  # at least 0: steps of uniform actions before the first update
    batch_size: int = 256  # at least 1
    buffer_size: int = 1_000_000  # at least 1: steps that are remembered
    gamma: float = 0.99  # in [0, 1]: discount
    tau: float = 0.005  # in [0, 1]: how far targets follow in one update
    noise: float = 0.1  # at least 0: standard deviation of what is added to scaled actions
    width: int = 256  # at least 1: units of each of the two hidden layers
    n_envs: int = 1  # at least 1: environments stepped together


def lse_optimism(model: Any, data: Any) -> tuple[Any, Any]:
    """The critics' values of the batch, (B, 1) each, and O; one forward pass for both.

    The policy's actions are constants here: only the critics learn from O.
    """
    import torch

    n = min(model.optimism_batch, len(data.actions))
    states = data.observations[:n]
    with torch.no_grad():
        policy = model.actor(torch.cat([states, data.next_observations[:n]]))
        uniform = torch.empty_like(data.actions[:n]).uniform_(-1, 1)
    everything = model.critic(
        torch.cat([data.observations, states.repeat(3, 1)]),
        torch.cat([data.actions, policy, uniform]),
    )
    values = tuple(q[: len(data.actions)] for q in everything)
    optimism: Any = 0.0
    for j, q in enumerate(everything):
        here, ahead, drawn = q[len(data.actions) :].view(3, n, 1)
        first = values[0 if model.bug_compat else j][:n]
        others = torch.cat([first, ahead, drawn], dim=1)
        optimism = optimism + (here - torch.logsumexp(others, dim=1, keepdim=True)).mean()
    return values, optimism


@cache
def subclass() -> Any:
    """The class ``MEXTD3``, a :class:`stable_baselines3.TD3`; made when it is first asked for."""
    import torch
    from stable_baselines3 import TD3
    from stable_baselines3.common.utils import polyak_update
    from torch.nn.functional import mse_loss

    class MEXTD3(TD3):
        """TD3 with optimistic critics; see the module.

        Beside the arguments of TD3: ``eta``, ``baseline``, ``optimism_batch`` and ``bug_compat``.
        A file that it saves loads as plain TD3, too.
        """

        def __init__(
            self,
            *args: Any,
            eta: float = 0.005,
            baseline: str = "lse",
            optimism_batch: int = 64,
            bug_compat: bool = False,
            **given: Any,
        ):
            self.eta = nonnegative("eta", eta)
            self.baseline = choice("baseline", baseline, BASELINES)
            self.optimism_batch = integer("optimism_batch", optimism_batch, 1)
            self.bug_compat = flag("bug_compat", bug_compat)
            super().__init__(*args, **given)

        def train(self, gradient_steps: int, batch_size: int = 100) -> None:
            """As TD3 does, draw for draw, with the other loss of the critics."""
            self.policy.set_training_mode(True)
            self._update_learning_rate([self.actor.optimizer, self.critic.optimizer])
            actor_losses, critic_losses, optimisms = [], [], []
            for _ in range(gradient_steps):
                self._n_updates += 1
                data = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
                target = self.target(data)
                if self.baseline == "none" or self.eta == 0:
                    values = self.critic(data.observations, data.actions)
                    shifted = target + 0.5 * self.eta
                    loss = sum(mse_loss(q, shifted) for q in values)
                else:
                    values, optimism = lse_optimism(self, data)
                    loss = sum(mse_loss(q, target) for q in values) - self.eta * optimism
                    optimisms.append(optimism.item())
                critic_losses.append(loss.item())
                self.critic.optimizer.zero_grad()
                loss.backward()
                self.critic.optimizer.step()
                if self._n_updates % self.policy_delay == 0:
                    actor_losses.append(self.follow(data))
            self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
            for name, losses in (
                ("actor_loss", actor_losses),
                ("critic_loss", critic_losses),
                ("optimism", optimisms),
            ):
                if losses:
                    self.logger.record(f"train/{name}", np.mean(losses))

        def target(self, data: Any) -> Any:
            """What TD3 fits its critics to, (B, 1)."""
            discounts = data.discounts if data.discounts is not None else self.gamma
            with torch.no_grad():
                noise = data.actions.clone().data.normal_(0, self.target_policy_noise)
                noise = noise.clamp(-self.target_noise_clip, self.target_noise_clip)
                ahead = (self.actor_target(data.next_observations) + noise).clamp(-1, 1)
                values = torch.cat(self.critic_target(data.next_observations, ahead), dim=1)
                least, _ = torch.min(values, dim=1, keepdim=True)
                return data.rewards + (1 - data.dones) * discounts * least

        def follow(self, data: Any) -> float:
            """The delayed step of the actor and of all targets; the actor's loss."""
            loss = -self.critic.q1_forward(data.observations, self.actor(data.observations)).mean()
            self.actor.optimizer.zero_grad()
            loss.backward()
            self.actor.optimizer.step()
            for one, other, share in (
                (self.critic.parameters(), self.critic_target.parameters(), self.tau),
                (self.actor.parameters(), self.actor_target.parameters(), self.tau),
                (self.critic_batch_norm_stats, self.critic_batch_norm_stats_target, 1.0),
                (self.actor_batch_norm_stats, self.actor_batch_norm_stats_target, 1.0),
            ):
                polyak_update(one, other, share)
            return float(loss.item())

    MEXTD3.__qualname__ = "MEXTD3"
    return MEXTD3


def learner(params: MexTD3, setting: Setting) -> Learner:
    """MEX at work."""
    from banditlab.parts.deep.sb3 import Critics

    own = {name: getattr(params, name) for name in MexTD3._fields[:4]}
    return Critics(subclass(), setting, **own, **td3.arguments(params, setting))


def mex_td3(
    eta: float = 0.005,
    baseline: str = "lse",
    optimism_batch: int = 64,
    bug_compat: bool = False,
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
    """MEX-MF on TD3; see :class:`MexTD3`."""
    common = td3.TD3Params(
        learning_rate, learning_starts, batch_size, buffer_size, gamma, tau, noise, width, n_envs
    )
    params = MexTD3(
        nonnegative("eta", eta),
        choice("baseline", baseline, BASELINES),
        integer("optimism_batch", optimism_batch, 1),
        flag("bug_compat", bug_compat),
        *td3.checked(common),
    )
    return Deep(params, learner, facts=td3.FACTS, fits=td3.fits)
