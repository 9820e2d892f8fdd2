"""WocaR: a policy that also minds the worst that could be made of its next steps.

Liang, Sun, Zheng & Huang 2022, "Efficient adversarial training without attacking: worst-case-aware
robust RL" (NeurIPS), as their code has it. Nobody attacks while it trains. A second critic learns
what the worst case is worth, by temporal differences towards ::

    r + gamma Q(s', a'),    a' the action of least Q among those that the policy can be brought to

where the actions it can be brought to are those between the interval bounds of its mean on the ball
of ``radius`` around s', and the least is sought by ten projected steps (in the paper 50).
A policy's scaled advantage then becomes A + ``weight`` Q(s, a), Q scaled too, and the regulariser
keeps the mean action smooth. Before that come ``first`` steps of plain PPO, as for `atla_ppo`.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

from banditlab.parts.deep.judged import FACTS, fits, table
from banditlab.protocols.gym import Deep, Learner, Setting
from banditlab.validate import integer, nonnegative, positive

label = "WocaR-PPO"
STEPS = 10  # of projected gradients
FOLLOW = 0.005  # how far the target moves in a minibatch


class WocaR(NamedTuple):
    """Hyper-parameters: the paper's for Hopper."""

    first: int = 300_000  # >= 1: steps of plain PPO
    eps: float = 0.075  # >= 0: radius of the regulariser and of attacks, in standard deviations
    radius: float = 0.01  # >= 0: of the ball in which actions are bounded
    weight: float = 0.8  # >= 0: of the worst case in the advantage
    kappa: float = 0.1  # >= 0: weight of the regulariser
    lr: float = 3e-4  # > 0: of the policy
    value_lr: float = 3e-4  # > 0: of its values
    q_lr: float = 4e-4  # > 0: of the worst case
    entropy: float = 0.01  # >= 0: of the policy, after the first steps
    attacks: int = 0  # >= 0: updates of the attackers that judge at the end; 0: they do not
    episodes: int = 10  # >= 1: of each judgement under attack


def learner(params: WocaR, setting: Setting) -> Learner:
    """WocaR at work."""
    import torch

    from banditlab.parts.deep.adversarial import Common, Robust
    from banditlab.parts.deep.attacks import bounds
    from banditlab.parts.deep.ppo import Settings, layers, plainly

    fits(params, setting.environment, setting.horizon)
    of_victims = Settings(params.lr, params.value_lr, entropy=params.entropy)

    class WorstCase(Robust):
        """A policy, its values, and those of the worst case."""

        def __init__(self) -> None:
            first = of_victims._replace(entropy=0.0)
            shared = (params.first, params.eps, params.kappa, params.attacks, params.episodes)
            super().__init__(setting, Common(*shared), of_victims, first)
            self.q = layers([self.dim + self.actions, 64, 64, 1], 1.0, setting.seed + 100)
            self.target = copy.deepcopy(self.q)
            self.adam = torch.optim.Adam(self.q.parameters(), lr=params.q_lr, eps=1e-5)

        def harden(self, done: float) -> None:
            share = 1.0 - done
            self.pupil.given = of_victims
            rollout = self.collected(self.pupil.actor.sample, plainly)
            self._ended += rollout.returns
            rewards = self.reward(rollout)
            batch = self.batch(rollout, rewards)
            self.mind(rollout, rewards, share)
            with torch.no_grad():
                worst = self.q(torch.cat([batch.states, batch.actions], dim=1))[:, 0]
            gained = scaled(batch.advantages) + params.weight * scaled(worst)
            smooth = self.smooth(self.radius(done))
            self.pupil.learn(batch._replace(advantages=gained), self.rng, share, smooth)
            self.judge.learn(batch, self.rng, share)

        def mind(self, rollout: Any, rewards: Any, share: float) -> None:
            """Ten epochs of temporal differences towards the worst of what may follow."""
            s, a, after, over, paid = (
                x.flatten(0, 1)
                for x in (rollout.states, rollout.actions, rollout.after, rollout.over, rewards)
            )
            low, high = bounds(self.pupil.actor.net, after, torch.full_like(after, params.radius))
            low, high = low.detach(), high.detach()
            for group in self.adam.param_groups:
                group["lr"] = params.q_lr * share
            for _ in range(of_victims.value_epochs):
                for rows in torch.randperm(len(s), generator=self.rng).split(64):
                    bad = self.worst(after[rows], low[rows], high[rows])
                    with torch.no_grad():
                        ahead = self.target(torch.cat([after[rows], bad], dim=1))[:, 0]
                        wanted = paid[rows] + of_victims.gamma * (1.0 - over[rows]) * ahead
                    value = self.q(torch.cat([s[rows], a[rows]], dim=1))[:, 0]
                    loss = ((value - wanted) ** 2).mean()
                    self.adam.zero_grad()
                    loss.backward()
                    self.adam.step()
                    with torch.no_grad():
                        for mine, theirs in zip(
                            self.target.parameters(), self.q.parameters(), strict=True
                        ):
                            mine.lerp_(theirs, FOLLOW)

        def worst(self, s: Any, low: Any, high: Any) -> Any:
            """The action of least value between ``low`` and ``high``, by projected gradients."""
            x = low + (high - low) * torch.rand(low.shape, generator=self.rng)
            for _ in range(STEPS):
                x = x.detach().requires_grad_(True)
                (slope,) = torch.autograd.grad(self.target(torch.cat([s, x], dim=1)).sum(), x)
                step = x.detach() - (high - low) / STEPS * torch.sign(slope)
                x = torch.max(torch.min(step, high), low)
            return x.detach()

        def networks(self) -> dict[str, Any]:
            return {
                **super().networks(), "q": self.q, "target": self.target, "q_adam": self.adam,
            }  # fmt: skip

    def scaled(x: Any) -> Any:
        return (x - x.mean()) / (x.std() + 1e-8)

    return WorstCase()


def wocar_ppo(
    first: int = 300_000,
    eps: float = 0.075,
    radius: float = 0.01,
    weight: float = 0.8,
    kappa: float = 0.1,
    lr: float = 3e-4,
    value_lr: float = 3e-4,
    q_lr: float = 4e-4,
    entropy: float = 0.01,
    attacks: int = 0,
    episodes: int = 10,
) -> Deep:
    """WocaR with PPO; see :class:`WocaR` for the ranges.

    ``first`` steps of plain PPO, then updates that mind the worst case in the ball of ``radius``
    with ``weight``, smooth by ``kappa`` on that of ``eps``; ``lr``, ``value_lr`` and ``entropy``
    belong to the policy, ``q_lr`` to the worst case, ``attacks`` and ``episodes`` to the judgement.
    Raises ValueError for a number out of range.
    """
    params = WocaR(
        integer("first", first, 1),
        nonnegative("eps", eps),
        nonnegative("radius", radius),
        nonnegative("weight", weight),
        nonnegative("kappa", kappa),
        positive("lr", lr),
        positive("value_lr", value_lr),
        positive("q_lr", q_lr),
        nonnegative("entropy", entropy),
        integer("attacks", attacks, 0),
        integer("episodes", episodes, 1),
    )
    kept = table(1, params.attacks, params.episodes)
    return Deep(params, learner, needs=("torch",), facts=FACTS, returns=kept, fits=fits)
