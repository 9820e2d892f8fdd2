"""SPO on SAC: episodes are remembered when they have ended, with how often they were preferred.

Swamy, Dann, Kidambi, Wu & Agarwal 2024, "A minimaximalist approach to reinforcement learning from
human feedback", as `spo_ppo`, on an algorithm that learns from a memory. Steps wait until their
episode of H steps has ended; then all of them enter the memory with reward scale (2 w - 1) / H. The
first ``queue`` episodes are labelled once they are complete, each against the others. What is
remembered was labelled against queues of its time; every ``relabel`` episodes all of it is compared
anew, with the queue of today.

Where scale is the number of steps, rewards of a step lie in [-1, 1]; with much less, entropy is all
that counts.
"""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from banditlab.agents.deep.spo_ppo import FACTS
from banditlab.parts.deep.preferences import Judge, checked, checked_length, enough, length_of
from banditlab.protocols.gym import Deep, Environment, Learner, Setting
from banditlab.validate import between, integer, nonnegative, positive

label = "SPO-SAC"


class SpoSAC(NamedTuple):
    """Hyper-parameters: those of the comparisons, and those of SAC."""

    judge: str = "return"  # who compares: return, logistic, quarter or thirds
    flip: float = 0.0  # in [0, 1/2]: how often an answer is turned round
    temperature: float = 1.0  # positive: of the judge "logistic"
    threshold: float = 0.0  # of the judge "quarter"
    queue: int = 32  # at least 2: recent trajectories that new ones are compared with
    queries: int = 0  # at least 0: comparisons of each new one; 0: with the whole queue
    scale: float = 0.0  # at least 0: what an episode that always wins is paid; 0: its steps
    length: int = 250  # at least 4: steps of an episode of training, unless there are fewer
    relabel: int = 25  # at least 0: episodes until the memory is compared anew; 0: never
    learning_rate: float = 3e-4  # positive: of actor, critics and temperature
    learning_starts: int = 0  # at least 0: steps of uniform actions; those of the queue at least
    batch_size: int = 256  # at least 1
    buffer_size: int = 1_000_000  # at least 1: steps that are remembered, in whole episodes
    gamma: float = 0.99  # in [0, 1]: discount
    tau: float = 0.005  # in [0, 1]: how far targets follow in one update
    width: int = 256  # at least 1: units of each of the two hidden layers


class Waiting(list[tuple[Any, ...]]):
    """Steps of an episode under way, taken in as a memory of steps would."""

    def add(self, *row: Any) -> None:
        """A step; arrays are copied, for the library goes on to use them."""
        self.append(tuple(x.copy() if isinstance(x, np.ndarray) else x for x in row))


