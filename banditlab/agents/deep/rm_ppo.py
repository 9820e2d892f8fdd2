"""Iterated reward modelling on PPO: fit a reward to the preferences, and learn from that.

Christiano, Leike, Brown, Martic, Legg & Amodei 2017, "Deep reinforcement learning from human
preferences", on the queue and the comparisons of `spo_ppo`: as many answers, of the same judge.
After each rollout of whole episodes of H steps, a network r(s, a) in [-1, 1] is fitted to the
latest ``memory`` answers by Bradley & Terry's law::

    P(x beats y) = 1 / (1 + exp(-(sum of r over x - sum of r over y) / (H / 10)))

and PPO is paid r(s, a), over its running standard deviation. Where preferences go round in circles
there is no r that says so: that is what `spo_ppo` is for. The constants are ours.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.agents.deep import spo_ppo
from banditlab.protocols.gym import Deep, Learner, Setting
from banditlab.validate import integer, positive

label = "reward model, PPO"

is_baseline = True


class RmPPO(NamedTuple):
    """Hyper-parameters: those of the reward model, and those of `spo_ppo` but its scale."""

    pairs: int = 16  # at least 1: comparisons in an update of the reward model
    updates: int = 10  # at least 1: of the reward model, after each rollout
    reward_lr: float = 3e-4  # positive: of the reward model
    reward_width: int = 256  # at least 1: units of each of its two hidden layers
    memory: int = 5000  # at least 1: comparisons that are remembered
    judge: str = "return"  # who compares: return, logistic, quarter or thirds
    flip: float = 0.0  # in [0, 1/2]: how often an answer is turned round
    temperature: float = 1.0  # positive: of the judge "logistic"
    threshold: float = 0.0  # of the judge "quarter"
    queue: int = 64  # at least 1: recent trajectories that new ones are compared with
    queries: int = 0  # at least 0: comparisons of each new one; 0: with the whole queue
    length: int = 250  # at least 4: steps of an episode of training, unless there are fewer
    episodes: int = 1  # at least 1: of each environment in a rollout
    learning_rate: float = 3e-4  # positive: of PPO
    n_envs: int = 8  # at least 1: environments stepped together
    batch_size: int = 250  # at least 2
    n_epochs: int = 10  # at least 1: passes over a rollout
    gamma: float = 0.99  # in [0, 1]: discount
    gae_lambda: float = 0.95  # in [0, 1]: from one-step errors (0) to whole returns (1)
    clip_range: float = 0.2  # positive: of the ratio of probabilities
    ent_coef: float = 0.0  # at least 0: pay for entropy
    width: int = 64  # at least 1: units of each of the two hidden layers of PPO
    normalize: bool = True  # whether observations are scaled


OWN = RmPPO._fields[:5]


@cache
def subclass() -> Any:
    """The class ``RMPPO``, a :class:`stable_baselines3.PPO`; made when it is first asked for."""
    import torch
    from gymnasium import spaces
    from torch import nn
    from torch.nn.functional import binary_cross_entropy_with_logits

    from banditlab.parts.deep.self_play import PreferencePPO

    class RMPPO(PreferencePPO):
        """PPO that is paid what a model of the judge says; see the module."""

        kept = (*PreferencePPO.kept, "known", "forgotten", "compared", "sums")
        own = (*PreferencePPO.own, "known", "forgotten", "compared", "sums", "of_model")

        def __init__(self, *args: Any, of_model: dict[str, Any], **given: Any):
            self.of_model = of_model
            # Steps (length, d) of trajectories that are in the queue or in a comparison, by
            # number, of which the first `forgotten` are gone; numbers and answers (m, 3).
            self.known: list[np.ndarray] = []
            self.forgotten = 0
            self.compared = np.zeros((0, 3))
            self.sums = np.zeros(3)  # how many rewards, their sum, the sum of their squares
            super().__init__(*args, **given)

        def _setup_model(self) -> None:
            super()._setup_model()
            self.reward_model = nn.Sequential(
                nn.Linear(self.inputs, self.of_model["reward_width"]),
                nn.ReLU(),
                nn.Linear(self.of_model["reward_width"], self.of_model["reward_width"]),
                nn.ReLU(),
                nn.Linear(self.of_model["reward_width"], 1),
                nn.Tanh(),
            )
            self.reward_adam = torch.optim.Adam(
                self.reward_model.parameters(), lr=self.of_model["reward_lr"]
            )

        def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
            names, tensors = super()._get_torch_save_params()
            return [*names, "reward_model", "reward_adam"], tensors

        @property
        def inputs(self) -> int:
            """Numbers of a state and an action; actions without an order are a 1 among zeros."""
            space = self.action_space
            wide = space.n if isinstance(space, spaces.Discrete) else space.shape[0]
            return int(self.observation_space.shape[0] + wide)

        def enter(self, rewards: np.ndarray) -> None:
            """Their steps are known while the queue fills; then `pay` has seen to that."""
            if not self.full:
                self.known.extend(self.steps_of(self.rollout_buffer))
            super().enter(rewards)

        def steps_of(self, rollout: Any) -> np.ndarray:
            """States and actions (n, length, d), in the order of trajectories."""
            acted = rollout.actions
            if isinstance(self.action_space, spaces.Discrete):
                acted = np.eye(self.action_space.n)[acted[..., 0].astype(np.int64)]
            else:
                acted = np.clip(acted, self.action_space.low, self.action_space.high)
            steps = np.concatenate([rollout.observations, acted], axis=-1, dtype=np.float32)
            steps = steps.reshape(-1, self.hidden.length, *steps.shape[1:])
            return steps.swapaxes(1, 2).reshape(-1, self.hidden.length, self.inputs)

        def pay(self, rewards: np.ndarray, rollout: Any) -> np.ndarray:
            """Ask, fit, and pay what the model says."""
            picks, answers = self.asked(rewards)
            newest = self.forgotten + len(self.known)  # the number of the first new one
            steps = self.steps_of(rollout)
            self.known.extend(steps)
            mine = np.broadcast_to(newest + np.arange(len(rewards))[:, None], picks.shape)
            theirs = newest - len(self.queue) + picks
            fresh = np.stack([mine, theirs, answers], axis=-1).reshape(-1, 3)
            self.compared = np.concatenate([self.compared, fresh])[-self.of_model["memory"] :]
            for _ in range(self.of_model["updates"]):
                self.fit()
            self.forget()
            return self.standardised(steps, rollout.rewards.shape)

        def fit(self) -> float:
            """One step on comparisons drawn from those remembered; the loss before it."""
            drawn = self.comparing.integers(len(self.compared), size=self.of_model["pairs"])
            rows = self.compared[drawn]
            which = rows[:, :2].astype(np.int64) - self.forgotten
            steps = torch.as_tensor(np.array([[self.known[i], self.known[j]] for i, j in which]))
            sums = self.reward_model(steps)[..., 0].sum(dim=-1)
            logits = (sums[:, 0] - sums[:, 1]) / (0.1 * self.hidden.length)
            answers = torch.as_tensor(rows[:, 2], dtype=torch.float32)
            loss = binary_cross_entropy_with_logits(logits, answers)
            self.reward_adam.zero_grad()
            loss.backward()
            self.reward_adam.step()
            return float(loss.item())

        def forget(self) -> None:
            """Let those go that are neither compared nor will be in the queue.

            The queue of the next rollout are the latest of those known.
            """
            queued = self.forgotten + len(self.known) - self.terms.queue
            gone = min(int(self.compared[:, :2].min()), queued) - self.forgotten
            del self.known[:gone]
            self.forgotten += gone

        def standardised(self, steps: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
            """What the model says of steps (n, length, d), as (n_steps, n_envs)."""
            with torch.no_grad():
                said = self.reward_model(torch.as_tensor(steps))[..., 0].numpy().astype(np.float64)
            self.sums += [said.size, said.sum(), np.square(said).sum()]
            count, total, squares = self.sums
            spread = np.sqrt(max(squares / count - (total / count) ** 2, 0.0))
            said = said.reshape(-1, shape[1], self.hidden.length).swapaxes(1, 2).reshape(shape)
            return said / (spread + 1e-8)

    RMPPO.__qualname__ = "RMPPO"
    return RMPPO


def learner(params: RmPPO, setting: Setting) -> Learner:
    """Reward modelling at work."""
    from banditlab.parts.deep.self_play import Judged

    of_model = {name: getattr(params, name) for name in OWN}
    return Judged(subclass(), setting, of_model=of_model, **spo_ppo.arguments(params, setting))


def rm_ppo(
    pairs: int = 16,
    updates: int = 10,
    reward_lr: float = 3e-4,
    reward_width: int = 256,
    memory: int = 5000,
    judge: str = "return",
    flip: float = 0.0,
    temperature: float = 1.0,
    threshold: float = 0.0,
    queue: int = 64,
    queries: int = 0,
    length: int = 250,
    episodes: int = 1,
    learning_rate: float = 3e-4,
    n_envs: int = 8,
    batch_size: int = 250,
    n_epochs: int = 10,
    gamma: float = 0.99,
    gae_lambda: float = 0.95,
    clip_range: float = 0.2,
    ent_coef: float = 0.0,
    width: int = 64,
    normalize: bool = True,
) -> Deep:
    """Iterated reward modelling on PPO; see :class:`RmPPO`."""
    given = RmPPO(
        integer("pairs", pairs, 1), integer("updates", updates, 1),
        positive("reward_lr", reward_lr), integer("reward_width", reward_width, 1),
        integer("memory", memory, 1), judge, flip, temperature, threshold, queue, queries, length,
        episodes, learning_rate, n_envs, batch_size, n_epochs, gamma, gae_lambda, clip_range,
        ent_coef, width, normalize,
    )  # fmt: skip
    params = given._replace(**spo_ppo.valid(given))
    return Deep(params, learner, facts=spo_ppo.FACTS, discrete=True, fits=spo_ppo.fits)
