"""A small PPO for two players: one acts, the other may change what it sees, and either learns.

Networks, constants and order of computations are those of the released code of Liu et al. 2024
(PROTECTED) and of Zhang et al. 2021 (ATLA), from which it comes: tanh networks 64-64 with
orthogonal weights, a standard deviation that does not depend on the state, observations scaled by
a running mean and deviation and clipped at 10, rewards divided by the running deviation of the
discounted return, generalised advantages, clipped ratios, and optimisers and epochs of their own
for values.

Each rollout begins with fresh episodes in every environment, seeded by the number of the rollout:
so a state between two rollouts is all that decides what follows. Where a time limit cuts an episode
off, the value of its last state stands for what would have come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from banditlab.parts.deep.attacks import Victim

CLIP = 10.0  # of scaled observations and rewards
SMALL = 1e-8  # what is added to variances before one divides by their root


class Running:
    """Mean and variance of rows that come in batches (Chan, Golub & LeVeque 1979)."""

    clip = CLIP

    def __init__(self, dim: int):
        self.mean, self.var, self.count = np.zeros(dim), np.ones(dim), 0.0

    def see(self, rows: np.ndarray) -> None:
        """Take rows (n, dim) into account."""
        n, total = len(rows), self.count + len(rows)
        shift = rows.mean(axis=0) - self.mean
        var = rows.var(axis=0)
        if self.count == 0:
            self.mean, self.var = rows.mean(axis=0), var
        else:
            self.mean = self.mean + shift * n / total
            gathered = self.var * self.count + var * n + shift**2 * self.count * n / total
            self.var = gathered / total
        self.count = total

    def scaled(self, rows: np.ndarray) -> np.ndarray:
        """Rows in standard deviations from the mean, clipped, float32."""
        deviation = np.sqrt(self.var + SMALL)
        return np.clip((rows - self.mean) / deviation, -self.clip, self.clip).astype(np.float32)


def layers(sizes: Sequence[int], last: float, seed: int) -> nn.Sequential:
    """A tanh network with orthogonal weights, those of the last layer scaled by ``last``."""
    torch.manual_seed(seed)
    made: list[nn.Module] = []
    for i, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        linear = nn.Linear(n, m)
        final = i == len(sizes) - 2
        nn.init.orthogonal_(linear.weight, last if final else math.sqrt(2.0))
        nn.init.zeros_(linear.bias)
        made += [linear] if final else [linear, nn.Tanh()]
    return nn.Sequential(*made)


class Actor(nn.Module):  # type: ignore[misc,unused-ignore]
    """Normal actions around a network's mean, with a deviation for each action."""

    def __init__(self, dim: int, actions: int, seed: int, std: float = 1.0, width: int = 64):
        super().__init__()
        self.net = layers([dim, width, width, actions], 0.01, seed)
        self.log_std = nn.Parameter(torch.full((actions,), math.log(std)))

    def forward(self, s: Tensor) -> Tensor:
        """The mean actions."""
        return self.net(s)

    def log_prob(self, s: Tensor, u: Tensor) -> Tensor:
        """Log density (n,) of actions."""
        return self.density(s).log_prob(u).sum(-1)

    def density(self, s: Tensor) -> torch.distributions.Normal:
        """The law of each action."""
        return torch.distributions.Normal(self.net(s), self.log_std.exp())

    def sample(self, s: Tensor, rng: torch.Generator) -> Tensor:
        """Actions drawn with a generator of one's own."""
        with torch.no_grad():
            mean = self.net(s)
            return mean + self.log_std.exp() * torch.randn(mean.shape, generator=rng)


class Critic(nn.Module):  # type: ignore[misc,unused-ignore]
    """Values of states."""

    def __init__(self, dim: int, seed: int, width: int = 64):
        super().__init__()
        self.net = layers([dim, width, width, 1], 1.0, seed)

    def forward(self, s: Tensor) -> Tensor:
        """Values (n,)."""
        return self.net(s)[:, 0]


def victim_of(actor: Actor, critic: Critic | None = None) -> Victim:
    """A policy of ours as attackers see it."""
    return Victim(actor, actor.log_std.detach().exp(), critic)


