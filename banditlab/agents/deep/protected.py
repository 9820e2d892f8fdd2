"""PROTECTED: a set of policies of which none is dominated, found one after the other.

Liu, Deng, Sun, Liang & Huang 2024, "Beyond worst-case attacks: robust RL with adaptive defense via
non-dominated policies" (ICLR), Algorithm 2, as their released code has it; `discover` is the same
on a table of returns. The first policy is trained by plain PPO. Then, ``iterations`` times, a copy
of the last policy and a fresh attacker are trained *together*, update by update::

    victim     2,048 steps under the attacker; PPO on what it saw, plus the regulariser
    k*         every tenth update: which policy of the set earns most under the attacker, on
               2,048 steps of each
    attacker   2,048 steps with the new policy, rewards +r, and 2,048 with policy k*, rewards -r;
               values of their own for the two; one PPO update on all 4,096, advantages scaled in
               each minibatch

So the attacker *helps* the new policy and hurts the best old one: what is sought is an attack
under which something new is needed. Learning rates fall to 0 within an iteration, optimisers and
values begin anew, and the scale of observations is that of the first policy for good. The attacker
says where to move what is seen (``attacker="sa_rl"``) or where to move the action (``"pa_ad"``).

What is judged is the set: its best member without attack, and against each attack. Which one is
needed is for a bandit to find out, `exp3`, an episode at a time. Acting in other code, and what is
recorded as ``return``, is the member that earned most without attack.

The paper trains 10 iterations of 2,441 updates; here they share what the horizon leaves.
"""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from banditlab.parts.deep.judged import FACTS, table
from banditlab.parts.deep.judged import fits as hardens
from banditlab.protocols.gym import Deep, Environment, Learner, Setting
from banditlab.validate import choice, integer, nonnegative, positive

label = "PROTECTED"
AGAIN = 10  # updates after which it is asked anew who is best


class Protected(NamedTuple):
    """Hyper-parameters."""

    first: int = 300_000  # >= 1: steps of plain PPO
    iterations: int = 2  # >= 0: policies beside the first, which share the rest of the horizon
    eps: float = 0.075  # >= 0: radius of attacks, in standard deviations of observations
    attacker: str = "sa_rl"  # or "pa_ad"
    kappa: float = 0.3  # >= 0: weight of the regulariser
    lr: float = 3e-4  # > 0: of policies
    value_lr: float = 3e-4  # > 0: of their values
    attacker_lr: float = 1e-2  # > 0
    attacker_value_lr: float = 1e-3  # > 0
    entropy: float = 0.01  # >= 0: of policies, after the first
    attacks: int = 0  # >= 0: updates of the attackers that judge at the end; 0: they do not
    episodes: int = 10  # >= 1: of each judgement under attack


def fits(params: Protected, environment: Environment, horizon: int) -> None:
    """ValueError if there is to be a second policy and no time for it."""
    if params.iterations > 0:
        hardens(params, environment, horizon)


