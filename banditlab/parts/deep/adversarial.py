"""Policies that train while somebody changes what they see: what PROTECTED, ATLA and WocaR share.

Each begins with plain PPO for ``first`` steps, in which the scale of observations is learned; then
it is frozen, for eps counts its standard deviations. What is judged is a *set* of policies: the
best member without attack, and under each attack the best member against it, for a bandit that
picks among them finds it (:mod:`banditlab.agents.adversarial.exp3`). A set of one is a policy.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from banditlab.parts.deep.attacks import FIXED, Attack, Victim, min_q
from banditlab.parts.deep.judged import CONDITIONS, CONSTANT
from banditlab.parts.deep.learned import KINDS, STEPS, Attacker, Player, sarsa_of, train
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
    victim_of,
)
from banditlab.protocols.gym import Learner, Setting, Table

torch.set_num_threads(1)

ENVS = 2  # side by side: an episode of 1,000 steps ends within an update
# How attackers learn that judge a set.
STRONG = Settings(lr=1e-2, value_lr=1e-3, clip=0.4, entropy=3e-4)


class Common(NamedTuple):
    """What the three have in common, as in the paper's configuration of Hopper."""

    first: int  # steps of plain PPO
    eps: float  # radius of attacks, in standard deviations
    kappa: float  # weight of the regulariser
    attacks: int  # updates of the attackers that judge at the end; 0: they do not
    episodes: int  # of each judgement