class Rollout(NamedTuple):
    """Steps of n environments side by side; tensors float32 (T, n, ...)."""

    states: Tensor  # what is, scaled
    seen: Tensor  # what the victim saw
    actions: Tensor  # what it did
    marks: Tensor  # what the attacker's network said; (T, n, 0) where there is none
    rewards: Tensor  # as paid
    over: Tensor  # 1 where an episode terminated in this step
    cut: Tensor  # 1 where it was cut off
    after: Tensor  # the state that followed, scaled, before a reset
    returns: list[float]  # of the episodes that ended

    @property
    def steps(self) -> int:
        """In all environments."""
        return int(self.rewards.numel())


# (victim's states (n, dim), rng) -> (what it sees, the attacker's marks (n, m))
Seeing = Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]
Acting = Callable[[Tensor, torch.Generator], Tensor]


def plainly(s: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """What is, is seen."""
    return s, torch.zeros((len(s), 0))


def collect(
    envs: Sequence[Any],
    scale: Running,
    act: Acting,
    see: Seeing,
    steps: int,
    seed: int,
    rng: torch.Generator,
    learn_scale: bool = False,
) -> Rollout:
    """``steps`` steps of each environment, from fresh episodes seeded by ``seed``.

    ``learn_scale``: whether the running scale takes note of what is met; it must not while an
    attacker learns.
    """
    rows = np.stack([env.reset(seed=seed + i)[0] for i, env in enumerate(envs)])
    earned, ended = np.zeros(len(envs)), []
    low, high = envs[0].action_space.low, envs[0].action_space.high
    kept: dict[str, list[Tensor]] = {name: [] for name in Rollout._fields[:-1]}
    for _ in range(steps):
        if learn_scale:
            scale.see(rows)
        s = torch.from_numpy(scale.scaled(rows))
        seen, marks = see(s, rng)
        u = act(seen, rng)
        rewards, done, stopped = (np.zeros(len(envs), np.float32) for _ in range(3))
        nexts = np.empty_like(rows)
        for i, (env, action) in enumerate(zip(envs, u.numpy(), strict=True)):
            after, reward, terminated, truncated, _ = env.step(np.clip(action, low, high))
            rewards[i], done[i], stopped[i] = reward, terminated, truncated and not terminated
            earned[i] += float(reward)
            nexts[i] = after
            if terminated or truncated:
                ended.append(float(earned[i]))
                earned[i] = 0.0
                after, _ = env.reset()
            rows[i] = after
        named = (
            s, seen, u, marks, torch.from_numpy(rewards), torch.from_numpy(done),
            torch.from_numpy(stopped), torch.from_numpy(scale.scaled(nexts)),
        )  # fmt: skip
        for name, value in zip(kept, named, strict=True):
            kept[name].append(value)
    return Rollout(**{name: torch.stack(parts) for name, parts in kept.items()}, returns=ended)


def advantages(
    rewards: Tensor,
    values: Tensor,
    nexts: Tensor,
    over: Tensor,
    cut: Tensor,
    gamma: float,
    lam: float,
) -> Tensor:
    """Generalised advantages (T, n); ``nexts`` values what followed each step, before a reset."""
    found, running = torch.zeros_like(rewards), torch.zeros(rewards.shape[1])
    for t in range(len(rewards) - 1, -1, -1):
        delta = rewards[t] + gamma * nexts[t] * (1.0 - over[t]) - values[t]
        running = delta + gamma * lam * (1.0 - over[t]) * (1.0 - cut[t]) * running
        found[t] = running
    return found


class RewardScale:
    """Divides rewards by the running deviation of the discounted return, and clips them."""

    def __init__(self, gamma: float):
        self.gamma, self.seen = gamma, Running(1)

    def __call__(self, rollout: Rollout) -> Tensor:
        """Scaled rewards (T, n) of a rollout, which is taken into account first."""
        running = np.zeros(rollout.rewards.shape[1])
        found = np.empty(rollout.rewards.shape)
        ended = (rollout.over + rollout.cut).numpy() > 0
        for t, paid in enumerate(rollout.rewards.numpy()):
            running = self.gamma * running + paid
            found[t] = running
            running = np.where(ended[t], 0.0, running)
        self.seen.see(found.reshape(-1, 1))
        return (rollout.rewards / float(np.sqrt(self.seen.var[0] + SMALL))).clamp(-CLIP, CLIP)


class Settings(NamedTuple):
    """Constants of an update."""

    lr: float = 3e-4
    value_lr: float = 3e-4
    gamma: float = 0.99
    lam: float = 0.95
    clip: float = 0.2
    entropy: float = 0.0
    epochs: int = 10
    minibatches: int = 32
    value_epochs: int = 10
    clip_value: bool = False


class Batch(NamedTuple):
    """What a network learns from; rows (N, ...)."""

    states: Tensor
    actions: Tensor
    advantages: Tensor
    returns: Tensor
    values: Tensor  # as they were


def batch_of(
    states: Tensor, actions: Tensor, rewards: Tensor, rollout: Rollout, critic: Critic,
    after: Tensor, given: Settings,
) -> Batch:  # fmt: skip
    """The rows of a rollout for one who saw ``states``, did ``actions``, was paid ``rewards``."""
    with torch.no_grad():
        values = torch.stack([critic(s) for s in states])
        nexts = torch.stack([critic(s) for s in after])
    gained = advantages(
        rewards, values, nexts, rollout.over, rollout.cut, given.gamma, given.lam
    )  # fmt: skip
    flat = [x.flatten(0, 1) for x in (states, actions, gained, gained + values, values)]
    return Batch(*flat)


class Pupil:
    """An actor with its optimiser, and what a PPO update does to it."""

    def __init__(self, actor: Actor, given: Settings):
        self.actor, self.given = actor, given
        self.adam = torch.optim.Adam(actor.parameters(), lr=given.lr, eps=1e-5)

    def learn(
        self,
        batch: Batch,
        rng: torch.Generator,
        share: float = 1.0,
        penalty: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Several epochs of clipped ratios; advantages are scaled in each minibatch.

        ``share`` multiplies the learning rate; ``penalty`` of the states is added to the loss.
        """
        given, actor = self.given, self.actor
        for group in self.adam.param_groups:
            group["lr"] = given.lr * share
        with torch.no_grad():
            old = actor.log_prob(batch.states, batch.actions)
        size = max(1, len(old) // given.minibatches)
        for _ in range(given.epochs):
            for rows in torch.randperm(len(old), generator=rng).split(size):
                s = batch.states[rows]
                gained = batch.advantages[rows]
                if len(rows) > 1:
                    gained = (gained - gained.mean()) / (gained.std() + 1e-8)
                law = actor.density(s)
                ratio = (law.log_prob(batch.actions[rows]).sum(-1) - old[rows]).exp()
                clipped = ratio.clamp(1.0 - given.clip, 1.0 + given.clip)
                loss = -torch.min(ratio * gained, clipped * gained).mean()
                loss = loss - given.entropy * law.entropy().sum(-1).mean()
                if penalty is not None:
                    loss = loss + penalty(s)
                self.adam.zero_grad()
                loss.backward()
                self.adam.step()


class Judge:
    """A critic with its optimiser."""

    def __init__(self, critic: Critic, given: Settings):
        self.critic, self.given = critic, given
        self.adam = torch.optim.Adam(critic.parameters(), lr=given.value_lr, eps=1e-5)

    def learn(self, batch: Batch, rng: torch.Generator, share: float = 1.0) -> None:
        """Squared errors of the returns, in minibatches."""
        given = self.given
        for group in self.adam.param_groups:
            group["lr"] = given.value_lr * share
        size = max(1, len(batch.returns) // given.minibatches)
        for _ in range(given.value_epochs):
            for rows in torch.randperm(len(batch.returns), generator=rng).split(size):
                value, wanted = self.critic(batch.states[rows]), batch.returns[rows]
                loss = (value - wanted) ** 2
                if given.clip_value:
                    old = batch.values[rows]
                    near = old + (value - old).clamp(-given.clip, given.clip)
                    loss = torch.max(loss, (near - wanted) ** 2)
                self.adam.zero_grad()
                loss.mean().backward()
                self.adam.step()