def learner(params: Protected, setting: Setting) -> Learner:
    """PROTECTED at work."""
    import torch

    from banditlab.parts.deep.adversarial import Common, Robust
    from banditlab.parts.deep.attacks import none
    from banditlab.parts.deep.learned import Attacker, mean_return
    from banditlab.parts.deep.ppo import (
        Batch,
        Critic,
        Judge,
        Pupil,
        Settings,
        batch_of,
        plainly,
        victim_of,
    )

    fits(params, setting.environment, setting.horizon)
    of_victims = Settings(params.lr, params.value_lr, entropy=params.entropy)
    of_attackers = Settings(params.attacker_lr, params.attacker_value_lr, clip=0.4, entropy=3e-4)

    class Discovery(Robust):
        """The set, the policy under way, and its attacker."""

        iteration = 0  # that is under way; 0 while the first policy trains
        turn = 0  # updates of this iteration
        best = 0  # k*
        natural = 0  # the member that earned most without attack

        def __init__(self) -> None:
            first = of_victims._replace(entropy=0.0)
            shared = (params.first, params.eps, params.kappa, params.attacks, params.episodes)
            super().__init__(setting, Common(*shared), of_victims, first)
            self.attacker: Any = None  # before the first iteration there is none

        def begin(self) -> None:
            """A new iteration: the policy so far joins the set, and a copy of it goes on."""
            self.iteration, self.turn, self.best = self.iteration + 1, 0, 0
            self.members.append(copy.deepcopy(self.pupil.actor))
            earned = [self.under(none, actor) for actor in self.members]
            self.natural = int(np.argmax(earned))
            self.anew()

        def anew(self) -> None:
            """Optimisers, values and the attacker of this iteration, as they begin."""
            seed = setting.seed + 100 * self.iteration
            self.pupil = Pupil(copy.deepcopy(self.pupil.actor), of_victims)
            self.judge = Judge(Critic(self.dim, seed), of_victims)
            self.attacker = Attacker(
                params.attacker, self.dim, self.actions, params.eps, seed + 1
            )  # fmt: skip
            self.teacher = Pupil(self.attacker.actor, of_attackers)
            self.critics = [Judge(Critic(self.dim, seed + 2 + i), of_attackers) for i in range(2)]

        def harden(self, done: float) -> None:
            if params.iterations == 0:
                self.plain_again()
                return
            at = done * params.iterations
            if int(at) + 1 > self.iteration:
                self.begin()
            within = at - int(at)
            share = 1.0 - within
            see = self.attacker.sampling(victim_of(self.pupil.actor))
            rollout = self.collected(self.pupil.actor.sample, see)
            self._ended += rollout.returns
            batch = self.batch(rollout, self.reward(rollout))
            self.pupil.learn(batch, self.rng, share, self.smooth(self.radius(within)))
            self.judge.learn(batch, self.rng, share)
            if self.turn % AGAIN == 0 and len(self.members) > 1:
                earned = [mean_return(self.against(actor)) for actor in self.members]
                self.best = int(np.argmax(earned))
            self.turn += 1
            sets = [self.against(self.pupil.actor), self.against(self.members[self.best])]
            batches = []
            for sign, part, judge in zip((1.0, -1.0), sets, self.critics, strict=True):
                rewards = sign * self.reward(part)
                mine = batch_of(
                    part.states, part.marks, rewards, part, judge.critic, part.after, of_attackers
                )
                judge.learn(mine, self.rng, share)
                batches.append(mine)
            both = Batch(*(torch.cat(rows) for rows in zip(*batches, strict=True)))
            self.teacher.learn(both, self.rng, share)

        def against(self, actor: Any) -> Any:
            """2,048 steps of a policy under the attacker."""
            return self.collected(actor.sample, self.attacker.sampling(victim_of(actor)))

        def plain_again(self) -> None:
            """Without iterations: plain PPO to the end, the control."""
            rollout = self.collected(self.pupil.actor.sample, plainly)
            self._ended += rollout.returns
            batch = self.batch(rollout, self.reward(rollout))
            self.pupil.learn(batch, self.rng)
            self.judge.learn(batch, self.rng)

        def act(self, observations: np.ndarray) -> np.ndarray:
            if not self.members:
                return super().act(observations)
            with torch.no_grad():
                s = torch.from_numpy(self.scale.scaled(observations))
                wanted = self.members[self.natural](s).numpy()
            space = self.envs[0].action_space
            return np.clip(wanted, space.low, space.high)

        def networks(self) -> dict[str, Any]:
            held = super().networks()
            if self.attacker is not None:
                held |= {"attacker": self.attacker.actor, "attacker_adam": self.teacher.adam}
                for i, judge in enumerate(self.critics):
                    held |= {f"critic{i}": judge.critic, f"critic{i}_adam": judge.adam}
            return held

        def plainly_kept(self) -> dict[str, Any]:
            return {
                "iteration": self.iteration, "turn": self.turn, "best": self.best,
                "natural": self.natural,
            }  # fmt: skip

        def restored(self, more: dict[str, Any]) -> None:
            self.iteration, self.turn = int(more["iteration"]), int(more["turn"])
            self.best, self.natural = int(more["best"]), int(more["natural"])
            if self.iteration > 0:
                self.anew()

    return Discovery()


def protected(
    first: int = 300_000,
    iterations: int = 2,
    eps: float = 0.075,
    attacker: str = "sa_rl",
    kappa: float = 0.3,
    lr: float = 3e-4,
    value_lr: float = 3e-4,
    attacker_lr: float = 1e-2,
    attacker_value_lr: float = 1e-3,
    entropy: float = 0.01,
    attacks: int = 0,
    episodes: int = 10,
) -> Deep:
    """PROTECTED; see :class:`Protected` for the ranges.

    ``first`` steps of plain PPO, then ``iterations`` further policies against an ``attacker`` of
    radius ``eps``; ``kappa``, ``lr``, ``value_lr``, ``attacker_lr``, ``attacker_value_lr`` and
    ``entropy`` belong to the updates, ``attacks`` and ``episodes`` to the judgement. With
    ``iterations`` 0 it is plain PPO throughout. Raises ValueError for a number out of range.
    """
    params = Protected(
        integer("first", first, 1),
        integer("iterations", iterations, 0),
        nonnegative("eps", eps),
        choice("attacker", attacker, ("sa_rl", "pa_ad")),
        nonnegative("kappa", kappa),
        positive("lr", lr),
        positive("value_lr", value_lr),
        positive("attacker_lr", attacker_lr),
        positive("attacker_value_lr", attacker_value_lr),
        nonnegative("entropy", entropy),
        integer("attacks", attacks, 0),
        integer("episodes", episodes, 1),
    )
    kept = table(params.iterations + 1, params.attacks, params.episodes)
    return Deep(params, learner, needs=("torch",), facts=FACTS, returns=kept, fits=fits)
