"""SPO on PPO: a policy is paid for how often its trajectories are preferred to its recent ones.

Swamy, Dann, Kidambi, Wu & Agarwal 2024, "A minimaximalist approach to reinforcement learning from
human feedback": one policy plays against itself. Of the true rewards only the judge knows. After
each rollout of whole episodes of H steps::

    w          how often the episode was preferred to members of the queue
    reward     scale (2 w - 1) / H in each of its steps
    queue      takes the new episodes in, and lets the oldest go

and PPO learns from these rewards. Rewards are relative: that w stays near 1/2 is what self-play
looks like when it works. No reward is fitted, so preferences may go round in circles.

Judges, and what is not as in the paper (which gives no constants that we know of): see
:mod:`banditlab.parts.deep.preferences`; queue, scale and networks are ours.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.agents.deep import ppo
from banditlab.parts.deep.preferences import (
    Judge,
    checked,
    checked_length,
    enough,
    length_of,
)
from banditlab.protocols.gym import Deep, Environment, Learner, Setting
from banditlab.validate import integer, positive

label = "SPO-PPO"

FACTS = ("beats_first", "early", "late")


class SpoPPO(NamedTuple):
    """Hyper-parameters: those of the comparisons, and those of PPO."""

    judge: str = "return"  # who compares: return, logistic, quarter or thirds
    flip: float = 0.0  # in [0, 1/2]: how often an answer is turned round
    temperature: float = 1.0  # positive: of the judge "logistic"
    threshold: float = 0.0  # of the judge "quarter"
    queue: int = 64  # at least 1: recent trajectories that new ones are compared with
    queries: int = 0  # at least 0: comparisons of each new one; 0: with the whole queue
    scale: float = 10.0  # positive: what an episode that always wins is paid, in all
    length: int = 250  # at least 4: steps of an episode of training, unless there are fewer
    episodes: int = 1  # at least 1: of each environment in a rollout
    learning_rate: float = 3e-4  # positive
    n_envs: int = 8  # at least 1: environments stepped together
    batch_size: int = 250  # at least 2
    n_epochs: int = 10  # at least 1: passes over a rollout
    gamma: float = 0.99  # in [0, 1]: discount
    gae_lambda: float = 0.95  # in [0, 1]: from one-step errors (0) to whole returns (1)
    clip_range: float = 0.2  # positive: of the ratio of probabilities
    ent_coef: float = 0.0  # at least 0: pay for entropy
    width: int = 64  # at least 1: units of each of the two hidden layers
    normalize: bool = True  # whether observations are scaled; rewards are not


def valid(given: Any) -> dict[str, Any]:
    """The hyper-parameters that `rm_ppo` has, too, cast; ValueError for one out of range."""
    judge = checked(given.judge, given.flip, given.temperature, given.threshold)
    of_ppo = ppo.checked(
        ppo.PPOParams(n_steps=2, **{name: getattr(given, name) for name in OF_PPO})
    )
    return {
        **judge._asdict(),
        "queue": integer("queue", given.queue, 1),
        "queries": integer("queries", given.queries, 0),
        "length": checked_length(given.length),
        "episodes": integer("episodes", given.episodes, 1),
        **{name: getattr(of_ppo, name) for name in OF_PPO},
    }


OF_PPO = tuple(name for name in ppo.PPOParams._fields if name != "n_steps")


def fits(params: Any, environment: Environment, horizon: int) -> None:
    """ValueError if the horizon ends before the queue is full."""
    rollout = params.n_envs * params.episodes
    rollouts = -(-params.queue // rollout)
    enough(horizon, rollouts * rollout * length_of(params.length, environment))


def arguments(params: Any, setting: Setting) -> dict[str, Any]:
    """What both learners are given, as :class:`banditlab.parts.deep.self_play.Judged` calls it.

    Raises ValueError if the horizon ends before the queue is full.
    """
    from banditlab.parts.deep.self_play import Terms

    fits(params, setting.environment, setting.horizon)
    length = length_of(params.length, setting.environment)
    of_ppo = {name: getattr(params, name) for name in OF_PPO if name != "width"}
    judge = Judge(params.judge, params.flip, params.temperature, params.threshold)
    return {
        "length": length,
        "terms": Terms(judge, params.queue, params.queries, getattr(params, "scale", 1.0)),
        "n_steps": length * params.episodes,
        "policy_kwargs": {"net_arch": [params.width, params.width]},
        **of_ppo,
    }


@cache
def subclass() -> Any:
    """The class ``SPOPPO``, a :class:`stable_baselines3.PPO`; made when it is first asked for."""
    from banditlab.parts.deep.self_play import PreferencePPO

    class SPOPPO(PreferencePPO):
        """PPO that is paid win rates; see the module."""

        def pay(self, rewards: np.ndarray, rollout: Any) -> np.ndarray:
            """An equal part of scale (2 w - 1) in every step of an episode."""
            wins = self.asked(rewards)[1].mean(axis=1).reshape(-1, self.n_envs)
            length = self.hidden.length
            return np.repeat(self.per_step(wins, length), length, axis=0)

    SPOPPO.__qualname__ = "SPOPPO"
    return SPOPPO


def learner(params: SpoPPO, setting: Setting) -> Learner:
    """SPO at work."""
    from banditlab.parts.deep.self_play import Judged

    return Judged(subclass(), setting, **arguments(params, setting))


def spo_ppo(
    judge: str = "return",
    flip: float = 0.0,
    temperature: float = 1.0,
    threshold: float = 0.0,
    queue: int = 64,
    queries: int = 0,
    scale: float = 10.0,
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
    """SPO on PPO; see :class:`SpoPPO`."""
    given = SpoPPO(
        judge, flip, temperature, threshold, queue, queries, scale, length, episodes,
        learning_rate, n_envs, batch_size, n_epochs, gamma, gae_lambda, clip_range, ent_coef,
        width, normalize,
    )  # fmt: skip
    params = SpoPPO(**valid(given), scale=positive("scale", scale))
    return Deep(params, learner, facts=FACTS, discrete=True, fits=fits)
