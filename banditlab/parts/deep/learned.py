"""Attackers that learn: SA-RL says where to move what is seen, PA-AD where to move the action.

Zhang et al. 2021 and Sun et al. 2022, as in the code of Liu et al. 2024: PPO trains a network on
what the victim loses. Against a set of victims (``others``) the one that earns most of late is
attacked, asked anew every ten updates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from banditlab.parts.deep.attacks import Attack, Victim, sarsa, towards
from banditlab.parts.deep.ppo import (
    Actor,
    Batch,
    Critic,
    Judge,
    Pupil,
    RewardScale,
    Rollout,
    Running,
    Seeing,
    Settings,
    batch_of,
    collect,
    plainly,
)

KINDS = ("sa_rl", "pa_ad")
AGAIN = 10  # updates after which it is asked anew who of a set is best
STEPS = 2048  # of an update, and of a round that robust Sarsa learns from
SARSA_ROUNDS = 30  # at most


class Player(NamedTuple):
    """A victim and how its actions reach the environment."""

    victim: Victim
    act: Callable[[Tensor], Tensor]  # scaled states (n, dim) -> actions (n, a), without noise


class Attacker:
    """A network and what it does to a victim.

    Parameters
    ----------
    kind
        ``sa_rl`` or ``pa_ad``.
    dim, actions
        Of states and of actions.
    eps
        Radius, in standard deviations of what is observed.
    seed
        Of the network.
    objective, sign
        Of ``pa_ad``, see :func:`banditlab.parts.deep.attacks.towards`; "dot" where there is one
        action only.
    """

    def __init__(
        self, kind: str, dim: int, actions: int, eps: float, seed: int, *, objective: str = "",
        sign: int = 1,
    ):  # fmt: skip
        self.kind, self.eps, self.sign = kind, eps, sign
        self.objective = objective or ("dot" if actions == 1 else "cos_norm")
        self.actor = Actor(dim, dim if kind == "sa_rl" else actions, seed)

    def moved(self, victim: Victim, s: Tensor, u: Tensor, rng: torch.Generator) -> Tensor:
        """What the victim sees in states ``s`` (n, dim) where the network says ``u``."""
        if self.kind == "sa_rl":
            return s + self.eps * u.clamp(-1.0, 1.0)
        return towards(victim, s, u, self.eps, rng, self.objective, self.sign)

    def sampling(self, victim: Victim) -> Seeing:
        """It as it learns."""

        def see(s: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
            u = self.actor.sample(s, rng)
            return self.moved(victim, s, u, rng), u

        return see

    def attack(self) -> Attack:
        """It as it is judged: its mean."""

        def best(victim: Victim, s: Tensor, eps: float, rng: torch.Generator) -> Tensor:
            with torch.no_grad():
                u = self.actor(s)
            return self.moved(victim, s, u, rng)

        return best


def losses(rollout: Rollout, rewards: Tensor, critic: Critic, given: Settings) -> Batch:
    """What an attacker's network learns from: true states, its marks, the victim's losses."""
    return batch_of(rollout.states, rollout.marks, -rewards, rollout, critic, rollout.after, given)


def train(
    attacker: Attacker,
    players: Sequence[Player],
    envs: Sequence[Any],
    scale: Running,
    updates: int,
    steps: int,
    given: Settings,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[float]:
    """Train an attacker of one victim, or of the best of several; returns mean returns by update.

    ``scale`` is read only. Learning rates fall to 0.
    """
    rng = torch.Generator().manual_seed(seed)
    pupil = Pupil(attacker.actor, given)
    judge = Judge(Critic(attacker.actor.net[0].in_features, seed + 1), given)
    reward = RewardScale(given.gamma)
    share, best = max(1, steps // len(envs)), 0
    found = []

    def played(player: Player, number: int) -> Rollout:
        see = attacker.sampling(player.victim)
        return collect(
            envs, scale, lambda s, _: player.act(s), see, share, seed + 1000 * number, rng
        )

    for i in range(updates):
        if len(players) > 1 and i % AGAIN == 0:
            earned = [mean_return(played(p, i)) for p in players]
            best = max(range(len(players)), key=earned.__getitem__)
        rollout = played(players[best], i + 1)
        batch = losses(rollout, reward(rollout), judge.critic, given)
        left = 1.0 - i / updates
        pupil.learn(batch, rng, left)
        judge.learn(batch, rng, left)
        found.append(mean_return(rollout))
        progress(i + 1)
    return found


def mean_return(rollout: Rollout) -> float:
    """Of the episodes that ended, or, if none did, of what was earned in each environment."""
    if rollout.returns:
        return float(sum(rollout.returns) / len(rollout.returns))
    return float(rollout.rewards.sum() / rollout.rewards.shape[1])


def sarsa_of(
    player: Player,
    envs: Sequence[Any],
    scale: Running,
    seed: int,
    told: Callable[[int, int], None] = lambda done, of: None,
) -> Callable[[Tensor, Tensor], Tensor]:
    """Q of a fixed victim from what it does without attack, for ``rs``: see `attacks.sarsa`.

    ``told`` hears how many rounds of 2,048 steps are collected, and of how many.
    """
    rng = torch.Generator().manual_seed(seed + 3)
    parts = []
    rounds = SARSA_ROUNDS // 3  # each is learned from three times
    for k in range(rounds):
        rollout = collect(
            envs, scale, lambda s, _: player.act(s), plainly, STEPS // len(envs),
            seed + 200_000 + 100 * k, rng,
        )  # fmt: skip
        states, rewards, after, over = (
            x.flatten(0, 1) for x in (rollout.states, rollout.rewards, rollout.after, rollout.over)
        )
        with torch.no_grad():  # actions as the attack will ask about them: before they are
            acts, nexts = player.victim.mean(states), player.victim.mean(after)  # stretched
        parts.append([states, acts, rewards, after, nexts, over])
        told(k + 1, rounds)
    rows = [torch.cat(column) for column in zip(*parts, strict=True)]
    spread = float(rows[2].std()) or 1.0
    rows[2] = rows[2] / spread
    return sarsa(*rows, seed=seed + 5, iterations=SARSA_ROUNDS)