@cache
def subclass() -> Any:
    """The class ``SPOSAC``, a :class:`stable_baselines3.SAC`; made when it is first asked for."""
    from stable_baselines3 import SAC

    from banditlab.parts.deep.self_play import Compares, Terms

    class SPOSAC(Compares, SAC):
        """SAC that is paid win rates; see the module. One environment, one episode at a time."""

        kept = (*Compares.kept, "lived")
        own = (*Compares.own, "lived", "waiting", "relabel")

        def __init__(self, *args: Any, terms: Terms | None = None, relabel: int = 25, **given: Any):
            self.begin(terms or Terms(queue=32), given.get("seed") or 0)
            self.relabel = relabel
            self.waiting = Waiting()
            super().__init__(*args, train_freq=(1, "episode"), gradient_steps=-1, **given)

        def _setup_model(self) -> None:
            super()._setup_model()
            # True rewards (length,) of the episodes that are remembered, oldest first.
            self.lived: deque[np.ndarray] = deque(maxlen=self.memory)

        def _excluded_save_params(self) -> list[str]:
            return [*super()._excluded_save_params(), *self.own]

        @property
        def memory(self) -> int:
            """Episodes for which there is room."""
            return int(self.replay_buffer.buffer_size // self.hidden.length)

        def _store_transition(
            self, replay_buffer: Any, buffer_action: Any, new_obs: Any, reward: Any, dones: Any,
            infos: Any,
        ) -> None:  # fmt: skip
            super()._store_transition(self.waiting, buffer_action, new_obs, reward, dones, infos)
            if dones[0]:
                self.remember(self.hidden.take()[0])

        def remember(self, rewards: np.ndarray) -> None:
            """The episode that waits, with true rewards (1, length), enters the memory."""
            known = self.full
            wins = self.asked(rewards)[1].mean(axis=1) if known else np.array([0.5])
            paid = self.per_step(wins, self.hidden.length)
            for seen, then, action, _, done, infos in self.waiting:
                self.replay_buffer.add(seen, then, action, paid, done, infos)
            self.waiting.clear()
            self.lived.extend(rewards)
            self.enter(rewards)
            if not known and self.full:
                self.label_first()
            elif known and self.relabel and (self._episode_num + 1) % self.relabel == 0:
                self.label_all()

        def label_first(self) -> None:
            """The first queue, each against the others; what met only itself is a tie."""
            picks, answers = self.asked(np.array(self.queue))
            others = picks != np.arange(len(picks))[:, None]
            won = (answers * others).sum(axis=1) / np.maximum(others.sum(axis=1), 1)
            self.write(np.where(others.any(axis=1), won, 0.5))

        def label_all(self) -> None:
            """All that is remembered, against the queue of today."""
            self.write(self.asked(np.array(self.lived))[1].mean(axis=1))

        def write(self, wins: np.ndarray) -> None:
            """Rewards of the latest episodes, which these win rates belong to, oldest first."""
            buffer, length = self.replay_buffer, self.hidden.length
            rows = (buffer.pos - len(wins) * length) + np.arange(len(wins) * length)
            buffer.rewards[rows % buffer.buffer_size, 0] = np.repeat(
                self.per_step(wins, length), length
            )

    SPOSAC.__qualname__ = "SPOSAC"
    return SPOSAC


def fits(params: SpoSAC, environment: Environment, horizon: int) -> None:
    """ValueError if the horizon ends before the queue is full, or if it is not remembered."""
    warm_up = params.queue * length_of(params.length, environment)
    enough(horizon, warm_up)
    if params.buffer_size < warm_up:
        raise ValueError(
            f"buffer_size must be at least {warm_up:,}, the steps of the queue, "
            f"got {params.buffer_size:,}"
        )


def learner(params: SpoSAC, setting: Setting) -> Learner:
    """SPO at work."""
    from banditlab.parts.deep.self_play import Judged, Terms

    length = length_of(params.length, setting.environment)
    warm_up = params.queue * length
    fits(params, setting.environment, setting.horizon)
    judge = Judge(params.judge, params.flip, params.temperature, params.threshold)
    # More than the horizon would take memory and change no number.
    episodes = min(params.buffer_size, setting.horizon + length) // length
    return Judged(
        subclass(),
        setting,
        length,
        terms=Terms(judge, params.queue, params.queries, params.scale or float(length)),
        relabel=params.relabel,
        learning_rate=params.learning_rate,
        learning_starts=max(params.learning_starts, warm_up),
        batch_size=params.batch_size,
        buffer_size=episodes * length,
        gamma=params.gamma,
        tau=params.tau,
        policy_kwargs={"net_arch": [params.width, params.width]},
    )


def spo_sac(
    judge: str = "return",
    flip: float = 0.0,
    temperature: float = 1.0,
    threshold: float = 0.0,
    queue: int = 32,
    queries: int = 0,
    scale: float = 0.0,
    length: int = 250,
    relabel: int = 25,
    learning_rate: float = 3e-4,
    learning_starts: int = 0,
    batch_size: int = 256,
    buffer_size: int = 1_000_000,
    gamma: float = 0.99,
    tau: float = 0.005,
    width: int = 256,
) -> Deep:
    """SPO on SAC; see :class:`SpoSAC`."""
    params = SpoSAC(
        *checked(judge, flip, temperature, threshold),
        integer("queue", queue, 2),
        integer("queries", queries, 0),
        nonnegative("scale", scale),
        checked_length(length),
        integer("relabel", relabel, 0),
        positive("learning_rate", learning_rate),
        integer("learning_starts", learning_starts, 0),
        integer("batch_size", batch_size, 1),
        integer("buffer_size", buffer_size, 1),
        between("gamma", gamma, 0.0, 1.0),
        between("tau", tau, 0.0, 1.0),
        integer("width", width, 1),
    )
    return Deep(params, learner, facts=FACTS, fits=fits)
