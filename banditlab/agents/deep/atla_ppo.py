"""ATLA: a policy and the attacker that learns to hurt it, trained in turn.

Zhang, Chen, Boning & Hsieh 2021, "Robust reinforcement learning on state observations with learned
optimal adversary" (ICLR), as their code has it: one PPO update of the policy under the SA-RL
attacker, one of the attacker on what the policy loses, and so on; learning rates fall to 0. Before
that come ``first`` steps of plain PPO, which the paper does not have: within few steps nothing else
gets off the ground, and `protected`, with which it is compared, begins so, too.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from banditlab.parts.deep.judged import FACTS, fits, table
from banditlab.protocols.gym import Deep, Learner, Setting
from banditlab.validate import integer, nonnegative, positive

label = "ATLA-PPO"


class ATLA(NamedTuple):
    """Hyper-parameters: the paper's for Hopper."""

    first: int = 300_000  # >= 1: steps of plain PPO
    eps: float = 0.075  # >= 0: radius of attacks, in standard deviations of observations
    lr: float = 3e-4  # > 0: of the policy
    value_lr: float = 3e-4  # > 0: of its values
    entropy: float = 0.01  # >= 0: of the policy, after the first steps
    attacker_lr: float = 3e-3  # > 0
    attacker_value_lr: float = 3e-5  # > 0
    attacks: int = 0  # >= 0: updates of the attackers that judge at the end; 0: they do not
    episodes: int = 10  # >= 1: of each judgement under attack


def learner(params: ATLA, setting: Setting) -> Learner:
    """ATLA at work."""
    from banditlab.parts.deep.adversarial import Common, Robust
    from banditlab.parts.deep.learned import Attacker, losses
    from banditlab.parts.deep.ppo import Critic, Judge, Pupil, Settings, victim_of

    fits(params, setting.environment, setting.horizon)
    of_victims = Settings(params.lr, params.value_lr, entropy=params.entropy)
    of_attackers = Settings(params.attacker_lr, params.attacker_value_lr)

    class Alternation(Robust):
        """A policy and its attacker."""

        def __init__(self) -> None:
            first = of_victims._replace(entropy=0.0)
            shared = (params.first, params.eps, 0.0, params.attacks, params.episodes)
            super().__init__(setting, Common(*shared), of_victims, first)
            seed = setting.seed + 100
            self.attacker = Attacker("sa_rl", self.dim, self.actions, params.eps, seed)
            self.teacher = Pupil(self.attacker.actor, of_attackers)
            self.loss = Judge(Critic(self.dim, seed + 1), of_attackers)

        def harden(self, done: float) -> None:
            share = 1.0 - done
            self.pupil.given = of_victims
            rollout = self.attacked()
            self._ended += rollout.returns
            batch = self.batch(rollout, self.reward(rollout))
            self.pupil.learn(batch, self.rng, share)
            self.judge.learn(batch, self.rng, share)
            rollout = self.attacked()
            batch = losses(rollout, self.reward(rollout), self.loss.critic, of_attackers)
            self.teacher.learn(batch, self.rng, share)
            self.loss.learn(batch, self.rng, share)

        def attacked(self) -> Any:
            """2,048 steps under the attacker."""
            actor = self.pupil.actor
            return self.collected(actor.sample, self.attacker.sampling(victim_of(actor)))

        def networks(self) -> dict[str, Any]:
            return {
                **super().networks(),
                "attacker": self.attacker.actor, "attacker_adam": self.teacher.adam,
                "loss": self.loss.critic, "loss_adam": self.loss.adam,
            }  # fmt: skip

    return Alternation()


def atla_ppo(
    first: int = 300_000,
    eps: float = 0.075,
    lr: float = 3e-4,
    value_lr: float = 3e-4,
    entropy: float = 0.01,
    attacker_lr: float = 3e-3,
    attacker_value_lr: float = 3e-5,
    attacks: int = 0,
    episodes: int = 10,
) -> Deep:
    """ATLA with PPO; see :class:`ATLA` for the ranges.

    ``first`` steps of plain PPO, then updates in turn under attacks of radius ``eps``, with ``lr``,
    ``value_lr`` and ``entropy`` for the policy, ``attacker_lr`` and ``attacker_value_lr`` for the
    attacker; ``attacks`` and ``episodes`` belong to the judgement. Raises ValueError for a number
    out of range.
    """
    params = ATLA(
        integer("first", first, 1),
        nonnegative("eps", eps),
        positive("lr", lr),
        positive("value_lr", value_lr),
        nonnegative("entropy", entropy),
        positive("attacker_lr", attacker_lr),
        positive("attacker_value_lr", attacker_value_lr),
        integer("attacks", attacks, 0),
        integer("episodes", episodes, 1),
    )
    kept = table(1, params.attacks, params.episodes)
    return Deep(params, learner, needs=("torch",), facts=FACTS, returns=kept, fits=fits)