class Robust(Learner):
    """Plain PPO first, then, for what is left of the horizon, whatever `harden` does.

    So all of them take as many steps, those of attackers that learn included.
    """

    def __init__(self, setting: Setting, given: Common, ppo: Settings, first: Settings):
        self.setting, self.given, self.ppo = setting, given, ppo
        self.envs: list[Any] = [setting.make() for _ in range(ENVS)]
        self.dim = int(np.prod(self.envs[0].observation_space.shape))
        self.actions = int(np.prod(self.envs[0].action_space.shape))
        self.rng = torch.Generator().manual_seed(setting.seed)
        self.scale = Running(self.dim)
        self.reward = RewardScale(ppo.gamma)
        self.pupil = Pupil(Actor(self.dim, self.actions, setting.seed), first)
        self.judge = Judge(Critic(self.dim, setting.seed + 1), first)
        self.members: list[Actor] = []  # those whose training is over
        self.bench: list[Any] = []  # environments of judgements, when there has been one
        self.update = 0  # how many are done
        self.rollouts = 0  # how many were collected: each seeds its episodes
        self.steps, self.paid, self._ended = 0, 0.0, [0.0][:0]

    # --- what a subclass says

    def harden(self, done: float) -> None:
        """One update, when a share ``done`` in [0, 1) of the steps after the first is over."""
        raise NotImplementedError

    # --- what the protocol asks

    def learn(self, pulse: Callable[[], None]) -> None:
        """Update by update, until the horizon or the end of the plan."""
        while self.steps < self.setting.horizon:
            pulse()
            if self.steps < self.given.first:
                self.plain()
            else:
                left = self.setting.horizon - self.given.first
                self.harden((self.steps - self.given.first) / left)
            self.update += 1

    def act(self, observations: np.ndarray) -> np.ndarray:
        """The policy that is being trained, without noise."""
        with torch.no_grad():
            wanted = self.pupil.actor(torch.from_numpy(self.scale.scaled(observations))).numpy()
        space = self.envs[0].action_space
        return np.clip(wanted, space.low, space.high)

    def ended(self) -> list[float]:
        """Returns of training episodes that ended since this was last asked."""
        ended, self._ended = self._ended, []
        return ended

    def waiting(self) -> list[float]:
        """Those returns, without taking them."""
        return self._ended

    def facts(self, observations: np.ndarray) -> dict[str, float]:
        """What the best member of the set earns under each attack; see `judged.FACTS`."""
        team = self.team()
        if self.steps >= self.setting.horizon and self.given.attacks > 0:
            returns = self.tried(team)
            kept = Table(len(team), CONDITIONS, self.given.episodes)
            found = self.at_the_end(team, returns.mean(axis=2)) | kept.facts(returns)
        else:
            found = {name: self.judged(FIXED[name], team) for name in CONSTANT}
        return {**found, "members": float(len(team))}

    # --- parts

    def team(self) -> list[Actor]:
        """The set as it is: those that are done, and the one under way."""
        return [*self.members, self.pupil.actor]

    def collected(self, act: Any, see: Seeing, learn_scale: bool = False) -> Rollout:
        """A rollout of 2,048 steps, counted."""
        self.rollouts += 1
        rollout = collect(
            self.envs, self.scale, act, see, STEPS // ENVS,
            self.setting.env_seed + ENVS * self.rollouts, self.rng, learn_scale,
        )  # fmt: skip
        self.steps += rollout.steps
        self.paid += float(rollout.rewards.sum())
        return rollout

    def plain(self) -> None:
        """One update of PPO without an attacker."""
        rollout = self.collected(self.pupil.actor.sample, plainly, learn_scale=True)
        self._ended += rollout.returns
        batch = self.batch(rollout, self.reward(rollout))
        share = 1.0 - (self.steps - rollout.steps) / min(self.given.first, self.setting.horizon)
        self.pupil.learn(batch, self.rng, share)
        self.judge.learn(batch, self.rng, share)

    def batch(self, rollout: Rollout, rewards: Tensor) -> Batch:
        """What the victim learns from: what it saw, and what it was paid, scaled."""
        after = rollout.after.clone()
        goes_on = (rollout.over[:-1] + rollout.cut[:-1]) == 0
        after[:-1][goes_on] = rollout.seen[1:][goes_on]
        critic = self.judge.critic
        return batch_of(rollout.seen, rollout.actions, rewards, rollout, critic, after, self.ppo)

    def smooth(self, radius: float) -> Callable[[Tensor], Tensor]:
        """The regulariser: kappa mean sum_a ((mu(s_hat) - mu(s)) / sigma)^2 at a bad s_hat near s.

        Two steps of size radius / 2 of projected Langevin ascent, of inverse temperature 1e-5.
        """
        actor, step = self.pupil.actor, radius / 2.0

        def penalty(s: Tensor) -> Tensor:
            sigma = actor.log_std.exp()
            mean = actor(s)
            x = s + step * torch.sign(torch.randn(s.shape, generator=self.rng))
            for i in range(2):
                x = x.detach().requires_grad_(True)
                moved = (((actor(x) - mean.detach()) / sigma.detach()) ** 2).sum(-1).mean()
                (slope,) = torch.autograd.grad(moved, x)
                heat = math.sqrt(2.0 * step * 1e-5) / (i + 2)
                slope = slope + heat * torch.randn(s.shape, generator=self.rng)
                x = torch.max(torch.min(x.detach() + step * torch.sign(slope), s + radius),
                              s - radius)  # fmt: skip
            return self.given.kappa * (((actor(x.detach()) - mean) / sigma) ** 2).sum(-1).mean()

        return penalty

    def radius(self, done: float) -> float:
        """eps when so much is done: it grows to its full size over three quarters."""
        return self.given.eps * min(1.0, done / 0.75)

    def judged(self, attack: Attack, team: list[Actor]) -> float:
        """The mean return of the best of ``team`` under an attack, without noise of its own."""
        return max(self.under(attack, actor) for actor in team)

    def under(self, attack: Attack, actor: Actor) -> float:
        """The mean return of a policy under an attack; touches no stream of the training."""
        return float(self.episodes(attack, victim_of(actor)).mean())

    def episodes(self, attack: Attack, victim: Victim) -> np.ndarray:
        """Returns (episodes,) of a policy without noise under an attack.

        The start states are the same for all policies and attacks, and none of the training's.
        """
        if not self.bench:
            self.bench = [self.setting.make() for _ in range(self.given.episodes)]
        rng = torch.Generator().manual_seed(self.setting.seed)
        act, space = _quietly(victim.mean), self.bench[0].action_space
        envs = self.bench
        rows = [env.reset(seed=self.setting.env_seed - 1 - i)[0] for i, env in enumerate(envs)]
        earned, running = np.zeros(len(envs)), list(range(len(envs)))
        while running:
            s = torch.from_numpy(self.scale.scaled(np.stack([rows[i] for i in running])))
            wanted = act(attack(victim, s, self.given.eps, rng)).numpy()
            left = []
            for i, action in zip(running, wanted, strict=True):
                action = np.clip(action, space.low, space.high)
                rows[i], paid, terminated, truncated, _ = envs[i].step(action)
                earned[i] += float(paid)
                if not (terminated or truncated):
                    left.append(i)
            running = left
        return earned

    def tried(self, team: list[Actor]) -> np.ndarray:
        """Returns (policies, CONDITIONS, episodes) of each policy under each attack.

        Attackers that learn are trained against the whole set; the Q of ``rs`` is each policy's.
        """
        learned = {kind: self.trained(kind, team) for kind in KINDS}
        found = np.empty((len(team), len(CONDITIONS), self.given.episodes))
        for k, actor in enumerate(team):
            victim = victim_of(actor)
            for j, name in enumerate(CONDITIONS):
                if name == "rs":
                    found[k, j] = self.episodes(min_q, victim._replace(q=self.sarsa(actor)))
                else:
                    found[k, j] = self.episodes(learned.get(name) or FIXED[name], victim)
        return found

    def at_the_end(self, team: list[Actor], means: np.ndarray) -> dict[str, float]:
        """`judged.FACTS` from the mean returns (policies, CONDITIONS); see there."""
        best = means.max(axis=0)
        first = dict(zip(CONDITIONS, means[0].tolist(), strict=True))
        alone, found = first["pa_ad"], math.nan
        size = abs(first["none"]) or math.nan
        if len(team) > 1:
            alone = self.under(self.trained("pa_ad", team[:1]), team[0])
            found = (first["none"] - means[1:, 0].max()) / size
        return {
            **dict(zip(CONDITIONS[1:], best[1:].tolist(), strict=True)),
            "natural": float(best[0]),
            "natural_first": first["none"],
            "lost": (first["none"] - float(best[0])) / size,
            "lost_found": float(found),
            "pa_ad_first": first["pa_ad"],
            "pa_ad_alone": alone,
        }

    def trained(self, kind: str, team: list[Actor]) -> Attack:
        """An attacker trained against all of ``team``, as it is judged."""
        attacker = Attacker(kind, self.dim, self.actions, self.given.eps, self.setting.seed + 5)
        envs = [self.setting.make() for _ in range(ENVS)]
        players = [_player(actor) for actor in team]
        train(
            attacker, players, envs, self.scale, self.given.attacks, STEPS, STRONG,
            self.setting.seed + 6,
        )  # fmt: skip
        for env in envs:
            env.close()
        return attacker.attack()

    def sarsa(self, actor: Actor) -> Callable[[Tensor, Tensor], Tensor]:
        """The Q of a policy that ``rs`` attacks by."""
        envs = [self.setting.make() for _ in range(ENVS)]
        q = sarsa_of(_player(actor), envs, self.scale, self.setting.seed + 7)
        for env in envs:
            env.close()
        return q

    # --- what is kept

    def networks(self) -> dict[str, Any]:
        """All that holds weights, by name; a subclass adds its own."""
        return {
            "actor": self.pupil.actor, "actor_adam": self.pupil.adam,
            "critic": self.judge.critic, "critic_adam": self.judge.adam,
        }  # fmt: skip

    def plainly_kept(self) -> dict[str, Any]:
        """Further numbers that decide what follows; a subclass adds its own."""
        return {}

    def save(self, folder: Path) -> None:
        """Networks, optimisers, scales, streams and counters."""
        weights = {name: thing.state_dict() for name, thing in self.networks().items()}
        weights["members"] = [actor.state_dict() for actor in self.members]
        weights["stream"] = self.rng.get_state()
        torch.save(weights, folder / "torch.pt")
        scale, reward = self.scale, self.reward.seen
        np.savez(
            folder / "arrays.npz", mean=scale.mean, var=scale.var, count=scale.count,
            reward_mean=reward.mean, reward_var=reward.var, reward_count=reward.count,
        )  # fmt: skip
        plain = {
            "update": self.update, "rollouts": self.rollouts, "steps": self.steps,
            "paid": self.paid, "ended": self._ended, "more": self.plainly_kept(),
        }  # fmt: skip
        (folder / "plain.json").write_text(json.dumps(plain))

    def load(self, folder: Path) -> None:
        """Go on from there."""
        weights = torch.load(folder / "torch.pt", weights_only=True)
        plain = json.loads((folder / "plain.json").read_text())
        self.update, self.rollouts = int(plain["update"]), int(plain["rollouts"])
        self.steps, self.paid = int(plain["steps"]), float(plain["paid"])
        self._ended = [float(x) for x in plain["ended"]]
        self.restored(plain["more"])
        for name, thing in self.networks().items():
            thing.load_state_dict(weights[name])
        self.members = []
        for held in weights["members"]:
            actor = copy.deepcopy(self.pupil.actor)
            actor.load_state_dict(held)
            self.members.append(actor)
        self.rng.set_state(weights["stream"])
        with np.load(folder / "arrays.npz", allow_pickle=False) as held:
            for running, before in ((self.scale, ""), (self.reward.seen, "reward_")):
                running.mean, running.var = held[f"{before}mean"], held[f"{before}var"]
                running.count = float(held[f"{before}count"])

    def restored(self, more: dict[str, Any]) -> None:
        """Take up what `plainly_kept` gave, before weights are read."""


def _quietly(mean: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The mean action, of which nobody wants a gradient."""

    def act(s: Tensor) -> Tensor:
        with torch.no_grad():
            return mean(s)

    return act


def _player(actor: Actor) -> Player:
    """A policy of ours as attackers that learn meet it."""
    return Player(victim_of(actor), _quietly(actor))
